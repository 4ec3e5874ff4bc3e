"""Addresses, encodings, envelope, headers: reference §1, §2, checklist 1 and 2."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest

from b24metrics.sim.core import Switches
from b24metrics.sim.server import Sim

from .conftest import Asker, deals


@pytest.mark.parametrize(
    "tail", ["server.time", "server.time.json", "server.time/", "SERVER.Time", "Server.TIME.json/"]
)
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_addresses_take_many_forms(sim: Sim, http: httpx.Client, verb: str, tail: str) -> None:
    """With and without ``.json``, with a slash at the end, in any case, by GET and POST."""
    answer = http.request(verb, sim.webhook + tail)

    assert (200, "2025-03-14T12:00:00+03:00") == (answer.status_code, answer.json()["result"])


def test_other_paths_are_not_the_portals(sim: Sim, http: httpx.Client) -> None:
    answer = http.get(sim.url + "/company/personal/")

    assert (404, "text/html") == (answer.status_code, answer.headers["content-type"])


def test_query_json_form_and_multipart_mean_the_same(sim: Sim, ask: Asker) -> None:
    """All encodings reach the method."""
    deals(sim, 3)
    encoded = "filter%5B%3EID%5D=1&order%5BID%5D=DESC&select%5B%5D=ID"
    expected = [{"ID": "3"}, {"ID": "2"}]

    assert expected == ask.result("crm.deal.list", filter={">ID": 1}, order={"ID": "DESC"}, select=["ID"])
    assert expected == ask.get(f"crm.deal.list?{encoded}")["result"]
    assert expected == ask.form("crm.deal.list", encoded)["result"]
    parts = {"filter[>ID]": (None, "1"), "order[ID]": (None, "DESC"), "select[]": (None, "ID")}
    assert expected == ask.http.post(sim.webhook + "crm.deal.list", files=parts).json()["result"]


def test_body_wins_over_query(sim: Sim, ask: Asker) -> None:
    """Both are merged; where both name a parameter, the body's counts."""
    deals(sim, 3)
    answer = ask.http.post(sim.webhook + "crm.deal.list?filter[ID]=1&select[]=ID", json={"filter": {"ID": 2}}).json()

    assert [{"ID": "2"}] == answer["result"]


def test_broken_json_is_a_call_without_parameters(sim: Sim, ask: Asker) -> None:
    """The call succeeds with defaults: a client that cuts its own body gets everything, not an error."""
    deals(sim, 3)
    answer = ask.http.post(
        sim.webhook + "crm.deal.list", content=b'{"filter":{"ID":2', headers={"Content-Type": "application/json"}
    ).json()

    assert 3 == answer["total"]


def test_json_counts_only_under_its_content_type(sim: Sim, ask: Asker) -> None:
    deals(sim, 3)
    answer = ask.http.post(
        sim.webhook + "crm.deal.list", content=b'{"filter":{"ID":2}}', headers={"Content-Type": "text/plain"}
    ).json()

    assert 3 == answer["total"]


def test_success_has_the_whole_envelope(sim: Sim, ask: Asker) -> None:
    """result, total, next, time; times in the server zone; operating with its reset."""
    deals(sim, 51)
    answer = ask("crm.deal.list")

    assert ["result", "next", "total", "time"] == list(answer)
    assert {
        "start": 1741942800,
        "finish": 1741942800.05,
        "duration": 0.05,
        "processing": 0.05,
        "date_start": "2025-03-14T12:00:00+03:00",
        "date_finish": "2025-03-14T12:00:00+03:00",
        "operating_reset_at": 1741943400,
        "operating": 0.05,
    } == answer["time"]
    assert "application/json; charset=utf-8" == ask.response.headers["content-type"]
    assert "*" == ask.response.headers["access-control-allow-origin"]


def test_an_error_has_nothing_but_itself(ask: Asker) -> None:
    assert {"error": "ERROR_METHOD_NOT_FOUND", "error_description": "Method not found!"} == ask("crm.nothing.list")
    assert 404 == ask.response.status_code


def test_text_is_escaped_as_by_php(sim: Sim, ask: Asker) -> None:
    """The raw body is ASCII: slashes and letters are escaped."""
    sim.data.insert("deal", {"ID": 1, "TITLE": "Котёл 5/6"})
    ask("crm.deal.list", select=["ID", "TITLE"])

    assert rb"\u041a\u043e\u0442\u0451\u043b 5\/6" in ask.response.content
    assert re.fullmatch(rb"[ -~]*", ask.response.content)


def test_a_renamed_portal_sends_clients_on(sim: Sim, ask: Asker) -> None:
    """302 to the new address, path and query kept; the body has to be sent again by the client."""
    sim.portal.switches.moved_to = "http://localhost:1"
    answer = ask.http.post(sim.webhook + "crm.deal.list?start=-1", json={})

    assert 302 == answer.status_code
    assert answer.headers["location"].startswith("http://localhost:1/rest/1/")
    assert answer.headers["location"].endswith("/crm.deal.list?start=-1")


def test_plain_http_is_refused_where_https_is_a_must(b24_sim_factory: Callable[..., Sim], http: httpx.Client) -> None:
    """400 INVALID_REQUEST by HTTP, an answer by HTTPS."""
    sim = b24_sim_factory(switches=Switches(https_only=True))
    refused = http.get(sim.webhook + "server.time")
    with _trusting(sim) as trusting:
        answered = trusting.get(sim.https_webhook + "server.time")

    assert (400, {"error": "INVALID_REQUEST", "error_description": "Https required"}) == (
        refused.status_code,
        refused.json(),
    )
    assert 200 == answered.status_code


def _trusting(sim: Sim) -> httpx.Client:
    import ssl

    return httpx.Client(verify=ssl.create_default_context(cafile=str(sim.ca_file)))


def test_newer_portals_send_whole_starts(sim: Sim, ask: Asker) -> None:
    """An integer ``start`` and ``processing`` 0."""
    sim.portal.switches.whole_start = True
    time = ask("server.time")["time"]

    assert (1741942800, 0) == (time["start"], time["processing"])


def test_a_portal_without_metering_sends_no_operating(b24_sim_factory: Callable[..., Sim], http: httpx.Client) -> None:
    """Older and self-hosted portals leave both fields out."""
    from b24metrics.sim.limits import OperatingMeter

    sim = b24_sim_factory(meter=OperatingMeter(limit=None))

    assert {"start", "finish", "duration", "processing", "date_start", "date_finish"} == set(
        http.get(sim.webhook + "server.time").json()["time"]
    )


def test_the_portals_clock_may_be_wrong(sim: Sim, ask: Asker) -> None:
    """server.time and time.date_start agree with each other, not with the client."""
    sim.portal.switches.skew = 90
    answer = ask("server.time")

    assert "2025-03-14T12:01:30+03:00" == answer["result"] == answer["time"]["date_start"]


def test_a_zone_with_summer_time_changes_its_offset(sim: Sim, ask: Asker) -> None:
    """Instants carry the offset of their own date, also on the day of the change."""
    sim.settings(ZONE="Europe/Berlin")
    for number, at in enumerate((1743292799, 1743296400, 1751328000), 1):  # 30 March 2025: 01:00 UTC is the change
        sim.data.insert("deal", {"ID": number, "DATE_CREATE": at})

    assert ["2025-03-30T00:59:59+01:00", "2025-03-30T03:00:00+02:00", "2025-07-01T02:00:00+02:00"] == [
        row["DATE_CREATE"] for row in ask.result("crm.deal.list", select=["DATE_CREATE"])
    ]
