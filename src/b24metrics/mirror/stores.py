"""The database that holds the mirror. The only file that knows a database driver.

Laws: one writer; a page of rows and its cursor are committed together; sessions speak UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from b24metrics.mirror.schema import MIGRATIONS, Table


class Store(Protocol):
    """What the house asks of a database. SQL is DuckDB's dialect; ``?`` marks a parameter."""

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None: ...

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table: ...

    def load(self, name: str, table: pa.Table) -> None:
        """Make or replace a temporary table from Arrow."""
        ...

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert or overwrite by primary key; the last of equal keys wins. Returns the number of rows written."""
        ...

    @contextmanager
    def transaction(self) -> Iterator[None]: ...

    def close(self) -> None: ...


class DuckStore:
    """A mirror in one DuckDB file, or in memory (``:memory:``)."""

    def __init__(self, path: str | Path = ":memory:") -> None:
        self._connection = duckdb.connect(str(path))
        self._connection.execute("SET TimeZone = 'UTC'")
        self._migrate()

    def _migrate(self) -> None:
        self.execute("CREATE TABLE IF NOT EXISTS b24metrics_schema (version INTEGER NOT NULL)")
        found = self.rows("SELECT coalesce(max(version), 0) FROM b24metrics_schema")[0][0]
        for version, statements in enumerate(MIGRATIONS[found:], start=found + 1):
            with self.transaction():
                for statement in statements:
                    self.execute(statement)
                self.execute("INSERT INTO b24metrics_schema VALUES (?)", [version])

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        self._connection.execute(sql, params)

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, params).fetchall()

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        return self._connection.execute(sql, params).to_arrow_table()

    def load(self, name: str, table: pa.Table) -> None:
        self._connection.register("_loading", table)
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM _loading")
        self._connection.unregister("_loading")

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
        unique = {tuple(row[k] for k in table.primary_key): row for row in rows}
        names = list(table.all_columns)
        marks = ", ".join("?" for _ in names)
        if unique:
            self._connection.executemany(
                f"INSERT OR REPLACE INTO {table.name} ({', '.join(names)}) VALUES ({marks})",
                [[row.get(name) for name in names] for row in unique.values()],
            )
        return len(unique)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._connection.begin()
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    def close(self) -> None:
        self._connection.close()
