"""The practice company: one seed, one company; every reference resolves; nothing but plans lies in the future."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest

from b24metrics.sim import tables
from b24metrics.sim.company import Company, build, plans_csv

#: A Friday, 14:20 in Moscow, with a public holiday and a working Saturday behind it.
NOW = int(datetime(2025, 11, 21, 11, 20, tzinfo=UTC).timestamp())


def built(threads: int = 2, **options) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": threads})
    build(connection, Company(now=NOW, **options))
    return connection


@pytest.fixture(scope="module")
def town() -> duckdb.DuckDBPyConnection:
    """A company of 24 managers and half a year."""
    return built(managers=24, departments=6, months=6)


def one(connection: duckdb.DuckDBPyConnection, sql: str):
    return connection.execute(sql).fetchone()[0]


def digests(connection: duckdb.DuckDBPyConnection) -> dict[str, object]:
    """Rows and their physical order, table by table."""
    return {
        table.name: connection.execute(
            f'SELECT count(*), bit_xor(hash(t.rowid, t)), bit_xor(hash(t)) FROM "{table.name}" t'
        ).fetchone()
        for table in tables.TABLES
    }


def test_one_seed_makes_one_company_on_any_number_of_threads() -> None:
    """Same options, same rows in the same order, whatever the machine."""
    options = {"managers": 7, "departments": 3, "months": 2}
    assert digests(built(threads=1, **options)) == digests(built(threads=4, **options))


def test_another_seed_makes_another_company() -> None:
    """Everything that chance decides differs; the dictionaries are the same."""
    options = {"managers": 7, "departments": 3, "months": 2}
    one_company, other = digests(built(seed=1, **options)), digests(built(seed=2, **options))
    same = {name for name in one_company if one_company[name] == other[name]}
    empty = {name for name, (count, *_) in one_company.items() if count == 0}
    assert {"status", "category", "currency", "userfield", "userfield_enum", "product", "schedule"} | empty == same - {
        "department",
        "openline",
    }


def test_dismissed_people_left_deals_behind(town) -> None:
    """Some open deals are with the heirs, some still with those who are gone."""
    assert (
        one(
            town,
            """SELECT count(*) FROM deal d JOIN "user" u ON u."ID" = d."ASSIGNED_BY_ID" WHERE NOT u."ACTIVE" AND d."CLOSED" """,
        )
        > 0
    )
    big = built(managers=60, departments=2, months=3, talk=0.2)
    assert (
        one(
            big,
            """SELECT count(*) FROM deal d JOIN "user" u ON u."ID" = d."ASSIGNED_BY_ID" WHERE NOT u."ACTIVE" AND NOT d."CLOSED" """,
        )
        > 0
    )
    assert (
        one(
            big,
            """SELECT count(*) FROM deal d JOIN "user" u ON u."ID" = d."ASSIGNED_BY_ID" WHERE u."DATE_REGISTER" > d."DATE_CREATE" """,
        )
        > 0
    )


@pytest.mark.parametrize(
    ("managers", "departments", "months", "deals"),
    [(1, 1, 1, 3), (1, 1, 1, 0), (1, 1, 2, 1), (2, 2, 1, 17), (5, 5, 14, 100), (3, 1, 3, None), (130, 14, 1, 900)],
)
def test_any_size_builds_with_exactly_the_deals_asked_for(
    managers: int, departments: int, months: int, deals: int | None
) -> None:
    connection = built(managers=managers, departments=departments, months=months, deals=deals, talk=0.3)
    expected = deals if deals is not None else 24 * managers * months
    assert expected == one(connection, "SELECT count(*) FROM deal")
    sales = one(connection, "SELECT count(DISTINCT department_id) FROM backstage.person WHERE kind = 'seller'")
    assert (departments, managers) == (
        sales,
        one(connection, "SELECT count(*) FROM backstage.person WHERE kind = 'seller' AND active"),
    )


def test_five_thousand_managers_fit(  # the scaled-down check: many people, few records
) -> None:
    connection = built(managers=5000, departments=60, months=1, deals=2000, talk=0.01)
    assert 5000 == one(
        connection,
        """SELECT count(*) FROM "user" u WHERE u."ACTIVE" AND list_has_any("UF_DEPARTMENT", (SELECT list(d."ID") FROM department d WHERE d."PARENT" IN (SELECT "ID" FROM department WHERE "PARENT" = 3) OR d."PARENT" = 3))""",
    )
    assert 2000 == one(connection, "SELECT count(*) FROM deal")


def test_the_simple_mode_has_no_leads(town) -> None:
    """Requests are deals at once, made by the robot and waiting in the first stage."""
    simple = built(managers=8, departments=2, months=2, classic=False)
    assert (2, 0, 384) == simple.execute(
        "SELECT (SELECT any_value(CRM_MODE) FROM settings), (SELECT count(*) FROM lead), (SELECT count(*) FROM deal)"
    ).fetchone()
    asked = one(
        simple,
        """SELECT count(*) FROM deal WHERE "CREATED_BY_ID" = 1 AND "ORIGINATOR_ID" IS NULL AND "SOURCE_ID" = 'WEBFORM' AND "WEBFORM_ID" > 0""",
    )
    assert 20 <= asked <= 120
    assert 0 == one(simple, """SELECT count(*) FROM phone_call WHERE "CRM_ENTITY_TYPE" = 'LEAD' """)
    assert (
        one(simple, """SELECT count(*) FROM activity WHERE "PROVIDER_ID" = 'CRM_WEBFORM' AND "OWNER_TYPE_ID" = 2""")
        > 20
    )
    assert one(town, "SELECT any_value(CRM_MODE) FROM settings") == 1


def test_another_base_currency_and_zone() -> None:
    """Amounts are worth the same; the base has rate 1; days are those of the portal's wall."""
    abroad = built(managers=5, departments=1, months=1, base_currency="KZT", zone="Asia/Almaty")
    assert [("KZT", 1, 1)] == abroad.execute(
        'SELECT "CURRENCY", "AMOUNT_CNT", "AMOUNT"::INTEGER FROM currency WHERE "BASE"'
    ).fetchall()
    home = built(managers=5, departments=1, months=1)
    middle = [
        one(
            c,
            """SELECT median("OPPORTUNITY")::DOUBLE FROM deal WHERE "OPPORTUNITY" > 0 AND "CURRENCY_ID" = (SELECT any_value(BASE_CURRENCY) FROM settings)""",
        )
        for c in (abroad, home)
    ]
    assert middle[0] == pytest.approx(middle[1] / 0.1743, rel=0.35)
    hours = one(
        abroad,
        """SELECT count(*) FROM phone_call WHERE "CALL_TYPE" = 1 AND hour(to_timestamp("CALL_START_DATE") AT TIME ZONE 'Asia/Almaty') NOT BETWEEN 9 AND 20""",
    )
    assert 0 == hours


