"""Legacy lists: pages, filters, order, select. Reference §5, checklist 3, 4 and 5."""

from __future__ import annotations

from typing import Any

import pytest

from b24metrics.clock import HandClock
from b24metrics.sim.server import Sim

from .conftest import CONTACT, NOON, Asker, deals


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["ID"]) for row in rows]


# ---------------------------------------------------------------- pages


def test_pages_of_fifty_with_next_and_total(sim: Sim, ask: Asker) -> None:
    """`next` is the start of the next page and is absent on the last."""
    deals(sim, 120)
    first, last = ask("crm.deal.list"), ask("crm.deal.list", start=100)

    assert (50, 50, 120) == (len(first["result"]), first["next"], first["total"])
    assert (20, None, 120) == (len(last["result"]), last.get("next"), last["total"])
    assert list(range(101, 121)) == ids(last["result"])


def test_the_very_last_full_page_has_no_next(sim: Sim, ask: Asker) -> None:
    deals(sim, 100)
    answer = ask("crm.deal.list", start=50)

    assert (50, None) == (len(answer["result"]), answer.get("next"))


def test_legacy_lists_round_the_start_down(sim: Sim, ask: Asker) -> None:
    """The offset becomes a page number: 60 gives rows 51 to 100."""
    deals(sim, 120)

    assert list(range(51, 101)) == ids(ask.result("crm.deal.list", start=60))


def test_a_start_beyond_the_end_is_an_empty_page(sim: Sim, ask: Asker) -> None:
    deals(sim, 3)
    answer = ask("crm.deal.list", start=50)

    assert ([], 3, None) == (answer["result"], answer["total"], answer.get("next"))


@pytest.mark.parametrize("start", [-1, -50, "-1"])
def test_a_negative_start_does_not_count(sim: Sim, ask: Asker, start: object) -> None:
    """total 0, no next, the first fifty rows."""
    deals(sim, 120)
    answer = ask("crm.deal.list", start=start, order={"ID": "ASC"})

    assert (0, False) == (answer["total"], "next" in answer)
    assert list(range(1, 51)) == ids(answer["result"])


def test_a_walk_by_ids_meets_every_record_once(sim: Sim, ask: Asker) -> None:
    """>ID with start=-1, also over large gaps between ids and with a second condition."""
    deals(sim, 70)
    deals(sim, 40, first=5_000)
    deals(sim, 30, first=9_000_000)
    sim.data.execute("UPDATE deal SET ASSIGNED_BY_ID = 9 WHERE ID % 2 = 0")
    seen: list[int] = []
    while rows := ask.result(
        "crm.deal.list",
        filter={">ID": seen[-1] if seen else 0, "ASSIGNED_BY_ID": 9},
        order={"ID": "ASC"},
        select=["ID"],
        start=-1,
    ):
        seen += ids(rows)

    assert [*range(2, 71, 2), *range(5_000, 5_040, 2), *range(9_000_000, 9_000_030, 2)] == seen


def test_rows_inserted_out_of_order_are_still_walked_in_order(sim: Sim, ask: Asker) -> None:
    deals(sim, 10, first=100)
    deals(sim, 10, first=1)

    assert [*range(1, 11), *range(100, 110)] == ids(ask.result("crm.deal.list", order={"ID": "ASC"}, start=-1))


# ---------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"ID": 3}, [3]),
        ({"=ID": "3"}, [3]),
        ({"ID": [1, 4]}, [1, 4]),
        ({"@ID": [1, 4]}, [1, 4]),
        ({"!ID": 3}, [1, 2, 4, 5]),
        ({"!=ID": 3}, [1, 2, 4, 5]),
        ({"!@ID": [1, 2, 3]}, [4, 5]),
        ({">ID": 3}, [4, 5]),
        ({">=ID": 3}, [3, 4, 5]),
        ({"<ID": 3}, [1, 2]),
        ({"<=ID": 3}, [1, 2, 3]),
        ({">ID": 1, "<ID": 4, "!ID": 2}, [3]),
        ({">OPPORTUNITY": 300}, [4, 5]),
        ({"%TITLE": "boil"}, [1, 2]),
        ({"=%TITLE": "Boiler%"}, [1]),
        ({"%=TITLE": "%boiler"}, [2]),
        ({"TITLE": "boiler 1"}, [1]),
        ({"STAGE_ID": "WON"}, [5]),
        ({"!STAGE_ID": "WON"}, [1, 2, 3, 4]),
        ({"CLOSED": "Y"}, [5]),
        ({"CLOSED": "N", "<ID": 3}, [1, 2]),
        ({"COMPANY_ID": 0}, [1, 2, 3, 4]),
        ({"!COMPANY_ID": 12}, [1, 2, 3, 4]),
        ({"SOURCE_ID": ""}, [1, 2, 3, 4]),
        ({"!SOURCE_ID": ""}, [5]),
        ({"NO_SUCH_FIELD": 7}, [1, 2, 3, 4, 5]),
        ({"id": 3}, [1, 2, 3, 4, 5]),
        ({"!%TITLE": "boil"}, [1, 2, 3, 4, 5]),
        ({"><ID": [2, 3]}, [1, 2, 3, 4, 5]),
        ({"%STAGE_ID": "WO"}, [1, 2, 3, 4, 5]),
    ],
)
def test_legacy_filters(sim: Sim, ask: Asker, given: dict[str, object], expected: list[int]) -> None:
    """All operators of deals; what deals do not know (negated LIKE, between, unknown names) is dropped silently."""
    deals(sim, 5)
    for number, title in ((1, "Boiler 1"), (2, "An old boiler"), (3, "Pump"), (4, "Valve"), (5, "Pipe")):
        sim.change_quietly("deal", number, TITLE=title)
    sim.change_quietly("deal", 5, STAGE_ID="WON", CLOSED=True, COMPANY_ID=12, SOURCE_ID="CALL")

    assert expected == ids(ask.result("crm.deal.list", filter=given))


