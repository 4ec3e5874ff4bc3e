"""A company as built, and as it lives on: every reference resolves, histories follow the rules, only plans lie ahead."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest

from b24metrics.sim import tables
from b24metrics.sim.company import Company, build
from b24metrics.sim.live import Live

#: A Friday, 14:20 in Moscow, with a public holiday and a working Saturday behind it.
NOW = int(datetime(2025, 11, 21, 11, 20, tzinfo=UTC).timestamp())


class Town:
    """A portal and the instant up to which it has lived."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, now: int) -> None:
        self.now = now
        self.execute = connection.execute


@pytest.fixture(scope="module", params=["built", "lived"])
def town(request) -> Town:
    """24 managers and half a year; the same with another seed, 16 managers and an hour and a half of life."""
    connection = duckdb.connect()
    if request.param == "built":
        build(connection, Company(now=NOW, managers=24, departments=6, months=6))
        return Town(connection, NOW)
    build(connection, Company(now=NOW, seed=7, managers=16, departments=6, months=5))
    live = Live(connection)
    live.advance(NOW + 5400)
    return Town(connection, live.at)


def one(town: Town, sql: str):
    return town.execute(sql).fetchone()[0]


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
    assert table == "department" or one(town, f'SELECT count("{column}") FROM "{table}"') > 0


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
        f'SELECT count(*) FROM ends WHERE NOT ("DATE_CREATE" <= "MOVED_TIME" AND "MOVED_TIME" <= "DATE_MODIFY" AND "DATE_MODIFY" <= {town.now})',
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
                    one(town, f'SELECT count(*) FROM "{table.name}" WHERE "{field.name}" > {town.now}'),
                )
    # Of activities only those that are planned and not done.
    assert 0 == one(
        town,
        f"SELECT count(*) FROM activity WHERE \"COMPLETED\" AND \"PROVIDER_ID\" NOT IN ('CRM_TODO', 'TASKS', 'CRM_CALL') AND \"END_TIME\" > {town.now}",
    )
    assert 0 == one(town, f'SELECT count(*) FROM phone_call WHERE "CALL_START_DATE" + "CALL_DURATION" > {town.now}')
    for column in ("FROM_AT", "TO_AT"):
        assert (
            one(town, f"""SELECT count(*) FROM accessibility WHERE "{column}" > {town.now} AND "NAME" = 'Отпуск'""") > 0
        )


def test_nobody_works_before_hiring_or_after_dismissal(town) -> None:
    """Calls, activities, moves and records of a person lie within the employment; the robot never sleeps."""
    people = '(SELECT "ID" AS id, "DATE_REGISTER" AS hired, CASE WHEN NOT "ACTIVE" THEN "TIMESTAMP_X" ELSE 9e12 END AS gone FROM "user")'
    for table, user, at in (
        ("phone_call", "PORTAL_USER_ID", "CALL_START_DATE"), ("activity", "AUTHOR_ID", "CREATED"), ("task", "CREATED_BY", "CREATED_DATE"), ("deal", "CREATED_BY_ID", "DATE_CREATE"),
        ("deal", "MOVED_BY_ID", "MOVED_TIME"), ("lead", "MOVED_BY_ID", "MOVED_TIME"), ("timeline_comment", "AUTHOR_ID", "CREATED"), ("workday", "USER_ID", "STARTED_AT"),
    ):  # fmt: skip
        stray = one(
            town,
            f'SELECT count(*) FROM {table} t JOIN {people} p ON p.id = t."{user}" WHERE NOT t."{at}" BETWEEN hired AND gone',
        )
        assert (table, user, 0) == (table, user, stray)


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
