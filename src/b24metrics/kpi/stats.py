"""Statistics of small samples.

Laws: arrays in, arrays out; nothing is NaN, never 0. Source: catalogue §13.
"""

from __future__ import annotations

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
