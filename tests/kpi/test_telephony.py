"""Telephony: what is a call, legs, missed calls and their return, patterns, calls that lead to deals, the funnel."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from b24metrics.kpi import (
    COMPANY,
    DEPARTMENT,
    KPIS,
    MANAGER,
    Grain,
    KpiOptions,
    Snapshot,
    WindowId,
    evaluate,
    explain,
    telephony,
)
from b24metrics.kpi.options import ActivityKind
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from b24metrics.worktime import WorkCalendar
from tests.kpi import company_t1, small
from tests.kpi.small import NOW, OFFICE, PORTAL, Company, at

TODAY, YESTERDAY, STATE, WEEK = WindowId.TODAY, WindowId.YESTERDAY, WindowId.NOW, WindowId.D7
MTD, ROLLING, PREV_MONTH = WindowId.MTD, WindowId.D30, WindowId.PREV_MONTH
MINE = (*telephony.CHAPTER, *telephony.CONVERSION)
#: Everything that needs nothing but calls; the other sections say what they look at.
measured = partial(small.measured, kpis=tuple(kpi.id for kpi in telephony.CHAPTER if kpi.id not in {
    "dials_per_deal", "manager_talk_share", "call_pattern_low_connect", "call_pattern_short_talk",
}))  # fmt: skip
plain = partial(small.measured, kpis=("calls_count", "calls_missed_count", "talk_time_total_seconds"))
returned = partial(small.measured, kpis=("missed_calls_unreturned_count", "missed_call_return_seconds"))
dialled = partial(small.measured, kpis=("dials_per_deal",))
patterned = partial(small.measured, kpis=("call_pattern_low_connect", "call_pattern_short_talk"))
led = partial(small.measured, kpis=tuple(kpi.id for kpi in telephony.CONVERSION if "funnel" not in kpi.id))
everything = partial(small.measured, kpis=tuple(kpi.id for kpi in MINE))

ANNA, BORIS, VERA = ({"manager_id": str(number)} for number in (101, 102, 103))
SALES, INBOUND, OUTBOUND = ({"department_id": str(number)} for number in (10, 11, 12))
T: dict[str, str] = {}
NOTHING = None

MISSED = {"type_id": 2, "failed_code": "304", "duration_seconds": 0}
UNANSWERED = {"failed_code": "486", "duration_seconds": 0}


def said(snapshot: Snapshot, kpi: str, window: WindowId = TODAY, **labels: str) -> float | None:
    """The company's value."""
    return snapshot.value(KPIS[kpi], window, COMPANY, **labels)


def of_manager(snapshot: Snapshot, kpi: str, manager: int, window: WindowId = TODAY) -> float | None:
    return snapshot.value(KPIS[kpi], window, MANAGER, manager_id=str(manager))


def parts(snapshot: Snapshot, kpi: str, window: WindowId = TODAY, **labels: str) -> tuple[object, ...]:
    """Value, numerator and denominator of the company."""
    sample = snapshot.sample(KPIS[kpi], window, COMPANY, **labels)
    assert sample is not None
    return sample.value, sample.numerator, sample.denominator


def two() -> Company:
    """Managers 7 in department 1 and 8 in department 2 below it."""
    company = Company().staff()
    company.department(2, 1)
    company.user(8, 2)
    return company


def client_phone(company: Company, key: str, *, contact: int = 0, of_company: int = 0, lead: int = 0) -> None:
    for kind, number in ((3, contact), (4, of_company), (1, lead)):
        if number:
            company.add(schema.CLIENT_KEYS, entity_type_id=kind, entity_id=number, kind="phone", key=key)


def to(contact: int) -> dict[str, int]:
    """A call's record of the CRM: a contact."""
    return {"crm_entity_type_id": 3, "crm_entity_id": contact}


# ---------------------------------------------------------------- worked figures

FIGURES = [
    ("calls_count", TODAY, "T", T, 11),
    ("calls_count", TODAY, "M", ANNA, 6),
    ("calls_count", TODAY, "M", BORIS, 5),
    ("calls_count", TODAY, "D", SALES, 11),
    ("calls_count", YESTERDAY, "T", T, 0),
    ("calls_outgoing_count", TODAY, "T", T, 7),
    ("calls_incoming_count", TODAY, "T", T, 4),
    ("calls_connected_count", TODAY, "T", T, 7),
    ("calls_outgoing_connected_count", TODAY, "T", T, 5),
    ("connect_rate", TODAY, "T", T, 5 / 7),
    ("connect_rate", TODAY, "M", ANNA, 0.6),
    ("connect_rate", TODAY, "M", BORIS, 1),
    ("connect_rate", TODAY, "M", VERA, NOTHING),
    ("calls_effective_count", TODAY, "T", T, 6),
    ("effective_call_rate", TODAY, "T", T, 6 / 7),
    ("effective_call_rate", TODAY, "D", OUTBOUND, 2 / 3),
    ("talk_time_total_seconds", TODAY, "T", T, 795),
    ("talk_time_total_seconds", TODAY, "M", ANNA, 630),
    ("talk_time_total_seconds", TODAY, "M", BORIS, 165),
    ("talk_time_total_seconds", TODAY, "O", INBOUND, 630),
    ("talk_time_avg_seconds", TODAY, "T", T, 795 / 7),
    ("talk_time_avg_seconds", TODAY, "M", ANNA, 157.5),
    ("talk_time_avg_seconds", TODAY, "M", BORIS, 55),
    ("talk_time_median_seconds", TODAY, "T", T, 90),
    ("calls_missed_count", TODAY, "T", T, 2),
    ("missed_call_share", TODAY, "T", T, 0.5),
    ("missed_after_hours_count", TODAY, "T", T, 0),
    ("missed_calls_unreturned_count", TODAY, "T", T, 1),
    ("missed_calls_unreturned_count", STATE, "T", T, 1),
    ("missed_calls_unreturned_count", STATE, "M", BORIS, 1),
    ("missed_calls_unreturned_count", YESTERDAY, "T", T, 0),
    ("missed_call_return_seconds", TODAY, "T", T, 1200),
    ("missed_call_return_seconds", TODAY, "M", ANNA, NOTHING),
    ("dials_per_connect", TODAY, "T", T, 1.4),
    # d1, d2 and d7 were won, d1 after one dial bound to it
    ("dials_per_deal", MTD, "T", {"outcome": "won"}, 1 / 3),
    # d3 after one, d6 after none
    ("dials_per_deal", MTD, "M", {**BORIS, "outcome": "lost"}, 0.5),
]


@pytest.fixture(scope="module")
def snapshot(t1: DuckStore) -> Snapshot:
    return evaluate(t1, company_t1.PORTAL, MINE, now=company_t1.NOW, options=company_t1.OPTIONS)


@pytest.mark.parametrize(("kpi", "window", "grain", "labels", "expected"), FIGURES)
def test_worked_figures(
    snapshot: Snapshot, kpi: str, window: WindowId, grain: str, labels: dict[str, str], expected: float | None
) -> None:
    """The catalogue's examples on company T1."""
    sample = snapshot.sample(KPIS[kpi], window, Grain.parse(grain), **labels)

    assert sample is not None
    assert sample.value == (None if expected is None else pytest.approx(expected))


