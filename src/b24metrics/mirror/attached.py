"""Ask for what no listing has, owner by owner, as far as there is room.

Laws: who is still to be asked for stands in the mirror, written together with the owner; an answer and its settling are
one transaction, so nothing is lost by a kill and what was asked twice does no harm. A round takes along what fits into
its one request; a backfill works through the rest. An owner that cannot be told of (it is gone, it is forbidden, its
records do not read) is noted, keeps what was known of it, and does not stop the others; it is asked again every day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Any

from b24metrics.errors import (
    B24Error,
    BadRequest,
    NoSuchRecord,
    NotAllowed,
    UnreadableReply,
    UnreadableRow,
)
from b24metrics.mirror.desk import Desk, Run
from b24metrics.mirror.feed import Attached, Feed
from b24metrics.mirror.ledger import untold
from b24metrics.portal.limits import Lane
from b24metrics.portal.request import MAX_COMMANDS, Request

_OF_ONE_OWNER = (BadRequest, NoSuchRecord, UnreadableReply, UnreadableRow)


@dataclass(frozen=True, slots=True)
class Errands:
    """Questions about owners that go along with a request.

    Attributes:
        requests: by names that no feed has. owners: the same names → feed, owner, how often it was on the list.
    """

    requests: Mapping[str, Request[Any]] = field(default_factory=dict)
    owners: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)


class Attachments:
    """All attached feeds of one portal."""

    def __init__(self, desk: Desk, feeds: Sequence[Feed]) -> None:
        self._desk = desk
        self._feeds = {feed.name: (feed, feed.kind) for feed in feeds if isinstance(feed.kind, Attached)}
        self._draining = False

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """Those that it asks for."""
        return tuple(feed for feed, _ in self._feeds.values())

    async def wanted(self, room: int) -> Errands:
        """Questions to send along, at most ``room``; ``settle`` wants their answers."""
        return Errands() if self._draining else await self._pick(room, self._on())

    async def settle(
        self, run: Run, errands: Errands, told: Mapping[str, Any], refused: Mapping[str, B24Error]
    ) -> None:
        """Keep what came of errands, and see who is to be asked next."""
        await self._keep(run, errands, told, refused)
        if not self._draining:
            await self._look_around(run)

    async def drain(self, run: Run) -> None:
        """Ask for all that is owed, in the lane of the backfill; rounds meanwhile leave it alone."""
        if self._draining:
            return
        self._draining = True
        try:
            await self._look_around(run)
            while (errands := await self._pick(MAX_COMMANDS, self._on(run))).requests:
                told, refused = await self._desk.ask(errands.requests, lane=Lane.BACKFILL)
                await self._keep(run, errands, told, refused)
            await self._look_around(run)
        finally:
            self._draining = False

    def _on(self, run: Run | None = None) -> list[Feed]:
        """Feeds that are not switched off, and have not failed in this run."""
        failed = () if run is None else run.errors
        return [feed for feed, _ in self._feeds.values() if not self._desk.is_off(feed) and feed.name not in failed]

    async def _look_around(self, run: Run) -> None:
        for feed in self._on(run):
            kind = self._feeds[feed.name][1]
            await self._desk.write(self._desk.ledger.remind, feed, kind, run.at)
            await self._desk.write(self._desk.ledger.in_step, feed, kind, run.at)

    async def _pick(self, room: int, feeds: Sequence[Feed]) -> Errands:
        """The room is shared evenly; what one feed leaves free goes to the others."""
        if not feeds or room < 1:
            return Errands()
        owed = await self._desk.write(self._desk.ledger.owed, feeds, room)
        queues = [[one for one in owed if one[0] == feed.name] for feed in feeds]
        turns = (one for turn in zip_longest(*queues) for one in turn if one is not None)
        owners = {f"{one[0]}.{one[1]}": one for one in islice(turns, room)}
        return Errands({key: self._feeds[name][1].ask(owner) for key, (name, owner, _) in owners.items()}, owners)

    async def _keep(self, run: Run, errands: Errands, told: Mapping[str, Any], refused: Mapping[str, B24Error]) -> None:
        for feed, kind in self._feeds.values():
            mine = {key: one for key, one in errands.owners.items() if one[0] == feed.name}
            answers = {owner: told[key] for key, (_, owner, _) in mine.items() if key in told}
            errors = {owner: refused[key] for key, (_, owner, _) in mine.items() if key in refused}
            # Where others were answered, a refusal is about the owner and not about the right to ask.
            of_owner = (*_OF_ONE_OWNER, NotAllowed) if answers else _OF_ONE_OWNER
            for owner, error in errors.items():
                if isinstance(error, of_owner):
                    answers[owner] = (untold(owner, str(error)),)
            if answers:
                owed = {owner: times for _, owner, times in mine.values()}
                rows = await self._desk.write(self._desk.ledger.keep_attached, feed, kind, answers, owed, run.at)
                run.wrote(feed, rows)
            if left := next((error for owner, error in errors.items() if owner not in answers), None):
                await self._desk.note(run, [feed], {feed.name: left})
