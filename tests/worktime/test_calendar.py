"""Rules of a calendar, and how they are read."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest

from b24metrics.errors import CalendarError
from b24metrics.worktime import Absence, PublicHolidays, Shift, Version, WorkCalendar, WorkClock
from b24metrics.worktime.shifts import day_seconds

MOSCOW = timezone(timedelta(hours=3))


def read(text: str, base: WorkCalendar | None = None) -> WorkCalendar:
    return WorkCalendar.parse(tomllib.loads(text), base)


def on(calendar: WorkCalendar, day: str) -> list[str]:
    return [str(shift) for shift in calendar.shifts_on(date.fromisoformat(day))]


COMPANY = """
tz = "Europe/Moscow"
week = { mon-thu = ["09:00-13:00", "14:00-18:00"], fri = ["09:00-16:45"] }
holidays = { country = "RU", preholiday_shorten_seconds = "law" }
days = { 2025-06-12 = ["10:00-14:00"], 2025-08-15 = [] }
versions = [ { valid_from = 2026-01-01, tz = "Asia/Yekaterinburg" }, { valid_from = 2026-07-01, week = { mon = ["22:00-06:00"] } } ]
"""


def test_a_calendar_is_read_from_toml() -> None:
    """Ranges of weekdays, lists of shifts, dates as bare keys, holidays with the law's short days."""
    calendar = read(COMPANY)

    assert ["09:00-13:00", "14:00-18:00"] == on(calendar, "2025-03-10")
    assert ["09:00-16:45"] == on(calendar, "2025-03-14")
    assert [] == on(calendar, "2025-03-15")
    assert PublicHolidays("RU", None, 3600) == calendar.versions[0].holidays


def test_the_first_rule_that_has_an_entry_wins() -> None:
    """Personal override, company override, public holidays, weekly template; an empty list is an entry."""
    calendar = read(COMPANY)
    person = calendar.for_person(((date(2025, 6, 12), ()), (date(2025, 8, 15), (Shift.parse("12:00-13:00"),))))

    assert [] == on(calendar, "2025-05-09")  # public holiday
    assert ["10:00-14:00"] == on(calendar, "2025-06-12")  # the company works on a public holiday
    assert [] == on(calendar, "2025-08-15")  # and has a day off of its own
    assert ["09:00-13:00", "14:00-17:00"] == on(calendar, "2025-06-11")  # short by law
    assert [] == on(person, "2025-06-12")
    assert ["12:00-13:00"] == on(person, "2025-08-15")


def test_each_date_uses_the_version_valid_on_it() -> None:
    """Week and zone change on a date; a version that names only one keeps the other."""
    calendar = read(COMPANY)
    zones = [calendar.version_on(date(2025, 12, 31)).tz, calendar.version_on(date(2026, 1, 1)).tz]

    assert ["Europe/Moscow", "Asia/Yekaterinburg"] == zones
    assert ["09:00-13:00", "14:00-18:00"] == on(calendar, "2026-06-30")
    assert ["22:00-06:00"] == on(calendar, "2026-07-06")
    assert "Asia/Yekaterinburg" == calendar.version_on(date(2026, 7, 6)).tz


def test_a_move_to_another_zone_moves_the_opening() -> None:
    """09:00 is 06:00 UTC in Moscow and 04:00 UTC in Yekaterinburg."""
    clock = WorkClock(read(COMPANY))

    assert datetime(2025, 12, 30, 6, tzinfo=UTC).timestamp() == clock.next_opening(datetime(2025, 12, 30, tzinfo=UTC))
    assert datetime(2026, 1, 12, 4, tzinfo=UTC).timestamp() == clock.next_opening(datetime(2026, 1, 12, tzinfo=UTC))


def test_a_department_takes_from_the_company_what_it_does_not_give() -> None:
    """Zone, holidays and company overrides hold, the week is its own; an override of its own wins."""
    calendar = read('week = { mon-sun = ["08:00-20:00"] }\ndays = { 2025-08-15 = ["10:00-11:00"] }', read(COMPANY))

    assert ["08:00-20:00"] == on(calendar, "2025-03-15")
    assert [] == on(calendar, "2025-05-09")
    assert ["10:00-14:00"] == on(calendar, "2025-06-12")
    assert ["10:00-11:00"] == on(calendar, "2025-08-15")
    assert read(COMPANY) == read("", read(COMPANY))


