"""Tables of the mirror, written out, and their numbered migrations.

Laws: ``portal`` is the first column of every key; columns are named as entity fields; instants are TIMESTAMPTZ (UTC),
dates are DATE, money is DECIMAL in its own currency; ``deleted_at`` is the tombstone. Types are spelled so that DuckDB
and PostgreSQL both read them. A migration is a list of statements; it is never edited after a release, only followed.
An observed column keeps the first value that was seen until the portal takes the fact back (says nothing there).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)  # a table is itself: hashable, although its columns are a map
class Table:
    """One table: its key (without ``portal``) and its columns, name → SQL type.

    Attributes:
        observed: columns that keep what was seen first: a later value is ignored, only NULL empties them.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    tombstone: bool = True
    observed: tuple[str, ...] = ()

    @property
    def primary_key(self) -> tuple[str, ...]:
        """All key columns, ``portal`` first."""
        return ("portal", *self.key)

    @property
    def all_columns(self) -> Mapping[str, str]:
        """Every column with its type, in table order."""
        tail = {"deleted_at": "TIMESTAMPTZ"} if self.tombstone else {}
        return {"portal": "VARCHAR", **self.columns, **tail}

    def ddl(self) -> str:
        """CREATE TABLE, for both databases."""
        columns = ", ".join(
            f"{name} {kind}{' NOT NULL' if name in self.primary_key else ''}" for name, kind in self.all_columns.items()
        )
        return f"CREATE TABLE {self.name} ({columns}, PRIMARY KEY ({', '.join(self.primary_key)}))"


PORTALS = Table(
    "portals",
    (),
    {
        "host": "VARCHAR",
        "user_id": "BIGINT",
        "zone": "VARCHAR",
        "base_currency": "VARCHAR",
        "crm_mode": "INTEGER",  # 1 classic (leads), 2 simple (no leads); None unknown
        "first_synced_at": "TIMESTAMPTZ",
    },
    tombstone=False,
)

DEALS = Table(
    "deals",
    ("id",),
    {
        "id": "BIGINT",
        "title": "VARCHAR",
        "type_id": "VARCHAR",
        "pipeline_id": "INTEGER",
        "stage_id": "VARCHAR",
        "semantics": "VARCHAR",  # P in progress, S won, F lost
        "opportunity": "DECIMAL(18,2)",
        "currency_id": "VARCHAR",
        "probability": "INTEGER",
        "assigned_by_id": "BIGINT",
        "created_by_id": "BIGINT",
        "modified_by_id": "BIGINT",
        "moved_by_id": "BIGINT",
        "created_at": "TIMESTAMPTZ",
        "modified_at": "TIMESTAMPTZ",
        "moved_at": "TIMESTAMPTZ",
        "begins_on": "DATE",
        "closes_on": "DATE",
        "closed": "BOOLEAN",
        "company_id": "BIGINT",
        "contact_id": "BIGINT",
        "lead_id": "BIGINT",
        "quote_id": "BIGINT",
        "source_id": "VARCHAR",
        "webform_id": "BIGINT",
        "is_recurring": "BOOLEAN",
        "is_return_customer": "BOOLEAN",
        "is_repeated_approach": "BOOLEAN",
        "originator_id": "VARCHAR",
        "origin_id": "VARCHAR",
        "last_activity_at": "TIMESTAMPTZ",
        "user_fields": "VARCHAR",  # JSON object, only the configured ones
    },
)

LEADS = Table(
    "leads",
    ("id",),
    {
        "id": "BIGINT",
        "title": "VARCHAR",
        "stage_id": "VARCHAR",
        "semantics": "VARCHAR",
        "opportunity": "DECIMAL(18,2)",
        "currency_id": "VARCHAR",
        "assigned_by_id": "BIGINT",
        "created_by_id": "BIGINT",
        "modified_by_id": "BIGINT",
        "moved_by_id": "BIGINT",
        "created_at": "TIMESTAMPTZ",
        "modified_at": "TIMESTAMPTZ",
        "moved_at": "TIMESTAMPTZ",
        "closed_at": "TIMESTAMPTZ",
        "company_id": "BIGINT",
        "contact_id": "BIGINT",
        "source_id": "VARCHAR",
        "webform_id": "BIGINT",
        "is_return_customer": "BOOLEAN",
        "originator_id": "VARCHAR",
        "origin_id": "VARCHAR",
        "last_activity_at": "TIMESTAMPTZ",
        "user_fields": "VARCHAR",
    },
)

