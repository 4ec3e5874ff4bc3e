"""Rows that are never made into entities are, in the mirror, what their entities would be."""

from __future__ import annotations

import gc
import re
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24metrics.errors import MirrorError
from b24metrics.mirror.backfill import in_bulk
from b24metrics.mirror.feed import Feed, Unread, tolerant, untouched
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.options import MirrorOptions
from b24metrics.mirror.records import Unmade
from b24metrics.mirror.stores import DuckStore
from b24metrics.portal.dialects import page_request
from b24metrics.portal.request import Answer

OPTIONS = MirrorOptions(user_fields={"deal": ("UF_CRM_1",)}, personal=True, phone_pattern=r"\d{10}")
FEEDS = {feed.name: feed for feed in standard(OPTIONS)}
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PEOPLE = ("1", "7", "12")


def rows_of(name: str) -> list[dict[str, Any]]:
    """Twenty rows as portals usually write them."""

    def at(n: int) -> str:
        return f"2026-03-02T{n:02}:15:07+03:00"

    makers = {
        "deals": lambda n: {
            "ID": str(n), "TITLE": f"Сделка {n}", "CATEGORY_ID": "0", "STAGE_ID": "WON", "STAGE_SEMANTIC_ID": "SPF"[n % 3],
            "OPPORTUNITY": f"{n}.50", "CURRENCY_ID": "RUB", "PROBABILITY": None, "ASSIGNED_BY_ID": PEOPLE[n % 3],
            "DATE_CREATE": at(n), "DATE_MODIFY": at(n + 1), "BEGINDATE": "2026-03-02T03:00:00+03:00", "CLOSED": "YN"[n % 2],
            "COMPANY_ID": "0", "LEAD_ID": str(n + 90), "WEBFORM_ID": "", "UF_CRM_1": ["", n][n % 2], "MORE": n,
        },
        "deal_moves": lambda n: {
            "ID": n, "TYPE_ID": 2, "OWNER_ID": n * 10, "CREATED_TIME": at(n), "CATEGORY_ID": "0", "STAGE_SEMANTIC_ID": "P",
            "STAGE_ID": "NEW",
        },
        "activities": lambda n: {
            "ID": str(n), "OWNER_TYPE_ID": "2", "OWNER_ID": str(n), "TYPE_ID": "2", "PROVIDER_ID": "CRM_TODO",
            "COMPLETED": "YN"[n % 2], "CREATED": at(n), "LAST_UPDATED": at(n), "DEADLINE": "9999-12-31T00:00:00+03:00",
            "BINDINGS": [{"OWNER_TYPE_ID": "2", "OWNER_ID": str(n)}, {"OWNER_TYPE_ID": "3", "OWNER_ID": str(k)}]
            [: n % 3] if (k := n + 40) else [],
        },
        "phone_calls": lambda n: {
            "ID": str(n), "CALL_ID": f"call.{n}", "CALL_TYPE": "2", "PORTAL_USER_ID": PEOPLE[n % 3], "PHONE_NUMBER": f"+7900{n:07}",
            "CALL_DURATION": str(n), "CALL_START_DATE": at(n), "CALL_FAILED_CODE": "200", "CALL_VOTE": "0", "COST": "0.0000",
            "CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": str(n), "CALL_RECORD_URL": "", "RECORD_FILE_ID": [None, "5"][n % 2],
            "COMMENT": [None, "ok #yes"][n % 2],
        },
        "contacts": lambda n: {
            "ID": str(n), "NAME": "А", "LAST_NAME": f"Б{n}", "ASSIGNED_BY_ID": "7", "DATE_CREATE": at(n), "DATE_MODIFY": at(n),
            "HAS_PHONE": "Y", "HAS_EMAIL": "N", "HAS_IMOL": "N", "COMMENTS": ["", "8 9001234567"][n % 2],
            "PHONE": [{"ID": str(n), "VALUE_TYPE": "WORK", "VALUE": f"+7 900 {n:07}", "TYPE_ID": "PHONE"}],
        },
        "tasks": lambda n: {
            "id": str(n), "title": f"Задача {n}", "status": "5", "createdBy": "1", "responsibleId": "7", "createdDate": at(n),
            "changedDate": at(n), "closedDate": None, "mark": None, "ufCrmTask": ["D_1"],
            "responsible": {"id": "7", "name": "А Б"},
        },
    }  # fmt: skip
    return [makers[name](n) for n in range(1, 21)]


