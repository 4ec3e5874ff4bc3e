"""Chapter F of the catalogue: clients who stay, come again, leave, and what they are worth. Arithmetic: ``loyalty.py``."""

from __future__ import annotations

from b24metrics.kpi.facts.customers import BOUGHT, CARED_WINS, CLIENT_SALES, SCORED_CUSTOMERS, STAYING, VALUED
from b24metrics.kpi.loyalty import (
    any_fitted,
    at_risk,
    came_again,
    churned,
    discounted_value,
    mean_and_sum,
    model_flag,
    retained,
    segment_sizes,
    simple_value,
    where_fitted,
)
from b24metrics.kpi.model import (
    ALL,
    NOW,
    Better,
    Chapter,
    Computed,
    Derived,
    Kpi,
    Mean,
    Measure,
    Number,
    Part,
    Quantile,
    Ratio,
    Title,
    Total,
    Unit,
    grains,
    windows,
)

_CLIENT = "customer_no"
_STAYING: dict[str, Measure] = {
    "before": Number(STAYING, "before", distinct=_CLIENT),
    "after": Number(STAYING, "after", distinct=_CLIENT),
    "either": Number(STAYING, distinct=_CLIENT),
}
_SPENT: dict[str, Measure] = {"revenue": Total(BOUGHT, "amount"), "customers": Number(BOUGHT, distinct=_CLIENT)}
_FITTED = Computed(VALUED, ("fitted",), any_fitted, per=_CLIENT)

ACTIVE_CUSTOMERS_COUNT = Kpi(
    id="active_customers_count",
    title=Title(ru="Активные клиенты", en="Active customers"),
    measure=Number(BOUGHT, "active", distinct=_CLIENT),
    unit=Unit.CUSTOMERS,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=NOW,
    chapter=Chapter.RETENTION,
    source="catalogue F: active_customers_count",
    definition=Title(
        ru="Сколько клиентов покупало за последние 365 дней (срок настраивается); своя компания не клиент.",
        en="Clients that bought within the last 365 days (configurable); the own company is no client.",
    ),
    formula="|{k: a purchase of k in (now − H, now]}|",
)

NEW_CUSTOMERS_COUNT = Kpi(
    id="new_customers_count",
    title=Title(ru="Новые клиенты", en="New customers"),
    measure=Number(CLIENT_SALES, "first_ever"),
    unit=Unit.CUSTOMERS,
    better=Better.HIGHER,
    grains=grains("M D R T"),
    windows=windows("30d mtd qtd prev_month"),
    chapter=Chapter.RETENTION,
    source="catalogue F: new_customers_count",
    definition=Title(
        ru="Клиенты, чья самая первая покупка пришлась на период, у того, кто её провёл; перенесённые из другой системы "
        "сделки новых клиентов не дают.",
        en="Clients whose very first purchase lies in the period, of the person who made it; imported deals make no new ones.",
    ),
    formula="|{k: first purchase of k ∈ w, not imported}|",
)

CUSTOMER_RETENTION_RATE = Kpi(
    id="customer_retention_rate",
    title=Title(ru="Коэффициент удержания (CRR)", en="Retention rate"),
    measure=Derived(_STAYING, retained),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=windows("30d mtd qtd prev_month t365"),
    chapter=Chapter.RETENTION,
    source="catalogue F: customer_retention_rate",
    definition=Title(
        ru="Доля клиентов, активных к началу периода, которые активны и в его конце; новые и вернувшиеся не в счёт.",
        en="Share of the clients active when the period began that are active at its end; new and returned ones left out.",
    ),
    formula="(|E| − |N|) / |S|, S = Active(start), E = Active(end), N = E without S",
    companions=(Part.NUMERATOR, Part.DENOMINATOR),
)

CUSTOMER_CHURN_RATE = Kpi(
    id="customer_churn_rate",
    title=Title(ru="Отток", en="Churn"),
    measure=Derived(_STAYING, churned),
    unit=Unit.RATIO,
    better=Better.LOWER,
    grains=CUSTOMER_RETENTION_RATE.grains,
    windows=CUSTOMER_RETENTION_RATE.windows,
    chapter=Chapter.RETENTION,
    source="catalogue F: customer_churn_rate",
    definition=Title(
        ru="Доля клиентов, активных к началу периода, чья последняя покупка к его концу устарела.",
        en="Share of the clients active when the period began whose last purchase was too old at its end.",
    ),
    formula="1 − CRR on the same sets",
    companions=(Part.NUMERATOR, Part.DENOMINATOR),
)

