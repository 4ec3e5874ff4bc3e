"""Insert or overwrite by primary key: statements that both databases understand."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from b24metrics.mirror.schema import Table


def insert_sql(table: Table, names: tuple[str, ...], source: str) -> str:
    """INSERT for some columns of a table, reading them from a relation of the same column names; no key may be there."""
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(names)} FROM {source}"


def upsert_sql(table: Table, names: tuple[str, ...], source: str) -> str:
    """INSERT … ON CONFLICT for some columns of a table, reading them from a relation of the same column names."""
    key = table.primary_key

    def taken(name: str) -> str:
        if name in table.observed:
            return f"{name} = CASE WHEN excluded.{name} IS NOT NULL THEN coalesce({table.name}.{name}, excluded.{name}) END"
        return f"{name} = excluded.{name}"

    changes = ", ".join(taken(name) for name in names if name not in key)
    return (
        f"{insert_sql(table, names, source)} "
        f"ON CONFLICT ({', '.join(key)}) DO {f'UPDATE SET {changes}' if changes else 'NOTHING'}"
    )


def neighbours(table: Table, page: pa.Table) -> tuple[str, list[object]]:
    """Whether a table has any row between the least and the greatest of each key column of a page: query and parameters.

    Where it has none, no key of the page is there, and the page can be inserted as it is.
    """
    spans = [pc.min_max(page[name]).as_py() for name in table.primary_key]
    near = " AND ".join(f"{name} BETWEEN ? AND ?" for name in table.primary_key)
    return f"SELECT 1 FROM {table.name} WHERE {near} LIMIT 1", [span[edge] for span in spans for edge in ("min", "max")]
