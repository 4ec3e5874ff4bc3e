"""What records were like at ``$now``, where something happened to them afterwards.

Laws: what happened after ``$now`` does not exist, so that any past instant can be evaluated; a view here has rows only for
records with something later, none at all at the present, and costs next to nothing then. What nobody wrote down (who moved
a deal last, when it was last changed, what the title was) stays as it is today. Deleted records are gone from the past,
too (catalogue §2.7). Source: catalogue §3 "History that REST does not keep".
"""

from __future__ import annotations

from b24metrics.kpi.facts.view import View


def created(alias: str) -> str:
    """Condition: the record was there. One that is dated after the last look at the portal is not later but misdated."""
    return f"(coalesce({alias}.created_at <= $now, TRUE) OR {alias}.created_at > $seen_until)"


def completed(alias: str) -> str:
    """Condition: the activity was completed."""
    return f"(coalesce({alias}.completed, FALSE) AND coalesce({alias}.completed_at <= $now, TRUE))"


# Without any history before, a record that moved later was open, at a stage that nobody knows.
_STAGES_THEN = """
WITH later AS (
    SELECT m.owner_id AS id
    FROM stage_moves AS m
    WHERE m.portal = $portal AND m.entity_type_id = {entity_type_id} AND m.deleted_at IS NULL
        AND m.created_at > $now AND m.created_at <= $seen_until
    UNION
    SELECT e.id
    FROM {table} AS e
    WHERE e.portal = $portal AND e.deleted_at IS NULL AND e.moved_at > $now AND e.moved_at <= $seen_until
), before AS (
    SELECT m.owner_id AS id, m.pipeline_id, m.stage_id, m.semantics, m.created_at,
        row_number() OVER (PARTITION BY m.owner_id ORDER BY m.created_at DESC, m.id DESC) AS back
    FROM stage_moves AS m
    JOIN later AS l ON l.id = m.owner_id
    WHERE m.portal = $portal AND m.entity_type_id = {entity_type_id} AND m.deleted_at IS NULL AND m.created_at <= $now
)
SELECT l.id, b.pipeline_id, b.stage_id, coalesce(b.semantics, 'P') AS semantics, b.created_at AS moved_at
FROM later AS l
LEFT JOIN before AS b ON b.id = l.id AND b.back = 1
"""

_HANDS_THEN = """
WITH later AS (
    SELECT a.entity_id AS id, a.from_id AS manager_id,
        row_number() OVER (PARTITION BY a.entity_id ORDER BY a.changed_at) AS nth
    FROM assignments AS a
    WHERE a.portal = $portal AND a.entity_type_id = {entity_type_id} AND a.changed_at > $now
)
SELECT l.id, l.manager_id FROM later AS l WHERE l.nth = 1
"""

#: Where deals stood that moved later: ``id, pipeline_id, stage_id, semantics, moved_at``.
DEAL_STAGES_THEN = View("kpi_deal_stages_then", _STAGES_THEN.format(table="deals", entity_type_id=2))
LEAD_STAGES_THEN = View("kpi_lead_stages_then", _STAGES_THEN.format(table="leads", entity_type_id=1))
#: The same of invoices.
INVOICE_STAGES_THEN = View("kpi_invoice_stages_then", _STAGES_THEN.format(table="invoices", entity_type_id=31))

#: Whose deals were that changed hands later: ``id, manager_id``.
DEAL_HANDS_THEN = View("kpi_deal_hands_then", _HANDS_THEN.format(entity_type_id=2))
LEAD_HANDS_THEN = View("kpi_lead_hands_then", _HANDS_THEN.format(entity_type_id=1))

#: What deals were worth, and when expected, that were changed later: ``id, opportunity, currency_id, closes_on``.
DEAL_TERMS_THEN = View(
    "kpi_deal_terms_then",
    """
WITH later AS (
    SELECT c.deal_id AS id, c.from_opportunity AS opportunity, c.from_currency_id AS currency_id,
        c.from_closes_on AS closes_on, row_number() OVER (PARTITION BY c.deal_id ORDER BY c.changed_at) AS nth
    FROM deal_changes AS c
    WHERE c.portal = $portal AND c.changed_at > $now
)
SELECT l.id, l.opportunity, l.currency_id, l.closes_on FROM later AS l WHERE l.nth = 1
""",
)
