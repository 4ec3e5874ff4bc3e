"""Facts as tables: what is made of what, in which order, and by whom.

Laws: tables are named ``kpi_…`` and made anew for every evaluation; a view is made once however many facts read it, and
reaches back no further than its windows do. A view that several tables need is a step of its own and stands on a shelf for
all readers; what only one table needs is made together with it; a fact that one question reads is no table, but part of
that question. Steps that do not wait for each other may be carried out at the same time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from b24metrics.kpi.aggregates import segment_sql
from b24metrics.kpi.facts import Fact, View
from b24metrics.kpi.ground import Ground
from b24metrics.kpi.lookups import Lookup, arrow_columns, arrow_rows, lookups
from b24metrics.kpi.refine import Refinement
from b24metrics.kpi.windows import Segments, Window

if TYPE_CHECKING:
    import pyarrow as pa

    from b24metrics.mirror.stores import Store
    from b24metrics.mirror.stores.readers import Reader, Readers

_NAMED = re.compile(r"\$(\w+)")
_TABLE = re.compile(r"\bkpi_\w+")
#: The shelf of the tables that everything looks things up in.
LOOKUPS: Final = "kpi_lookups"
_SPANS = {"fact": "string", "window_no": "int64", "segment_no": "int64"}
_WINDOWS = {
    "fact": "string",
    "window_no": "int64",
    "starts_at": "instant",
    "ends_at": "instant",
    "period_ends_on": "date32",
    "starts_back": "instant",
    "ends_back": "instant",
    "is_state": "bool",
}


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One table that others read or that is counted, with those that only it needs.

    Attributes:
        makes: in this order; the last is the table itself. waits_for: names of the shared views that must stand before.
    """

    makes: tuple[View, ...]
    waits_for: frozenset[str]

    @property
    def table(self) -> View:
        return self.makes[-1]


def steps(facts: Iterable[Fact]) -> tuple[Step, ...]:
    """What has to be made for these facts; each step stands behind those it waits for."""
    ordered = _in_order(facts)
    readers: dict[View, list[View]] = {}
    for view in ordered:
        for needed in view.needs:
            readers.setdefault(needed, []).append(view)
    home: dict[View, View] = {}  # the table whose step a view belongs to
    for view in reversed(ordered):
        homes = {home[reader] for reader in readers.get(view, ())}
        home[view] = homes.pop() if len(homes) == 1 and not isinstance(view, Fact) else view
    members: dict[View, list[View]] = {}
    for view in ordered:
        members.setdefault(home[view], []).append(view)
    return tuple(
        Step(
            tuple(members[table]),
            frozenset(
                home[needed].name for view in members[table] for needed in view.needs if home[needed] is not table
            ),
        )
        for table in ordered
        if table in members
    )


class Desk:
    """A reader that knows what tables are called: those of its own, and those on the shelves."""

    def __init__(self, reader: Reader, shelves: Mapping[str, str]) -> None:
        self._reader = reader
        self._shelves = shelves
        self._own: dict[str, str] = {}
        self._meant: dict[str, tuple[str, Sequence[Any]]] = {}

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        meant = {name: self._meant.pop(name) for name in dict.fromkeys(_TABLE.findall(sql)) if name in self._meant}
        sql = self._spelled(sql)
        if meant:
            tables = ", ".join(f"{name} AS ({table})" for name, (table, _) in meant.items())
            sql = f"WITH {tables} SELECT * FROM ({sql}) AS asked"
            params = [*(value for _, values in meant.values() for value in values), *params]
        return self._reader.arrow(sql, params)

    def make(self, name: str, sql: str, params: Sequence[Any] = ()) -> None:
        self._reader.make(name, self._spelled(sql), params)
        self._own[name] = self._reader.called(name)

    def mean(self, name: str, sql: str, params: Sequence[Any] = ()) -> None:
        """Say what the table is that the next question will name: nothing is made, and columns nobody reads cost nothing."""
        self._meant[name] = self._spelled(sql), params

    def load(self, name: str, table: pa.Table) -> None:
        self._reader.load(name, table)
        self._own[name] = self._reader.called(name)

    def publish(self) -> Mapping[str, str]:
        """Let others see what was made; returns what they call it."""
        self._reader.publish()
        return self._own

    def _spelled(self, sql: str) -> str:
        return _TABLE.sub(lambda name: self._own.get(name[0]) or self._shelves.get(name[0], name[0]), sql)


