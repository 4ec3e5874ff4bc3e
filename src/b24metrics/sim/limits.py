"""The portal's limits and what a command costs.

Laws: arithmetic only; time is handed in as epoch seconds. The rate counter belongs to (portal, address), the operating
meter to (credential, method). Source: vendor, "REST API limits".
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

#: plan family → (leak per second, capacity)
PLANS: Mapping[str, tuple[float, float]] = {"ent": (5.0, 250.0)}
_USUAL = (2.0, 50.0)

MINUTE = 60
_BUCKETS = 10


class RateBucket:
    """One request adds one, Y leak away per second, above X a request is refused."""

    def __init__(self, leak: float, capacity: float, *, count_refused: bool = False) -> None:
        self.leak = leak
        self.capacity = capacity
        self.count_refused = count_refused
        self._levels: dict[str, tuple[float, float]] = {}

    @classmethod
    def of_plan(cls, plan: str, *, count_refused: bool = False) -> RateBucket:
        """The bucket of a plan family: ``ent`` is larger than all others."""
        return cls(*PLANS.get(plan, _USUAL), count_refused=count_refused)

    @classmethod
    def generous(cls) -> RateBucket:
        """Never refuses: for tests that are about something else."""
        return cls(math.inf, math.inf)

    def admit(self, address: str, now: float) -> bool:
        """Count a request from this address; False: refused."""
        level, at = self._levels.get(address, (0.0, now))
        if math.isinf(self.leak):
            return True
        level = max(0.0, level - self.leak * max(0.0, now - at)) + 1.0
        admitted = level <= self.capacity
        self._levels[address] = (level if admitted or self.count_refused else level - 1.0, now)
        return admitted


class Billing(StrEnum):
    """Which account a batch is charged to."""

    METHODS = "methods"  # each command under its own name, the batch itself is free
    BATCH = "batch"  # half of the time under "batch", the commands are free


class Ban(StrEnum):
    """What happens to a method above the limit."""

    SLIDING = "sliding"  # refused until enough minute buckets have dropped out
    FLAT = "flat"  # buckets cleared, refused for a fixed time


@dataclass(slots=True)
class _Account:
    buckets: dict[int, tuple[float, float]] = field(default_factory=dict)  # minute → (first call, seconds)
    banned_until: float = 0.0


@dataclass(slots=True)
class OperatingMeter:
    """Seconds of method time per credential and method over ten one-minute buckets.

    Args:
        limit: seconds; a call that finds more than this booked is refused. None: no metering, no fields in ``time``.
        floor: calls shorter than this are not booked.
        batch_weight: share of a batch's time that `Billing.BATCH` books.
        minute: seconds of one of the ten buckets; shorter ones let a day pass in minutes.
    """

    limit: float | None = 480.0
    floor: float = 0.0
    ban: Ban = Ban.SLIDING
    ban_seconds: float = 300.0
    billing: Billing = Billing.METHODS
    batch_weight: float = 0.5
    minute: int = MINUTE
    _accounts: dict[tuple[str, str], _Account] = field(default_factory=dict)

    def refuses(self, credential: str, method: str, now: float) -> bool:
        """Whether a call that arrives now is refused."""
        account = self._accounts.get((credential, method))
        if self.limit is None or account is None:
            return False
        return now < account.banned_until or self.operating(credential, method, now) > self.limit

    def book(self, credential: str, method: str, seconds: float, now: float) -> None:
        """Add the time of a call that arrived at ``now``."""
        if self.limit is None or seconds < self.floor:
            return
        account = self._accounts.setdefault((credential, method), _Account())
        self._drop_old(account, now)
        minute = int(now // self.minute)
        first, booked = account.buckets.get(minute, (float(int(now)), 0.0))
        account.buckets[minute] = (first, booked + seconds)
        if self.ban is Ban.FLAT and self.operating(credential, method, now) > self.limit:
            account.buckets.clear()
            account.banned_until = now + self.ban_seconds

    def block(self, credential: str, method: str, seconds: float, now: float) -> None:
        """Refuse the method for a while whatever its account says."""
        self._accounts.setdefault((credential, method), _Account()).banned_until = now + seconds

    def operating(self, credential: str, method: str, now: float) -> float:
        """Seconds booked in the window."""
        account = self._accounts.get((credential, method))
        if account is None:
            return 0.0
        self._drop_old(account, now)
        return sum(seconds for _, seconds in account.buckets.values())

    def reset_at(self, credential: str, method: str, now: float) -> int:
        """When the oldest bucket drops out, or the ban ends; with nothing booked, a window from now."""
        account = self._accounts.get((credential, method))
        if account is None:
            return int(now) + self._window
        if now < account.banned_until:
            return math.ceil(account.banned_until)
        self._drop_old(account, now)
        first = min((first for first, _ in account.buckets.values()), default=now)
        return int(first) + self._window

    @property
    def _window(self) -> int:
        return _BUCKETS * self.minute

    def _drop_old(self, account: _Account, now: float) -> None:
        for minute in [m for m, (first, _) in account.buckets.items() if now >= first + self._window]:
            del account.buckets[minute]


class Spending(StrEnum):
    """What the cost of a command does besides being booked and told."""

    BOOK = "book"  # nothing
    MOVE = "move"  # moves the shared HandClock
    SLEEP = "sleep"  # is really waited for


@dataclass(slots=True)
class Costs:
    """Seconds that a command takes.

    Args:
        seconds: of any command; ``methods`` has exceptions by name or pattern (``crm.*.list``).
        sigma: 0 fixed; else log-normal around the seconds as the median, from ``seed``.
        counting: extra seconds where a ``total`` is counted, per million rows of the table.
        offset: extra seconds per 1000 rows that a page skips.
        spending: see `Spending`.
        ceiling: a request longer than this is cut off by the front with a 504 page.
    """

    seconds: float = 0.05
    methods: dict[str, float] = field(default_factory=dict)
    sigma: float = 0.0
    counting: float = 0.0
    offset: float = 0.0
    spending: Spending = Spending.BOOK
    ceiling: float = 60.0
    seed: int = 1
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def of(self, method: str, *, counted_rows: int = 0, skipped_rows: int = 0) -> float:
        """Seconds of one command."""
        base = self.methods.get(method)
        if base is None:
            base = next((s for pattern, s in self.methods.items() if fnmatchcase(method, pattern)), self.seconds)
        if self.sigma:
            base *= math.exp(self._random.gauss(0.0, self.sigma))
        return base + self.counting * counted_rows / 1e6 + self.offset * skipped_rows / 1e3
