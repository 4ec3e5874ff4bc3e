"""A practice company: a believable Russian sales department, made by SQL from a seed, at any size.

Laws: nothing of the product is imported; rows are made by the database in sets, so that twenty million cost no more
Python than three; the same options give the same rows on any number of threads; nothing but plans lies after ``now``.

Things happen in the working time of whoever does them: every employee's working days are counted from the first one,
waits are drawn in such days, and one join turns a place in them into an instant. Nights, Sundays, holidays, vacations,
other zones, hirings and dismissals need no further rule. See `people` for employees, `demand` for requests and leads,
`deals` for the fate of deals, `touches` for contacts, `sales` and `talk` for what is written down, `plans` for targets.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import perf_counter

import duckdb

from b24metrics.sim import tables
from b24metrics.sim.company import clients, deals, demand, dice, directories, people, plans, sales, talk, touches
from b24metrics.sim.company.options import Company
from b24metrics.sim.company.plans import plans_csv
from b24metrics.sim.company.workshop import Workshop

__all__ = ["BuildReport", "Company", "build", "plans_csv"]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build made: rows by table of the portal, and how long it took."""

    rows: dict[str, int]
    seconds: float

    @property
    def total(self) -> int:
        return sum(self.rows.values())

    @property
    def rows_per_second(self) -> float:
        return self.total / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        lines = [f"{count:>12,}  {table}" for table, count in self.rows.items() if count]
        return "\n".join(
            [*lines, f"{self.total:>12,}  rows in {self.seconds:.1f} s, {self.rows_per_second:,.0f} a second"]
        )


def build(
    connection: duckdb.DuckDBPyConnection, company: Company, progress: Callable[[str], None] = lambda _: None
) -> BuildReport:
    """Fill an empty portal.

    Tables that are missing are made. All or nothing: a failure leaves an empty portal, and so does the next build
    after a process that was killed.

    Args:
        connection: DuckDB, in memory or a file.
        company: what to build.
        progress: told the name of each part before it is made.
    Raises:
        ValueError: the portal already holds users or deals.
    """
    started = perf_counter()
    tables.create(connection)
    connection.execute("CREATE SCHEMA IF NOT EXISTS backstage")
    if _exists(connection, "unfinished"):
        _wipe(connection)
    elif connection.execute('SELECT (SELECT count(*) FROM "user") + (SELECT count(*) FROM deal)').fetchone() != (0,):
        raise ValueError("the portal already holds data; build into an empty database")
    shop = Workshop(connection, company)
    # Not one transaction: the planner knows nothing of rows that are not committed and joins them pair by pair.
    connection.execute("CREATE TABLE backstage.unfinished AS SELECT 1 AS mark")
    try:
        dice.install(connection, company.seed)
        for part, step in _parts(company):
            progress(part)
            step(shop)
        shop.run("CREATE OR REPLACE TABLE backstage.company (options VARCHAR)")
        shop.run(f"INSERT INTO backstage.company VALUES ({dice.quoted(json.dumps(asdict(company)))})")
        shop.run("DROP TABLE backstage.unfinished")
    except BaseException:
        _wipe(connection)
        raise
    finally:
        shop.clear()
    rows = {table.name: shop.number(f'SELECT count(*) FROM "{table.name}"') for table in tables.TABLES}
    return BuildReport(rows, perf_counter() - started)


def _exists(connection: duckdb.DuckDBPyConnection, backstage_table: str) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'backstage' AND table_name = $1", [backstage_table]
    ).fetchone()
    return found != (0,)


def _wipe(connection: duckdb.DuckDBPyConnection) -> None:
    """Leave the portal as empty as `tables.create` made it."""
    for table in tables.TABLES:
        connection.execute(f'DROP TABLE IF EXISTS "{table.name}"')
    tables.create(connection)
    connection.execute("DROP SCHEMA backstage CASCADE")
    connection.execute("CREATE SCHEMA backstage")


def _parts(company: Company) -> list[tuple[str, Callable[[Workshop], None]]]:
    return [
        ("people", people.build),
        ("directories", directories.build),
        ("requests", demand.build),
        ("deals", deals.build),
        ("clients", clients.build),
        *([("leads", sales.clients_of_leads)] if company.classic else []),
        ("contacts", touches.build),
        ("talk", talk.build),
        ("papers", sales.build),
        ("plans", plans.build),
    ]
