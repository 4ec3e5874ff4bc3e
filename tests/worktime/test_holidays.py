"""Public holidays: year tables of several countries, shortened days, and what is not known yet."""

from __future__ import annotations

from datetime import UTC, date, datetime

import holidays
import pytest

from b24metrics.errors import CalendarError
from b24metrics.worktime import PREHOLIDAY_SHORTEN_SECONDS, PublicHolidays, WorkCalendar, WorkClock, zone_database

EIGHT_HOURS = {"mon-fri": ["09:00-13:00", "14:00-18:00"]}


def clock(country: str, tz: str = "UTC", shorten: int = 0) -> WorkClock:
    return WorkClock(WorkCalendar.simple(tz, EIGHT_HOURS, holidays=PublicHolidays(country, None, shorten)))


def days(text: str, year: int) -> list[date]:
    return [datetime.strptime(f"{day} {year}", "%d %b %Y").date() for day in text.split(", ") if day]


# Production calendars of Russia, 40-hour week: year, working days, hours, working weekend days, shortened days.
RUSSIA = [
    (2022, 247, 1973, "5 Mar", "22 Feb, 5 Mar, 3 Nov"),
    (2023, 247, 1973, "", "22 Feb, 7 Mar, 3 Nov"),
    (2024, 248, 1979, "27 Apr, 2 Nov, 28 Dec", "22 Feb, 7 Mar, 8 May, 11 Jun, 2 Nov"),
    (2025, 247, 1972, "1 Nov", "7 Mar, 30 Apr, 11 Jun, 1 Nov"),
    (2026, 247, 1972, "", "30 Apr, 8 May, 11 Jun, 3 Nov"),
]


@pytest.mark.parametrize(("year", "working", "hours", "weekend", "short"), RUSSIA)
def test_russian_production_calendars(year: int, working: int, hours: int, weekend: str, short: str) -> None:
    """Working days, shortened days and hours of the published calendars."""
    print(f"holidays {holidays.__version__}, zone database {zone_database()}")
    counter = clock("RU", "Europe/Moscow", PREHOLIDAY_SHORTEN_SECONDS["RU"])
    worked = counter.working_dates(date(year, 1, 1), date(year, 12, 31))
    seconds = {day: sum(s.ends - s.starts for s in counter.calendar.shifts_on(day)) for day in worked}
    zone_year = [datetime.fromisoformat(f"{y}-01-01T00:00+03:00") for y in (year, year + 1)]

    assert working == len(worked)
    assert days(weekend, year) == [day for day in worked if day.weekday() >= 5]
    assert days(short, year) == [day for day in worked if seconds[day] == 7 * 3600]
    assert hours * 3600 == counter.elapsed(*zone_year)


@pytest.mark.parametrize(
    ("year", "off"),
    [
        (2025, "1 Jan, 2 Jan, 3 Jan, 6 Jan, 7 Jan, 8 Jan, 1 May, 2 May, 8 May, 9 May, 12 Jun, 13 Jun, 3 Nov, 4 Nov, 31 Dec"),
        (2026, "1 Jan, 2 Jan, 5 Jan, 6 Jan, 7 Jan, 8 Jan, 9 Jan, 23 Feb, 9 Mar, 1 May, 11 May, 12 Jun, 4 Nov, 31 Dec"),
    ],
)  # fmt: skip
def test_russian_weekdays_off(year: int, off: str) -> None:
    """Transferred days off included, weekends left aside."""
    worked = set(clock("RU").working_dates(date(year, 1, 1), date(year, 12, 31)))
    weekdays = [date.fromordinal(n) for n in range(date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal() + 1)]

    assert days(off, year) == [day for day in weekdays if day.weekday() < 5 and day not in worked]


# Working days 2024, 2025, 2026 and the working weekend days in them.
COUNTRIES = {
    "KZ": (249, 246, 247, "2024-05-04 2025-01-05"),
    "BY": (253, 252, 254, "2024-05-18 2024-11-16 2025-01-11 2025-04-26 2025-07-12 2025-12-20 2026-04-25"),
    "UZ": (248, 251, 248, None),
    "KG": (248, 248, 247, None),
    "AZ": (241, 239, 241, None),
    "AM": (253, 252, 251, None),
    "GE": (251, 248, 248, None),
    "US": (251, 250, 250, ""),
    "DE": (253, 252, 254, ""),
    "CN": (251, 248, 248, None),
}


@pytest.mark.parametrize("country", COUNTRIES)
def test_working_days_of_other_countries(country: str) -> None:
    """Counts that were taken by hand from one release of the library: corrections arrive with releases."""
    print(f"holidays {holidays.__version__}, zone database {zone_database()}")
    *expected, weekend = COUNTRIES[country]
    worked = clock(country).working_dates(date(2024, 1, 1), date(2026, 12, 31))

    assert expected == [sum(day.year == year for day in worked) for year in (2024, 2025, 2026)]
    if weekend is not None:
        assert weekend.split() == [str(day) for day in worked if day.weekday() >= 5]


def test_a_transferred_day_takes_the_shifts_of_the_day_it_stands_for() -> None:
    """2 November 2024, a Saturday, was worked in place of Tuesday 30 April."""
    week = {"mon": ["09:00-18:00"], "tue": ["07:00-15:00"], "wed-fri": ["09:00-18:00"]}
    calendar = WorkCalendar.simple("Europe/Moscow", week, holidays=PublicHolidays("RU"))

    assert calendar.shifts_on(date(2024, 4, 23)) == calendar.shifts_on(date(2024, 11, 2))
    assert () == calendar.shifts_on(date(2024, 4, 30))


