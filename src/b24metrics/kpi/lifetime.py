"""What customers without a contract will buy: BG/NBD (when) and Gamma-Gamma (how much), fitted in log space.

Laws: arrays in, arrays out; times of one call share one unit, which is the caller's; nothing here knows a database.
A model that cannot be trusted is not returned: ``NotFitted`` says why, and its KPI then has no value. Large counts do not
overflow, because powers and gamma functions are only ever taken as logarithms.
Source: Fader, Hardie, Lee (2005), "Counting Your Customers the Easy Way" and "RFM and CLV"; Hardie, notes 004 and 025;
catalogue §10, ``clv_predicted``. Needs scipy (extra ``clv``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import betainc, betaln, digamma, expit, gammaln, hyp2f1

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
Cost: TypeAlias = Callable[[FloatArray], tuple[float, FloatArray]]
"""Of the logarithms of parameters: value and slopes."""

#: Days of a month: a year of 365.25 by twelve.
MONTH_DAYS: Final = 365.25 / 12

#: Logarithms of parameters are looked for within these bounds, time and money scaled to about 1; a model at a bound is
#: degenerate (nobody ever leaves, everybody is alike) and tells nothing.
_BOUND: Final = 12.0
_NEAR_ONE: Final = 1e-6
#: Histories that tell where to search.
_ENOUGH: Final = 4000

_PURCHASE_STARTS: Final = ((1.0, 0.1, 1.0, 1.0), (0.25, 0.1, 0.8, 2.5), (3.0, 1.0, 0.1, 5.0), (0.5, 0.02, 2.0, 10.0))
_SPEND_STARTS: Final = ((1.0, 2.0, 1.0), (6.0, 4.0, 0.5), (0.5, 10.0, 10.0))


class NotFitted(ValueError):  # noqa: N818 - named for what it says, like all errors of the house
    """The data do not determine the model."""


@dataclass(frozen=True, slots=True)
class Customers:
    """Purchase histories, one entry per customer.

    Attributes:
        repeats: purchase occasions after the first one. recency: from the first to the last occasion.
        age: from the first occasion to the end of the observation. spend: mean amount of the repeat occasions, 0 without.
    """

    repeats: FloatArray
    recency: FloatArray
    age: FloatArray
    spend: FloatArray

    def __len__(self) -> int:
        return len(self.repeats)


def summary(customers: IntArray, days: IntArray, amounts: FloatArray, end: int) -> tuple[IntArray, Customers]:
    """Purchase histories from purchases; several of one customer on one day are one occasion.

    Args:
        customers: who bought, shape (n,).
        days: when, as a number of days, shape (n,).
        amounts: for how much, shape (n,).
        end: the last day of the observation; what was bought later is not looked at.

    Returns:
        the customers, ascending, and their histories in days.
    """
    seen = days <= end
    customers, days, amounts = customers[seen], days[seen], amounts[seen]
    if not len(customers):
        return customers, Customers(*(np.empty(0) for _ in range(4)))
    # One sort of whole numbers instead of two.
    span = int(days.max() - days.min()) + 1
    order = np.argsort(customers * span + (days - days.min()), kind="stable")
    who, day, amount = customers[order], days[order], np.asarray(amounts, np.float64)[order]
    begins = np.ones(len(who), np.bool_)
    begins[1:] = (who[1:] != who[:-1]) | (day[1:] != day[:-1])
    starts = np.flatnonzero(begins)
    who, day = who[starts], day[starts]
    amount = np.add.reduceat(amount, starts)
    firsts = np.flatnonzero(np.concatenate(([True], who[1:] != who[:-1])))
    lasts = np.append(firsts[1:], len(who)) - 1
    repeats = (lasts - firsts).astype(np.float64)
    sums = np.add.reduceat(amount, firsts) - amount[firsts]
    spend = np.divide(sums, repeats, out=np.zeros_like(sums), where=repeats > 0)
    first, last = day[firsts], day[lasts]
    return who[firsts], Customers(repeats, (last - first).astype(np.float64), (end - first).astype(np.float64), spend)


class _Counts(NamedTuple):
    """Counts are few different numbers: gamma functions of them are computed once for each."""

    distinct: FloatArray
    which: IntArray

    @classmethod
    def of(cls, counts: FloatArray) -> _Counts:
        distinct, which = np.unique(counts, return_inverse=True)
        return cls(distinct, which.reshape(counts.shape))


# ---------------------------------------------------------------- BG/NBD


@dataclass(frozen=True, slots=True)
class PurchaseModel:
    """BG/NBD: customers buy at a rate of their own (gamma ``r``, ``alpha``) until they drop out (beta ``a``, ``b``)."""

    r: float
    alpha: float
    a: float
    b: float

    def log_likelihood(self, repeats: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Of each customer's history."""
        x, t_x, total = _arrays(repeats, recency, age)
        return _purchase_terms(np.array([self.r, self.alpha, self.a, self.b]), x, t_x, total)[0]

    def p_alive(self, repeats: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Probability that a customer has not dropped out."""
        x, t_x, total = _arrays(repeats, recency, age)
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = np.log(self.b + x - 1) - np.log(self.a)
        odds = odds - (self.r + x) * (np.log(self.alpha + total) - np.log(self.alpha + t_x))
        return np.asarray(np.where(x > 0, expit(odds), 1.0))

    def expected(self, ahead: ArrayLike, repeats: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Repeat occasions expected in the next ``ahead`` units of time.

        With repeats, recency and age 0: those of a new customer.
        """
        x, t_x, total, t = _arrays(repeats, recency, age, ahead)
        a = self.a if abs(self.a - 1) > _NEAR_ONE else 1 + _NEAR_ONE
        b = self.b if abs(a + self.b - 1) > _NEAR_ONE else self.b + 2 * _NEAR_ONE  # a + b = 1 is a pole for x = 0
        z = t / (self.alpha + total + t)
        # Euler's transformation: the power of (1 - z) cancels, and what remains does not grow with x.
        series = hyp2f1(a - 1, a + b - 1 - self.r, a + b + x - 1, z)
        power = (a - 1) * np.log1p(-z) + np.log(np.abs(series))
        # Without repeats, and a + b below 1, the series may be negative.
        left = np.where(series > 0, -np.expm1(power), 1 + np.exp(power))
        return np.asarray((a + b + x - 1) / (a - 1) * left * self.p_alive(x, t_x, total))

    def chance(self, count: ArrayLike, during: ArrayLike) -> FloatArray:
        """Probability that a new customer has exactly ``count`` repeat occasions within ``during`` units of time."""
        n, t = _arrays(count, during)
        share = t / (self.alpha + t)
        lasting = (
            betaln(self.a, self.b + n)
            + gammaln(self.r + n)
            - gammaln(self.r)
            - gammaln(n + 1)
            + self.r * np.log1p(-share)
            + np.where(n > 0, n * np.log(np.where(share > 0, share, 1)), 0.0)
        )
        stay = np.exp(lasting - betaln(self.a, self.b)) * np.where((share > 0) | (n == 0), 1.0, 0.0)
        before = np.where(n > 0, n, 1)
        leave = np.exp(betaln(self.a + 1, self.b + before - 1) - betaln(self.a, self.b)) * betainc(
            before, self.r, share
        )
        return np.asarray(stay + np.where(n > 0, leave, 0.0))


def fit_purchases(repeats: ArrayLike, recency: ArrayLike, age: ArrayLike) -> PurchaseModel:
    """The model under which these histories are likeliest.

    Raises:
        NotFitted: no history, a history that cannot be, no convergence, or a degenerate model.
    """
    x, t_x, total = _arrays(repeats, recency, age)
    if not len(x) or not total.max() > 0:
        raise NotFitted("there are no histories")
    if np.any((x < 0) | (t_x < 0) | (t_x > total)) or not np.all(np.isfinite(np.concatenate((x, t_x, total)))):
        raise NotFitted("a history ends before its last purchase")
    if not x.any():
        raise NotFitted("nobody came again")
    scale = float(total.max())
    # Histories in whole days repeat themselves: each is computed once.
    rows, weights = np.unique(np.stack((x, t_x / scale, total / scale)), axis=1, return_counts=True)

    def cost_of(step: int) -> Cost:
        part, times = rows[:, ::step], weights[::step]
        counts, size = _Counts.of(part[0]), float(times.sum())

        def cost(logs: FloatArray) -> tuple[float, FloatArray]:
            parameters = np.exp(logs)
            values, slopes = _purchase_terms(parameters, *part, counts=counts, with_slopes=True)
            return -float((times * values).sum()) / size, -(times * slopes).sum(axis=1) * parameters / size

        return cost

    r, alpha, a, b = _likeliest(cost_of, rows.shape[1], _PURCHASE_STARTS)
    return PurchaseModel(r, alpha * scale, a, b)


def _purchase_terms(
    parameters: FloatArray,
    x: FloatArray,
    t_x: FloatArray,
    total: FloatArray,
    *,
    counts: _Counts | None = None,
    with_slopes: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Log-likelihoods, shape (n,), and their derivatives by r, alpha, a, b, shape (4, n), or nothing."""
    r, alpha, a, b = parameters
    log_total, log_recent = np.log(alpha + total), np.log(alpha + t_x)
    bought = x > 0
    before = np.where(bought, b + x - 1, 1.0)
    alive = -(r + x) * log_total
    gone = np.where(bought, np.log(a) - np.log(before) - (r + x) * log_recent, -np.inf)
    either = np.logaddexp(alive, gone)
    n, which = counts or _Counts.of(x)
    counted = (
        gammaln(r + n)
        - gammaln(r)
        + r * np.log(alpha)
        + gammaln(a + b)
        + gammaln(b + n)
        - gammaln(b)
        - gammaln(a + b + n)
    )
    values = counted[which] + either
    if not with_slopes:
        return values, np.empty(0)
    staying, leaving = np.exp(alive - either), np.exp(gone - either)
    together = digamma(a + b) - digamma(a + b + n)
    slopes = np.stack(
        (
            (digamma(r + n) - digamma(r) + np.log(alpha))[which] - staying * log_total - leaving * log_recent,
            r / alpha - (r + x) * (staying / (alpha + total) + leaving / (alpha + t_x)),
            together[which] + leaving / a,
            (together + digamma(b + n) - digamma(b))[which] - np.where(bought, leaving / before, 0.0),
        )
    )
    return values, slopes


# ---------------------------------------------------------------- Gamma-Gamma


@dataclass(frozen=True, slots=True)
class SpendModel:
    """Gamma-Gamma: amounts scatter around a customer's own mean (gamma ``p``), means around the company's (``q``, ``v``)."""

    p: float
    q: float
    v: float

    def log_likelihood(self, repeats: ArrayLike, spend: ArrayLike) -> FloatArray:
        """Of each customer's mean; both above 0."""
        x, z = _arrays(repeats, spend)
        return _spend_terms(np.array([self.p, self.q, self.v]), x, z)[0]

    @property
    def mean(self) -> float:
        """Mean amount over all customers."""
        return self.p * self.v / (self.q - 1)

    def expected(self, repeats: ArrayLike, spend: ArrayLike) -> FloatArray:
        """Mean amount of a customer's future occasions; who never came again is like everybody."""
        x, z = _arrays(repeats, spend)
        return self.p * (self.v + x * z) / (self.p * x + self.q - 1)


def fit_spending(repeats: ArrayLike, spend: ArrayLike) -> SpendModel:
    """The model under which these means are likeliest; customers without repeats are left out.

    Raises:
        NotFitted: no repeat customer, a mean that is not above 0, no convergence, or no finite mean (q at most 1).
    """
    x, z = _arrays(repeats, spend)
    x, z = x[x > 0], z[x > 0]
    if not len(x):
        raise NotFitted("nobody came again")
    if not np.all(np.isfinite(z) & (z > 0)):
        raise NotFitted("a mean amount is not above 0")
    scale = float(z.mean())
    order = np.lexsort((z, x))  # so that every so-manieth customer stands for its neighbours
    x, z = x[order], z[order] / scale

    def cost_of(step: int) -> Cost:
        times, means = x[::step], z[::step]
        counts = _Counts.of(times)

        def cost(logs: FloatArray) -> tuple[float, FloatArray]:
            parameters = np.exp(logs)
            values, slopes = _spend_terms(parameters, times, means, counts=counts)
            return -float(values.mean()), -slopes.mean(axis=1) * parameters

        return cost

    p, q, v = _likeliest(cost_of, len(x), _SPEND_STARTS)
    if q <= 1:
        raise NotFitted("amounts scatter so widely that they have no mean")
    return SpendModel(p, q, v * scale)


def _spend_terms(
    parameters: FloatArray, x: FloatArray, z: FloatArray, *, counts: _Counts | None = None
) -> tuple[FloatArray, FloatArray]:
    """Log-likelihoods, shape (n,), and their derivatives by p, q, v, shape (3, n)."""
    p, q, v = parameters
    n, which = counts or _Counts.of(x)
    shapes = p * n
    shape, total = shapes[which], v + x * z
    log_total, log_z = np.log(total), np.log(z)
    counted = gammaln(shapes + q) - gammaln(shapes) - gammaln(q) + q * np.log(v) + shapes * np.log(n)
    values = counted[which] + (shape - 1) * log_z - (shape + q) * log_total
    both = digamma(shapes + q)
    slopes = np.stack(
        (
            x * ((both - digamma(shapes) + np.log(n))[which] + log_z - log_total),
            (both - digamma(q) + np.log(v))[which] - log_total,
            q / v - (shape + q) / total,
        )
    )
    return values, slopes


# ---------------------------------------------------------------- both together


def lifetime_value(
    purchases: PurchaseModel,
    spending: SpendModel,
    customers: Customers,
    *,
    months: int = 12,
    month: float = MONTH_DAYS,
    monthly_discount: float = 0.0,
    margin: float = 1.0,
) -> FloatArray:
    """Discounted value of each customer's next ``months``.

    Args:
        purchases: fitted in the customers' unit of time.
        spending: fitted in their currency.
        customers: whose value.
        months: how far ahead.
        month: its length in that unit of time.
        monthly_discount: 0.01 for one percent a month.
        margin: share of an amount that is earned.
    """
    occasions = discounted_occasions(
        purchases,
        customers.repeats,
        customers.recency,
        customers.age,
        months=months,
        month=month,
        monthly_discount=monthly_discount,
    )
    return np.asarray(margin * spending.expected(customers.repeats, customers.spend) * occasions)


def discounted_occasions(
    purchases: PurchaseModel,
    repeats: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
    *,
    months: int = 12,
    month: float = MONTH_DAYS,
    monthly_discount: float = 0.0,
) -> FloatArray:
    """Repeat occasions expected in each customer's next ``months``, each discounted by the month in which it lies."""
    reached = np.stack([purchases.expected(k * month, repeats, recency, age) for k in range(months + 1)])
    discounts = (1 + monthly_discount) ** -np.arange(1.0, months + 1)
    return np.asarray(discounts @ np.diff(reached, axis=0))


def monthly(yearly: float) -> float:
    """The monthly discount that amounts to a yearly one."""
    return float((1 + yearly) ** (1 / 12) - 1)


def _arrays(*values: ArrayLike) -> list[FloatArray]:
    """Values as arrays of one shape."""
    return [np.asarray(value, np.float64) for value in np.broadcast_arrays(*values)]


def _likeliest(cost_of: Callable[[int], Cost], size: int, starts: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Parameters of least cost over several beginnings.

    ``cost_of(step)`` is the cost of every ``step``-th history: a few thousand of them tell which beginning leads lowest,
    and all of them are then looked at from there.

    Raises:
        NotFitted: no beginning led to a minimum inside the bounds.
    """
    step = max(1, size // _ENOUGH)
    found = [end for start in starts if (end := _lowest(cost_of(step), np.log(start))) is not None]
    if not found:
        raise NotFitted("the search did not converge")
    best: tuple[float, FloatArray] | None = min(found, key=lambda one: one[0])
    if step > 1 and best is not None:
        best = _lowest(cost_of(1), best[1])
    if best is None:
        raise NotFitted("the search did not converge")
    logs = best[1]
    if np.abs(logs).max() > _BOUND - 1e-3:
        raise NotFitted("the model is degenerate: the data do not tell its parameters apart")
    return tuple(float(value) for value in np.exp(logs))


def _lowest(cost: Cost, start: FloatArray) -> tuple[float, FloatArray] | None:
    """The least cost from a beginning, and where; None without convergence."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        ended = minimize(
            cost,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(-_BOUND, _BOUND)] * len(start),
            options={"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9},
        )
    good = np.isfinite(ended.fun) and np.abs(ended.jac).max() < 1e-5
    return (float(ended.fun), np.asarray(ended.x)) if good else None
