"""Notices of the portal wake the next round early; polling stays the truth.

Laws: a notice without our token is refused, and nothing of it is looked at or written down; an accepted one only rings a
bell. The bell rings as often as it likes: rounds answer it at most once in ``rest`` seconds, so a portal in full swing
costs no more than that. A body is read up to ``LARGEST`` bytes and for ``PATIENCE`` seconds, no further.
Source: vendor, "Outgoing webhook", "Safe event handlers".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from b24metrics.crm.events import read_notice
from b24metrics.portal.address import Secret

#: Bytes of a body that are read at most; a notice has some hundreds.
LARGEST = 64 * 1024

#: Seconds that a body may take to arrive.
PATIENCE = 10.0


class Bell:
    """Rung by notices, heard by the round. ``rest``: least seconds between the beginnings of two rounds it wakes."""

    def __init__(self, rest: float = 2.0) -> None:
        self.rest = rest
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Something has changed in the portal."""
        self._rung.set()

    @property
    def has_rung(self) -> bool:
        """Whether it has rung since ``muffle``."""
        return self._rung.is_set()

    async def heard(self) -> None:
        """Until it rings; at once when it has rung since ``muffle``."""
        await self._rung.wait()

    def muffle(self) -> None:
        """What has rung so far is being answered."""
        self._rung.clear()


class Push:
    """The endpoint. ``tokens``: of the portal's outgoing webhooks and applications that may ring."""

    def __init__(self, tokens: Sequence[Secret], bell: Bell) -> None:
        self._tokens = tuple(tokens)
        self._bell = bell
        self._counts: Counter[str] = Counter(accepted=0, forged=0, unreadable=0)

    @property
    def counts(self) -> Mapping[str, int]:
        """Notices by what became of them."""
        return dict(self._counts)

    async def answer(self, request: Request) -> Response:
        """Ring for a notice that carries a token of ours."""
        try:
            async with asyncio.timeout(PATIENCE):
                body = await _body(request)
        except (TimeoutError, ClientDisconnect):
            return self._refused("unreadable", 408, "The notice did not arrive in time.")
        if body is None:
            return self._refused("unreadable", 413, "No notice is that long.")
        try:
            notice = read_notice(body)
        except ValueError:
            return self._refused("unreadable", 400, "This is no notice of a portal.")
        if not notice.is_from(self._tokens):
            return self._refused("forged", 403, "The notice does not carry the token that was agreed on.")
        self._counts["accepted"] += 1
        self._bell.ring()
        return Response(status_code=204)

    def _refused(self, why: str, status: int, sentence: str) -> Response:
        self._counts[why] += 1
        return PlainTextResponse(f"{sentence}\n", status_code=status)


async def _body(request: Request) -> bytes | None:
    """The whole body; None when it is too long."""
    found = bytearray()
    async for piece in request.stream():
        found += piece
        if len(found) > LARGEST:
            return None
    return bytes(found)