def test_shortened_days_are_off_by_default() -> None:
    """Many sales departments work the full day before a holiday."""
    plain, short = clock("RU").calendar, clock("RU", shorten=3600).calendar
    eve = date(2025, 4, 30)

    assert ["09:00-13:00", "14:00-18:00"] == [str(shift) for shift in plain.shifts_on(eve)]
    assert ["09:00-13:00", "14:00-17:00"] == [str(shift) for shift in short.shifts_on(eve)]


def test_a_day_before_a_substituted_day_off_is_not_short() -> None:
    """7 May 2025 precedes a day off that was moved there, not a statutory holiday."""
    assert date(2025, 5, 8) in PublicHolidays("RU").year(2025).off
    assert date(2025, 5, 7) not in PublicHolidays("RU").year(2025).short


@pytest.mark.parametrize(
    ("country", "eve", "short"),
    [
        ("EG", date(2025, 6, 29), False),  # 30 June was worked: its holiday was kept on Thursday, 3 July
        ("EG", date(2025, 7, 2), False),  # before the observed day
        ("IL", date(2024, 5, 12), False),  # Independence Day was put off from 13 to 14 May
        ("IL", date(2024, 5, 13), False),
        ("VN", date(2024, 2, 7), True),  # Tet begins
        ("DE", date(2025, 12, 24), True),
    ],
)
def test_only_the_eve_of_a_holiday_that_is_kept_on_its_day_is_short(country: str, eve: date, short: bool) -> None:
    """A holiday that was moved away leaves a working day behind, whose eve is an ordinary one (working-time semantics §6)."""
    assert short == (eve in PublicHolidays(country).year(eve.year).short)


def test_a_last_shift_that_is_too_short_goes_whole() -> None:
    """The hour is taken from the end of the day, through the break if need be."""
    calendar = WorkCalendar.simple(
        "Europe/Moscow", {"mon-fri": ["09:00-13:00", "14:00-14:30"]}, holidays=PublicHolidays("RU", None, 3600)
    )

    assert ["09:00-12:30"] == [str(shift) for shift in calendar.shifts_on(date(2025, 4, 30))]


def test_a_night_shift_before_a_holiday_ends_earlier_and_the_holiday_keeps_its_tail() -> None:
    """A holiday cancels the shifts that start on it; the tail of yesterday's shift is yesterday's."""
    clock = WorkClock(
        WorkCalendar.simple("Europe/Moscow", {"mon-sun": ["22:00-06:00"]}, holidays=PublicHolidays("RU", None, 3600))
    )
    eve = datetime(2025, 6, 11, 12, tzinfo=UTC)

    assert 7 * 3600 == clock.elapsed(eve, datetime(2025, 6, 12, 12, tzinfo=UTC))
    assert 0 == clock.elapsed(datetime(2025, 6, 12, 12, tzinfo=UTC), datetime(2025, 6, 13, 12, tzinfo=UTC))


def test_regions_have_their_own_days() -> None:
    """Corpus Christi is a day off in Bavaria, not in Berlin."""
    day = date(2025, 6, 19)

    assert day in PublicHolidays("DE", "BY").year(2025).off
    assert day not in PublicHolidays("DE", "BE").year(2025).off


def test_years_that_are_not_published_are_told() -> None:
    """Without a decree the days are computed by general rules: the reader is warned, year by year."""
    last = max(y for y in range(2020, 2100) if not PublicHolidays("RU").caveats(y, y))
    calendar = WorkCalendar.simple("Europe/Moscow", EIGHT_HOURS, holidays=PublicHolidays("RU"))

    assert last >= 2026
    assert () == calendar.caveats(date(2022, 1, 1), date(last, 12, 31))
    told = calendar.caveats(date(last, 1, 1), date(last + 2, 12, 31))
    assert [f"RU {last + 1}", f"RU {last + 2}"] == [said.partition(":")[0] for said in told]
    assert all("not published" in said for said in told)


def test_countries_of_fixed_rules_need_no_decree() -> None:
    """The United States have no yearly decree to wait for."""
    assert () == PublicHolidays("US").caveats(2020, 2040)


def test_estimated_dates_are_told() -> None:
    """The moon decides, the library guesses."""
    assert any("estimated" in said and "Eid" in said for said in PublicHolidays("UZ").caveats(2090, 2090))


def test_ukraine_has_no_holidays_under_martial_law() -> None:
    """No days off after February 2022 are data, not a failure, and are told."""
    counter = clock("UA")

    assert 261 == len(counter.working_dates(date(2025, 1, 1), date(2025, 12, 31)))
    assert () == PublicHolidays("UA").caveats(2020, 2021)
    assert all("martial law" in said for said in PublicHolidays("UA").caveats(2022, 2025))
    assert 4 == len(PublicHolidays("UA").caveats(2022, 2025))


def test_a_silent_year_is_left_to_another_source() -> None:
    """Where the portal lists its own days off, the library keeps still; other years are not touched."""
    layer = PublicHolidays("RU", silent_years=frozenset({2025}))

    assert frozenset() == layer.year(2025).off
    assert date(2026, 1, 1) in layer.year(2026).off


@pytest.mark.parametrize(
    ("country", "subdivision", "shorten", "said"),
    [
        ("RX", None, 0, "no public holidays are known for country 'RX'"),
        ("DE", "XX", 0, "DE has no subdivision 'XX'"),
        ("RU", None, -1, "preholiday_shorten_seconds is -1"),
    ],
)
def test_a_layer_that_cannot_be_meant_is_refused(
    country: str, subdivision: str | None, shorten: int, said: str
) -> None:
    """Misspelled countries would silently mean no holidays at all."""
    with pytest.raises(CalendarError, match=said):
        PublicHolidays(country, subdivision, shorten)