def test_sizes_behind_worked_figures(snapshot: Snapshot) -> None:
    """5/7 connected, 6/7 effective, 2/4 missed; one return of two episodes."""
    assert (5 / 7, 5, 7) == parts(snapshot, "connect_rate")
    assert (6 / 7, 6, 7) == parts(snapshot, "effective_call_rate")
    assert (0.5, 2, 4) == parts(snapshot, "missed_call_share")
    returned = snapshot.sample(KPIS["missed_call_return_seconds"], TODAY)
    assert returned is not None
    assert 2 == returned.n


# ---------------------------------------------------------------- population and legs


def calls(snapshot: Snapshot) -> float | None:
    return said(snapshot, "calls_count")


def talk(snapshot: Snapshot) -> float | None:
    return said(snapshot, "talk_time_total_seconds")


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
def test_what_is_a_call(store: DuckStore, facts: dict[str, Any], counted: int, talked: int) -> None:
    """External or uncategorised, types 1 to 4; talk time of connected ones: code 200 and a duration."""
    company = Company().staff()
    company.call(at("03-14 10:00"), **facts)
    snapshot = plain(store, company)

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
    snapshot = plain(store, company)
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

    assert 2 == calls(plain(store, company))


def test_a_call_over_midnight_belongs_to_the_day_it_started(store: DuckStore) -> None:
    """Also with its later legs."""
    company = Company().staff()
    company.call(at("03-13 23:59"), call_id="x", duration_seconds=600)
    company.call(at("03-14 00:05"), call_id="x", duration_seconds=100)
    snapshot = plain(store, company)

    assert (0, 0) == (calls(snapshot), talk(snapshot))
    assert (1, 700) == tuple(
        snapshot.value(KPIS[kpi], WindowId.YESTERDAY) for kpi in ("calls_count", "talk_time_total_seconds")
    )


def test_legs_that_are_no_calls_do_not_move_the_start(store: DuckStore) -> None:
    """An internal leg before midnight does not pull the client's call into yesterday."""
    company = Company().staff()
    company.call(at("03-13 23:59"), call_id="x", category="internal")
    company.call(at("03-14 00:01"), call_id="x")

    assert 1 == calls(plain(store, company))


def test_what_has_not_happened_yet_is_no_call(store: DuckStore) -> None:
    """Seen from noon, a call at half past twelve does not exist, not even as a later leg."""
    company = Company().staff()
    company.call(at("03-14 11:59"), call_id="x", **MISSED)
    company.call(at("03-14 12:30"), call_id="x", type_id=3)
    company.call(at("03-14 12:00"))
    snapshot = plain(store, company)

    assert (1, 1, 0) == (calls(snapshot), said(snapshot, "calls_missed_count"), talk(snapshot))


def test_the_first_leg_tells_the_direction(store: DuckStore) -> None:
    """An outgoing call that was redirected to a colleague is a dial for both; a callback of two legs is one dial."""
    company = two()
    company.call(at("03-14 10:00"), call_id="x", type_id=1, user_id=7, **UNANSWERED)
    company.call(at("03-14 10:01"), call_id="x", type_id=3, user_id=8)
    company.call(at("03-14 11:00"), call_id="y", type_id=4, user_id=7)
    company.call(at("03-14 11:00"), call_id="y", type_id=4, user_id=7)
    snapshot = measured(store, company)

    assert (2, 0, 2) == tuple(
        said(snapshot, kpi)
        for kpi in ("calls_outgoing_count", "calls_incoming_count", "calls_outgoing_connected_count")
    )
    assert (2, 1) == tuple(of_manager(snapshot, "calls_outgoing_count", who) for who in (7, 8))
    assert (1, 1) == tuple(of_manager(snapshot, "calls_outgoing_connected_count", who) for who in (7, 8))
    assert (0.5, 1) == tuple(of_manager(snapshot, "connect_rate", who) for who in (7, 8))


def test_a_long_enough_talk_is_effective(store: DuckStore) -> None:
    """From 30 seconds on, unless configured otherwise; code and duration must both tell of a talk."""
    company = Company().staff()
    for seconds in (29, 30, 31):
        company.call(at("03-14 10:00"), duration_seconds=seconds)
    company.call(at("03-14 11:00"), failed_code="486", duration_seconds=90)

    assert (2 / 3, 2, 3) == parts(measured(store, company), "effective_call_rate")
    assert 3 == said(measured(store, company, effective_call_seconds=0), "calls_effective_count")
    assert 1 == said(measured(store, company, effective_call_seconds=31), "calls_effective_count")


def test_legs_of_a_talk_are_summed_inside_the_scope(store: DuckStore) -> None:
    """20 seconds with one and 20 with the other: effective for the company, for neither of the two."""
    company = two()
    for user in (7, 8):
        company.call(at("03-14 10:00"), call_id="x", user_id=user, duration_seconds=20)
    for minute in ("03-14 11:00", "03-14 11:01"):
        company.call(at(minute), call_id="y", user_id=8, duration_seconds=15)
    company.call(at("03-14 11:30"), call_id="z", user_id=8, duration_seconds=100)
    company.call(at("03-14 11:31"), call_id="z", user_id=8, type_id=3, failed_code="304", duration_seconds=100)
    snapshot = measured(store, company)

    assert (3, 0, 2) == (
        said(snapshot, "calls_effective_count"),
        of_manager(snapshot, "calls_effective_count", 7),
        of_manager(snapshot, "calls_effective_count", 8),
    )
    assert (170 / 3, 40) == (
        said(snapshot, "talk_time_avg_seconds"),
        said(snapshot, "talk_time_median_seconds"),
    )
    assert (50, 30) == (
        of_manager(snapshot, "talk_time_avg_seconds", 8),
        of_manager(snapshot, "talk_time_median_seconds", 8),
    )


# ---------------------------------------------------------------- missed calls


def test_a_call_that_somebody_took_is_not_missed(store: DuckStore) -> None:
    """It rang two people: missed by neither when one took it, by both and once for the company when nobody did."""
    company = two()
    for user, facts in ((7, MISSED), (8, {"type_id": 2})):
        company.call(at("03-14 10:00"), call_id="x", user_id=user, phone_key="a", **facts)
    for user in (7, 8):
        company.call(at("03-14 11:00"), call_id="y", user_id=user, phone_key="b", **MISSED)
    snapshot = measured(store, company)

    assert (0.5, 1, 2) == parts(snapshot, "missed_call_share")
    assert (1, 1, 1) == (
        said(snapshot, "calls_missed_count"),
        *(of_manager(snapshot, "calls_missed_count", who) for who in (7, 8)),
    )
    assert (1, 1, 1) == (
        said(snapshot, "missed_calls_unreturned_count"),
        *(of_manager(snapshot, "missed_calls_unreturned_count", who) for who in (7, 8)),
    )


def test_an_unanswered_dial_is_not_missed(store: DuckStore) -> None:
    """Missed is incoming; a talk of no seconds is none even with code 200."""
    company = Company().staff()
    company.call(at("03-14 10:00"), **UNANSWERED)
    company.call(at("03-14 10:30"), type_id=3, failed_code="200", duration_seconds=0)

    assert (1, 1, 1) == parts(measured(store, company), "missed_call_share")


@pytest.mark.parametrize(
    ("moment", "in_hours"),
    [("03-13 08:59", 0), ("03-13 09:00", 1), ("03-13 17:59", 1), ("03-13 18:00", 0), ("03-13 23:59", 0)],
)
def test_misses_after_hours_are_counted_apart(store: DuckStore, moment: str, in_hours: int) -> None:
    """Opening belongs to the day, closing does not; the share knows nothing of what is missed after hours."""
    company = Company().staff()
    company.call(at(moment), **MISSED)
    company.call(at("03-13 07:00"), type_id=2)  # taken before hours: an incoming call like any other
    snapshot = measured(store, company, calendar=OFFICE)

    assert (in_hours, 1 - in_hours) == (
        said(snapshot, "calls_missed_count", YESTERDAY),
        said(snapshot, "missed_after_hours_count", YESTERDAY),
    )
    assert (in_hours / (1 + in_hours), in_hours, 1 + in_hours) == parts(snapshot, "missed_call_share", YESTERDAY)


