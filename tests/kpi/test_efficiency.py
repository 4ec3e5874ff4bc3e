"""Chapter E: manager efficiency. Figures are the catalogue's, or counted by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial

import numpy as np
import pytest

from b24metrics.errors import ConfigError
from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, MANAGER, KpiOptions, Snapshot, WindowId, efficiency, evaluate
from b24metrics.kpi.options import (
    BonusBasis,
    BonusOptions,
    BonusTier,
    Criterion,
    ScorecardOptions,
)
from b24metrics.kpi.scoring import attained, banded, percent_of_sales
from b24metrics.mirror import schema
from b24metrics.mirror.inputs import UNDATED
from b24metrics.mirror.stores import DuckStore
from b24metrics.worktime import WorkCalendar
from tests.kpi import company_t1, small
from tests.kpi.small import NOW, OFFICE, Company, at

IDS = [kpi.id for kpi in efficiency.CHAPTER]
measured = partial(small.measured, kpis=IDS)
MTD, PREV, NOW_, T365, QTD = WindowId.MTD, WindowId.PREV_MONTH, WindowId.NOW, WindowId.T365, WindowId.QTD
MARCH, FEBRUARY, JANUARY = (date(2025, month, 1) for month in (3, 2, 1))
WON = "03-03 10:00 P; 03-10 15:00 S"
WON_IN_FEBRUARY = "02-03 10:00 P; 02-10 15:00 S"
LOST = "03-03 10:00 P; 03-10 15:00 F"


@pytest.fixture(scope="module")
def snapshot(t1: DuckStore) -> Snapshot:
    kpis = [KPIS[name] for name in IDS]
    return evaluate(t1, company_t1.PORTAL, kpis, now=company_t1.NOW, options=company_t1.OPTIONS)


def team(*users: int) -> Company:
    """Manager 7 and further ones in one department."""
    company = Company().staff()
    for user in users:
        company.user(user, 1)
    return company


def given(
    company: Company, kind: str, level: str, subject: int, amount: float, on: date = MARCH, label: str = ""
) -> None:
    company.add(
        schema.INPUTS,
        kind=kind,
        level=level,
        subject_id=subject,
        starts_on=on,
        label=label,
        amount=Decimal(str(amount)),
    )


def frozen(company: Company, kpi_id: str, subject: int, value: float, month: date = FEBRUARY) -> None:
    company.add(
        schema.FROZEN_VALUES, kpi_id=kpi_id, level="M", subject_id=subject, month=month, value=value, frozen_at=at("03-04 00:00")
    )  # fmt: skip


def of_managers(found: Snapshot, name: str, window: WindowId, **labels: str) -> dict[int, float | None]:
    return {
        int(s.labels["manager_id"]): s.value
        for s in found.of(KPIS[name], MANAGER)
        if s.window == window and labels.items() <= dict(s.labels).items()
    }


# ---------------------------------------------------------------- load


def test_load_of_t1(snapshot: Snapshot) -> None:
    """101 → 1, 102 → 1, 103 → 0; Gleb's deal is orphaned; the sales department: median and maximum 1."""
    load = KPIS["manager_load_open_deals"]

    assert {101: 1, 102: 1, 103: 0} == of_managers(snapshot, load.id, NOW_)
    assert (1, 1) == tuple(
        snapshot.value(load, NOW_, DEPARTMENT, department_id="10", stat=stat) for stat in ("median", "max")
    )
    assert {"median", "max"} == {s.labels["stat"] for s in snapshot.of(load, DEPARTMENT)}
    assert () == snapshot.of(KPIS["manager_load_index"], MANAGER)  # nobody has two colleagues


def test_load_against_the_median_of_the_department(store: DuckStore) -> None:
    """12, 20, 40 → 0.6, 1, 2; the median over a sub-department too."""
    company = team(8, 9)
    company.department(2, 1)
    company.user(10, 2)
    for user, count in ((7, 12), (8, 20), (9, 40), (10, 1)):
        for _ in range(count):
            company.deal(moves="03-03 10:00 P", assigned_by_id=user)
    found = measured(store, company)

    assert {7: 0.6, 8: 1, 9: 2} == of_managers(found, "manager_load_index", NOW_)
    load = KPIS["manager_load_open_deals"]
    assert (16, 40) == tuple(
        found.value(load, NOW_, DEPARTMENT, department_id="1", stat=stat) for stat in ("median", "max")
    )


