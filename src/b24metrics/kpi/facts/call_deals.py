"""Calls and the deals that they lead to (catalogue §8.5, ``dials_per_deal``; §19 "Calls").

A call belongs to the client that its CRM record names; only a call that names none is linked by its number, to every
client that has it. Deals of anybody count, the scope looks at calls.
"""

from __future__ import annotations

from b24metrics.kpi.facts.calls import CALL_LEGS, legs_sql
from b24metrics.kpi.facts.deals import CLOSINGS, CUSTOMER, WON
from b24metrics.kpi.facts.view import Fact, View


def clients_sql(legs: str) -> str:
    """SELECT of the clients of calls: lead 1, contact 3, company 4; a call may stand once for every leg.

    Args:
        legs: name of a table that ``legs_sql`` fills.
    """
    return f"""
SELECT l.call_key, l.happened_at, l.outgoing, l.answered, l.crm_entity_type_id AS entity_type_id, l.crm_entity_id AS entity_id
FROM {legs} AS l
WHERE l.crm_entity_id > 0 AND l.crm_entity_type_id IN (1, 3, 4)
UNION ALL
SELECT l.call_key, l.happened_at, l.outgoing, l.answered, k.entity_type_id, k.entity_id
FROM {legs} AS l
JOIN client_keys AS k ON k.portal = $portal AND k.kind = 'phone' AND k.key = l.phone_key AND k.entity_type_id IN (1, 3, 4)
WHERE NOT l.has_client AND l.id = l.call_key
"""


CALL_CLIENTS = View(
    "kpi_call_clients",
    clients_sql("kpi_call_legs"),
    feeds=("phone_calls",),
    waits_for=("contacts", "companies", "leads"),
    needs=(CALL_LEGS,),
)

#: Calls are mature when every deal that they may lead to has had its time: those of the 30 days before that.
MATURE_SECONDS = 30 * 86_400
#: Since when they began.
BEFORE_MATURE = f"$since - $success_seconds * INTERVAL '1 second' - INTERVAL '{MATURE_SECONDS} second'"

