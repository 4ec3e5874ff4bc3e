"""What chapters A and E compute from values of other measures: growth, gaps, pace, forecasts.

Laws: one number per cell, NaN for nothing; a division by what is not above 0 is nothing. Source: catalogue §5, §19.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from b24metrics.kpi.cells import Cells, FloatArray
from b24metrics.kpi.model import Axis
from b24metrics.kpi.results import Interval
from b24metrics.worktime.zones import load_zone

#: Share of a period's working time that must have passed before its pace means anything.
LEAST_ELAPSED: Final = 0.1
#: Deals that a manager must have closed in t90 before a velocity means anything.
LEAST_CLOSED: Final = 20

_DAY_SECONDS: Final = 86_400


def divided(above: FloatArray, below: FloatArray) -> FloatArray:
    """``above / below``, nothing where ``below`` is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)


def growth(cells: Cells) -> FloatArray:
    """Of ``revenue`` against ``before``."""
    return divided(cells["revenue"], cells["before"]) - 1


def growth_against_mean(cells: Cells) -> FloatArray:
    """Of ``revenue`` against the mean of ``before_1`` … ``before_k``, k configured."""
    before = [cells[f"before_{k}"] for k in range(1, cells.options.growth_periods + 1)]
    return divided(cells["revenue"], np.mean(before, axis=0)) - 1


def where_used(cells: Cells) -> FloatArray:
    """``units`` where there are ``rows`` at all."""
    return np.where(cells["rows"] > 0, cells["units"], np.nan)


def gap(cells: Cells) -> FloatArray:
    """From ``won`` up to ``plan``, never below 0."""
    return np.maximum(0, cells["plan"] - cells["won"])


def required_daily(cells: Cells) -> FloatArray:
    """``gap`` by the standard days that are left of the period."""

    def left(interval: Interval) -> float:
        return float((interval.working_seconds_whole or 0) - (interval.working_seconds or 0))

    return divided(cells["gap"], standard_days(cells, _by_window(cells, left)))


def standard_days(cells: Cells, seconds: FloatArray) -> FloatArray:
    """Working seconds as usual days of the company; 0 where its week has no working day."""
    calendar = cells.options.calendar
    assert calendar is not None  # the evaluator says which one holds
    zone = load_zone(cells.options.zone or "UTC")
    usual = _by_window(cells, lambda interval: calendar.standard_day_seconds(interval.end.astimezone(zone).date()))
    return np.nan_to_num(divided(seconds, usual))


def run_rate(cells: Cells) -> FloatArray:
    """``won`` by the share of sales that is usual at this point of the period: of its working time, or the configured curve."""
    curve = cells.options.seasonal_curve

    def usual(interval: Interval) -> float:
        whole = interval.working_seconds_whole
        share = (interval.working_seconds or 0) / whole if whole else 0.0
        if share < LEAST_ELAPSED:
            return 0.0
        passed, sold = zip((0.0, 0.0), *curve, (1.0, 1.0), strict=True)
        return float(np.interp(share, passed, sold))

    return divided(cells["won"], _by_window(cells, usual))


def run_rate_attainment(cells: Cells) -> FloatArray:
    """``forecast`` by ``plan``."""
    return divided(cells["forecast"], cells["plan"])


def _by_window(cells: Cells, of: Callable[[Interval], float]) -> FloatArray:
    """A number of each cell's window."""
    found = np.array([of(cells.intervals[window]) for window in cells.window_ids], dtype=np.float64)
    return found[cells.windows]


def summed(cells: Cells) -> FloatArray:
    """All inputs together."""
    total: FloatArray = np.sum([*cells.values.values()], axis=0)
    return total


def coverage(cells: Cells) -> FloatArray:
    """``open`` by what is missing to the ``plan``."""
    return divided(cells["open"], cells["gap"])


def velocity(cells: Cells) -> FloatArray:
    """Money a day: ``deals`` × ``size`` × ``rate`` / ``cycle`` in days; of a manager only with enough deals ``closed``."""
    found = divided(cells["deals"] * cells["size"] * cells["rate"] * _DAY_SECONDS, cells["cycle"])
    if Axis.MANAGER in cells.grain:
        found[cells["closed"] < LEAST_CLOSED] = np.nan
    return found


def drift(cells: Cells) -> FloatArray:
    """``live`` against ``frozen``."""
    return cells["live"] - cells["frozen"]


def forecast_error(cells: Cells) -> FloatArray:
    """How far ``forecast`` missed ``actual``, as a share of the latter."""
    return divided(np.abs(cells["forecast"] - cells["actual"]), cells["actual"])
