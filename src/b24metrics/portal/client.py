"""Portal and AsyncPortal: two drivers for the same flows; the only file that knows the HTTP library.

Laws: a driver waits, sends and hands over; it never decides. No address is logged, and no error of the HTTP library
leaves this file: both would show the secret. A redirect is never followed here. Replies are read up to a size and a
time, however they are packed.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast
from urllib.parse import urlsplit

import httpx

from b24metrics.clock import Clock, SystemClock
from b24metrics.errors import ConfigError
from b24metrics.portal.address import Secret, Webhook, is_loopback
from b24metrics.portal.batches import run_batch
from b24metrics.portal.checkup import SCOPES, Checkup, check_up
from b24metrics.portal.flows import Call, Flow, Get, Hand, Line, Post, Silence, Step, Wait, fetch
from b24metrics.portal.limits import PLANS, STANDARD, Gate, Lane, LeakyBucket, Plan
from b24metrics.portal.oauth import Credential, OAuth, WebhookCredential
from b24metrics.portal.request import Batch, Listing, Page, Request
from b24metrics.portal.walks import walk
from b24metrics.portal.wire import Heard

T = TypeVar("T")
H = TypeVar("H", bound=httpx.Client | httpx.AsyncClient)

MAX_BYTES = 64 * 1024 * 1024
"""Largest reply that is read; a batch of fifty full pages is about 8 MB."""
_TOTAL_SECONDS = 120.0  # a reply that drips in takes no longer than this altogether
# Kept-alive connections are dropped before a portal is likely to: a write on a dead one would be a LostReply.
_LIMITS = httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=15.0)


try:
    _USER_AGENT = f"b24metrics/{version('b24metrics')}"
except PackageNotFoundError:  # run from a folder, not installed
    _USER_AGENT = "b24metrics"


# ---------------------------------------------------------------- silence in the logs

_ours: ContextVar[bool] = ContextVar("b24metrics_request", default=False)


class _Hush(logging.Filter):
    """Drops what the HTTP library says about requests of ours; requests of others are logged as ever."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return not _ours.get()


_HUSH = _Hush()
_TALKERS = (
    "httpx",
    "httpcore",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
    "hpack",
    "hpack.hpack",
    "hpack.table",
    "h2",
)


@contextmanager
def _hushed() -> Iterator[None]:
    for name in _TALKERS:
        logging.getLogger(name).addFilter(_HUSH)  # adding twice adds once
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


# ---------------------------------------------------------------- what both share

_BUCKETS: dict[tuple[str, Plan], LeakyBucket] = {}
_GATES: dict[tuple[str, str, Plan], Gate] = {}
_SHARING = threading.Lock()


def _gate_for(credential: Credential, plan: Plan, clock: Clock, chance: random.Random) -> Gate:
    """The gate of this credential in this process: clients of one portal share what it allows to one address."""
    host = credential.current.host
    with _SHARING:
        key = (host, credential.owner, plan)
        if key not in _GATES:
            bucket = None
            if plan.capacity is not None:
                bucket = _BUCKETS.setdefault((host, plan), LeakyBucket(plan.capacity, plan.leak))
            _GATES[key] = Gate(plan, clock=clock, bucket=bucket, chance=chance)
        return _GATES[key]


def _context(verify: str | Path | ssl.SSLContext | None) -> ssl.SSLContext | bool:
    """How to check certificates; there is no way not to."""
    if verify is None:
        return True
    if isinstance(verify, ssl.SSLContext):
        return verify
    try:
        path = Path(verify)
        return ssl.create_default_context(capath=path) if path.is_dir() else ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{verify}: no readable bundle of certificates ({type(error).__name__})") from None


def _credential(address: str | Webhook | OAuth) -> Credential:
    if isinstance(address, OAuth):
        return address
    return WebhookCredential(address if isinstance(address, Webhook) else Webhook.parse(address))


def _plan(plan: Plan | str) -> Plan:
    if isinstance(plan, Plan):
        return plan
    if plan not in PLANS:
        raise ConfigError(f"unknown plan {plan!r}: choose one of {', '.join(PLANS)}")
    return PLANS[plan]


