"""Chapter B of the catalogue, 6.3: invoices."""

from __future__ import annotations

from b24metrics.kpi.cells import FloatArray, Groups
from b24metrics.kpi.facts.invoices import INVOICE_EVENTS, ISSUED_INVOICES, OVERDUE_INVOICES
from b24metrics.kpi.model import (
    ALL,
    NOW,
    Better,
    Chapter,
    Computed,
    Kpi,
    Mean,
    Number,
    Ratio,
    Title,
    Total,
    Unit,
    grains,
    windows,
)
from b24metrics.kpi.stats import survival_quantiles

_GRAINS = grains("M D P T C")
_ISSUED = Total(ISSUED_INVOICES, "amount", native="native_amount")

INVOICES_ISSUED_COUNT = Kpi(
    id="invoices_issued_count",
    title=Title(ru="Выставленные счета", en="Invoices issued"),
    measure=Number(ISSUED_INVOICES),
    unit=Unit.INVOICES,
    better=Better.HIGHER,
    grains=_GRAINS,
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.3: invoices_issued_count",
    definition=Title(
        ru="Счета с датой выставления в этом периоде, без черновиков и отменённых.",
        en="Invoices dated in the window, drafts and cancelled ones excluded.",
    ),
    formula="|{i: past the draft stage, not F, begindate (else creation) ∈ w}|",
)

INVOICES_ISSUED_AMOUNT = Kpi(
    id="invoices_issued_amount",
    title=Title(ru="Сумма выставленных счетов", en="Amount invoiced"),
    measure=_ISSUED,
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=_GRAINS,
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.3: invoices_issued_amount",
    definition=Title(
        ru="Сумма счетов с датой выставления в этом периоде, без черновиков и отменённых, в валюте отчёта.",
        en="Amount of the invoices dated in the window, drafts and cancelled ones excluded, in the reporting currency.",
    ),
    formula="Σ amt(i) for i past the draft stage, not F, begindate (else creation) ∈ w",
)

INVOICES_PAID_COUNT = Kpi(
    id="invoices_paid_count",
    title=Title(ru="Оплаченные счета", en="Invoices paid"),
    measure=Number(INVOICE_EVENTS, "event = 'paid'"),
    unit=Unit.INVOICES,
    better=Better.HIGHER,
    grains=_GRAINS,
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.3: invoices_paid_count",
    definition=Title(
        ru="Счета, которые за период перешли на этап «оплачен» и остаются на нём.",
        en="Invoices that came to a paid stage in the window and are still there.",
    ),
    formula="|{i: sem(i) = S, entry into S ∈ w}|",
)

INVOICES_PAID_AMOUNT = Kpi(
    id="invoices_paid_amount",
    title=Title(ru="Оплачено по счетам", en="Amount paid"),
    measure=Total(INVOICE_EVENTS, "amount", "pays", native="native_amount"),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=_GRAINS,
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.3: invoices_paid_amount; §19 Other activity",
    definition=Title(
        ru="Деньги по счетам за период: по документам об оплате, частичные платежи включены; где таких документов нет — "
        "полная сумма счёта в день перехода на этап «оплачен».",
        en="Money received on invoices in the window: by payment documents, part payments included; where there are none, "
        "the whole invoice at the moment it came to a paid stage.",
    ),
    formula="Σ paid documents with datePaid ∈ w + Σ amt(i) for i without such documents, entry into S ∈ w; no F",
)

INVOICES_CANCELLED_COUNT = Kpi(
    id="invoices_cancelled_count",
    title=Title(ru="Отменённые счета", en="Invoices cancelled"),
    measure=Number(INVOICE_EVENTS, "event = 'cancelled'"),
    unit=Unit.INVOICES,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.3: invoices_cancelled_count",
    definition=Title(
        ru="Счета, которые за период были отменены и остаются отменёнными.",
        en="Invoices that were cancelled in the window and still are.",
    ),
    formula="|{i: sem(i) = F, entry into F ∈ w}|",
)


def _median_lag(groups: Groups) -> FloatArray:
    """Kaplan-Meier median of each cell; unpaid invoices have waited so far."""
    return survival_quantiles(groups.starts, groups.columns["lag_seconds"], groups.columns["paid"] > 0)


