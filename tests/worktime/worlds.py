"""Random calendars for properties: as plain rules, and as the product reads them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from b24metrics.worktime import Absence, WorkCalendar
from b24metrics.worktime.shifts import WEEKDAYS
from tests.worktime.witness import Rules, Shifts, State

#: Zones with the day around which they do something odd.
ODD_DAYS = [
    ("Australia/Lord_Howe", date(2025, 4, 6)),  # half an hour back
    ("Australia/Lord_Howe", date(2025, 10, 5)),  # half an hour forward
    ("Africa/Cairo", date(2025, 4, 25)),  # midnight does not exist
    ("Africa/Cairo", date(2025, 10, 30)),  # 23:00-24:00 twice
    ("Asia/Almaty", date(2024, 3, 1)),  # moved west at midnight
    ("America/New_York", date(2025, 3, 9)),
    ("America/New_York", date(2025, 11, 2)),
    ("America/Havana", date(2025, 11, 2)),  # 00:00-01:00 twice
    ("America/St_Johns", date(2010, 11, 7)),  # 00:01 back to 23:01: yesterday once more
    ("Antarctica/Troll", date(2025, 3, 30)),  # two hours
    ("Pacific/Apia", date(2011, 12, 30)),  # the day that was left out
    ("Asia/Kathmandu", date(2025, 3, 10)),  # quarter-hour offset
    ("Europe/Berlin", date(2025, 3, 30)),
    ("Europe/Berlin", date(2025, 10, 26)),
    ("Europe/Moscow", date(2014, 10, 26)),  # one hour back for good
]

#: Days looked at on each side.
AROUND = 4


@st.composite
def day_shifts(draw: st.DrawFn) -> Shifts:
    found = []
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 2]))):
        start = draw(st.one_of(st.sampled_from([0, 30, 60, 120, 150, 540, 1320, 1380]), st.integers(0, 1439)))
        end = draw(st.one_of(st.sampled_from([60, 120, 150, 180, 1080, 1440]), st.integers(1, 1440)))
        if start != end:
            found.append((f"{start // 60:02d}:{start % 60:02d}", f"{end // 60:02d}:{end % 60:02d}"))
    return found


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Rules, int]:
    """Rules, and the epoch second (a UTC midnight) from which they are worth looking at."""
    tz, odd = draw(st.sampled_from(ODD_DAYS))
    near = st.integers(-AROUND, AROUND).map(lambda days: odd + timedelta(days=days))
    weeks = st.tuples(*[day_shifts()] * 7)
    states = [State(None, tz, draw(weeks))]
    if draw(st.booleans()):
        elsewhere = draw(st.sampled_from([tz, "Asia/Yekaterinburg", "America/New_York"]))
        states.append(State(draw(near), elsewhere, draw(weeks)))
    absences = []
    for _ in range(draw(st.integers(0, 2))):
        first = draw(near)
        start = datetime(first.year, first.month, first.day) + timedelta(minutes=draw(st.integers(0, 1439)))
        length = draw(st.one_of(st.none(), st.integers(1, 4000)))
        absences.append((start, None if length is None else start + timedelta(minutes=length)))
    rules = Rules(
        states,
        company=draw(st.dictionaries(near, day_shifts(), max_size=2)),
        personal=draw(st.dictionaries(near, day_shifts(), max_size=2)),
        absences=absences,
    )
    begin = datetime(odd.year, odd.month, odd.day, tzinfo=UTC) - timedelta(days=AROUND)
    return rules, int(begin.timestamp())


def as_calendar(rules: Rules) -> WorkCalendar:
    """The same rules, read by the product from the form of its configuration."""
    first, *later = ({"tz": s.tz, "week": dict(zip(WEEKDAYS, s.week, strict=True))} for s in rules.states)
    versions = [{**table, "valid_from": s.valid_from} for table, s in zip(later, rules.states[1:], strict=True)]
    calendar = WorkCalendar.parse({**first, "days": rules.company, "versions": versions})
    personal = WorkCalendar.parse({"days": rules.personal}, WorkCalendar(calendar.versions)).days
    return calendar.for_person(personal, tuple(Absence(start, end) for start, end in rules.absences))
