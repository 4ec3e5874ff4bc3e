"""Columns of a fact that SQL cannot say: working time, over whole arrays.

Laws: a refinement sees columns and clocks, never a database; arrays in, arrays out, one entry per row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from b24metrics.kpi.options import KpiOptions
from b24metrics.worktime import Calendars

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]
TextArray: TypeAlias = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Refinement:
    """Adds columns to a fact.

    Attributes:
        reads: columns of the fact that ``compute`` needs, none of them NULL: ids as they are, instants as epoch seconds.
        adds: columns that it makes: BIGINT from integers, DOUBLE from floats, where NaN becomes NULL, VARCHAR from texts.
        compute: arrays by name, all clocks and the company's decisions (zone, reporting currency and calendar as they
            hold for this portal), to arrays by name, one entry per row of the fact.
        amounts: those of ``reads`` that have fractions: ``compute`` gets them as floats.
    """

    reads: tuple[str, ...]
    adds: tuple[str, ...]
    compute: Callable[
        [Mapping[str, NDArray[Any]], Calendars, KpiOptions], Mapping[str, IntArray | FloatArray | TextArray]
    ]
    amounts: tuple[str, ...] = ()


def waiting(columns: Mapping[str, IntArray], calendars: Calendars, _options: KpiOptions) -> Mapping[str, IntArray]:
    """Working seconds from ``happened_at`` to ``waited_until``, in the calendar of the person responsible.

    Nobody responsible (id 0): the company's calendar. Source: working-time semantics §4.
    """
    return {
        "working_seconds": calendars.elapsed(columns["manager_id"], columns["happened_at"], columns["waited_until"])
    }
