"""Random small companies for the witnesses of chapters C and D: few records, many edges.

Laws: everything follows from the seed; nothing happens after ``now`` except deals and leads that were born in the future
and deadlines that are still to come.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from b24metrics.kpi import KpiOptions
from b24metrics.kpi.options import ActivityKind, ClosedAtSource, LeadMode
from b24metrics.mirror import schema
from b24metrics.worktime import WorkCalendar
from tests.kpi.small import Company
from tests.kpi.witness_ground import Ground

STAGES = {
    0: (("NEW", 10, "P"), ("QUAL", 20, "P"), ("GONE", 25, "P"), ("OFFER", 30, "P"), ("DEAL", 30, "P"), ("WON", 5, "S"),
        ("LOSE", 60, "F"), ("JUNKED", 70, "F")),
    3: (("C3:B", 20, "P"), ("C3:A", 10, "P"), ("C3:WON", 30, "S"), ("C3:LOSE", 40, "F")),
}  # fmt: skip
LEAD_STAGES = (("NEW", "P"), ("WORK", "P"), ("CONVERTED", "S"), ("JUNK", "F"), ("BAD", "F"))
PEOPLE = (101, 101, 102, 103, 104, 105, 106, 201, 1, None)
NOWS = (
    "2025-03-14 12:00",
    "2025-03-31 23:59",
    "2025-04-01 00:00",
    "2025-01-01 00:30",
    "2025-03-30 12:00",
    "2025-03-15 10:00",
)
WINDOWS = ("today", "yesterday", "7d", "30d", "wtd", "mtd", "qtd", "prev_month", "t90", "t180")
REASON = "UF_REASON"


@dataclass
class Case:
    """A company, the instant, and what it decides for itself."""

    company: Company
    now: datetime
    options: KpiOptions
    long_departments: tuple[int, ...]


class Maker:
    """Makes one company."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        zone = random.choice(("Europe/Moscow", "Europe/Moscow", "Europe/Berlin"))
        self.zone = ZoneInfo(zone)
        self.now = datetime.fromisoformat(random.choice(NOWS)).replace(tzinfo=self.zone)
        self.company = Company(zone=zone, crm_mode=random.choice((1, 2, 2)))
        self.company.first_synced_at = self.now - timedelta(days=random.choice((0, 10, 60, 300)))
        self.cycle = random.random() < 0.5
        self.long = (11,) if random.random() < 0.4 else ()
        self._people()
        self.options = self._options()
        ground = Ground(self.company, self.now, self.options)
        spans = [ground.span(window) for window in WINDOWS]
        self.edges = sorted({bound for span in spans for bound in span if bound < self.now})

    def maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def moment(self) -> datetime:
        """Before now; often at a bound, a second beside it, or at a moment that was drawn before."""
        random = self.random
        roll = random.random()
        if roll < 0.25:
            found = random.choice(self.edges) + timedelta(seconds=random.choice((0, 0, -1, 1)))
        elif roll < 0.6:
            found = self.now - timedelta(minutes=random.randint(1, 3000))
        elif roll < 0.9:
            found = self.now - timedelta(hours=random.randint(1, 40 * 24))
        else:
            found = self.now - timedelta(hours=random.randint(1, 190 * 24))
        return min(found, self.now - timedelta(seconds=1)).astimezone(UTC)

    def after(self, begin: datetime) -> datetime:
        """Not before ``begin``, before now."""
        gap = self.random.choice((0, 1, 60, 299, 300, 1800, 1801, 3600, 20000, 90000, 400000))
        last = self.now.astimezone(UTC) - timedelta(seconds=1)
        return max(begin, min(begin + timedelta(seconds=gap), last))

    # ------------------------------------------------------------ directories

    def _people(self) -> None:
        company, random = self.company, self.random
        for number, parent in ((1, None), (10, 1), (11, 10), (12, random.choice((10, 11))), (20, 1), (14, 99)):
            company.department(number, parent)
        if self.cycle:
            company.department(30, 31)
            company.department(31, 30)
        noon = self.now.replace(hour=12, minute=0)
        gone = random.choice((None, noon - timedelta(days=3)))
        company.user(101, 11)
        company.user(102, 12, 11, employed_on=random.choice((None, noon.date() - timedelta(days=9))))
        company.user(103, 10)
        company.user(104, 11, active=False, dismissed_at=gone)
        company.user(105, 30 if self.cycle else 12)
        company.user(106, 14)
        company.user(201, 20)
        company.user(1)
        for number in range(random.randint(0, 3)):
            starts = noon + timedelta(days=random.randint(-12, 1), hours=random.choice((-12, -3, 0)))
            ends = starts + random.choice((timedelta(hours=2), timedelta(days=1), timedelta(days=6)))
            company.add(
                schema.ABSENCES, user_id=random.choice((101, 102, 103)), id=number, starts_at=starts, ends_at=ends
            )
        for name, rate, size in (("RUB", "1", 1), ("USD", "90.5", 1), ("KZT", "18.123456", 100)):
            company.currency(name, rate, size)
        for pipeline, stages in STAGES.items():
            company.add(schema.PIPELINES, entity_type_id=2, id=pipeline, name="P", sort=1, is_default=pipeline == 0)
            for stage, sort, semantics in stages:
                company.add(
                    schema.STATUSES, directory=f"DEAL_STAGE_{pipeline}", status_id=stage, sort=sort, semantics=semantics,
                    entity_type_id=2, pipeline_id=pipeline, name=stage.title(),
                    deleted_at=self.now - timedelta(days=100) if stage == "GONE" else None,
                )  # fmt: skip

    def _options(self) -> KpiOptions:
        random = self.random
        scopes = [frozenset({10}), frozenset({10}), frozenset({11, 12})]
        if not self.cycle:
            scopes += [frozenset({1}), frozenset()]
        zone = self.zone.key
        return KpiOptions(
            sales_departments=random.choice(scopes),
            primary_departments={101: 12} if self.maybe(0.1) else {},
            pipelines=frozenset({0}) if self.maybe(0.1) else None,
            excluded_sources=frozenset({"SPAM"}),
            excluded_users=frozenset({106}) if self.maybe(0.2) else frozenset(),
            go_live=self.now.date() - timedelta(days=45) if self.maybe(0.15) else None,
            migration_origins=frozenset({"legacy"}),
            burst_records=3,
            closed_at_source=ClosedAtSource.CLOSE_DATE if self.maybe(0.15) else ClosedAtSource.HISTORY,
            lead_mode=random.choice((LeadMode.AUTO, LeadMode.AUTO, LeadMode.SIMPLE, LeadMode.CLASSIC)),
            calendar=WorkCalendar.simple(zone, {"mon-fri": ["09:00-18:00"]}),
            department_calendars={
                number: WorkCalendar.simple(zone, {"mon-sun": ["08:00-20:00"]}) for number in self.long
            },
            sla_seconds=random.choice((1800, 300)),
            grace_seconds=random.choice((3600, 0)),
            proposal_stages=random.choice((frozenset(), frozenset({"OFFER", "C3:B"}))),
            qualified_stages=random.choice((frozenset(), frozenset({"QUAL", "C3:A"}))),
            agreement_stages=random.choice((frozenset(), frozenset({"DEAL"}))),
            stale_days=random.choice((5, 2)),
            stage_limits=random.choice(({}, {"NEW": 3600, "QUAL": 20000, "C3:A": 40000})),
            loss_reason_field=random.choice((None, REASON)),
            chat_bots=frozenset({201}) if self.maybe(0.2) else frozenset(),
            activity_kinds={"VISIT": ActivityKind.MEETING},
            count_by_hand=self.maybe(0.15),
            edits_react=not self.maybe(0.2),
        )  # fmt: skip

    # ------------------------------------------------------------ records

    def make(self) -> Case:
        random = self.random
        for number in range(1, random.randint(2, 9)):
            self._lead(number)
        for _ in range(random.randint(1, 22)):
            self._deal()
        if self.maybe(0.3):
            self._pendulum()
        self._burst()
        for _ in range(random.randint(0, 25)):
            self._activity()
        for _ in range(random.randint(0, 15)):
            self._call()
        return Case(self.company, self.now, self.options, self.long)

    def _common(self, created: datetime) -> dict[str, Any]:
        random = self.random
        return {
            "title": random.choice(("ТЕСТ", "[TEST] x", "protest") + ("Plain",) * 12),
            "assigned_by_id": random.choice(PEOPLE), "created_by_id": random.choice((1, 1, 1, 101, 102)),
            "modified_by_id": random.choice((1, 1, 101, 102, None)), "moved_by_id": random.choice((1, 101, 101, 102, None)),
            "created_at": created, "modified_at": self.after(created),
            "source_id": random.choice(("WEB", "CALL", "", None, "WEB", "SPAM", "form|vk")),
            "webform_id": random.choice((None,) * 5 + (4,)), "origin_id": random.choice((None,) * 12 + ("legacy",)),
            "deleted_at": self.now if self.maybe(0.05) else None,
        }  # fmt: skip

    def _hands(self, kind: int, number: int, facts: dict[str, Any]) -> None:
        if self.maybe(0.7):
            return
        people = [self.random.choice(PEOPLE[:8]) for _ in range(self.random.randint(2, 3))]
        at = facts["created_at"]
        for before, after in pairwise(people):
            at = max(self.after(at), at + timedelta(seconds=1))
            if before == after or at >= self.now:
                continue
            self.company.add(
                schema.ASSIGNMENTS, entity_type_id=kind, entity_id=number, changed_at=at, from_id=before, to_id=after,
                observed_at=at,
            )  # fmt: skip
        changes = [
            r
            for r in self.company.rows.get(schema.ASSIGNMENTS, [])
            if (r["entity_type_id"], r["entity_id"]) == (kind, number)
        ]
        if changes:
            facts["assigned_by_id"] = changes[-1]["to_id"]

    def _lead(self, number: int) -> None:
        created = self.moment()
        facts = self._common(created)
        at, stage, semantics = created, "NEW", "P"
        for position in range(self.random.randint(0, 3)):
            if position or self.maybe(0.2):
                stage, semantics = self.random.choice(LEAD_STAGES)
                at = self.after(at) if position else at
            self.company.move(number, at, semantics, kind=1 if position == 0 else 2, stage_id=stage, entity_type_id=1)
        self._hands(1, number, facts)
        facts |= {"moved_at": at, "closed_at": at if semantics != "P" else None}
        self.company.lead(id=number, stage_id=stage, semantics=semantics, **facts)

    def _deal(self, **given: Any) -> int:
        random, company = self.random, self.company
        number = company.number() + 1000
        future = self.maybe(0.04)
        created = self.now + timedelta(hours=5) if future else self.moment()
        facts = self._common(created)
        pipeline = random.choice((0, 0, 0, 3))
        at, path = created, []
        for position in range(random.randint(0 if self.maybe(0.2) else 1, 1 if future else 6)):
            moved = position > 0 and self.maybe(0.1)
            if moved:
                pipeline = 3 - pipeline
            stage, semantics = self._stage(pipeline, first=position == 0)
            at = self.after(at) if position else at
            path.append((at, pipeline, stage, semantics))
            kind = 1 if position == 0 else 5 if moved else 2
            company.move(number, at, semantics, kind=kind, stage_id=stage, pipeline_id=pipeline)
        if not path:
            stage, semantics = self._stage(pipeline, first=False)
        if future:
            facts["modified_at"] = created
        self._hands(2, number, facts) if not future else None
        currency = random.choice(("RUB", "RUB", "USD", "KZT", "XAU"))
        amount = random.choice(("0", "100", "99999.99", "-50", "1000.01"))
        self._terms(number, created, amount, currency)
        closes = random.choice((None, (created + timedelta(days=random.randint(-3, 30))).date()))
        facts |= {
            "pipeline_id": pipeline, "stage_id": stage, "semantics": semantics, "opportunity": Decimal(amount),
            "currency_id": currency, "moved_at": at if path or self.maybe(0.5) else None,
            "closes_on": closes, "is_recurring": self.maybe(0.04), "lead_id": random.choice((0, 0, 0, 0, *range(1, 9))),
            "user_fields": json.dumps({REASON: random.choice(("PRICE", "RIVAL", "", False))}) if self.maybe(0.8) else None,
        }  # fmt: skip
        company.deal(number, **(facts | given))
        if semantics != "P" and self.maybe(0.6):
            rate, count = random.choice(((Decimal("77.7"), 1), (Decimal(5), 10), (None, None)))
            company.add(
                schema.DEAL_CLOSINGS, deal_id=number, semantics=semantics, manager_id=random.choice((101, 102, 103, 104, 201)),
                rate=rate, rate_count=count, observed_at=self.now - timedelta(seconds=1), opportunity=Decimal(amount),
                currency_id=currency,
            )  # fmt: skip
        return number

    def _terms(self, number: int, created: datetime, amount: str, currency: str) -> None:
        if self.maybe(0.8):
            return
        at = max(self.after(created), created + timedelta(seconds=1))
        if at < self.now:
            self.company.add(
                schema.DEAL_CHANGES, deal_id=number, changed_at=at, from_opportunity=Decimal(self.random.choice((0, 700))),
                to_opportunity=Decimal(amount), from_currency_id=self.random.choice(("RUB", currency)),
                to_currency_id=currency, observed_at=at,
            )  # fmt: skip

    def _stage(self, pipeline: int, *, first: bool) -> tuple[str, str]:
        known = [(stage, semantics) for stage, _, semantics in STAGES[pipeline]]
        if first and self.maybe(0.8):
            return ("NEW", "P") if pipeline == 0 else ("C3:A", "P")
        if self.maybe(0.03):
            return f"GHOST{pipeline}", "P"
        return self.random.choice(known)

    def _pendulum(self) -> None:
        """One deal to and fro between two stages: enough completed spells for a threshold."""
        number = self._deal(semantics="P", stage_id="QUAL", pipeline_id=0)
        self.company.rows[schema.STAGE_MOVES] = [
            row for row in self.company.rows.get(schema.STAGE_MOVES, [])
            if (row["entity_type_id"], row["owner_id"]) != (2, number)
        ]  # fmt: skip
        deal = self.company.rows[schema.DEALS][-1]
        deal |= {"created_at": self.now - timedelta(days=80), "deleted_at": None, "is_recurring": False, "title": "x"}
        at = deal["created_at"]
        for position in range(self.random.choice((39, 42, 50))):
            stage = "QUAL" if position % 2 else "NEW"
            self.company.move(number, at, "P", kind=2 if position else 1, stage_id=stage, pipeline_id=0)
            at += timedelta(hours=self.random.randint(0, 30))
        deal |= {"stage_id": stage, "moved_at": at, "modified_at": at}

    def _burst(self) -> None:
        created = self.moment()
        for _ in range(self.random.choice((0, 2, 3))):
            number = self._deal()
            row = self.company.rows[schema.DEALS][-1]
            history = [
                move
                for move in self.company.rows.get(schema.STAGE_MOVES, [])
                if (move["entity_type_id"], move["owner_id"]) == (2, number)
            ]
            late = history and history[0]["created_at"] < created
            if not late and row["created_at"] < self.now:
                row |= {"created_at": created, "created_by_id": 55}
                for move in history:
                    move["created_at"] = max(move["created_at"], created)
            created = min(created + timedelta(seconds=30), self.now.astimezone(UTC) - timedelta(seconds=1))

    def _target(self) -> tuple[int, int, datetime]:
        kind, table = self.random.choice(((2, schema.DEALS), (2, schema.DEALS), (1, schema.LEADS)))
        row = self.random.choice(self.company.rows[table])
        return kind, row["id"], row["created_at"]

    def _activity(self) -> None:
        random = self.random
        kind, owner, created = self._target()
        if created > self.now:
            created = self.moment()
        at = self.after(created) if self.maybe(0.8) else self.moment()
        type_id, provider = random.choice(
            ((1, "CRM_MEETING"), (2, "CRM_CALL"), (3, "TASKS"), (4, "CRM_EMAIL"), (4, "CRM_EMAIL"), (6, "VISIT"),
             (6, "IMOPENLINES_SESSION"), (6, "CRM_TODO"))
        )  # fmt: skip
        number = self.company.activity(
            owner if kind == 2 else None, lead=owner if kind == 1 else None, created_at=at, type_id=type_id,
            provider_id=provider, direction=random.choice((0, 1, 2, 2)), completed=self.maybe(0.6), modified_at=at,
            starts_at=random.choice((at, self.after(at), self.now + timedelta(hours=1), at)),
            deadline_at=random.choice((None, self.moment(), self.now, self.now - timedelta(seconds=1), self.now + timedelta(days=1))),
            responsible_id=random.choice(PEOPLE), is_incoming_channel=self.maybe(0.1),
            deleted_at=self.now if self.maybe(0.04) else None,
        )  # fmt: skip
        if self.maybe(0.2):
            other, number_there, _ = self._target()
            if (other, number_there) != (kind, owner):
                self.company.bind(number, other, number_there)

    def _call(self) -> None:
        random = self.random
        kind, owner, created = self._target()
        if created > self.now:
            created = self.moment()
        started = (
            created - timedelta(seconds=random.choice((0, 30, 60, 90))) if self.maybe(0.3) else self.after(created)
        )
        facts: dict[str, Any] = {}
        if kind == 1 and self.maybe(0.5):
            facts = {"crm_entity_type_id": 1, "crm_entity_id": owner}
        else:
            facts = {
                "crm_activity_id": self.company.activity(
                    owner if kind == 2 else None, lead=owner if kind == 1 else None, created_at=started, type_id=2,
                    provider_id="VOXIMPLANT_CALL", responsible_id=random.choice(PEOPLE), completed=self.maybe(0.9),
                )
            }  # fmt: skip
        self.company.call(
            started, type_id=random.choice((1, 1, 2, 3, 4, 5)), user_id=random.choice(PEOPLE),
            duration_seconds=random.choice((0, 60, 61)), failed_code=random.choice(("200", "200", "304")),
            category=random.choice(("external",) * 4 + ("internal",)), **facts,
        )  # fmt: skip


