"""Formulas, declared: what is counted, over which window and cut, and the one executor that computes it.

::

    snapshot = evaluate(store, options=KpiOptions(sales_departments=frozenset({10})))
    snapshot.value(KPIS["revenue_won"], WindowId.MTD)                           # the company
    snapshot.value(KPIS["revenue_won"], WindowId.MTD, MANAGER, manager_id="101")
    evaluate(store, ["revenue_won"], ["mtd"], ["M"], now=last_friday).to_pandas()   # as of any instant
    evaluate_entities(deals, ["revenue_won"])                                     # no file at all
"""

from b24metrics.kpi.catalogue import KPIS
from b24metrics.kpi.dimensions import Person
from b24metrics.kpi.explain import Record, explain
from b24metrics.kpi.model import COMPANY, DEPARTMENT, MANAGER, Better, Family, Grain, Kpi, Part, Title, Unit, WindowId
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.results import Sample, Snapshot
from b24metrics.kpi.surface import evaluate, evaluate_entities

__all__ = [
    "COMPANY",
    "DEPARTMENT",
    "KPIS",
    "MANAGER",
    "Better",
    "Family",
    "Grain",
    "Kpi",
    "KpiOptions",
    "Part",
    "Person",
    "Record",
    "Sample",
    "Snapshot",
    "Title",
    "Unit",
    "WindowId",
    "evaluate",
    "evaluate_entities",
    "explain",
]
