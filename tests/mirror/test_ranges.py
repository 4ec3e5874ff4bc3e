"""The past of a listing is cut into ranges."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from b24metrics.mirror.ranges import BATCHFUL, Sample, plan, sample_points


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


@given(st.integers(1, 3_000_000), st.integers(0, 10**6))
def test_dense_ids_cost_few_partial_requests(width: int, before: int) -> None:
    """The newest range is one request; a million dense rows need no more than ten ranges, a partial request each."""
    ranges = plan("deals", before + 1, before + width, [])

    assert min(width, BATCHFUL) == ranges[0].expected
    assert width == sum(one.expected for one in ranges)
    assert len(ranges) <= 7 + width / (100 * BATCHFUL) + 1


def test_holes_widen_a_range() -> None:
    """Where nine of ten records were deleted, a range spans ten times the ids for the same number of rows."""
    points = sample_points(1, 1_000_000)
    samples = [Sample(point, point + 500, 50) for point in points]

    newest, second, *_ = plan("deals", 1, 1_000_000, samples)

    assert (BATCHFUL, 10 * BATCHFUL) == (newest.expected, newest.last_id - newest.first_id + 1)
    assert (2 * BATCHFUL, 20 * BATCHFUL) == (second.expected, second.last_id - second.first_id + 1)


def test_a_small_listing_is_one_range_without_samples() -> None:
    """What fits into one request is not measured first."""
    assert [] == sample_points(7, 7 + BATCHFUL - 1)
    assert [(7, 2506, 2500)] == [(one.first_id, one.last_id, one.expected) for one in plan("users", 7, 2506, [])]
    assert [(7, 7)] == [(one.first_id, one.last_id) for one in plan("users", 7, 7, [])]
