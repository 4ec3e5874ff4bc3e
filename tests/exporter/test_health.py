"""What the exporter says of itself is true at the moment of the scrape."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from b24exporter.board import Board, FeedState
from b24exporter.health import Health
from b24metrics.clock import HandClock
from b24metrics.portal.limits import Gate, Plan
from b24metrics.portal.request import Timing
from tests.exporter.toy import an_edition


def told(health: Health) -> dict[tuple, float]:
    """(name, *label values) → value, of our own families."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(health.text().decode())
        for sample in family.samples
        if sample.name.startswith("b24_") and family.name != "b24_exporter_build_info"
    }


def test_before_the_first_round_nothing_is_claimed(clock: HandClock) -> None:
    """Neither up nor down, neither fresh nor stale: no series."""
    assert {
        ("b24_exporter_rounds_total", "failed"): 0,
        ("b24_exporter_rounds_total", "good"): 0,
    } == told(Health(Board(clock.now()), clock, "0.1.0"))


def test_lag_grows_between_rounds_and_forgives_the_interval(clock: HandClock) -> None:
    """Age minus the interval at which an entity is looked at; nothing for one never seen; down where it failed."""
    at = clock.now()
    board = Board(
        at,
        feeds=(
            FeedState("deals", at, 10),
            FeedState("users", at, 5, every=600.0),
            FeedState("phone_calls", None, 0, error="not allowed"),
        ),
    )
    health = Health(board, clock, "0.1.0")

    clock.move(700)
    found = told(health)

    assert {
        ("b24_sync_lag_seconds", "deals"): 700,
        ("b24_sync_lag_seconds", "users"): 100,
        ("b24_source_up", "deals"): 1,
        ("b24_source_up", "users"): 1,
        ("b24_source_up", "phone_calls"): 0,
        ("b24_mirror_rows", "deals"): 10,
    }.items() <= found.items()
    assert ("b24_sync_lag_seconds", "phone_calls") not in found


def test_comparisons_with_the_portal_are_told(clock: HandClock) -> None:
    """How long ago all ids were compared, what that found, and what is not believed; nothing before the first."""
    at = clock.now()
    doubt = "deals: 90 of 100 records are not to be seen any more."
    board = Board(
        at,
        feeds=(
            FeedState("deals", at, 10, reconciled_at=at - 40, doubt=doubt, buried=3, healed=1),
            FeedState("tasks", at, 10),
        ),
    )
    health = Health(board, clock, "0.1.0")

    clock.move(60)
    found = told(health)

    assert {
        ("b24_last_full_reconcile_seconds", "deals"): 100,
        ("b24_source_doubted", "deals"): 1,
        ("b24_source_doubted", "tasks"): 0,
        ("b24_mirror_buried_records_total", "deals"): 3,
        ("b24_mirror_healed_records_total", "deals"): 1,
    }.items() <= found.items()
    assert not {("b24_last_full_reconcile_seconds", "tasks"), ("b24_mirror_buried_records_total", "tasks")} & set(found)


def test_standing_by_is_told_where_there_is_a_portal(clock: HandClock) -> None:
    """Of two exporters on one database one keeps the portal."""
    board = Board(clock.now(), portal_up=True, keeper="other (PID 7)")
    assert 1 == told(Health(board, clock, "0.1.0"))[("b24_exporter_standby",)]

    board.keeper = None
    assert 0 == told(Health(board, clock, "0.1.0"))[("b24_exporter_standby",)]


def test_a_failed_round_shows_at_once(clock: HandClock) -> None:
    """Down, unsuccessful, counted; the time of the last good figures stays."""
    board = Board(clock.now(), edition=replace(an_edition(), dropped={("b24_x", "budget"): 7}, series=38))
    board.portal_up, board.failure, board.rounds = False, "It does not answer.", {"good": 3, "failed": 1}
    board.seconds = {"sync": 1.5}

    assert {
        ("b24_exporter_standby",): 0,
        ("b24_up",): 0,
        ("b24_exporter_refresh_success",): 0,
        ("b24_exporter_rounds_total", "failed"): 1,
        ("b24_exporter_rounds_total", "good"): 3,
        ("b24_exporter_refresh_duration_seconds", "sync"): 1.5,
        ("b24_exporter_last_refresh_success_timestamp_seconds",): board.edition.at,
        ("b24_portal_info", "RUB", "example.bitrix24.ru", "Europe/Moscow"): 1,
        ("b24_exporter_series",): 38,
        ("b24_exporter_series_dropped", "b24_x", "budget"): 7,
    } == told(Health(board, clock, "0.1.0"))


def test_working_time_is_told_live_where_it_is_known(clock: HandClock) -> None:
    """1 while the company works, 0 outside, nothing before the calendar is known."""
    answers = iter([True, False, None])
    health = Health(Board(clock.now()), clock, "0.1.0", working_now=lambda _at: next(answers))

    assert [1, 0, None] == [told(health).get(("b24_company_working_now",)) for _ in range(3)]


def test_the_portals_budgets_are_read_from_its_own_gate(clock: HandClock) -> None:
    """Requests, refusals, waits, bucket and method time, as the Gate reckons them."""
    gate = Gate(Plan("small", 10, 2, 480, metered=True), clock=clock)
    ticket = gate.reserve({"crm.deal.list": 1})
    gate.settled(ticket, {"crm.deal.list": [Timing(duration=2.5, operating=2.5)]})
    gate.paused(gate.reserve({"crm.deal.list": 1}))
    gate.waited(3.5)

    found = told(Health(Board(clock.now()), clock, "0.1.0", gate=gate.stats))

    assert {
        ("b24_exporter_api_requests_total",): 2,
        ("b24_exporter_api_refusals_total", "rate"): 1,
        ("b24_exporter_api_refusals_total", "method_time"): 0,
        ("b24_exporter_api_wait_seconds_total",): 3.5,
        ("b24_exporter_api_bucket_capacity",): 10,
        ("b24_exporter_api_operating_seconds", "crm.deal.list"): 2.5,
        ("b24_exporter_api_operating_limit_seconds", "crm.deal.list"): 480,
    }.items() <= found.items()
