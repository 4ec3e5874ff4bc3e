"""Chapter E of the catalogue: how efficient managers are. The arithmetic stands in ``scoring.py``."""

from __future__ import annotations

from functools import partial
from itertools import product

from b24metrics.kpi.activity import MEETINGS_HELD_COUNT
from b24metrics.kpi.discipline import (
    OPEN_DEALS_OVERDUE_ACTIVITY_SHARE,
    OPEN_DEALS_WITHOUT_ACTIVITY_SHARE,
    STALE_DEALS_SHARE,
)
from b24metrics.kpi.facts.customers import CLIENT_SALES
from b24metrics.kpi.facts.people import LOADS, SCORED_CALLS, SCORES, STAFF, TRAINING, WORKED
from b24metrics.kpi.feedback import REVIEWS_POSITIVE_COUNT
from b24metrics.kpi.invoices import INVOICES_PAID_AMOUNT
from b24metrics.kpi.model import (
    NOW,
    Better,
    Book,
    Chapter,
    Derived,
    Kpi,
    Mean,
    Measure,
    Number,
    Over,
    Plan,
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
from b24metrics.kpi.options import RANKABLE, Criterion
from b24metrics.kpi.outcome import WIN_RATE
from b24metrics.kpi.planning import PLAN_ATTAINMENT_RATIO
from b24metrics.kpi.scoring import SCHEMES, bonus, load_index, load_of_level, payback, rank, scorecard
from b24metrics.kpi.telephony import (
    CALL_CONVERSION_RATIO,
    CALLS_OUTGOING_COUNT,
    CALLS_SUCCESSFUL_COUNT,
    CONNECT_RATE,
    TALK_TIME_MEDIAN_SECONDS,
)
from b24metrics.kpi.volume import AVG_DEAL_SIZE, DEALS_WON_COUNT, NEW_DEALS_COUNT, REVENUE, REVENUE_WON

_COMPARED = {
    kpi.id: kpi
    for kpi in (
        REVENUE_WON, DEALS_WON_COUNT, PLAN_ATTAINMENT_RATIO, AVG_DEAL_SIZE, WIN_RATE, CALLS_OUTGOING_COUNT, CONNECT_RATE,
        MEETINGS_HELD_COUNT, NEW_DEALS_COUNT,
    )
}  # fmt: skip
_RANKED: dict[str, Measure] = {name: _COMPARED[name].measure for name in RANKABLE}
_PROPORTIONS = frozenset(
    name
    for name, measure in _RANKED.items()
    if isinstance(measure, Ratio) and isinstance(measure.numerator, Number) and isinstance(measure.denominator, Number)
)
_FALLING = frozenset(name for name, kpi in _COMPARED.items() if kpi.better is Better.LOWER)
_PLAN = Plan(REVENUE_WON.id)
_FROZEN = Plan(REVENUE_WON.id, Book.FROZEN)
_WORKED_SECONDS = Total(WORKED, "worked_seconds", "active")

MANAGER_LOAD_OPEN_DEALS = Kpi(
    id="manager_load_open_deals",
    title=Title(ru="Загрузка менеджера", en="Manager load"),
    measure=Derived(
        {"median": Quantile(LOADS, "open_deals", 0.5), "max": Quantile(LOADS, "open_deals", 1.0)},
        load_of_level,
        spread=({"stat": ""}, {"stat": "median"}, {"stat": "max"}),
    ),
    unit=Unit.DEALS,
    better=Better.BAND,
    grains=grains("M D"),
    windows=NOW,
    chapter=Chapter.EFFICIENCY,
    source="catalogue E: manager_load_open_deals",
    definition=Title(
        ru="Число сделок в работе у действующего менеджера; у отдела — медиана и максимум по его сотрудникам.",
        en="Open deals of an active manager; of a department, the median and the largest of its people.",
    ),
    formula="|{d: sem(d) = P, m(d) = e}|; D: median and max over active e of the department",
    labels=("stat",),
)

MANAGER_LOAD_INDEX = Kpi(
    id="manager_load_index",
    title=Title(ru="Индекс загрузки", en="Load index"),
    measure=Derived({"own": Quantile(LOADS, "open_deals", 0.5)}, load_index),
    unit=Unit.RATIO,
    better=Better.BAND,
    grains=grains("M"),
    windows=NOW,
    chapter=Chapter.EFFICIENCY,
    source="catalogue E: manager_load_index",
    definition=Title(
        ru="Сделки в работе у менеджера против медианы его отдела: 2 значит вдвое больше коллег; "
        "нужны хотя бы трое сотрудников.",
        en="Open deals of a manager against the median of the department: 2 is twice the colleagues'; "
        "needs three people at least.",
    ),
    formula="own open deals / median over active members of the same primary department (≥ 3 members, median > 0)",
)

MANAGER_RANK = Kpi(
    id="manager_rank",
    title=Title(ru="Место в рейтинге", en="Rank"),
    measure=Derived(
        _RANKED | {"worked": _WORKED_SECONDS},
        partial(rank, falling=_FALLING, proportions=_PROPORTIONS),
        spread=tuple({"by": by, "within": within} for by, within in product(RANKABLE, ("D", "T"))),
        optional=frozenset(RANKABLE),
    ),
    unit=Unit.RANK,
    better=Better.LOWER,
    grains=grains("M"),
    windows=windows("mtd prev_month"),
    chapter=Chapter.EFFICIENCY,
    source="catalogue E: manager_rank",
    definition=Title(
        ru="Место менеджера в отделе и в компании по выбранному показателю; доли сравниваются с поправкой на малые числа. "
        "Кто отсутствовал весь период, не участвует.",
        en="Place of a manager in the department and in the company by a chosen KPI; shares are compared with care for "
        "small numbers. Who was absent all the time is not ranked.",
    ),
    formula="1 + |{e′: KPI(e′) better than KPI(e)}|; proportions by Wilson lower (↑) or upper (↓) bound",
    labels=("by", "within"),
)

MANAGER_PAYBACK_RATIO = Kpi(
    id="manager_payback_ratio",
    title=Title(ru="Окупаемость менеджера", en="Manager payback"),
    measure=Derived({"revenue": REVENUE, "costs": Plan("costs", Book.INPUTS)}, payback),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=windows("prev_month qtd"),
    chapter=Chapter.EFFICIENCY,
    source="catalogue E: manager_payback_ratio",
    definition=Title(
        ru="Сколько маржи с продаж приходится на рубль затрат на менеджера (зарплата, бонус, накладные); "
        "без загруженных затрат значения нет.",
        en="Margin of the sales by what the manager costs (salary, bonus, overhead); no value without loaded costs.",
    ),
    formula="revenue_won(w) × margin / Σ costs of the months of w",
    needs_input="costs",
)

CALL_QUALITY_SCORE = Kpi(
    id="call_quality_score",
    title=Title(ru="Качество звонков", en="Call quality"),
    measure=Mean(SCORED_CALLS, "score"),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=windows("7d 30d mtd"),
    chapter=Chapter.EFFICIENCY,
    source="catalogue E: call_quality_score",
    definition=Title(
        ru="Средняя оценка прослушанных звонков по десяти критериям, от 0 до 1; "
        "звонок с нулём за речь и вежливость не получает больше половины.",
        en="Mean score of listened calls by ten criteria, 0 to 1; a call with nothing for politeness gets one half at most.",
    ),
    formula="mean over scored calls of Σ points / (2 × applicable), ≥ 6 applicable; criterion 9 = 0 caps at 0.5",
    needs_input="call_points",
)

CALLS_SCORED_COUNT = Kpi(
    id="calls_scored_count",
    title=Title(ru="Оценённые звонки", en="Calls scored"),
    measure=Number(SCORED_CALLS),
    unit=Unit.CALLS,
    better=Better.HIGHER,
    grains=CALL_QUALITY_SCORE.grains,
    windows=CALL_QUALITY_SCORE.windows,
    chapter=Chapter.EFFICIENCY,
    source="catalogue E: calls_scored_count",
    definition=Title(
        ru="Число звонков, оценённых хотя бы по шести критериям; показывать качество стоит от пяти.",
        en="Calls scored by six criteria at least; their quality is worth showing from five on.",
    ),
    formula="|{c ∈ w: ≥ 6 criteria applicable}|",
    needs_input="call_points",
)

_MEASURED: dict[str, Measure] = {
    Criterion.CALLS: CALLS_OUTGOING_COUNT.measure,
    Criterion.TALK_TIME: TALK_TIME_MEDIAN_SECONDS.measure,
    Criterion.SUCCESSFUL_CALLS: CALLS_SUCCESSFUL_COUNT.measure,
    Criterion.CALL_CONVERSION: CALL_CONVERSION_RATIO.measure,
    Criterion.AVERAGE_CHECK: AVG_DEAL_SIZE.measure,
    Criterion.REPEAT_PURCHASES: Number(CLIENT_SALES, "repeated"),
    Criterion.POSITIVE_REVIEWS: REVIEWS_POSITIVE_COUNT.measure,
    Criterion.COMMUNICATION: CALL_QUALITY_SCORE.measure,
    "share_overdue": Over(OPEN_DEALS_OVERDUE_ACTIVITY_SHARE.measure, WindowId.NOW),
    "share_without_activity": Over(OPEN_DEALS_WITHOUT_ACTIVITY_SHARE.measure, WindowId.NOW),
    "share_stale": Over(STALE_DEALS_SHARE.measure, WindowId.NOW),
}

SCORECARD_SCORE = Kpi(
    id="scorecard_score",
    title=Title(ru="Оценка менеджера", en="Manager scorecard"),
    measure=Derived(
        _MEASURED
        | {f"by_hand_{criterion}": Mean(SCORES, "points", f"criterion = '{criterion}'") for criterion in Criterion}
        | {"worked": Total(WORKED, "worked_days"), "people": Number(WORKED, "worked_days > 0")},
        scorecard,
        optional=frozenset(_MEASURED),
    ),
    unit=Unit.POINTS,
    better=Better.HIGHER,
    grains=grains("M D"),
    windows=windows("prev_month mtd"),
    chapter=Chapter.EFFICIENCY,
    source="catalogue E: scorecard_score",
    definition=Title(
        ru="Средний балл от 1 до 5 по девяти критериям: звонки, разговоры, успешность, чек, повторные покупки, отзывы, "
        "общение, стандарты; нужны нормы и хотя бы пять критериев.",
        en="Mean points, 1 to 5, by nine criteria: calls, talk, success, check, repeat purchases, reviews, communication, "
        "standards; needs norms and five criteria at least.",
    ),
    formula="Σ weight·points / Σ weight over available criteria, ≥ 5; points by attainment of the norm, band, or by hand",
)

BONUS_AMOUNT = Kpi(
    id="bonus_amount",
    title=Title(ru="Бонус", en="Bonus"),
    measure=Derived(
        _RANKED
        | {
            f"frozen_{name}": Plan(name, Book.FROZEN)
            for name in ("revenue_won", "deals_won_count", "plan_attainment_ratio")
        }
        | {
            "plan": _PLAN,
            "paid": INVOICES_PAID_AMOUNT.measure,
            "new_customers": Number(CLIENT_SALES, "first_ever"),
            "frozen_before": Previous(_FROZEN),
            "live_before": Previous(REVENUE),
            "plan_before": Previous(_PLAN),
        },
        bonus,
        spread=tuple({"scheme": scheme} for scheme in SCHEMES),
        optional=frozenset(RANKABLE) | {"paid"},
    ),
    unit=Unit.MONEY,
    better=Better.NEITHER,
    grains=grains("M"),
    windows=windows("prev_month"),
    chapter=Chapter.EFFICIENCY,
    source="catalogue E: bonus_amount",
    definition=Title(
        ru="Бонус за закрытый месяц по каждой включённой схеме: процент с продаж, премия за план, новые клиенты, "
        "лучший результат; correction — поправка за месяц до него, если его сделки изменились.",
        en="Bonus of the closed month by each scheme that is on: percent of sales, premium for the plan, new customers, "
        "best result; correction mends the month before, whose deals were changed.",
    ),
    formula="by scheme from frozen values of prev_month; rounded half up to 0.01 once",
    labels=("scheme",),
)

TURNOVER_INDEX = Kpi(
    id="turnover_index",
    title=Title(ru="Текучесть", en="Revolving-door index"),
    measure=Ratio(Number(STAFF, "departed"), Total(STAFF, "heads")),
    unit=Unit.RATIO,
    better=Better.LOWER,
    grains=grains("D T"),
    windows=windows("t365"),
    chapter=Chapter.EFFICIENCY,
    source="catalogue E: turnover_index",
    definition=Title(
        ru="Сколько сотрудников ушло за год на одного работающего; пока увольнения не наблюдались целый год, значения нет.",
        en="People who left in a year by the average number employed; no value before a full year was observed.",
    ),
    formula="|departures in 365 days| / average headcount over them",
)

EARLY_TURNOVER_SHARE = Kpi(
    id="early_turnover_share",
    title=Title(ru="Ранние увольнения", en="Early turnover"),
    measure=Ratio(Number(STAFF, "departed_early"), Number(STAFF, "departed")),
    unit=Unit.RATIO,
    better=Better.LOWER,
    grains=grains("D T"),
    windows=windows("t365"),
    chapter=Chapter.EFFICIENCY,
    source="catalogue E: early_turnover_share",
    definition=Title(
        ru="Доля ушедших за год, кто проработал меньше 90 дней.",
        en="Share of those who left in a year that stayed for less than 90 days.",
    ),
    formula="|departures within 90 days of hiring| / |departures|, over 365 days",
)

TRAINING_COMPLETION_RATIO = Kpi(
    id="training_completion_ratio",
    title=Title(ru="Обучение", en="Training completion"),
    measure=Ratio(Total(TRAINING, "passed"), Total(TRAINING, "assigned")),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D"),
    windows=windows("mtd"),
    chapter=Chapter.EFFICIENCY,
    source="catalogue E: training_completion_ratio",
    definition=Title(
        ru="Доля пройденных курсов из назначенных в этом месяце; без загруженных данных значения нет.",
        en="Courses passed of those assigned this month; no value without loaded data.",
    ),
    formula="Σ passed / Σ assigned",
    needs_input="training_assigned",
)

CHAPTER = (
    MANAGER_LOAD_OPEN_DEALS, MANAGER_LOAD_INDEX, MANAGER_RANK, MANAGER_PAYBACK_RATIO, SCORECARD_SCORE, CALL_QUALITY_SCORE,
    CALLS_SCORED_COUNT, BONUS_AMOUNT, TURNOVER_INDEX, EARLY_TURNOVER_SHARE, TRAINING_COMPLETION_RATIO,
)  # fmt: skip
