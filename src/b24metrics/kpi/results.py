"""What comes out of an evaluation: samples, the names behind their labels, what the windows meant.

Laws: numbers are kept in columns, one block for every KPI, grain and combination; keys are written out once for all
blocks of a cut; a ``Sample`` is made when somebody asks for it, because a round has hundreds of thousands and a large
company millions of them. Nothing here is ever changed. NaN is nothing: it is told as None.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import accumulate, groupby, repeat
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from b24metrics.kpi import tables
from b24metrics.kpi.model import COMPANY, Family, Grain, Kpi, Part, WindowId

if TYPE_CHECKING:
    import pyarrow as pa

    from b24metrics.kpi.tables import Row

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
Texts: TypeAlias = tuple[str, ...]


class Sample(NamedTuple):
    """One labelled number.

    ``value`` is None where there is nothing to say (an empty ratio) though the combination is known; its sizes may still
    be 0. ``labels`` are in the order of ``Family.labels``, without the window.
    """

    kpi: Kpi
    grain: Grain
    labels: Mapping[str, str]
    window: WindowId
    value: float | None
    n: int | None = None
    numerator: float | None = None
    denominator: float | None = None

    def part(self, part: Part) -> float | None:
        """The number that a family shows of this sample."""
        match part:
            case Part.VALUE:
                return self.value
            case Part.NUMERATOR:
                return self.numerator
            case Part.DENOMINATOR:
                return self.denominator
            case Part.N:
                return None if self.n is None else float(self.n)


class Labels:
    """The texts of many keys. ``names``: of the labels; ``rows``: one tuple of texts a key, in the same order."""

    def __init__(self, names: Texts, rows: Sequence[Texts]) -> None:
        self.names = names
        self.rows = rows
        self._told: dict[int, Mapping[str, str]] = {}
        self._ordered: dict[Texts, Sequence[Texts]] = {}
        self._distinct: dict[Texts, bool] = {}

    @classmethod
    def of_columns(cls, names: Texts, columns: Sequence[Iterable[str]], size: int) -> Labels:
        """From the texts of each label."""
        return cls(names, list(zip(*columns, strict=True)) if columns else [()] * size)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int) -> Mapping[str, str]:
        """Label names and texts of one key."""
        if key not in self._told:
            self._told[key] = MappingProxyType(dict(zip(self.names, self.rows[key], strict=True)))
        return self._told[key]

    def column(self, name: str) -> list[str]:
        """One label's text of every key."""
        place = self.names.index(name)
        return [row[place] for row in self.rows]

    def ordered(self, names: Texts) -> Sequence[Texts]:
        """The rows with these labels, in this order; the same object for all who ask."""
        if names not in self._ordered:
            same = names == self.names
            columns = [self.column(name) for name in names]
            self._ordered[names] = self.rows if same else Labels.of_columns(names, columns, len(self)).rows
        return self._ordered[names]

    def distinct(self, names: Texts) -> bool:
        """Whether no two keys have the same texts of these labels."""
        if names not in self._distinct:
            self._distinct[names] = len(set(self.ordered(names))) == len(self)
        return self._distinct[names]

    def adding(self, names: Texts, more: Mapping[str, str]) -> Labels:
        """The same keys with labels that all of them have; all labels in the order of ``names``."""
        if not more:
            return self
        size = len(self)
        columns = [repeat(more[name], size) if name in more else self.column(name) for name in names]
        return Labels.of_columns(names, columns, size)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Block:
    """Samples of one KPI and grain, in columns of one length.

    Attributes:
        windows, labels: what ``at_window`` and ``at_key`` are indices into.
        value: NaN for nothing. n, numerator, denominator: the same, None where the measure has no such size.
    """

    kpi: Kpi
    grain: Grain
    windows: tuple[WindowId, ...]
    labels: Labels
    at_window: IntArray
    at_key: IntArray
    value: FloatArray
    n: FloatArray | None = None
    numerator: FloatArray | None = None
    denominator: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.value)

    def part(self, part: Part) -> FloatArray | None:
        """The numbers that a family shows, NaN for nothing; None where there are none at all."""
        match part:
            case Part.VALUE:
                return self.value
            case Part.NUMERATOR:
                return self.numerator
            case Part.DENOMINATOR:
                return self.denominator
            case Part.N:
                return self.n

    def taken(self, which: slice | IntArray | NDArray[np.bool_]) -> Block:
        """Some of the samples."""
        value, n, numerator, denominator = (
            None if part is None else part[which] for part in (self.value, self.n, self.numerator, self.denominator)
        )
        assert value is not None
        at_window, at_key = self.at_window[which], self.at_key[which]
        return Block(
            self.kpi, self.grain, self.windows, self.labels, at_window, at_key, value, n, numerator, denominator
        )

    def __iter__(self) -> Iterator[Sample]:
        sizes = _told(self.n)
        return map(
            Sample._make,
            zip(
                repeat(self.kpi),
                repeat(self.grain),
                map(self.labels.__getitem__, self.at_key.tolist()),
                map(self.windows.__getitem__, self.at_window.tolist()),
                _told(self.value),
                sizes if self.n is None else (None if size is None else int(size) for size in sizes),
                _told(self.numerator),
                _told(self.denominator),
                strict=False,
            ),
        )


