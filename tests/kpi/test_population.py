"""Who and what counts: base population, moments of closing, money, attribution, scope, missing sources."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from b24metrics.errors import ConfigError, NothingMirrored
from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, MANAGER, Grain, KpiOptions, Snapshot, WindowId, evaluate
from b24metrics.kpi.options import ClosedAtSource
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from b24metrics.worktime import Employee, WorkCalendar
from tests.kpi import small
from tests.kpi.small import NOW, OFFICE, PORTAL, Company, at, values

WON = "03-03 10:00 P; 03-10 15:00 S"
measured = partial(
    small.measured,
    kpis=(
        "revenue_won",
        "deals_won_count",
        "avg_deal_size",
        "avg_deal_size_median",
        "new_deals_count",
        "open_deals_count",
    ),
)
MTD, MONTH_BEFORE = WindowId.MTD, WindowId.PREV_MONTH


def won(snapshot: Snapshot, window: WindowId = MTD) -> float | None:
    return snapshot.value(KPIS["deals_won_count"], window)


def revenue(snapshot: Snapshot, window: WindowId = MTD) -> float | None:
    return snapshot.value(KPIS["revenue_won"], window)


# ---------------------------------------------------------------- empty and one record


def test_an_empty_company_has_zeros_and_no_ratios(store: DuckStore) -> None:
    """Counts and sums over nothing are 0, everything else has no value; what is computed from sums may be 0."""
    snapshot = small.measured(store, Company().staff())

    for kpi in KPIS.values():
        found = {sample.value for sample in snapshot.of(kpi, Grain())}
        if kpi.id in {"dq_idle_managers", "company_working_now"}:  # without a trace of work, round the clock
            continue
        if kpi.adds_up and not kpi.labels and kpi.id not in snapshot.absent:
            assert (kpi.id, {0}) == (kpi.id, found)
        assert found <= {0, None}, kpi.id
    assert () == snapshot.of(KPIS["plan_attainment_ratio"], Grain())
    assert () == snapshot.of(KPIS["revenue_won"], Grain.parse("R"))


def test_a_company_of_one_record_each(store: DuckStore) -> None:
    """One won deal, one open one that nobody answered, one call."""
    company = Company().staff()
    company.deal(moves=WON)
    company.deal(moves="03-14 09:00 P")
    company.call(at("03-14 10:00"), duration_seconds=61)
    company.plan("M", 7, date(2025, 3, 1), 400)
    snapshot = small.measured(store, company)

    for kpi_id, window, expected in (
        ("revenue_won", MTD, 100),
        ("deals_won_count", MTD, 1),
        ("avg_deal_size", MTD, 100),
        ("avg_deal_size_median", MTD, 100),
        ("new_deals_count", MTD, 2),
        ("win_rate", MTD, 1),
        ("plan_attainment_ratio", MTD, 0.25),
        ("calls_count", MTD, 1),
        ("talk_time_total_seconds", MTD, 61),
        ("first_response_seconds_median", MTD, None),
        ("open_deals_count", WindowId.NOW, 1),
        ("open_deals_overdue_activity_count", WindowId.NOW, 0),
        ("open_deals_without_activity_count", WindowId.NOW, 1),
    ):
        assert (kpi_id, expected) == (kpi_id, snapshot.value(KPIS[kpi_id], window))


# ---------------------------------------------------------------- base population


@pytest.mark.parametrize(
    ("facts", "options"),
    [
        ({"is_recurring": True}, {}),
        ({"deleted_at": NOW}, {}),
        ({"title": "ТЕСТ"}, {}),
        ({"title": "мой тест, не считать"}, {}),
        ({"title": "[TEST] order"}, {}),
        ({"title": "a Test"}, {}),
        ({"pipeline_id": 5}, {"pipelines": frozenset({0, 1})}),
        ({"pipeline_id": 5}, {"excluded_pipelines": frozenset({5})}),
        ({"source_id": "DEMO"}, {"excluded_sources": frozenset({"DEMO"})}),
        ({"assigned_by_id": 9}, {"excluded_users": frozenset({9})}),
        ({"title": "Учебная сделка"}, {"test_pattern": "(?i)учебн"}),
    ],
)
def test_what_is_no_real_deal(store: DuckStore, facts: dict[str, object], options: dict[str, object]) -> None:
    """Templates, deleted deals, test data and other pipelines count nowhere."""
    company = Company().staff()
    company.deal(moves=WON, **facts)
    company.deal(moves="03-03 10:00 P", **facts)
    snapshot = measured(store, company, **options)

    assert (0, 0, 0) == (
        won(snapshot),
        snapshot.value(KPIS["new_deals_count"], MTD),
        snapshot.value(KPIS["open_deals_count"], WindowId.NOW),
    )


@pytest.mark.parametrize("title", ["контест", "Протестировать кассу", "testing rig", "attest", "тест_1", None])
def test_words_that_only_contain_test_are_real(store: DuckStore, title: str | None) -> None:
    """The test filter looks for the word, in Cyrillic as in Latin, not for its letters."""
    company = Company().staff()
    company.deal(moves=WON, title=title)

    assert 1 == won(measured(store, company))


def test_no_test_filter_when_switched_off(store: DuckStore) -> None:
    """An empty pattern filters nothing."""
    company = Company().staff()
    company.deal(moves=WON, title="ТЕСТ")

    assert 1 == won(measured(store, company, test_pattern=""))


def test_another_portal_in_the_same_mirror_is_another_company(store: DuckStore) -> None:
    """Every table is read for one portal only."""
    company = Company().staff()
    company.deal(1, moves=WON)
    company.pour(store)
    store.execute("INSERT INTO deals SELECT * REPLACE ('other' AS portal) FROM deals")
    store.execute("INSERT INTO stage_moves SELECT * REPLACE ('other' AS portal) FROM stage_moves")
    store.execute("INSERT INTO currencies SELECT * REPLACE ('other' AS portal) FROM currencies")

    assert 1 == won(evaluate(store, PORTAL, now=NOW))


# ---------------------------------------------------------------- when a deal was won


@pytest.mark.parametrize(
    ("moves", "month", "month_before"),
    [
        ("02-03 10:00 P; 02-10 10:00 S", 0, 1),
        ("02-03 10:00 P; 02-10 10:00 S; 03-05 10:00 P", 0, 0),  # reopened: a win undone disappears
        ("02-03 10:00 P; 02-10 10:00 S; 03-05 10:00 P; 03-06 10:00 S", 1, 0),  # won again: once, later
        ("02-03 10:00 P; 02-10 10:00 S; 03-05 10:00 S", 0, 1),  # between two stages of success: no new win
        ("02-03 10:00 P; 02-10 10:00 F; 03-05 10:00 S", 1, 0),  # lost, then won
        ("03-01 00:00 S", 1, 0),  # created closed, the first instant of the month
        ("02-28 23:59 S", 0, 1),
        ("03-14 12:00 S", 0, 0),  # the window is half-open: now belongs to the next one
    ],
)
def test_a_win_counts_from_its_current_stay(store: DuckStore, moves: str, month: int, month_before: int) -> None:
    """``won_at`` is the start of the current uninterrupted stay in success."""
    company = Company().staff()
    company.deal(moves=moves)
    snapshot = measured(store, company)

    assert (month, month_before) == (won(snapshot), won(snapshot, MONTH_BEFORE))


@pytest.mark.parametrize(("second", "expected"), [("S", 1), ("P", 0)])
def test_moves_of_the_same_second_follow_their_ids(store: DuckStore, second: str, expected: int) -> None:
    """A robot moves a deal on at once: the id tells which move came later."""
    company = Company().staff()
    deal = company.deal(moves="03-03 10:00 P", semantics="S", moved_at=None)
    company.move(deal, at("03-05 10:00"), "P" if second == "S" else "S")
    company.move(deal, at("03-05 10:00"), second)

    assert expected == won(measured(store, company))


def test_a_tie_with_the_last_open_stage_is_not_a_later_win(store: DuckStore) -> None:
    """Success entered, left and entered within one second starts then; success that came before the open stage does not."""
    company = Company().staff()
    deal = company.deal(moves="02-03 10:00 P", semantics="S", moved_at=None)
    company.move(deal, at("02-10 10:00"), "S")
    company.move(deal, at("02-10 10:00"), "P")
    company.move(deal, at("03-05 10:00"), "S")
    snapshot = measured(store, company)

    assert (1, 0) == (won(snapshot), won(snapshot, MONTH_BEFORE))


@pytest.mark.parametrize(
    ("facts", "month", "month_before"),
    [
        ({"moved_at": at("03-05 10:00"), "closes_on": date(2025, 2, 1)}, 1, 0),
        ({"moved_at": None, "closes_on": date(2025, 2, 28)}, 0, 1),
        ({"moved_at": None, "closes_on": date(2025, 3, 1)}, 1, 0),
        ({"moved_at": None, "closes_on": None}, 0, 0),
    ],
)
def test_without_history_the_move_then_the_date(
    store: DuckStore, facts: dict[str, object], month: int, month_before: int
) -> None:
    """Fallbacks of ``won_at``: MOVED_TIME, then CLOSEDATE as a local date."""
    company = Company().staff()
    company.deal(semantics="S", **facts)
    snapshot = measured(store, company)

    assert (month, month_before) == (won(snapshot), won(snapshot, MONTH_BEFORE))


def test_history_that_lags_behind_the_deal_is_not_believed(store: DuckStore) -> None:
    """The deal is won, its last history row is not there yet: MOVED_TIME speaks."""
    company = Company().staff()
    company.deal(moves="02-03 10:00 P; 02-10 10:00 S; 02-20 10:00 P", semantics="S", moved_at=at("03-05 10:00"))
    snapshot = measured(store, company)

    assert (1, 0) == (won(snapshot), won(snapshot, MONTH_BEFORE))


def test_a_company_may_trust_its_close_dates(store: DuckStore) -> None:
    """``closed_at_source = close_date``: the editable date decides; without one, history."""
    company = Company().staff()
    company.deal(moves=WON, closes_on=date(2025, 2, 27))
    company.deal(moves=WON)
    snapshot = measured(store, company, closed_at_source=ClosedAtSource.CLOSE_DATE)

    assert (1, 1) == (won(snapshot), won(snapshot, MONTH_BEFORE))


def test_midnight_of_a_date_is_local(store: DuckStore) -> None:
    """CLOSEDATE 1 March is 00:00 in the reporting zone, whichever side of UTC that lies on."""
    for zone in ("Asia/Kamchatka", "America/New_York"):
        company = Company(zone=zone).staff()
        company.deal(semantics="S", closes_on=date(2025, 3, 1))
        snapshot = measured(store, company)

        assert (zone, 1, 0) == (zone, won(snapshot), won(snapshot, MONTH_BEFORE))


# ---------------------------------------------------------------- imports


def test_imported_deals_are_won_but_not_new(store: DuckStore) -> None:
    """Imports keep their revenue and are no new deals; created closed, they take their close date."""
    company = Company().staff()
    company.deal(moves="03-05 10:00 S", originator_id="oldcrm", closes_on=date(2025, 2, 10))
    company.deal(moves="03-05 10:00 S", originator_id="oldcrm")
    company.deal(moves="03-05 10:00 P", origin_id="oldcrm")
    snapshot = measured(store, company, migration_origins=frozenset({"oldcrm"}))

    assert (1, 1) == (won(snapshot), won(snapshot, MONTH_BEFORE))
    assert 0 == snapshot.value(KPIS["new_deals_count"], MTD)
    assert 1 == snapshot.value(KPIS["open_deals_count"], WindowId.NOW)


def test_what_was_created_before_going_live_was_imported(store: DuckStore) -> None:
    """The first day of work with the portal, local time."""
    company = Company().staff()
    company.deal(moves="03-04 23:59 P")
    company.deal(moves="03-05 00:00 P")

    assert 1 == measured(store, company, go_live=date(2025, 3, 5)).value(KPIS["new_deals_count"], MTD)


@pytest.mark.parametrize(("count", "spacing", "expected"), [(5, 15, 0), (5, 16, 5), (4, 1, 4), (8, 10, 0)])
def test_a_burst_by_one_author_is_an_import(store: DuckStore, count: int, spacing: int, expected: int) -> None:
    """At least so many records within 60 seconds, both ends included; one beside a burst is real."""
    company = Company().staff()
    start = at("03-05 10:00") + timedelta(seconds=47)
    for n in range(count):
        company.deal(created_at=start + timedelta(seconds=spacing * n))
    company.deal(created_at=start + timedelta(hours=1))
    company.deal(created_at=start, created_by_id=2)
    snapshot = measured(store, company, burst_records=5)

    assert expected + 2 == snapshot.value(KPIS["new_deals_count"], MTD)


# ---------------------------------------------------------------- money


def test_a_rate_is_given_for_several_units(store: DuckStore) -> None:
    """300 000 tenge at 18 roubles for 100 are 54 000 roubles, to the kopeck."""
    company = Company().staff()
    company.currency("KZT", "18.123456", 100)
    company.deal(moves=WON, opportunity=Decimal("300000.07"), currency_id="KZT")

    assert float(Decimal("300000.07") * Decimal("18.123456") / 100) == revenue(measured(store, company))


def test_sums_of_money_are_exact(store: DuckStore) -> None:
    """A thousand times ten kopecks are a hundred roubles."""
    company = Company().staff()
    for _ in range(1000):
        company.deal(semantics="S", moved_at=at("03-10 10:00"), opportunity=Decimal("0.10"))

    assert 100 == revenue(measured(store, company, burst_records=10_000))


def test_a_frozen_rate_outlives_todays(store: DuckStore) -> None:
    """What was frozen at the win values it; a deal without a frozen rate is valued today."""
    company = Company().staff()
    company.currency("USD", "100")
    for frozen in (Decimal(60), None):
        deal = company.deal(moves=WON, opportunity=Decimal(10), currency_id="USD")
        company.add(
            schema.DEAL_CLOSINGS,
            deal_id=deal,
            semantics="S",
            manager_id=7,
            rate=frozen,
            rate_count=frozen and 1,
            observed_at=NOW,
        )

    assert 600 + 1000 == revenue(measured(store, company))


@pytest.mark.parametrize(("seen_in", "expected"), [("RUB", 1000), (None, 600), ("USD", 600)])
def test_a_frozen_rate_is_that_of_the_currency_it_was_seen_with(
    store: DuckStore, seen_in: str | None, expected: int
) -> None:
    """Won in roubles, turned into 10 dollars since: what the rouble was worth values no dollar."""
    company = Company().staff()
    company.currency("USD", "100")
    deal = company.deal(moves=WON, opportunity=Decimal(10), currency_id="USD")
    company.add(
        schema.DEAL_CLOSINGS, deal_id=deal, semantics="S", manager_id=7, currency_id=seen_in, rate=Decimal(60), rate_count=1,
        observed_at=NOW,
    )  # fmt: skip

    assert expected == revenue(measured(store, company))


def test_an_observation_of_another_outcome_is_void(store: DuckStore) -> None:
    """Frozen when lost, won since: neither owner nor rate of the loss counts."""
    company = Company().staff()
    company.user(8, 1)
    deal = company.deal(moves=WON)
    company.add(
        schema.DEAL_CLOSINGS, deal_id=deal, semantics="F", manager_id=8, rate=Decimal(5), rate_count=1, observed_at=NOW
    )
    snapshot = measured(store, company)

    assert (100, 0) == tuple(snapshot.value(KPIS["revenue_won"], MTD, MANAGER, manager_id=who) for who in ("7", "8"))


@pytest.mark.parametrize(("observed", "owner"), [("03-10 15:00", 8), ("03-10 14:59", 8), ("03-05 12:00", 7)])
def test_an_observation_of_an_earlier_win_is_void(store: DuckStore, observed: str, owner: int) -> None:
    """Won, reopened and won again between two looks: what was frozen at the first win is not the present one's."""
    company = Company().staff()
    company.user(8, 1)
    deal = company.deal(moves="03-03 10:00 P; 03-05 11:00 S; 03-06 10:00 P; 03-10 15:00 S")
    company.add(
        schema.DEAL_CLOSINGS, deal_id=deal, semantics="S", manager_id=8, rate=Decimal(1), rate_count=1,
        observed_at=at(observed),
    )  # fmt: skip

    assert 100 == measured(store, company).value(KPIS["revenue_won"], MTD, MANAGER, manager_id=str(owner))


