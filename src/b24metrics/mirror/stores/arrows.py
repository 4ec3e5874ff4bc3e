"""Arrow tables into PostgreSQL and out of it.

Laws: every type that a mirror column or a fact can have survives the way both ways; a NULL stays a NULL and an empty
text an empty text. PostgreSQL keeps no character 0: it becomes the character for "unreadable".
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

if TYPE_CHECKING:
    import psycopg

#: Text compares by its bytes, as in DuckDB, whatever the database's locale.
TEXT = 'TEXT COLLATE "C"'
_FROM_OID = {
    16: pa.bool_(), 20: pa.int64(), 21: pa.int32(), 23: pa.int32(), 25: pa.string(), 705: pa.string(), 1042: pa.string(),
    1043: pa.string(), 700: pa.float64(), 701: pa.float64(), 1082: pa.date32(), 1114: pa.timestamp("us"),
    1184: pa.timestamp("us", "UTC"),
}  # fmt: skip
_NUMERIC = 1700
_WRITE = csv.WriteOptions(include_header=False)  # texts in quotes, NULL as nothing at all


def sql_type(kind: pa.DataType) -> str:
    """The column type that holds an Arrow type."""
    if pa.types.is_decimal(kind):
        return f"NUMERIC({kind.precision}, {kind.scale})"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_integer(kind):
        return "BIGINT" if kind.bit_width > 32 else "INTEGER"
    if pa.types.is_floating(kind):
        return "DOUBLE PRECISION"
    if pa.types.is_date(kind):
        return "DATE"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
    return TEXT


def copy_in(cursor: psycopg.Cursor[Any], name: str, table: pa.Table) -> None:
    """Append an Arrow table to a table that is there, column by column name."""
    # As CSV, which Arrow writes itself: a quarter of the time that COPY's binary form takes row by row.
    columns = ", ".join(f'"{column}"' for column in table.column_names)
    sink = io.BytesIO()
    csv.write_csv(_writable(table), sink, _WRITE)
    with cursor.copy(f'COPY "{name}" ({columns}) FROM STDIN (FORMAT csv)') as copy:
        copy.write(sink.getbuffer())


def _writable(table: pa.Table) -> pa.Table:
    """Without what PostgreSQL cannot keep."""
    for position, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(position)
            if pc.any(pc.match_substring(column, "\0")).as_py():
                table = table.set_column(position, field, pc.replace_substring(column, "\0", "\ufffd"))
    return table


def fetch(cursor: psycopg.Cursor[Any]) -> pa.Table:
    """What a query gave, as Arrow."""
    assert cursor.description is not None
    names = [column.name for column in cursor.description]
    kinds = [_kind(column.type_code, column.precision, column.scale) for column in cursor.description]
    rows = cursor.fetchall()
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    arrays = [
        pa.array(values, kind) if kind is not None else _decimals(values)
        for values, kind in zip(columns, kinds, strict=True)
    ]
    return pa.table(arrays, names=names)


def _kind(oid: int, precision: int | None, scale: int | None) -> pa.DataType | None:
    """The Arrow type of a result column; None: decimals that say nothing of their size."""
    if oid == _NUMERIC:
        return pa.decimal128(precision, scale) if precision and precision <= 38 and scale is not None else None
    return _FROM_OID.get(oid, pa.string())


def _decimals(values: Sequence[Any]) -> pa.Array:
    found = pa.array(values)
    return pa.nulls(len(values), pa.decimal128(38, 0)) if pa.types.is_null(found.type) else found
