"""What all entities promise: one record from either spelling, leftovers kept, refusals without values."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from b24metrics.crm import activities, billing, clients, directories, people, probe, sales
from b24metrics.crm import entity as entity_module
from b24metrics.crm.entity import Entity
from b24metrics.crm.items import CrmItem
from b24metrics.crm.naming import item_name
from b24metrics.crm.sales import Deal, Lead
from b24metrics.crm.wiretypes import Semantics, Spelling
from b24metrics.errors import UnreadableRow

ROOMS = (activities, billing, clients, directories, people, probe, sales)
ENTITIES = sorted(
    {
        thing
        for room in ROOMS
        for thing in vars(room).values()
        if inspect.isclass(thing) and issubclass(thing, Entity) and thing.__module__ == room.__name__
    },
    key=lambda entity: entity.__name__,
)

LEGACY_DEAL = {
    "ID": "121", "TITLE": "Boiler", "TYPE_ID": "SALE", "CATEGORY_ID": "0", "STAGE_ID": "WON", "STAGE_SEMANTIC_ID": "S",
    "OPPORTUNITY": "1500.50", "CURRENCY_ID": "EUR", "IS_MANUAL_OPPORTUNITY": "N", "TAX_VALUE": "0.00",
    "PROBABILITY": None, "LEAD_ID": "40", "QUOTE_ID": None, "COMPANY_ID": "0", "CONTACT_ID": "9",
    "BEGINDATE": "2026-01-20T03:00:00+03:00", "CLOSEDATE": "2026-02-10T03:00:00+03:00", "ASSIGNED_BY_ID": "7",
    "CREATED_BY_ID": "7", "MODIFY_BY_ID": "8", "MOVED_BY_ID": "7", "DATE_CREATE": "2026-01-20T10:02:11+03:00",
    "DATE_MODIFY": "2026-02-10T16:40:00+03:00", "MOVED_TIME": "2026-02-10T16:40:00+03:00",
    "LAST_ACTIVITY_TIME": "2026-02-10T16:41:02+03:00", "LAST_ACTIVITY_BY": "7", "OPENED": "Y", "CLOSED": "Y",
    "IS_NEW": "N", "IS_RECURRING": "N", "IS_RETURN_CUSTOMER": "N", "IS_REPEATED_APPROACH": "N", "SOURCE_ID": "CALL",
    "SOURCE_DESCRIPTION": None, "COMMENTS": "", "ADDITIONAL_INFO": None, "LOCATION_ID": None, "ORIGINATOR_ID": None,
    "ORIGIN_ID": "", "WEBFORM_ID": "0", "UTM_SOURCE": None, "UTM_MEDIUM": "", "UTM_CAMPAIGN": None,
    "UTM_CONTENT": None, "UTM_TERM": None, "UF_CRM_COLOR": "red", "UF_CRM_566EB0AC9B7FC": "x", "UF_CRM_1721244482": "y",
}  # fmt: skip
ITEM_DEAL = {
    "id": 121, "title": "Boiler", "typeId": "SALE", "categoryId": 0, "stageId": "WON", "stageSemanticId": "S",
    "opportunity": 1500.5, "currencyId": "EUR", "isManualOpportunity": "N", "taxValue": 0, "probability": None,
    "leadId": 40, "quoteId": None, "companyId": 0, "contactId": 9, "begindate": "2026-01-20T03:00:00+03:00",
    "closedate": "2026-02-10T03:00:00+03:00", "assignedById": 7, "createdBy": 7, "updatedBy": 8, "movedBy": 7,
    "createdTime": "2026-01-20T10:02:11+03:00", "updatedTime": "2026-02-10T16:40:00+03:00",
    "movedTime": "2026-02-10T16:40:00+03:00", "lastActivityTime": "2026-02-10T16:41:02+03:00", "lastActivityBy": 7,
    "opened": "Y", "closed": "Y", "isNew": "N", "isRecurring": "N", "isReturnCustomer": "N", "isRepeatedApproach": "N",
    "sourceId": "CALL", "sourceDescription": "", "comments": None, "additionalInfo": None, "locationId": None,
    "originatorId": None, "originId": None, "webformId": 0, "utmSource": None, "utmMedium": None, "utmCampaign": None,
    "utmContent": None, "utmTerm": None, "ufCrmColor": "red", "ufCrm_566EB0AC9B7FC": "x", "ufCrm_1721244482": "y",
    "entityTypeId": 2,
}  # fmt: skip


def test_both_spellings_of_a_deal_are_the_same_deal() -> None:
    """Whichever family of methods is asked, the mirror gets the same record."""
    legacy, item = Deal.read(LEGACY_DEAL), Deal.read(ITEM_DEAL)

    assert legacy == item
    assert {} == legacy.extra
    assert {"UF_CRM_COLOR": "red", "UF_CRM_566EB0AC9B7FC": "x", "UF_CRM_1721244482": "y"} == item.user_fields


def test_what_only_one_spelling_knows_stays_apart() -> None:
    """crm.item.* adds contacts and observers; nothing else differs."""
    item = Deal.read({**ITEM_DEAL, "contactIds": [9, 10], "observers": []})

    assert ((9, 10), ()) == (item.contact_ids, item.observer_ids)
    assert Deal.read(LEGACY_DEAL) == item.model_copy(update={"contact_ids": None, "observer_ids": None})


def test_original_names_of_user_fields_may_come_in_items() -> None:
    """useOriginalUfNames=Y leaves user fields in capitals among camelCase fields."""
    row = {"id": 1, "UF_CRM_566EB0AC9B7FC": "x", "ufCrm3_1747309727": [1]}

    assert {"UF_CRM_566EB0AC9B7FC": "x", "UF_CRM_3_1747309727": [1]} == Deal.read(row).user_fields


def test_values_of_a_deal() -> None:
    """Spot check by hand: money exact, days from midnight UTC, instants in UTC, no company where it says 0."""
    deal = Deal.read(LEGACY_DEAL)

    assert (121, "Boiler", 0, "WON", Semantics.SUCCESS) == (
        deal.id, deal.title, deal.pipeline_id, deal.stage_id, deal.semantics,
    )  # fmt: skip
    assert (Decimal("1500.50"), "EUR", None, 9) == (
        deal.opportunity,
        deal.currency_id,
        deal.company_id,
        deal.contact_id,
    )
    assert (date(2026, 1, 20), date(2026, 2, 10)) == (deal.begins_on, deal.closes_on)
    assert datetime(2026, 1, 20, 7, 2, 11, tzinfo=UTC) == deal.created_at
    assert (True, False, None) == (deal.closed, deal.is_recurring, deal.webform_id)


def test_unknown_fields_are_kept_as_they_came() -> None:
    """A portal newer than this library loses nothing."""
    deal = Deal.read({"ID": "1", "LAST_COMMUNICATION_TIME": None, "parentId1220": 2, "_x": {"a": 1}})

    assert {"LAST_COMMUNICATION_TIME": None, "parentId1220": 2, "_x": {"a": 1}} == deal.extra


def test_not_asked_and_empty_are_told_apart_by_fields_set() -> None:
    deal = Deal.read({"ID": "1", "TITLE": ""})

    assert (None, None) == (deal.title, deal.comments)
    assert {"id", "title"} == deal.model_fields_set - {"user_fields", "extra"}


def test_an_entity_is_frozen_copied_and_kept() -> None:
    """Entities travel between threads and processes and cannot be changed on the way."""
    deal = Deal.read(LEGACY_DEAL)

    with pytest.raises(ValidationError, match="frozen"):
        deal.title = "Other"  # type: ignore[misc]
    assert deal == copy.deepcopy(deal) == pickle.loads(pickle.dumps(deal))
    assert "1500.50" == json.loads(deal.model_dump_json())["opportunity"]


def test_an_entity_can_be_made_by_hand() -> None:
    """Readers take their own output, so tests and users need no wire spelling."""
    at = datetime(2026, 1, 20, 7, 2, 11, tzinfo=UTC)
    deal = Deal(id=121, created_at=at, opportunity=Decimal("1.5"), closes_on=date(2026, 2, 10), closed=True)  # type: ignore[arg-type]

    assert (at, Decimal("1.5"), date(2026, 2, 10), True) == (
        deal.created_at, deal.opportunity, deal.closes_on, deal.closed,
    )  # fmt: skip


# ---------------------------------------------------------------- refusals

SECRET = "Ivanov 4711"


def test_a_record_that_cannot_be_read_names_method_id_and_fields() -> None:
    """Enough to find the record and to report it; never a value, for it may be personal."""
    row = {"ID": "37", "OPPORTUNITY": SECRET, "DATE_MODIFY": SECRET, "TITLE": "fine"}

    with pytest.raises(UnreadableRow) as caught:
        Deal.read(row, "crm.deal.list")

    assert ("crm.deal.list", "37", ("OPPORTUNITY", "DATE_MODIFY")) == (
        caught.value.method, caught.value.record_id, tuple(sorted(caught.value.fields, reverse=True)),
    )  # fmt: skip
    assert "Deal 37 of crm.deal.list cannot be read" in str(caught.value)
    assert "OPPORTUNITY (not an amount)" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_the_name_in_a_refusal_is_the_one_that_came() -> None:
    with pytest.raises(UnreadableRow) as caught:
        Deal.read({"id": 5, "createdTime": SECRET})

    assert (5, ("createdTime",)) == (caught.value.record_id, caught.value.fields)


@pytest.mark.parametrize("row", [{"TITLE": "x"}, {"ID": None}, {"ID": ""}, {"ID": "0"}, {"ID": "seven"}, {"id": [1]}])
def test_a_record_without_an_id_is_refused(row: Mapping[str, Any]) -> None:
    with pytest.raises(UnreadableRow) as caught:
        Deal.read(row, "crm.deal.list")

    assert "ID" == caught.value.fields[0].upper()
    assert "seven" not in str(caught.value)
    assert ("without a readable id" in str(caught.value)) is (caught.value.record_id is None)


@pytest.mark.parametrize("row", [None, False, [], [1], "text", 5])
@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.__name__)
def test_what_is_no_map_is_no_record(entity: type[Entity], row: object) -> None:
    with pytest.raises(UnreadableRow, match="no map"):
        entity.read(row, "any.method")


# ---------------------------------------------------------------- tables of names


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.__name__)
def test_no_two_fields_claim_one_name(entity: type[Entity]) -> None:
    """A key of a row belongs to one field."""
    claimed = [
        (spelled, field)
        for field, (legacy, item, others) in entity._wires.items()
        for spelled in {legacy, item, *others, *map(item_name, others)}
        if spelled
    ]

    assert {} == {name: field for name, field in claimed if entity._names[name] != field}


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.__name__)
def test_what_listings_ask_for_exists(entity: type[Entity]) -> None:
    assert set(entity.asked) <= set(entity._wires)
    assert len(entity.asked) == len(set(entity.asked))
    if entity.asked:
        assert entity.spelled(entity.asked)[0] in {"ID", "id"}


def test_fields_are_asked_for_by_their_own_names() -> None:
    """select speaks the entity's words; each family of methods hears its own."""
    fields = ("title", "pipeline_id", "created_at", "modified_by_id", "UF_CRM_COLOR", "UF_CRM_3_17", "UF_*", "*")

    assert ("ID", "TITLE", "CATEGORY_ID", "DATE_CREATE", "MODIFY_BY_ID", *fields[4:]) == Deal.spelled(fields)
    assert ("id", "title", "categoryId", "createdTime", "updatedBy", "ufCrmColor", "ufCrm3_17", "UF_*", "*") == (
        Deal.spelled(fields, Spelling.ITEM)
    )


