"""Formulas, declared: what is counted, over which window and cut, and the one executor that computes it.

::

    snapshot = evaluate(store, "portal", now=clock_now, options=KpiOptions(sales_departments=frozenset({10})))
    snapshot.value(KPIS["revenue_won"], WindowId.MTD)                           # the company
    snapshot.value(KPIS["revenue_won"], WindowId.MTD, MANAGER, manager_id="101")
"""

from b24metrics.kpi.catalogue import KPIS
from b24metrics.kpi.dimensions import Person
from b24metrics.kpi.evaluate import evaluate
from b24metrics.kpi.explain import Record, explain
from b24metrics.kpi.model import (
    COMPANY,
    DEPARTMENT,
    MANAGER,
    Better,
    Family,
    Grain,
    Kpi,
    Part,
    Sample,
    Snapshot,
    Title,
    Unit,
    WindowId,
)
from b24metrics.kpi.options import KpiOptions

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
    "explain",
]
