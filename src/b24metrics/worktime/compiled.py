"""From rules to instants: a calendar compiled for some years.

Laws: pure functions of (calendar, years), remembered by value, so that nothing has to be invalidated; everything is done
on whole arrays, Python loops run over exceptional days and weekly shifts, not over dates. The part that a department shares (shifts) is compiled once, absences are taken off per
person. Origins and edges: compiled years are UTC years; three days more on each side are looked at, because night tails
and offsets reach across. Source: working-time semantics §2, §3.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from threading import RLock

import numpy as np
from cachetools import LRUCache, cached
from cachetools.keys import hashkey

from b24metrics.worktime.calendar import WorkCalendar
from b24metrics.worktime.intervals import (
    DAY,
    EMPTY,
    FAR,
    IntArray,
    Intervals,
    Tally,
    between,
    complement,
    intersect,
    merge,
    subtract,
    union,
)
from b24metrics.worktime.zones import zone_table

MARGIN = 3  # days: a shift of 24 hours and the widest offset, rounded up

_EPOCH = date(1970, 1, 1).toordinal()
_MOMENT_ZERO = datetime(1970, 1, 1)  # noqa: DTZ001 - the origin of wall seconds


@dataclass(frozen=True, slots=True)
class Years:
    """Whole UTC years, both included."""

    first: int
    last: int

    @property
    def begin(self) -> int:
        return year_start(self.first)

    @property
    def end(self) -> int:
        return year_start(self.last + 1)

    def days(self) -> IntArray:
        """Days since 1970 of these years, with the margin."""
        return np.arange(self.begin // DAY - MARGIN, self.end // DAY + MARGIN, dtype=np.int64)


def year_start(year: int) -> int:
    """Epoch seconds of 1 January 00:00 UTC."""
    return (date(year, 1, 1).toordinal() - _EPOCH) * DAY


def year_of(at: int) -> int:
    """UTC year of an instant."""
    return date.fromordinal(_EPOCH + at // DAY).year


@dataclass(frozen=True, eq=False)
class Shifts:
    """Shifts of a calendar as instants, before absences.

    Attributes:
        days: days since 1970 on which the shifts start, shape (n,). starts, ends: instants, shape (n,).
        midnights: first instant of each date of ``Years.days()``; monotone.
    """

    days: IntArray
    starts: IntArray
    ends: IntArray
    midnights: IntArray

    @cached_property
    def open(self) -> Intervals:
        """Their union."""
        return merge(self.starts, self.ends)

    def within(self, span: Intervals) -> Shifts:
        """The parts of the shifts that lie in a span of at most two stretches."""
        parts = [
            (np.maximum(self.starts, start), np.minimum(self.ends, end))
            for start, end in zip(span.starts, span.ends, strict=True)
        ]
        return Shifts(
            np.tile(self.days, len(parts)),
            np.concatenate([starts for starts, _ in parts] or [EMPTY.starts]),
            np.concatenate([ends for _, ends in parts] or [EMPTY.ends]),
            self.midnights,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """One clock's working time in some years.

    Attributes:
        tally: working intervals with running totals, cut to the years. absent: absences as instants, united.
        shifts: those of the calendar, absences not regarded.
        midnights: first instant of each local date, from ``first_day`` (days since 1970) on.
        worked_days: number of dates with positive working time before each date of ``midnights`` and, last, in all.
    """

    years: Years
    tally: Tally
    absent: Intervals
    shifts: Shifts
    midnights: IntArray
    first_day: int
    worked_days: IntArray

    def day_index(self, at: IntArray) -> IntArray:
        """Position in ``midnights`` of the local date of each instant (by the remembered clock: it never goes back)."""
        return np.searchsorted(self.midnights, at, side="right") - 1


@cached(LRUCache(maxsize=512), key=hashkey, lock=RLock())
def compile_calendar(
    calendar: WorkCalendar,
    years: Years,
    company: WorkCalendar | None = None,
    tenure: tuple[date | None, datetime | None] = (None, None),
) -> Compiled:
    """Working time of one calendar; outside of a tenure the company's.

    Args:
        calendar: the person's, or the company's own.
        years: UTC years that must be right.
        company: counts outside of the tenure; None: nothing does.
        tenure: first date of work (00:00 in the person's zone) and instant of dismissal; None is open.
    """
    mine = shifts_of(calendar.without_absences(), years)
    absent = absences_of(calendar, years)
    employed = _employed(calendar, years, tenure)
    if employed is None:
        shifts, opened = mine, subtract(mine.open, absent)
    else:
        absent = intersect(absent, employed)
        before_and_after = complement(employed)
        others = shifts_of(company.without_absences(), years) if company is not None else mine.within(EMPTY)
        opened = union(
            subtract(intersect(mine.open, employed), absent),
            intersect(others.open, before_and_after),
        )
        own, foreign = mine.within(employed), others.within(before_and_after)
        shifts = Shifts(
            np.concatenate((own.days, foreign.days)),
            np.concatenate((own.starts, foreign.starts)),
            np.concatenate((own.ends, foreign.ends)),
            mine.midnights,
        )
    days = years.days()
    whole = Tally.of(opened)
    # A date is worked if anything is left of the shifts that start on it, a night shift's morning included.
    worked = shifts.days[(shifts.starts < shifts.ends) & (whole.before(shifts.ends) > whole.before(shifts.starts))]
    flags = np.zeros(days.size, dtype=np.int64)
    flags[worked - days[0]] = 1
    return Compiled(
        years=years,
        tally=Tally.of(intersect(opened, between(years.begin, years.end))),
        absent=absent,
        shifts=shifts,
        midnights=shifts.midnights,
        first_day=int(days[0]),
        worked_days=np.concatenate(([0], np.cumsum(flags))),
    )


def _employed(calendar: WorkCalendar, years: Years, tenure: tuple[date | None, datetime | None]) -> Intervals | None:
    since, until = tenure
    if since is None and until is None:
        return None
    begin, end = -FAR, FAR
    if since is not None:
        day = np.array([since.toordinal() - _EPOCH], dtype=np.int64)
        begin = int(_resolve(calendar, years, day, day * DAY)[0])
    if until is not None:
        end = int(until.timestamp() // 1)
    return between(begin, end)


@cached(LRUCache(maxsize=256), key=hashkey, lock=RLock())
def shifts_of(calendar: WorkCalendar, years: Years) -> Shifts:
    """Shifts of a calendar (which must carry no absences: they are not regarded) as instants."""
    days = years.days()
    exceptions = calendar.exceptions(_date(int(days[0])), _date(int(days[-1])))
    exceptional = np.array(sorted(day.toordinal() - _EPOCH for day in exceptions), dtype=np.int64)
    plain = ~np.isin(days, exceptional)
    version, weekday = _version_of(calendar, days), (days + 3) % 7  # 1970-01-01 was a Thursday

    found: list[tuple[IntArray, int, int]] = []
    for number, state in enumerate(calendar.versions):
        for index, shifts in enumerate(state.week):
            these = days[plain & (version == number) & (weekday == index)] if shifts else days[:0]
            found.extend((these, shift.starts, shift.ends) for shift in shifts)
    for day, shifts in exceptions.items():
        this = np.array([day.toordinal() - _EPOCH], dtype=np.int64)
        found.extend((this, shift.starts, shift.ends) for shift in shifts)

    none = EMPTY.starts
    starting = np.concatenate([none, *(these for these, _, _ in found)])
    starts = np.concatenate([none, *(these * DAY + start for these, start, _ in found)])
    ends = np.concatenate([none, *(these * DAY + end for these, _, end in found)])
    return Shifts(
        starting,
        _resolve(calendar, years, starting, starts),
        _resolve(calendar, years, starting, ends),
        np.maximum.accumulate(_resolve(calendar, years, days, days * DAY)),
    )


def absences_of(calendar: WorkCalendar, years: Years) -> Intervals:
    """Absences as instants, united; not cut to the years."""
    if not calendar.absences:
        return EMPTY
    starts = [absence.starts for absence in calendar.absences]
    ends = [absence.ends for absence in calendar.absences]
    return merge(_instants(calendar, years, starts), _instants(calendar, years, ends))


def _instants(calendar: WorkCalendar, years: Years, moments: list[datetime] | list[datetime | None]) -> IntArray:
    """Instants of wall times and aware moments; None is FAR."""
    wall = np.zeros(len(moments), dtype=np.int64)
    fixed = np.full(len(moments), -1, dtype=np.int64)
    for index, moment in enumerate(moments):
        if moment is None:
            fixed[index] = FAR
        elif moment.tzinfo is None:
            wall[index] = (moment - _MOMENT_ZERO).total_seconds() // 1
        else:
            fixed[index] = moment.timestamp() // 1
    named = np.array([moment is not None and moment.tzinfo is None for moment in moments])
    return np.where(named, _resolve(calendar, years, wall // DAY, wall), fixed)


def _version_of(calendar: WorkCalendar, days: IntArray) -> IntArray:
    later = [v.valid_from.toordinal() - _EPOCH for v in calendar.versions if v.valid_from is not None]
    return np.searchsorted(np.array(later, dtype=np.int64), days, side="right")


def _resolve(calendar: WorkCalendar, years: Years, days: IntArray, wall: IntArray) -> IntArray:
    """Instants of wall times, each in the zone of the version valid on its day."""
    begin, end = years.begin - 2 * MARGIN * DAY, years.end + 2 * MARGIN * DAY
    version = _version_of(calendar, days)
    instants = np.empty_like(wall)
    for number, state in enumerate(calendar.versions):
        mine = version == number
        if mine.any():
            instants[mine] = zone_table(state.tz, begin, end).instants(wall[mine])
    return instants


def _date(day: int) -> date:
    return date.fromordinal(_EPOCH + day)
