"""Company T1 of the KPI catalogue in mirror tables: the fixture behind most worked figures.

``load(store)`` fills a store; ``NOW`` and ``OPTIONS`` are those of the catalogue's examples. Data stand in
``tests/golden/t1_*.csv``; calls 51 to 54 are the contacts that the catalogue tells in words.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from b24metrics.kpi import KpiOptions
from b24metrics.mirror import schema
from b24metrics.mirror.stores import Store
from b24metrics.worktime import WorkCalendar
from tests.conftest import ROOT

PORTAL = "t1"
ZONE = ZoneInfo("Europe/Moscow")
NOW = datetime(2025, 3, 14, 12, tzinfo=ZONE)
CALENDAR = WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["09:00-18:00"]})
OPTIONS = KpiOptions(sales_departments=frozenset({10}), calendar=CALENDAR, loss_reason_field="UF_CRM_LOSS_REASON")

ROBOT = 1
FEEDS = (
    "currencies", "statuses", "pipelines", "departments", "users", "deals", "leads", "deal_moves", "lead_moves",
    "activities", "phone_calls", "quotes", "invoices", "invoice_moves", "payments", "contacts", "companies",
    "product_rows",
)  # fmt: skip

_INVOICE_STAGES = {"DT31_1:N": None, "DT31_1:S": None, "DT31_1:P": "S", "DT31_1:D": "F"}
#: Number, responsible, deal, amount, issued, paid, due. Issued means: past the stage N.
_INVOICES = (
    (1, 101, 1, 100_000, "03-05", "03-10 12:00", None),
    (2, 101, 2, 90_000, "03-06", "03-12 12:00", None),
    (3, 102, 4, 60_000, "03-07", None, "03-12"),
    (4, 103, 7, 54_000, "03-12", "03-12 16:00", None),
)
_STAGES = {"NEW": "P", "QUAL": "P", "OFFER": "P", "CONTRACT": "P", "WON": "S", "LOSE": "F"}
_PEOPLE = ((1, "Robot", (), True), (101, "Anna", (11,), True), (102, "Boris", (12,), True), (103, "Vera", (10,), True),
           (104, "Gleb", (11,), False), (201, "Igor", (20,), True))  # fmt: skip
_DEPARTMENTS = ((1, "Company", None), (10, "Sales", 1), (11, "Inbound", 10), (12, "Outbound", 10), (20, "Service", 1))

Row = Mapping[str, Any]


def at(moment: str) -> datetime:
    """``"03-03 10:00"`` of 2025 in the portal's zone."""
    return datetime.strptime(f"2025-{moment}", "%Y-%m-%d %H:%M").replace(tzinfo=ZONE)


def _read(name: str) -> list[dict[str, str]]:
    with (ROOT / "tests" / "golden" / name).open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _moves() -> dict[int, list[tuple[datetime, str]]]:
    return {
        int(row["deal"]): [(at(move.strip()[:11]), move.strip()[12:]) for move in row["moves"].split(";")]
        for row in _read("t1_history.csv")
    }


def _deals() -> Iterator[Row]:
    moves = _moves()
    for row in _read("t1_deals.csv"):
        number, history = int(row["deal"]), moves[int(row["deal"])]
        company, contact = (int(row["customer"][1:]), 0) if row["customer"][0] == "C" else (0, int(row["customer"][1:]))
        yield {
            "portal": PORTAL,
            "id": number,
            "title": row["title"],
            "pipeline_id": 0,
            "stage_id": history[-1][1],
            "semantics": _STAGES[history[-1][1]],
            "opportunity": Decimal(row["opportunity"]),
            "currency_id": row["currency"],
            "assigned_by_id": int(row["assigned"]),
            "created_by_id": ROBOT,
            "modified_by_id": ROBOT,
            "moved_by_id": int(row["assigned"]),
            "created_at": history[0][0],
            "modified_at": history[-1][0] + timedelta(minutes=1),
            "moved_at": history[-1][0],
            "closes_on": date.fromisoformat(row["closedate"]) if row["closedate"] else None,
            "closed": _STAGES[history[-1][1]] != "P",
            "company_id": company,
            "contact_id": contact,
            "lead_id": 0,
            "source_id": row["source"],
            "is_recurring": row["recurring"] == "Y",
            "user_fields": json.dumps({"UF_CRM_LOSS_REASON": row["loss_reason"]}),
        }


