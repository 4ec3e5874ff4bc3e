"""Batches end with every request done, failed or not run, and never run one with rubbish."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx
import pytest

from b24metrics.clock import HandClock
from b24metrics.errors import (
    BadRequest,
    BatchFailed,
    LostReply,
    NoSuchRecord,
    NotAllowed,
    NotAuthorised,
    NotRun,
    PortalFault,
    Unreachable,
    UnreadableRow,
)
from b24metrics.portal import AsyncPortal, Batch, Listing, Portal, Ref, Request, count_request, page_request
from tests.portal.fakes import ADDRESS, BROKEN, OPERATION, Script, Toy, deal_id, deals, parse_str, reply

DENIED = {"error": "ACCESS_DENIED", "error_description": "Access denied!"}


def toy(clock: HandClock, **options: Any) -> Toy:
    made = Toy(clock, {"crm.deal.list": deals(range(1, 120))}, takes_time=False, **options)
    made.methods["user.get"] = lambda params: [{"ID": params.get("ID"), "NAME": "Ann"}]
    made.methods["profile"] = lambda _: {"ID": "7"}
    made.methods["crm.deal.get"] = lambda params: {"ID": params["id"], "ASSIGNED_BY_ID": "5", "LEAD_ID": None}
    made.methods["im.notify.system.add"] = lambda _: 55
    made.methods["broken.get"] = lambda _: dict(DENIED)
    return made


def run(made: Toy | Script, batch: Batch | dict[str, Request[Any]], clock: HandClock, **options: Any) -> dict[str, Any]:
    with Portal(ADDRESS, clock=clock, transport=made.transport, chance=random.Random(2), **options) as portal:
        result = portal.batch(batch)
        assert all(0 == method.under_way for method in portal.gate.stats().methods)
        return result


def test_requests_travel_together(clock: HandClock) -> None:
    """One HTTP request; results by name, decoded, in order; totals and pages too."""
    made = toy(clock)
    listing = Listing("crm.deal.list", deal_id)
    found = run(
        made,
        {
            "me": Request("profile", decode=lambda result: int(result["ID"])),
            "page": page_request(listing.after(100)),
            "count": count_request(listing.upto(70)),
        },
        clock,
    )
    assert ["me", "page", "count"] == list(found)
    assert (7, tuple(range(101, 120)), 70) == (found["me"], found["page"].items, found["count"])
    assert 1 == made.requests


@pytest.mark.parametrize("names", [["0", "1", "2"], ["a b", "c[d]", "é"], ["c02", "c01", "c00"]])
def test_names_are_free(names: list[str], clock: HandClock) -> None:
    """Numbers, brackets, anything: the portal never sees them."""
    batch = {name: Request("user.get", {"ID": n}, decode=lambda rows: rows[0]["ID"]) for n, name in enumerate(names)}
    assert dict(zip(names, "012", strict=True)) == run(toy(clock), batch, clock)


def test_one_request_needs_no_batch_around_it(clock: HandClock) -> None:
    """And an empty batch needs none at all."""
    script = Script({"result": {"ID": "7"}})
    assert {"me": {"ID": "7"}} == run(script, {"me": Request("profile")}, clock)
    assert script.sent[0].url.path.endswith("/profile")
    assert {} == run(Script(), {}, clock)


def test_more_than_fifty_are_split(clock: HandClock) -> None:
    """120 requests are three HTTP requests."""
    made = toy(clock, cost=0.01)
    batch = Batch.of(Request("profile") for _ in range(120))
    with Portal(ADDRESS, clock=clock, transport=made.transport) as portal:
        portal.fetch(Request("profile"))  # shows what it costs
        before = made.requests
        assert 120 == len(portal.batch(batch))
    assert 3 == made.requests - before


def test_slow_requests_travel_in_smaller_batches(clock: HandClock) -> None:
    """No round is expected to last longer than 45 s."""
    made = toy(clock, cost=9.0)
    made.takes_time = True
    sizes: list[int] = []
    original = made._batch
    made._batch = lambda params, started: (sizes.append(len(params["cmd"])), original(params, started))[1]
    assert 60 == len(run(made, Batch.of(Request("profile") for _ in range(60)), clock))
    assert max(sizes[1:]) <= 5


def test_a_failure_does_not_hide_what_was_done(clock: HandClock) -> None:
    """BatchFailed holds both; the others were run."""
    batch = {
        "a": Request("profile"),
        "b": Request("broken.get"),
        "c": Request("user.get", {"ID": 1}),
        "d": Request("no.such"),
    }
    with pytest.raises(BatchFailed, match="2 of 4") as failed:
        run(toy(clock), batch, clock)
    assert ["a", "c"] == list(failed.value.done)
    assert {"b": NotAllowed, "d": "NoSuchMethod"} == {
        "b": type(failed.value.failed["b"]), "d": type(failed.value.failed["d"]).__name__,
    }  # fmt: skip


def test_a_record_that_does_not_decode_fails_alone(clock: HandClock) -> None:
    """The other results are kept."""
    with pytest.raises(BatchFailed) as failed:
        run(toy(clock), {"a": Request("profile", decode=lambda row: row["X"]), "b": Request("profile")}, clock)
    assert isinstance(failed.value.failed["a"], UnreadableRow)
    assert {"b": {"ID": "7"}} == failed.value.done


def test_a_halting_batch_stops_at_the_first_failure(clock: HandClock) -> None:
    """What comes behind is neither done nor failed, in this round or in any later one."""
    made = toy(clock)
    batch = Batch({"a": Request("profile"), "b": Request("broken.get"), "c": Request("profile")}, halt=True)
    with pytest.raises(BatchFailed) as failed:
        run(made, batch, clock)
    assert (["a"], ["b"]) == (list(failed.value.done), list(failed.value.failed))
    assert ["profile", "broken.get"] == made.commands
    many = {f"p{n}": Request("profile") for n in range(60)}
    with pytest.raises(BatchFailed) as failed:
        run(toy(clock), Batch({"x": Request("broken.get"), **many}, halt=True), clock)
    assert ([], ["x"]) == (list(failed.value.done), list(failed.value.failed))


# ---------------------------------------------------------------- references


def test_a_reference_is_resolved_by_the_portal(clock: HandClock) -> None:
    """Within one request."""
    made = toy(clock)
    batch = {
        "deal": Request("crm.deal.get", {"id": 3}),
        "who": Request("user.get", {"ID": Ref("deal")["ASSIGNED_BY_ID"]}),
    }
    assert [{"ID": "5", "NAME": "Ann"}] == run(made, batch, clock)["who"]
    assert 1 == made.requests


def test_a_request_is_not_run_without_what_it_refers_to(clock: HandClock) -> None:
    """The portal halts at the failure; those that do not depend on it run in a second round."""
    made = toy(clock)
    batch = {
        "bad": Request("broken.get"),
        "needs": Request("user.get", {"ID": Ref("bad")["ID"]}),
        "needs too": Request("user.get", {"ID": Ref("needs")[0]["ID"]}),
        "free": Request("profile"),
    }
    with pytest.raises(BatchFailed) as failed:
        run(made, batch, clock)
    assert {"bad": NotAllowed, "needs": NotRun, "needs too": NotRun} == {
        name: type(error) for name, error in failed.value.failed.items()
    }
    assert {"free": {"ID": "7"}} == failed.value.done
    assert ["broken.get", "profile"] == made.commands


@pytest.mark.parametrize(
    "ref", [Ref("deals")[0]["ID"], Ref("deals")["x"], Ref("deal")["LEAD_ID"], Ref("deal")["ID"]["y"]]
)
def test_a_reference_to_nothing_yields_no_result(ref: Ref, clock: HandClock) -> None:
    """The portal runs it with something else in its place; what comes is thrown away."""
    made = toy(clock)
    made.tables["crm.deal.list"] = []
    batch = {
        "deals": Request("crm.deal.list"),
        "deal": Request("crm.deal.get", {"id": 1}),
        "who": Request("user.get", {"ID": ref}),
    }
    with pytest.raises(BatchFailed) as failed:
        run(made, batch, clock)
    assert ["who"] == list(failed.value.failed)
    assert isinstance(failed.value.failed["who"], NotRun)


def test_a_write_waits_for_the_round_after_what_it_refers_to(clock: HandClock) -> None:
    """A reference that leads nowhere would make it write rubbish; so it is sent with the value itself."""
    script = Script({"result": {"ID": "3", "ASSIGNED_BY_ID": "5"}}, {"result": 55})
    write = Request("im.notify.system.add", {"USER_ID": Ref("deal")["ASSIGNED_BY_ID"]}, repeatable=False)
    assert 55 == run(script, {"deal": Request("crm.deal.get", {"id": 3}), "told": write}, clock)["told"]
    assert {"USER_ID": "5"} == script.bodies[1]
    made = toy(clock)
    made.tables["crm.deal.list"] = []
    nobody = Request("im.notify.system.add", {"USER_ID": Ref("deals")[0]["ID"]}, repeatable=False)
    with pytest.raises(BatchFailed):
        run(made, {"deals": Request("crm.deal.list"), "told": nobody}, clock)
    assert "im.notify.system.add" not in made.commands


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({"a": Request("user.get", {"ID": Ref("b")["ID"]}), "b": Request("profile")}, "earlier"),
        ({"a": Request("user.get", {"ID": Ref("a")["ID"]})}, "earlier"),
        ({"a": Request("user.get", {"ID": Ref("zzz")})}, "earlier"),
        ({"a": Request("tasks.task.get", {"id": 1}, rest3=True)}, "REST 3.0"),
        ({"a": Request("profile"), "b": Request("x y")}, "method name"),
        ({"a": Request("profile"), "b": Request("x", {"at": float("nan")})}, "cannot be sent"),
    ],
)
def test_a_batch_that_cannot_be_meant_is_refused_before_it_is_sent(batch: Any, words: str, clock: HandClock) -> None:
    """Nothing of it is run."""
    with pytest.raises(ValueError, match=words):
        run(Script(), batch, clock)


@pytest.mark.parametrize("params", [{"FILTER": {"@ID": []}}, {"text": "$result[c00][ID]"}, {"@ID": list(range(1_000))}])
def test_what_a_command_cannot_carry_travels_alone(params: dict[str, Any], clock: HandClock) -> None:
    """Empty lists, text like a reference, thousands of values: as a JSON body of its own, unharmed."""
    made = toy(clock)
    batch = {"a": Request("profile"), "odd": Request("user.get", params), "b": Request("profile")}
    assert 3 == len(run(made, batch, clock))
    assert ("user.get", params) in made.log


# ---------------------------------------------------------------- limits and faults


def test_a_refused_command_is_repeated_in_a_later_batch(clock: HandClock) -> None:
    """OPERATION_TIME_LIMIT inside a batch: the others are done at once, this one when its method is free."""
    made = toy(clock)
    made.blocked["user.get"] = clock.now() + 130
    batch = {
        "a": Request("profile"),
        "b": Request("user.get", {"ID": 1}),
        "c": Request("profile"),
        "d": Request("user.get"),
    }
    assert ["a", "b", "c", "d"] == list(run(made, batch, clock))
    assert 130 <= clock.elapsed <= 260
    assert 2 == made.commands.count("profile")


def test_a_batch_that_is_refused_as_a_whole_waits(clock: HandClock) -> None:
    """Where portals bill batches to batch."""
    script = Script(
        reply(OPERATION, 429),
        {"result": {"result": {"c00": 1, "c01": 2}, "result_error": []}},
    )
    assert {"a": 1, "b": 2} == run(script, {"a": Request("profile"), "b": Request("server.time")}, clock)
    assert clock.elapsed >= 60


def test_a_failing_command_is_repeated_if_it_may_be(clock: HandClock) -> None:
    """INTERNAL_SERVER_ERROR inside: reads again, writes not."""
    made = toy(clock)
    made.faults = {"user.get": [dict(BROKEN)], "im.notify.system.add": [dict(BROKEN)]}
    batch = {"a": Request("user.get", {"ID": 1}), "b": Request("im.notify.system.add", repeatable=False)}
    with pytest.raises(BatchFailed) as failed:
        run(made, batch, clock)
    assert ["a"] == list(failed.value.done)
    assert isinstance(failed.value.failed["b"], PortalFault)
    assert 1 == made.commands.count("im.notify.system.add")


def test_a_command_that_fails_for_ever_is_told(clock: HandClock) -> None:
    """Repeats are bounded, and what was done is kept."""
    made = toy(clock)
    made.faults = {"user.get": [dict(BROKEN) for _ in range(99)]}
    with pytest.raises(BatchFailed) as failed:
        run(made, {"a": Request("profile"), "b": Request("user.get", {"ID": 1})}, clock)
    assert ["a"] == list(failed.value.done)
    assert isinstance(failed.value.failed["b"], PortalFault)
    assert made.commands.count("user.get") < 10


@pytest.mark.parametrize("fault", [httpx.ReadError("reset"), httpx.ReadTimeout("slow"), reply(b"<html>", 502)])
def test_a_lost_batch_of_reads_is_repeated(fault: Any, clock: HandClock) -> None:
    """As one request is."""
    script = Script(fault, {"result": {"result": {"c00": 1, "c01": 2}}})
    assert {"a": 1, "b": 2} == run(script, {"a": Request("profile"), "b": Request("server.time")}, clock)


def test_a_lost_batch_with_a_write_repeats_the_reads_only(clock: HandClock) -> None:
    """The write is reported as lost."""
    script = Script(httpx.ReadError("reset"), {"result": {"result": {"c00": 1, "c01": 2}}})
    batch = {
        "a": Request("profile"),
        "w": Request("im.notify.system.add", repeatable=False),
        "b": Request("server.time"),
    }
    with pytest.raises(BatchFailed) as failed:
        run(script, batch, clock)
    assert {"a": 1, "b": 2} == failed.value.done
    assert isinstance(failed.value.failed["w"], LostReply)
    assert ["profile", "server.time"] == list(script.bodies[1]["cmd"].values())


def test_a_batch_that_times_out_is_halved(clock: HandClock) -> None:
    """The next attempt carries half as many commands."""
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        import json

        commands = json.loads(request.content)["cmd"]
        sizes.append(len(commands))
        if len(commands) > 10:
            raise httpx.ReadTimeout("slow")
        return reply({"result": {"result": dict.fromkeys(commands, 1)}})(request)

    with Portal(ADDRESS, clock=clock, transport=httpx.MockTransport(answer), chance=random.Random(1)) as portal:
        assert 20 == len(portal.batch(Batch.of(Request("profile") for _ in range(20))))
    assert [20, 10, 10] == sizes


def test_a_credential_that_fails_ends_the_batch(clock: HandClock) -> None:
    """Nothing done: the error itself. Something done: BatchFailed with the rest failed."""
    bad = reply({"error": "INVALID_CREDENTIALS", "error_description": "Invalid request credentials"}, 401)
    with pytest.raises(NotAuthorised):
        run(Script(bad), {"a": Request("profile"), "b": Request("server.time")}, clock)
    script = Script({"result": {"result": {f"c{n:02}": n for n in range(30)}}}, bad)
    with pytest.raises(BatchFailed) as failed:
        run(script, Batch.of(Request("profile") for _ in range(60)), clock)
    assert (30, 30) == (len(failed.value.done), len(failed.value.failed))
    assert isinstance(failed.value.failed["59"], NotAuthorised)


def test_a_dead_network_ends_the_batch(clock: HandClock) -> None:
    """After repeats."""
    with pytest.raises(Unreachable):
        run(Script(*[httpx.ConnectError("down")] * 5), {"a": Request("profile"), "b": Request("server.time")}, clock)


@pytest.mark.parametrize("result", [[], {}, {"result": [], "result_error": []}, None])
def test_a_batch_that_comes_back_empty_is_not_a_batch_of_nothing(result: Any, clock: HandClock) -> None:
    """It is repeated, then told."""
    script = Script(*[{"result": result}] * 5)
    with pytest.raises(Exception, match="batch"):
        run(script, {"a": Request("profile"), "b": Request("server.time")}, clock)
    assert 5 == len(script.sent)


def test_positional_results_are_understood(clock: HandClock) -> None:
    """A map that PHP wrote as a list."""
    script = Script({"result": {"result": [1, 2], "result_error": [], "result_total": []}})
    assert {"a": 1, "b": 2} == run(script, {"a": Request("profile"), "b": Request("server.time")}, clock)


def test_writes_keep_their_order(clock: HandClock) -> None:
    """A write does not overtake a read that rests, and nothing overtakes the write."""
    made = toy(clock)
    write = Request("im.notify.system.add", repeatable=False)
    who = Request("user.get", {"ID": 1})
    with Portal(ADDRESS, clock=clock, transport=made.transport) as portal:
        made.blocked["user.get"] = clock.now() + 100
        impatient = Portal(ADDRESS, clock=clock, transport=made.transport, gate=portal.gate, patience=0)
        with pytest.raises(BatchFailed):  # the gate learns that the method rests
            impatient.batch({"a": who, "b": Request("profile")})
        made.commands.clear()
        portal.batch({"a": who, "w": write, "b": Request("profile")})
    assert ["im.notify.system.add", "profile"] == made.commands[-2:]
    assert {"user.get"} == set(made.commands[:-2])


def test_both_clients_run_the_same_batch(clock: HandClock) -> None:
    """One logic."""

    async def asynchronous() -> dict[str, Any]:
        async with AsyncPortal(ADDRESS, clock=clock, transport=toy(clock).transport) as portal:
            return await portal.batch({"a": Request("profile"), "b": Request("user.get", {"ID": 1})})

    batch = {"a": Request("profile"), "b": Request("user.get", {"ID": 1})}
    assert run(toy(clock), batch, clock) == asyncio.run(asynchronous())


def test_commands_are_written_with_encoded_operators(clock: HandClock) -> None:
    """Otherwise the first = inside <=ID would split the key."""
    script = Script({"result": {"result": {"c00": [], "c01": []}}})
    listing = Listing("crm.deal.list").after(5).upto(9)
    run(script, {"a": page_request(listing), "b": page_request(listing)}, clock)
    method, _, asked = script.bodies[0]["cmd"]["c00"].partition("?")
    assert "crm.deal.list" == method
    assert {"filter": {">ID": "5", "<=ID": "9"}, "order": {"ID": "ASC"}, "start": "-1"} == parse_str(asked)
    assert not set("[]<>") & set(asked)


def test_errors_of_one_request_alone_stay_its_own(clock: HandClock) -> None:
    """A last round of one request goes without a batch; its refusal is still its own."""
    made = toy(clock)
    made.methods["crm.deal.get"] = lambda _: {"error": "NOT_FOUND", "error_description": "Not found."}
    with pytest.raises(BatchFailed) as failed:
        run(made, {"a": Request("profile"), "x": Request("crm.deal.get", {"@id": list(range(950))})}, clock)
    assert isinstance(failed.value.failed["x"], NoSuchRecord)
    with pytest.raises(BatchFailed) as failed:
        run(made, {"x": Request("broken.get", {"a": {}})}, clock)
    assert not isinstance(failed.value.failed["x"], BadRequest)
