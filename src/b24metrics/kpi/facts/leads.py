"""New leads, and visits of the website that bring them (catalogue §6.2)."""

from __future__ import annotations

from b24metrics.kpi.facts.population import DEALS, LEADS
from b24metrics.kpi.facts.view import Fact, View

#: The first open stage of every pipeline of deals.
FIRST_STAGES = View(
    "kpi_first_stages",
    """
WITH numbered AS (
    SELECT coalesce(s.pipeline_id, 0) AS pipeline_id, s.status_id,
        row_number() OVER (PARTITION BY coalesce(s.pipeline_id, 0) ORDER BY s.sort, s.status_id) AS place
    FROM statuses AS s
    WHERE s.portal = $portal AND s.entity_type_id = 2 AND s.deleted_at IS NULL AND coalesce(s.semantics, 'P') = 'P'
)
SELECT n.pipeline_id, n.status_id FROM numbered AS n WHERE n.place = 1
""",
)

#: Who was responsible for a record when it was created, where it has changed hands since (catalogue §2.6).
FIRST_OWNERS = View(
    "kpi_first_owners",
    """
WITH first_changes AS (
    SELECT a.entity_type_id, a.entity_id, min(a.changed_at) AS changed_at
    FROM assignments AS a
    WHERE a.portal = $portal
    GROUP BY a.entity_type_id, a.entity_id
)
SELECT a.entity_type_id, a.entity_id, a.from_id AS manager_id
FROM assignments AS a
JOIN first_changes AS f ON f.entity_type_id = a.entity_type_id AND f.entity_id = a.entity_id AND f.changed_at = a.changed_at
WHERE a.portal = $portal
""",
)

#: New leads without imports. Where the portal has no leads, new deals that began in the first stage of their pipeline.
#: ``from_web``: of a source that stands for the website, or whose visits are counted. ``returned``: a client who had bought.
NEW_LEADS = Fact(
    "kpi_new_leads",
    """
WITH begun AS (
    SELECT 1 AS entity_type_id, l.id, l.created_at, l.manager_id, l.source_id, l.is_return_customer
    FROM kpi_leads AS l
    WHERE $classic AND NOT l.imported
    UNION ALL
    SELECT 2, d.id, d.created_at, d.manager_id, d.source_id, e.is_return_customer
    FROM kpi_deals AS d
    JOIN deals AS e ON e.portal = $portal AND e.id = d.id
    LEFT JOIN stage_moves AS m ON m.portal = $portal AND m.entity_type_id = 2 AND m.owner_id = d.id AND m.kind = 1
        AND m.deleted_at IS NULL
    LEFT JOIN kpi_first_stages AS f ON f.pipeline_id = coalesce(m.pipeline_id, d.pipeline_id)
    WHERE NOT $classic AND NOT d.imported AND d.lead_id = 0 AND d.created_at >= $since
      AND coalesce(coalesce(m.stage_id, d.stage_id) = f.status_id, coalesce(m.semantics, d.semantics) = 'P')
), web AS (
    SELECT l.text AS source_id FROM kpi_lists AS l WHERE l.list = 'web_sources'
    UNION
    SELECT i.label FROM inputs AS i WHERE i.portal = $portal AND i.kind = 'visits' AND i.label <> ''
)
SELECT b.id, b.created_at AS happened_at, coalesce(o.manager_id, b.manager_id) AS manager_id, b.source_id,
    coalesce(b.is_return_customer, FALSE) AS returned, w.source_id IS NOT NULL AS from_web
FROM begun AS b
LEFT JOIN kpi_first_owners AS o ON o.entity_type_id = b.entity_type_id AND o.entity_id = b.id
LEFT JOIN web AS w ON w.source_id = b.source_id
""",
    feeds=("requests",),
    waits_for=("deal_moves",),
    needs=(DEALS, LEADS, FIRST_STAGES, FIRST_OWNERS),
    kind="request",
)

#: Visits of the website, as they were supplied: by day, and by source where it is known.
VISITS = Fact(
    "kpi_web_visits",
    """
SELECT CAST(0 AS BIGINT) AS id, y.starts_at AS happened_at, CAST(NULL AS BIGINT) AS manager_id,
    nullif(i.label, '') AS source_id, i.amount AS visits
FROM inputs AS i
JOIN kpi_days AS y ON y.on_date = i.starts_on
WHERE i.portal = $portal AND i.kind = 'visits'
""",
    kind="visits",
)
