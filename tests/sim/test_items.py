"""``crm.item.*`` and stage history. Reference §5, §9.2, §10, §12."""

from __future__ import annotations

from typing import Any

import pytest

from b24metrics.sim.accounts import Sight
from b24metrics.sim.server import Sim

from .conftest import CONTACT, DEAL, INVOICE, LEAD, NOON, Asker, deals


def ids(result: dict[str, Any]) -> list[int]:
    return [row["id"] for row in result["items"]]


# ---------------------------------------------------------------- lists


def test_items_are_nested_and_typed(sim: Sim, ask: Asker) -> None:
    """Numbers without trailing zeros, null for empty dates, 0 or null for empty references."""
    sim.data.insert("deal", {"ID": 1, "OPPORTUNITY": "1500", "TAX_VALUE": "0.5", "DATE_CREATE": NOON})
    item = ask.result("crm.item.list", entityTypeId=2)["items"][0]

    assert {
        "id": 1,
        "opportunity": 1500,
        "taxValue": 0.5,
        "createdTime": "2025-03-14T12:00:00+03:00",
        "closedate": None,
        "companyId": 0,
        "contactId": 0,
        "leadId": None,
        "quoteId": None,
        "closed": "N",
        "webformId": 0,
        "observers": [],
        "contactIds": [],
        "entityTypeId": 2,
        "isWork": None,
        "dateCreateShort": None,
    }.items() <= item.items()
    assert isinstance(item["opportunity"], int)


def test_items_take_the_exact_offset(sim: Sim, ask: Asker) -> None:
    """start=60 gives the 61st row; next is exactly fifty further."""
    deals(sim, 120)
    answer = ask("crm.item.list", entityTypeId=2, start=60, select=["id"])

    assert (list(range(61, 111)), 110, 120) == (ids(answer["result"]), answer["next"], answer["total"])


def test_negative_start_of_items_does_not_count(sim: Sim, ask: Asker) -> None:
    deals(sim, 60)
    answer = ask("crm.item.list", entityTypeId=2, start=-1, filter={">id": 5}, order={"id": "ASC"}, select=["id"])

    assert (list(range(6, 56)), 0, False) == (ids(answer["result"]), answer["total"], "next" in answer)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"id": [1, 4]}, [1, 4]),
        ({"@id": [1, 4]}, [1, 4]),
        ({"!@id": [1, 4]}, [2, 3, 5]),
        ({">opportunity": 300}, [4, 5]),
        ({"!%title": "1"}, [2, 3, 4, 5]),
        ({"%title": "deal 1"}, [1]),
        ({"0": {"logic": "OR", "0": {"id": 1}, "1": {">opportunity": 400}}}, [1, 5]),
        ({"0": {"logic": "OR", "0": {"id": 1}, "1": {"id": 2}}, ">opportunity": 100}, [2]),
        (
            {"0": {"logic": "OR", "0": {"id": 5}, "1": {"0": {"logic": "AND", "0": {">id": 1}, "1": {"<id": 3}}}}},
            [2, 5],
        ),
        ([{"logic": "OR", "0": {"id": 1}, "1": {"id": 3}}], [1, 3]),
        ({"0": {"logic": "OR", "0": {"id": 1, "stageId": "WON"}, "1": {"id": 2, "stageId": "NEW"}}}, [2]),
    ],
)
def test_item_filters(sim: Sim, ask: Asker, given: object, expected: list[int]) -> None:
    """The full set of operators, and OR at any depth under a top level of AND."""
    deals(sim, 5)

    assert expected == ids(ask.result("crm.item.list", entityTypeId=2, filter=given))


def test_or_survives_form_encoding(sim: Sim, ask: Asker) -> None:
    deals(sim, 5)
    query = "entityTypeId=2&filter[0][logic]=OR&filter[0][0][id]=1&filter[0][1][%3E%3Did]=4&filter[categoryId]=0"

    assert [1, 4, 5] == ids(ask.get("crm.item.list?" + query)["result"])


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"filter": {"FOO": 1}}, "Invalid filter: field 'FOO' is not allowed in filter"),
        ({"filter": {">=PRODUCT_ID": 1}}, "Invalid filter: field 'PRODUCT_ID' is not allowed in filter"),
        ({"filter": {"0": {"logic": "OR", "0": {"bar": 1}}}}, "Invalid filter: field 'bar' is not allowed in filter"),
        ({"filter": {"isWon": 1}}, "Invalid filter: field 'isWon' is not allowed in filter"),
        ({"order": {"baz": "ASC"}}, "Invalid order: field 'baz' is not allowed in order"),
        ({"order": {"id": "UP"}}, "Invalid order: allowed sort directions are ASC, DESC. But got 'UP' for field 'id'"),
    ],
)
def test_items_refuse_what_they_do_not_know(ask: Asker, params: dict[str, object], text: str) -> None:
    """400 INVALID_ARG_VALUE in the vendor's words; legacy would have been silent."""
    assert (400, "INVALID_ARG_VALUE", text) == ask.refused("crm.item.list", entityTypeId=2, **params)


