"""Invoices: issued, paid, cancelled, overdue (catalogue §6.3; §19 "Other activity").

Laws: an invoice counts while it is neither a test nor deleted, nor of a deal whose pipeline does not count; its pipeline is
that of its deal. Stage and payments are those of ``$now``. Money of a paid invoice has the rate that was known when it
was paid, that of a payment the rate when it was first seen paid; what is not paid yet has today's.
"""

from __future__ import annotations

from b24metrics.kpi.facts.past import INVOICE_STAGES_THEN, created
from b24metrics.kpi.facts.view import Fact, View

#: Stages of invoices. ``is_draft``: an invoice there is not issued; the first open stage of a directory with at least two,
#: unless drafts are configured.
INVOICE_STAGES = View(
    "kpi_invoice_stages",
    """
WITH stages AS (
    SELECT s.status_id, coalesce(s.pipeline_id, 0) AS pipeline_id, coalesce(s.semantics, 'P') AS semantics, s.sort,
        s.deleted_at IS NULL AND coalesce(s.semantics, 'P') = 'P' AS is_open
    FROM statuses AS s
    WHERE s.portal = $portal AND s.entity_type_id = 31
), numbered AS (
    SELECT o.status_id, row_number() OVER (PARTITION BY o.pipeline_id ORDER BY o.sort, o.status_id) AS place,
        count(*) OVER (PARTITION BY o.pipeline_id) AS open_stages
    FROM stages AS o
    WHERE o.is_open
)
SELECT s.status_id, s.semantics,
    CASE WHEN EXISTS (SELECT 1 FROM kpi_lists AS l WHERE l.list = 'drafts')
        THEN s.status_id IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'drafts')
        ELSE coalesce(n.place = 1 AND n.open_stages > 1, FALSE) END AS is_draft
FROM stages AS s
LEFT JOIN numbered AS n ON n.status_id = s.status_id
""",
)

_INVOICES = """
WITH standing AS (
    SELECT e.id, e.assigned_by_id AS manager_id, CASE WHEN d.id IS NOT NULL THEN coalesce(d.pipeline_id, 0) END AS pipeline_id,
        coalesce(nullif(e.currency_id, ''), $base_currency) AS currency, coalesce(e.opportunity, 0) AS native_amount,
        {client_of} e.created_at, e.begins_on, e.due_on, CASE WHEN s.id IS NULL THEN e.stage_id ELSE s.stage_id END AS stage_id,
        s.semantics AS semantics_then, CASE WHEN s.id IS NULL THEN e.moved_at ELSE s.moved_at END AS moved_at
    FROM invoices AS e
    LEFT JOIN deals AS d ON d.portal = $portal AND d.id = e.deal_id AND d.deleted_at IS NULL
    LEFT JOIN kpi_invoice_stages_then AS s ON s.id = e.id
    WHERE e.portal = $portal AND e.deleted_at IS NULL AND {there}
      AND ({which})
      AND NOT coalesce(regexp_matches(e.title, $test_pattern), FALSE)
      AND coalesce(e.assigned_by_id, 0) NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_users')
      AND (d.id IS NULL OR (
        ($all_pipelines OR coalesce(d.pipeline_id, 0) IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'pipelines'))
        AND coalesce(d.pipeline_id, 0) NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_pipelines')
      ))
), meant AS (
    SELECT i.*, coalesce(s.semantics, i.semantics_then, 'P') AS semantics, coalesce(s.is_draft, FALSE) AS is_draft
    FROM standing AS i
    LEFT JOIN kpi_invoice_stages AS s ON s.status_id = i.stage_id
), moves AS (
    SELECT m.owner_id AS id, m.created_at, coalesce(s.semantics, m.semantics, 'P') = i.semantics AS same,
        row_number() OVER (PARTITION BY m.owner_id ORDER BY m.created_at DESC, m.id DESC) AS back
    FROM stage_moves AS m
    JOIN meant AS i ON i.id = m.owner_id
    LEFT JOIN kpi_invoice_stages AS s ON s.status_id = m.stage_id
    WHERE m.portal = $portal AND m.entity_type_id = 31 AND m.deleted_at IS NULL AND m.created_at <= $now
      AND i.semantics <> 'P'
), broken AS (
    SELECT m.id, min(m.back) AS back FROM moves AS m WHERE NOT m.same GROUP BY m.id
), stays AS (
    SELECT m.id, min(m.created_at) AS since
    FROM moves AS m
    LEFT JOIN broken AS b ON b.id = m.id
    WHERE b.back IS NULL OR m.back < b.back
    GROUP BY m.id
), dated AS (
    SELECT i.*, CASE WHEN i.begins_on IS NULL THEN i.created_at ELSE y.starts_at END AS issued_at,
        CASE WHEN i.begins_on IS NULL THEN CAST(i.created_at AT TIME ZONE $zone AS DATE) ELSE i.begins_on END AS issued_on,
        CASE WHEN i.semantics <> 'P' THEN coalesce(t.since, i.moved_at) END AS closed_since
    FROM meant AS i
    LEFT JOIN stays AS t ON t.id = i.id
    LEFT JOIN kpi_days AS y ON y.on_date = i.begins_on
)
SELECT i.id, i.manager_id, i.pipeline_id, i.currency, i.semantics, i.is_draft, i.issued_at, i.issued_on, i.due_on,
    i.closed_since, {client} i.native_amount,
    i.native_amount * coalesce(CASE WHEN i.semantics = 'S' THEN f.factor END, r.factor) AS amount
FROM dated AS i
LEFT JOIN kpi_rates AS r ON r.currency_id = i.currency
LEFT JOIN kpi_past_rates AS f ON f.currency_id = i.currency AND i.closed_since >= f.since AND i.closed_since < f.until
"""

