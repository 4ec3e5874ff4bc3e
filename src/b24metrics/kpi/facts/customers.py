"""Customers: what they bought, how often, whether they stay, what they are worth (catalogue §10; §19 "Customers").

Laws: a sale is a won deal (or a paid invoice, where that is configured); a purchase is a sale to a client with an amount
above 0, so one without a rate for its currency is none; the client is the company, else the contact, and never the own
company; what happened after ``$now`` did not. Clients are numbered: twice the id of a company, twice that of a contact and
one. They are those that records name today, so that merged ones follow the surviving id.
"""

from __future__ import annotations

from b24metrics.kpi.clv import rated, valued
from b24metrics.kpi.facts.activities import CALL_ACTIVITIES, DEEDS
from b24metrics.kpi.facts.call_deals import CALL_CLIENTS
from b24metrics.kpi.facts.calls import CALL_LEGS
from b24metrics.kpi.facts.deals import WON
from b24metrics.kpi.facts.invoices import INVOICES_EVER
from b24metrics.kpi.facts.view import Fact, View
from b24metrics.kpi.refine import Refinement

#: Days of 24 hours after a sale within which its client is to be asked how it went; not on the first of them.
CARE_DAYS = 30

#: All sales. ``customer_no``: NULL without a client, and for the own company.
SALES = View(
    "kpi_sales",
    """
WITH sold AS (
    SELECT c.id, c.happened_at, c.manager_id, c.placed_in, c.pipeline_id, c.source_id,
        CASE WHEN c.factor = 1 THEN CAST(c.native_amount AS DOUBLE) ELSE CAST(c.amount AS DOUBLE) END AS amount,
        c.imported, c.company_id, c.contact_id
    FROM kpi_won AS c
    WHERE NOT $by_invoices AND c.happened_at <= $now
    UNION ALL
    SELECT i.id, i.closed_since, i.manager_id, CAST(NULL AS BIGINT), i.pipeline_id, coalesce(nullif(i.source_id, ''), '(none)'),
        CAST(i.amount AS DOUBLE), FALSE, i.company_id, i.contact_id
    FROM kpi_invoices_ever AS i
    WHERE $by_invoices AND i.semantics = 'S' AND i.closed_since <= $now
), own AS (
    SELECT o.id FROM companies AS o WHERE o.portal = $portal AND o.is_my_company
)
SELECT s.id, s.happened_at, s.manager_id, s.placed_in, s.pipeline_id, s.source_id, s.amount, s.imported,
    CASE WHEN s.company_id IN (SELECT o.id FROM own AS o) THEN NULL
        WHEN s.company_id > 0 THEN 2 * s.company_id
        WHEN s.contact_id > 0 THEN 2 * s.contact_id + 1 END AS customer_no
FROM sold AS s
""",
    needs=(WON, INVOICES_EVER),
)

#: Purchases of every client until ``$now``. ``before_at``, ``next_at``: the purchases of the same client around it.
PURCHASES = View(
    "kpi_purchases",
    """
SELECT s.id, s.happened_at, s.manager_id, s.placed_in, s.amount, s.customer_no,
    lag(s.happened_at) OVER (PARTITION BY s.customer_no ORDER BY s.happened_at, s.id) AS before_at,
    lead(s.happened_at) OVER (PARTITION BY s.customer_no ORDER BY s.happened_at, s.id) AS next_at
FROM kpi_sales AS s
WHERE s.customer_no IS NOT NULL AND s.amount > 0
""",
    needs=(SALES,),
)

