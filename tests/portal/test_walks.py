"""Walks hand out everything, once, in order, and say where they stopped."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b24metrics.clock import HandClock
from b24metrics.errors import NotAllowed, Unreachable, UnreadableReply, UnreadableRow, WalkCut
from b24metrics.portal import Lane, Listing, Portal
from tests.portal.fakes import ADDRESS, BROKEN, OPERATION, TOO_MANY, Script, Toy, deal_id, deals, method_of, reply

DEALS = Listing("crm.deal.list", deal_id)


def open_portal(toy: Toy, **options: Any) -> Portal:
    return Portal(ADDRESS, clock=toy.clock, transport=toy.transport, chance=random.Random(1), **options)


def toy_of(ids: Iterable[int], clock: HandClock, **options: Any) -> Toy:
    return Toy(clock, {"crm.deal.list": deals(ids)}, **options)


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 99, 100, 101, 250, 2_499, 2_500, 2_501, 5_003])
def test_a_walk_hands_out_every_record_once_in_order(count: int, clock: HandClock) -> None:
    """Whatever the number of records, also at the edges of pages and batches."""
    toy = toy_of(range(1, count + 1), clock)
    with open_portal(toy) as portal:
        assert list(range(1, count + 1)) == list(portal.each(DEALS))


@pytest.mark.parametrize("nowhere", ["array", "empty"])
@pytest.mark.parametrize("expect", [None, 0, 1_200, 1_000, 10_000])
def test_a_chain_that_is_too_long_doubles_nothing(nowhere: str, expect: int | None, clock: HandClock) -> None:
    """A reference behind the last page leads nowhere, and the portal lists from the beginning again."""
    toy = toy_of(range(5, 3_605, 3), clock, nowhere=nowhere)
    with open_portal(toy) as portal:
        assert list(range(5, 3_605, 3)) == list(portal.each(DEALS, expect=expect))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.sets(st.integers(1, 4_000), max_size=900),
    floor=st.integers(0, 4_000),
    ceiling=st.none() | st.integers(0, 4_100),
    expect=st.none() | st.integers(0, 1_000),
    nowhere=st.sampled_from(["array", "empty"]),
)
def test_bounds_hold_whatever_the_gaps(
    ids: set[int], floor: int, ceiling: int | None, expect: int | None, nowhere: str
) -> None:
    """A range yields its records and no other, dense or sparse, with a right or wrong expectation."""
    toy = toy_of(ids, HandClock(), nowhere=nowhere)
    with open_portal(toy) as portal:
        got = list(portal.each(DEALS.after(floor).upto(ceiling), expect=expect))
    assert sorted(n for n in ids if floor < n and (ceiling is None or n <= ceiling)) == got


def test_a_long_walk_costs_little_more_than_its_pages(clock: HandClock) -> None:
    """100,000 rows are 2,000 pages: forty full batches and a handful of commands to begin and to end."""
    toy = toy_of(range(1, 100_001), clock, cost=0.03)
    with open_portal(toy) as portal:
        assert 100_000 == sum(page.size for page in portal.pages(DEALS))
    assert toy.requests <= 45
    assert len(toy.commands) <= 2_010


def test_a_sparse_listing_wastes_few_commands(clock: HandClock) -> None:
    """Ids that lie far apart must not be taken for many records."""
    toy = toy_of(range(1, 2_000_000, 5_000), clock)
    with open_portal(toy) as portal:
        assert 400 == sum(page.size for page in portal.pages(DEALS))
    assert len(toy.commands) <= 16


def test_an_expected_range_takes_one_request(clock: HandClock) -> None:
    """A backfill's work item: bounds and expectation known."""
    toy = toy_of(range(1, 10_000), clock)
    toy.cost = lambda _: 0.01
    with open_portal(toy) as portal:
        list(portal.each(DEALS.upto(1_000), expect=1_000))  # the first request shows what a page costs
        before = toy.requests
        got = list(portal.each(DEALS.after(1_000).upto(3_440), expect=2_440))
    assert list(range(1_001, 3_441)) == got
    assert 1 == toy.requests - before


