"""Tables of the practice portal, written out once: storage and wire form of every field follow from this file.

Laws
    * A column is spelled as the vendor's legacy field (``DATE_CREATE``); ``item`` is its camelCase name in ``crm.item.*``.
    * Instants are BIGINT epoch seconds (UTC), calendar days are DATE, flags BOOLEAN, money DECIMAL(18,2) in its own
      currency, lists BIGINT[] or VARCHAR[], maps JSON text. NULL means "empty"; how empty looks on the wire is
      ``empty`` (legacy) and ``item_empty``.
    * User fields live in the column ``UF`` of every CRM table: a JSON object by field code,
      ``{"UF_CRM_LOSS_REASON": 58}``, NULL when there are none. A code is only visible on the wire when it is declared
      in the table ``userfield``.
    * Every column has a default, so ``INSERT INTO deal BY NAME SELECT ...`` may leave out what does not matter.
    * There are no primary keys: ids are given in ascending order and rows are inserted in that order. Lists rely on
      it (zone maps bound every scan), writes look an id up before they insert.

Derived, hence not stored: ``EXTRA`` of a status (from EXTRA_SEMANTICS and COLOR), ``DEADLINE`` of an activity may be NULL
(the wire says year 9999), ``CONTACT_IDS`` may be NULL (then it is the primary contact alone).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import duckdb


class Kind(StrEnum):
    """What a field holds; storage, both wire forms and the vendor's type name derive from it."""

    ID = "id"  # the record's own number
    INT = "int"  # enumerations, counters
    REF = "ref"  # number of another record
    USER = "user"  # number of an employee
    TEXT = "text"
    STATUS = "status"  # code out of a directory
    YN = "yn"  # Y/N on the wire
    BOOL = "bool"  # true/false on the wire
    INSTANT = "instant"
    DAY = "day"  # midnight UTC in the server zone on the wire
    MONEY = "money"  # two decimals
    RATE = "rate"  # four decimals
    NUMBER = "number"
    INTS = "ints"
    TEXTS = "texts"
    JSON = "json"


SQL_TYPES: Mapping[Kind, str] = {
    Kind.ID: "BIGINT",
    Kind.INT: "BIGINT",
    Kind.REF: "BIGINT",
    Kind.USER: "BIGINT",
    Kind.TEXT: "VARCHAR",
    Kind.STATUS: "VARCHAR",
    Kind.YN: "BOOLEAN",
    Kind.BOOL: "BOOLEAN",
    Kind.INSTANT: "BIGINT",
    Kind.DAY: "DATE",
    Kind.MONEY: "DECIMAL(18,2)",
    Kind.RATE: "DECIMAL(18,4)",
    Kind.NUMBER: "DOUBLE",
    Kind.INTS: "BIGINT[]",
    Kind.TEXTS: "VARCHAR[]",
    Kind.JSON: "VARCHAR",
}

VENDOR_TYPES: Mapping[Kind, str] = {
    Kind.ID: "integer",
    Kind.INT: "integer",
    Kind.REF: "integer",
    Kind.USER: "user",
    Kind.TEXT: "string",
    Kind.STATUS: "crm_status",
    Kind.YN: "char",
    Kind.BOOL: "boolean",
    Kind.INSTANT: "datetime",
    Kind.DAY: "date",
    Kind.MONEY: "double",
    Kind.RATE: "double",
    Kind.NUMBER: "double",
    Kind.INTS: "integer",
    Kind.TEXTS: "string",
    Kind.JSON: "object",
}

#: What an empty date is in the legacy dialect.
BLANK_DATE = ""


