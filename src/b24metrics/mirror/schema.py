"""Tables of the mirror, written out, and their numbered migrations.

Laws: ``portal`` is the first column of every key; columns are named as entity fields; instants are TIMESTAMPTZ (UTC),
dates are DATE, money is DECIMAL in its own currency; ``deleted_at`` is the tombstone. Types are spelled so that DuckDB
and PostgreSQL both read them. A migration is a file of statements; it is never edited after a release, only followed.
An observed column keeps the first value that was seen until the portal takes the fact back (says nothing there).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources


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
        "phone_key": "VARCHAR",  # of the other side's number, made by ``mirror.phones``
        "duration_seconds": "INTEGER",
        "started_at": "TIMESTAMPTZ",
        "failed_code": "VARCHAR",  # 200, 304, 603-S, OTHER …
        "vote": "INTEGER",
        "crm_entity_type_id": "INTEGER",
        "crm_entity_id": "BIGINT",
        "crm_activity_id": "BIGINT",
        "has_record": "BOOLEAN",
        "transcript_id": "BIGINT",
        "tags": "VARCHAR",  # the words of its comment that begin with #: " #yes #later "; nothing else of it is kept
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
        "department_id": "BIGINT",  # the manager's primary one at the time
        "opportunity": "DECIMAL(18,2)",
        "currency_id": "VARCHAR",
        "rate": "DECIMAL(18,6)",
        "rate_count": "INTEGER",
        "observed_at": "TIMESTAMPTZ",
    },
    tombstone=False,
)

QUOTES = Table(
    "quotes",
    ("id",),
    {
        "id": "BIGINT",
        "title": "VARCHAR",
        "stage_id": "VARCHAR",  # a status of the directory QUOTE_STATUS, which knows its semantics
        "opportunity": "DECIMAL(18,2)",
        "currency_id": "VARCHAR",
        "assigned_by_id": "BIGINT",
        "created_by_id": "BIGINT",
        "modified_by_id": "BIGINT",
        "created_at": "TIMESTAMPTZ",
        "modified_at": "TIMESTAMPTZ",
        "begins_on": "DATE",
        "closes_on": "DATE",
        "closed": "BOOLEAN",
        "lead_id": "BIGINT",
        "deal_id": "BIGINT",
        "company_id": "BIGINT",
        "contact_id": "BIGINT",
    },
)

INVOICES = Table(
    "invoices",  # smart invoices
    ("id",),
    {
        "id": "BIGINT",
        "title": "VARCHAR",
        "pipeline_id": "INTEGER",
        "stage_id": "VARCHAR",  # a status of the directory SMART_INVOICE_STAGE_<n>, which knows its semantics
        "opportunity": "DECIMAL(18,2)",
        "currency_id": "VARCHAR",
        "assigned_by_id": "BIGINT",
        "created_by_id": "BIGINT",
        "modified_by_id": "BIGINT",
        "moved_by_id": "BIGINT",
        "created_at": "TIMESTAMPTZ",
        "modified_at": "TIMESTAMPTZ",
        "moved_at": "TIMESTAMPTZ",
        "begins_on": "DATE",
        "due_on": "DATE",
        "deal_id": "BIGINT",
        "quote_id": "BIGINT",
        "company_id": "BIGINT",
        "contact_id": "BIGINT",
        "user_fields": "VARCHAR",
    },
)

PAYMENTS = Table(
    "payments",  # of invoices
    ("id",),
    {
        "id": "BIGINT",
        "owner_type_id": "INTEGER",
        "owner_id": "BIGINT",
        "paid": "BOOLEAN",
        "paid_at": "TIMESTAMPTZ",
        "amount": "DECIMAL(18,2)",
        "currency_id": "VARCHAR",
        "rate": "DECIMAL(18,6)",  # observed: that of its currency when it was first seen paid
        "rate_count": "INTEGER",
    },
    tombstone=False,
    observed=("rate", "rate_count"),
)

PRODUCT_ROWS = Table(
    "product_rows",  # of won deals
    ("owner_type_id", "owner_id", "id"),
    {
        "owner_type_id": "INTEGER",
        "owner_id": "BIGINT",
        "id": "BIGINT",
        "product_id": "BIGINT",
        "product_name": "VARCHAR",
        "quantity": "DECIMAL(18,4)",
        "price": "DECIMAL(18,4)",  # of one unit, in the owner's currency, after discount, tax included
        "measure_code": "INTEGER",
    },
    tombstone=False,
)

CONTACTS = Table(
    "contacts",  # only what data quality needs; phones and addresses as keys, comments not at all
    ("id",),
    {
        "id": "BIGINT",
        "name": "VARCHAR",
        "last_name": "VARCHAR",
        "type_id": "VARCHAR",
        "assigned_by_id": "BIGINT",
        "created_by_id": "BIGINT",
        "created_at": "TIMESTAMPTZ",
        "modified_at": "TIMESTAMPTZ",
        "source_id": "VARCHAR",
        "company_id": "BIGINT",
        "lead_id": "BIGINT",
        "originator_id": "VARCHAR",
        "origin_id": "VARCHAR",
        "has_phone": "BOOLEAN",
        "has_email": "BOOLEAN",
        "has_messenger": "BOOLEAN",
        "phone_in_comment": "BOOLEAN",
        "user_fields": "VARCHAR",
    },
)

COMPANIES = Table(
    "companies",
    ("id",),
    {
        "id": "BIGINT",
        "title": "VARCHAR",
        "type_id": "VARCHAR",
        "industry": "VARCHAR",
        "assigned_by_id": "BIGINT",
        "created_by_id": "BIGINT",
        "created_at": "TIMESTAMPTZ",
        "modified_at": "TIMESTAMPTZ",
        "lead_id": "BIGINT",
        "is_my_company": "BOOLEAN",
        "originator_id": "VARCHAR",
        "origin_id": "VARCHAR",
        "has_phone": "BOOLEAN",
        "has_email": "BOOLEAN",
        "user_fields": "VARCHAR",
    },
)

CLIENT_KEYS = Table(
    "client_keys",  # phones and addresses of contacts, companies and leads, good for comparing and for nothing else
    ("entity_type_id", "entity_id", "kind", "key"),
    {
        "entity_type_id": "INTEGER",  # 1 lead, 3 contact, 4 company
        "entity_id": "BIGINT",
        "kind": "VARCHAR",  # phone or email
        "key": "VARCHAR",  # as ``mirror.phones`` makes it
    },
    tombstone=False,
)

TASKS = Table(
    "tasks",
    ("id",),
    {
        "id": "BIGINT",
        "title": "VARCHAR",
        "status": "INTEGER",  # 2 waiting, 3 in progress, 4 awaiting control, 5 completed, 6 deferred
        "created_by_id": "BIGINT",
        "responsible_id": "BIGINT",
        "created_at": "TIMESTAMPTZ",
        "modified_at": "TIMESTAMPTZ",
        "closed_at": "TIMESTAMPTZ",
        "deadline_at": "TIMESTAMPTZ",
        "good": "BOOLEAN",  # the mark that its author gave; NULL without
        "group_id": "BIGINT",
        "parent_id": "BIGINT",
    },
)

SCHEDULES = Table(
    "schedules",  # working time as the portal keeps it
    ("id",),
    {"id": "BIGINT", "name": "VARCHAR", "spec": "VARCHAR"},  # spec: the portal's answer, JSON
)

# ---------------------------------------------------------------- what the portal forgets: changes that were observed

ASSIGNMENTS = Table(
    "assignments",  # a record changed hands; who had it before the first row had it from the beginning
    ("entity_type_id", "entity_id", "changed_at"),
    {
        "entity_type_id": "INTEGER",  # 1 lead, 2 deal
        "entity_id": "BIGINT",
        "changed_at": "TIMESTAMPTZ",  # the record's own time of change
        "from_id": "BIGINT",
        "to_id": "BIGINT",
        "observed_at": "TIMESTAMPTZ",
    },
    tombstone=False,
)

DEAL_CHANGES = Table(
    "deal_changes",  # amount or expected date of a deal changed; before the first row it had the former ones
    ("deal_id", "changed_at"),
    {
        "deal_id": "BIGINT",
        "changed_at": "TIMESTAMPTZ",
        "from_opportunity": "DECIMAL(18,2)",
        "to_opportunity": "DECIMAL(18,2)",
        "from_currency_id": "VARCHAR",
        "to_currency_id": "VARCHAR",
        "from_closes_on": "DATE",
        "to_closes_on": "DATE",
        "observed_at": "TIMESTAMPTZ",
    },
    tombstone=False,
)

QUOTE_MOVES = Table(
    "quote_moves",  # a quote was first seen (from NULL; changed_at is its time of change then), or changed its status
    ("quote_id", "changed_at"),
    {
        "quote_id": "BIGINT",
        "changed_at": "TIMESTAMPTZ",
        "from_stage_id": "VARCHAR",
        "to_stage_id": "VARCHAR",
        "observed_at": "TIMESTAMPTZ",
    },
    tombstone=False,
)

DEPARTMENT_CHANGES = Table(
    "department_changes",  # the primary department of a person changed
    ("user_id", "changed_at"),
    {"user_id": "BIGINT", "changed_at": "TIMESTAMPTZ", "from_id": "BIGINT", "to_id": "BIGINT"},
    tombstone=False,
)

RATES = Table(
    "rates",  # rates of currencies as they were seen, from ``seen_at`` on
    ("currency_id", "seen_at"),
    {"currency_id": "VARCHAR", "seen_at": "TIMESTAMPTZ", "rate": "DECIMAL(18,6)", "rate_count": "INTEGER"},
    tombstone=False,
)

FROZEN_VALUES = Table(
    "frozen_values",  # what a KPI was when a period was closed; written by the daemon, never changed
    ("kpi_id", "level", "subject_id", "month"),
    {
        "kpi_id": "VARCHAR",
        "level": "VARCHAR",  # M, D or T
        "subject_id": "BIGINT",  # user or department; 0 for the company
        "month": "DATE",  # its first day
        "value": "DOUBLE PRECISION",
        "frozen_at": "TIMESTAMPTZ",
    },
    tombstone=False,
)

INPUTS = Table(
    "inputs",  # numbers that no portal has: loaded from a file
    ("kind", "level", "subject_id", "starts_on", "label"),
    {
        "kind": "VARCHAR",  # visits, costs, training_assigned, training_passed, score, call_points, speech …
        "level": "VARCHAR",  # M, D, T, R or call
        "subject_id": "BIGINT",  # user, department or phone call; 0 for the company or where ``label`` says it
        "starts_on": "DATE",  # first day of what it is about
        "label": "VARCHAR",  # source, criterion, channel …; '' where there is none
        "amount": "DECIMAL(18,4)",
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
        "reconciled_at": "TIMESTAMPTZ",  # portal time of the last comparison of all ids with the portal's
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

SWEEPS = Table(
    "sweeps",  # the search for deleted and lost records: how far it is, and what it has found
    ("feed",),
    {
        "feed": "VARCHAR",
        "begun_at": "TIMESTAMPTZ",  # portal time at which the sweep under way began; NULL when none is
        "whole": "BOOLEAN",  # it compares everything, not only the newest records
        "at_id": "BIGINT",  # counts are compared up to here
        "last_id": "BIGINT",  # and are to be compared up to here
        "here": "BIGINT",  # rows compared so far: in the mirror
        "there": "BIGINT",  # and on the portal
        "gone": "BIGINT",  # rows that seem to be gone
        "decided": "BOOLEAN",  # whether what seems to be gone is believed
        "newest_at": "TIMESTAMPTZ",  # when the newest records were last compared
        "whole_at": "TIMESTAMPTZ",  # when everything was last compared, believed or not
        "doubted_at": "TIMESTAMPTZ",  # since when more is gone than is believed at once; NULL without doubt
        "doubt": "VARCHAR",  # that in one sentence
        "buried": "BIGINT",  # deletions found, ever
        "healed": "BIGINT",  # lost records found and fetched, ever
    },
    tombstone=False,
)

SWEEP_RANGES = Table(
    "sweep_ranges",  # ids in which mirror and portal differ and that are still to be looked into: (first_id - 1, last_id]
    ("feed", "first_id"),
    {"feed": "VARCHAR", "first_id": "BIGINT", "last_id": "BIGINT", "here": "BIGINT", "there": "BIGINT"},
    tombstone=False,
)

OWED = Table(
    "owed",  # what no listing has and is still to be asked for: owners that are new or have changed
    ("feed", "owner_id"),
    {
        "feed": "VARCHAR",
        "owner_id": "BIGINT",
        "times": "INTEGER",  # how often it was put here: an answer settles only what was owed when it was asked for
    },
    tombstone=False,
)

LEASES = Table(
    "leases",  # which process keeps a portal's mirror up to date, where several can (``mirror.lease``)
    (),
    {"holder": "VARCHAR", "renewed_at": "TIMESTAMPTZ", "until": "TIMESTAMPTZ"},  # by the database's clock
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
    SYNC_RANGES, SWEEPS, SWEEP_RANGES, UNREAD_RECORDS, OWED, LEASES, QUOTES, INVOICES, PAYMENTS, PRODUCT_ROWS, CONTACTS,
    COMPANIES, CLIENT_KEYS, TASKS, SCHEDULES, ASSIGNMENTS, DEAL_CHANGES, QUOTE_MOVES, DEPARTMENT_CHANGES, RATES, FROZEN_VALUES, INPUTS,
)  # fmt: skip


def _statements(text: str) -> tuple[str, ...]:
    """The statements of a migration: each ends with a semicolon at the end of a line; ``--`` begins a comment line."""
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return tuple(stripped for part in code.split(";\n") if (stripped := part.strip().rstrip(";")))


def _migrations() -> tuple[tuple[str, ...], ...]:
    folder = resources.files("b24metrics.mirror") / "migrations"
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".sql")), key=lambda one: one.name)
    return tuple(_statements(one.read_text(encoding="utf-8")) for one in files)


#: Forward only; number n+1 is the statements at index n: the files of ``migrations/``, which nobody edits after a release.
#: What they add up to is the tables above (a house test compares them, column by column); ``make migration`` writes the next.
MIGRATIONS: tuple[tuple[str, ...], ...] = _migrations()