@pytest.mark.parametrize(("loads", "expected"), [((3, 4), {}), ((0, 0, 5), {}), ((0, 2, 2), {7: 0, 8: 1, 9: 1})])
def test_when_there_is_no_load_index(store: DuckStore, loads: tuple[int, ...], expected: dict[int, float]) -> None:
    """Three members at least and a median above 0; members without deals count."""
    company = team(*range(8, 7 + len(loads)))
    company.user(20, 1, active=False)
    for user, count in enumerate(loads, start=7):
        for _ in range(count):
            company.deal(moves="03-03 10:00 P", assigned_by_id=user)

    assert expected == of_managers(measured(store, company), "manager_load_index", NOW_)


# ---------------------------------------------------------------- rank


def test_rank_of_t1(snapshot: Snapshot) -> None:
    """Revenue mtd: Anna 1, Vera 2, Boris 3; each alone in the own department; Gleb is not ranked."""
    assert {101: 1, 103: 2, 102: 3} == of_managers(snapshot, "manager_rank", MTD, by="revenue_won", within="T")
    assert {101: 1, 103: 1, 102: 1} == of_managers(snapshot, "manager_rank", MTD, by="revenue_won", within="D")
    assert {"revenue_won"} == {s.labels["by"] for s in snapshot.of(KPIS["manager_rank"], MANAGER)}


def test_equals_share_a_rank(store: DuckStore) -> None:
    """1 2 2 4."""
    company = team(8, 9, 10)
    for user, amount in ((7, 50), (8, 70), (9, 50), (10, 10)):
        company.deal(moves=WON, assigned_by_id=user, opportunity=Decimal(amount))

    assert {8: 1, 7: 2, 9: 2, 10: 4} == of_managers(
        measured(store, company), "manager_rank", MTD, by="revenue_won", within="T"
    )


def test_proportions_are_ranked_by_their_wilson_bound(store: DuckStore) -> None:
    """45 of 60 (0.628 at least) goes before 1 of 1 (0.207 at least); without closed deals there is no rank."""
    company = team(8, 9)
    company.deal(moves=WON, assigned_by_id=7)
    for number in range(60):
        company.deal(moves=WON if number < 45 else LOST, assigned_by_id=8)
    found = measured(store, company, rank_by=("win_rate", "deals_won_count"))

    assert {8: 1, 7: 2} == of_managers(found, "manager_rank", MTD, by="win_rate", within="D")
    assert {8: 1, 7: 2, 9: 3} == of_managers(found, "manager_rank", MTD, by="deals_won_count", within="T")
    assert {} == of_managers(found, "manager_rank", MTD, by="revenue_won")


def test_who_was_away_all_the_time_is_not_ranked(store: DuckStore) -> None:
    """Absent from 1 March on; back in the month before."""
    company = team(8)
    company.add(schema.ABSENCES, user_id=8, id=1, starts_at=at("03-01 00:00"), ends_at=at("04-01 00:00"))
    found = measured(store, company, calendar=OFFICE)

    assert {7: 1} == of_managers(found, "manager_rank", MTD, within="T")
    assert {7: 1, 8: 1} == of_managers(found, "manager_rank", PREV, within="T")


def test_whoever_was_hired_later_is_not_ranked_before(store: DuckStore) -> None:
    """No working day before the first one."""
    company = team()
    company.user(8, 1, employed_on=date(2025, 3, 3))

    assert {7: 1} == of_managers(measured(store, company), "manager_rank", PREV, within="T")


def test_a_missing_feed_takes_only_its_own_rank_away(store: DuckStore) -> None:
    """Without telephony there is no rank by calls, and the others stay."""
    company = team()
    company.feeds = [feed for feed in company.feeds if feed != "phone_calls"]
    found = measured(store, company, rank_by=("revenue_won", "calls_outgoing_count"))

    assert {"revenue_won"} == {s.labels["by"] for s in found.of(KPIS["manager_rank"], MANAGER)}


# ---------------------------------------------------------------- payback


