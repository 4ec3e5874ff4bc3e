"""Statistics of small samples against the catalogue's tables and against plain definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24metrics.kpi.stats import (
    benjamini_hochberg,
    fewer_p_value,
    fisher_lower,
    quantile,
    quintile_scores,
    survival_quantiles,
    wilson,
)


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
        ([20, 20], [0, 1], 20),
        ([20, 30], [0, 0], math.nan),
        ([10, 20, 30], [1, 0, 0], math.nan),
    ],
)
def test_kaplan_meier_medians(durations: list[float], observed: list[int], median: float) -> None:
    """The tests of the catalogue §13, and the edges of the definition."""
    np.testing.assert_array_equal([median], survival_quantiles([0, len(durations)], durations, observed))


def test_kaplan_meier_of_nobody() -> None:
    """No group, no median."""
    assert [] == survival_quantiles([0], [], []).tolist()


GROUPS = st.lists(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=12), min_size=1, max_size=6
)


@given(GROUPS, st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_kaplan_meier_by_its_definition(groups: list[list[tuple[int, bool]]], q: float) -> None:
    """The product over distinct event times, written as a loop: of every group, whatever the ties and the censorings."""

    def plainly(records: list[tuple[int, bool]]) -> float:
        lasting = 1.0
        for time in sorted({t for t, seen in records if seen}):
            at_risk = sum(t >= time for t, _ in records)
            lasting *= 1 - sum(t == time and seen for t, seen in records) / at_risk
            if lasting <= 1 - q + 1e-9:
                return time
        return math.nan

    starts = np.cumsum([0, *map(len, groups)])
    ordered = [sorted(group, key=lambda record: record[0]) for group in groups]
    durations, observed = zip(*(record for group in ordered for record in group), strict=True)

    np.testing.assert_array_equal(
        [plainly(group) for group in groups], survival_quantiles(starts, durations, observed, q)
    )


def test_a_half_is_a_half_in_the_last_of_many_groups() -> None:
    """However many groups there are before: of two that ended, the first one tells the median."""
    count = 300_000
    found = survival_quantiles(np.arange(count + 1) * 2, np.tile([1.0, 2.0], count), np.ones(2 * count))

    assert [1.0] == np.unique(found).tolist()


# ---------------------------------------------------------------- tests


def test_the_two_proportions_of_the_catalogue() -> None:
    """18/60 against 400/800: z = -2.9895, p = 0.00140."""
    assert 0.00140 == round(fewer_p_value(18, 60, 400, 800), 5)


def test_the_lady_tasting_tea() -> None:
    """Fisher 1935: 3 of 4 cups right has the one-sided p 17/70; seen from the failures, 1 of 4 against 3 of 4."""
    assert 17 / 70 == pytest.approx(fisher_lower(1, 4, 3, 4))
    assert 1 / 70 == pytest.approx(fisher_lower(0, 4, 4, 4))
    assert 1 == pytest.approx(fisher_lower(4, 4, 0, 4))


def test_small_expectations_are_tested_exactly() -> None:
    """Below 5 expected successes or failures, in either group."""
    for counts in ((0, 40, 10, 200), (38, 40, 199, 200), (0, 40, 0, 200), (40, 40, 200, 200)):
        assert fisher_lower(*counts) == fewer_p_value(*counts)
    assert fisher_lower(5, 60, 60, 400) != fewer_p_value(5, 60, 60, 400)


@given(st.integers(1, 60), st.integers(1, 200), st.data())
def test_tests_agree_with_another_implementation(n: int, n0: int, data: st.DataObject) -> None:
    """Fisher's p of SciPy."""
    stats = pytest.importorskip("scipy.stats", reason="SciPy belongs to an extra")
    k, k0 = data.draw(st.integers(0, n)), data.draw(st.integers(0, n0))

    expected = stats.fisher_exact([[k, n - k], [k0, n0 - k0]], alternative="less").pvalue
    assert expected == pytest.approx(fisher_lower(k, n, k0, n0), rel=1e-9)


def test_who_spent_the_same_in_another_order_shares_a_score() -> None:
    """0.10 and 0.20 are 0.30: nobody is strictly worse than either; then 2, 3 and 4 of 5."""
    assert [1, 1, 3, 4, 5] == quintile_scores([0.1 + 0.2, 0.3, 1, 2, 3]).tolist()


def test_false_discoveries() -> None:
    """p of 0.0014, 0.02, 0.03 and 0.6: the first three; the order does not matter, one above its rank may be carried."""
    assert [True, True, True, False] == benjamini_hochberg([0.0014, 0.02, 0.03, 0.6]).tolist()
    assert [False, True, True, True] == benjamini_hochberg([0.6, 0.03, 0.0014, 0.02]).tolist()
    assert [True, True] == benjamini_hochberg([0.04, 0.05]).tolist()
    assert [False, False] == benjamini_hochberg([0.04, 0.06]).tolist()
    assert [] == benjamini_hochberg([]).tolist()


def test_false_discoveries_of_the_paper() -> None:
    """Benjamini, Hochberg 1995, section 3: of 15 p-values the four smallest at q = 0.05."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]  # fmt: skip

    assert [True] * 4 + [False] * 11 == benjamini_hochberg(p_values).tolist()
