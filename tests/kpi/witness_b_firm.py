"""What the second reading of chapters B and H stands on: windows, working time, money, population, cuts.

Read anew from the catalogue; nothing is shared with the evaluator.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from b24metrics.kpi import KpiOptions
from b24metrics.mirror import schema
from tests.kpi.small import Company

Row = dict[str, Any]
Span = tuple[datetime, datetime]
Labels = tuple[tuple[str, str], ...]
#: Weekday 1 … 7 → shifts, hours of the day.
Week = Mapping[int, Sequence[tuple[int, int]]]

DAY = timedelta(days=1)
ALL = "today yesterday 7d 30d wtd mtd qtd prev_month"
LEAD, DEAL, CONTACT, COMPANY, INVOICE = 1, 2, 3, 4, 31
TEST = re.compile(r"(?<!\w)(test|тест)(?!\w)", re.IGNORECASE)
DIALS, INCOMING = (1, 4), (2, 3)


class Said(NamedTuple):
    """What a cell has to say: the value and the sizes behind it."""

    value: Fraction | float | None
    n: int | None = None
    above: Fraction | float | None = None
    below: Fraction | float | None = None


#: (kpi, grain, labels, window) → what is said there
Answers = dict[tuple[str, str, Labels, str], Said]


@dataclass
class Thing:
    """One record, or one leg of a call, as a KPI sees it."""

    at: datetime | None
    who: int | None
    pipelines: frozenset[int] = frozenset()
    source: str = ""
    currency: str | None = None
    value: Fraction | None = None
    native: Fraction | None = None
    key: object = None
    facts: Row = field(default_factory=dict)
    #: The department that was frozen with the record; None: that of the person.
    department: int | None = None


Measure = Callable[[list[Thing]], Said]


# ---------------------------------------------------------------- time


def instant(zone: ZoneInfo, wall: datetime) -> datetime:
    """The first instant at which the local clock shows this or later."""
    early, late = sorted(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early.astimezone(zone).replace(tzinfo=None) == wall:
        return early
    while late - early > timedelta(seconds=1):  # the clock jumps somewhere in between
        middle = early + (late - early) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).replace(tzinfo=None) >= wall:
            late = middle
        else:
            early = middle
    return late


def midnight(zone: ZoneInfo, on: date) -> datetime:
    return instant(zone, datetime(on.year, on.month, on.day))


def first_of(on: date, months: int = 0) -> date:
    years, month = divmod(on.year * 12 + on.month - 1 + months, 12)
    return date(years, month + 1, 1)


def spans(now: datetime, zone: ZoneInfo) -> dict[str, Span]:
    """Windows of §2.4."""
    wall = now.astimezone(zone).replace(tzinfo=None)
    today = wall.date()
    month = midnight(zone, first_of(today))
    return {
        "today": (midnight(zone, today), now),
        "yesterday": (midnight(zone, today - DAY), midnight(zone, today)),
        "7d": (instant(zone, wall - 7 * DAY), now),
        "30d": (instant(zone, wall - 30 * DAY), now),
        "wtd": (midnight(zone, today - today.weekday() * DAY), now),
        "mtd": (month, now),
        "qtd": (midnight(zone, first_of(today, -((today.month - 1) % 3))), now),
        "prev_month": (midnight(zone, first_of(today, -1)), month),
    }


class Clock:
    """Working time of a weekly template, the shifts of each date taken one by one."""

    def __init__(self, zone: ZoneInfo, week: Week) -> None:
        self.zone, self.week = zone, week
        self._days: dict[date, list[Span]] = {}

    def shifts(self, on: date) -> list[Span]:
        if on not in self._days:
            start = datetime(on.year, on.month, on.day)
            self._days[on] = [
                (instant(self.zone, start + timedelta(hours=a)), instant(self.zone, start + timedelta(hours=b)))
                for a, b in self.week.get(on.isoweekday(), ())
            ]
        return self._days[on]

    def elapsed(self, start: datetime, end: datetime, absences: Sequence[Span] = ()) -> int:
        """Seconds of work between two instants; negative backwards."""
        if end < start:
            return -self.elapsed(end, start, absences)
        total, on = timedelta(), start.astimezone(self.zone).date() - DAY
        while on <= end.astimezone(self.zone).date():
            for opens, closes in self.shifts(on):
                a, b = max(start, opens), min(end, closes)
                if a < b:
                    total += b - a - _covered(a, b, absences)
            on += DAY
        return int(total.total_seconds())

    def works(self, at: datetime) -> bool:
        on = at.astimezone(self.zone).date()
        return any(a <= at < b for day in (on - DAY, on) for a, b in self.shifts(day))

    def dates(self, after: date, until: date) -> int:
        """Working dates behind the first up to the second."""
        return sum(bool(self.shifts(after + n * DAY)) for n in range(1, (until - after).days + 1))


def _covered(start: datetime, end: datetime, absences: Sequence[Span]) -> timedelta:
    covered, reached = timedelta(), start
    for a, b in sorted(absences):
        begins, ends = max(a, reached), min(b, end)
        if begins < ends:
            covered, reached = covered + (ends - begins), ends
    return covered


# ---------------------------------------------------------------- arithmetic


def middle(values: Iterable[Fraction]) -> Fraction | None:
    ordered = sorted(values)
    half = len(ordered) // 2
    if not ordered:
        return None
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def survival_median(waits: Sequence[tuple[Fraction, bool]]) -> Fraction | None:
    """Kaplan-Meier: (how long, whether it ended) → the smallest time with S ≤ 0.5."""
    left = Fraction(1)
    for moment in sorted({wait for wait, ended in waits if ended}):
        risk = sum(wait >= moment for wait, _ in waits)
        left *= 1 - Fraction(sum(wait == moment and ended for wait, ended in waits), risk)
        if left <= Fraction(1, 2):
            return moment
    return None


def wilson_high(k: int, n: int) -> float:
    z, p = 1.959963984540054, k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    return centre + z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)


def share(above: Fraction | float, below: Fraction | float) -> Said:
    above, below = Fraction(above), Fraction(below)
    return Said(above / below if below > 0 else None, None, above, below)


def count(cell: list[Thing]) -> Said:
    return Said(Fraction(len(cell)), len(cell))


def total(cell: list[Thing]) -> Said:
    return Said(sum((thing.value for thing in cell if thing.value is not None), Fraction(0)), len(cell))


def before(rows: Iterable[Row], at: datetime, column: str) -> list[Row]:
    return [row for row in rows if row.get(column) is not None and row[column] < at]


# ---------------------------------------------------------------- the company


class Firm:
    """One company at one instant: people, scope, records, and how answers are cut."""

    def __init__(
        self,
        company: Company,
        now: datetime,
        options: KpiOptions,
        week: Week,
        department_weeks: Mapping[int, Week] | None = None,
    ) -> None:
        self.company, self.now, self.options = company, now.astimezone(UTC), options
        self.zone = ZoneInfo(company.zone)
        self.spans = spans(self.now, self.zone)
        self.clock = Clock(self.zone, week)
        self.department_clocks = {d: Clock(self.zone, w) for d, w in (department_weeks or {}).items()}
        known = {row["id"]: row for row in self.rows(schema.DEPARTMENTS)}
        self.parents = _tree({d: row.get("parent_id") for d, row in known.items()})
        self.primary: dict[int, int] = {}
        for row in self.rows(schema.USER_DEPARTMENTS):
            if row["ordinal"] == 0:
                self.primary[row["user_id"]] = row["department_id"]
        self.primary.update(options.primary_departments)
        sales = options.sales_departments
        self.departments = [d for d in self.parents if not sales or sales & set(self.above(d))]
        self.users = {row["id"]: row for row in self.rows(schema.USERS)}
        self.managers = [u for u, d in self.primary.items() if u in self.users and d in self.departments]

    def rows(self, table: schema.Table) -> list[Row]:
        """Rows that are not deleted."""
        return [row for row in self.company.rows.get(table, []) if row.get("deleted_at") is None]

    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def local_date(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def above(self, department: int | None) -> list[int]:
        """A department and those above it."""
        found: list[int] = []
        while department is not None and department in self.parents:
            found.append(department)
            department = self.parents[department]
        return found

    def worked(self, user: int | None, start: datetime, end: datetime) -> int:
        """Working seconds in a person's calendar; the company's before they came and after they were seen to go."""
        clock = self.clock
        for department in self.above(self.primary.get(user)) if user is not None else ():
            if department in self.department_clocks:
                clock = self.department_clocks[department]
                break
        row = self.users.get(user, {}) if user is not None else {}
        absences = [
            (away["starts_at"], away["ends_at"]) for away in self.rows(schema.ABSENCES) if away["user_id"] == user
        ]
        came = midnight(self.zone, row["employed_on"]) if row.get("employed_on") else start
        went = row.get("dismissed_at") or end
        came, went = min(max(came, start), end), max(min(went, end), start)
        return (
            self.clock.elapsed(start, came)
            + (clock.elapsed(came, went, absences) if came < went else 0)
            + self.clock.elapsed(max(came, went), end)
        )

    # ------------------------------------------------------------ money

    def rate(self, currency: str | None) -> Fraction | None:
        for row in self.rows(schema.CURRENCIES):
            if row["id"] == currency and row["rate"] is not None and row["rate_count"]:
                return Fraction(row["rate"]) / int(row["rate_count"])
        return None

    # ------------------------------------------------------------ population

    def imports(self, table: schema.Table) -> set[int]:
        """Ids of records that were imported (§2.7)."""
        rows = self.rows(table)
        found = set()
        for row in rows:
            created, origins = row["created_at"], {row.get("originator_id"), row.get("origin_id")}
            if self.options.go_live and created and created < midnight(self.zone, self.options.go_live):
                found.add(row["id"])
            if origins & self.options.migration_origins:
                found.add(row["id"])
        by_author = defaultdict(list)
        for row in rows:
            if row["created_at"] is not None and row["created_by_id"] is not None:
                by_author[row["created_by_id"]].append((row["created_at"], row["id"]))
        reach = timedelta(seconds=self.options.burst_seconds)
        for written in by_author.values():
            for start, _ in written:
                burst = {number for at, number in written if start <= at <= start + reach}
                if len(burst) >= self.options.burst_records:
                    found |= burst
        return found

    def counted(self, row: Row) -> bool:
        """F0 of deals, leads and invoices, as far as the columns are there."""
        return (
            not row.get("is_recurring")
            and not TEST.search(row.get("title") or "")
            and row.get("source_id") not in (self.options.excluded_sources or {object()})
            and row.get("assigned_by_id") not in self.options.excluded_users
        )

    def deals(self) -> list[Row]:
        chosen = self.options.pipelines
        return [
            row
            for row in self.rows(schema.DEALS)
            if self.counted(row)
            and (chosen is None or row["pipeline_id"] in chosen)
            and row["pipeline_id"] not in self.options.excluded_pipelines
        ]

    def history(self, owner: int, kind: int = DEAL) -> list[Row]:
        found = [
            row for row in self.rows(schema.STAGE_MOVES) if (row["entity_type_id"], row["owner_id"]) == (kind, owner)
        ]
        return sorted(found, key=lambda row: (row["created_at"], row["id"]))

    def stands_since(self, row: Row, semantics: str, kind: int) -> datetime | None:
        since = None
        for move in reversed(self.history(row["id"], kind)):
            if move["semantics"] != semantics:
                break
            since = move["created_at"]
        return since

    def created_closed(self, deal: Row) -> bool:
        history = self.history(deal["id"])
        return bool(history) and history[0]["kind"] == 1 and history[0]["semantics"] in {"S", "F"}

    def closed_at(self, deal: Row, imported: set[int]) -> datetime | None:
        on = midnight(self.zone, deal["closes_on"]) if deal.get("closes_on") else None
        if deal["id"] in imported and self.created_closed(deal) and on is not None:
            return on
        return self.stands_since(deal, deal["semantics"], DEAL) or deal["moved_at"] or on

    def closed(self, semantics: str) -> list[Thing]:
        """Deals that were won or lost, with what was frozen at that moment."""
        imported, found = self.imports(schema.DEALS), []
        for deal in self.deals():
            if deal["semantics"] not in semantics:
                continue
            manager, rate, department = deal["assigned_by_id"], self.rate(deal["currency_id"]), None
            closed_at = self.closed_at(deal, imported)
            if closed_at is not None and closed_at > self.now:
                continue
            for seen in self.rows(schema.DEAL_CLOSINGS):
                if seen["deal_id"] == deal["id"] and seen["semantics"] == deal["semantics"]:
                    manager, department = seen["manager_id"], seen.get("department_id")
                    if seen.get("rate") is not None:
                        rate = Fraction(seen["rate"]) / seen["rate_count"]
            native = Fraction(deal["opportunity"] or 0)
            found.append(
                Thing(
                    closed_at, manager, frozenset({deal["pipeline_id"]}), deal["source_id"] or "(none)",
                    deal["currency_id"], None if rate is None else native * rate, native, deal["id"], deal, department,
                )
            )  # fmt: skip
        return found

    # ------------------------------------------------------------ cuts

    def cells(self, grain: str, things: list[Thing]) -> Iterator[tuple[Labels, list[Thing], str]]:
        """Labels, the records of the cell, and when it is shown: always, not zero, with records."""
        chosen = self.options.pipelines
        pipelines = sorted(
            row["id"]
            for row in self.rows(schema.PIPELINES)
            if row["entity_type_id"] == DEAL and (chosen is None or row["id"] in chosen)
        )

        def labels(**found: object) -> Labels:
            return tuple(sorted((name, str(value)) for name, value in found.items()))

        def place(thing: Thing) -> int:
            """The department at the time, where it is known and nothing else was configured; else that of today."""
            if thing.department is not None and thing.who not in self.options.primary_departments:
                return thing.department
            return self.primary[thing.who] if thing.who in self.managers else 0

        match grain:
            case "T":
                yield labels(), things, "always"
            case "M":
                for m in self.managers:
                    shown = "always" if self.users[m]["active"] else "not zero"
                    cell = [thing for thing in things if thing.who == m]
                    yield labels(manager_id=m, department_id=self.primary[m]), cell, shown
            case "D":
                for d in self.departments:
                    yield labels(department_id=d), [t for t in things if d in self.above(place(t))], "always"
            case "O" | "O×P":
                for d in (*self.departments, 0):
                    own = [thing for thing in things if (place(thing) if place(thing) in self.departments else 0) == d]
                    if grain == "O":
                        yield labels(department_id=d), own, "always"
                    if grain == "O×P":
                        for p in pipelines:
                            yield labels(department_id=d, pipeline_id=p), [t for t in own if p in t.pipelines], "always"
                        # Parts of a sum: a move that happened in a pipeline that does not count is one of them.
                        none = [thing for thing in own if not set(thing.pipelines) & set(pipelines)]
                        yield labels(department_id=d, pipeline_id="(none)"), none, "records"
            case "P":
                for p in pipelines:
                    yield labels(pipeline_id=p), [thing for thing in things if p in thing.pipelines], "always"
            case "R":
                for r in sorted({thing.source for thing in things}):
                    yield labels(source_id=r), [thing for thing in things if thing.source == r], "records"
            case "C":
                for c in sorted({str(thing.currency) for thing in things if thing.currency}):
                    cell = [thing for thing in things if thing.currency == c]
                    yield labels(currency=c), [_natively(thing) for thing in cell], "records"

    def tell(
        self,
        found: Answers,
        kpi: str,
        grains: str,
        windows: str,
        things: Iterable[Thing],
        measure: Measure,
        **extra: str,
    ) -> None:
        """Write down one KPI at all its cuts; ``extra``: labels beyond the grain."""
        every = list(things)
        for window in windows.split():
            inside = [thing for thing in every if self._inside(thing, window)]
            for grain in grains.split():
                for labels, cell, shown in self.cells(grain, inside):
                    said = measure(cell)
                    if shown == "always" or (shown == "not zero" and said.value) or (shown == "records" and cell):
                        found[kpi, grain, tuple(sorted((*labels, *extra.items()))), window] = said

    def _inside(self, thing: Thing, window: str) -> bool:
        if window == "now":
            return True
        start, end = self.spans[window]
        return thing.at is not None and start <= thing.at < end


def _tree(parents: Mapping[int, int | None]) -> dict[int, int | None]:
    """Departments and their parents; orphans hang on the root, and so does who stands in a circle."""
    root = min((d for d, parent in parents.items() if parent is None), default=None)

    def circles(department: int) -> bool:
        seen, above = {department}, parents[department]
        while above is not None and above in parents and above not in seen:
            seen.add(above)
            above = parents[above]
        return above == department

    return {
        d: root if parent is not None and (parent not in parents or circles(d)) else parent
        for d, parent in parents.items()
    }


def _natively(thing: Thing) -> Thing:
    return Thing(
        thing.at, thing.who, thing.pipelines, thing.source, thing.currency, thing.native, thing.native, thing.key,
        thing.facts, thing.department,
    )  # fmt: skip
