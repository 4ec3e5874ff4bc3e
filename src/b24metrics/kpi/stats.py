"""Statistics of small samples.

Laws: arrays in, arrays out; nothing is NaN, never 0. Source: catalogue §13.
"""

from __future__ import annotations

from math import erfc, exp, lgamma, sqrt
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]

#: Two-sided 95 % of the normal distribution.
Z95: Final = 1.959964


def quantile(values: ArrayLike, q: float) -> float:
    """Quantile by linear interpolation between order statistics (Hyndman-Fan type 7); NaN of nothing."""
    array = np.asarray(values, dtype=np.float64)
    array = array[~np.isnan(array)]
    return float(np.quantile(array, q)) if array.size else float("nan")


def wilson(successes: ArrayLike, trials: ArrayLike, z: float = Z95) -> tuple[FloatArray, FloatArray]:
    """Bounds of the Wilson interval of proportions; NaN where there are no trials.

    Source: Wilson 1927; catalogue §13.
    """
    k, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = k / n
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # Rounding must not push the bounds of 0/n and n/n out of the interval that they are known to touch.
    low = np.where(k == 0, np.where(n > 0, 0.0, np.nan), centre - half)
    high = np.where(k == n, np.where(n > 0, 1.0, np.nan), centre + half)
    return low, high


def quintile_scores(merit: ArrayLike) -> NDArray[np.int64]:
    """Scores 1 … 5, the more merit the higher: 1 + floor(5 · |strictly worse| / n); equals share one.

    Source: catalogue §10, ``rfm_score``.
    """
    # Sums of the same money in another order may miss each other by a hair: they are equals all the same.
    values = np.round(np.asarray(merit, dtype=np.float64), 4)
    worse = np.searchsorted(np.sort(values), values, side="left")
    return np.asarray(1 + 5 * worse // max(values.size, 1), dtype=np.int64)


#: Stands for the logarithm of 0: nobody is left.
_NOBODY: Final = -50.0


def survival_quantiles(starts: ArrayLike, durations: ArrayLike, observed: ArrayLike, q: float = 0.5) -> FloatArray:
    """Kaplan-Meier: the smallest time by which a share ``q`` has ended, inf{t: S(t) ≤ 1 - q}, of many groups at once.

    Args:
        starts: index of the first row of each group, and the number of rows; shape (groups + 1,); no group is empty.
        durations: how long each record lasted so far, shape (rows,), those of each group together and ascending.
        observed: whether it ended then (True) or was still lasting (False, censored), shape (rows,).
        q: above 0, below 1.

    Returns:
        one time per group; NaN where that share was never reached.

    Events come before censorings at the same time. Source: Kaplan, Meier 1958.
    """
    bounds, lasted = np.asarray(starts, dtype=np.int64), np.asarray(durations, dtype=np.float64)
    begins = np.ones(len(lasted), dtype=np.bool_)
    begins[1:] = lasted[1:] != lasted[:-1]
    begins[bounds[:-1]] = True
    times = np.flatnonzero(begins)
    of_group = np.searchsorted(times, bounds)
    if not len(times):
        return np.full(len(bounds) - 1, np.nan)
    at_risk = np.repeat(bounds[1:], np.diff(of_group)) - times
    ended = np.add.reduceat(np.asarray(observed, dtype=np.float64), times)
    # Factors as logarithms, so that one running sum serves all groups; what a group came to is taken back where the
    # next begins, lest it eat up the digits of those that follow.
    with np.errstate(divide="ignore"):
        steps = np.maximum(np.log1p(-ended / at_risk), _NOBODY)
    back = np.zeros(len(times))
    back[of_group[1:-1]] = np.add.reduceat(steps, of_group[:-1])[:-1]
    lasting = np.cumsum(steps - back)
    # Rounding may miss an exact half by a hair.
    reached = np.append(np.flatnonzero(lasting <= np.log1p(-q) + 1e-9), len(times))
    first = reached[np.searchsorted(reached, of_group[:-1])]
    return np.where(first < of_group[1:], lasted[times[np.minimum(first, len(times) - 1)]], np.nan)


# ---------------------------------------------------------------- tests

#: Expected count of a cell below which the normal approximation is not trusted.
_LEAST_EXPECTED: Final = 5


def fewer_p_value(k: int, n: int, k0: int, n0: int) -> float:
    """How likely a share as low as ``k / n`` is if it is that of ``k0 / n0`` in truth; one-sided.

    Pooled two-proportion z-test; Fisher's exact test where an expected count is below 5. Source: catalogue §8.2.
    """
    pooled = (k + k0) / (n + n0)
    if min(n, n0) * min(pooled, 1 - pooled) < _LEAST_EXPECTED:
        return fisher_lower(k, n, k0, n0)
    z = (k / n - k0 / n0) / sqrt(pooled * (1 - pooled) * (1 / n + 1 / n0))
    return erfc(-z / sqrt(2)) / 2


def fisher_lower(k: int, n: int, k0: int, n0: int) -> float:
    """Fisher's exact test: the chance of at most ``k`` of the ``k + k0`` successes among ``n`` of ``n + n0`` trials."""
    successes, trials = k + k0, n + n0
    whole = _log_choices(trials, n)
    least = max(0, n - (trials - successes))
    chances = (
        exp(_log_choices(successes, i) + _log_choices(trials - successes, n - i) - whole) for i in range(least, k + 1)
    )
    return min(1.0, sum(chances))


def _log_choices(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def benjamini_hochberg(p_values: ArrayLike, q: float = 0.05) -> NDArray[np.bool_]:
    """Which hypotheses are rejected at a false discovery rate ``q``; shape as given.

    Source: Benjamini, Hochberg 1995.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    within = np.flatnonzero(p[order] <= q * np.arange(1, p.size + 1) / max(p.size, 1))
    rejected = np.zeros(p.size, dtype=np.bool_)
    if within.size:
        rejected[order[: within[-1] + 1]] = True
    return rejected
