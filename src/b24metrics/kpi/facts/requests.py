"""New requests and reactions to them (catalogue §7.2)."""

from __future__ import annotations

from b24metrics.kpi.facts.population import BORN_CLOSED, DEAL_STAYS, DEALS, LEAD_STAYS, LEADS
from b24metrics.kpi.facts.view import Fact, View
from b24metrics.kpi.refine import Refinement, waiting

#: New requests: leads, or deals that do not come from a lead (catalogue §7.2 "Population"; §19 "Entered by hand").
ASKED_FOR = View(
    "kpi_asked_for",
    """
WITH candidates AS (
    SELECT 2 AS entity_type_id, d.id, d.created_at, d.manager_id, d.pipeline_id, d.source_id,
        CASE WHEN d.semantics <> 'P' THEN coalesce(s.closed_since, d.moved_at) END AS closed_at, d.created_by_id,
        d.modified_by_id, d.moved_by_id, d.modified_at, d.webform_id, d.imported
    FROM kpi_deals AS d
    LEFT JOIN kpi_deal_stays AS s ON s.id = d.id
    WHERE NOT $classic AND d.lead_id = 0
    UNION ALL
    SELECT 1, l.id, l.created_at, l.manager_id, CAST(NULL AS INTEGER), l.source_id,
        CASE WHEN l.semantics <> 'P' THEN coalesce(l.closed_at, s.closed_since, l.moved_at) END, l.created_by_id,
        l.modified_by_id, l.moved_by_id, l.modified_at, l.webform_id, l.imported
    FROM kpi_leads AS l
    LEFT JOIN kpi_lead_stays AS s ON s.id = l.id
    WHERE $classic
)
SELECT c.*
FROM candidates AS c
WHERE c.created_at >= $since AND c.created_at < $now AND NOT c.imported
  AND NOT EXISTS (
    SELECT 1 FROM kpi_born_closed AS b WHERE b.entity_type_id = c.entity_type_id AND b.owner_id = c.id
  )
  AND ($count_by_hand OR NOT (
    coalesce(c.created_by_id = c.manager_id, FALSE) AND c.source_id NOT IN ('WEBFORM', 'CALLBACK', 'CALL')
    AND c.source_id NOT LIKE '%|%' AND c.webform_id = 0
  ))
""",
    needs=(DEALS, DEAL_STAYS, LEADS, LEAD_STAYS, BORN_CLOSED),
)

