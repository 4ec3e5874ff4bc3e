"""How long deals stay at their stages (catalogue §7.1 stuck deals, §8.3; §19 "Funnel")."""

from __future__ import annotations

from b24metrics.kpi.facts.funnel import FIRST_HANDS
from b24metrics.kpi.facts.population import BORN_CLOSED, DEALS
from b24metrics.kpi.facts.view import Fact, View, working_seconds
from b24metrics.worktime.sqltable import join_sql, worked_sql

#: Stays at open stages, one row of history each, of the deals that moved or were created since ``$since``, and in t180 at
#: least; in pipelines that count. Without imported deals and those created closed. ``left_at``: NULL while the deal stands
#: there; time is counted up to ``$now`` then. The last row of a deal that is closed all the same ends nowhere and is left
#: out. Working time is the company's.
SPELLS = View(
    "kpi_spells",
    f"""
WITH chosen AS (
    SELECT d.id, d.semantics
    FROM kpi_deals AS d
    WHERE NOT d.imported AND (d.created_at >= least($since, $t180_at) OR d.id IN (
            SELECT m.owner_id
            FROM stage_moves AS m
            WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL
              AND m.created_at >= least($since, $t180_at) AND m.created_at <= $now
        ))
      AND d.id NOT IN (SELECT b.owner_id FROM kpi_born_closed AS b WHERE b.entity_type_id = 2)
), moves AS (
    SELECT m.owner_id AS id, m.id AS move_id, coalesce(m.pipeline_id, 0) AS pipeline_id, m.stage_id,
        coalesce(m.semantics, 'P') = 'P' AS at_open, c.semantics = 'P' AS is_open, m.created_at AS entered_at,
        {worked_sql("m.created_at", "w")} AS worked
    FROM stage_moves AS m
    JOIN chosen AS c ON c.id = m.owner_id
    {join_sql("0", "m.created_at", "w", "kpi_work_days")}
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at <= $now
), walked AS (
    SELECT m.*, lead(m.entered_at) OVER deal AS left_at, lead(m.worked) OVER deal AS worked_then
    FROM moves AS m
    WINDOW deal AS (PARTITION BY m.id ORDER BY m.entered_at, m.move_id)
), present AS (
    SELECT n.now_at, {worked_sql("n.now_at", "w")} AS worked
    FROM (SELECT CAST($now AS TIMESTAMPTZ) AS now_at) AS n
    {join_sql("0", "n.now_at", "w", "kpi_work_days")}
)
SELECT s.id, s.pipeline_id, s.stage_id, s.entered_at, s.left_at,
    epoch(coalesce(s.left_at, n.now_at)) - epoch(s.entered_at) AS seconds,
    CASE WHEN s.left_at IS NULL THEN n.worked ELSE s.worked_then END - s.worked AS working_seconds
FROM walked AS s
CROSS JOIN present AS n
WHERE s.at_open AND (s.left_at IS NOT NULL OR s.is_open)
  AND ($all_pipelines OR s.pipeline_id IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'pipelines'))
  AND s.pipeline_id NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_pipelines')
""",
    needs=(DEALS, BORN_CLOSED),
)

#: Of deals that were created or moved on since ``$since``: a deal's whole time at a stage, by its creation and by its last leaving. ``left_at``: NULL where it stands there (again).
STAGE_TIMES = View(
    "kpi_stage_times",
    """
WITH moved AS (
    SELECT DISTINCT s.id FROM kpi_spells AS s WHERE s.left_at >= $since
), recent AS (
    SELECT d.id, d.created_at, d.manager_id FROM kpi_deals AS d WHERE d.created_at >= $since
    UNION ALL
    SELECT d.id, d.created_at, d.manager_id
    FROM kpi_deals AS d
    JOIN moved AS m ON m.id = d.id
    WHERE coalesce(d.created_at < $since, TRUE)
), times AS (
    SELECT s.id, s.pipeline_id, s.stage_id, CASE WHEN count(s.left_at) = count(*) THEN max(s.left_at) END AS left_at,
        sum(s.seconds) AS seconds, sum(s.working_seconds) AS working_seconds
    FROM kpi_spells AS s
    JOIN recent AS r ON r.id = s.id
    GROUP BY s.id, s.pipeline_id, s.stage_id
)
SELECT t.id, d.created_at, d.manager_id, t.pipeline_id, t.stage_id, t.stage_id AS stage, t.left_at, t.seconds,
    t.working_seconds
FROM times AS t
JOIN recent AS d ON d.id = t.id
""",
    needs=(SPELLS, DEALS),
)

