"""The search for what has vanished from the portal, and for what was lost on the way here.

No listing tells of deletions. So counts are compared, range by range of ids; a range that differs is divided until its
ids fit on one page, and only there ids are read. What the portal has no more gets a tombstone, what the mirror lacks is
fetched.

Laws: a record is buried only when a page that must hold it, read to its end, does not, and only if the mirror had it
before that page was asked for. When more is gone than is believed at once (a webhook that has lost a right looks the
same), nothing is buried before a second look finds the same, and then only if the webhook belongs to an administrator;
otherwise the doubt is told and stays. Records that refer to a buried one are read again, because a merge gives them to
another without changing their time; so are, after everything was compared, those that refer to records which neither side
has. The history of stages is never buried by itself: the portal hides moves in former pipelines of records that are well;
it follows its owner.

A step is one request, or two, in the lane of what can wait; where a budget is used up it is left out. State is kept in
the mirror (``census``), so steps can be far apart and a sweep may be killed between, or in, any two.
Source: vendor, "Capturing changes": deletions by comparing ids; observed: moves between pipelines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from b24metrics.crm import people
from b24metrics.errors import B24Error, TryLater
from b24metrics.mirror import schema
from b24metrics.mirror.census import Cell, Census, Standing
from b24metrics.mirror.desk import Desk, Run
from b24metrics.mirror.feed import Feed, Unread, tolerant
from b24metrics.mirror.options import SweepOptions
from b24metrics.mirror.ranges import BATCHFUL
from b24metrics.portal.dialects import PAGE, count_request, dialect_of, page_request, row_id
from b24metrics.portal.limits import Lane
from b24metrics.portal.request import MAX_COMMANDS, Listing, Page, Request

log = logging.getLogger(__name__)

_FEW = PAGE - 1
"""So many ids fit on a page that proves its own end."""
_PARTS = 8  # at most, into which a range is divided at once
_PATIENCE = 5.0  # seconds that a step may wait for a budget


@dataclass(slots=True)
class Findings:
    """What a sweep has found: feed → number of deletions, number of lost records, doubt in one sentence."""

    buried: dict[str, int] = field(default_factory=dict)
    healed: dict[str, int] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)


class Sweep:
    """All sweeps of one portal."""

    def __init__(
        self, desk: Desk, feeds: Sequence[Feed], options: SweepOptions | None = None, *, zone: str | None = None
    ) -> None:
        self._desk = desk
        self._census = Census(desk.ledger)
        self._feeds = [feed for feed in feeds if feed.backfills and feed.table.tombstone]
        self._options = options or SweepOptions()
        self._zone: tzinfo | None = ZoneInfo(zone) if zone else None
        self._busy = False

    async def step(self, run: Run) -> Findings:
        """Do the next bit of whatever is due, or nothing: at most a request or two."""
        findings = Findings()
        if self._busy:
            return findings
        self._busy = True
        try:
            feeds = await self._begin_due(run.at)
            if feeds:
                await self._advance(run, feeds, self._options.counts, findings)
        except TryLater as error:
            log.info("The comparison with the portal waits: %s", error)
        finally:
            self._busy = False
        return findings

    async def verify(self, run: Run, feeds: Iterable[Feed]) -> Findings:
        """Compare everything of these feeds now, however long it takes.

        From the first id on, even where a sweep is under way: what vanished from ranges that it has counted is not its to find.
        """
        findings = Findings()
        while self._busy:  # a step of a round that goes on beside us
            await self._desk.clock.asleep(0.5)
        self._busy = True
        try:
            mine = [feed for feed in feeds if feed in self._feeds]
            for feed, one in (await self._desk.write(self._census.standings, mine)).items():
                await self._begin(feed, one, run.at, whole=True)
            pending = mine
            while pending:
                try:
                    await self._advance(run, pending, MAX_COMMANDS, findings)
                except TryLater as error:
                    if error.code or error.until is None:
                        raise
                    await self._desk.clock.asleep(min(30.0, max(0.5, error.until - self._desk.clock.now())))
                now = await self._desk.write(self._census.standings, self._feeds)
                waiting = await self._desk.write(self._census.waiting)
                pending = [
                    feed
                    for feed, one in now.items()
                    if ((feed in mine and one.under_way) or feed.name in waiting) and feed.name not in run.errors
                ]
        finally:
            self._busy = False
        return findings

    # ------------------------------------------------------------ when

    async def _begin_due(self, at: datetime) -> list[Feed]:
        """Feeds with a sweep under way; where it is time for one, it is begun."""
        options, desk = self._options, self._desk
        states = await desk.write(desk.ledger.states)
        copied = [
            feed
            for feed in self._feeds
            if not desk.is_off(feed) and feed.name in states and states[feed.name].backfilled_at is not None
        ]
        standings = await desk.write(self._census.standings, copied)
        waiting = await desk.write(self._census.waiting)
        found = []
        for feed, one in standings.items():
            if not one.under_way:
                if self._is_night_shift(at, one.whole_at):
                    await self._begin(feed, one, at, whole=True)
                elif options.newest_rows and (one.newest_at is None or at - one.newest_at >= options.newest_every):
                    await self._begin(feed, one, at, whole=False)
                elif feed.name not in waiting:
                    continue
            found.append(feed)
        return found

    def _is_night_shift(self, at: datetime, last: datetime | None) -> bool:
        """Whether everything should be compared: at night, or in any case when it is six hours late."""
        if last is None or at - last >= self._options.whole_every + timedelta(hours=6):
            return True
        begins, ends = self._options.night
        at_night = begins <= at.astimezone(self._zone).hour < ends if self._zone else begins <= at.hour < ends
        return at_night and at - last >= self._options.whole_every / 2

    async def _begin(self, feed: Feed, one: Standing, at: datetime, *, whole: bool) -> None:
        census = self._census

        def begin() -> None:
            census.keep(
                replace(
                    one,
                    begun_at=at,
                    whole=whole,
                    at_id=0 if whole else census.edge(feed, self._options.newest_rows),
                    last_id=census.last_id(feed),
                    here=0,
                    there=0,
                    gone=0,
                    decided=False,
                )
            )

        await self._desk.write(begin)

    # ------------------------------------------------------------ what

    async def _advance(self, run: Run, feeds: Sequence[Feed], room: int, findings: Findings) -> None:
        """One step of all these feeds together: counts first; where they are done, a look into what differs."""
        standings = await self._desk.write(self._census.standings, feeds)
        counting = {feed: one for feed, one in standings.items() if one.under_way and not one.counted}
        if counting:
            await self._count(run, counting, room)
            return
        for feed, one in standings.items():
            if one.under_way and not one.decided:
                await self._decide(feed, one, findings)
        await self._look(run, feeds, room, findings)
        await self._finish(feeds)

    async def _ask(self, run: Run, feeds: Iterable[Feed], asked: Mapping[str, Request[Any]]) -> Mapping[str, Any]:
        """Answers by name (``feed.…``); a feed with a refused question has failed, and its sweep waits for its time."""
        told, refused = await self._desk.ask(asked, lane=Lane.BACKFILL, patience=_PATIENCE)
        later = next((error for error in refused.values() if isinstance(error, TryLater) and not error.code), None)
        if later is not None:
            raise later
        await self._desk.note(run, list(feeds), {key.partition(".")[0]: error for key, error in refused.items()})
        return {key: value for key, value in told.items() if key.partition(".")[0] not in run.errors}

    async def _count(self, run: Run, standings: Mapping[Feed, Standing], room: int) -> None:
        """Compare the next counts of each feed."""
        census, size = self._census, self._options.cell_rows
        share = max(1, room // len(standings))
        cells: dict[Feed, list[Cell]] = {}
        for feed, one in standings.items():
            found = await self._desk.write(census.cells, feed, one.at_id, one.last_id, size)
            cells[feed] = found[:share]
        told = await self._ask(
            run,
            cells,
            {
                f"{feed.name}.{n}": count_request(_within(feed.listing, cell))
                for feed, mine in cells.items()
                for n, cell in enumerate(mine)
            },
        )
        for feed, mine in cells.items():
            if feed.name in run.errors:
                await self._give_up(standings[feed])
                continue
            counted = [replace(cell, there=told[f"{feed.name}.{n}"]) for n, cell in enumerate(mine)]
            one = standings[feed]
            one = replace(
                one,
                at_id=counted[-1].upto,
                here=one.here + sum(cell.here for cell in counted),
                there=one.there + sum(cell.there for cell in counted),
                gone=one.gone + sum(max(0, cell.here - cell.there) for cell in counted),
            )
            await self._desk.write(census.keep, one, [cell for cell in counted if cell.here != cell.there])

    async def _give_up(self, one: Standing) -> None:
        """A sweep that was refused ends here; it is due again in its time."""
        ended = replace(
            one, begun_at=None, newest_at=one.begun_at, whole_at=one.begun_at if one.whole else one.whole_at
        )
        await self._desk.write(self._census.keep, ended)

    async def _decide(self, feed: Feed, one: Standing, findings: Findings) -> None:
        """Whether what seems to be gone is believed; what is not stays in the mirror."""
        options, census = self._options, self._census
        assert one.begun_at is not None
        if _is_history(feed):
            await self._desk.write(census.leave_alone, feed)
            await self._desk.write(census.keep, replace(one, gone=0, decided=True))
            return
        much = one.gone > max(options.believed_rows, options.believed_share * one.here)
        if not (much or (one.here and not one.there)):
            cleared = {"doubted_at": None, "doubt": None} if one.whole else {}
            await self._desk.write(census.keep, replace(one, decided=True, **cleared))  # type: ignore[arg-type]
            return
        if one.whole and one.doubted_at is not None and one.begun_at - one.doubted_at >= options.confirmed_after:
            told, _ = await self._desk.ask({"profile": people.profile()})
            if "profile" in told and told["profile"].admin:
                log.warning(
                    "%s: %d records are gone from the portal, for the second time: they are.", feed.name, one.gone
                )
                await self._desk.write(census.keep, replace(one, decided=True, doubted_at=None, doubt=None))
                return
        await self._desk.write(census.leave_alone, feed)
        kept = replace(one, decided=True)
        if one.whole:
            doubt = (
                f"{feed.name}: {one.gone} of {one.here} records are not to be seen any more. Either they were deleted, or "
                "the webhook's owner has lost a right: the mirror keeps them. If they were deleted, use the webhook of "
                "an administrator: the second look then believes it."
            )
            findings.doubts[feed.name] = doubt
            kept = replace(kept, doubted_at=one.doubted_at or one.begun_at, doubt=doubt)
            log.warning("%s", doubt)
        await self._desk.write(census.keep, kept)

    async def _set_right(self, feed: Feed, one: Standing) -> None:
        """What hangs on records that are not there: their history is buried, who refers to them is read again.

        A merge that went on while both were copied leaves such references, and moves may have been copied of records that
        were gone before their turn came.
        """
        write, census = self._desk.write, self._census
        assert one.begun_at is not None
        await write(self._desk.ledger.bury_orphans, feed, one.last_id, one.begun_at)
        await write(census.read_again, await write(census.dangling, feed, self._feeds, one.last_id))

    async def _finish(self, feeds: Sequence[Feed]) -> None:
        for feed, one in (await self._desk.write(self._census.standings, feeds)).items():
            if one.under_way and one.decided and not await self._desk.write(self._census.differing, feed, 1):
                ended = replace(one, begun_at=None, newest_at=one.begun_at)
                if one.whole:
                    ended = replace(ended, whole_at=one.begun_at)
                    if one.doubt is None:
                        await self._set_right(feed, one)
                sure = one.begun_at if one.whole and one.doubt is None else None
                await self._desk.write(self._census.keep, ended, reconciled_at=sure)

    # ------------------------------------------------------------ into what differs

    async def _look(self, run: Run, feeds: Sequence[Feed], room: int, findings: Findings) -> None:
        """One level deeper into every range that differs, as far as one request carries."""
        each = max(1, room // len(feeds))
        cells = [(feed, cell) for feed in feeds for cell in await self._desk.write(self._census.differing, feed, each)]
        parts = max(2, min(_PARTS, room // max(1, len(cells))))
        looks = [await self._plan(feed, cell, parts) for feed, cell in cells]
        asked = {f"{look.feed.name}.{n}.{m}": request for n, look in enumerate(looks) for m, request in look.requests()}
        told = await self._ask(run, feeds, asked)
        for n, look in enumerate(looks):
            feed = look.feed
            if feed.name in run.errors:
                continue
            answers = [told[f"{feed.name}.{n}.{m}"] for m, _ in look.requests()]
            instead: list[Cell] = []
            if look.parts:
                counted = (replace(part, there=there) for part, there in zip(look.parts, answers, strict=True))
                instead = [
                    part
                    for part in counted
                    if part.here < part.there or (part.here > part.there and not _is_history(feed))
                ]
            elif look.walk:
                await self._fetch_all(run, feed, look.cell, findings)
            else:
                instead = await self._settle(run, look, answers[0], findings)
            await self._desk.write(self._census.looked_into, feed, [look.cell], instead)
        for feed in {look.feed for look in looks if look.feed.name in run.errors}:
            [one] = (await self._desk.write(self._census.standings, [feed])).values()
            await self._give_up(one)

    async def _plan(self, feed: Feed, cell: Cell, parts: int) -> _Look:
        """How to look into a cell: read its page, walk it, or divide it."""
        ids = await self._desk.write(self._census.ids, feed, cell)
        if cell.upto - cell.after <= _FEW:  # so few ids, however many were counted
            return _Look(feed, cell, ids, full=cell.there > cell.here)
        if cell.there <= _FEW:
            return _Look(feed, cell, ids, full=cell.there > len(ids))
        if len(ids) <= _FEW:
            return _Look(feed, cell, ids, walk=True)
        size = max(1, -(-len(ids) // parts))
        return _Look(
            feed, cell, ids, parts=await self._desk.write(self._census.cells, feed, cell.after, cell.upto, size)
        )

    async def _settle(self, run: Run, look: _Look, page: Page[Any], findings: Findings) -> list[Cell]:
        """Bury and heal by one page; what it could not settle comes back as a cell."""
        feed, cell = look.feed, look.cell
        if page.more:  # more than it seemed when they were counted
            return [replace(cell, there=max(page.size + 1, page.total or 0))]
        if not look.full:
            listed = set(page.items)
            await self._bury(run, feed, look.ids - listed, findings)
            lost = len(listed - look.ids)
            return [replace(cell, here=len(look.ids & listed), there=len(listed))] if lost else []
        unread = any(isinstance(one, Unread) for one in page.items)
        listed = {one.id for one in page.items if not isinstance(one, Unread)}
        await self._heal(run, feed, page.items, len(listed - look.ids), findings)
        if not unread:  # the id of a record that cannot be read may be any
            await self._bury(run, feed, look.ids - listed, findings)
        return []

    async def _fetch_all(self, run: Run, feed: Feed, cell: Cell, findings: Findings) -> None:
        """Most records of a cell are lost: read it whole."""
        known = await self._desk.write(self._census.ids, feed, cell)
        held: list[Any] = []

        async def keep() -> None:
            lost = sum(not isinstance(one, Unread) and one.id not in known for one in held)
            await self._heal(run, feed, held, lost, findings)
            held.clear()

        pages = self._desk.client.pages(_within(tolerant(feed.listing), cell), expect=cell.there, lane=Lane.BACKFILL)
        try:
            async with aclosing(pages):
                async for page in pages:
                    held.extend(page.items)
                    if len(held) >= BATCHFUL:
                        await keep()
        except B24Error as error:
            await self._desk.note(run, [feed], {feed.name: error})
        await keep()

    async def _bury(self, run: Run, feed: Feed, ids: set[int], findings: Findings) -> None:
        if ids and not _is_history(feed):
            census, gone = self._census, sorted(ids)
            referring = await self._desk.write(census.referring, feed, self._feeds, gone)
            await self._desk.write(census.read_again, referring)
            await self._desk.write(census.know, feed)
            await self._desk.write(self._desk.ledger.bury, feed, gone, run.at)
            findings.buried[feed.name] = findings.buried.get(feed.name, 0) + len(ids)
            log.info("%s: %d records are gone from the portal.", feed.name, len(ids))

    async def _heal(self, run: Run, feed: Feed, records: Sequence[Any], lost: int, findings: Findings) -> None:
        if records:
            await self._desk.write(self._census.know, feed)
            await self._desk.write(self._desk.ledger.keep_found, feed, list(records), run.at, lost)
        if lost:
            run.wrote(feed, lost)
            findings.healed[feed.name] = findings.healed.get(feed.name, 0) + lost
            log.warning("%s: %d records were missing here and have been fetched.", feed.name, lost)


@dataclass(frozen=True, slots=True)
class _Look:
    """How a cell that differs is looked into.

    Attributes:
        ids: what the mirror had of it before anything was asked. parts: count these. walk: read all records. Neither:
        read its one page, records (``full``) or ids only.
    """

    feed: Feed
    cell: Cell
    ids: set[int]
    parts: Sequence[Cell] = ()
    walk: bool = False
    full: bool = False

    def requests(self) -> list[tuple[int, Request[Any]]]:
        """What is asked, numbered."""
        if self.walk:
            return []
        if self.parts:
            return [(n, count_request(_within(self.feed.listing, part))) for n, part in enumerate(self.parts)]
        listing = tolerant(self.feed.listing) if self.full else _ids_of(self.feed.listing)
        return [(0, page_request(_within(listing, self.cell)))]


def _is_history(feed: Feed) -> bool:
    """Whether its records are not looked for when they seem to be gone: moves follow their owner."""
    return feed.table is schema.STAGE_MOVES


def _within(listing: Listing[Any], cell: Cell) -> Listing[Any]:
    return listing.after(cell.after).upto(cell.upto)


def _ids_of(listing: Listing[Any]) -> Listing[Any]:
    """The same listing, ids only."""
    dialect = dialect_of(listing.method)
    read: Callable[[Any], int] = partial(row_id, dialect)
    lean = replace(listing, decode=read)
    return lean if dialect.select_key is None else lean.selecting(dialect.id_in)
