"""Directories: stages, sources and their kin, pipelines, currencies, user fields, and the portal's own settings.

Laws: a stage's meaning is its SEMANTICS, else that of its EXTRA (older portals have it only there), else P; entries of
directories that hold no stages have none. A status id is unique only inside its directory. Currencies have present rates
only. ``entity_type_id`` and ``pipeline_id`` of a stage come from the name of its directory.
Source: vendor, "Directories", "Pipelines", "Currencies", "User fields", "Calendar settings".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any, ClassVar, NamedTuple

from b24metrics.crm.entity import Entity, many, one, plain, wire
from b24metrics.crm.moments import (
    day,
    instant,
)
from b24metrics.crm.values import (
    amount,
    flag,
    items,
    mapping,
    name,
    pairs,
    reference,
    text,
    whole,
)
from b24metrics.crm.wiretypes import (
    Amount,
    CrmLink,
    CurrencyId,
    DaysOfYear,
    EntityType,
    Flag,
    HourOfDay,
    Id,
    Instant,
    Key,
    Kind,
    Label,
    Map,
    Meaning,
    Money,
    Number,
    Ordinal,
    PipelineId,
    Ref,
    Semantics,
    StageId,
    Text,
    Weekday,
    Weekdays,
    Whole,
    crm_link,
    entity_type,
    money,
    semantics,
)
from b24metrics.portal.request import Listing, Request


class Stages(NamedTuple):
    """Whose stages a directory holds. ``pipeline_id`` None: that kind of object has no pipelines."""

    entity_type_id: EntityType
    pipeline_id: PipelineId | None


_STAGES = {
    "STATUS": Stages(EntityType.LEAD, None),
    "DEAL_STAGE": Stages(EntityType.DEAL, PipelineId(0)),
    "QUOTE_STATUS": Stages(EntityType.QUOTE, None),
    "INVOICE_STATUS": Stages(EntityType.INVOICE, None),
}
_STAGES_OF_PIPELINE = re.compile(r"(?:(DEAL|SMART_INVOICE|SMART_DOCUMENT|SMART_B2E_DOC)|DYNAMIC_(\d+))_STAGE_(\d+)")


def stages_of(directory: str) -> Stages | None:
    """Whose stages a directory holds, by its name: ``DEAL_STAGE_3``, ``STATUS``; None for ``SOURCE`` and others."""
    found = _STAGES_OF_PIPELINE.fullmatch(directory)
    if found is None:
        return _STAGES.get(directory)
    code, number, pipeline = found.groups()
    return Stages(EntityType[code] if code else EntityType(int(number)), PipelineId(int(pipeline)))


def stage_directory(entity_type: EntityType, pipeline_id: int | None = None) -> str:
    """The directory with the stages of a pipeline; the reverse of ``stages_of``.

    Raises:
        ValueError: a kind of object without stages, or whose pipeline has to be named.
    """
    for directory, stages in _STAGES.items():
        if stages.entity_type_id == entity_type and pipeline_id in {stages.pipeline_id, None}:
            return directory
    if pipeline_id is None:
        raise ValueError(f"{entity_type.code}: name the pipeline whose stages you want")
    directory = f"{entity_type.code}_STAGE_{int(pipeline_id)}"
    if stages_of(directory) is None:
        raise ValueError(f"{entity_type.code} has no stages")
    return directory


class Status(Entity):
    """An entry of a directory: a stage, a source, a deal type.

    ``semantics`` is None outside of stages. ``apology`` marks the "analysis of failure" stages among the failed ones.
    """

    spent: ClassVar[frozenset[str]] = frozenset({"EXTRA"})

    id: Ref[int] = None
    directory: Key[str] = wire("ENTITY_ID")
    status_id: Key[StageId]
    name: Text = None
    sort: Whole = None
    system: Flag = None
    color: Text = None
    semantics: Meaning = None
    apology: Flag = None
    entity_type_id: Kind = wire()
    pipeline_id: Number[PipelineId] = wire()

    @classmethod
    def prepare(cls, values: dict[str, Any], row: Mapping[str, Any], _method: str, /) -> None:
        """Say what a stage means and whose it is."""
        about = mapping(row.get("EXTRA"))
        meaning = about.get("SEMANTICS")
        values["color"] = text(values.get("color")) or about.get("COLOR")
        stages = stages_of(text(values.get("directory")) or "")
        if stages is None:
            values["semantics"] = None
            return
        values["entity_type_id"], values["pipeline_id"] = stages
        values["semantics"] = semantics(values.get("semantics")) or semantics(meaning) or Semantics.PROGRESS
        values["apology"] = meaning == "apology"


class Pipeline(Entity):
    """A pipeline of deals, invoices or smart processes; the vendor's CATEGORY. The first one of deals has the id 0."""

    entity_type_id: Kind = None
    id: Ordinal[PipelineId]
    name: Text = None
    sort: Whole = None
    is_default: Flag = None
    originator_id: Text = None
    origin_id: Text = None


