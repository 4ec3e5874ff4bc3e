"""Directories, pipelines, currencies, user fields, product rows, payments. Reference §9.4, §11, §13, checklist 12."""

from __future__ import annotations

from typing import Any

import pytest

from b24metrics.sim.server import Sim

from .conftest import NOON, Asker
from .test_shapes import differences, sample


def codes(rows: list[dict[str, Any]]) -> list[str]:
    return [row["STATUS_ID"] for row in rows]


# ---------------------------------------------------------------- statuses


def test_a_directory_comes_whole_in_the_order_of_the_funnel(ask: Asker) -> None:
    """No paging, total present, sorted by SORT; other parameters of lists are ignored."""
    answer = ask("crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE"}, start=50, select=["ID"])

    assert (["NEW", "EXECUTING", "WON", "LOSE", "APOLOGY"], 5) == (codes(answer["result"]), answer["total"])
    assert {"next"}.isdisjoint(answer)
    assert "NAME" in answer["result"][0]


def test_no_filter_is_all_directories_at_once(sim: Sim, ask: Asker) -> None:
    """More than fifty rows come in one answer."""
    for number in range(60):
        sim.data.insert("status", {"ID": 500 + number, "ENTITY_ID": "INDUSTRY", "STATUS_ID": f"I{number}"})

    assert 80 == len(ask.result("crm.status.list"))


def test_semantics_stand_here_or_there(ask: Asker) -> None:
    """Leads: only in EXTRA. Deals: in both. Invoices: only in SEMANTICS, without EXTRA."""
    found = {}
    for directory in ("STATUS", "DEAL_STAGE_3", "SMART_INVOICE_STAGE_5"):
        for row in ask.result("crm.status.list", filter={"ENTITY_ID": directory}):
            found[row["STATUS_ID"]] = (row["SEMANTICS"], row.get("EXTRA", {}).get("SEMANTICS"))

    assert {
        "CONVERTED": (None, "success"),
        "JUNK": (None, "failure"),
        "C3:WON": ("S", "success"),
        "C3:UC_NYL06U": (None, "process"),
        "DT31_5:S": (None, None),
        "DT31_5:P": ("S", None),
        "DT31_5:D": ("F", None),
    }.items() <= found.items()


def test_status_rows_are_text(ask: Asker) -> None:
    row = ask.result("crm.status.list", filter={"STATUS_ID": "C3:WON"})[0]

    assert {"SORT": "30", "CATEGORY_ID": "3", "SYSTEM": "N", "ENTITY_ID": "DEAL_STAGE_3"}.items() <= row.items()


@pytest.mark.parametrize(
    ("given", "code"),
    [({"ENTITY_ID": ["STATUS", "SOURCE"]}, "Filter by ENTITY_ID must be a string"), ("STATUS", "Invalid parameters.")],
)
def test_directories_put_a_sentence_into_the_code(ask: Asker, given: object, code: str) -> None:
    assert (400, code) == ask.refused("crm.status.list", filter=given)[:2]


def test_entity_types_tell_start_and_ends(ask: Asker) -> None:
    """SEMANTIC_INFO of stages; [] for other directories; prefix and pipeline for deals."""
    types = {row["ID"]: row for row in ask.result("crm.status.entity.types")}

    assert {
        "START_FIELD": "C3:NEW", "FINAL_SUCCESS_FIELD": "C3:WON", "FINAL_UNSUCCESS_FIELD": "", "FINAL_SORT": 30,
    } == types["DEAL_STAGE_3"]["SEMANTIC_INFO"]  # fmt: skip
    assert ("C3", 2, 3) == tuple(types["DEAL_STAGE_3"][name] for name in ("PREFIX", "ENTITY_TYPE_ID", "CATEGORY_ID"))
    assert "JUNK" == types["STATUS"]["SEMANTIC_INFO"]["FINAL_UNSUCCESS_FIELD"]
    assert [] == types["SOURCE"]["SEMANTIC_INFO"]


# ---------------------------------------------------------------- pipelines


