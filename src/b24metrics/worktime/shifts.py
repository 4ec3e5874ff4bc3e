"""Shifts, absences, and how both are read from plain data (a TOML file, JSON, the vendor's replies).

Laws: a shift belongs to the date on which it starts; ``to`` not later than ``from`` means the next date; ``24:00`` ends
at midnight; equal ends are an error; nothing lasts longer than 24 hours. Overlapping shifts are allowed: they are merged
later. Readers complain about everything at once, naming day and shift. Source: working-time semantics §2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import TracebackType

from b24metrics.errors import CalendarError
from b24metrics.worktime.intervals import DAY

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


@dataclass(frozen=True, slots=True, order=True)
class Shift:
    """Wall times ``[starts, ends)`` in seconds from midnight of the date on which the shift starts.

    ``ends`` may pass 86 400: a night shift. Raises CalendarError if the shift is empty or longer than 24 hours.
    """

    starts: int
    ends: int

    def __post_init__(self) -> None:
        if not 0 <= self.starts < DAY:
            raise CalendarError(f"shift {self} starts outside its day: write 00:00 … 23:59")
        if self.ends <= self.starts:
            raise CalendarError(f"shift {self} ends before it starts")
        if self.ends - self.starts > DAY:
            raise CalendarError(f"shift {self} is longer than 24 hours: split it between two days")

    def __str__(self) -> str:
        return f"{_clock(self.starts)}-{_clock(self.ends - DAY if self.ends > DAY else self.ends)}"

    @classmethod
    def between(cls, starts: int, ends: int) -> Shift:
        """From two clock readings, seconds from midnight; an end not later than the start lies on the next date.

        Raises:
            CalendarError: both are the same, or the end lies past 24:00.
        """
        if starts == ends:
            raise CalendarError(
                f"shift {_clock(starts)}-{_clock(ends)} starts and ends at the same time: "
                "write 00:00-24:00 for a whole day, or leave the shift out"
            )
        if ends > DAY:
            raise CalendarError(
                f"shift {_clock(starts)}-{_clock(ends)} ends past 24:00: "
                f"a night shift is written {_clock(starts)}-{_clock(ends - DAY)}, a longer one is split"
            )
        return cls(starts, ends if ends > starts else ends + DAY)

    @classmethod
    def parse(cls, value: object) -> Shift:
        """From ``"09:00-18:00"``, ``["09:00", "18:00"]`` or two ``datetime.time``."""
        ends = value.split("-") if isinstance(value, str) else value
        if not isinstance(ends, Sequence) or isinstance(ends, str) or len(ends) != 2:
            raise CalendarError(f"{value!r} is not a shift: write '09:00-18:00'")
        return cls.between(_seconds(ends[0]), _seconds(ends[1]))


#: Shifts that start on one date.
DayShifts = tuple[Shift, ...]

#: Monday first.
Week = tuple[DayShifts, DayShifts, DayShifts, DayShifts, DayShifts, DayShifts, DayShifts]


def _clock(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}"
    return f"{text}:{second:02d}" if second else text


def _seconds(value: object) -> int:
    if isinstance(value, time):
        if value.tzinfo is not None:
            raise CalendarError(f"{value} carries a zone: shifts are wall times of the schedule's zone")
        return value.hour * 3600 + value.minute * 60 + value.second
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise CalendarError(f"{value!r} is not a time of day: write HH:MM")
    hour, minute, second = (int(part or 0) for part in match.groups())
    if minute > 59 or second > 59 or hour > 99:
        raise CalendarError(f"{value!r} is not a time of day: write HH:MM")
    return hour * 3600 + minute * 60 + second


def _merged(shifts: DayShifts) -> list[tuple[int, int]]:
    """Wall-time union of one day's shifts, as (start, end) in order."""
    merged: list[tuple[int, int]] = []
    for shift in sorted(shifts):
        if merged and shift.starts <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], shift.ends))
        else:
            merged.append((shift.starts, shift.ends))
    return merged


def day_seconds(shifts: DayShifts) -> int:
    """Wall-time length of one day's shifts, nothing counted twice."""
    return sum(end - start for start, end in _merged(shifts))


def shortened(shifts: DayShifts, seconds: int) -> DayShifts:
    """The day's shifts with the given working time cut from the end; a last shift that is too short goes whole."""
    left = seconds
    for start, end in reversed(_merged(shifts)):
        if end - start > left:
            stop = end - left
            return tuple(Shift(shift.starts, min(shift.ends, stop)) for shift in shifts if shift.starts < stop)
        left -= end - start
    return ()


