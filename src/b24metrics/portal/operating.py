"""Seconds of method time: what each method of one credential has used, and when it may go on.

Laws: arithmetic only, not locked; the Gate of ``limits`` locks and hands in the time. The portal's own sum counts; our
account fills the time between two tellings. Moments by the portal's clock are turned into spans before they are used,
because that clock may be wrong.

The portal tells a sum per method and the moment when its oldest minute is forgiven. A batch is billed to its methods by
most portals and to ``batch`` by some; both accounts are kept, and the larger decides.
Source: vendor, "REST API limits" (operating time); observed: short calls not counted, flat bans, missing fields.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from b24metrics.portal.request import MAX_COMMANDS, Timing

WINDOW = 600.0
"""Seconds after which the portal forgets what a method has used."""
BATCH = "batch"

_BUCKETS = 10  # the portal forgets a window by tenths: minutes, as a rule
_ALMOST = 0.95  # of a limit, up to which a look at what was forgiven may go: not all of a minute's use is forgiven
_NOTHING = 1e-6  # seconds
_POLL = 0.5  # seconds until we look again when work under way stands in the way
_LEARNED_FOR = 3600.0  # seconds for which a limit that only refusals tell is believed
_UNKNOWN_COST = 1.5  # seconds per command until the first answer: thirty commands in the first batch, not fifty


class Account:
    """Seconds of one method."""

    def __init__(self, limit: float, *, metered: bool, window: float = WINDOW) -> None:
        self.most = limit
        self.limit = limit
        self.metered = metered
        self.window = window
        self.told: float | None = None  # the portal's own sum
        self.told_at = -math.inf  # by the portal's clock
        self.peak = 0.0  # the most it has told since it last refused
        self.suspect = 0.0  # the same, before the refusal before
        self.learned_until = -math.inf
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
        if self.limit < self.most and now >= self.learned_until:
            self.limit = self.most
        base, cap = self.base(now), self.limit * share
        forgiven = self.outdated(now) and base + cost > cap
        if forgiven and self.under_way <= 0 and base + cost <= self.limit * _ALMOST:
            return 0.0  # the portal has forgiven something: its answer tells how much
        if base + self.under_way + cost <= cap or base + self.under_way <= 0:
            return 0.0
        if self.under_way > 0 and (base <= 0 or base + cost <= cap or forgiven):
            return _POLL
        if now < self.forgiven_at:
            return self.forgiven_at - now
        return max(_POLL, self.spent[0][0] - now) if self.spent else _POLL

    def outdated(self, now: float) -> bool:
        """The sum that the portal told is no longer true: it has forgotten the oldest minute of it since."""
        return self.told is not None and now >= self.forgiven_at

    def spend(self, now: float, seconds: float) -> None:
        if seconds <= 0:
            return
        # The portal forgets by whole minutes of its own; ten minutes after the call is the latest it can be.
        forgotten_at = now + self.window
        if self.spent and forgotten_at - self.spent[-1][0] < self.window / (12 * _BUCKETS):
            self.spent[-1] = [forgotten_at, self.spent[-1][1] + seconds]
        else:
            self.spent.append([forgotten_at, seconds])

    def tell(self, now: float, timing: Timing) -> None:
        """Take over what the portal says, unless it has said something newer."""
        if timing.operating is None:
            return
        at = timing.finish if timing.finish is not None else self.told_at
        if 0 < self.told_at - at < 120:  # answers overtake each other; a clock that was set back is believed
            return
        self.told, self.told_at = timing.operating, at
        self.peak = max(self.peak, self.told)
        if timing.reset_at is not None and timing.finish is not None:  # by the portal's clock, which may be wrong
            span = timing.reset_at - timing.finish + 1  # told in whole seconds, rounded down
            self.forgiven_at = now + min(max(0.0, span), self.window + self._bucket)
        else:
            self.forgiven_at = now + self._bucket
        self.limit = min(self.most, max(self.limit, self.told))

    def rest(self, now: float, sent_at: float) -> None:
        """The portal refuses the method."""
        self.refusals += 1
        self.metered = True
        if sent_at <= self.refused_at and now < self.rests_until:
            return  # sent before we knew
        self._learn(now)
        until = self.forgiven_at if self.forgiven_at > now else now + self._bucket  # nothing dates it
        self.refused_at, self.rests_until = now, until
        self.told, self.forgiven_at = self.limit, until

    def _learn(self, now: float) -> None:
        """Two refusals at about the same sum mean a lower limit than the documented one; a single one may be a block
        by hand, or the work of another process with our credential.
        """
        if self.peak < 30:
            return
        if self.peak < self.limit and abs(self.peak - self.suspect) <= 0.2 * self.peak:
            self.limit = max(self.peak, self.suspect)
            self.learned_until = now + _LEARNED_FOR
        self.suspect, self.peak = self.peak, 0.0

    def answered(self, now: float, sent_at: float) -> None:
        """The portal has run the method: a rest that was still assumed is over."""
        if sent_at > self.refused_at:
            self.rests_until = min(self.rests_until, now)

    @property
    def _bucket(self) -> float:
        """Seconds after which the portal forgets a little more."""
        return self.window / _BUCKETS

    @property
    def cost(self) -> float:
        """Seconds of one command: nine of ten are cheaper."""
        if not self.costs:
            return _UNKNOWN_COST
        ordered = sorted(self.costs)
        return ordered[math.ceil(0.9 * len(ordered)) - 1]

    @property
    def mean_cost(self) -> float:
        """Seconds of one command, on average."""
        return math.fsum(self.costs) / len(self.costs) if self.costs else _UNKNOWN_COST


@dataclass(frozen=True, slots=True)
class MethodStats:
    """Budget of one method. ``used``, ``limit``, ``under_way``, ``rests``: seconds.

    ``cost``: seconds per command, nine of ten are cheaper; ``mean_cost``: on average.
    """

    method: str
    used: float
    limit: float
    under_way: float
    rests: float
    cost: float
    refusals: int
    mean_cost: float = _UNKNOWN_COST


class OperatingBook:
    """Seconds per method of one credential. Not locked: its Gate is."""

    def __init__(self, limit: float, *, metered: bool, window: float = WINDOW) -> None:
        self._limit = limit
        self._metered = metered
        self._window = window
        self._accounts: dict[str, Account] = {}
        self._batch_weight = 1.0  # how much of a batch is billed to ``batch``: assumed in full until learned
        self._batch_told: float | None = None

    def account(self, method: str) -> Account:
        """The account of a method."""
        name = method.casefold()
        if name not in self._accounts:
            # ``batch`` itself is not metered as a rule: only what the portal tells, or refuses, counts against it.
            self._accounts[name] = Account(self._limit, metered=self._metered and name != BATCH, window=self._window)
        return self._accounts[name]

    def costs(self, work: Mapping[str, int], *, batched: bool) -> dict[str, float]:
        """Expected seconds, by account."""
        costs = {method: self.account(method).cost * count for method, count in work.items()}
        if batched:
            costs[BATCH] = self._batch_weight * sum(costs.values())
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
            left = account.under_way - cost
            # What rounding leaves of a sum is no work: as long as any is under way, no look at what was forgiven may go.
            account.under_way = left if left > _NOTHING else 0.0

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
            self.account(BATCH).answered(now, sent_at)

    def _bill_batch(self, now: float, nested: float, outer: Timing, told: Sequence[float]) -> None:
        """Learn whether this portal bills batches to ``batch``, and keep that account too."""
        shared = len(told) > 1 and len(set(told)) == 1 and told[0] > 0 and nested > 0.2
        billed = max(outer.operating or 0.0, told[0] if shared else 0.0)
        account = self.account(BATCH)
        if self._batch_told is not None and nested > 0:
            grown = min(1.0, max(0.0, billed - self._batch_told) / nested)
            self._batch_weight = max(grown, 0.7 * self._batch_weight)
        self._batch_told = billed
        account.spend(now, nested * self._batch_weight)
        account.tell(now, Timing(outer.finish, operating=billed, reset_at=outer.reset_at))

    def is_outdated(self, now: float, method: str) -> bool:
        """The portal would tell another sum by now."""
        return self.account(method).outdated(now)

    def room(self, now: float, method: str, share: float) -> float:
        """Seconds that a batch of this lane may still use of a method."""
        account, batch = self.account(method), self.account(BATCH)
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
                mean_cost=account.mean_cost,
            )
            for name, account in sorted(self._accounts.items())
        )


def _seconds(timing: Timing) -> float | None:
    """What a command took, as near to what is billed as the portal tells."""
    told = timing.duration if timing.duration is not None else timing.processing
    return None if told is None else max(0.0, told)
