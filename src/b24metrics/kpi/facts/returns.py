"""Missed calls and whether somebody called back (catalogue §6.1; §19 "Unreturned").

An episode is all missed calls from one number between two contacts with it: it is dated by the earliest of them and
belongs to whom that one was meant for. A contact is a call in either direction in which anybody talked; it begins with its
first leg. A call without a number is an episode of its own, and nothing returns it.

How: nearly all calls are long past. Of those only numbers that still wait are looked up, by one grouping of all talks; what
began less than a day before the windows is followed call by call.
"""

from __future__ import annotations

from b24metrics.kpi.facts.calls import CALL_LEGS
from b24metrics.kpi.facts.view import Fact, View
from b24metrics.kpi.refine import Refinement, waiting

_LEG = """
    c.portal = $portal AND c.deleted_at IS NULL AND coalesce(c.category, '') IN ('', 'external')
        AND c.type_id IN (1, 2, 3, 4)
"""
# As a condition: no talk where a column is NULL.
_CONNECTED = "c.failed_code = '200' AND c.duration_seconds > 0"
# A leg without the id of a call is a call of its own.
_CALL = "coalesce(nullif(c.call_id, ''), '?' || c.id)"
_LONGEST = "INTERVAL '6 hours'"  # no call takes longer from its first leg to its last
_LATELY = "($since - INTERVAL '1 day')"
_TALKED = f"coalesce({_CONNECTED}, FALSE)"
_UNHEARD = f"c.type_id IN (2, 3) AND NOT {_TALKED}"

#: Episodes that had begun, and were waiting, a day before the windows: all legs of their first missed calls. Numbers are
#: first compared leg by leg, with their last talk; then calls are looked at whole: what rang since that talk, and all that the
#: number had near it, for a talk begins with the first leg of its call.
OLD_EPISODES = View(
    "kpi_old_episodes",
    f"""
WITH past AS (
    SELECT c.phone_key, max(c.started_at) AS contact_at
    FROM phone_calls AS c
    WHERE {_LEG} AND {_CONNECTED} AND c.phone_key IS NOT NULL AND c.started_at < {_LATELY}
    GROUP BY c.phone_key
), unheard AS (
    SELECT c.id, {_CALL} AS call, coalesce(c.call_id, '') = '' AS alone, c.phone_key, c.user_id AS manager_id, c.started_at,
        c.type_id, p.contact_at, coalesce(c.started_at < p.contact_at, FALSE) AS before
    FROM phone_calls AS c
    LEFT JOIN past AS p ON p.phone_key = c.phone_key
    WHERE {_LEG} AND {_UNHEARD} AND c.started_at < {_LATELY}
      AND (p.contact_at IS NULL OR c.started_at >= p.contact_at - {_LONGEST})
), near AS (
    SELECT DISTINCT u.phone_key, u.contact_at FROM unheard AS u WHERE u.before
), asked AS (
    SELECT DISTINCT u.call FROM unheard AS u WHERE NOT u.before
), whole AS (
    SELECT c.id, {_CALL} AS call, c.phone_key, c.user_id AS manager_id, c.started_at, c.type_id, {_TALKED} AS connected
    FROM phone_calls AS c
    JOIN near AS n ON n.phone_key = c.phone_key
    WHERE {_LEG} AND c.started_at >= n.contact_at - {_LONGEST} AND c.started_at < least(n.contact_at + 2 * {_LONGEST}, $now)
    UNION
    SELECT c.id, c.call_id AS call, c.phone_key, c.user_id AS manager_id, c.started_at, c.type_id, {_TALKED} AS connected
    FROM phone_calls AS c
    JOIN asked AS a ON a.call = c.call_id
    WHERE {_LEG} AND c.started_at < $now
    UNION
    SELECT u.id, u.call, u.phone_key, u.manager_id, u.started_at, u.type_id, FALSE AS connected
    FROM unheard AS u
    WHERE u.alone
), legs AS (
    SELECT w.*, row_number() OVER (PARTITION BY w.call ORDER BY w.started_at, w.id) AS leg_no FROM whole AS w
), calls AS (
    SELECT l.call, max(l.phone_key) AS phone_key, min(l.started_at) AS began_at, bool_or(l.connected) AS answered,
        bool_or(l.leg_no = 1 AND l.type_id IN (1, 4)) AS outgoing
    FROM legs AS l
    GROUP BY l.call
), contacts AS (
    SELECT c.phone_key, c.began_at FROM calls AS c WHERE c.answered AND c.began_at < {_LATELY}
    UNION ALL
    SELECT l.phone_key, l.happened_at FROM kpi_call_legs AS l WHERE l.answered AND l.happened_at < {_LATELY}
), talked AS (
    SELECT c.phone_key, max(c.began_at) AS began_at FROM contacts AS c GROUP BY c.phone_key
), missed AS (
    SELECT u.id, u.call, u.phone_key, u.started_at, coalesce(u.phone_key, u.call) AS episode
    FROM unheard AS u
    JOIN calls AS c ON c.call = u.call
    LEFT JOIN talked AS t ON t.phone_key = u.phone_key
    WHERE NOT c.answered AND NOT c.outgoing AND coalesce(c.began_at >= t.began_at, TRUE)
), began AS (
    SELECT m.episode, min(m.started_at) AS happened_at FROM missed AS m GROUP BY m.episode
), opened AS (
    SELECT b.episode, b.happened_at, min(m.id) AS call_key
    FROM began AS b
    JOIN missed AS m ON m.episode = b.episode AND m.started_at = b.happened_at
    GROUP BY b.episode, b.happened_at
)
SELECT l.id, f.phone_key, l.manager_id, o.call_key, o.happened_at
FROM opened AS o
JOIN missed AS f ON f.id = o.call_key
JOIN legs AS l ON l.call = f.call
""",
    feeds=("phone_calls",),
    needs=(CALL_LEGS,),
)

