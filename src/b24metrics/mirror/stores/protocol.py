"""What the house asks of a database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import pyarrow as pa

from b24metrics.mirror.schema import Table


class Store(Protocol):
    """A mirror that is open. SQL is DuckDB's dialect; ``?`` marks a parameter.

    Every thread has a connection of its own, so one may compute while another writes. Each statement sees what was
    committed before it began; inside ``transaction()`` all statements see one such state. Temporary tables and
    transactions belong to the thread that made them.

    Attributes:
        holder: who this process is to others that write the same mirror (``mirror.lease``); None: no others can.
    """

    holder: str | None

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None: ...

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table: ...

    def load(self, name: str, table: pa.Table) -> None:
        """Make or replace a temporary table from Arrow."""
        ...

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]] | pa.Table) -> int:
        """Insert or overwrite by primary key; the last of equal keys wins. Returns the number of rows written.

        Columns that the rows do not name are left alone (NULL in new rows); observed columns keep what they have.
        Rows are mappings, or an Arrow table made by ``rows.page_of`` (each key once).

        Raises:
            MirrorError: a value does not fit its column, or the database cannot be written.
        """
        ...

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: an exception takes everything back. Transactions do not nest."""
        ...

    @contextmanager
    def one_thread_each(self) -> Iterator[None]:
        """While it lasts, a statement has one thread: for whoever runs several side by side, or many small ones."""
        ...

    def checkpoint(self) -> None:
        """Tidy up after much was written; not inside a transaction."""
        ...

    def close(self) -> None: ...