class Currency(Entity):
    """A currency at its present rate: value in base currency = amount × ``rate`` / ``rate_count``."""

    id: Key[CurrencyId] = wire("CURRENCY")
    rate: Amount = wire("AMOUNT")
    rate_count: Whole = wire("AMOUNT_CNT")
    is_base: Flag = wire("BASE")
    name: Text = wire("FULL_NAME")
    sort: Whole = None
    decimals: Whole = None
    updated_at: Instant = wire("DATE_UPDATE")


class FieldOption(Entity):
    """One choice of a user field of type enumeration."""

    id: Ref[int] = None
    value: Text = None
    sort: Whole = None
    is_default: Flag = wire("DEF")
    xml_id: Text = None


class UserField(Entity):
    """A user field of some kind of object. ``kind`` is the vendor's type: string, enumeration, money, crm …

    ``options`` are those of an enumeration; ``userfieldconfig.list`` does not send them.
    """

    id: Ref[int] = None
    owner: Text = wire("ENTITY_ID")
    name: Key[str] = wire("FIELD_NAME")
    kind: Text = wire("USER_TYPE_ID")
    label: Label = wire("EDIT_FORM_LABEL")
    list_label: Label = wire("LIST_COLUMN_LABEL")
    multiple: Flag = None
    mandatory: Flag = None
    sort: Whole = None
    xml_id: Text = None
    settings: Map = None
    options: tuple[FieldOption, ...] = wire("LIST", "ENUM", default=())

    @classmethod
    def prepare(cls, values: dict[str, Any], _row: Mapping[str, Any], method: str, /) -> None:
        """Read the options."""
        values["options"] = tuple(FieldOption.read(item, method) for item in items(values.get("options")))

    def value(self, raw: object) -> FieldValue | tuple[FieldValue, ...]:
        """What a record's raw value of this field means; a tuple where the field is multiple.

        Enumerations become the captions of their options, or the option's number as text where it is gone.

        Raises:
            ValueError: the value does not fit the field's type.
        """
        if self.multiple:
            return tuple(found for item in items(raw) if (found := self._value(item)) is not None)
        return self._value(raw)

    def _value(self, raw: object) -> FieldValue:
        kind = self.kind or "string"
        if kind == "enumeration":
            number = reference(raw)
            return next((option.value for option in self.options if option.id == number), number and str(number))
        if kind == "crm":
            kinds = [code for code, on in pairs(self.settings) if on == "Y"]
            return crm_link(raw, entity_type(kinds[0]) if len(kinds) == 1 else None)
        return _FIELD_KINDS[kind](raw) if kind in _FIELD_KINDS else _as_text(raw)


FieldValue = str | int | bool | Decimal | date | datetime | Money | CrmLink | None
"""What a user field can hold."""

