"""All clocks of a company: which calendar counts for whom.

Laws: a person's own schedule, else that of the nearest department upwards that has one, else the company's; before the
first working day and after dismissal the company's; an unknown id counts by the company's. Clocks are compiled when
first asked for and kept; people who share a calendar share its clock. A change of one person forgets one clock.
Source: working-time semantics §4, §7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from threading import RLock
from types import MappingProxyType
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from b24metrics.errors import CalendarError
from b24metrics.worktime.calendar import Days, WorkCalendar
from b24metrics.worktime.compiled import Years
from b24metrics.worktime.intervals import DAY, BoolArray, IntArray
from b24metrics.worktime.shifts import Absence, Complaints, read_absences, read_days
from b24metrics.worktime.stack import Stack
from b24metrics.worktime.workclock import Moment, Moments, WorkClock, epoch_seconds, years_of

_PERSON_KEYS = frozenset({"absences", "days", "employed_on", "holidays", "tz", "versions", "week"})

#: Ids within such a span are counted through a table instead of being sorted.
_DENSE = 1 << 20

#: Lets the rest be read and checked when the company's own calendar cannot be.
_STAND_IN = WorkCalendar.simple("UTC", {"mon-sun": ["00:00-24:00"]})


@dataclass(frozen=True, slots=True)
class Employee:
    """What decides one person's working time.

    Attributes:
        department_id: the primary one. calendar: a schedule of their own. personal_days: overrides, by date.
        absences: vacation, sick leave, hours off. employed_on: first working day; None: always there.
        dismissed_at: observed dismissal; None: not observed. active: False also where only the fact is known.
    """

    id: int
    department_id: int | None = None
    calendar: WorkCalendar | None = None
    personal_days: Days = ()
    absences: tuple[Absence, ...] = ()
    employed_on: date | None = None
    dismissed_at: datetime | None = None
    active: bool = True


class Calendars:
    """Clocks of a company, its departments and its people.

    Args:
        company: the calendar of everybody without a better one.
        departments: department id → calendar.
        parents: department id → id of the department above it.
        employees: the people that are known.
        kept: how many people's clocks stay compiled.

    Raises:
        CalendarError: the company has no working time at all. Round the clock is not assumed.
    """

    def __init__(
        self,
        company: WorkCalendar,
        *,
        departments: Mapping[int, WorkCalendar] | None = None,
        parents: Mapping[int, int | None] | None = None,
        employees: Iterable[Employee] = (),
        kept: int = 10_000,
    ) -> None:
        if company.is_empty:
            raise CalendarError("the company's calendar has no shift at all: give it a week (24/7 is 00:00-24:00)")
        self.calendar = company
        self.company = WorkClock(company)
        self._departments = dict(departments or {})
        self._parents = dict(parents or {})
        self._employees = {employee.id: employee for employee in employees}
        self._clocks: LRUCache[int, WorkClock] = LRUCache(kept)
        self._shared: WeakValueDictionary[object, WorkClock] = WeakValueDictionary()
        self._shared[company, None, None] = self.company
        self._stack: Stack | None = None
        self._lock = RLock()

    @classmethod
    def parse(cls, data: Mapping[str, object], *, parents: Mapping[int, int | None] | None = None) -> Calendars:
        """From plain data: the company's calendar as ``WorkCalendar.parse`` reads it, and ``departments`` and ``people``.

        ::

            tz = "Europe/Moscow"
            week = { mon-fri = ["09:00-18:00"] }
            [departments.12]                       # whatever is not given is the company's
            week = { mon-sun = ["08:00-20:00"] }
            [people.101]
            days = { 2025-03-08 = ["10:00-14:00"] }
            absences = [ { from = 2025-07-01, to = 2025-07-14 }, { from = 2025-08-01T12:00, to = 2025-08-01T15:00 } ]
            employed_on = 2024-02-01

        A person's ``days`` are personal overrides; ``tz``, ``week``, ``holidays``, ``versions`` give a schedule of
        their own.

        Raises:
            CalendarError: one line for everything that is wrong, with its place.
        """
        complaints = Complaints()
        own = {key: value for key, value in data.items() if key not in {"departments", "people"}}
        company: WorkCalendar | None = None
        try:
            company = WorkCalendar.parse(own)
        except CalendarError as error:
            complaints.add_lines(str(error))
        departments: dict[int, WorkCalendar] = {}
        employees: list[Employee] = []
        for place, number, table in _tables(complaints, data, "departments"):
            with complaints.at(place):
                departments[number] = WorkCalendar.parse(table, company or _STAND_IN)
        for place, number, table in _tables(complaints, data, "people"):
            with complaints.at(place):
                employees.append(_read_employee(number, table, company or _STAND_IN))
        complaints.settle()
        assert company is not None  # otherwise there was something to complain of
        return cls(company, departments=departments, parents=parents, employees=employees)

    # ------------------------------------------------------------ people

    @property
    def departments(self) -> Mapping[int, WorkCalendar]:
        """Calendars of departments that have one of their own, by id."""
        return MappingProxyType(self._departments)

    @property
    def employees(self) -> tuple[Employee, ...]:
        """The people that are known."""
        return tuple(self._employees.values())

    def person(self, employee_id: int) -> Employee:
        """What is known of a person; an unknown one has nothing of their own."""
        return self._employees.get(employee_id) or Employee(employee_id)

    def update(self, employee: Employee) -> None:
        """Put in or replace one person; only their clock is forgotten."""
        with self._lock:
            self._employees[employee.id] = employee
            self._clocks.pop(employee.id, None)
            self._stack = None

    def department(self, department_id: int | None) -> WorkClock:
        """Clock of a department's queue: its own schedule, else the nearest one above, else the company's."""
        return self._clock(self._department_calendar(department_id), None, None)

    def employee(self, employee_id: int) -> WorkClock:
        """Clock of a person."""
        with self._lock:
            clock = self._clocks.get(employee_id)
            if clock is None:
                person = self.person(employee_id)
                calendar = person.calendar or self._department_calendar(person.department_id)
                if person.personal_days or person.absences:
                    calendar = calendar.for_person(person.personal_days, person.absences)
                clock = self._clocks[employee_id] = self._clock(calendar, person.employed_on, person.dismissed_at)
            return clock

    def _clock(self, calendar: WorkCalendar, employed_on: date | None, dismissed_at: datetime | None) -> WorkClock:
        key = (calendar, employed_on, dismissed_at)
        with self._lock:
            clock = self._shared.get(key)
            if clock is None:
                clock = self._shared[key] = WorkClock(calendar, self.calendar, employed_on, dismissed_at)
            return clock

    def _department_calendar(self, department_id: int | None) -> WorkCalendar:
        seen: set[int] = set()
        while department_id is not None and department_id not in seen:  # department trees do hold cycles
            if department_id in self._departments:
                return self._departments[department_id]
            seen.add(department_id)
            department_id = self._parents.get(department_id)
        return self.calendar

    # ------------------------------------------------------------ many people at once

    def elapsed(self, employee_ids: Moments, start_at: Moments, end_at: Moment | Moments) -> IntArray:
        """Working seconds between paired instants, each pair in its own person's calendar.

        Args:
            employee_ids: shape (n,).
            start_at: instants, shape (n,).
            end_at: instants, shape (n,) or one for all.

        Returns:
            int64, shape (n,); negative where the end precedes the start.
        """
        starts, ends = np.broadcast_arrays(epoch_seconds(start_at), epoch_seconds(end_at))
        stack, offsets = self._stacked(employee_ids, starts, ends)
        return stack.elapsed(offsets, starts, ends)

    def deadline(self, employee_ids: Moments, start_at: Moments, seconds: int | Moments) -> IntArray:
        """Earliest instants by which the seconds have been worked, each in its own person's calendar; shape (n,).

        Raises:
            HorizonError: one of them is not reached within five years.
        """
        starts, wanted = np.broadcast_arrays(epoch_seconds(start_at), epoch_seconds(seconds))
        result = np.zeros(starts.shape, dtype=np.int64)
        for clock, rows in self._grouped(employee_ids):
            result[rows] = clock.deadline(starts[rows], wanted[rows])
        return result

    def is_working(self, employee_ids: Moments, at: Moments) -> BoolArray:
        """Whether each person works at the paired instant, shape (n,)."""
        instants = epoch_seconds(at)
        stack, offsets = self._stacked(employee_ids, instants)
        return stack.is_working(offsets, instants)

    def clocks(self, employee_ids: Moments) -> tuple[list[WorkClock], IntArray]:
        """The different clocks among these people, and for each of them the position of their clock, shape (n,)."""
        people, who = _distinct(np.asarray(employee_ids, dtype=np.int64).ravel())
        found = [self.employee(int(person)) for person in people]
        clocks = list(dict.fromkeys(found))
        position = {clock: number for number, clock in enumerate(clocks)}
        numbers = np.array([position[clock] for clock in found], dtype=np.int64)
        return clocks, numbers[who]

    def _stacked(self, employee_ids: Moments, *instants: IntArray) -> tuple[Stack, IntArray]:
        """The stack of all clocks in use, widened if need be, and the offset of each row's clock."""
        clocks, which = self.clocks(employee_ids)
        years = years_of(*instants)
        with self._lock:
            stack = self._stack
            if stack is None or not stack.covers(clocks, years):
                before = stack or Stack((), years)
                stack = self._stack = Stack(
                    dict.fromkeys([*before.position, *clocks]),
                    Years(min(before.years.first, years.first), max(before.years.last, years.last)),
                )
        return stack, stack.offsets(clocks)[which]

    def _grouped(self, employee_ids: Moments) -> Iterator[tuple[WorkClock, npt.NDArray[np.intp]]]:
        clocks, which = self.clocks(employee_ids)
        if len(clocks) <= np.iinfo(np.int16).max:
            which = which.astype(np.int16)  # sixteen bits are sorted by radix, ten times as fast
        order = np.argsort(which, kind="stable")
        bounds = np.searchsorted(which[order], np.arange(len(clocks) + 1))
        for number, clock in enumerate(clocks):
            yield clock, order[bounds[number] : bounds[number + 1]]

    # ------------------------------------------------------------ state

    def is_away(self, employee_id: int, at: Moment) -> bool:
        """Whether nobody should wait for this person now: dismissed, absent, or no working time in the next 24 hours.

        Absent: an absence covers the instant, or takes all of the working time of its local date.
        Source: catalogue §19, ``unanswered_assigned_to_absent_count``.
        """
        person, clock, now = self.person(employee_id), self.employee(employee_id), int(epoch_seconds(at))
        if not person.active or (person.dismissed_at is not None and person.dismissed_at.timestamp() <= now):
            return True
        if clock.is_absent(now) or clock.elapsed(now, now + DAY) == 0:
            return True
        if not clock.calendar.absences:
            return False
        today = clock.date_of(now)
        scheduled = self._clock(clock.calendar.without_absences(), person.employed_on, person.dismissed_at)
        return bool(scheduled.working_dates(today, today)) and not clock.working_dates(today, today)

    def caveats(self, first: date, last: date) -> tuple[str, ...]:
        """What a reader should know about the holidays of all calendars between two dates, each said once."""
        calendars = [self.calendar, *self._departments.values()]
        calendars += [employee.calendar for employee in self._employees.values() if employee.calendar is not None]
        return tuple(dict.fromkeys(said for calendar in calendars for said in calendar.caveats(first, last)))


