"""How deals end: part of chapter D of the catalogue."""

from __future__ import annotations

from functools import partial

import numpy as np

from b24metrics.kpi.cells import Cells, Values
from b24metrics.kpi.facts.deals import CLOSED_DEALS
from b24metrics.kpi.facts.funnel import COHORT, FUNNEL
from b24metrics.kpi.facts.outcomes import LOSSES, MET, PROPOSED, WON_BY_SOURCE
from b24metrics.kpi.model import (
    Better,
    Chapter,
    Derived,
    Kpi,
    Mean,
    Number,
    Part,
    Ratio,
    Title,
    Total,
    Unit,
    grains,
    windows,
)

_WON = "outcome = 'won'"


def _share_of_all(cells: Cells) -> Values:
    """Share of each cell in the sum over the cells that differ in nothing but the last label, in the same window."""
    *names, _ = cells.labels or ("",)
    key = cells.windows.astype(np.int64)
    for name in names:
        values, codes = np.unique(cells.labels[name], return_inverse=True)
        key = key * max(len(values), 1) + codes
    groups, of = np.unique(key, return_inverse=True)
    whole = np.asarray(np.bincount(of, cells["losses"], len(groups)), dtype=np.float64)[of]
    counted = cells["losses"] > 0
    shares = np.divide(cells["losses"], whole, out=np.full(len(whole), np.nan), where=counted)
    return Values(shares, n=np.where(counted, whole, 0.0), numerator=cells["losses"], denominator=whole)


WIN_RATE = Kpi(
    id="win_rate",
    title=Title(ru="Доля выигранных сделок", en="Win rate"),
    measure=Ratio(Number(CLOSED_DEALS, where=_WON), Number(CLOSED_DEALS)),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D P R T, M×P"),
    windows=windows("7d 30d mtd qtd prev_month t90 t180"),  # t180: baseline of the rule on a falling win rate
    chapter=Chapter.CONVERSION,
    source="catalogue D 8.4: win_rate",
    definition=Title(
        ru="Выигранные сделки среди всех, закрытых за период.",
        en="Deals won among all deals closed in the window.",
    ),
    formula="won / (won + lost) by closed_at ∈ w",
)

WIN_RATE_VALUE = Kpi(
    id="win_rate_value",
    title=Title(ru="Доля выигранных сделок по сумме", en="Win rate by value"),
    measure=Ratio(Total(CLOSED_DEALS, "amount", where=_WON), Total(CLOSED_DEALS, "amount")),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D P R T, M×P"),
    windows=windows("7d 30d mtd qtd prev_month t90"),
    chapter=Chapter.CONVERSION,
    source="catalogue D 8.4: win_rate_value",
    definition=Title(
        ru="Сумма выигранных сделок в сумме всех, закрытых за период.",
        en="Amount of deals won in the amount of all deals closed in the window.",
    ),
    formula="Σ amt(won) / Σ amt(won + lost) by closed_at ∈ w",
)

CLOSE_RATE = Kpi(
    id="close_rate",
    title=Title(ru="Конверсия созданных сделок в выигранные", en="Close rate"),
    measure=Ratio(Number(COHORT, where="won"), Number(COHORT)),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D P R T"),
    windows=windows("30d mtd qtd prev_month"),
    chapter=Chapter.CONVERSION,
    source="catalogue D 8.4: close_rate",
    definition=Title(
        ru="Доля созданных за период сделок, которые выиграны к этому моменту.",
        en="Share of the deals created in the window that are won by now.",
    ),
    formula="|{d created in w: won}| / |{d created in w}|",
)

AVG_CHECK_BY_STAGE = Kpi(
    id="avg_check_by_stage",
    title=Title(ru="Средний чек на этапе", en="Average amount by stage"),
    measure=Mean(FUNNEL, "amount", where="priced"),
    unit=Unit.MONEY,
    better=Better.NEITHER,
    grains=grains("M D P S T"),
    windows=windows("30d mtd"),
    chapter=Chapter.CONVERSION,
    source="catalogue D 8.4: avg_check_by_stage",
    definition=Title(
        ru="Средняя сумма созданных за период сделок, дошедших до этапа; сделки без суммы не входят.",
        en="Average amount of the deals created in the window that came to the stage; deals without an amount are left out.",
    ),
    formula="mean amt(d) over {d created in w: far(d) ≥ i, amt > 0}, the amount at entry where it was captured",
    labels=("stage",),
)

_loss = partial(
    Kpi,
    better=Better.NEITHER,
    grains=grains("M D P T"),
    windows=windows("30d mtd prev_month"),
    chapter=Chapter.CONVERSION,
)

