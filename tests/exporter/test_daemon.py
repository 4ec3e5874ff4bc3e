"""Rounds: what is put up, what stays when something fails, and that scrapes never wait."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from b24exporter.board import Board, PortalFacts
from b24exporter.daemon import Daemon, RoundOptions
from b24metrics.clock import HandClock
from b24metrics.errors import NothingMirrored, PortalKept, Unreachable, UnwritableMirror
from tests.exporter.toy import AT, FEEDS, KPIS, a_snapshot


class Stub:
    """A source whose every step can be made to fail or to wait."""

    def __init__(self, clock: HandClock, *, has_portal: bool = True) -> None:
        self.has_portal = has_portal
        self.clock = clock
        self.on_catch_up: Callable[[], None] = lambda: None
        self.on_evaluate: Callable[[], None] = lambda: None
        self.on_freeze: Callable[[], None] = lambda: None
        self.threads: set[str] = set()
        self.running = 0
        self.most = 0

    async def catch_up(self) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.clock.asleep(2)
            self.on_catch_up()
        finally:
            self.running -= 1

    def feeds(self):
        return FEEDS

    def facts(self) -> PortalFacts:
        return PortalFacts("example.bitrix24.ru", "Europe/Moscow", "RUB")

    def evaluate(self):
        self.threads.add(threading.current_thread().name)
        self.on_evaluate()
        return a_snapshot()

    def freeze(self) -> None:
        self.on_freeze()


@pytest.fixture
def stub(clock: HandClock) -> Stub:
    clock.move(AT.timestamp() - clock.now())
    return Stub(clock)


@pytest.fixture
def board(stub: Stub) -> Board:
    return Board(AT.timestamp())


def rounds(board: Board, source: Stub, *actions: Callable[[], None], **options) -> list[bool]:
    """One round, and one more after each action."""

    async def run() -> list[bool]:
        daemon = Daemon(board, source, source.clock, RoundOptions(60.0, options.get("max_series", 10_000), KPIS))
        outcomes = [await daemon.round()]
        for action in actions:
            action()
            outcomes.append(await daemon.round())
        await daemon.close()
        return outcomes

    return asyncio.run(run())


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_good_round_puts_up_an_edition(board: Board, stub: Stub) -> None:
    """Text, names of the portal, phases and outcome; computed in the worker thread."""
    assert [True] == rounds(board, stub)

    assert b'b24_revenue_won{department_id="11",window="mtd"} 190000\n' in board.edition.publication.body
    assert (AT.timestamp() + 2, "example.bitrix24.ru") == (board.edition.at, board.edition.portal.host)
    assert (True, None, {"good": 1, "failed": 0}) == (board.portal_up, board.failure, board.rounds)
    assert {"sync": 2.0, "evaluate": 0.0, "render": 0.0} == board.seconds
    assert board.edition.series == sum(line[:1] != b"#" for line in board.edition.publication.body.splitlines())
    assert {"b24-round_0"} == stub.threads


def test_a_failing_round_leaves_the_last_edition(board: Board, stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    """The portal is gone: the old figures stay, the reason stands on the board; when it is back, all is well again."""
    first: list = []

    def breaks() -> None:
        first.append(board.edition)
        stub.on_catch_up = failing(Unreachable("example.bitrix24.ru does not answer: check the network."))

    def mends() -> None:
        assert first[0] is board.edition
        assert "example.bitrix24.ru does not answer: check the network." == board.failure
        assert board.portal_up is False
        stub.on_catch_up = lambda: None

    with caplog.at_level(logging.INFO):
        assert [True, False, True] == rounds(board, stub, breaks, mends)

    assert first[0] is not board.edition
    assert (True, None, {"good": 2, "failed": 1}) == (board.portal_up, board.failure, board.rounds)
    assert ["Round failed: example.bitrix24.ru does not answer: check the network.", "Rounds succeed again."] == [
        record.message for record in caplog.records
    ]


def test_a_failure_that_lasts_is_logged_once(board: Board, stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    """A portal that is away all night does not fill the disk."""
    stub.on_catch_up = failing(Unreachable("It does not answer."))

    rounds(board, stub, lambda: None, lambda: None)

    assert ["Round failed: It does not answer."] == [record.message for record in caplog.records]


def test_an_old_mirror_is_better_than_an_empty_screen(board: Board, stub: Stub) -> None:
    """After a restart while the portal is away the mirror's figures are shown, with the failure beside them."""
    stub.on_catch_up = failing(Unreachable("It does not answer."))

    assert [False] == rounds(board, stub)

    assert board.edition is not None
    assert (False, "It does not answer.") == (board.portal_up, board.failure)
    assert AT.timestamp() - 12 == board.edition.at  # as old as the last look at the portal, not as the computation


def test_the_first_cause_is_told(board: Board, stub: Stub) -> None:
    """A new exporter whose portal is away says so, and not that its mirror is empty."""
    stub.on_catch_up = failing(Unreachable("It does not answer."))
    stub.on_evaluate = failing(NothingMirrored("Sync it first."))

    assert [False] == rounds(board, stub)

    assert (None, "It does not answer.") == (board.edition, board.failure)


