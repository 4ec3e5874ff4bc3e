"""What a client is worth: scores (RFM), and predicted values with the model behind them (catalogue §10).

Laws: arrays in, arrays out; one model for the company, in days; a model that cannot be trusted says nothing. Fitting takes
seconds and so does asking the model about every history, so both are remembered: a model for a week, as long as the
histories that it was made of are much the same; what it expects of a history for a day.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from b24metrics.kpi.model import NONE
from b24metrics.kpi.options import YEARLY_DISCOUNT, KpiOptions
from b24metrics.kpi.refine import FloatArray, IntArray, TextArray
from b24metrics.kpi.stats import quintile_scores
from b24metrics.kpi.windows import YEARS
from b24metrics.worktime import Calendars
from b24metrics.worktime.zones import zone_table

if TYPE_CHECKING:
    from b24metrics.kpi.lifetime import Customers, PurchaseModel, SpendModel

log = logging.getLogger(__name__)

_DAY: Final = 86_400
#: Clients from which on segments tell something.
LEAST_SEGMENTED: Final = 25
#: What a model needs: clients, clients who came again, days of history, and amounts that do not depend on how often one buys.
LEAST_CUSTOMERS: Final = 200
LEAST_REPEATERS: Final = 50
LEAST_DAYS: Final = 26 * 7
MOST_CORRELATED: Final = 0.3
#: Below this chance of being alive a valuable client is at risk.
_DOUBTFUL: Final = 0.5
_TOP_SCORE: Final = 5

# ---------------------------------------------------------------- RFM


def rated(columns: Mapping[str, NDArray[Any]], _calendars: Calendars, _options: KpiOptions) -> Mapping[str, Any]:
    """Scores and segments of the clients of each window."""
    count = len(columns["window_no"])
    scores = np.zeros((3, count), np.int64)
    segment = np.full(count, NONE, dtype="<U16")
    for window in np.unique(columns["window_no"]).tolist():
        mine = columns["window_no"] == window
        found = [
            quintile_scores(merit[mine]) for merit in (-columns["recency_days"], columns["occasions"], columns["money"])
        ]
        scores[:, mine] = found
        if int(mine.sum()) >= LEAST_SEGMENTED:
            segment[mine] = segments(found[0], found[1])
    return dict(zip(("recency_score", "frequency_score", "monetary_score"), scores, strict=True)) | {"segment": segment}


def segments(recency: IntArray, frequency: IntArray) -> TextArray:
    """Names of segments by scores; the first that fits."""
    rules = (
        ("champions", (recency >= 4) & (frequency >= 4)),
        ("loyal", frequency >= 4),
        ("new", (recency >= 4) & (frequency == 1)),
        ("at_risk", (recency <= 2) & (frequency >= 3)),
        ("lost", (recency == 1) & (frequency <= 2)),
    )
    return np.select([fits for _, fits in rules], [name for name, _ in rules], "other").astype(np.str_)


# ---------------------------------------------------------------- the model


@dataclass
class Fitted:
    """What one fit said, and of which histories.

    Attributes:
        end: last day of the observation. like: what tells histories apart, see ``_likeness``.
        models: None where the data do not tell them.
    """

    end: int
    like: FloatArray
    models: tuple[PurchaseModel, SpendModel] | None
    _day: tuple[int, int, float] = (0, 0, 0.0)
    _keys: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    _occasions: FloatArray = field(default_factory=lambda: np.empty(0))

    def holds(self, end: int, like: FloatArray) -> bool:
        """Whether histories are still those that this was made of, or nearly so."""
        return abs(end - self.end) < 7 and bool(np.all(np.abs(like - self.like) <= self.like / 200))

    def occasions(self, histories: Customers, end: int, months: int, monthly_discount: float) -> FloatArray:
        """Discounted number of purchase occasions that every client has ahead."""
        assert self.models is not None  # asked by the caller
        packed = (
            (histories.repeats.astype(np.int64) << 40)
            | (histories.recency.astype(np.int64) << 20)
            | histories.age.astype(np.int64)
        )
        keys, which = np.unique(packed, return_inverse=True)
        if self._day != (end, months, monthly_discount):
            self._keys, self._occasions = np.empty(0, np.int64), np.empty(0)
            self._day = (end, months, monthly_discount)
        fresh = keys[~np.isin(keys, self._keys, assume_unique=True)]
        if len(fresh):
            from b24metrics.kpi.lifetime import discounted_occasions  # noqa: PLC0415 - needs scipy, see _lifetime

            low = (1 << 20) - 1
            found = discounted_occasions(
                self.models[0], fresh >> 40, (fresh >> 20) & low, fresh & low, months=months,
                monthly_discount=monthly_discount,
            )  # fmt: skip
            both = np.concatenate((self._keys, fresh))
            order = np.argsort(both)
            self._keys, self._occasions = both[order], np.concatenate((self._occasions, found))[order]
        return np.asarray(self._occasions[np.searchsorted(self._keys, keys)][which.ravel()])


#: The latest fits: several portals, several instants.
_REMEMBERED: deque[Fitted] = deque(maxlen=8)


@cache
def _lifetime() -> ModuleType | None:
    """The models, where scipy is installed; that it is not is said once."""
    try:
        from b24metrics.kpi import lifetime  # noqa: PLC0415 - scipy is an extra
    except ImportError:
        log.warning("Values of clients are not predicted: scipy is missing. Install b24metrics[clv].")
        return None
    return lifetime


def trusted(histories: Customers) -> bool:
    """Whether histories are enough for a model, and amounts do not depend on how often one buys."""
    again = histories.repeats > 0
    if len(histories) < LEAST_CUSTOMERS or again.sum() < LEAST_REPEATERS or histories.age.max() < LEAST_DAYS:
        return False
    times, spend = histories.repeats[again], histories.spend[again]
    if not (np.ptp(times) > 0 and np.ptp(spend) > 0):
        return True  # what does not vary depends on nothing
    return bool(abs(np.corrcoef(times, spend)[0, 1]) < MOST_CORRELATED)


def _likeness(histories: Customers) -> FloatArray:
    """Clients; sums of their repeat purchases, the money of these and the days until the last; how all this is spread.

    Histories of which these are much the same have much the same model, whoever's they are.
    """
    times, days, spend = histories.repeats.astype(np.float64), histories.recency.astype(np.float64), histories.spend
    sums = [times, times * spend, days, times**2, times * spend**2, days**2, times * days]
    return np.array([len(histories), *(each.sum() for each in sums)])


def fitted(histories: Customers, end: int) -> Fitted | None:
    """The model of these histories, remembered or made; None where there can be none."""
    lifetime = _lifetime()
    if lifetime is None or not trusted(histories):
        return None
    like = _likeness(histories)
    for known in _REMEMBERED:
        if known.holds(end, like):
            return known if known.models else None
    try:
        # First what takes a fifth of the time: without it the other is for nothing.
        spending = lifetime.fit_spending(histories.repeats, histories.spend)
        models = lifetime.fit_purchases(histories.repeats, histories.recency, histories.age), spending
    except lifetime.NotFitted as reason:
        log.warning("Values of clients are not predicted: %s.", reason)
        models = None
    found = Fitted(end, like, models)
    _REMEMBERED.appendleft(found)
    return found if models else None


def valued(columns: Mapping[str, NDArray[Any]], _calendars: Calendars, options: KpiOptions) -> Mapping[str, Any]:
    """What every purchase's client is worth; one entry per purchase."""
    count = len(columns["customer_no"])
    nothing = {
        "fitted": np.zeros(count, np.int64),
        "predicted": np.full(count, np.nan),
        "at_risk": np.zeros(count, np.int64),
    }
    lifetime = _lifetime()
    if lifetime is None or not count:
        return nothing
    days, end = _local_days(columns["bought_at"], options), int(_local_days(columns["seen_at"][:1], options)[0])
    customers, histories = lifetime.summary(columns["customer_no"], days, columns["amount"], end)
    model = fitted(histories, end)
    if model is None:
        return nothing
    assert model.models is not None  # else there is none
    purchases, spending = model.models
    yearly = options.customers.discount
    monthly = lifetime.monthly(YEARLY_DISCOUNT if yearly is None else yearly)
    ahead = model.occasions(histories, end, options.customers.predicted_months, monthly)
    value = options.margin * spending.expected(histories.repeats, histories.spend) * ahead
    alive = purchases.p_alive(histories.repeats, histories.recency, histories.age)
    which = np.searchsorted(customers, columns["customer_no"])
    historic = np.bincount(which, columns["amount"], len(customers))
    at_risk = (quintile_scores(historic) == _TOP_SCORE) & (alive < _DOUBTFUL)
    return {
        "fitted": np.ones(count, np.int64),
        "predicted": value[which],
        "at_risk": at_risk.astype(np.int64)[which],
    }


def _local_days(at: IntArray, options: KpiOptions) -> IntArray:
    """Local dates of instants, as days since 1970."""
    table = zone_table(options.zone or "UTC", *YEARS)
    offsets = table.offsets[np.maximum(np.searchsorted(table.begins, at, side="right") - 1, 0)]
    return np.asarray((at + offsets) // _DAY, dtype=np.int64)
