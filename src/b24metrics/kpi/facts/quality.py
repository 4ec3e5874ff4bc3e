"""What is missing, doubled or impossible in the records (catalogue §11; §19 "dq_*").

Laws: imported records are looked at as well, they are dirty all the same; a contact is a test where its name is.
"""

from __future__ import annotations

from collections.abc import Mapping

from b24metrics.kpi.facts.deals import LOST, WON
from b24metrics.kpi.facts.leads import FIRST_OWNERS, FIRST_STAGES
from b24metrics.kpi.facts.past import created
from b24metrics.kpi.facts.population import BORN_CLOSED, DEALS, LEADS
from b24metrics.kpi.facts.view import Fact, View
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.refine import IntArray, Refinement
from b24metrics.worktime import Calendars


def on_duty(columns: Mapping[str, IntArray], calendars: Calendars, options: KpiOptions) -> Mapping[str, IntArray]:
    """1 where a person has been scheduled for ``idle_seconds`` today, absences taken off; else 0."""
    worked = calendars.elapsed(columns["manager_id"], columns["begins_at"], columns["seen_at"])
    return {"on_duty": (worked >= options.idle_seconds).astype("int64")}


#: F0 of contacts.
CONTACTS = View(
    "kpi_contacts",
    f"""
SELECT e.id, e.assigned_by_id AS manager_id, e.created_at, e.name, e.last_name, coalesce(e.has_phone, FALSE) AS has_phone,
    coalesce(e.has_email, FALSE) AS has_email, coalesce(e.has_messenger, FALSE) AS has_messenger,
    coalesce(e.phone_in_comment, FALSE) AS phone_in_comment
FROM contacts AS e
WHERE e.portal = $portal AND e.deleted_at IS NULL AND {created("e")}
  AND NOT coalesce(regexp_matches(trim(coalesce(e.name, '') || ' ' || coalesce(e.last_name, '')), $test_pattern), FALSE)
  AND coalesce(e.source_id, '') NOT IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'no_sources')
  AND coalesce(e.assigned_by_id, 0) NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_users')
""",
    feeds=("contacts",),
)

# All of them for the present state, those created in it for a window.
_IN_WINDOW = "(w.starts_at = w.ends_at OR (c.created_at >= w.starts_at AND c.created_at < w.ends_at))"

# What may stand before the first letter of a name.
_BEFORE = """ "«“„(''-0123456789.*+_#@"""

# The first letter of a name; nearly always it is the first character.
_LETTER = f"""CASE WHEN strpos('{_BEFORE}', substr({{0}}, 1, 1)) > 0 THEN substr(ltrim({{0}}, '{_BEFORE}'), 1, 1)
            ELSE substr({{0}}, 1, 1) END"""

#: Contacts with what is missing. ``lower_case``: the first letter of the name or of the family name; a particle may begin
#: the latter; NULL where the mirror keeps no names. Which letters are small is asked once for each letter that occurs.
CONTACT_GAPS = Fact(
    "kpi_contact_gaps",
    f"""
WITH told AS (
    SELECT c.*, {_LETTER.format("c.name")} AS letter, {_LETTER.format("c.last_name")} AS family_letter
    FROM kpi_contacts AS c
), small AS (
    SELECT x.letter
    FROM (SELECT t.letter FROM told AS t UNION SELECT t.family_letter FROM told AS t) AS x
    WHERE x.letter <> '' AND strpos($lower_case, x.letter) > 0
), seen AS (
    SELECT t.*, s.letter IS NOT NULL AS small_name, f.letter IS NOT NULL AS small_family
    FROM told AS t
    LEFT JOIN small AS s ON s.letter = t.letter
    LEFT JOIN small AS f ON f.letter = t.family_letter
)
SELECT c.id, w.window_no, c.manager_id, NOT c.has_phone AS no_phone, NOT c.has_email AS no_email,
    NOT (c.has_phone OR c.has_email OR c.has_messenger) AS unreachable,
    c.phone_in_comment AND NOT c.has_phone AS phone_in_comment,
    CASE WHEN c.small_name THEN TRUE
        WHEN c.small_family THEN strpos($particles, ' ' || lower(split_part(trim(c.last_name), ' ', 1)) || ' ') = 0
        WHEN $names_kept THEN FALSE END AS lower_case
FROM seen AS c
JOIN kpi_windows AS w ON {_IN_WINDOW}
""",
    feeds=("contacts",),
    needs=(CONTACTS,),
    kind="contact",
    windowed=True,
)