def camel(name: str) -> str:
    """``SOURCE_ID`` → ``sourceId``: the vendor's usual way from a legacy name to an item name."""
    head, *tail = name.lower().split("_")
    return head + "".join(part.capitalize() for part in tail)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of one entity.

    ``item`` None: not in ``crm.item.*``. ``legacy`` False: not in the legacy family. ``stored`` False: no column, always
    NULL (the vendor's disabled fields). ``hidden``: a column that no dialect shows.
    """

    name: str
    kind: Kind
    item: str | None = None
    legacy: bool = True
    stored: bool = True
    hidden: bool = False
    empty: str | None = None
    item_empty: int | str | None = None
    default: str = "NULL"
    type: str = ""
    directory: str = ""
    read_only: bool = False
    immutable: bool = False
    required: bool = False
    deprecated: bool = False

    @property
    def sql_type(self) -> str:
        return SQL_TYPES[self.kind]

    @property
    def vendor_type(self) -> str:
        """The type as ``*.fields`` names it."""
        return self.type or VENDOR_TYPES[self.kind]

    @property
    def multiple(self) -> bool:
        return self.kind in {Kind.INTS, Kind.TEXTS}

    @property
    def title(self) -> str:
        """A readable name; the portal would answer in its own language."""
        return self.name.replace("_", " ").capitalize().replace(" id", " ID") if self.name != "ID" else "ID"


@dataclass(frozen=True)
class Table:
    """One table: its name and its fields in wire order."""

    name: str
    fields: tuple[Field, ...]
    user_fields: str = ""  # ENTITY_ID of its user fields; such a table carries the column UF

    @cached_property
    def stored(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.stored)

    @cached_property
    def legacy(self) -> Mapping[str, Field]:
        """Legacy name → field, in wire order."""
        return {field.name: field for field in self.fields if field.legacy and not field.hidden}

    @cached_property
    def items(self) -> Mapping[str, Field]:
        """Item name → field, in wire order."""
        return {field.item: field for field in self.fields if field.item and not field.hidden}

    def item_field(self, name: str) -> Field | None:
        """A field by its item name; the legacy name does as well, as clients in use on live portals know."""
        if found := self.items.get(name):
            return found
        found = self.by_name.get(name)
        return found if found is not None and found.item and not found.hidden else None

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        return {field.name: field for field in self.fields}

    def ddl(self) -> str:
        columns = [f'"{field.name}" {field.sql_type} DEFAULT {field.default}' for field in self.stored]
        if self.user_fields:
            columns.append("UF VARCHAR DEFAULT NULL")
        return f'CREATE TABLE IF NOT EXISTS "{self.name}" ({", ".join(columns)})'


def _field(name: str, kind: Kind, item: str | None = "", **rest: object) -> Field:
    """A field of both dialects; its item name is made by `camel` unless told."""
    return Field(name, kind, camel(name) if item == "" else item, **rest)  # type: ignore[arg-type]


def _plain(name: str, kind: Kind, **rest: object) -> Field:
    """A field outside ``crm.item.*``."""
    return Field(name, kind, **rest)  # type: ignore[arg-type]


def _dead(item: str, name: str, kind: Kind = Kind.TEXT) -> Field:
    """Shown by ``crm.item.*`` as null for ever."""
    return Field(name, kind, item, legacy=False, stored=False, deprecated=True, read_only=True)


def _instant(name: str, item: str | None = "", **rest: object) -> Field:
    return _field(name, Kind.INSTANT, item, empty=BLANK_DATE, **rest)


def _day(name: str, item: str | None = "", **rest: object) -> Field:
    return _field(name, Kind.DAY, item, empty=BLANK_DATE, **rest)


def _flag(name: str, item: str | None = "", *, default: str = "FALSE", **rest: object) -> Field:
    return _field(name, Kind.YN, item, default=default, **rest)


def _text(name: str, item: str | None = "", **rest: object) -> Field:
    return _field(name, Kind.TEXT, item, **rest)


def _utm() -> tuple[Field, ...]:
    return tuple(_text(f"UTM_{part}") for part in ("SOURCE", "MEDIUM", "CAMPAIGN", "CONTENT", "TERM"))


_ID = _field("ID", Kind.ID, read_only=True)
_TITLE = _text("TITLE")
_ASSIGNED = _field("ASSIGNED_BY_ID", Kind.USER, default="1")
_CREATED_BY = _field("CREATED_BY_ID", Kind.USER, "createdBy", default="1", read_only=True)
_MODIFY_BY = _field("MODIFY_BY_ID", Kind.USER, "updatedBy", default="1", read_only=True)
_CREATED = _instant("DATE_CREATE", "createdTime", default="0", read_only=True)
_MODIFIED = _instant("DATE_MODIFY", "updatedTime", default="0", read_only=True)
_MOVED_BY = _field("MOVED_BY_ID", Kind.USER, "movedBy", read_only=True)
_MOVED = _instant("MOVED_TIME", read_only=True)
_ACTIVE_AT = _instant("LAST_ACTIVITY_TIME", read_only=True)
_ACTIVE_BY = _field("LAST_ACTIVITY_BY", Kind.USER, read_only=True)
_OPENED = _flag("OPENED", default="TRUE")
_COMMENTS = _text("COMMENTS", empty="", item_empty="")
_CURRENCY = _field("CURRENCY_ID", Kind.STATUS, default="'RUB'", type="crm_currency")
_OPPORTUNITY = _field("OPPORTUNITY", Kind.MONEY, default="0", item_empty=0)
_MANUAL = _flag("IS_MANUAL_OPPORTUNITY")
_TAX = _field("TAX_VALUE", Kind.MONEY, default="0", item_empty=0)
_SOURCE = _field("SOURCE_ID", Kind.STATUS, directory="SOURCE", item_empty="")
_SOURCE_TEXT = _text("SOURCE_DESCRIPTION", item_empty="")
_WEBFORM = _field("WEBFORM_ID", Kind.REF, legacy=False, item_empty=0)
_ORIGINATOR = _text("ORIGINATOR_ID")
_ORIGIN = _text("ORIGIN_ID")
_ORIGIN_VERSION = _text("ORIGIN_VERSION")
_LOCATION = _text("LOCATION_ID", type="location")
_COMPANY = _field("COMPANY_ID", Kind.REF, empty="0", item_empty=0, type="crm_company")
_CONTACT = _field("CONTACT_ID", Kind.REF, item_empty=0, type="crm_contact", deprecated=True)
_CONTACTS = _field("CONTACT_IDS", Kind.INTS, legacy=False, type="crm_contact")
_LEAD = _field("LEAD_ID", Kind.REF, type="crm_lead")
_OBSERVERS = _field("OBSERVERS", Kind.INTS, legacy=False, type="user")
_HAS = (_flag("HAS_PHONE"), _flag("HAS_EMAIL"), _flag("HAS_IMOL"))
_ADDRESS = tuple(
    Field(f"ADDRESS{tail}", Kind.TEXT, stored=False)
    for tail in ("", "_2", "_CITY", "_POSTAL_CODE", "_REGION", "_PROVINCE", "_COUNTRY", "_LOC_ADDR_ID")
)
_PERSON = (
    _field("HONORIFIC", Kind.STATUS, directory="HONORIFIC"),
    _text("NAME"),
    _text("SECOND_NAME"),
    _text("LAST_NAME"),
)

LEAD = Table(
    "lead",
    (
        _ID,
        _TITLE,
        *_PERSON,
        _text("COMPANY_TITLE"),
        _COMPANY,
        _CONTACT,
        _CONTACTS,
        _flag("IS_RETURN_CUSTOMER"),
        _day("BIRTHDATE"),
        _SOURCE,
        _SOURCE_TEXT,
        _field("STATUS_ID", Kind.STATUS, "stageId", directory="STATUS", default="'NEW'"),
        _text("STATUS_DESCRIPTION"),
        _text("POST"),
        _COMMENTS,
        _CURRENCY,
        _OPPORTUNITY,
        _MANUAL,
        *_HAS,
        _ASSIGNED,
        _CREATED_BY,
        _MODIFY_BY,
        _CREATED,
        _dead("dateCreateShort", "DATE_CREATE_SHORT", Kind.DAY),
        _MODIFIED,
        _dead("dateModifyShort", "DATE_MODIFY_SHORT", Kind.DAY),
        _instant("DATE_CLOSED", read_only=True),
        _field("STATUS_SEMANTIC_ID", Kind.STATUS, "stageSemanticId", default="'P'", type="string", read_only=True),
        _OPENED,
        _WEBFORM,
        _ORIGINATOR,
        _ORIGIN,
        _MOVED_BY,
        _MOVED,
        *_ADDRESS,
        _dead("address", "FULL_ADDRESS"),
        _dead("isConvert", "IS_CONVERT"),
        *_utm(),
        _ACTIVE_BY,
        _ACTIVE_AT,
        _OBSERVERS,
    ),
    "CRM_LEAD",
)

DEAL = Table(
    "deal",
    (
        _ID,
        _TITLE,
        _field("TYPE_ID", Kind.STATUS, directory="DEAL_TYPE", default="'SALE'"),
        _field("STAGE_ID", Kind.STATUS, directory="DEAL_STAGE", default="'NEW'"),
        _field("PROBABILITY", Kind.INT),
        _CURRENCY,
        _OPPORTUNITY,
        _MANUAL,
        _TAX,
        _LEAD,
        _COMPANY,
        _CONTACT,
        _field("QUOTE_ID", Kind.REF, type="crm_quote"),
        _day("BEGINDATE"),
        _dead("begindateShort", "BEGINDATE_SHORT", Kind.DAY),
        _day("CLOSEDATE"),
        _dead("closedateShort", "CLOSEDATE_SHORT", Kind.DAY),
        _ASSIGNED,
        _CREATED_BY,
        _MODIFY_BY,
        _CREATED,
        _dead("dateCreateShort", "DATE_CREATE_SHORT", Kind.DAY),
        _MODIFIED,
        _dead("dateModifyShort", "DATE_MODIFY_SHORT", Kind.DAY),
        _OPENED,
        _flag("CLOSED", read_only=True),
        _COMMENTS,
        _text("ADDITIONAL_INFO"),
        _LOCATION,
        _field("CATEGORY_ID", Kind.INT, default="0", type="crm_category", immutable=True),
        _field("STAGE_SEMANTIC_ID", Kind.STATUS, default="'P'", type="string", read_only=True),
        _flag("IS_NEW", read_only=True),
        _flag("IS_RECURRING"),
        _flag("IS_RETURN_CUSTOMER"),
        _flag("IS_REPEATED_APPROACH"),
        _SOURCE,
        _SOURCE_TEXT,
        _WEBFORM,
        _ORIGINATOR,
        _ORIGIN,
        _MOVED_BY,
        _MOVED,
        _ACTIVE_AT,
        *_utm(),
        _ACTIVE_BY,
        _dead("productId", "PRODUCT_ID", Kind.INT),
        _dead("eventDate", "EVENT_DATE", Kind.INSTANT),
        _dead("eventDateShort", "EVENT_DATE_SHORT", Kind.DAY),
        _dead("eventId", "EVENT_ID"),
        _dead("eventDescription", "EVENT_DESCRIPTION"),
        _text("ORDER_STAGE", legacy=False, read_only=True),
        _dead("searchContent", "SEARCH_CONTENT"),
        *(_dead(camel(name), name) for name in ("IS_WORK", "IS_WON", "IS_LOSE", "RECEIVED_AMOUNT", "LOST_AMOUNT")),
        _dead("hasProducts", "HAS_PRODUCTS"),
        _OBSERVERS,
        _CONTACTS,
    ),
    "CRM_DEAL",
)

CONTACT = Table(
    "contact",
    (
        _ID,
        _text("POST"),
        _COMMENTS,
        *_PERSON,
        Field("PHOTO", Kind.TEXT, "photo", stored=False, type="file"),
        _LEAD,
        _field("TYPE_ID", Kind.STATUS, directory="CONTACT_TYPE"),
        _SOURCE,
        _SOURCE_TEXT,
        replace(_COMPANY, empty=None),
        _field("COMPANY_IDS", Kind.INTS, legacy=False, type="crm_company"),
        _day("BIRTHDATE"),
        _flag("EXPORT"),
        *_HAS,
        _CREATED,
        _MODIFIED,
        _ASSIGNED,
        _CREATED_BY,
        _MODIFY_BY,
        _OPENED,
        _WEBFORM,
        _field("CATEGORY_ID", Kind.INT, legacy=False, default="0", type="crm_category"),
        _ORIGINATOR,
        _ORIGIN,
        _ORIGIN_VERSION,
        Field("FACE_ID", Kind.INT, stored=False),
        _ACTIVE_AT,
        *_ADDRESS,
        *_utm(),
        _ACTIVE_BY,
        _OBSERVERS,
    ),
    "CRM_CONTACT",
)

COMPANY = Table(
    "company",
    (
        _ID,
        _field("COMPANY_TYPE", Kind.STATUS, "typeId", directory="COMPANY_TYPE"),
        _TITLE,
        Field("LOGO", Kind.TEXT, "logo", stored=False, type="file"),
        _LEAD,
        *_HAS,
        _ASSIGNED,
        _CREATED_BY,
        _MODIFY_BY,
        Field("BANKING_DETAILS", Kind.TEXT, stored=False),
        _field("INDUSTRY", Kind.STATUS, directory="INDUSTRY"),
        _field("REVENUE", Kind.NUMBER, default="0"),
        _CURRENCY,
        _field("EMPLOYEES", Kind.STATUS, directory="EMPLOYEES"),
        _COMMENTS,
        _CREATED,
        _MODIFIED,
        _OPENED,
        _flag("IS_MY_COMPANY"),
        _WEBFORM,
        _field("CATEGORY_ID", Kind.INT, legacy=False, default="0", type="crm_category"),
        _ORIGINATOR,
        _ORIGIN,
        _ORIGIN_VERSION,
        *(Field(f.name, Kind.TEXT, stored=False) for f in _ADDRESS[:-1]),
        Field("ADDRESS_COUNTRY_CODE", Kind.TEXT, stored=False),
        _ADDRESS[-1],
        Field("ADDRESS_LEGAL", Kind.TEXT, stored=False),
        *(Field(f"REG_{f.name}", Kind.TEXT, stored=False) for f in _ADDRESS[:-1]),
        Field("REG_ADDRESS_COUNTRY_CODE", Kind.TEXT, stored=False),
        Field("REG_ADDRESS_LOC_ADDR_ID", Kind.TEXT, stored=False),
        *_utm(),
        _ACTIVE_BY,
        _ACTIVE_AT,
        Field("LAST_COMMUNICATION_TIME", Kind.TEXT, "lastCommunicationTime", stored=False),
        _OBSERVERS,
    ),
    "CRM_COMPANY",
)

QUOTE = Table(
    "quote",
    (
        _ID,
        _TITLE,
        _field("STATUS_ID", Kind.STATUS, "stageId", directory="QUOTE_STATUS", default="'DRAFT'"),
        _CURRENCY,
        _OPPORTUNITY,
        _TAX,
        replace(_COMPANY, empty=None),
        _CONTACT,
        _CONTACTS,
        _field("MYCOMPANY_ID", Kind.REF, type="crm_company", item_empty=0),
        _day("BEGINDATE"),
        _day("CLOSEDATE"),
        _day("ACTUAL_DATE"),
        _ASSIGNED,
        _CREATED_BY,
        _MODIFY_BY,
        _CREATED,
        _MODIFIED,
        _OPENED,
        _flag("CLOSED", read_only=True),
        _COMMENTS,
        _LEAD,
        _field("DEAL_ID", Kind.REF, type="crm_deal"),
        _text("QUOTE_NUMBER"),
        _text("CONTENT"),
        _text("TERMS"),
        _field("PERSON_TYPE_ID", Kind.INT),
        _LOCATION,
        *(_text(f"CLIENT_{tail}") for tail in ("TITLE", "ADDR", "CONTACT", "EMAIL", "PHONE", "TP_ID", "TPA_ID")),
        *_utm(),
        Field("LAST_COMMUNICATION_TIME", Kind.TEXT, "lastCommunicationTime", stored=False),
        _ACTIVE_BY,
        _ACTIVE_AT,
    ),
    "CRM_QUOTE",
)

#: Smart invoices (type 31); smart processes have the same fields, see `dynamic`.
INVOICE = Table(
    "invoice",
    (
        _ID,
        _text("XML_ID", item_empty=""),
        _TITLE,
        _CREATED_BY,
        _MODIFY_BY,
        _MOVED_BY,
        _CREATED,
        _MODIFIED,
        _MOVED,
        _field("CATEGORY_ID", Kind.INT, default="0", type="crm_category"),
        _OPENED,
        _field("STAGE_ID", Kind.STATUS, default="''"),
        _text("PREVIOUS_STAGE_ID", type="crm_status", read_only=True),
        _day("BEGINDATE"),
        _day("CLOSEDATE"),
        _COMPANY,
        _CONTACT,
        _OPPORTUNITY,
        _MANUAL,
        _TAX,
        _CURRENCY,
        _field("MYCOMPANY_ID", Kind.REF, type="crm_company", item_empty=0),
        _SOURCE,
        _SOURCE_TEXT,
        _WEBFORM,
        _ASSIGNED,
        _text("ACCOUNT_NUMBER"),
        _text("COMMENTS"),
        _LOCATION,
        _field("PARENT_ID_2", Kind.REF, "parentId2", type="crm_deal"),
        _field("PARENT_ID_7", Kind.REF, "parentId7", type="crm_quote"),
        _ACTIVE_BY,
        _ACTIVE_AT,
        *_utm(),
        _OBSERVERS,
        _CONTACTS,
    ),
    "CRM_SMART_INVOICE",
)

#: crm.invoice.*, the outdated invoices (type 5).
OLD_INVOICE = Table(
    "old_invoice",
    (
        _plain("ID", Kind.ID),
        _plain("ACCOUNT_NUMBER", Kind.TEXT),
        _plain("ORDER_TOPIC", Kind.TEXT),
        _plain("STATUS_ID", Kind.STATUS, directory="INVOICE_STATUS", default="'N'"),
        _plain("PRICE", Kind.MONEY, default="0"),
        _plain("CURRENCY", Kind.TEXT, default="'RUB'"),
        _plain("TAX_VALUE", Kind.MONEY, default="0"),
        _plain("DATE_INSERT", Kind.INSTANT, empty=BLANK_DATE, default="0"),
        _plain("DATE_BILL", Kind.DAY, empty=BLANK_DATE),
        _plain("DATE_PAY_BEFORE", Kind.DAY, empty=BLANK_DATE),
        _plain("PAY_VOUCHER_DATE", Kind.DAY, empty=BLANK_DATE),
        _plain("PAYED", Kind.YN, default="FALSE"),
        _plain("DATE_PAYED", Kind.INSTANT, empty=BLANK_DATE),
        _plain("DATE_STATUS", Kind.INSTANT, empty=BLANK_DATE),
        _plain("DATE_UPDATE", Kind.INSTANT, empty=BLANK_DATE, default="0"),
        _plain("DATE_MARKED", Kind.INSTANT, empty=BLANK_DATE),
        _plain("REASON_MARKED", Kind.TEXT),
        _plain("RESPONSIBLE_ID", Kind.USER, default="1"),
        _plain("CREATED_BY", Kind.USER, default="1"),
        _plain("UF_DEAL_ID", Kind.REF, empty="0"),
        _plain("UF_QUOTE_ID", Kind.REF, empty="0"),
        _plain("UF_COMPANY_ID", Kind.REF, empty="0"),
        _plain("UF_CONTACT_ID", Kind.REF, empty="0"),
        _plain("IS_RECURRING", Kind.YN, default="FALSE"),
        _plain("COMMENTS", Kind.TEXT),
        _plain("USER_DESCRIPTION", Kind.TEXT),
        _plain("XML_ID", Kind.TEXT),
    ),
)

#: Phones, mails and the like of leads (1), contacts (3) and companies (4).
MULTIFIELD = Table(
    "multifield",
    (
        _plain("ID", Kind.ID),
        _plain("ENTITY_TYPE_ID", Kind.INT),
        _plain("ELEMENT_ID", Kind.REF),
        _plain("TYPE_ID", Kind.TEXT, default="'PHONE'"),  # PHONE EMAIL WEB IM LINK
        _plain("VALUE_TYPE", Kind.TEXT, default="'WORK'"),
        _plain("VALUE", Kind.TEXT),
    ),
)

PRODUCT_ROW = Table(
    "product_row",
    (
        _plain("ID", Kind.ID),
        _plain("OWNER_TYPE", Kind.TEXT, default="'D'"),  # L D Q SI T..
        _plain("OWNER_ID", Kind.REF),
        _plain("PRODUCT_ID", Kind.REF, default="0"),
        _plain("PRODUCT_NAME", Kind.TEXT, default="''"),
        _plain("PRICE", Kind.NUMBER, default="0"),  # one unit, after discount, with tax
        _plain("PRICE_EXCLUSIVE", Kind.NUMBER),  # NULL: same as PRICE
        _plain("PRICE_NETTO", Kind.NUMBER),  # NULL: same as PRICE
        _plain("PRICE_BRUTTO", Kind.NUMBER),  # NULL: same as PRICE
        _plain("PRICE_ACCOUNT", Kind.MONEY),  # base currency; NULL: same as PRICE
        _plain("QUANTITY", Kind.NUMBER, default="1"),
        _plain("DISCOUNT_TYPE_ID", Kind.INT, default="2"),
        _plain("DISCOUNT_RATE", Kind.NUMBER, default="0"),
        _plain("DISCOUNT_SUM", Kind.NUMBER, default="0"),
        _plain("TAX_RATE", Kind.NUMBER),
        _plain("TAX_INCLUDED", Kind.YN, default="TRUE"),
        _plain("CUSTOMIZED", Kind.YN, default="TRUE"),
        _plain("MEASURE_CODE", Kind.INT, default="796"),
        _plain("MEASURE_NAME", Kind.TEXT, default="'pcs'"),
        _plain("SORT", Kind.INT, default="10"),
        _plain("XML_ID", Kind.TEXT, default="''"),
        _plain("TYPE", Kind.INT, default="1"),
        _plain("STORE_ID", Kind.INT, default="0"),
    ),
)

PAYMENT = Table(
    "payment",
    (
        _plain("ID", Kind.ID),
        _plain("OWNER_TYPE_ID", Kind.INT, default="2"),  # 2 deal, 31 smart invoice
        _plain("OWNER_ID", Kind.REF),
        _plain("ACCOUNT_NUMBER", Kind.TEXT),
        _plain("PAID", Kind.YN, default="FALSE"),
        _plain("DATE_PAID", Kind.INSTANT),
        _plain("EMP_PAID_ID", Kind.USER),
        _plain("PAY_SYSTEM_ID", Kind.INT, default="6"),
        _plain("SUM", Kind.MONEY, default="0"),
        _plain("CURRENCY", Kind.TEXT, default="'RUB'"),
        _plain("PAY_SYSTEM_NAME", Kind.TEXT, default="'Cash'"),
    ),
)

PRODUCT = Table(
    "product",
    (
        _plain("ID", Kind.ID),
        _plain("IBLOCK_ID", Kind.INT, default="15"),
        _plain("NAME", Kind.TEXT),
        _plain("ACTIVE", Kind.YN, default="TRUE"),
        _plain("PRICE", Kind.MONEY),
        _plain("CURRENCY_ID", Kind.TEXT, default="'RUB'"),
        _plain("DATE_CREATE", Kind.INSTANT, default="0"),
        _plain("TIMESTAMP_X", Kind.INSTANT, default="0"),
    ),
)

#: Stage moves of leads (1), deals (2), old (5) and smart (31) invoices, smart processes. ID runs per ENTITY_TYPE_ID.
#: TYPE_ID: 1 creation, 2 intermediate stage, 3 final stage, 5 pipeline change.
STAGE_HISTORY = Table(
    "stage_history",
    (
        _plain("ENTITY_TYPE_ID", Kind.INT, hidden=True, default="2"),
        _plain("ID", Kind.ID),
        _plain("TYPE_ID", Kind.INT, default="2"),
        _plain("OWNER_ID", Kind.REF),
        _plain("CREATED_TIME", Kind.INSTANT, default="0"),
        _plain("CATEGORY_ID", Kind.INT, default="0"),
        _plain("STAGE_SEMANTIC_ID", Kind.STATUS, default="'P'"),
        _plain("STAGE_ID", Kind.STATUS),
    ),
)

ACTIVITY = Table(
    "activity",
    (
        _plain("ID", Kind.ID, read_only=True),
        _plain("OWNER_ID", Kind.REF, immutable=True, empty="0"),
        _plain("OWNER_TYPE_ID", Kind.INT, immutable=True, type="crm_enum_ownertype", empty="0"),
        _plain("TYPE_ID", Kind.INT, default="6", required=True, immutable=True, type="crm_enum_activitytype"),
        _plain("PROVIDER_ID", Kind.STATUS, default="'CRM_TODO'", type="string"),
        _plain("PROVIDER_TYPE_ID", Kind.TEXT, default="'TODO'"),
        _plain("PROVIDER_GROUP_ID", Kind.TEXT),
        _plain("ASSOCIATED_ENTITY_ID", Kind.REF, default="0", read_only=True),
        _plain("SUBJECT", Kind.TEXT, default="''", required=True),
        _plain("CREATED", Kind.INSTANT, empty=BLANK_DATE, default="0", read_only=True),
        _plain("LAST_UPDATED", Kind.INSTANT, empty=BLANK_DATE, default="0", read_only=True),
        _plain("START_TIME", Kind.INSTANT, empty=BLANK_DATE),
        _plain("END_TIME", Kind.INSTANT, empty=BLANK_DATE),
        _plain("DEADLINE", Kind.INSTANT, read_only=True),  # NULL: none, the wire says year 9999
        _plain("COMPLETED", Kind.YN, default="FALSE"),
        _plain("STATUS", Kind.INT, default="1", type="crm_enum_activitystatus"),  # 1 pending 2 completed 3 automatic
        _plain("RESPONSIBLE_ID", Kind.USER, default="1"),
        _plain("PRIORITY", Kind.INT, default="2", type="crm_enum_activitypriority"),
        _plain("NOTIFY_TYPE", Kind.INT, default="0", type="crm_enum_activitynotifytype"),
        _plain("NOTIFY_VALUE", Kind.INT, default="0"),
        _plain("DESCRIPTION", Kind.TEXT, default="''"),
        _plain("DESCRIPTION_TYPE", Kind.INT, default="1", type="crm_enum_contenttype"),
        _plain("DIRECTION", Kind.INT, default="0", type="crm_enum_activitydirection"),  # 1 incoming 2 outgoing
        _plain("LOCATION", Kind.TEXT, default="''"),
        _plain("SETTINGS", Kind.JSON),
        _plain("ORIGINATOR_ID", Kind.TEXT),
        _plain("ORIGIN_ID", Kind.TEXT),
        _plain("AUTHOR_ID", Kind.USER, default="1"),
        _plain("EDITOR_ID", Kind.USER, default="1"),
        _plain("PROVIDER_PARAMS", Kind.JSON),
        _plain("PROVIDER_DATA", Kind.TEXT),
        _plain("RESULT_MARK", Kind.INT, default="0"),
        _plain("RESULT_VALUE", Kind.NUMBER),
        _plain("RESULT_SUM", Kind.NUMBER),
        _plain("RESULT_CURRENCY_ID", Kind.TEXT),
        _plain("RESULT_STATUS", Kind.INT, default="0"),
        _plain("RESULT_STREAM", Kind.INT, default="0"),
        _plain("RESULT_SOURCE_ID", Kind.TEXT),
        _plain("AUTOCOMPLETE_RULE", Kind.INT, default="0"),
        _plain("IS_INCOMING_CHANNEL", Kind.YN, default="FALSE"),
        _plain("COMMUNICATIONS", Kind.JSON, hidden=True),  # JSON list as the wire has it
        _plain("TRANSCRIPTION", Kind.TEXT, hidden=True),  # text for crm.activity.call.getTranscript
    ),
)

#: All CRM objects of an activity, the primary owner included.
ACTIVITY_BINDING = Table(
    "activity_binding",
    (
        _plain("ACTIVITY_ID", Kind.REF),
        _plain("OWNER_TYPE_ID", Kind.INT),
        _plain("OWNER_ID", Kind.REF),
    ),
)

#: Rows of voximplant.statistic.get.
PHONE_CALL = Table(
    "phone_call",
    (
        _plain("ID", Kind.ID),
        _plain("PORTAL_USER_ID", Kind.USER),
        _plain("PORTAL_NUMBER", Kind.TEXT, default="'reg1337'"),
        _plain("PHONE_NUMBER", Kind.TEXT),
        _plain("CALL_ID", Kind.TEXT),
        _plain("EXTERNAL_CALL_ID", Kind.TEXT),
        _plain("CALL_CATEGORY", Kind.TEXT, default="'external'"),
        _plain("CALL_LOG", Kind.TEXT, default="''"),
        _plain("CALL_DURATION", Kind.INT, default="0"),
        _plain("CALL_START_DATE", Kind.INSTANT, default="0"),
        _plain("CALL_RECORD_URL", Kind.TEXT, default="''"),
        _plain("CALL_VOTE", Kind.INT),
        _plain("COST", Kind.RATE, default="0"),
        _plain("COST_CURRENCY", Kind.TEXT, default="''"),
        _plain("CALL_FAILED_CODE", Kind.STATUS, default="'200'"),
        _plain("CALL_FAILED_REASON", Kind.TEXT, default="''"),
        _plain("CRM_ENTITY_TYPE", Kind.TEXT),  # CONTACT COMPANY LEAD
        _plain("CRM_ENTITY_ID", Kind.REF),
        _plain("CRM_ACTIVITY_ID", Kind.REF),
        _plain("REST_APP_ID", Kind.INT),
        _plain("REST_APP_NAME", Kind.TEXT),
        _plain("TRANSCRIPT_ID", Kind.INT),
        _plain("TRANSCRIPT_PENDING", Kind.YN, default="FALSE"),
        _plain("SESSION_ID", Kind.TEXT),
        _plain("REDIAL_ATTEMPT", Kind.INT),
        _plain("COMMENT", Kind.TEXT),
        _plain("RECORD_DURATION", Kind.INT),
        _plain("RECORD_FILE_ID", Kind.INT),
        _plain("CALL_TYPE", Kind.INT, default="1"),  # 1 outgoing 2 incoming 3 redirected 4 callback 5 info
    ),
)

USER = Table(
    "user",
    (
        _plain("ID", Kind.ID),
        _plain("XML_ID", Kind.TEXT, default="''"),
        _plain("ACTIVE", Kind.BOOL, default="TRUE"),
        _plain("NAME", Kind.TEXT, default="''"),
        _plain("LAST_NAME", Kind.TEXT, default="''"),
        _plain("SECOND_NAME", Kind.TEXT, default="''"),
        _plain("EMAIL", Kind.TEXT, default="''"),
        _plain("LAST_LOGIN", Kind.INSTANT, empty=BLANK_DATE),
        _plain("DATE_REGISTER", Kind.INSTANT, empty=BLANK_DATE, default="0"),
        _plain("TIME_ZONE", Kind.TEXT, default="''"),
        _plain("IS_ONLINE", Kind.YN, default="FALSE"),
        _plain("TIMESTAMP_X", Kind.INSTANT, default="0"),
        _plain("LAST_ACTIVITY_DATE", Kind.INSTANT),
        _plain("PERSONAL_GENDER", Kind.TEXT, default="''"),
        _plain("PERSONAL_BIRTHDAY", Kind.DAY, empty=BLANK_DATE),
        _plain("PERSONAL_PHOTO", Kind.TEXT),
        _plain("PERSONAL_PHONE", Kind.TEXT, default="''"),
        _plain("PERSONAL_MOBILE", Kind.TEXT, default="''"),
        _plain("PERSONAL_CITY", Kind.TEXT, default="''"),
        _plain("WORK_PHONE", Kind.TEXT, default="''"),
        _plain("WORK_POSITION", Kind.TEXT, default="''"),
        _plain("UF_EMPLOYMENT_DATE", Kind.DAY, empty=BLANK_DATE),
        _plain("UF_DEPARTMENT", Kind.INTS),
        _plain("UF_PHONE_INNER", Kind.TEXT, default="''"),
        _plain("USER_TYPE", Kind.TEXT, default="'employee'"),  # employee extranet email bot
        _plain("IS_ADMIN", Kind.BOOL, hidden=True, default="FALSE"),
    ),
)

DEPARTMENT = Table(
    "department",
    (
        _plain("ID", Kind.ID),
        _plain("NAME", Kind.TEXT, default="''"),
        _plain("SORT", Kind.INT, default="500"),
        _plain("PARENT", Kind.REF),  # NULL for the root
        _plain("UF_HEAD", Kind.USER),
    ),
)

TASK = Table(
    "task",
    (
        _plain("ID", Kind.ID),
        _plain("PARENT_ID", Kind.REF),
        _plain("TITLE", Kind.TEXT, default="''"),
        _plain("DESCRIPTION", Kind.TEXT, default="''"),
        _plain("MARK", Kind.TEXT),  # N P NULL
        _plain("PRIORITY", Kind.INT, default="1"),
        _plain("STATUS", Kind.INT, default="2"),  # 2 waiting 3 running 4 to control 5 completed 6 deferred
        _plain("GROUP_ID", Kind.REF, default="0"),
        _plain("STAGE_ID", Kind.REF, default="0"),
        _plain("CREATED_BY", Kind.USER, default="1"),
        _plain("CREATED_DATE", Kind.INSTANT, default="0"),
        _plain("RESPONSIBLE_ID", Kind.USER, default="1"),
        _plain("CHANGED_BY", Kind.USER, default="1"),
        _plain("CHANGED_DATE", Kind.INSTANT, default="0"),
        _plain("STATUS_CHANGED_BY", Kind.USER),
        _plain("STATUS_CHANGED_DATE", Kind.INSTANT),
        _plain("CLOSED_BY", Kind.USER),
        _plain("CLOSED_DATE", Kind.INSTANT),
        _plain("ACTIVITY_DATE", Kind.INSTANT),
        _plain("DATE_START", Kind.INSTANT),
        _plain("DEADLINE", Kind.INSTANT),
        _plain("START_DATE_PLAN", Kind.INSTANT),
        _plain("END_DATE_PLAN", Kind.INSTANT),
        _plain("TIME_ESTIMATE", Kind.INT, default="0"),
        _plain("TIME_SPENT_IN_LOGS", Kind.INT),
        _plain("DURATION_FACT", Kind.INT),
        _plain("AUDITORS", Kind.INTS),
        _plain("ACCOMPLICES", Kind.INTS),
        _plain("UF_CRM_TASK", Kind.TEXTS),  # D_77, CO_4
    ),
)

STATUS = Table(
    "status",
    (
        _plain("ID", Kind.ID),
        _plain("ENTITY_ID", Kind.TEXT),
        _plain("STATUS_ID", Kind.TEXT),
        _plain("NAME", Kind.TEXT),
        _plain("NAME_INIT", Kind.TEXT, default="''"),
        _plain("SORT", Kind.INT, default="10"),
        _plain("SYSTEM", Kind.YN, default="FALSE"),
        _plain("CATEGORY_ID", Kind.INT),
        _plain("COLOR", Kind.TEXT, default="''"),
        _plain("SEMANTICS", Kind.TEXT),  # NULL, S, F
        _plain("EXTRA_SEMANTICS", Kind.TEXT, hidden=True),  # process success failure apology; NULL: no EXTRA
    ),
)

#: Pipelines.
CATEGORY = Table(
    "category",
    (
        _plain("ENTITY_TYPE_ID", Kind.INT, default="2"),
        _plain("ID", Kind.ID),
        _plain("NAME", Kind.TEXT),
        _plain("SORT", Kind.INT, default="100"),
        _plain("IS_DEFAULT", Kind.YN, default="FALSE"),
        _plain("ORIGIN_ID", Kind.TEXT, default="''"),
        _plain("ORIGINATOR_ID", Kind.TEXT, default="''"),
    ),
)

CURRENCY = Table(
    "currency",
    (
        _plain("CURRENCY", Kind.TEXT),
        _plain("AMOUNT_CNT", Kind.INT, default="1"),
        _plain("AMOUNT", Kind.RATE, default="1"),
        _plain("SORT", Kind.INT, default="100"),
        _plain("BASE", Kind.YN, default="FALSE"),
        _plain("FULL_NAME", Kind.TEXT),
        _plain("LID", Kind.TEXT, default="'en'"),
        _plain("FORMAT_STRING", Kind.TEXT, default="'#'"),
        _plain("DEC_POINT", Kind.TEXT, default="'.'"),
        _plain("THOUSANDS_SEP", Kind.TEXT, default="'&nbsp;'"),
        _plain("DECIMALS", Kind.INT, default="2"),
        _plain("DATE_UPDATE", Kind.INSTANT, default="0"),
    ),
)

#: Smart processes of the portal; their records live in tables made by `create_dynamic`.
SMART_TYPE = Table(
    "smart_type",
    (
        _plain("ID", Kind.ID),
        _plain("TITLE", Kind.TEXT),
        _plain("CODE", Kind.TEXT, default="''"),
        _plain("ENTITY_TYPE_ID", Kind.INT),
        _plain("CREATED_BY", Kind.USER, default="1"),
        _plain("CREATED_TIME", Kind.INSTANT, default="0"),
        _plain("UPDATED_TIME", Kind.INSTANT, default="0"),
        _plain("IS_STAGES_ENABLED", Kind.YN, default="TRUE"),
        _plain("IS_CATEGORIES_ENABLED", Kind.YN, default="FALSE"),
        _plain("IS_CLIENT_ENABLED", Kind.YN, default="TRUE"),
        _plain("IS_LINK_WITH_PRODUCTS_ENABLED", Kind.YN, default="TRUE"),
        _plain("IS_BEGIN_CLOSE_DATES_ENABLED", Kind.YN, default="TRUE"),
    ),
)

USERFIELD = Table(
    "userfield",
    (
        _plain("ID", Kind.ID),
        _plain("ENTITY_ID", Kind.TEXT, default="'CRM_DEAL'"),
        _plain("FIELD_NAME", Kind.TEXT),
        _plain("USER_TYPE_ID", Kind.TEXT, default="'string'"),  # string integer double boolean date datetime money …
        _plain("XML_ID", Kind.TEXT),
        _plain("SORT", Kind.INT, default="100"),
        _plain("MULTIPLE", Kind.YN, default="FALSE"),
        _plain("MANDATORY", Kind.YN, default="FALSE"),
        _plain("SHOW_FILTER", Kind.TEXT, default="'N'"),
        _plain("SHOW_IN_LIST", Kind.YN, default="TRUE"),
        _plain("EDIT_IN_LIST", Kind.YN, default="TRUE"),
        _plain("IS_SEARCHABLE", Kind.YN, default="FALSE"),
        _plain("SETTINGS", Kind.JSON),
        _plain("LABEL", Kind.TEXT, hidden=True),  # one text for all of its labels
    ),
)

USERFIELD_ENUM = Table(
    "userfield_enum",
    (
        _plain("ID", Kind.ID),
        _plain("USER_FIELD_ID", Kind.REF, hidden=True),
        _plain("SORT", Kind.INT, default="100"),
        _plain("VALUE", Kind.TEXT),
        _plain("DEF", Kind.YN, default="FALSE"),
        _plain("XML_ID", Kind.TEXT, default="''"),
    ),
)

TIMELINE_COMMENT = Table(
    "timeline_comment",
    (
        _plain("ID", Kind.ID),
        _plain("ENTITY_ID", Kind.REF),
        _plain("ENTITY_TYPE", Kind.TEXT, default="'deal'"),  # lead deal contact company order quote dynamic_N
        _plain("CREATED", Kind.INSTANT, default="0"),
        _plain("COMMENT", Kind.TEXT, default="''"),
        _plain("AUTHOR_ID", Kind.USER, default="1"),
    ),
)

#: Records that applications write into timelines; each sees its own alone.
LOG_MESSAGE = Table(
    "log_message",
    (
        _plain("ID", Kind.ID),
        _plain("ENTITY_TYPE_ID", Kind.INT),
        _plain("ENTITY_ID", Kind.REF),
        _plain("CREATED", Kind.INSTANT, default="0"),
        _plain("AUTHOR_ID", Kind.USER, default="1"),
        _plain("TITLE", Kind.TEXT, default="''"),
        _plain("TEXT", Kind.TEXT, default="''"),
        _plain("ICON_CODE", Kind.TEXT, default="'info'"),
        _plain("WRITTEN_BY", Kind.TEXT, hidden=True),
    ),
)

#: Busy times and absences; [FROM_AT, TO_AT). ACCESSIBILITY: busy absent quest free.
ACCESSIBILITY = Table(
    "accessibility",
    (
        _plain("ID", Kind.ID),
        _plain("USER_ID", Kind.USER),
        _plain("NAME", Kind.TEXT, default="''"),
        _plain("FROM_AT", Kind.INSTANT),
        _plain("TO_AT", Kind.INSTANT),
        _plain("SKIP_TIME", Kind.YN, default="FALSE"),  # whole days
        _plain("ACCESSIBILITY", Kind.TEXT, default="'busy'"),
        _plain("IMPORTANCE", Kind.TEXT, default="'normal'"),
        _plain("EVENT_TYPE", Kind.TEXT, default="''"),
        _plain("CAL_TYPE", Kind.TEXT, default="'user'"),  # user group company_calendar
    ),
)

#: Work schedules of timeman; WORK_TIME_* are seconds from midnight, WORK_DAYS digits with 1 = Monday.
SCHEDULE = Table(
    "schedule",
    (
        _plain("ID", Kind.ID),
        _plain("NAME", Kind.TEXT, default="'For all employees'"),
        _plain("SCHEDULE_TYPE", Kind.TEXT, default="'FIXED'"),
        _plain("IS_FOR_ALL_USERS", Kind.BOOL, default="TRUE"),
        _plain("WORK_TIME_START", Kind.INT, default="32400"),
        _plain("WORK_TIME_END", Kind.INT, default="64800"),
        _plain("BREAK_DURATION", Kind.INT, default="3600"),
        _plain("WORK_DAYS", Kind.TEXT, default="'12345'"),
        _plain("CREATED_AT", Kind.INSTANT, default="0"),
    ),
)

#: Workdays as the employees opened and closed them.
WORKDAY = Table(
    "workday",
    (
        _plain("ID", Kind.ID),
        _plain("USER_ID", Kind.USER),
        _plain("STARTED_AT", Kind.INSTANT),
        _plain("FINISHED_AT", Kind.INSTANT),
        _plain("LEAKS", Kind.INT, default="0"),  # seconds of breaks
    ),
)

OPENLINE = Table(
    "openline",
    (
        _plain("ID", Kind.ID),
        _plain("LINE_NAME", Kind.TEXT, default="''"),
        _plain("ACTIVE", Kind.YN, default="TRUE"),
        _plain("QUEUE", Kind.INTS),
        _plain("QUEUE_TIME", Kind.INT, default="60"),
        _plain("NO_ANSWER_TIME", Kind.INT, default="60"),
        _plain("WORKTIME_ENABLE", Kind.YN, default="TRUE"),
        _plain("WORKTIME_FROM", Kind.TEXT, default="'09:00'"),
        _plain("WORKTIME_TO", Kind.TEXT, default="'18:00'"),
        _plain("WORKTIME_TIMEZONE", Kind.TEXT, default="'Europe/Moscow'"),
        _plain("WORKTIME_HOLIDAYS", Kind.TEXTS),
        _plain("WORKTIME_DAYOFF", Kind.TEXTS),
        _plain("VOTE_MESSAGE", Kind.YN, default="TRUE"),
        _plain("KPI_FIRST_ANSWER_TIME", Kind.INT, default="0"),
        _plain("KPI_FURTHER_ANSWER_TIME", Kind.INT, default="0"),
    ),
)

#: One chat with a client; its activity has PROVIDER_ID IMOPENLINES_SESSION and ASSOCIATED_ENTITY_ID = ID.
OPENLINE_SESSION = Table(
    "openline_session",
    (
        _plain("ID", Kind.ID),
        _plain("CONFIG_ID", Kind.REF, default="1"),
        _plain("CHAT_ID", Kind.REF),
        _plain("CONNECTOR_ID", Kind.TEXT, default="'livechat'"),
        _plain("CLIENT_ID", Kind.REF),  # user id of the guest
        _plain("CLIENT_NAME", Kind.TEXT, default="'Guest'"),
        _plain("OPERATOR_ID", Kind.USER),
        _plain("CRM_ENTITY_TYPE", Kind.TEXT),  # LEAD CONTACT COMPANY
        _plain("CRM_ENTITY_ID", Kind.REF),
        _plain("DEAL_ID", Kind.REF),
        _plain("STARTED_AT", Kind.INSTANT, default="0"),
        _plain("CLOSED_AT", Kind.INSTANT),
        _plain("VOTE_HEAD", Kind.INT, default="0"),
        _plain("COMMENT_HEAD", Kind.TEXT),
    ),
)

OPENLINE_MESSAGE = Table(
    "openline_message",
    (
        _plain("ID", Kind.ID),
        _plain("SESSION_ID", Kind.REF),
        _plain("SENDER_ID", Kind.REF, default="0"),  # 0 system, the guest, or an employee
        _plain("DATE", Kind.INSTANT, default="0"),
        _plain("TEXT", Kind.TEXT, default="''"),
    ),
)

#: The offline queue: one record per event name and object, the latest.
OFFLINE_EVENT = Table(
    "offline_event",
    (
        _plain("ID", Kind.ID),
        _plain("TIMESTAMP_X", Kind.INSTANT, default="0"),
        _plain("EVENT_NAME", Kind.TEXT),
        _plain("EVENT_DATA", Kind.JSON),
        _plain("EVENT_ADDITIONAL", Kind.JSON),
        _plain("MESSAGE_ID", Kind.TEXT),
        _plain("PROCESS_ID", Kind.TEXT, default="''"),  # '' free
        _plain("ERROR", Kind.INT, default="0"),
        _plain("AUTH_CONNECTOR", Kind.TEXT, default="''"),
        _plain("RESERVED_AT", Kind.INSTANT, hidden=True),
    ),
)

#: What clients wrote: messages, notices, comments, to-dos, changes. PARAMS and RESULT are JSON.
RECORDED_WRITE = Table(
    "recorded_write",
    (
        _plain("ID", Kind.ID),
        _plain("MADE_AT", Kind.INSTANT, default="0"),
        _plain("METHOD", Kind.TEXT),
        _plain("USER_ID", Kind.USER),
        _plain("PARAMS", Kind.JSON),
        _plain("RESULT", Kind.JSON),
    ),
)

#: One row: what the portal is. WEEK_HOLIDAYS two-letter days, YEAR_HOLIDAYS and YEAR_WORKDAYS ``D.MM`` without a year.
SETTINGS = Table(
    "settings",
    (
        _plain("ZONE", Kind.TEXT, default="'Europe/Moscow'"),  # server zone
        _plain("BASE_CURRENCY", Kind.TEXT, default="'RUB'"),
        _plain("CRM_MODE", Kind.INT, default="1"),  # 1 classic (leads), 2 simple
        _plain("PLAN", Kind.TEXT, default="'pro'"),  # 'ent' is Enterprise: a larger request bucket
        _plain("LICENSE", Kind.TEXT, default="'ru_pro100'"),
        _plain("LANGUAGE_ID", Kind.TEXT, default="'ru'"),
        _plain("MEMBER_ID", Kind.TEXT, default="'d897063e1ce7c5eb9f04b9751eef5915'"),
        _plain("WORK_TIME_START", Kind.TEXT, default="'9'"),
        _plain("WORK_TIME_END", Kind.TEXT, default="'18'"),
        _plain("WEEK_HOLIDAYS", Kind.TEXTS, default="['SA', 'SU']"),
        _plain("WEEK_START", Kind.TEXT, default="'MO'"),
        _plain("YEAR_HOLIDAYS", Kind.TEXT, default="'1.01,2.01,7.01,23.02,8.03,1.05,9.05,12.06,4.11'"),
        _plain("YEAR_WORKDAYS", Kind.TEXT, default="''"),
        _plain("SEED", Kind.INT),  # of the company generator, for reports
    ),
)

TABLES: tuple[Table, ...] = (
    SETTINGS, USER, DEPARTMENT, LEAD, DEAL, CONTACT, COMPANY, QUOTE, INVOICE, OLD_INVOICE, MULTIFIELD, PRODUCT_ROW,
    PAYMENT, PRODUCT, STAGE_HISTORY, ACTIVITY, ACTIVITY_BINDING, PHONE_CALL, TASK, STATUS, CATEGORY, CURRENCY, SMART_TYPE,
    USERFIELD, USERFIELD_ENUM, TIMELINE_COMMENT, LOG_MESSAGE, ACCESSIBILITY, SCHEDULE, WORKDAY, OPENLINE, OPENLINE_SESSION,
    OPENLINE_MESSAGE, OFFLINE_EVENT, RECORDED_WRITE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EntityType:
    """One kind of CRM object."""

    id: int
    name: str
    code: str  # DEAL
    short: str  # D
    table: Table
    family: str = ""  # legacy methods crm.{family}.*; '' when there are none
    events: str = ""  # ONCRM{events}ADD; '' means dynamic items

    @property
    def stage_field(self) -> str:
        """Column of the stage, or '' for things without stages."""
        return next((name for name in ("STAGE_ID", "STATUS_ID") if name in self.table.by_name), "")

    @property
    def semantic_field(self) -> str:
        """Column of the stage's P/S/F, or '' where the vendor keeps none."""
        return next((n for n in ("STAGE_SEMANTIC_ID", "STATUS_SEMANTIC_ID") if n in self.table.by_name), "")

    @property
    def has_history(self) -> bool:
        """Quotes have stages but no history; contacts and companies neither."""
        return self.id in {1, 2, 31} or self.id >= 128

    def directory(self, category_id: int) -> str:
        """ENTITY_ID of the directory of its stages in one pipeline."""
        match self.id:
            case 1:
                return "STATUS"
            case 2:
                return f"DEAL_STAGE_{category_id}" if category_id else "DEAL_STAGE"
            case 7:
                return "QUOTE_STATUS"
            case 31:
                return f"SMART_INVOICE_STAGE_{category_id}"
            case _:
                return f"DYNAMIC_{self.id}_STAGE_{category_id}"


ENTITY_TYPES: Mapping[int, EntityType] = {
    entity.id: entity
    for entity in (
        EntityType(1, "Lead", "LEAD", "L", LEAD, "lead", "LEAD"),
        EntityType(2, "Deal", "DEAL", "D", DEAL, "deal", "DEAL"),
        EntityType(3, "Contact", "CONTACT", "C", CONTACT, "contact", "CONTACT"),
        EntityType(4, "Company", "COMPANY", "CO", COMPANY, "company", "COMPANY"),
        EntityType(7, "Quote", "QUOTE", "Q", QUOTE, "quote", "QUOTE"),
        EntityType(31, "Invoice", "SMART_INVOICE", "SI", INVOICE),
    )
}


def dynamic(entity_type_id: int, title: str = "Smart process") -> EntityType:
    """A smart process (type 128 and above): the fields of a smart invoice in a table of its own."""
    table = replace(INVOICE, name=f"dynamic_{entity_type_id}", user_fields=f"CRM_{entity_type_id}")
    return EntityType(entity_type_id, title, f"DYNAMIC_{entity_type_id}", f"T{entity_type_id:x}", table)


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Make all tables that are missing, and the one row of settings."""
    for table in TABLES:
        connection.execute(table.ddl())
    if connection.execute("SELECT count(*) FROM settings").fetchone() == (0,):
        connection.execute("INSERT INTO settings DEFAULT VALUES")


def create_dynamic(connection: duckdb.DuckDBPyConnection, entity_type_id: int, title: str) -> EntityType:
    """Make a smart process: its row in ``smart_type`` and its table."""
    entity = dynamic(entity_type_id, title)
    connection.execute(entity.table.ddl())
    connection.execute(
        "INSERT INTO smart_type (ID, TITLE, ENTITY_TYPE_ID) SELECT coalesce(max(ID), 0) + 1, ?, ? FROM smart_type",
        [title, entity_type_id],
    )
    return entity
