"""What the evaluator can carry beyond the KPIs declared today: survival, growth, ranks, sums per call, labels of their own.

KPIs here are declared as a user of the library would declare one; the figures are the catalogue's on company T1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, MANAGER, Kpi, KpiOptions, Snapshot, WindowId, evaluate, explain
from b24metrics.kpi.cells import Cells, FloatArray, Groups
from b24metrics.kpi.facts.calls import CALLS
from b24metrics.kpi.facts.deals import CLOSED_DEALS, OPEN_DEALS
from b24metrics.kpi.facts.requests import REQUESTS
from b24metrics.kpi.model import (
    Computed,
    Derived,
    Mean,
    Measure,
    Number,
    Plan,
    Previous,
    Quantile,
    Ratio,
    Total,
    grains,
    windows,
)
from b24metrics.kpi.stats import survival_quantile
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1
from tests.kpi.small import NOW, PORTAL, Company, at

REVENUE = Total(CLOSED_DEALS, "amount", where="outcome = 'won'")
MTD, TODAY = WindowId.MTD, WindowId.TODAY


def declared(kpi_id: str, measure: Measure, written: str, *names: WindowId, labels: tuple[str, ...] = ()) -> Kpi:
    return replace(
        KPIS["revenue_won"], id=kpi_id, measure=measure, grains=grains(written), windows=names, labels=labels
    )


def on_t1(store: DuckStore, *kpis: Kpi) -> Snapshot:
    return evaluate(store, company_t1.PORTAL, kpis, now=company_t1.NOW, options=company_t1.OPTIONS)


def km_median(groups: Groups) -> FloatArray:
    return np.array(
        [
            survival_quantile(groups.rows(cell, "working_seconds"), groups.rows(cell, "answered") > 0)
            for cell in range(len(groups))
        ]
    )


def test_survival_over_the_rows_of_each_cell(t1: DuckStore) -> None:
    """Kaplan-Meier median of first response: 3000 s for the company, d5 unanswered; Boris has no censored one."""
    kpi = declared(
        "first_response_seconds_km_median",
        Computed(REQUESTS, ("working_seconds", "answered"), km_median),
        "M D P R T",
        MTD,
    )
    found = on_t1(t1, kpi)

    company = found.sample(kpi, MTD)
    assert company is not None
    assert (3000, 5) == (company.value, company.n)
    assert 3000 == found.value(kpi, MTD, DEPARTMENT, department_id="10")
    # Anna: 25 and 50 minutes, one censored at 32 h: S = 2/3, 1/3. Boris: 40 and 60: S = 1/2 at 40.
    assert (3000, 2400) == tuple(found.value(kpi, MTD, MANAGER, manager_id=who) for who in ("101", "102"))
    vera = found.sample(kpi, MTD, MANAGER, manager_id="103")
    assert vera is not None
    assert (None, 0) == (vera.value, vera.n)


def growth(cells: Cells) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(cells["before"] > 0, cells["now"] / cells["before"] - 1, np.nan)


def test_growth_against_the_comparable_previous_window(t1: DuckStore) -> None:
    """Sales growth mtd: 244/120 - 1 = +1.0333; nothing where there was nothing before."""
    kpi = declared(
        "sales_growth_ratio",
        Derived({"now": REVENUE, "before": Previous(REVENUE)}, growth),
        "M D T",
        MTD,
        WindowId.PREV_MONTH,
    )
    found = on_t1(t1, kpi)

    assert found.value(kpi, MTD) == pytest.approx(1.0333, abs=1e-4)
    assert -1 == found.value(kpi, MTD, MANAGER, manager_id="102")
    assert found.sample(kpi, MTD, MANAGER, manager_id="101") is None
    assert found.sample(kpi, WindowId.PREV_MONTH) is None


def test_the_previous_value_itself(t1: DuckStore) -> None:
    """Medians, ratios and counts look back alike."""
    median = declared("m", Previous(Quantile(CLOSED_DEALS, "amount", 0.5, where="outcome = 'won'")), "T", MTD)
    rate = declared("r", Previous(Ratio(REVENUE, Number(CLOSED_DEALS))), "T", MTD)
    twice = declared("n", Previous(Number(CLOSED_DEALS), steps=2), "T", MTD)
    found = on_t1(t1, median, rate, twice)

    # [1 Feb, 14 Feb 12:00): d11 alone; [1 Jan, 14 Jan 12:00): nothing
    assert (120_000, 120_000, 0) == tuple(found.value(kpi, MTD) for kpi in (median, rate, twice))


def rank(cells: Cells) -> FloatArray:
    """Competition ranking, the highest first."""
    return np.array([float(1 + (cells["revenue"] > mine).sum()) for mine in cells["revenue"]])


def test_ranks_look_over_all_cells(t1: DuckStore) -> None:
    """Ranking by revenue mtd: Anna 1, Vera 2, Boris 3; Gleb, dismissed, shares the third place with him."""
    kpi = declared("manager_rank", Derived({"revenue": REVENUE}, rank), "M", MTD)
    found = on_t1(t1, kpi)

    assert {"101": 1, "103": 2, "102": 3, "104": 3} == {s.labels["manager_id"]: s.value for s in found.of(kpi, MANAGER)}


def run_rate(cells: Cells) -> FloatArray:
    passed = [cells.intervals[cells.window_ids[window]] for window in cells.windows]
    return (
        cells["revenue"]
        * np.array([one.working_seconds_whole for one in passed])
        / np.array([one.working_seconds for one in passed])
    )


def test_forecasts_know_the_working_time_of_their_window(t1: DuckStore) -> None:
    """Run rate: 244 000 by 84 h of 189 h is 549 000; the plan is an input like any other."""
    forecast = declared("run_rate_forecast_amount", Derived({"revenue": REVENUE}, run_rate), "M D T", MTD)
    gap = declared(
        "plan_gap_amount",
        Derived({"plan": Plan("revenue_won"), "fact": REVENUE}, lambda c: np.maximum(0, c["plan"] - c["fact"])),
        "M D T",
        MTD,
    )
    found = on_t1(t1, forecast, gap)

    assert 549_000 == found.value(forecast, MTD)
    assert 256_000 == found.value(gap, MTD)
    assert 110_000 == found.value(gap, MTD, MANAGER, manager_id="101")
    assert found.sample(gap, MTD, MANAGER, manager_id="103") is None


def test_cells_carry_their_labels(t1: DuckStore) -> None:
    """A cross-cell measure can find the members of one department."""
    seen: list[set[tuple[str, str]]] = []

    def look(cells: Cells) -> FloatArray:
        seen.append(set(zip(cells.labels["manager_id"].tolist(), cells.labels["department_id"].tolist(), strict=True)))
        return cells["open"]

    on_t1(t1, declared("load", Derived({"open": Number(OPEN_DEALS)}, look), "M", WindowId.NOW))

    assert [{("101", "11"), ("102", "12"), ("103", "10"), ("104", "11")}] == seen


def test_talk_time_per_call(t1: DuckStore) -> None:
    """Mean 113.571 and median 90 over connected calls; Anna 157.5, Boris 55."""
    mean = declared(
        "talk_time_avg_seconds", Mean(CALLS, "duration_seconds", "connected", per="call_key"), "M D T", TODAY
    )
    median = declared(
        "talk_time_median_seconds",
        Quantile(CALLS, "duration_seconds", 0.5, "connected", per="call_key"),
        "M D T",
        TODAY,
    )
    found = on_t1(t1, mean, median)

    assert found.value(mean, TODAY) == pytest.approx(113.571, abs=1e-3)
    assert (157.5, 55) == tuple(found.value(mean, TODAY, MANAGER, manager_id=who) for who in ("101", "102"))
    assert 90 == found.value(median, TODAY)


def test_legs_are_summed_inside_the_scope(store: DuckStore) -> None:
    """One call of 30 + 50 s with a colleague's 40 s between: 80 for the one, 40 for the other, 120 for the company."""
    company = Company().staff()
    company.user(8, 1)
    for user, seconds in ((7, 30), (8, 40), (7, 50)):
        company.call(at("03-14 10:00"), call_id="x", user_id=user, duration_seconds=seconds)
    company.call(at("03-14 11:00"), duration_seconds=10)
    company.pour(store)
    mean = declared("mean", Mean(CALLS, "duration_seconds", "connected", per="call_key"), "M D T", TODAY)
    least = declared("least", Quantile(CALLS, "duration_seconds", 1.0, "connected", per="call_key"), "M D T", TODAY)
    found = evaluate(store, PORTAL, [mean, least], now=NOW)

    assert (45, 40, 65) == (
        found.value(mean, TODAY, MANAGER, manager_id="7"),
        found.value(mean, TODAY, MANAGER, manager_id="8"),
        found.value(mean, TODAY),
    )
    assert (80, 40, 120) == (
        found.value(least, TODAY, MANAGER, manager_id="7"),
        found.value(least, TODAY, MANAGER, manager_id="8"),
        found.value(least, TODAY, DEPARTMENT, department_id="1"),
    )