class _Client(ABC, Generic[H]):
    """What both clients are made of.

    Args:
        address: address of an inbound webhook (see ``Webhook.parse``), or an OAuth credential.
        plan: what the portal allows: ``standard``, ``enterprise``, ``self-hosted``, or a Plan.
        lane: ``Lane.BACKFILL`` leaves 15 % of every budget to others; each verb can choose for itself.
        clock: time; tests hand in a HandClock. gate: budgets; by default clients of one process share them.
        verify: bundle or directory of certificates to trust, or an SSL context; default: the usual authorities.
        timeout: seconds until a silent portal is given up. http2: speak HTTP/2 where the portal does.
        max_bytes: largest reply that is read, unpacked.
        attempts, patience, trusted, on_moved: see ``flows.Line``.
        user_agent: how we introduce ourselves. chance: source of jitter. transport: for tests.

    Raises:
        ConfigError: the address or an option cannot be meant.
    """

    def __init__(
        self,
        address: str | Webhook | OAuth,
        *,
        plan: Plan | str = STANDARD,
        lane: Lane = Lane.LIVE,
        clock: Clock | None = None,
        gate: Gate | None = None,
        verify: str | Path | ssl.SSLContext | None = None,
        timeout: float = 65.0,
        http2: bool = False,
        max_bytes: int = MAX_BYTES,
        attempts: int = 5,
        patience: float = 1800.0,
        trusted: Collection[str] = (),
        on_moved: Callable[[str], object] | None = None,
        user_agent: str | None = None,
        chance: random.Random | None = None,
        transport: httpx.BaseTransport | httpx.AsyncBaseTransport | None = None,
    ) -> None:
        credential = _credential(address)
        del address  # it may be a text with the secret, and some tracebacks show variables
        chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        allowed = _plan(plan)
        time = clock or SystemClock()
        if gate is None:
            shared = clock is None
            gate = _gate_for(credential, allowed, time, chance) if shared else Gate(allowed, clock=time, chance=chance)
        self._line = Line(
            credential,
            gate,
            time,
            chance,
            lane=lane,
            attempts=attempts,
            patience=patience,
            trusted=trusted,
            on_moved=on_moved,
        )
        self._max_bytes = max_bytes
        loopback = is_loopback(urlsplit(f"//{credential.current.host}").hostname or "")
        self._http: H = self._open(
            {
                "verify": _context(verify),
                "timeout": httpx.Timeout(timeout, connect=min(10.0, timeout), pool=None),
                "limits": _LIMITS,
                "http2": http2,
                "follow_redirects": False,
                # A proxy has no business with this machine's own addresses, least of all over plain http.
                "trust_env": not loopback,
                "transport": transport,
                # No cookies: requests that share a PHP session wait for each other on the portal.
                "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                "headers": {
                    "User-Agent": user_agent or _USER_AGENT,
                    "Accept": "application/json",
                },
            }
        )

    @abstractmethod
    def _open(self, options: dict[str, Any]) -> H:
        """The HTTP client of this colour."""

    @property
    def gate(self) -> Gate:
        """The budgets that this client keeps to; hand it to another client of the same portal and credential."""
        return self._line.gate

    @property
    def host(self) -> str:
        """Where the portal is now; it changes when the portal is renamed."""
        return self._line.host

    @property
    def credential(self) -> Credential:
        """Who we are."""
        return self._line.credential

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._line.credential!r})"


class _Body:
    """Collects a reply up to its limits."""

    def __init__(self, response: httpx.Response, clock: Clock, limit: int) -> None:
        self._response = response
        self._clock = clock
        self._limit = limit
        self._ends_at = clock.monotonic() + _TOTAL_SECONDS
        self._parts: list[bytes] = []
        self._size = 0
        self.late = False

    def take(self, part: bytes) -> bool:
        """Whether more is wanted."""
        self._parts.append(part)
        self._size += len(part)
        self.late = self._clock.monotonic() > self._ends_at
        return self._size <= self._limit and not self.late

    def heard(self) -> Heard | Silence:
        if self.late:
            return Silence(f"the reply did not end within {_TOTAL_SECONDS:.0f} s", slow=True)
        return Heard(
            self._response.status_code,
            b"".join(self._parts),
            location=Secret(self._response.headers.get("location", "")),
            cut=self._size > self._limit,
        )


