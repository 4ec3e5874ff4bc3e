"""Every entity stays equal, whatever happens to its records; what a portal does not have is switched off by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from b24metrics.mirror.feed import Feed
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.options import MirrorOptions
from b24metrics.mirror.stores import Store
from b24metrics.sim.accounts import ALL_SCOPES
from b24metrics.sim.faults import Fault
from b24metrics.sim.records import Hand
from b24metrics.sim.refusals import Refusal
from b24metrics.sim.tables import ENTITY_TYPES
from tests.mirror.conftest import World

LEAD, DEAL, CONTACT, COMPANY, QUOTE, INVOICE = (ENTITY_TYPES[number] for number in (1, 2, 3, 4, 7, 31))


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    store = world.open()
    yield store
    store.close()


def only(*names: str, options: MirrorOptions | None = None) -> tuple[Feed, ...]:
    return tuple(feed for feed in standard(options) if feed.name in names)


def differing(world: World, store: Store, *names: str) -> dict[str, Any]:
    return {name: rows for name, rows in world.difference(store).items() if name in names}


# ---------------------------------------------------------------- whatever happens


def happenings(world: World) -> list[Callable[[], object]]:
    """What people and automation do with papers, clients and tasks, deletions apart."""
    records, dice = world.portal.records, world.dice

    def some(table: str) -> int:
        return int(str(dice.choice(world.data.rows(f'SELECT ID FROM "{table}" ORDER BY ID'))[0]))

    def hand() -> Hand:
        return Hand(world.now, dice.randrange(1, 9))

    def phones(*numbers: str) -> list[dict[str, str]]:
        return [{"VALUE": number} for number in numbers]

    def pay(invoice: int) -> None:
        payment = {
            "ID": world.data.next_id("payment"), "OWNER_TYPE_ID": 31, "OWNER_ID": invoice, "PAID": True, "SUM": 10,
            "DATE_PAID": world.now, "CURRENCY": "KZT",
        }  # fmt: skip
        world.data.insert("payment", payment)
        records.update(INVOICE, invoice, {"STAGE_ID": "DT31_4:P"}, hand())

    def win(deal: int) -> None:
        row = {"ID": world.data.next_id("product_row"), "OWNER_ID": deal, "PRODUCT_NAME": "Won", "PRICE": 7.5}
        world.data.insert("product_row", row)
        records.update(DEAL, deal, {"STAGE_ID": "WON", "CATEGORY_ID": 0}, hand())

    return [
        lambda: records.create(QUOTE, {"TITLE": "Fresh", "OPPORTUNITY": 5}, hand()),
        lambda: records.update(QUOTE, some("quote"), {"STATUS_ID": dice.choice(["DRAFT", "APPROVED"])}, hand()),
        lambda: records.create(INVOICE, {"TITLE": "Fresh", "CATEGORY_ID": 4, "OPPORTUNITY": 5}, hand()),
        lambda: records.update(INVOICE, some("invoice"), {"OPPORTUNITY": dice.randrange(99)}, hand()),
        lambda: pay(some("invoice")),
        lambda: win(some("deal")),
        lambda: records.update(DEAL, some("deal"), {"CATEGORY_ID": 3, "STAGE_ID": "C3:NEW"}, hand()),
        lambda: records.update(DEAL, some("deal"), {"ASSIGNED_BY_ID": dice.randrange(1, 9)}, hand()),
        lambda: records.update(DEAL, some("deal"), {"CURRENCY_ID": "KZT", "OPPORTUNITY": 3}, hand()),
        lambda: records.create(CONTACT, {"NAME": "анна", "PHONE": phones("8 921 000 00 00")}, hand()),
        lambda: records.update(CONTACT, some("contact"), {"PHONE": phones("+79210000001", "1")}, hand()),
        lambda: records.update(CONTACT, some("contact"), {"PHONE": [], "COMMENTS": "т. +7 (921) 000-00-02"}, hand()),
        lambda: records.update(COMPANY, some("company"), {"EMAIL": phones("A@b.example")}, hand()),
        lambda: records.update(LEAD, some("lead"), {"PHONE": phones("+7 921 000-00-03")}, hand()),
        lambda: records.merge(CONTACT, some("contact"), [], hand()),
        lambda: world.sql(
            "UPDATE task SET STATUS = 5, MARK = 'P', CHANGED_DATE = ? WHERE ID = ?", world.now, some("task")
        ),
        lambda: world.sql("UPDATE category SET NAME = 'Bills' WHERE ENTITY_TYPE_ID = 31"),
    ]


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_to_papers_and_clients(world: World, store: Store, seed: int) -> None:
    """Round after round every table equals the portal's, moves between pipelines included."""
    world.dice.seed(seed)
    world.copy(store)

    async def work() -> None:
        async with world.sync(store) as sync:
            for _ in range(5):
                world.clock.move(world.dice.choice([5, 60, 700]))
                for _ in range(world.dice.randrange(1, 6)):
                    world.dice.choice(happenings(world))()
                assert {} == (await sync.round()).errors
                assert {} == (await sync.round()).errors  # the owners of what no listing has

    asyncio.run(work())

    assert {} == world.difference(store)