@pytest.mark.parametrize(
    ("field", "words"),
    [("colour", "no field 'colour'"), ("contact_ids", r"spelling=Spelling\.ITEM"), ("CATEGORY_ID", "no field")],
)
def test_a_field_that_is_not_there_is_refused_before_asking(field: str, words: str) -> None:
    """The portal ignores unknown names in silence; we say what to write instead."""
    with pytest.raises(ValueError, match=words):
        Deal.spelled([field])


def test_a_made_field_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="made of other fields"):
        activities.PhoneCall.spelled(["has_record"])


# ---------------------------------------------------------------- tolerance


def rows() -> Iterator[tuple[type[Entity], dict[str, Any]]]:
    """One full row of each spelling for the entities with the most fields."""
    yield Deal, dict(LEGACY_DEAL)
    yield Deal, dict(ITEM_DEAL)
    yield (
        Lead,
        {"ID": "40", "STATUS_ID": "NEW", "STATUS_SEMANTIC_ID": "P", "DATE_CLOSED": "", "PHONE": [{"VALUE": "+7"}]},
    )
    yield activities.PhoneCall, {"ID": "5", "CALL_DURATION": "73", "CALL_VOTE": None, "CRM_ENTITY_TYPE": "LEAD"}
    yield people.User, {"ID": "7", "ACTIVE": True, "UF_DEPARTMENT": [1, 5], "TIME_ZONE": "", "TIMESTAMP_X": {}}


