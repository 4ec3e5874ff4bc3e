"""Events, outgoing webhooks, the offline queue. Reference §23."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from b24metrics.clock import HandClock
from b24metrics.sim import php
from b24metrics.sim.accounts import Application
from b24metrics.sim.events import is_loopback
from b24metrics.sim.server import Sim

from .conftest import DEAL, INVOICE, Asker


class Listener:
    """A handler of events: remembers what was posted."""

    def __init__(self) -> None:
        self.got: list[php.Params] = []
        self.types: list[str] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                listener.got.append(php.parse_query(body))
                listener.types.append(self.headers["Content-Type"])
                self.send_response(503 if self.path == "/busy" else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()


@pytest.fixture
def app(sim: Sim, asker: Any) -> Any:
    """An application of the administrator: adds its token to every call."""
    token = sim.add_application(Application("local.app", "app0secret", application_token="app0token"))
    ask = asker(sim.url + "/rest/")

    class App:
        def result(self, method: str, **params: Any) -> Any:
            return ask.result(method, auth=token.access, **params)

        def refused(self, method: str, **params: Any) -> tuple[int, Any, str]:
            return ask.refused(method, auth=token.access, **params)

    return App()


# ---------------------------------------------------------------- push


def test_an_outgoing_webhook_is_told_of_changes(sim: Sim, ask: Asker, listener: Listener) -> None:
    """A form body: event, handler number, identifiers only, time, and a token to verify."""
    sim.add_outgoing_webhook(listener.url, "ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE", token="t0ken")
    number = ask.result("crm.deal.add", fields={"TITLE": "x"})
    ask.result("crm.deal.update", id=number, fields={"TITLE": "y"})
    ask.result("crm.deal.delete", id=number)
    assert [200, 200, 200] == [delivery.status for delivery in sim.deliveries()]

    assert ["ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE"] == [body["event"] for body in listener.got]
    assert {"application/x-www-form-urlencoded"} == set(listener.types)
    body = listener.got[0]
    auth = php.as_map(body["auth"])
    assert ({"FIELDS": {"ID": "1"}}, "1741942800", "1") == (body["data"], body["ts"], body["event_handler_id"])
    assert "t0ken" == auth["application_token"]
    assert {"domain", "client_endpoint", "server_endpoint", "member_id", "application_token"} == set(auth)


def test_invoices_fire_events_of_dynamic_items(sim: Sim, ask: Asker, app: Any, listener: Listener) -> None:
    """With and without the type in the name."""
    for event in ("ONCRMDYNAMICITEMADD", "onCrmDynamicItemUpdate_31"):
        app.result("event.bind", event=event, handler=listener.url)
    number = sim.records.create(INVOICE, {}, sim.hand())
    sim.records.update(INVOICE, number, {"TITLE": "y"}, sim.hand())
    sim.deliveries()

    assert [
        ("ONCRMDYNAMICITEMADD", {"FIELDS": {"ID": "1", "ENTITY_TYPE_ID": "31"}}),
        ("ONCRMDYNAMICITEMUPDATE_31", {"FIELDS": {"ID": "1", "ENTITY_TYPE_ID": "31"}}),
    ] == [(body["event"], body["data"]) for body in listener.got]
    assert "app0token" == php.as_map(listener.got[0]["auth"])["application_token"]


@dataclass(frozen=True)
class Change:
    what: str
    table: str
    id: int
    at: int = 1741942860


def test_a_living_company_is_heard(sim: Sim, listener: Listener) -> None:
    """Records written straight into the database fire the events they would have fired; others are silent."""
    events = ("ONCRMDEALUPDATE", "ONCRMACTIVITYADD", "ONTASKDELETE", "ONVOXIMPLANTCALLEND", "ONCRMTIMELINECOMMENTADD")
    sim.add_outgoing_webhook(listener.url, *events)
    sim.data.insert("phone_call", {"ID": 4, "CALL_ID": "c4", "CALL_DURATION": 9})
    sim.hear([
        Change("UPDATE", "deal", 1), Change("ADD", "activity", 2), Change("DELETE", "task", 3), Change("ADD", "phone_call", 4),
        Change("ADD", "timeline_comment", 5), Change("ADD", "stage_history", 6), Change("UPDATE", "user", 7),
    ])  # fmt: skip
    sim.deliveries()

    assert [
        ("ONCRMDEALUPDATE", {"FIELDS": {"ID": "1"}}),
        ("ONCRMACTIVITYADD", {"FIELDS": {"ID": "2"}}),
        ("ONTASKDELETE", {"FIELDS_BEFORE": {"ID": "3"}}),
        ("ONVOXIMPLANTCALLEND", {"CALL_ID": "c4", "CALL_TYPE": "1", "CALL_DURATION": "9", "CALL_FAILED_CODE": "200"}),
        ("ONCRMTIMELINECOMMENTADD", {"FIELDS": {"ID": "5"}}),
    ] == [(body["event"], body["data"]) for body in listener.got]
    assert {"1741942860"} == {body["ts"] for body in listener.got}


def test_there_are_no_retries(sim: Sim, listener: Listener) -> None:
    """A handler that refuses, or is not there, has missed it."""
    sim.add_outgoing_webhook(listener.url + "/busy", "ONCRMDEALADD")
    sim.add_outgoing_webhook("http://127.0.0.1:1/", "ONCRMDEALADD")
    sim.records.create(DEAL, {}, sim.hand())

    assert [503, 0] == [delivery.status for delivery in sim.deliveries()]
    assert 1 == len(listener.got)


@pytest.mark.parametrize(
    ("url", "served"),
    [
        ("http://127.0.0.1:8000/x", True),
        ("http://127.9.9.9/x", True),
        ("http://localhost/x", True),
        ("http://[::1]:80/x", True),
        ("https://127.0.0.1/x", False),
        ("http://example.com/x", False),
        ("http://10.0.0.1/x", False),
        ("http://127.0.0.1.example.com/x", False),
        ("file:///etc/passwd", False),
        ("nonsense", False),
    ],
)
def test_events_never_leave_the_machine(url: str, served: bool) -> None:
    assert served is is_loopback(url)


def test_a_handler_elsewhere_is_not_even_tried(sim: Sim) -> None:
    sim.add_outgoing_webhook("http://example.com/", "ONCRMDEALADD")
    sim.records.create(DEAL, {}, sim.hand())

    assert [(0, "only loopback addresses are served")] == [(d.status, d.problem) for d in sim.deliveries()]


# ---------------------------------------------------------------- bindings


def test_handlers_are_bound_listed_and_unbound(sim: Sim, app: Any) -> None:
    assert app.result("event.bind", event="onCrmLeadAdd", handler="http://127.0.0.1/a") is True
    app.result("event.bind", event="ONCRMLEADADD", handler="http://127.0.0.1/a", auth_type=7)
    app.result("event.bind", event="ONCRMDEALADD", event_type="offline")

    assert [
        {"event": "ONCRMLEADADD", "handler": "http://127.0.0.1/a", "auth_type": "0", "offline": 0},
        {"event": "ONCRMLEADADD", "handler": "http://127.0.0.1/a", "auth_type": "7", "offline": 0},
        {"event": "ONCRMDEALADD", "handler": "", "auth_type": "0", "offline": 1},
    ] == app.result("event.get")
    assert {"count": 1} == app.result("event.unbind", event="ONCRMLEADADD", handler="http://127.0.0.1/a", auth_type=7)
    assert {"count": 1} == app.result("event.unbind", event="ONCRMLEADADD", handler="http://127.0.0.1/a")
    assert {"count": 1} == app.result("event.unbind", event="ONCRMDEALADD", event_type="offline")
    assert [] == app.result("event.get")


def test_binding_is_checked(sim: Sim, app: Any, asker: Any) -> None:
    """Unknown events; offline and foreign handlers for administrators only."""
    token = sim.portal.accounts.issue(sim.portal.accounts.applications["local.app"], 7, sim.portal.now())
    ann = asker(sim.url + "/rest/")

    assert (400, "ERROR_EVENT_NOT_FOUND") == app.refused("event.bind", event="ONNOTHING", handler="http://127.0.0.1/")[
        :2
    ]
    for more in ({"event_type": "offline"}, {"auth_type": 1, "handler": "http://127.0.0.1/"}):
        assert (403, "ACCESS_DENIED") == ann.refused("event.bind", auth=token.access, event="ONCRMDEALADD", **more)[:2]
    assert (403, "ACCESS_DENIED") == ann.refused("event.offline.get", auth=token.access)[:2]
    assert "ONCRMDEALADD" in app.result("events")


# ---------------------------------------------------------------- the offline queue


@pytest.fixture
def queued(sim: Sim, app: Any, clock: HandClock) -> Any:
    """Deals 1 to 3 were added, deal 1 changed twice."""
    for event in ("ONCRMDEALADD", "ONCRMDEALUPDATE"):
        app.result("event.bind", event=event, event_type="offline")
    for _ in range(3):
        sim.records.create(DEAL, {}, sim.hand())
    for _ in range(2):
        clock.move(60)
        sim.records.update(DEAL, 1, {"TITLE": "y"}, sim.hand())
    return app


def test_the_queue_keeps_the_latest_per_object(queued: Any) -> None:
    """One record per event and object with its last time; taking them empties the queue."""
    taken = queued.result("event.offline.get")

    assert taken["process_id"] is None
    assert [("ONCRMDEALADD", 1), ("ONCRMDEALADD", 2), ("ONCRMDEALADD", 3), ("ONCRMDEALUPDATE", 1)] == sorted(
        (event["EVENT_NAME"], int(event["EVENT_DATA"]["FIELDS"]["ID"])) for event in taken["events"]
    )
    assert "2025-03-14T12:02:00+03:00" == taken["events"][-1]["TIMESTAMP_X"]
    assert {"ID", "TIMESTAMP_X", "EVENT_NAME", "EVENT_DATA", "EVENT_ADDITIONAL", "MESSAGE_ID"} == set(
        taken["events"][0]
    )
    assert [] == queued.result("event.offline.get")["events"]


def test_reserving_gives_disjoint_parts(queued: Any) -> None:
    """clear=0 reserves under a process; others get what is left; confirming removes, failing marks."""
    first = queued.result("event.offline.get", clear=0, limit=3)
    second = queued.result("event.offline.get", clear=0, limit=3)
    numbers = [{event["ID"] for event in part["events"]} for part in (first, second)]

    assert ([3, 1], True) == ([len(part) for part in numbers], numbers[0].isdisjoint(numbers[1]))
    assert first["process_id"] != second["process_id"]
    again = queued.result("event.offline.get", clear=0, process_id=first["process_id"])
    assert numbers[0] == {event["ID"] for event in again["events"]}
    bad, *good = first["events"]
    assert (
        queued.result("event.offline.clear", process_id=first["process_id"], id=[event["ID"] for event in good]) is True
    )
    assert queued.result("event.offline.error", process_id=first["process_id"], message_id=[bad["MESSAGE_ID"]]) is True
    left = {row["ID"]: (row["PROCESS_ID"], row["ERROR"]) for row in queued.result("event.offline.list")}
    assert {bad["ID"]: (first["process_id"], "1"), second["events"][0]["ID"]: (second["process_id"], "0")} == left


def test_reservations_lapse_after_a_month(queued: Any, asker: Any, clock: HandClock, sim: Sim) -> None:
    """What nobody confirmed is free again."""
    reserved = queued.result("event.offline.get", clear=0)
    clock.move(30 * 86_400 + 1)
    token = sim.portal.accounts.issue(sim.portal.accounts.applications["local.app"], 1, sim.portal.now())
    again = asker(sim.url + "/rest/").result("event.offline.get", auth=token.access, clear=0)

    assert {event["ID"] for event in reserved["events"]} == {event["ID"] for event in again["events"]}


def test_the_extended_queue_may_be_missing(queued: Any, sim: Sim) -> None:
    """feature.get tells; reserving is then refused."""
    assert {"value": "Y"} == queued.result("feature.get", CODE="rest_offline_extended")
    sim.portal.switches.extended_queue = False

    assert {"value": "N"} == queued.result("feature.get", CODE="rest_offline_extended")
    assert (403, "ACCESS_DENIED") == queued.refused("event.offline.get", clear=0)[:2]


def test_a_queue_of_its_own_ignores_its_own_writes(sim: Sim, app: Any) -> None:
    """auth_connector: what the connector writes itself does not come back to it."""
    app.result("event.bind", event="ONCRMDEALADD", event_type="offline", auth_connector="mine")
    app.result("crm.deal.add", fields={}, auth_connector="mine")
    app.result("crm.deal.add", fields={})

    events = app.result("event.offline.get", auth_connector="mine")["events"]
    assert [2] == [int(event["EVENT_DATA"]["FIELDS"]["ID"]) for event in events]


def test_a_waking_call_for_the_queue(sim: Sim, app: Any, listener: Listener) -> None:
    """ONOFFLINEEVENT comes online when something was queued."""
    app.result("event.bind", event="ONOFFLINEEVENT", handler=listener.url)
    app.result("event.bind", event="ONCRMDEALADD", event_type="offline")
    sim.records.create(DEAL, {}, sim.hand())
    sim.deliveries()

    assert ["ONOFFLINEEVENT"] == [body["event"] for body in listener.got]