#: Phones and addresses that several contacts have: a row for every contact and key.
SHARED_KEYS = Fact(
    "kpi_shared_keys",
    f"""
WITH held AS (
    SELECT c.id, c.manager_id, c.created_at, k.kind, k.key
    FROM client_keys AS k
    JOIN kpi_contacts AS c ON c.id = k.entity_id
    WHERE k.portal = $portal AND k.entity_type_id = 3
), shared AS (
    SELECT h.kind, h.key, row_number() OVER () AS key_no FROM held AS h GROUP BY h.kind, h.key HAVING count(*) > 1
)
SELECT c.id, w.window_no, c.manager_id, c.kind, s.key_no AS client_key
FROM held AS c
JOIN shared AS s ON s.kind = c.kind AND s.key = c.key
JOIN kpi_windows AS w ON {_IN_WINDOW}
""",
    feeds=("contacts",),
    needs=(CONTACTS,),
    kind="contact",
    windowed=True,
)

#: Deals in work with what is missing. ``begun``: past the first stage of the pipeline. ``orphaned``: the person responsible
#: was dismissed or does not sell.
OPEN_DEAL_GAPS = Fact(
    "kpi_open_deal_gaps",
    """
SELECT d.id, d.manager_id, d.native_amount <= 0 AS no_amount, coalesce(f.status_id <> d.stage_id, TRUE) AS begun,
    d.source_id = '(none)' AS no_source, d.company_id = 0 AND d.contact_id = 0 AS no_client,
    coalesce(d.closes_on < $today, FALSE) AS expected_in_past,
    p.manager_id IS NULL AS orphaned
FROM kpi_deals AS d
LEFT JOIN kpi_first_stages AS f ON f.pipeline_id = d.pipeline_id
LEFT JOIN kpi_sellers AS p ON p.manager_id = d.manager_id
WHERE d.semantics = 'P'
""",
    feeds=("deals",),
    needs=(DEALS, FIRST_STAGES),
    kind="deal",
    state=True,
)

#: Deals by creation, imported ones included, and whether they were created closed.
CREATED_DEALS = Fact(
    "kpi_created_deals",
    """
SELECT d.id, d.created_at AS happened_at, coalesce(o.manager_id, d.manager_id) AS manager_id,
    d.id IN (SELECT b.owner_id FROM kpi_born_closed AS b WHERE b.entity_type_id = 2) AS created_closed
FROM kpi_deals AS d
LEFT JOIN kpi_first_owners AS o ON o.entity_type_id = 2 AND o.entity_id = d.id
WHERE d.created_at >= $since
""",
    feeds=("deals", "deal_moves"),
    needs=(DEALS, BORN_CLOSED, FIRST_OWNERS),
    kind="deal",
)