def test_the_first_leg_tells_whether_the_company_was_open(store: DuckStore) -> None:
    """It rang at 17:59 and was redirected at 18:01: missed in hours."""
    company = Company().staff()
    company.call(at("03-13 17:59"), call_id="x", **MISSED)
    company.call(at("03-13 18:01"), call_id="x", **(MISSED | {"type_id": 3}))
    snapshot = measured(store, company, calendar=OFFICE)

    assert (1, 0) == (
        said(snapshot, "calls_missed_count", YESTERDAY),
        said(snapshot, "missed_after_hours_count", YESTERDAY),
    )


@pytest.mark.parametrize(
    ("later", "waiting"),
    [
        ({}, 0),  # a talk that we began
        ({"type_id": 2}, 0),
        ({"type_id": 4}, 0),
        ({"user_id": 8}, 0),  # a colleague's
        ({"user_id": None}, 0),
        (UNANSWERED, 1),
        (MISSED, 1),  # the client tried again: one case still
        ({"phone_key": "other"}, 1),
        ({"type_id": 5}, 1),
        ({"category": "internal"}, 1),
        ({"deleted_at": NOW}, 1),
        ({"started_at": at("03-13 10:00")}, 1),  # the talk was at the very moment of the call, not after it
        ({"started_at": at("03-14 13:00")}, 1),  # after now
        ({"started_at": at("03-13 10:05"), "call_id": "first"}, 0),  # a later leg of the call itself: never missed
    ],
)
def test_what_returns_a_missed_call(store: DuckStore, later: dict[str, Any], waiting: int) -> None:
    """A later talk with the same number, in either direction and by anybody, whatever the window."""
    company = two()
    company.call(at("03-13 10:00"), call_id="first", **MISSED)
    moment = later.get("started_at", at("03-14 11:00"))
    assert isinstance(moment, datetime)
    company.call(moment, **{name: value for name, value in later.items() if name != "started_at"})
    snapshot = returned(store, company)

    assert (waiting, waiting, 0) == (
        said(snapshot, "missed_calls_unreturned_count", YESTERDAY),
        said(snapshot, "missed_calls_unreturned_count", STATE),
        said(snapshot, "missed_calls_unreturned_count", TODAY),
    )


def test_missed_calls_between_two_talks_are_one_case(store: DuckStore) -> None:
    """It is dated by the first of them and belongs to whom that one was for."""
    company = two()
    company.call(at("03-12 10:00"), type_id=2)
    company.call(at("03-12 11:00"), user_id=7, **MISSED)
    company.call(at("03-13 11:00"), user_id=8, **MISSED)
    company.call(at("03-13 12:00"), type_id=2)
    company.call(at("03-13 13:00"), user_id=8, **MISSED)
    company.call(at("03-14 09:00"), user_id=7, **MISSED)
    snapshot = returned(store, company)

    assert (0, 1, 1, 1) == tuple(
        said(snapshot, "missed_calls_unreturned_count", window) for window in (TODAY, YESTERDAY, WEEK, STATE)
    )
    assert (0, 1) == tuple(of_manager(snapshot, "missed_calls_unreturned_count", who, STATE) for who in (7, 8))
    times = [snapshot.sample(KPIS["missed_call_return_seconds"], window) for window in (TODAY, YESTERDAY, WEEK)]
    # 12 March 11:00 to 13 March 12:00 is a day and an hour; 13 March 13:00 waits 23 hours so far
    assert [(None, 0), (None, 1), (25 * 3600, 2)] == [(one.value, one.n) for one in times if one is not None]


def test_calls_without_a_number_are_cases_of_their_own(store: DuckStore) -> None:
    """Nobody can return them; the state looks over all stored calls."""
    company = Company().staff()
    for moment in ("03-14 10:00", "03-14 10:05", "2023-02-01 10:00"):
        company.call(at(moment), phone_key=None, **MISSED)
    company.call(at("03-14 11:00"), phone_key=None)
    snapshot = returned(store, company)

    assert (2, 3) == tuple(said(snapshot, "missed_calls_unreturned_count", window) for window in (TODAY, STATE))


@pytest.mark.parametrize(
    ("history", "waiting", "today"),
    [
        ([("2023-05-02 10:00", MISSED)], 1, 0),
        ([("2023-05-02 10:00", MISSED), ("2023-06-02 10:00", MISSED), ("03-14 10:00", MISSED)], 1, 0),
        ([("2023-05-02 10:00", MISSED), ("2023-06-02 10:00", {}), ("03-14 10:00", MISSED)], 1, 1),
        ([("2023-05-02 10:00", MISSED), ("03-14 10:00", {})], 0, 0),
        ([("2023-05-02 10:00", MISSED), ("03-14 10:00", {}), ("03-14 10:30", MISSED)], 1, 1),
        ([("2023-05-02 10:00", {"type_id": 2}), ("2023-05-02 10:05", MISSED | {"type_id": 3})], 1, 0),
    ],
)
def test_cases_that_are_long_past(
    store: DuckStore, history: list[tuple[str, dict[str, Any]]], waiting: int, today: int
) -> None:
    """A number that has waited for years is one case, dated by its first call; a talk ends it, however late."""
    company = Company().staff()
    for moment, facts in history:
        company.call(at(moment), **facts)
    snapshot = returned(store, company)

    assert (waiting, today) == tuple(
        said(snapshot, "missed_calls_unreturned_count", window) for window in (STATE, TODAY)
    )


def test_an_old_call_that_somebody_took_is_not_waiting(store: DuckStore) -> None:
    """Its redirected leg rang in vain after the talk, or followed a dial of ours: neither was missed."""
    company = two()
    company.call(at("2023-05-02 10:00"), call_id="x", type_id=2, user_id=7)
    company.call(at("2023-05-02 10:05"), call_id="x", user_id=8, **(MISSED | {"type_id": 3}))
    company.call(at("2023-05-03 10:00"), call_id="y", phone_key="other", **UNANSWERED)
    company.call(at("2023-05-03 10:01"), call_id="y", phone_key="other", **(MISSED | {"type_id": 3}))
    company.call(at("2023-05-04 10:00"), call_id="z", phone_key="third", user_id=7, **MISSED)
    company.call(at("2023-05-04 10:00"), call_id="z", phone_key="third", user_id=8, **MISSED)
    snapshot = returned(store, company)

    assert (1, 1, 1) == (
        said(snapshot, "missed_calls_unreturned_count", STATE),
        *(of_manager(snapshot, "missed_calls_unreturned_count", who, STATE) for who in (7, 8)),
    )


def test_an_old_call_that_was_passed_on_outside_is_waiting_for_all_who_had_it(store: DuckStore) -> None:
    """It came in, whatever direction its later leg has; a dial of ours stays one though a leg of it rang with us."""
    company = two()
    company.call(at("2023-05-02 10:00"), call_id="x", user_id=7, **MISSED)
    company.call(at("2023-05-02 10:01"), call_id="x", user_id=8, **UNANSWERED)
    company.call(at("2023-05-03 10:00"), call_id="y", phone_key="other", user_id=7, **UNANSWERED)
    company.call(at("2023-05-03 10:01"), call_id="y", phone_key="other", user_id=8, **MISSED)
    snapshot = returned(store, company)

    assert (1, 1, 1) == (
        said(snapshot, "missed_calls_unreturned_count", STATE),
        *(of_manager(snapshot, "missed_calls_unreturned_count", who, STATE) for who in (7, 8)),
    )


