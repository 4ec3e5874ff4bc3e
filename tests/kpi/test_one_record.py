"""Chapters C and D on a company with a single deal: every id says what it should, or nothing."""

from __future__ import annotations

from b24metrics.kpi import COMPANY, KPIS, WindowId
from b24metrics.kpi.model import Chapter
from b24metrics.mirror.stores import DuckStore
from tests.kpi import small
from tests.kpi.pipelines import Funnels

NOTHING: dict[tuple[str, ...], float | None] = {}
#: What the one deal says: created yesterday at 10:00 at stage A, untouched for 26 hours, round the clock.
EXPECTED: dict[str, dict[tuple[str, ...], float | None]] = {
    "open_deals_overdue_activity_count": {(): 0},
    "open_deals_overdue_activity_share": {(): 0},
    "open_deals_without_activity_count": {(): 1},
    "open_deals_without_activity_share": {(): 1},
    "overdue_activities_count": {(): 0},
    "stale_deals_count": {(): 0},
    "stale_deals_share": {(): 0},
    "stale_deals_amount": {(): 0},
    "stuck_deals_count": {(): 0},
    "deal_reassignments_count": NOTHING,
    "deals_reopened_count": {(): 0},
    "first_response_seconds_avg": {(): None},
    "first_response_seconds_median": {(): None},
    "first_response_seconds_p90": {(): None},
    "first_response_seconds_km_median": {(): None},
    "first_response_calendar_seconds_median": {(): None},
    "first_contact_seconds_median": {(): None},
    "first_response_since_assignment_seconds_median": {(): None},
    "reaction_by_other_count": {(): 0},
    "answered_at_creation_count": {(): 0},
    "unanswered_now_count": {(): 1},
    "unanswered_oldest_seconds": {(): 93_600},
    "unanswered_breach_count": {(): 1},
    "unanswered_breach_share": {(): 1},
    "unanswered_assigned_to_absent_count": {(): 0},
    "sla_attainment_ratio": {(): 0},
    "responses_within_count": {("300",): 0, ("900",): 0, ("1800",): 0, ("3600",): 0, ("14400",): 0, ("all",): 1},
    "lead_to_qualified_rate": {(): 1},
    "qualified_to_deal_rate": {(): 1},
    "deal_to_won_rate": {(): 0},
    "lead_to_won_rate": {(): 0},
    "lead_junk_share": {(): None},
    "stage_reached_count": {("A",): 1},
    "stage_conversion_ratio": {("A",): 0},
    "stage_conversion_strict_ratio": {("A",): 0},
    "stage_skip_share": {("A",): 0},
    "stage_conversion_snapshot_ratio": {("A",): 0},
    "cohort_open_share": {(): 1},
    "funnel_conversion_ratio": {(): 0},
    "funnel_break": NOTHING,
    "funnel_break_lost_deals": NOTHING,
    "time_in_stage_seconds_avg": NOTHING,
    "time_in_stage_seconds_median": NOTHING,
    "time_in_stage_seconds_km_median": {("A",): None},
    "time_in_stage_calendar_seconds_median": NOTHING,
    "sales_cycle_seconds_avg": {(): None},
    "sales_cycle_seconds_median": {(): None},
    "sales_cycle_seconds_p90": {(): None},
    "sales_cycle_working_seconds_avg": {(): None},
    "lost_cycle_seconds_median": {(): None},
    "win_rate": {(): None},
    "win_rate_value": {(): None},
    "close_rate": {(): 0},
    "avg_check_by_stage": {("A",): 100},
    "loss_reason_share": NOTHING,
    "loss_reason_amount": NOTHING,
    "loss_stage_share": NOTHING,
    "source_conversion_ratio": {("WEB",): 0},
    "source_revenue": NOTHING,
    "proposal_win_rate": {(): None},
    "meeting_win_rate": {(): None},
}


def test_a_single_deal(store: DuckStore) -> None:
    """Company values of the window ``mtd`` (or ``now``, ``30d``), by labels beyond the grain."""
    company = Funnels()
    company.path("A", start="03-13 10:00")
    snapshot = small.measured(store, company, kpis=EXPECTED)
    found: dict[str, dict[tuple[str, ...], float | None]] = {}
    for kpi_id in EXPECTED:
        kpi = KPIS[kpi_id]
        window = next(one for one in (WindowId.NOW, WindowId.MTD, WindowId.D30) if one in kpi.windows)
        found[kpi_id] = {
            tuple(sample.labels[name] for name in kpi.labels): sample.value
            for sample in snapshot.of(kpi, COMPANY)
            if sample.window is window
        }

    assert EXPECTED == found


def test_nothing_is_forgotten() -> None:
    """Every id of the two chapters but those of calls and deals (§8.5)."""
    chapters = {Chapter.DISCIPLINE, Chapter.CONVERSION}
    mine = [kpi.id for kpi in KPIS.values() if kpi.chapter in chapters and not kpi.source.startswith("catalogue D 8.5")]

    assert set(mine) == EXPECTED.keys()