def test_a_currency_without_a_rate_leaves_sums_and_stays_in_counts(store: DuckStore) -> None:
    """It also stays in the denominator of the mean and leaves the median; its native amount is known."""
    company = Company().staff()
    company.deal(moves=WON, opportunity=Decimal(300))
    company.deal(moves=WON, opportunity=Decimal(999), currency_id="XAU")
    snapshot = measured(store, company)

    assert (300, 2) == (revenue(snapshot), won(snapshot))
    assert (150, 300) == (snapshot.value(KPIS["avg_deal_size"], MTD), snapshot.value(KPIS["avg_deal_size_median"], MTD))
    assert 999 == snapshot.value(KPIS["revenue_won"], MTD, Grain.parse("C"), currency="XAU")


def test_another_reporting_currency(store: DuckStore) -> None:
    """Amounts go through the portal's base currency."""
    company = Company().staff()
    company.currency("USD", "80")
    company.currency("KZT", "16", 100)
    company.deal(moves=WON, opportunity=Decimal(1000), currency_id="KZT")
    company.deal(moves=WON, opportunity=Decimal(160))
    snapshot = measured(store, company, reporting_currency="USD")

    assert (4, "USD") == (revenue(snapshot), snapshot.currency)


@pytest.mark.parametrize(
    ("amount", "currency", "frozen", "expected"),
    [
        (1000, "EUR", 100, 1000),  # what a deal is worth in its own currency never changes
        (11_000, "RUB", 1, 110),
        (10, "USD", 90, 9),
        (10, "USD", None, 9),  # nothing frozen: what was written down of that day
    ],
)
def test_a_frozen_rate_is_one_of_the_reporting_currency_too(
    store: DuckStore, amount: int, currency: str, frozen: int | None, expected: int
) -> None:
    """Won at 100 roubles for a euro and 90 for a dollar: that a euro costs 110 since the 12th changes no past revenue."""
    company = Company().staff()
    company.currency("EUR", "110")
    company.currency("USD", "99")
    for name, day, rate in (
        ("EUR", "01-01", 100), ("EUR", "03-12", 110), ("USD", "01-01", 90), ("USD", "03-12", 99), ("RUB", "01-01", 1),
    ):  # fmt: skip
        company.add(schema.RATES, currency_id=name, seen_at=at(f"{day} 00:00"), rate=Decimal(rate), rate_count=1)
    deal = company.deal(moves=WON, opportunity=Decimal(amount), currency_id=currency)
    if frozen:
        company.add(
            schema.DEAL_CLOSINGS, deal_id=deal, semantics="S", manager_id=7, currency_id=currency, rate=Decimal(frozen),
            rate_count=1, observed_at=at("03-10 15:05"),
        )  # fmt: skip

    assert pytest.approx(expected) == revenue(measured(store, company, reporting_currency="EUR"))


