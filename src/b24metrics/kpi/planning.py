"""Chapter A of the catalogue, second half: plans, the pace towards them, forecasts.

Laws: whatever needs a plan has no value without one above 0; days and shares of a period are working time of the company.
"""

from __future__ import annotations

from b24metrics.kpi.arithmetic import gap, required_daily, run_rate, run_rate_attainment
from b24metrics.kpi.model import (
    Better,
    Chapter,
    Derived,
    Kpi,
    Plan,
    Ratio,
    Title,
    Unit,
    grains,
    windows,
)
from b24metrics.kpi.volume import REVENUE, REVENUE_WON

_PLAN = Plan(REVENUE_WON.id)
_REACHED = Derived({"won": REVENUE_WON.measure, "plan": _PLAN}, gap)
_TO_DATE = windows("mtd qtd")

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

CHAPTER = (
    PLAN_AMOUNT, PLAN_ATTAINMENT_RATIO, PLAN_GAP_AMOUNT, REQUIRED_DAILY_AMOUNT, RUN_RATE_FORECAST_AMOUNT,
    RUN_RATE_ATTAINMENT_RATIO,
)  # fmt: skip