@dataclass(frozen=True, slots=True)
class Absence:
    """Not there from ``starts`` until just before ``ends``; without an end when ``ends`` is None.

    Naive moments are wall times of the calendar's zone, aware ones are instants (kept in UTC). Absence beats every
    override. Raises CalendarError if it ends before it starts or at once.
    """

    starts: datetime
    ends: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("starts", "ends"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is not None:
                object.__setattr__(self, name, moment.astimezone(UTC))
        if self.ends is None or (self.starts.tzinfo is None) is not (self.ends.tzinfo is None):
            return  # a wall time and an instant can be compared only inside a calendar
        if self.ends <= self.starts:
            raise CalendarError(f"absence from {self.starts} ends at {self.ends}, not later")

    @classmethod
    def days(cls, first: date, last: date | None = None) -> Absence:
        """Whole days, both ends inclusive; ``last`` None: not back yet."""
        if last is not None and last < first:
            raise CalendarError(f"absence from {first} ends on {last}, earlier")
        return cls(_midnight(first), None if last is None else _midnight(last + timedelta(days=1)))

    @classmethod
    def parse(cls, value: object) -> Absence:
        """From ``{from = …, to = …}``: dates are whole days, both inclusive; date-times are half-open.

        ``to`` may be missing: an absence without end. A date as ``to`` includes that day also when ``from`` has a time.
        """
        if not isinstance(value, Mapping):
            raise CalendarError(f"{value!r} is not an absence: write {{from = 2025-03-10, to = 2025-03-14}}")
        if unknown := sorted(set(value) - {"from", "to"}):
            raise CalendarError(f"unknown key {', '.join(map(repr, unknown))} in an absence: there are 'from' and 'to'")
        if "from" not in value:
            raise CalendarError("an absence needs 'from'")
        start, end = _moment(value["from"]), _moment(value["to"]) if "to" in value else None
        if not isinstance(start, datetime) and not isinstance(end, datetime):
            return cls.days(start, end)
        starts = start if isinstance(start, datetime) else _midnight(start)
        return cls(starts, end if end is None or isinstance(end, datetime) else _midnight(end + timedelta(days=1)))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - wall time, on purpose


def _moment(value: object) -> date:
    """A date or a date-time (which is a date too), also from ISO text."""
    if isinstance(value, date):
        return value
    try:
        text = str(value).strip() if isinstance(value, str) else ""
        return date.fromisoformat(text) if len(text) == len("2025-03-10") else datetime.fromisoformat(text)
    except ValueError:
        raise CalendarError(
            f"{value!r} is neither a date nor a date with time: write 2025-03-10 or 2025-03-10T09:00"
        ) from None


class Complaints:
    """Collects what is wrong while reading goes on, so that all of it is told at once."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def at(self, place: str) -> _Noting:
        """Run a piece of reading; a CalendarError inside is noted under the place instead of raised."""
        return _Noting(self, place)

    def add(self, place: str, text: str) -> None:
        """Note what is wrong at a place, line by line."""
        self._lines.extend(f"{place}: {line}" for line in text.splitlines())

    def add_lines(self, text: str) -> None:
        """Note lines that name their own places."""
        self._lines.extend(text.splitlines())

    def settle(self) -> None:
        """Raise one CalendarError with everything noted, if anything was."""
        if self._lines:
            raise CalendarError("\n".join(self._lines))


class _Noting:
    def __init__(self, complaints: Complaints, place: str) -> None:
        self._complaints = complaints
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, CalendarError):
            self._complaints.add(self._place, str(error))
            return True
        return False


def read_shifts(value: object) -> DayShifts:
    """Shifts of one day from a list; an empty list is a day off."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise CalendarError(f"{value!r} is not a list of shifts: write ['09:00-18:00'], or [] for a day off")
    return tuple(sorted(Shift.parse(item) for item in value))


def read_week(value: object) -> Week:
    """A week from ``{mon = ["09:00-18:00"], …}``; keys may be ranges and lists (``mon-thu``, ``sat,sun``).

    Days that are not named have no shifts.
    """
    if not isinstance(value, Mapping):
        raise CalendarError(f"{value!r} is not a week: write {{mon-fri = ['09:00-18:00']}}")
    days: list[DayShifts | None] = [None] * 7
    complaints = Complaints()
    for key, shifts in value.items():
        with complaints.at(str(key)):
            read = read_shifts(shifts)
            for index in _weekdays(key):
                if days[index] is not None:
                    raise CalendarError(f"{WEEKDAYS[index]} is given twice")
                days[index] = read
    complaints.settle()
    mon, tue, wed, thu, fri, sat, sun = (day or () for day in days)
    return mon, tue, wed, thu, fri, sat, sun


def _weekdays(key: object) -> list[int]:
    found: list[int] = []
    for part in str(key).lower().split(","):
        first, dash, last = (name.strip() for name in part.partition("-"))
        for name in (first, last) if dash else (first,):
            if name not in WEEKDAYS:
                raise CalendarError(f"{name!r} is not a weekday: write one of {', '.join(WEEKDAYS)}, or mon-fri")
        begin = WEEKDAYS.index(first)
        length = (WEEKDAYS.index(last) - begin) % 7 if dash else 0
        found.extend((begin + n) % 7 for n in range(length + 1))
    return found


def read_days(value: object) -> tuple[tuple[date, DayShifts], ...]:
    """Overrides from ``{2025-12-31 = [], 2025-11-01 = ["09:00-15:00"]}``, sorted by date."""
    if not isinstance(value, Mapping):
        raise CalendarError(f"{value!r} is not a table of days: write {{2025-12-31 = []}}")
    days: dict[date, DayShifts] = {}
    complaints = Complaints()
    for key, shifts in value.items():
        with complaints.at(str(key)):
            day = _moment(key)
            if isinstance(day, datetime):
                raise CalendarError("a date without time is wanted")
            if day in days:
                raise CalendarError("the day is given twice")
            days[day] = read_shifts(shifts)
    complaints.settle()
    return tuple(sorted(days.items()))


def read_absences(value: object) -> tuple[Absence, ...]:
    """Absences from a list."""
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise CalendarError(f"{value!r} is not a list of absences")
    found: list[Absence] = []
    complaints = Complaints()
    for number, item in enumerate(value, start=1):
        with complaints.at(f"absence {number}"):
            found.append(Absence.parse(item))
    complaints.settle()
    return tuple(found)
