"""Request rate, operating time, costs. Reference §4, checklist 6 and 7."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from b24metrics.clock import HandClock, SystemClock
from b24metrics.sim.limits import Ban, Billing, Costs, OperatingMeter, RateBucket, Spending
from b24metrics.sim.server import Sim

from .conftest import Asker, deals, furnish

Make = Callable[..., Sim]


# ---------------------------------------------------------------- rate


def burst(sim: Sim, http: httpx.Client, count: int) -> list[int]:
    return [http.get(sim.webhook + "server.time").status_code for _ in range(count)]


def test_the_bucket_holds_fifty_and_leaks_two_a_second(
    b24_sim_factory: Make, clock: HandClock, http: httpx.Client
) -> None:
    """The 51st request of a burst is refused with 503; five seconds later ten more pass."""
    sim = b24_sim_factory(clock=clock)

    assert [200] * 50 + [503] * 2 == burst(sim, http, 52)
    assert {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"} == http.get(
        sim.webhook + "server.time"
    ).json()
    clock.move(5)
    assert [200] * 10 + [503] == burst(sim, http, 11)


def test_enterprise_has_a_larger_bucket(b24_sim_factory: Make, clock: HandClock, http: httpx.Client) -> None:
    """X = 250, Y = 5."""
    sim = b24_sim_factory(clock=clock, plan="ent")

    assert [200] * 250 + [503] == burst(sim, http, 251)
    clock.move(1)
    assert [200] * 5 + [503] == burst(sim, http, 6)


def test_refused_requests_count_only_where_told(b24_sim_factory: Make, clock: HandClock, http: httpx.Client) -> None:
    """With the switch on, hammering keeps the bucket full."""
    sim = b24_sim_factory(clock=clock, bucket=RateBucket(2, 50, count_refused=True))
    burst(sim, http, 60)
    clock.move(5)

    assert [503] == burst(sim, http, 1)


def test_a_batch_is_one_request(b24_sim_factory: Make, clock: HandClock, http: httpx.Client) -> None:
    sim = b24_sim_factory(clock=clock)
    commands = {f"c{n}": "server.time" for n in range(50)}
    statuses = [http.post(sim.webhook + "batch", json={"cmd": commands}).status_code for _ in range(51)]

    assert [200] * 50 + [503] == statuses


def test_webhooks_of_one_address_share_the_bucket(b24_sim_factory: Make, clock: HandClock, http: httpx.Client) -> None:
    """The counter belongs to portal and address, not to the webhook; unknown methods count as well."""
    sim = b24_sim_factory(clock=clock)
    other = sim.add_webhook(1, "second")
    burst(sim, http, 25)
    http.get(sim.webhook + "crm.nothing")
    statuses = [http.get(other + "server.time").status_code for _ in range(25)]

    assert [200] * 24 + [503] == statuses


# ---------------------------------------------------------------- operating time


@pytest.fixture
def slow(b24_sim_factory: Make, clock: HandClock) -> Sim:
    """Deals cost 20 s, the limit is 50 s."""
    sim = b24_sim_factory(
        clock=clock,
        bucket=RateBucket.generous(),
        meter=OperatingMeter(limit=50),
        costs=Costs(methods={"crm.deal.*": 20.0}),
    )
    furnish(sim)
    return sim


def test_a_method_above_its_limit_is_refused_and_others_go_on(slow: Sim, http: httpx.Client) -> None:
    """The call that crosses the line completes; the next gets 429; other methods and webhooks do not notice."""
    ask = Asker(http, slow.webhook)
    told = [ask("crm.deal.list")["time"]["operating"] for _ in range(3)]

    assert [20, 40, 60] == told
    assert (429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.") == ask.refused(
        "crm.deal.list"
    )
    assert "result" in ask("crm.lead.list")
    assert "result" in Asker(http, slow.add_webhook(1, "second"))("crm.deal.list")


def test_buckets_of_a_minute_drop_out_one_by_one(slow: Sim, http: httpx.Client, clock: HandClock) -> None:
    """operating_reset_at is the first call of the oldest bucket + 600 s; then its seconds leave the sum."""
    ask = Asker(http, slow.webhook)
    ask("crm.deal.list")
    ask("crm.deal.list")
    clock.move(120)
    time = ask("crm.deal.list")["time"]

    assert (60, 1741942800 + 600) == (time["operating"], time["operating_reset_at"])
    clock.move(479)
    assert 429 == ask.refused("crm.deal.list")[0]
    clock.move(1)
    time = ask("crm.deal.list")["time"]
    assert (40, 1741942800 + 120 + 600) == (time["operating"], time["operating_reset_at"])


def test_nested_calls_are_metered_under_their_own_names(slow: Sim, http: httpx.Client) -> None:
    """A batch does not help: its deals stop at the limit inside result_error, the leads go through."""
    slow.portal.costs.ceiling = 100
    ask = Asker(http, slow.webhook)
    answer = ask("batch", cmd={**{f"d{n}": "crm.deal.list" for n in range(5)}, "lead": "crm.lead.list"})
    outcome = answer["result"]

    assert {"d0", "d1", "d2", "lead"} == set(outcome["result"])
    assert {"OPERATION_TIME_LIMIT"} == {outcome["result_error"][name]["error"] for name in ("d3", "d4")}
    assert [20, 40, 60] == [outcome["result_time"][f"d{n}"]["operating"] for n in range(3)]
    assert 0 == answer["time"]["operating"]
    assert 429 == ask.refused("crm.deal.list")[0]


def test_some_portals_bill_the_batch(b24_sim_factory: Make, clock: HandClock, http: httpx.Client) -> None:
    """Half of the time under "batch", nothing under the methods; above the limit the batch itself is refused."""
    sim = b24_sim_factory(
        clock=clock, meter=OperatingMeter(limit=50, billing=Billing.BATCH), costs=Costs(methods={"crm.deal.list": 29.0})
    )
    ask = Asker(http, sim.webhook)
    commands = {"a": "crm.deal.list", "b": "crm.deal.list"}
    told = [ask("batch", cmd=commands)["time"]["operating"] for _ in range(2)]

    assert [29, 58] == told
    assert 429 == ask.refused("batch", cmd=commands)[0]
    assert 29 == ask("crm.deal.list")["time"]["operating"]


def test_short_calls_may_go_unrecorded(b24_sim_factory: Make, clock: HandClock, http: httpx.Client) -> None:
    """With a floor of 0.1 s, operating stays 0 after many quick calls."""
    sim = b24_sim_factory(clock=clock, meter=OperatingMeter(floor=0.1), costs=Costs(seconds=0.09))
    ask = Asker(http, sim.webhook)

    assert [0, 0] == [ask("crm.deal.list")["time"]["operating"] for _ in range(2)]


def test_newest_portals_ban_for_a_flat_time(b24_sim_factory: Make, clock: HandClock, http: httpx.Client) -> None:
    """Crossing the line clears the buckets and bans for 300 s, told as operating_reset_at."""
    sim = b24_sim_factory(
        clock=clock, meter=OperatingMeter(limit=50, ban=Ban.FLAT), costs=Costs(methods={"crm.deal.list": 60.0})
    )
    sim.portal.costs.ceiling = 100
    ask = Asker(http, sim.webhook)
    time = ask("crm.deal.list")["time"]

    assert (0, 1741942800 + 300) == (time["operating"], time["operating_reset_at"])
    clock.move(299)
    assert 429 == ask.refused("crm.deal.list")[0]
    clock.move(1)
    assert "result" in ask("crm.deal.list")


def test_a_test_may_block_a_method(sim: Sim, ask: Asker, clock: HandClock) -> None:
    sim.block("crm.deal.list", seconds=300)

    assert 429 == ask.refused("crm.deal.list")[0]
    assert "result" in ask("crm.lead.list")
    clock.move(300)
    assert "result" in ask("crm.deal.list")


# ---------------------------------------------------------------- costs


def test_costs_may_move_the_shared_clock(b24_sim_factory: Make, clock: HandClock, http: httpx.Client) -> None:
    """Virtual time: the client sees the seconds pass without anybody waiting."""
    sim = b24_sim_factory(clock=clock, costs=Costs(seconds=2.0, spending=Spending.MOVE))
    time = Asker(http, sim.webhook)("batch", cmd=["server.time", "server.time"])["time"]

    assert 4 == clock.elapsed == time["duration"]


def test_costs_may_be_really_waited_for(b24_sim_factory: Make, http: httpx.Client) -> None:
    """Real time: an impatient client sees a time-out, a patient one the answer."""
    sim = b24_sim_factory(clock=SystemClock(), costs=Costs(seconds=0.3, spending=Spending.SLEEP))

    with pytest.raises(httpx.ReadTimeout):
        http.get(sim.webhook + "server.time", timeout=httpx.Timeout(10, read=0.1))
    assert 200 == http.get(sim.webhook + "server.time").status_code


def test_moving_needs_a_clock_that_moves(b24_sim_factory: Make) -> None:
    with pytest.raises(ValueError, match="HandClock"):
        b24_sim_factory(clock=SystemClock(), costs=Costs(spending=Spending.MOVE))


def test_counting_and_skipping_cost_extra(sim: Sim, ask: Asker) -> None:
    """A total is expensive by the size of what was counted, an offset by what it skips; start=-1 pays neither."""
    deals(sim, 200)
    sim.portal.costs = Costs(seconds=1.0, counting=10_000.0, offset=30.0)
    cheap = ask("crm.deal.list", start=-1)["time"]["duration"]
    counted = ask("crm.deal.list", start=0)["time"]["duration"]
    skipped = ask("crm.deal.list", start=100)["time"]["duration"]

    assert (1, 3, 6) == (cheap, counted, skipped)


def test_costs_may_scatter_and_repeat_themselves() -> None:
    """Log-normal around the median, the same in every run of one seed."""
    costs = [Costs(seconds=1.0, sigma=0.5, seed=7) for _ in range(2)]
    draws = [[cost.of("crm.deal.list") for _ in range(400)] for cost in costs]

    assert draws[0] == draws[1]
    assert 400 == len(set(draws[0]))
    assert 0.85 < sorted(draws[0])[200] < 1.15


def test_methods_have_prices_by_name_and_pattern() -> None:
    costs = Costs(seconds=0.1, methods={"crm.deal.list": 3.0, "crm.*": 2.0})

    assert [3.0, 2.0, 0.1] == [costs.of(name) for name in ("crm.deal.list", "crm.lead.list", "user.get")]


def test_a_request_longer_than_a_minute_is_cut_off_by_the_front(slow: Sim, http: httpx.Client) -> None:
    """504 as a page; what ran is booked, commands behind the cut did not run."""
    slow.portal.meter.limit = 480
    answer = http.post(
        slow.webhook + "batch", json={"cmd": {f"d{n}": f"crm.deal.add?fields[TITLE]={n}" for n in range(9)}}
    )

    assert (504, "text/html") == (answer.status_code, answer.headers["content-type"])
    assert 4 == slow.data.value("SELECT count(*) FROM deal")
    assert 80 == slow.portal.meter.operating("webhook 1 practice0portal0secret", "crm.deal.add", slow.portal.now())
