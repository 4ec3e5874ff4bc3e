"""Telephony: its part of chapter B (activity, catalogue §6.1) and of chapter D (calls that lead to deals, §8.5).

Laws: what is counted are different calls, seen through the legs inside the scope; a talk is the legs of one call there,
summed; so nothing here but talk time adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from b24metrics.kpi.cells import Cells, FloatArray, Groups, Values
from b24metrics.kpi.facts.call_deals import DEAL_DIALS, MATURE_CALLS, SUCCESSFUL_CALLS
from b24metrics.kpi.facts.calls import CALLS, DEPARTMENT_TRAFFIC, SPEECH
from b24metrics.kpi.facts.phone_funnel import FIRST_STEP, PHONE_FUNNEL
from b24metrics.kpi.facts.returns import RETURNS, UNRETURNED
from b24metrics.kpi.model import (
    ALL,
    NOW,
    ROLL,
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
from b24metrics.kpi.stats import survival_quantiles, wilson

#: Below these counts a traffic pattern says nothing (catalogue §6.1 ``call_pattern_*``).
LEAST_DIALS = 30
LEAST_TALKS = 15
#: How far below the department's a manager's connect rate or median talk is a pattern.
LOW_CONNECT_SHARE = 0.7
SHORT_TALK_SHARE = 0.5

_call = partial(Number, CALLS, distinct="call_key")
_activity = partial(Kpi, grains=grains("M D T"), chapter=Chapter.ACTIVITY)

DIALS = _call("outgoing")
CONNECTS = _call("outgoing AND connected")
CONNECTED = _call("connected")
MISSED = _call("NOT outgoing AND NOT answered AND in_hours = 1")
SUCCESSFUL = Number(SUCCESSFUL_CALLS, distinct="call_key")


def _effective_together(groups: Groups) -> FloatArray:
    """Calls whose legs add up to an effective talk. Legs ascend by call."""
    first = groups.firsts("call_key")
    talks = np.add.reduceat(groups.columns["duration_seconds"], np.flatnonzero(first))
    return groups.only(first).only(talks >= groups.options.effective_call_seconds).sizes


def _effective(cells: Cells) -> Values:
    value = cells["alone"] + np.nan_to_num(cells["legs"])
    return Values(value, n=value)


def _effective_rate(cells: Cells) -> Values:
    above, below = _effective(cells).value, cells["connected"]
    with np.errstate(divide="ignore", invalid="ignore"):
        return Values(np.where(below > 0, above / below, np.nan), n=below, numerator=above, denominator=below)


#: Calls of one leg are counted plainly; only the few others need their legs summed.
_EFFECTIVE: Mapping[str, Measure] = {
    "alone": Number(CALLS, "effective AND only_leg"),
    "legs": Computed(
        CALLS, ("duration_seconds", "call_key"), _effective_together, "connected AND NOT only_leg", order="call_key"
    ),
}


def _return_time(groups: Groups) -> Values:
    """Kaplan-Meier median over episodes; legs of one missed call are one, the first tells its time. Legs ascend by call."""
    starts, legs = np.flatnonzero(groups.firsts("call_key")), groups.columns["leg_no"]
    first = np.repeat(np.minimum.reduceat(legs, starts), np.diff(starts, append=len(legs)))
    missed = groups.only(legs == first).ascending("working_seconds")
    medians = survival_quantiles(missed.starts, missed.columns["working_seconds"], missed.columns["returned"] > 0)
    return Values(medians, n=missed.sizes)


def _mean_of_deals(groups: Groups) -> Values:
    """Mean amount of different deals, by which rows ascend; one without a rate is counted and adds nothing."""
    deals = groups.only(groups.firsts("deal_id"))
    amounts = np.nan_to_num(deals.columns["amount"])
    return Values(np.add.reduceat(amounts, deals.starts[:-1]) / deals.sizes, n=deals.sizes)


def _low_connect(cells: Cells) -> FloatArray:
    """1 where even the upper bound of the connect rate lies well below the department's."""
    _, upper = wilson(cells["connects"], cells["dials"])
    with np.errstate(divide="ignore", invalid="ignore"):
        usual = cells["department_connects"] / cells["department_dials"]
    flag = (upper < LOW_CONNECT_SHARE * usual).astype(np.float64)
    return np.where(cells["dials"] >= LEAST_DIALS, flag, np.nan)


