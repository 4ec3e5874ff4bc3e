"""One request: what is repeated, what is waited for, what is told at once."""

from __future__ import annotations

import asyncio
import random
import threading
import zlib
from typing import Any

import httpx
import pytest

from b24metrics.clock import HandClock
from b24metrics.errors import (
    ConfigError,
    LostReply,
    NoSuchMethod,
    NotAllowed,
    NotAuthorised,
    PortalFault,
    TryLater,
    Unreachable,
    UnreadableReply,
    UnreadableRow,
)
from b24metrics.portal import AsyncPortal, Gate, Lane, Listing, Portal, Request, Webhook
from tests.portal.fakes import ADDRESS, BROKEN, OPERATION, TOO_MANY, Canned, Script, Toy, deals, reply

READ = Request("crm.deal.get", {"id": 1})
WRITE = Request("im.notify.system.add", {"USER_ID": 7, "MESSAGE": "x"}, repeatable=False)
PAGE = Canned(502, b"<html>Bad Gateway</html>")
CUT = reply(b'{"result": [{"ID"')


def ask(script: Script, request: Request[Any], clock: HandClock, **options: Any) -> Any:
    """Through both clients: the same answer, the same requests, the same waiting."""
    again = Script(*script.replies)
    other = HandClock()

    async def asynchronous() -> Any:
        async with AsyncPortal(
            ADDRESS, clock=other, transport=again.transport, chance=random.Random(5), **options
        ) as portal:
            return await portal.fetch(request)

    outcomes = []
    for run in (
        lambda: asyncio.run(asynchronous()),
        lambda: Portal(ADDRESS, clock=clock, transport=script.transport, chance=random.Random(5), **options).fetch(
            request
        ),
    ):
        try:
            outcomes.append((run(), None))
        except Exception as error:  # noqa: BLE001
            outcomes.append((None, error))
    (first, failed), (second, also) = outcomes
    assert first == second
    assert (type(failed), str(failed)) == (type(also), str(also))
    assert len(again.sent) == len(script.sent)
    assert other.elapsed == pytest.approx(clock.elapsed)
    if also is not None:
        raise also
    return second


def test_a_request_is_posted_as_json(clock: HandClock) -> None:
    """Method in the path, parameters in the body, who we are in the header."""
    script = Script({"result": {"ID": "1"}})
    assert {"ID": "1"} == ask(script, READ, clock)
    sent = script.sent[0]
    assert ("POST", "application/json; charset=utf-8", "application/json") == (
        sent.method, sent.headers["content-type"], sent.headers["accept"],
    )  # fmt: skip
    assert sent.headers["user-agent"].startswith("b24metrics/")
    assert sent.url.path.endswith("/crm.deal.get")
    assert [{"id": 1}] == script.bodies


def test_rest3_methods_have_an_address_of_their_own(clock: HandClock) -> None:
    """/rest/api/ instead of /rest/."""
    script = Script({"result": {"item": {"id": 42}}})
    assert {"item": {"id": 42}} == ask(script, Request("tasks.task.get", {"id": 42}, rest3=True), clock)
    assert script.sent[0].url.path.startswith("/rest/api/7/")


@pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
@pytest.mark.parametrize("refusal", [reply(TOO_MANY, 503), reply(OPERATION, 429), reply(TOO_MANY, 200)])
def test_what_was_not_run_is_waited_for_and_repeated(refusal: Canned, request_: Request[Any], clock: HandClock) -> None:
    """Rate and method time: writes too."""
    script = Script(refusal, refusal, {"result": 1})
    assert 1 == ask(script, request_, clock)
    assert clock.elapsed > 0.5


@pytest.mark.parametrize(
    "fault",
    [httpx.ReadError("reset"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("gone"), PAGE, CUT, reply(b""), reply(BROKEN, 500),
     Canned(504, b"<html>"), httpx.DecodingError("gzip")],
)  # fmt: skip
def test_a_read_is_repeated_after_a_passing_fault(fault: Any, clock: HandClock) -> None:
    """With back-off, and not for ever."""
    assert 1 == ask(Script(fault, fault, {"result": 1}), READ, clock)
    assert 0.5 < clock.elapsed < 5


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (httpx.ReadError("reset"), Unreachable),
        (httpx.ConnectError("refused"), Unreachable),
        (PAGE, UnreadableReply),
        (CUT, UnreadableReply),
        (reply(BROKEN, 500), PortalFault),
    ],
)
def test_a_fault_that_stays_is_told_after_five_attempts(fault: Any, error: type[Exception], clock: HandClock) -> None:
    """With waits between them: half a second, then twice as long each time, more or less."""
    script = Script(*[fault] * 5)
    with pytest.raises(error):
        ask(script, READ, clock)
    assert 5 == len(script.sent)
    assert 3.75 <= clock.elapsed <= 11.25


