"""Deals: closed, new, in work."""

from __future__ import annotations

from b24metrics.kpi.facts.past import DEAL_STAGES_THEN
from b24metrics.kpi.facts.population import BORN_CLOSED, DEAL_STAYS, DEALS
from b24metrics.kpi.facts.view import Fact, View

#: Won and lost deals by the moment of closing (catalogue §1 decisions 1–3, §2.3, §2.7; §19 on imported deals). What was
#: observed before the present stay began belongs to an earlier one, what was observed of a deal that moved after ``$now``
#: to a later one; the minute is for clocks of history and record. A rate belongs to the currency that it was seen with: it
#: says nothing of another that the deal was given since. Where nothing was observed, assignments and rates as they were
#: written down tell whose the deal was and what its currency was worth.
#: ``customer``: the company, else the contact; NULL without a client. ``cycle_seconds``: from creation to closing by the
#: clock on the wall; NULL for imported deals and those created closed (§2.7).
CLOSINGS = View(
    "kpi_closings",
    """
WITH closed AS (
    SELECT d.*, y.starts_at AS close_date_at,
        d.id IN (SELECT b.owner_id FROM kpi_born_closed AS b WHERE b.entity_type_id = 2) AS created_closed,
        s.closed_since AS stays_since, coalesce(s.closed_since, d.moved_at, y.starts_at) AS closed_since
    FROM kpi_deals AS d
    LEFT JOIN kpi_deal_stays AS s ON s.id = d.id
    LEFT JOIN kpi_days AS y ON y.on_date = d.closes_on
    WHERE d.semantics IN ('S', 'F')
), dated AS (
    SELECT d.*,
        CASE WHEN $by_close_date OR (d.imported AND d.created_closed) THEN coalesce(d.close_date_at, d.closed_since)
            ELSE d.closed_since END AS happened_at
    FROM closed AS d
), observed AS (
    SELECT z.deal_id, z.semantics, z.observed_at, z.manager_id, z.department_id, z.currency_id, f.factor
    FROM deal_closings AS z
    LEFT JOIN kpi_deal_stages_then AS t ON t.id = z.deal_id
    LEFT JOIN kpi_factors AS f ON f.rate = z.rate AND f.rate_count = z.rate_count
    WHERE z.portal = $portal AND (t.id IS NULL OR z.observed_at <= $now)
), frozen AS (
    SELECT d.*, z.deal_id, z.manager_id AS frozen_manager_id, z.department_id AS placed_in,
        CASE WHEN coalesce(z.currency_id, d.currency) = d.currency THEN z.factor END AS factor
    FROM dated AS d
    LEFT JOIN observed AS z ON z.deal_id = d.id AND z.semantics = d.semantics
        AND z.observed_at >= coalesce(d.stays_since, TIMESTAMPTZ '1900-01-01 00:00:00+00') - INTERVAL '1 minute'
), hands AS (
    SELECT f.id, a.from_id AS manager_id, row_number() OVER (PARTITION BY f.id ORDER BY a.changed_at) AS nth
    FROM frozen AS f
    JOIN assignments AS a ON a.portal = $portal AND a.entity_type_id = 2 AND a.entity_id = f.id
        AND a.changed_at > f.closed_since AND a.changed_at <= $now
    WHERE f.deal_id IS NULL
), quoted AS (
    SELECT f.id, max(p.factor) AS factor
    FROM frozen AS f
    JOIN kpi_past_rates AS p ON p.currency_id = f.currency AND p.since <= f.closed_since AND f.closed_since < p.until
    WHERE f.factor IS NULL
    GROUP BY f.id
)
SELECT d.id, d.happened_at, coalesce(d.frozen_manager_id, h.manager_id, d.manager_id) AS manager_id,
    d.placed_in, d.pipeline_id, d.stage_id, d.source_id,
    d.currency, CASE d.semantics WHEN 'S' THEN 'won' ELSE 'lost' END AS outcome, d.native_amount,
    coalesce(d.native_amount * coalesce(d.factor, q.factor), d.amount) AS amount,
    coalesce(d.factor, q.factor, r.factor) AS factor,
    d.created_at, d.created_closed, d.imported, d.company_id, d.contact_id,
    CASE WHEN d.company_id > 0 THEN 'company ' || CAST(d.company_id AS VARCHAR)
        WHEN d.contact_id > 0 THEN 'contact ' || CAST(d.contact_id AS VARCHAR) END AS customer,
    CASE WHEN NOT d.imported AND NOT d.created_closed THEN epoch(d.happened_at) - epoch(d.created_at) END AS cycle_seconds
FROM frozen AS d
LEFT JOIN hands AS h ON h.id = d.id AND h.nth = 1
LEFT JOIN quoted AS q ON q.id = d.id
LEFT JOIN kpi_rates AS r ON r.currency_id = d.currency
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(DEALS, DEAL_STAYS, BORN_CLOSED, DEAL_STAGES_THEN),
)

#: Won and lost deals.
CLOSED_DEALS = Fact(
    "kpi_closed_deals",
    """
SELECT c.id, c.happened_at, c.manager_id, c.pipeline_id, c.stage_id, c.source_id, c.currency, c.outcome,
    c.native_amount, c.amount, c.customer, c.cycle_seconds, c.placed_in
FROM kpi_closings AS c
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(CLOSINGS,),
    kind="deal",
    placed=True,
)

#: Won deals for comparisons with periods long past: a fact of its own, so that nothing else is computed for those.
WON_BEFORE = Fact(
    "kpi_won_before",
    """
SELECT c.id, c.happened_at, c.manager_id, c.pipeline_id, c.amount, c.placed_in
FROM kpi_closings AS c
WHERE c.outcome = 'won'
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(CLOSINGS,),
    kind="deal",
    placed=True,
)

#: Deals by creation, without imports.
NEW_DEALS = Fact(
    "kpi_new_deals",
    """
SELECT d.id, d.created_at AS happened_at, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency
FROM kpi_deals AS d
WHERE NOT d.imported
""",
    feeds=("deals",),
    needs=(DEALS,),
    kind="deal",
)

#: Deals in work.
OPEN_DEALS = Fact(
    "kpi_open_deals",
    """
SELECT d.id, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency, d.native_amount, d.amount
FROM kpi_deals AS d
WHERE d.semantics = 'P'
""",
    feeds=("deals",),
    needs=(DEALS,),
    kind="deal",
    state=True,
)
