"""What waiting alone costs a backfill: the limits of ``sync.py limits`` in simulated time.

Client and practice portal share one process and a clock that jumps to the next thing that anybody waits for, so that
neither the machine nor its load counts: what is above the bound was lost by our decisions.

    python benchmarks/pacing.py --rows 60000 --seeds 3

``--trace`` tells of every request: when it was sent, how long it took, and how many calls it was.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import selectors
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import httpx

from b24metrics.mirror.feeds import standard
from b24metrics.mirror.stores import DuckStore
from b24metrics.mirror.sync import Sync
from b24metrics.portal.client import AsyncPortal
from b24metrics.sim import php
from b24metrics.sim.accounts import Webhook
from b24metrics.sim.core import Ask, PracticePortal
from b24metrics.sim.data import Data
from b24metrics.sim.limits import Costs, OperatingMeter, Spending

sys.path.insert(0, str(Path(__file__).parent))

from portals import PATTERNS
from sync import TENTH, told

COMMAND, LIMIT, WINDOW, STREAMS = 0.06, 48.0, 60.0, 4
BEGAN = 1_741_942_800.0


class _Jumping(selectors.DefaultSelector):
    """Does not wait while nobody is at work: it moves the time on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0
        self.at_work = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.at_work or timeout is None:
            return super().select(0.001 if timeout is None else min(timeout, 0.001))
        self.passed += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it would sleep."""

    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.passed

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> Any:
        future = super().run_in_executor(executor, func, *args)
        self.jumping.at_work += 1
        future.add_done_callback(self._done)
        return future

    def _done(self, _future: object) -> None:
        self.jumping.at_work -= 1


class _Clock:
    """The loop's time, for client and portal."""

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop

    def now(self) -> float:
        return BEGAN + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"{seconds} s of holding up the loop")

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class _Wire(httpx.AsyncBaseTransport):
    """Straight into the practice portal, which then takes its time."""

    def __init__(self, portal: PracticePortal, clock: _Clock, *, trace: bool) -> None:
        self._portal = portal
        self._clock = clock
        self._trace = trace
        self.refused = 0
        self.requests = 0
        self.commands = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = php.parse_json(await request.aread())
        sent = self._clock.monotonic()
        reply = self._portal.handle(Ask("POST", request.url.path, "", body, None, is_json=True))
        entries = list(self._portal.log)
        self._portal.log.clear()
        self.requests += 1
        self.commands += sum(entry.method != "batch" for entry in entries)
        self.refused += sum(entry.error in {"QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT"} for entry in entries)
        if self._trace:
            print(f"  at {sent:6.2f} s for {reply.seconds:5.2f} s: {len(entries)} calls")
        await asyncio.sleep(reply.seconds)
        return httpx.Response(reply.status, content=reply.body, headers=reply.headers)


async def copied(rows: int, seed: int, loop: _Loop, *, trace: bool) -> tuple[float, _Wire, int]:
    """Seconds of simulated time, what was asked, and rows that came."""
    clock = _Clock(loop)
    connection = duckdb.connect(config={"threads": 1})
    data = Data(connection)
    data.insert("user", {"ID": 1, "NAME": "Admin", "LAST_NAME": "Practice", "IS_ADMIN": True})
    median = COMMAND * math.exp(-(0.5**2) / 2)  # of a log-normal distribution with this mean
    portal = PracticePortal(
        clock,
        data,
        costs=Costs(seconds=median, sigma=0.5, spending=Spending.SLEEP, seed=seed),
        meter=OperatingMeter(limit=LIMIT, minute=int(WINDOW) // 10),
        keep_log=1000,
    )
    portal.accounts.add_webhook(Webhook(1, "practice0pacing"))
    data.execute(
        f"INSERT INTO deal BY NAME SELECT ID, {int(BEGAN)} - 90 * 86400 AS DATE_MODIFY FROM ({PATTERNS['dense'].format(rows=rows)})"
    )
    wire = _Wire(portal, clock, trace=trace)
    feeds = tuple(feed for feed in standard() if feed.name == "deals")
    with tempfile.TemporaryDirectory() as folder:
        store = DuckStore(Path(folder) / "m.duckdb", threads=1)
        async with AsyncPortal(
            "http://127.0.0.1:1/rest/1/practice0pacing/", clock=clock, transport=wire, plan=TENTH
        ) as client:
            await Sync(client, store, portal="practice", clock=clock, feeds=feeds).backfill()
        took = clock.monotonic()
        [(count,)] = store.rows("SELECT count(*) FROM deals")
        store.close()
    connection.close()
    return took, wire, int(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trace", action="store_true")
    wanted = parser.parse_args()
    work = math.ceil(wanted.rows / 50) * COMMAND
    rounds = math.ceil(work / LIMIT) - 1
    bound = WINDOW * rounds + (work - LIMIT * rounds) / STREAMS
    good = []
    for seed in range(1, wanted.seeds + 1):
        loop = _Loop()
        loop.set_default_executor(ThreadPoolExecutor(2))
        took, wire, count = loop.run_until_complete(copied(wanted.rows, seed, loop, trace=wanted.trace))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        print(f"seed {seed}: {count:,} rows, {wire.requests} requests, {wire.commands:,} commands")
        good += [
            told("rows that are missing", wanted.rows - count, 0),
            told("refused", wire.refused, 0),
            told("time, against the best", took / bound, 1.10, f"of {bound:.0f} s"),
        ]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
