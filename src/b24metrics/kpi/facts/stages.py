"""How long deals stay at their stages (catalogue §7.1 stuck deals, §8.3; §19 "Funnel")."""

from __future__ import annotations

from b24metrics.kpi.facts.population import BORN_CLOSED, DEALS
from b24metrics.kpi.facts.view import Fact, View, working_seconds

_SPELL_JOINS, _SPELL_SECONDS = working_seconds("s.entered_at", "s.until_at")

#: Stays at open stages, one row of history each, of the deals that moved or were created since ``$since``, and in t180 at
#: least; in pipelines that count. Without imported deals and those created closed. ``left_at``: NULL while the deal stands there; ``until_at``:
#: then ``$now``. The last row of a deal that is closed all the same ends nowhere and is left out. Working time is the
#: company's.
SPELLS = View(
    "kpi_spells",
    f"""
WITH moved AS (
    SELECT DISTINCT m.owner_id AS id
    FROM stage_moves AS m
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at >= least($since, $t180_at)
      AND m.created_at <= $now
), chosen AS (
    SELECT d.id, d.semantics
    FROM kpi_deals AS d
    LEFT JOIN moved AS v ON v.id = d.id
    WHERE NOT d.imported AND (v.id IS NOT NULL OR d.created_at >= least($since, $t180_at))
      AND d.id NOT IN (SELECT b.owner_id FROM kpi_born_closed AS b WHERE b.entity_type_id = 2)
), walked AS (
    SELECT m.owner_id AS id, coalesce(m.pipeline_id, 0) AS pipeline_id, m.stage_id,
        coalesce(m.semantics, 'P') AS semantics, c.semantics AS standing, m.created_at AS entered_at,
        lead(m.created_at) OVER (PARTITION BY m.owner_id ORDER BY m.created_at, m.id) AS left_at
    FROM stage_moves AS m
    JOIN chosen AS c ON c.id = m.owner_id
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at <= $now
), spells AS (
    SELECT w.id, w.pipeline_id, w.stage_id, w.entered_at, w.left_at, coalesce(w.left_at, $now) AS until_at
    FROM walked AS w
    WHERE w.semantics = 'P' AND (w.left_at IS NOT NULL OR w.standing = 'P')
      AND ($all_pipelines OR w.pipeline_id IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'pipelines'))
      AND w.pipeline_id NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_pipelines')
)
SELECT s.id, s.pipeline_id, s.stage_id, s.entered_at, s.left_at, epoch(s.until_at) - epoch(s.entered_at) AS seconds,
    {_SPELL_SECONDS} AS working_seconds
FROM spells AS s
{_SPELL_JOINS}
""",
    needs=(DEALS, BORN_CLOSED),
)

#: A deal's whole time at a stage, by its creation and by its last leaving. ``left_at``: NULL where it stands there (again).
STAGE_TIMES = View(
    "kpi_stage_times",
    """
WITH times AS (
    SELECT s.id, s.pipeline_id, s.stage_id, CASE WHEN count(s.left_at) = count(*) THEN max(s.left_at) END AS left_at,
        sum(s.seconds) AS seconds, sum(s.working_seconds) AS working_seconds
    FROM kpi_spells AS s
    GROUP BY s.id, s.pipeline_id, s.stage_id
)
SELECT t.id, d.created_at, d.manager_id, t.pipeline_id, t.stage_id, t.stage_id AS stage, t.left_at, t.seconds,
    t.working_seconds
FROM times AS t
JOIN kpi_deals AS d ON d.id = t.id
""",
    needs=(SPELLS, DEALS),
)

#: Stages that were left for good, by that moment.
STAGES_LEFT = Fact(
    "kpi_stages_left",
    """
SELECT t.id, t.left_at AS happened_at, t.manager_id, t.pipeline_id, t.stage_id, t.stage, t.seconds, t.working_seconds
FROM kpi_stage_times AS t
WHERE t.left_at IS NOT NULL
""",
    feeds=("deals", "deal_moves"),
    needs=(STAGE_TIMES,),
    kind="deal",
)

#: Stages that deals of a cohort came to, by the deal's creation. ``ended``: 1 where it was left, 0 where it lasts.
STAGES_ENTERED = Fact(
    "kpi_stages_entered",
    """
SELECT t.id, t.created_at AS happened_at, t.manager_id, t.pipeline_id, t.stage_id, t.stage, t.working_seconds,
    CASE WHEN t.left_at IS NOT NULL THEN 1 ELSE 0 END AS ended
FROM kpi_stage_times AS t
""",
    feeds=("deals", "deal_moves"),
    needs=(STAGE_TIMES,),
    kind="deal",
)

_STAY_JOINS, _STAY_SECONDS = working_seconds("s.since_at", "s.now_at")

#: Deals in work with the age of their stay at the present stage and what is long there: the stage's own threshold, or three
#: quarters of the stays that ended in t180 (20 at least), whichever is more. Where the row before the stay and its first
#: row share a second, ids tell which came later; a deal without history stands since its last move.
STANDING_DEALS = Fact(
    "kpi_standing_deals",
    f"""
WITH moves AS (
    SELECT m.owner_id AS id, m.id AS move_id, m.created_at,
        coalesce(m.stage_id = d.stage_id AND coalesce(m.pipeline_id, 0) = d.pipeline_id, FALSE) AS same
    FROM stage_moves AS m
    JOIN kpi_deals AS d ON d.id = m.owner_id
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at <= $now
      AND d.semantics = 'P'
), others AS (
    SELECT id, max(created_at) AS last_at FROM moves WHERE NOT same GROUP BY id
), stays AS (
    SELECT m.id,
        CASE
            WHEN max(CASE WHEN m.same AND m.created_at = o.last_at THEN m.move_id END)
                > max(CASE WHEN NOT m.same AND m.created_at = o.last_at THEN m.move_id END)
            THEN max(o.last_at)
            ELSE min(CASE WHEN m.same AND (o.last_at IS NULL OR m.created_at > o.last_at) THEN m.created_at END)
        END AS since_at
    FROM moves AS m
    LEFT JOIN others AS o ON o.id = m.id
    GROUP BY m.id
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
