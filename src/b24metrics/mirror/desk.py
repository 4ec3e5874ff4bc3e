"""What backfill and rounds share: asking, writing, and failing alone.

Laws: the database is written in a worker thread, one thing at a time, so that whoever shares the event loop goes on.
The portal's clock is the clock; ours only measures what has passed since we heard it. A failure that concerns one feed
is written down for it and ends there; one that concerns all is raised.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from b24metrics.clock import Clock
from b24metrics.errors import (
    B24Error,
    BadRequest,
    BatchFailed,
    MirrorError,
    NoSuchMethod,
    NoSuchRecord,
    NotAllowed,
    PortalFault,
    TryLater,
    UnreadableReply,
    UnreadableRow,
    WalkCut,
)
from b24metrics.mirror.feed import Feed
from b24metrics.mirror.ledger import Ledger
from b24metrics.portal.limits import Gate, Lane
from b24metrics.portal.request import Batch, Listing, Page, Request

T = TypeVar("T")

_OFF_FOR = 3600.0  # seconds after which a feed without permission is tried again
_OF_ONE_FEED = (
    BadRequest, MirrorError, NoSuchMethod, NoSuchRecord, NotAllowed, PortalFault, TryLater, UnreadableReply, UnreadableRow,
)  # fmt: skip


class Client(Protocol):
    """What the mirror needs of an AsyncPortal."""

    @property
    def host(self) -> str: ...

    @property
    def gate(self) -> Gate: ...

    def pages(
        self,
        listing: Listing[T],
        *,
        expect: int | None = None,
        lane: Lane | None = None,
        patience: float | None = None,
    ) -> AsyncGenerator[Page[T], None]: ...

    async def batch(
        self, batch: Batch, *, lane: Lane | None = None, patience: float | None = None
    ) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Report:
    """What a backfill or a round did.

    Attributes:
        at: the portal's time when it began. rows: feed → rows written. errors: feed → why it is not up to date.
        buried: feed → deletions found. healed: feed → lost records found and fetched. doubts: feed → why what seems to
        be deleted is not believed.
    """

    at: datetime
    rows: Mapping[str, int]
    errors: Mapping[str, str]
    buried: Mapping[str, int] = field(default_factory=dict)
    healed: Mapping[str, int] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """Counters of one backfill or round."""

    at: datetime
    started: float
    rows: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def wrote(self, feed: Feed, rows: int) -> None:
        self.rows[feed.name] = self.rows.get(feed.name, 0) + rows

    @property
    def report(self) -> Report:
        return Report(self.at, dict(self.rows), dict(self.errors))


class Desk:
    """One portal's client, ledger and clock."""

    def __init__(self, client: Client, ledger: Ledger, clock: Clock) -> None:
        self.client = client
        self.ledger = ledger
        self.clock = clock
        self._writing = threading.Lock()
        self._skew = 0.0
        self._off_until: dict[str, float] = {}

    # ------------------------------------------------------------ asking

    async def ask(
        self, asked: Mapping[str, Request[Any]], *, lane: Lane | None = None, patience: float | None = None
    ) -> tuple[Mapping[str, Any], Mapping[str, B24Error]]:
        """Answers and refusals of a batch, by name. ``patience``: seconds to wait for budgets, if not the client's."""
        if not asked:
            return {}, {}
        try:
            return await self.client.batch(Batch(asked), lane=lane, patience=patience), {}
        except BatchFailed as partly:
            return partly.done, partly.failed

    def begin(self, told: Mapping[str, Any], refused: Mapping[str, B24Error]) -> Run:
        """A run that begins at the portal's time, which was asked for as ``now``."""
        if "now" not in told:
            raise refused["now"]
        now: datetime = told["now"]
        self._skew = now.timestamp() - self.clock.now()
        return Run(now, self.clock.monotonic())

    def portal_now(self) -> datetime:
        """The portal's time, as far as we have heard it."""
        return datetime.fromtimestamp(self.clock.now() + self._skew, UTC)

    # ------------------------------------------------------------ writing

    async def write(self, work: Callable[..., T], *args: Any, **named: Any) -> T:
        """Do something with the database in a worker thread, one thing at a time."""

        def locked() -> T:
            with self._writing:
                return work(*args, **named)

        return await asyncio.to_thread(locked)

    # ------------------------------------------------------------ failing

    async def isolated(self, feed: Feed, run: Run, work: Awaitable[None]) -> None:
        """Let a feed fail alone, if the failure is its own."""
        try:
            await work
        except B24Error as error:
            await self.note(run, [feed], {feed.name: error})

    async def note(self, run: Run | None, feeds: Iterable[Feed], errors: Mapping[str, B24Error]) -> None:
        """Write down why feeds failed. Without a run all of them did, and whoever calls raises.

        Raises:
            B24Error: one of the errors concerns all feeds.
        """
        for feed in feeds:
            if feed.name not in errors:
                continue
            error = errors[feed.name]
            cause = error.__cause__ if isinstance(error, WalkCut) and isinstance(error.__cause__, B24Error) else error
            if isinstance(cause, MirrorError) and type(cause) is not MirrorError:
                raise cause  # the database itself: nothing can be written down either
            sentence = str(cause)
            if _is_for_long(cause):
                self._off_until[feed.name] = self.clock.monotonic() + _OFF_FOR
                sentence = _switched_off(feed, cause)
            await self.write(self.ledger.fail, feed.name, sentence)
            if run is not None:
                if not isinstance(cause, _OF_ONE_FEED):
                    raise cause
                run.errors[feed.name] = sentence

    def is_off(self, feed: Feed) -> bool:
        """Whether a feed was refused not long ago."""
        return self._off_until.get(feed.name, -math.inf) > self.clock.monotonic()


def _is_for_long(cause: B24Error) -> bool:
    """Whether a refusal will be the same in the next round: a right, a method or a kind of record is missing."""
    return isinstance(cause, (NotAllowed, NoSuchMethod)) or _knows_no_such_kind(cause)


def _knows_no_such_kind(cause: B24Error) -> bool:
    return isinstance(cause, BadRequest) and str(cause.code).casefold() == "entity_type_not_supported"


def _switched_off(feed: Feed, cause: B24Error) -> str:
    if isinstance(cause, NoSuchMethod):
        why = f"this portal does not offer {cause.method}"
    elif not isinstance(cause, NotAllowed):
        why = "this portal has no records of that kind"
    else:
        scope = cause.missing_scope or feed.scope
        why = (
            f"the webhook may not call {cause.method}: tick its scope {scope!r}, or give its owner the right to see "
            "these records"
        )
    return f"{feed.name}: not copied, because {why}. Everything else goes on; this is tried again every hour."


async def together(work: Iterable[Awaitable[None]]) -> None:
    """Do things side by side; the first failure ends them all and is raised as it is."""

    async def one(awaitable: Awaitable[None]) -> None:
        await awaitable

    first: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for awaitable in work:
                group.create_task(one(awaitable))
    except BaseExceptionGroup as failures:
        first = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
    if first is not None:
        raise first  # out here, so that its own cause stays
