"""A mirror in PostgreSQL, which several processes share.

Laws: as ``DuckStore`` for whoever uses it; statements come in DuckDB's dialect and are carried. A transaction sees one
state of the database (REPEATABLE READ). A connection that broke is never used again, and a transaction never goes on on
another one: it fails in one sentence, nothing of it was written, and the next one has a new connection. The address is a
secret: nothing here prints more of it than host and database, and no sentence of the driver is quoted before it was cut.

Each thread has a connection of its own, closed when the thread ends; sessions speak UTC and leave temporary tables to
nobody else. A program that stops in the middle of a transaction is cut off by the server after two minutes.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from b24metrics.errors import (
    ConfigError,
    MirrorAway,
    MirrorBusy,
    MirrorError,
    NothingMirrored,
    UnreadableMirror,
    UnwritableMirror,
)
from b24metrics.mirror.place import shown
from b24metrics.mirror.rows import page_of_mappings
from b24metrics.mirror.schema import TABLES, Table
from b24metrics.mirror.stores import arrows
from b24metrics.mirror.stores.carry import SESSION, carried, parameter
from b24metrics.mirror.stores.patterns import as_postgres
from b24metrics.mirror.stores.upsert import upsert_sql
from b24metrics.mirror.stores.versions import VERSION_TABLE, pending

#: What a session needs, unless the address says otherwise. JIT costs more than it brings for statements of this size.
_SESSION = {
    "TimeZone": "UTC",
    "client_min_messages": "warning",
    "jit": "off",
    "work_mem": "64MB",
    "temp_buffers": "64MB",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "120s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_CONNECTION = {"connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
#: Collations that know letters beyond ASCII, the most exact first; every server has one of them.
_LETTERS = ("pg_c_utf8", "und-x-icu", "C.utf8", "en_US.utf8", "default")
_MIGRATING = 0x_B24_0001  # the advisory lock under which tables are made


class _Session:
    """One thread's connection, closed when the thread has ended and nobody can use it any more."""

    def __init__(self, connection: psycopg.Connection[Any], generation: int) -> None:
        self.connection = connection
        self.generation = generation

    def __del__(self) -> None:
        with suppress(Exception):
            self.connection.close()