def test_calendars_are_values() -> None:
    """Equal rules are equal and hash alike, whatever order they were written in."""
    one = read('tz = "UTC"\nweek = { mon = ["14:00-18:00", "09:00-13:00"], tue = [] }')
    two = WorkCalendar.simple("UTC", {"mon": [("09:00", "13:00"), (time(14), time(18))]})

    assert one == two
    assert hash(one) == hash(two)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('tz = "UTC"\nweek = { mon = ["09:00-09:00"] }', "week: mon: shift 09:00-09:00 starts and ends at the same time"),
        ('tz = "UTC"\nweek = { mon = ["09:00-34:00"] }', "week: mon: shift 09:00-34:00 ends past 24:00"),
        ('tz = "UTC"\nweek = { mon = ["24:00-06:00"] }', "week: mon: shift 24:00-06:00 starts outside its day"),
        ('tz = "UTC"\nweek = { mon = ["9-18"] }', "week: mon: '9' is not a time of day"),
        ('tz = "UTC"\nweek = { mon = ["09:70-18:00"] }', "week: mon: '09:70' is not a time of day"),
        ('tz = "UTC"\nweek = { mon = ["09:00"] }', "week: mon: '09:00' is not a shift"),
        ('tz = "UTC"\nweek = { mon = "09:00-18:00" }', "week: mon: '09:00-18:00' is not a list of shifts"),
        ('tz = "UTC"\nweek = { mo = [] }', "week: mo: 'mo' is not a weekday"),
        ('tz = "UTC"\nweek = { mon-fri = [], fri = [] }', "week: fri: fri is given twice"),
        ('tz = "UTC"\nweek = []', "week: [] is not a week"),
        ("week = {}", "tz: the zone of the schedule is missing"),
        ('tz = "UTC"', "week: the weekly schedule is missing"),
        ('tz = "Europe/Moskow"\nweek = {}', "tz: no such time zone: 'Europe/Moskow'"),
        ("tz = 3\nweek = {}", "tz: 3 is not a zone"),
        ('tz = "UTC"\nweek = {}\nwek = {}', "wek: unknown key"),
        ('tz = "UTC"\nweek = {}\nholidays = "RX"', "holidays: no public holidays are known for country 'RX'"),
        ('tz = "UTC"\nweek = {}\nholidays = { land = "RU" }', "holidays: land: unknown key"),
        ('tz = "UTC"\nweek = {}\nholidays = { country = "US", preholiday_shorten_seconds = "law" }', "no rule is known for US"),
        ('tz = "UTC"\nweek = {}\nholidays = { country = "RU", moved_weekday = 1 }', "moved_weekday: 1 is not one of mon"),
        ('tz = "UTC"\nweek = {}\ndays = { 2025-13-01 = [] }', "days: 2025-13-01: '2025-13-01' is neither a date"),
        ('tz = "UTC"\nweek = {}\nversions = [ { tz = "UTC" } ]', "versions[1].valid_from: None is not a date"),
        ('tz = "UTC"\nweek = {}\nversions = 1', "versions: 1 is not a list of versions"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_place(text: str, said: str) -> None:
    """The message names the day and the shift."""
    with pytest.raises(CalendarError) as told:
        read(text)

    assert said in str(told.value)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """Nobody mends a file one error at a time."""
    with pytest.raises(CalendarError) as told:
        read('tz = "X"\nweek = { mon = ["a"], tue = ["10:00-10:00"] }\nholidays = "RX"\ndays = { x = [] }\nfoo = 1')

    places = [line.split(": ")[0] for line in str(told.value).splitlines()]
    assert ["foo", "tz", "week", "week", "holidays", "days"] == places


def test_versions_follow_each_other() -> None:
    """The first covers the past, later ones start later."""
    week = ((),) * 7
    with pytest.raises(CalendarError, match="at least one version"):
        WorkCalendar(())
    with pytest.raises(CalendarError, match="must cover all earlier dates"):
        WorkCalendar((Version("UTC", week, None, date(2025, 1, 1)),))
    with pytest.raises(CalendarError, match="each later than the one before"):
        WorkCalendar(
            (
                Version("UTC", week),
                Version("UTC", week, None, date(2025, 1, 1)),
                Version("UTC", week, None, date(2025, 1, 1)),
            )
        )


@pytest.mark.parametrize(("starts", "ends"), [(-1, 5), (86_400, 90_000), (10, 10), (20, 10), (100, 86_501)])
def test_a_shift_is_checked_however_it_is_made(starts: int, ends: int) -> None:
    """Outside its day, empty, or longer than 24 hours."""
    with pytest.raises(CalendarError):
        Shift(starts, ends)


@pytest.mark.parametrize(
    ("text", "shift"),
    [
        ("09:00-18:00", Shift(32_400, 64_800)),
        ("22:00-06:00", Shift(79_200, 108_000)),
        ("18:00-24:00", Shift(64_800, 86_400)),
        ("00:00-24:00", Shift(0, 86_400)),
        ("00:00-00:01", Shift(0, 60)),
        ("9:05 - 9:05:30", Shift(32_700, 32_730)),
        ("09:00-08:59", Shift(32_400, 32_340 + 86_400)),
    ],
)
def test_shifts_are_read_from_text(text: str, shift: Shift) -> None:
    """An end not later than the start lies on the next date; 24:00 is the end of the day."""
    assert shift == Shift.parse(text)


def test_overlapping_shifts_are_counted_once() -> None:
    """A bad template is no error."""
    shifts = tuple(Shift.parse(text) for text in ("09:00-15:00", "12:00-18:00", "18:00-19:00"))

    assert 10 * 3600 == day_seconds(shifts)


def test_whole_days_include_the_last_one() -> None:
    """Forgetting the + 1 is the classic error."""
    expected = Absence(datetime(2025, 3, 10), datetime(2025, 3, 15))

    assert expected == Absence.days(date(2025, 3, 10), date(2025, 3, 14))
    assert expected == Absence.parse({"from": date(2025, 3, 10), "to": date(2025, 3, 14)})
    assert expected == Absence.parse({"from": "2025-03-10", "to": "2025-03-14"})
    assert expected == Absence.parse({"from": datetime(2025, 3, 10), "to": date(2025, 3, 14)})


def test_an_absence_may_have_no_end() -> None:
    """A long sick leave: from then on nothing counts."""
    calendar = WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["09:00-18:00"]})
    clock = WorkClock(calendar.for_person(absences=(Absence.parse({"from": date(2025, 3, 12)}),)))
    monday = datetime(2025, 3, 10, tzinfo=MOSCOW)

    assert 2 * 9 * 3600 == clock.elapsed(monday, monday + timedelta(days=3000))
    assert clock.is_absent(monday + timedelta(days=3000))


