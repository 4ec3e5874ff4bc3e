"""The round: catch up with the portal, evaluate, print, put up; again and again.

Laws: rounds follow one another and never overlap; a notice of the portal begins the next one early, and while figures are
being computed it brings the mirror up to date; what computes does so in one worker thread, so that scrapes are
answered meanwhile; an edition is put up whole by one assignment; a round that fails leaves the last edition where it is
and says why; an edition without a single figure is not put up, so that nobody reads "no data" as "no sales".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from b24exporter.board import Board, Edition, FeedState, PortalFacts
from b24exporter.publication import Publication
from b24exporter.push import Bell
from b24metrics.clock import Clock
from b24metrics.errors import B24Error, MirrorError, PortalKept
from b24metrics.exposition.families import collect
from b24metrics.exposition.text import Family, Renderer, fit
from b24metrics.kpi.model import Kpi, Title
from b24metrics.kpi.results import Snapshot

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Least rest between two rounds, so that an interval shorter than a round does not become a busy loop.
LEAST_REST = 1.0

#: Rest after figures, in multiples of the time that they took, before a notice may ask for new ones.
FIGURES_REST = 2.0

_BEGINNING = Title("читаем портал и считаем показатели", "reading the portal and computing the KPIs")


class Source(Protocol):
    """The mirror as a round sees it. Everything but ``catch_up`` blocks and is called in the worker thread."""

    @property
    def has_portal(self) -> bool:
        """Whether there is a portal to speak to, or only a mirror."""
        ...

    async def catch_up(self) -> None:
        """Copy what is missing. Raises a B24Error when that concerns everything."""
        ...

    def feeds(self) -> tuple[FeedState, ...]: ...

    def facts(self) -> PortalFacts: ...

    def evaluate(self) -> Snapshot:
        """All KPIs at this moment."""
        ...

    def freeze(self) -> None:
        """Write down what months that are over have come to, where that is due."""
        ...


@dataclass(frozen=True, slots=True)
class RoundOptions:
    """``interval``: seconds from one round's beginning to the next. ``extra``: families that change with settings only."""

    interval: float
    max_series: int
    kpis: Sequence[Kpi]
    extra: tuple[Family, ...] = ()


