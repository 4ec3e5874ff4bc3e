"""Faults on demand. Reference §3, checklist 13."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from b24metrics.sim.faults import Transport
from b24metrics.sim.refusals import KNOWN, Refusal
from b24metrics.sim.server import Sim

from .conftest import Asker, deals


@pytest.mark.parametrize("code", sorted(KNOWN))
def test_every_documented_code_can_be_had(sim: Sim, ask: Asker, code: str) -> None:
    """Code, text and documented status, once; then the method works again."""
    sim.fail("crm.deal.list", code)

    assert (KNOWN[code].status, code, KNOWN[code].text) == ask.refused("crm.deal.list")
    assert "result" in ask("crm.deal.list")


@pytest.mark.parametrize("error", ["", 0, "0", 100, "A whole sentence.", {"code": "X"}])
def test_errors_may_be_anything(sim: Sim, ask: Asker, error: object) -> None:
    """`error` is text, a number, a sentence or an object."""
    sim.fail("crm.deal.list", Refusal(error, "text", 400))

    assert {"error": error, "error_description": "text"} == ask("crm.deal.list")


def test_faults_choose_method_number_and_calls(sim: Sim, ask: Asker) -> None:
    """Two calls of one family from the second on; others are left alone."""
    sim.fail("crm.*.list", times=2, skip=1)
    statuses = []
    for method in ("crm.deal.list", "crm.lead.list", "profile", "crm.deal.list", "crm.deal.list"):
        ask(method)
        statuses.append(ask.response.status_code)

    assert [200, 500, 200, 500, 200] == statuses


def test_faults_by_chance_are_the_same_in_every_run(b24_sim_factory: Callable[..., Sim], http: httpx.Client) -> None:
    """Half of the calls fail, reproducibly, for ever."""
    runs = []
    for _ in range(2):
        sim = b24_sim_factory()
        sim.fail("server.time", times=None, probability=0.5)
        runs.append([http.get(sim.webhook + "server.time").status_code for _ in range(30)])

    assert runs[0] == runs[1]
    assert {200, 500} == set(runs[0])


def test_a_fault_hits_commands_of_a_batch(sim: Sim, ask: Asker) -> None:
    """Error answers stand in result_error; the batch goes on."""
    sim.fail("crm.lead.list", "ERROR_UNEXPECTED_ANSWER")
    outcome = ask.batch(a="crm.deal.list", b="crm.lead.list", c="crm.lead.list")

    assert {"a", "c"} == set(outcome["result"])
    assert "ERROR_UNEXPECTED_ANSWER" == outcome["result_error"]["b"]["error"]


def test_the_batch_itself_may_fail(sim: Sim, ask: Asker) -> None:
    sim.fail("batch", "INTERNAL_SERVER_ERROR")

    assert 500 == ask.refused("batch", cmd={"a": "server.time"})[0]
    assert "result" in ask("batch", cmd={"a": "server.time"})


def test_no_fault_any_more(sim: Sim, ask: Asker) -> None:
    sim.fail("*", times=None)
    sim.portal.faults.clear()

    assert "result" in ask("server.time")


# ---------------------------------------------------------------- transport


def test_a_reset_connection(sim: Sim, http: httpx.Client) -> None:
    sim.fail("server.time", Transport.RESET)

    with pytest.raises(httpx.ReadError):
        http.get(sim.webhook + "server.time")
    assert 200 == http.get(sim.webhook + "server.time").status_code


def test_no_answer_at_all(sim: Sim, http: httpx.Client) -> None:
    sim.fail("server.time", Transport.HANG)

    with pytest.raises(httpx.ReadTimeout):
        http.get(sim.webhook + "server.time", timeout=httpx.Timeout(10, read=0.05))


def test_stopping_the_portal_ends_hanging_answers(b24_sim_factory: Callable[..., Sim]) -> None:
    """A client that waits for ever does not keep the portal from stopping."""
    import threading

    sim = b24_sim_factory()
    sim.fail("server.time", Transport.HANG)
    outcome: list[Exception] = []

    def wait() -> None:
        try:
            httpx.get(sim.webhook + "server.time", timeout=30)
        except httpx.HTTPError as fault:
            outcome.append(fault)

    client = threading.Thread(target=wait)
    client.start()
    while not sim.portal.faults.hits:
        client.join(0.01)
    sim.stop()
    client.join(10)

    assert ["RemoteProtocolError"] == [type(fault).__name__ for fault in outcome]


def test_a_slow_body_tries_the_patience(sim: Sim, http: httpx.Client) -> None:
    """The first half comes at once, the second later."""
    sim.fail("server.time", Transport.SLOW, seconds=0.3, times=2)

    with pytest.raises(httpx.ReadTimeout):
        http.get(sim.webhook + "server.time", timeout=httpx.Timeout(10, read=0.1))
    assert "result" in http.get(sim.webhook + "server.time").json()


def test_json_cut_in_the_middle(sim: Sim, http: httpx.Client) -> None:
    """A complete HTTP answer with half of a document."""
    sim.fail("server.time", Transport.CUT)
    answer = http.get(sim.webhook + "server.time")

    assert 200 == answer.status_code
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_connection_that_ends_within_the_body(sim: Sim, http: httpx.Client) -> None:
    sim.fail("server.time", Transport.DROP)

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        http.get(sim.webhook + "server.time")


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [(Transport.BAD_GATEWAY, 502, "502 Bad Gateway"), (Transport.GATEWAY_TIMEOUT, 504, "504 Gateway Time-out")],
)
def test_pages_of_the_front_proxy(sim: Sim, http: httpx.Client, fault: Transport, status: int, text: str) -> None:
    sim.fail("server.time", fault)
    answer = http.get(sim.webhook + "server.time")

    assert (status, "text/html") == (answer.status_code, answer.headers["content-type"])
    assert f"<title>{text}</title>" in answer.text


@pytest.mark.parametrize(("executed", "written"), [(True, 1), (False, 0)])
@pytest.mark.parametrize("fault", [Transport.RESET, Transport.GATEWAY_TIMEOUT])
def test_a_lost_answer_may_have_been_work(
    sim: Sim, http: httpx.Client, fault: Transport, executed: bool, written: int
) -> None:
    """The write happened, or it did not: the client cannot know."""
    sim.fail("crm.deal.add", fault, executed=executed)
    try:
        assert 504 == http.post(sim.webhook + "crm.deal.add", json={"fields": {"TITLE": "x"}}).status_code
    except httpx.ReadError:
        assert fault is Transport.RESET

    assert written == sim.data.value("SELECT count(*) FROM deal")


def test_transport_faults_work_over_tls(sim: Sim) -> None:
    import ssl

    sim.fail("server.time", Transport.RESET)
    with (
        httpx.Client(verify=ssl.create_default_context(cafile=str(sim.ca_file))) as client,
        pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)),
    ):
        client.get(sim.https_webhook + "server.time")


def test_rows_may_be_inserted_while_a_client_crawls(sim: Sim, ask: Asker) -> None:
    """Offset pages shift under the crawl, keyset pages do not: the reason for keyset paging."""
    deals(sim, 60)
    first = ask.result("crm.deal.list", order={"ID": "DESC"}, select=["ID"])
    sim.data.insert("deal", {"ID": 61})
    second = ask.result("crm.deal.list", order={"ID": "DESC"}, select=["ID"], start=50)

    assert ["11"] == sorted({row["ID"] for row in first} & {row["ID"] for row in second})
