"""What is written together: rows, what they bring along, what is observed, and the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from b24metrics.crm import activities, directories, people, sales
from b24metrics.crm.wiretypes import EntityType
from b24metrics.mirror import schema
from b24metrics.mirror.feed import Feed, Stretch, Unread
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.ledger import Copied, Ledger
from b24metrics.mirror.ranges import Range
from b24metrics.mirror.stores import DuckStore, Store
from tests.mirror.conftest import Torn

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
FEEDS = {feed.name: feed for feed in standard()}


@pytest.fixture
def store(either: Store) -> Store:
    return either


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store, "p")


def deal(number: int, **fields: object) -> sales.Deal:
    row = {"ID": str(number), "DATE_MODIFY": NOON.isoformat(), "CURRENCY_ID": "EUR", **fields}
    return sales.Deal.read(row)


def activity(number: int, *bound: int, **fields: object) -> activities.Activity:
    bindings = [{"OWNER_TYPE_ID": "2", "OWNER_ID": str(owner)} for owner in bound]
    return activities.Activity.read({"ID": str(number), "BINDINGS": bindings, **fields})


def person(number: int, *departments: int, active: bool = True) -> people.User:
    return people.User.read({"ID": str(number), "ACTIVE": active, "UF_DEPARTMENT": list(departments)})


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    return {table.name: sorted(store.rows(f"SELECT * FROM {table.name}"), key=str) for table in schema.TABLES}


# ---------------------------------------------------------------- backfill


def keep(ledger: Ledger, feed: Feed, work: Range, records: Sequence[Any], upto: int) -> None:
    """What came of one range."""
    ledger.keep_copied(feed, [Copied(work, Stretch.read(feed, records), upto)], LATER)


def test_a_backfill_ends_with_its_last_range(ledger: Ledger, store: Store) -> None:
    """Ranges are kept with how far they have come; when the last one is done the backfill is, and they are gone."""
    feed = FEEDS["deals"]
    new, old = Range("deals", 11, 20, 10, 5), Range("deals", 1, 10, 0, 5)
    ledger.begin(feed, NOON, 20, [new, old])
    assert (NOON, 20, None) == (ledger.states()["deals"].cursor_at, ledger.states()["deals"].target_id, None)

    keep(ledger, feed, new, [deal(11), deal(15)], 15)
    assert [(15, 2), (0, 0)] == [(one.done_id, one.row_count) for one in ledger.ranges()]
    keep(ledger, feed, new, [deal(20)], 20)
    assert None is ledger.states()["deals"].backfilled_at
    keep(ledger, feed, old, [], 10)

    state = ledger.states()["deals"]
    assert [] == ledger.ranges()
    assert (LATER, None, 3, NOON) == (state.backfilled_at, state.target_id, state.row_count, state.cursor_at)
    assert [(11,), (15,), (20,)] == store.rows("SELECT id FROM deals ORDER BY id")


def test_what_came_of_several_ranges_is_written_together(ledger: Ledger, store: Store) -> None:
    """Each of them is done as far as it came; rows that were read apart lie together, those of a newer round stay."""
    feed = FEEDS["activities"]
    works = [Range(feed.name, first, first + 9, first - 1, 5) for first in (21, 11, 1)]
    ledger.begin(feed, NOON, 30, works)
    ledger.keep_round(feed, [activity(12, 90, LAST_UPDATED=LATER.isoformat())], 0, LATER, more=False)
    came = [
        [{"ID": str(n), "LAST_UPDATED": NOON.isoformat(), "BINDINGS": bound(n)} for n in (21, 23)],
        [activity(n, n, LAST_UPDATED=NOON.isoformat()) for n in (12, 13)] + [Unread("14", "bad")],
        [],
    ]
    ends = (25, 20, 10)
    copied = [Copied(*one) for one in zip(works, (Stretch.read(feed, rows) for rows in came), ends, strict=True)]

    ledger.keep_copied(feed, copied, LATER)

    assert [(25, 2)] == [(one.done_id, one.row_count) for one in ledger.ranges() if one.done_id < one.last_id]
    assert [(10, 0), (20, 2)] == sorted((one.done_id, one.row_count) for one in ledger.ranges() if one.last_id < 30)
    bindings = store.rows("SELECT activity_id, entity_id FROM activity_bindings ORDER BY ALL")
    assert [(12, 90), (13, 13), (21, 21), (23, 23)] == bindings
    assert {"activities": 1} == ledger.unread()
    assert ledger.states()[feed.name].backfilled_at is None

    keep(ledger, feed, works[0], [], 30)
    assert ([], LATER) == (ledger.ranges(), ledger.states()[feed.name].backfilled_at)


def bound(owner: int) -> list[dict[str, str]]:
    return [{"OWNER_TYPE_ID": "2", "OWNER_ID": str(owner)}]


def test_an_empty_listing_is_done_at_once(ledger: Ledger) -> None:
    """A portal without leads has them all."""
    ledger.begin(FEEDS["leads"], NOON, None, [])
    ledger.begin(FEEDS["phone_calls"], NOON, None, [])

    assert (NOON, NOON) == (ledger.states()["leads"].backfilled_at, ledger.states()["leads"].cursor_at)
    assert (NOON, 0) == (ledger.states()["phone_calls"].backfilled_at, ledger.states()["phone_calls"].cursor_id)


@pytest.mark.parametrize("after", range(17))
def test_a_torn_stretch_leaves_nothing_behind(either: Store, after: int) -> None:
    """Whatever statement of a transaction fails, rows, bindings, observations and cursor stay as they were together."""
    store = Torn(either, RuntimeError("torn"))
    ledger = Ledger(store, "p")
    works: list[tuple[Feed, Range, Sequence[Any]]] = [
        (FEEDS["deals"], Range("deals", 1, 9, 0, 5), [deal(1, STAGE_SEMANTIC_ID="S"), Unread("2", "bad")]),
        (FEEDS["activities"], Range("activities", 1, 9, 0, 5), [activity(1, 7, 8)]),
    ]
    for feed, work, _ in works:
        ledger.begin(feed, NOON, 9, [work])
    for feed, work, records in works:
        before = everything(store)
        store.left = after
        try:
            keep(ledger, feed, work, records, 9)
        except RuntimeError:
            store.left = None
            assert before == everything(store)
            keep(ledger, feed, work, records, 9)
        store.left = None

    whole = DuckStore()
    other = Ledger(whole, "p")
    for feed, work, records in works:
        other.begin(feed, NOON, 9, [work])
        keep(other, feed, work, records, 9)
    assert everything(whole) == everything(store)


# ---------------------------------------------------------------- rounds


def test_a_round_moves_the_cursor_when_its_walk_is_over(ledger: Ledger) -> None:
    """Until then it remembers where the walk stands and when it began; freshness is that of the beginning."""
    feed = FEEDS["deals"]
    ledger.begin(feed, NOON, None, [])

    ledger.keep_round(feed, [deal(5)], 5, LATER, more=True)
    state = ledger.states()["deals"]
    assert (NOON, 5, LATER, None) == (state.cursor_at, state.cursor_id, state.walk_at, state.synced_at)

    ledger.keep_round(feed, [deal(9)], 9, LATER, more=False)
    state = ledger.states()["deals"]
    assert (LATER, None, None, LATER, 2) == (
        state.cursor_at, state.cursor_id, state.walk_at, state.synced_at, state.row_count,
    )  # fmt: skip


def test_an_append_only_feed_keeps_its_last_id(ledger: Ledger) -> None:
    feed = FEEDS["deal_moves"]
    move = sales.StageMove.read({"ID": 40, "TYPE_ID": 2, "OWNER_ID": 7}, entity_type_id=EntityType.DEAL)
    ledger.begin(feed, NOON, 30, [])

    ledger.keep_round(feed, [move], 40, LATER, more=False)

    state = ledger.states()["deal_moves"]
    assert (40, None, LATER, 1) == (state.cursor_id, state.cursor_at, state.synced_at, state.row_count)


def test_a_failure_freezes_a_feed_and_success_thaws_it(ledger: Ledger) -> None:
    """The last complete round stays the feed's age; the reason stands beside it until a good round."""
    feed = FEEDS["deals"]
    ledger.begin(feed, NOON, None, [])
    ledger.keep_round(feed, [deal(1)], 1, NOON, more=False)

    ledger.fail("deals", "no right")
    failed = ledger.states()["deals"]
    ledger.keep_round(feed, [], 0, LATER, more=False)
    mended = ledger.states()["deals"]

    assert ("no right", NOON, NOON, 1) == (failed.error, failed.synced_at, failed.cursor_at, failed.row_count)
    assert (None, LATER) == (mended.error, mended.synced_at)


