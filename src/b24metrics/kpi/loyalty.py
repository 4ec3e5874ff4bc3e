"""Who stays, who leaves, and what that is worth: arithmetic of chapter F. Source: catalogue §10; §19 "Customers".

Laws: one number per cell, NaN for nothing; sets of clients are told by their sizes: those active before, after, and either.
"""

from __future__ import annotations

from dataclasses import replace
from math import isinf

import numpy as np

from b24metrics.kpi.arithmetic import divided
from b24metrics.kpi.cells import Cells, FloatArray, Groups, Values
from b24metrics.kpi.model import NONE


def retained(cells: Cells) -> Values:
    """(|E| - |N|) / |S| with the clients N of E who were not in S: |S ∩ E| / |S|."""
    before = cells["before"]
    new = cells["either"] - before
    stayed = cells["after"] - new
    return Values(divided(stayed, before), n=before, numerator=stayed, denominator=before)


def churned(cells: Cells) -> Values:
    """1 - retention, on the same sets."""
    before = cells["before"]
    left = cells["either"] - cells["after"]
    return Values(divided(left, before), n=before, numerator=left, denominator=before)


def came_again(groups: Groups) -> Values:
    """Clients with two purchases or more by those with one or more; rows ascend by ``customer_no``."""
    first = groups.firsts("customer_no")
    second = ~first
    second[1:] &= first[:-1]
    clients, again = (np.add.reduceat(flags.astype(np.float64), groups.starts[:-1]) for flags in (first, second))
    return Values(divided(again, clients), n=clients, numerator=again, denominator=clients)


def segment_sizes(cells: Cells) -> Values:
    """Clients of each segment; those who are too few for segments have none."""
    customers = cells["customers"]
    return Values(np.where(cells.labels["segment"] == NONE, np.nan, customers), n=customers)


# ---------------------------------------------------------------- value


def earned_a_year(cells: Cells) -> FloatArray:
    """Average check × purchases a year × margin: what one client brings, over 365 days."""
    return divided(cells["revenue"], cells["customers"]) * cells.options.margin


def simple_value(cells: Cells) -> Values:
    """What a client brings a year, by how long one stays: as configured, else 1 / churn, up to the cap."""
    customers = cells.options.customers
    if customers.lifetime_years is not None:
        years = np.full(cells["customers"].shape, customers.lifetime_years)
    else:
        churn = churned(cells).value
        with np.errstate(divide="ignore"):
            years = np.minimum(1 / churn, customers.lifetime_cap_years)
    return Values(earned_a_year(cells) * years, n=cells["customers"])


def discounted_value(cells: Cells) -> Values:
    """What a client brings a year, over the horizon, by retention and discount; nothing unless all three are set."""
    customers = cells.options.customers
    retention, discount, years = customers.retention, customers.discount, customers.horizon_years
    if retention is None or discount is None or years is None:
        nothing = np.full(cells["customers"].shape, np.nan)
        return Values(nothing, denominator=nothing)
    return Values(earned_a_year(cells) * annuity(retention, discount, years), n=cells["customers"])


def annuity(retention: float, discount: float, years: float) -> float:
    """Σ (r / (1 + d))^t over t = 0 … years - 1, or without end."""
    share = retention / (1 + discount)
    if isinf(years):
        return 1 / (1 - share)
    return float(sum(share**t for t in range(int(years))))


def mean_and_sum(groups: Groups) -> Values:
    """Mean of ``predicted``; the sum stands above it."""
    total = np.add.reduceat(groups.columns["predicted"], groups.starts[:-1])
    count = np.diff(groups.starts).astype(np.float64)
    return Values(total / count, n=count, numerator=total, denominator=count)


def where_fitted(cells: Cells) -> Values:
    """The ``predicted`` values; no sample without any."""
    found = cells.inputs["predicted"]
    return replace(found, denominator=np.where(np.isnan(found.value), np.nan, 1.0))


def any_fitted(groups: Groups) -> FloatArray:
    """1 where there is a model."""
    return np.asarray(np.maximum.reduceat(groups.columns["fitted"], groups.starts[:-1]))


def model_flag(cells: Cells) -> FloatArray:
    """1 or 0; without a client, too."""
    return np.nan_to_num(cells["fitted"])


def at_risk(cells: Cells) -> FloatArray:
    """Clients at risk; nothing where there is no model, which is one for the company."""
    return cells["at_risk"] if np.any(cells["fitted"] > 0) else np.full(cells["at_risk"].shape, np.nan)
