"""One value of the portal's JSON, read as a Python value: text, numbers, yes and no, and lists of them.

Laws: a reader takes whatever JSON value came and returns the Python value, or None for the portal's many ways to say
"nothing" (``null``, ``""``, ``false``, ``[]``, ``{}``; for references also ``0``). It raises ValueError in words that
name what was expected and never show the value, for that may be personal data. Each reader also takes its own output.
Readers are plain functions on purpose: they run once per field of every record.
Source: vendor, "Data types" and "CRM data types"; observed answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

_I64 = 1 << 63
_NAN = Decimal("NaN")


def text(value: object) -> str | None:
    """A string; the empty one is None. Numbers where a string belongs are written out."""
    if type(value) is str or isinstance(value, str):
        return value or None
    if value is None or value is False:
        return None
    if value is True:
        return "1"  # how PHP writes it
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    if isinstance(value, (Mapping, list, tuple)) and not value:
        return None
    raise ValueError("not a text")


def whole(value: object) -> int | None:
    """A whole number, also in a string or as ``3.0``."""
    if type(value) is str:
        if value.isdecimal() and len(value) < 19:
            return int(value)
        if not value:
            return None
    elif type(value) is int:
        if -_I64 <= value < _I64:
            return value
        raise ValueError("a whole number past 64 bits")
    elif value is None or value is False:
        return None
    return _odd_whole(value)


def _odd_whole(value: object) -> int | None:
    if isinstance(value, (Mapping, list, tuple)) and not value:
        return None
    if isinstance(value, int):  # True, and members of IntEnum
        return whole(int(value))
    if isinstance(value, (str, float, Decimal)):
        try:
            exact = Decimal(value)
        except InvalidOperation:
            raise ValueError("not a whole number") from None
        if exact.is_finite() and -_I64 <= exact < _I64 and exact == exact.to_integral_value():
            return int(exact)
    raise ValueError("not a whole number")


def reference(value: object) -> int | None:
    """The id of another object; 0 means that there is none."""
    if type(value) is str and value.isdecimal() and len(value) < 19:  # the common case, without a call
        return int(value) or None
    return whole(value) or None


def identity(value: object) -> int:
    """The record's own id, which must be there."""
    found = whole(value)
    if found:
        return found
    raise ValueError("an id is missing")


def ordinal(value: object) -> int:
    """An id that may be 0, as the first pipeline's, but must be there."""
    found = whole(value)
    if found is None:
        raise ValueError("an id is missing")
    return found


def name(value: object) -> str:
    """A text that is the record's key and must be there."""
    found = text(value)
    if found is None:
        raise ValueError("a key is missing")
    return found


def amount(value: object) -> Decimal | None:
    """An amount of money or another exact number: ``"19999.99"``, ``999.9``, ``"300|EUR"``.

    A JSON float is taken by its shortest decimal spelling, which is what the portal wrote: 999.9 is ``Decimal("999.9")``.
    """
    if type(value) is str:
        if not value:
            return None
        try:
            found = Decimal(value)
        except InvalidOperation:
            found = _NAN
        if found is _NAN:  # out here, so that a refusal drags no other error along that quotes the value
            return _odd_amount(value)
    elif type(value) is int:
        return Decimal(value)
    elif type(value) is float:
        found = Decimal(repr(value))
    elif isinstance(value, Decimal):
        found = value
    elif value is None or value is False or (isinstance(value, (Mapping, list, tuple)) and not value):
        return None
    else:
        raise ValueError("not an amount")
    if not found.is_finite():
        raise ValueError("not an amount")
    return found


def _odd_amount(value: str) -> Decimal | None:
    before, bar, _ = value.partition("|")
    if not bar:
        raise ValueError("not an amount")
    return amount(before.strip())


_FLAGS: Mapping[object, bool | None] = {
    **dict.fromkeys(("Y", "y", "1", 1, "true", "TRUE", "True", "on"), True),
    **dict.fromkeys(("N", "n", "0", 0, "false", "FALSE", "False", "off"), False),
    "": None,
    None: None,
}


def flag(value: object) -> bool | None:
    """Yes or no: ``Y``/``N``, ``true``/``false``, ``1``/``0``, with or without quotes."""
    try:
        return _FLAGS[value]
    except (KeyError, TypeError):
        if isinstance(value, (Mapping, list, tuple)) and not value:
            return None
        raise ValueError("neither yes nor no") from None


def items(value: object) -> tuple[object, ...]:
    """The elements of a list, whichever way PHP serialised it: a list, a map of indexes, or nothing."""
    if value is None or value is False or value == "":
        return ()
    if isinstance(value, Mapping):
        return tuple(value.values())
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return (value,)


def pairs(value: object) -> Iterator[tuple[str, object]]:
    """Keys and values of a map, whichever way PHP serialised it; keys are strings."""
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
    else:
        yield from ((str(index), item) for index, item in enumerate(items(value)))


def mapping(value: object) -> Mapping[str, object]:
    """A map, empty where the portal sent ``[]``, ``""`` or nothing."""
    if isinstance(value, Mapping):
        return value
    return dict(pairs(value))


def ids(value: object) -> tuple[int, ...]:
    """Ids in their order, without empties."""
    return tuple(found for item in items(value) if (found := reference(item)) is not None)


def texts(value: object) -> tuple[str, ...]:
    """Strings in their order, without empties."""
    return tuple(found for item in items(value) if (found := text(item)) is not None)
