"""Calendars and absences from what the portal says.

Laws: pure functions of values already read from the wire, shaped as the entities are; where the portal gives no usable
template the answer is None and the company's calendar holds. A break that is only a length is ignored: it has no place
on the clock. Source: working-time semantics §5.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Protocol

from b24metrics.errors import CalendarError
from b24metrics.worktime.calendar import Days, Version, WorkCalendar
from b24metrics.worktime.publicholidays import PublicHolidays
from b24metrics.worktime.shifts import WEEKDAYS, Absence, Complaints, DayShifts, Shift, Week


class PlannedShift(Protocol):
    """One of a schedule's shifts: seconds from midnight, ISO weekdays (1 Monday)."""

    @property
    def starts_seconds(self) -> int | None: ...

    @property
    def ends_seconds(self) -> int | None: ...

    @property
    def weekdays(self) -> Collection[int]: ...

    @property
    def deleted(self) -> bool | None: ...


def calendar_of_schedule(
    kind: str | None,
    shifts: Iterable[PlannedShift],
    tz: str,
    *,
    exclusions: Iterable[date] = (),
    holidays: PublicHolidays | None = None,
    days: Days = (),
    deleted: bool | None = False,
) -> WorkCalendar | None:
    """The calendar behind one reply of ``timeman.schedule.get``.

    Args:
        kind: ``SCHEDULE_TYPE``.
        shifts: ``SHIFTS``; an end not later than the start is the next date.
        tz: zone of the schedule, which the reply does not name: the portal's or a configured one.
        exclusions: days off of the schedule's calendar, see ``exclusion_days``. In the years that they name they take
            the place of the holiday library; years without any are left to the library.
        holidays: the holiday layer.
        days: company overrides; they win over exclusions.
        deleted: ``DELETED`` of the schedule.

    Returns:
        None where there is no weekly template: ``FLEXTIME`` (the company's counts), ``SHIFT`` (personal plans must come
        from the configuration), a deleted schedule, or one without living shifts.

    Raises:
        CalendarError: a shift that cannot be meant, with its weekday.
    """
    if deleted or (kind or "").upper() != "FIXED":
        return None
    week: list[list[Shift]] = [[] for _ in WEEKDAYS]
    complaints = Complaints()
    for shift in shifts:
        if shift.deleted or shift.starts_seconds is None or shift.ends_seconds is None:
            continue
        for number in sorted(set(shift.weekdays)):
            with complaints.at(WEEKDAYS[number - 1]):
                week[number - 1].append(Shift.between(shift.starts_seconds, shift.ends_seconds))
    complaints.settle()
    if not any(week):
        return None
    off = {day: DayShifts() for day in exclusions}
    if holidays is not None and off:
        holidays = replace(holidays, silent_years=holidays.silent_years | {day.year for day in off})
    return WorkCalendar((Version(tz, _week(week), holidays),), tuple(sorted({**off, **dict(days)}.items())))


def exclusion_days(exclusions: Mapping[str, object] | None) -> tuple[date, ...]:
    """Days off of ``CALENDAR.EXCLUSIONS``: ``{year: {month: {day: …}}}``, sorted.

    That a day is there makes it a day off; what stands beside it is not looked at, by the vendor neither.

    Raises:
        CalendarError: a key that is no date.
    """
    found: list[date] = []
    for year, months in (exclusions or {}).items():
        for month, days in _branches(months):
            for day, _ in _branches(days):
                try:
                    found.append(date(int(year), int(month), int(day)))
                except ValueError:
                    raise CalendarError(f"{year}-{month}-{day} among the schedule's exclusions is not a date") from None
    return tuple(sorted(found))


def _branches(tree: object) -> Iterable[tuple[str, object]]:
    return tree.items() if isinstance(tree, Mapping) else ()  # an empty PHP map comes as a list


def calendar_of_settings(
    starts_seconds: int | None,
    ends_seconds: int | None,
    weekend: Collection[int],
    tz: str,
    *,
    years: Iterable[int],
    holidays: Iterable[tuple[int, int]] = (),
    working_holidays: Iterable[tuple[int, int]] = (),
    public: PublicHolidays | None = None,
) -> WorkCalendar | None:
    """The calendar behind ``calendar.settings.get``: the portal's working hours, weekend and yearly holidays.

    Args:
        starts_seconds: ``work_time_start``, seconds from midnight.
        ends_seconds: ``work_time_end``.
        weekend: ISO weekdays without work.
        tz: zone of the portal.
        years: for which the yearly days are written out.
        holidays: (month, day) off every year.
        working_holidays: (month, day) worked every year, whatever weekday it is.
        public: the holiday layer beneath them.

    Returns:
        None where the portal names no hours, or no working day.
    """
    if starts_seconds is None or ends_seconds is None or starts_seconds == ends_seconds:
        return None
    hours = [Shift.between(starts_seconds, ends_seconds)]
    week = [[] if number in weekend else hours for number in range(1, 8)]
    if not any(week):
        return None
    days: dict[date, DayShifts] = {}
    for year in years:
        for dates, shifts in ((holidays, DayShifts()), (working_holidays, tuple(hours))):
            for month, day in dates:
                if (month, day) != (2, 29) or isleap(year):
                    days[date(year, month, day)] = shifts
    return WorkCalendar((Version(tz, _week(week), public),), tuple(sorted(days.items())))


def absence_of(
    kind: str | None,
    starts_at: datetime,
    ends_at: datetime | None,
    *,
    whole_days: bool | None,
    counted: Collection[str] = ("absent",),
) -> Absence | None:
    """The absence behind one item of ``calendar.accessibility.get``.

    Args:
        kind: ``ACCESSIBILITY``; "busy" is a meeting, not an absence.
        starts_at: an instant; with ``whole_days`` midnight of the first day, written in UTC but meant in the person's zone.
        ends_at: half-open; with ``whole_days`` midnight after the last day.
        whole_days: ``DT_SKIP_TIME``.
        counted: kinds that count as absence.

    Returns:
        None for another kind and for an empty span.

    Raises:
        CalendarError: an instant without zone, or a span that is turned round.
    """
    if kind not in counted or starts_at == ends_at:
        return None
    if whole_days:
        return Absence(starts_at.replace(tzinfo=None), ends_at.replace(tzinfo=None) if ends_at is not None else None)
    if starts_at.tzinfo is None or (ends_at is not None and ends_at.tzinfo is None):
        raise CalendarError(
            f"absence from {starts_at} to {ends_at}: instants must be aware unless whole days are meant"
        )
    return Absence(starts_at, ends_at)


def _week(days: list[list[Shift]]) -> Week:
    mon, tue, wed, thu, fri, sat, sun = (tuple(sorted(day)) for day in days)
    return mon, tue, wed, thu, fri, sat, sun
