"""How the past of a listing is cut into work: pure arithmetic of ids.

Laws: the ranges of a plan tile [first id, last id] without gap or overlap. The newest is small, so that numbers of the
current month are right within seconds; each older one is twice as large, because every range costs one request that is
not full; the largest keeps what a kill may repeat, and what runs side by side, within bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BATCHFUL = 2500
"""Rows that one full request brings: 50 commands of 50 rows."""
_LARGEST = 100 * BATCHFUL
_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Range:
    """A work item: the records of a feed with ids in (``first_id`` - 1, ``last_id``].

    Attributes:
        done_id: everything up to here is in the mirror. expected: rows, estimated. row_count: rows written so far.
    """

    feed: str
    first_id: int
    last_id: int
    done_id: int
    expected: int
    row_count: int = 0


def left(one: Range) -> int:
    """Rows of a range that are still expected: from the density met so far, before that from the plan."""
    ids, done = one.last_id - one.done_id, one.done_id - one.first_id + 1
    density = one.row_count / done if done else one.expected / (one.last_id - one.first_id + 1)
    return min(ids, max(1, math.ceil(ids * density))) if ids else 0


@dataclass(frozen=True, slots=True)
class Sample:
    """What one page told of the density: ``rows`` records lie in (``after``, ``upto``]."""

    after: int
    upto: int
    rows: int

    @property
    def density(self) -> float:
        """Records per id, at most 1."""
        return min(1.0, self.rows / max(1, self.upto - self.after))


def sample_points(first_id: int, last_id: int) -> list[int]:
    """Ids behind which a page tells the density of its neighbourhood; none where all fits into one request anyway."""
    width = last_id - first_id + 1
    if width <= BATCHFUL:
        return []
    return [first_id - 1 + width * n // _SAMPLES for n in range(_SAMPLES)]


def plan(feed: str, first_id: int, last_id: int, samples: Sequence[Sample]) -> list[Range]:
    """The ranges of a listing, newest first. Without samples every id counts as a record."""
    cells = list(_cells(first_id, last_id, sorted(samples, key=lambda sample: sample.after)))
    ranges: list[Range] = []
    size, top, held = float(BATCHFUL), last_id, 0.0
    for low, high, density in reversed(cells):
        left = high - low + 1
        while left > 0:
            # Ids of this cell that the open range still takes; it may end inside.
            width = max(1, int((size - held) / density)) if density else left
            if width >= left:
                held += density * left
                break
            left -= width
            held += density * width
            ranges.append(_range(feed, low + left, top, held))
            size, top, held = min(2 * size, _LARGEST), low + left - 1, 0.0
    if top >= first_id:
        ranges.append(_range(feed, first_id, top, held))
    return ranges


def _cells(first_id: int, last_id: int, samples: Sequence[Sample]) -> Iterable[tuple[int, int, float]]:
    """(low, high, density) of consecutive stretches, each with the density at its beginning."""
    if not samples:
        yield first_id, last_id, 1.0
        return
    ends = [sample.after for sample in samples[1:]] + [last_id]
    low = first_id
    for sample, high in zip(samples, ends, strict=True):
        if high >= low:
            yield low, high, sample.density
            low = high + 1


def _range(feed: str, low: int, high: int, expected: float) -> Range:
    return Range(feed, low, high, low - 1, max(1, round(expected)))
