"""What the portal forgets: frozen when it is first seen, or written down when it changes.

Laws: an observation is made in the transaction that writes the page it was seen in, so a page that is read again changes
nothing. A change is dated by the record's own time of change; of several within one second the last one stands; from a newer
record to an older one nothing has changed, for pages may be written in another order than they were read. A page of a
backfill, which may be minutes older than a round's, leaves newer records alone (``outdated``); a round's page is the
truth, whatever the portal's clock says, for it may be set back. Of what is copied for the first time no change is known.
What the portal takes back (a deal reopened, an activity no longer completed, a person working again) is
dropped; should it happen again, it is observed anew. At the first copy of an old portal everything is seen for the
first time: what is frozen then is the present state, the best that is left.
Source: KPI catalogue, "History that REST does not keep".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from b24metrics.crm.people import User
from b24metrics.crm.wiretypes import EntityType
from b24metrics.mirror import schema
from b24metrics.mirror.rows import arrow_schema
from b24metrics.mirror.schema import Table
from b24metrics.mirror.stores import Store


def completion(completed: pa.Array, modified_at: pa.Array, at: datetime) -> pa.Array:
    """When activities were completed: their last change at first sight of ``completed``."""
    return pc.if_else(completed, pc.fill_null(modified_at, pa.scalar(at, modified_at.type)), None)


def dismissal(user: User, at: datetime) -> datetime | None:
    """When a person was dismissed: the portal's time at first sight of an inactive account."""
    return at if user.active is False else None


# ---------------------------------------------------------------- before a page is written

_WATCHED: Mapping[Table, tuple[str, ...]] = {
    schema.DEALS: ("assigned_by_id", "opportunity", "currency_id", "closes_on"),
    schema.LEADS: ("assigned_by_id",),
    schema.QUOTES: ("stage_id",),
}
"""Columns whose changes are written down."""