def test_leads_know_negated_like(sim: Sim, ask: Asker) -> None:
    """`!%` works for leads, which deals do not understand."""
    for number, title in ((1, "Boiler"), (2, "Pump")):
        sim.data.insert("lead", {"ID": number, "TITLE": title})

    assert [2] == ids(ask.result("crm.lead.list", filter={"!%TITLE": "boil"}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-03-14T12:02:00+03:00", [2, 3]),
        ("2025-03-14T09:02:00Z", [2, 3]),
        ("2025-03-14T14:02:00+05:00", [2, 3]),
        ("2025-03-14 12:02:00", [2, 3]),
        ("14.03.2025 12:02:00", [2, 3]),
        ("2025-03-14", [1, 2, 3]),
        ("2025-03-15", []),
        ("15.03.2025", []),
        ("soon", []),
    ],
)
def test_date_values_in_filters(sim: Sim, ask: Asker, value: str, expected: list[int]) -> None:
    """With offset, naive in the caller's zone, in the portal's format; a date alone is its midnight."""
    deals(sim, 3)

    assert expected == ids(ask.result("crm.deal.list", filter={">=DATE_MODIFY": value}))


def test_a_last_day_without_time_excludes_that_day(sim: Sim, ask: Asker) -> None:
    """`<=2025-03-14` compares with midnight, so the 14th's daytime is out."""
    deals(sim, 3)

    assert [] == ask.result("crm.deal.list", filter={"<=DATE_MODIFY": "2025-03-14"})


def test_naive_dates_are_the_callers_local_time(sim: Sim, ask: Asker) -> None:
    """14:02 in the caller's Yekaterinburg is 12:02 on the Moscow server."""
    deals(sim, 3)
    sim.data.update("user", "ID = 1", [], {"TIME_ZONE": "Asia/Yekaterinburg"})

    assert [2, 3] == ids(ask.result("crm.deal.list", filter={">=DATE_MODIFY": "2025-03-14 14:02:00"}))


def test_days_are_compared_as_days(sim: Sim, ask: Asker) -> None:
    """A calendar day meets its own rendering, a plain date and no other day."""
    deals(sim, 2)
    sim.data.execute("UPDATE deal SET CLOSEDATE = DATE '2025-03-01' WHERE ID = 1")
    shown = ask.result("crm.deal.get", id=1)["CLOSEDATE"]

    assert "2025-03-01T03:00:00+03:00" == shown
    for value in ("2025-03-01", shown):
        assert [1] == ids(ask.result("crm.deal.list", filter={"CLOSEDATE": value})), value
        assert [] == ids(ask.result("crm.deal.list", filter={">CLOSEDATE": value})), value


def test_contacts_are_found_by_exact_phone(sim: Sim, ask: Asker) -> None:
    """PHONE and EMAIL match whole values only."""
    sim.records.create(CONTACT, {"NAME": "Ann", "PHONE": [{"VALUE": "+7900"}]}, sim.hand())
    sim.records.create(CONTACT, {"NAME": "Bob", "PHONE": [{"VALUE": "+79001"}]}, sim.hand())

    assert [1] == ids(ask.result("crm.contact.list", filter={"PHONE": "+7900"}))


def test_a_filter_that_is_no_array_is_refused(ask: Asker) -> None:
    """The old validation error: an empty code and a sentence, also for order."""
    assert (400, "", "Parameter 'filter' must be array.") == ask.refused("crm.deal.list", filter="ID=1")
    assert (400, "", "Parameter 'order' must be array.") == ask.refused("crm.deal.list", order="ID")


