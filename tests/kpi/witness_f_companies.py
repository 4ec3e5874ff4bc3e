"""Random small companies for the witness of chapter F: clients who come back, or do not.

Laws: everything follows from the seed; nothing happens after ``now`` but deals that were born in the future, or whose
date, which people may write as they like, says that they will be won.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf
from typing import Any

from b24metrics.kpi.options import ClosedAtSource, CustomerOptions, KpiOptions, PurchaseBasis
from b24metrics.mirror import schema
from tests.kpi.witness_companies import STAGES, Case, Maker
from tests.kpi.witness_ground import DAY, Ground

INVOICE_STAGES = (("D1:N", "P"), ("D1:S", "P"), ("D1:P", "S"), ("D1:Q", "S"), ("D1:D", "F"))
SELLERS = (101, 101, 102, 103, 104, 105, 106, 201, 1, None)
#: (company, contact): a company that is the portal's own, somebody with both, nobody.
CLIENTS = ((1, 0), (1, 9), (2, None), (3, 7), (None, 7), (0, 8), (0, 9), (None, None), (5, 7))
OWN_COMPANY = 5
SPANS = ("today", "yesterday", "7d", "30d", "wtd", "mtd", "qtd", "prev_month", "t90", "t365")


class ClientMaker(Maker):
    """Makes one company."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        random = self.random
        self.options = replace(
            self.options,
            go_live=self.now.date() - timedelta(days=random.choice((45, 500))) if self.maybe(0.15) else None,
            margin=random.choice((1.0, 0.3)),
            customers=CustomerOptions(
                active_days=random.choice((365, 365, 30, 90)),
                basis=random.choice((PurchaseBasis.DEALS, PurchaseBasis.DEALS, PurchaseBasis.INVOICES)),
                lifetime_years=random.choice((None, None, 3.0, 0.5)),
                lifetime_cap_years=random.choice((10.0, 10.0, 1.5)),
                discount=random.choice((None, 0.1, 0.0)),
                retention=random.choice((None, 0.8, 0.25)),
                horizon_years=random.choice((None, 3.0, 1.0, inf)),
                predicted_months=random.choice((12, 1)),
            ),
        )
        ground = Ground(self.company, self.now, self.options)
        bounds = {bound for span in SPANS for bound in ground.span(span)}
        for days in (self.options.customers.active_days, 30, 60, 31):
            bounds |= {ground.back(days, bound) for bound in set(bounds) if bound > self.now - 400 * DAY}
        self.edges = sorted(bound for bound in bounds if bound < self.now)

    def moment(self) -> datetime:
        random, roll = self.random, self.random.random()
        if roll < 0.4:
            found = random.choice(self.edges) + timedelta(seconds=random.choice((0, 0, 0, -1, 1)))
        elif roll < 0.6:
            found = self.now - timedelta(minutes=random.randint(1, 40 * 1440))
        else:
            found = self.now - timedelta(hours=random.randint(1, 1000 * 24))
        return min(found, self.now - timedelta(seconds=1)).astimezone(UTC)

    def make(self) -> Case:
        random, add = self.random, self.company.add
        for number in (1, 2, 3, OWN_COMPANY):
            add(
                schema.COMPANIES,
                id=number,
                title="x",
                is_my_company=number == OWN_COMPANY or (False if number > 1 else None),
            )
        for kind, number, key in ((4, 1, "p1"), (3, 7, "p1"), (3, 9, "p2"), (4, 2, "p2"), (3, 8, "p3")):
            if self.maybe(0.7):
                add(schema.CLIENT_KEYS, entity_type_id=kind, entity_id=number, kind="phone", key=key)
        for sort, (stage, semantics) in enumerate(INVOICE_STAGES):
            add(
                schema.STATUSES, directory="SMART_INVOICE_STAGE_1", status_id=stage, sort=sort, semantics=semantics,
                entity_type_id=31, pipeline_id=1, name=stage,
            )  # fmt: skip
        for number in range(1, random.randint(2, 5)):
            self._lead(number)
        self.purses = random.sample(CLIENTS, random.randint(1, len(CLIENTS))) + [
            (None, 100 + number) for number in range(random.choice((0, 0, 4)))
        ]
        for _ in range(random.choice((1, 12, 40, 40))):
            self._sale()
        for _ in range(random.choice((0, 6))):
            self._deal()
        for _ in range(random.choice((0, 2, 12, 40))):
            self._bill()
        for _ in range(random.choice((0, 0, 25))):
            self._touch()
        for _ in range(random.choice((0, 0, 15))):
            self._ring()
        if self.maybe(0.3):
            self._crowd(random.choice((22, 24, 25, 26, 33)))
        self._feeds()
        return Case(self.company, self.now, self.options, self.long)

    # ------------------------------------------------------------ purchases

    def _sale(self, **given: Any) -> int:
        """A deal that is mostly won now."""
        random = self.random
        number = self.company.number() + 1000
        created = self.moment() - self.random.choice((0, 0, 1, 30)) * DAY
        facts = self._common(created)
        facts["assigned_by_id"] = random.choice(SELLERS)
        pipeline = random.choice((0, 0, 3))
        finals = {0: ("WON", "LOSE"), 3: ("C3:WON", "C3:LOSE")}[pipeline]
        first = STAGES[pipeline][0 if pipeline == 0 else 1][0]
        at, path = created, []
        if self.maybe(0.75):
            path.append((at, first, "P"))
            at = max(at, min(self.moment(), at + 60 * DAY)) if self.maybe(0.7) else at
        if self.maybe(0.15):
            path += [(at, finals[0], "S"), (at := max(at, self.moment()), first, "P")]
            at = max(at, self.moment())
        ends = random.choice((0,) * 9 + (1, 2))
        if ends < 2 or not path:
            path.append((at, finals[ends % 2], "SF"[ends % 2]))
        known = not self.maybe(0.05)
        for position, (moment, stage, semantics) in enumerate(path if known else ()):
            self.company.move(
                number, moment, semantics, kind=2 if position else 1, stage_id=stage, pipeline_id=pipeline
            )
        at, stage, semantics = path[-1]
        company, contact = random.choice(self.purses)
        amount = Decimal(random.choice(("0", "100", "99999.99", "-50", "1000.01", "100")))
        facts |= {
            "pipeline_id": pipeline, "stage_id": stage, "semantics": semantics, "opportunity": amount,
            "currency_id": random.choice(("RUB", "RUB", "RUB", "USD", "KZT", "XAU")), "moved_at": at, "is_recurring": self.maybe(0.04),
            "closes_on": random.choice((None, at.date(), (at + timedelta(days=random.randint(-9, 40))).date(), self.now.date())),
            "company_id": company, "contact_id": contact, "originator_id": random.choice((None,) * 9 + ("legacy",)),
        }  # fmt: skip
        self._hands(2, number, facts)
        self.company.deal(number, **(facts | given))
        if semantics != "P" and self.maybe(0.4):
            rate, size = random.choice(((Decimal("77.7"), 1), (Decimal(5), 10), (None, None)))
            self.company.add(
                schema.DEAL_CLOSINGS, deal_id=number, semantics=semantics, manager_id=random.choice((101, 102, 103, 104, 201)),
                rate=rate, rate_count=size, observed_at=max(at, self.now - DAY), opportunity=amount,
                currency_id=random.choice((facts["currency_id"],) * 4 + ("RUB",)),
                department_id=random.choice((None, None, 11, 12, 20)),
            )  # fmt: skip
        return number

    def _bill(self) -> None:
        random, company = self.random, self.company
        number = company.number() + 5000
        created = self.moment()
        facts = self._common(created)
        at, path = created, []
        for position in range(random.randint(1, 4)):
            at = max(at, self.moment()) if position else at
            path.append((at, *random.choice((INVOICE_STAGES[2], INVOICE_STAGES[2], *INVOICE_STAGES))))
        for position, (moment, stage, semantics) in enumerate(path if self.maybe(0.85) else ()):
            company.move(
                number, moment, semantics, kind=2 if position else 1, entity_type_id=31, stage_id=stage, pipeline_id=1
            )
        client, contact = random.choice(self.purses)
        deals = [row["id"] for row in company.rows.get(schema.DEALS, [])]
        company.add(
            schema.INVOICES, id=number, pipeline_id=1, stage_id=path[-1][1], moved_at=path[-1][0], begins_on=None,
            opportunity=Decimal(random.choice(("0", "100", "99999.99", "-50", "1000.01", "100"))),
            currency_id=random.choice(("RUB", "RUB", "USD", "KZT", "XAU")), company_id=client, contact_id=contact,
            deal_id=random.choice((None, *deals)),
            **{name: facts[name] for name in ("title", "created_at", "modified_at", "created_by_id", "deleted_at")},
            assigned_by_id=random.choice(SELLERS),
        )  # fmt: skip

    def _crowd(self, size: int) -> None:
        """Enough clients to tell segments, some of whom come several times."""
        for number in range(size):
            for _ in range(self.random.choice((1, 1, 1, 2, 3, 6))):
                at = self.now - timedelta(days=self.random.randint(0, 380), hours=self.random.randint(0, 5), seconds=1)
                self._won(200 + number, at.astimezone(UTC), self.random.choice((10, 100, 100, 250)))

    def _won(self, contact: int, at: datetime, amount: float, **given: Any) -> None:
        facts = {
            "semantics": "S", "stage_id": "WON", "opportunity": Decimal(str(amount)), "company_id": None,
            "contact_id": contact, "created_at": at, "moved_at": at, "modified_at": at, "created_by_id": None,
            "assigned_by_id": self.random.choice(SELLERS),
        }  # fmt: skip
        number = self.company.deal(self.company.number() + 1000, **(facts | given))
        self.company.move(number, at, "S", kind=1, stage_id="WON")

    # ------------------------------------------------------------ contacts after the sale

    def _somebody(self) -> tuple[int, int, datetime]:
        """A deal, or its client; and a moment at an edge of the month after its win."""
        deal = self.random.choice(self.company.rows[schema.DEALS])
        won = deal["moved_at"] or deal["created_at"]
        steps = self.random.choice((0, DAY, 30 * DAY, 30 * DAY, 7 * DAY, 2 * DAY)) or timedelta(0)
        at = won + steps + timedelta(seconds=self.random.choice((0, -1, 1)))
        at = min(at, self.now.astimezone(UTC) - timedelta(seconds=1))
        choices = [(2, deal["id"])]
        choices += [(4, deal["company_id"])] if deal.get("company_id") else []
        choices += [(3, deal["contact_id"])] if deal.get("contact_id") else []
        return (*self.random.choice(choices), at)

    def _touch(self) -> None:
        random = self.random
        kind, owner, at = self._somebody()
        type_id, provider = random.choice(
            ((1, "CRM_MEETING"), (2, "CRM_CALL"), (3, "TASKS"), (4, "CRM_EMAIL"), (4, "CRM_EMAIL"), (6, "VISIT"),
             (6, "IMOPENLINES_SESSION"), (6, "CRM_TODO"), (6, "CRM_SMS"))
        )  # fmt: skip
        number = self.company.activity(
            owner if kind == 2 else None, created_at=at, modified_at=at, type_id=type_id, provider_id=provider,
            direction=random.choice((0, 1, 2)), completed=self.maybe(0.7), starts_at=random.choice((at, self.after(at), None)),
            responsible_id=random.choice(SELLERS), deleted_at=self.now if self.maybe(0.05) else None,
        )  # fmt: skip
        if kind != 2:
            self.company.bind(number, kind, owner)

    def _ring(self) -> None:
        random = self.random
        kind, owner, at = self._somebody()
        facts: dict[str, Any] = {}
        if kind != 2 and self.maybe(0.5):
            facts = {"crm_entity_type_id": kind, "crm_entity_id": owner}
        else:
            number = self.company.activity(
                owner if kind == 2 else None, created_at=at, type_id=2, provider_id="VOXIMPLANT_CALL",
                responsible_id=random.choice(SELLERS), deleted_at=self.now if self.maybe(0.05) else None,
            )  # fmt: skip
            if kind != 2:
                self.company.bind(number, kind, owner)
            facts = {"crm_activity_id": number}
        number = self.company.call(
            at, type_id=random.choice((1, 1, 2, 3, 4, 5)), user_id=random.choice(SELLERS), failed_code=random.choice(("200", "200", "304")),
            duration_seconds=random.choice((0, 60)), phone_key=random.choice(("p1", "p2", "p3", "p4", None)), category=random.choice(("external",) * 4 + ("internal",)), **facts,
        )  # fmt: skip
        if self.maybe(0.3):  # passed on: the one who talks in the end may stand in a row that names nobody
            self.company.call(
                at + timedelta(seconds=20), call_id=f"call-{number}", type_id=random.choice((1, 3)), phone_key=None,
                user_id=random.choice(SELLERS), failed_code=random.choice(("200", "304")), crm_entity_id=None,
                crm_activity_id=None,
            )  # fmt: skip

    # ------------------------------------------------------------ feeds

    def _feeds(self) -> None:
        """How the copies of the portal stand."""
        moments = [self.now - timedelta(seconds=self.random.choice((0, 1, 90, 901, 100_000))) for _ in range(6)]
        self.company.feeds = ()
        for feed in ("deals", "deal_moves", "phone_calls", "activities", "users", "invoices", "invoice_moves", "currencies",
                     "statuses", "pipelines", "departments", "leads", "lead_moves", "companies", "contacts"):  # fmt: skip
            self.company.add(
                schema.FEED_STATE, feed=feed, backfilled_at=moments[0] - DAY, synced_at=self.random.choice((*moments, None)),
                reconciled_at=self.random.choice((*moments, None)), error=self.random.choice((None, None, "refused")),
            )  # fmt: skip


