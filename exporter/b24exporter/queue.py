"""The queue of events that the portal keeps for an application: what is in it rings the bell.

For exporters that no portal can reach from outside. Laws: polling of the records stays the truth, so what was taken from
the queue is thrown away, and what is lost with it costs nothing but time; only who keeps the mirror takes; a portal that
refuses is told of once and asked again after a while.
Source: vendor, "Offline events".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from b24exporter.push import Bell
from b24metrics.clock import Clock
from b24metrics.crm.events import bind_offline, bindings, take_offline
from b24metrics.errors import B24Error, BatchFailed
from b24metrics.portal import AsyncPortal

log = logging.getLogger(__name__)

#: What is put into the queue: a record of an entity that is copied has come, changed or gone.
EVENTS: Final = (
    *(f"ONCRM{entity}{what}" for entity in ("LEAD", "DEAL", "CONTACT", "COMPANY", "QUOTE", "ACTIVITY", "DYNAMICITEM")
      for what in ("ADD", "UPDATE", "DELETE")),
    "ONCRMDEALMOVETOCATEGORY", "ONVOXIMPLANTCALLEND", "ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE", "ONUSERADD",
)  # fmt: skip

#: Events that one request takes.
PORTION: Final = 500

#: Requests that one look at the queue may take; the rest waits for the next look.
MOST_PORTIONS: Final = 10

#: Seconds after which a portal is asked again that refused the queue.
PATIENCE: Final = 600.0


class Queue:
    """Looks at the queue every so often until it is cancelled.

    Args:
        every: seconds between two looks. keeps: whether this process keeps the portal's mirror.
    """

    def __init__(
        self, portal: AsyncPortal, bell: Bell, clock: Clock, *, every: float, keeps: Callable[[], bool]
    ) -> None:
        self._portal = portal
        self._bell = bell
        self._clock = clock
        self._every = every
        self._keeps = keeps
        self._bound = False
        self._trouble: str | None = None
        self._taken = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """Events by what became of them."""
        return {"queued": self._taken}

    async def run(self) -> None:
        """Look, rest, and so on."""
        while True:
            try:
                well = await self.look() if self._keeps() else True
            except Exception:  # rounds go on without it, and nobody else would tell
                log.exception("The queue of events failed inside; please report it.")
                well = False
            await self._clock.asleep(self._every if well else max(self._every, PATIENCE))

    async def look(self) -> bool:
        """Take what is in the queue. Whether the portal let us."""
        trouble: str | None = None
        try:
            if not self._bound:
                await self._bind()
                self._bound = True
            await self._empty()
        except B24Error as error:
            trouble = f"The portal's queue of events cannot be used: {error} Rounds keep to their interval."
        if trouble is not None and trouble != self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble
        return trouble is None

    async def _bind(self) -> None:
        """Have the portal put everything into the queue that it does not put there yet.

        Raises:
            B24Error: it puts nothing there.
        """
        there = {binding.event for binding in await self._portal.fetch(bindings()) if binding.handler is None}
        wanted = {event: bind_offline(event) for event in EVENTS if event not in there}
        if not wanted:
            return
        try:
            await self._portal.batch(wanted)
        except BatchFailed as partly:
            # A portal without telephony or tasks knows no events of theirs: the others will do.
            if not there and not partly.done:
                raise next(iter(partly.failed.values())) from None
            log.info("%d kinds of events do not reach the queue.", len(partly.failed))

    async def _empty(self) -> None:
        for _ in range(MOST_PORTIONS):
            taken = await self._portal.fetch(take_offline(limit=PORTION, reserve=False))
            if taken.events:
                self._taken += len(taken.events)
                self._bell.ring()
            if len(taken.events) < PORTION:
                return
