"""Readers of one state: statements side by side that never see two different mirrors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest

from b24metrics.errors import MirrorError
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from b24metrics.mirror.stores.readers import Readers, readers

SHELVES = ("first", "second")
COUNT = "SELECT count(*) FROM portals"


def write(store: DuckStore, name: str) -> None:
    store.upsert(schema.PORTALS, [{"portal": name}])


@pytest.fixture
def store(tmp_path) -> Iterator[DuckStore]:
    store = DuckStore(tmp_path / "m.duckdb", threads=2)
    write(store, "a")
    yield store
    store.close()


def seen(found: Readers) -> set[int]:
    return {one.rows(COUNT)[0][0] for one in (*found.workers, *found.shelves.values())}


def test_what_is_committed_later_is_seen_by_none(store: DuckStore) -> None:
    """All readers stand on the state at which the first began, although each asks for the first time much later."""
    with readers(store, SHELVES) as found:
        write(store, "b")

        assert 2 == len(found.workers)
        assert {1} == seen(found)
    assert [(2,)] == store.rows(COUNT)


class _Busy(DuckStore):
    """Somebody writes whenever a reader begins, as often as ``writes`` says."""

    writes = 0

    def another(self):
        store, connection = self, super().another()

        class Beginning:
            def begin(self) -> None:
                connection.begin()
                if store.writes:
                    store.writes -= 1
                    write(store, f"busy {store.writes}")

            def __getattr__(self, name: str) -> Callable[..., object]:
                return getattr(connection, name)

        return Beginning()


@pytest.mark.parametrize(("writes", "workers"), [(1, 2), (3, 2), (10_000, 1)])
def test_a_commit_between_two_beginnings_makes_them_begin_again(tmp_path, writes: int, workers: int) -> None:
    """Readers that might see different states begin anew; where writing never ends, one reader answers alone."""
    store = _Busy(tmp_path / "m.duckdb", threads=2)
    store.writes = writes

    with readers(store, SHELVES) as found:
        assert workers == len(found.workers)
        assert 1 == len(seen(found))

    store.close()


def test_a_shelf_is_seen_once_it_is_published(store: DuckStore) -> None:
    """What one reader made is read by workers that began before it, and by readers of other shelves."""
    with readers(store, SHELVES) as found:
        worker, first, second = found.workers[1], found.shelves["first"], found.shelves["second"]
        worker.make("mine", "SELECT 1 AS n")
        first.make("kpi_x", f"SELECT n + 1 AS n FROM ({COUNT}) AS c(n)")
        first.load("kpi_y", pa.table({"n": [5]}))
        first.publish()
        second.make("kpi_z", f"SELECT x.n + y.n AS n FROM {first.called('kpi_x')} AS x, {first.called('kpi_y')} AS y")
        second.publish()

        assert [(8,)] == worker.rows(f"SELECT z.n + m.n FROM {second.called('kpi_z')} AS z, mine AS m")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("read_only", [False, True])
def test_nothing_stays(store: DuckStore, *, fails: bool, read_only: bool) -> None:
    """Afterwards there are no shelves, no tables, no transactions, and statements have their threads again."""
    if read_only:
        path = store.path
        store.close()
        store = DuckStore(path, read_only=True, threads=2)
    before = store.rows("SELECT count(*) FROM duckdb_databases() WHERE NOT internal")

    def work() -> None:
        with readers(store, SHELVES) as found:
            found.workers[0].make("mine", "SELECT 1 AS n")
            found.shelves["first"].make("kpi_x", "SELECT 1 AS n")
            found.shelves["first"].publish()
            assert [(1,)] == found.workers[0].rows("SELECT current_setting('threads')")
            if fails:
                raise MirrorError("given up")

    if fails:
        with pytest.raises(MirrorError, match="given up"):
            work()
    else:
        work()

    assert before == store.rows("SELECT count(*) FROM duckdb_databases() WHERE NOT internal")
    assert [(0,)] == store.rows("SELECT count(*) FROM duckdb_tables() WHERE temporary OR table_name LIKE 'kpi%'")
    assert [(2,)] == store.rows("SELECT current_setting('threads')")
    store.close()


def test_one_thread_is_one_worker() -> None:
    """A store that was given one thread has one worker, whose tables are temporary and gone afterwards."""
    store = DuckStore(threads=1)

    with readers(store, SHELVES) as found:
        (alone,) = found.workers
        assert {alone} == set(found.shelves.values())
        alone.make("kpi_x", "SELECT 1 AS n")
        assert ("kpi_x", [(1,)]) == (alone.called("kpi_x"), alone.rows("SELECT n FROM kpi_x"))

    assert [(0,)] == store.rows("SELECT count(*) FROM duckdb_tables() WHERE temporary")
    store.close()
