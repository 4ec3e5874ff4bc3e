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


def test_ids_ascend_in_the_order_of_creation(town) -> None:
    """A record made later has a larger number, and rows lie in the order of their numbers."""
    made = {
        "lead": "DATE_CREATE", "deal": "DATE_CREATE", "contact": "DATE_CREATE", "quote": "DATE_CREATE", "invoice": "DATE_CREATE",
        "activity": "CREATED", "task": "CREATED_DATE", "timeline_comment": "CREATED", "user": "DATE_REGISTER", "openline_session": "STARTED_AT",
        "openline_message": "DATE", "workday": "STARTED_AT",
    }  # fmt: skip
    for table, column in made.items():
        late = one(town, f"""SELECT count(*) FROM (SELECT "ID", "{column}" AS moment, lag("ID") OVER (ORDER BY rowid) AS before, lag("{column}") OVER (ORDER BY rowid) AS earlier FROM "{table}")
            WHERE before >= "ID" OR earlier > moment""")  # fmt: skip
        assert (table, 0) == (table, late)
    own = one(
        town,
        """SELECT count(*) FROM (SELECT "DATE_CREATE" AS moment, lag("DATE_CREATE") OVER (ORDER BY "ID") AS earlier FROM company WHERE "ID" > 1) WHERE earlier > moment""",
    )
    assert 0 == own


def test_statistics_are_numbered_when_the_call_ends(town) -> None:
    """The portal writes a call when the receiver is down: numbers do not follow the starts."""
    out_of_order = one(
        town,
        """SELECT count(*) FROM (SELECT "CALL_START_DATE" AS moment, lag("CALL_START_DATE") OVER (ORDER BY "ID") AS before FROM phone_call) WHERE before > moment""",
    )
    assert out_of_order > 0
    # Rings last less than half a minute, so an end estimated from start and duration is nearly sorted.
    assert 0 == one(town, """SELECT count(*) FROM (SELECT "CALL_START_DATE" + "CALL_DURATION" AS moment, max("CALL_START_DATE" + "CALL_DURATION") OVER (ORDER BY "ID" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS latest FROM phone_call)
        WHERE latest - moment > 60""")  # fmt: skip


def test_history_is_numbered_per_entity_type_in_time_order(town) -> None:
    assert 0 == one(town, """SELECT count(*) FROM (SELECT "ID", "CREATED_TIME" AS moment, lag("ID", 1, 0) OVER w AS before, lag("CREATED_TIME") OVER w AS earlier
        FROM stage_history WINDOW w AS (PARTITION BY "ENTITY_TYPE_ID" ORDER BY rowid)) WHERE before + 1 <> "ID" OR earlier > moment""")  # fmt: skip


