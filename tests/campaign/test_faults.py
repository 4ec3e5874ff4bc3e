"""Every error and every broken wire, anywhere: the mirror equals the portal in the end, or a feed says why it does not."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b24metrics.clock import HandClock
from b24metrics.errors import B24Error
from b24metrics.mirror import backfill, ranges
from b24metrics.mirror.desk import Report
from b24metrics.mirror.feed import Feed
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.options import SweepOptions
from b24metrics.mirror.stores import Store
from b24metrics.mirror.sync import Sync, status
from b24metrics.sim.faults import Fault, Transport
from b24metrics.sim.refusals import KNOWN, Refusal
from tests.campaign.faulty import FaultyLine
from tests.campaign.happenings import Happenings
from tests.campaign.witness import unsound
from tests.mirror.conftest import World, furnished

ALL = SweepOptions(cell_rows=100, newest_rows=60, believed_rows=10**6)
"""What is gone is believed at once: nobody loses a right here."""
TROUBLES = [*Transport, *KNOWN]
IN_FULL = bool(os.environ.get("B24_CAMPAIGN"))
"""Every trouble at many places takes minutes: ``make campaign``. Otherwise one of each sort, at two."""
OF_EACH_SORT = [
    *Transport, "QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT", "INTERNAL_SERVER_ERROR", "invalid_token", "PORTAL_DELETED",
    "ACCESS_DENIED", "ERROR_METHOD_NOT_FOUND", "OWNER_NOT_FOUND", "INVALID_ARG_VALUE", "ENTITY_TYPE_NOT_SUPPORTED", "", "0",
]  # fmt: skip
_TABLES = {
    "client_keys": ("leads", "contacts", "companies"),
    "activity_bindings": ("activities",),
    "user_departments": ("users",),
}


@pytest.fixture(autouse=True)
def _many_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of two pages at most, so that a small portal has walks of many requests."""
    for module in (ranges, backfill):
        monkeypatch.setattr(module, "BATCHFUL", 100)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with furnished(HandClock(), tmp_path / "mirror.duckdb") as made:
        for table in ("deal", "activity", "phone_call"):  # sparse, so that their plans have many ranges
            made.sql(f"UPDATE {table} SET ID = ID * 40")
        made.sql("UPDATE activity_binding SET ACTIVITY_ID = ACTIVITY_ID * 40")
        made.sql("UPDATE stage_history SET OWNER_ID = OWNER_ID * 40 WHERE ENTITY_TYPE_ID = 2")
        made.sql("UPDATE product_row SET OWNER_ID = OWNER_ID * 40")
        yield made


def fault(what: str, **where: object) -> Fault:
    return Fault(Transport(what) if what in set(Transport) else Refusal(what), **where)


def work(
    world: World, store: Store, *doings: Callable[[Sync], object], line: FaultyLine | None = None
) -> Report | B24Error:
    """Do one after the other, as after a restart; what is raised ends it and is returned."""

    async def working() -> Report:
        async with world.sync(store, line or FaultyLine(world.portal), attempts=1, sweeps=ALL) as sync:
            for doing in doings:
                report = await doing(sync)
        return report

    try:
        return asyncio.run(working())
    except B24Error as error:
        return error


def silent(world: World, store: Store, since: datetime) -> dict[str, object]:
    """Tables that differ from the portal although the feeds that fill them say that they are in step since then."""
    told = {one.feed: one for one in status(store, "practice", standard(), world.clock.at)}

    def claims(feed: Feed) -> bool:
        one = told[feed.name]
        fine = one.error is None and one.backfilled and not one.pending and not one.unread
        return fine and one.synced_at is not None and one.synced_at >= since

    differing = world.difference(store)
    found = {}
    for table in differing:
        feeds = [feed for feed in standard() if feed.table.name in _TABLES.get(table, (table,))]
        if all(map(claims, feeds)):
            found[table] = differing[table]
    return found


