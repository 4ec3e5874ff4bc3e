"""A mirror in one DuckDB file.

Laws: one writer; sessions speak UTC. A file is either absent or a complete mirror: it is made under another name and
appears whole. What a person can mend (a missing directory, a full disk, another process) is a MirrorError that says how;
nothing is damaged by finding out.

Threads: every thread that uses a DuckStore gets a connection of its own, so one may compute while another writes. Each
statement sees what was committed before it began; inside ``transaction()`` all statements see one such state.
Temporary tables and transactions belong to the thread that made them.
Processes: DuckDB lets one process write *or* several read. While a daemon writes, another process cannot even read:
ask the daemon, copy the file while it rests, or keep the mirror in PostgreSQL.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import duckdb
import pyarrow as pa

from b24metrics.errors import MirrorBusy, MirrorError, NothingMirrored, UnreadableMirror, UnwritableMirror
from b24metrics.mirror.rows import page_of_mappings
from b24metrics.mirror.schema import Table
from b24metrics.mirror.stores.parameters import spoken
from b24metrics.mirror.stores.upsert import insert_sql, neighbours, upsert_sql
from b24metrics.mirror.stores.versions import VERSION_TABLE, pending

_LARGE = 500
"""Rows of a page from which on it pays to ask first whether any of its keys may be there."""


class DuckStore:
    """A mirror in one DuckDB file, or in memory (``:memory:``)."""

    def __init__(
        self,
        path: str | Path = ":memory:",
        *,
        read_only: bool = False,
        memory_limit: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Open a mirror; one that does not exist yet is made.

        Args:
            path: the file; its log and temporary files lie beside it.
            read_only: for commands that only look; several processes may, as long as none writes.
            memory_limit: ``"2GB"``; what exceeds it goes to ``<path>.tmp``. Default: 80 % of the machine.
            threads: that one statement, or several side by side (``readers.py``), may use. Default: all cores.

        Raises:
            NothingMirrored: there is no mirror to look at (read only).
            MirrorBusy: another process holds it.
            NewerMirror: made by a newer version.
            UnreadableMirror: not a mirror, damaged, or made by another program.
            UnwritableMirror: the directory is missing, forbidden or full.
        """
        self.path = str(path)
        # Without these a SQLite file handed in by mistake would make DuckDB fetch an extension from the network.
        config: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        if memory_limit is not None:
            config["memory_limit"] = memory_limit
        if threads is not None:
            config["threads"] = threads
        if self.path != ":memory:" and not _found(Path(path), read_only=read_only):
            _make(Path(path))
        self.holder: str | None = None  # the file's lock keeps others away
        self._mine = threading.local()
        self._opening = threading.Lock()
        self._sparing = 0
        self._root = _connect(self.path, self.path, read_only=read_only, config=config)
        [(self.threads,)] = self._root.execute("SELECT current_setting('threads')").fetchall()

    # ------------------------------------------------------------ work

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        """The connection of the calling thread."""
        try:
            mine: duckdb.DuckDBPyConnection = self._mine.connection
        except AttributeError:
            with self._opening, self._honest():
                mine = self._mine.connection = self._root.cursor()
        return mine

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        with self._honest():
            self._connection.execute(*spoken(sql, params))

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._honest():
            return self._connection.execute(*spoken(sql, params)).fetchall()

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        with self._honest():
            return self._connection.execute(*spoken(sql, params)).to_arrow_table()

    def load(self, name: str, table: pa.Table) -> None:
        with self._lent(table), self._honest():
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM _lent")

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]] | pa.Table) -> int:
        page = rows if isinstance(rows, pa.Table) else page_of_mappings(table, rows)
        if page.num_rows:
            names = tuple(page.column_names)
            sql = insert_sql(table, names, "_lent") if self._is_news(table, page) else upsert_sql(table, names, "_lent")
            with self._lent(page), self._honest():
                self._connection.execute(sql)
        return int(page.num_rows)

    def _is_news(self, table: Table, page: pa.Table) -> bool:
        """Whether a large page meets nothing in its table, as in a backfill: looking for conflicts costs more than writing."""
        return page.num_rows >= _LARGE and not self.rows(*neighbours(table, page))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        connection = self._connection
        connection.begin()
        try:
            yield
        except BaseException:
            # A transaction that the database gave up by itself cannot be rolled back again.
            with suppress(duckdb.Error):
                connection.rollback()
            raise
        with self._honest():
            connection.commit()

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file, unless another thread is in a transaction."""
        with suppress(duckdb.TransactionException), self._honest():
            self._connection.execute("CHECKPOINT")

    def close(self) -> None:
        """Close all threads' connections; the log is folded into the file."""
        self._root.close()

    def another(self) -> duckdb.DuckDBPyConnection:
        """One more connection to the same database, whatever the thread; whoever asks for it closes it."""
        with self._opening, self._honest():
            return self._root.cursor()

    @contextmanager
    def one_thread_each(self) -> Iterator[None]:
        """While it lasts, a statement has one thread: for whoever runs several side by side, or many small ones.

        Two threads for a page of 2,500 rows cost a fifth more processor time, and it is not there sooner.
        """
        with self._opening, self._honest():
            self._sparing += 1
            if self._sparing == 1:
                self._root.execute("SET GLOBAL threads = 1")
        try:
            yield
        finally:
            with self._opening, suppress(duckdb.Error):
                self._sparing -= 1
                if not self._sparing:
                    self._root.execute(f"SET GLOBAL threads = {self.threads}")

    def honest(self) -> AbstractContextManager[None]:
        """Errors of the database in the words of the house, for those who hold a connection."""
        return self._honest()

    @contextmanager
    def _lent(self, table: pa.Table) -> Iterator[None]:
        """Let SQL of this thread see an Arrow table as ``_lent``."""
        connection = self._connection
        connection.register("_lent", table)
        try:
            yield
        finally:
            connection.unregister("_lent")

    @contextmanager
    def _honest(self) -> Iterator[None]:
        """Let mistakes in SQL pass as they are, and name what a person can mend."""
        try:
            yield
        except duckdb.Error as error:
            if named := _named(self.path, error):
                raise named from error
            raise


