"""What the portal forgets is written down once, whatever is read again, late or out of order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from b24metrics.crm import billing, clients, directories, people, sales
from b24metrics.crm.wiretypes import EntityType
from b24metrics.mirror.feed import Attached, Stretch
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.ledger import Copied, Ledger
from b24metrics.mirror.ranges import Range
from b24metrics.mirror.stores import DuckStore, Store
from tests.mirror.conftest import Torn
from tests.mirror.test_ledger import everything

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FEEDS = {feed.name: feed for feed in standard()}


@pytest.fixture
def store(either: Store) -> Store:
    return either


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store, "p")


def deal(number: int, at: datetime = NOON, **fields: object) -> sales.Deal:
    return sales.Deal.read({"ID": str(number), "DATE_MODIFY": at.isoformat(), "CURRENCY_ID": "EUR", **fields})


def look(ledger: Ledger, feed: str, *records: object, at: datetime = NOON) -> None:
    """A round that reads these records."""
    if feed not in ledger.states():
        ledger.begin(FEEDS[feed], NOON, None, [])
    ledger.keep_round(FEEDS[feed], records, 0, at, more=False)


def stretch(ledger: Ledger, feed: str, *records: object, at: datetime = NOON) -> None:
    """A stretch of a backfill that brings these records."""
    work = Range(feed, 1, 1000, 0, 5)
    ledger.begin(FEEDS[feed], NOON, 1000, [work])
    ledger.keep_copied(FEEDS[feed], [Copied(work, Stretch.read(FEEDS[feed], records), 500)], at)


def assignments(store: Store) -> list[tuple[Any, ...]]:
    return store.rows("SELECT entity_type_id, entity_id, changed_at, from_id, to_id FROM assignments ORDER BY ALL")


# ---------------------------------------------------------------- who is responsible


def test_a_change_of_hands_is_written_down_once(ledger: Ledger, store: Store) -> None:
    """With the record's own time of change; what is read again in the overlap changes nothing; leads and deals alike."""
    later = NOON + MINUTE
    look(ledger, "deals", deal(1, ASSIGNED_BY_ID="7"), deal(2, ASSIGNED_BY_ID="7"))
    for _ in range(2):
        look(ledger, "deals", deal(1, later, ASSIGNED_BY_ID="8"), deal(2, later, ASSIGNED_BY_ID="7"), at=later)
    for owner, at in ((5, NOON), (6, later)):
        lead = sales.Lead.read({"ID": "1", "DATE_MODIFY": at.isoformat(), "ASSIGNED_BY_ID": str(owner)})
        look(ledger, "leads", lead, at=at)

    assert [(1, 1, later, 5, 6), (2, 1, later, 7, 8)] == assignments(store)
    assert [(later,)] == store.rows("SELECT DISTINCT observed_at FROM assignments")


def test_changes_within_one_second_are_one(ledger: Ledger, store: Store) -> None:
    """The portal's clock ticks in seconds: from the first owner to the last; there and back is no change."""
    later = NOON + MINUTE
    look(ledger, "deals", deal(1, ASSIGNED_BY_ID="7"), deal(2, ASSIGNED_BY_ID="7"))
    look(ledger, "deals", deal(1, later, ASSIGNED_BY_ID="8"), deal(2, later, ASSIGNED_BY_ID="8"), at=later)
    look(ledger, "deals", deal(1, later, ASSIGNED_BY_ID="9"), deal(2, later, ASSIGNED_BY_ID="7"), at=later)

    assert [(2, 1, later, 7, 9)] == assignments(store)


def test_a_backfill_knows_no_changes(ledger: Ledger, store: Store) -> None:
    """What is copied for the first time was always so."""
    stretch(ledger, "deals", *(deal(number, ASSIGNED_BY_ID=str(number)) for number in range(1, 100)))

    assert [] == assignments(store)
    assert [(0,)] == store.rows("SELECT count(*) FROM deal_changes")


# ---------------------------------------------------------------- out of order


