"""Kill -9 with real processes: a portal at work, syncs that die at any moment; in the end nothing is lost or doubled.

The same at full length, with a line per kill: ``make campaign``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.campaign.kills import Campaign
from tests.campaign.processes import Moment, Portal

if TYPE_CHECKING:
    from tests.postgres import Server

pytestmark = pytest.mark.real

SEED = random.SystemRandom().randrange(10**6)
"""Printed where a test fails; put it here to see the same again."""


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    made = Portal(tmp_path_factory.mktemp("campaign") / "portal.duckdb", SEED, managers=3, months=1, pause=0.1)
    yield made
    made.stop()


def test_a_sync_is_killed_at_any_moment(portal: Portal, tmp_path: Path) -> None:
    """By another's hand, in the middle of a commit, between page and cursor: the file opens, goes on, and is the portal."""
    campaign = Campaign(tmp_path, portal, SEED, longest=1.5)

    campaign.life(
        str(tmp_path / "mirror.duckdb"), [*campaign.moments(2), Moment("statement", 60), Moment("commit", 12)]
    )

    assert [] == campaign.tally.differences, SEED
    assert campaign.tally.rows > 1000


def test_another_process_takes_over_from_one_that_was_killed(
    portal: Portal, postgres: Server, empty_mirror: str, tmp_path: Path
) -> None:
    """On a shared database: the lease of the dead lapses, whoever comes next goes on where it stood."""
    campaign = Campaign(tmp_path, portal, SEED, longest=1.5, lease=1.5)

    campaign.life(postgres.fresh(empty_mirror), [Moment("any", 1.5), Moment("committed", 10)])

    assert [] == campaign.tally.differences, SEED
