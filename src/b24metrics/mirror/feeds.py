"""What is copied: one Feed per listing, a row of a table.

Laws: a feed says what to ask, where its rows go and how far a copy can be trusted; it does nothing. Its name is written
in the mirror and never changes. A column of the mirror is the entity's field of the same name, or ``computed``.

Five kinds:
``Changed``   records carry the moment of their last change: ask for everything changed since, re-reading an overlap.
``Appended``  records are never changed: ask for everything behind the last id, re-reading the last few, because rows
              become visible in the order of their transactions, not of their ids.
``Reloaded``  small directories without either: ask for everything, now and then; what is gone gets a tombstone.
``Spanned``   calendars: ask for the weeks around today, person by person.
``Attached``  what no listing has (payments, product rows): ask owner by owner, for those that are new or have changed;
              who is still to be asked for is kept in the mirror (``owed``), written together with the owner.
An overlap must exceed the longest request (60 s) and the portal's clock granularity, for a page that was read before a
change may be written after it; the next round then reads it again.
Source: vendor, pages of the methods; what a listing misses: "Incremental polling per entity".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any, cast

import pyarrow as pa

from b24metrics.crm import activities, billing, clients, directories, people, sales
from b24metrics.crm.entity import Entity, Reader
from b24metrics.crm.items import Reachable
from b24metrics.crm.wiretypes import EntityType
from b24metrics.errors import ConfigError, UnreadableRow
from b24metrics.mirror import schema
from b24metrics.mirror.observe import completion, dismissal
from b24metrics.mirror.options import MirrorOptions
from b24metrics.mirror.phones import client_phone_key, email_key, phone_key
from b24metrics.mirror.records import Made, Nested, Records, Unmade, Wanted
from b24metrics.mirror.rows import arrow_schema, page_of_columns
from b24metrics.mirror.schema import Table
from b24metrics.portal.dialects import PAGE, page_request
from b24metrics.portal.request import Listing, Request, Together

_TAG = re.compile(r"(?<!\w)#\w+")


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
class Attached:
    """What no listing has: asked for owner by owner, and replaced owner by owner.

    Attributes:
        ask: the question about one owner; what cannot be read comes as Unread.
        owner: the column of the feed's table that holds the owner's id.
        of: the table of the owners, which the feed of that name fills. where: which of them owe anything, a condition over that table's columns.
        again: which of them owe it anew ``every`` so often, for what changes without a trace; empty: none.
        owners: they themselves, where no table knows them.
    """

    ask: Callable[[int], Request[Sequence[Any]]]
    owner: str
    of: Table | None = None
    where: str = "TRUE"
    again: str = ""
    every: timedelta = timedelta(days=1)
    owners: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Computed:
    """A column that is no field: from a record, of which only ``of`` are looked at, and the portal's time of the page."""

    make: Callable[[Any, datetime], object]
    of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of another table that a record brings along, replaced whenever the record is read.

    Attributes:
        owner: the column of ``table`` that holds the record's id. names: the other columns, key first; a row that has no
        value for its key is none.
        rows: the values of ``names`` for one record; None: the record does not say, so what is known stays.
        of: the fields that ``rows`` looks at. nested: if that is one list of records of this kind, and ``names`` are their
        fields.
        within: the part of the table that belongs to such records, column → value.
    """

    table: Table
    owner: str
    names: tuple[str, ...]
    rows: Callable[[Any], Iterable[tuple[object, ...]] | None]
    of: tuple[str, ...] = ()
    nested: type[Entity] | None = None
    within: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)  # a feed is itself: hashable, although what it holds is not
class Feed:
    """How one listing is copied.

    Attributes:
        entity: what the listing yields. computed: columns that are no field of it.
        scope: the permission that the webhook needs, for messages.
        within: the part of the table that the listing covers, column → value.
        owes: feeds that have to be asked about a record when it is new or has changed.
    """

    name: str
    listing: Listing[Any]
    entity: type[Entity]
    table: Table
    kind: Changed | Appended | Reloaded | Spanned | Attached
    scope: str = "crm"
    computed: Mapping[str, Computed] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    within: Mapping[str, int] = field(default_factory=dict)
    owes: tuple[Feed, ...] = ()

    @property
    def backfills(self) -> bool:
        """Whether its past is copied in ranges of ids: not that of directories, nor of a second look at a table."""
        return isinstance(self.kind, Appended) or (isinstance(self.kind, Changed) and not self.kind.every)

    @property
    def every(self) -> timedelta:
        """Least time between two rounds of this feed."""
        return timedelta(0) if isinstance(self.kind, (Appended, Attached)) else self.kind.every

    @cached_property
    def _plain(self) -> tuple[str, ...]:
        return tuple(
            name for name in self.table.columns if name in self.entity.model_fields and name not in self.computed
        )

    @cached_property
    def _wanted(self) -> Wanted:
        nested = {
            name: (part.nested, _kinds(part.table, part.names))
            for part in self.parts
            if part.nested is not None
            for name in part.of
        }
        looked_at = {
            *chain.from_iterable(one.of for one in self.computed.values()),
            *chain.from_iterable(part.of for part in self.parts),
        }
        return Wanted(_kinds(self.table, self._plain), looked_at, nested)

    @property
    def stamped(self) -> bool:
        """Whether its rows tell when they were changed, so that an older page cannot undo a newer one."""
        return isinstance(self.kind, Changed) and self.kind.stamp == "modified_at"

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that this feed writes."""
        tail = ("deleted_at",) if self.table.tombstone else ()
        return ("portal", *self._plain, *self.computed, *tail)

    def read(self, records: Sequence[Any]) -> tuple[Records, list[Unread]]:
        """Records that came, also as rows (``untouched``), apart from those that cannot be read."""
        decode = self.listing.decode
        if isinstance(decode, Reader) and all(type(one) is dict for one in records):
            found = Unmade.of(decode, records, self._wanted)
            if found is not None:
                return found, []
        made = list(_made(tolerant(self.listing).decode, records))
        return Made([one for one in made if not isinstance(one, Unread)]), [
            one for one in made if isinstance(one, Unread)
        ]

    def page(self, portal: str, records: Records | Sequence[Any], at: datetime) -> pa.Table:
        """Records as rows of the feed's table; ``at``: the portal's time when they were read."""
        held = _held(records)
        fields = {name: held.column(name) for name in self._plain}
        made = {name: [one.make(seen, at) for seen in held.seen(one.of)] for name, one in self.computed.items()}
        # What is listed is not deleted: the tombstone of a record that came back is lifted.
        tail = {"deleted_at": None} if self.table.tombstone else {}
        return page_of_columns(self.table, {**fields, **made}, len(held), portal=portal, **tail)

    def part_pages(self, portal: str, records: Records | Sequence[Any]) -> list[tuple[Part, pa.Array, pa.Table]]:
        """For each part: the ids of the records that say what belongs to them, and the rows that do."""
        held = _held(records)
        pages = []
        for part in self.parts:
            found = (held.nested(part.of[0]) if part.nested else None) or _part_of(part, held.seen(part.of))
            named = {part.owner: found.owner, **found.columns}
            rows = page_of_columns(part.table, named, len(found.owner), portal=portal, **part.within)
            for name in part.table.key:
                if rows[name].null_count:
                    rows = rows.filter(rows[name].is_valid())
            pages.append((part, found.owners, rows))
        return pages