class Sight:
    """A page of records that carry the time of their last change, beside what the mirror has of them.

    To be made inside the transaction that writes the page, before it does. ``known``: whether the mirror has anything
    in the page's span of ids: a backfill meets nothing there, and everything is cheap.
    """

    def __init__(self, store: Store, portal: str, table: Table, page: pa.Table) -> None:
        self._store = store
        self._portal = portal
        self._table = table
        self.page = page
        self.known = False
        self._bounds: list[object] = []
        if page.num_rows:
            span = pc.min_max(page["id"]).as_py()
            self._bounds = [portal, span["min"], span["max"]]
            near = f"SELECT 1 FROM {table.name} WHERE portal = ? AND id BETWEEN ? AND ? LIMIT 1"
            self.known = bool(store.rows(near, self._bounds))
        if self.known:
            self._load()

    def _load(self) -> None:
        watched = ("id", "modified_at", *_WATCHED.get(self._table, ()))
        self._store.load("seen_records", self.page.select(watched))

    @property
    def _both(self) -> str:
        """The records of the page that the mirror has: ``seen`` and ``known``."""
        return (
            f"seen_records AS seen JOIN {self._table.name} AS known ON known.id = seen.id "
            "WHERE known.portal = ? AND known.id BETWEEN ? AND ?"
        )

    @property
    def _forward(self) -> str:
        """Those of them that are not older than what the mirror has."""
        return f"{self._both} AND (known.modified_at IS NULL OR seen.modified_at >= known.modified_at)"

    def outdated(self) -> frozenset[int]:
        """Ids of records that are newer here than on the page. One that was deleted here is never newer."""
        if not self.known:
            return frozenset()
        older = f"{self._both} AND known.modified_at > seen.modified_at AND known.deleted_at IS NULL"
        return frozenset(int(number) for (number,) in self._store.rows(f"SELECT seen.id FROM {older}", self._bounds))

    def without(self, ids: frozenset[int]) -> None:
        """Leave these records out."""
        if ids:
            self.page = self.page.filter(pc.invert(pc.is_in(self.page["id"], pa.array(ids, pa.int64()))))
            self._load()

    def fresh(self, since: datetime | None) -> list[int]:
        """Ids of records that are new here, or were changed since they were written.

        ``since``: when the last complete round began. What was changed in that second or later may have been read in
        the middle of its second, and changed once more without another stamp: it counts as changed.
        """
        ids: list[int] = self.page["id"].to_pylist()
        if not self.known:
            return ids
        same = f"{self._both} AND known.modified_at = seen.modified_at AND known.deleted_at IS NULL"
        if since is not None:
            same += " AND known.modified_at < ?"
        bounds = [*self._bounds, *([] if since is None else [since.replace(microsecond=0)])]
        unchanged = {number for (number,) in self._store.rows(f"SELECT seen.id FROM {same}", bounds)}
        return [number for number in ids if number not in unchanged]

    def note_changes(self, at: datetime) -> None:
        """Write down what of the watched columns has changed."""
        if self._table is schema.QUOTES:
            self._note_quotes(at)
        if not self.known or self._table not in _WATCHED:
            return
        if self._table is schema.DEALS:
            self._note_assignments(EntityType.DEAL, at)
            self._note_deals(at)
            self._correct_closings()
        elif self._table is schema.LEADS:
            self._note_assignments(EntityType.LEAD, at)

    def _note_assignments(self, entity_type: EntityType, at: datetime) -> None:
        changed = f"{self._forward} AND known.assigned_by_id IS DISTINCT FROM seen.assigned_by_id"
        if not self._store.rows(f"SELECT 1 FROM {changed} LIMIT 1", self._bounds):
            return
        self._store.execute(
            f"""
            INSERT INTO assignments (portal, entity_type_id, entity_id, changed_at, from_id, to_id, observed_at)
            SELECT known.portal, {int(entity_type)}, seen.id, coalesce(seen.modified_at, CAST(? AS TIMESTAMPTZ)),
                known.assigned_by_id, seen.assigned_by_id, CAST(? AS TIMESTAMPTZ)
            FROM {changed}
            ON CONFLICT (portal, entity_type_id, entity_id, changed_at) DO UPDATE SET to_id = excluded.to_id
            """,
            [at, at, *self._bounds],
        )
        self._store.execute(  # there and back within a second
            f"""DELETE FROM assignments WHERE portal = ? AND entity_type_id = {int(entity_type)}
            AND entity_id BETWEEN ? AND ? AND from_id IS NOT DISTINCT FROM to_id""",
            self._bounds,
        )

    def _note_deals(self, at: datetime) -> None:
        names = ("opportunity", "currency_id", "closes_on")
        differ = " OR ".join(f"known.{name} IS DISTINCT FROM seen.{name}" for name in names)
        changed = f"{self._forward} AND ({differ})"
        if not self._store.rows(f"SELECT 1 FROM {changed} LIMIT 1", self._bounds):
            return
        self._store.execute(
            f"""
            INSERT INTO deal_changes (portal, deal_id, changed_at, {", ".join(f"from_{name}, to_{name}" for name in names)},
                observed_at)
            SELECT known.portal, seen.id, coalesce(seen.modified_at, CAST(? AS TIMESTAMPTZ)),
                {", ".join(f"known.{name}, seen.{name}" for name in names)}, CAST(? AS TIMESTAMPTZ)
            FROM {changed}
            ON CONFLICT (portal, deal_id, changed_at) DO UPDATE SET {", ".join(f"to_{n} = excluded.to_{n}" for n in names)}
            """,
            [at, at, *self._bounds],
        )
        self._store.execute(
            f"""DELETE FROM deal_changes WHERE portal = ? AND deal_id BETWEEN ? AND ?
            AND {" AND ".join(f"from_{name} IS NOT DISTINCT FROM to_{name}" for name in names)}""",
            self._bounds,
        )

    def _correct_closings(self) -> None:
        """What was frozen in another currency was never true: the record's word takes its place, the rate is found anew."""
        if not self._store.rows(
            "SELECT 1 FROM deal_closings WHERE portal = ? AND deal_id BETWEEN ? AND ? LIMIT 1", self._bounds
        ):
            return
        self._store.execute(
            """
            UPDATE deal_closings SET rate = NULL, rate_count = NULL, opportunity = seen.opportunity,
                currency_id = seen.currency_id
            FROM seen_records AS seen, deals AS known
            WHERE deal_closings.portal = ? AND deal_closings.deal_id BETWEEN ? AND ? AND deal_closings.deal_id = seen.id
              AND known.portal = deal_closings.portal AND known.id = seen.id
              AND known.currency_id IS DISTINCT FROM seen.currency_id
            """,
            self._bounds,
        )

    def _note_quotes(self, at: datetime) -> None:
        """Quotes have no history: the first sight of each is its beginning."""
        if not self.page.num_rows:
            return
        if not self.known:
            self._load()
        self._store.execute(
            """
            INSERT INTO quote_moves (portal, quote_id, changed_at, from_stage_id, to_stage_id, observed_at)
            SELECT ?, seen.id, coalesce(seen.modified_at, CAST(? AS TIMESTAMPTZ)), known.stage_id, seen.stage_id,
                CAST(? AS TIMESTAMPTZ)
            FROM seen_records AS seen LEFT JOIN quotes AS known ON known.portal = ? AND known.id = seen.id
            WHERE known.id IS NULL OR (known.stage_id IS DISTINCT FROM seen.stage_id
                AND (known.modified_at IS NULL OR seen.modified_at >= known.modified_at))
            ON CONFLICT (portal, quote_id, changed_at) DO UPDATE SET to_stage_id = excluded.to_stage_id
            """,
            [self._portal, at, at, self._portal],
        )


