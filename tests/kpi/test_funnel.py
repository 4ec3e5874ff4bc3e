"""Conversion of stages: cohorts, strict, skipped, snapshot; pipelines that change; the way from lead to sale."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest

from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, MANAGER, Grain, Snapshot, WindowId, evaluate, explain
from b24metrics.kpi.model import STAGE
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1, small
from tests.kpi.pipelines import Funnels
from tests.kpi.small import NOW, Company, at

MTD = WindowId.MTD
PIPELINE = Grain.parse("P")
STAGES = (
    "stage_reached_count", "stage_conversion_ratio", "stage_conversion_strict_ratio", "stage_skip_share",
    "stage_conversion_snapshot_ratio", "avg_check_by_stage",
)  # fmt: skip
COHORT = ("cohort_open_share", "funnel_conversion_ratio", "close_rate")
LEADS = ("lead_to_qualified_rate", "qualified_to_deal_rate", "deal_to_won_rate", "lead_to_won_rate", "lead_junk_share")
measured = partial(small.measured, kpis=(*STAGES, *COHORT))


def by_stage(
    snapshot: Snapshot, kpi_id: str, grain: Grain = COMPANY, window: WindowId = MTD, **labels: str
) -> Mapping[str, float | None]:
    """Stage → value, those with something to say."""
    return {
        sample.labels["stage"]: sample.value
        for sample in snapshot.of(KPIS[kpi_id], grain)
        if sample.window is window and labels.items() <= sample.labels.items()
    }


@pytest.fixture(scope="module")
def of_t1(t1: DuckStore) -> Snapshot:
    """The funnel of company T1."""
    chosen = [KPIS[kpi] for kpi in (*STAGES, *COHORT, *LEADS)]
    return evaluate(t1, company_t1.PORTAL, chosen, now=company_t1.NOW, options=company_t1.OPTIONS)


@pytest.mark.parametrize(
    ("kpi_id", "expected"),
    [
        ("stage_reached_count", {"NEW": 6, "QUAL": 5, "OFFER": 4, "CONTRACT": 3, "WON": 3}),
        ("stage_conversion_ratio", {"NEW": 5 / 6, "QUAL": 4 / 5, "OFFER": 3 / 4, "CONTRACT": 1}),
        ("stage_conversion_strict_ratio", {"NEW": 3 / 5, "QUAL": 2 / 3, "OFFER": 1 / 3, "CONTRACT": 1}),
        ("stage_skip_share", {"NEW": 1 / 6, "QUAL": 2 / 5, "OFFER": 1 / 4, "CONTRACT": 2 / 3, "WON": 0}),
        ("stage_conversion_snapshot_ratio", {"NEW": 4 / 5, "QUAL": 1, "OFFER": 3 / 4, "CONTRACT": 1}),
        (
            "avg_check_by_stage",
            {"NEW": 98_800, "QUAL": 98_800, "OFFER": 111_000, "CONTRACT": 244_000 / 3, "WON": 244_000 / 3},
        ),
    ],
)
def test_the_funnel_of_t1(of_t1: Snapshot, kpi_id: str, expected: Mapping[str, float]) -> None:
    """Figures of the cards: deals 1, 2, 3, 4, 5 and 7 created in March; 6 was created before and won only for a while."""
    assert expected == pytest.approx(by_stage(of_t1, kpi_id))


def test_the_cohort_of_t1(of_t1: Snapshot) -> None:
    """3 of 6 are won, 2 are open."""
    assert (0.5, 0.5, pytest.approx(1 / 3)) == tuple(
        of_t1.value(KPIS[kpi], MTD) for kpi in ("close_rate", "funnel_conversion_ratio", "cohort_open_share")
    )


def test_cuts_of_a_stage(of_t1: Snapshot) -> None:
    """By manager, department, pipeline, source and by the stage itself; sizes beside."""
    assert {"NEW": 2 / 3, "QUAL": 1, "OFFER": 1, "CONTRACT": 1} == by_stage(
        of_t1, "stage_conversion_ratio", MANAGER, manager_id="101"
    )
    assert {"NEW": 2, "QUAL": 2, "OFFER": 1} == by_stage(of_t1, "stage_reached_count", DEPARTMENT, department_id="12")
    sample = of_t1.sample(KPIS["stage_conversion_ratio"], MTD, STAGE, stage_id="QUAL", pipeline_id="0", stage="QUAL")
    assert sample is not None
    assert (0.8, 4, 5) == (sample.value, sample.numerator, sample.denominator)
    assert {"NEW": 0} == by_stage(of_t1, "stage_conversion_ratio", Grain.parse("R"), source_id="(none)")


def test_stage_conversion_is_explained(t1: DuckStore) -> None:
    """Deals 1, 2, 4 and 7 of 1, 2, 3, 4 and 7 went beyond QUAL."""
    records = explain(
        t1, company_t1.PORTAL, KPIS["stage_conversion_ratio"], MTD, labels={"stage": "QUAL"}, now=company_t1.NOW,
        options=company_t1.OPTIONS,
    )  # fmt: skip

    assert [1, 2, 4, 7] == [record.id for record in records if record.part == "numerator"]
    assert [1, 2, 3, 4, 7] == [record.id for record in records if record.part == "denominator"]


# ---------------------------------------------------------------- how far a deal came


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        ("A", "A"),
        ("A B C", "ABC"),
        ("A C", "ABC"),  # skipped below the furthest: passed
        ("C", "ABC"),  # created late
        ("A C B A", "ABC"),  # back and forth changes nothing
        ("A C LOSE", "ABC"),  # losing adds nothing
        ("LOSE", ""),  # created lost: never at a stage with a place
        ("A WON", "ABCD+"),
        ("WON", "ABCD+"),  # created won: all passed
        ("A B WON B", "AB"),  # a win undone is none
        ("A WON LOSE", "A"),
    ],
)
def test_how_far_a_deal_came(store: DuckStore, path: str, reached: str) -> None:
    """Success counts only while the deal is won, open stages by visit."""
    company = Funnels()
    company.path(path)
    found = by_stage(measured(store, company, kpis=("stage_reached_count",)), "stage_reached_count")

    assert reached == "".join(sorted(found)).replace("WON", "+")


def test_stages_go_by_their_place(store: DuckStore) -> None:
    """SORT, not ids; a deleted stage keeps its place but is no step; one that nobody knows has none."""
    company = Funnels()
    company.rows[schema.STATUSES][0]["sort"] = 35  # B, C, A, D
    company.rows[schema.STATUSES][2]["deleted_at"] = NOW
    company.path("C")
    company.path("B X")
    found = measured(store, company)

    assert {"B": 2} == by_stage(found, "stage_reached_count")
    assert {"B": 0} == by_stage(found, "stage_conversion_ratio")

    company.path("A")
    assert {"B": 3, "A": 1} == by_stage(measured(store, company), "stage_reached_count")


def test_history_that_lags_behind(store: DuckStore) -> None:
    """The stage a deal stands at was visited, whatever its history says."""
    company = Funnels()
    company.path("A", stage_id="C")

    assert {"A": 1, "B": 1, "C": 1} == by_stage(measured(store, company), "stage_reached_count")


def test_where_a_deal_stands_it_is(store: DuckStore) -> None:
    """Nothing is skipped that the deal stands at, and A went on to B, though history knows of A alone, or of nothing."""
    company = Funnels()
    company.path("A", stage_id="B")
    company.deal(stage_id="B")
    found = measured(store, company)

    assert {"A": 1 / 2, "B": 0} == by_stage(found, "stage_skip_share")
    assert {"A": 1, "B": 0} == by_stage(found, "stage_conversion_strict_ratio")


def test_strict_conversion_follows_the_steps(store: DuckStore) -> None:
    """Visited, and the very next stage later than that; what came before does not count; undone wins do."""
    company = Funnels()
    company.path("A B A")
    company.path("B A C")  # B came before A; from B it skipped to C
    company.path("A B C D WON D")
    found = measured(store, company)

    assert {"A": 2 / 3, "B": 2 / 3, "C": 1 / 2, "D": 1} == by_stage(found, "stage_conversion_strict_ratio")
    assert {"A": 0, "B": 0, "C": 0, "D": 0} == by_stage(found, "stage_skip_share")


def test_two_moves_of_one_second_go_by_their_ids(store: DuckStore) -> None:
    """A robot moves a deal on at once."""
    company = Funnels()
    company.walked([(at("03-03 10:00"), "A"), (at("03-03 10:00"), "B")])

    assert {"A": 1, "B": 0} == by_stage(measured(store, company), "stage_conversion_strict_ratio")


# ---------------------------------------------------------------- pipelines


def test_a_deal_that_changed_its_pipeline(store: DuckStore) -> None:
    """Old pipeline: up to its last reached stage, out of the denominator there. New one: earlier stages passed."""
    company = Funnels().second()
    company.path("A B C3:B")
    company.path("A B")
    company.path("A B C")
    found = measured(store, company)

    assert {"A": 3, "B": 3, "C": 1} == by_stage(found, "stage_reached_count", PIPELINE, pipeline_id="0")
    assert {"A": 1, "B": 1 / 2, "C": 0} == by_stage(found, "stage_conversion_ratio", PIPELINE, pipeline_id="0")
    assert {"C3:A": 1, "C3:B": 1} == by_stage(found, "stage_reached_count", PIPELINE, pipeline_id="3")
    assert {"C3:A": 1, "C3:B": 0} == by_stage(found, "stage_conversion_ratio", PIPELINE, pipeline_id="3")
    assert {"A": 2, "B": 2, "C": 1} == {  # standing now, in the pipeline where they stand
        stage: sample.denominator
        for stage in "ABC"
        if (
            sample := found.sample(KPIS["stage_conversion_snapshot_ratio"], MTD, PIPELINE, pipeline_id="0", stage=stage)
        )
    }
    open_share = KPIS["cohort_open_share"]
    assert (2, 1) == tuple(
        sample.denominator
        for number in ("0", "3")
        if (sample := found.sample(open_share, MTD, PIPELINE, pipeline_id=number))
    )


def test_amounts_count_in_the_present_pipeline(store: DuckStore) -> None:
    """And zero is unknown, not free; a currency without rate stays in the denominator."""
    company = Funnels().second()
    company.path("A C3:A", opportunity=Decimal(500))
    company.path("A", opportunity=Decimal(100))
    company.path("A", opportunity=Decimal(0))
    found = measured(store, company)

    assert {"A": 100, "C3:A": 500} == by_stage(found, "avg_check_by_stage")


def test_amounts_at_the_entry_of_a_stage(store: DuckStore) -> None:
    """Where a change was observed: A was entered with 100, B and whatever lies before C with 300."""
    company = Funnels()
    deal = company.path("A C", opportunity=Decimal(500))  # 10:00, 11:00
    for moment, before, after in (("10:30", 100, 300), ("12:00", 300, 500)):
        company.add(
            schema.DEAL_CHANGES, deal_id=deal, changed_at=at(f"03-03 {moment}"), from_opportunity=Decimal(before),
            to_opportunity=Decimal(after), from_currency_id="RUB", to_currency_id="RUB", observed_at=NOW,
        )  # fmt: skip

    assert {"A": 100, "B": 300, "C": 300} == by_stage(measured(store, company), "avg_check_by_stage")


def test_amounts_of_closed_deals_keep_the_rate_of_their_closing(store: DuckStore) -> None:
    """Won at 70, the dollar is at 90 now: what the win brought is not revalued, nor what the deal was worth before."""
    company = Funnels()
    company.currency("USD", "90")
    deal = company.path("A WON", opportunity=Decimal(10), currency_id="USD")  # 10:00, 11:00
    company.add(
        schema.DEAL_CLOSINGS, deal_id=deal, semantics="S", manager_id=7, rate=Decimal(70), rate_count=1,
        currency_id="USD", observed_at=NOW,
    )  # fmt: skip
    assert {700.0} == set(by_stage(measured(store, company), "avg_check_by_stage").values())

    company.add(
        schema.DEAL_CHANGES, deal_id=deal, changed_at=at("03-03 10:30"), from_opportunity=Decimal(5),
        to_opportunity=Decimal(10), from_currency_id="USD", to_currency_id="USD", observed_at=NOW,
    )  # fmt: skip
    found = by_stage(measured(store, company), "avg_check_by_stage")
    assert (350, 700) == (found["A"], found["WON"])


def test_cohorts_belong_to_who_was_responsible_at_creation(store: DuckStore) -> None:
    """Where that was observed; 7 has the deal now."""
    company = Funnels()
    company.user(8, 1)
    deal = company.path("A B")
    company.add(
        schema.ASSIGNMENTS, entity_type_id=2, entity_id=deal, changed_at=at("03-04 10:00"), from_id=8, to_id=7,
        observed_at=NOW,
    )  # fmt: skip
    found = measured(store, company)

    assert {"A": 1, "B": 1} == by_stage(found, "stage_reached_count", MANAGER, manager_id="8")
    assert {} == by_stage(found, "stage_reached_count", MANAGER, manager_id="7")
    assert 1 == found.value(KPIS["cohort_open_share"], MTD, MANAGER, manager_id="8")


def test_imports_and_born_closed_deals_take_part(store: DuckStore) -> None:
    """In cohorts they do."""
    company = Funnels()
    company.path("WON", originator_id="old")
    company.path("A")
    found = measured(store, company, migration_origins=frozenset({"old"}))

    assert {"A": 2, "B": 1, "C": 1, "D": 1, "WON": 1} == by_stage(found, "stage_reached_count")
    assert (0.5, 0.5) == tuple(found.value(KPIS[kpi], MTD) for kpi in ("close_rate", "funnel_conversion_ratio"))


def test_a_deal_without_a_cohort_has_no_conversion(store: DuckStore) -> None:
    """An empty window: no stages, no shares."""
    company = Funnels()
    company.path("A B", start="01-03 10:00")
    found = measured(store, company)

    assert {} == by_stage(found, "stage_conversion_ratio")
    assert None is found.value(KPIS["close_rate"], MTD)
    assert {"A": 1, "B": 0} == by_stage(found, "stage_conversion_ratio", COMPANY, WindowId.T90)


# ---------------------------------------------------------------- from lead to sale


def test_the_lead_path_of_the_card(store: DuckStore) -> None:
    """100 leads, 15 of them junk; 60 qualified, 30 with a deal, 12 won: 0.60, 0.50, 0.40, 0.12; junk 0.15."""
    company = Funnels(crm_mode=1)
    for number in range(1, 101):
        standing = {"semantics": "S", "stage_id": "CONVERTED"} if number <= 60 else {}
        if number > 85:
            standing = {"semantics": "F", "stage_id": "JUNK"}
        company.lead(id=number, **standing)
        if number <= 30:
            won = {"semantics": "S", "stage_id": "WON"} if number <= 12 else {"stage_id": "A"}
            company.deal(1000 + number, lead_id=number, **won)
    company.deal(2000, lead_id=1, semantics="F", stage_id="LOSE")  # the best deal of a lead counts
    found = measured(store, company, kpis=LEADS)

    assert (0.6, 0.5, 0.4, 0.12, 0.15) == tuple(found.value(KPIS[kpi], MTD) for kpi in LEADS)
    assert 0.6 == found.value(KPIS["lead_to_qualified_rate"], MTD, MANAGER, manager_id="7")
    assert None is found.value(KPIS["lead_to_qualified_rate"], MTD, PIPELINE, pipeline_id="0")


def test_later_milestones_imply_the_earlier_ones(store: DuckStore) -> None:
    """A lead that nobody converted but whose deal is won was qualified."""
    company = Funnels(crm_mode=1)
    company.deal(1000, lead_id=company.lead(), semantics="S", stage_id="WON")
    company.lead()
    found = measured(store, company, kpis=LEADS)

    assert (0.5, 1, 1, 0.5, 0) == tuple(found.value(KPIS[kpi], MTD) for kpi in LEADS)


def test_milestones_are_configured_by_stages(store: DuckStore) -> None:
    """Qualified from B on, a deal from C on; skipped stages are passed, wins pass everything."""
    company = Funnels()
    for path in ("A", "A B", "A D", "WON", "A C LOSE", "A WON LOSE"):
        company.path(path)
    found = measured(
        store, company, kpis=LEADS, qualified_stages=frozenset({"B"}), agreement_stages=frozenset({"C", "D"})
    )

    assert (4 / 6, 3 / 4, 1 / 3, 1 / 6, None) == tuple(found.value(KPIS[kpi], MTD) for kpi in LEADS)
    assert 4 / 6 == found.value(KPIS["lead_to_qualified_rate"], MTD, PIPELINE, pipeline_id="0")


def test_without_tags_every_deal_is_a_deal(store: DuckStore) -> None:
    """Simple mode: the root is the deal itself."""
    company = Funnels()
    company.path("A", step=timedelta(minutes=1))
    company.path("A WON")

    assert (1, 1, 0.5, 0.5) == tuple(measured(store, company, kpis=LEADS).value(KPIS[kpi], MTD) for kpi in LEADS[:4])


def test_an_empty_company_has_no_funnel(store: DuckStore) -> None:
    """Not even zeros, where there is no stage."""
    found = measured(store, Company().staff(), kpis=(*STAGES, *COHORT, *LEADS))

    assert [] == [sample for sample in found.samples if sample.value is not None]
