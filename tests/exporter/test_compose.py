"""The compose stack without containers: its files are read by the programs that they are for, its commands are run."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from b24metrics.sim.server import Sim
from tests.conftest import ROOT
from tests.exporter.test_process import Exporter, portal, when_ready

__all__ = ["portal"]  # a fixture

pytestmark = pytest.mark.real

FOLDER = ROOT / "exporter"
STACK = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = STACK["services"]


def test_every_file_that_is_mounted_is_there() -> None:
    """A path that is misspelled would become an empty directory in the container."""
    mounted = [one.split(":")[0] for service in SERVICES.values() for one in service.get("volumes", [])]
    paths = [FOLDER / one for one in mounted if one.startswith(".")]

    assert paths
    assert [] == [path for path in paths if not path.exists()]
    assert {one for one in mounted if not one.startswith(".")} == set(STACK["volumes"])


def test_only_loopback_is_published_and_no_secret_is_in_the_environment() -> None:
    """Whoever starts it on a server shows nothing to the network."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert ports
    assert [] == [port for port in ports if not port.startswith("127.0.0.1:")]
    assert [] == [name for one in SERVICES.values() for name in one.get("environment", {}) if name == "B24_WEBHOOK"]


def test_each_profile_has_one_exporter_and_the_rest() -> None:
    """Either a portal of one's own or the practice portal, the same around it."""
    for profile in ("portal", "practice"):
        others = {"past", "prometheus", "alertmanager", "grafana"}
        assert {profile, *others} == {name for name, one in SERVICES.items() if profile in one["profiles"]}


def test_prometheus_and_alertmanager_read_their_files(program: Callable[[str], str], tmp_path: Path) -> None:
    """promtool and amtool find nothing to complain about; the rules stand where the file says."""
    rules = tmp_path / "rules.yaml"
    rules.write_bytes((ROOT / "grafana" / "generated" / "rules" / "ru.yaml").read_bytes())
    text = (FOLDER / "compose" / "prometheus.yml").read_text(encoding="utf-8")
    settings = tmp_path / "prometheus.yml"
    settings.write_text(text.replace("/etc/prometheus/rules/*.yaml", str(rules)), encoding="utf-8")

    for command in (
        [program("promtool"), "check", "config", str(settings)],
        [program("amtool"), "check-config", str(FOLDER / "compose" / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stdout + done.stderr


def test_charts_are_full_on_the_first_day(portal: Sim, tmp_path: Path, program: Callable[[str], str]) -> None:
    """Exporter with --history, past.sh and a running Prometheus with the stack's flags: it answers for days gone by."""
    history, data = tmp_path / "past" / "history.om", tmp_path / "data"
    data.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "prometheus.yml").write_text("scrape_configs: []\n")
    flags = [flag for flag in SERVICES["prometheus"]["command"] if "lookback" in flag or "retention" in flag]
    prometheus = [
        program("prometheus"), f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}", *flags,
    ]  # fmt: skip
    with Exporter(tmp_path, portal.webhook, "--history", str(history), "--history-days", "1") as client:
        when_ready(client)
        making = subprocess.run(
            ["/bin/sh", str(FOLDER / "compose" / "past.sh"), str(history), str(data)],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert 0 == making.returncode, making.stderr
        family = re.search(r"(?m)^(b24_company_win_rate_denominator\{window=\"30d\"\}) ", client.get("/metrics").text)
    assert family
    line = next(line for line in history.read_text(encoding="utf-8").splitlines() if line.startswith(family[1]))
    value, written = line.split()[-2], float(line.split()[-1])

    server = subprocess.Popen(prometheus, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        values = asked(port, family[1], written + 3600)
    finally:
        server.terminate()
        server.wait(30)
    assert [value] == values
    again = subprocess.run(
        ["/bin/sh", str(FOLDER / "compose" / "past.sh"), "/nowhere", str(data)], timeout=20, check=False
    )
    assert 0 == again.returncode  # a second start of the stack waits for nothing


def asked(port: int, query: str, at: float) -> list[str]:
    """Values of an instant query, once Prometheus answers."""
    pause = threading.Event()
    with httpx.Client(trust_env=False) as client:
        for _ in range(300):
            try:
                got = client.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query, "time": at})
                if got.status_code == 200:
                    return [one["value"][1] for one in json.loads(got.text)["data"]["result"]]
            except httpx.TransportError:
                pass
            pause.wait(0.1)
    raise AssertionError("Prometheus does not answer")
