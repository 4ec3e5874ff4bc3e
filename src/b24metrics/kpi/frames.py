"""From grouped rows of the database to dense arrays, from arrays to samples.

Laws: one frame per cut: windows × keys, known combinations first; counts and sums of nothing are 0, everything else of
nothing is NaN; who gets a row is decided here (catalogue §19 "People, scope, records"):
every active manager and every department of the scope, known pipelines and stages always; a dismissed manager where the
value is not 0; sources, currencies, lines and labels beyond the grain where there are records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from itertools import islice, product, repeat
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from b24metrics.kpi.aggregates import Atom, Cut, RowMeasure
from b24metrics.kpi.cells import FloatArray, IntArray, Values
from b24metrics.kpi.dimensions import Scope
from b24metrics.kpi.model import NONE, OUTSIDE, Axis, Directory, Grain, Kpi, Part, Sample, WindowId
from b24metrics.kpi.rows import Key


@dataclass(frozen=True, slots=True)
class Aside:
    """Column: the size behind a quantile or a numpy measure, or a part of it."""

    of: RowMeasure
    part: Part


_SPARSE = frozenset({Axis.SOURCE, Axis.CURRENCY, Axis.LINE})

Column: TypeAlias = Atom | RowMeasure | Aside


class Row(IntEnum):
    """When a key has a sample."""

    NEVER = 0
    ALWAYS = 1
    NOT_ZERO = 2
    WITH_RECORDS = 3


@dataclass(frozen=True)
class Places:
    """What is known of keys before any record is seen."""

    scope: Scope
    directory: Directory

    def known(self, cut: Cut) -> Iterator[Key]:
        """Combinations that exist without records."""
        axes = [list(self._known(axis)) for axis in cut.grain.axes]
        if not cut.labels:
            yield from (tuple(part for parts in combination for part in parts) for combination in product(*axes))

    def _known(self, axis: Axis) -> Iterator[Key]:
        match axis:
            case Axis.MANAGER:
                yield from ((manager.id,) for manager in self.directory.managers)
            case Axis.OWN:
                yield from ((department,) for department in (*self.scope.departments, int(OUTSIDE)))
            case Axis.DEPARTMENT:
                yield from ((department,) for department in self.scope.departments)
            case Axis.PIPELINE:
                yield from ((pipeline.id,) for pipeline in self.directory.pipelines)
            case Axis.STAGE:
                yield from ((stage.pipeline_id, stage.id) for stage in self.directory.stages if stage.semantics == "P")
            case Axis.SOURCE | Axis.CURRENCY | Axis.LINE:
                return

    def row(self, cut: Cut, key: Key) -> Row:
        """When this key has a sample."""
        values = dict(zip(cut.columns, key, strict=True))
        if cut.grain.axes[:1] == (Axis.PIPELINE,) and values["pipeline_id"] is None:
            return Row.NEVER
        if Axis.MANAGER in cut.grain:
            active = self._active.get(values["manager_id"])
            if not active:
                return Row.NEVER if active is None else Row.NOT_ZERO
        sparse = cut.labels or any(axis in _SPARSE for axis in cut.grain.axes)
        return Row.WITH_RECORDS if sparse else Row.ALWAYS

    @cached_property
    def _active(self) -> Mapping[object, bool]:
        return {manager.id: manager.active for manager in self.directory.managers}

    def labels(self, cut: Cut, key: Key) -> Mapping[str, str]:
        """Label names and texts of a key, in the order of ``Family.labels``."""
        values = dict(zip(cut.columns, key, strict=True))
        if Axis.MANAGER in cut.grain:
            values["department_id"] = self._departments.get(values["manager_id"])
        elif Axis.DEPARTMENT in cut.grain:
            values["department_id"] = values["ancestor_id"]
        names = dict.fromkeys((*cut.grain.labels, *cut.labels))
        return MappingProxyType({name: NONE if values[name] is None else str(values[name]) for name in names})

    @cached_property
    def _departments(self) -> Mapping[object, int]:
        return {manager.id: manager.department_id for manager in self.directory.managers}


@dataclass
class Frame:
    """All columns of one cut.

    Attributes:
        keys: key → position; grows as records are seen. parts: column → pieces of (window number, position, value).
    """

    cut: Cut
    window_count: int
    keys: dict[Key, int]
    places: Places
    parts: dict[Column, list[tuple[IntArray, IntArray, FloatArray]]] = field(default_factory=dict)
    _dense: dict[Column, FloatArray] = field(default_factory=dict)
    _texts: dict[str, NDArray[np.str_]] = field(default_factory=dict)
    _rows: list[int] = field(default_factory=list)
    _labels: list[Mapping[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, cut: Cut, window_count: int, places: Places) -> Frame:
        return cls(cut, window_count, {key: i for i, key in enumerate(places.known(cut))}, places)

    def positions(self, keys: Iterable[Key]) -> IntArray:
        """Positions of keys, new ones included."""
        known = self.keys
        return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)

    @property
    def rows(self) -> IntArray:
        """When each key has a sample (``Row``), by position."""
        self._rows += [self.places.row(self.cut, key) for key in islice(self.keys, len(self._rows), None)]
        return np.array(self._rows, dtype=np.int64)

    @property
    def labels(self) -> Sequence[Mapping[str, str]]:
        """Labels of each key, by position: made once, however many KPIs are cut that way."""
        self._labels += [self.places.labels(self.cut, key) for key in islice(self.keys, len(self._labels), None)]
        return self._labels

    @property
    def texts(self) -> Mapping[str, NDArray[np.str_]]:
        """The same as arrays by label name: made once, when everything has been put."""
        if not self._texts:
            names = dict.fromkeys((*self.cut.grain.labels, *self.cut.labels))
            self._texts.update({name: np.array([one[name] for one in self.labels], dtype=np.str_) for name in names})
        return self._texts

    def put(self, column: Column, windows: IntArray, positions: IntArray, values: FloatArray) -> None:
        """Keep a piece of a column. Pieces of counts and sums are added up, others do not overlap."""
        self.parts.setdefault(column, []).append((windows, positions, values))

    def dense(self, column: Column) -> FloatArray:
        """The column, shape (windows, keys): made once, when everything has been put."""
        if column in self._dense:
            return self._dense[column]
        adds_up = isinstance(column, Atom | Aside)
        found = np.full((self.window_count, len(self.keys)), 0.0 if adds_up else np.nan)
        for windows, positions, values in self.parts.get(column, ()):
            if adds_up:
                found[windows, positions] += np.where(np.isnan(values), 0.0, values)
            else:
                found[windows, positions] = values
        self._dense[column] = found
        return found


def samples(
    kpi: Kpi,
    grain: Grain,
    windows: Sequence[WindowId],
    frame: Frame,
    values: Values,
    combination: Mapping[str, str],
) -> Iterable[Sample]:
    """Samples of one KPI and cut; who gets one stands in the laws above. ``combination``: labels that all of them have."""
    rows = frame.rows
    has_value = ~np.isnan(values.value)
    behind = has_value if values.n is None else values.n > 0
    shown = (rows == Row.ALWAYS) | ((rows == Row.NOT_ZERO) & has_value & (values.value != 0))
    shown |= (rows == Row.WITH_RECORDS) & behind
    if values.denominator is not None:
        shown &= ~np.isnan(values.denominator)  # no plan, nothing to attain
    if not kpi.parts:
        shown &= has_value
    at_window, at_key = np.nonzero(shown)
    labels = frame.labels
    if combination:
        names = (*grain.labels, *kpi.labels)
        whole = ({**own, **combination} for own in labels)
        labels = [MappingProxyType({name: told[name] for name in names}) for told in whole]
    value, n, numerator, denominator = (
        _said(part[at_window, at_key] if part is not None else None)
        for part in (values.value, values.n, values.numerator, values.denominator)
    )
    sizes = n if values.n is None else (None if size is None else int(size) for size in n)
    # A round makes hundreds of thousands: no Python function is called for each.
    columns = (
        map(labels.__getitem__, at_key.tolist()),
        map(windows.__getitem__, at_window.tolist()),
        value, sizes, numerator, denominator,
    )  # fmt: skip
    return map(Sample._make, zip(repeat(kpi), repeat(grain), *columns, strict=False))


def _said(numbers: FloatArray | None) -> Iterable[float | None]:
    """Plain numbers, None for NaN; None without end where there are none at all."""
    if numbers is None:
        return repeat(None)
    empty: NDArray[np.bool_] = np.isnan(numbers)
    said: list[float | None] = numbers.tolist()
    for position in np.flatnonzero(empty).tolist():
        said[position] = None
    return said
