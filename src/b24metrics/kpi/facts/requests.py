"""New requests and reactions to them (catalogue §7.2; §19 "Discipline and reaction").

Laws: a request has stretches of responsibility, one after another without gaps from its creation on; a reaction counts if it
is done by who was responsible at that moment; time is counted in the calendar of whoever was responsible in each stretch.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from b24metrics.kpi.facts.activities import CALL_ACTIVITIES, DEEDS
from b24metrics.kpi.facts.population import BORN_CLOSED, DEALS, LEAD_STAYS, LEADS, LOST_STAYS, WON_STAYS
from b24metrics.kpi.facts.view import Fact, View
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.refine import FloatArray, IntArray, Refinement
from b24metrics.worktime import Calendars

#: New requests: leads, or deals that do not come from a lead, not entered by hand; 30 days of them at least. One that is
#: dated in the future waits, though it lies in no window.
ASKED_FOR = View(
    "kpi_asked_for",
    """
WITH candidates AS (
    SELECT 2 AS entity_type_id, d.id, d.created_at, d.manager_id, d.pipeline_id, d.source_id,
        CASE WHEN d.semantics <> 'P' THEN coalesce(w.closed_since, s.closed_since, d.moved_at) END AS closed_at,
        e.created_by_id, e.modified_by_id, d.moved_by_id, e.modified_at, coalesce(e.webform_id, 0) AS webform_id, d.imported,
        d.semantics = 'P' AS is_open
    FROM kpi_deals AS d
    JOIN deals AS e ON e.portal = $portal AND e.id = d.id
    LEFT JOIN kpi_won_stays AS w ON w.id = d.id
    LEFT JOIN kpi_lost_stays AS s ON s.id = d.id
    WHERE NOT $classic AND d.lead_id = 0 AND d.created_at >= least($since, $d30_at)
    UNION ALL
    SELECT 1, l.id, l.created_at, l.manager_id, CAST(NULL AS INTEGER), l.source_id,
        CASE WHEN l.semantics <> 'P' THEN coalesce(s.closed_since, l.moved_at, l.closed_at) END, l.created_by_id,
        l.modified_by_id, l.moved_by_id, l.modified_at, l.webform_id, l.imported, l.semantics = 'P'
    FROM kpi_leads AS l
    LEFT JOIN kpi_lead_stays AS s ON s.id = l.id
    WHERE $classic
)
SELECT c.entity_type_id, c.id, c.created_at, c.manager_id, c.pipeline_id, c.source_id, c.closed_at, c.modified_by_id,
    c.moved_by_id, c.modified_at, c.is_open
FROM candidates AS c
WHERE c.created_at >= least($since, $d30_at) AND NOT c.imported
  AND NOT EXISTS (
    SELECT 1 FROM kpi_born_closed AS b WHERE b.entity_type_id = c.entity_type_id AND b.owner_id = c.id
  )
  AND ($count_by_hand OR NOT (
    coalesce(c.created_by_id = c.manager_id, FALSE) AND c.source_id NOT IN ('WEBFORM', 'CALLBACK', 'CALL')
    AND c.source_id NOT LIKE '%|%' AND c.webform_id = 0
  ))
""",
    needs=(DEALS, WON_STAYS, LOST_STAYS, LEADS, LEAD_STAYS, BORN_CLOSED),
)

#: Who was responsible for a request, and when: ``[from_at, until_at)``, NULL is open. Changes before its creation do not
#: exist, changes of one instant leave nothing to those in between.
STRETCHES = View(
    "kpi_stretches",
    """
WITH changes AS (
    SELECT r.entity_type_id, r.id, r.created_at, a.from_id, a.to_id, greatest(a.changed_at, r.created_at) AS changed_at,
        row_number() OVER (PARTITION BY r.entity_type_id, r.id ORDER BY a.changed_at) AS nth,
        lead(greatest(a.changed_at, r.created_at)) OVER (
            PARTITION BY r.entity_type_id, r.id ORDER BY a.changed_at
        ) AS next_at
    FROM assignments AS a
    JOIN kpi_asked_for AS r ON r.entity_type_id = a.entity_type_id AND r.id = a.entity_id
    WHERE a.portal = $portal AND a.changed_at <= $now
)
SELECT c.entity_type_id, c.id, 0 AS nth, c.from_id AS user_id, c.created_at AS from_at, c.changed_at AS until_at
FROM changes AS c
WHERE c.nth = 1
UNION ALL
SELECT c.entity_type_id, c.id, c.nth, c.to_id, c.changed_at, c.next_at
FROM changes AS c
UNION ALL
SELECT r.entity_type_id, r.id, 0, r.manager_id, r.created_at, CAST(NULL AS TIMESTAMPTZ)
FROM kpi_asked_for AS r
LEFT JOIN changes AS c ON c.entity_type_id = r.entity_type_id AND c.id = r.id AND c.nth = 1
WHERE c.id IS NULL
""",
    needs=(ASKED_FOR,),
)

#: Everything that may be a reaction: who did what to which request, and when (catalogue §7.2 a-f; §19 "Reactions"). A
#: touch may stand twice. ``user_id``: NULL for moves before the last one, which belong to the person responsible.
#: ``contact``: reached for the client. ``reached``: got through, as far as anybody can tell. ``talked``: a conversation.
TOUCHES = View(
    "kpi_touches",
    """
