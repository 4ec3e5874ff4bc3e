"""Telephone calls. Reference §16, §17."""

from __future__ import annotations

from typing import Any

import pytest

from b24metrics.sim.accounts import Application, Sight
from b24metrics.sim.server import Sim

from .conftest import NOON, Asker


@pytest.fixture
def with_calls(sim: Sim) -> Sim:
    """1 outgoing, 2 missed, 3 a second leg of 1, 4 cancelled by the caller."""
    for number, kind, code, duration, call_id, user in (
        (1, 1, "200", 73, "a", 7), (2, 2, "304", 0, "b", 9), (3, 3, "200", 20, "a", 9), (4, 1, "603-S", 0, "d", 7),
    ):  # fmt: skip
        sim.data.insert(
            "phone_call",
            {"ID": number, "CALL_TYPE": kind, "CALL_FAILED_CODE": code, "CALL_DURATION": duration, "CALL_ID": call_id,
             "PORTAL_USER_ID": user, "PHONE_NUMBER": "+7900", "CALL_START_DATE": NOON - 100 * number},
        )  # fmt: skip
    return sim


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["ID"]) for row in rows]


def test_all_values_are_text_but_one(with_calls: Sim, ask: Asker) -> None:
    """RECORD_FILE_ID is a number; codes may be 603-S; legs of one call share CALL_ID."""
    with_calls.change_quietly("phone_call", 1, RECORD_FILE_ID=9079)
    rows = ask.result("voximplant.statistic.get")

    assert ["a", "b", "a", "d"] == [row["CALL_ID"] for row in rows]
    assert {
        "ID": "1", "CALL_TYPE": "1", "CALL_DURATION": "73", "COST": "0.0000", "CALL_VOTE": None, "RECORD_FILE_ID": 9079,
        "CALL_START_DATE": "2025-03-14T11:58:20+03:00", "TRANSCRIPT_PENDING": "N",
    }.items() <= rows[0].items()  # fmt: skip
    assert "603-S" == rows[3]["CALL_FAILED_CODE"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"CALL_FAILED_CODE": "304"}, [2]),
        ({"!CALL_FAILED_CODE": "200"}, [2, 4]),
        ({"CALL_TYPE": [2, 3]}, [2, 3]),
        ({">CALL_DURATION": 0}, [1, 3]),
        ({"><CALL_DURATION": [10, 50]}, [3]),
        ({"!><CALL_DURATION": [10, 50]}, [1, 2, 4]),
        ({"%PHONE_NUMBER": "790"}, [1, 2, 3, 4]),
        ({"!%PHONE_NUMBER": "790"}, []),
        ({">=CALL_START_DATE": "2025-03-14T11:56:00+03:00"}, [1, 2]),
        ({">ID": 2}, [3, 4]),
        ({"@ID": [1, 2]}, [1, 2, 3, 4]),
        ({"@CALL_TYPE": [2]}, [1, 2, 3, 4]),
        ({"NO_SUCH": 1}, [1, 2, 3, 4]),
        ({"TRANSCRIPT_ID": 5}, [1, 2, 3, 4]),
        ({"=%CALL_ID": "zzz%"}, [1, 2, 3, 4]),
    ],
)
def test_what_telephony_filters_and_what_it_drops(
    with_calls: Sim, ask: Asker, given: dict[str, object], expected: list[int]
) -> None:
    """`@` and unknown keys are dropped without a word: everything comes. Arrays mean IN under a plain key."""
    assert expected == ids(ask.result("voximplant.statistic.get", FILTER=given, SORT="ID", ORDER="ASC"))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"SORT": "ID", "ORDER": "DESC"}, [4, 3, 2, 1]),
        ({"SORT": "ID", "ORDER": "desc"}, [1, 2, 3, 4]),
        ({"SORT": "CALL_START_DATE", "ORDER": "ASC"}, [4, 3, 2, 1]),
        ({"SORT": "CALL_TYPE", "ORDER": "ASC"}, [1, 2, 3, 4]),
        ({}, [1, 2, 3, 4]),
    ],
)
def test_telephony_orders_only_in_capitals(
    with_calls: Sim, ask: Asker, params: dict[str, str], expected: list[int]
) -> None:
    """A small desc is ignored; CALL_TYPE cannot be sorted by."""
    assert expected == ids(ask.result("voximplant.statistic.get", **params))


def test_statistics_pages(sim: Sim, ask: Asker) -> None:
    sim.data.execute("INSERT INTO phone_call BY NAME SELECT i AS ID FROM range(1, 131) r(i)")
    first, walk = (
        ask("voximplant.statistic.get"),
        ask("voximplant.statistic.get", FILTER={">ID": 100}, SORT="ID", ORDER="ASC", start=-1),
    )

    assert (50, 130) == (first["next"], first["total"])
    assert (list(range(101, 131)), 0) == (ids(walk["result"]), walk["total"])


def test_a_partial_right_shows_permitted_employees_only(with_calls: Sim, asker: Any) -> None:
    narrow = asker(with_calls.add_webhook(9, "vera", sight=Sight(users=frozenset({9}))))

    assert [2, 3] == ids(narrow.result("voximplant.statistic.get"))


def test_an_outside_pbx_registers_and_finishes(sim: Sim, asker: Any) -> None:
    """The row appears only after finish, with 200 or 304 by the duration, and can then get a transcript."""
    token = sim.add_application(Application("local.pbx", "pbx0secret"))
    ask = asker(sim.url + "/rest/")
    call_id = ask.result("telephony.externalCall.register", auth=token.access, USER_ID=7, PHONE_NUMBER="+7900", TYPE=2)[
        "CALL_ID"
    ]
    assert [] == ask.result("voximplant.statistic.get", auth=token.access)
    unfinished = ask.refused("telephony.call.attachTranscription", auth=token.access, CALL_ID=call_id, MESSAGES=[])
    finished = ask.result("telephony.externalCall.finish", auth=token.access, CALL_ID=call_id, USER_ID=7, DURATION=0)

    assert (400, "ERROR_CORE") == unfinished[:2]
    assert ("304", {}) == (finished["CALL_FAILED_CODE"], finished["CALL_START_DATE"])
    row = ask.result("voximplant.statistic.get", auth=token.access)[0]
    assert (call_id, "304", "REST_APP:1", "1") == tuple(
        row[name] for name in ("CALL_ID", "CALL_FAILED_CODE", "PORTAL_NUMBER", "REST_APP_ID")
    )
    assert {"TRANSCRIPT_ID": 1} == ask.result(
        "telephony.call.attachTranscription", auth=token.access, CALL_ID=call_id, MESSAGES=[{"SIDE": "User"}]
    )
