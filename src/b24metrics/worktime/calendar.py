"""Rules of working time: which shifts start on which date, in which zone, and who is absent when.

Laws: calendars are values (frozen, hashable); the first layer with an entry for a date wins: personal override, company
override, public holidays, weekly template; an entry replaces the day, an empty list is an entry; absences are subtracted
from the union of all shifts and beat every override. A date uses the version valid on it, zone included.
Source: working-time semantics §2, §7.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from b24metrics.errors import CalendarError
from b24metrics.worktime.publicholidays import PREHOLIDAY_SHORTEN_SECONDS, PublicHolidays
from b24metrics.worktime.shifts import (
    WEEKDAYS,
    Absence,
    Complaints,
    DayShifts,
    Week,
    day_seconds,
    read_days,
    read_week,
    shortened,
)
from b24metrics.worktime.zones import load_zone

Days = tuple[tuple[date, DayShifts], ...]

_KEYS = frozenset({"tz", "week", "holidays", "days", "versions"})
_VERSION_KEYS = frozenset({"valid_from", "tz", "week", "holidays"})
_HOLIDAY_KEYS = frozenset({"country", "subdivision", "preholiday_shorten_seconds", "moved_weekday"})


@dataclass(frozen=True, slots=True)
class Version:
    """One state of the schedule. ``valid_from``: first date; None for the first version, which also covers all earlier dates."""

    tz: str
    week: Week
    holidays: PublicHolidays | None = None
    valid_from: date | None = None

    def __post_init__(self) -> None:
        load_zone(self.tz)

    def template(self, day: date) -> DayShifts:
        """Shifts of the weekly template."""
        return self.week[day.weekday()]

    def holiday_days(self, first: date, last: date) -> dict[date, DayShifts]:
        """Entries of the public-holiday layer between two dates, both included."""
        if self.holidays is None:
            return {}
        cut = self.holidays.preholiday_shorten_seconds
        days: dict[date, DayShifts] = {}
        for year in range(first.year, last.year + 1):
            known = self.holidays.year(year)
            for day, stands_for in known.moved.items():
                days[day] = self.week[self.holidays.moved_weekday if stands_for is None else stands_for]
            for day in known.short if cut else ():
                days[day] = shortened(days.get(day, self.template(day)), cut)
            for day in known.off:
                if day not in known.moved:
                    days[day] = ()
        return {day: shifts for day, shifts in days.items() if first <= day <= last}


@dataclass(frozen=True, slots=True)
class WorkCalendar:
    """Everything that decides working time of a company, a department or a person.

    Attributes:
        versions: by ``valid_from``, the first without one. days: company overrides, sorted by date.
        personal_days: overrides of one person, sorted by date. absences: of one person.
    """

    versions: tuple[Version, ...]
    days: Days = ()
    personal_days: Days = ()
    absences: tuple[Absence, ...] = ()

    def __post_init__(self) -> None:
        if not self.versions:
            raise CalendarError("a calendar needs at least one version: a zone and a week")
        starts = [version.valid_from for version in self.versions]
        if starts[0] is not None:
            raise CalendarError(
                f"the first version starts on {starts[0]}: it must cover all earlier dates, so leave valid_from out"
            )
        later = [start for start in starts[1:] if start is not None]
        if len(later) != len(starts) - 1 or later != sorted(set(later)):
            raise CalendarError("versions after the first need valid_from, each later than the one before")

    @classmethod
    def simple(
        cls,
        tz: str,
        week: Mapping[str, object],
        *,
        holidays: PublicHolidays | None = None,
        days: Mapping[object, object] | None = None,
    ) -> WorkCalendar:
        """One version, written as in the configuration: ``WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["09:00-18:00"]})``."""
        return cls((Version(tz, read_week(week), holidays),), read_days(days or {}))

    @classmethod
    def parse(cls, data: Mapping[str, object], base: WorkCalendar | None = None) -> WorkCalendar:
        """From plain data, as TOML gives it.

        ::

            tz = "Europe/Moscow"
            week = { mon-thu = ["09:00-18:00"], fri = ["09:00-13:00", "14:00-16:45"] }
            holidays = { country = "RU", preholiday_shorten_seconds = 3600 }   # or "law"; or just "RU"
            days = { 2025-12-31 = [], 2025-11-01 = ["10:00-15:00"] }
            versions = [ { valid_from = 2026-01-01, tz = "Asia/Yekaterinburg" } ]  # each starts from the one before

        Args:
            data: the table.
            base: the company's calendar when a department or a person is read: what is not given is taken from its
                latest version, and its ``days`` stay in force for dates that are not given.

        Returns:
            The calendar.

        Raises:
            CalendarError: one line for everything that is wrong, with its place.
        """
        complaints = Complaints()
        _check_keys(complaints, data, _KEYS)
        inherited = base.versions[-1] if base is not None else None
        first = _read_version(complaints, data, inherited, "")
        versions = [first] if first is not None else []
        if base is not None and not data.keys() & {"tz", "week", "holidays"}:
            versions = list(base.versions)  # nothing of its own: it follows the company's history too
        given = data.get("versions", ())
        if not isinstance(given, list | tuple):
            complaints.add("versions", f"{given!r} is not a list of versions")
            given = ()
        if not versions:
            given = ()  # they start from the first one, which has been complained of
        for number, item in enumerate(given, start=1):
            place = f"versions[{number}]"
            if not isinstance(item, Mapping):
                complaints.add(place, f"{item!r} is not a version: write {{valid_from = 2026-01-01, …}}")
                continue
            _check_keys(complaints, item, _VERSION_KEYS, f"{place}.")
            version = _read_version(complaints, item, versions[-1], f"{place}.")
            with complaints.at(f"{place}.valid_from"):
                start = _read_date(item.get("valid_from"))
                if version is not None:
                    versions.append(replace(version, valid_from=start))
        days: Days = ()
        with complaints.at("days"):
            days = read_days(data.get("days", {}))
        complaints.settle()
        merged = {**dict(base.days if base is not None else ()), **dict(days)}
        return cls(tuple(versions), tuple(sorted(merged.items())))

    def for_person(self, days: Days = (), absences: tuple[Absence, ...] = ()) -> WorkCalendar:
        """The same schedule with one person's overrides and absences in place of those it may have had."""
        return replace(self, personal_days=tuple(sorted(days)), absences=absences)

    def without_absences(self) -> WorkCalendar:
        """What would be worked if nobody were ever absent."""
        return replace(self, absences=()) if self.absences else self

    @property
    def is_empty(self) -> bool:
        """No shift anywhere, for ever."""
        weeks = any(any(version.week) for version in self.versions)
        return not weeks and not any(shifts for _, shifts in (*self.days, *self.personal_days))

    def version_on(self, day: date) -> Version:
        """The version valid on a date."""
        return self.versions[bisect_right([v.valid_from or date.min for v in self.versions], day) - 1]

    def exceptions(self, first: date, last: date) -> dict[date, DayShifts]:
        """Every date between two, both included, whose shifts do not come from the weekly template."""
        found: dict[date, DayShifts] = {}
        for version, until in zip(self.versions, (*(v.valid_from for v in self.versions[1:]), None), strict=True):
            begin = max(first, version.valid_from or date.min)
            end = min(last, until - timedelta(days=1)) if until is not None else last
            if begin <= end:
                found.update(version.holiday_days(begin, end))
        for layer in (self.days, self.personal_days):
            found.update((day, shifts) for day, shifts in layer if first <= day <= last)
        return found

    def shifts_on(self, day: date) -> DayShifts:
        """Shifts that start on a date, absences not regarded."""
        return self.exceptions(day, day).get(day, self.version_on(day).template(day))

    def standard_day_seconds(self, day: date) -> int:
        """Most frequent length of a working day in the template valid on a date; the longer of equally frequent ones; 0 if none.

        Source: catalogue §19, "Standard day".
        """
        lengths = Counter(length for shifts in self.version_on(day).week if (length := day_seconds(shifts)))
        return max(lengths, key=lambda length: (lengths[length], length), default=0)

    def caveats(self, first: date, last: date) -> tuple[str, ...]:
        """What a reader should know about holidays between two dates: years not yet published, estimated dates and the like."""
        said: list[str] = []
        for version, until in zip(self.versions, (*(v.valid_from for v in self.versions[1:]), None), strict=True):
            begin = max(first, version.valid_from or date.min)
            end = min(last, until - timedelta(days=1)) if until is not None else last
            if version.holidays is not None and begin <= end:
                said.extend(version.holidays.caveats(begin.year, end.year))
        return tuple(dict.fromkeys(said))


