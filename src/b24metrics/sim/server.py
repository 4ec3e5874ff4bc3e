"""The practice portal as a real HTTP(S) server on loopback, and the handle by which tests hold it.

Laws: it binds loopback addresses only, on free ports unless told; requests are decoded here and decided in `core`;
HTTPS with a certificate of its own authority starts when it is first asked for. Work happens in threads under one lock,
waiting happens outside of it, so that slow answers do not hold up others.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import json
import socket
import struct
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypedDict, TypeVar, Unpack

import duckdb
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from b24metrics.clock import Clock, HandClock, SystemClock
from b24metrics.sim import php, tls
from b24metrics.sim.accounts import ALL_SCOPES, Application, Sight, Token, Webhook
from b24metrics.sim.core import Ask, Logged, PracticePortal, Reply, Switches
from b24metrics.sim.data import Data
from b24metrics.sim.events import Delivery
from b24metrics.sim.faults import Fault, Transport
from b24metrics.sim.limits import Costs, OperatingMeter, RateBucket
from b24metrics.sim.records import Hand, Records
from b24metrics.sim.refusals import Refusal
from b24metrics.sim.tables import EntityType, create_dynamic

__all__ = ["Happening", "Sim", "SimOptions", "run_forever"]

#: Secret of the webhook that every practice portal has. It opens nothing but practice data.
WEBHOOK_SECRET = "practice0portal0secret"

T = TypeVar("T")

_REALLY = SystemClock()  # what clients on the other side of a socket can feel


class Happening(Protocol):
    """A change that somebody made straight in the database: ``what`` is ADD, UPDATE or DELETE."""

    @property
    def what(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def id(self) -> int: ...
    @property
    def at(self) -> int: ...


class SimOptions(TypedDict, total=False):
    """Options of a practice portal.

    clock: shared with client and test; a HandClock unless given.
    data: a DuckDB connection or file with the tables of `tables`; an empty portal unless given.
    bucket, meter, costs, switches: limits and behaviour, see `limits` and `core.Switches`.
    plan: ``ent`` for the larger request bucket.
    host, port: where to listen; loopback only, port 0 is any free one.
    secret: of the administrator's webhook.
    keep_log: how many commands the log remembers.
    """

    clock: Clock
    data: duckdb.DuckDBPyConnection | str | Path
    bucket: RateBucket
    meter: OperatingMeter
    costs: Costs
    switches: Switches
    plan: str
    host: str
    port: int
    secret: str
    keep_log: int


# ---------------------------------------------------------------- HTTP


class _Protocol(H11Protocol):
    """Hands the transport to the application, which may have to break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Front:
    """The ASGI application: decodes, asks the portal, sends, waits and breaks."""

    def __init__(self, portal: PracticePortal) -> None:
        self.portal = portal
        self.stopping = asyncio.Event()
        self._workers = ThreadPoolExecutor(4, "b24-practice")

    def close(self) -> None:
        self._workers.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            ask = await _decoded(request)
        except ClientDisconnect:
            return
        loop = asyncio.get_running_loop()
        reply = await loop.run_in_executor(self._workers, self.portal.handle, ask)
        if reply.seconds:
            await _REALLY.asleep(reply.seconds)
        if reply.fault is None:
            await _send(send, reply)
        else:
            await self._break(scope, receive, send, reply, reply.fault)

    async def _break(self, scope: Scope, receive: Receive, send: Send, reply: Reply, fault: Fault) -> None:
        transport: asyncio.Transport = scope["state"]["transport"]
        half = reply.body[: max(1, len(reply.body) // 2)]
        match fault.what:
            case Transport.RESET:
                _reset(transport)
            case Transport.HANG:
                await self._until_gone(receive)
                transport.abort()
            case Transport.CUT:
                await _send(send, replace(reply, body=half))
            case Transport.DROP:
                await send(_head(reply, len(reply.body)))
                await send({"type": "http.response.body", "body": half, "more_body": True})
                transport.abort()
            case Transport.SLOW:
                await send(_head(reply, len(reply.body)))
                await send({"type": "http.response.body", "body": half, "more_body": True})
                await _REALLY.asleep(fault.seconds)
                await send({"type": "http.response.body", "body": reply.body[len(half) :]})

    async def _until_gone(self, receive: Receive) -> None:
        """Until the client hangs up or the portal stops."""

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        waits = {asyncio.ensure_future(gone()), asyncio.ensure_future(self.stopping.wait())}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()


def _reset(transport: asyncio.Transport) -> None:
    """End a connection with RST instead of FIN."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _head(reply: Reply, length: int) -> Message:
    headers = [*reply.headers.items(), ("Content-Length", str(length)), ("Server", "nginx")]
    return {
        "type": "http.response.start",
        "status": reply.status,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
    }


async def _send(send: Send, reply: Reply) -> None:
    await send(_head(reply, len(reply.body)))
    await send({"type": "http.response.body", "body": reply.body})


async def _decoded(request: Request) -> Ask:
    """A request with its body read the way PHP would."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    ask = Ask(
        request.method,
        request.url.path,
        request.url.query,
        scheme=request.url.scheme,
        host=request.headers.get("host", ""),
        address=request.client.host if request.client else "",
        idempotency_key=request.headers.get("idempotency-key", ""),
    )
    if kind == "application/json":
        body = await request.body()
        ask.is_json = True
        ask.body = php.parse_json(body)
        with contextlib.suppress(ValueError):
            ask.json = json.loads(body or b"{}")
    elif kind == "multipart/form-data":
        async with request.form() as form:
            ask.body = php.parse_pairs((name, value) for name, value in form.multi_items() if isinstance(value, str))
    elif kind == "application/x-www-form-urlencoded":
        ask.body = php.parse_query((await request.body()).decode("utf-8", "replace"))
    else:
        await request.body()
    return ask


# ---------------------------------------------------------------- the handle


class Sim:
    """A running practice portal.

    >>> with Sim() as sim:                                # doctest: +SKIP
    ...     httpx.post(sim.webhook + "crm.deal.list.json")

    ``webhook`` speaks HTTP, ``https_webhook`` HTTPS with a certificate of ``ca_file``. ``portal`` is everything inside;
    the other methods are what tests need most.
    """

    def __init__(self, **options: Unpack[SimOptions]) -> None:
        self.clock: Clock = options.get("clock") or HandClock()
        self.host = options.get("host", "127.0.0.1")
        if not ipaddress.ip_address("127.0.0.1" if self.host == "localhost" else self.host).is_loopback:
            raise ValueError(f"the practice portal serves loopback addresses only, not {self.host}")
        data = Data(options.get("data"))
        if "plan" in options:
            data.execute("UPDATE settings SET PLAN = ?", [options["plan"]])
        if data.value('SELECT ID FROM "user" WHERE ID = 1') is None:
            data.insert("user", {"ID": 1, "NAME": "Admin", "LAST_NAME": "Practice", "IS_ADMIN": True})
        self.portal = PracticePortal(
            self.clock,
            data,
            bucket=options.get("bucket"),
            meter=options.get("meter"),
            costs=options.get("costs"),
            switches=options.get("switches"),
            keep_log=options.get("keep_log", 100_000),
        )
        self._secret = options.get("secret", WEBHOOK_SECRET)
        self.portal.accounts.add_webhook(Webhook(1, self._secret))
        self._wanted_port = options.get("port", 0)
        self._ports: dict[str, int] = {}
        self._state = ServerState()
        self._listeners: list[asyncio.Server] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._certificates: tls.Certificates | None = None
        self._thread: threading.Thread | None = None
        self._loop = asyncio.new_event_loop()
        self._front: _Front | None = None

    # ------------------------------------------------------------ running

    def start(self) -> Self:
        """Listen on HTTP; returns when requests are answered."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="b24-practice-portal", daemon=True)
        self._thread.start()
        ready.wait()
        self._listen("http", self._wanted_port)
        return self

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._front = _Front(self.portal)
        self._loop.call_soon(ready.set)
        self._loop.run_forever()
        self._loop.close()

    def _wait(self, work: Awaitable[T]) -> T:
        async def doing() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(doing(), self._loop).result()

    def _listen(self, scheme: str, port: int) -> None:
        assert self._front is not None
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # with the protocol named, asyncio turns Nagle off; without, every answer waits 40 ms for an acknowledgement
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.host, port))
        self._ports[scheme] = sock.getsockname()[1]
        files = self._files() if scheme == "https" else None
        config = uvicorn.Config(
            self._front,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            h11_max_incomplete_event_size=1 << 20,
            ssl_certfile=files.cert_file if files else None,
            ssl_keyfile=files.key_file if files else None,
        )
        config.load()
        # uvicorn's own server polls for its end ten times a second; its protocol alone starts and stops at once
        protocol = functools.partial(_Protocol, config=config, server_state=self._state, app_state={})
        self._listeners.append(self._wait(self._loop.create_server(protocol, sock=sock, ssl=config.ssl)))

    def _files(self) -> tls.Certificates:
        if self._certificates is None:
            self._folder = tempfile.TemporaryDirectory(prefix="b24-practice-")
            self._certificates = tls.make(Path(self._folder.name))
        return self._certificates

    def stop(self) -> None:
        """Close everything; may be called twice."""
        if self._thread is None:
            return
        assert self._front is not None
        front = self._front

        async def ending() -> None:
            front.stopping.set()
            for listener in self._listeners:
                listener.close()
            await asyncio.gather(*self._state.tasks, return_exceptions=True)
            for connection in list(self._state.connections):
                connection.transport.abort()  # idle keep-alive connections; TLS would wait for a farewell
            await asyncio.gather(*(listener.wait_closed() for listener in self._listeners))
            for _ in range(3):  # transports end in callbacks of the next rounds
                await asyncio.sleep(0)

        self._wait(ending())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._thread = None
        front.close()
        self.portal.events.close()
        self.portal.data.close()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Sim({self.url if self._ports else 'stopped'})"

    # ------------------------------------------------------------ addresses

    def _base(self, scheme: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self._ports[scheme]}"

    @property
    def url(self) -> str:
        """Base address, HTTP, without a slash at the end."""
        return self._base("http")

    @property
    def https_url(self) -> str:
        """Base address, HTTPS; starts listening on first use."""
        if "https" not in self._ports:
            self._listen("https", 0)
        return self._base("https")

    @property
    def ca_file(self) -> Path:
        """PEM file of the authority that signed the HTTPS certificate."""
        return self._files().ca_file

    def webhook_of(self, user_id: int, secret: str, *, https: bool = False) -> str:
        """Address of a webhook, with a slash at the end."""
        return f"{self.https_url if https else self.url}/rest/{user_id}/{secret}/"

    @property
    def webhook(self) -> str:
        """The administrator's webhook, HTTP."""
        return self.webhook_of(1, self._secret)

    @property
    def https_webhook(self) -> str:
        """The administrator's webhook, HTTPS."""
        return self.webhook_of(1, self._secret, https=True)

    # ------------------------------------------------------------ callers

    def add_webhook(
        self,
        user_id: int = 1,
        secret: str = "another0secret",  # noqa: S107 - practice
        *,
        scopes: frozenset[str] = ALL_SCOPES,
        expires_at: float | None = None,
        sight: Sight | None = None,
    ) -> str:
        """Another inbound webhook; returns its HTTP address."""
        webhook = Webhook(user_id, secret, scopes, expires_at, sight=sight or Sight())
        self.portal.accounts.add_webhook(webhook)
        return self.webhook_of(user_id, secret)

    def revoke(self, user_id: int = 1, secret: str | None = None) -> None:
        """Somebody deletes a webhook in the portal."""
        self.portal.accounts.webhooks[user_id, secret or self._secret].revoked = True

    def add_application(self, application: Application, user_id: int = 1) -> Token:
        """Install an application; returns the tokens that its installation delivers."""
        self.portal.accounts.add_application(application)
        return self.portal.accounts.issue(application, user_id, self.portal.now())

    def add_outgoing_webhook(
        self,
        handler: str,
        *events: str,
        token: str = "practice0outgoing0token",  # noqa: S107 - practice
    ) -> None:
        """An outgoing webhook as an administrator sets it up by hand: events go to a loopback address."""
        for event in events:
            self.portal.events.bind(event, handler, token=token)

    # ------------------------------------------------------------ records

    @property
    def data(self) -> Data:
        return self.portal.data

    @property
    def records(self) -> Records:
        """Make, change, move, merge and delete as the portal would."""
        return self.portal.records

    def hand(self, user_id: int = 1) -> Hand:
        """An employee at work, now."""
        return Hand(self.portal.now(), user_id)

    def smart_process(self, entity_type_id: int, title: str) -> EntityType:
        """A new smart process with a table of its own."""
        with self.data.lock:
            return create_dynamic(self.data.connection, entity_type_id, title)

    def change_quietly(self, table: str, record_id: int, **columns: object) -> None:
        """Change a record behind everybody's back: a late vote, a record file, two rows in one second.

        Nothing moves, no event fires: columns take storage values (epoch seconds, booleans).
        """
        self.data.update(table, "ID = ?", [record_id], columns)

    def settings(self, **columns: object) -> None:
        """Change columns of the table ``settings`` (ZONE, BASE_CURRENCY, CRM_MODE ...)."""
        self.data.update("settings", "TRUE", [], columns)

    def hear(self, changes: Iterable[Happening]) -> None:
        """Fire the events of changes that were made straight in the database, as a living company makes them."""
        for change in changes:
            self.portal.records.announce(change.what, change.table, change.id, Hand(change.at))

    # ------------------------------------------------------------ trouble

    def fail(
        self,
        method: str = "*",
        error: str | Refusal | Transport = "INTERNAL_SERVER_ERROR",
        *,
        times: int | None = 1,
        skip: int = 0,
        probability: float = 1.0,
        executed: bool = True,
        seconds: float = 0.5,
    ) -> Fault:
        """Let calls of a method fail: by a documented code, a `Refusal` or a transport fault. See `faults.Fault`."""
        what = Refusal(error) if type(error) is str else error
        assert not isinstance(what, str) or isinstance(what, Transport)
        fault = Fault(what, method.lower(), times, skip, probability, executed, seconds)
        return self.portal.faults.add(fault)

    def block(self, method: str, seconds: float, user_id: int = 1, secret: str | None = None) -> None:
        """Let the operating limit refuse a method to one webhook for a while."""
        key = f"webhook {user_id} {secret or self._secret}"
        self.portal.meter.block(key, method.lower(), seconds, self.portal.now())

    # ------------------------------------------------------------ what happened

    @property
    def log(self) -> list[Logged]:
        """Every command handled so far, oldest first; the batch itself follows its commands."""
        return list(self.portal.log)

    def calls(self, method: str) -> list[Logged]:
        """Commands of one method."""
        return [entry for entry in self.log if entry.method == method.lower()]

    @property
    def request_count(self) -> int:
        """HTTP requests to REST methods that the log remembers."""
        return len({entry.request for entry in self.log})

    def writes(self, method: str | None = None) -> list[dict[str, object]]:
        """What clients wrote, oldest first: METHOD, PARAMS (decoded), USER_ID, MADE_AT, RESULT."""
        rows = self.data.records("SELECT * FROM recorded_write ORDER BY ID")
        for row in rows:
            row["PARAMS"], row["RESULT"] = json.loads(str(row["PARAMS"])), json.loads(str(row["RESULT"]))
        return [row for row in rows if method is None or str(row["METHOD"]).lower() == method.lower()]

    def deliveries(self) -> list[Delivery]:
        """Events that went out, after waiting for those on their way."""
        self.portal.events.flush()
        return list(self.portal.events.deliveries)


def run_forever(
    *,
    announce: Callable[[Sim], None],
    https: bool = False,
    until: threading.Event | None = None,
    **options: Unpack[SimOptions],
) -> None:
    """Serve until interrupted (or until the event is set), on the machine's clock unless another is given.

    Args:
        announce: called once with the running portal, to print its addresses.
        https: listen on HTTPS too.
        until: ends the serving when it is set; None: only an interrupt does.
        options: as for `Sim`.
    """
    options.setdefault("clock", SystemClock())
    with Sim(**options) as sim:
        if https:
            _ = sim.https_url
        announce(sim)
        with contextlib.suppress(KeyboardInterrupt):
            (until or threading.Event()).wait()