def test_payback(store: DuckStore) -> None:
    """244 000 × 0.3 / 120 000 = 0.61, in the month after."""
    company = team()
    company.deal(moves=WON, opportunity=Decimal(244_000))
    given(company, "costs", "M", 7, 70_000, label="salary")
    given(company, "costs", "M", 7, 50_000, label="overhead")
    found = measured(store, company, now=at("04-02 12:00"), margin=0.3)

    assert (0.61, 0.61, 0.61) == (
        found.value(KPIS["manager_payback_ratio"], PREV, MANAGER, manager_id="7"),
        found.value(KPIS["manager_payback_ratio"], PREV, DEPARTMENT, department_id="1"),
        found.value(KPIS["manager_payback_ratio"], PREV),
    )


def test_payback_needs_costs(store: DuckStore) -> None:
    """Of the person, and of the period; the company's own costs go before the sum of its managers'; the future is unknown."""
    company = team(8)
    company.deal(moves=WON, opportunity=Decimal(100))
    given(company, "costs", "M", 8, 50)
    given(company, "costs", "T", 0, 400)
    given(company, "costs", "M", 8, 1000, date(2025, 4, 1))
    found = measured(store, company)

    assert {8: 0} == of_managers(found, "manager_payback_ratio", QTD)
    assert 0.25 == found.value(KPIS["manager_payback_ratio"], QTD)
    assert None is found.value(KPIS["manager_payback_ratio"], PREV)
    nothing = measured(store, team())
    assert {"manager_payback_ratio": ("inputs.costs",)}.items() <= dict(nothing.absent).items()


# ---------------------------------------------------------------- quality of calls


def points(company: Company, call: int, written: str) -> None:
    """``"2 2 - 1"``: criteria in order."""
    for criterion, mark in enumerate(written.split(), start=1):
        if mark != "-":
            given(company, "call_points", "call", call, float(mark), UNDATED, str(criterion))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2 2 1 2 1 - 2 0 2 2", 14 / 18),
        ("2 2 2 2 2 2 2 2 0 2", 0.5),  # rude
        ("1 0 0 0 0 0 0 0 0 0", 0.05),  # rude, and below the cap
        ("2 2 2 2 2 2 - - - -", 1),
        ("2 2 2 2 2 - - - - -", None),  # five criteria are too few
    ],
)
def test_the_score_of_a_call(store: DuckStore, written: str, expected: float | None) -> None:
    """Points by twice the criteria that apply."""
    company = team()
    points(company, company.call(at("03-14 10:00")), written)
    found = measured(store, company)

    value = found.value(KPIS["call_quality_score"], MTD)
    assert value == (None if expected is None else pytest.approx(expected))
    assert (expected is not None) == found.value(KPIS["calls_scored_count"], MTD)


def test_quality_is_the_mean_of_scored_calls(store: DuckStore) -> None:
    """1 and 0.5; a manager without a scored call has none; nothing loaded, no sample, not even 0 calls."""
    company = team(8)
    points(company, company.call(at("03-14 10:00")), "2 2 2 2 2 2")
    points(company, company.call(at("03-10 10:00")), "1 1 1 1 1 1")
    points(company, company.call(at("02-10 10:00")), "0 0 0 0 0 0")
    company.call(at("03-14 10:00"), user_id=8)
    found = measured(store, company)

    assert {7: 0.75, 8: None} == of_managers(found, "call_quality_score", MTD)
    assert {7: 2, 8: 0} == of_managers(found, "calls_scored_count", MTD)
    assert {7: 1, 8: None} == of_managers(found, "call_quality_score", WindowId.D7) | {7: 1}
    assert () == measured(store, team()).of(KPIS["calls_scored_count"], COMPANY)


# ---------------------------------------------------------------- scorecard

BY_HAND = (3, 4, 4, 4, 3, 4, 5, 4.2, 3.8)


def scored(company: Company, marks: Iterable[float | None], user: int = 7) -> None:
    for criterion, mark in zip(Criterion, marks, strict=False):
        if mark is not None:
            given(company, "score", "M", user, mark, label=criterion.value)


def test_the_template_of_nine_criteria(store: DuckStore) -> None:
    """3 4 4 4 3 4 5 4.2 3.8 → 3.8889; weights 1 1 2 2 2 1 1 1 1 → 3.8333."""
    company = team()
    scored(company, BY_HAND)
    card = KPIS["scorecard_score"]
    weights = dict(zip(Criterion, (1.0, 1, 2, 2, 2, 1, 1, 1, 1), strict=True))

    assert measured(store, company).value(card, MTD, MANAGER, manager_id="7") == pytest.approx(3.8889, abs=1e-4)
    weighed = measured(store, company, scorecard=ScorecardOptions(weights=weights))
    assert weighed.value(card, MTD, MANAGER, manager_id="7") == pytest.approx(3.8333, abs=1e-4)
    assert measured(store, company).value(card, MTD, DEPARTMENT, department_id="1") == pytest.approx(3.8889, abs=1e-4)


