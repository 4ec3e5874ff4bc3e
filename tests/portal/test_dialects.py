"""Every listing method is asked in its own words."""

from __future__ import annotations

from typing import Any

import pytest

from b24metrics.errors import UnreadableReply, UnreadableRow
from b24metrics.portal import (
    DIALECTS,
    Answer,
    Listing,
    Paging,
    count_request,
    dialect_of,
    first_id_request,
    last_id_request,
    page_request,
)
from b24metrics.portal.dialects import operator_of, read_page, rows_of
from tests.portal.fakes import deal_id, deals

LISTED = [
    "crm.lead.list", "crm.deal.list", "crm.contact.list", "crm.company.list", "crm.quote.list", "crm.item.list",
    "crm.stagehistory.list", "crm.status.list", "crm.category.list", "crm.type.list", "crm.currency.list",
    "crm.activity.list", "crm.timeline.comment.list", "crm.item.productrow.list", "crm.deal.productrows.get",
    "crm.item.payment.list", "crm.invoice.list", "crm.deal.userfield.list", "crm.lead.userfield.list",
    "userfieldconfig.list", "voximplant.statistic.get", "user.get", "user.search", "department.get",
    "tasks.task.list", "imopenlines.config.list.get", "event.offline.list", "event.offline.get",
    "catalog.product.list", "calendar.event.get", "timeman.record.list", "call.followup.list",
]  # fmt: skip


@pytest.mark.parametrize("method", LISTED)
def test_every_listing_method_of_the_vendor_that_we_need_has_a_row(method: str) -> None:
    """In the table, whatever the case of letters."""
    assert method == DIALECTS[method].method
    assert dialect_of(method.upper()) is DIALECTS[method]


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (
            Listing("crm.deal.list", filter={">=DATE_MODIFY": "2026-02-01"}, select=("TITLE",), floor=120),
            {
                "filter": {">=DATE_MODIFY": "2026-02-01", ">ID": 120},
                "select": ["ID", "TITLE"],
                "order": {"ID": "ASC"},
                "start": -1,
            },
        ),
        (
            Listing("crm.deal.list", select=("*", "UF_*"), ceiling=9),
            {"filter": {"<=ID": 9}, "select": ["*", "UF_*"], "order": {"ID": "ASC"}, "start": -1},
        ),
        (
            Listing("crm.item.list", params={"entityTypeId": 31}, select=("title",), floor=5),
            {"entityTypeId": 31, "filter": {">id": 5}, "select": ["id", "title"], "order": {"id": "ASC"}, "start": -1},
        ),
        (
            Listing("crm.stagehistory.list", params={"entityTypeId": 2}, floor=5),
            {"entityTypeId": 2, "filter": {">ID": 5}, "order": {"ID": "ASC"}, "start": -1},
        ),
        (
            Listing("user.get", filter={"ACTIVE": True}, floor=5),
            {"FILTER": {"ACTIVE": True, ">ID": 5}, "sort": "ID", "order": "ASC", "start": -1},
        ),
        (
            Listing("voximplant.statistic.get", filter={"@CALL_TYPE": [1, 2]}, floor=5000),
            {"FILTER": {"CALL_TYPE": [1, 2], ">ID": 5000}, "SORT": "ID", "ORDER": "ASC", "start": -1},
        ),
        (
            Listing("tasks.task.list", select=("TITLE",), floor=5),
            {"filter": {">ID": 5}, "select": ["ID", "TITLE"], "order": {"ID": "asc"}, "start": -1},
        ),
        (
            Listing("department.get", filter={"PARENT": 1}, floor=50),
            {"PARENT": 1, "sort": "ID", "order": "ASC", "START": 50},
        ),
        (Listing("crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE"}), {"filter": {"ENTITY_ID": "DEAL_STAGE"}}),
        (Listing("crm.status.list", params={"order": {"SORT": "ASC"}}), {"order": {"SORT": "ASC"}}),
        (Listing("crm.category.list", params={"entityTypeId": 2}), {"entityTypeId": 2}),
        (Listing("crm.currency.list"), {}),
        (
            Listing("crm.item.productrow.list", filter={"=ownerType": "D", "=ownerId": 1}),
            {"filter": {"=ownerType": "D", "=ownerId": 1}, "order": {"id": "ASC"}, "start": 0},
        ),
        (Listing("some.unknown.list", filter={"A": 1}, floor=100), {"filter": {"A": 1}, "start": 100}),
        (Listing("event.offline.get", params={"clear": 0}), {"clear": 0}),
        (
            Listing("timeman.record.list", filter={"userId": 7, "><startTime": ["a", "b"], "@id": [1]}),
            {
                "filter": [["userId", "=", 7], ["startTime", "between", ["a", "b"]], ["id", "in", [1]]],
                "order": {"id": "ASC"},
                "pagination": {"limit": 50, "offset": 0},
            },
        ),
    ],
    ids=lambda value: value.method if isinstance(value, Listing) else "",
)
def test_a_page_is_asked_for_in_the_methods_own_words(listing: Listing[Any], expected: dict[str, Any]) -> None:
    """Shapes as in the vendor's examples."""
    assert expected == page_request(listing).params