def test_a_late_page_of_a_backfill_undoes_nothing(ledger: Ledger, store: Store) -> None:
    """A round has written a newer record while the backfill still held the older one: record and keys stay."""
    later = NOON + MINUTE

    def contact(at: datetime, phone: str) -> clients.Contact:
        return clients.Contact.read(
            {"ID": "1", "DATE_MODIFY": at.isoformat(), "NAME": phone, "PHONE": [{"VALUE": phone}]}
        )

    look(ledger, "deals", deal(1, later, ASSIGNED_BY_ID="8"), at=later)
    stretch(ledger, "deals", deal(1, ASSIGNED_BY_ID="7"), deal(2, ASSIGNED_BY_ID="7"), at=later)
    look(ledger, "contacts", contact(later, "+79120000002"), at=later)
    keys = store.rows("SELECT key FROM client_keys")
    stretch(ledger, "contacts", contact(NOON, "+79120000001"), at=later)

    assert [(1, 8), (2, 7)] == store.rows("SELECT id, assigned_by_id FROM deals ORDER BY id")
    assert [] == assignments(store)
    assert [("+79120000002",)] == store.rows("SELECT name FROM contacts")
    assert keys == store.rows("SELECT key FROM client_keys")


def test_a_page_of_a_backfill_takes_the_place_of_what_was_deleted(ledger: Ledger, store: Store) -> None:
    """A record that came back may carry an older time than the one that was buried."""
    look(ledger, "deals", deal(1, NOON + MINUTE, TITLE="buried"))
    store.execute("UPDATE deals SET deleted_at = modified_at")

    stretch(ledger, "deals", deal(1, TITLE="back"))

    assert [("back", None)] == store.rows("SELECT title, deleted_at FROM deals")


def test_an_older_page_of_a_round_is_the_truth_but_no_change(ledger: Ledger, store: Store) -> None:
    """A portal's clock may be set back; and a page read before a backfill's is corrected by the next round."""
    later = NOON + MINUTE
    stretch(ledger, "deals", deal(1, later, ASSIGNED_BY_ID="8", OPPORTUNITY="20"), at=later)

    look(ledger, "deals", deal(1, ASSIGNED_BY_ID="7", OPPORTUNITY="10"), at=later)
    assert [(7, NOON)] == store.rows("SELECT assigned_by_id, modified_at FROM deals")
    assert [] == assignments(store)

    for _ in range(2):
        look(ledger, "deals", deal(1, later, ASSIGNED_BY_ID="8", OPPORTUNITY="20"), at=later)
    assert [(2, 1, later, 7, 8)] == assignments(store)
    assert [(later,)] == store.rows("SELECT changed_at FROM deal_changes")


# ---------------------------------------------------------------- amounts and expected dates


def test_amount_currency_and_expected_day_are_followed(ledger: Ledger, store: Store) -> None:
    """One row per change, whatever of the three it was; other fields make none."""
    steps: list[dict[str, object]] = [
        {"OPPORTUNITY": "10", "CLOSEDATE": "2026-03-10T03:00:00+03:00"},
        {"OPPORTUNITY": "10", "CLOSEDATE": "2026-03-10T03:00:00+03:00", "TITLE": "renamed"},
        {"OPPORTUNITY": "12.5", "CLOSEDATE": "2026-03-10T03:00:00+03:00"},
        {"OPPORTUNITY": "12.5", "CLOSEDATE": "2026-03-20T03:00:00+03:00", "CURRENCY_ID": "RUB"},
    ]
    for minute, fields in enumerate(steps):
        at = NOON + minute * MINUTE
        for _ in range(2):
            look(ledger, "deals", deal(1, at, **fields), at=at)

    ten, more = Decimal(10), Decimal("12.5")
    early, late = date(2026, 3, 10), date(2026, 3, 20)
    assert [
        (NOON + 2 * MINUTE, ten, more, "EUR", "EUR", early, early),
        (NOON + 3 * MINUTE, more, more, "EUR", "RUB", early, late),
    ] == store.rows(
        """SELECT changed_at, from_opportunity, to_opportunity, from_currency_id, to_currency_id, from_closes_on, to_closes_on
        FROM deal_changes ORDER BY changed_at"""
    )


# ---------------------------------------------------------------- quotes


@pytest.mark.parametrize("first", [look, stretch], ids=["round", "backfill"])
def test_quotes_are_followed_from_their_first_sight(ledger: Ledger, store: Store, first: Any) -> None:
    """They have no history: the first row comes from nowhere, at the time of the quote's last change then."""

    def quote(at: datetime, stage: str) -> billing.Quote:
        return billing.Quote.read({"ID": "1", "DATE_MODIFY": at.isoformat(), "STATUS_ID": stage})

    later = NOON + MINUTE
    first(ledger, "quotes", quote(NOON, "DRAFT"))
    for at, stage in ((NOON, "DRAFT"), (later, "SENT"), (later, "SENT"), (later + MINUTE, "SENT")):
        look(ledger, "quotes", quote(at, stage), at=later)

    assert [(1, NOON, None, "DRAFT"), (1, later, "DRAFT", "SENT")] == store.rows(
        "SELECT quote_id, changed_at, from_stage_id, to_stage_id FROM quote_moves ORDER BY changed_at"
    )


