"""What the witnesses of chapters C and D stand on: records, people, windows and working time in plain Python.

Laws: nothing of the evaluator is used but the declared grains and windows of a KPI; rows are dictionaries as the mirror
holds them; instants are aware, working seconds are whole; values are fractions wherever money is concerned.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from b24metrics.kpi import KPIS, KpiOptions
from b24metrics.kpi.model import Axis, Grain, Kpi
from b24metrics.kpi.options import ActivityKind, ClosedAtSource, LeadMode
from b24metrics.mirror import schema
from tests.kpi.small import Company

Row = dict[str, Any]
Span = tuple[datetime, datetime]
Labels = tuple[tuple[str, str], ...]
Key = tuple[str, str, Labels, str]
Number = Fraction | float | int | None
DEAL, LEAD = 2, 1
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Told:
    """One sample: the value, and the sizes beside it."""

    value: Number
    n: int | None = None
    numerator: Number = None
    denominator: Number = None


Answers = dict[Key, Told]


@dataclass
class Thing:
    """A record as one KPI sees it; ``at`` None: it belongs to the present state."""

    at: datetime | None
    manager: int | None
    pipeline: int | None = None
    source: str | None = None
    stage: str | None = None
    value: Number = None
    good: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)
    key: object = None
    department: int | None = None  # where it was frozen


# ---------------------------------------------------------------- statistics


def quantile(values: Iterable[Number], q: float) -> Number:
    """Hyndman-Fan type 7."""
    ordered = sorted(Fraction(value) for value in values if value is not None)
    if not ordered:
        return None
    place = Fraction(str(q)) * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def survival_median(observed: Iterable[tuple[Number, bool]]) -> Number:
    """Kaplan-Meier: the smallest time with S(t) ≤ 1/2; (time, whether it ended there)."""
    rows = [(Fraction(time), ended) for time, ended in observed if time is not None]
    alive = Fraction(1)
    for time in sorted({time for time, ended in rows if ended}):
        at_risk = sum(other >= time for other, _ in rows)
        alive *= 1 - Fraction(sum(other == time and ended for other, ended in rows), at_risk)
        if alive <= Fraction(1, 2):
            return time
    return None


def count(cell: list[Thing]) -> Told:
    return Told(len(cell), len(cell))


def distinct(cell: list[Thing]) -> Told:
    return Told(len({thing.key for thing in cell}))


def total(cell: list[Thing]) -> Told:
    return Told(sum((Fraction(thing.value) for thing in cell if thing.value is not None), Fraction(0)), len(cell))


def mean(cell: list[Thing]) -> Told:
    return Told(Fraction(total(cell).value or 0) / len(cell) if cell else None, len(cell))


def at_quantile(q: float) -> Callable[[list[Thing]], Told]:
    def told(cell: list[Thing]) -> Told:
        values = [thing.value for thing in cell if thing.value is not None]
        return Told(quantile(values, q), len(values))

    return told


def survived(cell: list[Thing]) -> Told:
    return Told(survival_median((thing.value, thing.good) for thing in cell), len(cell))


def ratio(numerator: Number, denominator: Number) -> Told:
    over = Fraction(denominator or 0)
    return Told(Fraction(numerator or 0) / over if over > 0 else None, None, numerator, denominator)


def share(cell: list[Thing]) -> Told:
    return ratio(sum(thing.good for thing in cell), len(cell))


# ---------------------------------------------------------------- time


class Clock:
    """Working time of simple weeks: {weekday: (opens, closes)} in whole hours of one zone, absences taken out."""

    def __init__(self, intervals: Iterable[tuple[int, int]]) -> None:
        self.intervals = sorted(intervals)
        self.starts = [start for start, _ in self.intervals]
        self.sums = [0]
        for start, end in self.intervals:
            self.sums.append(self.sums[-1] + end - start)

    @classmethod
    def weekly(cls, zone: ZoneInfo, week: Mapping[int, tuple[int, int]]) -> Clock:
        found = []
        day = date(2023, 12, 1)
        while day < date(2026, 2, 1):
            if day.weekday() in week:
                opens, closes = week[day.weekday()]
                midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
                ends = midnight.replace(hour=closes) if closes < 24 else (midnight + DAY)
                found.append((seconds(midnight.replace(hour=opens)), seconds(ends)))
            day += DAY
        return cls(found)

    def without(self, absences: Iterable[tuple[datetime, datetime]]) -> Clock:
        left = self.intervals
        for begins, ends in absences:
            start, end = seconds(begins), seconds(ends)
            left = [
                piece
                for s, e in left
                for piece in ((s, min(e, start)), (max(s, end), e))
                if piece[0] < piece[1]
            ]  # fmt: skip
        return Clock(left)

    def spliced(self, other: Clock, *, until: datetime | None = None, since: datetime | None = None) -> Clock:
        """The other clock before ``until`` and from ``since`` on, this one between."""
        low = seconds(until) if until else -(10**12)
        high = seconds(since) if since else 10**12
        own = [(max(s, low), min(e, high)) for s, e in self.intervals]
        before = [(s, min(e, low)) for s, e in other.intervals]
        after = [(max(s, high), e) for s, e in other.intervals]
        return Clock((s, e) for s, e in (*own, *before, *after) if s < e)

    def worked(self, instant: int) -> int:
        place = bisect_right(self.starts, instant) - 1
        if place < 0:
            return 0
        start, end = self.intervals[place]
        return self.sums[place] + min(instant, end) - start

    def elapsed(self, start: datetime, end: datetime) -> int:
        return self.worked(seconds(end)) - self.worked(seconds(start))


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


# ---------------------------------------------------------------- the company


class Ground:
    """One company at one instant."""

    #: Weeks by which departments may work, besides the company's office hours.
    OFFICE: Mapping[int, tuple[int, int]] = dict.fromkeys(range(5), (9, 18))
    LONG: Mapping[int, tuple[int, int]] = dict.fromkeys(range(7), (8, 20))

    def __init__(
        self, company: Company, now: datetime, options: KpiOptions, long_departments: Iterable[int] = ()
    ) -> None:
        self.company, self.options = company, options
        self.zone = ZoneInfo(company.zone)
        self.now = now.astimezone(self.zone)
        self.found: Answers = {}
        self._rows: dict[schema.Table, list[Row]] = {}
        self.clock = Clock.weekly(self.zone, self.OFFICE)
        self._long = Clock.weekly(self.zone, self.LONG)
        self._long_departments = set(long_departments)
        self._clocks: dict[int, Clock] = {}
        self._people()
        self._index()

    def rows(self, table: schema.Table) -> list[Row]:
        """With every column of the table."""
        if table not in self._rows:
            blank = dict.fromkeys(table.all_columns)
            self._rows[table] = [blank | row for row in self.company.rows.get(table, [])]
        return self._rows[table]

    # ------------------------------------------------------------ people

    def _people(self) -> None:
        parents = {row["id"]: row["parent_id"] for row in self.rows(schema.DEPARTMENTS)}
        root = next(number for number, parent in parents.items() if parent is None)
        self.parents = {  # orphans hang on the root
            number: root if parent is not None and parent not in parents else parent
            for number, parent in parents.items()
        }
        self.users = {row["id"]: row for row in self.rows(schema.USERS)}
        self.primary: dict[int, int] = {}
        for row in sorted(self.rows(schema.USER_DEPARTMENTS), key=lambda row: -row["ordinal"]):
            self.primary[row["user_id"]] = row["department_id"]
        self.primary.update(self.options.primary_departments)
        sales = self.options.sales_departments
        self.departments = [number for number in self.parents if not sales or sales & set(self.above(number))]
        self.managers = [user for user in self.users if self.primary.get(user) in self.departments]

    def above(self, department: int | None) -> list[int]:
        """The department and those above it, each once."""
        found: list[int] = []
        while department is not None and department not in found:
            found.append(department)
            department = self.parents.get(department)
        return found

    def place(self, thing: Thing) -> int:
        """Own department of a record; 0 outside."""
        # Left open: whether a configured department is that of all times. It is told by hand, so it is.
        if thing.department is not None and thing.manager not in self.options.primary_departments:
            return thing.department if thing.department in self.departments else 0
        return self.primary[thing.manager] if thing.manager is not None and thing.manager in self.managers else 0

    def clock_of(self, user: int | None) -> Clock:
        """Working time of an employee; the company's of nobody."""
        if user is None or user not in self.users:
            return self.clock
        if user not in self._clocks:
            row = self.users[user]
            own = self.shifts_of(user).without(
                (row["starts_at"], row["ends_at"]) for row in self.rows(schema.ABSENCES) if row["user_id"] == user
            )
            first = row.get("employed_on")
            begins = datetime(first.year, first.month, first.day, tzinfo=self.zone) if first else None
            self._clocks[user] = own.spliced(self.clock, until=begins, since=row.get("dismissed_at"))
        return self._clocks[user]

    def shifts_of(self, user: int | None) -> Clock:
        """What an employee would work if never absent."""
        long = any(number in self._long_departments for number in self.above(self.primary.get(user or 0)))
        return self._long if long else self.clock

    def is_gone(self, user: int | None) -> bool:
        return user in self.users and not self.users[user]["active"]

    # ------------------------------------------------------------ records

    def _index(self) -> None:
        self.history: dict[tuple[int, int], list[Row]] = {}
        for row in sorted(self.rows(schema.STAGE_MOVES), key=lambda row: (row["created_at"], row["id"])):
            self.history.setdefault((row["entity_type_id"], row["owner_id"]), []).append(row)
        self.bound: dict[tuple[int, int], set[int]] = {}
        for row in self.rows(schema.ACTIVITY_BINDINGS):
            self.bound.setdefault((row["entity_type_id"], row["entity_id"]), set()).add(row["activity_id"])
        self.activities = {row["id"]: row for row in self.rows(schema.ACTIVITIES) if not row.get("deleted_at")}
        self.hands: dict[tuple[int, int], list[Row]] = {}
        for row in sorted(self.rows(schema.ASSIGNMENTS), key=lambda row: row["changed_at"]):
            self.hands.setdefault((row["entity_type_id"], row["entity_id"]), []).append(row)
        self.closings = {row["deal_id"]: row for row in self.rows(schema.DEAL_CLOSINGS)}
        self.rates = {row["id"]: Fraction(row["rate"]) / row["rate_count"] for row in self.rows(schema.CURRENCIES)}
        self.statuses = {
            (row["entity_type_id"], row["pipeline_id"], row["status_id"]): row for row in self.rows(schema.STATUSES)
        }
        self._bursts = {DEAL: self._burst(schema.DEALS), LEAD: self._burst(schema.LEADS)}
        self.deals = [row for row in self.rows(schema.DEALS) if self.counts(row)]
        self.leads = [row for row in self.rows(schema.LEADS) if self.counts(row)]
        self.pipelines = [
            row["id"]
            for row in self.rows(schema.PIPELINES)
            if row["id"] not in self.options.excluded_pipelines
            and (self.options.pipelines is None or row["id"] in self.options.pipelines)
        ]

    def counts(self, row: Row) -> bool:
        """Base population F0 of deals and leads."""
        options, pipeline = self.options, row.get("pipeline_id")
        words = re.split(r"[^\w]+", (row["title"] or "").lower())
        return not (
            row.get("deleted_at")
            or row.get("is_recurring")
            or {"test", "тест"} & set(words)
            or row["source_id"] in options.excluded_sources
            or row["assigned_by_id"] in options.excluded_users
            or pipeline in options.excluded_pipelines
            or (pipeline is not None and options.pipelines is not None and pipeline not in options.pipelines)
        )

    def _burst(self, table: schema.Table) -> set[int]:
        found: set[int] = set()
        rows = [row for row in self.rows(table) if not row.get("deleted_at")]
        for first in rows:
            last = first["created_at"] + timedelta(seconds=self.options.burst_seconds)
            same = [
                row["id"]
                for row in rows
                if row["created_by_id"] is not None
                and row["created_by_id"] == first["created_by_id"]
                and first["created_at"] <= row["created_at"] <= last
            ]
            if len(same) >= self.options.burst_records:
                found.update(same)
        return found

    def is_imported(self, kind: int, row: Row) -> bool:
        live = self.options.go_live
        return bool(
            (live and row["created_at"].astimezone(self.zone).date() < live)
            or {row.get("originator_id"), row.get("origin_id")} & self.options.migration_origins
            or row["id"] in self._bursts[kind]
        )

    def moves(self, kind: int, row: Row) -> list[Row]:
        return self.history.get((kind, row["id"]), [])

    def created_closed(self, kind: int, row: Row) -> bool:
        history = self.moves(kind, row)
        return bool(history) and history[0]["kind"] == 1 and history[0]["semantics"] != "P"

    def closed_at(self, kind: int, row: Row) -> datetime | None:
        """Start of the present uninterrupted stay in a final stage."""
        on = row.get("closes_on")
        date_at = datetime(on.year, on.month, on.day, tzinfo=self.zone) if on else None
        by_date = self.options.closed_at_source is ClosedAtSource.CLOSE_DATE or (
            self.is_imported(kind, row) and self.created_closed(kind, row)
        )
        if kind == DEAL and by_date and date_at is not None:
            return date_at
        return self.closed_since(kind, row)

    def closed_since(self, kind: int, row: Row) -> datetime | None:
        """The same by history, whatever date people gave."""
        on = row.get("closes_on")
        date_at = datetime(on.year, on.month, on.day, tzinfo=self.zone) if on else None
        since = None
        for move in reversed(self.moves(kind, row)):
            if move["semantics"] != row["semantics"]:
                break
            since = move["created_at"]
        found: datetime | None = since or row["moved_at"] or (date_at if kind == DEAL else row["closed_at"])
        return found

    def responsible(self, kind: int, row: Row, at: datetime) -> int | None:
        """Who had it at a moment."""
        who = self.first_responsible(kind, row)
        for change in self.hands.get((kind, row["id"]), []):
            if change["changed_at"] <= at:
                who = change["to_id"]
        return who

    def first_responsible(self, kind: int, row: Row) -> int | None:
        hands = self.hands.get((kind, row["id"]), [])
        found: int | None = hands[0]["from_id"] if hands else row["assigned_by_id"]
        return found

    def amount(self, deal: Row, native: Number = None, currency: str | None = None) -> Fraction | None:
        """In the reporting currency; of a closed deal at the rate that was frozen."""
        native = deal["opportunity"] if native is None else native
        rate = self.rates.get(currency or deal["currency_id"])
        frozen = self.closings.get(deal["id"])
        same = (
            frozen
            and deal["semantics"] == frozen["semantics"]
            and frozen["currency_id"] == (currency or deal["currency_id"])
        )
        if frozen and same and frozen["rate"] is not None:
            rate = Fraction(frozen["rate"]) / frozen["rate_count"]
        return None if rate is None or native is None else Fraction(native) * rate

    def closed(self, semantics: str = "SF") -> Iterator[tuple[Row, Thing]]:
        """Deals won or lost now, attributed as it was then."""
        for deal in self.deals:
            if deal["semantics"] in semantics:
                frozen, at = self.closings.get(deal["id"]), self.closed_at(DEAL, deal)
                since = self.closed_since(
                    DEAL, deal
                )  # whoever had it then, whatever date is given: later hands move nothing
                manager = self.responsible(DEAL, deal, since) if since else deal["assigned_by_id"]
                yield deal, Thing(
                    at, frozen["manager_id"] if frozen else manager,
                    deal["pipeline_id"], source_of(deal), value=self.amount(deal), good=deal["semantics"] == "S",
                    key=deal["id"], department=frozen.get("department_id") if frozen else None,
                )  # fmt: skip

    def kind_of(self, activity: Row) -> ActivityKind:
        provider = activity["provider_id"] or ""
        if provider in self.options.activity_kinds:
            return self.options.activity_kinds[provider]
        known = {1: ActivityKind.MEETING, 2: ActivityKind.CALL, 3: ActivityKind.TASK, 4: ActivityKind.EMAIL}
        if activity["type_id"] in known:
            return known[activity["type_id"]]
        return ActivityKind.CHAT if provider == "IMOPENLINES_SESSION" else ActivityKind.OTHER

    def held_at(self, activity: Row) -> datetime | None:
        """When a meeting was held."""
        starts = activity.get("starts_at")
        is_meeting = self.kind_of(activity) is ActivityKind.MEETING
        return starts if is_meeting and activity["completed"] and starts and starts <= self.now else None

    def is_classic(self) -> bool:
        if self.options.lead_mode is not LeadMode.AUTO:
            return self.options.lead_mode is LeadMode.CLASSIC
        return self.company.crm_mode == 1

    # ------------------------------------------------------------ windows

    def instant(self, wall: datetime) -> datetime:
        """The first instant at which the local clock shows ``wall`` or later."""
        found = wall.replace(tzinfo=self.zone, fold=0)
        if found.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) == wall:
            return found
        instant = found.astimezone(UTC) - timedelta(hours=2)
        while instant.astimezone(self.zone).replace(tzinfo=None) < wall:
            instant += timedelta(minutes=1)
        return instant

    def back(self, days: int, moment: datetime | None = None) -> datetime:
        """The same wall time so many days ago."""
        return self.instant((moment or self.now).astimezone(self.zone).replace(tzinfo=None) - days * DAY)

    def span(self, window: str) -> Span:
        now, wall = self.now, self.now.replace(tzinfo=None)
        today = datetime(wall.year, wall.month, wall.day)
        month = today.replace(day=1)
        if window[0] == "t" and window[1:].isdigit():
            return self.back(int(window[1:])), now
        match window:
            case "7d" | "30d":
                return self.back(int(window[:-1])), now
            case "today":
                return self.instant(today), now
            case "yesterday":
                return self.instant(today - DAY), self.instant(today)
            case "wtd":
                return self.instant(today - today.weekday() * DAY), now
            case "mtd":
                return self.instant(month), now
            case "qtd":
                return self.instant(month.replace(month=(month.month - 1) // 3 * 3 + 1)), now
            case "prev_month":
                return self.instant((month - DAY).replace(day=1)), self.instant(month)
        raise LookupError(window)

    # ------------------------------------------------------------ cuts

    def cells(self, grain: Grain, things: list[Thing]) -> Iterator[tuple[Labels, list[Thing]]]:
        """Every known combination with its records; sources and stages with records only."""

        def labels(**found: object) -> Labels:
            return tuple(sorted((name, str(value)) for name, value in found.items()))

        cut: list[tuple[dict[str, object], list[Thing]]] = [({}, things)]
        for axis in grain.axes:
            match axis:
                case Axis.MANAGER:
                    cut = [
                        (known | {"manager_id": user, "department_id": self.primary[user]},
                         [thing for thing in cell if thing.manager == user])
                        for known, cell in cut for user in self.managers
                    ]  # fmt: skip
                case Axis.OWN:
                    cut = [
                        (known | {"department_id": number}, [thing for thing in cell if self.place(thing) == number])
                        for known, cell in cut
                        for number in (*self.departments, 0)
                    ]
                case Axis.DEPARTMENT:
                    cut = [
                        (known | {"department_id": number},
                         [thing for thing in cell if number in self.above(self.place(thing) or None)])
                        for known, cell in cut for number in self.departments
                    ]  # fmt: skip
                case Axis.PIPELINE:
                    mixed = len(grain.axes) > 1  # parts of a sum: nothing may be missing
                    cut = [
                        (known | {"pipeline_id": "(none)" if number is None else number},
                         [thing for thing in cell if thing.pipeline == number])
                        for known, cell in cut for number in (*self.pipelines, *([None] if mixed else []))
                    ]  # fmt: skip
                case Axis.SOURCE:
                    cut = [
                        (known | {"source_id": source}, [thing for thing in cell if thing.source == source])
                        for known, cell in cut
                        for source in sorted({str(thing.source) for thing in cell})
                    ]
                case Axis.STAGE:
                    cut = [
                        (known | {"stage_id": stage, "pipeline_id": pipeline},
                         [thing for thing in cell if (thing.stage, thing.pipeline) == (stage, pipeline)])
                        for known, cell in cut
                        for stage, pipeline in sorted({(str(thing.stage), thing.pipeline or 0) for thing in cell})
                    ]  # fmt: skip
        for known, cell in cut:
            yield labels(**known), cell

    def tell(self, name: str, things: Iterable[Thing], measure: Callable[[list[Thing]], Told], **constant: str) -> None:
        """All grains and windows of a KPI; ``constant``: labels that every sample has."""
        kpi, every = KPIS[name], list(things)
        for window in kpi.windows:
            state = window.value == "now"
            found = every if state else self.inside(every, window.value)
            self.tell_window(kpi, window.value, found, measure, **constant)

    def inside(self, things: Iterable[Thing], window: str) -> list[Thing]:
        start, end = self.span(window)
        return [thing for thing in things if thing.at is not None and start <= thing.at < end]

    def tell_window(
        self, kpi: Kpi, window: str, things: list[Thing], measure: Callable[[list[Thing]], Told], **constant: str
    ) -> None:
        names = [label for label in kpi.labels if label not in constant]
        for grain in kpi.evaluated_grains:
            for labels, cell in self.cells(grain, things):
                parts: dict[Labels, list[Thing]] = {} if names else {(): cell}
                for thing in cell if names else ():
                    parts.setdefault(tuple((label, thing.extra[label]) for label in names), []).append(thing)
                for extra, part in parts.items():
                    self.found[kpi.id, str(grain), tuple(sorted((*labels, *extra, *constant.items()))), window] = (
                        measure(part)
                    )


def source_of(row: Row) -> str:
    return row["source_id"] or "(none)"
