"""What the exporter answers over HTTP.

Laws: a scrape computes nothing, it sends bytes of the board; nothing is answered to a name that is not ours (a page
elsewhere could point its own name at this machine); nothing here changes anything but ``/-/reload``, and ``/push``, which
asks for a token of its own instead of a user's password; no other request body is read; every answer carries the same locks.
"""

from __future__ import annotations

import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from b24exporter.board import Board, Edition
from b24exporter.health import Health
from b24exporter.layout import Layout
from b24exporter.page import STYLE_SOURCE, landing_page, plain_page
from b24exporter.push import Push
from b24exporter.webconfig import WebConfig
from b24metrics.clock import Clock
from b24metrics.errors import ConfigError
from b24metrics.exposition.text import CONTENT_TYPE
from b24metrics.kpi.model import Grain, Language, WindowId
from b24metrics.kpi.results import Sample, Samples, Snapshot

log = logging.getLogger(__name__)

#: Names under which a machine calls itself.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

#: Samples per piece of a JSON answer: a piece holds the interpreter for a few milliseconds, not for the whole answer.
PIECE = 500

#: Where a portal's outgoing webhook posts to.
PUSH = "/push"

_LOCKS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {STYLE_SOURCE}; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How the web behaves.

    Attributes:
        hosts: names we answer to; None means any. pages: whether figures are shown as page and JSON.
        language: where the browser asks for neither of ours. interval: seconds between rounds, for "out of date".
        title: the portal's name before it has answered. version: of this program.
    """

    hosts: frozenset[str] | None
    pages: bool
    language: Language
    interval: float
    title: str
    version: str


def hosts_for(listen_host: str, allowed: tuple[str, ...]) -> frozenset[str] | None:
    """Names to answer to. On loopback only a machine's own names and those allowed; elsewhere any, unless some are named."""
    named = frozenset(name.lower() for name in allowed)
    try:
        own = ipaddress.ip_address(listen_host).is_loopback
    except ValueError:
        own = listen_host.lower() in LOOPBACK
    if own:
        return LOOPBACK | named | {listen_host.lower()}
    return named or None


