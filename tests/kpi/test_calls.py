"""Phone calls: population, legs of one call, talk time, days."""

from __future__ import annotations

from functools import partial

import pytest

from b24metrics.kpi import DEPARTMENT, KPIS, MANAGER, Snapshot, WindowId
from b24metrics.mirror.stores import DuckStore
from tests.kpi import small
from tests.kpi.small import NOW, Company, at

TODAY = WindowId.TODAY
measured = partial(small.measured, kpis=("calls_count", "talk_time_total_seconds"))


def calls(snapshot: Snapshot) -> float | None:
    return snapshot.value(KPIS["calls_count"], TODAY)


def talk(snapshot: Snapshot) -> float | None:
    return snapshot.value(KPIS["talk_time_total_seconds"], TODAY)


@pytest.mark.parametrize(
    ("facts", "counted", "talked"),
    [
        ({}, 1, 60),
        ({"category": None}, 1, 60),
        ({"category": ""}, 1, 60),
        ({"category": "internal"}, 0, 0),
        ({"type_id": 2}, 1, 60),
        ({"type_id": 3}, 1, 60),
        ({"type_id": 4}, 1, 60),
        ({"type_id": 5}, 0, 0),  # information call by a robot
        ({"type_id": None}, 0, 0),
        ({"deleted_at": NOW}, 0, 0),
        ({"failed_code": "486", "duration_seconds": 5}, 1, 0),  # not connected
        ({"duration_seconds": 0}, 1, 0),
        ({"duration_seconds": None, "failed_code": None}, 1, 0),
        ({"user_id": None}, 1, 60),  # nobody's, still the company's
        ({"call_id": None}, 1, 60),
    ],
)
def test_what_is_a_call(store: DuckStore, facts: dict[str, object], counted: int, talked: int) -> None:
    """External or uncategorised, types 1 to 4; talk time of connected ones: code 200 and a duration."""
    company = Company().staff()
    company.call(at("03-14 10:00"), **facts)
    snapshot = measured(store, company)

    assert (counted, talked) == (calls(snapshot), talk(snapshot))


def test_a_transferred_call_counts_once_for_each_who_had_it(store: DuckStore) -> None:
    """Legs share CALL_ID: one call for the company and for the department, one for each manager; talk time per leg."""
    company = Company().staff()
    company.department(2, 1)
    company.user(8, 2)
    company.call(at("03-14 10:00"), call_id="x", user_id=7, duration_seconds=30)
    company.call(at("03-14 10:01"), call_id="x", user_id=8, duration_seconds=40)
    company.call(at("03-14 10:02"), call_id="x", user_id=8, duration_seconds=50)
    company.call(at("03-14 11:00"), call_id="y", user_id=8, duration_seconds=5)
    snapshot = measured(store, company)
    kpi, seconds = KPIS["calls_count"], KPIS["talk_time_total_seconds"]

    assert (2, 125) == (calls(snapshot), talk(snapshot))
    assert (1, 2) == tuple(snapshot.value(kpi, TODAY, MANAGER, manager_id=who) for who in ("7", "8"))
    assert (2, 2) == tuple(snapshot.value(kpi, TODAY, DEPARTMENT, department_id=where) for where in ("1", "2"))
    assert (30, 95) == tuple(snapshot.value(seconds, TODAY, MANAGER, manager_id=who) for who in ("7", "8"))


def test_calls_without_an_id_are_calls_of_their_own(store: DuckStore) -> None:
    """Two rows with an empty CALL_ID are not legs of each other."""
    company = Company().staff()
    company.call(at("03-14 10:00"), call_id="")
    company.call(at("03-14 10:05"), call_id="")

    assert 2 == calls(measured(store, company))


def test_a_call_over_midnight_belongs_to_the_day_it_started(store: DuckStore) -> None:
    """Also with its later legs."""
    company = Company().staff()
    company.call(at("03-13 23:59"), call_id="x", duration_seconds=600)
    company.call(at("03-14 00:05"), call_id="x", duration_seconds=100)
    snapshot = measured(store, company)

    assert (0, 0) == (calls(snapshot), talk(snapshot))
    assert (1, 700) == tuple(
        snapshot.value(KPIS[kpi], WindowId.YESTERDAY) for kpi in ("calls_count", "talk_time_total_seconds")
    )


def test_legs_that_are_no_calls_do_not_move_the_start(store: DuckStore) -> None:
    """An internal leg before midnight does not pull the client's call into yesterday."""
    company = Company().staff()
    company.call(at("03-13 23:59"), call_id="x", category="internal")
    company.call(at("03-14 00:01"), call_id="x")

    assert 1 == calls(measured(store, company))
