"""Budgets hold against a server that counts by itself, whatever the traffic."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b24metrics.clock import HandClock
from b24metrics.errors import ConfigError
from b24metrics.portal import ENTERPRISE, SELF_HOSTED, STANDARD, Gate, Lane, Plan, Timing
from b24metrics.portal.limits import LeakyBucket, Ticket

ONE = {"crm.deal.list": 1}


def gate(clock: HandClock, plan: Plan = STANDARD) -> Gate:
    return Gate(plan, clock=clock, chance=random.Random(3))


def through(
    gate: Gate, clock: HandClock, work: dict[str, int], *, batched: bool = False, lane: Lane = Lane.LIVE
) -> Ticket:
    """A ticket, after as many waits as the gate asks for."""
    for _ in range(10_000):
        got = gate.admit(work, batched=batched, lane=lane)
        if isinstance(got, Ticket):
            return got
        assert got > 0
        clock.sleep(got + 1e-6)
    raise AssertionError("never admitted")


class ServerBucket:
    """The vendor's counter: one up per request, down by ``leak`` a second, refusing above ``capacity``."""

    def __init__(self, capacity: float, leak: float) -> None:
        self.capacity, self.leak, self.level, self.at = capacity, leak, 0.0, 0.0

    def arrives(self, at: float) -> None:
        self.level = max(0.0, self.level - self.leak * (at - self.at)) + 1
        self.at = at
        assert self.level <= self.capacity


# ---------------------------------------------------------------- request rate


@settings(deadline=None, max_examples=60)
@given(
    pauses=st.lists(st.floats(0, 8) | st.just(0.0), min_size=1, max_size=250),
    plan=st.sampled_from([STANDARD, ENTERPRISE, Plan("tiny", 5, 1, 480, metered=True)]),
    lane=st.sampled_from(list(Lane)),
)
def test_the_portals_bucket_never_overflows(pauses: list[float], plan: Plan, lane: Lane) -> None:
    """Never more than X in the bucket, in any rhythm of asking."""
    clock = HandClock(0.0)
    subject, server = gate(clock, plan), ServerBucket(plan.capacity, plan.leak)
    for pause in pauses:
        clock.sleep(pause)
        ticket = through(subject, clock, ONE, lane=lane)
        server.arrives(clock.now())
        subject.settled(ticket, {})


@settings(deadline=None, max_examples=40)
@given(delays=st.lists(st.floats(0, 9.0), min_size=120, max_size=160))
def test_uneven_ways_do_not_overflow_it_either(delays: list[float]) -> None:
    """Requests sent in time may arrive bunched up, many seconds late: they count until they are answered."""
    clock = HandClock(0.0)
    subject, server = gate(clock), ServerBucket(50, 2)
    on_the_way: list[tuple[float, Ticket]] = []

    def arrive() -> None:
        for at, ticket in sorted(on_the_way, key=lambda each: each[0]):
            if at <= clock.now():
                on_the_way.remove((at, ticket))
                server.arrives(at)
                subject.settled(ticket, {})

    for delay in delays:
        while not isinstance(got := subject.admit(ONE), Ticket):
            clock.sleep(got)
            arrive()
        on_the_way.append((clock.now() + delay, got))
    clock.sleep(100)
    arrive()
    assert not on_the_way


def test_the_burst_goes_at_once_and_the_rest_at_the_leak(clock: HandClock) -> None:
    """Standard plan: nearly fifty at once, then two a second."""
    subject = gate(clock)
    for _ in range(47):
        subject.settled(through(subject, clock, ONE), {})
    assert 0 == clock.elapsed
    for _ in range(100):
        subject.settled(through(subject, clock, ONE), {})
    assert 50 == pytest.approx(clock.elapsed, abs=0.01)


def test_self_hosted_portals_have_no_rate(clock: HandClock) -> None:
    """Off by default there."""
    subject = gate(clock, SELF_HOSTED)
    for _ in range(1_000):
        subject.settled(through(subject, clock, ONE), {"crm.deal.list": [Timing(duration=5.0)]})
    assert 0 == clock.elapsed


