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
from b24metrics.mirror.feed import Appended, Attached, Feed, Part, Stretch, Unread
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
    reconciled_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Copied:
    """What came of a backfill's range: everything behind what is done of it, up to the id ``upto``."""

    work: Range
    stretch: Stretch
    upto: int


_WITH_HISTORY = {schema.LEADS.name: 1, schema.DEALS.name: 2, schema.INVOICES.name: 31}
"""Tables whose records have a stage history → their type in it."""
_OF = "of "
"""Begins the id of what could not be read at all of an owner."""
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

    def ids(self, feed: Feed) -> list[int]:
        """Of the records that are there, ascending."""
        where, params = self._of(feed)
        found = self.store.rows(
            f"SELECT id FROM {feed.table.name} WHERE {where} AND deleted_at IS NULL ORDER BY id", params
        )
        return [int(number) for (number,) in found]

    def count_since(self, feed: Feed, stamp: str, since: datetime) -> int:
        """How many records carry this moment or a later one."""
        where, params = self._of(feed)
        [(count,)] = self.store.rows(
            f"SELECT count(*) FROM {feed.table.name} WHERE {where} AND {stamp} >= ?", [*params, since]
        )
        return int(count)

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
                self.store.upsert(schema.SYNC_RANGES, self._plan(ranges))

    def split(self, feed: Feed, older: Range, newer: Range) -> None:
        """One range of the plan is two from now on; ``older`` keeps the beginning."""
        with self.store.transaction():
            self.store.execute(
                "UPDATE sync_ranges SET last_id = ?, expected = ? WHERE portal = ? AND feed = ? AND first_id = ?",
                [older.last_id, older.expected, self.portal, feed.name, older.first_id],
            )
            self.store.upsert(schema.SYNC_RANGES, self._plan([newer]))

    def keep_copied(self, feed: Feed, copied: Sequence[Copied], at: datetime) -> None:
        """Rows of a backfill's ranges, which are then done so far; the last one finishes the backfill.

        Several at once, each of another range, cost half as much as one by one.
        """
        stretch = Stretch.of([one.stretch for one in copied])
        with self.store.transaction():
            if len(stretch) or stretch.unread:
                self._page(feed, stretch, at, late=True)
            for one in copied:
                self.store.execute(
                    """UPDATE sync_ranges SET done_id = ?, row_count = row_count + ?
                    WHERE portal = ? AND feed = ? AND first_id = ?""",
                    [one.upto, len(one.stretch), self.portal, feed.name, one.work.first_id],
                )
            if all(one.upto < one.work.last_id for one in copied):
                return
            [(undone,)] = self.store.rows(
                "SELECT count(*) FROM sync_ranges WHERE portal = ? AND feed = ? AND done_id < last_id",
                [self.portal, feed.name],
            )
            if not undone:
                self.store.execute("DELETE FROM sync_ranges WHERE portal = ? AND feed = ?", [self.portal, feed.name])
                self._state(feed.name, target_id=None, backfilled_at=at, error=None, **self._counted(feed))

    # ------------------------------------------------------------ what no listing has

    def owed(self, feeds: Sequence[Feed], most: int) -> list[tuple[str, int, int]]:
        """Whom to ask, at most so many of each feed, newest first: feed, owner, and how often it was put there."""
        found: list[tuple[str, int, int]] = []
        for feed in feeds:
            sql = "SELECT owner_id, times FROM owed WHERE portal = ? AND feed = ? ORDER BY owner_id DESC LIMIT ?"
            rows = self.store.rows(sql, [self.portal, feed.name, most])
            found += [(feed.name, int(owner), int(times)) for owner, times in rows]
        return found

    def owing(self) -> dict[str, int]:
        """How many owners are still to be asked for, by feed."""
        sql = "SELECT feed, count(*) FROM owed WHERE portal = ? GROUP BY feed"
        return dict(self.store.rows(sql, [self.portal]))

    def remind(self, feed: Feed, kind: Attached, at: datetime) -> None:
        """Put on the list who owes something: everybody once the owners' past is here, later those whose time has come."""
        states = self.states()
        state = states.get(feed.name)
        begun_at = None if state is None else state.cursor_at
        if begun_at is None and not _whole(kind, states):
            return  # until then rounds put down what changes
        if begun_at is not None and at - begun_at < kind.every:
            return
        which = kind.where if begun_at is None else kind.again
        with self.store.transaction():
            if kind.of is not None and which:
                table = kind.of.name
                found = self.store.rows(
                    f"SELECT id FROM {table} WHERE {table}.portal = ? AND {table}.deleted_at IS NULL AND ({which})",
                    [self.portal],
                )
                self._put(feed, [int(number) for (number,) in found])
            self._put(feed, [*kind.owners, *(() if kind.of is None else self._untold(feed))])
            self._state(feed.name, cursor_at=at)

    def keep_attached(
        self, feed: Feed, kind: Attached, answers: Mapping[int, Sequence[Any]], owed: Mapping[int, int], at: datetime
    ) -> int:
        """What these owners have, instead of what was known of them; they owe nothing more, unless they were put on the
        list again since they were asked. ``owed``: owner → how often it was there. Returns the number of rows.
        """
        with self.store.transaction():
            records = [one for found in answers.values() for one in found]
            read, unread = feed.read(records)
            page = feed.page(self.portal, read, at)
            owners = pa.array(answers, pa.int64())
            # Who could not be told of keeps what was known: an owner that is really gone is found by a sweep.
            told = [owner for owner, found in answers.items() if not any(map(_is_of_owner, found))]
            self._replace(
                Part(feed.table, kind.owner, (), lambda _: None, within=feed.within), pa.array(told, pa.int64()), page
            )
            if feed.table is schema.PAYMENTS:
                observe.payments(self.store, self.portal, page)
            self.store.load("asked", pa.table({"id": owners}))
            self.store.execute(
                f"DELETE FROM unread_records WHERE portal = ? AND feed = ? AND record_id IN (SELECT '{_OF}' || id FROM asked)",
                [self.portal, feed.name],
            )
            self._note_unread(feed, page, unread, at)
            rows = [(self.portal, feed.name, owner, owed[owner]) for owner in answers]
            names = ("portal", *schema.OWED.columns)
            self.store.load("settled", page_of(schema.OWED, names, rows))
            self.store.execute(
                """DELETE FROM owed WHERE portal = ? AND feed = ? AND EXISTS (
                SELECT 1 FROM settled WHERE settled.owner_id = owed.owner_id AND settled.times = owed.times)""",
                [self.portal, feed.name],
            )
            self._state(feed.name, **self._counted(feed))
        return int(page.num_rows)

    def in_step(self, feed: Feed, kind: Attached, at: datetime) -> None:
        """Note, where nothing is owed, that as of ``at`` all is here; it is as new and as complete as its owners."""
        mine = [self.portal, feed.name]
        states = self.states()
        if feed.name not in states or self.store.rows("SELECT 1 FROM owed WHERE portal = ? AND feed = ? LIMIT 1", mine):
            return
        state = states[feed.name]
        changes: dict[str, object] = {"error": None}
        if (known_at := _newest(kind, states, at)) is not None:
            changes["synced_at"] = known_at
        if state.backfilled_at is None and state.cursor_at is not None and _whole(kind, states):
            changes["backfilled_at"] = at
        with self.store.transaction():
            self._state(feed.name, **changes)

    def _untold(self, feed: Feed) -> list[int]:
        """Owners that the portal could not tell of when they were asked for last."""
        sql = "SELECT record_id FROM unread_records WHERE portal = ? AND feed = ? AND record_id LIKE 'of %'"
        return [int(found.removeprefix(_OF)) for (found,) in self.store.rows(sql, [self.portal, feed.name])]

    def _owe(self, feed: Feed, ids: Sequence[int]) -> None:
        """Put on the list who of these new or changed records owes something."""
        self.store.load("seen_owners", pa.table({"id": pa.array(ids, pa.int64())}))
        table = feed.table.name
        for owed in feed.owes:
            assert isinstance(owed.kind, Attached)
            found = self.store.rows(
                f"""SELECT id FROM {table} WHERE portal = ? AND id BETWEEN ? AND ?
                AND id IN (SELECT id FROM seen_owners) AND ({owed.kind.where})""",
                [self.portal, min(ids), max(ids)],
            )
            self._put(owed, [int(number) for (number,) in found])

    def _put(self, feed: Feed, owners: Sequence[int]) -> None:
        if not owners:
            return
        names = ("portal", *schema.OWED.columns)
        rows = [(self.portal, feed.name, owner, 1) for owner in owners]
        self.store.load("put_down", page_of(schema.OWED, names, rows))
        self.store.execute(
            f"""INSERT INTO owed ({", ".join(names)}) SELECT {", ".join(names)} FROM put_down
            ON CONFLICT (portal, feed, owner_id) DO UPDATE SET times = owed.times + 1"""
        )

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
            page = self._page(feed, Stretch.read(feed, records), at)
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

    # ------------------------------------------------------------ what a sweep finds

    def keep_found(self, feed: Feed, records: Sequence[Any], at: datetime, lost: int) -> None:
        """Records of which ``lost`` were lost, or had been taken for deleted: they are here again, with their history."""
        with self.store.transaction():
            self._tally(feed, "healed", lost)
            self._follow(feed, self._page(feed, Stretch.read(feed, records), at)["id"].to_pylist(), None)
            self._state(feed.name, **self._counted(feed))

    def bury(self, feed: Feed, ids: Sequence[int], at: datetime) -> None:
        """Tombstones for records that the portal has no more; what belonged to them goes along."""
        with self.store.transaction():
            self._tally(feed, "buried", len(ids))
            self.store.load("gone", pa.table({"id": pa.array(ids, pa.int64())}))
            where, params = self._of(feed)
            near = [min(ids), max(ids)]
            self.store.execute(
                f"""UPDATE {feed.table.name} SET deleted_at = ? WHERE {where} AND deleted_at IS NULL
                AND id BETWEEN ? AND ? AND id IN (SELECT id FROM gone)""",
                [at, *params, *near],
            )
            owed = [(one.table.name, one.kind.owner, one.within) for one in feed.owes if isinstance(one.kind, Attached)]
            parts = [(part.table.name, part.owner, part.within) for part in feed.parts]
            for table, owner, within in (*parts, *owed):
                conditions = " AND ".join(f"{name} = ?" for name in ("portal", *within))
                self.store.execute(
                    f"""DELETE FROM {table} WHERE {conditions} AND {owner} BETWEEN ? AND ?
                    AND {owner} IN (SELECT id FROM gone)""",
                    [self.portal, *within.values(), *near],
                )
            for one in feed.owes:
                self.store.execute(
                    "DELETE FROM owed WHERE portal = ? AND feed = ? AND owner_id IN (SELECT id FROM gone)",
                    [self.portal, one.name],
                )
                self.store.execute(
                    f"DELETE FROM unread_records WHERE portal = ? AND feed = ? AND record_id IN (SELECT '{_OF}' || id FROM gone)",
                    [self.portal, one.name],
                )
            self._follow(feed, ids, at)
            self._state(feed.name, **self._counted(feed))

    @staticmethod
    def history_of(feed: Feed) -> int | None:
        """The type by which the stage history knows the records of a feed; None where they have none."""
        return _WITH_HISTORY.get(feed.table.name)

    def bury_orphans(self, feed: Feed, upto: int, at: datetime) -> None:
        """Tombstones for the stage history of records that are not alive here: gone before they were read.

        For ids up to ``upto``, all of which have just been compared with the portal. A record that came and could not be
        read is not gone.
        """
        entity_type = _WITH_HISTORY.get(feed.table.name)
        if entity_type is None:
            return
        with self.store.transaction():
            self.store.execute(
                f"""UPDATE stage_moves SET deleted_at = ? WHERE portal = ? AND entity_type_id = ? AND owner_id <= ?
                AND deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM {feed.table.name} AS owner WHERE owner.portal = ?
                AND owner.id = stage_moves.owner_id AND owner.deleted_at IS NULL)
                AND CAST(stage_moves.owner_id AS VARCHAR) NOT IN (SELECT u.record_id FROM unread_records AS u
                WHERE u.portal = ? AND u.feed = ?)""",
                [at, self.portal, entity_type, upto, self.portal, self.portal, feed.name],
            )

    def _tally(self, feed: Feed, what: str, count: int) -> None:
        """Count what a sweep has found together with what it does about it: a kill in between must not lose either."""
        self.store.execute(
            f"UPDATE sweeps SET {what} = {what} + ? WHERE portal = ? AND feed = ?", [count, self.portal, feed.name]
        )

    def _follow(self, feed: Feed, ids: Sequence[int], deleted_at: datetime | None) -> None:
        """The stage history of records is deleted, or alive, as they are."""
        entity_type = _WITH_HISTORY.get(feed.table.name)
        if entity_type is None or not ids:
            return
        self.store.load("owners", pa.table({"id": pa.array(ids, pa.int64())}))
        state = "NOT NULL" if deleted_at is None else "NULL"
        self.store.execute(
            f"""UPDATE stage_moves SET deleted_at = ? WHERE portal = ? AND entity_type_id = ? AND owner_id BETWEEN ? AND ?
            AND deleted_at IS {state} AND owner_id IN (SELECT id FROM owners)""",
            [deleted_at, self.portal, entity_type, min(ids), max(ids)],
        )

    def fail(self, feed: str, sentence: str) -> None:
        """Note why a feed could not be brought up to date; everything else of it stays as it was."""
        with self.store.transaction():
            self._state(feed, error=sentence)

    # ------------------------------------------------------------ inside a transaction

    def _plan(self, ranges: Sequence[Range]) -> pa.Table:
        rows = [(self.portal, *(getattr(one, name) for name in _RANGE)) for one in ranges]
        return page_of(schema.SYNC_RANGES, ("portal", *_RANGE), rows)

    def _rows(self, feed: Feed, records: Sequence[Any], at: datetime) -> int:
        return int(self._page(feed, Stretch.read(feed, records), at).num_rows) if records else 0

    def _page(self, feed: Feed, stretch: Stretch, at: datetime, *, late: bool = False) -> pa.Table:
        """Write records, what belongs to them, what is observed in them, and what they owe.

        ``late``: a round may have written newer ones meanwhile, which are left alone.
        """
        page = stretch.page(self.portal, at)
        owing: list[int] = []
        if feed.stamped:
            sight = observe.Sight(self.store, self.portal, feed.table, page)
            if late and (outdated := sight.outdated()):
                stretch.leave_out(outdated)
                sight.without(outdated)
                page = sight.page
            sight.note_changes(at)
            if feed.owes and not late:  # of the past all is put down at its end
                owing = sight.fresh(self._cursor_at(feed))
        parts = stretch.part_pages(self.portal)
        if feed.table is schema.USERS:
            for _, _, places in parts:
                observe.moved_people(self.store, self.portal, places, at)
        self.store.upsert(feed.table, page)
        for part, owners, rows in parts:
            self._replace(part, owners, rows)
        if feed.table is schema.DEALS:
            observe.closings(self.store, self.portal, page, at)
        elif feed.table is schema.CURRENCIES:
            observe.rates(self.store, self.portal, at)
            observe.late_rates(self.store, self.portal)
        elif feed.table is schema.USERS:
            observe.late_departments(self.store, self.portal)
        if owing:
            self._owe(feed, owing)
        self._note_unread(feed, page, stretch.unread, at)
        return page

    def _cursor_at(self, feed: Feed) -> datetime | None:
        """When the last complete round of a feed began."""
        sql = "SELECT cursor_at FROM feed_state WHERE portal = ? AND feed = ?"
        found = self.store.rows(sql, [self.portal, feed.name])
        return found[0][0] if found else None

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
        table = part.table
        span = pc.min_max(owners).as_py()
        # BETWEEN lets the database skip all blocks that hold other ids; in a backfill, that is all of them.
        conditions = " AND ".join(f"{table.name}.{name} = ?" for name in ("portal", *part.within))
        near = f"{conditions} AND {table.name}.{part.owner} BETWEEN ? AND ?"
        bounds = [self.portal, *part.within.values(), span["min"], span["max"]]
        if self.store.rows(f"SELECT 1 FROM {table.name} WHERE {near} LIMIT 1", bounds):
            compared = list(dict.fromkeys((part.owner, *table.key)))
            self.store.load("seen_owners", pa.table({"id": owners}))
            self.store.load("seen_rows", rows.select(compared))
            same = " AND ".join(f"seen_rows.{name} = {table.name}.{name}" for name in compared)
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


def untold(owner: int, reason: str) -> Unread:
    """What stands for the records of an owner that the portal could not tell of."""
    return Unread(f"{_OF}{owner}", reason)


def _is_of_owner(record: object) -> bool:
    return isinstance(record, Unread) and record.record_id.startswith(_OF)


def _newest(kind: Attached, states: Mapping[str, State], at: datetime) -> datetime | None:
    """Until when the owners are known; an owner that is not known yet owes something that is not known either."""
    if kind.of is None:
        return at
    owners = states.get(kind.of.name)
    return None if owners is None or owners.synced_at is None else min(at, owners.synced_at)


def _whole(kind: Attached, states: Mapping[str, State]) -> bool:
    """Whether the past of the owners is here."""
    return kind.of is None or (kind.of.name in states and states[kind.of.name].backfilled_at is not None)
