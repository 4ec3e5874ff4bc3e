"""Events: handlers, their delivery, the offline queue.

Laws: a delivery goes to loopback addresses only, once, from a thread of its own; nobody waits for it unless `flush` is
called. The offline queue keeps one record per event and object, the latest. Source: vendor, "Events", "Offline events".
"""

from __future__ import annotations

import ipaddress
import json
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlsplit

from b24metrics.sim.accounts import Application
from b24metrics.sim.data import Data

CRM_EVENTS = tuple(
    f"ONCRM{entity}{what}"
    for entity in ("LEAD", "DEAL", "CONTACT", "COMPANY", "QUOTE", "INVOICE", "ACTIVITY", "CURRENCY", "DYNAMICITEM")
    for what in ("ADD", "UPDATE", "DELETE")
)
OTHER_EVENTS = (
    "ONCRMDEALMOVETOCATEGORY", "ONCRMINVOICESETSTATUS", "ONCRMTIMELINECOMMENTADD", "ONCRMTIMELINECOMMENTUPDATE",
    "ONCRMTIMELINECOMMENTDELETE", "ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE", "ONVOXIMPLANTCALLINIT",
    "ONVOXIMPLANTCALLSTART", "ONVOXIMPLANTCALLEND", "ONUSERADD", "ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL",
    "ONAPPPAYMENT", "ONOFFLINEEVENT",
)  # fmt: skip
NAMES = frozenset(CRM_EVENTS + OTHER_EVENTS)

#: Reserved records that nobody confirms come free again after this long.
RESERVED_SECONDS = 30 * 86_400


def known(event: str) -> bool:
    """Whether an event of this name exists; dynamic items may carry their type (``ONCRMDYNAMICITEMADD_177``)."""
    return event in NAMES or (event.startswith("ONCRMDYNAMICITEM") and event.rpartition("_")[0] in NAMES)


@dataclass(frozen=True, slots=True)
class Binding:
    """One handler of one event; ``handler`` is '' for the offline queue. ``application`` None: a hand-made webhook."""

    number: int
    event: str
    handler: str
    auth_type: int = 0
    application: Application | None = None
    connector: str = ""
    token: str = field(default="", repr=False)

    @property
    def offline(self) -> bool:
        return not self.handler


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one delivery: the handler's HTTP status, or why there was none."""

    event: str
    handler: str
    status: int
    problem: str = ""


class Events:
    """Bindings of one portal and what goes out to them."""

    def __init__(self, data: Data, *, domain: str, member_id: str) -> None:
        self.data = data
        self.domain = domain
        self.member_id = member_id
        self.bindings: list[Binding] = []
        self.deliveries: list[Delivery] = []
        self._numbers = 0
        self._outbox: queue.Queue[tuple[Binding, bytes] | None] = queue.Queue()
        self._postman: threading.Thread | None = None

    # ------------------------------------------------------------ bindings

    def bind(
        self,
        event: str,
        handler: str,
        *,
        auth_type: int = 0,
        application: Application | None = None,
        connector: str = "",
        token: str = "",
    ) -> Binding:
        self._numbers += 1
        binding = Binding(self._numbers, event.upper(), handler, auth_type, application, connector, token)
        self.bindings.append(binding)
        return binding

    def unbind(self, event: str, handler: str, application: Application, auth_type: int | None = None) -> int:
        """How many were removed."""
        gone = [
            b
            for b in self.bindings
            if b.event == event.upper()
            and b.handler == handler
            and b.application is application
            and auth_type in {None, b.auth_type}
        ]
        self.bindings = [b for b in self.bindings if b not in gone]
        return len(gone)

    # ------------------------------------------------------------ emitting

    def emit(self, event: str, data: Mapping[str, object], *, now: float, connector: str = "") -> None:
        """Something happened; ``data`` is what handlers get as ``data``."""
        for binding in self.bindings:
            if binding.event != event:
                continue
            if not binding.offline:
                self._post(binding, data, now)
            elif not binding.connector or binding.connector != connector:
                self._queue(event, data, now, binding.connector)

    def _queue(self, event: str, data: Mapping[str, object], now: float, connector: str) -> None:
        content = json.dumps(data)
        where = "EVENT_NAME = ? AND EVENT_DATA = ? AND AUTH_CONNECTOR = ? AND PROCESS_ID = ''"
        known_already = self.data.value(f"SELECT ID FROM offline_event WHERE {where}", [event, content, connector])
        if known_already is not None:
            self.data.update("offline_event", "ID = ?", [known_already], {"TIMESTAMP_X": int(now)})
            return
        number = self.data.next_id("offline_event")
        self.data.insert(
            "offline_event",
            {
                "ID": number,
                "TIMESTAMP_X": int(now),
                "EVENT_NAME": event,
                "EVENT_DATA": content,
                "MESSAGE_ID": str(number),
                "AUTH_CONNECTOR": connector,
            },
        )
        for waker in self.bindings:
            if waker.event == "ONOFFLINEEVENT" and not waker.offline:
                self._post(waker, {}, now)

    def _post(self, binding: Binding, data: Mapping[str, object], now: float) -> None:
        body = form(
            {
                "event": binding.event,
                "event_handler_id": str(binding.number),
                "data": data,
                "ts": str(int(now)),
                "auth": {
                    "domain": self.domain,
                    "client_endpoint": f"https://{self.domain}/rest/",
                    "server_endpoint": "https://oauth.bitrix.info/rest/",
                    "member_id": self.member_id,
                    "application_token": binding.token
                    or (binding.application.application_token if binding.application else ""),
                },
            }
        ).encode("ascii")
        if self._postman is None:
            self._postman = threading.Thread(target=self._deliver, name="b24-practice-events", daemon=True)
            self._postman.start()
        self._outbox.put((binding, body))

    def _deliver(self) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while (letter := self._outbox.get()) is not None:
            self.deliveries.append(_send(opener, *letter))
            self._outbox.task_done()
        self._outbox.task_done()

    def flush(self) -> None:
        """Wait until everything that was emitted so far has been delivered."""
        self._outbox.join()

    def close(self) -> None:
        if self._postman is not None:
            self._outbox.put(None)
            self._postman.join()
            self._postman = None


def _send(opener: urllib.request.OpenerDirector, binding: Binding, body: bytes) -> Delivery:
    if not is_loopback(binding.handler):
        return Delivery(binding.event, binding.handler, 0, "only loopback addresses are served")
    request = urllib.request.Request(  # noqa: S310 - http on loopback, just checked
        binding.handler, body, {"Content-Type": "application/x-www-form-urlencoded"}
    )
    try:
        with opener.open(request, timeout=5) as answer:
            return Delivery(binding.event, binding.handler, answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return Delivery(binding.event, binding.handler, refused.code)
    except OSError as fault:
        return Delivery(binding.event, binding.handler, 0, str(fault))


def is_loopback(url: str) -> bool:
    """Whether an address is plain HTTP on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return False
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


def form(value: Mapping[str, object]) -> str:
    """PHP's ``http_build_query``."""
    parts: list[str] = []

    def walk(name: str, member: object) -> None:
        if isinstance(member, Mapping):
            for key, inner in member.items():
                walk(f"{name}[{key}]" if name else str(key), inner)
        else:
            parts.append(f"{quote_plus(name)}={quote_plus(str(member))}")

    walk("", value)
    return "&".join(parts)
