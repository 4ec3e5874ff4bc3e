"""How far deals come: cohorts by creation, stage by stage (catalogue §8.2; §19 "Funnel").

Laws: stages go by their place in the directory, success last, failure without a place; deleted stages keep theirs, so that
history is read, but are no steps of the funnel; success is reached only by who is won now, open stages by whoever visited
them or a later one; a deal that was moved to another pipeline is read in both.
"""

from __future__ import annotations

from b24metrics.kpi.facts.deals import CLOSINGS, CYCLE_SECONDS, WON
from b24metrics.kpi.facts.population import DEALS
from b24metrics.kpi.facts.view import Fact, View

#: Stages of deals with a place. ``next_position``: that of the next step; ``is_step``: not deleted. The row number makes
#: places that are equal in the directory follow their ids.
STEPS = View(
    "kpi_steps",
    """
WITH ordered AS (
    SELECT coalesce(s.pipeline_id, 0) AS pipeline_id, s.status_id AS stage_id, coalesce(s.semantics, 'P') = 'S' AS success,
        s.deleted_at IS NULL AS is_step,
        row_number() OVER (
            PARTITION BY coalesce(s.pipeline_id, 0)
            ORDER BY CASE WHEN s.semantics = 'S' THEN 1 ELSE 0 END, coalesce(s.sort, 0), s.status_id
        ) AS position
    FROM statuses AS s
    WHERE s.portal = $portal AND s.entity_type_id = 2 AND coalesce(s.semantics, 'P') <> 'F'
      AND ($all_pipelines OR coalesce(s.pipeline_id, 0) IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'pipelines'))
      AND coalesce(s.pipeline_id, 0) NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_pipelines')
)
SELECT o.pipeline_id, o.stage_id, o.success, o.is_step, o.position, min(n.position) AS next_position
FROM ordered AS o
LEFT JOIN ordered AS n ON n.pipeline_id = o.pipeline_id AND n.is_step AND n.position > o.position
GROUP BY o.pipeline_id, o.stage_id, o.success, o.is_step, o.position
""",
    feeds=("statuses",),
)

#: Who was responsible when a record was created, where a change of hands was observed.
FIRST_HANDS = View(
    "kpi_first_hands",
    """
WITH changes AS (
    SELECT a.entity_type_id, a.entity_id AS id, a.from_id AS manager_id,
        row_number() OVER (PARTITION BY a.entity_type_id, a.entity_id ORDER BY a.changed_at) AS nth
    FROM assignments AS a
    WHERE a.portal = $portal AND a.entity_type_id IN (1, 2)
)
SELECT c.entity_type_id, c.id, c.manager_id FROM changes AS c WHERE c.nth = 1 AND c.manager_id > 0
""",
)

#: How long four of five wins of t180 took, whole seconds: after that a cohort is mature (catalogue §8.2).
MATURITY = View(
    "kpi_maturity",
    f"""
SELECT CAST(floor(percentile_cont(0.8) WITHIN GROUP (ORDER BY CAST({CYCLE_SECONDS} AS DOUBLE))) AS BIGINT) AS seconds
FROM kpi_won AS c
WHERE {CYCLE_SECONDS} >= 0 AND c.happened_at >= $t180_at AND c.happened_at < $now
""",
    needs=(WON,),
)

