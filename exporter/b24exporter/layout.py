"""What the page shows of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from b24metrics.kpi.catalogue import KPIS
from b24metrics.kpi.model import Kpi, WindowId

AVG_DEAL_SIZE = KPIS["avg_deal_size"]
CALLS_COUNT = KPIS["calls_count"]
DEALS_WON_COUNT = KPIS["deals_won_count"]
FIRST_RESPONSE_SECONDS_MEDIAN = KPIS["first_response_seconds_median"]
NEW_DEALS_COUNT = KPIS["new_deals_count"]
OPEN_DEALS_COUNT = KPIS["open_deals_count"]
OPEN_DEALS_OVERDUE_ACTIVITY_COUNT = KPIS["open_deals_overdue_activity_count"]
OPEN_DEALS_WITHOUT_ACTIVITY_COUNT = KPIS["open_deals_without_activity_count"]
PLAN_ATTAINMENT_RATIO = KPIS["plan_attainment_ratio"]
REVENUE_WON = KPIS["revenue_won"]
TALK_TIME_TOTAL_SECONDS = KPIS["talk_time_total_seconds"]
WIN_RATE = KPIS["win_rate"]


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