@pytest.mark.parametrize(
    ("params", "refusal"),
    [
        ({}, (400, "100", "Could not find value for parameter {entityTypeId}")),
        ({"entitytypeid": 2}, (400, "100", "Could not find value for parameter {entityTypeId}")),
        ({"entityTypeId": 999}, (400, "NOT_FOUND", "Smart process not found")),
        ({"entityTypeId": 5}, (400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type 5 is not supported")),
    ],
)
def test_items_need_a_type(ask: Asker, params: dict[str, object], refusal: tuple[int, str, str]) -> None:
    """Controller arguments are exact; old invoices, requisites and orders are not spoken to."""
    assert refusal == ask.refused("crm.item.list", **params)


def test_select_of_items(sim: Sim, ask: Asker) -> None:
    """The named fields and the id; unknown names are ignored; the type id only comes with everything."""
    deals(sim, 1)

    assert [{"id": 1, "title": "Deal 1"}] == ask.result("crm.item.list", entityTypeId=2, select=["title", "x"])["items"]


def test_multifields_of_items(sim: Sim, ask: Asker) -> None:
    """`fm` comes with everything and cannot be named; flat aliases can."""
    phone = {"VALUE": "+7900", "VALUE_TYPE": "WORK"}
    sim.records.create(CONTACT, {"NAME": "Ann", "PHONE": [phone]}, sim.hand())

    everything = ask.result("crm.item.list", entityTypeId=3)["items"][0]
    named = ask.result("crm.item.list", entityTypeId=3, select=["id", "fm", "phone", "emailWork"])["items"]

    assert [{"id": 1, "valueType": "WORK", "value": "+7900", "typeId": "PHONE"}] == everything["fm"]
    assert [{"id": 1, "phone": "+7900", "emailWork": ""}] == named


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("UF_CRM_3_1747309727", "ufCrm3_1747309727"),
        ("UF_CRM_1747309879", "ufCrm_1747309879"),
        ("UF_CRM_566EB0AC9B7FC", "ufCrm_566EB0AC9B7FC"),
        ("UF_CRM_LOSS_REASON", "ufCrmLossReason"),
    ],
)
def test_user_fields_are_renamed(sim: Sim, ask: Asker, code: str, name: str) -> None:
    """In answers, filters and descriptions; useOriginalUfNames keeps the original."""
    sim.data.insert("userfield", {"ID": 1, "FIELD_NAME": code})
    sim.data.insert("deal", {"ID": 1, "UF": f'{{"{code}": "x"}}'})

    assert "x" == ask.result("crm.item.list", entityTypeId=2, filter={name: "x"})["items"][0][name]
    assert code == ask.result("crm.item.fields", entityTypeId=2)["fields"][name]["upperName"]
    original = ask.result("crm.item.list", entityTypeId=2, filter={code: "x"}, useOriginalUfNames="Y")["items"][0]
    assert "x" == original[code]
    assert name not in original


def test_legacy_names_do_for_items_too(sim: Sim, ask: Asker) -> None:
    """Both well-known clients order items by ``ID`` and filter ``>ID``; the answer is in camel case all the same."""
    deals(sim, 3)
    params = {"filter": {">ID": 1}, "order": {"ID": "DESC"}, "select": ["ID", "TITLE"]}

    assert [{"id": 3, "title": "Deal 3"}, {"id": 2, "title": "Deal 2"}] == ask.result(
        "crm.item.list", entityTypeId=2, **params
    )["items"]


def test_fields_map_item_names_to_legacy_names(ask: Asker) -> None:
    fields = ask.result("crm.item.fields", entityTypeId=1)["fields"]

    assert ("STATUS_ID", "crm_status", "STATUS") == tuple(
        fields["stageId"][key] for key in ("upperName", "type", "statusType")
    )
    assert ("DATE_MODIFY", "datetime", True) == tuple(
        fields["updatedTime"][key] for key in ("upperName", "type", "isReadOnly")
    )


def test_smart_processes_have_tables_of_their_own(sim: Sim, ask: Asker) -> None:
    """Type 128 and above: listed by crm.type.list, spoken to by crm.item.*, with a history."""
    sim.smart_process(177, "Equipment")
    item = ask.result("crm.item.add", entityTypeId=177, fields={"title": "Drill", "stageId": "DT177_0:NEW"})["item"]

    assert (1, "Drill", 177) == (item["id"], item["title"], item["entityTypeId"])
    assert [177] == [kind["entityTypeId"] for kind in ask.result("crm.type.list")["types"]]
    assert 1 == len(ask.result("crm.stagehistory.list", entityTypeId=177)["items"])


def test_hidden_items_vanish_from_lists_and_are_denied_by_get(sim: Sim, ask: Asker, asker: Any) -> None:
    """Permissions filter rows silently; only get says ACCESS_DENIED."""
    deals(sim, 4)
    sim.data.execute("UPDATE deal SET ASSIGNED_BY_ID = 9 WHERE ID = 2")
    narrow = asker(sim.add_webhook(9, "narrow", sight=Sight(users=frozenset({9}))))

    assert ([2], 1) == (
        ids(narrow.result("crm.item.list", entityTypeId=2)),
        narrow("crm.item.list", entityTypeId=2)["total"],
    )
    assert (400, "ACCESS_DENIED", "Access denied") == narrow.refused("crm.item.get", entityTypeId=2, id=1)
    assert (400, "", "Access denied.") == narrow.refused("crm.deal.get", id=1)
    assert 1 == ask.result("crm.item.get", entityTypeId=2, id=1)["item"]["id"]


