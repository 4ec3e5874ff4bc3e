"""How deals in work are looked after (catalogue §7.1; §19 "Discipline and reaction")."""

from __future__ import annotations

from b24metrics.kpi.facts.activities import CALL_ACTIVITIES, DEEDS, PENDING_DEALS
from b24metrics.kpi.facts.population import DEALS
from b24metrics.kpi.facts.view import ASSIGNMENTS, Fact, View

#: Deals with which somebody of the client's side was in contact, ``$stale_before`` or later: connected calls by whichever
#: leg, letters and chats in either direction, held meetings, through bindings or as the activity's owner. Whoever had none
#: since then is stale, so that nothing older needs to be looked at.
FRESH_DEALS = View(
    "kpi_fresh_deals",
    """
WITH legs AS (
    SELECT c.call_id, coalesce(c.crm_activity_id, 0) AS activity_id,
        coalesce(c.failed_code = '200' AND c.duration_seconds > 0, FALSE) AS connected
    FROM phone_calls AS c
    WHERE c.portal = $portal AND c.deleted_at IS NULL AND coalesce(c.category, '') IN ('', 'external')
      AND c.type_id IN (1, 2, 3, 4) AND c.started_at >= $stale_before AND c.started_at <= $now
), talks AS (
    SELECT l.activity_id AS id
    FROM legs AS l
    WHERE l.activity_id > 0 AND (l.connected OR l.call_id IN (
        SELECT t.call_id FROM legs AS t WHERE t.connected AND t.call_id <> ''
    ))
), contacts AS (
    SELECT a.id, a.owner_type_id, a.owner_id
    FROM kpi_deeds AS a
    WHERE (a.kind IN ('email', 'chat') AND a.created_at >= $stale_before AND a.created_at <= $now)
        OR (a.kind = 'meeting' AND a.done AND a.starts_at >= $stale_before AND a.starts_at <= $now)
    UNION ALL
    SELECT a.id, a.owner_type_id, a.owner_id
    FROM kpi_call_activities AS a
    WHERE NOT a.deleted AND a.id IN (SELECT t.id FROM talks AS t)
), linked AS (
    SELECT b.entity_id AS id
    FROM activity_bindings AS b
    JOIN (SELECT id FROM contacts UNION ALL SELECT id FROM talks) AS c ON c.id = b.activity_id
    WHERE b.portal = $portal AND b.entity_type_id = 2
    UNION ALL
    SELECT c.owner_id FROM contacts AS c WHERE c.owner_type_id = 2
)
SELECT DISTINCT id FROM linked
""",
    needs=(DEEDS, CALL_ACTIVITIES),
)

#: Deals in work, with what is planned for them and whether they were forgotten. Any open binding is an activity, items of
#: incoming channels are not overdue, a deal created in the future is neither bare nor stale.
OPEN_DEAL_CARE = Fact(
    "kpi_open_deal_care",
    """
WITH planned AS (
    SELECT p.deal_id AS id, bool_or(p.overdue) AS overdue FROM kpi_pending_deals AS p GROUP BY p.deal_id
)
SELECT d.id, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency, d.native_amount, d.amount,
    coalesce(p.overdue, FALSE) AS overdue,
    p.id IS NULL AND d.created_at <= $aged_before AS without_activity,
    f.id IS NULL AND d.created_at < $stale_before AS stale
FROM kpi_deals AS d
LEFT JOIN planned AS p ON p.id = d.id
LEFT JOIN kpi_fresh_deals AS f ON f.id = d.id
WHERE d.semantics = 'P'
""",
    feeds=("deals", "activities"),
    waits_for=("phone_calls",),
    needs=(DEALS, PENDING_DEALS, FRESH_DEALS),
    kind="deal",
    state=True,
)

#: Activities past their deadline, whatever they belong to, by the person responsible. One that belongs to deals of several
#: pipelines has a row for each.
OVERDUE_ACTIVITIES = Fact(
    "kpi_overdue_activities",
    """
WITH late AS (
    SELECT a.id, a.responsible_id AS manager_id
    FROM kpi_deeds AS a
    WHERE a.there AND NOT a.done AND a.deadline_at < $now AND NOT a.is_incoming_channel
), places AS (
    SELECT DISTINCT p.id, p.pipeline_id FROM kpi_pending_deals AS p WHERE p.overdue
), spread AS (
    SELECT p.id FROM places AS p GROUP BY p.id HAVING count(*) > 1
)
SELECT l.id, l.manager_id, p.pipeline_id, s.id IS NULL AS only_row
FROM late AS l
LEFT JOIN places AS p ON p.id = l.id
LEFT JOIN spread AS s ON s.id = l.id
""",
    feeds=("activities",),
    waits_for=("deals",),
    needs=(DEEDS, PENDING_DEALS),
    kind="activity",
    state=True,
    solo="only_row",
)

#: Deals that changed hands, by the moment at which that was seen; of the person who gave them away.
REASSIGNMENTS = Fact(
    "kpi_reassignments",
    """
SELECT a.entity_id AS id, a.changed_at AS happened_at, a.from_id AS manager_id
FROM assignments AS a
JOIN kpi_deals AS d ON d.id = a.entity_id
WHERE a.portal = $portal AND a.entity_type_id = 2 AND coalesce(a.from_id, 0) <> coalesce(a.to_id, 0)
  AND a.changed_at >= $since
""",
    feeds=("deals", ASSIGNMENTS),
    needs=(DEALS,),
    kind="deal",
)

#: Moves out of a final stage: the row before was won or lost. Only deals with such a past are put in order.
REOPENINGS = Fact(
    "kpi_reopenings",
    """
WITH back AS (
    SELECT DISTINCT m.owner_id
    FROM stage_moves AS m
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND coalesce(m.semantics, 'P') = 'P'
      AND m.created_at >= $since AND m.created_at <= $now
), closed AS (
    SELECT DISTINCT m.owner_id
    FROM stage_moves AS m
    JOIN back AS b ON b.owner_id = m.owner_id
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.semantics IN ('S', 'F')
), walked AS (
    SELECT m.owner_id, m.created_at, coalesce(m.semantics, 'P') AS semantics,
        lag(m.semantics) OVER (PARTITION BY m.owner_id ORDER BY m.created_at, m.id) AS before
    FROM stage_moves AS m
    JOIN closed AS c ON c.owner_id = m.owner_id
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL
)
SELECT w.owner_id AS id, w.created_at AS happened_at, d.manager_id, d.pipeline_id
FROM walked AS w
JOIN kpi_deals AS d ON d.id = w.owner_id
WHERE w.semantics = 'P' AND w.before IN ('S', 'F') AND w.created_at >= $since
""",
    feeds=("deals", "deal_moves"),
    needs=(DEALS,),
    kind="deal",
)