def test_a_full_backfill_leaves_room_for_live_work(clock: HandClock) -> None:
    """However fast the backfill sends, a live round goes at once."""
    subject = gate(clock)
    for _ in range(200):
        subject.settled(through(subject, clock, ONE, lane=Lane.BACKFILL), {})
    assert subject.delay(ONE, lane=Lane.BACKFILL) > 0
    assert 0 == subject.delay(ONE, lane=Lane.LIVE)


def test_a_refusal_for_rate_slows_everybody_down_once(clock: HandClock) -> None:
    """A burst of refusals is one refusal; the next one after it doubles the pause."""
    subject = gate(clock)
    burst = [subject.reserve(ONE) for _ in range(5)]
    for ticket in burst:
        subject.paused(ticket)
    first = subject.delay(ONE)
    assert 0.5 <= first <= 3
    clock.sleep(first + 0.01)
    subject.paused(through(subject, clock, ONE))
    assert 1 <= subject.delay(ONE) <= 3
    assert 6 == subject.stats().paused


def test_a_clock_set_back_neither_frees_nor_blocks(clock: HandClock) -> None:
    """An administrator corrects the time of the machine."""
    subject = gate(clock)
    for _ in range(47):
        subject.settled(through(subject, clock, ONE), {})
    clock.move(-3_600)
    for _ in range(20):
        subject.settled(through(subject, clock, ONE), {})
    assert -3_590 == pytest.approx(clock.elapsed, abs=0.1)


def test_a_block_by_hand_does_not_lower_the_budget(clock: HandClock) -> None:
    """A refusal although hardly anything was used says nothing about the limit."""
    subject = gate(clock)
    ticket = subject.reserve(ONE)
    subject.settled(ticket, {"crm.deal.list": [Timing(clock.now(), 1.0, 1.0, 40.0, clock.now() + 100)]})
    for _ in range(3):
        clock.sleep(1)
        later = subject.reserve(ONE)
        subject.settled(later, {})
        subject.rested(later, ["crm.deal.list"])
        clock.sleep(120)
        subject.settled(
            subject.reserve(ONE), {"crm.deal.list": [Timing(clock.now(), 1.0, 1.0, 2.0, clock.now() + 100)]}
        )
    (method,) = (each for each in subject.stats().methods if each.method == "crm.deal.list")
    assert 480 == method.limit


def test_two_clients_share_one_bucket(clock: HandClock) -> None:
    """The portal counts by source address, whatever credential is used."""
    bucket = LeakyBucket(50, 2)
    first, second = (Gate(STANDARD, clock=clock, bucket=bucket) for _ in range(2))
    for _ in range(23):
        first.settled(first.reserve(ONE), {})
        second.settled(second.reserve(ONE), {})
    assert 46 == pytest.approx(second.stats().level)
    first.settled(first.reserve(ONE), {})
    assert second.delay(ONE) > 0


def test_threads_do_not_overdraw(clock: HandClock) -> None:
    """Reservations are atomic."""
    subject = gate(clock)
    admitted: list[Ticket] = []

    def work() -> None:
        for _ in range(100):
            got = subject.admit(ONE)
            if isinstance(got, Ticket):
                admitted.append(got)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 47 == len(admitted)


# ---------------------------------------------------------------- method time


