"""The way of a client from the first dial to the contact after the sale (catalogue §8.5; §19 "Phone funnel").

Laws: a client is a contact, company or lead that calls belong to (``call_deals``); the cohort is dated by the first dial
ever and belongs to who made it. The arrival at a step is the earliest fit moment at or after the arrival at the step
before; a deal that exists already qualifies at once, everything else is an event.
"""

from __future__ import annotations

from collections.abc import Mapping

from b24metrics.kpi.facts.activities import DEEDS
from b24metrics.kpi.facts.call_deals import CALL_CLIENTS
from b24metrics.kpi.facts.calls import CALL_LEGS, passed_sql
from b24metrics.kpi.facts.deals import WON
from b24metrics.kpi.facts.population import DEALS, LEADS
from b24metrics.kpi.facts.quotes import QUOTE_STEPS
from b24metrics.kpi.facts.view import Fact, View
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.refine import IntArray, Refinement
from b24metrics.worktime import Calendars

#: Steps in order.
STEPS = ("dialled", "connected", "effective", "qualified", "offer", "won", "post_sale")
FIRST_STEP = STEPS[0]

#: Clients whose first dial lies in the windows, with their first calls. ``client_no`` numbers them.
FIRST_CALLED = View(
    "kpi_first_called",
    f"""
WITH dialled AS (
    SELECT k.entity_type_id, k.entity_id, min(k.happened_at) AS dialled_at
    FROM kpi_call_clients AS k
    WHERE k.outgoing AND k.happened_at >= $since
    GROUP BY k.entity_type_id, k.entity_id
), earlier AS (
    SELECT d.entity_type_id, d.entity_id, c.id, c.call_id, c.started_at
    FROM dialled AS d
    JOIN phone_calls AS c ON c.crm_entity_id = d.entity_id AND c.crm_entity_type_id = d.entity_type_id
    WHERE c.portal = $portal AND c.deleted_at IS NULL AND coalesce(c.category, '') IN ('', 'external')
      AND c.type_id IN (1, 4) AND c.started_at < $since
    UNION ALL
    SELECT d.entity_type_id, d.entity_id, c.id, c.call_id, c.started_at
    FROM dialled AS d
    JOIN client_keys AS n ON n.portal = $portal AND n.kind = 'phone' AND n.entity_type_id = d.entity_type_id
        AND n.entity_id = d.entity_id
    JOIN phone_calls AS c ON c.phone_key = n.key
    WHERE c.portal = $portal AND c.deleted_at IS NULL AND coalesce(c.category, '') IN ('', 'external')
      AND c.type_id IN (1, 4) AND c.started_at < $since AND coalesce(c.crm_entity_id, 0) = 0
), passed AS (
    {passed_sql("earlier")}
), known AS (
    SELECT DISTINCT e.entity_type_id, e.entity_id
    FROM earlier AS e
    LEFT JOIN passed AS p ON p.id = e.id
    WHERE p.id IS NULL
), fresh AS (
    SELECT d.entity_type_id, d.entity_id, d.dialled_at
    FROM dialled AS d
    WHERE NOT EXISTS (
        SELECT 1 FROM known AS k WHERE k.entity_type_id = d.entity_type_id AND k.entity_id = d.entity_id
    )
), opened AS (
    SELECT f.entity_type_id, f.entity_id, f.dialled_at, min(k.call_key) AS call_key
    FROM fresh AS f
    JOIN kpi_call_clients AS k ON k.entity_type_id = f.entity_type_id AND k.entity_id = f.entity_id
        AND k.outgoing AND k.happened_at = f.dialled_at
    GROUP BY f.entity_type_id, f.entity_id, f.dialled_at
), answered AS (
    SELECT DISTINCT f.entity_type_id, f.entity_id, k.call_key, k.happened_at
    FROM fresh AS f
    JOIN kpi_call_clients AS k ON k.entity_type_id = f.entity_type_id AND k.entity_id = f.entity_id
        AND k.answered AND k.happened_at >= f.dialled_at
), talks AS (
    SELECT l.call_key, sum(l.duration_seconds) AS talk_seconds
    FROM kpi_call_legs AS l
    WHERE l.connected AND l.call_key IN (SELECT a.call_key FROM answered AS a)
    GROUP BY l.call_key
), reached AS (
    SELECT a.entity_type_id, a.entity_id, min(a.happened_at) AS connected_at,
        min(CASE WHEN t.talk_seconds >= $effective_seconds THEN a.happened_at END) AS effective_at
    FROM answered AS a
    JOIN talks AS t ON t.call_key = a.call_key
    GROUP BY a.entity_type_id, a.entity_id
)
SELECT row_number() OVER (ORDER BY f.entity_type_id, f.entity_id) AS client_no, f.entity_type_id, f.entity_id, f.call_key,
    f.dialled_at, r.connected_at, r.effective_at
FROM opened AS f
LEFT JOIN reached AS r ON r.entity_type_id = f.entity_type_id AND r.entity_id = f.entity_id
""",
    feeds=("phone_calls",),
    waits_for=("contacts", "companies", "leads"),
    needs=(CALL_LEGS, CALL_CLIENTS),
)