# ---------------------------------------------------------------- opening


def _connect(
    path: str, called: str, *, read_only: bool = False, config: Mapping[str, Any] | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection to a mirror whose tables are those of today. Messages name it as ``called``."""
    try:
        connection = duckdb.connect(path, read_only=read_only, config=dict(config or {}))
    except duckdb.Error as error:
        _refuse_to_open(called, error)
    try:
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        _migrate(connection, called, read_only=read_only)
    except duckdb.Error as error:
        connection.close()
        _refuse_to_open(called, error)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Make a whole empty mirror elsewhere in the directory, then give it its name, unless somebody was faster."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            fresh = Path(folder) / path.name
            _connect(str(fresh), str(path)).close()
            with suppress(FileExistsError):
                _name_it(fresh, path)
    except OSError as error:
        raise UnwritableMirror(
            f"{path}: the mirror cannot be made there ({error.strerror}). "
            "Free some room or allow writing, or name another file."
        ) from None


def _name_it(fresh: Path, path: Path) -> None:
    """Give a finished file its name; an existing one is never replaced."""
    try:
        os.link(fresh, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(path) from None
        fresh.rename(path)


def _migrate(connection: duckdb.DuckDBPyConnection, path: str, *, read_only: bool) -> None:
    tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    found: int | None = None
    if VERSION_TABLE in tables:
        [(found,)] = connection.execute(f"SELECT coalesce(max(version), 0) FROM {VERSION_TABLE}").fetchall()
    for version, statements in pending(path, found, tables, read_only=read_only):
        connection.begin()
        connection.execute(f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version INTEGER NOT NULL)")
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"INSERT INTO {VERSION_TABLE} VALUES ({version})")
        connection.commit()


# ---------------------------------------------------------------- what is wrong with a file

_MAGIC = slice(8, 12)  # "DUCK", behind the header's checksum
_PROCESS = re.compile(r"held in (?P<program>\S+) \(PID (?P<pid>\d+)\)")
_FULL = re.compile(
    r"No space left|File too large|[Qq]uota exceeded|Could not write|failed to offload data block", re.IGNORECASE
)
_DAMAGED = re.compile(
    r"[Cc]orrupt|checksum|read enough bytes|deserializ|[Ss]erialization Error|invalidated", re.IGNORECASE
)


def _found(path: Path, *, read_only: bool) -> bool:
    """Whether the file is there; what is plainly wrong is refused before the database touches it."""
    log = path.with_name(path.name + ".wal")
    if not path.exists():
        if read_only:
            raise NothingMirrored(f"{path}: there is no mirror yet. Make it with b24metrics sync, or check the path.")
        if not path.parent.is_dir():
            raise UnwritableMirror(
                f"{path}: the directory {path.parent} does not exist. Make it (mkdir -p), or name another file."
            )
        if log.exists():
            # DuckDB would either drop the log or play it into whatever is made here.
            raise UnreadableMirror(
                f"{path} is missing, but its log {log.name} is there: the last changes of a mirror that was moved or "
                "deleted. Move the mirror back, or delete the log as well."
            )
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise UnwritableMirror(
                f"{path}: the directory {path.parent} cannot be written by this user. Allow it, or name another file."
            )
        return False
    if not path.is_file():
        raise UnreadableMirror(f"{path} is not a file. Name a file for the mirror.")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise UnreadableMirror(f"{path} cannot be read ({error.strerror}). Check its owner and permissions.") from None
    if head[_MAGIC] != b"DUCK":
        looks = (
            "is empty" if not head else "is a SQLite database" if head.startswith(b"SQLite format") else "is no mirror"
        )
        raise UnreadableMirror(f"{path} {looks}. It was left as it is: name another file, or move this one away.")
    if not read_only and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)):
        raise UnwritableMirror(
            f"{path} or its directory cannot be written by this user. Allow it, or run as the user who owns the mirror."
        )
    return True


def _refuse_to_open(path: str, error: duckdb.Error) -> NoReturn:
    text = str(error)
    if "set lock" in text or "different configuration" in text:
        holder = _PROCESS.search(text)
        who = f"another process ({holder['program']}, PID {holder['pid']})" if holder else "another process"
        if "different configuration" in text:
            who = "this process, opened in another way,"
        raise MirrorBusy(
            f"{path} is held by {who}. A DuckDB mirror has one writer, and nobody else can read it meanwhile: stop that "
            "process first, ask the running daemon over HTTP, or keep the mirror in PostgreSQL."
        ) from error
    if named := _named(path, error):
        raise named from error
    raise UnreadableMirror(f"{path} cannot be opened: {text.splitlines()[0]}") from error


def _named(path: str, error: duckdb.Error) -> MirrorError | None:
    """The error of the house for what a person can mend; None for mistakes in SQL."""
    text = str(error)
    if isinstance(error, (duckdb.IOException, duckdb.TransactionException)) and _FULL.search(text):
        return UnwritableMirror(
            f"{path} could not be written: the disk or the quota is full. Nothing half-written was kept. "
            "Free some room and start again: work goes on where it stood."
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return UnwritableMirror(
            f"{path}: the database ran out of memory, or of room for temporary files. Raise the memory limit, or free "
            "some disk, and start again: work goes on where it stood."
        )
    if isinstance(error, (duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)) or (
        isinstance(error, duckdb.IOException) and _DAMAGED.search(text)
    ):
        return UnreadableMirror(
            f"{path} is damaged: {text.splitlines()[0]} Put a backup in its place; or move it away and run b24metrics "
            "sync, which copies the portal anew (what was only observed here, such as who owned a deal when it was won, "
            "begins afresh)."
        )
    if isinstance(error, duckdb.ConnectionException) and "closed" in text:
        return MirrorError(f"{path}: the mirror is already closed.")
    return None