def test_fewer_than_five_criteria_are_no_score(store: DuckStore) -> None:
    """Four marks: nothing; five: their mean; one of them without weight: nothing."""
    four, five = team(), team()
    scored(four, BY_HAND[:4])
    scored(five, BY_HAND[:5])
    card = KPIS["scorecard_score"]

    assert {} == of_managers(measured(store, four), card.id, MTD)
    assert {7: 3.6} == of_managers(measured(store, five), card.id, MTD)
    off = ScorecardOptions(weights={Criterion.CALLS: 0.0})
    assert {} == of_managers(measured(store, five, scorecard=off), card.id, MTD)


def test_points_by_norm(store: DuckStore) -> None:
    """Seven criteria computed: a manager with 10 calls in 10 worked days and so on, against norms."""
    company = team()
    contact = 55
    for day in range(10):
        company.call(at(f"03-{day + 3:02} 10:00"), duration_seconds=90, crm_entity_type_id=3, crm_entity_id=contact)
    company.deal(moves="03-03 09:00 P; 03-13 15:00 S", contact_id=contact, opportunity=Decimal(100))
    company.deal(moves="03-03 09:00 P; 03-13 16:00 S", contact_id=contact, opportunity=Decimal(100))
    norms = {
        Criterion.CALLS: 1.0,  # 10 calls on 10 dates, today's three hours are one: 4 points
        Criterion.TALK_TIME: 120.0,  # 0.75 of the norm: 4 points
        Criterion.SUCCESSFUL_CALLS: 8.0,  # 10 of 8: 5 points
        Criterion.CALL_CONVERSION: 1.0,  # all 10: 4 points
        Criterion.AVERAGE_CHECK: 125.0,  # 0.8: 3 points
        Criterion.REPEAT_PURCHASES: 2.0,  # 1 of 2: 1 point
        Criterion.POSITIVE_REVIEWS: 5.0,  # none: 1 point
    }
    found = measured(store, company, calendar=OFFICE, scorecard=ScorecardOptions(norms=norms))

    assert {7: pytest.approx((4 + 4 + 5 + 4 + 3 + 1 + 1) / 7)} == of_managers(found, "scorecard_score", MTD)


def test_a_worked_day_is_a_date_with_working_time(store: DuckStore) -> None:
    """Ten dates until noon of the 14th; absent on the whole 4th and the afternoon of the 5th: nine, not seven and a half."""
    company = team()
    for opens, closes in (("03-04 00:00", "03-05 00:00"), ("03-05 13:00", "03-06 00:00")):
        company.add(schema.ABSENCES, user_id=7, id=company.number(), starts_at=at(opens), ends_at=at(closes))
    for number in range(9):
        company.call(at("03-10 10:00") + timedelta(minutes=number), duration_seconds=100)
    norms = {
        Criterion.CALLS: 1.0,
        Criterion.TALK_TIME: 100.0,
        Criterion.SUCCESSFUL_CALLS: 1.0,
        Criterion.CALL_CONVERSION: 0.5,
        Criterion.REPEAT_PURCHASES: 1.0,
    }
    found = measured(store, company, calendar=OFFICE, scorecard=ScorecardOptions(norms=norms))

    assert {7: pytest.approx((4 + 5 + 1 + 1 + 1) / 5)} == of_managers(found, "scorecard_score", MTD)


def test_a_night_is_worked_on_the_date_on_which_it_begins(store: DuckStore) -> None:
    """The nights of 3 … 7 and 10 … 13 March are nine worked days, and 28 February's tail is none of March."""
    company = team()
    for number in range(9):
        company.call(at("03-10 10:00") + timedelta(minutes=number), duration_seconds=100)
    norms = {
        Criterion.CALLS: 1.0,  # nine of nine: 4 points; the twelve dates that they touch would make it 2
        Criterion.TALK_TIME: 100.0,
        Criterion.SUCCESSFUL_CALLS: 1.0,
        Criterion.CALL_CONVERSION: 0.5,
        Criterion.REPEAT_PURCHASES: 1.0,
    }
    nights = WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["22:00-06:00"]})
    found = measured(store, company, calendar=nights, scorecard=ScorecardOptions(norms=norms))

    assert {7: pytest.approx((4 + 5 + 1 + 1 + 1) / 5)} == of_managers(found, "scorecard_score", MTD)


