"""The production calendar of Russia, against the published tables of working and short days."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from b24metrics.sim.company.workdays import DESK, LATE, OFFICE, SCHEDULES, ProductionCalendar, work_days

#: Year: working days, hours at 40 a week, working weekend days, short days. Source: published production calendars.
YEARS = {
    2022: (247, 1973, ["03-05"], ["02-22", "03-05", "11-03"]),
    2023: (247, 1973, [], ["02-22", "03-07", "11-03"]),
    2024: (248, 1979, ["04-27", "11-02", "12-28"], ["02-22", "03-07", "05-08", "06-11", "11-02"]),
    2025: (247, 1972, ["11-01"], ["03-07", "04-30", "06-11", "11-01"]),
    2026: (247, 1972, [], ["04-30", "05-08", "06-11", "11-03"]),
}


@pytest.mark.parametrize("year", YEARS)
def test_years_agree_with_the_production_calendar(year: int) -> None:
    calendar = ProductionCalendar(range(year, year + 1))
    days = [date(year, 1, 1) + timedelta(days=n) for n in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)]
    worked = [day for day in days if calendar.is_worked(day)]
    short = [day for day in days if calendar.is_short(day)]
    weekend = [day for day in worked if day.weekday() >= 5]
    assert YEARS[year] == (
        len(worked),
        8 * len(worked) - len(short),
        [f"{day:%m-%d}" for day in weekend],
        [f"{day:%m-%d}" for day in short],
    )


def test_a_short_day_closes_an_hour_earlier_in_every_shift() -> None:
    calendar = ProductionCalendar(range(2025, 2026))
    assert (9 * 3600, 17 * 3600) == calendar.span(OFFICE, date(2025, 6, 11))
    assert (11 * 3600, 19 * 3600) == calendar.span(LATE, date(2025, 6, 11))
    assert calendar.span(OFFICE, date(2025, 6, 12)) is None


def test_the_desk_works_two_by_two_on_holidays_too() -> None:
    """Two brigades share every date of the year between them, two days on and two off."""
    calendar = ProductionCalendar(range(2025, 2026))
    for number in range(40):
        day = date(2025, 1, 1) + timedelta(days=number)
        assert 1 == sum(calendar.span(DESK, day, brigade) is not None for brigade in (0, 1))
    runs = [calendar.span(DESK, date(2025, 1, 1) + timedelta(days=n)) is not None for n in range(8)]
    assert runs[:4] == runs[4:]
    assert 4 == sum(runs)


def test_wall_times_become_instants_in_the_zone_of_the_worker() -> None:
    """09:00 in Novosibirsk is 05:00 in Moscow."""
    calendar = ProductionCalendar(range(2025, 2026))
    shifts = [(schedule, zone) for schedule in SCHEDULES for zone in ("Europe/Moscow", "Asia/Novosibirsk")]
    days = list(work_days(calendar, shifts, date(2025, 11, 19), date(2025, 11, 20)))
    office = {day.zone: day for day in days if day.schedule == OFFICE.id}
    assert 4 * 3600 == office["Europe/Moscow"].opens_at - office["Asia/Novosibirsk"].opens_at
    assert {9 * 3600, 12 * 3600} == {day.closes_at - day.opens_at for day in days}