def _silence(error: Exception) -> Silence:
    """What a failure of the HTTP library means, in words of our own."""
    # Later than at the connection a broken TLS session is a broken connection: the request may have arrived.
    cause: BaseException | None = error if isinstance(error, httpx.ConnectError) else None
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Silence(
                f"its certificate is not trusted ({cause.verify_message}): give the bundle of your authority",
                sent=False,
                final=True,
            )
        if isinstance(cause, ssl.SSLError):
            return Silence("no secure connection could be made: is it https that answers there?", sent=False)
        cause = cause.__cause__ or cause.__context__
    match error:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return Silence("no connection within the time allowed", sent=False)
        case httpx.ProxyError():
            return Silence("the proxy refuses or fails", sent=False)
        case httpx.ConnectError():
            return Silence("no connection: check name, network and firewall", sent=False)
        case httpx.UnsupportedProtocol() | httpx.InvalidURL() | httpx.LocalProtocolError():
            return Silence("the request could not be written", sent=False, final=True)
        case httpx.TimeoutException():
            return Silence("no reply within the time allowed", slow=True)
        case httpx.DecodingError():
            return Silence("the reply is damaged")
        case _:
            return Silence("the connection broke")


# httpx raises these; anything else is a fault of ours and shows itself. No address is in an OSError of the socket.
_FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)


_JSON = {"Content-Type": "application/json; charset=utf-8"}


def _asked(step: Post | Get) -> dict[str, Any]:
    """Arguments of the HTTP library; never kept in a variable, which some tracebacks would show."""
    if isinstance(step, Post):
        return {"method": "POST", "url": step.url.reveal(), "content": step.body, "headers": _JSON}
    return {"method": "GET", "url": step.url.reveal()}


def _as_batch(batch: Batch | Mapping[str, Request[Any]]) -> Batch:
    return batch if isinstance(batch, Batch) else Batch(batch)


# ---------------------------------------------------------------- the blocking client


class Portal(_Client[httpx.Client]):
    """One Bitrix24 portal, blocking. May be used from several threads; close it, or use it as a context."""

    def _open(self, options: dict[str, Any]) -> httpx.Client:
        return httpx.Client(**options)

    def fetch(self, request: Request[T], *, lane: Lane | None = None) -> T:
        """One request's typed answer. Raises as ``flows.fetch``."""
        return self._run(fetch(self._line.in_lane(lane), request))

    def pages(
        self, listing: Listing[T], *, expect: int | None = None, lane: Lane | None = None
    ) -> Generator[Page[T], None, None]:
        """All pages of a listing. ``expect``: about how many rows. Raises as ``walks.walk``."""
        flow = walk(self._line.in_lane(lane), listing, expect)
        try:
            step = next(flow)
            while True:
                if isinstance(step, Hand):
                    yield cast("Page[T]", step.page)
                    step = flow.send(None)
                else:
                    step = self._advance(flow, step)
        except StopIteration:
            return
        finally:
            flow.close()

    def each(
        self, listing: Listing[T], *, expect: int | None = None, lane: Lane | None = None
    ) -> Generator[T, None, None]:
        """All records of a listing. Raises as ``walks.walk``."""
        for page in self.pages(listing, expect=expect, lane=lane):
            yield from page.items

    def batch(self, batch: Batch | Mapping[str, Request[Any]], *, lane: Lane | None = None) -> dict[str, Any]:
        """Name → decoded result of requests that travel together. Raises as ``batches.run_batch``."""
        return self._run(run_batch(self._line.in_lane(lane), _as_batch(batch)))

    def check_up(self, scopes: Collection[str] = SCOPES, methods: Collection[str] = ()) -> Checkup:
        """What the portal says of itself and of us."""
        return self._run(check_up(self._line, tuple(scopes), tuple(methods)))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                step = self._advance(flow, step)
        except StopIteration as end:
            return cast("T", end.value)
        finally:
            flow.close()

    def _advance(self, flow: Flow[Any], step: Step) -> Step:
        """Do a step and hear what the flow wants next; a failure of ours is the flow's to tidy up after."""
        try:
            told = self._do(step)
        except BaseException as error:  # noqa: BLE001 - also KeyboardInterrupt: reservations are given back
            return flow.throw(error)
        return flow.send(told)

    def _do(self, step: Step) -> Heard | Silence | None:
        match step:
            case Post() | Get():
                return self._send(step)
            case Wait(seconds):
                self._line.clock.sleep(seconds)
            case Call(function, argument):
                if inspect.isawaitable(answer := function(argument)):
                    if inspect.iscoroutine(answer):
                        answer.close()
                    raise ConfigError("Portal cannot await: hand it a plain function, or use AsyncPortal")
            case Hand():
                raise AssertionError("pages are handed out by pages()")
        return None

    def _send(self, step: Post | Get) -> Heard | Silence:
        with _hushed():
            try:
                with self._http.stream(**_asked(step)) as response:
                    reply = _Body(response, self._line.clock, self._max_bytes)
                    for part in response.iter_bytes():
                        if not reply.take(part):
                            break
                    return reply.heard()
            except _FAILURES as error:
                return _silence(error)


