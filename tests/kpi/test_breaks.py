"""Breaks of the funnel: both rules on the card's figures, and on mature cohorts of a company."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import pytest

from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, Grain, KpiOptions, Snapshot, WindowId
from b24metrics.kpi.breaks import DETERIORATION, STRUCTURAL, flags, lost_deals
from b24metrics.kpi.cells import Cells, Values
from b24metrics.mirror.stores import DuckStore
from tests.kpi import small
from tests.kpi.pipelines import Funnels, pipeline_of
from tests.kpi.small import NOW

#: Stage → (deals that reached it, deals that went on, the same 180 days before), pipeline by the stage's prefix.
Counts = Mapping[str, tuple[int, int, int, int]]


def cells(counts: Counts, rule: str = STRUCTURAL, windows: Sequence[int] | None = None) -> Cells:
    columns = np.array(list(counts.values()), dtype=np.float64).T
    values = dict(zip(("n", "k", "n0", "k0"), columns, strict=True))
    values["pipeline"] = np.array([float(pipeline_of(stage)) for stage in counts])
    return Cells(
        grain=COMPANY,
        values=values,
        labels={"stage": np.array([stage.rstrip("'") for stage in counts])},
        windows=np.array(windows or [0] * len(counts)),
        window_ids=(WindowId.T90, WindowId.D30),
        intervals={},
        options=KpiOptions(),
        inputs={name: Values(column) for name, column in values.items()},
        combination={"rule": rule},
    )


def said(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def structural(*counts: tuple[int, int]) -> Counts:
    return {f"S{place}": (n, k, 0, 0) for place, (n, k) in enumerate(counts)}


# ---------------------------------------------------------------- structural


def test_the_structural_example() -> None:
    """100 → 80 → 64 → 20 → 16: stage 3 breaks and costs 31.2 deals, 1 and 2 do not, stage 4 has too few."""
    example = cells(structural((100, 80), (80, 64), (64, 20), (20, 16)))

    assert [0, 0, 1, None] == said(flags(example))
    assert [0, 0, pytest.approx(31.2), None] == said(lost_deals(example))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (((30, 3), (100, 80), (100, 80)), 1),
        (((29, 0), (100, 80), (100, 80)), None),  # too few to judge
        (((30, 3), (100, 80), (9, 8)), None),  # one other stage is not enough
        (((30, 3), (100, 80), (10, 8)), 1),
        (((30, 10), (100, 80), (100, 80)), 0),  # a third, but its interval reaches 0.51
    ],
)
def test_what_a_structural_break_needs(counts: tuple[tuple[int, int], ...], expected: float | None) -> None:
    """30 deals at the stage, two others with 10, and an interval wholly below 0.6 of their median."""
    assert expected == said(flags(cells(structural(*counts))))[0]


def test_pipelines_are_judged_apart() -> None:
    """A stage is compared with those of its own pipeline and window."""
    counts = {"A": (100, 10, 0, 0), "B": (100, 80, 0, 0), "C3:A": (100, 80, 0, 0), "C3:B": (100, 80, 0, 0)}

    assert [None] * 4 == said(flags(cells(counts)))
    assert [1, 0, 0, 0] == said(flags(cells({stage.replace("C3:", "X"): n for stage, n in counts.items()})))
    twice = cells({"A": (100, 10, 0, 0), "B": (100, 80, 0, 0), "A'": (100, 80, 0, 0)}, windows=[0, 0, 1])
    assert [None] * 3 == said(flags(twice))


# ---------------------------------------------------------------- deterioration


def test_the_deterioration_example() -> None:
    """18 of 60 against 400 of 800: flagged; the same share with a baseline of 99 deals says nothing."""
    example: Counts = {"A": (60, 18, 800, 400), "B": (60, 18, 99, 50), "C": (29, 3, 800, 400), "D": (60, 30, 800, 400)}

    assert [1, None, None, 0] == said(flags(cells(example, DETERIORATION)))


def test_a_significant_fall_must_also_be_a_fifth() -> None:
    """Exactly four fifths is enough, a little above is not, however sure."""
    example: Counts = {"A": (10_000, 4000, 10_000, 5000), "B": (10_000, 4001, 10_000, 5000)}

    assert [1, 0] == said(flags(cells(example, DETERIORATION)))


def test_tests_of_one_scope_are_corrected_together() -> None:
    """p = 0.033 alone is significant; among three more stages that did not fall it is not."""
    alone: Counts = {"A": (40, 12, 200, 90)}
    others: Counts = {f"B{n}": (100, 50, 200, 100) for n in range(3)}

    assert [1] == said(flags(cells(alone, DETERIORATION)))
    assert [0, 0, 0, 0] == said(flags(cells({**alone, **others}, DETERIORATION)))


# ---------------------------------------------------------------- mature cohorts


def breaks(store: DuckStore, company: Funnels) -> Snapshot:
    chosen = ("funnel_break", "funnel_break_lost_deals")
    return small.measured(store, company, kpis=chosen, burst_records=10_000)  # crowds are no imports here


def crowd(company: Funnels, days_ago: int, stages: Mapping[str, int]) -> None:
    """So many deals whose last stage was each of these, created then; wins take a day."""
    start = (NOW - timedelta(days=days_ago)).strftime("%Y-%m-%d %H:%M")
    for path, count in stages.items():
        for _ in range(count):
            company.path(path, start=start, step=timedelta(days=1))


def found(
    snapshot: Snapshot, window: WindowId, rule: str, grain: Grain = COMPANY, **labels: str
) -> dict[str, float | None]:
    return {
        sample.labels["stage"]: sample.value
        for sample in snapshot.of(KPIS["funnel_break"], grain)
        if sample.window is window and sample.labels["rule"] == rule and labels.items() <= sample.labels.items()
    }


def test_breaks_of_a_company(store: DuckStore) -> None:
    """100 → 80 → 64 → 20 → 16 among deals that had time enough; younger ones say nothing yet."""
    company = Funnels()
    crowd(company, 10, {"A LOSE": 20, "A B LOSE": 16, "A B C LOSE": 44, "A B C D LOSE": 4, "A WON": 16})
    crowd(company, 0, {"A": 60})
    snapshot = breaks(store, company)

    for window in (WindowId.D30, WindowId.T90):
        assert {"A": 0, "B": 0, "C": 1} == found(snapshot, window, STRUCTURAL)
    assert {"A": 0, "B": 0, "C": 1} == found(snapshot, WindowId.D30, STRUCTURAL, DEPARTMENT, department_id="1")
    lost = KPIS["funnel_break_lost_deals"]
    assert pytest.approx(31.2) == snapshot.value(lost, WindowId.D30, Grain.parse("P"), pipeline_id="0", stage="C")
    assert {} == found(snapshot, WindowId.D30, DETERIORATION)


def test_deterioration_against_the_half_year_before(store: DuckStore) -> None:
    """18 of 60 in the last 30 mature days, 60 of 120 before; four of five wins take a day."""
    company = Funnels()
    crowd(company, 20, {"A LOSE": 42, "A WON": 18})
    crowd(company, 60, {"A LOSE": 60, "A WON": 60})
    snapshot = breaks(store, company)

    assert 1 == found(snapshot, WindowId.D30, DETERIORATION)["A"]
    assert {} == found(snapshot, WindowId.T90, DETERIORATION)  # all of them are its own cohort: nothing before


def test_the_maturity_is_that_of_four_fifths_of_the_wins(store: DuckStore) -> None:
    """Wins of 1, 1, 1, 1 and 11 days: p80 is 1 day; of 1 and 11 days: 9 days, and deals of 5 days ago are too young."""
    for slow, seen in ((1, True), (30, False)):
        company = Funnels()
        crowd(company, 5, {"A LOSE": 30, "A B LOSE": 30, "A B C LOSE": 30, "A B C D LOSE": 30})
        for _ in range(4):
            company.path("A WON", start="01-10 10:00", step=timedelta(days=1))
        for _ in range(slow):
            company.path("A WON", start="01-10 10:00", step=timedelta(days=11))
        assert seen == bool(found(breaks(store, company), WindowId.D30, STRUCTURAL))


def test_without_any_win_nothing_is_mature(store: DuckStore) -> None:
    """No sales cycle, no cohort, no answer."""
    company = Funnels()
    crowd(company, 20, {"A LOSE": 40, "A B LOSE": 40, "A B C LOSE": 40})

    assert () == breaks(store, company).samples
