"""Dashboards and rules: reproducible, committed as made, without what a person would stumble over."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from b24grafana.build import GENERATED, LANGUAGES, SCHEMA_VERSION, faults, files, stale, write
from b24grafana.rules import RULES
from b24grafana.sdk import models
from b24grafana.wall import WALLS, page
from tests.conftest import ROOT

DASHBOARDS = sorted(name for name in files() if name.endswith(".json"))


def test_committed_files_are_what_the_declarations_make() -> None:
    """Nobody edits a generated file by hand, and nobody forgets to generate."""
    assert [] == stale(GENERATED)


def test_building_twice_gives_the_same_bytes() -> None:
    """No dates, no random ids, no order that depends on the run."""
    assert files() == files()


def test_write_removes_what_is_no_longer_made(tmp_path: Path) -> None:
    """A renamed wall leaves no orphan behind, and a second run touches nothing."""
    orphan = tmp_path / "dashboards" / "ru" / "old.json"
    orphan.parent.mkdir(parents=True)
    orphan.write_text("{}", encoding="utf-8")

    touched = write(tmp_path)

    assert not orphan.exists()
    assert len(files()) + 1 == len(touched)
    assert [] == write(tmp_path)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_loads_everywhere(name: str) -> None:
    """Classic model, Grafana 9.4's schema, a uid from the file name, the data source as a variable."""
    board = json.loads(files()[name])
    _, language, file = name.split("/")

    assert f"b24-{file.removesuffix('.json')}-{language}" == board["uid"]
    assert SCHEMA_VERSION == board["schemaVersion"]
    assert not board["editable"]
    assert {"${datasource}"} == {panel["datasource"]["uid"] for panel in board["panels"]}
    assert len(board["panels"]) <= 9


def test_both_languages_have_the_same_shape() -> None:
    """A translation changes words, never queries, places or units."""
    shapes = []
    for language in LANGUAGES:
        board = json.loads(files()[f"dashboards/{language}/wall-result.json"])
        shapes.append(
            [
                (p["gridPos"], p["type"], [t["expr"] for t in p["targets"]], p["fieldConfig"]["defaults"]["unit"])
                for p in board["panels"]
            ]
        )

    assert shapes[0] == shapes[1]


def test_russian_texts_are_russian() -> None:
    """No title of the Russian wall was left in English."""
    board = json.loads(files()["dashboards/ru/wall-result.json"])

    assert [] == [p["title"] for p in board["panels"] if not re.search(r"[а-яё]", p["title"])]


def _broken(change: Callable[[models.Panel, models.Panel], None]) -> list[str]:
    built = page(WALLS[0], "en").build()
    first, second = (panel for panel in (built.panels or [])[:2] if isinstance(panel, models.Panel))
    change(first, second)
    return faults(built)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda a, b: setattr(a.grid_pos, "x", 20), "outside the page"),
        (lambda a, b: setattr(b, "grid_pos", a.grid_pos), "covers another panel"),
        (lambda a, b: setattr(a, "description", ""), "needs a title, a description and a unit"),
        (lambda a, b: setattr(a.targets[0], "ref_id", ""), "different refIds"),
        (lambda a, b: setattr(a.targets[0], "expr", "sum(b24_revenue_won)"), "without a pinned window"),
        (lambda a, b: setattr(b, "id_val", a.id_val), "ids must be given and differ"),
    ],
    ids=["grid", "overlap", "texts", "refIds", "window", "ids"],
)
def test_faults_are_found(change: Callable[[models.Panel, models.Panel], None], told: str) -> None:
    """The checker sees each kind of mistake: it is shown one of each."""
    assert told in "; ".join(_broken(change))


def test_every_rule_has_its_runbook_heading() -> None:
    """Whoever is woken by an alert finds what to do, in both languages."""
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    chapters = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))

    assert sorted(rule.name for rule in RULES) == sorted(chapters)
    assert [] == [name for name, body in chapters.items() if "**RU.**" not in body or "**EN.**" not in body]
