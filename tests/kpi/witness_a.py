"""A second reading of the catalogue, chapter A, and the ground on which chapters E and G stand as well.

Plain loops over the rows of a ``small.Company``; no code is shared with the evaluator. Two readings that the catalogue
leaves open are noted where they matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from b24metrics.kpi import KpiOptions
from b24metrics.mirror import schema
from tests.kpi.small import Company

Row = dict[str, Any]
Labels = tuple[tuple[str, str], ...]
Span = tuple[datetime, datetime]


class Told(NamedTuple):
    """One answer; sizes that nobody publishes are None."""

    value: Fraction | float | None
    n: int | None = None
    numerator: Fraction | float | None = None
    denominator: Fraction | float | None = None


#: (kpi, grain, labels, window) → answer
Answers = dict[tuple[str, str, Labels, str], Told]


# ---------------------------------------------------------------- time


def instant(zone: ZoneInfo, wall: datetime) -> datetime:
    """The first instant at which the local clock shows ``wall`` or later (working time §2.3)."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    low, high = min(first, second), max(first, second)
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=1) // 2)
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return high


def months_later(first: date, months: int) -> date:
    index = first.year * 12 + first.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


@dataclass(frozen=True)
class Hours:
    """Working time of a week: ISO weekday → shifts, in minutes after midnight; absences by person."""

    zone: ZoneInfo
    week: Mapping[int, Sequence[tuple[int, int]]]

    def shifts(self, day: date) -> list[Span]:
        midnight = datetime.combine(day, time())
        return [
            (instant(self.zone, midnight + timedelta(minutes=opens)), instant(self.zone, midnight + timedelta(minutes=closes)))
            for opens, closes in self.week.get(day.isoweekday(), ())
        ]  # fmt: skip

    def worked(self, start: datetime, end: datetime, absences: Sequence[Span] = ()) -> int:
        """Working seconds of ``[start, end)``, negative where it runs backwards."""
        if end < start:
            return -self.worked(end, start, absences)
        total = timedelta()
        day = start.astimezone(self.zone).date() - timedelta(days=1)
        while day <= end.astimezone(self.zone).date():
            for opens, closes in self.shifts(day):
                pieces = [(max(opens, start), min(closes, end))]
                for left, back in absences:
                    pieces = [
                        piece
                        for begins, ends in pieces
                        for piece in ((begins, min(ends, left)), (max(begins, back), ends))
                    ]
                total += sum((ends - begins for begins, ends in pieces if begins < ends), timedelta())
            day += timedelta(days=1)
        return int(total.total_seconds())

    def standard_day(self) -> int:
        """The most frequent day length of the template."""
        lengths = [sum(closes - opens for opens, closes in shifts) * 60 for shifts in self.week.values() if shifts]
        return max(lengths, key=lengths.count)


# ---------------------------------------------------------------- figures


def median(values: Iterable[Fraction | int]) -> Fraction | None:
    ordered = sorted(Fraction(value) for value in values)
    middle = len(ordered) // 2
    if not ordered:
        return None
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@dataclass
class Thing:
    """A record as the KPIs see it; ``department`` where it was written down with it."""

    at: datetime | None
    manager: int | None
    pipeline: int | None = None
    source: str | None = None
    stage: str | None = None
    currency: str | None = None
    value: Fraction | None = None
    native: Fraction | None = None
    department: int | None = None
    row: Row | None = None
    key: Any = None


Measure = Callable[[list[Thing]], Told]


def count(cell: list[Thing]) -> Told:
    return Told(Fraction(len(cell)), len(cell))


def added(cell: Iterable[Thing]) -> Fraction:
    return sum((thing.value for thing in cell if thing.value is not None), Fraction(0))


def total(cell: list[Thing]) -> Told:
    return Told(added(cell), len(cell))


def mean(cell: list[Thing]) -> Told:
    return Told(added(cell) / len(cell) if cell else None, len(cell))


def middle(cell: list[Thing]) -> Told:
    values = [thing.value for thing in cell if thing.value is not None]
    return Told(median(values), len(values))