def _kinds(table: Table, names: tuple[str, ...]) -> dict[str, pa.DataType]:
    return {column.name: column.type for column in arrow_schema(table, names)}


def _held(records: Records | Sequence[Any]) -> Records:
    return records if isinstance(records, (Made, Unmade)) else Made(cast("Sequence[Any]", records))


def _part_of(part: Part, records: Iterable[Any]) -> Nested:
    """What belongs to records, one by one."""
    said = {one.id: rows for one in records if (rows := part.rows(one)) is not None}
    found = {owner: tuple(rows) for owner, rows in said.items()}
    owner = [owner for owner, rows in found.items() for _ in rows]
    columns = list(zip(*chain.from_iterable(found.values()), strict=True)) or [()] * len(part.names)
    return Nested(pa.array(found, pa.int64()), owner, dict(zip(part.names, columns, strict=True)))


def _made(decode: Callable[[Any], object], records: Sequence[Any]) -> Iterable[object]:
    """Records where rows came: page by page, so that a row that cannot be read costs only its neighbours time."""
    for n in range(0, len(records), PAGE):
        page = records[n : n + PAGE]
        rows = all(type(one) is dict for one in page)
        together = decode.together(page) if rows and isinstance(decode, Together) else None
        yield from (decode(one) if type(one) is dict else one for one in page) if together is None else together


@dataclass(frozen=True, slots=True)
class Unread:
    """A record that came and could not be read: it is noted and does not stop the others."""

    record_id: str
    reason: str


def tolerant(listing: Listing[Any]) -> Listing[Any]:
    """The same listing; what cannot be read comes as Unread."""
    return replace(listing, decode=_Tolerant(listing.decode))


