"""Windows: calendar arithmetic on the wall, half-open, comparable previous ones, segments."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24metrics.errors import ConfigError
from b24metrics.kpi import WindowId
from b24metrics.kpi.windows import Segments, Window, WindowRules
from b24metrics.worktime import WorkCalendar, WorkClock

MOSCOW = WindowRules("Europe/Moscow")
OFFICE = WorkClock(WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["09:00-18:00"]}))
DATED = [window_id for window_id in WindowId if window_id is not WindowId.NOW]


def bounds(rules: WindowRules, window: Window) -> tuple[str, str]:
    """Start and end as the wall shows them."""
    return tuple(f"{rules.wall(edge):%Y-%m-%d %H:%M}" for edge in (window.start, window.end))


def wall(text: str, zone: str = "Europe/Moscow", *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


@pytest.mark.parametrize(
    ("window_id", "start", "end"),
    [
        ("now", "2025-03-14 12:00", "2025-03-14 12:00"),
        ("today", "2025-03-14 00:00", "2025-03-14 12:00"),
        ("yesterday", "2025-03-13 00:00", "2025-03-14 00:00"),
        ("7d", "2025-03-07 12:00", "2025-03-14 12:00"),
        ("30d", "2025-02-12 12:00", "2025-03-14 12:00"),
        ("wtd", "2025-03-10 00:00", "2025-03-14 12:00"),
        ("mtd", "2025-03-01 00:00", "2025-03-14 12:00"),
        ("qtd", "2025-01-01 00:00", "2025-03-14 12:00"),
        ("prev_month", "2025-02-01 00:00", "2025-03-01 00:00"),
        ("t90", "2024-12-14 12:00", "2025-03-14 12:00"),
        ("t180", "2024-09-15 12:00", "2025-03-14 12:00"),
        ("t365", "2024-03-14 12:00", "2025-03-14 12:00"),
    ],
)
def test_windows_of_a_friday_noon(window_id: str, start: str, end: str) -> None:
    """Catalogue §2.4, every window."""
    assert (start, end) == bounds(MOSCOW, MOSCOW.window(WindowId(window_id), wall("2025-03-14 12:00")))


@pytest.mark.parametrize(
    ("window_id", "now", "start", "end"),
    [
        ("today", "2025-03-14 12:00", "2025-03-07 00:00", "2025-03-07 12:00"),  # the same weekday
        ("yesterday", "2025-03-14 12:00", "2025-03-06 00:00", "2025-03-07 00:00"),
        ("7d", "2025-03-14 12:00", "2025-02-28 12:00", "2025-03-07 12:00"),  # adjacent
        ("30d", "2025-03-14 12:00", "2025-01-13 12:00", "2025-02-12 12:00"),
        ("wtd", "2025-03-14 12:00", "2025-03-03 00:00", "2025-03-07 12:00"),
        ("mtd", "2025-03-14 12:00", "2025-02-01 00:00", "2025-02-14 12:00"),
        ("qtd", "2025-03-14 12:00", "2024-10-01 00:00", "2024-12-12 12:00"),
        ("prev_month", "2025-03-14 12:00", "2025-01-01 00:00", "2025-02-01 00:00"),
        # never past the end of the previous period
        ("mtd", "2025-03-31 12:00", "2025-02-01 00:00", "2025-03-01 00:00"),
        ("mtd", "2024-03-29 23:59", "2024-02-01 00:00", "2024-02-29 23:59"),  # a leap year's February has that day
        ("mtd", "2025-03-29 00:00", "2025-02-01 00:00", "2025-03-01 00:00"),
        ("qtd", "2025-06-30 18:00", "2025-01-01 00:00", "2025-04-01 00:00"),  # 91 days against 90
        ("prev_month", "2024-03-10 00:00", "2024-01-01 00:00", "2024-02-01 00:00"),
        ("mtd", "2025-01-31 10:00", "2024-12-01 00:00", "2024-12-31 10:00"),
    ],
)
def test_the_comparable_previous_window(window_id: str, now: str, start: str, end: str) -> None:
    """Like for like: the same elapsed wall time of the period before, never past its end."""
    assert (start, end) == bounds(MOSCOW, MOSCOW.previous(WindowId(window_id), wall(now)))


def test_windows_still_earlier() -> None:
    """Several steps back: the base of growth against the mean of several periods."""
    now = wall("2025-03-31 12:00")

    def back(window_id: str) -> list[tuple[str, str]]:
        return [bounds(MOSCOW, MOSCOW.previous(WindowId(window_id), now, steps)) for steps in (1, 2, 3)]

    assert [
        ("2025-02-01 00:00", "2025-03-01 00:00"),
        ("2025-01-01 00:00", "2025-01-31 12:00"),
        ("2024-12-01 00:00", "2024-12-31 12:00"),
    ] == back("mtd")
    assert [
        ("2025-03-17 12:00", "2025-03-24 12:00"),
        ("2025-03-10 12:00", "2025-03-17 12:00"),
        ("2025-03-03 12:00", "2025-03-10 12:00"),
    ] == back("7d")


def test_the_present_has_no_previous() -> None:
    """A state is not an interval."""
    with pytest.raises(ValueError, match="no previous window"):
        MOSCOW.previous(WindowId.NOW, wall("2025-03-14 12:00"))


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2025-03-14 12:00", "2025-02-13 17:00"),  # catalogue: 84/189 of March, 80 h of February's 180 h
        ("2025-03-01 15:00", "2025-02-01 00:00"),  # a Saturday: nothing has passed
        ("2025-03-31 18:00", "2025-02-28 18:00"),  # everything has
    ],
)
def test_working_alignment_compares_equal_shares_of_work(now: str, end: str) -> None:
    """``align = "working"``: clip where the same fraction of working time has passed."""
    rules = WindowRules("Europe/Moscow", align="working", clock=OFFICE)

    assert ("2025-02-01 00:00", end) == bounds(rules, rules.previous(WindowId.MTD, wall(now)))


def test_working_alignment_falls_back_where_nobody_works() -> None:
    """A week without any working time is compared by the wall."""
    weekend = WorkClock(WorkCalendar.simple("Europe/Moscow", {"mon-fri": ["09:00-18:00"]}, days={
        date(2025, 3, day): [] for day in range(10, 17)
    }))  # fmt: skip
    rules = WindowRules("Europe/Moscow", align="working", clock=weekend)

    assert ("2025-03-03 00:00", "2025-03-07 12:00") == bounds(
        rules, rules.previous(WindowId.WTD, wall("2025-03-14 12:00"))
    )


@pytest.mark.parametrize(
    ("first_weekday", "now", "start"),
    [(1, "2025-03-16 08:00", "2025-03-10"), (7, "2025-03-16 08:00", "2025-03-16"), (7, "2025-03-15 08:00", "2025-03-09"),
     (6, "2025-03-14 08:00", "2025-03-08")],
)  # fmt: skip
def test_the_week_starts_where_it_is_told(first_weekday: int, now: str, start: str) -> None:
    """First weekday: 1 Monday … 7 Sunday."""
    rules = WindowRules("Europe/Moscow", first_weekday=first_weekday)

    assert f"{start} 00:00" == bounds(rules, rules.window(WindowId.WTD, wall(now)))[0]


@pytest.mark.parametrize(
    ("fiscal_month", "start", "start_before"),
    [(1, "2025-01-01", "2024-10-01"), (2, "2025-02-01", "2024-11-01"), (3, "2025-03-01", "2024-12-01"),
     (4, "2025-01-01", "2024-10-01"), (12, "2025-03-01", "2024-12-01")],
)  # fmt: skip
def test_quarters_of_a_fiscal_year(fiscal_month: int, start: str, start_before: str) -> None:
    """Quarters count from the fiscal year's first month."""
    rules, now = WindowRules("Europe/Moscow", fiscal_month=fiscal_month), wall("2025-03-14 12:00")

    assert (f"{start} 00:00", f"{start_before} 00:00") == (
        bounds(rules, rules.window(WindowId.QTD, now))[0],
        bounds(rules, rules.previous(WindowId.QTD, now))[0],
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"first_weekday": 0}, "first_weekday"),
        ({"fiscal_month": 13}, "fiscal_month"),
        ({"align": "working"}, "working calendar"),
    ],
)
def test_rules_that_cannot_be_meant(wrong: dict[str, object], said: str) -> None:
    """Refused at once, with the setting's name."""
    with pytest.raises(ConfigError, match=said):
        WindowRules("Europe/Moscow", **wrong)


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-10-26", 25), ("2025-07-01", 24)])
def test_a_day_may_have_23_or_25_hours(day: str, hours: int) -> None:
    """Yesterday in Berlin over both changes of the clock."""
    rules = WindowRules("Europe/Berlin")
    now = wall(day, "Europe/Berlin") + timedelta(days=1, hours=12)

    yesterday = rules.window(WindowId.YESTERDAY, now)

    assert timedelta(hours=hours) == yesterday.end - yesterday.start


