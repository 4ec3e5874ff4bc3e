"""Alert rules on the real promtool: they fire when they should, stay silent when they should, and say it well."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from b24grafana.build import GENERATED, LANGUAGES

pytestmark = pytest.mark.real
Program = Callable[[str], str]

INFO = [
    {"series": 'b24_department_info{department_id="11",department="Inbound"}', "values": "1x400"},
    {"series": 'b24_manager_info{manager_id="7",manager="Anna",department_id="11"}', "values": "1x400"},
]
WORKING = [{"series": "b24_company_working_now", "values": "1x400"}]
AT_NIGHT = [{"series": "b24_company_working_now", "values": "0x400"}]


def plan(attained: float, elapsed: float) -> list[dict[str, str]]:
    return [
        {
            "series": 'b24_department_plan_attainment_ratio{department_id="11",window="mtd"}',
            "values": f"{attained}x400",
        },
        {"series": 'b24_window_worktime_elapsed_ratio{window="mtd"}', "values": f"{elapsed}x400"},
    ]


def deals(bare: int, opened: int) -> list[dict[str, str]]:
    who = 'manager_id="7",department_id="11",pipeline_id="0",window="now"'
    return [
        {"series": f"b24_manager_open_deals_without_activity{{{who}}}", "values": f"{bare}x400"},
        {"series": f"b24_manager_open_deals{{{who}}}", "values": f"{opened}x400"},
    ]


def fired(
    program: Program, folder: Path, series: list[dict[str, str]], rule: str, at: str, expected: list[dict[str, Any]]
) -> subprocess.CompletedProcess[str]:
    """Ask promtool whether exactly ``expected`` fires."""
    test = {
        "rule_files": [str(GENERATED / "rules" / "en.yaml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "alert_rule_test": [{"eval_time": at, "alertname": rule, "exp_alerts": expected}],
            }
        ],
    }
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump(test, allow_unicode=True), encoding="utf-8")
    return subprocess.run(
        [program("promtool"), "test", "rules", str(path)], capture_output=True, text=True, check=False
    )


def alert(summary: str, description: str, anchor: str, **labels: str) -> dict[str, Any]:
    return {
        "exp_labels": labels,
        "exp_annotations": {
            "summary": summary,
            "description": description,
            "runbook_url": f"docs/runbook.md#{anchor}",
        },
    }


BEHIND = alert(
    "A department is behind its monthly plan.",
    "Inbound: 60% of the pace that this hour needs. There is still time to catch up.",
    "b24planbehindpace",
    severity="warning", audience="sales", department_id="11", department="Inbound",
)  # fmt: skip
BARE = alert(
    "A manager has many open deals without a planned activity.",
    "Anna: 25% of the open deals have no next step. Without one nobody is selling.",
    "b24dealswithoutactivity",
    severity="warning", audience="sales", manager_id="7", manager="Anna", department_id="11",
)  # fmt: skip
STALE = alert(
    "The copy of the portal is stale.",
    "Source deals has not been in step for 16m 40s: its figures stand still.",
    "b24syncstale",
    severity="warning", audience="ops", source="deals",
)  # fmt: skip
UNCOMPARED = alert(
    "The copy has not been compared with the portal for long.",
    "Source deals was compared 4d 0h 0m 0s ago: what was deleted in the portal may still count.",
    "b24reconcileold",
    severity="warning", audience="ops", source="deals",
)  # fmt: skip


def compared(days: int) -> list[dict[str, str]]:
    return [{"series": 'b24_last_full_reconcile_seconds{source="deals"}', "values": f"{days * 86_400}x400"}]


LAG = [{"series": 'b24_sync_lag_seconds{source="deals"}', "values": "1000x400"}]


@pytest.mark.parametrize("language", LANGUAGES)
def test_prometheus_reads_the_rules(program: Program, language: str) -> None:
    """`promtool check rules` finds nothing to complain about."""
    done = subprocess.run(
        [program("promtool"), "check", "rules", str(GENERATED / "rules" / f"{language}.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("rule", "series", "at", "expected"),
    [
        ("B24PlanBehindPace", [*INFO, *plan(0.3, 0.5)], "5h", [BEHIND]),
        ("B24PlanBehindPace", [*INFO, *plan(0.3, 0.5)], "3h", []),
        ("B24PlanBehindPace", [*INFO, *plan(0.45, 0.5)], "5h", []),
        ("B24PlanBehindPace", [*INFO, *plan(0.01, 0.2)], "5h", []),
        ("B24PlanBehindPace", [*INFO, *plan(0.3, 0.5)[1:]], "5h", []),
        ("B24DealsWithoutActivity", [*INFO, *WORKING, *deals(5, 20)], "3h", [BARE]),
        ("B24DealsWithoutActivity", [*INFO, *AT_NIGHT, *deals(5, 20)], "3h", []),
        ("B24DealsWithoutActivity", [*INFO, *WORKING, *deals(4, 8)], "3h", []),
        ("B24DealsWithoutActivity", [*INFO, *WORKING, *deals(5, 60)], "3h", []),
        ("B24DealsWithoutActivity", [*INFO, *WORKING, *deals(0, 0)], "3h", []),
        ("B24SyncStale", LAG, "10m", [STALE]),
        ("B24SyncStale", LAG, "4m", []),
        ("B24SyncStaleCritical", LAG, "10m", []),
        ("B24ReconcileOld", compared(4), "90m", [UNCOMPARED]),
        ("B24ReconcileOld", compared(4), "30m", []),
        ("B24ReconcileOld", compared(2), "90m", []),
    ],
    ids=[
        "behind", "behind for too short", "nearly on pace", "too early in the month", "no plan at all",
        "bare deals", "at night", "too few", "small share", "no deals",
        "stale", "stale for too short", "not critical yet",
        "long not compared", "not compared for too short", "compared lately",
    ],
)  # fmt: skip
def test_rules_fire_when_they_should(
    program: Program, tmp_path: Path, rule: str, series: list[dict[str, str]], at: str, expected: list[dict[str, Any]]
) -> None:
    """Conditions, gates, durations, muting and texts of every rule."""
    done = fired(program, tmp_path, series, rule, at, expected)

    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_rule_test_can_fail(program: Program, tmp_path: Path) -> None:
    """An expectation that is wrong is told: the harness is no rubber stamp."""
    done = fired(program, tmp_path, [*INFO, *plan(0.3, 0.5)], "B24PlanBehindPace", "5h", [])

    assert 0 != done.returncode