def test_a_reporting_currency_without_a_rate_is_refused(store: DuckStore) -> None:
    """Better no numbers than numbers in another currency."""
    with pytest.raises(ConfigError, match=r"no rate for the reporting currency EUR.*RUB"):
        measured(store, Company().staff(), reporting_currency="EUR")


def test_negative_amounts_are_corrections(store: DuckStore) -> None:
    """They are summed as they are."""
    company = Company().staff()
    company.deal(moves=WON, opportunity=Decimal(-30))
    company.deal(moves=WON)

    assert 70 == revenue(measured(store, company))


# ---------------------------------------------------------------- people


def test_the_owner_at_the_win_keeps_it(store: DuckStore) -> None:
    """A later hand-over does not move revenue; open deals follow their present owner."""
    company = Company().staff()
    company.user(8, 1)
    deal = company.deal(moves=WON, assigned_by_id=8)
    company.add(
        schema.DEAL_CLOSINGS, deal_id=deal, semantics="S", manager_id=7, rate=Decimal(1), rate_count=1, observed_at=NOW
    )
    company.deal(assigned_by_id=8)
    snapshot = measured(store, company)

    assert (100, 0) == tuple(snapshot.value(KPIS["revenue_won"], MTD, MANAGER, manager_id=who) for who in ("7", "8"))
    assert 1 == snapshot.value(KPIS["open_deals_count"], WindowId.NOW, MANAGER, manager_id="8")


