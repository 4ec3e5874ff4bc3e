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
    values = np.asarray(merit, dtype=np.float64)
    worse = np.searchsorted(np.sort(values), values, side="left")
    return np.asarray(1 + 5 * worse // max(values.size, 1), dtype=np.int64)


def survival(durations: ArrayLike, observed: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Kaplan-Meier: distinct event times, ascending, and the share that lasts longer than each.

    Args:
        durations: how long each record lasted so far, shape (n,).
        observed: whether it ended then (True) or was still lasting (False, censored), shape (n,).

    Events come before censorings at the same time. Source: Kaplan, Meier 1958.
    """
    lasted, ended = np.asarray(durations, dtype=np.float64), np.asarray(observed, dtype=np.bool_)
    times, events = np.unique(lasted[ended], return_counts=True)
    at_risk = lasted.size - np.searchsorted(np.sort(lasted), times, side="left")
    return times, np.asarray(np.cumprod(1 - events / at_risk), dtype=np.float64)


def survival_quantile(durations: ArrayLike, observed: ArrayLike, q: float = 0.5) -> float:
    """Smallest time by which a share ``q`` has ended: inf{t: S(t) ≤ 1 - q}; NaN where that is never reached."""
    times, lasting = survival(durations, observed)
    # The product of rounded factors may miss an exact half by a hair.
    reached = np.flatnonzero(lasting <= 1 - q + 1e-12)
    return float(times[reached[0]]) if reached.size else float("nan")


#: Stands for the logarithm of 0.
_ALL_ENDED: Final = -50.0


def survival_medians(starts: ArrayLike, durations: ArrayLike, observed: ArrayLike) -> FloatArray:
    """``survival_quantile`` at one half of many groups at once.

    Args:
        starts: index of the first row of each group, and the number of rows; shape (groups + 1,); no group is empty.
        durations: as for ``survival``, shape (rows,), those of each group together and ascending.
        observed: likewise; at the same duration True comes before False.
    """
    bounds = np.asarray(starts, dtype=np.int64)
    lasted, ended = np.asarray(durations, dtype=np.float64), np.asarray(observed, dtype=np.bool_)
    # Events of one instant taken one by one multiply to 1 - d/n all the same. In logarithms, so that one running sum
    # serves all groups; whoever ends last ends everything, which is far below one half.
    at_risk = np.repeat(bounds[1:], np.diff(bounds)) - np.arange(len(lasted))
    with np.errstate(divide="ignore"):
        steps = np.where(ended, np.maximum(np.log1p(-1 / np.maximum(at_risk, 1)), _ALL_ENDED), 0.0)
    lasting = np.concatenate(([0.0], np.cumsum(steps)))
    lasting = lasting[1:] - np.repeat(lasting[bounds[:-1]], np.diff(bounds))
    reached = np.flatnonzero(ended & (lasting <= np.log(0.5) + 1e-9))
    first = np.searchsorted(reached, bounds[:-1])
    known = np.append(reached, len(lasted))[first] < bounds[1:]
    medians = np.full(len(bounds) - 1, np.nan)
    medians[known] = lasted[reached[first[known]]]
    return medians


def survival_order(durations: ArrayLike, observed: ArrayLike) -> FloatArray:
    """What rows ascend by for ``survival_medians``: whole durations, at the same one events before censorings."""
    return np.asarray(durations, dtype=np.float64) * 2 + ~np.asarray(observed, dtype=np.bool_)


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