def moved_people(store: Store, portal: str, places: pa.Table, at: datetime) -> None:
    """Write down whose primary department changed. ``places``: rows of ``user_departments``, not yet written."""
    if not places.num_rows:
        return
    store.load("seen_places", places.select(["user_id", "department_id", "ordinal"]))
    store.execute(
        """
        INSERT INTO department_changes (portal, user_id, changed_at, from_id, to_id)
        SELECT person.portal, seen.user_id, CAST(? AS TIMESTAMPTZ), known.department_id, seen.department_id
        FROM seen_places AS seen
        JOIN users AS person ON person.portal = ? AND person.id = seen.user_id
        LEFT JOIN user_departments AS known
            ON known.portal = person.portal AND known.user_id = seen.user_id AND known.ordinal = 0
        WHERE seen.ordinal = 0 AND known.department_id IS DISTINCT FROM seen.department_id
        ON CONFLICT (portal, user_id, changed_at) DO UPDATE SET to_id = excluded.to_id
        """,
        [at, portal],
    )


# ---------------------------------------------------------------- after a page was written


def rates(store: Store, portal: str, at: datetime) -> None:
    """Keep the rates of currencies where they differ from the last ones kept."""
    store.execute(
        """
        INSERT INTO rates (portal, currency_id, seen_at, rate, rate_count)
        SELECT present.portal, present.id, CAST(? AS TIMESTAMPTZ), present.rate, present.rate_count
        FROM currencies AS present
        LEFT JOIN (
            SELECT portal, currency_id, max(seen_at) AS seen_at FROM rates WHERE portal = ? GROUP BY portal, currency_id
        ) AS latest ON latest.portal = present.portal AND latest.currency_id = present.id
        LEFT JOIN rates AS held
            ON held.portal = latest.portal AND held.currency_id = latest.currency_id AND held.seen_at = latest.seen_at
        WHERE present.portal = ? AND present.deleted_at IS NULL
          AND (held.rate IS DISTINCT FROM present.rate OR held.rate_count IS DISTINCT FROM present.rate_count)
        ON CONFLICT (portal, currency_id, seen_at) DO UPDATE SET rate = excluded.rate, rate_count = excluded.rate_count
        """,
        [at, portal, portal],
    )