@pytest.mark.parametrize("expect", [60, 500, 2_000])
def test_a_range_that_holds_more_than_expected_is_walked_on_in_chains(expect: int, clock: HandClock) -> None:
    """The density met so far and the range's last id tell how much is left: not one page at a time."""
    toy = toy_of(range(1, 5_001), clock)
    with open_portal(toy) as portal:
        assert 4_000 == sum(page.size for page in portal.pages(DEALS.after(1_000).upto(5_000), expect=expect))
    assert toy.requests <= 4
    assert len(toy.commands) <= 82


def test_a_page_that_ends_at_the_last_id_ends_the_walk(clock: HandClock) -> None:
    """A range of exactly fifty full pages needs no further page to prove its end."""
    toy = toy_of(range(1, 5_001), clock)
    with open_portal(toy) as portal:
        list(portal.each(DEALS.upto(1_000), expect=1_000))  # the first request shows what a page costs
        before = toy.requests, len(toy.commands)
        assert 2_500 == len(list(portal.each(DEALS.after(1_000).upto(3_500), expect=2_500)))
    assert (1, 50) == (toy.requests - before[0], len(toy.commands) - before[1])


def test_pages_tell_where_they_end(clock: HandClock) -> None:
    """cursor, more, size and onward let a reader stop and go on."""
    toy = toy_of(range(1, 121), clock)
    with open_portal(toy) as portal:
        pages = portal.pages(DEALS)
        first = next(pages)
        pages.close()
        assert (50, 50, True) == (first.size, first.cursor, first.more)
        assert list(range(51, 121)) == list(portal.each(first.onward))
        assert list(range(51, 121)) == list(portal.each(DEALS.after(first.cursor)))


def test_a_refused_walk_tells_its_cursor_and_goes_on_from_there(clock: HandClock) -> None:
    """Rows already handed out stay valid; listing.after(cursor) continues."""
    toy = toy_of(range(1, 1_001), clock)
    denied = {"error": "ACCESS_DENIED", "error_description": "Access denied!"}
    got: list[int] = []
    with open_portal(toy) as portal:
        with pytest.raises(WalkCut) as cut:
            for page in portal.pages(DEALS):
                got += page.items
                if page.cursor == 100:
                    toy.faults["crm.deal.list"] = [denied]
        assert isinstance(cut.value.__cause__, NotAllowed)
        assert got == list(range(1, cut.value.cursor + 1))
        assert "crm.deal.list" in str(cut.value)
        assert list(range(1, 1_001)) == got + list(portal.each(DEALS.after(cut.value.cursor)))
        assert list(range(1, 1_001)) == got + list(portal.each(cut.value.listing))


def test_a_fault_in_mid_chain_stops_the_cursor_there_and_is_repeated(clock: HandClock) -> None:
    """INTERNAL_SERVER_ERROR for one command of a chain loses and doubles nothing."""
    toy = toy_of(range(1, 1_001), clock)
    got: list[int] = []
    with open_portal(toy) as portal:
        for page in portal.pages(DEALS, expect=1_000):
            got += page.items
            if page.cursor in {100, 450}:
                toy.faults["crm.deal.list"] = [dict(BROKEN)]
    assert list(range(1, 1_001)) == got


def test_a_fault_that_stays_cuts_the_walk(clock: HandClock) -> None:
    """Repeats are bounded."""
    toy = toy_of(range(1, 1_001), clock)
    toy.faults["crm.deal.list"] = [dict(BROKEN) for _ in range(50)]
    with open_portal(toy) as portal, pytest.raises(WalkCut) as cut:
        list(portal.each(DEALS))
    assert 0 == cut.value.cursor
    assert 5 == toy.requests


