"""Hand-checked answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from b24metrics.worktime import Absence, WorkCalendar, WorkClock
from b24metrics.worktime.shifts import WEEKDAYS
from tests.conftest import golden

CASES: list[dict[str, Any]] = golden("worktime.json")["cases"]


def clock_of(case: dict[str, Any]) -> WorkClock:
    rules = case["calendar"]
    week = {WEEKDAYS[int(number) - 1]: shifts for number, shifts in rules["week"].items()}
    absences = [Absence(datetime.fromisoformat(a["from"]), datetime.fromisoformat(a["to"])) for a in case["absences"]]
    calendar = WorkCalendar.simple(rules["tz"], week, days=rules.get("days", {}))
    return WorkClock(calendar.for_person(absences=tuple(absences)))


def test_there_are_sixty_cases() -> None:
    """The table is whole: a case that is left out by mistake would pass silently."""
    assert 60 == len(CASES)


@pytest.mark.parametrize("case", [c for c in CASES if c["op"] == "elapsed"], ids=lambda c: f"{c['id']} {c['title']}")
def test_working_seconds_match_hand_made_answers(case: dict[str, Any]) -> None:
    """Working seconds between two instants."""
    start, end = datetime.fromisoformat(case["start"]), datetime.fromisoformat(case["end"])

    assert case["expected_seconds"] == clock_of(case).elapsed(start, end)


@pytest.mark.parametrize("case", [c for c in CASES if c["op"] == "deadline"], ids=lambda c: f"{c['id']} {c['title']}")
def test_deadlines_match_hand_made_answers(case: dict[str, Any]) -> None:
    """Earliest instant by which so many seconds have been worked."""
    start = datetime.fromisoformat(case["start"])

    found = clock_of(case).deadline(start, case["seconds"])

    assert datetime.fromisoformat(case["expected_utc"]).timestamp() == found
    assert datetime.fromisoformat(case["expected_local"]).timestamp() == found
