"""Notices of the portal: who is believed, and how they wake a round."""

from __future__ import annotations

import asyncio
import threading
from urllib.parse import urlencode

import pytest

from b24exporter.board import Board, PortalFacts
from b24exporter.daemon import Daemon, RoundOptions
from b24exporter.push import LARGEST, Bell, Push
from b24metrics.clock import HandClock
from b24metrics.errors import Unreachable
from b24metrics.portal.address import Secret
from tests.exporter.toy import AT, FEEDS, KPIS, a_board, a_snapshot, an_edition

TOKEN = "0123456789abcdef0123456789abcdef"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def notice(token: str = TOKEN) -> bytes:
    return urlencode({"event": "ONCRMDEALUPDATE", "data[FIELDS][ID]": "7", "auth[application_token]": token}).encode()


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def push(bell: Bell) -> Push:
    return Push([Secret(TOKEN)], bell)


# ---------------------------------------------------------------- the endpoint


def test_a_notice_with_our_token_rings(web, push: Push, bell: Bell) -> None:
    """204, counted, and the bell has rung."""
    got = web(a_board(), push=push).post("/push", content=notice(), headers=FORM)

    assert (204, b"", True) == (got.status_code, got.content, bell.has_rung)
    assert {"accepted": 1, "forged": 0, "unreadable": 0} == push.counts


@pytest.mark.parametrize(
    ("body", "status", "outcome"),
    [
        (notice("f" * 32), 403, "forged"),
        (notice(""), 403, "forged"),
        (b"event=ONCRMDEALUPDATE", 403, "forged"),
        (b"hello", 400, "unreadable"),
        (b"x" * (LARGEST + 1), 413, "unreadable"),
    ],
)
def test_others_do_not_ring(web, push: Push, bell: Bell, body: bytes, status: int, outcome: str) -> None:
    """A forged, unreadable or endless notice is refused in a sentence that quotes nothing of it."""
    got = web(a_board(), push=push).post("/push", content=body, headers=FORM)

    assert (status, False, 1) == (got.status_code, bell.has_rung, push.counts[outcome])
    assert TOKEN not in got.text
    assert "f" * 32 not in got.text


def test_notices_are_counted_in_the_metrics(web, push: Push) -> None:
    """Forged ones can be alerted on."""
    client = web(a_board(), push=push)
    client.post("/push", content=notice(), headers=FORM)
    client.post("/push", content=notice("f" * 32), headers=FORM)

    text = client.get("/metrics").text

    assert 'b24_exporter_push_notices_total{outcome="accepted"} 1.0\n' in text
    assert 'b24_exporter_push_notices_total{outcome="forged"} 1.0\n' in text


def test_without_a_token_there_is_no_endpoint(web) -> None:
    """Nothing to guess at."""
    assert 404 == web(a_board(an_edition())).post("/push", content=notice(), headers=FORM).status_code


def test_only_posts_are_notices(web, push: Push) -> None:
    assert 405 == web(a_board(), push=push).get("/push").status_code


# ---------------------------------------------------------------- rounds


class StillClock(HandClock):
    """Time stands still until somebody moves it."""

    async def asleep(self, seconds: float) -> None:
        until = self.now() + seconds
        while self.now() < until:  # noqa: ASYNC110 - time is moved by hand, nobody announces it
            await asyncio.sleep(0)


class Stub:
    """A source that counts how often it was asked to catch up."""

    has_portal = True

    def __init__(self) -> None:
        self.caught_up = 0
        self.evaluations = 0  # begun
        self.computing = threading.Event()
        self.computing.set()
        self.error: Exception | None = None

    async def catch_up(self) -> None:
        self.caught_up += 1
        if self.error is not None:
            raise self.error

    def feeds(self):
        return FEEDS

    def facts(self) -> PortalFacts:
        return PortalFacts("example.bitrix24.ru", "Europe/Moscow", "RUB")

    def evaluate(self):
        self.evaluations += 1
        assert self.computing.wait(30)
        return a_snapshot()

    def freeze(self) -> None:
        """No month is over."""


