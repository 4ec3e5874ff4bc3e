"""The portal's database: pages, counts, writes.

Laws: callers hold ``lock`` for a whole request, so that a batch sees one state and read-ahead stays true. Every page is
a list of tuples whose first value is the ID. Times are the caller's; nothing here reads a clock.

A walk ``>ID`` over millions of rows must stay cheap: DuckDB's ORDER BY/LIMIT scans a whole table, so a page is taken from
a narrow id window instead (zone maps skip the rest) and the window widens only where ids are sparse or conditions
selective. Within one request the window also grows with the pages asked for, so that a keyset chain of fifty commands
costs three scans.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import duckdb

from b24metrics.sim import tables
from b24metrics.sim.tables import Table

Row = tuple[object, ...]

_FIRST_WIDTH = 64
_WIDEST = 1 << 20
_AHEAD = 4096  # read-ahead within a request never exceeds this many ids

_by_id = itemgetter(0)


@dataclass(slots=True)
class Where:
    """Conditions joined by AND; a lower id bound is kept apart, because it steers the scan."""

    parts: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)
    after: int | None = None
    pinned: bool = False  # single ids are named: no need to search for them in windows

    def add(self, sql: str, *values: object) -> None:
        self.parts.append(sql)
        self.values.extend(values)

    def beyond(self, last_id: int) -> None:
        """Only ids above ``last_id``."""
        self.after = last_id if self.after is None else max(self.after, last_id)

    @property
    def rest(self) -> str:
        """All but the id bound."""
        return " AND ".join(f"({part})" for part in self.parts) or "TRUE"

    @property
    def sql(self) -> str:
        return self.rest if self.after is None else f"ID > {self.after} AND {self.rest}"


@dataclass(slots=True)
class _Window:
    """Rows known to be all those with ``low < ID <= high`` that meet one condition."""

    low: int
    high: int
    rows: list[Row]
    width: int


class Data:
    """One DuckDB database with the tables of `tables`."""

    def __init__(self, source: duckdb.DuckDBPyConnection | str | Path | None = None) -> None:
        self.owned = not isinstance(source, duckdb.DuckDBPyConnection)
        self.connection = (
            source if isinstance(source, duckdb.DuckDBPyConnection) else duckdb.connect(str(source or ":memory:"))
        )
        self.lock = threading.RLock()
        self._ahead: dict[tuple[object, ...], _Window] = {}
        self._highest: dict[tuple[str, str], int] = {}
        self.expected = 0  # rows that the running batch may yet ask for; bounds the read-ahead
        tables.create(self.connection)

    def close(self) -> None:
        if self.owned:
            self.connection.close()

    # ------------------------------------------------------------ reading

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        with self.lock:
            return self.connection.execute(*_with_numbers(sql, values)).fetchall()

    def records(self, sql: str, values: Sequence[object] = ()) -> list[dict[str, object]]:
        """Rows as maps by column name."""
        with self.lock:
            cursor = self.connection.execute(*_with_numbers(sql, values))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def record(self, table: Table, record_id: int, *, where: str = "TRUE") -> dict[str, object] | None:
        """One row of a table as a map, or None."""
        return next(iter(self.records(f'SELECT * FROM "{table.name}" WHERE ID = ? AND {where}', [record_id])), None)

    def value(self, sql: str, values: Sequence[object] = ()) -> object:
        """The first value of the first row, or None."""
        found = self.rows(sql, values)
        return found[0][0] if found else None

    def count(self, source: str, where: Where) -> int:
        found = self.value(f"SELECT count(*) FROM {source} WHERE {where.sql}", where.values)
        assert isinstance(found, int)
        return found

    def page(
        self,
        source: str,
        names: Sequence[str],
        where: Where,
        order: Sequence[tuple[str, bool]] = (),
        limit: int | None = 50,
        offset: int = 0,
    ) -> list[Row]:
        """Rows of a table or join: ``ID`` and then ``names``; ``order`` is (SQL, descending)."""
        with self.lock:
            if list(order) == [("ID", False)] and not offset and limit and not where.pinned:
                return self._ascending(source, names, where, limit)
            by = ", ".join(
                f"{what} {'DESC' if down else 'ASC'} NULLS {'LAST' if down else 'FIRST'}" for what, down in order
            )
            tail = f" LIMIT {limit} OFFSET {offset}" if limit is not None else ""
            ordered = f" ORDER BY {by}" if by else ""
            return self.rows(f"{_select(source, names)} WHERE {where.sql}{ordered}{tail}", where.values)

    def _ascending(self, source: str, names: Sequence[str], where: Where, limit: int) -> list[Row]:
        """The first ``limit`` rows above the id bound, in id order, by widening windows."""
        select = _select(source, names)
        key = (source, *names, where.rest, *map(str, where.values))
        low = where.after if where.after is not None else 0
        found: list[Row] = []
        width = _FIRST_WIDTH
        window = self._ahead.get(key)
        if window is not None and window.low <= low < window.high:
            start = bisect_right(window.rows, low, key=_by_id)
            found = window.rows[start : start + limit]
            low = window.high
            width = min(_AHEAD, window.width * 8, max(_FIRST_WIDTH, self.expected))
        while len(found) < limit and low < _END:
            if width > _WIDEST:
                rows = self.rows(f"{select} WHERE ID > {low} AND {where.rest} ORDER BY ID LIMIT {limit}", where.values)
                high = _END if len(rows) < limit else _id(rows[-1])
            else:
                high = low + width
                rows = self.rows(f"{select} WHERE ID > {low} AND ID <= {high} AND {where.rest}", where.values)
                rows.sort(key=_by_id)
            self._ahead[key] = _Window(low, high, rows, width)
            found = found + rows[: limit - len(found)]
            low, width = high, width * 8
        return found

    def fresh(self) -> None:
        """Forget what was read ahead: a new request begins, or something was written."""
        self._ahead.clear()
        self.expected = 0

    # ------------------------------------------------------------ writing

    def execute(self, sql: str, values: Sequence[object] = ()) -> None:
        with self.lock:
            self.fresh()
            self.connection.execute(*_with_numbers(sql, values))

    def next_id(self, table: str, where: str = "TRUE") -> int:
        """A number that was never given before, also not to a record that is gone."""
        found = self.value(f'SELECT coalesce(max(ID), 0) FROM "{table}" WHERE {where}')
        assert isinstance(found, int)
        number = max(found, self._highest.get((table, where), 0)) + 1
        self._highest[table, where] = number
        return number

    def insert(self, table: str, record: Mapping[str, object]) -> None:
        """One row; columns that are not named take their defaults."""
        names = ", ".join(f'"{name}"' for name in record)
        marks = ", ".join("?" for _ in record)
        self.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', list(record.values()))

    def update(self, table: str, where: str, values: Sequence[object], changes: Mapping[str, object]) -> None:
        sets = ", ".join(f'"{name}" = ?' for name in changes)
        self.execute(f'UPDATE "{table}" SET {sets} WHERE {where}', [*changes.values(), *values])

    def delete(self, table: str, where: str, values: Sequence[object]) -> None:
        if table == tables.STAGE_HISTORY.name:
            for kind, highest in self.rows("SELECT ENTITY_TYPE_ID, max(ID) FROM stage_history GROUP BY ENTITY_TYPE_ID"):
                self._keep_highest(table, f"ENTITY_TYPE_ID = {kind}", highest)
        elif table != tables.ACTIVITY_BINDING.name:
            self._keep_highest(table, "TRUE", self.value(f'SELECT max(ID) FROM "{table}"'))
        self.execute(f'DELETE FROM "{table}" WHERE {where}', values)

    def _keep_highest(self, table: str, where: str, highest: object) -> None:
        if isinstance(highest, int):
            self._highest[table, where] = max(highest, self._highest.get((table, where), 0))


_END = 1 << 62


def _with_numbers(sql: str, values: Sequence[object]) -> tuple[str, list[object]]:
    """Put numbers, flags and NULL into the text; all else stays a parameter.

    For every single parameter duckdb looks for pandas, and where that is not installed the search takes longer than
    most queries here.
    """
    pieces = sql.split("?")
    assert not values or len(pieces) == len(values) + 1, sql
    text, kept = pieces[0], []
    for value, piece in zip(values, pieces[1:], strict=False):
        if value is None or isinstance(value, int):
            text += f"{'NULL' if value is None else value}{piece}"
        else:
            kept.append(value)
            text += f"?{piece}"
    return (text, kept) if values else (sql, [])


def _id(row: Row) -> int:
    assert isinstance(row[0], int)
    return row[0]


def _select(source: str, names: Sequence[str]) -> str:
    columns = ", ".join(["ID", *(f'"{name}"' for name in names)])
    return f"SELECT {columns} FROM {source}"