LOSS_REASON_SHARE = _loss(
    id="loss_reason_share",
    title=Title(ru="Причины провала, доля", en="Loss reasons, share"),
    measure=Derived({"losses": Number(LOSSES)}, _share_of_all),
    unit=Unit.RATIO,
    windows=windows("30d mtd prev_month t180"),  # t180: baseline of the rule on a reason that spreads
    source="catalogue D 8.4: loss_reason_share",
    definition=Title(
        ru="Доля причины среди всех сделок, проигранных за период; not_stated — причина не указана.",
        en="Share of the reason in all deals lost in the window; not_stated: no reason was given.",
    ),
    formula="losses with the reason / all losses, by lost_at ∈ w",
    labels=("reason",),
    companions=(Part.NUMERATOR, Part.DENOMINATOR),
)

LOSS_REASON_AMOUNT = _loss(
    id="loss_reason_amount",
    title=Title(ru="Причины провала, сумма", en="Loss reasons, amount"),
    measure=Total(LOSSES, "amount"),
    unit=Unit.MONEY,
    source="catalogue D 8.4: loss_reason_amount",
    definition=Title(
        ru="Сумма сделок, проигранных за период по этой причине.",
        en="Amount of the deals lost in the window for this reason.",
    ),
    formula="Σ amt(d) over losses with the reason, by lost_at ∈ w",
    labels=("reason",),
)

LOSS_STAGE_SHARE = _loss(
    id="loss_stage_share",
    title=Title(ru="Этап перед провалом, доля", en="Stage before the loss, share"),
    measure=Derived({"losses": Number(LOSSES)}, _share_of_all),
    unit=Unit.RATIO,
    source="catalogue D 8.4: loss_stage_share",
    definition=Title(
        ru="Доля сделок, проигранных за период, которые последним стояли на этом рабочем этапе.",
        en="Share of the deals lost in the window whose last open stage was this one.",
    ),
    formula="losses whose last stage with semantics P is the stage / all losses, by lost_at ∈ w",
    labels=("stage",),
    companions=(Part.NUMERATOR, Part.DENOMINATOR),
)

SOURCE_CONVERSION_RATIO = Kpi(
    id="source_conversion_ratio",
    title=Title(ru="Конверсия источника", en="Conversion of the source"),
    measure=Ratio(Number(COHORT, where="won"), Number(COHORT)),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("D P T"),
    windows=windows("30d mtd qtd"),
    chapter=Chapter.CONVERSION,
    source="catalogue D 8.4: source_conversion_ratio",
    definition=Title(
        ru="Доля созданных за период сделок источника, которые выиграны к этому моменту.",
        en="Share of the source's deals created in the window that are won by now.",
    ),
    formula="|{d of the source created in w: won}| / |{d of the source created in w}|",
    labels=("source",),
)

SOURCE_REVENUE = Kpi(
    id="source_revenue",
    title=Title(ru="Выручка источника", en="Revenue of the source"),
    measure=Total(WON_BY_SOURCE, "amount"),
    unit=Unit.MONEY,
    better=Better.HIGHER,
    grains=grains("D P T"),
    windows=windows("30d mtd qtd"),
    chapter=Chapter.CONVERSION,
    source="catalogue D 8.4: source_revenue",
    definition=Title(
        ru="Сумма сделок источника, выигранных за период.",
        en="Amount of the source's deals won in the window.",
    ),
    formula="Σ amt(d) over wins of the source, by won_at ∈ w",
    labels=("source",),
)

_after = partial(
    Kpi,
    unit=Unit.RATIO,
    better=Better.HIGHER,
    grains=grains("M D P T"),
    windows=windows("30d mtd qtd"),
    chapter=Chapter.CONVERSION,
)

PROPOSAL_WIN_RATE = _after(
    id="proposal_win_rate",
    title=Title(ru="Доля побед после КП", en="Win rate after a proposal"),
    measure=Ratio(Number(PROPOSED, where=_WON), Number(PROPOSED)),
    source="catalogue D 8.4: proposal_win_rate",
    definition=Title(
        ru="Выигранные сделки среди закрытых за период, которые стояли на этапе коммерческого предложения.",
        en="Deals won among those closed in the window that stood at a proposal stage.",
    ),
    formula="won / (won + lost) by closed_at ∈ w, deals that visited a proposal stage",
)

MEETING_WIN_RATE = _after(
    id="meeting_win_rate",
    title=Title(ru="Доля побед после встречи", en="Win rate after a meeting"),
    measure=Ratio(Number(MET, where=_WON), Number(MET)),
    source="catalogue D 8.4: meeting_win_rate",
    definition=Title(
        ru="Выигранные сделки среди закрытых за период, по которым прошла встреча.",
        en="Deals won among those closed in the window that had a meeting.",
    ),
    formula="won / (won + lost) by closed_at ∈ w, deals with a held meeting",
)

CHAPTER = (
    WIN_RATE,
    WIN_RATE_VALUE,
    CLOSE_RATE,
    AVG_CHECK_BY_STAGE,
    LOSS_REASON_SHARE,
    LOSS_REASON_AMOUNT,
    LOSS_STAGE_SHARE,
    SOURCE_CONVERSION_RATIO,
    SOURCE_REVENUE,
    PROPOSAL_WIN_RATE,
    MEETING_WIN_RATE,
)
