"""Which process keeps a portal's mirror up to date, where several processes share a database.

Laws: at most one process writes a portal's rows at a time. A lease is a row (portal, holder, until) by the database's own
clock, which all of them share; it lapses when it is not renewed, and whoever comes next takes it. Every transaction that
writes renews it first and thereby locks its row: while it runs nobody can take the lease away, and the transaction of a
holder whose lease has lapsed is refused before it writes anything. A clock that was set back makes no lease longer.

A mirror in a DuckDB file needs none: the file has one writer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from b24metrics.errors import MirrorBusy, PortalKept
from b24metrics.mirror.schema import Table
from b24metrics.mirror.stores import Store

#: Seconds after which a lease that was not renewed lapses.
LEASE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who keeps a portal. ``holder``: host and process; ``until``: when the lease lapses unless it is renewed."""

    holder: str
    until: datetime


def keeper(store: Store, portal: str) -> Keeper | None:
    """Who keeps a portal in step at this moment; None for nobody (or a mirror that needs no lease)."""
    if store.holder is None:
        return None
    found = store.rows(f"SELECT holder, until FROM leases WHERE portal = ? AND NOT ({_LAPSED})", [portal])
    return Keeper(_person(found[0][0]), found[0][1]) if found else None


class Lease:
    """The right of one process to write one portal's rows, and the store through which it does."""

    def __init__(self, store: Store, portal: str, *, seconds: float = LEASE_SECONDS) -> None:
        """Nothing is taken yet.

        Args:
            store: where the mirror lives.
            portal: the portal's name in the mirror.
            seconds: how long the lease lasts without being renewed.
        """
        self.portal = portal
        self.seconds = seconds
        self.holder = store.holder or ""
        self.needed = store.holder is not None
        self.store: Store = _Guarded(store, self) if self.needed else store
        self._inner = store

    def hold(self) -> None:
        """Take the lease, or renew it.

        Raises:
            PortalKept: another process has it.
        """
        if not self.needed:
            return
        try:
            held = self._inner.rows(_HOLD, [self.portal, self.holder, self.seconds])
        except MirrorBusy:  # its holder is just writing
            held = []
        if not held:
            raise self._kept()

    def renew(self) -> None:
        """Renew the lease inside a transaction that writes, which then nobody can take it away from.

        Raises:
            PortalKept: it has lapsed or was taken; nothing may be written.
        """
        if not self._inner.rows(_RENEW, [self.seconds, self.portal, self.holder]):
            raise self._lost()

    def release(self) -> None:
        """Let it go, so that another process need not wait until it lapses."""
        if self.needed:
            self._inner.execute("DELETE FROM leases WHERE portal = ? AND holder = ?", [self.portal, self.holder])

    def _kept(self) -> PortalKept:
        found = self._inner.rows("SELECT holder, until FROM leases WHERE portal = ?", [self.portal])
        holder, until = found[0] if found else ("another process", None)
        when = f" until {until.astimezone(UTC):%H:%M:%S} UTC, unless it renews its lease" if until else ""
        return PortalKept(
            f"{self.portal} is kept by {_person(holder)}{when}. "
            "This process stands by and takes over when that one stops.",
            portal=self.portal,
            holder=_person(holder),
            until=until,
        )

    def _lost(self) -> PortalKept:
        return PortalKept(
            f"The lease on {self.portal} lapsed before this process came to write (it was suspended, or the database "
            "was away). Nothing was written; the next round goes on where the mirror stands.",
            portal=self.portal,
            holder=_person(self.holder),
        )


class _Guarded:
    """A store whose transactions are refused unless the lease is held."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self.holder = store.holder
        self._store = store
        self._lease = lease

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        self._store.execute(sql, params)

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._store.rows(sql, params)

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        return self._store.arrow(sql, params)

    def load(self, name: str, table: pa.Table) -> None:
        self._store.load(name, table)

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]] | pa.Table) -> int:
        return self._store.upsert(table, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._store.transaction():
            self._lease.renew()
            yield

    @contextmanager
    def one_thread_each(self) -> Iterator[None]:
        with self._store.one_thread_each():
            yield

    def checkpoint(self) -> None:
        self._store.checkpoint()

    def close(self) -> None:
        self._store.close()


def _person(holder: str) -> str:
    return holder.partition("/")[0]


# A lease that seems to have been renewed in the future is one from before the clock was set back.
_LAPSED = "until <= clock_timestamp() OR renewed_at > clock_timestamp()"

_HOLD = """
INSERT INTO leases (portal, holder, renewed_at, until)
SELECT p.portal, p.holder, clock_timestamp(), clock_timestamp() + p.seconds * INTERVAL '1 second'
FROM (SELECT CAST(? AS VARCHAR) AS portal, CAST(? AS VARCHAR) AS holder, ? AS seconds) AS p
ON CONFLICT (portal) DO UPDATE SET holder = excluded.holder, renewed_at = excluded.renewed_at, until = excluded.until
WHERE leases.holder = excluded.holder OR leases.until <= clock_timestamp() OR leases.renewed_at > clock_timestamp()
RETURNING holder
"""

_RENEW = """
UPDATE leases SET renewed_at = clock_timestamp(), until = clock_timestamp() + ? * INTERVAL '1 second'
WHERE portal = ? AND holder = ? AND until > clock_timestamp()
RETURNING holder
"""
