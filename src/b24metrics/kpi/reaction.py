"""Reaction to new requests: the second half of chapter C of the catalogue."""

from __future__ import annotations

from functools import partial
from typing import Final

from b24metrics.kpi.cells import Cells, FloatArray, Groups, Values
from b24metrics.kpi.facts.requests import REQUESTS, UNANSWERED
from b24metrics.kpi.model import (
    ALL,
    NOW,
    Better,
    Chapter,
    Computed,
    Derived,
    Kpi,
    Mean,
    Number,
    Quantile,
    Ratio,
    Title,
    Unit,
    grains,
    windows,
)
from b24metrics.kpi.stats import survival_quantiles

_CUTS = grains("M D P R T")
#: Each request once, those answered at their creation left out.
_EVERY: Final = "is_first = 1 AND NOT at_creation"
_ANSWERED: Final = f"{_EVERY} AND answered"
#: Working seconds of the steps of the histogram.
_LIMITS: Final = (300, 900, 1800, 3600, 14400)

_seconds = partial(
    Kpi,
    unit=Unit.SECONDS,
    better=Better.LOWER,
    grains=_CUTS,
    windows=ALL,
    chapter=Chapter.DISCIPLINE,
)


def _km_medians(groups: Groups) -> FloatArray:
    return survival_quantiles(groups.starts, groups.columns["working_seconds"], groups.columns["is_answered"] > 0)


def _of_limit(cells: Cells) -> Values:
    return Values(cells[cells.combination["limit"]], n=cells["all"])


FIRST_RESPONSE_SECONDS_AVG = _seconds(
    id="first_response_seconds_avg",
    title=Title(ru="Скорость обработки новой заявки, среднее", en="First response time, average"),
    measure=Mean(REQUESTS, "working_seconds", where=_ANSWERED),
    source="catalogue C 7.2: first_response_seconds_avg",
    definition=Title(
        ru="Среднее рабочее время ответственного от создания заявки до его первой реакции, по отвеченным заявкам.",
        en="Average working time of the person responsible from a request's creation to their first reaction, answered ones.",
    ),
    formula="mean (W_e(reaction) - W_e(created)) over answered requests created in w",
)

FIRST_RESPONSE_SECONDS_MEDIAN = _seconds(
    id="first_response_seconds_median",
    title=Title(ru="Скорость обработки новой заявки, медиана", en="First response time, median"),
    measure=Quantile(REQUESTS, "working_seconds", 0.5, where=_ANSWERED),
    source="catalogue C 7.2: first_response_seconds_median",
    definition=Title(
        ru="Медиана рабочего времени ответственного от создания заявки до его первой реакции, по отвеченным заявкам.",
        en="Median working time of the person responsible from a request's creation to their first reaction, answered ones.",
    ),
    formula="Q50 (W_e(reaction) - W_e(created)) over answered requests created in w",
)

FIRST_RESPONSE_SECONDS_P90 = _seconds(
    id="first_response_seconds_p90",
    title=Title(ru="Скорость обработки новой заявки, 90-й процентиль", en="First response time, 90th percentile"),
    measure=Quantile(REQUESTS, "working_seconds", 0.9, where=_ANSWERED),
    source="catalogue C 7.2: first_response_seconds_p90",
    definition=Title(
        ru="Рабочее время, за которое отвечают на девять заявок из десяти, по отвеченным заявкам.",
        en="Working time within which nine of ten requests are answered, answered ones.",
    ),
    formula="Q90 (W_e(reaction) - W_e(created)) over answered requests created in w",
)

FIRST_RESPONSE_SECONDS_KM_MEDIAN = _seconds(
    id="first_response_seconds_km_median",
    title=Title(
        ru="Скорость обработки новой заявки с учётом неотвеченных",
        en="First response time, unanswered requests included",
    ),
    measure=Computed(
        REQUESTS,
        ("working_seconds", "is_answered"),
        _km_medians,
        where=_EVERY,
        order="working_seconds",
    ),
    source="catalogue C 7.2: first_response_seconds_km_median",
    definition=Title(
        ru="Рабочее время, к которому получает реакцию половина заявок; неотвеченные учтены столько, сколько они ждут.",
        en="Working time by which half of the requests get a reaction; unanswered ones count for as long as they wait.",
    ),
    formula="inf{t: S(t) ≤ 0.5}, Kaplan-Meier over requests created in w, unanswered ones censored at their age or closing",
)

FIRST_RESPONSE_CALENDAR_SECONDS_MEDIAN = _seconds(
    id="first_response_calendar_seconds_median",
    title=Title(
        ru="Скорость обработки новой заявки по календарю, медиана", en="First response time by the clock, median"
    ),
    measure=Quantile(REQUESTS, "seconds", 0.5, where=_ANSWERED),
    source="catalogue C 7.2: first_response_calendar_seconds_median",
    definition=Title(
        ru="Сколько ждёт клиент: медиана времени по часам, ночи и выходные включены, по отвеченным заявкам.",
        en="How long the client waits: median time by the clock, nights and weekends included, answered requests.",
    ),
    formula="Q50 (reaction - created) over answered requests created in w",
)

