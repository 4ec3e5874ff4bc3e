"""Where a funnel breaks (catalogue §8.2 ``funnel_break``; §13): two rules over the conversions of mature cohorts.

Laws: a rule that has too little to go by says nothing, never "no break"; a scope is one cut without its stages, in one
window; the stages compared are those of one pipeline, the tests corrected together are all of a scope.

Inputs of every cell (a stage in a scope): ``n`` deals that reached the stage, ``k`` of them that went on; ``n0`` and ``k0``
the same 180 days before; ``pipeline`` the pipeline's id.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from b24metrics.kpi.cells import Cells, FloatArray, IntArray
from b24metrics.kpi.stats import benjamini_hochberg, fewer_p_value, wilson

STRUCTURAL: Final = "structural"
DETERIORATION: Final = "deterioration"

#: Deals that a stage must have been reached by, to be judged; to be compared with; and in the baseline.
LEAST_JUDGED: Final = 30
LEAST_COMPARED: Final = 10
LEAST_BASELINE: Final = 100
#: How many other stages make a usual conversion.
LEAST_OTHERS: Final = 2
#: A conversion is broken below this share of the usual one; deteriorated at or below this share of its former self.
BROKEN: Final = 0.6
DETERIORATED: Final = 0.8
FALSE_DISCOVERIES: Final = 0.05


def flags(cells: Cells) -> FloatArray:
    """1 where the rule of ``cells.combination`` finds a break, 0 where it finds none."""
    return _structural(cells) if cells.combination["rule"] == STRUCTURAL else _deterioration(cells)


def lost_deals(cells: Cells) -> FloatArray:
    """How many deals more would have gone on at the usual conversion."""
    usual = _usual(cells)
    return np.where(np.isnan(usual), np.nan, np.maximum(0, cells["n"] * usual - cells["k"]))


def _structural(cells: Cells) -> FloatArray:
    usual = _usual(cells)
    _, upper = wilson(cells["k"], cells["n"])
    return np.where(np.isnan(usual), np.nan, (upper < BROKEN * usual).astype(np.float64))


def _usual(cells: Cells) -> FloatArray:
    """Median conversion of the other stages of the same pipeline; NaN for who cannot be judged."""
    n, k = cells["n"], cells["k"]
    compared = np.flatnonzero(n >= LEAST_COMPARED)
    scopes = _scopes(cells, compared, within_pipeline=True)
    rates = k[compared] / n[compared]
    order = np.lexsort((rates, scopes))
    rates, judged = rates[order], compared[order]  # who is judged is among those who are compared
    starts, sizes = _runs(scopes[order])
    begin, others = np.repeat(starts, sizes), np.repeat(sizes - 1, sizes)
    own = np.arange(len(rates)) - begin

    def nth(place: IntArray) -> FloatArray:
        """The conversion at a place among the others, from the lowest."""
        return np.asarray(rates[np.minimum(begin + place + (place >= own), len(rates) - 1)])

    known = (others >= LEAST_OTHERS) & (n[judged] >= LEAST_JUDGED)
    found = np.full(len(n), np.nan)
    found[judged] = np.where(known, (nth((others - 1) // 2) + nth(others // 2)) / 2, np.nan)
    return found


def _deterioration(cells: Cells) -> FloatArray:
    n, k, n0, k0 = (cells[name] for name in ("n", "k", "n0", "k0"))
    found = np.full(len(n), np.nan)
    testable = np.flatnonzero((n >= LEAST_JUDGED) & (n0 >= LEAST_BASELINE))
    scopes = _scopes(cells, testable, within_pipeline=False)
    order = np.argsort(scopes, kind="stable")
    for tested in np.split(testable[order], _runs(scopes[order])[0][1:]):
        p_values = [fewer_p_value(*map(int, (k[i], n[i], k0[i], n0[i]))) for i in tested]
        rejected = benjamini_hochberg(p_values, FALSE_DISCOVERIES)
        # Compared without division, so that exactly four fifths are four fifths.
        lower = k[tested] * n0[tested] <= DETERIORATED * k0[tested] * n[tested]
        found[tested] = (rejected & lower).astype(np.float64)
    return found


def _scopes(cells: Cells, positions: IntArray, *, within_pipeline: bool) -> IntArray:
    """A number for what each of these cells belongs to."""
    names = [name for name in cells.labels if name != "stage"]
    columns = [cells.windows[positions], *(cells.labels[name][positions] for name in names)]
    if within_pipeline:
        columns.append(cells["pipeline"][positions])
    scopes = np.zeros(len(positions), dtype=np.int64)
    for column in columns:
        values, codes = np.unique(column, return_inverse=True)
        scopes = scopes * max(len(values), 1) + codes
    return scopes


def _runs(scopes: IntArray) -> tuple[IntArray, IntArray]:
    """Where each scope begins, and how many cells it has; ``scopes`` ascend."""
    _, starts, sizes = np.unique(scopes, return_index=True, return_counts=True)
    return starts, sizes