#: Episodes that began later, by the key of their first missed call. ``returned_at``: the next contact; NULL: none yet.
EPISODES = View(
    "kpi_episodes",
    """
WITH calls AS (
    SELECT l.call_key, l.phone_key, l.happened_at, l.answered, l.outgoing
    FROM kpi_call_legs AS l
    WHERE l.id = l.call_key AND l.happened_at >= $since - INTERVAL '1 day'
), missed AS (
    SELECT c.call_key, c.phone_key, c.happened_at FROM calls AS c WHERE NOT c.outgoing AND NOT c.answered
), contacts AS (
    SELECT c.phone_key, c.happened_at
    FROM calls AS c
    WHERE c.answered AND c.phone_key IN (SELECT m.phone_key FROM missed AS m)
), followed AS (
    SELECT m.call_key, m.phone_key, m.happened_at, min(c.happened_at) AS returned_at
    FROM missed AS m
    LEFT JOIN contacts AS c ON c.phone_key = m.phone_key AND c.happened_at > m.happened_at
    GROUP BY m.call_key, m.phone_key, m.happened_at
), began AS (
    SELECT f.phone_key, f.returned_at, min(f.happened_at) AS happened_at
    FROM followed AS f
    WHERE f.phone_key IS NOT NULL
    GROUP BY f.phone_key, f.returned_at
), opened AS (
    SELECT b.phone_key, b.happened_at, b.returned_at, min(f.call_key) AS call_key
    FROM began AS b
    JOIN followed AS f ON f.phone_key = b.phone_key AND f.happened_at = b.happened_at
    GROUP BY b.phone_key, b.happened_at, b.returned_at
), first_contacts AS (
    SELECT c.phone_key, min(c.happened_at) AS happened_at FROM contacts AS c GROUP BY c.phone_key
), waiting AS (
    SELECT DISTINCT o.phone_key FROM kpi_old_episodes AS o WHERE o.phone_key IS NOT NULL
)
SELECT o.call_key, o.returned_at
FROM opened AS o
LEFT JOIN first_contacts AS c ON c.phone_key = o.phone_key
LEFT JOIN waiting AS w ON w.phone_key = o.phone_key
WHERE w.phone_key IS NULL OR c.happened_at <= o.happened_at
UNION ALL
SELECT f.call_key, f.returned_at FROM followed AS f WHERE f.phone_key IS NULL
""",
    feeds=("phone_calls",),
    needs=(CALL_LEGS, OLD_EPISODES),
)

#: Legs of the first missed calls of episodes, the first of each being 1, with how long the number waited in the calendar of the
#: person called.
RETURNS = Fact(
    "kpi_returns",
    """
SELECT l.id, l.happened_at, l.manager_id, l.call_key, e.returned_at IS NOT NULL AS returned,
    row_number() OVER (PARTITION BY l.call_key ORDER BY l.leg_at, l.id) AS leg_no, coalesce(e.returned_at, $now) AS waited_until
FROM kpi_episodes AS e
JOIN kpi_call_legs AS l ON l.call_key = e.call_key
""",
    feeds=("phone_calls",),
    needs=(CALL_LEGS, EPISODES),
    kind="phone_call",
    refine=Refinement(("manager_id", "happened_at", "waited_until"), ("working_seconds",), waiting),
)

#: Episodes that nobody returned until now, in the windows in which they began; in ``now`` all of them.
UNRETURNED = Fact(
    "kpi_unreturned",
    """
WITH waiting AS (
    SELECT l.id, l.manager_id, l.call_key, l.happened_at
    FROM kpi_episodes AS e
    JOIN kpi_call_legs AS l ON l.call_key = e.call_key
    WHERE e.returned_at IS NULL
    UNION ALL
    SELECT o.id, o.manager_id, o.call_key, o.happened_at
    FROM kpi_old_episodes AS o
    WHERE NOT EXISTS (
        SELECT 1 FROM kpi_call_legs AS l
        WHERE l.answered AND l.phone_key = o.phone_key AND l.happened_at > o.happened_at
    )
)
SELECT e.id, e.manager_id, e.call_key, w.window_no
FROM waiting AS e
JOIN kpi_windows AS w
    ON w.is_state OR (e.happened_at >= w.starts_at AND e.happened_at < w.ends_at)
""",
    feeds=("phone_calls",),
    needs=(CALL_LEGS, OLD_EPISODES, EPISODES),
    kind="phone_call",
    windowed=True,
)
