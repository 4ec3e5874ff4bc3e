"""Chapter B of the catalogue: activity."""

from __future__ import annotations

from b24metrics.kpi.facts.calls import CALLS
from b24metrics.kpi.model import ALL, Better, Chapter, Kpi, Number, Title, Total, Unit, grains

CALLS_COUNT = Kpi(
    id="calls_count",
    title=Title(ru="Звонки", en="Phone calls"),
    measure=Number(CALLS, distinct="call_key"),
    unit=Unit.CALLS,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.1: calls_count",
    definition=Title(
        ru="Число внешних звонков, входящих и исходящих, без информационных; переведённый звонок для каждого участника один.",
        en="External phone calls in and out, information calls excluded; a transferred one counts once for each who had it.",
    ),
    formula="|C ∩ w|, C = external calls of types 1-4, legs grouped by CALL_ID",
)

TALK_TIME_TOTAL_SECONDS = Kpi(
    id="talk_time_total_seconds",
    title=Title(ru="Время на линии", en="Talk time"),
    measure=Total(CALLS, "duration_seconds", where="connected"),
    unit=Unit.SECONDS,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.1: talk_time_total_seconds",
    definition=Title(
        ru="Суммарная длительность состоявшихся разговоров, каждый участок звонка - у своего сотрудника.",
        en="Total duration of connected phone calls, each leg credited to the one who spoke.",
    ),
    formula="Σ duration(c) for c ∈ C, connected, start(c) ∈ w",
)

CHAPTER = (CALLS_COUNT, TALK_TIME_TOTAL_SECONDS)
