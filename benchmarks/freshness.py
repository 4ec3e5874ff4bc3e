"""How long a change in the portal takes to stand in the mirror: polled, and with notices.

The practice portal and the exporter's daemon (rounds with evaluation, the endpoint for notices) run against each other
over HTTP on the machine's clock; deals are changed at random moments, and the mirror is looked at every 50 ms.

    python benchmarks/freshness.py --changes 60

Promise: 95 of 100 changes within 20 s at a round of 15 s, within 3 s with notices.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

import duckdb
from starlette.applications import Starlette
from starlette.routing import Route

from b24exporter.board import Board
from b24exporter.daemon import Daemon, RoundOptions
from b24exporter.mirrored import Mirrored
from b24exporter.push import Bell, Push
from b24exporter.server import bind, make_server
from b24metrics.clock import SystemClock
from b24metrics.kpi.catalogue import KPIS
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.stores import DuckStore
from b24metrics.mirror.sync import Sync
from b24metrics.portal import AsyncPortal
from b24metrics.portal.address import Secret
from b24metrics.sim import tables
from b24metrics.sim.company import Company, build
from b24metrics.sim.server import Sim

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "0123456789abcdef0123456789abcdef"
LOOK = 0.05
PATIENCE = 60.0


@contextmanager
def ringing(bell: Bell, loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """The endpoint for notices in the daemon's loop; gives its address."""
    listener = bind("127.0.0.1", 0)
    server = make_server(Starlette(routes=[Route("/push", Push([Secret(TOKEN)], bell).answer, methods=["POST"])]), None)
    serving = loop.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/push"
    finally:
        server.should_exit = True
        serving.cancel()


def ages(sim: Sim, store: DuckStore, changes: int, pause: float) -> list[float]:
    """Seconds from each change until it stands in the mirror."""
    dice = random.Random(11)
    numbers = [number for (number,) in store.rows("SELECT id FROM deals WHERE semantics = 'P' ORDER BY id")]
    open_changes: dict[int, tuple[str, float]] = {}
    found: list[float] = []
    due = time.monotonic()
    made = 0
    while made < changes or open_changes:
        now = time.monotonic()
        if made < changes and now >= due:
            number = numbers[made % len(numbers)]
            if number not in open_changes:
                title = f"Changed {made}"
                sim.records.update(tables.ENTITY_TYPES[2], number, {"TITLE": title}, sim.hand())
                open_changes[number] = (title, time.monotonic())
                made += 1
                due = now + dice.expovariate(1 / pause)
        if open_changes:
            wanted = ", ".join(map(str, open_changes))
            for number, title in store.rows(f"SELECT id, title FROM deals WHERE id IN ({wanted})"):
                if title == open_changes[number][0]:
                    found.append(time.monotonic() - open_changes.pop(number)[1])
            if any(time.monotonic() - at > PATIENCE for _, at in open_changes.values()):
                raise SystemExit("a change did not arrive within a minute")
        time.sleep(LOOK)
    return found


async def run(folder: Path, interval: float, changes: int, pause: float, *, pushed: bool) -> tuple[list[float], float]:
    """Ages of the changes, and requests a minute."""
    clock = SystemClock()
    data = duckdb.connect()
    build(data, Company(now=clock.now(), managers=70, departments=5, months=1, talk=0.3))
    with Sim(clock=clock, data=data) as sim:
        async with AsyncPortal(sim.webhook) as portal:
            store = DuckStore(folder / f"{pushed}.duckdb")
            feeds, board = standard(), Board(clock.now())
            source = Mirrored(store, portal.host, feeds, clock, board)
            source.sync = Sync(portal, store, portal=portal.host, feeds=feeds, clock=clock)
            await source.sync.catch_up()
            bell = Bell()
            options = RoundOptions(interval, 1_000_000, tuple(KPIS.values()))
            daemon = Daemon(board, source, clock, options, bell)
            with ringing(bell, asyncio.get_running_loop()) as handler:
                if pushed:
                    sim.add_outgoing_webhook(handler, "ONCRMDEALUPDATE", token=TOKEN)
                rounds = asyncio.create_task(daemon.run())
                await asyncio.sleep(interval + 5)  # the first round is not like the others
                before, began = portal.gate.stats().requests, time.monotonic()
                found = await asyncio.to_thread(ages, sim, store, changes, pause)
                rate = 60 * (portal.gate.stats().requests - before) / (time.monotonic() - began)
                rounds.cancel()
                await asyncio.gather(rounds, return_exceptions=True)
            await daemon.close()
            await source.close()
            store.close()
    return found, rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=60)
    parser.add_argument("--interval", type=float, default=15.0)
    wanted = parser.parse_args()
    print(
        "| way | changes | median, s | p95, s | longest, s | requests a minute | p95 promised |\n|---|---|---|---|---|---|---|"
    )
    for way, pushed, promised in (("polled", False, 20.0), ("with notices", True, 3.0)):
        with tempfile.TemporaryDirectory() as folder:
            found, rate = asyncio.run(run(Path(folder), wanted.interval, wanted.changes, 3.0, pushed=pushed))
        cuts = quantiles(found, n=20)
        print(
            f"| {way} | {len(found)} | {cuts[9]:.2f} | {cuts[18]:.2f} | {max(found):.2f} | {rate:.1f} | {promised:.0f} |"
        )


if __name__ == "__main__":
    main()
