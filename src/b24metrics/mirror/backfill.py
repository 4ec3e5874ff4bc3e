"""Copy the past: plan it once, then work through ranges of ids, newest first.

Laws: the plan is kept in the mirror before the first record is asked for, and every stretch is written together with
how far its range has come; so a backfill that is killed goes on where it stood. From the moment it is planned, rounds
are responsible for what changes: nothing that happens meanwhile is missed, in whatever order things are read.
A range is walked one request at a time, each sized by what is still expected, so that few commands run into emptiness.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from b24metrics.crm import directories, people, probe
from b24metrics.errors import B24Error
from b24metrics.mirror.desk import Desk, Report, Run, together
from b24metrics.mirror.feeds import Changed, Feed, tolerant
from b24metrics.mirror.ledger import State
from b24metrics.mirror.ranges import BATCHFUL, Range, Sample, left, plan, sample_points
from b24metrics.portal.dialects import PAGE, dialect_of, first_id_request, last_id_request, page_request
from b24metrics.portal.limits import Lane
from b24metrics.portal.request import Listing, Page, Request

STREAMS = 2
"""Walks side by side per feed: one fills the waits of the other; more would only reach the method's budget sooner."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill is.

    Attributes:
        feed: the one that has just come further. rows, expected: of this feed. all_rows, all_expected: of all feeds.
        rows_per_second: of this run, all feeds together. eta_seconds: None until it can be told.
    """

    feed: str
    rows: int
    expected: int
    all_rows: int
    all_expected: int
    rows_per_second: float
    eta_seconds: float | None


class Backfill:
    """One run of a backfill."""

    def __init__(
        self,
        desk: Desk,
        feeds: Sequence[Feed],
        *,
        zone: str | None = None,
        streams: int = STREAMS,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self._desk = desk
        self._ledger = desk.ledger
        self._feeds = feeds
        self._zone = zone
        self._streams = max(1, streams)
        self._on_progress = on_progress

    async def run(self) -> Report:
        """Plan what is not planned, copy what is not copied."""
        desk, ledger = self._desk, self._ledger
        run = await self._meet()
        await self._plan(run)
        states, ranges = await desk.write(ledger.states), await desk.write(ledger.ranges)
        board = _Board(ranges, desk.clock.monotonic())
        work = {
            feed: deque(one for one in ranges if one.feed == feed.name and one.done_id < one.last_id)
            for feed in self._feeds
            if feed.name in states and states[feed.name].backfilled_at is None
        }
        await together(desk.isolated(feed, run, self._copy(feed, run, queue, board)) for feed, queue in work.items())
        if run.rows:
            await desk.write(ledger.store.checkpoint)
        return run.report

    async def _meet(self) -> Run:
        """Meet the portal: its time, and what it says of itself."""
        asked: dict[str, Request[Any]] = {
            "now": probe.server_time(),
            "base_currency": directories.base_currency(),
            "crm_mode": directories.crm_mode(),
            "profile": people.profile(),
        }
        told, refused = await self._desk.ask(asked)
        run = self._desk.begin(told, refused)
        facts = {
            "host": self._desk.client.host,
            "user_id": told["profile"].id if "profile" in told else None,
            "base_currency": told.get("base_currency"),
            "crm_mode": told.get("crm_mode"),
            "zone": self._zone,
        }
        await self._desk.write(self._ledger.acquaint, run.at, facts)
        return run

    # ------------------------------------------------------------ planning

    async def _plan(self, run: Run) -> None:
        """Plan the backfill of feeds that have none: two requests for all of them together."""
        desk, ledger = self._desk, self._ledger
        states = await desk.write(ledger.states)
        fresh = [feed for feed in self._feeds if feed.backfills and not _begun(states.get(feed.name))]
        edges = await self._ask_of(
            run,
            fresh,
            {
                f"{feed.name}.{edge}": ask(feed.listing)
                for feed in fresh
                for edge, ask in (("first", first_id_request), ("last", last_id_request))
            },
        )
        spans = {
            feed: (edges[f"{feed.name}.first"], edges[f"{feed.name}.last"])
            for feed in fresh
            if feed.name not in run.errors
        }
        points = {
            f"{feed.name}.{point}": (feed, point)
            for feed, (first, last) in spans.items()
            if first is not None
            for point in sample_points(first, last)
        }
        pages = await self._ask_of(
            run,
            fresh,
            {
                key: page_request(_lean(feed.listing).after(point).upto(spans[feed][1]))
                for key, (feed, point) in points.items()
            },
        )
        for feed, (first, last) in spans.items():
            if feed.name in run.errors:
                continue
            samples = [_sample(pages[key], at, last) for key, (owner, at) in points.items() if owner is feed]
            ranges = [] if first is None else plan(feed.name, first, last, samples)
            await desk.write(ledger.begin, feed, run.at, last, ranges)
        for feed in self._feeds:
            if isinstance(feed.kind, Changed) and not feed.backfills and feed.name not in states:
                await desk.write(ledger.begin, feed, run.at, None, [])

    async def _ask_of(self, run: Run, feeds: Sequence[Feed], asked: dict[str, Request[Any]]) -> dict[str, Any]:
        """Answers by name; a feed with a refused question (``feed.question``) has failed."""
        told, refused = await self._desk.ask(asked, lane=Lane.BACKFILL)
        await self._desk.note(run, feeds, {key.partition(".")[0]: error for key, error in refused.items()})
        return dict(told)

    # ------------------------------------------------------------ copying

    async def _copy(self, feed: Feed, run: Run, queue: deque[Range], board: _Board) -> None:
        async def walk() -> None:
            while queue:
                await self._walk(feed, run, queue.popleft(), board)

        await together(walk() for _ in range(self._streams))

    async def _walk(self, feed: Feed, run: Run, work: Range, board: _Board) -> None:
        """One range of ids, from where it stands to its end, one request at a time."""
        desk = self._desk
        listing = tolerant(feed.listing).upto(work.last_id)
        while work.done_id < work.last_id:
            held: list[Any] = []
            size, upto, cut = 0, work.last_id, None
            expect = min(BATCHFUL, left(work))
            full = min(
                BATCHFUL, (expect // PAGE + 1) * PAGE
            )  # what one request brings at most when so much is expected
            pages = desk.client.pages(listing.after(work.done_id), expect=expect, lane=Lane.BACKFILL)
            try:
                async with aclosing(pages):
                    async for page in pages:
                        held.extend(page.items)
                        size += page.size
                        upto = page.cursor if page.more else work.last_id
                        if size >= full:
                            break
            except B24Error as error:
                if not held:
                    raise
                cut = error  # what came before is true and is kept
            await desk.write(self._ledger.keep_stretch, feed, work, held, upto, desk.portal_now())
            run.wrote(feed, len(held))
            work = replace(work, done_id=upto, row_count=work.row_count + len(held))
            board.came(work, len(held))
            if self._on_progress is not None:
                self._on_progress(board.progress(feed.name, desk.clock.monotonic()))
            if cut is not None:
                raise cut


class _Board:
    """Where a backfill stands, for those who watch."""

    def __init__(self, ranges: Sequence[Range], now: float) -> None:
        self._ranges = {(one.feed, one.first_id): one for one in ranges}
        self._began = now
        self._came = 0

    def came(self, work: Range, rows: int) -> None:
        self._ranges[work.feed, work.first_id] = work
        self._came += rows

    def progress(self, feed: str, now: float) -> Progress:
        everything = list(self._ranges.values())
        mine = [one for one in everything if one.feed == feed]
        rows, all_rows = (sum(one.row_count for one in some) for some in (mine, everything))
        pending, all_pending = (sum(map(left, some)) for some in (mine, everything))
        rate = self._came / (now - self._began) if now > self._began else 0.0
        return Progress(
            feed=feed,
            rows=rows,
            expected=rows + pending,
            all_rows=all_rows,
            all_expected=all_rows + all_pending,
            rows_per_second=rate,
            eta_seconds=all_pending / rate if rate else None,
        )


def _begun(state: State | None) -> bool:
    return state is not None and (state.backfilled_at is not None or state.target_id is not None)


def _lean(listing: Listing[Any]) -> Listing[Any]:
    """The same listing, ids only where the method can choose, and nothing decoded."""
    dialect = dialect_of(listing.method)
    lean = replace(listing, decode=lambda row: row)
    return lean if dialect.select_key is None else lean.selecting(dialect.id_in)


def _sample(page: Page[Any], point: int, last_id: int) -> Sample:
    """The density behind a point: up to the page's end, or to the end of the listing where the page is not full."""
    return Sample(point, page.cursor if page.more else last_id, page.size)
