"""New requests: distributions, censoring, SLA, hands, colleagues; what waits now."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, MANAGER, Grain, KpiOptions, Snapshot, WindowId, evaluate
from b24metrics.kpi.model import Chapter, Part
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from b24metrics.worktime import Absence, Employee
from tests.kpi import company_t1, small
from tests.kpi.small import ALWAYS_OPEN, NOW, OFFICE, Company, at

MTD, STATE = WindowId.MTD, WindowId.NOW
REACTION = tuple(
    kpi.id for kpi in KPIS.values() if kpi.chapter is Chapter.DISCIPLINE and kpi.source.startswith("catalogue C 7.2")
)
measured = partial(small.measured, kpis=REACTION)


def told(
    snapshot: Snapshot, kpi_id: str, window: WindowId = MTD, grain: Grain = COMPANY, **labels: str
) -> float | None:
    return snapshot.value(KPIS[kpi_id], window, grain, **labels)


@pytest.fixture(scope="module")
def of_t1(t1: DuckStore) -> Snapshot:
    """All of §7.2 on company T1."""
    return evaluate(
        t1, company_t1.PORTAL, [KPIS[kpi] for kpi in REACTION], now=company_t1.NOW, options=company_t1.OPTIONS
    )


@pytest.mark.parametrize(
    ("kpi_id", "expected", "n"),
    [
        ("first_response_seconds_avg", 2625, 4),
        ("first_response_seconds_median", 2700, 4),
        ("first_response_seconds_p90", 3420, 4),
        ("first_response_seconds_km_median", 3000, 5),
        ("first_response_calendar_seconds_median", 3000, 4),
        ("first_contact_seconds_median", 2700, 4),
        ("sla_attainment_ratio", 0.2, 5),
        ("reaction_by_other_count", 1, 1),  # Vera called the client of deal 3 first
        ("answered_at_creation_count", 0, 0),
    ],
)
def test_requests_of_march(of_t1: Snapshot, kpi_id: str, expected: float, n: int) -> None:
    """Figures of the cards, month to date: 25, 50, 40 and 60 minutes, deal 5 unanswered for 32 hours."""
    sample = of_t1.sample(KPIS[kpi_id], MTD)

    assert sample is not None
    assert (pytest.approx(expected), n) == (sample.value, sample.n)


def test_the_histogram_of_t1(of_t1: Snapshot) -> None:
    """0, 0, 1, 4, 4 within 5, 15, 30, 60 minutes and 4 hours; all 5."""
    found = {
        sample.labels["limit"]: sample.value
        for sample in of_t1.of(KPIS["responses_within_count"], COMPANY)
        if sample.window is MTD
    }

    assert {"300": 0, "900": 0, "1800": 1, "3600": 4, "14400": 4, "all": 5} == found


def test_what_waits_in_t1(of_t1: Snapshot) -> None:
    """Deal 5: one request, 32 working hours, beyond the SLA; Anna is there."""
    assert (1, 115_200, 1, 1, 0) == tuple(
        told(of_t1, kpi, STATE)
        for kpi in (
            "unanswered_now_count", "unanswered_oldest_seconds", "unanswered_breach_count", "unanswered_breach_share",
            "unanswered_assigned_to_absent_count",
        )
    )  # fmt: skip
    assert 1 == told(of_t1, "unanswered_now_count", STATE, MANAGER, manager_id="101")
    assert None is told(of_t1, "unanswered_oldest_seconds", STATE, MANAGER, manager_id="102")


def test_anna_on_sick_leave(t1: DuckStore) -> None:
    """Her unanswered request is counted where she is absent, and does not age."""
    ill = Employee(101, absences=(Absence(at("03-14 00:00"), at("03-20 00:00")),))
    options = replace(company_t1.OPTIONS, employees=(ill,))
    kpis = [KPIS["unanswered_assigned_to_absent_count"], KPIS["unanswered_oldest_seconds"]]
    found = evaluate(t1, company_t1.PORTAL, kpis, now=company_t1.NOW, options=options)

    assert 1 == told(found, "unanswered_assigned_to_absent_count", STATE)
    assert 1 == told(found, "unanswered_assigned_to_absent_count", STATE, DEPARTMENT, department_id="11")
    assert 115_200 - 3 * 3600 == told(found, "unanswered_oldest_seconds", STATE)


# ---------------------------------------------------------------- strict contact, SLA


def test_an_unanswered_dial_is_a_reaction_but_no_contact(store: DuckStore) -> None:
    """Nor are a stage move and an edit; a connected call is."""
    company = Company().staff()
    deal = company.deal(created_at=at("03-03 10:00"), modified_at=at("03-03 10:00"), modified_by_id=7, moved_by_id=7)
    company.move(deal, at("03-03 10:00"), "P", kind=1)
    for minute, code, seconds in (("05", "304", 0), ("20", "200", 30)):
        activity = company.activity(deal, type_id=2, provider_id="VOXIMPLANT_CALL")
        company.call(at(f"03-03 10:{minute}"), failed_code=code, duration_seconds=seconds, crm_activity_id=activity)
    company.move(deal, at("03-03 10:02"), "Q")
    found = measured(store, company)

    assert (120, 1200) == (told(found, "first_response_seconds_median"), told(found, "first_contact_seconds_median"))


@pytest.mark.parametrize(
    ("answered_at", "closed_at", "now", "expected"),
    [
        ("03-03 10:30", None, NOW, (1, 1)),  # to the second
        ("03-03 10:31", None, NOW, (0, 1)),
        (None, None, at("03-03 10:30"), (0, 0)),  # pending
        (None, None, at("03-03 10:31"), (0, 1)),
        (None, "03-03 10:30", NOW, (0, 0)),  # closed before it was due: nothing to say
        (None, "03-03 10:31", NOW, (0, 1)),
    ],
)
def test_who_takes_part_in_the_sla(
    store: DuckStore, answered_at: str | None, closed_at: str | None, now: Any, expected: tuple[int, int]
) -> None:
    """Answered ones always; unanswered ones when their age, at closing or now, is above the SLA."""
    company = Company().staff()
    moves = "03-03 10:00 P" + (f"; {closed_at} F" if closed_at else "")
    deal = company.deal(moves=moves)
    if answered_at:
        company.activity(deal, created_at=at(answered_at))
    sample = measured(store, company, now=now).sample(KPIS["sla_attainment_ratio"], MTD)

    assert sample is not None
    assert expected == (sample.numerator, sample.denominator)


def test_closing_censors_the_wait(store: DuckStore) -> None:
    """Kaplan-Meier of 20 minutes and one closed after 30: half has ended at 20 minutes."""
    company = Company().staff()
    company.activity(company.deal(created_at=at("03-03 10:00")), created_at=at("03-03 10:20"))
    company.deal(moves="03-03 10:00 P; 03-03 10:30 F")

    assert 1200 == told(measured(store, company), "first_response_seconds_km_median")


def test_answered_at_creation_is_out_of_everything(store: DuckStore) -> None:
    """Neither in a share, nor waiting, nor in the histogram's total."""
    company = Company().staff()
    deal = company.deal(created_at=at("03-03 10:05"), modified_at=at("03-03 10:05"))
    activity = company.activity(deal, type_id=2, provider_id="VOXIMPLANT_CALL")
    company.call(at("03-03 10:00"), type_id=2, duration_seconds=300, crm_activity_id=activity)
    found = measured(store, company)

    assert 1 == told(found, "answered_at_creation_count")
    assert 0 == told(found, "unanswered_now_count", STATE)
    assert 0 == told(found, "responses_within_count", limit="all")
    assert None is told(found, "sla_attainment_ratio")