# ---------------------------------------------------------------- all or nothing


def changes(ledger: Ledger) -> Iterator[Callable[[], object]]:
    """One write of every kind that observes something, after its first sight."""
    later = NOON + MINUTE
    deals = FEEDS["deals"]
    attached = {feed.name: feed for feed in deals.owes}
    ledger.keep_whole(FEEDS["currencies"], euro("95.5"), NOON)
    ledger.keep_whole(FEEDS["users"], [people.User.read({"ID": "7", "UF_DEPARTMENT": [5]})], NOON)
    look(ledger, "deals", deal(1, ASSIGNED_BY_ID="7", OPPORTUNITY="10"))
    look(ledger, "quotes", billing.Quote.read({"ID": "1", "DATE_MODIFY": NOON.isoformat(), "STATUS_ID": "DRAFT"}))
    won = deal(1, later, ASSIGNED_BY_ID="8", OPPORTUNITY="20", STAGE_SEMANTIC_ID="S")
    sent = billing.Quote.read({"ID": "1", "DATE_MODIFY": later.isoformat(), "STATUS_ID": "SENT"})
    rows = [billing.ProductRow.read({"ID": "4", "PRICE": 5}, owner_type_id=EntityType.DEAL, owner_id=1)]
    feed = attached["product_rows"]
    kind = feed.kind
    assert isinstance(kind, Attached)
    yield lambda: ledger.keep_round(deals, [won], 1, later, more=False)
    yield lambda: ledger.keep_round(FEEDS["quotes"], [sent], 1, later, more=False)
    yield lambda: ledger.keep_whole(FEEDS["users"], [people.User.read({"ID": "7", "UF_DEPARTMENT": [6]})], later)
    yield lambda: ledger.keep_whole(FEEDS["currencies"], euro("97"), later)
    yield lambda: ledger.keep_attached(feed, kind, {1: rows}, {1: 1}, later)


@pytest.mark.parametrize("after", range(0, 24, 2))
def test_a_torn_change_leaves_nothing_behind(either: Store, after: int) -> None:
    """Whatever statement fails: row, change, closing, list of owners and cursor are written together or not at all."""
    store = Torn(either, RuntimeError("torn"))
    for write in changes(Ledger(store, "p")):
        before = everything(store)
        store.left = after
        try:
            write()
        except RuntimeError:
            store.left = None
            assert before == everything(store)
            write()
        store.left = None

    whole = DuckStore()
    for write in changes(Ledger(whole, "p")):
        write()
    assert everything(whole) == everything(store)


# ---------------------------------------------------------------- people and money


def test_a_change_of_the_primary_department_is_written_down(ledger: Ledger, store: Store) -> None:
    """Others do not count; who was dismissed keeps the last one; who is new has always been there."""

    def person(number: int, *departments: int, active: bool = True) -> people.User:
        return people.User.read({"ID": str(number), "ACTIVE": active, "UF_DEPARTMENT": list(departments)})

    seen = [
        [person(1, 5, 6), person(2, 5), person(3, 5)],
        [person(1, 5, 7), person(2, 6), person(3, active=False), person(4, 6)],
        [person(1, 7, 5), person(2, 6), person(3, active=False), person(4, 6)],
    ]
    for minute, listed in enumerate(seen):
        ledger.keep_whole(FEEDS["users"], listed, NOON + minute * MINUTE)

    assert [(1, NOON + 2 * MINUTE, 5, 7), (2, NOON + MINUTE, 5, 6)] == store.rows(
        "SELECT user_id, changed_at, from_id, to_id FROM department_changes ORDER BY user_id"
    )


def euro(rate: str) -> list[directories.Currency]:
    return [
        directories.Currency.read({"CURRENCY": "RUB", "AMOUNT": "1", "AMOUNT_CNT": "1", "BASE": "Y"}),
        directories.Currency.read({"CURRENCY": "EUR", "AMOUNT": rate, "AMOUNT_CNT": "1", "BASE": "N"}),
    ]


