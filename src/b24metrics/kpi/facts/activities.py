"""What people do with clients besides telephoning: messages, meetings, plans, tasks (catalogue §6.2; §19 "Other activity").

Laws: what an activity is, is said here once (``KIND``); an activity that was completed after ``$now`` was not completed
yet; items of incoming channels wait for somebody, they are neither planned nor overdue.
"""

from __future__ import annotations

from typing import Final

from b24metrics.kpi.facts.past import completed, created
from b24metrics.kpi.facts.population import DEALS
from b24metrics.kpi.facts.view import Fact

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
    f"""
WITH recent AS (
    SELECT a.id, a.responsible_id AS manager_id, coalesce(a.direction, 0) AS direction, a.created_at,
        coalesce(a.starts_at, a.created_at) AS starts_at, {KIND} AS kind
    FROM activities AS a
    LEFT JOIN kpi_kinds AS k ON k.provider_id = a.provider_id
    WHERE a.portal = $portal AND a.deleted_at IS NULL AND (a.created_at >= $since OR a.starts_at >= $since)
)
SELECT r.id, CASE r.kind WHEN 'chat' THEN r.starts_at ELSE r.created_at END AS happened_at, r.manager_id, r.kind, r.direction
FROM recent AS r
WHERE r.kind IN ('email', 'sms') OR (
    r.kind = 'chat' AND coalesce(r.manager_id, 0) NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'bots')
)
""",
    feeds=("activities",),
    kind="activity",
)

#: Meetings whose time has come, held or not.
MEETINGS = Fact(
    "kpi_meetings",
    f"""
WITH chosen AS (
    SELECT a.id, a.owner_type_id, a.owner_id, a.responsible_id AS manager_id, a.starts_at AS happened_at, {completed("a")} AS held
    FROM activities AS a
    LEFT JOIN kpi_kinds AS k ON k.provider_id = a.provider_id
    WHERE a.portal = $portal AND a.deleted_at IS NULL AND a.starts_at >= $since AND a.starts_at < $now
      AND {KIND} = 'meeting'
){_PLACED}
SELECT c.id, c.happened_at, c.manager_id, p.pipeline_id, c.held, s.id IS NULL AS only_row
FROM chosen AS c
LEFT JOIN places AS p ON p.id = c.id
LEFT JOIN spread AS s ON s.id = c.id
""",
    feeds=("activities",),
    waits_for=("deals",),
    needs=(DEALS,),
    kind="activity",
    solo="only_row",
)

#: Activities that were completed, by the moment at which that was first seen. ``by_itself``: the portal completed it.
DONE_ACTIVITIES = Fact(
    "kpi_done_activities",
    f"""
SELECT a.id, {DONE_AT} AS happened_at, a.responsible_id AS manager_id, {KIND} AS kind,
    coalesce(a.status = 3, FALSE) AS by_itself
FROM activities AS a
LEFT JOIN kpi_kinds AS k ON k.provider_id = a.provider_id
WHERE a.portal = $portal AND a.deleted_at IS NULL AND a.completed AND {DONE_AT} >= $since
""",
    feeds=("activities",),
    kind="activity",
)

#: Activities that are still to be done. ``ahead``: their time has not come yet, or is not set.
PENDING_ACTIVITIES = Fact(
    "kpi_pending_activities",
    f"""
WITH chosen AS (
    SELECT a.id, a.owner_type_id, a.owner_id, a.responsible_id AS manager_id, a.starts_at, a.deadline_at, {KIND} AS kind
    FROM activities AS a
    LEFT JOIN kpi_kinds AS k ON k.provider_id = a.provider_id
    WHERE a.portal = $portal AND a.deleted_at IS NULL AND NOT {completed("a")} AND NOT coalesce(a.is_incoming_channel, FALSE)
      AND {created("a")}
){_PLACED}
SELECT c.id, c.manager_id, p.pipeline_id, c.kind, coalesce(c.deadline_at >= $now, TRUE) AS ahead,
    c.deadline_at IS NULL AS undated, coalesce(c.deadline_at >= $now AND c.deadline_at < $day_ends, FALSE) AS due_today,
    c.kind = 'meeting' AND coalesce(c.starts_at >= $now, FALSE) AS meeting_ahead, s.id IS NULL AS only_row
FROM chosen AS c
LEFT JOIN places AS p ON p.id = c.id
LEFT JOIN spread AS s ON s.id = c.id
""",
    feeds=("activities",),
    waits_for=("deals",),
    needs=(DEALS,),
    kind="activity",
    state=True,
    solo="only_row",
)
