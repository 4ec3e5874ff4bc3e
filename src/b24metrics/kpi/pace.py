"""Time at stages and to the end of deals: part of chapter D of the catalogue."""

from __future__ import annotations

from functools import partial

from b24metrics.kpi.cells import FloatArray, Groups
from b24metrics.kpi.facts.outcomes import CYCLES
from b24metrics.kpi.facts.stages import STAGES_ENTERED, STAGES_LEFT
from b24metrics.kpi.model import Better, Chapter, Computed, Kpi, Mean, Quantile, Title, Unit, grains, windows
from b24metrics.kpi.stats import survival_quantiles

_at_stage = partial(
    Kpi,
    unit=Unit.SECONDS,
    better=Better.LOWER,
    grains=grains("M D P S T, M×P"),
    windows=windows("30d mtd prev_month t90"),
    chapter=Chapter.CONVERSION,
    labels=("stage",),
)
_cycle = partial(
    Kpi,
    unit=Unit.SECONDS,
    better=Better.LOWER,
    grains=grains("M D P R T"),
    windows=windows("30d mtd qtd prev_month t90"),
    chapter=Chapter.CONVERSION,
)
_WON = "outcome = 'won'"


def _km_medians(groups: Groups) -> FloatArray:
    return survival_quantiles(groups.starts, groups.columns["working_seconds"], groups.columns["ended"] > 0)


TIME_IN_STAGE_SECONDS_AVG = _at_stage(
    id="time_in_stage_seconds_avg",
    title=Title(ru="Время на этапе, среднее", en="Time in stage, average"),
    measure=Mean(STAGES_LEFT, "working_seconds"),
    source="catalogue D 8.3: time_in_stage_seconds_avg",
    definition=Title(
        ru="Среднее рабочее время сделки на этапе, со всеми возвращениями, по сделкам, ушедшим с этапа в периоде.",
        en="Average working time of a deal at the stage, returns included, of the deals that left it in the window.",
    ),
    formula="mean Σ W0(spell) over (deal, stage) whose last leaving ∈ w",
)

TIME_IN_STAGE_SECONDS_MEDIAN = _at_stage(
    id="time_in_stage_seconds_median",
    title=Title(ru="Время на этапе, медиана", en="Time in stage, median"),
    measure=Quantile(STAGES_LEFT, "working_seconds", 0.5),
    source="catalogue D 8.3: time_in_stage_seconds_median",
    definition=Title(
        ru="Медиана рабочего времени сделки на этапе, со всеми возвращениями, по сделкам, ушедшим с этапа в периоде.",
        en="Median working time of a deal at the stage, returns included, of the deals that left it in the window.",
    ),
    formula="Q50 Σ W0(spell) over (deal, stage) whose last leaving ∈ w",
)

TIME_IN_STAGE_SECONDS_KM_MEDIAN = _at_stage(
    id="time_in_stage_seconds_km_median",
    title=Title(ru="Время на этапе с учётом стоящих", en="Time in stage, deals still there included"),
    measure=Computed(
        STAGES_ENTERED,
        ("working_seconds", "ended"),
        _km_medians,
        where="working_seconds IS NOT NULL",
        order="working_seconds",
    ),
    source="catalogue D 8.3: time_in_stage_seconds_km_median",
    definition=Title(
        ru="Рабочее время, к которому с этапа уходит половина сделок, созданных за период; стоящие на нём учтены столько, "
        "сколько уже стоят.",
        en="Working time by which half of the deals created in the window leave the stage; those still there count for as "
        "long as they have stood.",
    ),
    formula="inf{t: S(t) ≤ 0.5}, Kaplan-Meier of Σ W0(spell) over deals created in w that came to the stage; leaving by loss "
    "is an event",
)

TIME_IN_STAGE_CALENDAR_SECONDS_MEDIAN = _at_stage(
    id="time_in_stage_calendar_seconds_median",
    title=Title(ru="Время на этапе по календарю, медиана", en="Time in stage by the clock, median"),
    measure=Quantile(STAGES_LEFT, "seconds", 0.5),
    source="catalogue D 8.3: time_in_stage_calendar_seconds_median",
    definition=Title(
        ru="Медиана времени сделки на этапе по часам, ночи и выходные включены, по сделкам, ушедшим с этапа в периоде.",
        en="Median time of a deal at the stage by the clock, nights and weekends included, of the deals that left it.",
    ),
    formula="Q50 Σ spell over (deal, stage) whose last leaving ∈ w",
)

