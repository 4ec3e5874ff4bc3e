"""Telephone calls with clients (catalogue §6.1)."""

from __future__ import annotations

from b24metrics.kpi.facts.view import Fact

#: Legs of telephone calls with clients (catalogue §6.1). A call is dated by its first leg, whose id is its key.
CALLS = Fact(
    "kpi_calls",
    """
WITH legs AS (
    SELECT c.id, c.call_id, c.type_id, c.user_id AS manager_id, c.line, c.duration_seconds, c.started_at,
        c.failed_code = '200' AND c.duration_seconds > 0 AS connected
    FROM phone_calls AS c
    WHERE c.portal = $portal AND c.deleted_at IS NULL AND coalesce(c.category, '') IN ('', 'external')
      AND c.type_id IN (1, 2, 3, 4) AND c.started_at >= $since - INTERVAL '1 day'
), shared AS (
    SELECT l.call_id, min(l.started_at) AS started_at, min(l.id) AS call_key
    FROM legs AS l
    WHERE l.call_id <> ''
    GROUP BY l.call_id
    HAVING count(*) > 1
)
SELECT l.id, coalesce(s.started_at, l.started_at) AS happened_at, l.manager_id, l.type_id, l.line,
    coalesce(s.call_key, l.id) AS call_key, s.call_key IS NULL AS only_leg,
    coalesce(l.duration_seconds, 0) AS duration_seconds, coalesce(l.connected, FALSE) AS connected
FROM legs AS l
LEFT JOIN shared AS s ON s.call_id = l.call_id
""",
    feeds=("phone_calls",),
    kind="phone_call",
    solo="only_leg",
)
