"""A column of JSON values on its way into Arrow, without a Python value for each.

Laws: what comes is what the field's reader makes of each value by itself, as ``pa.array`` of the column's type would hold
it; a value that the reader refuses is refused here. Arrow reads only spellings that mean to it what they mean to the reader;
a column with any other spelling, or of values that do not fit, is left to the reader, value by value.
Source: measured; making entities of a page and columns of entities took half of all the time that copying a record takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from b24metrics.crm.columns import Reader
from b24metrics.crm.moments import day, instant, moment
from b24metrics.crm.values import amount, identity, ordinal, reference, text, whole

_INSTANT = pa.timestamp("us", "UTC")
_SPELLED = 25  # characters of 2026-03-02T12:00:00+03:00
_DIGITS = 18  # of a whole number that surely has 64 bits
_AMOUNT = r"^-?[0-9]{1,30}(\.[0-9]{1,30})?$"
_EARLIEST, _LATEST = (
    int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 for year in (1000, 9998)
)  # years beyond, which mean that there is no date, are the reader's


def cast_column(read: Reader, values: Sequence[object], kind: pa.DataType) -> pa.Array | None:
    """``pa.array([read(value) for value in values], kind)``; None where values have to be read one by one.

    Raises:
        ValueError: as ``read``.
    """
    try:
        came = pa.array(values)  # its type says of which types all values are
        found = _WAYS[read](came, kind) if read in _WAYS and len(came) > came.null_count else None
    except (pa.ArrowException, TypeError, UnicodeError, OverflowError):
        return None
    return _of_few(read, came, kind) if found is None else found


def _of_few(read: Reader, came: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """Values that say the same few things again and again: each is read once."""
    if not any(is_of(came.type) for is_of in _ALIKE):
        return None
    encoded = came.dictionary_encode()
    if 4 * len(encoded.dictionary) > len(came):
        return None
    made = [read(value) for value in encoded.dictionary.to_pylist()]
    which = encoded.indices
    if came.null_count:
        which = which.fill_null(len(made))
        made.append(read(None))
    try:
        return pa.array(made, kind).take(which)
    except (pa.ArrowException, TypeError, UnicodeError, OverflowError):
        return None


_ALIKE: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_string,
    pa.types.is_int64,
    pa.types.is_boolean,
    pa.types.is_null,
)
"""Types of which equal values read alike."""


# Each of these returns None where it cannot answer for all values.


def _said(came: pa.Array) -> pa.Array:
    """Texts; an empty one says nothing."""
    return pc.if_else(pc.equal(came, ""), None, came) if pc.any(pc.equal(came, "")).as_py() else came


def _texts(came: pa.Array, kind: pa.DataType) -> pa.Array | None:
    return _said(came) if pa.types.is_string(came.type) and pa.types.is_string(kind) else None


def _numbers(came: pa.Array, kind: pa.DataType) -> pa.Array | None:
    if not pa.types.is_integer(kind):
        return None
    if pa.types.is_int64(came.type):
        return came.cast(kind)
    if not pa.types.is_string(came.type):
        return None
    said = _said(came)
    if not _all(pc.ascii_is_decimal(said)) or not _all(pc.less_equal(pc.binary_length(said), _DIGITS)):
        return None
    return said.cast(pa.int64()).cast(kind)


def _references(came: pa.Array, kind: pa.DataType) -> pa.Array | None:
    found = _numbers(came, kind)
    return None if found is None else pc.if_else(pc.equal(found, 0), None, found)


def _identities(came: pa.Array, kind: pa.DataType) -> pa.Array | None:
    found = _numbers(came, kind)
    return found if found is not None and not found.null_count and _all(pc.not_equal(found, 0)) else None


def _ordinals(came: pa.Array, kind: pa.DataType) -> pa.Array | None:
    found = _numbers(came, kind)
    return found if found is not None and not found.null_count else None


def _amounts(came: pa.Array, kind: pa.DataType) -> pa.Array | None:
    if not pa.types.is_string(came.type) or not pa.types.is_decimal(kind):
        return None
    said = _said(came)
    return said.cast(kind) if _all(pc.match_substring_regex(said, _AMOUNT)) else None


def _instants(came: pa.Array, kind: pa.DataType) -> pa.Array | None:
    if not pa.types.is_string(came.type) or kind != _INSTANT:
        return None
    said = _said(came)
    if not _all(pc.equal(pc.binary_length(said), _SPELLED)):
        return None
    found = said.cast(_INSTANT)
    ticks = found.cast(pa.int64())
    return found if _all(pc.and_(pc.greater(ticks, _EARLIEST), pc.less(ticks, _LATEST))) else None


def _moments(came: pa.Array, kind: pa.DataType) -> pa.Array | None:
    found = _instants(came, kind)
    return found if found is not None and not found.null_count else None


def _days(came: pa.Array, kind: pa.DataType) -> pa.Array | None:
    found = _instants(came, _INSTANT) if pa.types.is_date32(kind) else None
    return None if found is None else found.cast(kind)


def _all(answers: pa.Array) -> bool:
    """Whether all that are said are so."""
    return bool(pc.all(answers).as_py())


_WAYS: Mapping[Reader, Callable[[pa.Array, pa.DataType], pa.Array | None]] = {
    text: _texts,
    whole: _numbers,
    reference: _references,
    identity: _identities,
    ordinal: _ordinals,
    amount: _amounts,
    instant: _instants,
    moment: _moments,
    day: _days,
}
