"""What a KPI is: a declared value; and what its numbers are called in Prometheus.

Laws: a declaration computes nothing and opens nothing; window and grain are added by the evaluator; an empty ratio,
mean or quantile has no value, never 0 and never NaN; metric names are made in this file and nowhere else.

Grains. One letter per axis: M manager, D department with its sub-departments, P pipeline, S stage, R source,
C currency, L telephone line of the portal, T the company (no axis). O is the department's *own members* only: it is never
written in a declaration, the evaluator adds it for the exporter, because own members never overlap, so that a sum over
them is right.

Which metric family carries what (``families`` below; every family has the label ``window``):

======================  ================================================  ====================================
measure                 family                                            labels before ``window``
======================  ================================================  ====================================
adds up                 ``b24_<kpi>``                                     department_id (own members; "0" is
(counts, sums)                                                            everybody else), pipeline_id if the
                                                                          card has P
adds up                 ``b24_manager_<kpi>``                             manager_id, department_id (primary),
                                                                          pipeline_id if the card has M×P
adds up                 ``b24_department_<kpi>``                          department_id (with sub-departments)
adds up                 ``b24_source_…``, ``b24_stage_…``,                the axis of the name
                        ``b24_currency_…`` where the card has the axis
does not add up         ``b24_company_<kpi>``                             none
(ratio, mean, median,   ``b24_department_…``, ``b24_manager_…``,          the axes of the name; a manager's
distinct count, …)      ``b24_pipeline_…``, ``b24_source_…``, …,          series also carries department_id
                        ``b24_manager_pipeline_…`` for M×P
ratio of sums           ``b24_<kpi>_numerator``, ``…_denominator``        as ``b24_<kpi>``: the additive parts
companions              ``b24_<level>_<kpi>_numerator``, ``_denominator`` as the ready value beside them, so that
                        (ratios) or ``_n`` (means, quantiles)             PromQL matches them one to one
======================  ================================================  ====================================

So the company's value of a sum is ``sum(b24_<kpi>{window="…"})`` and of anything else ``b24_company_<kpi>{window="…"}``;
``Kpi.family(grain)`` answers which one it is. Labels beyond the grain (``Kpi.labels``) stand on every family of the KPI.
A trailing ``_count`` (and ``_total`` before it) of an id is dropped, linters reserve them; a level word is not said twice
where that is unambiguous (``b24_manager_rank``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

if TYPE_CHECKING:
    from b24metrics.kpi.cells import Cells, FloatArray, Groups, Values
    from b24metrics.kpi.facts import Fact

Language: TypeAlias = Literal["ru", "en"]


@dataclass(frozen=True, slots=True)
class Title:
    """A text in both languages."""

    ru: str
    en: str

    def said(self, language: Language) -> str:
        return self.ru if language == "ru" else self.en


class Unit(StrEnum):
    """What a value counts. Ratios are 0…1, money is in the reporting currency, time in seconds."""

    RATIO = "ratio"
    SECONDS = "seconds"
    MONEY = "money"
    MONEY_PER_DAY = "money per day"
    DEALS = "deals"
    LEADS = "leads"
    REQUESTS = "requests"
    CALLS = "calls"
    MEETINGS = "meetings"
    EMAILS = "e-mails"
    SESSIONS = "sessions"
    EVENTS = "events"
    TASKS = "tasks"
    ACTIVITIES = "activities"
    MOVES = "moves"
    QUOTES = "quotes"
    INVOICES = "invoices"
    UNITS = "units"
    CUSTOMERS = "customers"
    CONTACTS = "contacts"
    PURCHASES = "purchases"
    REVIEWS = "reviews"
    RECORDS = "records"
    MANAGERS = "managers"
    POINTS = "points"
    RANK = "rank"
    FLAG = "flag"

    @property
    def is_countable(self) -> bool:
        """Whole things: shown without decimals."""
        return self not in {
            Unit.RATIO,
            Unit.SECONDS,
            Unit.MONEY,
            Unit.MONEY_PER_DAY,
            Unit.UNITS,
            Unit.POINTS,
            Unit.PURCHASES,
        }


class Better(StrEnum):
    """Which way is good."""

    HIGHER = "↑"
    LOWER = "↓"
    NEITHER = "↔"
    BAND = "◎"


class Chapter(StrEnum):
    """Chapters of the catalogue."""

    VOLUME = "A"
    ACTIVITY = "B"
    DISCIPLINE = "C"
    CONVERSION = "D"
    EFFICIENCY = "E"
    RETENTION = "F"
    QUALITY = "G"
    FEEDBACK = "H"
    HEALTH = "+"  # beside the chapters
    CUSTOM = "custom"  # the company's own


class WindowId(StrEnum):
    """The closed set of windows; ``windows.py`` turns them into instants."""

    NOW = "now"
    TODAY = "today"
    YESTERDAY = "yesterday"
    D7 = "7d"
    D30 = "30d"
    WTD = "wtd"
    MTD = "mtd"
    QTD = "qtd"
    PREV_MONTH = "prev_month"
    T90 = "t90"
    T180 = "t180"
    T365 = "t365"


NOW = (WindowId.NOW,)
DAY = (WindowId.TODAY, WindowId.YESTERDAY)
ROLL = (WindowId.D7, WindowId.D30)
CAL = (WindowId.WTD, WindowId.MTD, WindowId.QTD, WindowId.PREV_MONTH)
ALL = DAY + ROLL + CAL


def windows(written: str) -> tuple[WindowId, ...]:
    """``windows("7d 30d mtd")``; order as written."""
    return tuple(WindowId(word) for word in written.split())


# ---------------------------------------------------------------- grains


class Axis(StrEnum):
    """One dimension of a cut."""

    MANAGER = "M"
    OWN = "O"  # a department's own members; see the module's laws
    DEPARTMENT = "D"
    PIPELINE = "P"
    STAGE = "S"
    SOURCE = "R"
    CURRENCY = "C"
    LINE = "L"

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that a value cut along this axis carries."""
        return _AXIS_LABELS[self]


