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
KEYS = "keys of them are rows of client_keys"

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
    billing.Quote: schema.QUOTES,
    billing.Invoice: schema.INVOICES,
    billing.Payment: schema.PAYMENTS,
    billing.ProductRow: schema.PRODUCT_ROWS,
    clients.Contact: schema.CONTACTS,
    clients.Company: schema.COMPANIES,
    activities.Task: schema.TASKS,
    people.Schedule: schema.SCHEDULES,
}

COMPUTED = {"user_fields", "phone_key", "tags", "has_messenger", "phone_in_comment", "spec"}
"""Columns that are made of several fields, or of a part of one."""

_ITEM: dict[str, str] = {
    "last_activity_by_id": UNCOUNTED,
    "opened": UNCOUNTED,
    "source_description": TEXT,
    "comments": PERSONAL,
    **dict.fromkeys(("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"), UNCOUNTED),
    "observer_ids": ITEM_ONLY,
}
_REACHABLE: dict[str, str] = {
    **dict.fromkeys(("phones", "emails"), KEYS),
    **dict.fromkeys(("sites", "messengers", "links"), PERSONAL),
}
_PAPER: dict[str, str] = {
    **_ITEM,
    **dict.fromkeys(
        (
            "contact_ids", "last_activity_at", "my_company_id", "number", "origin_id", "originator_id", "source_id",
            "tax_value", "webform_id",
        ),
        UNCOUNTED,
    ),
}  # fmt: skip
_CLIENT: dict[str, str] = {
    **_ITEM,
    **_REACHABLE,
    **dict.fromkeys(("last_activity_at", "modified_by_id", "pipeline_id", "webform_id"), UNCOUNTED),
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
        **dict.fromkeys(("has_phone", "has_email", "has_imol"), UNCOUNTED),
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
        "phone_number": "phone_key is its key",
        "record_url": PERSONAL,
        "record_file_id": SAID,
        "record_seconds": UNCOUNTED,
        "transcript_pending": UNCOUNTED,
        "rest_app_id": UNCOUNTED,
        "redial_attempt": UNCOUNTED,
        "comment": "its tags alone are kept",
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
    billing.Quote: {**_PAPER, "moved_at": ITEM_ONLY, "moved_by_id": ITEM_ONLY, "valid_until": UNCOUNTED},
    billing.Invoice: {
        **_PAPER,
        "is_manual_opportunity": UNCOUNTED,
        "location_id": UNCOUNTED,
        "previous_stage_id": "rows of stage_moves",
        "xml_id": UNCOUNTED,
    },
    billing.Payment: dict.fromkeys(("number", "paid_by_id", "pay_system_id", "pay_system_name"), UNCOUNTED),
    billing.ProductRow: dict.fromkeys(
        (
            "discount_kind", "discount_rate", "discount_sum", "kind", "measure_name", "price_account", "price_brutto",
            "price_exclusive", "price_netto", "sort", "tax_included", "tax_rate", "xml_id",
        ),
        UNCOUNTED,
    ),
    clients.Contact: {
        **_CLIENT,
        **dict.fromkeys(("born_on", "honorific", "position", "second_name"), PERSONAL),
        "comments": "searched for a phone number, and forgotten",
        "company_ids": ITEM_ONLY,
        "exported": UNCOUNTED,
        "has_imol": "it is has_messenger",
        "title": "contacts have names instead",
    },
    clients.Company: {
        **_CLIENT,
        "contact_ids": ITEM_ONLY,
        **dict.fromkeys(("currency_id", "employees", "has_imol", "revenue", "source_id"), UNCOUNTED),
    },
    activities.Task: {
        **dict.fromkeys(
            (
                "accomplice_ids", "auditor_ids", "bindings", "closed_by_id", "estimate_seconds", "spent_seconds",
                "started_at", "status_changed_at",
            ),
            UNCOUNTED,
        ),
        "description": PERSONAL,
    },
    people.Schedule: dict.fromkeys(
        ("created_at", "deleted", "exclusions", "is_for_all_users", "kind", "report_period", "shifts"),
        "spec is the whole answer",
    ),
}  # fmt: skip

UNMIRRORED: dict[type[Entity], str] = {
    clients.ClientLink: "the primary client is a column of its object",
    billing.OldInvoice: "smart invoices took their place",
    activities.Communication: PERSONAL,
    activities.Comment: PERSONAL,
    **dict.fromkeys((people.Profile, people.Workday), "a question of the moment"),
    **dict.fromkeys((people.Shift, directories.CalendarSettings), "becomes a calendar, not rows"),
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

    assert set(table.columns) - set(table.observed) - COMPUTED <= fields(entity)