def test_the_first_page_of_a_keyset_walk_has_no_bound() -> None:
    """>ID with 0 says nothing, and some tables begin at 0."""
    assert {"order": {"ID": "ASC"}, "start": -1} == page_request(Listing("crm.deal.list")).params


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        (Listing("crm.deal.list", filter={">ID": 5}), "after"),
        (Listing("crm.deal.list", filter={"<=ID": 5}), "upto"),
        (Listing("crm.deal.list", params={"order": {"DATE_CREATE": "ASC"}}), "lose rows"),
        (Listing("user.get", params={"sort": "NAME"}), "lose rows"),
        (Listing("voximplant.statistic.get", filter={"!@CALL_TYPE": [1]}), "silently ignores"),
        (Listing("voximplant.statistic.get", filter={"%=PHONE_NUMBER": "7%"}), "silently ignores"),
        (Listing("tasks.task.list", filter={"=STATUS": 5}), "silently ignores"),
        (Listing("department.get", filter={">ID": 5}), "silently ignores"),
        (Listing("voximplant.statistic.get", select=("ID",)), "cannot choose fields"),
        (Listing("crm.currency.list", ceiling=5), "not walked by id"),
        (Listing("timeman.record.list", filter={"%name": "x"}), "knows no operator"),
        (Listing("crm.deal.list", filter={"@ID": []}), "match everything"),
    ],
)
def test_what_a_method_would_misread_is_refused_before_it_is_sent(listing: Listing[Any], words: str) -> None:
    """It would return too much, or lose rows, without a word."""
    with pytest.raises(ValueError, match=words):
        page_request(listing)


def test_counting_asks_for_no_fields() -> None:
    """A count needs the id alone, from the beginning, within the bounds of the listing."""
    request = count_request(Listing("crm.deal.list", select=("*",)).after(100).upto(200))
    assert {"filter": {">ID": 100, "<=ID": 200}, "select": ["ID"], "order": {"ID": "ASC"}, "start": 0} == request.params
    assert 57 == request.read(Answer(deals(range(101, 151)), total=57))
    assert 0 == request.read(Answer([]))
    with pytest.raises(UnreadableReply):
        request.read(Answer(deals([101])))


def test_a_count_that_the_portal_forgets_is_made_from_the_rows() -> None:
    """crm.currency.list always says 0."""
    assert 2 == count_request(Listing("crm.currency.list")).read(
        Answer([{"CURRENCY": "RUB"}, {"CURRENCY": "EUR"}], total=0)
    )


@pytest.mark.parametrize("method", ["imopenlines.config.list.get", "timeman.record.list"])
def test_what_is_not_counted_is_not_asked(method: str) -> None:
    """These tell no total."""
    with pytest.raises(ValueError, match="does not count"):
        count_request(Listing(method))


def test_the_edges_of_a_table() -> None:
    """Smallest and greatest id, or None for an empty table."""
    listing = Listing("crm.item.list", params={"entityTypeId": 2})
    assert {"id": "ASC"} == first_id_request(listing).params["order"]
    assert {"id": "DESC"} == last_id_request(listing).params["order"]
    assert 17 == last_id_request(listing).read(Answer({"items": [{"id": 17}, {"id": 16}]}))
    assert first_id_request(listing).read(Answer({"items": []})) is None
    telephony = last_id_request(Listing("voximplant.statistic.get"))
    assert ("ID", "DESC") == (telephony.params["SORT"], telephony.params["ORDER"])
    with pytest.raises(ValueError, match="not walked by id"):
        last_id_request(Listing("department.get"))