def test_bindings_are_replaced_with_their_activity(ledger: Ledger, store: Store) -> None:
    """A binding that is gone on the portal is gone here; those of other activities are not touched."""
    feed = FEEDS["activities"]
    ledger.begin(feed, NOON, None, [])
    ledger.keep_round(feed, [activity(1, 7, 8), activity(2, 7), activity(3, 9)], 3, NOON, more=False)

    silent = activities.Activity.read({"ID": "3"})
    ledger.keep_round(feed, [activity(1, 8, 9), activity(2), silent], 3, LATER, more=False)

    assert [(1, 8), (1, 9), (3, 9)] == store.rows("SELECT activity_id, entity_id FROM activity_bindings ORDER BY ALL")


def test_unreadable_records_are_noted_until_they_read(ledger: Ledger, store: Store) -> None:
    """Nothing is dropped in silence: the record is named with the reason, and forgotten once it could be read."""
    feed = FEEDS["deals"]
    ledger.begin(feed, NOON, None, [])

    for _ in range(2):  # an overlap reads it again
        ledger.keep_round(feed, [deal(1), Unread("2", "OPPORTUNITY (not an amount)")], 2, NOON, more=False)
    assert {"deals": 1} == ledger.unread()
    assert [("2", "OPPORTUNITY (not an amount)")] == store.rows("SELECT record_id, reason FROM unread_records")

    ledger.keep_round(feed, [deal(2)], 2, LATER, more=False)
    assert {} == ledger.unread()


