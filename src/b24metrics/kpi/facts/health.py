"""How fresh the mirror is, and whether the company is at work (catalogue §11, technical health; §2.8).

Laws: these are told of ``$now``, whatever the windows; what the mirror does not know has no row.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from b24metrics.kpi.facts.view import Fact
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.refine import IntArray, Refinement
from b24metrics.worktime import Calendars

#: Feeds of the mirror: seconds since each was last in step, and since its ids were last compared with the portal's.
FEEDS = Fact(
    "kpi_feeds_now",
    """
SELECT row_number() OVER (ORDER BY f.feed) AS id, CAST(NULL AS BIGINT) AS manager_id, f.feed AS entity, f.feed AS source,
    CASE WHEN f.error IS NULL AND f.synced_at IS NOT NULL THEN 1 ELSE 0 END AS up,
    CASE WHEN f.synced_at IS NOT NULL THEN greatest(epoch(CAST($now AS TIMESTAMPTZ)) - epoch(f.synced_at), 0) END
        AS lag_seconds
FROM feed_state AS f
WHERE f.portal = $portal
""",
    kind="feed",
    state=True,
)

#: The longest time since any of the feeds that are reconciled was.
RECONCILED = Fact(
    "kpi_reconciled_now",
    """
SELECT CAST(0 AS BIGINT) AS id, CAST(NULL AS BIGINT) AS manager_id,
    greatest(epoch(CAST($now AS TIMESTAMPTZ)) - epoch(min(f.reconciled_at)), 0) AS seconds
FROM feed_state AS f
WHERE f.portal = $portal AND f.reconciled_at IS NOT NULL
HAVING count(*) > 0
""",
    kind="feed",
    state=True,
)


def at_work(columns: Mapping[str, IntArray], calendars: Calendars, _options: KpiOptions) -> Mapping[str, IntArray]:
    """1 where the company's working time runs, else 0."""
    worked = calendars.elapsed(columns["id"], columns["seen_at"], columns["seen_at"] + 1)
    return {"at_work": np.asarray(worked > 0, dtype=np.int64)}


#: The company: one row. Its id 0 is nobody, whose calendar is the company's.
COMPANY_NOW = Fact(
    "kpi_company_now",
    """
SELECT CAST(0 AS BIGINT) AS id, CAST(NULL AS BIGINT) AS manager_id, CAST($now AS TIMESTAMPTZ) AS seen_at
""",
    kind="company",
    state=True,
    refine=Refinement(("id", "seen_at"), ("at_work",), at_work),
)
