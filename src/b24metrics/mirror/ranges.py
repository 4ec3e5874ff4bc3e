"""How the past of a listing is cut into work: pure arithmetic of ids.

Laws: the ranges of a plan tile [first id, last id] without gap or overlap. The newest is one request that proves its own
end, so that numbers of today are right within seconds; the next is about a month; what remains is cut into as many large
equal ones as are walked side by side. Every range costs one request that is not full, so there are few. Where the
estimate was wrong, whoever has nothing left to do takes half of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

BATCHFUL = 2500
"""Rows that one full request brings: 50 commands of 50 rows."""
STREAMS = 8
"""Walks side by side per feed, at most: the first ten minutes' time is used up at once, so that it comes back early."""
_PIECES = 3  # what a large feed is cut into at first: a single walk is faster than a method's time lasts
_PAGE = 50
_MONTHS = 40  # of history, as a rule of thumb: the second range is one of them
_LARGEST = 160  # full requests: what is walked side by side is still rather new
_LEAST = 4  # full requests: less is not worth a request that is not full
_SMALL = 40 * BATCHFUL  # in a feed of so many rows the last requests matter more than their number
_WORTH_SPLITTING = 0.6  # of the rows of a larger one
_TRUST = 0.25  # a plan weighs as much as a quarter of its range that has been walked
_SAMPLES, _FEW_SAMPLES = 40, 8
_WIDE = 40 * BATCHFUL
_GOLDEN = 0.6180339887498949


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
    """Rows of a range that are still expected: from the density met so far and the one that was planned."""
    ids, done, width = one.last_id - one.done_id, one.done_id - one.first_id + 1, one.last_id - one.first_id + 1
    density = (one.row_count + _TRUST * one.expected) / (done + _TRUST * width)
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
    """Ids behind which a page tells the density of its neighbourhood; none where all fits into one request anyway.

    One in every stretch of equal width, at a place that moves on by the golden section from stretch to stretch: gaps that
    come regularly are not met, or missed, every time.
    """
    width = last_id - first_id + 1
    if width <= BATCHFUL:
        return []
    count = _SAMPLES if width > _WIDE else _FEW_SAMPLES
    return [first_id - 1 + int(width * (n + n * _GOLDEN % 1) / count) for n in range(count)]


def plan(feed: str, first_id: int, last_id: int, samples: Sequence[Sample], *, streams: int = STREAMS) -> list[Range]:
    """The ranges of a listing, newest first. Without samples every id counts as a record."""
    cells = list(_cells(first_id, last_id, sorted(samples, key=lambda sample: sample.after)))
    sizes = _sizes(sum((high - low + 1) * density for low, high, density in cells), min(streams, _PIECES))
    ranges: list[Range] = []
    size, top, held = next(sizes), last_id, 0.0
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
            size, top, held = next(sizes), low + left - 1, 0.0
    if top >= first_id:
        ranges.append(_range(feed, first_id, top, held))
    return ranges


def _sizes(rows: float, streams: int) -> Iterator[float]:
    """Rows per range, newest first, without end."""
    if rows <= BATCHFUL:
        yield BATCHFUL
    yield BATCHFUL - _PAGE  # 49 full pages, and a short one that proves the end
    month = BATCHFUL * max(_LEAST, round(rows / _MONTHS / BATCHFUL))
    yield month
    bulk = math.ceil((rows - BATCHFUL - month) / BATCHFUL)
    rounds = max(1, math.ceil(bulk / (streams * _LARGEST)))
    size = BATCHFUL * max(_LEAST, math.ceil(bulk / (streams * rounds)))
    while True:
        yield size


def halves(one: Range, rows: int) -> tuple[Range, Range] | None:
    """A range that is being walked as two, (older, newer); None where that is not worth a request.

    ``rows``: of the whole feed, as far as is known.
    """
    pending = left(one)
    if pending < max(2 * BATCHFUL, _WORTH_SPLITTING * (rows - _SMALL)):
        return None
    middle = (one.done_id + one.last_id) // 2
    newer = pending // 2
    return (
        replace(one, last_id=middle, expected=max(1, one.row_count + pending - newer)),
        Range(one.feed, middle + 1, one.last_id, middle, max(1, newer)),
    )


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
