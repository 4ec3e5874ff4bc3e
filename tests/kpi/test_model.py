"""Grains, families and names; what a snapshot answers."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, MANAGER, Family, Grain, Kpi, Part, Title, Unit, WindowId
from b24metrics.kpi.facts.calls import CALLS
from b24metrics.kpi.facts.deals import CLOSED_DEALS, OPEN_DEALS
from b24metrics.kpi.model import MANAGER_PIPELINE, OWN, OWN_PIPELINE, Number, Quantile, Ratio, Total, grains, windows
from b24metrics.mirror.stores import DuckStore
from tests.kpi.small import PORTAL, Company, at, measured

#: Ids of the catalogue's index, labels in braces left out.
CATALOGUE = [
    "revenue_won",
    "deals_won_count",
    "units_sold",
    "avg_deal_size",
    "avg_deal_size_median",
    "revenue_per_customer",
    "new_deals_count",
    "deals_lost_count",
    "revenue_lost",
    "sales_growth_ratio",
    "sales_growth_vs_avg_ratio",
    "plan_amount",
    "plan_attainment_ratio",
    "plan_gap_amount",
    "required_daily_amount",
    "run_rate_forecast_amount",
    "run_rate_attainment_ratio",
    "open_deals_count",
    "open_pipeline_amount",
    "weighted_pipeline_amount",
    "period_forecast_amount",
    "pipeline_coverage_ratio",
    "sales_velocity_per_day",
    "product_revenue",
    "segment_revenue",
    "forecast_error_ratio",
    "frozen_drift_amount",
    "calls_count",
    "calls_outgoing_count",
    "calls_incoming_count",
    "calls_connected_count",
    "calls_outgoing_connected_count",
    "connect_rate",
    "calls_effective_count",
    "effective_call_rate",
    "talk_time_total_seconds",
    "talk_time_avg_seconds",
    "talk_time_median_seconds",
    "calls_missed_count",
    "missed_call_share",
    "missed_after_hours_count",
    "missed_calls_unreturned_count",
    "missed_call_return_seconds",
    "dials_per_deal",
    "dials_per_connect",
    "call_recording_coverage",
    "call_transcript_coverage",
    "manager_talk_share",
    "call_pattern_low_connect",
    "call_pattern_short_talk",
    "meetings_held_count",
    "meetings_planned_count",
    "meeting_show_rate",
    "emails_sent_count",
    "emails_received_count",
    "openline_sessions_count",
    "communications_total_count",
    "tasks_completed_count",
    "tasks_overdue_count",
    "activities_completed_count",
    "activities_planned_count",
    "stage_moves_forward_count",
    "quotes_sent_count",
    "quote_acceptance_rate",
    "new_leads_count",
    "new_leads_repeat_count",
    "website_visit_to_lead_rate",
    "invoices_issued_count",
    "invoices_issued_amount",
    "invoices_paid_count",
    "invoices_paid_amount",
    "invoices_cancelled_count",
    "invoice_payment_lag_seconds",
    "invoice_overdue_amount",
    "invoice_overdue_count",
    "invoice_collection_rate",
    "open_deals_overdue_activity_count",
    "open_deals_overdue_activity_share",
    "open_deals_without_activity_count",
    "open_deals_without_activity_share",
    "overdue_activities_count",
    "stale_deals_count",
    "stale_deals_share",
    "stale_deals_amount",
    "stuck_deals_count",
    "deal_reassignments_count",
    "deals_reopened_count",
    "first_response_seconds_avg",
    "first_response_seconds_median",
    "first_response_seconds_p90",
    "first_response_seconds_km_median",
    "first_response_calendar_seconds_median",
    "first_contact_seconds_median",
    "first_response_since_assignment_seconds_median",
    "reaction_by_other_count",
    "answered_at_creation_count",
    "unanswered_now_count",
    "unanswered_oldest_seconds",
    "unanswered_breach_count",
    "unanswered_breach_share",
    "unanswered_assigned_to_absent_count",
    "sla_attainment_ratio",
    "responses_within_count",
    "lead_to_qualified_rate",
    "qualified_to_deal_rate",
    "deal_to_won_rate",
    "lead_to_won_rate",
    "lead_junk_share",
    "stage_reached_count",
    "stage_conversion_ratio",
    "stage_conversion_strict_ratio",
    "stage_skip_share",
    "stage_conversion_snapshot_ratio",
    "cohort_open_share",
    "funnel_conversion_ratio",
    "funnel_break",
    "funnel_break_lost_deals",
    "time_in_stage_seconds_avg",
    "time_in_stage_seconds_median",
    "time_in_stage_seconds_km_median",
    "time_in_stage_calendar_seconds_median",
    "sales_cycle_seconds_avg",
    "sales_cycle_seconds_median",
    "sales_cycle_seconds_p90",
    "sales_cycle_working_seconds_avg",
    "lost_cycle_seconds_median",
    "win_rate",
    "win_rate_value",
    "close_rate",
    "avg_check_by_stage",
    "loss_reason_share",
    "loss_reason_amount",
    "loss_stage_share",
    "source_conversion_ratio",
    "source_revenue",
    "proposal_win_rate",
    "meeting_win_rate",
    "calls_successful_count",
    "call_conversion_ratio",
    "customers_closed_by_calls_count",
    "avg_check_after_call",
    "phone_funnel_count",
    "phone_funnel_conversion",
    "phone_funnel_seconds_median",
    "manager_load_open_deals",
    "manager_load_index",
    "manager_rank",
    "manager_payback_ratio",
    "scorecard_score",
    "call_quality_score",
    "calls_scored_count",
    "bonus_amount",
    "turnover_index",
    "early_turnover_share",
    "training_completion_ratio",
    "active_customers_count",
    "new_customers_count",
    "customer_retention_rate",
    "customer_churn_rate",
    "reactivated_customers_count",
    "repeat_purchases_count",
    "repeat_deal_share",
    "repeat_purchase_rate",
    "purchase_frequency",
    "interpurchase_seconds_median",
    "post_sale_contact_rate",
    "rfm_score",
    "clv_historic",
    "clv_simple",
    "clv_discounted",
    "clv_predicted",
    "clv_model_ok",
    "clv_customers_at_risk_count",
    "dq_contacts_without_phone",
    "dq_contacts_without_email",
    "dq_contacts_unreachable",
    "dq_phone_in_comment",
    "dq_names_lowercase",
    "dq_duplicate_phones",
    "dq_duplicate_emails",
    "dq_won_without_amount",
    "dq_deals_without_amount",
    "dq_deals_without_source",
    "dq_deals_without_client",
    "dq_required_fill_rate",
    "dq_close_date_in_past",
    "dq_lost_without_reason",
    "dq_idle_managers",
    "dq_orphaned_open_deals",
    "dq_created_closed_share",
    "dq_unconvertible_amounts",
    "dq_negative_interval_count",
    "dq_deleted_won_deals",
    "dq_future_dated_count",
    "dq_return_flag_mismatch",
    "dq_score",
    "reviews_positive_count",
    "reviews_negative_count",
    "review_positive_share",
    "review_coverage_ratio",
    "call_answers_positive_count",
    "call_answers_negative_count",
    "call_answer_positive_share",
]
SHAPES = (
    Number(OPEN_DEALS),
    Number(CALLS, distinct="call_key"),
    Total(CLOSED_DEALS, "amount"),
    Ratio(Number(OPEN_DEALS), Number(OPEN_DEALS)),
    Quantile(CLOSED_DEALS, "amount", 0.5),
)


def names(kpi: Kpi) -> list[str]:
    return [family.name for family in kpi.families]


def exposition(families: list[Family]) -> str:
    """Families as Prometheus would scrape them, one series each."""
    lines = []
    for family in families:
        labels = ",".join(f'{name}="1"' for name in family.labels)
        lines += [
            f"# HELP {family.name} {family.help()}",
            f"# TYPE {family.name} gauge",
            f"{family.name}{{{labels}}} 1",
        ]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- grains


def test_grains_as_cards_write_them() -> None:
    """Letters in any order, crosses, commas; T is no axis."""
    assert ("M", "D", "P", "R", "T", "M×P") == tuple(map(str, grains("M D P R T, M×P")))
    assert Grain.parse("P×M") == MANAGER_PIPELINE
    assert Grain.parse("T") == COMPANY == Grain()
    assert ("manager_id", "department_id", "pipeline_id") == MANAGER_PIPELINE.labels


@pytest.mark.parametrize("written", ["X", "M×M", "M×T", "", "MP"])
def test_grains_that_do_not_exist(written: str) -> None:
    """A misspelt grain fails at import."""
    with pytest.raises(ValueError, match="."):
        Grain.parse(written)


def test_own_members_are_not_for_cards() -> None:
    """O is the evaluator's."""
    with pytest.raises(ValueError, match="never declared"):
        grains("M O T")


