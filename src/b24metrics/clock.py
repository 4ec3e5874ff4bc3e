"""Time, handed in.

Laws: nobody else reads the wall clock or sleeps; tests and the demo hand in a HandClock.
"""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the house knows of time."""

    def now(self) -> float:
        """Epoch seconds, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; the origin means nothing."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait, blocking this thread."""
        ...

    async def asleep(self, seconds: float) -> None:
        """Wait, letting other coroutines run."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class HandClock:
    """A clock wound by hand: waiting moves it, nothing else does.

    One instance may be shared by client, practice portal and test, also between threads.
    """

    def __init__(self, at: datetime | float = 1_741_942_800.0) -> None:
        start = at.timestamp() if isinstance(at, datetime) else float(at)
        self._started_at = start
        self._now = start
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        """Seconds since the clock was made."""
        return self._now - self._started_at

    @property
    def at(self) -> datetime:
        """The present instant, aware, UTC."""
        return datetime.fromtimestamp(self._now, UTC)

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now - self._started_at

    def move(self, seconds: float) -> None:
        """Let time pass; negative sets the clock back, as an administrator might."""
        with self._lock:
            self._now += seconds

    def sleep(self, seconds: float) -> None:
        self.move(max(0.0, seconds))

    async def asleep(self, seconds: float) -> None:
        self.move(max(0.0, seconds))
        await asyncio.sleep(0)


async def machine_pause(seconds: float) -> None:
    """Wait on the machine's time whatever clock is in hand: for what another machine's clock decides, such as leases."""
    await asyncio.sleep(seconds)
