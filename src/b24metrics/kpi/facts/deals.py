"""Deals: closed, new, in work."""

from __future__ import annotations

from b24metrics.kpi.facts.population import BORN_CLOSED, DEAL_STAYS, DEALS
from b24metrics.kpi.facts.view import Fact, View

#: Won and lost deals by the moment of closing (catalogue §1 decisions 1–3, §2.3, §2.7; §19 on imported deals). What was
#: observed before the present stay began belongs to an earlier one; the minute is for clocks of history and record.
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
)
SELECT d.id, d.happened_at, coalesce(z.manager_id, d.manager_id) AS manager_id, d.pipeline_id, d.stage_id, d.source_id,
    d.currency, CASE d.semantics WHEN 'S' THEN 'won' ELSE 'lost' END AS outcome,
    d.native_amount, coalesce(d.native_amount * f.factor, d.amount) AS amount, coalesce(f.factor, r.factor) AS factor,
    d.created_at, d.created_closed, d.company_id, d.contact_id,
    CASE WHEN d.company_id > 0 THEN 'company ' || CAST(d.company_id AS VARCHAR)
        WHEN d.contact_id > 0 THEN 'contact ' || CAST(d.contact_id AS VARCHAR) END AS customer,
    CASE WHEN NOT d.imported AND NOT d.created_closed THEN epoch(d.happened_at) - epoch(d.created_at) END AS cycle_seconds
FROM dated AS d
LEFT JOIN deal_closings AS z ON z.portal = $portal AND z.deal_id = d.id AND z.semantics = d.semantics
    AND (d.stays_since IS NULL OR z.observed_at >= d.stays_since - INTERVAL '1 minute')
LEFT JOIN kpi_factors AS f ON f.rate = z.rate AND f.rate_count = z.rate_count
LEFT JOIN kpi_rates AS r ON r.currency_id = d.currency
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(DEALS, DEAL_STAYS, BORN_CLOSED),
)

#: Won and lost deals.
CLOSED_DEALS = Fact(
    "kpi_closed_deals",
    """
SELECT c.id, c.happened_at, c.manager_id, c.pipeline_id, c.stage_id, c.source_id, c.currency, c.outcome,
    c.native_amount, c.amount, c.customer, c.cycle_seconds
FROM kpi_closings AS c
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(CLOSINGS,),
    kind="deal",
)

#: Won deals for comparisons with periods long past: a fact of its own, so that nothing else is computed for those.
WON_BEFORE = Fact(
    "kpi_won_before",
    """
SELECT c.id, c.happened_at, c.manager_id, c.pipeline_id, c.amount
FROM kpi_closings AS c
WHERE c.outcome = 'won'
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(CLOSINGS,),
    kind="deal",
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

#: Deals in work, with what is planned for them (catalogue §7.1; §19: any open binding is an activity, items of incoming
#: channels are not overdue, a deal created in the future lacks nothing).
OPEN_DEAL_CARE = Fact(
    "kpi_open_deal_care",
    """
WITH pending AS (
    SELECT a.id, a.owner_type_id, a.owner_id,
        coalesce(a.deadline_at < $now, FALSE) AND NOT coalesce(a.is_incoming_channel, FALSE) AS overdue
    FROM activities AS a
    WHERE a.portal = $portal AND a.deleted_at IS NULL AND NOT coalesce(a.completed, FALSE)
), bound AS (
    SELECT b.entity_id AS id, p.overdue
    FROM pending AS p
    JOIN activity_bindings AS b ON b.portal = $portal AND b.activity_id = p.id AND b.entity_type_id = 2
    UNION ALL
    SELECT p.owner_id, p.overdue FROM pending AS p WHERE p.owner_type_id = 2
), planned AS (
    SELECT id, bool_or(overdue) AS overdue FROM bound GROUP BY id
)
SELECT d.id, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency,
    coalesce(p.overdue, FALSE) AS overdue,
    p.id IS NULL AND d.created_at <= $aged_before AS without_activity
FROM kpi_deals AS d
LEFT JOIN planned AS p ON p.id = d.id
WHERE d.semantics = 'P'
""",
    feeds=("deals", "activities"),
    needs=(DEALS,),
    kind="deal",
    state=True,
)