STAGE_MOVES = Table(
    "stage_moves",
    ("entity_type_id", "id"),  # every entity type has its own numbering
    {
        "entity_type_id": "INTEGER",
        "id": "BIGINT",
        "kind": "INTEGER",  # 1 created, 2 intermediate, 3 final, 5 pipeline changed
        "owner_id": "BIGINT",
        "created_at": "TIMESTAMPTZ",
        "pipeline_id": "INTEGER",
        "stage_id": "VARCHAR",
        "semantics": "VARCHAR",
    },
)

ACTIVITIES = Table(
    "activities",
    ("id",),
    {
        "id": "BIGINT",
        "owner_type_id": "INTEGER",
        "owner_id": "BIGINT",
        "type_id": "INTEGER",  # 1 meeting, 2 call, 3 task, 4 e-mail, 5 calendar, 6 provider
        "provider_id": "VARCHAR",
        "provider_type_id": "VARCHAR",
        "direction": "INTEGER",  # 0 none, 1 incoming, 2 outgoing
        "completed": "BOOLEAN",
        "status": "INTEGER",  # 1 pending, 2 completed, 3 completed automatically
        "created_at": "TIMESTAMPTZ",
        "modified_at": "TIMESTAMPTZ",
        "starts_at": "TIMESTAMPTZ",
        "ends_at": "TIMESTAMPTZ",
        "deadline_at": "TIMESTAMPTZ",  # NULL: no deadline (the portal's year 9999)
        "completed_at": "TIMESTAMPTZ",  # observed: first seen completed
        "responsible_id": "BIGINT",
        "author_id": "BIGINT",
        "is_incoming_channel": "BOOLEAN",
        "associated_entity_id": "BIGINT",
        "origin_id": "VARCHAR",
        "result_mark": "INTEGER",
        "result_status": "INTEGER",
        "result_stream": "INTEGER",
    },
    observed=("completed_at",),
)

ACTIVITY_BINDINGS = Table(
    "activity_bindings",
    ("activity_id", "entity_type_id", "entity_id"),
    {"activity_id": "BIGINT", "entity_type_id": "INTEGER", "entity_id": "BIGINT"},
    tombstone=False,
)

PHONE_CALLS = Table(
    "phone_calls",
    ("id",),
    {
        "id": "BIGINT",
        "call_id": "VARCHAR",  # legs of one call share it
        "category": "VARCHAR",  # external, internal, callback …
        "type_id": "INTEGER",  # 1 outgoing, 2 incoming, 3 redirected, 4 callback, 5 info
        "user_id": "BIGINT",
        "line": "VARCHAR",
        "phone_number": "VARCHAR",
        "duration_seconds": "INTEGER",
        "started_at": "TIMESTAMPTZ",
        "failed_code": "VARCHAR",  # 200, 304, 603-S, OTHER …
        "vote": "INTEGER",
        "crm_entity_type_id": "INTEGER",
        "crm_entity_id": "BIGINT",
        "crm_activity_id": "BIGINT",
        "has_record": "BOOLEAN",
        "transcript_id": "BIGINT",
    },
)

USERS = Table(
    "users",
    ("id",),
    {
        "id": "BIGINT",
        "active": "BOOLEAN",
        "name": "VARCHAR",
        "last_name": "VARCHAR",
        "position": "VARCHAR",
        "zone": "VARCHAR",
        "user_type": "VARCHAR",
        "registered_at": "TIMESTAMPTZ",
        "employed_on": "DATE",
        "dismissed_at": "TIMESTAMPTZ",  # observed: first seen inactive
    },
    observed=("dismissed_at",),
)

USER_DEPARTMENTS = Table(
    "user_departments",
    ("user_id", "department_id"),
    {"user_id": "BIGINT", "department_id": "BIGINT", "ordinal": "INTEGER"},  # ordinal 0 is the primary one
    tombstone=False,
)

DEPARTMENTS = Table(
    "departments",
    ("id",),
    {"id": "BIGINT", "name": "VARCHAR", "parent_id": "BIGINT", "head_id": "BIGINT", "sort": "INTEGER"},
)

STATUSES = Table(
    "statuses",
    ("directory", "status_id"),  # a status id is unique only inside its directory
    {
        "directory": "VARCHAR",  # DEAL_STAGE, DEAL_STAGE_3, STATUS, SOURCE …
        "status_id": "VARCHAR",
        "name": "VARCHAR",
        "sort": "INTEGER",
        "semantics": "VARCHAR",  # P, S, F for stages; NULL for other directories
        "entity_type_id": "INTEGER",  # 1 lead, 2 deal, 7 quote, 31 invoice; NULL for other directories
        "pipeline_id": "INTEGER",
    },
)

