"""Measures become elementary aggregates, aggregates become SQL.

Laws: pure text, no database; identifiers come from declarations, values are bound; only expressions that DuckDB and
PostgreSQL share. What adds up is computed in one scan into cells (segment × the columns of each cut), from which windows
and the departments above are summed. Distinct counts are grouped from the rows. Quantiles and numpy measures need the
rows themselves (``rows.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

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
    Over,
    Plan,
    Previous,
    Quantile,
    Ratio,
    Total,
    WindowId,
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
    Axis.LINE: ("line",),
}


class How(StrEnum):
    """Elementary aggregates."""

    COUNT = "count"
    SUM = "sum"
    DISTINCT = "distinct"


@dataclass(frozen=True, slots=True)
class Atom:
    """One elementary aggregate of a fact."""

    fact: Fact
    how: How
    column: str = ""
    where: str = ""

    @property
    def adds_up(self) -> bool:
        return self.how is not How.DISTINCT

    @property
    def sql(self) -> str:
        """The aggregate over the rows that satisfy ``where``."""
        match self.how:
            case How.COUNT:
                call = "count(*)"
            case How.SUM:
                call = f"sum({self.column})"
            case How.DISTINCT:
                call = f"count(DISTINCT {self.column})"
        return f"{call} FILTER (WHERE {self.where})" if self.where else call


#: Measures that see the rows of each cell.
RowMeasure: TypeAlias = Quantile | Computed


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
        case Previous() | Over():
            yield from atoms(measure.of, grain)
        case Derived():
            for one in measure.inputs.values():
                yield from atoms(one, grain)
        case Quantile() | Computed() | Plan():
            return


def row_measures(measure: Measure) -> Iterator[RowMeasure]:
    """The parts of a measure that need rows."""
    match measure:
        case Quantile() | Computed():
            yield measure
        case Previous() | Over():
            yield from row_measures(measure.of)
        case Derived():
            for one in measure.inputs.values():
                yield from row_measures(one)
        case _:
            return


class Look(NamedTuple):
    """Where a measure looks.

    ``fact``: None for a plan. ``window``: None for that of the sample. ``steps``: how many windows back; 0 is current.
    """

    fact: Fact | None
    window: WindowId | None
    steps: int


def looks(measure: Measure, window: WindowId | None = None, steps: int = 0) -> Iterator[Look]:
    """Every place at which a measure looks."""
    match measure:
        case Number() | Total() | Mean() | Quantile() | Computed():
            yield Look(measure.fact, window, steps)
        case Plan():
            yield Look(None, window, steps)
        case Ratio():
            yield from looks(measure.numerator, window, steps)
            yield from looks(measure.denominator, window, steps)
        case Previous():
            yield from looks(measure.of, window, steps + measure.steps)
        case Over():
            yield from looks(measure.of, measure.window, steps)
        case Derived():
            for one in measure.inputs.values():
                yield from looks(one, window, steps)


def facts(measure: Measure) -> tuple[Fact, ...]:
    """Every fact that a measure reads, each once."""
    return tuple(dict.fromkeys(look.fact for look in looks(measure) if look.fact is not None))


def needed(measure: Measure) -> tuple[Fact, ...]:
    """The facts that a measure cannot do without."""
    if not isinstance(measure, Derived):
        return facts(measure)
    wanted = (needed(one) for name, one in measure.inputs.items() if name not in measure.optional)
    return tuple(dict.fromkeys(fact for some in wanted for fact in some))


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

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns in the fact itself: the department instead of those above it."""
        return tuple("department_id" if column == "ancestor_id" else column for column in self.columns)


def dimensions(cuts: Iterable[Cut]) -> tuple[str, ...]:
    """All columns of the fact that these cuts group by, each once."""
    return tuple(dict.fromkeys(column for cut in cuts for column in cut.own_columns))


def mask(columns: Sequence[str], dims: Sequence[str]) -> int:
    """What ``GROUPING(dims)`` gives where only ``columns`` are grouped by: a bit for every dimension summed over."""
    return sum(1 << (len(dims) - 1 - i) for i, dim in enumerate(dims) if dim not in columns)


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


def cells_sql(fact: Fact, wanted: Sequence[Atom], cuts: Sequence[Cut]) -> str:
    """One scan of a fact: aggregates by segment for every cut, that of a department by own members.

    Rows are grouped once, by everything at the same time; what the cuts leave out is summed over from there.
    """
    dims = dimensions(cuts)
    sets = dict.fromkeys(", ".join(("segment_no", *cut.own_columns)) for cut in cuts)
    keys = ("segment_no", *dims)
    values = (f"{atom.sql} AS v{i}" for i, atom in enumerate(wanted))
    finest = f"SELECT {', '.join((*keys, *values))} FROM {fact.name} GROUP BY {', '.join(keys)}"
    listed = ", ".join(
        ("segment_no", f"{_grouping(dims)} AS cut_mask", *dims, *(f"sum(v{i}) AS v{i}" for i in range(len(wanted))))
    )
    return f"SELECT {listed} FROM ({finest}) AS f GROUP BY GROUPING SETS ({', '.join(f'({one})' for one in sets)})"


