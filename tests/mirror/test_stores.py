"""What a mirror keeps, in a file and in PostgreSQL; what a file refuses, and what it says then."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg
import pyarrow as pa
import pytest

from b24metrics.errors import (
    MirrorBusy,
    MirrorError,
    NewerMirror,
    NothingMirrored,
    UnreadableMirror,
    UnwritableMirror,
)
from b24metrics.mirror.rows import page_of
from b24metrics.mirror.schema import ACTIVITIES, DEALS, MIGRATIONS, PIPELINES, TABLES
from b24metrics.mirror.stores import DuckStore, Store, open_store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def deal(number: int, **fields: object) -> dict[str, object]:
    return {"portal": "p", "id": number, **fields}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mirror.duckdb"


@pytest.fixture
def store(either: Store) -> Store:
    return either


# ---------------------------------------------------------------- what it keeps


def test_a_row_comes_back_as_it_went_in(place: Path | str) -> None:
    """Instants are the same moment in UTC, dates the same day, money exact, also after closing."""
    moscow = timezone(timedelta(hours=3))
    with_everything = deal(
        7, title="Котёл", opportunity=Decimal("19999.99"), closes_on=date(2026, 3, 1), closed=True, pipeline_id=0,
        created_at=datetime(2026, 3, 2, 15, tzinfo=moscow), user_fields='{"UF_CRM_1":"x"}',
    )  # fmt: skip
    store = open_store(place)
    store.upsert(DEALS, [with_everything])
    store.close()

    store = open_store(place)
    found = store.rows("SELECT title, opportunity, closes_on, closed, pipeline_id, created_at, user_fields FROM deals")
    store.close()

    assert [("Котёл", Decimal("19999.99"), date(2026, 3, 1), True, 0, NOON, '{"UF_CRM_1":"x"}')] == found
    assert timedelta(0) == found[0][5].utcoffset()


def test_an_upsert_overwrites_what_it_names_and_nothing_else(store: Store) -> None:
    """Columns that the rows do not name keep their value; named ones are overwritten, also with nothing."""
    store.upsert(DEALS, [deal(1, title="old", stage_id="NEW", probability=10)])

    assert 2 == store.upsert(DEALS, [deal(1, title="new", stage_id=None), deal(2, title="other")])

    assert [("new", None, 10), ("other", None, None)] == store.rows(
        "SELECT title, stage_id, probability FROM deals ORDER BY id"
    )


def test_the_last_of_equal_keys_wins(store: Store) -> None:
    """A page that repeats a record stores it once, as it was last."""

    assert 1 == store.upsert(DEALS, [deal(1, title="first"), deal(1, title="last")])
    assert [("last",)] == store.rows("SELECT title FROM deals")


def test_an_observation_stays_until_the_portal_takes_it_back(store: Store) -> None:
    """completed_at keeps the first moment that was seen; a reopened activity loses it, a second completion is new."""
    seen = []
    for completed_at in (None, NOON, NOON + timedelta(hours=1), None, NOON + timedelta(hours=2)):
        store.upsert(ACTIVITIES, [{"portal": "p", "id": 1, "completed_at": completed_at}])
        seen.append(store.rows("SELECT completed_at FROM activities")[0][0])

    assert [None, NOON, NOON, None, NOON + timedelta(hours=2)] == seen


def test_portals_do_not_meet(store: Store) -> None:
    """The portal is part of every key."""

    store.upsert(DEALS, [{"portal": "a", "id": 1}, {"portal": "b", "id": 1}])

    assert [(2,)] == store.rows("SELECT count(*) FROM deals")
    assert all(table.primary_key[0] == "portal" for table in TABLES)


def test_ids_that_are_zero_are_ids(store: Store) -> None:
    """The first pipeline is called 0."""

    store.upsert(PIPELINES, [{"portal": "p", "entity_type_id": 2, "id": 0, "name": "General"}])

    assert [(0, "General")] == store.rows("SELECT id, name FROM pipelines")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (Decimal("1.005"), Decimal("1.00")),
        (Decimal("1.015"), Decimal("1.02")),
        (Decimal("-0.125"), Decimal("-0.12")),
        (Decimal("1E+3"), Decimal("1000.00")),
        (Decimal("9999999999999999.99"), Decimal("9999999999999999.99")),
    ],
)
def test_money_is_rounded_to_its_column(store: Store, sent: Decimal, kept: Decimal) -> None:
    """Amounts finer than the column are rounded half to even, with no binary arithmetic on the way."""

    store.upsert(DEALS, [deal(1, opportunity=Decimal(5)), deal(2, opportunity=sent)])

    assert [(kept,)] == store.rows("SELECT opportunity FROM deals WHERE id = 2")


def test_half_a_character_does_not_stop_a_page(store: Store) -> None:
    """A title cut in the middle of an emoji is stored with a question mark in its place."""

    store.upsert(DEALS, [deal(1, title="boiler \ud83d"), deal(2, title="fine")])

    assert [("boiler ?",), ("fine",)] == store.rows("SELECT title FROM deals ORDER BY id")


@pytest.mark.parametrize(
    ("column", "value"), [("opportunity", Decimal("1E+17")), ("probability", 2**31), ("begins_on", "tomorrow-secret")]
)
def test_what_does_not_fit_names_the_record_and_not_the_value(store: Store, column: str, value: object) -> None:
    """A value that no rounding can mend is refused by table, column and id; it may be personal data, so it is not shown."""

    with pytest.raises(MirrorError) as caught:
        store.upsert(DEALS, [deal(7), deal(8, **{column: value})])

    assert f"deals: column {column} of record 8" in str(caught.value)
    assert str(value) not in str(caught.value)
    assert [] == store.rows("SELECT id FROM deals")


@pytest.mark.parametrize("row", [{"portal": "p"}, {"portal": "p", "id": None}, {"id": 1}])
def test_a_row_without_its_key_is_refused(store: Store, row: dict[str, object]) -> None:
    """Every part of the key must be there."""
    with pytest.raises(MirrorError, match="part of its key"):
        store.upsert(DEALS, [row])


def test_an_unknown_column_is_refused(store: Store) -> None:
    """A misspelled column is not dropped silently."""
    with pytest.raises(MirrorError, match="deals has no column titel"):
        store.upsert(DEALS, [deal(1, titel="x")])


def test_an_empty_page_is_no_work(store: Store) -> None:
    """Nothing to write is not an error."""

    assert 0 == store.upsert(DEALS, [])
    assert 0 == store.upsert(DEALS, page_of(DEALS, ("portal", "id"), []))


# ---------------------------------------------------------------- transactions and threads


def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    """What was written before an exception is gone, also when it is no Exception."""

    def stopped_by(stop: type[BaseException]) -> None:
        with store.transaction():
            store.upsert(DEALS, [deal(1)])
            raise stop

    for stop in (ValueError, KeyboardInterrupt):
        with pytest.raises(stop):
            stopped_by(stop)

    assert [] == store.rows("SELECT id FROM deals")
    with store.transaction():
        store.upsert(DEALS, [deal(1)])
        store.upsert(DEALS, [deal(1, title="twice in one transaction")])
    assert [("twice in one transaction",)] == store.rows("SELECT title FROM deals")


def test_another_thread_sees_what_was_committed(store: Store) -> None:
    """While one thread is inside a transaction, another reads the state before it, and the new one afterwards."""
    seen: list[object] = []

    def look() -> None:
        seen.append(store.rows("SELECT count(*), current_setting('TimeZone') FROM deals")[0])

    def in_another_thread() -> None:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    with store.transaction():
        store.upsert(DEALS, [deal(1)])
        in_another_thread()
    in_another_thread()

    assert [(0, "UTC"), (1, "UTC")] == seen


def test_a_reading_transaction_sees_one_state(store: Store) -> None:
    """Several questions inside one transaction are answered from one state, whatever is written meanwhile."""
    store.upsert(DEALS, [deal(1)])

    with store.transaction():
        before = store.rows("SELECT count(*) FROM deals")
        thread = threading.Thread(target=lambda: store.upsert(DEALS, [deal(2)]))
        thread.start()
        thread.join()
        assert before == store.rows("SELECT count(*) FROM deals")

    assert [(2,)] == store.rows("SELECT count(*) FROM deals")


def test_a_checkpoint_folds_the_log_into_the_file(path: Path) -> None:
    """Afterwards the file alone is the whole mirror; while another thread is in a transaction it is put off."""
    store = DuckStore(path)
    log = path.with_name(path.name + ".wal")
    store.upsert(DEALS, [deal(1)])
    before = log.stat().st_size
    with store.transaction():
        store.upsert(DEALS, [deal(2)])
        thread = threading.Thread(target=store.checkpoint)
        thread.start()
        thread.join()
    store.checkpoint()

    assert before > 0
    assert not log.exists() or 0 == log.stat().st_size
    store.close()


def test_temporary_tables_are_made_and_replaced(store: Store) -> None:
    """A temporary table takes Arrow's columns and types; loading again replaces it."""
    store.load("windows", pa.table({"name": ["7d"], "start": pa.array([NOON], pa.timestamp("us", "UTC"))}))
    store.load("windows", pa.table({"name": ["today", "7d"]}))

    assert [("today",), ("7d",)] == store.rows("SELECT name FROM windows")
    assert ["today", "7d"] == store.arrow("SELECT name FROM windows")["name"].to_pylist()