# ---------------------------------------------------------------- directories


def test_what_a_directory_no_longer_lists_gets_a_tombstone(ledger: Ledger, store: Store) -> None:
    """A deleted stage stays with its last known order; one that comes back is alive again; other portals are untouched."""
    feed = FEEDS["statuses"]

    def stage(code: str, sort: int) -> directories.Status:
        return directories.Status.read({"ENTITY_ID": "DEAL_STAGE", "STATUS_ID": code, "SORT": str(sort)})

    Ledger(store, "q").keep_whole(feed, [stage("OLD", 5)], NOON)
    ledger.keep_whole(feed, [stage("NEW", 10), stage("OLD", 20)], NOON)
    ledger.keep_whole(feed, [stage("NEW", 10)], LATER)
    gone = store.rows("SELECT portal, status_id, sort, deleted_at FROM statuses ORDER BY ALL")
    count = ledger.states()["statuses"].row_count
    ledger.keep_whole(feed, [stage("NEW", 10), stage("OLD", 30)], LATER)

    assert [("p", "NEW", 10, None), ("p", "OLD", 20, LATER), ("q", "OLD", 5, None)] == gone
    assert 1 == count
    assert [(30, None)] == store.rows("SELECT sort, deleted_at FROM statuses WHERE portal = 'p' AND status_id = 'OLD'")


def test_an_unreadable_entry_is_not_a_deleted_one(ledger: Ledger, store: Store) -> None:
    """Where something could not be read, nothing is buried."""
    feed = FEEDS["users"]
    ledger.keep_whole(feed, [person(1), person(2)], NOON)

    ledger.keep_whole(feed, [person(1), Unread("2", "ACTIVE (neither yes nor no)")], LATER)

    assert [(0,)] == store.rows("SELECT count(*) FROM users WHERE deleted_at IS NOT NULL")


def test_a_listing_buries_only_its_own_part(ledger: Ledger, store: Store) -> None:
    """Pipelines of deals say nothing of those of invoices."""
    feed = FEEDS["pipelines"]
    store.execute("INSERT INTO pipelines (portal, entity_type_id, id) VALUES ('p', 31, 4)")

    ledger.keep_whole(feed, [directories.Pipeline.read({"id": 0}, entity_type_id=EntityType.DEAL)], NOON)
    ledger.keep_whole(feed, [directories.Pipeline.read({"id": 3}, entity_type_id=EntityType.DEAL)], LATER)

    assert [(2, 0, LATER), (2, 3, None), (31, 4, None)] == store.rows(
        "SELECT entity_type_id, id, deleted_at FROM pipelines ORDER BY ALL"
    )


def test_the_departments_of_who_left_stay_known(ledger: Ledger, store: Store) -> None:
    """People who changed departments have only the new ones; a dismissed person keeps the last known."""
    feed = FEEDS["users"]
    ledger.keep_whole(feed, [person(1, 5, 6), person(2, 5)], NOON)

    ledger.keep_whole(feed, [person(1, 6), person(2, active=False)], LATER)

    assert [(1, 6, 0), (2, 5, 0)] == store.rows(
        "SELECT user_id, department_id, ordinal FROM user_departments ORDER BY ALL"
    )
    assert [(1, None), (2, LATER)] == store.rows("SELECT id, dismissed_at FROM users ORDER BY id")