def test_pipelines_come_at_once(ask: Asker) -> None:
    """The default deal pipeline has id 0 and lacks originId; total is the count."""
    answer = ask("crm.category.list", entityTypeId=2)

    assert {
        "categories": [
            {"id": 0, "name": "General", "sort": 10, "entityTypeId": 2, "isDefault": "Y"},
            {
                "id": 3,
                "name": "Service",
                "sort": 20,
                "entityTypeId": 2,
                "isDefault": "N",
                "originId": "",
                "originatorId": "",
            },
        ]
    } == answer["result"]
    assert 2 == answer["total"]
    assert "Service" == ask.result("crm.category.get", entityTypeId=2, id=3)["category"]["name"]
    assert ["3"] == [row["ID"] for row in ask.result("crm.dealcategory.list")]


@pytest.mark.parametrize(
    ("kind", "code"),
    [(1, "ENTITY_TYPE_NOT_SUPPORTED"), (7, "ENTITY_TYPE_NOT_SUPPORTED"), (999, "NOT_FOUND"), ("", "100")],
)
def test_not_everything_has_pipelines(ask: Asker, kind: object, code: str) -> None:
    assert (400, code) == ask.refused("crm.category.list", entityTypeId=kind)[:2]


# ---------------------------------------------------------------- currencies and modes


def test_currencies_have_a_total_of_nothing(ask: Asker) -> None:
    """All strings, four decimals in the rate, total always 0, the base as a bare string."""
    answer = ask("crm.currency.list")

    assert ([("RUB", "1.0000", "Y"), ("EUR", "91.5000", "N")], 0) == (
        [(row["CURRENCY"], row["AMOUNT"], row["BASE"]) for row in answer["result"]],
        answer["total"],
    )
    assert "RUB" == ask.result("crm.currency.base.get")


def test_the_mode_of_crm(sim: Sim, ask: Asker) -> None:
    """2 means a portal without leads; lead calls still answer."""
    assert 1 == ask.result("crm.settings.mode.get")
    sim.settings(CRM_MODE=2)

    assert 2 == ask.result("crm.settings.mode.get")
    assert [] == ask.result("crm.lead.list")


# ---------------------------------------------------------------- user fields


@pytest.fixture
def with_fields(sim: Sim) -> Sim:
    for number, entity, code, kind in (
        (1, "CRM_DEAL", "UF_CRM_LOSS", "enumeration"),
        (2, "CRM_DEAL", "UF_CRM_NOTE", "string"),
        (3, "CRM_LEAD", "UF_CRM_LEAD", "string"),
    ):
        sim.data.insert(
            "userfield",
            {"ID": number, "ENTITY_ID": entity, "FIELD_NAME": code, "USER_TYPE_ID": kind, "LABEL": "Why lost"},
        )
    sim.data.insert("userfield_enum", {"ID": 58, "USER_FIELD_ID": 1, "VALUE": "Price", "SORT": 20})
    sim.data.insert("userfield_enum", {"ID": 60, "USER_FIELD_ID": 1, "VALUE": "Term", "SORT": 10})
    return sim


def test_user_fields_list_their_options(with_fields: Sim, ask: Asker) -> None:
    """LIST in its order; labels only when a language is asked for; no paging, total present."""
    answer = ask("crm.deal.userfield.list", filter={"FIELD_NAME": "UF_CRM_LOSS"})
    field = answer["result"][0]

    assert (1, [("60", "Term"), ("58", "Price")]) == (answer["total"], [(o["ID"], o["VALUE"]) for o in field["LIST"]])
    assert "EDIT_FORM_LABEL" not in field
    assert "Why lost" == ask.result("crm.deal.userfield.list", filter={"LANG": "ru"})[0]["LIST_COLUMN_LABEL"]


def test_user_field_configuration_needs_both_scopes(with_fields: Sim, ask: Asker, asker: Any) -> None:
    """Camel case; options only from get; module and its scope are needed."""
    fields = ask.result("userfieldconfig.list", moduleId="crm", filter={"entityId": "CRM_DEAL"})["fields"]

    assert ["UF_CRM_LOSS", "UF_CRM_NOTE"] == [field["fieldName"] for field in fields]
    assert all("enum" not in field for field in fields)
    options = ask.result("userfieldconfig.get", moduleId="crm", id=1)["field"]["enum"]
    assert ["60", "58"] == [option["id"] for option in options]
    assert (400, "100") == ask.refused("userfieldconfig.list")[:2]
    half = asker(with_fields.add_webhook(1, "half", scopes=frozenset({"userfieldconfig"})))
    assert "insufficient_scope" == half("userfieldconfig.list", moduleId="crm")["error"]