def test_a_used_up_method_rests_and_the_walk_ends_well(clock: HandClock) -> None:
    """More method time than ten minutes allow: the walk waits instead of being refused."""
    toy = toy_of(range(1, 60_001), clock, cost=0.6)
    with open_portal(toy, lane=Lane.BACKFILL) as portal:
        assert 60_000 == sum(page.size for page in portal.pages(DEALS, expect=60_000))
    assert {503: 0, 429: 0} == toy.refused
    # 1,200 pages of 0.6 s are 720 s of a budget of 408 per ten minutes: one rest.
    assert 600 < clock.elapsed < 1_500


def test_a_block_inside_a_chain_is_waited_for(clock: HandClock) -> None:
    """OPERATION_TIME_LIMIT for a nested command: the walk rests, then goes on where it stood."""
    toy = toy_of(range(1, 2_001), clock)
    got: list[int] = []
    with open_portal(toy) as portal:
        for page in portal.pages(DEALS, expect=2_000):
            got += page.items
            if page.cursor == 300:
                toy.blocked["crm.deal.list"] = clock.now() + 300
    assert list(range(1, 2_001)) == got
    assert clock.elapsed >= 300


def test_patience_ends_a_wait_and_says_until_when(clock: HandClock) -> None:
    """A caller who cannot wait gets the cursor and the moment."""
    toy = toy_of(range(1, 2_001), clock)
    toy.blocked["crm.deal.list"] = clock.now() + 10_000
    with open_portal(toy, patience=90) as portal, pytest.raises(WalkCut) as cut:
        list(portal.each(DEALS))
    assert cut.value.__cause__.until > clock.now()
    assert clock.elapsed <= 120


def test_a_dead_network_cuts_the_walk(clock: HandClock) -> None:
    """Unreachable after repeats, with the cursor."""
    script = Script({"result": deals(range(1, 51)), "total": 0}, *[httpx.ConnectError("down")] * 5)
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal:
        pages = portal.pages(DEALS)
        assert 50 == next(pages).cursor
        with pytest.raises(WalkCut) as cut:
            next(pages)
    assert 50 == cut.value.cursor
    assert isinstance(cut.value.__cause__, Unreachable)


def test_a_portal_that_ignores_the_filter_is_not_believed(clock: HandClock) -> None:
    """The same page again and again would be an endless walk of doubles."""
    page = {"result": deals(range(1, 51)), "total": 0}
    script = Script(*[page] * 10)
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal, pytest.raises(WalkCut) as cut:
        list(portal.each(DEALS))
    assert 50 == cut.value.cursor
    assert isinstance(cut.value.__cause__, UnreadableReply)


def test_a_portal_that_cannot_chain_is_walked_page_by_page(clock: HandClock) -> None:
    """References that lead nowhere although the page was full: the walk falls back and stays complete."""
    toy = toy_of(range(1, 501), clock)
    toy._resolved = lambda value, results: {
        key: (item if not isinstance(item, dict) else {k: v for k, v in item.items() if "$result" not in str(v)})
        for key, item in value.items()
    }
    with open_portal(toy) as portal:
        assert list(range(1, 501)) == list(portal.each(DEALS))


def test_rows_out_of_order_are_an_error(clock: HandClock) -> None:
    """A method that ignores the order would make the walk lose rows."""
    script = Script({"result": [*deals(range(100, 149)), *deals([3])], "total": 0})
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal, pytest.raises(WalkCut) as cut:
        list(portal.each(DEALS))
    assert 0 == cut.value.cursor
    assert "ignores the order" in str(cut.value)


def test_a_record_that_does_not_read_is_named_and_its_values_are_not(clock: HandClock) -> None:
    """Method, id and field in the message; the telephone number is not."""

    def decode(row: Any) -> str:
        return row["PHONE"]["WORK"]

    script = Script({"result": [{"ID": "17", "PHONE": "+7 912 345"}], "total": 0})
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal, pytest.raises(WalkCut) as cut:
        list(portal.each(Listing("crm.lead.list", decode)))
    cause = cut.value.__cause__
    assert isinstance(cause, UnreadableRow)
    assert ("crm.lead.list", "17") == (cause.method, cause.record_id)
    assert "912" not in str(cut.value)