def test_plans_are_csv_per_manager_and_month(town) -> None:
    """Every month of employment has a plan; people reach 40 to 130 per cent of it as a rule."""
    header, *lines = plans_csv(town).splitlines()
    assert "kpi_id,level,subject_id,month,amount" == header
    rows = [line.split(",") for line in lines]
    assert {("revenue_won", "M")} == {(kpi, level) for kpi, level, *_ in rows}
    assert {f"2025-{month:02}-01" for month in range(5, 12)} == {month for *_, month, _ in rows}
    assert all(float(amount) > 0 for *_, amount in rows)
    shares = [
        share
        for (share,) in town.execute("""
        SELECT coalesce(r.amount, 0) / p.amount FROM backstage.plan p LEFT JOIN (
            SELECT d."ASSIGNED_BY_ID" AS u, date_trunc('month', to_timestamp(d."MOVED_TIME") AT TIME ZONE 'Europe/Moscow')::DATE AS m,
                sum("OPPORTUNITY"::DOUBLE * c."AMOUNT"::DOUBLE / c."AMOUNT_CNT") AS amount
            FROM deal d JOIN currency c ON c."CURRENCY" = d."CURRENCY_ID" WHERE "STAGE_SEMANTIC_ID" = 'S' GROUP BY ALL) r ON r.u = p.user_id AND r.m = p.month
        WHERE p.month BETWEEN DATE '2025-07-01' AND DATE '2025-10-01'""").fetchall()
    ]
    usual = sum(0.4 <= share <= 1.3 for share in shares) / len(shares)
    assert usual > 0.6
    assert 0.75 <= sum(shares) / len(shares) <= 1.1


def test_a_second_build_is_refused_and_a_failed_one_leaves_nothing() -> None:
    connection = built(managers=1, departments=1, months=1, deals=3)
    with pytest.raises(ValueError, match="already holds"):
        build(connection, Company(now=NOW))
    broken = duckdb.connect()

    def trip(part: str) -> None:
        if part == "papers":
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        build(broken, Company(now=NOW, managers=2, departments=1, months=1), trip)
    assert 0 == one(broken, 'SELECT count(*) FROM "user"')
    build(broken, Company(now=NOW, managers=2, departments=1, months=1))
    assert [] == broken.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall()


@pytest.mark.parametrize(
    "wrong",
    [
        {"managers": 0},
        {"departments": 71},
        {"months": 0},
        {"deals": -1},
        {"scale": 0},
        {"talk": -1},
        {"base_currency": "GBP"},
    ],
)
def test_impossible_companies_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"must be|not negative"):
        Company(now=NOW, **wrong)


def test_the_report_counts_what_is_there() -> None:
    connection = duckdb.connect()
    report = build(connection, Company(now=NOW, managers=2, departments=1, months=1))
    assert report.rows["deal"] == one(connection, "SELECT count(*) FROM deal") == 48
    assert report.total == sum(one(connection, f'SELECT count(*) FROM "{table.name}"') for table in tables.TABLES)