NAMES = ("deals", "deal_moves", "activities", "phone_calls", "contacts", "tasks")


def kept(feed: Feed, records: list[Any]) -> object:
    """What the mirror gets of records, or why it gets nothing."""
    read, unread = feed.read(records)
    try:
        parts = [(owners.to_pylist(), rows.to_pydict()) for _, owners, rows in feed.part_pages("p", read)]
        page = feed.page("p", read, NOON)
    except MirrorError as error:
        return str(error)
    return page.to_pydict(), page.schema, parts, unread


def one_by_one(feed: Feed, rows: list[Any]) -> list[Any]:
    """Each row as the feed's listing reads it."""
    decode = tolerant(feed.listing).decode
    return [decode(row) for row in rows]


@pytest.mark.parametrize("name", NAMES)
def test_usual_rows_are_read_together(name: str) -> None:
    """No entity is made of them, and the mirror has the same of them."""
    feed, rows = FEEDS[name], rows_of(name)
    read, _ = feed.read(rows)
    assert isinstance(read, Unmade)
    assert kept(feed, one_by_one(feed, rows)) == kept(feed, rows)


NASTY = st.sampled_from([
    None, "", "0", 0, "1", 1, -1, True, False, 1.5, float("nan"), 1 << 63, "9" * 25, "x", "Y", [], {}, [1], {"a": 1}, "\ud800", "\0",
    "2026-02-30T00:00:00+03:00", "2026-03-02T12:00:00Z", "9999-12-31T00:00:00+00:00", "0001-01-01T00:00:00+03:00", "1.005",
    [{"OWNER_TYPE_ID": "?", "OWNER_ID": "1"}], [{"OWNER_TYPE_ID": 2, "OWNER_ID": 0}], [{"OWNER_TYPE_ID": "2"}], [None],
    {"1": {"OWNER_TYPE_ID": "2", "OWNER_ID": "1"}}, [{"OWNER_TYPE_ID": "2", "OWNER_ID": "5", "ACTIVITY_ID": "x"}],
    [{"OWNER_TYPE_ID": "2", "OWNER_ID": "5"}] * 2,
])  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, list[Any]]:
    """Rows of a feed, some cells of which hold something else, or are not there, or all of a field."""
    name = draw(st.sampled_from(NAMES))
    rows = rows_of(name)[: draw(st.integers(1, 20))]
    for _ in range(draw(st.integers(1, 4))):
        key, value = draw(st.sampled_from(sorted(rows[0]))), draw(NASTY)
        if draw(st.booleans()):
            rows = [{**row, key: value} for row in rows]
        elif draw(st.booleans()):
            rows = [{k: v for k, v in row.items() if k != key} for row in rows]
            if not rows[0]:
                return name, rows
        else:
            rows[draw(st.integers(0, len(rows) - 1))][key] = value
    return name, rows


@given(spoilt())
def test_spoilt_rows_are_in_the_mirror_what_their_entities_are(given_rows: tuple[str, list[Any]]) -> None:
    """The same columns, the same parts, the same refusals in the same words."""
    name, rows = given_rows
    feed = FEEDS[name]
    assert told(kept(feed, one_by_one(feed, rows))) == told(kept(feed, rows))


def told(found: object) -> str:
    """Everything of it, NaN and types included."""
    return repr(found)


def test_what_is_left_out_is_left_out_of_everything() -> None:
    """Records that are newer in the mirror: their parts stay as well."""
    feed = FEEDS["activities"]
    read, _ = feed.read(rows_of("activities"))
    rest = read.without({2, 5})
    assert [n for n in range(1, 21) if n not in {2, 5}] == feed.page("p", rest, NOON)["id"].to_pylist()
    [(_, owners, rows)] = feed.part_pages("p", rest)
    assert not {2, 5} & {*owners.to_pylist(), *rows["activity_id"].to_pylist()}
    assert 0 == len(read.without(set(range(1, 21))))