_AXIS_LABELS: Mapping[Axis, tuple[str, ...]] = {
    Axis.MANAGER: ("manager_id", "department_id"),
    Axis.OWN: ("department_id",),
    Axis.DEPARTMENT: ("department_id",),
    Axis.PIPELINE: ("pipeline_id",),
    Axis.STAGE: ("pipeline_id", "stage_id"),
    Axis.SOURCE: ("source_id",),
    Axis.CURRENCY: ("currency",),
    Axis.LINE: ("line",),
}
_AXIS_WORDS: Mapping[Axis, str] = {
    Axis.MANAGER: "manager",
    Axis.DEPARTMENT: "department",
    Axis.PIPELINE: "pipeline",
    Axis.STAGE: "stage",
    Axis.SOURCE: "source",
    Axis.CURRENCY: "currency",
    Axis.LINE: "line",
}

#: The department id of records whose manager is outside the sales scope, or who have no manager (grain O).
OUTSIDE = "0"
#: The label of an empty source, stage, reason, … .
NONE = "(none)"


@dataclass(frozen=True, slots=True, order=True)
class Grain:
    """The axes of one cut, in the order of ``Axis``; no axis is the company total."""

    axes: tuple[Axis, ...] = ()

    @classmethod
    def parse(cls, written: str) -> Self:
        """``"M"``, ``"M×P"``, ``"T"``.

        Raises:
            ValueError: a letter that is no axis, or one twice.
        """
        letters = written.strip().split("×")
        if letters == ["T"]:
            return cls()
        found = {Axis(letter) for letter in letters}
        if len(found) != len(letters):
            raise ValueError(f"an axis stands twice in the grain {written!r}")
        return cls(tuple(axis for axis in Axis if axis in found))

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names of a sample of this grain, without the window."""
        return tuple(dict.fromkeys(label for axis in self.axes for label in axis.labels))

    def __contains__(self, axis: object) -> bool:
        return axis in self.axes

    def __str__(self) -> str:
        return "×".join(axis.value for axis in self.axes) or "T"


COMPANY = Grain()
MANAGER = Grain((Axis.MANAGER,))
DEPARTMENT = Grain((Axis.DEPARTMENT,))
PIPELINE = Grain((Axis.PIPELINE,))
STAGE = Grain((Axis.STAGE,))
SOURCE = Grain((Axis.SOURCE,))
CURRENCY = Grain((Axis.CURRENCY,))
LINE = Grain((Axis.LINE,))
MANAGER_PIPELINE = Grain((Axis.MANAGER, Axis.PIPELINE))
OWN = Grain((Axis.OWN,))
OWN_PIPELINE = Grain((Axis.OWN, Axis.PIPELINE))


def grains(written: str) -> tuple[Grain, ...]:
    """``grains("M D P R T, M×P")``; order as written.

    Raises:
        ValueError: an unknown letter, or O, which is the evaluator's own.
    """
    found = tuple(Grain.parse(word) for word in written.replace(",", " ").split())
    if any(Axis.OWN in grain for grain in found):
        raise ValueError("the grain O is added by the evaluator and never declared")
    return found


# ---------------------------------------------------------------- measures


@dataclass(frozen=True, slots=True)
class Number:
    """How many rows of the fact satisfy ``where``; with ``distinct``, how many different values of that column.

    A distinct count does not add up: two managers may share a record.
    """

    fact: Fact
    where: str = ""
    distinct: str | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """Sum of ``column``; an empty set sums to 0. Rows without a value drop out.

    ``native``: the column to sum at grain C, where every currency keeps its own amounts.
    """

    fact: Fact
    column: str
    where: str = ""
    native: str | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """One additive measure by another; no value where the denominator is not above 0."""

    numerator: Number | Total
    denominator: Number | Total | Plan


@dataclass(frozen=True, slots=True)
class Mean:
    """Sum of ``column`` by the number of rows, those without a value included; ``n`` is that number.

    ``per``: the column whose different values are counted instead of the rows (legs of one call).
    """

    fact: Fact
    column: str
    where: str = ""
    per: str | None = None


@dataclass(frozen=True, slots=True)
class Quantile:
    """Quantile ``q`` of ``column`` by linear interpolation (Hyndman-Fan type 7); rows without a value drop out.

    ``per``: rows that share this column's value are summed first, inside the scope (legs of one call).
    """

    fact: Fact
    column: str
    q: float
    where: str = ""
    per: str | None = None


class Book(StrEnum):
    """Where numbers that belong to a month stand."""

    PLANS = "plans"
    FROZEN = "frozen_values"  # what a KPI was when its month was closed; may be 0 or less
    INPUTS = "inputs"  # from outside, by kind; labels of a kind are summed


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of another KPI for the whole period of the window, at grain M, D or T; no value without a plan above 0.

    ``book``: numbers of other books fold alike. Then ``kpi_id`` names the frozen KPI, or the kind of input.
    """

    kpi_id: str
    book: Book = Book.PLANS