def settle(world: World, store: Store, *, at_most_seconds: float = 90_000) -> None:
    """The fault is gone, a day passes: everything recovers by itself."""
    world.portal.faults.clear()
    world.clock.move(at_most_seconds)
    report = work(world, store, Sync.catch_up, Sync.sweep, Sync.round)
    assert isinstance(report, Report), report
    assert {} == report.errors
    assert {} == world.difference(store)
    assert {} == unsound(store, in_step=True)


# ---------------------------------------------------------------- one fault, everywhere


@pytest.mark.parametrize("what", TROUBLES if IN_FULL else OF_EACH_SORT[::3], ids=lambda what: what or "blank")
def test_a_backfill_meets_every_trouble(world: World, what: str) -> None:
    """A command or request of a first copy fails, the next ones pass: what is complete by its own word is complete."""
    dice = random.Random()
    transport = what in set(Transport)
    store = world.open()
    for skip in (
        (dice.randrange(6), dice.randrange(6, 25)) if transport else (dice.randrange(60), dice.randrange(60, 300))
    ):
        world.portal.faults.add(fault(what, skip=skip))
        since = world.clock.at
        work(world, store, Sync.backfill, Sync.round)

        assert {} == silent(world, store, since), skip
        assert {} == unsound(store), skip
    settle(world, store)
    store.close()


def test_rounds_meet_every_trouble_at_every_command(world: World) -> None:
    """Whatever fails in a round, and wherever: told by that feed, or written; whole when it has passed."""
    store = world.open()
    work(world, store, Sync.catch_up)
    assert {} == world.difference(store)
    life = Happenings(world.portal, random.Random(3), bulk=120, deletions=False)
    for number, what in enumerate(TROUBLES * 2 if IN_FULL else OF_EACH_SORT):
        for _ in range(6):
            life.happen()
            world.clock.move(2)
        world.clock.move(20)
        world.portal.faults.add(
            fault(what, skip=number * 7 % (3 if what in set(Transport) else 40), times=1 + number % 3)
        )
        since = world.clock.at

        work(world, store, Sync.round)

        assert {} == silent(world, store, since), what
        assert {} == unsound(store), what
        world.portal.faults.clear()
    settle(world, store)
    store.close()


# ---------------------------------------------------------------- programs of faults and changes


_STEPS = st.one_of(
    st.tuples(st.just("change"), st.integers(1, 12)),
    st.tuples(st.just("fault"), st.sampled_from(TROUBLES), st.integers(0, 60), st.integers(1, 4)),
    st.tuples(st.just("pass"), st.sampled_from([0, 1, 30, 400, 4000])),
    st.tuples(st.just("round"), st.integers(1, 3)),
    st.tuples(st.just("round"), st.integers(1, 3)),
    st.tuples(st.just("backfill"), st.integers(1, 3)),
    st.tuples(st.just("sweep"), st.integers(1, 3)),
)


@settings(max_examples=60 if IN_FULL else 4, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), steps=st.lists(_STEPS, min_size=3, max_size=12), begun=st.booleans())
def test_programs_of_faults_and_changes_end_in_step(seed: int, steps: list[tuple[object, ...]], begun: bool) -> None:
    """Records are made, changed, moved, merged and deleted before and during each scan, while anything fails; a restart
    before each step. Afterwards mirror and portal are equal, row by row, and what was observed is sound at any time."""
    with TemporaryDirectory() as folder, furnished(HandClock(), Path(folder) / "mirror.duckdb") as world:
        life = Happenings(world.portal, random.Random(seed), bulk=30)
        store = world.open()
        if begun:
            work(world, store, Sync.catch_up)
        for what, *how in steps:
            if what == "change":
                for _ in range(how[0]):
                    life.happen()
                    world.clock.move(1)
            elif what == "fault":
                world.portal.faults.add(fault(how[0], skip=how[1], times=how[2]))
            elif what == "pass":
                world.clock.move(how[0])
            else:
                line = FaultyLine(world.portal, on_answer=lambda n, every=how[0]: n % every or life.happen())
                work(world, store, getattr(Sync, what), line=line)
                assert {} == unsound(store), (what, seed)
        settle(world, store)
        store.close()
