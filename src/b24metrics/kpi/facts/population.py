"""The base population F0 (catalogue §2.2) of deals and leads, and since when a closed one has been closed."""

from __future__ import annotations

from b24metrics.kpi.facts.past import (
    DEAL_HANDS_THEN,
    DEAL_STAGES_THEN,
    DEAL_TERMS_THEN,
    LEAD_HANDS_THEN,
    LEAD_STAGES_THEN,
    created,
)
from b24metrics.kpi.facts.view import View

# A burst spans at most two neighbouring stretches of its own length, so one of them holds half of it, and so does the span
# around that one: only authors in such a span are looked at closely, which is nobody on most days.
_BURSTS = """
WITH spans AS (
    SELECT created_by_id, CAST(floor(epoch(created_at) / (16 * ($burst_seconds + 1))) AS BIGINT) AS span
    FROM {table} AS e
    WHERE e.portal = $portal AND e.deleted_at IS NULL AND e.created_by_id IS NOT NULL AND e.created_at IS NOT NULL
      AND {there}
    GROUP BY 1, 2
    HAVING 2 * count(*) >= $burst_records
), stretches AS (
    SELECT e.created_by_id, CAST(floor(epoch(e.created_at) / ($burst_seconds + 1)) AS BIGINT) AS stretch
    FROM {table} AS e
    JOIN spans AS s ON s.created_by_id = e.created_by_id
        AND s.span = CAST(floor(epoch(e.created_at) / (16 * ($burst_seconds + 1))) AS BIGINT)
    WHERE e.portal = $portal AND e.deleted_at IS NULL AND {there}
    GROUP BY 1, 2
    HAVING 2 * count(*) >= $burst_records
), around AS (
    SELECT DISTINCT s.created_by_id, s.stretch + n.step AS stretch
    FROM stretches AS s
    CROSS JOIN (SELECT -1 AS step UNION ALL SELECT 0 UNION ALL SELECT 1) AS n
), suspects AS (
    SELECT e.id, e.created_by_id, epoch(e.created_at) AS created_seconds
    FROM {table} AS e
    JOIN around AS s ON s.created_by_id = e.created_by_id
        AND s.stretch = CAST(floor(epoch(e.created_at) / ($burst_seconds + 1)) AS BIGINT)
    WHERE e.portal = $portal AND e.deleted_at IS NULL AND {there}
), begun AS (
    SELECT id, created_by_id, created_seconds,
        count(*) OVER (
            PARTITION BY created_by_id ORDER BY created_seconds
            RANGE BETWEEN CURRENT ROW AND $burst_seconds FOLLOWING
        ) >= $burst_records AS begins
    FROM suspects
), covered AS (
    SELECT id,
        sum(CASE WHEN begins THEN 1 ELSE 0 END) OVER (
            PARTITION BY created_by_id ORDER BY created_seconds
            RANGE BETWEEN $burst_seconds PRECEDING AND CURRENT ROW
        ) AS beginnings
    FROM begun
)
SELECT id FROM covered WHERE beginnings > 0
"""

_IMPORTED = """
    coalesce(e.created_at < $go_live, FALSE)
    OR coalesce(e.originator_id, '') IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'origins')
    OR coalesce(e.origin_id, '') IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'origins')
    OR e.id IN (SELECT b.id FROM {bursts} AS b)
"""

_NO_TEST_DATA = """
    NOT coalesce(regexp_matches(e.title, $test_pattern), FALSE)
    AND coalesce(e.source_id, '') NOT IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'no_sources')
    AND coalesce(e.assigned_by_id, 0) NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_users')
"""

DEAL_BURSTS = View("kpi_deal_bursts", _BURSTS.format(table="deals", there=created("e")), feeds=("deals",))