def test_sessions_speak_utc_whatever_the_machine_does(place: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instants come out in UTC and days are cut in UTC, whatever TZ says."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    store = open_store(place)

    assert [(datetime(2026, 3, 1, 23, tzinfo=UTC), date(2026, 3, 1))] == store.rows(
        "SELECT t, t::DATE FROM (SELECT TIMESTAMPTZ '2026-03-02 02:00:00+03:00' AS t)"
    )
    store.close()


def test_a_closed_mirror_says_so(store: Store) -> None:
    store.close()

    with pytest.raises(MirrorError, match="closed"):
        store.rows("SELECT 1")


def test_mistakes_in_sql_stay_what_they_are(store: Store) -> None:
    """A wrong statement is a programming error, not a broken mirror."""
    with pytest.raises((duckdb.CatalogException, psycopg.errors.UndefinedTable)):
        store.rows("SELECT * FROM nowhere")


VALUES = [
    None, True, False, 0, -5, 2**31, -(2**62), "", "it's \\n a 100 % ? $1 :x", "Котёл 🙂", Decimal("-1.50"), Decimal("1E+3"),
    date(1970, 1, 1), datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC),
    datetime(1890, 1, 1, tzinfo=timezone(timedelta(hours=2, minutes=30, seconds=17))),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_arrives_as_it_is(store: Store, value: object) -> None:
    """Parameters are values, whatever stands in them; a mark inside quotes or a comment is none."""
    [(found, mark)] = store.rows("SELECT ? AS found, '?' AS mark -- ? is no parameter here", [value])

    assert (value, "?") == (found, mark)


def test_results_are_arrow_of_the_same_types(store: Store) -> None:
    """Numbers, money, days, instants, texts and truth, with NULL and an empty text told apart."""
    types = [pa.int32(), pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.date32(), pa.timestamp("us", "UTC"),
             pa.decimal128(18, 2)]  # fmt: skip
    rows = [[1, None], [2**40, None], [0.1, None], [True, None], ["", None], [date(2026, 3, 1), None], [NOON, None],
            [Decimal("0.10"), None]]  # fmt: skip
    table = pa.table([pa.array(held, kind) for held, kind in zip(rows, types, strict=True)], names=list("abcdefgh"))
    store.load("kept", table)

    assert table == store.arrow("SELECT * FROM kept ORDER BY a")
    assert table.slice(0, 0) == store.arrow("SELECT * FROM kept WHERE a = 2")


def test_words_mean_the_same(store: Store) -> None:
    """Division, emptiness, order, patterns and case, wherever the dialects differ."""
    store.execute(
        "CREATE OR REPLACE TEMP TABLE words AS SELECT * FROM (VALUES (1, 'Тест'), (2, 'б'), (3, NULL), (4, 'Б'), (5, 'z')) AS v(n, w)"
    )

    assert [(0.5, None)] == store.rows("SELECT n / 2, n / nullif(n - 1, 0) FROM words WHERE n = 1")
    assert [5, 4, 1, 2, 3] == [n for (n,) in store.rows("SELECT n FROM words ORDER BY w")]
    assert [2, 1, 4, 5, 3] == [n for (n,) in store.rows("SELECT n FROM words ORDER BY w DESC")]
    assert [("тест", "ТЕСТ")] == store.rows("SELECT lower(w), upper(w) FROM words WHERE n = 1")
    pattern = r"(?i)(^|[^\pL\pN_])(test|тест)([^\pL\pN_]|$)"
    matching = "SELECT n FROM words WHERE regexp_matches(w, ?)"
    assert [(1,)] == store.rows(matching, [pattern])
    assert [(2,), (4,)] == store.rows("SELECT n FROM words WHERE w ILIKE 'б%' ORDER BY n")
    store.execute("UPDATE words SET w = 'тестовый' WHERE n = 1")
    assert [] == store.rows(matching, [pattern])


# ---------------------------------------------------------------- opening


def unchanged(path: Path, content: bytes) -> bool:
    return path.read_bytes() == content and [path] == sorted(path.parent.iterdir())


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"hello, world\n" * 500, "is no mirror"), (b"PK\x03\x04", "is no mirror")],
    ids=["empty", "text", "short"],
)
def test_a_file_that_is_no_database_is_left_alone(path: Path, content: bytes, says: str) -> None:
    """Another program's file is named, not touched."""
    path.write_bytes(content)

    with pytest.raises(UnreadableMirror, match=says):
        DuckStore(path)

    assert unchanged(path, content)