def test_the_company_counts_everybodys_records(store: DuckStore) -> None:
    """T: robots, other departments, nobody; M and D: the sales scope alone; own members add up to T."""
    company = Company().staff()
    company.department(2)
    company.user(20, 2)
    for who in (7, 20, 1, None):
        company.deal(moves=WON, assigned_by_id=who)
    snapshot = measured(store, company, sales_departments=frozenset({1}))
    kpi = KPIS["revenue_won"]

    assert 400 == revenue(snapshot)
    assert {"7": 100} == {s.labels["manager_id"]: s.value for s in snapshot.of(kpi, MANAGER) if s.window == MTD}
    assert {"1": 100} == {s.labels["department_id"]: s.value for s in snapshot.of(kpi, DEPARTMENT) if s.window == MTD}
    assert {"1": 100, "0": 300} == {
        s.labels["department_id"]: s.value
        for s in snapshot.of(kpi, Grain(kpi.families[0].grain.axes))
        if s.window == MTD
    }


def test_a_record_counts_once_per_department(store: DuckStore) -> None:
    """Several memberships, two branches of one department: the primary one counts, and its parents."""
    company = Company().staff()
    company.department(2, 1)
    company.department(3, 1)
    company.user(8, 3, 2)
    company.user(9, 2, 3)
    company.deal(moves=WON, assigned_by_id=8)
    company.deal(moves=WON, assigned_by_id=9)
    snapshot = measured(store, company, primary_departments={9: 3})
    found = {
        s.labels["department_id"]: s.value for s in snapshot.of(KPIS["revenue_won"], DEPARTMENT) if s.window == MTD
    }

    assert {"1": 200, "2": 0, "3": 200} == found


