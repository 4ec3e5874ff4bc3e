"""Statistics of small samples against the catalogue's tables and against plain definitions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24metrics.kpi.stats import quantile, survival_quantile, wilson


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 1, 0.000000, 0.793451),
        (1, 1, 0.206549, 1.000000),
        (1, 5, 0.036224, 0.624465),
        (3, 5, 0.230724, 0.882379),
        (0, 10, 0.000000, 0.277533),
        (5, 7, 0.358934, 0.917781),
        (8, 10, 0.490162, 0.943318),
        (12, 60, 0.118285, 0.317818),
        (20, 64, 0.212311, 0.433923),
        (45, 60, 0.627679, 0.842235),
    ],
)
def test_wilson_bounds(k: int, n: int, low: float, high: float) -> None:
    """The table of the catalogue §13."""
    found = wilson([k], [n])

    assert [low, high] == [round(float(bound[0]), 6) for bound in found]


def test_wilson_of_nothing() -> None:
    """No trials, no bounds."""
    low, high = wilson([0], [0])

    assert math.isnan(low[0])
    assert math.isnan(high[0])


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_bounds_solve_their_equation(k: int, n: int) -> None:
    """Each bound p satisfies (k/n - p)² = z² p(1 - p)/n; together they enclose k/n."""
    k = min(k, n)
    low, high = (float(bound[0]) for bound in wilson([k], [n]))

    assert 0 <= low <= k / n <= high <= 1
    for p in (low, high):
        assert math.isclose((k / n - p) ** 2, 1.959964**2 * p * (1 - p) / n, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [([25, 40, 50, 60], 0.9, 57), ([1, 2, 3, 4], 0.9, 3.7), ([7], 0.5, 7), ([1, 2], 0.5, 1.5)],
)
def test_quantiles_are_type_7(values: list[float], q: float, expected: float) -> None:
    """Linear interpolation between order statistics."""
    assert expected == pytest.approx(quantile(values, q))


def test_a_quantile_passes_over_nothing() -> None:
    """NaN drops out; of nothing there is none."""
    assert 2 == quantile([3, math.nan, 1], 0.5)
    assert math.isnan(quantile([], 0.5))
    assert math.isnan(quantile([math.nan], 0.5))


@pytest.mark.parametrize(
    ("durations", "observed", "median"),
    [
        ([25, 40, 50, 60, 1920], [1, 1, 1, 1, 0], 50),
        ([1, 1, 1, 12.5, 32], [1, 1, 1, 1, 0], 1),
        ([0, 5, 6, 7], [1, 1, 1, 0], 5),
        ([18, 29, 45], [1, 0, 1], 45),
        ([20, 30], [1, 0], 20),
        ([20, 20], [1, 0], 20),  # an event comes before a censoring at the same time
        ([20, 30], [0, 0], None),
        ([10, 20, 30], [1, 0, 0], None),
        ([], [], None),
    ],
)
def test_kaplan_meier_medians(durations: list[float], observed: list[int], median: float | None) -> None:
    """The tests of the catalogue §13, and the edges of the definition."""
    found = survival_quantile(durations, observed)

    assert math.isnan(found) if median is None else found == median


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_kaplan_meier_by_its_definition(records: list[tuple[int, bool]], q: float) -> None:
    """The product over distinct event times, written as a loop."""
    lasting, expected = 1.0, math.nan
    for time in sorted({t for t, seen in records if seen}):
        at_risk = sum(t >= time for t, _ in records)
        events = sum(t == time and seen for t, seen in records)
        lasting *= 1 - events / at_risk
        if lasting <= 1 - q + 1e-9:
            expected = time
            break
    found = survival_quantile([t for t, _ in records], [seen for _, seen in records], q)

    assert found == expected or (math.isnan(found) and math.isnan(expected))