@pytest.mark.parametrize(
    "fault", [httpx.ReadError("reset"), httpx.ReadTimeout("slow"), httpx.WriteError("reset"), PAGE, CUT]
)
def test_a_write_whose_answer_was_lost_is_reported_and_not_repeated(fault: Any, clock: HandClock) -> None:
    """It may have happened."""
    script = Script(fault)
    with pytest.raises(LostReply, match="may have happened") as lost:
        ask(script, WRITE, clock)
    assert ("im.notify.system.add", "portal.example") == (lost.value.method, lost.value.host)
    assert 1 == len(script.sent)


@pytest.mark.parametrize(
    "fault", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("busy")]
)
def test_a_write_that_was_never_sent_is_repeated(fault: Exception, clock: HandClock) -> None:
    """No connection, no doubt."""
    assert 1 == ask(Script(fault, {"result": 1}), WRITE, clock)


def test_a_write_that_the_portal_failed_is_not_repeated(clock: HandClock) -> None:
    """It answered, so nothing was lost; what it did before it failed is unknown."""
    script = Script(reply(BROKEN, 500))
    with pytest.raises(PortalFault):
        ask(script, WRITE, clock)
    assert 1 == len(script.sent)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"error": "INVALID_CREDENTIALS", "error_description": "Invalid request credentials"}, 401, NotAuthorised),
        ({"error": "insufficient_scope", "error_description": ""}, 403, NotAllowed),
        ({"error": "ERROR_METHOD_NOT_FOUND", "error_description": "Method not found!"}, 404, NoSuchMethod),
        ({"error": "expired_token", "error_description": "The access token provided has expired."}, 401, NotAuthorised),
    ],
)
def test_what_nothing_cures_is_told_at_once(body: Any, status: int, error: type[Exception], clock: HandClock) -> None:
    """No repeats, no waiting."""
    script = Script(reply(body, status))
    with pytest.raises(error):
        ask(script, READ, clock)
    assert 1 == len(script.sent)
    assert 0 == clock.elapsed


def test_a_result_that_does_not_decode_is_told_by_method(clock: HandClock) -> None:
    """Not a KeyError from somewhere inside."""
    with pytest.raises(UnreadableRow, match=r"crm\.deal\.get"):
        ask(Script({"result": []}), Request("crm.deal.get", decode=lambda row: row["ID"]), clock)


def test_patience_has_an_end(clock: HandClock) -> None:
    """A caller who cannot wait is told until when."""
    script = Script(*[reply(TOO_MANY, 503)] * 30)
    with pytest.raises(TryLater) as later:
        ask(script, READ, clock, patience=20)
    assert later.value.until > clock.now()
    assert clock.elapsed < 25


def test_a_blocked_method_rests_while_others_go_on(clock: HandClock) -> None:
    """OPERATION_TIME_LIMIT pauses one method until its reset, not the portal."""
    toy = Toy(clock, {"crm.deal.list": deals([1])}, takes_time=False)
    toy.methods["user.current"] = lambda _: {"ID": "7"}
    toy.blocked["crm.deal.list"] = clock.now() + 300
    with Portal(ADDRESS, clock=clock, transport=toy.transport) as portal:
        with pytest.raises(TryLater):
            Portal(ADDRESS, clock=clock, transport=toy.transport, gate=portal.gate, patience=0).fetch(
                Request("crm.deal.list")
            )
        portal.fetch(Request("user.current"))
        assert 0 == clock.elapsed
        portal.fetch(Request("crm.deal.list"))
        assert clock.elapsed >= 300


def test_a_burst_is_never_refused(clock: HandClock) -> None:
    """Three hundred requests against a bucket of fifty."""
    toy = Toy(clock, {"crm.deal.list": deals([1])}, takes_time=False)
    with Portal(ADDRESS, clock=clock, transport=toy.transport) as portal:
        for _ in range(300):
            portal.fetch(Request("crm.deal.list"))
    assert {503: 0, 429: 0} == toy.refused
    assert 50 >= toy.highest > 40


def test_somebody_else_on_the_same_address_is_given_way_to(clock: HandClock) -> None:
    """The bucket is fuller than we know: refusals, but no failure and no storm."""
    toy = Toy(clock, {"crm.deal.list": deals([1])}, takes_time=False)
    toy.level = 45
    with Portal(ADDRESS, clock=clock, transport=toy.transport) as portal:
        for _ in range(60):
            portal.fetch(Request("crm.deal.list"))
    assert 1 <= toy.refused[503] <= 3


