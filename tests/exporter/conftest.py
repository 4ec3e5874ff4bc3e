"""The web of the exporter on a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from starlette.types import ASGIApp

from b24exporter.health import Health
from b24exporter.server import bind, make_server
from b24exporter.web import Web, WebOptions, hosts_for
from b24exporter.webconfig import WebConfig
from b24metrics.clock import HandClock
from tests.exporter.toy import AT, LAYOUT, a_board


@contextmanager
def served(app: ASGIApp, web_config: WebConfig | None = None) -> Iterator[int]:
    """The application on a free port of loopback, in a thread of its own."""
    listener = bind("127.0.0.1", 0)
    server = make_server(app, web_config.tls if web_config else None)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=20)
    assert not thread.is_alive()


@pytest.fixture
def web(clock: HandClock) -> Iterator[Callable[..., httpx.Client]]:
    """Makes a served Web around a board and gives a client that talks to it."""
    clock.move(AT.timestamp() - clock.now())
    with ExitStack() as stack:

        def make(
            board=None,
            *,
            pages=True,
            language="ru",
            allowed=(),
            listen="127.0.0.1",
            reload=None,
            web_config=None,
            push=None,
        ) -> httpx.Client:
            board = a_board() if board is None else board

            async def nothing_to_do() -> None:
                return None

            options = WebOptions(hosts_for(listen, tuple(allowed)), pages, language, 60.0, "portal.example", "0.1.0")
            web_config = web_config or WebConfig(None)
            health = Health(board, clock, "0.1.0", notices=None if push is None else lambda: push.counts)
            app = Web(board, health, LAYOUT, clock, options, web_config, reload or nothing_to_do, push).app
            port = stack.enter_context(served(app, web_config))
            # Environment proxies would otherwise stand between a test and loopback.
            return stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False))

        yield make
