"""Worked figures of the catalogue's cards, on company T1.

Every number here is typed from the catalogue or counted by hand from its tables, never computed by the code.
"""

from __future__ import annotations

import pytest

from b24metrics.kpi import KPIS, Grain, Sample, Snapshot, WindowId, evaluate
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1

ANNA, BORIS, VERA, GLEB = ({"manager_id": str(number)} for number in (101, 102, 103, 104))
SALES, INBOUND, OUTBOUND = ({"department_id": str(number)} for number in (10, 11, 12))
NOWHERE = {"department_id": "0", "pipeline_id": "0"}
WEB, CALL, UNKNOWN = ({"source_id": source} for source in ("WEB", "CALL", "(none)"))
MAIN = {"pipeline_id": "0"}
T: dict[str, str] = {}
NOTHING = None


@pytest.fixture(scope="module")
def snapshot(t1: DuckStore) -> Snapshot:
    return evaluate(t1, company_t1.PORTAL, now=company_t1.NOW, options=company_t1.OPTIONS)


FIGURES = [
    # revenue_won: the card's mtd example; other windows from history: d11 won 02-12 10:00, d12 02-25
    ("revenue_won", "mtd", "T", T, 244_000),
    ("revenue_won", "mtd", "M", ANNA, 190_000),
    ("revenue_won", "mtd", "M", BORIS, 0),
    ("revenue_won", "mtd", "M", VERA, 54_000),
    ("revenue_won", "mtd", "D", INBOUND, 190_000),
    ("revenue_won", "mtd", "D", OUTBOUND, 0),
    ("revenue_won", "mtd", "D", SALES, 244_000),
    ("revenue_won", "mtd", "P", MAIN, 244_000),
    ("revenue_won", "mtd", "R", WEB, 100_000),
    ("revenue_won", "mtd", "R", CALL, 144_000),
    ("revenue_won", "mtd", "C", {"currency": "RUB"}, 100_000),
    ("revenue_won", "mtd", "C", {"currency": "USD"}, 1_000),
    ("revenue_won", "mtd", "C", {"currency": "KZT"}, 300_000),
    ("revenue_won", "mtd", "M×P", ANNA | MAIN, 190_000),
    ("revenue_won", "mtd", "O×P", SALES | MAIN, 54_000),
    ("revenue_won", "mtd", "O×P", INBOUND | MAIN, 190_000),
    ("revenue_won", "mtd", "O×P", NOWHERE, 0),
    ("revenue_won", "today", "T", T, 0),
    ("revenue_won", "yesterday", "T", T, 0),
    ("revenue_won", "7d", "T", T, 244_000),
    ("revenue_won", "30d", "T", T, 324_000),
    ("revenue_won", "wtd", "T", T, 244_000),
    ("revenue_won", "qtd", "T", T, 444_000),
    ("revenue_won", "prev_month", "T", T, 200_000),
    ("revenue_won", "prev_month", "M", BORIS, 120_000),
    # deals_won_count
    ("deals_won_count", "mtd", "T", T, 3),
    ("deals_won_count", "mtd", "M", ANNA, 2),
    ("deals_won_count", "mtd", "M", BORIS, 0),
    ("deals_won_count", "mtd", "D", SALES, 3),
    ("deals_won_count", "mtd", "R", CALL, 2),
    ("deals_won_count", "prev_month", "T", T, 2),
    ("deals_won_count", "qtd", "T", T, 5),
    # avg_deal_size and its median
    ("avg_deal_size", "mtd", "T", T, 81_333.33),
    ("avg_deal_size", "mtd", "M", ANNA, 95_000),
    ("avg_deal_size", "mtd", "M", BORIS, NOTHING),
    ("avg_deal_size", "mtd", "D", SALES, 81_333.33),
    ("avg_deal_size", "mtd", "R", CALL, 72_000),
    ("avg_deal_size", "mtd", "P", MAIN, 81_333.33),
    ("avg_deal_size", "today", "T", T, NOTHING),
    ("avg_deal_size", "qtd", "T", T, 88_800),
    ("avg_deal_size_median", "mtd", "T", T, 90_000),
    ("avg_deal_size_median", "mtd", "M", ANNA, 95_000),
    ("avg_deal_size_median", "mtd", "D", OUTBOUND, NOTHING),
    # new_deals_count
    ("new_deals_count", "mtd", "T", T, 6),
    ("new_deals_count", "mtd", "M", ANNA, 3),
    ("new_deals_count", "mtd", "M", BORIS, 2),
    ("new_deals_count", "mtd", "M", VERA, 1),
    ("new_deals_count", "mtd", "D", SALES, 6),
    ("new_deals_count", "mtd", "R", WEB, 2),
    ("new_deals_count", "mtd", "R", CALL, 3),
    ("new_deals_count", "mtd", "R", UNKNOWN, 1),
    ("new_deals_count", "prev_month", "T", T, 3),
    ("new_deals_count", "prev_month", "M", GLEB, 1),
    # open_deals_count
    ("open_deals_count", "now", "T", T, 3),
    ("open_deals_count", "now", "M", ANNA, 1),
    ("open_deals_count", "now", "M", VERA, 0),
    ("open_deals_count", "now", "M", GLEB, 1),
    ("open_deals_count", "now", "D", INBOUND, 2),
    ("open_deals_count", "now", "S", {"stage_id": "NEW"}, 1),
    ("open_deals_count", "now", "S", {"stage_id": "QUAL"}, 1),
    ("open_deals_count", "now", "S", {"stage_id": "OFFER"}, 1),
    ("open_deals_count", "now", "S", {"stage_id": "CONTRACT"}, 0),
    ("open_deals_count", "now", "P", MAIN, 3),
    ("open_deals_count", "now", "M×P", BORIS | MAIN, 1),
    # win_rate
    ("win_rate", "mtd", "T", T, 0.6),
    ("win_rate", "mtd", "M", ANNA, 1),
    ("win_rate", "mtd", "M", BORIS, 0),
    ("win_rate", "mtd", "D", SALES, 0.6),
    ("win_rate", "mtd", "R", WEB, 1 / 3),
    ("win_rate", "mtd", "M×P", VERA | MAIN, 1),
    ("win_rate", "t90", "T", T, 0.714286),
    ("win_rate", "prev_month", "T", T, 1),
    # calls_count, talk_time_total_seconds
    ("calls_count", "today", "T", T, 11),
    ("calls_count", "today", "M", ANNA, 6),
    ("calls_count", "today", "M", BORIS, 5),
    ("calls_count", "today", "M", VERA, 0),
    ("calls_count", "today", "D", SALES, 11),
    ("calls_count", "yesterday", "T", T, 0),
    ("talk_time_total_seconds", "today", "T", T, 795),
    ("talk_time_total_seconds", "today", "M", ANNA, 630),
    ("talk_time_total_seconds", "today", "M", BORIS, 165),
    ("talk_time_total_seconds", "today", "D", OUTBOUND, 165),
    ("talk_time_total_seconds", "today", "O", INBOUND, 630),
    # discipline
    ("open_deals_overdue_activity_count", "now", "T", T, 1),
    ("open_deals_overdue_activity_count", "now", "M", BORIS, 1),
    ("open_deals_overdue_activity_count", "now", "M", ANNA, 0),
    ("open_deals_overdue_activity_count", "now", "D", OUTBOUND, 1),
    ("open_deals_without_activity_count", "now", "T", T, 1),
    ("open_deals_without_activity_count", "now", "M", GLEB, 1),
    ("open_deals_without_activity_count", "now", "M", ANNA, 0),
    ("open_deals_without_activity_count", "now", "P", MAIN, 1),
    ("open_deals_without_activity_count", "now", "M×P", GLEB | MAIN, 1),
    # first response: 25, 50, 40, 60 minutes; by manager Anna 25, 50, Boris 40, 60
    ("first_response_seconds_median", "mtd", "T", T, 2_700),
    ("first_response_seconds_median", "mtd", "M", ANNA, 2_250),
    ("first_response_seconds_median", "mtd", "M", BORIS, 3_000),
    ("first_response_seconds_median", "mtd", "M", VERA, NOTHING),
    ("first_response_seconds_median", "mtd", "D", SALES, 2_700),
    ("first_response_seconds_median", "mtd", "R", WEB, 1_950),
    ("first_response_seconds_median", "mtd", "R", CALL, 3_300),
    ("first_response_seconds_median", "mtd", "P", MAIN, 2_700),
    # plan_attainment_ratio
    ("plan_attainment_ratio", "mtd", "T", T, 0.488),
    ("plan_attainment_ratio", "mtd", "M", ANNA, 0.6333),
    ("plan_attainment_ratio", "mtd", "M", BORIS, 0),
    ("plan_attainment_ratio", "mtd", "D", SALES, 0.488),
    ("plan_attainment_ratio", "qtd", "T", T, 0.888),
]


