"""Chapter A: volume and plan. Figures are the catalogue's, or counted by hand."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from b24metrics.errors import ConfigError
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
    planning,
    volume,
)
from b24metrics.kpi.options import SegmentBy
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1, small
from tests.kpi.small import NOW, OFFICE, PORTAL, Company, at

IDS = [kpi.id for kpi in (*volume.CHAPTER, *planning.CHAPTER)]
measured = partial(small.measured, kpis=IDS)
MTD, QTD, PREV, NOW_ = WindowId.MTD, WindowId.QTD, WindowId.PREV_MONTH, WindowId.NOW
ANNA, BORIS, VERA, GLEB = ({"manager_id": str(number)} for number in (101, 102, 103, 104))
SALES, INBOUND, OUTBOUND = ({"department_id": str(number)} for number in (10, 11, 12))
MAIN = {"pipeline_id": "0"}
T: dict[str, str] = {}
NOTHING = None
WON = "03-03 10:00 P; 03-10 15:00 S"
LOST = "03-03 10:00 P; 03-10 15:00 F"


@pytest.fixture(scope="module")
def snapshot(t1: DuckStore) -> Snapshot:
    kpis = [KPIS[name] for name in IDS]
    return evaluate(t1, company_t1.PORTAL, kpis, now=company_t1.NOW, options=company_t1.OPTIONS)


FIGURES = [
    ("revenue_per_customer", "mtd", "T", T, 122_000),
    ("revenue_per_customer", "mtd", "M", ANNA, 95_000),
    ("revenue_per_customer", "mtd", "M", BORIS, NOTHING),
    ("revenue_per_customer", "qtd", "T", T, 148_000),  # C1, C2, C9: 444 000
    ("deals_lost_count", "mtd", "T", T, 2),
    ("deals_lost_count", "mtd", "M", BORIS, 2),
    ("deals_lost_count", "yesterday", "T", T, 1),
    ("deals_lost_count", "prev_month", "T", T, 0),
    ("revenue_lost", "mtd", "T", T, 200_000),
    ("revenue_lost", "mtd", "D", OUTBOUND, 200_000),
    ("revenue_lost", "mtd", "R", {"source_id": "WEB"}, 200_000),
    # d11 120 000 lies in [1 Feb, 14 Feb 12:00); 30d: 324 000 against d11 12 Feb in [13 Jan, 12 Feb 12:00)
    ("sales_growth_ratio", "mtd", "T", T, 244 / 120 - 1),
    ("sales_growth_ratio", "mtd", "M", BORIS, -1),
    ("sales_growth_ratio", "mtd", "P", MAIN, 244 / 120 - 1),
    ("sales_growth_ratio", "30d", "T", T, 324 / 120 - 1),
    # February 120 000, January 0, December 0: the mean is 40 000
    ("sales_growth_vs_avg_ratio", "mtd", "T", T, 244 / 40 - 1),
    ("plan_amount", "mtd", "T", T, 500_000),
    ("plan_amount", "mtd", "M", ANNA, 300_000),
    ("plan_amount", "mtd", "D", SALES, 500_000),
    ("plan_amount", "qtd", "D", INBOUND, 300_000),
    ("plan_gap_amount", "mtd", "T", T, 256_000),
    ("plan_gap_amount", "mtd", "M", ANNA, 110_000),
    ("plan_gap_amount", "qtd", "M", ANNA, 30_000),  # 270 000 of 300 000
    ("plan_gap_amount", "qtd", "D", OUTBOUND, 80_000),
    ("required_daily_amount", "mtd", "T", T, 21_942.86),
    ("required_daily_amount", "mtd", "M", BORIS, 200_000 / (105 / 9)),
    ("run_rate_forecast_amount", "mtd", "T", T, 549_000),
    ("run_rate_forecast_amount", "mtd", "M", BORIS, 0),
    ("run_rate_attainment_ratio", "mtd", "T", T, 1.098),
    ("run_rate_attainment_ratio", "mtd", "M", ANNA, 190 / 300 / (84 / 189)),
    ("open_pipeline_amount", "now", "T", T, 280_000),
    ("open_pipeline_amount", "now", "M", BORIS, 200_000),
    ("open_pipeline_amount", "now", "S", {"stage_id": "NEW"}, 0),
    ("open_pipeline_amount", "now", "S", {"stage_id": "QUAL"}, 80_000),
    ("open_pipeline_amount", "now", "S", {"stage_id": "OFFER"}, 200_000),
    ("open_pipeline_amount", "now", "S", {"stage_id": "CONTRACT"}, 0),
    ("weighted_pipeline_amount", "now", "T", T, 152_000),
    ("weighted_pipeline_amount", "now", "M", BORIS, 120_000),
    ("weighted_pipeline_amount", "now", "M", GLEB, 32_000),
    ("weighted_pipeline_amount", "now", "D", INBOUND, 32_000),
    ("weighted_pipeline_amount", "now", "P", MAIN, 152_000),
    ("period_forecast_amount", "mtd", "T", T, 396_000),
    ("period_forecast_amount", "mtd", "M", BORIS, 120_000),
    ("period_forecast_amount", "mtd", "M", ANNA, 190_000),  # d5 has no date
    ("period_forecast_amount", "qtd", "T", T, 444_000 + 152_000),
    ("pipeline_coverage_ratio", "mtd", "T", T, 280 / 256),
    ("pipeline_coverage_ratio", "mtd", "M", BORIS, 1),
    ("sales_velocity_per_day", "now", "T", T, 12_482.01),
    ("sales_velocity_per_day", "now", "P", MAIN, 12_482.01),
    ("units_sold", "mtd", "T", T, 5),
    ("units_sold", "mtd", "M", ANNA, 5),
    ("units_sold", "mtd", "M", VERA, 0),  # 1.5 kg: rows are used, none of them is in pieces
    # A 60 000, B 30 000 of d1's 100 000; C 150 000 KZT = 27 000 of d7's 54 000; d2 has no rows: 90 000
    ("product_revenue", "mtd", "T", {"product": "A"}, 60_000),
    ("product_revenue", "mtd", "T", {"product": "B"}, 30_000),
    ("product_revenue", "mtd", "T", {"product": "C"}, 27_000),
    ("product_revenue", "mtd", "T", {"product": "unallocated"}, 127_000),
    ("product_revenue", "mtd", "D", INBOUND | {"product": "unallocated"}, 100_000),
    ("product_revenue", "prev_month", "P", MAIN | {"product": "unallocated"}, 200_000),
    ("segment_revenue", "mtd", "T", {"segment": "IT"}, 154_000),
    ("segment_revenue", "mtd", "T", {"segment": "TRADE"}, 90_000),
    ("segment_revenue", "prev_month", "T", {"segment": "(none)"}, 120_000),
    ("segment_revenue", "prev_month", "D", INBOUND | {"segment": "TRADE"}, 80_000),
]


@pytest.mark.parametrize(("kpi", "window", "grain", "labels", "expected"), FIGURES)
def test_worked_figures(
    snapshot: Snapshot, kpi: str, window: str, grain: str, labels: dict[str, str], expected: float | None
) -> None:
    """The catalogue's worked example at this window and grain."""
    sample = snapshot.sample(KPIS[kpi], WindowId(window), Grain.parse(grain), **labels)

    assert sample is not None
    assert sample.value == (None if expected is None else pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize(
    ("kpi", "window", "grain", "labels"),
    [
        ("sales_growth_ratio", "mtd", "M", ANNA),  # nothing before
        ("sales_growth_ratio", "prev_month", "T", T),
        ("plan_amount", "mtd", "M", VERA),
        ("plan_gap_amount", "mtd", "M", VERA),
        ("required_daily_amount", "mtd", "M", VERA),
        ("run_rate_attainment_ratio", "mtd", "M", VERA),
        ("sales_velocity_per_day", "now", "M", ANNA),  # fewer than 20 closed deals
        ("units_sold", "mtd", "M", BORIS),  # no won deal
        ("units_sold", "prev_month", "T", T),  # won deals without rows
        ("product_revenue", "mtd", "D", OUTBOUND),
        ("forecast_error_ratio", "prev_month", "T", T),  # nothing was frozen
        ("frozen_drift_amount", "prev_month", "T", T),
    ],
)
def test_what_has_no_sample(snapshot: Snapshot, kpi: str, window: str, grain: str, labels: dict[str, str]) -> None:
    """No plan, nothing before, no rows: no sample, never 0."""
    assert snapshot.value(KPIS[kpi], WindowId(window), Grain.parse(grain), **labels) is None


def test_growth_with_working_alignment(t1: DuckStore) -> None:
    """84 of March's 189 hours have passed: 80 of February's 180, until 13 February 17:00; the same 120 000."""
    found = evaluate(
        t1,
        company_t1.PORTAL,
        [KPIS["sales_growth_ratio"]],
        now=company_t1.NOW,
        options=KpiOptions(sales_departments=frozenset({10}), calendar=company_t1.CALENDAR, align="working"),
    )

    assert found.value(KPIS["sales_growth_ratio"], MTD) == pytest.approx(244 / 120 - 1)


def test_products_and_segments_sum_to_the_revenue(snapshot: Snapshot) -> None:
    """Nothing is lost between the rows and the deals."""
    for name in ("product_revenue", "segment_revenue"):
        for window in KPIS[name].windows:
            parts = [s.value for s in snapshot.of(KPIS[name], COMPANY) if s.window == window and s.value is not None]
            assert sum(parts) == pytest.approx(snapshot.value(KPIS["revenue_won"], window))


# ---------------------------------------------------------------- empty and one record


def test_an_empty_company(store: DuckStore) -> None:
    """Sums are 0, everything that needs a plan, a past or a record has no value."""
    found = measured(store, Company().staff())
    values = {(s.kpi.id, s.value) for s in found.samples}

    assert {"revenue_won", "deals_lost_count", "revenue_lost", "open_pipeline_amount", "weighted_pipeline_amount",
            "period_forecast_amount", "run_rate_forecast_amount"} <= {name for name, value in values if value == 0}  # fmt: skip
    assert {0, None} == {value for _, value in values}
    assert not {"plan_amount", "plan_gap_amount", "units_sold", "sales_growth_ratio", "pipeline_coverage_ratio",
                "sales_velocity_per_day", "product_revenue", "segment_revenue"} & {name for name, _ in values}  # fmt: skip


def test_one_won_and_one_open_deal(store: DuckStore) -> None:
    """100 won, 100 open in the only stage of an unknown pipeline with a probability of its own, planned 400."""
    company = Company().staff()
    company.deal(moves=WON, company_id=5)
    company.deal(moves="03-03 10:00 P", probability=25, closes_on=date(2025, 3, 31))
    company.plan("M", 7, date(2025, 3, 1), 400)
    found = measured(store, company, calendar=OFFICE)

    def value(name: str, window: WindowId = MTD) -> float | None:
        return found.value(KPIS[name], window)

    assert 100 == value("revenue_per_customer")
    assert 300 == value("plan_gap_amount")
    assert value("required_daily_amount") == pytest.approx(300 / (105 / 9))
    assert value("run_rate_attainment_ratio") == pytest.approx(100 / (84 / 189) / 400)
    assert 25 == value("weighted_pipeline_amount", NOW_)
    assert 125 == value("period_forecast_amount")
    assert value("pipeline_coverage_ratio") == pytest.approx(100 / 300)
    # 1 open × 100 × 1/1 / 7 d 5 h
    assert value("sales_velocity_per_day", NOW_) == pytest.approx(100 / (7 + 5 / 24))


# ---------------------------------------------------------------- plans


def test_a_joiner_has_the_share_of_the_month_that_is_left(store: DuckStore) -> None:
    """Joined on Monday 17 March: 11 of March's 21 working days of the plan for April."""
    company = Company().staff()
    company.user(8, 1, employed_on=date(2025, 3, 17))
    company.plan("M", 8, date(2025, 4, 1), 2100)
    company.plan("M", 7, date(2025, 3, 1), 1000)
    found = measured(store, company, calendar=OFFICE)

    assert 1100 == found.value(KPIS["plan_amount"], MTD, MANAGER, manager_id="8")
    assert 2100 == found.value(KPIS["plan_amount"], MTD)


def test_a_plan_that_was_written_down_for_a_joiner_is_kept(store: DuckStore) -> None:
    """An explicit value goes before the computed one; whoever joined on the first has no share."""
    company = Company().staff()
    company.user(8, 1, employed_on=date(2025, 3, 17))
    company.user(9, 1, employed_on=date(2025, 3, 1))
    for who in (8, 9):
        company.plan("M", who, date(2025, 4, 1), 2100)
    company.plan("M", 8, date(2025, 3, 1), 500)
    found = measured(store, company, calendar=OFFICE)

    assert 500 == found.value(KPIS["plan_amount"], MTD, MANAGER, manager_id="8")
    assert None is found.value(KPIS["plan_amount"], MTD, MANAGER, manager_id="9")


def test_a_reached_plan_leaves_no_gap_and_no_coverage(store: DuckStore) -> None:
    """0 is a value; a day's need of 0 too; coverage of nothing is nothing."""
    company = Company().staff()
    company.deal(moves=WON, opportunity=Decimal(500))
    company.plan("T", 0, date(2025, 3, 1), 400)
    found = measured(store, company, calendar=OFFICE)

    assert (0, 0, None) == tuple(
        found.value(KPIS[name], MTD) for name in ("plan_gap_amount", "required_daily_amount", "pipeline_coverage_ratio")
    )


def test_after_the_last_working_hour_nothing_is_required_a_day(store: DuckStore) -> None:
    """Monday 31 March 18:00: no working time is left of the month."""
    company = Company().staff()
    company.plan("T", 0, date(2025, 3, 1), 400)
    found = measured(store, company, now=at("03-31 18:00"), calendar=OFFICE)

    assert 400 == found.value(KPIS["plan_gap_amount"], MTD)
    assert None is found.value(KPIS["required_daily_amount"], MTD)


# ---------------------------------------------------------------- pace


@pytest.mark.parametrize(
    ("now", "expected"),
    # 1 March is a Saturday; 18.9 of 189 h have passed on Wednesday 5 March at 09:54
    [("03-05 09:53", None), ("03-05 09:54", 1000), ("03-14 12:00", 100 * 189 / 84)],
)
def test_the_pace_needs_a_tenth_of_the_period(store: DuckStore, now: str, expected: float | None) -> None:
    """Elapsed share below 10 %: no sample."""
    company = Company().staff()
    company.deal(moves="03-03 09:00 P; 03-03 10:00 S")
    found = measured(store, company, now=at(now), calendar=OFFICE)

    value = found.value(KPIS["run_rate_forecast_amount"], MTD)
    assert value == (None if expected is None else pytest.approx(expected))


def test_a_seasonal_curve_replaces_even_sales(store: DuckStore) -> None:
    """84/189 of the time; the curve says 20 % is sold at one half: g = 0.2 × 84/94.5."""
    company = Company().staff()
    company.deal(moves=WON)
    found = measured(store, company, calendar=OFFICE, seasonal_curve=((0.5, 0.2),))

    share = 0.2 * (84 / 94.5)
    assert found.value(KPIS["run_rate_forecast_amount"], MTD) == pytest.approx(100 / share)


@pytest.mark.parametrize("periods", [1, 2, 6])
def test_growth_over_as_many_periods_as_configured(store: DuckStore, periods: int) -> None:
    """100 in March, 50 in each of the three months before it, nothing earlier."""
    company = Company().staff()
    company.deal(moves=WON)
    for month in ("01", "02"):
        company.deal(moves=f"{month}-03 10:00 P; {month}-05 15:00 S", opportunity=Decimal(50))
    found = measured(store, company, growth_periods=periods)

    mean = {1: 50, 2: 50, 6: 100 / 6}[periods]
    assert found.value(KPIS["sales_growth_vs_avg_ratio"], MTD) == pytest.approx(100 / mean - 1)


# ---------------------------------------------------------------- chances


def pipeline(company: Company, *stages: str) -> None:
    for number, stage in enumerate(stages, start=1):
        company.add(
            schema.STATUSES, directory="DEAL_STAGE", status_id=stage, name=stage, sort=number, entity_type_id=2,
            pipeline_id=0, semantics={"S": "S", "F": "F"}.get(stage, "P"),
        )  # fmt: skip


def past(company: Company, count: int, *visited: str, end: str, when: str = "03-01") -> None:
    """Closed deals that were moved through stages."""
    for _ in range(count):
        deal = company.deal(stage_id=end, semantics=end, created_at=at("02-20 10:00"), moved_at=at(f"{when} 12:00"))
        for hour, stage in enumerate(visited):
            company.move(deal, at(f"02-20 {10 + hour}:00"), "P", stage_id=stage, kind=1 if hour == 0 else 2)
        company.move(deal, at(f"{when} 12:00"), end, stage_id=end, kind=3)


def test_chances_come_from_the_past_of_a_stage(store: DuckStore) -> None:
    """30 deals reached stage A (12 won, 18 lost there or later), 20 reached B: A by its past, B by its place."""
    company = Company().staff()
    pipeline(company, "A", "B", "C", "S", "F")
    past(company, 12, "A", end="S")  # a win passed every stage
    past(company, 8, "A", "B", end="F")
    past(company, 10, "A", end="F")
    company.deal(moves="03-03 10:00 A", semantics="P", opportunity=Decimal(1000))
    company.deal(moves="03-03 10:00 B", semantics="P", opportunity=Decimal(100))
    found = measured(store, company)

    assert found.value(KPIS["weighted_pipeline_amount"], NOW_) == pytest.approx(1000 * 12 / 30 + 100 * 2 / 4)
    records = explain(store, PORTAL, KPIS["weighted_pipeline_amount"], NOW_, now=NOW)
    assert {("history", 400.0), ("place", 50.0)} == {(record.part, record.contribution) for record in records}


def test_a_stage_with_29_closed_deals_says_nothing(store: DuckStore) -> None:
    """n ≥ 30, closed within t180; deals closed before do not help."""
    company = Company().staff()
    pipeline(company, "A", "S", "F")
    past(company, 29, "A", end="S")
    company.deal(
        stage_id="S", semantics="S", created_at=at("2024-08-01 10:00"), moved_at=at("2024-09-01 10:00")
    )  # 194 days ago
    company.deal(moves="03-03 10:00 A", semantics="P")
    found = measured(store, company)

    assert 50 == found.value(KPIS["weighted_pipeline_amount"], NOW_)


@pytest.mark.parametrize(
    ("facts", "options", "expected", "source"),
    [
        ({"probability": 30}, {}, 30, "deal"),
        ({"probability": 0}, {"stage_probabilities": {"A": 0.9}}, 0, "deal"),
        ({}, {"stage_probabilities": {"A": 0.9}}, 90, "settings"),
        ({}, {}, 50, "place"),
    ],
)
def test_where_a_chance_comes_from(
    store: DuckStore, facts: dict[str, Any], options: dict[str, Any], expected: float, source: str
) -> None:
    """The deal's own, else the configured one, else by place; never mixed unseen."""
    company = Company().staff()
    pipeline(company, "A", "S", "F")
    company.deal(moves="03-03 10:00 A", semantics="P", **facts)
    found = measured(store, company, **options)

    assert found.value(KPIS["weighted_pipeline_amount"], NOW_) == pytest.approx(expected)
    records = explain(
        store,
        PORTAL,
        KPIS["weighted_pipeline_amount"],
        NOW_,
        now=NOW,
        options=KpiOptions(**options),
    )
    assert [source] == [record.part for record in records]


@pytest.mark.parametrize(
    ("closes_on", "mtd", "qtd"),
    [
        (date(2025, 1, 1), 50, 50),  # overdue: still expected
        (date(2025, 3, 31), 50, 50),
        (date(2025, 4, 1), 0, 0),  # the quarter ends with March
        (None, 0, 0),
    ],
)
def test_what_is_expected_in_the_period(store: DuckStore, closes_on: date | None, mtd: float, qtd: float) -> None:
    """By the last day of the period, overdue included, without a date not."""
    company = Company().staff()
    pipeline(company, "A", "S", "F")
    company.deal(moves="03-03 10:00 A", semantics="P", closes_on=closes_on)
    found = measured(store, company)

    assert (mtd, qtd) == tuple(found.value(KPIS["period_forecast_amount"], window) for window in (MTD, QTD))


def test_a_managers_velocity_needs_twenty_closed_deals(store: DuckStore) -> None:
    """19 closed: nothing; 20: open × size × rate / days."""
    for count, expected in ((19, None), (20, 2 * 100 * (15 / 20) / 5)):
        company = Company().staff()
        for number in range(count):
            company.deal(moves=f"03-03 10:00 P; 03-08 10:00 {'S' if number < 15 else 'F'}")
        company.deal(moves="03-03 10:00 P")
        company.deal(moves="03-03 10:00 P")
        found = measured(store, company)
        value = found.value(KPIS["sales_velocity_per_day"], NOW_, MANAGER, manager_id="7")
        assert value == (None if expected is None else pytest.approx(expected))
        assert found.value(KPIS["sales_velocity_per_day"], NOW_, DEPARTMENT, department_id="1") is not None


def test_a_win_before_its_creation_says_nothing_of_the_length_of_a_sale(store: DuckStore) -> None:
    """Open × size × rate / days of the sale that is one: 5 days, not 5 and -11 together."""
    company = Company().staff()
    company.deal(moves="03-03 10:00 P; 03-08 10:00 S")
    company.deal(semantics="S", created_at=at("03-12 10:00"), moved_at=at("03-01 10:00"))
    company.deal(moves="03-03 10:00 P")

    assert pytest.approx(1 * 100 * 1 / 5) == measured(store, company).value(KPIS["sales_velocity_per_day"], NOW_)


# ---------------------------------------------------------------- what was sold


def sold(company: Company, deal: int, *rows: tuple[str, str, str, int | None]) -> None:
    for name, quantity, price, unit in rows:
        company.add(
            schema.PRODUCT_ROWS, owner_type_id=2, owner_id=deal, id=company.number(), product_name=name,
            quantity=Decimal(quantity), price=Decimal(price), measure_code=unit,
        )  # fmt: skip


def by(snapshot: Snapshot, name: str, label: str) -> dict[str, float | None]:
    return {s.labels[label]: s.value for s in snapshot.of(KPIS[name], COMPANY) if s.window == MTD}


def test_units_are_summed_in_the_headline_unit(store: DuckStore) -> None:
    """Rows 3 pcs, 2 pcs, 1.5 kg: pieces 5, kilograms 1.5."""
    company = Company().staff()
    sold(company, company.deal(moves=WON), ("A", "3", "1", 796), ("B", "2", "1", None), ("C", "1.5", "1", 166))
    sold(company, company.deal(moves=LOST), ("A", "100", "1", 796))

    assert 5 == measured(store, company).value(KPIS["units_sold"], MTD)
    assert 1.5 + 2 == measured(store, company, headline_unit=166).value(KPIS["units_sold"], MTD)


def test_rows_that_say_more_than_the_deal_leave_a_negative_rest(store: DuckStore) -> None:
    """60 000 + 30 000 on 100 000: 10 000 unallocated; 120 on 100: -20; exactly the amount: nothing."""
    company = Company().staff()
    sold(company, company.deal(moves=WON), ("A", "3", "40", 796))
    assert {"A": 120, "unallocated": -20} == by(measured(store, company), "product_revenue", "product")

    company = Company().staff()
    sold(company, company.deal(moves=WON), ("", "1", "100", 796))
    assert {"(none)": 100} == by(measured(store, company), "product_revenue", "product")


def test_the_amount_of_a_row_is_not_rounded(store: DuckStore) -> None:
    """1.5 × 33.3333 is 49.99995, and the rest of a deal of 100 is 50.00005."""
    company = Company().staff()
    sold(company, company.deal(moves=WON), ("A", "1.5", "33.3333", 796))
    found = by(measured(store, company), "product_revenue", "product")

    assert {"A": pytest.approx(49.99995, abs=1e-9), "unallocated": pytest.approx(50.00005, abs=1e-9)} == found


def test_twenty_products_have_a_name(store: DuckStore) -> None:
    """The twenty largest of the company; the rest together."""
    company = Company().staff()
    deal = company.deal(moves=WON, opportunity=Decimal(22 * 23 // 2))
    sold(company, deal, *((f"P{n:02}", "1", str(n), 796) for n in range(1, 23)))
    found = by(measured(store, company), "product_revenue", "product")

    assert {f"P{n:02}": n for n in range(3, 23)} | {"other": 3} == found


def test_segments_by_whatever_is_configured(store: DuckStore) -> None:
    """Industry or type of the company, type of the contact where there is no company, type of the deal."""
    company = Company().staff()
    company.add(schema.COMPANIES, id=5, title="C", industry="IT", type_id="CUSTOMER", created_at=NOW)
    company.add(schema.CONTACTS, id=6, name="K", type_id="PARTNER", created_at=NOW)
    company.deal(moves=WON, company_id=5, type_id="SALE")
    company.deal(moves=WON, contact_id=6, type_id="")
    found = {
        by_what: by(measured(store, company, segment_by=by_what), "segment_revenue", "segment") for by_what in SegmentBy
    }

    assert {
        SegmentBy.INDUSTRY: {"IT": 100, "(none)": 100},
        SegmentBy.CLIENT_TYPE: {"CUSTOMER": 100, "PARTNER": 100},
        SegmentBy.DEAL_TYPE: {"SALE": 100, "(none)": 100},
    } == found


# ---------------------------------------------------------------- frozen


def frozen(
    company: Company, kpi_id: str, level: str, subject: int, value: float | None, month: date, when: datetime = NOW
) -> None:
    company.add(
        schema.FROZEN_VALUES, kpi_id=kpi_id, level=level, subject_id=subject, month=month, value=value, frozen_at=when
    )


FEBRUARY = date(2025, 2, 1)
WON_IN_FEBRUARY = "02-03 10:00 P; 02-10 15:00 S"


def test_drift_is_what_changed_since_the_month_was_closed(store: DuckStore) -> None:
    """200 were frozen, 100 are left: -100; 0 frozen is a value; levels without a row sum their managers'."""
    company = Company().staff()
    company.user(8, 1)
    company.deal(moves=WON_IN_FEBRUARY)
    frozen(company, "revenue_won", "M", 7, 200, FEBRUARY)
    frozen(company, "revenue_won", "M", 8, 0, FEBRUARY)
    found = measured(store, company)

    drift = KPIS["frozen_drift_amount"]
    assert (-100, 0) == tuple(found.value(drift, PREV, MANAGER, manager_id=who) for who in ("7", "8"))
    assert -100 == found.value(drift, PREV)
    assert -100 == found.value(drift, PREV, DEPARTMENT, department_id="1")


def test_what_is_frozen_later_is_not_known_yet(store: DuckStore) -> None:
    """As of an earlier instant there was nothing to drift from."""
    company = Company().staff()
    frozen(company, "revenue_won", "T", 0, 200, FEBRUARY, at("03-14 12:01"))

    assert None is measured(store, company).value(KPIS["frozen_drift_amount"], PREV)


def test_a_month_that_was_closed_without_a_value_has_none(store: DuckStore) -> None:
    """The company's row says that the month is done, and nothing else."""
    company = Company().staff()
    frozen(company, "revenue_won", "T", 0, None, FEBRUARY)

    assert None is measured(store, company).value(KPIS["frozen_drift_amount"], PREV)


@pytest.mark.parametrize(("actual", "expected"), [(500_000, 0.2), (320_000, 0.25), (0, None)])
def test_how_far_a_forecast_missed(store: DuckStore, actual: int, expected: float | None) -> None:
    """400 000 forecast, 500 000 came: 0.20; nothing came: no sample."""
    company = Company().staff()
    company.deal(moves=WON_IN_FEBRUARY, opportunity=Decimal(actual))
    frozen(company, "period_forecast_amount", "T", 0, 400_000, FEBRUARY)

    assert expected == measured(store, company).value(KPIS["forecast_error_ratio"], PREV)


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"growth_periods": 7}, "growth_periods is 7"),
        ({"seasonal_curve": ((0.5, 0.4), (0.4, 0.5))}, "seasonal_curve must ascend"),
        ({"seasonal_curve": ((0.5, 1.4),)}, "seasonal_curve must ascend"),
        ({"margin": 0.0}, "margin is 0"),
        ({"stage_probabilities": {"A": 2.0}}, "stage_probabilities of A"),
        ({"rank_by": ("charm",)}, "rank_by names charm"),
        ({"margin": 2.0, "growth_periods": 0}, "growth_periods is 0"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], expected: str) -> None:
    """Every mistake is named."""
    with pytest.raises(ConfigError, match=expected):
        KpiOptions(**options)