WITH counted AS (
    SELECT d.id, d.owner_type_id, d.owner_id, d.responsible_id AS user_id,
        CASE d.kind WHEN 'meeting' THEN d.starts_at ELSE d.created_at END AS touched_at,
        CAST(NULL AS TIMESTAMPTZ) AS touched_until, TRUE AS reached, FALSE AS talked
    FROM kpi_deeds AS d
    WHERE (d.created_at >= least($since, $d30_at) OR d.starts_at >= least($since, $d30_at)) AND (
        (d.kind = 'email' AND d.direction = 2)
        OR (d.kind = 'chat' AND d.direction = 2 AND coalesce(d.responsible_id, 0) NOT IN (
            SELECT l.number FROM kpi_lists AS l WHERE l.list = 'bots'
        ))
        OR (d.kind = 'meeting' AND d.done AND d.starts_at < $now)
    )
), calls AS (
    SELECT c.crm_activity_id AS id, c.crm_entity_type_id, c.crm_entity_id, c.user_id, c.started_at AS touched_at,
        c.started_at + coalesce(c.duration_seconds, 0) * INTERVAL '1 second' AS touched_until, c.type_id,
        coalesce(c.failed_code = '200' AND c.duration_seconds > 0, FALSE) AS talked
    FROM phone_calls AS c
    WHERE c.portal = $portal AND c.deleted_at IS NULL AND coalesce(c.category, '') IN ('', 'external')
      AND c.type_id IN (1, 2, 3, 4) AND c.started_at >= least($since, $d30_at) - INTERVAL '1 day' AND c.started_at < $now
), rung AS (
    SELECT c.id, c.crm_entity_type_id, c.crm_entity_id, c.user_id, c.touched_at, c.touched_until, c.talked
    FROM calls AS c
    WHERE c.type_id IN (1, 4) OR c.talked
), made AS (
    SELECT id, user_id, touched_at, touched_until, reached, talked FROM counted
    UNION ALL
    SELECT id, user_id, touched_at, touched_until, talked, talked FROM rung WHERE id > 0
), linked AS (
    SELECT b.entity_type_id, b.entity_id, m.user_id, m.touched_at, m.touched_until, m.reached, m.talked
    FROM made AS m
    JOIN activity_bindings AS b ON b.portal = $portal AND b.activity_id = m.id
    UNION ALL
    SELECT c.owner_type_id, c.owner_id, c.user_id, c.touched_at, c.touched_until, c.reached, c.talked FROM counted AS c
    UNION ALL
    SELECT a.owner_type_id, a.owner_id, c.user_id, c.touched_at, c.touched_until, c.talked, c.talked
    FROM rung AS c
    JOIN kpi_call_activities AS a ON a.id = c.id
    UNION ALL
    SELECT 1, c.crm_entity_id, c.user_id, c.touched_at, c.touched_until, c.talked, c.talked
    FROM rung AS c
    WHERE c.crm_entity_type_id = 1
), moves AS (
    SELECT r.entity_type_id, r.id, m.kind, m.created_at, r.moved_by_id,
        lead(m.id) OVER (PARTITION BY m.owner_id ORDER BY m.created_at, m.id) IS NULL AS is_last
    FROM stage_moves AS m
    JOIN kpi_asked_for AS r ON r.entity_type_id = m.entity_type_id AND r.id = m.owner_id
    WHERE m.portal = $portal AND m.deleted_at IS NULL AND $edits_react
)
SELECT r.entity_type_id, r.id, coalesce(l.user_id, 0) AS user_id, l.touched_at, l.touched_until, TRUE AS contact, l.reached,
    l.talked
FROM linked AS l
JOIN kpi_asked_for AS r ON r.entity_type_id = l.entity_type_id AND r.id = l.entity_id
UNION ALL
SELECT m.entity_type_id, m.id, CASE WHEN m.is_last THEN coalesce(m.moved_by_id, 0) END, m.created_at,
    CAST(NULL AS TIMESTAMPTZ), FALSE, FALSE, FALSE
