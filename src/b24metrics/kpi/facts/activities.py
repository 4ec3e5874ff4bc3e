"""What people do with clients besides telephoning: messages, meetings, plans, tasks (catalogue §6.2; §19 "Other activity").

Laws: what an activity is, is said here once (``KIND``); an activity that was completed after ``$now`` was not completed
yet; items of incoming channels wait for somebody, they are neither planned nor overdue.
"""

from __future__ import annotations

from typing import Final

from b24metrics.kpi.facts.past import completed, created
from b24metrics.kpi.facts.population import DEALS
from b24metrics.kpi.facts.view import Fact, View

#: What an activity is: the configured map first, then what its provider and its type tell. For ``activities AS a`` and
#: ``kpi_kinds AS k``. Mailings have a provider of their own and are no letters.
KIND: Final = """coalesce(k.kind, CASE
        WHEN a.provider_id = 'IMOPENLINES_SESSION' THEN 'chat'
        WHEN a.provider_id = 'CRM_SMS' THEN 'sms'
        WHEN a.provider_id LIKE '%SENDER%' THEN 'bulk'
        WHEN a.type_id = 1 THEN 'meeting'
        WHEN a.type_id = 2 THEN 'call'
        WHEN a.type_id = 3 THEN 'task'
        WHEN a.type_id = 4 THEN 'email'
        ELSE 'other'
    END)"""

#: When an activity was completed: observed, else its last change. For ``activities AS a``.
DONE_AT: Final = "coalesce(a.completed_at, a.modified_at)"

#: Activities that anybody asks about: those with a moment since the windows and whatever else looks back to so little
#: (open requests, stale deals), and all that are still to be done. All of them are read once, here. ``done``: as of
#: ``$now``; ``completed``: ever. ``there``: was created by then.
DEEDS = View(
    "kpi_deeds",
    f"""
SELECT a.id, a.owner_type_id, a.owner_id, a.responsible_id, a.created_at, a.starts_at, a.deadline_at, {DONE_AT} AS done_at,
    coalesce(a.ends_at, a.starts_at, a.created_at) AS ends_at, a.completed, {completed("a")} AS done, {created("a")} AS there,
    coalesce(a.direction, 0) AS direction, coalesce(a.status = 3, FALSE) AS by_itself,
    coalesce(a.is_incoming_channel, FALSE) AS is_incoming_channel, coalesce(a.result_mark, 0) AS result_mark, {KIND} AS kind
FROM activities AS a
LEFT JOIN kpi_kinds AS k ON k.provider_id = a.provider_id
WHERE a.portal = $portal AND a.deleted_at IS NULL AND (
    a.created_at >= least($since, $d30_at, $stale_before) OR a.starts_at >= least($since, $d30_at, $stale_before)
    OR a.ends_at >= $since OR (a.completed AND {DONE_AT} >= $since) OR NOT {completed("a")}
)
""",
)

#: Owners of the activities of calls, whenever those were created. ``deleted``: the activity is gone, not the call.
CALL_ACTIVITIES = View(
    "kpi_call_activities",
    """
WITH named AS (
    SELECT DISTINCT c.crm_activity_id AS id
    FROM phone_calls AS c
    WHERE c.portal = $portal AND c.crm_activity_id > 0
      AND c.started_at >= least($since, $d30_at, $stale_before) - INTERVAL '2 day'
), known AS (
    SELECT n.id, d.owner_type_id, d.owner_id, d.id IS NOT NULL AS found
    FROM named AS n
    LEFT JOIN kpi_deeds AS d ON d.id = n.id
)
SELECT k.id, k.owner_type_id, k.owner_id, FALSE AS deleted FROM known AS k WHERE k.found
UNION ALL
SELECT a.id, a.owner_type_id, a.owner_id, a.deleted_at IS NOT NULL
FROM activities AS a
JOIN known AS k ON k.id = a.id AND NOT k.found
WHERE a.portal = $portal
""",
    needs=(DEEDS,),
)

#: Deals that activities which are still to be done belong to. ``overdue``: past their deadline and somebody's to do.
PENDING_DEALS = View(
    "kpi_pending_deals",
    """
WITH pending AS (
    SELECT a.id, a.owner_type_id, a.owner_id, coalesce(a.deadline_at < $now, FALSE) AND NOT a.is_incoming_channel AS overdue
    FROM kpi_deeds AS a
    WHERE a.there AND NOT a.done
), links AS (
    SELECT p.id, b.entity_id AS deal_id, p.overdue
    FROM pending AS p
    JOIN activity_bindings AS b ON b.portal = $portal AND b.activity_id = p.id AND b.entity_type_id = 2
    UNION
    SELECT p.id, p.owner_id, p.overdue FROM pending AS p WHERE p.owner_type_id = 2
)
SELECT l.id, l.deal_id, l.overdue, d.pipeline_id
FROM links AS l
JOIN kpi_deals AS d ON d.id = l.deal_id
""",
    needs=(DEALS, DEEDS),
)

