"""What the guides tell a reader to do works, in the order in which they tell it."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

import b24exporter.cli
import b24metrics.cli
from b24exporter.webconfig import read_web_file
from b24metrics.config import Settings
from b24metrics.mirror.plans import read_plans
from b24metrics.mirror.stores import DuckStore
from b24metrics.portal import Portal
from b24metrics.portal.keyfile import read_application
from b24metrics.sim.server import Sim
from tests.conftest import ROOT
from tests.docs.blocks import Block, anchors, blocks, links, prose

DOCS = ROOT / "docs"
GUIDES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
PAGES = [
    *GUIDES,
    *sorted((DOCS / "decisions").glob("*.md")),
    *sorted((DOCS / "kpi").glob("*.md")),
    ROOT / "exporter/README.md",
    ROOT / "grafana/README.md",
]
BLOCKS = [block for page in GUIDES for block in blocks(page)]

#: Commands that run until somebody stops them: their options are read, nothing is started.
ENDLESS = {("b24metrics", "sim"), ("b24metrics", "sync"), ("b24exporter", "run"), ("b24exporter", "demo")}
DOORS = {"b24metrics": b24metrics.cli.app, "b24exporter": b24exporter.cli.app}
#: What is checked elsewhere, is of this house's making but no command of ours, or is only shown.
OTHER_PROGRAMS = {
    "docker",
    "git",
    "cd",
    ".",
    "export",
    "make",
    "pip",
    "curl",
    "python",
    "promtool",
    "htpasswd",
    "openssl",
    "kill",
}
LANGUAGES = {"python", "sh", "sql", "toml", "yaml", "csv", "promql", "text", "json"}


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# ---------------------------------------------------------------- running a page


def run_python(block: Block, names: dict[str, Any]) -> None:
    exec(compile(block.text, f"{block.page}:{block.line}", "exec", dont_inherit=True), names)


def run_shell(block: Block) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] in OTHER_PROGRAMS:
            continue
        name, command, *rest = words
        assert name in DOORS, f"{block}: who is {name}?"
        if (name, command) in ENDLESS and "--once" not in rest:
            made: Any = typer.main.get_command(DOORS[name])
            with made.commands[command].make_context(command, rest):
                continue
        done = CliRunner().invoke(DOORS[name], [command, *rest])
        assert 0 == done.exit_code, f"{block}: {line}\n{done.output}"


def run_tests(written: list[Block]) -> None:
    """Blocks of tests run as test files of somebody else's project."""
    for block in written:
        Path(f"test_at_line_{block.line}.py").write_text(block.text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "."]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, f"{written[0].page}\n{done.stdout}{done.stderr}"


def copied(block: Block, name: str) -> None:
    Path(name).write_text(block.text, encoding="utf-8")


def run_sql(block: Block) -> None:
    with contextlib.closing(DuckStore("b24metrics.duckdb", read_only=True)) as store:
        assert store.rows(block.text.rstrip().removesuffix(";")), f"{block}: no rows"


#: A translated page tells to do the same things.
FOLLOWED = [page for page in GUIDES if blocks(page) and not page.name.endswith(".ru.md")]


@pytest.mark.parametrize("page", FOLLOWED, ids=page_id)
def test_a_page_can_be_followed_from_top_to_bottom(page: Path, desk: Sim) -> None:
    """Python, commands and SQL run against a practice portal; blocks of one page build on each other."""
    names: dict[str, Any] = {"__name__": "guide"}
    tests = [block for block in blocks(page) if block.language == "python" and "def test_" in block.text]
    runners: dict[str, Callable[[Block], None]] = {
        "python": lambda block: run_python(block, names),
        "sh": run_shell,
        "sql": run_sql,
        "toml": lambda block: copied(block, "b24metrics.toml"),
        "csv": lambda block: copied(block, "plans.csv"),
    }

    for block in blocks(page):
        if block.language in runners and block not in tests:
            runners[block.language](block)
    if tests:
        run_tests(tests)
    for left_open in names.values():
        if isinstance(left_open, Portal):
            left_open.close()