def test_windows_as_cards_write_them() -> None:
    """In the order written; an unknown one fails."""
    assert (WindowId.D30, WindowId.MTD) == windows("30d mtd")
    with pytest.raises(ValueError, match="ytd"):
        windows("ytd")


# ---------------------------------------------------------------- families


def test_what_adds_up_is_served_by_own_members_and_managers() -> None:
    """Sums: own members, managers (by pipeline where the card has M×P), departments with sub-departments, other axes."""
    assert [
        "b24_revenue_won", "b24_manager_revenue_won", "b24_department_revenue_won", "b24_source_revenue_won",
        "b24_currency_revenue_won",
    ] == names(KPIS["revenue_won"])  # fmt: skip
    by_name = {family.name: family for family in KPIS["revenue_won"].families}
    assert ("department_id", "pipeline_id", "window") == by_name["b24_revenue_won"].labels
    assert ("manager_id", "department_id", "pipeline_id", "window") == by_name["b24_manager_revenue_won"].labels
    assert ("department_id", "window") == by_name["b24_department_revenue_won"].labels
    assert ("manager_id", "department_id", "window") == KPIS["new_deals_count"].family(MANAGER).labels


def test_what_does_not_add_up_is_served_ready_with_its_sizes() -> None:
    """Medians and means: a value per level, the sample size beside it."""
    assert [
        f"b24_{level}_first_response_seconds_median{ending}"
        for level in ("manager", "department", "pipeline", "source", "company")
        for ending in ("", "_n")
    ] == names(KPIS["first_response_seconds_median"])


