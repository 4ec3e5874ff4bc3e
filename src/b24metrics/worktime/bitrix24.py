"""Calendars and absences from what the portal says.

Laws: pure functions of values already read from the wire; where the portal gives no weekly template the answer is None
and the company's calendar holds. A break that is only a length is ignored: it has no place on the clock.
Source: working-time semantics §5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime

from b24metrics.errors import CalendarError
from b24metrics.worktime.calendar import Days, Version, WorkCalendar
from b24metrics.worktime.publicholidays import PublicHolidays
from b24metrics.worktime.shifts import WEEKDAYS, Absence, Complaints, DayShifts, Shift, Week


@dataclass(frozen=True, slots=True)
class PlannedShift:
    """One of ``SHIFTS``.

    Attributes:
        starts, ends: ``WORK_TIME_START``, ``WORK_TIME_END``: seconds from midnight; an end not later than the start is
            the next date. weekdays: ``WORK_DAYS``, digits 1 (Monday) … 7. deleted: ``DELETED``.
    """

    starts: int
    ends: int
    weekdays: str
    deleted: bool = False


def calendar_of_schedule(
    kind: str,
    shifts: Iterable[PlannedShift],
    tz: str,
    *,
    exclusions: Iterable[date] = (),
    holidays: PublicHolidays | None = None,
    days: Days = (),
    deleted: bool = False,
) -> WorkCalendar | None:
    """The calendar behind one reply of ``timeman.schedule.get``.

    Args:
        kind: ``SCHEDULE_TYPE``.
        shifts: ``SHIFTS``.
        tz: zone of the schedule, which the reply does not name: the portal's or a configured one.
        exclusions: days off of ``CALENDAR.EXCLUSIONS``. In the years that they name, they take the place of the holiday
            library; years without any are left to the library.
        holidays: the holiday layer.
        days: company overrides; they win over exclusions.
        deleted: ``DELETED`` of the schedule.

    Returns:
        None where there is no weekly template: ``FLEXTIME`` (the company's counts), ``SHIFT`` (personal plans must come
        from the configuration), a deleted schedule, or one without living shifts.

    Raises:
        CalendarError: a shift that cannot be meant, with its weekday.
    """
    if deleted or kind.upper() != "FIXED":
        return None
    week: list[list[Shift]] = [[] for _ in WEEKDAYS]
    complaints = Complaints()
    for planned in shifts:
        if planned.deleted:
            continue
        for index in sorted({int(digit) - 1 for digit in planned.weekdays if digit in "1234567"}):
            with complaints.at(WEEKDAYS[index]):
                week[index].append(Shift.between(planned.starts, planned.ends))
    complaints.settle()
    if not any(week):
        return None
    off = {day: DayShifts() for day in exclusions}
    if holidays is not None and off:
        holidays = replace(holidays, silent_years=holidays.silent_years | {day.year for day in off})
    mon, tue, wed, thu, fri, sat, sun = (tuple(sorted(day)) for day in week)
    template: Week = (mon, tue, wed, thu, fri, sat, sun)
    return WorkCalendar((Version(tz, template, holidays),), tuple(sorted({**off, **dict(days)}.items())))


def absence_of(
    accessibility: str, starts: date, ends: date, *, whole_days: bool, counted: Iterable[str] = ("absent",)
) -> Absence | None:
    """The absence behind one item of ``calendar.accessibility.get``.

    Args:
        accessibility: ``ACCESSIBILITY``; "busy" is a meeting, not an absence.
        starts: with ``whole_days`` the first date, otherwise an aware datetime from ``DATE_FROM_TS_UTC``.
        ends: with ``whole_days`` the last date, inclusive, otherwise an aware datetime from ``DATE_TO_TS_UTC``.
        whole_days: ``DT_SKIP_TIME``.
        counted: kinds that count as absence.

    Returns:
        None for another kind and for an empty span.

    Raises:
        CalendarError: an instant without zone, or a span that is turned round.
    """
    if accessibility not in counted:
        return None
    if whole_days:
        first, last = (moment.date() if isinstance(moment, datetime) else moment for moment in (starts, ends))
        return Absence.days(first, last)
    if not isinstance(starts, datetime) or not isinstance(ends, datetime) or not starts.tzinfo or not ends.tzinfo:
        raise CalendarError(
            f"absence from {starts} to {ends}: both must be aware datetimes unless whole days are meant"
        )
    return Absence(starts, ends) if starts != ends else None
