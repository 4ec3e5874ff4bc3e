"""What vanishes from the portal gets a tombstone, what was lost is fetched, what merely cannot be seen stays."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b24metrics.clock import HandClock
from b24metrics.errors import UnwritableMirror
from b24metrics.mirror import schema
from b24metrics.mirror.census import Cell, Census, Standing
from b24metrics.mirror.desk import Report
from b24metrics.mirror.feed import Feed
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.ledger import Ledger
from b24metrics.mirror.options import SweepOptions
from b24metrics.mirror.stores import DuckStore, Store
from b24metrics.mirror.sync import FeedStatus, status
from b24metrics.sim.accounts import Sight, Webhook
from b24metrics.sim.core import PracticePortal
from b24metrics.sim.data import Data
from b24metrics.sim.records import Hand
from b24metrics.sim.tables import ENTITY_TYPES
from tests.mirror.conftest import SECRET, Torn, World
from tests.mirror.test_sync import change_something

SMALL = SweepOptions(cell_rows=100, newest_rows=60)
"""Ranges so small that a small portal has many."""
DAY = 86_400


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    store = world.open()
    yield store
    store.close()


def only(*names: str) -> tuple[Feed, ...]:
    return tuple(feed for feed in standard() if feed.name in names)


def swept(world: World, store: Store, **options: Any) -> Report:
    """All ids are compared, as after a restart."""

    async def work() -> Report:
        async with world.sync(store, **{"sweeps": SMALL, **options}) as sync:
            report = await sync.sweep()
            assert {} == report.errors
            return report

    return asyncio.run(work())


def standing(world: World, store: Store, feed: str) -> FeedStatus:
    return next(one for one in status(store, "practice", standard(), world.clock.at) if feed == one.feed)


def delete(world: World, kind: int, *ids: int) -> None:
    """Delete as a person would: what hangs on a record goes with it."""
    for number in ids:
        assert world.portal.records.delete(ENTITY_TYPES[kind], number, Hand(world.now))


def some(world: World, table: str, *places: int) -> list[int]:
    rows = world.data.rows(f'SELECT ID FROM "{table}" ORDER BY ID')
    return [int(str(rows[place][0])) for place in places]


# ---------------------------------------------------------------- deletions


def test_whatever_is_deleted_gets_a_tombstone(world: World, store: Store) -> None:
    """Every entity; the history of stages follows its owner; what is buried stays, with the time it was missed."""
    world.copy(store)
    world.clock.move(3600)
    gone = {table: some(world, table, 0, 5, -1) for table in ("deal", "lead", "activity", "phone_call")}
    delete(world, 2, *gone["deal"])
    delete(world, 1, *gone["lead"])
    for number in gone["activity"]:
        world.portal.records.delete_activity(number, Hand(world.now))
    world.sql(f"DELETE FROM phone_call WHERE ID IN ({', '.join(map(str, gone['phone_call']))})")

    report = swept(world, store)

    assert {} == world.difference(store)
    assert {"deals": 3, "leads": 3, "phone_calls": 3} == {
        name: count for name, count in report.buried.items() if name != "activities"
    }
    assert report.buried["activities"] >= 3
    assert {} == report.healed
    found = store.rows("SELECT id FROM deals WHERE deleted_at IS NOT NULL ORDER BY id")
    assert gone["deal"] == [number for (number,) in found]
    dead = "deleted_at IS NOT NULL AND entity_type_id = 2"
    owners = store.rows(f"SELECT DISTINCT owner_id FROM stage_moves WHERE {dead} ORDER BY 1")
    assert gone["deal"] == [number for (number,) in owners]


@pytest.mark.parametrize(
    ("table", "feed"),
    [
        ("quote", "quotes"),
        ("invoice", "invoices"),
        ("contact", "contacts"),
        ("company", "companies"),
        ("task", "tasks"),
    ],
)
def test_lesser_entities_too(world: World, store: Store, table: str, feed: str) -> None:
    """Whatever has ids is compared by them."""
    stamps = {"task": "CHANGED_DATE"}
    world.sql(
        f"INSERT INTO {table} BY NAME SELECT 500 + range * 3 AS ID, ? AS {stamps.get(table, 'DATE_MODIFY')} FROM range(170)",
        world.now,
    )
    world.copy(store, feeds=only(feed))
    world.sql(f"DELETE FROM {table} WHERE ID IN (500, 701, 1007)")

    assert {feed: 3} == swept(world, store, feeds=only(feed)).buried
    assert 167 == standing(world, store, feed).rows - len(world.data.rows(f"SELECT 1 FROM {table} WHERE ID < 500"))


def test_a_merge_gives_what_it_had_to_another(world: World, store: Store) -> None:
    """The duplicate is buried; deals and activities that were re-bound without a new time of change are read again."""
    for number in (901, 902):
        world.sql("INSERT INTO contact BY NAME SELECT ? AS ID, 'Twin' AS NAME, ? AS DATE_MODIFY", number, world.now)
    deals, activities = some(world, "deal", 3, 17), some(world, "activity", 9)
    world.sql(f"UPDATE deal SET CONTACT_ID = 902 WHERE ID IN ({deals[0]}, {deals[1]})")
    world.sql("INSERT INTO activity_binding VALUES (?, 3, 902)", activities[0])
    world.copy(store)
    world.clock.move(3600)
    world.portal.records.merge(ENTITY_TYPES[3], 901, [902], Hand(world.now))
    world.copy(store)
    assert {"deals", "activity_bindings"} <= set(world.difference(store))

    report = swept(world, store)

    assert {} == world.difference(store)
    assert {"contacts": 1} == report.buried
    assert {} == report.healed


def test_a_merge_of_what_was_never_copied(world: World, store: Store) -> None:
    """The duplicate was gone before contacts had their turn: nothing is buried, deals are read again all the same."""
    for number in (901, 902):
        world.sql("INSERT INTO contact BY NAME SELECT ? AS ID, 'Twin' AS NAME, ? AS DATE_MODIFY", number, world.now)
    deals, activities = some(world, "deal", 3, 17), some(world, "activity", 9)
    world.sql(f"UPDATE deal SET CONTACT_ID = 901 WHERE ID IN ({deals[0]}, {deals[1]})")
    world.sql(f"UPDATE activity SET OWNER_TYPE_ID = 3, OWNER_ID = 901 WHERE ID = {activities[0]}")
    world.sql(f"DELETE FROM activity_binding WHERE ACTIVITY_ID = {activities[0]}")
    world.sql("INSERT INTO activity_binding VALUES (?, 3, 901)", activities[0])
    world.copy(store, feeds=only("deals", "activities"))
    world.clock.move(3600)
    world.portal.records.merge(ENTITY_TYPES[3], 902, [901], Hand(world.now))
    world.copy(store)  # a backfill ends with a comparison

    assert {} == world.difference(store)
    assert {} == swept(world, store).buried


def test_references_that_lead_nowhere_are_read_again_once_a_sweep(world: World, store: Store) -> None:
    """A portal may keep them for ever: that ends no sweep, and harms none."""
    [deal] = some(world, "deal", 3)
    world.sql(f"UPDATE deal SET COMPANY_ID = 1 WHERE ID = {deal}")
    world.sql("DELETE FROM company WHERE ID = 1")
    world.sql("INSERT INTO company BY NAME SELECT 7 AS ID, ? AS DATE_MODIFY", world.now)
    world.copy(store)

    assert {} == swept(world, store).healed
    assert [(1,)] == store.rows("SELECT company_id FROM deals WHERE id = ? AND deleted_at IS NULL", [deal])


def test_moves_of_what_was_gone_before_its_turn(world: World, store: Store) -> None:
    """Moves are copied first; the newest deal and an old one are deleted then, a moment after they moved."""
    deals = some(world, "deal", 7, -1)
    world.copy(store, feeds=only("deal_moves"))
    delete(world, 2, *deals)
    world.copy(store)

    swept(world, store)

    assert {} == world.difference(store)
    assert [] == store.rows(
        f"SELECT 1 FROM stage_moves WHERE deleted_at IS NULL AND owner_id IN ({deals[0]}, {deals[1]}) AND entity_type_id = 2"
    )


def test_a_record_that_cannot_be_read_keeps_its_history(world: World, store: Store) -> None:
    """It is there; only its row is not."""
    world.copy(store)
    [deal] = some(world, "deal", 7)
    store.execute("DELETE FROM deals WHERE id = ?", [deal])
    store.upsert(
        schema.UNREAD_RECORDS,
        [{"portal": "practice", "feed": "deals", "record_id": str(deal), "reason": "no number", "seen_at": world.clock.at}],
    )  # fmt: skip
    [feed] = only("deals")

    Ledger(store, "practice").bury_orphans(feed, deal, world.clock.at)

    assert [] == store.rows("SELECT 1 FROM stage_moves WHERE deleted_at IS NOT NULL AND owner_id = ?", [deal])


def test_what_is_to_be_read_again_is_not_pushed_off_the_list(either: Store) -> None:
    """Not by another record's burial that asks for less, not by a count of the same ids, not by a look that came before."""
    [feed] = only("activities")
    census = Census(Ledger(either, "practice"))
    wide, narrow = (Cell(387, upto, here=0, there=50, again=True) for upto in (389, 388))
    census.read_again({feed: [wide]})
    before = census.differing(feed, 9)
    census.read_again({feed: [narrow]})
    census.keep(Standing(feed.name), [Cell(387, 500, here=9, there=7)])

    census.looked_into(feed, before)
    again, counted = sorted(census.differing(feed, 9), key=lambda cell: not cell.again)
    assert (387, 389, True) == (again.after, again.upto, again.again)
    assert Cell(387, 500, here=9, there=7) == counted

    census.looked_into(feed, [again])
    assert [counted] == census.differing(feed, 9)


