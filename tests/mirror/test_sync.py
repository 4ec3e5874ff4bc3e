"""The mirror equals the portal: after a backfill, after rounds, after every way of being broken off."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from b24metrics.errors import NotAuthorised, Unreachable, UnreadableReply, UnwritableMirror
from b24metrics.mirror import backfill, ranges
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.ledger import Ledger
from b24metrics.mirror.stores import Store
from b24metrics.mirror.sync import Progress, status
from b24metrics.portal.limits import STANDARD
from b24metrics.sim.accounts import ALL_SCOPES
from b24metrics.sim.limits import Billing, Costs, OperatingMeter, Spending
from tests.mirror.conftest import Torn, World

FEW = tuple(feed for feed in standard() if feed.name in {"currencies", "users", "deals", "activities", "phone_calls"})
"""Enough to meet every kind of feed, observations and parts, where a test repeats itself."""


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    store = world.open()
    yield store
    store.close()


@pytest.fixture
def many_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of two pages at most, so that a small portal has a plan of many ranges."""
    for module in (ranges, backfill):
        monkeypatch.setattr(module, "BATCHFUL", 100)


# ---------------------------------------------------------------- whole


def test_a_backfill_copies_everything(world: World, store: Store) -> None:
    """Every table of the mirror holds exactly the portal's rows, and every feed says so."""
    world.clock.move(60)  # what changed in this very second is asked about once more
    world.copy(store)

    assert {} == world.difference(store)
    for one in status(store, "practice", standard(), world.clock.at):
        assert (True, 0, None, 0) == (one.backfilled, one.pending, one.error, one.unread), one


def test_a_backfill_in_many_ranges_copies_everything(world: World, store: Store, many_ranges: None) -> None:
    """Ranges, samples of density and chains change nothing in what arrives; the newest records come first."""
    world.sql("DELETE FROM deal")
    world.sql("DELETE FROM stage_history WHERE ENTITY_TYPE_ID = 2")
    world.sql(
        f"""INSERT INTO deal BY NAME SELECT range * 5 + CASE WHEN range > 300 THEN 4000 ELSE 0 END AS ID,
        'Deal' AS TITLE, {world.now} - range AS DATE_MODIFY FROM range(1, 701)"""
    )
    seen: list[Progress] = []

    world.copy(store, on_progress=seen.append)

    assert {} == world.difference(store)
    deals = [one for one in seen if one.feed == "deals"]
    assert len(deals) > 4
    assert (700, 700) == (deals[-1].rows, deals[-1].expected)
    assert [one.rows for one in deals] == sorted(one.rows for one in deals)


def test_an_empty_portal_has_an_empty_mirror(world: World, store: Store) -> None:
    """Nothing there is nothing here, and it is complete."""
    for table in ("deal", "lead", "stage_history", "activity", "activity_binding", "phone_call"):
        world.sql(f"DELETE FROM {table}")

    world.copy(store)

    assert {} == world.difference(store)
    assert all(one.backfilled and one.error is None for one in status(store, "practice", standard(), world.clock.at))


def test_a_finished_backfill_costs_one_request(world: World, store: Store) -> None:
    """Calling it again asks for the time and finds nothing to do."""
    world.clock.move(60)  # what changed in this very second is asked about once more
    world.copy(store)
    line = world.line()

    async def again() -> None:
        async with world.sync(store, line) as sync:
            assert {} == (await sync.backfill()).rows

    asyncio.run(again())

    assert 1 == line.requests


def test_the_portal_introduces_itself(world: World, store: Store) -> None:
    """Where it is, who we are there, base currency and the way of selling are noted."""
    world.copy(store)

    assert [("practice", "127.0.0.1:1", 1, "RUB", 1)] == store.rows(
        "SELECT portal, host, user_id, base_currency, crm_mode FROM portals WHERE first_synced_at IS NOT NULL"
    )