#: Everything that may be a reaction: who did what to which request, and when (catalogue §7.2 a-f; §19 "Reactions"). A
#: touch may stand twice. ``contact``: reached for the client. ``talked``: a conversation took place.
TOUCHES = View(
    "kpi_touches",
    """
WITH deeds AS (
    SELECT a.id, a.owner_type_id, a.owner_id, a.responsible_id, a.created_at, a.starts_at,
        coalesce(a.completed, FALSE) AS completed, coalesce(a.direction, 0) AS direction,
        coalesce(k.kind, CASE
            WHEN a.provider_id = 'IMOPENLINES_SESSION' THEN 'chat'
            WHEN a.provider_id LIKE '%SENDER%' THEN 'bulk'
            WHEN a.type_id = 1 THEN 'meeting'
            WHEN a.type_id = 4 THEN 'email'
        END) AS kind
    FROM activities AS a
    LEFT JOIN kpi_kinds AS k ON k.provider_id = a.provider_id
    WHERE a.portal = $portal AND a.deleted_at IS NULL AND (a.created_at >= $since OR a.starts_at >= $since)
), counted AS (
    SELECT d.id, d.owner_type_id, d.owner_id, d.responsible_id AS user_id,
        CASE d.kind WHEN 'meeting' THEN d.starts_at ELSE d.created_at END AS touched_at,
        CAST(NULL AS TIMESTAMPTZ) AS touched_until, FALSE AS talked
    FROM deeds AS d
    WHERE (d.kind IN ('email', 'chat') AND d.direction = 2)
        OR (d.kind = 'meeting' AND d.completed AND d.starts_at < $now)
), calls AS (
    SELECT c.crm_activity_id AS id, c.crm_entity_type_id, c.crm_entity_id, c.user_id, c.started_at AS touched_at,
        c.started_at + coalesce(c.duration_seconds, 0) * INTERVAL '1 second' AS touched_until, c.type_id,
        coalesce(c.failed_code = '200' AND c.duration_seconds > 0, FALSE) AS talked
    FROM phone_calls AS c
    WHERE c.portal = $portal AND c.deleted_at IS NULL AND coalesce(c.category, '') IN ('', 'external')
      AND c.type_id IN (1, 2, 3, 4) AND c.started_at >= $since - INTERVAL '1 day' AND c.started_at < $now
), made AS (
    SELECT id, user_id, touched_at, touched_until, talked FROM counted
    UNION ALL
    SELECT id, user_id, touched_at, touched_until, talked FROM calls WHERE type_id IN (1, 4) OR talked
), linked AS (
    SELECT b.entity_type_id, b.entity_id, m.user_id, m.touched_at, m.touched_until, m.talked
    FROM made AS m
    JOIN activity_bindings AS b ON b.portal = $portal AND b.activity_id = m.id
    UNION ALL
    SELECT a.owner_type_id, a.owner_id, m.user_id, m.touched_at, m.touched_until, m.talked
    FROM made AS m
    JOIN activities AS a ON a.portal = $portal AND a.id = m.id
    UNION ALL
    SELECT 1, c.crm_entity_id, c.user_id, c.touched_at, c.touched_until, c.talked
    FROM calls AS c
    WHERE c.crm_entity_type_id = 1 AND (c.type_id IN (1, 4) OR c.talked)
), moves AS (
    SELECT r.entity_type_id, r.id, m.kind, m.created_at, r.manager_id, r.moved_by_id,
        lead(m.id) OVER (PARTITION BY m.owner_id ORDER BY m.created_at, m.id) IS NULL AS is_last
    FROM stage_moves AS m
    JOIN kpi_asked_for AS r ON r.entity_type_id = m.entity_type_id AND r.id = m.owner_id
    WHERE m.portal = $portal AND m.deleted_at IS NULL AND $edits_react
)
SELECT r.entity_type_id, r.id, l.user_id, l.touched_at, l.touched_until, TRUE AS contact, l.talked
FROM linked AS l
JOIN kpi_asked_for AS r ON r.entity_type_id = l.entity_type_id AND r.id = l.entity_id
UNION ALL
SELECT m.entity_type_id, m.id, CASE WHEN m.is_last THEN m.moved_by_id ELSE m.manager_id END, m.created_at,
    CAST(NULL AS TIMESTAMPTZ), FALSE, FALSE
FROM moves AS m
WHERE m.kind <> 1
UNION ALL
SELECT r.entity_type_id, r.id, r.modified_by_id, r.modified_at, CAST(NULL AS TIMESTAMPTZ), FALSE, FALSE
FROM kpi_asked_for AS r
WHERE $edits_react AND r.modified_at > r.created_at + INTERVAL '5 second'
""",
    needs=(ASKED_FOR,),
)

#: New requests with the first reaction of the person responsible (catalogue §7.2). ``waited_until``: reaction, else
#: closing, else now. Requests born during a conversation with that person were answered at once and are not here.
REQUESTS = Fact(
    "kpi_requests",
    """
WITH reactions AS (
    SELECT t.entity_type_id, t.id,
        min(CASE WHEN t.touched_at >= r.created_at THEN t.touched_at END) AS reacted_at,
        bool_or(t.talked AND t.touched_at <= r.created_at AND t.touched_until >= r.created_at) AS born_in_talk
    FROM kpi_touches AS t
    JOIN kpi_asked_for AS r ON r.entity_type_id = t.entity_type_id AND r.id = t.id AND r.manager_id = t.user_id
    WHERE t.touched_at < $now
    GROUP BY t.entity_type_id, t.id
)
SELECT r.id, r.created_at AS happened_at, r.manager_id, r.pipeline_id, r.source_id,
    a.reacted_at IS NOT NULL AS answered,
    coalesce(a.reacted_at, r.closed_at, $now) AS waited_until
FROM kpi_asked_for AS r
LEFT JOIN reactions AS a ON a.entity_type_id = r.entity_type_id AND a.id = r.id
WHERE NOT coalesce(a.born_in_talk, FALSE)
""",
    feeds=("requests", "activities"),
    waits_for=("deal_moves", "lead_moves", "phone_calls"),
    needs=(ASKED_FOR, TOUCHES),
    kind="request",
    refine=Refinement(("manager_id", "happened_at", "waited_until"), ("working_seconds",), waiting),
)
