"""Chapter C of the catalogue: discipline and reaction."""

from __future__ import annotations

from b24metrics.kpi.facts.deals import OPEN_DEAL_CARE
from b24metrics.kpi.facts.requests import REQUESTS
from b24metrics.kpi.model import ALL, NOW, Better, Chapter, Kpi, Number, Quantile, Title, Unit, grains

OPEN_DEALS_OVERDUE_ACTIVITY_COUNT = Kpi(
    id="open_deals_overdue_activity_count",
    title=Title(ru="Сделки с просроченными делами", en="Open deals with overdue activities"),
    measure=Number(OPEN_DEAL_CARE, where="overdue"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=grains("M D P T, M×P"),
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: open_deals_overdue_activity_count",
    definition=Title(
        ru="Сделки в работе, у которых срок хотя бы одного незавершённого дела уже прошёл.",
        en="Open deals with at least one uncompleted activity whose deadline has passed.",
    ),
    formula="|{d: sem(d) = P, ∃ a bound to d: not completed, DEADLINE < now}|",
)

OPEN_DEALS_WITHOUT_ACTIVITY_COUNT = Kpi(
    id="open_deals_without_activity_count",
    title=Title(ru="Сделки без дел", en="Open deals without planned activities"),
    measure=Number(OPEN_DEAL_CARE, where="without_activity"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=grains("M D P T, M×P"),
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: open_deals_without_activity_count",
    definition=Title(
        ru="Сделки в работе, для которых ничего не запланировано; первый рабочий час сделки не считается.",
        en="Open deals for which nothing is planned; a deal's first working hour is skipped.",
    ),
    formula="|{d: sem(d) = P, no uncompleted activity bound to d, W0(now) - W0(DATE_CREATE) ≥ 1 h}|",
)

FIRST_RESPONSE_SECONDS_MEDIAN = Kpi(
    id="first_response_seconds_median",
    title=Title(ru="Скорость обработки новой заявки, медиана", en="First response time, median"),
    measure=Quantile(REQUESTS, "working_seconds", 0.5, where="answered"),
    unit=Unit.SECONDS,
    better=Better.LOWER,
    grains=grains("M D P R T"),
    windows=ALL,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.2: first_response_seconds_median",
    definition=Title(
        ru="Медиана рабочего времени ответственного от создания заявки до его первой реакции, по отвеченным заявкам.",
        en="Median working time of the person responsible from a request's creation to their first reaction, answered ones.",
    ),
    formula="Q50 (W_e(reaction) - W_e(created)) over answered requests created in w",
)

CHAPTER = (OPEN_DEALS_OVERDUE_ACTIVITY_COUNT, OPEN_DEALS_WITHOUT_ACTIVITY_COUNT, FIRST_RESPONSE_SECONDS_MEDIAN)