REFERENCES = [
    *((table, column, "user", "ID") for table in ("lead", "deal", "contact", "company", "quote", "invoice") for column in ("ASSIGNED_BY_ID", "CREATED_BY_ID", "MODIFY_BY_ID")),
    *((table, "MOVED_BY_ID", "user", "ID") for table in ("lead", "deal", "invoice")),
    *((table, "LAST_ACTIVITY_BY", "user", "ID") for table in ("lead", "deal")),
    *(("activity", column, "user", "ID") for column in ("RESPONSIBLE_ID", "AUTHOR_ID", "EDITOR_ID")),
    *(("task", column, "user", "ID") for column in ("RESPONSIBLE_ID", "CREATED_BY", "CHANGED_BY", "CLOSED_BY")),
    ("phone_call", "PORTAL_USER_ID", "user", "ID"), ("timeline_comment", "AUTHOR_ID", "user", "ID"), ("openline_session", "OPERATOR_ID", "user", "ID"),
    ("accessibility", "USER_ID", "user", "ID"), ("workday", "USER_ID", "user", "ID"), ("department", "UF_HEAD", "user", "ID"), ("department", "PARENT", "department", "ID"),
    *((table, "COMPANY_ID", "company", "ID") for table in ("lead", "deal", "contact", "quote", "invoice")),
    *((table, "CONTACT_ID", "contact", "ID") for table in ("lead", "deal", "quote", "invoice")),
    *((table, "MYCOMPANY_ID", "company", "ID") for table in ("quote", "invoice")),
    *((table, "LEAD_ID", "lead", "ID") for table in ("deal", "contact", "company")),
    ("quote", "DEAL_ID", "deal", "ID"), ("invoice", "PARENT_ID_2", "deal", "ID"), ("product_row", "OWNER_ID", "deal", "ID"), ("product_row", "PRODUCT_ID", "product", "ID"),
    ("payment", "OWNER_ID", "invoice", "ID"), ("activity_binding", "ACTIVITY_ID", "activity", "ID"), ("phone_call", "CRM_ACTIVITY_ID", "activity", "ID"),
    ("timeline_comment", "ENTITY_ID", "deal", "ID"), ("openline_message", "SESSION_ID", "openline_session", "ID"), ("openline_session", "CONFIG_ID", "openline", "ID"),
    ("openline_session", "DEAL_ID", "deal", "ID"), ("userfield_enum", "USER_FIELD_ID", "userfield", "ID"),
    *((table, "CURRENCY_ID", "currency", "CURRENCY") for table in ("deal", "lead", "quote", "invoice", "product")),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column", "target", "key"), REFERENCES, ids=lambda value: value)
def test_every_reference_resolves(town, table: str, column: str, target: str, key: str) -> None:
    assert 0 == one(
        town,
        f"""SELECT count(*) FROM "{table}" t WHERE t."{column}" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "{target}" r WHERE r."{key}" = t."{column}")""",
    )
    assert table in {"department"} or one(town, f'SELECT count("{column}") FROM "{table}"') > 0


def test_every_typed_reference_resolves(town) -> None:
    """Bindings, history owners, multifields, CRM entities of calls and chats, departments of users, sources."""
    entities = {1: "lead", 2: "deal", 3: "contact", 4: "company", 31: "invoice"}
    for number, table in entities.items():
        for source, kind, element in (
            ("activity_binding", "OWNER_TYPE_ID", "OWNER_ID"), ("activity", "OWNER_TYPE_ID", "OWNER_ID"), ("stage_history", "ENTITY_TYPE_ID", "OWNER_ID"),
            ("multifield", "ENTITY_TYPE_ID", "ELEMENT_ID"),
        ):  # fmt: skip
            assert 0 == one(
                town,
                f"""SELECT count(*) FROM {source} s WHERE "{kind}" = {number} AND NOT EXISTS (SELECT 1 FROM {table} t WHERE t."ID" = s."{element}")""",
            )
        code = table.upper()
        for source in ("phone_call", "openline_session"):
            assert 0 == one(
                town,
                f"""SELECT count(*) FROM {source} s WHERE "CRM_ENTITY_TYPE" = '{code}' AND NOT EXISTS (SELECT 1 FROM {table} t WHERE t."ID" = s."CRM_ENTITY_ID")""",
            )
    assert 0 == one(
        town,
        """SELECT count(*) FROM (SELECT unnest("UF_DEPARTMENT") AS d FROM "user") WHERE d NOT IN (SELECT "ID" FROM department)""",
    )
    assert 0 == one(
        town,
        """SELECT count(*) FROM (SELECT "SOURCE_ID" AS s FROM deal UNION SELECT "SOURCE_ID" FROM lead) WHERE s NOT IN (SELECT "STATUS_ID" FROM status WHERE "ENTITY_ID" = 'SOURCE')""",
    )
    assert 0 == one(
        town,
        """SELECT count(*) FROM quote WHERE "STATUS_ID" NOT IN (SELECT "STATUS_ID" FROM status WHERE "ENTITY_ID" = 'QUOTE_STATUS')""",
    )
    assert 0 == one(
        town,
        """SELECT count(*) FROM activity a WHERE "PROVIDER_ID" = 'TASKS' AND NOT EXISTS (SELECT 1 FROM task t WHERE t."ID" = a."ASSOCIATED_ENTITY_ID" AND t."RESPONSIBLE_ID" = a."RESPONSIBLE_ID")""",
    )
    assert 0 == one(
        town,
        """SELECT count(*) FROM activity a WHERE "PROVIDER_ID" = 'IMOPENLINES_SESSION' AND NOT EXISTS (SELECT 1 FROM openline_session s WHERE s."ID" = a."ASSOCIATED_ENTITY_ID")""",
    )


def test_the_activity_of_a_call_carries_its_call_id_and_its_owner(town) -> None:
    """ORIGIN_ID is VI_ and CALL_ID; every activity is bound to its owner."""
    assert 0 == one(
        town,
        """SELECT count(*) FROM phone_call c JOIN activity a ON a."ID" = c."CRM_ACTIVITY_ID" WHERE a."ORIGIN_ID" <> 'VI_' || c."CALL_ID" OR a."PROVIDER_ID" <> 'VOXIMPLANT_CALL' """,
    )
    assert 0 == one(
        town,
        """SELECT count(*) FROM activity a WHERE "PROVIDER_ID" = 'VOXIMPLANT_CALL' AND NOT EXISTS (SELECT 1 FROM phone_call c WHERE c."CRM_ACTIVITY_ID" = a."ID")""",
    )
    assert 0 == one(
        town,
        """SELECT count(*) FROM activity a WHERE NOT EXISTS (SELECT 1 FROM activity_binding b WHERE b."ACTIVITY_ID" = a."ID" AND b."OWNER_TYPE_ID" = a."OWNER_TYPE_ID" AND b."OWNER_ID" = a."OWNER_ID")""",
    )
    assert 0 == one(
        town,
        """SELECT count(*) FROM (SELECT "ACTIVITY_ID", "OWNER_TYPE_ID", "OWNER_ID" FROM activity_binding GROUP BY ALL HAVING count(*) > 1)""",
    )


SEMANTICS = """(SELECT CASE WHEN "ENTITY_ID" = 'STATUS' THEN 1 WHEN "ENTITY_ID" LIKE 'DEAL_STAGE%' THEN 2 ELSE 31 END AS entity, "STATUS_ID" AS stage, coalesce("SEMANTICS", 'P') AS sem,
    coalesce("CATEGORY_ID", 0) AS category FROM status WHERE "ENTITY_ID" = 'STATUS' OR "ENTITY_ID" LIKE 'DEAL_STAGE%' OR "ENTITY_ID" LIKE 'SMART_INVOICE%')"""


def test_history_rows_follow_the_rules_of_types(town) -> None:
    """Creation first and once, 2 to open stages, 3 to final ones, 5 exactly when the pipeline changes; every stage known."""
    town.execute(f"""CREATE OR REPLACE TEMP TABLE steps AS SELECT h.*, row_number() OVER w AS place, lag("CATEGORY_ID") OVER w AS from_category, lag("STAGE_ID") OVER w AS from_stage,
        lag("CREATED_TIME") OVER w AS earlier, s.sem
        FROM stage_history h LEFT JOIN {SEMANTICS} s ON s.entity = "ENTITY_TYPE_ID" AND s.stage = "STAGE_ID" AND s.category = "CATEGORY_ID"
        WINDOW w AS (PARTITION BY "ENTITY_TYPE_ID", "OWNER_ID" ORDER BY "CREATED_TIME", "ID")""")  # fmt: skip
    assert 0 == one(town, 'SELECT count(*) FROM steps WHERE sem IS NULL OR sem <> "STAGE_SEMANTIC_ID"')
    assert 0 == one(town, 'SELECT count(*) FROM steps WHERE (place = 1) <> ("TYPE_ID" = 1)')
    assert 0 == one(
        town, """SELECT count(*) FROM steps WHERE "TYPE_ID" = 2 AND sem <> 'P' OR "TYPE_ID" = 3 AND sem = 'P'"""
    )
    assert 0 == one(
        town, """SELECT count(*) FROM steps WHERE place > 1 AND ("TYPE_ID" = 5) <> ("CATEGORY_ID" <> from_category)"""
    )
    assert 0 == one(
        town, """SELECT count(*) FROM steps WHERE place > 1 AND ("STAGE_ID" = from_stage OR "CREATED_TIME" < earlier)"""
    )
    assert one(town, """SELECT count(*) FROM steps WHERE "TYPE_ID" = 5""") > 5


@pytest.mark.parametrize(
    ("entity", "table", "stage", "semantics"),
    [
        (1, "lead", "STATUS_ID", "STATUS_SEMANTIC_ID"),
        (2, "deal", "STAGE_ID", "STAGE_SEMANTIC_ID"),
        (31, "invoice", "STAGE_ID", None),
    ],
)
def test_a_record_stands_where_its_history_ends(
    town, entity: int, table: str, stage: str, semantics: str | None
) -> None:
    """Stage, pipeline, semantics and MOVED_TIME are those of the last row; created ≤ moved ≤ modified ≤ now."""
    town.execute(f"""CREATE OR REPLACE TEMP TABLE ends AS SELECT r.*, h.* EXCLUDE (owner) FROM {table} r LEFT JOIN (
        SELECT "OWNER_ID" AS owner, arg_max("STAGE_ID", "ID") AS last_stage, arg_max("STAGE_SEMANTIC_ID", "ID") AS last_sem, max("CREATED_TIME") AS last_at, min("CREATED_TIME") AS first_at, arg_max("CATEGORY_ID", "ID") AS last_category
        FROM stage_history WHERE "ENTITY_TYPE_ID" = {entity} GROUP BY ALL) h ON h.owner = r."ID" """)  # fmt: skip
    assert 0 == one(
        town,
        f'SELECT count(*) FROM ends WHERE last_stage IS DISTINCT FROM "{stage}" OR last_at <> "MOVED_TIME" OR first_at <> "DATE_CREATE"',
    )
    assert 0 == one(
        town,
        f'SELECT count(*) FROM ends WHERE NOT ("DATE_CREATE" <= "MOVED_TIME" AND "MOVED_TIME" <= "DATE_MODIFY" AND "DATE_MODIFY" <= {NOW})',
    )
    if semantics:
        assert 0 == one(town, f'SELECT count(*) FROM ends WHERE last_sem <> "{semantics}"')
    if entity == 2:
        assert 0 == one(
            town,
            """SELECT count(*) FROM ends WHERE last_category <> "CATEGORY_ID" OR "CLOSED" <> ("STAGE_SEMANTIC_ID" <> 'P')""",
        )
    if entity == 1:
        assert 0 == one(
            town,
            """SELECT count(*) FROM ends WHERE ("DATE_CLOSED" IS NULL) <> ("STATUS_SEMANTIC_ID" = 'P') OR "DATE_CLOSED" <> "MOVED_TIME" """,
        )


#: Columns that hold plans or other dates which may lie ahead.
AHEAD = {
    ("activity", "DEADLINE"),
    ("activity", "START_TIME"),
    ("activity", "END_TIME"),
    ("task", "DEADLINE"),
    ("accessibility", "FROM_AT"),
    ("accessibility", "TO_AT"),
}


def test_nothing_but_plans_lies_in_the_future(town) -> None:
    for table in tables.TABLES:
        for field in table.stored:
            if field.kind is tables.Kind.INSTANT and (table.name, field.name) not in AHEAD:
                assert (table.name, field.name, 0) == (
                    table.name,
                    field.name,
                    one(town, f'SELECT count(*) FROM "{table.name}" WHERE "{field.name}" > {NOW}'),
                )
    # Of activities only those that are planned and not done.
    assert 0 == one(
        town,
        f"SELECT count(*) FROM activity WHERE \"COMPLETED\" AND \"PROVIDER_ID\" NOT IN ('CRM_TODO', 'TASKS', 'CRM_CALL') AND \"END_TIME\" > {NOW}",
    )
    assert 0 == one(town, f'SELECT count(*) FROM phone_call WHERE "CALL_START_DATE" + "CALL_DURATION" > {NOW}')
    for column in ("FROM_AT", "TO_AT"):
        assert one(town, f"""SELECT count(*) FROM accessibility WHERE "{column}" > {NOW} AND "NAME" = 'Отпуск'""") > 0


def test_nobody_works_before_hiring_or_after_dismissal(town) -> None:
    """Calls, activities, moves and records of a person lie within the employment; the robot never sleeps."""
    people = '(SELECT "ID" AS id, "DATE_REGISTER" AS hired, CASE WHEN NOT "ACTIVE" THEN "TIMESTAMP_X" ELSE 9e12 END AS gone FROM "user")'
    assert one(town, 'SELECT count(*) FROM "user" WHERE NOT "ACTIVE"') > 0
    for table, user, at in (
        ("phone_call", "PORTAL_USER_ID", "CALL_START_DATE"), ("activity", "AUTHOR_ID", "CREATED"), ("task", "CREATED_BY", "CREATED_DATE"), ("deal", "CREATED_BY_ID", "DATE_CREATE"),
        ("deal", "MOVED_BY_ID", "MOVED_TIME"), ("lead", "MOVED_BY_ID", "MOVED_TIME"), ("timeline_comment", "AUTHOR_ID", "CREATED"), ("workday", "USER_ID", "STARTED_AT"),
    ):  # fmt: skip
        stray = one(
            town,
            f'SELECT count(*) FROM {table} t JOIN {people} p ON p.id = t."{user}" WHERE NOT t."{at}" BETWEEN hired AND gone',
        )
        assert (table, user, 0) == (table, user, stray)


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


def test_people_dial_on_their_working_days_only(town) -> None:
    """No dial on a Sunday, on a Russian holiday or during an absence; the working Saturday of 1 November is worked."""
    dials = """(SELECT "PORTAL_USER_ID" AS who, "CALL_START_DATE" AS moment, (to_timestamp("CALL_START_DATE") AT TIME ZONE 'Europe/Moscow') AS wall FROM phone_call WHERE "CALL_TYPE" = 1
        AND "PORTAL_USER_ID" IN (SELECT user_id FROM backstage.person WHERE kind = 'seller'))"""
    assert 0 == one(
        town,
        f"SELECT count(*) FROM {dials} WHERE isodow(wall) = 7 OR isodow(wall) = 6 AND wall::DATE <> DATE '2025-11-01'",
    )
    assert one(town, f"SELECT count(*) FROM {dials} WHERE wall::DATE = DATE '2025-11-01'") > 50
    assert 0 == one(
        town,
        f"SELECT count(*) FROM {dials} WHERE wall::DATE IN (DATE '2025-06-12', DATE '2025-06-13', DATE '2025-11-03', DATE '2025-11-04')",
    )
    assert 0 == one(
        town,
        f"""SELECT count(*) FROM {dials} d JOIN accessibility a ON a."USER_ID" = d.who AND d.moment >= a."FROM_AT" AND d.moment < a."TO_AT" WHERE "ACCESSIBILITY" = 'absent' """,
    )
    # The day before the holiday ends an hour earlier; the working Saturday was exchanged with such a day.
    assert 0 == one(
        town,
        f"SELECT count(*) FROM {dials} d JOIN backstage.person p ON p.user_id = d.who WHERE p.schedule = 1 AND p.zone = 'Europe/Moscow' AND wall::DATE IN (DATE '2025-06-11', DATE '2025-11-01') AND hour(wall) >= 17",
    )


def test_goods_add_up_to_the_amount(town) -> None:
    """Unless the amount was typed in by hand; payments add up to a paid invoice."""
    off = one(town, """SELECT count(*) FROM (SELECT d."ID", d."OPPORTUNITY" AS amount, sum(r."PRICE" * r."QUANTITY") AS goods, d."IS_MANUAL_OPPORTUNITY" AS manual
        FROM deal d JOIN product_row r ON r."OWNER_ID" = d."ID" GROUP BY ALL) WHERE (abs(amount - goods) > 0.02) <> manual AND amount > 1""")  # fmt: skip
    assert 0 == off
    assert 0 == one(town, """SELECT count(*) FROM product_row WHERE "PRICE" < 0 OR "QUANTITY" <= 0""")
    assert 0 == one(
        town,
        """SELECT count(*) FROM invoice i JOIN (SELECT "OWNER_ID" AS o, sum("SUM") FILTER ("PAID") AS paid FROM payment GROUP BY ALL) p ON p.o = i."ID" WHERE "STAGE_ID" LIKE '%:P' AND paid <> "OPPORTUNITY" """,
    )


@pytest.mark.parametrize(
    ("managers", "departments", "months", "deals"),
    [(1, 1, 1, 3), (1, 1, 1, 0), (1, 1, 2, 1), (2, 2, 1, 17), (5, 5, 14, 100), (9, 1, 3, None), (130, 14, 1, 900)],
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
    connection = built(managers=5000, departments=60, months=1, deals=4000, talk=0.02)
    assert 5000 == one(
        connection,
        """SELECT count(*) FROM "user" u WHERE u."ACTIVE" AND list_has_any("UF_DEPARTMENT", (SELECT list(d."ID") FROM department d WHERE d."PARENT" IN (SELECT "ID" FROM department WHERE "PARENT" = 3) OR d."PARENT" = 3))""",
    )
    assert 4000 == one(connection, "SELECT count(*) FROM deal")


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
    with pytest.raises(ValueError, match="must be|not negative"):
        Company(now=NOW, **wrong)


def test_the_report_counts_what_is_there() -> None:
    connection = duckdb.connect()
    report = build(connection, Company(now=NOW, managers=2, departments=1, months=1))
    assert report.rows["deal"] == one(connection, "SELECT count(*) FROM deal") == 48
    assert report.total == sum(one(connection, f'SELECT count(*) FROM "{table.name}"') for table in tables.TABLES)