def test_absences_are_replaced_in_their_span(ledger: Ledger, store: Store) -> None:
    """A cancelled vacation goes, one outside the span and that of somebody who was not asked for stays."""
    feed, day = FEEDS["absences"], timedelta(days=1)
    ledger.keep_span(
        feed, [1, 2], [(1, 7, NOON, NOON + day), (1, 8, NOON + 9 * day, NOON + 10 * day), (2, 9, NOON, NOON + day)],
        NOON - day, NOON + 11 * day, NOON,
    )  # fmt: skip

    ledger.keep_span(feed, [1], [(1, 10, NOON, NOON + 2 * day)], NOON - day, NOON + 3 * day, LATER)

    assert [(1, 8), (1, 10), (2, 9)] == store.rows("SELECT user_id, id FROM absences ORDER BY ALL")
    assert LATER == ledger.states()["absences"].synced_at


# ---------------------------------------------------------------- observations


def closings(store: Store) -> list[tuple[Any, ...]]:
    return store.rows("SELECT deal_id, semantics, manager_id, rate, observed_at FROM deal_closings ORDER BY deal_id")


def test_a_closing_is_frozen_at_first_sight(ledger: Ledger, store: Store) -> None:
    """Owner and rate are those of the first sight of a win or loss, whatever happens to the deal afterwards."""
    feed = FEEDS["deals"]
    store.execute("INSERT INTO currencies (portal, id, rate, rate_count) VALUES ('p', 'EUR', 95.5, 1)")
    ledger.begin(feed, NOON, None, [])
    won = deal(1, STAGE_SEMANTIC_ID="S", ASSIGNED_BY_ID="7")
    ledger.keep_round(feed, [won, deal(2, STAGE_SEMANTIC_ID="P"), deal(3, STAGE_SEMANTIC_ID="F")], 3, NOON, more=False)

    store.execute("UPDATE currencies SET rate = 100")
    ledger.keep_round(feed, [deal(1, STAGE_SEMANTIC_ID="S", ASSIGNED_BY_ID="8")], 1, LATER, more=False)

    assert [(1, "S", 7, Decimal("95.5"), NOON), (3, "F", None, Decimal("95.5"), NOON)] == closings(store)
    assert [(8,)] == store.rows("SELECT assigned_by_id FROM deals WHERE id = 1")


def test_a_reopened_deal_is_observed_anew(ledger: Ledger, store: Store) -> None:
    """A win that was undone is forgotten; won again, or lost instead, it is a new observation."""
    feed = FEEDS["deals"]
    ledger.begin(feed, NOON, None, [])
    seen = []
    for minutes, (meaning, owner) in enumerate([("S", 7), ("P", 7), ("S", 8), ("F", 9)]):
        at = NOON + timedelta(minutes=minutes)
        ledger.keep_round(
            feed, [deal(1, STAGE_SEMANTIC_ID=meaning, ASSIGNED_BY_ID=str(owner))], 1, at, more=False
        )  # fmt: skip
        seen.append([(row[1], row[2], row[4]) for row in closings(store)])

    minute = timedelta(minutes=1)
    assert [[("S", 7, NOON)], [], [("S", 8, NOON + 2 * minute)], [("F", 9, NOON + 3 * minute)]] == seen


def test_a_rate_that_was_not_known_is_taken_when_it_is(ledger: Ledger, store: Store) -> None:
    """A currency that appears in the directory later gives its first known rate; after that it stays."""
    feed = FEEDS["deals"]
    ledger.begin(feed, NOON, None, [])
    won = deal(1, STAGE_SEMANTIC_ID="S")
    ledger.keep_round(feed, [won], 1, NOON, more=False)
    rates = []
    for rate in (90, 100):
        store.upsert(schema.CURRENCIES, [{"portal": "p", "id": "EUR", "rate": Decimal(rate), "rate_count": 1}])
        ledger.keep_round(feed, [won], 1, LATER, more=False)
        rates.append(closings(store)[0][3:])

    assert [(Decimal(90), NOON), (Decimal(90), NOON)] == rates


def test_a_corrected_currency_takes_its_own_rate(ledger: Ledger, store: Store) -> None:
    """A won deal turns out to be in roubles: the frozen rate of the euro is not theirs. The owner stays frozen."""
    feed = FEEDS["deals"]
    store.execute(
        "INSERT INTO currencies (portal, id, rate, rate_count) VALUES ('p', 'EUR', 95.5, 1), ('p', 'RUB', 1, 1)"
    )
    ledger.begin(feed, NOON, None, [])
    seen = []
    for minute, (currency, owner) in enumerate([("EUR", 7), ("RUB", 8), ("RUB", 8), ("XAU", 8), ("EUR", 8)]):
        one = deal(1, STAGE_SEMANTIC_ID="S", ASSIGNED_BY_ID=str(owner), CURRENCY_ID=currency)
        ledger.keep_round(feed, [one], 1, NOON + timedelta(minutes=minute), more=False)
        seen.append([row[2:4] for row in closings(store)])

    euro, rouble = (7, Decimal("95.5")), (7, Decimal(1))
    assert [[euro], [rouble], [rouble], [(7, None)], [euro]] == seen