def test_a_midnight_that_does_not_exist_is_the_jump() -> None:
    """Cairo skips 00:00 on 25 April 2025: the day starts at 01:00 summer time."""
    rules = WindowRules("Africa/Cairo")

    today = rules.window(WindowId.TODAY, wall("2025-04-25 12:00", "Africa/Cairo"))

    assert datetime(2025, 4, 24, 22, tzinfo=UTC) == today.start
    assert "2025-04-25 01:00" == bounds(rules, today)[0]


def test_a_midnight_that_comes_twice_is_the_first() -> None:
    """Havana falls back from 01:00 to 00:00 on 2 November 2025: the day starts at the first 00:00."""
    rules = WindowRules("America/Havana")

    assert datetime(2025, 11, 2, 4, tzinfo=UTC) == rules.midnight(date(2025, 11, 2))


def test_rolling_windows_keep_the_wall_clock_over_a_change() -> None:
    """Seven days before 12:00 summer time is 12:00 winter time: 167 hours."""
    rules = WindowRules("Europe/Berlin")

    week = rules.window(WindowId.D7, wall("2025-04-02 12:00", "Europe/Berlin"))

    assert timedelta(hours=167) == week.end - week.start


def test_now_in_the_second_pass_of_a_repeated_hour() -> None:
    """The end is the instant itself, not its first look-alike."""
    rules = WindowRules("Europe/Berlin")
    now = wall("2025-10-26 02:30", "Europe/Berlin", fold=1).astimezone(UTC)

    assert now == rules.window(WindowId.TODAY, now).end
    assert timedelta(hours=3, minutes=30) == now - rules.window(WindowId.TODAY, now).start


