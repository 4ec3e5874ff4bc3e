"""A second reading of the catalogue's telephony, other communication, invoices and calls that led to deals.

Plain loops over the rows of ``small.Company``, written from the cards, sharing no code with the evaluator: windows, zones,
working time and currencies are read anew. Slow on purpose. Where the cards leave two readings open, a note says which one
stands here.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from b24metrics.kpi import KpiOptions
from b24metrics.kpi.options import ActivityKind, QuoteSource
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
            if thing.who not in self.managers:
                return 0
            return thing.department if thing.department is not None else self.primary[thing.who]

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
                        none = [thing for thing in own if not thing.pipelines]
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


# ---------------------------------------------------------------- calls


@dataclass
class Call:
    """Legs that share a CALL_ID, in order."""

    key: object
    legs: list[Row]

    @property
    def start(self) -> datetime:
        return self.legs[0]["started_at"]  # type: ignore[no-any-return]

    @property
    def kind(self) -> int:
        return self.legs[0]["type_id"]  # type: ignore[no-any-return]

    @property
    def is_dial(self) -> bool:
        return self.kind in DIALS

    @property
    def connected(self) -> bool:
        return any(talked(leg) for leg in self.legs)

    @property
    def number(self) -> str | None:
        return next((leg["phone_key"] for leg in self.legs if leg["phone_key"]), None)


def talked(leg: Row) -> int:
    """Seconds of talk of a leg: of a connected one."""
    return (leg["duration_seconds"] or 0) if leg["failed_code"] == "200" else 0


@dataclass
class Episode:
    """Misses between two contacts with a number, by the earliest of them."""

    miss: Call
    returned: datetime | None


class Telephony(Firm):
    """§6.1 and §8.5."""

    def calls(self) -> list[Call]:
        found: dict[object, list[Row]] = defaultdict(list)
        for leg in self.rows(schema.PHONE_CALLS):
            if leg["category"] in {"external", "", None} and leg["type_id"] in {1, 2, 3, 4} and leg["started_at"]:
                found[leg["call_id"] or ("a leg alone", leg["id"])].append(leg)
        calls = [Call(key, sorted(legs, key=lambda leg: (leg["started_at"], leg["id"]))) for key, legs in found.items()]
        return [call for call in calls if call.start < self.now]

    def legs(self, calls: Iterable[Call]) -> list[Thing]:
        """Every leg with the start of its call."""
        return [
            Thing(
                call.start, leg["user_id"], value=Fraction(talked(leg)), key=call.key, facts={"call": call, "leg": leg}
            )
            for call in calls
            for leg in call.legs
        ]

    def episodes(self) -> list[Episode]:
        calls = sorted(self.calls(), key=lambda call: (call.start, call.legs[0]["id"]))
        found = []
        by_number: dict[str, list[Call]] = defaultdict(list)
        for call in calls:
            missed = not call.is_dial and not call.connected
            if call.number is not None:
                by_number[call.number].append(call)
            elif missed:
                found.append(Episode(call, None))
        for mine in by_number.values():
            waiting: Call | None = None
            for call in mine:
                if call.connected:
                    if waiting is not None:
                        found.append(Episode(waiting, call.start))
                    waiting = None
                elif not call.is_dial and waiting is None:
                    waiting = call
            if waiting is not None:
                found.append(Episode(waiting, None))
        return found

    def telephony(self, found: Answers) -> None:
        calls = self.calls()
        legs = self.legs(calls)

        def per_call(cell: list[Thing]) -> dict[object, tuple[Call, Fraction]]:
            """The calls of a scope, each with the talk of its legs there."""
            seen: dict[object, tuple[Call, Fraction]] = {}
            for thing in cell:
                call, talk = thing.facts["call"], seen.get(thing.key, (None, Fraction(0)))[1]
                seen[thing.key] = (call, talk + (thing.value or 0))
            return seen

        def number(keep: Callable[[Call, Fraction], bool]) -> Measure:
            def measured(cell: list[Thing]) -> Said:
                n = sum(keep(call, talk) for call, talk in per_call(cell).values())
                return Said(Fraction(n), n)

            return measured

        def ratio(above: Callable[[Call, Fraction], bool], below: Callable[[Call, Fraction], bool]) -> Measure:
            def measured(cell: list[Thing]) -> Said:
                seen = per_call(cell).values()
                return share(sum(above(c, t) and below(c, t) for c, t in seen), sum(below(c, t) for c, t in seen))

            return measured

        def incoming(call: Call, _: Fraction) -> bool:
            return not call.is_dial

        def dial(call: Call, _: Fraction) -> bool:
            return call.is_dial

        def connected(_: Call, talk: Fraction) -> bool:
            return talk > 0

        def dial_connected(call: Call, talk: Fraction) -> bool:
            return call.is_dial and talk > 0

        def effective(_: Call, talk: Fraction) -> bool:
            return talk > 0 and talk >= self.options.effective_call_seconds

        def missed(call: Call, _: Fraction) -> bool:
            return not call.is_dial and not call.connected

        def after_hours(call: Call, talk: Fraction) -> bool:
            return missed(call, talk) and not self.clock.works(call.start)

        def in_hours(call: Call, talk: Fraction) -> bool:
            return missed(call, talk) and self.clock.works(call.start)

        def answerable(call: Call, talk: Fraction) -> bool:
            return not call.is_dial and not after_hours(call, talk)

        def talks(cell: list[Thing]) -> list[Fraction]:
            return [talk for _, talk in per_call(cell).values() if talk > 0]

        def average(cell: list[Thing]) -> Said:
            found = talks(cell)
            return Said(sum(found, Fraction(0)) / len(found) if found else None, len(found))

        def halfway(cell: list[Thing]) -> Said:
            return Said(middle(talks(cell)), len(talks(cell)))

        def per_connect(cell: list[Thing]) -> Said:
            seen = per_call(cell).values()
            return share(sum(dial(c, t) for c, t in seen), sum(dial_connected(c, t) for c, t in seen))

        for kpi, keep in {
            "calls_count": lambda _, __: True,
            "calls_outgoing_count": dial,
            "calls_incoming_count": incoming,
            "calls_connected_count": connected,
            "calls_outgoing_connected_count": dial_connected,
            "calls_effective_count": effective,
            "calls_missed_count": in_hours,
            "missed_after_hours_count": after_hours,
        }.items():
            self.tell(found, kpi, "M D T", ALL, legs, number(keep))
        self.tell(found, "connect_rate", "M D T", ALL, legs, ratio(connected, dial))
        self.tell(found, "effective_call_rate", "M D T", ALL, legs, ratio(effective, connected))
        self.tell(found, "missed_call_share", "M D T", ALL, legs, ratio(in_hours, answerable))
        self.tell(found, "dials_per_connect", "M D T", ALL, legs, per_connect)
        self.tell(found, "talk_time_total_seconds", "M D T O", ALL, legs, total)
        self.tell(found, "talk_time_avg_seconds", "M D T", ALL, legs, average)
        self.tell(found, "talk_time_median_seconds", "M D T", ALL, legs, halfway)
        self._coverage(found, legs)
        self._unreturned(found)
        self._patterns(found, legs)
        self._speech(found, legs)
        self._dials_per_deal(found, calls)

    def _coverage(self, found: Answers, legs: list[Thing]) -> None:
        """Connected legs of the scope tell; a line that may not be recorded takes no part in recording."""

        def of(has: Callable[[Row], bool], counts: Callable[[Row], bool]) -> Measure:
            def measured(cell: list[Thing]) -> Said:
                mine = [thing for thing in cell if thing.value and counts(thing.facts["leg"])]
                return share(
                    len({thing.key for thing in mine if has(thing.facts["leg"])}), len({thing.key for thing in mine})
                )

            return measured

        def recordable(leg: Row) -> bool:
            return leg.get("line") not in self.options.unrecorded_lines

        def transcribed(leg: Row) -> bool:
            return bool(leg.get("transcript_id"))

        recorded = of(lambda leg: bool(leg.get("has_record")), recordable)
        self.tell(found, "call_recording_coverage", "M D T", "7d 30d", legs, recorded)
        self.tell(found, "call_transcript_coverage", "M D T", "7d 30d", legs, of(transcribed, recordable))

    def _unreturned(self, found: Answers) -> None:
        def things(episode: Episode) -> Iterator[Thing]:
            for leg in episode.miss.legs:
                facts = {"episode": episode, "user": leg["user_id"]}
                yield Thing(episode.miss.start, leg["user_id"], key=id(episode), facts=facts)

        episodes = self.episodes()
        every = [thing for episode in episodes for thing in things(episode)]

        def unreturned(cell: list[Thing]) -> Said:
            n = len({thing.key for thing in cell if thing.facts["episode"].returned is None})
            return Said(Fraction(n), n)

        def waits(cell: list[Thing]) -> Said:
            """One wait an episode: in the calendar of the first of the scope's legs."""
            seen: dict[object, tuple[Fraction, bool]] = {}
            for thing in cell:
                if thing.key not in seen:
                    episode = thing.facts["episode"]
                    until = episode.returned or self.now
                    waited = self.worked(thing.facts["user"], episode.miss.start, until)
                    seen[thing.key] = (Fraction(waited), episode.returned is not None)
            return Said(survival_median(list(seen.values())), len(seen))

        self.tell(found, "missed_calls_unreturned_count", "M D T", f"{ALL} now", every, unreturned)
        self.tell(found, "missed_call_return_seconds", "M D T", ALL, every, waits)

    def _patterns(self, found: Answers, legs: list[Thing]) -> None:
        for window in ("today", "7d"):
            inside = [thing for thing in legs if self._inside(thing, window)]

            def sizes(cell: list[Thing]) -> tuple[int, int, Fraction | None]:
                talk: dict[object, Fraction] = defaultdict(Fraction)
                for thing in cell:
                    talk[thing.key] += thing.value or 0
                dials = {thing.key for thing in cell if thing.facts["call"].is_dial}
                return len(dials), sum(talk[key] > 0 for key in dials), middle(t for t in talk.values() if t > 0)

            departments = {dict(labels)["department_id"]: cell for labels, cell, _ in self.cells("D", inside)}
            for labels, cell, shown in self.cells("M", inside):
                dials, reached, talk = sizes(cell)
                all_dials, all_reached, all_talk = sizes(departments[dict(labels)["department_id"]])
                connected = len({thing.key for thing in cell if thing.value})
                low = short = None
                if dials >= 30:
                    low = Fraction(wilson_high(reached, dials) < 0.7 * all_reached / all_dials)
                if connected >= 15 and talk is not None and all_talk is not None:
                    short = Fraction(talk < all_talk / 2)
                for kpi, flag in (("call_pattern_low_connect", low), ("call_pattern_short_talk", short)):
                    if shown == "always" or flag:
                        found[kpi, "M", labels, window] = Said(flag)

    def _speech(self, found: Answers, legs: list[Thing]) -> None:
        """Speech of a call stands under the number of its row, so it is that leg's."""
        speech: dict[tuple[int, str], Fraction] = defaultdict(Fraction)
        inputs = [row for row in self.rows(schema.INPUTS) if row["kind"] == "speech"]
        for row in inputs:
            speech[row["subject_id"], row["label"]] += Fraction(row["amount"])
        if not inputs:
            return

        def measured(cell: list[Thing]) -> Said:
            ids = [thing.facts["leg"]["id"] for thing in cell]
            mine = sum((speech[number, "operator"] for number in ids), Fraction(0))
            return share(mine, mine + sum((speech[number, "client"] for number in ids), Fraction(0)))

        self.tell(found, "manager_talk_share", "M D T O", "7d 30d", legs, measured)

    def _dials_per_deal(self, found: Answers, calls: list[Call]) -> None:
        bound = self.bound(DEAL)
        for semantics, outcome in (("S", "won"), ("F", "lost")):
            deals = self.closed(semantics)
            for thing in deals:
                deal, closed_at = thing.facts, thing.at
                thing.value = Fraction(
                    sum(
                        call.is_dial
                        and closed_at is not None
                        and deal["created_at"] <= call.start <= closed_at
                        and any(
                            deal["id"] in bound.get(leg.get("crm_activity_id") or 0, ())
                            or self.entity(leg) in self.clients(deal) - {(LEAD, deal["lead_id"])}
                            for leg in call.legs
                        )
                        for call in calls
                    )
                )

            def mean(cell: list[Thing]) -> Said:
                return Said((total(cell).value or Fraction(0)) / len(cell) if cell else None, len(cell))

            self.tell(found, "dials_per_deal", "M D P T", "30d mtd prev_month", deals, mean, outcome=outcome)

    def bound(self, kind: int) -> dict[int, set[int]]:
        """Activity → the entities of that type that it is bound to."""
        found: dict[int, set[int]] = defaultdict(set)
        alive = {row["id"] for row in self.rows(schema.ACTIVITIES)}
        for row in self.rows(schema.ACTIVITY_BINDINGS):
            if row["entity_type_id"] == kind and row["activity_id"] in alive:
                found[row["activity_id"]].add(row["entity_id"])
        return found

    # ------------------------------------------------------------ clients

    @staticmethod
    def entity(leg: Row) -> tuple[int, int] | None:
        kind, number = leg.get("crm_entity_type_id"), leg.get("crm_entity_id")
        return (kind, number) if kind and number else None

    @staticmethod
    def clients(record: Row) -> set[tuple[int, int]]:
        """Everybody behind a deal: its contact, company, lead."""
        pairs = ((CONTACT, record["contact_id"]), (COMPANY, record["company_id"]), (LEAD, record.get("lead_id")))
        return {(kind, number) for kind, number in pairs if number}

    def entities(self, call: Call) -> set[tuple[int, int]]:
        """Whom a call was with: its entities; by its number only where it has none."""
        named = {found for leg in call.legs if (found := self.entity(leg)) is not None}
        return named or {
            (row["entity_type_id"], row["entity_id"])
            for row in self.rows(schema.CLIENT_KEYS)
            if row["kind"] == "phone" and call.number is not None and row["key"] == call.number
        }

    def calls_to_deals(self, found: Answers) -> None:
        calls = self.calls()
        horizon = timedelta(days=self.options.call_success_days)
        won = self.closed("S")
        behind = {
            call.key: [
                thing
                for thing in won
                if thing.at is not None
                and call.start <= thing.at <= call.start + horizon
                and self.clients(thing.facts) & self.entities(call)
            ]
            for call in calls
        }
        legs = self.legs(calls)

        def successful(cell: list[Thing]) -> set[object]:
            return {thing.key for thing in cell if behind[thing.key]}

        def number(cell: list[Thing]) -> Said:
            return Said(Fraction(len(successful(cell))), len(successful(cell)))

        def conversion(cell: list[Thing]) -> Said:
            return share(len(successful(cell)), len({thing.key for thing in cell}))

        def deals(cell: list[Thing]) -> dict[object, Thing]:
            return {deal.key: deal for thing in cell for deal in behind[thing.key]}

        def clients(cell: list[Thing]) -> Said:
            """A deal's client is its company, else its contact, else the lead that it came from."""
            different = {
                (COMPANY, deal.facts["company_id"])
                if deal.facts["company_id"]
                else (CONTACT, deal.facts["contact_id"])
                if deal.facts["contact_id"]
                else (LEAD, deal.facts["lead_id"])
                for deal in deals(cell).values()
            }
            return Said(Fraction(len(different)), len(different))

        def check(cell: list[Thing]) -> Said:
            paid = list(deals(cell).values())
            return Said((total(paid).value or Fraction(0)) / len(paid) if paid else None, len(paid))

        grains, windows = "M D T", "30d mtd prev_month"
        self.tell(found, "calls_successful_count", grains, windows, legs, number)
        self.tell(found, "call_conversion_ratio", grains, windows, legs, conversion)
        self.tell(found, "customers_closed_by_calls_count", grains, windows, legs, clients)
        self.tell(found, "avg_check_after_call", grains, windows, legs, check)
        for window in windows.split():
            end = self.spans[window][1]
            start, until = end - horizon - 30 * DAY, end - horizon
            mature = [thing for thing in legs if thing.at is not None and start <= thing.at < until]
            for grain in grains.split():
                for labels, cell, shown in self.cells(grain, mature):
                    said = conversion(cell)
                    if shown == "always" or said.value:
                        found["call_conversion_ratio_mature", grain, labels, window] = said

    # ------------------------------------------------------------ phone funnel

    STEPS = ("dialled", "connected", "effective", "qualified", "offer", "won", "post_sale")

    def phone_funnel(self, found: Answers) -> None:
        calls = sorted(self.calls(), key=lambda call: (call.start, call.legs[0]["id"]))
        of_client: dict[tuple[int, int], list[Call]] = defaultdict(list)
        for call in calls:
            for client in self.entities(call):  # every record that has the number is a client of its own
                of_client[client].append(call)
        imported, cohort = self.imports(schema.DEALS), []
        for client, mine in of_client.items():
            dials = [call for call in mine if call.is_dial]
            if dials:
                arrivals = self._arrivals(client, mine, dials[0], imported)
                first = dials[0].legs[0]
                cohort.append(Thing(dials[0].start, first["user_id"], facts={"arrivals": arrivals}))
        for position, step in enumerate(self.STEPS):

            def reached(cell: list[Thing], steps: int = position + 1) -> list[list[datetime]]:
                return [t.facts["arrivals"] for t in cell if len(t.facts["arrivals"]) >= steps]

            def number(cell: list[Thing], reached: Callable[..., list[list[datetime]]] = reached) -> Said:
                return Said(Fraction(len(reached(cell))), len(reached(cell)))

            self.tell(found, "phone_funnel_count", "M D T O", "30d mtd", cohort, number, step=step)
            if not position:
                continue

            def conversion(
                cell: list[Thing], steps: int = position, reached: Callable[..., list[list[datetime]]] = reached
            ) -> Said:
                return share(len(reached(cell)), len(reached(cell, steps)))

            def seconds(
                cell: list[Thing], steps: int = position, reached: Callable[..., list[list[datetime]]] = reached
            ) -> Said:
                waits = [Fraction(self.clock.elapsed(a[steps - 1], a[steps])) for a in reached(cell)]
                return Said(middle(waits), len(waits))

            self.tell(found, "phone_funnel_conversion", "M D T O", "30d mtd", cohort, conversion, step=step)
            self.tell(found, "phone_funnel_seconds_median", "M D T", "30d mtd", cohort, seconds, step=step)

    def _arrivals(self, client: tuple[int, int], calls: list[Call], first: Call, imported: set[int]) -> list[datetime]:
        deals = [deal for deal in self.deals() if client in self.clients(deal)]
        numbers = {deal["id"] for deal in deals}
        won = [
            (at, deal)
            for deal in deals
            if deal["semantics"] == "S" and (at := self.closed_at(deal, imported)) is not None
        ]
        visits = [
            move["created_at"]
            for deal in deals
            for move in self.history(deal["id"])
            if move["stage_id"] in self.options.proposal_stages
        ]
        quotes = [
            at
            for quote in (self.rows(schema.QUOTES) if self.options.quote_source is QuoteSource.QUOTES else ())
            if (quote.get("deal_id") in numbers or client in self.clients(quote)) and (at := self.sent_at(quote))
        ]
        converted = [
            lead["closed_at"] or lead["moved_at"] or lead["modified_at"]
            for lead in self.rows(schema.LEADS)
            if (LEAD, lead["id"]) == client and lead["semantics"] == "S" and self.counted(lead)
        ]
        connected = [call.start for call in calls if call.connected]
        effective = [
            call.start for call in calls if sum(map(talked, call.legs)) >= max(1, self.options.effective_call_seconds)
        ]
        contacts = [at for at, deal, who in self.contacts() if deal in numbers or client in who]
        qualified = [deal["created_at"] for deal in deals] + converted
        steps = (connected, effective, qualified, visits + quotes, [when for when, _ in won], contacts)
        arrivals = [first.start]
        for listed in steps:
            events = listed
            if listed is contacts:  # one day to thirty days after the win
                events = [at for at in events if arrivals[-1] + DAY <= at <= arrivals[-1] + 30 * DAY]
            if listed is qualified:  # a state: who is qualified already arrives at once
                events = [max(at, arrivals[-1]) for at in events if at is not None]
            later = [at for at in events if at is not None and arrivals[-1] <= at <= self.now]
            if not later:
                break
            arrivals.append(min(later))
        return arrivals

    def contacts(self) -> list[tuple[datetime, int | None, set[tuple[int, int]]]]:
        """Client contacts: connected calls, mail both ways, chats, held meetings; with a deal each, and clients."""
        deals = self.bound(DEAL)
        found: list[tuple[datetime, int | None, set[tuple[int, int]]]] = []
        nothing: set[int | None] = {None}
        others: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for row in self.rows(schema.ACTIVITY_BINDINGS):
            others[row["activity_id"]].add((row["entity_type_id"], row["entity_id"]))
        for call in self.calls():
            if call.connected:
                bound = {deal for leg in call.legs for deal in deals.get(leg.get("crm_activity_id") or 0, ())}
                found += [(call.start, deal, self.entities(call)) for deal in bound or nothing]
        for row in self.rows(schema.ACTIVITIES):
            kind = self.kind(row)
            moment = None
            if kind is ActivityKind.CHAT or (kind is ActivityKind.EMAIL and not self.is_bulk(row)):
                moment = row["created_at"]
            elif kind is ActivityKind.MEETING and row["completed"]:
                moment = row["starts_at"]
            if moment is not None:
                bound = deals.get(row["id"], set())
                found += [(moment, deal, others[row["id"]]) for deal in bound or nothing]
        return found

    @staticmethod
    def is_bulk(row: Row) -> bool:
        return "SENDER" in (row["provider_id"] or "").upper()

    def kind(self, row: Row) -> ActivityKind:
        raise NotImplementedError

    def sent_at(self, quote: Row) -> datetime | None:
        raise NotImplementedError


