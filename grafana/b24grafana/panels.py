"""One constructor per look.

Laws: what a panel shows comes from Kpi objects; every panel has a title, a description, a unit and explicit refIds;
panels are made afresh by functions, because the library's builders remember where they were last put.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from b24grafana.sdk import (
    bargauge,
    common,
    common_models,
    dashboard,
    models,
    prometheus,
    prometheus_models,
    stat,
    units,
)
from b24metrics.kpi.model import Better, Kpi, Language, Title, Unit

SOURCE = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = stat.Panel | bargauge.Panel

#: Said of every figure: where it comes from.
FORMULA = Title("Формула", "Formula")

#: A threshold is (from, colour); the first one holds from minus infinity.
Step = tuple[float | None, str]
PLAN_STEPS: tuple[Step, ...] = ((None, "red"), (0.7, "orange"), (0.9, "yellow"), (1.0, "green"))
PACE_STEPS: tuple[Step, ...] = ((None, "red"), (0.85, "orange"), (1.0, "green"))
PLAIN: tuple[Step, ...] = ((None, "text"),)
AGE_STEPS: tuple[Step, ...] = ((None, "green"), (300, "orange"), (900, "red"))
NONE_WANTED: tuple[Step, ...] = ((None, "green"), (1, "orange"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a tile: what it is called there, its query and how it is written."""

    name: Title
    expr: str
    unit: str
    decimals: int = 0
    steps: tuple[Step, ...] = PLAIN


def unit_of(kpi: Kpi) -> tuple[str, int]:
    """Grafana's unit and the number of decimals.

    Money is written with the browser's grouping and its currency stands in the title: Grafana's currency units print
    English magnitudes and know neither tenge nor Belarusian rouble.
    """
    match kpi.unit:
        case Unit.RATIO:
            return units.PercentUnit, 0
        case Unit.SECONDS:
            return units.Seconds, 0
        case Unit.MONEY | Unit.MONEY_PER_DAY:
            return units.LocaleFormat, 0
        case Unit.POINTS:
            return units.Short, 2
        case _:
            return units.LocaleFormat, 0


def figure(kpi: Kpi, expr: str, name: Title | None = None, steps: tuple[Step, ...] = PLAIN) -> Figure:
    """A number of a KPI, named as the KPI unless said otherwise."""
    unit, decimals = unit_of(kpi)
    return Figure(name or kpi.title, expr, unit, decimals, steps)


def described(kpis: Sequence[Kpi], language: Language) -> str:
    """The description of a panel: every KPI's definition in words, and its formula."""
    return "\n\n".join(
        f"**{kpi.title.said(language)}** ({_ARROWS[kpi.better].said(language)}). {kpi.definition.said(language)}\n"
        f"{FORMULA.said(language)}: `{kpi.formula}`"
        for kpi in kpis
    )


_ARROWS = {
    Better.HIGHER: Title("больше — лучше", "higher is better"),
    Better.LOWER: Title("меньше — лучше", "lower is better"),
    Better.NEITHER: Title("для понимания", "context"),
    Better.BAND: Title("хороша середина", "a band is good"),
}


def tile(
    title: str, figures: Sequence[Figure], description: str, language: Language, *, trend: bool = True
) -> stat.Panel:
    """Big numbers side by side; one alone also shows how it moved."""
    alone = len(figures) == 1
    first = figures[0]
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(first.unit)
        .decimals(first.decimals)
        .no_value("—")
        .thresholds(_thresholds(first.steps))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .graph_mode(common_models.BigValueGraphMode.AREA if alone and trend else common_models.BigValueGraphMode.NONE)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .text_mode(common_models.BigValueTextMode.VALUE if alone else common_models.BigValueTextMode.VALUE_AND_NAME)
        .justify_mode(common_models.BigValueJustifyMode.CENTER)
        .orientation(common_models.VizOrientation.VERTICAL)
        .reduce_options(_last())
    )
    for letter, shown in zip(ascii_uppercase, figures, strict=False):
        name = shown.name.said(language)
        panel = panel.with_target(_query(shown.expr, letter, name))
        if not alone:
            panel = panel.override_by_query(
                letter,
                [
                    models.DynamicConfigValue(id_val="unit", value=shown.unit),
                    models.DynamicConfigValue(id_val="decimals", value=shown.decimals),
                    models.DynamicConfigValue(id_val="thresholds", value=_thresholds(shown.steps).build()),
                ],
            )
    return panel


def ranking(
    title: str, expr: str, legend: str, kpi: Kpi, description: str, steps: tuple[Step, ...] = PLAIN
) -> bargauge.Panel:
    """Everybody as a bar, best on top. The query sorts: a series-format bar gauge cannot be sorted afterwards."""
    unit, decimals = unit_of(kpi)
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(_query(expr, "A", legend, instant=True))
        .unit(unit)
        .decimals(decimals)
        .min(0)
        .no_value("—")
        .thresholds(_thresholds(steps))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .value_mode(common_models.BarGaugeValueMode.TEXT)
        .name_placement(common_models.BarGaugeNamePlacement.LEFT)
        .show_unfilled(True)
        .reduce_options(_last())
    )


def _query(expr: str, ref: str, legend: str, *, instant: bool = False) -> prometheus.Dataquery:
    query = (
        prometheus.Dataquery()
        .datasource(SOURCE)
        .expr(expr)
        .ref_id(ref)
        .legend_format(legend)
        .editor_mode(prometheus_models.QueryEditorMode.CODE)
    )
    return query.instant() if instant else query.range()


def _thresholds(steps: Sequence[Step]) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in steps])
    )


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)