SALES_CYCLE_SECONDS_AVG = _cycle(
    id="sales_cycle_seconds_avg",
    title=Title(ru="Длительность цикла продажи, среднее", en="Sales cycle, average"),
    measure=Mean(CYCLES, "seconds", where=_WON),
    source="catalogue D 8.3: sales_cycle_seconds_avg",
    definition=Title(
        ru="Среднее время от создания сделки до выигрыша, по часам; без созданных закрытыми и перенесённых из другой системы.",
        en="Average time from a deal's creation to its win, by the clock; without imported deals and those created closed.",
    ),
    formula="mean (won_at - DATE_CREATE) over wins ∈ w",
)

SALES_CYCLE_SECONDS_MEDIAN = _cycle(
    id="sales_cycle_seconds_median",
    title=Title(ru="Длительность цикла продажи, медиана", en="Sales cycle, median"),
    measure=Quantile(CYCLES, "seconds", 0.5, where=_WON),
    source="catalogue D 8.3: sales_cycle_seconds_median",
    definition=Title(
        ru="Медиана времени от создания сделки до выигрыша, по часам; без созданных закрытыми и перенесённых.",
        en="Median time from a deal's creation to its win, by the clock; without imported deals and those created closed.",
    ),
    formula="Q50 (won_at - DATE_CREATE) over wins ∈ w",
)

SALES_CYCLE_SECONDS_P90 = _cycle(
    id="sales_cycle_seconds_p90",
    title=Title(ru="Длительность цикла продажи, 90-й процентиль", en="Sales cycle, 90th percentile"),
    measure=Quantile(CYCLES, "seconds", 0.9, where=_WON),
    source="catalogue D 8.3: sales_cycle_seconds_p90",
    definition=Title(
        ru="Время, за которое от создания до выигрыша проходят девять сделок из десяти, по часам.",
        en="Time within which nine of ten deals come from creation to their win, by the clock.",
    ),
    formula="Q90 (won_at - DATE_CREATE) over wins ∈ w",
)

SALES_CYCLE_WORKING_SECONDS_AVG = _cycle(
    id="sales_cycle_working_seconds_avg",
    title=Title(ru="Длительность цикла продажи в рабочем времени, среднее", en="Sales cycle in working time, average"),
    measure=Mean(CYCLES, "working_seconds", where=_WON),
    source="catalogue D 8.3: sales_cycle_working_seconds_avg",
    definition=Title(
        ru="Среднее рабочее время компании от создания сделки до выигрыша.",
        en="Average working time of the company from a deal's creation to its win.",
    ),
    formula="mean (W0(won_at) - W0(DATE_CREATE)) over wins ∈ w",
)

LOST_CYCLE_SECONDS_MEDIAN = _cycle(
    id="lost_cycle_seconds_median",
    title=Title(ru="Длительность до проигрыша, медиана", en="Time to loss, median"),
    measure=Quantile(CYCLES, "seconds", 0.5, where="outcome = 'lost'"),
    better=Better.NEITHER,
    source="catalogue D 8.3: lost_cycle_seconds_median",
    definition=Title(
        ru="Медиана времени от создания сделки до проигрыша, по часам; без созданных закрытыми и перенесённых.",
        en="Median time from a deal's creation to its loss, by the clock; without imported deals and those created closed.",
    ),
    formula="Q50 (lost_at - DATE_CREATE) over losses ∈ w",
)

CHAPTER = (
    TIME_IN_STAGE_SECONDS_AVG,
    TIME_IN_STAGE_SECONDS_MEDIAN,
    TIME_IN_STAGE_SECONDS_KM_MEDIAN,
    TIME_IN_STAGE_CALENDAR_SECONDS_MEDIAN,
    SALES_CYCLE_SECONDS_AVG,
    SALES_CYCLE_SECONDS_MEDIAN,
    SALES_CYCLE_SECONDS_P90,
    SALES_CYCLE_WORKING_SECONDS_AVG,
    LOST_CYCLE_SECONDS_MEDIAN,
)