def _stage_moves() -> Iterator[Row]:
    number = 0
    for deal, history in _moves().items():
        for position, (moment, stage) in enumerate(history):
            number += 1
            kind = 1 if position == 0 else 3 if _STAGES[stage] != "P" else 2
            yield {
                "portal": PORTAL,
                "entity_type_id": 2,
                "id": number,
                "kind": kind,
                "owner_id": deal,
                "created_at": moment,
                "pipeline_id": 0,
                "stage_id": stage,
                "semantics": _STAGES[stage],
            }


def _calls() -> Iterator[Row]:
    for row in _read("t1_calls.csv"):
        number = int(row["call"])
        yield {
            "portal": PORTAL,
            "id": number,
            "call_id": f"call-{number}",
            "category": "external",
            "type_id": int(row["type"]),
            "user_id": int(row["user"]),
            "phone_key": row["phone"],
            "duration_seconds": int(row["duration"]),
            "started_at": at(row["start"]),
            "failed_code": row["code"],
            "crm_activity_id": 1000 + number if row["deal"] else None,
        }


def _activities() -> Iterator[tuple[Row, int]]:
    """Activities, each with its deal."""

    def activity(number: int, kind: int, who: int, created: str, deal: int, **facts: Any) -> tuple[Row, int]:
        common = {
            "portal": PORTAL, "id": number, "owner_type_id": 2, "owner_id": deal, "type_id": kind, "direction": 2,
            "completed": True, "status": 2, "created_at": at(created), "modified_at": at(created),
            "responsible_id": who, "author_id": who, "is_incoming_channel": False,
        }  # fmt: skip
        return {**common, **facts}, deal

    for row in _read("t1_calls.csv"):
        if row["deal"]:
            number = 1000 + int(row["call"])
            yield activity(number, 2, int(row["user"]), row["start"], int(row["deal"]), provider_id="VOXIMPLANT_CALL")
    yield activity(2001, 4, 101, "03-04 09:20", 2, provider_id="CRM_EMAIL")
    yield activity(2002, 4, 102, "03-05 09:40", 3, provider_id="CRM_EMAIL")
    yield activity(2003, 4, 104, "02-21 11:00", 8, provider_id="CRM_EMAIL", direction=1)
    planned = {"completed": False, "status": 1, "direction": 0}
    yield activity(3001, 2, 102, "03-11 10:00", 4, provider_id="CRM_TODO", deadline_at=at("03-13 15:00"), **planned)
    yield activity(3002, 3, 101, "03-10 16:00", 5, provider_id="TASKS", deadline_at=at("03-20 18:00"), **planned)


#: Deal, product, quantity, price in the deal's currency, unit: 796 pieces, 166 kilograms, None not said.
_PRODUCT_ROWS = (
    (1, "A", "3", 20_000, 796),
    (1, "B", "2", 15_000, None),
    (7, "C", "1.5", 100_000, 166),
)
_INDUSTRIES = {1: "IT", 2: "TRADE", 9: ""}


def _invoices() -> Iterator[tuple[Row, list[Row]]]:
    """Invoices, each with its moves."""
    for number, manager, deal, amount, issued, paid, due in _INVOICES:
        history = [(at(f"{issued} 10:00"), "DT31_1:N"), (at(f"{issued} 11:00"), "DT31_1:S")]
        if paid:
            history.append((at(paid), "DT31_1:P"))
        yield (
            {
                "portal": PORTAL, "id": number, "title": f"Invoice {number}", "pipeline_id": 1, "stage_id": history[-1][1],
                "opportunity": Decimal(amount), "currency_id": "RUB", "assigned_by_id": manager, "created_by_id": manager,
                "created_at": history[0][0], "modified_at": history[-1][0], "moved_at": history[-1][0],
                "begins_on": date.fromisoformat(f"2025-{issued}"), "deal_id": deal,
                "due_on": date.fromisoformat(f"2025-{due}") if due else None,
            },
            [
                {"portal": PORTAL, "entity_type_id": 31, "id": 10 * number + place, "kind": 1 if place == 0 else 2,
                 "owner_id": number, "created_at": moment, "pipeline_id": 1, "stage_id": stage,
                 "semantics": _INVOICE_STAGES[stage] or "P"}
                for place, (moment, stage) in enumerate(history)
            ],
        )  # fmt: skip