@pytest.mark.parametrize("moves_first", [True, False])
def test_a_deal_won_again_between_two_looks_is_observed_anew(
    ledger: Ledger, store: Store, *, moves_first: bool
) -> None:
    """Its moves tell that it was open in between; a move from one stage of success to another does not count."""
    deals, moves = FEEDS["deals"], FEEDS["deal_moves"]
    for feed in (deals, moves):
        ledger.begin(feed, NOON, None, [])
    minute = timedelta(minutes=1)

    def look(at: datetime, owner: int, moved: datetime, *history: tuple[datetime, str]) -> tuple[Any, ...]:
        one = deal(1, STAGE_SEMANTIC_ID="S", ASSIGNED_BY_ID=str(owner), MOVED_TIME=moved.isoformat())
        came = [
            sales.StageMove.read(
                {"ID": str(int(when.timestamp())), "OWNER_ID": "1", "TYPE_ID": "2", "CREATED_TIME": when.isoformat(),
                 "STAGE_SEMANTIC_ID": meaning}, entity_type_id=EntityType.DEAL,
            )
            for when, meaning in history
        ]  # fmt: skip
        pages: list[tuple[Feed, Sequence[Any]]] = [(moves, came), (deals, [one])]
        for feed, records in pages if moves_first else reversed(pages):
            ledger.keep_round(feed, records, 1, at, more=False)
        ledger.keep_round(deals, [one], 1, at, more=False)  # the overlap of the next round
        return closings(store)[0][2:]

    assert (7, None, NOON) == look(NOON, 7, NOON - minute, (NOON - minute, "S"))
    assert (7, None, NOON) == look(NOON + 2 * minute, 8, NOON + minute, (NOON + minute, "S"))
    won = NOON + 4 * minute
    assert (9, None, won) == look(NOON + 4 * minute, 9, won, (NOON + 3 * minute, "P"), (won, "S"))
    assert (9, None, won) == look(NOON + 6 * minute, 6, won)


def test_nothing_is_observed_before_it_happened(ledger: Ledger, store: Store) -> None:
    """A round begins before its pages are read: what is won meanwhile is observed at its own moment."""
    feed = FEEDS["deals"]
    ledger.begin(feed, NOON, None, [])
    ledger.keep_round(feed, [deal(1, STAGE_SEMANTIC_ID="S", MOVED_TIME=LATER.isoformat())], 1, NOON, more=False)

    assert [LATER] == [row[-1] for row in closings(store)]


def test_a_completion_is_dated_by_the_change_that_showed_it(ledger: Ledger, store: Store) -> None:
    """The last change at first sight of "completed"; later edits do not move it; reopening takes it back."""
    feed = FEEDS["activities"]
    ledger.begin(feed, NOON, None, [])
    seen = []
    for minutes, completed in enumerate(["N", "Y", "Y", "N", "Y"]):
        changed = NOON + timedelta(minutes=minutes)
        one = activity(1, 7, COMPLETED=completed, LAST_UPDATED=changed.isoformat())
        ledger.keep_round(feed, [one], 1, changed + timedelta(hours=1), more=False)
        seen.append(store.rows("SELECT completed_at FROM activities")[0][0])

    minute = timedelta(minutes=1)
    assert [None, NOON + minute, NOON + minute, None, NOON + 4 * minute] == seen


# ---------------------------------------------------------------- the portal


def test_the_portal_is_known_since_the_first_time(ledger: Ledger, store: Store) -> None:
    """What it does not say this time stays as it was."""
    ledger.acquaint(NOON, {"base_currency": "RUB", "crm_mode": 1, "zone": None})
    ledger.acquaint(LATER, {"base_currency": None, "crm_mode": 2})

    assert [("p", "RUB", 2, NOON)] == store.rows("SELECT portal, base_currency, crm_mode, first_synced_at FROM portals")


def test_only_people_who_work_there_have_absences(ledger: Ledger) -> None:
    ledger.keep_whole(FEEDS["users"], [person(1), person(2, active=False)], NOON)

    assert [(1, None)] == ledger.people()
