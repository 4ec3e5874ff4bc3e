"""Practice portals in processes of their own, for benchmarks: what they hold, what they cost, what they were asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

#: Name → SQL of a million ids, in proportion (``{rows}``): close together, and with nine of ten deleted, in several ways.
PATTERNS: Mapping[str, str] = {
    "dense": "SELECT 1 + i AS ID FROM range({rows}) r(i)",
    "sparse": "SELECT 1 + i * 10 + hash(i) % 10 AS ID FROM range({rows}) r(i)",
    "small clusters": "SELECT 1 + i % 300 + (i // 300) * 3000 AS ID FROM range({rows}) r(i)",
    "large clusters": "SELECT 1 + i % 25000 + (i // 25000) * 250000 AS ID FROM range({rows}) r(i)",
    "old ones deleted": "SELECT CASE WHEN i < {rows} // 10 THEN 1 + i * 91 ELSE 9 * {rows} + i + 1 END AS ID FROM range({rows}) r(i)",
    "uneven": "SELECT DISTINCT CAST(10.0 * {rows} * pow((i + 1) / {rows}, 3) AS BIGINT) + i AS ID FROM range({rows}) r(i)",
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a portal holds and costs.

    Attributes:
        ids: SQL of the ids of its records. tables: which tables get them. seconds, sigma: of a command, log-normal;
        ``sleeps``: they are really waited for. limit, minute: the operating budget and a tenth of its window.
    """

    ids: str
    tables: tuple[str, ...] = ("deal",)
    seconds: float = 0.001
    sigma: float = 0.0
    sleeps: bool = False
    limit: float = 480.0
    minute: int = 60
    https: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """What a portal was asked for. ``rate`` and ``time``: refusals for either budget."""

    requests: int
    commands: int
    rate: int
    time: int


@dataclass(slots=True)
class Served:
    """A portal that answers."""

    webhook: str
    domain: str
    ca_file: str
    line: Connection

    def cost(self) -> Cost:
        """Since the last time this was asked."""
        self.line.send("count")
        found: Cost = self.line.recv()
        return found


_STAMPS = {"deal": "DATE_MODIFY", "activity": "LAST_UPDATED", "phone_call": "CALL_START_DATE", "lead": "DATE_MODIFY"}


def _serve(line: Connection, behaviour: Behaviour) -> None:
    from b24metrics.clock import SystemClock  # noqa: PLC0415 - only here
    from b24metrics.sim.limits import Costs, OperatingMeter, Spending  # noqa: PLC0415
    from b24metrics.sim.server import Sim  # noqa: PLC0415

    # The mean of a log-normal distribution is higher than its median by this.
    median = behaviour.seconds * 2.718281828459045 ** (-(behaviour.sigma**2) / 2)
    costs = Costs(seconds=median, sigma=behaviour.sigma, spending=Spending.SLEEP if behaviour.sleeps else Spending.BOOK)
    meter = OperatingMeter(limit=behaviour.limit, minute=behaviour.minute)
    with Sim(clock=SystemClock(), costs=costs, meter=meter, keep_log=10_000_000) as sim:
        for table in behaviour.tables:
            sim.data.execute(
                f"""INSERT INTO {table} BY NAME SELECT ID, {int(sim.clock.now())} - 90 * 86400 AS {_STAMPS[table]}
                FROM ({behaviour.ids}) ORDER BY ID"""
            )
        domain = sim.https_url.removeprefix("https://") if behaviour.https else ""
        line.send((sim.webhook, domain, str(sim.ca_file) if behaviour.https else ""))
        while line.recv() == "count":
            log = list(sim.log)
            sim.portal.log.clear()
            refused = Counter(str(entry.error) for entry in log)
            line.send(
                Cost(
                    requests=len({entry.request for entry in log}),
                    commands=sum(entry.method != "batch" for entry in log),
                    rate=refused["QUERY_LIMIT_EXCEEDED"],
                    time=refused["OPERATION_TIME_LIMIT"],
                )
            )


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Served]:
    """A portal of this kind, in a process of its own."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, behaviour))
    process.start()
    try:
        yield Served(*ours.recv(), ours)
    finally:
        ours.send("end")
        process.join()