def test_a_sqlite_file_is_named_and_nothing_is_fetched(path: Path) -> None:
    """DuckDB would look for an extension on the network; we look at the first bytes instead."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE a (b)")
    connection.commit()
    connection.close()
    content = path.read_bytes()

    with pytest.raises(UnreadableMirror, match="SQLite"):
        DuckStore(path)

    assert unchanged(path, content)


@pytest.mark.parametrize("read_only", [False, True])
def test_another_programs_duckdb_file_is_left_alone(path: Path, read_only: bool) -> None:
    """A DuckDB file without our mark belongs to somebody else."""
    with duckdb.connect(str(path)) as other:
        other.execute("CREATE TABLE invoices AS SELECT 1 AS id")
    content = path.read_bytes()

    with pytest.raises(UnreadableMirror, match=r"another program .*invoices"):
        DuckStore(path, read_only=read_only)

    assert unchanged(path, content)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_mirror_is_refused(path: Path, read_only: bool) -> None:
    """Tables of a newer version are not guessed at."""
    store = DuckStore(path)
    store.execute("INSERT INTO b24metrics_schema VALUES (?)", [len(MIGRATIONS) + 1])
    store.close()
    content = path.read_bytes()

    with pytest.raises(NewerMirror, match="Upgrade b24metrics") as caught:
        DuckStore(path, read_only=read_only)

    assert (len(MIGRATIONS) + 1, len(MIGRATIONS)) == (caught.value.found, caught.value.known)
    assert unchanged(path, content)


def test_an_older_mirror_is_not_changed_by_looking(path: Path) -> None:
    """Reading cannot migrate: it says what does."""
    DuckStore(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM b24metrics_schema")

    with pytest.raises(MirrorError, match="Run b24metrics sync once"):
        DuckStore(path, read_only=True)


@pytest.mark.parametrize("where", ["half", "header"])
def test_a_damaged_mirror_says_what_to_do(path: Path, where: str) -> None:
    """A cut or overwritten file is named as damaged, with the way out."""
    store = DuckStore(path)
    store.execute("INSERT INTO deals (portal, id, title) SELECT 'p', range, random()::VARCHAR FROM range(50000)")
    store.close()
    content = bytearray(path.read_bytes())
    if where == "half":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[8192 + 50 : 8192 + 200] = b"x" * 150
        content[4096 + 50 : 4096 + 200] = b"x" * 150
        path.write_bytes(content)

    with pytest.raises(UnreadableMirror, match=r"is damaged: .* backup"):
        DuckStore(path).rows("SELECT max(title) FROM deals")


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnwritableMirror, match=r"directory .*nowhere does not exist. Make it"):
        DuckStore(tmp_path / "nowhere" / "mirror.duckdb")


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMirror, match="is not a file"):
        DuckStore(tmp_path)


def test_a_directory_that_may_not_be_written_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of the system beforehand (which cannot be tried for real here: tests may run as root)."""
    monkeypatch.setattr("os.access", lambda *_: False)

    with pytest.raises(UnwritableMirror, match="cannot be written by this user"):
        DuckStore(path)

    assert [] == list(path.parent.iterdir())


