"""From grouped rows of the database to dense arrays, from arrays to blocks of samples.

Laws: one frame per cut: windows × keys, known combinations first; counts and sums of nothing are 0, everything else of
nothing is NaN; who gets a row is decided here (catalogue §19 "People, scope, records"):
every active manager and every department of the scope, known pipelines and stages always; a dismissed manager where the
value is not 0; sources, currencies, lines, labels beyond the grain and what has no pipeline where there are records.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from b24metrics.kpi.aggregates import Atom, Cut, RowMeasure
from b24metrics.kpi.cells import FloatArray, IntArray, Values
from b24metrics.kpi.dimensions import Scope
from b24metrics.kpi.model import NONE, OUTSIDE, Axis, Grain, Kpi, Part, WindowId
from b24metrics.kpi.results import Block, Directory, Labels
from b24metrics.kpi.rows import Coded, Key


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


class Numbering:
    """A number for every value that a key column has, the same for all cuts; several threads may ask."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[int | str | None, int]] = {}
        self._lock = threading.Lock()

    def of(self, column: str, values: Sequence[int | str | None]) -> IntArray:
        """The numbers of these values, new ones included."""
        with self._lock:
            known = self._numbers.setdefault(column, {})
            return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)

    def values(self, column: str, numbers: IntArray) -> list[int | str | None]:
        """And back."""
        with self._lock:
            known = list(self._numbers[column])
        return [known[number] for number in numbers.tolist()]


@dataclass(frozen=True)
class Places:
    """What is known of keys before any record is seen."""

    scope: Scope
    directory: Directory
    numbering: Numbering = field(default_factory=Numbering)

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

    def rows(self, cut: Cut, keys: Iterable[Key]) -> IntArray:
        """When each of these keys has a sample."""
        columns = cut.columns
        sparse = cut.labels or any(axis in _SPARSE for axis in cut.grain.axes)
        usual = Row.WITH_RECORDS if sparse else Row.ALWAYS
        pipeline = columns.index("pipeline_id") if Axis.PIPELINE in cut.grain else None
        # Records in no pipeline are a part of a sum; alone they are none of the pipelines.
        unplaced = Row.WITH_RECORDS if len(cut.grain.axes) > 1 else Row.NEVER
        manager = columns.index("manager_id") if Axis.MANAGER in cut.grain else None

        def row(key: Key) -> Row:
            told = unplaced if pipeline is not None and key[pipeline] is None else usual
            if manager is None or told is Row.NEVER:
                return told
            active = self._active.get(key[manager])
            return Row.NEVER if active is None else told if active else Row.NOT_ZERO

        return np.array([row(key) for key in keys], dtype=np.int64)

    @cached_property
    def _active(self) -> Mapping[object, bool]:
        return {manager.id: manager.active for manager in self.directory.managers}

    def labels(self, cut: Cut, keys: Collection[Key]) -> Labels:
        """Label texts of keys; names in the order of ``Family.labels``."""
        names = tuple(dict.fromkeys((*cut.grain.labels, *cut.labels)))
        columns = {column: [key[place] for key in keys] for place, column in enumerate(cut.columns)}
        if Axis.DEPARTMENT in cut.grain:
            columns["department_id"] = columns["ancestor_id"]
        if Axis.MANAGER in cut.grain:
            columns["department_id"] = [self._departments.get(manager) for manager in columns["manager_id"]]
        return Labels.of_columns(names, [_told(columns[name]) for name in names], len(keys))

    @cached_property
    def _departments(self) -> Mapping[object, int]:
        return {manager.id: manager.department_id for manager in self.directory.managers}


def _told(values: Sequence[int | str | None]) -> list[str]:
    """Keys of one column as texts; equal ones share theirs."""
    texts = {value: NONE if value is None else str(value) for value in set(values)}
    return list(map(texts.__getitem__, values))