def test_who_left_is_scored_for_the_days_before(store: DuckStore) -> None:
    """Gone at midnight after the 10th, six worked dates and six calls in February; a place among the others is for those who are here."""
    company = team()
    company.user(9, 1, active=False, dismissed_at=at("02-11 00:00"))
    for number in range(6):
        company.call(at("02-10 10:00") + timedelta(minutes=number), user_id=9, crm_entity_type_id=3, crm_entity_id=5)
    company.deal(moves="02-03 10:00 P; 02-10 15:00 S", contact_id=5, assigned_by_id=9)
    norms = {
        Criterion.CALLS: 1.0,  # six on six dates: 4 points
        Criterion.TALK_TIME: 60.0,  # all of the norm: 5 points
        Criterion.SUCCESSFUL_CALLS: 6.0,  # 4 points
        Criterion.CALL_CONVERSION: 0.8,  # 1.25 of the norm: 5 points
        Criterion.AVERAGE_CHECK: 125.0,  # 0.8: 3 points
    }
    found = measured(store, company, calendar=OFFICE, scorecard=ScorecardOptions(norms=norms))

    assert {9: pytest.approx((4 + 5 + 4 + 5 + 3) / 5)} == of_managers(found, "scorecard_score", PREV)
    assert {7: 1} == of_managers(found, "manager_rank", PREV, within="T")


def test_who_leaves_at_the_first_instant_of_the_year_has_left_in_it(store: DuckStore) -> None:
    """Half-open: the departure at the start of the window belongs to it."""
    company = team(8)
    company.first_synced_at = at("2024-01-01 00:00")
    company.user(9, 1, active=False, dismissed_at=NOW - timedelta(days=365), registered_at=at("2020-01-01 00:00"))
    found = measured(store, company, calendar=OFFICE)

    assert found.value(KPIS["turnover_index"], WindowId.T365) == pytest.approx(1 / 2)


def test_a_department_is_scored_by_what_its_people_do(store: DuckStore) -> None:
    """Counts by head, calls by day of everybody, a norm of its own; standards by what is left undone."""
    company = team(8)
    for user, calls in ((7, 80), (8, 0)):
        for number in range(calls):
            company.call(at("03-10 10:00") + timedelta(minutes=number), user_id=user, duration_seconds=100)
    company.deal(moves="03-03 10:00 P")  # nothing planned, nobody in touch: stale
    norms = {
        Criterion.CALLS: 9.0,
        Criterion.TALK_TIME: 100.0,
        Criterion.SUCCESSFUL_CALLS: 1.0,
        Criterion.CALL_CONVERSION: 0.5,
    }
    card = ScorecardOptions(norms=norms, department_norms={1: {Criterion.CALLS: 4.0}})
    found = measured(store, company, calendar=OFFICE, scorecard=card)

    # 80 calls on 2 × 10 dates: 4 a day, all of the norm: 4; talk 5; no success 1 and 1; not overdue, nothing planned,
    # stale: 1 + 4 × (1 - 2/3)
    expected = (4 + 5 + 1 + 1 + (1 + 4 / 3)) / 5
    assert found.value(KPIS["scorecard_score"], MTD, DEPARTMENT, department_id="1") == pytest.approx(expected)
    # Manager 8 called nobody: neither talk nor conversion, and no deals to keep in order.
    assert [7] == list(of_managers(found, "scorecard_score", MTD))


def test_tables_of_points() -> None:
    """Bounds are inclusive."""
    shares = np.array([1.2, 1.19, 1.0, 0.99, 0.8, 0.6, 0.59, np.nan])
    assert [5, 4, 4, 3, 3, 2, 1] == attained(shares)[:-1].tolist()
    assert np.isnan(attained(shares)[-1])
    around = np.array([0.8, 1.25, 0.65, 1.5, 0.5, 2, 0.35, 3, 0.34, 3.01, 1])
    assert [5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 5] == banded(around).tolist()


# ---------------------------------------------------------------- bonus


