"""Request and time budgets of one portal.

Laws: nothing here sleeps; time comes only from the Clock handed in. One LeakyBucket per portal and source address, one
OperatingBook per credential; a Gate holds both. What is about to be sent is reserved before it is sent, so flows side
by side never add up to more than a budget. Everything may be called from several threads.

Two lanes share the budgets: work that can wait (``BACKFILL``) leaves 15 % for what cannot (``LIVE``).

Method time is told by the portal as a sum per method, with the moment when its oldest minute is forgiven. Between those
tellings the book keeps its own account: what was asked lately and what is under way. A batch is billed to its methods
by most portals and to ``batch`` by some; both accounts are kept, and the larger decides.
Source: vendor, "REST API limits" (rate, operating time); observed: short calls not counted, flat bans, missing fields.
"""

from __future__ import annotations

import math
import random
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from b24metrics.clock import Clock
from b24metrics.errors import ConfigError
from b24metrics.portal.request import MAX_COMMANDS, Timing

WINDOW = 600.0
"""Seconds after which the portal forgets what a method has used."""
LONGEST = 45.0
"""Seconds that one request should take at most; the portal cuts it off at 60."""

_REQUESTS = {"backfill": 0.85, "live": 1.0}  # the bucket keeps a margin of its own
_SECONDS = {"backfill": 0.85, "live": 0.98}
_POLL = 0.5  # seconds until we look again when work under way stands in the way
_BLIND_REST = 60.0  # seconds to rest after a refusal that nothing dates: the next minute may be forgiven
_UNKNOWN_COST = 1.5  # seconds per command until the first answer: thirty commands in the first batch, not fifty
_LONGEST_PAUSE = 60.0
_BATCH = "batch"


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
    """

    name: str
    capacity: float | None
    leak: float
    operating: float
    metered: bool

    def __post_init__(self) -> None:
        if (self.capacity is not None and (self.capacity < 1 or self.leak <= 0)) or self.operating <= 0:
            raise ConfigError(f"plan {self.name!r}: capacity, leak and operating time must be positive")


STANDARD = Plan("standard", 50, 2, 480, metered=True)
ENTERPRISE = Plan("enterprise", 250, 5, 480, metered=True)
SELF_HOSTED = Plan("self-hosted", None, 0, 420, metered=False)
PLANS: Mapping[str, Plan] = {plan.name: plan for plan in (STANDARD, ENTERPRISE, SELF_HOSTED)}


class LeakyBucket:
    """Requests of one source address to one portal. Not locked: its Gate is."""

    def __init__(self, capacity: float, leak: float) -> None:
        self.capacity = capacity
        self.leak = leak
        # Latency bunches requests up on the way: what left us a second apart may arrive together.
        self.room = max(1.0, capacity - min(2 + 0.02 * capacity, capacity / 4))
        self.lock = threading.RLock()
        self._level = 0.0
        self._at = -math.inf

    def level(self, now: float) -> float:
        """Requests in the bucket."""
        if now > self._at:  # a clock set back leaks nothing
            self._level = max(0.0, self._level - self.leak * (now - self._at)) if self._level else 0.0
            self._at = now
        return self._level

    def delay(self, now: float, share: float = 1.0) -> float:
        """Seconds until one more request fits into this share of the bucket."""
        over = self.level(now) + 1 - max(1.0, self.room * share)
        return max(0.0, over / self.leak)

    def add(self, now: float) -> None:
        """One request is on its way."""
        self._level = self.level(now) + 1

    def fill(self, now: float) -> None:
        """The portal says that it is full: somebody else sends from this address too."""
        self._level = max(self.level(now), self.room)


class _Account:
    """Seconds of one method."""

    def __init__(self, limit: float, *, metered: bool) -> None:
        self.most = limit
        self.limit = limit
        self.metered = metered
        self.told: float | None = None  # the portal's own sum
        self.told_at = -math.inf  # by the portal's clock
        self.peak = 0.0  # the most it has told since it last refused
        self.forgiven_at = -math.inf  # by ours: when the oldest minute of that sum is dropped
        self.spent: deque[list[float]] = deque()  # [forgotten at, seconds], by our own account
        self.under_way = 0.0
        self.costs: deque[float] = deque(maxlen=64)
        self.ceiling = MAX_COMMANDS
        self.rests_until = -math.inf
        self.refused_at = -math.inf
        self.refusals = 0

    def base(self, now: float) -> float:
        """Seconds used, as far as we know, without work under way."""
        while self.spent and self.spent[0][0] <= now:
            self.spent.popleft()
        own = math.fsum(seconds for _, seconds in self.spent)
        if self.told is None:
            return own if self.metered else 0.0
        return self.told if now < self.forgiven_at else min(self.told, own)

    def used(self, now: float) -> float:
        return self.base(now) + self.under_way

    def delay(self, now: float, cost: float, share: float) -> float:
        """Seconds until work of this cost fits into this share."""
        if now < self.rests_until:
            return self.rests_until - now
        base, cap = self.base(now), self.limit * share
        if base + self.under_way + cost <= cap or base + self.under_way <= 0:
            return 0.0
        if self.under_way > 0 and (base <= 0 or base + cost <= cap):
            return _POLL
        if now < self.forgiven_at:
            return self.forgiven_at - now
        return max(_POLL, self.spent[0][0] - now) if self.spent else _POLL

    def spend(self, now: float, seconds: float) -> None:
        if seconds <= 0:
            return
        # The portal forgets by whole minutes of its own; ten minutes after the call is the latest it can be.
        if self.spent and now + WINDOW - self.spent[-1][0] < 5:
            self.spent[-1] = [now + WINDOW, self.spent[-1][1] + seconds]
        else:
            self.spent.append([now + WINDOW, seconds])

    def tell(self, now: float, timing: Timing) -> None:
        """Take over what the portal says, unless it has said something newer."""
        if timing.operating is None:
            return
        at = timing.finish if timing.finish is not None else self.told_at
        if at < self.told_at:
            return
        self.told, self.told_at = timing.operating, at
        self.peak = max(self.peak, self.told)
        if timing.reset_at is not None and timing.finish is not None:  # by the portal's clock, which may be wrong
            self.forgiven_at = now + min(max(0.0, timing.reset_at - timing.finish), WINDOW + 60)
        else:
            self.forgiven_at = now + 60
        self.limit = min(self.most, max(self.limit, self.told))

    def rest(self, now: float, sent_at: float) -> None:
        """The portal refuses the method."""
        self.refusals += 1
        self.metered = True
        if sent_at <= self.refused_at and now < self.rests_until:
            return  # sent before we knew
        if 0 < self.peak < self.limit:
            self.limit = max(1.0, self.peak)  # a lower limit than the documented one
        self.peak = 0.0
        until = self.forgiven_at if self.forgiven_at > now else now + _BLIND_REST
        self.refused_at, self.rests_until = now, until
        self.told, self.forgiven_at = self.limit, until

    def answered(self, now: float, sent_at: float) -> None:
        """The portal has run the method: a rest that was still assumed is over."""
        if sent_at > self.refused_at:
            self.rests_until = min(self.rests_until, now)

    @property
    def cost(self) -> float:
        """Seconds of one command: nine of ten are cheaper."""
        if not self.costs:
            return _UNKNOWN_COST
        ordered = sorted(self.costs)
        return ordered[math.ceil(0.9 * len(ordered)) - 1]


@dataclass(slots=True)
class Ticket:
    """A reservation: what a request that is about to be sent will cost. Settled exactly once."""

    work: Mapping[str, int]
    costs: Mapping[str, float]
    batched: bool
    sent_at: float
    settled: bool = False


@dataclass(frozen=True, slots=True)
class MethodStats:
    """Budget of one method. ``used``, ``limit``, ``under_way``, ``rests``: seconds. ``cost``: seconds per command."""

    method: str
    used: float
    limit: float
    under_way: float
    rests: float
    cost: float
    refusals: int


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


class OperatingBook:
    """Seconds per method of one credential. Not locked: its Gate is."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._accounts: dict[str, _Account] = {}
        self._batch_weight = 1.0  # how much of a batch is billed to ``batch``: assumed in full until learned
        self._batch_told: float | None = None

    def account(self, method: str) -> _Account:
        """The account of a method."""
        name = method.casefold()
        if name not in self._accounts:
            # ``batch`` itself is not metered as a rule: only what the portal tells, or refuses, counts against it.
            self._accounts[name] = _Account(self._plan.operating, metered=self._plan.metered and name != _BATCH)
        return self._accounts[name]

    def costs(self, work: Mapping[str, int], *, batched: bool) -> dict[str, float]:
        """Expected seconds, by account."""
        costs = {method: self.account(method).cost * count for method, count in work.items()}
        if batched:
            costs[_BATCH] = self._batch_weight * sum(costs.values())
        return costs

    def delay(self, now: float, costs: Mapping[str, float], share: float) -> float:
        """Seconds until all accounts have room."""
        return max((self.account(name).delay(now, cost, share) for name, cost in costs.items()), default=0.0)

    def reserve(self, costs: Mapping[str, float]) -> None:
        for name, cost in costs.items():
            self.account(name).under_way += cost

    def release(self, costs: Mapping[str, float]) -> None:
        for name, cost in costs.items():
            account = self.account(name)
            account.under_way = max(0.0, account.under_way - cost)

    def spent(self, now: float, sent_at: float, timings: Mapping[str, Sequence[Timing]], outer: Timing | None) -> None:
        """Book what calls have cost. ``outer``: the timing of the batch around them, if there was one."""
        told: list[float] = []
        nested = 0.0
        for method, each in timings.items():
            account = self.account(method)
            seconds = [cost for cost in map(_seconds, each) if cost is not None]
            account.costs.extend(seconds)
            account.spend(now, sum(seconds))
            nested += sum(seconds)
            for timing in each:
                account.tell(now, timing)
                if timing.operating is not None:
                    told.append(timing.operating)
            account.answered(now, sent_at)
        if outer is not None:
            self._bill_batch(now, nested, outer, told)
            self.account(_BATCH).answered(now, sent_at)

    def _bill_batch(self, now: float, nested: float, outer: Timing, told: Sequence[float]) -> None:
        """Learn whether this portal bills batches to ``batch``, and keep that account too."""
        shared = len(told) > 1 and len(set(told)) == 1 and told[0] > 0 and nested > 0.2
        billed = max(outer.operating or 0.0, told[0] if shared else 0.0)
        account = self.account(_BATCH)
        if self._batch_told is not None and nested > 0:
            grown = min(1.0, max(0.0, billed - self._batch_told) / nested)
            self._batch_weight = max(grown, 0.7 * self._batch_weight)
        self._batch_told = billed
        account.spend(now, nested * self._batch_weight)
        account.tell(now, Timing(outer.finish, operating=billed, reset_at=outer.reset_at))

    def room(self, now: float, method: str, share: float) -> float:
        """Seconds that a batch of this lane may still use of a method."""
        account, batch = self.account(method), self.account(_BATCH)
        room = account.limit * share - account.used(now)
        if self._batch_weight < 0.05:
            return room
        return min(room, (batch.limit * share - batch.used(now)) / self._batch_weight)

    def stats(self, now: float) -> tuple[MethodStats, ...]:
        return tuple(
            MethodStats(
                name,
                used=account.base(now),
                limit=account.limit,
                under_way=account.under_way,
                rests=max(0.0, account.rests_until - now),
                cost=account.cost,
                refusals=account.refusals,
            )
            for name, account in sorted(self._accounts.items())
        )


def _seconds(timing: Timing) -> float | None:
    """What a command took, as near to what is billed as the portal tells."""
    told = timing.duration if timing.duration is not None else timing.processing
    return None if told is None else max(0.0, told)


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
        self._book = OperatingBook(plan)
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
            if not self._settle(ticket):
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
        """How many commands of a method one request should carry: at least one, at most ``wanted``."""
        with self._lock:
            account = self._book.account(method)
            cost = max(account.cost, 1e-3)
            room = self._book.room(self._now, method, lane.of_seconds)
            return max(1, min(wanted, MAX_COMMANDS, account.ceiling, int(min(LONGEST, room) / cost)))

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
            self.bucket.add(now)
        self._book.reserve(costs)
        self._counts.requests += 1
        return Ticket(dict(work), costs, batched, now)

    def _settle(self, ticket: Ticket) -> bool:
        """Give the reservation back; False when that was done before."""
        if ticket.settled:
            return False
        ticket.settled = True
        self._book.release(ticket.costs)
        return True
