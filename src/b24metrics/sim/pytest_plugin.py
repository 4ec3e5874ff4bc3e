"""The practice portal as pytest fixtures, for our tests and for everybody who installed ``b24metrics[sim]``.

Laws: importing this module opens nothing and imports no database: pytest loads it in every project that has b24metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, Unpack

import pytest

if TYPE_CHECKING:
    from b24metrics.sim.server import Sim, SimOptions


class SimFactory(Protocol):
    """Makes running practice portals; all are stopped when the test ends."""

    def __call__(self, **options: Unpack[SimOptions]) -> Sim: ...


@pytest.fixture
def b24_sim_factory() -> Iterator[SimFactory]:
    """Practice portals made to measure: ``b24_sim_factory(clock=HandClock(), plan="ent")``."""
    from b24metrics.sim.server import Sim  # noqa: PLC0415 - see the laws

    with ExitStack() as running:
        yield lambda **options: running.enter_context(Sim(**options))


@pytest.fixture
def b24_sim(b24_sim_factory: SimFactory) -> Sim:
    """One practice portal, empty but for its administrator, on a HandClock: ``b24_sim.webhook`` is its address."""
    return b24_sim_factory()