def test_parameter_names_may_be_upper_case(sim: Sim, ask: Asker) -> None:
    deals(sim, 3)

    assert [{"ID": "2"}] == ask.result("crm.deal.list", FILTER={"ID": 2}, SELECT=["ID"])


# ---------------------------------------------------------------- order


def test_order_by_several_columns_in_any_case(sim: Sim, ask: Asker) -> None:
    deals(sim, 4)
    sim.data.execute("UPDATE deal SET ASSIGNED_BY_ID = 9 WHERE ID IN (2, 3)")

    assert [3, 2, 4, 1] == ids(ask.result("crm.deal.list", order={"ASSIGNED_BY_ID": "desc", "ID": "Desc"}))


def test_unknown_order_fields_are_dropped(sim: Sim, ask: Asker) -> None:
    deals(sim, 3)

    assert [1, 2, 3] == ids(ask.result("crm.deal.list", order={"NOPE": "DESC"}))


def test_rows_of_one_second_come_in_no_useful_order(sim: Sim, ask: Asker) -> None:
    """An order by a date says nothing about rows of the same second; it is stable all the same."""
    deals(sim, 40)
    sim.data.execute("UPDATE deal SET DATE_MODIFY = ?", [NOON])
    first = ids(ask.result("crm.deal.list", order={"DATE_MODIFY": "ASC"}))
    again = ids(ask.result("crm.deal.list", order={"DATE_MODIFY": "ASC"}))

    assert first == again
    assert list(range(1, 41)) == sorted(first)
    assert sorted(first) != first


# ---------------------------------------------------------------- select


def test_nothing_selected_is_all_fields_and_user_fields(sim: Sim, ask: Asker) -> None:
    sim.data.insert("userfield", {"ID": 1, "FIELD_NAME": "UF_CRM_LOSS"})
    sim.data.insert("deal", {"ID": 1, "UF": '{"UF_CRM_LOSS": "price"}'})
    everything = ask.result("crm.deal.list")[0]
    plain = ask.result("crm.deal.list", select=["*"])[0]

    assert "price" == everything["UF_CRM_LOSS"]
    assert set(everything) - set(plain) == {"UF_CRM_LOSS"}
    assert {"ID", "UF_CRM_LOSS"} == set(ask.result("crm.deal.list", select=["UF_*"])[0])


def test_unknown_names_in_select_are_ignored_and_the_id_comes_along(sim: Sim, ask: Asker) -> None:
    deals(sim, 1)

    assert [{"ID": "1", "TITLE": "Deal 1"}] == ask.result("crm.deal.list", select=["TITLE", "NOPE", "CONTACT_IDS"])


def test_multifields_must_be_named_and_are_absent_when_empty(sim: Sim, ask: Asker) -> None:
    """`*` does not bring phones; a contact without phones has no such key at all."""
    sim.records.create(CONTACT, {"NAME": "Ann", "PHONE": [{"VALUE": "+7900", "VALUE_TYPE": "MOBILE"}]}, sim.hand())
    sim.records.create(CONTACT, {"NAME": "Bob"}, sim.hand())

    assert all("PHONE" not in row for row in ask.result("crm.contact.list", select=["*"]))
    assert [
        {"ID": "1", "PHONE": [{"ID": "1", "VALUE_TYPE": "MOBILE", "VALUE": "+7900", "TYPE_ID": "PHONE"}]},
        {"ID": "2"},
    ] == ask.result("crm.contact.list", select=["ID", "PHONE", "EMAIL"])
    assert "Y" == ask.result("crm.contact.get", id=1)["HAS_PHONE"]


# ---------------------------------------------------------------- values


def test_legacy_values_are_text(sim: Sim, ask: Asker) -> None:
    """Numbers and money are strings, flags letters, empty dates "", empty references null or "0"."""
    sim.data.insert("deal", {"ID": 1, "OPPORTUNITY": "19999.9", "DATE_CREATE": NOON, "DATE_MODIFY": NOON})
    row = ask.result("crm.deal.list")[0]

    assert {
        "ID": "1",
        "OPPORTUNITY": "19999.90",
        "TAX_VALUE": "0.00",
        "ASSIGNED_BY_ID": "1",
        "DATE_CREATE": "2025-03-14T12:00:00+03:00",
        "CLOSEDATE": "",
        "CLOSED": "N",
        "COMPANY_ID": "0",
        "CONTACT_ID": None,
        "LEAD_ID": None,
        "PROBABILITY": None,
        "COMMENTS": "",
        "SOURCE_ID": None,
    }.items() <= row.items()


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Europe/Moscow", "2025-03-01T03:00:00+03:00"),
        ("America/New_York", "2025-02-28T19:00:00-05:00"),
        ("UTC", "2025-03-01T00:00:00+00:00"),
    ],
)
def test_days_are_midnight_utc_in_the_server_zone(sim: Sim, ask: Asker, zone: str, shown: str) -> None:
    """West of Greenwich a calendar day looks like the evening before."""
    sim.settings(ZONE=zone)
    deals(sim, 1)
    sim.data.execute("UPDATE deal SET CLOSEDATE = DATE '2025-03-01'")

    assert shown == ask.result("crm.deal.get", id=1)["CLOSEDATE"]


