"""What the clock's answers are to a type checker, and that the portal's entities fit in."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import assert_type

import numpy as np
import numpy.typing as npt

from b24metrics.crm.people import Schedule
from b24metrics.worktime import Calendars, WorkCalendar, WorkClock, calendar_of_schedule, exclusion_days

Ints = npt.NDArray[np.int64]


def test_scalars_and_arrays_keep_their_kind() -> None:
    """A scalar question has a plain answer, an array has an array."""
    calendar = WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["09:00-18:00"]})
    clock, book = WorkClock(calendar), Calendars(calendar)
    now, many = datetime(2025, 3, 14, 9, tzinfo=UTC), np.array([1_741_942_800])

    assert_type(clock.elapsed(now, 1_741_942_800), int)
    assert_type(clock.elapsed(many, now), Ints)
    assert_type(clock.elapsed(now, many), Ints)
    assert_type(clock.deadline(now, 60), int)
    assert_type(clock.deadline(many, 60), Ints)
    assert_type(clock.lookback(now, 60), int)
    assert_type(clock.is_working(now), bool)
    assert_type(clock.is_working(many), npt.NDArray[np.bool_])
    assert_type(clock.working_days_between(many, now), Ints)
    assert_type(clock.share(now, now, now), float | None)
    assert_type(clock.working_dates(date(2025, 3, 1), date(2025, 3, 2)), list[date])
    assert_type(book.elapsed([1], many, now), Ints)


def _a_schedule_fits(schedule: Schedule) -> WorkCalendar | None:
    """The entity is handed in as it is."""
    return calendar_of_schedule(
        schedule.kind,
        schedule.shifts,
        "Europe/Moscow",
        exclusions=exclusion_days(schedule.exclusions),
        deleted=schedule.deleted,
    )
