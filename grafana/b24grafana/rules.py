"""Alert rules as rows.

Laws: a rule names Kpi objects; a threshold has a name and a place in ``Thresholds``; every rule on a share has a size
gate; a missing sample never fires except in the rules about health; ids are labels, names are in annotations; the
runbook's address follows from the rule's name.
Source: catalogue §13 (sizes), §15 (conditions, durations, severities).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from b24grafana.queries import DEPARTMENT_NAME, MANAGER_NAME, WORKING, by_department, by_manager, elapsed
from b24metrics.kpi.catalogue import KPIS
from b24metrics.kpi.model import Language, Title, WindowId

OPEN_DEALS_COUNT = KPIS["open_deals_count"]
OPEN_DEALS_WITHOUT_ACTIVITY_COUNT = KPIS["open_deals_without_activity_count"]
PLAN_ATTAINMENT_RATIO = KPIS["plan_attainment_ratio"]


class Severity(StrEnum):
    CRITICAL = "critical"  # act now
    WARNING = "warning"  # today
    INFO = "info"  # daily digest


class Audience(StrEnum):
    SALES = "sales"
    OPS = "ops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Every number that a rule compares with; defaults of the catalogue."""

    plan_pace_low: float = 0.85
    plan_pace_after_elapsed: float = 0.25
    without_activity_share: float = 0.10
    without_activity_deals: int = 5
    stale_seconds: int = 900
    stale_critical_seconds: int = 3600
    reconcile_old_seconds: int = 3 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One alert. ``condition`` gives PromQL; ``lasting`` and ``keep_firing`` are Prometheus durations."""

    name: str
    condition: Callable[[Thresholds], str]
    lasting: str
    severity: Severity
    audience: Audience
    summary: Title
    description: Title
    keep_firing: str | None = None

    @property
    def runbook(self) -> str:
        """Where it is told what to do, relative to the documentation."""
        return f"runbook.md#{self.name.lower()}"

    def row(self, language: Language, thresholds: Thresholds, docs: str) -> dict[str, Any]:
        """As a rule file has it. ``docs``: the address under which the documentation stands."""
        row: dict[str, Any] = {"alert": self.name, "expr": self.condition(thresholds), "for": self.lasting}
        if self.keep_firing:
            row["keep_firing_for"] = self.keep_firing
        row["labels"] = {"severity": self.severity.value, "audience": self.audience.value}
        row["annotations"] = {
            "summary": self.summary.said(language),
            "description": self.description.said(language),
            "runbook_url": f"{docs}{self.runbook}",
        }
        return row


def _plan_behind_pace(limit: Thresholds) -> str:
    attained = by_department(PLAN_ATTAINMENT_RATIO, WindowId.MTD)
    passed = f"({elapsed(WindowId.MTD)} >= {limit.plan_pace_after_elapsed})"
    return f"({attained} / on () group_left () {passed} < {limit.plan_pace_low})\n{DEPARTMENT_NAME}"


def _deals_without_activity(limit: Thresholds) -> str:
    bare = by_manager(OPEN_DEALS_WITHOUT_ACTIVITY_COUNT, WindowId.NOW)
    opened = by_manager(OPEN_DEALS_COUNT, WindowId.NOW)
    return (
        f"(({bare} / ({opened} > 0) > {limit.without_activity_share})\n"
        f"and ({bare} >= {limit.without_activity_deals})\n"
        f"and on () {WORKING})\n{MANAGER_NAME}"
    )


def _stale(seconds: Callable[[Thresholds], int]) -> Callable[[Thresholds], str]:
    # The slowest source speaks for all; its name stands in the label.
    return lambda limit: f"max by (source) (b24_sync_lag_seconds) > {seconds(limit)}"


def _reconcile_old(limit: Thresholds) -> str:
    return f"max by (source) (b24_last_full_reconcile_seconds) > {limit.reconcile_old_seconds}"


RULES: tuple[Rule, ...] = (
    Rule(
        name="B24PlanBehindPace",
        condition=_plan_behind_pace,
        lasting="4h",
        keep_firing="1h",
        severity=Severity.WARNING,
        audience=Audience.SALES,
        summary=Title("Отдел отстаёт от плана месяца.", "A department is behind its monthly plan."),
        description=Title(
            "{{ $labels.department }}: темп {{ $value | humanizePercentage }} от нужного к этому часу. "
            "Время, чтобы догнать, ещё есть.",
            "{{ $labels.department }}: {{ $value | humanizePercentage }} of the pace that this hour needs. "
            "There is still time to catch up.",
        ),
    ),
    Rule(
        name="B24DealsWithoutActivity",
        condition=_deals_without_activity,
        lasting="2h",
        keep_firing="30m",
        severity=Severity.WARNING,
        audience=Audience.SALES,
        summary=Title(
            "У менеджера много открытых сделок без запланированных дел.",
            "A manager has many open deals without a planned activity.",
        ),
        description=Title(
            "{{ $labels.manager }}: без запланированного шага {{ $value | humanizePercentage }} открытых сделок. "
            "Нет дела — никто не продаёт.",
            "{{ $labels.manager }}: {{ $value | humanizePercentage }} of the open deals have no next step. "
            "Without one nobody is selling.",
        ),
    ),
    Rule(
        name="B24SyncStale",
        condition=_stale(lambda limit: limit.stale_seconds),
        lasting="5m",
        severity=Severity.WARNING,
        audience=Audience.OPS,
        summary=Title("Данные портала устарели.", "The copy of the portal is stale."),
        description=Title(
            "Источник {{ $labels.source }} не обновлялся {{ $value | humanizeDuration }}: показатели стоят на месте.",
            "Source {{ $labels.source }} has not been in step for {{ $value | humanizeDuration }}: its figures stand still.",
        ),
    ),
    Rule(
        name="B24SyncStaleCritical",
        condition=_stale(lambda limit: limit.stale_critical_seconds),
        lasting="5m",
        severity=Severity.CRITICAL,
        audience=Audience.OPS,
        summary=Title("Данные портала сильно устарели.", "The copy of the portal is very stale."),
        description=Title(
            "Источник {{ $labels.source }} не обновлялся {{ $value | humanizeDuration }}: экранам верить нельзя.",
            "Source {{ $labels.source }} has not been in step for {{ $value | humanizeDuration }}: do not trust the walls.",
        ),
    ),
    Rule(
        name="B24ReconcileOld",
        condition=_reconcile_old,
        lasting="1h",
        severity=Severity.WARNING,
        audience=Audience.OPS,
        summary=Title(
            "Копия давно не сверялась с порталом.", "The copy has not been compared with the portal for long."
        ),
        description=Title(
            "Источник {{ $labels.source }} сверялся {{ $value | humanizeDuration }} назад: удалённое в портале "
            "может ещё считаться.",
            "Source {{ $labels.source }} was compared {{ $value | humanizeDuration }} ago: what was deleted in the portal "
            "may still count.",
        ),
    ),
)
