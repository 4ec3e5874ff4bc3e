"""Frozen closings: due once, as of the due instant, never changed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from b24metrics.kpi import KpiOptions
from b24metrics.kpi.freezing import due, freeze
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi.small import OFFICE, PORTAL, Company, at

OPTIONS = KpiOptions(calendar=OFFICE)
FEBRUARY, MARCH = date(2025, 2, 1), date(2025, 3, 1)


def company() -> Company:
    """Manager 7 won 100 in February with a plan of 200; 40 more are expected in March."""
    found = Company().staff()
    found.plan("M", 7, FEBRUARY, 200)
    found.deal(1, moves="02-03 10:00 P; 02-10 15:00 S")
    found.deal(
        2, moves="03-03 10:00 P", opportunity=Decimal(40), closes_on=date(2025, 3, 20), probability=50,
    )  # fmt: skip
    return found


def poured(store: DuckStore, one: Company, *, first: str = "01-15 00:00", synced: str = "04-20 00:00") -> None:
    one.pour(store)
    store.execute("UPDATE portals SET first_synced_at = ?", [at(first)])
    store.execute("UPDATE feed_state SET synced_at = ?", [at(synced)])


def frozen(store: DuckStore, month: date) -> dict[tuple[str, str, int], float | None]:
    rows = store.rows("SELECT kpi_id, level, subject_id, value FROM frozen_values WHERE month = ?", [month])
    return {(kpi, level, subject): value for kpi, level, subject, value in rows}


def test_a_month_is_closed_after_its_days_of_grace(store: DuckStore) -> None:
    """Three days after its end, at the first instant of the fourth; per manager, department and company."""
    poured(store, company())

    assert 0 == sum(
        one.month == FEBRUARY and one.window == "prev_month"
        for one in due(store, PORTAL, now=at("03-03 23:59"), options=OPTIONS)
    )
    freeze(store, PORTAL, now=at("03-04 00:00"), options=OPTIONS)

    subjects = [("M", 7), ("D", 1), ("T", 0)]
    expected = {("revenue_won", *one): 100.0 for one in subjects} | {("deals_won_count", *one): 1.0 for one in subjects}
    expected |= {("plan_attainment_ratio", *one): 0.5 for one in subjects}
    told = frozen(store, FEBRUARY)
    assert expected == {key: value for key, value in told.items() if key[0] != "period_forecast_amount"}
    assert [at("03-04 00:00")] == [
        moment.astimezone(at("03-04 00:00").tzinfo)
        for (moment,) in store.rows(
            "SELECT DISTINCT frozen_at FROM frozen_values WHERE kpi_id = 'revenue_won' AND month = ?", [FEBRUARY]
        )
    ]


def test_what_was_written_is_never_changed(store: DuckStore) -> None:
    """A win that is undone, or one more of the month, changes nothing: pay was computed."""
    one = company()
    poured(store, one)
    freeze(store, PORTAL, now=at("03-04 00:00"), options=OPTIONS)
    before = frozen(store, FEBRUARY)
    store.execute("UPDATE deals SET opportunity = 999 WHERE id = 1")

    assert 0 == freeze(store, PORTAL, now=at("03-05 00:00"), options=OPTIONS)
    assert before == frozen(store, FEBRUARY)


def test_a_daemon_that_rested_freezes_the_same(store: DuckStore) -> None:
    """Done in April, February is as it was on 4 March: the reopening of 20 March was not known then."""
    one = company()
    one.rows[schema.DEALS][0] |= {"semantics": "P", "stage_id": "P", "moved_at": at("03-20 10:00")}
    one.move(1, at("03-20 10:00"), "P")
    poured(store, one)
    freeze(store, PORTAL, now=at("04-15 12:00"), options=OPTIONS)

    assert 100 == frozen(store, FEBRUARY)["revenue_won", "T", 0]
    assert 0 == frozen(store, MARCH)["revenue_won", "T", 0]


def test_the_forecast_is_written_down_after_a_quarter_of_the_months_working_time(store: DuckStore) -> None:
    """March 2025 has 21 working days of 9 hours: a quarter is over on the 10th, at 11:15. 40 at 50 %."""
    poured(store, company(), synced="03-10 12:00")

    assert "period_forecast_amount" not in {key[0] for key in frozen(store, MARCH)}
    freeze(store, PORTAL, now=at("03-10 11:14"), options=OPTIONS)
    assert {} == frozen(store, MARCH)
    freeze(store, PORTAL, now=at("03-10 11:15"), options=OPTIONS)

    assert {("period_forecast_amount", "D", 1): 20.0, ("period_forecast_amount", "T", 0): 20.0} == frozen(store, MARCH)


def test_months_before_the_first_copy_and_beyond_the_last_look_stay_open(store: DuckStore) -> None:
    """Nobody saw them close; what the mirror has not seen yet is not closed either."""
    poured(store, company(), first="03-06 00:00", synced="03-20 00:00")

    assert [(MARCH, "mtd")] == [
        (one.month, one.window.value) for one in due(store, PORTAL, now=at("04-15 00:00"), options=OPTIONS)
    ]


def test_a_copy_under_way_is_waited_for(store: DuckStore) -> None:
    """Half a copy would be frozen for ever."""
    poured(store, company())
    store.execute("UPDATE feed_state SET backfilled_at = NULL WHERE feed = 'deals'")
    assert 0 == freeze(store, PORTAL, now=at("03-04 00:00"), options=OPTIONS)

    store.execute("UPDATE feed_state SET backfilled_at = ? WHERE feed = 'deals'", [datetime(2025, 1, 1, tzinfo=UTC)])
    assert freeze(store, PORTAL, now=at("03-04 00:00"), options=OPTIONS) > 0
