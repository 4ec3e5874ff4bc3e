"""What the evaluator can carry beyond the KPIs declared today: survival, growth, ranks, sums per call, labels of their own.

KPIs here are declared as a user of the library would declare one; the figures are the catalogue's on company T1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, MANAGER, Kpi, KpiOptions, Snapshot, WindowId, evaluate, explain
from b24metrics.kpi.cells import Cells, FloatArray, Groups, Values
from b24metrics.kpi.facts import Fact
from b24metrics.kpi.facts.calls import CALLS
from b24metrics.kpi.facts.deals import CLOSED_DEALS, OPEN_DEALS
from b24metrics.kpi.facts.population import DEALS
from b24metrics.kpi.facts.requests import REQUESTS
from b24metrics.kpi.model import (
    LINE,
    Computed,
    Derived,
    Mean,
    Measure,
    Number,
    Over,
    Part,
    Plan,
    Previous,
    Quantile,
    Ratio,
    Total,
    grains,
    windows,
)
from b24metrics.kpi.stats import survival_quantiles
from b24metrics.mirror import schema
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
    return survival_quantiles(groups.starts, groups.columns["working_seconds"], groups.columns["answered"] > 0)


def test_survival_over_the_rows_of_each_cell(t1: DuckStore) -> None:
    """Kaplan-Meier median of first response: 3000 s for the company, d5 unanswered; Boris has no censored one."""
    kpi = declared(
        "first_response_seconds_km_median",
        Computed(REQUESTS, ("working_seconds", "answered"), km_median, order="working_seconds"),
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


def test_a_measure_over_a_fixed_window(t1: DuckStore) -> None:
    """The t90 baseline inside ``now``, and the window before it: whatever the window of the sample is."""
    kpi = declared(
        "x",
        Derived({"one": Number(OPEN_DEALS), "other": Over(Number(CLOSED_DEALS), WindowId.T90)}, lambda c: c["other"]),
        "M D T",
        WindowId.NOW,
        MTD,
    )
    before = declared("y", Over(Previous(REVENUE), MTD), "T", TODAY)
    plain = declared("z", Number(CLOSED_DEALS), "M D T", WindowId.T90)
    found = on_t1(t1, kpi, before, plain)

    assert 120_000 == found.value(before, TODAY)
    for grain in plain.grains:
        told = {tuple(s.labels.items()): s.value for s in found.of(plain, grain)}
        for window in (WindowId.NOW, MTD):
            assert told == {tuple(s.labels.items()): s.value for s in found.of(kpi, grain) if s.window == window}
    assert {WindowId.NOW, MTD, TODAY, WindowId.T90} == set(found.intervals)
    records = explain(t1, company_t1.PORTAL, kpi, WindowId.NOW, now=company_t1.NOW, options=company_t1.OPTIONS)
    assert found.value(plain, WindowId.T90) == sum(record.part == "other" for record in records)


#: Clients who had bought before the window began and bought in it.
RETURNED = Fact(
    "kpi_returned",
    """
