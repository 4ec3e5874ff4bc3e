"""Which calendar counts for whom."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b24metrics.errors import CalendarError, HorizonError
from b24metrics.worktime import Absence, Calendars, Employee, PublicHolidays, Shift, WorkCalendar, WorkClock
from tests.worktime.witness import Rules
from tests.worktime.worlds import as_calendar, worlds

MOSCOW = timezone(timedelta(hours=3))
COMPANY = WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["09:00-18:00"]})
SHOP = WorkCalendar.simple("Europe/Moscow", {"mon-sun": ["10:00-22:00"]})
URAL = WorkCalendar.simple("Asia/Yekaterinburg", {"mon-fri": ["09:00-18:00"]})
HOUR = 3600

MONDAY = datetime(2025, 3, 10, tzinfo=MOSCOW)
WEEK = (MONDAY, MONDAY + timedelta(days=7))


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2025, 3, number, hour, tzinfo=MOSCOW)


def test_a_person_works_by_the_nearest_schedule_upwards() -> None:
    """Their own, else the department's, else the one above it, else the company's."""
    book = Calendars(
        COMPANY,
        departments={11: SHOP},
        parents={12: 11, 13: 12, 20: 1, 1: None},
        employees=[
            Employee(101, 11),
            Employee(102, 13),
            Employee(103, 20),
            Employee(104, 13, URAL),
            Employee(105),
        ],
    )

    hours = {number: book.employee(number).elapsed(*WEEK) // HOUR for number in (101, 102, 103, 104, 105, 999)}

    assert {101: 84, 102: 84, 103: 45, 104: 45, 105: 45, 999: 45} == hours
    assert datetime(2025, 3, 10, 4, tzinfo=UTC).timestamp() == book.employee(104).next_opening(MONDAY)
    assert 84 == book.department(12).elapsed(*WEEK) // HOUR
    assert 45 == book.department(None).elapsed(*WEEK) // HOUR


def test_a_cycle_of_departments_ends_at_the_company() -> None:
    """Department trees of real portals do hold cycles."""
    book = Calendars(COMPANY, parents={1: 2, 2: 1}, employees=[Employee(101, 1)])

    assert book.employee(101) is book.company


def test_before_the_first_day_and_after_dismissal_the_company_counts() -> None:
    """Records of that time are still somebody's; absences do not reach beyond the employment."""
    person = Employee(
        101,
        calendar=SHOP,
        employed_on=date(2025, 3, 11),
        dismissed_at=day(13, 12),
        absences=(Absence.days(date(2025, 3, 9), date(2025, 3, 11)), Absence.days(date(2025, 3, 13))),
    )
    clock = Calendars(COMPANY, employees=[person]).employee(101)

    by_day = [clock.elapsed(day(n), day(n + 1)) // HOUR for n in range(10, 17)]

    # Monday as the company; Tuesday absent; Wednesday 10-22; Thursday absent to noon, then the company's 12-18; Friday; weekend.
    assert [9, 0, 12, 6, 9, 0, 0] == by_day
    assert [10, 12, 13, 14] == [d.day for d in clock.working_dates(date(2025, 3, 10), date(2025, 3, 16))]
    assert clock.is_absent(day(11, 12))
    assert not clock.is_absent(day(10, 12))
    assert not clock.is_absent(day(14, 12))


@settings(deadline=None, max_examples=40)
@given(
    worlds(),
    worlds(),
    st.integers(-2, 6),
    st.integers(0, 8 * 86_400),
    st.integers(0, 9 * 86_400),
    st.integers(0, 9 * 86_400),
)
def test_a_spliced_clock_is_the_pieces_put_together(
    one: tuple[Rules, int], two: tuple[Rules, int], joined: int, left: int, a: int, b: int
) -> None:
    """W of a joiner and leaver is W of the company, of the person, and of the company again."""
    (rules, begin), (others, _) = one, two
    mine, company = as_calendar(rules), as_calendar(Rules(others.states, others.company))
    since = datetime.fromtimestamp(begin, UTC).date() + timedelta(days=joined)
    until = datetime.fromtimestamp(begin + left, UTC)
    own, theirs = WorkClock(mine), WorkClock(company)
    clock = WorkClock(mine, company, since, until)
    joins = clock_midnight(mine, since)
    leaves = max(begin + left, joins)
    low, high = sorted((begin + a, begin + b))

    def clipped(at: int, bottom: int, top: int) -> int:
        return min(max(at, bottom), top)

    inside = own.elapsed(clipped(low, joins, leaves), clipped(high, joins, leaves))
    outside = theirs.elapsed(low, high) - theirs.elapsed(clipped(low, joins, leaves), clipped(high, joins, leaves))
    assert inside + outside == clock.elapsed(low, high)


def clock_midnight(calendar: WorkCalendar, on: date) -> int:
    """First instant of a date: where a clock that works from then on starts to count (the date itself may not exist)."""
    days = {on + timedelta(days=n): ["00:00-24:00"] for n in range(3)}
    zone = WorkCalendar.simple(calendar.version_on(on).tz, {}, days=days)
    return WorkClock(zone).next_opening(datetime(on.year, on.month, on.day, tzinfo=UTC) - timedelta(days=2))


def test_people_who_share_a_calendar_share_its_clock() -> None:
    """Nothing is compiled twice for the same rules."""
    book = Calendars(COMPANY, departments={11: SHOP}, employees=[Employee(n, 11) for n in range(1, 4)])

    assert book.employee(1) is book.employee(2) is book.department(11)
    assert book.employee(99) is book.company


def test_a_change_of_one_person_forgets_one_clock() -> None:
    """New absences count at once; the others keep their clocks."""
    vacation = Absence.days(date(2025, 3, 10), date(2025, 3, 10))
    book = Calendars(COMPANY, employees=[Employee(1, absences=(vacation,)), Employee(2)])
    before = book.employee(1), book.employee(2)

    book.update(replace(book.person(1), absences=(vacation, Absence.days(date(2025, 3, 12), date(2025, 3, 12)))))

    assert 4 * 9 * HOUR == before[0].elapsed(*WEEK)
    assert 3 * 9 * HOUR == book.employee(1).elapsed(*WEEK)
    assert before[1] is book.employee(2)


def test_many_people_are_counted_each_by_their_own_calendar() -> None:
    """One answer per row, in the order of the rows, unknown people by the company's calendar."""
    people = [
        Employee(1),
        Employee(2, calendar=SHOP),
        Employee(3, calendar=URAL, absences=(Absence.days(date(2025, 3, 11), date(2025, 3, 12)),)),
        Employee(4, personal_days=((date(2025, 3, 10), (Shift.parse("22:00-06:00"),)),)),
    ]
    book = Calendars(COMPANY, employees=people)
    generator = np.random.default_rng(20250310)
    ids = generator.integers(1, 7, 500)
    starts = int(MONDAY.timestamp()) + generator.integers(0, 30 * 86_400, 500)
    ends = starts + generator.integers(-86_400, 5 * 86_400, 500)
    seconds = generator.integers(0, 100_000, 500)

    elapsed, due, working = (
        book.elapsed(ids, starts, ends),
        book.deadline(ids, starts, seconds),
        book.is_working(ids, starts),
    )

    rows = list(zip(ids.tolist(), starts.tolist(), ends.tolist(), seconds.tolist(), strict=True))
    assert [book.employee(who).elapsed(a, b) for who, a, b, _ in rows] == elapsed.tolist()
    assert [book.employee(who).deadline(a, n) for who, a, _, n in rows] == due.tolist()
    assert [book.employee(who).is_working(a) for who, a, _, _ in rows] == working.tolist()
    assert [] == book.elapsed([], [], []).tolist()
    assert [book.employee(2).elapsed(*WEEK)] == book.elapsed([2], [int(MONDAY.timestamp())], WEEK[1]).tolist()


@pytest.mark.parametrize("far", [7, 2**40])
def test_ids_may_lie_far_apart(far: int) -> None:
    """Whether ids are dense or sparse changes nothing."""
    book = Calendars(COMPANY, employees=[Employee(far, calendar=SHOP)])
    start = int(MONDAY.timestamp())

    hours = book.elapsed([1, far, 1, far], [start] * 4, start + 86_400) // HOUR

    assert [9, 12, 9, 12] == hours.tolist()


def test_one_hopeless_deadline_is_told() -> None:
    """An absence without end among many people."""
    book = Calendars(COMPANY, employees=[Employee(1, absences=(Absence.days(date(2025, 3, 1)),))])
    start = int(MONDAY.timestamp())

    with pytest.raises(HorizonError):
        book.deadline([1, 2], [start, start], 60)


def test_a_company_without_schedule_is_an_error() -> None:
    """Nobody means 24/7 by saying nothing."""
    with pytest.raises(CalendarError, match="has no shift at all"):
        Calendars(WorkCalendar.simple("Europe/Moscow", {}))


@pytest.mark.parametrize(
    ("person", "now", "away"),
    [
        (Employee(1), day(10, 12), False),
        (Employee(1), day(10, 22), False),  # closed, but back within 24 hours
        (Employee(1), day(14, 19), True),  # Friday evening: no working time in the next 24 hours
        (Employee(1, absences=(Absence.days(date(2025, 3, 10), date(2025, 3, 12)),)), day(10, 3), True),
        (Employee(1, absences=(Absence(datetime(2025, 3, 10, 11), datetime(2025, 3, 10, 12)),)), day(10, 10), False),
        (Employee(1, absences=(Absence(datetime(2025, 3, 10, 11), datetime(2025, 3, 10, 12)),)), day(10, 11), True),
        # absent for all of today's hours, now before they begin, back tomorrow morning
        (Employee(1, absences=(Absence(datetime(2025, 3, 11, 9), datetime(2025, 3, 11, 18)),)), day(11, 8), True),
        (Employee(1, absences=(Absence(datetime(2025, 3, 11, 9), datetime(2025, 3, 11, 17)),)), day(11, 8), False),
        (Employee(1, dismissed_at=day(10, 12)), day(10, 12), True),
        (Employee(1, dismissed_at=day(10, 12)), day(10, 11), False),
        (Employee(1, active=False), day(10, 12), True),
    ],
)
def test_who_is_away(person: Employee, now: datetime, away: bool) -> None:
    """Absence covers now or all of today's working time, no working time in 24 hours, or dismissed."""
    assert away == Calendars(COMPANY, employees=[person]).is_away(1, now)


CONFIGURATION = """
tz = "Europe/Moscow"
week = { mon-fri = ["09:00-18:00"] }
holidays = "RU"
days = { 2025-03-14 = [] }

[departments.12]
week = { mon-sun = ["08:00-20:00"] }

[people.101]
days = { 2025-03-08 = ["10:00-14:00"] }
absences = [ { from = 2025-07-01, to = 2025-07-14 }, { from = 2025-08-01T12:00:00, to = 2025-08-01T15:00:00 } ]
employed_on = 2024-02-01

[people.102]
tz = "Asia/Yekaterinburg"
"""


def test_the_book_is_read_from_the_configuration() -> None:
    """Company, departments and people in one table."""
    book = Calendars.parse(tomllib.loads(CONFIGURATION), parents={13: 12})

    assert [10, 11, 12, 13] == [d.day for d in book.employee(1).working_dates(date(2025, 3, 10), date(2025, 3, 16))]
    assert 6 == len(book.department(13).working_dates(date(2025, 3, 10), date(2025, 3, 16)))  # the 14th is off for all
    assert [date(2025, 3, 8)] == book.employee(101).working_dates(date(2025, 3, 8), date(2025, 3, 9))
    assert [] == book.employee(101).working_dates(date(2025, 7, 1), date(2025, 7, 14))
    assert date(2024, 2, 1) == book.person(101).employed_on
    assert {12} == set(book.departments)
    assert [101, 102] == [employee.id for employee in book.employees]
    assert "Asia/Yekaterinburg" == book.employee(102).calendar.versions[0].tz
    assert PublicHolidays("RU") == book.employee(102).calendar.versions[0].holidays


def test_everything_wrong_in_the_book_is_told_at_once() -> None:
    """Each with its place, the company's own mistakes among them."""
    text = """
    tz = "X"
    week = { mon = ["10:00-10:00"] }
    people = { 101 = { absences = [ { to = 2025-01-01 } ], foo = 1, employed_on = "soon" }, anna = {}, 102 = 3 }
    departments = { 12 = { week = { mon = ["a"] } } }
    """

    with pytest.raises(CalendarError) as told:
        Calendars.parse(tomllib.loads(text))

    expected = [
        "tz: no such time zone: 'X'",
        "week: mon: shift 10:00-10:00 starts and ends",
        "departments.12: week: mon: 'a' is not",
        "people.101: absences: absence 1: an absence needs 'from'",
        "people.101: employed_on: 'soon' is not a date",
        "people.101: foo: unknown key",
        "people.anna: the key must be an id",
        "people.102: 3 is not a table",
    ]
    lines = str(told.value).splitlines()
    assert expected == [line[: len(start)] for line, start in zip(lines, expected, strict=True)]


def test_caveats_of_all_calendars_are_said_once() -> None:
    """Company and departments share a country: one sentence per year."""
    book = Calendars.parse(tomllib.loads(CONFIGURATION))

    said = book.caveats(date(2090, 1, 1), date(2090, 12, 31))

    assert 1 == len(said)
    assert said[0].startswith("RU 2090: transferred days are not published")
