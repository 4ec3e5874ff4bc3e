"""A second reading of the catalogue in plain Python loops: slow, small, and sharing no code with the evaluator.

It knows one zone (UTC+3, no changes of the clock), one schedule (Monday to Friday, 09:00 to 18:00), simple mode, and the
rows of ``small.Company``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

from b24metrics.mirror import schema
from tests.kpi.small import Company

ZONE = timezone(timedelta(hours=3))
Row = dict[str, Any]
Span = tuple[datetime, datetime]
#: (kpi, grain, labels, window) → (value, n)
Answers = dict[tuple[str, str, tuple[tuple[str, str], ...], str], tuple[Fraction | None, int | None]]


def month_start(day: date, months: int = 0) -> datetime:
    index = day.year * 12 + day.month - 1 + months
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=ZONE)


def spans(now: datetime) -> dict[str, Span]:
    """Windows of the catalogue §2.4."""
    today = datetime(now.year, now.month, now.day, tzinfo=ZONE)
    day = timedelta(days=1)
    quarter = month_start(now.date(), -((now.month - 1) % 3))
    return {
        "today": (today, now),
        "yesterday": (today - day, today),
        "7d": (now - 7 * day, now),
        "30d": (now - 30 * day, now),
        "wtd": (today - today.weekday() * day, now),
        "mtd": (month_start(now.date()), now),
        "qtd": (quarter, now),
        "prev_month": (month_start(now.date(), -1), month_start(now.date())),
        "t90": (now - 90 * day, now),
        "t180": (now - 180 * day, now),
    }


def working_seconds(start: datetime, end: datetime) -> int:
    total = timedelta()
    midnight = datetime(start.year, start.month, start.day, tzinfo=ZONE)
    while midnight < end:
        if midnight.weekday() < 5:
            opens, closes = midnight + timedelta(hours=9), midnight + timedelta(hours=18)
            total += max(timedelta(), min(end, closes) - max(start, opens))
        midnight += timedelta(days=1)
    return int(total.total_seconds())


def median(values: list[Fraction]) -> Fraction | None:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        return None
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@dataclass
class Thing:
    """A record as the KPIs see it."""

    at: datetime | None
    manager: int | None
    pipeline: int | None = None
    source: str | None = None
    stage: str | None = None
    currency: str | None = None
    value: Fraction | None = None
    native: Fraction | None = None
    key: object = None


class Witness:
    """Reads one company at one instant."""

    def __init__(self, company: Company, now: datetime, sales: int) -> None:
        self.company, self.now = company, now.astimezone(ZONE)
        self.parents = {row["id"]: row["parent_id"] for row in self.rows(schema.DEPARTMENTS)}
        self.primary: dict[int, int] = {}
        for row in self.rows(schema.USER_DEPARTMENTS):
            if row["ordinal"] == 0:
                self.primary[row["user_id"]] = row["department_id"]
        self.departments = [d for d in self.parents if sales in self.above(d)]
        self.active = {row["id"]: row["active"] for row in self.rows(schema.USERS)}
        self.managers = [user for user, department in self.primary.items() if department in self.departments]

    def rows(self, table: schema.Table) -> list[Row]:
        return self.company.rows.get(table, [])

    def above(self, department: int | None) -> list[int]:
        found = []
        while department is not None:
            found.append(department)
            department = self.parents[department]
        return found

    # ------------------------------------------------------------ records

    def rate(self, currency: str) -> Fraction | None:
        for row in self.rows(schema.CURRENCIES):
            if row["id"] == currency:
                return Fraction(row["rate"]) / row["rate_count"]
        return None

    def deals(self) -> Iterator[Row]:
        for deal in self.rows(schema.DEALS):
            words = (deal["title"] or "").lower().replace("[", " ").replace("]", " ").split()
            if not deal.get("is_recurring") and not deal.get("deleted_at") and not {"test", "тест"} & set(words):
                yield deal

    def history(self, deal: Row) -> list[Row]:
        found = [row for row in self.rows(schema.STAGE_MOVES) if row["owner_id"] == deal["id"]]
        return sorted(found, key=lambda row: (row["created_at"], row["id"]))

    def created_closed(self, deal: Row) -> bool:
        history = self.history(deal)
        return bool(history) and history[0]["kind"] == 1 and history[0]["semantics"] != "P"

    def stands_since(self, deal: Row) -> datetime | None:
        since = None
        for row in reversed(self.history(deal)):
            if row["semantics"] != deal["semantics"]:
                break
            since = row["created_at"]
        return since

    def closed_at(self, deal: Row) -> datetime | None:
        on = deal.get("closes_on")
        return self.stands_since(deal) or deal["moved_at"] or (on and datetime(on.year, on.month, on.day, tzinfo=ZONE))

    def closed(self, semantics: str) -> Iterator[Thing]:
        for deal in self.deals():
            if deal["semantics"] not in semantics:
                continue
            manager, rate = deal["assigned_by_id"], self.rate(deal["currency_id"])
            for seen in self.rows(schema.DEAL_CLOSINGS):
                since = self.stands_since(deal)
                of_an_earlier_stay = since is not None and seen["observed_at"] < since - timedelta(minutes=1)
                if seen["deal_id"] == deal["id"] and seen["semantics"] == deal["semantics"] and not of_an_earlier_stay:
                    manager = seen["manager_id"]
                    rate = Fraction(seen["rate"]) / seen["rate_count"] if seen["rate"] is not None else rate
            native = Fraction(deal["opportunity"])
            yield Thing(
                self.closed_at(deal), manager, deal["pipeline_id"], deal["source_id"] or "(none)", None, deal["currency_id"],
                None if rate is None else native * rate, native,
            )  # fmt: skip

    def new(self) -> Iterator[Thing]:
        for deal in self.deals():
            yield Thing(deal["created_at"], deal["assigned_by_id"], deal["pipeline_id"], deal["source_id"] or "(none)")

    def open(self, keep: Callable[[Row], bool]) -> Iterator[Thing]:
        for deal in self.deals():
            if deal["semantics"] == "P" and keep(deal):
                yield Thing(None, deal["assigned_by_id"], deal["pipeline_id"], deal["source_id"], deal["stage_id"])

    def planned(self, deal: Row) -> list[Row]:
        bound = {
            row["activity_id"]
            for row in self.rows(schema.ACTIVITY_BINDINGS)
            if (row["entity_type_id"], row["entity_id"]) == (2, deal["id"])
        }
        return [row for row in self.rows(schema.ACTIVITIES) if row["id"] in bound and not row["completed"]]

    def overdue(self, deal: Row) -> bool:
        return any(row["deadline_at"] and row["deadline_at"] < self.now for row in self.planned(deal))

    def bare(self, deal: Row) -> bool:
        return not self.planned(deal) and working_seconds(deal["created_at"].astimezone(ZONE), self.now) >= 3600

    def calls(self) -> Iterator[Thing]:
        legs = [
            row
            for row in self.rows(schema.PHONE_CALLS)
            if row["category"] == "external" and row["type_id"] != 5 and row["started_at"] < self.now
        ]
        for leg in legs:
            start = min(other["started_at"] for other in legs if other["call_id"] == leg["call_id"])
            talked = leg["duration_seconds"] if leg["failed_code"] == "200" else 0
            yield Thing(start, leg["user_id"], value=Fraction(talked), key=leg["call_id"])

    def responses(self) -> Iterator[Thing]:
        for deal in self.deals():
            by_hand = deal["created_by_id"] == deal["assigned_by_id"] and deal["source_id"] != "CALL"
            if deal["lead_id"] or by_hand or self.created_closed(deal):
                continue
            created, manager, touches = deal["created_at"], deal["assigned_by_id"], []
            bound = {
                row["activity_id"]
                for row in self.rows(schema.ACTIVITY_BINDINGS)
                if (row["entity_type_id"], row["entity_id"]) == (2, deal["id"])
            }
            touches += [
                (row["responsible_id"], row["created_at"])
                for row in self.rows(schema.ACTIVITIES)
                if row["id"] in bound and row["type_id"] == 4 and row["direction"] == 2
            ]
            touches += [
                (row["user_id"], row["started_at"])
                for row in self.rows(schema.PHONE_CALLS)
                if row.get("crm_activity_id") in bound
                and (row["type_id"] in {1, 4} or (row["type_id"] in {2, 3} and row["failed_code"] == "200"))
            ]
            history = self.history(deal)
            for row in history:
                if row["kind"] != 1:
                    who = deal["moved_by_id"] if row is history[-1] else manager
                    touches.append((who, row["created_at"]))
            times = [at for who, at in touches if manager and who == manager and created <= at < self.now]
            if times:
                waited = working_seconds(created.astimezone(ZONE), min(times).astimezone(ZONE))
                yield Thing(
                    created, manager, deal["pipeline_id"], deal["source_id"] or "(none)", value=Fraction(waited)
                )

    # ------------------------------------------------------------ cuts

    def cells(self, grain: str, things: list[Thing]) -> Iterator[tuple[tuple[tuple[str, str], ...], list[Thing], str]]:
        """Labels, the records of the cell, and when it is shown: always, not zero, with records."""
        pipelines = sorted({row["id"] for row in self.rows(schema.PIPELINES)})

        def of(manager: int) -> list[Thing]:
            return [thing for thing in things if thing.manager == manager]

        def labels(**found: object) -> tuple[tuple[str, str], ...]:
            return tuple(sorted((name, str(value)) for name, value in found.items()))

        def place(thing: Thing) -> int:
            return self.primary[thing.manager] if thing.manager in self.managers else 0

        match grain:
            case "T":
                yield labels(), things, "always"
            case "M":
                for m in self.managers:
                    shown = "always" if self.active[m] else "not zero"
                    yield labels(manager_id=m, department_id=self.primary[m]), of(m), shown
            case "M×P":
                for m in self.managers:
                    for p in pipelines:
                        cell = [thing for thing in of(m) if thing.pipeline == p]
                        shown = "always" if self.active[m] else "not zero"
                        yield labels(manager_id=m, department_id=self.primary[m], pipeline_id=p), cell, shown
            case "D":
                for d in self.departments:
                    yield labels(department_id=d), [t for t in things if d in self.above(place(t) or None)], "always"
            case "O" | "O×P":
                for d in (*self.departments, 0):
                    own = [thing for thing in things if place(thing) == d]
                    if grain == "O":
                        yield labels(department_id=d), own, "always"
                    for p in pipelines if grain == "O×P" else ():
                        yield labels(department_id=d, pipeline_id=p), [t for t in own if t.pipeline == p], "always"
            case "P":
                for p in pipelines:
                    yield labels(pipeline_id=p), [thing for thing in things if thing.pipeline == p], "always"
            case "R":
                for r in sorted({str(thing.source) for thing in things}):
                    yield labels(source_id=r), [thing for thing in things if thing.source == r], "records"
            case "C":
                for c in sorted({str(thing.currency) for thing in things}):
                    cell = [Thing(t.at, t.manager, value=t.native) for t in things if t.currency == c]
                    yield labels(currency=c), cell, "records"
            case "S":
                for row in self.rows(schema.STATUSES):
                    if row.get("semantics") != "P":
                        continue
                    stage, p = row["status_id"], row["pipeline_id"]
                    cell = [t for t in things if (t.stage, t.pipeline) == (stage, p)]
                    yield labels(stage_id=stage, pipeline_id=p), cell, "always"

    # ------------------------------------------------------------ answers

    def answers(self) -> Answers:
        """Everything that may be asked."""
        found: Answers = {}

        def tell(
            kpi: str,
            grains: str,
            windows: str,
            things: Iterable[Thing],
            measure: Callable[[list[Thing]], tuple[Fraction | None, int]],
        ) -> None:
            every = list(things)
            for window in windows.split():
                start, end = spans(self.now).get(window, (None, None))
                inside = [t for t in every if start is None or (t.at is not None and start <= t.at < end)]
                for grain in grains.split():
                    for labels, cell, shown in self.cells(grain, inside):
                        value, n = measure(cell)
                        if shown == "always" or (shown == "not zero" and value) or (shown == "records" and n):
                            found[kpi, grain, labels, window] = (value, n)

        def count(cell: list[Thing]) -> tuple[Fraction | None, int]:
            return Fraction(len(cell)), len(cell)

        def total(cell: list[Thing]) -> tuple[Fraction | None, int]:
            return sum((t.value for t in cell if t.value is not None), Fraction(0)), len(cell)

        def mean(cell: list[Thing]) -> tuple[Fraction | None, int]:
            return (total(cell)[0] or Fraction(0)) / len(cell) if cell else None, len(cell)

        def middle(cell: list[Thing]) -> tuple[Fraction | None, int]:
            values = [thing.value for thing in cell if thing.value is not None]
            return median(values), len(values)

        def won_share(cell: list[Thing]) -> tuple[Fraction | None, int]:
            return Fraction(sum(t.key == "S" for t in cell), len(cell)) if cell else None, len(cell)

        def calls(cell: list[Thing]) -> tuple[Fraction | None, int]:
            different = len({thing.key for thing in cell})
            return Fraction(different), different

        def talk(cell: list[Thing]) -> tuple[Fraction | None, int]:
            return sum((t.value or Fraction(0) for t in cell), Fraction(0)), sum(bool(t.value) for t in cell)

        everywhere = "today yesterday 7d 30d wtd mtd qtd prev_month"
        mean_windows = "7d 30d wtd mtd qtd prev_month today"
        won = list(self.closed("S"))
        tell("revenue_won", "M D P R C T M×P O×P", everywhere, won, total)
        tell("deals_won_count", "M D P R T M×P O×P", everywhere, won, count)
        tell("avg_deal_size", "M D P R T", mean_windows, won, mean)
        tell("avg_deal_size_median", "M D P R T", f"{mean_windows} t180", won, middle)
        tell("new_deals_count", "M D P R T O×P", everywhere, self.new(), count)
        both = [
            Thing(t.at, t.manager, t.pipeline, t.source, key=semantics)
            for semantics in "SF"
            for t in self.closed(semantics)
        ]
        tell("win_rate", "M D P R T M×P O×P", "7d 30d mtd qtd prev_month t90 t180", both, won_share)
        tell("open_deals_count", "M D P S T M×P O×P", "now", self.open(lambda _: True), count)
        tell("open_deals_overdue_activity_count", "M D P T M×P O×P", "now", self.open(self.overdue), count)
        tell("open_deals_without_activity_count", "M D P T M×P O×P", "now", self.open(self.bare), count)
        tell("calls_count", "M D T", everywhere, self.calls(), calls)
        tell("talk_time_total_seconds", "M D T O", everywhere, self.calls(), talk)
        tell("first_response_seconds_median", "M D P R T", everywhere, self.responses(), middle)
        self._plans(found, won)
        return found

    def _plans(self, found: Answers, won: list[Thing]) -> None:
        plans = {(row["level"], row["subject_id"], row["month"]): row["amount"] for row in self.rows(schema.PLANS)}
        first = self.now.date().replace(day=1)
        quarter = [month_start(first, -((first.month - 1) % 3) + n).date() for n in range(3)]
        months = {"mtd": [first], "qtd": quarter, "prev_month": [month_start(first, -1).date()]}
        for window, listed in months.items():
            start, end = spans(self.now)[window]
            inside = [t for t in won if t.at is not None and start <= t.at < end]
            for grain in "MDT":
                for labels, cell, shown in self.cells(grain, inside):
                    names = dict(labels)
                    subject = int(names.get("manager_id") or names.get("department_id") or 0)
                    amounts = []
                    for month in listed:
                        own = plans.get((grain, subject, month))
                        members = [
                            amount
                            for (level, user, when), amount in plans.items()
                            if (level, when) == ("M", month)
                            and (grain == "T" or subject in self.above(self.primary.get(user)))
                        ]
                        if own is not None:
                            amounts.append(own)
                        elif grain != "M" and members:
                            amounts.append(sum(members))
                    plan = Fraction(sum(amounts))
                    if plan > 0:
                        value = sum((t.value for t in cell if t.value is not None), Fraction(0)) / plan
                        if shown == "always" or value:
                            found["plan_attainment_ratio", grain, labels, window] = (value, len(cell))
