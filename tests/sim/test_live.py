"""The company goes on: the same whatever the step, believable by the hour, gentle to other writers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import duckdb
import pytest

from b24metrics.clock import HandClock
from b24metrics.sim import tables
from b24metrics.sim.company import Company, build
from b24metrics.sim.live import Change, FastClock, Live

#: A Friday morning, 10:00 in Moscow.
NOW = int(datetime(2025, 11, 21, 7, 0, tzinfo=UTC).timestamp())


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Callable[..., duckdb.DuckDBPyConnection]:
    """Portals by options; each asked for again is a copy of the first build."""
    folder = tmp_path_factory.mktemp("towns")

    def opened(**options) -> duckdb.DuckDBPyConnection:
        wanted = {"now": NOW, "managers": 8, "departments": 2, "months": 2, "talk": 0.6, **options}
        first = folder / f"{sorted(wanted.items())}".replace("/", "-")
        if not first.exists():
            with duckdb.connect(str(first)) as connection:
                build(connection, Company(**wanted))
        copy = folder / f"copy-{len(list(folder.iterdir()))}"
        shutil.copy(first, copy)
        return duckdb.connect(str(copy))

    return opened


def one(connection: duckdb.DuckDBPyConnection, sql: str):
    return connection.execute(sql).fetchone()[0]


def digests(connection: duckdb.DuckDBPyConnection) -> dict[str, object]:
    return {
        table.name: connection.execute(f'SELECT count(*), bit_xor(hash(t)) FROM "{table.name}" t').fetchone()
        for table in tables.TABLES
    }


@pytest.fixture(scope="module")
def day(town) -> tuple[duckdb.DuckDBPyConnection, list[Change], Live]:
    """Thirty people live from 10:00 to 11:30."""
    connection, heard = town(managers=30, departments=3, talk=1.0), []
    live = Live(connection, heard=heard.extend)
    live.advance(NOW + 5400)
    return connection, heard, live


def test_the_step_does_not_matter(town) -> None:
    """A quarter of an hour at once, in odd pieces, or resumed by another process: one and the same portal."""
    whole, pieces, resumed = town(), town(), town()
    Live(whole).advance(NOW + 900)
    slow = Live(pieces)
    for seconds in (1, 59, 60, 61, 400, 899, 900):
        slow.advance(NOW + seconds)
    Live(resumed).advance(NOW + 300)
    Live(resumed).advance(NOW + 900)
    assert digests(whole) == digests(pieces) == digests(resumed)
    assert one(whole, f'SELECT count(*) FROM phone_call WHERE "CALL_START_DATE" >= {NOW}') > 0


def test_another_seed_lives_another_day(town) -> None:
    first, second = town(seed=1), town(seed=2)
    assert Live(first).advance(NOW + 1200) > 0
    assert Live(second).advance(NOW + 1200) > 0
    assert one(first, 'SELECT max("CALL_ID") FROM phone_call') != one(second, 'SELECT max("CALL_ID") FROM phone_call')


def test_nothing_happens_before_the_minute_is_over(town) -> None:
    live = Live(town())
    assert (0, NOW) == (live.advance(NOW + 59), live.at)
    live.advance(NOW + 60)
    assert NOW + 60 == live.at


def test_an_hour_looks_like_an_hour_of_the_history(day) -> None:
    """Calls, moves and new records come at about the rates of past working days."""
    connection, _, _ = day
    days = one(
        connection,
        f"SELECT count(DISTINCT on_date) FROM backstage.work_day WHERE opens_at < {NOW} AND on_date < DATE '2025-11-21'",
    )
    # An hour and a half of a lively morning is about a fifth of a day.
    for table, column in (
        ("phone_call", "CALL_START_DATE"),
        ("activity", "CREATED"),
        ("stage_history", "CREATED_TIME"),
        ("lead", "DATE_CREATE"),
    ):
        fresh = one(connection, f'SELECT count(*) FROM {table} WHERE "{column}" >= {NOW}')
        usual = one(connection, f'SELECT count(*) FROM {table} WHERE "{column}" < {NOW} - 36000') / days
        assert 0.05 * usual < fresh < 0.45 * usual, (table, fresh, usual)
    assert one(connection, f'SELECT count(*) FROM deal WHERE "DATE_CREATE" >= {NOW}') > 0
    assert (
        one(
            connection,
            f'SELECT count(*) FROM activity WHERE "COMPLETED" AND "LAST_UPDATED" >= {NOW} AND "CREATED" < {NOW}',
        )
        > 5
    )


def test_wins_losses_and_payments_happen(day) -> None:
    """The dashboard moves: deals are won and lost, invoices come and are paid, plans are made for later."""
    connection, _, live = day
    outcomes = dict(
        connection.execute(
            f"""SELECT "STAGE_SEMANTIC_ID", count(*) FROM stage_history WHERE "ENTITY_TYPE_ID" = 2 AND "CREATED_TIME" >= {NOW} GROUP BY ALL"""
        ).fetchall()
    )
    assert {"P", "S", "F"} == set(outcomes)
    assert (
        one(
            connection,
            f"""SELECT count(*) FROM activity WHERE "PROVIDER_ID" = 'CRM_TODO' AND "CREATED" >= {NOW} AND "DEADLINE" > {live.at}""",
        )
        > 3
    )
    assert one(connection, f'SELECT count(*) FROM lead WHERE "MOVED_TIME" >= {NOW} AND "DATE_CREATE" < {NOW}') > 0


def test_contacts_do_not_move_date_modify(day) -> None:
    """DATE_MODIFY is an edit or a stage; a call moves only LAST_ACTIVITY_TIME."""
    connection, _, _ = day
    quiet = one(connection, f'SELECT count(*) FROM deal WHERE "LAST_ACTIVITY_TIME" >= {NOW} AND "DATE_MODIFY" < {NOW}')
    edited = one(connection, f'SELECT count(*) FROM deal WHERE "DATE_MODIFY" >= {NOW}')
    assert quiet > 3
    assert edited > 3


def test_what_was_heard_is_what_changed(day) -> None:
    """Every new or modified deal was told, with the minute in which it happened."""
    connection, heard, live = day
    added = {change.id for change in heard if (change.what, change.table) == ("ADD", "deal")}
    gone = {change.id for change in heard if (change.what, change.table) == ("DELETE", "deal")}
    assert added - gone == {
        number for (number,) in connection.execute(f'SELECT "ID" FROM deal WHERE "DATE_CREATE" >= {NOW}').fetchall()
    }
    touched = {change.id for change in heard if change.table == "deal"}
    assert {
        number for (number,) in connection.execute(f'SELECT "ID" FROM deal WHERE "DATE_MODIFY" >= {NOW}').fetchall()
    } <= touched
    assert all(NOW <= change.at < live.at for change in heard)
    assert sorted(heard, key=lambda change: change.at) == heard


def test_night_is_quiet(town) -> None:
    """At three in the night nobody dials; at most the net brings a lead."""
    night = int(datetime(2025, 11, 21, 0, 0, tzinfo=UTC).timestamp())
    connection = town(now=night, months=1)
    Live(connection).advance(night + 3600)
    assert 0 == one(
        connection, f'SELECT count(*) FROM phone_call WHERE "CALL_START_DATE" >= {night} AND "CALL_TYPE" = 1'
    )
    assert 3 >= one(connection, f'SELECT count(*) FROM lead WHERE "DATE_CREATE" >= {night}')
    assert 0 == one(
        connection, f'SELECT count(*) FROM stage_history WHERE "CREATED_TIME" >= {night} AND "TYPE_ID" <> 1'
    )


def test_the_simple_mode_lives_without_leads(town) -> None:
    connection = town(classic=False, deals=6000, talk=0.1)
    Live(connection).advance(NOW + 3600)
    assert 0 == one(connection, "SELECT count(*) FROM lead")
    assert one(connection, f'SELECT count(*) FROM deal WHERE "DATE_CREATE" >= {NOW} AND "CREATED_BY_ID" = 1') > 0
    assert (
        one(
            connection,
            f"""SELECT count(*) FROM stage_history WHERE "ENTITY_TYPE_ID" = 2 AND "TYPE_ID" > 1 AND "CREATED_TIME" >= {NOW}""",
        )
        > 0
    )


def test_a_deleted_record_takes_its_rows_along(town) -> None:
    """History, bindings, goods and activities that belong to it alone; shared activities go to another object."""
    connection = town()
    live = Live(connection)
    number = one(connection, """SELECT "ID" FROM deal d WHERE "STAGE_SEMANTIC_ID" = 'F' AND "CONTACT_ID" IS NOT NULL
        AND EXISTS (SELECT 1 FROM activity a WHERE a."OWNER_TYPE_ID" = 2 AND a."OWNER_ID" = d."ID") ORDER BY "ID" LIMIT 1""")  # fmt: skip
    shared = one(connection, f'SELECT count(*) FROM activity WHERE "OWNER_TYPE_ID" = 2 AND "OWNER_ID" = {number}')
    activities = one(connection, "SELECT count(*) FROM activity")
    live._doings.deeds.remove(2, number, NOW)
    assert 0 == one(connection, f"""SELECT (SELECT count(*) FROM deal WHERE "ID" = {number}) + (SELECT count(*) FROM stage_history WHERE "ENTITY_TYPE_ID" = 2 AND "OWNER_ID" = {number})
        + (SELECT count(*) FROM activity_binding WHERE "OWNER_TYPE_ID" = 2 AND "OWNER_ID" = {number}) + (SELECT count(*) FROM activity WHERE "OWNER_TYPE_ID" = 2 AND "OWNER_ID" = {number})
        + (SELECT count(*) FROM product_row WHERE "OWNER_ID" = {number})""")  # fmt: skip
    assert (True, activities) == (shared > 0, one(connection, "SELECT count(*) FROM activity"))
    assert 0 == one(
        connection,
        'SELECT count(*) FROM activity a WHERE NOT EXISTS (SELECT 1 FROM activity_binding b WHERE b."ACTIVITY_ID" = a."ID" AND b."OWNER_ID" = a."OWNER_ID")',
    )


def test_the_lock_and_the_numbers_of_the_portal_are_used(town) -> None:
    """Another writer's numbers are never given twice, and nobody reads half a minute."""
    connection = town()
    held = []

    class Lock:
        def __enter__(self) -> None:
            held.append(True)

        def __exit__(self, *_: object) -> None:
            held.append(False)

    class Numbers:
        highest = 10_000_000

        def next_id(self, table: str, where: str = "TRUE") -> int:
            assert held[-1]
            self.highest += 1
            return self.highest

    Live(connection, lock=Lock(), numbers=Numbers()).advance(NOW + 900)
    assert one(connection, 'SELECT max("ID") FROM phone_call') > 10_000_000
    assert [True, False] * 16 == held


