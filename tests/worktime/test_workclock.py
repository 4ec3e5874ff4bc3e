"""What a clock answers, and how far it looks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest

from b24metrics.errors import CalendarError, HorizonError
from b24metrics.worktime import Absence, WorkCalendar, WorkClock

MOSCOW = timezone(timedelta(hours=3))
OFFICE = WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["09:00-18:00"]})
NIGHTS = WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["22:00-06:00"]})
CLOSED = WorkCalendar.simple("Europe/Moscow", {})
ALWAYS = WorkCalendar.simple("Europe/Berlin", {"mon-sun": ["00:00-24:00"]})
HOUR = 3600


def at(text: str) -> int:
    """Epoch seconds of a Moscow wall time in 2025, as the toy company writes it: "03-10 15:00"."""
    return int(datetime.strptime(f"2025-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=MOSCOW).timestamp())


def test_reactions_of_the_toy_company() -> None:
    """Catalogue §7.2, T1: 25, 50, 40 and 60 minutes; d5 waits for 32 hours by now."""
    clock = WorkClock(OFFICE)
    starts = np.array([at("03-03 10:00"), at("03-03 17:30"), at("03-05 09:00"), at("03-06 12:00"), at("03-10 16:00")])
    ends = np.array([at("03-03 10:25"), at("03-04 09:20"), at("03-05 09:40"), at("03-06 13:00"), at("03-14 12:00")])

    assert [1500, 3000, 2400, 3600, 115_200] == clock.elapsed(starts, ends).tolist()


def test_stale_dates_of_the_toy_company() -> None:
    """Catalogue §7.1, T1: last contacts of d4, d5, d8 are 3, 4 and 15 working dates ago."""
    clock, now = WorkClock(OFFICE), at("03-14 12:00")

    contacts = np.array([at("03-11 09:30"), at("03-10 16:00"), at("02-21 10:00")])

    assert [3, 4, 15] == clock.working_days_between(contacts, now).tolist()


def test_the_month_of_the_toy_company() -> None:
    """Catalogue §5, T1: 84 of March's 189 hours have passed, 105 remain; in February that is 13 February 17:00."""
    clock, now = WorkClock(OFFICE), at("03-14 12:00")
    february, march, april = at("02-01 00:00"), at("03-01 00:00"), at("04-01 00:00")

    passed = clock.share(march, april, now)

    assert 84 / 189 == passed
    assert 105 * HOUR == clock.elapsed(now, april)
    assert 180 * HOUR == clock.elapsed(february, march)
    assert at("02-13 17:00") == clock.at_share(february, march, 84 / 189)


def test_shares_of_a_window_stay_within_it() -> None:
    """Before it nothing has passed, after it all; a window without work has no share."""
    clock = WorkClock(OFFICE)
    start, end = at("03-10 00:00"), at("03-11 00:00")

    assert 0.0 == clock.share(start, end, at("03-01 00:00"))
    assert 1.0 == clock.share(start, end, at("03-20 00:00"))
    assert clock.share(at("03-15 00:00"), at("03-16 00:00"), at("03-15 12:00")) is None
    assert clock.at_share(at("03-15 00:00"), at("03-16 00:00"), 0.5) is None
    assert start == clock.at_share(start, end, 0.0)
    assert at("03-10 18:00") == clock.at_share(start, end, 1.0)
    with pytest.raises(CalendarError, match="between 0 and 1"):
        clock.at_share(start, end, 1.1)


def test_breach_is_decided_by_working_seconds() -> None:
    """SLA ends on the closing bell: an answer at 09:00:00 next morning is in time, at 09:00:01 late."""
    clock, start = WorkClock(OFFICE), at("03-10 17:30")

    assert at("03-10 18:00") == clock.deadline(start, 1800)
    assert 1800 == clock.elapsed(start, at("03-11 09:00"))
    assert 1801 == clock.elapsed(start, at("03-11 09:00") + 1)


