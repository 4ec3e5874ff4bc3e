"""Keep the mirror in step with its portal: copy the past once, then only what has changed.

Laws: page → rows → cursor in one transaction (``ledger``), so a sync may be killed anywhere and goes on where it stood.
The portal's clock is the clock. Nothing is repeated here: the client does that. A feed that fails keeps its rows, its
cursor and its freshness, says why, and does not stop the others; only what concerns all of them is raised (a revoked
webhook, a portal that does not answer, a full disk).

Backfill and rounds may run side by side: from the moment a backfill is planned, rounds bring what changes after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from b24metrics.clock import Clock, SystemClock, machine_pause
from b24metrics.errors import ConfigError, MirrorError, NothingMirrored
from b24metrics.mirror.attached import Attachments
from b24metrics.mirror.backfill import Backfill, Progress
from b24metrics.mirror.census import Census
from b24metrics.mirror.desk import Client, Desk, Report, Run
from b24metrics.mirror.feed import Feed, Reloaded
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.lease import LEASE_SECONDS, Lease
from b24metrics.mirror.ledger import Ledger, State
from b24metrics.mirror.options import SweepOptions
from b24metrics.mirror.ranges import STREAMS, left
from b24metrics.mirror.rounds import Rounds
from b24metrics.mirror.stores import Store
from b24metrics.mirror.sweep import Findings, Sweep

__all__ = ["FeedStatus", "Progress", "Report", "Sync", "status", "which_portal"]


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How one feed stands.

    Attributes:
        rows: in the mirror, deleted ones not counted. backfilled: its past is complete. pending: rows of the past that
        are still expected, or owners that are still to be asked for. synced_at: portal's time of the last complete round. age_seconds: since then, by ``now``.
        unread: records that could not be read. error: why it is not up to date, or None.
        reconciled_at: portal's time of the last comparison of all ids. doubt: why what seems to be deleted there is
        kept here, or None. buried, healed: deletions, and lost records, that comparisons have found so far.
    """

    feed: str
    table: str
    rows: int
    backfilled: bool
    pending: int
    cursor_at: datetime | None
    cursor_id: int | None
    synced_at: datetime | None
    age_seconds: float | None
    unread: int
    error: str | None
    reconciled_at: datetime | None = None
    doubt: str | None = None
    buried: int = 0
    healed: int = 0


