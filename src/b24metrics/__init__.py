"""Bitrix24 sales KPIs: a polite typed client, a local mirror, working time, and numbers that can be explained.

The front door: the names that users need. Rooms behind it: ``b24metrics.portal`` (speak to a portal), ``crm`` (typed
records), ``worktime`` (calendars), ``mirror`` (the local copy; extra ``mirror``), ``kpi`` (formulas), ``sim`` (a practice
portal; extra ``sim``). Importing this package opens nothing, needs no extra, and loads a room only when it is entered:
every pytest run of everybody who has it installed passes here, because of the fixtures in ``sim``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from b24metrics.clock import Clock, HandClock, SystemClock
    from b24metrics.errors import B24Error, PortalError, TryLater, WalkCut
    from b24metrics.kpi.model import Kpi
    from b24metrics.kpi.options import KpiOptions
    from b24metrics.kpi.results import Sample, Snapshot
    from b24metrics.portal import AsyncPortal, Batch, Listing, OAuth, Page, Portal, Ref, Request, Webhook
    from b24metrics.worktime import WorkCalendar, WorkClock

__all__ = [
    "AsyncPortal",
    "B24Error",
    "Batch",
    "Clock",
    "HandClock",
    "Kpi",
    "KpiOptions",
    "Listing",
    "OAuth",
    "Page",
    "Portal",
    "PortalError",
    "Ref",
    "Request",
    "Sample",
    "Snapshot",
    "SystemClock",
    "TryLater",
    "WalkCut",
    "Webhook",
    "WorkCalendar",
    "WorkClock",
]

_ROOMS = {
    "clock": ("Clock", "HandClock", "SystemClock"),
    "errors": ("B24Error", "PortalError", "TryLater", "WalkCut"),
    "kpi.model": ("Kpi",),
    "kpi.options": ("KpiOptions",),
    "kpi.results": ("Sample", "Snapshot"),
    "portal": ("AsyncPortal", "Batch", "Listing", "OAuth", "Page", "Portal", "Ref", "Request", "Webhook"),
    "worktime": ("WorkCalendar", "WorkClock"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