class ServerMeter:
    """The vendor's ten one-minute buckets; also its observed variants."""

    def __init__(self, clock: HandClock, limit: float = 480, *, floor: float = 0.0, ban: float = 0.0) -> None:
        self.clock, self.limit, self.floor, self.ban = clock, limit, floor, ban
        self.minutes: list[list[float]] = []
        self.banned_until = 0.0
        self.refused = 0

    @property
    def used(self) -> float:
        self.minutes = [each for each in self.minutes if each[0] + 600 > self.clock.now()]
        return sum(seconds for _, seconds in self.minutes)

    def run(self, seconds: float, commands: int) -> Iterator[Timing | None]:
        """Timing of each command; None: refused."""
        for _ in range(commands):
            if self.used > self.limit or self.clock.now() < self.banned_until:
                self.refused += 1
                yield None
                return
            start = self.clock.now()
            self.clock.move(seconds)
            if seconds >= self.floor:
                if self.minutes and self.clock.now() < self.minutes[-1][0] + 60:
                    self.minutes[-1][1] += seconds
                else:
                    self.minutes.append([start, seconds])
            if self.ban and self.used > self.limit:
                self.minutes, self.banned_until = [], self.clock.now() + self.ban
            reset = (
                self.banned_until
                if self.clock.now() < self.banned_until
                else (self.minutes[0][0] + 600 if self.minutes else self.clock.now())
            )
            yield Timing(self.clock.now(), seconds, seconds, operating=self.used, reset_at=float(int(reset)))


def spend(subject: Gate, server: ServerMeter, seconds: float, commands: int, lane: Lane = Lane.BACKFILL) -> int:
    """One batch of a method; how many of its commands ran."""
    method = "crm.deal.list"
    count = subject.commands(method, commands, lane)
    ticket = through(subject, server.clock, {method: count}, batched=True, lane=lane)
    told = list(server.run(seconds, count))
    ran = [each for each in told if each is not None]
    subject.settled(ticket, {method: ran}, Timing(server.clock.now(), sum(each.duration for each in ran)))
    if None in told:
        subject.rested(ticket, [method])
    return len(ran)


@settings(deadline=None, max_examples=30)
@given(
    costs=st.lists(st.floats(0.02, 1.2), min_size=40, max_size=80),
    pauses=st.lists(st.floats(0, 90), min_size=80, max_size=80),
    limit=st.sampled_from([480.0, 420.0]),
)
def test_method_time_is_never_refused(costs: list[float], pauses: list[float], limit: float) -> None:
    """Any costs and any rhythm: the budget is kept, and live work keeps its reserve."""
    clock = HandClock(1_000_000.0)
    server = ServerMeter(clock, limit)
    subject = gate(clock, replace(STANDARD, operating=limit))
    for cost, pause in zip(costs, pauses, strict=False):
        spend(subject, server, cost, 50)
        clock.sleep(pause)
    assert 0 == server.refused


def test_a_backfill_uses_what_the_budget_allows(clock: HandClock) -> None:
    """Within a tenth of 85 % of the budget, over an hour."""
    server, subject = ServerMeter(clock), gate(clock)
    ran = 0
    while clock.elapsed < 3_600:
        ran += spend(subject, server, 0.5, 50)
    assert 0 == server.refused
    # 408 s in each ten minutes, six times, and the first helping once more.
    assert ran * 0.5 > 0.9 * 408 * 6


def test_live_work_goes_on_while_the_backfill_rests(clock: HandClock) -> None:
    """15 % of method time is kept for it."""
    server, subject = ServerMeter(clock), gate(clock)
    while subject.rest("crm.deal.list", Lane.BACKFILL) == 0:
        spend(subject, server, 0.5, 50)
    assert 0 == subject.rest("crm.deal.list", Lane.LIVE)
    spend(subject, server, 0.5, 10, Lane.LIVE)
    assert 0 == server.refused


def test_other_methods_do_not_rest_with_it(clock: HandClock) -> None:
    """Budgets are per method."""
    server, subject = ServerMeter(clock), gate(clock)
    while subject.rest("crm.deal.list", Lane.BACKFILL) == 0:
        spend(subject, server, 0.5, 50)
    assert 0 == subject.delay({"crm.lead.list": 1}, lane=Lane.BACKFILL)


def test_short_calls_that_are_not_counted_are_free(clock: HandClock) -> None:
    """Where the portal's own sum stays at 0, nothing is saved up for."""
    server, subject = ServerMeter(clock, floor=0.1), gate(clock)
    for _ in range(400):
        spend(subject, server, 0.05, 50)
    # 20,000 commands are 1,000 s of method time; they took what the request rate makes of 400 requests, not more.
    assert clock.elapsed < 1_000 + 200


