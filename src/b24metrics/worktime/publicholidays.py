"""Public holidays of a country: days off, transferred working days, shortened days before a holiday.

Laws: data come from the ``holidays`` library, its default category alone; what the library does not know (shortened
days) follows from the labour code. Names are never shown to anybody here, so their language is fixed and parsing is
safe. A year is computed once per country. Source: working-time semantics §6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

import holidays

from b24metrics.errors import CalendarError

#: Seconds by which the law shortens a working day before a holiday. Off unless asked for: many sales departments
#: work the full day. Source: Labour Code of the Russian Federation, art. 95, 112.
PREHOLIDAY_SHORTEN_SECONDS: Mapping[str, int] = {"RU": 3600}

#: Countries that move days off by a yearly decree. A year later than the last decree in the library's data is
#: computed by general rules alone and will change.
DECREEING = frozenset({"AZ", "BY", "CN", "HU", "KG", "KZ", "LV", "MM", "RU", "TW", "UZ", "VN"})

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class HolidayYear:
    """One year of one country.

    Attributes:
        off: days without shifts. moved: working days that are weekend days by nature → weekday (0 Monday) whose shifts
            they take over, None where the library does not say. short: working days directly before a statutory holiday.
        estimated: names of holidays whose dates are astronomical guesses.
    """

    off: frozenset[date]
    moved: Mapping[date, int | None]
    short: frozenset[date]
    estimated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublicHolidays:
    """The holiday layer of a calendar.

    Attributes:
        country: ISO 3166-1 alpha-2. subdivision: ISO 3166-2 part after the dash, where regions have their own days.
        preholiday_shorten_seconds: taken from the end of the last shift of a shortened day; 0 switches it off.
        moved_weekday: 0 Monday … 6 Sunday; whose shifts a transferred working day takes over when the library does
            not say which day it stands for.
        silent_years: years for which another source (the portal's own list) is complete.
    """

    country: str
    subdivision: str | None = None
    preholiday_shorten_seconds: int = 0
    moved_weekday: int = 0
    silent_years: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.preholiday_shorten_seconds < 0:
            raise CalendarError(
                f"preholiday_shorten_seconds is {self.preholiday_shorten_seconds}: it must be 0 or more"
            )
        if not 0 <= self.moved_weekday <= 6:
            raise CalendarError(f"moved_weekday is {self.moved_weekday}: it must be 0 (Monday) … 6 (Sunday)")
        known = holidays.list_supported_countries()
        if self.country not in known:
            raise CalendarError(
                f"no public holidays are known for country {self.country!r}: write two capital letters (RU)"
            )
        if self.subdivision is not None and self.subdivision not in known[self.country]:
            regions = ", ".join(known[self.country]) or "none"
            raise CalendarError(f"{self.country} has no subdivision {self.subdivision!r}; known: {regions}")

    def year(self, year: int) -> HolidayYear:
        """Days of one year; nothing for a silent year."""
        if year in self.silent_years:
            return HolidayYear(frozenset(), {}, frozenset(), ())
        return _year(self.country, self.subdivision, year)

    def caveats(self, first_year: int, last_year: int) -> tuple[str, ...]:
        """What a reader should know about the years from first to last, both included; one sentence each."""
        probe = _table(self.country, self.subdivision, last_year)
        where = f"{self.country}-{self.subdivision}" if self.subdivision else self.country
        said: list[str] = []
        decreed = _last_decree(probe) if self.country in DECREEING else None
        for year in range(first_year, last_year + 1):
            if year in self.silent_years:
                continue
            days = self.year(year)
            if self.country == "UA" and year >= 2022:
                said.append(
                    f"{where} {year}: under martial law public holidays are working days since 24 February 2022; "
                    "list the days off of your company by hand."
                )
            elif not days.off:
                said.append(f"{where} {year}: no public holidays are known; list the days off by hand.")
            elif decreed is not None and year > decreed:
                said.append(
                    f"{where} {year}: transferred days are not published (known up to {decreed}); "
                    "computed by general rules, so working days may change. Upgrade the holidays package later."
                )
            if days.estimated:
                said.append(f"{where} {year}: dates are estimated for {', '.join(days.estimated)}.")
        return tuple(said)


@lru_cache(maxsize=512)
def _year(country: str, subdivision: str | None, year: int) -> HolidayYear:
    # Neighbouring years: a decree may move a day across the turn of the year, and 31 December looks at 1 January.
    book = _table(country, subdivision, year)
    prefix, suffix, pattern = _substitution(book)

    stands_for: dict[date, date] = {}  # source of a transfer → the day off it was given for
    substituted: set[date] = set()
    for day, names in book.items():
        for name in names.split(holidays.constants.HOLIDAY_NAME_DELIMITER):
            if prefix and name.startswith(prefix) and name.endswith(suffix):
                source = datetime.strptime(name[len(prefix) : len(name) - len(suffix)], pattern).date()  # noqa: DTZ007 - a date
                stands_for[source] = day
                substituted.add(day)

    def statutory(day: date) -> bool:
        return day in book and day not in substituted and "(observed" not in book[day]

    def shortened(day: date) -> bool:
        if not book.is_working_day(day):
            return False
        if not book.is_weekend(day):
            return statutory(day + _ONE_DAY)
        # A working weekend day is as long as the day it was exchanged with would have been.
        return day in stands_for and statutory(stands_for[day] + _ONE_DAY)

    moved = {
        day: stands_for[day].weekday() if day in stands_for else None
        for day in book.weekend_workdays
        if day.year == year
    }
    days = [date(year, 1, 1) + _ONE_DAY * n for n in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)]
    return HolidayYear(
        off=frozenset(day for day in book if day.year == year),
        moved=moved,
        short=frozenset(day for day in days if shortened(day)),
        estimated=tuple(
            dict.fromkeys(
                name.partition(" (")[0]
                for day, name in sorted(book.items())
                if day.year == year and "estimated" in name
            )
        ),
    )


def _table(country: str, subdivision: str | None, year: int) -> holidays.HolidayBase:
    return holidays.country_holidays(
        country, subdiv=subdivision, years=(year - 1, year, year + 1), expand=False, language="en_US"
    )


def _substitution(book: holidays.HolidayBase) -> tuple[str, str, str]:
    """Text before and after the date in the name of a substituted day off, and the date's pattern; empty if none."""
    label = getattr(book, "substituted_label", None)
    if not label:
        return "", "", ""
    prefix, suffix = book.tr(label).split("%s")
    return prefix, suffix, book.tr(book.substituted_date_format)


def _last_decree(book: holidays.HolidayBase) -> int | None:
    """Last year for which the library's data hold a transfer (rows of four or five numbers; three name a holiday)."""
    table = getattr(book, "special_public_holidays", {})
    rows = {year: data if data and isinstance(data[0], tuple) else (data,) for year, data in table.items()}
    return max((year for year, several in rows.items() if any(len(row) != 3 for row in several)), default=None)