def load(store: Store) -> None:
    """Fill the store's mirror tables with company T1."""
    of = {"portal": PORTAL}
    activities, invoices = list(_activities()), list(_invoices())
    rows: dict[schema.Table, list[Row]] = {
        schema.PORTALS: [
            {**of, "host": "t1.example", "user_id": 1, "zone": "Europe/Moscow", "base_currency": "RUB", "crm_mode": 2}
        ],
        schema.DEALS: list(_deals()),
        schema.STAGE_MOVES: [*_stage_moves(), *(move for _, moves in invoices for move in moves)],
        schema.INVOICES: [row for row, _ in invoices],
        schema.PHONE_CALLS: list(_calls()),
        schema.ACTIVITIES: [row for row, _ in activities],
        schema.ACTIVITY_BINDINGS: [
            {**of, "activity_id": row["id"], "entity_type_id": 2, "entity_id": deal} for row, deal in activities
        ],
        schema.USERS: [{**of, "id": n, "name": name, "active": active} for n, name, _, active in _PEOPLE],
        schema.USER_DEPARTMENTS: [
            {**of, "user_id": n, "department_id": department, "ordinal": ordinal}
            for n, _, departments, _ in _PEOPLE
            for ordinal, department in enumerate(departments)
        ],
        schema.DEPARTMENTS: [
            {**of, "id": n, "name": name, "parent_id": parent, "sort": n} for n, name, parent in _DEPARTMENTS
        ],
        schema.PIPELINES: [{**of, "entity_type_id": 2, "id": 0, "name": "Sales", "sort": 10, "is_default": True}],
        schema.STATUSES: [
            *({**of, "directory": "DEAL_STAGE", "status_id": stage, "name": stage.title(), "sort": 10 * n,
                "semantics": semantics, "entity_type_id": 2, "pipeline_id": 0}
                for n, (stage, semantics) in enumerate(_STAGES.items(), start=1)),
            *({**of, "directory": "SOURCE", "status_id": source, "name": source.title(), "sort": n}
                for n, source in enumerate(("CALL", "WEB"))),
            *({**of, "directory": "SMART_INVOICE_STAGE_1", "status_id": stage, "name": stage, "sort": n,
                "semantics": semantics, "entity_type_id": 31, "pipeline_id": 1}
                for n, (stage, semantics) in enumerate(_INVOICE_STAGES.items(), start=1)),
        ],
        schema.CURRENCIES: [
            {**of, "id": "RUB", "rate": Decimal(1), "rate_count": 1, "is_base": True},
            {**of, "id": "USD", "rate": Decimal(90), "rate_count": 1, "is_base": False},
            {**of, "id": "KZT", "rate": Decimal(18), "rate_count": 100, "is_base": False},
        ],
        schema.PLANS: [
            {**of, "kpi_id": "revenue_won", "level": level, "subject_id": subject, "month": date(2025, 3, 1),
             "amount": Decimal(amount)}
            for level, subject, amount in (("M", 101, 300_000), ("M", 102, 200_000), ("T", 0, 500_000))
        ],
        schema.PRODUCT_ROWS: [
            {**of, "owner_type_id": 2, "owner_id": deal, "id": number, "product_id": number, "product_name": name,
             "quantity": Decimal(quantity), "price": Decimal(price), "measure_code": unit}
            for number, (deal, name, quantity, price, unit) in enumerate(_PRODUCT_ROWS, start=1)
        ],
        schema.COMPANIES: [
            {**of, "id": number, "title": f"Company {number}", "industry": industry, "assigned_by_id": 101,
             "created_at": at("01-10 10:00"), "is_my_company": False, "has_phone": True, "has_email": True}
            for number, industry in _INDUSTRIES.items()
        ],
        schema.FEED_STATE: [{**of, "feed": feed, "backfilled_at": NOW, "synced_at": NOW} for feed in FEEDS],
    }  # fmt: skip
    for table, found in rows.items():
        by_columns: dict[tuple[str, ...], list[Row]] = {}
        for row in found:
            by_columns.setdefault(tuple(sorted(row)), []).append(row)
        for same in by_columns.values():
            store.upsert(table, same)