def share(numerator: Fraction | float, denominator: Fraction | float) -> Told:
    return Told(numerator / denominator if denominator else None, None, numerator, denominator)


# ---------------------------------------------------------------- the company


class Ground:
    """One company at one instant, with its options."""

    def __init__(self, company: Company, now: datetime, options: KpiOptions, hours: Hours) -> None:
        self.company, self.options, self.hours = company, options, hours
        self.zone = ZoneInfo(options.zone or company.zone)
        self.now = now.astimezone(UTC)
        self.wall = now.astimezone(self.zone).replace(tzinfo=None)
        self.today = self.wall.date()
        self.users = {row["id"]: row for row in self.rows(schema.USERS)}
        self.active = {user: row["active"] for user, row in self.users.items()}
        self.parents = {row["id"]: row["parent_id"] for row in self.rows(schema.DEPARTMENTS)}
        self.primary: dict[int, int] = {}
        for row in self.rows(schema.USER_DEPARTMENTS):
            if row["ordinal"] == 0:
                self.primary[row["user_id"]] = row["department_id"]
        self.primary.update(options.primary_departments)
        wanted = set(options.sales_departments)
        self.departments = [d for d in self.parents if not wanted or wanted & set(self.above(d))]
        self.managers = [u for u, d in self.primary.items() if d in self.departments]
        self.deals = [row for row in self.rows(schema.DEALS) if self.is_wanted(row)]
        self.imports = self.imported(schema.DEALS)

    def rows(self, table: schema.Table) -> list[Row]:
        return self.company.rows.get(table, [])

    def above(self, department: int | None) -> list[int]:
        """The department and what is over it; orphans and rings hang on the root."""
        found: list[int] = []
        root = next((d for d, parent in self.parents.items() if parent is None), None)
        while department is not None and department in self.parents and department not in found:
            found.append(department)
            parent = self.parents[department]
            in_ring = self.in_ring(department) and department == min(self.ring(department))
            if department != root and (parent not in self.parents or in_ring):
                parent = root
            department = parent
        return found

    def ring(self, department: int) -> list[int]:
        seen: list[int] = []
        step: int | None = department
        while step is not None and step in self.parents and step not in seen:
            seen.append(step)
            step = self.parents[step]
        return seen

    def in_ring(self, department: int) -> bool:
        seen = self.ring(department)
        return bool(self.parents[seen[-1]] == department)

    # ------------------------------------------------------------ windows

    def midnight(self, day: date) -> datetime:
        return instant(self.zone, datetime.combine(day, time()))

    def period(self, window: str, steps: int = 0) -> tuple[date, date]:
        """First day of a week, month or quarter, and the day after its last."""
        if window == "wtd":
            first = self.today - timedelta(days=(self.today.isoweekday() - self.options.first_weekday) % 7 + 7 * steps)
            return first, first + timedelta(days=7)
        if window == "prev_month":
            first = months_later(self.today.replace(day=1), -1 - steps)
            return first, months_later(first, 1)
        length = 1 if window == "mtd" else 3
        into = (self.today.month - self.options.fiscal_month) % length
        first = months_later(self.today.replace(day=1), -into - steps * length)
        return first, months_later(first, length)

    def span(self, window: str, steps: int = 0) -> Span:
        """The window, or the comparable one so many steps before (§2.4)."""
        if window == "today":
            day = self.today - timedelta(days=7 * steps)
            return self.midnight(day), instant(self.zone, self.wall - timedelta(days=7 * steps)) if steps else self.now
        if window == "yesterday":
            day = self.today - timedelta(days=1 + 7 * steps)
            return self.midnight(day), self.midnight(day + timedelta(days=1))
        if window in {"7d", "30d", "t90", "t180", "t365"}:
            length = timedelta(days=int(window.strip("dt")))
            end = instant(self.zone, self.wall - length * steps) if steps else self.now
            return instant(self.zone, self.wall - length * (steps + 1)), end
        first, last = self.period(window, steps)
        if window == "prev_month":
            return self.midnight(first), self.midnight(last)
        if not steps:
            return self.midnight(first), self.now
        now_first, now_last = self.period(window)
        if self.options.align == "working":
            whole = self.hours.worked(self.midnight(now_first), self.midnight(now_last))
            if whole:
                passed = self.hours.worked(self.midnight(now_first), self.now)
                due = self.hours.worked(self.midnight(first), self.midnight(last)) * passed // whole
                return self.midnight(first), min(self.deadline(self.midnight(first), due), self.midnight(last))
        elapsed = self.wall - datetime.combine(now_first, time())
        end = instant(self.zone, datetime.combine(first, time()) + elapsed)
        return self.midnight(first), min(end, self.midnight(last))

    def deadline(self, start: datetime, seconds: int) -> datetime:
        """The earliest instant by which so much working time has passed."""
        if not seconds:
            return start
        day = start.astimezone(self.zone).date()
        while True:
            for opens, closes in self.hours.shifts(day):
                begins = max(opens, start)
                length = int((closes - begins).total_seconds())
                if length >= seconds:
                    return begins + timedelta(seconds=seconds)
                seconds -= max(0, length)
            day += timedelta(days=1)

    def inside(self, things: Iterable[Thing], window: str, steps: int = 0) -> list[Thing]:
        if window == "now":
            return list(things)
        start, end = self.span(window, steps)
        return [thing for thing in things if thing.at is not None and start <= thing.at < end]

    # ------------------------------------------------------------ records

    def is_test(self, *texts: str | None) -> bool:
        for text in texts:
            words = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in (text or "").lower())
            if {"test", "тест"} & set(words.split()):
                return True
        return False

    def is_wanted(self, deal: Row, *, deleted: bool = False) -> bool:
        """Base population F0 (§2.2); with ``deleted``, what it was before its deletion."""
        options = self.options
        return (
            bool(deal.get("deleted_at")) is deleted
            and not deal.get("is_recurring")
            and not self.is_test(deal["title"])
            and (options.pipelines is None or deal["pipeline_id"] in options.pipelines)
            and deal["pipeline_id"] not in options.excluded_pipelines
            and deal["source_id"] not in options.excluded_sources
            and deal["assigned_by_id"] not in options.excluded_users
        )

    def imported(self, table: schema.Table) -> set[int]:
        """Records that were not made here (§2.7)."""
        options, found = self.options, set()
        rows = [row for row in self.rows(table) if not row.get("deleted_at")]
        for row in rows:
            early = options.go_live and row["created_at"].astimezone(UTC) < self.midnight(options.go_live)
            if early or {row.get("originator_id"), row.get("origin_id")} & options.migration_origins:
                found.add(row["id"])
            for other in rows:  # the burst that begins with the other one
                span = timedelta(seconds=options.burst_seconds)
                burst = [
                    one["id"]
                    for one in rows
                    if one["created_by_id"] == other["created_by_id"] is not None
                    and timedelta() <= one["created_at"] - other["created_at"] <= span
                ]
                if len(burst) >= options.burst_records:
                    found.update(burst)
        return found

    def rate(self, currency: str | None) -> Fraction | None:
        for row in self.rows(schema.CURRENCIES):
            if row["id"] == currency and row["rate"]:
                return Fraction(row["rate"]) / int(row["rate_count"])
        return None

    def history(self, deal: Row) -> list[Row]:
        found = [
            row for row in self.rows(schema.STAGE_MOVES) if row["owner_id"] == deal["id"] and row["entity_type_id"] == 2
        ]
        return sorted(found, key=lambda row: (row["created_at"], row["id"]))

    def created_closed(self, deal: Row) -> bool:
        history = self.history(deal)
        return bool(history) and history[0]["kind"] == 1 and history[0]["semantics"] != "P"

    def stands_since(self, deal: Row) -> datetime | None:
        since = None
        for row in reversed(self.history(deal)):
            if row["semantics"] != deal["semantics"]:
                break
            since = row["created_at"].astimezone(UTC)
        return since

    def closed_at(self, deal: Row) -> datetime | None:
        """Won or lost when (§1.1, §19)."""
        on = deal.get("closes_on") and self.midnight(deal["closes_on"])
        since = self.stands_since(deal)
        if self.options.closed_at_source == "close_date" and on:
            return on
        if deal["id"] in self.imports and self.created_closed(deal) and on:
            return on
        return since or (deal["moved_at"] and deal["moved_at"].astimezone(UTC)) or on

    def closing(self, deal: Row) -> Row | None:
        """What was written down when this stay in the final stage was first seen."""
        since = self.stands_since(deal)
        for row in self.rows(schema.DEAL_CLOSINGS):
            if row["deal_id"] == deal["id"] and row["semantics"] == deal["semantics"]:
                earlier = since is not None and row["observed_at"] < since - timedelta(minutes=1)
                return None if earlier else row
        return None

    def thing(self, deal: Row, at: datetime | None) -> Thing:
        """A deal with today's person responsible and today's rate."""
        rate, native = self.rate(deal["currency_id"]), Fraction(deal["opportunity"])
        return Thing(
            at, deal["assigned_by_id"], deal["pipeline_id"], deal["source_id"] or "(none)", deal["stage_id"],
            deal["currency_id"], None if rate is None else native * rate, native, row=deal, key=deal["semantics"],
        )  # fmt: skip

    def closed(self, semantics: str) -> list[Thing]:
        found = []
        for deal in self.deals:
            if deal["semantics"] not in semantics:
                continue
            thing = self.thing(deal, self.closed_at(deal))
            if seen := self.closing(deal):
                thing.manager, thing.department = seen["manager_id"], seen["department_id"]
                if seen["rate"] is not None and seen["currency_id"] in {None, deal["currency_id"]}:
                    thing.value = Fraction(deal["opportunity"]) * Fraction(seen["rate"]) / seen["rate_count"]
            found.append(thing)
        return found

    def open(self) -> list[Thing]:
        return [self.thing(deal, None) for deal in self.deals if deal["semantics"] == "P"]

    def created(self) -> list[Thing]:
        return [self.thing(deal, deal["created_at"].astimezone(UTC)) for deal in self.deals]

    # ------------------------------------------------------------ cuts

    def cells(self, grain: str, things: list[Thing]) -> Iterator[tuple[Labels, list[Thing], str]]:
        """Labels, the records of the cell, and when it is shown: always, where not zero, with records."""
        pipelines = sorted(
            row["id"]
            for row in self.rows(schema.PIPELINES)
            if (self.options.pipelines is None or row["id"] in self.options.pipelines)
            and row["id"] not in self.options.excluded_pipelines
        )

        def labels(**found: object) -> Labels:
            return tuple(sorted((name, str(value)) for name, value in found.items()))

        def place(thing: Thing) -> int:
            """The department of the manager as it was written down with the record, else today's (§2.5)."""
            found = thing.department or self.primary.get(thing.manager or 0)
            if thing.manager in self.options.primary_departments:  # left open: told by hand, it is that of all times
                found = self.primary[thing.manager]
            return found if found is not None and found in self.departments else 0

        match grain:
            case "T":
                yield labels(), things, "always"
            case "M" | "M×P":
                for m in self.managers:
                    own = [thing for thing in things if thing.manager == m]
                    names, shown = (
                        {"manager_id": m, "department_id": self.primary[m]},
                        "always" if self.active[m] else "not zero",
                    )
                    if grain == "M":
                        yield labels(**names), own, shown
                    for p in pipelines if grain == "M×P" else ():
                        yield labels(**names, pipeline_id=p), [t for t in own if t.pipeline == p], shown
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
                    stage, p = row["status_id"], row["pipeline_id"]
                    if row["semantics"] == "P" and row["entity_type_id"] == 2 and p in pipelines:
                        cell = [t for t in things if (t.stage, t.pipeline) == (stage, p)]
                        yield labels(stage_id=stage, pipeline_id=p), cell, "always"

    def tell(
        self, found: Answers, kpi: str, grains: str, windows: str, things: Iterable[Thing], measure: Measure
    ) -> None:
        every = list(things)
        for window in windows.split():
            inside = self.inside(every, window)
            for grain in grains.split():
                for labels, cell, shown in self.cells(grain, inside):
                    self.say(found, (kpi, grain, labels, window), measure(cell), shown, cell)

    @staticmethod
    def say(
        found: Answers, key: tuple[str, str, Labels, str], told: Told, shown: str, cell: Sequence[object] = ()
    ) -> None:
        if shown == "always" or (shown == "not zero" and told.value) or (shown == "records" and cell):
            found[key] = told

    # ------------------------------------------------------------ numbers that belong to a month

    def months(self, window: str) -> list[date]:
        first, last = self.period(window)
        return [month for n in range(3) if (month := months_later(first, n)) < last]

    def book(self, rows: Iterable[Row], grain: str, labels: Labels, window: str) -> Fraction | None:
        """The number of the whole period: own of each month, else the sum of the managers'; None without any."""
        names, numbers = dict(labels), list(rows)
        subject = int(names.get("manager_id") or names.get("department_id") or 0)
        found: list[Fraction] = []
        for month in self.months(window):
            own = [
                Fraction(r["amount"])
                for r in numbers
                if (r["level"], r["subject_id"], r["month"]) == (grain, subject, month)
            ]
            members = [
                Fraction(r["amount"])
                for r in numbers
                if (r["level"], r["month"]) == ("M", month)
                and (grain == "T" or subject in self.above(self.primary.get(r["subject_id"])))
            ]
            found += own or (members if grain != "M" else [])
        return sum(found, Fraction(0)) if found else None

    def plans(self, kpi: str = "revenue_won") -> list[Row]:
        """Plans as written down; who joined within a month without one has the share of the next month's that is left.

        Left open: what a joiner's plan is scaled from. The next month is the first whole one.
        """
        rows = [row for row in self.rows(schema.PLANS) if row["kpi_id"] == kpi]
        found = list(rows)
        for row in rows:
            joined = self.users.get(row["subject_id"], {}).get("employed_on") if row["level"] == "M" else None
            before = months_later(row["month"], -1)
            written = any((r["level"], r["subject_id"], r["month"]) == ("M", row["subject_id"], before) for r in rows)
            if joined and before < joined < row["month"] and not written:
                end = self.midnight(row["month"])
                whole = self.hours.worked(self.midnight(before), end)
                left = self.hours.worked(self.midnight(joined), end)
                found.append({**row, "month": before, "amount": Fraction(row["amount"]) * left / whole})
        return found

    def frozen(self, kpi: str) -> list[Row]:
        return [{**row, "amount": row["value"]} for row in self.rows(schema.FROZEN_VALUES) if row["kpi_id"] == kpi]

    def inputs(self, kind: str) -> list[Row]:
        rows = [row for row in self.rows(schema.INPUTS) if row["kind"] == kind]
        return [{**row, "month": row["starts_on"].replace(day=1)} for row in rows]