# ---------------------------------------------------------------- hands


def handed_over(**facts: Any) -> Company:
    """Created at 10:00 for 8, handed to 7 at 10:40, dialled by 7 at 10:50."""
    company = Company().staff()
    company.user(8, 1)
    deal = company.deal(created_at=at("03-03 10:00"), modified_at=at("03-03 10:00"), **facts)
    company.add(
        schema.ASSIGNMENTS, entity_type_id=2, entity_id=deal, changed_at=at("03-03 10:40"), from_id=8, to_id=7,
        observed_at=at("03-03 10:41"),
    )  # fmt: skip
    activity = company.activity(deal, type_id=2, provider_id="VOXIMPLANT_CALL")
    company.call(at("03-03 10:50"), crm_activity_id=activity)
    return company


def test_since_assignment(store: DuckStore) -> None:
    """The card's example: 600 s since assignment, 3000 s for the client; the request is his who reacted."""
    found = measured(store, handed_over())

    assert 600 == told(found, "first_response_since_assignment_seconds_median")
    assert 3000 == told(found, "first_response_seconds_median")
    assert 3000 == told(found, "first_response_seconds_median", MTD, MANAGER, manager_id="7")
    assert None is told(found, "first_response_seconds_median", MTD, MANAGER, manager_id="8")


def test_each_stretch_counts_in_its_own_calendar(store: DuckStore) -> None:
    """8 was away until the hand-over: only 7's ten minutes count."""
    away = Employee(8, absences=(Absence(at("03-03 00:00"), at("03-04 00:00")),))

    assert 600 == told(measured(store, handed_over(), employees=(away,)), "first_response_seconds_median")


def test_a_reaction_counts_for_who_was_responsible_then(store: DuckStore) -> None:
    """8 wrote while the request was theirs: 15 minutes. What 7 did then was a colleague's."""
    company = handed_over()
    deal = company.rows[schema.DEALS][0]["id"]
    company.activity(deal, created_at=at("03-03 10:10"), responsible_id=7)
    company.activity(deal, created_at=at("03-03 10:15"), responsible_id=8)
    found = measured(store, company)

    assert 900 == told(found, "first_response_seconds_median", MTD, MANAGER, manager_id="8")
    assert 1 == told(found, "reaction_by_other_count")