def test_rates_are_kept_as_they_change(ledger: Ledger, store: Store) -> None:
    """A row per change; a rate that comes back is a change as well."""
    for minute, rate in enumerate(("95.5", "95.5", "97", "95.5")):
        ledger.keep_whole(FEEDS["currencies"], euro(rate), NOON + minute * MINUTE)

    assert [
        ("EUR", NOON, Decimal("95.5")),
        ("EUR", NOON + 2 * MINUTE, Decimal(97)),
        ("EUR", NOON + 3 * MINUTE, Decimal("95.5")),
        ("RUB", NOON, Decimal(1)),
    ] == store.rows("SELECT currency_id, seen_at, rate FROM rates ORDER BY ALL")


def test_a_closing_freezes_department_and_amount(ledger: Ledger, store: Store) -> None:
    """Whoever moves, and whatever is edited afterwards; a corrected currency corrects what was frozen in it."""
    ledger.keep_whole(FEEDS["currencies"], euro("95.5"), NOON)
    for departments in ([5, 6], [7]):
        ledger.keep_whole(FEEDS["users"], [people.User.read({"ID": "8", "UF_DEPARTMENT": departments})], NOON)
        amount = str(100 * departments[0])
        look(ledger, "deals", deal(1, STAGE_SEMANTIC_ID="S", ASSIGNED_BY_ID="8", OPPORTUNITY=amount))
    frozen = "SELECT manager_id, department_id, opportunity, currency_id, rate FROM deal_closings"
    assert [(8, 5, Decimal(500), "EUR", Decimal("95.5"))] == store.rows(frozen)

    look(ledger, "deals", deal(1, STAGE_SEMANTIC_ID="S", ASSIGNED_BY_ID="8", OPPORTUNITY="9", CURRENCY_ID="RUB"))
    assert [(8, 5, Decimal(9), "RUB", Decimal(1))] == store.rows(frozen)


def test_the_rate_of_a_payment_is_that_of_the_first_sight(ledger: Ledger, store: Store) -> None:
    """None while it is expected, none any more when it is taken back, the present one when it is made again."""
    feed, kind = FEEDS["payments"], FEEDS["payments"].kind
    assert isinstance(kind, Attached)

    def seen(paid: str, rate: str) -> Decimal | None:
        ledger.keep_whole(FEEDS["currencies"], euro(rate), NOON)
        one = billing.Payment.read(
            {"id": 1, "paid": paid, "sum": "10", "currency": "EUR"}, owner_type_id=EntityType.SMART_INVOICE, owner_id=5
        )
        ledger.keep_attached(feed, kind, {5: [one]}, {5: 1}, NOON)
        [(found,)] = store.rows("SELECT rate FROM payments")
        return found  # type: ignore[no-any-return]

    steps = [("N", "90"), ("Y", "95"), ("Y", "99"), ("N", "99"), ("Y", "99")]
    assert [None, 95, 95, None, 99] == [seen(paid, rate) for paid, rate in steps]


def test_what_was_frozen_without_a_directory_gets_its_word_later(ledger: Ledger, store: Store) -> None:
    """Currencies or people could not be read when a deal was won and an invoice paid: both are mended when they can."""
    won = deal(1, STAGE_SEMANTIC_ID="S", ASSIGNED_BY_ID="7", OPPORTUNITY="10")
    look(ledger, "deals", won)
    payments, kind = FEEDS["payments"], FEEDS["payments"].kind
    assert isinstance(kind, Attached)
    told = {"id": 5, "paid": "Y", "sum": 3, "currency": "EUR", "datePaid": NOON.isoformat()}
    payment = billing.Payment.read(told).model_copy(update={"owner_type_id": EntityType.SMART_INVOICE, "owner_id": 2})
    ledger.keep_attached(payments, kind, {2: [payment]}, {2: 1}, NOON)
    assert [(None, None)] == store.rows("SELECT rate, department_id FROM deal_closings")

    euro = directories.Currency.read({"CURRENCY": "EUR", "AMOUNT": "90", "AMOUNT_CNT": "1", "BASE": "N"})
    ledger.keep_whole(FEEDS["currencies"], [euro], NOON)
    seller = people.User.read({"ID": "7", "ACTIVE": True, "UF_DEPARTMENT": [4]})
    ledger.keep_whole(FEEDS["users"], [seller], NOON)

    assert [(Decimal(90), 1, 4)] == store.rows("SELECT rate, rate_count, department_id FROM deal_closings")
    assert [(Decimal(90), 1)] == store.rows("SELECT rate, rate_count FROM payments")