def test_a_failing_minute_leaves_nothing_half_done(town) -> None:
    connection = town()
    live = Live(connection)
    before = digests(connection)

    def trip(*_: object, **__: object) -> None:
        raise RuntimeError("power cut")

    live._ledger.touch = trip  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="power cut"):
        live.advance(NOW + 1800)
    reached = live.at
    again = town()
    Live(again).advance(reached)
    assert before != digests(connection) or reached == NOW
    assert digests(again) == digests(connection)


def test_a_portal_that_was_not_built_has_no_life() -> None:
    connection = duckdb.connect()
    tables.create(connection)
    with pytest.raises(ValueError, match="no built company"):
        Live(connection)


def test_a_fast_clock_runs_faster_and_waits_shorter() -> None:
    base = HandClock(1_000_000.0)
    clock = FastClock(base, 60, at=5_000.0)
    base.move(10)
    assert (5_600.0, 600.0) == (clock.now(), clock.monotonic())
    clock.sleep(120)
    assert (12.0, 5_720.0) == (base.elapsed, clock.now())
    with pytest.raises(ValueError, match="positive"):
        FastClock(base, 0)


def test_follow_keeps_up_until_told_to_stop(town) -> None:
    """It looks at the clock, lives up to it, and ends when the event is set."""
    stop, clock = threading.Event(), HandClock(NOW + 130.0)
    live = Live(town(), heard=lambda _: None)
    looks = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            looks.append(timeout)
            return len(looks) > 2

    live.follow(clock, Stop(), pause=0.25)
    assert ([0.25, 0.25, 0.25], NOW + 120) == (looks, live.at)
    stop.set()
    live.follow(HandClock(NOW + 600.0), stop, pause=0.0)
    assert NOW + 120 == live.at


def test_catching_up_can_be_interrupted(town) -> None:
    """A portal that slept for weeks does not hold its owner until all of them are lived."""
    stop = threading.Event()
    live = Live(town(), heard=lambda _: stop.set())
    live.follow(HandClock(NOW + 30 * 86_400.0), stop, pause=0.0)
    assert NOW < live.at < NOW + 3600