def test_an_absence_in_instants_equals_the_same_in_wall_time() -> None:
    """The portal gives UTC instants for hours off; both kinds mix."""
    calendar = WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["09:00-18:00"]})
    wall = Absence(datetime(2025, 3, 11, 11), datetime(2025, 3, 11, 15))
    exact = Absence(datetime(2025, 3, 11, 11, tzinfo=MOSCOW), datetime(2025, 3, 11, 15, tzinfo=MOSCOW))
    mixed = Absence(datetime(2025, 3, 11, 11), datetime(2025, 3, 11, 12, tzinfo=UTC))
    day = datetime(2025, 3, 11, tzinfo=MOSCOW)

    for absence in (wall, exact, mixed):
        clock = WorkClock(calendar.for_person(absences=(absence,)))
        assert 5 * 3600 == clock.elapsed(day, day + timedelta(days=1))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"to": date(2025, 3, 1)}, "needs 'from'"),
        ({"from": date(2025, 3, 2), "to": date(2025, 3, 1)}, "ends on 2025-03-01, earlier"),
        ({"from": datetime(2025, 3, 2, 9), "to": datetime(2025, 3, 2, 9)}, "not later"),
        ({"from": date(2025, 3, 2), "till": date(2025, 3, 1)}, "unknown key 'till'"),
        ({"from": "soon"}, "'soon' is neither a date"),
        ("2025-03-01", "is not an absence"),
    ],
)
def test_an_absence_that_cannot_be_meant_is_refused(value: object, said: str) -> None:
    """With the value and the mend."""
    with pytest.raises(CalendarError, match=said):
        Absence.parse(value)


def test_the_standard_day_is_the_most_frequent_one() -> None:
    """Four days of 8 h and one of 6.75 h; of equally frequent lengths the longer one; none in an empty week."""
    calendar = read(COMPANY)
    tie = WorkCalendar.simple("UTC", {"mon": ["09:00-13:00"], "tue": ["09:00-18:00"]})

    assert 8 * 3600 == calendar.standard_day_seconds(date(2025, 3, 10))
    assert 9 * 3600 == tie.standard_day_seconds(date(2025, 3, 10))
    assert 0 == WorkCalendar.simple("UTC", {}).standard_day_seconds(date(2025, 3, 10))
