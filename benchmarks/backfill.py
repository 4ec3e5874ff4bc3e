"""How fast a portal is copied, and what it costs the portal.

A practice company is served over HTTP by a process of its own, with the vendor's default limits; the mirror is made in a
file. Told afterwards: rows per second, requests and commands against the least that would do, refusals, where the time
went, and whether the mirror equals the portal.

    python benchmarks/backfill.py --rows 100000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any

import duckdb

from b24metrics.mirror.feeds import standard
from b24metrics.mirror.ranges import BATCHFUL
from b24metrics.mirror.stores import DuckStore
from b24metrics.mirror.sync import Progress, Sync
from b24metrics.portal.client import AsyncPortal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS_PER_MANAGER = 11_900  # of all mirrored tables together, in twelve months of a practice company
PORTAL_TABLES = {
    "deals": ("deals", "deal", "TRUE"),
    "leads": ("leads", "lead", "TRUE"),
    "deal_moves": ("stage_moves", "stage_history", "ENTITY_TYPE_ID = 2"),
    "lead_moves": ("stage_moves", "stage_history", "ENTITY_TYPE_ID = 1"),
    "activities": ("activities", "activity", "TRUE"),
    "phone_calls": ("phone_calls", "phone_call", "TRUE"),
}


def serve(line: Connection, path: str, seconds: float) -> None:
    """The practice portal in its own process: tells its address, then what it was asked for."""
    from b24metrics.clock import SystemClock  # noqa: PLC0415 - only here
    from b24metrics.sim.limits import Costs  # noqa: PLC0415
    from b24metrics.sim.server import Sim  # noqa: PLC0415

    with Sim(clock=SystemClock(), data=path, costs=Costs(seconds=seconds), keep_log=10_000_000) as sim:
        line.send(sim.webhook)
        while line.recv() == "count":
            log = sim.log
            sim.portal.log.clear()
            line.send(
                {
                    "requests": len({entry.request for entry in log}),
                    "commands": sum(entry.method != "batch" for entry in log),
                    "refusals": dict(Counter(str(entry.error) for entry in log if entry.status in {429, 503})),
                    "methods": dict(Counter(entry.method for entry in log if entry.method != "batch")),
                }
            )


class Watch:
    """Stop-watches by name, on the wall's clock or another."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.seconds: Counter[str] = Counter()
        self.laps: dict[str, list[float]] = {}

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        began = self.clock()
        try:
            yield
        finally:
            lap = self.clock() - began
            self.seconds[name] += lap
            self.laps.setdefault(name, []).append(lap)

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Time every call of a function or method."""
        inner = getattr(owner, attribute)

        def timed(*args: Any, **named: Any) -> Any:
            with self.on(name):
                return inner(*args, **named)

        setattr(owner, attribute, timed)


def furnish(path: Path, rows: int) -> dict[str, int]:
    """Build the company; returns rows by feed."""
    from b24metrics.sim.company import Company, build  # noqa: PLC0415 - only here

    with duckdb.connect(str(path)) as connection:
        managers = max(1, rows // ROWS_PER_MANAGER)
        build(connection, Company(now=time.time(), managers=managers, departments=min(6, managers)))
        return {
            feed: connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchall()[0][0]
            for feed, (_, table, where) in PORTAL_TABLES.items()
        }


def split(rows: int) -> None:
    """From the text of a reply to committed rows, without network and without anything beside: where the time goes."""
    began_on = datetime(2026, 1, 1, tzinfo=UTC)
    row = {
        "TITLE": "Поставка оборудования", "TYPE_ID": "SALE", "CATEGORY_ID": "0", "STAGE_ID": "WON",
        "STAGE_SEMANTIC_ID": "S", "OPPORTUNITY": "150000.00", "CURRENCY_ID": "RUB", "PROBABILITY": None,
        "ASSIGNED_BY_ID": "7", "CREATED_BY_ID": "7", "MODIFY_BY_ID": "7", "MOVED_BY_ID": "7",
        "DATE_CREATE": "2026-01-20T10:02:11+03:00", "DATE_MODIFY": "2026-02-10T16:40:00+03:00",
        "MOVED_TIME": "2026-02-10T16:40:00+03:00", "BEGINDATE": "2026-01-20T03:00:00+03:00",
        "CLOSEDATE": "2026-02-10T03:00:00+03:00", "CLOSED": "Y", "COMPANY_ID": "0", "CONTACT_ID": "9", "LEAD_ID": "40",
        "QUOTE_ID": None, "SOURCE_ID": "CALL", "IS_RECURRING": "N", "IS_RETURN_CUSTOMER": "N", "IS_REPEATED_APPROACH": "N",
        "ORIGINATOR_ID": None, "ORIGIN_ID": None, "LAST_ACTIVITY_TIME": "2026-02-10T16:41:02+03:00",
    }  # fmt: skip
    [feed] = [feed for feed in standard() if feed.name == "deals"]
    # Processor time, and the first quartile of all batches: so that other work on the machine counts for little.
    watch = Watch(time.process_time)
    with tempfile.TemporaryDirectory() as folder:
        store = DuckStore(Path(folder) / "mirror.duckdb")
        for first in range(1, rows + 1, BATCHFUL):
            text = json.dumps([{"ID": str(first + n), **row} for n in range(BATCHFUL)])
            with watch.on("JSON"):
                raw = json.loads(text)
            with watch.on("records"):
                records = [feed.listing.decode(each) for each in raw]
            with watch.on("columns"):
                page = feed.page("practice", records, began_on)
            with watch.on("upsert and commit"), store.transaction():
                store.upsert(feed.table, page)
        store.close()
    typical = {name: quantiles(laps, n=4)[0] / BATCHFUL for name, laps in watch.laps.items()}
    print(
        f"split      {1 / sum(typical.values()):,.0f} deals per second of processor time, from a reply's text to committed "
        "rows: " + ", ".join(f"{name} {seconds * 1e6:.1f} µs" for name, seconds in typical.items())
    )


async def measure(address: str, path: Path, line: Connection, expected: dict[str, int]) -> None:
    """Copy, tell, and look at a few quiet rounds."""
    watch = Watch()
    store = DuckStore(path)
    watch.wrap(store, "upsert", "database: upsert")
    watch.wrap(store, "execute", "database: other")
    watch.wrap(store, "load", "database: other")
    seen: list[Progress] = []
    async with AsyncPortal(address) as client:
        sync = Sync(client, store, portal="practice", on_progress=seen.append)
        began, cpu = time.perf_counter(), time.process_time()
        report = await sync.backfill()
        took, used = time.perf_counter() - began, time.process_time() - cpu
        line.send("count")
        cost = line.recv()
        total = sum(expected.values())
        floor_commands = sum(math.ceil(count / 50) for count in expected.values())
        floor_requests = sum(math.ceil(count / 2500) for count in expected.values())
        print(f"backfill   {total:,} rows in {took:.1f} s: {total / took:,.0f} rows/s ({used:.1f} s of processor time)")
        print(
            f"requests   {cost['requests']} (least: {floor_requests}), commands {cost['commands']} "
            f"(least: {floor_commands}, +{100 * (cost['commands'] / floor_commands - 1):.1f} %), "
            f"refusals {sum(cost['refusals'].values())} {cost['refusals'] or ''}"
        )
        for name, seconds in watch.seconds.most_common():
            print(f"           {seconds:6.2f} s  {name} ({seconds / total * 1e6:.1f} µs a row)")
        print(f"errors     {report.errors or 'none'}")
        wrong = {}
        for feed, (table, _, _) in PORTAL_TABLES.items():
            kind = {"deal_moves": " WHERE entity_type_id = 2", "lead_moves": " WHERE entity_type_id = 1"}.get(feed, "")
            found = store.rows(f"SELECT count(*) FROM {table}{kind}")[0][0]
            if found != expected[feed]:
                wrong[feed] = (found, expected[feed])
        print(f"rows       {wrong or 'as on the portal'}")

        await sync.round()
        line.send("count")
        line.recv()
        rounds = 5
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(rounds):
            await sync.round()
        took, used = time.perf_counter() - began, time.process_time() - cpu
        line.send("count")
        cost = line.recv()
        print(
            f"rounds     {rounds} quiet ones: {cost['requests'] / rounds:g} requests and "
            f"{cost['commands'] / rounds:g} commands each, {took / rounds * 1000:.0f} ms "
            f"({used / rounds * 1000:.0f} ms of processor time)"
        )
    store.close()


def tell_size(path: Path) -> None:
    print(f"mirror     {path.stat().st_size / 2**20:.0f} MB, {len(standard())} feeds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000, help="about so many records on the portal")
    parser.add_argument(
        "--seconds", type=float, default=0.05, help="method time of one command, as the portal books it"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        portal = Path(folder) / "portal.duckdb"
        expected = furnish(portal, options.rows)
        print("portal     " + ", ".join(f"{count:,} {feed}" for feed, count in expected.items()))
        ours, theirs = get_context("spawn").Pipe()
        process = get_context("spawn").Process(target=serve, args=(theirs, str(portal), options.seconds))
        process.start()
        try:
            mirror = Path(folder) / "mirror.duckdb"
            asyncio.run(measure(ours.recv(), mirror, ours, expected))
            tell_size(mirror)
            split(50_000)
        finally:
            ours.send("end")
            process.join()


if __name__ == "__main__":
    main()
