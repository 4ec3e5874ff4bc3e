"""What the mirror holds between two ids, and how far its comparison with the portal is.

Laws: nothing here asks the portal or reads a clock. Every change of a sweep's state is one transaction; a sweep that is
killed goes on where it stood, and what it does twice does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from b24metrics.mirror import schema
from b24metrics.mirror.feed import Appended, Feed
from b24metrics.mirror.ledger import Ledger
from b24metrics.mirror.rows import page_of
from b24metrics.portal.dialects import PAGE


@dataclass(frozen=True, slots=True)
class Cell:
    """The ids (``after``, ``upto``] and how many records the mirror (``here``) and the portal (``there``) have of them.

    With ``again`` nothing was counted: its records are to be read again, and ``there`` grows whenever that is asked for.
    """

    after: int
    upto: int
    here: int
    there: int = 0
    again: bool = False

    @property
    def first_id(self) -> int:
        """Its key. What is to be read again has keys of its own, below zero: cells that are counted take no place of it."""
        return -(self.after + 1) if self.again else self.after + 1


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the sweep of one feed is. The columns of ``sweeps``."""

    feed: str
    begun_at: datetime | None = None
    whole: bool = False
    at_id: int = 0
    last_id: int = 0
    here: int = 0
    there: int = 0
    gone: int = 0
    decided: bool = False
    newest_at: datetime | None = None
    whole_at: datetime | None = None
    doubted_at: datetime | None = None
    doubt: str | None = None
    buried: int = 0
    healed: int = 0

    @property
    def under_way(self) -> bool:
        return self.begun_at is not None

    @property
    def counted(self) -> bool:
        """All counts are compared."""
        return self.at_id >= self.last_id


MOST_DANGLING = 1000
"""Records that are read again at most because what they refer to is not there."""

_STANDING = tuple(Standing.__dataclass_fields__)
_KINDS = {
    "leads": ("lead_id", 1),
    "deals": ("deal_id", 2),
    "contacts": ("contact_id", 3),
    "companies": ("company_id", 4),
    "quotes": ("quote_id", 7),
    "invoices": ("invoice_id", 31),
}
"""Table → the column by which others refer to its records, and their type."""


def _around(numbers: Sequence[int]) -> list[Cell]:
    """Cells that hold these ids and fit on one page. They count as differing, so that they are read."""
    cells: list[Cell] = []
    for number in numbers:
        if cells and number - cells[-1].after < PAGE:
            cells[-1] = replace(cells[-1], upto=number)
        else:
            cells.append(Cell(number - 1, number, here=0, there=PAGE, again=True))
    return cells


