"""The way from a lead to a sale (catalogue §8.1; §19 "Funnel")."""

from __future__ import annotations

from b24metrics.kpi.facts.funnel import FIRST_HANDS, PATHS, STEPS
from b24metrics.kpi.facts.population import DEALS, LEADS
from b24metrics.kpi.facts.view import Fact, View

#: What every deal tells about its root, as far as a root is asked for: reached the first of the configured stages, or went further. Without any
#: configured, no deal qualifies by its stage, and every deal is an agreement.
DEAL_MILESTONES = View(
    "kpi_deal_milestones",
    """
WITH marks AS (
    SELECT s.pipeline_id, min(CASE WHEN l.list = 'qualified_stages' THEN s.position END) AS qualified_from,
        min(CASE WHEN l.list = 'agreement_stages' THEN s.position END) AS agreed_from
    FROM kpi_steps AS s
    JOIN kpi_lists AS l ON l.list IN ('qualified_stages', 'agreement_stages') AND l.text = s.stage_id
    GROUP BY s.pipeline_id
), furthest AS (
    SELECT p.id, bool_or(p.far >= m.qualified_from) AS qualified, bool_or(p.far >= m.agreed_from) AS agreed
    FROM kpi_paths AS p
    JOIN marks AS m ON m.pipeline_id = p.pipeline_id
    GROUP BY p.id
)
SELECT d.id, d.lead_id, coalesce(f.qualified, FALSE) AS qualified,
    coalesce(f.agreed, FALSE) OR NOT EXISTS (SELECT 1 FROM kpi_lists AS l WHERE l.list = 'agreement_stages') AS agreed,
    d.semantics = 'S' AS won
FROM kpi_deals AS d
LEFT JOIN furthest AS f ON f.id = d.id
WHERE ($classic AND d.lead_id > 0) OR (NOT $classic AND d.created_at >= $since)
""",
    needs=(DEALS, STEPS, PATHS),
)

#: Root records by creation with the milestones that their best deal came to; a later one implies the earlier ones. Leads,
#: or deals in simple mode.
ROOTS = Fact(
    "kpi_roots",
    """
WITH best AS (
    SELECT m.lead_id AS id, bool_or(m.qualified) AS qualified, bool_or(m.agreed) AS agreed, bool_or(m.won) AS won
    FROM kpi_deal_milestones AS m
    WHERE $classic AND m.lead_id > 0
    GROUP BY m.lead_id
), roots AS (
    SELECT 1 AS entity_type_id, l.id, l.created_at, l.manager_id, CAST(NULL AS INTEGER) AS pipeline_id, l.source_id,
        l.semantics = 'S' OR coalesce(b.qualified, FALSE) AS qualified, coalesce(b.agreed, FALSE) AS agreed,
        coalesce(b.won, FALSE) AS won
    FROM kpi_leads AS l
    LEFT JOIN best AS b ON b.id = l.id
    WHERE $classic AND l.created_at >= $since
    UNION ALL
    SELECT 2, d.id, d.created_at, d.manager_id, d.pipeline_id, d.source_id, m.qualified, m.agreed, m.won
    FROM kpi_deals AS d
    JOIN kpi_deal_milestones AS m ON m.id = d.id
    WHERE NOT $classic AND d.created_at >= $since
)
SELECT r.id, r.created_at AS happened_at, coalesce(h.manager_id, r.manager_id) AS manager_id, r.pipeline_id, r.source_id,
    r.qualified OR r.agreed OR r.won AS qualified, r.agreed OR r.won AS agreed, r.won
FROM roots AS r
LEFT JOIN kpi_first_hands AS h ON h.entity_type_id = r.entity_type_id AND h.id = r.id
""",
    feeds=("requests", "deals"),
    waits_for=("deal_moves", "statuses"),
    needs=(LEADS, DEALS, DEAL_MILESTONES, FIRST_HANDS),
    kind="request",
)

#: Leads by creation, whatever the mode. ``junk``: in a status that says so.
CREATED_LEADS = Fact(
    "kpi_created_leads",
    """
SELECT l.id, l.created_at AS happened_at, coalesce(h.manager_id, l.manager_id) AS manager_id,
    CAST(NULL AS INTEGER) AS pipeline_id, l.source_id,
    coalesce(l.stage_id IN (SELECT j.text FROM kpi_lists AS j WHERE j.list = 'junk_statuses'), FALSE) AS junk
FROM kpi_leads AS l
LEFT JOIN kpi_first_hands AS h ON h.entity_type_id = 1 AND h.id = l.id
WHERE l.created_at >= $since
""",
    feeds=("leads",),
    needs=(LEADS, FIRST_HANDS),
    kind="lead",
)
