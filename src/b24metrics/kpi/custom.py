"""KPIs of the company's own, from its settings: checked before anything starts, then like those of the catalogue.

Laws: a custom KPI is a ``Kpi`` over one of the facts below, so that whatever works for declared ones works for it; what it
says about rows is read by ``expressions.py`` and written anew; every mistake of every one of them is told at once. Columns
of a fact are those that its SQL yields on an empty mirror, nobody keeps a list of them by hand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

from b24metrics.errors import ConfigError
from b24metrics.kpi.catalogue import KPIS
from b24metrics.kpi.expressions import Kind, Read, read
from b24metrics.kpi.facts import Fact
from b24metrics.kpi.facts.activities import DONE_ACTIVITIES, MEETINGS, MESSAGES, PENDING_ACTIVITIES
from b24metrics.kpi.facts.calls import CALLS
from b24metrics.kpi.facts.care import OPEN_DEAL_CARE
from b24metrics.kpi.facts.deals import CLOSED_DEALS, NEW_DEALS, OPEN_DEALS
from b24metrics.kpi.facts.feedback import SESSIONS
from b24metrics.kpi.facts.funnel import COHORT
from b24metrics.kpi.facts.invoices import INVOICE_EVENTS, ISSUED_INVOICES, OVERDUE_INVOICES
from b24metrics.kpi.facts.leads import NEW_LEADS
from b24metrics.kpi.facts.outcomes import CYCLES, LOSSES
from b24metrics.kpi.facts.quotes import DECIDED_QUOTES
from b24metrics.kpi.facts.requests import REQUESTS, UNANSWERED
from b24metrics.kpi.facts.stages import STAGES_LEFT
from b24metrics.kpi.model import (
    ALL,
    COMPANY,
    CURRENCY,
    DEPARTMENT,
    LINE,
    MANAGER,
    MANAGER_PIPELINE,
    NOW,
    PIPELINE,
    SOURCE,
    STAGE,
    Better,
    Chapter,
    Grain,
    Kpi,
    Mean,
    Measure,
    Number,
    Quantile,
    Ratio,
    Title,
    Total,
    Unit,
    WindowId,
)

if TYPE_CHECKING:
    from b24metrics.mirror.stores import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """A fact that custom KPIs may count.

    ``key``: rows that share it are one record (legs of a call, deals of an activity); None: every row is one.
    """

    fact: Fact
    title: Title
    key: str | None = None


#: By the names that settings use.
SUBJECTS: Mapping[str, Subject] = MappingProxyType(
    {
        subject.fact.name.removeprefix("kpi_"): subject
        for subject in (
            Subject(
                CLOSED_DEALS, Title("Выигранные и проигранные сделки", "Deals won and lost, by the moment of closing")
            ),
            Subject(NEW_DEALS, Title("Новые сделки, без импорта", "Deals created, imported ones left out")),
            Subject(COHORT, Title("Созданные сделки и что из них вышло", "Deals created, and what has become of them")),
            Subject(OPEN_DEALS, Title("Сделки в работе", "Deals in work")),
            Subject(
                OPEN_DEAL_CARE,
                Title("Сделки в работе: просрочка, дела, контакты", "Deals in work: overdue, without activity, stale"),
            ),
            Subject(CYCLES, Title("Закрытые сделки и длина цикла", "Closed deals and the length of their cycle")),
            Subject(LOSSES, Title("Проигранные сделки: причина и этап", "Deals lost: reason and stage")),
            Subject(STAGES_LEFT, Title("Этапы, из которых сделки вышли", "Stages that deals have left")),
            Subject(NEW_LEADS, Title("Новые заявки", "New requests")),
            Subject(REQUESTS, Title("Заявки и реакция на них", "Requests and the reaction to them")),
            Subject(UNANSWERED, Title("Заявки без ответа", "Requests without an answer")),
            Subject(CALLS, Title("Звонки с клиентами", "Phone calls with clients"), "call_key"),
            Subject(MEETINGS, Title("Встречи", "Meetings"), "id"),
            Subject(MESSAGES, Title("Письма и чаты", "E-mails and chats")),
            Subject(DONE_ACTIVITIES, Title("Выполненные дела", "Activities completed")),
            Subject(PENDING_ACTIVITIES, Title("Незавершённые дела", "Activities not completed"), "id"),
            Subject(
                SESSIONS, Title("Разговоры и чаты с оценками", "Talks and chats with their ratings"), "session_key"
            ),
            Subject(DECIDED_QUOTES, Title("Предложения с решением", "Quotes that were decided")),
            Subject(ISSUED_INVOICES, Title("Выставленные счета", "Invoices issued")),
            Subject(INVOICE_EVENTS, Title("Оплаты и отмены счетов", "Payments and cancellations of invoices")),
            Subject(OVERDUE_INVOICES, Title("Просроченные счета", "Invoices overdue")),
        )
    }
)

#: Columns that are the evaluator's, not the record's.
_INNER: Final = frozenset({"row_no", "window_no", "segment_no", "department_id", "placed_in", "only_leg", "only_row"})

#: What each cut asks of a fact.
_CUTS: Mapping[Grain, frozenset[str]] = {
    COMPANY: frozenset(),
    MANAGER: frozenset(),
    DEPARTMENT: frozenset(),
    PIPELINE: frozenset({"pipeline_id"}),
    STAGE: frozenset({"pipeline_id", "stage_id"}),
    SOURCE: frozenset({"source_id"}),
    CURRENCY: frozenset({"currency"}),
    LINE: frozenset({"line"}),
    MANAGER_PIPELINE: frozenset({"pipeline_id"}),
}


_SILENT: Final = Title("", "")


class How(StrEnum):
    """What is made of the rows."""

    COUNT = "count"
    DISTINCT = "distinct"
    SUM = "sum"
    MEAN = "mean"
    MEDIAN = "median"
    QUANTILE = "quantile"
    SHARE = "share"


#: Those that look at a column, and what it has to be; None: anything.
_COLUMNS: Mapping[How, Kind | None] = {
    How.DISTINCT: None,
    How.SUM: Kind.NUMBER,
    How.MEAN: Kind.NUMBER,
    How.MEDIAN: Kind.NUMBER,
    How.QUANTILE: Kind.NUMBER,
}
_BETTER: Mapping[str, Better] = {better.name.lower(): better for better in Better}
_ID: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST_ID: Final = 60
#: Metric names that are served beside the KPIs, and beginnings and endings that are kept for them or for their kinds.
RESERVED: Final = frozenset(
    {
        "b24_up", "b24_source_up", "b24_source_doubted", "b24_sync_lag_seconds", "b24_company_working_now",
        "b24_last_full_reconcile_seconds",
    }
)  # fmt: skip
_BEGINNINGS: Final = ("b24_exporter_", "b24_threshold_", "b24_plan_", "b24_window_", "b24_mirror_")
_ENDINGS: Final = ("_info", "_bucket", "_sum", "_count", "_total", "_created", "_numerator", "_denominator", "_n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom:
    """One KPI as it was written; nothing is checked yet.

    Attributes:
        measure: a word of ``How``. column: what is summed, averaged, or counted distinctly. q: of a quantile.
        where: which rows. among: of which rows they are a share. by: cuts. windows: empty: all that the fact can have.
        unit: "": that of the measure, where it has one. better: a word of ``Better``.
    """

    id: str
    title: Title
    fact: str
    measure: str
    column: str = ""
    q: float | None = None
    where: str = ""
    among: str = ""
    by: tuple[str, ...] = ("T", "D", "M")
    windows: tuple[str, ...] = ()
    unit: str = ""
    better: str = "neither"
    definition: Title = _SILENT


def in_force(customs: Sequence[Custom]) -> Mapping[str, Kpi]:
    """The catalogue, then the company's own, by id.

    Raises:
        ConfigError: every mistake of every one, one line each.
    """
    if not customs:
        return KPIS
    mistakes: list[str] = []
    made: dict[str, Kpi] = {}
    twice = {name for name, times in Counter(custom.id for custom in customs).items() if times > 1}
    known = columns_of(custom.fact for custom in customs if custom.fact in SUBJECTS)
    for number, custom in enumerate(customs, start=1):
        draft = _Draft(custom, known.get(custom.fact, {}))
        kpi = draft.kpi()
        if custom.id in twice:
            draft.wrong("id", "another custom KPI has it too")
        if kpi is not None:
            made[kpi.id] = kpi
        mistakes += (f"  custom {custom.id or number}, {line}" for line in draft.mistakes)
    mistakes += (f"  {line}" for line in _collisions(made.values()))
    if mistakes:
        count = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
        raise ConfigError(f"{count} in the custom KPIs of the settings:\n" + "\n".join(mistakes))
    return MappingProxyType({**KPIS, **made})


def columns_of(facts: Iterable[str] = SUBJECTS) -> Mapping[str, Mapping[str, Kind]]:
    """The columns that settings may name: what each of these facts yields, asked of an empty mirror in memory."""
    return _columns_of(frozenset(facts))


@cache
def _columns_of(facts: frozenset[str]) -> Mapping[str, Mapping[str, Kind]]:
    # Imported where it is used: declarations must be readable where no database is installed.
    from b24metrics.kpi.ground import Ground  # noqa: PLC0415
    from b24metrics.kpi.making import standing  # noqa: PLC0415
    from b24metrics.mirror import schema  # noqa: PLC0415
    from b24metrics.mirror.stores import DuckStore  # noqa: PLC0415

    now = datetime(2025, 1, 15, 12, tzinfo=UTC)
    store = DuckStore(threads=1)
    try:
        store.upsert(schema.PORTALS, [{"portal": "none", "zone": "UTC", "base_currency": "RUB"}])
        with store.transaction():
            ground = Ground(store, "none", now)
            today = ground.rules.window(WindowId.TODAY, now)
            chosen = {name: one.fact for name, one in SUBJECTS.items() if name in facts}
            wanted = {fact: [] if fact.state else [today] for fact in chosen.values()}
            with standing(store, ground, wanted, [today]):
                return {name: _told(store, fact) for name, fact in chosen.items()}
    finally:
        store.close()


def _told(store: Store, fact: Fact) -> Mapping[str, Kind]:
    import pyarrow as pa  # noqa: PLC0415 - see above

    found: dict[str, Kind] = {}
    for one in store.arrow(f"SELECT * FROM {fact.name} LIMIT 0").schema:
        if one.name in _INNER:
            continue
        if pa.types.is_boolean(one.type):
            found[one.name] = Kind.TRUTH
        elif pa.types.is_timestamp(one.type):
            found[one.name] = Kind.INSTANT
        elif pa.types.is_date(one.type):
            found[one.name] = Kind.DATE
        elif pa.types.is_string(one.type) or pa.types.is_large_string(one.type):
            found[one.name] = Kind.TEXT
        else:
            found[one.name] = Kind.NUMBER
    return MappingProxyType(found)


@dataclass
class _Draft:
    """One custom KPI on its way to a declaration; collects what is wrong with it."""

    custom: Custom
    known: Mapping[str, Kind]  # columns of its fact
    mistakes: list[str] = field(default_factory=list)

    def wrong(self, key: str, what: str) -> None:
        self.mistakes.append(f"{key}: {what}")

    def kpi(self) -> Kpi | None:
        """The declaration, or None where something is wrong."""
        custom = self.custom
        self._id()
        subject = self._chosen("fact", custom.fact, SUBJECTS)
        how = self._chosen("measure", custom.measure, {one.value: one for one in How})
        better = self._chosen("better", custom.better, _BETTER)
        unit = self._unit(how)
        for key, title in (("title", custom.title), ("definition", custom.definition)):
            if any(not letter.isprintable() for letter in title.ru + title.en):
                self.wrong(key, "it has to be one line without control characters")
        if not (custom.title.ru.strip() and custom.title.en.strip()):
            self.wrong("title", "it is empty")
        if subject is None or how is None:
            return None
        measure = self._measure(subject, how)
        cuts, windows = self._cuts(how), self._windows(subject)
        if self.mistakes or measure is None or better is None or unit is None:
            return None
        formula = self._formula(how)
        return Kpi(
            id=custom.id,
            title=custom.title,
            measure=measure,
            unit=unit,
            better=better,
            grains=cuts,
            windows=windows,
            chapter=Chapter.CUSTOM,
            source="settings: custom",
            definition=Title(
                custom.definition.ru or f"{subject.title.ru}.", custom.definition.en or f"{subject.title.en}."
            ),
            formula=formula,
        )

    def _chosen(self, key: str, word: str, known: Mapping[str, T]) -> T | None:
        if word in known:
            return known[word]
        near = get_close_matches(word, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        self.wrong(key, f"{word!r} is not known; {hint}")
        return None

    def _id(self) -> None:
        name = self.custom.id
        if not _ID.fullmatch(name) or len(name) > _LONGEST_ID:
            self.wrong(
                "id", f"{name!r} is not made of lower-case words such as large_deals_won, {_LONGEST_ID} letters at most"
            )
        elif name in KPIS:
            self.wrong("id", f"{name} is a KPI of the catalogue; choose another name")

    def _unit(self, how: How | None) -> Unit | None:
        word = self.custom.unit
        if how is How.SHARE:
            if word not in {"", Unit.RATIO}:
                self.wrong("unit", f"a share is a ratio, not {word!r}")
            return Unit.RATIO
        if not word and how in {How.COUNT, How.DISTINCT}:
            return Unit.RECORDS
        if not word:
            self.wrong("unit", f"say what it counts: {', '.join(Unit)}")
            return None
        return self._chosen("unit", word, {unit.value: unit for unit in Unit})

    def _read(self, key: str, text: str, wanted: Kind | None) -> Read:
        found, mistakes = read(text, self.known, wanted)
        for mistake in mistakes:
            self.wrong(key, mistake)
        if not mistakes and found.kind is None:
            self.wrong(key, f"{text!r} is always nothing")
        return found

    def _measure(self, subject: Subject, how: How) -> Measure | None:
        custom, fact, key = self.custom, subject.fact, subject.key
        where = self._read("where", custom.where, Kind.TRUTH).sql if custom.where.strip() else ""
        column = ""
        if how in _COLUMNS:
            if custom.column.strip():
                column = self._read("column", custom.column, _COLUMNS[how]).sql
            else:
                self.wrong("column", f"say which: {how} needs one of {', '.join(self.known)}")
        elif custom.column:
            self.wrong("column", f"{how} looks at no column; leave it out")
        if how is not How.SHARE and custom.among:
            self.wrong("among", f"only a share has it; {how} has none")
        if how is How.SHARE and not where and not self.mistakes:
            self.wrong("where", "say which rows are the share")
        if (how is How.QUANTILE) is (custom.q is None) or (custom.q is not None and not 0 <= custom.q <= 1):
            self.wrong("q", "a quantile needs a number from 0 to 1" if how is How.QUANTILE else f"{how} has none")
        if self.mistakes:
            return None
        match how:
            case How.COUNT:
                return Number(fact, where, key)
            case How.DISTINCT:
                return Number(fact, where, column)
            case How.SUM:
                native = "native_amount" if column == "amount" and "native_amount" in self.known else None
                return Total(fact, column, where, native)
            case How.MEAN:
                return Mean(fact, column, where, key)
            case How.MEDIAN:
                return Quantile(fact, column, 0.5, where, key)
            case How.QUANTILE:
                return Quantile(fact, column, custom.q or 0.0, where, key)
            case How.SHARE:
                among = self._read("among", custom.among, Kind.TRUTH).sql if custom.among.strip() else ""
                both = f"{among} AND {where}" if among else where
                return Ratio(Number(fact, both, key), Number(fact, among, key))

    def _cuts(self, how: How) -> tuple[Grain, ...]:
        found: list[Grain] = []
        cuts = {str(grain): grain for grain in _CUTS}
        for word in self.custom.by:
            grain = cuts.get(word.upper().replace("X", "×"))
            if grain is None:
                self.wrong("by", f"there is no cut {word!r}; known: {' '.join(cuts)}")
            elif missing := sorted(_CUTS[grain] - self.known.keys()):
                self.wrong("by", f"{grain} needs {', '.join(missing)}, which {self.custom.fact} does not have")
            elif grain == CURRENCY and how not in {How.COUNT, How.DISTINCT, How.SHARE, How.SUM}:
                self.wrong("by", f"C shows amounts of each currency, which {how} does not keep apart")
            elif grain in found:
                self.wrong("by", f"{grain} stands there twice")
            else:
                found.append(grain)
        if not self.custom.by:
            self.wrong("by", "name one cut at least, such as T for the company")
        return tuple(found)

    def _windows(self, subject: Subject) -> tuple[WindowId, ...]:
        able = NOW if subject.fact.state else tuple(one for one in WindowId if one is not WindowId.NOW)
        words = self.custom.windows
        for word in dict.fromkeys(words):
            if word not in able:
                known = word in set(WindowId)
                why = (
                    f"{self.custom.fact} tells the present only"
                    if subject.fact.state
                    else "rows of the past have no now"
                )
                self.wrong(
                    "windows", (why if known else f"there is no window {word!r}") + f"; it may be {', '.join(able)}"
                )
        if not words:
            return NOW if subject.fact.state else ALL
        return tuple(one for one in able if one in words)

    def _formula(self, how: How) -> str:
        custom = self.custom
        what = {
            How.QUANTILE: f"quantile {custom.q} of {custom.column}",
            How.DISTINCT: f"count distinct {custom.column}",
        }.get(how, f"{how} {custom.column}".strip())
        among = f" among {custom.among}" if custom.among else ""
        where = f" where {custom.where}" if custom.where else ""
        return " ".join(f"{what} of {custom.fact}{where}{among}".split())


def _collisions(made: Iterable[Kpi]) -> list[str]:
    """Metric names that are served already, or that Prometheus keeps for itself."""
    taken = {family.name: kpi.id for kpi in KPIS.values() for family in kpi.families}
    found: list[str] = []
    for kpi in made:
        for family in kpi.families:
            name = family.name
            own = name.removesuffix(f"_{family.part}") if family.part else name
            if name in taken:
                found.append(f"custom {kpi.id}, id: its metric {name} is that of {taken[name]}; choose another id")
            elif name in RESERVED or name.startswith(_BEGINNINGS) or own.endswith(_ENDINGS):
                found.append(f"custom {kpi.id}, id: the metric name {name} is reserved; choose another id")
            else:
                taken[name] = kpi.id
    return found
