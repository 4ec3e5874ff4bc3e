"""A practice company behind a practice portal, from one call: what `b24metrics sim` and the demo start.

Laws: a data file that holds a company is reused, and its life goes on from where it stopped; a new one is built whole or
not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import duckdb

from b24metrics.clock import Clock, SystemClock
from b24metrics.sim.company import Company, build, plans_csv
from b24metrics.sim.live import FastClock, Live
from b24metrics.sim.server import Sim, SimOptions, run_forever


class PracticeDataError(ValueError):
    """The data file cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """What to practise on.

    Attributes:
        data: file of the portal's records; None keeps them in memory. plans: CSV file to write the sales plans to.
        speed: how fast the company lives on: 1 is real time, 0 stands still; otherwise the portal's clock runs that fast too.
        port: 0 is any free one. enterprise: the larger request limits. https: listen on HTTPS too.
        leash: the portal ends when this stream does; a parent process holds its other end.
    """

    data: Path | None = None
    plans: Path | None = None
    speed: float = 1.0
    port: int = 0
    enterprise: bool = False
    https: bool = False
    leash: IO[str] | None = None


def practise(
    practice: Practice,
    company: Callable[[float], Company],
    *,
    announce: Callable[[Sim], None],
    tell: Callable[[str], None] = lambda _: None,
    clock: Clock | None = None,
) -> None:
    """Build the company where there is none, then serve it until interrupted.

    Args:
        practice: where and how.
        company: its options, made from the present instant (epoch seconds).
        announce: told the running portal.
        tell: told what is being done, in words.
        clock: the machine's by default.

    Raises:
        PracticeDataError: the file is something else, is held by another process, or cannot be written.
        ValueError: the company cannot be meant. OSError: the port is taken.
    """
    clock = clock or SystemClock()
    if practice.speed not in {0, 1}:
        clock = FastClock(clock, practice.speed)
    with closing(_opened(practice.data)) as data:
        if not _holds_company(data):
            tell("Building the practice company …")
            made = build(data, company(clock.now()))
            tell(f"{made.total:,} records in {made.seconds:.0f} s.")
        if practice.plans is not None:
            practice.plans.write_text(plans_csv(data), encoding="utf-8")
        options: SimOptions = {"clock": clock, "data": data, "port": practice.port}
        if practice.enterprise:
            options["plan"] = "ent"
        life = _Life(clock) if practice.speed else None

        def begin(sim: Sim) -> None:
            if life is not None:
                life.begin(sim)
            announce(sim)

        try:
            run_forever(announce=begin, https=practice.https, until=_end_of(practice.leash), **options)
        finally:
            if life is not None:
                life.end()


class _Life:
    """The company's days, in a thread beside the portal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, sim: Sim) -> None:
        live = Live(sim.data.connection, lock=sim.data.lock, numbers=sim.data, heard=sim.hear)
        self._thread = threading.Thread(
            target=live.follow, args=(self._clock, self._stop), name="b24-practice-life", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()


def _opened(path: Path | None) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(path or ":memory:"))
    except duckdb.IOException as error:
        if "lock" in str(error):
            raise PracticeDataError(
                f"{path} is in use: another practice portal runs on it. Stop that one first."
            ) from None
        raise PracticeDataError(f"{path} cannot be opened as practice data. Name another file, or delete it.") from None


def _holds_company(data: duckdb.DuckDBPyConnection) -> bool:
    return data.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'backstage' AND table_name = 'company'"
    ).fetchone() == (1,)


def _end_of(leash: IO[str] | None) -> threading.Event | None:
    """An event that is set when the stream ends."""
    if leash is None:
        return None
    ended = threading.Event()

    def watch() -> None:
        for _ in leash:
            pass
        ended.set()

    threading.Thread(target=watch, name="b24-leash", daemon=True).start()
    return ended
