"""Stale and stuck deals, overdue activities, changes of hands, reopened deals."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, MANAGER, Grain, Snapshot, WindowId, evaluate
from b24metrics.kpi.model import NOW as STATE_WINDOWS
from b24metrics.kpi.model import STAGE, Chapter
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1, small
from tests.kpi.small import NOW, OFFICE, Company, at

STATE, D30, MTD = WindowId.NOW, WindowId.D30, WindowId.MTD
CARE = tuple(
    kpi.id for kpi in KPIS.values() if kpi.chapter is Chapter.DISCIPLINE and kpi.source.startswith("catalogue C 7.1")
)
STALE = ("stale_deals_count",)
PIPELINE = Grain.parse("P")


def told(
    snapshot: Snapshot, kpi_id: str, window: WindowId = STATE, grain: Grain = COMPANY, **labels: str
) -> float | None:
    return snapshot.value(KPIS[kpi_id], window, grain, **labels)


measured = partial(small.measured, kpis=CARE, calendar=OFFICE)


def test_deals_in_work_of_t1(t1: DuckStore) -> None:
    """Figures of the cards: deal 4 is overdue, deal 8 has nothing planned and was forgotten, deal 6 was reopened."""
    chosen = [KPIS[kpi] for kpi in CARE]
    found = evaluate(t1, company_t1.PORTAL, chosen, now=company_t1.NOW, options=company_t1.OPTIONS)

    assert {
        "open_deals_overdue_activity_count": 1, "open_deals_overdue_activity_share": pytest.approx(1 / 3),
        "open_deals_without_activity_count": 1, "open_deals_without_activity_share": pytest.approx(1 / 3),
        "overdue_activities_count": 1, "stale_deals_count": 1, "stale_deals_share": pytest.approx(1 / 3),
        "stale_deals_amount": 80_000, "stuck_deals_count": 0,
    } == {kpi.id: told(found, kpi.id) for kpi in chosen if kpi.windows == STATE_WINDOWS}  # fmt: skip
    assert 1 == told(found, "deals_reopened_count", MTD)
    assert 0 == told(found, "deals_reopened_count", WindowId.D7)
    assert {"deal_reassignments_count": ("assignments",)} == found.absent
    assert 1 == told(found, "overdue_activities_count", STATE, MANAGER, manager_id="102")
    assert 1 == told(found, "stale_deals_count", STATE, MANAGER, manager_id="104")  # dismissed, but the deal is there


# ---------------------------------------------------------------- stale


@pytest.mark.parametrize(
    ("contact", "expected"),
    [
        ("03-06 23:59", 1),  # Thursday: Friday 7, Monday 10 … Friday 14 are six dates; today counts
        ("03-07 00:00", 1),  # five dates
        ("03-07 23:59", 1),
        ("03-08 00:00", 1),  # Saturday and Sunday are as good as Friday night
        ("03-09 23:59", 1),
        ("03-10 00:00", 0),  # four
        ("03-14 11:00", 0),
    ],
)
def test_working_dates_since_the_last_contact(store: DuckStore, contact: str, expected: int) -> None:
    """Stale from five dates on, dates after the day of contact up to and including today."""
    company = Company().staff()
    company.activity(company.deal(created_at=at("02-03 10:00")), created_at=at(contact))

    assert expected == told(measured(store, company, kpis=STALE), "stale_deals_count")


def test_what_is_a_contact(store: DuckStore) -> None:
    """Connected calls, letters and chats in either direction, held meetings; through bindings. Nothing else."""

    def stale(add: Any) -> float | None:
        company = Company().staff()
        add(company, company.deal(created_at=at("02-03 10:00")))
        return told(measured(store, company, kpis=STALE), "stale_deals_count")

    recent = {"created_at": at("03-12 10:00")}

    def call(company: Company, deal: int, **facts: Any) -> None:
        activity = company.activity(deal, type_id=2, provider_id="VOXIMPLANT_CALL", created_at=at("02-03 10:00"))
        company.call(at("03-12 10:00"), crm_activity_id=activity, **facts)

    def passed_on(company: Company, deal: int) -> None:
        """Rang with one person, whose leg names the activity, and was answered by another."""
        call(company, deal, call_id="x", failed_code="304", duration_seconds=0)
        company.call(at("03-12 10:01"), call_id="x")

    meeting = {"type_id": 1, "provider_id": "CRM_MEETING", "created_at": at("02-03 10:00")}
    chat = {"type_id": 6, "provider_id": "IMOPENLINES_SESSION", **recent}
    assert 1 == stale(lambda c, d: None)
    assert 0 == stale(call)
    assert 0 == stale(lambda c, d: call(c, d, type_id=2))
    assert 1 == stale(lambda c, d: call(c, d, failed_code="304", duration_seconds=0))
    assert 0 == stale(passed_on)
    assert 1 == stale(lambda c, d: call(c, d, category="internal"))
    assert 0 == stale(lambda c, d: c.activity(d, **recent))
    assert 0 == stale(lambda c, d: c.activity(d, direction=1, **recent))
    assert 0 == stale(lambda c, d: c.bind(c.activity(**recent), 2, d))
    assert 1 == stale(lambda c, d: c.activity(**recent))  # bound to the contact alone
    assert 0 == stale(lambda c, d: c.activity(d, direction=1, **chat))
    assert 0 == stale(lambda c, d: c.activity(d, starts_at=at("03-12 10:00"), **meeting))
    assert 1 == stale(lambda c, d: c.activity(d, starts_at=at("03-12 10:00"), completed=False, **meeting))
    assert 1 == stale(lambda c, d: c.activity(d, starts_at=at("03-15 10:00"), **meeting))
    assert 1 == stale(lambda c, d: c.activity(d, type_id=3, provider_id="TASKS", **recent))
    assert 1 == stale(lambda c, d: c.activity(d, deleted_at=NOW, **recent))


def test_never_contacted_deals_count_from_their_creation(store: DuckStore) -> None:
    """A deal of the future lacks nothing; amounts of stale deals are summed, one without a rate left out."""
    company = Company().staff()
    company.deal(created_at=at("03-06 10:00"), opportunity=Decimal(700))
    company.deal(created_at=at("03-06 10:00"), currency_id="XAU")
    company.deal(created_at=at("03-10 10:00"))
    company.deal(created_at=at("03-20 10:00"))
    found = measured(store, company)

    assert (2, 0.5, 700) == tuple(
        told(found, kpi) for kpi in ("stale_deals_count", "stale_deals_share", "stale_deals_amount")
    )
    assert 3 == told(measured(store, company, kpis=STALE, stale_days=4), "stale_deals_count")


def test_shares_of_no_deals(store: DuckStore) -> None:
    """Counts are 0, shares have no value."""
    found = measured(store, Company().staff())

    assert [0.0, None, 0.0, None, 0.0, 0.0, None, 0.0, 0.0] == [
        told(found, kpi) for kpi in CARE if KPIS[kpi].windows == STATE_WINDOWS
    ]


# ---------------------------------------------------------------- overdue activities


def test_overdue_activities_are_counted_not_deals(store: DuckStore) -> None:
    """Of whoever is responsible, whatever they belong to; one that serves deals of two pipelines counts in each."""
    company = Company().staff()
    company.add(schema.PIPELINES, entity_type_id=2, id=3, name="Second", sort=2, is_default=False)
    late = {"deadline_at": at("03-14 11:59"), "completed": False, "type_id": 6, "provider_id": "CRM_TODO"}
    deal, other = company.deal(), company.deal(pipeline_id=3)
    company.activity(deal, **late)
    company.bind(company.activity(deal, **late), 2, other)
    company.activity(**late)
    company.activity(deal, **(late | {"deadline_at": NOW}))
    company.activity(deal, **(late | {"is_incoming_channel": True}))
    company.activity(deal, **(late | {"completed": True}))
    found = measured(store, company, kpis=("overdue_activities_count",))

    assert 3 == told(found, "overdue_activities_count")
    assert 3 == told(found, "overdue_activities_count", STATE, MANAGER, manager_id="7")
    assert (2, 1) == tuple(
        told(found, "overdue_activities_count", STATE, PIPELINE, pipeline_id=number) for number in ("0", "3")
    )


# ---------------------------------------------------------------- stuck


def standing(hours: int) -> str:
    """When a deal came to its stage, round the clock."""
    return (NOW - timedelta(hours=hours)).strftime("%m-%d %H:%M")


def test_the_stages_own_threshold(store: DuckStore) -> None:
    """The card's example: threshold 24 h, ages 5, 30 and 70 h; without any threshold nothing is stuck."""
    company = Company().staff()
    for hours in (5, 24, 30, 70):
        deal = company.deal(moves="02-20 10:00 P", stage_id="Q")
        company.move(deal, NOW - timedelta(hours=hours), "P", stage_id="Q")
    company.add(
        schema.STATUSES, directory="DEAL_STAGE", status_id="Q", sort=1, semantics="P", entity_type_id=2, pipeline_id=0,
        name="Q",
    )  # fmt: skip
    stuck = partial(small.measured, store, company, kpis=("stuck_deals_count",))

    assert 2 == told(found := stuck(stage_limits={"Q": 86_400}), "stuck_deals_count")
    assert 2 == told(found, "stuck_deals_count", STATE, STAGE, pipeline_id="0", stage_id="Q")
    assert 0 == told(stuck(), "stuck_deals_count")