FROM moves AS m
WHERE m.kind <> 1
UNION ALL
SELECT r.entity_type_id, r.id, coalesce(r.modified_by_id, 0), r.modified_at, CAST(NULL AS TIMESTAMPTZ), FALSE, FALSE, FALSE
FROM kpi_asked_for AS r
WHERE $edits_react AND r.modified_at > r.created_at + INTERVAL '5 second'
""",
    needs=(ASKED_FOR, DEEDS, CALL_ACTIVITIES),
)

#: What became of every request: first own reaction and first own contact that got through, with whose stretch the reaction
#: lies in. ``at_creation``: it came up in a conversation with the person responsible. ``by_other``: a colleague reached for
#: the client before the own reaction. ``ends_at``: reaction, else closing, else now.
ANSWERS = View(
    "kpi_answers",
    """
WITH own AS (
    SELECT t.entity_type_id, t.id, min(CASE WHEN t.touched_at >= r.created_at THEN t.touched_at END) AS reacted_at,
        min(CASE WHEN t.touched_at >= r.created_at AND t.contact AND t.reached THEN t.touched_at END) AS contact_at,
        bool_or(t.talked AND t.touched_at <= r.created_at AND t.touched_until >= r.created_at) AS at_creation
    FROM kpi_touches AS t
    JOIN kpi_asked_for AS r ON r.entity_type_id = t.entity_type_id AND r.id = t.id
    JOIN kpi_stretches AS s ON s.entity_type_id = t.entity_type_id AND s.id = t.id AND s.user_id > 0
        AND (t.user_id IS NULL OR s.user_id = t.user_id) AND s.from_at <= greatest(t.touched_at, r.created_at)
        AND (s.until_at IS NULL OR greatest(t.touched_at, r.created_at) < s.until_at)
    WHERE t.touched_at < $now
    GROUP BY t.entity_type_id, t.id
), others AS (
    SELECT t.entity_type_id, t.id, min(t.touched_at) AS touched_at
    FROM kpi_touches AS t
    JOIN kpi_stretches AS s ON s.entity_type_id = t.entity_type_id AND s.id = t.id
        AND s.from_at <= t.touched_at AND (s.until_at IS NULL OR t.touched_at < s.until_at)
    WHERE t.contact AND t.user_id > 0 AND t.touched_at < $now AND t.user_id <> coalesce(s.user_id, 0)
    GROUP BY t.entity_type_id, t.id
)
SELECT r.entity_type_id, r.id, r.created_at, r.manager_id, r.pipeline_id, r.source_id, r.is_open, o.reacted_at,
    o.contact_at, coalesce(o.at_creation, FALSE) AS at_creation,
    coalesce(x.touched_at < coalesce(o.reacted_at, $now), FALSE) AS by_other,
    coalesce(o.reacted_at, CASE WHEN r.closed_at <= $now THEN r.closed_at END, $now) AS ends_at
FROM kpi_asked_for AS r
LEFT JOIN own AS o ON o.entity_type_id = r.entity_type_id AND o.id = r.id
LEFT JOIN others AS x ON x.entity_type_id = r.entity_type_id AND x.id = r.id
""",
    needs=(ASKED_FOR, STRETCHES, TOUCHES),
)


def _waited(
    columns: Mapping[str, IntArray], calendars: Calendars, options: KpiOptions
) -> dict[str, IntArray | FloatArray]:
    """Waiting times of requests whose rows are their stretches; the row with ``is_first`` = 1 gets the sum of all."""
    first = columns["is_first"] == 1
    requests, of = np.unique(columns["id"], return_inverse=True)
    rows = np.zeros(len(requests), dtype=np.int64)
    rows[of[first]] = np.flatnonzero(first)

    def until(end_at: IntArray) -> IntArray:
        starts = np.minimum(columns["from_at"], end_at)
        seconds = calendars.elapsed(columns["user_id"], starts, np.minimum(columns["stretch_until"], end_at))
        total = np.zeros(len(first), dtype=np.int64)
        np.add.at(total, rows[of], seconds)
        return total

    waited = until(columns["ends_at"])
    answered, touched = columns["is_answered"] == 1, columns["is_contacted"] == 1
    late = waited > options.sla_seconds
    return {
        "working_seconds": waited,
        "contact_seconds": np.where(touched, until(columns["contact_until"]), np.nan),
        "assigned_seconds": np.where(
            (columns["is_assigned"] == 1) & answered,
            calendars.elapsed(columns["manager_id"], columns["assigned_at"], columns["ends_at"]),
            np.nan,
        ),
        "late": late.astype(np.int64),
    }


#: New requests, one row for each stretch of responsibility up to the reaction; everything but ``user_id``, ``from_at`` and
#: ``stretch_until`` is said of the request, and counted in the row with ``is_first`` = 1 alone. Of the person who reacted, else
#: who is responsible now. ``assigned_at``: when the request came to who reacted; known where that was observed, or nothing
#: could have been missed.
REQUESTS = Fact(
    "kpi_requests",
    """
