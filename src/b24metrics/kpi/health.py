"""Technical health beside chapter G of the catalogue: what the mirror knows of itself.

The exporter tells the same live, at every scrape, under the same names; so none of these has a metric family here.
"""

from __future__ import annotations

from b24metrics.kpi.facts.health import COMPANY_NOW, FEEDS, RECONCILED
from b24metrics.kpi.model import NOW, Better, Chapter, Kpi, Mean, Title, Total, Unit, grains

SYNC_LAG_SECONDS = Kpi(
    id="sync_lag_seconds",
    title=Title(ru="Отставание копии", en="Sync lag"),
    measure=Total(FEEDS, "lag_seconds", "lag_seconds IS NOT NULL"),
    unit=Unit.SECONDS,
    better=Better.LOWER,
    grains=grains("T"),
    windows=NOW,
    chapter=Chapter.HEALTH,
    source="catalogue G: technical health",
    definition=Title(
        ru="Сколько времени прошло с тех пор, как данные этого вида последний раз совпадали с порталом.",
        en="How long ago the records of this kind were last in step with the portal.",
    ),
    formula="now - last complete round, by kind of records",
    labels=("entity",),
    live=True,
)

SOURCE_UP = Kpi(
    id="source_up",
    title=Title(ru="Источник доступен", en="Source up"),
    measure=Total(FEEDS, "up"),
    unit=Unit.FLAG,
    better=Better.HIGHER,
    grains=grains("T"),
    windows=NOW,
    chapter=Chapter.HEALTH,
    source="catalogue G: technical health; §2.8",
    definition=Title(
        ru="1, если данные этого вида удалось прочитать с портала в последний раз, иначе 0; без них показатели по ним пусты.",
        en="1 where the last look at this kind of records succeeded, else 0; without it the KPIs that need it are empty.",
    ),
    formula="1 if the last round of the source succeeded, else 0",
    labels=("source",),
    live=True,
)

LAST_FULL_RECONCILE_SECONDS = Kpi(
    id="last_full_reconcile_seconds",
    title=Title(ru="Последняя полная сверка", en="Last full reconcile"),
    measure=Mean(RECONCILED, "seconds"),
    unit=Unit.SECONDS,
    better=Better.LOWER,
    grains=grains("T"),
    windows=NOW,
    chapter=Chapter.HEALTH,
    source="catalogue G: technical health",
    definition=Title(
        ru="Сколько времени назад все записи последний раз сверены с порталом поштучно, удалённые найдены.",
        en="How long ago all records were last compared with the portal one by one, deletions found.",
    ),
    formula="now - the earliest of the last comparisons of the sources",
    companions=(),
    live=True,
)

COMPANY_WORKING_NOW = Kpi(
    id="company_working_now",
    title=Title(ru="Компания работает", en="Company working now"),
    measure=Mean(COMPANY_NOW, "at_work"),
    unit=Unit.FLAG,
    better=Better.NEITHER,
    grains=grains("T"),
    windows=NOW,
    chapter=Chapter.HEALTH,
    source="catalogue G: technical health",
    definition=Title(
        ru="1, если по календарю компании сейчас рабочее время, иначе 0.",
        en="1 where it is working time by the company's calendar, else 0.",
    ),
    formula="1 if now lies in working time of the company's calendar, else 0",
    companions=(),
    live=True,
)

CHAPTER = (SYNC_LAG_SECONDS, SOURCE_UP, LAST_FULL_RECONCILE_SECONDS, COMPANY_WORKING_NOW)
