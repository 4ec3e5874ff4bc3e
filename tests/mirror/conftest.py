"""A practice portal inside this process, and the witness that reads its tables without any client."""

from __future__ import annotations

import asyncio
import importlib.abc
import importlib.util
import json
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pytest

from b24metrics.clock import Clock, HandClock
from b24metrics.mirror.options import PHONE_PATTERN
from b24metrics.mirror.phones import client_phone_key, email_key
from b24metrics.mirror.stores import DuckStore, Store, open_store
from b24metrics.mirror.sync import Sync
from b24metrics.portal.client import AsyncPortal
from b24metrics.portal.limits import STANDARD, Plan
from b24metrics.sim import php
from b24metrics.sim.accounts import Webhook
from b24metrics.sim.core import Ask, PracticePortal
from b24metrics.sim.data import Data

SECRET = "practicesecret"


class _NoPandas(importlib.abc.MetaPathFinder):
    """Where pandas is not installed DuckDB looks for it on disk at every parameter, which takes half of these tests."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


if importlib.util.find_spec("pandas") is None:
    sys.meta_path.insert(0, _NoPandas())

#: Tables of the portal → rows as the mirror must hold them. Written by hand from the portal's side.
PORTAL_SIDE = {
    "deals": """
        SELECT ID, TITLE, TYPE_ID, CATEGORY_ID, STAGE_ID, STAGE_SEMANTIC_ID, OPPORTUNITY, CURRENCY_ID, PROBABILITY,
            nullif(ASSIGNED_BY_ID, 0), CREATED_BY_ID, MODIFY_BY_ID, MOVED_BY_ID, to_timestamp(DATE_CREATE),
            to_timestamp(DATE_MODIFY), to_timestamp(MOVED_TIME), BEGINDATE, CLOSEDATE, CLOSED, nullif(COMPANY_ID, 0),
            nullif(CONTACT_ID, 0), LEAD_ID, QUOTE_ID, SOURCE_ID, IS_RECURRING, IS_RETURN_CUSTOMER, ORIGIN_ID,
            to_timestamp(LAST_ACTIVITY_TIME), UF
        FROM deal ORDER BY ID""",
    "leads": """
        SELECT ID, TITLE, STATUS_ID, STATUS_SEMANTIC_ID, OPPORTUNITY, CURRENCY_ID, ASSIGNED_BY_ID, CREATED_BY_ID,
            to_timestamp(DATE_CREATE), to_timestamp(DATE_MODIFY), to_timestamp(DATE_CLOSED), SOURCE_ID, IS_RETURN_CUSTOMER
        FROM lead ORDER BY ID""",
    "quotes": """
        SELECT ID, TITLE, STATUS_ID, OPPORTUNITY, CURRENCY_ID, ASSIGNED_BY_ID, CREATED_BY_ID, MODIFY_BY_ID,
            to_timestamp(DATE_CREATE), to_timestamp(DATE_MODIFY), BEGINDATE, CLOSEDATE, CLOSED, LEAD_ID, DEAL_ID,
            nullif(COMPANY_ID, 0), nullif(CONTACT_ID, 0) FROM quote ORDER BY ID""",
    "invoices": """
        SELECT ID, TITLE, CATEGORY_ID, STAGE_ID, OPPORTUNITY, CURRENCY_ID, ASSIGNED_BY_ID, CREATED_BY_ID, MODIFY_BY_ID,
            MOVED_BY_ID, to_timestamp(DATE_CREATE), to_timestamp(DATE_MODIFY), to_timestamp(MOVED_TIME), BEGINDATE,
            CLOSEDATE, PARENT_ID_2, PARENT_ID_7, nullif(COMPANY_ID, 0), nullif(CONTACT_ID, 0) FROM invoice ORDER BY ID""",
    "payments": """
        SELECT ID, OWNER_TYPE_ID, OWNER_ID, PAID, to_timestamp(DATE_PAID), SUM, CURRENCY FROM payment
        WHERE OWNER_TYPE_ID = 31 AND OWNER_ID IN (SELECT ID FROM invoice) ORDER BY ID""",
    "product_rows": """
        SELECT OWNER_ID, ID, nullif(PRODUCT_ID, 0), PRODUCT_NAME, QUANTITY::DECIMAL(18, 4), PRICE::DECIMAL(18, 4), MEASURE_CODE
        FROM product_row WHERE OWNER_TYPE = 'D' AND OWNER_ID IN (SELECT ID FROM deal WHERE STAGE_SEMANTIC_ID = 'S')
        ORDER BY OWNER_ID, ID""",
    "contacts": rf"""
        SELECT ID, NAME, LAST_NAME, TYPE_ID, ASSIGNED_BY_ID, CREATED_BY_ID, to_timestamp(DATE_CREATE),
            to_timestamp(DATE_MODIFY), SOURCE_ID, nullif(COMPANY_ID, 0), LEAD_ID, ORIGINATOR_ID, ORIGIN_ID, HAS_PHONE,
            HAS_EMAIL, coalesce(HAS_IMOL, FALSE), coalesce(regexp_matches(COMMENTS, '{PHONE_PATTERN}'), FALSE) FROM contact ORDER BY ID""",
    "companies": """
        SELECT ID, TITLE, COMPANY_TYPE, INDUSTRY, ASSIGNED_BY_ID, CREATED_BY_ID, to_timestamp(DATE_CREATE),
            to_timestamp(DATE_MODIFY), LEAD_ID, IS_MY_COMPANY, ORIGINATOR_ID, ORIGIN_ID, HAS_PHONE, HAS_EMAIL
        FROM company ORDER BY ID""",
    "tasks": """
        SELECT ID, TITLE, STATUS, CREATED_BY, RESPONSIBLE_ID, to_timestamp(CREATED_DATE), to_timestamp(CHANGED_DATE),
            to_timestamp(CLOSED_DATE), to_timestamp(DEADLINE), CASE MARK WHEN 'P' THEN TRUE WHEN 'N' THEN FALSE END,
            nullif(GROUP_ID, 0), PARENT_ID FROM task ORDER BY ID""",
    "stage_moves": """
        SELECT ENTITY_TYPE_ID, ID, TYPE_ID, OWNER_ID, to_timestamp(CREATED_TIME), CATEGORY_ID, STAGE_ID, STAGE_SEMANTIC_ID
        FROM stage_history WHERE ENTITY_TYPE_ID IN (1, 2, 31) ORDER BY ENTITY_TYPE_ID, ID""",
    "activities": """
        SELECT ID, OWNER_TYPE_ID, OWNER_ID, TYPE_ID, PROVIDER_ID, PROVIDER_TYPE_ID, DIRECTION, COMPLETED, STATUS,
            to_timestamp(CREATED), to_timestamp(LAST_UPDATED), to_timestamp(START_TIME), to_timestamp(END_TIME),
            to_timestamp(DEADLINE), RESPONSIBLE_ID, AUTHOR_ID, IS_INCOMING_CHANNEL, nullif(ASSOCIATED_ENTITY_ID, 0)
        FROM activity ORDER BY ID""",
    "activity_bindings": "SELECT ACTIVITY_ID, OWNER_TYPE_ID, OWNER_ID FROM activity_binding ORDER BY ALL",
    "phone_calls": """
        SELECT ID, CALL_ID, CALL_CATEGORY, CALL_TYPE, PORTAL_USER_ID, PORTAL_NUMBER, CALL_DURATION,
            to_timestamp(CALL_START_DATE), CALL_FAILED_CODE, nullif(CALL_VOTE, 0),
            CASE CRM_ENTITY_TYPE WHEN 'LEAD' THEN 1 WHEN 'CONTACT' THEN 3 WHEN 'COMPANY' THEN 4 END,
            nullif(CRM_ENTITY_ID, 0), CRM_ACTIVITY_ID
        FROM phone_call ORDER BY ID""",
    "users": """
        SELECT ID, ACTIVE, NAME, LAST_NAME, nullif(WORK_POSITION, ''), nullif(TIME_ZONE, ''), USER_TYPE,
            to_timestamp(DATE_REGISTER), UF_EMPLOYMENT_DATE FROM "user" ORDER BY ID""",
    "user_departments": """
        SELECT ID, unnest(UF_DEPARTMENT), generate_subscripts(UF_DEPARTMENT, 1) - 1 FROM "user" ORDER BY ALL""",
    "departments": "SELECT ID, NAME, nullif(PARENT, 0), nullif(UF_HEAD, 0), SORT FROM department ORDER BY ID",
    "statuses": """
        SELECT ENTITY_ID, STATUS_ID, NAME, SORT, CASE WHEN ENTITY_ID LIKE '%STAGE%' OR ENTITY_ID IN ('STATUS', 'QUOTE_STATUS', 'INVOICE_STATUS')
            THEN coalesce(nullif(SEMANTICS, ''), CASE EXTRA_SEMANTICS WHEN 'success' THEN 'S' WHEN 'failure' THEN 'F'
                WHEN 'apology' THEN 'F' END, 'P') END
        FROM status ORDER BY ENTITY_ID, STATUS_ID""",
    "pipelines": """
        SELECT ENTITY_TYPE_ID, ID, NAME, SORT, IS_DEFAULT FROM category WHERE ENTITY_TYPE_ID IN (2, 31) ORDER BY ENTITY_TYPE_ID, ID""",
    "currencies": "SELECT CURRENCY, AMOUNT, AMOUNT_CNT, BASE FROM currency ORDER BY CURRENCY",
}

MIRROR_SIDE = {
    "deals": """
        SELECT id, title, type_id, pipeline_id, stage_id, semantics, opportunity, currency_id, probability, assigned_by_id,
            created_by_id, modified_by_id, moved_by_id, created_at, modified_at, moved_at, begins_on, closes_on, closed,
            company_id, contact_id, lead_id, quote_id, source_id, is_recurring, is_return_customer, origin_id,
            last_activity_at, user_fields FROM deals WHERE deleted_at IS NULL ORDER BY id""",
    "leads": """
        SELECT id, title, stage_id, semantics, opportunity, currency_id, assigned_by_id, created_by_id, created_at,
            modified_at, closed_at, source_id, is_return_customer FROM leads WHERE deleted_at IS NULL ORDER BY id""",
    "quotes": """
        SELECT id, title, stage_id, opportunity, currency_id, assigned_by_id, created_by_id, modified_by_id, created_at,
            modified_at, begins_on, closes_on, closed, lead_id, deal_id, company_id, contact_id FROM quotes
        WHERE deleted_at IS NULL ORDER BY id""",
    "invoices": """
        SELECT id, title, pipeline_id, stage_id, opportunity, currency_id, assigned_by_id, created_by_id, modified_by_id,
            moved_by_id, created_at, modified_at, moved_at, begins_on, due_on, deal_id, quote_id, company_id, contact_id
        FROM invoices WHERE deleted_at IS NULL ORDER BY id""",
    "payments": """
        SELECT id, owner_type_id, owner_id, paid, paid_at, amount, currency_id FROM payments
        WHERE owner_id IN (SELECT id FROM invoices WHERE deleted_at IS NULL) ORDER BY id""",
    "product_rows": """
        SELECT owner_id, id, product_id, product_name, quantity, price, measure_code FROM product_rows
        WHERE owner_id IN (SELECT id FROM deals WHERE semantics = 'S' AND deleted_at IS NULL) ORDER BY owner_id, id""",
    "contacts": """
        SELECT id, name, last_name, type_id, assigned_by_id, created_by_id, created_at, modified_at, source_id, company_id,
            lead_id, originator_id, origin_id, has_phone, has_email, has_messenger, phone_in_comment FROM contacts
        WHERE deleted_at IS NULL ORDER BY id""",
    "companies": """
        SELECT id, title, type_id, industry, assigned_by_id, created_by_id, created_at, modified_at, lead_id, is_my_company,
            originator_id, origin_id, has_phone, has_email FROM companies WHERE deleted_at IS NULL ORDER BY id""",
    "tasks": """
        SELECT id, title, status, created_by_id, responsible_id, created_at, modified_at, closed_at, deadline_at, good,
            group_id, parent_id FROM tasks WHERE deleted_at IS NULL ORDER BY id""",
    "stage_moves": """
        SELECT entity_type_id, id, kind, owner_id, created_at, pipeline_id, stage_id, semantics FROM stage_moves
        WHERE deleted_at IS NULL ORDER BY entity_type_id, id""",
    "activities": """
        SELECT id, owner_type_id, owner_id, type_id, provider_id, provider_type_id, direction, completed, status, created_at,
            modified_at, starts_at, ends_at, deadline_at, responsible_id, author_id, is_incoming_channel,
            associated_entity_id FROM activities WHERE deleted_at IS NULL ORDER BY id""",
    "activity_bindings": "SELECT activity_id, entity_type_id, entity_id FROM activity_bindings ORDER BY ALL",
    "phone_calls": """
        SELECT id, call_id, category, type_id, user_id, line, duration_seconds, started_at, failed_code,
            vote, crm_entity_type_id, crm_entity_id, crm_activity_id FROM phone_calls WHERE deleted_at IS NULL ORDER BY id""",
    "users": """
        SELECT id, active, name, last_name, position, zone, user_type, registered_at, employed_on FROM users
        WHERE deleted_at IS NULL ORDER BY id""",
    "user_departments": "SELECT user_id, department_id, ordinal FROM user_departments ORDER BY ALL",
    "departments": "SELECT id, name, parent_id, head_id, sort FROM departments WHERE deleted_at IS NULL ORDER BY id",
    "statuses": """
        SELECT directory, status_id, name, sort, semantics FROM statuses WHERE deleted_at IS NULL
        ORDER BY directory, status_id""",
    "pipelines": """
        SELECT entity_type_id, id, name, sort, is_default FROM pipelines WHERE deleted_at IS NULL
        ORDER BY entity_type_id, id""",
    "currencies": "SELECT id, rate, rate_count, is_base FROM currencies WHERE deleted_at IS NULL ORDER BY id",
}


def found(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in a form that compares: empty texts are nothing on the wire, numbers in user fields are texts."""

    def plain(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("{"):
            return tuple(sorted((name, str(held)) for name, held in json.loads(value).items()))
        return None if value == "" else value

    return [tuple(map(plain, row)) for row in rows]


@dataclass
class Line(httpx.AsyncBaseTransport):
    """The wire to the practice portal, with a knife: ``cut(n)`` decides what happens to the n-th request."""

    portal: PracticePortal
    requests: int = 0
    cut: Callable[[int], str | None] = lambda _: None
    rewrite: Callable[[bytes], bytes] = lambda body: body
    on_answer: Callable[[int], None] = lambda _: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        fate = self.cut(self.requests)
        if fate == "before":
            raise httpx.ConnectError("cut")
        body = self.rewrite(await request.aread())
        ask = Ask("POST", request.url.path, "", php.parse_json(body), None, True)
        reply = self.portal.handle(ask)
        self.on_answer(self.requests)
        if fate == "after":
            raise httpx.ReadError("cut")
        content = reply.body[: len(reply.body) // 2] if fate == "half" else reply.body
        return httpx.Response(reply.status, content=content, headers=reply.headers)


@dataclass
class World:
    """A practice portal, its mirror, and everything between them."""

    clock: HandClock
    portal: PracticePortal
    place: Path | str
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def data(self) -> Data:
        return self.portal.data

    @property
    def now(self) -> int:
        """The portal's time, epoch seconds."""
        return int(self.portal.now())

    def sql(self, statement: str, *values: object) -> None:
        """Change the portal's records; a few seconds pass."""
        self.data.execute(statement, list(values))

    def line(self, **options: Any) -> Line:
        return Line(self.portal, **options)

    @asynccontextmanager
    async def sync(
        self,
        store: Store,
        line: Line | None = None,
        *,
        attempts: int = 2,
        plan: Plan = STANDARD,
        clock: Clock | None = None,
        **options: Any,
    ) -> AsyncIterator[Sync]:
        """A new client and a new Sync on this mirror, as after a restart."""
        clock = clock or self.clock
        address = f"http://127.0.0.1:1/rest/1/{SECRET}/"
        async with AsyncPortal(
            address,
            plan=plan,
            clock=clock,
            transport=line or self.line(),
            attempts=attempts,
            chance=random.Random(1),
        ) as client:
            yield Sync(client, store, portal="practice", clock=clock, **options)

    def open(self) -> Store:
        """The mirror, as after a restart."""
        return DuckStore(self.place, threads=1) if isinstance(self.place, Path) else open_store(self.place)

    def copy(self, store: Store, *, rounds: int = 1, **options: Any) -> None:
        """Backfill and rounds in one go."""

        async def work() -> None:
            async with self.sync(store, **options) as sync:
                assert {} == (await sync.backfill()).errors
                for _ in range(rounds):
                    assert {} == (await sync.round()).errors

        asyncio.run(work())

    def difference(self, store: Store) -> dict[str, tuple[list[Any], list[Any]]]:
        """Tables that differ: (only on the portal, only in the mirror)."""
        return difference(self.data, store)


class Torn:
    """A store that fails at its n-th statement, and at all that follow, wherever it stands. ``left`` None: at none."""

    def __init__(self, store: Store, failure: Exception) -> None:
        self.store = store
        self.holder = store.holder
        self.failure = failure
        self.left: int | None = None

    def _count(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise self.failure

    def execute(self, sql: str, params: Any = ()) -> None:
        self._count()
        self.store.execute(sql, params)

    def rows(self, sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
        self._count()
        return self.store.rows(sql, params)

    def arrow(self, sql: str, params: Any = ()) -> pa.Table:
        self._count()
        return self.store.arrow(sql, params)

    def upsert(self, table: Any, rows: Any) -> int:
        self._count()
        return self.store.upsert(table, rows)

    def load(self, name: str, table: Any) -> None:
        self._count()
        self.store.load(name, table)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.store.transaction():
            yield
            self._count()  # before the commit

    def one_thread_each(self) -> AbstractContextManager[None]:
        return self.store.one_thread_each()

    def checkpoint(self) -> None:
        self.store.checkpoint()

    def close(self) -> None:
        self.store.close()


def difference(data: Data, store: Store) -> dict[str, tuple[list[Any], list[Any]]]:
    """Tables in which portal and mirror differ: (only on the portal, only in the mirror), a few rows of each."""
    differing = {}
    for table, theirs in PORTAL_SIDE.items():
        portal, mirror = found(data.rows(theirs)), found(store.rows(MIRROR_SIDE[table]))
        if portal != mirror:
            here, there = set(mirror), set(portal)
            differing[table] = (
                [row for row in portal if row not in here][:3],
                [row for row in mirror if row not in there][:3],
            )
    if keys_there(data) != (here := keys_here(store)):
        there = keys_there(data)
        differing["client_keys"] = (sorted(there - here)[:3], sorted(here - there)[:3])
    return differing


def keys_there(data: Data) -> set[tuple[int, int, str, str]]:
    """What the mirror may know of phones and addresses on the portal."""
    rows = data.rows(
        """SELECT ENTITY_TYPE_ID, ELEMENT_ID, TYPE_ID, VALUE FROM multifield WHERE TYPE_ID IN ('PHONE', 'EMAIL') AND (
        ENTITY_TYPE_ID = 1 AND ELEMENT_ID IN (SELECT ID FROM lead)
        OR ENTITY_TYPE_ID = 3 AND ELEMENT_ID IN (SELECT ID FROM contact)
        OR ENTITY_TYPE_ID = 4 AND ELEMENT_ID IN (SELECT ID FROM company))"""
    )
    keys = set()
    for kind, owner, what, value in rows:
        key = (client_phone_key if what == "PHONE" else email_key)(str(value))
        if key is not None:
            keys.add((int(str(kind)), int(str(owner)), str(what).lower(), key))
    return keys


def keys_here(store: Store) -> set[tuple[int, int, str, str]]:
    """Keys of clients that are alive."""
    return set(
        store.rows(
            """SELECT entity_type_id, entity_id, kind, key FROM client_keys AS held WHERE EXISTS (
            SELECT 1 FROM leads WHERE held.entity_type_id = 1 AND id = held.entity_id AND deleted_at IS NULL
            UNION ALL SELECT 1 FROM contacts WHERE held.entity_type_id = 3 AND id = held.entity_id AND deleted_at IS NULL
            UNION ALL SELECT 1 FROM companies WHERE held.entity_type_id = 4 AND id = held.entity_id AND deleted_at IS NULL)"""
        )
    )


def furnish(data: Data, now: int, *, size: int = 40, gap: int = 3) -> None:
    """A portal with ``size`` deals and what belongs to them; every ``gap``-th id is taken, the others were deleted."""
    day = 86400
    data.execute(
        f"""INSERT INTO "user" BY NAME SELECT range + 2 AS ID, 'Name ' || range AS NAME, 'Family' AS LAST_NAME,
        range % 7 <> 3 AS ACTIVE, [1 + range % 3] AS UF_DEPARTMENT, {now} - 400 * {day} AS DATE_REGISTER,
        CASE range % 4 WHEN 1 THEN 'Asia/Omsk' ELSE '' END AS TIME_ZONE, 'employee' AS USER_TYPE FROM range(9)"""
    )
    data.execute(
        """INSERT INTO department BY NAME SELECT range + 1 AS ID, 'Department ' || range AS NAME, 500 AS SORT,
        CASE WHEN range > 0 THEN 1 END AS PARENT, CASE WHEN range > 0 THEN range + 2 END AS UF_HEAD FROM range(3)"""
    )
    data.execute(
        """INSERT INTO currency BY NAME SELECT * FROM (VALUES ('RUB', 1, 1, TRUE, 'Рубль'), ('KZT', 100, 18, FALSE, 'Тенге'))
        AS v(CURRENCY, AMOUNT_CNT, AMOUNT, BASE, FULL_NAME)"""
    )
    data.execute(
        """INSERT INTO category BY NAME SELECT * FROM (VALUES (2, 0, 'Общая', 100, TRUE), (2, 3, 'Сервис', 200, FALSE),
        (31, 4, 'Счета', 100, TRUE))
        AS v(ENTITY_TYPE_ID, ID, NAME, SORT, IS_DEFAULT)"""
    )
    data.execute(
        """INSERT INTO status BY NAME SELECT row_number() OVER () AS ID, * FROM (VALUES
        ('DEAL_STAGE', 'NEW', 'Новая', 10, NULL, 'process'), ('DEAL_STAGE', 'WON', 'Выиграна', 20, 'S', 'success'),
        ('DEAL_STAGE', 'LOSE', 'Отказ', 30, 'F', 'failure'), ('DEAL_STAGE', 'APOLOGY', 'Анализ', 40, NULL, 'apology'),
        ('DEAL_STAGE_3', 'C3:NEW', 'Новая', 10, NULL, NULL), ('STATUS', 'NEW', 'Новый', 10, NULL, 'process'),
        ('SOURCE', 'CALL', 'Звонок', 10, NULL, NULL), ('QUOTE_STATUS', 'DRAFT', 'Черновик', 10, NULL, 'process'),
        ('QUOTE_STATUS', 'APPROVED', 'Принято', 20, NULL, 'success'),
        ('SMART_INVOICE_STAGE_4', 'DT31_4:S', 'Отправлен', 10, NULL, NULL),
        ('SMART_INVOICE_STAGE_4', 'DT31_4:P', 'Оплачен', 20, 'S', NULL)) AS v(ENTITY_ID, STATUS_ID, NAME, SORT, SEMANTICS, EXTRA_SEMANTICS)"""
    )
    data.execute(
        f"""INSERT INTO lead BY NAME SELECT (range + 1) * {gap} AS ID, 'Lead ' || range AS TITLE, 'NEW' AS STATUS_ID,
        range * 10 AS OPPORTUNITY, 1 + range % 9 AS ASSIGNED_BY_ID, {now} - range * 7200 - 60 AS DATE_CREATE,
        {now} - range * 3600 AS DATE_MODIFY, 'CALL' AS SOURCE_ID FROM range({size})"""
    )
    data.execute(
        f"""INSERT INTO deal BY NAME SELECT (range + 1) * {gap} AS ID, 'Сделка ' || range AS TITLE,
        range * 100 + 0.25 AS OPPORTUNITY, CASE range % 5 WHEN 1 THEN 'KZT' ELSE 'RUB' END AS CURRENCY_ID,
        ['NEW', 'WON', 'LOSE'][1 + range % 3] AS STAGE_ID, ['P', 'S', 'F'][1 + range % 3] AS STAGE_SEMANTIC_ID,
        range % 3 > 0 AS CLOSED, 1 + range % 9 AS ASSIGNED_BY_ID, {now} - range * 7200 - 60 AS DATE_CREATE,
        {now} - range * 3600 AS DATE_MODIFY, {now} - range * 3600 AS MOVED_TIME, DATE '2025-03-01' AS CLOSEDATE,
        CASE range % 4 WHEN 0 THEN 0 ELSE range END AS COMPANY_ID, range + 5 AS CONTACT_ID,
        CASE range % 2 WHEN 0 THEN (range + 1) * {gap} END AS LEAD_ID FROM range({size})"""
    )
    _furnish_papers(data, now, size=size, gap=gap)
    _furnish_clients(data, now, size=size, gap=gap)
    for entity_type, moves in ((2, 3), (1, 1), (31, 1)):
        data.execute(
            f"""INSERT INTO stage_history BY NAME SELECT {entity_type} AS ENTITY_TYPE_ID, (range + 1) * {gap} AS ID,
            1 + range % 3 AS TYPE_ID, (1 + range % {size}) * {gap} AS OWNER_ID, {now} - range * 600 AS CREATED_TIME,
            0 AS CATEGORY_ID, 'NEW' AS STAGE_ID, 'P' AS STAGE_SEMANTIC_ID FROM range({size * moves})"""
        )
    data.execute(
        f"""INSERT INTO activity BY NAME SELECT (range + 1) * {gap} AS ID, 2 AS OWNER_TYPE_ID,
        (1 + range % {size}) * {gap} AS OWNER_ID, 6 AS TYPE_ID, 'CRM_TODO' AS PROVIDER_ID, 'TODO' AS PROVIDER_TYPE_ID,
        range % 2 = 0 AS COMPLETED, 1 + (range % 2 = 0)::INT AS STATUS, {now} - range * 1800 - 60 AS CREATED,
        {now} - range * 1800 AS LAST_UPDATED, CASE range % 5 WHEN 0 THEN NULL ELSE {now} + range * 60 END AS DEADLINE,
        1 + range % 9 AS RESPONSIBLE_ID, 1 AS AUTHOR_ID, 0 AS DIRECTION FROM range({size * 2})"""
    )
    data.execute(
        """INSERT INTO activity_binding SELECT ID, 2, OWNER_ID FROM activity
        UNION ALL SELECT ID, 3, ID + 1 FROM activity WHERE ID % 2 = 0"""
    )
    data.execute(
        f"""INSERT INTO phone_call BY NAME SELECT (range + 1) * {gap} AS ID, 1 + range % 9 AS PORTAL_USER_ID,
        'reg1' AS PORTAL_NUMBER, '+7' || (9000000000 + range) AS PHONE_NUMBER, 'call.' || range AS CALL_ID,
        'external' AS CALL_CATEGORY, range % 300 AS CALL_DURATION, {now} - range * 900 AS CALL_START_DATE,
        ['200', '304', '603-S'][1 + range % 3] AS CALL_FAILED_CODE, 1 + range % 4 AS CALL_TYPE,
        ['LEAD', 'CONTACT', 'COMPANY'][1 + range % 3] AS CRM_ENTITY_TYPE, range + 1 AS CRM_ENTITY_ID,
        range + 1 AS CRM_ACTIVITY_ID FROM range({size})"""
    )


def _furnish_papers(data: Data, now: int, *, size: int, gap: int) -> None:
    """Quotes, invoices, payments, product rows and tasks."""
    data.execute(
        f"""INSERT INTO quote BY NAME SELECT (range + 1) * {gap} AS ID, 'Quote ' || range AS TITLE,
        ['DRAFT', 'APPROVED'][1 + range % 2] AS STATUS_ID, range * 70 + 0.5 AS OPPORTUNITY, 1 + range % 9 AS ASSIGNED_BY_ID,
        {now} - range * 7200 - 60 AS DATE_CREATE, {now} - range * 3600 AS DATE_MODIFY, DATE '2025-02-01' AS BEGINDATE,
        (range + 1) * {gap} AS DEAL_ID, range + 5 AS CONTACT_ID FROM range({size})"""
    )
    data.execute(
        f"""INSERT INTO invoice BY NAME SELECT (range + 1) * {gap} AS ID, 'Invoice ' || range AS TITLE, 4 AS CATEGORY_ID,
        ['DT31_4:S', 'DT31_4:P'][1 + range % 2] AS STAGE_ID, range * 50 AS OPPORTUNITY,
        CASE range % 5 WHEN 1 THEN 'KZT' ELSE 'RUB' END AS CURRENCY_ID, 1 + range % 9 AS ASSIGNED_BY_ID,
        {now} - range * 7200 - 60 AS DATE_CREATE, {now} - range * 3600 AS DATE_MODIFY, {now} - range * 3600 AS MOVED_TIME,
        DATE '2025-02-01' AS BEGINDATE, DATE '2025-02-11' AS CLOSEDATE, (range + 1) * {gap} AS PARENT_ID_2
        FROM range({size})"""
    )
    data.execute(
        f"""INSERT INTO payment BY NAME SELECT (range + 1) * {gap} AS ID, 31 AS OWNER_TYPE_ID,
        (1 + range // 2) * {gap} AS OWNER_ID, range % 4 > 1 AS PAID,
        CASE WHEN range % 4 > 1 THEN {now} - range * 60 END AS DATE_PAID, range * 25 AS SUM,
        CASE range % 5 WHEN 1 THEN 'KZT' ELSE 'RUB' END AS CURRENCY FROM range({size})"""
    )
    data.execute(
        f"""INSERT INTO product_row BY NAME SELECT (range + 1) * {gap} AS ID, (1 + range // 3) * {gap} AS OWNER_ID,
        range % 7 AS PRODUCT_ID, 'Product ' || range % 7 AS PRODUCT_NAME, 1 + range / 8 AS QUANTITY, range * 1.25 AS PRICE
        FROM range({size})"""
    )
    data.execute(
        f"""INSERT INTO task BY NAME SELECT (range + 1) * {gap} AS ID, 'Task ' || range AS TITLE, 2 + range % 4 AS STATUS,
        ['P', 'N', NULL][1 + range % 3] AS MARK, 1 + range % 9 AS RESPONSIBLE_ID, {now} - range * 7200 - 60 AS CREATED_DATE,
        {now} - range * 3600 AS CHANGED_DATE, CASE range % 4 WHEN 3 THEN {now} - range * 3600 END AS CLOSED_DATE,
        CASE range % 2 WHEN 0 THEN {now} + range * 60 END AS DEADLINE, ['D_' || range] AS UF_CRM_TASK FROM range({size})"""
    )


def _furnish_clients(data: Data, now: int, *, size: int, gap: int) -> None:
    """Contacts and companies with phones and addresses, some of them equal, some in comments."""
    data.execute(
        f"""INSERT INTO contact BY NAME SELECT (range + 1) * {gap} AS ID, 'имя ' || range AS NAME, 'Фамилия' AS LAST_NAME,
        range % 3 > 0 AS HAS_PHONE, range % 2 = 0 AS HAS_EMAIL, range % 4 = 0 AS HAS_IMOL, 1 + range % 9 AS ASSIGNED_BY_ID,
        ['тел 8 912 345-67-89', 'перезвонить', NULL][1 + range % 3] AS COMMENTS, 'CALL' AS SOURCE_ID,
        {now} - range * 7200 - 60 AS DATE_CREATE, {now} - range * 3600 AS DATE_MODIFY FROM range({size})"""
    )
    data.execute(
        f"""INSERT INTO company BY NAME SELECT (range + 1) * {gap} AS ID, 'Company ' || range AS TITLE,
        'CUSTOMER' AS COMPANY_TYPE, 1 + range % 9 AS ASSIGNED_BY_ID, range = 3 AS IS_MY_COMPANY, TRUE AS HAS_PHONE,
        {now} - range * 7200 - 60 AS DATE_CREATE, {now} - range * 3600 AS DATE_MODIFY FROM range({size})"""
    )
    data.execute(
        f"""INSERT INTO multifield BY NAME SELECT row_number() OVER () AS ID, * FROM (
        SELECT 1 AS ENTITY_TYPE_ID, (range + 1) * {gap} AS ELEMENT_ID, 'PHONE' AS TYPE_ID, '+7 912 000-00-' || 10 + range AS VALUE
        FROM range({size}) WHERE range % 2 = 0
        UNION ALL SELECT 3, (range + 1) * {gap}, 'PHONE', '8 (912) 000-00-' || 10 + range % 30 FROM range({size}) WHERE range % 3 > 0
        UNION ALL SELECT 3, (range + 1) * {gap}, 'PHONE', '12-34' FROM range({size}) WHERE range % 6 = 1
        UNION ALL SELECT 3, (range + 1) * {gap}, 'EMAIL', ' Name' || range % 30 || '@Example.com' FROM range({size}) WHERE range % 2 = 0
        UNION ALL SELECT 4, (range + 1) * {gap}, 'PHONE', '+7 912 000-00-' || 10 + range FROM range({size}))"""
    )


@pytest.fixture(params=["file", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    """Where no mirror is yet: a file, or a database of the tests' own server."""
    if request.param == "file":
        yield tmp_path / "mirror.duckdb"
        return
    server, template = request.getfixturevalue("postgres"), request.getfixturevalue("empty_mirror")
    address = str(server.fresh(template))
    yield address
    server.drop(address)


@pytest.fixture
def either(place: Path | str) -> Iterator[Store]:
    """An empty mirror, of either kind."""
    store = DuckStore(threads=1) if isinstance(place, Path) else open_store(place)
    yield store
    store.close()


@contextmanager
def furnished(clock: HandClock, place: Path | str) -> Iterator[World]:
    """A small furnished portal and a place for its mirror."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")  # tiny tables: more threads only wait for each other
    data = Data(connection)
    portal = PracticePortal(clock, data)
    data.execute("""INSERT INTO "user" BY NAME SELECT 1 AS ID, TRUE AS ACTIVE, 'Admin' AS NAME, 'Root' AS LAST_NAME,
        [1] AS UF_DEPARTMENT, 'employee' AS USER_TYPE, TRUE AS IS_ADMIN""")
    furnish(data, int(clock.now()))
    portal.accounts.add_webhook(Webhook(1, SECRET))
    yield World(clock, portal, place)
    connection.close()


@pytest.fixture
def world(place: Path | str, clock: HandClock) -> Iterator[World]:
    """The same, to be had by name."""
    with furnished(clock, place) as made:
        yield made