#: F0 of deals (catalogue §2.2) as they were at ``$now``, with what most facts read: every column costs all deals there ever
#: were. ``amount``: at the rate of that day.
DEALS = View(
    "kpi_deals",
    f"""
WITH told AS (
    SELECT e.id, e.title, e.created_at, e.lead_id, e.company_id, e.contact_id, e.source_id, e.originator_id, e.origin_id,
        coalesce(CASE WHEN s.id IS NULL THEN e.pipeline_id ELSE coalesce(s.pipeline_id, e.pipeline_id) END, 0) AS pipeline_id,
        CASE WHEN s.id IS NULL THEN e.stage_id ELSE s.stage_id END AS stage_id,
        CASE WHEN s.id IS NULL THEN coalesce(e.semantics, 'P') ELSE s.semantics END AS semantics,
        CASE WHEN s.id IS NULL THEN e.moved_at ELSE s.moved_at END AS moved_at,
        CASE WHEN h.id IS NULL THEN e.assigned_by_id ELSE h.manager_id END AS assigned_by_id,
        CASE WHEN s.id IS NULL THEN e.moved_by_id WHEN h.id IS NULL THEN e.assigned_by_id ELSE h.manager_id END AS moved_by_id,
        CASE WHEN c.id IS NULL THEN e.opportunity ELSE c.opportunity END AS opportunity,
        CASE WHEN c.id IS NULL THEN e.currency_id ELSE c.currency_id END AS currency_id,
        CASE WHEN c.id IS NULL THEN e.closes_on ELSE c.closes_on END AS closes_on
    FROM deals AS e
    LEFT JOIN kpi_deal_stages_then AS s ON s.id = e.id
    LEFT JOIN kpi_deal_hands_then AS h ON h.id = e.id
    LEFT JOIN kpi_deal_terms_then AS c ON c.id = e.id
    WHERE e.portal = $portal AND e.deleted_at IS NULL AND NOT coalesce(e.is_recurring, FALSE) AND {created("e")}
)
SELECT e.id, e.pipeline_id, e.stage_id, e.semantics,
    e.assigned_by_id AS manager_id, e.moved_by_id, e.created_at, e.moved_at, e.closes_on, coalesce(e.lead_id, 0) AS lead_id,
    coalesce(e.company_id, 0) AS company_id, coalesce(e.contact_id, 0) AS contact_id,
    coalesce(nullif(e.source_id, ''), '(none)') AS source_id,
    coalesce(nullif(e.currency_id, ''), $base_currency) AS currency,
    coalesce(e.opportunity, 0) AS native_amount, coalesce(e.opportunity, 0) * r.factor AS amount,
    ({_IMPORTED.format(bursts="kpi_deal_bursts")}) AS imported
FROM told AS e
LEFT JOIN kpi_rates AS r ON r.currency_id = coalesce(nullif(e.currency_id, ''), $base_currency)
WHERE {_NO_TEST_DATA}
  AND ($all_pipelines OR e.pipeline_id IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'pipelines'))
  AND e.pipeline_id NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_pipelines')
""",
    feeds=("deals",),
    needs=(DEAL_BURSTS, DEAL_STAGES_THEN, DEAL_HANDS_THEN, DEAL_TERMS_THEN),
)

#: Records created closed (catalogue §2.7), whatever became of them.
BORN_CLOSED = View(
    "kpi_born_closed",
    f"""
SELECT DISTINCT m.entity_type_id, m.owner_id
FROM stage_moves AS m
WHERE m.portal = $portal AND m.deleted_at IS NULL AND m.entity_type_id IN (1, 2) AND m.kind = 1 AND m.semantics IN ('S', 'F')
    AND {created("m")}
""",
)

# Nearly every closed record was closed once, with its last move. Only the others are looked at closely: where the row
# before the current stay and the first row of the stay share a second, ids tell which came later. Plain aggregates on
# purpose: window functions would sort the whole history.
_STAYS = """
WITH closures AS (
    SELECT o.id, min(m.created_at) AS closed_since, count(*) AS times, min(o.moved_at) AS moved_at
    FROM stage_moves AS m
    JOIN {owners} AS o ON o.id = m.owner_id AND o.semantics = m.semantics
    WHERE m.portal = $portal AND m.entity_type_id = {entity_type_id} AND m.deleted_at IS NULL
      AND m.semantics IN ({ends}) AND o.semantics IN ({ends}) AND {there}
    GROUP BY o.id
), plain AS (
    SELECT c.id, c.closed_since
    FROM closures AS c
    WHERE c.times = 1
      AND c.moved_at BETWEEN c.closed_since - INTERVAL '1 second' AND c.closed_since + INTERVAL '1 second'
), winding AS (
    SELECT o.id, o.semantics
    FROM {owners} AS o
    LEFT JOIN plain AS p ON p.id = o.id
    WHERE o.semantics IN ({ends}) AND p.id IS NULL
), moves AS (
    SELECT m.owner_id, m.id, m.created_at, coalesce(m.semantics, 'P') = o.semantics AS same
    FROM stage_moves AS m
    JOIN winding AS o ON o.id = m.owner_id
    WHERE m.portal = $portal AND m.entity_type_id = {entity_type_id} AND m.deleted_at IS NULL AND {there}
), others AS (
    SELECT owner_id, max(created_at) AS last_at FROM moves WHERE NOT same GROUP BY owner_id
)
SELECT m.owner_id AS id,
    CASE
        WHEN max(CASE WHEN m.same AND m.created_at = o.last_at THEN m.id END)
            > max(CASE WHEN NOT m.same AND m.created_at = o.last_at THEN m.id END)
        THEN max(o.last_at)
        ELSE min(CASE WHEN m.same AND (o.last_at IS NULL OR m.created_at > o.last_at) THEN m.created_at END)
    END AS closed_since
FROM moves AS m
LEFT JOIN others AS o ON o.owner_id = m.owner_id
GROUP BY m.owner_id
UNION ALL
SELECT id, closed_since FROM plain
"""

