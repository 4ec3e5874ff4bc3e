"""The mirror as a round sees it: catch up, tell how it stands, evaluate.

Laws: the past is copied beside the rounds, so that what is complete is served while the rest still comes; what is not
complete has no series (the evaluator sees to that); options may be replaced between two rounds, and the file of plans is
followed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from b24exporter.board import Board, FeedState, PortalFacts
from b24metrics.clock import Clock
from b24metrics.errors import ConfigError
from b24metrics.kpi.catalogue import KPIS
from b24metrics.kpi.evaluate import evaluate
from b24metrics.kpi.ground import Ground
from b24metrics.kpi.model import Kpi, Snapshot, Title
from b24metrics.kpi.options import KpiOptions
from b24metrics.mirror.feeds import Feed
from b24metrics.mirror.plans import load_plans, read_plans
from b24metrics.mirror.stores import Store
from b24metrics.mirror.sync import Progress, Report, Sync, status
from b24metrics.portal.limits import GateStats
from b24metrics.worktime import WorkClock

log = logging.getLogger(__name__)

#: Seconds after which a backfill that left something out is tried again.
RETRY_SECONDS = 600.0

#: Seconds that the first round gives a backfill to end: a small portal is complete at once.
FIRST_WAIT = 30.0

Meter = Callable[[], AbstractContextManager[Callable[[Progress], None]]]
"""Shows how a backfill gets on, for as long as the context lasts."""


def no_meter() -> AbstractContextManager[Callable[[Progress], None]]:
    """Shows nothing."""
    return nullcontext(lambda _: None)


class Mirrored:
    """A daemon's source. ``sync`` None: there is only a mirror, nothing is asked."""

    def __init__(
        self,
        store: Store,
        portal: str,
        feeds: Sequence[Feed],
        clock: Clock,
        board: Board,
        *,
        gate: Callable[[], GateStats] | None = None,
        meter: Meter = no_meter,
    ) -> None:
        self.portal = portal
        self.gate = gate
        self.options = KpiOptions()
        self.kpis: Sequence[Kpi] = tuple(KPIS.values())
        self.sync: Sync | None = None
        self.plans_file: Path | None = None
        self._store = store
        self._feeds = {feed.name: feed for feed in feeds}
        self._clock = clock
        self._board = board
        self._copying: asyncio.Task[Report] | None = None
        self._meter = meter
        self._show: Callable[[Progress], None] = lambda _: None
        self._complete = False
        self._tried_at: float | None = None
        self._plans_seen: tuple[Path, int, int] | None = None
        self._facts: PortalFacts | None = None
        self._company: WorkClock | None = None
        self._company_lock = threading.Lock()

    # ------------------------------------------------------------ catching up

    @property
    def has_portal(self) -> bool:
        """Whether there is a portal to speak to."""
        return self.sync is not None

    async def catch_up(self) -> None:
        """Copy what has changed; begin, or go on with, copying the past.

        Raises:
            B24Error: what concerns all feeds; failures of single feeds stand in their state.
        """
        assert self.sync is not None
        if self._copying is None and self._wants_backfill():
            self._tried_at = self._clock.monotonic()
            # Directories first: a win is frozen at the rate that is known when its deal is first read.
            await self.sync.round()
            self._copying = asyncio.create_task(self._copy(self.sync))
            await self._first_patience(self._copying)
        if self._copying is not None and self._copying.done():
            copied, self._copying = self._copying, None
            if copied.exception() is not None:
                self._tried_at = None  # whatever stopped it stops rounds too: the next one begins with it again
            report = copied.result()
            log.info("The past of the portal is copied: %d rows written.", sum(report.rows.values()))
        await self.sync.round()

    async def _copy(self, sync: Sync) -> Report:
        with self._meter() as self._show:
            return await sync.backfill()

    def _wants_backfill(self) -> bool:
        if self._complete:
            return False
        return self._tried_at is None or self._clock.monotonic() - self._tried_at >= RETRY_SECONDS

    async def _first_patience(self, copying: asyncio.Task[Report]) -> None:
        patience = asyncio.ensure_future(self._clock.asleep(FIRST_WAIT))
        try:
            await asyncio.wait({copying, patience}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            patience.cancel()

    def progress(self, stretch: Progress) -> None:
        """Say how far the backfill is; called in the event loop."""
        self._show(stretch)
        percent = 100 * stretch.all_rows // max(1, stretch.all_expected)
        rows = f"{stretch.all_rows:,}".replace(",", " "), f"{stretch.all_expected:,}".replace(",", " ")
        self._board.doing = Title(
            ru=f"копируем историю портала: {rows[0]} записей из примерно {rows[1]} ({percent} %)",
            en=f"copying the portal's past: {rows[0]} records of about {rows[1]} ({percent} %)",
        )

    async def close(self) -> None:
        """Let the backfill go; it goes on next time where it stood."""
        if self._copying is not None:
            self._copying.cancel()
            await asyncio.gather(self._copying, return_exceptions=True)
            self._copying = None

    # ------------------------------------------------------------ looking (in the worker thread)

    def feeds(self) -> tuple[FeedState, ...]:
        """How every feed stands."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        found = (
            self.sync.status()
            if self.sync is not None
            else status(self._store, self.portal, tuple(self._feeds.values()), now)
        )
        self._complete = all(one.backfilled for one in found if self._feeds[one.feed].backfills)
        return tuple(
            FeedState(
                name=one.feed,
                synced_at=None if one.synced_at is None else one.synced_at.timestamp(),
                rows=one.rows,
                error=one.error,
                pending=0 if one.backfilled else one.pending,
                every=self._feeds[one.feed].every.total_seconds(),
            )
            for one in found
        )

    def evaluate(self) -> Snapshot:
        """All KPIs at this moment."""
        self._follow_plans()
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        ground = Ground(self._store, self.portal, now, self.options)
        self._facts = PortalFacts(self.portal, ground.zone, ground.currency)
        with self._company_lock:
            self._company = ground.clocks.company
        return evaluate(self._store, self.portal, self.kpis, now=now, options=self.options)

    def _follow_plans(self) -> None:
        """Load the file of plans when it has changed; one that cannot be meant leaves the old plans in force."""
        path = self.plans_file
        if path is None or self.sync is None:  # a mirror alone is only read
            return
        try:
            stat = path.stat()
            seen = (path, stat.st_mtime_ns, stat.st_size)
        except OSError:
            seen = (path, 0, 0)
        if seen == self._plans_seen:
            return
        self._plans_seen = seen
        try:
            plans = read_plans(path)
        except ConfigError as error:
            log.error("The plans of before stay in force. %s", error)  # noqa: TRY400 - a typing mistake needs no traceback
        else:
            load_plans(self._store, self.portal, plans)
            log.info("%d plans loaded from %s.", len(plans), path)

    def facts(self) -> PortalFacts:
        """Of the portal, as the last evaluation saw it."""
        assert self._facts is not None, "facts are asked for after an evaluation"
        return self._facts

    def works_at(self, at: float) -> bool | None:
        """Whether the company works at an instant (epoch seconds); None before the first evaluation."""
        with self._company_lock:
            return None if self._company is None else self._company.is_working(at)
