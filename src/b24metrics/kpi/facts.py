"""Facts: dated, attributed rows over the mirror's tables; views: what several facts share.

Laws: all filters of the base population live here, a measure adds only a condition on the fact's own columns; the SQL is
DuckDB's dialect without what PostgreSQL has no word for; ``$name`` is a value of ``ASKED``, always bound, never pasted;
the tables ``kpi_…`` are made by the evaluator from options and directories.

Columns of a fact: ``id`` of the entity named by ``kind``, ``happened_at`` (unless a state), ``manager_id``, the axes it can
be cut along (``pipeline_id``, ``stage_id``, ``source_id``, ``currency``), then what is measured. Money is DECIMAL: its
native amount and ``amount`` in the reporting currency, NULL where the currency has no rate.

Tables of the evaluator: ``kpi_lists(list, number, text)`` configured lists; ``kpi_rates(currency_id, factor)`` today's
rates; ``kpi_factors(rate, rate_count, factor)`` every frozen rate; ``kpi_days(on_date, starts_at)`` first instant of local
dates; ``kpi_kinds(provider_id, kind)`` configured kinds of activities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from b24metrics.kpi.refine import Refinement, waiting

#: Values that views may ask for by ``$name``.
ASKED: Final = frozenset(
    {
        "portal",  # name of the portal in the mirror
        "now",  # evaluation instant
        "since",  # earliest start of all windows evaluated
        "base_currency",  # reporting currency, that of a deal without one
        "test_pattern",  # RE2, or NULL
        "go_live",  # first instant after the migration, or NULL
        "all_pipelines",  # TRUE: no list of pipelines is configured
        "burst_records", "burst_seconds",
        "by_close_date",  # TRUE: the editable date says when a deal was closed
        "aged_before",  # created at or before: older than the grace period, in company working time
        "classic",  # TRUE: new requests are leads
        "count_by_hand", "edits_react",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A named SELECT over mirror tables and other views.

    Attributes:
        name: of the temporary table that it becomes. needs: views that it reads. feeds: those without which its rows mean
            nothing, by their names in ``feed_state``; "requests" stands for leads or deals, whichever new requests are.
        waits_for: feeds that it can do without, but not with half of: while their past is being copied there are no rows.
    """

    name: str
    sql: str
    feeds: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    needs: tuple[View, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Fact(View):
    """A view whose rows are counted.

    Attributes:
        kind: the entity that ``id`` names. state: rows of the present; their only window is ``now``.
        solo: column that tells rows whose distinct key occurs in no other row, so that they may be counted plainly.
        refine: adds columns that SQL cannot say (working time), over whole arrays.
    """

    kind: str = ""
    state: bool = False
    solo: str | None = None
    refine: Refinement | None = None


# ---------------------------------------------------------------- base population

# A burst spans at most two neighbouring stretches of its own length, so one of them holds half of it: only authors with
# such a stretch are looked at closely, which is nobody on most days.
_BURSTS = """
WITH stretches AS (
    SELECT created_by_id, CAST(floor(epoch(created_at) / ($burst_seconds + 1)) AS BIGINT) AS stretch
    FROM {table}
    WHERE portal = $portal AND deleted_at IS NULL AND created_by_id IS NOT NULL AND created_at IS NOT NULL
    GROUP BY 1, 2
    HAVING 2 * count(*) >= $burst_records
), suspects AS (
    SELECT e.id, e.created_by_id, epoch(e.created_at) AS created_seconds
    FROM {table} AS e
    WHERE e.portal = $portal AND e.deleted_at IS NULL
      AND EXISTS (
        SELECT 1 FROM stretches AS s
        WHERE s.created_by_id = e.created_by_id
          AND CAST(floor(epoch(e.created_at) / ($burst_seconds + 1)) AS BIGINT) BETWEEN s.stretch - 1 AND s.stretch + 1
      )
), begun AS (
    SELECT id, created_by_id, created_seconds,
        count(*) OVER (
            PARTITION BY created_by_id ORDER BY created_seconds
            RANGE BETWEEN CURRENT ROW AND $burst_seconds FOLLOWING
        ) >= $burst_records AS begins
    FROM suspects
), covered AS (
    SELECT id,
        sum(CASE WHEN begins THEN 1 ELSE 0 END) OVER (
            PARTITION BY created_by_id ORDER BY created_seconds
            RANGE BETWEEN $burst_seconds PRECEDING AND CURRENT ROW
        ) AS beginnings
    FROM begun
)
SELECT id FROM covered WHERE beginnings > 0
"""

_IMPORTED = """
    coalesce(e.created_at < $go_live, FALSE)
    OR e.originator_id IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'origins')
    OR e.origin_id IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'origins')
    OR e.id IN (SELECT b.id FROM {bursts} AS b)
"""

_NO_TEST_DATA = """
    NOT coalesce(regexp_matches(e.title, $test_pattern), FALSE)
    AND coalesce(e.source_id, '') NOT IN (SELECT l.text FROM kpi_lists AS l WHERE l.list = 'no_sources')
    AND coalesce(e.assigned_by_id, 0) NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_users')
"""

DEAL_BURSTS = View("kpi_deal_bursts", _BURSTS.format(table="deals"), feeds=("deals",))

#: F0 of deals (catalogue §2.2). ``amount``: at today's rate.
DEALS = View(
    "kpi_deals",
    f"""
SELECT e.id, coalesce(e.pipeline_id, 0) AS pipeline_id, e.stage_id, coalesce(e.semantics, 'P') AS semantics,
    e.assigned_by_id AS manager_id, e.created_by_id, e.modified_by_id, e.moved_by_id,
    e.created_at, e.modified_at, e.moved_at, e.closes_on, coalesce(e.lead_id, 0) AS lead_id,
    coalesce(e.webform_id, 0) AS webform_id, coalesce(nullif(e.source_id, ''), '(none)') AS source_id,
    coalesce(nullif(e.currency_id, ''), $base_currency) AS currency,
    coalesce(e.opportunity, 0) AS native_amount, coalesce(e.opportunity, 0) * r.factor AS amount,
    ({_IMPORTED.format(bursts="kpi_deal_bursts")}) AS imported
FROM deals AS e
LEFT JOIN kpi_rates AS r ON r.currency_id = coalesce(nullif(e.currency_id, ''), $base_currency)
WHERE e.portal = $portal AND e.deleted_at IS NULL AND NOT coalesce(e.is_recurring, FALSE)
  AND {_NO_TEST_DATA}
  AND ($all_pipelines OR coalesce(e.pipeline_id, 0) IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'pipelines'))
  AND coalesce(e.pipeline_id, 0) NOT IN (SELECT l.number FROM kpi_lists AS l WHERE l.list = 'no_pipelines')
""",
    feeds=("deals",),
    needs=(DEAL_BURSTS,),
)

#: Records created closed (catalogue §2.7), whatever became of them.
BORN_CLOSED = View(
    "kpi_born_closed",
    """
SELECT DISTINCT m.entity_type_id, m.owner_id
FROM stage_moves AS m
WHERE m.portal = $portal AND m.deleted_at IS NULL AND m.entity_type_id IN (1, 2) AND m.kind = 1 AND m.semantics IN ('S', 'F')
""",
)

# Where the row before the current stay and the first row of the stay share a second, ids tell which came later. Plain
# aggregates on purpose: window functions would sort the whole history.
_STAYS = """
WITH moves AS (
    SELECT m.owner_id, m.id, m.created_at, coalesce(m.semantics, 'P') = o.semantics AS same
    FROM stage_moves AS m
    JOIN {owners} AS o ON o.id = m.owner_id
    WHERE m.portal = $portal AND m.entity_type_id = {entity_type_id} AND m.deleted_at IS NULL
      AND o.semantics IN ('S', 'F')
), others AS (
    SELECT owner_id, max(created_at) AS last_at FROM moves WHERE NOT same GROUP BY owner_id
)
SELECT m.owner_id AS id,
    CASE
        WHEN max(CASE WHEN m.same AND m.created_at = o.last_at THEN m.id END)
            > max(CASE WHEN NOT m.same AND m.created_at = o.last_at THEN m.id END)
        THEN max(o.last_at)
        ELSE min(CASE WHEN m.same AND (o.last_at IS NULL OR m.created_at > o.last_at) THEN m.created_at END)
    END AS closed_since
FROM moves AS m
LEFT JOIN others AS o ON o.owner_id = m.owner_id
GROUP BY m.owner_id
"""

#: Closed deals: since when they have stood in their present semantics without a break; NULL where history ends elsewhere.
DEAL_STAYS = View("kpi_deal_stays", _STAYS.format(owners="kpi_deals", entity_type_id=2), needs=(DEALS,))

# ---------------------------------------------------------------- deals

#: Won and lost deals by the moment of closing (catalogue §1 decisions 1–3, §2.3, §2.7; §19 on imported deals). What was
#: observed before the present stay began belongs to an earlier one; the minute is for clocks of history and record.
CLOSED_DEALS = Fact(
    "kpi_closed_deals",
    """
WITH closed AS (
    SELECT d.*, y.starts_at AS close_date_at,
        d.id IN (SELECT b.owner_id FROM kpi_born_closed AS b WHERE b.entity_type_id = 2) AS created_closed,
        s.closed_since AS stays_since, coalesce(s.closed_since, d.moved_at, y.starts_at) AS closed_since
    FROM kpi_deals AS d
    LEFT JOIN kpi_deal_stays AS s ON s.id = d.id
    LEFT JOIN kpi_days AS y ON y.on_date = d.closes_on
    WHERE d.semantics IN ('S', 'F')
)
SELECT d.id,
    CASE WHEN $by_close_date OR (d.imported AND d.created_closed) THEN coalesce(d.close_date_at, d.closed_since)
        ELSE d.closed_since END AS happened_at,
    coalesce(z.manager_id, d.manager_id) AS manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency,
    CASE d.semantics WHEN 'S' THEN 'won' ELSE 'lost' END AS outcome,
    d.native_amount, coalesce(d.native_amount * f.factor, d.amount) AS amount
FROM closed AS d
LEFT JOIN deal_closings AS z ON z.portal = $portal AND z.deal_id = d.id AND z.semantics = d.semantics
    AND (d.stays_since IS NULL OR z.observed_at >= d.stays_since - INTERVAL '1 minute')
LEFT JOIN kpi_factors AS f ON f.rate = z.rate AND f.rate_count = z.rate_count
""",
    feeds=("deals",),
    waits_for=("deal_moves",),
    needs=(DEALS, DEAL_STAYS, BORN_CLOSED),
    kind="deal",
)

#: Deals by creation, without imports.
NEW_DEALS = Fact(
    "kpi_new_deals",
    """
SELECT d.id, d.created_at AS happened_at, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency
FROM kpi_deals AS d
WHERE NOT d.imported
""",
    feeds=("deals",),
    needs=(DEALS,),
    kind="deal",
)

#: Deals in work.
OPEN_DEALS = Fact(
    "kpi_open_deals",
    """
SELECT d.id, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency, d.native_amount, d.amount
FROM kpi_deals AS d
WHERE d.semantics = 'P'
""",
    feeds=("deals",),
    needs=(DEALS,),
    kind="deal",
    state=True,
)

#: Deals in work, with what is planned for them (catalogue §7.1; §19: any open binding is an activity, items of incoming
#: channels are not overdue, a deal created in the future lacks nothing).
OPEN_DEAL_CARE = Fact(
    "kpi_open_deal_care",
    """
WITH pending AS (
    SELECT a.id, a.owner_type_id, a.owner_id,
        coalesce(a.deadline_at < $now, FALSE) AND NOT coalesce(a.is_incoming_channel, FALSE) AS overdue
    FROM activities AS a
    WHERE a.portal = $portal AND a.deleted_at IS NULL AND NOT coalesce(a.completed, FALSE)
), bound AS (
    SELECT b.entity_id AS id, p.overdue
    FROM pending AS p
    JOIN activity_bindings AS b ON b.portal = $portal AND b.activity_id = p.id AND b.entity_type_id = 2
    UNION ALL
    SELECT p.owner_id, p.overdue FROM pending AS p WHERE p.owner_type_id = 2
), planned AS (
    SELECT id, bool_or(overdue) AS overdue FROM bound GROUP BY id
)
SELECT d.id, d.manager_id, d.pipeline_id, d.stage_id, d.source_id, d.currency,
    coalesce(p.overdue, FALSE) AS overdue,
    p.id IS NULL AND d.created_at <= $aged_before AS without_activity
FROM kpi_deals AS d
LEFT JOIN planned AS p ON p.id = d.id
WHERE d.semantics = 'P'
""",
    feeds=("deals", "activities"),
    needs=(DEALS,),
    kind="deal",
    state=True,
)

# ---------------------------------------------------------------- phone calls

#: Legs of telephone calls with clients (catalogue §6.1). A call is dated by its first leg, whose id is its key.
CALLS = Fact(
    "kpi_calls",
    """
WITH legs AS (
    SELECT c.id, c.call_id, c.type_id, c.user_id AS manager_id, c.line, c.duration_seconds, c.started_at,
        c.failed_code = '200' AND c.duration_seconds > 0 AS connected
    FROM phone_calls AS c
    WHERE c.portal = $portal AND c.deleted_at IS NULL AND coalesce(c.category, '') IN ('', 'external')
      AND c.type_id IN (1, 2, 3, 4) AND c.started_at >= $since - INTERVAL '1 day'
), shared AS (
    SELECT l.call_id, min(l.started_at) AS started_at, min(l.id) AS call_key
    FROM legs AS l
    WHERE l.call_id <> ''
    GROUP BY l.call_id
    HAVING count(*) > 1
)
SELECT l.id, coalesce(s.started_at, l.started_at) AS happened_at, l.manager_id, l.type_id, l.line,
    coalesce(s.call_key, l.id) AS call_key, s.call_key IS NULL AS only_leg,
    coalesce(l.duration_seconds, 0) AS duration_seconds, coalesce(l.connected, FALSE) AS connected
FROM legs AS l
LEFT JOIN shared AS s ON s.call_id = l.call_id
""",
    feeds=("phone_calls",),
    kind="phone_call",
    solo="only_leg",
)

# ---------------------------------------------------------------- requests and reactions

LEAD_BURSTS = View("kpi_lead_bursts", _BURSTS.format(table="leads"), feeds=("leads",))

#: F0 of leads.
LEADS = View(
    "kpi_leads",
    f"""
SELECT e.id, coalesce(e.semantics, 'P') AS semantics, e.assigned_by_id AS manager_id, e.created_by_id,
    e.modified_by_id, e.moved_by_id, e.created_at, e.modified_at, e.moved_at, e.closed_at,
    coalesce(e.webform_id, 0) AS webform_id, coalesce(nullif(e.source_id, ''), '(none)') AS source_id,
    ({_IMPORTED.format(bursts="kpi_lead_bursts")}) AS imported
FROM leads AS e
WHERE e.portal = $portal AND e.deleted_at IS NULL
  AND {_NO_TEST_DATA}
""",
    feeds=("leads",),
    needs=(LEAD_BURSTS,),
)

LEAD_STAYS = View("kpi_lead_stays", _STAYS.format(owners="kpi_leads", entity_type_id=1), needs=(LEADS,))

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