def _check_keys(complaints: Complaints, data: Mapping[str, object], known: frozenset[str], place: str = "") -> None:
    for key in data:
        if key not in known:
            complaints.add(f"{place}{key}", f"unknown key; there are {', '.join(sorted(known))}")


def _read_version(
    complaints: Complaints, data: Mapping[str, object], inherited: Version | None, place: str
) -> Version | None:
    """A version without ``valid_from``; None after a complaint."""
    tz: str | None = None
    with complaints.at(f"{place}tz"):
        tz = _read_zone(data.get("tz", inherited.tz if inherited is not None else None))
    week: Week | None = None
    with complaints.at(f"{place}week"):
        if "week" not in data and inherited is None:
            raise CalendarError("the weekly schedule is missing: write week = {mon-fri = ['09:00-18:00']}")
        week = read_week(data["week"]) if "week" in data or inherited is None else inherited.week
    layer = inherited.holidays if inherited is not None else None
    with complaints.at(f"{place}holidays"):
        if "holidays" in data:
            layer = _read_holidays(data["holidays"])
    return Version(tz, week, layer) if tz is not None and week is not None else None


def _read_zone(value: object) -> str:
    if value is None:
        raise CalendarError("the zone of the schedule is missing: write tz = 'Europe/Moscow'")
    if not isinstance(value, str):
        raise CalendarError(f"{value!r} is not a zone: write an IANA name such as Europe/Moscow")
    load_zone(value)
    return value