def _short_talk(cells: Cells) -> FloatArray:
    """1 where the median talk is far shorter than the department's."""
    flag = (cells["median"] < SHORT_TALK_SHARE * cells["department_median"]).astype(np.float64)
    return np.where(cells["talks"] >= LEAST_TALKS, flag, np.nan)


CALLS_COUNT = _activity(
    id="calls_count",
    title=Title(ru="Звонки", en="Phone calls"),
    measure=_call(),
    unit=Unit.CALLS,
    better=Better.HIGHER,
    windows=ALL,
    source="catalogue B 6.1: calls_count",
    definition=Title(
        ru="Число внешних звонков, входящих и исходящих, без информационных; переведённый звонок для каждого участника один.",
        en="External phone calls in and out, information calls excluded; a transferred one counts once for each who had it.",
    ),
    formula="|C ∩ w|, C = external calls of types 1-4, legs grouped by CALL_ID",
)
CALLS_OUTGOING_COUNT = _activity(
    id="calls_outgoing_count",
    title=Title(ru="Исходящие звонки", en="Outgoing calls"),
    measure=DIALS,
    unit=Unit.CALLS,
    better=Better.HIGHER,
    windows=ALL,
    source="catalogue B 6.1: calls_outgoing_count",
    definition=Title(
        ru="Наборы номера клиента, дозвонились или нет; обратный звонок с сайта — тоже набор. Направление — по первому участку.",
        en="Dials to clients, answered or not; a callback from the website is a dial too. The first leg tells the direction.",
    ),
    formula="|dials ∩ w|, dial = first leg of type 1 or 4",
)
CALLS_INCOMING_COUNT = _activity(
    id="calls_incoming_count",
    title=Title(ru="Входящие звонки", en="Incoming calls"),
    measure=_call("NOT outgoing"),
    unit=Unit.CALLS,
    better=Better.NEITHER,
    windows=ALL,
    source="catalogue B 6.1: calls_incoming_count",
    definition=Title(
        ru="Звонки клиентов нам, принятые и пропущенные. Направление — по первому участку звонка.",
        en="Calls by clients to us, answered and missed. The first leg of a call tells its direction.",
    ),
    formula="|incoming ∩ w|, incoming = first leg of type 2 or 3",
)
CALLS_CONNECTED_COUNT = _activity(
    id="calls_connected_count",
    title=Title(ru="Состоявшиеся разговоры", en="Connected calls"),
    measure=CONNECTED,
    unit=Unit.CALLS,
    better=Better.HIGHER,
    windows=ALL,
    source="catalogue B 6.1: calls_connected_count",
    definition=Title(
        ru="Звонки в обе стороны, в которых сотрудник говорил с клиентом хотя бы секунду.",
        en="Calls in either direction in which somebody talked with the client for a second at least.",
    ),
    formula="|connected ∩ w|, connected = code 200 and duration > 0 on any leg inside the scope",
)
CALLS_OUTGOING_CONNECTED_COUNT = _activity(
    id="calls_outgoing_connected_count",
    title=Title(ru="Дозвоны", en="Connected dials"),
    measure=CONNECTS,
    unit=Unit.CALLS,
    better=Better.HIGHER,
    windows=ALL,
    source="catalogue B 6.1: calls_outgoing_connected_count",
    definition=Title(
        ru="Исходящие звонки, на которые клиент ответил.",
        en="Outgoing calls that the client answered.",
    ),
    formula="|dials ∩ connected ∩ w|",
)
CONNECT_RATE = _activity(
    id="connect_rate",
    title=Title(ru="Доля дозвонов", en="Connect rate"),
    measure=Ratio(CONNECTS, DIALS),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    windows=ALL,
    source="catalogue B 6.1: connect_rate",
    definition=Title(
        ru="Какая часть исходящих звонков закончилась разговором.",
        en="The share of outgoing calls that became a talk.",
    ),
    formula="|dials ∩ connected ∩ w| / |dials ∩ w|",
)
CALLS_EFFECTIVE_COUNT = _activity(
    id="calls_effective_count",
    title=Title(ru="Результативные разговоры", en="Effective conversations"),
    measure=Derived(_EFFECTIVE, _effective),
    unit=Unit.CALLS,
    better=Better.HIGHER,
    windows=ALL,
    source="catalogue B 6.1: calls_effective_count",
    definition=Title(
        ru="Состоявшиеся разговоры не короче порога (по умолчанию 30 секунд); участки одного звонка складываются.",
        en="Talks no shorter than a threshold (30 seconds unless configured); legs of one call are added up.",
    ),
    formula="|{c ∈ connected ∩ w: Σ duration of its legs in the scope ≥ 30 s}|",
)
EFFECTIVE_CALL_RATE = _activity(
    id="effective_call_rate",
    title=Title(ru="Доля результативных разговоров", en="Effective call rate"),
    measure=Derived({**_EFFECTIVE, "connected": CONNECTED}, _effective_rate),
    companions=(Part.NUMERATOR, Part.DENOMINATOR),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    windows=ALL,
    source="catalogue B 6.1: effective_call_rate",
    definition=Title(
        ru="Какая часть состоявшихся разговоров длилась не меньше порога.",
        en="The share of talks that lasted at least as long as the threshold.",
    ),
    formula="|effective ∩ w| / |connected ∩ w|",
)
TALK_TIME_TOTAL_SECONDS = _activity(
    id="talk_time_total_seconds",
    title=Title(ru="Время на линии", en="Talk time"),
    measure=Total(CALLS, "duration_seconds", where="connected"),
    unit=Unit.SECONDS,
    better=Better.HIGHER,
    windows=ALL,
    source="catalogue B 6.1: talk_time_total_seconds",
    definition=Title(
        ru="Суммарная длительность состоявшихся разговоров, каждый участок звонка — у своего сотрудника.",
        en="Total duration of connected phone calls, each leg credited to the one who spoke.",
    ),
    formula="Σ duration(c) for c ∈ C, connected, start(c) ∈ w",
)
TALK_TIME_AVG_SECONDS = _activity(
    id="talk_time_avg_seconds",
    title=Title(ru="Средняя длительность разговора", en="Average talk time"),
    measure=Mean(CALLS, "duration_seconds", "connected", per="call_key"),
    unit=Unit.SECONDS,
    better=Better.BAND,
    windows=ALL,
    source="catalogue B 6.1: talk_time_avg_seconds",
    definition=Title(
        ru="Сколько в среднем длится состоявшийся разговор; недозвоны не считаются.",
        en="How long a talk lasts on average; calls that nobody answered do not count.",
    ),
    formula="Σ duration / |connected ∩ w|, legs of one call in the scope summed",
)
TALK_TIME_MEDIAN_SECONDS = _activity(
    id="talk_time_median_seconds",
    title=Title(ru="Медианная длительность разговора", en="Median talk time"),
    measure=Quantile(CALLS, "duration_seconds", 0.5, "connected", per="call_key"),
    unit=Unit.SECONDS,
    better=Better.BAND,
    windows=ALL,
    source="catalogue B 6.1: talk_time_median_seconds",
    definition=Title(
        ru="Половина состоявшихся разговоров короче этого, половина длиннее; одно долгое совещание её не сдвинет.",
        en="Half of the talks are shorter than this, half are longer; one conference call does not move it.",
    ),
    formula="Q50 of duration over connected ∩ w, legs of one call in the scope summed",
)
CALLS_MISSED_COUNT = _activity(
    id="calls_missed_count",
    title=Title(ru="Пропущенные звонки", en="Missed calls"),
    measure=MISSED,
    unit=Unit.CALLS,
    better=Better.LOWER,
    windows=ALL,
    source="catalogue B 6.1: calls_missed_count",
    definition=Title(
        ru="Входящие в рабочее время компании, на которые не ответил никто. Звонок, который обзвонил нескольких и был принят "
        "одним, не пропущен.",
        en="Incoming calls within the company's hours that nobody answered. A call that rang several people and was taken by "
        "one is not missed.",
    ),
    formula="|{c ∈ incoming ∩ w: no leg of anybody connected, the company works at start(c)}|",
)
MISSED_CALL_SHARE = _activity(
    id="missed_call_share",
    title=Title(ru="Доля пропущенных звонков", en="Missed call share"),
    measure=Ratio(MISSED, _call("NOT outgoing AND (answered OR in_hours = 1)")),
    unit=Unit.RATIO,
    better=Better.LOWER,
    windows=ALL,
    source="catalogue B 6.1: missed_call_share",
    definition=Title(
        ru="Какая часть входящих звонков пропущена; пропущенные в нерабочее время не входят ни в числитель, ни в знаменатель.",
        en="The share of incoming calls that were missed; those missed after hours are in neither part.",
    ),
    formula="missed in hours / (|incoming ∩ w| - missed after hours)",
)
MISSED_AFTER_HOURS_COUNT = _activity(
    id="missed_after_hours_count",
    title=Title(ru="Пропущенные в нерабочее время", en="Missed after hours"),
    measure=_call("NOT outgoing AND NOT answered AND in_hours = 0"),
    unit=Unit.CALLS,
    better=Better.LOWER,
    windows=ALL,
    source="catalogue B 6.1: missed_after_hours_count",
    definition=Title(
        ru="Входящие без ответа, которые начались, когда компания не работала.",
        en="Incoming calls without an answer that began while the company was closed.",
    ),
    formula="|{c ∈ incoming ∩ w: no leg of anybody connected, the company does not work at start(c)}|",
)
MISSED_CALLS_UNRETURNED_COUNT = _activity(
    id="missed_calls_unreturned_count",
    title=Title(ru="Неперезвоненные пропущенные", en="Unreturned missed calls"),
    measure=Number(UNRETURNED, distinct="call_key"),
    unit=Unit.CALLS,
    better=Better.LOWER,
    windows=ALL + NOW,
    source="catalogue B 6.1: missed_calls_unreturned_count",
    definition=Title(
        ru="Номера, с которых звонили и с которыми до сих пор никто не поговорил; несколько пропущенных подряд — один случай, "
        "с первого из них. «Сейчас» — все такие номера за всё время.",
        en="Numbers that called us and with whom nobody has talked since; several missed calls in a row are one case, dated by "
        "the first. The state `now` looks over all time.",
    ),
    formula="|{episodes e: first miss(e) ∈ w, no connected call with its number after it until now}|",
)
MISSED_CALL_RETURN_SECONDS = _activity(
    id="missed_call_return_seconds",
    title=Title(ru="Время до перезвона", en="Missed-call return time"),
    measure=Computed(RETURNS, ("working_seconds", "returned", "call_key", "leg_no"), _return_time, order="call_key"),
    unit=Unit.SECONDS,
    better=Better.LOWER,
    windows=ALL,
    source="catalogue B 6.1: missed_call_return_seconds",
    definition=Title(
        ru="За сколько рабочего времени возвращается половина пропущенных; те, кому ещё не перезвонили, учтены как ждущие.",
        en="Working time within which half of the missed calls are returned; those still waiting are counted as waiting.",
    ),
    formula="Kaplan-Meier median of W_e(return) - W_e(miss), e = the person called; unreturned censored at now",
)
DIALS_PER_DEAL = Kpi(
    id="dials_per_deal",
    title=Title(ru="Наборов на сделку", en="Dials per deal"),
    measure=Mean(DEAL_DIALS, "dials"),
    unit=Unit.CALLS,
    better=Better.NEITHER,
    grains=grains("M D P T"),
    windows=windows("30d mtd prev_month"),
    labels=("outcome",),
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.1: dials_per_deal",
    definition=Title(
        ru="Сколько раз в среднем набирали клиента от создания сделки до её закрытия; выигранные и проигранные отдельно.",
        en="How often the client was dialled on average between a deal's creation and its closing; won and lost apart.",
    ),
    formula="mean over deals closed in w of |dials bound to the deal or made to its company or contact in [created, closed]|",
)
DIALS_PER_CONNECT = _activity(
    id="dials_per_connect",
    title=Title(ru="Наборов на дозвон", en="Dials per connect"),
    measure=Ratio(DIALS, CONNECTS),
    unit=Unit.RATIO,
    better=Better.LOWER,
    windows=ALL,
    source="catalogue B 6.1: dials_per_connect",
    definition=Title(
        ru="Сколько раз надо набрать номер, чтобы один раз поговорить.",
        en="How many dials one answered call takes.",
    ),
    formula="|dials ∩ w| / |dials ∩ connected ∩ w|",
)
CALL_RECORDING_COVERAGE = _activity(
    id="call_recording_coverage",
    title=Title(ru="Доля записанных разговоров", en="Recorded share"),
    measure=Ratio(_call("connected AND recordable AND recorded"), _call("connected AND recordable")),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    windows=ROLL,
    source="catalogue B 6.1: call_recording_coverage",
    definition=Title(
        ru="У какой части разговоров есть запись; линии, которые по закону записывать нельзя, не считаются.",
        en="The share of talks that have a record; lines on which the law forbids records do not count.",
    ),
    formula="connected with a record / connected, without configured lines",
)
CALL_TRANSCRIPT_COVERAGE = _activity(
    id="call_transcript_coverage",
    title=Title(ru="Доля расшифрованных разговоров", en="Transcribed share"),
    measure=Ratio(_call("connected AND recordable AND transcribed"), _call("connected AND recordable")),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    windows=ROLL,
    source="catalogue B 6.1: call_transcript_coverage",
    definition=Title(
        ru="У какой части разговоров есть расшифровка; линии, которые по закону записывать нельзя, не считаются.",
        en="The share of talks that have a transcript; lines on which the law forbids records do not count.",
    ),
    formula="connected with a transcript / connected, without configured lines",
)
MANAGER_TALK_SHARE = _activity(
    id="manager_talk_share",
    title=Title(ru="Доля речи менеджера", en="Talk-to-listen ratio"),
    measure=Ratio(Total(SPEECH, "operator_seconds"), Total(SPEECH, "both_seconds")),
    needs_input="speech",
    unit=Unit.RATIO,
    better=Better.BAND,
    windows=ROLL,
    source="catalogue B 6.1: manager_talk_share",
    definition=Title(
        ru="Какую часть речи в разговоре произносит сотрудник; из внешней системы анализа речи. Хорошо от 0,4 до 0,6.",
        en="How much of the speech in a talk is the employee's; from speech analysis outside. Good between 0.4 and 0.6.",
    ),
    formula="Σ operator seconds / Σ (operator + client seconds)",
)
CALL_PATTERN_LOW_CONNECT = Kpi(
    id="call_pattern_low_connect",
    title=Title(ru="Много звонит, мало дозванивается", en="Calls much, connects little"),
    measure=Derived(
        {
            "dials": DIALS,
            "connects": CONNECTS,
            "department_dials": Total(DEPARTMENT_TRAFFIC, "dials"),
            "department_connects": Total(DEPARTMENT_TRAFFIC, "connects"),
        },
        _low_connect,
    ),
    unit=Unit.FLAG,
    better=Better.LOWER,
    grains=grains("M"),
    windows=windows("today 7d"),
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.1: call_pattern_low_connect",
    definition=Title(
        ru="1, если из 30 и более наборов доля дозвонов заметно ниже, чем в своём отделе (ниже 0,7 от неё даже с учётом "
        "случайности).",
        en="1 where of 30 or more dials the connect rate lies well below the own department's (below 0.7 of it even allowing "
        "for chance).",
    ),
    formula="dials ≥ 30 and upper Wilson bound of own connect rate < 0.7 x department connect rate",
)
CALL_PATTERN_SHORT_TALK = Kpi(
    id="call_pattern_short_talk",
    title=Title(ru="Дозванивается, но не удерживает", en="Connects but does not hold"),
    measure=Derived(
        {
            "talks": CONNECTED,
            "median": TALK_TIME_MEDIAN_SECONDS.measure,
            "department_median": Total(DEPARTMENT_TRAFFIC, "median_seconds"),
        },
        _short_talk,
    ),
    unit=Unit.FLAG,
    better=Better.LOWER,
    grains=grains("M"),
    windows=windows("today 7d"),
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.1: call_pattern_short_talk",
    definition=Title(
        ru="1, если из 15 и более разговоров обычный короче половины обычного разговора своего отдела.",
        en="1 where of 15 or more talks the usual one is shorter than half of the own department's.",
    ),
    formula="connected ≥ 15 and own median talk < 0.5 x department median talk",
)