def test_rates_are_known_before_closings(world: World, store: Store) -> None:
    """Deals that were already won at the first copy are frozen with their owner and rate."""
    world.copy(store)

    portal = world.data.rows(
        """SELECT ID, STAGE_SEMANTIC_ID, ASSIGNED_BY_ID, AMOUNT, AMOUNT_CNT FROM deal JOIN currency
        ON CURRENCY = CURRENCY_ID WHERE STAGE_SEMANTIC_ID <> 'P' ORDER BY ID"""
    )
    assert portal == store.rows(
        "SELECT deal_id, semantics, manager_id, rate, rate_count FROM deal_closings ORDER BY deal_id"
    )


def test_absences_are_instants_in_each_persons_zone(world: World, store: Store) -> None:
    """A vacation of whole days begins at its owner's midnight; meetings are no absences; who left has none."""
    march = int(datetime(2025, 3, 17, tzinfo=UTC).timestamp())
    msk, hour = 3 * 3600, 3600
    for number, (user, begins, ends, whole, kind) in enumerate(
        [
            (2, march - msk, march - msk + 2 * 86400, True, "absent"),
            (3, march - msk, march - msk + 2 * 86400, True, "absent"),  # Omsk
            (2, march + 10 * hour, march + 12 * hour, False, "absent"),
            (2, march + 10 * hour, march + 11 * hour, False, "busy"),
            (5, march, march + hour, False, "absent"),  # dismissed
        ]
    ):
        world.sql(
            """INSERT INTO accessibility BY NAME SELECT ? AS ID, ? AS USER_ID, ? AS FROM_AT, ? AS TO_AT, ? AS SKIP_TIME,
            ? AS ACCESSIBILITY""",
            number + 1, user, begins, ends, whole, kind,
        )  # fmt: skip

    world.copy(store, zone="Europe/Moscow")

    at = datetime(2025, 3, 17, tzinfo=UTC)
    found = store.rows("SELECT user_id, id, starts_at, ends_at FROM absences ORDER BY ALL")
    assert {2: -3, 3: -6} == {user: (start - at) / timedelta(hours=1) for user, number, start, _ in found if number < 3}
    assert {timedelta(days=2)} == {end - start for _, number, start, end in found if number < 3}
    assert [(2, 3, at + timedelta(hours=10), at + timedelta(hours=12))] == [row for row in found if row[1] == 3]
    assert {1, 2, 3} == {number for _, number, _, _ in found}


# ---------------------------------------------------------------- broken off


def check_promises(world: World, store: Store) -> None:
    """What the cursors say is there, is there: no more is asked of a mirror that was broken off."""
    for one in Ledger(store, "practice").ranges():
        table, theirs = {
            "deals": ("deals", "deal"), "leads": ("leads", "lead"), "activities": ("activities", "activity"),
            "phone_calls": ("phone_calls", "phone_call"),
        }[one.feed]  # fmt: skip
        within = f"id BETWEEN {one.first_id} AND {one.done_id}"
        kept = store.rows(f"SELECT id FROM {table} WHERE {within} ORDER BY id")
        assert world.data.rows(f"SELECT ID FROM {theirs} WHERE {within} ORDER BY ID") == kept
        assert len(kept) == one.row_count
        beyond = f"id BETWEEN {one.done_id + 1} AND {one.last_id}"
        assert [] == store.rows(f"SELECT id FROM {table} WHERE {beyond}")


