"""The whole chain: practice company → portal → mirror → KPIs → exporter → a real Prometheus → every query of the wall."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
import yaml

from b24exporter.board import Board
from b24exporter.daemon import Daemon, RoundOptions
from b24exporter.health import Health
from b24exporter.layout import LAYOUT
from b24exporter.mirrored import Mirrored
from b24exporter.web import Web, WebOptions, hosts_for
from b24exporter.webconfig import WebConfig
from b24grafana.build import GENERATED
from b24metrics import AsyncPortal, HandClock, KpiOptions
from b24metrics.kpi import KPIS
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.stores import DuckStore
from b24metrics.mirror.sync import Sync
from b24metrics.sim.company import Company, build, plans_csv
from b24metrics.sim.server import Sim
from tests.conftest import path_of
from tests.exporter.conftest import served
from tests.exporter.test_prometheus import Prometheus

pytestmark = pytest.mark.real

#: A Wednesday afternoon in the middle of a month: every window of the wall has something in it.
NOW = datetime(2026, 3, 18, 13, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def board(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Board, Callable[[float], bool | None], HandClock]]:
    """One round of a real exporter on a small practice company."""
    clock = HandClock(NOW)
    plans = tmp_path_factory.mktemp("chain") / "plans.csv"
    with duckdb.connect() as data:
        build(data, Company(now=clock.now(), managers=12, departments=3, months=3))
        plans.write_text(plans_csv(data), encoding="utf-8")
        with Sim(clock=clock, data=data, plan="ent") as sim:
            yield *asyncio.run(_one_round(sim, clock, plans)), clock


async def _one_round(sim: Sim, clock: HandClock, plans: Path) -> tuple[Board, Callable[[float], bool | None]]:
    store = DuckStore()
    board = Board(clock.now())
    async with AsyncPortal(sim.webhook, plan="enterprise", clock=clock) as portal:
        source = Mirrored(store, portal.host, standard(), clock, board, gate=portal.gate.stats)
        source.options = KpiOptions(zone="Europe/Moscow")
        source.plans_file = plans
        source.sync = Sync(portal, store, portal=portal.host, clock=clock, zone="Europe/Moscow")
        await source.sync.round()
        await source.sync.backfill()
        daemon = Daemon(board, source, clock, RoundOptions(60.0, 500_000, tuple(KPIS.values())))
        assert await daemon.round(), board.failure
        await daemon.close()
        await source.close()
    return board, source.works_at


@pytest.fixture(scope="module")
def prometheus(
    board: tuple[Board, Callable[[float], bool | None], HandClock], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    put_up, works_at, clock = board
    program = path_of("prometheus")
    health = Health(put_up, clock, "0", working_now=works_at)
    options = WebOptions(hosts_for("127.0.0.1", ()), True, "ru", 60.0, "practice", "0")
    web = Web(put_up, health, LAYOUT, clock, options, WebConfig(None), None)
    with served(web.app) as port:
        server = Prometheus(program, tmp_path_factory.mktemp("prometheus"), port)
        try:
            server.when_scraped()
            yield server
        finally:
            server.close()


def _queries() -> dict[str, str]:
    """Every query of every wall → the title of a panel that asks it."""
    return {
        target["expr"]: panel["title"]
        for path in sorted((GENERATED / "dashboards").rglob("*.json"))
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
        for target in panel["targets"]
    }


def _selectors() -> list[str]:
    """Every series selector of every alert rule."""
    rules = yaml.safe_load((GENERATED / "rules" / "en.yaml").read_text(encoding="utf-8"))
    exprs = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return sorted({found for expr in exprs for found in re.findall(r"\bb24_\w+(?:\{[^}]*\})?", expr)})


@pytest.mark.parametrize(
    "query", [pytest.param(expr, id=f"{title}: {expr[:48]}") for expr, title in _queries().items()]
)
def test_every_query_of_the_wall_answers(prometheus: Prometheus, query: str) -> None:
    """Each panel shows a number on a living company, and no number is NaN."""
    answer = prometheus.query(query)

    assert answer
    assert [] == [labels for labels, value in answer if math.isnan(value)]


@pytest.mark.parametrize("selector", [*_selectors(), "b24_portal_info"])
def test_everything_that_rules_and_variables_read_is_served(prometheus: Prometheus, selector: str) -> None:
    """A rule on a misspelled metric would be silent for ever."""
    assert prometheus.query(selector)