def test_an_activity_that_is_bound_twice_comes_once(clock: HandClock) -> None:
    """A filter by bindings lists an activity once per object it is bound to."""
    rows = [{"ID": "5"}, {"ID": "5"}, {"ID": "6"}]
    script = Script({"result": rows, "total": 0})
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal:
        assert [5, 6] == list(portal.each(Listing("crm.activity.list", deal_id)))


def test_offsets_are_walked_by_next(clock: HandClock) -> None:
    """department.get: START, top-level filters, next."""
    toy = Toy(clock, {"department.get": deals(range(1, 131))})
    with open_portal(toy) as portal:
        assert list(range(1, 131)) == list(portal.each(Listing("department.get", deal_id)))
    assert [0, 50, 100] == [params["START"] for _, params in toy.log]


def test_a_directory_that_pages_after_all_is_read_to_its_end(clock: HandClock) -> None:
    """A method said to return everything at once, with next in its answer."""
    script = Script(
        {"result": deals(range(1, 51)), "next": 50, "total": 60}, {"result": deals(range(51, 61)), "total": 60}
    )
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal:
        assert list(range(1, 61)) == list(portal.each(Listing("crm.status.list", deal_id)))
    assert 50 == script.bodies[1]["start"]


def test_rows_that_vanish_under_an_offset_walk_are_noticed(clock: HandClock) -> None:
    """A deletion shifts the pages: a row is skipped, and the walk says so instead of ending well."""
    toy = Toy(clock, {"department.get": deals(range(1, 131))})
    with open_portal(toy) as portal, pytest.raises(WalkCut) as cut:
        for _ in portal.pages(Listing("department.get", deal_id)):
            toy.tables["department.get"].pop(0)
    assert 0 == cut.value.cursor
    assert "read it again" in str(cut.value)


def test_an_unknown_method_is_walked_by_offset(clock: HandClock) -> None:
    """Not in the table: the one list inside the result are the rows."""
    script = Script(
        {"result": {"things": [{"x": 1}], "extra": 2}, "next": 50, "total": 51},
        {"result": {"things": [{"x": 2}], "extra": 2}, "total": 51},
    )
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal:
        assert [{"x": 1}, {"x": 2}] == list(portal.each(Listing("some.module.thing.list")))


def test_limit_and_offset(clock: HandClock) -> None:
    """imopenlines.config.list.get wraps everything in PARAMS and tells no total."""
    first = [{"ID": str(n)} for n in range(200)]
    script = Script({"result": first}, {"result": [{"ID": "200"}]})
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal:
        got = list(
            portal.each(Listing("imopenlines.config.list.get", deal_id, select=("ID",)).having(OPTIONS={"QUEUE": "Y"}))
        )
    assert list(range(201)) == got
    assert [
        {
            "PARAMS": {"select": ["ID"], "order": {"ID": "ASC"}, "limit": 200, "offset": offset},
            "OPTIONS": {"QUEUE": "Y"},
        }
        for offset in (0, 200)
    ] == script.bodies


def test_rest3_pages(clock: HandClock) -> None:
    """timeman.record.list: its own address, conditions as triples, pagination."""
    script = Script({"result": {"items": [{"id": n} for n in range(50)]}}, {"result": {"items": [{"id": 50}]}})
    listing = Listing("timeman.record.list", lambda row: row["id"]).where({"userId": 7, ">=startTime": "2026-01-01"})
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal:
        assert list(range(51)) == list(portal.each(listing))
    assert script.sent[0].url.path.startswith("/rest/api/7/")
    assert [["userId", "=", 7], ["startTime", ">=", "2026-01-01"]] == script.bodies[0]["filter"]
    assert [{"limit": 50, "offset": 0}, {"limit": 50, "offset": 50}] == [body["pagination"] for body in script.bodies]