def test_labels_of_their_own(t1: DuckStore) -> None:
    """Loss by stage reached, by source: rows only where there are records, on every cut, for every kind of measure."""
    lost = "outcome = 'lost'"
    count = declared("lost", Number(CLOSED_DEALS, lost), "M D P T", MTD, labels=("source_id", "stage_id"))
    median = declared(
        "median", Quantile(CLOSED_DEALS, "amount", 0.5, lost), "M D P T", MTD, labels=("source_id", "stage_id")
    )
    share = declared("share", Ratio(Number(CLOSED_DEALS, lost), Number(CLOSED_DEALS)), "T", MTD, labels=("source_id",))
    found = on_t1(t1, count, median, share)

    assert [({"source_id": "WEB", "stage_id": "LOSE"}, 2)] == [
        (dict(s.labels), s.value) for s in found.of(count, COMPANY)
    ]
    assert [("102", "12", "WEB", 2)] == [
        (s.labels["manager_id"], s.labels["department_id"], s.labels["source_id"], s.value)
        for s in found.of(count, MANAGER)
    ]
    assert {("10", 100_000), ("12", 100_000)} == {
        (s.labels["department_id"], s.value) for s in found.of(median, DEPARTMENT)
    }
    assert {("WEB", 2 / 3), ("CALL", 0)} == {(s.labels["source_id"], s.value) for s in found.of(share, COMPANY)}
    assert ("source_id", "stage_id", "window") == count.family(COMPANY).labels[-3:]