def test_a_flat_ban_is_sat_out(clock: HandClock) -> None:
    """Newest portals clear the minutes and ban for 300 s: nothing is sent until then, and the limit is learned."""
    server = ServerMeter(clock, limit=100, ban=300)
    subject = gate(clock)
    while clock.elapsed < 3_000:
        spend(subject, server, 0.5, 50)
    assert server.refused <= 2


def test_a_lower_limit_is_learned(clock: HandClock) -> None:
    """A portal with a smaller budget than the documented one refuses once or twice, not for ever."""
    server, subject = ServerMeter(clock, limit=100), gate(clock)
    while clock.elapsed < 3_600:
        spend(subject, server, 0.5, 50)
    assert server.refused <= 2


def test_a_refusal_without_a_date_rests_a_minute(clock: HandClock) -> None:
    """No good answer has told when the oldest minute is forgiven."""
    subject = gate(clock)
    ticket = subject.reserve(ONE)
    subject.settled(ticket, {})
    subject.rested(ticket, ["crm.deal.list"])
    assert 60 == pytest.approx(subject.delay(ONE))
    assert 0 == subject.delay({"crm.lead.list": 1})


def test_a_refusal_with_a_date_rests_until_then(clock: HandClock) -> None:
    """operating_reset_at of the last good answer, by the portal's clock, which may be wrong by hours."""
    subject = gate(clock)
    skewed = clock.now() + 7_200
    ticket = subject.reserve(ONE)
    subject.settled(ticket, {"crm.deal.list": [Timing(skewed, 1.0, 1.0, 100.0, skewed + 250)]})
    later = subject.reserve(ONE)
    subject.settled(later, {})
    subject.rested(later, ["crm.deal.list"])
    assert 251 == pytest.approx(subject.delay(ONE))  # one second more: told in whole seconds, rounded down
    assert 7_200 == pytest.approx(subject.stats().skew)


def test_work_under_way_is_counted(clock: HandClock) -> None:
    """Flows side by side must not each believe that the rest of the budget is theirs."""
    subject = gate(clock)
    told = Timing(clock.now(), 0.9, 0.9, operating=330.0, reset_at=clock.now() + 300)
    subject.settled(subject.reserve(ONE), {"crm.deal.list": [told] * 3})
    work = {"crm.deal.list": 50}
    first = subject.admit(work, batched=True, lane=Lane.BACKFILL)  # 330 + 45
    assert isinstance(first, Ticket)
    second = subject.admit(work, batched=True, lane=Lane.BACKFILL)  # would be 420, over 408
    assert isinstance(second, float)
    subject.abandoned(first, ran=False)
    assert isinstance(subject.admit(work, batched=True, lane=Lane.BACKFILL), Ticket)


def test_a_ticket_is_settled_once(clock: HandClock) -> None:
    """Whatever comes after the first settlement changes nothing."""
    subject = gate(clock)
    ticket = subject.reserve({"crm.deal.list": 10})
    subject.abandoned(ticket)
    before = subject.stats()
    subject.abandoned(ticket)
    subject.settled(ticket, {"crm.deal.list": [Timing(duration=100.0)]})
    subject.paused(ticket)
    assert before == subject.stats()


def test_a_batch_that_is_billed_to_batch_is_accounted_there(clock: HandClock) -> None:
    """All parts tell the same sum: the batch's. Other methods in later batches share it."""
    subject = gate(clock)
    used = 0.0
    for _ in range(9):
        ticket = through(subject, clock, {"crm.deal.list": 50}, batched=True, lane=Lane.BACKFILL)
        used += 45.0
        reset = clock.now() + 500
        parts = [Timing(clock.now(), 0.9, 0.9, used, reset)] * 50
        subject.settled(ticket, {"crm.deal.list": parts}, Timing(clock.now(), 45.0, 45.0, used, reset))
    assert isinstance(subject.admit({"crm.lead.list": 30}, batched=True, lane=Lane.BACKFILL), float)
    assert isinstance(subject.admit({"crm.lead.list": 1}, lane=Lane.BACKFILL), Ticket)


