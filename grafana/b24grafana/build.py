"""The generated files: dashboards and rules, written and checked.

Laws: the same declarations give the same bytes (keys sorted, no dates); uids come from file names; a dashboard that
breaks the rules of ``faults`` is not written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml

from b24grafana.rules import RULES, Thresholds
from b24grafana.sdk import JSONEncoder, models, prometheus_models
from b24grafana.wall import HEIGHT, WALLS, WIDTH, page
from b24metrics.kpi.model import Language

GENERATED = Path(__file__).resolve().parent.parent / "generated"
LANGUAGES: tuple[Language, ...] = get_args(Language)

#: Grafana 9.4's number: every later server migrates upwards from it, no older one is handed a number from its future.
SCHEMA_VERSION = 38


def files(thresholds: Thresholds | None = None, docs: str = "docs/") -> Mapping[str, str]:
    """Every generated file: path inside the folder → text.

    Args:
        thresholds: what rules compare with; None: the catalogue's defaults.
        docs: address under which the documentation stands; runbook links begin with it.

    Raises:
        ValueError: a dashboard breaks a rule of ``faults``.
    """
    made: dict[str, str] = {}
    for language in LANGUAGES:
        for wall in WALLS:
            built = page(wall, language).build()
            built.schema_version = SCHEMA_VERSION
            wrong = faults(built)
            if wrong:
                raise ValueError(f"{wall.name} ({language}): {'; '.join(wrong)}")
            text = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(built)
            made[f"dashboards/{language}/{wall.name}.json"] = text + "\n"
        made[f"rules/{language}.yaml"] = _rules(language, thresholds or Thresholds(), docs)
    return made


def write(folder: Path = GENERATED) -> list[Path]:
    """Write what differs and remove what is no longer made; returns the touched paths."""
    made = {folder / name: text for name, text in files().items()}
    touched = [path for path in _present(folder) if path not in made]
    for path in touched:
        path.unlink()
    for path, text in made.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            touched.append(path)
    return touched


def stale(folder: Path = GENERATED) -> list[Path]:
    """Committed files that differ from what would be made now, are missing, or are no longer made."""
    made = {folder / name: text for name, text in files().items()}
    changed = [p for p, text in made.items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    return sorted(changed + [path for path in _present(folder) if path not in made])


def faults(built: models.Dashboard) -> list[str]:
    """What a person would stumble over: grid, ids, texts, queries that add windows up."""
    wrong: list[str] = []
    taken: set[tuple[int, int]] = set()
    panels = [panel for panel in built.panels or [] if isinstance(panel, models.Panel)]
    for panel in panels:
        name, place = panel.title or "a panel without a title", panel.grid_pos
        if place is None:
            wrong.append(f"{name}: no place")
            continue
        cells = {(x, y) for x in range(place.x, place.x + place.w) for y in range(place.y, place.y + place.h)}
        if place.x + place.w > WIDTH or place.y + place.h > HEIGHT:
            wrong.append(f"{name}: outside the page")
        if cells & taken:
            wrong.append(f"{name}: covers another panel")
        taken |= cells
        if not (panel.title and panel.description and panel.field_config and panel.field_config.defaults.unit):
            wrong.append(f"{name}: needs a title, a description and a unit")
        queries = [target for target in panel.targets or [] if isinstance(target, prometheus_models.Dataquery)]
        refs = [query.ref_id for query in queries]
        if not refs or len(set(refs)) != len(refs) or not all(refs):
            wrong.append(f"{name}: needs queries with different refIds")
        wrong += [f"{name}: {fault}" for query in queries for fault in _query_faults(query.expr)]
    ids = [panel.id_val for panel in panels]
    if None in ids or len(set(ids)) != len(ids):
        wrong.append("panel ids must be given and differ")
    return wrong


def _query_faults(expr: str) -> list[str]:
    windowless = ("b24_exporter_", "b24_company_working_now", "b24_sync_", "b24_source_", "b24_up")
    return [
        f"{name} without a pinned window"
        for name, matchers in re.findall(r"\b(b24_\w+)(\{[^}]*\})?", expr)
        if not name.endswith("_info") and not name.startswith(windowless) and 'window="' not in matchers
    ]


def _rules(language: Language, thresholds: Thresholds, docs: str) -> str:
    groups: dict[str, list[dict[str, Any]]] = {}
    for rule in RULES:
        groups.setdefault(f"b24metrics-{rule.audience}", []).append(rule.row(language, thresholds, docs))
    document = {"groups": [{"name": name, "rules": rows} for name, rows in groups.items()]}
    head = "# Generated from the declarations by `b24grafana build`; change those, not this file.\n"
    return head + yaml.dump(document, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)


class _Dumper(yaml.SafeDumper):
    """YAML in which an expression of several lines reads as several lines."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _present(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
