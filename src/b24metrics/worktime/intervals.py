"""Sets of instants as sorted, disjoint, half-open intervals; all operations on whole arrays.

Laws: ``starts[i] < ends[i] < starts[i + 1]``; epoch seconds, int64; no Python loop over intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

#: Seconds of a day on the wall, and of a UTC day.
DAY = 86_400

#: Stands for "for ever" on either side; far enough from the edge of int64 that sums do not wrap.
FAR = 1 << 60


class Intervals(NamedTuple):
    """Starts and ends, epoch seconds, each of shape (n,)."""

    starts: IntArray
    ends: IntArray


def _ints(values: list[int]) -> IntArray:
    return np.array(values, dtype=np.int64)


EMPTY = Intervals(_ints([]), _ints([]))
EVER = Intervals(_ints([-FAR]), _ints([FAR]))


def between(start: int, end: int) -> Intervals:
    """The one interval ``[start, end)``; nothing if it is empty or turned round."""
    return Intervals(_ints([start]), _ints([end])) if start < end else EMPTY


def merge(starts: IntArray, ends: IntArray) -> Intervals:
    """Union of any half-open intervals, in any order; overlapping and touching ones become one, empty ones vanish."""
    real = starts < ends
    starts, ends = starts[real], ends[real]
    if starts.size == 0:
        return EMPTY
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    reached = np.maximum.accumulate(ends)
    first = np.concatenate(([True], starts[1:] > reached[:-1]))
    last = np.concatenate((first[1:], [True]))
    return Intervals(starts[first], reached[last])


def union(*parts: Intervals) -> Intervals:
    """Union of several sets."""
    return merge(np.concatenate([part.starts for part in parts]), np.concatenate([part.ends for part in parts]))


def complement(a: Intervals) -> Intervals:
    """Everything that is not in ``a``, from -FAR to FAR."""
    starts = np.concatenate((_ints([-FAR]), a.ends))
    ends = np.concatenate((a.starts, _ints([FAR])))
    real = starts < ends  # an interval that is itself open-ended leaves nothing on that side
    return Intervals(starts[real], ends[real])


def intersect(a: Intervals, b: Intervals) -> Intervals:
    """What lies in both."""
    first = np.searchsorted(b.ends, a.starts, side="right")
    counts = np.maximum(np.searchsorted(b.starts, a.ends, side="left") - first, 0)
    mine = np.repeat(np.arange(a.starts.size), counts)
    # position within the run of partners of each interval of `a`
    theirs = np.arange(mine.size) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    return Intervals(np.maximum(a.starts[mine], b.starts[theirs]), np.minimum(a.ends[mine], b.ends[theirs]))


def subtract(a: Intervals, b: Intervals) -> Intervals:
    """What lies in ``a`` and not in ``b``."""
    return intersect(a, complement(b)) if b.starts.size else a


def contains(a: Intervals, at: IntArray) -> BoolArray:
    """Whether each instant lies in ``a``; the end does not."""
    if a.starts.size == 0:
        return np.zeros(at.shape, dtype=np.bool_)
    i = np.searchsorted(a.starts, at, side="right") - 1
    return np.asarray((i >= 0) & (at < a.ends[np.maximum(i, 0)]), dtype=np.bool_)


#: More intervals than this on one day: look them up by halving instead of step by step.
_FEW = 6


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Intervals prepared for counting.

    Attributes:
        intervals: the set. sums: seconds of it before each interval and, last, in all; shape (n + 1,).
        starts, ends: those of the intervals, and FAR as a last one that is never reached.
        first_day: UTC day (since 1970) of the first interval. slots: for each day from then on, the first interval that
            ends after the day's beginning. steps: most intervals that end within one day.
    """

    intervals: Intervals
    sums: IntArray
    starts: IntArray
    ends: IntArray
    first_day: int
    slots: IntArray
    steps: int

    @classmethod
    def of(cls, a: Intervals) -> Tally:
        first_day, last_day = (int(a.starts[0] // DAY), int(a.ends[-1] // DAY)) if a.starts.size else (0, 0)
        slots = np.searchsorted(a.ends, np.arange(first_day, last_day + 3) * DAY, side="right")
        far = _ints([FAR])
        return cls(
            intervals=a,
            sums=np.concatenate((_ints([0]), np.cumsum(a.ends - a.starts))),
            starts=np.concatenate((a.starts, far)),
            ends=np.concatenate((a.ends, far)),
            first_day=first_day,
            slots=slots,
            steps=int(np.diff(slots).max()),
        )

    def next(self, at: IntArray) -> IntArray:
        """Position of the first interval that ends after each instant; n where there is none.

        Starting from the day's slot beats halving by four to six: the day is a division, and few intervals share one.
        """
        if self.steps > _FEW:
            return np.searchsorted(self.ends, at, side="right")
        i = self.slots[np.clip(at // DAY - self.first_day, 0, self.slots.size - 1)]
        for _ in range(self.steps):
            i = i + (self.ends[i] <= at)
        return i

    def before(self, at: IntArray) -> IntArray:
        """Seconds of the set before each instant: ``W`` with the set's own beginning as origin.

        Source: working-time semantics §3.
        """
        i = self.next(at)
        return np.asarray(self.sums[i] + np.maximum(at - self.starts[i], 0), dtype=np.int64)

    def holds(self, at: IntArray) -> BoolArray:
        """Whether each instant lies in the set; an end does not."""
        return np.asarray(self.starts[self.next(at)] <= at, dtype=np.bool_)

    def reaching(self, total: IntArray) -> IntArray:
        """First instant before which each (positive) total has been counted; FAR where the set is too small."""
        # "left" keeps a closing bell on its own day. Totals beyond the last sum land on the interval that is never reached.
        i = np.searchsorted(self.sums, total, side="left") - 1
        return np.where(total > self.sums[-1], FAR, self.starts[i] + total - self.sums[i])

    def leaving(self, total: IntArray) -> IntArray:
        """Last instant before which each total, not negative, has been counted; -FAR where the total is negative.

        The mirror of ``reaching``: on the way back, an opening bell stays on its own day.
        """
        i = np.searchsorted(self.sums, total, side="right") - 1
        return np.where((total < 0) | (i < 0), -FAR, self.starts[i] + total - self.sums[i])