def loyal_case(seed: int) -> Case:
    """Hundreds of clients who buy as BG/NBD and Gamma-Gamma say: at a rate of their own until they are gone."""
    maker = ClientMaker(seed)
    random, now = maker.random, maker.now
    maker.options = KpiOptions(
        sales_departments=frozenset({10}), calendar=maker.options.calendar, margin=maker.options.margin,
        customers=replace(maker.options.customers, basis=PurchaseBasis.DEALS), closed_at_source=ClosedAtSource.HISTORY,
    )  # fmt: skip
    size, days = random.choice(((199, 500), (200, 500), (240, 500), (240, 800), (260, 180), (260, 183)))
    r, alpha, a, b = random.choice(((0.8, 60, 0.8, 2.4), (1.5, 100, 1.2, 3.0), (0.6, 40, 1.0, 2.0)))
    for contact in range(1, size + 1):
        rate, leaves = random.gammavariate(r, 1 / alpha), random.betavariate(a, b)
        usual = 150 / random.gammavariate(4, 1)
        age = float(days if contact == 1 else random.randint(days // 4, days))
        while age >= 0:
            at = (now - timedelta(days=age, seconds=1)).astimezone(UTC)
            maker._won(contact, at, round(max(0.01, usual * random.gammavariate(6, 1 / 6) * 10), 2))
            age -= random.expovariate(rate)
            if random.random() < leaves:
                break
    return Case(maker.company, now, maker.options, maker.long)
