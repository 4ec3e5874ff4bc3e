"""Chapter F of the catalogue, retention and customer value (§10), once more: plain loops, written from the cards alone.

Values of the model of future purchases are in ``witness_clv``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import inf

from b24metrics.kpi import KPIS
from b24metrics.kpi.options import ActivityKind, PurchaseBasis
from b24metrics.mirror import schema
from tests.kpi.witness_clv import Client, Model, Values, prepared
from tests.kpi.witness_ground import (
    DAY,
    DEAL,
    Ground,
    Number,
    Row,
    Thing,
    Told,
    at_quantile,
    count,
    distinct,
    mean,
    ratio,
    share,
    source_of,
    total,
)

INVOICE, CONTACT, COMPANY = 31, 3, 4

ClientKey = tuple[str, int]


@dataclass
class Purchase:
    """One purchase of a client; ``thing`` says whose and where, its value is the amount in the reporting currency."""

    at: datetime
    number: int
    client: ClientKey | None
    thing: Thing
    imported: bool

    @property
    def buyer(self) -> ClientKey:
        assert self.client is not None
        return self.client

    @property
    def amount(self) -> Fraction:
        return Fraction(self.thing.value or 0)


class Retention(Ground):
    """Answers of chapter F."""

    def answers(self) -> None:
        self.own_companies = {row["id"] for row in self.rows(schema.COMPANIES) if row["is_my_company"]}
        self.settled = sorted(self._settled(), key=lambda purchase: (purchase.at, purchase.number))
        self.purchases = [one for one in self.settled if one.client and one.amount > 0]
        self._active()
        self._newcomers()
        self._kept()
        self._returns()
        self._repeats()
        self._often()
        self._after_sale()
        self._recency_frequency_money()
        self._values()
        self._predicted()

    # ------------------------------------------------------------ who buys

    def client_of(self, row: Row) -> ClientKey | None:
        """Company, else contact; nobody where the company is the portal's own."""
        if row["company_id"]:
            return None if row["company_id"] in self.own_companies else ("company", row["company_id"])
        return ("contact", row["contact_id"]) if row["contact_id"] else None

    def closed(self, semantics: str = "SF") -> Iterator[tuple[Row, Thing]]:
        """With instants that may be subtracted: of two in one zone Python would take the wall clock's difference."""
        for deal, thing in super().closed(semantics):
            thing.at = thing.at.astimezone(UTC) if thing.at is not None else None
            yield deal, thing

    def _settled(self) -> Iterable[Purchase]:
        """Wins, or paid invoices, of whatever amount; whoever bought."""
        if self.options.customers.basis is PurchaseBasis.DEALS:
            for deal, thing in self.closed("S"):
                client = self.client_of(deal)
                if thing.at is not None and thing.at <= self.now:
                    thing.key = client
                    yield Purchase(thing.at, deal["id"], client, thing, self.is_imported(DEAL, deal))
            return
        for row in self._paid_invoices():
            client = self.client_of(row)
            at = self.paid_at(row)
            if at is not None and at <= self.now:
                deal = self._deal_of(row)
                rate = self.rates.get(row["currency_id"])
                money = None if rate is None or row["opportunity"] is None else Fraction(row["opportunity"]) * rate
                pipeline = deal["pipeline_id"] if deal else None
                source = source_of(deal) if deal else "(none)"  # left open: an invoice has the source of its deal
                thing = Thing(at, row["assigned_by_id"], pipeline, source, value=money, key=client)
                yield Purchase(at, row["id"], client, thing, imported=False)

    def _state(self, stage: str) -> str:
        return next(
            (row["semantics"] or "P" for row in self.rows(schema.STATUSES)
             if row["entity_type_id"] == INVOICE and row["status_id"] == stage), "P",
        )  # fmt: skip

    def _deal_of(self, invoice: Row) -> Row | None:
        """Of what is deleted there is no deal."""
        return next(
            (deal for deal in self.rows(schema.DEALS) if deal["id"] == invoice["deal_id"] and not deal["deleted_at"]),
            None,
        )

    def _paid_invoices(self) -> Iterable[Row]:
        """Those that count: in the pipelines of their deals."""
        for row in self.rows(schema.INVOICES):
            deal = self._deal_of(row)
            facts = {"pipeline_id": deal["pipeline_id"] if deal else None, "source_id": None, "is_recurring": False}
            if self._state(row["stage_id"]) == "S" and self.counts(row | facts):
                yield row

    def paid_at(self, row: Row) -> datetime | None:
        since = None
        for move in reversed(self.moves(INVOICE, row)):
            if self._state(move["stage_id"]) != "S":
                break
            since = move["created_at"]
        found: datetime | None = since or row["moved_at"]
        return found

    def tell_by_window(
        self, name: str, found: Callable[[str], list[Thing]], measure: Callable[[list[Thing]], Told]
    ) -> None:
        """A KPI whose records depend on the window."""
        for window in KPIS[name].windows:
            self.tell_window(KPIS[name], window.value, found(window.value), measure)

    def bounds(self, window: str) -> tuple[datetime, datetime]:
        return (self.now, self.now) if window == "now" else self.span(window)

    def active(self, at: datetime) -> list[Purchase]:
        """Purchases of (t - H, t]."""
        start = self.back(self.options.customers.active_days, at)
        return [one for one in self.purchases if start < one.at <= at]

    # ------------------------------------------------------------ who stays

    def _active(self) -> None:
        self.tell("active_customers_count", [one.thing for one in self.active(self.now)], distinct)

    def _first(self) -> dict[ClientKey, Purchase]:
        found: dict[ClientKey, Purchase] = {}
        for one in self.purchases:
            found.setdefault(one.buyer, one)
        return found

    def _newcomers(self) -> None:
        """Somebody whose first purchase was imported has been a client before: never new."""
        self.tell("new_customers_count", [one.thing for one in self._first().values() if not one.imported], count)

    def _kept(self) -> None:
        """Both sets by who was responsible for the purchases."""

        def sets(window: str) -> list[Thing]:
            a, b = self.bounds(window)
            return [
                Thing(
                    None, one.thing.manager, key=(one.client, one in there), department=one.thing.department, good=here
                )
                for there, here in ((self.active(a), False), (self.active(b), True))
                for one in there
            ]

        def kept(cell: list[Thing]) -> tuple[int, int]:
            before = {thing.key[0] for thing in cell if not thing.good}  # type: ignore[index]
            after = {thing.key[0] for thing in cell if thing.good}  # type: ignore[index]
            return len(before & after), len(before)

        self.tell_by_window("customer_retention_rate", sets, lambda cell: ratio(*kept(cell)))

        def lost(cell: list[Thing]) -> Told:
            stayed, before = kept(cell)
            return ratio(before - stayed, before)

        self.tell_by_window("customer_churn_rate", sets, lost)

    def _before(self, purchases: list[Purchase]) -> dict[int, Purchase]:
        """The client's purchase before, by id."""
        last: dict[ClientKey, Purchase] = {}
        found: dict[int, Purchase] = {}
        for one in purchases:
            if one.client in last:
                found[one.number] = last[one.client]
            if one.client:
                last[one.client] = one
        return found

    def _returns(self) -> None:
        """The gap is the client's, whoever sold before."""
        before = self._before(self.purchases)
        back = [
            one.thing for one in self.purchases
            if one.number in before and before[one.number].at < self.back(self.options.customers.active_days, one.at)
        ]  # fmt: skip
        self.tell("reactivated_customers_count", back, distinct)

    # ------------------------------------------------------------ who buys again

    def _repeats(self) -> None:
        """Any win with a client, whatever its amount. Left open: the share is of all wins, those of nobody too."""
        before = self._before(self.settled)
        again = [one.thing for one in self.settled if one.number in before]
        self.tell("repeat_purchases_count", again, count)
        every = [
            Thing(t.at, t.manager, t.pipeline, t.source, department=t.department, good=one.number in before)
            for one in self.settled for t in (one.thing,)
        ]  # fmt: skip
        self.tell("repeat_deal_share", every, share)

    @staticmethod
    def _again(cell: list[Thing]) -> Told:
        times = [sum(other.key == key for other in cell) for key in {thing.key for thing in cell}]
        return ratio(sum(one >= 2 for one in times), len(times))

    def _often(self) -> None:
        things = [one.thing for one in self.purchases]
        self.tell("repeat_purchase_rate", things, self._again)
        self.tell("purchase_frequency", things, lambda cell: ratio(len(cell), len(buyers(cell))))
        gaps = []
        for one in self.purchases:
            before = self._before(self.purchases).get(one.number)
            if before:
                gap = Fraction((one.at - before.at) / timedelta(microseconds=1)) / 10**6
                gaps.append(Thing(one.at, one.thing.manager, value=gap, department=one.thing.department))
        self.tell("interpurchase_seconds_median", gaps, at_quantile(0.5))

    # ------------------------------------------------------------ after the sale

    def _contacts(self, deal: Row) -> list[datetime]:
        """When somebody was in touch with the deal's client, about this deal or not."""
        about = {(DEAL, deal["id"]), (COMPANY, deal["company_id"]), (CONTACT, deal["contact_id"])}
        about = {(kind, number) for kind, number in about if number}
        bound = {number for key in about for number in self.bound.get(key, ())}
        found = []
        for number in bound & self.activities.keys():
            activity = self.activities[number]
            held = self.held_at(activity)
            if held:
                found.append(held)
            if self.kind_of(activity) in {ActivityKind.EMAIL, ActivityKind.CHAT}:
                found.append(activity["created_at"])
        for legs in self._calls():
            # Left open: a call stays one of its deal when its activity is deleted.
            linked = any(leg["crm_activity_id"] in bound for leg in legs) or about & self._called(legs)
            if linked and any(leg["failed_code"] == "200" and leg["duration_seconds"] > 0 for leg in legs):
                found.append(min(leg["started_at"] for leg in legs))
        return [moment for moment in found if moment <= self.now]

    def _calls(self) -> Iterable[list[Row]]:
        """External calls, leg by leg."""
        found: dict[str, list[Row]] = {}
        for leg in self.rows(schema.PHONE_CALLS):
            if not leg.get("deleted_at") and leg["category"] in {"external", "", None} and leg["type_id"] != 5:
                found.setdefault(leg["call_id"], []).append(leg)
        return found.values()

    def _called(self, legs: list[Row]) -> set[tuple[int, int]]:
        """Whom the call names, else everybody who has the number."""
        named = {(leg["crm_entity_type_id"], leg["crm_entity_id"]) for leg in legs if leg["crm_entity_id"]}
        return named or {
            (row["entity_type_id"], row["entity_id"])
            for row in self.rows(schema.CLIENT_KEYS)
            if row["kind"] == "phone" and row["key"] in {leg["phone_key"] for leg in legs}
        }

    def _after_sale(self) -> None:
        wins = []
        for deal, thing in self.closed("S"):
            if thing.at is not None and thing.at + 30 * DAY < self.now:
                since = thing.at
                thing.good = any(since + DAY <= moment <= since + 30 * DAY for moment in self._contacts(deal))
                wins.append(thing)
        self.tell("post_sale_contact_rate", wins, share)

    # ------------------------------------------------------------ segments

    def day(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    @staticmethod
    def scores(values: dict[ClientKey, Fraction]) -> dict[ClientKey, int]:
        """1 to 5, more being better."""
        return {
            client: 1 + 5 * sum(other < value for other in values.values()) // len(values)
            for client, value in values.items()
        }

    @staticmethod
    def segment(recency: int, frequency: int) -> str:
        if recency >= 4 and frequency >= 4:
            return "champions"
        if frequency >= 4:
            return "loyal"
        if recency >= 4 and frequency == 1:
            return "new"
        if recency <= 2 and frequency >= 3:
            return "at_risk"
        return "lost" if recency == 1 and frequency <= 2 else "other"

    def _recency_frequency_money(self) -> None:
        start, end = self.span("t365")
        mine: dict[ClientKey, list[Purchase]] = {}
        for one in self.purchases:
            if start <= one.at < end:
                mine.setdefault(one.buyer, []).append(one)
        if len(mine) < 25:
            return
        recency = self.scores(
            {c: -Fraction((self.now.date() - self.day(ones[-1].at)).days) for c, ones in mine.items()}
        )
        frequency = self.scores({c: Fraction(len({self.day(one.at) for one in ones})) for c, ones in mine.items()})
        segments = [self.segment(recency[client], frequency[client]) for client in mine]
        for name in set(segments):
            self.found["rfm_score", "T", (("segment", name),), "t365"] = Told(segments.count(name))

    # ------------------------------------------------------------ what clients are worth

    @property
    def margin(self) -> Fraction:
        return Fraction(str(self.options.margin))

    def _values(self) -> None:
        """By who was responsible: what a department's clients bought of it."""

        def historic(cell: list[Thing]) -> Told:
            clients = len(buyers(cell))
            spent = Fraction(total(cell).value or 0)
            return Told(self.margin * spent / clients if clients else None, clients)

        self.tell("clv_historic", [one.thing for one in self.purchases], historic)
        things = [one.thing for one in self.purchases]
        self.tell("clv_discounted", things, self._discounted)
        kpi = KPIS["clv_simple"]
        for grain in kpi.evaluated_grains:
            for labels, cell in self.cells(grain, self.inside(things, "t365")):
                churn = self.found["customer_churn_rate", str(grain), labels, "t365"].value
                self.found[kpi.id, str(grain), labels, "t365"] = self._simple(cell, churn)

    def _simple(self, cell: list[Thing], churn: Number) -> Told:
        options, yearly = self.options.customers, self._yearly(cell)
        cap = Fraction(str(options.lifetime_cap_years))
        years = None if churn is None else min(cap, 1 / Fraction(churn)) if churn else cap
        if options.lifetime_years is not None:
            years = Fraction(str(options.lifetime_years))
        return Told(None if yearly is None or years is None else yearly * years, len(buyers(cell)))

    def _yearly(self, cell: list[Thing]) -> Fraction | None:
        """Average check × purchases of a client per year × margin."""
        if not cell:
            return None
        check, often = Fraction(mean(cell).value or 0), Fraction(len(cell), len(buyers(cell)))
        return check * often * self.margin

    def _discounted(self, cell: list[Thing]) -> Told:
        options = self.options.customers
        yearly = self._yearly(cell)
        if yearly is None or options.retention is None or options.discount is None or options.horizon_years is None:
            return Told(None)
        kept, rate = Fraction(str(options.retention)), Fraction(str(options.discount))
        clients = len(buyers(cell))
        if options.horizon_years == inf:
            return Told(yearly * (1 + rate) / (1 + rate - kept), clients)
        years = range(int(options.horizon_years))
        return Told(yearly * sum(((kept / (1 + rate)) ** year for year in years), Fraction(0)), clients)

    # ------------------------------------------------------------ what they will be worth

    def clients(self) -> dict[ClientKey, Client]:
        """Occasions are local dates, time is whole days."""
        days: dict[ClientKey, dict[date, Fraction]] = {}
        for one in self.purchases:
            spent = days.setdefault(one.buyer, {})
            spent[self.day(one.at)] = spent.get(self.day(one.at), Fraction(0)) + one.amount
        found = {}
        for client, spent in days.items():
            dates = sorted(spent)
            again = [float(spent[on]) for on in dates[1:]]
            found[client] = Client(
                x=len(again), t_x=(dates[-1] - dates[0]).days, age=(self.now.date() - dates[0]).days,
                z=sum(again) / len(again) if again else 0.0,
            )  # fmt: skip
        return found

    def _predicted(self) -> None:
        """The model is the company's; a department has the clients who bought of it. Of a model that is not ``clear``
        nobody can say whether its search ended.
        """
        clients = self.clients()
        everybody = list(clients.values())
        model = Model.fitted(everybody) if prepared(everybody) else None
        self.clear = model is None or model.clear
        values: dict[ClientKey, Values] = {}
        if model is not None and model.settled:
            options = self.options.customers
            yearly = 0.12 if options.discount is None else options.discount
            told = model.values(everybody, options.predicted_months, (1 + yearly) ** (1 / 12) - 1)
            values = dict(zip(clients, told, strict=True))
        self.found["clv_model_ok", "T", (), "now"] = Told(int(bool(values)))
        spent: dict[ClientKey, Fraction] = {}
        for one in self.purchases:
            spent[one.buyer] = spent.get(one.buyer, Fraction(0)) + one.amount
        best = {client for client, score in self.scores(spent).items() if score == 5}
        self.clear &= all(abs(values[client].alive - 0.5) > 0.001 for client in best & values.keys())

        def predicted(cell: list[Thing]) -> Told:
            worth = [float(self.margin) * values[client].worth for client in buyers(cell)] if values else []
            return Told(sum(worth) / len(worth) if worth else None, len(worth), sum(worth))

        def at_risk(cell: list[Thing]) -> Told:
            return Told(sum(values[client].alive < 0.5 for client in buyers(cell) & best) if values else None)

        things = [one.thing for one in self.purchases]
        self.tell("clv_predicted", things, predicted)
        self.tell("clv_customers_at_risk_count", things, at_risk)


def buyers(cell: list[Thing]) -> set[ClientKey]:
    return {thing.key for thing in cell}  # type: ignore[misc]