def test_a_backfill_survives_a_failure_at_every_statement(world: World, many_ranges: None) -> None:
    """Broken at its first, second, third … statement, each time reopened: cursors never promise more than is there."""
    for table in ("deal", "activity", "phone_call"):
        world.sql(f"UPDATE {table} SET ID = ID * 40")
    world.sql("UPDATE activity_binding SET ACTIVITY_ID = ACTIVITY_ID * 40")

    async def attempt(store: Torn) -> None:
        async with world.sync(store, feeds=FEW) as sync:
            await sync.backfill()
            await sync.round()

    broken = 0
    for after in itertools.count(0, 3):
        store = Torn(world.open(), UnwritableMirror("torn"))
        store.left = after
        try:
            asyncio.run(attempt(store))
        except UnwritableMirror:
            broken += 1
        else:
            break
        finally:
            store.left = None
            check_promises(world, store)
            store.close()

    assert broken > 10
    store = Torn(world.open(), UnwritableMirror("torn"))
    assert {} == {table: rows for table, rows in world.difference(store).items() if table in MIRRORED_BY_FEW}
    store.close()


MIRRORED_BY_FEW = {"currencies", "users", "user_departments", "deals", "activities", "activity_bindings", "phone_calls"}


@pytest.mark.parametrize("how", ["before", "after", "half"])
def test_a_backfill_survives_a_cut_at_every_request(world: World, many_ranges: None, how: str) -> None:
    """The wire breaks before, after, or in the middle of the first, second, third … answer; the next start goes on."""
    for table in ("deal", "activity", "phone_call"):
        world.sql(f"UPDATE {table} SET ID = ID * 40")
    world.sql("UPDATE activity_binding SET ACTIVITY_ID = ACTIVITY_ID * 40")
    broken = 0
    for at in itertools.count(1):
        store = world.open()
        line = world.line(cut=lambda n, at=at: how if n >= at else None)
        errors: dict[str, str] = {}

        async def attempt(store: Store = store, line: Any = line, errors: dict[str, str] = errors) -> None:
            async with world.sync(store, line, attempts=1, feeds=FEW) as sync:
                errors.update((await sync.backfill()).errors)
                errors.update((await sync.round()).errors)

        try:
            asyncio.run(attempt())
        except (Unreachable, UnreadableReply):
            broken += 1
        check_promises(world, store)
        difference = {table for table in world.difference(store) if table in MIRRORED_BY_FEW}
        store.close()
        if line.requests < at:
            break
    assert broken > 3
    assert set() == difference
    assert {} == errors


@pytest.mark.parametrize("seed", range(2))
def test_a_cancelled_backfill_goes_on(world: World, many_ranges: None, seed: int) -> None:
    """Ctrl-C in the middle of anything: what was begun is finished or never was."""
    dice = random.Random(seed)

    async def attempt(store: Store, turns: int) -> bool:
        async with world.sync(store, feeds=FEW) as sync:
            task = asyncio.ensure_future(sync.backfill())
            for _ in range(turns):
                await asyncio.sleep(0)
                if task.done():
                    break
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return False
            return True

    for _ in range(8):
        store = world.open()
        done = asyncio.run(attempt(store, dice.randrange(1, 4000)))
        check_promises(world, store)
        store.close()
        if done:
            break
    store = world.open()
    world.copy(store, feeds=FEW)

    assert {} == {table: rows for table, rows in world.difference(store).items() if table in MIRRORED_BY_FEW}
    store.close()


def test_changes_during_a_backfill_are_not_lost(world: World, store: Store, many_ranges: None) -> None:
    """Records that change, appear or move while the past is copied are right after the next round."""
    world.sql("UPDATE deal SET ID = ID * 40")
    world.sql("UPDATE stage_history SET OWNER_ID = OWNER_ID * 40 WHERE ENTITY_TYPE_ID = 2")

    def meanwhile(request: int) -> None:
        world.clock.move(20)
        now = world.now
        world.sql("UPDATE deal SET TITLE = ?, DATE_MODIFY = ? WHERE ID % 7 = ?", f"during {request}", now, request % 7)
        number = world.data.next_id("deal")
        world.sql("INSERT INTO deal BY NAME SELECT ? AS ID, 'new' AS TITLE, ? AS DATE_MODIFY", number, now)
        world.sql(
            """INSERT INTO phone_call BY NAME SELECT ? AS ID, 'late' AS CALL_ID, ? AS CALL_START_DATE""",
            world.data.next_id("phone_call"), now,
        )  # fmt: skip

    async def work() -> None:
        async with world.sync(store, world.line(on_answer=meanwhile)) as sync:
            await sync.backfill()
        async with world.sync(store) as sync:
            await sync.round()

    asyncio.run(work())

    assert {} == world.difference(store)