@dataclass
class Frame:
    """All columns of one cut; several threads may put at the same time.

    Attributes:
        keys: key → position; grows as records are seen. parts: column → pieces of (window number, position, value).
    """

    cut: Cut
    window_count: int
    keys: dict[Key, int]
    places: Places
    parts: dict[Column, list[tuple[IntArray, IntArray, FloatArray]]] = field(default_factory=dict)
    _texts: dict[str, NDArray[np.str_]] = field(default_factory=dict)
    # Keys that were met, written as one number each: ascending, and their positions.
    _whole: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    _at: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    _growing: threading.Lock = field(default_factory=threading.Lock)
    _combined: dict[tuple[str, ...], Labels] = field(default_factory=dict)
    _everything: dict[int, tuple[IntArray, IntArray]] = field(default_factory=dict)

    @classmethod
    def of(cls, cut: Cut, window_count: int, places: Places) -> Frame:
        return cls(cut, window_count, {key: i for i, key in enumerate(places.known(cut))}, places)

    def positions(self, parts: Sequence[Coded], count: int) -> IntArray:
        """Positions of ``count`` keys, given column by column; new ones included."""
        if not parts:
            return np.zeros(count, dtype=np.int64)  # the company's only key
        columns = self.cut.columns
        base = 1 << 62 // len(columns)
        whole = np.zeros(count, dtype=np.int64)
        for column, part in zip(columns, parts, strict=True):
            digits = self.places.numbering.of(column, part.values)
            if len(digits) and digits.max() >= base:
                return self._one_by_one(parts)  # so many values of so many columns are no number any more
            whole = whole * base + digits[part.codes]
        with self._growing:
            place = np.searchsorted(self._whole, whole)
            unknown = np.append(self._whole, -1)[place] != whole
            if unknown.any():
                self._learn(np.unique(whole[unknown]), base)
                place = np.searchsorted(self._whole, whole)
            return self._at[place]

    def _learn(self, missing: IntArray, base: int) -> None:
        """Positions of keys that are written as one number."""
        rest, columns = missing, []
        for column in reversed(self.cut.columns):
            rest, digits = np.divmod(rest, base)
            columns.append(self.places.numbering.values(column, digits))
        at = self._placed(zip(*reversed(columns), strict=True))
        whole, places = np.append(self._whole, missing), np.append(self._at, at)
        order = np.argsort(whole)
        self._whole, self._at = whole[order], places[order]

    def _one_by_one(self, parts: Sequence[Coded]) -> IntArray:
        with self._growing:
            return self._placed(zip(*([part.values[code] for code in part.codes] for part in parts), strict=True))

    def _placed(self, keys: Iterable[Key]) -> IntArray:
        known = self.keys
        return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)

    @cached_property
    def rows(self) -> IntArray:
        """When each key has a sample (``Row``), by position: made once, when everything has been put."""
        return self.places.rows(self.cut, self.keys)

    @cached_property
    def labels(self) -> Labels:
        """Labels of each key, by position: made once, when everything has been put, however many KPIs are cut that way."""
        return self.places.labels(self.cut, self.keys)

    def everything(self, windows: int) -> tuple[IntArray, IntArray]:
        """Window and position of every cell, when everything has been put; the same objects for all who ask."""
        if windows not in self._everything:
            keys = len(self.keys)
            self._everything[windows] = np.repeat(np.arange(windows), keys), np.tile(np.arange(keys), windows)
        return self._everything[windows]

    def combined(self, names: tuple[str, ...], combination: Mapping[str, str]) -> Labels:
        """The same with labels that all keys have, in the order of ``names``."""
        told = (*names, *(combination.get(name, "") for name in names))
        if told not in self._combined:
            self._combined[told] = self.labels.adding(names, combination)
        return self._combined[told]

    @property
    def texts(self) -> Mapping[str, NDArray[np.str_]]:
        """The same as arrays by label name."""
        if not self._texts:
            self._texts.update({name: np.array(self.labels.column(name), dtype=np.str_) for name in self.labels.names})
        return self._texts

    def put(self, column: Column, windows: IntArray, positions: IntArray, values: FloatArray) -> None:
        """Keep a piece of a column. Pieces of counts and sums are added up, others do not overlap."""
        if isinstance(column, Atom | Aside) and (empty := np.isnan(values)).any():
            values = np.where(empty, 0.0, values)
        self.parts.setdefault(column, []).append((windows, positions, values))

    def dense(self, column: Column, windows: Sequence[int]) -> FloatArray:
        """The column in these windows, shape (windows, keys); when everything has been put."""
        adds_up = isinstance(column, Atom | Aside)
        different = list(dict.fromkeys(windows))
        rows = np.full(self.window_count, -1)
        rows[different] = np.arange(len(different))
        found = np.full((len(different), len(self.keys)), 0.0 if adds_up else np.nan)
        flat = found.reshape(-1)
        for of_windows, positions, values in self.parts.get(column, ()):
            row = rows[of_windows]
            asked = row >= 0
            if not asked.all():
                row, positions, values = row[asked], positions[asked], values[asked]  # noqa: PLW2901 - those asked for
            place = row * len(self.keys) + positions
            if adds_up:
                flat[place] += values
            else:
                flat[place] = values
        return found if len(different) == len(windows) else found[rows[list(windows)]]


def block(
    kpi: Kpi,
    grain: Grain,
    windows: tuple[WindowId, ...],
    frame: Frame,
    values: Values,
    combination: Mapping[str, str],
) -> Block:
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
    if shown.all():  # then blocks share what they have in common
        at_window, at_key = frame.everything(len(windows))
        which: slice | IntArray = slice(None)
    else:
        which = np.flatnonzero(shown)
        at_window, at_key = np.divmod(which, shown.shape[1])
    parts = values.value, values.n, values.numerator, values.denominator
    taken = {id(part): part.reshape(-1)[which] for part in parts if part is not None}
    value, n, numerator, denominator = (None if part is None else taken[id(part)] for part in parts)
    assert value is not None
    labels = frame.combined((*grain.labels, *kpi.labels), combination)
    return Block(kpi, grain, windows, labels, at_window, at_key, value, n, numerator, denominator)
