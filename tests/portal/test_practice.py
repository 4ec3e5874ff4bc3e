"""Against the practice portal, which was written by others from the vendor's pages: a second witness of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from b24metrics.clock import HandClock
from b24metrics.errors import LostReply, NotAllowed, NotAuthorised, PortalClosed, WalkCut
from b24metrics.portal import (
    AsyncPortal,
    Batch,
    Lane,
    Listing,
    OAuth,
    Portal,
    Ref,
    Request,
    Tokens,
    count_request,
    last_id_request,
    page_request,
)

pytest.importorskip("b24metrics.sim.server")

from b24metrics.sim.accounts import Application
from b24metrics.sim.core import Switches
from b24metrics.sim.faults import Transport
from b24metrics.sim.limits import Ban, Billing, Costs, OperatingMeter, Spending
from b24metrics.sim.server import Sim

NOON = 1_741_942_800
Factory = Callable[..., Sim]


def number(row: Any) -> int:
    return int(row.get("ID", row.get("id")))


DEALS: Listing[int] = Listing("crm.deal.list", number)


def with_deals(factory: Factory, count: int, **options: Any) -> Sim:
    """A portal with deals 1 … count and as many rows of stage history and statistics."""
    sim = factory(clock=HandClock(), **options)
    sim.data.execute(
        "INSERT INTO deal BY NAME SELECT i AS ID, 'Deal ' || i AS TITLE, ? + i AS DATE_CREATE, ? + i AS DATE_MODIFY, "
        "1 AS ASSIGNED_BY_ID FROM range(1, ?) r(i)",
        [NOON, NOON, count + 1],
    )
    return sim


def open_portal(sim: Sim, **options: Any) -> Portal:
    return Portal(sim.webhook, clock=sim.portal.clock, **options)


def refused(sim: Sim) -> list[Any]:
    return [each.error for each in sim.log if each.error in {"QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT"}]


@pytest.mark.parametrize("count", [0, 50, 51, 2_549, 5_003])
@pytest.mark.parametrize(
    "listing", [DEALS, Listing("crm.item.list", number, params={"entityTypeId": 2})], ids=lambda listing: listing.method
)
def test_every_record_comes_once_in_order(listing: Listing[int], count: int, b24_sim_factory: Factory) -> None:
    """Both spellings of deals, through chains."""
    sim = with_deals(b24_sim_factory, count)
    with open_portal(sim) as portal:
        assert list(range(1, count + 1)) == list(portal.each(listing))
    assert sim.request_count <= 3 + count / 2_500
    assert [] == refused(sim)


def test_bounds_counts_and_edges(b24_sim_factory: Factory) -> None:
    """What a backfill asks first, in one batch."""
    sim = with_deals(b24_sim_factory, 300)
    with open_portal(sim) as portal:
        assert {"last": 300, "count": 150, "page": tuple(range(101, 151))} == {
            name: value.items if name == "page" else value
            for name, value in portal.batch(
                {
                    "last": last_id_request(DEALS),
                    "count": count_request(DEALS.after(100).upto(250)),
                    "page": page_request(DEALS.after(100).upto(250)),
                }
            ).items()
        }
        assert list(range(101, 251)) == list(portal.each(DEALS.after(100).upto(250), expect=150))
    assert 2 == sim.request_count


def test_a_reference_finds_its_way(b24_sim_factory: Factory) -> None:
    """$result of an earlier command, percent-encoded."""
    sim = with_deals(b24_sim_factory, 5)
    batch = Batch(
        {"deal": Request("crm.deal.get", {"id": 3}), "who": Request("user.get", {"ID": Ref("deal")["ASSIGNED_BY_ID"]})}
    )
    with open_portal(sim) as portal:
        assert "1" == portal.batch(batch)["who"][0]["ID"]


@pytest.mark.parametrize(
    "meter",
    [
        OperatingMeter(),
        OperatingMeter(floor=0.1),
        OperatingMeter(billing=Billing.BATCH),
        OperatingMeter(billing=Billing.BATCH, batch_weight=1.0),
        OperatingMeter(ban=Ban.FLAT),
        OperatingMeter(limit=None),
    ],
    ids=["sliding", "floor", "half", "batch", "flat", "off"],
)
def test_a_long_walk_is_never_refused(meter: OperatingMeter, b24_sim_factory: Factory) -> None:
    """1,200 s of method time, more than two helpings of the budget, in every way of billing."""
    sim = with_deals(b24_sim_factory, 6_000, meter=meter, costs=Costs(10.0, spending=Spending.MOVE))
    with open_portal(sim, lane=Lane.BACKFILL) as portal:
        assert 6_000 == sum(page.size for page in portal.pages(DEALS, expect=6_000))
    assert [] == refused(sim)


def test_walks_side_by_side_are_never_refused(b24_sim_factory: Factory) -> None:
    """Eight ranges and a live round at a time, under one gate."""
    sim = with_deals(b24_sim_factory, 4_000, costs=Costs(4.0, sigma=0.5))

    async def run() -> int:
        async with AsyncPortal(sim.webhook, clock=sim.portal.clock) as portal:

            async def stretch(n: int) -> int:
                listing = DEALS.after(n * 500).upto((n + 1) * 500)
                return sum([page.size async for page in portal.pages(listing, expect=500, lane=Lane.BACKFILL)])

            async def live() -> None:
                for _ in range(20):
                    await portal.batch({"a": page_request(DEALS.after(3_990)), "b": Request("profile")})

            counted, _ = await asyncio.gather(asyncio.gather(*(stretch(n) for n in range(8))), live())
            return sum(counted)

    assert 4_000 == asyncio.run(run())
    assert [] == refused(sim)


@pytest.mark.parametrize(
    "fault", [Transport.RESET, Transport.CUT, Transport.DROP, Transport.BAD_GATEWAY, Transport.GATEWAY_TIMEOUT]
)
def test_transport_faults_lose_and_double_nothing(fault: Transport, b24_sim_factory: Factory) -> None:
    """In the middle of a walk; a write is reported instead."""
    sim = with_deals(b24_sim_factory, 3_000)
    with open_portal(sim) as portal:
        sim.fail("batch", fault, times=2)
        assert list(range(1, 3_001)) == list(portal.each(DEALS))
        sim.fail("im.notify.system.add", fault)
        write = Request("im.notify.system.add", {"USER_ID": 1, "MESSAGE": "x"}, repeatable=False)
        with pytest.raises(LostReply):
            portal.fetch(write)


def test_a_blocked_method_rests_inside_a_walk(b24_sim_factory: Factory) -> None:
    """A block that nobody announced: the walk waits for it and ends well."""
    sim = with_deals(b24_sim_factory, 1_000)
    with open_portal(sim) as portal:
        pages = portal.pages(DEALS)
        first = next(pages)
        sim.block("crm.deal.list", 300)
        assert 1_000 == first.size + sum(page.size for page in pages)
    assert sim.portal.clock.elapsed >= 300


def test_a_credential_that_is_revoked_cuts_the_walk(b24_sim_factory: Factory) -> None:
    """With the cursor, and the next step in the text."""
    sim = with_deals(b24_sim_factory, 1_000)
    with open_portal(sim) as portal:
        pages = portal.pages(DEALS)
        next(pages)
        sim.revoke()
        with pytest.raises(WalkCut, match="webhook") as cut:
            list(pages)
    assert isinstance(cut.value.__cause__, NotAuthorised)
    assert 50 == cut.value.cursor


@pytest.mark.parametrize("as_seen", [False, True])
def test_refusals_mean_the_same_with_either_status(as_seen: bool, b24_sim_factory: Factory) -> None:
    """Documented statuses and those seen on live portals."""
    sim = with_deals(b24_sim_factory, 1, switches=Switches(as_seen=as_seen))
    poor = sim.webhook_of(1, "n0sc0pe")
    sim.add_webhook(1, "n0sc0pe", scopes={"user"})
    with Portal(poor, clock=sim.portal.clock) as portal, pytest.raises(NotAllowed) as denied:
        portal.fetch(Request("crm.deal.get", {"id": 1}))
    assert "crm" == denied.value.missing_scope
    sim.portal.switches.closed_by = "PORTAL_DELETED"
    with open_portal(sim) as portal, pytest.raises(PortalClosed):
        portal.fetch(Request("profile"))


def test_a_renamed_portal_is_followed(b24_sim_factory: Factory) -> None:
    """302 from the old address; the walk goes on at the new one."""
    old, new = with_deals(b24_sim_factory, 10), with_deals(b24_sim_factory, 120)
    old.portal.switches.moved_to = new.url
    moved: list[str] = []
    with Portal(old.webhook, clock=HandClock(), on_moved=moved.append) as portal:
        assert 120 == len(list(portal.each(DEALS)))
    assert [new.url.removeprefix("http://")] == moved
    assert [] == list(old.log)


def test_an_application_refreshes_its_token(b24_sim_factory: Factory) -> None:
    """An hour passes during a walk."""
    sim = with_deals(b24_sim_factory, 500)
    token = sim.add_application(Application("local.1", "appsecret"))
    stored: list[Tokens] = []
    credential = OAuth(
        client_id="local.1", client_secret="appsecret", access_token=token.access, refresh_token=token.refresh,
        client_endpoint=f"{sim.url}/rest/", token_url=f"{sim.url}/oauth/token/", on_tokens=stored.append,
    )  # fmt: skip
    with Portal(credential, clock=sim.portal.clock) as portal:
        pages = portal.pages(DEALS)
        first = next(pages)
        sim.portal.clock.move(3_700)
        assert 500 == first.size + sum(page.size for page in pages)
    assert 1 == len(stored)


def test_a_wrong_clock_does_no_harm(b24_sim_factory: Factory) -> None:
    """The portal is five hours ahead of us: budgets are kept all the same, and the skew is known."""
    sim = with_deals(
        b24_sim_factory, 6_000, switches=Switches(skew=18_000.0), costs=Costs(10.0, spending=Spending.MOVE)
    )
    with open_portal(sim, lane=Lane.BACKFILL) as portal:
        assert 6_000 == sum(page.size for page in portal.pages(DEALS, expect=6_000))
        assert 18_000 == pytest.approx(portal.gate.stats().skew, abs=2)
    assert [] == refused(sim)


def test_https_with_the_portals_own_certificate(b24_sim_factory: Factory) -> None:
    """As a self-hosted portal with an authority of its own."""
    sim = with_deals(b24_sim_factory, 3)
    with Portal(sim.https_webhook, clock=sim.portal.clock, verify=sim.ca_file) as portal:
        assert [1, 2, 3] == list(portal.each(DEALS))
