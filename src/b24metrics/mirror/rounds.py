"""Bring the mirror up to date: one request for all feeds, a second one only where a page was full.

Laws: a round begins at the portal's time, asked for before anything else in the same request; a feed's cursor moves to
that time only when its walk has reached the end, so whatever changed meanwhile belongs to the next round. A walk that is
cut is remembered with its place. Directories are written first: what is observed in records reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from b24metrics.crm import people, probe
from b24metrics.errors import B24Error, UnreadableReply
from b24metrics.mirror.attached import Attachments
from b24metrics.mirror.desk import Desk, Report, Run, together
from b24metrics.mirror.feed import Appended, Changed, Feed, Reloaded, Spanned, tolerant
from b24metrics.mirror.ledger import State
from b24metrics.mirror.ranges import BATCHFUL
from b24metrics.portal.dialects import PAGE, Paging, dialect_of, page_request
from b24metrics.portal.request import MAX_COMMANDS, Listing, Page, Request

_ASTRAY = timedelta(hours=26)  # a record this much older than asked for means that the filter was ignored, not shifted
_PEOPLE_AT_ONCE = 20
_PIECE = "/"  # between a feed's name and the number of a piece of it
_CUT = PAGE - 5  # records of a directory in a piece: some may be new


class Rounds:
    """All rounds of one portal; it remembers which feeds rest."""

    def __init__(self, desk: Desk, feeds: Sequence[Feed], attachments: Attachments, *, zone: str | None = None) -> None:
        self._desk = desk
        self._attachments = attachments
        self._ledger = desk.ledger
        self._feeds = feeds
        self._zone = zone
        self._asked_at: dict[str, float] = {}

    async def run(self) -> Report:
        """One round."""
        desk = self._desk
        started = desk.clock.monotonic()
        states = await desk.write(self._ledger.states)
        due = [feed for feed in self._feeds if self._is_due(feed, started)]
        listings = {feed: listing for feed in due if (listing := _news(feed, states.get(feed.name))) is not None}
        asked: dict[str, Request[Any]] = {"now": probe.server_time()}
        asked |= {feed.name: page_request(tolerant(listing)) for feed, listing in listings.items()}
        for feed, listing in listings.items():
            if isinstance(feed.kind, Reloaded):
                asked |= await self._pieces(feed, listing, MAX_COMMANDS // 2 - len(asked))
        errands = await self._attachments.wanted(MAX_COMMANDS - len(asked))
        asked |= errands.requests
        try:
            pages, refused = await desk.ask(asked)
            run = desk.begin(pages, refused)
        except B24Error as error:
            everything = [*listings, *self._attachments.feeds]
            await desk.note(None, everything, {feed.name: error for feed in everything})
            raise
        self._asked_at |= {feed.name: started for feed in due if feed in listings or isinstance(feed.kind, Spanned)}
        await desk.note(run, list(listings), {key.partition(_PIECE)[0]: error for key, error in refused.items()})
        fine = [feed for feed in listings if feed.name in pages and feed.name not in run.errors]
        for feed in fine:
            if isinstance(feed.kind, Reloaded):
                mine = [page for key, page in pages.items() if key.partition(_PIECE)[0] == feed.name]
                await desk.isolated(feed, run, self._reload(feed, run, mine))
        for feed in due:
            if isinstance(feed.kind, Spanned):
                await desk.isolated(feed, run, self._span(feed, feed.kind, run, states.get(feed.name)))
        await together(
            desk.isolated(feed, run, self._follow(feed, run, pages[feed.name], states[feed.name]))
            for feed in fine
            if not isinstance(feed.kind, Reloaded)
        )
        await self._attachments.settle(run, errands, pages, refused)
        return run.report

    def _is_due(self, feed: Feed, now: float) -> bool:
        if self._desk.is_off(feed):
            return False
        asked = self._asked_at.get(feed.name)
        return asked is None or now - asked >= feed.every.total_seconds()

    # ------------------------------------------------------------ what has changed or was added

    async def _follow(self, feed: Feed, run: Run, page: Page[Any], state: State) -> None:
        """Keep the first page of what is new, and walk on while there is more."""
        # A walk that was cut goes on as it began; what changed behind it since then is left to the next one.
        resumed = isinstance(feed.kind, Changed) and state.walk_at is not None
        began_at = state.walk_at if resumed and state.walk_at is not None else run.at
        held: list[Any] = []
        upto = state.cursor_id or 0

        def take(page: Page[Any]) -> None:
            nonlocal upto
            _check_filter(feed, state, page)
            held.extend(page.items)
            upto = max(upto, page.cursor)

        async def keep(*, more: bool) -> None:
            await self._desk.write(self._ledger.keep_round, feed, held, upto, began_at, more=more)
            run.wrote(feed, len(held))
            held.clear()

        take(page)
        if page.more:
            cut = None
            try:
                expected = await self._known(feed, state, page)
                async for following in self._desk.client.pages(page.onward, expect=expected):  # never left early
                    take(following)
                    if len(held) >= BATCHFUL and following.more:
                        await keep(more=True)
            except B24Error as error:
                cut = error
            if cut is not None:
                await keep(more=True)  # what came before is true
                raise cut
        await keep(more=False)

    async def _known(self, feed: Feed, state: State, page: Page[Any]) -> int | None:
        """About how many records will come behind a page: those of its span that were read before, if there are any."""
        if not isinstance(feed.kind, Changed) or state.cursor_at is None or state.walk_at is not None:
            return None
        since = state.cursor_at - feed.kind.overlap
        known = await self._desk.write(self._ledger.count_since, feed, feed.kind.stamp, since)
        return max(0, known - page.size) or None

    # ------------------------------------------------------------ directories

    async def _pieces(self, feed: Feed, listing: Listing[Any], room: int) -> dict[str, Request[Any]]:
        """A directory of more than a page, cut at ids that are known so that all of it comes along; the last piece is open.

        Nothing where one page is enough, where there is no room, or where pages do not go by ids.
        """
        if dialect_of(listing.method).paging is not Paging.KEYSET:
            return {}
        cuts = (await self._desk.write(self._ledger.ids, feed))[_CUT - 1 :: _CUT]
        if not 0 < len(cuts) <= room:
            return {}
        bounds = zip((0, *cuts), (*cuts, None), strict=True)
        pieces = (page_request(tolerant(listing.after(after).upto(upto))) for after, upto in bounds)
        return {f"{feed.name}{_PIECE}{n}" if n else feed.name: piece for n, piece in enumerate(pieces)}

    async def _reload(self, feed: Feed, run: Run, pages: Sequence[Page[Any]]) -> None:
        """Read a directory to its end, then keep it whole. ``pages``: the first of each of its pieces."""
        held = [one for page in pages for one in page.items]
        for page in pages:
            if page.more:
                async for following in self._desk.client.pages(page.onward):
                    held.extend(following.items)
        known = (await self._desk.write(self._ledger.states)).get(feed.name)
        if not held and known is not None and known.row_count:
            raise UnreadableReply(
                f"{feed.name}: the portal lists none any more, which happens when the webhook's owner loses a right; "
                "the mirror keeps what it had. Look whether the owner still sees them."
            )
        await self._desk.write(self._ledger.keep_whole, feed, held, run.at)
        run.wrote(feed, len(held))

    # ------------------------------------------------------------ calendars

    async def _span(self, feed: Feed, kind: Spanned, run: Run, state: State | None) -> None:
        """Absences of everybody around today."""
        back = kind.first if state is None or state.synced_at is None else kind.back
        first, last = (run.at - back).date(), (run.at + kind.ahead).date()
        zones = {
            number: _zone(zone) or _zone(self._zone) or UTC
            for number, zone in await self._desk.write(self._ledger.people)
        }
        numbers = list(zones)
        told, refused = await self._desk.ask(
            {
                str(n): people.absences(numbers[n : n + _PEOPLE_AT_ONCE], first, last)
                for n in range(0, len(numbers), _PEOPLE_AT_ONCE)
            }
        )
        for error in refused.values():
            raise error
        rows = [
            (one.user_id, one.id or 0, *one.interval(zones[one.user_id]))
            for found in told.values()
            for one in found
            if one.kind == "absent" and one.user_id in zones
        ]
        # A day of somebody far east or west may begin before, or end after, that day in UTC.
        start = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(days=1)
        end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=2)
        await self._desk.write(self._ledger.keep_span, feed, numbers, rows, start, end, run.at)
        run.wrote(feed, len(rows))


def _news(feed: Feed, state: State | None) -> Listing[Any] | None:
    """What a round asks of a feed first; None where there is nothing to ask, or no backfill has been planned."""
    kind = feed.kind
    if isinstance(kind, Reloaded):
        return feed.listing
    if state is None:
        return None
    if isinstance(kind, Appended) and state.cursor_id is not None:
        overlap = kind.overlap if state.walk_at is None else 0
        return feed.listing.after(max(0, state.cursor_id - overlap))
    if isinstance(kind, Changed) and state.cursor_at is not None:
        reached = 0 if state.walk_at is None else state.cursor_id or 0
        return feed.listing.where({kind.condition: state.cursor_at - kind.overlap}).after(reached)
    return None


def _check_filter(feed: Feed, state: State, page: Page[Any]) -> None:
    """Refuse a page that the portal did not filter: some methods drop conditions that they do not know, silently.

    Raises:
        UnreadableReply: a record is far older than what was asked for.
    """
    if not isinstance(feed.kind, Changed) or state.cursor_at is None:
        return
    since = state.cursor_at - feed.kind.overlap - _ASTRAY
    for one in page.items:
        at = getattr(one, feed.kind.stamp, None)
        if at is not None and at < since:
            raise UnreadableReply(
                f"{feed.name}: record {one.id} came though only changes since {state.cursor_at:%Y-%m-%d %H:%M} UTC were "
                f"asked for: the portal ignores {feed.kind.condition!r}. Please report the portal's version."
            )


def _zone(name: str | None) -> tzinfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError):
        return None