def test_a_batch_that_is_billed_to_its_methods_is_not_billed_twice(clock: HandClock) -> None:
    """The outer sum stays small: after a few answers nothing is reserved against batch."""
    subject = gate(clock)
    for n in range(8):
        ticket = through(subject, clock, {"crm.deal.list": 20}, batched=True)
        parts = [Timing(clock.now(), 0.5, 0.5, 10.0 * n + 0.5 * k, clock.now() + 500) for k in range(20)]
        subject.settled(ticket, {"crm.deal.list": parts}, Timing(clock.now(), 10.0, 10.0, 0.0, clock.now() + 500))
        clock.sleep(5)
    ticket = subject.reserve({"crm.lead.list": 40}, batched=True)
    assert ticket.costs["batch"] < 0.1 * ticket.costs["crm.lead.list"]
    subject.abandoned(ticket, ran=False)


# ---------------------------------------------------------------- size of a batch


@pytest.mark.parametrize(("seconds", "commands"), [(0.05, 50), (0.9, 50), (1.0, 45), (3.0, 15), (50.0, 1)])
def test_a_batch_is_as_large_as_forty_five_seconds_allow(seconds: float, commands: int, clock: HandClock) -> None:
    """From the ninetieth percentile of what commands took."""
    subject = gate(clock)
    ticket = subject.reserve(ONE)
    subject.settled(ticket, {"crm.deal.list": [Timing(duration=seconds)]})
    assert commands == subject.commands("crm.deal.list", 50)


def test_the_cost_of_a_command_is_its_ninetieth_percentile(clock: HandClock) -> None:
    """Nine of ten are cheaper; a single slow one does not count."""
    subject = gate(clock)
    subject.settled(subject.reserve(ONE), {"crm.deal.list": [Timing(duration=n / 10) for n in range(1, 11)]})
    assert 0.9 == subject.cost("crm.deal.list")


def test_an_unknown_method_begins_with_thirty_commands(clock: HandClock) -> None:
    """Fifty commands of a second and a half would outlast the portal's sixty seconds."""
    assert 30 == gate(clock).commands("crm.deal.list", 50)


def test_a_time_out_halves_the_batch_and_success_raises_it_again(clock: HandClock) -> None:
    """Additive increase, multiplicative decrease."""
    subject = gate(clock)
    method = "crm.deal.list"
    subject.abandoned(subject.reserve({method: 40}, batched=True), seconds=65)
    assert 20 == subject.ceiling(method)
    quick = [Timing(duration=0.1)] * 20
    subject.settled(subject.reserve({method: 20}, batched=True), {method: quick}, Timing())
    assert 25 == subject.ceiling(method)
    subject.abandoned(subject.reserve({method: 1}), seconds=65)
    assert 1 == subject.ceiling(method)


def test_a_batch_near_the_end_of_the_budget_is_smaller(clock: HandClock) -> None:
    """What is left is used, not waited for; but a backfill sends no batch that is less than half full for it."""
    subject = gate(clock)
    told = Timing(clock.now(), 1.0, 1.0, operating=378.0, reset_at=clock.now() + 300)
    subject.settled(subject.reserve(ONE), {"crm.deal.list": [told]})
    assert 30 == subject.commands("crm.deal.list", 50, Lane.BACKFILL)
    told = Timing(clock.now(), 1.0, 1.0, operating=398.0, reset_at=clock.now() + 300)
    subject.settled(subject.reserve(ONE), {"crm.deal.list": [told]})
    assert 23 == subject.commands("crm.deal.list", 50, Lane.BACKFILL)  # forty-five are a full one; it waits for room
    assert 10 == subject.commands("crm.deal.list", 12, Lane.BACKFILL)
    assert 45 == subject.commands("crm.deal.list", 50, Lane.LIVE)


