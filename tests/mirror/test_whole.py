"""A believable company behind a real socket: copied, killed, copied on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from b24metrics.clock import HandClock, SystemClock
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.ledger import Ledger
from b24metrics.mirror.options import MirrorOptions
from b24metrics.mirror.stores import Store, open_store
from b24metrics.mirror.sync import Sync, status
from b24metrics.portal.client import AsyncPortal
from b24metrics.sim.company import Company, build
from b24metrics.sim.pytest_plugin import SimFactory
from tests.mirror.conftest import difference


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small practice company."""
    path = tmp_path_factory.mktemp("company") / "portal.duckdb"
    with duckdb.connect(str(path)) as connection:
        build(connection, Company(now=HandClock().now(), managers=6, departments=2, months=3, talk=0.5))
    return path


USER_FIELDS_OF_DEALS = "SELECT FIELD_NAME FROM userfield WHERE ENTITY_ID = 'CRM_DEAL'"


def copied(company: Path, tmp_path: Path) -> str:
    """A copy of the portal's file, so that tests do not meet in it."""
    path = tmp_path / "portal.duckdb"
    path.write_bytes(company.read_bytes())
    return str(path)


def test_a_company_is_copied_over_http(
    b24_sim_factory: SimFactory, company: Path, tmp_path: Path, either: Store
) -> None:
    """Every row of every table arrives as it is on the portal; the portal refuses nothing; requests are few."""
    clock = HandClock()
    sim = b24_sim_factory(clock=clock, data=copied(company, tmp_path))
    store = either
    fields = tuple(str(name) for (name,) in sim.data.rows(USER_FIELDS_OF_DEALS))
    feeds = standard(MirrorOptions({"deal": fields}))

    async def work() -> None:
        async with AsyncPortal(sim.webhook, clock=clock) as client:
            sync = Sync(client, store, portal="practice", feeds=feeds, clock=clock, zone="Europe/Moscow")
            assert {} == (await sync.backfill()).errors
            assert {} == (await sync.round()).errors

    asyncio.run(work())

    assert {} == difference(sim.data, store)
    assert [] == [entry for entry in sim.log if entry.status != 200]
    assert all(one.backfilled and one.unread == 0 for one in status(store, "practice", standard(), clock.at))
    rows = sum(one.rows for one in status(store, "practice", standard(), clock.at))
    assert sim.request_count <= rows / 2500 + 25
    absent = sim.data.value("SELECT count(DISTINCT USER_ID) FROM accessibility WHERE ACCESSIBILITY = 'absent'")
    assert isinstance(absent, int)
    assert absent >= store.rows("SELECT count(DISTINCT user_id) FROM absences")[0][0] > 0
    store.close()


CHILD = """
import asyncio, os, signal, sys
from b24metrics.mirror.stores import open_store
from b24metrics.mirror.sync import Sync
from b24metrics.portal.client import AsyncPortal

address, path, stretches = sys.argv[1], sys.argv[2], int(sys.argv[3])

def died(progress):
    global stretches
    stretches -= 1
    if stretches < 0:
        os.kill(os.getpid(), signal.SIGKILL)

async def work():
    async with AsyncPortal(address) as client:
        sync = Sync(client, open_store(path), portal="practice", on_progress=died)
        await sync.backfill()
        await sync.round()

asyncio.run(work())
"""


def test_a_killed_sync_goes_on_where_it_stood(
    b24_sim_factory: SimFactory, company: Path, tmp_path: Path, place: Path | str
) -> None:
    """kill -9 while walks are under way, again and again: no row is lost, none is doubled, none is read twice for long."""
    sim = b24_sim_factory(clock=SystemClock(), data=copied(company, tmp_path))
    kills = 0
    while True:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, sim.webhook, str(place), str(2 * kills)],
            capture_output=True, text=True, check=False, env={**os.environ, "PYTHONWARNINGS": "error"},
        )  # fmt: skip
        if done.returncode == 0:
            break
        assert -signal.SIGKILL == done.returncode, done.stderr
        kills += 1
        store = open_store(place)
        store.execute("DELETE FROM leases")  # stands for the minute in which the lease lapses
        for one in Ledger(store, "practice").ranges():
            assert one.first_id - 1 <= one.done_id <= one.last_id
        store.close()

    store = open_store(place)
    assert kills >= 2
    sim.data.execute("UPDATE deal SET UF = NULL")  # none was configured
    assert {} == difference(sim.data, store)
    store.close()