@pytest.mark.parametrize(("entity", "row"), list(rows()), ids=lambda part: getattr(part, "__name__", "row"))
def test_the_dress_of_a_value_does_not_matter(entity: type[Entity], row: dict[str, Any]) -> None:
    """Numbers as text or as numbers, null or "", lists or maps of indexes: the same record."""

    def numbers_as_text(value: object) -> object:
        return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value

    def text_as_numbers(value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    def nothings(value: object) -> object:
        return "" if value is None else value

    def lists_as_maps(value: object) -> object:
        return {str(index): item for index, item in enumerate(value)} if isinstance(value, list) and value else value

    expected = entity.read(row)

    for dress in (numbers_as_text, text_as_numbers, nothings, lists_as_maps):
        assert expected == entity.read({key: dress(value) for key, value in row.items()}), dress.__name__


@pytest.mark.parametrize(("entity", "row"), list(rows()), ids=lambda part: getattr(part, "__name__", "row"))
def test_any_field_but_the_id_may_be_missing(entity: type[Entity], row: dict[str, Any]) -> None:
    """A portal sends what it has, and what the webhook may see."""
    for key in row:
        if key not in {"ID", "id"}:
            entity.read({name: value for name, value in row.items() if name != key})


def test_item_names_of_crm_objects_are_the_vendors() -> None:
    """Spot check of the irregular pairs."""
    pairs = {
        name: CrmItem._wires[name][:2] for name in ("created_at", "modified_at", "modified_by_id", "created_by_id")
    }

    assert {
        "created_at": ("DATE_CREATE", "createdTime"),
        "modified_at": ("DATE_MODIFY", "updatedTime"),
        "modified_by_id": ("MODIFY_BY_ID", "updatedBy"),
        "created_by_id": ("CREATED_BY_ID", "createdBy"),
    } == pairs


ODDS_AND_ENDS = st.sampled_from(
    [
        None, "", False, True, [], {}, 0, 7, -1, 2.5, "0", "12", "3.0", "Y", "N", "S", "success", "W", "D_12", "RUB", "300|EUR",
        "2026-01-20T03:00:00+03:00", "2026-01-20", "0000-00-00", "9999-12-31T00:00:00+03:00", 1772442000, [1, "2", None],
        [{"VALUE": "+7", "VALUE_TYPE": "WORK"}], {"0": "4"}, {"OWNER_TYPE_ID": "2", "OWNER_ID": "5"}, "слово",
    ]
)  # fmt: skip


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.__name__)
@given(data=st.data())
@settings(max_examples=30)
def test_the_quick_way_and_the_validator_agree(entity: type[Entity], data: st.DataObject) -> None:
    """Rows are read without the validator; whatever comes, the entity is the one that the validator would have made."""
    names = [name for wire in entity._wires.values() for name in (wire.legacy, wire.item) if name]
    row = data.draw(st.dictionaries(st.sampled_from([*names, "UF_CRM_1", "ufCrm2", "NEWS"]), ODDS_AND_ENDS))
    shape = entity_module._shape(entity, tuple(row), ())

    def by_the_book() -> Entity | None:
        values = shape.values(row, {})
        try:
            entity.prepare(values, row, "")
            return entity.__pydantic_validator__.validate_python({**values, **shape.leftovers(row)})
        except (ValueError, UnreadableRow):
            return None

    try:
        found = entity.read(row)
    except UnreadableRow:
        found = None
    expected = by_the_book()

    assert expected == found
    assert (expected and expected.model_fields_set) == (found and found.model_fields_set)
    assert (expected and expected.model_dump()) == (found and found.model_dump())


def test_nothing_stays_nothing() -> None:
    """Entities without user fields share one empty map, which nobody can fill, also after a copy or a pickle."""
    first, second = Deal.read({"ID": "1"}), Deal.read({"ID": "2"})
    empty = cast("dict[str, object]", first.extra)
    with pytest.raises(TypeError, match="cannot be changed"):
        empty["KEY"] = 1
    with pytest.raises(TypeError, match="cannot be changed"):
        empty.update(KEY=1)
    again = pickle.loads(pickle.dumps(copy.deepcopy(first)))

    assert {} == second.extra
    assert first == again
