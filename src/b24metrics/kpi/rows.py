"""Quantiles and numpy measures over the rows of every cell, whole arrays at once.

Laws: rows are grouped once per cut and then filtered per window, so that no window sorts anything again; a row counts once
for every department above its own; NaN is nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from b24metrics.kpi.aggregates import Cut
from b24metrics.kpi.cells import FloatArray, Groups, IntArray, Values
from b24metrics.kpi.model import Computed, Quantile
from b24metrics.kpi.options import KpiOptions

BoolArray: TypeAlias = NDArray[np.bool_]
Key: TypeAlias = tuple[int | str | None, ...]

#: What is sorted by radix at once.
_BITS = 16
#: Possible keys that a table may have for every row.
_FEW = 8


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of keys as numbers. ``codes``: shape (rows,), index into ``values``."""

    codes: IntArray
    values: Sequence[int | str | None]


@dataclass(frozen=True, slots=True)
class Keys(Sequence[Key]):
    """Different keys, column by column; the company's only key has no column."""

    columns: Sequence[Coded]
    size: int

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> Key: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Key]: ...
    def __getitem__(self, index: int | slice) -> Key | Sequence[Key]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return tuple(column.values[column.codes[index]] for column in self.columns)


class Grouped(NamedTuple):
    """Rows sorted by the cell they belong to.

    ``rows``: index of a row, several times if it has several cells; ``codes``: its cell, ascending, index into ``keys``.
    """

    rows: IntArray
    codes: IntArray
    keys: Keys


class _Wanted(NamedTuple):
    """Rows that meet ``where``, ascending by the column ``order``; ``known``: only those that have it."""

    where: str
    order: str | None
    known: bool

    @classmethod
    def by(cls, measure: Quantile | Computed) -> _Wanted:
        if isinstance(measure, Quantile):
            return cls(measure.where, measure.column, known=True)
        return cls(measure.where, measure.per or measure.order, known=False)


class Piece(NamedTuple):
    """Values of one window: ``codes`` of its cells, one value with its sizes each."""

    window: int
    codes: IntArray
    values: Values


@dataclass(frozen=True)
class RowSet:
    """Rows of one fact.

    Attributes:
        segment: of each row, shape (rows,). dims: column → coded keys. columns: name → values, NaN for NULL.
        met: condition → whether each row meets it. spans: window number → its segments.
        ancestors: department → the departments that its rows count for. options: what numpy measures are told.
    """

    segment: IntArray
    dims: Mapping[str, Coded]
    columns: Mapping[str, FloatArray]
    met: Mapping[str, BoolArray]
    spans: Mapping[int, Sequence[int]]
    ancestors: Mapping[int, Sequence[int]]
    options: KpiOptions
    _sharing: dict[str, BoolArray] = field(default_factory=dict, init=False)
    _sorted: dict[_Wanted, IntArray] = field(default_factory=dict, init=False)
    _latest: dict[tuple[_Wanted, Cut], tuple[Grouped, IntArray]] = field(default_factory=dict, init=False)

    def values(self, measure: Quantile | Computed, cut: Cut) -> Iterator[tuple[Piece, Keys]]:
        """One piece for every window, with the keys that its codes mean."""
        grouped, segments = self._found(_Wanted.by(measure), cut)
        spans = np.zeros(int(self.segment.max(initial=0)) + 1, dtype=np.bool_)
        for window, spanned in self.spans.items():
            spans[:] = False
            spans[[segment for segment in spanned if segment < len(spans)]] = True
            inside = spans[segments]
            taken, codes = grouped.rows[inside], grouped.codes[inside]
            if isinstance(measure, Quantile):
                yield self._quantiles(measure, window, taken, codes), grouped.keys
            else:
                yield self._computed(measure, window, taken, codes), grouped.keys

    # ------------------------------------------------------------ grouping

    def _found(self, wanted: _Wanted, cut: Cut) -> tuple[Grouped, IntArray]:
        """Rows sorted by cell, and their segments; measures that follow each other often want the same."""
        if (wanted, cut) not in self._latest:
            self._latest.clear()
            grouped = self._grouped(cut, self._in_order(wanted))
            self._latest[wanted, cut] = grouped, self.segment[grouped.rows]
        return self._latest[wanted, cut]

    def _in_order(self, wanted: _Wanted) -> IntArray:
        if wanted not in self._sorted:
            rows = np.flatnonzero(self.met[wanted.where])
            if wanted.order is not None:
                values = self.columns[wanted.order]
                if wanted.known:
                    rows = rows[~np.isnan(values[rows])]
                rows = rows[np.argsort(values[rows], kind="stable")]
            self._sorted[wanted] = rows
        return self._sorted[wanted]

    def _grouped(self, cut: Cut, rows: IntArray) -> Grouped:
        """Rows sorted by cell; those of one cell keep their order."""
        parts = [self.dims[column] for column in cut.own_columns]
        coded = [Coded(part.codes[rows], part.values) for part in parts]
        if cut.through_tree:
            place = cut.columns.index("ancestor_id")
            rows, coded = self._climbed(rows, coded, place)
        codes, keys = _combined(coded, len(rows))
        order = _ascending(codes, len(keys))
        return Grouped(rows[order], codes[order], keys)

    def _climbed(self, rows: IntArray, coded: list[Coded], place: int) -> tuple[IntArray, list[Coded]]:
        """Repeat every row for each department above its own, itself included."""
        own = coded[place]
        above = [self.ancestors.get(d, ()) if isinstance(d, int) else () for d in own.values]
        departments = sorted({department for chain in above for department in chain})
        numbers = {department: number for number, department in enumerate(departments)}
        lengths = np.array([len(chain) for chain in above], dtype=np.int64)
        starts = np.cumsum(lengths) - lengths
        flat = np.array([numbers[department] for chain in above for department in chain], dtype=np.int64)
        times = lengths[own.codes]
        repeated = np.repeat(np.arange(len(rows)), times)
        nth = np.arange(len(repeated)) - np.repeat(np.cumsum(times) - times, times)
        climbed = flat[starts[own.codes][repeated] + nth]
        again = [Coded(part.codes[repeated], part.values) for part in coded]
        again[place] = Coded(climbed, departments)
        return rows[repeated], again

    # ------------------------------------------------------------ computing

    def _quantiles(self, measure: Quantile, window: int, rows: IntArray, codes: IntArray) -> Piece:
        values = self.columns[measure.column][rows]
        if measure.per is not None and (shared := self._shared(measure.per)[rows]).any():
            # Nearly all keys stand alone and keep their place; only the few others are summed and put among them.
            summed = _summed(codes[shared], self.columns[measure.per][rows[shared]], values[shared])
            codes, values = _merged((codes[~shared], values[~shared]), summed)
        cells, starts, sizes = _runs(codes)
        # Type 7: the quantile lies (n - 1) * q steps behind the smallest value.
        reach = (sizes - 1) * measure.q
        below = np.floor(reach).astype(np.int64)
        low = values[starts + below]
        high = values[starts + np.minimum(below + 1, sizes - 1)]
        return Piece(window, cells, Values(low + (reach - below) * (high - low), n=sizes.astype(np.float64)))

    def _shared(self, per: str) -> BoolArray:
        """Which rows share their key with another row, shape (rows,)."""
        if per not in self._sharing:
            _, where, times = np.unique(self.columns[per], return_inverse=True, return_counts=True)
            self._sharing[per] = times[where] > 1
        return self._sharing[per]

    def _computed(self, measure: Computed, window: int, rows: IntArray, codes: IntArray) -> Piece:
        if measure.per is not None:
            same = self.columns[measure.per][rows]
            first = np.ones(len(rows), dtype=np.bool_)
            first[1:] = (same[1:] != same[:-1]) | (codes[1:] != codes[:-1])
            rows, codes = rows[first], codes[first]
        cells, starts, sizes = _runs(codes)
        bounds = np.append(starts, len(codes)).astype(np.int64)
        columns = {name: self.columns[name][rows] for name in measure.columns}
        found = measure.compute(Groups(bounds, columns, self.options))
        values = found if isinstance(found, Values) else Values(found)
        return Piece(window, cells, values if values.n is not None else replace(values, n=sizes.astype(np.float64)))