def test_threads_share_one_client(clock: HandClock) -> None:
    """Eight threads, one gate, one pool."""
    toy = Toy(clock, {"crm.deal.list": deals([1])}, takes_time=False)
    lock = threading.Lock()

    def handler(request: httpx.Request) -> httpx.Response:
        with lock:
            return toy(request)

    failed: list[BaseException] = []
    with Portal(ADDRESS, clock=clock, transport=httpx.MockTransport(handler)) as portal:

        def work() -> None:
            try:
                for _ in range(20):
                    portal.fetch(Request("crm.deal.list"))
            except BaseException as error:  # noqa: BLE001
                failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [] == failed
    assert 160 == toy.requests
    assert 0 == toy.refused[503]
    assert all(0 == method.under_way for method in portal.gate.stats().methods)


def test_walks_side_by_side_under_one_gate(clock: HandClock) -> None:
    """Many coroutines: nothing refused, nothing lost, nothing left reserved."""
    toy = Toy(
        clock, {"crm.deal.list": deals(range(1, 3_001)), "crm.lead.list": deals(range(1, 1_201))}, takes_time=False
    )

    async def count(portal: AsyncPortal, method: str, floor: int, ceiling: int) -> int:
        listing: Listing[Any] = Listing(method).after(floor).upto(ceiling)
        return sum([page.size async for page in portal.pages(listing, lane=Lane.BACKFILL)])

    async def run() -> list[int]:
        async with AsyncPortal(ADDRESS, clock=clock, transport=toy.transport) as portal:
            found = await asyncio.gather(
                *(count(portal, "crm.deal.list", n * 500, (n + 1) * 500) for n in range(6)),
                *(count(portal, "crm.lead.list", n * 300, (n + 1) * 300) for n in range(4)),
            )
            assert all(0 == method.under_way for method in portal.gate.stats().methods)
            return found

    assert [500] * 6 + [300] * 4 == asyncio.run(run())
    assert {503: 0, 429: 0} == toy.refused


# ---------------------------------------------------------------- breaking off


def test_an_interrupt_gives_back_what_was_reserved(clock: HandClock) -> None:
    """Ctrl-C in the middle of a request."""
    script = Script(KeyboardInterrupt(), {"result": 1})
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal:
        with pytest.raises(KeyboardInterrupt):
            portal.fetch(READ)
        assert all(0 == method.under_way for method in portal.gate.stats().methods)
        assert 1 == portal.fetch(READ)


def test_a_cancelled_task_gives_back_what_was_reserved(clock: HandClock) -> None:
    """A coroutine that is cancelled while the portal thinks."""

    async def run() -> None:
        began = asyncio.Event()

        async def slow(_: httpx.Request) -> httpx.Response:
            began.set()
            await asyncio.Event().wait()
            raise AssertionError

        async with AsyncPortal(ADDRESS, clock=clock, transport=httpx.MockTransport(slow)) as portal:
            task = asyncio.create_task(portal.fetch(READ))
            await began.wait()
            assert any(method.under_way > 0 for method in portal.gate.stats().methods)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert all(0 == method.under_way for method in portal.gate.stats().methods)

    asyncio.run(run())


def test_a_reader_who_leaves_early_leaves_nothing_behind(clock: HandClock) -> None:
    """break in the middle of a walk, in both colours."""
    toy = Toy(clock, {"crm.deal.list": deals(range(1, 1_001))}, takes_time=False)
    with Portal(ADDRESS, clock=clock, transport=toy.transport) as portal:
        for record in portal.each(Listing("crm.deal.list")):
            if record["ID"] == "60":
                break
        assert all(0 == method.under_way for method in portal.gate.stats().methods)

    async def run() -> None:
        async with AsyncPortal(ADDRESS, clock=clock, transport=toy.transport) as portal:
            walk = portal.each(Listing("crm.deal.list"))
            async for record in walk:
                if record["ID"] == "60":
                    break
            await walk.aclose()
            assert all(0 == method.under_way for method in portal.gate.stats().methods)

    asyncio.run(run())


# ---------------------------------------------------------------- moved portals