#: Deals whose currency has no rate, today's or frozen.
UNCONVERTIBLE_DEALS = Fact(
    "kpi_unconvertible_deals",
    """
SELECT d.id, d.manager_id
FROM kpi_deals AS d
LEFT JOIN kpi_won AS w ON w.id = d.id
LEFT JOIN kpi_lost AS l ON l.id = d.id
WHERE d.amount IS NULL AND w.amount IS NULL AND l.amount IS NULL
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(DEALS, WON, LOST),
    kind="deal",
    state=True,
)

# Nearly all history is numbered in the order of time: deals with a row that any row numbered before it has overtaken. In
# whatever order rows are read, two of which one overtook the other have both times between the ends of steps back in time,
# or both numbers between the ends of steps back in numbers: where no row steps back, as in most histories, nothing is sorted.
_OVERTAKEN = View(
    "kpi_overtaken",
    """
WITH read AS (
    SELECT m.id, m.created_at, lag(m.id) OVER () AS id_before, lag(m.created_at) OVER () AS before
    FROM stage_moves AS m
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at IS NOT NULL
), shaken AS (
    SELECT min(CASE WHEN r.created_at < r.before THEN r.created_at END) AS low_at,
        max(CASE WHEN r.created_at < r.before THEN r.before END) AS high_at,
        min(CASE WHEN r.id < r.id_before THEN r.id END) AS low_id,
        max(CASE WHEN r.id < r.id_before THEN r.id_before END) AS high_id
    FROM read AS r
    WHERE r.created_at < r.before OR r.id < r.id_before
    HAVING count(*) > 0
), timed AS (
    SELECT m.owner_id, m.created_at,
        max(m.created_at) OVER (ORDER BY m.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS latest_at
    FROM stage_moves AS m
    JOIN shaken AS s ON m.created_at BETWEEN s.low_at AND s.high_at OR m.id BETWEEN s.low_id AND s.high_id
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL
)
SELECT DISTINCT d.id, d.manager_id
FROM timed AS t
JOIN kpi_deals AS d ON d.id = t.owner_id
WHERE t.created_at < t.latest_at
""",
    needs=(DEALS,),
)

#: Stays of deals that end before they begin: rows of history that precede the row numbered before them, and deals that came
#: into being, or to their stage, after now; the latter once.
NEGATIVE_SPELLS = Fact(
    "kpi_negative_spells",
    """
WITH walked AS (
    SELECT o.id, o.manager_id, m.created_at, lag(m.created_at) OVER (PARTITION BY m.owner_id ORDER BY m.id) AS before
    FROM stage_moves AS m
    JOIN kpi_overtaken AS o ON o.id = m.owner_id
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL
      AND (m.created_at <= $now OR m.created_at > $seen_until)
), ahead AS (
    SELECT DISTINCT m.owner_id
    FROM stage_moves AS m
    WHERE m.portal = $portal AND m.entity_type_id = 2 AND m.deleted_at IS NULL AND m.created_at > $seen_until
)
SELECT w.id, w.manager_id FROM walked AS w WHERE w.created_at < w.before
UNION ALL
SELECT d.id, d.manager_id
FROM kpi_deals AS d
LEFT JOIN ahead AS a ON a.owner_id = d.id
WHERE d.created_at > $now OR (a.owner_id IS NOT NULL AND d.semantics = 'P')
""",
    feeds=("deals", "deal_moves"),
    needs=(DEALS, _OVERTAKEN),
    kind="deal",
    state=True,
)

#: Won deals that were deleted, by the moment at which that was noticed.
DELETED_WINS = Fact(
    "kpi_deleted_wins",
    """
SELECT e.id, e.deleted_at AS happened_at, e.assigned_by_id AS manager_id
FROM deals AS e
WHERE e.portal = $portal AND e.deleted_at >= $since AND e.semantics = 'S' AND NOT coalesce(e.is_recurring, FALSE)
  AND NOT coalesce(regexp_matches(e.title, $test_pattern), FALSE)
  AND coalesce(e.source_id, '') NOT IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'no_sources')
  AND coalesce(e.assigned_by_id, 0) NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_users')
  AND ($all_pipelines OR coalesce(e.pipeline_id, 0) IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'pipelines'))
  AND coalesce(e.pipeline_id, 0) NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_pipelines')
""",
    feeds=("deals",),
    kind="deal",
)

#: Deals, leads and calls that are dated, by themselves or in their history, more than five minutes after now.
FUTURE_RECORDS = Fact(
    "kpi_future_records",
    """