@dataclass(frozen=True, slots=True)
class Previous:
    """The same measure over the comparable previous window, or over an earlier one still."""

    of: Measure
    steps: int = 1


@dataclass(frozen=True, slots=True)
class Over:
    """The same measure over a fixed window, whatever the window of the sample is: a t90 baseline inside ``now``."""

    of: Measure
    window: WindowId


@dataclass(frozen=True, slots=True)
class Computed:
    """Numpy over the rows of each cell: survival, lifetime value, whatever SQL says clumsily.

    ``compute`` gets the rows of the fact, sorted by cell, with ``columns`` as arrays, and returns one value per cell,
    NaN for nothing; or ``cells.Values`` with the sizes behind it, shape (cells,) each. Without a size of its own, ``n``
    is the number of rows. ``order``: one of the columns, by which the rows of each cell ascend. ``per``: rows of a cell that
    share this column's value are one record, of which the first row is seen; the records ascend by it.
    """

    fact: Fact
    columns: tuple[str, ...]
    compute: Callable[[Groups], FloatArray | Values]
    where: str = ""
    order: str | None = None
    per: str | None = None


@dataclass(frozen=True, slots=True)
class Derived:
    """Numpy over the values of other measures: gaps, growth, forecasts, ranks, tests over many stages at once.

    ``compute`` gets one array per input, aligned cell by cell, together with the cells' own labels, windows and the
    working time in them, and returns one value per cell, NaN for nothing; or ``cells.Values`` with the sizes behind it,
    shape (cells,) each.

    ``inputs``: any measures, derived ones included, of this KPI or of others (``REVENUE_WON.measure``). Give the map a
    name of its own for each input: records are explained under it.

    ``spread``: combinations of labels that every cell has besides its own (``({"by": "revenue_won", "within": "D"}, …)``);
    ``compute`` is called once for each, with the combination in ``Cells.combination``. The names are among ``Kpi.labels``.

    ``optional``: inputs that are nothing where their feeds were not copied, instead of silencing the whole KPI.
    """

    inputs: Mapping[str, Measure]
    compute: Callable[[Cells], FloatArray | Values]
    spread: tuple[Mapping[str, str], ...] = ()
    optional: frozenset[str] = frozenset()


