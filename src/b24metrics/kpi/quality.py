"""Chapter G of the catalogue: data quality.

The value is a count; its companions are the count and the base, so that a share can be shown beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from b24metrics.kpi.cells import Cells, FloatArray, Values
from b24metrics.kpi.facts.care import OPEN_DEAL_CARE
from b24metrics.kpi.facts.deals import CLOSED_DEALS
from b24metrics.kpi.facts.outcomes import LOSSES
from b24metrics.kpi.facts.quality import (
    CONTACT_GAPS,
    CREATED_DEALS,
    DELETED_WINS,
    FUTURE_RECORDS,
    NEGATIVE_SPELLS,
    OPEN_DEAL_GAPS,
    REQUIRED_FIELDS,
    RETURN_FLAGS,
    SELLERS_TODAY,
    SHARED_KEYS,
    UNCONVERTIBLE_DEALS,
)
from b24metrics.kpi.facts.view import COMMENTS, KEYS, NAMES
from b24metrics.kpi.model import (
    NOW,
    Better,
    Chapter,
    Derived,
    Kpi,
    Measure,
    Number,
    Over,
    Part,
    Ratio,
    Title,
    Unit,
    WindowId,
    grains,
    windows,
)
from b24metrics.kpi.options import Flaw

_GRAINS = grains("M D T")
_PARTS = (Part.NUMERATOR, Part.DENOMINATOR)
_AUDIT = windows("now 30d")  # all contacts, and those created in the last 30 days
_MTD = (WindowId.MTD,)
_D30 = (WindowId.D30,)


def _counted(cells: Cells) -> Values:
    """The numerator, told with its base."""
    count, base = cells["numerator"], cells["denominator"]
    return Values(count, n=base, numerator=count, denominator=base)


def _of(count: Measure, base: Measure) -> Derived:
    return Derived({"numerator": count, "denominator": base}, _counted)


_CONTACTS = Number(CONTACT_GAPS)
_OPEN = Number(OPEN_DEAL_GAPS)


def _contacts(where: str) -> Derived:
    return _of(Number(CONTACT_GAPS, where), _CONTACTS)


def _open_deals(where: str) -> Derived:
    return _of(Number(OPEN_DEAL_GAPS, where), _OPEN)


def _surplus(cells: Cells) -> Values:
    """Records that share a key, less one for each key; both counted inside the cut."""
    count = cells["shared"] - cells["keys"]
    return Values(count, n=cells["denominator"], numerator=count, denominator=cells["denominator"])


def _duplicates(kind: str) -> Derived:
    where = f"kind = '{kind}'"
    shared, keys = Number(SHARED_KEYS, where), Number(SHARED_KEYS, where, distinct="client_key")
    return Derived({"shared": shared, "keys": keys, "denominator": _CONTACTS}, _surplus)


DQ_CONTACTS_WITHOUT_PHONE = Kpi(
    id="dq_contacts_without_phone",
    title=Title(ru="Контакты без телефона", en="Contacts without a phone"),
    measure=_contacts("no_phone"),
    unit=Unit.CONTACTS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=_AUDIT,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_contacts_without_phone",
    definition=Title(
        ru="Контакты, в карточке которых нет ни одного телефона; за 30 дней - среди созданных за это время.",
        en="Contacts whose card has no phone number; for 30 days, among those created then.",
    ),
    formula="|{contact: HAS_PHONE ≠ Y}| of contacts",
    companions=_PARTS,
)

DQ_CONTACTS_WITHOUT_EMAIL = Kpi(
    id="dq_contacts_without_email",
    title=Title(ru="Контакты без e-mail", en="Contacts without an e-mail"),
    measure=_contacts("no_email"),
    unit=Unit.CONTACTS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=_AUDIT,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_contacts_without_email",
    definition=Title(
        ru="Контакты, в карточке которых нет ни одного адреса электронной почты.",
        en="Contacts whose card has no e-mail address.",
    ),
    formula="|{contact: HAS_EMAIL ≠ Y}| of contacts",
    companions=_PARTS,
)

DQ_CONTACTS_UNREACHABLE = Kpi(
    id="dq_contacts_unreachable",
    title=Title(ru="Контакты без единого канала связи", en="Unreachable contacts"),
    measure=_contacts("unreachable"),
    unit=Unit.CONTACTS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=_AUDIT,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_contacts_unreachable",
    definition=Title(
        ru="Контакты, у которых нет ни телефона, ни e-mail, ни мессенджера.",
        en="Contacts with neither phone nor e-mail nor messenger.",
    ),
    formula="|{contact: no phone, no e-mail, no messenger}| of contacts",
    companions=_PARTS,
)

DQ_PHONE_IN_COMMENT = Kpi(
    id="dq_phone_in_comment",
    title=Title(ru="Телефон в комментарии, а не в поле", en="Phones typed into comments"),
    measure=_contacts("phone_in_comment"),
    unit=Unit.CONTACTS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=_AUDIT,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_phone_in_comment",
    definition=Title(
        ru="Контакты без телефона в карточке, у которых номер записан в комментарии.",
        en="Contacts without a phone number in its field that have one in the comment.",
    ),
    formula="|{contact: HAS_PHONE ≠ Y, the comment holds a number}| of contacts",
    companions=_PARTS,
    needs=(COMMENTS,),
)

DQ_NAMES_LOWERCASE = Kpi(
    id="dq_names_lowercase",
    title=Title(ru="Имена с маленькой буквы", en="Names in lower case"),
    measure=_contacts("lower_case"),
    unit=Unit.CONTACTS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=_AUDIT,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_names_lowercase",
    definition=Title(
        ru="Контакты, у которых имя или фамилия начинается с маленькой буквы; частицы «де», «фон», «van» в фамилии допустимы.",
        en='Contacts whose name or family name begins with a small letter; particles such as "van" or "de" may.',
    ),
    formula="|{contact: first letter of NAME, or of LAST_NAME without a particle, is of Unicode Ll}| of contacts",
    companions=_PARTS,
    needs=(NAMES,),
)

DQ_DUPLICATE_PHONES = Kpi(
    id="dq_duplicate_phones",
    title=Title(ru="Дубли по телефону", en="Duplicates by phone"),
    measure=_duplicates("phone"),
    unit=Unit.CONTACTS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=_AUDIT,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_duplicate_phones",
    definition=Title(
        ru="Лишние контакты с одинаковым телефоном: в каждой группе все, кроме одного; группы - внутри выбранных людей.",
        en="Surplus contacts with the same phone number: all but one of each group, groups inside the people looked at.",
    ),
    formula="Σ over numbers shared by contacts of the cut (contacts - 1); digits, 8 → 7, 10 digits at least",
    companions=_PARTS,
    needs=(KEYS,),
)

DQ_DUPLICATE_EMAILS = Kpi(
    id="dq_duplicate_emails",
    title=Title(ru="Дубли по e-mail", en="Duplicates by e-mail"),
    measure=_duplicates("email"),
    unit=Unit.CONTACTS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=_AUDIT,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_duplicate_emails",
    definition=Title(
        ru="Лишние контакты с одинаковым e-mail: в каждой группе все, кроме одного; группы - внутри выбранных людей.",
        en="Surplus contacts with the same e-mail: all but one of each group, groups inside the people looked at.",
    ),
    formula="Σ over addresses shared by contacts of the cut (contacts - 1); trimmed, lower case",
    companions=_PARTS,
    needs=(KEYS,),
)

DQ_WON_WITHOUT_AMOUNT = Kpi(
    id="dq_won_without_amount",
    title=Title(ru="Выигранные сделки без суммы", en="Won deals without an amount"),
    measure=_of(
        Number(CLOSED_DEALS, "outcome = 'won' AND native_amount <= 0"), Number(CLOSED_DEALS, "outcome = 'won'")
    ),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=_MTD,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_won_without_amount",
    definition=Title(
        ru="Сделки, выигранные с начала месяца, у которых сумма не указана.",
        en="Deals won this month that have no amount.",
    ),
    formula="|{d: sem(d) = S, OPPORTUNITY ≤ 0, won_at(d) ∈ w}| of wins",
    companions=_PARTS,
)

DQ_DEALS_WITHOUT_AMOUNT = Kpi(
    id="dq_deals_without_amount",
    title=Title(ru="Сделки в работе без суммы", en="Open deals without an amount"),
    measure=_open_deals("no_amount AND begun"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_deals_without_amount",
    definition=Title(
        ru="Сделки в работе, которые прошли первый этап, но суммы не имеют.",
        en="Open deals past the first stage that have no amount.",
    ),
    formula="|{d: sem(d) = P, past the first stage, OPPORTUNITY ≤ 0}| of open deals",
    companions=_PARTS,
)

DQ_DEALS_WITHOUT_AMOUNT_ANY_STAGE = Kpi(
    id="dq_deals_without_amount_any_stage",
    title=Title(ru="Сделки в работе без суммы на любом этапе", en="Open deals without an amount, any stage"),
    measure=_open_deals("no_amount"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_deals_without_amount (any stage)",
    definition=Title(
        ru="Сделки в работе без суммы, первый этап включён.",
        en="Open deals that have no amount, the first stage included.",
    ),
    formula="|{d: sem(d) = P, OPPORTUNITY ≤ 0}| of open deals",
    companions=_PARTS,
)

DQ_DEALS_WITHOUT_SOURCE = Kpi(
    id="dq_deals_without_source",
    title=Title(ru="Сделки без источника", en="Deals without a source"),
    measure=_open_deals("no_source"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_deals_without_source",
    definition=Title(
        ru="Сделки в работе, у которых не указано, откуда пришёл клиент.",
        en="Open deals that do not say where the client came from.",
    ),
    formula="|{d: sem(d) = P, SOURCE_ID empty}| of open deals",
    companions=_PARTS,
)

DQ_DEALS_WITHOUT_CLIENT = Kpi(
    id="dq_deals_without_client",
    title=Title(ru="Сделки без контакта и компании", en="Deals without a client"),
    measure=_open_deals("no_client"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_deals_without_client",
    definition=Title(
        ru="Сделки в работе, к которым не привязаны ни контакт, ни компания.",
        en="Open deals with neither a contact nor a company.",
    ),
    formula="|{d: sem(d) = P, no COMPANY_ID, no CONTACT_ID}| of open deals",
    companions=_PARTS,
)

DQ_REQUIRED_FILL_RATE = Kpi(
    id="dq_required_fill_rate",
    title=Title(ru="Заполненность обязательных полей", en="Required fields filled"),
    measure=Ratio(Number(REQUIRED_FIELDS, "filled"), Number(REQUIRED_FIELDS)),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_required_fill_rate",
    definition=Title(
        ru="Доля заполненных полей среди обязательных, которые заданы в настройках, по сделкам и лидам в работе и по контактам.",
        en="Share of the required fields, which are configured, that are filled in open deals, open leads and contacts.",
    ),
    formula="filled values / (records × required fields); 0 and an empty text are not filled",
)

DQ_CLOSE_DATE_IN_PAST = Kpi(
    id="dq_close_date_in_past",
    title=Title(ru="Плановая дата закрытия в прошлом", en="Expected close date in the past"),
    measure=_open_deals("expected_in_past"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_close_date_in_past",
    definition=Title(
        ru="Сделки в работе, которые по плану должны были закрыться до сегодняшнего дня.",
        en="Open deals that were expected to close before today.",
    ),
    formula="|{d: sem(d) = P, CLOSEDATE < today}| of open deals",
    companions=_PARTS,
)

_LOST_WITHOUT_REASON = Number(LOSSES, "reason = 'not_stated'")

DQ_LOST_WITHOUT_REASON = Kpi(
    id="dq_lost_without_reason",
    title=Title(ru="Проигрыш без причины", en="Losses without a reason"),
    measure=_of(_LOST_WITHOUT_REASON, Number(LOSSES)),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=_MTD,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_lost_without_reason",
    definition=Title(
        ru="Сделки, проигранные с начала месяца, у которых причина не указана.",
        en="Deals lost this month that do not say why.",
    ),
    formula="|{d: sem(d) = F, reason empty, lost_at(d) ∈ w}| of losses",
    companions=_PARTS,
)

DQ_IDLE_MANAGERS = Kpi(
    id="dq_idle_managers",
    title=Title(ru="Менеджеры без активности", en="Idle managers"),
    measure=_of(Number(SELLERS_TODAY, "on_duty = 1 AND idle"), Number(SELLERS_TODAY, "on_duty = 1")),
    unit=Unit.MANAGERS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_idle_managers",
    definition=Title(
        ru="Менеджеры, у которых сегодня прошло уже четыре часа рабочего времени, а в CRM нет ни звонка, ни письма, "
        "ни дела, ни изменения; отсутствующие не считаются.",
        en="Managers with four hours of scheduled time behind them today and no call, message, activity, move or edit; those "
        "absent do not count.",
    ),
    formula="|{u active: scheduled today so far ≥ 4 h, no trace today}| of those scheduled as long",
    companions=_PARTS,
)

DQ_ORPHANED_OPEN_DEALS = Kpi(
    id="dq_orphaned_open_deals",
    title=Title(ru="Сделки без действующего менеджера", en="Orphaned open deals"),
    measure=_open_deals("orphaned"),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_orphaned_open_deals",
    definition=Title(
        ru="Сделки в работе, ответственный за которые уволен или не относится к отделу продаж.",
        en="Open deals whose person responsible was dismissed or is no member of sales.",
    ),
    formula="|{d: sem(d) = P, responsible inactive or out of scope}| of open deals",
    companions=_PARTS,
)

DQ_CREATED_CLOSED_SHARE = Kpi(
    id="dq_created_closed_share",
    title=Title(ru="Созданы сразу закрытыми", en="Created closed"),
    measure=Ratio(Number(CREATED_DEALS, "created_closed"), Number(CREATED_DEALS)),
    unit=Unit.RATIO,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=windows("30d mtd"),
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_created_closed_share",
    definition=Title(
        ru="Доля сделок, которые внесли в CRM уже выигранными или проигранными, среди созданных за период.",
        en="Share of the deals created in the window that were entered already won or lost.",
    ),
    formula="|{d: first history row is final}| / |{d: DATE_CREATE(d) ∈ w}|",
)

DQ_UNCONVERTIBLE_AMOUNTS = Kpi(
    id="dq_unconvertible_amounts",
    title=Title(ru="Суммы в неизвестной валюте", en="Unconvertible amounts"),
    measure=Number(UNCONVERTIBLE_DEALS),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_unconvertible_amounts",
    definition=Title(
        ru="Сделки в валюте, курса которой нет: в суммы они не входят.",
        en="Deals in a currency without a rate: they are missing from every sum.",
    ),
    formula="|{d: no rate for CURRENCY_ID}|",
)

DQ_NEGATIVE_INTERVAL_COUNT = Kpi(
    id="dq_negative_interval_count",
    title=Title(ru="Отрицательные интервалы", en="Negative intervals"),
    measure=Number(NEGATIVE_SPELLS),
    unit=Unit.RECORDS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_negative_interval_count",
    definition=Title(
        ru="Случаи, когда сделка по истории этапов ушла с этапа раньше, чем пришла на него, и сделки, созданные в будущем.",
        en="Cases where a deal left a stage before it came to it, as its history says, and deals created in the future.",
    ),
    formula="|{stays of deals with end < start}|",
)

DQ_DELETED_WON_DEALS = Kpi(
    id="dq_deleted_won_deals",
    title=Title(ru="Удалённые выигранные сделки", en="Deleted won deals"),
    measure=Number(DELETED_WINS),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=_D30,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_deleted_won_deals",
    definition=Title(
        ru="Выигранные сделки, удалённые из CRM за 30 дней: из всех показателей они пропали.",
        en="Won deals deleted from the CRM within 30 days: they have left every figure.",
    ),
    formula="|{tombstones with sem = S, deletion noticed ∈ w}|",
)

DQ_FUTURE_DATED_COUNT = Kpi(
    id="dq_future_dated_count",
    title=Title(ru="Даты в будущем", en="Dates in the future"),
    measure=Number(FUTURE_RECORDS),
    unit=Unit.RECORDS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_future_dated_count",
    definition=Title(
        ru="Сделки, лиды и звонки, которые датированы более чем на пять минут вперёд, сами или в своей истории.",
        en="Deals, leads and calls dated more than five minutes ahead, by themselves or in their history.",
    ),
    formula="|{deals, leads, calls: creation, start or a history row > now + 5 min}|",
)

DQ_RETURN_FLAG_MISMATCH = Kpi(
    id="dq_return_flag_mismatch",
    title=Title(ru="Неверная отметка повторной сделки", en="Wrong mark of a returning client"),
    measure=_of(Number(RETURN_FLAGS, "wrong"), Number(RETURN_FLAGS)),
    unit=Unit.DEALS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=_D30,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_return_flag_mismatch",
    definition=Title(
        ru="Выигранные сделки, у которых отметка «повторная» расходится с историей покупок клиента.",
        en="Won deals whose mark of a returning client disagrees with what the client bought before.",
    ),
    formula="|{d won in w: (an earlier win of the client exists) ≠ IS_RETURN_CUSTOMER}| of wins with a client",
    companions=_PARTS,
)


def _clean(cells: Cells) -> FloatArray:
    """1 less the weighted mean of the shares that are there; nothing where none is."""
    shares = {
        Flaw.PHONE: (cells["no_phone"], cells["contacts"]),
        Flaw.LOWER_CASE: (cells["lower_case"], cells["named"]),
        Flaw.WITHOUT_ACTIVITY: (cells["without_activity"], cells["open_deals"]),
        Flaw.FILL_RATE: (cells["required"] - cells["filled"], cells["required"]),
        Flaw.LOST_REASON: (cells["without_reason"], cells["lost"]),
    }
    flaws, weights = np.zeros_like(cells["contacts"]), np.zeros_like(cells["contacts"])
    for flaw, (count, base) in shares.items():
        weight = np.where(base > 0, cells.options.flaw_weights.get(flaw, 1.0), 0.0)
        flaws += weight * np.divide(count, base, out=np.zeros_like(base), where=base > 0)
        weights += weight
    return np.divide(weights - flaws, weights, out=np.full_like(weights, np.nan), where=weights > 0)


#: Shares whose feeds were not copied are not there: the index does without them.
_FLAWS: Mapping[str, Measure] = {
    "no_phone": Number(CONTACT_GAPS, "no_phone"),
    "lower_case": Number(CONTACT_GAPS, "lower_case"),
    "named": Number(CONTACT_GAPS, "lower_case IS NOT NULL"),
    "contacts": _CONTACTS,
    "without_activity": Number(OPEN_DEAL_CARE, "without_activity"),
    "open_deals": Number(OPEN_DEAL_CARE),
    "filled": Number(REQUIRED_FIELDS, "filled"),
    "required": Number(REQUIRED_FIELDS),
    "without_reason": Over(_LOST_WITHOUT_REASON, WindowId.MTD),
    "lost": Over(Number(LOSSES), WindowId.MTD),
}

DQ_SCORE = Kpi(
    id="dq_score",
    title=Title(ru="Индекс чистоты CRM", en="CRM cleanliness"),
    measure=Derived(_FLAWS, _clean, optional=frozenset(_FLAWS)),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.QUALITY,
    source="catalogue G: dq_score; §19 Efficiency, customers, quality, feedback",
    definition=Title(
        ru="Единица минус среднее долей: контакты без телефона, имена с маленькой буквы, сделки без дел, пустые обязательные "
        "поля, проигрыши месяца без причины; учитываются те доли, которые есть.",
        en="One less the mean of these shares, as far as they exist: contacts without a phone, names in lower case, deals "
        "without activities, required fields left empty, losses of the month without a reason.",
    ),
    formula="1 - weighted mean(without phone, lower case, without activity, 1 - fill rate, lost without reason in mtd)",
)

CHAPTER = (
    DQ_CONTACTS_WITHOUT_PHONE, DQ_CONTACTS_WITHOUT_EMAIL, DQ_CONTACTS_UNREACHABLE, DQ_PHONE_IN_COMMENT,
    DQ_NAMES_LOWERCASE, DQ_DUPLICATE_PHONES, DQ_DUPLICATE_EMAILS, DQ_WON_WITHOUT_AMOUNT, DQ_DEALS_WITHOUT_AMOUNT,
    DQ_DEALS_WITHOUT_AMOUNT_ANY_STAGE, DQ_DEALS_WITHOUT_SOURCE, DQ_DEALS_WITHOUT_CLIENT, DQ_REQUIRED_FILL_RATE,
    DQ_CLOSE_DATE_IN_PAST, DQ_LOST_WITHOUT_REASON, DQ_IDLE_MANAGERS, DQ_ORPHANED_OPEN_DEALS, DQ_CREATED_CLOSED_SHARE,
    DQ_UNCONVERTIBLE_AMOUNTS, DQ_NEGATIVE_INTERVAL_COUNT, DQ_DELETED_WON_DEALS, DQ_FUTURE_DATED_COUNT,
    DQ_RETURN_FLAG_MISMATCH, DQ_SCORE,
)  # fmt: skip