WITH ahead AS (
    SELECT DISTINCT m.entity_type_id, m.owner_id
    FROM stage_moves AS m
    WHERE m.portal = $portal AND m.entity_type_id IN (1, 2) AND m.deleted_at IS NULL
      AND m.created_at > $seen_until + INTERVAL '5 minute'
)
SELECT d.id, d.manager_id, 'deal' AS record_kind
FROM kpi_deals AS d
WHERE d.created_at > $seen_until + INTERVAL '5 minute'
UNION
SELECT d.id, d.manager_id, 'deal'
FROM kpi_deals AS d
JOIN ahead AS a ON a.entity_type_id = 2 AND a.owner_id = d.id
UNION
SELECT l.id, l.manager_id, 'lead'
FROM kpi_leads AS l
WHERE l.created_at > $seen_until + INTERVAL '5 minute'
UNION
SELECT l.id, l.manager_id, 'lead'
FROM kpi_leads AS l
JOIN ahead AS a ON a.entity_type_id = 1 AND a.owner_id = l.id
UNION ALL
SELECT c.id, c.user_id, 'phone_call'
FROM phone_calls AS c
WHERE c.portal = $portal AND c.deleted_at IS NULL AND coalesce(c.category, '') IN ('', 'external')
  AND c.type_id IN (1, 2, 3, 4) AND c.started_at > $seen_until + INTERVAL '5 minute'
""",
    feeds=("deals",),
    waits_for=("leads", "phone_calls", "deal_moves", "lead_moves"),
    needs=(DEALS, LEADS),
    kind="record",
    kinds="record_kind",
    state=True,
)

#: Won deals with a client, and whether the portal's mark of a returning client is wrong: it is one who had won before.
RETURN_FLAGS = Fact(
    "kpi_return_flags",
    """
WITH signed AS (
    SELECT c.id, c.happened_at, c.manager_id, c.placed_in,
        CASE WHEN c.company_id > 0 THEN 2 * c.company_id WHEN c.contact_id > 0 THEN 2 * c.contact_id + 1 END AS customer_no
    FROM kpi_won AS c
), recent AS (
    SELECT s.id, s.happened_at, s.manager_id, s.placed_in, s.customer_no
    FROM signed AS s
    WHERE s.customer_no IS NOT NULL AND s.happened_at >= $since
), known AS (
    SELECT s.id, s.happened_at, s.customer_no
    FROM signed AS s
    WHERE s.customer_no IN (SELECT r.customer_no FROM recent AS r)
), begun AS (
    SELECT k.customer_no, min(k.happened_at) AS first_at FROM known AS k GROUP BY k.customer_no
), firsts AS (
    SELECT k.customer_no, min(k.id) AS id
    FROM known AS k
    JOIN begun AS b ON b.customer_no = k.customer_no AND b.first_at = k.happened_at
    GROUP BY k.customer_no
)
SELECT r.id, r.happened_at, r.manager_id, r.placed_in,
    (f.id <> r.id) <> coalesce(e.is_return_customer, FALSE) AS wrong
FROM recent AS r
JOIN firsts AS f ON f.customer_no = r.customer_no
JOIN deals AS e ON e.portal = $portal AND e.id = r.id
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(WON,),
    kind="deal",
    placed=True,
)

# What is empty in a user field: nothing, an empty list, a zero, an amount of zero. A plain "false" is an answer.
_ANSWERED = "NOT regexp_matches({}, '^(0*([.]0*)?([|].*)?|\\[\\])$')"

