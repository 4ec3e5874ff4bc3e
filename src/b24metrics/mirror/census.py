"""What the mirror holds between two ids, and how far its comparison with the portal is.

Laws: nothing here asks the portal or reads a clock. Every change of a sweep's state is one transaction; a sweep that is
killed goes on where it stood, and what it does twice does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from b24metrics.mirror import schema
from b24metrics.mirror.feeds import Feed
from b24metrics.mirror.ledger import Ledger
from b24metrics.mirror.rows import page_of


@dataclass(frozen=True, slots=True)
class Cell:
    """The ids (``after``, ``upto``] and how many records the mirror (``here``) and the portal (``there``) have of them."""

    after: int
    upto: int
    here: int
    there: int = 0


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


_STANDING = tuple(Standing.__dataclass_fields__)


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
        """The greatest id; 0 where there is none."""
        rows, params = self._alive(feed)
        [(found,)] = self._store.rows(f"SELECT max(id) FROM {rows}", params)
        return int(found or 0)

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

    # ------------------------------------------------------------ how far it is

    def standings(self, feeds: Iterable[Feed]) -> dict[Feed, Standing]:
        """How far the sweep of each feed is."""
        sql = f"SELECT {', '.join(_STANDING)} FROM sweeps WHERE portal = ?"
        known = {row[0]: Standing(*row) for row in self._store.rows(sql, [self._portal])}
        return {feed: known.get(feed.name, Standing(feed.name)) for feed in feeds}

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
            f"""SELECT first_id - 1, last_id, here, there FROM sweep_ranges WHERE portal = ? AND feed = ?
            ORDER BY first_id DESC LIMIT {int(most)}""",
            [self._portal, feed.name],
        )
        return [Cell(*map(int, row)) for row in found]

    def looked_into(self, feed: Feed, done: Sequence[Cell], instead: Sequence[Cell] = ()) -> None:
        """These cells are settled, or have become smaller ones."""
        with self._store.transaction():
            for cell in done:
                self._store.execute(
                    "DELETE FROM sweep_ranges WHERE portal = ? AND feed = ? AND first_id = ?",
                    [self._portal, feed.name, cell.after + 1],
                )
            self._add(feed.name, instead)

    def _add(self, feed: str, cells: Sequence[Cell]) -> None:
        if cells:
            names = ("portal", *schema.SWEEP_RANGES.columns)
            rows = [(self._portal, feed, one.after + 1, one.upto, one.here, one.there) for one in cells]
            self._store.upsert(schema.SWEEP_RANGES, page_of(schema.SWEEP_RANGES, names, rows))

    def dismiss(self, feed: Feed, *, losses_only: bool) -> None:
        """Forget the cells that were to be looked into; ``losses_only``: those in which the portal has less."""
        less = " AND there < here" if losses_only else ""
        with self._store.transaction():
            self._store.execute(
                f"DELETE FROM sweep_ranges WHERE portal = ? AND feed = ?{less}", [self._portal, feed.name]
            )

    def totals(self) -> Mapping[str, tuple[int, int]]:
        """Feed → deletions and lost records found, ever."""
        found = self._store.rows("SELECT feed, buried, healed FROM sweeps WHERE portal = ?", [self._portal])
        return {feed: (int(buried), int(healed)) for feed, buried, healed in found}
