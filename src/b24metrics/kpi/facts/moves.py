"""Deals that move forward (catalogue §6.2; §19 "Other activity")."""

from __future__ import annotations

from b24metrics.kpi.facts.population import DEALS
from b24metrics.kpi.facts.view import Fact

#: Moves to a later stage of the same pipeline. Success is the last stage, failure is none; stages that were deleted keep
#: their place, one that was never known has none. The last move of a deal belongs to the one who made it, earlier ones to
#: the person responsible; what the portal moved by itself belongs to nobody.
FORWARD_MOVES = Fact(
    "kpi_forward_moves",
    """
WITH moved AS (
    SELECT DISTINCT m.owner_id
    FROM stage_moves AS m
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at >= $since AND m.kind <> 1
), ranked AS (
    SELECT m.id, m.owner_id, m.kind, m.created_at, coalesce(m.pipeline_id, 0) AS pipeline_id,
        CASE coalesce(m.semantics, s.semantics, 'P')
            WHEN 'P' THEN s.sort
            WHEN 'S' THEN 1000000000 + coalesce(s.sort, 0)
        END AS place
    FROM stage_moves AS m
    JOIN moved AS o ON o.owner_id = m.owner_id
    LEFT JOIN statuses AS s ON s.portal = $portal AND s.entity_type_id = 2 AND s.status_id = m.stage_id
        AND coalesce(s.pipeline_id, 0) = coalesce(m.pipeline_id, 0)
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL
), steps AS (
    SELECT r.*, lag(r.place) OVER deal AS place_before, lag(r.pipeline_id) OVER deal AS pipeline_before,
        lead(r.id) OVER deal IS NULL AS is_last
    FROM ranked AS r
    WINDOW deal AS (PARTITION BY r.owner_id ORDER BY r.created_at, r.id)
)
SELECT d.id, s.created_at AS happened_at,
    CASE WHEN s.is_last AND d.moved_by_id IS NOT NULL THEN d.moved_by_id ELSE d.manager_id END AS manager_id,
    CASE WHEN ($all_pipelines OR s.pipeline_id IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'pipelines'))
            AND s.pipeline_id NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_pipelines')
        THEN s.pipeline_id END AS pipeline_id
FROM steps AS s
JOIN kpi_deals AS d ON d.id = s.owner_id
WHERE s.place > s.place_before AND s.kind NOT IN (1, 5) AND s.pipeline_id = s.pipeline_before AND s.created_at >= $since
""",
    feeds=("deals", "deal_moves"),
    needs=(DEALS,),
    kind="deal",
)