def test_what_was_forgiven_is_looked_for_with_a_small_request(clock: HandClock) -> None:
    """The portal tells when it forgets the oldest minute, but not how much: one small request at that moment hears it."""
    subject = gate(clock)
    used = Timing(clock.now(), 0.8, 0.8, operating=406.0, reset_at=clock.now() + 550)
    subject.settled(subject.reserve({"crm.deal.list": 508}), {"crm.deal.list": [used] * 508})
    assert subject.delay({"crm.deal.list": 50}, lane=Lane.BACKFILL) == pytest.approx(551, abs=2)
    clock.move(552)

    assert 5 == subject.commands("crm.deal.list", 50, Lane.BACKFILL)
    ticket = subject.admit({"crm.deal.list": 5}, batched=True, lane=Lane.BACKFILL)
    assert isinstance(ticket, Ticket)
    assert 0 < subject.delay({"crm.deal.list": 5}, lane=Lane.BACKFILL) < 1  # one look is enough
    told = Timing(clock.now(), 0.1, 0.1, operating=30.0, reset_at=clock.now() + 60)
    subject.settled(ticket, {"crm.deal.list": [told] * 5})
    assert 0 == subject.delay({"crm.deal.list": 5}, lane=Lane.BACKFILL)


@pytest.mark.parametrize("sizes", [(5, 50, 51), (1, 23, 47), (11, 47, 51)])
def test_reservations_given_back_leave_no_work_under_way(clock: HandClock, sizes: tuple[int, ...]) -> None:
    """What rounding leaves of their sum does not hold up the look at what was forgiven."""
    subject = gate(clock)
    used = Timing(clock.now(), 0.8, 0.8, operating=406.0, reset_at=clock.now() + 550)
    subject.settled(subject.reserve({"crm.deal.list": 508}), {"crm.deal.list": [used] * 508})
    for ticket in [subject.reserve({"crm.deal.list": size}) for size in sizes]:
        subject.settled(ticket, {"crm.deal.list": [used]})
    clock.move(552)

    assert isinstance(subject.admit({"crm.deal.list": 5}, batched=True, lane=Lane.BACKFILL), Ticket)


def test_a_window_of_another_length_is_kept(clock: HandClock) -> None:
    """What a portal forgets after a minute instead of ten is waited for a minute, whether it says so or not."""
    plan = replace(STANDARD, operating=48.0, window=60.0)
    subject = Gate(plan, clock=clock)
    ticket = subject.reserve({"crm.deal.list": 47})
    subject.settled(ticket, {"crm.deal.list": [Timing(duration=1.0)] * 47})

    assert 60 == pytest.approx(subject.delay({"crm.deal.list": 2}), abs=1)
    clock.move(61)
    assert 0 == subject.delay({"crm.deal.list": 2})


# ---------------------------------------------------------------- statistics and settings


def test_statistics_tell_what_passed(clock: HandClock) -> None:
    """The exporter publishes them."""
    subject = gate(clock)
    told = Timing(clock.now(), 2.0, 2.0, operating=12.0, reset_at=clock.now() + 300)
    subject.settled(subject.reserve(ONE), {"crm.deal.list": [told]})
    subject.paused(subject.reserve(ONE))
    lost = subject.reserve(ONE)
    subject.abandoned(lost)
    subject.waited(3.5)
    found = subject.stats()
    assert (3, 1, 1, 3.5, 50) == (found.requests, found.paused, found.lost, found.waited, found.capacity)
    method = next(each for each in found.methods if each.method == "crm.deal.list")
    assert (12.0, 480, 0.0, 2.0) == (method.used, method.limit, method.under_way, method.cost)


@pytest.mark.parametrize("bad", [{"capacity": 0}, {"leak": 0}, {"operating": 0}, {"window": 0}])
def test_a_plan_that_allows_nothing_is_refused(bad: dict[str, float]) -> None:
    """A setting that would block for ever is a mistake."""
    with pytest.raises(ConfigError):
        replace(STANDARD, **bad)
