"""The actors of the campaign, each a process of its own: the portal, and a sync that is going to be killed.

Laws: nothing here is stopped politely except the portal. Processes are forked from a clean server that has imported
everything already, so that a hundred of them cost little; the command line is started as its users start it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import duckdb

from b24metrics.clock import SystemClock
from b24metrics.errors import PortalKept
from b24metrics.mirror import schema
from b24metrics.mirror.desk import Report
from b24metrics.mirror.options import SweepOptions
from b24metrics.mirror.stores import Store, open_store
from b24metrics.mirror.sync import Sync
from b24metrics.portal.client import AsyncPortal
from b24metrics.sim.company import Company, build
from b24metrics.sim.server import Sim
from tests.campaign.happenings import Happenings
from tests.mirror.conftest import Torn

SECRET = "campaign0secret"
BELIEVED = SweepOptions(believed_rows=10**6, cell_rows=2000)
"""What is gone is believed at once: nobody loses a right here."""

_nursery = multiprocessing.get_context("forkserver")
_nursery.set_forkserver_preload(["tests.campaign.processes", "b24metrics.cli"])


# ---------------------------------------------------------------- the portal


class Portal:
    """A practice portal in a process of its own, on a data file, with people at work or at rest.

    Args:
        file: its records; a company is built where there is none. seed: of the company and of all that happens there.
        managers, months: how much there is to copy. pause: seconds between two changes.
    """

    def __init__(self, file: Path, seed: int, *, managers: int, months: int, pause: float) -> None:
        self.file = file
        self._line, theirs = _nursery.Pipe()
        self._process = _nursery.Process(
            target=_serve, args=(theirs, str(file), seed, managers, months, pause), daemon=True
        )
        self._process.start()
        theirs.close()
        self.webhook = str(self._heard())

    def _heard(self) -> object:
        assert self._line.poll(300), "the portal does not answer"
        return self._line.recv()

    def _told(self, *words: object) -> object:
        self._line.send(words)
        return self._heard()

    def work(self) -> None:
        """People begin, or go on, to change things."""
        self._told("work")

    def rest(self) -> int:
        """Nothing changes any more; how many changes there were so far."""
        changes = self._told("rest")
        assert isinstance(changes, int), changes
        return changes

    def copy(self, path: Path) -> Path:
        """The records as they are now, in a file of their own."""
        self._told("copy", str(path))
        return path

    def stop(self) -> None:
        with suppress(BrokenPipeError):
            self._told("stop")
        self._process.join(60)


def _serve(line: Connection, file: str, seed: int, managers: int, months: int, pause: float) -> None:
    clock = SystemClock()
    fresh = not Path(file).exists()
    connection = duckdb.connect(file)
    connection.execute("SET threads = 1")
    if fresh:
        build(
            connection, Company(now=clock.now(), seed=seed, managers=managers, departments=2, months=months, talk=0.4)
        )
        connection.execute("UPDATE deal SET UF = NULL")  # none is copied unless it is configured
    with Sim(clock=clock, data=connection, secret=SECRET, plan="ent", keep_log=10) as sim:
        life, at_work, over = Happenings(sim.portal, random.Random(seed)), threading.Event(), threading.Event()

        def live() -> None:
            while not over.is_set():
                at_work.wait()
                with sim.data.lock:  # so that whoever wants a rest gets it between two changes
                    if at_work.is_set() and not over.is_set():
                        life.happen()
                over.wait(pause)

        people = threading.Thread(target=live, daemon=True)
        people.start()
        line.send(sim.webhook)
        while True:
            what, *how = line.recv()
            if what == "work":
                at_work.set()
            else:
                with sim.data.lock:
                    at_work.clear()
            if what == "copy":
                with sim.data.lock:
                    connection.execute("CHECKPOINT")
                    shutil.copyfile(file, how[0])
            if what == "stop":
                over.set()
                at_work.set()
                people.join()
                line.send(life.made)
                break
            line.send(life.made)
    connection.close()


# ---------------------------------------------------------------- the sync


@dataclass(frozen=True, slots=True)
class Moment:
    """When a sync dies.

    Attributes:
        name: ``any`` (by the parent's hand, after ``after`` seconds), or a point that its database work comes to:
        ``statement`` (between a page and its cursor), ``commit`` (while it runs), ``committed`` (the instant after),
        ``checkpoint`` (while it runs), ``migration`` (in the middle of one), ``sweep`` (between two of its steps).
        after: seconds, or how many of these points pass before.
    """

    name: str
    after: float

    def __str__(self) -> str:
        return f"{self.name} {self.after:.2f} s" if self.name == "any" else f"{self.name} #{self.after:.0f}"


POINTS = ("statement", "commit", "committed", "checkpoint", "migration", "sweep")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed(Torn):
    """A store that does not fail at its moment but ends the process, with no word to anybody."""

    def __init__(self, store: Store, moment: Moment) -> None:
        super().__init__(store, AssertionError())
        self._name = moment.name
        self.left = int(moment.after) if moment.name in {"statement", "sweep"} else None
        self._points = int(moment.after)
        self._dice = random.Random(str(moment))

    def _count(self) -> None:
        if self.left is not None and self._name == "statement":
            self.left -= 1
            if self.left < 0:
                die()

    def _its_turn(self, name: str) -> bool:
        if self._name != name:
            return False
        self._points -= 1
        return self._points < 0

    def _of_sweep(self, what: str) -> None:
        if what.startswith("sweep") and self._its_turn("sweep"):
            die()

    def execute(self, sql: str, params: Any = ()) -> None:
        super().execute(sql, params)
        if "sweep_ranges" in sql:
            self._of_sweep("sweep_ranges")

    def upsert(self, table: Any, rows: Any) -> int:
        self._of_sweep(table.name)
        return super().upsert(table, rows)

    @contextmanager
    def _dying(self, name: str) -> Iterator[None]:
        """Somewhere while this runs, in another thread, if it is this one's turn."""
        if not self._its_turn(name):
            yield
            return
        delay = self._dice.choice([0.0, 0.0002, 0.001, 0.003, 0.01])
        threading.Thread(target=lambda: (time.sleep(delay), die()), daemon=True).start()
        yield
        time.sleep(1)  # it ended before its time

    @contextmanager
    def transaction(self) -> Iterator[None]:
        inner = self.store.transaction()
        inner.__enter__()
        try:
            yield
            self._count()
        except BaseException as error:
            if not inner.__exit__(type(error), error, error.__traceback__):
                raise
            return
        with self._dying("commit"):
            inner.__exit__(None, None, None)
        if self._its_turn("committed"):
            die()

    def checkpoint(self) -> None:
        with self._dying("checkpoint"):
            super().checkpoint()


class _Deadly(tuple):  # noqa: SLOT001 - statements of a migration
    """Statements; the process ends when one of them would be next. ``left``: shared by all migrations of an opening."""

    left: int

    def __iter__(self) -> Iterator[str]:
        for statement in super().__iter__():
            _Deadly.left -= 1
            if _Deadly.left < 0:
                die()
            yield statement
        if self is schema.MIGRATIONS[-1]:
            die()  # before its commit: the next version of the mirror does not exist


_NEXT = (
    "CREATE TABLE campaign AS SELECT * FROM stage_moves",
    "UPDATE deals SET title = 'Migrated', modified_at = NULL",
    "DELETE FROM stage_moves",
    "DELETE FROM deal_closings",
    "ALTER TABLE leads ADD COLUMN campaign VARCHAR",
    "DELETE FROM feed_state",
)
"""A migration that would leave traces everywhere."""


def _sync(where: str, webhook: str, moment: Moment | None, interval: float, lease: float) -> None:
    """Catch up and go on in rounds for ever; without a moment to die: catch up, compare everything, end."""
    if moment is not None and moment.name == "migration":
        _Deadly.left = int(moment.after)
        schema.MIGRATIONS = tuple(map(_Deadly, (*schema.MIGRATIONS, _NEXT)))
    store = open_store(where)

    async def work() -> None:
        async with AsyncPortal(webhook, plan="enterprise") as client:
            syncing = Sync(
                client, store if moment is None else Doomed(store, moment), portal=client.host, sweeps=BELIEVED,
                lease_seconds=lease,
            )  # fmt: skip
            reports = [await _when_kept(syncing.catch_up)]
            if moment is None:
                reports += [await _when_kept(doing) for doing in (syncing.sweep, syncing.round, syncing.round)]
                assert not any(report.errors for report in reports), [report.errors for report in reports]
                return
            while True:
                await _when_kept(syncing.round)
                if moment.name == "checkpoint":  # a log of some changes is folded into the file
                    syncing._store.checkpoint()
                if moment.name == "sweep":
                    await _when_kept(syncing.sweep)
                await asyncio.sleep(interval)

    asyncio.run(work())
    store.close()


async def _when_kept(work: Callable[[], Any]) -> Report:
    """As the command line does: while the one who was killed still holds the lease, wait."""
    while True:
        try:
            return await work()
        except PortalKept:
            await asyncio.sleep(0.2)


def killed(
    where: str, webhook: str, moment: Moment, *, interval: float = 0.3, lease: float = 60.0, patience: float = 90.0
) -> str:
    """Start a sync and let it be killed at its moment; how it died. ``patience``: seconds until the parent kills it."""
    process = _nursery.Process(target=_sync, args=(where, webhook, moment, interval, lease), daemon=True)
    process.start()
    process.join(moment.after if moment.name == "any" else patience)
    by_parent = process.exitcode is None
    if by_parent:
        process.kill()
    process.join(60)
    assert -signal.SIGKILL == process.exitcode, f"{moment}: it ended by itself with {process.exitcode}"
    return "killed" if moment.name == "any" else "killed late" if by_parent else "died"


def killed_command(where: str, webhook: str, seconds: float, *, output: Path) -> str:
    """The same with the command line as its users start it, so many seconds after it has begun to write."""
    with output.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from b24metrics.cli import main; main()", "sync", "--mirror", where,
             "--interval", "5", "--plan", "enterprise"],
            env={**os.environ, "B24_WEBHOOK": webhook}, stdout=log, stderr=log,
        )  # fmt: skip
        before, until = _written(where), time.monotonic() + 60
        while process.poll() is None and _written(where) == before and time.monotonic() < until:
            time.sleep(0.02)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        code = process.wait(60)
    assert -signal.SIGKILL == code, f"it ended by itself with {code}: {output.read_text()[-2000:]}"
    return "killed"


def _written(where: str) -> list[tuple[int, int]]:
    """What changes when a mirror's file, or its log, is written."""
    files = (Path(where), Path(f"{where}.wal"))
    return [(one.stat().st_size, one.stat().st_mtime_ns) for one in files if one.exists()]


def brought_into_step(where: str, webhook: str, *, lease: float = 60.0) -> int:
    """Start syncs until one catches up, compares everything and ends well; how many were needed."""
    for attempt in range(1, 4):
        process: BaseProcess = _nursery.Process(target=_sync, args=(where, webhook, None, 0, lease), daemon=True)
        process.start()
        process.join(600)
        if process.exitcode == 0:
            return attempt
        process.kill()
        process.join(60)
    raise AssertionError(f"the mirror does not come into step: exit code {process.exitcode}")


def a_moment(dice: random.Random, longest: float, points: Sequence[str] = POINTS) -> Moment:
    """Half of all moments are any, drawn over the run's length; the others are points."""
    if dice.random() < 0.5:
        return Moment("any", dice.uniform(0.05, longest))
    name = dice.choice(points)
    most = {"statement": 150, "commit": 12, "committed": 12, "checkpoint": 1, "migration": 60, "sweep": 12}[name]
    return Moment(name, dice.randrange(most))