@pytest.mark.parametrize(("completed", "limit", "expected"), [(20, None, 1), (19, None, 0), (20, 50, 0), (19, 39, 1)])
def test_three_quarters_of_the_others(store: DuckStore, completed: int, limit: int | None, expected: int) -> None:
    """20 stays of 1 … 20 hours: p75 is 15.25 h; whichever is more counts; with 19 there is none."""
    company = Company().staff()
    for hours in range(1, completed + 1):
        left = datetime.fromisoformat("2025-03-01T00:00") + timedelta(hours=hours)
        company.deal(moves=f"03-01 00:00 P; {left:%m-%d %H:%M} F")
    company.deal(moves=f"{standing(15)} P")
    company.deal(moves=f"{standing(40)} P")
    limits = {"stage_limits": {"P": limit * 3600}} if limit else {}

    assert expected == told(small.measured(store, company, kpis=("stuck_deals_count",), **limits), "stuck_deals_count")


def test_stays_of_more_than_180_days_ago_say_nothing(store: DuckStore) -> None:
    """Completed spells are those of t180."""
    company = Company().staff()
    for _ in range(20):
        deal = company.deal(created_at=at("2024-08-01 00:00"), semantics="F", stage_id="F")
        company.move(deal, at("2024-08-01 00:00"), "P", kind=1)
        company.move(deal, at("2024-08-01 01:00"), "F")
    company.deal(moves=f"{standing(40)} P")

    assert 0 == told(small.measured(store, company, kpis=("stuck_deals_count",)), "stuck_deals_count")


