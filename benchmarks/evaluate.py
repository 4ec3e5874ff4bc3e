"""What a round of evaluation costs: all KPIs, windows and grains of a large company, beside a bare scan in the same run.

    python benchmarks/evaluate.py [--managers 70] [--departments 8] [--deals 500000] [--repeat 5] [--mirror FILE] [--each]

The company is generated in SQL: five stage moves, six activities and six telephone calls a deal over four years, invoices,
quotes, goods, clients. The bare scan reads, once, the columns that facts read, and does nothing with them: no evaluation
can be faster. Prints medians; with ``--each`` also what every KPI costs alone, and with ``--mirror`` the file is kept.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from b24metrics.kpi import KPIS, KpiOptions, evaluate
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore

NOW = datetime(2025, 11, 14, 12, 30, tzinfo=UTC)
PORTAL = "benchmark"
YEARS = 4
#: Columns of the large tables that facts read.
SCANNED = {
    "deals": "id, title, pipeline_id, stage_id, semantics, opportunity, currency_id, assigned_by_id, created_by_id, created_at, "
    "modified_at, moved_at, closes_on, company_id, contact_id, lead_id, source_id, webform_id",
    "stage_moves": "id, kind, owner_id, created_at, pipeline_id, stage_id, semantics",
    "activities": "id, owner_type_id, owner_id, type_id, provider_id, direction, completed, created_at, starts_at, deadline_at, "
    "completed_at, responsible_id",
    "activity_bindings": "activity_id, entity_type_id, entity_id",
    "phone_calls": "id, call_id, type_id, user_id, line, phone_key, duration_seconds, started_at, failed_code, "
    "crm_entity_type_id, crm_entity_id, crm_activity_id",
    "deal_closings": "deal_id, semantics, manager_id, department_id, rate, rate_count, observed_at",
}


def pick(salt: int, choices: int, of: str = "i") -> str:
    """An even choice of 0 … choices - 1 for every ``i``."""
    return f"CAST(hash({of}, {salt}) % {choices} AS BIGINT)"


def generate(store: DuckStore, managers: int, departments: int, deals: int) -> None:
    """Fill an empty mirror."""
    end = NOW.isoformat()
    start = f"(TIMESTAMPTZ '{end}' - INTERVAL '{YEARS} years')"
    span = YEARS * 365 * 86_400
    people = 100

    def fill(table: schema.Table, count: int, **columns: str) -> None:
        listed = ", ".join(f"{value} AS {name}" for name, value in columns.items())
        store.execute(
            f"INSERT INTO {table.name} (portal, {', '.join(columns)}) "
            f"SELECT '{PORTAL}', {listed} FROM (SELECT range + 1 AS i FROM range({count})) AS numbers"
        )

    fill(schema.PORTALS, 1, host="'x'", zone="'Europe/Moscow'", base_currency="'RUB'", crm_mode="2",
         first_synced_at=f"TIMESTAMPTZ '{end}'")  # fmt: skip
    store.execute(
        f"INSERT INTO feed_state (portal, feed, backfilled_at, synced_at) SELECT '{PORTAL}', unnest(?), "
        f"TIMESTAMPTZ '{end}', TIMESTAMPTZ '{end}'",
        [FEEDS],
    )
    fill(schema.DEPARTMENTS, departments, id="i", name="'Department ' || i", sort="i",
         parent_id="CASE WHEN i > 1 THEN i // 2 END")  # fmt: skip
    fill(schema.USERS, managers, id=f"{people} + i", active="TRUE", name="'Manager ' || i", zone="'Europe/Moscow'",
         registered_at=start)  # fmt: skip
    fill(
        schema.USER_DEPARTMENTS, managers, user_id=f"{people} + i", department_id=f"i % {departments} + 1", ordinal="0"
    )
    fill(schema.PIPELINES, 3, entity_type_id="2", id="i - 1", name="'Pipeline ' || i", sort="i", is_default="i = 1")
    stage = "CASE WHEN (i - 1) % 8 < 6 THEN 'S' || (i - 1) % 8 WHEN (i - 1) % 8 = 6 THEN 'WON' ELSE 'LOSE' END"
    fill(schema.STATUSES, 24, directory="'DEAL_STAGE_' || (i - 1) // 8", status_id=f"'C' || (i - 1) // 8 || ':' || {stage}",
         name=stage, sort="i", semantics="CASE (i - 1) % 8 WHEN 6 THEN 'S' WHEN 7 THEN 'F' ELSE 'P' END",
         entity_type_id="2", pipeline_id="(i - 1) // 8")  # fmt: skip
    fill(schema.STATUSES, 8, directory="'SOURCE'", status_id="'SRC' || i", name="'Source ' || i", sort="i")
    fill(
        schema.CURRENCIES,
        3,
        id="['RUB', 'USD', 'KZT'][i]",
        rate="[1, 90, 18][i]",
        rate_count="[1, 1, 100][i]",
        is_base="i = 1",
    )

    # A deal is created at an even pace; it lives up to 90 days; what would end after now is open.
    store.execute(
        f"""CREATE TEMP TABLE plan AS
        SELECT i, {start} + to_seconds(CAST(i * {span / deals} AS BIGINT)) AS born,
            {pick(1, 90 * 86_400)} AS life, {pick(2, 3)} AS pipeline, {people} + 1 + {pick(3, managers)} AS manager,
            CASE WHEN {pick(4, 100)} < 35 THEN 'S' ELSE 'F' END AS fate
        FROM (SELECT range + 1 AS i FROM range({deals})) AS numbers"""
    )
    store.execute(
        f"""INSERT INTO deals (portal, id, title, pipeline_id, stage_id, semantics, opportunity, currency_id, probability,
            assigned_by_id, created_by_id, modified_by_id, moved_by_id, created_at, modified_at, moved_at, closes_on, company_id,
            contact_id, lead_id, source_id, webform_id, is_recurring)
        SELECT '{PORTAL}', i, 'Deal ' || i, pipeline,
            'C' || pipeline || ':' || CASE WHEN open THEN 'S' || {pick(5, 6)} WHEN fate = 'S' THEN 'WON' ELSE 'LOSE' END,
            CASE WHEN open THEN 'P' ELSE fate END, 1000 + {pick(6, 500_000)}, ['RUB', 'RUB', 'RUB', 'USD', 'KZT'][{pick(7, 5)} + 1],
            NULL, manager, 1, manager, manager, born, least(born + to_seconds(life), TIMESTAMPTZ '{end}'),
            least(born + to_seconds(life), TIMESTAMPTZ '{end}'), CAST(born + to_seconds(life) AS DATE), {pick(8, deals // 4)} + 1,
            {pick(9, deals // 3)} + 1, 0, 'SRC' || ({pick(10, 8)} + 1), 1, FALSE
        FROM (SELECT *, born + to_seconds(life) > TIMESTAMPTZ '{end}' AS open FROM plan) AS lives"""
    )
    store.execute(
        f"""INSERT INTO stage_moves (portal, entity_type_id, id, kind, owner_id, created_at, pipeline_id, stage_id, semantics)
        SELECT '{PORTAL}', 2, row_number() OVER (ORDER BY moved, i, n), CASE n WHEN 0 THEN 1 WHEN 4 THEN 3 ELSE 2 END, i, moved,
            pipeline, 'C' || pipeline || ':' || CASE WHEN n < 4 THEN 'S' || n WHEN fate = 'S' THEN 'WON' ELSE 'LOSE' END,
            CASE WHEN n < 4 THEN 'P' ELSE fate END
        FROM (SELECT *, born + to_seconds(life * n // 4) AS moved FROM plan, (SELECT range AS n FROM range(5)) AS steps) AS moves
        WHERE moved <= TIMESTAMPTZ '{end}'"""
    )
    store.execute(
        f"""INSERT INTO deal_closings (portal, deal_id, semantics, manager_id, department_id, opportunity, currency_id, rate,
            rate_count, observed_at)
        SELECT '{PORTAL}', d.id, d.semantics, d.assigned_by_id, (d.assigned_by_id - {people}) % {departments} + 1, d.opportunity,
            d.currency_id, c.rate, c.rate_count, d.moved_at
        FROM deals AS d JOIN currencies AS c ON c.id = d.currency_id WHERE d.semantics <> 'P'"""
    )
    # Activities: messages, meetings and calls of a deal, evenly over its first month; few are still to be done.
    store.execute(
        f"""CREATE TEMP TABLE deeds AS
        SELECT row_number() OVER (ORDER BY moment, i, n) AS id, i, n, moment, manager, {pick(11, 10, "i, n")} AS what
        FROM (SELECT *, born + to_seconds({pick(12, 30 * 86_400, "i, n")}) AS moment FROM plan, (SELECT range AS n FROM range(6)) AS s) AS p
        WHERE moment <= TIMESTAMPTZ '{end}'"""
    )
    store.execute(
        f"""INSERT INTO activities (portal, id, owner_type_id, owner_id, type_id, provider_id, provider_type_id, direction, completed, status,
            created_at, modified_at, starts_at, ends_at, deadline_at, completed_at, responsible_id, author_id, is_incoming_channel)
        SELECT '{PORTAL}', id, 2, i, CASE WHEN what < 4 THEN 2 WHEN what < 7 THEN 4 WHEN what < 8 THEN 1 ELSE 6 END,
            CASE WHEN what < 4 THEN 'VOXIMPLANT_CALL' WHEN what < 7 THEN 'CRM_EMAIL' WHEN what < 8 THEN 'CRM_MEETING'
                WHEN what < 9 THEN 'IMOPENLINES_SESSION' ELSE 'CRM_TODO' END,
            CASE WHEN what < 4 THEN 'CALL' WHEN what < 7 THEN 'EMAIL' ELSE 'X' END,
            CASE WHEN what IN (0, 4) THEN 1 ELSE 2 END, done, CASE WHEN done THEN 2 ELSE 1 END, moment, moment + INTERVAL '1 hour', moment,
            moment + INTERVAL '10 minute', moment + INTERVAL '1 day', CASE WHEN done THEN moment + INTERVAL '1 hour' END, manager, manager,
            what IN (0, 4)
        FROM (SELECT *, what < 9 OR {pick(13, 100, "id")} < 95 AS done FROM deeds) AS d"""
    )
    store.execute(f"INSERT INTO activity_bindings SELECT '{PORTAL}', id, 2, i FROM deeds")
    store.execute(
        f"INSERT INTO activity_bindings SELECT '{PORTAL}', id, 3, {pick(9, deals // 3)} + 1 FROM deeds WHERE what < 3"
    )
    store.execute(
        f"""INSERT INTO phone_calls (portal, id, call_id, category, type_id, user_id, line, phone_key, duration_seconds, started_at,
            failed_code, crm_entity_type_id, crm_entity_id, crm_activity_id, has_record)
        SELECT '{PORTAL}', row_number() OVER (ORDER BY d.moment, d.id, k), 'c' || d.id || '-' || k, 'external',
            CASE WHEN {pick(14, 10, "d.id, k")} < 7 THEN 1 ELSE 2 END, d.manager, 'line' || {pick(15, 4, "d.id")},
            'k' || {pick(16, deals, "d.i")}, CASE WHEN {pick(17, 10, "d.id, k")} < 6 THEN 10 + {pick(18, 600, "d.id, k")} ELSE 0 END,
            d.moment + to_seconds(k * 300), CASE WHEN {pick(17, 10, "d.id, k")} < 6 THEN '200' ELSE '304' END, 3,
            {pick(9, deals // 3, "d.i")} + 1, CASE WHEN d.what < 4 AND k = 0 THEN d.id END, TRUE
        FROM deeds AS d, (SELECT range AS k FROM range(2)) AS twice WHERE d.what < 5"""
    )
    fill(schema.COMPANIES, deals // 4, id="i", title="'Company ' || i", industry="['IT', 'TRADE', 'BUILD', ''][" + pick(19, 4) + " + 1]",
         assigned_by_id=f"{people} + 1 + {pick(20, managers)}", created_at=start, has_phone="TRUE", has_email=f"{pick(21, 2)} = 1")  # fmt: skip
    fill(schema.CONTACTS, deals // 3, id="i", name="'Name'", last_name="'Family ' || i", assigned_by_id=f"{people} + 1 + {pick(22, managers)}",
         created_at=start, has_phone=f"{pick(23, 10)} > 0", has_email=f"{pick(24, 2)} = 1", phone_in_comment="FALSE")  # fmt: skip
    fill(
        schema.CLIENT_KEYS,
        deals // 3,
        entity_type_id="3",
        entity_id="i",
        kind="'phone'",
        key=f"'k' || {pick(25, deals // 3)}",
    )
    store.execute(
        f"""INSERT INTO product_rows (portal, owner_type_id, owner_id, id, product_id, product_name, quantity, price, measure_code)
        SELECT '{PORTAL}', 2, id, id, id % 200, 'Product ' || id % 200, 1 + id % 5, opportunity / (1 + id % 5), 796
        FROM deals WHERE semantics = 'S'"""
    )
    store.execute(
        f"""INSERT INTO invoices (portal, id, title, pipeline_id, stage_id, opportunity, currency_id, assigned_by_id, created_at,
            modified_at, moved_at, begins_on, due_on, deal_id, company_id)
        SELECT '{PORTAL}', id, 'Invoice ' || id, 0, CASE WHEN id % 10 < 8 THEN 'DT31_1:P' ELSE 'DT31_1:S' END, opportunity, currency_id,
            assigned_by_id, moved_at, moved_at, moved_at, CAST(moved_at AS DATE), CAST(moved_at AS DATE) + 10, id, company_id
        FROM deals WHERE semantics = 'S'"""
    )
    store.execute(
        f"""INSERT INTO quotes (portal, id, title, stage_id, opportunity, currency_id, assigned_by_id, created_at, modified_at, closed, deal_id)
        SELECT '{PORTAL}', id, 'Quote ' || id, ['SENT', 'APPROVED', 'DECLAINED'][id % 3 + 1], opportunity, currency_id, assigned_by_id,
            created_at, created_at, id % 3 > 0, id FROM deals WHERE id % 5 = 0"""
    )
    store.execute(
        f"""INSERT INTO assignments (portal, entity_type_id, entity_id, changed_at, from_id, to_id, observed_at)
        SELECT '{PORTAL}', 2, id, moved_at, {people} + 1, assigned_by_id, moved_at FROM deals WHERE id % 20 = 0"""
    )
    store.checkpoint()


FEEDS = [
    "currencies", "statuses", "pipelines", "departments", "users", "deals", "leads", "deal_moves", "lead_moves", "activities",
    "phone_calls", "quotes", "invoices", "invoice_moves", "payments", "product_rows", "contacts", "companies", "tasks",
]  # fmt: skip


def bare_scan(store: DuckStore) -> None:
    """Every column that facts read, looked at once."""
    for table, columns in SCANNED.items():
        store.rows(f"SELECT {', '.join(f'count({column})' for column in columns.split(', '))} FROM {table}")
        store.rows(f"SELECT {', '.join(f'max({column})' for column in columns.split(', '))} FROM {table}")


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--managers", type=int, default=70)
    parser.add_argument("--departments", type=int, default=8)
    parser.add_argument("--deals", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--mirror", type=Path)
    parser.add_argument("--each", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.mirror or Path(folder) / "mirror.duckdb"
        fresh = not path.exists()
        store = DuckStore(path)
        if fresh:
            print(
                f"generated in {seconds(lambda: generate(store, given.managers, given.departments, given.deals)):.0f} s"
            )
        options = KpiOptions()
        rounds = [
            (seconds(lambda: bare_scan(store)), seconds(lambda: evaluate(store, PORTAL, now=NOW, options=options)))
            for _ in range(given.repeat)
        ]
        scan, whole = (statistics.median(column) for column in zip(*rounds, strict=True))
        snapshot = evaluate(store, PORTAL, now=NOW, options=options)
        counts = ", ".join(
            f"{store.rows(f'SELECT count(*) FROM {table}')[0][0]:,} {table}"
            for table in ("deals", "activities", "phone_calls", "stage_moves")
        )
        print(f"{given.managers} managers, {given.departments} departments, {counts}")
        print(f"{len(KPIS)} KPIs, {len(snapshot.absent)} absent, {len(snapshot.samples):,} samples")
        print(
            f"first round {rounds[0][1]:.2f} s; median of {given.repeat}: {whole:.2f} s; bare scan {scan:.2f} s; ratio {whole / scan:.1f}"
        )
        if given.each:
            alone = {
                kpi.id: seconds(partial(evaluate, store, PORTAL, [kpi], now=NOW, options=options))
                for kpi in KPIS.values()
            }
            for kpi_id, cost in sorted(alone.items(), key=lambda item: -item[1]):
                print(f"{cost:7.2f} s  {kpi_id}")
        store.close()


if __name__ == "__main__":
    main()