def test_scalars_give_plain_values_and_arrays_give_arrays() -> None:
    """Both broadcast against each other; int64 throughout."""
    clock, start = WorkClock(OFFICE), at("03-10 10:00")
    ends = [start + 60, start + 120]

    assert 60 == clock.elapsed(start, ends[0])
    assert int is type(clock.elapsed(start, ends[0]))
    assert bool is type(clock.is_working(start))
    for answer in (
        clock.elapsed(start, ends),
        clock.elapsed(np.array(start), np.array([[start + 60, start + 120]]))[0],
    ):
        assert np.int64 == answer.dtype
        assert [60, 120] == answer.tolist()
    assert [60, 0] == clock.elapsed(np.array([start, start + 60]), start + 60).tolist()
    assert [] == WorkClock(OFFICE).elapsed(np.array([], dtype=np.int64), np.array([], dtype=np.int64)).tolist()


def test_instants_may_be_given_in_several_ways() -> None:
    """Aware datetimes of any zone, epoch seconds with fractions (dropped), datetime64 in UTC."""
    clock = WorkClock(OFFICE)
    start = datetime(2025, 3, 10, 6, 30, tzinfo=UTC)
    end = datetime(2025, 3, 10, 12, 0, tzinfo=timezone(timedelta(hours=5)))

    assert 1800 == clock.elapsed(start, end)
    assert 1800 == clock.elapsed(start.timestamp() + 0.9, end.timestamp() + 0.1)
    assert [1800] == clock.elapsed(
        np.array(["2025-03-10T06:30:00.999"], "M8[ms]"), np.array(["2025-03-10T07:00"], "M8[m]")
    ).tolist()
    assert [1800, 0] == clock.elapsed(np.array([start, end], dtype=object), end).tolist()
    assert 1800 == clock.elapsed(np.int32(at("03-10 09:30")), np.int64(at("03-10 10:00")))


@pytest.mark.parametrize(
    "moment",
    [datetime(2025, 3, 10), float("nan"), np.datetime64("NaT"), None, "2025-03-10", True, [datetime(2025, 3, 10, tzinfo=UTC), None]],
)  # fmt: skip
def test_what_is_no_instant_is_refused(moment: object) -> None:
    """A wall time, a missing value or a text would give a wrong number."""
    with pytest.raises(CalendarError):
        WorkClock(OFFICE).worked(moment)


def test_fractions_before_1970_are_refused_not_rounded_up() -> None:
    """Dropping fractions means going back to the whole second, on either side of zero."""
    assert 0 == WorkClock(ALWAYS).elapsed(0, 0.999)
    with pytest.raises(HorizonError):
        WorkClock(ALWAYS).elapsed(-0.5, 0)


