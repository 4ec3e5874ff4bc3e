"""Many clocks on one axis, so that rows of many people are counted in one pass.

Laws: each clock gets a stretch of its own, as long as the compiled years, one after another; instants are moved into the
stretch of their clock. Differences inside a stretch are that clock's; nothing else means anything.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from b24metrics.worktime.compiled import Years
from b24metrics.worktime.intervals import DAY, BoolArray, IntArray, Intervals, Tally
from b24metrics.worktime.workclock import WorkClock


class Stack:
    """Clocks compiled together for some years.

    Args:
        clocks: each once.
        years: instants outside of them must not be asked about.
    """

    def __init__(self, clocks: Iterable[WorkClock], years: Years) -> None:
        self.position = {clock: number for number, clock in enumerate(clocks)}
        self.years = years
        # A day more, so that the end of the last year still belongs to its own clock.
        self._stretch = years.end - years.begin + DAY
        parts = [clock.intervals(years.begin, years.end) + self._offset(n) for clock, n in self.position.items()]
        every = np.concatenate([np.zeros((0, 2), dtype=np.int64), *parts])
        self._tally = Tally.of(Intervals(np.ascontiguousarray(every[:, 0]), np.ascontiguousarray(every[:, 1])))

    def _offset(self, number: int) -> int:
        return number * self._stretch - self.years.begin

    def offsets(self, clocks: Iterable[WorkClock]) -> IntArray:
        """What moves an instant into the stretch of each clock."""
        return np.array([self._offset(self.position[clock]) for clock in clocks], dtype=np.int64)

    def covers(self, clocks: Iterable[WorkClock], years: Years) -> bool:
        """Whether all of these clocks and years are in it."""
        inside = self.years.first <= years.first and years.last <= self.years.last
        return inside and all(clock in self.position for clock in clocks)

    def elapsed(self, offsets: IntArray, starts: IntArray, ends: IntArray) -> IntArray:
        """Working seconds between paired instants; ``offsets``: of the clock of each pair."""
        return self._tally.before(ends + offsets) - self._tally.before(starts + offsets)

    def is_working(self, offsets: IntArray, at: IntArray) -> BoolArray:
        """Whether each instant is working time of its clock."""
        return self._tally.holds(at + offsets)