#: Those that are open, and those to which something happened since ``$since``.
_RECENT = """e.moved_at >= $since OR e.moved_at IS NULL OR e.created_at >= $since
    OR e.begins_on >= CAST($since - INTERVAL '2 day' AS DATE)
    OR e.stage_id NOT IN (SELECT c.status_id FROM kpi_invoice_stages AS c WHERE c.semantics <> 'P')
    OR e.id IN (SELECT p.owner_id FROM payments AS p WHERE p.portal = $portal AND p.owner_type_id = 31 AND p.paid_at >= $since)"""

#: Invoices as they are at ``$now``: those that are open, and those to which something happened since ``$since``. ``closed_since``: since when they have been paid or cancelled, without a break.
INVOICES = View(
    "kpi_invoices",
    _INVOICES.format(there=created("e"), which=_RECENT, client_of="", client=""),
    needs=(INVOICE_STAGES, INVOICE_STAGES_THEN),
)

#: All of them with their clients, where purchases are paid invoices.
INVOICES_EVER = View(
    "kpi_invoices_ever",
    _INVOICES.format(
        there=created("e"),
        which="$by_invoices",
        client_of="coalesce(e.company_id, 0) AS company_id, coalesce(e.contact_id, 0) AS contact_id, d.source_id,",
        client="i.company_id, i.contact_id, i.source_id,",
    ),
    needs=(INVOICE_STAGES, INVOICE_STAGES_THEN),
)