# ---------------------------------------------------------------- chapter A


EVERYWHERE = "today yesterday 7d 30d wtd mtd qtd prev_month"
MEANS = "7d 30d wtd mtd qtd prev_month today"


class Volume(Ground):
    """Chapter A."""

    def answers(self) -> Answers:
        found: Answers = {}
        won, lost, opened = self.closed("S"), self.closed("F"), self.open()
        new = [thing for thing in self.created() if thing.row and thing.row["id"] not in self.imports]
        self.tell(found, "revenue_won", "M D P R C T M×P O×P", EVERYWHERE, won, total)
        self.tell(found, "deals_won_count", "M D P R T M×P O×P", EVERYWHERE, won, count)
        self.tell(found, "avg_deal_size", "M D P R T", MEANS, won, mean)
        self.tell(found, "avg_deal_size_median", "M D P R T", f"{MEANS} t180", won, middle)
        self.tell(found, "units_sold", "M D P T", "7d 30d wtd mtd qtd prev_month", won, self.units)
        self.tell(found, "revenue_per_customer", "M D T", "30d mtd qtd prev_month", won, self.per_customer)
        self.tell(found, "new_deals_count", "M D P R T O×P", EVERYWHERE, new, count)
        self.tell(found, "deals_lost_count", "M D P R T O×P", EVERYWHERE, lost, count)
        self.tell(found, "revenue_lost", "M D P R T O×P", EVERYWHERE, lost, total)
        self.tell(found, "open_deals_count", "M D P S T M×P O×P", "now", opened, count)
        self.tell(found, "open_pipeline_amount", "M D P S T M×P O×P", "now", opened, total)
        self.tell(found, "weighted_pipeline_amount", "M D P T", "now", opened, lambda cell: Told(self.weighted(cell)))
        self.growth(found, won)
        self.plan_chain(found, won, opened)
        self.forecasts(found, won, opened)
        self.velocity(found, won, lost, opened)
        self.by_product(found, won)
        self.by_segment(found, won)
        return found

    # ------------------------------------------------------------ wins

    def product_rows(self, deal: Row) -> list[Row]:
        return [r for r in self.rows(schema.PRODUCT_ROWS) if (r["owner_type_id"], r["owner_id"]) == (2, deal["id"])]

    def units(self, cell: list[Thing]) -> Told:
        rows = [row for thing in cell if thing.row for row in self.product_rows(thing.row)]
        wanted = [row for row in rows if row["measure_code"] in {None, self.options.headline_unit}]
        return Told(sum((Fraction(row["quantity"]) for row in wanted), Fraction(0)) if rows else None)

    @staticmethod
    def customer(deal: Row) -> tuple[str, int] | None:
        for kind in ("company_id", "contact_id"):
            if (deal.get(kind) or 0) > 0:
                return kind, deal[kind]
        return None

    def per_customer(self, cell: list[Thing]) -> Told:
        bought = [thing for thing in cell if thing.row and self.customer(thing.row)]
        return share(added(bought), len({self.customer(thing.row) for thing in bought if thing.row}))

    def growth(self, found: Answers, won: list[Thing]) -> None:
        for window in ("today", "7d", "30d", "wtd", "mtd", "qtd", "prev_month"):
            before = [self.inside(won, window, steps) for steps in range(1, self.options.growth_periods + 1)]
            for grain in "MDPT":
                sums: list[dict[Labels, Fraction]] = [
                    {labels: added(cell) for labels, cell, _ in self.cells(grain, things)} for things in before
                ]
                for labels, cell, shown in self.cells(grain, self.inside(won, window)):
                    present, last = added(cell), sums[0][labels]
                    value = present / last - 1 if last > 0 else None
                    self.say(found, ("sales_growth_ratio", grain, labels, window), Told(value), shown)
                    usual = sum((one[labels] for one in sums), Fraction(0)) / len(sums)
                    value = present / usual - 1 if usual > 0 else None
                    self.say(found, ("sales_growth_vs_avg_ratio", grain, labels, window), Told(value), shown)

    # ------------------------------------------------------------ plans

    def plan_chain(self, found: Answers, won: list[Thing], opened: list[Thing]) -> None:
        for window in ("mtd", "qtd", "prev_month"):
            first, last = self.period(window)
            start, end = self.midnight(first), self.midnight(last)
            whole, passed = self.hours.worked(start, end), self.hours.worked(start, self.now)
            for grain in "MDT":
                waiting = {labels: added(cell) for labels, cell, _ in self.cells(grain, opened)}
                for labels, cell, shown in self.cells(grain, self.inside(won, window)):

                    def tell(
                        kpi: str, told: Told, at: tuple[str, Labels, str, str] = (grain, labels, window, shown)
                    ) -> None:
                        self.say(found, (kpi, *at[:3]), told, at[3])

                    actual, plan = added(cell), self.book(self.plans(), grain, labels, window)
                    if not plan:  # a plan of nothing is none
                        plan = None
                    if plan:
                        tell("plan_attainment_ratio", Told(actual / plan, None, actual, plan))
                    if window == "prev_month":
                        frozen = self.book(self.frozen("revenue_won"), grain, labels, window)
                        tell("frozen_drift_amount", Told(None if frozen is None else actual - frozen))
                        continue
                    sold = self.usual_share(Fraction(passed, whole)) if whole and passed * 10 >= whole else None
                    pace = actual / sold if sold else None
                    tell("run_rate_forecast_amount", Told(pace))
                    tell("run_rate_attainment_ratio", Told(pace / plan if plan and pace is not None else None))
                    if not plan:
                        continue
                    gap = max(Fraction(0), plan - actual)
                    days = Fraction(self.hours.worked(self.now, end), self.hours.standard_day())
                    tell("plan_amount", Told(plan))
                    tell("plan_gap_amount", Told(gap))
                    tell("required_daily_amount", Told(gap / days if days > 0 else None))
                    tell("pipeline_coverage_ratio", Told(waiting[labels] / gap if gap else None))

    def usual_share(self, passed: Fraction) -> Fraction:
        """Share of sales that is usual after this share of working time."""
        curve = [(Fraction(0), Fraction(0)), *((Fraction(a), Fraction(b)) for a, b in self.options.seasonal_curve)]
        if curve[-1][0] < 1:
            curve.append((Fraction(1), Fraction(1)))
        for (left, low), (right, high) in pairwise(curve):
            if passed <= right:
                return low + (high - low) * (passed - left) / (right - left)
        return curve[-1][1]

    # ------------------------------------------------------------ forecasts

    def open_stages(self, pipeline: int) -> list[str]:
        rows = [
            row
            for row in self.rows(schema.STATUSES)
            if (row["entity_type_id"], row["pipeline_id"], row["semantics"]) == (2, pipeline, "P")
        ]
        return [row["status_id"] for row in sorted(rows, key=lambda row: row["sort"])]

    def reached(self, deal: Row, stage: str) -> bool:
        stages = self.open_stages(deal["pipeline_id"])
        if deal["semantics"] == "S":
            return True
        visited = [
            stages.index(row["stage_id"])
            for row in self.history(deal)
            if row["pipeline_id"] == deal["pipeline_id"] and row["stage_id"] in stages
        ]
        return bool(visited) and max(visited) >= stages.index(stage)

    def chance(self, deal: Row) -> Fraction:
        stages, stage = self.open_stages(deal["pipeline_id"]), deal["stage_id"]
        closed = [
            thing.row
            for thing in self.inside(self.closed("SF"), "t180")
            if thing.row and thing.pipeline == deal["pipeline_id"] and self.reached(thing.row, stage)
        ]
        if len(closed) >= 30:
            return Fraction(sum(one["semantics"] == "S" for one in closed), len(closed))
        if deal.get("probability") is not None:
            return Fraction(deal["probability"], 100)
        if stage in self.options.stage_probabilities:
            return Fraction(self.options.stage_probabilities[stage])
        return Fraction(stages.index(stage) + 1, len(stages) + 1)

    def weighted(self, cell: Iterable[Thing]) -> Fraction:
        return sum((t.value * self.chance(t.row) for t in cell if t.value is not None and t.row), Fraction(0))

    def forecasts(self, found: Answers, won: list[Thing], opened: list[Thing]) -> None:
        for window in ("mtd", "qtd"):
            _, last = self.period(window)
            expected = [t for t in opened if t.row and t.row["closes_on"] and t.row["closes_on"] < last]
            for grain in "MDPT":
                waiting = {labels: self.weighted(cell) for labels, cell, _ in self.cells(grain, expected)}
                for labels, cell, shown in self.cells(grain, self.inside(won, window)):
                    told = Told(added(cell) + waiting[labels])
                    self.say(found, ("period_forecast_amount", grain, labels, window), told, shown)
        for grain in "DT":
            for labels, cell, shown in self.cells(grain, self.inside(won, "prev_month")):
                frozen = self.book(self.frozen("period_forecast_amount"), grain, labels, "prev_month")
                actual = added(cell)
                value = abs(frozen - actual) / actual if frozen is not None and actual > 0 else None
                self.say(found, ("forecast_error_ratio", grain, labels, "prev_month"), Told(value), shown)

    def velocity(self, found: Answers, won: list[Thing], lost: list[Thing], opened: list[Thing]) -> None:
        recent = self.inside(won + lost, "t90")
        for grain in "MDPT":
            closed = {labels: cell for labels, cell, _ in self.cells(grain, recent)}
            for labels, cell, shown in self.cells(grain, opened):
                wins = [thing for thing in closed[labels] if thing.key == "S"]
                cycles = [
                    Fraction((thing.at - thing.row["created_at"]).total_seconds()) / 86_400
                    for thing in wins
                    if thing.row
                    and thing.at
                    and not self.created_closed(thing.row)
                    and thing.row["id"] not in self.imports
                ]
                cycles = [cycle for cycle in cycles if cycle >= 0]
                value: Fraction | None = None
                if cycles and sum(cycles) and (grain != "M" or len(closed[labels]) >= 20):
                    value = len(cell) * (added(wins) / len(wins)) * Fraction(len(wins), len(closed[labels]))
                    value /= sum(cycles, Fraction(0)) / len(cycles)
                self.say(found, ("sales_velocity_per_day", grain, labels, "now"), Told(value), shown)

    # ------------------------------------------------------------ splits

    def split(self, found: Answers, kpi: str, label: str, things: list[Thing]) -> None:
        """Sums by the text in ``key``: the twenty largest of each window, and the rest together."""
        for window in ("30d", "mtd", "qtd", "prev_month"):
            inside = self.inside(things, window)
            for grain in ("D", "P", "T", "O×P"):
                for labels, cell, _ in self.cells(grain, inside):
                    for text in sorted({thing.key for thing in cell}):
                        value = added(thing for thing in cell if thing.key == text)
                        found[kpi, grain, tuple(sorted((*labels, (label, text)))), window] = Told(value)

    def by_product(self, found: Answers, won: list[Thing]) -> None:
        things = []
        for thing in won:
            if thing.value is None or thing.row is None:
                continue
            rate, left = self.rate_of(thing), thing.value
            for row in self.product_rows(thing.row):
                value = Fraction(row["price"]) * Fraction(row["quantity"]) * rate
                left -= value
                things.append(Thing(thing.at, thing.manager, thing.pipeline, value=value, department=thing.department,
                                    key=row["product_name"] or "(none)"))  # fmt: skip
            if left:
                things.append(Thing(thing.at, thing.manager, thing.pipeline, value=left, department=thing.department,
                                    key="unallocated"))  # fmt: skip
        self.split(found, "product_revenue", "product", things)

    def rate_of(self, thing: Thing) -> Fraction:
        assert thing.row is not None
        seen = self.closing(thing.row)
        if seen and seen["rate"] is not None and seen["currency_id"] in {None, thing.currency}:
            return Fraction(seen["rate"]) / int(seen["rate_count"])
        return self.rate(thing.currency) or Fraction(0)

    def by_segment(self, found: Answers, won: list[Thing]) -> None:
        companies = {row["id"]: row for row in self.rows(schema.COMPANIES)}
        contacts = {row["id"]: row for row in self.rows(schema.CONTACTS)}
        things = []
        for thing in won:
            deal = thing.row
            if thing.value is None or deal is None:
                continue
            company, contact = companies.get(deal.get("company_id")), contacts.get(deal.get("contact_id"))
            match self.options.segment_by.value:
                case "industry":
                    text = company["industry"] if company else None
                case "client_type":
                    buyer = company if (deal.get("company_id") or 0) > 0 else contact
                    text = buyer["type_id"] if buyer else None
                case _:
                    text = deal.get("type_id")
            things.append(Thing(thing.at, thing.manager, thing.pipeline, value=thing.value, department=thing.department,
                                key=text or "(none)"))  # fmt: skip
        self.split(found, "segment_revenue", "segment", things)