@pytest.mark.parametrize(("kpi", "window", "grain", "labels", "expected"), FIGURES)
def test_worked_figures(
    snapshot: Snapshot, kpi: str, window: str, grain: str, labels: dict[str, str], expected: float | None
) -> None:
    """The catalogue's worked example at this window and grain."""
    sample = snapshot.sample(KPIS[kpi], WindowId(window), Grain.parse(grain), **labels)

    assert sample is not None
    if expected is None:
        assert sample.value is None
    else:
        assert sample.value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("kpi", "grain", "labels"),
    [
        ("revenue_won", "M", GLEB),  # dismissed, and 0
        ("revenue_won", "M", {"manager_id": "201"}),  # another department's
        ("revenue_won", "D", {"department_id": "1"}),  # above the sales department
        ("revenue_won", "D", {"department_id": "20"}),
        ("revenue_won", "C", {"currency": "EUR"}),
        ("plan_attainment_ratio", "M", VERA),  # no plan
    ],
)
def test_what_has_no_sample_at_all(snapshot: Snapshot, kpi: str, grain: str, labels: dict[str, str]) -> None:
    """Rows are those of the scope; a dismissed manager appears only with a value; no plan, no sample."""
    assert snapshot.sample(KPIS[kpi], WindowId.MTD, Grain.parse(grain), **labels) is None