class Daemon:
    """Runs rounds until it is cancelled; close it afterwards."""

    def __init__(
        self, board: Board, source: Source, clock: Clock, options: RoundOptions, bell: Bell | None = None
    ) -> None:
        self.options = options
        self._bell = bell or Bell()
        self._behind = False  # the mirror has moved on since the figures of the last round
        self._board = board
        self._source = source
        self._clock = clock
        self._renderer = Renderer()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="b24-round")
        self._seconds: dict[str, float] = {}
        self._unfrozen: str | None = None  # why closed months could not be written down

    async def run(self) -> None:
        """Rounds for ever, ``interval`` apart, or as soon as the bell rings."""
        self._board.doing = _BEGINNING
        while True:
            began = self._clock.monotonic()
            self._bell.muffle()
            await self.round()
            await self._rest(began)

    async def _rest(self, began: float) -> None:
        """Until the next round is due, or the bell has rung; a little in any case.

        A bell always brings the mirror up to date. New figures follow at once only where they are cheap: a portal in full
        swing must not keep a core computing without a pause.
        """
        clock, due = self._clock, began + self.options.interval
        figures_due = min(due, clock.monotonic() + FIGURES_REST * self._computing)
        asked = began
        while self._behind or await self._rings_within(max(LEAST_REST, due - clock.monotonic())):
            await clock.asleep(max(LEAST_REST, asked + self._bell.rest - clock.monotonic()))
            if clock.monotonic() >= figures_due:
                return
            self._behind = False
            asked = clock.monotonic()
            self._bell.muffle()
            with suppress(B24Error):  # the next round meets the same trouble and tells of it
                await self._source.catch_up()

    @property
    def _computing(self) -> float:
        """Seconds that the last figures took."""
        return self._seconds.get("evaluate", 0.0) + self._seconds.get("render", 0.0)

    async def _rings_within(self, pause: float) -> bool:
        """Whether the bell rings before the pause is over."""
        return self._bell.has_rung or await self._first(self._bell.heard(), self._clock.asleep(pause)) == 0

    async def _first(self, *waits: Awaitable[object]) -> int:
        """Which of these is over first; the others are let go."""
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(n for n, task in enumerate(tasks) if task.done())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def round(self) -> bool:
        """One round. False when it failed; the reason is on the board."""
        board = self._board
        failure: str | None = None
        try:
            failure = await self._catch_up()
            # With nothing to show yet, an old mirror is better than an empty screen: its lag and the failure stand beside
            # the figures.
            if failure is None or board.edition is None:
                fresh = failure is None and self._source.has_portal and board.keeper is None
                edition = await self._attended(self._in_worker(lambda: self._compose(fresh=fresh)))
                if edition.snapshot.samples or board.edition is not None:
                    board.edition = edition
                if fresh:
                    await self._freeze()
        except B24Error as error:
            failure = failure or str(error)  # what the portal refused explains what the mirror lacks
        except Exception:
            log.exception("A round failed inside; the figures of the last good one stay.")
            failure = "The exporter failed inside: please report what its log says."
        if failure is not None and failure != board.failure:
            log.warning("Round failed: %s", failure)
        elif failure is None and board.failure is not None:
            log.info("Rounds succeed again.")
        board.failure = failure
        board.seconds = dict(self._seconds)
        outcome = "good" if failure is None else "failed"
        board.rounds = {**board.rounds, outcome: board.rounds.get(outcome, 0) + 1}
        return failure is None

    async def close(self) -> None:
        """Wait for what is being computed; the thread ends."""
        await asyncio.get_running_loop().run_in_executor(None, self._worker.shutdown)

    # ------------------------------------------------------------ the phases

    async def _catch_up(self) -> str | None:
        """Speak to the portal, then look how the mirror stands. Returns why it could not be brought up to date."""
        board, source = self._board, self._source
        failure = None
        if source.has_portal:
            began = self._clock.monotonic()
            try:
                await source.catch_up()
                self._stand_by(None)
            except PortalKept as kept:
                self._stand_by(kept)  # its mirror is as good as ours: figures go on
            except MirrorError:
                raise  # nothing can be read or written: the portal is not to blame
            except B24Error as error:
                failure = str(error)
            self._seconds["sync"] = self._clock.monotonic() - began
            board.portal_up = failure is None
        board.feeds = await self._in_worker(source.feeds)
        return failure

    async def _attended(self, composing: Coroutine[object, object, Edition]) -> Edition:
        """The figures; a bell that rings while they are computed brings the mirror up to date at once."""
        self._behind = False
        figures = asyncio.ensure_future(composing)
        try:
            while not figures.done():
                if self._source.has_portal and await self._first(asyncio.shield(figures), self._bell.heard()) == 1:
                    self._bell.muffle()
                    self._behind = True
                    with suppress(B24Error):  # the next round meets the same trouble and tells of it
                        await self._source.catch_up()
                    await self._first(asyncio.shield(figures), self._clock.asleep(self._bell.rest))
                else:
                    await asyncio.wait({figures})
            return figures.result()
        except asyncio.CancelledError:
            figures.cancel()
            raise

    async def _freeze(self) -> None:
        """Closings of months; what goes wrong there costs no round, is told once and tried again."""
        trouble: str | None = None
        try:
            await self._in_worker(self._source.freeze)
        except B24Error as error:
            trouble = str(error)
        except Exception as error:  # figures that are up must not fall with it
            trouble = f"{type(error).__name__} inside; please report it."
            log.debug("Closings of months failed.", exc_info=True)
        if trouble is not None and trouble != self._unfrozen:
            log.warning("Closed months could not be written down: %s", trouble)
        self._unfrozen = trouble

    def _stand_by(self, kept: PortalKept | None) -> None:
        """Say it when another process begins to keep the portal, or leaves it to this one."""
        before, holder = self._board.keeper, None if kept is None else kept.holder
        if kept is not None and holder != before:
            log.warning("%s", kept)
        elif kept is None and before is not None:
            log.warning("This process keeps the portal now, in the place of %s.", before)
        self._board.keeper = holder

    def _compose(self, *, fresh: bool) -> Edition:
        """Evaluate and print, in the worker thread. ``fresh``: the mirror has just been brought up to date."""
        options = self.options
        began = self._clock.monotonic()
        snapshot = self._source.evaluate()
        evaluated = self._clock.monotonic()
        self._seconds["evaluate"] = evaluated - began
        collection = collect(snapshot, options.kpis)
        kept, over = fit([*collection.families, *options.extra], options.max_series)
        dropped: Mapping[tuple[str, str], int] = {
            **collection.dropped,
            **{(family, "budget"): count for family, count in over.items()},
        }
        now = self._clock.now()
        seen = [feed.synced_at for feed in self._board.feeds if feed.synced_at is not None]
        edition = Edition(
            at=now if fresh else max(seen, default=now),
            snapshot=snapshot,
            publication=Publication(self._renderer.text(kept)),
            portal=self._source.facts(),
            series=sum(len(family.series) for family in kept),
            dropped=dropped,
        )
        self._seconds["render"] = self._clock.monotonic() - evaluated
        if dropped and (self._board.edition is None or self._board.edition.dropped != dropped):
            log.warning(
                "Series left out: %s", ", ".join(f"{f} ({why}): {n}" for (f, why), n in sorted(dropped.items()))
            )
        return edition

    async def _in_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)
