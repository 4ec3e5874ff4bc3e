"""What leads, deals, contacts, companies, quotes and smart invoices share: common fields, and how to ask for them.

Laws: a listing asks for few fields by default (those that the mirror keeps), never for names, phones or comments unless
they are named; user fields are named one by one. Legacy methods are the default spelling: every one of them has an
operating budget of its own, while ``crm.item.list`` shares one between all entity types; and date filters work on them
on portals of any age.
Source: vendor, "CRM object fields", "Universal CRM methods".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from b24metrics.crm.entity import Entity, one, wire
from b24metrics.crm.values import items
from b24metrics.crm.wiretypes import (
    EntityType,
    Flag,
    Instant,
    Multifields,
    Ref,
    Refs,
    Spelling,
    Text,
    UserId,
)
from b24metrics.portal.request import Listing, Request


class CrmItem(Entity):
    """Fields of every CRM object."""

    spent: ClassVar[frozenset[str]] = frozenset({"entityTypeId"})

    #: The kind of object, for ``crm.item.*``.
    entity_type: ClassVar[EntityType]
    #: First part of the legacy methods' names (``crm.deal``); empty where there are none.
    family: ClassVar[str] = ""

    title: Text = None
    assigned_by_id: Ref[UserId] = None
    created_by_id: Ref[UserId] = wire("CREATED_BY_ID", item="createdBy")
    modified_by_id: Ref[UserId] = wire("MODIFY_BY_ID", item="updatedBy")
    created_at: Instant = wire("DATE_CREATE", item="createdTime")
    modified_at: Instant = wire("DATE_MODIFY", item="updatedTime")
    last_activity_at: Instant = wire("LAST_ACTIVITY_TIME")
    last_activity_by_id: Ref[UserId] = wire("LAST_ACTIVITY_BY")
    opened: Flag = None
    source_id: Text = None
    source_description: Text = None
    comments: Text = None
    webform_id: Ref[int] = None
    originator_id: Text = None
    origin_id: Text = None
    utm_source: Text = None
    utm_medium: Text = None
    utm_campaign: Text = None
    utm_content: Text = None
    utm_term: Text = None
    observer_ids: Refs[UserId] = wire(item="observers")


class Moving(CrmItem):
    """Fields of objects that move through stages."""

    moved_by_id: Ref[UserId] = wire("MOVED_BY_ID", item="movedBy")
    moved_at: Instant = wire("MOVED_TIME")


class Reachable(CrmItem):
    """Fields of objects that have phones and addresses. They are personal: listings ask for them only by name."""

    spent: ClassVar[frozenset[str]] = CrmItem.spent | {"fm"}

    phones: Multifields = wire("PHONE")
    emails: Multifields = wire("EMAIL")
    sites: Multifields = wire("WEB")
    messengers: Multifields = wire("IM")
    links: Multifields = wire("LINK")
    has_phone: Flag = None
    has_email: Flag = None
    has_imol: Flag = None

    @classmethod
    def prepare(cls, values: dict[str, Any], row: Mapping[str, Any], method: str, /) -> None:
        """Sort ``fm``, in which ``crm.item.*`` mixes phones and addresses, by kind."""
        super().prepare(values, row, method)
        for item in items(row.get("fm")):
            if isinstance(item, Mapping):
                field = cls._names.get(str(item.get("typeId", item.get("TYPE_ID"))))
                if field is not None:
                    values[field] = [*items(values.get(field)), item]

    @classmethod
    def prepare_columns(cls, columns: dict[str, Sequence[Any]], keys: Sequence[str], /) -> bool:  # noqa: ARG003
        """Without ``fm`` there is nothing to sort."""
        return "fm" not in keys


C = TypeVar("C", bound=CrmItem)


def since(field: str, at: datetime | None) -> dict[str, datetime]:
    """The filter "not before": the vendor's ``>=``, for several records may share the cursor's second.

    Raises:
        ValueError: ``at`` carries no zone; the portal would read it in a zone of its own choice.
    """
    if at is None:
        return {}
    if at.tzinfo is None:
        raise ValueError(f"{field}: an instant without a zone; add one, for example tzinfo=datetime.UTC")
    return {f">={field}": at}


def item_listing(
    cls: type[C],
    *,
    modified_since: datetime | None,
    select: Iterable[str] | None,
    user_fields: Iterable[str],
    filter: Mapping[str, Any] | None,  # noqa: A002 - the vendor's word
    spelling: Spelling,
) -> Listing[C]:
    """Ask for many objects of a kind; the arguments are those of ``sales.deals``."""
    fields = cls.asked if select is None else tuple(select)
    filters = {**since(cls._spell("modified_at", spelling), modified_since), **(filter or {})}
    names = cls.spelled((*fields, *user_fields), spelling)
    if spelling is Spelling.ITEM or not cls.family:
        method = "crm.item.list"
        return Listing(method, cls.reader(method), filters, names, {"entityTypeId": int(cls.entity_type)})
    method = f"{cls.family}.list"
    return Listing(method, cls.reader(method), filters, names)


def item_request(cls: type[C], record_id: int, spelling: Spelling) -> Request[C]:
    """Ask for one object with all its fields."""
    if spelling is Spelling.ITEM or not cls.family:
        method = "crm.item.get"
        params = {"entityTypeId": int(cls.entity_type), "id": int(record_id)}
        return Request(method, params, one(cls.reader(method), "item"))
    method = f"{cls.family}.get"
    return Request(method, {"id": int(record_id)}, one(cls.reader(method)))