FIRST_CONTACT_SECONDS_MEDIAN = _seconds(
    id="first_contact_seconds_median",
    title=Title(ru="Время до первого реального контакта, медиана", en="Time to first contact, median"),
    measure=Quantile(REQUESTS, "contact_seconds", 0.5, where=_EVERY),
    source="catalogue C 7.2: first_contact_seconds_median",
    definition=Title(
        ru="Медиана рабочего времени до первого разговора, письма, сообщения или встречи; недозвоны, правки и смены этапа "
        "не считаются.",
        en="Median working time to the first talk, letter, message or meeting; unanswered dials, edits and stage moves do not "
        "count.",
    ),
    formula="Q50 (W_e(contact) - W_e(created)) over requests created in w that were contacted",
)

FIRST_RESPONSE_SINCE_ASSIGNMENT_SECONDS_MEDIAN = _seconds(
    id="first_response_since_assignment_seconds_median",
    title=Title(ru="Скорость с момента назначения, медиана", en="First response time since assignment, median"),
    measure=Quantile(REQUESTS, "assigned_seconds", 0.5, where=_ANSWERED),
    source="catalogue C 7.2: first_response_since_assignment_seconds_median",
    definition=Title(
        ru="Медиана рабочего времени с того момента, когда заявку получил ответивший, до его реакции; известно с начала "
        "наблюдения за назначениями.",
        en="Median working time from the moment when whoever answered got the request to the reaction; known since assignments "
        "have been watched.",
    ),
    formula="Q50 (W_e(reaction) - W_e(last assignment before it, else created)) over answered requests created in w",
)

REACTION_BY_OTHER_COUNT = Kpi(
    id="reaction_by_other_count",
    title=Title(ru="Первым отреагировал коллега", en="Requests that a colleague reacted to first"),
    measure=Number(REQUESTS, where=f"{_EVERY} AND by_other"),
    unit=Unit.REQUESTS,
    better=Better.NEITHER,
    grains=_CUTS,
    windows=ALL,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.2: reaction_by_other_count",
    definition=Title(
        ru="Заявки, клиенту которых позвонил или написал другой сотрудник раньше ответственного.",
        en="Requests whose client somebody else called or wrote to before the person responsible did anything.",
    ),
    formula="|{requests created in w: call, letter, message or meeting by another before the own reaction}|",
)

ANSWERED_AT_CREATION_COUNT = Kpi(
    id="answered_at_creation_count",
    title=Title(ru="Заявки, созданные во время разговора", en="Requests answered at creation"),
    measure=Number(REQUESTS, where="is_first = 1 AND at_creation"),
    unit=Unit.REQUESTS,
    better=Better.NEITHER,
    grains=_CUTS,
    windows=ALL,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.2: answered_at_creation_count",
    definition=Title(
        ru="Заявки, созданные во время разговора с ответственным: они отвечены сразу и в скорость не входят.",
        en="Requests created during a talk with the person responsible: answered at once, in no response time.",
    ),
    formula="|{requests created in w during a connected call of the person responsible}|",
)

UNANSWERED_NOW_COUNT = Kpi(
    id="unanswered_now_count",
    title=Title(ru="Неотвеченные заявки", en="Unanswered requests"),
    measure=Number(UNANSWERED, where="is_first = 1"),
    unit=Unit.REQUESTS,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.2: unanswered_now_count",
    definition=Title(
        ru="Открытые заявки последних 30 дней без реакции ответственного.",
        en="Open requests of the last 30 days without a reaction of the person responsible.",
    ),
    formula="|{open requests, no reaction, created within 30 days}|",
)

UNANSWERED_OLDEST_SECONDS = Kpi(
    id="unanswered_oldest_seconds",
    title=Title(ru="Самая старая неотвеченная заявка", en="Oldest unanswered request"),
    measure=Quantile(UNANSWERED, "working_seconds", 1.0, where="is_first = 1 AND working_seconds >= 0"),
    unit=Unit.SECONDS,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.2: unanswered_oldest_seconds",
    definition=Title(
        ru="Сколько рабочего времени ждёт самая старая открытая заявка без реакции.",
        en="Working time that the oldest open request without a reaction has been waiting.",
    ),
    formula="max (W_e(now) - W_e(created)) over unanswered requests",
)