def late_rates(store: Store, portal: str) -> None:
    """Give rates to what was frozen while its currency was not known here (its directory could not be read)."""
    for table, lacking in (("deal_closings", "rate IS NULL"), ("payments", "rate IS NULL AND paid")):
        mine = f"{table}.portal = ? AND {table}.{lacking}"
        same = f"currency.portal = {table}.portal AND currency.id = {table}.currency_id AND currency.rate IS NOT NULL"
        if store.rows(f"SELECT 1 FROM {table} JOIN currencies AS currency ON {same} WHERE {mine} LIMIT 1", [portal]):
            store.execute(
                f"""UPDATE {table} SET rate = currency.rate, rate_count = currency.rate_count
                FROM currencies AS currency WHERE {mine} AND {same}""",
                [portal],
            )


def late_departments(store: Store, portal: str) -> None:
    """Give departments to what was frozen while its manager was not known here."""
    place = "place.portal = deal_closings.portal AND place.user_id = deal_closings.manager_id AND place.ordinal = 0"
    lacking = f"FROM deal_closings JOIN user_departments AS place ON {place} WHERE deal_closings.portal = ?"
    if store.rows(f"SELECT 1 {lacking} AND deal_closings.department_id IS NULL LIMIT 1", [portal]):
        store.execute(
            f"""UPDATE deal_closings SET department_id = place.department_id FROM user_departments AS place
            WHERE deal_closings.portal = ? AND deal_closings.department_id IS NULL AND {place}""",
            [portal],
        )


def payments(store: Store, portal: str, page: pa.Table) -> None:
    """Freeze the rate of what was paid at first sight; drop it where a payment was taken back."""
    if not page.num_rows:
        return
    store.load("seen_payments", page.select(["id"]))
    store.execute(
        """UPDATE payments SET rate = NULL, rate_count = NULL FROM seen_payments AS seen
        WHERE payments.portal = ? AND payments.id = seen.id AND NOT coalesce(payments.paid, FALSE)""",
        [portal],
    )
    store.execute(
        """UPDATE payments SET rate = currency.rate, rate_count = currency.rate_count
        FROM seen_payments AS seen, currencies AS currency
        WHERE payments.portal = ? AND payments.id = seen.id AND payments.paid AND payments.rate IS NULL
          AND currency.portal = payments.portal AND currency.id = payments.currency_id""",
        [portal],
    )


def closings(store: Store, portal: str, deals: pa.Table, at: datetime) -> None:
    """Freeze whose a deal was, its amount and its rate when it is first seen won or lost; forget it when it is open again.

    A deal that was reopened and closed again between two looks is observed anew as well: its moves tell.
    To be called inside the transaction that wrote them; ``deals`` is the page as it was written, ``at`` the portal's time.
    """
    if not deals.num_rows:
        return
    seen = deals.select(["id", "semantics", "assigned_by_id", "opportunity", "currency_id", "moved_at"])
    span = pc.min_max(seen["id"]).as_py()
    bounds = [portal, span["min"], span["max"]]
    if not store.rows("SELECT 1 FROM deal_closings WHERE portal = ? AND deal_id BETWEEN ? AND ? LIMIT 1", bounds):
        _first_closings(store, portal, seen, at)
        return
    store.load("seen_deals", seen)
    _forget_closings(store, bounds)
    # A rate or department that was not known at the time is taken as soon as it is. A round begins before what it sees:
    # nothing is observed earlier than it happened.
    store.execute(
        """
        INSERT INTO deal_closings (portal, deal_id, semantics, manager_id, department_id, opportunity, currency_id, rate,
            rate_count, observed_at)
        SELECT ?, seen.id, seen.semantics, seen.assigned_by_id, place.department_id, seen.opportunity, seen.currency_id,
            currency.rate, currency.rate_count,
            greatest(CAST(? AS TIMESTAMPTZ), coalesce(seen.moved_at, CAST(? AS TIMESTAMPTZ)))
        FROM seen_deals AS seen
        LEFT JOIN currencies AS currency ON currency.portal = ? AND currency.id = seen.currency_id
        LEFT JOIN user_departments AS place
            ON place.portal = ? AND place.user_id = seen.assigned_by_id AND place.ordinal = 0
        WHERE seen.semantics IN ('S', 'F')
        ON CONFLICT (portal, deal_id) DO UPDATE SET
            department_id = coalesce(deal_closings.department_id,
                CASE WHEN deal_closings.manager_id = excluded.manager_id THEN excluded.department_id END),
            rate = coalesce(deal_closings.rate, excluded.rate),
            rate_count = coalesce(deal_closings.rate_count, excluded.rate_count)
        """,
        [portal, at, at, portal, portal],
    )


