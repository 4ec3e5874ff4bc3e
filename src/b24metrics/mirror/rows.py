"""Rows on their way into a table, column by column.

Laws: a page carries each key once, the last row of equal keys wins; the types are the table's, so that every store reads
the same bytes. A value that its column cannot hold raises MirrorError, which names table, column and key and never the
value; only what rounding or a replaced character can mend is mended (money to the column's scale, half-finished
characters).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from b24metrics.errors import MirrorError
from b24metrics.mirror.schema import Table

_PLAIN = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "BOOLEAN": pa.bool_(),
    "DOUBLE PRECISION": pa.float64(),
    "DATE": pa.date32(),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def arrow_type(kind: str) -> pa.DataType:
    """The Arrow type of a column of ``mirror.schema``."""
    if decimal := _DECIMAL.fullmatch(kind):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    return _PLAIN[kind]


@lru_cache(maxsize=256)
def arrow_schema(table: Table, names: tuple[str, ...]) -> pa.Schema:
    """The Arrow schema of some columns of a table."""
    return pa.schema([(name, arrow_type(table.all_columns[name])) for name in names])


def page_of(table: Table, names: Sequence[str], rows: Sequence[Sequence[object]]) -> pa.Table:
    """Rows as one Arrow table, each key once.

    ``names``: the columns in the order of each row's values; the primary key among them.

    Raises:
        MirrorError: a value that its column cannot hold.
    """
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return page_of_columns(table, dict(zip(names, columns, strict=True)), len(rows))


def page_of_columns(
    table: Table, columns: Mapping[str, Sequence[object] | pa.Array], count: int, **constants: object
) -> pa.Table:
    """The same from columns of ``count`` values each, or arrays of the right type; ``constants`` hold one value for all rows.

    Raises:
        MirrorError: a value that its column cannot hold.
    """
    schema = arrow_schema(table, (*constants, *columns))
    key = [name for name in table.primary_key if name in columns]
    arrays = [
        pa.repeat(pa.scalar(constants[field.name], field.type), count)
        if field.name in constants
        else _column(table, field, columns[field.name], [columns[name] for name in key])
        for field in schema
    ]
    return _last_of_each(pa.Table.from_arrays(arrays, schema=schema), key)


def _last_of_each(page: pa.Table, key: Sequence[str]) -> pa.Table:
    """The last row of each key."""
    if len(key) == 1 and _rising(page[key[0]]):
        return page
    keys = page.select(key)
    if keys.group_by(key, use_threads=False).aggregate([]).num_rows == page.num_rows:
        return page
    last = {each: n for n, each in enumerate(zip(*(column.to_pylist() for column in keys.columns), strict=True))}
    return page.take(list(last.values()))


def _rising(numbers: pa.ChunkedArray) -> bool:
    """Whether each is greater than the one before it, as a listing hands out ids."""
    return pa.types.is_integer(numbers.type) and bool(
        pc.all(pc.greater(numbers[1:], numbers[:-1]), skip_nulls=False).as_py()
    )


def page_of_mappings(table: Table, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """The same from mappings. Columns that no row names are left out, so an upsert leaves them alone."""
    named = {name for row in rows for name in row}
    if unknown := named - table.all_columns.keys():
        raise MirrorError(f"table {table.name} has no column {', '.join(sorted(unknown))}")
    names = [name for name in table.all_columns if name in named or name in table.primary_key]
    for row in rows:
        if absent := [name for name in table.primary_key if row.get(name) is None]:
            raise MirrorError(f"a row for table {table.name} has no {', '.join(absent)}, which is part of its key")
    return page_of(table, names, [[row.get(name) for name in names] for row in rows])


def _column(
    table: Table, field: pa.Field, values: Sequence[object] | pa.Array, keys: Sequence[Sequence[object] | pa.Array]
) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, UnicodeError, OverflowError):
        said = (column.to_pylist() if isinstance(column, pa.Array) else column for column in keys)
        each = zip(values, zip(*said, strict=True), strict=True)
        return pa.array([_mended(table, field, value, key) for value, key in each], field.type)


def _mended(table: Table, field: pa.Field, value: object, key: tuple[object, ...]) -> object:
    """One value as its column can hold it: the slow path, taken only by pages that the fast one refused."""
    if isinstance(value, str):
        value = value.encode("utf-8", "replace").decode("utf-8")
    elif isinstance(value, Decimal) and pa.types.is_decimal(field.type):
        context = Context(prec=field.type.precision, rounding=ROUND_HALF_EVEN)
        try:
            value = value.quantize(Decimal(1).scaleb(-field.type.scale), context=context)
        except InvalidOperation:
            raise _unfit(table, field, key) from None
    try:
        pa.array([value], field.type)
    except (pa.ArrowException, UnicodeError, OverflowError):
        # The driver's words quote the value: they are cut off.
        raise _unfit(table, field, key) from None
    return value


def _unfit(table: Table, field: pa.Field, key: tuple[object, ...]) -> MirrorError:
    return MirrorError(
        f"{table.name}: column {field.name} of record {'/'.join(map(str, key if len(key) == 1 else key[-len(table.key) :]))} cannot hold what the portal sent "
        f"(expected {field.type}). If the portal shows the record as usual, please report these names."
    )