def test_an_edition_without_figures_is_not_put_up(board: Board, stub: Stub) -> None:
    """While nothing is copied there is nothing to show: not ready is told apart from no sales."""
    stub.evaluate = lambda: a_snapshot([])

    assert [True] == rounds(board, stub)

    assert board.edition is None


def test_a_bug_in_a_formula_costs_the_round_not_the_daemon(
    board: Board, stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    """An unforeseen error is logged with its traceback, shown in general words, and the old figures stay."""

    def breaks() -> None:
        stub.on_evaluate = failing(ZeroDivisionError("inside"))

    assert [True, False] == rounds(board, stub, breaks)

    assert board.edition is not None
    assert "inside: please report" in board.failure
    assert board.portal_up is True
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("error", [NothingMirrored("Sync it first."), ZeroDivisionError("inside")])
def test_a_month_that_cannot_be_closed_costs_no_round(
    board: Board, stub: Stub, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """The figures are up, the round is good; what went wrong is told once."""
    stub.on_freeze = failing(error)

    assert [True, True] == rounds(board, stub, lambda: None)

    assert board.edition is not None
    assert 1 == caplog.text.count("Closed months could not be written down")


def test_months_are_closed_by_who_keeps_the_portal(board: Board, stub: Stub) -> None:
    """Neither while another process keeps it, nor from a mirror that could not be brought up to date."""
    asked: list[int] = []
    stub.on_freeze = lambda: asked.append(1)
    stub.on_catch_up = failing(PortalKept("Kept.", portal="example.bitrix24.ru", holder="other (PID 7)"))

    def fails() -> None:
        assert "other (PID 7)" == board.keeper
        stub.on_catch_up = failing(Unreachable("It does not answer."))

    def mends() -> None:
        assert [] == asked
        stub.on_catch_up = lambda: None

    assert [True, False, True] == rounds(board, stub, fails, mends)
    assert ([1], None) == (asked, board.keeper)


def test_a_full_disk_is_not_the_portals_fault(board: Board, stub: Stub) -> None:
    """A mirror that cannot be written fails the round and says nothing about the portal."""
    stub.on_catch_up = failing(UnwritableMirror("The disk is full: make room."))

    assert [False] == rounds(board, stub)

    assert ("The disk is full: make room.", None) == (board.failure, board.portal_up)


def test_without_a_portal_a_mirror_is_evaluated(board: Board, stub: Stub) -> None:
    """Mirror only: nothing is asked, nothing is said about a portal."""
    stub.has_portal = False
    stub.on_catch_up = failing(AssertionError("asked"))

    assert [True] == rounds(board, stub)

    assert (None, AT.timestamp() - 12) == (board.portal_up, board.edition.at)
    assert "sync" not in board.seconds


def test_the_budget_drops_families_and_says_so(board: Board, stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    """Over max_series whole KPI families go, are counted on the board and logged once."""
    rounds(board, stub, lambda: None, max_series=30)

    assert board.edition.series <= 30
    parts = ("", "_denominator", "_numerator")
    assert {(f"b24_manager_plan_attainment_ratio{part}", "budget"): 4 for part in parts} == board.edition.dropped
    assert b"b24_manager_plan_attainment_ratio" not in board.edition.publication.body
    assert b"b24_manager_info" in board.edition.publication.body
    assert 1 == [record.levelname for record in caplog.records].count("WARNING")


def test_rounds_follow_one_another_at_the_interval(board: Board, stub: Stub) -> None:
    """A round begins an interval after the last one began, never beside it; a slow round is followed after a breath."""
    began: list[float] = []

    async def gaps(interval: float) -> list[float]:
        began.clear()
        enough = asyncio.Event()

        def note() -> None:
            began.append(stub.clock.elapsed)
            if len(began) == 3:
                enough.set()

        stub.on_catch_up = note
        daemon = Daemon(board, stub, stub.clock, RoundOptions(interval, 10_000, KPIS))
        task = asyncio.create_task(daemon.run())
        await enough.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await daemon.close()
        return [later - earlier for earlier, later in pairwise(began[:3])]

    assert [60.0, 60.0] == asyncio.run(gaps(60.0))
    assert [3.0, 3.0] == asyncio.run(gaps(1.5))
    assert 1 == stub.most


def test_a_scrape_during_an_evaluation_is_answered(board: Board, stub: Stub, web) -> None:
    """While a round computes, /metrics serves the edition that is up."""
    rounds(board, stub)
    entered, leave = threading.Event(), threading.Event()

    def long() -> None:
        entered.set()
        assert leave.wait(timeout=20)

    stub.on_evaluate = long
    working = threading.Thread(target=lambda: rounds(board, stub))
    working.start()
    try:
        assert entered.wait(timeout=20)
        client = web(board)
        assert 'b24_revenue_won{department_id="11",window="mtd"} 190000' in client.get("/metrics").text
        assert 200 == client.get("/-/ready").status_code
    finally:
        leave.set()
        working.join(timeout=20)
