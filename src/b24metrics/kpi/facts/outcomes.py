"""Why deals were lost, and what came before the end (catalogue §8.4; §19 "Funnel")."""

from __future__ import annotations

from b24metrics.kpi.facts.activities import KIND
from b24metrics.kpi.facts.deals import CLOSINGS, CYCLE_SECONDS, WON
from b24metrics.kpi.facts.past import completed
from b24metrics.kpi.facts.view import Fact, working_seconds

_WORKING_JOINS, _WORKING_SECONDS = working_seconds("c.created_at", "c.happened_at")

#: Closed deals with how long they took, by the clock on the wall and in the company's working time; without imported deals
#: and those created closed, and without those whose end precedes their creation.
CYCLES = Fact(
    "kpi_cycles",
    f"""
SELECT c.id, c.happened_at, c.manager_id, c.placed_in, c.pipeline_id, c.source_id, c.outcome, {CYCLE_SECONDS} AS seconds,
    {_WORKING_SECONDS} AS working_seconds
FROM kpi_closings AS c
{_WORKING_JOINS}
WHERE {CYCLE_SECONDS} >= 0 AND c.happened_at >= $since
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(CLOSINGS,),
    kind="deal",
    placed=True,
)

#: Lost deals. ``reason``: the configured user field, or the name of the final stage where none is configured; the portal
#: says of an empty field that it is false, or an empty list. ``stage``: the open stage they stood at last; NULL where they
#: never stood at one.
LOSSES = Fact(
    "kpi_losses",
    """
WITH lost AS (
    SELECT c.id, c.happened_at, c.manager_id, c.placed_in, c.pipeline_id, c.stage_id, c.source_id, c.amount
    FROM kpi_closings AS c
    WHERE c.outcome = 'lost' AND c.happened_at >= $since
), stood AS (
    SELECT m.owner_id AS id, m.id AS move_id, m.created_at, m.stage_id
    FROM stage_moves AS m
    JOIN lost AS l ON l.id = m.owner_id
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND coalesce(m.semantics, 'P') = 'P'
      AND m.created_at <= $now
), latest AS (
    SELECT s.id, max(s.created_at) AS created_at FROM stood AS s GROUP BY s.id
), last AS (
    SELECT s.id, max(s.move_id) AS move_id
    FROM stood AS s
    JOIN latest AS l ON l.id = s.id AND l.created_at = s.created_at
    GROUP BY s.id
), field AS (
    SELECT min(l.text) AS name FROM kpi_lists AS l WHERE l.list = 'loss_reason_field'
)
SELECT l.id, l.happened_at, l.manager_id, l.placed_in, l.pipeline_id, l.source_id, l.amount,
    coalesce(nullif(trim(CASE
        WHEN f.name IS NULL THEN coalesce(s.name, l.stage_id)
        ELSE nullif(nullif((CAST(e.user_fields AS JSON) ->> f.name), 'false'), '[]')
    END), ''), 'not_stated') AS reason,
    t.stage_id AS stage
FROM lost AS l
CROSS JOIN field AS f
JOIN deals AS e ON e.portal = $portal AND e.id = l.id
LEFT JOIN statuses AS s ON s.portal = $portal AND s.entity_type_id = 2 AND s.status_id = l.stage_id
    AND coalesce(s.pipeline_id, 0) = l.pipeline_id
LEFT JOIN last AS x ON x.id = l.id
LEFT JOIN stood AS t ON t.id = x.id AND t.move_id = x.move_id
""",
    feeds=("deals",),
    waits_for=("deal_moves", "statuses"),
    needs=(CLOSINGS,),
    kind="deal",
    placed=True,
)

#: Closed deals that physically stood at a proposal stage.
PROPOSED = Fact(
    "kpi_proposed",
    """
SELECT c.id, c.happened_at, c.manager_id, c.placed_in, c.pipeline_id, c.source_id, c.outcome
FROM kpi_closings AS c
WHERE c.happened_at >= $since AND c.id IN (
    SELECT m.owner_id
    FROM stage_moves AS m
    JOIN kpi_lists AS l ON l.list = 'proposal_stages' AND l.text = m.stage_id
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at <= $now
)
""",
    feeds=("deals", "deal_moves"),
    needs=(CLOSINGS,),
    kind="deal",
    placed=True,
)

#: Closed deals with a held meeting.
MET = Fact(
    "kpi_met",
    f"""
WITH closed AS (
    SELECT c.id FROM kpi_closings AS c WHERE c.happened_at >= $since
), linked AS (
    SELECT b.entity_id AS id, b.activity_id
    FROM activity_bindings AS b
    JOIN closed AS c ON c.id = b.entity_id
    WHERE b.portal = $portal AND b.entity_type_id = 2
    UNION ALL
    SELECT a.owner_id, a.id
    FROM activities AS a
    JOIN closed AS c ON c.id = a.owner_id
    WHERE a.portal = $portal AND a.owner_type_id = 2
), met AS (
    SELECT DISTINCT l.id
    FROM linked AS l
    JOIN activities AS a ON a.portal = $portal AND a.id = l.activity_id
    LEFT JOIN kpi_kinds AS k ON k.provider_id = a.provider_id
    WHERE a.deleted_at IS NULL AND a.starts_at < $now AND {KIND} = 'meeting' AND {completed("a")}
)
SELECT c.id, c.happened_at, c.manager_id, c.placed_in, c.pipeline_id, c.source_id, c.outcome
FROM kpi_closings AS c
JOIN met AS m ON m.id = c.id
""",
    feeds=("deals", "activities"),
    waits_for=("deal_moves",),
    needs=(CLOSINGS,),
    kind="deal",
    placed=True,
)

#: Won deals with their source as a label.
WON_BY_SOURCE = Fact(
    "kpi_won_by_source",
    """
SELECT c.id, c.happened_at, c.manager_id, c.placed_in, c.pipeline_id, c.source_id AS source, c.amount
FROM kpi_won AS c
WHERE c.happened_at >= $since
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(WON,),
    kind="deal",
    placed=True,
)
