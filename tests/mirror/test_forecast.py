"""How long a copy takes at best, told from both budgets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from b24metrics.clock import HandClock
from b24metrics.mirror.forecast import Budgets, forecast
from b24metrics.portal.limits import SELF_HOSTED, STANDARD, Gate
from b24metrics.portal.request import Timing

METHOD = "crm.deal.list"


def gate_with(clock: HandClock, cost: float, used: float) -> Gate:
    """A gate that has seen commands of this cost, of a method with so much time in use."""
    gate = Gate(STANDARD, clock=clock)
    told = Timing(clock.now(), cost, cost, operating=used, reset_at=clock.now() + 500)
    gate.settled(gate.reserve({METHOD: 10}, batched=True), {METHOD: [told] * 10}, Timing())
    clock.move(30)  # the request has leaked away
    return gate


def test_a_small_copy_takes_its_time_divided_by_the_walks(clock: HandClock) -> None:
    """100,000 rows are 2,000 commands of 0.05 s: 100 s of method time, eight at once."""
    budgets, seconds = forecast({METHOD: 100_000}, gate_with(clock, 0.05, 0.5))

    assert 12.5 == pytest.approx(seconds)
    assert (METHOD, 480.0, 0.0) == (budgets.method, budgets.limit, budgets.rests)
    assert 0.5 == pytest.approx(budgets.seconds)


def test_a_large_copy_waits_for_its_helpings(clock: HandClock) -> None:
    """1,400 s of method time are four helpings of 408 s: three windows are waited for, the rest is walked."""
    _, seconds = forecast({METHOD: 1_000_000}, gate_with(clock, 0.07, 0.0))

    assert 3 * 600 < seconds + 1
    assert seconds < 3 * 600 + 408 / 8


def test_quick_methods_are_bounded_by_the_rate(clock: HandClock) -> None:
    """A million rows at a millisecond each are 400 requests: fifty at once, then two a second."""
    _, seconds = forecast({METHOD: 1_000_000}, gate_with(clock, 0.001, 0.0))

    assert 175 == pytest.approx(seconds, abs=1)


def test_a_method_whose_time_is_used_up_tells_how_long_it_rests(clock: HandClock) -> None:
    """What is shown while nothing seems to happen."""
    budgets, _ = forecast({METHOD: 1_000_000}, gate_with(clock, 0.5, 407.9))

    assert 471 == pytest.approx(budgets.rests, abs=1)


def test_methods_go_side_by_side(clock: HandClock) -> None:
    """The slowest decides."""
    gate = gate_with(clock, 0.05, 0.5)
    told = Timing(clock.now(), 0.1, 0.1, operating=1.0, reset_at=clock.now() + 500)
    gate.settled(gate.reserve({"crm.lead.list": 10}), {"crm.lead.list": [told] * 10})

    _, both = forecast({METHOD: 100_000, "crm.lead.list": 100_000}, gate)

    assert 25 == pytest.approx(both)


def test_what_is_unknown_is_not_told(clock: HandClock) -> None:
    """No limit of requests, and no method asked for yet."""
    assert (Budgets(), 0.0) == forecast({METHOD: 5000}, Gate(SELF_HOSTED, clock=clock))
    assert 0.0 == Gate(replace(STANDARD, name="another"), clock=clock).stats().level