def _first_closings(store: Store, portal: str, seen: pa.Table, at: datetime) -> None:
    """The same where none of the deals was ever closed here, as in a backfill: looked up here, and written as it is."""
    seen = seen.filter(pc.is_in(seen["semantics"], pa.array(["S", "F"])))
    if not seen.num_rows:
        return
    rates = store.rows("SELECT id, rate, rate_count FROM currencies WHERE portal = ?", [portal])
    places = store.rows(
        "SELECT user_id, department_id FROM user_departments WHERE portal = ? AND ordinal = 0", [portal]
    )
    known_rates, known_places = _known(rates, _RATES), _known(places, _PLACES)
    now = pa.scalar(at, seen.schema.field("moved_at").type)
    rate = pc.index_in(seen["currency_id"], known_rates["id"])
    place = pc.index_in(seen["assigned_by_id"], known_places["user_id"])
    columns = {
        "portal": pa.repeat(portal, seen.num_rows),
        "deal_id": seen["id"],
        "semantics": seen["semantics"],
        "manager_id": seen["assigned_by_id"],
        "department_id": known_places["department_id"].take(place),
        "opportunity": seen["opportunity"],
        "currency_id": seen["currency_id"],
        "rate": known_rates["rate"].take(rate),
        "rate_count": known_rates["rate_count"].take(rate),
        "observed_at": pc.if_else(
            pc.fill_null(pc.greater(seen["moved_at"], now), fill_value=False), seen["moved_at"], now
        ),
    }
    store.upsert(schema.DEAL_CLOSINGS, pa.table(columns, schema=arrow_schema(schema.DEAL_CLOSINGS, tuple(columns))))


def _known(rows: list[tuple[Any, ...]], names: pa.Schema) -> pa.Table:
    return pa.table([[row[n] for row in rows] for n in range(len(names))], schema=names)


_RATES = arrow_schema(schema.CURRENCIES, ("id", "rate", "rate_count"))
_PLACES = arrow_schema(schema.USER_DEPARTMENTS, ("user_id", "department_id"))


def _forget_closings(store: Store, bounds: list[object]) -> None:
    """Drop what the portal took back: deals that are open again, lost instead of won, or were open in between."""
    store.execute(
        """
        DELETE FROM deal_closings USING seen_deals AS seen
        WHERE deal_closings.portal = ? AND deal_closings.deal_id BETWEEN ? AND ?
          AND deal_closings.deal_id = seen.id AND deal_closings.semantics IS DISTINCT FROM seen.semantics
        """,
        bounds,
    )
    moved_since = store.rows(
        """
        SELECT closing.deal_id FROM deal_closings AS closing
        JOIN seen_deals AS seen ON seen.id = closing.deal_id AND seen.moved_at > closing.observed_at
        WHERE closing.portal = ? AND closing.deal_id BETWEEN ? AND ? LIMIT 1
        """,
        bounds,
    )
    if not moved_since:  # few deals ever are, and looking through all moves for nothing would be dear
        return
    store.execute(
        """
        DELETE FROM deal_closings USING seen_deals AS seen
        WHERE deal_closings.portal = ? AND deal_closings.deal_id BETWEEN ? AND ?
          AND deal_closings.deal_id = seen.id AND seen.moved_at > deal_closings.observed_at
          AND EXISTS (
            SELECT 1 FROM stage_moves AS move
            WHERE move.portal = deal_closings.portal AND move.entity_type_id = 2
              AND move.owner_id = deal_closings.deal_id AND move.deleted_at IS NULL
              AND move.created_at > deal_closings.observed_at
              AND coalesce(move.semantics, 'P') <> deal_closings.semantics
          )
        """,
        bounds,
    )