def test_an_earlier_move_belongs_to_who_was_responsible(store: DuckStore) -> None:
    """Only the last mover is told by the portal."""
    company = handed_over(moved_by_id=1)
    deal = company.rows[schema.DEALS][0]["id"]
    for minute, stage, kind in (("00", "P", 1), ("30", "Q", 2), ("45", "P", 2)):
        company.move(deal, at(f"03-03 10:{minute}"), stage, kind=kind)

    assert 1800 == told(measured(store, company), "first_response_seconds_median", MTD, MANAGER, manager_id="8")


def test_since_assignment_needs_a_watched_beginning(store: DuckStore) -> None:
    """A request that was created before anybody watched may have changed hands; one created since has not."""
    company = Company().staff()
    company.activity(company.deal(created_at=at("03-03 10:00")), created_at=at("03-03 10:20"))
    company.pour(store)
    kpi = KPIS["first_response_since_assignment_seconds_median"]
    for watched, expected in ((None, None), ("03-03 10:01", None), ("03-03 10:00", 1200)):
        if watched:
            store.execute("UPDATE portals SET first_synced_at = ?", [at(watched)])
        found = evaluate(store, small.PORTAL, [kpi], now=NOW, options=KpiOptions(calendar=ALWAYS_OPEN))
        assert expected == found.value(kpi, MTD)


# ---------------------------------------------------------------- what waits now


def test_unanswered_requests_of_thirty_days(store: DuckStore) -> None:
    """Open, not older than 30 days, without own reaction; whatever window anybody looks at."""
    company = Company().staff()
    company.deal(created_at=at("02-12 11:59"))  # 30 days and a minute
    company.deal(created_at=at("02-12 12:00"))
    company.deal(moves="03-03 10:00 P; 03-03 11:00 F")  # closed
    company.activity(company.deal(created_at=at("03-03 10:00")), responsible_id=9)  # a colleague's reaction only
    company.activity(company.deal(created_at=at("03-03 10:00")))
    found = measured(store, company, calendar=OFFICE)

    assert 2 == told(found, "unanswered_now_count", STATE)
    assert 2 == told(found, "unanswered_now_count", STATE, Grain.parse("R"), source_id="WEB")
    assert 1 == told(found, "unanswered_breach_share", STATE)
    assert 22 * 9 * 3600 == told(found, "unanswered_oldest_seconds", STATE)  # 12 February noon to 14 March noon


def test_a_request_of_the_future_waits(store: DuckStore) -> None:
    """It counts in states, not in windows; it has no age."""
    company = Company().staff()
    company.deal(created_at=at("03-14 17:00"))
    found = measured(store, company, calendar=OFFICE)

    assert (1, 0, None) == tuple(
        told(found, kpi, STATE)
        for kpi in ("unanswered_now_count", "unanswered_breach_count", "unanswered_oldest_seconds")
    )
    assert 0 == found.value(KPIS["responses_within_count"], WindowId.MTD, limit="all")


@pytest.mark.parametrize(
    ("facts", "absence", "expected"),
    [
        ({}, None, 0),
        ({"active": False}, None, 1),  # dismissed
        ({}, ("03-14 11:00", "03-14 13:00"), 1),  # covers this moment
        ({}, ("03-14 13:00", "03-14 14:00"), 0),
        ({}, ("03-14 09:00", "03-14 11:00"), 0),
    ],
)
def test_whose_requests_nobody_will_answer(
    store: DuckStore, facts: dict[str, Any], absence: tuple[str, str] | None, expected: int
) -> None:
    """Absent at this moment or all day, dismissed, or without work in the next 24 hours."""
    company = Company().staff()
    company.user(8, 1, **facts)
    company.deal(created_at=at("03-14 10:00"), assigned_by_id=8)
    if absence:
        company.add(schema.ABSENCES, user_id=8, id=1, starts_at=at(absence[0]), ends_at=at(absence[1]))
    found = measured(store, company, calendar=OFFICE, kpis=("unanswered_assigned_to_absent_count",))

    assert expected == told(found, "unanswered_assigned_to_absent_count", STATE)


def test_sizes_stand_beside_medians(of_t1: Snapshot) -> None:
    """Kaplan-Meier counts the unanswered ones, too."""
    sample = of_t1.sample(KPIS["first_response_seconds_km_median"], MTD)

    assert sample is not None
    assert 5 == sample.part(Part.N)


def test_nothing_to_say_of_nobody(store: DuckStore) -> None:
    """An empty company: counts are 0, everything else has no value."""
    found = measured(store, Company().staff())
    counts = {kpi for kpi in REACTION if kpi.endswith("_count")}

    assert {0.0} == {sample.value for sample in found.samples if sample.kpi.id in counts}
    assert {None} == {sample.value for sample in found.samples if sample.kpi.id not in counts}
