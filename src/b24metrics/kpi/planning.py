"""Chapter A of the catalogue, second half: plans, the pace towards them, forecasts.

Laws: whatever needs a plan has no value without one above 0; days and shares of a period are working time of the company.
"""

from __future__ import annotations

from b24metrics.kpi.arithmetic import (
    coverage,
    drift,
    forecast_error,
    gap,
    required_daily,
    run_rate,
    run_rate_attainment,
    summed,
    velocity,
)
from b24metrics.kpi.facts.deals import CLOSED_DEALS, OPEN_DEALS
from b24metrics.kpi.facts.forecast import EXPECTED_DEALS, WEIGHTED_DEALS
from b24metrics.kpi.model import (
    NOW,
    Better,
    Book,
    Chapter,
    Derived,
    Kpi,
    Mean,
    Number,
    Over,
    Plan,
    Ratio,
    Title,
    Total,
    Unit,
    WindowId,
    grains,
    windows,
)
from b24metrics.kpi.volume import OPEN_PIPELINE_AMOUNT, REVENUE, REVENUE_WON, WON

_PLAN = Plan(REVENUE_WON.id)
_REACHED = Derived({"won": REVENUE_WON.measure, "plan": _PLAN}, gap)
_TO_DATE = windows("mtd qtd")
#: Where chances of winning come from; records are explained under these names.
_SOURCES = ("history", "deal", "settings", "place")

PLAN_AMOUNT = Kpi(
    id="plan_amount",
    title=Title(ru="План продаж", en="Sales plan"),
    measure=_PLAN,
    unit=Unit.MONEY,
    better=Better.NEITHER,
    grains=grains("M D T"),
    windows=_TO_DATE,
    chapter=Chapter.VOLUME,
    source="catalogue A: plan_amount",
    definition=Title(
        ru="План на весь период. У отдела и компании без своего плана — сумма планов их менеджеров; "
        "квартал — сумма месяцев, у которых план есть.",
        en="Plan of the whole period. A department or the company without a plan of its own has the sum of its managers'; "
        "a quarter is the sum of the months that have a plan.",
    ),
    formula="own plan of the month, else Σ plans of the managers of the subtree; quarter = Σ months with a plan",
)

PLAN_ATTAINMENT_RATIO = Kpi(
    id="plan_attainment_ratio",
    title=Title(ru="Выполнение плана", en="Plan attainment"),
    measure=Ratio(REVENUE, _PLAN),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=windows("mtd qtd prev_month"),
    chapter=Chapter.VOLUME,
    source="catalogue A: plan_attainment_ratio",
    definition=Title(
        ru="Объём продаж на данный момент, делённый на план всего периода; без плана значения нет.",
        en="Revenue won so far by the plan of the whole period; no value without a plan.",
    ),
    formula="revenue_won(w) / plan(period of w), plan > 0",
)

PLAN_GAP_AMOUNT = Kpi(
    id="plan_gap_amount",
    title=Title(ru="Осталось до плана", en="Gap to plan"),
    measure=_REACHED,
    unit=Unit.MONEY,
    better=Better.LOWER,
    grains=grains("M D T"),
    windows=_TO_DATE,
    chapter=Chapter.VOLUME,
    source="catalogue A: plan_gap_amount",
    definition=Title(
        ru="Сколько ещё нужно продать до плана периода; 0, когда план выполнен.",
        en="What is still to be sold to reach the period's plan; 0 once it is reached.",
    ),
    formula="max(0, plan(period of w) - revenue_won(w))",
)

REQUIRED_DAILY_AMOUNT = Kpi(
    id="required_daily_amount",
    title=Title(ru="Нужно продавать в день", en="Required per working day"),
    measure=Derived({"gap": _REACHED}, required_daily),
    unit=Unit.MONEY_PER_DAY,
    better=Better.LOWER,
    grains=grains("M D T"),
    windows=_TO_DATE,
    chapter=Chapter.VOLUME,
    source="catalogue A: required_daily_amount",
    definition=Title(
        ru="Сколько нужно продавать в каждый оставшийся рабочий день, чтобы выполнить план; "
        "остаток дней — по календарю компании.",
        en="What has to be sold on every remaining working day to reach the plan; days by the company's calendar.",
    ),
    formula="plan_gap_amount / ((W0(end) - W0(now)) / standard day), days left > 0",
)