# ---------------------------------------------------------------- chapter D: calls that lead to deals

_conversion = partial(Kpi, grains=grains("M D T"), windows=windows("30d mtd prev_month"), chapter=Chapter.CONVERSION)
_funnel = partial(Kpi, grains=grains("M D T"), windows=windows("30d mtd"), labels=("step",), chapter=Chapter.CONVERSION)
_LATER_STEPS = f"step <> '{FIRST_STEP}'"

CALLS_SUCCESSFUL_COUNT = _conversion(
    id="calls_successful_count",
    title=Title(ru="Успешные звонки", en="Successful calls"),
    measure=SUCCESSFUL,
    unit=Unit.CALLS,
    better=Better.HIGHER,
    source="catalogue D 8.5: calls_successful_count",
    definition=Title(
        ru="Звонки клиентам, которые заключили сделку не позже чем через 30 дней; звонок засчитан тому, кто звонил, кто бы ни "
        "закрыл сделку. Звонки последних 30 дней ещё могут стать успешными.",
        en="Calls with clients who signed within 30 days after them; a call counts for who made it, whoever closed the deal. "
        "Calls of the last 30 days may still become successful.",
    ),
    formula="|{c ∈ C ∩ w: a deal of its client has won_at ∈ [start(c), start(c) + 30 d]}|",
)
CALL_CONVERSION_RATIO = _conversion(
    id="call_conversion_ratio",
    title=Title(ru="Конверсия звонков", en="Call conversion"),
    measure=Ratio(SUCCESSFUL, _call()),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    source="catalogue D 8.5: call_conversion_ratio",
    definition=Title(
        ru="Какая часть всех звонков привела к сделке не позже чем через 30 дней. Свежие звонки ещё не созрели: зрелая "
        "конверсия — отдельный показатель.",
        en="The share of all calls that led to a deal within 30 days. Recent calls have not had their time: mature conversion "
        "is a KPI of its own.",
    ),
    formula="|successful ∩ w| / |C ∩ w|",
)
CALL_CONVERSION_RATIO_MATURE = _conversion(
    id="call_conversion_ratio_mature",
    title=Title(ru="Конверсия звонков, зрелая", en="Call conversion, mature"),
    measure=Ratio(Number(MATURE_CALLS, "successful", distinct="call_key"), Number(MATURE_CALLS, distinct="call_key")),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    source="catalogue D 8.5: call_conversion_ratio_mature",
    definition=Title(
        ru="Конверсия звонков, у которых было полных 30 дней на сделку: сделанных за 60-30 дней до конца периода.",
        en="Conversion of calls that had their full 30 days: those made 60 to 30 days before the end of the window.",
    ),
    formula="|successful| / |C| over calls in [b - 30 d - 30 d, b - 30 d), b = end of w",
)
CUSTOMERS_CLOSED_BY_CALLS_COUNT = _conversion(
    id="customers_closed_by_calls_count",
    title=Title(ru="Клиенты, закрывшие сделку после звонка", en="Clients who signed after calls"),
    measure=Number(SUCCESSFUL_CALLS, distinct="client"),
    unit=Unit.CUSTOMERS,
    better=Better.HIGHER,
    source="catalogue D 8.5: customers_closed_by_calls_count",
    definition=Title(
        ru="Сколько разных клиентов стоит за успешными звонками.",
        en="How many different clients stand behind successful calls.",
    ),
    formula="|distinct clients of deals behind successful calls ∩ w|",
)
AVG_CHECK_AFTER_CALL = _conversion(
    id="avg_check_after_call",
    title=Title(ru="Средний чек после звонка", en="Average deal after a call"),
    measure=Computed(SUCCESSFUL_CALLS, ("amount", "deal_id"), _mean_of_deals, order="deal_id"),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    source="catalogue D 8.5: avg_check_after_call",
    definition=Title(
        ru="Средняя сумма сделок, к которым привели звонки; каждая сделка один раз.",
        en="Mean amount of the deals that calls led to; every deal once.",
    ),
    formula="mean amt over distinct deals behind successful calls ∩ w",
)
PHONE_FUNNEL_COUNT = _funnel(
    id="phone_funnel_count",
    title=Title(ru="Телефонная воронка: клиенты", en="Telephony funnel: clients"),
    measure=Number(PHONE_FUNNEL, "reached"),
    unit=Unit.CUSTOMERS,
    better=Better.HIGHER,
    source="catalogue D 8.5: phone_funnel_count",
    definition=Title(
        ru="Сколько клиентов, которым впервые позвонили в этот период, дошло до шага: набор, разговор, результативный разговор, "
        "сделка, предложение, продажа, контакт после продажи.",
        en="How many of the clients who were first called in the window came as far as the step: dialled, connected, effective, "
        "qualified, offer, won, post-sale contact.",
    ),
    formula="|{clients: first dial ever ∈ w, step and all before it reached}|",
)
PHONE_FUNNEL_CONVERSION = _funnel(
    id="phone_funnel_conversion",
    title=Title(ru="Телефонная воронка: конверсия шага", en="Telephony funnel: step conversion"),
    measure=Ratio(Number(PHONE_FUNNEL, f"reached AND {_LATER_STEPS}"), Number(PHONE_FUNNEL, _LATER_STEPS)),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    source="catalogue D 8.5: phone_funnel_conversion",
    definition=Title(
        ru="Какая часть клиентов, дошедших до предыдущего шага, дошла и до этого.",
        en="The share of clients at the step before who came to this one.",
    ),
    formula="phone_funnel_count{step} / phone_funnel_count{step before}",
)
PHONE_FUNNEL_SECONDS_MEDIAN = _funnel(
    id="phone_funnel_seconds_median",
    title=Title(ru="Телефонная воронка: время до шага", en="Telephony funnel: time to the step"),
    measure=Quantile(PHONE_FUNNEL, "working_seconds", 0.5, f"reached AND {_LATER_STEPS}"),
    unit=Unit.SECONDS,
    better=Better.NEITHER,
    source="catalogue D 8.5: phone_funnel_seconds_median",
    definition=Title(
        ru="За сколько рабочего времени компании половина дошедших проходит от предыдущего шага до этого.",
        en="Working time of the company within which half of those who arrived came from the step before to this one.",
    ),
    formula="Q50 of W_0(arrival at step) - W_0(arrival at step before)",
)

