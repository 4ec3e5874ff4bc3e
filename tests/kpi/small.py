"""Small companies for tests: rows with sensible defaults, poured into an emptied store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from b24metrics.kpi import KPIS, KpiOptions, Snapshot, evaluate
from b24metrics.mirror import schema
from b24metrics.mirror.stores import Store
from b24metrics.worktime import WorkCalendar

PORTAL = "small"
ZONE = ZoneInfo("Europe/Moscow")
NOW = datetime(2025, 3, 14, 12, tzinfo=ZONE)
ALWAYS_OPEN = WorkCalendar.simple("Europe/Moscow", {"mon-sun": ["00:00-24:00"]})
OFFICE = WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["09:00-18:00"]})
FEEDS = (
    "currencies", "statuses", "pipelines", "departments", "users", "deals", "leads", "deal_moves", "lead_moves",
    "activities", "phone_calls", "quotes", "invoices", "invoice_moves", "payments", "contacts", "companies",
    "product_rows",
)  # fmt: skip

Row = dict[str, Any]


def at(text: str) -> datetime:
    """``"2025-03-10 15:00"`` or ``"03-10 15:00"`` of 2025, in Moscow."""
    return datetime.fromisoformat(text if len(text) > 11 else f"2025-{text}").replace(tzinfo=ZONE)


@dataclass
class Company:
    """Rows to be mirrored. Methods add rows and give back the id."""

    rows: dict[schema.Table, list[Row]] = field(default_factory=dict)
    feeds: Sequence[str] = FEEDS
    zone: str = "Europe/Moscow"
    crm_mode: int | None = 2
    base_currency: str | None = "RUB"
    first_synced_at: datetime | None = None
    _last: int = 0

    def add(self, table: schema.Table, **row: Any) -> Row:
        found = {"portal": PORTAL, **row}
        self.rows.setdefault(table, []).append(found)
        return found

    def number(self) -> int:
        self._last += 1
        return self._last

    def deal(self, number: int | None = None, moves: str = "", **facts: Any) -> int:
        """A deal; ``moves``: ``"03-03 10:00 P; 03-10 15:00 S"``, semantics standing for the stage."""
        number = number or self.number()
        history = [(at(move.strip()[:11]), move.strip()[12:]) for move in moves.split(";") if move.strip()]
        created = history[0][0] if history else at("03-03 10:00")
        defaults = {
            "id": number, "title": f"Deal {number}", "pipeline_id": 0, "stage_id": history[-1][1] if history else "P",
            "semantics": history[-1][1] if history else "P", "opportunity": Decimal(100), "currency_id": "RUB",
            "assigned_by_id": 7, "created_by_id": 1, "modified_by_id": 1, "moved_by_id": 1, "created_at": created,
            "modified_at": created, "moved_at": history[-1][0] if history else None, "source_id": "WEB", "lead_id": 0,
        }  # fmt: skip
        self.add(schema.DEALS, **(defaults | facts))
        for position, (moment, semantics) in enumerate(history):
            self.move(number, moment, semantics, kind=1 if position == 0 else 2)
        return number

    def move(self, owner: int, moment: datetime, semantics: str, *, kind: int = 2, **facts: Any) -> None:
        defaults = {"entity_type_id": 2, "id": self.number(), "stage_id": semantics, "pipeline_id": 0}
        self.add(
            schema.STAGE_MOVES,
            **(defaults | {"owner_id": owner, "created_at": moment, "semantics": semantics, "kind": kind} | facts),
        )

    def lead(self, **facts: Any) -> int:
        number = facts.pop("id", None) or self.number()
        created = facts.get("created_at", at("03-03 10:00"))
        defaults = {
            "id": number, "title": f"Lead {number}", "stage_id": "NEW", "semantics": "P", "assigned_by_id": 7,
            "created_by_id": 1, "modified_by_id": 1, "moved_by_id": 1, "created_at": created, "modified_at": created,
            "source_id": "WEB",
        }  # fmt: skip
        self.add(schema.LEADS, **(defaults | facts))
        return number

    def activity(self, deal: int | None = None, *, lead: int | None = None, **facts: Any) -> int:
        """An activity owned by a deal or lead and bound to it."""
        number = facts.pop("id", None) or self.number()
        owner = (2, deal) if deal is not None else (1, lead) if lead is not None else (3, 999)
        created = facts.get("created_at", at("03-03 11:00"))
        defaults = {
            "id": number, "owner_type_id": owner[0], "owner_id": owner[1], "type_id": 4, "provider_id": "CRM_EMAIL",
            "direction": 2, "completed": True, "created_at": created, "modified_at": created, "responsible_id": 7,
            "author_id": 7, "is_incoming_channel": False,
        }  # fmt: skip
        self.add(schema.ACTIVITIES, **(defaults | facts))
        self.bind(number, *owner)
        return number

    def bind(self, activity: int, entity_type: int, entity: int | None) -> None:
        self.add(schema.ACTIVITY_BINDINGS, activity_id=activity, entity_type_id=entity_type, entity_id=entity)

    def call(self, started_at: datetime, **facts: Any) -> int:
        number = facts.pop("id", None) or self.number()
        defaults = {
            "id": number, "call_id": f"call-{number}", "category": "external", "type_id": 1, "user_id": 7,
            "duration_seconds": 60, "started_at": started_at, "failed_code": "200", "phone_key": "+70000000000",
        }  # fmt: skip
        self.add(schema.PHONE_CALLS, **(defaults | facts))
        return number

    def user(self, number: int, *departments: int, active: bool = True, **facts: Any) -> None:
        self.add(schema.USERS, id=number, active=active, name=f"User {number}", **facts)
        for ordinal, department in enumerate(departments):
            self.add(schema.USER_DEPARTMENTS, user_id=number, department_id=department, ordinal=ordinal)

    def department(self, number: int, parent: int | None = None) -> None:
        self.add(schema.DEPARTMENTS, id=number, name=f"Department {number}", parent_id=parent, sort=number)

    def currency(self, name: str, rate: str, count: int = 1) -> None:
        self.add(schema.CURRENCIES, id=name, rate=Decimal(rate), rate_count=count, is_base=name == self.base_currency)

    def plan(self, level: str, subject: int, month: date, amount: int, kpi_id: str = "revenue_won") -> None:
        self.add(schema.PLANS, kpi_id=kpi_id, level=level, subject_id=subject, month=month, amount=Decimal(amount))

    def staff(self) -> Company:
        """One department, one manager (7), one pipeline, roubles."""
        self.department(1)
        self.user(7, 1)
        self.add(schema.PIPELINES, entity_type_id=2, id=0, name="Sales", sort=1, is_default=True)
        self.currency("RUB", "1")
        return self

    def pour(self, store: Store) -> None:
        """Replace whatever the store holds."""
        for table in schema.TABLES:
            store.execute(f"DELETE FROM {table.name}")
        facts = {"portal": PORTAL, "host": "small.example", "zone": self.zone, "first_synced_at": self.first_synced_at}
        store.upsert(schema.PORTALS, [facts | {"base_currency": self.base_currency, "crm_mode": self.crm_mode}])
        store.upsert(
            schema.FEED_STATE,
            [
                {"portal": PORTAL, "feed": feed, "backfilled_at": datetime(2025, 1, 1, tzinfo=UTC)}
                for feed in self.feeds
            ],
        )
        for table, rows in self.rows.items():
            for same in _by_columns(rows):
                store.upsert(table, same)


def _by_columns(rows: Iterable[Row]) -> Iterable[list[Row]]:
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(sorted(row)), []).append(row)
    return found.values()


def measured(
    store: Store, company: Company, *, now: datetime = NOW, kpis: Iterable[str] = tuple(KPIS), **options: Any
) -> Snapshot:
    """Pour and evaluate; round-the-clock calendar unless told otherwise."""
    company.pour(store)
    chosen = [KPIS[kpi] for kpi in kpis]
    return evaluate(store, PORTAL, chosen, now=now, options=KpiOptions(**({"calendar": ALWAYS_OPEN} | options)))


def values(snapshot: Snapshot, kpi_id: str) -> Mapping[str, float | None]:
    """Company values by window."""
    return {
        sample.window.value: sample.value
        for sample in snapshot.samples
        if sample.kpi.id == kpi_id and not sample.grain.axes
    }
