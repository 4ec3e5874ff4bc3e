"""What is written, and together with what: rows, what they bring along, what is observed, and the cursor.

Laws: every method that writes is one transaction: a page is in the mirror if and only if the cursor says so, so a sync
that is killed anywhere goes on where it stood. Nothing here asks the portal or reads a clock: ``at`` is always the
portal's time. One ledger serves one portal; methods may be called from one thread at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from b24metrics.mirror import observe, schema
from b24metrics.mirror.feeds import Appended, Feed, Part, Unread
from b24metrics.mirror.ranges import Range
from b24metrics.mirror.rows import page_of
from b24metrics.mirror.stores import Store


@dataclass(frozen=True, slots=True)
class State:
    """How far the copy of one feed is. The columns of ``feed_state``."""

    feed: str
    cursor_at: datetime | None = None
    cursor_id: int | None = None
    walk_at: datetime | None = None
    target_id: int | None = None
    backfilled_at: datetime | None = None
    synced_at: datetime | None = None
    row_count: int | None = None
    error: str | None = None


_STATE = tuple(State.__dataclass_fields__)
_RANGE = tuple(Range.__dataclass_fields__)


class Ledger:
    """The mirror of one portal, as Sync writes it."""

    def __init__(self, store: Store, portal: str) -> None:
        self.store = store
        self.portal = portal

    # ------------------------------------------------------------ reading

    def states(self) -> dict[str, State]:
        """What is known of each feed that was ever begun, by name."""
        found = self.store.rows(f"SELECT {', '.join(_STATE)} FROM feed_state WHERE portal = ?", [self.portal])
        return {state.feed: state for state in (State(*row) for row in found)}

    def ranges(self, feed: str | None = None) -> list[Range]:
        """The backfill's work items, done ones included, newest first."""
        only, params = ("", []) if feed is None else (" AND feed = ?", [feed])
        found = self.store.rows(
            f"SELECT {', '.join(_RANGE)} FROM sync_ranges WHERE portal = ?{only} ORDER BY feed, first_id DESC",
            [self.portal, *params],
        )
        return [Range(*row) for row in found]

    def unread(self) -> dict[str, int]:
        """How many records of each feed could not be read."""
        sql = "SELECT feed, count(*) FROM unread_records WHERE portal = ? GROUP BY feed"
        return dict(self.store.rows(sql, [self.portal]))

    def people(self) -> list[tuple[int, str | None]]:
        """Id and zone of everybody who works there."""
        found = self.store.rows(
            "SELECT id, zone FROM users WHERE portal = ? AND active AND deleted_at IS NULL ORDER BY id", [self.portal]
        )
        return [(int(number), zone) for number, zone in found]

    # ------------------------------------------------------------ the portal itself

    def acquaint(self, at: datetime, facts: Mapping[str, object]) -> None:
        """Note what the portal says of itself; what it does not say now stays as it was."""
        known = {name: value for name, value in facts.items() if value is not None}
        with self.store.transaction():
            first = self.store.rows("SELECT first_synced_at FROM portals WHERE portal = ?", [self.portal])
            if not first:
                known["first_synced_at"] = at
            self.store.upsert(schema.PORTALS, [{"portal": self.portal, **known}])

    # ------------------------------------------------------------ backfill

    def begin(self, feed: Feed, at: datetime, last_id: int | None, ranges: Sequence[Range]) -> None:
        """Keep the plan of a feed's backfill. From ``at`` on (or behind ``last_id``) the live rounds are responsible."""
        appended = isinstance(feed.kind, Appended)
        with self.store.transaction():
            self._state(
                feed.name,
                cursor_at=None if appended else at,
                cursor_id=(last_id or 0) if appended else None,
                walk_at=None,
                target_id=last_id if ranges else None,
                backfilled_at=None if ranges else at,
                error=None,
                **self._counted(feed),
            )
            self.store.execute("DELETE FROM sync_ranges WHERE portal = ? AND feed = ?", [self.portal, feed.name])
            if ranges:
                self.store.upsert(
                    schema.SYNC_RANGES,
                    page_of(
                        schema.SYNC_RANGES,
                        ("portal", *_RANGE),
                        [(self.portal, *(getattr(one, name) for name in _RANGE)) for one in ranges],
                    ),
                )

    def keep_stretch(self, feed: Feed, work: Range, records: Sequence[Any], upto: int, at: datetime) -> None:
        """Rows of a backfill's range, which is then done up to the id ``upto``; the last one finishes the backfill."""
        with self.store.transaction():
            written = self._rows(feed, records, at)
            self.store.execute(
                "UPDATE sync_ranges SET done_id = ?, row_count = row_count + ? WHERE portal = ? AND feed = ? AND first_id = ?",
                [upto, written, self.portal, feed.name, work.first_id],
            )
            [(undone,)] = self.store.rows(
                "SELECT count(*) FROM sync_ranges WHERE portal = ? AND feed = ? AND done_id < last_id",
                [self.portal, feed.name],
            )
            if not undone:
                self.store.execute("DELETE FROM sync_ranges WHERE portal = ? AND feed = ?", [self.portal, feed.name])
                self._state(feed.name, target_id=None, backfilled_at=at, error=None, **self._counted(feed))

    # ------------------------------------------------------------ rounds

    def keep_round(self, feed: Feed, records: Sequence[Any], upto: int, began_at: datetime, *, more: bool) -> None:
        """Rows of a live round. ``upto``: the last id seen; ``began_at``: the portal's time when the walk began.

        With ``more`` to come the walk is remembered; without, the feed is up to date as of ``began_at``.
        """
        changes: dict[str, object] = {}
        if isinstance(feed.kind, Appended):
            changes["cursor_id"] = upto
            changes["walk_at"] = began_at if more else None
        elif more:
            changes |= {"cursor_id": upto, "walk_at": began_at}
        else:
            changes |= {"cursor_at": began_at, "cursor_id": None, "walk_at": None}
        if not more:
            changes |= {"synced_at": began_at, "error": None}
        with self.store.transaction():
            if self._rows(feed, records, began_at):
                changes |= self._counted(feed)
            self._state(feed.name, **changes)

    def keep_whole(self, feed: Feed, records: Sequence[Any], at: datetime) -> None:
        """A directory as it is now: what is not in it any more gets a tombstone."""
        with self.store.transaction():
            page = self._page(feed, records, at)
            if page.num_rows == len(records):  # a record that cannot be read is not gone
                self._bury(feed, page, at)
            self._state(feed.name, synced_at=at, backfilled_at=at, error=None, **self._counted(feed))

    def keep_span(
        self,
        feed: Feed,
        users: Sequence[int],
        rows: Sequence[tuple[object, ...]],
        start: datetime,
        end: datetime,
        at: datetime,
    ) -> None:
        """The absences of these people that touch ``[start, end)``, instead of those that were known there."""
        with self.store.transaction():
            if users:
                self.store.load("seen_users", pa.table({"id": pa.array(users, pa.int64())}))
                self.store.execute(
                    f"""DELETE FROM {feed.table.name} WHERE portal = ? AND starts_at < ? AND ends_at > ?
                    AND user_id IN (SELECT id FROM seen_users)""",
                    [self.portal, end, start],
                )
                names = ("portal", *feed.table.columns)
                self.store.upsert(feed.table, page_of(feed.table, names, [(self.portal, *row) for row in rows]))
            self._state(feed.name, cursor_at=end, synced_at=at, backfilled_at=at, error=None, **self._counted(feed))

    def fail(self, feed: str, sentence: str) -> None:
        """Note why a feed could not be brought up to date; everything else of it stays as it was."""
        with self.store.transaction():
            self._state(feed, error=sentence)

    # ------------------------------------------------------------ inside a transaction

    def _rows(self, feed: Feed, records: Sequence[Any], at: datetime) -> int:
        return int(self._page(feed, records, at).num_rows) if records else 0

    def _page(self, feed: Feed, records: Sequence[Any], at: datetime) -> pa.Table:
        """Write records, what belongs to them, and what is observed in them."""
        unread = [one for one in records if isinstance(one, Unread)]
        read = [one for one in records if not isinstance(one, Unread)] if unread else records
        page = feed.page(self.portal, read, at)
        if feed.table is schema.DEALS:
            observe.corrections(self.store, self.portal, page)
        self.store.upsert(feed.table, page)
        for part, owners, rows in feed.part_pages(self.portal, read):
            self._replace(part, owners, rows)
        if feed.table is schema.DEALS:
            observe.closings(self.store, self.portal, page, at)
        self._note_unread(feed, page, unread, at)
        return page

    def _note_unread(self, feed: Feed, page: pa.Table, unread: Sequence[Unread], at: datetime) -> None:
        """Remember what could not be read, and forget it once it does."""
        mine = "portal = ? AND feed = ?"
        known = self.store.rows(f"SELECT record_id FROM unread_records WHERE {mine}", [self.portal, feed.name])
        if known:
            here = {str(number) for number in page[feed.table.key[-1]].to_pylist()}
            for (record_id,) in known:
                if record_id in here:
                    self.store.execute(
                        f"DELETE FROM unread_records WHERE {mine} AND record_id = ?",
                        [self.portal, feed.name, record_id],
                    )
        if unread:
            rows = [
                {
                    "portal": self.portal,
                    "feed": feed.name,
                    "record_id": one.record_id,
                    "reason": one.reason,
                    "seen_at": at,
                }
                for one in unread
            ]
            self.store.upsert(schema.UNREAD_RECORDS, rows)

    def _replace(self, part: Part, owners: pa.Array, rows: pa.Table) -> None:
        """Make these the only rows of these owners."""
        if not len(owners):
            return
        table, keys = part.table, [name for name in part.table.key if name != part.owner]
        span = pc.min_max(owners).as_py()
        # BETWEEN lets the database skip all blocks that hold other ids; in a backfill, that is all of them.
        near = f"portal = ? AND {part.owner} BETWEEN ? AND ?"
        bounds = [self.portal, span["min"], span["max"]]
        if self.store.rows(f"SELECT 1 FROM {table.name} WHERE {near} LIMIT 1", bounds):
            self.store.load("seen_owners", pa.table({"id": owners}))
            self.store.load("seen_rows", rows.select(table.key))
            same = " AND ".join(f"seen_rows.{name} = {table.name}.{name}" for name in (part.owner, *keys))
            self.store.execute(
                f"""DELETE FROM {table.name} WHERE {near} AND {part.owner} IN (SELECT id FROM seen_owners)
                AND NOT EXISTS (SELECT 1 FROM seen_rows WHERE {same})""",
                bounds,
            )
        self.store.upsert(table, rows)

    def _bury(self, feed: Feed, page: pa.Table, at: datetime) -> None:
        """Tombstones for what the portal no longer lists."""
        table = feed.table
        self.store.load("seen_rows", page.select(table.key))
        where, params = self._of(feed)
        same = " AND ".join(f"seen_rows.{name} = {table.name}.{name}" for name in table.key)
        gone = f"{where} AND NOT EXISTS (SELECT 1 FROM seen_rows WHERE {same})"
        if table.tombstone:
            self.store.execute(
                f"UPDATE {table.name} SET deleted_at = ? WHERE {gone} AND deleted_at IS NULL", [at, *params]
            )
        else:
            self.store.execute(f"DELETE FROM {table.name} WHERE {gone}", params)

    def _of(self, feed: Feed) -> tuple[str, list[object]]:
        """Condition and parameters for the part of a table that a feed covers."""
        conditions = {"portal": self.portal, **feed.within}
        return " AND ".join(f"{name} = ?" for name in conditions), list(conditions.values())

    def _counted(self, feed: Feed) -> dict[str, object]:
        """Rows that are not deleted."""
        where, params = self._of(feed)
        alive = " AND deleted_at IS NULL" if feed.table.tombstone else ""
        [(count,)] = self.store.rows(f"SELECT count(*) FROM {feed.table.name} WHERE {where}{alive}", params)
        return {"row_count": count}

    def _state(self, feed: str, **changes: object) -> None:
        # Planning an upsert takes the database three times as long as an UPDATE, and a round changes every feed's state.
        sets = ", ".join(f"{name} = ?" for name in changes)
        known = self.store.rows(
            f"UPDATE feed_state SET {sets} WHERE portal = ? AND feed = ? RETURNING feed",
            [*changes.values(), self.portal, feed],
        )
        if not known:
            self.store.upsert(schema.FEED_STATE, [{"portal": self.portal, "feed": feed, **changes}])