CHAPTER = (
    CALLS_COUNT, CALLS_OUTGOING_COUNT, CALLS_INCOMING_COUNT, CALLS_CONNECTED_COUNT, CALLS_OUTGOING_CONNECTED_COUNT,
    CONNECT_RATE, CALLS_EFFECTIVE_COUNT, EFFECTIVE_CALL_RATE, TALK_TIME_TOTAL_SECONDS, TALK_TIME_AVG_SECONDS,
    TALK_TIME_MEDIAN_SECONDS, CALLS_MISSED_COUNT, MISSED_CALL_SHARE, MISSED_AFTER_HOURS_COUNT,
    MISSED_CALLS_UNRETURNED_COUNT, MISSED_CALL_RETURN_SECONDS, DIALS_PER_DEAL, DIALS_PER_CONNECT, CALL_RECORDING_COVERAGE,
    CALL_TRANSCRIPT_COVERAGE, MANAGER_TALK_SHARE, CALL_PATTERN_LOW_CONNECT, CALL_PATTERN_SHORT_TALK,
)  # fmt: skip
"""Chapter B."""

CONVERSION = (
    CALLS_SUCCESSFUL_COUNT, CALL_CONVERSION_RATIO, CALL_CONVERSION_RATIO_MATURE, CUSTOMERS_CLOSED_BY_CALLS_COUNT,
    AVG_CHECK_AFTER_CALL, PHONE_FUNNEL_COUNT, PHONE_FUNNEL_CONVERSION, PHONE_FUNNEL_SECONDS_MEDIAN,
)  # fmt: skip
"""Chapter D."""
