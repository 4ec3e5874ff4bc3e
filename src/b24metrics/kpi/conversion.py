"""Chapter D of the catalogue: conversion and funnel. Time and outcome are in ``pace`` and ``outcome``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from b24metrics.kpi import breaks, outcome, pace
from b24metrics.kpi.facts.funnel import COHORT, FUNNEL, MATURE_FUNNEL
from b24metrics.kpi.facts.roots import CREATED_LEADS, ROOTS
from b24metrics.kpi.model import (
    Better,
    Chapter,
    Derived,
    Kpi,
    Mean,
    Measure,
    Number,
    Ratio,
    Title,
    Unit,
    grains,
    windows,
)

# ---------------------------------------------------------------- lead path

_lead_rate = partial(
    Kpi,
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D P R T"),
    windows=windows("30d mtd qtd prev_month"),
    chapter=Chapter.CONVERSION,
)

LEAD_TO_QUALIFIED_RATE = _lead_rate(
    id="lead_to_qualified_rate",
    title=Title(ru="Лид → квалифицированный", en="Lead to qualified"),
    measure=Ratio(Number(ROOTS, where="qualified"), Number(ROOTS)),
    source="catalogue D 8.1: lead_to_qualified_rate",
    definition=Title(
        ru="Доля лидов периода, которые квалифицированы: сконвертированы или дошли до отмеченного этапа сделки.",
        en="Share of the leads of the window that were qualified: converted, or their deal reached a stage that says so.",
    ),
    formula="qualified / created, one cohort of root records created in w",
)

QUALIFIED_TO_DEAL_RATE = _lead_rate(
    id="qualified_to_deal_rate",
    title=Title(ru="Квалифицированный → сделка", en="Qualified to deal"),
    measure=Ratio(Number(ROOTS, where="agreed"), Number(ROOTS, where="qualified")),
    source="catalogue D 8.1: qualified_to_deal_rate",
    definition=Title(
        ru="Доля квалифицированных лидов периода, по которым есть сделка (или она дошла до этапа договорённости).",
        en="Share of the qualified leads of the window that have a deal (or one that reached the stage of agreement).",
    ),
    formula="with a deal / qualified, one cohort of root records created in w",
)

DEAL_TO_WON_RATE = _lead_rate(
    id="deal_to_won_rate",
    title=Title(ru="Сделка → продажа", en="Deal to won"),
    measure=Ratio(Number(ROOTS, where="won"), Number(ROOTS, where="agreed")),
    source="catalogue D 8.1: deal_to_won_rate",
    definition=Title(
        ru="Доля лидов периода со сделкой, у которых сделка выиграна; из нескольких сделок лида берётся лучшая.",
        en="Share of the leads of the window with a deal whose deal is won; of several deals the best one counts.",
    ),
    formula="won / with a deal, one cohort of root records created in w",
)

LEAD_TO_WON_RATE = _lead_rate(
    id="lead_to_won_rate",
    title=Title(ru="Лид → продажа", en="Lead to won"),
    measure=Ratio(Number(ROOTS, where="won"), Number(ROOTS)),
    source="catalogue D 8.1: lead_to_won_rate",
    definition=Title(
        ru="Доля лидов периода, которые стали выигранной сделкой.",
        en="Share of the leads of the window that became a deal won.",
    ),
    formula="won / created, one cohort of root records created in w",
)

LEAD_JUNK_SHARE = _lead_rate(
    id="lead_junk_share",
    title=Title(ru="Доля некачественных лидов", en="Junk lead share"),
    measure=Ratio(Number(CREATED_LEADS, where="junk"), Number(CREATED_LEADS)),
    better=Better.LOWER,
    source="catalogue D 8.1: lead_junk_share",
    definition=Title(
        ru="Доля лидов периода в статусе «некачественный».",
        en="Share of the leads of the window that stand in a junk status.",
    ),
    formula="leads in junk statuses / leads created in w",
)

# ---------------------------------------------------------------- stages

_STAGE: Final = ("stage",)
_stage = partial(
    Kpi,
    better=Better.HIGHER,
    grains=grains("M D P S R T, M×P"),
    windows=windows("30d mtd qtd prev_month t90"),
    chapter=Chapter.CONVERSION,
    labels=_STAGE,
)

STAGE_REACHED_COUNT = _stage(
    id="stage_reached_count",
    title=Title(ru="Дошли до этапа", en="Reached the stage"),
    measure=Number(FUNNEL),
    unit=Unit.DEALS,
    source="catalogue D 8.2: stage_reached_count",
    definition=Title(
        ru="Созданные за период сделки, которые дошли до этапа или дальше; пропущенные по пути этапы пройдены.",
        en="Deals created in the window that came to the stage or further; stages skipped on the way are passed.",
    ),
    formula="N_i = |{d created in w: far(d) ≥ i}|",
)

STAGE_CONVERSION_RATIO = _stage(
    id="stage_conversion_ratio",
    title=Title(ru="Конверсия этапа", en="Stage conversion"),
    measure=Ratio(Number(FUNNEL, where="counted AND passed"), Number(FUNNEL, where="counted")),
    unit=Unit.RATIO,
    source="catalogue D 8.2: stage_conversion_ratio",
    definition=Title(
        ru="Доля созданных за период и дошедших до этапа сделок, которые пошли дальше; пропущенные этапы пройдены.",
        en="Share of the deals created in the window and come to the stage that went on; skipped stages are passed.",
    ),
    formula="N_{i+1} / N_i, deals moved to another pipeline left out where they left",
)

STAGE_CONVERSION_STRICT_RATIO = _stage(
    id="stage_conversion_strict_ratio",
    title=Title(ru="Строгая конверсия этапа", en="Strict stage conversion"),
    measure=Ratio(Number(FUNNEL, where="counted AND visited AND went_on"), Number(FUNNEL, where="counted AND visited")),
    unit=Unit.RATIO,
    source="catalogue D 8.2: stage_conversion_strict_ratio",
    definition=Title(
        ru="Доля сделок, стоявших на этапе, которые потом стояли на следующем; перескочившие его не считаются прошедшими.",
        en="Share of the deals that stood at the stage and later stood at the very next one; skipping it is no passing.",
    ),
    formula="|{d created in w: visited i, later visited i+1}| / |{d: visited i}|",
)

STAGE_SKIP_SHARE = _stage(
    id="stage_skip_share",
    title=Title(ru="Доля пропустивших этап", en="Stage skip share"),
    measure=Ratio(Number(FUNNEL, where="NOT visited"), Number(FUNNEL)),
    unit=Unit.RATIO,
    better=Better.LOWER,
    source="catalogue D 8.2: stage_skip_share",
    definition=Title(
        ru="Доля сделок, прошедших этап, которые на нём ни разу не стояли.",
        en="Share of the deals past the stage that never stood at it.",
    ),
    formula="1 - visited_i / N_i",
)

STAGE_CONVERSION_SNAPSHOT_RATIO = _stage(
    id="stage_conversion_snapshot_ratio",
    title=Title(ru="Конверсия этапа по срезу", en="Stage conversion, snapshot"),
    measure=Ratio(Number(FUNNEL, where="stands AND stands_on"), Number(FUNNEL, where="stands")),
    unit=Unit.RATIO,
    source="catalogue D 8.2: stage_conversion_snapshot_ratio",
    definition=Title(
        ru="Как в отчёте портала: из сделок, стоящих сейчас на этапе или дальше, доля стоящих дальше; проигранных нет, "
        "поэтому картина слишком хороша.",
        en="As in the portal's report: of the deals now at the stage or further, the share further; lost ones are missing, "
        "so that it looks too good.",
    ),
    formula="N_{i+1} / N_i, N_i = |{d created in w standing now in i or later}|",
)

_cohort = partial(
    Kpi,
    unit=Unit.RATIO,
    grains=grains("M D P R T, M×P"),
    windows=windows("30d mtd qtd prev_month t90"),
    chapter=Chapter.CONVERSION,
)

COHORT_OPEN_SHARE = _cohort(
    id="cohort_open_share",
    title=Title(ru="Доля ещё открытых сделок", en="Share of deals still open"),
    measure=Ratio(Number(COHORT, where="is_open"), Number(COHORT)),
    better=Better.NEITHER,
    source="catalogue D 8.2: cohort_open_share",
    definition=Title(
        ru="Доля созданных за период сделок, которые ещё в работе: конверсии этого периода могут вырасти.",
        en="Share of the deals created in the window that are still open: conversions of this window may yet grow.",
    ),
    formula="|{d created in w: sem(d) = P}| / |{d created in w}|",
)

FUNNEL_CONVERSION_RATIO = _cohort(
    id="funnel_conversion_ratio",
    title=Title(ru="Сквозная конверсия воронки", en="Overall funnel conversion"),
    measure=Ratio(Number(COHORT, where="won"), Number(COHORT)),
    better=Better.HIGHER,
    source="catalogue D 8.2: funnel_conversion_ratio",
    definition=Title(
        ru="Доля созданных за период сделок, дошедших до успеха.",
        en="Share of the deals created in the window that came to success.",
    ),
    formula="N_last / N_first = won / created, deals created in w",
)

# ---------------------------------------------------------------- breaks

_BREAK_INPUTS: Mapping[str, Measure] = {
    "k": Number(MATURE_FUNNEL, where="NOT before AND passed"),
    "n": Number(MATURE_FUNNEL, where="NOT before"),
    "k0": Number(MATURE_FUNNEL, where="before AND passed"),
    "n0": Number(MATURE_FUNNEL, where="before"),
    "pipeline": Mean(MATURE_FUNNEL, "pipeline_id"),
}

FUNNEL_BREAK = Kpi(
    id="funnel_break",
    title=Title(ru="Разрыв воронки", en="Funnel break"),
    measure=Derived(_BREAK_INPUTS, breaks.flags, spread=({"rule": breaks.STRUCTURAL}, {"rule": breaks.DETERIORATION})),
    unit=Unit.FLAG,
    better=Better.LOWER,
    grains=grains("D P T"),
    windows=windows("t90 30d"),
    chapter=Chapter.CONVERSION,
    source="catalogue D 8.2: funnel_break",
    definition=Title(
        ru="1, если после этапа воронка обрывается: конверсия намного ниже, чем у остальных этапов (structural), или заметно "
        "упала против прошлых 180 дней (deterioration). Берутся созревшие сделки; где данных мало, ответа нет.",
        en="1 where the funnel breaks after the stage: its conversion is far below that of the other stages (structural), or "
        "fell against the 180 days before (deterioration). Mature deals; where there are few, no answer.",
    ),
    formula="structural: n ≥ 30, Wilson upper(k, n) < 0.6·M, M = median of the other stages with n ≥ 10 (2 at least); "
    "deterioration: n ≥ 30, n0 ≥ 100, k/n ≤ 0.8·k0/n0, one-sided z (Fisher below 5 expected), Benjamini-Hochberg q = 0.05; "
    "created in w shifted back by the p80 of the sales cycle t180",
    labels=("stage", "rule"),
)

FUNNEL_BREAK_LOST_DEALS = Kpi(
    id="funnel_break_lost_deals",
    title=Title(ru="Сделки, потерянные на разрыве", en="Deals lost at the break"),
    measure=Derived(_BREAK_INPUTS, breaks.lost_deals),
    unit=Unit.POINTS,
    better=Better.LOWER,
    grains=grains("D P T"),
    windows=windows("t90 30d"),
    chapter=Chapter.CONVERSION,
    source="catalogue D 8.2: funnel_break_lost_deals",
    definition=Title(
        ru="Сколько сделок прошло бы этап дополнительно при обычной для этой воронки конверсии.",
        en="How many more deals would have passed the stage at the conversion usual in this pipeline.",
    ),
    formula="max(0, n·M - k)",
    labels=_STAGE,
)

CHAPTER = (
    LEAD_TO_QUALIFIED_RATE,
    QUALIFIED_TO_DEAL_RATE,
    DEAL_TO_WON_RATE,
    LEAD_TO_WON_RATE,
    LEAD_JUNK_SHARE,
    STAGE_REACHED_COUNT,
    STAGE_CONVERSION_RATIO,
    STAGE_CONVERSION_STRICT_RATIO,
    STAGE_SKIP_SHARE,
    STAGE_CONVERSION_SNAPSHOT_RATIO,
    COHORT_OPEN_SHARE,
    FUNNEL_CONVERSION_RATIO,
    FUNNEL_BREAK,
    FUNNEL_BREAK_LOST_DEALS,
    *pace.CHAPTER,
    *outcome.CHAPTER,
)
