"""The records behind a number.

Laws: the same facts as the number itself, for one window and one cut; what is listed reproduces the published value: the
count of the records, the sum, the mean or the quantile of their contributions, or the ratio of two such parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from b24metrics.kpi.facts import Fact
from b24metrics.kpi.ground import Ground
from b24metrics.kpi.model import (
    COMPANY,
    CURRENCY,
    NONE,
    Axis,
    Computed,
    Derived,
    Grain,
    Kpi,
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
from b24metrics.kpi.options import KpiOptions, QuoteSource
from b24metrics.kpi.windows import Window

if TYPE_CHECKING:
    from b24metrics.mirror.stores import Store

Listed: TypeAlias = Number | Total | Mean | Quantile | Computed


@dataclass(frozen=True, slots=True)
class Record:
    """One contributing record.

    Attributes:
        part: "" where the records make the value itself; else "numerator", "denominator", or the name of an input; parts
            of inputs are named with a dot (``won.numerator``).
        kind: what ``id`` names: deal, lead, phone_call. title: as the portal shows it; may be empty.
        contribution: 1 for a count, else the amount or duration; None where it has none (no rate for its currency).
    """

    part: str
    kind: str
    id: int
    title: str
    contribution: Decimal | int | float | None


def explain(
    store: Store,
    portal: str,
    kpi: Kpi,
    window: WindowId,
    grain: Grain = COMPANY,
    labels: Mapping[str, str] | None = None,
    *,
    now: datetime,
    options: KpiOptions | None = None,
) -> tuple[Record, ...]:
    """Records that make up one sample, by part and id.

    Args:
        store: the mirror; it must not be inside a transaction.
        portal: name of the portal in the mirror.
        kpi: what to explain.
        window: one of its windows.
        grain: one of its cuts.
        labels: those of the sample; labels that do not narrow the cut are ignored.
        now: the instant of the snapshot.
        options: the company's decisions.

    Raises:
        LookupError: the KPI has no such window or cut, or a label of the cut is missing.
    """
    if window not in kpi.windows or grain not in kpi.evaluated_grains:
        raise LookupError(f"{kpi.id} has no window {window} at grain {grain}")
    with store.transaction():
        ground = Ground(store, portal, now, options or KpiOptions())
        cut = _Cut(grain, kpi.fact_labels, labels or {})
        windows: list[Window] = []
        wanted: dict[Fact, list[Window]] = {}
        listed = list(_listed(kpi.measure))
        for _, measure, over, steps in listed:
            rules, meant = ground.rules, over or window
            made = rules.previous(meant, now, steps) if steps else rules.window(meant, now)
            if made not in windows:
                windows.append(made)
            if made not in wanted.setdefault(measure.fact, []):
                wanted[measure.fact].append(made)
        found: list[Record] = []
        with ground.facts(wanted, windows):
            for part, measure, over, steps in listed:
                number = next(i for i, one in enumerate(windows) if one.steps == steps and one.id == (over or window))
                found += _records(ground, part, measure, number, cut)
        return tuple(found)


def _listed(
    measure: Measure, part: str = "", window: WindowId | None = None, steps: int = 0
) -> Iterator[tuple[str, Listed, WindowId | None, int]]:
    """The parts of a measure that have records, with the fixed window and how many windows back they look."""
    match measure:
        case Ratio():
            yield from _listed(measure.numerator, _inside(part, "numerator"), window, steps)
            yield from _listed(measure.denominator, _inside(part, "denominator"), window, steps)
        case Previous():
            yield from _listed(measure.of, part, window, steps + measure.steps)
        case Over():
            yield from _listed(measure.of, part, measure.window, steps)
        case Derived():
            for name, one in measure.inputs.items():
                yield from _listed(one, _inside(part, name), window, steps)
        case Plan():
            return
        case _:
            yield part, measure, window, steps


def _inside(part: str, name: str) -> str:
    return f"{part}.{name}" if part else name


@dataclass(frozen=True, slots=True)
class _Cut:
    grain: Grain
    names: tuple[str, ...]
    labels: Mapping[str, str]

    def conditions(self) -> tuple[list[str], list[str]]:
        """What narrows the fact to the cut, with the values to bind."""
        wanted: dict[str, str] = {}
        for axis in self.grain.axes:
            match axis:
                case Axis.MANAGER:
                    wanted["c.manager_id"] = self.labels["manager_id"]
                case Axis.OWN:
                    wanted["c.department_id"] = self.labels["department_id"]
                case Axis.DEPARTMENT:
                    wanted["k.ancestor_id"] = self.labels["department_id"]
                case Axis.PIPELINE:
                    wanted["c.pipeline_id"] = self.labels["pipeline_id"]
                case Axis.STAGE:
                    wanted["c.stage_id"] = self.labels["stage_id"]
                case Axis.SOURCE:
                    wanted["c.source_id"] = self.labels["source_id"]
                case Axis.CURRENCY:
                    wanted["c.currency"] = self.labels["currency"]
                case Axis.LINE:
                    wanted["c.line"] = self.labels["line"]
        wanted |= {f"c.{name}": self.labels[name] for name in self.names}
        return [f"coalesce(CAST({column} AS VARCHAR), '{NONE}') = ?" for column in wanted], list(wanted.values())


def _records(ground: Ground, part: str, measure: Listed, window: int, cut: _Cut) -> Iterator[Record]:
    fact = measure.fact
    kind = fact.kind
    if kind == "request":
        kind = "lead" if ground.classic else "deal"
    elif kind == "proposal":
        kind = "deal" if ground.options.quote_source is QuoteSource.STAGE else "quote"
    conditions, cut_params = cut.conditions()
    conditions = ["s.window_no = ?", *conditions, *([f"({measure.where})"] if measure.where else [])]
    params: list[object] = [window, *cut_params]
    source = f"{fact.name} AS c JOIN kpi_spans AS s ON s.fact = '{fact.name}' AND s.segment_no = c.segment_no"
    if Axis.DEPARTMENT in cut.grain:
        source += " JOIN kpi_closure AS k ON k.department_id = c.department_id"
    # Of rows that count once between them (legs of a call) the first one stands for all.
    key = (
        measure.distinct
        if isinstance(measure, Number)
        else None
        if isinstance(measure, Total | Computed)
        else measure.per
    )
    number, value, grouped = "c.id", _contribution(measure, cut.grain), ""
    if key:
        number, value, grouped = "min(c.id)", "1" if value == "1" else f"sum({value})", f" GROUP BY c.{key}"
    rows_sql = f"SELECT {number} AS id, {value} AS contribution FROM {source} WHERE {' AND '.join(conditions)}{grouped}"
    title, titles = "''", ""
    if kind in {"deal", "lead", "invoice", "quote"}:
        title, titles = "t.title", f" LEFT JOIN {kind}s AS t ON t.portal = ? AND t.id = x.id"
        params.append(ground.portal)
    rows = ground.store.rows(
        f"SELECT x.id, {title}, x.contribution FROM ({rows_sql}) AS x{titles} ORDER BY x.id, x.contribution", params
    )
    for record, said, contribution in rows:
        if contribution is not None or isinstance(measure, Mean):
            yield Record(part, kind, record, said or "", contribution)


def _contribution(measure: Listed, grain: Grain) -> str:
    match measure:
        case Number():
            return "1"
        case Total():
            return f"c.{measure.native if grain == CURRENCY and measure.native else measure.column}"
        case Computed():
            return f"c.{measure.columns[0]}"
        case _:
            return f"c.{measure.column}"