# ---------------------------------------------------------------- other communication


class Communication(Telephony):
    """§6.2."""

    def kind(self, row: Row) -> ActivityKind:
        provider = row["provider_id"] or ""
        mapped = self.options.activity_kinds.get(provider)
        if mapped is not None:
            return mapped
        if provider == "IMOPENLINES_SESSION":
            return ActivityKind.CHAT
        if provider == "CRM_SMS":
            return ActivityKind.SMS
        named = {1: ActivityKind.MEETING, 2: ActivityKind.CALL, 3: ActivityKind.TASK, 4: ActivityKind.EMAIL}
        return named.get(row["type_id"], ActivityKind.OTHER)

    def done_at(self, row: Row) -> datetime | None:
        """When an activity was completed; None: it is not, or not yet."""
        if not row["completed"]:
            return None
        at: datetime = row.get("completed_at") or row["modified_at"]
        return at if at <= self.now else None

    def of_kind(self, *kinds: ActivityKind) -> list[Row]:
        return [row for row in self.rows(schema.ACTIVITIES) if self.kind(row) in kinds]

    def thing(self, row: Row, at: datetime | None) -> Thing:
        bound = self.bound(DEAL).get(row["id"], set())
        pipelines = frozenset(deal["pipeline_id"] for deal in self.deals() if deal["id"] in bound)
        return Thing(at, row["responsible_id"], pipelines, key=row["id"], facts=row)

    def mail(self, direction: int) -> list[Thing]:
        return [
            self.thing(row, row["created_at"])
            for row in self.of_kind(ActivityKind.EMAIL)
            if row["direction"] == direction and not self.is_bulk(row)
        ]

    def chats(self) -> list[Row]:
        return [row for row in self.of_kind(ActivityKind.CHAT) if row["responsible_id"] not in self.options.chat_bots]

    def communication(self, found: Answers) -> None:
        meetings = self.of_kind(ActivityKind.MEETING)
        held = [self.thing(row, row["starts_at"]) for row in meetings if self.done_at(row) is not None]
        open_ = [self.thing(row, row["starts_at"]) for row in meetings if self.done_at(row) is None]
        for thing in held:
            thing.facts = {**thing.facts, "held": True}
        ahead = [t for t in open_ if t.at is not None and t.at >= self.now and not t.facts["is_incoming_channel"]]
        self.tell(found, "meetings_held_count", "M D P T", ALL, held, count)
        self.tell(found, "meetings_planned_count", "M D P T", "now", ahead, count)
        self.tell(
            found, "meeting_show_rate", "M D P T", ALL, [*held, *open_],
            lambda cell: share(sum("held" in thing.facts for thing in cell), len(cell)),
        )  # fmt: skip
        out, sessions = self.mail(2), [self.thing(row, row["starts_at"]) for row in self.chats()]
        self.tell(found, "emails_sent_count", "M D T O", ALL, out, count)
        self.tell(found, "emails_received_count", "M D T O", ALL, self.mail(1), count)
        self.tell(found, "openline_sessions_count", "M D T O", ALL, sessions, count)

        texts = [self.thing(row, row["created_at"]) for row in self.of_kind(ActivityKind.SMS)]
        every = [*self.legs(self.calls()), *out, *sessions, *held, *texts]

        def events(cell: list[Thing]) -> Said:
            n = len({("call" if "call" in thing.facts else "activity", thing.key) for thing in cell})
            return Said(Fraction(n), n)

        self.tell(found, "communications_total_count", "M D T", ALL, every, events)
        self._activities(found)
        self._moves(found)
        self._quotes(found)
        self._leads(found)

    def _activities(self, found: Answers) -> None:
        tasks = self.of_kind(ActivityKind.TASK)
        done = [self.thing(row, at) for row in tasks if (at := self.done_at(row)) is not None]
        self.tell(found, "tasks_completed_count", "M D T O", ALL, done, count)
        late = [
            self.thing(row, None)
            for row in tasks
            if self.done_at(row) is None
            and row["deadline_at"] is not None
            and row["deadline_at"] < self.now
            and not row["is_incoming_channel"]
        ]
        self.tell(found, "tasks_overdue_count", "M D T", "now", late, count)
        every = self.rows(schema.ACTIVITIES)
        done = [
            self.thing(row, at) for row in every if row.get("status") != 3 and (at := self.done_at(row)) is not None
        ]
        self.tell(found, "activities_completed_count", "M D T O", ALL, done, count)
        planned = [
            self.thing(row, row["deadline_at"])
            for row in every
            if self.done_at(row) is None
            and not row["is_incoming_channel"]
            and (row["deadline_at"] is None or row["deadline_at"] >= self.now)
        ]
        today = [t for t in planned if t.at is not None and self.local_date(t.at) == self.today()]
        self.tell(found, "activities_planned_count", "M D P T", "now", planned, count)
        self.tell(found, "activities_planned_today_count", "M D P T", "now", today, count)
        undated = [thing for thing in planned if thing.at is None]
        self.tell(found, "activities_planned_undated_count", "M D P T", "now", undated, count)

    def _moves(self, found: Answers) -> None:
        order = {
            (row["pipeline_id"], row["status_id"]): (row["semantics"] == "S", row["sort"])
            for row in self.rows(schema.STATUSES)
            if row.get("entity_type_id") == DEAL and row["semantics"] != "F"
        }
        moves = []
        for deal in self.deals():
            history = self.history(deal["id"])
            for last, row in pairwise(history):
                if not self.forward(order, last, row):
                    continue
                # Where it happened, not where the deal is now.
                who = deal["moved_by_id"] if row is history[-1] else deal["assigned_by_id"]
                moves.append(Thing(row["created_at"], who or deal["assigned_by_id"], frozenset({row["pipeline_id"]})))
        self.tell(found, "stage_moves_forward_count", "M D P T O×P", ALL, moves, count)

    @staticmethod
    def forward(order: Mapping[tuple[int, str], tuple[bool, int]], last: Row, row: Row) -> bool:
        """Whether a move leads to a later stage of the same pipeline; success comes last, failure has no order.

        From one success stage to a later one is forward, too.
        """
        if row["kind"] in {1, 5} or last["pipeline_id"] != row["pipeline_id"]:
            return False
        before, after = (order.get((move["pipeline_id"], move["stage_id"])) for move in (last, row))
        return before is not None and after is not None and before < after

    # ------------------------------------------------------------ quotes

    def quote_order(self) -> dict[str, tuple[str, int]]:
        return {
            row["status_id"]: (row["semantics"] or "P", row["sort"])
            for row in self.rows(schema.STATUSES)
            if row["directory"] == "QUOTE_STATUS"
        }

    def was_sent(self, stage: str | None) -> bool:
        order = self.quote_order()
        sent = self.options.quote_sent_stages
        if stage in sent:
            return True
        if stage not in order:
            return False
        semantics, sort = order[stage]
        return semantics in {"S", "F"} or any(s in order and sort >= order[s][1] for s in sent)

    def sent_at(self, quote: Row) -> datetime | None:
        moves = sorted(
            (row for row in self.rows(schema.QUOTE_MOVES) if row["quote_id"] == quote["id"]),
            key=lambda row: row["changed_at"],
        )
        if moves:
            first: datetime | None = next((m["changed_at"] for m in moves if self.was_sent(m["to_stage_id"])), None)
            return first
        modified: datetime | None = quote["modified_at"]
        return modified if self.was_sent(quote["stage_id"]) else None

    def _quotes(self, found: Answers) -> None:
        pipelines = {deal["id"]: deal["pipeline_id"] for deal in self.deals()}
        grains = "M D P T O×P"
        if self.options.quote_source is QuoteSource.STAGE:
            entries = []
            for deal in self.deals():
                visits = [m for m in self.history(deal["id"]) if m["stage_id"] in self.options.proposal_stages]
                if visits:
                    pipeline = frozenset({deal["pipeline_id"]})
                    entries.append(Thing(visits[0]["created_at"], deal["assigned_by_id"], pipeline))
            self.tell(found, "quotes_sent_count", grains, ALL, entries, count)
            return
        sent, decided = [], []
        for quote in self.rows(schema.QUOTES):
            pipeline = frozenset({pipelines[quote["deal_id"]]} if quote["deal_id"] in pipelines else ())
            if (at := self.sent_at(quote)) is not None:
                sent.append(Thing(at, quote["assigned_by_id"], pipeline))
            semantics = self.quote_order().get(quote["stage_id"], ("P", 0))[0]
            if semantics in {"S", "F"}:
                decided.append(Thing(self.decided_at(quote), quote["assigned_by_id"], pipeline, key=semantics))
        self.tell(found, "quotes_sent_count", grains, ALL, sent, count)
        self.tell(
            found, "quote_acceptance_rate", grains, "30d mtd prev_month", decided,
            lambda cell: share(sum(thing.key == "S" for thing in cell), len(cell)),
        )  # fmt: skip

    def decided_at(self, quote: Row) -> datetime | None:
        """Since when the quote has stood where it stands, as observed."""
        moves = [row for row in self.rows(schema.QUOTE_MOVES) if row["quote_id"] == quote["id"]]
        order = self.quote_order()
        since: datetime | None = quote["modified_at"]
        for row in sorted(moves, key=lambda row: row["changed_at"], reverse=True):
            if order.get(row["to_stage_id"], ("P", 0))[0] != order[quote["stage_id"]][0]:
                break
            since = row["changed_at"]
        return since

    # ------------------------------------------------------------ leads

    def _leads(self, found: Answers) -> None:
        simple = self.company.crm_mode == 2
        imported = self.imports(schema.DEALS if simple else schema.LEADS)
        roots = (
            [deal for deal in self.deals() if not deal["lead_id"] and self._began_first(deal)]
            if simple
            else [lead for lead in self.rows(schema.LEADS) if self.counted(lead)]
        )
        new = [
            Thing(row["created_at"], row["assigned_by_id"], source=row["source_id"] or "(none)", facts=row)
            for row in roots
            if row["id"] not in imported
        ]
        again = [thing for thing in new if thing.facts.get("is_return_customer")]
        self.tell(found, "new_leads_count", "M D R T O", ALL, new, count)
        self.tell(found, "new_leads_repeat_count", "M D R T O", ALL, again, count)
        # A source for which visits are told is one of the website's.
        web = self.options.web_sources | {
            row["label"] for row in self.rows(schema.INPUTS) if row["kind"] == "visits"
        } - {""}
        self._visits(found, [thing for thing in new if thing.facts["source_id"] in web])

    def _began_first(self, deal: Row) -> bool:
        """Whether a deal was created in the first stage of its pipeline."""
        history = self.history(deal["id"])
        if not history:
            return True
        first = min(
            (row for row in self.rows(schema.STATUSES)
             if (row.get("entity_type_id"), row["pipeline_id"]) == (DEAL, history[0]["pipeline_id"])),
            key=lambda row: row["sort"],
        )  # fmt: skip
        return bool(history[0]["stage_id"] == first["status_id"])

    def _visits(self, found: Answers, web: list[Thing]) -> None:
        visits = [
            Thing(midnight(self.zone, row["starts_on"]), None, source=row["label"] or "(none)", value=Fraction(row["amount"]),
                  facts={"visits": True})
            for row in self.rows(schema.INPUTS)
            if row["kind"] == "visits"
        ]  # fmt: skip
        if not visits:
            return

        def rate(cell: list[Thing]) -> Said:
            return share(
                sum("visits" not in t.facts for t in cell), total([t for t in cell if "visits" in t.facts]).value or 0
            )

        self.tell(found, "website_visit_to_lead_rate", "R T O", "7d 30d mtd", [*web, *visits], rate)


