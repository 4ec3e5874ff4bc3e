"""A large listing is copied with little more than the least number of requests, however its ids lie and whatever fails."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b24metrics.clock import HandClock
from b24metrics.errors import B24Error
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.stores import DuckStore
from b24metrics.portal.limits import STANDARD
from b24metrics.sim.accounts import Webhook
from b24metrics.sim.core import PracticePortal
from b24metrics.sim.data import Data
from b24metrics.sim.faults import Fault, Faults
from b24metrics.sim.limits import Costs, OperatingMeter, RateBucket, Spending
from b24metrics.sim.refusals import Refusal
from tests.mirror.conftest import SECRET, World

DEALS = tuple(feed for feed in standard() if feed.name == "deals")
ROWS = 12_000

PATTERNS = {
    "close together": f"SELECT 1 + i AS ID FROM range({ROWS}) r(i)",
    "sparse": f"SELECT 1 + i * 10 + hash(i) % 10 AS ID FROM range({ROWS}) r(i)",
    "small clusters": f"SELECT 1 + i % 300 + (i // 300) * 3000 AS ID FROM range({ROWS}) r(i)",
    "large clusters": f"SELECT 1 + i % 4000 + (i // 4000) * 40000 AS ID FROM range({ROWS}) r(i)",
    "old ones deleted": f"SELECT CASE WHEN i < 1200 THEN 1 + i * 91 ELSE 108000 + i END AS ID FROM range({ROWS}) r(i)",
    "new ones deleted": f"SELECT CASE WHEN i < 10800 THEN 1 + i ELSE 10800 + (i - 10799) * 91 END AS ID FROM range({ROWS}) r(i)",
}


@pytest.fixture(scope="module")
def engine() -> Iterator[World]:
    """A portal for deals alone; each test says which."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    clock = HandClock()
    data = Data(connection)
    portal = PracticePortal(clock, data)
    data.execute("""INSERT INTO "user" BY NAME SELECT 1 AS ID, TRUE AS ACTIVE, 'Admin' AS NAME, TRUE AS IS_ADMIN""")
    portal.accounts.add_webhook(Webhook(1, SECRET))
    yield World(clock, portal, ":memory:")  # type: ignore[arg-type]
    connection.close()


def furnish(world: World, ids: str) -> None:
    world.sql("DELETE FROM deal")
    world.sql(f"INSERT INTO deal BY NAME SELECT ID, {world.now - 8_640_000} AS DATE_MODIFY FROM ({ids}) ORDER BY ID")
    world.portal.log.clear()
    world.portal.bucket = RateBucket.of_plan("")
    world.portal.meter = OperatingMeter()
    world.portal.faults = Faults()
    world.portal.costs = Costs(seconds=0.02, spending=Spending.MOVE)


def missing(world: World, store: DuckStore) -> set[object]:
    there = {number for (number,) in world.data.rows("SELECT ID FROM deal")}
    here = [number for (number,) in store.rows("SELECT id FROM deals WHERE deleted_at IS NULL")]
    assert len(here) == len(set(here))
    return there.symmetric_difference(here)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_copy_costs_little_more_than_the_least(engine: World, pattern: str) -> None:
    """Five full requests and 240 commands would do; ranges, estimates and the comparison cost a few more."""
    furnish(engine, PATTERNS[pattern])
    store = DuckStore(":memory:", threads=1)

    engine.copy(store, feeds=DEALS, rounds=0)

    assert set() == missing(engine, store)
    log = list(engine.portal.log)
    assert [] == [entry for entry in log if entry.status != 200]
    assert len({entry.request for entry in log}) <= ROWS / 2500 + 14
    assert sum(entry.method != "batch" for entry in log) <= ROWS / 50 + 300
    store.close()


def test_a_copy_keeps_within_a_small_budget(engine: World) -> None:
    """Ten seconds of method time a minute for seventeen seconds of work: it waits, and is never refused."""
    furnish(engine, PATTERNS["close together"])
    engine.portal.meter = OperatingMeter(limit=10.0, minute=6)
    engine.portal.costs = Costs(seconds=0.07, sigma=0.5, spending=Spending.MOVE)
    store = DuckStore(":memory:", threads=1)
    began = engine.clock.monotonic()
    plan = STANDARD.__class__("small", 50, 2, 10.0, metered=True, window=60.0)

    engine.copy(store, feeds=DEALS, rounds=0, plan=plan)

    assert set() == missing(engine, store)
    assert [] == [entry for entry in engine.portal.log if entry.status in {429, 503}]
    assert engine.clock.monotonic() - began <= 60 * (math.ceil(ROWS / 50 * 0.08 / 8.5) + 1)
    store.close()


CODES = ("OPERATION_TIME_LIMIT", "QUERY_LIMIT_EXCEEDED", "INTERNAL_SERVER_ERROR", "ERROR_BATCH_METHOD_NOT_ALLOWED")


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(
        st.tuples(
            st.sampled_from(CODES), st.sampled_from(["crm.deal.list", "batch"]), st.integers(0, 180), st.integers(1, 4)
        ),
        max_size=6,
    ),
    seed=st.integers(0, 5),
)
def test_no_half_is_silent(engine: World, faults: list[tuple[str, str, int, int]], seed: int) -> None:
    """Refusals and errors anywhere in the chains: the copy is complete, or says that it is not and completes later."""
    furnish(engine, f"SELECT 1 + i * 3 + hash(i + {seed}) % 3 AS ID FROM range(6000) r(i)")
    for code, method, skip, times in faults:
        engine.portal.faults.add(Fault(Refusal(code), method, times=times, skip=skip))
    store = DuckStore(":memory:", threads=1)

    async def attempt() -> bool:
        """Whether it says that it is complete."""
        async with engine.sync(store, feeds=DEALS) as sync:
            try:
                report = await sync.backfill()
            except B24Error:
                return False
            return not report.errors and all(one.backfilled for one in sync.status())

    for _ in range(8):
        if asyncio.run(attempt()):
            break
        engine.clock.move(700)
    else:
        pytest.fail("it never ends")

    assert set() == missing(engine, store)
    store.close()