def test_rounds_may_run_beside_a_backfill(world: World, store: Store, many_ranges: None) -> None:
    """A round in the middle of a backfill brings what is new and disturbs nothing."""
    world.sql("UPDATE deal SET ID = ID * 40")
    world.sql("UPDATE stage_history SET OWNER_ID = OWNER_ID * 40 WHERE ENTITY_TYPE_ID = 2")

    async def work() -> None:
        async with world.sync(store) as sync:
            copying = asyncio.ensure_future(sync.backfill())
            for _ in range(3):
                await sync.round()
                world.clock.move(60)
                world.sql("UPDATE deal SET TITLE = 'again', DATE_MODIFY = ? WHERE ID % 2 = 0", world.now)
            await copying
            await sync.round()

    asyncio.run(work())

    assert {} == world.difference(store)


# ---------------------------------------------------------------- rounds


def test_a_quiet_round_is_one_request(world: World, store: Store) -> None:
    """One batch carries every feed; nothing has changed, so nothing else is asked."""
    world.copy(store)
    line = world.line()

    async def work() -> None:
        async with world.sync(store, line) as sync:
            await sync.round()  # everything is due after a restart, directories and calendars too
            line.requests = 0
            for _ in range(3):
                world.clock.move(60)
                await sync.round()

    asyncio.run(work())

    assert 3 == line.requests


def change_something(world: World) -> None:
    """One thing that happens on a portal, deletions apart."""
    dice, now = world.dice, world.now

    def some(table: str, column: str = "ID") -> object:
        return world.dice.choice(world.data.rows(f'SELECT {column} FROM "{table}" ORDER BY ALL'))[0]

    def next_move(kind: int) -> int:
        return world.data.next_id("stage_history", f"ENTITY_TYPE_ID = {kind}")

    def move(deal: object, stage: str, meaning: str) -> None:
        world.sql(
            """UPDATE deal SET STAGE_ID = ?, STAGE_SEMANTIC_ID = ?, CLOSED = ?, MOVED_TIME = ?, DATE_MODIFY = ?,
            ASSIGNED_BY_ID = ? WHERE ID = ?""",
            stage, meaning, meaning != "P", now, now, some("user"), deal,
        )  # fmt: skip
        world.sql(
            """INSERT INTO stage_history BY NAME SELECT 2 AS ENTITY_TYPE_ID, ? AS ID, 3 AS TYPE_ID, ? AS OWNER_ID,
            ? AS CREATED_TIME, ? AS STAGE_ID, ? AS STAGE_SEMANTIC_ID, 0 AS CATEGORY_ID""",
            next_move(2), deal, now, stage, meaning,
        )  # fmt: skip

    happenings: list[Callable[[], None]] = [
        lambda: move(some("deal"), *dice.choice([("NEW", "P"), ("WON", "S"), ("LOSE", "F")])),
        lambda: world.sql(
            "INSERT INTO deal BY NAME SELECT ? AS ID, 'Fresh' AS TITLE, ? AS DATE_CREATE, ? AS DATE_MODIFY",
            world.data.next_id("deal"), now, now,
        ),
        lambda: world.sql("UPDATE deal SET TITLE = 'Bulk', DATE_MODIFY = ? WHERE ID % 2 = 0", now),
        lambda: world.sql(
            "INSERT INTO lead BY NAME SELECT ? AS ID, 'Fresh' AS TITLE, ? AS DATE_MODIFY", world.data.next_id("lead"), now
        ),
        lambda: world.sql("UPDATE lead SET STATUS_ID = 'JUNK', DATE_MODIFY = ? WHERE ID = ?", now, some("lead")),
        lambda: world.sql(
            "UPDATE activity SET COMPLETED = NOT COMPLETED, LAST_UPDATED = ? WHERE ID = ?", now, some("activity")
        ),
        lambda: [
            world.sql("UPDATE activity SET LAST_UPDATED = ? WHERE ID = ?", now, one := some("activity")),
            world.sql("DELETE FROM activity_binding WHERE ACTIVITY_ID = ? AND OWNER_TYPE_ID = 3", one),
            world.sql("INSERT INTO activity_binding VALUES (?, 4, ?)", one, now),
        ][:0]
        or None,
        lambda: world.sql(
            """INSERT INTO phone_call BY NAME SELECT ? + range AS ID, 'c' || range AS CALL_ID, ? AS CALL_START_DATE,
            1 AS PORTAL_USER_ID FROM range(?)""",
            world.data.next_id("phone_call"), now, dice.choice([1, 2, 70]),
        ),
        lambda: world.sql(
            "UPDATE phone_call SET CALL_VOTE = 5 WHERE CALL_START_DATE >= ? AND ID = ?", now - 40 * 3600, some("phone_call")
        ),
        lambda: world.sql('UPDATE "user" SET ACTIVE = NOT ACTIVE WHERE ID = ?', dice.randrange(2, 9)),
        lambda: world.sql('UPDATE "user" SET UF_DEPARTMENT = [?, 1] WHERE ID = ?', dice.randrange(2, 4), some("user")),
        lambda: world.sql("UPDATE currency SET AMOUNT = AMOUNT + 1 WHERE CURRENCY = 'KZT'"),
        lambda: world.sql("UPDATE status SET NAME = 'Другое', SORT = SORT + 5 WHERE ID = ?", some("status")),
        lambda: world.sql(
            "INSERT INTO department BY NAME SELECT ? AS ID, 'New' AS NAME, 1 AS PARENT, 1 AS SORT",
            world.data.next_id("department"),
        ),
    ]  # fmt: skip
    dice.choice(happenings)()