INVOICE_PAYMENT_LAG_SECONDS = Kpi(
    id="invoice_payment_lag_seconds",
    title=Title(ru="Срок оплаты счёта, медиана", en="Payment lag, median"),
    measure=Computed(
        ISSUED_INVOICES, ("lag_seconds", "paid"), _median_lag, "lag_seconds IS NOT NULL", order="lag_seconds"
    ),
    unit=Unit.SECONDS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.3: invoice_payment_lag_seconds; §19 Other activity",
    definition=Title(
        ru="За сколько календарных дней оплачивается половина счетов, выставленных за период; неоплаченные учтены тем "
        "сроком, который уже прошёл.",
        en="Calendar time in which half of the invoices issued in the window are paid; those not paid yet count with the "
        "time they have waited so far.",
    ),
    formula="Kaplan-Meier median of 86400 · (local date of payment - date of issue), unpaid censored today; i issued in w",
)

INVOICE_PAYMENT_LAG_SECONDS_AVG = Kpi(
    id="invoice_payment_lag_seconds_avg",
    title=Title(ru="Срок оплаты счёта, среднее по оплаченным", en="Payment lag, mean of paid invoices"),
    measure=Mean(ISSUED_INVOICES, "lag_seconds", "paid AND lag_seconds IS NOT NULL"),
    unit=Unit.SECONDS,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=ALL,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.3: invoice_payment_lag_seconds (mean of the paid ones)",
    definition=Title(
        ru="Среднее календарное время от выставления до оплаты по оплаченным счетам, выставленным за период.",
        en="Mean calendar time from issue to payment, over the paid ones of the invoices issued in the window.",
    ),
    formula="mean of 86400 · (local date of payment - date of issue) over paid i issued in w",
)

INVOICE_OVERDUE_AMOUNT = Kpi(
    id="invoice_overdue_amount",
    title=Title(ru="Просроченная дебиторка", en="Overdue receivables"),
    measure=Total(OVERDUE_INVOICES, "amount", native="native_amount"),
    unit=Unit.MONEY,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.3: invoice_overdue_amount; §19 Other activity",
    definition=Title(
        ru="Полная сумма открытых счетов, срок оплаты которых истёк до сегодняшнего дня.",
        en="Full amount of the open invoices that were due before today.",
    ),
    formula="Σ amt(i) for i neither paid nor cancelled, closedate < today",
)

INVOICE_OVERDUE_COUNT = Kpi(
    id="invoice_overdue_count",
    title=Title(ru="Просроченные счета", en="Overdue invoices"),
    measure=Number(OVERDUE_INVOICES),
    unit=Unit.INVOICES,
    better=Better.LOWER,
    grains=_GRAINS,
    windows=NOW,
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.3: invoice_overdue_count",
    definition=Title(
        ru="Открытые счета, срок оплаты которых истёк до сегодняшнего дня.",
        en="Open invoices that were due before today.",
    ),
    formula="|{i: neither paid nor cancelled, closedate < today}|",
)

INVOICE_COLLECTION_RATE = Kpi(
    id="invoice_collection_rate",
    title=Title(ru="Доля оплаченного из выставленного", en="Collection rate"),
    measure=Ratio(Total(ISSUED_INVOICES, "collected_amount", native="native_collected_amount"), _ISSUED),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=_GRAINS,
    windows=windows("30d mtd prev_month"),
    chapter=Chapter.ACTIVITY,
    source="catalogue B 6.3: invoice_collection_rate; §19 Windows",
    definition=Title(
        ru="Какая часть суммы счетов, выставленных за период, уже оплачена.",
        en="What part of the amount of the invoices issued in the window has been paid so far.",
    ),
    formula="paid so far on i / Σ amt(i) for i issued in w",
)

CHAPTER = (
    INVOICES_ISSUED_COUNT, INVOICES_ISSUED_AMOUNT, INVOICES_PAID_COUNT, INVOICES_PAID_AMOUNT, INVOICES_CANCELLED_COUNT,
    INVOICE_PAYMENT_LAG_SECONDS, INVOICE_PAYMENT_LAG_SECONDS_AVG, INVOICE_OVERDUE_AMOUNT, INVOICE_OVERDUE_COUNT,
    INVOICE_COLLECTION_RATE,
)  # fmt: skip