#: Sales in the order of each client's. ``repeated``: not the first one, amounts left aside. ``first_ever``: the first
#: purchase; that of an imported deal makes nobody a new client. ``gap_seconds``: since the client's purchase before.
#: ``reactivated``: the client was not active any more.
CLIENT_SALES = Fact(
    "kpi_client_sales",
    """
WITH recent AS (
    SELECT s.id, s.happened_at, s.manager_id, s.placed_in, s.pipeline_id, s.source_id, s.customer_no, s.imported
    FROM kpi_sales AS s
    WHERE s.happened_at >= $since
), counted AS (
    SELECT s.id, row_number() OVER (PARTITION BY s.customer_no ORDER BY s.happened_at, s.id) AS nth
    FROM kpi_sales AS s
    WHERE s.customer_no IN (SELECT r.customer_no FROM recent AS r WHERE r.customer_no IS NOT NULL)
), told AS (
    SELECT r.*, p.id IS NOT NULL AS bought, p.before_at, n.nth
    FROM recent AS r
    LEFT JOIN counted AS n ON n.id = r.id
    LEFT JOIN kpi_purchases AS p ON p.id = r.id
)
SELECT t.id, t.happened_at, t.manager_id, t.placed_in, t.pipeline_id, t.source_id, t.customer_no,
    coalesce(t.nth > 1, FALSE) AS repeated,
    t.bought AND t.before_at IS NULL AND NOT t.imported AS first_ever,
    CASE WHEN t.bought THEN epoch(t.happened_at) - epoch(t.before_at) END AS gap_seconds,
    CASE WHEN t.bought AND epoch(t.happened_at) - epoch(t.before_at) > $active_seconds - 90000
        THEN epoch(t.happened_at AT TIME ZONE $zone) - epoch(t.before_at AT TIME ZONE $zone) > $active_seconds
        ELSE FALSE END AS reactivated
FROM told AS t
""",
    feeds=("purchases",),
    waits_for=("deal_moves", "invoice_moves", "companies"),
    needs=(SALES, PURCHASES),
    kind="purchase",
    placed=True,
)

#: Purchases in the windows, and all there ever were for the present state. ``earned``: the margin of it. ``active``: no
#: longer ago than a client stays active.
BOUGHT = Fact(
    "kpi_bought",
    """
SELECT p.customer_no AS id, p.customer_no, p.manager_id, p.placed_in, w.window_no, p.amount, p.amount * $margin AS earned,
    p.happened_at > w.ends_back AS active,
    CASE WHEN w.starts_at = w.ends_at THEN p.before_at IS NULL AND p.next_at IS NULL
        ELSE coalesce(p.before_at < w.starts_at, TRUE) AND coalesce(p.next_at >= w.ends_at, TRUE) END AS only_one
FROM kpi_purchases AS p
JOIN kpi_windows AS w ON w.starts_at = w.ends_at OR (p.happened_at >= w.starts_at AND p.happened_at < w.ends_at)
""",
    feeds=("purchases",),
    waits_for=("deal_moves", "invoice_moves", "companies"),
    needs=(PURCHASES,),
    kind="customer",
    windowed=True,
    solo="only_one",
    placed=True,
)

#: Purchases that make a client active where a window begins (``before``) or where it ends (``after``), or both.
STAYING = Fact(
    "kpi_staying",
    """
SELECT p.customer_no AS id, p.customer_no, p.manager_id, p.placed_in, w.window_no,
    p.happened_at > w.starts_back AND p.happened_at <= w.starts_at AS before,
    p.happened_at > w.ends_back AND p.happened_at <= w.ends_at AS after,
    coalesce(p.before_at <= w.starts_back, TRUE) AND coalesce(p.next_at > w.ends_at, TRUE) AS only_one
FROM kpi_purchases AS p
JOIN kpi_windows AS w ON (p.happened_at > w.starts_back AND p.happened_at <= w.starts_at)
    OR (p.happened_at > w.ends_back AND p.happened_at <= w.ends_at)
""",
    feeds=("purchases",),
    waits_for=("deal_moves", "invoice_moves", "companies"),
    needs=(PURCHASES,),
    kind="customer",
    windowed=True,
    solo="only_one",
    placed=True,
)

