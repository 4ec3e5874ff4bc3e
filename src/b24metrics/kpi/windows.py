"""Windows become instants in the reporting zone; each has a comparable previous one; all of them share segments.

Laws: half-open ``[start, end)``; aware UTC; calendar arithmetic is done on the wall and each wall time stands for the
first instant at which the local clock shows it or later (a day may have 23, 24 or 25 hours, midnight may not exist).
Source: catalogue §2.4, working-time semantics §2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, Protocol

import numpy as np

from b24metrics.errors import ConfigError
from b24metrics.kpi.model import WindowId
from b24metrics.worktime.zones import load_zone, zone_table

Alignment = Literal["wall", "working"]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the origin of wall seconds, which have no zone
_SECOND = timedelta(seconds=1)
#: Instants that windows may touch, epoch seconds: the years of working time, and one more before for t365.
#: Instants between which wall time is known.
YEARS = (int(datetime(1969, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()))
_ROLLING = {
    WindowId.D7: 7,
    WindowId.D30: 30,
    WindowId.T90: 90,
    WindowId.T180: 180,
    WindowId.T365: 365,
}
_CLIPPED = {WindowId.WTD, WindowId.MTD, WindowId.QTD}


class Clockwork(Protocol):
    """What windows ask of a compiled calendar (``worktime.WorkClock``); epoch seconds."""

    def elapsed(self, start_at: int, end_at: int) -> int: ...

    def deadline(self, start_at: int, seconds: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Window:
    """One window at one evaluation instant.

    Attributes:
        start, end: half-open, UTC. period_end: end of the whole period that the window is a part of (a month for
            ``mtd``); equals ``end`` where the window is complete. steps: how many comparable windows back; 0 is current.
        first_on, last_on: local dates of the period's first day and of the day after it.
    """

    id: WindowId
    start: datetime
    end: datetime
    period_end: datetime
    first_on: date
    last_on: date
    steps: int = 0

    @property
    def is_state(self) -> bool:
        """The present state: no interval."""
        return self.id is WindowId.NOW


@dataclass(frozen=True, slots=True)
class WindowRules:
    """How windows are made.

    Attributes:
        zone: IANA name of the reporting zone. first_weekday: 1 Monday … 7 Sunday. fiscal_month: the month with which the
            fiscal year starts, 1 … 12. align: "working" clips a previous week, month or quarter where the same fraction
            of its working time has passed; it needs ``clock``, the company's.
    """

    zone: str
    first_weekday: int = 1
    fiscal_month: int = 1
    align: Alignment = "wall"
    clock: Clockwork | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.first_weekday <= 7:
            raise ConfigError(f"first_weekday is {self.first_weekday}: it must be 1 (Monday) … 7 (Sunday)")
        if not 1 <= self.fiscal_month <= 12:
            raise ConfigError(f"fiscal_month is {self.fiscal_month}: it must be 1 … 12")
        if self.align == "working" and self.clock is None:
            raise ConfigError("align = 'working' needs a working calendar of the company")

    # ------------------------------------------------------------ wall time

    def wall(self, at: datetime) -> datetime:
        """What the local clock shows, naive."""
        return at.astimezone(load_zone(self.zone)).replace(tzinfo=None)

    def instant(self, wall: datetime) -> datetime:
        """First instant at which the local clock shows this or later."""
        whole = wall.replace(microsecond=0)
        return self._instants([whole])[0] + (wall - whole)

    def midnight(self, on: date) -> datetime:
        """The first instant of a local date."""
        return self.midnights([on])[0]

    def midnights(self, on: Sequence[date]) -> list[datetime]:
        """The first instants of local dates."""
        return self._instants([datetime(day.year, day.month, day.day) for day in on])  # noqa: DTZ001 - wall time

    def _instants(self, walls: Sequence[datetime]) -> list[datetime]:
        seconds = np.array([(wall - _EPOCH) // _SECOND for wall in walls], dtype=np.int64)
        found = zone_table(self.zone, *YEARS).instants(seconds)
        return [datetime.fromtimestamp(int(at), UTC) for at in found]

    # ------------------------------------------------------------ windows

    def window(self, window_id: WindowId, now: datetime) -> Window:
        """The window as it stands at ``now``."""
        return self._make(window_id, now, 0)

    def previous(self, window_id: WindowId, now: datetime, steps: int = 1) -> Window:
        """The comparable previous window, ``steps`` of them back.

        Raises:
            ValueError: ``now`` has no previous window.
        """
        if window_id is WindowId.NOW:
            raise ValueError("a state has no previous window")
        return self._make(window_id, now, steps)

    def _make(self, window_id: WindowId, now: datetime, steps: int) -> Window:
        wall = self.wall(now)
        today = wall.date()
        match window_id:
            case WindowId.NOW:
                return Window(window_id, now, now, now, today, today)
            case WindowId.TODAY:
                day = today - timedelta(weeks=steps)
                end = self.instant(wall - timedelta(weeks=steps)) if steps else now
                return self._window(window_id, day, day + timedelta(days=1), end, steps)
            case WindowId.YESTERDAY:
                day = today - timedelta(days=1, weeks=steps)
                return self._window(window_id, day, day + timedelta(days=1), None, steps)
            case WindowId.PREV_MONTH:
                first = _months(today.replace(day=1), -1 - steps)
                return self._window(window_id, first, _months(first, 1), None, steps)
            case WindowId.WTD | WindowId.MTD | WindowId.QTD:
                return self._to_date(window_id, wall, now, steps)
            case _:
                span = timedelta(days=_ROLLING[window_id])
                start = self.instant(wall - span * (steps + 1))
                end = self.instant(wall - span * steps) if steps else now
                return Window(window_id, start, end, end, self.wall(start).date(), self.wall(end).date(), steps)

    def _window(self, window_id: WindowId, first: date, last: date, end: datetime | None, steps: int) -> Window:
        period_end = self.midnight(last)
        end = period_end if end is None else min(end, period_end)
        return Window(window_id, self.midnight(first), end, period_end, first, last, steps)

    def _to_date(self, window_id: WindowId, wall: datetime, now: datetime, steps: int) -> Window:
        first, last = self._period(window_id, wall.date(), 0)
        current = self._window(window_id, first, last, now, 0)
        if not steps:
            return current
        first_before, last_before = self._period(window_id, wall.date(), steps)
        if self.align == "working" and (end := self._same_fraction(current, first_before, last_before)) is not None:
            return self._window(window_id, first_before, last_before, end, steps)
        elapsed = wall - datetime(first.year, first.month, first.day)  # noqa: DTZ001 - wall time
        began = datetime(first_before.year, first_before.month, first_before.day)  # noqa: DTZ001 - wall time
        return self._window(window_id, first_before, last_before, self.instant(began + elapsed), steps)

    def _period(self, window_id: WindowId, today: date, steps: int) -> tuple[date, date]:
        """First date of the week, month or quarter, ``steps`` back, and the date after its last."""
        if window_id is WindowId.WTD:
            first = today - timedelta(days=(today.isoweekday() - self.first_weekday) % 7, weeks=steps)
            return first, first + timedelta(weeks=1)
        length = 1 if window_id is WindowId.MTD else 3
        into = (today.month - self.fiscal_month) % length
        first = _months(today.replace(day=1), -into - steps * length)
        return first, _months(first, length)

    def _same_fraction(self, current: Window, first: date, last: date) -> datetime | None:
        """Where the same fraction of working time has passed; None where the current period has no working time."""
        assert self.clock is not None  # checked when the rules were made
        begins, ends = _seconds(current.start), _seconds(current.period_end)
        whole = self.clock.elapsed(begins, ends)
        if whole <= 0:
            return None
        passed = self.clock.elapsed(begins, _seconds(current.end))
        start, end = _seconds(self.midnight(first)), _seconds(self.midnight(last))
        due = self.clock.elapsed(start, end) * passed // whole
        return datetime.fromtimestamp(self.clock.deadline(start, due), UTC)


def _months(first: date, months: int) -> date:
    """The first of the month that lies ``months`` later."""
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return date(year, month + 1, 1)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


# ---------------------------------------------------------------- segments


@dataclass(frozen=True, slots=True)
class Segments:
    """Disjoint stretches between all bounds of several windows: a row lies in one segment and so in all its windows.

    Attributes:
        bounds: ascending instants; segment ``i`` is ``[bounds[i], bounds[i + 1])``.
        members: (index of the window, segment) pairs.
    """

    bounds: tuple[datetime, ...]
    members: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, windows: Sequence[Window]) -> Segments:
        """Segments of the windows that have an interval; empty windows have no member."""
        spans = [(i, window.start, window.end) for i, window in enumerate(windows) if window.start < window.end]
        bounds = tuple(sorted({edge for _, start, end in spans for edge in (start, end)}))
        members = tuple(
            (i, segment) for i, start, end in spans for segment in range(bounds.index(start), bounds.index(end))
        )
        return cls(bounds, members)