def test_moves_that_the_portal_hides_are_kept(world: World, store: Store) -> None:
    """The portal shows only moves in the present pipeline: a deal that changed it has not lost its past."""
    world.copy(store)
    hidden = world.data.rows("SELECT ID FROM stage_history WHERE ENTITY_TYPE_ID = 2 AND OWNER_ID % 2 = 0 ORDER BY ID")
    world.sql("DELETE FROM stage_history WHERE ENTITY_TYPE_ID = 2 AND OWNER_ID % 2 = 0")

    assert {} == swept(world, store).buried
    assert hidden == store.rows(
        "SELECT id FROM stage_moves WHERE entity_type_id = 2 AND owner_id % 2 = 0 AND deleted_at IS NULL ORDER BY id"
    )


# ---------------------------------------------------------------- losses


def test_a_lost_row_is_healed_counted_and_reported(world: World, store: Store) -> None:
    """However it was lost: the next sweep fetches it and says so."""
    world.copy(store)
    lost = some(world, "deal", 2, 3, 30)
    store.execute(f"DELETE FROM deals WHERE id IN ({', '.join(map(str, lost))})")
    store.execute("DELETE FROM stage_moves WHERE entity_type_id = 2 AND id % 2 = 0")
    moves = world.data.rows("SELECT ID FROM stage_history WHERE ENTITY_TYPE_ID = 2 AND ID % 2 = 0")

    report = swept(world, store)

    assert {} == world.difference(store)
    assert {"deals": 3, "deal_moves": len(moves)} == report.healed
    assert (3, 0) == (standing(world, store, "deals").healed, standing(world, store, "deals").buried)