@pytest.mark.parametrize(("rang", "waiting"), [("09:59:59", 0), ("10:00:00", 1), ("10:00:20", 1), ("10:01:00", 1)])
def test_an_old_talk_begins_with_the_first_leg_of_its_call(store: DuckStore, rang: str, waiting: int) -> None:
    """A second call of the number that rings before somebody takes the first one is not returned by it."""
    company = two()
    company.call(at("2023-05-02 10:00:00"), call_id="x", user_id=7, **MISSED)
    company.call(at("2023-05-02 10:00:40"), call_id="x", user_id=8, type_id=3)
    company.call(at(f"2023-05-02 {rang}"), call_id="y", user_id=7, **MISSED)
    snapshot = returned(store, company)

    assert waiting == said(snapshot, "missed_calls_unreturned_count", STATE)


def test_a_return_is_timed_by_the_calendar_of_who_was_called(store: DuckStore) -> None:
    """Missed on Wednesday at 17:30, returned on Thursday at 09:15: 45 minutes; at night only the morning counts."""
    company = Company().staff()
    company.call(at("03-12 17:30"), phone_key="a", **MISSED)
    company.call(at("03-13 09:15"), phone_key="a")
    snapshot = returned(store, company, calendar=OFFICE)
    assert 2700 == said(snapshot, "missed_call_return_seconds", WEEK)

    company.call(at("03-12 22:00"), phone_key="b", **MISSED)
    company.call(at("03-13 09:10"), phone_key="b")
    company.call(at("03-12 22:00"), phone_key="c", **MISSED)
    snapshot = returned(store, company, calendar=OFFICE)
    # 10 minutes, 45 minutes, and still waiting after 9 + 3 hours: S = 2/3, then 1/3
    assert 2700 == said(snapshot, "missed_call_return_seconds", WEEK)


def test_a_return_is_timed_for_the_first_of_those_who_were_called(store: DuckStore) -> None:
    """Whatever numbers the legs have: manager 7 waited 60 and 15 minutes, manager 8 works at noon alone."""
    company = two()
    company.call(at("03-12 17:01"), call_id="x", user_id=8, **(MISSED | {"type_id": 3}))
    company.call(at("03-12 17:00"), call_id="x", user_id=7, **MISSED)
    company.call(at("03-13 09:15"))
    noon = WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["12:00-13:00"]})
    snapshot = returned(store, company, calendar=OFFICE, department_calendars={2: noon})

    assert 4500 == said(snapshot, "missed_call_return_seconds", WEEK)
    assert (4500, 0) == tuple(of_manager(snapshot, "missed_call_return_seconds", who, WEEK) for who in (7, 8))


# ---------------------------------------------------------------- dials per deal


def won_deal(company: Company, number: int, moves: str = "03-03 10:00 P; 03-10 15:00 S", **facts: Any) -> int:
    return company.deal(number, moves=moves, **facts)


def test_dials_per_won_deal(store: DuckStore) -> None:
    """The card's example: 4, 2 and 6 dials, 4 on average; lost deals apart."""
    company = Company().staff()
    for deal, dials in ((101, 4), (102, 2), (103, 6)):
        won_deal(company, deal, contact_id=deal)
        for minute in range(dials):
            company.call(at(f"03-05 10:{minute:02}"), **to(deal), **UNANSWERED)
    company.deal(104, moves="03-03 10:00 P; 03-10 15:00 F", contact_id=104)
    snapshot = dialled(store, company)

    assert (4.0, 0.0) == tuple(said(snapshot, "dials_per_deal", MTD, outcome=one) for one in ("won", "lost"))
    assert 4.0 == snapshot.value(KPIS["dials_per_deal"], MTD, Grain.parse("P"), pipeline_id="0", outcome="won")


@pytest.mark.parametrize(
    ("moment", "facts", "counted"),
    [
        ("03-03 10:00", to(5), 1),  # at creation
        ("03-10 15:00", to(5), 1),  # at closing
        ("03-03 09:59", to(5), 0),
        ("03-10 15:01", to(5), 0),
        ("03-05 10:00", {"crm_entity_type_id": 4, "crm_entity_id": 6}, 1),
        ("03-05 10:00", {"crm_entity_type_id": 3, "crm_entity_id": 6}, 0),  # another's number
        ("03-05 10:00", {"crm_activity_id": 900}, 1),  # bound to the deal
        ("03-05 10:00", {"crm_activity_id": 900, **to(5)}, 1),  # twice linked, once dialled
        ("03-05 10:00", {"crm_activity_id": 901}, 0),
        ("03-05 10:00", {"crm_activity_id": 902}, 0),  # bound by what was deleted
        ("03-05 10:00", to(5) | {"type_id": 4}, 1),
        ("03-05 10:00", to(5) | {"type_id": 2}, 0),
        ("03-05 10:00", to(5) | {"user_id": 8}, 1),  # whoever dialled
    ],
)
def test_which_dials_belong_to_a_deal(store: DuckStore, moment: str, facts: dict[str, Any], counted: int) -> None:
    """Bound to it or made to its client, between creation and closing."""
    company = Company().staff()
    deal = won_deal(company, 50, company_id=6, contact_id=5)
    other = company.deal(51)
    company.activity(deal, id=900, type_id=2, provider_id="VOXIMPLANT_CALL")
    company.activity(other, id=901, type_id=2, provider_id="VOXIMPLANT_CALL")
    company.activity(deal, id=902, type_id=2, provider_id="VOXIMPLANT_CALL", deleted_at=at("03-11 10:00"))
    company.call(at(moment), call_id="x", **facts)
    company.call(at(moment), call_id="x", **facts)  # a second leg

    assert counted == said(dialled(store, company), "dials_per_deal", MTD, outcome="won")


@pytest.mark.parametrize(
    ("legs", "counted"),
    [
        ([("03-05 10:00", 1, {}), ("03-05 10:01", 3, {"crm_activity_id": 900})], 1),
        ([("03-05 10:00", 1, {}), ("03-05 10:01", 3, to(5))], 1),
        ([("03-05 10:00", 1, to(5)), ("03-05 10:02", 1, {"crm_activity_id": 900})], 1),
        ([("03-05 10:00", 2, {}), ("03-05 10:01", 1, to(5))], 0),  # the client called
        ([("03-03 09:59", 1, to(5)), ("03-03 10:01", 1, to(5))], 0),  # begun before the deal was there
        ([("03-10 14:59", 1, {}), ("03-10 15:01", 1, to(5))], 1),  # begun before it was closed
    ],
)
def test_a_dial_of_several_legs_belongs_to_a_deal_as_one(
    store: DuckStore, legs: list[tuple[str, int, dict[str, Any]]], counted: int
) -> None:
    """One call is its legs together: it begins with the first of them, and any of them says with whom it was."""
    company = Company().staff()
    company.activity(won_deal(company, 50, contact_id=5), id=900, type_id=2, provider_id="VOXIMPLANT_CALL")
    for moment, kind, facts in legs:
        company.call(at(moment), call_id="x", type_id=kind, **facts)

    assert counted == said(dialled(store, company), "dials_per_deal", MTD, outcome="won")


