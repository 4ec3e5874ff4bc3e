"""Arrays that numpy measures are given: rows grouped by cell (``Groups``), values aligned by cell (``Cells``).

A cell is one combination of labels and one window. Laws: nothing here reads a database; NaN is "nothing".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from b24metrics.kpi.model import Grain, WindowId
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.results import Interval

BoolArray: TypeAlias = NDArray[np.bool_]
FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Values:
    """What a measure gives, with the sizes behind it: arrays of one shape, NaN for nothing.

    ``n``: rows or records. ``numerator``, ``denominator``: the parts of a share; a sample whose denominator is NaN is left
    out altogether.
    """

    value: FloatArray
    n: FloatArray | None = None
    numerator: FloatArray | None = None
    denominator: FloatArray | None = None

    def map(self, shaped: Callable[[FloatArray], FloatArray]) -> Values:
        """The same done to every array."""
        n, numerator, denominator = (
            None if part is None else shaped(part) for part in (self.n, self.numerator, self.denominator)
        )
        return Values(shaped(self.value), n, numerator, denominator)


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows of a fact, sorted by cell.

    Attributes:
        starts: index of the first row of each cell, shape (cells + 1,); the last entry is the number of rows.
        columns: name → values, shape (rows,); NULL is NaN.
        options: the company's decisions, with zone, reporting currency and calendar as they hold for this portal.
    """

    starts: IntArray
    columns: Mapping[str, FloatArray]
    options: KpiOptions

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def sizes(self) -> FloatArray:
        """How many rows each cell has, shape (cells,)."""
        return np.diff(self.starts).astype(np.float64)

    def firsts(self, column: str) -> BoolArray:
        """Where a value of a column begins inside a cell, shape (rows,); rows of each cell ascend by it."""
        values = self.columns[column]
        begins = np.ones(len(values), dtype=np.bool_)
        begins[1:] = values[1:] != values[:-1]
        begins[self.starts[:-1]] = True
        return begins

    def only(self, kept: BoolArray) -> Groups:
        """The same cells with some of the rows."""
        before = np.concatenate(([0], np.cumsum(kept)))
        columns = {name: values[kept] for name, values in self.columns.items()}
        return Groups(before[self.starts], columns, self.options)

    def ascending(self, column: str) -> Groups:
        """The same with the rows of each cell ascending by a column."""
        cell = np.repeat(np.arange(len(self)), np.diff(self.starts))
        order = np.lexsort((self.columns[column], cell))
        return Groups(self.starts, {name: values[order] for name, values in self.columns.items()}, self.options)


@dataclass(frozen=True, slots=True)
class Cells:
    """Values of several measures for the same cells.

    Attributes:
        grain: the cut all cells belong to. values: input name → one number per cell.
        inputs: input name → the same with its sizes. combination: the one of ``Derived.spread`` that is asked for.
        labels: label name → one text per cell. windows: one per cell, index into ``window_ids``.
        intervals: what each window means.
        options: the company's decisions, with zone, reporting currency and calendar as they hold for this portal.
    """

    grain: Grain
    values: Mapping[str, FloatArray]
    labels: Mapping[str, NDArray[np.str_]]
    windows: IntArray
    window_ids: tuple[WindowId, ...]
    intervals: Mapping[WindowId, Interval]
    options: KpiOptions
    inputs: Mapping[str, Values]
    combination: Mapping[str, str]

    def __getitem__(self, name: str) -> FloatArray:
        return self.values[name]