Measure: TypeAlias = Number | Total | Ratio | Mean | Quantile | Plan | Previous | Over | Computed | Derived


# ---------------------------------------------------------------- KPI


class Part(StrEnum):
    """What of a sample a metric family shows."""

    VALUE = ""
    NUMERATOR = "numerator"
    DENOMINATOR = "denominator"
    N = "n"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Kpi:
    """One declared number of the catalogue; equal only to itself.

    Attributes:
        grains: the cuts of the card. windows: those of the card, and the baselines that rules compare with.
        source: where the definition stands. definition: in words, for people. formula: the same, for checking.
        labels: label names beyond the grain: columns of the fact, or those of ``Derived.spread``.
        companions: the sizes that are published beside the value; None: those of the measure (``parts``).
        needs: parts of feeds that a mirror may leave out and without which there is no sample at all (``Ground.left_out``).
        needs_input: kind of the numbers from outside (table ``inputs``) without which there is no sample at all.
        exported: what its metric families are called after, where that is not the id.
        live: the exporter tells it by itself at every scrape: there is no metric family of it here.
    """

    id: str
    title: Title
    measure: Measure
    unit: Unit
    better: Better
    grains: tuple[Grain, ...]
    windows: tuple[WindowId, ...]
    chapter: Chapter
    source: str
    definition: Title
    formula: str
    labels: tuple[str, ...] = ()
    companions: tuple[Part, ...] | None = None
    needs: tuple[str, ...] = ()
    needs_input: str | None = None
    exported: str | None = None
    live: bool = False

    def __repr__(self) -> str:
        # In full it would print the SQL of every fact behind it, and a snapshot prints its KPIs by the 100,000.
        return f"Kpi({self.id!r})"

    @property
    def adds_up(self) -> bool:
        """Whether values of managers sum up to their department's, and pipelines' to the company's."""
        return not self.live and _adds_up(self.measure)

    @property
    def spread(self) -> tuple[Mapping[str, str], ...]:
        """Combinations of labels that are not columns of a fact."""
        return self.measure.spread if isinstance(self.measure, Derived) else ()

    @property
    def fact_labels(self) -> tuple[str, ...]:
        """Labels beyond the grain that are columns of the fact."""
        constant = {name for combination in self.spread for name in combination}
        return tuple(name for name in self.labels if name not in constant)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The sizes that are published beside the value."""
        if self.companions is not None:
            return self.companions
        match self.measure:
            case Ratio():
                return (Part.NUMERATOR, Part.DENOMINATOR)
            case Mean() | Quantile() | Computed():
                return (Part.N,)
            case _:
                return ()

    @property
    def evaluated_grains(self) -> tuple[Grain, ...]:
        """The grains of the card and the exporter's finer additive one, which comes out of the same pass."""
        return (*self.grains, self._own) if self.has_own_family else self.grains

    @property
    def families(self) -> tuple[Family, ...]:
        """Every metric family of this KPI; the table in the module's docstring."""
        if self.live:
            return ()
        if self.adds_up:
            shown = [self._own]
            if MANAGER_PIPELINE in self.grains:
                shown.append(MANAGER_PIPELINE)
            elif MANAGER in self.grains:
                shown.append(MANAGER)
            shown += [grain for grain in self.grains if grain in {DEPARTMENT, SOURCE, STAGE, CURRENCY, LINE}]
            return tuple(Family(self, grain, Part.VALUE) for grain in shown)
        ready = tuple(Family(self, grain, part) for grain in self.grains for part in (Part.VALUE, *self.parts))
        parts = tuple(Family(self, self._own, part) for part in self.parts) if self._parts_add_up else ()
        return ready + parts

    def family(self, grain: Grain, part: Part = Part.VALUE) -> Family:
        """The family from which this cut is read; where its ``grain`` is finer, sum it over the labels in between.

        Raises:
            LookupError: the KPI is not cut that way, or has no such part.
        """
        wanted = {family.grain: family for family in self.families if family.part is part}
        if grain in wanted:
            return wanted[grain]
        finer = MANAGER_PIPELINE if Axis.MANAGER in grain else self._own
        if self.adds_up and grain in self.grains and finer in wanted:
            return wanted[finer]
        raise LookupError(f"{self.id} has no {part or 'value'} at grain {grain}")

    @property
    def has_own_family(self) -> bool:
        """Whether there is a family by own members: of the value, or of a ratio's parts."""
        return self.adds_up or (not self.live and self._parts_add_up)

    @property
    def _own(self) -> Grain:
        return OWN_PIPELINE if PIPELINE in self.grains else OWN

    @property
    def _parts_add_up(self) -> bool:
        measure = self.measure
        return isinstance(measure, Ratio) and _adds_up(measure.numerator) and _adds_up(measure.denominator)