class Web:
    """The application; hand ``app`` to the server.

    Args:
        reload: reads the configuration again; raises ConfigError when it is wrong.
        push: takes the portal's notices; None: there is no such endpoint.
    """

    def __init__(
        self,
        board: Board,
        health: Health,
        layout: Layout,
        clock: Clock,
        options: WebOptions,
        web_config: WebConfig,
        reload: Callable[[], Awaitable[None]],
        push: Push | None = None,
    ) -> None:
        self._board = board
        self._health = health
        self._layout = layout
        self._clock = clock
        self._options = options
        self._reload = reload
        figures = [
            Route("/api/v1/kpi", self.kpi, methods=["GET"]),
            Route("/api/v1/status", self.status, methods=["GET"]),
        ]
        routes = [
            Route("/", self.landing, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/-/healthy", self.healthy, methods=["GET"]),
            Route("/-/ready", self.ready, methods=["GET"]),
            Route("/-/reload", self.reload, methods=["POST", "PUT"]),
            *([Route(PUSH, push.answer, methods=["POST"])] if push is not None else []),
            *(figures if options.pages else []),
        ]
        self.app: ASGIApp = _Door(Starlette(routes=routes), options.hosts, web_config)

    # ------------------------------------------------------------ for Prometheus and other machines

    async def metrics(self, request: Request) -> Response:
        """The edition's bytes, the live part behind them. Before the first edition the live part alone."""
        own = self._health.text()
        edition = self._board.edition
        if edition is None:
            return Response(own, headers={"Content-Type": CONTENT_TYPE})
        if _takes_gzip(request.headers.get("accept-encoding", "")):
            return _Pieces(edition.publication.packed(own), {"Content-Encoding": "gzip"})
        return _Pieces(edition.publication.plain(own), {})

    async def healthy(self, _request: Request) -> Response:
        """The process answers."""
        return PlainTextResponse("b24exporter is healthy.\n")

    async def ready(self, _request: Request) -> Response:
        """There are figures to serve, however old; their age is the business of alerts."""
        if self._board.edition is not None:
            return PlainTextResponse("b24exporter is ready.\n")
        return PlainTextResponse(f"Not ready: {self._waiting_for()}.\n", status_code=503, headers={"Retry-After": "5"})

    def _waiting_for(self) -> str:
        return (self._board.failure or self._board.doing.en).rstrip(".")

    async def reload(self, request: Request) -> Response:
        """Read the configuration again; refused to pages of other sites."""
        if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"} or "origin" in request.headers:
            return PlainTextResponse("Reloading is not for web pages: use curl -X POST.\n", status_code=403)
        try:
            await self._reload()
        except ConfigError as error:
            return PlainTextResponse(f"Nothing was changed. {error}\n", status_code=400)
        return PlainTextResponse("Configuration read again.\n")

    # ------------------------------------------------------------ for people and programs

    async def landing(self, request: Request) -> Response:
        """The page; without figures where they are switched off."""
        options = self._options
        language = _language(request, options.language)
        if options.pages:
            page = landing_page(
                self._board,
                self._layout,
                self._clock.now(),
                language,
                interval=options.interval,
                version=options.version,
                title=options.title,
            )
        else:
            page = plain_page(language, options.version)
        return Response(page, media_type="text/html", headers={"Vary": "Accept-Language"})

    async def status(self, _request: Request) -> Response:
        """How the exporter is doing."""
        board, now = self._board, self._clock.now()
        edition = board.edition
        return JSONResponse(
            {
                "version": self._options.version,
                "ready": edition is not None,
                "waiting_for": None if edition else self._waiting_for(),
                "failure": board.failure,
                "portal_up": board.portal_up,
                "kept_by": board.keeper,
                "started_at": board.started_at,
                "rounds": dict(board.rounds),
                "seconds": dict(board.seconds),
                "edition": None if edition is None else _about(edition, now),
                "feeds": [
                    {
                        "name": feed.name,
                        "rows": feed.rows,
                        "synced_at": feed.synced_at,
                        "lag_seconds": feed.lag(now),
                        "error": feed.error,
                        "pending": feed.pending,
                        "reconciled_at": feed.reconciled_at,
                        "doubt": feed.doubt,
                        "buried": feed.buried,
                        "healed": feed.healed,
                    }
                    for feed in board.feeds
                ],
            }
        )

    async def kpi(self, request: Request) -> Response:
        """Samples as JSON; ``kpi``, ``window``, ``grain`` and any label narrow them, a repeated one means either."""
        edition = self._board.edition
        if edition is None:
            return _refused(503, f"There are no figures yet: {self._waiting_for()}.")
        asked = {name: frozenset(request.query_params.getlist(name)) for name in request.query_params}
        asked.pop("lang", None)
        if fault := _fault(asked, edition.snapshot):
            return _refused(400, fault)
        return StreamingResponse(_samples(edition.snapshot, asked), media_type="application/json")


def _about(edition: Edition, now: float) -> dict[str, Any]:
    return {
        "at": edition.at,
        "age_seconds": max(0.0, now - edition.at),
        "portal": edition.portal.host,
        "zone": edition.portal.zone,
        "currency": edition.portal.currency,
        "series": edition.series,
        "dropped": [
            {"family": family, "reason": reason, "series": count}
            for (family, reason), count in sorted(edition.dropped.items())
        ],
        "absent": {kpi: list(feeds) for kpi, feeds in sorted(edition.snapshot.absent.items())},
    }


def _refused(status: int, words: str) -> Response:
    return JSONResponse({"error": words}, status_code=status)


def _fault(asked: Mapping[str, frozenset[str]], snapshot: Snapshot) -> str | None:
    """What is wrong with a question, and what could be asked instead."""
    known: dict[str, set[str]] = {
        "kpi": {block.kpi.id for block in snapshot.blocks},
        "window": {window.value for window in WindowId},
    }
    for name, words in known.items():
        if unknown := asked.get(name, frozenset()) - words:
            return f"No such {name}: {', '.join(sorted(unknown))}. There are: {', '.join(sorted(words))}."
    for grain in asked.get("grain", ()):
        try:
            Grain.parse(grain.replace("x", "×"))
        except ValueError:
            return f"No such grain: {grain}. Write one letter per axis, such as T, M, D or MxP."
    return None


def _samples(snapshot: Snapshot, asked: Mapping[str, frozenset[str]]) -> Iterator[bytes]:
    """The answer in pieces of valid JSON text; starlette takes them from a thread."""
    fields = {"kpi", "window", "grain"}
    grains = {str(Grain.parse(grain.replace("x", "×"))) for grain in asked.get("grain", ())}
    labels = {name: values for name, values in asked.items() if name not in fields}

    def wanted(sample: Sample) -> bool:
        return ("window" not in asked or sample.window.value in asked["window"]) and all(
            sample.labels.get(name) in values for name, values in labels.items()
        )

    samples = Samples(
        block
        for block in snapshot.blocks
        if ("kpi" not in asked or block.kpi.id in asked["kpi"]) and (not grains or str(block.grain) in grains)
    )

    head = {"portal": snapshot.portal, "at": snapshot.at.isoformat()}
    yield json.dumps(head, ensure_ascii=False)[:-1].encode() + b', "samples": ['
    between = b"\n"
    for start in range(0, len(samples), PIECE):
        rows = [_row(sample) for sample in samples[start : start + PIECE] if wanted(sample)]
        if rows:
            yield between + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode("utf-8", "replace")
            between = b",\n"
    yield b"\n]}\n"


def _row(sample: Sample) -> dict[str, Any]:
    return {
        "kpi": sample.kpi.id,
        "unit": sample.kpi.unit.value,
        "grain": str(sample.grain),
        "labels": dict(sample.labels),
        "window": sample.window.value,
        "value": sample.value,
        "n": sample.n,
        "numerator": sample.numerator,
        "denominator": sample.denominator,
    }


def _takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (RFC 9110 §12.5.3)."""
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        try:
            weights[coding.strip()] = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            weights[coding.strip()] = 0.0
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _language(request: Request, default: Language) -> Language:
    """``?lang=`` if it is one of ours, else the first of ours that the browser prefers."""
    asked = request.query_params.get("lang")
    if asked in {"ru", "en"}:
        return "ru" if asked == "ru" else "en"
    ranked: list[tuple[float, Language]] = []
    for part in request.headers.get("accept-language", "").lower().split(","):
        tag, _, weight = part.strip().partition(";q=")
        if tag[:2] in {"ru", "en"} and tag[2:3] in {"", "-"}:
            try:
                ranked.append((-float(weight or 1), "ru" if tag[:2] == "ru" else "en"))
            except ValueError:
                continue
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else default


class _Pieces(Response):
    """A scrape: two pieces sent one after the other, so that megabytes are not glued together for every reader."""

    def __init__(self, pieces: tuple[bytes, bytes], headers: Mapping[str, str]) -> None:
        super().__init__(headers={"Content-Type": CONTENT_TYPE, "Vary": "Accept-Encoding", **headers})
        self.headers["Content-Length"] = str(sum(map(len, pieces)))
        self._pieces = pieces

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        first, second = self._pieces
        if scope["method"] != "HEAD":
            await send({"type": "http.response.body", "body": first, "more_body": True})
        else:
            second = b""
        await send({"type": "http.response.body", "body": second})


class _Door:
    """Stands before every answer: our name, a known user, and the locks of the page."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None, web_config: WebConfig) -> None:
        self._app = app
        self._hosts = hosts
        self._web_config = web_config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)

        async def locked(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in (_LOCKS | self._web_config.headers).items():
                    if value:
                        out[name] = value
            await send(message)

        answer: ASGIApp = self._app
        if self._hosts is not None and _host_name(headers.get("host", "")) not in self._hosts:
            answer = PlainTextResponse(
                "This exporter does not go by that name. Ask for it as localhost, "
                "or add the name to exporter.allowed_hosts.\n",
                status_code=421,
            )
        elif scope["path"] != PUSH and not await self._web_config.allows(headers.get("authorization")):
            answer = PlainTextResponse(
                "A name and a password are needed.\n",
                status_code=401,
                headers={"WWW-Authenticate": 'Basic realm="b24metrics", charset="UTF-8"'},
            )
        await answer(scope, receive, locked)


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host
    return name.removeprefix("[").removesuffix("]").removesuffix(".").lower()