@pytest.mark.parametrize(
    ("sold", "plan", "tiers", "expected"),
    [
        (190_000, np.nan, (BonusTier(0.02),), "3800"),
        (360_000, 300_000, (BonusTier(0.02, up_to_plan=1.0), BonusTier(0.03)), "7800"),
        (250_000, 300_000, (BonusTier(0.02, up_to_plan=1.0), BonusTier(0.03)), "5000"),
        (250_000, np.nan, (BonusTier(0.02, up_to_plan=1.0), BonusTier(0.03)), None),
        (250, np.nan, (BonusTier(0.1, up_to=100), BonusTier(0.2, up_to=200)), "30"),  # nothing above the last end
        (-10, np.nan, (BonusTier(0.1),), "0"),
        (100, np.nan, (), None),
    ],
)
def test_percent_of_sales(sold: float, plan: float, tiers: tuple[BonusTier, ...], expected: str | None) -> None:
    """The rate of a tier is for the part inside it, not for the whole."""
    found = percent_of_sales(sold, plan, BonusOptions(tiers=tiers))

    assert (None if expected is None else Decimal(expected)) == found


def closed_month() -> Company:
    """February of the toy company: Anna 7 with 190 000 of 300 000, Boris 8 with 0 of 200 000, Vera 9 with 54 000."""
    company = team(8, 9)
    for user, revenue, plan in ((7, 190_000, 300_000), (8, 0, 200_000), (9, 54_000, None)):
        frozen(company, "revenue_won", user, revenue)
        if plan:
            company.plan("M", user, FEBRUARY, plan)
            frozen(company, "plan_attainment_ratio", user, revenue / plan)
    return company


def paid(store: DuckStore, company: Company, scheme: str, **rules: object) -> dict[int, float | None]:
    options = BonusOptions(**rules)  # type: ignore[arg-type]
    return of_managers(measured(store, company, bonus=options), "bonus_amount", PREV, scheme=scheme)


def test_no_scheme_is_on_by_default(store: DuckStore) -> None:
    """Off: no sample."""
    assert () == measured(store, closed_month()).of(KPIS["bonus_amount"], MANAGER)


def test_schemes_read_the_frozen_month(store: DuckStore) -> None:
    """2 % of 190 000; the premium for the plan only where there is one; the prize is Anna's; live deals change nothing."""
    company = closed_month()
    company.deal(moves=WON_IN_FEBRUARY, opportunity=Decimal(9_999_999), assigned_by_id=8)
    tiers = (BonusTier(0.02),)

    assert {7: 3800, 8: 0, 9: 1080} == paid(store, company, "percent_of_sales", tiers=tiers)
    assert {7: 0, 8: 0} == paid(store, company, "target_premium", premium=5000)
    assert {7: 5000, 8: 0} == paid(store, company, "target_premium", premium=5000, premium_from=0.6)
    assert {7: 10_000, 8: 0, 9: 0} == paid(store, company, "best_result", prize=10_000)
    assert {7: 0, 8: 0, 9: 0} == paid(store, company, "best_result", prize=10_000, prize_above=190_000)


def test_a_month_that_was_not_closed_pays_nothing(store: DuckStore) -> None:
    """Days of grace: no sample."""
    company = team()
    company.deal(moves=WON_IN_FEBRUARY)

    for scheme in ("percent_of_sales", "best_result", "new_customer"):
        assert {} == paid(store, company, scheme, tiers=(BonusTier(0.1),), prize=10, new_customer=1)


def test_new_customers(store: DuckStore) -> None:
    """Anna won C1 for the first time; C2 had bought before: 1 × 1500; a win without amount is no purchase."""
    company = closed_month()
    company.deal(moves="01-03 10:00 P; 01-10 10:00 S", contact_id=2)
    for contact, amount in ((1, 100), (2, 100), (3, 0)):
        company.deal(moves=WON_IN_FEBRUARY, contact_id=contact, opportunity=Decimal(amount))

    assert {7: 1500, 8: 0, 9: 0} == paid(store, company, "new_customer", new_customer=1500)


def test_equals_share_the_prize(store: DuckStore) -> None:
    """100 by three is 33.33 each."""
    company = team(8, 9, 10)
    for user in (7, 8, 9):
        frozen(company, "revenue_won", user, 5)
    frozen(company, "revenue_won", 10, 1)

    assert {7: 33.33, 8: 33.33, 9: 33.33, 10: 0} == paid(store, company, "best_result", prize=100)


