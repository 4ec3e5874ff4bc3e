"""Catching up: the past is copied beside the rounds, tried again when it failed, and let go at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from b24exporter.board import Board
from b24exporter.mirrored import FIRST_WAIT, FREEZE_SECONDS, RETRY_SECONDS, REVIEW_SECONDS, Mirrored
from b24metrics.clock import HandClock
from b24metrics.errors import ConfigError, NothingMirrored, Unreachable
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.forecast import Budgets
from b24metrics.mirror.schema import PORTALS
from b24metrics.mirror.stores import DuckStore
from b24metrics.mirror.sync import FeedStatus, Progress, Report, which_portal

AT = datetime(2025, 3, 14, 9, tzinfo=UTC)


class Stub:
    """A Sync that only says what it was asked for."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.calls: list[str] = []
        self.backfilled = False
        self.on_backfill: Callable[[], Awaitable[None]] = self._at_once

    async def _at_once(self) -> None:
        self.backfilled = True

    async def backfill(self) -> Report:
        self.calls.append("backfill")
        await self.on_backfill()
        return Report(AT, {}, {})

    async def round(self) -> Report:
        self.calls.append("round")
        return Report(AT, {}, {})

    def status(self) -> list[FeedStatus]:
        return [
            FeedStatus(
                feed.name,
                feed.table.name,
                7,
                self.backfilled,
                0 if self.backfilled else 100,
                None,
                None,
                AT,
                0.0,
                0,
                None,
            )
            for feed in standard()
        ]


@pytest.fixture
def stub(clock: HandClock) -> Stub:
    return Stub(clock)


@pytest.fixture
def source(stub: Stub, clock: HandClock) -> Mirrored:
    source = Mirrored(None, "example.bitrix24.ru", standard(), clock, Board(0.0))
    source.sync = stub
    return source


def catching_up(source: Mirrored, times: int = 1, between: Callable[[], None] = lambda: None) -> None:
    async def run() -> None:
        try:
            for number in range(times):
                if number:
                    between()
                await source.catch_up()
                source.feeds()
        finally:
            await source.close()

    asyncio.run(run())


def test_the_past_is_copied_once_then_only_rounds(source: Mirrored, stub: Stub) -> None:
    """A complete mirror costs one request per round."""
    catching_up(source, times=3)

    assert ["round", "backfill", "round", "round", "round"] == stub.calls


def test_a_long_backfill_does_not_hold_up_rounds(source: Mirrored, stub: Stub, clock: HandClock) -> None:
    """After a little patience rounds go on beside it; the end of the source ends it."""
    ended: list[str] = []

    async def long() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    stub.on_backfill = long
    catching_up(source, times=3)

    assert ["round", "backfill", "round", "round", "round"] == stub.calls
    assert FIRST_WAIT == clock.elapsed
    assert ["cancelled"] == ended


def test_a_backfill_that_left_something_out_is_tried_again_later(
    source: Mirrored, stub: Stub, clock: HandClock
) -> None:
    """A feed that may not be read is not asked for in every round."""

    async def partly() -> None:
        return None

    stub.on_backfill = partly
    catching_up(source, times=3)
    assert 1 == stub.calls.count("backfill")

    catching_up(source, between=lambda: None)
    clock.move(RETRY_SECONDS)
    catching_up(source)
    assert 2 == stub.calls.count("backfill")


def test_a_broken_backfill_breaks_the_round_and_begins_again(source: Mirrored, stub: Stub) -> None:
    """What stops the backfill is the round's failure; the next round begins with it again."""

    async def broken() -> None:
        raise Unreachable("It does not answer.")

    stub.on_backfill = broken
    for _ in range(2):
        with pytest.raises(Unreachable, match="does not answer"):
            catching_up(source)

    assert ["round", "backfill", "round", "backfill"] == stub.calls


def test_feeds_are_told_with_what_is_missing_and_how_often_they_are_due(source: Mirrored, stub: Stub) -> None:
    """Rows, freshness, what is still to come; a directory read every ten minutes is not late after nine."""
    feeds = {feed.name: feed for feed in source.feeds()}

    assert (7, 100, AT.timestamp()) == (feeds["deals"].rows, feeds["deals"].pending, feeds["deals"].synced_at)
    nine = (AT + timedelta(minutes=9)).timestamp()
    assert (540.0, 0.0) == (feeds["deals"].lag(nine), feeds["users"].lag(nine))


def test_progress_is_said_in_both_languages(source: Mirrored) -> None:
    """Whoever waits for the first figures sees how far it is."""
    source.progress(Progress("deals", 5, 10, 12_345, 50_000, 100.0, 300.0, Budgets()))

    assert "12 345 records of about 50 000 (24 %)" in source._board.doing.en
    assert "12 345 записей из примерно 50 000 (24 %)" in source._board.doing.ru


