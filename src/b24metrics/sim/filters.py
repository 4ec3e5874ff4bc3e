"""Filter grammars of the list methods.

Laws: a condition that a dialect does not know is refused (items, stage history) or dropped (all others), never guessed.
"not equal" includes empty values, as the vendor's query builder has it. LIKE on references and directory codes does not
work there and is dropped here. A comparison with an array means any of its members.
Source: vendor, "crm.item.list", "crm.deal.list", "voximplant.statistic.get".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from zoneinfo import ZoneInfo

from b24metrics.sim import php
from b24metrics.sim.data import Where
from b24metrics.sim.tables import Kind


class Op(StrEnum):
    """What a prefix asks for."""

    EQ = "="
    NE = "!="
    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="
    IN = "@"
    NOT_IN = "!@"
    CONTAINS = "%"
    LIKE = "=%"
    NOT_CONTAINS = "!%"
    NOT_LIKE = "!=%"
    BETWEEN = "><"
    NOT_BETWEEN = "!><"


_BASIC = {"": Op.EQ, "=": Op.EQ, "!": Op.NE, "!=": Op.NE, ">": Op.GT, ">=": Op.GE, "<": Op.LT, "<=": Op.LE}
_LISTS = {"@": Op.IN, "!@": Op.NOT_IN}
_LIKE = {"%": Op.CONTAINS, "=%": Op.LIKE, "%=": Op.LIKE}
_NOT_LIKE = {"!%": Op.NOT_CONTAINS, "!=%": Op.NOT_LIKE, "!%=": Op.NOT_LIKE}

#: Prefix → operator, per dialect.
LEGACY = _BASIC | _LISTS | _LIKE
FULL = LEGACY | _NOT_LIKE  # leads, activities, items, stage history, users
TASKS = {"": Op.EQ, "!": Op.NE, ">": Op.GT, ">=": Op.GE, "<": Op.LT, "<=": Op.LE, "%": Op.CONTAINS}
TELEPHONY = _BASIC | {
    "%": Op.CONTAINS, "!%": Op.NOT_CONTAINS, "?": Op.CONTAINS, "><": Op.BETWEEN, "!><": Op.NOT_BETWEEN,
}  # fmt: skip
EXACT = {"": Op.EQ}

_NUMBERS = {Kind.ID, Kind.INT, Kind.REF, Kind.USER}
_AMOUNTS = {Kind.MONEY, Kind.RATE, Kind.NUMBER}
_FLAGS = {Kind.YN, Kind.BOOL}
_LISTED = {Kind.INTS, Kind.TEXTS}
_NEGATIVE = {
    Op.NE: Op.EQ,
    Op.NOT_IN: Op.IN,
    Op.NOT_CONTAINS: Op.CONTAINS,
    Op.NOT_LIKE: Op.LIKE,
    Op.NOT_BETWEEN: Op.BETWEEN,
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a filter key points at: an SQL expression and the kind of its values."""

    sql: str
    kind: Kind


Resolve = Callable[[str], Target | None]


def split_key(key: str, operators: Mapping[str, Op]) -> tuple[Op, str]:
    """``>=DATE_CREATE`` → (GE, ``DATE_CREATE``): the longest prefix that the dialect knows."""
    for length in (3, 2, 1):
        if key[:length] in operators and len(key) > length:
            return operators[key[:length]], key[length:]
    return operators[""], key


# ---------------------------------------------------------------- values


_DAY_FIRST = re.compile(r"(\d{2})\.(\d{2})\.(\d{4})(?: (\d{2}):(\d{2})(?::(\d{2}))?)?")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?)?")


class UnreadableDateError(ValueError):
    """A value that cannot be a date: no row meets the condition."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads what clients send as dates. Naive values are the caller's local time."""

    server: ZoneInfo
    caller: ZoneInfo

    def moment(self, value: object) -> datetime:
        """An aware instant; a date without time is its midnight.

        Raises:
            UnreadableDateError: not a date.
        """
        given = php.text(value).strip()
        try:
            if match := _DAY_FIRST.fullmatch(given):
                day, month, year, hour, minute, second = (int(part or 0) for part in match.groups())
                found = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - made aware below
            elif _ISO.fullmatch(given):
                found = datetime.fromisoformat(given)
            else:
                raise UnreadableDateError(given)
        except ValueError as fault:
            raise UnreadableDateError(given) from fault
        return found if found.tzinfo else found.replace(tzinfo=self.caller)

    def instant(self, value: object) -> int:
        """Epoch seconds."""
        return int(self.moment(value).timestamp())

    def day(self, value: object) -> date:
        """A calendar day as CRM stores it: of a plain date itself, of an instant its day in the server zone.

        The portal's own rendering (midnight UTC in the server zone) therefore comes back as the day that was meant.
        """
        moment = self.moment(value)
        utc = moment.astimezone(UTC)
        if utc.time() == utc.time().min and moment.utcoffset() == moment.astimezone(self.server).utcoffset():
            return utc.date()
        return moment.astimezone(self.server).date() if "T" in php.text(value) else moment.date()


def typed(kind: Kind, value: object, reader: Reader) -> object:
    """A single value in the storage type of the column."""
    if kind in _NUMBERS or kind is Kind.INTS:
        return php.integer(value)
    if kind in _AMOUNTS:
        try:
            return Decimal(php.text(value).strip() or "0")
        except InvalidOperation:
            return Decimal(php.integer(value))
    if kind in _FLAGS:
        return php.yes(value)
    if kind is Kind.INSTANT:
        return reader.instant(value)
    if kind is Kind.DAY:
        return reader.day(value)
    return php.text(value)


# ---------------------------------------------------------------- conditions