class PostgresStore:
    """A mirror in the schema that the address leads to (``search_path``; usually ``public``)."""

    def __init__(self, address: str, *, read_only: bool = False) -> None:
        """Connect; a database without tables becomes a mirror.

        Args:
            address: ``postgresql://user:password@host:port/database?options``, as libpq reads it. The password may also
                come from ``PGPASSWORD`` or ``~/.pgpass``.
            read_only: for commands that only look: nothing is made or migrated, rows cannot be written. The role needs
                the right to make temporary tables.

        Raises:
            ConfigError: the address cannot be read.
            MirrorAway: there is no answer. NothingMirrored: there is no mirror to look at (read only).
            NewerMirror: made by a newer version. UnreadableMirror: another program's, or refused.
            UnwritableMirror: this user may not make tables there.
        """
        self._options = _options_of(address)
        # The last part tells a process from a predecessor that had the same number.
        self.holder: str | None = f"{socket.gethostname()}:{os.getpid()}/{secrets.token_hex(4)}"
        self.path = shown(address)
        self._read_only = read_only
        self._mine = threading.local()
        self._sessions: weakref.WeakSet[_Session] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False
        self._generation = 0
        self._letters = "default"
        try:
            with self._honest():
                self._prepare()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"PostgresStore({self.path!r})"

    # ------------------------------------------------------------ work

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        with self._honest():
            self._run(sql, params)

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._honest():
            return self._run(sql, params).fetchall()

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        with self._honest():
            connection = self._connection
            *before, question = self._written(connection, sql, params)
            for statement in before:
                connection.execute(statement)
            # Only the plain cursor brings results in binary, which are decoded three times as fast.
            return arrows.fetch(psycopg.Cursor(connection).execute(question, binary=True))

    def load(self, name: str, table: pa.Table) -> None:
        columns = ", ".join(f'"{field.name}" {arrows.sql_type(field.type)}' for field in table.schema)
        with self._honest():
            cursor = self._connection.cursor()
            cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{name}; CREATE TEMP TABLE {name} ({columns})".encode())
            arrows.copy_in(cursor, name, table)
            cursor.execute(f"ANALYZE {name}".encode())

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]] | pa.Table) -> int:
        page = rows if isinstance(rows, pa.Table) else page_of_mappings(table, rows)
        if self._read_only:
            raise MirrorError(f"{self.path} was opened for looking only.")
        if page.num_rows:
            connection = self._connection
            if connection.info.transaction_status == TransactionStatus.IDLE:
                with self.transaction():
                    self._upsert(table, page)
            else:
                self._upsert(table, page)
        return int(page.num_rows)

    def _upsert(self, table: Table, page: pa.Table) -> None:
        staged, names = f"mirror_staged_{table.name}", tuple(page.column_names)
        changed = [name for name in names if name not in table.primary_key]
        sql = upsert_sql(table, names, staged)
        if changed:
            # Rows that are read again mostly say the same: PostgreSQL would write each of them anew.
            old, new = (", ".join(f"{of}.{name}" for name in changed) for of in (table.name, "excluded"))
            sql += f" WHERE ({old}) IS DISTINCT FROM ({new})"
        with self._honest():
            cursor = self._connection.cursor()
            # Emptied by the commit; what an earlier upsert of the same transaction left is taken out here.
            cursor.execute(
                f"CREATE TEMP TABLE IF NOT EXISTS {staged} (LIKE {table.name}) ON COMMIT DELETE ROWS; DELETE FROM {staged}".encode()
            )
            arrows.copy_in(cursor, staged, page)
            cursor.execute(sql.encode())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._honest():
            self._begin()
        connection: psycopg.Connection[Any] = self._mine.session.connection
        try:
            yield
        except BaseException:
            # A connection that broke has taken everything back already.
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise
        with self._honest():
            connection.execute("COMMIT")

    @contextmanager
    def one_thread_each(self) -> Iterator[None]:
        """The server decides."""
        yield

    def checkpoint(self) -> None:
        """Let the planner know how much there is now."""
        for table in TABLES:
            self.execute(f"ANALYZE {table.name}")

    def close(self) -> None:
        """Close the connections of all threads; portals that this process kept are free at once."""
        mine: _Session | None = getattr(self._mine, "session", None)
        if (
            mine is not None
            and not self._read_only
            and mine.connection.info.transaction_status == TransactionStatus.IDLE
        ):
            with suppress(psycopg.Error):
                mine.connection.execute("DELETE FROM leases WHERE holder = %s", [self.holder])
        self._closed = True
        for session in list(self._sessions):
            with suppress(psycopg.Error):
                session.connection.close()

    def _run(self, sql: str, params: Sequence[Any]) -> psycopg.Cursor[Any]:
        connection = self._connection
        cursor = connection.cursor()
        for statement in self._written(connection, sql, params):
            cursor.execute(statement)
        return cursor

    def _written(self, connection: psycopg.Connection[Any], sql: str, params: Sequence[Any]) -> list[bytes]:
        """The carried statements, with their values as the driver quotes them."""
        found = carried(sql, self._letters)
        values = {
            parameter(n): as_postgres(value) if n in found.patterns and isinstance(value, str) else _kept(value)
            for n, value in enumerate(params)
        }
        cursor = psycopg.ClientCursor(connection)
        return [cursor.mogrify(statement.encode(), values).encode() for statement in found.statements]

    # ------------------------------------------------------------ connections

    @property
    def _connection(self) -> psycopg.Connection[Any]:
        """The connection of the calling thread: a good one, or, inside a transaction, the one that it began on."""
        session: _Session | None = getattr(self._mine, "session", None)
        if session is not None and session.connection.info.transaction_status in _UNDER_WAY:
            return session.connection
        if session is not None and session.generation != self._generation and not session.connection.closed:
            # Another thread's connection broke: this one has been idle and may be broken as well.
            try:
                session.connection.execute("SELECT 1")
                session.generation = self._generation
            except psycopg.Error:
                session.connection.close()
        if session is None or session.connection.closed:
            if self._closed:
                raise MirrorError(f"{self.path}: the mirror is already closed.")
            self._mine.session = session = self._connect()
        return session.connection

    def _begin(self) -> None:
        """Begin a transaction, on a new connection if the old one has broken while nobody used it."""
        connection = self._connection
        try:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        except psycopg.OperationalError:
            if not connection.closed:
                raise
            self._generation += 1
            self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")

    def _connect(self) -> _Session:
        options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
        given = {**_CONNECTION, "application_name": "b24metrics", **self._options}
        given["options"] = f"{options} {self._options.get('options', '')}".strip()
        # Values are written into the statement by the driver, which quotes them as libpq does: statements then need no
        # types for parameters, and several of them go in one message.
        connection = psycopg.connect(
            **given,
            autocommit=True,
            cursor_factory=psycopg.ClientCursor,
            prepare_threshold=None,
        )
        connection.execute("; ".join(SESSION))
        session = _Session(connection, self._generation)
        with self._lock:
            self._sessions.add(session)
        return session

    # ------------------------------------------------------------ opening

    def _prepare(self) -> None:
        """See what is there; make or migrate it, unless another process is just doing so."""
        connection = self._connection
        [(letters,)] = connection.execute(
            "SELECT collname FROM pg_collation WHERE collname = ANY(%s) AND collencoding IN (-1, pg_char_to_encoding(getdatabaseencoding())) "
            "ORDER BY array_position(%s, collname::text) LIMIT 1",
            [list(_LETTERS), list(_LETTERS)],
        ).fetchall()
        self._letters = letters
        [(schema, encoding)] = connection.execute("SELECT current_schema(), getdatabaseencoding()").fetchall()
        if schema is None:
            raise UnreadableMirror(
                f"{self.path}: the schemas of its search_path do not exist. Make one (CREATE SCHEMA b24), or name another."
            )
        if encoding != "UTF8":
            raise UnreadableMirror(
                f"{self.path} keeps its texts in {encoding}, which has no room for many of a portal's. "
                "Make a database with ENCODING 'UTF8'."
            )
        if self._read_only:
            found, tables = self._look(connection)
            if found is None and not tables:
                raise NothingMirrored(
                    f"{self.path}: there is no mirror yet. Make it with b24metrics sync, or check the address."
                )
            pending(self.path, found, tables, read_only=True)
            return
        while self._migrate_once():
            pass

    def _migrate_once(self) -> bool:
        """Carry out the next migration that is pending, in one transaction. False when there is none."""
        connection = self._connection
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(current_schema()))", [_MIGRATING])
            found, tables = self._look(connection)
            todo = pending(self.path, found, tables, read_only=False)
            if not todo:
                return False
            version, statements = todo[0]
            connection.execute(f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version INTEGER NOT NULL)".encode())
            for statement in statements:
                connection.execute(statement.replace(" VARCHAR", ' VARCHAR COLLATE "C"').encode())
            connection.execute(f"INSERT INTO {VERSION_TABLE} VALUES ({version})".encode())
        return True

    @staticmethod
    def _look(connection: psycopg.Connection[Any]) -> tuple[int | None, frozenset[str]]:
        """The last migration that was carried out, and all tables of the schema."""
        found = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        ).fetchall()
        tables = frozenset(str(name) for (name,) in found)
        if VERSION_TABLE not in tables:
            return None, tables
        [(version,)] = connection.execute(f"SELECT coalesce(max(version), 0) FROM {VERSION_TABLE}".encode()).fetchall()
        return int(version), tables

    # ------------------------------------------------------------ what a person can mend

    @contextmanager
    def _honest(self) -> Iterator[None]:
        """Let mistakes in SQL pass as they are, and name what a person can mend."""
        try:
            yield
        except psycopg.Error as error:
            session: _Session | None = getattr(self._mine, "session", None)
            broken = session is not None and session.connection.closed
            if broken:
                self._generation += 1
            if named := self._named(error, broken=broken or session is None):
                raise named from None  # the driver's error keeps the connection, and with it the password
            raise

    def _named(self, error: psycopg.Error, *, broken: bool) -> MirrorError | None:
        where, said = self.path, _first_line(error)
        match error:
            case _ if isinstance(error, pg.DiskFull) or _FULL.search(said):
                return UnwritableMirror(
                    f"{where} could not be written: the database server's disk or quota is full ({said}). "
                    "Nothing half-written was kept. Free some room there: work goes on where it stood."
                )
            case pg.OutOfMemory() | pg.ConfigurationLimitExceeded():
                return UnwritableMirror(f"{where}: the database server ran out of memory ({said}). Give it more.")
            case pg.TooManyConnections():
                return MirrorBusy(
                    f"{where} takes no more connections. Raise its max_connections, or stop other programs."
                )
            case pg.InvalidPassword() | pg.InvalidAuthorizationSpecification() | pg.InvalidCatalogName():
                return UnreadableMirror(
                    f"{where} refuses us: {said}. Check user, password and database in the address."
                )
            case pg.InsufficientPrivilege():
                return UnwritableMirror(f"{where}: {said}. Grant it to the user of the address (GRANT … ON SCHEMA …).")
            case pg.ReadOnlySqlTransaction():
                return UnwritableMirror(
                    f"{where} takes no changes: it is a standby, or set to read only. Name its primary."
                )
            case pg.SerializationFailure() | pg.DeadlockDetected() | pg.LockNotAvailable():
                return MirrorBusy(
                    f"{where}: another process was changing the same rows. Nothing half-written was kept; try again."
                )
            case pg.DataCorrupted() | pg.IndexCorrupted():
                return UnreadableMirror(f"{where} is damaged: {said}. Put a backup in its place.")
            case psycopg.OperationalError() if _REFUSED.search(said):
                return UnreadableMirror(
                    f"{where} refuses us: {said}. Check user, password and database in the address."
                )
            case psycopg.OperationalError() | psycopg.InterfaceError() if broken:
                return MirrorAway(
                    f"{where} does not answer ({said}). Nothing half-written was kept; "
                    "as soon as the database server runs again, work goes on where it stood."
                )
            case pg.IoError() | pg.SystemError():
                return UnwritableMirror(f"{where}: the database server cannot use its disk ({said}). See its log.")
            case _:
                return None