def test_nobody_outside_sales_wins_the_prize(store: DuckStore) -> None:
    """An outsider sold more, and has courses: not even then is he compared with the managers."""
    company = team()
    company.department(20)
    company.user(9, 20)
    frozen(company, "revenue_won", 7, 1000)
    frozen(company, "revenue_won", 9, 4000)
    given(company, "training_assigned", "M", 9, 4)
    found = measured(
        store, company, kpis=("bonus_amount", "training_completion_ratio"), sales_departments=frozenset({1}),
        bonus=BonusOptions(prize=100),
    )  # fmt: skip

    assert {7: 100} == of_managers(found, "bonus_amount", WindowId.PREV_MONTH, scheme="best_result")


def test_halves_are_rounded_up_once(store: DuckStore) -> None:
    """0.5 % of 201 is 1.005: 1.01, and two tiers of it are added before rounding."""
    company = team()
    frozen(company, "revenue_won", 7, 201)

    assert {7: 1.01} == paid(store, company, "percent_of_sales", tiers=(BonusTier(0.005),))
    two = (BonusTier(0.005, up_to=100.5), BonusTier(0.005))
    assert {7: 1.01} == paid(store, company, "percent_of_sales", tiers=two)


def test_percent_of_what_was_paid(store: DuckStore) -> None:
    """Invoices paid in the month instead of deals won."""
    company = closed_month()
    company.add(
        schema.STATUSES, directory="SMART_INVOICE_STAGE_1", status_id="P", name="P", sort=1, semantics="S",
        entity_type_id=31, pipeline_id=1,
    )  # fmt: skip
    company.add(
        schema.INVOICES, id=1, title="Invoice", pipeline_id=1, stage_id="P", opportunity=Decimal(1000), currency_id="RUB",
        assigned_by_id=7, created_at=at("02-03 10:00"), moved_at=at("02-05 10:00"), begins_on=date(2025, 2, 3),
    )  # fmt: skip
    company.move(1, at("02-05 10:00"), "S", entity_type_id=31, stage_id="P", pipeline_id=1)

    assert {7: 100, 8: 0, 9: 0} == paid(
        store, company, "percent_of_sales", tiers=(BonusTier(0.1),), basis=BonusBasis.PAID
    )


def test_a_reopened_deal_is_corrected_in_the_next_month(store: DuckStore) -> None:
    """January was paid for 200; 100 of it are left: -10 in February's bonus; the premium goes too."""
    company = team()
    company.deal(moves="01-03 10:00 P; 01-10 10:00 S", opportunity=Decimal(100))
    company.plan("M", 7, JANUARY, 150)
    frozen(company, "revenue_won", 7, 200, JANUARY)
    frozen(company, "revenue_won", 7, 0, FEBRUARY)

    assert {7: -10} == paid(store, company, "correction", tiers=(BonusTier(0.1),))
    assert {7: -35} == paid(store, company, "correction", tiers=(BonusTier(0.1),), premium=25)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"tiers": (BonusTier(0.1), BonusTier(0.2))}, "without an end"),
        ({"tiers": (BonusTier(0.1, up_to=5), BonusTier(0.2, up_to=5))}, "must ascend"),
        ({"tiers": (BonusTier(0.1, up_to=5, up_to_plan=1),)}, "not at both"),
        ({"premium": -1}, "premium of the bonus is -1"),
        ({"prize_by": "charm"}, "prize_by is charm"),
    ],
)
def test_schemes_that_cannot_be_meant(rules: Mapping[str, object], expected: str) -> None:
    """Told before anything is paid."""
    with pytest.raises(ConfigError, match=expected):
        KpiOptions(bonus=BonusOptions(**rules))  # type: ignore[arg-type]


def test_norms_that_cannot_be_meant() -> None:
    """Direct criteria have none; a norm is above 0, a weight not below."""
    card = ScorecardOptions(norms={Criterion.STANDARDS: 1.0, Criterion.CALLS: 0.0}, weights={Criterion.CALLS: -1.0})
    with pytest.raises(ConfigError) as caught:
        KpiOptions(scorecard=card)

    assert ["a norm for standards", "the norm for calls", "the weight of calls"] == [
        " ".join(one.split()[:4]) for one in str(caught.value).split("; ")
    ]


# ---------------------------------------------------------------- staff


LONG_AGO = at("2024-01-01 00:00")


def observed(company: Company, since: datetime = LONG_AGO) -> Company:
    """The portal has been looked at since then."""
    company.first_synced_at = since
    return company