def test_whole_types_may_be_denied(sim: Sim, asker: Any) -> None:
    """Each family words it in its own way."""
    shut = asker(
        sim.add_webhook(9, "shut", sight=Sight(denied=frozenset({"deal", "activity", "phone_call", "status"})))
    )

    assert (400, "", "Access denied.") == shut.refused("crm.deal.list")
    assert (400, "ACCESS_DENIED", "Access denied") == shut.refused("crm.item.list", entityTypeId=2)
    assert (400, "ACCESS_DENIED", "Access denied") == shut.refused("crm.stagehistory.list", entityTypeId=2)
    assert (400, "", "Access denied.") == shut.refused("crm.activity.list")
    assert (403, "ACCESS_DENIED", "Access denied!") == shut.refused("voximplant.statistic.get")
    assert "Access denied." == shut("crm.status.list")["error"]


# ---------------------------------------------------------------- stage history


def test_history_nests_but_keeps_capitals(sim: Sim, ask: Asker) -> None:
    """result.items with UPPER names and numbers; STATUS_ for leads, STAGE_ for deals and invoices."""
    sim.records.create(DEAL, {}, sim.hand())
    sim.records.create(LEAD, {}, sim.hand())
    sim.records.create(INVOICE, {}, sim.hand())
    row = {"ID": 1, "TYPE_ID": 1, "OWNER_ID": 1, "CREATED_TIME": "2025-03-14T12:00:00+03:00", "CATEGORY_ID": 0}

    deal = ask("crm.stagehistory.list", entityTypeId=2)
    assert ([{**row, "STAGE_SEMANTIC_ID": "P", "STAGE_ID": "NEW"}], 1) == (deal["result"]["items"], deal["total"])
    assert [{**row, "STATUS_SEMANTIC_ID": "P", "STATUS_ID": "NEW"}] == ask.result(
        "crm.stagehistory.list", entityTypeId=1
    )["items"]
    assert [{**row, "CATEGORY_ID": 5, "STAGE_SEMANTIC_ID": "P", "STAGE_ID": "DT31_5:N"}] == ask.result(
        "crm.stagehistory.list", entityTypeId=31
    )["items"]


def test_history_is_numbered_and_walked_per_type(sim: Sim, ask: Asker) -> None:
    """>ID is a complete feed of the moves of one type."""
    for number in range(1, 121):
        sim.data.insert("stage_history", {"ENTITY_TYPE_ID": 2, "ID": number, "OWNER_ID": number, "STAGE_ID": "NEW"})
    sim.data.insert("stage_history", {"ENTITY_TYPE_ID": 1, "ID": 1, "OWNER_ID": 5, "STAGE_ID": "NEW"})
    rows = ask.result("crm.stagehistory.list", entityTypeId=2, filter={">ID": 60}, order={"ID": "ASC"}, start=-1)[
        "items"
    ]

    assert list(range(61, 111)) == [row["ID"] for row in rows]
    assert [5] == [row["OWNER_ID"] for row in ask.result("crm.stagehistory.list", entityTypeId=1)["items"]]


@pytest.mark.parametrize(
    ("params", "refusal"),
    [
        ({"entityTypeId": 2, "filter": {"STATUS_ID": "NEW"}}, ("INVALID_ARG_VALUE", "Invalid filter: field 'STATUS_ID' is not allowed in filter")),
        ({"entityTypeId": 2, "order": {"ID": "UP"}}, ("INVALID_ARG_VALUE", "Invalid order: allowed sort directions are ASC, DESC. But got 'UP' for field 'ID'")),
        ({"entityTypeId": 7}, ("ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported")),
        ({"entityTypeId": 3}, ("ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported")),
        ({}, ("100", "Could not find value for parameter {entityTypeId}")),
    ],
)  # fmt: skip
def test_history_refuses_what_it_does_not_know(ask: Asker, params: dict[str, object], refusal: tuple[str, str]) -> None:
    assert (400, *refusal) == ask.refused("crm.stagehistory.list", **params)


def test_history_drops_unknown_order_and_selects_with_the_id(sim: Sim, ask: Asker) -> None:
    sim.records.create(DEAL, {}, sim.hand())

    assert [{"ID": 1, "OWNER_ID": 1}] == ask.result(
        "crm.stagehistory.list", entityTypeId=2, order={"NOPE": "ASC"}, select=["OWNER_ID"]
    )["items"]


def test_guests_do_not_see_history(sim: Sim, asker: Any) -> None:
    sim.data.insert("user", {"ID": 20, "NAME": "Guest", "USER_TYPE": "extranet"})

    assert (403, "allowed_only_intranet_user") == asker(sim.add_webhook(20, "guest")).refused(
        "crm.stagehistory.list", entityTypeId=2
    )[:2]