RUN_RATE_FORECAST_AMOUNT = Kpi(
    id="run_rate_forecast_amount",
    title=Title(ru="Прогноз по темпу", en="Run-rate forecast"),
    measure=Derived({"won": REVENUE_WON.measure}, run_rate),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=_TO_DATE,
    chapter=Chapter.VOLUME,
    source="catalogue A: run_rate_forecast_amount",
    definition=Title(
        ru="Сколько будет продано к концу периода, если темп не изменится; "
        "пока не прошло 10 % рабочего времени, значения нет.",
        en="What will be won by the end of the period if the pace stays; no value before 10 % of the working time has passed.",
    ),
    formula="revenue_won(w) / g((W0(now) - W0(start)) / (W0(end) - W0(start))), g(s) = s or the configured curve",
)

RUN_RATE_ATTAINMENT_RATIO = Kpi(
    id="run_rate_attainment_ratio",
    title=Title(ru="Прогноз выполнения плана", en="Run-rate attainment"),
    measure=Derived({"forecast": RUN_RATE_FORECAST_AMOUNT.measure, "plan": _PLAN}, run_rate_attainment),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=_TO_DATE,
    chapter=Chapter.VOLUME,
    source="catalogue A: run_rate_attainment_ratio",
    definition=Title(
        ru="Прогноз по темпу, делённый на план: 1 значит, что к концу периода план будет выполнен ровно.",
        en="Run-rate forecast by the plan: 1 means that the period will end exactly on plan.",
    ),
    formula="run_rate_forecast_amount / plan(period of w), plan > 0",
)

WEIGHTED_PIPELINE_AMOUNT = Kpi(
    id="weighted_pipeline_amount",
    title=Title(ru="Взвешенная воронка", en="Weighted pipeline"),
    measure=Derived(
        {source: Total(WEIGHTED_DEALS, "weighted_amount", f"probability_source = '{source}'") for source in _SOURCES},
        summed,
    ),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("M D P T"),
    windows=NOW,
    chapter=Chapter.VOLUME,
    source="catalogue A: weighted_pipeline_amount",
    definition=Title(
        ru="Сумма сделок в работе, каждая умножена на вероятность выигрыша: доля выигранных среди дошедших до этапа "
        "за 180 дней, иначе вероятность из сделки, из настроек или по месту этапа в воронке.",
        en="Amounts of open deals, each times its chance of being won: the share won of deals that reached the stage in "
        "180 days, else the deal's own probability, the configured one, or one by the stage's place in the pipeline.",
    ),
    formula="Σ amt(d)·p(stage(d)), sem(d) = P; p = won/reached in t180 (n ≥ 30), else PROBABILITY, else i/(k + 1)",
)

PERIOD_FORECAST_AMOUNT = Kpi(
    id="period_forecast_amount",
    title=Title(ru="Прогноз периода", en="Period forecast"),
    measure=Derived({"won": REVENUE, "expected": Total(EXPECTED_DEALS, "weighted_amount")}, summed),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("M D P T"),
    windows=_TO_DATE,
    chapter=Chapter.VOLUME,
    source="catalogue A: period_forecast_amount",
    definition=Title(
        ru="Объём продаж на данный момент и сделки в работе, ожидаемые до конца периода (и просроченные), "
        "каждая умножена на вероятность выигрыша; сделки без даты не участвуют.",
        en="Revenue won so far, and open deals expected before the period ends (overdue ones too), each times its chance "
        "of being won; deals without a date take no part.",
    ),
    formula="revenue_won(w) + Σ amt(d)·p(stage(d)) for open d with CLOSEDATE(d) ≤ last day of the period",
)

PIPELINE_COVERAGE_RATIO = Kpi(
    id="pipeline_coverage_ratio",
    title=Title(ru="Покрытие плана воронкой", en="Pipeline coverage"),
    measure=Derived({"open": Over(OPEN_PIPELINE_AMOUNT.measure, WindowId.NOW), "gap": _REACHED}, coverage),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=_TO_DATE,
    chapter=Chapter.VOLUME,
    source="catalogue A: pipeline_coverage_ratio",
    definition=Title(
        ru="Во сколько раз сумма сделок в работе больше того, что осталось до плана; план выполнен — значения нет.",
        en="How many times the amount in work covers what is missing to the plan; no value once the plan is reached.",
    ),
    formula="open_pipeline_amount / plan_gap_amount, gap > 0",
)

