"""How long a copy takes at best, and how much of a portal's budgets is in use: arithmetic.

Laws: the rate lets so many full requests pass per second; a method's time comes in helpings, one per window, of which a
backfill takes its share; methods have theirs side by side. What is told is the least that the budgets allow, at the cost
that commands have had so far.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from b24metrics.mirror.ranges import BATCHFUL, STREAMS
from b24metrics.portal.dialects import PAGE
from b24metrics.portal.limits import Gate, Lane
from b24metrics.portal.operating import MethodStats


@dataclass(frozen=True, slots=True)
class Budgets:
    """How much of a portal's limits is in use.

    Attributes:
        requests: the share of the bucket that is full, 0…1; None: there is no limit. method: whose time is most used.
        seconds, limit: of that method, in the running window. rests: seconds until it may go on; 0: it may.
    """

    requests: float | None = None
    method: str | None = None
    seconds: float = 0.0
    limit: float = 0.0
    rests: float = 0.0


def budgets_of(gate: Gate) -> Budgets:
    """The budgets now: of all methods, the one whose time is most used."""
    return forecast({method.method: 1 for method in gate.stats().methods}, gate)[0]


def forecast(pending: Mapping[str, int], gate: Gate) -> tuple[Budgets, float]:
    """The budgets now, and the least number of seconds in which they allow to copy ``pending`` (method → rows)."""
    stats = gate.stats()
    methods = {one.method: one for one in stats.methods}
    mine = {method.casefold(): rows for method, rows in pending.items() if rows}
    busiest = max(
        (methods[name] for name in mine if name in methods), key=lambda one: one.used / one.limit, default=None
    )
    budgets = Budgets(
        requests=None if stats.capacity is None else min(1.0, stats.level / stats.capacity),
        method=None if busiest is None else busiest.method,
        seconds=0.0 if busiest is None else busiest.used,
        limit=0.0 if busiest is None else busiest.limit,
        rests=0.0 if busiest is None else gate.rest(busiest.method, Lane.BACKFILL),
    )
    requests = sum(math.ceil(rows / BATCHFUL) for rows in mine.values())
    plan = gate.plan
    by_rate = 0.0 if plan.capacity is None else max(0.0, requests - (plan.capacity - stats.level)) / plan.leak
    by_time = max(
        (_helpings(methods[name], rows, plan.window) for name, rows in mine.items() if name in methods), default=0.0
    )
    return budgets, max(by_rate, by_time)


def _helpings(method: MethodStats, rows: int, window: float) -> float:
    """Seconds that the time of one method allows for so many rows."""
    work = math.ceil(rows / PAGE) * method.mean_cost
    helping = method.limit * Lane.BACKFILL.of_seconds
    room = max(0.0, helping - method.used)
    if work <= room:
        return work / STREAMS
    rounds, rest = divmod(work - room, helping)
    return window * (rounds + 1) - method.used / STREAMS + rest / STREAMS
