"""What is copied: one Feed per listing, a row of a table.

Laws: what a column needs beyond the entity's field of the same name is a function here, of one record; what must not be
kept (a comment, a telephone number) is forgotten in it.
Source: vendor, pages of the methods; what a listing misses: "Incremental polling per entity".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from b24metrics.crm import activities, billing, clients, directories, people, sales
from b24metrics.crm.items import Reachable
from b24metrics.crm.wiretypes import EntityType
from b24metrics.errors import ConfigError
from b24metrics.mirror import schema
from b24metrics.mirror.feed import (
    Appended,
    Attached,
    Changed,
    Computed,
    Feed,
    Part,
    Reckoned,
    Reloaded,
    Spanned,
    tolerant,
)
from b24metrics.mirror.observe import completion, dismissal
from b24metrics.mirror.options import MirrorOptions
from b24metrics.mirror.phones import client_phone_key, email_key, phone_key
from b24metrics.mirror.schema import Table
from b24metrics.portal.dialects import page_request
from b24metrics.portal.request import Listing, Request

_TAG = re.compile(r"(?<!\w)#\w+")


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
            computed={"completed_at": Reckoned(completion, ("completed", "modified_at"))},
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