REACTIVATED_CUSTOMERS_COUNT = Kpi(
    id="reactivated_customers_count",
    title=Title(ru="Вернувшиеся клиенты", en="Reactivated customers"),
    measure=Number(CLIENT_SALES, "reactivated", distinct=_CLIENT),
    unit=Unit.CUSTOMERS,
    better=Better.HIGHER,
    grains=CUSTOMER_RETENTION_RATE.grains,
    windows=CUSTOMER_RETENTION_RATE.windows,
    chapter=Chapter.RETENTION,
    source="catalogue F: reactivated_customers_count",
    definition=Title(
        ru="Клиенты, которые купили в периоде после перерыва длиннее 365 дней (срок настраивается).",
        en="Clients that bought in the period after a gap of more than 365 days (configurable).",
    ),
    formula="|{k: purchase of k ∈ w, more than H after the one before}|",
)

REPEAT_PURCHASES_COUNT = Kpi(
    id="repeat_purchases_count",
    title=Title(ru="Повторные покупки", en="Repeat purchases"),
    measure=Number(CLIENT_SALES, "repeated"),
    unit=Unit.DEALS,
    better=Better.HIGHER,
    grains=grains("M D P T"),
    windows=ALL,
    chapter=Chapter.RETENTION,
    source="catalogue F: repeat_purchases_count",
    definition=Title(
        ru="Выигранные сделки клиентов, у которых уже была выигранная и не отменённая сделка.",
        en="Deals won of clients who had one before that is still won.",
    ),
    formula="|{d: won_at ∈ w, an earlier win of the same client stands}|, ties by id",
)

REPEAT_DEAL_SHARE = Kpi(
    id="repeat_deal_share",
    title=Title(ru="Доля повторных сделок", en="Share of repeat deals"),
    measure=Ratio(Number(CLIENT_SALES, "repeated"), Number(CLIENT_SALES)),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=REPEAT_PURCHASES_COUNT.grains,
    windows=ALL,
    chapter=Chapter.RETENTION,
    source="catalogue F: repeat_deal_share",
    definition=Title(
        ru="Доля повторных покупок среди всех выигранных сделок.",
        en="Share of repeat purchases among all deals won.",
    ),
    formula="repeat_purchases_count / deals_won_count",
)

REPEAT_PURCHASE_RATE = Kpi(
    id="repeat_purchase_rate",
    title=Title(ru="Доля повторно купивших", en="Repeat purchase rate"),
    measure=Computed(BOUGHT, ("amount", _CLIENT), came_again, order=_CLIENT),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("D T"),
    windows=windows("now t365"),
    chapter=Chapter.RETENTION,
    source="catalogue F: repeat_purchase_rate",
    definition=Title(
        ru="Доля покупавших клиентов, у которых две покупки или больше: за всё время (now) и за 365 дней.",
        en="Share of the clients who bought that have two purchases or more: of all time (now) and in 365 days.",
    ),
    formula="|customers with ≥ 2 purchases| / |customers with ≥ 1|",
    companions=(Part.NUMERATOR, Part.DENOMINATOR),
)

PURCHASE_FREQUENCY = Kpi(
    id="purchase_frequency",
    title=Title(ru="Частота покупок", en="Purchase frequency"),
    measure=Ratio(Number(BOUGHT), Number(BOUGHT, distinct=_CLIENT)),
    unit=Unit.PURCHASES,
    better=Better.HIGHER,
    grains=grains("D T"),
    windows=windows("t365"),
    chapter=Chapter.RETENTION,
    source="catalogue F: purchase_frequency",
    definition=Title(
        ru="Сколько покупок за 365 дней приходится на одного покупавшего клиента.",
        en="Purchases in 365 days by the clients who made them.",
    ),
    formula="|purchases ∈ t365| / |their customers|",
)

INTERPURCHASE_SECONDS_MEDIAN = Kpi(
    id="interpurchase_seconds_median",
    title=Title(ru="Время между покупками, медиана", en="Time between purchases, median"),
    measure=Quantile(CLIENT_SALES, "gap_seconds", 0.5),
    unit=Unit.SECONDS,
    better=Better.LOWER,
    grains=grains("D T"),
    windows=windows("t365"),
    chapter=Chapter.RETENTION,
    source="catalogue F: interpurchase_seconds_median",
    definition=Title(
        ru="Медиана времени от предыдущей покупки того же клиента до очередной, сделанной за последние 365 дней.",
        en="Median time from a client's purchase before to the next one, made within 365 days.",
    ),
    formula="Q0.5 of (purchase − the same customer's purchase before), purchase ∈ t365",
)

