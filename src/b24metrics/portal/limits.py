"""Request and time budgets of one portal.

Laws: nothing here sleeps; time comes only from the Clock handed in. One LeakyBucket per portal and source address, one
OperatingBook per credential; a Gate holds both. What is about to be sent is reserved before it is sent, so flows side
by side never add up to more than a budget. Everything may be called from several threads.

Two lanes share the budgets: work that can wait (``BACKFILL``) leaves 15 % for what cannot (``LIVE``).

Source: vendor, "REST API limits".
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from b24metrics.clock import Clock
from b24metrics.errors import ConfigError
from b24metrics.portal.operating import WINDOW, MethodStats, OperatingBook
from b24metrics.portal.request import MAX_COMMANDS, Timing

LONGEST = 45.0
"""Seconds that one request should take at most; the portal cuts it off at 60."""

_REQUESTS = {"backfill": 0.85, "live": 1.0}  # the bucket keeps a margin of its own
_SECONDS = {"backfill": 0.85, "live": 0.98}
_LONGEST_PAUSE = 60.0
_LOOK = 5  # commands of a request that is sent to hear how much of a budget has come back


class Lane(StrEnum):
    """Who may use the last of a budget."""

    LIVE = "live"
    BACKFILL = "backfill"

    @property
    def of_requests(self) -> float:
        """The part of the bucket that this lane may fill."""
        return _REQUESTS[self.value]

    @property
    def of_seconds(self) -> float:
        """The part of a method's time that this lane may use."""
        return _SECONDS[self.value]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a portal allows.

    Attributes:
        capacity, leak: the bucket overflows above ``capacity`` requests and loses ``leak`` per second; None: no limit.
        operating: seconds per method in ten minutes. metered: the portal counts them even if it does not say so.
        window: those ten minutes, in seconds.
    """

    name: str
    capacity: float | None
    leak: float
    operating: float
    metered: bool
    window: float = WINDOW

    def __post_init__(self) -> None:
        if (self.capacity is not None and (self.capacity < 1 or self.leak <= 0)) or min(
            self.operating, self.window
        ) <= 0:
            raise ConfigError(f"plan {self.name!r}: capacity, leak and operating time must be positive")


STANDARD = Plan("standard", 50, 2, 480, metered=True)
ENTERPRISE = Plan("enterprise", 250, 5, 480, metered=True)
SELF_HOSTED = Plan("self-hosted", None, 0, 420, metered=False)
PLANS: Mapping[str, Plan] = {plan.name: plan for plan in (STANDARD, ENTERPRISE, SELF_HOSTED)}


class LeakyBucket:
    """Requests of one source address to one portal. Not locked: its Gate is.

    A request counts in full from its reservation until its answer, and leaks away from then on. It reached the portal
    somewhere in between, so our level is never below the portal's, however unevenly requests travel.
    """

    def __init__(self, capacity: float, leak: float) -> None:
        self.capacity = capacity
        self.leak = leak
        self.room = max(1.0, capacity - min(2 + 0.02 * capacity, capacity / 4))  # a margin for what we do not see
        self.lock = threading.RLock()
        self._under_way = 0
        self._level = 0.0
        self._at = -math.inf

    def level(self, now: float) -> float:
        """Requests in the bucket."""
        if self._level and now > self._at:  # a clock that was set back leaks nothing, and begins anew
            self._level = max(0.0, self._level - self.leak * (now - self._at))
        self._at = now
        return self._level + self._under_way

    def delay(self, now: float, share: float = 1.0) -> float:
        """Seconds until one more request fits into this share of the bucket."""
        over = self.level(now) + 1 - max(1.0, self.room * share)
        return max(0.0, over / self.leak)

    def reserve(self) -> None:
        """One request is about to be sent."""
        self._under_way += 1

    def settle(self, now: float, *, arrived: bool = True) -> None:
        """Its answer has come, or will never come."""
        self.level(now)
        self._under_way -= 1
        self._level += arrived

    def fill(self, now: float) -> None:
        """The portal says that it is full: somebody else sends from this address too."""
        self._level += max(0.0, self.room - self.level(now))


@dataclass(slots=True)
class Ticket:
    """A reservation: what a request that is about to be sent will cost. Settled exactly once."""

    work: Mapping[str, int]
    costs: Mapping[str, float]
    batched: bool
    sent_at: float
    settled: bool = False


@dataclass(frozen=True, slots=True)
class GateStats:
    """Everything that passed a gate, for those who publish it.

    Attributes:
        requests: sent. paused: refused because of their rate. rested: commands refused because of method time.
        lost: without a readable answer. waited: seconds that flows have waited, summed over flows.
        level, capacity: of the bucket; capacity None: no limit. skew: seconds that the portal's clock is ahead of ours.
    """

    requests: int
    paused: int
    rested: int
    lost: int
    waited: float
    level: float
    capacity: float | None
    skew: float | None
    methods: tuple[MethodStats, ...]


@dataclass(slots=True)
class _Counts:
    requests: int = 0
    paused: int = 0
    rested: int = 0
    lost: int = 0
    waited: float = 0.0
    skew: float | None = None


class Gate:
    """All limits of one credential together.

    Ask with ``admit``; it hands out a Ticket, or says how long to wait. Every Ticket is settled once, by one of
    ``settled``, ``paused``, ``abandoned``.
    """

    def __init__(
        self,
        plan: Plan = STANDARD,
        *,
        clock: Clock,
        bucket: LeakyBucket | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.plan = plan
        self.clock = clock
        self.bucket = bucket or (None if plan.capacity is None else LeakyBucket(plan.capacity, plan.leak))
        self._book = OperatingBook(plan.operating, metered=plan.metered, window=plan.window)
        self._lock = self.bucket.lock if self.bucket is not None else threading.RLock()
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self._counts = _Counts()
        self._paused_at = -math.inf
        self._pause_until = -math.inf
        self._pauses = 0

    def delay(self, work: Mapping[str, int], *, batched: bool = False, lane: Lane = Lane.LIVE) -> float:
        """Seconds until this work may be sent; 0 means now. ``work``: method → number of commands."""
        with self._lock:
            return self._delay(self._now, self._book.costs(work, batched=batched), lane)

    def admit(self, work: Mapping[str, int], *, batched: bool = False, lane: Lane = Lane.LIVE) -> Ticket | float:
        """A Ticket if this work may be sent now, and it is then reserved; otherwise the seconds to wait."""
        with self._lock:
            now = self._now
            costs = self._book.costs(work, batched=batched)
            seconds = self._delay(now, costs, lane)
            return seconds if seconds > 0 else self._reserve(now, work, costs, batched=batched)

    def reserve(self, work: Mapping[str, int], *, batched: bool = False) -> Ticket:
        """A Ticket whatever the budgets say, for what must be sent."""
        with self._lock:
            return self._reserve(self._now, work, self._book.costs(work, batched=batched), batched=batched)

    def settled(self, ticket: Ticket, timings: Mapping[str, Sequence[Timing]], outer: Timing | None = None) -> None:
        """An answer came. ``timings``: method → one per command that ran. ``outer``: of the batch around them."""
        with self._lock:
            if not self._settle(ticket):
                return
            now = self._now
            self._pauses = 0
            self._book.spent(now, ticket.sent_at, timings, outer)
            for method, each in timings.items():
                account = self._book.account(method)
                if len(each) >= account.ceiling:  # a full load went well: carry a little more next time
                    account.ceiling = min(MAX_COMMANDS, account.ceiling + 5)
            told = outer or next((each[-1] for each in timings.values() if each), None)
            if told is not None and told.finish is not None:
                self._counts.skew = told.finish - self.clock.now()

    def paused(self, ticket: Ticket) -> None:
        """Refused because of the request rate; nothing was run."""
        with self._lock:
            if not self._settle(ticket):
                return
            now = self._now
            self._counts.paused += 1
            if self.bucket is not None:
                self.bucket.fill(now)
            if ticket.sent_at <= self._paused_at:
                return  # sent before we knew: one burst is one refusal
            self._pauses += 1
            pause = min(_LONGEST_PAUSE, 2.0 ** (self._pauses - 1)) * (0.5 + self._chance.random())
            self._paused_at, self._pause_until = now, now + pause

    def rested(self, ticket: Ticket, methods: Iterable[str]) -> None:
        """These methods of the request were refused because their time is used up. Settle the Ticket besides."""
        with self._lock:
            for method in methods:
                self._counts.rested += 1
                self._book.account(method).rest(self._now, ticket.sent_at)

    def abandoned(self, ticket: Ticket, *, ran: bool = True, seconds: float | None = None) -> None:
        """No answer will come.

        ``ran``: the portal may have run it all the same, so its cost is booked. ``seconds``: it was given up after
        that long, so it was too much for one request: the next will be half as large.
        """
        with self._lock:
            if not self._settle(ticket, arrived=ran):
                return
            now = self._now
            self._counts.lost += ran
            if ran:
                for name, cost in ticket.costs.items():
                    self._book.account(name).spend(now, cost)
            if seconds is not None:
                total = sum(ticket.work.values())
                for method, count in ticket.work.items():
                    account = self._book.account(method)
                    account.ceiling = max(1, min(account.ceiling, count // 2))
                    account.costs.append(seconds / total)

    def commands(self, method: str, wanted: int, lane: Lane = Lane.LIVE) -> int:
        """How many commands of a method one request should carry: at least one, at most ``wanted``.

        What can wait does not send less than half a load only because a budget runs out: it waits for room instead,
        since every request counts against the rate, however little it carries.
        """
        with self._lock:
            account = self._book.account(method)
            cost = max(account.cost, 1e-3)
            cap = account.limit * lane.of_seconds
            most = max(1, min(wanted, MAX_COMMANDS, account.ceiling, int(min(LONGEST, cap) / cost)))
            room = int(self._book.room(self._now, method, lane.of_seconds) / cost)
            if lane is Lane.BACKFILL and room < most and self._book.is_outdated(self._now, method):
                return min(most, _LOOK)  # its answer tells how much room there is again
            least = math.ceil(most / 2) if lane is Lane.BACKFILL else 1
            return max(least, min(most, room))

    def rest(self, method: str, lane: Lane = Lane.LIVE) -> float:
        """Seconds until this method may be run again, whatever the request rate says; 0 means now."""
        with self._lock:
            return self._book.delay(self._now, self._book.costs({method: 1}, batched=False), lane.of_seconds)

    def cost(self, method: str) -> float:
        """Seconds that one command of a method takes; nine of ten are faster."""
        with self._lock:
            return self._book.account(method).cost

    def ceiling(self, method: str) -> int:
        """Most commands of a method that one request may carry, as learned from time-outs."""
        with self._lock:
            return self._book.account(method).ceiling

    def waited(self, seconds: float) -> None:
        """A flow has waited."""
        with self._lock:
            self._counts.waited += seconds

    def stats(self) -> GateStats:
        """Counters and levels at this moment."""
        with self._lock:
            now, counts = self._now, self._counts
            return GateStats(
                requests=counts.requests,
                paused=counts.paused,
                rested=counts.rested,
                lost=counts.lost,
                waited=counts.waited,
                level=self.bucket.level(now) if self.bucket is not None else 0.0,
                capacity=self.bucket.capacity if self.bucket is not None else None,
                skew=counts.skew,
                methods=self._book.stats(now),
            )

    @property
    def _now(self) -> float:
        return self.clock.monotonic()

    def _delay(self, now: float, costs: Mapping[str, float], lane: Lane) -> float:
        bucket = self.bucket.delay(now, lane.of_requests) if self.bucket is not None else 0.0
        return max(bucket, self._pause_until - now, self._book.delay(now, costs, lane.of_seconds), 0.0)

    def _reserve(self, now: float, work: Mapping[str, int], costs: Mapping[str, float], *, batched: bool) -> Ticket:
        if self.bucket is not None:
            self.bucket.reserve()
        self._book.reserve(costs)
        self._counts.requests += 1
        return Ticket(dict(work), costs, batched, now)

    def _settle(self, ticket: Ticket, *, arrived: bool = True) -> bool:
        """Give the reservation back; False when that was done before."""
        if ticket.settled:
            return False
        ticket.settled = True
        if self.bucket is not None:
            self.bucket.settle(self._now, arrived=arrived)
        self._book.release(ticket.costs)
        return True