def test_ten_thousand_records_changed_within_one_second(world: World, store: Store) -> None:
    """A mass edit stamps all of them with one second: none is lost, and every change of hands is written down."""
    feeds = only("users", "deals", "contacts")
    now = world.now
    world.sql(
        """INSERT INTO deal BY NAME SELECT 1000 + range AS ID, 1 AS ASSIGNED_BY_ID, ? AS DATE_CREATE, ? AS DATE_MODIFY
        FROM range(10000)""",
        now - 900, now - 900,
    )  # fmt: skip
    world.copy(store, feeds=feeds)
    world.clock.move(60)
    world.sql("UPDATE deal SET ASSIGNED_BY_ID = 2, OPPORTUNITY = 5, DATE_MODIFY = ? WHERE ID >= 1000", world.now)
    world.sql("UPDATE contact SET NAME = 'Bulk', DATE_MODIFY = ?", world.now)

    world.copy(store, feeds=feeds, rounds=2)

    assert {} == differing(world, store, "deals", "contacts")
    for table in ("assignments", "deal_changes"):
        assert [(10_000, 1)] == store.rows(f"SELECT count(*), count(DISTINCT changed_at) FROM {table}")


def test_duplicates_that_were_merged_leave_nothing_wrong(world: World, store: Store) -> None:
    """The duplicate is buried; its deals belong to the survivor, although their time of change is the old one."""
    world.copy(store)
    world.clock.move(3600)
    one, two = (int(str(number)) for (number,) in world.data.rows("SELECT ID FROM contact ORDER BY ID LIMIT 2"))
    world.sql("UPDATE deal SET CONTACT_ID = ?, DATE_MODIFY = 1000 WHERE ID IN (3, 6)", two)
    store.execute(f"UPDATE deals SET contact_id = {two} WHERE id IN (3, 6)")
    world.portal.records.merge(CONTACT, one, [two], Hand(world.now))

    async def work() -> None:
        async with world.sync(store) as sync:
            assert {} == (await sync.sweep()).errors
            assert {} == (await sync.round()).errors

    asyncio.run(work())

    assert [(one,)] == store.rows("SELECT DISTINCT contact_id FROM deals WHERE id IN (3, 6)")
    assert [(True,)] == store.rows(f"SELECT deleted_at IS NOT NULL FROM contacts WHERE id = {two}")
    assert {} == differing(world, store, "contacts", "client_keys")


# ---------------------------------------------------------------- what a portal does not have


@pytest.mark.parametrize(
    ("method", "error", "off", "why"),
    [
        ("crm.item.list", "ENTITY_TYPE_NOT_SUPPORTED", "invoices", "no records of that kind"),
        ("crm.quote.list", "ACCESS_DENIED", "quotes", "its owner the right"),
        ("crm.contact.list", "ERROR_METHOD_NOT_FOUND", "contacts", "does not offer crm.contact.list"),
    ],
)
def test_what_the_portal_refuses_is_off_and_everything_else_goes_on(
    world: World, store: Store, method: str, error: str, off: str, why: str
) -> None:
    """It says why, and it is not asked again before an hour has passed."""
    world.portal.faults.add(Fault(Refusal(error), method, times=None))

    async def work() -> None:
        async with world.sync(store) as sync:
            report = await sync.catch_up()
            assert {off} == set(report.errors)
            assert why in report.errors[off]
            world.portal.log.clear()
            world.clock.move(60)
            assert {} == (await sync.round()).errors
            assert method not in {entry.method for entry in world.portal.log}
            assert why in str({one.feed: one.error for one in sync.status()}[off])

    asyncio.run(work())

    assert set(world.difference(store)) <= {off, "client_keys", "payments"}