@pytest.mark.parametrize(
    ("method", "result", "count"),
    [
        ("crm.deal.list", deals([1, 2]), 2),
        ("crm.deal.list", [], 0),
        ("crm.deal.list", {"0": {"ID": "1"}, "2": {"ID": "2"}}, 2),
        ("crm.item.list", {"items": [{"id": 1}]}, 1),
        ("crm.item.list", [], 0),
        ("crm.item.list", {"items": []}, 0),
        ("crm.item.list", {"items": {"5": {"id": 5}}}, 1),
        ("crm.category.list", {"categories": [{"id": 0}]}, 1),
        ("tasks.task.list", {"tasks": [{"id": "1"}]}, 1),
        ("user.get", [], 0),
        ("unknown.list", [{"a": 1}], 1),
        ("unknown.list", {"things": [{"a": 1}]}, 1),
        ("unknown.list", {"1": {"a": 1}, "2": {"a": 2}}, 2),
    ],
)
def test_rows_are_found_where_they_are(method: str, result: Any, count: int) -> None:
    """[] for an empty map, a map for a list with gaps."""
    assert count == len(rows_of(dialect_of(method), result))


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("crm.deal.list", None),
        ("crm.deal.list", False),
        ("crm.deal.list", "x"),
        ("crm.deal.list", {"items": [{"ID": 1}]}),
        ("crm.item.list", {"rows": []}),
        ("crm.item.list", [{"id": 1}]),
        ("crm.item.list", {"items": None}),
        ("unknown.list", {"a": [1], "b": [2]}),
        ("unknown.list", {"a": 1}),
    ],
)
def test_rows_that_are_not_there_are_not_an_empty_listing(method: str, result: Any) -> None:
    """null, false or another shape is an error, not an end."""
    with pytest.raises(UnreadableReply, match=method):
        rows_of(dialect_of(method), result)


def test_a_page_of_a_keyset_walk() -> None:
    """items, size, cursor, more, onward, cost."""
    listing = Listing("crm.deal.list", deal_id).after(10).upto(1_000)
    page = read_page(listing, Answer(deals(range(11, 61)), total=0))
    assert (tuple(range(11, 61)), 50, 60, True) == (page.items, page.size, page.cursor, page.more)
    assert listing.after(60) == page.onward
    assert not read_page(listing, Answer(deals(range(11, 60)))).more
    assert not read_page(listing.upto(60), Answer(deals(range(11, 61)))).more
    empty = read_page(listing, Answer([]))
    assert (0, 10, False) == (empty.size, empty.cursor, empty.more)


@pytest.mark.parametrize("ids", [[10, 11], [11, 13, 12], [11, 2_000], [5]])
def test_ids_outside_the_bounds_or_the_order_are_not_accepted(ids: list[int]) -> None:
    """The portal ignores the filter or the order."""
    rows = [{"ID": str(n)} for n in ids]
    with pytest.raises(UnreadableReply, match="ignores"):
        read_page(Listing("crm.deal.list", deal_id).after(10).upto(1_000), Answer(rows))


@pytest.mark.parametrize("row", [{}, {"ID": None}, {"ID": "x"}, {"ID": ""}])
def test_a_row_without_its_id_is_not_accepted(row: dict[str, Any]) -> None:
    """The walk would not know where it stands."""
    with pytest.raises(UnreadableReply, match="ID"):
        read_page(Listing("crm.deal.list"), Answer([row]))


@pytest.mark.parametrize("row", [None, 5, "x", [1]])
def test_a_row_that_is_no_record_is_named(row: Any) -> None:
    """In a listing without ids."""
    with pytest.raises(UnreadableRow, match=r"crm\.currency\.list"):
        read_page(Listing("crm.currency.list"), Answer([row]))


@pytest.mark.parametrize(
    ("key", "expected"),
    [("ID", ("", "ID")), (">=DATE", (">=", "DATE")), ("!@X", ("!@", "X")), ("=%N", ("=%", "N")), ("><a", ("><", "a")), ("0", ("", "0"))],
)  # fmt: skip
def test_filter_keys_are_operator_and_field(key: str, expected: tuple[str, str]) -> None:
    """As the vendor prefixes them."""
    assert expected == operator_of(key)


def test_listings_that_change_something_are_not_repeatable() -> None:
    """The offline queue forgets what it hands out."""
    assert not page_request(Listing("event.offline.get")).repeatable
    assert all(dialect.repeatable for name, dialect in DIALECTS.items() if name != "event.offline.get")


def test_rest3_listings_know_it() -> None:
    """Another address, JSON only."""
    rest3 = {name for name, dialect in DIALECTS.items() if dialect.rest3}
    assert {"timeman.record.list", "humanresources.node.list", "main.eventlog.list", "call.followup.list"} == rest3
    assert all(page_request(Listing(name)).rest3 for name in rest3)
    assert {Paging.PAGES, Paging.CURSOR} == {DIALECTS[name].paging for name in rest3}
