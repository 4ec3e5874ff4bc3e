"""Deals: closed, new, in work."""

from __future__ import annotations

from typing import Final

from b24metrics.kpi.facts.past import DEAL_STAGES_THEN
from b24metrics.kpi.facts.population import BORN_CLOSED, DEALS, LOST_DEALS, LOST_STAYS, WON_STAYS
from b24metrics.kpi.facts.view import Fact, View

#: Closed deals by the moment of closing (catalogue §1 decisions 1–3, §2.3, §2.7; §19 on imported deals). What was
#: observed before the present stay began belongs to an earlier one, what was observed of a deal that moved after ``$now``
#: to a later one; the minute is for clocks of history and record. A rate belongs to the currency that it was seen with: it
#: says nothing of another that the deal was given since. Where nothing was observed, assignments and rates as they were
#: written down tell whose the deal was and what its currency was worth.
_CLOSED = """
WITH dated AS (
    SELECT d.id, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency, d.native_amount, d.created_at,
        d.imported, d.company_id, d.contact_id, d.lead_id, d.created_closed, d.closed_since, d.seen_since, d.seen_until,
        CASE WHEN $by_close_date OR (d.imported AND d.created_closed) THEN coalesce(d.close_date_at, d.closed_since)
            ELSE d.closed_since END AS happened_at
    FROM (
        SELECT d.*, y.starts_at AS close_date_at, b.owner_id IS NOT NULL AS created_closed,
            coalesce(s.closed_since, d.moved_at, y.starts_at) AS closed_since,
            coalesce(s.closed_since, TIMESTAMPTZ '1900-01-01 00:00:00+00') - INTERVAL '1 minute' AS seen_since,
            CASE WHEN t.id IS NULL THEN TIMESTAMPTZ '9999-01-01 00:00:00+00' ELSE $now END AS seen_until
        FROM {deals} AS d
        LEFT JOIN {stays} AS s ON s.id = d.id
        LEFT JOIN kpi_days AS y ON y.on_date = d.closes_on
        LEFT JOIN kpi_born_closed AS b ON b.entity_type_id = 2 AND b.owner_id = d.id
        LEFT JOIN kpi_deal_stages_then AS t ON t.id = d.id
        WHERE d.semantics = '{semantics}'
    ) AS d
), frozen AS (
    SELECT d.id, d.happened_at, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency, d.native_amount,
        d.created_at, d.created_closed, d.imported, d.company_id, d.contact_id, d.lead_id, d.closed_since,
        z.deal_id IS NOT NULL AS observed, z.manager_id AS frozen_manager_id, z.department_id AS placed_in,
        CASE WHEN d.currency = $foreign_currency THEN CAST(1 AS DECIMAL(24, 12))
            WHEN coalesce(z.currency_id, d.currency) = d.currency THEN f.factor END AS factor
    FROM dated AS d
    LEFT JOIN deal_closings AS z ON z.portal = $portal AND z.deal_id = d.id AND z.semantics = '{semantics}'
        AND z.observed_at >= d.seen_since AND z.observed_at <= d.seen_until
    LEFT JOIN kpi_factors AS f ON f.rate = z.rate AND f.rate_count = z.rate_count
        AND f.since <= z.observed_at AND z.observed_at < f.until
), hands AS (
    SELECT f.id, a.from_id AS manager_id, row_number() OVER (PARTITION BY f.id ORDER BY a.changed_at) AS nth
    FROM frozen AS f
    JOIN assignments AS a ON a.portal = $portal AND a.entity_type_id = 2 AND a.entity_id = f.id
        AND a.changed_at > f.closed_since AND a.changed_at <= $now
    WHERE NOT f.observed
), quoted AS (
    SELECT f.id, max(p.factor) AS factor
    FROM frozen AS f
    JOIN kpi_past_rates AS p ON p.currency_id = f.currency AND p.since <= f.closed_since AND f.closed_since < p.until
    WHERE f.factor IS NULL
    GROUP BY f.id
)
SELECT d.id, d.happened_at, coalesce(d.frozen_manager_id, h.manager_id, d.manager_id) AS manager_id,
    d.placed_in, d.pipeline_id, d.stage_id, d.source_id, d.currency, d.native_amount,
    d.native_amount * coalesce(d.factor, q.factor, r.factor) AS amount,
    coalesce(d.factor, q.factor, r.factor) AS factor,
    d.created_at, d.created_closed, d.imported, d.company_id, d.contact_id, d.lead_id
FROM frozen AS d
LEFT JOIN hands AS h ON h.id = d.id AND h.nth = 1
LEFT JOIN quoted AS q ON q.id = d.id
LEFT JOIN kpi_rates AS r ON r.currency_id = d.currency
"""

