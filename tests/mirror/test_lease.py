"""Of several processes on one database, one keeps a portal; another takes over when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from b24metrics.errors import PortalKept
from b24metrics.mirror.lease import Keeper, Lease, keeper
from b24metrics.mirror.schema import DEALS
from b24metrics.mirror.stores import DuckStore, Store, open_store

if TYPE_CHECKING:
    from tests.mirror.conftest import World
    from tests.postgres import Server


@pytest.fixture
def address(postgres: Server, empty_mirror: str) -> str:
    """A mirror that several processes may open."""
    return postgres.fresh(empty_mirror)


@pytest.fixture
def opened(address: str) -> Iterator[Callable[[], Store]]:
    """Opens the mirror as one more process does."""
    stores: list[Store] = []

    def open_one() -> Store:
        stores.append(open_store(address))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def pass_time(store: Store, seconds: int) -> None:
    """Let the database's clock go on, as far as leases can tell."""
    store.execute(
        f"UPDATE leases SET until = until - INTERVAL '{seconds} second', renewed_at = renewed_at - INTERVAL '{seconds} second'"
    )


def test_one_of_two_keeps_a_portal(opened: Callable[[], Store]) -> None:
    """The other is told who has it, and may keep another portal meanwhile."""
    first, second = Lease(opened(), "a"), Lease(opened(), "a")

    first.hold()
    with pytest.raises(
        PortalKept, match=r"a is kept by .*:\d+ until \d\d:\d\d:\d\d UTC, unless .* stands by"
    ) as caught:
        second.hold()
    first.hold()

    assert first.holder.partition("/")[0] == caught.value.holder
    Lease(opened(), "b").hold()


def test_a_lease_that_was_let_go_is_free_at_once(opened: Callable[[], Store]) -> None:
    """Released, or its holder ended well."""
    store = opened()
    first, second, third = Lease(store, "a"), Lease(opened(), "a"), Lease(opened(), "a")

    first.hold()
    first.release()
    second.hold()
    second.release()
    first.hold()
    store.close()
    third.hold()


def test_a_lease_lapses(opened: Callable[[], Store]) -> None:
    """Not renewed in time: whoever comes next takes it, and the former holder is told."""
    first, second, onlooker = Lease(opened(), "a"), Lease(opened(), "a"), opened()
    first.hold()
    pass_time(onlooker, 59)
    with pytest.raises(PortalKept):
        second.hold()
    pass_time(onlooker, 2)

    assert keeper(onlooker, "a") is None
    second.hold()

    with pytest.raises(PortalKept):
        first.hold()
    found = keeper(onlooker, "a")
    assert isinstance(found, Keeper)
    assert second.holder.startswith(found.holder)


def test_nothing_is_written_after_the_lease_has_lapsed(opened: Callable[[], Store]) -> None:
    """The transaction is refused before its first row, whether or not somebody else has taken over."""
    first, second, onlooker = Lease(opened(), "a"), Lease(opened(), "a"), opened()
    first.hold()
    pass_time(onlooker, 61)

    def write(lease: Lease) -> None:
        with lease.store.transaction():
            lease.store.upsert(DEALS, [{"portal": "a", "id": 1, "title": lease.holder}])

    with pytest.raises(PortalKept, match="lapsed before this process came to write"):
        write(first)
    second.hold()
    with pytest.raises(PortalKept, match="lapsed"):
        write(first)
    write(second)

    assert [(second.holder,)] == onlooker.rows("SELECT title FROM deals")


def test_a_writer_cannot_lose_its_lease_in_the_middle(opened: Callable[[], Store]) -> None:
    """However long a transaction lasts: while it runs, the lease is locked; its end leaves a renewed one."""
    store, other = opened(), opened()
    first, second = Lease(store, "a"), Lease(other, "a")
    first.hold()
    other.execute("CREATE OR REPLACE TEMP TABLE here AS SELECT 1 AS a")  # a connection to set the patience of
    other._connection.execute("SET lock_timeout = '50ms'")  # type: ignore[attr-defined]

    with first.store.transaction():
        first.store.upsert(DEALS, [{"portal": "a", "id": 1}])
        with pytest.raises(PortalKept):
            second.hold()

    with pytest.raises(PortalKept):
        second.hold()


def test_a_clock_that_was_set_back_keeps_nobody_waiting(opened: Callable[[], Store]) -> None:
    """A dead holder's lease seems to end an hour from now: it is from before the change, and free."""
    first, second, onlooker = Lease(opened(), "a"), Lease(opened(), "a"), opened()
    first.hold()

    pass_time(onlooker, -3600)

    assert keeper(onlooker, "a") is None
    second.hold()


