"""A mirror in PostgreSQL: what it refuses, what it survives, and what it says then. What both databases share is elsewhere."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from b24metrics.errors import (
    ConfigError,
    MirrorAway,
    MirrorBusy,
    MirrorError,
    NewerMirror,
    NothingMirrored,
    UnreadableMirror,
    UnwritableMirror,
)
from b24metrics.mirror.place import is_address, shown
from b24metrics.mirror.schema import DEALS, FEED_STATE, MIGRATIONS
from b24metrics.mirror.stores import open_store
from b24metrics.mirror.stores.postgres import PostgresStore
from tests.mirror.conftest import Torn
from tests.postgres import Server, running

if TYPE_CHECKING:
    from tests.mirror.conftest import World

SECRET_WORD = "s3cret-w@rd"


def deal(number: int, **fields: object) -> dict[str, object]:
    return {"portal": "p", "id": number, **fields}


def name_of(address: str) -> str:
    return str(conninfo_to_dict(address)["dbname"])


@pytest.fixture
def address(postgres: Server) -> str:
    """A database without any table."""
    return postgres.fresh()


@pytest.fixture
def store(postgres: Server, empty_mirror: str) -> Iterator[PostgresStore]:
    opened = PostgresStore(postgres.fresh(empty_mirror))
    yield opened
    opened.close()


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that may be ill-treated."""
    with running() as server:
        yield server


# ---------------------------------------------------------------- the address


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("postgresql://anna:pass@db.example:5433/crm?sslmode=require", "postgresql://db.example:5433/crm"),
        ("postgres://db/crm", "postgresql://db/crm"),
        ("postgresql://anna:pass@/crm?host=/run/pg", "postgresql:///run/pg/crm"),
        ("postgresql://anna:p@ss@host/crm", "postgresql://host/crm"),
        ("postgresql:///crm", "postgresql://localhost/crm"),
        ("mirror.duckdb", "mirror.duckdb"),
    ],
)
def test_an_address_is_shown_without_user_and_password(where: str, said: str) -> None:
    assert said == shown(where)
    assert is_address(where) == where.startswith("postgres")


def test_an_address_that_cannot_be_read_is_not_repeated() -> None:
    """The driver would quote it, password and all."""
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        open_store(f"postgresql://anna:{SECRET_WORD}@host:port/db")

    assert SECRET_WORD.partition("@")[0] not in repr(caught.value)
    assert None is caught.value.__context__


def test_no_secret_is_said(postgres: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Neither by the store, nor by its failures, nor in the log."""
    caplog.set_level(logging.DEBUG)
    address = postgres.address("nowhere", password=SECRET_WORD)

    with pytest.raises(UnreadableMirror, match='refuses us: .*database "nowhere" does not exist') as caught:
        open_store(address)
    opened = open_store(postgres.address(name_of(postgres.fresh()), password=SECRET_WORD))

    told = [repr(opened), str(vars(opened).get("path")), repr(caught.value), str(caught.value.__cause__), caplog.text]
    opened.close()
    assert [] == [text for text in told if "s3cret" in text]


def test_nobody_answers(postgres: Server) -> None:
    """A server that is not there is named, with what happens when it is."""
    with pytest.raises(MirrorAway, match=r"postgresql:///nowhere/at-all/db does not answer .* work goes on"):
        open_store("postgresql:///db?host=/nowhere/at-all")


# ---------------------------------------------------------------- opening


def test_an_empty_database_becomes_a_mirror(address: str) -> None:
    """And is one when it is opened again."""
    open_store(address).close()
    again = open_store(address, read_only=True)

    assert [(len(MIGRATIONS),)] == again.rows("SELECT max(version) FROM b24metrics_schema")
    with pytest.raises(MirrorError, match="for looking only"):
        again.upsert(DEALS, [deal(1)])
    again.close()


def test_looking_makes_nothing(postgres: Server, address: str) -> None:
    with pytest.raises(NothingMirrored, match="b24metrics sync"):
        open_store(address, read_only=True)

    with psycopg.connect(address) as connection:
        assert [(0,)] == connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchall()


def test_another_programs_database_is_left_alone(address: str) -> None:
    """It is named by one of its tables; a schema of its own in the same database may be a mirror."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE TABLE accounts (id INTEGER)")
        connection.execute("CREATE SCHEMA b24")

    with pytest.raises(UnreadableMirror, match="another program .*accounts"):
        open_store(address)

    beside = open_store(f"{address}&options=-csearch_path%3Db24")
    assert 1 == beside.upsert(DEALS, [deal(1)])
    beside.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_mirror_is_refused(address: str, read_only: bool) -> None:
    store = open_store(address)
    store.execute("INSERT INTO b24metrics_schema VALUES (?)", [len(MIGRATIONS) + 1])
    store.close()

    with pytest.raises(NewerMirror, match="Upgrade b24metrics"):
        open_store(address, read_only=read_only)


