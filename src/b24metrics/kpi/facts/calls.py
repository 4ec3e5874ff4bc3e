"""Telephone calls with clients (catalogue §6.1; §19 "Calls").

One call = the legs that share ``call_id``. It is dated by its first leg, has that leg's direction and its id as ``call_key``;
it was answered if any leg of anybody was connected. Who looks at a call sees it through the legs inside their scope, so
every row is a leg, and what is counted are different calls.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from b24metrics.kpi.facts.view import Fact, View
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.refine import IntArray, Refinement
from b24metrics.worktime import Calendars


def legs_sql(since: str) -> str:
    """SELECT of the legs of all calls that began since an instant, and of some that began before it.

    Args:
        since: SQL expression; legs of the two days before it are looked at too: no call lasts longer than one day, so that
            calls which began within the later of the two are whole.
    """
    return f"""
WITH legs AS (
    SELECT c.id, nullif(c.call_id, '') AS call_id, c.type_id, c.user_id AS manager_id, c.line, c.phone_key, c.started_at,
        coalesce(c.duration_seconds, 0) AS duration_seconds, c.vote,
        coalesce(c.failed_code = '200' AND c.duration_seconds > 0, FALSE) AS connected,
        c.crm_entity_type_id, coalesce(c.crm_entity_id, 0) AS crm_entity_id, c.crm_activity_id,
        coalesce(c.has_record, FALSE) AS recorded, coalesce(c.transcript_id, 0) > 0 AS transcribed, c.tags
    FROM phone_calls AS c
    WHERE c.portal = $portal AND c.deleted_at IS NULL AND coalesce(c.category, '') IN ('', 'external')
      AND c.type_id IN (1, 2, 3, 4) AND c.started_at >= {since} - INTERVAL '2 day' AND c.started_at < $now
), several AS (
    SELECT l.call_id FROM legs AS l WHERE l.call_id IS NOT NULL GROUP BY l.call_id HAVING count(*) > 1
), shared AS (
    SELECT l.call_id, min(l.started_at) AS started_at, bool_or(l.connected) AS answered,
        bool_or(l.crm_entity_id > 0) AS has_client, min(l.phone_key) AS phone_key
    FROM legs AS l
    JOIN several AS s ON s.call_id = l.call_id
    GROUP BY l.call_id
), opened AS (
    SELECT s.call_id, min(l.id) AS id
    FROM shared AS s
    JOIN legs AS l ON l.call_id = s.call_id AND l.started_at = s.started_at
    GROUP BY s.call_id
), heads AS (
    SELECT s.call_id, s.started_at, s.answered, s.has_client, o.id, l.type_id, coalesce(l.phone_key, s.phone_key) AS phone_key
    FROM shared AS s
    JOIN opened AS o ON o.call_id = s.call_id
    JOIN legs AS l ON l.id = o.id
)
SELECT l.id, coalesce(h.started_at, l.started_at) AS happened_at, l.started_at AS leg_at, l.manager_id, l.line,
    l.duration_seconds, l.connected, coalesce(h.id, l.id) AS call_key, h.id IS NULL AS only_leg,
    coalesce(h.type_id, l.type_id) IN (1, 4) AS outgoing, coalesce(h.answered, l.connected) AS answered,
    coalesce(h.phone_key, l.phone_key) AS phone_key, coalesce(h.has_client, l.crm_entity_id > 0) AS has_client,
    l.crm_entity_type_id, l.crm_entity_id, l.crm_activity_id, l.recorded, l.transcribed, l.vote, l.tags
FROM legs AS l
LEFT JOIN heads AS h ON h.call_id = l.call_id
"""


def passed_sql(legs: str) -> str:
    """SELECT of the outgoing legs that make no dial: their call came in, and stays one that did, however it was passed on.

    Args:
        legs: name of a table with ``id``, ``call_id`` and ``started_at`` of outgoing legs.
    """
    return f"""
SELECT DISTINCT l.id
FROM {legs} AS l
JOIN phone_calls AS e ON e.portal = $portal AND e.call_id = l.call_id AND e.call_id <> '' AND e.deleted_at IS NULL
    AND coalesce(e.category, '') IN ('', 'external') AND e.type_id IN (2, 3)