PIPELINES = Table(
    "pipelines",
    ("entity_type_id", "id"),
    {"entity_type_id": "INTEGER", "id": "INTEGER", "name": "VARCHAR", "sort": "INTEGER", "is_default": "BOOLEAN"},
)

CURRENCIES = Table(
    "currencies",
    ("id",),
    {
        "id": "VARCHAR",
        "rate": "DECIMAL(18,6)",  # value in base currency = amount * rate / rate_count
        "rate_count": "INTEGER",
        "is_base": "BOOLEAN",
        "name": "VARCHAR",
    },
)

DEAL_CLOSINGS = Table(
    "deal_closings",  # observed: frozen when a deal is first seen in a final stage, dropped when it is reopened
    ("deal_id",),
    {
        "deal_id": "BIGINT",
        "semantics": "VARCHAR",
        "manager_id": "BIGINT",
        "rate": "DECIMAL(18,6)",
        "rate_count": "INTEGER",
        "observed_at": "TIMESTAMPTZ",
    },
    tombstone=False,
)

ABSENCES = Table(
    "absences",
    ("user_id", "id", "starts_at"),  # the occasions of a recurring absence share its id
    {"user_id": "BIGINT", "id": "BIGINT", "starts_at": "TIMESTAMPTZ", "ends_at": "TIMESTAMPTZ"},  # half-open
    tombstone=False,
)

PLANS = Table(
    "plans",  # loaded from a file, not from the portal
    ("kpi_id", "level", "subject_id", "month"),
    {
        "kpi_id": "VARCHAR",  # revenue_won unless the plan is for another additive KPI
        "level": "VARCHAR",  # M, D or T
        "subject_id": "BIGINT",  # user or department; 0 for the company
        "month": "DATE",  # its first day
        "amount": "DECIMAL(18,2)",
    },
    tombstone=False,
)

FEED_STATE = Table(
    "feed_state",
    ("feed",),
    {
        "feed": "VARCHAR",
        "cursor_at": "TIMESTAMPTZ",  # everything modified before it is here
        "cursor_id": "BIGINT",  # append-only: everything up to this id is here; else how far the walk under way has come
        "walk_at": "TIMESTAMPTZ",  # portal time at which the walk under way began; NULL when none is
        "target_id": "BIGINT",  # last id that the running backfill aims at; NULL when it is done
        "backfilled_at": "TIMESTAMPTZ",
        "synced_at": "TIMESTAMPTZ",  # portal time of the last complete round
        "row_count": "BIGINT",  # rows in the mirror that are not deleted
        "error": "VARCHAR",  # the last failure in one sentence; NULL after a good round
    },
    tombstone=False,
)

SYNC_RANGES = Table(
    "sync_ranges",  # the backfill's work items: (first_id - 1, last_id] of a feed; kept until its backfill is done
    ("feed", "first_id"),
    {
        "feed": "VARCHAR",
        "first_id": "BIGINT",
        "last_id": "BIGINT",
        "done_id": "BIGINT",  # everything from first_id to here is in the mirror; first_id - 1 at the start
        "expected": "BIGINT",  # rows, estimated
        "row_count": "BIGINT",  # rows written so far
    },
    tombstone=False,
)

UNREAD_RECORDS = Table(
    "unread_records",  # records that came and could not be read; gone once they read
    ("feed", "record_id"),
    {"feed": "VARCHAR", "record_id": "VARCHAR", "reason": "VARCHAR", "seen_at": "TIMESTAMPTZ"},
    tombstone=False,
)

TABLES: tuple[Table, ...] = (
    PORTALS, DEALS, LEADS, STAGE_MOVES, ACTIVITIES, ACTIVITY_BINDINGS, PHONE_CALLS, USERS, USER_DEPARTMENTS,
    DEPARTMENTS, STATUSES, PIPELINES, CURRENCIES, DEAL_CLOSINGS, ABSENCES, PLANS, FEED_STATE,
    SYNC_RANGES, UNREAD_RECORDS,
)  # fmt: skip

#: Forward only; number n+1 is the statements at index n. Version 1 is the tables above as first released.
MIGRATIONS: tuple[tuple[str, ...], ...] = (tuple(table.ddl() for table in TABLES),)