# ---------------------------------------------------------------- the client for coroutines


class AsyncPortal(_Client[httpx.AsyncClient]):
    """One Bitrix24 portal for coroutines. Run several walks side by side: one Gate keeps them within the budgets."""

    def _open(self, options: dict[str, Any]) -> httpx.AsyncClient:
        return httpx.AsyncClient(**options)

    async def fetch(self, request: Request[T], *, lane: Lane | None = None) -> T:
        """One request's typed answer. Raises as ``flows.fetch``."""
        return await self._run(fetch(self._line.in_lane(lane), request))

    async def pages(
        self,
        listing: Listing[T],
        *,
        expect: int | None = None,
        lane: Lane | None = None,
        patience: float | None = None,
    ) -> AsyncGenerator[Page[T], None]:
        """All pages of a listing. ``expect``: about how many rows. ``patience``: of this walk instead of the client's.

        Raises as ``walks.walk``.
        """
        flow = walk(self._line.in_lane(lane, patience), listing, expect)
        try:
            step = next(flow)
            while True:
                if isinstance(step, Hand):
                    yield cast("Page[T]", step.page)
                    await asyncio.sleep(0)  # fifty pages come in one reply: let others have a turn between them
                    step = flow.send(None)
                    continue
                try:
                    told = await self._do(step)
                except BaseException as error:  # noqa: BLE001 - also cancellation: reservations are given back
                    step = flow.throw(error)
                else:
                    step = flow.send(told)
        except StopIteration:
            return
        finally:
            flow.close()

    async def each(
        self, listing: Listing[T], *, expect: int | None = None, lane: Lane | None = None
    ) -> AsyncGenerator[T, None]:
        """All records of a listing. Raises as ``walks.walk``."""
        pages = self.pages(listing, expect=expect, lane=lane)
        try:
            async for page in pages:
                for item in page.items:
                    yield item
        finally:
            await pages.aclose()

    async def batch(
        self, batch: Batch | Mapping[str, Request[Any]], *, lane: Lane | None = None, patience: float | None = None
    ) -> dict[str, Any]:
        """Name → decoded result of requests that travel together. ``patience``: as in ``pages``.

        Raises as ``batches.run_batch``.
        """
        return await self._run(run_batch(self._line.in_lane(lane, patience), _as_batch(batch)))

    async def check_up(self, scopes: Collection[str] = SCOPES, methods: Collection[str] = ()) -> Checkup:
        """What the portal says of itself and of us."""
        return await self._run(check_up(self._line, tuple(scopes), tuple(methods)))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    told = await self._do(step)
                except BaseException as error:  # noqa: BLE001 - also cancellation: reservations are given back
                    step = flow.throw(error)
                else:
                    step = flow.send(told)
        except StopIteration as end:
            return cast("T", end.value)
        finally:
            flow.close()

    async def _do(self, step: Step) -> Heard | Silence | None:
        match step:
            case Post() | Get():
                return await self._send(step)
            case Wait(seconds):
                await self._line.clock.asleep(seconds)
            case Call(function, argument):
                if inspect.isawaitable(answer := function(argument)):
                    await answer
            case Hand():
                raise AssertionError("pages are handed out by pages()")
        return None

    async def _send(self, step: Post | Get) -> Heard | Silence:
        with _hushed():
            try:
                async with self._http.stream(**_asked(step)) as response:
                    reply = _Body(response, self._line.clock, self._max_bytes)
                    async for part in response.aiter_bytes():
                        if not reply.take(part):
                            break
                    return reply.heard()
            except _FAILURES as error:
                return _silence(error)