_FIELD_KINDS = {
    "boolean": flag,
    "integer": whole,
    "double": amount,
    "date": day,
    "datetime": instant,
    "money": money,
    "employee": reference,
    "hlblock": reference,
    "iblock_element": reference,
    "iblock_section": reference,
    "crm_status": text,
    "string": text,
    "url": text,
    "address": text,
}


def _as_text(raw: object) -> str | None:
    """Types that nobody here counts by, such as files: their id, or their text."""
    return text(raw.get("id", raw.get("ID"))) if isinstance(raw, Mapping) else text(raw)


class CalendarSettings(Entity):
    """Working hours and holidays of the whole portal. Hours are seconds since midnight; weekdays ISO, Monday 1."""

    starts_seconds: HourOfDay = wire("WORK_TIME_START")
    ends_seconds: HourOfDay = wire("WORK_TIME_END")
    weekend: Weekdays = wire("WEEK_HOLIDAYS", default=())
    week_start: Weekday = None
    holidays: DaysOfYear = wire("YEAR_HOLIDAYS", default=())
    working_holidays: DaysOfYear = wire("YEAR_WORKDAYS", default=())
    zone: Text = wire("TIMEZONE_NAME")


class CrmMode(IntEnum):
    """How the portal sells: with leads, or with deals from the start."""

    CLASSIC = 1
    SIMPLE = 2


def statuses(directory: str | None = None) -> Listing[Status]:
    """Entries of one directory (``SOURCE``, ``DEAL_STAGE_3``), or of all directories at once."""
    method = "crm.status.list"
    return Listing(method, Status.reader(method), {} if directory is None else {"ENTITY_ID": directory})


def status(row_id: int) -> Request[Status]:
    """One entry, by the number of its row."""
    return Request("crm.status.get", {"id": int(row_id)}, one(Status.reader("crm.status.get")))


def pipelines(entity_type: EntityType) -> Listing[Pipeline]:
    """Pipelines of deals, smart invoices or a smart process, as far as the webhook's owner may see them."""
    method = "crm.category.list"
    read = Pipeline.reader(method, entity_type_id=entity_type)
    return Listing(method, read, params={"entityTypeId": int(entity_type)})


def pipeline(entity_type: EntityType, pipeline_id: int) -> Request[Pipeline]:
    """One pipeline."""
    method = "crm.category.get"
    read = Pipeline.reader(method, entity_type_id=entity_type)
    return Request(method, {"entityTypeId": int(entity_type), "id": int(pipeline_id)}, one(read, "category"))


def currencies() -> Listing[Currency]:
    """All currencies at their present rates; the base one is marked."""
    return Listing("crm.currency.list", Currency.reader("crm.currency.list"))


def base_currency() -> Request[CurrencyId]:
    """The portal's base currency."""
    method = "crm.currency.base.get"
    return Request(method, {}, plain(lambda result: CurrencyId(name(result)), method))


_LEGACY_FIELDS = {
    EntityType.LEAD: "crm.lead",
    EntityType.DEAL: "crm.deal",
    EntityType.CONTACT: "crm.contact",
    EntityType.COMPANY: "crm.company",
    EntityType.QUOTE: "crm.quote",
    EntityType.INVOICE: "crm.invoice",
}


def user_fields(entity_type: EntityType, *, language: str | None = None) -> Listing[UserField]:
    """User fields of leads, deals, contacts, companies, quotes or old invoices, with options.

    Args:
        entity_type: the kind of object.
        language: ``ru``, ``en`` …: without it the portal sends no captions.

    Raises:
        ValueError: another kind of object; ``user_field_settings`` lists the fields of all.
    """
    if entity_type not in _LEGACY_FIELDS:
        raise ValueError(f"{entity_type.code}: use user_field_settings, which knows all kinds of objects")
    method = f"{_LEGACY_FIELDS[entity_type]}.userfield.list"
    return Listing(method, UserField.reader(method), {} if language is None else {"LANG": language})


