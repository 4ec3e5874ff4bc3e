"""What clients say: ratings of talks and chats, answers to offers (catalogue §12; §19 "Reviews", "Derived call answers").

Votes go from 1 to 5: 4 and 5 are positive, 3 is neutral, 1 and 2 are negative, everything else is no rating. Marks of
activities: 2 positive, 1 negative, 0 none; what newer portals add is neutral.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from b24metrics.kpi.facts.activities import DEEDS
from b24metrics.kpi.facts.call_deals import CALL_CLIENTS
from b24metrics.kpi.facts.calls import CALL_LEGS
from b24metrics.kpi.facts.population import DEALS
from b24metrics.kpi.facts.view import Fact
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.refine import IntArray, Refinement
from b24metrics.worktime import Calendars

#: Working dates of the company after a call within which the next stage of a deal is the client's answer.
ANSWER_DAYS: Final = 3

#: Finished talks, chats and review forms, rated or not, and whatever was rated. ``session_key``: legs of one call share it.
#: ``mark``: NULL without a rating. A call is dated by its start, a chat by its end. ``finished``: could have been rated or
#: not, so that it tells how many are; nobody knows of review forms that were not filled in.
SESSIONS = Fact(
    "kpi_sessions",
    """
WITH chats AS (
    SELECT a.id, a.ends_at AS happened_at, a.responsible_id AS manager_id, a.kind, a.done AS finished,
        CASE a.result_mark WHEN 0 THEN NULL WHEN 1 THEN 'negative' WHEN 2 THEN 'positive' ELSE 'neutral' END AS mark
    FROM kpi_deeds AS a
    WHERE a.kind IN ('chat', 'review') AND a.ends_at >= $since
), talks AS (
    SELECT l.id, l.happened_at, l.manager_id, l.call_key, l.only_leg, l.connected, l.answered,
        CASE WHEN l.vote BETWEEN 4 AND 5 THEN 'positive' WHEN l.vote = 3 THEN 'neutral'
            WHEN l.vote BETWEEN 1 AND 2 THEN 'negative' END AS mark
    FROM kpi_call_legs AS l
    WHERE l.happened_at >= $since
)
SELECT t.id, t.happened_at, t.manager_id, 'phone' AS channel, 2 * t.call_key AS session_key, t.only_leg, t.mark,
    t.answered AS finished
FROM talks AS t
WHERE t.connected OR t.mark IS NOT NULL
UNION ALL
SELECT c.id, c.happened_at, c.manager_id, CASE c.kind WHEN 'review' THEN 'form' ELSE 'chat' END, 2 * c.id + 1, TRUE, c.mark,
    c.kind = 'chat'
FROM chats AS c
WHERE c.finished OR c.mark IS NOT NULL
""",
    feeds=("phone_calls", "activities"),
    needs=(CALL_LEGS, DEEDS),
    kind="session",
    kinds="CASE channel WHEN 'phone' THEN 'phone_call' ELSE 'activity' END",
    solo="only_leg",
)


def _days(columns: Mapping[str, IntArray], calendars: Calendars, _options: KpiOptions) -> Mapping[str, IntArray]:
    """Working dates of the company from the call's date to the answer's, the former left out."""
    days = calendars.company.working_days_between(columns["happened_at"], columns["answered_at"])
    return {"days": np.asarray(days, dtype=np.int64)}


#: Legs of calls with what the client answered. ``method`` is the first that says anything: what people noted in the result
#: field of the call's activity, else the tags in the call's comment, else, for dials, the next move of the deals that were
#: open when the call began. Where one call is noted both ways, the answer is no.
CALL_ANSWERS = Fact(
    "kpi_call_answers",
    """
