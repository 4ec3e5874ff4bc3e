"""The mirror as a round sees it: catch up, tell how it stands, evaluate.

Laws: the past is copied beside the rounds, so that what is complete is served while the rest still comes; what is not
complete has no series (the evaluator sees to that); options may be replaced between two rounds; the files of plans and
of other numbers are followed, and one that cannot be meant leaves in force what was loaded before.
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
from b24metrics.kpi.freezing import freeze
from b24metrics.kpi.ground import Ground
from b24metrics.kpi.model import Grain, Kpi, Title
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.results import Snapshot
from b24metrics.mirror.feed import Feed
from b24metrics.mirror.inputs import Input, load_inputs, read_files
from b24metrics.mirror.plans import load_plans, read_plans
from b24metrics.mirror.stores import Store
from b24metrics.mirror.sync import Progress, Report, Sync, status
from b24metrics.portal.limits import GateStats
from b24metrics.worktime import WorkClock

log = logging.getLogger(__name__)

#: Seconds after which a backfill that left something out is tried again.
RETRY_SECONDS = 600.0

#: Seconds after which a complete one is looked over: a scope may have been ticked since. One request.
REVIEW_SECONDS = 3600.0

#: Seconds between two looks for months to be closed. What is written does not depend on when.
FREEZE_SECONDS = 3600.0

#: Seconds that the first round gives a backfill to end: a small portal is complete at once.
FIRST_WAIT = 30.0

Meter = Callable[[], AbstractContextManager[Callable[[Progress], None]]]
"""Shows how a backfill gets on, for as long as the context lasts."""


def no_meter() -> AbstractContextManager[Callable[[Progress], None]]:
    """Shows nothing."""
    return nullcontext(lambda _: None)


_Look = tuple[Path, int, int]


def _look_at(path: Path) -> _Look:
    """What changes when a file does."""
    try:
        found = path.stat()
    except OSError:
        return path, 0, 0
    return path, found.st_mtime_ns, found.st_size


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
        self.inputs_files: tuple[Path, ...] = ()
        self._store = store
        self._feeds = {feed.name: feed for feed in feeds}
        self._clock = clock
        self._board = board
        self._copying: asyncio.Task[Report] | None = None
        self._meter = meter
        self._show: Callable[[Progress], None] = lambda _: None
        self._complete = False
        self._tried_at: float | None = None
        self._seen: dict[str, tuple[_Look, ...]] = {}
        self._held: frozenset[str] = frozenset()  # kinds of inputs that the files held
        self._frozen_at: float | None = None
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
            if rows := sum(report.rows.values()):
                log.info("The past of the portal is copied: %d rows written.", rows)
        await self.sync.round()

    async def _copy(self, sync: Sync) -> Report:
        with self._meter() as self._show:
            return await sync.backfill()

    def _wants_backfill(self) -> bool:
        pause = REVIEW_SECONDS if self._complete else RETRY_SECONDS
        return self._tried_at is None or self._clock.monotonic() - self._tried_at >= pause

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
                reconciled_at=None if one.reconciled_at is None else one.reconciled_at.timestamp(),
                doubt=one.doubt,
                buried=one.buried,
                healed=one.healed,
            )
            for one in found
        )

    def evaluate(self) -> Snapshot:
        """All KPIs at this moment."""
        self._follow_files()
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        ground = Ground(self._store, self.portal, now, self.options)
        self._facts = PortalFacts(self.portal, ground.zone, ground.currency)
        with self._company_lock:
            self._company = ground.clocks.company
        return evaluate(self._store, self.portal, self.kpis, now=now, options=self.options)

    def _follow_files(self) -> None:
        """Load plans and inputs when their files have changed."""
        if self.sync is None or self._board.keeper is not None:  # this process only reads
            return
        if self.plans_file is not None:
            self._follow("plans", (self.plans_file,), self._load_plans)
        if self.inputs_files:
            self._follow("inputs", self.inputs_files, self._load_inputs)

    def _follow(self, what: str, paths: tuple[Path, ...], load: Callable[[], int]) -> None:
        """Load files that look otherwise than last time; what is wrong with them is told once."""
        looks = tuple(map(_look_at, paths))
        if looks == self._seen.get(what):
            return
        try:
            count = load()
        except ConfigError as error:
            log.error("The %s of before stay in force. %s", what, error)  # noqa: TRY400 - a typing mistake needs no traceback
        else:
            log.info("%d %s loaded from %s.", count, what, ", ".join(map(str, paths)))
        self._seen[what] = looks

    def _load_plans(self) -> int:
        assert self.plans_file is not None
        plans = read_plans(self.plans_file)
        load_plans(self._store, self.portal, plans)
        return len(plans)

    def _load_inputs(self) -> int:
        found = read_files(self.inputs_files)
        gone: dict[str, list[Input]] = {kind: [] for kind in self._held - found.keys()}
        count = load_inputs(self._store, self.portal, {**gone, **found}, replace=True)
        self._held = frozenset(found)
        return count

    def freeze(self) -> None:
        """Write down what months that are over have come to, where that is due; looks once an hour."""
        if self._frozen_at is not None and self._clock.monotonic() - self._frozen_at < FREEZE_SECONDS:
            return
        self._frozen_at = self._clock.monotonic()
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        if count := freeze(self._store, self.portal, now=now, options=self.options):
            log.info("%d values of closed months written down.", count)

    @property
    def complete(self) -> bool:
        """Whether the past of the portal is copied, as far as it may be read; true where there is only a mirror."""
        return self.sync is None or (self._tried_at is not None and self._copying is None)

    def as_of(self, moment: datetime, grains: Sequence[Grain]) -> Snapshot:
        """All KPIs as of a past instant, in some cuts."""
        return evaluate(self._store, self.portal, self.kpis, grains=grains, now=moment, options=self.options)

    def facts(self) -> PortalFacts:
        """Of the portal, as the last evaluation saw it."""
        assert self._facts is not None, "facts are asked for after an evaluation"
        return self._facts

    def works_at(self, at: float) -> bool | None:
        """Whether the company works at an instant (epoch seconds); None before the first evaluation."""
        with self._company_lock:
            return None if self._company is None else self._company.is_working(at)