def test_a_living_holder_outlives_a_clock_that_was_set_back(opened: Callable[[], Store]) -> None:
    """Its next renewal is by the new time."""
    first, second, onlooker = Lease(opened(), "a"), Lease(opened(), "a"), opened()
    first.hold()
    pass_time(onlooker, -3600)

    with first.store.transaction():
        pass

    with pytest.raises(PortalKept):
        second.hold()


def test_a_file_needs_no_lease() -> None:
    """Its lock is the lease: nothing is asked, nothing is written."""
    store = DuckStore()
    lease = Lease(store, "a")

    lease.hold()

    assert lease.store is store
    assert keeper(store, "a") is None
    assert [] == store.rows("SELECT * FROM leases")


# ---------------------------------------------------------------- whole rounds


def test_two_syncs_never_meet(world: World, opened: Callable[[], Store]) -> None:
    """The second one asks the portal nothing; when the first has gone it goes on where the mirror stands."""
    one, two = opened(), opened()
    line = world.line()

    async def work() -> None:
        async with world.sync(one) as first, world.sync(two, line) as second:
            await first.catch_up()
            with pytest.raises(PortalKept):
                await second.round()
            assert 0 == line.requests
            one.close()
            world.sql("UPDATE deal SET TITLE = 'new', DATE_MODIFY = ? WHERE ID = 3", world.now + 5)
            world.clock.move(30)
            assert {} == (await second.round()).errors

    asyncio.run(work())

    assert {} == world.difference(two)


HOLDER = """
import sys
from b24metrics.mirror.lease import Lease
from b24metrics.mirror.schema import DEALS
from b24metrics.mirror.stores import open_store
store = open_store(sys.argv[1])
lease = Lease(store, "a", seconds=float(sys.argv[2]))
lease.hold()
print(lease.holder, flush=True)
number = 0
for line in sys.stdin:
    with lease.store.transaction():
        number += 1
        store.upsert(DEALS, [{"portal": "a", "id": number, "title": lease.holder}])
        if line.startswith("half"):
            print("half", flush=True)
            sys.stdin.readline()
    print("whole", flush=True)
"""


def process(address: str, seconds: float) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.DEVNULL,
        "text": True,
    }
    return subprocess.Popen([sys.executable, "-c", HOLDER, address, str(seconds)], **pipes)


def say(to: subprocess.Popen[str], word: str) -> str:
    assert to.stdin is not None
    assert to.stdout is not None
    to.stdin.write(word + "\n")
    to.stdin.flush()
    return to.stdout.readline().strip()


def test_another_takes_over_from_a_killed_process(address: str, opened: Callable[[], Store]) -> None:
    """kill -9 in the middle of a transaction: what was committed is there, the rest is not, and the portal is kept again."""
    first = process(address, 1.0)
    assert first.stdout is not None
    name = first.stdout.readline().strip()
    assert "whole" == say(first, "whole")
    assert "half" == say(first, "half")

    os.kill(first.pid, signal.SIGKILL)
    first.wait(timeout=30)
    store = opened()
    lease = Lease(store, "a", seconds=60)
    seen: set[str] = set()
    while True:  # the server needs a moment to see that the process is gone, and its lease a second to lapse
        try:
            lease.hold()
            break
        except PortalKept as kept:
            seen.add(kept.holder)
    with lease.store.transaction():
        lease.store.upsert(DEALS, [{"portal": "a", "id": 7, "title": "taken over"}])

    assert {name.partition("/")[0]} == seen
    assert [(1, name), (7, "taken over")] == store.rows("SELECT id, title FROM deals ORDER BY id")
    for pipe in (first.stdin, first.stdout):
        assert pipe is not None
        pipe.close()


def test_a_process_that_slept_too_long_writes_nothing(address: str, opened: Callable[[], Store]) -> None:
    """Suspended (SIGSTOP) between two transactions while another took over: its next one is refused."""
    first = process(address, 60.0)
    assert first.stdout is not None
    first.stdout.readline()
    os.kill(first.pid, signal.SIGSTOP)
    store = opened()
    pass_time(store, 61)
    lease = Lease(store, "a")
    lease.hold()

    os.kill(first.pid, signal.SIGCONT)
    said = say(first, "whole")
    first.communicate(timeout=30)

    assert "" == said
    assert 1 == first.returncode
    assert [] == store.rows("SELECT id FROM deals")