def test_without_its_scope_tasks_are_off(world: World, store: Store) -> None:
    """The message names the scope to tick."""
    [webhook] = world.portal.accounts.webhooks.values()
    webhook.scopes = ALL_SCOPES - {"task"}

    async def work() -> None:
        async with world.sync(store, feeds=only("currencies", "users", "tasks")) as sync:
            report = await sync.catch_up()
            assert "tick its scope 'task'" in report.errors["tasks"]

    asyncio.run(work())


# ---------------------------------------------------------------- what a company decides


def test_user_fields_of_all_kinds_are_kept(world: World, store: Store) -> None:
    """Those that are named, and no others; each kind of object has its own."""
    kinds = {"deal": "CRM_DEAL", "lead": "CRM_LEAD", "contact": "CRM_CONTACT", "company": "CRM_COMPANY"}
    kinds["invoice"] = "CRM_SMART_INVOICE"
    for number, (kind, owner) in enumerate(kinds.items(), start=1):
        for code in ("UF_CRM_KEPT", "UF_CRM_OTHER"):
            field = {"ID": 10 * number + len(code), "ENTITY_ID": owner, "FIELD_NAME": code, "USER_TYPE_ID": "string"}
            world.data.insert("userfield", field)
        world.sql(f"""UPDATE {kind} SET UF = '{{"UF_CRM_KEPT": "{kind}", "UF_CRM_OTHER": "no"}}'""")
    options = MirrorOptions(dict.fromkeys(kinds, ("UF_CRM_KEPT",)))

    world.copy(store, feeds=only("deals", "leads", "contacts", "companies", "invoices", options=options))

    for table, kind in zip(("deals", "leads", "contacts", "companies", "invoices"), kinds, strict=True):
        assert [(f'{{"UF_CRM_KEPT":"{kind}"}}',)] == store.rows(f"SELECT DISTINCT user_fields FROM {table}")


def test_nothing_personal_is_kept_or_asked_for_when_it_is_off(world: World, store: Store) -> None:
    """No names of contacts, no keys, no comments: flags alone."""
    world.copy(store, feeds=only("leads", "contacts", "companies", options=MirrorOptions(personal=False)))

    asked = {str(name) for entry in world.portal.log for name in _selected(entry.params)}
    assert set() == asked & {"PHONE", "EMAIL", "NAME", "LAST_NAME", "COMMENTS"}
    assert [(0,)] == store.rows("SELECT count(*) FROM client_keys")
    assert [(0, 0)] == store.rows("SELECT count(name), count(phone_in_comment) FROM contacts")
    assert [(True,)] == store.rows("SELECT count(*) FILTER (WHERE has_phone) > 0 FROM contacts")


def _selected(params: Any) -> list[object]:
    found = params.get("select", []) if isinstance(params, dict) else []
    return list(found.values() if isinstance(found, dict) else found)


def test_a_phone_in_a_comment_is_a_flag(world: World, store: Store) -> None:
    """The pattern decides, the text is forgotten; without a pattern comments are not read."""
    world.copy(store, feeds=only("contacts", options=MirrorOptions(phone_pattern=r"перезвон")))
    [(flagged,)] = world.data.rows("SELECT count(*) FROM contact WHERE COMMENTS = 'перезвонить'")
    assert [(flagged,)] == store.rows("SELECT count(*) FROM contacts WHERE phone_in_comment")

    world.sql("UPDATE contact SET DATE_MODIFY = ?", int(datetime(2030, 1, 1, tzinfo=UTC).timestamp()))
    world.portal.log.clear()
    world.copy(store, feeds=only("contacts", options=MirrorOptions(phone_pattern="")))
    assert [(0,)] == store.rows("SELECT count(phone_in_comment) FROM contacts")
    assert "COMMENTS" not in {str(name) for entry in world.portal.log for name in _selected(entry.params)}
