"""Chapter C of the catalogue: discipline and reaction. Requests are in ``reaction``."""

from __future__ import annotations

from b24metrics.kpi import reaction
from b24metrics.kpi.facts.care import OPEN_DEAL_CARE, OVERDUE_ACTIVITIES, REASSIGNMENTS, REOPENINGS
from b24metrics.kpi.facts.stages import STANDING_DEALS
from b24metrics.kpi.model import CAL, NOW, ROLL, Better, Chapter, Kpi, Number, Ratio, Title, Total, Unit, grains

_CUTS = grains("M D P T, M×P")

OPEN_DEALS_OVERDUE_ACTIVITY_COUNT = Kpi(
    id="open_deals_overdue_activity_count",
    title=Title(ru="Сделки с просроченными делами", en="Open deals with overdue activities"),
    measure=Number(OPEN_DEAL_CARE, where="overdue"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: open_deals_overdue_activity_count",
    definition=Title(
        ru="Сделки в работе, у которых срок хотя бы одного незавершённого дела уже прошёл.",
        en="Open deals with at least one uncompleted activity whose deadline has passed.",
    ),
    formula="|{d: sem(d) = P, ∃ a bound to d: not completed, DEADLINE < now}|",
)

OPEN_DEALS_OVERDUE_ACTIVITY_SHARE = Kpi(
    id="open_deals_overdue_activity_share",
    title=Title(ru="Доля сделок с просроченными делами", en="Share of open deals with overdue activities"),
    measure=Ratio(Number(OPEN_DEAL_CARE, where="overdue"), Number(OPEN_DEAL_CARE)),
    unit=Unit.RATIO,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: open_deals_overdue_activity_share",
    definition=Title(
        ru="Доля сделок в работе, у которых срок хотя бы одного незавершённого дела уже прошёл.",
        en="Share of open deals with at least one uncompleted activity whose deadline has passed.",
    ),
    formula="open_deals_overdue_activity_count / open_deals_count",
)

OPEN_DEALS_WITHOUT_ACTIVITY_COUNT = Kpi(
    id="open_deals_without_activity_count",
    title=Title(ru="Сделки без дел", en="Open deals without planned activities"),
    measure=Number(OPEN_DEAL_CARE, where="without_activity"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: open_deals_without_activity_count",
    definition=Title(
        ru="Сделки в работе, для которых ничего не запланировано; первый рабочий час сделки не считается.",
        en="Open deals for which nothing is planned; a deal's first working hour is skipped.",
    ),
    formula="|{d: sem(d) = P, no uncompleted activity bound to d, W0(now) - W0(DATE_CREATE) ≥ 1 h}|",
)

OPEN_DEALS_WITHOUT_ACTIVITY_SHARE = Kpi(
    id="open_deals_without_activity_share",
    title=Title(ru="Доля сделок без дел", en="Share of open deals without planned activities"),
    measure=Ratio(Number(OPEN_DEAL_CARE, where="without_activity"), Number(OPEN_DEAL_CARE)),
    unit=Unit.RATIO,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: open_deals_without_activity_share",
    definition=Title(
        ru="Доля сделок в работе, для которых ничего не запланировано; первый рабочий час сделки не считается.",
        en="Share of open deals for which nothing is planned; a deal's first working hour is skipped.",
    ),
    formula="open_deals_without_activity_count / open_deals_count",
)

OVERDUE_ACTIVITIES_COUNT = Kpi(
    id="overdue_activities_count",
    title=Title(ru="Просроченные дела", en="Overdue activities"),
    measure=Number(OVERDUE_ACTIVITIES, distinct="id"),
    unit=Unit.ACTIVITIES,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: overdue_activities_count",
    definition=Title(
        ru="Незавершённые дела с прошедшим сроком у ответственного за дело; необработанные входящие не считаются.",
        en="Uncompleted activities past their deadline, by the person responsible; unprocessed incoming items are none.",
    ),
    formula="|{a: not completed, DEADLINE < now, not an item of an incoming channel}|",
)

STALE_DEALS_COUNT = Kpi(
    id="stale_deals_count",
    title=Title(ru="Забытые сделки", en="Stale deals"),
    measure=Number(OPEN_DEAL_CARE, where="stale"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: stale_deals_count",
    definition=Title(
        ru="Сделки в работе, по которым пять рабочих дней компании и дольше не было разговора, письма, сообщения или "
        "встречи с клиентом.",
        en="Open deals without a talk, letter, message or meeting with the client for five working days or more.",
    ),
    formula="|{d: sem(d) = P, working dates x of the company with date(last contact, else creation) < x ≤ today ≥ 5}|",
)

STALE_DEALS_SHARE = Kpi(
    id="stale_deals_share",
    title=Title(ru="Доля забытых сделок", en="Share of stale deals"),
    measure=Ratio(Number(OPEN_DEAL_CARE, where="stale"), Number(OPEN_DEAL_CARE)),
    unit=Unit.RATIO,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: stale_deals_share",
    definition=Title(
        ru="Доля сделок в работе, по которым пять рабочих дней и дольше не было контакта с клиентом.",
        en="Share of open deals without any contact with the client for five working days or more.",
    ),
    formula="stale_deals_count / open_deals_count",
)

STALE_DEALS_AMOUNT = Kpi(
    id="stale_deals_amount",
    title=Title(ru="Сумма забытых сделок", en="Amount of stale deals"),
    measure=Total(OPEN_DEAL_CARE, "amount", where="stale"),
    unit=Unit.MONEY,
    better=Better.LOWER,
    grains=_CUTS,
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: stale_deals_amount",
    definition=Title(
        ru="Сумма сделок в работе, по которым пять рабочих дней и дольше не было контакта с клиентом.",
        en="Amount of open deals without any contact with the client for five working days or more.",
    ),
    formula="Σ amt(d) over stale deals",
)

STUCK_DEALS_COUNT = Kpi(
    id="stuck_deals_count",
    title=Title(ru="Сделки, застрявшие на этапе", en="Deals stuck in stage"),
    measure=Number(STANDING_DEALS, where="stuck"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=grains("M D P S T"),
    windows=NOW,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: stuck_deals_count",
    definition=Title(
        ru="Сделки в работе, которые стоят на своём этапе дольше его порога и дольше трёх четвертей сделок за 180 дней "
        "(если их не меньше 20).",
        en="Open deals that stand at their stage longer than its threshold and than three quarters of the stays of 180 days "
        "(if there are 20 of them).",
    ),
    formula="|{d: sem(d) = P, W0(now) - W0(stage entered) > max(threshold, Q.75 of completed spells t180, n ≥ 20)}|",
)

DEAL_REASSIGNMENTS_COUNT = Kpi(
    id="deal_reassignments_count",
    title=Title(ru="Передачи сделок", en="Reassignments"),
    measure=Number(REASSIGNMENTS),
    unit=Unit.EVENTS,
    better=Better.NEITHER,
    grains=grains("M D T"),
    windows=ROLL,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: deal_reassignments_count",
    definition=Title(
        ru="Сколько раз у сделок менялся ответственный; считается тому, кто сделку отдал.",
        en="How often the person responsible for a deal changed; counted for who gave the deal away.",
    ),
    formula="|{observed changes of ASSIGNED_BY_ID of deals ∈ w}|",
)

DEALS_REOPENED_COUNT = Kpi(
    id="deals_reopened_count",
    title=Title(ru="Переоткрытые сделки", en="Reopened deals"),
    measure=Number(REOPENINGS, distinct="id"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=grains("M D P T"),
    windows=ROLL + CAL,
    chapter=Chapter.DISCIPLINE,
    source="catalogue C 7.1: deals_reopened_count",
    definition=Title(
        ru="Сделки, которые вернули в работу из успеха или провала.",
        en="Deals that were taken back to work after they had been won or lost.",
    ),
    formula="|{d: a row of history with semantics P ∈ w directly after one with S or F}|",
)

CHAPTER = (
    OPEN_DEALS_OVERDUE_ACTIVITY_COUNT,
    OPEN_DEALS_OVERDUE_ACTIVITY_SHARE,
    OPEN_DEALS_WITHOUT_ACTIVITY_COUNT,
    OPEN_DEALS_WITHOUT_ACTIVITY_SHARE,
    OVERDUE_ACTIVITIES_COUNT,
    STALE_DEALS_COUNT,
    STALE_DEALS_SHARE,
    STALE_DEALS_AMOUNT,
    STUCK_DEALS_COUNT,
    DEAL_REASSIGNMENTS_COUNT,
    DEALS_REOPENED_COUNT,
    *reaction.CHAPTER,
)
