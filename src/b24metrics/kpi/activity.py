"""Chapter B of the catalogue: activity."""

from __future__ import annotations

import numpy as np

from b24metrics.kpi.cells import Cells, FloatArray
from b24metrics.kpi.facts.activities import DONE_ACTIVITIES, MEETINGS, MESSAGES, PENDING_ACTIVITIES
from b24metrics.kpi.facts.leads import NEW_LEADS, VISITS
from b24metrics.kpi.facts.moves import FORWARD_MOVES
from b24metrics.kpi.facts.quotes import DECIDED_QUOTES, PROPOSALS
from b24metrics.kpi.model import (
    ALL,
    NOW,
    Better,
    Chapter,
    Derived,
    Kpi,
    Number,
    Ratio,
    Title,
    Total,
    Unit,
    grains,
    windows,
)
from b24metrics.kpi.telephony import CALLS_COUNT

# ---------------------------------------------------------------- meetings

_MEETING_GRAINS = grains("M D P T")

MEETINGS_HELD_COUNT = Kpi(
    id="meetings_held_count",
    title=Title(ru="Проведённые встречи", en="Meetings held"),
    measure=Number(MEETINGS, "held", distinct="id"),
    unit=Unit.MEETINGS,
    better=Better.HIGHER,
    grains=_MEETING_GRAINS,
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: meetings_held_count",
    definition=Title(
        ru="Завершённые встречи, назначенные на этот период; встреча по нескольким сделкам считается один раз.",
        en="Completed meetings whose time lies in the window; a meeting about several deals counts once.",
    ),
    formula="|{a: kind(a) = meeting, completed, START_TIME(a) ∈ w}|",
)

MEETINGS_PLANNED_COUNT = Kpi(
    id="meetings_planned_count",
    title=Title(ru="Запланированные встречи", en="Meetings planned"),
    measure=Number(PENDING_ACTIVITIES, "meeting_ahead", distinct="id"),
    unit=Unit.MEETINGS,
    better=Better.HIGHER,
    grains=_MEETING_GRAINS,
    windows=NOW,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: meetings_planned_count",
    definition=Title(
        ru="Незавершённые встречи, время которых ещё не наступило.",
        en="Meetings not completed whose time is still to come.",
    ),
    formula="|{a: kind(a) = meeting, not completed, START_TIME(a) ≥ now}|",
)

MEETING_SHOW_RATE = Kpi(
    id="meeting_show_rate",
    title=Title(ru="Доля состоявшихся встреч", en="Meeting show rate"),
    measure=Ratio(Number(MEETINGS, "held", distinct="id"), Number(MEETINGS, distinct="id")),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=_MEETING_GRAINS,
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: meeting_show_rate",
    definition=Title(
        ru="Проведённые встречи среди всех встреч периода, время которых уже наступило.",
        en="Meetings held among all meetings of the window whose time has come.",
    ),
    formula="held / (held + not completed with START_TIME in the past), START_TIME ∈ w",
)

# ---------------------------------------------------------------- messages

_LETTER_OUT = "kind = 'email' AND direction = 2"

EMAILS_SENT_COUNT = Kpi(
    id="emails_sent_count",
    title=Title(ru="Письма исходящие", en="E-mails sent"),
    measure=Number(MESSAGES, _LETTER_OUT),
    unit=Unit.EMAILS,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: emails_sent_count",
    definition=Title(
        ru="Письма клиентам без массовых рассылок; письмо нескольким адресатам одно.",
        en="E-mails to clients, mass mailings excluded; one message to many recipients is one.",
    ),
    formula="|{a: TYPE_ID = 4, DIRECTION = 2, provider is no mailing, CREATED(a) ∈ w}|",
)

