"""Every field of an entity is kept by the mirror, or dropped by name and for a reason."""

from __future__ import annotations

import inspect

import pytest

from b24metrics.crm import activities, billing, clients, directories, items, people, probe, sales
from b24metrics.crm.entity import OWN, Entity
from b24metrics.mirror import schema
from b24metrics.mirror.schema import Table

PERSONAL = "personal data: asked for by name only"
TEXT = "a text that no KPI counts"
UNCOUNTED = "no KPI counts it"
SAID = "another column says it"
ITEM_ONLY = "crm.item.* alone knows it; the mirror asks the legacy methods"

MIRRORED: dict[type[Entity], Table] = {
    sales.Deal: schema.DEALS,
    sales.Lead: schema.LEADS,
    sales.StageMove: schema.STAGE_MOVES,
    activities.Activity: schema.ACTIVITIES,
    activities.ActivityBinding: schema.ACTIVITY_BINDINGS,
    activities.PhoneCall: schema.PHONE_CALLS,
    people.User: schema.USERS,
    people.Department: schema.DEPARTMENTS,
    people.Absence: schema.ABSENCES,
    directories.Status: schema.STATUSES,
    directories.Pipeline: schema.PIPELINES,
    directories.Currency: schema.CURRENCIES,
}

_ITEM: dict[str, str] = {
    "last_activity_by_id": UNCOUNTED,
    "opened": UNCOUNTED,
    "source_description": TEXT,
    "comments": PERSONAL,
    **dict.fromkeys(("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"), UNCOUNTED),
    "observer_ids": ITEM_ONLY,
}
_REACHABLE: dict[str, str] = {
    **dict.fromkeys(("phones", "emails", "sites", "messengers", "links"), PERSONAL),
    **dict.fromkeys(("has_phone", "has_email", "has_imol"), UNCOUNTED),
}

DROPPED: dict[type[Entity], dict[str, str]] = {
    sales.Deal: {
        **_ITEM,
        "is_manual_opportunity": UNCOUNTED,
        "tax_value": UNCOUNTED,
        "contact_ids": ITEM_ONLY,
        "is_new": SAID,
        "additional_info": PERSONAL,
        "location_id": UNCOUNTED,
        "order_stage": ITEM_ONLY,
    },
    sales.Lead: {
        **_ITEM,
        **_REACHABLE,
        "stage_description": TEXT,
        "is_manual_opportunity": UNCOUNTED,
        "contact_ids": ITEM_ONLY,
        **dict.fromkeys(
            ("company_title", "name", "second_name", "last_name", "honorific", "position", "born_on"), PERSONAL
        ),
    },
    sales.StageMove: {},
    activities.Activity: {
        "provider_group_id": UNCOUNTED,
        "subject": PERSONAL,
        "description": PERSONAL,
        "communications": PERSONAL,
        "priority": UNCOUNTED,
        "editor_id": UNCOUNTED,
        "originator_id": UNCOUNTED,
        "result_sum": UNCOUNTED,
        "result_currency_id": UNCOUNTED,
        "settings": UNCOUNTED,
        "provider_params": UNCOUNTED,
        "bindings": "rows of activity_bindings",
    },
    activities.ActivityBinding: {},
    activities.PhoneCall: {
        "external_call_id": SAID,
        "session_id": SAID,
        "failed_reason": SAID,
        "cost": UNCOUNTED,
        "cost_currency_id": UNCOUNTED,
        "record_url": PERSONAL,
        "record_file_id": SAID,
        "record_seconds": UNCOUNTED,
        "transcript_pending": UNCOUNTED,
        "rest_app_id": UNCOUNTED,
        "redial_attempt": UNCOUNTED,
        "comment": PERSONAL,
    },
    people.User: {
        **dict.fromkeys(("second_name", "email", "work_phone", "mobile_phone", "inner_phone", "born_on"), PERSONAL),
        "department_ids": "rows of user_departments",
        "last_login_at": UNCOUNTED,
        "last_activity_at": UNCOUNTED,
        "modified_at": "the portal does not send it in lists",
        "is_online": UNCOUNTED,
    },
    people.Department: {},
    people.Absence: {
        "name": PERSONAL,
        "kind": "only absences proper are kept",
        "importance": UNCOUNTED,
        "event_type": UNCOUNTED,
        "whole_days": "starts_at and ends_at are kept in the person's zone",
        "zone": "starts_at and ends_at are instants",
        "from_staff_chart": UNCOUNTED,
    },
    directories.Status: {
        "id": "a status is known by directory and code",
        "system": UNCOUNTED,
        "color": UNCOUNTED,
        "apology": "semantics says that it is lost",
    },
    directories.Pipeline: {"originator_id": UNCOUNTED, "origin_id": UNCOUNTED},
    directories.Currency: {"sort": UNCOUNTED, "decimals": UNCOUNTED, "updated_at": UNCOUNTED},
}

UNMIRRORED: dict[type[Entity], str] = {
    **dict.fromkeys((clients.Contact, clients.Company, clients.ClientLink), "no table of clients yet"),
    **dict.fromkeys(
        (billing.Quote, billing.Invoice, billing.OldInvoice, billing.Payment, billing.ProductRow),
        "no table of documents yet",
    ),
    activities.Communication: PERSONAL,
    activities.Comment: PERSONAL,
    activities.Task: "tasks of the CRM are activities",
    **dict.fromkeys((people.Profile, people.Workday), "a question of the moment"),
    **dict.fromkeys((people.Schedule, people.Shift, directories.CalendarSettings), "becomes a calendar, not rows"),
    **dict.fromkeys((directories.UserField, directories.FieldOption), "captions are read when they are shown"),
    **dict.fromkeys((directories.SmartType, directories.NamedKind, probe.MethodState), "a question of the moment"),
}

ENTITIES = {
    thing
    for room in (activities, billing, clients, directories, people, probe, sales)
    for thing in vars(room).values()
    if inspect.isclass(thing) and issubclass(thing, Entity) and thing.__module__ == room.__name__
}


def fields(entity: type[Entity]) -> set[str]:
    """Fields that stand for something in a row."""
    return set(entity.model_fields) - OWN


def test_every_entity_is_mirrored_or_not_by_name() -> None:
    assert ENTITIES == set(MIRRORED) | set(UNMIRRORED)
    assert set() == set(MIRRORED) & set(UNMIRRORED)
    assert set(MIRRORED) == set(DROPPED)
    assert set() == {items.CrmItem, items.Moving, items.Reachable} & ENTITIES


@pytest.mark.parametrize("entity", MIRRORED, ids=lambda entity: entity.__name__)
def test_every_field_is_mirrored_or_dropped_by_name(entity: type[Entity]) -> None:
    """A new field is a decision: a column, or a line above with its reason."""
    columns = set(MIRRORED[entity].columns)

    assert fields(entity) == (columns & fields(entity)) | set(DROPPED[entity])
    assert set() == columns & set(DROPPED[entity])


@pytest.mark.parametrize("entity", MIRRORED, ids=lambda entity: entity.__name__)
def test_every_column_is_a_field_or_observed(entity: type[Entity]) -> None:
    """Columns are named as entity fields; what the portal forgets is observed, not read."""
    table = MIRRORED[entity]

    assert set(table.columns) - set(table.observed) - {"user_fields"} <= fields(entity)