def test_rest3_cursor(clock: HandClock) -> None:
    """call.followup.list: the portal's own mark leads on."""
    mark = {"startDate": "2026-01-12T14:30:00.000000+00:00", "id": 12330}
    script = Script(
        {"result": {"items": [{"callId": 1}], "hasMore": True, "afterCursor": mark}},
        {"result": {"items": [{"callId": 2}], "hasMore": False, "afterCursor": None}},
    )
    period = {"startDate": {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}}
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal:
        got = list(portal.each(Listing("call.followup.list", lambda row: row["callId"]).where(period)))
    assert [1, 2] == got
    assert [{"limit": 50}, {"limit": 50, "afterCursor": mark}] == [body["pagination"] for body in script.bodies]


def test_thousands_of_values_do_not_travel_in_a_chain(clock: HandClock) -> None:
    """PHP drops what exceeds max_input_vars; a JSON body has no such limit."""
    toy = toy_of(range(1, 301), clock)
    listing = DEALS.where({"@COMPANY_ID": list(range(2_000))})
    with open_portal(toy) as portal:
        assert 300 == len(list(portal.each(listing)))
    assert all(isinstance(params["filter"]["@COMPANY_ID"], list) for _, params in toy.log)


def test_a_queue_that_forgets_is_not_asked_twice(clock: HandClock) -> None:
    """event.offline.get hands out and deletes: a lost answer is reported."""
    script = Script(httpx.ReadError("reset"))
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal, pytest.raises(WalkCut) as cut:
        list(portal.each(Listing("event.offline.get")))
    assert "may have happened" in str(cut.value)
    assert 1 == len(script.sent)


FAULTS = [
    httpx.ReadError("reset"),
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    reply(b"<html>502</html>", 502),
    reply(b'{"result": {"result": {"c00": [{"ID"'),
    reply(BROKEN, 500),
    reply(TOO_MANY, 503),
    reply(OPERATION, 429),
    reply({"result": []}),
    reply({"result": {"result": [], "result_error": {"c00": BROKEN}}}),
    reply({"result": {"result": [], "result_error": {"c00": OPERATION}}}),
]
EMPTY = 8  # for a single page this would be the truth


@settings(deadline=None, max_examples=60)
@given(
    ids=st.sets(st.integers(1, 2_000), max_size=500),
    faults=st.lists(st.none() | st.sampled_from(range(len(FAULTS))), max_size=25),
    nested=st.lists(st.integers(0, 30), max_size=3),
)
def test_whatever_goes_wrong_nothing_is_lost_or_doubled(
    ids: set[int], faults: list[int | None], nested: list[int]
) -> None:
    """Any faults at any requests and commands: the walk ends with every record once, or tells where it stopped, and
    going on from there yields exactly the rest.
    """
    toy = toy_of(ids, HandClock())
    toy.faults["crm.deal.list"] = []
    left = list(faults)
    runs = {"commands": 0}
    original = toy._run

    def run(method: str, params: Any) -> dict[str, Any]:
        runs["commands"] += 1
        return dict(BROKEN) if runs["commands"] in nested else original(method, params)

    toy._run = run

    def handler(request: httpx.Request) -> httpx.Response:
        fault = left.pop(0) if left else None
        if fault is None or (fault == EMPTY and method_of(request) != "batch"):
            return toy(request)
        found = FAULTS[fault]
        if isinstance(found, Exception):
            raise found
        return found(request)

    got: list[int] = []
    listing: Listing[int] = DEALS
    with Portal(
        ADDRESS, clock=toy.clock, transport=httpx.MockTransport(handler), chance=random.Random(4), attempts=3
    ) as portal:
        for _ in range(40):
            try:
                for page in portal.pages(listing):
                    got += page.items
                break
            except WalkCut as cut:
                stopped = cut
            assert stopped.cursor == (got[-1] if got else 0)
            listing = stopped.listing
        assert all(0 == method.under_way for method in portal.gate.stats().methods)
    assert sorted(ids) == got
