"""Kinds of values that the portal's fields have: ids, kinds of objects, meanings, and the types entities are made of.

Laws: an annotated type is a Python type and the reader that makes it of JSON (``values``, ``moments``, and below);
entities use these types and nothing else, so that both spellings of a row become equal entities.
Source: vendor, "Data types" and "CRM data types"; observed answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Annotated, NamedTuple, NewType, TypeVar

from pydantic import GetCoreSchemaHandler, SkipValidation
from pydantic_core import CoreSchema, core_schema

from b24metrics.crm.moments import (
    DayOfYear,
    day,
    days_of_year,
    hour_of_day,
    instant,
    moment,
    seconds,
    weekday,
    weekdays,
)
from b24metrics.crm.values import (
    amount,
    flag,
    identity,
    ids,
    items,
    mapping,
    name,
    ordinal,
    reference,
    text,
    texts,
    whole,
)

LeadId = NewType("LeadId", int)
DealId = NewType("DealId", int)
ContactId = NewType("ContactId", int)
CompanyId = NewType("CompanyId", int)
QuoteId = NewType("QuoteId", int)
InvoiceId = NewType("InvoiceId", int)
PaymentId = NewType("PaymentId", int)
ProductRowId = NewType("ProductRowId", int)
StageMoveId = NewType("StageMoveId", int)
ActivityId = NewType("ActivityId", int)
PhoneCallId = NewType("PhoneCallId", int)
TaskId = NewType("TaskId", int)
CommentId = NewType("CommentId", int)
UserId = NewType("UserId", int)
DepartmentId = NewType("DepartmentId", int)
PipelineId = NewType("PipelineId", int)
MessageId = NewType("MessageId", int)
StageId = NewType("StageId", str)
CurrencyId = NewType("CurrencyId", str)


class Spelling(StrEnum):
    """Which family of methods to ask: they name and type the same fields differently.

    LEGACY (``crm.deal.list`` …): UPPER_CASE, all strings. Each method has an operating budget of its own, so leads and
    deals do not take time from each other, and user fields keep their names.
    ITEM (``crm.item.list``): camelCase, typed; knows all contacts of a deal, observers and nested OR filters, and shares
    one operating budget between all entity types.
    """

    LEGACY = "legacy"
    ITEM = "item"


class Semantics(StrEnum):
    """What a stage means: the vendor's P, S, F."""

    PROGRESS = "P"
    SUCCESS = "S"
    FAILURE = "F"


class EntityType(IntEnum):
    """Number of a kind of CRM object.

    Numbers that are not listed become members on sight: smart processes (from 128 on) as ``DYNAMIC_177``, others as
    ``TYPE_6``.
    """

    LEAD = 1
    DEAL = 2
    CONTACT = 3
    COMPANY = 4
    INVOICE = 5
    QUOTE = 7
    REQUISITE = 8
    ORDER = 14
    SMART_INVOICE = 31
    SMART_DOCUMENT = 36
    SMART_B2E_DOC = 39

    @classmethod
    def _missing_(cls, value: object) -> EntityType | None:
        if type(value) is not int or not 0 < value < 1 << 31:
            return None
        member = int.__new__(cls, value)
        member._name_ = f"DYNAMIC_{value}" if value >= FIRST_DYNAMIC else f"TYPE_{value}"
        member._value_ = value
        return cls._value2member_map_.setdefault(value, member)  # type: ignore[return-value]

    @property
    def code(self) -> str:
        """``DEAL``, ``DYNAMIC_177``."""
        return self.name

    @property
    def short(self) -> str:
        """The prefix in bindings: ``D`` in ``D_12``, ``Tb1`` in ``Tb1_7``.

        Raises:
            ValueError: a kind that has none.
        """
        if self >= FIRST_DYNAMIC:
            return f"T{self:x}"
        try:
            return _SHORT[self]
        except KeyError:
            raise ValueError(f"entity type {int(self)} has no short code") from None


FIRST_DYNAMIC = 128
"""Smart processes are numbered from here on."""

