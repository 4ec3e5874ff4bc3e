"""Walks over listings: pages by id in chains, by offset where a method knows no better.

Laws: a page that is handed out is true and complete: nothing before its cursor is missing. A walk that cannot go on
raises WalkCut with its cursor, and what was handed out stays valid. Nothing is ever cut short in silence.

A chain is one batch in which every page begins where the page before it ended: ``filter[>ID]=$result[c00][49][ID]``.
Behind a short page such a reference points to nothing, and the portal then lists from anywhere; so a chain is sized
from what is expected, bounded by the last id where one is known, and read only up to its first short page.
Source: vendor, "Performance: huge data"; the vendor's SDKs chain in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from b24metrics.errors import B24Error, UnreadableReply, UnreadableRow, WalkCut
from b24metrics.portal.dialects import (
    PAGE,
    Dialect,
    Paging,
    dialect_of,
    last_id_request,
    page_request,
    read_page,
)
from b24metrics.portal.flows import Errand, Flow, Hand, Line, Trial, admission, attempt
from b24metrics.portal.refusals import Cure, Refusal
from b24metrics.portal.request import MAX_COMMANDS, Answer, Listing, Page, Ref, Request
from b24metrics.portal.wire import MAX_LEAVES, command, count_leaves, plain

T = TypeVar("T")

_FIRST_CHAIN = 4
_LAST = "last"


def walk(line: Line, listing: Listing[T], expect: int | None = None) -> Flow[None]:
    """Hand out all pages of a listing.

    ``expect``: about how many rows there are, when known; it saves commands, and a wrong number costs only time.

    Raises:
        WalkCut: the walk could not finish. ValueError: the method cannot express the listing.
    """
    dialect = dialect_of(listing.method)
    page_request(listing)  # what cannot be expressed is told plainly, before anything is sent
    stroll = _Stroll(line, listing, dialect, Trial(line, listing.method), expect)
    try:
        yield from stroll.by_id() if dialect.paging is Paging.KEYSET else stroll.by_offset()
    except B24Error as error:
        left = stroll.left
        raise WalkCut(
            f"{listing.method} stopped after {left.floor}: {error}", cursor=left.floor, listing=left
        ) from error


@dataclass(slots=True)
class _Stroll(Generic[T]):
    """Where a walk stands. ``left``: what is still to come."""

    line: Line
    left: Listing[T]
    dialect: Dialect
    trial: Trial
    expect: int | None
    seen: int = 0
    last_id: int | None = None
    density: float | None = None  # rows per id, in the stretch walked last
    chainable: bool = True

    # ------------------------------------------------------------ by id

    def by_id(self) -> Flow[None]:
        if self.left.ceiling is not None:
            if self.left.ceiling <= self.left.floor:
                return
            self.last_id = self.left.ceiling
        self.chainable = self._fits_a_command()
        done = False
        while not done:
            wanted = self._wanted()
            if wanted > 1 and self.chainable:
                done = yield from self._chain(wanted)
            else:
                page = yield from self._single(page_request(self.left))
                done = not page.more
                yield from self._hand(page)

    def _fits_a_command(self) -> bool:
        """Whether the filter can travel in a batch: not with thousands of values, nor with text like a reference."""
        params = page_request(self.left).params
        try:
            command(self.left.method, params)
        except ValueError:
            return False
        return count_leaves(params) <= MAX_LEAVES

    def _wanted(self) -> int:
        """How many pages the next request should ask for."""
        most = MAX_COMMANDS
        if self.left.ceiling is not None:  # a page that ends at the last id proves the end as well as a short one
            most = min(most, math.ceil((self.left.ceiling - self.left.floor) / PAGE))
        if self.expect is not None and self.seen < self.expect:
            # One more than full: only a short page proves the end.
            return max(1, min(most, (self.expect - self.seen) // PAGE + 1))
        beyond, self.expect = self.expect is not None, None
        if self.last_id is None or self.density is None:
            # One look behind what was expected; if that is full too, we know nothing.
            return 1 if beyond or self.seen == 0 else _FIRST_CHAIN
        rows = max(0, self.last_id - self.left.floor) * self.density
        return max(1, min(most, math.ceil(rows / PAGE)))

    def _chain(self, wanted: int) -> Flow[bool]:
        """Ask for several pages in one batch and hand out those that came; True when the listing has ended."""
        line, method = self.line, self.left.method
        probing = self.last_id is None and self.expect is None
        size = 1

        def work() -> tuple[Mapping[str, int], bool]:
            nonlocal size
            size = line.gate.commands(method, wanted, line.lane)
            return {method: size + probing}, True

        ticket = yield from admission(line, self.trial, work)
        keys = [f"c{n:02}" for n in range(size)]
        commands = {key: self._command(keys[n - 1] if n else None) for n, key in enumerate(keys)}
        if probing:  # behind the chain, so that its failure spoils nothing
            commands[_LAST] = command(method, last_id_request(self.left).params)
        errand = Errand(
            "batch",
            {"halt": 1, "cmd": commands},
            {method: len(commands)},
            commands=dict.fromkeys(commands, method),
        )
        got = yield from attempt(line, self.trial, errand, ticket)
        if got is None:
            return False
        if probing:
            self._probed(got.parts.get(_LAST))
        return (yield from self._read_chain(keys, got.parts))

    def _command(self, before: str | None) -> str:
        """A page of the chain: the first begins at the cursor, the others where the page before them ends."""
        if before is None:
            return command(self.left.method, page_request(self.left).params)
        path: tuple[str | int, ...] = (*self.dialect.rows, PAGE - 1, str(self.dialect.id_out))
        return command(self.left.method, page_request(self.left, after=Ref(before, path)).params, {before: before})

    def _read_chain(self, keys: list[str], parts: Mapping[str, Answer | Refusal]) -> Flow[bool]:
        """Hand out the pages of a chain, in order, up to the first that is short, refused, missing or false."""
        for n, key in enumerate(keys):
            part = parts.get(key)
            if part is None:  # not run: a command before it was refused, or the portal lost it
                if n == 0:
                    why = f"{self.line.host}: a batch came back without its first command"
                    yield from self.trial.failed(UnreadableReply(why, host=self.line.host))
                return False
            if isinstance(part, Refusal):
                yield from self._refused(part)
                return False
            try:
                page = read_page(self.left, part)
            except UnreadableRow:
                raise
            except UnreadableReply:
                if n == 0:
                    raise
                # The reference led nowhere although its page was full: go on page by page, from the last true one.
                self.chainable = False
                return False
            yield from self._hand(page)
            if not page.more:
                return True
        return False

    def _refused(self, refusal: Refusal) -> Flow[None]:
        """A command inside a chain was refused: wait where that helps."""
        match refusal.cure:
            case Cure.REST:
                return  # the Gate knows, and says how long at the next admission
            case Cure.PAUSE | Cure.REPEAT:
                yield from self.trial.failed(refusal.error)
            case _:
                raise refusal.error

    def _probed(self, part: Answer | Refusal | None) -> None:
        if isinstance(part, Answer):
            found = last_id_request(self.left).read(part)
            # Nothing there: rows were deleted meanwhile; the walk will see for itself.
            self.last_id = self.left.floor if found is None else found

    # ------------------------------------------------------------ by offset, or whatever the method offers

    def by_offset(self) -> Flow[None]:
        begin, total = self.left, None
        while True:
            page = yield from self._single(page_request(self.left))
            fewer = page.size == 0 or (page.total is not None and total is not None and page.total < total)
            if self.dialect.paging is Paging.OFFSET and total is not None and fewer:
                self.left = begin
                raise UnreadableReply(
                    f"{begin.method}: rows vanished while the listing was read, so others may have been skipped: "
                    "read it again",
                    host=self.line.host,
                )
            total = page.total
            if page.more and page.onward == self.left:
                raise UnreadableReply(f"{begin.method}: the portal promises more and stands still", host=self.line.host)
            yield from self._hand(page)
            if not page.more:
                return

    # ------------------------------------------------------------ both

    def _single(self, request: Request[Page[T]]) -> Flow[Page[T]]:
        """One page in a request of its own."""
        errand = Errand(
            request.method,
            plain(request.params),
            {request.method: 1},
            repeatable=request.repeatable,
            rest3=request.rest3,
        )
        while True:
            ticket = yield from admission(self.line, self.trial, lambda: (errand.work, False))
            got = yield from attempt(self.line, self.trial, errand, ticket)
            if got is not None:
                return request.read(got.answer)

    def _hand(self, page: Page[Any]) -> Flow[None]:
        """Move on behind a page and hand it out."""
        if page.cursor > self.left.floor > 0:
            self.density = page.size / (page.cursor - self.left.floor)
        self.left = page.onward
        self.seen += page.size
        self.trial.passed()
        yield Hand(page)