class Census:
    """The mirror of one portal, as a sweep sees it."""

    def __init__(self, ledger: Ledger) -> None:
        self._store = ledger.store
        self._portal = ledger.portal

    # ------------------------------------------------------------ records

    def _alive(self, feed: Feed) -> tuple[str, list[object]]:
        """Condition and parameters for the records of a feed that are not deleted."""
        conditions = {"portal": self._portal, **feed.within}
        where = " AND ".join(f"{name} = ?" for name in conditions)
        return f"{feed.table.name} WHERE {where} AND deleted_at IS NULL", list(conditions.values())

    def last_id(self, feed: Feed) -> int:
        """The greatest id that the mirror has, has walked past, or has the history of; 0 where there is none."""
        rows, params = self._alive(feed)
        known = self._store.rows(f"SELECT max(id) FROM {rows}", params)
        if (entity_type := Ledger.history_of(feed)) is not None:
            sql = "SELECT max(owner_id) FROM stage_moves WHERE portal = ? AND entity_type_id = ? AND deleted_at IS NULL"
            known += self._store.rows(sql, [self._portal, entity_type])
        if isinstance(feed.kind, Appended):
            sql = "SELECT cursor_id FROM feed_state WHERE portal = ? AND feed = ?"
            known += self._store.rows(sql, [self._portal, feed.name])
        return max((int(found) for (found,) in known if found is not None), default=0)

    def edge(self, feed: Feed, count: int) -> int:
        """The id behind which the newest ``count`` records lie."""
        rows, params = self._alive(feed)
        found = self._store.rows(f"SELECT id FROM {rows} ORDER BY id DESC LIMIT 1 OFFSET {int(count)}", params)
        return int(found[0][0]) if found else 0

    def cells(self, feed: Feed, after: int, upto: int, size: int) -> list[Cell]:
        """(after, upto] cut into cells of as equal a number of records as can be, at most ``size``."""
        rows, params = self._alive(feed)
        near = f"{rows} AND id > ? AND id <= ?"
        [(count,)] = self._store.rows(f"SELECT count(*) FROM {near}", [*params, after, upto])
        parts = max(1, -(-int(count) // size))
        found = self._store.rows(
            f"""SELECT max(id), count(*) FROM (SELECT id, ntile({parts}) OVER (ORDER BY id) AS part FROM {near}) AS cut
            GROUP BY part ORDER BY part""",
            [*params, after, upto],
        )
        cells = []
        for last, held in found or [(upto, 0)]:
            cells.append(Cell(after, int(last), int(held)))
            after = int(last)
        return [*cells[:-1], replace(cells[-1], upto=upto)]

    def ids(self, feed: Feed, cell: Cell) -> set[int]:
        """The ids of a cell."""
        rows, params = self._alive(feed)
        found = self._store.rows(f"SELECT id FROM {rows} AND id > ? AND id <= ?", [*params, cell.after, cell.upto])
        return {int(number) for (number,) in found}

    def referring(self, feed: Feed, others: Sequence[Feed], ids: Sequence[int]) -> dict[Feed, list[Cell]]:
        """Records of ``others`` that refer to these of ``feed``, as cells that are to be read again."""
        listed = ", ".join(map(str, ids))
        return self._holding(feed, others, lambda column: (f"{column} IN ({listed})", [])) if ids else {}

    def dangling(self, feed: Feed, others: Sequence[Feed], upto: int) -> dict[Feed, list[Cell]]:
        """Records of ``others`` that refer to what is not alive of ``feed``, up to an id, as cells to be read again.

        The newest ``MOST_DANGLING`` of each: a portal may well keep references to what it has no more.
        """
        rows, params = self._alive(feed)

        def lost(column: str) -> tuple[str, list[object]]:
            return f"{column} BETWEEN 1 AND ? AND {column} NOT IN (SELECT id FROM {rows})", [upto, *params]

        return self._holding(feed, others, lost, f" ORDER BY id DESC LIMIT {MOST_DANGLING}") if upto else {}

    def _holding(
        self, feed: Feed, others: Sequence[Feed], which: Callable[[str], tuple[str, list[object]]], end: str = ""
    ) -> dict[Feed, list[Cell]]:
        """Records of ``others`` whose reference to ``feed`` meets a condition on its column, as cells to be read again."""
        kind = _KINDS.get(feed.table.name)
        if kind is None:
            return {}
        column, entity_type = kind
        found: dict[Feed, list[Cell]] = {}
        for other in others:
            rows, values = self._alive(other)
            if other.table is schema.ACTIVITIES:
                owned, mine = which("owner_id")
                bound, theirs = which("entity_id")
                condition = f"""(owner_type_id = ? AND {owned} OR id IN (SELECT activity_id FROM activity_bindings
                    WHERE portal = ? AND entity_type_id = ? AND {bound}))"""
                values = [*values, entity_type, *mine, self._portal, entity_type, *theirs]
            elif column in other.table.columns:
                condition, mine = which(column)
                values = [*values, *mine]
            else:
                continue
            numbers = sorted(
                {int(id_) for (id_,) in self._store.rows(f"SELECT id FROM {rows} AND {condition}{end}", values)}
            )
            if numbers:
                found[other] = _around(numbers)
        return found

    # ------------------------------------------------------------ how far it is

    def standings(self, feeds: Iterable[Feed]) -> dict[Feed, Standing]:
        """How far the sweep of each feed is."""
        sql = f"SELECT {', '.join(_STANDING)} FROM sweeps WHERE portal = ?"
        known = {row[0]: Standing(*row) for row in self._store.rows(sql, [self._portal])}
        return {feed: known.get(feed.name, Standing(feed.name)) for feed in feeds}

    def know(self, feed: Feed) -> None:
        """Let the feed have a row, for what is counted of it."""
        sql = "SELECT 1 FROM sweeps WHERE portal = ? AND feed = ?"
        if not self._store.rows(sql, [self._portal, feed.name]):
            self.keep(Standing(feed.name))

    def keep(self, one: Standing, differing: Sequence[Cell] = (), *, reconciled_at: datetime | None = None) -> None:
        """Write how far a sweep is, together with cells in which counts were found to differ."""
        with self._store.transaction():
            values = {name: getattr(one, name) for name in _STANDING}
            self._store.upsert(schema.SWEEPS, [{"portal": self._portal, **values}])
            self._add(one.feed, differing)
            if reconciled_at is not None:
                self._store.execute(
                    "UPDATE feed_state SET reconciled_at = ? WHERE portal = ? AND feed = ?",
                    [reconciled_at, self._portal, one.feed],
                )

    def differing(self, feed: Feed, most: int) -> list[Cell]:
        """Cells that are still to be looked into, newest first."""
        found = self._store.rows(
            f"""SELECT abs(first_id) - 1, last_id, here, there, first_id < 0 FROM sweep_ranges WHERE portal = ? AND feed = ?
            ORDER BY abs(first_id) DESC, first_id LIMIT {int(most)}""",
            [self._portal, feed.name],
        )
        return [Cell(int(after), int(upto), int(here), int(there), again) for after, upto, here, there, again in found]

    def read_again(self, cells: Mapping[Feed, Sequence[Cell]]) -> None:
        """Put these cells on the list of what is to be looked into; one that is there already grows to hold both."""
        with self._store.transaction():
            for feed, mine in cells.items():
                sql = "SELECT first_id, last_id, there FROM sweep_ranges WHERE portal = ? AND feed = ? AND first_id < 0"
                known = {
                    first: (upto, there) for first, upto, there in self._store.rows(sql, [self._portal, feed.name])
                }
                grown = []
                for cell in mine:
                    upto, there = known.get(cell.first_id, (cell.upto, cell.there - 1))
                    grown.append(replace(cell, upto=max(cell.upto, int(upto)), there=int(there) + 1))
                self._add(feed.name, grown)

    def waiting(self) -> set[str]:
        """Feeds with cells that are to be looked into."""
        found = self._store.rows("SELECT DISTINCT feed FROM sweep_ranges WHERE portal = ?", [self._portal])
        return {feed for (feed,) in found}

    def looked_into(self, feed: Feed, done: Sequence[Cell], instead: Sequence[Cell] = ()) -> None:
        """These cells are settled, or have become smaller ones; what was asked for anew since they were read stays."""
        with self._store.transaction():
            for cell in done:
                self._store.execute(
                    """DELETE FROM sweep_ranges WHERE portal = ? AND feed = ? AND first_id = ?
                    AND (first_id > 0 OR last_id = ? AND there = ?)""",
                    [self._portal, feed.name, cell.first_id, cell.upto, cell.there],
                )
            self._add(feed.name, instead)

    def _add(self, feed: str, cells: Sequence[Cell]) -> None:
        if cells:
            names = ("portal", *schema.SWEEP_RANGES.columns)
            rows = [(self._portal, feed, one.first_id, one.upto, one.here, one.there) for one in cells]
            self._store.upsert(schema.SWEEP_RANGES, page_of(schema.SWEEP_RANGES, names, rows))

    def leave_alone(self, feed: Feed) -> None:
        """Forget the cells in which the portal has less."""
        with self._store.transaction():
            self._store.execute(
                "DELETE FROM sweep_ranges WHERE portal = ? AND feed = ? AND there < here", [self._portal, feed.name]
            )