def user_field(entity_type: EntityType, field_id: int) -> Request[UserField]:
    """One user field with captions in all languages.

    Raises:
        ValueError: a kind of object that has no such method.
    """
    if entity_type not in _LEGACY_FIELDS:
        raise ValueError(f"{entity_type.code}: use user_field_setting, which knows all kinds of objects")
    method = f"{_LEGACY_FIELDS[entity_type]}.userfield.get"
    return Request(method, {"id": int(field_id)}, one(UserField.reader(method)))


def user_fields_of_people() -> Listing[UserField]:
    """User fields of users."""
    return Listing("user.userfield.list", UserField.reader("user.userfield.list"))


def user_field_settings(owner: str, *, select: Iterable[str] = ()) -> Listing[UserField]:
    """User fields of any kind of object, without options; needs the scope ``userfieldconfig`` besides ``crm``.

    Args:
        owner: ``CRM_DEAL``, ``CRM_SMART_INVOICE``; ``CRM_7`` for the smart process whose type has the id 7.
        select: names as the method spells them; empty means all.
    """
    method = "userfieldconfig.list"
    return Listing(method, UserField.reader(method), {"entityId": owner}, tuple(select), {"moduleId": "crm"})


def user_field_setting(field_id: int) -> Request[UserField]:
    """One user field of any kind of object, with options and captions."""
    method = "userfieldconfig.get"
    params = {"moduleId": "crm", "id": int(field_id)}
    return Request(method, params, one(UserField.reader(method), "field"))


def calendar_settings() -> Request[CalendarSettings]:
    """Working hours and holidays of the portal."""
    method = "calendar.settings.get"
    return Request(method, {}, one(CalendarSettings.reader(method)))


def my_calendar_settings() -> Request[CalendarSettings]:
    """Zone and working hours of the person behind the webhook."""
    method = "calendar.user.settings.get"
    return Request(method, {}, one(CalendarSettings.reader(method)))


class SmartType(Entity):
    """A smart process: a kind of object that the portal's people made. Its objects have ``entity_type_id``."""

    id: Id[int]
    entity_type_id: Kind
    title: Text = None
    code: Text = None
    has_stages: Flag = wire("IS_STAGES_ENABLED")
    has_pipelines: Flag = wire("IS_CATEGORIES_ENABLED")
    has_clients: Flag = wire("IS_CLIENT_ENABLED")
    has_products: Flag = wire("IS_LINK_WITH_PRODUCTS_ENABLED")
    created_at: Instant = wire("CREATED_TIME")
    modified_at: Instant = wire("UPDATED_TIME")


def smart_types() -> Listing[SmartType]:
    """Smart processes of the portal."""
    return Listing("crm.type.list", SmartType.reader("crm.type.list"))


def smart_type(type_id: int) -> Request[SmartType]:
    """One smart process, by its own id (not its ``entity_type_id``)."""
    return Request("crm.type.get", {"id": int(type_id)}, one(SmartType.reader("crm.type.get"), "type"))


class NamedKind(Entity):
    """A kind of CRM object by number, code and name, as the portal itself lists them."""

    entity_type_id: Kind = wire("ID")
    name: Text = None
    code: Text = wire("SYMBOL_CODE")
    short: Text = wire("SYMBOL_CODE_SHORT")


def entity_types() -> Request[tuple[NamedKind, ...]]:
    """All kinds of CRM objects of the portal, smart processes included."""
    return Request("crm.enum.ownertype", {}, many(NamedKind.reader("crm.enum.ownertype")))


def crm_mode() -> Request[CrmMode | None]:
    """Whether the portal works with leads; None where it answers a mode that nobody described."""
    method = "crm.settings.mode.get"
    modes = {int(mode): mode for mode in CrmMode}
    return Request(method, {}, plain(lambda result: modes.get(whole(result) or 0), method))
