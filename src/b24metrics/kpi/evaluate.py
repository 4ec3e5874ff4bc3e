"""The only executor: KPI × window × grain → Snapshot.

Laws: one scan of a fact serves all its windows, grains and measures; nothing is computed row by row in Python; all reads
see one state of the mirror; a KPI whose feeds were not copied has no samples and is named in ``Snapshot.absent``.

How: every fact becomes a temporary table, or a part of the one question that reads it, with the department of its manager
and the segment of its moment (segments are the stretches between all window bounds). One statement counts: what adds up is
summed once into cells (segment × keys of all cuts, then of each), and cells are rolled up into windows and departments
(closure); distinct counts are grouped from the rows. Medians and numpy measures are given the rows. Results become dense
arrays per cut, measures are arithmetic on arrays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from b24metrics.kpi import aggregates
from b24metrics.kpi.aggregates import Atom, Cut, How, RowMeasure
from b24metrics.kpi.catalogue import KPIS
from b24metrics.kpi.cells import Cells, FloatArray, IntArray, Values
from b24metrics.kpi.crew import carry_out
from b24metrics.kpi.dimensions import PeopleFilter
from b24metrics.kpi.facts import Fact
from b24metrics.kpi.frames import Aside, Column, Frame, Places, block
from b24metrics.kpi.ground import Ground
from b24metrics.kpi.making import LOOKUPS, Desk, Making, Step, prepare, steps
from b24metrics.kpi.model import (
    Book,
    Computed,
    Derived,
    Grain,
    Kpi,
    Mean,
    Measure,
    Number,
    Over,
    Part,
    Plan,
    Previous,
    Quantile,
    Ratio,
    Total,
    WindowId,
)
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.plans import PlanBook
from b24metrics.kpi.results import Block, Interval, Samples, Snapshot
from b24metrics.kpi.rows import Coded, RowSet
from b24metrics.kpi.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from b24metrics.mirror.stores import Store
    from b24metrics.mirror.stores.readers import Readers


def evaluate(
    store: Store,
    portal: str,
    kpis: Iterable[Kpi] | None = None,
    windows: Collection[WindowId] | None = None,
    grains: Collection[Grain] | None = None,
    *,
    now: datetime,
    options: KpiOptions | None = None,
    people: PeopleFilter | None = None,
) -> Snapshot:
    """Compute KPIs from the mirror as of one instant.

    Args:
        store: the mirror; it must not be inside a transaction.
        portal: name of the portal in the mirror.
        kpis: what to compute; None: everything declared.
        windows: only these, of those that each KPI has; None: all.
        grains: only these, of those that each KPI has (and the exporter's O); None: all.
        now: evaluation instant, aware.
        options: the company's decisions.
        people: restricts everything to records of the people it accepts: an ad-hoc team.

    Raises:
        NothingMirrored: the mirror does not know the portal.
        ConfigError: the options cannot be meant for this portal.
    """
    # Opened only when it is asked for: declarations must be readable where no database is installed.
    from b24metrics.mirror.stores.readers import readers  # noqa: PLC0415

    chosen = tuple(KPIS.values() if kpis is None else kpis)
    facts = dict.fromkeys(fact for kpi in chosen for fact in aggregates.facts(kpi.measure))
    shelves = [LOOKUPS, *(step.table.name for step in steps(facts) if not isinstance(step.table, Fact))]
    with readers(store, shelves) as found:
        ground = Ground(found.workers[0], portal, now, options or KpiOptions(), people)
        absent = {kpi.id: missing for kpi in chosen if (missing := ground.lacking(kpi))}
        tasks = [_Task.of(kpi, windows, grains, ground) for kpi in chosen if kpi.id not in absent]
        return _Round(ground, found, [task for task in tasks if task.windows and task.grains]).snapshot(absent)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is wanted of one KPI."""

    kpi: Kpi
    windows: tuple[WindowId, ...]
    grains: tuple[Grain, ...]

    @classmethod
    def of(
        cls,
        kpi: Kpi,
        windows: Collection[WindowId] | None,
        grains: Collection[Grain] | None,
        ground: Ground,
    ) -> _Task:
        there = (grain for grain in kpi.evaluated_grains if ground.has(grain, kpi))
        return cls(
            kpi,
            tuple(window for window in kpi.windows if windows is None or window in windows),
            tuple(grain for grain in there if grains is None or grain in grains),
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    """Grouped rows of the database: their windows, key columns, values as they were asked for."""

    windows: IntArray
    keys: Mapping[str, Coded]
    values: Sequence[FloatArray]

    @classmethod
    def of(cls, table: pa.Table, columns: Iterable[str], count: int) -> _Answer:
        return cls(
            np.asarray(table.column("window_no").to_numpy(), dtype=np.int64),
            {name: _coded(table.column(name)) for name in columns},
            [np.asarray(table.column(f"v{number}").to_numpy(), dtype=np.float64) for number in range(count)],
        )


@dataclass(slots=True)
class _Job:
    """What is wanted of one fact, with one set of labels beyond the grain."""

    fact: Fact
    atoms: dict[Atom, None] = field(default_factory=dict)
    row_measures: dict[RowMeasure, None] = field(default_factory=dict)
    cuts: dict[Cut, None] = field(default_factory=dict)

    @property
    def questions(self) -> int:
        """How many statements it takes."""
        return bool(self.atoms) + bool(self.row_measures)


class _Round:
    """One evaluation, inside one transaction."""

    def __init__(self, ground: Ground, readers: Readers, tasks: Sequence[_Task]) -> None:
        self.ground = ground
        self.readers = readers
        self.tasks = tasks
        self.places = Places(ground.scope, ground.directory)
        self.windows: list[Window] = []
        self._numbers: dict[tuple[WindowId, int], int] = {}
        self._intervals: dict[Window, Interval] = {}
        self._asked: dict[Fact, set[int]] = {}  # every window that some KPI asks of a fact
        for task in tasks:
            for window_id in task.windows:
                self._number(window_id, 0)
            for look in dict.fromkeys(aggregates.looks(task.kpi.measure)):
                numbers = {self._number(look.window or window_id, look.steps) for window_id in task.windows}
                if look.fact is not None:
                    self._asked.setdefault(look.fact, set()).update(numbers)
        self.frames: dict[Cut, Frame] = {}
        self._books: dict[Book, PlanBook] = {}

    def _book(self, book: Book) -> PlanBook:
        if book not in self._books:
            self._books[book] = PlanBook.read(book, self.ground)
        return self._books[book]

    def _number(self, window_id: WindowId, steps: int) -> int:
        if (window_id, steps) not in self._numbers:
            rules, now = self.ground.rules, self.ground.now
            made = rules.previous(window_id, now, steps) if steps else rules.window(window_id, now)
            self._numbers[window_id, steps] = len(self.windows)
            self.windows.append(made)
        return self._numbers[window_id, steps]

    def snapshot(self, absent: Mapping[str, tuple[str, ...]]) -> Snapshot:
        jobs = self._jobs()
        asked = {fact: [self.windows[number] for number in sorted(numbers)] for fact, numbers in self._asked.items()}
        self._making = Making(self.ground, asked, self.windows)
        self._carry_out(jobs)
        blocks = [one for task in self.tasks for grain in task.grains for one in self._blocks(task, grain)]
        return Snapshot(
            portal=self.ground.portal,
            at=self.ground.now,
            samples=Samples(blocks),
            intervals={
                window_id: self._interval(self.windows[self._number(window_id, 0)])
                for task in self.tasks
                for window_id in task.windows
            },
            absent=absent,
            directory=self.ground.directory,
            zone=self.ground.zone,
            currency=self.ground.currency,
        )

    def _interval(self, window: Window) -> Interval:
        if window not in self._intervals:
            clock = self.ground.clocks.company
            elapsed = clock.elapsed(window.start, window.end)
            whole = clock.elapsed(window.start, window.period_end)
            self._intervals[window] = Interval(window.start, window.end, elapsed, whole)
        return self._intervals[window]

    # ------------------------------------------------------------ what to ask

    def _jobs(self) -> list[_Job]:
        jobs: dict[tuple[Fact, tuple[str, ...]], _Job] = {}
        for task in self.tasks:
            kpi = task.kpi
            for grain in task.grains:
                cut = Cut(grain, kpi.fact_labels)
                if cut not in self.frames:
                    self.frames[cut] = Frame.of(cut, len(self.windows), self.places)
                for fact in aggregates.facts(kpi.measure):
                    jobs.setdefault((fact, cut.labels), _Job(fact)).cuts[cut] = None
                for atom in aggregates.atoms(kpi.measure, grain):
                    jobs[atom.fact, cut.labels].atoms[atom] = None
                for measure in aggregates.row_measures(kpi.measure):
                    jobs[measure.fact, cut.labels].row_measures[measure] = None
        return list(jobs.values())

    # ------------------------------------------------------------ asking

    def _carry_out(self, jobs: Sequence[_Job]) -> None:
        """Make every fact and ask what is wanted of it, as many at the same time as there are workers."""
        of_fact: dict[Fact, list[_Job]] = {}
        for job in jobs:
            of_fact.setdefault(job.fact, []).append(job)
        called = prepare(self._making, self.readers)
        self.ground.know_all()
        desks = [Desk(worker, called) for worker in self.readers.workers]
        shared = self.readers.workers[0] not in self.readers.shelves.values()

        def work(step: Step, worker: int) -> None:
            fact = step.table if isinstance(step.table, Fact) else None
            if fact is None and shared:
                desk = Desk(self.readers.shelves[step.table.name], called)
                self._making.carry_out(step, desk)
                called.update({step.table.name: desk.publish()[step.table.name]})
                return
            wanted = of_fact[fact] if fact else ()
            self._making.carry_out(step, desks[worker], once=sum(job.questions for job in wanted) == 1)
            for job in wanted:
                self._run(job, desks[worker])

        carry_out(steps(of_fact), len(desks), work)

    def _run(self, job: _Job, desk: Desk) -> None:
        if job.atoms:
            self._count(job, desk)
        if job.row_measures:
            self._look_at_rows(job, desk)

    def _count(self, job: _Job, desk: Desk) -> None:
        """What adds up and what is counted by different keys, by one statement."""
        fact, cuts = job.fact, list(job.cuts)
        sums = [(atom, atom) for atom in job.atoms if atom.adds_up]
        keys = [atom for atom in job.atoms if not atom.adds_up]
        if fact.solo:
            # A key that occurs once is counted like a row; only the few others need a set.
            sums += [(Atom(fact, How.COUNT, where=_both(atom.where, fact.solo)), atom) for atom in keys]
        dims = aggregates.dimensions(cuts)
        table = desk.arrow(aggregates.counted_sql(fact, [asked for asked, _ in sums], keys, cuts))
        answer = _Answer.of(table, dims, max(len(sums), len(keys)))
        masks, parts = (table.column(name).to_numpy() for name in ("cut_mask", "part"))
        for cut in cuts:
            of_cut = masks == aggregates.mask(cut.own_columns, dims)
            for distinct, wanted in ((False, [kept for _, kept in sums]), (True, keys)):
                rows = np.flatnonzero(of_cut & (parts == aggregates.part_no(cut, distinct=distinct)))
                self._keep(cut, wanted, answer, rows)

    def _keep(self, cut: Cut, wanted: Sequence[Atom], answer: _Answer, rows: IntArray) -> None:
        """Put some grouped rows into the frame of their cut."""
        frame, windows = self.frames[cut], answer.windows[rows]
        keys = (answer.keys[name] for name in cut.own_columns)
        positions = frame.positions([Coded(key.codes[rows], key.values) for key in keys], len(windows))
        for atom, values in zip(wanted, answer.values, strict=False):
            frame.put(atom, windows, positions, values[rows])

    def _look_at_rows(self, job: _Job, desk: Desk) -> None:
        """Quantiles and numpy measures."""
        fact, measures = job.fact, list(job.row_measures)
        dims = aggregates.dimensions(job.cuts)
        columns = list(dict.fromkeys(column for measure in measures for column in _columns(measure)))
        wheres = list(dict.fromkeys(measure.where for measure in measures))
        table = desk.arrow(aggregates.rows_sql(fact, dims, columns, wheres))
        spans: dict[int, list[int]] = {}
        for window, segment in self._making.spans[fact]:
            spans.setdefault(window, []).append(segment)
        rows = RowSet(
            segment=np.asarray(table.column("segment_no").to_numpy(), dtype=np.int64),
            dims={dim: _coded(table.column(dim)) for dim in dims},
            columns={
                name: np.asarray(table.column(f"v{i}").to_numpy(), dtype=np.float64) for i, name in enumerate(columns)
            },
            met={where: np.asarray(table.column(f"w{i}").to_numpy(), dtype=np.bool_) for i, where in enumerate(wheres)},
            spans=spans,
            ancestors=self._ancestors,
            options=self.ground.told,
        )
        for cut in job.cuts:
            frame = self.frames[cut]
            for measure in measures:
                places: IntArray | None = None
                for piece, keys in rows.values(measure, cut):  # the keys are the same in every window
                    places = frame.positions(keys.columns, len(keys)) if places is None else places
                    positions = places[piece.codes]
                    windows = np.full(len(positions), piece.window)
                    frame.put(measure, windows, positions, piece.values.value)
                    for part, values in (
                        (Part.N, piece.values.n),
                        (Part.NUMERATOR, piece.values.numerator),
                        (Part.DENOMINATOR, piece.values.denominator),
                    ):
                        if values is not None:
                            frame.put(Aside(measure, part), windows, positions, values)

    @cached_property
    def _ancestors(self) -> Mapping[int, Sequence[int]]:
        above: dict[int, list[int]] = {}
        for department, ancestor in self.ground.scope.closure:
            above.setdefault(department, []).append(ancestor)
        return above

    # ------------------------------------------------------------ arithmetic

    def _blocks(self, task: _Task, grain: Grain) -> Iterator[Block]:
        frame = self.frames[Cut(grain, task.kpi.fact_labels)]
        measure = task.kpi.measure
        combinations = task.kpi.spread or ({},)
        if isinstance(measure, Derived):
            told = self._cells(measure, task.windows, frame, 0)
            found = [_computed(measure, replace(told, combination=one)) for one in combinations]
        else:
            found = [self._values(measure, task.windows, frame)] * len(combinations)
        for combination, values in zip(combinations, found, strict=True):
            yield block(task.kpi, grain, task.windows, frame, values, combination)

    def _values(self, measure: Measure, windows: Sequence[WindowId], frame: Frame, steps: int = 0) -> Values:
        numbers = [self._number(window_id, steps) for window_id in windows]

        def taken(column: Column) -> FloatArray:
            return frame.dense(column, numbers)

        match measure:
            case Number():
                counted = taken(aggregates.count(measure))
                return Values(counted, n=counted)
            case Total():
                value = taken(aggregates.total(measure, frame.cut.grain))
                return Values(value, n=taken(aggregates.rows_behind(measure)))
            case Ratio():
                return self._ratio(measure, windows, frame, steps)
            case Mean():
                total, size = (taken(atom) for atom in aggregates.mean_parts(measure))
                return Values(_divided(total, size), n=size)
            case Quantile() | Computed():
                above, below = (
                    taken(aside) if (aside := Aside(measure, part)) in frame.parts else None
                    for part in (Part.NUMERATOR, Part.DENOMINATOR)
                )
                return Values(taken(measure), taken(Aside(measure, Part.N)), above, below)
            case Plan():
                return Values(self._plan(measure, numbers, frame))
            case Previous():
                return self._values(measure.of, windows, frame, steps + measure.steps)
            case Over():
                return self._values(measure.of, [measure.window] * len(windows), frame, steps)
            case Derived():
                return _computed(measure, self._cells(measure, windows, frame, steps))

    def _ratio(self, measure: Ratio, windows: Sequence[WindowId], frame: Frame, steps: int) -> Values:
        above = self._values(measure.numerator, windows, frame, steps)
        below = self._values(measure.denominator, windows, frame, steps)
        n = above.n if isinstance(measure.denominator, Plan) else below.n
        return Values(_divided(above.value, below.value), n=n, numerator=above.value, denominator=below.value)

    def _plan(self, measure: Plan, numbers: Sequence[int], frame: Frame) -> FloatArray:
        """Plans above 0; NaN where there is none."""
        book = self._book(measure.book)
        found = np.full((len(numbers), len(frame.keys)), np.nan)
        subjects = [next((part for part in key if isinstance(part, int)), 0) for key in frame.keys]
        for row, number in enumerate(numbers):
            for position, amount in enumerate(
                book.amounts(measure.kpi_id, frame.cut.grain, subjects, self.windows[number])
            ):
                if amount is not None and (amount > 0 or measure.book is Book.FROZEN):
                    found[row, position] = float(amount)
        return found

    def _cells(self, measure: Derived, windows: Sequence[WindowId], frame: Frame, steps: int) -> Cells:
        """What a derived measure is computed from."""
        inputs = {
            name: Values(np.full(len(windows) * len(frame.keys), np.nan))
            if name in measure.optional and self.ground.missing(aggregates.needed(one))
            else self._values(one, windows, frame, steps).map(np.ravel)
            for name, one in measure.inputs.items()
        }
        return Cells(
            grain=frame.cut.grain,
            values={name: values.value for name, values in inputs.items()},
            inputs=inputs,
            labels={name: np.tile(texts, len(windows)) for name, texts in frame.texts.items()},
            windows=np.repeat(np.arange(len(windows)), len(frame.keys)),
            window_ids=tuple(windows),
            intervals={
                window_id: self._interval(self.windows[self._number(window_id, steps)]) for window_id in windows
            },
            options=self.ground.told,
            combination={},
        )


def _computed(measure: Derived, cells: Cells) -> Values:
    """The values of a derived measure, shape (windows, keys)."""
    found = measure.compute(cells)
    values = found if isinstance(found, Values) else Values(found)
    shape = len(cells.window_ids), len(cells.windows) // max(len(cells.window_ids), 1)
    return values.map(lambda flat: flat.reshape(shape))


def _coded(column: pa.ChunkedArray) -> Coded:
    """A column of keys as numbers; NULL is a key like any other."""
    encoded = column.combine_chunks().dictionary_encode("encode")
    return Coded(np.asarray(encoded.indices.to_numpy(), dtype=np.int64), encoded.dictionary.to_pylist())


def _columns(measure: RowMeasure) -> tuple[str, ...]:
    if isinstance(measure, Computed):
        return measure.columns if measure.per is None else (*measure.columns, measure.per)
    return (measure.column,) if measure.per is None else (measure.column, measure.per)


def _divided(above: FloatArray, below: FloatArray) -> FloatArray:
    """NaN where the denominator is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)


def _both(one: str, other: str) -> str:
    return f"({one}) AND ({other})" if one else other


__all__ = ["evaluate"]