@pytest.mark.parametrize("seed", range(2))
def test_rounds_follow_whatever_happens(world: World, store: Store, seed: int) -> None:
    """A busy day, with a round now and then, a restart, and a broken wire: in the end the mirror equals the portal."""
    world.dice.seed(seed)
    world.copy(store)

    async def day() -> None:
        for _ in range(2):
            line = world.line()
            async with world.sync(store, line, attempts=1) as sync:
                for _ in range(4):
                    for _ in range(world.dice.randrange(12)):
                        change_something(world)
                        world.clock.move(world.dice.choice([0, 1, 7, 200]))
                    doom = line.requests + world.dice.randrange(1, 4)
                    if world.dice.random() < 0.4:
                        line.cut = lambda n, doom=doom: "after" if n >= doom else None
                    with suppress(Unreachable):
                        await sync.round()
                    line.cut = lambda _: None
        world.clock.move(3700)  # directories, calendars and late votes are due again
        async with world.sync(store) as sync:
            assert {} == (await sync.round()).errors

    asyncio.run(day())

    assert {} == world.difference(store)


def test_a_flood_within_one_second_is_paged_by_id(world: World, store: Store) -> None:
    """A mass change stamps hundreds of records with one second; none is skipped, and the walk ends."""
    world.copy(store)
    world.clock.move(60)
    now = world.now
    world.sql(
        "INSERT INTO deal BY NAME SELECT 1000 + range AS ID, 'Import' AS TITLE, ? AS DATE_MODIFY FROM range(430)", now
    )
    world.sql("UPDATE deal SET TITLE = 'Flood', DATE_MODIFY = ?", now)

    world.copy(store)

    assert {} == world.difference(store)
    assert [(470,)] == store.rows("SELECT count(*) FROM deals WHERE title = 'Flood'")