def test_dials_count_for_the_department_in_which_the_deal_was_closed(store: DuckStore) -> None:
    """§2.5: membership is that of the closing where it was captured; whoever moved on took no old deals along."""
    company = Company().staff()
    company.department(2, 1)
    company.department(3, 1)
    company.user(8, 3)
    won_deal(company, 50, contact_id=5, assigned_by_id=8)
    company.add(
        schema.DEAL_CLOSINGS, deal_id=50, semantics="S", manager_id=8, department_id=2, observed_at=at("03-10 15:00")
    )
    company.call(at("03-05 10:00"), **to(5))
    snapshot = dialled(store, company)

    found = snapshot.of(KPIS["dials_per_deal"], DEPARTMENT)
    assert {"1": 1.0, "2": 1.0} == {s.labels["department_id"]: s.value for s in found if s.window is MTD}


def test_no_connect_no_dials_per_connect(store: DuckStore) -> None:
    """Nothing, but the parts are told."""
    company = Company().staff()
    company.call(at("03-14 10:00"), **UNANSWERED)

    assert (None, 1, 0) == parts(measured(store, company), "dials_per_connect")


# ---------------------------------------------------------------- records, speech, patterns


def test_eight_of_ten_talks_are_recorded(store: DuckStore) -> None:
    """The card's example; calls that nobody answered need no record, lines that must not be recorded do not count."""
    company = Company().staff()
    for number in range(10):
        company.call(
            at("03-14 10:00"), has_record=number < 8, transcript_id=number if number in {1, 2} else None, line="1"
        )
    company.call(at("03-14 11:00"), has_record=True, **UNANSWERED)
    company.call(at("03-14 11:00"), has_record=None, line="2")
    company.call(at("03-14 11:00"), call_id="x", has_record=None, line="2")
    company.call(at("03-14 11:00"), call_id="x", has_record=True, line="2")
    snapshot = measured(store, company)
    assert (9 / 12, 9, 12) == parts(snapshot, "call_recording_coverage", WEEK)

    snapshot = measured(store, company, unrecorded_lines=frozenset({"2"}))
    assert (0.8, 8, 10) == parts(snapshot, "call_recording_coverage", WEEK)
    assert (0.2, 2, 10) == parts(snapshot, "call_transcript_coverage", WEEK)


def speech(company: Company, call: int, operator: int, client: int) -> None:
    for label, seconds in (("operator", operator), ("client", client)):
        company.add(
            schema.INPUTS, kind="speech", level="call", subject_id=call, starts_on=date(2025, 3, 14), label=label,
            amount=Decimal(seconds),
        )  # fmt: skip


def test_the_manager_speaks_for_three_fifths_of_the_time(store: DuckStore) -> None:
    """180 seconds against 120: 0.6; a silent call adds nothing; without any measurement there is no sample at all."""
    company = two()
    talked = partial(small.measured, kpis=("manager_talk_share",))
    assert talked(store, company).sample(KPIS["manager_talk_share"], WEEK) is None

    speech(company, company.call(at("03-14 10:00")), 180, 120)
    silent = company.call(at("03-14 11:00"), user_id=8)
    speech(company, silent, 0, 0)
    speech(company, company.call(at("03-14 11:00"), type_id=5), 50, 0)
    snapshot = talked(store, company)

    assert (0.6, 180, 300) == parts(snapshot, "manager_talk_share", WEEK)
    assert (0.6, None) == tuple(of_manager(snapshot, "manager_talk_share", who, WEEK) for who in (7, 8))


def traffic(company: Company, manager: int, dials: int, connects: int, seconds: int = 60) -> None:
    for number in range(dials):
        talked = {"duration_seconds": seconds} if number < connects else UNANSWERED
        company.call(at("03-14 10:00"), user_id=manager, **talked)


def test_much_dialling_with_little_connecting(store: DuckStore) -> None:
    """The card's example: 12 of 60 (at most 0.318) against 0.55 is a pattern; own calls are part of the department's."""
    company = Company().staff()
    company.user(8, 1)
    traffic(company, 7, 60, 12)
    traffic(company, 8, 100, 76)  # 88 of 160 together
    snapshot = patterned(store, company)

    assert (1, 0) == tuple(of_manager(snapshot, "call_pattern_low_connect", who) for who in (7, 8))
    assert 1 == of_manager(snapshot, "call_pattern_low_connect", 7, WEEK)


def test_a_pattern_allows_for_chance(store: DuckStore) -> None:
    """12 of 60 against 0.45: the upper bound 0.318 is not below 0.315; with fewer than 30 dials nothing is said."""
    company = Company().staff()
    company.user(8, 1)
    traffic(company, 7, 60, 12)
    traffic(company, 8, 100, 60)  # 72 of 160: 0.45
    snapshot = patterned(store, company)
    assert 0 == of_manager(snapshot, "call_pattern_low_connect", 7)

    company = Company().staff()
    company.user(8, 1)
    traffic(company, 7, 29, 0)
    traffic(company, 8, 100, 100)
    snapshot = patterned(store, company)
    assert snapshot.sample(KPIS["call_pattern_low_connect"], TODAY, MANAGER, manager_id="7") is None


def test_a_department_is_seen_with_those_below_it(store: DuckStore) -> None:
    """8 belongs to department 2 alone and is like it; 7 stands above and is compared with both."""
    company = two()
    traffic(company, 7, 30, 30)
    traffic(company, 8, 100, 20)
    snapshot = patterned(store, company)
    assert (0, 0) == tuple(of_manager(snapshot, "call_pattern_low_connect", who) for who in (7, 8))

    company = two()
    traffic(company, 7, 60, 6)
    traffic(company, 8, 100, 90)
    assert 1 == of_manager(patterned(store, company), "call_pattern_low_connect", 7)


@pytest.mark.parametrize(("talks", "seconds", "flag"), [(15, 29, 1), (15, 30, 0), (14, 10, None)])
def test_talks_that_do_not_last(store: DuckStore, talks: int, seconds: int, flag: float | None) -> None:
    """Below half of the department's median, from 15 talks on."""
    company = Company().staff()
    company.user(8, 1)
    traffic(company, 7, talks, talks, seconds)
    traffic(company, 8, 40, 40, 60)

    assert flag == of_manager(patterned(store, company), "call_pattern_short_talk", 7)


# ---------------------------------------------------------------- calls that lead to deals


def day(number: int, hour: int = 10) -> datetime:
    """Day ``number`` of a story that ends before now."""
    return at("02-01 00:00") + timedelta(days=number - 1, hours=hour)


def history(*moves: tuple[datetime, str]) -> str:
    return "; ".join(f"{moment:%m-%d %H:%M} {semantics}" for moment, semantics in moves)


def test_the_story_of_successful_calls(store: DuckStore) -> None:
    """The card's example: A day 1 and 5, B day 2, C day 1; A signs on day 10 for 50 000, C on day 40."""
    company = Company().staff()
    for client, number in ((1, 1), (1, 5), (2, 2), (3, 1)):
        company.call(day(number), **to(client))
    won_deal(company, 91, history((day(1, 9), "P"), (day(10), "S")), contact_id=1, opportunity=Decimal(50_000))
    won_deal(company, 93, history((day(1, 9), "P"), (day(40), "S")), contact_id=3, opportunity=Decimal(70_000))
    snapshot = led(store, company)

    found = {kpi: said(snapshot, kpi, PREV_MONTH) for kpi in (
        "calls_successful_count", "call_conversion_ratio", "customers_closed_by_calls_count", "avg_check_after_call",
    )}  # fmt: skip
    assert {
        "calls_successful_count": 2,
        "call_conversion_ratio": 0.5,
        "customers_closed_by_calls_count": 1,
        "avg_check_after_call": 50_000,
    } == found


