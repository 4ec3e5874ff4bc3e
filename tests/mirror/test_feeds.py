"""What is copied, and that nothing of it is forgotten."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from b24metrics.crm import activities, people, sales
from b24metrics.crm.wiretypes import Spelling
from b24metrics.mirror import schema
from b24metrics.mirror.feed import Appended, Changed, Feed, Reloaded, Spanned, Unread, tolerant
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.options import MirrorOptions

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FEEDS = {feed.name: feed for feed in standard()}


@pytest.mark.parametrize("feed", standard(), ids=lambda feed: feed.name)
def test_every_column_is_fed(feed: Feed) -> None:
    """Each column of a fed table is the entity's field of that name or is computed; a renamed field fails here."""
    if isinstance(feed.kind, Spanned):
        assert {"user_id", "id", "starts_at", "ends_at"} == set(feed.table.columns)
        return

    assert set(feed.table.all_columns) == {*feed.columns, *feed.table.observed}


@pytest.mark.parametrize("feed", standard(), ids=lambda feed: feed.name)
def test_every_fed_field_is_asked_for(feed: Feed) -> None:
    """A listing that chooses its fields chooses all that the mirror keeps."""
    if not feed.listing.select:
        return
    known = {*feed.within, *feed.computed}  # the listing implies them, or they are made of others
    spelling = Spelling.ITEM if feed.listing.method == "crm.item.list" else Spelling.LEGACY
    wanted = set(feed.entity.spelled((name for name in feed.table.columns if name not in known), spelling))
    got = {name.replace("STATUS_", "STAGE_") if feed.name == "lead_moves" else name for name in feed.listing.select}

    assert set() == wanted - got


def test_feeds_have_names_of_their_own() -> None:
    """Names are keys of the mirror."""
    names = [feed.name for feed in standard()]

    assert sorted(set(names)) == sorted(names)


def test_overlaps_exceed_the_longest_request() -> None:
    """A page that was read before a change may be written after it: the next round must read that change again."""
    for feed in standard():
        if isinstance(feed.kind, Changed):
            assert feed.kind.overlap >= timedelta(seconds=120)
        if isinstance(feed.kind, Appended):
            assert 0 < feed.kind.overlap < 50


def test_directories_come_before_what_reads_them() -> None:
    """Rates and people are known when deals and absences are written."""
    directories = [isinstance(feed.kind, Reloaded) for feed in standard()]

    assert sorted(directories, reverse=True) == directories
    assert "currencies" == standard()[0].name


def test_user_fields_become_json() -> None:
    """Configured user fields are asked for and kept as one JSON object; letters stay letters."""
    [deals] = [feed for feed in standard(MirrorOptions({"deal": ("UF_CRM_REASON",)})) if feed.name == "deals"]
    deal = deals.listing.decode({"ID": "5", "UF_CRM_REASON": "Дорого", "OPPORTUNITY": "10.50"})

    [row] = deals.page("p", [deal], NOON).to_pylist()

    assert "UF_CRM_REASON" in deals.listing.select
    assert {"UF_CRM_REASON": "Дорого"} == json.loads(row["user_fields"])
    assert "Дорого" in row["user_fields"]
    assert (5, Decimal("10.50"), None) == (row["id"], row["opportunity"], row["title"])


def test_no_user_fields_are_nothing() -> None:
    deal = sales.Deal.read({"ID": "5"})

    assert [None] == FEEDS["deals"].page("p", [deal], NOON)["user_fields"].to_pylist()


def test_a_record_that_came_back_loses_its_tombstone() -> None:
    """What is listed is not deleted."""
    page = FEEDS["deals"].page("p", [sales.Deal.read({"ID": "5"})], NOON)

    assert [None] == page["deleted_at"].to_pylist()


def test_bindings_of_an_activity_are_rows() -> None:
    """An activity without bindings has none; one whose bindings were not asked for says nothing about them."""
    feed = FEEDS["activities"]
    bound = activities.Activity.read({
        "ID": "1", "BINDINGS": [{"OWNER_TYPE_ID": "2", "OWNER_ID": "7"}, {"OWNER_TYPE_ID": "3", "OWNER_ID": "8"}]
    })  # fmt: skip
    free = activities.Activity.read({"ID": "2", "BINDINGS": []})
    silent = activities.Activity.read({"ID": "3"})

    [(part, owners, rows)] = feed.part_pages("p", [bound, free, silent])

    assert schema.ACTIVITY_BINDINGS is part.table
    assert [1, 2] == owners.to_pylist()
    assert [("p", 1, 2, 7), ("p", 1, 3, 8)] == [tuple(row.values()) for row in rows.to_pylist()]


def test_departments_of_a_person_keep_their_order() -> None:
    """The first department is the primary one; who has none any more keeps the last known."""
    feed = FEEDS["users"]
    two = people.User.read({"ID": "1", "UF_DEPARTMENT": [5, 3]})
    none = people.User.read({"ID": "2", "ACTIVE": False, "UF_DEPARTMENT": []})

    [(_, owners, rows)] = feed.part_pages("p", [two, none])

    assert [1] == owners.to_pylist()
    assert [(5, 0), (3, 1)] == [(row["department_id"], row["ordinal"]) for row in rows.to_pylist()]


def test_what_cannot_be_read_does_not_stop_the_others() -> None:
    """An unreadable record becomes a note without its values."""
    listing = tolerant(sales.deals())

    good, bad = listing.decode({"ID": "5"}), listing.decode({"ID": "6", "OPPORTUNITY": "a lot"})

    assert 5 == good.id
    assert isinstance(bad, Unread)
    assert "6" == bad.record_id
    assert "OPPORTUNITY" in bad.reason
    assert "a lot" not in bad.reason