#: The furthest place that each deal came to, in every pipeline it was in: the deals created since ``$since``, and as far back
#: as the baseline of a mature cohort reaches. ``left``: the deal is in another pipeline now. ``stands``: the place where it
#: stands now; NULL for lost deals. ``manager_id``: who was responsible when the deal was created.
PATHS = View(
    "kpi_paths",
    """
WITH cohort AS (
    SELECT d.id, d.pipeline_id, d.stage_id, d.semantics, d.created_at, d.manager_id
    FROM kpi_deals AS d
    WHERE d.created_at >= least($since, CAST($now AS TIMESTAMPTZ) - (
        SELECT coalesce(max(t.seconds), 0) + 86400 * 272 FROM kpi_maturity AS t
    ) * INTERVAL '1 second')
), standing AS (
    SELECT c.id, c.pipeline_id, max(s.position) AS position
    FROM cohort AS c
    JOIN kpi_steps AS s ON s.pipeline_id = c.pipeline_id
        AND ((c.semantics = 'S' AND s.success) OR (c.semantics = 'P' AND s.stage_id = c.stage_id))
    GROUP BY c.id, c.pipeline_id
), visited AS (
    SELECT m.owner_id AS id, s.pipeline_id, max(s.position) AS position
    FROM stage_moves AS m
    JOIN cohort AS c ON c.id = m.owner_id
    JOIN kpi_steps AS s ON s.pipeline_id = coalesce(m.pipeline_id, 0) AND s.stage_id = m.stage_id AND NOT s.success
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at <= $now
    GROUP BY m.owner_id, s.pipeline_id
), reached AS (
    SELECT coalesce(v.id, s.id) AS id, coalesce(v.pipeline_id, s.pipeline_id) AS pipeline_id,
        greatest(coalesce(v.position, 0), coalesce(s.position, 0)) AS far, s.position AS stands
    FROM visited AS v
    FULL JOIN standing AS s ON s.id = v.id AND s.pipeline_id = v.pipeline_id
)
SELECT r.id, c.created_at, coalesce(h.manager_id, c.manager_id) AS manager_id, r.pipeline_id, r.far, r.stands, r.pipeline_id <> c.pipeline_id AS moved_away
FROM reached AS r
JOIN cohort AS c ON c.id = r.id
LEFT JOIN kpi_first_hands AS h ON h.entity_type_id = 2 AND h.id = r.id
""",
    needs=(DEALS, FIRST_HANDS, STEPS, MATURITY),
)

#: First and last time at which a deal of the cohorts since ``$since`` physically stood at a stage, success included.
VISITS = View(
    "kpi_visits",
    """
SELECT m.owner_id AS id, s.pipeline_id, s.position, min(m.created_at) AS first_at, min(m.id) AS first_id,
    max(m.created_at) AS last_at, max(m.id) AS last_id
FROM stage_moves AS m
JOIN kpi_deals AS d ON d.id = m.owner_id
JOIN kpi_steps AS s ON s.pipeline_id = coalesce(m.pipeline_id, 0) AND s.stage_id = m.stage_id
WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at <= $now
  AND d.created_at >= $since
GROUP BY m.owner_id, s.pipeline_id, s.position
""",
    needs=(DEALS, STEPS),
)

#: What deals were worth when they first came to a step or beyond it, where a later change of the amount was observed; at
#: the rate of their closing where that is one of the same currency.
ENTRY_AMOUNTS = View(
    "kpi_entry_amounts",
    """
WITH entries AS (
    SELECT v.id, v.pipeline_id, s.position, min(v.first_at) AS entered_at
    FROM kpi_visits AS v
    JOIN kpi_steps AS s ON s.pipeline_id = v.pipeline_id AND s.position <= v.position
    WHERE v.id IN (SELECT c.deal_id FROM deal_changes AS c WHERE c.portal = $portal)
    GROUP BY v.id, v.pipeline_id, s.position
), changes AS (
    SELECT e.id, e.pipeline_id, e.position, c.from_opportunity, c.from_currency_id,
        row_number() OVER (PARTITION BY e.id, e.pipeline_id, e.position ORDER BY c.changed_at) AS nth
    FROM entries AS e
    JOIN deal_changes AS c ON c.portal = $portal AND c.deal_id = e.id AND c.changed_at > e.entered_at
)
SELECT c.id, c.pipeline_id, c.position, coalesce(c.from_opportunity, 0) AS native_amount,
    coalesce(c.from_opportunity, 0) * coalesce(k.factor, r.factor) AS amount
FROM changes AS c
LEFT JOIN kpi_rates AS r ON r.currency_id = coalesce(nullif(c.from_currency_id, ''), $base_currency)
LEFT JOIN kpi_closings AS k ON k.id = c.id AND k.currency = coalesce(nullif(c.from_currency_id, ''), $base_currency)
WHERE c.nth = 1
""",
    needs=(VISITS, STEPS, CLOSINGS),
)

#: Deals by creation, imports and those created closed included; of who was responsible then.
COHORT = Fact(
    "kpi_cohort",
    """
SELECT d.id, d.created_at AS happened_at, coalesce(h.manager_id, d.manager_id) AS manager_id, d.pipeline_id, d.source_id,
    d.source_id AS source, d.semantics = 'S' AS won, d.semantics = 'P' AS is_open
FROM kpi_deals AS d
LEFT JOIN kpi_first_hands AS h ON h.entity_type_id = 2 AND h.id = d.id
WHERE d.created_at >= $since
""",
    feeds=("deals",),
    needs=(DEALS, FIRST_HANDS),
    kind="deal",
)

