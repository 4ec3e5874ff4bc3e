"""What the portal forgets, frozen when it is first seen.

Laws: an observation is made in the transaction that writes the page it was seen in, so a page that is read again changes
nothing. What the portal takes back (a deal reopened, an activity no longer completed, a person working again) is
dropped; should it happen again, it is observed anew. At the first copy of an old portal everything is seen for the
first time: what is frozen then is the present state, the best that is left.
Source: KPI catalogue, "History that REST does not keep".
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from b24metrics.crm.activities import Activity
from b24metrics.crm.people import User
from b24metrics.mirror.stores import Store


def completion(activity: Activity, at: datetime) -> datetime | None:
    """When an activity was completed: its last change at first sight of ``completed``."""
    return (activity.modified_at or at) if activity.completed else None


def dismissal(user: User, at: datetime) -> datetime | None:
    """When a person was dismissed: the portal's time at first sight of an inactive account."""
    return at if user.active is False else None


def corrections(store: Store, portal: str, deals: pa.Table) -> None:
    """Forget the frozen rate of deals whose currency was corrected: it was another one's.

    To be called inside the transaction that writes them, before it does; ``closings`` then takes the right rate.
    """
    if not deals.num_rows:
        return
    seen = deals.select(["id", "currency_id"])
    span = pc.min_max(seen["id"]).as_py()
    bounds = [portal, span["min"], span["max"]]
    # A backfill meets no closings, and most rounds none of these deals'.
    if not store.rows("SELECT 1 FROM deal_closings WHERE portal = ? AND deal_id BETWEEN ? AND ? LIMIT 1", bounds):
        return
    store.load("seen_deals", seen)
    store.execute(
        """
        UPDATE deal_closings SET rate = NULL, rate_count = NULL
        FROM seen_deals AS seen, deals AS known
        WHERE deal_closings.portal = ? AND deal_closings.deal_id BETWEEN ? AND ? AND deal_closings.deal_id = seen.id
          AND known.portal = deal_closings.portal AND known.id = seen.id
          AND known.currency_id IS DISTINCT FROM seen.currency_id
        """,
        bounds,
    )


def closings(store: Store, portal: str, deals: pa.Table, at: datetime) -> None:
    """Freeze who owned a deal, and at which rate, when it is first seen won or lost; forget it when it is open again.

    A deal that was reopened and closed again between two looks is observed anew as well: its moves tell.
    To be called inside the transaction that wrote them; ``deals`` is the page as it was written, ``at`` the portal's time.
    """
    if not deals.num_rows:
        return
    seen = deals.select(["id", "semantics", "assigned_by_id", "currency_id", "moved_at"])
    span = pc.min_max(seen["id"]).as_py()
    bounds = [portal, span["min"], span["max"]]
    store.load("seen_deals", seen)
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
    if moved_since:  # few deals ever are, and looking through all moves for nothing would be dear
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
    # A rate that was not known at the time is taken as soon as it is. A round begins before what it sees: nothing is
    # observed earlier than it happened.
    store.execute(
        """
        INSERT INTO deal_closings (portal, deal_id, semantics, manager_id, rate, rate_count, observed_at)
        SELECT ?, seen.id, seen.semantics, seen.assigned_by_id, currency.rate, currency.rate_count,
            greatest(?, coalesce(seen.moved_at, ?))
        FROM seen_deals AS seen
        LEFT JOIN currencies AS currency ON currency.portal = ? AND currency.id = seen.currency_id
        WHERE seen.semantics IN ('S', 'F')
        ON CONFLICT (portal, deal_id) DO UPDATE SET
            rate = coalesce(deal_closings.rate, excluded.rate),
            rate_count = coalesce(deal_closings.rate_count, excluded.rate_count)
        """,
        [portal, at, at, portal],
    )
