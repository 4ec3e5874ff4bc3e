"""What is copied: one Feed per listing, a row of a table.

Laws: a feed says what to ask, where its rows go and how far a copy can be trusted; it does nothing. Its name is written
in the mirror and never changes. A column of the mirror is the entity's field of the same name, or ``computed``.

Four kinds:
``Changed``   records carry the moment of their last change: ask for everything changed since, re-reading an overlap.
``Appended``  records are never changed: ask for everything behind the last id, re-reading the last few, because rows
              become visible in the order of their transactions, not of their ids.
``Reloaded``  small directories without either: ask for everything, now and then; what is gone gets a tombstone.
``Spanned``   calendars: ask for the weeks around today, person by person.
An overlap must exceed the longest request (60 s) and the portal's clock granularity, for a page that was read before a
change may be written after it; the next round then reads it again.
Source: vendor, pages of the methods; what a listing misses: "Incremental polling per entity".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from operator import attrgetter
from typing import Any

import pyarrow as pa

from b24metrics.crm import activities, directories, people, sales
from b24metrics.crm.entity import Entity
from b24metrics.crm.wiretypes import EntityType
from b24metrics.errors import UnreadableRow
from b24metrics.mirror import schema
from b24metrics.mirror.observe import completion, dismissal
from b24metrics.mirror.phones import phone_key
from b24metrics.mirror.rows import page_of, page_of_columns
from b24metrics.mirror.schema import Table
from b24metrics.portal.request import Listing

Computed = Callable[[Any, datetime], object]
"""A column that is no field: from the entity and the portal's time of the page."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Records that carry the moment of their last change.

    Attributes:
        condition: the filter "not before", as the vendor spells it. stamp: the entity's field with that moment.
        overlap: how far behind the cursor a round begins. every: least time between two rounds of this feed.
    """

    condition: str
    stamp: str
    overlap: timedelta = timedelta(minutes=5)
    every: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Appended:
    """Records that are never changed. ``overlap``: how many ids behind the cursor a round begins."""

    overlap: int = 20


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A directory that is read whole.

    ``every``: least time between two readings.
    """

    every: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Spanned:
    """What stands in calendars around today, asked for person by person; it replaces what was known of that span.

    Attributes:
        first: how far back the very first reading looks. back, ahead: how far later ones look.
    """

    first: timedelta = timedelta(days=400)
    back: timedelta = timedelta(days=31)
    ahead: timedelta = timedelta(days=60)
    every: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of another table that a record brings along, replaced whenever the record is read.

    Attributes:
        owner: the column of ``table`` that holds the record's id. names: the other columns, key first.
        rows: the values of ``names`` for one record; None: the record does not say, so what is known stays.
    """

    table: Table
    owner: str
    names: tuple[str, ...]
    rows: Callable[[Any], Iterable[tuple[object, ...]] | None]


@dataclass(frozen=True, eq=False)  # a feed is itself: hashable, although what it holds is not
class Feed:
    """How one listing is copied.

    Attributes:
        entity: what the listing yields. computed: columns that are no field of it.
        scope: the permission that the webhook needs, for messages.
        within: the part of the table that the listing covers, column → value.
    """

    name: str
    listing: Listing[Any]
    entity: type[Entity]
    table: Table
    kind: Changed | Appended | Reloaded | Spanned
    scope: str = "crm"
    computed: Mapping[str, Computed] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    within: Mapping[str, int] = field(default_factory=dict)

    @property
    def backfills(self) -> bool:
        """Whether its past is copied in ranges of ids: not that of directories, nor of a second look at a table."""
        return isinstance(self.kind, Appended) or (isinstance(self.kind, Changed) and not self.kind.every)

    @property
    def every(self) -> timedelta:
        """Least time between two rounds of this feed."""
        return timedelta(0) if isinstance(self.kind, Appended) else self.kind.every

    @cached_property
    def _plain(self) -> tuple[str, ...]:
        return tuple(
            name for name in self.table.columns if name in self.entity.model_fields and name not in self.computed
        )

    @cached_property
    def _read(self) -> Callable[[Any], tuple[Any, ...]]:
        return attrgetter(*self._plain)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that this feed writes."""
        tail = ("deleted_at",) if self.table.tombstone else ()
        return ("portal", *self._plain, *self.computed, *tail)

    def page(self, portal: str, records: Sequence[Any], at: datetime) -> pa.Table:
        """Records as rows of the feed's table; ``at``: the portal's time when they were read."""
        columns = dict(zip(self._plain, zip(*map(self._read, records), strict=True), strict=True)) if records else {}
        for name in self._plain if not records else ():
            columns[name] = ()
        made = {name: [make(one, at) for one in records] for name, make in self.computed.items()}
        # What is listed is not deleted: the tombstone of a record that came back is lifted.
        tail = {"deleted_at": None} if self.table.tombstone else {}
        return page_of_columns(self.table, {**columns, **made}, len(records), portal=portal, **tail)

    def part_pages(self, portal: str, records: Sequence[Any]) -> list[tuple[Part, pa.Array, pa.Table]]:
        """For each part: the ids of the records that say what belongs to them, and the rows that do."""
        pages = []
        for part in self.parts:
            said = {one.id: rows for one in records if (rows := part.rows(one)) is not None}
            rows = [(portal, owner, *row) for owner, found in said.items() for row in found]
            pages.append(
                (part, pa.array(said, pa.int64()), page_of(part.table, ("portal", part.owner, *part.names), rows))
            )
        return pages