@dataclass(frozen=True, slots=True)
class _Tolerant:
    """A decoder that does not raise."""

    read: Callable[[Any], object]

    def __call__(self, row: Any) -> object:
        try:
            return self.read(row)
        except UnreadableRow as error:
            return Unread("?" if error.record_id is None else str(error.record_id), str(error))

    def together(self, rows: Sequence[Any]) -> Sequence[object] | None:
        return self.read.together(rows) if isinstance(self.read, Together) else None


def untouched(listing: Listing[Any]) -> Listing[Any]:
    """The same listing; rows come as they are, for ``Feed.read``, which reads those of many pages together."""
    return replace(listing, decode=_Untouched(listing.decode))


class _Untouched(_Tolerant):
    """A decoder that leaves it to others."""

    def together(self, rows: Sequence[Any]) -> Sequence[object] | None:
        return rows if all(type(row) is dict for row in rows) else None


def user_fields(record: Any, _at: datetime) -> str | None:
    """The configured user fields of a record as a JSON object, empty ones left out; None when nothing is left."""
    kept = {name: value for name, value in record.user_fields.items() if value not in (None, "", [])}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"), default=str) if kept else None


def bindings(activity: activities.Activity) -> Iterable[tuple[object, ...]] | None:
    """Everything that an activity belongs to."""
    if activity.bindings is None:
        return None
    return [(one.entity_type_id, one.entity_id) for one in activity.bindings]


def dialled(call: activities.PhoneCall, _at: datetime) -> str | None:
    """The key of the client's number."""
    return phone_key(call.phone_number)


def tags_of(call: activities.PhoneCall, _at: datetime) -> str | None:
    """The tags in the comment of a call, lower case, each with a space on either side; the rest of it is forgotten here."""
    tags = dict.fromkeys(tag.lower() for tag in _TAG.findall(call.comment or ""))
    return f" {' '.join(tags)} " if tags else None


def departments_of(user: people.User) -> Iterable[tuple[object, ...]] | None:
    """The departments of a person; who was dismissed keeps the last known ones."""
    return [(number, ordinal) for ordinal, number in enumerate(user.department_ids or ())] or None


def keys_of(client: Reachable) -> Iterable[tuple[object, ...]]:
    """Keys of the phones and addresses of a client: who has none comes without a word about them."""
    phones = (("phone", client_phone_key(one.value)) for one in client.phones or ())
    emails = (("email", email_key(one.value)) for one in client.emails or ())
    return dict.fromkeys(found for found in (*phones, *emails) if found[1] is not None)


def writes_to(client: Reachable, _at: datetime) -> bool | None:
    """Whether a client can be written to in a messenger."""
    return client.has_imol


def phone_in_comment(pattern: str) -> Callable[[Reachable, datetime], object]:
    """Whether a comment holds a telephone number; the comment itself is forgotten here."""
    search = re.compile(pattern).search

    def found(client: Reachable, _at: datetime) -> bool:
        return search(client.comments or "") is not None

    return found


def unknown(_record: object, _at: datetime) -> None:
    """A column that is switched off."""


_USER_FIELDS = Computed(user_fields, ("user_fields",))
_OF_CALLS = {"phone_key": Computed(dialled, ("phone_number",)), "tags": Computed(tags_of, ("comment",))}


ABSENCES: Listing[Any] = Listing("calendar.accessibility.get")
"""Not walked: asked for by people and days (``people.absences``)."""


def _of(entity_type: EntityType) -> dict[str, int]:
    return {"entity_type_id": int(entity_type)}


def _owned_by(entity_type: EntityType) -> dict[str, int]:
    return {"owner_type_id": int(entity_type)}


def standard(options: MirrorOptions | None = None) -> tuple[Feed, ...]:
    """All feeds of the mirror; directories first, then moves, because what is observed in deals reads both.

    Raises:
        ConfigError: a feed to skip that there is none of.
    """
    options = options or MirrorOptions()
    attached = _attached(options)
    owed = {feed.name: feed for feed in attached if feed.name not in options.skip}
    feeds = (*_directories(options), *_moves(), *_records(options, owed), *attached)
    names = {feed.name for feed in feeds}
    if strange := sorted(options.skip - names):
        raise ConfigError(f"mirror.skip: there is no feed {', '.join(strange)}; feeds: {', '.join(sorted(names))}.")
    return tuple(feed for feed in feeds if feed.name not in options.skip)