def test_a_dismissed_manager_shows_while_there_is_something(store: DuckStore) -> None:
    """The row is there where its value is not 0, and the records stay in the department."""
    company = Company().staff()
    company.user(8, 1, active=False)
    company.deal(moves=WON, assigned_by_id=8)
    snapshot = measured(store, company)
    kpi = KPIS["revenue_won"]

    assert 100 == snapshot.value(kpi, MTD, MANAGER, manager_id="8")
    assert snapshot.sample(kpi, WindowId.TODAY, MANAGER, manager_id="8") is None
    assert 0 == snapshot.value(kpi, WindowId.TODAY, MANAGER, manager_id="7")
    assert 100 == snapshot.value(kpi, MTD, DEPARTMENT, department_id="1")


def test_zeros_for_every_known_pipeline(store: DuckStore) -> None:
    """Pipelines of the directory have rows without deals; one that the directory forgot has a row with them."""
    company = Company().staff()
    company.add(schema.PIPELINES, entity_type_id=2, id=4, name="Wholesale", sort=2, is_default=False)
    company.deal(moves=WON, pipeline_id=9)
    snapshot = measured(store, company)
    found = {
        s.labels["pipeline_id"]: s.value
        for s in snapshot.of(KPIS["deals_won_count"], Grain.parse("P"))
        if s.window == MTD
    }

    assert {"0": 0, "4": 0, "9": 1} == found