def test_user_fields_stand_among_the_others(with_fields: Sim, ask: Asker) -> None:
    entry = ask.result("crm.deal.fields")["UF_CRM_LOSS"]

    assert ("enumeration", True, "Why lost") == (entry["type"], entry["isDynamic"], entry["formLabel"])
    assert [{"ID": "60", "VALUE": "Term"}, {"ID": "58", "VALUE": "Price"}] == entry["items"]


# ---------------------------------------------------------------- product rows and payments


@pytest.fixture
def with_rows(sim: Sim) -> Sim:
    sim.data.insert("deal", {"ID": 5})
    sim.data.insert(
        "product_row",
        {
            "ID": 1,
            "OWNER_ID": 5,
            "PRODUCT_ID": 450,
            "PRODUCT_NAME": "Pump",
            "PRICE": 899.1,
            "PRICE_BRUTTO": 999,
            "QUANTITY": 2,
        },
    )
    sim.data.insert("product_row", {"ID": 2, "OWNER_ID": 5, "PRICE": 100, "SORT": 20, "TAX_RATE": 20})
    sim.data.insert("product_row", {"ID": 3, "OWNER_ID": 6, "PRICE": 1})
    return sim


def test_old_product_rows_mix_their_types(with_rows: Sim, ask: Asker) -> None:
    """Ids and the price in base currency are text, prices and amounts numbers, no tax is null."""
    first, second = ask.result("crm.deal.productrows.get", id=5)

    assert {
        "ID": "1", "OWNER_ID": "5", "PRODUCT_ID": 450, "PRICE": 899.1, "PRICE_BRUTTO": 999, "PRICE_ACCOUNT": "899.10",
        "QUANTITY": 2, "TAX_RATE": None, "TAX_INCLUDED": "Y",
    }.items() <= first.items()  # fmt: skip
    assert (20, 100) == (second["TAX_RATE"], second["PRICE_NETTO"])


def test_new_product_rows_are_numbers(with_rows: Sim, ask: Asker) -> None:
    """result.productRows in camel case; the owner must be named."""
    answer = ask("crm.item.productrow.list", filter={"=ownerType": "D", "=ownerId": 5}, order={"id": "DESC"})

    assert ([2, 1], 2) == ([row["id"] for row in answer["result"]["productRows"]], answer["total"])
    assert [] == differences(
        sample("crm.item.productrow.get/1.json")["result"]["productRow"], answer["result"]["productRows"][1]
    )
    assert (400, "INVALID_ARG_VALUE") == ask.refused("crm.item.productrow.list", filter={"=ownerId": 5})[:2]


def test_payments_of_one_object(sim: Sim, ask: Asker) -> None:
    """A flat list without total; partial payments with their own moments."""
    for number, paid, at in ((1036, True, NOON), (1037, False, None)):
        sim.data.insert(
            "payment",
            {"ID": number, "OWNER_ID": 5, "PAID": paid, "DATE_PAID": at, "SUM": 10, "ACCOUNT_NUMBER": f"5/{number}"},
        )
    answer = ask("crm.item.payment.list", entityId=5, entityTypeId=2)

    assert [("Y", "2025-03-14T12:00:00+03:00", 10), ("N", None, 10)] == [
        (row["paid"], row["datePaid"], row["sum"]) for row in answer["result"]
    ]
    assert "total" not in answer
    assert [] == ask.result("crm.item.payment.list", entityId=5, entityTypeId=31)
    assert (400, "100") == ask.refused("crm.item.payment.list", entityId=5)[:2]


def test_the_catalogue_insists_on_its_parameters(sim: Sim, ask: Asker) -> None:
    """id and iblockId in select, iblockId in filter."""
    sim.data.insert("product", {"ID": 1, "NAME": "Pump"})
    answer = ask.result("catalog.product.list", select=["id", "iblockId", "name"], filter={"iblockId": 15})

    assert [{"id": 1, "iblockId": 15, "name": "Pump"}] == answer["products"]
    assert (400, "0") == ask.refused("catalog.product.list", select=["name"], filter={})[:2]