def condition(target: Target, op: Op, value: object, reader: Reader) -> tuple[str, list[object]] | None:
    """One condition as SQL with its values; None when the dialect would drop it."""
    if op in _NEGATIVE:
        inner = condition(target, _NEGATIVE[op], value, reader)
        # three-valued logic: NULL is "not equal" to everything
        return inner and (f"NOT coalesce({inner[0]}, FALSE)", inner[1])
    try:
        return _positive(target, op, value, reader)
    except UnreadableDateError:
        return "FALSE", []


def _positive(target: Target, op: Op, value: object, reader: Reader) -> tuple[str, list[object]] | None:
    column = _column(target, op, value)
    members = php.as_list(value) if php.is_array(value) or op is Op.IN else None
    if op in {Op.EQ, Op.IN}:
        if members is None:
            return _equal(target, column, value, reader)
        return _member(target, column, members, reader) if members else None
    if op in {Op.CONTAINS, Op.LIKE}:
        if target.kind is not Kind.TEXT:
            return None
        pattern = php.text(value)
        pattern = pattern if op is Op.LIKE else f"%{pattern}%"
        return f"{column} ILIKE ?", [pattern]
    if op is Op.BETWEEN:
        if members is None or len(members) < 2:
            return None
        low, high = (typed(target.kind, member, reader) for member in members[:2])
        return f"{column} BETWEEN ? AND ?", [low, high]
    if members is None:
        return f"{column} {op.value} ?", [typed(target.kind, value, reader)]
    if not members:
        return None
    each = " OR ".join(f"{column} {op.value} ?" for _ in members)
    return each, [typed(target.kind, member, reader) for member in members]


def _column(target: Target, op: Op, value: object) -> str:
    """The expression to compare: an empty reference counts as 0 wherever that can make a difference."""
    if target.kind is not Kind.REF:
        return target.sql
    zero = any(php.integer(member) == 0 for member in (php.as_list(value) if php.is_array(value) else [value]))
    return f"coalesce({target.sql}, 0)" if zero or op not in {Op.EQ, Op.IN} else target.sql


def _equal(target: Target, column: str, value: object, reader: Reader) -> tuple[str, list[object]]:
    if value is None or value == "" or (value is False and target.kind not in _FLAGS):
        return _empty(target, column), []
    if target.kind in _LISTED:
        return f"list_contains({column}, ?)", [typed(target.kind, value, reader)]
    if target.kind is Kind.TEXT:
        return f"lower({column}) = lower(?)", [php.text(value)]  # the portal's database ignores case
    return f"{column} = ?", [typed(target.kind, value, reader)]


def _empty(target: Target, column: str) -> str:
    if target.kind in _NUMBERS or target.kind in _AMOUNTS:
        return f"coalesce({column}, 0) = 0"
    if target.kind in _FLAGS:
        return f"NOT {column}"
    if target.kind in _LISTED:
        return f"coalesce(len({column}), 0) = 0"
    if target.kind in {Kind.INSTANT, Kind.DAY}:
        return f"{column} IS NULL"
    return f"coalesce({column}, '') = ''"


def _member(target: Target, column: str, members: list[object], reader: Reader) -> tuple[str, list[object]]:
    values = [typed(target.kind, member, reader) for member in members]
    if target.kind in _LISTED:
        return f"list_has_any({column}, [{', '.join('?' for _ in values)}])", values
    if target.kind is Kind.TEXT:
        return f"lower({column}) IN ({', '.join('lower(?)' for _ in values)})", values
    return f"{column} IN ({', '.join('?' for _ in values)})", values


# ---------------------------------------------------------------- whole filters


def flat(given: php.Params, operators: Mapping[str, Op], resolve: Resolve, reader: Reader, where: Where) -> None:
    """A filter without nesting; unknown keys go to ``resolve``, which answers None (dropped) or raises."""
    for key, value in given.items():
        op, name = split_key(key, operators)
        _apply(where, resolve(name), op, value, reader)


def nested(given: php.Params, operators: Mapping[str, Op], resolve: Resolve, reader: Reader, where: Where) -> None:
    """A filter with ``{"0": {"logic": "OR", ...}}`` at any depth; the top level is AND."""
    for key, value in given.items():
        if key.isdigit() and php.is_array(value):
            sql, values = _group(php.as_map(value), operators, resolve, reader)
            where.add(sql, *values)
        elif key.lower() != "logic":
            op, name = split_key(key, operators)
            _apply(where, resolve(name), op, value, reader)


def _group(
    given: php.Params, operators: Mapping[str, Op], resolve: Resolve, reader: Reader
) -> tuple[str, list[object]]:
    glue = " AND "
    parts: list[str] = []
    values: list[object] = []
    for key, value in given.items():
        if key.lower() == "logic":
            glue = " OR " if php.text(value).upper() == "OR" else " AND "
            continue
        if key.isdigit() and php.is_array(value):
            found: tuple[str, list[object]] | None = _group(php.as_map(value), operators, resolve, reader)
        else:
            op, name = split_key(key, operators)
            target = resolve(name)
            found = None if target is None else condition(target, op, value, reader)
        if found:
            parts.append(f"({found[0]})")
            values += found[1]
    return glue.join(parts) or "TRUE", values


def _apply(where: Where, target: Target | None, op: Op, value: object, reader: Reader) -> None:
    if target is None:
        return
    if target.kind is Kind.ID and op in {Op.GT, Op.GE} and not php.is_array(value):
        where.beyond(php.integer(value) - (op is Op.GE))
    elif found := condition(target, op, value, reader):
        where.add(found[0], *found[1])
        where.pinned |= target.kind is Kind.ID and op in {Op.EQ, Op.IN}