class Sync:
    """One portal and its mirror. Methods are coroutines; the database is written in a worker thread."""

    def __init__(
        self,
        client: Client,
        store: Store,
        *,
        portal: str,
        feeds: Sequence[Feed] | None = None,
        clock: Clock | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        zone: str | None = None,
        streams: int = STREAMS,
        sweeps: SweepOptions | None = None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """Bind a client to a mirror; nothing is asked or written yet.

        Args:
            client: an AsyncPortal.
            store: where the mirror lives; Sync is its only writer. Of several processes on one database only one keeps a
                portal (``mirror.lease``): the others' methods raise PortalKept.
            portal: the portal's name in the mirror.
            feeds: what to copy; default: ``feeds.standard()``.
            clock: the client's clock.
            on_progress: called in the event loop after every stretch of a backfill.
            zone: the portal's zone, for absences of whole days of people who set none; default UTC.
            streams: walks side by side per feed of a backfill.
            sweeps: when ids are compared with the portal's, to find what was deleted.
            lease_seconds: after which another process takes over, if this one dies; longer than from round to round.
        """
        self.feeds = tuple(standard() if feeds is None else feeds)
        self.portal = portal
        self._store = store
        self._lease = Lease(store, portal, seconds=lease_seconds)
        self._desk = Desk(client, Ledger(self._lease.store, portal), clock or SystemClock())
        attachments = Attachments(self._desk, self.feeds)
        self._backfill = Backfill(
            self._desk, self.feeds, attachments, zone=zone, streams=streams, on_progress=on_progress
        )
        self._rounds = Rounds(self._desk, self.feeds, attachments, zone=zone)
        self._sweep = Sweep(self._desk, self.feeds, sweeps, zone=zone)

    async def catch_up(self) -> Report:
        """Bring a mirror of any age up to date: directories first, then the past, then what has changed meanwhile.

        Raises:
            as ``backfill``.
        """
        reports = [await self.round(), await self.backfill(), await self.round()]
        rows = _sum(report.rows for report in reports)
        return Report(
            reports[0].at,
            rows,
            {**reports[1].errors, **reports[2].errors},
            buried=_sum(report.buried for report in reports),
            healed=_sum(report.healed for report in reports),
            doubts={**reports[1].doubts, **reports[2].doubts},
        )

    async def backfill(self) -> Report:
        """Copy the past of every feed, newest first, or go on where an earlier backfill stood; then compare the ids.

        One request and no rows when there is nothing left to copy. A feed that fails is reported, the others go on; it
        is tried again by the next call. A mirror without directories gets them first, by a round: what is observed in
        deals reads the rates of currencies.

        Raises:
            NotAuthorised, PortalClosed, Unreachable: nothing more can be asked; what was written stays.
            UnwritableMirror, UnreadableMirror: nothing more can be written; what was written stays.
            PortalKept: another process keeps this portal.
            MirrorAway: the database server does not answer; the next call goes on where the mirror stands.
        """
        async with self._kept():
            return await self._copy()

    async def _copy(self) -> Report:
        known = await self._desk.write(self._desk.ledger.states)
        directories = [feed.name for feed in self.feeds if isinstance(feed.kind, Reloaded)]
        if directories and not any(name in known for name in directories):
            await self._rounds.run()
        report = await self._backfill.run()
        states = await self._desk.write(self._desk.ledger.states)
        unsure = [
            feed
            for feed in self.feeds
            if feed.name in states and states[feed.name].backfilled_at and not states[feed.name].reconciled_at
        ]
        return await self._with_findings(report, lambda run: self._sweep.verify(run, unsure))

    async def round(self) -> Report:
        """Bring everything up to date. Feeds whose past has not been planned yet are left to ``backfill``.

        When it is time, a step of the search for deletions follows: a request or two.

        Raises:
            as ``backfill``.
        """
        async with self._kept():
            return await self._with_findings(await self._rounds.run(), self._sweep.step)

    async def sweep(self) -> Report:
        """Compare all ids with the portal's now.

        Raises:
            as ``backfill``.
        """
        async with self._kept():
            states = await self._desk.write(self._desk.ledger.states)
            copied = [feed for feed in self.feeds if feed.name in states and states[feed.name].backfilled_at]
            report = Report(self._desk.portal_now(), {}, {})
            return await self._with_findings(report, lambda run: self._sweep.verify(run, copied))

    @asynccontextmanager
    async def _kept(self) -> AsyncIterator[None]:
        """Hold the portal's lease, and renew it while the portal lets us wait."""
        await self._desk.write(self._lease.hold)
        beating = asyncio.create_task(self._beat()) if self._lease.needed else None
        try:
            yield
        finally:
            if beating is not None:
                beating.cancel()

    async def _beat(self) -> None:
        while True:
            # Real seconds: the lease is by the database's clock, which no clock of ours can move.
            await machine_pause(self._lease.seconds / 3)
            with suppress(MirrorError):  # whoever writes next is told
                await self._desk.write(self._lease.hold)

    async def _with_findings(self, report: Report, search: Callable[[Run], Awaitable[Findings]]) -> Report:
        run = Run(report.at, self._desk.clock.monotonic(), dict(report.rows), dict(report.errors))
        found = await search(run)
        return replace(run.report, buried=found.buried, healed=found.healed, doubts=found.doubts)

    def status(self) -> list[FeedStatus]:
        """How every feed stands; reads the mirror only."""
        return status(self._store, self.portal, self.feeds, self._desk.portal_now())


def status(store: Store, portal: str, feeds: Sequence[Feed], now: datetime) -> list[FeedStatus]:
    """How every feed of a portal stands at the instant ``now``. Needs no client: a read-only store will do."""
    ledger = Ledger(store, portal)
    states, ranges, unread, owing = ledger.states(), ledger.ranges(), ledger.unread(), ledger.owing()
    swept = Census(ledger).standings(feeds)
    found = []
    for feed in feeds:
        state = states.get(feed.name, State(feed.name))
        found.append(
            FeedStatus(
                feed=feed.name,
                table=feed.table.name,
                rows=state.row_count or 0,
                backfilled=state.backfilled_at is not None,
                pending=owing.get(feed.name, 0) + sum(left(one) for one in ranges if one.feed == feed.name),
                cursor_at=state.cursor_at,
                cursor_id=state.cursor_id,
                synced_at=state.synced_at,
                age_seconds=None if state.synced_at is None else (now - state.synced_at).total_seconds(),
                unread=unread.get(feed.name, 0),
                error=state.error,
                reconciled_at=state.reconciled_at,
                doubt=swept[feed].doubt,
                buried=swept[feed].buried,
                healed=swept[feed].healed,
            )
        )
    return found


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return total


def which_portal(store: Store, wanted: str | None = None) -> str:
    """The portal to serve from a mirror.

    Raises:
        NothingMirrored: it holds none, or not the wanted one. ConfigError: it holds several and none was named.
    """
    found = [str(name) for (name,) in store.rows("SELECT portal FROM portals ORDER BY portal")]
    if not found:
        raise NothingMirrored("The mirror is empty: run b24metrics sync first.")
    if wanted is None and len(found) > 1:
        raise ConfigError(f"The mirror holds several portals: name one of {', '.join(found)} with --portal.")
    if wanted is not None and wanted not in found:
        raise NothingMirrored(f"The mirror has no portal {wanted!r}: it has {', '.join(found)}.")
    return wanted or found[0]