WITH hands AS (
    SELECT a.entity_type_id, a.id, s.user_id, s.from_at, s.nth
    FROM kpi_answers AS a
    JOIN kpi_stretches AS s ON s.entity_type_id = a.entity_type_id AND s.id = a.id AND s.from_at <= a.reacted_at
        AND (s.until_at IS NULL OR a.reacted_at < s.until_at)
)
SELECT a.id, a.created_at AS happened_at, coalesce(h.user_id, a.manager_id) AS manager_id, a.pipeline_id, a.source_id,
    CASE WHEN s.nth = 0 THEN 1 ELSE 0 END AS is_first, a.at_creation, a.by_other, a.reacted_at IS NOT NULL AS answered,
    CASE WHEN a.reacted_at IS NULL THEN 0 ELSE 1 END AS is_answered,
    CASE WHEN a.contact_at IS NULL THEN 0 ELSE 1 END AS is_contacted,
    CASE WHEN h.nth > 0 OR a.created_at >= p.first_synced_at THEN 1 ELSE 0 END AS is_assigned,
    epoch(a.ends_at) - epoch(a.created_at) AS seconds,
    s.user_id, s.from_at, a.ends_at, coalesce(a.contact_at, a.ends_at) AS contact_until,
    coalesce(s.until_at, greatest(a.ends_at, coalesce(a.contact_at, a.ends_at))) AS stretch_until,
    coalesce(h.from_at, a.created_at) AS assigned_at
FROM kpi_answers AS a
JOIN portals AS p ON p.portal = $portal
JOIN kpi_stretches AS s ON s.entity_type_id = a.entity_type_id AND s.id = a.id
    AND (s.nth = 0 OR s.from_at < greatest(a.ends_at, coalesce(a.contact_at, a.ends_at)))
LEFT JOIN hands AS h ON h.entity_type_id = a.entity_type_id AND h.id = a.id
""",
    feeds=("requests", "activities"),
    waits_for=("deal_moves", "lead_moves", "phone_calls"),
    needs=(STRETCHES, ANSWERS),
    kind="request",
    refine=Refinement(
        (
            "id", "manager_id", "user_id", "is_first", "from_at", "stretch_until", "ends_at", "contact_until", "assigned_at",
            "is_answered", "is_contacted", "is_assigned",
        ),
        ("working_seconds", "contact_seconds", "assigned_seconds", "late"),
        _waited,
    ),
)  # fmt: skip


def _ageing(columns: Mapping[str, IntArray], calendars: Calendars, options: KpiOptions) -> dict[str, IntArray]:
    """The same for requests that nobody answered yet, and whether anybody will soon."""
    first = columns["is_first"] == 1
    requests, of = np.unique(columns["id"], return_inverse=True)
    rows = np.zeros(len(requests), dtype=np.int64)
    rows[of[first]] = np.flatnonzero(first)
    seconds = calendars.elapsed(columns["user_id"], columns["from_at"], columns["stretch_until"])
    waited = np.zeros(len(first), dtype=np.int64)
    np.add.at(waited, rows[of], seconds)
    people, who = np.unique(columns["manager_id"], return_inverse=True)
    now = int(columns["seen_at"].max(initial=0))
    away = np.array([person > 0 and calendars.is_away(int(person), now) for person in people], dtype=np.int64)
    return {
        "working_seconds": waited,
        "late": (waited > options.sla_seconds).astype(np.int64),
        "away": away[who] if len(people) else np.zeros(0, dtype=np.int64),
    }


#: Requests of the last 30 days that are open and unanswered, one row for each stretch as above.
UNANSWERED = Fact(
    "kpi_unanswered",
    """
SELECT a.id, a.manager_id, a.pipeline_id, a.source_id, CASE WHEN s.nth = 0 THEN 1 ELSE 0 END AS is_first, s.user_id, s.from_at,
    coalesce(s.until_at, a.ends_at) AS stretch_until, CAST($now AS TIMESTAMPTZ) AS seen_at
FROM kpi_answers AS a
JOIN kpi_stretches AS s ON s.entity_type_id = a.entity_type_id AND s.id = a.id
WHERE a.is_open AND a.reacted_at IS NULL AND NOT a.at_creation AND a.created_at >= $d30_at
""",
    feeds=("requests", "activities"),
    waits_for=("deal_moves", "lead_moves", "phone_calls"),
    needs=(STRETCHES, ANSWERS),
    kind="request",
    state=True,
    refine=Refinement(
        ("id", "manager_id", "user_id", "is_first", "from_at", "stretch_until", "seen_at"),
        ("working_seconds", "late", "away"),
        _ageing,
    ),
)