def test_a_cut_walk_goes_on_behind_what_it_has(world: World, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long catch-up that breaks is continued, not repeated; what changed behind it comes with the next round."""
    world.copy(store)
    world.clock.move(600)
    world.sql("INSERT INTO deal BY NAME SELECT 1000 + range AS ID, ? AS DATE_MODIFY FROM range(430)", world.now)
    line = world.line(cut=lambda n: "before" if n > 3 else None)

    async def broken() -> None:
        async with world.sync(store, line, attempts=1) as sync:
            await sync.round()

    with pytest.raises(Unreachable):
        asyncio.run(broken())
    half = Ledger(store, "practice").states()["deals"]
    world.clock.move(30)
    world.sql("UPDATE deal SET TITLE = 'behind', DATE_MODIFY = ? WHERE ID = 1001", world.now)
    world.portal.log.clear()
    world.copy(store)

    assert half.walk_at is not None
    assert half.cursor_id is not None
    assert half.cursor_id > 1000
    asked = [call.params for call in world.portal.log if call.method == "crm.deal.list"]
    assert str(half.cursor_id) == str(asked[0]["filter"][">ID"])
    world.copy(store)
    assert {} == world.difference(store)


def test_a_portal_whose_clock_is_wrong_loses_nothing(world: World, store: Store) -> None:
    """The portal's clock decides, an hour ahead or behind ours, and also when it is set."""
    for skew in (3600.0, -3600.0):
        world.portal.switches.skew = skew
        world.copy(store)
        world.clock.move(4000)
        world.sql("UPDATE deal SET TITLE = ?, DATE_MODIFY = ? WHERE ID % 2 = 0", f"skew {skew}", world.now)
        world.copy(store)

        assert {} == world.difference(store), skew


def test_who_is_dismissed_is_noticed(world: World, store: Store) -> None:
    """The first time that somebody is seen inactive is remembered; coming back takes it back."""
    world.copy(store)
    world.clock.move(700)
    world.sql('UPDATE "user" SET ACTIVE = FALSE WHERE ID = 2')
    noticed_at = world.clock.at
    world.copy(store)
    world.clock.move(700)
    world.copy(store)

    [(dismissed_at,)] = store.rows("SELECT dismissed_at FROM users WHERE id = 2")
    assert abs((dismissed_at - noticed_at).total_seconds()) < 60
    world.sql('UPDATE "user" SET ACTIVE = TRUE WHERE ID = 2')
    world.copy(store)
    assert [(None,)] == store.rows("SELECT dismissed_at FROM users WHERE id = 2")


# ---------------------------------------------------------------- refusals


def test_a_missing_scope_switches_off_one_feed(world: World, store: Store) -> None:
    """Without telephony everything else is copied; the feed says which scope to tick, and begins once it is ticked."""
    [webhook] = world.portal.accounts.webhooks.values()
    webhook.scopes = ALL_SCOPES - {"telephony"}
    line = world.line()

    async def work() -> None:
        async with world.sync(store, line) as sync:
            copied = await sync.backfill()
            first = await sync.round()
            assert {"phone_calls"} == set(copied.errors)
            assert {"late_phone_calls"} == set(first.errors) - set(copied.errors)
            line.requests = 0
            for _ in range(3):
                world.clock.move(60)
                assert {} == (await sync.round()).errors
            assert 3 == line.requests
            by_name = {one.feed: one for one in sync.status()}
            assert "voximplant.statistic.get: tick its scope 'telephony'" in str(by_name["phone_calls"].error)
            assert (False, 0) == (by_name["phone_calls"].backfilled, by_name["phone_calls"].rows)
            assert by_name["deals"].error is None
            webhook.scopes = ALL_SCOPES
            world.clock.move(3600)
            assert {} == (await sync.backfill()).errors
            assert {} == (await sync.round()).errors

    asyncio.run(work())

    assert {} == world.difference(store)
    assert all(one.error is None for one in status(store, "practice", standard(), world.clock.at))


def test_a_right_that_is_lost_freezes_a_feed(world: World, store: Store) -> None:
    """A scope that is taken away later leaves rows and freshness as they were; the others stay fresh."""
    world.copy(store)
    [webhook] = world.portal.accounts.webhooks.values()
    webhook.scopes = ALL_SCOPES - {"telephony"}
    rows = store.rows("SELECT count(*) FROM phone_calls")
    world.clock.move(600)

    async def work() -> None:
        async with world.sync(store) as sync:
            await sync.round()

    asyncio.run(work())

    now = world.clock.at
    by_name = {one.feed: one for one in status(store, "practice", standard(), now)}
    assert rows == store.rows("SELECT count(*) FROM phone_calls")
    assert by_name["phone_calls"].age_seconds >= 600
    assert by_name["phone_calls"].error is not None
    assert by_name["deals"].age_seconds < 60


def test_a_directory_that_comes_back_empty_is_not_believed(world: World, store: Store) -> None:
    """An owner who loses the right to see departments has not abolished them."""
    world.copy(store)
    world.sql("DELETE FROM status")
    world.clock.move(700)

    async def work() -> None:
        async with world.sync(store) as sync:
            assert {"statuses"} == set((await sync.round()).errors)

    asyncio.run(work())

    assert [(0,)] == store.rows("SELECT count(*) FROM statuses WHERE deleted_at IS NOT NULL")


def test_a_portal_that_ignores_a_filter_is_found_out(world: World, store: Store) -> None:
    """Asked for the last minutes and answered with last year: the feed stops instead of copying everything every minute."""
    world.copy(store)
    world.sql("UPDATE deal SET DATE_MODIFY = DATE_MODIFY - 5 * 86400")
    world.clock.move(60)
    line = world.line(rewrite=lambda body: body.replace(b"%3E%3DDATE_MODIFY", b"%3E%3DUNKNOWN"))

    async def work() -> None:
        async with world.sync(store, line) as sync:
            errors = (await sync.round()).errors
            assert {"deals"} == set(errors)
            assert "ignores '>=DATE_MODIFY'" in errors["deals"]

    for table in ("lead", "contact", "company", "quote"):
        world.sql(f"DELETE FROM {table}")
    asyncio.run(work())


def test_directories_of_several_pages_are_read_whole(world: World, store: Store) -> None:
    """People by id, departments by offset: a full first page is followed to the end before anything is buried."""
    world.sql("""INSERT INTO "user" BY NAME SELECT 100 + range AS ID, 'Many' AS NAME, TRUE AS ACTIVE, [1] AS UF_DEPARTMENT,
        'employee' AS USER_TYPE FROM range(130)""")
    world.sql("INSERT INTO department BY NAME SELECT 100 + range AS ID, 'Many' AS NAME, 1 AS PARENT FROM range(130)")

    world.copy(store)
    world.clock.move(700)
    world.copy(store)

    assert {} == world.difference(store)
    assert [(0,)] == store.rows("SELECT count(*) FROM users WHERE deleted_at IS NOT NULL")


def test_everybody_is_read_with_the_round(world: World, store: Store) -> None:
    """People who fill several pages are asked for page by page in the round's one request: those who came, and who left."""
    many = """INSERT INTO "user" BY NAME SELECT {first} + range AS ID, 'Many' AS NAME, TRUE AS ACTIVE, [1] AS UF_DEPARTMENT,
        'employee' AS USER_TYPE FROM range({count})"""
    world.sql(many.format(first=100, count=130))
    world.copy(store)
    line = world.line()

    async def work() -> list[int]:
        async with world.sync(store, line) as sync:
            await sync.round()
            cost = []
            for change in (
                many.format(first=230, count=1),
                'DELETE FROM "user" WHERE ID IN (101, 150, 229)',
                many.format(first=231, count=60),  # more than the open piece takes: followed
            ):
                world.clock.move(700)
                world.sql(change)
                line.requests = 0
                await sync.round()
                cost.append(line.requests)
            return cost

    cost = asyncio.run(work())

    here = store.rows("SELECT id FROM users WHERE deleted_at IS NULL ORDER BY id")
    assert ([1, 1], world.data.rows('SELECT ID FROM "user" ORDER BY ID')) == (cost[:2], here)


def test_a_walk_over_what_was_read_before_is_one_batch(world: World, store: Store) -> None:
    """Records of the last minutes are read again by every round: how many there are is known."""
    world.copy(store)
    world.sql(
        """INSERT INTO deal BY NAME SELECT 5000 + range AS ID, 'Bulk' AS TITLE, 0 AS CATEGORY_ID, 'NEW' AS STAGE_ID,
        {now} AS DATE_CREATE, {now} AS DATE_MODIFY FROM range(1000)""".format(now=int(world.now))
    )
    line = world.line()

    async def work() -> list[int]:
        async with world.sync(store, line) as sync:
            cost = []
            for _ in range(2):
                line.requests = 0
                await sync.round()
                cost.append(line.requests)
                world.clock.move(60)
            return cost

    first, again = asyncio.run(work())

    assert {} == world.difference(store)
    assert (True, 2) == (first > 2, again)


def test_a_revoked_webhook_stops_everything(world: World, store: Store) -> None:
    """Nothing can be asked any more: the error is raised, and every feed says why it stands still."""
    world.copy(store)
    [webhook] = world.portal.accounts.webhooks.values()
    webhook.revoked = True

    async def work() -> None:
        async with world.sync(store) as sync:
            await sync.round()

    with pytest.raises(NotAuthorised):
        asyncio.run(work())

    errors = [one.error for one in status(store, "practice", standard(), world.clock.at) if one.feed != "absences"]
    assert all(errors)
    assert not any("practicesecret" in str(error) for error in errors)


def test_an_unreadable_record_is_counted_and_passed_over(world: World, store: Store) -> None:
    """One record out of shape does not hide the others, and is not hidden either."""
    [bad] = world.data.rows("SELECT ID FROM deal ORDER BY ID LIMIT 1 OFFSET 5")
    [deals] = [feed for feed in standard() if feed.name == "deals"]
    read = deals.listing.decode

    def spoiled(row: Any) -> object:
        return read({**row, "OPPORTUNITY": "a lot"} if row["ID"] == str(bad[0]) else row)

    feeds = tuple(
        replace(feed, listing=replace(feed.listing, decode=spoiled)) if feed is deals else feed
        for feed in (deals, *(one for one in FEW if one.name != "deals"))
    )

    world.copy(store, feeds=feeds)
    spoilt = {one.feed: one.unread for one in status(store, "practice", feeds, world.clock.at)}
    world.clock.move(60)
    world.sql("UPDATE deal SET DATE_MODIFY = ? WHERE ID = ?", world.now, bad[0])
    world.copy(store, feeds=FEW)

    assert 1 == spoilt["deals"]
    assert {} == Ledger(store, "practice").unread()
    assert "deals" not in world.difference(store)


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("billing", Billing)
def test_a_backfill_keeps_within_the_budgets(world: World, store: Store, billing: Billing) -> None:
    """With a method time of a tenth of the vendor's the copy waits where it must; the portal refuses nothing."""
    world.portal.meter = OperatingMeter(limit=48.0, billing=billing)
    world.portal.costs = Costs(seconds=0.5, spending=Spending.MOVE)
    tenth = replace(STANDARD, name="a tenth", operating=48.0)
    world.sql(
        "INSERT INTO deal BY NAME SELECT 1000 + range AS ID, 'More' AS TITLE, ? AS DATE_MODIFY FROM range(4000)",
        world.now,
    )

    world.copy(store, plan=tenth)

    assert {} == world.difference(store)
    assert [] == [call for call in world.portal.log if call.status in {429, 503}]