def test_a_directory_that_refuses_is_named() -> None:
    """Where the system only says so when it is tried (here: the kernel's own file system)."""
    if not Path("/proc/self").is_dir():
        pytest.skip("no /proc")

    with pytest.raises(UnwritableMirror, match=r"cannot be made there|cannot be written"):
        DuckStore("/proc/mirror.duckdb")


def test_nothing_to_look_at_is_said(path: Path) -> None:
    """Looking makes no file."""
    with pytest.raises(NothingMirrored, match="b24metrics sync"):
        DuckStore(path, read_only=True)

    assert not path.exists()


def test_a_log_without_its_mirror_is_not_played_elsewhere(path: Path) -> None:
    """The last changes of a mirror that was moved away neither vanish nor land in a new one."""
    log = path.with_name(path.name + ".wal")
    log.write_bytes(b"changes")

    with pytest.raises(UnreadableMirror, match="Move the mirror back"):
        DuckStore(path)

    assert not path.exists()
    assert b"changes" == log.read_bytes()


def test_a_second_process_is_told_who_holds_the_mirror(path: Path) -> None:
    """One process writes; a second one, reading or writing, gets the holder's number and a way out."""
    store = DuckStore(path)
    code = (
        "import sys\n"
        "from b24metrics.errors import MirrorBusy\n"
        "from b24metrics.mirror.stores import DuckStore\n"
        "for read_only in (True, False):\n"
        "    try: DuckStore(sys.argv[1], read_only=read_only)\n"
        "    except MirrorBusy as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    store.close()

    assert 2 == done.stdout.count(f"PID {os.getpid()}")
    assert 2 == done.stdout.count("ask the running daemon")


def test_several_processes_may_look(path: Path) -> None:
    """Readers do not hinder each other, and can compute with temporary tables."""
    store = DuckStore(path)
    store.upsert(DEALS, [deal(1)])
    store.close()
    reader = DuckStore(path, read_only=True)
    code = (
        "import sys\n"
        "from b24metrics.mirror.stores import DuckStore\n"
        "print(DuckStore(sys.argv[1], read_only=True).rows('SELECT count(*) FROM deals'))"
    )

    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)

    assert "[(1,)]" == done.stdout.strip()
    reader.load("windows", pa.table({"name": ["7d"]}))
    assert [(1, "7d")] == reader.rows("SELECT id, name FROM deals, windows")
    with pytest.raises(MirrorBusy, match="this process"):
        DuckStore(path)
    reader.close()