def test_the_file_of_plans_is_followed(
    stub: Stub, clock: HandClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Loaded when it is there, again when it changes; a faulty change leaves the plans of before and is told once."""
    with closing(DuckStore()) as store:
        source = Mirrored(store, "example.bitrix24.ru", standard(), clock, Board(0.0))
        source.sync = stub
        source.plans_file = path = tmp_path / "plans.csv"

        def planned(text: str) -> list[tuple]:
            path.write_text(text)
            for _ in range(2):
                source._follow_files()
            return store.rows("SELECT level, subject_id, amount FROM plans ORDER BY level, subject_id")

        assert [("T", 0, 500)] == planned("level,subject_id,month,amount\nT,0,2025-03,500\n")
        assert [("M", 101, 300), ("T", 0, 500)] == planned(
            "level,subject_id,month,amount\nT,0,2025-03,500\nM,101,2025-03,300\n"
        )
        with caplog.at_level("ERROR"):
            assert 2 == len(planned("level,subject_id,month,amount\nX,0,2025-03,500,\n"))
        assert 1 == [record.levelname for record in caplog.records].count("ERROR")


def test_files_of_inputs_are_followed(
    stub: Stub, clock: HandClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the files hold replaces those kinds; a kind that leaves them is forgotten; a mistake leaves all as it was."""
    visits, more = tmp_path / "visits.csv", tmp_path / "more.toml"
    with closing(DuckStore()) as store:
        source = Mirrored(store, "example.bitrix24.ru", standard(), clock, Board(0.0))
        source.sync = stub
        source.inputs_files = (visits, more)

        def held() -> list[tuple]:
            source._follow_files()
            return store.rows("SELECT kind, starts_on, amount FROM inputs ORDER BY kind, starts_on")

        visits.write_text("date,visits\n2025-03-01,500\n2025-03-02,600\n")
        more.write_text('[[costs]]\nmonth = "2025-03"\nlevel = "T"\namount = 90\n')
        assert [
            ("costs", date(2025, 3, 1), 90),
            ("visits", date(2025, 3, 1), 500),
            ("visits", date(2025, 3, 2), 600),
        ] == held()

        visits.write_text("date,visits\n2025-03-02,7\n")
        assert [("costs", date(2025, 3, 1), 90), ("visits", date(2025, 3, 2), 7)] == held()

        with caplog.at_level("ERROR"):
            visits.write_text("date,visits\n2025-03-02,many\n")
            assert [("costs", date(2025, 3, 1), 90), ("visits", date(2025, 3, 2), 7)] == held()
            held()
        assert 1 == [record.levelname for record in caplog.records].count("ERROR")

        source.inputs_files = (more,)
        assert [("costs", date(2025, 3, 1), 90)] == held()


def test_a_complete_copy_is_looked_over_every_hour(source: Mirrored, stub: Stub, clock: HandClock) -> None:
    """A scope that is ticked later brings its entities without a restart."""
    catching_up(source, times=2)
    assert 1 == stub.calls.count("backfill")

    clock.move(REVIEW_SECONDS - 2 * FIRST_WAIT)
    catching_up(source)
    assert 1 == stub.calls.count("backfill")

    clock.move(2 * FIRST_WAIT)
    catching_up(source)
    assert 2 == stub.calls.count("backfill")


def test_closed_months_are_looked_for_once_an_hour(
    stub: Stub, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right away, and again an hour later; a failure waits for the next hour, too."""
    asked: list[datetime] = []

    def closing_of(_store: object, _portal: str, *, now: datetime, options: object) -> int:
        asked.append(now)
        raise NothingMirrored("Nothing is there.")

    monkeypatch.setattr("b24exporter.mirrored.freeze", closing_of)
    source = Mirrored(None, "example.bitrix24.ru", standard(), clock, Board(0.0))
    with pytest.raises(NothingMirrored):
        source.freeze()
    source.freeze()
    assert 1 == len(asked)

    clock.move(FREEZE_SECONDS)
    with pytest.raises(NothingMirrored):
        source.freeze()
    assert [timedelta(seconds=FREEZE_SECONDS)] == [asked[1] - asked[0]]


def test_the_portal_of_a_mirror_is_found_or_asked_for() -> None:
    """One portal is taken; of several one must be named; none, or a wrong name, is said."""
    store = DuckStore()

    with pytest.raises(NothingMirrored, match="sync first"):
        which_portal(store)
    store.upsert(PORTALS, [{"portal": "a.example"}])
    assert "a.example" == which_portal(store)
    store.upsert(PORTALS, [{"portal": "b.example"}])
    with pytest.raises(ConfigError, match=r"a\.example, b\.example with --portal"):
        which_portal(store)
    assert "b.example" == which_portal(store, "b.example")
    with pytest.raises(NothingMirrored, match=r"'c\.example'"):
        which_portal(store, "c.example")
    store.close()
