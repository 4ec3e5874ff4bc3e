"""Faults on demand: error answers and broken transport.

Laws: a fault is a value with a condition (method, which calls, chance) and is used up by the calls it hits. Error answers
hit single calls and commands of a batch alike; transport faults hit the HTTP request by the method in its address.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from b24metrics.sim.refusals import Refusal


class Transport(StrEnum):
    """Ways in which an HTTP exchange goes wrong."""

    RESET = "reset"  # the connection is reset instead of an answer
    HANG = "hang"  # no answer until the client gives up
    SLOW = "slow"  # the body drips
    CUT = "cut"  # a complete HTTP answer whose JSON ends in the middle
    DROP = "drop"  # the connection ends in the middle of the body
    BAD_GATEWAY = "bad_gateway"  # the front proxy's HTML page, 502
    GATEWAY_TIMEOUT = "gateway_timeout"  # the same, 504


@dataclass(slots=True)
class Fault:
    """One fault.

    Args:
        what: an error answer or a transport fault.
        method: name or pattern, lower case; ``*`` is any.
        times: how many calls it hits; None for ever.
        skip: calls of the method that pass before (``skip=2`` hits the third).
        probability: chance that a call is hit.
        executed: whether the work was done before the transport failed (a bad gateway never reached the portal).
        seconds: of `Transport.SLOW`, really waited.
    """

    what: Refusal | Transport
    method: str = "*"
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    executed: bool = True
    seconds: float = 0.5

    def matches(self, method: str) -> bool:
        return self.times != 0 and fnmatchcase(method, self.method)


@dataclass(slots=True)
class Faults:
    """All faults of a portal."""

    seed: int = 1
    waiting: list[Fault] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)
    _random: random.Random = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self.waiting.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self.waiting.clear()

    def answer_for(self, method: str) -> Refusal | None:
        """The error answer that this call gets, if any."""
        fault = self._take(method, transport=False)
        return fault.what if fault and isinstance(fault.what, Refusal) else None

    def transport_for(self, method: str) -> Fault | None:
        """The transport fault that this request meets, if any."""
        return self._take(method, transport=True)

    def _take(self, method: str, *, transport: bool) -> Fault | None:
        with self._lock:
            for fault in self.waiting:
                if isinstance(fault.what, Transport) is not transport or not fault.matches(method):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.probability < 1 and self._random.random() >= fault.probability:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                self.hits[method] += 1
                return fault
            return None
