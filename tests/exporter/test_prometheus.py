"""A real Prometheus scrapes a served edition and answers queries with its numbers."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from b24metrics.exposition.families import collect
from b24metrics.exposition.text import Renderer
from tests.exporter.toy import KPIS, a_board, a_snapshot, an_edition

pytestmark = pytest.mark.real

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: b24
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{portal: toy}}}}]
"""


class Prometheus:
    """A Prometheus of one test."""

    def __init__(self, program: str, folder: Path, target: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        (folder / "prometheus.yml").write_text(CONFIG.format(port=target))
        self.log = (folder / "prometheus.log").open("w")
        self.process = subprocess.Popen(
            [
                program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=self.log, stderr=self.log,
        )  # fmt: skip
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False)

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every series of an instant query."""
        got = self.client.get("/query", params={"query": expression})
        result = got.json()["data"]["result"] if got.status_code == 200 else []  # 503 while it starts
        return [(one["metric"], float(one["value"][1])) for one in result]

    def when_scraped(self) -> None:
        """Waits for the first sample, by asking."""
        pause = threading.Event()
        for _ in range(300):
            try:
                if self.query("up == 1"):
                    return
            except httpx.TransportError:
                pass
            pause.wait(0.1)
        raise AssertionError("Prometheus did not scrape")


@pytest.fixture
def prometheus(web, program: Callable[[str], str], tmp_path: Path) -> Iterator[Prometheus]:
    body = Renderer().text(collect(a_snapshot(), KPIS).families)
    client = web(a_board(an_edition(body)))
    server = Prometheus(program("prometheus"), tmp_path, client.base_url.port)
    try:
        server.when_scraped()
        yield server
    finally:
        server.close()


def test_prometheus_answers_with_our_numbers(prometheus: Prometheus) -> None:
    """Sums over own members, ready values, joins with names, hostile names and live health; nothing is scraped twice."""
    assert [({}, 244_000.0)] == prometheus.query('sum(b24_revenue_won{window="mtd"})')
    ((labels, value),) = prometheus.query('b24_company_plan_attainment_ratio{window="mtd"}')
    assert (0.488, "toy") == (value, labels["portal"])

    best = prometheus.query(
        'topk(1, b24_manager_plan_attainment_ratio{window="mtd"}) * on (manager_id) group_left (manager) b24_manager_info'
    )
    assert [("Вера Соколова", 1.08)] == [(labels["manager"], value) for labels, value in best]
    hostile = prometheus.query('b24_manager_info{manager_id="104"}')
    assert ['Зоя "Max" \\ O\'Neil <script>alert(1)</script>&amp;'] == [labels["manager"] for labels, _ in hostile]

    ((_, lag),) = prometheus.query('b24_sync_lag_seconds{source="deals"}')
    assert 12 == lag
    ((_, scraped),) = prometheus.query("scrape_samples_scraped")
    ((_, kept),) = prometheus.query("scrape_samples_post_metric_relabeling")
    assert scraped == kept
    (health,) = prometheus.client.get("/targets").json()["data"]["activeTargets"]
    assert ("up", "") == (health["health"], health["lastError"])
    assert not [line for line in Path(prometheus.log.name).read_text().splitlines() if "duplicate" in line.lower()]