#: Won deals: since when they have stood in their present semantics without a break; NULL where history ends elsewhere.
WON_STAYS = View(
    "kpi_won_stays",
    _STAYS.format(owners="kpi_deals", entity_type_id=2, ends="'S'", there=created("m")),
    needs=(DEALS,),
)

# Lost deals that did not move since the windows began, but were closed or created in them by another sign.
_LOST_OTHERS = View(
    "kpi_lost_others",
    """
SELECT d.id
FROM kpi_deals AS d
WHERE d.semantics = 'F' AND coalesce(d.moved_at < least($since, $t180_at), TRUE) AND (
    d.moved_at IS NULL OR d.created_at >= least($since, $t180_at) OR d.amount IS NULL
    OR (($by_close_date OR d.imported) AND d.closes_on >= CAST(least($since, $t180_at) - INTERVAL '2 day' AS DATE))
    OR d.id IN (
        SELECT m.owner_id
        FROM stage_moves AS m
        WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.semantics = 'F'
          AND m.created_at >= least($since, $t180_at)
    )
)
""",
    needs=(DEALS,),
)

#: Lost deals, of all of which there are many, but those whose end lies before ``$since`` and t180 by every sign there is:
#: nobody asks about these. Those that were created later, and those without a rate, are here too.
LOST_DEALS = View(
    "kpi_lost_deals",
    """
SELECT d.id, d.semantics, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency, d.native_amount, d.created_at,
    d.moved_at, d.closes_on, d.company_id, d.contact_id, d.lead_id, d.imported
FROM kpi_deals AS d
WHERE d.semantics = 'F' AND d.moved_at >= least($since, $t180_at)
UNION ALL
SELECT d.id, d.semantics, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency, d.native_amount, d.created_at,
    d.moved_at, d.closes_on, d.company_id, d.contact_id, d.lead_id, d.imported
FROM kpi_deals AS d
JOIN kpi_lost_others AS o ON o.id = d.id
""",
    needs=(DEALS, _LOST_OTHERS),
)

#: The same of lost deals.
LOST_STAYS = View(
    "kpi_lost_stays",
    _STAYS.format(owners="kpi_lost_deals", entity_type_id=2, ends="'F'", there=created("m")),
    needs=(LOST_DEALS,),
)

LEAD_BURSTS = View("kpi_lead_bursts", _BURSTS.format(table="leads", there=created("e")), feeds=("leads",))

#: F0 of leads as they were at ``$now``.
LEADS = View(
    "kpi_leads",
    f"""
WITH told AS (
    SELECT e.id, e.title, e.created_by_id, e.modified_by_id, e.created_at, e.modified_at, e.webform_id, e.source_id,
        e.originator_id, e.origin_id, e.user_fields, e.company_id, e.contact_id, e.is_return_customer,
        CASE WHEN s.id IS NULL THEN e.stage_id ELSE s.stage_id END AS stage_id,
        CASE WHEN s.id IS NULL THEN coalesce(e.semantics, 'P') ELSE s.semantics END AS semantics,
        CASE WHEN s.id IS NULL THEN e.moved_at ELSE s.moved_at END AS moved_at,
        CASE WHEN e.closed_at <= $now OR e.closed_at > $seen_until THEN e.closed_at END AS closed_at,
        CASE WHEN h.id IS NULL THEN e.assigned_by_id ELSE h.manager_id END AS assigned_by_id,
        CASE WHEN s.id IS NULL THEN e.moved_by_id WHEN h.id IS NULL THEN e.assigned_by_id ELSE h.manager_id END AS moved_by_id
    FROM leads AS e
    LEFT JOIN kpi_lead_stages_then AS s ON s.id = e.id
    LEFT JOIN kpi_lead_hands_then AS h ON h.id = e.id
    WHERE e.portal = $portal AND e.deleted_at IS NULL AND {created("e")}
)
SELECT e.id, e.stage_id, e.semantics, e.assigned_by_id AS manager_id, e.created_by_id,
    e.modified_by_id, e.moved_by_id, e.created_at, e.modified_at, e.moved_at, e.closed_at,
    coalesce(e.company_id, 0) AS company_id, coalesce(e.contact_id, 0) AS contact_id,
    coalesce(e.is_return_customer, FALSE) AS is_return_customer,
    coalesce(e.webform_id, 0) AS webform_id, coalesce(nullif(e.source_id, ''), '(none)') AS source_id,
    ({_IMPORTED.format(bursts="kpi_lead_bursts")}) AS imported
FROM told AS e
WHERE {_NO_TEST_DATA}
""",
    feeds=("leads",),
    needs=(LEAD_BURSTS, LEAD_STAGES_THEN, LEAD_HANDS_THEN),
)

LEAD_STAYS = View(
    "kpi_lead_stays",
    _STAYS.format(owners="kpi_leads", entity_type_id=1, ends="'S', 'F'", there=created("m")),
    needs=(LEADS,),
)

#: New requests: leads, or deals that do not come from a lead (catalogue §7.2 "Population"; §19 "Entered by hand").
