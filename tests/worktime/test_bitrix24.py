"""Calendars and absences from what the portal says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from b24metrics.errors import CalendarError
from b24metrics.worktime import (
    Absence,
    PlannedShift,
    PublicHolidays,
    Shift,
    WorkCalendar,
    absence_of,
    calendar_of_schedule,
)
from tests.conftest import samples_folder

OFFICE = PlannedShift(32_400, 64_800, "12345")


def texts(calendar: WorkCalendar | None, day: date) -> list[str]:
    assert calendar is not None
    return [str(shift) for shift in calendar.shifts_on(day)]


def test_a_fixed_schedule_is_a_weekly_template() -> None:
    """Seconds from midnight and digits of weekdays; deleted shifts are skipped; an earlier end is a night shift."""
    shifts = [OFFICE, PlannedShift(79_200, 21_600, "67"), PlannedShift(0, 86_400, "1234567", deleted=True)]

    calendar = calendar_of_schedule("FIXED", shifts, "Europe/Moscow")

    assert ["09:00-18:00"] == texts(calendar, date(2025, 3, 10))
    assert ["22:00-06:00"] == texts(calendar, date(2025, 3, 15))


@pytest.mark.parametrize(
    ("kind", "shifts", "deleted"),
    [
        ("SHIFT", [OFFICE], False),
        ("FLEXTIME", [OFFICE], False),
        ("FIXED", [OFFICE], True),
        ("FIXED", [], False),
        ("FIXED", [PlannedShift(32_400, 64_800, "12345", deleted=True)], False),
        ("FIXED", [PlannedShift(32_400, 64_800, "")], False),
    ],
)
def test_no_template_leaves_the_company(kind: str, shifts: list[PlannedShift], deleted: bool) -> None:
    """Free hours, personal shift plans, and anything deleted or empty."""
    assert calendar_of_schedule(kind, shifts, "Europe/Moscow", deleted=deleted) is None


def test_the_portals_days_off_win_over_the_library_in_their_years() -> None:
    """Years that the portal does not list are left to the library; company overrides win over both."""
    calendar = calendar_of_schedule(
        "FIXED",
        [OFFICE],
        "Europe/Moscow",
        exclusions=[date(2025, 3, 10), date(2025, 3, 11)],
        holidays=PublicHolidays("RU"),
        days=((date(2025, 3, 11), (Shift.parse("10:00-12:00"),)),),
    )

    assert [] == texts(calendar, date(2025, 3, 10))
    assert ["10:00-12:00"] == texts(calendar, date(2025, 3, 11))
    assert ["09:00-18:00"] == texts(calendar, date(2025, 5, 9))  # the library keeps still in 2025
    assert [] == texts(calendar, date(2026, 1, 1))


def test_a_shift_that_cannot_be_meant_names_its_weekdays() -> None:
    """Equal ends say nothing: a whole day, or none."""
    with pytest.raises(CalendarError) as told:
        calendar_of_schedule("FIXED", [PlannedShift(0, 0, "67")], "Europe/Moscow")

    assert ["sat", "sun"] == [line.partition(":")[0] for line in str(told.value).splitlines()]


def test_the_vendors_own_sample_of_a_schedule() -> None:
    """Monday to Friday 08:00-17:00; the hour of break has no place and is not taken off."""
    folder = samples_folder()
    if folder is None:
        pytest.skip("the vendor's samples are not here; set B24_SAMPLES to their folder")
    reply = json.loads((folder / "timeman.schedule.get" / "1.json").read_text(encoding="utf-8"))["result"]
    shifts = [
        PlannedShift(s["WORK_TIME_START"], s["WORK_TIME_END"], s["WORK_DAYS"], s["DELETED"]) for s in reply["SHIFTS"]
    ]

    calendar = calendar_of_schedule(reply["SCHEDULE_TYPE"], shifts, "Europe/Berlin", deleted=reply["DELETED"] == "1")

    assert ["08:00-17:00"] == texts(calendar, date(2025, 3, 14))
    assert [] == texts(calendar, date(2025, 3, 15))


def test_a_vacation_of_whole_days_includes_both_ends() -> None:
    """Dates or midnights, whichever the portal's text gave."""
    expected = Absence(datetime(2025, 12, 2), datetime(2025, 12, 6))

    assert expected == absence_of("absent", date(2025, 12, 2), date(2025, 12, 5), whole_days=True)
    assert expected == absence_of("absent", datetime(2025, 12, 2), datetime(2025, 12, 5), whole_days=True)


def test_hours_off_are_instants() -> None:
    """Half-open, kept in UTC; an empty span is nothing."""
    start, end = datetime(2025, 12, 2, 8, tzinfo=UTC), datetime(2025, 12, 2, 11, tzinfo=UTC)

    assert Absence(start, end) == absence_of("absent", start, end, whole_days=False)
    assert absence_of("absent", start, start, whole_days=False) is None


@pytest.mark.parametrize("accessibility", ["busy", "quest", "free", ""])
def test_a_meeting_is_no_absence(accessibility: str) -> None:
    """Unless the configuration counts it."""
    start, end = datetime(2025, 12, 2, 8, tzinfo=UTC), datetime(2025, 12, 2, 11, tzinfo=UTC)

    assert absence_of(accessibility, start, end, whole_days=False) is None
    assert absence_of(accessibility, start, end, whole_days=False, counted={accessibility}) == Absence(start, end)


def test_a_localised_text_is_no_instant() -> None:
    """Naive times are wall times of nobody knows where."""
    with pytest.raises(CalendarError, match="must be aware"):
        absence_of("absent", datetime(2025, 12, 2, 8), datetime(2025, 12, 2, 11), whole_days=False)
