"""Generated pages are fresh, and nothing that the code has is missing from the pages that list it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import Any

import pytest
import typer

import b24exporter.cli
import b24grafana.cli
import b24metrics.cli
from b24metrics.errors import B24Error
from b24metrics.kpi.aggregates import facts
from b24metrics.kpi.catalogue import KPIS
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.schema import TABLES
from b24metrics.sim.server import Sim
from docs import generate
from tests.conftest import ROOT
from tests.docs.test_pages import DOCS, GUIDES, page_id

#: Options of other programs, and marks of CSS, that pages name.
OTHERS = {"--lang", "--profile", "--query", "--storage"}  # of Prometheus and of compose


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_generated_pages_are_fresh() -> None:
    """What is committed is what the declarations make; `make generate` writes it."""
    assert [] == generate.stale()


@pytest.mark.parametrize("ending", [".md", ".ru.md"])
def test_every_kpi_has_a_place(ending: str) -> None:
    """A card on the page of its chapter, a line in the index that leads there, and a heading among the metrics."""
    index, metrics = text(f"kpi{ending}"), text("metrics.md")
    for kpi in KPIS.values():
        page = f"kpi/{kpi.chapter.name.lower()}{ending}"
        assert f"\n### {kpi.id}\n" in text(page)
        assert f"[`{kpi.id}`]({page}#{kpi.id})" in index
        assert f"\n### {kpi.id}\n" in metrics


def test_every_card_says_what_it_must() -> None:
    """Definition, formula, unit, windows, cuts, SQL, source; the command that lists the records."""
    for kpi in KPIS.values():
        page = text(f"kpi/{kpi.chapter.name.lower()}.md")
        card = page.partition(f"\n### {kpi.id}\n")[2].partition("\n### ")[0]
        rows = ("formula", "unit", "good is", "windows", "cut by", "SQL", "section of the catalogue", "needs")
        assert kpi.definition.en in card
        assert [] == [row for row in rows if f"\n| {row} | " not in card], kpi.id
        assert not facts(kpi.measure) or f"b24metrics explain {kpi.id}" in card


def test_every_id_of_the_catalogue_is_implemented() -> None:
    """The table of coverage has no gap."""
    assert "| no |" not in text("kpi-coverage.md")


def test_every_family_of_a_kpi_is_listed() -> None:
    """On the page of the KPI in both languages, and on the page of families."""
    families = [f"`{family.name}`" for kpi in KPIS.values() for family in kpi.families]
    chapters = {kpi.chapter.name.lower() for kpi in KPIS.values()}
    pages = ["".join(text(f"kpi/{name}{ending}") for name in chapters) for ending in (".md", ".ru.md")]

    assert [] == [family for family in families if not all(family in page for page in (*pages, text("metrics.md")))]


def test_every_family_that_the_exporter_writes_out_is_listed() -> None:
    """Names that stand in the exporter's source, counters with the ending that Prometheus sees."""
    written = {
        node.value
        for path in (ROOT / "exporter/b24exporter").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"b24_\w+", node.value)
    }
    listed = text("metrics.md")

    assert {"b24_up", "b24_portal_info"} <= written
    assert [] == [name for name in written if f"`{name}`" not in listed and f"`{name}_total`" not in listed]


def test_the_mirror_page_names_what_is_copied() -> None:
    """Every table, and every REST method and scope that the copying needs."""
    page = text("mirror.md")
    needed = {table.name for table in TABLES} | {feed.listing.method for feed in standard()}
    needed |= {feed.scope for feed in standard()}

    assert [] == sorted(name for name in needed if f"`{name}`" not in page)


def test_the_readme_asks_for_the_scopes_that_are_needed() -> None:
    """No more, no less: the scopes of the feeds."""
    (line,) = re.findall(r"^Tick (.+)\.$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert {feed.scope for feed in standard()} == set(re.findall(r"`(\w+)`", line))


def test_the_guide_to_the_client_names_every_error_of_a_portal() -> None:
    """All but the groups, and what concerns mirror and calendars."""
    page = text("sdk.md")
    groups = {"PortalError", "MirrorError", "CalendarError"}
    elsewhere = {"HorizonError", "NotRun"}

    def below(kind: type[B24Error]) -> set[type[B24Error]]:
        return {kind}.union(*(below(one) for one in kind.__subclasses__()))

    named = {
        kind.__name__
        for kind in below(B24Error) - {B24Error}
        if kind.__module__ == "b24metrics.errors"
        and not kind.__name__.endswith(("Mirror", "Mirrored", "Busy", "Away", "Kept"))
    }
    assert [] == sorted(name for name in named - groups - elsewhere if f"`{name}`" not in page)


@pytest.mark.parametrize("words", [["doctor"], ["config"], ["sim", "--help"]], ids=" ".join)
def test_the_client_alone_needs_no_database(words: list[str], desk: Sim) -> None:
    """Commands that copy nothing run where only the bare package, or the practice portal, is installed."""
    without = "import sys; sys.modules.update(dict.fromkeys(('pyarrow', 'sqlglot', 'prometheus_client')))"
    command = [sys.executable, "-c", f"{without}; from b24metrics.cli import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr


def options() -> set[str]:
    """All long options of all our commands."""
    found = set()
    for app in (b24metrics.cli.app, b24exporter.cli.app, b24grafana.cli.app):
        group: Any = typer.main.get_command(app)
        for command in group.commands.values():
            for parameter in command.params:
                found |= {*parameter.opts, *parameter.secondary_opts}
    return found


@pytest.mark.parametrize("page", GUIDES, ids=page_id)
def test_options_exist(page: Any) -> None:
    """Every option that a page names is one of a command of ours."""
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text(encoding="utf-8")))

    assert set() == named - options() - OTHERS
