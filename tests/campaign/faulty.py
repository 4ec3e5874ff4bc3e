"""A wire on which the practice portal's transport faults happen, without a socket and without waiting."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from b24metrics.sim import php
from b24metrics.sim.core import Ask, Reply
from b24metrics.sim.faults import Transport
from tests.mirror.conftest import Line


@dataclass
class FaultyLine(Line):
    """What a client feels of each fault; ``on_answer`` is called between any two requests."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        reply = self.portal.handle(Ask("POST", request.url.path, "", php.parse_json(await request.aread()), None, True))
        self.on_answer(self.requests)
        return _felt(reply)


def _felt(reply: Reply) -> httpx.Response:
    half = reply.body[: max(1, len(reply.body) // 2)]
    match reply.fault.what if reply.fault else None:
        case Transport.RESET:
            raise httpx.ReadError("reset")
        case Transport.HANG:
            raise httpx.ReadTimeout("no answer")
        case Transport.DROP:
            raise httpx.RemoteProtocolError("the body ended too early")
        case Transport.CUT:
            return httpx.Response(reply.status, content=half, headers=reply.headers)
    # A slow body is a whole one; error pages of the front are answers.
    return httpx.Response(reply.status, content=reply.body, headers=reply.headers)