#: Won deals that have had their time, and whether somebody of the client's side was in contact meanwhile: a connected call,
#: a letter or chat in either direction, a held meeting, of the deal, its company or its contact.
CARED_WINS = Fact(
    "kpi_cared_wins",
    f"""
WITH wins AS (
    SELECT c.id, c.happened_at, c.manager_id, c.placed_in, c.company_id, c.contact_id
    FROM kpi_won AS c
    WHERE c.happened_at >= $since AND epoch($now) - epoch(c.happened_at) > {CARE_DAYS * 86_400}
), sides AS (
    SELECT w.id, w.happened_at, 2 AS entity_type_id, w.id AS entity_id FROM wins AS w
    UNION ALL
    SELECT w.id, w.happened_at, 4, w.company_id FROM wins AS w WHERE w.company_id > 0
    UNION ALL
    SELECT w.id, w.happened_at, 3, w.contact_id FROM wins AS w WHERE w.contact_id > 0
), talks AS (
    SELECT l.crm_activity_id AS id, min(l.happened_at) AS happened_at
    FROM kpi_call_legs AS l
    WHERE l.answered AND l.crm_activity_id > 0
    GROUP BY l.crm_activity_id
), contacts AS (
    SELECT d.id, d.owner_type_id, d.owner_id, CASE WHEN d.kind = 'meeting' THEN d.starts_at ELSE d.created_at END AS happened_at
    FROM kpi_deeds AS d
    WHERE (d.created_at >= $since OR d.starts_at >= $since)
      AND (d.kind IN ('email', 'chat') OR (d.kind = 'meeting' AND d.done))
    UNION ALL
    SELECT t.id, a.owner_type_id, a.owner_id, t.happened_at
    FROM talks AS t
    LEFT JOIN kpi_call_activities AS a ON a.id = t.id AND NOT a.deleted
), touches AS (
    SELECT b.entity_type_id, b.entity_id, c.happened_at
    FROM contacts AS c
    JOIN activity_bindings AS b ON b.portal = $portal AND b.activity_id = c.id
    WHERE b.entity_type_id IN (2, 3, 4)
    UNION ALL
    SELECT c.owner_type_id, c.owner_id, c.happened_at FROM contacts AS c WHERE c.owner_type_id IN (2, 3, 4)
    UNION ALL
    SELECT k.entity_type_id, k.entity_id, k.happened_at FROM kpi_call_clients AS k WHERE k.answered
), kept AS (
    SELECT DISTINCT s.id
    FROM sides AS s
    JOIN touches AS t ON t.entity_type_id = s.entity_type_id AND t.entity_id = s.entity_id
        AND epoch(t.happened_at) - epoch(s.happened_at) BETWEEN 86400 AND {CARE_DAYS * 86_400}
)
SELECT w.id, w.happened_at, w.manager_id, w.placed_in, k.id IS NOT NULL AS cared
FROM wins AS w
LEFT JOIN kept AS k ON k.id = w.id
""",
    feeds=("deals", "activities"),
    waits_for=("deal_moves", "phone_calls", "contacts", "companies"),
    needs=(WON, DEEDS, CALL_ACTIVITIES, CALL_LEGS, CALL_CLIENTS),
    kind="deal",
    placed=True,
)

#: Clients that bought in the windows, with their scores and segment; of the person who sold to them last.
SCORED_CUSTOMERS = Fact(
    "kpi_scored_customers",
    """
WITH bought AS (
    SELECT w.window_no, p.customer_no, p.manager_id, p.amount, CAST(p.happened_at AT TIME ZONE $zone AS DATE) AS bought_on,
        CAST(w.ends_at AT TIME ZONE $zone AS DATE) AS seen_on,
        row_number() OVER (PARTITION BY w.window_no, p.customer_no ORDER BY p.happened_at DESC, p.id DESC) AS back
    FROM kpi_purchases AS p
    JOIN kpi_windows AS w ON p.happened_at >= w.starts_at AND p.happened_at < w.ends_at
), summed AS (
    SELECT b.window_no, b.customer_no, max(CASE WHEN b.back = 1 THEN b.manager_id END) AS manager_id,
        CAST(max(b.seen_on) - max(b.bought_on) AS BIGINT) AS recency_days, count(DISTINCT b.bought_on) AS occasions,
        sum(b.amount) AS money
    FROM bought AS b
    GROUP BY b.window_no, b.customer_no
)
SELECT s.customer_no AS id, s.manager_id, s.window_no, s.recency_days, s.occasions, s.money
FROM summed AS s
""",
    feeds=("purchases",),
    waits_for=("deal_moves", "invoice_moves", "companies"),
    needs=(PURCHASES,),
    kind="customer",
    windowed=True,
    refine=Refinement(
        ("window_no", "recency_days", "occasions", "money"),
        ("recency_score", "frequency_score", "monetary_score", "segment"),
        rated,
        amounts=("money",),
    ),
)

#: All purchases there ever were, each with what the model says of its client: ``fitted`` (1 where there is a model at all),
#: ``predicted`` value, NULL without; ``at_risk``: 1 for one who is worth much and is probably gone.
VALUED = Fact(
    "kpi_valued",
    """
SELECT p.customer_no AS id, p.customer_no, p.manager_id, p.placed_in, p.happened_at AS bought_at, $now AS seen_at, p.amount
FROM kpi_purchases AS p
""",
    feeds=("purchases",),
    waits_for=("deal_moves", "invoice_moves", "companies"),
    needs=(PURCHASES,),
    kind="customer",
    state=True,
    placed=True,
    refine=Refinement(
        ("customer_no", "bought_at", "seen_at", "amount"),
        ("fitted", "predicted", "at_risk"),
        valued,
        amounts=("amount",),
    ),
)