def funnel_case(seed: int) -> Case:
    """Hundreds of deals that do little but move forward: for breaks of the funnel, which need many."""
    maker = Maker(seed)
    random, now = maker.random, maker.now
    maker.options = KpiOptions(sales_departments=frozenset({10}), calendar=maker.options.calendar)
    chances = [random.choice((0.9, 0.8, 0.3)) for _ in range(8)]
    for _ in range(random.choice((150, 420))):
        created = now - timedelta(minutes=random.randint(1, 330 * 24 * 60))
        pipeline = random.choice((0, 0, 0, 3))
        path = ["NEW", "QUAL", "OFFER", "DEAL", "WON"] if pipeline == 0 else ["C3:A", "C3:B", "C3:WON"]
        old = created < now - timedelta(days=100)
        number, at, stage = maker.company.number() + 1000, created, path[0]
        maker.company.move(number, at, "P", kind=1, stage_id=stage, pipeline_id=pipeline)
        for place, onward in enumerate(path[1:]):
            if random.random() > (0.85 if old else chances[place + pipeline]):
                break
            at += timedelta(hours=random.randint(1, 40))
            if at >= now:
                break
            stage = onward
            semantics = "S" if onward == path[-1] else "P"
            maker.company.move(number, at, semantics, kind=2, stage_id=stage, pipeline_id=pipeline)
        maker.company.deal(
            number, pipeline_id=pipeline, stage_id=stage, semantics="S" if stage == path[-1] else "P", created_at=created,
            moved_at=at, modified_at=at, assigned_by_id=random.choice((101, 102, 103, 201)), created_by_id=None,
        )  # fmt: skip
    return Case(maker.company, now, maker.options, maker.long)
