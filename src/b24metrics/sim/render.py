"""Stored values → the two spellings of the wire: legacy text and typed items.

Laws: rendering goes column by column, because pages are wide; nothing here reads the database. A calendar day is
midnight UTC shown in the server zone. Source: vendor, "Data types", "CRM data types".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from b24metrics.sim import php
from b24metrics.sim.tables import Field, Kind

Column = Sequence[object]
Render = Callable[[Column], list[object]]


_DAY = 86_400


@cache
def _clock_faces() -> list[str]:
    """Second of the day → ``HH:MM:SS``: pages are full of instants, and strftime is slow."""
    return [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(_DAY)]


@lru_cache(maxsize=8192)
def _offset(utc_day: int, zone: ZoneInfo) -> tuple[int, str] | None:
    """Offset of a zone throughout a day of UTC, in seconds and as text; None on days when it changes."""
    first, last = (datetime.fromtimestamp(utc_day * _DAY + s, zone).utcoffset() for s in (0, _DAY - 1))
    if first != last or first is None:
        return None
    return int(first.total_seconds()), datetime.fromtimestamp(utc_day * _DAY, zone).isoformat()[19:]


@lru_cache(maxsize=8192)
def _date_text(day: int) -> str:
    return datetime.fromtimestamp(day * _DAY, UTC).date().isoformat()


def iso(at: float, zone: ZoneInfo) -> str:
    """An instant as the portal writes it: seconds, with the offset of the server zone."""
    second = int(at)
    steady = _offset(second // _DAY, zone)
    if steady is None:
        return datetime.fromtimestamp(second, zone).isoformat()
    day, rest = divmod(second + steady[0], _DAY)
    return f"{_date_text(day)}T{_clock_faces()[rest]}{steady[1]}"


@lru_cache(maxsize=8192)
def iso_day(day: date, zone: ZoneInfo) -> str:
    """A calendar day as CRM writes it: midnight UTC in the server zone."""
    return datetime.combine(day, time(), UTC).astimezone(zone).isoformat()


class Renderer:
    """Both dialects for one server zone."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone

    def instant(self, at: object) -> str:
        """An instant that is known to be one."""
        assert isinstance(at, int | float)
        return iso(at, self.zone)

    def legacy(self, field: Field, column: Column) -> list[object]:
        """Everything as text; `Field.empty` for what is empty."""
        empty: object = field.empty
        zone = self.zone
        match field.kind:
            case Kind.ID | Kind.INT | Kind.REF | Kind.USER:
                return [empty if v is None else str(v) for v in column]
            case Kind.TEXT | Kind.STATUS:
                return [empty if v is None else v for v in column]
            case Kind.YN:
                return ["Y" if v else "N" for v in column]
            case Kind.BOOL:
                return [bool(v) for v in column]
            case Kind.INSTANT:
                return [empty if v is None else iso(v, zone) for v in column]  # type: ignore[arg-type]
            case Kind.DAY:
                return [empty if v is None else iso_day(v, zone) for v in column]
            case Kind.MONEY:
                return ["0.00" if v is None else f"{v:.2f}" for v in column]
            case Kind.RATE:
                return ["0.0000" if v is None else f"{v:.4f}" for v in column]
            case Kind.NUMBER:
                return [empty if v is None else php.text(v) for v in column]
            case Kind.INTS:
                return [list(v) if v else [] for v in column]  # type: ignore[call-overload]
            case Kind.TEXTS:
                return [list(v) if v else False for v in column]  # type: ignore[call-overload]
            case Kind.JSON:
                return [json.loads(v) if isinstance(v, str) else [] for v in column]

    def item(self, field: Field, column: Column) -> list[object]:
        """Typed; `Field.item_empty` for what is empty."""
        empty: object = field.item_empty
        zone = self.zone
        match field.kind:
            case Kind.ID | Kind.INT | Kind.REF | Kind.USER | Kind.TEXT | Kind.STATUS:
                return [empty if v is None else v for v in column]
            case Kind.YN:
                return ["Y" if v else "N" for v in column]
            case Kind.INSTANT:
                return [None if v is None else iso(v, zone) for v in column]  # type: ignore[arg-type]
            case Kind.DAY:
                return [None if v is None else iso_day(v, zone) for v in column]
            case Kind.MONEY | Kind.RATE | Kind.NUMBER:
                return [empty if v is None else php.number(float(v)) for v in column]  # type: ignore[arg-type]
            case Kind.INTS | Kind.TEXTS:
                return [list(v) if v else [] for v in column]  # type: ignore[call-overload]
            case _:
                return list(column)


# ---------------------------------------------------------------- user fields

#: USER_TYPE_ID → how its values look; a type that is not here is text.
USER_FIELD_KINDS = {
    "integer": Kind.INT,
    "double": Kind.NUMBER,
    "boolean": Kind.YN,
    "date": Kind.DAY,
    "datetime": Kind.INSTANT,
    "enumeration": Kind.INT,
    "employee": Kind.INT,
    "crm_status": Kind.STATUS,
}


def user_field(user_type: str, *, multiple: bool, value: object, zone: ZoneInfo, typed: bool) -> object:
    """One value of a user field. Stored: numbers as numbers, flags as booleans, dates ``YYYY-MM-DD``, instants as epoch."""
    if multiple:
        members = value if isinstance(value, list) else ([] if value is None else [value])
        shown = [_one(user_type, member, zone, typed=typed) for member in members]
        return shown or ([] if typed else False)
    if value is None or value == "":
        return _nothing(user_type, typed=typed)
    return _one(user_type, value, zone, typed=typed)


def _nothing(user_type: str, *, typed: bool) -> object:
    if user_type == "boolean":
        return "N" if typed else "0"
    return None if typed else ""


def _one(user_type: str, value: object, zone: ZoneInfo, *, typed: bool) -> object:
    match USER_FIELD_KINDS.get(user_type):
        case Kind.YN:
            return ("Y" if value else "N") if typed else ("1" if value else "0")
        case Kind.DAY:
            return iso_day(date.fromisoformat(str(value)), zone)
        case Kind.INSTANT:
            assert isinstance(value, int | float)
            return iso(value, zone)
        case Kind.INT:
            return php.integer(value) if typed else str(value)
        case Kind.NUMBER:
            assert isinstance(value, int | float)
            return php.number(value) if typed else php.text(value)
        case _:
            return value if typed or php.is_array(value) else php.text(value)


def user_field_item_name(code: str) -> str:
    """The item name of a user field: the prefix in camel case, the suffix kept.

    ``UF_CRM_3_1747309727`` → ``ufCrm3_1747309727``, ``UF_CRM_1747309879`` → ``ufCrm_1747309879``,
    ``UF_CRM_566EB0AC`` → ``ufCrm_566EB0AC``; a code of letters alone is put in camel case as a whole.
    """
    suffix = code.removeprefix("UF_CRM_")
    owner, _, number = suffix.rpartition("_")
    if owner.isdigit() and number.isdigit():
        return f"ufCrm{owner}_{number}"
    if any(character.isdigit() for character in suffix):
        return f"ufCrm_{suffix}"
    return "ufCrm" + "".join(part.capitalize() for part in suffix.split("_"))
