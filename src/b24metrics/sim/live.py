"""The practice company goes on: minute by minute, at any speed, with the habits of the people who were built.

Laws: time is cut into whole minutes, and a minute is decided by the seed, its number and what stands in the portal
alone, so that one long step and sixty short ones end in the same portal; each decision becomes a few small statements,
a minute is one transaction; a later event never gets a smaller number; nothing lies after the minute that is done.
Rates are those of the history: what people did per working day in its last weeks, spread over the hours of the day.
People have working days for some months after the build; later the company rests.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import duckdb

from b24metrics.clock import Clock
from b24metrics.sim.company.doings import Doings
from b24metrics.sim.company.habits import MINUTE, Habits
from b24metrics.sim.company.ledger import Change, Ledger, Numbers, whole
from b24metrics.sim.company.options import Company

__all__ = ["Change", "FastClock", "Live", "Numbers"]


class FastClock:
    """A clock that runs ``speed`` times as fast as another one, from an instant of choice on.

    The portal and everything that talks to it must share it; waiting is shortened alike.
    """

    def __init__(self, base: Clock, speed: float, at: float | None = None) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be positive, not {speed}")
        self._base = base
        self._speed = speed
        self._began = base.monotonic()
        self._at = base.now() if at is None else at

    def now(self) -> float:
        return self._at + self.monotonic()

    def monotonic(self) -> float:
        return (self._base.monotonic() - self._began) * self._speed

    def sleep(self, seconds: float) -> None:
        self._base.sleep(seconds / self._speed)

    async def asleep(self, seconds: float) -> None:
        await self._base.asleep(seconds / self._speed)


class _OwnNumbers:
    """Numbers for a portal that nobody else writes to."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._highest: dict[tuple[str, str], int] = {}

    def next_id(self, table: str, where: str = "TRUE") -> int:
        if (table, where) not in self._highest:
            found = self._connection.execute(f'SELECT coalesce(max("ID"), 0) FROM "{table}" WHERE {where}').fetchone()
            assert found is not None
            self._highest[table, where] = whole(found[0])
        self._highest[table, where] += 1
        return self._highest[table, where]


class Live:
    """The days after the build.

    Args:
        connection: a portal made by `company.build`; the same database as the server's.
        lock: held during each minute; hand in the server's.
        numbers: who numbers records; hand in the server's storage.
        heard: told what happened, after each minute and under the lock.
    Raises:
        ValueError: the database holds no built company.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        lock: AbstractContextManager[object] | None = None,
        numbers: Numbers | None = None,
        heard: Callable[[Sequence[Change]], None] | None = None,
    ) -> None:
        if connection.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'backstage' AND table_name = 'company'"
        ).fetchone() == (0,):
            raise ValueError("the portal holds no built company; build one before it goes on")
        row = connection.execute("SELECT options FROM backstage.company").fetchone()
        assert row is not None
        self.company = Company(**json.loads(row[0]))
        self._sql = connection
        self._lock = lock or contextlib.nullcontext()
        self._heard = heard
        self._ledger = Ledger(connection, self.company, numbers or _OwnNumbers(connection), random.Random())
        with self._lock:
            self._at = self._resumed()
            self._habits = Habits(connection, self.company)
        self._doings = Doings(self._habits, self._ledger)

    @property
    def at(self) -> int:
        """Everything before this instant has happened; epoch seconds, a whole minute."""
        return self._at

    def advance(self, until: float) -> int:
        """Live through all whole minutes that end by an instant; returns how many changes that made."""
        made = 0
        while self._at + MINUTE <= until:
            with self._lock:
                self._ledger.changes.clear()
                self._minute()
                made += len(self._ledger.changes)
                if self._heard is not None and self._ledger.changes:
                    self._heard(tuple(self._ledger.changes))
        return made

    def follow(self, clock: Clock, stop: threading.Event, pause: float = 1.0) -> None:
        """Keep up with a clock until told to stop; ``pause`` seconds of the machine's time between looks.

        After a long absence it catches up minute by minute and can be stopped between two of them.
        """
        while not stop.wait(pause):
            while self._at + MINUTE <= clock.now() and not stop.is_set():
                self.advance(self._at + MINUTE)

    def _resumed(self) -> int:
        """Where the company stands: the end of the build, rounded up to a minute, or of an earlier life."""
        self._sql.execute("CREATE TABLE IF NOT EXISTS backstage.lived (at_instant BIGINT)")
        row = self._sql.execute("SELECT max(at_instant) FROM backstage.lived").fetchone()
        if row is not None and row[0] is not None:
            return whole(row[0])
        return -(-self.company.until // MINUTE) * MINUTE

    def _minute(self) -> None:
        decisions = self._habits.decide(self._at)
        self._sql.execute("BEGIN")
        try:
            for decision in decisions:
                self._doings.do(decision)
            self._sql.execute("DELETE FROM backstage.lived")
            self._sql.execute(f"INSERT INTO backstage.lived VALUES ({self._at + MINUTE})")
            self._sql.execute("COMMIT")
        except BaseException:
            self._sql.execute("ROLLBACK")
            raise
        self._at += MINUTE