def _ascending(codes: IntArray, count: int) -> IntArray:
    """The order in which codes below ``count`` ascend; equal ones keep theirs. By radix, several times as fast as comparing."""
    order = np.argsort(codes.astype(np.uint16), kind="stable")  # the lowest bits
    for bits in range(_BITS, (count - 1).bit_length(), _BITS):
        order = order[np.argsort((codes >> bits).astype(np.uint16)[order], kind="stable")]
    return order


def _runs(codes: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Different codes of an ascending array, where each begins, how often it stands there."""
    first = np.ones(len(codes), dtype=np.bool_)
    first[1:] = codes[1:] != codes[:-1]
    starts = np.flatnonzero(first)
    return codes[starts], starts, np.diff(starts, append=len(codes))


def _combined(coded: Sequence[Coded], count: int) -> tuple[IntArray, Keys]:
    """Several columns of keys as one, and what each of its codes means; no column is the one key of the company."""
    codes = np.zeros(count, dtype=np.int64)
    for part in coded:
        codes = codes * max(len(part.values), 1) + part.codes
    possible = math.prod(max(len(part.values), 1) for part in coded)
    if possible <= _FEW * (count + 1):
        met = np.bincount(codes, minlength=possible) > 0  # counted through a table instead of being sorted
        present, compact = np.flatnonzero(met), (np.cumsum(met) - 1)[codes]
    else:
        present, compact = np.unique(codes, return_inverse=True)
    keys: list[Coded] = []
    rest = present
    for part in reversed(coded):
        rest, digits = np.divmod(rest, max(len(part.values), 1))
        keys.append(Coded(digits, part.values))
    return compact.astype(np.int64), Keys(keys[::-1], len(present))


def _summed(codes: IntArray, per: FloatArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Values summed over equal ``per`` inside each cell, sorted by cell and sum."""
    order = np.lexsort((per, codes))
    codes, per, values = codes[order], per[order], values[order]
    first = np.ones(len(codes), dtype=np.bool_)
    first[1:] = (codes[1:] != codes[:-1]) | (per[1:] != per[:-1])
    starts = np.flatnonzero(first)
    sums = np.add.reduceat(values, starts) if len(starts) else values
    order = np.lexsort((sums, codes[starts]))
    return codes[starts][order], sums[order]


def _merged(one: tuple[IntArray, FloatArray], other: tuple[IntArray, FloatArray]) -> tuple[IntArray, FloatArray]:
    """Two lists of cells and values, each sorted by cell and value, as one."""
    (codes, values), (more_codes, more) = one, other
    if not len(codes):
        return other
    low, high = min(values.min(), more.min()), max(values.max(), more.max())
    width = high - low + 1
    places = np.searchsorted(codes * width + (values - low), more_codes * width + (more - low))
    return np.insert(codes, places, more_codes), np.insert(values, places, more)