def test_a_full_disk_loses_nothing_that_was_committed(path: Path) -> None:
    """The page that did not fit is refused with a next step; everything before it is there after reopening."""
    resource = pytest.importorskip("resource")
    code = """
import resource, signal, sys
from b24metrics.errors import UnwritableMirror
from b24metrics.mirror.schema import DEALS
from b24metrics.mirror.stores import DuckStore
store = DuckStore(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
kept = 0
try:
    for page in range(1000):
        with store.transaction():
            store.execute("INSERT INTO deals (portal, id, title) SELECT 'p', range + ?, random()::VARCHAR FROM range(5000)", [page * 5000])
            store.upsert(DEALS, [{"portal": "p", "id": 1_000_000 + page}])
        kept += 5001
except UnwritableMirror as error:
    assert "full" in str(error), error
    assert kept == store.rows("SELECT count(*) FROM deals")[0][0]
    print(kept)
"""
    assert resource
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)

    kept = int(done.stdout)
    assert kept > 0
    assert [(kept,)] == DuckStore(path).rows("SELECT count(*) FROM deals")


def test_a_killed_writer_leaves_whole_transactions(path: Path) -> None:
    """kill -9 between two statements of a transaction: nothing of it is there, everything before it is."""
    code = """
import os, signal, sys
from b24metrics.mirror.schema import DEALS, FEED_STATE
from b24metrics.mirror.stores import DuckStore
store = DuckStore(sys.argv[1])
with store.transaction():
    store.upsert(DEALS, [{"portal": "p", "id": 1}])
    store.upsert(FEED_STATE, [{"portal": "p", "feed": "deals", "cursor_id": 1}])
store.execute("BEGIN")
store.upsert(DEALS, [{"portal": "p", "id": 2}])
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    store = DuckStore(path)

    assert -9 == done.returncode, done.stderr
    assert [(1,)] == store.rows("SELECT id FROM deals")
    assert [(1,)] == store.rows("SELECT cursor_id FROM feed_state")


def test_a_mirror_that_is_being_made_by_two_is_made_once(path: Path) -> None:
    """Whoever comes second finds the file and opens it, or is told who holds it; nobody replaces it."""
    code = (
        "import sys\n"
        "from b24metrics.errors import MirrorBusy\n"
        "from b24metrics.mirror.stores import DuckStore\n"
        "from b24metrics.mirror.schema import DEALS\n"
        "try: DuckStore(sys.argv[1]).upsert(DEALS, [{'portal': 'p', 'id': int(sys.argv[2])}]); print(sys.argv[2])\n"
        "except MirrorBusy: pass\n"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(n)], stdout=subprocess.PIPE, text=True)
        for n in range(1, 4)
    ]
    wrote = sorted(int(said) for racer in racers if (said := racer.communicate(timeout=60)[0].strip()))

    assert wrote == [number for (number,) in DuckStore(path).rows("SELECT id FROM deals ORDER BY id")]
    assert [path] == [found for found in path.parent.iterdir() if found.suffix != ".wal"]
