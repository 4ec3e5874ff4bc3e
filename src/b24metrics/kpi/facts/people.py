"""People: how much they have in work, how long they worked, who left, what was said of them from outside (catalogue §9)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time

import numpy as np
from numpy.typing import NDArray

from b24metrics.kpi.facts.population import DEALS
from b24metrics.kpi.facts.view import Fact
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.refine import Refinement
from b24metrics.worktime import Calendars
from b24metrics.worktime.zones import load_zone

#: Days after being hired within which leaving is early.
EARLY_DAYS = 90

#: Active people of the scope with the number of deals that each has in work, 0 included.
LOADS = Fact(
    "kpi_loads",
    """
SELECT s.manager_id AS id, s.manager_id, coalesce(o.open_deals, 0) AS open_deals
FROM kpi_sellers AS s
LEFT JOIN (
    SELECT d.manager_id, count(*) AS open_deals FROM kpi_deals AS d WHERE d.semantics = 'P' GROUP BY d.manager_id
) AS o ON o.manager_id = s.manager_id
""",
    feeds=("deals", "users"),
    needs=(DEALS,),
    kind="user",
    state=True,
)


def worked(
    columns: Mapping[str, NDArray[np.int64]], calendars: Calendars, options: KpiOptions
) -> Mapping[str, NDArray[np.int64]]:
    """Working seconds of each person between two instants, from the first working day on, and the dates with any.

    Absences are left out of both; a night belongs to the date on which it begins.
    """
    zone = load_zone(options.zone or "UTC")
    people, start = columns["manager_id"], columns["from_at"].copy()
    for who in np.unique(people).tolist():
        joined = calendars.person(who).employed_on
        if joined is not None:
            mine = people == who
            start[mine] = np.maximum(start[mine], int(datetime.combine(joined, time(), zone).timestamp()))
    end = np.maximum(start, columns["to_at"])
    spans = zip(people.tolist(), start.tolist(), end.tolist(), strict=True)
    days = [calendars.employee(who).dates_worked(since, until) for who, since, until in spans]
    return {
        "worked_seconds": calendars.elapsed(people, start, end),
        "worked_days": np.array(days, dtype=np.int64),
    }


#: People of the scope with their own working time in each window, and the dates on which there was any. Whoever left in it or
#: later worked until then; ``active``: is still there.
WORKED = Fact(
    "kpi_worked",
    """
SELECT w.window_no, p.manager_id AS id, p.manager_id, s.manager_id IS NOT NULL AS active, w.starts_at AS from_at,
    CASE WHEN s.manager_id IS NULL THEN least(u.dismissed_at, w.ends_at) ELSE w.ends_at END AS to_at
FROM kpi_people AS p
CROSS JOIN kpi_windows AS w
LEFT JOIN kpi_sellers AS s ON s.manager_id = p.manager_id
LEFT JOIN users AS u ON u.portal = $portal AND u.id = p.manager_id
WHERE p.department_id > 0 AND (s.manager_id IS NOT NULL OR u.dismissed_at > w.starts_at)
""",
    feeds=("users",),
    kind="user",
    windowed=True,
    refine=Refinement(("manager_id", "from_at", "to_at"), ("worked_seconds", "worked_days"), worked),
)

#: People of the scope who were employed in a window, with the share of it that they were; whether they left in it, and
#: soon. Dismissals are observed: before they were for the whole window there are no rows.
STAFF = Fact(
    "kpi_staff",
    f"""
WITH employed AS (
    SELECT w.window_no, u.id, w.starts_at, w.ends_at,
        coalesce(CAST(u.employed_on AS TIMESTAMP) AT TIME ZONE $zone, u.registered_at) AS hired_at,
        CASE WHEN u.dismissed_at <= $now THEN u.dismissed_at END AS left_at
    FROM users AS u
    JOIN kpi_people AS p ON p.manager_id = u.id AND p.department_id > 0
    CROSS JOIN kpi_windows AS w
    JOIN portals AS o ON o.portal = $portal AND o.first_synced_at <= w.starts_at
    WHERE u.portal = $portal AND (coalesce(u.active, TRUE) OR u.dismissed_at IS NOT NULL)
)
SELECT e.window_no, e.id, e.id AS manager_id,
    greatest(0, epoch(least(coalesce(e.left_at, e.ends_at), e.ends_at))
            - epoch(greatest(coalesce(e.hired_at, e.starts_at), e.starts_at)))
        / (epoch(e.ends_at) - epoch(e.starts_at)) AS heads,
    coalesce(e.left_at >= e.starts_at AND e.left_at < e.ends_at, FALSE) AS departed,
    coalesce(e.left_at >= e.starts_at AND e.left_at < e.ends_at
        AND e.left_at < e.hired_at + INTERVAL '{EARLY_DAYS} days', FALSE) AS departed_early
FROM employed AS e
WHERE coalesce(e.left_at >= e.starts_at, TRUE) AND coalesce(e.hired_at < e.ends_at, TRUE)
""",
    feeds=("users",),
    kind="user",
    windowed=True,
)

#: Courses assigned and passed, as they were supplied.
TRAINING = Fact(
    "kpi_training",
    """
SELECT i.subject_id AS id, y.starts_at AS happened_at, i.subject_id AS manager_id,
    CASE WHEN i.kind = 'training_assigned' THEN i.amount ELSE 0 END AS assigned,
    CASE WHEN i.kind = 'training_passed' THEN i.amount ELSE 0 END AS passed
FROM inputs AS i
JOIN kpi_days AS y ON y.on_date = i.starts_on
WHERE i.portal = $portal AND i.kind IN ('training_assigned', 'training_passed') AND i.level = 'M'
""",
    kind="user",
)

#: Points of a scorecard that were given by hand.
SCORES = Fact(
    "kpi_scores",
    """
SELECT i.subject_id AS id, y.starts_at AS happened_at, i.subject_id AS manager_id, i.label AS criterion, i.amount AS points
FROM inputs AS i
JOIN kpi_days AS y ON y.on_date = i.starts_on
WHERE i.portal = $portal AND i.kind = 'score' AND i.level = 'M'
""",
    kind="user",
)

#: Scored calls: points by twice the number of criteria that apply, six at least; rudeness (criterion 9) caps at one half.
SCORED_CALLS = Fact(
    "kpi_scored_calls",
    """
WITH said AS (
    SELECT i.subject_id AS id, sum(CAST(i.amount AS DOUBLE)) / (2 * count(*)) AS score,
        count(CASE WHEN i.label = '9' AND i.amount = 0 THEN 1 END) > 0 AS rude
    FROM inputs AS i
    WHERE i.portal = $portal AND i.kind = 'call_points' AND i.level = 'call'
    GROUP BY i.subject_id
    HAVING count(*) >= 6
)
SELECT c.id, c.started_at AS happened_at, c.user_id AS manager_id,
    CASE WHEN s.rude THEN least(s.score, 0.5) ELSE s.score END AS score
FROM said AS s
JOIN phone_calls AS c ON c.portal = $portal AND c.id = s.id AND c.deleted_at IS NULL
""",
    feeds=("phone_calls",),
    kind="phone_call",
)