def _told(numbers: FloatArray | None) -> Iterable[float | None]:
    """Plain numbers, None for NaN; None without end where there are none at all."""
    if numbers is None:
        return repeat(None)
    said: list[float | None] = numbers.tolist()
    for position in np.flatnonzero(np.isnan(numbers)).tolist():
        said[position] = None
    return said


class Samples(Sequence[Sample]):
    """Samples one after the other, kept in blocks; equal to any sequence of the same samples."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        self.blocks = tuple(block for block in blocks if len(block))
        self._ends = list(accumulate(map(len, self.blocks)))

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Samples:
        """The same in columns; what is a series of its own stays a series of its own."""
        runs = groupby(samples, lambda sample: (sample.kpi, sample.grain, tuple(sample.labels)))
        return cls(_block(kpi, grain, names, list(run)) for (kpi, grain, names), run in runs)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Sample]:
        for block in self.blocks:
            yield from block

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    def __getitem__(self, index: int | slice) -> Sample | Samples:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                return Samples.of(self[i] for i in range(start, stop, step))
            begins = (end - len(block) for end, block in zip(self._ends, self.blocks, strict=True))
            return Samples(
                block.taken(slice(max(start - begin, 0), max(stop - begin, 0)))
                for begin, block in zip(begins, self.blocks, strict=True)
                if begin < stop and begin + len(block) > start
            )
        place = range(len(self))[index]  # IndexError where there is none
        number = bisect_right(self._ends, place)
        block = self.blocks[number]
        at = place - (self._ends[number] - len(block))
        return next(iter(block.taken(slice(at, at + 1))))

    def __contains__(self, sample: object) -> bool:
        return isinstance(sample, Sample) and any(
            sample in list(block) for block in self.blocks if block.kpi is sample.kpi and block.grain == sample.grain
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"Samples({len(self)})"


def _block(kpi: Kpi, grain: Grain, names: Texts, samples: Sequence[Sample]) -> Block:
    windows = tuple(dict.fromkeys(sample.window for sample in samples))
    keys = {row: i for i, row in enumerate(dict.fromkeys(tuple(sample.labels.values()) for sample in samples))}

    def numbers(part: Part) -> FloatArray | None:
        told = [sample.part(part) for sample in samples]
        if part and all(one is None for one in told):
            return None
        return np.array(told, dtype=np.float64)  # None becomes NaN

    value, n, numerator, denominator = map(numbers, (Part.VALUE, Part.N, Part.NUMERATOR, Part.DENOMINATOR))
    assert value is not None
    return Block(
        kpi,
        grain,
        windows,
        Labels(names, list(keys)),
        np.array([windows.index(sample.window) for sample in samples], dtype=np.int64),
        np.array([keys[tuple(sample.labels.values())] for sample in samples], dtype=np.int64),
        value,
        n,
        numerator,
        denominator,
    )


# ---------------------------------------------------------------- names


@dataclass(frozen=True, slots=True)
class ManagerInfo:
    """A user of the sales scope. ``department_id``: the primary one."""

    id: int
    name: str
    department_id: int
    active: bool


@dataclass(frozen=True, slots=True)
class DepartmentInfo:
    """A department of the sales subtree. ``parent_id`` is None at its top."""

    id: int
    name: str
    parent_id: int | None
    head_id: int | None


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    id: int
    name: str
    sort: int


@dataclass(frozen=True, slots=True)
class StageInfo:
    """A stage of a deal pipeline. ``semantics``: P in progress, S won, F lost."""

    id: str
    name: str
    pipeline_id: int
    semantics: str
    sort: int


@dataclass(frozen=True, slots=True)
class SourceInfo:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Directory:
    """Names behind the ids of the labels."""

    managers: tuple[ManagerInfo, ...] = ()
    departments: tuple[DepartmentInfo, ...] = ()
    pipelines: tuple[PipelineInfo, ...] = ()
    stages: tuple[StageInfo, ...] = ()
    sources: tuple[SourceInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-open, aware UTC instants. ``working_seconds``, ``working_seconds_whole``: elapsed and of the whole period."""

    start: datetime
    end: datetime
    working_seconds: int | None = None
    working_seconds_whole: int | None = None