#: Required fields of open deals, open leads and contacts: a row for every record and field. Records are taken together with
#: what is required of them first: where that is nothing, nothing is looked up.
REQUIRED_FIELDS = Fact(
    "kpi_required_fields",
    f"""
WITH deals_asked AS MATERIALIZED (
    SELECT d.id, d.manager_id, d.native_amount, d.closes_on, d.source_id, d.company_id, d.contact_id, l.text
    FROM kpi_deals AS d
    JOIN kpi_lists AS l ON l.list = 'required_deal'
    WHERE d.semantics = 'P'
), leads_asked AS MATERIALIZED (
    SELECT d.id, d.manager_id, d.source_id, d.company_id, d.contact_id, l.text
    FROM kpi_leads AS d
    JOIN kpi_lists AS l ON l.list = 'required_lead'
    WHERE d.semantics = 'P'
), contacts_asked AS MATERIALIZED (
    SELECT c.id, c.manager_id, c.name, c.last_name, c.has_phone, c.has_email, c.has_messenger, l.text
    FROM kpi_contacts AS c
    JOIN kpi_lists AS l ON l.list = 'required_contact' AND ($names_kept OR l.text NOT IN ('NAME', 'LAST_NAME'))
), deal_fields AS (
    SELECT d.id, d.manager_id,
        CASE d.text
            WHEN 'TITLE' THEN e.title <> ''
            WHEN 'OPPORTUNITY' THEN d.native_amount <> 0
            WHEN 'CURRENCY_ID' THEN e.currency_id <> ''
            WHEN 'BEGINDATE' THEN e.begins_on IS NOT NULL
            WHEN 'CLOSEDATE' THEN d.closes_on IS NOT NULL
            WHEN 'SOURCE_ID' THEN d.source_id <> '(none)'
            WHEN 'TYPE_ID' THEN e.type_id <> ''
            WHEN 'COMPANY_ID' THEN d.company_id > 0
            WHEN 'CONTACT_ID' THEN d.contact_id > 0
            ELSE {_ANSWERED.format("(CAST(nullif(e.user_fields, '') AS JSON) ->> d.text)")}
        END AS filled
    FROM deals_asked AS d
    JOIN deals AS e ON e.portal = $portal AND e.id = d.id
    WHERE e.id >= (SELECT min(a.id) FROM deals_asked AS a)
), lead_fields AS (
    SELECT d.id, d.manager_id,
        CASE d.text
            WHEN 'TITLE' THEN e.title <> ''
            WHEN 'OPPORTUNITY' THEN e.opportunity <> 0
            WHEN 'CURRENCY_ID' THEN e.currency_id <> ''
            WHEN 'SOURCE_ID' THEN d.source_id <> '(none)'
            WHEN 'COMPANY_ID' THEN d.company_id > 0
            WHEN 'CONTACT_ID' THEN d.contact_id > 0
            ELSE {_ANSWERED.format("(CAST(nullif(e.user_fields, '') AS JSON) ->> d.text)")}
        END AS filled
    FROM leads_asked AS d
    JOIN leads AS e ON e.portal = $portal AND e.id = d.id
    WHERE e.id >= (SELECT min(a.id) FROM leads_asked AS a)
), contact_fields AS (
    SELECT c.id, c.manager_id,
        CASE c.text
            WHEN 'NAME' THEN trim(c.name) <> ''
            WHEN 'LAST_NAME' THEN trim(c.last_name) <> ''
            WHEN 'PHONE' THEN c.has_phone
            WHEN 'EMAIL' THEN c.has_email
            WHEN 'IM' THEN c.has_messenger
            WHEN 'SOURCE_ID' THEN e.source_id <> ''
            WHEN 'TYPE_ID' THEN e.type_id <> ''
            WHEN 'COMPANY_ID' THEN e.company_id > 0
            ELSE {_ANSWERED.format("(CAST(nullif(e.user_fields, '') AS JSON) ->> c.text)")}
        END AS filled
    FROM contacts_asked AS c
    JOIN contacts AS e ON e.portal = $portal AND e.id = c.id
    WHERE e.id >= (SELECT min(a.id) FROM contacts_asked AS a)
)
SELECT r.id, r.manager_id, r.record_kind, coalesce(r.filled, FALSE) AS filled
FROM (
    SELECT id, manager_id, filled, 'deal' AS record_kind FROM deal_fields
    UNION ALL
    SELECT id, manager_id, filled, 'lead' FROM lead_fields
    UNION ALL
    SELECT id, manager_id, filled, 'contact' FROM contact_fields
) AS r
""",
    feeds=("deals",),
    waits_for=("leads", "contacts"),
    needs=(DEALS, LEADS, CONTACTS),
    kind="record",
    kinds="record_kind",
    state=True,
)