WHERE e.started_at < l.started_at OR (e.started_at = l.started_at AND e.id < l.id)
"""


#: Legs of calls. ``leg_at``, ``duration_seconds``, ``connected``, ``recorded`` … are the leg's; ``outgoing``, ``answered``,
#: ``phone_key``, ``has_client`` (a record of the CRM is named) the call's.
CALL_LEGS = View("kpi_call_legs", legs_sql("$since"), feeds=("phone_calls",))


def _hours(columns: Mapping[str, IntArray], calendars: Calendars, _options: KpiOptions) -> Mapping[str, IntArray]:
    """Whether the company was at work when the call came in."""
    return {"in_hours": np.asarray(calendars.company.is_working(columns["happened_at"]), dtype=np.int64)}


#: Legs of calls as they are counted. ``in_hours``: 1 where the company worked when the call began, else 0.
CALLS = Fact(
    "kpi_calls",
    """
SELECT l.id, l.happened_at, l.manager_id, l.line, l.call_key, l.only_leg, l.outgoing, l.answered, l.connected,
    l.duration_seconds, l.connected AND l.duration_seconds >= $effective_seconds AS effective,
    coalesce(l.line, '') NOT IN (SELECT u.text FROM kpi_lists AS u WHERE u.list = 'unrecorded_lines') AS recordable,
    l.recorded, l.transcribed
FROM kpi_call_legs AS l
WHERE l.happened_at >= $since
""",
    feeds=("phone_calls",),
    needs=(CALL_LEGS,),
    kind="phone_call",
    solo="only_leg",
    refine=Refinement(("happened_at",), ("in_hours",), _hours),
)

#: Seconds of speech that were measured outside (inputs of kind ``speech``: operator and client of one leg).
SPEECH = Fact(
    "kpi_speech",
    """
SELECT l.id, l.happened_at, l.manager_id, i.operator_seconds, i.operator_seconds + i.client_seconds AS both_seconds
FROM kpi_call_legs AS l
JOIN (
    SELECT s.subject_id,
        sum(CASE WHEN s.label = 'operator' THEN s.amount ELSE 0 END) AS operator_seconds,
        sum(CASE WHEN s.label = 'client' THEN s.amount ELSE 0 END) AS client_seconds
    FROM inputs AS s
    WHERE s.portal = $portal AND s.kind = 'speech' AND s.level = 'call'
    GROUP BY s.subject_id
) AS i ON i.subject_id = l.id
""",
    feeds=("phone_calls",),
    needs=(CALL_LEGS,),
    kind="phone_call",
)

#: What stands behind the traffic pattern of a manager: dials, connects and median talk of the whole department, with its
#: sub-departments; one row a manager and window.
DEPARTMENT_TRAFFIC = Fact(
    "kpi_department_traffic",
    """
WITH seen AS (
    SELECT w.window_no, k.ancestor_id AS department_id, l.call_key, l.outgoing, l.connected, l.duration_seconds
    FROM kpi_call_legs AS l
    JOIN kpi_windows AS w ON l.happened_at >= w.starts_at AND l.happened_at < w.ends_at
    JOIN kpi_people AS p ON p.manager_id = l.manager_id
    JOIN kpi_closure AS k ON k.department_id = p.department_id
), calls AS (
    SELECT s.window_no, s.department_id, s.call_key, bool_or(s.outgoing) AS outgoing, bool_or(s.connected) AS connected,
        sum(CASE WHEN s.connected THEN s.duration_seconds END) AS talk_seconds
    FROM seen AS s
    GROUP BY s.window_no, s.department_id, s.call_key
), traffic AS (
    SELECT c.window_no, c.department_id, sum(CASE WHEN c.outgoing THEN 1 ELSE 0 END) AS dials,
        sum(CASE WHEN c.outgoing AND c.connected THEN 1 ELSE 0 END) AS connects,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY c.talk_seconds) AS median_seconds
    FROM calls AS c
    GROUP BY c.window_no, c.department_id
)
SELECT p.manager_id AS id, p.manager_id, t.window_no, t.dials, t.connects, t.median_seconds
FROM traffic AS t
JOIN kpi_people AS p ON p.department_id = t.department_id
""",
    feeds=("phone_calls",),
    needs=(CALL_LEGS,),
    kind="manager",
    windowed=True,
)
