"""Write the next migration of the mirror: what its tables have today and the earlier migrations do not add up to.

Usage: ``make migration``; ``make migration FIRST=--first`` writes the first one anew, which is possible only until a
release has carried it into somebody's mirror.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb

from b24metrics.mirror.schema import MIGRATIONS, TABLES, Table

FOLDER = Path(__file__).resolve().parent.parent / "src" / "b24metrics" / "mirror" / "migrations"


def created(table: Table) -> str:
    """CREATE TABLE, a line for every column."""
    lines = [
        f"    {name} {kind}{' NOT NULL' if name in table.primary_key else ''}"
        for name, kind in table.all_columns.items()
    ]
    return ",\n".join([f"CREATE TABLE {table.name} (\n" + lines[0], *lines[1:]]) + (
        f",\n    PRIMARY KEY ({', '.join(table.primary_key)})\n);\n"
    )


def missing(first: int) -> Iterator[str]:
    """Statements that lead from the first migrations to the tables of today."""
    with duckdb.connect() as connection:
        for statements in MIGRATIONS[:first]:
            for statement in statements:
                connection.execute(statement)
        found = connection.execute("SELECT table_name, column_name FROM information_schema.columns").fetchall()
    known: dict[str, set[str]] = {}
    for table, column in found:
        known.setdefault(table, set()).add(column)
    for table in TABLES:
        if table.name not in known:
            yield created(table)
            continue
        for name, kind in table.all_columns.items():
            if name not in known[table.name]:
                yield f"ALTER TABLE {table.name} ADD COLUMN {name} {kind};\n"


def main() -> None:
    first = 0 if "--first" in sys.argv[1:] else len(MIGRATIONS)
    if not first and len(MIGRATIONS) > 1:
        raise SystemExit("The first migration has followers already: it stays as it is.")
    text = "\n".join(missing(first))
    if not text:
        print("The migrations add up to the tables: nothing to write.")
        return
    path = FOLDER / f"{first + 1:04d}.sql"
    path.write_text(text, encoding="utf-8")
    print(f"Written: {path}")


if __name__ == "__main__":
    main()