def test_a_renamed_portal_is_followed_with_the_body_and_remembered(clock: HandClock) -> None:
    """302: the same POST to the new address, the new host told, later requests go there at once."""
    moved: list[str] = []

    def old(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"location": str(request.url.copy_with(host="new.bitrix24.ru"))})

    address = ADDRESS.replace("portal.example", "old.bitrix24.ru")
    script = Script(old, {"result": 1}, {"result": 2})
    with Portal(address, clock=clock, transport=script.transport, on_moved=moved.append) as portal:
        assert (1, 2) == (portal.fetch(WRITE), portal.fetch(READ))
        assert "new.bitrix24.ru" == portal.host
    assert ["new.bitrix24.ru"] == moved
    assert ["old.bitrix24.ru", "new.bitrix24.ru", "new.bitrix24.ru"] == [sent.url.host for sent in script.sent]
    assert script.bodies[0] == script.bodies[1]
    assert "POST" == script.sent[1].method


def test_a_redirect_to_a_stranger_is_not_followed(clock: HandClock) -> None:
    """The secret is not sent where nothing vouches."""
    script = Script(
        lambda request: httpx.Response(302, headers={"location": str(request.url.copy_with(host="evil.example"))})
    )
    with pytest.raises(ConfigError, match=r"evil\.example"):
        ask(script, READ, clock)
    assert 1 == len(script.sent)


def test_a_redirect_to_a_stranger_who_is_trusted_is_followed(clock: HandClock) -> None:
    """The owner has vouched."""
    script = Script(
        lambda request: httpx.Response(307, headers={"location": str(request.url.copy_with(host="ours.example"))}),
        {"result": 1},
    )
    assert 1 == ask(script, READ, clock, trusted=["ours.example"])


def test_redirects_in_a_circle_end(clock: HandClock) -> None:
    """Each leads to the next, for ever."""
    script = Script(*[lambda request: httpx.Response(302, headers={"location": str(request.url)})] * 5)
    with pytest.raises(UnreadableReply, match="one address to another"):
        ask(script, READ, clock)
    assert 4 == len(script.sent)


# ---------------------------------------------------------------- limits of a reply


def test_a_reply_has_a_largest_size(clock: HandClock) -> None:
    """A portal, or who stands for it, cannot fill our memory; packed or not."""
    packed = zlib.compress(b'{"result": "' + b"x" * 10_000_000 + b'"}')
    script = Script(Canned(200, packed, {"content-encoding": "deflate"}))
    with pytest.raises(UnreadableReply, match="larger than allowed"):
        ask(script, READ, clock, max_bytes=100_000)
    assert 1 == len(script.sent)


def test_a_reply_that_never_ends_is_given_up(clock: HandClock) -> None:
    """A byte a minute keeps a read time-out quiet; the whole reply has a time of its own."""

    def drip(_: httpx.Request) -> httpx.Response:
        def body() -> Any:
            for _ in range(1_000):
                clock.move(60)
                yield b" "

        return httpx.Response(200, content=body())

    with Portal(ADDRESS, clock=clock, transport=Script(*[drip] * 5).transport) as portal, pytest.raises(Unreachable):
        portal.fetch(READ)
    assert clock.elapsed < 5 * 300


def test_cookies_are_not_kept(clock: HandClock) -> None:
    """Requests of one PHP session would wait for each other on the portal."""
    script = Script(reply({"result": 1}, **{"set-cookie": "PHPSESSID=abc; path=/"}), {"result": 2})
    with Portal(ADDRESS, clock=clock, transport=script.transport) as portal:
        portal.fetch(READ)
        portal.fetch(READ)
    assert "cookie" not in script.sent[1].headers


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plan": "gold"}, "unknown plan"),
        ({"verify": "/no/such/bundle.pem"}, "bundle"),
        ({"verify": __file__}, "bundle"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(options: dict[str, Any], words: str) -> None:
    """One sentence, before anything is sent."""
    with pytest.raises(ConfigError, match=words):
        Portal(ADDRESS, **options)


def test_clients_of_one_webhook_share_their_budgets() -> None:
    """In one process, on the real clock; webhooks share the bucket but not the book."""
    host = "https://sharing.example/rest"
    first, second = Portal(f"{host}/1/aaaa/"), Portal(Webhook.parse(f"{host}/1/aaaa/"))
    other = AsyncPortal(f"{host}/1/bbbb/")
    elsewhere = Portal("https://elsewhere.example/rest/1/aaaa/")
    assert first.gate is second.gate
    assert first.gate is not other.gate
    assert first.gate.bucket is other.gate.bucket
    assert elsewhere.gate.bucket is not first.gate.bucket


def test_a_gate_can_be_handed_over(clock: HandClock) -> None:
    """Tests, and programs that know better."""
    gate = Gate(clock=clock)
    assert gate is Portal(ADDRESS, clock=clock, gate=gate).gate
