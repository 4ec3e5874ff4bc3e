"""What it costs a portal to be copied and to be kept in step with, and how near to its limits we come.

    python benchmarks/sync.py limits      60,000 rows under a tenth of the vendor's operating budget, beside other clients
    python benchmarks/sync.py requests    a million rows, close together and with nine of ten ids deleted
    python benchmarks/sync.py day         a working day of seventy people, round by round
    python benchmarks/sync.py memory      three million rows: the most memory that the copying process takes

``--rows`` makes any of them smaller. Each prints its figures and the bound, and ends with 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import httpx

from b24metrics.clock import HandClock
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.stores import DuckStore
from b24metrics.mirror.sync import Report, Sync
from b24metrics.portal.client import AsyncPortal
from b24metrics.portal.limits import STANDARD

sys.path.insert(0, str(Path(__file__).parent))

from portals import PATTERNS, Behaviour, Served, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

TENTH = replace(STANDARD, name="a tenth", operating=48.0, window=60.0)


def told(what: str, figure: float, bound: float, unit: str = "") -> bool:
    """Print a figure beside its bound; whether it keeps to it."""
    good = figure <= bound
    print(f"  {what:<28} {figure:>12,.6g} {unit:<9} bound {bound:,.6g}  {'ok' if good else 'MISSED'}")
    return good


async def copy(served: Served, path: Path, tables: Sequence[str], **options: Any) -> tuple[Report, int]:
    """Copy these tables; returns the report and the number of rows in the mirror."""
    feeds = tuple(feed for feed in standard() if feed.name in tables)
    store = DuckStore(path, memory_limit=options.pop("memory_limit", None))
    async with AsyncPortal(served.webhook, plan=options.pop("plan", STANDARD)) as client:
        report = await Sync(client, store, portal="practice", feeds=feeds, **options).backfill()
    rows = sum(int(store.rows(f"SELECT count(*) FROM {feed.table.name}")[0][0]) for feed in feeds)
    store.close()
    return report, rows


# ---------------------------------------------------------------- limits

_FAST = """
import asyncio, sys, json, time
from fast_bitrix24 import BitrixAsync
async def main():
    return len(await BitrixAsync(sys.argv[1], verbose=False).get_all("crm.deal.list", {"select": ["ID", "TITLE"]}))