def test_several_measures_over_one_fact_at_once(t1: DuckStore) -> None:
    """Everything together gives what each gives alone."""
    kpis = [
        declared("a", Number(CALLS, "connected"), "M D T", *windows("today mtd")),
        declared("b", Number(CALLS, "connected", distinct="call_key"), "M D T", *windows("mtd 30d")),
        declared("c", Quantile(CALLS, "duration_seconds", 0.9, "connected"), "M T", *windows("today qtd")),
        declared("d", Quantile(CALLS, "duration_seconds", 0.9), "D T", *windows("qtd")),
        declared("e", Ratio(Number(CALLS, "connected"), Number(CALLS)), "D T", *windows("30d prev_month")),
    ]

    def told(snapshot: Snapshot) -> set[tuple[object, ...]]:
        return {(s.kpi.id, str(s.grain), *s.labels.values(), s.window, s.value, s.n) for s in snapshot.samples}

    assert set().union(*(told(on_t1(t1, kpi)) for kpi in kpis)) == told(on_t1(t1, *kpis))


# ---------------------------------------------------------------- measures made of measures


def difference(cells: Cells) -> FloatArray:
    return cells["one"] - cells["other"]


def test_inputs_may_be_derived_themselves(t1: DuckStore) -> None:
    """The gap to the plan, of the gap of the month before: any measure is an input, looking back adds up."""
    gap = Derived({"one": Plan("revenue_won"), "other": REVENUE}, difference)
    kpi = declared("x", Derived({"one": gap, "other": Previous(Previous(gap))}, difference), "T", MTD)
    plain = declared("y", gap, "T", MTD)
    back = declared("z", Previous(REVENUE, steps=2), "T", MTD)
    found = on_t1(t1, kpi, plain, back)

    assert 256_000 == found.value(plain, MTD)
    # Two months back there was neither plan nor revenue: nothing to compare with.
    assert (None, 0) == (found.value(kpi, MTD), found.value(back, MTD))
    assert {"one.other", "other.other"} >= {
        record.part
        for record in explain(t1, company_t1.PORTAL, kpi, MTD, now=company_t1.NOW, options=company_t1.OPTIONS)
    }


def test_numpy_measures_are_told_the_companys_decisions(t1: DuckStore) -> None:
    """Cells and groups carry the options, with what the portal itself says filled in."""
    told: list[KpiOptions] = []

    def count(groups: Groups) -> FloatArray:
        told.append(groups.options)
        return np.diff(groups.starts).astype(np.float64)

    def same(cells: Cells) -> FloatArray:
        told.append(cells.options)
        return cells["n"]

    on_t1(t1, declared("x", Derived({"n": Computed(CLOSED_DEALS, ("amount",), count)}, same), "T", MTD))

    assert {company_t1.OPTIONS.sla_seconds} == {options.sla_seconds for options in told}
    assert {("Europe/Moscow", "RUB")} == {(options.zone, options.reporting_currency) for options in told}
    assert all(options.calendar is not None for options in told)
