"""What comes while the database is busy is written together, and everybody is told what became of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from b24metrics.clock import HandClock
from b24metrics.errors import MirrorError
from b24metrics.mirror.desk import Desk
from b24metrics.mirror.feed import Feed
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.intake import Intake
from b24metrics.mirror.ledger import Copied, Ledger
from b24metrics.mirror.ranges import Range
from b24metrics.mirror.stores import DuckStore
from b24metrics.portal.client import AsyncPortal

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FEED = next(feed for feed in standard() if feed.name == "deals")
WORKS = [Range("deals", first, first + 9, first - 1, 5) for first in (1, 11, 21, 31)]


class Busy(Ledger):
    """One that is occupied with the first stretch until it is told to go on."""

    def __init__(self, store: DuckStore) -> None:
        super().__init__(store, "p")
        self.began, self.go_on = threading.Event(), threading.Event()
        self.tried: list[list[int]] = []

    def keep_copied(self, feed: Feed, copied: Sequence[Copied], at: datetime) -> None:
        self.tried.append([one.work.first_id for one in copied])
        self.began.set()
        assert self.go_on.wait(30)
        super().keep_copied(feed, copied, at)


@pytest.fixture
def ledger() -> Iterator[Busy]:
    store = DuckStore()
    ledger = Busy(store)
    ledger.begin(FEED, NOON, 40, WORKS)
    yield ledger
    store.close()


async def take_in(ledger: Busy, *rows: dict[str, Any], cancelled: bool = False) -> list[BaseException | None]:
    """Rows, each of a range of its own; the others come while the first is being written. What became of each."""
    async with AsyncPortal("http://127.0.0.1:1/rest/1/secret00/", clock=HandClock(NOON)) as portal:
        intake = Intake(Desk(portal, ledger, HandClock(NOON)))

        def keep(n: int) -> asyncio.Task[None]:
            return asyncio.create_task(intake.keep(FEED, WORKS[n], [rows[n]], WORKS[n].last_id))

        tasks = [keep(0)]
        await asyncio.to_thread(ledger.began.wait, 30)
        for n in range(1, len(rows)):  # one behind the other: they are read in threads of their own
            tasks.append(keep(n))
            while len(intake._waiting[FEED]) <= n:  # noqa: ASYNC110 - they say nothing until they are written
                await asyncio.sleep(0)
        if cancelled:
            tasks[1].cancel()
            await asyncio.wait(tasks[1:2])
        ledger.go_on.set()
        return [None if found is None else found for found in await asyncio.gather(*tasks, return_exceptions=True)]


def row(number: int, **fields: object) -> dict[str, Any]:
    return {"ID": str(number), **fields}


def done(ledger: Ledger) -> dict[int, int]:
    return {one.first_id: one.row_count for one in ledger.ranges() if one.done_id == one.last_id}


def test_what_waits_is_written_together(ledger: Busy) -> None:
    """The first at once, all others in one go."""
    told = asyncio.run(take_in(ledger, row(1), row(11), row(21)))

    assert [None] * 3 == told
    assert [[1], [11, 21]] == ledger.tried
    assert {1: 1, 11: 1, 21: 1} == done(ledger)


def test_what_cannot_be_written_is_told_to_whoever_brought_it(ledger: Busy) -> None:
    """The others are in the mirror, and nothing is taken for written that is not."""
    told = asyncio.run(take_in(ledger, row(1), row(11), row(21, OPPORTUNITY="1" * 20), row(31)))

    assert [type(None), type(None), MirrorError, type(None)] == list(map(type, told))
    assert {1: 1, 11: 1, 31: 1} == done(ledger)
    assert [(1,), (11,), (31,)] == ledger.store.rows("SELECT id FROM deals ORDER BY id")


def test_who_gave_up_is_not_written_for(ledger: Busy) -> None:
    """Its range will be walked anew, by somebody who may have come further meanwhile."""
    told = asyncio.run(take_in(ledger, row(1), row(11), row(21), cancelled=True))

    assert [type(None), asyncio.CancelledError, type(None)] == list(map(type, told))
    assert [[1], [21]] == ledger.tried
    assert {1: 1, 21: 1} == done(ledger)