def test_the_revolving_door(store: DuckStore) -> None:
    """10 people for half a year, 12 for the other half, 3 departures: 3/11; one of them within 90 days."""
    company = observed(Company())
    company.department(1)
    half = NOW - timedelta(days=182.5)
    for user in range(1, 8):
        company.user(user, 1, registered_at=at("2020-01-01 00:00"))
    # Three leave, each replaced at the same moment by somebody new; two more come at half time.
    for user in (8, 9):
        company.user(user, 1, active=False, registered_at=at("2020-01-01 00:00"), dismissed_at=half)
    company.user(10, 1, active=False, registered_at=at("2024-02-01 00:00"), dismissed_at=at("2024-04-01 00:00"))
    company.user(11, 1, registered_at=at("2024-04-01 00:00"))
    for user in (12, 13, 14, 15):
        company.user(user, 1, registered_at=half)
    company.user(20, 1, active=False, registered_at=at("2020-01-01 00:00"))  # left before anybody looked
    company.user(21, 1, active=False, registered_at=at("2020-01-01 00:00"), dismissed_at=at("2024-02-01 00:00"))
    found = measured(store, company)

    turnover = found.sample(KPIS["turnover_index"], T365)
    assert turnover is not None
    assert turnover.numerator == 3
    assert turnover.denominator == pytest.approx(11)
    assert turnover.value == pytest.approx(3 / 11)
    assert found.value(KPIS["turnover_index"], T365, DEPARTMENT, department_id="1") == pytest.approx(3 / 11)
    assert found.value(KPIS["early_turnover_share"], T365) == pytest.approx(1 / 3)


def test_nobody_is_less_than_nobody(store: DuckStore) -> None:
    """A first day that was written down behind the last one: two people stayed, one left."""
    company = observed(team(8))
    company.user(9, 1, active=False, dismissed_at=at("01-10 12:00"), employed_on=date(2025, 3, 1))

    assert 0.5 == measured(store, company).value(KPIS["turnover_index"], T365)


def test_turnover_needs_a_year_of_watching(store: DuckStore) -> None:
    """Half a year of capture says nothing."""
    company = observed(Company().staff(), NOW - timedelta(days=180))
    company.user(8, 1, active=False, dismissed_at=at("03-01 00:00"))
    found = measured(store, company)

    assert None is found.value(KPIS["turnover_index"], T365)
    assert None is found.value(KPIS["early_turnover_share"], T365)


def test_people_outside_the_scope_do_not_turn(store: DuckStore) -> None:
    """The door of the sales departments; whoever leaves later is still there."""
    company = observed(Company().staff())
    company.department(2)
    company.user(8, 2, active=False, dismissed_at=at("03-01 00:00"))
    company.user(9, 1, active=False, dismissed_at=at("03-20 00:00"))
    found = measured(store, company, sales_departments=frozenset({1}))

    turnover = found.sample(KPIS["turnover_index"], T365)
    assert turnover is not None
    assert turnover.numerator == 0
    assert turnover.denominator == pytest.approx(2)


# ---------------------------------------------------------------- training


def test_training(store: DuckStore) -> None:
    """3 of 4; a department adds its people's; other months do not count."""
    company = team(8, 9)
    for user, assigned, passed in ((7, 4, 3), (8, 4, 1)):
        given(company, "training_assigned", "M", user, assigned)
        given(company, "training_passed", "M", user, passed)
    given(company, "training_assigned", "M", 9, 5, FEBRUARY)
    found = measured(store, company)

    assert {7: 0.75, 8: 0.25, 9: None} == of_managers(found, "training_completion_ratio", MTD)
    assert 0.5 == found.value(KPIS["training_completion_ratio"], MTD, DEPARTMENT, department_id="1")
    assert () == measured(store, team()).of(KPIS["training_completion_ratio"], MANAGER)


# ---------------------------------------------------------------- empty


def test_an_empty_company(store: DuckStore) -> None:
    """A manager without anything: no load is 0, a rank among one is 1, everything else has no value."""
    found = measured(store, Company().staff())

    assert {
        ("manager_load_open_deals", 0),
        ("manager_rank", 1),
        ("turnover_index", None),
        ("early_turnover_share", None),
    } == {(s.kpi.id, s.value) for s in found.samples}
    assert () == measured(store, Company()).of(KPIS["manager_rank"], MANAGER)