def test_translations_tell_to_do_the_same() -> None:
    """The blocks of a Russian page are those of its English original."""
    for page in GUIDES:
        if page.name.endswith(".ru.md"):
            original = page.with_name(page.name.replace(".ru.md", ".md"))
            assert [block.text for block in blocks(original)] == [block.text for block in blocks(page)]


# ---------------------------------------------------------------- files that a reader copies


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_settings_are_read(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every TOML block is a settings file without a mistake, its calendar included."""
    monkeypatch.delenv("B24_WEBHOOK", raising=False)
    (tmp_path / "b24metrics.toml").write_text(block.text, encoding="utf-8")

    Settings.load(tmp_path / "b24metrics.toml").kpi_options()


@pytest.mark.parametrize("block", of("csv"), ids=str)
def test_plans_are_read(block: Block, tmp_path: Path) -> None:
    """Every CSV block is a file of plans."""
    (tmp_path / "plans.csv").write_text(block.text, encoding="utf-8")

    assert len(block.text.splitlines()) - 1 == len(read_plans(tmp_path / "plans.csv"))


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_cards_of_applications_are_read(block: Block, tmp_path: Path) -> None:
    """Every JSON block is the file of an application."""
    (tmp_path / "application.json").write_text(block.text, encoding="utf-8")

    assert "example.bitrix24.ru" == read_application(tmp_path / "application.json").credential.current.host


WEB = [block for block in of("yaml") if "basic_auth_users" in block.text]


@pytest.mark.parametrize("block", WEB, ids=str)
def test_web_configurations_are_read(block: Block, tmp_path: Path) -> None:
    """The exporter takes every web configuration that is shown."""
    (tmp_path / "web.yml").write_text(block.text, encoding="utf-8")

    read_web_file(tmp_path / "web.yml")


@pytest.mark.real
@pytest.mark.parametrize("block", [block for block in of("yaml") if block not in WEB], ids=str)
def test_prometheus_takes_its_configuration(block: Block, tmp_path: Path, program: Callable[[str], str]) -> None:
    """Other YAML is for Prometheus, which checks it itself."""
    (tmp_path / "prometheus.yml").write_text(block.text, encoding="utf-8")

    checked(program("promtool"), "check", "config", "--syntax-only", tmp_path / "prometheus.yml")


@pytest.mark.real
def test_queries_are_read_by_prometheus(tmp_path: Path, program: Callable[[str], str]) -> None:
    """Every query is PromQL."""
    rules = [{"record": f"guide:{number}", "expr": block.text} for number, block in enumerate(of("promql"))]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "guides", "rules": rules}]}))

    assert rules
    checked(program("promtool"), "check", "rules", tmp_path / "rules.yml")


def checked(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr


# ---------------------------------------------------------------- what a page says of others


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_no_block_escapes(block: Block) -> None:
    """Every block names its language, so that it is known how to try it."""
    assert block.language in LANGUAGES


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link leads to a file, and its anchor to a heading."""
    lost = []
    for target in links(page):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        goal = (page.parent / name).resolve() if name else page
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            lost.append(target)

    assert [] == lost


@pytest.mark.parametrize(
    "page", [page for page in GUIDES if page.name not in {"metrics.md", "changelog.md"}], ids=page_id
)
def test_metrics_are_called_by_their_names(page: Path) -> None:
    """Every metric family that a page names is one that the exporter serves."""
    served = set(words_beginning("b24_", (DOCS / "metrics.md").read_text(encoding="utf-8")))
    named = words_beginning("b24_", page.read_text(encoding="utf-8"))
    fixtures = {"b24_sim", "b24_sim_factory"}

    assert set() == {name for name in named if not name.endswith("_")} - served - fixtures


@pytest.mark.parametrize("page", GUIDES, ids=page_id)
def test_nothing_is_said_about_how_it_was_made(page: Path) -> None:
    """Guides speak of the product alone, and are finished."""
    words = prose(page).lower()

    assert [] == [word for word in ("todo:", "tbd", "lorem", "coming soon", "/work/") if word in words]


def words_beginning(start: str, text: str) -> list[str]:
    return re.findall(rf"\b{start}\w+", text)