@pytest.mark.parametrize(
    ("facts", "successful"),
    [
        (to(5), 1),
        ({"crm_entity_type_id": 4, "crm_entity_id": 6}, 1),
        ({"crm_entity_type_id": 1, "crm_entity_id": 9}, 1),
        ({"crm_entity_type_id": 3, "crm_entity_id": 6}, 0),
        ({"phone_key": "known"}, 1),  # no record of the CRM: by number
        (to(77) | {"phone_key": "known"}, 0),  # the record counts, not the number
        ({"phone_key": None}, 0),
        (to(5) | UNANSWERED, 1),  # every call of the population counts
        (to(5) | {"type_id": 2}, 1),
        (to(5) | {"type_id": 5}, 0),
        (to(5) | {"user_id": 8}, 1),  # a colleague closed
    ],
)
def test_how_a_call_is_linked_to_a_deal(store: DuckStore, facts: dict[str, Any], successful: int) -> None:
    """Contact, company or lead of the call; the number only where the call names none."""
    company = two()
    client_phone(company, "known", contact=5)
    won_deal(company, 50, company_id=6, contact_id=5, lead_id=9)
    company.call(at("03-05 10:00"), **facts)
    snapshot = led(store, company)

    assert successful == said(snapshot, "calls_successful_count", MTD)
    assert successful == of_manager(snapshot, "calls_successful_count", 8 if facts.get("user_id") == 8 else 7, MTD)


@pytest.mark.parametrize(
    ("moment", "successful"),
    [
        (at("03-10 15:00"), 1),  # the very moment
        (at("03-10 15:01"), 0),  # the deal was won before
        (at("02-08 15:00"), 1),  # thirty days of 24 hours, the last second included
        (at("02-08 14:59"), 0),
    ],
)
def test_the_horizon_of_a_call(store: DuckStore, moment: datetime, successful: int) -> None:
    """Won within 30 days after the call began."""
    company = Company().staff()
    won_deal(company, 50, contact_id=5)
    company.call(moment, **to(5))
    snapshot = led(store, company)

    assert successful == (said(snapshot, "calls_successful_count", PREV_MONTH) or 0) + (
        said(snapshot, "calls_successful_count", MTD) or 0
    )


def test_what_will_be_won_is_not_won_yet(store: DuckStore) -> None:
    """A portal whose clock is ahead tells of a deal that was won in half an hour."""
    company = Company().staff()
    company.call(at("03-10 10:00"), **to(5))
    won_deal(company, 50, history((at("03-14 12:30"), "S")), contact_id=5, created_at=at("03-14 12:30"))
    snapshot = led(store, company)

    assert 0 == said(snapshot, "calls_successful_count", MTD)


def test_a_call_of_two_legs_and_two_deals_is_one(store: DuckStore) -> None:
    """Calls are counted, not legs and not deals; the client's record may stand on either leg."""
    company = two()
    for deal, amount in ((50, 100), (51, 300)):
        won_deal(company, deal, contact_id=5, opportunity=Decimal(amount))
    company.call(at("03-05 10:00"), call_id="x", user_id=7, phone_key="known")
    company.call(at("03-05 10:01"), call_id="x", user_id=8, **to(5))
    snapshot = led(store, company)

    assert (1.0, 1, 1) == parts(snapshot, "call_conversion_ratio", MTD)
    assert (1, 1) == tuple(of_manager(snapshot, "calls_successful_count", who, MTD) for who in (7, 8))
    assert (1, 200) == (
        said(snapshot, "customers_closed_by_calls_count", MTD),
        said(snapshot, "avg_check_after_call", MTD),
    )


def test_deals_without_a_rate_stand_in_the_mean(store: DuckStore) -> None:
    """Counted, and adding nothing (rulings: records, people, scope)."""
    company = Company().staff()
    won_deal(company, 50, contact_id=5, opportunity=Decimal(300))
    won_deal(company, 51, contact_id=5, currency_id="XAU")
    company.call(at("03-05 10:00"), **to(5))
    found = led(store, company).sample(KPIS["avg_check_after_call"], MTD)

    assert found is not None
    assert (150, 2) == (found.value, found.n)


def test_mature_conversion_looks_at_calls_that_had_their_time(store: DuckStore) -> None:
    """Calls of the 30 days before the last 30; the bounds of the stretch are those of every window."""
    company = Company().staff()
    company.deal(50, moves="01-02 10:00 P; 02-10 15:00 S", contact_id=5)
    begins, ends = NOW - timedelta(days=60), NOW - timedelta(days=30)
    company.call(begins - timedelta(seconds=1), **to(5))
    company.call(begins, **to(5))
    company.call(begins + timedelta(days=1), **to(6))
    company.call(ends - timedelta(seconds=1), **to(5))
    company.call(ends, **to(5))
    snapshot = led(store, company)

    # the deal was won on 10 February, before the last of these was made
    assert (1 / 3, 1, 3) == parts(snapshot, "call_conversion_ratio_mature", ROLLING)
    assert (1 / 3, 1, 3) == parts(snapshot, "call_conversion_ratio_mature", MTD)
    # [31 December, 30 January): the first call that February's predecessor can judge, and the two of mid-January
    assert (2 / 3, 2, 3) == parts(snapshot, "call_conversion_ratio_mature", PREV_MONTH)


@pytest.mark.parametrize("window", [TODAY, MTD, WindowId.QTD])
def test_a_window_that_begins_just_now_is_empty(store: DuckStore, window: WindowId) -> None:
    """At midnight of the first of April nobody has called yet today; who waits since March waits in the present."""
    company = Company().staff()
    company.call(at("03-20 10:00"), **MISSED)
    snapshot = returned(store, company, now=at("04-01 00:00"))

    assert 0 == said(snapshot, "missed_calls_unreturned_count", window)
    assert 1 == said(snapshot, "missed_calls_unreturned_count", STATE)


# ---------------------------------------------------------------- the telephony funnel

FUNNEL = ("phone_funnel_count", "phone_funnel_conversion", "phone_funnel_seconds_median")
STEPS = ("dialled", "connected", "effective", "qualified", "offer", "won", "post_sale")


def funnel(snapshot: Snapshot, window: WindowId = MTD) -> list[float]:
    return [said(snapshot, "phone_funnel_count", window, step=step) or 0 for step in STEPS]


def funnelled(store: DuckStore, company: Company, **options: Any) -> Snapshot:
    return small.measured(store, company, kpis=FUNNEL, proposal_stages=frozenset({"OFFER"}), **options)


def offered(company: Company, deal: int, moment: str) -> None:
    company.move(deal, at(moment), "P", stage_id="OFFER")