POST_SALE_CONTACT_RATE = Kpi(
    id="post_sale_contact_rate",
    title=Title(ru="Послепродажный контакт", en="Post-sale contact"),
    measure=Ratio(Number(CARED_WINS, "cared"), Number(CARED_WINS)),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=windows("prev_month t90"),
    chapter=Chapter.RETENTION,
    source="catalogue F: post_sale_contact_rate",
    definition=Title(
        ru="Доля выигранных сделок старше 30 дней, после которых с клиентом связались через 1–30 дней: звонок, письмо, чат, "
        "встреча.",
        en="Share of the deals won more than 30 days ago whose client was in contact 1 to 30 days later: call, letter, chat, "
        "meeting.",
    ),
    formula="|{d: contact in [won_at + 1 d, won_at + 30 d]}| / |{d: won_at ∈ w, won_at < now − 30 d}|",
)

RFM_SCORE = Kpi(
    id="rfm_score",
    title=Title(ru="RFM-сегмент", en="RFM segment"),
    measure=Derived(
        {
            "customers": Number(SCORED_CUSTOMERS),
            "recency": Total(SCORED_CUSTOMERS, "recency_score"),
            "frequency": Total(SCORED_CUSTOMERS, "frequency_score"),
            "monetary": Total(SCORED_CUSTOMERS, "monetary_score"),
        },
        segment_sizes,
    ),
    unit=Unit.CUSTOMERS,
    better=Better.NEITHER,
    grains=grains("T"),
    windows=windows("t365"),
    chapter=Chapter.RETENTION,
    source="catalogue F: rfm_score",
    definition=Title(
        ru="Сколько покупавших за 365 дней клиентов в каждом сегменте: баллы от 1 до 5 за давность, частоту и сумму видны "
        "в расшифровке; при 24 клиентах и меньше сегментов нет.",
        en="Clients who bought in 365 days, by segment; their scores, 1 to 5, for recency, frequency and money stand in the "
        "explanation. With 24 clients or less there are no segments.",
    ),
    formula="score = 1 + floor(5 · |strictly worse| / n); champions R, F ≥ 4; loyal F ≥ 4; new R ≥ 4 & F = 1; at_risk R ≤ 2 & "
    "F ≥ 3; lost R = 1 & F ≤ 2; other",
    labels=("segment",),
    exported="rfm_segment_customers",
)

CLV_HISTORIC = Kpi(
    id="clv_historic",
    title=Title(ru="Историческая ценность клиента", en="Historic CLV"),
    measure=Mean(BOUGHT, "earned", per=_CLIENT),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("D T"),
    windows=NOW,
    chapter=Chapter.RETENTION,
    source="catalogue F: clv_historic",
    definition=Title(
        ru="Сколько маржи в среднем принёс клиент за всё время; по клиентам — в расшифровке.",
        en="Margin that a client has brought so far, on average; client by client in the explanation.",
    ),
    formula="mean over customers of Σ margin × amount of past purchases",
)

CLV_SIMPLE = Kpi(
    id="clv_simple",
    title=Title(ru="Простая пожизненная ценность", en="Simple CLV"),
    measure=Derived(_SPENT | _STAYING, simple_value),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("D T"),
    windows=windows("t365"),
    chapter=Chapter.RETENTION,
    source="catalogue F: clv_simple",
    definition=Title(
        ru="Средний чек × покупок в год × срок жизни клиента в годах × маржа; срок — 1 / отток за 365 дней, не больше 10 лет, "
        "если не задан.",
        en="Average check × purchases a year × years that a client stays × margin; unless configured, 1 / churn of 365 days, "
        "ten years at most.",
    ),
    formula="check × purchases per customer in t365 × min(1 / churn, cap) × margin",
    companions=(Part.N,),
)

