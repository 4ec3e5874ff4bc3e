"""Copy the past: plan it once, then work through ranges of ids, newest first.

Laws: the plan is kept in the mirror before the first record is asked for, and every stretch is written together with
how far its range has come; so a backfill that is killed goes on where it stood. From the moment it is planned, rounds
are responsible for what changes: nothing that happens meanwhile is missed, in whatever order things are read.
A range is walked one request at a time, each sized by what is still expected, so that few commands run into emptiness.
Several ranges of a feed are walked side by side, and all feeds; but only so many requests are under way or being written
at once, because each fills memory. Whoever must wait for a budget waits outside, so that other methods go on. What came of
several ranges of a feed while the database was busy is written together.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from b24metrics.crm import directories, people, probe
from b24metrics.errors import TryLater, WalkCut
from b24metrics.mirror.attached import Attachments
from b24metrics.mirror.desk import Desk, Report, Run, together
from b24metrics.mirror.feed import Changed, Feed, Unread, untouched
from b24metrics.mirror.forecast import Budgets, forecast
from b24metrics.mirror.intake import Intake
from b24metrics.mirror.ledger import State
from b24metrics.mirror.ranges import BATCHFUL, STREAMS, Range, Sample, halves, left, plan, sample_points
from b24metrics.mirror.stores import Store
from b24metrics.portal.dialects import PAGE, dialect_of, first_id_request, last_id_request, page_request, row_id
from b24metrics.portal.limits import Lane
from b24metrics.portal.request import Listing, Page, Request

_AT_ONCE = 8
"""Requests under way or being written: full ones take four seconds, and two a second are allowed."""
_SELDOM = 50_000  # objects after which garbage is looked for, in eight full requests there are fewer
_PATIENCE = 5.0  # seconds for which a request that is under way may wait for a budget; longer waits are outside
_NAP = 30.0  # longest wait outside: meanwhile a budget may have been freed


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill is.

    Attributes:
        feed: the one that has just come further. rows, expected: of this feed. all_rows, all_expected: of all feeds.
        rows_per_second: of this run, all feeds together. eta_seconds: None until it can be told; from both budgets.
        budgets: how much of the portal's limits is in use.
    """

    feed: str
    rows: int
    expected: int
    all_rows: int
    all_expected: int
    rows_per_second: float
    eta_seconds: float | None
    budgets: Budgets


