"""The house's own rules: lines that have lost their room, doors that stand open."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCES = sorted(
    path
    for wing in ("src/b24metrics", "exporter/b24exporter", "grafana/b24grafana")
    for path in (ROOT / wing).rglob("*.py")
)


def room(path: Path) -> str:
    """A source path as the house plan spells it."""
    return (
        path.relative_to(ROOT)
        .as_posix()
        .removeprefix("src/b24metrics/")
        .removeprefix("exporter/")
        .removeprefix("grafana/")
    )


def calls(tree: ast.AST) -> list[str]:
    """Dotted names of everything that is called; giving others a turn (``sleep(0)``) is not sleeping."""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [ast.unparse(call.func) for call in found if ast.unparse(call) != "asyncio.sleep(0)"]


@pytest.mark.parametrize("path", SOURCES, ids=room)
def test_only_the_clock_reads_the_clock(path: Path) -> None:
    """Time is handed in: no room reads the wall clock or sleeps, so that tests can wind it by hand."""
    if room(path) == "clock.py":
        return
    forbidden = {
        "time.time", "time.sleep", "time.monotonic", "datetime.now", "datetime.utcnow", "dt.datetime.now",
        "datetime.today", "date.today", "dt.date.today", "asyncio.sleep",
    }  # fmt: skip

    assert [] == [name for name in calls(ast.parse(path.read_text(encoding="utf-8"))) if name in forbidden]


@pytest.mark.parametrize("path", SOURCES, ids=room)
def test_metric_names_are_made_in_one_place(path: Path) -> None:
    """A metric's name comes from its Kpi: nobody else glues `b24_` to anything."""
    if room(path) == "kpi/model.py":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    glued = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        and any(isinstance(part, ast.Constant) and re.search(r"\bb24_$", str(part.value)) for part in node.values)
    ]

    assert [] == glued


@pytest.mark.parametrize("module", ["b24metrics", "b24metrics.kpi", "b24metrics.portal", "b24metrics.worktime"])
def test_a_light_import_opens_no_database(module: str) -> None:
    """The bare SDK needs no extra: importing it loads no database driver, no server and no dashboard library."""
    code = (
        f"import sys, {module}; "
        "print(sorted({'duckdb', 'pyarrow', 'psycopg', 'starlette', 'uvicorn', 'scipy', 'grafana_foundation_sdk'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


def test_the_package_itself_loads_no_room() -> None:
    """The pytest plugin makes every run of every user import the package: it must cost next to nothing."""
    code = "import sys, b24metrics.sim.pytest_plugin; print([m for m in ('httpx', 'pydantic', 'numpy') if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


def test_the_front_door_is_sorted_and_complete() -> None:
    """`b24metrics.__all__` is sorted, and every name in it can be had."""
    import b24metrics

    assert sorted(b24metrics.__all__) == b24metrics.__all__
    assert [] == [name for name in b24metrics.__all__ if not hasattr(b24metrics, name)]
    assert set(b24metrics.__all__) == set(b24metrics._HOMES)


def test_no_file_grows_into_an_attic() -> None:
    """A module past 700 lines is two modules; generated and tabular files are named with their reason."""
    tabular = {"sim/tables.py"}  # one row per field of the vendor's objects
    long = {room(path): n for path in SOURCES if (n := len(path.read_text(encoding="utf-8").splitlines())) > 700}

    assert {} == {name: n for name, n in long.items() if name not in tabular}


def test_nothing_tracked_is_someone_elses() -> None:
    """The vendor's samples are read in place and never become part of the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")

    assert [] == [name for name in listed.stdout.splitlines() if "/samples/" in name]