def test_plan_of_a_period_without_one(snapshot: Snapshot) -> None:
    """A month without any plan has no attainment."""
    assert snapshot.sample(KPIS["plan_attainment_ratio"], WindowId.PREV_MONTH) is None


def test_companions_tell_the_sizes(snapshot: Snapshot) -> None:
    """3/5 stands next to 60 %, 4 answers behind the median, the plan beneath the attainment."""

    def sizes(kpi: str) -> tuple[object, ...]:
        sample = snapshot.sample(KPIS[kpi], WindowId.MTD)
        assert sample is not None
        return sample.n, sample.numerator, sample.denominator

    assert (5, 3, 5) == sizes("win_rate")
    assert (4, None, None) == sizes("first_response_seconds_median")
    assert (3, None, None) == sizes("avg_deal_size")
    assert (3, 244_000, 500_000) == sizes("plan_attainment_ratio")


def test_an_empty_ratio_shows_its_zeros_but_no_value(snapshot: Snapshot) -> None:
    """Vera closed nothing in the last week but one: the parts of a ratio are 0, the ratio is nothing."""
    sample = snapshot.sample(KPIS["win_rate"], WindowId.PREV_MONTH, Grain.parse("M"), **VERA)

    assert sample is not None
    assert (None, 0, 0, 0) == (sample.value, sample.n, sample.numerator, sample.denominator)