# ---------------------------------------------------------------- changes of hands


def test_changes_of_hands(store: DuckStore) -> None:
    """The card's example: 101 → 102 → 101 is two events of one deal; each of who gave it away. Leads have their own."""
    company = Company().staff()
    company.user(8, 1)
    deal = company.deal()
    for moment, before, after in (("03-01 10:00", 7, 8), ("03-12 10:00", 8, 7), ("01-12 10:00", 7, 8)):
        company.add(
            schema.ASSIGNMENTS, entity_type_id=2, entity_id=deal, changed_at=at(moment), from_id=before, to_id=after,
            observed_at=NOW,
        )  # fmt: skip
    company.add(
        schema.ASSIGNMENTS, entity_type_id=1, entity_id=deal, changed_at=at("03-12 10:00"), from_id=8, to_id=7,
        observed_at=NOW,
    )  # fmt: skip
    found = measured(store, company, kpis=("deal_reassignments_count",))

    assert (2, 1) == tuple(told(found, "deal_reassignments_count", window) for window in (D30, WindowId.D7))
    assert (1, 1) == tuple(told(found, "deal_reassignments_count", D30, MANAGER, manager_id=who) for who in ("7", "8"))
    assert 2 == told(found, "deal_reassignments_count", D30, DEPARTMENT, department_id="1")


def test_without_watching_there_is_no_answer(store: DuckStore) -> None:
    """No capture, no sample; from the first round on 0 means none."""
    company = Company().staff()
    company.deal()
    assert ("assignments",) == measured(store, company).absent["deal_reassignments_count"]

    store.execute("UPDATE portals SET first_synced_at = ?", [at("03-10 10:00")])
    found = evaluate(store, small.PORTAL, [KPIS["deal_reassignments_count"]], now=NOW)
    assert 0 == told(found, "deal_reassignments_count", D30)


# ---------------------------------------------------------------- reopened


def test_reopened_deals_are_counted_once(store: DuckStore) -> None:
    """Deals, not events; a final move after a final one is no reopening, nor is a first row."""
    company = Company().staff()
    company.deal(moves="03-01 10:00 P; 03-02 10:00 S; 03-03 10:00 P; 03-04 10:00 F; 03-05 10:00 P", semantics="P")
    company.deal(moves="02-01 10:00 P; 02-02 10:00 S; 02-20 10:00 P; 02-21 10:00 P")
    company.deal(moves="03-01 10:00 P; 03-02 10:00 S; 03-03 10:00 F")
    company.deal(moves="03-01 10:00 P; 03-02 10:00 P")
    found = measured(store, company, kpis=("deals_reopened_count",))

    assert (1, 2, 1) == tuple(told(found, "deals_reopened_count", w) for w in (MTD, D30, WindowId.PREV_MONTH))
    assert 2 == told(found, "deals_reopened_count", D30, MANAGER, manager_id="7")
    assert 2 == told(found, "deals_reopened_count", D30, PIPELINE, pipeline_id="0")
