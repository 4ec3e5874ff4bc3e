"""Time at stages and to the end: spells, returns, censoring, working time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest

from b24metrics.kpi import COMPANY, KPIS, MANAGER, Grain, Snapshot, WindowId, evaluate
from b24metrics.kpi.model import STAGE
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1, small
from tests.kpi.pipelines import Funnels
from tests.kpi.small import NOW, OFFICE, Company, at

MTD, D30, T90 = WindowId.MTD, WindowId.D30, WindowId.T90
HOUR, DAY = 3600, 86_400
TIMES = (
    "time_in_stage_seconds_avg", "time_in_stage_seconds_median", "time_in_stage_seconds_km_median",
    "time_in_stage_calendar_seconds_median",
)  # fmt: skip
CYCLES = (
    "sales_cycle_seconds_avg", "sales_cycle_seconds_median", "sales_cycle_seconds_p90", "sales_cycle_working_seconds_avg",
    "lost_cycle_seconds_median",
)  # fmt: skip
measured = partial(small.measured, kpis=(*TIMES, *CYCLES))


def by_stage(
    snapshot: Snapshot, kpi_id: str, window: WindowId = MTD, grain: Grain = COMPANY, **labels: str
) -> Mapping[str, tuple[float | None, int | None]]:
    """Stage → (value, size)."""
    return {
        sample.labels["stage"]: (sample.value, sample.n)
        for sample in snapshot.of(KPIS[kpi_id], grain)
        if sample.window is window and labels.items() <= sample.labels.items()
    }


@pytest.fixture(scope="module")
def of_t1(t1: DuckStore) -> Snapshot:
    """§8.3 on company T1."""
    chosen = [KPIS[kpi] for kpi in (*TIMES, *CYCLES)]
    return evaluate(t1, company_t1.PORTAL, chosen, now=company_t1.NOW, options=company_t1.OPTIONS)


def test_time_at_the_stages_of_t1(of_t1: Snapshot) -> None:
    """By leaving, mtd, working hours: NEW 1, 12.5, 1, 1; QUAL 8, 24, 24; OFFER 18, 45 and deal 6's 38 + 73."""
    mean, median = by_stage(of_t1, TIMES[0]), by_stage(of_t1, TIMES[1])

    assert {"NEW": (13_950, 4), "QUAL": (67_200, 3), "OFFER": (208_800, 3), "CONTRACT": (82_800, 1)} == mean
    assert (86_400, 3) == median["QUAL"]
    assert (162_000, 3) == median["OFFER"]
    assert (208_800, 3) == by_stage(of_t1, TIMES[0], MTD, STAGE, pipeline_id="0", stage_id="OFFER")["OFFER"]
    assert (31.5 * HOUR, 2) == by_stage(of_t1, TIMES[1], MTD, MANAGER, manager_id="101")["OFFER"]


def test_survival_at_the_stages_of_t1(of_t1: Snapshot) -> None:
    """The March cohort: NEW 1, 1, 1, 12.5 and 32 still running: 1 h; OFFER 18, 29 running, 45: 45 h."""
    found = by_stage(of_t1, "time_in_stage_seconds_km_median")

    assert (3600, 5) == found["NEW"]
    assert (162_000, 3) == found["OFFER"]


def test_cycles_of_t1(of_t1: Snapshot) -> None:
    """Deals 1 and 2: 7.2083 and 8.7708 days, 50 and 57.5 working hours; losses of deals 3 and 6; 7 was created won."""
    assert (690_300, 690_300, 744_300, 193_500, 1_440_000) == tuple(
        pytest.approx(of_t1.value(KPIS[kpi], MTD)) for kpi in CYCLES
    )


# ---------------------------------------------------------------- spells


def test_a_return_adds_up(store: DuckStore) -> None:
    """A for 1 h and 2 h; it was left last in March, although first in February."""
    company = Funnels()
    company.walked(
        [(at("02-27 10:00"), "A"), (at("02-27 11:00"), "B"), (at("03-03 10:00"), "A"), (at("03-03 12:00"), "B")]
    )
    found = measured(store, company)

    assert {"A": (3 * HOUR, 1)} == by_stage(found, "time_in_stage_seconds_avg")
    assert {} == by_stage(found, "time_in_stage_seconds_avg", WindowId.PREV_MONTH)  # B was left, but it stands there
    # The cohort of 30 days: A ended after 3 h; B lasts, so that nothing is known of its median.
    assert {"A": (3 * HOUR, 1), "B": (None, 1)} == by_stage(found, "time_in_stage_seconds_km_median", D30)


def test_who_came_back_and_stands_there_has_not_left(store: DuckStore) -> None:
    """A B A: A lasts, with both spells; B was left."""
    company = Funnels()
    company.walked([(at("03-03 10:00"), "A"), (at("03-03 11:00"), "B"), (at("03-03 13:00"), "A")])
    company.walked([(at("03-03 10:00"), "A"), (at("03-03 14:00"), "B")])
    found = measured(store, company)

    assert {"A": (4 * HOUR, 1), "B": (2 * HOUR, 1)} == by_stage(found, "time_in_stage_seconds_avg")
    assert (4 * HOUR, 2) == by_stage(found, "time_in_stage_seconds_km_median")["A"]