_SHORT = {
    EntityType.LEAD: "L",
    EntityType.DEAL: "D",
    EntityType.CONTACT: "C",
    EntityType.COMPANY: "CO",
    EntityType.INVOICE: "I",
    EntityType.QUOTE: "Q",
    EntityType.REQUISITE: "RQ",
    EntityType.ORDER: "O",
    EntityType.SMART_INVOICE: "SI",
    EntityType.SMART_DOCUMENT: "DO",
    EntityType.SMART_B2E_DOC: "SBD",
}
_ENTITY_CODES = {
    **{member.name: member for member in EntityType},
    **{short: member for member, short in _SHORT.items()},
}


class CrmLink(NamedTuple):
    """A CRM object by kind and id: ``D_12``, ``{"OWNER_TYPE_ID": 2, "OWNER_ID": 12}``."""

    entity_type_id: EntityType
    entity_id: int

    def __str__(self) -> str:
        return f"{self.entity_type_id.short}_{self.entity_id}"


class Money(NamedTuple):
    """A user field of type money: ``300|EUR``."""

    amount: Decimal
    currency_id: CurrencyId | None


class Multifield(NamedTuple):
    """One phone number, e-mail address, site or messenger. ``use``: WORK, MOBILE, HOME …"""

    value: str
    use: str | None = None
    id: int | None = None


def money(value: object) -> Money | None:
    """A user field of type money: ``"300|EUR"``; None where it has no amount."""
    if isinstance(value, Money):
        return value
    found = amount(value)
    if found is None:
        return None
    currency = value.partition("|")[2].strip() if isinstance(value, str) else ""
    return Money(found, CurrencyId(currency) if currency else None)


# ---------------------------------------------------------------- kinds and meanings


def entity_type(value: object) -> EntityType | None:
    """A kind of CRM object: 2, ``"2"``, ``"DEAL"``, ``"deal"``, ``"D"``, ``"T9c"``, ``"dynamic_156"``; 0 is none."""
    if isinstance(value, EntityType):
        return value
    if isinstance(value, str) and not value.isdigit():
        spelled = value.strip()
        if not spelled:
            return None
        known = _ENTITY_CODES.get(spelled.upper().removeprefix("CRM_"))
        if known is not None:
            return known
        return _dynamic(spelled)
    number = reference(value)
    try:
        return None if number is None else EntityType(number)
    except ValueError:
        raise ValueError("not a kind of CRM object") from None


def _dynamic(spelled: str) -> EntityType:
    upper = spelled.upper().removeprefix("CRM_")
    for prefix, base in (("DYNAMIC_", 10), ("TYPE_", 10), ("T", 16)):
        if upper.startswith(prefix):
            try:
                return EntityType(int(upper.removeprefix(prefix), base))
            except ValueError:
                break
    raise ValueError("not a kind of CRM object")


_SEMANTICS: Mapping[object, Semantics | None] = {
    **{member.value: member for member in Semantics},
    **{member.value.lower(): member for member in Semantics},
    "process": Semantics.PROGRESS,
    "success": Semantics.SUCCESS,
    "failure": Semantics.FAILURE,
    "apology": Semantics.FAILURE,  # "analysis of failure": the second way to lose
    "": None,
    None: None,
    False: None,
}


def semantics(value: object) -> Semantics | None:
    """What a stage means: ``P``, ``S``, ``F``, or the words of a directory's EXTRA."""
    try:
        return _SEMANTICS[value]
    except (KeyError, TypeError):
        if isinstance(value, (Mapping, list, tuple)) and not value:
            return None
        raise ValueError("not the meaning of a stage") from None


# ---------------------------------------------------------------- many values at once


def multifields(value: object) -> tuple[Multifield, ...]:
    """Phones, addresses, sites or messengers, in their order, without empties."""
    found: list[Multifield] = []
    for item in items(value):
        if isinstance(item, Multifield):
            found.append(item)
        elif isinstance(item, Mapping):
            content = text(item.get("VALUE", item.get("value")))
            if content is not None:
                use = text(item.get("VALUE_TYPE", item.get("valueType")))
                found.append(Multifield(content, use, reference(item.get("ID", item.get("id")))))
        elif (content := text(item)) is not None:
            found.append(Multifield(content))
    return tuple(found)


