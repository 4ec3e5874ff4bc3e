"""How fast the models of customers' lifetime value are fitted, beside the library that everybody used.

Customers are drawn from the model itself (parameters of the CDNOW paper, up to three years in days), so that both sides
look for the same answer; the peer gets its own fastest way, on the same arrays, in the same run.

    pip install '.[clv,bench]'
    python benchmarks/lifetime.py --customers 100000
"""

from __future__ import annotations

import argparse
import time
import warnings
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from b24metrics.kpi.lifetime import Customers, fit_purchases, fit_spending, lifetime_value, monthly

if TYPE_CHECKING:
    from collections.abc import Callable

R, ALPHA, A, B = 0.243, 4.414 * 7, 0.793, 2.426
P, Q, V = 6.25, 3.74, 15.44


def drawn(count: int, seed: int = 7) -> Customers:
    """Histories of the model: rates, drop-outs, days and amounts."""
    dice = np.random.default_rng(seed)
    age = dice.integers(180, 1096, count).astype(np.float64)
    rate, leave = dice.gamma(R, 1 / ALPHA, count), dice.beta(A, B, count)
    repeats, recency, now = np.zeros(count), np.zeros(count), np.zeros(count)
    going = np.ones(count, np.bool_)
    while going.any():
        going &= dice.random(count) >= leave
        now = now + dice.exponential(1 / np.maximum(rate, 1e-12))
        going &= now <= age
        repeats += going
        recency = np.where(going, np.maximum(1.0, np.floor(now)), recency)
    recency = np.minimum(np.maximum(recency, repeats), age)
    mean = P / dice.gamma(Q, 1 / V, count)
    spend = np.where(repeats > 0, dice.gamma(P * np.maximum(repeats, 1)) / (P * np.maximum(repeats, 1)) * mean, 0.0)
    return Customers(repeats, recency, age, spend)


def ours(customers: Customers) -> tuple[float, ...]:
    """Both models and everybody's value of the next year."""
    purchases = fit_purchases(customers.repeats, customers.recency, customers.age)
    spending = fit_spending(customers.repeats, customers.spend)
    lifetime_value(purchases, spending, customers, monthly_discount=monthly(0.12))
    return purchases.r, purchases.alpha, purchases.a, purchases.b


def theirs(customers: Customers) -> tuple[float, ...]:
    """The same by lifetimes."""
    import pandas as pd  # noqa: PLC0415 - the peer's
    from lifetimes import BetaGeoFitter, GammaGammaFitter  # noqa: PLC0415

    frame = pd.DataFrame({"x": customers.repeats, "t_x": customers.recency, "T": customers.age, "z": customers.spend})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        purchases = BetaGeoFitter().fit(frame.x, frame.t_x, frame["T"])
        back = frame[frame.x > 0]
        spending = GammaGammaFitter().fit(back.x, back.z)
        spending.customer_lifetime_value(
            purchases, frame.x, frame.t_x, frame["T"], frame.z, time=12, discount_rate=monthly(0.12), freq="D"
        )
    return tuple(float(purchases.params_[name]) for name in ("r", "alpha", "a", "b"))


def timed(
    work: Callable[[Customers], tuple[float, ...]], customers: Customers, rounds: int
) -> tuple[float, tuple[float, ...]]:
    """Median seconds, and the parameters found."""
    spent, found = [], ()
    for _ in range(rounds):
        began = time.perf_counter()
        found = work(customers)
        spent.append(time.perf_counter() - began)
    return median(spent), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    customers = drawn(wanted.customers)
    print(
        f"{wanted.customers} customers, {int((customers.repeats > 0).sum())} came again; drawn with r={R}, alpha={ALPHA:.2f}, a={A}, b={B}"
    )
    print("| candidate | seconds | ratio | r, alpha, a, b |\n|---|---|---|---|")
    own, found = timed(ours, customers, wanted.rounds)
    print(f"| b24metrics | {own:.2f} | 1 | {', '.join(f'{value:.4g}' for value in found)} |")
    try:
        other, found = timed(theirs, customers, wanted.rounds)
    except ImportError as error:
        print(f"| lifetimes | not installed ({error.name}) | | |")
    else:
        print(f"| lifetimes | {other:.2f} | {other / own:.1f} | {', '.join(f'{value:.4g}' for value in found)} |")


if __name__ == "__main__":
    main()