SELECT w.window_no, min(d.id) AS id, d.manager_id, 2 * count(*) AS twice
FROM kpi_windows AS w
JOIN kpi_deals AS d ON d.created_at >= w.starts_at AND d.created_at < w.ends_at
WHERE EXISTS (SELECT 1 FROM kpi_deals AS b WHERE b.created_at < w.starts_at AND b.manager_id = d.manager_id)
GROUP BY w.window_no, d.manager_id
""",
    needs=(DEALS,),
    feeds=("deals",),
    kind="deal",
    windowed=True,
)


def test_facts_may_depend_on_the_bounds_of_their_window(store: DuckStore) -> None:
    """Who was there before the window and is there in it: for every window anew, previous ones included."""
    company = Company().staff()
    company.deal(1, created_at=at("01-10 10:00"), assigned_by_id=7)
    company.deal(2, created_at=at("02-10 10:00"), assigned_by_id=7)
    company.deal(3, created_at=at("03-05 10:00"), assigned_by_id=7)
    company.deal(4, created_at=at("03-06 10:00"), assigned_by_id=7)
    company.pour(store)
    names = windows("mtd prev_month qtd today")
    count = declared("x", Number(RETURNED), "M D T", *names)
    total = declared("y", Total(RETURNED, "twice"), "T", *names)
    before = declared("z", Previous(Number(RETURNED)), "T", MTD)
    median = declared("q", Quantile(RETURNED, "twice", 0.5), "M D T", *names)
    found = evaluate(store, PORTAL, [count, total, before, median], now=NOW)

    assert (1, 1, 0, 0) == tuple(found.value(count, window) for window in names)
    assert (4, 2, 0, 0) == tuple(found.value(total, window) for window in names)
    assert 1 == found.value(before, MTD)  # [1 Feb, 14 Feb 12:00)
    assert (4, 2, None, None) == tuple(found.value(median, window, MANAGER, manager_id="7") for window in names)
    told = [(record.id, record.contribution) for record in explain(store, PORTAL, total, MTD, now=NOW)]
    assert [(3, 4)] == told


def best(cells: Cells) -> FloatArray:
    """Place by revenue or by number, as the combination says."""
    mine = cells[cells.combination["by"]]
    return np.array([float(1 + (mine > one).sum()) for one in mine])


def test_constant_labels_spread_a_measure(t1: DuckStore) -> None:
    """One sample for each combination, labels in the order of the family."""
    ranks = Derived(
        {"revenue": REVENUE, "count": Number(CLOSED_DEALS, where="outcome = 'won'")},
        best,
        spread=({"by": "revenue", "within": "T"}, {"by": "count", "within": "T"}),
    )
    kpi = declared("manager_rank", ranks, "M", MTD, labels=("by", "within"))
    plain = declared("x", Derived({"revenue": REVENUE}, rank), "M", MTD)
    found = on_t1(t1, kpi, plain)

    said = {(s.labels["by"], s.labels["manager_id"]): s.value for s in found.of(kpi, MANAGER)}
    assert {s.labels["manager_id"]: s.value for s in found.of(plain, MANAGER)} == {
        who: value for (by, who), value in said.items() if by == "revenue"
    }
    assert 1 == said["count", "101"]
    assert {("manager_id", "department_id", "by", "within")} == {tuple(s.labels) for s in found.of(kpi, MANAGER)}
    assert ("manager_id", "department_id", "by", "within", "window") == kpi.family(MANAGER).labels
    first = found.of(kpi, MANAGER)[0]
    records = explain(
        t1, company_t1.PORTAL, kpi, MTD, MANAGER, first.labels, now=company_t1.NOW, options=company_t1.OPTIONS
    )
    assert {"revenue", "count"} >= {record.part for record in records}


def test_sizes_of_derived_and_numpy_measures(t1: DuckStore) -> None:
    """A card declares which sizes it publishes; compute gives them along with the value."""

    def share(cells: Cells) -> Values:
        above, below = cells["one"], cells["other"]
        with np.errstate(divide="ignore", invalid="ignore"):
            return Values(np.where(below > 0, above / below, np.nan), n=below, numerator=above, denominator=below)

    def paid(groups: Groups) -> Values:
        sums = np.add.reduceat(groups.columns["amount"], groups.starts[:-1])
        return Values(sums / 1000, numerator=sums, denominator=np.full(len(groups), 1000.0))

    won = Number(CLOSED_DEALS, where="outcome = 'won'")
    derived = replace(
        declared("x", Derived({"one": won, "other": Number(CLOSED_DEALS)}, share), "M T", MTD),
        companions=(Part.NUMERATOR, Part.DENOMINATOR, Part.N),
    )
    numpy = replace(
        declared("y", Computed(CLOSED_DEALS, ("amount",), paid, where="outcome = 'won'"), "T", MTD),
        companions=(Part.NUMERATOR, Part.DENOMINATOR),
    )
    inner = declared(
        "z", Derived({"rate": Ratio(won, Number(CLOSED_DEALS))}, lambda c: some(c.inputs["rate"].n)), "T", MTD
    )
    found = on_t1(t1, derived, numpy, inner)

    whole = found.sample(derived, MTD)
    assert whole is not None
    assert (0.6, 5, 3, 5) == (whole.value, whole.n, whole.numerator, whole.denominator)
    nobody = found.sample(derived, MTD, MANAGER, manager_id="102")
    assert nobody is not None  # an empty share says so by its sizes
    assert {"numerator", "denominator", "n"} == {part.value for part in derived.parts}
    sums = found.sample(numpy, MTD)
    assert sums is not None
    assert (244, 3, 244_000, 1000) == (sums.value, sums.n, sums.numerator, sums.denominator)
    assert 5 == found.value(inner, MTD)
    names = {family.name for family in numpy.families}
    assert {"b24_company_y", "b24_company_y_numerator", "b24_company_y_denominator"} == names


def some(numbers: FloatArray | None) -> FloatArray:
    assert numbers is not None
    return numbers


def test_numbers_from_outside_must_have_been_loaded(store: DuckStore) -> None:
    """Without them there is no sample at all, and the snapshot says what is lacking."""
    kpi = replace(declared("x", Number(CLOSED_DEALS), "T", MTD), needs_input="visits")
    company = Company().staff()
    company.pour(store)
    without = evaluate(store, PORTAL, [kpi], now=NOW)
    row = {"level": "T", "subject_id": 0, "starts_on": NOW.date(), "label": "", "amount": 5}
    company.add(schema.INPUTS, kind="visits", **row)
    company.pour(store)
    loaded = evaluate(store, PORTAL, [kpi], now=NOW)

    assert ((), {"x": ("inputs.visits",)}) == (without.samples, dict(without.absent))
    assert (0, {}) == (loaded.value(kpi, MTD), dict(loaded.absent))


def test_calls_may_be_cut_by_line(store: DuckStore) -> None:
    """Lines that had calls, each with its records; a call without one is one of no line."""
    company = Company().staff()
    for line in ("sip1", "sip1", "sip2", None):
        company.call(at("03-14 10:00"), line=line)
    company.pour(store)
    kpi = declared("x", Number(CALLS), "M L T", TODAY)
    found = evaluate(store, PORTAL, [kpi], now=NOW)

    assert {"sip1": 2, "sip2": 1, "(none)": 1} == {s.labels["line"]: s.value for s in found.of(kpi, LINE)}
    assert ("b24_line_x", ("line", "window")) == (kpi.family(LINE).name, kpi.family(LINE).labels)
    assert 2 == len(explain(store, PORTAL, kpi, TODAY, LINE, {"line": "sip1"}, now=NOW))


@pytest.mark.parametrize(
    ("kpi_id", "other"),
    [
        ("rfm_score", "segment_revenue"),
        ("responses_within_count", "win_rate"),
        ("revenue_won", "overdue_activities_count"),
    ],
)
def test_what_is_computed_beside_a_kpi_gives_it_no_rows(store: DuckStore, kpi_id: str, other: str) -> None:
    """Segments of clients are no segments of sales, sources of deals none of requests, leads stand in no pipeline."""
    company = Company(crm_mode=1).staff()
    lead = company.lead(created_at=at("03-13 10:00"))
    company.activity(lead=lead, completed=False, deadline_at=at("03-13 12:00"))
    for client in range(1, 31):
        company.add(schema.COMPANIES, id=client, title=f"Client {client}", industry="IT")
        company.deal(moves="03-03 10:00 P; 03-10 15:00 S", company_id=client, source_id="CALL")
    company.pour(store)

    def told(*kpi_ids: str) -> set[tuple[object, ...]]:
        found = evaluate(store, PORTAL, [KPIS[one] for one in kpi_ids], now=NOW)
        return {
            (str(sample.grain), *sample.labels.items(), sample.window, sample.value)
            for sample in found.samples
            if sample.kpi.id == kpi_id
        }

    alone = told(kpi_id)

    assert alone
    assert alone == told(kpi_id, other)