def test_survival_belongs_to_who_was_responsible_at_creation(store: DuckStore) -> None:
    """It is of a cohort: 8's, where the change of hands was observed; 7 has the deal now and left the stage."""
    company = Funnels()
    company.user(8, 1)
    deal = company.path("A B")
    company.add(
        schema.ASSIGNMENTS, entity_type_id=2, entity_id=deal, changed_at=at("03-04 10:00"), from_id=8, to_id=7,
        observed_at=NOW,
    )  # fmt: skip
    found = measured(store, company)

    assert ["8"] == [
        sample.labels["manager_id"]
        for sample in found.of(KPIS["time_in_stage_seconds_km_median"], MANAGER)
        if sample.window is MTD and sample.labels["stage"] == "A" and sample.n
    ]
    assert 1 == (by_stage(found, TIMES[1], MTD, MANAGER, manager_id="7")["A"])[1]


def test_losing_and_an_undone_win_are_leavings(store: DuckStore) -> None:
    """Both end a spell; final stages have no time."""
    company = Funnels()
    company.path("A LOSE")
    company.path("A WON B LOSE")
    found = measured(store, company)

    assert {"A": (HOUR, 2), "B": (HOUR, 1)} == by_stage(found, "time_in_stage_seconds_km_median")
    assert {"A": (HOUR, 2), "B": (HOUR, 1)} == by_stage(found, "time_in_stage_seconds_avg")


def test_who_has_no_spells(store: DuckStore) -> None:
    """Imported deals, those created closed, and a last open row of a deal that is closed all the same."""
    company = Funnels()
    company.path("A B", originator_id="old")
    company.path("WON B A")
    company.path("A B", semantics="F", stage_id="LOSE")
    found = measured(store, company, migration_origins=frozenset({"old"}))

    assert {"A": (HOUR, 1)} == by_stage(found, "time_in_stage_seconds_avg")
    assert {"A": (HOUR, 1)} == by_stage(found, "time_in_stage_seconds_km_median")


def test_spells_keep_their_pipeline(store: DuckStore) -> None:
    """Wherever the deal is now; a pipeline that does not count has no stages."""
    company = Funnels().second()
    company.path("A C3:A C3:B")
    cut = Grain.parse("P")

    found = measured(store, company)
    assert {"A": (HOUR, 1)} == by_stage(found, "time_in_stage_seconds_avg", MTD, cut, pipeline_id="0")
    assert {"C3:A": (HOUR, 1)} == by_stage(found, "time_in_stage_seconds_avg", MTD, cut, pipeline_id="3")
    only = measured(store, company, pipelines=frozenset({3}))
    assert {"C3:A": (HOUR, 1)} == by_stage(only, "time_in_stage_seconds_avg")


def test_working_time_is_the_companys(store: DuckStore) -> None:
    """From Friday 17:00 to Monday 10:00: two office hours, 65 by the clock."""
    company = Funnels()
    company.walked([(at("03-07 17:00"), "A"), (at("03-10 10:00"), "B")])
    found = measured(store, company, calendar=OFFICE)

    assert {"A": (2 * HOUR, 1)} == by_stage(found, "time_in_stage_seconds_median")
    assert {"A": (65 * HOUR, 1)} == by_stage(found, "time_in_stage_calendar_seconds_median")


def test_spells_that_began_long_before_the_window(store: DuckStore) -> None:
    """All of a deal's history counts, whatever is looked at."""
    company = Funnels()
    company.walked([(at("2023-03-14 12:00"), "A"), (at("03-03 12:00"), "B")])
    days = (at("03-03 12:00") - at("2023-03-14 12:00")).days

    assert {"A": (days * DAY, 1)} == by_stage(measured(store, company), "time_in_stage_seconds_avg")


def test_what_comes_later_does_not_exist(store: DuckStore) -> None:
    """As of an earlier moment the deal still stood at A."""
    company = Funnels()
    company.walked([(at("03-03 10:00"), "A"), (at("03-10 10:00"), "B"), (at("03-12 10:00"), "WON")])
    company.pour(store)
    store.execute("UPDATE feed_state SET synced_at = ?", [NOW])
    chosen = [KPIS[kpi] for kpi in (*TIMES, *CYCLES)]
    found = evaluate(store, small.PORTAL, chosen, now=at("03-05 10:00"))

    assert {} == by_stage(found, "time_in_stage_seconds_avg")
    assert {"A": (None, 1)} == by_stage(found, "time_in_stage_seconds_km_median")
    assert None is found.value(KPIS["sales_cycle_seconds_avg"], MTD)


# ---------------------------------------------------------------- cycles


def test_cycles_leave_out_what_has_none(store: DuckStore) -> None:
    """Created closed, imported, won before it was created."""
    company = Funnels()
    company.path("A B WON")
    company.path("WON")
    company.path("A WON", originator_id="old")
    company.path("A WON", created_at=at("03-05 10:00"))
    found = measured(store, company, migration_origins=frozenset({"old"}))
    sample = found.sample(KPIS["sales_cycle_seconds_avg"], MTD)

    assert sample is not None
    assert (2 * HOUR, 1) == (sample.value, sample.n)
    assert None is found.value(KPIS["lost_cycle_seconds_median"], MTD)


def test_a_cycle_belongs_to_the_window_of_its_end(store: DuckStore) -> None:
    """Created in January, won in March; the last win counts."""
    company = Funnels()
    company.walked(
        [(at("01-03 10:00"), "A"), (at("01-04 10:00"), "WON"), (at("03-01 10:00"), "A"), (at("03-04 10:00"), "WON")]
    )
    found = measured(store, company)

    assert 60 * DAY == found.value(KPIS["sales_cycle_seconds_median"], MTD)
    assert None is found.value(KPIS["sales_cycle_seconds_median"], WindowId.PREV_MONTH)


def test_an_empty_company_takes_no_time(store: DuckStore) -> None:
    """Nothing to say."""
    found = measured(store, Company().staff(), now=NOW)

    assert [] == [sample for sample in found.samples if sample.value is not None]