class Making:
    """What the tables of one evaluation are made of.

    Attributes:
        spans: (window number, segment) pairs of every fact.
    """

    def __init__(self, ground: Ground, wanted: Mapping[Fact, Sequence[Window]], windows: Sequence[Window]) -> None:
        """Say what is wanted.

        Args:
            ground: what the evaluation stands on.
            wanted: every fact with the windows it is asked about, none for a state.
            windows: all windows; their position is their number in ``kpi_spans``.
        """
        self.ground = ground
        self._windows = windows
        self._reach: dict[View, datetime] = {}
        self._segments = {fact: Segments.of(asked) for fact, asked in wanted.items()}
        self._numbers = {fact: [windows.index(window) for window in asked] for fact, asked in wanted.items()}
        for fact, asked in wanted.items():
            self._look_back(fact, min((window.start for window in asked), default=ground.now))
        self.spans = {fact: self._spans(fact) for fact in wanted}

    def _spans(self, fact: Fact) -> list[tuple[int, int]]:
        numbers = self._numbers[fact]
        if fact.windowed:
            return [(number, number) for number in numbers]
        if fact.state:
            return [(number, 0) for number in numbers]
        return [(numbers[i], segment) for i, segment in self._segments[fact].members]

    def _look_back(self, view: View, since: datetime) -> None:
        self._reach[view] = min(since, self._reach.get(view, since))
        for needed in view.needs:
            self._look_back(needed, since)

    # ------------------------------------------------------------ tables

    def lookups(self) -> Iterator[Lookup]:
        """Tables that must stand before everything else."""
        yield from lookups(self.ground)
        back = self.ground.back
        windows = [
            (fact.name, number, one.start, one.end, one.last_on, back(one.start), back(one.end), one.is_state)
            for fact, numbers in self._numbers.items()
            if fact.windowed
            for number in numbers
            for one in (self._windows[number],)
        ]
        yield "kpi_windows", arrow_rows(_WINDOWS, windows)
        spans = [(fact.name, *span) for fact, found in self.spans.items() for span in found]
        yield "kpi_spans", arrow_rows(_SPANS, spans)

    def carry_out(self, step: Step, desk: Desk, *, once: bool = False) -> None:
        """Make the tables of one step; ``once``: its fact will be asked one question, and is made for that alone."""
        for view in step.makes:
            if isinstance(view, Fact):
                self._place(view, desk, once=once)
            else:
                desk.make(view.name, *self._bound(view))

    def _bound(self, view: View) -> tuple[str, list[object]]:
        """A view's SQL with its parameters in order."""
        asked, since = self.ground.asked, self._reach[view]
        params: list[object] = []

        def bind(match: re.Match[str]) -> str:
            params.append(since if match[1] == "since" else asked[match[1]])
            return "?"

        # Every fact has windows of its own.
        windows = f"(SELECT * FROM kpi_windows AS of_all WHERE of_all.fact = '{view.name}')"
        return _NAMED.sub(bind, view.sql.replace("kpi_windows", windows)), params

    def _place(self, fact: Fact, desk: Desk, *, once: bool) -> None:
        """The fact with the department of its manager, the segment of its moment, and what SQL could not compute."""
        bounds, since = self._segments[fact].bounds, self._reach[fact]
        segment, params = _segment(fact, bounds)
        sql, source_params = self._bound(fact)
        if fact.refine:
            source = f"{fact.name}_raw"
            desk.make(source, f"SELECT row_number() OVER () AS row_no, v.* FROM ({sql}) AS v", source_params)
            refined, adds = self._refined(fact, fact.refine, desk)
        else:
            source, refined, adds = f"({sql})", "", ""
            params += source_params
        conditions = [] if self.ground.people_filter is None else ["p.chosen"]
        if fact.dated:
            conditions.append("f.happened_at >= ? AND f.happened_at < ?")
            params += [since, bounds[-1] if bounds else since]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        department, placed = "coalesce(p.department_id, 0)", ""
        if fact.placed:
            department = "CASE WHEN p.fixed THEN p.department_id ELSE coalesce(q.counts_for, p.department_id, 0) END"
            placed = " LEFT JOIN kpi_places AS q ON q.department_id = f.placed_in"
        put = desk.mean if once else desk.make
        put(
            fact.name,
            f"SELECT f.*{adds}, {department} AS department_id, {segment} AS segment_no FROM {source} AS f "
            f"LEFT JOIN kpi_people AS p ON p.manager_id = f.manager_id{placed}{refined}{where}",
            params,
        )

    def _refined(self, fact: Fact, refine: Refinement, desk: Desk) -> tuple[str, str]:
        """Compute the columns that SQL cannot say; returns the join that brings them in, and their names."""
        instants = [column for column in refine.reads if column.endswith(("_at", "_until"))]
        reads = [f"f.{c}" if c in instants else f"coalesce(f.{c}, 0) AS {c}" for c in refine.reads]
        when, params = ("", []) if not fact.dated else (" WHERE f.happened_at >= ?", [self._reach[fact]])
        table = desk.arrow(f"SELECT f.row_no, {', '.join(reads)} FROM {fact.name}_raw AS f{when}", params)
        columns: dict[str, np.ndarray[Any, Any]] = {
            column: _floats(table, column) if column in refine.amounts else _integers(table, column)
            for column in refine.reads
        }
        added = refine.compute(columns, self.ground.clocks, self.ground.told)
        name = f"{fact.name}_refined"
        desk.load(name, arrow_columns({"row_no": _integers(table, "row_no"), **added}))
        return f" JOIN {name} AS r ON r.row_no = f.row_no", "".join(f", r.{column}" for column in refine.adds)


