"""What the builders of a company share: the connection, the options, and the habits of set-based work.

Laws: rows are made by the database, never one by one in Python; working tables are temporary, begin with ``w_`` and are
dropped at the end; tables that live mode needs again stay in the schema ``backstage``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal

import duckdb

from b24metrics.sim.company import dice
from b24metrics.sim.company.options import Company

#: How far plans reach beyond the end of the history.
AHEAD_DAYS = 150


class Workshop:
    """One running build."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, company: Company) -> None:
        self.connection = connection
        self.company = company
        self.now = company.until
        self.since = company.since

    def run(self, sql: str) -> None:
        """Execute one statement."""
        self.connection.execute(sql)

    def number(self, sql: str) -> int:
        """The single integer that a query answers; 0 for NULL."""
        row = self.connection.execute(sql).fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def table(self, name: str, sql: str) -> None:
        """Make a working table of a query's rows, in their order; after an ORDER BY `numbered` numbers them."""
        self.run(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")

    def rows(self, name: str, columns: str, rows: Iterable[Sequence[object]]) -> None:
        """Make a small working table of literal rows."""
        self.run(f"CREATE OR REPLACE TEMP TABLE {name} ({columns})")
        # Literals in one statement: parameters that are long lists take the driver a millisecond per element.
        values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
        if values:
            self.run(f"INSERT INTO {name} VALUES {values}")

    def publish(self, table: str, columns: str, rows: Iterable[Sequence[object]]) -> None:
        """Insert literal rows into a table of the portal; other columns take their defaults."""
        values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
        if values:
            self.run(f'INSERT INTO "{table}" ({columns}) VALUES {values}')

    def drop(self, *names: str) -> None:
        """Give back the memory of working tables."""
        for name in names:
            self.run(f"DROP TABLE IF EXISTS temp.{name}")

    def clear(self) -> None:
        """Drop every working table and the macros."""
        found = self.connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE temporary AND table_name LIKE 'w\\_%' ESCAPE '\\'"
        ).fetchall()
        self.drop(*(name for (name,) in found))
        dice.remove(self.connection)

    def local_date(self, instant: str) -> str:
        """Calendar date of an instant on the portal's wall, as SQL."""
        return f"(to_timestamp({instant}) AT TIME ZONE {dice.quoted(self.company.zone)})::DATE"


def numbered(table: str) -> str:
    """Place of a row in a working table that was made sorted, from 1, as SQL.

    A ``row_number() OVER ()`` above a sorted subquery will not do: the optimiser may number before it sorts. Rows of a
    transaction not yet committed have row ids from somewhere high, hence the difference.
    """
    return f"({table}.rowid - (SELECT min(rowid) FROM {table}) + 1)"


def literal(value: object) -> str:
    """A Python value as SQL."""
    match value:
        case None:
            return "NULL"
        case str():
            return dice.quoted(value)
        case date():
            return f"DATE '{value.isoformat()}'"
        case Decimal():
            return str(value)
        case list() | tuple():
            return "[" + ", ".join(map(literal, value)) + "]"
        case _:
            return repr(value)


def bound(sql: str, *values: object) -> str:
    """A statement with its question marks replaced by literals.

    The driver looks for pandas anew at every parameter; where that is not installed the search takes longer than the
    statement. Values come from the generator alone.
    """
    head, *tail = sql.split("?")
    assert len(tail) == len(values)
    return head + "".join(literal(value) + part for value, part in zip(values, tail, strict=True))


def placed(source: str, columns: str, join: str = "JOIN") -> str:
    """SELECT that turns working-time coordinates into instants.

    ``source`` has ``user_id``, ``x`` (working days of that user since the first one, with a fraction) and ``handed``:
    what a dismissed person left undone goes on in the heir's working time if it was handed over, else never happens.
    Adds ``actor``, ``ax`` (where that lies in the actor's time) and ``t``. Rows without a working day to lie in vanish,
    or keep empty instants with a LEFT JOIN.
    """
    return f"""
        SELECT {columns}, e.actor, e.ax, d.opens_at + ((e.ax - floor(e.ax)) * d.length)::BIGINT AS t
        FROM (
            SELECT s.*,
                CASE WHEN s.x < k.days THEN s.user_id WHEN s.handed AND s.x >= k.days THEN k.heir_id END AS actor,
                CASE WHEN s.x < k.days THEN s.x WHEN s.handed THEN k.heir_x + s.x - k.days END AS ax
            FROM ({source}) s JOIN w_tenure k USING (user_id)
        ) e
        {join} backstage.work_day d ON d.user_id = e.actor AND d.n = floor(e.ax)::INTEGER
    """