def test_the_funnel_of_fifty_clients(store: DuckStore) -> None:
    """The card's example: 50, 35, 28, 14, 10, 4 and the conversions between them."""
    company = Company().staff()
    for client in range(1, 51):
        talked = {"duration_seconds": 40 if client <= 28 else 5} if client <= 35 else UNANSWERED
        company.call(at("03-03 10:00"), **to(client), **talked)
        if client <= 14:
            won = "; 03-06 10:00 S" if client <= 4 else ""
            company.deal(1000 + client, moves=f"03-04 10:00 P{won}", contact_id=client)
        if client <= 10:
            offered(company, 1000 + client, "03-05 10:00")
    snapshot = funnelled(store, company)

    assert [50, 35, 28, 14, 10, 4, 0] == funnel(snapshot)
    assert [0.7, 0.8, 0.5, 10 / 14, 0.4] == [
        said(snapshot, "phone_funnel_conversion", step=step, window=MTD) for step in STEPS[1:6]
    ]
    assert (0.4, 4, 10) == parts(snapshot, "phone_funnel_conversion", MTD, step="won")
    assert snapshot.sample(KPIS["phone_funnel_conversion"], MTD, step="dialled") is None
    assert 4 == snapshot.value(KPIS["phone_funnel_count"], MTD, MANAGER, manager_id="7", step="won")


def test_a_quote_that_was_sent_before_is_no_offer_when_it_is_answered(store: DuckStore) -> None:
    """An offer is the first sending of a quote: that the client declined it after the talk is none."""
    company = Company(feeds=(*small.FEEDS, "quotes")).staff()
    company.call(at("03-05 10:00"), **to(5))
    company.deal(50, moves="03-05 11:00 P", contact_id=5)
    for sort, (status, semantics) in enumerate((("SENT", "P"), ("DECLINED", "F"))):
        company.add(
            schema.STATUSES, directory="QUOTE_STATUS", status_id=status, name=status, sort=sort, semantics=semantics,
            entity_type_id=7,
        )  # fmt: skip
    company.add(
        schema.QUOTES,
        id=1,
        stage_id="DECLINED",
        contact_id=5,
        created_at=at("03-01 10:00"),
        modified_at=at("03-06 10:00"),
    )
    for moment, before, after in (("03-01 10:00", None, "SENT"), ("03-06 10:00", "SENT", "DECLINED")):
        company.add(schema.QUOTE_MOVES, quote_id=1, changed_at=at(moment), from_stage_id=before, to_stage_id=after)

    assert [1, 1, 1, 1, 0, 0, 0] == funnel(funnelled(store, company))


def test_a_call_that_came_in_is_no_dial_however_it_was_passed_on(store: DuckStore) -> None:
    """Its first leg says what a call is: for dials of a deal, and for clients who were dialled long ago."""
    company = Company().staff()
    for moment in ("2024-03-05 10:00", "03-05 09:00"):
        company.call(at(moment), **to(5), call_id=moment, type_id=2)
        company.call(at(moment) + timedelta(seconds=20), **to(5), call_id=moment, type_id=1)
    company.call(at("03-05 10:00"), **to(5))
    company.deal(50, created_at=at("2024-03-01 10:00"), moved_at=at("03-07 10:00"), semantics="S", contact_id=5)

    assert 1 == said(dialled(store, company), "dials_per_deal", MTD, outcome="won")
    assert [1, 1, 1, 1, 0, 0, 0] == funnel(funnelled(store, company))


def test_the_time_between_steps_is_the_companys(store: DuckStore) -> None:
    """Dialled on Monday at 17:00, reached on Tuesday at 10:00: two working hours; half of the clients took less."""
    company = Company().staff()
    for client, hour in ((1, 10), (2, 12)):
        company.call(at("03-03 17:00"), **to(client), **UNANSWERED)
        company.call(at(f"03-04 {hour}:00"), **to(client), type_id=2)
    snapshot = funnelled(store, company, calendar=OFFICE)

    assert 3 * 3600 == said(snapshot, "phone_funnel_seconds_median", MTD, step="connected")
    assert 0 == said(snapshot, "phone_funnel_seconds_median", MTD, step="effective")


@pytest.mark.parametrize(
    ("story", "reached"),
    [
        ([], 0),
        ([("03-05 10:00", {"type_id": 2})], 0),  # never dialled
        ([("03-05 10:00", {})], 3),
        ([("03-05 10:00", UNANSWERED)], 1),
        ([("03-05 10:00", {"duration_seconds": 10})], 2),
        ([("03-04 10:00", {"type_id": 2}), ("03-05 10:00", UNANSWERED)], 1),  # the talk came before the dial
        ([("2024-03-05 10:00", UNANSWERED), ("03-05 10:00", {})], 0),  # first dialled a year ago
        ([("2024-03-05 10:00", {"type_id": 2}), ("03-05 10:00", {})], 3),
        ([("2024-03-05 10:00", {"crm_entity_id": 0, "phone_key": "known"}), ("03-05 10:00", {})], 0),
        ([("03-05 10:00", {"crm_entity_id": 0, "phone_key": "known"})], 3),  # the client by number
        ([("03-05 10:00", {"crm_entity_id": 0, "phone_key": "strange"})], 0),  # nobody's number
    ],
)
def test_the_first_steps(store: DuckStore, story: list[tuple[str, dict[str, Any]]], reached: int) -> None:
    """Dialled, connected, effective; each at or after the step before, for clients never dialled before."""
    company = Company().staff()
    client_phone(company, "known", contact=5)
    for moment, facts in story:
        company.call(at(moment), **(to(5) | facts))

    assert [1] * reached + [0] * (7 - reached) == funnel(funnelled(store, company))


@pytest.mark.parametrize(
    ("moves", "offers", "reached"),
    [
        ("03-05 11:00 P", [], 4),
        ("2024-05-05 11:00 P", [], 4),  # it exists already
        ("03-14 12:30 P", [], 3),  # it does not exist yet
        ("03-05 11:00 P", ["03-05 12:00"], 5),
        ("03-01 11:00 P", ["03-02 12:00"], 4),  # offered before the talk
        ("03-05 11:00 P; 03-08 10:00 S", [], 4),  # won without an offer
        ("03-05 11:00 P; 03-08 10:00 S", ["03-05 12:00"], 6),
        ("03-05 11:00 P; 03-08 10:00 F", ["03-05 12:00"], 5),
    ],
)
def test_the_later_steps(store: DuckStore, moves: str, offers: list[str], reached: int) -> None:
    """Qualified, offer, won."""
    company = Company().staff()
    company.call(at("03-05 10:00"), **to(5))
    if moves.startswith("2024"):
        company.deal(50, created_at=at("2024-05-05 11:00"), contact_id=5)
    else:
        company.deal(50, moves=moves, contact_id=5)
    for moment in offers:
        offered(company, 50, moment)

    assert [1] * reached + [0] * (7 - reached) == funnel(funnelled(store, company))


@pytest.mark.parametrize(
    ("contact", "kept"),
    [
        ("03-08 10:00", 1),  # a day later to the second
        ("03-08 09:59", 0),
        ("03-14 11:59", 1),
        ("03-14 12:30", 0),  # after now
    ],
)
def test_the_contact_after_the_sale(store: DuckStore, contact: str, kept: int) -> None:
    """A talk, letter, chat or meeting 1 to 30 days after the win."""
    for how in ("call", "email"):
        company = Company().staff()
        company.call(at("03-05 10:00"), **to(5))
        company.deal(50, moves="03-05 11:00 P; 03-07 10:00 S", contact_id=5)
        offered(company, 50, "03-05 12:00")
        if how == "call":
            company.call(at(contact), **to(5), type_id=2)
        else:
            company.activity(50, created_at=at(contact))
        assert kept == funnel(funnelled(store, company))[-1]


