"""The listening end: uvicorn, with the patience of a public door.

Laws: a connection that says nothing useful is closed after a few seconds; headers, connections and answers in the
making are counted; signals belong to the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from b24metrics.errors import ConfigError

#: Seconds a client may take to send the head of a request, counted from the connection or the last answer.
HEAD_SECONDS = 10

#: Seconds a client may take to fetch an answer.
ANSWER_SECONDS = 60

#: Bytes a request's head may have.
HEAD_BYTES = 16_384

#: Connections at once; Prometheus, its twin, some browsers and a proxy need a handful.
CONNECTIONS = 64

#: Seconds that answers in the making get when the daemon is told to stop.
GRACE_SECONDS = 3


class GuardedProtocol(H11Protocol):
    """Gives up on connections whose next request does not arrive whole in time, or whose answer is not taken.

    uvicorn alone waits for ever for both.
    """

    _timer: asyncio.TimerHandle | None = None
    _answering: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn itself
        super().connection_made(transport)
        self._give(HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle: Any = self.cycle  # uvicorn declares it as always there and begins with None
        if cycle is not None and cycle is not self._answering and not cycle.response_complete:
            self._answering = cycle
            self._give(ANSWER_SECONDS)

    def on_response_complete(self) -> None:
        if not self.transport.get_write_buffer_size():
            self._give(HEAD_SECONDS)  # before the next line, which may take up a pipelined request
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _give(self, seconds: float) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the daemon stops rounds and server together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen_on(address: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``, as the settings have checked it."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: the name is unknown, the port is taken, or we may not have it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host} port {port} ({error.strerror or error}): "
            "stop what listens there, or choose another address with --listen HOST:PORT."
        ) from error
    return listener


def make_server(app: ASGIApp, tls: ssl.SSLContext | None = None) -> Server:
    """A server for ``app``; it logs through ``logging`` alone and prints no access log (paths may carry names)."""
    options: dict[str, Any] = {} if tls is None else {"ssl_context_factory": lambda _config, _default: tls}
    return Server(
        uvicorn.Config(
            app,
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=HEAD_BYTES,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            **options,
        )
    )
