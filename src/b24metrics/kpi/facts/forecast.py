"""What open deals are worth: chances of winning by stage, amounts weighted by them (catalogue §5; §19 "Volume and plan")."""

from __future__ import annotations

from b24metrics.kpi.facts.deals import CLOSINGS
from b24metrics.kpi.facts.population import DEALS
from b24metrics.kpi.facts.view import Fact, View

#: Deals closed in t180 that must have reached a stage before its past says anything.
LEAST_REACHED = 30

#: Every open stage with its place in the pipeline and what became of the deals of t180 that reached it or one behind it:
#: won ones reached all of them, lost ones as far as they were seen to stand. ``nth`` of ``stages``: among the open stages
#: that still exist; NULL for one that was removed.
STAGE_CHANCES = View(
    "kpi_stage_chances",
    """
WITH ordered AS (
    SELECT coalesce(s.pipeline_id, 0) AS pipeline_id, s.status_id AS stage_id, s.deleted_at IS NULL AS stands,
        row_number() OVER (PARTITION BY coalesce(s.pipeline_id, 0) ORDER BY s.sort, s.status_id) AS place
    FROM statuses AS s
    WHERE s.portal = $portal AND s.entity_type_id = 2 AND coalesce(s.semantics, 'P') = 'P'
), ended AS (
    SELECT c.id, c.pipeline_id, c.outcome
    FROM kpi_closings AS c
    WHERE c.happened_at >= $t180_at AND c.happened_at < $now
), visited AS (
    SELECT e.id, max(o.place) AS place
    FROM ended AS e
    JOIN stage_moves AS m ON m.portal = $portal AND m.entity_type_id = 2 AND m.owner_id = e.id AND m.deleted_at IS NULL
        AND m.created_at <= $now AND coalesce(m.pipeline_id, e.pipeline_id) = e.pipeline_id
    JOIN ordered AS o ON o.pipeline_id = e.pipeline_id AND o.stage_id = m.stage_id
    WHERE e.outcome = 'lost'
    GROUP BY e.id
), ends AS (
    SELECT e.pipeline_id, v.place, e.outcome, count(*) AS deals
    FROM ended AS e
    LEFT JOIN visited AS v ON v.id = e.id
    GROUP BY e.pipeline_id, v.place, e.outcome
)
SELECT o.pipeline_id, o.stage_id,
    CASE WHEN o.stands THEN sum(CASE WHEN o.stands THEN 1 ELSE 0 END) OVER (PARTITION BY o.pipeline_id ORDER BY o.place) END
        AS nth,
    sum(CASE WHEN o.stands THEN 1 ELSE 0 END) OVER (PARTITION BY o.pipeline_id) AS stages,
    coalesce(r.won, 0) AS won, coalesce(r.reached, 0) AS reached
FROM ordered AS o
LEFT JOIN (
    SELECT t.pipeline_id, t.stage_id, sum(e.deals) AS reached,
        sum(CASE WHEN e.outcome = 'won' THEN e.deals ELSE 0 END) AS won
    FROM ordered AS t
    JOIN ends AS e ON e.pipeline_id = t.pipeline_id AND (e.outcome = 'won' OR e.place >= t.place)
    GROUP BY t.pipeline_id, t.stage_id
) AS r ON r.pipeline_id = o.pipeline_id AND r.stage_id = o.stage_id
""",
    feeds=("deals", "statuses"),
    waits_for=("deal_moves",),
    needs=(CLOSINGS,),
)

#: Deals in work with their chance of being won and where it comes from (``probability_source``: the past of the stage, the
#: deal itself, the settings, or the place of the stage in its pipeline). A deal at a stage that nobody knows has none.
CHANCES = View(
    "kpi_chances_of_deals",
    f"""
WITH said AS (
    SELECT d.id, d.manager_id, d.pipeline_id, d.stage_id, d.closes_on, d.amount, e.probability, s.won, s.reached,
        g.chance AS configured, s.nth, s.stages,
        CASE WHEN s.reached >= {LEAST_REACHED} THEN 'history'
            WHEN e.probability IS NOT NULL THEN 'deal'
            WHEN g.chance IS NOT NULL THEN 'settings'
            ELSE 'place' END AS probability_source
    FROM kpi_deals AS d
    JOIN deals AS e ON e.portal = $portal AND e.id = d.id
    LEFT JOIN kpi_stage_chances AS s ON s.pipeline_id = d.pipeline_id AND s.stage_id = d.stage_id
    LEFT JOIN kpi_chances AS g ON g.stage_id = d.stage_id
    WHERE d.semantics = 'P'
)
SELECT a.id, a.manager_id, a.pipeline_id, a.stage_id, a.closes_on, a.probability_source,
    CAST(a.amount AS DOUBLE) * CASE a.probability_source
        WHEN 'history' THEN CAST(a.won AS DOUBLE) / a.reached
        WHEN 'deal' THEN CAST(a.probability AS DOUBLE) / 100
        WHEN 'settings' THEN a.configured
        ELSE CAST(a.nth AS DOUBLE) / (a.stages + 1) END AS weighted_amount
FROM said AS a
""",
    feeds=("deals", "statuses"),
    needs=(DEALS, STAGE_CHANCES),
)

#: Deals in work, weighted.
WEIGHTED_DEALS = Fact(
    "kpi_weighted_deals",
    """
SELECT c.id, c.manager_id, c.pipeline_id, c.stage_id, c.probability_source, c.weighted_amount
FROM kpi_chances_of_deals AS c
""",
    feeds=("deals", "statuses"),
    waits_for=("deal_moves",),
    needs=(CHANCES,),
    kind="deal",
    state=True,
)

#: Deals in work that are expected before the period of a window ends, weighted; those expected long ago too.
EXPECTED_DEALS = Fact(
    "kpi_expected_deals",
    """
SELECT w.window_no, c.id, c.manager_id, c.pipeline_id, c.weighted_amount
FROM kpi_chances_of_deals AS c
JOIN kpi_windows AS w ON c.closes_on < w.period_ends_on
""",
    feeds=("deals", "statuses"),
    waits_for=("deal_moves",),
    needs=(CHANCES,),
    kind="deal",
    windowed=True,
)
