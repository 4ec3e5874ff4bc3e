"""The databases that hold a mirror: a DuckDB file, or a PostgreSQL database that several processes share.

Laws: one writer per portal (the file's lock, or a lease); a page of rows and its cursor are committed together; sessions
speak UTC. SQL is written once, in DuckDB's dialect, and carried to PostgreSQL. Only the files of this package know a
database driver.
"""

from __future__ import annotations

from pathlib import Path

from b24metrics.mirror.place import is_address
from b24metrics.mirror.stores.duck import DuckStore
from b24metrics.mirror.stores.protocol import Store
from b24metrics.mirror.stores.upsert import upsert_sql

__all__ = ["DuckStore", "Store", "open_store", "upsert_sql"]


def open_store(where: str | Path, *, read_only: bool = False, memory_limit: str | None = None) -> Store:
    """Open the mirror that is kept there.

    Args:
        where: a DuckDB file, ``:memory:``, or ``postgresql://user:password@host/database`` (a secret: never printed).
        read_only: for commands that only look: nothing is made, nothing is migrated.
        memory_limit: what a mirror in a file may use, ``"256MB"``; a database server has a limit of its own.

    Raises:
        MirrorError: it cannot be opened; the text says what to do.
        ModuleNotFoundError: the driver is missing: install the extra ``postgres``.
    """
    if isinstance(where, str) and is_address(where):
        # Imported here: a mirror in a file needs no PostgreSQL driver.
        from b24metrics.mirror.stores.postgres import PostgresStore  # noqa: PLC0415

        return PostgresStore(where, read_only=read_only)
    return DuckStore(where, read_only=read_only, memory_limit=memory_limit)
