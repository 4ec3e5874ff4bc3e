"""How managers are compared and paid: load, rank, scorecard, bonus. Source: catalogue §9; §19 "Efficiency".

Laws: one number per cell, NaN for nothing; people are compared inside one window; money is rounded once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from b24metrics.kpi.arithmetic import divided
from b24metrics.kpi.cells import Cells, FloatArray
from b24metrics.kpi.model import NONE
from b24metrics.kpi.options import BonusBasis, BonusOptions, Criterion
from b24metrics.kpi.stats import wilson

#: People that a department must have before one of them is compared with the rest.
LEAST_MEMBERS: Final = 3
#: Criteria that must be known before there is a score.
LEAST_CRITERIA: Final = 5

_CENT: Final = Decimal("0.01")
#: From which share of the norm how many points are earned.
_ATTAINED: Final = ((1.20, 5), (1.00, 4), (0.80, 3), (0.60, 2))
#: Within which bounds around the norm how many points are earned, both included.
_BANDS: Final = ((0.80, 1.25, 5), (0.65, 1.50, 4), (0.50, 2.00, 3), (0.35, 3.00, 2))
#: Quotients of rounded numbers may miss a bound by a hair.
_HAIR: Final = 1e-12

#: Criteria that count things: of a department, by the number of its people.
COUNTED: Final = (Criterion.SUCCESSFUL_CALLS, Criterion.REPEAT_PURCHASES, Criterion.POSITIVE_REVIEWS)


# ---------------------------------------------------------------- load and rank


def load_index(cells: Cells) -> FloatArray:
    """``own`` load by the median of the active people of the same primary department."""
    own = cells["own"]
    found = np.full(own.shape, np.nan)
    for peers in _peers(cells, by_department=True):
        members = peers[~np.isnan(own[peers])]
        median = float(np.median(own[members])) if len(members) >= LEAST_MEMBERS else 0.0
        if median > 0:
            found[members] = own[members] / median
    return found


def load_of_level(cells: Cells) -> FloatArray:
    """Of a person the load itself; of a department, by ``stat``, its median or largest one."""
    level = {"": "M", "median": "D", "max": "D"}[cells.combination["stat"]]
    chosen = cells["max" if cells.combination["stat"] == "max" else "median"]
    return chosen if str(cells.grain) == level else np.full(chosen.shape, np.nan)


def rank(cells: Cells, falling: frozenset[str], proportions: frozenset[str]) -> FloatArray:
    """Competition ranking ("1224") of those who ``worked``, within their primary department or the company.

    Of the ``falling`` KPIs less is better. ``proportions`` are shares of a count: they are ranked by that bound of their
    Wilson interval which flatters less.
    """
    by = cells.combination["by"]
    found = np.full(cells["worked"].shape, np.nan)
    if by not in cells.options.rank_by:
        return found
    merit = cells[by]
    if by in proportions:
        parts = cells.inputs[by]
        assert parts.numerator is not None  # a ratio has its parts
        assert parts.denominator is not None
        low, high = wilson(parts.numerator, np.where(parts.denominator > 0, parts.denominator, np.nan))
        merit = high if by in falling else low
    merit = -merit if by in falling else merit
    taking_part = (cells["worked"] > 0) & ~np.isnan(merit)
    for peers in _peers(cells, by_department=cells.combination["within"] == "D"):
        ranked = peers[taking_part[peers]]
        better = np.sort(-merit[ranked])
        found[ranked] = 1 + np.searchsorted(better, -merit[ranked], side="left")
    return found


def _peers(cells: Cells, *, by_department: bool) -> Iterator[NDArray[np.intp]]:
    """Positions of cells of one window, and of one department: people of the sales scope alone.

    Somebody outside it, who is in no department here, may stand among the cells because of another KPI's records.
    """
    departments = cells.labels.get("department_id", np.array([], dtype=np.str_))  # no cells, no labels
    for window in range(len(cells.window_ids)):
        inside = np.flatnonzero((cells.windows == window) & (departments != NONE))
        if not by_department:
            yield inside
            continue
        for department in np.unique(departments[inside]):
            yield inside[departments[inside] == department]


# ---------------------------------------------------------------- scorecard


def scorecard(cells: Cells) -> FloatArray:
    """Weighted mean of the points of all criteria that are known, five at least."""
    points = {criterion: _points(cells, criterion) for criterion in Criterion}
    weights = {criterion: cells.options.scorecard.weights.get(criterion, 1.0) for criterion in Criterion}
    shape = cells["worked"].shape
    total, weight, known = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for criterion, found in points.items():
        if weights[criterion] > 0:
            there = ~np.isnan(found)
            total += np.where(there, found, 0.0) * weights[criterion]
            weight += np.where(there, weights[criterion], 0.0)
            known += there
    return np.where(known >= LEAST_CRITERIA, divided(total, weight), np.nan)


def _points(cells: Cells, criterion: Criterion) -> FloatArray:
    """Given by hand, else computed."""
    by_hand = cells[f"by_hand_{criterion}"]
    match criterion:
        case Criterion.COMMUNICATION:
            computed = 1 + 4 * cells[Criterion.COMMUNICATION]
        case Criterion.STANDARDS:
            computed = 1 + 4 * (1 - _mean([cells[name] for name in cells.values if name.startswith("share_")]))
        case Criterion.TALK_TIME:
            computed = banded(divided(cells[criterion], _norms(cells, criterion)))
        case _:
            computed = attained(divided(_per_head(cells, criterion), _norms(cells, criterion)))
    return np.where(np.isnan(by_hand), computed, by_hand)


def _per_head(cells: Cells, criterion: Criterion) -> FloatArray:
    """Calls by date that was worked on, counts by person, everything else as it is."""
    value = cells[criterion]
    if criterion is Criterion.CALLS:
        return divided(value, cells["worked"])
    return divided(value, cells["people"]) if criterion in COUNTED else value


def _norms(cells: Cells, criterion: Criterion) -> FloatArray:
    """What is expected in the department of each cell; NaN where nothing is."""
    labels = cells.labels.get("department_id", np.array([], dtype=np.str_))  # no cells, no labels
    departments, places = np.unique(labels, return_inverse=True)
    card = cells.options.scorecard
    norms = [card.norm(criterion, int(one)) if one.lstrip("-").isdecimal() else None for one in departments.tolist()]
    return np.array([np.nan if norm is None else norm for norm in norms], dtype=np.float64)[places]


def attained(share: FloatArray) -> FloatArray:
    """Points for a share of the norm: the more the better."""
    conditions = [share >= least - _HAIR for least, _ in _ATTAINED]
    points = np.select(conditions, [float(earned) for _, earned in _ATTAINED], 1.0)
    return np.where(np.isnan(share), np.nan, points)


def banded(share: FloatArray) -> FloatArray:
    """Points for a share of the norm: the nearer the better."""
    conditions = [(share >= low - _HAIR) & (share <= high + _HAIR) for low, high, _ in _BANDS]
    points = np.select(conditions, [float(earned) for _, _, earned in _BANDS], 1.0)
    return np.where(np.isnan(share), np.nan, points)


def _mean(arrays: list[FloatArray]) -> FloatArray:
    """Of those that are there."""
    stacked = np.array(arrays)
    there = ~np.isnan(stacked)
    return divided(np.where(there, stacked, 0.0).sum(axis=0), there.sum(axis=0).astype(np.float64))


# ---------------------------------------------------------------- bonus

SCHEMES: Final = ("percent_of_sales", "target_premium", "new_customer", "best_result", "correction")


def bonus(cells: Cells) -> FloatArray:
    """Bonus of a closed month by one scheme; nothing where the scheme is off or the month was not closed."""
    rules, scheme = cells.options.bonus, cells.combination["scheme"]
    if scheme == "best_result":
        return _prizes(cells, rules)
    if scheme == "correction":
        return _rounded(_corrections(cells, rules))
    closed = ~np.isnan(cells["frozen_revenue_won"])
    amounts: list[Decimal | None] = []
    for i in range(len(closed)):
        if not closed[i]:
            amounts.append(None)
        elif scheme == "percent_of_sales":
            sold = cells["paid" if rules.basis is BonusBasis.PAID else "frozen_revenue_won"][i]
            amounts.append(percent_of_sales(sold, cells["plan"][i], rules))
        elif scheme == "target_premium":
            amounts.append(_premium(cells["frozen_plan_attainment_ratio"][i], rules))
        else:
            amounts.append(
                _exact(cells["new_customers"][i]) * _exact(rules.new_customer) if rules.new_customer else None
            )
    return _rounded(amounts)


def percent_of_sales(sold: float, plan: float, rules: BonusOptions) -> Decimal | None:
    """Every rate times the part of sales inside its tier; nothing without tiers, or where a tier needs a plan and there is none."""
    if not rules.tiers or np.isnan(sold):
        return None
    amount, reached = Decimal(0), Decimal(0)
    for tier in rules.tiers:
        end = _exact(sold)
        if tier.up_to is not None:
            end = min(end, _exact(tier.up_to))
        if tier.up_to_plan is not None:
            if np.isnan(plan):
                return None
            end = min(end, _exact(tier.up_to_plan) * _exact(plan))
        if end > reached:
            amount += (end - reached) * _exact(tier.rate)
            reached = end
    return amount


def _premium(attainment: float, rules: BonusOptions) -> Decimal | None:
    if not rules.premium or np.isnan(attainment):
        return None
    return _exact(rules.premium) if attainment >= rules.premium_from - _HAIR else Decimal(0)


def _prizes(cells: Cells, rules: BonusOptions) -> FloatArray:
    """The prize for the best, shared equally by those who tie; nobody above the bound, no prize."""
    name = rules.prize_by
    value = cells[f"frozen_{name}"] if f"frozen_{name}" in cells.values else cells[name]
    found = np.full(value.shape, np.nan)
    if not rules.prize:
        return found
    for peers in _peers(cells, by_department=False):
        taking_part = peers[~np.isnan(value[peers]) & ~np.isnan(cells["frozen_revenue_won"][peers])]
        found[taking_part] = 0.0
        above = taking_part[value[taking_part] > rules.prize_above]
        if above.size:
            best = above[value[above] == value[above].max()]
            found[best] = _rounded([_exact(rules.prize) / best.size])[0]
    return found


def _corrections(cells: Cells, rules: BonusOptions) -> list[Decimal | None]:
    """What the month before was paid too little (or, below 0, too much), because its deals were changed after it was closed."""

    def difference(i: int) -> Decimal | None:
        frozen, live, plan = (float(cells[name][i]) for name in ("frozen_before", "live_before", "plan_before"))
        if np.isnan(frozen):
            return None
        pairs = []
        if rules.basis is BonusBasis.WON:
            pairs.append((percent_of_sales(live, plan, rules), percent_of_sales(frozen, plan, rules)))
        if not np.isnan(plan):
            pairs.append((_premium(live / plan, rules), _premium(frozen / plan, rules)))
        known = [now - then for now, then in pairs if now is not None and then is not None]
        return sum(known, Decimal(0)) if known else None

    return [difference(i) for i in range(len(cells["frozen_before"]))]


def _exact(number: float) -> Decimal:
    """As it is written, not as binary keeps it."""
    return Decimal(repr(float(number)))


def _rounded(amounts: list[Decimal | None]) -> FloatArray:
    """To kopecks, halves up."""
    return np.array(
        [np.nan if amount is None else float(amount.quantize(_CENT, ROUND_HALF_UP)) for amount in amounts],
        dtype=np.float64,
    )


def payback(cells: Cells) -> FloatArray:
    """``revenue`` that is left after the cost of goods, by ``costs``."""
    return divided(cells["revenue"] * cells.options.margin, cells["costs"])