def counted_sql(fact: Fact, sums: Sequence[Atom], keys: Sequence[Atom], cuts: Sequence[Cut]) -> str:
    """Everything that is counted, in one statement: cells, summed over the segments of every window, and distinct counts.

    Rows are those of a cut where ``cut_mask`` is ``mask`` of its own columns and ``part`` is ``part_no``; departments above
    stand in the place of their own. ``v0`` … are the sums, or the distinct counts, in their order.
    """
    dims = dimensions(cuts)
    told = []
    for tree in (False, True):
        some = [cut for cut in cuts if cut.through_tree is tree]
        if sums and some:
            told.append(_summed(fact, len(sums), max(len(sums), len(keys)), some, dims))
        if keys and some:
            told.append(_distinct(fact, keys, max(len(sums), len(keys)), some, dims))
    cells = f"WITH cells AS ({cells_sql(fact, sums, cuts)}) " if sums else ""
    return cells + " UNION ALL ".join(told)


def part_no(cut: Cut, *, distinct: bool) -> int:
    """The rows of ``counted_sql`` that tell of a cut: sums or distinct counts, own ones or through the tree."""
    return 2 * distinct + cut.through_tree


def _summed(fact: Fact, count_of_values: int, width: int, cuts: Sequence[Cut], dims: Sequence[str]) -> str:
    columns = _dimension_columns(cuts, dims)
    masks = dict.fromkeys(mask(cut.own_columns, dims) for cut in cuts)
    keys = ", ".join(("s.window_no", "c.cut_mask", *columns.values()))
    values = [f"CAST(sum(c.v{i}) AS DOUBLE)" for i in range(count_of_values)]
    return (
        f"SELECT {part_no(cuts[0], distinct=False)} AS part, s.window_no, c.cut_mask, {_listed(columns, values, width)} "
        f"FROM {_windowed('cells', fact, tree=cuts[0].through_tree)} "
        f"WHERE c.cut_mask IN ({', '.join(map(str, masks))}) GROUP BY {keys}"
    )


def _distinct(fact: Fact, wanted: Sequence[Atom], width: int, cuts: Sequence[Cut], dims: Sequence[str]) -> str:
    """Distinct counts of cuts, from the rows; all of the cuts go through the tree, or none."""
    columns, grouped = _dimension_columns(cuts, dims), dimensions(cuts)
    sets = dict.fromkeys(", ".join(("s.window_no", *(columns[dim] for dim in cut.own_columns))) for cut in cuts)
    bits = (
        f"{1 << (len(dims) - 1 - i)}" + (f" * GROUPING({columns[dim]})" if dim in grouped else "")
        for i, dim in enumerate(dims)
    )
    # What no cut here groups by is NULL, of its own type.
    shown = {
        dim: column if dim in grouped else f"max({column}) FILTER (WHERE FALSE)" for dim, column in columns.items()
    }
    source = f"(SELECT * FROM {fact.name} WHERE NOT {fact.solo})" if fact.solo else fact.name
    values = [f"CAST({atom.sql} AS DOUBLE)" for atom in wanted]
    return (
        f"SELECT {part_no(cuts[0], distinct=True)} AS part, s.window_no, {' + '.join(bits) or '0'} AS cut_mask, "
        f"{_listed(shown, values, width)} FROM {_windowed(source, fact, tree=cuts[0].through_tree)} "
        f"GROUP BY GROUPING SETS ({', '.join(f'({one})' for one in sets)})"
    )


def rows_sql(fact: Fact, dims: Sequence[str], columns: Sequence[str], wheres: Sequence[str]) -> str:
    """The rows of a fact: segment, dimensions, columns as ``v0`` …, conditions as ``w0`` …; those that meet none are left out."""
    values = [f"CAST({column} AS DOUBLE) AS v{i}" for i, column in enumerate(columns)]
    conditions = [f"coalesce({where or 'TRUE'}, FALSE)" for where in wheres]
    met = [f"{condition} AS w{i}" for i, condition in enumerate(conditions)]
    return f"SELECT {', '.join(('segment_no', *dims, *values, *met))} FROM {fact.name} WHERE {' OR '.join(conditions)}"


def _dimension_columns(cuts: Sequence[Cut], dims: Sequence[str]) -> dict[str, str]:
    """Where the dimensions stand; ``cuts`` go all through the tree, or none."""
    return {dim: "k.ancestor_id" if cuts[0].through_tree and dim == "department_id" else f"c.{dim}" for dim in dims}


def _grouping(dims: Sequence[str]) -> str:
    return f"GROUPING({', '.join(dims)})" if dims else "0"


def _listed(columns: Mapping[str, str], values: Sequence[str], width: int) -> str:
    """Dimensions by their names, values as ``v0`` …, as many as ``width``."""
    filled = (*values, *["CAST(NULL AS DOUBLE)"] * (width - len(values)))
    return ", ".join(
        (
            *(f"{column} AS {name}" for name, column in columns.items()),
            *(f"{value} AS v{i}" for i, value in enumerate(filled)),
        )
    )


def _windowed(source: str, fact: Fact, *, tree: bool = False) -> str:
    """Rows (or cells) once for every window, and for every department above if asked for."""
    climb = " JOIN kpi_closure AS k ON k.department_id = c.department_id" if tree else ""
    return f"{source} AS c JOIN kpi_spans AS s ON s.fact = '{fact.name}' AND s.segment_no = c.segment_no{climb}"
