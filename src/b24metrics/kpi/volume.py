"""Chapter A of the catalogue: volume and plan. What is compared with a plan, and forecasts, stand in ``planning.py``."""

from __future__ import annotations

from b24metrics.kpi.arithmetic import growth, growth_against_mean, where_used
from b24metrics.kpi.facts.deals import CLOSED_DEALS, NEW_DEALS, OPEN_DEALS, WON_BEFORE
from b24metrics.kpi.facts.products import SOLD_PRODUCTS, SOLD_SEGMENTS, SOLD_UNITS
from b24metrics.kpi.model import (
    ALL,
    CAL,
    NOW,
    ROLL,
    Better,
    Chapter,
    Derived,
    Kpi,
    Mean,
    Number,
    Previous,
    Quantile,
    Ratio,
    Title,
    Total,
    Unit,
    WindowId,
    grains,
    windows,
)
from b24metrics.kpi.options import MOST_GROWTH_PERIODS

WON = "outcome = 'won'"
_LOST = "outcome = 'lost'"
_WON_AMOUNT = Total(WON_BEFORE, "amount")
_GROWING = windows("today 7d 30d wtd mtd qtd prev_month")
REVENUE = Total(CLOSED_DEALS, "amount", where=WON, native="native_amount")

REVENUE_WON = Kpi(
    id="revenue_won",
    title=Title(ru="Объём продаж", en="Revenue won"),
    measure=REVENUE,
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
    measure=Number(CLOSED_DEALS, where=WON),
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

UNITS_SOLD = Kpi(
    id="units_sold",
    title=Title(ru="Продано единиц", en="Units sold"),
    measure=Derived({"units": Total(SOLD_UNITS, "quantity", where="headline"), "rows": Number(SOLD_UNITS)}, where_used),
    unit=Unit.UNITS,
    better=Better.HIGHER,
    grains=grains("M D P T"),
    windows=ROLL + CAL,
    chapter=Chapter.VOLUME,
    source="catalogue A: units_sold",
    definition=Title(
        ru="Количество из товарных строк выигранных сделок, в одной единице измерения (обычно штуки); "
        "если товарных строк нет ни в одной сделке, значения нет.",
        en="Quantities of the product rows of deals won, in one unit of measure (pieces unless configured); "
        "no value where no deal has product rows.",
    ),
    formula="Σ quantity(r) over rows r of deals won in w, measure(r) = the headline unit or none",
)

AVG_DEAL_SIZE = Kpi(
    id="avg_deal_size",
    title=Title(ru="Средний чек", en="Average deal size"),
    measure=Mean(CLOSED_DEALS, "amount", where=WON),
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
    measure=Quantile(CLOSED_DEALS, "amount", 0.5, where=WON),
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

REVENUE_PER_CUSTOMER = Kpi(
    id="revenue_per_customer",
    title=Title(ru="Выручка на клиента", en="Revenue per customer"),
    measure=Ratio(
        Total(CLOSED_DEALS, "amount", where=f"{WON} AND customer IS NOT NULL"),
        Number(CLOSED_DEALS, where=WON, distinct="customer"),
    ),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=windows("30d mtd qtd prev_month"),
    chapter=Chapter.VOLUME,
    source="catalogue A: revenue_per_customer",
    definition=Title(
        ru="Объём продаж, делённый на число клиентов, которые купили за период; сделки без клиента не участвуют.",
        en="Revenue won by the number of clients who bought in the window; deals without a client take no part.",
    ),
    formula="Σ amt(d) / |{customer(d)}| for d won in w with a client; customer = company, else contact",
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

DEALS_LOST_COUNT = Kpi(
    id="deals_lost_count",
    title=Title(ru="Проигранные сделки", en="Deals lost"),
    measure=Number(CLOSED_DEALS, where=_LOST),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=grains("M D P R T"),
    windows=ALL,
    chapter=Chapter.VOLUME,
    source="catalogue A: deals_lost_count",
    definition=Title(
        ru="Число сделок, проигранных за период; возвращённая в работу сделка проигранной больше не считается.",
        en="Deals lost in the window; a reopened deal no longer counts as lost.",
    ),
    formula="|{d: sem(d) = F, lost_at(d) ∈ w}|",
)

REVENUE_LOST = Kpi(
    id="revenue_lost",
    title=Title(ru="Упущенная сумма", en="Revenue lost"),
    measure=Total(CLOSED_DEALS, "amount", where=_LOST),
    unit=Unit.MONEY,
    better=Better.LOWER,
    grains=DEALS_LOST_COUNT.grains,
    windows=ALL,
    chapter=Chapter.VOLUME,
    source="catalogue A: revenue_lost",
    definition=Title(
        ru="Сумма сделок, проигранных за период, в валюте отчёта.",
        en="Amount of deals lost in the window, in the reporting currency.",
    ),
    formula="Σ amt(d) for d ∈ D, sem(d) = F, lost_at(d) ∈ w",
)

SALES_GROWTH_RATIO = Kpi(
    id="sales_growth_ratio",
    title=Title(ru="Рост продаж", en="Sales growth"),
    measure=Derived({"revenue": _WON_AMOUNT, "before": Previous(_WON_AMOUNT)}, growth),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D P T"),
    windows=_GROWING,
    chapter=Chapter.VOLUME,
    source="catalogue A: sales_growth_ratio",
    definition=Title(
        ru="Объём продаж против такой же части предыдущего периода: 0,1 значит на 10 % больше. "
        "Если раньше продаж не было, значения нет.",
        en="Revenue won against the same part of the previous period: 0.1 is 10 % more. "
        "No value where nothing was sold before.",
    ),
    formula="R(w) / R(w′) - 1, w′ the comparable previous window, R(w′) > 0",
)

SALES_GROWTH_VS_AVG_RATIO = Kpi(
    id="sales_growth_vs_avg_ratio",
    title=Title(ru="Рост продаж к среднему", en="Sales growth against the average"),
    measure=Derived(
        {"revenue": _WON_AMOUNT} | {f"before_{k}": Previous(_WON_AMOUNT, k) for k in range(1, MOST_GROWTH_PERIODS + 1)},
        growth_against_mean,
    ),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=SALES_GROWTH_RATIO.grains,
    windows=_GROWING,
    chapter=Chapter.VOLUME,
    source="catalogue A: sales_growth_vs_avg_ratio",
    definition=Title(
        ru="Объём продаж против среднего за несколько таких же частей прошлых периодов (обычно трёх); "
        "периоды до первой продажи считаются нулём.",
        en="Revenue won against the mean of several comparable previous periods (three unless configured); "
        "periods before the first sale count as 0.",
    ),
    formula="R(w) / mean(R(w′), R(w″), …) - 1 over k previous comparable windows, mean > 0",
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

OPEN_PIPELINE_AMOUNT = Kpi(
    id="open_pipeline_amount",
    title=Title(ru="Сумма в работе", en="Open pipeline"),
    measure=Total(OPEN_DEALS, "amount"),
    unit=Unit.MONEY,
    better=Better.NEITHER,
    grains=OPEN_DEALS_COUNT.grains,
    windows=NOW,
    chapter=Chapter.VOLUME,
    source="catalogue A: open_pipeline_amount",
    definition=Title(
        ru="Сумма незакрытых сделок сейчас, в валюте отчёта по сегодняшнему курсу.",
        en="Amount of deals neither won nor lost at the moment, in the reporting currency at today's rates.",
    ),
    formula="Σ amt(d) for d ∈ D, sem(d) = P",
)

PRODUCT_REVENUE = Kpi(
    id="product_revenue",
    title=Title(ru="Выручка по товару", en="Revenue by product"),
    measure=Total(SOLD_PRODUCTS, "amount"),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("D P T"),
    windows=windows("30d mtd qtd prev_month"),
    chapter=Chapter.VOLUME,
    source="catalogue A: product_revenue",
    definition=Title(
        ru="Суммы товарных строк выигранных сделок по товарам: двадцать крупнейших, остальные вместе (other); "
        "сумма сделки, не разнесённая по строкам, — unallocated.",
        en="Amounts of product rows of deals won, by product: the twenty largest, the rest together (other); "
        "what the rows of a deal do not explain is unallocated.",
    ),
    formula="Σ price·quantity of rows of deals won in w; unallocated = revenue_won - Σ rows",
    labels=("product",),
)

SEGMENT_REVENUE = Kpi(
    id="segment_revenue",
    title=Title(ru="Выручка по сегменту", en="Revenue by segment"),
    measure=Total(SOLD_SEGMENTS, "amount"),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("D P T"),
    windows=windows("30d mtd qtd prev_month"),
    chapter=Chapter.VOLUME,
    source="catalogue A: segment_revenue",
    definition=Title(
        ru="Объём продаж по сфере деятельности клиента (или другому настроенному признаку): "
        "двадцать крупнейших, остальные вместе (other).",
        en="Revenue won by the client's industry (or another configured trait): the twenty largest, the rest together "
        "(other).",
    ),
    formula="Σ amt(d) for d won in w, by segment(d); empty is (none)",
    labels=("segment",),
)

CHAPTER = (
    REVENUE_WON, DEALS_WON_COUNT, UNITS_SOLD, AVG_DEAL_SIZE, AVG_DEAL_SIZE_MEDIAN, REVENUE_PER_CUSTOMER, NEW_DEALS_COUNT,
    DEALS_LOST_COUNT, REVENUE_LOST, SALES_GROWTH_RATIO, SALES_GROWTH_VS_AVG_RATIO, OPEN_DEALS_COUNT, OPEN_PIPELINE_AMOUNT,
    PRODUCT_REVENUE, SEGMENT_REVENUE,
)  # fmt: skip
