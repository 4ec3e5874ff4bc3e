"""A column that Arrow reads is what the reader makes of its values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24metrics.crm.moments import day, instant, moment, seconds
from b24metrics.crm.values import amount, flag, identity, name, ordinal, reference, text, whole
from b24metrics.crm.wiretypes import entity_type, semantics
from b24metrics.mirror.casts import cast_column

INSTANT = pa.timestamp("us", "UTC")
READERS: list[tuple[Callable[[Any], object], pa.DataType]] = [
    *((read, kind) for read in (whole, reference, identity, ordinal, seconds) for kind in (pa.int64(), pa.int32())),
    *((read, pa.string()) for read in (text, name, semantics, whole)),
    (entity_type, pa.int32()),
    (amount, pa.decimal128(18, 2)),
    (amount, pa.float64()),
    (flag, pa.bool_()),
    (instant, INSTANT),
    (moment, INSTANT),
    (day, pa.date32()),
    (instant, pa.date32()),
]

OFFSETS = st.one_of(
    st.sampled_from(["+03:00", "-04:30", "+00:00", "-00:00", "Z", "", "+0300", "+03", "+24:00", "+23:60", "+14:00", "+03:00:30"]),
    st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 25), st.integers(0, 61)),
)  # fmt: skip
CLOCKS = st.builds(
    "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}".format,
    st.sampled_from([0, 1, 2, 999, 1000, 1899, 1970, 2026, 9997, 9998, 9999]),
    st.integers(0, 13), st.integers(0, 32), st.sampled_from("T t"), st.integers(0, 24), st.integers(0, 60),
    st.integers(0, 60), st.sampled_from(["", ".5", ".25", ".123456", ".1234567"]),
)  # fmt: skip
INSTANTS = st.builds("{}{}".format, CLOCKS, OFFSETS)
USUAL = st.datetimes(timezones=st.just(None)).map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}+03:00".rjust(25, "0"))
NUMBERS = st.one_of(
    st.integers(-(1 << 64), 1 << 64),
    st.integers(-(1 << 64), 1 << 64).map(str),
    st.integers(0, 3),
    st.integers(0, 1 << 33).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.decimals(-(10**17), 10**17, places=2).map(str),
    st.sampled_from([
        "0", "00", "-0", "-0.00", "+1", "-1", "1.5", "1.005", "1e3", ".", ".5", "5.", "1.2.3", "0x1F", "NaN", "Infinity",
        "1_000", " 1", "1 ", "1\n", "٣", "３", "", "300|EUR", "9" * 18, "9" * 19, "9" * 40,
    ]),
)  # fmt: skip
WORDS = st.one_of(st.sampled_from(["Y", "N", "P", "S", "DEAL", "", " ", "да", "\0", "2", "D_12", "\ud800"]), st.text())
ODD: st.SearchStrategy[object] = st.sampled_from(
    [None, False, True, 1, 1.0, 0, 1 << 63, [], {}, [1], {"a": 1}, "1", "", 2.5, float("nan")]
)
ALL = (INSTANTS, USUAL, NUMBERS, WORDS, ODD)
VALUES = st.one_of(
    *(st.lists(kind | st.none(), min_size=1, max_size=8) for kind in ALL),
    *(st.lists(kind, min_size=1, max_size=4) for kind in ALL),
    st.lists(st.one_of(*ALL), min_size=1, max_size=8),
)


@pytest.mark.parametrize(("read", "kind"), READERS, ids=lambda one: getattr(one, "__name__", str(one)))
@given(values=VALUES, times=st.sampled_from([1, 5]))
def test_a_column_that_arrow_reads_is_what_its_reader_makes_of_it(
    read: Callable[[Any], object], kind: pa.DataType, values: list[object], times: int
) -> None:
    """Equal arrays of the column's type, or nothing; and refused only where the reader refuses."""
    values *= times
    try:
        found = cast_column(read, values, kind)
    except ValueError:
        with pytest.raises(ValueError):
            [read(value) for value in values]
        return
    if found is not None:
        assert pa.array([read(value) for value in values], kind).equals(found)
        assert kind == found.type


USUAL_COLUMNS: list[tuple[Callable[[Any], object], pa.DataType, list[object]]] = [
    (text, pa.string(), ["Поставка № 1", "", None]),
    (identity, pa.int64(), ["1", "2", "3"]),
    (identity, pa.int64(), [1, 2, 3]),
    (reference, pa.int64(), ["0", "15", None]),
    (whole, pa.int32(), ["0", "", "7"]),
    (amount, pa.decimal128(18, 2), ["0.00", "19999.9", "-5", ""]),
    (instant, INSTANT, ["2026-03-02T12:00:00+03:00", "2026-03-02T12:00:00-04:30", "", None]),
    (day, pa.date32(), ["2026-03-02T01:00:00+03:00", "", None]),
    (flag, pa.bool_(), ["Y", "N", "", None] * 4),
    (semantics, pa.string(), ["P", "S", "F", None] * 4),
    (entity_type, pa.int32(), ["2", "3", "DEAL", ""] * 5),
]


@pytest.mark.parametrize(("read", "kind", "values"), USUAL_COLUMNS, ids=lambda one: getattr(one, "__name__", ""))
def test_what_portals_usually_say_is_read_by_arrow(
    read: Callable[[Any], object], kind: pa.DataType, values: list[object]
) -> None:
    """The quick way is really taken: otherwise nothing of the above was shown."""
    found = cast_column(read, values, kind)
    assert found is not None
    assert pa.array([read(value) for value in values], kind).to_pylist() == found.to_pylist()
