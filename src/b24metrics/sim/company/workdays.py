"""The company's production calendar: which dates are worked, from when to when.

Laws: Russian public holidays with transferred days off, transferred working Saturdays, and the day before a statutory
holiday one hour shorter (Labour Code, articles 95 and 112); a shift that works Saturdays by contract still rests on
public holidays. Wall times become instants in the zone of the person who works, never in the portal's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays

HOUR = 3600
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Schedule:
    """A work schedule as the vendor's time-tracking keeps it: seconds from midnight and digits of weekdays."""

    id: int
    name: str
    kind: str  # FIXED or SHIFT
    opens: int
    closes: int
    weekdays: str  # digits, 1 = Monday
    pause: int = HOUR
    two_by_two: bool = False  # two days on, two days off; weekdays and holidays do not matter then


#: The sales floor, the late shift of one department, and the service desk.
OFFICE = Schedule(1, "Офис, 09:00–18:00", "FIXED", 9 * HOUR, 18 * HOUR, "12345")
LATE = Schedule(2, "Вечерняя смена, 11:00–20:00", "FIXED", 11 * HOUR, 20 * HOUR, "12345")
DESK = Schedule(3, "Сервис 2/2, 09:00–21:00", "SHIFT", 9 * HOUR, 21 * HOUR, "1234567", two_by_two=True)
SCHEDULES = (OFFICE, LATE, DESK)


@dataclass(frozen=True, slots=True)
class WorkDay:
    """One schedule on one date in one zone; half-open, epoch seconds. Brigade is 0 or 1 for two-by-two schedules."""

    schedule: int
    zone: str
    brigade: int
    on: date
    opens_at: int
    closes_at: int


class ProductionCalendar:
    """Working and short days of Russia."""

    def __init__(self, years: range) -> None:
        # The following year is asked for too: 31 December is short or off because of it.
        self._days = holidays.country_holidays("RU", years=range(years.start, years.stop + 1), language="en_US")
        moved = {}
        for day, name in self._days.items():
            if name.startswith("Day off (substituted from "):
                month, number, year = map(int, name.removeprefix("Day off (substituted from ").rstrip(")").split("/"))
                moved[date(year, month, number)] = day
        self._moved = moved

    def is_worked(self, on: date) -> bool:
        """Whether a five-day week works on this date."""
        return self._days.is_working_day(on)

    def is_public_holiday(self, on: date) -> bool:
        """A day off by law on any weekday, substituted days included."""
        return on in self._days and not self._days.is_working_day(on)

    def is_short(self, on: date) -> bool:
        """A working day directly before a statutory holiday, or exchanged with such a one."""
        if not self.is_worked(on):
            return False
        if on.weekday() >= 5:
            return on in self._moved and self._is_statutory(self._moved[on] + timedelta(days=1))
        return self._is_statutory(on + timedelta(days=1))

    def _is_statutory(self, on: date) -> bool:
        name = self._days.get(on) or ""
        return bool(name) and not name.startswith("Day off (substituted") and "(observed)" not in name

    def span(self, schedule: Schedule, on: date, brigade: int = 0) -> tuple[int, int] | None:
        """Seconds from midnight at which work opens and closes on a date, or nothing."""
        if schedule.two_by_two:
            return (schedule.opens, schedule.closes) if on.toordinal() // 2 % 2 == brigade else None
        if not self.is_worked(on):
            return None
        return schedule.opens, schedule.closes - (HOUR if self.is_short(on) else 0)


def work_days(
    calendar: ProductionCalendar, shifts: Iterable[tuple[Schedule, str]], start: date, end: date
) -> Iterator[WorkDay]:
    """Working days of each schedule in its zone over ``[start, end)``."""
    for schedule, zone_name in shifts:
        zone = ZoneInfo(zone_name)
        for brigade in (0, 1) if schedule.two_by_two else (0,):
            on = start
            while on < end:
                span = calendar.span(schedule, on, brigade)
                if span is not None:
                    opens, closes = (int(datetime.combine(on, time(at // HOUR), zone).timestamp()) for at in span)
                    yield WorkDay(schedule.id, zone_name, brigade, on, opens, closes)
                on += timedelta(days=1)
