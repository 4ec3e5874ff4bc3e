"""Dates and times of the portal's JSON.

Laws: instants are aware and UTC, whatever offset they came with; dates stay dates. The portal writes a day of the CRM as
midnight UTC rendered in its server's zone: to UTC first, then the date. Readers keep the laws of ``values``.
Source: vendor, "Data types", "Calendar settings"; observed answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from b24metrics.crm.values import amount, items, text, whole

_UNREAD = datetime.min.replace(tzinfo=UTC)

LAST_YEAR = 9999
"""The portal writes "no date" as the last day of this year."""


class DayOfYear(NamedTuple):
    """A holiday that returns every year."""

    month: int
    day: int


def instant(value: object) -> datetime | None:
    """A moment, aware and UTC. The offset is honoured; text without one is taken as UTC, for nothing says better.

    Year 9999 and the zero date mean "none"; so do the empty objects that some methods send for a date. Whole numbers
    are epoch seconds.
    """
    if type(value) is str:
        if not value:
            return None
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            at = _UNREAD
        if at is _UNREAD:  # out here, so that a refusal drags no other error along that quotes the value
            return _odd_instant(value)
    elif isinstance(value, datetime):
        at = value
    else:
        return _other_instant(value)
    if at.year >= LAST_YEAR:
        return None
    if at.tzinfo is None:
        return at.replace(tzinfo=UTC)
    try:
        return at.astimezone(UTC)
    except OverflowError:  # the first day of year 1, east of Greenwich: a zero date
        return None


def moment(value: object) -> datetime:
    """An instant that must be there."""
    at = instant(value)
    if at is None:
        raise ValueError("a date and time is missing")
    return at


_ZERO_DATES = ("0000-", "-000")  # as the database keeps it; as PHP renders it: 30 November of the year before year 0
_DOTTED = {10: "%d.%m.%Y", 16: "%d.%m.%Y %H:%M", 19: "%d.%m.%Y %H:%M:%S"}


def _odd_instant(value: str) -> datetime | None:
    stripped = value.strip()
    if not stripped or stripped.startswith(_ZERO_DATES):
        return None
    if len(stripped) in _DOTTED and stripped[2] == stripped[5] == ".":  # with dots, the day always comes first
        try:
            return instant(datetime.strptime(stripped, _DOTTED[len(stripped)]).replace(tzinfo=UTC))
        except ValueError:
            raise ValueError("not a date and time") from None
    if stripped != value:
        return instant(stripped)
    raise ValueError("not a date and time")


def _other_instant(value: object) -> datetime | None:
    if value is None or value is False or (isinstance(value, (Mapping, list, tuple)) and not value):
        return None
    if isinstance(value, date):
        return instant(datetime(value.year, value.month, value.day, tzinfo=UTC))
    if isinstance(value, (int, float, Decimal)) and value is not True:
        return epoch(value)
    raise ValueError("not a date and time")


def epoch(value: object) -> datetime | None:
    """A moment given in epoch seconds, also in a string; 0 is none."""
    if isinstance(value, datetime):
        return instant(value)
    seconds = amount(value)
    if not seconds:
        return None
    try:
        # Not fromtimestamp: its range differs between platforms.
        return instant(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(seconds * 1_000_000)))
    except OverflowError:
        raise ValueError("not a moment in epoch seconds") from None


def day(value: object) -> date | None:
    """A calendar day. The CRM sends it as midnight UTC rendered in the server's zone: to UTC first, then the date."""
    if type(value) is str:
        return _written_day(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        at = instant(value)
    except ValueError:
        raise ValueError("not a date") from None
    return None if at is None else at.date()


@lru_cache(maxsize=4096)  # a company's records know few different days
def _written_day(value: str) -> date | None:
    if not value:
        return None
    if len(value) == 10 and value[4] == "-":
        try:
            found = date.fromisoformat(value)
        except ValueError:
            found = None
        if found is not None:
            return None if found.year >= LAST_YEAR else found
    try:
        at = instant(value)
    except ValueError:
        raise ValueError("not a date") from None
    return None if at is None else at.date()


def seconds(value: object) -> int | None:
    """A length of time: ``"08:17:53"``, or seconds as a number."""
    if isinstance(value, str) and ":" in value:
        try:
            hours, minutes, rest = (int(part) for part in [*value.split(":"), "0"][:3])
        except ValueError:
            raise ValueError("not a length of time") from None
        return hours * 3600 + minutes * 60 + rest
    return whole(value)


def hour_of_day(value: object) -> int | None:
    """Seconds since midnight of a clock time: ``"9"``, ``"9.30"`` (half past nine), ``"09:30"``, ``"09:30:00"``, 19.

    Whole numbers past 24 are seconds already.
    """
    spelled = text(value)
    if spelled is None:
        return None
    if isinstance(value, int) and value is not True and 24 < value <= 24 * 3600:
        return value
    if ":" not in spelled:
        hours, _, minutes = spelled.partition(".")
        spelled = f"{hours}:{minutes:0<2}"  # a number 9.3 is what is left of "9.30"
    found = seconds(spelled)
    if found is None or not 0 <= found <= 24 * 3600:
        raise ValueError("not a time of day")
    return found


_WEEKDAYS = {code: number for number, code in enumerate(("MO", "TU", "WE", "TH", "FR", "SA", "SU"), start=1)}


def weekday(value: object) -> int | None:
    """ISO number of a weekday, Monday 1: ``"MO"``, ``"7"``, 7; 0 is Sunday."""
    spelled = text(value)
    if spelled is None:
        return None
    found = _WEEKDAYS.get(spelled.strip().upper()) or (7 if spelled.strip() == "0" else whole(spelled))
    if found is None or not 1 <= found <= 7:
        raise ValueError("not a weekday")
    return found


def weekdays(value: object) -> tuple[int, ...]:
    """ISO numbers of weekdays, ascending: ``["SA", "SU"]``, ``"12345"``, ``"SA,SU"``."""
    if isinstance(value, str):
        value = list(value) if value.strip().isdigit() else value.split(",")
    return tuple(sorted({found for item in items(value) if (found := weekday(item)) is not None}))


def days_of_year(value: object) -> tuple[DayOfYear, ...]:
    """Yearly holidays: ``"1.01,2.01,8.03"``, day before month."""
    parts = value.split(",") if isinstance(value, str) else items(value)
    found: list[DayOfYear] = []
    for part in parts:
        if isinstance(part, DayOfYear):
            found.append(part)
            continue
        spelled = (text(part) or "").strip()
        if not spelled:
            continue
        numbers = [whole(number) for number in spelled.split(".")[:2]]
        try:
            date(2000, numbers[1] or 0, numbers[0] or 0)  # a leap year, so that 29.02 is a day
        except (IndexError, OverflowError, ValueError):
            raise ValueError("not a day of the year") from None
        found.append(DayOfYear(numbers[1] or 0, numbers[0] or 0))
    return tuple(found)