def test_a_ratio_is_served_ready_and_in_parts() -> None:
    """Both counts beside every value, and the additive parts once more by own members."""
    found = names(KPIS["win_rate"])

    assert {"b24_company_win_rate", "b24_company_win_rate_numerator", "b24_company_win_rate_denominator",
            "b24_manager_win_rate", "b24_manager_pipeline_win_rate", "b24_department_win_rate_denominator"} <= set(found)  # fmt: skip
    assert ["b24_win_rate_numerator", "b24_win_rate_denominator"] == found[-2:]
    assert not any(name.startswith("b24_plan") for name in names(KPIS["plan_attainment_ratio"]))


def test_calls_do_not_add_up() -> None:
    """A transferred call is one for the company and one for each manager: no family to sum."""
    assert ["b24_manager_calls", "b24_department_calls", "b24_company_calls"] == names(KPIS["calls_count"])


def test_which_family_answers_a_question() -> None:
    """The company's value of a sum is a sum over own members; of a ratio, its own family."""
    revenue, rate = KPIS["revenue_won"], KPIS["win_rate"]

    assert ("b24_revenue_won", True) == (revenue.family(COMPANY).name, revenue.family(COMPANY).adds_up)
    assert OWN_PIPELINE == revenue.family(Grain.parse("P")).grain
    assert MANAGER_PIPELINE == revenue.family(MANAGER).grain
    assert ("b24_department_revenue_won", False) == (
        revenue.family(DEPARTMENT).name,
        revenue.family(DEPARTMENT).adds_up,
    )
    assert ("b24_company_win_rate", False) == (rate.family(COMPANY).name, rate.family(COMPANY).adds_up)
    assert "b24_company_win_rate_denominator" == rate.family(COMPANY, Part.DENOMINATOR).name
    assert OWN == KPIS["talk_time_total_seconds"].family(COMPANY).grain
    with pytest.raises(LookupError, match="no value at grain C"):
        rate.family(Grain.parse("C"))
    with pytest.raises(LookupError, match="no n at grain M"):
        revenue.family(MANAGER, Part.N)


def test_a_level_is_not_said_twice() -> None:
    """``manager_load_index`` at M is ``b24_manager_load_index``; labels beyond the grain stand on every family."""
    kpi = replace(KPIS["avg_deal_size_median"], id="manager_load_index", labels=("stat",))

    assert "b24_manager_load_index" == kpi.family(MANAGER).name
    assert "b24_department_manager_load_index" == kpi.family(DEPARTMENT).name
    assert ("department_id", "stat", "window") == kpi.family(DEPARTMENT).labels


def test_the_plain_name_is_that_of_own_members() -> None:
    """Where it exists, a manager's family says its level even after an id that begins with it."""
    kpi = replace(KPIS["win_rate"], id="manager_talk_share")

    assert "b24_manager_talk_share_numerator" == kpi.family(OWN_PIPELINE, Part.NUMERATOR).name
    assert "b24_manager_manager_talk_share_numerator" == kpi.family(MANAGER, Part.NUMERATOR).name


