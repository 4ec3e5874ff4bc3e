"""The handle by which tests and users hold the practice portal."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import httpx
import pytest

from b24metrics.clock import HandClock
from b24metrics.sim import tables
from b24metrics.sim.calls import METHODS
from b24metrics.sim.core import Ask
from b24metrics.sim.limits import RateBucket
from b24metrics.sim.pytest_plugin import SimFactory
from b24metrics.sim.server import Sim, run_forever

from .conftest import Asker, deals, furnish


def test_the_plugin_offers_a_portal_ready_to_use(b24_sim: Sim, http: httpx.Client) -> None:
    """An administrator and a webhook are there; nothing else."""
    ask = Asker(http, b24_sim.webhook)

    assert "1" == ask.result("profile")["ID"]
    assert [] == ask.result("crm.deal.list")


def test_portals_stand_side_by_side(b24_sim_factory: SimFactory, http: httpx.Client) -> None:
    first, second = b24_sim_factory(), b24_sim_factory()
    Asker(http, first.webhook).result("crm.deal.add", fields={})

    assert [1, 0] == [Asker(http, sim.webhook)("crm.deal.list")["total"] for sim in (first, second)]


def test_importing_the_plugin_opens_nothing() -> None:
    """pytest loads it everywhere: neither database nor server may come along."""
    code = "import sys; before = set(sys.modules); import b24metrics.sim.pytest_plugin; print({'duckdb', 'uvicorn', 'starlette'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "set()" == found.stdout.strip()


def test_data_may_come_from_a_file_and_stays_there(tmp_path: Path, http: httpx.Client) -> None:
    """Tens of millions of rows live in a file; what clients write is kept."""
    file = tmp_path / "company.duckdb"
    with Sim(data=file) as sim:
        furnish(sim)
        Asker(http, sim.webhook).result("crm.deal.add", fields={"TITLE": "kept"})
    with Sim(data=file) as sim:
        assert "kept" == Asker(http, sim.webhook).result("crm.deal.list")[0]["TITLE"]


def test_data_may_come_from_an_open_connection(http: httpx.Client) -> None:
    """The connection stays open, and its owner's, when the portal stops."""
    with duckdb.connect() as connection:
        tables.create(connection)
        connection.execute("INSERT INTO deal BY NAME SELECT 5 AS ID")
        with Sim(data=connection) as sim:
            assert 1 == Asker(http, sim.webhook)("crm.deal.list")["total"]
        assert (1,) == connection.execute("SELECT count(*) FROM deal").fetchone()


def test_https_is_trusted_by_its_own_authority_alone(sim: Sim) -> None:
    with httpx.Client(verify=ssl.create_default_context(cafile=str(sim.ca_file))) as trusting:
        assert "result" in trusting.get(sim.https_webhook + "server.time").json()
    with httpx.Client() as doubting, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        doubting.get(sim.https_webhook + "server.time")


def test_it_serves_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback"):
        Sim(host="0.0.0.0")


def test_the_log_tells_what_was_asked(sim: Sim, ask: Asker) -> None:
    """Method, parameters, status, error, cost, time; commands of a batch stand before the batch and share its number."""
    sim.portal.costs.methods["crm.deal.list"] = 2.0
    ask("crm.deal.list", filter={"ID": 5})
    ask("batch", cmd={"a": "crm.lead.list?start=-1", "b": "crm.nothing"})

    assert [("crm.deal.list", 200, False), ("crm.lead.list", 200, True), ("batch", 200, False)] == [
        (entry.method, entry.status, entry.batch) for entry in sim.log
    ]
    first = sim.calls("crm.deal.list")[0]
    assert ({"filter": {"ID": 5}}, 2.0, 0, 1_741_942_800) == (first.params, first.seconds, first.total, first.at)
    assert 2 == sim.request_count
    assert sim.log[1].request == sim.log[2].request
    assert "practice0portal0secret" not in repr(sim.log)


