"""Arrays that numpy measures are given: rows grouped by cell (``Groups``), values aligned by cell (``Cells``).

A cell is one combination of labels and one window. Laws: nothing here reads a database; NaN is "nothing".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from b24metrics.kpi.model import Grain, Interval, WindowId
from b24metrics.kpi.options import KpiOptions

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]


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

    def rows(self, cell: int, column: str) -> FloatArray:
        """The values of one cell."""
        return self.columns[column][self.starts[cell] : self.starts[cell + 1]]


@dataclass(frozen=True, slots=True)
class Cells:
    """Values of several measures for the same cells.

    Attributes:
        grain: the cut all cells belong to. values: input name → one number per cell.
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

    def __getitem__(self, name: str) -> FloatArray:
        return self.values[name]