def test_names_and_helps_pass_the_linter(program: Callable[[str], str]) -> None:
    """``promtool check metrics`` has nothing to say about what is declared."""
    families = [family for kpi in KPIS.values() for family in kpi.families]

    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=exposition(families),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_every_id_of_the_catalogue_gives_clean_names(program: Callable[[str], str]) -> None:
    """Whatever its shape: no name is rejected, and no two KPIs share one."""
    families: list[Family] = []
    for number, kpi_id in enumerate(CATALOGUE):
        like = replace(
            KPIS["revenue_won"], id=kpi_id, measure=SHAPES[number % len(SHAPES)], grains=grains("M D P S R C T, M×P")
        )
        families += like.families
    repeated = [name for name, times in Counter(family.name for family in families).items() if times > 1]

    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=exposition(families),
        capture_output=True,
        text=True,
        check=False,
    )

    assert [] == repeated
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


# ---------------------------------------------------------------- declarations


#: What cards ask for beside the ids of the index: buckets of a state, the mean beside a median, a wider base; and the health
#: rows, which have no metric families.
VARIANTS = {
    "company_working_now", "last_full_reconcile_seconds", "source_up", "sync_lag_seconds",
    "activities_planned_today_count", "activities_planned_undated_count", "call_conversion_ratio_mature",
    "dq_deals_without_amount_any_stage", "invoice_payment_lag_seconds_avg",
}  # fmt: skip


def test_ids_are_those_of_the_catalogue() -> None:
    """Nothing is declared under a name of its own."""
    assert [] == [kpi_id for kpi_id in KPIS if kpi_id not in CATALOGUE and kpi_id not in VARIANTS]
    assert [kpi_id for kpi_id in CATALOGUE if kpi_id in KPIS] != []


@pytest.mark.parametrize("kpi", KPIS.values(), ids=list(KPIS))
def test_a_declaration_says_everything_in_both_languages(kpi: Kpi) -> None:
    """Titles and definitions are there, in Russian and English, one sentence, on one line."""
    for text in (kpi.title, kpi.definition):
        assert re.search("[а-яё]", text.ru)
        assert not re.search("[а-яё]", text.en, re.IGNORECASE)
        assert "\n" not in text.ru + text.en
    assert kpi.definition.ru.endswith(".")
    assert kpi.definition.en.endswith(".")
    assert kpi.source.startswith("catalogue ")
    assert kpi.formula
    assert len(set(kpi.windows)) == len(kpi.windows) > 0
    assert kpi.grains


def test_help_says_what_whose_and_how_fresh() -> None:
    """One line, in the language asked for."""
    family = KPIS["win_rate"].family(DEPARTMENT, Part.DENOMINATOR)

    assert (
        "Denominator of: Win rate (department with its sub-departments). "
        "Deals won among all deals closed in the window. Computed once per refresh round."
    ) == family.help()
    assert family.help("ru").startswith("Знаменатель: Доля выигранных сделок (отдел с подотделами).")


def test_units_know_whether_they_are_whole() -> None:
    """Deals are counted, money and seconds are not."""
    assert Unit.DEALS.is_countable
    assert not Unit.MONEY.is_countable
    assert "Сделки" == Title("Сделки", "Deals").said("ru")


# ---------------------------------------------------------------- snapshots


def test_a_snapshot_hands_out_series(store: DuckStore) -> None:
    """By family, without those that have nothing to say; by labels; and nothing for what is not there."""
    company = Company().staff()
    company.deal(moves="03-03 10:00 P; 03-10 15:00 S")
    snapshot = measured(store, company, kpis=["win_rate"])
    rate = KPIS["win_rate"]

    shown = {sample.window.value: value for sample, value in snapshot.series(rate.family(COMPANY))}
    assert {"7d": 1, "30d": 1, "mtd": 1, "qtd": 1, "t90": 1, "t180": 1} == shown
    parts = {sample.window.value: value for sample, value in snapshot.series(rate.family(COMPANY, Part.NUMERATOR))}
    assert {"prev_month": 0} | shown == parts
    assert 1 == snapshot.value(rate, WindowId.MTD, MANAGER, manager_id="7")
    assert None is snapshot.value(rate, WindowId.MTD, MANAGER, manager_id="8")
    assert None is snapshot.value(KPIS["calls_count"], WindowId.MTD)
    assert (PORTAL, at("03-01 00:00")) == (snapshot.portal, snapshot.intervals[WindowId.MTD].start)