def test_a_scope_that_the_portal_does_not_have_is_refused(store: DuckStore) -> None:
    """A department that does not exist would silently empty every row."""
    with pytest.raises(ConfigError, match=r"scope\.departments names 77: the portal has none of them, it has 1"):
        measured(store, Company().staff(), sales_departments=frozenset({77}))


# ---------------------------------------------------------------- sources


#: KPIs of several feeds that have a sample whenever theirs were copied.
FIRST = {
    "revenue_won", "deals_won_count", "win_rate", "new_deals_count", "open_deals_count", "calls_count",
    "talk_time_total_seconds", "first_response_seconds_median", "open_deals_overdue_activity_count",
    "open_deals_without_activity_count",
}  # fmt: skip


@pytest.mark.parametrize(
    ("missing", "silent"),
    [
        ("phone_calls", {"calls_count", "talk_time_total_seconds"}),
        (
            "activities",
            {"open_deals_overdue_activity_count", "open_deals_without_activity_count", "first_response_seconds_median"},
        ),
        ("leads", set()),
    ],
)
def test_a_feed_that_was_not_copied_gives_no_numbers(store: DuckStore, missing: str, silent: set[str]) -> None:
    """Never "0 calls" because the scope is missing: the KPI is named as absent, with the feed."""
    company = Company().staff()
    company.feeds = [feed for feed in company.feeds if feed != missing]
    company.deal(moves=WON)
    snapshot = small.measured(store, company)

    assert dict.fromkeys(silent, (missing,)).items() <= dict(snapshot.absent).items()
    assert {missing} >= {feed for kpi_id in FIRST for feed in snapshot.absent.get(kpi_id, ())}
    assert FIRST - silent == FIRST & {sample.kpi.id for sample in snapshot.samples}


def test_a_backfill_under_way_gives_no_numbers(store: DuckStore) -> None:
    """Half a copy would show half the truth."""
    company = Company().staff()
    company.pour(store)
    store.execute("UPDATE feed_state SET backfilled_at = NULL WHERE feed = 'deals'")
    snapshot = evaluate(store, PORTAL, now=NOW)

    assert {"calls_count", "talk_time_total_seconds"} == FIRST & {sample.kpi.id for sample in snapshot.samples}


