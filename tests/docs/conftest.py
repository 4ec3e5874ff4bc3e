"""A practice portal with a company of three, as a reader of the guides would have it, and a folder to work in."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import duckdb
import pytest

from b24metrics.clock import SystemClock
from b24metrics.sim.accounts import Application
from b24metrics.sim.company import Company, build, plans_csv
from b24metrics.sim.limits import RateBucket
from b24metrics.sim.pytest_plugin import SimFactory
from b24metrics.sim.server import Sim
from tests.conftest import ROOT

CLIENT_ID, CLIENT_SECRET = "app.practice", "practice0client0secret"


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a practice company whose history ends now, with its plans beside it."""
    folder = tmp_path_factory.mktemp("company")
    with duckdb.connect(str(folder / "portal.duckdb")) as connection:
        build(connection, Company(now=time.time(), managers=3, departments=1, months=1, deals=40, talk=0.3))
        (folder / "plans.csv").write_text(plans_csv(connection), encoding="utf-8")
    return folder / "portal.duckdb"


@pytest.fixture
def desk(company: Path, b24_sim_factory: SimFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sim:
    """The running portal; we stand in a folder that holds what the guides tell a reader to have."""
    shutil.copy(company, tmp_path / "portal.duckdb")
    shutil.copy(company.with_name("plans.csv"), tmp_path / "plans.csv")
    shutil.copy(ROOT / "exporter" / "b24metrics.example.toml", tmp_path / "b24metrics.toml")
    sim = b24_sim_factory(clock=SystemClock(), data=tmp_path / "portal.duckdb", bucket=RateBucket.generous())
    token = sim.add_application(Application(CLIENT_ID, CLIENT_SECRET))
    (tmp_path / "tokens.json").write_text(
        json.dumps(
            {
                "client_endpoint": f"{sim.url}/rest/",
                "access_token": token.access,
                "refresh_token": token.refresh,
            }
        )
    )
    for name, value in (
        ("B24_WEBHOOK", sim.webhook),
        ("B24_CLIENT_ID", CLIENT_ID),
        ("B24_CLIENT_SECRET", CLIENT_SECRET),
        ("B24_EXPORTER__LISTEN", "127.0.0.1:0"),  # a free one: `b24exporter check` looks whether it is
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("B24_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return sim