def test_fractions_of_a_second_are_kept() -> None:
    """A rolling window starts at the same fraction."""
    now = wall("2025-03-14 12:00").replace(microsecond=250_000)

    assert now - timedelta(days=7) == MOSCOW.window(WindowId.D7, now).start


ZONES = ("Europe/Moscow", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo",
         "America/Havana", "Pacific/Apia", "Asia/Almaty")  # fmt: skip


@given(
    zone=st.sampled_from(ZONES),
    now=st.datetimes(datetime(2021, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC)),
    first_weekday=st.integers(1, 7),
    fiscal_month=st.integers(1, 12),
)
def test_windows_hang_together(zone: str, now: datetime, first_weekday: int, fiscal_month: int) -> None:
    """In any zone at any instant: ordered, ending now or before, inside the period, previous before current."""
    rules = WindowRules(zone, first_weekday, fiscal_month)
    for window_id in DATED:
        current, previous = rules.window(window_id, now), rules.previous(window_id, now)
        assert current.start <= current.end <= now
        assert current.end <= current.period_end
        assert previous.start <= previous.end <= current.start or window_id in {WindowId.TODAY, WindowId.YESTERDAY}
        assert previous.end <= current.end
        assert previous.end <= previous.period_end
    today, yesterday = rules.window(WindowId.TODAY, now), rules.window(WindowId.YESTERDAY, now)
    assert yesterday.end == today.start
    assert rules.window(WindowId.PREV_MONTH, now).end == rules.window(WindowId.MTD, now).start
    assert rules.window(WindowId.QTD, now).start <= rules.window(WindowId.MTD, now).start <= today.start
    assert rules.wall(today.start).date() == rules.wall(now).date() == today.first_on


# ---------------------------------------------------------------- segments


@given(
    edges=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8),
    moment=st.integers(-2, 52),
)
def test_a_segment_belongs_to_exactly_its_windows(edges: list[tuple[int, int]], moment: int) -> None:
    """A row in a segment lies in precisely the windows that the segment is a member of."""
    origin = datetime(2025, 1, 1, tzinfo=UTC)

    def instant(hours: int) -> datetime:
        return origin + timedelta(hours=hours)

    windows = [
        Window(WindowId.MTD, instant(min(a, b)), instant(max(a, b)), instant(max(a, b)), date.min, date.min)
        for a, b in edges
    ]
    found = Segments.of(windows)
    inside = {i for i, window in enumerate(windows) if window.start <= instant(moment) < window.end}
    segment = [
        i
        for i, (start, end) in enumerate(zip(found.bounds, found.bounds[1:], strict=False))
        if start <= instant(moment) < end
    ]

    assert inside == {window for window, member in found.members if [member] == segment}