@pytest.mark.parametrize(("error", "silent"), [(None, True), ("no right to see them", False)])
def test_half_a_history_of_stages_is_waited_for(store: DuckStore, error: str | None, silent: bool) -> None:
    """When a deal was won follows from its moves: none at all have a fallback, half of them would mislead."""
    company = Company().staff()
    company.deal(moves=WON)
    company.pour(store)
    store.execute("UPDATE feed_state SET backfilled_at = NULL, error = ? WHERE feed = 'deal_moves'", [error])
    snapshot = evaluate(store, PORTAL, now=NOW)

    assert silent == (snapshot.absent.get("revenue_won") == ("deal_moves",))
    assert silent == (not snapshot.of(KPIS["revenue_won"], COMPANY))


def test_without_the_people_there_is_still_a_company(store: DuckStore) -> None:
    """No users, no departments: no rows for them, and the company's numbers."""
    company = Company()
    company.deal(moves=WON)
    company.currency("RUB", "1")
    snapshot = measured(store, company)

    assert 1 == won(snapshot)
    assert () == snapshot.of(KPIS["deals_won_count"], MANAGER)


def test_hours_in_the_settings_hold_for_who_is_not_shown(store: DuckStore) -> None:
    """The portal shows its webhook no user 8; ten minutes of her Sunday are ten minutes, though the company rests."""
    company = Company().staff()
    deal = company.deal(assigned_by_id=8, created_at=at("03-09 10:00"), modified_at=at("03-09 10:00"))
    activity = company.activity(deal, type_id=2, provider_id="VOXIMPLANT_CALL", responsible_id=8)
    company.call(at("03-09 10:10"), user_id=8, crm_activity_id=activity)
    sundays = Employee(8, calendar=WorkCalendar.simple("Europe/Moscow", {"sun": ["09:00-18:00"]}))
    kpi = "first_response_seconds_median"
    found = small.measured(store, company, kpis=[kpi], calendar=OFFICE, employees=(sundays,))

    assert 600 == found.value(KPIS[kpi], MTD)


def test_an_unknown_portal_says_what_to_do(empty: DuckStore) -> None:
    """Nothing was copied yet."""
    with pytest.raises(NothingMirrored, match="run b24metrics sync first"):
        evaluate(empty, "nobody", now=NOW)


def test_a_portal_without_currency_says_what_to_do(store: DuckStore) -> None:
    """No base currency, none configured."""
    with pytest.raises(ConfigError, match=r"set reporting\.currency"):
        measured(store, Company(base_currency=None))


def test_the_zone_falls_back_to_where_people_live(store: DuckStore) -> None:
    """Configured, else the portal's, else the commonest among its people, else UTC."""
    company = Company(zone="").staff()
    assert "UTC" == measured(store, company).zone

    company.user(8, 1, zone="Asia/Omsk")
    assert "Asia/Omsk" == measured(store, company).zone
    assert "Asia/Tokyo" == measured(store, company, zone="Asia/Tokyo").zone


def test_nothing_is_left_in_the_store(store: DuckStore) -> None:
    """Temporary tables live for one evaluation, also when it fails."""
    company = Company().staff()
    company.deal(moves=WON)
    measured(store, company)
    with pytest.raises(ConfigError):
        evaluate(store, PORTAL, now=NOW, options=KpiOptions(reporting_currency="EUR"))

    assert [] == store.rows("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'kpi%'")
    assert values(evaluate(store, PORTAL, now=NOW), "deals_won_count")["mtd"] == 1


def test_a_writer_does_not_disturb_an_evaluation(tmp_path: Path) -> None:
    """One thread computes while another is in the middle of a page: only what was committed counts."""
    store = DuckStore(tmp_path / "mirror.duckdb", threads=1)
    company = Company().staff()
    company.deal(moves=WON)
    company.pour(store)
    written, read = threading.Event(), threading.Event()

    def write() -> None:
        with store.transaction():
            store.execute("INSERT INTO deals SELECT * REPLACE (id + 1000 AS id) FROM deals")
            written.set()
            read.wait(timeout=60)

    writer = threading.Thread(target=write)
    writer.start()
    assert written.wait(timeout=60)
    during = evaluate(store, PORTAL, [KPIS["deals_won_count"]], now=NOW)
    read.set()
    writer.join()
    after = evaluate(store, PORTAL, [KPIS["deals_won_count"]], now=NOW)
    store.close()

    assert (1, 2) == (won(during), won(after))
