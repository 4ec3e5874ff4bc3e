"""Chapter A of the catalogue: volume and plan."""

from __future__ import annotations

from b24metrics.kpi.facts.deals import CLOSED_DEALS, NEW_DEALS, OPEN_DEALS
from b24metrics.kpi.model import (
    ALL,
    CAL,
    NOW,
    ROLL,
    Better,
    Chapter,
    Kpi,
    Mean,
    Number,
    Plan,
    Quantile,
    Ratio,
    Title,
    Total,
    Unit,
    WindowId,
    grains,
    windows,
)

_WON = "outcome = 'won'"
_REVENUE = Total(CLOSED_DEALS, "amount", where=_WON, native="native_amount")

REVENUE_WON = Kpi(
    id="revenue_won",
    title=Title(ru="Объём продаж", en="Revenue won"),
    measure=_REVENUE,
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("M D P R C T, M×P"),
    windows=ALL,
    chapter=Chapter.VOLUME,
    source="catalogue A: revenue_won",
    definition=Title(
        ru="Сумма сделок, выигранных за период, в валюте отчёта; сделка относится к тому, кто отвечал за неё при выигрыше.",
        en="Amount of deals won in the window, in the reporting currency, credited to the person responsible at the win.",
    ),
    formula="Σ amt(d) for d ∈ D, sem(d) = S, won_at(d) ∈ w",
)

DEALS_WON_COUNT = Kpi(
    id="deals_won_count",
    title=Title(ru="Выигранные сделки", en="Deals won"),
    measure=Number(CLOSED_DEALS, where=_WON),
    unit=Unit.DEALS,
    better=Better.HIGHER,
    grains=grains("M D P R T, M×P"),
    windows=ALL,
    chapter=Chapter.VOLUME,
    source="catalogue A: deals_won_count",
    definition=Title(
        ru="Число сделок, выигранных за период; переоткрытая сделка в своём прежнем месяце больше не считается.",
        en="Deals won in the window; a reopened deal no longer counts where it was won before.",
    ),
    formula="|{d: sem(d) = S, won_at(d) ∈ w}|",
)

AVG_DEAL_SIZE = Kpi(
    id="avg_deal_size",
    title=Title(ru="Средний чек", en="Average deal size"),
    measure=Mean(CLOSED_DEALS, "amount", where=_WON),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("M D P R T"),
    windows=ROLL + CAL + (WindowId.TODAY,),
    chapter=Chapter.VOLUME,
    source="catalogue A: avg_deal_size",
    definition=Title(
        ru="Объём продаж, делённый на число выигранных сделок, сделки с нулевой суммой включены.",
        en="Revenue won by deals won, deals with a zero amount included.",
    ),
    formula="revenue_won / deals_won_count",
)

AVG_DEAL_SIZE_MEDIAN = Kpi(
    id="avg_deal_size_median",
    title=Title(ru="Медианный чек", en="Median deal size"),
    measure=Quantile(CLOSED_DEALS, "amount", 0.5, where=_WON),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=AVG_DEAL_SIZE.grains,
    windows=(*AVG_DEAL_SIZE.windows, WindowId.T180),  # t180: baseline of the rule on shrinking deals
    chapter=Chapter.VOLUME,
    source="catalogue A: avg_deal_size",
    definition=Title(
        ru="Медиана сумм выигранных сделок: один крупный контракт её не сдвигает.",
        en="Median amount of deals won: one large contract does not move it.",
    ),
    formula="Q50 amt(d) for d ∈ D, sem(d) = S, won_at(d) ∈ w",
)

NEW_DEALS_COUNT = Kpi(
    id="new_deals_count",
    title=Title(ru="Новые сделки", en="New deals"),
    measure=Number(NEW_DEALS),
    unit=Unit.DEALS,
    better=Better.NEITHER,
    grains=grains("M D P R T"),
    windows=ALL,
    chapter=Chapter.VOLUME,
    source="catalogue A: new_deals_count",
    definition=Title(
        ru="Число сделок, созданных за период, без импортированных.",
        en="Deals created in the window, imported ones excluded.",
    ),
    formula="|{d: DATE_CREATE(d) ∈ w, d not imported}|",
)

PLAN_ATTAINMENT_RATIO = Kpi(
    id="plan_attainment_ratio",
    title=Title(ru="Выполнение плана", en="Plan attainment"),
    measure=Ratio(_REVENUE, Plan(REVENUE_WON.id)),
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

OPEN_DEALS_COUNT = Kpi(
    id="open_deals_count",
    title=Title(ru="Сделки в работе", en="Open deals"),
    measure=Number(OPEN_DEALS),
    unit=Unit.DEALS,
    better=Better.NEITHER,
    grains=grains("M D P S T, M×P"),
    windows=NOW,
    chapter=Chapter.VOLUME,
    source="catalogue A: open_deals_count",
    definition=Title(ru="Число незакрытых сделок сейчас.", en="Deals that are neither won nor lost at the moment."),
    formula="|{d: sem(d) = P}|",
)

CHAPTER = (
    REVENUE_WON, DEALS_WON_COUNT, AVG_DEAL_SIZE, AVG_DEAL_SIZE_MEDIAN, NEW_DEALS_COUNT, PLAN_ATTAINMENT_RATIO,
    OPEN_DEALS_COUNT,
)  # fmt: skip