# ---------------------------------------------------------------- all of it


@dataclass(frozen=True, repr=False)
class Snapshot:
    """All samples of one instant; never changed, only replaced.

    Attributes:
        samples: as they come, or in columns (``Samples``).
        absent: KPI id → what it lacks, so that it has no samples at all: feeds that were not mirrored, and
            ``inputs.<kind>`` that were not loaded.
        intervals: what the windows meant at ``at``. zone, currency: those of reporting.
    """

    portal: str
    at: datetime
    samples: Sequence[Sample]
    intervals: Mapping[WindowId, Interval] = field(default_factory=dict)
    absent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    directory: Directory = Directory()
    zone: str = "UTC"
    currency: str = ""

    def __repr__(self) -> str:
        return f"Snapshot({self.portal!r}, {self.at.isoformat()}, {len(self.samples)} samples)"

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The samples in columns."""
        samples = self.samples
        return (samples if isinstance(samples, Samples) else Samples.of(samples)).blocks

    @cached_property
    def _cuts(self) -> Mapping[tuple[str, Grain], tuple[Block, ...]]:
        cuts: dict[tuple[str, Grain], list[Block]] = {}
        for block in self.blocks:
            cuts.setdefault((block.kpi.id, block.grain), []).append(block)
        return {cut: tuple(blocks) for cut, blocks in cuts.items()}

    def columns(self, kpi: Kpi, grain: Grain) -> tuple[Block, ...]:
        """One cut, every window, in columns; what a metric family is made of."""
        return self._cuts.get((kpi.id, grain), ())

    def of(self, kpi: Kpi, grain: Grain) -> Samples:
        """All samples of one cut, every window."""
        return Samples(self.columns(kpi, grain))

    def series(self, family: Family) -> Iterator[tuple[Sample, float]]:
        """The samples that this family shows, with the number to show; those with nothing to say are left out."""
        for sample in self.of(family.kpi, family.grain):
            shown = sample.part(family.part)
            if shown is not None:
                yield sample, shown

    def sample(self, kpi: Kpi, window: WindowId, grain: Grain = COMPANY, **labels: str) -> Sample | None:
        """The one sample with these labels (those not named are not compared), or None."""
        for block in self.columns(kpi, grain):
            if window not in block.windows:
                continue
            for place in np.flatnonzero(block.at_window == block.windows.index(window)).tolist():
                own = block.labels[int(block.at_key[place])]
                if all(own.get(name) == value for name, value in labels.items()):
                    return next(iter(block.taken(slice(place, place + 1))))
        return None

    def value(self, kpi: Kpi, window: WindowId, grain: Grain = COMPANY, **labels: str) -> float | None:
        """The value of that sample; None where there is none."""
        found = self.sample(kpi, window, grain, **labels)
        return None if found is None else found.value

    # ------------------------------------------------------------ as a table (``tables.py`` says how)

    def rows(self) -> list[Row]:
        """One dictionary a sample, all with the same keys."""
        return tables.rows(self.blocks)

    def to_arrow(self) -> pa.Table:
        """A ``pyarrow.Table``, one row a sample."""
        return tables.arrow(self.blocks)

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame``, one row a sample.

        Raises:
            ImportError: pandas is not installed.
        """
        return tables.pandas(self.blocks)

    def to_polars(self) -> Any:
        """A ``polars.DataFrame``, one row a sample.

        Raises:
            ImportError: polars is not installed.
        """
        return tables.polars(self.blocks)
