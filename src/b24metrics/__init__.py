"""Bitrix24 sales KPIs: a polite typed client, a local mirror, working time, and numbers that can be explained.

The front door: the names that users need. Rooms behind it: ``b24metrics.portal`` (speak to a portal), ``crm`` (typed
records), ``worktime`` (calendars), ``mirror`` (the local copy; extra ``mirror``), ``kpi`` (formulas), ``sim`` (a practice
portal; extra ``sim``). Importing this package opens nothing and needs no extra.
"""

from b24metrics.clock import Clock, HandClock, SystemClock
from b24metrics.errors import B24Error, PortalError, TryLater, WalkCut
from b24metrics.kpi.model import Kpi, Sample, Snapshot
from b24metrics.kpi.options import KpiOptions
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