print(asyncio.run(main()))
"""
_SDK = """
import sys
from b24pysdk import BitrixWebhook
token = BitrixWebhook(domain=sys.argv[1], webhook_token=sys.argv[2])
method = token.call_list_fast if sys.argv[3] == "fast" else token.call_list
print(sum(1 for _ in method("crm.deal.list", {"select": ["ID", "TITLE"]})["result"]))
"""


def limits(rows: int) -> bool:
    """Under the operating budget: complete, never refused, near the bound; and what others make of it."""
    behaviour = Behaviour(
        PATTERNS["dense"].format(rows=rows), seconds=0.06, sigma=0.5, sleeps=True, limit=48, minute=6, https=True
    )
    work, helping, window, streams = math.ceil(rows / 50) * 0.06, 48.0, 60.0, 4
    rounds = math.ceil(work / helping) - 1
    bound = window * rounds + (work - helping * rounds) / streams
    print(f"limits: {rows:,} rows, 60 ms a command, 48 s of method time a minute, 50 requests and 2 a second")
    with serving(behaviour) as served, tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        report, copied = asyncio.run(copy(served, Path(folder) / "m.duckdb", ["deals"], plan=TENTH))
        took = time.perf_counter() - began
        cost = served.cost()
    print(f"  b24metrics: {copied:,} rows in {took:.1f} s, {cost}, errors {report.errors or 'none'}")
    good = [
        told("rows that are missing", rows - copied, 0),
        told("refused for the rate (503)", cost.rate, 0),
        told("refused for time (429)", cost.time, 0),
        told("wall, against the best", took / bound, 1.10, f"of {bound:.0f} s"),
    ]
    for name, script, arguments in (
        ("fast-bitrix24 get_all", _FAST, lambda served: [served.webhook]),
        ("b24pysdk call_list_fast", _SDK, lambda served: [served.domain, "1/practice0portal0secret", "fast"]),
        ("b24pysdk call_list", _SDK, lambda served: [served.domain, "1/practice0portal0secret", "plain"]),
    ):
        with serving(behaviour) as served:
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", script, *arguments(served)],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "NO_PROXY": "*", "REQUESTS_CA_BUNDLE": served.ca_file},
            )
            took = time.perf_counter() - began
            cost = served.cost()
        got = done.stdout.strip().splitlines()[-1:] or ["0"]
        why = "" if done.returncode == 0 else f", {(done.stderr.strip().splitlines() or ['?'])[-1][:90]}"
        print(f"  {name}: {got[0]} rows in {took:.1f} s, {cost}{why}")
    return all(good)


# ---------------------------------------------------------------- requests


def requests(rows: int, *patterns: str) -> bool:
    """Few requests and few commands, however the ids lie."""
    print(f"requests: {rows:,} deals; the least is {rows // 2500:,} requests and {rows // 50:,} commands")
    good = []
    for name in patterns or PATTERNS:
        ids = PATTERNS[name]
        with serving(Behaviour(ids.format(rows=rows))) as served, tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            report, copied = asyncio.run(copy(served, Path(folder) / "m.duckdb", ["deals"]))
            took = time.perf_counter() - began
            cost = served.cost()
        least = rows / 2500
        print(f"  {name}: {copied:,} rows in {took:.0f} s, errors {report.errors or 'none'}")
        # Two in a hundred; what begins and ends a copy, and five ranges, weigh more where there is little to copy.
        good += [
            told("requests", cost.requests, 1.02 * least if least >= 400 else least + 12),
            told("commands", cost.commands, max(1.02 * rows / 50, rows / 50 + 400)),
            told("refusals", cost.rate + cost.time, 0),
        ]
    return all(good)


# ---------------------------------------------------------------- a working day


class _Wire(httpx.AsyncBaseTransport):
    """Straight into a practice portal in this process, whose company works on while it is asked."""

    def __init__(self, portal: Any, live: Any) -> None:
        self.portal = portal
        self.live = live

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        from b24metrics.sim import php  # noqa: PLC0415 - only here
        from b24metrics.sim.core import Ask  # noqa: PLC0415

        self.live.advance(self.portal.clock.now())
        body = php.parse_json(await request.aread())
        reply = self.portal.handle(Ask("POST", request.url.path, "", body, None, is_json=True))
        return httpx.Response(reply.status, content=reply.body, headers=reply.headers)


def day(rows: int) -> bool:
    """Seventy people at work, a bulk edit and some deletions; a round a minute, around the clock."""
    from b24metrics.sim.accounts import Webhook  # noqa: PLC0415 - only here
    from b24metrics.sim.company import Company, build  # noqa: PLC0415
    from b24metrics.sim.core import PracticePortal  # noqa: PLC0415
    from b24metrics.sim.data import Data  # noqa: PLC0415
    from b24metrics.sim.limits import Costs, Spending  # noqa: PLC0415
    from b24metrics.sim.live import Live  # noqa: PLC0415
    from b24metrics.sim.records import Hand  # noqa: PLC0415
    from b24metrics.sim.tables import ENTITY_TYPES  # noqa: PLC0415

    clock = HandClock()
    connection = duckdb.connect(config={"threads": 1})  # thousands of small statements
    build(connection, Company(now=clock.now(), managers=max(5, min(70, rows // 10_000)), months=3))
    data = Data(connection)
    portal = PracticePortal(clock, data, costs=Costs(seconds=0.07, spending=Spending.MOVE), keep_log=10_000_000)
    portal.accounts.add_webhook(Webhook(1, "practice0day"))
    live = Live(connection, lock=data.lock, numbers=data)
    per_round: list[int] = []
    quiet: list[int] = []
    refused: Counter[str] = Counter()
    changes = deleted = 0
    peak = 0.0

    def asked() -> int:
        log = list(portal.log)
        portal.log.clear()
        refused.update(str(entry.error) for entry in log if entry.status in {429, 503})
        return len({entry.request for entry in log})

    async def work(folder: str) -> float:
        nonlocal changes, deleted, peak
        store = DuckStore(Path(folder) / "m.duckdb", threads=1)
        async with AsyncPortal(
            "http://127.0.0.1:1/rest/1/practice0day/", clock=clock, transport=_Wire(portal, live)
        ) as client:
            sync = Sync(client, store, portal="practice", clock=clock)
            report = await sync.catch_up()
            print(
                f"day: copied {sum(report.rows.values()):,} rows with {asked()} requests, errors {report.errors or 'none'}"
            )
            clock.move(max(600.0, live.at - clock.now()))  # a Friday morning; what copying cost is forgotten
            live.advance(clock.now())
            await sync.round()
            asked()
            began = clock.monotonic()
            for minute in range(1440):
                clock.move(max(0.0, began + 60 * (minute + 1) - clock.monotonic()))
                made = live.advance(clock.now())
                changes += made
                if minute == 180:  # somebody changes ten thousand deals at once
                    data.execute(
                        f"UPDATE deal SET DATE_MODIFY = {int(clock.now())} WHERE ID IN (SELECT ID FROM deal ORDER BY ID DESC LIMIT 10000)"
                    )
                if minute % 50 == 7:
                    number = data.value("SELECT ID FROM deal ORDER BY hash(ID) LIMIT 1")
                    assert isinstance(number, int)
                    portal.records.delete(ENTITY_TYPES[2], number, Hand(clock.now()))
                    deleted += 1
                report = await sync.round()
                assert not report.errors, report.errors
                per_round.append(asked())
                if not made and not any(
                    report.rows.get(name) for name in ("deals", "leads", "activities", "phone_calls")
                ):
                    quiet.append(per_round[-1])
                peak = max(peak, *(one.used / one.limit for one in client.gate.stats().methods))
            span = clock.monotonic() - began
        buried = store.rows("SELECT count(*) FROM deals WHERE deleted_at IS NOT NULL")[0][0]
        alive = store.rows("SELECT count(*) FROM deals WHERE deleted_at IS NULL")[0][0]
        print(
            f"  {changes:,} changes, {deleted} deals deleted, {buried} buried, {alive - data.value('SELECT count(*) FROM deal')} too many here"
        )
        store.close()
        return span

    with tempfile.TemporaryDirectory() as folder:
        span = asyncio.run(work(folder))
    print(f"  requests per round: {dict(sorted(Counter(per_round).items()))}; of quiet ones: {dict(Counter(quiet))}")
    connection.close()
    return all(
        [
            told("refusals", sum(refused.values()), 0),
            told("share of the rate", sum(per_round) / (2 * span), 0.01),
            told("method time, at most", peak, 0.15),
        ]
    )


# ---------------------------------------------------------------- memory

_CHILD = """
import asyncio, json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from sync import Served, copy
served = Served(sys.argv[2], "", "", None)
limit = sys.argv[4] or None
report, rows = asyncio.run(copy(served, Path(sys.argv[3]), ["deals", "activities", "phone_calls"], memory_limit=limit))
print(json.dumps({"rows": rows, "errors": dict(report.errors), "kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


def memory(rows: int) -> bool:
    """The copying process alone; the portal has its own."""
    tables = ("deal", "activity", "phone_call")
    with (
        serving(Behaviour(PATTERNS["sparse"].format(rows=rows // len(tables)), tables)) as served,
        tempfile.TemporaryDirectory() as folder,
    ):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(Path(__file__).parent), served.webhook, f"{folder}/m.duckdb", MEMORY],
            capture_output=True,
            text=True,
            check=True,
        )
        took = time.perf_counter() - began
        size = Path(folder, "m.duckdb").stat().st_size / 2**20
    found = json.loads(done.stdout)
    print(
        f"memory: {found['rows']:,} rows in {took:.0f} s, a file of {size:.0f} MB, errors {found['errors'] or 'none'}"
    )
    return told("peak of the process", found["kib"] / 1024, 500, "MB")


MEMORY = "192MB"
"""What the database may take of it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["limits", "requests", "day", "memory"])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--pattern", action="append", choices=PATTERNS, default=[], help="only this one (requests)")
    options = parser.parse_args()
    benchmarks = {
        "limits": (limits, 60_000), "requests": (requests, 1_000_000), "day": (day, 700_000), "memory": (memory, 3_000_000),
    }  # fmt: skip
    run, rows = benchmarks[options.what]
    sys.exit(0 if run(options.rows or rows, *options.pattern) else 1)


if __name__ == "__main__":
    main()