def _directories(options: MirrorOptions) -> tuple[Feed, ...]:
    reloaded = Reloaded(options.directories_every)
    return (
        Feed("currencies", directories.currencies(), directories.Currency, schema.CURRENCIES, reloaded),
        Feed("statuses", directories.statuses(), directories.Status, schema.STATUSES, reloaded),
        *(
            Feed(
                name,
                directories.pipelines(entity_type),
                directories.Pipeline,
                schema.PIPELINES,
                reloaded,
                within=_of(entity_type),
            )
            for name, entity_type in (
                ("pipelines", EntityType.DEAL),
                ("invoice_pipelines", EntityType.SMART_INVOICE),
            )
        ),
        Feed("departments", people.departments(), people.Department, schema.DEPARTMENTS, reloaded, "department"),
        Feed(
            "users",
            people.users(),
            people.User,
            schema.USERS,
            reloaded,
            "user_brief",
            computed={"dismissed_at": Computed(dismissal, ("active",))},
            parts=(
                Part(
                    schema.USER_DEPARTMENTS,
                    "user_id",
                    ("department_id", "ordinal"),
                    departments_of,
                    ("department_ids",),
                ),
            ),
        ),
    )


def _moves() -> tuple[Feed, ...]:
    return tuple(
        Feed(
            name,
            sales.stage_moves(entity_type),
            sales.StageMove,
            schema.STAGE_MOVES,
            Appended(),
            within=_of(entity_type),
        )
        for name, entity_type in (
            ("deal_moves", EntityType.DEAL),
            ("lead_moves", EntityType.LEAD),
            ("invoice_moves", EntityType.SMART_INVOICE),
        )
    )


def _records(options: MirrorOptions, owed: Mapping[str, Feed]) -> tuple[Feed, ...]:
    """What changes or is added; ``owed``: the attached feeds that are copied, by name."""
    legacy, item = Changed(">=DATE_MODIFY", "modified_at"), Changed(">=updatedTime", "modified_at")

    def owes(*names: str) -> tuple[Feed, ...]:
        return tuple(owed[name] for name in names if name in owed)

    return (
        Feed(
            "deals",
            sales.deals(user_fields=options.fields_of("deal")),
            sales.Deal,
            schema.DEALS,
            legacy,
            computed={"user_fields": _USER_FIELDS},
            owes=owes("product_rows"),
        ),
        _clients(
            options, "leads", sales.leads, sales.Lead, schema.LEADS, EntityType.LEAD, {"user_fields": _USER_FIELDS}
        ),
        Feed("quotes", billing.quotes(), billing.Quote, schema.QUOTES, legacy),
        Feed(
            "invoices",
            billing.invoices(user_fields=options.fields_of("invoice")),
            billing.Invoice,
            schema.INVOICES,
            item,
            computed={"user_fields": _USER_FIELDS},
            owes=owes("payments"),
        ),
        _clients(
            options, "contacts", clients.contacts, clients.Contact, schema.CONTACTS, EntityType.CONTACT,
            {
                "has_messenger": Computed(writes_to, ("has_imol",)),
                "phone_in_comment": Computed(phone_in_comment(options.phone_pattern), ("comments",))
                if _reads_comments(options)
                else Computed(unknown),
                "user_fields": _USER_FIELDS,
            },
            *(("name", "last_name") if options.personal else ()),
            *(("comments",) if _reads_comments(options) else ()),
            "has_imol",
        ),
        _clients(
            options, "companies", clients.companies, clients.Company, schema.COMPANIES, EntityType.COMPANY,
            {"user_fields": _USER_FIELDS},
        ),
        Feed(
            "activities",
            activities.activities(),
            activities.Activity,
            schema.ACTIVITIES,
            Changed(">=LAST_UPDATED", "modified_at"),
            computed={"completed_at": Computed(completion, ("completed", "modified_at"))},
            parts=(
                Part(
                    schema.ACTIVITY_BINDINGS,
                    "activity_id",
                    ("entity_type_id", "entity_id"),
                    bindings,
                    ("bindings",),
                    activities.ActivityBinding,
                ),
            ),
        ),
        Feed(
            "tasks",
            activities.tasks(select=[name for name in schema.TASKS.columns if name != "id"]),
            activities.Task,
            schema.TASKS,
            Changed(">=CHANGED_DATE", "modified_at"),
            "task",
        ),
        Feed(
            "phone_calls",
            activities.phone_calls(),
            activities.PhoneCall,
            schema.PHONE_CALLS,
            Appended(),
            "telephony",
            computed=_OF_CALLS,
        ),
        # A vote, a record or a transcript comes later and leaves no trace: the last days are read again now and then.
        Feed(
            "late_phone_calls",
            activities.phone_calls(),
            activities.PhoneCall,
            schema.PHONE_CALLS,
            Changed(">=CALL_START_DATE", "started_at", overlap=timedelta(days=2), every=timedelta(hours=1)),
            "telephony",
            computed=_OF_CALLS,
        ),
        Feed("absences", ABSENCES, people.Absence, schema.ABSENCES, Spanned(), "calendar"),
    )  # fmt: skip


