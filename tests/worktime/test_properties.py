"""What must hold for every calendar, and a witness that counts minutes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from b24metrics.errors import HorizonError
from b24metrics.worktime import Absence, WorkClock
from b24metrics.worktime.zones import zone_table
from tests.worktime.witness import MEMORY, Rules, remembered, wall_minutes, working_minutes
from tests.worktime.worlds import AROUND, ODD_DAYS, as_calendar, worlds

SPAN = (2 * AROUND + 1) * 86_400
offsets = st.integers(0, SPAN)

thorough = settings(deadline=None, max_examples=150)
unhurried = settings(deadline=None, max_examples=60)


@thorough
@given(worlds())
def test_every_minute_agrees_with_a_clock_that_remembers(world: tuple[Rules, int]) -> None:
    """A minute is working time iff the latest wall time shown so far lies in a shift and in no absence."""
    rules, begin = world
    minutes = SPAN // 60
    clock = WorkClock(as_calendar(rules))

    expected = working_minutes(rules, begin, minutes)
    instants = begin + 60 * np.arange(minutes + 1)

    assert expected.tolist() == clock.is_working(instants[:-1]).tolist()
    assert (60 * np.cumsum(expected)).tolist() == clock.elapsed(begin, instants[1:]).tolist()


@unhurried
@given(worlds(), offsets, offsets, offsets)
def test_working_time_adds_up(world: tuple[Rules, int], a: int, b: int, c: int) -> None:
    """Pieces sum to the whole, direction is the sign, nothing is counted twice."""
    rules, begin = world
    clock = WorkClock(as_calendar(rules))
    a, b, c = begin + a, begin + b, begin + c

    assert clock.elapsed(a, c) == clock.elapsed(a, b) + clock.elapsed(b, c)
    assert clock.elapsed(a, b) == -clock.elapsed(b, a)
    assert 0 <= clock.elapsed(min(a, b), max(a, b)) <= abs(b - a)
    assert clock.worked(b) - clock.worked(a) == clock.elapsed(a, b)


@unhurried
@given(worlds(), st.lists(offsets, min_size=2, max_size=50))
def test_worked_time_never_falls_and_never_outruns_the_clock(world: tuple[Rules, int], at: list[int]) -> None:
    """W is non-decreasing and 1-Lipschitz."""
    rules, begin = world
    instants = begin + np.sort(np.array(at))

    steps = np.diff(WorkClock(as_calendar(rules)).worked(instants))

    assert (steps >= 0).all()
    assert (steps <= np.diff(instants)).all()


@unhurried
@given(worlds(), offsets, offsets, st.integers(1990, 2060))
def test_the_origin_cancels_out(world: tuple[Rules, int], a: int, b: int, year: int) -> None:
    """What a clock was asked before, and which years it has compiled, changes no difference."""
    rules, begin = world
    fresh, travelled = WorkClock(as_calendar(rules)), WorkClock(as_calendar(rules))
    far = int(datetime(year, 7, 1).timestamp())
    before = travelled.worked(far)

    assert fresh.elapsed(begin + a, begin + b) == travelled.elapsed(begin + a, begin + b)
    assert before == travelled.worked(far)


@unhurried
@given(worlds(), offsets, st.integers(0, 200_000))
def test_a_deadline_is_the_first_instant_with_so_much_work_done(world: tuple[Rules, int], a: int, seconds: int) -> None:
    """elapsed(t, deadline(t, n)) = n, one second earlier it is less, and no work at all is done at once."""
    rules, begin = world
    clock = WorkClock(as_calendar(rules))
    start = begin + a
    try:
        due = clock.deadline(start, seconds)
    except HorizonError:  # nobody works in the next five years, or not long enough
        assert clock.elapsed(start, start + 5 * 366 * 86_400) < seconds
        return

    assert seconds == clock.elapsed(start, due)
    assert due == start if seconds == 0 else clock.elapsed(start, due - 1) == seconds - 1


@unhurried
@given(worlds(), offsets, st.integers(0, 200_000))
def test_looking_back_finds_the_last_instant_with_so_much_work_to_come(
    world: tuple[Rules, int], a: int, seconds: int
) -> None:
    """elapsed(lookback(t, n), t) = n, and one second later it is less."""
    rules, begin = world
    clock = WorkClock(as_calendar(rules))
    end = begin + a
    try:
        start = clock.lookback(end, seconds)
    except HorizonError:
        assert clock.elapsed(end - 5 * 366 * 86_400, end) < seconds
        return

    assert seconds == clock.elapsed(start, end)
    assert start == end if seconds == 0 else clock.elapsed(start + 1, end) == seconds - 1


@unhurried
@given(worlds(), offsets, offsets, offsets, st.integers(1, 300_000))
def test_an_absence_never_adds_work(world: tuple[Rules, int], a: int, b: int, gone: int, length: int) -> None:
    """Being away longer cannot make anybody work more."""
    rules, begin = world
    calendar = as_calendar(rules)
    start = datetime.fromtimestamp(begin + gone, UTC).replace(tzinfo=None)
    more = (*calendar.absences, Absence(start, start + timedelta(seconds=length)))
    low, high = begin + min(a, b), begin + max(a, b)

    away = WorkClock(calendar.for_person(calendar.personal_days, more))

    assert away.elapsed(low, high) <= WorkClock(calendar).elapsed(low, high)


@unhurried
@given(worlds(), offsets)
def test_bells_frame_the_work(world: tuple[Rules, int], a: int) -> None:
    """At an opening work begins, at a closing it has ended, between now and the opening nobody works."""
    rules, begin = world
    clock, at = WorkClock(as_calendar(rules)), begin + a
    try:
        opening, closing = clock.next_opening(at), clock.next_closing(at)
    except HorizonError:
        return

    assert at <= opening < closing
    assert clock.is_working(opening)
    assert not clock.is_working(closing)
    assert 0 == clock.elapsed(at, opening)
    assert closing - opening == clock.elapsed(opening, closing) == clock.elapsed(at, closing)


@unhurried
@given(worlds(), offsets, offsets)
def test_working_days_are_counted_by_their_dates(world: tuple[Rules, int], a: int, b: int) -> None:
    """As many as there are dates after the first and up to the last with something left of their shifts."""
    rules, begin = world
    clock = WorkClock(as_calendar(rules))
    low, high = begin + min(a, b), begin + max(a, b)
    after, until = clock.date_of(low), clock.date_of(high)

    between = clock.working_dates(after + timedelta(days=1), until)

    assert len(between) == clock.working_days_between(low, high) == -clock.working_days_between(high, low)
    assert all(after < day <= until for day in between)


@unhurried
@given(st.sampled_from(ODD_DAYS), st.integers(-AROUND * 1440, AROUND * 1440))
def test_a_wall_time_is_the_first_instant_that_shows_it_or_later(odd: tuple[str, date], minute: int) -> None:
    """Also for wall times that are shown twice or never."""
    tz, day = odd
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    begin = int((datetime(day.year, day.month, day.day) - datetime(1970, 1, 1)).total_seconds()) - 6 * 86_400
    shown = remembered(tz, begin, 12 * 1440)

    expected = begin + 60 * int(np.argmax(shown >= wall_minutes(wall)))

    table = zone_table(tz, begin - MEMORY * 60, begin + 12 * 86_400)
    assert [expected] == table.instants(np.array([wall_minutes(wall) * 60])).tolist()