EMAILS_RECEIVED_COUNT = Kpi(
    id="emails_received_count",
    title=Title(ru="Письма входящие", en="E-mails received"),
    measure=Number(MESSAGES, "kind = 'email' AND direction = 1"),
    unit=Unit.EMAILS,
    better=Better.NEITHER,
    grains=grains("M D T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: emails_received_count",
    definition=Title(ru="Письма от клиентов за период.", en="E-mails from clients in the window."),
    formula="|{a: TYPE_ID = 4, DIRECTION = 1, CREATED(a) ∈ w}|",
)

OPENLINE_SESSIONS_COUNT = Kpi(
    id="openline_sessions_count",
    title=Title(ru="Чаты открытых линий", en="Open-line chats"),
    measure=Number(MESSAGES, "kind = 'chat'"),
    unit=Unit.SESSIONS,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: openline_sessions_count",
    definition=Title(
        ru="Сеансы чатов с клиентами, начатые за период, у ответственного сотрудника; сеансы, где отвечал только бот, "
        "не считаются, если бот указан в настройках.",
        en="Chat sessions with clients that began in the window, credited to the person responsible; sessions of a bot "
        "alone do not count where the bot is configured.",
    ),
    formula="|{a: kind(a) = chat, responsible is no bot, START_TIME(a) ∈ w}|",
)


def _sum(cells: Cells) -> FloatArray:
    """All inputs together."""
    return np.asarray(np.sum(list(cells.values.values()), axis=0), dtype=np.float64)


COMMUNICATIONS_TOTAL_COUNT = Kpi(
    id="communications_total_count",
    title=Title(ru="Все коммуникации", en="All client communications"),
    measure=Derived(
        {
            "calls": CALLS_COUNT.measure,
            "emails": Number(MESSAGES, _LETTER_OUT),
            "chats": Number(MESSAGES, "kind = 'chat'"),
            "sms": Number(MESSAGES, "kind = 'sms'"),
            "meetings": Number(MEETINGS, "held", distinct="id"),
        },
        _sum,
    ),
    unit=Unit.EVENTS,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: communications_total_count; §19 Other activity",
    definition=Title(
        ru="Звонки, исходящие письма, чаты, SMS и проведённые встречи вместе, каждое событие один раз.",
        en="Phone calls, e-mails sent, chats, SMS and meetings held together, each event once.",
    ),
    formula="calls_count + emails_sent_count + openline_sessions_count + SMS + meetings_held_count",
)

# ---------------------------------------------------------------- tasks and plans

TASKS_COMPLETED_COUNT = Kpi(
    id="tasks_completed_count",
    title=Title(ru="Закрытые задачи", en="Tasks completed"),
    measure=Number(DONE_ACTIVITIES, "kind = 'task'"),
    unit=Unit.TASKS,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: tasks_completed_count",
    definition=Title(
        ru="Задачи, связанные с CRM, завершённые за период.",
        en="Tasks bound to CRM records that were completed in the window.",
    ),
    formula="|{a: TYPE_ID = 3, first observed completion ∈ w}|",
)

TASKS_OVERDUE_COUNT = Kpi(
    id="tasks_overdue_count",
    title=Title(ru="Просроченные задачи", en="Tasks overdue"),
    measure=Number(PENDING_ACTIVITIES, "kind = 'task' AND NOT ahead", distinct="id"),
    unit=Unit.TASKS,
    better=Better.LOWER,
    grains=grains("M D T"),
    windows=NOW,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: tasks_overdue_count",
    definition=Title(
        ru="Незавершённые задачи, связанные с CRM, срок которых прошёл.",
        en="Tasks bound to CRM records that are not completed though their deadline has passed.",
    ),
    formula="|{a: TYPE_ID = 3, not completed, DEADLINE(a) < now}|",
)

ACTIVITIES_COMPLETED_COUNT = Kpi(
    id="activities_completed_count",
    title=Title(ru="Выполненные дела", en="Activities completed"),
    measure=Number(DONE_ACTIVITIES, "NOT by_itself"),
    unit=Unit.ACTIVITIES,
    better=Better.HIGHER,
    grains=grains("M D T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: activities_completed_count",
    definition=Title(
        ru="Дела CRM, завершённые за период, кроме завершённых автоматически; переоткрытое дело — по последнему завершению.",
        en="CRM activities completed in the window, those completed automatically excluded; a reopened one counts by its "
        "last completion.",
    ),
    formula="|{a: COMPLETED = Y, STATUS ≠ 3, first observed completion ∈ w}|",
)

ACTIVITIES_PLANNED_COUNT = Kpi(
    id="activities_planned_count",
    title=Title(ru="Запланированные дела", en="Planned activities"),
    measure=Number(PENDING_ACTIVITIES, "ahead", distinct="id"),
    unit=Unit.ACTIVITIES,
    better=Better.HIGHER,
    grains=grains("M D P T"),
    windows=NOW,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: activities_planned_count",
    definition=Title(
        ru="Незавершённые дела, срок которых не наступил или не указан.",
        en="Activities not completed whose deadline is still to come or is not set.",
    ),
    formula="|{a: not completed, DEADLINE(a) ≥ now or none, no item of an incoming channel}|",
)

ACTIVITIES_PLANNED_TODAY_COUNT = Kpi(
    id="activities_planned_today_count",
    title=Title(ru="Дела до конца дня", en="Activities due today"),
    measure=Number(PENDING_ACTIVITIES, "due_today", distinct="id"),
    unit=Unit.ACTIVITIES,
    better=Better.NEITHER,
    grains=grains("M D P T"),
    windows=NOW,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: activities_planned_count (due today)",
    definition=Title(
        ru="Запланированные дела, срок которых наступит ещё сегодня.",
        en="Planned activities whose deadline is still to come today.",
    ),
    formula="|{a: not completed, now ≤ DEADLINE(a) < midnight}|",
)

ACTIVITIES_PLANNED_UNDATED_COUNT = Kpi(
    id="activities_planned_undated_count",
    title=Title(ru="Дела без срока", en="Activities without a deadline"),
    measure=Number(PENDING_ACTIVITIES, "undated", distinct="id"),
    unit=Unit.ACTIVITIES,
    better=Better.LOWER,
    grains=grains("M D P T"),
    windows=NOW,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: activities_planned_count (no deadline)",
    definition=Title(
        ru="Запланированные дела, срок которых не указан.",
        en="Planned activities that have no deadline.",
    ),
    formula="|{a: not completed, no DEADLINE}|",
)

# ---------------------------------------------------------------- the funnel

STAGE_MOVES_FORWARD_COUNT = Kpi(
    id="stage_moves_forward_count",
    title=Title(ru="Продвижения по воронке", en="Forward stage moves"),
    measure=Number(FORWARD_MOVES),
    unit=Unit.MOVES,
    better=Better.HIGHER,
    grains=grains("M D P T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: stage_moves_forward_count; §19 Other activity",
    definition=Title(
        ru="Переходы сделок на более поздний этап той же воронки, выигрыш включён, проигрыш нет.",
        en="Moves of deals to a later stage of the same pipeline, wins included, losses not.",
    ),
    formula="|{h ∈ H ∩ w: place(h) > place(previous row of the deal), no creation, no pipeline change, neither is F}|",
)

QUOTES_SENT_COUNT = Kpi(
    id="quotes_sent_count",
    title=Title(ru="Отправленные КП", en="Proposals sent"),
    measure=Number(PROPOSALS),
    unit=Unit.QUOTES,
    better=Better.HIGHER,
    grains=grains("M D P T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: quotes_sent_count; §19 Other activity",
    definition=Title(
        ru="Коммерческие предложения по первой отправке; где их не ведут в CRM — первые входы сделок на этап предложения.",
        en="Proposals by the first time they were sent; where the CRM keeps none, deals that came to the proposal stage for "
        "the first time.",
    ),
    formula="|{q: first observed in a status sent or later ∈ w}|, or |{d: first entry into a proposal stage ∈ w}|",
)

QUOTE_ACCEPTANCE_RATE = Kpi(
    id="quote_acceptance_rate",
    title=Title(ru="Доля принятых КП", en="Proposal acceptance rate"),
    measure=Ratio(Number(DECIDED_QUOTES, "accepted"), Number(DECIDED_QUOTES)),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D P T"),
    windows=windows("30d mtd prev_month"),
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: quote_acceptance_rate; §19 Other activity",
    definition=Title(
        ru="Принятые коммерческие предложения среди всех, по которым за период принято решение.",
        en="Accepted proposals among all that were decided in the window.",
    ),
    formula="|{q: success}| / |{q: success or failure}| by the moment of the decision ∈ w",
)

# ---------------------------------------------------------------- leads

NEW_LEADS_COUNT = Kpi(
    id="new_leads_count",
    title=Title(ru="Новые лиды", en="New leads"),
    measure=Number(NEW_LEADS),
    unit=Unit.LEADS,
    better=Better.HIGHER,
    grains=grains("M D R T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: new_leads_count",
    definition=Title(
        ru="Лиды, созданные за период, без импортированных; в CRM без лидов — новые сделки, начатые с первого этапа.",
        en="Leads created in the window, imported ones excluded; where the CRM has no leads, new deals that began in the "
        "first stage.",
    ),
    formula="|{l: DATE_CREATE(l) ∈ w, l not imported}|",
)

NEW_LEADS_REPEAT_COUNT = Kpi(
    id="new_leads_repeat_count",
    title=Title(ru="Повторные лиды", en="New leads from returning clients"),
    measure=Number(NEW_LEADS, "returned"),
    unit=Unit.LEADS,
    better=Better.HIGHER,
    grains=grains("M D R T"),
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: new_leads_repeat_count",
    definition=Title(
        ru="Новые лиды, которые портал отметил как повторные.",
        en="New leads that the portal marked as those of a returning client.",
    ),
    formula="|{l: DATE_CREATE(l) ∈ w, l not imported, IS_RETURN_CUSTOMER = Y}|",
)

WEBSITE_VISIT_TO_LEAD_RATE = Kpi(
    id="website_visit_to_lead_rate",
    title=Title(ru="Конверсия посетителей сайта в лиды", en="Visit-to-lead rate"),
    measure=Ratio(Number(NEW_LEADS, "from_web"), Total(VISITS, "visits")),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("R T"),
    windows=windows("7d 30d mtd"),
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.2: website_visit_to_lead_rate",
    definition=Title(
        ru="Новые лиды с сайта, делённые на посещения сайта, которые загружены из системы веб-аналитики.",
        en="New leads from the website by its visits, which are supplied by web analytics.",
    ),
    formula="new leads of web sources / visits of the days that begin in w",
    needs_input="visits",
)

CHAPTER = (
    MEETINGS_HELD_COUNT, MEETINGS_PLANNED_COUNT, MEETING_SHOW_RATE, EMAILS_SENT_COUNT, EMAILS_RECEIVED_COUNT,
    OPENLINE_SESSIONS_COUNT, COMMUNICATIONS_TOTAL_COUNT, TASKS_COMPLETED_COUNT, TASKS_OVERDUE_COUNT,
    ACTIVITIES_COMPLETED_COUNT, ACTIVITIES_PLANNED_COUNT, ACTIVITIES_PLANNED_TODAY_COUNT,
    ACTIVITIES_PLANNED_UNDATED_COUNT, STAGE_MOVES_FORWARD_COUNT, QUOTES_SENT_COUNT, QUOTE_ACCEPTANCE_RATE,
    NEW_LEADS_COUNT, NEW_LEADS_REPEAT_COUNT, WEBSITE_VISIT_TO_LEAD_RATE,
)  # fmt: skip