class Scene:
    """A daemon that runs, a bell and a clock in hand."""

    def __init__(self) -> None:
        self.clock = StillClock(AT)
        self.bell = Bell(rest=2.0)
        self.source = Stub()
        self.board = Board(AT.timestamp())
        options = RoundOptions(60.0, 10_000, KPIS)
        self.daemon = Daemon(self.board, self.source, self.clock, options, self.bell)

    @property
    def rounds(self) -> int:
        return sum(self.board.rounds.values())

    async def until(self, condition) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - a worker thread's doing, which nobody announces
                await asyncio.sleep(0)

    async def settle(self) -> None:
        for _ in range(200):
            await asyncio.sleep(0)

    async def second_round_computes(self) -> None:
        """A bell has begun it; its figures take until ``source.computing`` is set."""
        self.source.computing.clear()
        self.bell.ring()
        await self.settle()
        self.clock.move(2)
        await self.until(lambda: self.source.evaluations == 2)

    def play(self, script) -> None:
        async def run() -> None:
            running = asyncio.create_task(self.daemon.run())
            try:
                await self.until(lambda: self.rounds == 1)
                await self.settle()
                await script()
            finally:
                self.source.computing.set()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await self.daemon.close()

        asyncio.run(run())


def test_a_bell_begins_the_next_round_early() -> None:
    """Two seconds after the last round began instead of sixty."""
    scene = Scene()

    async def script() -> None:
        scene.clock.move(1)
        scene.bell.ring()
        await scene.settle()
        assert 1 == scene.rounds
        scene.clock.move(1)
        await scene.until(lambda: scene.rounds == 2)

    scene.play(script)


def test_without_a_bell_rounds_keep_their_interval() -> None:
    scene = Scene()

    async def script() -> None:
        scene.clock.move(59)
        await scene.settle()
        assert 1 == scene.rounds
        scene.clock.move(1)
        await scene.until(lambda: scene.rounds == 2)

    scene.play(script)


def test_a_thousand_notices_are_one_round() -> None:
    """A portal in full swing is asked every two seconds, not oftener."""
    scene = Scene()

    async def script() -> None:
        for _ in range(1000):
            scene.bell.ring()
        await scene.settle()
        scene.clock.move(2)
        await scene.until(lambda: scene.rounds == 2)
        scene.clock.move(30)
        await scene.settle()
        assert 2 == scene.rounds

    scene.play(script)


def test_a_bell_is_answered_while_figures_are_computed() -> None:
    """The mirror is brought up to date at once, and new figures follow without waiting for the interval."""
    scene = Scene()

    async def script() -> None:
        await scene.second_round_computes()
        scene.bell.ring()
        await scene.until(lambda: scene.source.caught_up == 3)
        assert 1 == scene.rounds
        scene.source.computing.set()
        await scene.until(lambda: scene.rounds == 2)
        await scene.settle()
        scene.clock.move(2)
        await scene.until(lambda: scene.rounds == 3)

    scene.play(script)


def test_dear_figures_follow_a_bell_in_a_duty_cycle() -> None:
    """A bell brings the mirror up to date at once; figures that took ten seconds rest for twenty."""
    scene = Scene()

    async def script() -> None:
        await scene.second_round_computes()
        scene.clock.move(10)
        scene.source.computing.set()
        await scene.until(lambda: scene.rounds == 2)
        await scene.settle()
        scene.bell.ring()
        await scene.settle()
        scene.clock.move(2)
        await scene.until(lambda: scene.source.caught_up == 3)
        await scene.settle()
        assert 2 == scene.rounds
        scene.clock.move(18)
        scene.bell.ring()
        await scene.settle()
        scene.clock.move(2)
        await scene.until(lambda: scene.rounds == 3)

    scene.play(script)


def test_a_failing_portal_meanwhile_harms_no_figures() -> None:
    """What fails while figures are computed is told by the next round."""
    scene = Scene()

    async def script() -> None:
        await scene.second_round_computes()
        scene.source.error = Unreachable("example.bitrix24.ru does not answer: check the network.")
        scene.bell.ring()
        await scene.until(lambda: scene.source.caught_up == 3)
        scene.source.computing.set()
        await scene.until(lambda: scene.rounds == 2)
        assert scene.board.failure is None
        await scene.settle()
        scene.clock.move(2)
        await scene.until(lambda: scene.rounds == 3)
        assert "example.bitrix24.ru does not answer: check the network." == scene.board.failure

    scene.play(script)