# An activity that belongs to deals of several pipelines has a row for each; all are of one ``id``, which is what is counted.
_PLACED = """, links AS (
    SELECT c.id, b.entity_id AS deal_id
    FROM chosen AS c
    JOIN activity_bindings AS b ON b.portal = $portal AND b.activity_id = c.id AND b.entity_type_id = 2
    UNION ALL
    SELECT c.id, c.owner_id FROM chosen AS c WHERE c.owner_type_id = 2
), places AS (
    SELECT DISTINCT l.id, d.pipeline_id
    FROM links AS l
    JOIN kpi_deals AS d ON d.id = l.deal_id
), spread AS (
    SELECT p.id FROM places AS p GROUP BY p.id HAVING count(*) > 1
)"""

#: Letters, chats and short messages. A letter to many is one activity; sessions of a bot alone are none.
MESSAGES = Fact(
    "kpi_messages",
    """
SELECT a.id, CASE a.kind WHEN 'chat' THEN coalesce(a.starts_at, a.created_at) ELSE a.created_at END AS happened_at,
    a.responsible_id AS manager_id, a.kind, a.direction
FROM kpi_deeds AS a
WHERE (a.created_at >= $since OR a.starts_at >= $since) AND (a.kind IN ('email', 'sms') OR (
    a.kind = 'chat' AND coalesce(a.responsible_id, 0) NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'bots')
))
""",
    feeds=("activities",),
    needs=(DEEDS,),
    kind="activity",
)

#: Meetings whose time has come, held or not.
MEETINGS = Fact(
    "kpi_meetings",
    f"""
WITH chosen AS (
    SELECT a.id, a.owner_type_id, a.owner_id, a.responsible_id AS manager_id, a.starts_at AS happened_at, a.done AS held
    FROM kpi_deeds AS a
    WHERE a.starts_at >= $since AND a.starts_at < $now AND a.kind = 'meeting'
){_PLACED}
SELECT c.id, c.happened_at, c.manager_id, p.pipeline_id, c.held, s.id IS NULL AS only_row
FROM chosen AS c
LEFT JOIN places AS p ON p.id = c.id
LEFT JOIN spread AS s ON s.id = c.id
""",
    feeds=("activities",),
    waits_for=("deals",),
    needs=(DEALS, DEEDS),
    kind="activity",
    solo="only_row",
)

#: Activities that were completed, by the moment at which that was first seen. ``by_itself``: the portal completed it.
DONE_ACTIVITIES = Fact(
    "kpi_done_activities",
    """
SELECT a.id, a.done_at AS happened_at, a.responsible_id AS manager_id, a.kind, a.by_itself
FROM kpi_deeds AS a
WHERE a.completed AND a.done_at >= $since
""",
    feeds=("activities",),
    needs=(DEEDS,),
    kind="activity",
)

#: Activities that are still to be done. ``ahead``: their time has not come yet, or is not set.
PENDING_ACTIVITIES = Fact(
    "kpi_pending_activities",
    """
WITH chosen AS (
    SELECT a.id, a.owner_type_id, a.owner_id, a.responsible_id AS manager_id, a.starts_at, a.deadline_at, a.kind
    FROM kpi_deeds AS a
    WHERE NOT a.done AND NOT a.is_incoming_channel AND a.there
), places AS (
    SELECT DISTINCT p.id, p.pipeline_id FROM kpi_pending_deals AS p
), spread AS (
    SELECT p.id FROM places AS p GROUP BY p.id HAVING count(*) > 1
)
SELECT c.id, c.manager_id, p.pipeline_id, c.kind, coalesce(c.deadline_at >= $now, TRUE) AS ahead,
    c.deadline_at IS NULL AS undated, coalesce(c.deadline_at >= $now AND c.deadline_at < $day_ends, FALSE) AS due_today,
    c.kind = 'meeting' AND coalesce(c.starts_at >= $now, FALSE) AS meeting_ahead, s.id IS NULL AS only_row
FROM chosen AS c
LEFT JOIN places AS p ON p.id = c.id
LEFT JOIN spread AS s ON s.id = c.id
""",
    feeds=("activities",),
    waits_for=("deals",),
    needs=(DEEDS, PENDING_DEALS),
    kind="activity",
    state=True,
    solo="only_row",
)
