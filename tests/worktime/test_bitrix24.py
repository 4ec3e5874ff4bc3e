"""Calendars and absences from what the portal says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest

from b24metrics.errors import CalendarError
from b24metrics.worktime import (
    Absence,
    PublicHolidays,
    Shift,
    WorkCalendar,
    absence_of,
    calendar_of_schedule,
    calendar_of_settings,
    exclusion_days,
)
from tests.conftest import samples_folder


@dataclass(frozen=True)
class Planned:
    """A shift as the entity has it."""

    starts_seconds: int | None
    ends_seconds: int | None
    weekdays: tuple[int, ...]
    deleted: bool | None = None


OFFICE = Planned(32_400, 64_800, (1, 2, 3, 4, 5))


def texts(calendar: WorkCalendar | None, day: date) -> list[str]:
    assert calendar is not None
    return [str(shift) for shift in calendar.shifts_on(day)]


def test_a_fixed_schedule_is_a_weekly_template() -> None:
    """Deleted shifts are skipped; an end before the start is a night shift."""
    shifts = [OFFICE, Planned(79_200, 21_600, (6, 7)), Planned(0, 86_400, (1, 2, 3), deleted=True)]

    calendar = calendar_of_schedule("FIXED", shifts, "Europe/Moscow")

    assert ["09:00-18:00"] == texts(calendar, date(2025, 3, 10))
    assert ["22:00-06:00"] == texts(calendar, date(2025, 3, 15))


@pytest.mark.parametrize(
    ("kind", "shifts", "deleted"),
    [
        ("SHIFT", [OFFICE], False),
        ("FLEXTIME", [OFFICE], False),
        (None, [OFFICE], None),
        ("FIXED", [OFFICE], True),
        ("FIXED", [], False),
        ("FIXED", [Planned(32_400, 64_800, (1,), deleted=True)], False),
        ("FIXED", [Planned(32_400, 64_800, ())], False),
        ("FIXED", [Planned(None, 64_800, (1,))], False),
    ],
)
def test_no_template_leaves_the_company(kind: str | None, shifts: list[Planned], deleted: bool | None) -> None:
    """Free hours, personal shift plans, and anything deleted or empty."""
    assert calendar_of_schedule(kind, shifts, "Europe/Moscow", deleted=deleted) is None


def test_the_portals_days_off_win_over_the_library_in_their_years() -> None:
    """Years that the portal does not list are left to the library; company overrides win over both."""
    calendar = calendar_of_schedule(
        "FIXED",
        [OFFICE],
        "Europe/Moscow",
        exclusions=exclusion_days({"2025": {"3": {"10": "0", "11": "0"}}}),
        holidays=PublicHolidays("RU"),
        days=((date(2025, 3, 11), (Shift.parse("10:00-12:00"),)),),
    )

    assert [] == texts(calendar, date(2025, 3, 10))
    assert ["10:00-12:00"] == texts(calendar, date(2025, 3, 11))
    assert ["09:00-18:00"] == texts(calendar, date(2025, 5, 9))  # the library keeps still in 2025
    assert [] == texts(calendar, date(2026, 1, 1))


@pytest.mark.parametrize(
    ("exclusions", "days"),
    [
        (None, ()),
        ({}, ()),
        ({"2025": []}, ()),
        ({"2025": {"5": [], "1": {"2": "0", "1": "0"}}}, (date(2025, 1, 1), date(2025, 1, 2))),
    ],
)
def test_exclusions_are_read_as_days_off(exclusions: dict[str, object] | None, days: tuple[date, ...]) -> None:
    """Year, month and day as keys; an empty map may come as a list."""
    assert days == exclusion_days(exclusions)


def test_exclusions_that_are_no_dates_are_named() -> None:
    """A shape that nobody has seen yet must not vanish."""
    with pytest.raises(CalendarError, match="2025-2-30"):
        exclusion_days({"2025": {"2": {"30": "0"}}})


def test_a_shift_that_cannot_be_meant_names_its_weekdays() -> None:
    """Equal ends say nothing: a whole day, or none."""
    with pytest.raises(CalendarError) as told:
        calendar_of_schedule("FIXED", [Planned(0, 0, (6, 7))], "Europe/Moscow")

    assert ["sat", "sun"] == [line.partition(":")[0] for line in str(told.value).splitlines()]


def test_the_vendors_own_sample_of_a_schedule() -> None:
    """Monday to Friday 08:00-17:00; the hour of break has no place and is not taken off."""
    folder = samples_folder()
    if folder is None:
        pytest.skip("the vendor's samples are not here; set B24_SAMPLES to their folder")
    reply = json.loads((folder / "timeman.schedule.get" / "1.json").read_text(encoding="utf-8"))["result"]
    shifts = [
        Planned(s["WORK_TIME_START"], s["WORK_TIME_END"], tuple(map(int, s["WORK_DAYS"])), s["DELETED"])
        for s in reply["SHIFTS"]
    ]

    calendar = calendar_of_schedule(reply["SCHEDULE_TYPE"], shifts, "Europe/Berlin", deleted=reply["DELETED"] == "1")

    assert ["08:00-17:00"] == texts(calendar, date(2025, 3, 14))
    assert [] == texts(calendar, date(2025, 3, 15))


def test_the_portals_own_hours_and_holidays() -> None:
    """Hours, weekend, and days that return every year; 29 February only where there is one."""
    calendar = calendar_of_settings(
        32_400,
        68_400,
        (6, 7),
        "Europe/Moscow",
        years=range(2024, 2026),
        holidays=[(1, 1), (2, 29)],
        working_holidays=[(6, 1)],
    )

    assert ["09:00-19:00"] == texts(calendar, date(2025, 3, 10))
    assert [] == texts(calendar, date(2025, 3, 15))
    assert [] == texts(calendar, date(2025, 1, 1))
    assert [] == texts(calendar, date(2024, 2, 29))
    assert ["09:00-19:00"] == texts(calendar, date(2025, 6, 1))  # a Sunday


@pytest.mark.parametrize(
    ("starts", "ends", "weekend"), [(None, 68_400, ()), (32_400, 32_400, ()), (0, 10, range(1, 8))]
)
def test_settings_without_hours_leave_the_company(starts: int | None, ends: int, weekend: tuple[int, ...]) -> None:
    """No hours, or nobody ever works."""
    assert calendar_of_settings(starts, ends, weekend, "Europe/Moscow", years=[2025]) is None


def test_a_vacation_of_whole_days_is_wall_time() -> None:
    """Its midnights are written in UTC and meant where the person lives."""
    first, after = datetime(2025, 12, 2, tzinfo=UTC), datetime(2025, 12, 6, tzinfo=UTC)

    assert Absence.days(date(2025, 12, 2), date(2025, 12, 5)) == absence_of("absent", first, after, whole_days=True)
    assert Absence.days(date(2025, 12, 2)) == absence_of("absent", first, None, whole_days=True)


def test_hours_off_are_instants() -> None:
    """Half-open, kept in UTC; an empty span is nothing; the end may be open."""
    start, end = datetime(2025, 12, 2, 8, tzinfo=UTC), datetime(2025, 12, 2, 11, tzinfo=UTC)

    assert Absence(start, end) == absence_of("absent", start, end, whole_days=False)
    assert Absence(start) == absence_of("absent", start, None, whole_days=None)
    assert absence_of("absent", start, start, whole_days=False) is None


@pytest.mark.parametrize("kind", ["busy", "quest", "free", "", None])
def test_a_meeting_is_no_absence(kind: str | None) -> None:
    """Unless the configuration counts it."""
    start, end = datetime(2025, 12, 2, 8, tzinfo=UTC), datetime(2025, 12, 2, 11, tzinfo=UTC)

    assert absence_of(kind, start, end, whole_days=False) is None
    assert absence_of("busy", start, end, whole_days=False, counted={"busy"}) == Absence(start, end)


def test_a_localised_text_is_no_instant() -> None:
    """Naive times are wall times of nobody knows where."""
    with pytest.raises(CalendarError, match="must be aware"):
        absence_of("absent", datetime(2025, 12, 2, 8), datetime(2025, 12, 2, 11), whole_days=False)
