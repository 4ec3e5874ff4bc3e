"""The records behind a number.

Laws: the same facts as the number itself, for one window and one cut; what is listed reproduces the published value: the
count of the records, the sum, the mean or the quantile of their contributions, or the ratio of two such parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from b24metrics.kpi.facts import Fact
from b24metrics.kpi.ground import Ground
from b24metrics.kpi.links import link, owner_link
from b24metrics.kpi.making import standing
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
from b24metrics.kpi.options import KpiOptions, PurchaseBasis, QuoteSource
from b24metrics.kpi.windows import Window

if TYPE_CHECKING:
    from b24metrics.mirror.stores import Store

Listed: TypeAlias = Number | Total | Mean | Quantile | Computed


_PERSON: Final = "trim(coalesce({t}.name, '') || ' ' || coalesce({t}.last_name, ''))"


@dataclass(frozen=True, slots=True)
class Record:
    """One contributing record.

    Attributes:
        part: "" where the records make the value itself; else "numerator", "denominator", or the name of an input; parts
            of inputs are named with a dot (``won.numerator``).
        kind: what ``id`` names: deal, lead, phone_call. title: as the portal shows it; may be empty.
        contribution: 1 for a count, else the amount or duration; None where it has none (no rate for its currency).
        link: where the portal shows it; a call or activity at the CRM record it belongs to. "" where it does nowhere.
    """

    part: str
    kind: str
    id: int
    title: str
    contribution: Decimal | int | float | None
    link: str = ""


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
    """Records that make up one sample, by part and id; clients by what each contributes, the largest first.

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
        with standing(store, ground, wanted, windows):
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
    elif kind == "purchase":
        kind = "invoice" if ground.options.customers.basis is PurchaseBasis.INVOICES else "deal"
    conditions, params = cut.conditions()
    # What a measure says of rows names columns of the fact alone; beside the joins such names would be ambiguous.
    key = measure.distinct if isinstance(measure, Number) else None if isinstance(measure, Total) else measure.per
    kinds = f"({fact.kinds})" if fact.kinds else f"'{kind}'"
    inner = f"SELECT f.*, {kinds} AS kpi_kind, {_contribution(measure, cut.grain)} AS kpi_value"
    inner += f", {key} AS kpi_key FROM {fact.name} AS f" if key else f" FROM {fact.name} AS f"
    wheres = [
        f"({where})"
        for where in (measure.where, f"{key} IS NOT NULL" if isinstance(measure, Number) and key else "")
        if where
    ]
    inner += f" WHERE {' AND '.join(wheres)}" if wheres else ""
    source = f"({inner}) AS c JOIN kpi_spans AS s ON s.fact = '{fact.name}' AND s.segment_no = c.segment_no"
    if Axis.DEPARTMENT in cut.grain:
        source += " JOIN kpi_closure AS k ON k.department_id = c.department_id"
    number, value, grouped = "c.id", "c.kpi_value", ""
    if key:
        # Of rows that count once between them (legs of a call) the first one stands for all.
        together = "min" if isinstance(measure, Number | Computed) else "sum"
        number, value, grouped = "min(c.id)", f"{together}(c.kpi_value)", " GROUP BY c.kpi_key, c.kpi_kind"
    rows_sql = (
        f"SELECT {number} AS id, c.kpi_kind AS kind, {value} AS contribution FROM {source} "
        f"WHERE {' AND '.join(('s.window_no = ?', *conditions))}{grouped}"
    )
    asked = [window, *params]
    if kind == "customer":
        yield from _customers(ground, part, rows_sql, asked)
        return
    for record, of_kind, contribution, said, owner_type, owner in _shown(
        ground, rows_sql, asked, _MIXED if fact.kinds else (kind,)
    ):
        if contribution is not None or isinstance(measure, Mean):
            place = (
                owner_link(ground.host, owner_type, owner) if of_kind in _OWNED else link(ground.host, of_kind, record)
            )
            yield Record(part, of_kind, record, said or "", contribution, place)


