"""Several connections that see one state of a mirror, so that heavy questions are answered side by side.

Laws: the mirror is only read; what a reader makes is its own and gone at the end, except what it puts on its shelf:
others see that from the moment it is published. All readers see the state at which the first of them began.

How, in DuckDB: transactions that begin one directly after the other have consecutive numbers, and nothing was committed
between them; if something was, they begin again. A shelf is a database in memory. A transaction's view of each database
begins when it first touches it: so what was published before is seen, although the mirror stands still.
With two statements side by side each has one thread: that costs a fifth to a half less processor time than two threads
for each. PostgreSQL, and a store that was given one thread, answer one question after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from b24metrics.mirror.stores.duck import DuckStore
from b24metrics.mirror.stores.parameters import spoken
from b24metrics.mirror.stores.protocol import Store

#: More statements at the same time than this would wait for Python and for memory.
MOST_WORKERS = 4
#: How often transactions begin anew because another one came between them.
_TRIES = 50

_numbers = itertools.count(1)


class Reader(Protocol):
    """Asks the mirror, and makes tables beside it. For one thread at a time."""

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table: ...

    def make(self, name: str, sql: str, params: Sequence[Any] = ()) -> None:
        """Make a table from a question: on the shelf, or a temporary one."""
        ...

    def load(self, name: str, table: pa.Table) -> None:
        """Make a table from Arrow: on the shelf, or a temporary one."""
        ...

    def called(self, name: str) -> str:
        """What others call a table that this reader made."""
        ...

    def publish(self) -> None:
        """Let others see the shelf; this reader is done."""
        ...


@dataclass(frozen=True, slots=True)
class Readers:
    """``workers``: at least one; ``shelves``: by the names that were asked for. Where there is one worker, it is all of them."""

    workers: tuple[Reader, ...]
    shelves: Mapping[str, Reader]


@contextmanager
def readers(store: Store, shelves: Collection[str]) -> Iterator[Readers]:
    """Readers of one state of the mirror, as many as may work side by side; one where there is nothing to share."""
    if isinstance(store, DuckStore) and len(shelves) > 1 and (most := min(store.threads, MOST_WORKERS)) > 1:
        with _beside(store, most, shelves) as found:
            if found is not None:
                yield found
                return
    with store.transaction():
        alone = Alone(store)
        yield Readers((alone,), dict.fromkeys(shelves, alone))
        alone.tidy_up()


class Alone:
    """The calling thread's connection, inside its transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made: list[str] = []

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._store.rows(sql, params)

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        return self._store.arrow(sql, params)

    def make(self, name: str, sql: str, params: Sequence[Any] = ()) -> None:
        self._store.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}", params)
        self._made.append(name)

    def load(self, name: str, table: pa.Table) -> None:
        self._store.load(name, table)
        self._made.append(name)

    def called(self, name: str) -> str:
        return name

    def publish(self) -> None:
        """Nobody else is there."""

    def tidy_up(self) -> None:
        """Drop what was made. After a failure there is nothing to drop: the transaction takes the tables back."""
        if self._made:
            self._store.execute("; ".join(f"DROP TABLE IF EXISTS {name}" for name in reversed(self._made)))


class _DuckReader:
    """A transaction of its own."""

    def __init__(self, store: DuckStore, connection: duckdb.DuckDBPyConnection, shelf: str = "") -> None:
        self._store = store
        self._connection = connection
        self._shelf = shelf

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._store.honest():
            return self._connection.execute(*spoken(sql, params)).fetchall()

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        with self._store.honest():
            return self._connection.execute(*spoken(sql, params)).to_arrow_table()

    def make(self, name: str, sql: str, params: Sequence[Any] = ()) -> None:
        kind = "TABLE" if self._shelf else "OR REPLACE TEMP TABLE"
        with self._store.honest():
            self._connection.execute(*spoken(f"CREATE {kind} {self.called(name)} AS {sql}", params))

    def load(self, name: str, table: pa.Table) -> None:
        self._connection.register("_lent", table)
        try:
            self.make(name, "SELECT * FROM _lent")
        finally:
            self._connection.unregister("_lent")

    def called(self, name: str) -> str:
        return f"{self._shelf}.{name}" if self._shelf else name

    def publish(self) -> None:
        with self._store.honest():
            self._connection.commit()


@contextmanager
def _beside(store: DuckStore, workers: int, shelves: Collection[str]) -> Iterator[Readers | None]:
    """Workers and a reader for every shelf; None where others write so busily that no two see one state."""
    with ExitStack() as stack:
        homes = {name: f"kpi_shelf_{next(_numbers)}" for name in shelves}
        root = stack.enter_context(_connected(store))
        for home in homes.values():
            root.execute(f"ATTACH ':memory:' AS {home} (READ_WRITE)")
            stack.callback(_detach, root, home)
        connections = [stack.enter_context(_connected(store)) for _ in range(workers + len(homes))]
        if not _of_one_state(connections):
            yield None
            return
        stack.enter_context(store.one_thread_each())
        made = iter(connections)
        yield Readers(
            tuple(_DuckReader(store, next(made)) for _ in range(workers)),
            {name: _DuckReader(store, next(made), home) for name, home in homes.items()},
        )


@contextmanager
def _connected(store: DuckStore) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = store.another()
    try:
        yield connection
    finally:
        with suppress(duckdb.Error):  # a shelf that was published has no transaction any more
            connection.rollback()
        connection.close()


def _detach(connection: duckdb.DuckDBPyConnection, home: str) -> None:
    with suppress(duckdb.Error):  # the database is broken or closed: memory goes with it
        connection.execute(f"DETACH {home}")


def _of_one_state(connections: Sequence[duckdb.DuckDBPyConnection]) -> bool:
    """Begin a transaction on each; whether all of them see the same state."""
    for _ in range(_TRIES):
        numbers: list[int] = []
        for connection in connections:
            connection.begin()
            # Asking for the number is what makes the transaction begin.
            numbers += connection.execute("SELECT txid_current()").fetchone() or ()
        if numbers == list(range(numbers[0], numbers[0] + len(connections))):
            return True
        for connection in connections:
            connection.rollback()
    return False