def prepare(making: Making, readers: Readers) -> dict[str, str]:
    """Make the lookups; returns what they are called."""
    desk = Desk(readers.shelves[LOOKUPS], {})
    for name, table in making.lookups():
        desk.load(name, table)
    return dict(desk.publish())


@contextmanager
def standing(
    store: Store, ground: Ground, wanted: Mapping[Fact, Sequence[Window]], windows: Sequence[Window]
) -> Iterator[None]:
    """The tables of these facts as temporary ones of the calling thread, for as long as the context lasts.

    The store is in a transaction; see ``Making`` for the rest.
    """
    # Opened only when it is asked for: declarations must be readable where no database is installed.
    from b24metrics.mirror.stores.readers import Alone  # noqa: PLC0415

    reader = Alone(store)
    desk, making = Desk(reader, {}), Making(ground, wanted, windows)
    for name, table in making.lookups():
        desk.load(name, table)
    for step in steps(wanted):
        making.carry_out(step, desk)
    yield
    reader.tidy_up()


def _segment(fact: Fact, bounds: Sequence[datetime]) -> tuple[str, list[object]]:
    """Expression for the segment of a row of ``f``, and its parameters."""
    if fact.windowed:
        return "f.window_no", []
    if fact.state:
        return "0", []
    return segment_sql(bounds) if len(bounds) > 1 else ("NULL", [])


def _in_order(views: Iterable[View]) -> tuple[View, ...]:
    """Views after those that they need, each once."""
    ordered: dict[View, None] = {}

    def visit(view: View) -> None:
        for needed in view.needs:
            visit(needed)
        ordered.setdefault(view, None)

    for view in views:
        visit(view)
    return tuple(ordered)


def _integers(table: pa.Table, column: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A column without NULL as int64; instants as epoch seconds, fractions dropped."""
    values = table.column(column).to_numpy()
    if values.dtype.kind == "M":
        return np.asarray(values.astype("datetime64[s]").astype(np.int64))
    return np.asarray(values, dtype=np.int64)


def _floats(table: pa.Table, column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column without NULL as float64."""
    return np.asarray(table.column(column).to_numpy(), dtype=np.float64)
