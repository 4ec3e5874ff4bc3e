"""Whether a mirror is sound in itself: doubles, promises, and what was observed. Plain SQL, written by hand."""

from __future__ import annotations

from b24metrics.mirror import schema
from b24metrics.mirror.stores import Store

#: Tables that hold the portal's records or what was observed in them: their keys must be single.
_KEPT = tuple(table for table in schema.TABLES if table.key)

#: What must find nothing, at any moment: also in a mirror whose sync was just killed.
ALWAYS = {
    "a range beyond its bounds": """SELECT feed, first_id, done_id, last_id FROM sync_ranges
        WHERE done_id < first_id - 1 OR done_id > last_id""",
    "a feed that is complete and still has ranges": """SELECT feed FROM feed_state WHERE backfilled_at IS NOT NULL
        AND feed IN (SELECT feed FROM sync_ranges)""",
    "ranges that overlap": """SELECT a.feed, a.first_id, b.first_id FROM sync_ranges AS a JOIN sync_ranges AS b
        ON a.feed = b.feed AND a.first_id < b.first_id AND b.first_id <= a.last_id""",
    "an open deal with a closing": """SELECT deals.id FROM deals JOIN deal_closings ON deal_closings.deal_id = deals.id
        WHERE deals.deleted_at IS NULL AND deals.semantics IS DISTINCT FROM deal_closings.semantics""",
    "a closed deal without a closing": """SELECT id FROM deals WHERE deleted_at IS NULL AND semantics IN ('S', 'F')
        AND id NOT IN (SELECT deal_id FROM deal_closings)""",
    "a change of responsibility that does not follow the one before": """SELECT entity_type_id, entity_id FROM (
        SELECT *, lag(to_id) OVER entity AS before, row_number() OVER entity AS n FROM assignments
        WINDOW entity AS (PARTITION BY entity_type_id, entity_id ORDER BY changed_at)) AS held
        WHERE n > 1 AND before IS DISTINCT FROM from_id OR from_id IS NOT DISTINCT FROM to_id""",
    "a deal whose last change of responsibility leads elsewhere": """SELECT deals.id FROM deals JOIN (
        SELECT entity_id, to_id, row_number() OVER (PARTITION BY entity_id ORDER BY changed_at DESC) AS n
        FROM assignments WHERE entity_type_id = 2) AS latest ON latest.entity_id = deals.id AND latest.n = 1
        WHERE deals.deleted_at IS NULL AND deals.assigned_by_id IS DISTINCT FROM latest.to_id""",
    "a lead whose last change of responsibility leads elsewhere": """SELECT leads.id FROM leads JOIN (
        SELECT entity_id, to_id, row_number() OVER (PARTITION BY entity_id ORDER BY changed_at DESC) AS n
        FROM assignments WHERE entity_type_id = 1) AS latest ON latest.entity_id = leads.id AND latest.n = 1
        WHERE leads.deleted_at IS NULL AND leads.assigned_by_id IS DISTINCT FROM latest.to_id""",
    "a change of amount that does not follow the one before": """SELECT deal_id FROM (
        SELECT *, lag(to_opportunity) OVER deal AS before, lag(to_currency_id) OVER deal AS money,
        row_number() OVER deal AS n FROM deal_changes WINDOW deal AS (PARTITION BY deal_id ORDER BY changed_at)) AS held
        WHERE n > 1 AND (before IS DISTINCT FROM from_opportunity OR money IS DISTINCT FROM from_currency_id)""",
    "a deal whose last change of amount leads elsewhere": """SELECT deals.id FROM deals JOIN (
        SELECT *, row_number() OVER (PARTITION BY deal_id ORDER BY changed_at DESC) AS n FROM deal_changes) AS latest
        ON latest.deal_id = deals.id AND latest.n = 1 WHERE deals.deleted_at IS NULL
        AND (deals.opportunity IS DISTINCT FROM latest.to_opportunity
            OR deals.currency_id IS DISTINCT FROM latest.to_currency_id)""",
    "a quote whose last move leads elsewhere": """SELECT quotes.id FROM quotes LEFT JOIN (
        SELECT *, row_number() OVER (PARTITION BY quote_id ORDER BY changed_at DESC) AS n FROM quote_moves) AS latest
        ON latest.quote_id = quotes.id AND latest.n = 1
        WHERE quotes.deleted_at IS NULL AND quotes.stage_id IS DISTINCT FROM latest.to_stage_id""",
    "a completed activity without its moment": """SELECT id FROM activities
        WHERE deleted_at IS NULL AND coalesce(completed, FALSE) <> (completed_at IS NOT NULL)""",
    "a dismissed person without a day": """SELECT id FROM users
        WHERE deleted_at IS NULL AND (active IS FALSE) <> (dismissed_at IS NOT NULL)""",
    "somebody whose last department is another": """SELECT latest.user_id FROM (
        SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY changed_at DESC) AS n FROM department_changes) AS latest
        JOIN user_departments AS place ON place.user_id = latest.user_id AND place.ordinal = 0
        WHERE latest.n = 1 AND place.department_id IS DISTINCT FROM latest.to_id""",
    "a currency whose last rate is another": """SELECT currencies.id FROM currencies LEFT JOIN (
        SELECT *, row_number() OVER (PARTITION BY currency_id ORDER BY seen_at DESC) AS n FROM rates) AS latest
        ON latest.currency_id = currencies.id AND latest.n = 1 WHERE currencies.deleted_at IS NULL
        AND (currencies.rate IS DISTINCT FROM latest.rate OR currencies.rate_count IS DISTINCT FROM latest.rate_count)""",
    "a payment whose rate is not as it should be": """SELECT id FROM payments
        WHERE coalesce(paid, FALSE) <> (rate IS NOT NULL) AND currency_id IN (SELECT id FROM currencies)""",
    "a closing whose rate is missing": """SELECT deal_id FROM deal_closings WHERE rate IS NULL
        AND currency_id IN (SELECT id FROM currencies)""",
    "a closing whose department is missing": """SELECT deal_id FROM deal_closings WHERE department_id IS NULL
        AND manager_id IN (SELECT user_id FROM user_departments WHERE ordinal = 0)""",
    "keys of a client who is gone": """SELECT entity_id FROM client_keys WHERE entity_type_id = 3
        AND entity_id IN (SELECT id FROM contacts WHERE deleted_at IS NOT NULL)""",
    "bindings of an activity that is gone": """SELECT activity_id FROM activity_bindings
        WHERE activity_id IN (SELECT id FROM activities WHERE deleted_at IS NOT NULL)""",
}

