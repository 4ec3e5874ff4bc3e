"""Working time for SQL: a table of days, and the text that computes ``W(t)`` with it.

Laws: plain SQL that DuckDB, PostgreSQL and Spark read alike: one equality join on (calendar, UTC day) with a range check,
one expression; no ASOF join, no correlated subquery, no macro. An instant outside the table's days gives NULL, never a
wrong number. Agrees with WorkClock to the second (tested). Source: design §5, working-time semantics §3.

The table has one row per (calendar, UTC day), and one more for every further working interval that starts on that day:

============== ================================================================================================
calendar_id    whatever the caller numbers calendars with
day            days since 1970-01-01, UTC
from_at        the row answers for instants in [from_at, until_at); the rows of a day cover it without overlap
until_at
opens_at       the one working interval of the row; empty (opens_at = closes_at) on a day without work
closes_at
worked_before  working seconds from the beginning of the table to opens_at
============== ================================================================================================

All columns are BIGINT; instants are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np

from b24metrics.worktime.intervals import DAY, IntArray
from b24metrics.worktime.workclock import WorkClock

#: Columns in table order, with types for CREATE TABLE.
WORK_DAYS_COLUMNS: Mapping[str, str] = dict.fromkeys(
    ("calendar_id", "day", "from_at", "until_at", "opens_at", "closes_at", "worked_before"), "BIGINT"
)

_EPOCH = date(1970, 1, 1).toordinal()


def work_days(clocks: Mapping[int, WorkClock], first: date, last: date) -> dict[str, IntArray]:
    """Rows of the table for UTC days from first to last, both included.

    Returns:
        Column name → int64 array, all of one length, sorted by calendar and time: ready for ``pyarrow.table``.
    """
    first_day, last_day = first.toordinal() - _EPOCH, last.toordinal() - _EPOCH
    parts = [_rows(number, clock, first_day, last_day) for number, clock in sorted(clocks.items())]
    none = np.zeros(0, dtype=np.int64)
    return {name: np.concatenate([none, *(part[name] for part in parts)]) for name in WORK_DAYS_COLUMNS}


def _rows(number: int, clock: WorkClock, first_day: int, last_day: int) -> dict[str, IntArray]:
    worked = clock.intervals(first_day * DAY, (last_day + 1) * DAY)
    # Cut intervals at UTC midnights ...
    starts, ends = worked[:, 0], worked[:, 1]
    pieces = (ends - 1) // DAY - starts // DAY + 1
    of = np.repeat(np.arange(starts.size), pieces)
    day = starts[of] // DAY + np.arange(of.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    opens, closes = np.maximum(starts[of], day * DAY), np.minimum(ends[of], (day + 1) * DAY)
    # ... and give days without any an empty one at their beginning.
    idle = np.setdiff1d(np.arange(first_day, last_day + 1, dtype=np.int64), day)
    day = np.concatenate((day, idle))
    opens, closes = np.concatenate((opens, idle * DAY)), np.concatenate((closes, idle * DAY))
    order = np.lexsort((opens, day))
    day, opens, closes = day[order], opens[order], closes[order]
    first_of_day = np.concatenate(([True], day[1:] != day[:-1]))
    last_of_day = np.concatenate((first_of_day[1:], [True]))
    return {
        "calendar_id": np.full(day.size, number, dtype=np.int64),
        "day": day,
        "from_at": np.where(first_of_day, day * DAY, opens),
        "until_at": np.where(last_of_day, (day + 1) * DAY, np.append(opens[1:], 0)),
        "opens_at": opens,
        "closes_at": closes,
        "worked_before": np.cumsum(closes - opens) - (closes - opens),
    }


def join_sql(calendar: str, at: str, alias: str, table: str = "work_days") -> str:
    """A LEFT JOIN that finds the row of one instant.

    Args:
        calendar: SQL expression of the calendar's number.
        at: SQL expression of a timestamp with time zone; fractions of a second are dropped.
        alias: name for the joined row, one per instant of a query.
        table: where the rows of ``work_days`` are.
    """
    return (
        f"LEFT JOIN {table} AS {alias} ON {alias}.calendar_id = {calendar} AND {alias}.day = {_day(at)} "
        f"AND {alias}.from_at <= {_seconds(at)} AND {_seconds(at)} < {alias}.until_at"
    )


def worked_sql(at: str, alias: str) -> str:
    """``W`` at the instant that ``alias`` was joined for: BIGINT; NULL outside of the table's days."""
    return f"({alias}.worked_before + GREATEST(0, LEAST({_seconds(at)}, {alias}.closes_at) - {alias}.opens_at))"


def _seconds(at: str) -> str:
    return f"CAST(FLOOR(EXTRACT(EPOCH FROM {at})) AS BIGINT)"


def _day(at: str) -> str:
    return f"CAST(FLOOR(EXTRACT(EPOCH FROM {at}) / {DAY}) AS BIGINT)"