#: All won deals there ever were: clients are known by them.
WON = View(
    "kpi_won",
    _CLOSED.format(deals="kpi_deals", stays="kpi_won_stays", semantics="S"),
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(DEALS, WON_STAYS, BORN_CLOSED, DEAL_STAGES_THEN),
)

#: Lost deals, see ``LOST_DEALS`` for which.
LOST = View(
    "kpi_lost",
    _CLOSED.format(deals="kpi_lost_deals", stays="kpi_lost_stays", semantics="F"),
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(LOST_DEALS, LOST_STAYS, BORN_CLOSED, DEAL_STAGES_THEN),
)

#: From creation to closing by the clock on the wall; NULL for imported deals and those created closed (§2.7). For a row
#: ``c`` of the views here.
CYCLE_SECONDS: Final = (
    "CASE WHEN NOT c.imported AND NOT c.created_closed THEN epoch(c.happened_at) - epoch(c.created_at) END"
)

#: The client: the company, else the contact; NULL without one. For a row ``c`` of the views here.
CUSTOMER: Final = """CASE WHEN c.company_id > 0 THEN 'company ' || CAST(c.company_id AS VARCHAR)
        WHEN c.contact_id > 0 THEN 'contact ' || CAST(c.contact_id AS VARCHAR) END"""

#: Won and lost deals, all that were closed or created since ``$since`` and those closed in t180.
CLOSINGS = View(
    "kpi_closings",
    """
SELECT c.id, c.happened_at, c.manager_id, c.placed_in, c.pipeline_id, c.stage_id, c.source_id, c.currency, c.native_amount,
    c.amount, c.factor, c.created_at, c.created_closed, c.imported, c.company_id, c.contact_id, 'won' AS outcome
FROM kpi_won AS c
WHERE c.happened_at >= least($since, $t180_at) OR c.created_at >= $since
UNION ALL
SELECT c.id, c.happened_at, c.manager_id, c.placed_in, c.pipeline_id, c.stage_id, c.source_id, c.currency, c.native_amount,
    c.amount, c.factor, c.created_at, c.created_closed, c.imported, c.company_id, c.contact_id, 'lost'
FROM kpi_lost AS c
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(WON, LOST),
)

#: Won and lost deals.
CLOSED_DEALS = Fact(
    "kpi_closed_deals",
    f"""
SELECT c.id, c.happened_at, c.manager_id, c.pipeline_id, c.stage_id, c.source_id, c.currency, c.outcome,
    c.native_amount, c.amount, {CUSTOMER} AS customer, {CYCLE_SECONDS} AS cycle_seconds, c.placed_in
FROM kpi_closings AS c
WHERE c.happened_at >= $since
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
FROM kpi_won AS c
WHERE c.happened_at >= $since
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(WON,),
    kind="deal",
    placed=True,
)

#: Deals by creation, without imports.
NEW_DEALS = Fact(
    "kpi_new_deals",
    """
SELECT d.id, d.created_at AS happened_at, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency
FROM kpi_deals AS d
WHERE NOT d.imported AND d.created_at >= $since
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