@pytest.mark.parametrize(("kind", "held", "kept"), [("meeting", True, 1), ("meeting", False, 0), ("other", True, 0)])
def test_a_mapped_activity_is_a_contact_after_the_sale(store: DuckStore, kind: str, held: bool, kept: int) -> None:
    """What the configuration calls a meeting counts once it was held, at the time it was held."""
    company = Company().staff()
    company.call(at("03-05 10:00"), **to(5))
    company.deal(50, moves="03-05 11:00 P; 03-07 10:00 S", contact_id=5)
    offered(company, 50, "03-05 12:00")
    company.activity(
        50, created_at=at("03-07 11:00"), starts_at=at("03-09 11:00"), provider_id="OUR_VISITS", completed=held,
        completed_at=at("03-09 12:00") if held else None,
    )  # fmt: skip

    kinds = {"OUR_VISITS": ActivityKind(kind)}
    assert kept == funnel(funnelled(store, company, activity_kinds=kinds))[-1]


def test_leads_and_quotes_move_a_client_too(store: DuckStore) -> None:
    """A converted lead is qualified, a quote that was sent is an offer."""
    company = Company(feeds=(*small.FEEDS, "quotes")).staff()
    company.call(at("03-05 10:00"), crm_entity_type_id=1, crm_entity_id=9)
    company.lead(id=9, semantics="S", closed_at=at("03-05 11:00"))
    assert [1, 1, 1, 1, 0, 0, 0] == funnel(funnelled(store, company))

    company.add(
        schema.STATUSES,
        directory="QUOTE_STATUS",
        status_id="SENT",
        name="Sent",
        sort=20,
        semantics="P",
        entity_type_id=7,
    )
    company.add(
        schema.QUOTES, id=1, stage_id="SENT", lead_id=9, created_at=at("03-06 10:00"), modified_at=at("03-06 10:00")
    )
    assert [1, 1, 1, 1, 1, 0, 0] == funnel(funnelled(store, company))


def test_a_lead_that_is_converted_tomorrow_is_not_qualified_yet(store: DuckStore) -> None:
    """A wrong clock dated it: what has not happened yet is no arrival."""
    company = Company().staff()
    company.call(at("03-05 10:00"), crm_entity_type_id=1, crm_entity_id=9)
    tomorrow = at("03-15 10:00")
    company.lead(id=9, semantics="S", created_at=tomorrow, moved_at=tomorrow, closed_at=tomorrow)

    assert [1, 1, 1, 0, 0, 0, 0] == funnel(funnelled(store, company))


# ---------------------------------------------------------------- little and nothing


def test_without_telephony_nothing_is_said(store: DuckStore) -> None:
    """Never "0 calls" because the feed is missing."""
    company = Company(feeds=[feed for feed in small.FEEDS if feed != "phone_calls"]).staff()
    snapshot = everything(store, company)

    assert {kpi.id for kpi in MINE} == set(snapshot.absent)
    assert () == snapshot.samples


def test_a_company_without_calls(store: DuckStore) -> None:
    """Counts and sums are 0, everything else is nothing, labels that nobody has are absent."""
    snapshot = everything(store, Company().staff())
    counts = {kpi.id for kpi in MINE if kpi.id.endswith(("_count", "_total_seconds"))} - {"phone_funnel_count"}

    for kpi in MINE:
        found = [snapshot.value(kpi, window) for window in kpi.windows if COMPANY in kpi.grains]
        assert {0.0 if kpi.id in counts else None} >= set(found), kpi.id


def test_a_company_of_one_call(store: DuckStore) -> None:
    """One minute of talk today: everything that it can say."""
    company = Company().staff()
    company.call(at("03-14 10:00"), **to(5), has_record=True)
    snapshot = everything(store, company)

    assert {
        "calls_count": 1, "calls_outgoing_count": 1, "calls_incoming_count": 0, "calls_connected_count": 1,
        "calls_outgoing_connected_count": 1, "connect_rate": 1, "calls_effective_count": 1, "effective_call_rate": 1,
        "talk_time_total_seconds": 60, "talk_time_avg_seconds": 60, "talk_time_median_seconds": 60, "calls_missed_count": 0,
        "missed_call_share": None, "missed_after_hours_count": 0, "missed_calls_unreturned_count": 0,
        "missed_call_return_seconds": None, "dials_per_connect": 1,
    } == {kpi.id: snapshot.value(kpi, TODAY) for kpi in MINE if TODAY in kpi.windows and COMPANY in kpi.grains}  # fmt: skip
    assert (1, 0, 0.0, 0, None) == (
        *(said(snapshot, kpi, WEEK) for kpi in ("call_recording_coverage", "call_transcript_coverage")),
        *(
            said(snapshot, kpi, MTD)
            for kpi in ("call_conversion_ratio", "calls_successful_count", "avg_check_after_call")
        ),
    )
    assert [1, 1, 1, 0, 0, 0, 0] == funnel(snapshot)


# ---------------------------------------------------------------- explained


def test_the_records_behind_counts_and_ratios(store: DuckStore) -> None:
    """As many records as the value says, in every part of it, for everybody."""
    company = two()
    client_phone(company, "known", contact=5)
    won_deal(company, 50, contact_id=5)
    for user, minute in ((7, 0), (8, 1), (8, 2)):
        company.call(at(f"03-05 10:0{minute}"), call_id="x", user_id=user, **to(5), duration_seconds=20)
    company.call(at("03-05 11:00"), user_id=8, phone_key="known", **UNANSWERED)
    company.call(at("03-06 11:00"), user_id=7, phone_key="lost", **MISSED)
    snapshot = everything(store, company)
    options = KpiOptions(calendar=small.ALWAYS_OPEN)

    for kpi in (one for one in MINE if one.id.endswith(("_count", "_rate", "_ratio", "_share", "_coverage"))):
        for sample in (one for one in snapshot.samples if one.kpi is kpi and one.window in {MTD, WEEK, STATE}):
            records = explain(store, PORTAL, kpi, sample.window, sample.grain, sample.labels, now=NOW, options=options)
            told = {part: [r for r in records if r.part == part] for part in {r.part for r in records}}
            if sample.denominator is None:
                whole = [*told.get("", ()), *told.get("alone", ())]
                together = sum(r.contribution or 0 for r in told.get("legs", ()))
                assert sample.value == len(whole) + (together >= 30), (kpi.id, sample)
            elif kpi.id != "effective_call_rate":
                assert (sample.numerator, sample.denominator) == tuple(
                    len(told.get(part, ())) for part in ("numerator", "denominator")
                ), (kpi.id, sample)


def test_the_records_behind_times_and_amounts(store: DuckStore) -> None:
    """Return times, dials of deals, amounts of deals, seconds of talk."""
    company = Company().staff()
    won_deal(company, 50, contact_id=5, opportunity=Decimal(300))
    call = company.call(at("03-05 10:00"), **to(5))
    missed = company.call(at("03-05 11:00"), phone_key="lost", **MISSED)
    company.call(at("03-05 11:10"), phone_key="lost")
    company.pour(store)
    options = KpiOptions(calendar=small.ALWAYS_OPEN)

    def told(kpi: str, **labels: str) -> list[tuple[str, int, object]]:
        found = explain(store, PORTAL, KPIS[kpi], MTD, COMPANY, labels, now=NOW.astimezone(UTC), options=options)
        return [(record.kind, record.id, record.contribution) for record in found]

    assert [("phone_call", missed, 600)] == told("missed_call_return_seconds")
    assert [("deal", 50, 1)] == told("dials_per_deal", outcome="won")
    assert [("phone_call", call, Decimal(300))] == told("avg_check_after_call")
    assert [("phone_call", call, 1)] == told("phone_funnel_count", step="effective")
