"""Where the answers to a backfill are read and written.

Laws: nothing waits on purpose; what came of several ranges of a feed while the database was busy is written together, and
where that fails, each alone. Who has been told that its records are kept finds them in the mirror, whatever is killed then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from b24metrics.errors import MirrorError
from b24metrics.mirror.desk import Desk
from b24metrics.mirror.feed import Feed, Stretch
from b24metrics.mirror.ledger import Copied
from b24metrics.mirror.ranges import Range


class Intake:
    """One for a backfill."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting: dict[Feed, list[Copied]] = {}
        self._turns: dict[Feed, asyncio.Lock] = {}

    async def keep(self, feed: Feed, work: Range, records: Sequence[Any], upto: int) -> None:
        """Records of a range up to the id ``upto``, as they came: in the mirror when this returns.

        Raises:
            MirrorError: they are not.
        """
        copied = Copied(work, await asyncio.to_thread(Stretch.read, feed, records), upto)
        waiting = self._waiting.setdefault(feed, [])
        waiting.append(copied)
        try:
            async with self._turns.setdefault(feed, asyncio.Lock()):
                if copied in waiting:  # else somebody took it along
                    await self._write(feed, copied, waiting)
        finally:
            if copied in waiting:
                waiting.remove(copied)

    async def _write(self, feed: Feed, copied: Copied, waiting: list[Copied]) -> None:
        desk, group = self._desk, list(waiting)
        try:
            await desk.write(desk.ledger.keep_copied, feed, group, desk.portal_now())
        except MirrorError:
            if len(group) == 1:
                raise
            # What is wrong with one of them is told to whoever brought it.
            await desk.write(desk.ledger.keep_copied, feed, [copied], desk.portal_now())
        else:
            waiting[:] = [one for one in waiting if one not in group]
