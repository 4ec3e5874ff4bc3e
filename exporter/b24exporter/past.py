"""The past for a new Prometheus: written once, by the exporter itself, because nobody else may read its mirror meanwhile.

Laws: nothing waits for it: it begins when the portal's past is copied and the first figures are up, and runs in one thread
that gives way to everything else; the file appears whole or not at all, and one that is there is left as it is. Only the
cuts of company, departments and managers are written: finer ones would be most of the file and are on few charts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from b24exporter.board import Board
from b24exporter.mirrored import Mirrored
from b24metrics.clock import Clock
from b24metrics.errors import B24Error
from b24metrics.exposition.history import instants, write_history
from b24metrics.files import replaced
from b24metrics.kpi.model import COMPANY, DEPARTMENT, MANAGER, OWN
from b24metrics.kpi.results import Snapshot

log = logging.getLogger(__name__)

#: Cuts that are written.
GRAINS = (COMPANY, DEPARTMENT, OWN, MANAGER)

#: From instant to instant: the last second of every day.
STEP = timedelta(days=1)

_LOOKS = 2.0  # seconds between two looks whether the past is copied
_NICE = 5  # of the thread; 19 gives way most


@dataclass(frozen=True, slots=True)
class Past:
    """What is to be written.

    Attributes:
        path: an OpenMetrics file. days: how far back. then: called with the file when it is there, now or from before.
    """

    path: Path
    days: int = 30
    then: Callable[[Path], Awaitable[None]] | None = None

    async def write(self, source: Mirrored, board: Board, clock: Clock) -> None:
        """Write the file when its time has come; what goes wrong is logged, and a later start tries again."""
        try:
            if not self.path.exists():
                while board.edition is None or not source.complete:
                    await clock.asleep(_LOOKS)
                await self._in_a_quiet_thread(source, datetime.fromtimestamp(clock.now(), UTC))
            if self.then is not None:
                await self.then(self.path)
        except (B24Error, OSError) as error:
            log.warning("The past could not be written for Prometheus: %s", error)
        except Exception:
            log.exception("The past could not be written for Prometheus.")

    async def _in_a_quiet_thread(self, source: Mirrored, now: datetime) -> None:
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        worker = ThreadPoolExecutor(1, thread_name_prefix="b24-past", initializer=_give_way)
        try:
            count = await loop.run_in_executor(worker, self._write, source, now, stop)
            if count is not None:
                log.info("The last %d days are written for Prometheus: %d samples in %s.", self.days, count, self.path)
        finally:
            stop.set()
            await loop.run_in_executor(None, worker.shutdown)  # the mirror must outlive what reads it

    def _write(self, source: Mirrored, now: datetime, stop: threading.Event) -> int | None:
        """Samples written; None when it was stopped."""
        moments = instants(now - timedelta(days=self.days), now, STEP, source.facts().zone)

        def snapshots() -> Iterator[Snapshot]:
            for moment in moments:
                if stop.is_set():
                    raise _Stopped
                yield source.as_of(moment, GRAINS)

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replaced(self.path) as file:
                count = write_history(snapshots(), source.kpis, file)
        except _Stopped:
            return None
        return count


class _Stopped(Exception):  # noqa: N818 - no failure
    """The exporter ends."""


def _give_way() -> None:
    """Let every other thread go first, where threads can be told so."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
