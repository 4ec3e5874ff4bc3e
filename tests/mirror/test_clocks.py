"""Clocks that are set wrong: cursors are the portal's time, so nothing is missed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from b24metrics.clock import HandClock
from tests.mirror.conftest import World


@dataclass
class Wrong:
    """A machine's clock that an administrator turns; seconds last as long as everybody's."""

    right: HandClock
    off: float = 0.0

    def now(self) -> float:
        return self.right.now() + self.off

    def monotonic(self) -> float:
        return self.right.monotonic()

    def sleep(self, seconds: float) -> None:
        self.right.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        await self.right.asleep(seconds)


def test_a_clock_that_jumps_loses_nothing(world: World) -> None:
    """An hour back, right again, an hour ahead, a day back: every change arrives in its round, freshness stays true."""
    store = world.open()
    clock = Wrong(world.clock)

    async def work() -> None:
        async with world.sync(store, clock=clock) as sync:
            assert {} == (await sync.catch_up()).errors
            for number, off in enumerate((-3600, 0, 3600, -86_400)):
                clock.off = off
                world.sql("UPDATE deal SET TITLE = ?, DATE_MODIFY = ? WHERE ID = 3", f"title {number}", world.now)
                world.sql("INSERT INTO lead BY NAME SELECT ? AS ID, 'New' AS TITLE, 'NEW' AS STATUS_ID, ? AS DATE_CREATE, "
                          "? AS DATE_MODIFY", 9000 + number, world.now, world.now)  # fmt: skip
                world.clock.move(30)
                assert {} == (await sync.round()).errors
                assert {} == world.difference(store)
                assert all(
                    0 <= one.age_seconds < 60
                    for one in sync.status()
                    if one.feed in {"deals", "leads"} and one.age_seconds is not None
                )

    asyncio.run(work())
    store.close()