#: Kinds with a name: their table, and the expression of the name.
_NAMED: Mapping[str, tuple[str, str]] = {
    "deal": ("deals", "{t}.title"),
    "lead": ("leads", "{t}.title"),
    "invoice": ("invoices", "{t}.title"),
    "quote": ("quotes", "{t}.title"),
    "company": ("companies", "{t}.title"),
    "contact": ("contacts", _PERSON),
    "user": ("users", _PERSON),
    "manager": ("users", _PERSON),
}
#: Kinds that belong to another record.
_OWNED: Final = frozenset({"activity", "phone_call"})
#: Kinds that rows of one fact may have side by side (``Fact.kinds``).
_MIXED: Final = ("deal", "lead", "contact", "phone_call", "activity")


def _shown(
    ground: Ground, rows_sql: str, params: Sequence[object], kinds: Sequence[str]
) -> Iterator[tuple[int, str, Decimal | int | float | None, str | None, int | None, int | None]]:
    """Rows with what the portal calls them, and with the CRM record that calls and activities belong to."""
    joins, titles, types, owners = [], [], [], []
    for kind in kinds:
        on = f"x.kind = '{kind}' AND {{t}}.portal = ? AND {{t}}.id = x.id".replace("{t}", f"t_{kind}")
        if kind in _NAMED:
            table, title = _NAMED[kind]
            joins.append(f"LEFT JOIN {table} AS t_{kind} ON {on}")
            titles.append(title.format(t=f"t_{kind}"))
        elif kind == "activity":
            joins.append(f"LEFT JOIN activities AS t_{kind} ON {on}")
            types.append(f"t_{kind}.owner_type_id")
            owners.append(f"t_{kind}.owner_id")
        elif kind == "phone_call":
            joins.append(
                f"LEFT JOIN phone_calls AS t_{kind} ON {on} "
                f"LEFT JOIN activities AS a ON a.portal = t_{kind}.portal AND a.id = t_{kind}.crm_activity_id"
            )
            has = f"coalesce(t_{kind}.crm_entity_id, 0) > 0"
            types.append(f"CASE WHEN {has} THEN t_{kind}.crm_entity_type_id ELSE a.owner_type_id END")
            owners.append(f"CASE WHEN {has} THEN t_{kind}.crm_entity_id ELSE a.owner_id END")
    places = [ground.portal] * len(joins)
    columns = ", ".join(
        f"coalesce({', '.join((*some, 'NULL'))})" if some else "NULL" for some in (titles, types, owners)
    )
    rows = ground.store.rows(
        f"SELECT x.id, x.kind, x.contribution, {columns} FROM ({rows_sql}) AS x {' '.join(joins)} "
        "ORDER BY x.id, x.kind, x.contribution",
        [*params, *places],
    )
    return iter(rows)


def _customers(ground: Ground, part: str, rows_sql: str, params: Sequence[object]) -> Iterator[Record]:
    """Clients by what each contributes, the largest first: companies and contacts, as ``facts.customers`` numbers them."""
    rows = ground.store.rows(
        "SELECT x.id, coalesce(o.title, trim(coalesce(p.name, '') || ' ' || coalesce(p.last_name, ''))), x.contribution "
        f"FROM ({rows_sql}) AS x "
        "LEFT JOIN companies AS o ON o.portal = ? AND 2 * o.id = x.id "
        "LEFT JOIN contacts AS p ON p.portal = ? AND 2 * p.id + 1 = x.id "
        "WHERE x.contribution IS NOT NULL ORDER BY x.contribution DESC, x.id",
        [*params, ground.portal, ground.portal],
    )
    for record, said, contribution in rows:
        kind, number = "contact" if record % 2 else "company", record // 2
        yield Record(part, kind, number, said or "", contribution, link(ground.host, kind, number))


def _contribution(measure: Listed, grain: Grain) -> str:
    match measure:
        case Number():
            return "1"
        case Total():
            return measure.native if grain == CURRENCY and measure.native else measure.column
        case Computed():
            return measure.columns[0]
        case _:
            return measure.column