def crm_link(value: object, kind: EntityType | None = None) -> CrmLink | None:
    """A binding: ``"D_12"``, ``"T9c_7"``, ``{"entityTypeId": 2, "entityId": 12}``; a bare id where ``kind`` is known."""
    if isinstance(value, CrmLink):
        return value
    if isinstance(value, Mapping):
        owner = entity_type(_first(value, "OWNER_TYPE_ID", "ENTITY_TYPE_ID", "ownerTypeId", "entityTypeId"))
        number = reference(_first(value, "OWNER_ID", "ENTITY_ID", "ownerId", "entityId"))
        return None if owner is None or number is None else CrmLink(owner, number)
    spelled = text(value)
    if spelled is None:
        return None
    prefix, bar, tail = spelled.rpartition("_")
    owner = entity_type(prefix) if bar else kind
    number = reference(tail)
    if number is None:
        return None
    if owner is None:
        raise ValueError("a binding without a kind")
    return CrmLink(owner, number)


def _first(value: Mapping[str, object], *names: str) -> object:
    return next((value[name] for name in names if name in value), None)


def crm_links(value: object) -> tuple[CrmLink, ...]:
    """Bindings in their order, without empties."""
    return tuple(found for item in items(value) if (found := crm_link(item)) is not None)


def label(value: object) -> str | None:
    """A caption: text, or a map of languages, of which Russian comes first, then English, then any."""
    if isinstance(value, Mapping):
        captions = {language: found for language, item in value.items() if (found := text(item)) is not None}
        return captions.get("ru") or captions.get("en") or next(iter(captions.values()), None)
    return text(value)


# ---------------------------------------------------------------- annotated types

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Read:
    """Says which reader makes a field. Nothing is checked after it, and values are serialised as what they are."""

    by: Callable[[object], object]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The reader alone, without the schema of the Python type that it returns anyway."""
        return core_schema.no_info_plain_validator_function(self.by)


def _or_none(read: Callable[[object], object]) -> Callable[[object], object]:
    """For collections: None (not said) stays apart from an empty one."""

    def reader(value: object) -> object:
        return None if value is None else read(value)

    return reader


Id = Annotated[T, Read(identity)]
Ordinal = Annotated[T, Read(ordinal)]
Key = Annotated[T, Read(name)]
Ref = Annotated[T | None, Read(reference)]
Number = Annotated[T | None, Read(whole)]
Code = Annotated[T | None, Read(text)]
Text = Annotated[str | None, Read(text)]
Label = Annotated[str | None, Read(label)]
Whole = Annotated[int | None, Read(whole)]
Amount = Annotated[Decimal | None, Read(amount)]
Flag = Annotated[bool | None, Read(flag)]
Instant = Annotated[datetime | None, Read(instant)]
Moment = Annotated[datetime, Read(moment)]
Day = Annotated[date | None, Read(day)]
Seconds = Annotated[int | None, Read(seconds)]
HourOfDay = Annotated[int | None, Read(hour_of_day)]
Weekday = Annotated[int | None, Read(weekday)]
Weekdays = Annotated[tuple[int, ...], Read(weekdays)]
DaysOfYear = Annotated[tuple[DayOfYear, ...], Read(days_of_year)]
Kind = Annotated[EntityType | None, Read(entity_type)]
Meaning = Annotated[Semantics | None, Read(semantics)]
Refs = Annotated[tuple[T, ...] | None, Read(_or_none(ids))]
Texts = Annotated[tuple[str, ...] | None, Read(_or_none(texts))]
Multifields = Annotated[tuple[Multifield, ...] | None, Read(_or_none(multifields))]
Links = Annotated[tuple[CrmLink, ...] | None, Read(_or_none(crm_links))]
Map = Annotated[Mapping[str, object] | None, Read(_or_none(mapping))]
AsItCame = Annotated[Mapping[str, object], SkipValidation]
