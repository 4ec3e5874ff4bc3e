"""A second witness: counts working time minute by minute with a clock that remembers.

Laws: shares no code with ``b24metrics.worktime``; knows only wall times, minutes and ``datetime``. ``M(t)`` is the latest
wall time that the local clock has shown so far; a minute is working time iff ``M`` lies in a shift and in no absence.
Source: working-time semantics §2, "equivalent reading".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

MINUTE = timedelta(minutes=1)
MEMORY = 3 * 1440  # minutes before the span, so that the clock has something to remember

Shifts = list[tuple[str, str]]  # "HH:MM", as people write them


@dataclass(frozen=True)
class State:
    """Zone and week (Monday first) from a date on."""

    valid_from: date | None
    tz: str
    week: tuple[Shifts, ...]


@dataclass(frozen=True)
class Rules:
    """What a calendar is made of, in the plainest form."""

    states: list[State]
    company: dict[date, Shifts] = field(default_factory=dict)
    personal: dict[date, Shifts] = field(default_factory=dict)
    absences: list[tuple[datetime, datetime | None]] = field(default_factory=list)

    def state_on(self, day: date) -> State:
        return [s for s in self.states if s.valid_from is None or s.valid_from <= day][-1]

    def shifts_on(self, day: date) -> Shifts:
        for layer in (self.personal, self.company):
            if day in layer:
                return layer[day]
        return self.state_on(day).week[day.weekday()]


def wall_minutes(moment: datetime) -> int:
    """Minutes on the wall since 1970, as if there were no zone."""
    return (moment - datetime(1970, 1, 1)) // MINUTE


@lru_cache(maxsize=64)
def remembered(tz: str, begin: int, minutes: int) -> np.ndarray:
    """``M`` at each minute from ``begin`` (epoch seconds) on, in wall minutes."""
    zone, latest, seen = ZoneInfo(tz), -(10**9), []
    for number in range(-MEMORY, minutes):
        shown = datetime.fromtimestamp(begin + 60 * number, zone).replace(tzinfo=None)
        latest = max(latest, wall_minutes(shown))
        seen.append(latest)
    return np.array(seen[MEMORY:])


def working_minutes(rules: Rules, begin: int, minutes: int) -> np.ndarray:
    """Whether each minute from ``begin`` (epoch seconds, a whole minute) is working time."""
    clocks = {state.tz: remembered(state.tz, begin, minutes) for state in rules.states}
    working = np.zeros(minutes, dtype=bool)
    first = datetime.fromtimestamp(begin, UTC).date() - timedelta(days=3)
    for number in range(minutes // 1440 + 7):
        day = first + timedelta(days=number)
        clock = clocks[rules.state_on(day).tz]
        midnight = wall_minutes(datetime(day.year, day.month, day.day))
        for opening, closing in rules.shifts_on(day):
            start, end = (60 * int(text[:2]) + int(text[3:]) for text in (opening, closing))
            end += 1440 if end <= start else 0
            working |= (midnight + start <= clock) & (clock < midnight + end)
    for start, end in rules.absences:
        gone = wall_minutes(start) <= clocks[rules.state_on(start.date()).tz]
        back = np.zeros(minutes, dtype=bool)
        if end is not None:
            back = wall_minutes(end) <= clocks[rules.state_on(end.date()).tz]
        working &= ~(gone & ~back)
    return working