CLV_DISCOUNTED = Kpi(
    id="clv_discounted",
    title=Title(ru="Ценность с дисконтированием и удержанием", en="Discounted CLV"),
    measure=Derived(_SPENT, discounted_value),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("D T"),
    windows=windows("t365"),
    chapter=Chapter.RETENTION,
    source="catalogue F: clv_discounted",
    definition=Title(
        ru="Маржа с клиента за год, умноженная на годы с удержанием и дисконтом; значения нет, пока не заданы удержание, "
        "дисконт и горизонт. Подходит для подписки.",
        en="Margin of a client in a year, over the years with retention and discount; no value unless retention, discount and "
        "horizon are set. Fit for subscriptions.",
    ),
    formula="m · Σ_{t<T} (r / (1 + d))^t; without end m (1 + d) / (1 + d − r); m = check × frequency × margin",
    companions=(Part.N,),
)

CLV_PREDICTED = Kpi(
    id="clv_predicted",
    title=Title(ru="Прогнозная ценность", en="Predicted CLV"),
    measure=Derived(
        {"predicted": Computed(VALUED, ("predicted",), mean_and_sum, where="predicted IS NOT NULL", per=_CLIENT)},
        where_fitted,
    ),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("D T"),
    windows=NOW,
    chapter=Chapter.RETENTION,
    source="catalogue F: clv_predicted",
    definition=Title(
        ru="Сколько маржи клиент принесёт за 12 месяцев по моделям BG/NBD и Gamma-Gamma: среднее; в числителе сумма, самые "
        "ценные клиенты — в расшифровке. Значения нет, пока данных для модели мало.",
        en="Margin that a client will bring in 12 months by BG/NBD and Gamma-Gamma: the mean; the sum is the numerator, the most "
        "valuable clients stand in the explanation. No value while the data are too few for a model.",
    ),
    formula="margin · E[M] · Σ_{k≤12} (Y(kτ) − Y((k−1)τ)) / (1 + d)^k, τ = 30.4375 days, d monthly",
    companions=(Part.NUMERATOR, Part.N),
)

CLV_MODEL_OK = Kpi(
    id="clv_model_ok",
    title=Title(ru="Модель ценности пригодна", en="CLV model is valid"),
    measure=Derived({"fitted": _FITTED}, model_flag),
    unit=Unit.FLAG,
    better=Better.HIGHER,
    grains=grains("T"),
    windows=NOW,
    chapter=Chapter.RETENTION,
    source="catalogue F: clv_model_ok",
    definition=Title(
        ru="1, если прогнозной ценности можно верить: не меньше 200 клиентов, 50 повторных и 26 недель истории, суммы не "
        "зависят от частоты, подбор сошёлся; иначе 0.",
        en="1 where predicted values can be trusted: 200 clients, 50 that came again, 26 weeks of history at least, amounts "
        "that do not depend on frequency, a fit that converged; else 0.",
    ),
    formula="n ≥ 200, repeaters ≥ 50, history ≥ 26 weeks, |corr(x, z̄)| < 0.3, converged",
)

CLV_CUSTOMERS_AT_RISK_COUNT = Kpi(
    id="clv_customers_at_risk_count",
    title=Title(ru="Ценные клиенты под угрозой", en="Valuable customers at risk"),
    measure=Derived({"at_risk": Number(VALUED, "at_risk = 1", distinct=_CLIENT), "fitted": _FITTED}, at_risk),
    unit=Unit.CUSTOMERS,
    better=Better.LOWER,
    grains=grains("D T"),
    windows=NOW,
    chapter=Chapter.RETENTION,
    source="catalogue F: clv_customers_at_risk_count",
    definition=Title(
        ru="Клиенты из лучшей пятой части по исторической ценности, которые с вероятностью больше половины уже ушли.",
        en="Clients in the best fifth by historic value that have left with a chance of more than one half.",
    ),
    formula="|{k: score of historic CLV = 5, P(alive) < 0.5}|; needs a valid model",
)

CHAPTER = (
    ACTIVE_CUSTOMERS_COUNT, NEW_CUSTOMERS_COUNT, CUSTOMER_RETENTION_RATE, CUSTOMER_CHURN_RATE, REACTIVATED_CUSTOMERS_COUNT,
    REPEAT_PURCHASES_COUNT, REPEAT_DEAL_SHARE, REPEAT_PURCHASE_RATE, PURCHASE_FREQUENCY, INTERPURCHASE_SECONDS_MEDIAN,
    POST_SALE_CONTACT_RATE, RFM_SCORE, CLV_HISTORIC, CLV_SIMPLE, CLV_DISCOUNTED, CLV_PREDICTED, CLV_MODEL_OK,
    CLV_CUSTOMERS_AT_RISK_COUNT,
)  # fmt: skip
