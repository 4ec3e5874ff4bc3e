"""What the page shows of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from b24metrics.kpi.conversion import WIN_RATE
from b24metrics.kpi.discipline import (
    FIRST_RESPONSE_SECONDS_MEDIAN,
    OPEN_DEALS_OVERDUE_ACTIVITY_COUNT,
    OPEN_DEALS_WITHOUT_ACTIVITY_COUNT,
)
from b24metrics.kpi.model import Kpi, WindowId
from b24metrics.kpi.planning import PLAN_ATTAINMENT_RATIO
from b24metrics.kpi.telephony import CALLS_COUNT, TALK_TIME_TOTAL_SECONDS
from b24metrics.kpi.volume import (
    AVG_DEAL_SIZE,
    DEALS_WON_COUNT,
    NEW_DEALS_COUNT,
    OPEN_DEALS_COUNT,
    REVENUE_WON,
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the page shows: (kpi, window) per group, and the KPIs by which managers are ranked."""

    plan: Kpi
    revenue: Kpi
    today: tuple[tuple[Kpi, WindowId], ...]
    month: tuple[tuple[Kpi, WindowId], ...]
    present: tuple[tuple[Kpi, WindowId], ...]


LAYOUT = Layout(
    plan=PLAN_ATTAINMENT_RATIO,
    revenue=REVENUE_WON,
    today=(
        (REVENUE_WON, WindowId.TODAY),
        (DEALS_WON_COUNT, WindowId.TODAY),
        (NEW_DEALS_COUNT, WindowId.TODAY),
        (CALLS_COUNT, WindowId.TODAY),
        (TALK_TIME_TOTAL_SECONDS, WindowId.TODAY),
        (FIRST_RESPONSE_SECONDS_MEDIAN, WindowId.TODAY),
    ),
    month=(
        (REVENUE_WON, WindowId.MTD),
        (DEALS_WON_COUNT, WindowId.MTD),
        (AVG_DEAL_SIZE, WindowId.MTD),
        (WIN_RATE, WindowId.MTD),
        (NEW_DEALS_COUNT, WindowId.MTD),
        (FIRST_RESPONSE_SECONDS_MEDIAN, WindowId.MTD),
    ),
    present=(
        (OPEN_DEALS_COUNT, WindowId.NOW),
        (OPEN_DEALS_WITHOUT_ACTIVITY_COUNT, WindowId.NOW),
        (OPEN_DEALS_OVERDUE_ACTIVITY_COUNT, WindowId.NOW),
    ),
)