#: What must find nothing once the mirror is in step and all ids were compared.
IN_STEP = {
    "a record that could not be read": "SELECT feed, record_id FROM unread_records",
    "a range that is not done": "SELECT feed, first_id FROM sync_ranges",
    "a comparison that is not finished": "SELECT feed, first_id FROM sweep_ranges",
    "an owner who was not asked": "SELECT feed, owner_id FROM owed",
    "a feed that failed": "SELECT feed, error FROM feed_state WHERE error IS NOT NULL",
    "a walk that was cut": "SELECT feed FROM feed_state WHERE walk_at IS NOT NULL",
    "a move of a deal that is gone": """SELECT id FROM stage_moves WHERE entity_type_id = 2 AND deleted_at IS NULL
        AND owner_id NOT IN (SELECT id FROM deals WHERE deleted_at IS NULL)""",
}


def unsound(store: Store, *, in_step: bool = False) -> dict[str, object]:
    """What is wrong with a mirror in itself: what → some rows. Empty: nothing."""
    found: dict[str, object] = {}
    for table in _KEPT:
        key = ", ".join(table.primary_key)
        # A second scan that no index answers: a double that an index does not know of would show.
        doubles = store.rows(f"SELECT {key}, count(*) FROM {table.name} GROUP BY {key} HAVING count(*) > 1 LIMIT 3")
        if doubles:
            found[f"doubles in {table.name}"] = doubles
    for what, sql in {**ALWAYS, **(IN_STEP if in_step else {})}.items():
        if rows := store.rows(sql):
            found[what] = (len(rows), rows[:3])
    return found
