"""What no listing has is asked for owner by owner, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from b24metrics.errors import ConfigError, Unreachable
from b24metrics.mirror.feed import Feed
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.options import MirrorOptions
from b24metrics.mirror.stores import Store
from b24metrics.mirror.sync import status
from b24metrics.sim.accounts import Sight
from b24metrics.sim.faults import Fault
from b24metrics.sim.refusals import Refusal
from tests.mirror.conftest import World

PAPERS = ("currencies", "statuses", "deals", "invoices", "payments", "product_rows")
OTHERS = frozenset(feed.name for feed in standard()) - {*PAPERS}


def papers(**options: Any) -> tuple[Feed, ...]:
    """Few feeds, so that these tests are quick."""
    return standard(replace(MirrorOptions(skip=OTHERS), **options))


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    world.clock.move(60)  # the second of the last change is over
    store = world.open()
    yield store
    store.close()


def copy(world: World, store: Store, **options: Any) -> None:
    world.copy(store, feeds=papers(), **options)


def difference(world: World, store: Store) -> dict[str, Any]:
    return {name: rows for name, rows in world.difference(store).items() if name in PAPERS}


def owed(store: Store) -> set[tuple[str, int]]:
    return set(store.rows("SELECT feed, owner_id FROM owed"))


def test_new_and_changed_owners_are_asked_about(world: World, store: Store) -> None:
    """Payments of invoices, product rows of won deals; not again and again because of the overlap."""
    copy(world, store)
    assert set() == owed(store)
    world.clock.move(60)
    world.sql("UPDATE payment SET PAID = TRUE, SUM = 77 WHERE OWNER_ID = 3")
    world.sql("DELETE FROM payment WHERE OWNER_ID = 6")
    world.sql("UPDATE invoice SET DATE_MODIFY = ? WHERE ID IN (3, 6)", world.now)
    world.sql("UPDATE product_row SET QUANTITY = 5 WHERE OWNER_ID IN (6, 3)")
    world.sql(
        "UPDATE deal SET DATE_MODIFY = ?, STAGE_ID = 'WON', STAGE_SEMANTIC_ID = 'S' WHERE ID IN (6, 3)", world.now
    )
    world.clock.move(60)

    copy(world, store, rounds=2)

    assert {} == difference(world, store)
    world.portal.log.clear()
    copy(world, store, rounds=2)
    asked = {entry.method for entry in world.portal.log}
    assert set() == asked & {"crm.item.payment.list", "crm.deal.productrows.get"}


def test_a_cut_between_owner_and_answer_loses_nothing(world: World, store: Store) -> None:
    """Who is to be asked is written with the page that showed it; the next run asks."""
    copy(world, store)
    world.clock.move(60)
    world.sql("UPDATE deal SET DATE_MODIFY = ?, STAGE_SEMANTIC_ID = 'S', STAGE_ID = 'WON'", world.now)
    world.sql("UPDATE product_row SET PRICE = PRICE + 1")

    async def work() -> None:
        line = world.line(cut=lambda n: "after" if n > 1 else None)
        async with world.sync(store, line, attempts=1, feeds=papers()) as sync:
            await sync.round()
            await sync.round()

    for _ in range(2):
        with pytest.raises(Unreachable):
            asyncio.run(work())
        world.sql("UPDATE deal SET DATE_MODIFY = ?", world.now)
        world.clock.move(1)
    assert owed(store)

    copy(world, store, rounds=2)
    assert {} == difference(world, store)
    assert set() == owed(store)


def test_an_owner_that_is_gone_does_not_stop_the_others(world: World, store: Store) -> None:
    """A deal that is deleted before it is asked about is noted and keeps its rows; a sweep takes both away."""
    world.sql("UPDATE deal SET STAGE_SEMANTIC_ID = 'S', STAGE_ID = 'WON'")
    copy(world, store)
    before = store.rows("SELECT * FROM product_rows WHERE owner_id = 3")
    world.clock.move(60)
    world.sql("UPDATE deal SET DATE_MODIFY = ? WHERE ID IN (3, 6)", world.now)
    world.clock.move(1)

    async def work() -> None:
        async with world.sync(store, feeds=papers()) as sync:
            await sync.round()
            assert {("product_rows", 3), ("product_rows", 6)} == owed(store)
            world.sql("DELETE FROM deal WHERE ID = 3")
            report = await sync.round()
            assert {} == report.errors
            assert [("product_rows", "of 3")] == store.rows("SELECT feed, record_id FROM unread_records")
            assert before == store.rows("SELECT * FROM product_rows WHERE owner_id = 3")
            await sync.sweep()

    asyncio.run(work())

    assert set() == owed(store)
    assert [] == store.rows("SELECT * FROM product_rows WHERE owner_id = 3")
    assert [] == store.rows("SELECT * FROM unread_records")


def test_a_second_change_within_one_second_is_not_missed(world: World, store: Store) -> None:
    """A round came between two changes that bear the same second: the second one is asked about as well, and then no more."""
    world.sql("UPDATE deal SET STAGE_SEMANTIC_ID = 'S', STAGE_ID = 'WON'")
    copy(world, store)
    world.clock.move(60)

    async def work() -> None:
        async with world.sync(store, feeds=papers()) as sync:
            for price in (77, 88):
                world.sql("UPDATE product_row SET PRICE = ? WHERE OWNER_ID = 3", price)
                world.sql("UPDATE deal SET DATE_MODIFY = ? WHERE ID = 3", world.now)
                await sync.round()
                await sync.round()
            world.clock.move(60)
            await sync.round()
            await sync.round()
            assert {} == difference(world, store)
            world.clock.move(60)
            await sync.round()
            assert set() == owed(store)

    asyncio.run(work())


def test_an_owner_that_was_refused_by_mistake_is_asked_again(world: World, store: Store) -> None:
    """The portal says that a deal does not exist which does: its rows stay, the note says so, a day later it is mended."""
    world.sql("UPDATE deal SET STAGE_SEMANTIC_ID = 'S', STAGE_ID = 'WON'")
    copy(world, store)
    world.clock.move(60)
    world.sql("UPDATE deal SET DATE_MODIFY = ? WHERE ID = 3", world.now)
    world.sql("UPDATE product_row SET PRICE = 77 WHERE OWNER_ID = 3")
    world.clock.move(1)
    world.portal.faults.add(Fault(Refusal("OWNER_NOT_FOUND"), "crm.deal.productrows.get"))

    copy(world, store, rounds=2)
    kept = store.rows("SELECT DISTINCT price FROM product_rows WHERE owner_id = 3")
    assert kept
    assert [(77,)] != kept
    assert [("of 3",)] == store.rows("SELECT record_id FROM unread_records")

    world.clock.move(25 * 3600)
    copy(world, store, rounds=2)
    assert {} == difference(world, store)
    assert [] == store.rows("SELECT * FROM unread_records")


def test_rows_are_no_newer_than_their_owners(world: World, store: Store) -> None:
    """While deals cannot be listed, their product rows do not claim to be in step either."""

    def synced_at(feed: str) -> datetime | None:
        return next(one.synced_at for one in status(store, "practice", papers(), world.clock.at) if one.feed == feed)

    copy(world, store, rounds=2)
    before = synced_at("product_rows")
    assert before is not None
    world.clock.move(60)
    world.portal.faults.add(Fault(Refusal("OWNER_NOT_FOUND"), "crm.deal.list"))

    async def work() -> None:
        async with world.sync(store, feeds=papers()) as sync:
            assert {"deals"} == (await sync.round()).errors.keys()

    asyncio.run(work())
    assert before == synced_at("product_rows")

    world.clock.move(60)
    copy(world, store)
    assert before + timedelta(seconds=120) <= (synced_at("product_rows") or before)


def test_payments_that_leave_no_trace_are_found_within_a_day(world: World, store: Store) -> None:
    """Invoices in progress are asked about anew every day, finished ones are not."""
    copy(world, store)
    world.sql("UPDATE payment SET PAID = TRUE, SUM = 99")
    world.clock.move(23 * 3600)
    copy(world, store)
    before = store.rows("SELECT count(*) FROM payments WHERE amount = 99")
    world.clock.move(2 * 3600)
    copy(world, store, rounds=2)

    progress = "SELECT ID FROM invoice WHERE STAGE_ID = 'DT31_4:S'"
    [(there,)] = world.data.rows(f"SELECT count(*) FROM payment WHERE OWNER_ID IN ({progress})")
    assert [(0,)] == before
    assert [(there,)] == store.rows("SELECT count(*) FROM payments WHERE amount = 99")


def test_without_the_right_only_this_feed_is_off(world: World, store: Store) -> None:
    """Payments are forbidden: one sentence says so, everything else is copied; allowed again, nothing is missing."""
    forbid(world, "payment")

    async def work() -> None:
        async with world.sync(store, feeds=papers()) as sync:
            report = await sync.catch_up()
            assert {"payments"} == set(report.errors)
            assert "not copied" in report.errors["payments"]

    asyncio.run(work())
    assert {"payments"} == set(difference(world, store))

    forbid(world)
    copy(world, store)
    assert {} == difference(world, store)


def forbid(world: World, *tables: str) -> None:
    """What the webhook's owner may not see."""
    [webhook] = world.portal.accounts.webhooks.values()
    webhook.sight = Sight(denied=frozenset(tables))


