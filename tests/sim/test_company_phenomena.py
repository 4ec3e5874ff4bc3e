"""Everything that a KPI measures happens in the practice company, about as often as it does in life."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest

from b24metrics.sim.company import Company, build

NOW = int(datetime(2025, 11, 21, 11, 20, tzinfo=UTC).timestamp())


@pytest.fixture(scope="module")
def town() -> duckdb.DuckDBPyConnection:
    """Forty managers in six departments and eight months."""
    connection = duckdb.connect()
    build(connection, Company(now=NOW, managers=40, departments=6, months=8))
    connection.execute("""CREATE TEMP VIEW opened AS SELECT * FROM deal WHERE NOT "CLOSED" AND NOT "IS_RECURRING" """)
    connection.execute(
        """CREATE TEMP VIEW won AS SELECT * FROM deal WHERE "STAGE_SEMANTIC_ID" = 'S' AND NOT "IS_RECURRING" """
    )
    connection.execute(
        """CREATE TEMP VIEW lost AS SELECT * FROM deal WHERE "STAGE_SEMANTIC_ID" = 'F' AND NOT "IS_RECURRING" """
    )
    connection.execute("""CREATE TEMP VIEW history AS SELECT *, row_number() OVER w AS place, lag("STAGE_SEMANTIC_ID") OVER w AS before FROM stage_history
        WHERE "ENTITY_TYPE_ID" = 2 WINDOW w AS (PARTITION BY "OWNER_ID" ORDER BY "ID")""")  # fmt: skip
    connection.execute(
        """CREATE TEMP VIEW outside AS SELECT * FROM phone_call WHERE "CALL_CATEGORY" <> 'internal' AND "CALL_TYPE" <> 5"""
    )
    return connection


def one(connection: duckdb.DuckDBPyConnection, sql: str):
    return connection.execute(sql).fetchone()[0]


#: What, of what, share from … to …; each row is one phenomenon.
SHARES = [
    ("recurring templates", "deal", '"IS_RECURRING"', 0.0005, 0.01),
    ("imported deals", "deal", "\"ORIGINATOR_ID\" = '1C'", 0.05, 0.12),
    ("test records", "deal", "regexp_matches(\"TITLE\", '(?i)(^|[^а-яёa-z])(тест|test)([^а-яёa-z]|$)')", 0.001, 0.01),
    ("deals born of leads", "deal", '"LEAD_ID" IS NOT NULL', 0.3, 0.65),
    ("returning customers", "deal", '"IS_RETURN_CUSTOMER"', 0.08, 0.4),
    ("deals without a client", "deal", 'coalesce("COMPANY_ID", 0) = 0 AND coalesce("CONTACT_ID", 0) = 0', 0.001, 0.03),
    ("deals without a source", "deal", '"SOURCE_ID" IS NULL', 0.005, 0.06),
    ("foreign currencies", "deal", "\"CURRENCY_ID\" <> 'RUB'", 0.02, 0.08),
    ("wins", "deal", "\"STAGE_SEMANTIC_ID\" = 'S'", 0.35, 0.6),
    ("open deals", "deal", 'NOT "CLOSED"', 0.03, 0.15),
    ("several pipelines", "deal", '"CATEGORY_ID" <> 0', 0.2, 0.5),
    ("wins without an amount", "won", '"OPPORTUNITY" = 0', 0.002, 0.02),
    ("closing date overwritten", "won", "\"CLOSEDATE\" = (to_timestamp(\"MOVED_TIME\") AT TIME ZONE 'Europe/Moscow')::DATE", 0.75, 0.98),
    ("losses with a reason", "lost", '"UF" LIKE \'%UF_CRM_LOSS_REASON%\'', 0.75, 0.97),
    ("losses in other failure stages", "lost", "\"STAGE_ID\" NOT LIKE '%LOSE'", 0.1, 0.4),
    ("expected date in the past", "opened", "\"CLOSEDATE\" < DATE '2025-11-21'", 0.1, 0.6),
    ("open without an amount", "opened", '"OPPORTUNITY" = 0', 0.02, 0.35),
    ("open deals stale for three weeks", "opened", f'"LAST_ACTIVITY_TIME" < {NOW} - 21 * 86400', 0.01, 0.25),
    ("leads converted", "lead", "\"STATUS_SEMANTIC_ID\" = 'S'", 0.3, 0.5),
    ("leads junk", "lead", "\"STATUS_ID\" = 'JUNK'", 0.3, 0.6),
    ("leads from open lines", "lead", "\"SOURCE_ID\" LIKE '%|%'", 0.1, 0.25),
    ("leads from forms", "lead", '"WEBFORM_ID" > 0', 0.3, 0.6),
    ("leads untouched", "lead", "\"STATUS_ID\" = 'NEW'", 0.003, 0.05),
    ("leads on days off", "lead", "isodow(to_timestamp(\"DATE_CREATE\") AT TIME ZONE 'Europe/Moscow') > 5", 0.04, 0.2),
    ("returning leads", "lead", '"IS_RETURN_CUSTOMER"', 0.02, 0.08),
    ("contacts without a phone", "contact", 'NOT "HAS_PHONE"', 0.03, 0.2),
    ("phones in comments", "contact", "NOT \"HAS_PHONE\" AND regexp_matches(\"COMMENTS\", '8 \\d{3} \\d{3}-\\d\\d-\\d\\d')", 0.01, 0.08),
    ("lower-case names", "contact", "regexp_matches(\"NAME\", '^[а-яё]')", 0.02, 0.15),
    ("missed incoming calls", "outside", "\"CALL_TYPE\" IN (2, 3) AND \"CALL_FAILED_CODE\" <> '200'", 0.01, 0.12),
    ("incoming calls", "outside", '"CALL_TYPE" IN (2, 3)', 0.1, 0.35),
    ("connected dials", "outside", "\"CALL_TYPE\" IN (1, 4) AND \"CALL_FAILED_CODE\" = '200'", 0.3, 0.6),
    ("calls given up", "outside", "\"CALL_FAILED_CODE\" = '603-S'", 0.005, 0.05),
    ("callbacks", "outside", '"CALL_TYPE" = 4', 0.005, 0.05),
    ("rated calls", "outside", '"CALL_VOTE" > 0', 0.003, 0.05),
    ("recorded conversations", "outside", '"RECORD_DURATION" > 0', 0.35, 0.65),
    ("transcribed conversations", "outside", '"TRANSCRIPT_ID" IS NOT NULL', 0.02, 0.15),
    ("calls outside of working hours", "outside", "hour(to_timestamp(\"CALL_START_DATE\") AT TIME ZONE 'Europe/Moscow') NOT BETWEEN 5 AND 19", 0.0005, 0.02),
    ("information calls", "phone_call", '"CALL_TYPE" = 5', 0.0005, 0.02),
    ("internal calls", "phone_call", "\"CALL_CATEGORY\" = 'internal'", 0.0005, 0.02),
    ("activities without a deadline", "activity", '"DEADLINE" IS NULL AND "PROVIDER_ID" = \'CRM_TODO\'', 0.002, 0.03),
    ("activities completed by the robot", "activity", '"STATUS" = 3', 0.005, 0.1),
    ("no-shows", "activity", f'"PROVIDER_ID" = \'CRM_MEETING\' AND NOT "COMPLETED" AND "START_TIME" < {NOW}', 0.0005, 0.01),
    ("busy times that are no absence", "accessibility", "\"ACCESSIBILITY\" = 'busy'", 0.02, 0.7),
    ("people in two departments", '"user"', 'len("UF_DEPARTMENT") = 2', 0.005, 0.15),
    ("people without a zone", '"user"', '"TIME_ZONE" = \'\'', 0.2, 0.6),
    ("people in another zone", '"user"', "\"TIME_ZONE\" NOT IN ('', 'Europe/Moscow')", 0.05, 0.3),
    ("dismissed people", '"user"', 'NOT "ACTIVE"', 0.03, 0.3),
    ("invoices paid", "invoice", "\"STAGE_ID\" LIKE '%:P'", 0.6, 0.92),
    ("invoices unpaid and overdue", "invoice", "\"STAGE_ID\" LIKE '%:S' AND \"CLOSEDATE\" < DATE '2025-11-21'", 0.02, 0.2),
    ("payments in parts", "payment", "\"ACCOUNT_NUMBER\" LIKE '%/1'", 0.1, 0.4),
    ("quotes accepted", "quote", "\"STATUS_ID\" = 'APPROVED'", 0.25, 0.55),
    ("amounts typed in by hand", "deal", '"IS_MANUAL_OPPORTUNITY"', 0.1, 0.2),
]  # fmt: skip


@pytest.mark.parametrize(("what", "table", "which", "low", "high"), SHARES, ids=[row[0] for row in SHARES])
def test_it_happens_about_as_often_as_in_life(town, what: str, table: str, which: str, low: float, high: float) -> None:
    share = one(town, f"SELECT avg((coalesce({which}, FALSE))::INTEGER) FROM {table}")
    assert low <= share <= high, (what, share)


def test_deals_skip_stages_come_back_and_change_pipelines(town) -> None:
    deals = one(town, "SELECT count(*) FROM deal")
    reopened = one(
        town,
        """SELECT count(DISTINCT "OWNER_ID") FROM history WHERE before IN ('S', 'F') AND "STAGE_SEMANTIC_ID" = 'P' """,
    )
    moved = one(town, """SELECT count(*) FROM history WHERE "TYPE_ID" = 5""")
    born_closed = one(
        town,
        """SELECT count(*) FROM history h JOIN deal d ON d."ID" = "OWNER_ID" WHERE place = 1 AND h."STAGE_SEMANTIC_ID" <> 'P' AND "ORIGINATOR_ID" IS NULL""",
    )
    skipped = one(
        town,
        """SELECT count(*) FROM won d WHERE "CATEGORY_ID" = 0 AND "ORIGINATOR_ID" IS NULL AND NOT EXISTS (SELECT 1 FROM history h WHERE h."OWNER_ID" = d."ID" AND h."STAGE_ID" = 'EXECUTING')""",
    )
    for count, low, high in (
        (reopened, 0.005, 0.05),
        (moved, 0.005, 0.05),
        (born_closed, 0.003, 0.04),
        (skipped, 0.02, 0.25),
    ):
        assert low <= count / deals <= high


def test_an_import_is_a_burst_of_the_robot(town) -> None:
    """Fifty and more by one author within a minute: the import rule of the reports must see it."""
    burst = one(
        town,
        """SELECT max(n) FROM (SELECT count(*) OVER (PARTITION BY "CREATED_BY_ID" ORDER BY "DATE_CREATE" RANGE BETWEEN CURRENT ROW AND 60 FOLLOWING) AS n FROM deal WHERE "CREATED_BY_ID" = 1)""",
    )
    assert burst >= 50
    fair = one(
        town,
        """SELECT max(n) FROM (SELECT count(*) OVER (PARTITION BY "CREATED_BY_ID" ORDER BY "DATE_CREATE" RANGE BETWEEN CURRENT ROW AND 60 FOLLOWING) AS n FROM lead WHERE "ORIGINATOR_ID" = 'EXPO')""",
    )
    assert fair >= 50
    assert (
        one(
            town,
            """SELECT count(*) FROM deal WHERE "ORIGINATOR_ID" = '1C' AND "STAGE_SEMANTIC_ID" = 'S' AND "CLOSEDATE" < (to_timestamp("DATE_CREATE") AT TIME ZONE 'Europe/Moscow')::DATE""",
        )
        > 50
    )


def test_open_deals_have_next_steps_overdue_steps_or_none(town) -> None:
    with_step, overdue = town.execute(f"""SELECT avg((s.o IS NOT NULL)::INTEGER), avg((coalesce(s.late, 0) > 0)::INTEGER) FROM opened d LEFT JOIN (
        SELECT b."OWNER_ID" AS o, count(*) FILTER (a."DEADLINE" < {NOW}) AS late FROM activity_binding b JOIN activity a ON a."ID" = b."ACTIVITY_ID"
        WHERE b."OWNER_TYPE_ID" = 2 AND NOT a."COMPLETED" AND NOT a."IS_INCOMING_CHANNEL" GROUP BY ALL) s ON s.o = d."ID" """).fetchone()  # fmt: skip
    assert 0.6 <= with_step <= 0.95
    assert 0.03 <= overdue <= 0.3


def test_customers_come_back_at_very_different_rates(town) -> None:
    """A few buy again and again, most once: the tail that BG/NBD wants; and enough of them to fit it."""
    town.execute("""CREATE OR REPLACE TEMP VIEW buyers AS SELECT coalesce(nullif("COMPANY_ID", 0), -"CONTACT_ID") AS client, count(*) AS n FROM won
        WHERE coalesce("COMPANY_ID", 0) > 0 OR coalesce("CONTACT_ID", 0) > 0 GROUP BY ALL""")  # fmt: skip
    buyers, repeaters, most = town.execute("SELECT count(*), count(*) FILTER (n > 1), max(n) FROM buyers").fetchone()
    assert buyers >= 200
    assert 0.08 <= repeaters / buyers <= 0.4
    assert 8 <= most <= 80
    tenth = one(
        town, "SELECT sum(n) FROM (SELECT n FROM buyers ORDER BY n DESC LIMIT (SELECT count(*) // 10 FROM buyers))"
    )
    assert 0.2 <= tenth / one(town, "SELECT sum(n) FROM buyers") <= 0.6


def test_missed_calls_are_mostly_returned(town) -> None:
    """Of the missed numbers most are reached later; some never; the quick ones within an hour."""
    missed, returned, quick = town.execute("""
        SELECT count(*), count(*) FILTER (back IS NOT NULL), count(*) FILTER (back < 3600) FROM (
            SELECT m."ID", min(r."CALL_START_DATE") - any_value(m."CALL_START_DATE") AS back FROM outside m LEFT JOIN outside r
                ON r."PHONE_NUMBER" = m."PHONE_NUMBER" AND r."CALL_START_DATE" > m."CALL_START_DATE" AND r."CALL_START_DATE" < m."CALL_START_DATE" + 7 * 86400 AND r."CALL_TYPE" IN (1, 4)
            WHERE m."CALL_TYPE" IN (2, 3) AND m."CALL_FAILED_CODE" = '304' AND m."PHONE_NUMBER" <> '' GROUP BY ALL)""").fetchone()  # fmt: skip
    assert 0.6 <= returned / missed <= 0.97
    assert 0.1 <= quick / missed <= 0.8


def test_legs_of_a_call_share_its_number(town) -> None:
    """Transfers and colleagues who did not pick up make a second row with one CALL_ID."""
    legs = one(
        town,
        'SELECT count(*) FROM (SELECT "CALL_ID" FROM phone_call GROUP BY ALL HAVING count(*) > 1 AND count(DISTINCT "PORTAL_USER_ID") > 1)',
    )
    transferred = one(
        town,
        """SELECT count(*) FROM (SELECT "CALL_ID" FROM phone_call GROUP BY ALL HAVING count(*) FILTER ("CALL_FAILED_CODE" = '200') > 1)""",
    )
    assert legs > 100
    assert 0.05 <= transferred / legs <= 0.9


def test_people_are_different(town) -> None:
    """The dialler reaches few, the brief one cannot keep a client on the line, the lazy one hardly dials, the star reacts first."""
    # Per working day compared with the solid ones of the same trade: wholesale dials less than the cold callers.
    rows = town.execute("""
        WITH people AS (
            SELECT user_id, trade, temper, count(*) / count(DISTINCT "CALL_START_DATE" // 86400) AS per_day, avg(("CALL_FAILED_CODE" = '200')::INTEGER) FILTER ("CALL_TYPE" = 1) AS connect,
                median("CALL_DURATION") FILTER ("CALL_DURATION" > 0) AS talk
            FROM outside JOIN backstage.person ON user_id = "PORTAL_USER_ID" WHERE kind = 'seller' AND NOT is_head GROUP BY ALL
        )
        SELECT p.temper, avg(p.per_day / s.per_day), avg(p.connect), avg(p.talk) FROM people p JOIN (SELECT trade, avg(per_day) AS per_day FROM people WHERE temper = 'solid' GROUP BY ALL) s USING (trade) GROUP BY ALL
    """).fetchall()  # fmt: skip
    tempers = {temper: measures for temper, *measures in rows}
    usual = tempers["solid"]
    assert {"star", "solid", "lazy", "dialler", "brief", "talker"} >= tempers.keys()
    for temper, (per_day, connect, talk) in tempers.items():
        if temper == "dialler":
            # only one or two of them here: the number of their dials is a matter of luck, reaching few is not
            assert per_day > 0.9 * usual[0]
            assert connect < 0.6 * usual[1]
        if temper == "brief":
            assert talk < 0.5 * usual[2]
        if temper == "talker":
            assert talk > 1.4 * usual[2]
        if temper == "lazy":
            assert per_day < 0.8 * usual[0]


def test_reactions_are_log_normal_with_a_long_tail(town) -> None:
    """First dial after a web lead: median some tens of minutes, p90 hours, a few never."""
    median, p90, never = town.execute("""SELECT quantile_cont(wait, 0.5), quantile_cont(wait, 0.9), avg((wait IS NULL)::INTEGER) FROM (
        SELECT l."ID", min(c."CALL_START_DATE") - any_value(l."DATE_CREATE") AS wait FROM lead l LEFT JOIN phone_call c ON c."CRM_ENTITY_TYPE" = 'LEAD' AND c."CRM_ENTITY_ID" = l."ID" AND c."CALL_TYPE" = 1
        WHERE l."SOURCE_ID" = 'WEBFORM' AND hour(to_timestamp(l."DATE_CREATE") AT TIME ZONE 'Europe/Moscow') BETWEEN 10 AND 14
            AND isodow(to_timestamp(l."DATE_CREATE") AT TIME ZONE 'Europe/Moscow') < 6 GROUP BY ALL)""").fetchone()  # fmt: skip
    assert 600 <= median <= 7200
    assert p90 > 3 * median
    assert 0.02 <= never <= 0.3


def test_colleagues_sometimes_ring_first(town) -> None:
    """A lead is rung by somebody else before its own manager reacts."""
    others = one(
        town,
        """SELECT count(DISTINCT l."ID") FROM lead l JOIN phone_call c ON c."CRM_ENTITY_TYPE" = 'LEAD' AND c."CRM_ENTITY_ID" = l."ID"
        JOIN "user" u ON u."ID" = l."ASSIGNED_BY_ID" WHERE c."PORTAL_USER_ID" <> l."ASSIGNED_BY_ID" AND c."CALL_TYPE" = 1 AND u."ACTIVE" """,
    )
    assert 0.005 <= others / one(town, "SELECT count(*) FROM lead") <= 0.05


def test_one_funnel_is_broken_after_the_offer(town) -> None:
    """The wholesale pipeline loses most of its deals at the offer; its other stages convert evenly."""
    reached = dict(
        town.execute(
            """SELECT "STAGE_ID", count(DISTINCT "OWNER_ID") FROM history WHERE "CATEGORY_ID" = 3 GROUP BY ALL"""
        ).fetchall()
    )
    offer, contract = reached["C3:PREPARATION"], reached["C3:PREPAYMENT_INVOIC"]
    assert contract / offer < 0.6
    assert offer / reached["C3:UC_4TZQ1B"] > 0.65


def test_rows_change_late_and_share_seconds(town) -> None:
    """A night job touched deals within one second: cursors by DATE_MODIFY meet ties."""
    assert one(town, 'SELECT max(n) FROM (SELECT count(*) AS n FROM deal GROUP BY "DATE_MODIFY")') >= 5


def test_months_look_like_business(town) -> None:
    """Revenue of whole months stays within a factor of two and a half of its median; a manager wins several deals a month."""
    months = [revenue for (revenue,) in town.execute("""SELECT sum("OPPORTUNITY")::DOUBLE FROM won WHERE "MOVED_TIME" >= "DATE_CREATE" AND "CURRENCY_ID" = 'RUB'
        AND (to_timestamp("MOVED_TIME") AT TIME ZONE 'Europe/Moscow') BETWEEN '2025-04-01' AND '2025-11-01'
        GROUP BY date_trunc('month', to_timestamp("MOVED_TIME") AT TIME ZONE 'Europe/Moscow') ORDER BY 1""").fetchall()]  # fmt: skip
    assert 7 == len(months)
    middle = months[3]
    assert all(middle / 2.5 <= revenue <= middle * 2.5 for revenue in months)
    wins = one(town, """SELECT count(*) FROM won WHERE "ORIGINATOR_ID" IS NULL""") / 40 / 8
    assert 4 <= wins <= 16


def test_today_is_half_done(town) -> None:
    """At 14:20 the day holds less than a full one, but not nothing."""
    start = int(datetime(2025, 11, 20, 21, 0, tzinfo=UTC).timestamp())
    days = one(
        town,
        f"SELECT count(DISTINCT on_date) FROM backstage.work_day WHERE opens_at BETWEEN {start} - 30 * 86400 AND {start}",
    )
    for table, column in (
        ("phone_call", "CALL_START_DATE"),
        ("activity", "CREATED"),
        ("lead", "DATE_CREATE"),
        ("deal", "DATE_CREATE"),
    ):
        today = one(town, f'SELECT count(*) FROM {table} WHERE "{column}" >= {start}')
        usual = (
            one(town, f'SELECT count(*) FROM {table} WHERE "{column}" BETWEEN {start} - 30 * 86400 AND {start}') / days
        )
        assert 0.25 * usual < today < 0.95 * usual, (table, today, usual)