class Backfill:
    """One run of a backfill."""

    def __init__(
        self,
        desk: Desk,
        feeds: Sequence[Feed],
        attachments: Attachments,
        *,
        zone: str | None = None,
        streams: int = STREAMS,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self._desk = desk
        self._ledger = desk.ledger
        self._feeds = feeds
        self._attachments = attachments
        self._zone = zone
        self._streams = max(1, streams)
        self._on_progress = on_progress
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._intake = Intake(desk)

    async def run(self) -> Report:
        """Plan what is not planned, copy what is not copied."""
        desk, ledger = self._desk, self._ledger
        run = await self._begin()
        states, ranges = await desk.write(ledger.states), await desk.write(ledger.ranges)
        board = _Board(ranges, {feed.name: feed.listing.method for feed in self._feeds}, desk)
        work = {
            feed: deque(_Work(one) for one in ranges if one.feed == feed.name and one.done_id < one.last_id)
            for feed in self._feeds
            if feed.name in states and states[feed.name].backfilled_at is None
        }
        with in_bulk(ledger.store):
            await together(
                desk.isolated(feed, run, self._copy(feed, run, queue, board)) for feed, queue in work.items()
            )
        await self._attachments.drain(run)
        if run.rows:
            await desk.write(ledger.store.checkpoint)
        return run.report

    # ------------------------------------------------------------ planning

    async def _begin(self) -> Run:
        """Meet the portal (its time, and what it says of itself), and plan the feeds that have no plan yet."""
        states = await self._desk.write(self._ledger.states)
        fresh = [feed for feed in self._feeds if feed.backfills and not _begun(states.get(feed.name))]
        asked: dict[str, Request[Any]] = {
            "now": probe.server_time(),
            "base_currency": directories.base_currency(),
            "crm_mode": directories.crm_mode(),
            "profile": people.profile(),
        }
        edges = {
            f"{feed.name}.{edge}": ask(feed.listing)
            for feed in fresh
            for edge, ask in (("first", first_id_request), ("last", last_id_request))
        }
        told, refused = await self._desk.ask({**asked, **edges})
        run = self._desk.begin(told, refused)
        facts = {
            "host": self._desk.client.host,
            "user_id": told["profile"].id if "profile" in told else None,
            "base_currency": told.get("base_currency"),
            "crm_mode": told.get("crm_mode"),
            "zone": self._zone,
        }
        await self._desk.write(self._ledger.acquaint, run.at, facts)
        await self._desk.note(run, fresh, {key.partition(".")[0]: refused[key] for key in edges if key in refused})
        spans = {
            feed: (told[f"{feed.name}.first"], told[f"{feed.name}.last"])
            for feed in fresh
            if feed.name not in run.errors
        }
        await self._plan(run, spans)
        for feed in self._feeds:
            if isinstance(feed.kind, Changed) and not feed.backfills and feed.name not in states:
                await self._desk.write(self._ledger.begin, feed, run.at, None, [])
        return run

    async def _plan(self, run: Run, spans: Mapping[Feed, tuple[int | None, int]]) -> None:
        """Plan the backfill of feeds from their first and last ids: one request, or some, for all of them together."""
        desk, ledger = self._desk, self._ledger
        points = {
            f"{feed.name}.{point}": (feed, point)
            for feed, (first, last) in spans.items()
            if first is not None
            for point in sample_points(first, last)
        }
        pages, refused = await desk.ask(
            {
                key: page_request(_lean(feed.listing).after(point).upto(spans[feed][1]))
                for key, (feed, point) in points.items()
            },
            lane=Lane.BACKFILL,
        )
        await desk.note(run, list(spans), {key.partition(".")[0]: error for key, error in refused.items()})
        for feed, (first, last) in spans.items():
            if feed.name in run.errors:
                continue
            samples = [_sample(pages[key], at, last) for key, (owner, at) in points.items() if owner is feed]
            ranges = [] if first is None else plan(feed.name, first, last, samples, streams=self._streams)
            await desk.write(ledger.begin, feed, run.at, last, ranges)

    # ------------------------------------------------------------ copying

    async def _copy(self, feed: Feed, run: Run, queue: deque[_Work], board: _Board) -> None:
        listing = untouched(feed.listing)
        active: list[_Work] = []

        async def walk() -> None:
            while queue or await self._split(feed, active, queue, board):
                work = queue.popleft()
                active.append(work)
                while work.range.done_id < work.range.last_id:
                    await self._rest(await self._step(feed, listing, run, work, board))
                active.remove(work)

        await together(walk() for _ in range(self._streams))

    async def _split(self, feed: Feed, active: Sequence[_Work], queue: deque[_Work], board: _Board) -> bool:
        """Put half of the largest range that others still walk into the queue; False where that is not worth while."""
        work = max(active, key=lambda one: left(one.range), default=None)
        if work is None:
            return False
        async with work.writing:
            parts = halves(work.range, board.expected(feed.name))
            if parts is None:
                return False
            await self._desk.write(self._ledger.split, feed, *parts)
            work.range, newer = parts
        board.came(work.range, 0)
        board.came(newer, 0)
        queue.append(_Work(newer))
        return True

    async def _rest(self, until: float | None) -> None:
        """Let a budget refill: until an instant by our clock."""
        if until is not None:
            await self._desk.clock.asleep(min(_NAP, max(0.5, until - self._desk.clock.now())))

    async def _step(self, feed: Feed, listing: Listing[Any], run: Run, work: _Work, board: _Board) -> float | None:
        """One request's worth of a range, written. Returns the instant before which no more should be asked for."""
        desk = self._desk
        async with self._slots:
            held: list[Any] = []
            size, upto, cut = 0, work.range.last_id, None
            expect = work.expect()
            full = min(BATCHFUL, (expect // PAGE + 1) * PAGE)  # what one request brings at most
            pages = desk.client.pages(
                listing.after(work.range.done_id).upto(work.range.last_id),
                expect=expect,
                lane=Lane.BACKFILL,
                patience=_PATIENCE,
            )
            try:
                async with aclosing(pages):
                    async for page in pages:
                        held.extend(page.items)
                        size += page.size
                        upto = page.cursor if page.more else work.range.last_id
                        if size >= full:
                            break
            except WalkCut as error:
                if not held and _wait(error) is None:
                    raise
                cut = error  # what came before is true and is kept
            if not held and cut is not None:
                return _wait(cut)
            work.last_size, work.last_width = size, upto - work.range.done_id
            async with work.writing:
                if upto > work.range.last_id:  # somebody took the upper half meanwhile
                    upto = work.range.last_id
                    held = [one for one in held if _id_of(one, listing, upto) <= upto]
                await self._intake.keep(feed, work.range, held, upto)
                work.range = replace(work.range, done_id=upto, row_count=work.range.row_count + len(held))
        run.wrote(feed, len(held))
        board.came(work.range, len(held))
        if self._on_progress is not None:
            self._on_progress(board.progress(feed.name))
        if cut is not None and _wait(cut) is None:
            raise cut
        return None if cut is None else _wait(cut)


@contextmanager
def in_bulk(store: Store) -> Iterator[None]:
    """For whoever copies much: a statement has one thread, and rows that are held are seldom searched for garbage.

    Rows make no cycles; looking for some among them took up to a fifth of the time.
    """
    usual, *older = gc.get_threshold()
    hurried = 0 < usual < _SELDOM
    if hurried:
        gc.set_threshold(_SELDOM, *older)
    try:
        with store.one_thread_each():
            yield
    finally:
        if hurried:
            gc.set_threshold(usual, *older)


class _Work:
    """A range while it is walked.

    Attributes:
        last_size: rows that the last request brought. last_width: ids that it went over. writing: held while the range
        is written, or divided.
    """

    def __init__(self, one: Range) -> None:
        self.range = one
        self.last_size = self.last_width = 0
        self.writing = asyncio.Lock()

    def expect(self) -> int:
        """Rows to ask for next.

        The rest of a range is asked for with something to spare, because a second request costs more than some
        commands: as if it were as dense as the range, or as what came last if that is more. Where more came than was
        thought, twice as much is asked for.
        """
        ids = self.range.last_id - self.range.done_id
        rows = left(self.range)
        if self.last_width:
            rows = max(rows, ids * self.last_size // self.last_width)
        if rows < BATCHFUL:
            rows = rows * 3 // 2 + 2 * PAGE
        if self.last_size < BATCHFUL:  # less than a full request was asked for, and it was not the end
            rows = max(rows, 2 * self.last_size)
        return min(BATCHFUL, ids, rows)


class _Board:
    """Where a backfill stands, for those who watch. ``methods``: feed → method."""

    def __init__(self, ranges: Sequence[Range], methods: Mapping[str, str], desk: Desk) -> None:
        self._ranges = {(one.feed, one.first_id): one for one in ranges}
        self._methods = methods
        self._desk = desk
        self._began = desk.clock.monotonic()
        self._came = 0

    def came(self, one: Range, rows: int) -> None:
        self._ranges[one.feed, one.first_id] = one
        self._came += rows

    def expected(self, feed: str) -> int:
        """Rows of a feed, those that are here included."""
        return sum(one.row_count + left(one) for one in self._ranges.values() if one.feed == feed)

    def progress(self, feed: str) -> Progress:
        rows: dict[str, int] = {}
        pending: dict[str, int] = {}
        for one in self._ranges.values():
            rows[one.feed] = rows.get(one.feed, 0) + one.row_count
            pending[one.feed] = pending.get(one.feed, 0) + left(one)
        by_method: dict[str, int] = {}
        for name, count in pending.items():
            method = self._methods.get(name, name)
            by_method[method] = by_method.get(method, 0) + count
        passed = self._desk.clock.monotonic() - self._began
        rate = self._came / passed if passed > 0 else 0.0
        budgets, least = forecast(by_method, self._desk.client.gate)
        all_rows, all_pending = sum(rows.values()), sum(pending.values())
        return Progress(
            feed=feed,
            rows=rows.get(feed, 0),
            expected=rows.get(feed, 0) + pending.get(feed, 0),
            all_rows=all_rows,
            all_expected=all_rows + all_pending,
            rows_per_second=rate,
            eta_seconds=max(least, all_pending / rate) if rate else None,
            budgets=budgets,
        )


def _wait(cut: WalkCut) -> float | None:
    """Until when a walk that was cut only because a budget is used up should wait, by our clock."""
    cause = cut.__cause__
    return cause.until if isinstance(cause, TryLater) and not cause.code else None


def _id_of(record: Any, listing: Listing[Any], otherwise: int) -> int:
    """The id of a record, of a row that is none yet, or of one that could not be read."""
    if type(record) is dict:
        return row_id(dialect_of(listing.method), record)
    if not isinstance(record, Unread):
        return int(record.id)
    return int(record.record_id) if record.record_id.isdecimal() else otherwise


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