def test_many_clients_at_once(sim: Sim) -> None:
    """Requests of many threads are answered one by one and none is lost."""
    deals(sim, 500)
    totals: list[int] = []

    def work() -> None:
        with httpx.Client() as http:
            ask = Asker(http, sim.webhook)
            for _ in range(5):
                ask.result("crm.deal.add", fields={})
                totals.append(ask("crm.deal.list")["total"])

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert (30, 530) == (len(totals), sim.data.value("SELECT count(*) FROM deal"))
    assert 530 == sim.data.value("SELECT max(ID) FROM deal") == sim.data.value("SELECT count(DISTINCT ID) FROM deal")


def test_it_can_run_until_told_to_stop() -> None:
    """The door for the command line: announces its addresses, runs on the machine's clock."""
    seen: list[str] = []
    enough = threading.Event()

    def announce(sim: Sim) -> None:
        seen.append(httpx.get(sim.webhook + "server.time").json()["result"][:4])
        seen.append(sim.https_webhook.partition(":")[0])
        enough.set()

    run_forever(announce=announce, https=True, until=enough, bucket=RateBucket.generous())

    assert "https" == seen[1]
    assert int(seen[0]) >= 2025


def test_stopping_twice_is_stopping() -> None:
    sim = Sim(clock=HandClock()).start()
    sim.stop()
    sim.stop()

    with pytest.raises(httpx.ConnectError):
        httpx.get(sim.webhook + "server.time")


def test_every_documented_method_is_there() -> None:
    """The method index of the reference, classic part."""
    index = """
        crm.lead.list crm.deal.list crm.contact.list crm.company.list crm.quote.list crm.deal.get crm.deal.fields
        crm.deal.contact.items.get crm.contact.company.items.get crm.company.contact.items.get crm.item.list crm.item.get
        crm.item.fields crm.item.add crm.item.update crm.item.delete crm.stagehistory.list crm.status.list crm.status.entity.types
        crm.status.entity.items crm.status.fields crm.category.list crm.category.get crm.category.fields crm.currency.list
        crm.currency.base.get crm.activity.list crm.activity.get crm.activity.fields crm.activity.binding.list crm.activity.todo.add
        crm.activity.call.getTranscript crm.timeline.comment.list crm.timeline.comment.add crm.item.productrow.list
        crm.deal.productrows.get crm.item.payment.list crm.invoice.list crm.invoice.get crm.type.list crm.deal.userfield.list
        userfieldconfig.list crm.enum.ownertype crm.settings.mode.get voximplant.statistic.get telephony.call.attachTranscription
        telephony.externalCall.register telephony.externalCall.finish user.get user.search user.current department.get
        tasks.task.list tasks.task.get tasks.task.history.list imopenlines.config.list.get imopenlines.config.get
        imopenlines.dialog.get imopenlines.session.history.get imopenlines.crm.chat.get calendar.settings.get
        calendar.user.settings.get calendar.accessibility.get calendar.event.get timeman.status timeman.settings
        timeman.schedule.get timeman.timecontrol.reports.get catalog.product.list event.bind event.get event.unbind
        event.offline.get event.offline.list event.offline.clear event.offline.error im.notify.system.add im.notify.personal.add
        im.message.add scope method.get methods server.time profile app.info feature.get user.admin events
    """  # fmt: skip

    assert [] == [name for name in index.split() if name.lower() not in METHODS]


def test_no_method_breaks_on_nonsense(sim: Sim) -> None:
    """Whatever comes in, the answer is an envelope or a refusal: never a fault of the portal itself."""
    deals(sim, 1)
    common = {"entityTypeId": 2, "fields": {"TITLE": [1]}, "auth": ""}
    nonsense = [
        {},
        {"id": [1]},
        {"filter": {">ID": {"a": 1}}, "order": {"ID": []}, "select": {"x": ["y"]}, "start": "x"},
    ]
    path = sim.webhook.removeprefix(sim.url)
    answers = {
        (name, number): json.loads(sim.portal.handle(Ask("POST", path + name, body={**common, **params})).body)
        for name in METHODS
        for number, params in enumerate(nonsense)
    }

    assert [] == [key for key, answer in answers.items() if not {"time", "error"} & set(answer)]