def test_schedules_are_copied_by_their_numbers(world: World, store: Store) -> None:
    """The portal's own words are kept; a number that is not there is none; changes come within the hour."""
    world.data.insert("schedule", {"ID": 1, "NAME": "Office", "WORK_DAYS": "12345"})
    feeds = tuple(feed for feed in standard(MirrorOptions(schedules=(1, 9))) if feed.name == "schedules")

    def spec() -> tuple[int, str, str]:
        world.copy(store, feeds=feeds, rounds=2)
        [(number, name, text)] = store.rows("SELECT id, name, spec FROM schedules")
        return number, name, json.loads(text)["SHIFTS"][0]["WORK_DAYS"]

    assert (1, "Office", "12345") == spec()
    world.sql("UPDATE schedule SET WORK_DAYS = '123456'")
    world.clock.move(3700)
    assert (1, "Office", "123456") == spec()


def test_what_is_left_is_told(world: World, store: Store) -> None:
    """Until all owners were asked about, the feed is not complete and says how many are left."""

    async def work() -> None:
        line = world.line(cut=lambda n: "before" if n > 6 else None)
        async with world.sync(store, line, attempts=1, feeds=papers()) as sync:
            await sync.catch_up()

    with pytest.raises(Unreachable):
        asyncio.run(work())
    by_name = {one.feed: one for one in status(store, "practice", papers(), world.clock.at)}
    assert not by_name["payments"].backfilled
    copy(world, store)
    by_name = {one.feed: one for one in status(store, "practice", papers(), world.clock.at)}
    assert (True, 0, None) == (
        by_name["payments"].backfilled, by_name["payments"].pending, by_name["payments"].error,
    )  # fmt: skip


def test_a_feed_that_was_skipped_catches_up(world: World, store: Store) -> None:
    """Switched on later it asks about all owners that are already here."""
    without = standard(replace(MirrorOptions(), skip=OTHERS | {"product_rows", "payments"}))
    world.copy(store, feeds=without)
    assert set() == owed(store)

    copy(world, store)

    assert {} == difference(world, store)


def test_a_feed_to_skip_must_exist() -> None:
    """A typing error is told with the names that there are."""
    with pytest.raises(ConfigError, match="product_rows"):
        standard(MirrorOptions(skip=frozenset({"goods"})))


def test_one_request_holds_everything() -> None:
    """A round asks all feeds at once; a third of the room is left for owners."""
    commands = 1 + sum(feed.name != "absences" for feed in standard() if feed.name not in {"payments", "product_rows"})

    assert commands <= 33
    assert timedelta(0) == {feed.name: feed for feed in standard()}["payments"].every