def test_own_members_add_up_to_the_company(snapshot: Snapshot) -> None:
    """What the exporter sums is the company's value, for every additive KPI and window."""
    for kpi in KPIS.values():
        own = kpi.family(Grain(), kpi.families[0].part).grain if kpi.adds_up else None
        for window in kpi.windows if own is not None else ():
            parts = [s.value for s in snapshot.of(kpi, own) if s.window == window and s.value is not None]
            whole = [s.value for s in snapshot.of(kpi, Grain()) if s.window == window and s.value is not None]
            assert (kpi.id, window, pytest.approx(sum(whole))) == (kpi.id, window, sum(parts))


def test_managers_of_a_department_carry_its_id(snapshot: Snapshot) -> None:
    """A manager's sample names the primary department."""
    found = {
        s.labels["manager_id"]: s.labels["department_id"]
        for s in snapshot.of(KPIS["deals_won_count"], Grain.parse("M"))
    }

    assert {"101": "11", "102": "12", "103": "10"}.items() <= found.items()


def test_the_snapshot_names_people_and_places(snapshot: Snapshot) -> None:
    """Names behind the ids travel once, with the snapshot."""
    directory = snapshot.directory

    assert [(101, "Anna", 11, True), (104, "Gleb", 11, False)] == [
        (m.id, m.name, m.department_id, m.active) for m in directory.managers if m.id in {101, 104}
    ]
    assert [(10, None), (11, 10), (12, 10)] == [(d.id, d.parent_id) for d in directory.departments]
    assert ["NEW", "QUAL", "OFFER", "CONTRACT", "WON", "LOSE"] == [stage.id for stage in directory.stages]
    assert ("Europe/Moscow", "RUB") == (snapshot.zone, snapshot.currency)


def test_windows_tell_their_working_time(snapshot: Snapshot) -> None:
    """84 of March's 189 working hours have passed (catalogue, run-rate forecast)."""
    march = snapshot.intervals[WindowId.MTD]

    assert (84 * 3600, 189 * 3600) == (march.working_seconds, march.working_seconds_whole)


def test_only_what_was_asked_for(t1: DuckStore) -> None:
    """KPIs, windows and grains narrow the work and do not change numbers."""
    found = evaluate(
        t1,
        company_t1.PORTAL,
        [KPIS["revenue_won"], KPIS["win_rate"]],
        [WindowId.MTD, WindowId.QTD],
        [Grain.parse("M")],
        now=company_t1.NOW,
        options=company_t1.OPTIONS,
    )

    def told(sample: Sample) -> tuple[object, ...]:
        return sample.kpi.id, str(sample.grain), sample.window, sample.labels["manager_id"], sample.value

    assert {
        ("revenue_won", "M", "mtd", "101", 190_000),
        ("revenue_won", "M", "mtd", "102", 0),
        ("revenue_won", "M", "mtd", "103", 54_000),
        ("revenue_won", "M", "qtd", "101", 270_000),
        ("revenue_won", "M", "qtd", "102", 120_000),
        ("revenue_won", "M", "qtd", "103", 54_000),
        ("win_rate", "M", "mtd", "101", 1),
        ("win_rate", "M", "mtd", "102", 0),
        ("win_rate", "M", "mtd", "103", 1),
        ("win_rate", "M", "qtd", "101", 1),
        ("win_rate", "M", "qtd", "102", 1 / 3),
        ("win_rate", "M", "qtd", "103", 1),
    } == {told(sample) for sample in found.samples}


def test_an_ad_hoc_team(t1: DuckStore) -> None:
    """Any set of people: the company is then the set, and its plan the sum of its members'."""
    found = evaluate(
        t1,
        company_t1.PORTAL,
        now=company_t1.NOW,
        options=company_t1.OPTIONS,
        people=lambda who: who.name in {"Anna", "Vera"},
    )

    assert 244_000 == found.value(KPIS["revenue_won"], WindowId.MTD)
    assert 6 == found.value(KPIS["calls_count"], WindowId.TODAY)
    assert 4 == found.value(KPIS["new_deals_count"], WindowId.MTD)
    assert 244 / 300 == found.value(KPIS["plan_attainment_ratio"], WindowId.MTD)
    assert found.sample(KPIS["revenue_won"], WindowId.MTD, Grain.parse("M"), **BORIS) is None