def _distinct(ids: IntArray) -> tuple[IntArray, IntArray]:
    """Sorted different ids, and for each id its position among them."""
    low, span = (int(ids.min()), int(ids.max()) - int(ids.min()) + 1) if ids.size else (0, 0)
    if span > _DENSE:
        return np.unique(ids, return_inverse=True)
    present = np.zeros(span, dtype=np.int64)  # ids of users are small numbers: no need to sort half a million of them
    present[ids - low] = 1
    return np.flatnonzero(present) + low, (np.cumsum(present) - 1)[ids - low]


def _tables(
    complaints: Complaints, data: Mapping[str, object], key: str
) -> Iterator[tuple[str, int, Mapping[str, object]]]:
    """Sub-tables keyed by id, with the place that complaints name."""
    tables = data.get(key, {})
    if not isinstance(tables, Mapping):
        complaints.add(key, f"{tables!r} is not a table of ids")
        return
    for name, table in tables.items():
        place = f"{key}.{name}"
        if not str(name).isdecimal():
            complaints.add(place, "the key must be an id, a whole number")
        elif not isinstance(table, Mapping):
            complaints.add(place, f"{table!r} is not a table")
        else:
            yield place, int(str(name)), table


def _read_employee(number: int, table: Mapping[str, object], company: WorkCalendar) -> Employee:
    complaints = Complaints()
    employee = Employee(number)
    rest = dict(table)
    with complaints.at("days"):
        employee = replace(employee, personal_days=read_days(rest.pop("days", {})))
    with complaints.at("absences"):
        employee = replace(employee, absences=read_absences(rest.pop("absences", [])))
    employed_on = rest.pop("employed_on", None)
    if employed_on is not None and type(employed_on) is not date:
        complaints.add("employed_on", f"{employed_on!r} is not a date: write 2024-02-01 without quotes")
    elif employed_on is not None:
        employee = replace(employee, employed_on=employed_on)
    for key in sorted(rest.keys() - _PERSON_KEYS):
        complaints.add(key, f"unknown key; there are {', '.join(sorted(_PERSON_KEYS))}")
        rest.pop(key)
    if rest:
        try:
            employee = replace(employee, calendar=WorkCalendar.parse(rest, company))
        except CalendarError as error:
            complaints.add_lines(str(error))
    complaints.settle()
    return employee