def test_what_comes_back_is_alive_again(world: World, store: Store) -> None:
    """A record that was taken for deleted and is not loses its tombstone, and so does its history."""
    world.copy(store)
    [number] = some(world, "deal", 7)
    record = world.data.records("SELECT * FROM deal WHERE ID = ?", [number])[0]
    moves = world.data.records("SELECT * FROM stage_history WHERE ENTITY_TYPE_ID = 2 AND OWNER_ID = ?", [number])
    world.sql("DELETE FROM deal WHERE ID = ?", number)
    world.sql("DELETE FROM stage_history WHERE ENTITY_TYPE_ID = 2 AND OWNER_ID = ?", number)
    assert {"deals": 1} == swept(world, store).buried
    world.data.insert("deal", record)
    for move in moves:
        world.data.insert("stage_history", move)

    assert {"deals"} <= set(swept(world, store).healed)
    world.copy(store)  # its product rows are asked for by the round
    assert {} == world.difference(store)


def test_a_backfill_ends_with_a_comparison(world: World, store: Store) -> None:
    """What was deleted while it went on is gone afterwards; every feed tells when it was last compared."""
    done = 0
    world.clock.move(2 * 3600)  # a move of the last hour may belong to a record that is still on its way

    def meanwhile(request: int) -> None:
        nonlocal done
        if request >= 3 and done < 4:
            delete(world, 2, *some(world, "deal", done, -1))
            done += 1

    async def work() -> Report:
        async with world.sync(store, world.line(on_answer=meanwhile), sweeps=SMALL) as sync:
            return await sync.backfill()

    report = asyncio.run(work())

    assert {} == report.errors
    compared = [one for one in status(store, "practice", standard(), world.clock.at) if one.feed in {"deals", "leads"}]
    assert all(one.reconciled_at is not None for one in compared)
    swept(world, store)
    assert {} == world.difference(store)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_during_a_scan(world: World, store: Store, seed: int) -> None:
    """Records created, changed, moved, reassigned and deleted while the past is copied and compared: equal in the end."""
    world.dice.seed(seed)

    def meanwhile(_request: int) -> None:
        world.clock.move(20)
        for _ in range(world.dice.randrange(3)):
            change_something(world)
        for kind, table in ((2, "deal"), (1, "lead")):
            if world.dice.random() < 0.5:
                ids = world.data.rows(f"SELECT ID FROM {table}")
                delete(world, kind, int(str(world.dice.choice(ids)[0])))

    async def work() -> None:
        async with world.sync(store, world.line(on_answer=meanwhile), sweeps=SMALL) as sync:
            await sync.backfill()
            await sync.round()
            await sync.sweep()
        world.clock.move(3700)
        async with world.sync(store, sweeps=SMALL) as sync:
            await sync.round()
            assert {} == (await sync.sweep()).errors

    asyncio.run(work())

    assert {} == world.difference(store)