SALES_VELOCITY_PER_DAY = Kpi(
    id="sales_velocity_per_day",
    title=Title(ru="Скорость продаж", en="Sales velocity"),
    measure=Derived(
        {
            "deals": Number(OPEN_DEALS),
            "size": Over(Mean(CLOSED_DEALS, "amount", WON), WindowId.T90),
            "rate": Over(Ratio(Number(CLOSED_DEALS, WON), Number(CLOSED_DEALS)), WindowId.T90),
            "cycle": Over(Mean(CLOSED_DEALS, "cycle_seconds", f"{WON} AND cycle_seconds >= 0"), WindowId.T90),
            "closed": Over(Number(CLOSED_DEALS), WindowId.T90),
        },
        velocity,
    ),
    unit=Unit.MONEY_PER_DAY,
    better=Better.HIGHER,
    grains=grains("M D P T"),
    windows=NOW,
    chapter=Chapter.VOLUME,
    source="catalogue A: sales_velocity_per_day",
    definition=Title(
        ru="Сколько денег в день приносит воронка: сделки в работе, умноженные на средний чек и долю выигранных "
        "и делённые на длительность сделки, по 90 дням; у менеджера — от 20 закрытых сделок.",
        en="Money a day that the pipeline brings: open deals times average size times win rate by the length of a sale, "
        "over 90 days; of a manager from 20 closed deals on.",
    ),
    formula="N·A·win_rate / Cyc: N open now; average size, win rate, mean cycle in days over t90",
)

FORECAST_ERROR_RATIO = Kpi(
    id="forecast_error_ratio",
    title=Title(ru="Ошибка прогноза", en="Forecast error"),
    measure=Derived({"forecast": Plan(PERIOD_FORECAST_AMOUNT.id, Book.FROZEN), "actual": REVENUE}, forecast_error),
    unit=Unit.RATIO,
    better=Better.LOWER,
    grains=grains("D T"),
    windows=windows("prev_month"),
    chapter=Chapter.VOLUME,
    source="catalogue A: forecast_error_ratio",
    definition=Title(
        ru="Насколько прогноз, записанный в первой четверти месяца, разошёлся с фактом: 0,2 значит на 20 %.",
        en="How far the forecast written down after a quarter of the month missed what came: 0.2 is by 20 %.",
    ),
    formula="|period forecast frozen at 25 % of the month - revenue_won| / revenue_won, revenue_won > 0",
)

FROZEN_DRIFT_AMOUNT = Kpi(
    id="frozen_drift_amount",
    title=Title(ru="Расхождение с закрытым месяцем", en="Drift since the month was closed"),
    measure=Derived({"live": REVENUE, "frozen": Plan(REVENUE_WON.id, Book.FROZEN)}, drift),
    unit=Unit.MONEY,
    better=Better.NEITHER,
    grains=grains("M D T"),
    windows=windows("prev_month"),
    chapter=Chapter.VOLUME,
    source="catalogue A §2.9: frozen_drift_amount",
    definition=Title(
        ru="На сколько объём продаж прошлого месяца изменился после его закрытия: сделки переоткрыли, "
        "удалили или добавили задним числом.",
        en="By how much the revenue of the last month has changed since it was closed: deals reopened, deleted or added "
        "later.",
    ),
    formula="revenue_won(prev_month) now - revenue_won(prev_month) as frozen",
)

CHAPTER = (
    PLAN_AMOUNT, PLAN_ATTAINMENT_RATIO, PLAN_GAP_AMOUNT, REQUIRED_DAILY_AMOUNT, RUN_RATE_FORECAST_AMOUNT,
    RUN_RATE_ATTAINMENT_RATIO, WEIGHTED_PIPELINE_AMOUNT, PERIOD_FORECAST_AMOUNT, PIPELINE_COVERAGE_RATIO,
    SALES_VELOCITY_PER_DAY, FORECAST_ERROR_RATIO, FROZEN_DRIFT_AMOUNT,
)  # fmt: skip
