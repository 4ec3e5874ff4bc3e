"""Notices of the portal: what it posts to a handler, and the queue of events that it keeps for an application.

Laws: a notice names a record and says nothing of it; it is believed only after its token was compared, in constant time;
it may be lost, late, doubled or out of order, so it wakes whoever reads the portal and never replaces the reading. What
nobody asked for in a body is not looked at.
Source: vendor, "Events", "Safe event handlers", "Offline events".
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from b24metrics.crm.entity import Entity, many, wire
from b24metrics.crm.values import reference, text
from b24metrics.crm.wiretypes import Instant, Key, Map, Text
from b24metrics.portal.address import Secret
from b24metrics.portal.request import Request

MOST_FIELDS: Final = 1000
"""Fields that a notice may have; the portal's have some twenty, or as many as a call has properties."""

_IDS = ("data[FIELDS][ID]", "data[FIELDS_AFTER][ID]", "data[FIELDS_BEFORE][ID]", "data[ID]")


@dataclass(frozen=True, slots=True)
class Notice:
    """One event, as it was posted.

    Attributes:
        event: its name in capitals. record_id: the record it names, or None. token: to be compared, see ``is_from``.
        domain: the portal, as it calls itself; not proven.
    """

    event: str
    record_id: int | None
    token: Secret
    domain: str = ""

    def is_from(self, tokens: Iterable[Secret]) -> bool:
        """Whether it carries one of these tokens. Takes as long whatever it carries."""
        told = self.token.reveal().encode()
        same = [hmac.compare_digest(told, token.reveal().encode()) for token in tokens if token]
        return any(same)


def read_notice(body: bytes) -> Notice:
    """The notice in the body of a post (``application/x-www-form-urlencoded``).

    Raises:
        ValueError: it is none; the text does not quote it.
    """
    try:
        fields = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:  # also what is no text
        fields = {}
    event = fields.get("event", "")
    if not event or len(event) > 100 or not event.replace("_", "").isalnum():
        raise ValueError("not a notice of a portal")
    return Notice(
        event=event.upper(),
        record_id=_number(next((fields[name] for name in _IDS if name in fields), None)),
        token=Secret(fields.get("auth[application_token]", "")),
        domain=fields.get("auth[domain]", ""),
    )


def _number(said: str | None) -> int | None:
    try:
        return reference(said)
    except ValueError:
        return None


# ---------------------------------------------------------------- bindings, for applications


class Binding(Entity):
    """A handler of an event; ``handler`` is None where the event goes to the offline queue."""

    event: Key[str] = wire("EVENT", "event")
    handler: Text = wire("HANDLER", "handler")


def bind(event: str, handler: str, *, least_seconds: int | None = None) -> Request[bool]:
    """Let the portal post an event to an address. Only applications may.

    ``least_seconds``: between two posts, for ``ONOFFLINEEVENT``. Binding the same twice is refused by the portal.
    """
    params: dict[str, object] = {"event": event, "handler": handler}
    if least_seconds is not None:
        params["options"] = {"minTimeout": least_seconds}
    return Request("event.bind", params, bool, repeatable=False)


def bind_offline(event: str) -> Request[bool]:
    """Let the portal keep an event in the application's queue. Needs an administrator's application."""
    return Request("event.bind", {"event": event, "event_type": "offline"}, bool, repeatable=False)


def bindings() -> Request[tuple[Binding, ...]]:
    """What the application has bound."""
    return Request("event.get", {}, many(Binding.reader("event.get")))


# ---------------------------------------------------------------- the offline queue


class OfflineEvent(Entity):
    """The last event of one record that the queue holds. ``message_id`` names it when it is confirmed."""

    message_id: Key[str] = wire("MESSAGE_ID")
    event: Key[str] = wire("EVENT_NAME")
    at: Instant = wire("TIMESTAMP_X")
    data: Map = wire("EVENT_DATA")

    @property
    def record_id(self) -> int | None:
        """The record that it names."""
        fields = self.data.get("FIELDS") if self.data else None
        found = fields.get("ID") if isinstance(fields, Mapping) else None
        return _number(text(found))


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken from the queue. ``process_id``: names a reservation that is to be confirmed; None without one."""

    process_id: str | None
    events: tuple[OfflineEvent, ...]


def take_offline(*, limit: int = 50, reserve: bool = True) -> Request[Taken]:
    """Take the oldest events from the queue.

    With ``reserve`` they stay reserved until ``confirm_offline``, so that a crash loses none; without, they are gone at
    once (portals without the extended queue know no other way).
    """
    params = {"limit": limit, "clear": 0 if reserve else 1}
    return Request("event.offline.get", params, _taken, repeatable=reserve)


def confirm_offline(process_id: str) -> Request[bool]:
    """Everything that was taken under this reservation has been dealt with."""
    return Request("event.offline.clear", {"process_id": process_id}, bool, repeatable=False)


def _taken(result: object) -> Taken:
    read = OfflineEvent.reader("event.offline.get")
    found = result if isinstance(result, Mapping) else {}
    return Taken(text(found.get("process_id")), many(read, "events")(found))