#: Stages that were left for good, by that moment.
STAGES_LEFT = Fact(
    "kpi_stages_left",
    """
SELECT t.id, t.left_at AS happened_at, t.manager_id, t.pipeline_id, t.stage_id, t.stage, t.seconds, t.working_seconds
FROM kpi_stage_times AS t
WHERE t.left_at >= $since
""",
    feeds=("deals", "deal_moves"),
    needs=(STAGE_TIMES,),
    kind="deal",
)

#: Stages that deals of a cohort came to, by the deal's creation, of who was responsible then. ``ended``: 1 where it was
#: left, 0 where it lasts.
STAGES_ENTERED = Fact(
    "kpi_stages_entered",
    """
SELECT t.id, t.created_at AS happened_at, coalesce(h.manager_id, t.manager_id) AS manager_id, t.pipeline_id, t.stage_id,
    t.stage, t.working_seconds,
    CASE WHEN t.left_at IS NOT NULL THEN 1 ELSE 0 END AS ended
FROM kpi_stage_times AS t
LEFT JOIN kpi_first_hands AS h ON h.entity_type_id = 2 AND h.id = t.id
WHERE t.created_at >= $since
""",
    feeds=("deals", "deal_moves"),
    needs=(STAGE_TIMES, FIRST_HANDS),
    kind="deal",
)

_STAY_JOINS, _STAY_SECONDS = working_seconds("s.since_at", "s.now_at")

#: Deals in work with the age of their stay at the present stage and what is long there: the stage's own threshold, or three
#: quarters of the stays that ended in t180 (20 at least), whichever is more. The stay began with the last row of history that
#: brought the deal there; a deal without any stands since its last move.
STANDING_DEALS = Fact(
    "kpi_standing_deals",
    f"""
WITH moves AS (
    SELECT m.owner_id AS id, m.id AS move_id, m.created_at, m.stage_id = d.stage_id AS is_here
    FROM stage_moves AS m
    JOIN kpi_deals AS d ON d.id = m.owner_id
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at <= $now
      AND d.semantics = 'P'
), last_moves AS (
    SELECT m.id, max(m.created_at) AS since_at, count(*) FILTER (WHERE m.is_here) > 1 AS was_here
    FROM moves AS m
    GROUP BY m.id
), ordered AS (
    SELECT m.id, m.created_at, m.is_here, lag(m.is_here) OVER (PARTITION BY m.id ORDER BY m.created_at, m.move_id) AS stood_here
    FROM moves AS m
    WHERE m.id IN (SELECT l.id FROM last_moves AS l WHERE l.was_here)
), comings AS (
    SELECT o.id, max(o.created_at) AS since_at
    FROM ordered AS o
    WHERE o.is_here AND NOT coalesce(o.stood_here, FALSE)
    GROUP BY o.id
), stays AS (
    SELECT l.id, coalesce(c.since_at, l.since_at) AS since_at FROM last_moves AS l LEFT JOIN comings AS c ON c.id = l.id
), usual AS (
    SELECT s.pipeline_id, s.stage_id,
        percentile_cont(0.75) WITHIN GROUP (ORDER BY CAST(s.working_seconds AS DOUBLE)) AS seconds
    FROM kpi_spells AS s
    WHERE s.left_at >= $t180_at AND s.left_at < $now
    GROUP BY s.pipeline_id, s.stage_id
    HAVING count(s.working_seconds) >= 20
), standing AS (
    SELECT d.id, d.manager_id, d.pipeline_id, d.stage_id, d.source_id,
        coalesce(y.since_at, d.moved_at, d.created_at) AS since_at, CAST($now AS TIMESTAMPTZ) AS now_at
    FROM kpi_deals AS d
    LEFT JOIN stays AS y ON y.id = d.id
    WHERE d.semantics = 'P'
)
SELECT s.id, s.manager_id, s.pipeline_id, s.stage_id, s.source_id,
    coalesce({_STAY_SECONDS} > greatest(coalesce(l.number, u.seconds), coalesce(u.seconds, l.number)), FALSE) AS stuck
FROM standing AS s
{_STAY_JOINS}
LEFT JOIN kpi_lists AS l ON l.list = 'stage_limits' AND l.text = s.stage_id
LEFT JOIN usual AS u ON u.pipeline_id = s.pipeline_id AND u.stage_id = s.stage_id
""",
    feeds=("deals", "deal_moves"),
    needs=(DEALS, SPELLS),
    kind="deal",
    state=True,
)