#: Won deals by client, those that calls of the windows, or mature ones, may have led to: once for the company, the contact
#: and the lead of each. ``client``: who signed.
SIGNED = View(
    "kpi_signed",
    f"""
WITH won AS (
    SELECT c.id, c.happened_at, c.amount, c.company_id, c.contact_id, c.lead_id,
        coalesce({CUSTOMER}, 'lead ' || CAST(c.lead_id AS VARCHAR)) AS client
    FROM kpi_won AS c
    WHERE c.happened_at >= {BEFORE_MATURE} AND c.happened_at <= $now
)
SELECT 4 AS entity_type_id, w.company_id AS entity_id, w.id AS deal_id, w.happened_at, w.amount, w.client
FROM won AS w
WHERE w.company_id > 0
UNION ALL
SELECT 3, w.contact_id, w.id, w.happened_at, w.amount, w.client FROM won AS w WHERE w.contact_id > 0
UNION ALL
SELECT 1, w.lead_id, w.id, w.happened_at, w.amount, w.client FROM won AS w WHERE w.lead_id > 0
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(WON,),
)

#: A deal was won within the horizon after the call, the last second included.
_LED_TO = "epoch(s.happened_at) - epoch(k.happened_at) BETWEEN 0 AND $success_seconds"

#: Legs of successful calls, once for every deal that was won within the horizon after the call.
SUCCESSFUL_CALLS = Fact(
    "kpi_successful_calls",
    f"""
WITH led AS (
    SELECT DISTINCT k.call_key, s.deal_id, s.amount, s.client
    FROM kpi_call_clients AS k
    JOIN kpi_signed AS s ON s.entity_type_id = k.entity_type_id AND s.entity_id = k.entity_id
    WHERE k.happened_at >= $since AND {_LED_TO}
)
SELECT l.id, l.happened_at, l.manager_id, l.call_key, d.deal_id, d.amount, d.client
FROM led AS d
JOIN kpi_call_legs AS l ON l.call_key = d.call_key
""",
    feeds=("phone_calls", "deals"),
    waits_for=("deal_moves", "contacts", "companies", "leads"),
    needs=(CALL_LEGS, CALL_CLIENTS, SIGNED),
    kind="phone_call",
)

#: Legs of the calls of 30 days that ended one horizon before the window's end, and whether they were successful.
MATURE_CALLS = Fact(
    "kpi_mature_calls",
    f"""
WITH spans AS (
    SELECT w.window_no, epoch(w.ends_at) - $success_seconds AS until_second,
        epoch(w.ends_at) - $success_seconds - {MATURE_SECONDS} AS from_second
    FROM kpi_windows AS w
), legs AS (
    {legs_sql(BEFORE_MATURE)}
), clients AS (
    {clients_sql("legs")}
), led AS (
    SELECT DISTINCT k.call_key
    FROM clients AS k
    JOIN kpi_signed AS s ON s.entity_type_id = k.entity_type_id AND s.entity_id = k.entity_id
    WHERE {_LED_TO}
)
SELECT l.id, l.manager_id, l.call_key, l.only_leg, w.window_no, d.call_key IS NOT NULL AS successful
FROM legs AS l
JOIN spans AS w ON epoch(l.happened_at) >= w.from_second AND epoch(l.happened_at) < w.until_second
LEFT JOIN led AS d ON d.call_key = l.call_key
""",
    feeds=("phone_calls", "deals"),
    waits_for=("deal_moves", "contacts", "companies", "leads"),
    needs=(SIGNED,),
    kind="phone_call",
    solo="only_leg",
    windowed=True,
)

# A leg without the id of a call is a call of its own.
_CALL = "coalesce(nullif(p.call_id, ''), '?' || CAST(p.id AS VARCHAR))"

#: Closed deals with the dials that they took until closing: those bound to the deal through an activity, and those to its
#: company or contact, by whichever leg; begun from creation to closing, both included.
DEAL_DIALS = Fact(
    "kpi_deal_dials",
    f"""
WITH closed AS (
    SELECT c.id, c.happened_at, c.manager_id, c.placed_in, c.pipeline_id, c.outcome, c.created_at, c.company_id, c.contact_id
    FROM kpi_closings AS c
    WHERE c.happened_at >= $since
), reach AS (
    SELECT min(c.created_at) AS since FROM closed AS c
), legs AS (
    SELECT p.id, {_CALL} AS call, p.started_at, p.type_id, p.crm_activity_id, p.crm_entity_type_id, p.crm_entity_id
    FROM phone_calls AS p
    WHERE p.portal = $portal AND p.deleted_at IS NULL AND coalesce(p.category, '') IN ('', 'external')
      AND p.type_id IN (1, 2, 3, 4) AND p.started_at < $now AND p.started_at >= (SELECT r.since FROM reach AS r) - INTERVAL '2 day'
), spans AS (
    SELECT c.id, c.company_id, c.contact_id, c.created_at, c.happened_at + INTERVAL '2 day' AS until FROM closed AS c
), bound AS (
    SELECT s.id, s.created_at, s.until, b.activity_id
    FROM spans AS s
    JOIN activity_bindings AS b ON b.portal = $portal AND b.entity_type_id = 2 AND b.entity_id = s.id
    WHERE b.activity_id NOT IN (SELECT a.id FROM activities AS a WHERE a.portal = $portal AND a.deleted_at IS NOT NULL)
    UNION ALL
    SELECT s.id, s.created_at, s.until, a.id
    FROM spans AS s
    JOIN activities AS a ON a.portal = $portal AND a.deleted_at IS NULL AND a.owner_type_id = 2 AND a.owner_id = s.id
), clients AS (
    SELECT s.id, s.created_at, s.until, 4 AS entity_type_id, s.company_id AS entity_id FROM spans AS s WHERE s.company_id > 0
    UNION ALL
    SELECT s.id, s.created_at, s.until, 3, s.contact_id FROM spans AS s WHERE s.contact_id > 0
), made AS (
    SELECT b.id AS deal_id, l.call
    FROM bound AS b
    JOIN legs AS l ON l.crm_activity_id = b.activity_id AND l.started_at >= b.created_at AND l.started_at < b.until
    UNION
    SELECT c.id, l.call
    FROM clients AS c
    JOIN legs AS l ON l.crm_entity_type_id = c.entity_type_id AND l.crm_entity_id = c.entity_id
        AND l.started_at >= c.created_at AND l.started_at < c.until
), heads AS (
    SELECT l.call, l.type_id, l.started_at, row_number() OVER (PARTITION BY l.call ORDER BY l.started_at, l.id) AS leg_no
    FROM legs AS l
    WHERE l.call IN (SELECT m.call FROM made AS m)
), counted AS (
    SELECT m.deal_id, count(*) AS dials
    FROM made AS m
    JOIN heads AS h ON h.call = m.call AND h.leg_no = 1 AND h.type_id IN (1, 4)
    JOIN closed AS c ON c.id = m.deal_id AND h.started_at >= c.created_at AND h.started_at <= c.happened_at
    GROUP BY m.deal_id
)
SELECT c.id, c.happened_at, c.manager_id, c.placed_in, c.pipeline_id, c.outcome, coalesce(n.dials, 0) AS dials
FROM closed AS c
LEFT JOIN counted AS n ON n.deal_id = c.id
""",
    feeds=("deals", "phone_calls"),
    waits_for=("deal_moves", "activities"),
    needs=(CLOSINGS,),
    kind="deal",
    placed=True,
)