#: What was paid on invoices by documents until ``$now``; where there is one, the invoice's own stage tells no amount.
PAID_PARTS = View(
    "kpi_paid_parts",
    """
WITH parts AS (
    SELECT i.id, i.manager_id, i.pipeline_id, p.paid_at, coalesce(nullif(p.currency_id, ''), i.currency) AS currency,
        coalesce(p.amount, 0) AS native_amount, p.rate, p.rate_count, i.currency AS invoice_currency
    FROM payments AS p
    JOIN kpi_invoices AS i ON i.id = p.owner_id
    WHERE p.portal = $portal AND p.owner_type_id = 31 AND p.paid AND p.paid_at <= $now AND i.semantics <> 'F'
)
SELECT p.id, p.manager_id, p.pipeline_id, p.paid_at, p.currency, p.native_amount,
    p.native_amount * coalesce(CASE WHEN p.currency <> $foreign_currency THEN f.factor END, s.factor, r.factor) AS amount,
    CASE WHEN p.currency = p.invoice_currency THEN p.native_amount END AS same_amount
FROM parts AS p
LEFT JOIN kpi_factors AS f ON f.rate = p.rate AND f.rate_count = p.rate_count AND f.since <= p.paid_at AND p.paid_at < f.until
LEFT JOIN kpi_past_rates AS s ON s.currency_id = p.currency AND p.paid_at >= s.since AND p.paid_at < s.until
LEFT JOIN kpi_rates AS r ON r.currency_id = p.currency
""",
    needs=(INVOICES,),
)

#: Issued invoices by the day of issue, with what was paid on them so far. ``lag_seconds``: from issue to payment, or until
#: today where none came, in whole local days.
ISSUED_INVOICES = Fact(
    "kpi_issued_invoices",
    """
WITH paid AS (
    SELECT p.id, sum(p.amount) AS amount, sum(p.same_amount) AS native_amount FROM kpi_paid_parts AS p GROUP BY p.id
)
SELECT i.id, i.issued_at AS happened_at, i.manager_id, i.pipeline_id, i.currency, i.native_amount, i.amount,
    CASE WHEN p.id IS NOT NULL THEN p.amount WHEN i.semantics = 'S' THEN i.amount ELSE 0 END AS collected_amount,
    CASE WHEN p.id IS NOT NULL THEN coalesce(p.native_amount, 0) WHEN i.semantics = 'S' THEN i.native_amount ELSE 0 END
        AS native_collected_amount,
    i.semantics = 'S' AS paid,
    CAST(86400 * (
        CASE WHEN i.semantics = 'S' THEN CAST(i.closed_since AT TIME ZONE $zone AS DATE) ELSE $today END - i.issued_on
    ) AS BIGINT) AS lag_seconds
FROM kpi_invoices AS i
LEFT JOIN paid AS p ON p.id = i.id
WHERE NOT i.is_draft AND i.semantics <> 'F' AND i.issued_at >= $since
""",
    feeds=("invoices",),
    waits_for=("deals", "invoice_moves", "payments"),
    needs=(INVOICES, PAID_PARTS),
    kind="invoice",
)

#: What became of invoices: ``event`` is paid (the stage says so), cancelled, or part (a payment document). ``pays``: the row
#: brings money.
INVOICE_EVENTS = Fact(
    "kpi_invoice_events",
    """
SELECT i.id, i.closed_since AS happened_at, i.manager_id, i.pipeline_id, i.currency, i.native_amount, i.amount,
    CASE i.semantics WHEN 'S' THEN 'paid' ELSE 'cancelled' END AS event,
    i.semantics = 'S' AND NOT EXISTS (SELECT 1 FROM kpi_paid_parts AS p WHERE p.id = i.id) AS pays
FROM kpi_invoices AS i
WHERE i.semantics IN ('S', 'F')
UNION ALL
SELECT p.id, p.paid_at, p.manager_id, p.pipeline_id, p.currency, p.native_amount, p.amount, 'part', TRUE
FROM kpi_paid_parts AS p
""",
    feeds=("invoices",),
    waits_for=("deals", "invoice_moves", "payments"),
    needs=(INVOICES, PAID_PARTS),
    kind="invoice",
)

#: Invoices that should have been paid before today.
OVERDUE_INVOICES = Fact(
    "kpi_overdue_invoices",
    """
SELECT i.id, i.manager_id, i.pipeline_id, i.currency, i.native_amount, i.amount
FROM kpi_invoices AS i
WHERE i.semantics = 'P' AND i.due_on < $today
""",
    feeds=("invoices",),
    waits_for=("deals", "invoice_moves"),
    needs=(INVOICES,),
    kind="invoice",
    state=True,
)
