"""Measures become elementary aggregates, aggregates become SQL.

Laws: pure text, no database; identifiers come from declarations, values are bound; every aggregate of a fact that adds up
is computed in one scan into cells (segment × axes), from which windows and cuts are rolled up; what does not add up is
grouped from the rows themselves. Expressions that DuckDB and PostgreSQL share (FILTER, GROUPING SETS), save for
``quantile_cont``, which sqlglot carries over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from b24metrics.kpi.facts import Fact
from b24metrics.kpi.model import (
    CURRENCY,
    Axis,
    Computed,
    Derived,
    Grain,
    Mean,
    Measure,
    Number,
    Plan,
    Previous,
    Quantile,
    Ratio,
    Total,
)

#: Columns that a cut along an axis groups by; a department groups by the ancestors of ``department_id``.
AXIS_COLUMNS = {
    Axis.MANAGER: ("manager_id",),
    Axis.OWN: ("department_id",),
    Axis.DEPARTMENT: ("ancestor_id",),
    Axis.PIPELINE: ("pipeline_id",),
    Axis.STAGE: ("pipeline_id", "stage_id"),
    Axis.SOURCE: ("source_id",),
    Axis.CURRENCY: ("currency",),
}


class How(StrEnum):
    """Elementary aggregates."""

    COUNT = "count"
    SUM = "sum"
    DISTINCT = "distinct"
    QUANTILE = "quantile"


@dataclass(frozen=True, slots=True)
class Atom:
    """One elementary aggregate of a fact. ``per``: rows are summed by this column first (quantiles only)."""

    fact: Fact
    how: How
    column: str = ""
    where: str = ""
    q: float = 0.0
    per: str | None = None

    @property
    def adds_up(self) -> bool:
        return self.how in {How.COUNT, How.SUM}

    def sql(self, condition: str = "") -> str:
        """The aggregate over rows, those that satisfy ``where`` and ``condition``."""
        match self.how:
            case How.COUNT:
                call = "count(*)"
            case How.SUM:
                call = f"sum({self.column})"
            case How.DISTINCT:
                call = f"count(DISTINCT {self.column})"
            case How.QUANTILE:
                call = f"quantile_cont(CAST({self.column} AS DOUBLE), {self.q})"
        conditions = [f"({text})" for text in (self.where, condition) if text]
        return f"{call} FILTER (WHERE {' AND '.join(conditions)})" if conditions else call


def count(measure: Number) -> Atom:
    """The aggregate of a count."""
    if measure.distinct:
        return Atom(measure.fact, How.DISTINCT, measure.distinct, measure.where)
    return Atom(measure.fact, How.COUNT, where=measure.where)


def total(measure: Total, grain: Grain) -> Atom:
    """The aggregate of a sum: native amounts at grain C."""
    column = measure.native if grain == CURRENCY and measure.native else measure.column
    return Atom(measure.fact, How.SUM, column, measure.where)


def rows_behind(measure: Number | Total) -> Atom:
    """How many rows (or different keys) stand behind a value."""
    if isinstance(measure, Number):
        return count(measure)
    return Atom(measure.fact, How.COUNT, where=measure.where)


def mean_parts(measure: Mean) -> tuple[Atom, Atom]:
    """Sum and size of a mean."""
    size = count(Number(measure.fact, measure.where, measure.per))
    return Atom(measure.fact, How.SUM, measure.column, measure.where), size


def quantile_parts(measure: Quantile) -> tuple[Atom, Atom]:
    """Quantile and the number of values behind it."""
    where = " AND ".join(f"({text})" for text in (measure.where, f"{measure.column} IS NOT NULL") if text)
    value = Atom(measure.fact, How.QUANTILE, measure.column, measure.where, measure.q, measure.per)
    return value, count(Number(measure.fact, where, measure.per))


def size(measure: Computed) -> Atom:
    """How many rows numpy is handed."""
    return Atom(measure.fact, How.COUNT, where=measure.where)


def atoms(measure: Measure, grain: Grain) -> Iterator[Atom]:
    """Every elementary aggregate that a measure needs at this grain."""
    match measure:
        case Number():
            yield count(measure)
        case Total():
            yield total(measure, grain)
            yield rows_behind(measure)
        case Ratio():
            yield from atoms(measure.numerator, grain)
            yield from atoms(measure.denominator, grain)
        case Mean():
            yield from mean_parts(measure)
        case Quantile():
            yield from quantile_parts(measure)
        case Previous():
            yield from atoms(measure.of, grain)
        case Derived():
            for one in measure.inputs.values():
                yield from atoms(one, grain)
        case Computed():
            yield size(measure)
        case Plan():
            return


def facts(measure: Measure) -> Iterator[Fact]:
    """Every fact that a measure reads."""
    match measure:
        case Number() | Total() | Mean() | Quantile() | Computed():
            yield measure.fact
        case Ratio():
            yield from facts(measure.numerator)
            yield from facts(measure.denominator)
        case Previous():
            yield from facts(measure.of)
        case Derived():
            for one in measure.inputs.values():
                yield from facts(one)
        case Plan():
            return


def steps_back(measure: Measure) -> frozenset[int]:
    """How many windows back a measure looks; 0 is the current one."""
    match measure:
        case Previous():
            return frozenset({measure.steps})
        case Derived():
            return frozenset().union(*(steps_back(one) for one in measure.inputs.values()))
        case _:
            return frozenset({0})


def rows_measures(measure: Measure) -> Iterator[Computed]:
    """The parts of a measure that need rows."""
    match measure:
        case Computed():
            yield measure
        case Derived():
            for one in measure.inputs.values():
                yield from rows_measures(one)
        case _:
            return


# ---------------------------------------------------------------- SQL


@dataclass(frozen=True, slots=True)
class Cut:
    """One grouping: the columns of a grain and of the labels beyond it."""

    grain: Grain
    labels: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        axes = (column for axis in self.grain.axes for column in AXIS_COLUMNS[axis])
        return tuple(dict.fromkeys((*axes, *self.labels)))

    @property
    def through_tree(self) -> bool:
        """Whether a row counts for every department above its own."""
        return Axis.DEPARTMENT in self.grain


def dimensions(cuts: Iterable[Cut]) -> tuple[str, ...]:
    """All columns of these cuts, each once, without the departments above."""
    return tuple(dict.fromkeys(c for cut in cuts for c in cut.columns if c != "ancestor_id"))


def segment_sql(bounds: Sequence[object]) -> tuple[str, list[object]]:
    """Expression for the segment of ``happened_at``: a balanced tree of comparisons, and its parameters in order.

    ``bounds`` ascend, at least two; rows outside them are kept away by the caller.
    """
    params: list[object] = []

    def tree(low: int, high: int) -> str:
        if low == high:
            return str(low)
        middle = (low + high + 1) // 2
        params.append(bounds[middle])
        return f"CASE WHEN f.happened_at < ? THEN {tree(low, middle - 1)} ELSE {tree(middle, high)} END"

    return tree(0, len(bounds) - 2), params


def cells_sql(fact: Fact, wanted: Sequence[Atom], dims: Sequence[str]) -> str:
    """One scan of a fact: additive aggregates by segment, own department and every other axis."""
    keys = list(dict.fromkeys(("segment", "department_id", *dims)))
    values = [f"{atom.sql()} AS v{i}" for i, atom in enumerate(wanted)]
    return f"SELECT {', '.join((*keys, *values))} FROM {fact.name} GROUP BY {', '.join(keys)}"


def rolled_sql(source: str, fact: Fact, values: Sequence[str], cuts: Sequence[Cut]) -> str:
    """Values of all cuts and all windows: window, cut number, the dimensions, the values.

    ``source`` has a segment; cuts either all go through the department tree or none does.
    """
    dims = _grouped_by(cuts)
    sets = ", ".join(f"({', '.join(_named('s.window_no', columns=cut.columns))})" for cut in cuts)
    listed = ", ".join(("s.window_no", f"{_mask(dims)} AS cut_mask", *_named(columns=dims), *values))
    return f"SELECT {listed} FROM {_windowed(source, fact, cuts[0])} GROUP BY GROUPING SETS ({sets})"


def per_sql(fact: Fact, atom: Atom, cuts: Sequence[Cut]) -> str:
    """A quantile of sums by ``atom.per``; the same columns as ``rolled_sql``."""
    dims = _grouped_by(cuts)
    sets = ", ".join(f"({', '.join(_named('s.window_no', columns=cut.columns))}, c.{atom.per})" for cut in cuts)
    listed = ", ".join(
        ("s.window_no", f"{_mask(dims)} AS cut_mask", *_named(columns=dims), f"sum({atom.column}) AS summed")
    )
    where = f" WHERE {atom.where}" if atom.where else ""
    inner = f"SELECT {listed} FROM {_windowed(fact.name, fact, cuts[0])}{where} GROUP BY GROUPING SETS ({sets})"
    keys = ", ".join(("window_no", "cut_mask", *dims))
    value = Atom(fact, How.QUANTILE, "summed", q=atom.q).sql()
    return f"SELECT {keys}, {value} AS v0 FROM ({inner}) AS summed_rows GROUP BY {keys}"


def rows_sql(computed: Computed, cut: Cut) -> str:
    """The rows of every cell of a cut, sorted by cell: window, key, the columns as ``v0`` …"""
    keys = _named("s.window_no", columns=cut.columns)
    values = [f"CAST({column} AS DOUBLE) AS v{i}" for i, column in enumerate(computed.columns)]
    where = f" WHERE {computed.where}" if computed.where else ""
    source = _windowed(computed.fact.name, computed.fact, cut)
    return f"SELECT {', '.join((*keys, *values))} FROM {source}{where} ORDER BY {', '.join(keys)}"


def cut_mask(cut: Cut, cuts: Sequence[Cut]) -> int:
    """What ``GROUPING`` gives for this cut among these: a bit for every dimension that is summed over."""
    dims = _grouped_by(cuts)
    return sum(1 << (len(dims) - 1 - i) for i, column in enumerate(dims) if column not in cut.columns)


def _grouped_by(cuts: Sequence[Cut]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for cut in cuts for column in cut.columns))


def _named(*first: str, columns: Iterable[str] = ()) -> list[str]:
    """Columns with the table that they are taken from."""
    return [*first, *(f"k.{column}" if column == "ancestor_id" else f"c.{column}" for column in columns)]


def _mask(dims: Sequence[str]) -> str:
    return f"GROUPING({', '.join(_named(columns=dims))})" if dims else "0"


def _windowed(source: str, fact: Fact, cut: Cut) -> str:
    """Rows (or cells) of a fact, once for every window, and for every department above where the cut asks for them."""
    tree = " JOIN kpi_closure AS k ON k.department_id = c.department_id" if cut.through_tree else ""
    return f"{source} AS c JOIN kpi_spans AS s ON s.fact = '{fact.name}' AND s.segment = c.segment{tree}"