def _reads_comments(options: MirrorOptions) -> bool:
    return options.personal and bool(options.phone_pattern)


def _clients(
    options: MirrorOptions,
    name: str,
    listing: Callable[..., Listing[Any]],
    entity: type[Reachable],
    table: Table,
    entity_type: EntityType,
    computed: Mapping[str, Computed],
    *more: str,
) -> Feed:
    """Somebody who has phones and addresses: they are asked for, and only their keys are kept."""
    personal = ("phones", "emails") if options.personal else ()
    keys = Part(
        schema.CLIENT_KEYS,
        "entity_id",
        ("kind", "key"),
        keys_of,
        ("phones", "emails"),
        within=_of(entity_type),
    )
    return Feed(
        name,
        listing(select=(*entity.asked, *more, *personal), user_fields=options.fields_of(entity_type.code.lower())),
        entity,
        table,
        Changed(">=DATE_MODIFY", "modified_at"),
        computed=computed,
        parts=(keys,) if options.personal else (),
    )


# ---------------------------------------------------------------- what no listing has


def _reading(request: Request[Any], read: Callable[[Any], Sequence[Any]]) -> Request[Sequence[Any]]:
    """The same question; ``read`` makes records of what its decoder returned."""
    decode = request.decode
    return cast("Request[Sequence[Any]]", replace(request, decode=lambda answer: read(decode(answer))))


def payments_of(invoice_id: int) -> Request[Sequence[Any]]:
    """Payments of one invoice, made and expected."""
    listing = tolerant(billing.payments(EntityType.SMART_INVOICE, invoice_id))
    return _reading(page_request(listing), lambda page: page.items)


def product_rows_of(deal_id: int) -> Request[Sequence[Any]]:
    """Product rows of one deal, all at once: the universal method would hand them out by fifties, and count them."""
    owner = {"owner_type_id": EntityType.DEAL, "owner_id": deal_id}  # the old method writes a letter, or nothing
    request = billing.all_product_rows(EntityType.DEAL, deal_id)
    return _reading(request, lambda rows: [row.model_copy(update=owner) for row in rows])


@dataclass(frozen=True, slots=True)
class Spelled:
    """A work schedule together with the portal's own words."""

    id: int
    name: str | None
    spec: str


def schedule_of(schedule_id: int) -> Request[Sequence[Any]]:
    """One work schedule as the portal spells it; none where the portal knows none."""
    question = people.schedule(schedule_id)

    def decode(result: object) -> Sequence[Any]:
        found = question.decode(result)
        if found is None:
            return ()
        return [Spelled(schedule_id, found.name, json.dumps(result, ensure_ascii=False, separators=(",", ":")))]

    return Request(question.method, question.params, decode)


def _attached(options: MirrorOptions) -> tuple[Feed, ...]:
    feeds = (
        Feed(
            "payments",
            Listing("crm.item.payment.list"),
            billing.Payment,
            schema.PAYMENTS,
            Attached(
                payments_of,
                "owner_id",
                schema.INVOICES,
                # A payment leaves no trace on its invoice: those that are neither paid nor given up are asked daily.
                again="""EXISTS (SELECT 1 FROM statuses WHERE statuses.portal = invoices.portal
                    AND statuses.entity_type_id = 31 AND statuses.status_id = invoices.stage_id
                    AND statuses.semantics = 'P' AND statuses.deleted_at IS NULL)""",
            ),
            within=_owned_by(EntityType.SMART_INVOICE),
        ),
        Feed(
            "product_rows",
            Listing("crm.deal.productrows.get"),
            billing.ProductRow,
            schema.PRODUCT_ROWS,
            Attached(product_rows_of, "owner_id", schema.DEALS, "semantics = 'S'"),
            within=_owned_by(EntityType.DEAL),
        ),
    )
    if not options.schedules:
        return feeds
    hourly = Attached(schedule_of, "id", owners=options.schedules, every=timedelta(hours=1))
    return (
        *feeds,
        Feed(
            "schedules",
            Listing("timeman.schedule.get"),
            people.Schedule,
            schema.SCHEDULES,
            hourly,
            "timeman",
            computed={"spec": Computed(lambda schedule, _at: schedule.spec, ("spec",))},
        ),
    )