@pytest.mark.parametrize("key", ["OWNER_TYPE_ID", "OWNER_ID"])
@pytest.mark.parametrize("said", [(), (0,), ("0",), ("",), (None,)])
def test_a_binding_to_nothing_is_no_row(key: str, said: tuple[object, ...]) -> None:
    """Also beside one that leads somewhere, and whichever way the activity is read; what stood there before is replaced."""
    feed = FEEDS["activities"]
    whole = {"OWNER_TYPE_ID": "2", "OWNER_ID": "9"}
    broken = {name: value for name, value in whole.items() if name != key} | dict(zip((key,), said, strict=False))
    rows = [
        {"ID": "1", "BINDINGS": [whole, broken]},
        {"ID": "2", "BINDINGS": [broken]},
        {"ID": "3", "BINDINGS": [whole]},
    ]
    apart = [{"ID": "1", "BINDINGS": [broken]}]  # all bindings of one shape, so that no entity is made

    for records in (rows, one_by_one(feed, rows)):
        [(_, owners, bound)] = feed.part_pages("p", feed.read(records)[0])
        assert [1, 2, 3] == owners.to_pylist()
        assert [(1, 2, 9), (3, 2, 9)] == [tuple(row.values())[1:] for row in bound.to_pylist()]
    for records in (apart, one_by_one(feed, apart)):
        [(_, owners, bound)] = feed.part_pages("p", feed.read(records)[0])
        assert ([1], 0) == (owners.to_pylist(), bound.num_rows)
    assert isinstance(feed.read(apart)[0], Unmade)


def test_rows_stay_as_they_came_until_they_are_written() -> None:
    """The page still proves its ids; what is no map is refused there, as ever."""
    listing = untouched(FEEDS["deals"].listing)
    rows = rows_of("deals")
    assert tuple(rows) == page_request(listing).read(Answer(rows)).items


def test_of_records_with_one_id_the_last_has_a_say() -> None:
    """In what belongs to it as well."""
    feed, rows = FEEDS["activities"], rows_of("activities")
    rows[4]["ID"] = rows[1]["ID"]
    assert kept(feed, one_by_one(feed, rows)) == kept(feed, rows)


def test_a_row_that_cannot_be_read_costs_its_neighbours_nothing() -> None:
    """The others are kept; what is wrong with it is told by names and without values."""
    feed, rows = FEEDS["deals"], rows_of("deals")
    rows[3]["OPPORTUNITY"] = "a lot"
    read, unread = feed.read(rows)
    assert [Unread("4", unread[0].reason)] == unread
    assert re.search(r"OPPORTUNITY \(not an amount\)", unread[0].reason)
    assert [n for n in range(1, 21) if n != 4] == feed.page("p", read, NOON)["id"].to_pylist()


@pytest.mark.parametrize("usual", [(700, 10, 10), (0, 10, 10), (90_000, 5, 5)])
def test_the_collector_is_as_it_was_when_a_backfill_is_over(usual: tuple[int, int, int]) -> None:
    """Also after a failure; one that is switched off, or seldom looks anyway, is left alone; so are the database's threads."""
    before = gc.get_threshold()
    store = DuckStore(threads=2)
    gc.set_threshold(*usual)
    try:
        with pytest.raises(KeyboardInterrupt), in_bulk(store):
            assert usual == gc.get_threshold() or usual[0] < gc.get_threshold()[0]
            assert [(1,)] == store.rows("SELECT current_setting('threads')")
            raise KeyboardInterrupt
        assert usual == gc.get_threshold()
        assert [(2,)] == store.rows("SELECT current_setting('threads')")
    finally:
        gc.set_threshold(*before)
        store.close()


def test_nothing_of_nothing() -> None:
    """A stretch without records is a stretch."""
    read, unread = FEEDS["activities"].read([])
    assert (0, []) == (len(read), unread)
    assert isinstance(FEEDS["activities"].page("p", read, NOON), pa.Table)