# ---------------------------------------------------------------- invoices


class Invoices(Communication):
    """§6.3."""

    def invoice_stages(self) -> tuple[dict[str, str], set[str]]:
        """Semantics of the stages, and the drafts among them."""
        semantics: dict[str, str] = {}
        directories: dict[object, list[Row]] = defaultdict(list)
        for row in self.rows(schema.STATUSES):
            if row.get("entity_type_id") == INVOICE:
                semantics[row["status_id"]] = row["semantics"] or "P"
                directories[row["directory"]].append(row)
        if self.options.invoice_draft_stages is not None:
            return semantics, set(self.options.invoice_draft_stages)
        drafts = set()
        for rows in directories.values():
            still = sorted(
                (row for row in rows if row["semantics"] not in {"S", "F"}), key=lambda r: (r["sort"], r["status_id"])
            )
            if len(still) >= 2:
                drafts.add(still[0]["status_id"])
        return semantics, drafts

    def invoices(self, found: Answers) -> None:
        semantics, drafts = self.invoice_stages()
        pipelines = {deal["id"]: deal["pipeline_id"] for deal in self.rows(schema.DEALS)}
        chosen = self.options.pipelines
        elsewhere = {d["id"] for d in self.rows(schema.DEALS) if chosen is not None and d["pipeline_id"] not in chosen}
        issued: list[Thing] = []
        paid: list[Thing] = []
        parts: list[Thing] = []
        cancelled: list[Thing] = []
        overdue: list[Thing] = []
        for row in self.rows(schema.INVOICES):
            if not self.counted(row) or row["deal_id"] in elsewhere:
                continue
            rate, native = self.rate(row["currency_id"]), Fraction(row["opportunity"] or 0)
            state = semantics.get(row["stage_id"], "P")
            pipeline = frozenset({pipelines[row["deal_id"]]} if row["deal_id"] in pipelines else ())

            def thing(
                at: datetime | None,
                native: Fraction = native,
                rate: Fraction | None = rate,
                currency: str | None = row["currency_id"],
                row: Row = row,
                pipeline: frozenset[int] = pipeline,
            ) -> Thing:
                money = None if rate is None else native * rate
                return Thing(at, row["assigned_by_id"], pipeline, "", currency, money, native, row["id"], row)

            settled = self.stage_entry(row, semantics) or row["moved_at"]
            if state == "F":
                cancelled.append(thing(settled))
                continue
            issued_at = midnight(self.zone, row["begins_on"]) if row["begins_on"] else row["created_at"]
            documents = [
                one
                for one in self.rows(schema.PAYMENTS)
                if (one["owner_type_id"], one["owner_id"]) == (INVOICE, row["id"]) and one["paid"] and one["paid_at"]
            ]
            mine = []
            for one in documents:
                if one["paid_at"] <= self.now:
                    frozen = Fraction(one["rate"]) / one["rate_count"] if one.get("rate") is not None else None
                    at_rate = frozen if frozen is not None else self.rate(one["currency_id"])
                    mine.append(thing(one["paid_at"], Fraction(one["amount"]), at_rate, one["currency_id"]))
            if state == "S":
                paid.append(thing(settled))
                if not documents:
                    mine.append(thing(settled))
            parts += mine
            if row["stage_id"] not in drafts:
                bill = thing(issued_at)
                bill.facts = {**row, "paid_at": settled if state == "S" else None, "parts": mine}
                issued.append(bill)
            # A draft is an open invoice, too, once it has a date to be paid by.
            if state == "P" and row["due_on"] is not None and row["due_on"] < self.today():
                overdue.append(thing(None))
        grains = "M D P T C O×P"
        for kpi, windows, things, measure in (
            ("invoices_issued_count", ALL, issued, count),
            ("invoices_issued_amount", ALL, issued, total),
            ("invoices_paid_count", ALL, paid, count),
            ("invoices_paid_amount", ALL, parts, total),
            ("invoices_cancelled_count", ALL, cancelled, count),
            ("invoice_overdue_amount", "now", overdue, total),
            ("invoice_overdue_count", "now", overdue, count),
        ):
            self.tell(found, kpi, grains, windows, things, measure)
        self.tell(found, "invoice_payment_lag_seconds", "M D P T C", ALL, issued, self._lag)
        self.tell(found, "invoice_payment_lag_seconds_avg", "M D P T C", ALL, issued, self._mean_lag)
        self._collection(found, issued)

    def stage_entry(self, row: Row, semantics: Mapping[str, str]) -> datetime | None:
        """Since when an invoice has been settled as it is."""
        since = None
        for move in reversed(self.history(row["id"], INVOICE)):
            if semantics.get(move["stage_id"], "P") != semantics.get(row["stage_id"], "P"):
                break
            since = move["created_at"]
        return since

    def _days(self, thing: Thing) -> tuple[Fraction, bool]:
        """Calendar days from issue to payment, in seconds, and whether it was paid."""
        assert thing.at is not None
        until = thing.facts["paid_at"]
        days = self.local_date(until or self.now) - self.local_date(thing.at)
        return Fraction(days.days * 86_400), until is not None

    def _lag(self, cell: list[Thing]) -> Said:
        """A payment before the date of issue, which people may write as they like, is a wait below zero."""
        waits = [self._days(thing) for thing in cell]
        return Said(survival_median(waits), len(waits))

    def _mean_lag(self, cell: list[Thing]) -> Said:
        waits = [wait for wait, paid in map(self._days, cell) if paid]
        return Said(sum(waits, Fraction(0)) / len(waits) if waits else None, len(waits))

    def _collection(self, found: Answers, issued: list[Thing]) -> None:
        for window in ("30d", "mtd", "prev_month"):
            inside = [thing for thing in issued if self._inside(thing, window)]
            for grain in ["M", "D", "P", "T", "C", "O×P"]:
                for labels, cell, shown in self.cells(grain, inside):
                    paid = [part for thing in cell for part in thing.facts["parts"]]
                    if grain == "C":
                        paid = [_natively(part) for part in paid if part.currency == dict(labels)["currency"]]
                    said = share(total(paid).value or 0, total(cell).value or 0)
                    if shown == "always" or (shown == "not zero" and said.value) or (shown == "records" and cell):
                        found["invoice_collection_rate", grain, labels, window] = said


class Witness(Invoices):
    """All of chapter B, and §8.5."""

    def answers(self) -> Answers:
        found: Answers = {}
        self.telephony(found)
        self.calls_to_deals(found)
        self.phone_funnel(found)
        self.communication(found)
        self.invoices(found)
        return found
