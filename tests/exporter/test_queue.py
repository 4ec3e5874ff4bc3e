"""The offline queue of an application: bound once, emptied, heard as a bell."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from b24exporter.push import Bell
from b24exporter.queue import EVENTS, PATIENCE, Queue
from b24metrics.clock import HandClock
from b24metrics.portal import AsyncPortal, OAuth
from b24metrics.sim.accounts import Application
from b24metrics.sim.server import Sim
from tests.sim.conftest import DEAL


class Pausing(HandClock):
    """Remembers how long it was asked to rest, and ends the play after some rests."""

    def __init__(self, rests: int) -> None:
        super().__init__()
        self.rests: list[float] = []
        self._most = rests

    async def asleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        if len(self.rests) >= self._most:
            raise asyncio.CancelledError
        self.move(seconds)


@pytest.fixture
def sim() -> Iterator[Sim]:
    with Sim(clock=HandClock()) as running:
        yield running


def credential(sim: Sim, user_id: int = 1) -> OAuth:
    card = Application("local.app", "app0secret")
    token = sim.add_application(card, user_id)
    return OAuth(
        client_id=card.client_id, client_secret=card.client_secret, access_token=token.access,
        refresh_token=token.refresh, client_endpoint=f"{sim.url}/rest/", token_url=f"{sim.url}/oauth/token/",
    )  # fmt: skip


def played(sim: Sim, oauth: OAuth, bell: Bell, *, rests: int = 1, keeps: bool = True, between=None) -> Pausing:
    """A queue that looks and rests ``rests`` times; ``between``: done before the second look."""
    clock = Pausing(rests)

    async def run() -> None:
        async with AsyncPortal(oauth, clock=sim.portal.clock) as portal:
            queue = Queue(portal, bell, clock, every=20.0, keeps=lambda: keeps)
            if between is not None:
                assert await queue.look()
                bell.muffle()
                between()
            with pytest.raises(asyncio.CancelledError):
                await queue.run()
            clock.counts = queue.counts

    asyncio.run(run())
    return clock


def bound(sim: Sim) -> list[str]:
    return sorted(binding.event for binding in sim.portal.events.bindings if binding.offline)


def test_a_change_in_the_portal_rings(sim: Sim) -> None:
    """A deal is added after the queue was bound; the second look hears it, and it is gone from the queue."""
    bell = Bell()
    oauth = credential(sim)
    clock = played(sim, oauth, bell, between=lambda: sim.records.create(DEAL, {"TITLE": "New"}, sim.hand()))

    assert bell.has_rung
    assert {"queued": 1} == clock.counts
    assert 0 == sim.data.value("SELECT count(*) FROM offline_event")


def test_an_empty_queue_does_not_ring(sim: Sim) -> None:
    bell = Bell()
    clock = played(sim, credential(sim), bell, rests=3)

    assert not bell.has_rung
    assert [20.0, 20.0, 20.0] == clock.rests


def test_events_are_bound_once(sim: Sim) -> None:
    """However often an exporter begins: binding the same event twice would be refused, or kept twice."""
    oauth = credential(sim)
    played(sim, oauth, Bell())
    played(sim, oauth, Bell())

    assert sorted(EVENTS) == bound(sim)


def test_who_does_not_keep_the_mirror_leaves_the_queue_alone(sim: Sim) -> None:
    """What a stand-by took, the keeper would never hear of."""
    played(sim, credential(sim), Bell(), keeps=False)

    assert [] == list(sim.log)


def test_a_portal_that_refuses_is_told_of_once(sim: Sim, caplog: pytest.LogCaptureFixture) -> None:
    """The application's user is no administrator: rounds go on without the queue."""
    sim.data.insert("user", {"ID": 2, "NAME": "Manager", "ACTIVE": True})
    with caplog.at_level(logging.WARNING):
        clock = played(sim, credential(sim, user_id=2), Bell(), rests=3)

    assert [PATIENCE] * 3 == clock.rests
    (record,) = caplog.records
    assert record.getMessage().startswith("The portal's queue of events cannot be used: ")
    assert record.getMessage().endswith("Rounds keep to their interval.")