#: One row for each step that a deal of a cohort reached. ``counted``: takes part in the conversion to the next step, which
#: ``passed`` says; who left the pipeline here does not. ``visited``, ``went_on``: physically here, and later physically at
#: the next step; where a deal stands now it is, whatever its history says. ``stands``, ``stands_on``: now here or further,
#: further. ``priced``: worth something, in its present pipeline. ``amount``: of a closed deal at the rate of its closing.
FUNNEL = Fact(
    "kpi_funnel",
    """
SELECT p.id, p.created_at AS happened_at, p.manager_id, p.pipeline_id, s.stage_id, s.stage_id AS stage, d.source_id,
    s.next_position IS NOT NULL AND NOT (p.moved_away AND p.far < s.next_position) AS counted,
    coalesce(p.far >= s.next_position, FALSE) AS passed,
    v.id IS NOT NULL OR s.success OR coalesce(p.stands = s.position, FALSE) AS visited,
    coalesce(p.stands = s.next_position, FALSE)
        OR coalesce(n.last_at > v.first_at OR (n.last_at = v.first_at AND n.last_id > v.first_id), FALSE) AS went_on,
    s.next_position IS NOT NULL AND coalesce(p.stands >= s.position, FALSE) AS stands,
    coalesce(p.stands >= s.next_position, FALSE) AS stands_on,
    NOT p.moved_away AND CASE WHEN e.id IS NULL THEN d.native_amount ELSE e.native_amount END > 0 AS priced,
    CASE WHEN e.id IS NULL THEN CASE WHEN k.id IS NULL THEN d.amount ELSE k.amount END ELSE e.amount END AS amount
FROM kpi_paths AS p
JOIN kpi_deals AS d ON d.id = p.id AND d.created_at >= $since
LEFT JOIN kpi_closings AS k ON k.id = p.id
JOIN kpi_steps AS s ON s.pipeline_id = p.pipeline_id AND s.is_step AND s.position <= p.far
LEFT JOIN kpi_visits AS v ON v.id = p.id AND v.pipeline_id = s.pipeline_id AND v.position = s.position
LEFT JOIN kpi_visits AS n ON n.id = p.id AND n.pipeline_id = s.pipeline_id AND n.position = s.next_position
LEFT JOIN kpi_entry_amounts AS e ON e.id = p.id AND e.pipeline_id = s.pipeline_id AND e.position = s.position
WHERE p.created_at >= $since
""",
    feeds=("deals", "deal_moves", "statuses"),
    needs=(PATHS, DEALS, STEPS, VISITS, ENTRY_AMOUNTS, CLOSINGS),
    kind="deal",
)

#: Steps that deals of mature cohorts reached and that have a next one: the window as long ago as four of five wins take, and
#: (``before``) the 180 days before that. No rows without a win in t180.
MATURE_FUNNEL = Fact(
    "kpi_mature_funnel",
    """
WITH cohorts AS (
    SELECT w.window_no, FALSE AS before, w.starts_at - t.seconds * INTERVAL '1 second' AS starts_at,
        w.ends_at - t.seconds * INTERVAL '1 second' AS ends_at
    FROM kpi_windows AS w
    JOIN kpi_maturity AS t ON t.seconds IS NOT NULL
    UNION ALL
    SELECT w.window_no, TRUE, w.starts_at - (t.seconds + 86400 * 180) * INTERVAL '1 second',
        w.starts_at - t.seconds * INTERVAL '1 second'
    FROM kpi_windows AS w
    JOIN kpi_maturity AS t ON t.seconds IS NOT NULL
)
SELECT c.window_no, p.id, p.manager_id, p.pipeline_id, s.stage_id AS stage, c.before, p.far >= s.next_position AS passed
FROM cohorts AS c
JOIN kpi_paths AS p ON p.created_at >= c.starts_at AND p.created_at < c.ends_at
JOIN kpi_steps AS s ON s.pipeline_id = p.pipeline_id AND s.is_step AND s.position <= p.far AND s.next_position IS NOT NULL
WHERE NOT (p.moved_away AND p.far < s.next_position)
""",
    feeds=("deals", "deal_moves", "statuses"),
    needs=(PATHS, STEPS, MATURITY),
    kind="deal",
    windowed=True,
)