#: Active people of the sales scope and whether they left any trace today: a call, a letter, a message, any activity of
#: theirs, a move, an edit. ``on_duty``: 1 where they have been scheduled for long enough today.
SELLERS_TODAY = Fact(
    "kpi_sellers_today",
    """
WITH moves AS (
    SELECT m.entity_type_id, m.owner_id, m.kind,
        lead(m.id) OVER (PARTITION BY m.entity_type_id, m.owner_id ORDER BY m.created_at, m.id) IS NULL AS is_last
    FROM stage_moves AS m
    WHERE m.portal = $portal AND m.deleted_at IS NULL AND m.entity_type_id IN (1, 2) AND m.created_at >= $day_begins
      AND m.created_at <= $now
), traces AS (
    SELECT c.user_id
    FROM phone_calls AS c
    WHERE c.portal = $portal AND c.deleted_at IS NULL AND c.started_at >= $day_begins AND c.started_at <= $now
    UNION ALL
    SELECT CASE s.side WHEN 1 THEN a.responsible_id ELSE a.author_id END
    FROM activities AS a
    CROSS JOIN (SELECT 1 AS side UNION ALL SELECT 2) AS s
    WHERE a.portal = $portal AND a.deleted_at IS NULL AND a.created_at >= $day_begins AND a.created_at <= $now
    UNION ALL
    SELECT a.responsible_id
    FROM activities AS a
    WHERE a.portal = $portal AND a.deleted_at IS NULL AND a.completed_at >= $day_begins AND a.completed_at <= $now
    UNION ALL
    SELECT d.assigned_by_id
    FROM moves AS m
    JOIN deals AS d ON d.portal = $portal AND d.id = m.owner_id
    WHERE m.entity_type_id = 2 AND m.kind <> 1 AND NOT m.is_last
    UNION ALL
    SELECT l.assigned_by_id
    FROM moves AS m
    JOIN leads AS l ON l.portal = $portal AND l.id = m.owner_id
    WHERE m.entity_type_id = 1 AND m.kind <> 1 AND NOT m.is_last
    UNION ALL
    SELECT x.user_id
    FROM (
        SELECT d.moved_by_id AS user_id, d.moved_at AS at FROM deals AS d WHERE d.portal = $portal
        UNION ALL
        SELECT d.modified_by_id, d.modified_at FROM deals AS d WHERE d.portal = $portal
        UNION ALL
        SELECT d.created_by_id, d.created_at FROM deals AS d WHERE d.portal = $portal
        UNION ALL
        SELECT l.moved_by_id, l.moved_at FROM leads AS l WHERE l.portal = $portal
        UNION ALL
        SELECT l.modified_by_id, l.modified_at FROM leads AS l WHERE l.portal = $portal
        UNION ALL
        SELECT l.created_by_id, l.created_at FROM leads AS l WHERE l.portal = $portal
        UNION ALL
        SELECT q.modified_by_id, q.modified_at FROM quotes AS q WHERE q.portal = $portal
        UNION ALL
        SELECT i.modified_by_id, i.modified_at FROM invoices AS i WHERE i.portal = $portal
    ) AS x
    WHERE x.at >= $day_begins AND x.at <= $now
)
SELECT p.manager_id AS id, p.manager_id, CAST($day_begins AS TIMESTAMPTZ) AS begins_at, CAST($now AS TIMESTAMPTZ) AS seen_at,
    p.manager_id NOT IN (SELECT t.user_id FROM traces AS t WHERE t.user_id IS NOT NULL) AS idle
FROM kpi_sellers AS p
""",
    feeds=("users", "activities"),
    waits_for=("phone_calls", "deals", "leads"),
    kind="user",
    state=True,
    refine=Refinement(("manager_id", "begins_at", "seen_at"), ("on_duty",), on_duty),
)