def _read_holidays(value: object) -> PublicHolidays | None:
    """From a country code, a table, or ``false`` / ``""`` for a calendar without public holidays."""
    if value is False or value == "":
        return None
    table = {"country": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping):
        raise CalendarError(f"{value!r}: write a country such as 'RU', a table, or false")
    complaints = Complaints()
    _check_keys(complaints, table, _HOLIDAY_KEYS)
    complaints.settle()
    country, subdivision = table.get("country"), table.get("subdivision")
    if not isinstance(country, str) or not isinstance(subdivision, str | None):
        raise CalendarError("country and subdivision are texts: country = 'RU'")
    seconds = table.get("preholiday_shorten_seconds", 0)
    if seconds == "law":
        if country not in PREHOLIDAY_SHORTEN_SECONDS:
            raise CalendarError(f"preholiday_shorten_seconds: no rule is known for {country}; write the seconds")
        seconds = PREHOLIDAY_SHORTEN_SECONDS[country]
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise CalendarError(f"preholiday_shorten_seconds: {seconds!r} is not a number of seconds, nor 'law'")
    weekday = table.get("moved_weekday", WEEKDAYS[0])
    if weekday not in WEEKDAYS:
        raise CalendarError(f"moved_weekday: {weekday!r} is not one of {', '.join(WEEKDAYS)}")
    return PublicHolidays(country, subdivision, seconds, WEEKDAYS.index(weekday))


def _read_date(value: object) -> date:
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise CalendarError(f"{value!r} is not a date: write 2026-01-01") from None
