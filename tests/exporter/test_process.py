"""The exporter as its users start it: a process, against the practice portal, until a signal comes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from b24metrics.clock import SystemClock
from b24metrics.sim.accounts import Application
from b24metrics.sim.company import build
from b24metrics.sim.company.options import Company
from b24metrics.sim.server import Sim

pytestmark = pytest.mark.real

SECRET = "practice0secret0of0this0test"


@pytest.fixture(scope="module")
def portal() -> Iterator[Sim]:
    """A small company on the machine's clock, because the exporter lives by it."""
    clock = SystemClock()
    data = duckdb.connect()
    build(data, Company(now=clock.now(), managers=4, departments=2, months=1, talk=0.2))
    with Sim(clock=clock, data=data, secret=SECRET) as sim:
        yield sim


class Exporter:
    """A running `b24exporter run`; everything that it says is kept."""

    def __init__(self, folder: Path, webhook: str | None, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("B24_")}
        if webhook is not None:
            environment["B24_WEBHOOK"] = webhook
        self.process = subprocess.Popen(
            [
                sys.executable, "-c", "from b24exporter.cli import main; main()", "run", "--listen", "127.0.0.1:0",
                "--mirror", str(folder / "mirror.duckdb"), "--interval", "5", *arguments,
            ],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        )  # fmt: skip
        self.said: list[str] = []
        self._serving = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.said.append(line)
            if "Serving" in line:
                self._serving.set()
        self._serving.set()

    def __enter__(self) -> httpx.Client:
        assert self._serving.wait(60), self.said
        found = re.search(r"http://127\.0\.0\.1:\d+/", "".join(self.said))
        assert found, "".join(self.said)
        self.client = httpx.Client(base_url=found[0], trust_env=False, timeout=30)
        return self.client

    def __exit__(self, *_error: object) -> None:
        self.client.close()
        self.close()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self._reader.join(30)
        self.process.stdout.close()

    def heard(self, words: str) -> bool:
        """Whether these words come within ten seconds."""
        pause = threading.Event()
        for _ in range(100):
            if words in "".join(self.said):
                return True
            pause.wait(0.1)
        return False

    def stopped_by(self, number: signal.Signals) -> int:
        """Exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(60)


def when_ready(client: httpx.Client) -> None:
    """Waits for the first edition, as a person would: by asking."""
    pause = threading.Event()
    for _ in range(1800):
        if client.get("/-/ready").status_code == 200:
            return
        pause.wait(0.1)
    raise AssertionError(client.get("/-/ready").text)


def own(text: str) -> list[str]:
    """What it says of itself. A failing comparison with megabytes of text would be explained for hours."""
    return [line for line in text.splitlines() if line.startswith(("b24_up", "b24_exporter_"))]


def test_the_whole_life_of_an_exporter(portal: Sim, tmp_path: Path) -> None:
    """Copies, computes, serves, ends cleanly on Ctrl-C; the mirror serves again without the portal; no secret anywhere."""
    seen: list[str] = []
    exporter = Exporter(tmp_path, portal.webhook, "--debug")
    with exporter as client:
        assert 200 == client.get("/-/healthy").status_code
        when_ready(client)
        for path in ("/", "/metrics", "/api/v1/kpi", "/api/v1/status", "/-/ready"):
            got = client.get(path)
            assert 200 == got.status_code
            seen.append(got.text)
        names = {family.name for family in text_string_to_metric_families(seen[1])}
        assert {"b24_revenue_won", "b24_manager_info", "b24_up", "b24_exporter_api_requests"} <= names
        assert "b24_up 1" in own(seen[1])
        assert 200 == client.post("/-/reload").status_code
        assert 0 == exporter.stopped_by(signal.SIGINT)
    assert "Traceback" not in "".join(exporter.said)
    assert "Configuration read again." in "".join(exporter.said)

    again = Exporter(tmp_path, None, "--mirror-only")
    with again as client:
        when_ready(client)
        text = client.get("/metrics").text
        assert [line for line in text.splitlines() if line.startswith("b24_revenue_won{")]
        assert [] == [line for line in own(text) if line.startswith("b24_up")]
        again.process.send_signal(signal.SIGHUP)
        assert again.heard("Configuration read again.")
        assert 0 == again.stopped_by(signal.SIGTERM)
    seen += exporter.said + again.said
    assert not any(SECRET in text for text in seen)


def test_an_application_reads_and_listens(portal: Sim, tmp_path: Path) -> None:
    """Its secrets in a file, no webhook: the portal is copied, its queue of events is bound and looked at."""
    token = portal.add_application(Application("local.exporter", "application0secret"))
    card = {
        "client_id": "local.exporter", "client_secret": "application0secret", "refresh_token": token.refresh,
        "client_endpoint": f"{portal.url}/rest/", "token_url": f"{portal.url}/oauth/token/",
    }  # fmt: skip
    (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
    (tmp_path / "own.toml").write_text('[portal]\napplication_file = "card.json"\n', encoding="utf-8")
    exporter = Exporter(tmp_path, None, "--config", "own.toml")
    with exporter as client:
        when_ready(client)
        counted = own(client.get("/metrics").text)
        assert 0 == exporter.stopped_by(signal.SIGINT)

    assert 'b24_exporter_push_notices_total{outcome="queued"} 0.0' in counted
    assert {"ONCRMDEALUPDATE", "ONVOXIMPLANTCALLEND"} <= {b.event for b in portal.portal.events.bindings if b.offline}
    kept = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert token.refresh != kept["refresh_token"]
    words = "".join(exporter.said)
    assert not any(secret in words for secret in ("application0secret", token.refresh, *kept["access_token"].split()))


def test_a_revoked_webhook_ends_it_with_a_sentence(portal: Sim, tmp_path: Path) -> None:
    """A secret that opens nothing: exit code 1, no traceback, no secret, nothing served."""
    wrong = portal.webhook.replace(SECRET, "another0secret0that0opens0nothing")
    exporter = Exporter(tmp_path, wrong)

    assert 1 == exporter.process.wait(60)
    exporter.close()
    words = "".join(exporter.said)
    assert "webhook" in words
    assert "Traceback" not in words
    assert "Serving" not in words
    assert "another0secret0that0opens0nothing" not in words


def test_promtool_accepts_what_a_real_exporter_serves(portal: Sim, tmp_path: Path, program) -> None:
    """The whole text of a real process, as Prometheus would get it."""
    with Exporter(tmp_path, portal.webhook) as client:
        when_ready(client)
        text = client.get("/metrics").content

    done = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)
