"""Insert or overwrite by primary key: one statement that both databases understand."""

from __future__ import annotations

from b24metrics.mirror.schema import Table


def upsert_sql(table: Table, names: tuple[str, ...], source: str) -> str:
    """INSERT … ON CONFLICT for some columns of a table, reading them from a relation of the same column names."""
    key = table.primary_key

    def taken(name: str) -> str:
        if name in table.observed:
            return f"{name} = CASE WHEN excluded.{name} IS NOT NULL THEN coalesce({table.name}.{name}, excluded.{name}) END"
        return f"{name} = excluded.{name}"

    changes = ", ".join(taken(name) for name in names if name not in key)
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(names)} FROM {source} "
        f"ON CONFLICT ({', '.join(key)}) DO {f'UPDATE SET {changes}' if changes else 'NOTHING'}"
    )
