"""Histories from the command line: company T1, whose past is known by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from typer.testing import CliRunner

from b24metrics.cli import app
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command on a mirror of T1; gives standard output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("B24_REPORTING__ZONE", "Europe/Moscow")
    monkeypatch.setenv("B24_SCOPE__DEPARTMENTS", "[10]")
    store = DuckStore(tmp_path / "b24metrics.duckdb")
    company_t1.load(store)
    store.close()

    def command(*words: str, code: int = 0) -> str:
        said = CliRunner().invoke(app, words)
        assert code == said.exit_code, said.output
        return said.stdout if code == 0 else said.stderr

    return command


def test_the_past_of_t1(run: Callable[..., str], tmp_path: Path) -> None:
    """Revenue of the month at the end of each day: the first win on the 10th, two more on the 12th, and that is all."""
    run("history", "revenue_won", "--since", "2025-03-07", "--until", "2025-03-14T12:00", "-o", "past.txt")
    families = text_string_to_metric_families((tmp_path / "past.txt").read_text(encoding="utf-8"))
    [revenue] = [family for family in families if family.name == "b24_revenue_won"]
    found: dict[str, float] = {}
    for sample in revenue.samples:
        if sample.labels["window"] == "mtd":
            day = company_t1.datetime.fromtimestamp(float(sample.timestamp), company_t1.ZONE).strftime("%d")
            found[day] = found.get(day, 0) + sample.value

    assert {"07": 0, "08": 0, "09": 0, "10": 100_000, "11": 100_000, "12": 244_000, "13": 244_000} == found


def test_a_history_may_be_piped(run: Callable[..., str]) -> None:
    """Standard output holds the text and nothing else."""
    text = run("history", "deals_won_count", "--since", "2025-03-12", "--until", "2025-03-14T12:00")

    assert text.startswith("# HELP b24_")
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--step", "7h"), "'7h' is no step"),
        (("nonsense",), "There is no KPI 'nonsense'"),
        (("--since", "tomorrow"), "'tomorrow' is no instant"),
        (("--since", "2025-03-14", "--until", "2025-03-13"), "no instant between beginning and end"),
        (("--out", "nowhere/past.txt"), "cannot be written"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(run: Callable[..., str], words: tuple[str, ...], told: str) -> None:
    """And no file is left behind."""
    assert told in run("history", *words, code=1)
