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


def closings(store: Store, portal: str, deals: pa.Table, at: datetime) -> None:
    """Freeze who owned a deal, and at which rate, when it is first seen won or lost; forget it when it is open again.

    To be called inside the transaction that wrote them; ``deals`` is the page as it was written, ``at`` the portal's time.
    """
    if not deals.num_rows:
        return
    seen = deals.select(["id", "semantics", "assigned_by_id", "currency_id"])
    span = pc.min_max(seen["id"]).as_py()
    store.load("seen_deals", seen)
    store.execute(
        """
        DELETE FROM deal_closings USING seen_deals AS seen
        WHERE deal_closings.portal = ? AND deal_closings.deal_id BETWEEN ? AND ?
          AND deal_closings.deal_id = seen.id AND deal_closings.semantics IS DISTINCT FROM seen.semantics
        """,
        [portal, span["min"], span["max"]],
    )
    # A rate that was not known at the time is taken as soon as it is.
    store.execute(
        """
        INSERT INTO deal_closings (portal, deal_id, semantics, manager_id, rate, rate_count, observed_at)
        SELECT ?, seen.id, seen.semantics, seen.assigned_by_id, currency.rate, currency.rate_count, ?
        FROM seen_deals AS seen
        LEFT JOIN currencies AS currency ON currency.portal = ? AND currency.id = seen.currency_id
        WHERE seen.semantics IN ('S', 'F')
        ON CONFLICT (portal, deal_id) DO UPDATE SET
            rate = coalesce(deal_closings.rate, excluded.rate),
            rate_count = coalesce(deal_closings.rate_count, excluded.rate_count)
        """,
        [portal, at, portal],
    )
