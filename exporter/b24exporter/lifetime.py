"""How long an exporter lives: until a signal, or until something that must not end ends.

Laws: the first signal ends the running round between two steps and lets answers in the making be finished; a second one
ends the process at once; what fails is raised after everything has stopped.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from b24exporter.server import Server
from b24metrics.errors import B24Error

log = logging.getLogger(__name__)

_STOPS = (signal.SIGINT, signal.SIGTERM)


async def live(
    server: Server,
    listener: socket.socket,
    rounds: Coroutine[Any, Any, None],
    *,
    started: Callable[[], None],
    reload: Callable[[], Awaitable[None]],
) -> None:
    """Serve and run rounds side by side until a stop signal, or until one of them fails, which is raised.

    ``rounds`` never ends by itself. ``started``: called when both run. ``reload``: called on SIGHUP.
    """
    stop = asyncio.Event()
    with _signals(stop, reload):
        stopping = asyncio.create_task(stop.wait())
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        running = asyncio.create_task(rounds)
        started()
        try:
            await asyncio.wait({stopping, serving, running}, return_when=asyncio.FIRST_COMPLETED)
            log.info("Stopping.")
        finally:
            stopping.cancel()
            running.cancel()
            server.should_exit = True
            ended = await asyncio.gather(running, serving, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error


@contextmanager
def _signals(stop: asyncio.Event, reload: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """SIGINT and SIGTERM set ``stop`` once and then mean what they usually mean; SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    reloading: set[asyncio.Task[None]] = set()

    def on_stop() -> None:
        stop.set()
        for number in _STOPS:
            loop.remove_signal_handler(number)

    async def quietly() -> None:
        try:
            await reload()
        except B24Error as error:
            log.error("Nothing was changed. %s", error)  # noqa: TRY400 - a typing mistake needs no traceback

    def on_reload() -> None:
        one = asyncio.create_task(quietly())
        reloading.add(one)
        one.add_done_callback(reloading.discard)

    handlers = [(number, on_stop) for number in _STOPS]
    if hasattr(signal, "SIGHUP"):
        handlers.append((signal.SIGHUP, on_reload))
    try:
        for number, handler in handlers:
            loop.add_signal_handler(number, handler)
    except (NotImplementedError, RuntimeError, ValueError):
        # Windows, or not the main thread: Ctrl-C still arrives as KeyboardInterrupt.
        handlers = []
    try:
        yield
    finally:
        for number, _ in handlers:
            loop.remove_signal_handler(number)