WITH noted AS (
    SELECT l.call_key, min(CASE v.list WHEN 'positive_values' THEN 'positive' ELSE 'negative' END) AS answer
    FROM kpi_call_legs AS l
    JOIN activities AS a ON a.portal = $portal AND a.id = l.crm_activity_id AND a.deleted_at IS NULL
    JOIN kpi_lists AS v ON v.list IN ('positive_values', 'negative_values') AND v.text = CAST(CASE $answer_field
        WHEN 'result_mark' THEN a.result_mark
        WHEN 'result_status' THEN a.result_status
        WHEN 'result_stream' THEN a.result_stream
    END AS VARCHAR)
    WHERE $answer_field IS NOT NULL
    GROUP BY l.call_key
), tagged AS (
    SELECT l.call_key, min(CASE v.list WHEN 'positive_tags' THEN 'positive' ELSE 'negative' END) AS answer
    FROM kpi_call_legs AS l
    JOIN kpi_lists AS v ON v.list IN ('positive_tags', 'negative_tags') AND strpos(l.tags, ' ' || lower(v.text) || ' ') > 0
    WHERE l.tags IS NOT NULL AND NOT EXISTS (SELECT 1 FROM noted AS n WHERE n.call_key = l.call_key)
    GROUP BY l.call_key
), dials AS (
    SELECT DISTINCT k.call_key, k.happened_at, k.entity_type_id, k.entity_id
    FROM kpi_call_clients AS k
    WHERE k.outgoing AND k.answered AND k.happened_at >= $since
), clients AS (
    SELECT DISTINCT d.entity_type_id, d.entity_id FROM dials AS d
), moved AS (
    SELECT d.id, d.company_id, d.contact_id, d.lead_id
    FROM kpi_deals AS d
    WHERE d.id IN (
        SELECT m.owner_id
        FROM stage_moves AS m
        WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at > $since
          AND m.created_at <= $now
    )
), offers AS (
    SELECT c.entity_type_id, c.entity_id, d.id
    FROM clients AS c
    JOIN moved AS d ON d.company_id = c.entity_id
    WHERE c.entity_type_id = 4
    UNION ALL
    SELECT c.entity_type_id, c.entity_id, d.id
    FROM clients AS c
    JOIN moved AS d ON d.contact_id = c.entity_id
    WHERE c.entity_type_id = 3
    UNION ALL
    SELECT c.entity_type_id, c.entity_id, d.id
    FROM clients AS c
    JOIN moved AS d ON d.lead_id = c.entity_id
    WHERE c.entity_type_id = 1
), ranked AS (
    SELECT m.id, m.owner_id, m.kind, m.created_at, coalesce(m.pipeline_id, 0) AS pipeline_id,
        coalesce(m.semantics, s.semantics, 'P') AS semantics, s.sort
    FROM stage_moves AS m
    JOIN (SELECT DISTINCT o.id FROM offers AS o) AS o ON o.id = m.owner_id
    LEFT JOIN statuses AS s ON s.portal = $portal AND s.entity_type_id = 2 AND s.status_id = m.stage_id
        AND coalesce(s.pipeline_id, 0) = coalesce(m.pipeline_id, 0)
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at <= $now
), stays AS (
    SELECT r.owner_id, r.semantics, r.created_at AS from_at, lead(r.created_at) OVER deal AS until_at,
        lead(r.id) OVER deal AS move_id,
        CASE
            WHEN lead(r.semantics) OVER deal = 'S' THEN 'positive'
            WHEN lead(r.semantics) OVER deal = 'F' THEN 'negative'
            WHEN lead(r.kind) OVER deal = 5 OR lead(r.pipeline_id) OVER deal <> r.pipeline_id THEN NULL
            WHEN lead(r.sort) OVER deal > r.sort THEN 'positive'
        END AS answer
    FROM ranked AS r
    WINDOW deal AS (PARTITION BY r.owner_id ORDER BY r.created_at, r.id)
), followed AS (
    SELECT d.call_key, s.until_at, s.move_id, s.answer
    FROM dials AS d
    JOIN offers AS o ON o.entity_type_id = d.entity_type_id AND o.entity_id = d.entity_id
    JOIN stays AS s ON s.owner_id = o.id AND s.semantics = 'P' AND s.from_at <= d.happened_at AND s.until_at > d.happened_at
), soonest AS (
    SELECT n.call_key, min(n.until_at) AS until_at FROM followed AS n GROUP BY n.call_key
), decisive AS (
    SELECT n.call_key, n.until_at, min(n.move_id) AS move_id
    FROM followed AS n
    JOIN soonest AS s ON s.call_key = n.call_key AND s.until_at = n.until_at
    GROUP BY n.call_key, n.until_at
), answers AS (
    SELECT n.call_key, 'field' AS method, n.answer, CAST(NULL AS TIMESTAMPTZ) AS answered_at FROM noted AS n
    UNION ALL
    SELECT t.call_key, 'tag', t.answer, CAST(NULL AS TIMESTAMPTZ) FROM tagged AS t
    UNION ALL
    SELECT DISTINCT f.call_key, 'derived', n.answer, f.until_at
    FROM decisive AS f
    JOIN followed AS n ON n.call_key = f.call_key AND n.move_id = f.move_id
    WHERE n.answer IS NOT NULL AND NOT EXISTS (SELECT 1 FROM noted AS o WHERE o.call_key = f.call_key)
      AND NOT EXISTS (SELECT 1 FROM tagged AS t WHERE t.call_key = f.call_key)
)
SELECT l.id, l.happened_at, l.manager_id, l.call_key, l.only_leg, a.method, a.answer,
    coalesce(a.answered_at, l.happened_at) AS answered_at
FROM answers AS a
JOIN kpi_call_legs AS l ON l.call_key = a.call_key
WHERE a.method <> 'derived' OR l.connected
""",
    feeds=("phone_calls", "deals", "deal_moves"),
    waits_for=("activities", "contacts", "companies", "leads"),
    needs=(CALL_LEGS, CALL_CLIENTS, DEALS),
    kind="phone_call",
    solo="only_leg",
    refine=Refinement(("happened_at", "answered_at"), ("days",), _days),
)