# ---------------------------------------------------------------- what merely cannot be seen


def many_deals(world: World, count: int = 300) -> None:
    world.sql(f"INSERT INTO deal BY NAME SELECT 1000 + range AS ID, ? AS DATE_MODIFY, 1 + range % 9 AS ASSIGNED_BY_ID FROM range({count})", world.now)  # fmt: skip


def test_a_right_that_is_lost_buries_nothing(world: World, store: Store) -> None:
    """Deals of colleagues that the webhook may not see any more are doubted, told of and kept, sweep after sweep."""
    many_deals(world)
    world.copy(store)
    [webhook] = world.portal.accounts.webhooks.values()
    world.sql('UPDATE "user" SET IS_ADMIN = FALSE WHERE ID = 1')
    webhook.sight = Sight(users=frozenset({1, 2, 3}))

    for _ in range(3):
        world.clock.move(DAY)
        report = swept(world, store, feeds=only("deals"))
        assert {} == report.buried
        assert "are not to be seen any more" in report.doubts["deals"]

    assert [(0,)] == store.rows("SELECT count(*) FROM deals WHERE deleted_at IS NOT NULL")
    doubted = standing(world, store, "deals")
    assert doubted.doubt == report.doubts["deals"]
    assert doubted.reconciled_at is not None
    assert timedelta(days=2.9) < world.clock.at - doubted.reconciled_at
    webhook.sight = Sight()
    assert {} == swept(world, store, feeds=only("deals")).doubts
    assert standing(world, store, "deals").doubt is None


