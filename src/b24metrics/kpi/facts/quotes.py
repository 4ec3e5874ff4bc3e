"""Proposals: quotes of the portal, or a deal's stage where quotes are not used (catalogue §6.2; §19 "Other activity").

Laws: a quote has no history of its own, its changes are those that were observed; approved and declined quotes were sent,
and so were those in a status behind "sent".
"""

from __future__ import annotations

from b24metrics.kpi.facts.population import DEALS
from b24metrics.kpi.facts.view import Fact, View

#: What became of quotes until ``$now``, of those that changed since ``$since``: one row a change. ``sent``: the client has it; ``semantics``: of the new status.
QUOTE_STEPS = View(
    "kpi_quote_steps",
    """
WITH known AS (
    SELECT s.status_id, coalesce(s.semantics, 'P') AS semantics, s.sort
    FROM statuses AS s
    WHERE s.portal = $portal AND s.entity_type_id = 7
), threshold AS (
    SELECT min(k.sort) AS sort
    FROM known AS k
    WHERE k.status_id IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'sent_quotes')
), changed AS (
    SELECT DISTINCT m.quote_id AS id FROM quote_moves AS m WHERE m.portal = $portal AND m.changed_at >= $since
), changes AS (
    SELECT m.quote_id AS id, m.changed_at, m.to_stage_id AS stage_id
    FROM quote_moves AS m
    JOIN changed AS d ON d.id = m.quote_id
    WHERE m.portal = $portal AND m.changed_at <= $now
    UNION ALL
    SELECT q.id, coalesce(q.modified_at, q.created_at), q.stage_id
    FROM quotes AS q
    WHERE q.portal = $portal AND coalesce(q.modified_at, q.created_at) >= $since AND NOT EXISTS (
        SELECT 1 FROM quote_moves AS m WHERE m.portal = $portal AND m.quote_id = q.id
    )
)
SELECT c.id, c.changed_at, coalesce(k.semantics, 'P') AS semantics,
    c.stage_id IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'sent_quotes')
        OR coalesce(k.semantics IN ('S', 'F') OR k.sort >= t.sort, FALSE) AS sent,
    q.assigned_by_id AS manager_id, d.pipeline_id
FROM changes AS c
JOIN quotes AS q ON q.portal = $portal AND q.id = c.id AND q.deleted_at IS NULL
CROSS JOIN threshold AS t
LEFT JOIN known AS k ON k.status_id = c.stage_id
LEFT JOIN kpi_deals AS d ON d.id = q.deal_id
WHERE NOT $by_stage AND c.changed_at <= $now
""",
    feeds=("quotes",),
    waits_for=("deals",),
    needs=(DEALS,),
)

#: Proposals by the first moment at which the client had them.
PROPOSALS = Fact(
    "kpi_proposals",
    """
SELECT s.id, min(s.changed_at) AS happened_at, s.manager_id, s.pipeline_id
FROM kpi_quote_steps AS s
WHERE s.sent
GROUP BY s.id, s.manager_id, s.pipeline_id
UNION ALL
SELECT d.id, min(m.created_at), d.manager_id, d.pipeline_id
FROM stage_moves AS m
JOIN kpi_deals AS d ON d.id = m.owner_id
WHERE $by_stage AND m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL
  AND m.stage_id IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'proposal_stages')
GROUP BY d.id, d.manager_id, d.pipeline_id
""",
    feeds=("proposals",),
    needs=(QUOTE_STEPS, DEALS),
    kind="proposal",
)

#: Quotes that are approved or declined, by the moment since when they have been so.
DECIDED_QUOTES = Fact(
    "kpi_decided_quotes",
    """
WITH latest AS (
    SELECT s.id, max(s.changed_at) AS changed_at FROM kpi_quote_steps AS s GROUP BY s.id
), decided AS (
    SELECT s.id, s.semantics, s.manager_id, s.pipeline_id
    FROM kpi_quote_steps AS s
    JOIN latest AS l ON l.id = s.id AND l.changed_at = s.changed_at
    WHERE s.semantics IN ('S', 'F')
), others AS (
    SELECT s.id, max(s.changed_at) AS changed_at
    FROM kpi_quote_steps AS s
    JOIN decided AS d ON d.id = s.id
    WHERE s.semantics <> d.semantics
    GROUP BY s.id
)
SELECT d.id, min(s.changed_at) AS happened_at, d.manager_id, d.pipeline_id, d.semantics = 'S' AS accepted
FROM decided AS d
JOIN kpi_quote_steps AS s ON s.id = d.id
LEFT JOIN others AS o ON o.id = d.id
WHERE o.changed_at IS NULL OR s.changed_at > o.changed_at
GROUP BY d.id, d.manager_id, d.pipeline_id, d.semantics
""",
    feeds=("quotes",),
    needs=(QUOTE_STEPS,),
    kind="quote",
)
