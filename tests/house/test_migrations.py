"""The migrations add up to the tables of ``mirror/schema.py``, on both databases."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from b24metrics.mirror.schema import MIGRATIONS, TABLES, Table
from b24metrics.mirror.stores import DuckStore, Store, open_store

if TYPE_CHECKING:
    from tests.postgres import Server

ADVICE = "mirror/schema.py has changed: run `make migration` (until the first release: `make migration FIRST=--first`)"

#: Types as the databases' own catalogues tell them.
_POSTGRES = {
    "character varying": "VARCHAR",
    "timestamp with time zone": "TIMESTAMPTZ",
    "double precision": "DOUBLE PRECISION",
}
_DUCK = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ", "DOUBLE": "DOUBLE PRECISION"}

COLUMNS = """
SELECT table_name, column_name, data_type, numeric_precision, numeric_scale, is_nullable
FROM information_schema.columns WHERE table_schema = {schema} AND table_name <> 'b24metrics_schema'
"""

Columns = dict[str, dict[str, tuple[str, bool]]]


def declared(table: Table) -> dict[str, tuple[str, bool]]:
    return {name: (kind, name in table.primary_key) for name, kind in table.all_columns.items()}


def found(rows: list[tuple[object, ...]], names: dict[str, str]) -> Columns:
    columns: Columns = {}
    for table, column, kind, precision, scale, nullable in rows:
        plain = re.sub(r"\(.*", "", str(kind))
        told = (
            f"DECIMAL({precision},{scale})"
            if plain.lower() in {"numeric", "decimal"}
            else names.get(plain, plain.upper())
        )
        columns.setdefault(str(table), {})[str(column)] = (told, nullable == "NO")
    return columns


def assert_complete(store: Store, schema: str, names: dict[str, str]) -> None:
    actual = found(store.rows(COLUMNS.format(schema=schema)), names)

    assert {table.name for table in TABLES} == actual.keys(), ADVICE
    for table in TABLES:
        assert declared(table) == actual[table.name], (table.name, ADVICE)


def test_a_file_has_every_column() -> None:
    """Names, types and keys, column by column."""
    store = DuckStore()

    assert_complete(store, "'main'", _DUCK)
    for table in TABLES:
        [(key,)] = store.rows(
            "SELECT constraint_column_names FROM duckdb_constraints() WHERE table_name = ? AND constraint_type = 'PRIMARY KEY'",
            [table.name],
        )
        assert table.primary_key == tuple(key), (table.name, ADVICE)
    store.close()


def test_a_server_has_every_column(postgres: Server, empty_mirror: str) -> None:
    """The same, and texts compare by their bytes."""
    store = open_store(postgres.fresh(empty_mirror))

    assert_complete(store, "current_schema()", _POSTGRES)
    keys = store.rows(
        """SELECT c.table_name, c.column_name FROM information_schema.key_column_usage AS c
        WHERE c.table_schema = current_schema() ORDER BY c.table_name, c.ordinal_position"""
    )
    for table in TABLES:
        assert table.primary_key == tuple(column for name, column in keys if name == table.name), (table.name, ADVICE)
    assert [] == store.rows(
        """SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND data_type = 'character varying' AND collation_name <> 'C'"""
    )
    store.close()


@pytest.mark.parametrize("number", range(1, len(MIGRATIONS) + 1))
def test_a_migration_is_only_what_both_databases_read(number: int) -> None:
    """Tables and columns are added; nothing is dropped, renamed or rewritten."""
    for statement in MIGRATIONS[number - 1]:
        assert re.match(r"(CREATE TABLE \w+ \(|ALTER TABLE \w+ ADD COLUMN )", statement), statement