def test_a_feed_that_vanishes_whole_is_not_believed(world: World, store: Store) -> None:
    """However small it is."""
    world.copy(store)
    world.sql("DELETE FROM lead")

    report = swept(world, store, feeds=only("leads"))

    assert {} == report.buried
    assert {"leads"} == set(report.doubts)


@pytest.mark.parametrize("admin", [True, False])
def test_a_clearing_is_believed_at_the_second_look(world: World, store: Store, admin: bool) -> None:
    """Somebody deletes a third of all deals: an administrator's webhook finds it twice, half a day apart at least."""
    many_deals(world)
    world.copy(store)
    world.sql("DELETE FROM deal WHERE ID >= 1000 AND ID % 3 = 0")
    world.sql('UPDATE "user" SET IS_ADMIN = ? WHERE ID = 1', admin)
    deals = only("deals")

    assert {"deals"} == set(swept(world, store, feeds=deals).doubts)
    world.clock.move(3600)
    assert {"deals"} == set(swept(world, store, feeds=deals).doubts)
    world.clock.move(DAY)
    report = swept(world, store, feeds=deals)

    assert ({"deals": 100} if admin else {}) == report.buried
    assert admin != ("deals" in world.difference(store))


# ---------------------------------------------------------------- by and by


def test_rounds_do_it_by_and_by(world: World, store: Store) -> None:
    """The newest every hour, everything every night, a request or two at a time; other rounds cost one request."""
    many_deals(world, 1200)
    world.copy(store, sweeps=SMALL)
    fresh, old = some(world, "deal", -3, 4)
    line = world.line()
    costs: list[int] = []

    async def work() -> None:
        async with world.sync(store, line, sweeps=SMALL, feeds=only("deals", "leads", "phone_calls")) as sync:
            await sync.round()
            delete(world, 2, fresh, old)
            for _ in range(int(DAY / 900)):
                world.clock.move(900)
                before = line.requests
                report = await sync.round()
                assert {} == report.errors
                costs.append(line.requests - before)
                if len(costs) == 8:
                    assert [(fresh,)] == store.rows("SELECT id FROM deals WHERE deleted_at IS NOT NULL")

    asyncio.run(work())

    assert [(old,), (fresh,)] == store.rows("SELECT id FROM deals WHERE deleted_at IS NOT NULL ORDER BY id")
    assert max(costs) <= 4
    assert sum(costs) <= len(costs) + 2 * 24 + 12


def test_a_comparison_that_is_asked_for_begins_anew(world: World, store: Store) -> None:
    """A night's sweep has counted the oldest records when one of them is deleted: who asks now is told of it."""
    many_deals(world, 1200)
    slowly = replace(SMALL, counts=1)
    world.copy(store, sweeps=slowly)

    async def work() -> None:
        async with world.sync(store, sweeps=slowly, feeds=only("deals")) as sync:
            world.clock.move(DAY + 7 * 3600)
            await sync.round()
            await sync.round()

    asyncio.run(work())
    assert [(True,)] == store.rows("SELECT at_id > 100 AND at_id < last_id FROM sweeps WHERE feed = 'deals' AND whole")
    [old] = some(world, "deal", 60)
    delete(world, 2, old)
    swept(world, store, sweeps=slowly)

    assert [(old,)] == store.rows("SELECT id FROM deals WHERE deleted_at IS NOT NULL")


def test_few_deletions_cost_few_requests(world: World, store: Store) -> None:
    """Ten of twenty thousand: counts say where, and only there ids are read."""
    many_deals(world, 20_000)
    world.copy(store, feeds=only("deals"))
    world.sql("DELETE FROM deal WHERE ID % 2000 = 77")
    line = world.line()
    before = len(world.portal.log)

    report = swept(world, store, line=line, feeds=only("deals"), sweeps=SweepOptions())

    assert {"deals": 10} == report.buried
    assert line.requests <= 12
    assert len(world.portal.log) - before <= 220