def test_an_older_mirror_is_not_changed_by_looking(address: str) -> None:
    store = open_store(address)
    store.execute("DELETE FROM b24metrics_schema")
    store.close()

    with pytest.raises(MirrorError, match="Run b24metrics sync once"):
        open_store(address, read_only=True)


def test_a_mirror_that_is_being_made_by_many_is_made_once(address: str) -> None:
    """They wait for each other."""
    opened: list[PostgresStore] = []
    threads = [threading.Thread(target=lambda: opened.append(PostgresStore(address))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [(n,) for n in range(1, len(MIGRATIONS) + 1)] == opened[0].rows(
        "SELECT version FROM b24metrics_schema ORDER BY 1"
    )
    assert 4 == len(opened)
    for store in opened:
        store.close()


def test_a_user_without_rights_is_told(postgres: Server, address: str) -> None:
    """What to grant, in the server's words."""
    postgres.sql("CREATE ROLE onlooker LOGIN")

    with pytest.raises(UnwritableMirror, match="permission denied for schema public.* Grant it"):
        open_store(postgres.address(name_of(address), user="onlooker"))


# ---------------------------------------------------------------- writing


def test_rows_that_say_the_same_are_not_written_again(store: PostgresStore) -> None:
    """Re-read pages leave no dead rows behind; they count as written all the same."""
    store.upsert(DEALS, [deal(1, title="a", probability=None), deal(2, title="b", probability=1)])
    before = store.rows("SELECT id, xmin::text FROM deals ORDER BY id")

    assert 2 == store.upsert(DEALS, [deal(1, title="a", probability=None), deal(2, title="c", probability=1)])

    after = store.rows("SELECT id, xmin::text FROM deals ORDER BY id")
    assert [True, False] == [old == new for old, new in zip(before, after, strict=True)]


def test_a_zero_character_becomes_a_visible_one(store: PostgresStore) -> None:
    """PostgreSQL has no room for it; the record is kept all the same."""
    store.upsert(DEALS, [deal(1, title="a\0b")])
    store.execute("UPDATE deals SET stage_id = ?", ["c\0d"])

    assert [("a\ufffdb", "c\ufffdd")] == store.rows("SELECT title, stage_id FROM deals")


def test_two_that_change_the_same_rows(postgres: Server, empty_mirror: str) -> None:
    """The second one is told to try again; nothing of it is kept."""
    address = postgres.fresh(empty_mirror)
    one, other = open_store(address), open_store(address)
    one.upsert(DEALS, [deal(1, title="old")])

    with pytest.raises(MirrorBusy, match="another process was changing the same rows"), one.transaction():
        one.rows("SELECT * FROM deals")
        other.upsert(DEALS, [deal(1, title="other")])
        one.upsert(DEALS, [deal(1, title="one")])

    assert [("other",)] == one.rows("SELECT title FROM deals")
    for store in (one, other):
        store.close()


def test_a_threads_connection_ends_with_it(store: PostgresStore) -> None:
    """Rounds come from many threads; connections do not pile up."""

    def count() -> int:
        return int(
            store.rows(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'b24metrics'"
            )[0][0]
        )

    before = count()
    for _ in range(5):
        thread = threading.Thread(target=lambda: store.rows("SELECT 1"))
        thread.start()
        thread.join()
    while count() > before:  # the server needs a moment to see them go
        pass

    assert before == count()


# ---------------------------------------------------------------- what happens to databases


def test_a_full_disk_loses_nothing_that_was_committed(own_server: Server) -> None:
    """The page that did not fit is refused with a next step; everything before it is there when there is room again."""
    own_server.stop()
    own_server.start(largest_file=1_500_000)
    store_address = own_server.fresh()
    store = PostgresStore(store_address)
    kept = 0

    def fill() -> None:
        nonlocal kept
        for page in range(1000):
            with store.transaction():
                store.upsert(DEALS, [deal(page * 2000 + n, title="x" * 50) for n in range(2000)])
                store.upsert(FEED_STATE, [{"portal": "p", "feed": "deals", "cursor_id": page}])
            kept = page + 1

    with pytest.raises(UnwritableMirror, match=r"full .*Nothing half-written was kept"):
        fill()

    assert [(kept * 2000,)] == store.rows("SELECT count(*) FROM deals")
    store.close()
    own_server.stop()
    own_server.start()
    store = PostgresStore(store_address)
    assert kept > 0
    assert [(kept * 2000, kept - 1)] == store.rows(
        "SELECT (SELECT count(*) FROM deals), (SELECT cursor_id FROM feed_state)"
    )
    assert 1 == store.upsert(DEALS, [deal(-1)])
    store.close()


class Restarted(Torn):
    """A store whose server is restarted before its n-th statement."""

    def __init__(self, store: PostgresStore, server: Server, *, immediately: bool) -> None:
        super().__init__(store, RuntimeError())
        self.server = server
        self.immediately = immediately

    def _count(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left == -1:
                self.server.stop(immediately=self.immediately)
                self.server.start()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.store.transaction():
            yield


@pytest.mark.parametrize("place", ["file"], indirect=True)  # the world's own place is not used here
@pytest.mark.parametrize("immediately", [False, True], ids=["restarted", "crashed"])
def test_a_round_survives_a_database_that_goes_away(world: World, own_server: Server, immediately: bool) -> None:
    """Between any two statements: the round fails in one sentence, nothing is half-written, the next one goes on."""
    opened = PostgresStore(own_server.fresh())
    store = Restarted(opened, own_server, immediately=immediately)

    async def rounds() -> list[str]:
        failures = []
        async with world.sync(store) as sync:
            assert {} == (await sync.catch_up()).errors
            for after in (0, 9, 26):
                world.sql("UPDATE deal SET TITLE = ? WHERE ID = 3", f"title {after}")
                world.sql("UPDATE deal SET DATE_MODIFY = ? WHERE ID = 3", world.now)
                world.clock.move(30)
                store.left = after
                try:
                    await sync.round()
                except MirrorAway as error:
                    failures.append(str(error))
                store.left = None
                assert {} == (await sync.round()).errors
                assert {} == world.difference(opened)
        return failures

    failures = asyncio.run(rounds())
    opened.close()

    assert len(failures) >= 2
    assert all("does not answer" in said and "Nothing half-written was kept" in said for said in failures), failures


def test_idle_connections_of_other_threads_recover_too(own_server: Server) -> None:
    """After a restart a thread that was not there when it happened notices by itself."""
    store = PostgresStore(own_server.fresh())
    go_on, ready = threading.Event(), threading.Event()
    seen: list[Any] = []

    def other() -> None:
        seen.append(store.rows("SELECT 1"))
        ready.set()
        go_on.wait(60)
        seen.append(store.rows("SELECT 2"))

    thread = threading.Thread(target=other)
    thread.start()
    ready.wait(60)
    own_server.stop()
    own_server.start()
    with pytest.raises(MirrorAway):
        store.rows("SELECT 3")
    assert [(4,)] == store.rows("SELECT 4")
    go_on.set()
    thread.join()
    store.close()

    assert [[(1,)], [(2,)]] == seen


def test_a_server_that_is_down_is_waited_for(own_server: Server) -> None:
    """Every attempt says so; the first one after it came back succeeds."""
    store = PostgresStore(own_server.fresh())
    own_server.stop()

    for _ in range(2):
        with pytest.raises(MirrorAway, match="does not answer"), store.transaction():
            store.upsert(DEALS, [deal(1)])
    own_server.start()
    with store.transaction():
        store.upsert(DEALS, [deal(2)])

    assert [(2,)] == store.rows("SELECT id FROM deals")
    store.close()


# ---------------------------------------------------------------- migrations that are cut

HALF = """
import os, signal, sys
from b24metrics.mirror import schema
from b24metrics.mirror.stores import open_store

def second():
    yield "CREATE TABLE added (portal VARCHAR)"
    yield "ALTER TABLE deals ADD COLUMN added VARCHAR"
    os.kill(os.getpid(), signal.SIGKILL)

schema.MIGRATIONS = (*schema.MIGRATIONS, second())
open_store(sys.argv[1])
"""


def test_half_a_migration_leaves_the_mirror_as_it_was(place: str) -> None:
    """kill -9 between two statements: the old version works, and a later start migrates it."""
    store = open_store(place)
    store.upsert(DEALS, [deal(1, title="kept")])
    store.close()

    done = subprocess.run([sys.executable, "-c", HALF, str(place)], capture_output=True, text=True, check=False)

    assert -signal.SIGKILL == done.returncode, done.stderr
    store = open_store(place)
    assert [("kept",)] == store.rows("SELECT title FROM deals")
    assert [(len(MIGRATIONS),)] == store.rows("SELECT max(version) FROM b24metrics_schema")
    assert [] == store.rows("SELECT 1 FROM information_schema.columns WHERE 'added' IN (table_name, column_name)")
    store.close()


def test_a_later_migration_is_carried_out_once(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there stays; the new column is there; opening again does nothing."""
    store = open_store(place)
    store.upsert(DEALS, [deal(1, title="kept")])
    store.close()
    later = (*MIGRATIONS, ("ALTER TABLE deals ADD COLUMN added VARCHAR", "UPDATE deals SET added = title"))
    monkeypatch.setattr("b24metrics.mirror.schema.MIGRATIONS", later)

    for _ in range(2):
        store = open_store(place)
        assert [("kept", "kept")] == store.rows("SELECT title, added FROM deals")
        assert [(n,) for n in range(1, len(later) + 1)] == store.rows(
            "SELECT version FROM b24metrics_schema ORDER BY 1"
        )
        store.close()