def _adds_up(measure: Measure) -> bool:
    match measure:
        case Number():
            return measure.distinct is None
        case Total():
            return True
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family: a gauge with fixed label names."""

    kpi: Kpi
    grain: Grain
    part: Part

    @property
    def name(self) -> str:
        """As Prometheus knows it."""
        # Linters reserve the suffixes for counters and histograms, and take "hours" for a unit.
        words = (
            (self.kpi.exported or self.kpi.id)
            .removesuffix("_count")
            .removesuffix("_total")
            .replace("after_hours", "after_work")
        )
        axes = self.grain.axes[:1] if self.kpi.adds_up else self.grain.axes  # pipelines of one manager do add up
        level = "_".join(_AXIS_WORDS[axis] for axis in axes if axis in _AXIS_WORDS) or "company"
        # A level word is not said twice, unless the plain name is that of the own members.
        said = words.startswith(f"{level}_") and not self.kpi.has_own_family
        if Axis.OWN not in self.grain and not said:
            words = f"{level}_{words}"
        return f"b24_{words}_{self.part}" if self.part else f"b24_{words}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of ``Sample.labels``, then ``window``."""
        return (*self.grain.labels, *self.kpi.labels, "window")

    @property
    def adds_up(self) -> bool:
        """Whether a sum over its series (of one window) means something."""
        return Axis.OWN in self.grain or (self.kpi.adds_up and Axis.DEPARTMENT not in self.grain)

    def help(self, language: Language = "en") -> str:
        """HELP in one line: what it is, whose it is, how fresh it is."""
        scope = _SCOPES[self.grain.axes[0] if self.grain.axes else None].said(language)
        part = _PARTS[self.part].said(language)
        ending = _CACHED.said(language)
        return f"{part}{self.kpi.title.said(language)} ({scope}). {self.kpi.definition.said(language)} {ending}"


_PARTS: Mapping[Part, Title] = {
    Part.VALUE: Title("", ""),
    Part.NUMERATOR: Title("Числитель: ", "Numerator of: "),
    Part.DENOMINATOR: Title("Знаменатель: ", "Denominator of: "),
    Part.N: Title("Размер выборки: ", "Sample size of: "),
}
_SCOPES: Mapping[Axis | None, Title] = {
    None: Title("компания", "company"),
    Axis.OWN: Title("только сотрудники самого отдела", "own members of the department only"),
    Axis.MANAGER: Title("менеджер", "manager"),
    Axis.DEPARTMENT: Title("отдел с подотделами", "department with its sub-departments"),
    Axis.PIPELINE: Title("воронка", "pipeline"),
    Axis.STAGE: Title("этап", "stage"),
    Axis.SOURCE: Title("источник", "source"),
    Axis.CURRENCY: Title("валюта сделки", "native currency"),
    Axis.LINE: Title("телефонная линия", "telephone line"),
}
_CACHED = Title("Считается раз за цикл обновления.", "Computed once per refresh round.")