@pytest.fixture(scope="module")
def sparse() -> Iterator[World]:
    """A portal for deals alone, made anew by each example."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    clock = HandClock()
    data = Data(connection)
    portal = PracticePortal(clock, data)
    data.execute("""INSERT INTO "user" BY NAME SELECT 1 AS ID, TRUE AS ACTIVE, 'Admin' AS NAME, TRUE AS IS_ADMIN""")
    portal.accounts.add_webhook(Webhook(1, SECRET))
    yield World(clock, portal, ":memory:")  # type: ignore[arg-type]
    connection.close()


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.lists(st.integers(1, 700), min_size=1, max_size=250, unique=True),
    differing=st.sets(st.integers(0, 249)),
    lost=st.booleans(),
    buried=st.lists(st.integers(1, 700), max_size=30),
)
def test_whatever_differs_is_equal_afterwards(
    sparse: World, base: Sequence[int], differing: set[int], lost: bool, buried: Sequence[int]
) -> None:
    """Any deletions, or any losses, with old tombstones among them: afterwards both have the same, up to the greatest id
    that the mirror had. (As many losses as deletions within one range hide each other until more happens there.)
    """
    world, feeds = sparse, only("deals")
    fewer = [number for place, number in enumerate(base) if place not in differing]
    there, here = (base, fewer) if lost else (fewer, base)
    world.sql("DELETE FROM deal")
    store = DuckStore(":memory:", threads=1)
    world.copy(store, feeds=feeds)
    rows = [f"({number}, 'T', {world.now})" for number in there]
    if rows:
        world.sql(f"INSERT INTO deal (ID, TITLE, DATE_MODIFY) VALUES {', '.join(rows)}")
    alive = set(here)
    for number in alive | set(buried):
        store.execute(
            "INSERT INTO deals (portal, id, title, deleted_at) VALUES ('practice', ?, 'T', ?)",
            [number, None if number in alive else world.clock.at],
        )
    told = SweepOptions(cell_rows=60, believed_rows=10_000, confirmed_after=timedelta(0))
    for _ in range(2):  # at the second look an empty portal is believed
        swept(world, store, feeds=feeds, sweeps=told)
        world.clock.move(60)

    last = max(alive, default=0)
    found = {number for (number,) in store.rows("SELECT id FROM deals WHERE deleted_at IS NULL")}
    assert {number for number in there if number <= last} == found
    store.close()


def test_a_sweep_survives_a_failure_at_every_statement(world: World) -> None:
    """Broken off anywhere, each time reopened: in the end everything is buried and healed once."""
    feeds = only("deals", "deal_moves", "activities")
    world.copy(store := world.open(), feeds=feeds)
    delete(world, 2, *some(world, "deal", 1, 8, 20))
    store.execute("DELETE FROM deals WHERE id = 90")
    store.close()

    async def attempt(store: Torn) -> None:
        async with world.sync(store, feeds=feeds, sweeps=SMALL) as sync:
            await sync.sweep()

    broken = 0
    for after in itertools.count(5, 9):
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
            store.close()

    store = world.open()
    assert broken > 5
    assert {} == {
        name: rows
        for name, rows in world.difference(store).items()
        if name in {"deals", "activities", "activity_bindings"}
    }
    assert (3, 1) == (standing(world, store, "deals").buried, standing(world, store, "deals").healed)
    store.close()


def test_a_refused_count_is_told_and_stops_nobody(world: World, store: Store) -> None:
    """Telephony was switched off: the others are compared; that feed says why it is not."""
    world.copy(store)
    [webhook] = world.portal.accounts.webhooks.values()
    webhook.scopes = webhook.scopes - {"telephony"}
    delete(world, 2, *some(world, "deal", 4))

    async def work() -> Report:
        async with world.sync(store, sweeps=SMALL) as sync:
            return await sync.sweep()

    report = asyncio.run(work())

    assert {"phone_calls"} == set(report.errors)
    assert 1 == report.buried["deals"]
