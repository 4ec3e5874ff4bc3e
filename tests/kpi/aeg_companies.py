"""Random small companies for the witnesses of chapters A, E and G: one seed, one company, its options and its instant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from b24metrics.kpi import KpiOptions
from b24metrics.kpi.options import (
    BonusBasis,
    BonusOptions,
    BonusTier,
    ClosedAtSource,
    Criterion,
    Flaw,
    ScorecardOptions,
    SegmentBy,
)
from b24metrics.mirror import schema
from b24metrics.worktime import WorkCalendar
from tests.kpi.small import Company
from tests.kpi.witness_a import Ground, Hours, months_later

ROBOT = 1
PEOPLE = [101, 101, 102, 102, 103, 104, 105, 106, 107, 201, ROBOT, 999, None]
STAGES = {
    "A": ("P", 10),
    "B": ("P", 20),
    "C": ("P", 30),
    "WON": ("S", 40),
    "WON2": ("S", 50),
    "LOSE": ("F", 60),
    "LOSE2": ("F", 70),
}
NOWS = {
    "Europe/Moscow": ["2025-03-14 12:00:00", "2025-03-31 23:59:00", "2025-04-01 00:00:00", "2025-01-01 00:30:00", "2025-05-30 17:59:59"],
    "Europe/Berlin": ["2025-03-30 12:00:00", "2025-04-02 02:30:00", "2025-10-26 10:00:00", "2025-10-27 13:15:00", "2025-03-14 12:00:00"],
}  # fmt: skip
WEEKS = (
    ({"mon-fri": ["09:00-18:00"]}, {day: [(540, 1080)] for day in range(1, 6)}),
    (
        {"mon-thu": ["09:00-13:00", "14:00-18:00"], "fri": ["09:00-13:00", "14:00-16:45"]},
        {**{day: [(540, 780), (840, 1080)] for day in range(1, 5)}, 5: [(540, 780), (840, 1005)]},
    ),
    ({"mon-sun": ["00:00-24:00"]}, {day: [(0, 1440)] for day in range(1, 8)}),
)


@dataclass(frozen=True)
class Case:
    """What the evaluator and a witness are both given."""

    company: Company
    now: datetime
    options: KpiOptions
    hours: Hours


class Maker:
    """Draws one company."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.zone = self.pick(list(NOWS))
        self.now = datetime.fromisoformat(self.pick(NOWS[self.zone])).replace(tzinfo=ZoneInfo(self.zone))
        self.company = Company(zone=self.zone)
        written, week = self.pick(WEEKS)
        self.hours = Hours(ZoneInfo(self.zone), week)
        self.calendar = WorkCalendar.simple(self.zone, written)

    def pick(self, things: Any) -> Any:
        return self.random.choice(list(things))

    def rarely(self, value: Any, usual: Any = None, chance: float = 0.15) -> Any:
        return value if self.random.random() < chance else usual

    # ------------------------------------------------------------ moments

    def moment(self, *, future: bool = True) -> datetime:
        """Bounds of windows and the seconds around them, the last months, and a little of the future."""
        edge: datetime
        match self.random.random():
            case roll if roll < 0.3:
                edge = self.pick(self.edges) + timedelta(seconds=self.pick([-1, 0, 0, 1]))
            case roll if roll < 0.45:
                edge = self.now - timedelta(minutes=self.random.randint(0, 900))
            case roll if roll < 0.9:
                edge = self.now - timedelta(minutes=self.random.randint(0, 120 * 1440))
            case roll if roll < 0.97:
                edge = self.now - timedelta(minutes=self.random.randint(0, 420 * 1440))
            case _:
                edge = self.now + self.pick(
                    [timedelta(minutes=5), timedelta(minutes=5, seconds=1), timedelta(hours=30)]
                )
        edge = edge.astimezone(UTC)
        return edge if future else min(edge, self.now.astimezone(UTC) - timedelta(seconds=1))

    # ------------------------------------------------------------ everything

    def made(self) -> Case:
        options = self.options()
        self.people()
        ground = Ground(self.company, self.now, options, self.hours)
        windows = ("today", "yesterday", "7d", "30d", "wtd", "mtd", "qtd", "prev_month", "t90", "t180")
        self.edges = [edge for w in windows for steps in (0, 1, 2) for edge in ground.span(w, steps)]
        self.directories()
        for _ in range(self.random.randint(0, 28)):
            self.deal()
        if self.random.random() < 0.3:
            self.many_closed()
        if self.random.random() < 0.3:
            self.burst()
        for maker in (self.call, self.activity, self.contact, self.lead):
            for _ in range(self.random.randint(0, 16)):
                maker()
        self.numbers()
        return Case(self.company, self.now, options, self.hours)

    def options(self) -> KpiOptions:
        first = months_later(self.now.date().replace(day=1), -1)
        found = KpiOptions(
            calendar=self.calendar,
            sales_departments=frozenset(self.pick([{10}, {10}, {1}, {10, 14}, {11, 13}, set()])),
            first_weekday=self.rarely(7, 1),
            fiscal_month=self.rarely(2, 1),
            align=self.rarely("working", "wall", 0.25),
            primary_departments=self.rarely({102: 11}, {}),
            pipelines=self.rarely(frozenset({0}), None, 0.08),
            excluded_pipelines=self.rarely(frozenset({3}), frozenset(), 0.08),
            excluded_sources=self.rarely(frozenset({"BAD"}), frozenset(), 0.5),
            excluded_users=self.rarely(frozenset({103}), frozenset()),
            go_live=self.rarely(first, None, 0.2),
            migration_origins=self.rarely(frozenset({"OLD"}), frozenset(), 0.5),
            burst_records=4,
            closed_at_source=self.rarely(ClosedAtSource.CLOSE_DATE, ClosedAtSource.HISTORY),
            loss_reason_field=self.rarely("UF_CRM_LOSS", None, 0.6),
            growth_periods=self.pick([1, 2, 3]),
            seasonal_curve=self.rarely(((0.5, 0.25), (0.9, 0.5)), ()),
            margin=self.pick([1.0, 0.25]),
            headline_unit=self.rarely(166, 796),
            stage_probabilities=self.rarely({"C0:A": 0.125, "C3:B": 0.5}, {}, 0.4),
            segment_by=self.pick(SegmentBy),
            required_fields=self.rarely(
                {"deal": ("SOURCE_ID", "OPPORTUNITY", "UF_CRM_X"), "contact": ("LAST_NAME", "PHONE"), "lead": ("SOURCE_ID",)},
                {}, 0.6,
            ),
            flaw_weights=self.rarely({Flaw.PHONE: 2.0, Flaw.LOST_REASON: 0.0, Flaw.WITHOUT_ACTIVITY: 0.5}, {}, 0.3),
            rank_by=tuple(self.random.sample(
                ["revenue_won", "deals_won_count", "plan_attainment_ratio", "avg_deal_size", "win_rate", "new_deals_count",
                 "calls_outgoing_count", "connect_rate"], 3)),
        )  # fmt: skip
        return replace(found, scorecard=self.scorecard(), bonus=self.bonus())

    def scorecard(self) -> ScorecardOptions:
        norms = {
            Criterion.CALLS: 0.1, Criterion.TALK_TIME: 60.0, Criterion.SUCCESSFUL_CALLS: 1.0, Criterion.CALL_CONVERSION: 0.5,
            Criterion.AVERAGE_CHECK: 1000.0, Criterion.REPEAT_PURCHASES: 1.0, Criterion.POSITIVE_REVIEWS: 1.0,
        }  # fmt: skip
        dropped = self.rarely(self.pick(norms), None, 0.3)
        return ScorecardOptions(
            norms={name: norm for name, norm in norms.items() if name != dropped},
            department_norms=self.rarely({11: {Criterion.AVERAGE_CHECK: 100.0}}, {}, 0.4),
            weights=self.rarely(
                {Criterion.STANDARDS: 2.0, Criterion.CALLS: 0.0, Criterion.AVERAGE_CHECK: 3.0}, {}, 0.4
            ),
        )

    def bonus(self) -> BonusOptions:
        tiers = self.pick(
            [
                (), (BonusTier(0.02),), (BonusTier(0.02, up_to_plan=1.0), BonusTier(0.03)),
                (BonusTier(0.01, up_to=1000.0), BonusTier(0.05, up_to=5000.0)),
            ]
        )  # fmt: skip
        return BonusOptions(
            tiers=tiers, basis=BonusBasis.WON, premium=self.rarely(500.0, 0.0, 0.5), new_customer=self.rarely(1500.0, 0.0, 0.5),
            prize=self.rarely(10_000.0, 0.0, 0.5), prize_above=self.rarely(100.0, 0.0, 0.5),
        )  # fmt: skip

    def people(self) -> None:
        company = self.company
        for number, parent in (
            (1, None),
            (10, 1),
            (11, 10),
            (12, self.pick([10, 11])),
            (13, 77),
            (14, 15),
            (15, 14),
            (20, 1),
        ):
            company.department(number, parent)
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        for number, departments in ((101, (11,)), (102, (12, 11)), (103, (10,)), (105, (self.pick([13, 11]),)), (106, (14,)),
                                    (201, (20,)), (ROBOT, ())):  # fmt: skip
            hired = self.now - timedelta(days=self.pick([10, 89, 90, 200, 364, 365, 366, 2000]))
            company.user(number, *departments, registered_at=self.pick([hired, long_ago, None]),
                         employed_on=self.pick([hired.date(), None]), dismissed_at=None)  # fmt: skip
        for number in range(107, 107 + self.pick([0, 0, 2])):
            company.user(number, 11, dismissed_at=None)
        gone = (self.now - timedelta(days=self.pick([0.5, 30, 89, 200, 364, 365, 366]))).astimezone(UTC)
        hired = gone - timedelta(days=self.pick([30, 89, 90, 91, 500]))
        company.user(104, 11, active=False, registered_at=hired, employed_on=self.pick([None, hired.date()]),
                     dismissed_at=self.pick([gone, gone, None]))  # fmt: skip
        company.first_synced_at = self.pick([None, self.now - timedelta(days=400), self.now - timedelta(days=100)])
        for number in range(self.random.randint(0, 3)):
            start = (self.now - timedelta(days=self.pick([0, 1, 20, 45]))).replace(hour=0, minute=0, second=0)
            company.add(schema.ABSENCES, user_id=self.pick([101, 102, 103]), id=number, starts_at=start.astimezone(UTC),
                        ends_at=(start + timedelta(hours=self.pick([11, 24, 24 * 45]))).astimezone(UTC))  # fmt: skip

    def directories(self) -> None:
        company = self.company
        for name, rate, count in (("RUB", "1", 1), ("USD", "90.5", 1), ("KZT", "18.123456", 100)):
            company.currency(name, rate, count)
        for pipeline in (0, 3):
            company.add(schema.PIPELINES, entity_type_id=2, id=pipeline, name="P", sort=1, is_default=pipeline == 0)
            for stage, (semantics, sort) in STAGES.items():
                company.add(schema.STATUSES, directory=f"DEAL_STAGE_{pipeline}", status_id=f"C{pipeline}:{stage}", sort=sort,
                            semantics=semantics, entity_type_id=2, pipeline_id=pipeline, name=stage)  # fmt: skip
        for number in range(1, 5):
            company.add(schema.COMPANIES, id=number, title=f"Company {number}", industry=self.pick(["IT", "TRADE", "", None]),
                        type_id=self.pick(["CUSTOMER", "PARTNER", None]), is_my_company=self.rarely(True, False))  # fmt: skip

    # ------------------------------------------------------------ records

    def deal(self, **given: Any) -> int:
        pick, company = self.pick, self.company
        pipeline = pick([0, 0, 3])
        moments = sorted(self.moment() for _ in range(self.random.randint(1, 5)))
        stages = [pick(["A", "B", "C", "A", "WON", "WON", "LOSE", "WON2", "LOSE2"] if n or self.random.random() < 0.3 else "ABC")
                  for n in range(len(moments))]  # fmt: skip
        known = self.rarely(self.random.randint(0, len(moments)), len(moments), 0.1)
        facts: dict[str, Any] = {
            "semantics": STAGES[stages[-1]][0], "stage_id": f"C{pipeline}:{stages[-1]}", "pipeline_id": pipeline,
            "created_at": moments[0], "modified_at": self.moment(), "moved_at": pick([moments[-1], moments[-1], None]),
            "closes_on": pick([None, (self.moment()).date(), self.now.date(), self.now.date() + timedelta(days=20)]),
            "assigned_by_id": pick(PEOPLE), "created_by_id": pick([ROBOT, 101, 102, 201, None]), "moved_by_id": pick(PEOPLE),
            "modified_by_id": pick(PEOPLE), "opportunity": Decimal(pick(["0", "100", "0.10", "999.99", "-50", "1000.01", "100"])),
            "currency_id": pick(["RUB", "RUB", "USD", "KZT", "XAU"]), "title": self.rarely(pick(["ТЕСТ", "[Test] x", "my test"]), "Deal", 0.08),
            "source_id": pick(["WEB", "CALL", "", None, "BAD"]), "is_recurring": self.rarely(True, pick([False, None]), 0.06),
            "deleted_at": self.rarely(self.moment(future=False), None, 0.08), "probability": pick([None, None, 0, 35, 100]),
            "company_id": pick([0, 1, 2, 3, 4, None]), "contact_id": pick([0, 1, 2, None]), "type_id": pick(["SALE", "", None]),
            "originator_id": self.rarely("OLD", None, 0.1), "origin_id": self.rarely(pick(["OLD", "77"]), None, 0.1),
            "is_return_customer": pick([True, False, None]),
            "user_fields": pick([None, "{}", '{"UF_CRM_LOSS": "PRICE", "UF_CRM_X": false}', '{"UF_CRM_LOSS": [], "UF_CRM_X": 0}',
                                 '{"UF_CRM_LOSS": null, "UF_CRM_X": ""}', '{"UF_CRM_X": "y"}']),
        }  # fmt: skip
        number = company.deal(**(facts | given))
        for place, (moment, stage) in enumerate(zip(moments[:known], stages[:known], strict=True)):
            # A spell that another pipeline had: only open stages, before the deal came here.
            foreign = (
                self.rarely(3 - pipeline, pipeline, 0.1)
                if STAGES[stage][0] == "P" and place < len(moments) - 1
                else pipeline
            )
            company.move(number, moment, STAGES[stage][0], kind=1 if place == 0 else 2, stage_id=f"C{foreign}:{stage}",
                         pipeline_id=foreign)  # fmt: skip
        if STAGES[stages[-1]][0] != "P" and self.random.random() < 0.4:
            rate, rate_count = pick([(Decimal("77.7"), 1), (Decimal(5), 10), (None, None)])
            company.add(
                schema.DEAL_CLOSINGS, deal_id=number, semantics=pick([STAGES[stages[-1]][0]] * 4 + ["S", "F"]),
                manager_id=pick([101, 102, 103, 104, 201]), department_id=pick([None, None, 11, 12, 20]), opportunity=facts["opportunity"],
                currency_id=pick([facts["currency_id"]] * 4 + ["RUB"]), rate=rate, rate_count=rate_count,
                observed_at=moments[-1] + pick([timedelta(minutes=3), timedelta(days=1), timedelta(hours=-3)]),
            )  # fmt: skip
        for place in range(pick([0, 0, 1, 2, 3])):
            company.add(
                schema.PRODUCT_ROWS, owner_type_id=2, owner_id=number, id=place, product_id=place, product_name=pick(["A", "B", "", None]),
                quantity=Decimal(pick(["1", "2", "1.5", "0"])), price=Decimal(pick(["10", "33.3333", "0", "100"])),
                measure_code=pick([796, 796, 166, None]),
            )  # fmt: skip
        return number

    def many_closed(self) -> None:
        """Enough closed deals of one pipeline for the history to tell chances."""
        pipeline, who = self.pick([0, 3]), self.pick([101, 102, None])
        for _ in range(self.random.randint(27, 36)):
            begins = self.now.astimezone(UTC) - timedelta(
                days=self.random.randint(2, 175), seconds=self.random.randint(0, 4000)
            )
            path = self.pick(
                [("A", "B", "WON"), ("A", "LOSE"), ("A", "B", "LOSE"), ("A", "C", "WON"), ("C", "A", "LOSE")]
            )
            number = self.company.number()
            self.company.deal(
                number, semantics=STAGES[path[-1]][0], stage_id=f"C{pipeline}:{path[-1]}", pipeline_id=pipeline, created_at=begins,
                moved_at=begins + timedelta(hours=9), assigned_by_id=who or self.pick([101, 102]), created_by_id=None,
                deleted_at=None, source_id="WEB",
            )  # fmt: skip
            for place, stage in enumerate(path):
                self.company.move(number, begins + timedelta(hours=3 * place), STAGES[stage][0], kind=1 if place == 0 else 2,
                                  stage_id=f"C{pipeline}:{stage}", pipeline_id=pipeline)  # fmt: skip

    def burst(self) -> None:
        """Records by one author, so close together that they may have been imported."""
        begins, step = self.moment(future=False), self.pick([0, 10, 20, 21])
        for place in range(self.random.randint(3, 5)):
            self.deal(created_at=begins + timedelta(seconds=step * place), created_by_id=102, is_recurring=False, title="Deal",
                      deleted_at=None, source_id="WEB", pipeline_id=0, stage_id="C0:A", semantics="P", assigned_by_id=101)  # fmt: skip

    def call(self) -> None:
        number = self.company.number()
        call_id = f"call-{number}"
        started = self.moment()
        for leg in range(self.pick([1, 1, 1, 2])):
            self.company.call(
                started + timedelta(seconds=20 * leg), call_id=call_id, user_id=self.pick(PEOPLE), type_id=self.pick([1, 1, 2, 4, 5]),
                failed_code=self.pick(["200", "200", "304"]), duration_seconds=self.pick([0, 5, 60, 601]),
                category=self.pick(["external", "external", "external", "internal", None]),
                crm_entity_type_id=self.pick([None, 4]), crm_entity_id=self.pick([1, 2]), vote=self.pick([None, 5, 1]),
                phone_key=self.pick([None, "+71", "+72"]), deleted_at=self.rarely(self.moment(future=False), None, 0.05),
            )  # fmt: skip

    def activity(self) -> None:
        deals = [row["id"] for row in self.company.rows.get(schema.DEALS, [])]
        who, done = self.pick(PEOPLE), self.pick([True, False])
        created = self.moment(future=not done)
        self.company.activity(
            self.pick(deals) if deals else None, type_id=4, provider_id="CRM_EMAIL", direction=self.pick([1, 2]), created_at=created,
            modified_at=created, responsible_id=who, author_id=who, completed=done, status=2 if done else 1,
            completed_at=max(created, self.moment(future=False)) if done else None,
            deleted_at=self.rarely(self.now.astimezone(UTC), None, 0.05), is_incoming_channel=self.rarely(True, False),
        )  # fmt: skip

    def contact(self) -> None:
        pick, number = self.pick, self.company.number()
        self.company.add(
            schema.CONTACTS, id=number, assigned_by_id=pick(PEOPLE), created_by_id=pick([101, None]), created_at=self.moment(),
            name=pick(["Иван", "иван", "", None, " пётр", "Test", "Ван", "(иван", "1c", "ǆ", "де"]),
            last_name=pick(["Петров", "петров", "де Брюк", "van Gogh", "фон", "", None, "Де брюк", "вандал"]),
            type_id=pick(["CLIENT", None]), source_id=pick(["WEB", "", None]), company_id=0,
            has_phone=pick([True, False, None]), has_email=pick([True, True, False, None]), has_messenger=pick([True, False, False, None]),
            phone_in_comment=pick([True, False, False]), deleted_at=self.rarely(self.moment(future=False), None, 0.08),
            originator_id=self.rarely("OLD", None, 0.1), user_fields=None,
        )  # fmt: skip
        for kind, keys in (("phone", ["+71", "+72", "+73"]), ("email", ["a@b", "c@d"])):
            for key in self.random.sample(keys, pick([0, 1, 1, 2])):
                self.company.add(
                    schema.CLIENT_KEYS, entity_type_id=pick([3] * 9 + [4]), entity_id=number, kind=kind, key=key
                )

    def lead(self) -> None:
        self.company.lead(
            created_at=self.moment(), assigned_by_id=self.pick(PEOPLE), semantics=self.pick("PPSF"), title=self.rarely("test", "Lead"),
            source_id=self.pick(["WEB", "", None, "BAD"]), created_by_id=self.pick([101, None]),
            deleted_at=self.rarely(self.now.astimezone(UTC), None, 0.08), modified_at=self.moment(), modified_by_id=self.pick(PEOPLE),
        )  # fmt: skip

    # ------------------------------------------------------------ numbers from outside

    def numbers(self) -> None:
        company, pick, this = self.company, self.pick, self.now.date().replace(day=1)
        months = [months_later(this, n) for n in (-3, -2, -1, 0, 1)]
        subjects = [("M", 101), ("M", 102), ("M", 104), ("M", 201), ("D", 10), ("D", 11), ("T", 0)]
        for level, subject in subjects:
            for month in months:
                if self.random.random() < 0.3:
                    company.plan(level, subject, month, pick([50, 700, 100_000]))
        for kpi in (
            "revenue_won",
            "plan_attainment_ratio",
            "period_forecast_amount",
            "deals_won_count",
            "new_customers_count",
        ):
            for level, subject in subjects:
                for month in months[:3]:
                    if self.random.random() < 0.35:
                        value = (
                            pick([0.0, 0.5, 1.0, 1.25])
                            if "ratio" in kpi
                            else pick([0.0, -50.0, 1000.25, 1000.25, 4000.0])
                        )
                        company.add(schema.FROZEN_VALUES, kpi_id=kpi, level=level, subject_id=subject, month=month, value=value,
                                    frozen_at=self.now)  # fmt: skip
        for kind, amounts in (
            ("costs", [0, 100, 5000]),
            ("training_assigned", [0, 4, 4]),
            ("training_passed", [0, 3, 3]),
        ):
            if self.random.random() < 0.6:
                for level, subject in subjects:
                    for month in months:
                        for label in self.random.sample(["", "x"], pick([0, 0, 1, 2])):
                            company.add(schema.INPUTS, kind=kind, level=level, subject_id=subject, starts_on=month, label=label,
                                        amount=Decimal(pick(amounts)))  # fmt: skip
        for who in (101, 102, 104, 201):
            for month in months[1:4]:
                for label in self.random.sample([Criterion.COMMUNICATION, Criterion.STANDARDS], pick([0, 0, 1, 2])):
                    company.add(schema.INPUTS, kind="score", level="M", subject_id=who, starts_on=month, label=str(label),
                                amount=Decimal(pick(["1", "4.5"])))  # fmt: skip
        if self.random.random() < 0.6:
            for row in company.rows.get(schema.PHONE_CALLS, []):
                for criterion in range(1, 11):
                    if self.random.random() < pick([0.5, 0.8]):
                        company.add(schema.INPUTS, kind="call_points", level="call", subject_id=row["id"], starts_on=row["started_at"].date(),
                                    label=str(criterion), amount=Decimal(pick([0, 1, 2])))  # fmt: skip


def made(seed: int) -> Case:
    """The company of a seed."""
    return Maker(seed).made()