_FULL = re.compile(r"No space left|File too large|[Qq]uota exceeded")
#: What the server says to a connection that it will not have; libpq gives no code with it.
_REFUSED = re.compile(
    r"authentication failed|no password supplied|does not exist|not permitted to log in|no pg_hba.conf"
)
_UNDER_WAY = {TransactionStatus.ACTIVE, TransactionStatus.INTRANS, TransactionStatus.INERROR}


def _options_of(address: str) -> dict[str, Any]:
    try:
        found = dict(conninfo_to_dict(address))
    except psycopg.Error:
        found = None  # the driver quotes the address, password and all
    # A password with a bare @ in it ends where the host seems to begin.
    if found is None or "@" in str(found.get("host", "")) or not str(found.get("port", "1")).replace(",", "").isdigit():
        raise ConfigError(
            "The mirror's address cannot be read: write postgresql://user:password@host:5432/database, with %40 for @ and "
            "%2F for / inside user or password."
        )
    return found


def _first_line(error: psycopg.Error) -> str:
    """What the server said, without what it quotes: its detail lines hold values of rows."""
    told = error.diag.message_primary or (str(error).strip().splitlines() or ["no reason given"])[0]
    return told.removeprefix("connection failed: ").rstrip(".")


def _kept(value: Any) -> Any:
    """A value as PostgreSQL can hold it."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