@dataclass(frozen=True, slots=True)
class Unread:
    """A record that came and could not be read: it is noted and does not stop the others."""

    record_id: str
    reason: str


def tolerant(listing: Listing[Any]) -> Listing[Any]:
    """The same listing; what cannot be read comes as Unread."""
    read = listing.decode

    def decode(row: Mapping[str, Any]) -> object:
        try:
            return read(row)
        except UnreadableRow as error:
            return Unread("?" if error.record_id is None else str(error.record_id), str(error))

    return replace(listing, decode=decode)


def user_fields(record: Any, _at: datetime) -> str | None:
    """The configured user fields of a record as a JSON object, empty ones left out; None when nothing is left."""
    kept = {name: value for name, value in record.user_fields.items() if value not in (None, "", [])}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"), default=str) if kept else None


def bindings(activity: activities.Activity) -> Iterable[tuple[object, ...]] | None:
    """Everything that an activity belongs to."""
    if activity.bindings is None:
        return None
    return [(one.entity_type_id, one.entity_id) for one in activity.bindings if one.entity_type_id and one.entity_id]


def dialled(call: activities.PhoneCall, _at: datetime) -> str | None:
    """The key of the client's number."""
    return phone_key(call.phone_number)


def departments_of(user: people.User) -> Iterable[tuple[object, ...]] | None:
    """The departments of a person; who was dismissed keeps the last known ones."""
    return [(number, ordinal) for ordinal, number in enumerate(user.department_ids or ())] or None


ABSENCES: Listing[Any] = Listing("calendar.accessibility.get")
"""Not walked: asked for by people and days (``people.absences``)."""


def _of(entity_type: EntityType) -> dict[str, int]:
    return {"entity_type_id": int(entity_type)}


def standard(
    *,
    deal_fields: Iterable[str] = (),
    lead_fields: Iterable[str] = (),
    directories_every: timedelta = timedelta(minutes=10),
) -> tuple[Feed, ...]:
    """All feeds of the mirror; directories first, then moves, because what is observed in deals reads both.

    Args:
        deal_fields: user fields of deals to keep, by their UPPER_CASE names.
        lead_fields: the same for leads.
        directories_every: least time between two readings of users, stages, pipelines …
    """
    reloaded = Reloaded(directories_every)
    return (
        Feed("currencies", directories.currencies(), directories.Currency, schema.CURRENCIES, reloaded),
        Feed("statuses", directories.statuses(), directories.Status, schema.STATUSES, reloaded),
        Feed(
            "pipelines",
            directories.pipelines(EntityType.DEAL),
            directories.Pipeline,
            schema.PIPELINES,
            reloaded,
            within=_of(EntityType.DEAL),
        ),
        Feed("departments", people.departments(), people.Department, schema.DEPARTMENTS, reloaded, "department"),
        Feed(
            "users",
            people.users(),
            people.User,
            schema.USERS,
            reloaded,
            "user_brief",
            computed={"dismissed_at": dismissal},
            parts=(Part(schema.USER_DEPARTMENTS, "user_id", ("department_id", "ordinal"), departments_of),),
        ),
        *(
            Feed(
                name,
                sales.stage_moves(entity_type),
                sales.StageMove,
                schema.STAGE_MOVES,
                Appended(),
                within=_of(entity_type),
            )
            for name, entity_type in (("deal_moves", EntityType.DEAL), ("lead_moves", EntityType.LEAD))
        ),
        Feed(
            "deals",
            sales.deals(user_fields=deal_fields),
            sales.Deal,
            schema.DEALS,
            Changed(">=DATE_MODIFY", "modified_at"),
            computed={"user_fields": user_fields},
        ),
        Feed(
            "leads",
            sales.leads(user_fields=lead_fields),
            sales.Lead,
            schema.LEADS,
            Changed(">=DATE_MODIFY", "modified_at"),
            computed={"user_fields": user_fields},
        ),
        Feed(
            "activities",
            activities.activities(),
            activities.Activity,
            schema.ACTIVITIES,
            Changed(">=LAST_UPDATED", "modified_at"),
            computed={"completed_at": completion},
            parts=(Part(schema.ACTIVITY_BINDINGS, "activity_id", ("entity_type_id", "entity_id"), bindings),),
        ),
        Feed(
            "phone_calls",
            activities.phone_calls(),
            activities.PhoneCall,
            schema.PHONE_CALLS,
            Appended(),
            "telephony",
            computed={"phone_key": dialled},
        ),
        # A vote, a record or a transcript comes later and leaves no trace: the last days are read again now and then.
        Feed(
            "late_phone_calls",
            activities.phone_calls(),
            activities.PhoneCall,
            schema.PHONE_CALLS,
            Changed(">=CALL_START_DATE", "started_at", overlap=timedelta(days=2), every=timedelta(hours=1)),
            "telephony",
            computed={"phone_key": dialled},
        ),
        Feed("absences", ABSENCES, people.Absence, schema.ABSENCES, Spanned(), "calendar"),
    )