def test_a_clock_widens_by_itself() -> None:
    """Any year from 1970 to 2099, in any order, without changing what was said."""
    clock = WorkClock(OFFICE)
    march = clock.elapsed(at("03-01 00:00"), at("04-01 00:00"))
    whole = clock.elapsed(0, datetime(2100, 1, 1, tzinfo=UTC))

    assert march == clock.elapsed(at("03-01 00:00"), at("04-01 00:00"))
    assert whole == clock.elapsed(0, at("03-01 00:00")) + clock.elapsed(
        at("03-01 00:00"), datetime(2100, 1, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize("moment", [-1, 4_102_444_801, 253_402_300_799, -(2**62), 2**62])
def test_an_instant_of_another_age_is_refused(moment: int) -> None:
    """Dates such as 9999-12-31 are marks, not instants."""
    with pytest.raises(HorizonError, match=str(moment)):
        WorkClock(OFFICE).elapsed(0, np.array([0, moment]))


def test_a_deadline_looks_five_years_ahead() -> None:
    """Farther means an empty schedule; what happens to be compiled already makes no difference."""
    sabbatical = OFFICE.for_person(absences=(Absence.days(date(2025, 3, 11), date(2029, 12, 31)),))
    for_ever = OFFICE.for_person(absences=(Absence.days(date(2025, 3, 11)),))
    start = at("03-10 17:00")

    assert datetime(2030, 1, 1, 10, tzinfo=MOSCOW).timestamp() == WorkClock(sabbatical).deadline(start, 2 * HOUR)
    for calendar in (CLOSED, for_ever):
        clock = WorkClock(calendar)
        clock.worked(datetime(2099, 1, 1, tzinfo=UTC))
        with pytest.raises(HorizonError, match="not reached within five years"):
            clock.deadline(start, 2 * HOUR)
    wide = WorkClock(OFFICE)
    wide.worked(datetime(2090, 1, 1, tzinfo=UTC))
    for clock in (wide, WorkClock(OFFICE)):
        with pytest.raises(HorizonError):
            clock.deadline(start, 5 * 366 * 9 * HOUR)


def test_deadlines_of_many() -> None:
    """Arrays of starts and of seconds; zero gives the start itself; negative is refused."""
    clock = WorkClock(OFFICE)
    starts = np.array([at("03-10 17:50"), at("03-15 12:00"), at("03-15 12:00")])

    found = clock.deadline(starts, [1800, 900, 0])

    assert [at("03-11 09:20"), at("03-17 09:15"), at("03-15 12:00")] == found.tolist()
    assert [at("03-11 09:20"), at("03-17 09:30"), at("03-17 09:30")] == clock.deadline(starts, 1800).tolist()
    with pytest.raises(CalendarError, match="must not be negative"):
        clock.deadline(starts, -1)


def test_looking_back_mirrors_the_deadline() -> None:
    """What has waited for an hour began by then; on an opening bell it stays in the morning."""
    clock = WorkClock(OFFICE)
    monday = at("03-17 09:20")

    assert at("03-14 17:20") == clock.lookback(monday, HOUR)
    assert at("03-17 09:00") == clock.lookback(monday, 1200)
    assert at("03-14 18:00") - 1 == clock.lookback(monday, 1201)
    assert [monday, at("03-14 09:20")] == clock.lookback(monday, [0, 9 * HOUR]).tolist()
    assert at("03-15 12:00") == clock.lookback(at("03-15 12:00"), 0)
    with pytest.raises(CalendarError, match="must not be negative"):
        clock.lookback(monday, -1)
    with pytest.raises(HorizonError, match="before instant"):
        WorkClock(CLOSED).lookback(monday, 1)
    with pytest.raises(HorizonError):
        WorkClock(ALWAYS).lookback(100, 200)


def test_no_working_time_at_all() -> None:
    """Nothing elapses, nobody works, no bell rings."""
    clock = WorkClock(CLOSED)

    assert 0 == clock.elapsed(at("03-10 00:00"), at("04-10 00:00"))
    assert not clock.is_working(at("03-10 12:00"))
    assert [] == clock.working_dates(date(2025, 1, 1), date(2025, 12, 31))
    assert at("03-10 12:00") == clock.deadline(at("03-10 12:00"), 0)
    assert (0, 2) == clock.intervals(at("03-10 00:00"), at("04-10 00:00")).shape
    for ask in (clock.next_opening, clock.next_closing):
        with pytest.raises(HorizonError):
            ask(at("03-10 12:00"))


def test_bells() -> None:
    """Working: now, until the closing bell. On the bell itself: the next morning. Around the clock: no closing."""
    clock = WorkClock(OFFICE)
    moments = np.array([at("03-14 12:00"), at("03-14 18:00"), at("03-14 09:00"), at("03-14 08:59")])

    assert [at("03-14 12:00"), at("03-17 09:00"), at("03-14 09:00"), at("03-14 09:00")] == clock.next_opening(
        moments
    ).tolist()
    assert [at("03-14 18:00"), at("03-17 18:00"), at("03-14 18:00"), at("03-14 18:00")] == clock.next_closing(
        moments
    ).tolist()
    assert [True, False, True, False] == clock.is_working(moments).tolist()
    with pytest.raises(HorizonError):
        WorkClock(ALWAYS).next_closing(at("03-14 12:00"))


def test_the_turn_of_the_year_is_no_bell() -> None:
    """A shift over New Year's night closes in the morning, whichever years are compiled."""
    clock = WorkClock(WorkCalendar.simple("UTC", {"mon-sun": ["22:00-06:00"]}))
    night = datetime(2025, 12, 31, 23, tzinfo=UTC)

    assert datetime(2026, 1, 1, 6, tzinfo=UTC).timestamp() == clock.next_closing(night)
    assert 7 * HOUR == clock.elapsed(night, datetime(2026, 1, 1, 12, tzinfo=UTC))


def test_work_belongs_to_the_date_on_which_its_shift_starts() -> None:
    """Friday's night shift ends on Saturday: Saturday is no working day."""
    clock = WorkClock(NIGHTS)

    week = clock.working_dates(date(2025, 3, 10), date(2025, 3, 16))

    assert [date(2025, 3, 10 + n) for n in range(5)] == week
    assert 0 == clock.working_days_between(at("03-14 21:00"), at("03-16 23:00"))
    assert 2 * HOUR == clock.elapsed(at("03-15 04:00"), at("03-15 12:00"))


@pytest.mark.parametrize(
    ("start", "end", "dates"),
    [
        ("03-10 00:00", "03-17 00:00", 5),  # five nights, the last one until Saturday
        ("03-15 00:00", "03-17 00:00", 0),  # Friday's night is Friday's
        ("03-14 23:00", "03-15 12:00", 1),
        ("03-11 12:00", "03-11 22:00", 0),
        ("03-11 12:00", "03-11 22:01", 1),
        ("03-12 00:00", "03-11 00:00", 0),
    ],
)
def test_dates_are_worked_by_the_shifts_that_start_on_them(start: str, end: str, dates: int) -> None:
    """Nights from Monday to Friday, 22:00 to 06:00: no night makes two dates."""
    assert dates == WorkClock(NIGHTS).dates_worked(at(start), at(end))


def test_a_date_is_not_worked_when_absence_takes_all_of_it() -> None:
    """An hour that is left makes it a working day."""
    person = OFFICE.for_person(
        absences=(
            Absence.days(date(2025, 3, 11), date(2025, 3, 11)),
            Absence(datetime(2025, 3, 12, 8), datetime(2025, 3, 12, 17)),
        )
    )

    assert [date(2025, 3, 10), date(2025, 3, 12)] == WorkClock(person).working_dates(
        date(2025, 3, 10), date(2025, 3, 12)
    )


def test_the_third_working_day_ends_at_midnight() -> None:
    """From Thursday: Friday, Monday, Tuesday."""
    clock = WorkClock(OFFICE)

    assert at("03-19 00:00") == clock.end_of_working_day(at("03-13 10:00"), 3)
    assert [at("03-15 00:00"), at("03-18 00:00")] == clock.end_of_working_day(at("03-13 10:00"), [1, 2]).tolist()
    with pytest.raises(CalendarError):
        clock.end_of_working_day(at("03-13 10:00"), 0)
    with pytest.raises(HorizonError):
        WorkClock(CLOSED).end_of_working_day(at("03-13 10:00"), 1)


def test_intervals_are_cut_to_what_was_asked() -> None:
    """Half-open, sorted, in epoch seconds."""
    found = WorkClock(OFFICE).intervals(at("03-10 17:00"), at("03-11 10:00"))

    assert [[at("03-10 17:00"), at("03-10 18:00")], [at("03-11 09:00"), at("03-11 10:00")]] == found.tolist()


def test_only_the_zone_of_the_schedule_matters() -> None:
    """A Moscow schedule knows nothing of Berlin's summer time: the same nine hours on both sides of it."""
    clock = WorkClock(OFFICE)
    friday, monday = datetime(2025, 3, 28, 5, tzinfo=UTC), datetime(2025, 3, 31, 5, tzinfo=UTC)

    assert (
        9 * HOUR
        == clock.elapsed(friday, friday + timedelta(days=1))
        == clock.elapsed(monday, monday + timedelta(days=1))
    )