UNANSWERED_BREACH_COUNT = Kpi(
    id="unanswered_breach_count",
    title=Title(ru="Неотвеченные заявки сверх SLA", en="Unanswered requests beyond the SLA"),
    measure=Number(UNANSWERED, where="is_first = 1 AND late = 1"),
    unit=Unit.REQUESTS,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.2: unanswered_breach_count",
    definition=Title(
        ru="Открытые заявки без реакции, которые ждут дольше норматива.",
        en="Open requests without a reaction that have been waiting longer than the SLA.",
    ),
    formula="|{unanswered requests: W_e(now) - W_e(created) > SLA}|",
)

UNANSWERED_BREACH_SHARE = Kpi(
    id="unanswered_breach_share",
    title=Title(ru="Доля неотвеченных сверх SLA", en="Share of unanswered requests beyond the SLA"),
    measure=Ratio(Number(UNANSWERED, where="is_first = 1 AND late = 1"), Number(UNANSWERED, where="is_first = 1")),
    unit=Unit.RATIO,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.2: unanswered_breach_share",
    definition=Title(
        ru="Доля открытых заявок без реакции, которые ждут дольше норматива.",
        en="Share of open requests without a reaction that have been waiting longer than the SLA.",
    ),
    formula="unanswered_breach_count / unanswered_now_count",
)

UNANSWERED_ASSIGNED_TO_ABSENT_COUNT = Kpi(
    id="unanswered_assigned_to_absent_count",
    title=Title(ru="Неотвеченные заявки у отсутствующих", en="Unanswered requests of absent people"),
    measure=Number(UNANSWERED, where="is_first = 1 AND away = 1"),
    unit=Unit.REQUESTS,
    better=Better.LOWER,
    grains=grains("D T"),
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.2: unanswered_assigned_to_absent_count",
    definition=Title(
        ru="Заявки без реакции, ответственный за которые отсутствует, уволен или не работает ближайшие сутки.",
        en="Requests without a reaction whose person responsible is absent, dismissed or off for the next 24 hours.",
    ),
    formula="|{unanswered requests: responsible absent now or all day, dismissed, or W_e(now + 24 h) = W_e(now)}|",
)

SLA_ATTAINMENT_RATIO = Kpi(
    id="sla_attainment_ratio",
    title=Title(ru="Соблюдение SLA", en="SLA attainment"),
    measure=Ratio(
        Number(REQUESTS, where=f"{_ANSWERED} AND late = 0"),
        Number(REQUESTS, where=f"{_EVERY} AND (answered OR late = 1)"),
    ),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=_CUTS,
    windows=ALL,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.2: sla_attainment_ratio",
    definition=Title(
        ru="Доля заявок, на которые ответили в норматив; неотвеченные входят, как только норматив прошёл.",
        en="Share of requests answered within the SLA; unanswered ones take part as soon as it has passed.",
    ),
    formula="answered within SLA / (answered + unanswered older than SLA + closed unanswered beyond SLA)",
)

RESPONSES_WITHIN_COUNT = Kpi(
    id="responses_within_count",
    title=Title(ru="Заявки, отвеченные в пределах времени", en="Requests answered within a time"),
    measure=Derived(
        {str(limit): Number(REQUESTS, where=f"{_ANSWERED} AND working_seconds <= {limit}") for limit in _LIMITS}
        | {"all": Number(REQUESTS, where=_EVERY)},
        _of_limit,
        spread=tuple({"limit": limit} for limit in (*map(str, _LIMITS), "all")),
    ),
    unit=Unit.REQUESTS,
    better=Better.NEITHER,
    grains=_CUTS,
    windows=windows("7d 30d mtd"),
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.2: responses_within_count",
    definition=Title(
        ru="Заявки, отвеченные не позже чем за столько рабочих секунд, с накоплением; all — все заявки, с неотвеченными.",
        en="Requests answered within so many working seconds, cumulative; all: every request, unanswered ones included.",
    ),
    formula="|{answered requests created in w: W_e(reaction) - W_e(created) ≤ limit}|",
    labels=("limit",),
)

CHAPTER = (
    FIRST_RESPONSE_SECONDS_AVG,
    FIRST_RESPONSE_SECONDS_MEDIAN,
    FIRST_RESPONSE_SECONDS_P90,
    FIRST_RESPONSE_SECONDS_KM_MEDIAN,
    FIRST_RESPONSE_CALENDAR_SECONDS_MEDIAN,
    FIRST_CONTACT_SECONDS_MEDIAN,
    FIRST_RESPONSE_SINCE_ASSIGNMENT_SECONDS_MEDIAN,
    REACTION_BY_OTHER_COUNT,
    ANSWERED_AT_CREATION_COUNT,
    UNANSWERED_NOW_COUNT,
    UNANSWERED_OLDEST_SECONDS,
    UNANSWERED_BREACH_COUNT,
    UNANSWERED_BREACH_SHARE,
    UNANSWERED_ASSIGNED_TO_ABSENT_COUNT,
    SLA_ATTAINMENT_RATIO,
    RESPONSES_WITHIN_COUNT,
)