@pytest.mark.parametrize(
    ("kind", "multiple", "stored", "legacy", "typed"),
    [
        ("string", False, '"x"', "x", "x"),
        ("string", False, None, "", None),
        ("string", True, '["a", "b"]', ["a", "b"], ["a", "b"]),
        ("string", True, None, False, []),
        ("integer", False, "7", "7", 7),
        ("double", False, "200.05", "200.05", 200.05),
        ("boolean", False, "true", "1", "Y"),
        ("boolean", False, None, "0", "N"),
        ("enumeration", False, "58", "58", 58),
        ("enumeration", True, "[58, 60]", ["58", "60"], [58, 60]),
        ("date", False, '"2025-03-01"', "2025-03-01T03:00:00+03:00", "2025-03-01T03:00:00+03:00"),
        ("datetime", False, str(NOON), "2025-03-14T12:00:00+03:00", "2025-03-14T12:00:00+03:00"),
        ("money", False, '"300|EUR"', "300|EUR", "300|EUR"),
        ("crm", False, '"CO_4"', "CO_4", "CO_4"),
    ],
)
def test_user_fields_in_both_dialects(
    sim: Sim, ask: Asker, kind: str, multiple: bool, stored: str | None, legacy: object, typed: object
) -> None:
    """Text in legacy lists, values in items; empty is "", false, null or []."""
    sim.data.insert("userfield", {"ID": 1, "FIELD_NAME": "UF_CRM_1", "USER_TYPE_ID": kind, "MULTIPLE": multiple})
    sim.data.insert("deal", {"ID": 1, "UF": '{"UF_CRM_1": ' + stored + "}" if stored else None})

    assert legacy == ask.result("crm.deal.get", id=1)["UF_CRM_1"]
    assert typed == ask.result("crm.item.get", entityTypeId=2, id=1)["item"]["ufCrm_1"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"UF_CRM_REASON": 58}, [1]),
        ({"UF_CRM_REASON": [58, 60]}, [1, 2]),
        ({"!UF_CRM_REASON": 58}, [2, 3]),
        ({"UF_CRM_HOT": 1}, [2]),
        ({"UF_CRM_TAGS": "b"}, [2]),
    ],
)
def test_user_fields_are_filtered(sim: Sim, ask: Asker, given: dict[str, object], expected: list[int]) -> None:
    """Enumerations by option id, flags by 1 and 0, multiple fields by any member."""
    fields = [
        (1, "UF_CRM_REASON", "enumeration", False),
        (2, "UF_CRM_HOT", "boolean", False),
        (3, "UF_CRM_TAGS", "string", True),
    ]
    for number, code, kind, multiple in fields:
        sim.data.insert("userfield", {"ID": number, "FIELD_NAME": code, "USER_TYPE_ID": kind, "MULTIPLE": multiple})
    sim.data.insert("deal", {"ID": 1, "UF": '{"UF_CRM_REASON": 58}'})
    sim.data.insert("deal", {"ID": 2, "UF": '{"UF_CRM_REASON": 60, "UF_CRM_HOT": true, "UF_CRM_TAGS": ["a", "b"]}'})
    sim.data.insert("deal", {"ID": 3})

    assert expected == ids(ask.result("crm.deal.list", filter=given))


# ---------------------------------------------------------------- get and fields


@pytest.mark.parametrize(
    ("params", "text"),
    [({}, "ID is not defined or invalid."), ({"id": "x"}, "ID is not defined or invalid."), ({"id": 99}, "Not found")],
)
def test_get_refuses_in_the_old_way(ask: Asker, params: dict[str, object], text: str) -> None:
    assert (400, "", text) == ask.refused("crm.deal.get", **params)


def test_old_invoices_are_a_family_of_their_own(sim: Sim, ask: Asker) -> None:
    sim.data.insert("old_invoice", {"ID": 4, "PRICE": 10, "PAYED": True, "DATE_INSERT": NOON})

    assert ("10.00", "Y", "") == tuple(
        ask.result("crm.invoice.list")[0][name] for name in ("PRICE", "PAYED", "DATE_BILL")
    )
    assert "4" == ask.result("crm.invoice.get", id=4)["ID"]


def test_waiting_is_the_clients_business(sim: Sim, ask: Asker, clock: HandClock) -> None:
    """By default costs are only booked: the shared clock stands still."""
    ask("crm.deal.list")

    assert 0 == clock.elapsed
