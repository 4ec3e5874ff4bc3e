"""What a portal says of itself: time, scopes, methods. Four questions that fit one batch and need no scope.

Laws: the portal's clock is the clock of its data; compare with it and not with one's own.
Source: vendor, "Common methods".
"""

from __future__ import annotations

from datetime import datetime

from b24metrics.crm.entity import Entity, one, plain, wire
from b24metrics.crm.moments import moment
from b24metrics.crm.values import flag, texts
from b24metrics.crm.wiretypes import Flag
from b24metrics.portal.request import Request


class MethodState(Entity):
    """Whether the portal has a method, and whether this webhook may call it."""

    exists: Flag = wire("IS_EXISTING")
    available: Flag = wire("IS_AVAILABLE")


def server_time() -> Request[datetime]:
    """The portal's clock, UTC."""
    return Request("server.time", {}, plain(moment, "server.time"))


def scopes() -> Request[tuple[str, ...]]:
    """Scopes of the webhook or token."""
    return Request("scope", {}, plain(texts, "scope"))


def method_state(method: str) -> Request[MethodState]:
    """Whether a method can be called."""
    return Request("method.get", {"name": method}, one(MethodState.reader("method.get")))


def is_admin() -> Request[bool]:
    """Whether the person behind the webhook sees everything."""
    return Request("user.admin", {}, plain(lambda result: bool(flag(result)), "user.admin"))