#: Deals of those clients that had an effective talk.
FIRST_CALLED_DEALS = View(
    "kpi_first_called_deals",
    """
SELECT f.client_no, d.id, d.created_at
FROM kpi_first_called AS f
JOIN kpi_deals AS d ON d.company_id = f.entity_id
WHERE f.entity_type_id = 4 AND f.effective_at IS NOT NULL
UNION ALL
SELECT f.client_no, d.id, d.created_at
FROM kpi_first_called AS f
JOIN kpi_deals AS d ON d.contact_id = f.entity_id
WHERE f.entity_type_id = 3 AND f.effective_at IS NOT NULL
UNION ALL
SELECT f.client_no, d.id, d.created_at
FROM kpi_first_called AS f
JOIN kpi_deals AS d ON d.lead_id = f.entity_id
WHERE f.entity_type_id = 1 AND f.effective_at IS NOT NULL
""",
    feeds=("deals",),
    needs=(FIRST_CALLED, DEALS),
)


def _working(columns: Mapping[str, IntArray], calendars: Calendars, _options: KpiOptions) -> Mapping[str, IntArray]:
    """Working seconds of the company between two steps."""
    return {"working_seconds": calendars.company.elapsed(columns["left_at"], columns["arrived_at"])}


#: One row for every client and every step whose step before was reached. ``reached``: this one was, too; ``left_at``,
#: ``arrived_at``: at the step before and at this one (the same where it was not reached, and at the first step).
PHONE_FUNNEL = Fact(
    "kpi_phone_funnel",
    """
WITH qualified AS (
    SELECT f.client_no, min(q.since) AS since
    FROM kpi_first_called AS f
    JOIN (
        SELECT d.client_no, d.created_at AS since FROM kpi_first_called_deals AS d WHERE d.created_at <= $now
        UNION ALL
        SELECT f.client_no, coalesce(l.closed_at, l.moved_at)
        FROM kpi_first_called AS f
        JOIN kpi_leads AS l ON f.entity_type_id = 1 AND l.id = f.entity_id
        WHERE l.semantics = 'S' AND coalesce(l.closed_at, l.moved_at) <= $now
    ) AS q ON q.client_no = f.client_no
    GROUP BY f.client_no
), led AS (
    SELECT f.client_no, greatest(f.effective_at, q.since) AS qualified_at
    FROM kpi_first_called AS f
    JOIN qualified AS q ON q.client_no = f.client_no
    WHERE f.effective_at IS NOT NULL
), sent AS (
    SELECT s.id, min(s.changed_at) AS sent_at FROM kpi_quote_steps AS s WHERE s.sent GROUP BY s.id
), offers AS (
    SELECT d.client_no, m.created_at AS offered_at
    FROM kpi_first_called_deals AS d
    JOIN stage_moves AS m ON m.portal = $portal AND m.entity_type_id = 2 AND m.owner_id = d.id
    WHERE m.deleted_at IS NULL AND m.created_at <= $now
      AND m.stage_id IN (SELECT p.text FROM kpi_lists AS p WHERE p.list = 'proposal_stages')
    UNION ALL
    SELECT f.client_no, s.sent_at
    FROM sent AS s
    JOIN quotes AS q ON q.portal = $portal AND q.id = s.id
    JOIN kpi_first_called AS f ON f.effective_at IS NOT NULL AND f.entity_id = CASE f.entity_type_id
        WHEN 4 THEN q.company_id WHEN 3 THEN q.contact_id ELSE q.lead_id END
    UNION ALL
    SELECT d.client_no, s.sent_at
    FROM sent AS s
    JOIN quotes AS q ON q.portal = $portal AND q.id = s.id
    JOIN kpi_first_called_deals AS d ON d.id = q.deal_id
), offered AS (
    SELECT l.client_no, l.qualified_at, min(o.offered_at) AS offered_at
    FROM led AS l
    LEFT JOIN offers AS o ON o.client_no = l.client_no AND o.offered_at >= l.qualified_at
    GROUP BY l.client_no, l.qualified_at
), signed AS (
    SELECT o.client_no, o.qualified_at, o.offered_at, min(c.happened_at) AS won_at
    FROM offered AS o
    LEFT JOIN (
        SELECT d.client_no, s.happened_at
        FROM kpi_first_called_deals AS d
        JOIN kpi_won AS s ON s.id = d.id AND s.happened_at <= $now
    ) AS c ON c.client_no = o.client_no AND c.happened_at >= o.offered_at
    GROUP BY o.client_no, o.qualified_at, o.offered_at
), deeds AS (
    SELECT n.id, n.owner_type_id, n.owner_id,
        CASE n.kind WHEN 'meeting' THEN coalesce(n.starts_at, n.created_at) ELSE n.created_at END AS happened_at
    FROM kpi_deeds AS n
    WHERE (n.created_at >= $since OR n.starts_at >= $since)
      AND (n.kind IN ('chat', 'email') OR (n.kind = 'meeting' AND n.done))
      AND EXISTS (SELECT 1 FROM signed AS s WHERE s.won_at IS NOT NULL)
), bound AS (
    SELECT d.happened_at, b.entity_type_id, b.entity_id
    FROM deeds AS d
    JOIN activity_bindings AS b ON b.portal = $portal AND b.activity_id = d.id
    UNION ALL
    SELECT d.happened_at, d.owner_type_id, d.owner_id FROM deeds AS d
), contacts AS (
    SELECT f.client_no, k.happened_at
    FROM kpi_first_called AS f
    JOIN kpi_call_clients AS k ON k.entity_type_id = f.entity_type_id AND k.entity_id = f.entity_id AND k.answered
    UNION ALL
    SELECT f.client_no, b.happened_at
    FROM kpi_first_called AS f
    JOIN bound AS b ON b.entity_type_id = f.entity_type_id AND b.entity_id = f.entity_id
    UNION ALL
    SELECT d.client_no, b.happened_at
    FROM kpi_first_called_deals AS d
    JOIN bound AS b ON b.entity_type_id = 2 AND b.entity_id = d.id
), kept AS (
    SELECT s.client_no, min(c.happened_at) AS kept_at
    FROM signed AS s
    JOIN contacts AS c ON c.client_no = s.client_no
        AND epoch(c.happened_at) - epoch(s.won_at) BETWEEN 86400 AND 30 * 86400 AND c.happened_at <= $now
    GROUP BY s.client_no
), arrivals AS (
    SELECT f.call_key, f.dialled_at, f.connected_at, f.effective_at, s.qualified_at, s.offered_at, s.won_at, k.kept_at
    FROM kpi_first_called AS f
    LEFT JOIN signed AS s ON s.client_no = f.client_no
    LEFT JOIN kept AS k ON k.client_no = f.client_no
), steps AS (
    SELECT a.call_key, 'dialled' AS step, a.dialled_at AS left_at, a.dialled_at AS came_at FROM arrivals AS a
    UNION ALL
    SELECT a.call_key, 'connected', a.dialled_at, a.connected_at FROM arrivals AS a
    UNION ALL
    SELECT a.call_key, 'effective', a.connected_at, a.effective_at FROM arrivals AS a
    UNION ALL
    SELECT a.call_key, 'qualified', a.effective_at, a.qualified_at FROM arrivals AS a
    UNION ALL
    SELECT a.call_key, 'offer', a.qualified_at, a.offered_at FROM arrivals AS a
    UNION ALL
    SELECT a.call_key, 'won', a.offered_at, a.won_at FROM arrivals AS a
    UNION ALL
    SELECT a.call_key, 'post_sale', a.won_at, a.kept_at FROM arrivals AS a
)
SELECT l.id, l.happened_at, l.manager_id, s.step, s.came_at IS NOT NULL AS reached, s.left_at,
    coalesce(s.came_at, s.left_at) AS arrived_at
FROM steps AS s
JOIN kpi_call_legs AS l ON l.id = s.call_key
WHERE s.left_at IS NOT NULL
""",
    feeds=("phone_calls", "deals"),
    waits_for=("deal_moves", "leads", "quotes", "activities", "contacts", "companies"),
    needs=(CALL_LEGS, CALL_CLIENTS, FIRST_CALLED, FIRST_CALLED_DEALS, LEADS, WON, DEEDS, QUOTE_STEPS),
    kind="phone_call",
    refine=Refinement(("left_at", "arrived_at"), ("working_seconds",), _working),
)
