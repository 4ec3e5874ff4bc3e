"""The past of a listing is cut into ranges."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24metrics.mirror.ranges import BATCHFUL, Range, Sample, halves, left, plan, sample_points


@st.composite
def listings(draw: st.DrawFn) -> tuple[int, int, list[Sample]]:
    first = draw(st.integers(1, 10**6))
    last = first + draw(st.integers(0, 10**7))
    samples = [
        Sample(point, min(last, point + draw(st.integers(1, 10**5))), draw(st.integers(0, 50)))
        for point in sample_points(first, last)
    ]
    return first, last, samples


@given(listings())
def test_ranges_tile_the_ids(listing: tuple[int, int, list[Sample]]) -> None:
    """Every id from the first to the last lies in exactly one range; the newest range comes first; none is begun."""
    first, last, samples = listing
    ranges = plan("deals", first, last, samples)

    assert last == ranges[0].last_id
    assert first == ranges[-1].first_id
    assert [one.first_id - 1 for one in ranges[:-1]] == [one.last_id for one in ranges[1:]]
    assert all(one.first_id <= one.last_id and one.done_id == one.first_id - 1 for one in ranges)
    assert all(one.expected >= 1 and one.row_count == 0 for one in ranges)


@given(st.integers(1, 10_000_000), st.integers(0, 10**6), st.integers(1, 8))
def test_there_are_few_ranges(width: int, before: int, streams: int) -> None:
    """The newest is one request; what is old is cut into as many large ranges as are walked side by side."""
    ranges = plan("deals", before + 1, before + width, [], streams=streams)

    assert ranges[0].expected in {width, BATCHFUL - 50}
    assert width == sum(one.expected for one in ranges)
    pieces = min(streams, 3)
    assert len(ranges) <= 3 + pieces * max(1, math.ceil(width / (pieces * 160 * BATCHFUL)))
    assert len({one.expected for one in ranges[2:-1]}) <= 1


def test_a_million_rows_are_five_ranges() -> None:
    """Each may cost a request that is not full; 401 are to be enough where the ids lie close together."""
    ranges = plan("deals", 1, 1_000_000, [])

    assert 5 == len(ranges)
    assert sum(math.ceil(one.expected / BATCHFUL) for one in ranges) <= 401


def test_holes_widen_a_range() -> None:
    """Where nine of ten records were deleted, a range spans ten times the ids for the same number of rows."""
    points = sample_points(1, 1_000_000)
    samples = [Sample(point, point + 500, 50) for point in points]

    newest, second, *_ = plan("deals", 1, 1_000_000, samples)

    assert (2_450, 4 * BATCHFUL) == (newest.expected, second.expected)
    widths = [one.last_id - one.first_id + 1 for one in (newest, second)]
    assert pytest.approx([24_500, 40 * BATCHFUL], abs=2) == widths


def test_a_small_listing_is_one_range_without_samples() -> None:
    """What fits into one request is not measured first."""
    assert [] == sample_points(7, 7 + BATCHFUL - 1)
    assert [(7, 2506, 2500)] == [(one.first_id, one.last_id, one.expected) for one in plan("users", 7, 2506, [])]
    assert [(7, 7)] == [(one.first_id, one.last_id) for one in plan("users", 7, 7, [])]


@given(st.integers(1, 10**6), st.integers(2, 10**7), st.floats(0, 1), st.floats(0.001, 1), st.integers(0, 10**7))
def test_a_range_is_divided_without_gap(first: int, width: int, done: float, density: float, others: int) -> None:
    """The older half keeps what is done; the newer begins where it ends; small rests are not divided."""
    met = int((width - 1) * done)
    one = Range("deals", first, first + width - 1, first - 1 + met, round(width * density), round(met * density))
    parts = halves(one, others)

    if parts is None:
        assert left(one) < max(2 * BATCHFUL, 0.6 * others)
        return
    older, newer = parts
    assert left(one) >= 2 * BATCHFUL
    assert (one.first_id, one.done_id, one.row_count) == (older.first_id, older.done_id, older.row_count)
    assert older.done_id <= older.last_id == newer.first_id - 1 == newer.done_id
    assert one.last_id == newer.last_id
    assert pytest.approx(left(newer), abs=4) == left(older)
    assert pytest.approx(left(one), abs=4) == left(older) + left(newer)


def test_what_is_left_is_told_by_the_plan_and_by_what_was_met() -> None:
    """A walk that begins in a cluster does not take all the rest for one; a plan that was wrong is soon outweighed."""
    begun = Range("deals", 1, 1_000_000, 20_000, expected=100_000, row_count=20_000)
    nearly_done = Range("deals", 1, 1_000_000, 900_000, expected=1_000_000, row_count=90_000)

    assert pytest.approx(980_000 * (20_000 + 25_000) / (20_000 + 250_000), abs=1) == left(begun)
    assert 10_000 < left(nearly_done) < 30_000
