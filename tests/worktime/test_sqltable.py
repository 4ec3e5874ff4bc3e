"""Working time in SQL agrees with the clock, to the second."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings

from b24metrics.worktime import (
    WORK_DAYS_COLUMNS,
    Absence,
    PublicHolidays,
    WorkCalendar,
    WorkClock,
    join_sql,
    work_days,
    worked_sql,
)
from tests.worktime.witness import Rules
from tests.worktime.worlds import AROUND, as_calendar, worlds

QUERY = f"""
SELECT q.id, {worked_sql("q.started_at", "s")} AS worked_from, {worked_sql("q.ended_at", "e")} AS worked_to
FROM questions AS q
{join_sql("q.calendar_id", "q.started_at", "s")}
{join_sql("q.calendar_id", "q.ended_at", "e")}
ORDER BY q.id
"""

FIRST, LAST = date(2024, 1, 1), date(2026, 12, 31)


def a_company() -> dict[int, WorkClock]:
    office = WorkCalendar.simple(
        "Europe/Moscow", {"mon-fri": ["09:00-13:00", "14:00-18:00"]}, holidays=PublicHolidays("RU")
    )
    return {
        0: WorkClock(office),
        101: WorkClock(office.for_person(absences=(Absence.days(date(2025, 7, 1), date(2025, 7, 14)),))),
        102: WorkClock(WorkCalendar.simple("Australia/Lord_Howe", {"mon-sun": ["22:00-06:00"]})),
        103: WorkClock(WorkCalendar.simple("UTC", {"mon-sun": ["00:00-24:00"]})),
        104: WorkClock(WorkCalendar.simple("UTC", {})),
    }


def ask(
    clocks: dict[int, WorkClock], ids: np.ndarray, starts: np.ndarray, ends: np.ndarray, first: date, last: date
) -> pa.Table:
    questions = pa.table(
        {
            "id": np.arange(ids.size),
            "calendar_id": ids,
            # half a second more: fractions are dropped
            "started_at": pa.array(starts * 1_000_000 + 500_000, pa.timestamp("us", "UTC")),
            "ended_at": pa.array(ends * 1_000_000, pa.timestamp("us", "UTC")),
        }
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("questions", questions)
        connection.register("work_days", pa.table(work_days(clocks, first, last)))
        return connection.execute(QUERY).to_arrow_table()


def test_sql_counts_as_the_clock_does() -> None:
    """Random instants of three years, five calendars."""
    clocks, generator = a_company(), np.random.default_rng(7)
    edges = [
        int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) for day in (FIRST, LAST + timedelta(days=1))
    ]
    ids = generator.choice(list(clocks), 20_000)
    starts, ends = generator.integers(*edges, (2, 20_000))
    starts[:3], ends[:3] = (edges[0], edges[0], edges[1] - 1), (edges[1] - 1, edges[0], edges[1] - 1)

    found = ask(clocks, ids, starts, ends, FIRST, LAST)

    expected = np.zeros(ids.size, dtype=np.int64)
    for number, clock in clocks.items():
        expected[ids == number] = clock.elapsed(starts[ids == number], ends[ids == number])
    assert ids.size == found.num_rows
    assert expected.tolist() == (found["worked_to"].to_numpy() - found["worked_from"].to_numpy()).tolist()


@settings(deadline=None, max_examples=25)
@given(worlds())
def test_sql_counts_odd_days_as_the_clock_does(world: tuple[Rules, int]) -> None:
    """Every ten minutes around the days on which zones do something odd."""
    rules, begin = world
    first = datetime.fromtimestamp(begin, UTC).date()
    instants = np.arange(begin, begin + 2 * AROUND * 86_400, 600)
    clock = WorkClock(as_calendar(rules))

    found = ask(
        {1: clock},
        np.ones_like(instants),
        np.full_like(instants, begin),
        instants,
        first,
        first + timedelta(days=2 * AROUND),
    )

    assert (
        clock.elapsed(begin, instants).tolist()
        == (found["worked_to"].to_numpy() - found["worked_from"].to_numpy()).tolist()
    )


def test_outside_of_the_table_there_is_no_answer() -> None:
    """NULL, never a wrong number; an unknown calendar likewise."""
    clocks = a_company()
    inside, before, after = (int(datetime(year, 6, 1, tzinfo=UTC).timestamp()) for year in (2025, 2023, 2027))

    found = ask(
        clocks, np.array([0, 0, 0, 7]), np.array([inside, before, after, inside]), np.array([inside] * 4), FIRST, LAST
    )

    assert [False, True, True, True] == [value is None for value in found["worked_from"].to_pylist()]


def test_rows_cover_every_day_without_overlap() -> None:
    """One row per day and further interval: the ranges follow each other from the first midnight to the last."""
    columns = work_days({5: a_company()[0]}, date(2025, 1, 1), date(2025, 12, 31))

    assert list(WORK_DAYS_COLUMNS) == list(columns)
    assert (columns["from_at"][1:] == columns["until_at"][:-1]).all()
    assert 365 == np.unique(columns["day"]).size
    assert 365 + 247 == columns["day"].size  # a lunch break doubles each working day
    assert (columns["from_at"] < columns["until_at"]).all()


def test_no_calendar_gives_an_empty_table() -> None:
    """With all of its columns, so that it can be loaded."""
    assert dict.fromkeys(WORK_DAYS_COLUMNS, 0) == {
        name: column.size for name, column in work_days({}, FIRST, LAST).items()
    }


@pytest.mark.parametrize("dialect", ["postgres", "spark", "trino"])
def test_the_text_is_plain_sql(dialect: str) -> None:
    """It can be carried to other databases, and needs nothing that one of them lacks."""
    (text,) = sqlglot.transpile(QUERY, read="duckdb", write=dialect, unsupported_level=sqlglot.ErrorLevel.RAISE)

    assert "ASOF" not in text.upper()
    assert 2 == text.upper().count("LEFT JOIN")
    assert 2 == text.upper().count("GREATEST")
