"""BG/NBD and Gamma-Gamma against published and hand-checked numbers (CDNOW, golden/clv.json)."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from b24metrics.kpi import clv
from b24metrics.kpi.lifetime import (
    MONTH_DAYS,
    Customers,
    NotFitted,
    PurchaseModel,
    SpendModel,
    _purchase_terms,
    _spend_terms,
    fit_purchases,
    fit_spending,
    lifetime_value,
    monthly,
    summary,
)
from tests.conftest import ROOT, golden

GOLD: Any = golden("clv.json")
_BG, _GG = GOLD["parameters"]["bg_nbd"], GOLD["parameters"]["gamma_gamma"]
PURCHASES = PurchaseModel(_BG["r"], _BG["alpha"], _BG["a"], _BG["b"])
SPENDING = SpendModel(_GG["p"], _GG["q"], _GG["v"])
EXACT = GOLD["tolerances"]["customer_level_relative_at_given_parameters"]


@pytest.fixture(scope="module")
def cdnow() -> Customers:
    """2,357 customers, times in weeks."""
    with (ROOT / "tests" / "golden" / "clv_cdnow.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("frequency", "recency", "T", "monetary_value")
    return Customers(*(np.array([float(row[name]) for row in rows]) for name in names))


def test_the_published_fit(cdnow: Customers) -> None:
    """Parameters and likelihood of the paper to its four digits, and of the golden fit to one in a thousand."""
    found = fit_purchases(cdnow.repeats, cdnow.recency, cdnow.age)
    likelihood = float(found.log_likelihood(cdnow.repeats, cdnow.recency, cdnow.age).sum())

    assert [0.243, 4.414, 0.793, 2.426] == [round(value, 3) for value in (found.r, found.alpha, found.a, found.b)]
    assert -9582.4 == round(likelihood, 1)
    assert pytest.approx(_BG["log_likelihood"], abs=GOLD["tolerances"]["log_likelihood_absolute"]) == likelihood
    for name in ("r", "alpha", "a", "b"):
        assert pytest.approx(_BG[name], rel=GOLD["tolerances"]["fit_parameters_relative"]) == getattr(found, name)


def test_the_published_spending(cdnow: Customers) -> None:
    """Gamma-Gamma on the 946 repeat customers."""
    found = fit_spending(cdnow.repeats, cdnow.spend)
    back = cdnow.repeats > 0
    likelihood = float(found.log_likelihood(cdnow.repeats[back], cdnow.spend[back]).sum())

    assert [6.25, 3.74] == [round(found.p, 2), round(found.q, 2)]
    assert pytest.approx(_GG["log_likelihood"], abs=GOLD["tolerances"]["log_likelihood_absolute"]) == likelihood
    assert pytest.approx(_GG["population_mean"], rel=1e-6) == found.mean
    assert _GG["n_customers"] == int(back.sum())
    assert pytest.approx(_GG["correlation_frequency_monetary"], abs=1e-6) == float(
        np.corrcoef(cdnow.repeats[back], cdnow.spend[back])[0, 1]
    )


def test_a_remembered_fit_is_of_histories_like_these(cdnow: Customers) -> None:
    """A week later it still holds; not for others who bought as often, for as much money, but went away earlier."""
    clv._REMEMBERED.clear()
    mine = replace(cdnow, recency=cdnow.recency * 7, age=cdnow.age * 7)
    first = clv.fitted(mine, 20_000)
    same = clv.fitted(replace(mine, age=mine.age + 6), 20_006)
    others = clv.fitted(replace(mine, recency=mine.recency * 0.9), 20_000)
    clv._REMEMBERED.clear()

    assert first is not None
    assert (True, False) == (same is first, others is first)


def test_a_fit_in_days_is_the_fit_in_weeks(cdnow: Customers) -> None:
    """The unit of time changes alpha and nothing else."""
    weeks = fit_purchases(cdnow.repeats, cdnow.recency, cdnow.age)
    days = fit_purchases(cdnow.repeats, cdnow.recency * 7, cdnow.age * 7)

    assert pytest.approx((weeks.r, weeks.a, weeks.b, weeks.alpha * 7), rel=1e-4) == (days.r, days.a, days.b, days.alpha)


@pytest.mark.parametrize("one", GOLD["customers"], ids=lambda one: f"customer {one['customer_id']}")
def test_customers(one: Any) -> None:
    """Alive, expected purchases, expected amount and value of the next twelve months, at the given parameters."""
    history = (one["frequency"], one["recency"], one["T"])
    customer = Customers(*(np.array([float(value)]) for value in (*history, one["monetary_value"])))

    assert pytest.approx(one["p_alive"], rel=EXACT) == float(PURCHASES.p_alive(*history))
    for ahead, expected in one["expected_purchases"].items():
        assert pytest.approx(expected, rel=EXACT) == float(PURCHASES.expected(float(ahead), *history))
    assert pytest.approx(one["expected_avg_value"], rel=EXACT) == float(
        SPENDING.expected(one["frequency"], one["monetary_value"])
    )
    for name, expected in one["clv_12m_discount_1pct"].items():
        month = {"tau_4.345": 4.345, "tau_365.25/84": MONTH_DAYS / 7}[name]
        value = lifetime_value(PURCHASES, SPENDING, customer, month=month, monthly_discount=0.01)
        assert pytest.approx(expected, rel=EXACT) == float(value[0])


@pytest.mark.parametrize(
    "one", GOLD["stress_at_given_parameters"], ids=lambda one: f"{one['frequency']} in {one['T']}, {one['t']} ahead"
)
def test_odd_customers(one: Any) -> None:
    """Thousands of purchases, years of silence, long horizons: nothing overflows."""
    history = (one["frequency"], one["recency"], one["T"])

    assert pytest.approx(one["p_alive"], rel=EXACT, abs=1e-300) == float(PURCHASES.p_alive(*history))
    assert pytest.approx(one["expected_purchases"], rel=EXACT, abs=1e-300) == float(
        PURCHASES.expected(one["t"], *history)
    )
    assert pytest.approx(one["log_likelihood"], rel=EXACT) == float(PURCHASES.log_likelihood(*history))


def test_the_population(cdnow: Customers) -> None:
    """New customers: expectation by time, distribution of counts, and the histogram of the whole sample."""
    gold = GOLD["population"]
    for ahead, expected in gold["expected_purchases_by_t"].items():
        assert pytest.approx(expected, rel=EXACT) == float(PURCHASES.expected(float(ahead), 0, 0, 0))
    for count, expected in gold["pmf_at_t_39"].items():
        assert pytest.approx(expected, rel=EXACT) == float(PURCHASES.chance(int(count), 39.0))
    fewer = [float(PURCHASES.chance(count, cdnow.age).sum()) for count in range(7)]
    expected = gold["repeat_count_histogram"]["expected"]
    assert pytest.approx(expected, abs=1e-4) == [*fewer, len(cdnow) - sum(fewer)]
    ahead = PURCHASES.expected(39.0, cdnow.repeats, cdnow.recency, cdnow.age).sum()
    assert pytest.approx(gold["next_39_weeks"]["sum_of_conditional_expectations"], rel=EXACT) == float(ahead)


def test_histories_are_made_of_purchases() -> None:
    """Several purchases of one day are one occasion; the first one is no repeat."""
    gold = GOLD["rfm_from_transactions"]
    told = gold["transactions"]
    end = date.fromisoformat(gold["observation_end"]).toordinal()
    who, found = summary(
        np.array([one["customer_id"] for one in told]),
        np.array([date.fromisoformat(one["date"]).toordinal() for one in told]),
        np.array([float(one["amount"]) for one in told]),
        end,
    )

    expected = sorted(gold["expected_summary"], key=lambda one: one["customer_id"])
    assert [one["customer_id"] for one in expected] == who.tolist()
    assert [one["frequency"] for one in expected] == found.repeats.tolist()
    assert [one["recency_days"] for one in expected] == found.recency.tolist()
    assert [one["T_days"] for one in expected] == found.age.tolist()
    assert pytest.approx([one["monetary_value"] for one in expected]) == found.spend.tolist()


def test_no_purchases_are_no_histories() -> None:
    none = np.array([], np.int64)
    who, found = summary(none, none, np.array([]), 0)

    assert (0, 0) == (len(who), len(found))


@given(
    st.tuples(*(st.floats(0.05, 20) for _ in range(4))),
    st.integers(0, 40), st.floats(0, 1), st.floats(0.1, 300),
)  # fmt: skip
def test_slopes_of_the_purchase_model(parameters: tuple[float, ...], count: int, share: float, age: float) -> None:
    """The derivatives that lead the search are those of the likelihood."""
    history = [np.array([value]) for value in (float(count), share * age if count else 0.0, age)]
    at = np.array(parameters)
    expected = approx_fprime(at, lambda p: float(_purchase_terms(p, *history)[0][0]), 1e-7)

    assert pytest.approx(expected, rel=1e-3, abs=1e-3) == _purchase_terms(at, *history, with_slopes=True)[1][:, 0]


@given(st.tuples(*(st.floats(0.2, 20) for _ in range(3))), st.integers(1, 40), st.floats(0.01, 50))
def test_slopes_of_the_spending_model(parameters: tuple[float, ...], count: int, mean: float) -> None:
    """As above."""
    history = [np.array([float(count)]), np.array([mean])]
    at = np.array(parameters)
    expected = approx_fprime(at, lambda p: float(_spend_terms(p, *history)[0][0]), 1e-7)

    assert pytest.approx(expected, rel=1e-3, abs=1e-3) == _spend_terms(at, *history)[1][:, 0]


@given(st.integers(0, 500), st.floats(0, 1), st.floats(0.1, 1000), st.floats(0, 500))
def test_bounds_that_hold_for_everybody(count: int, share: float, age: float, ahead: float) -> None:
    """A probability is one, expectations are not negative and grow with time."""
    history = (count, share * age if count else 0.0, age)
    alive = float(PURCHASES.p_alive(*history))
    near, far = (float(PURCHASES.expected(t, *history)) for t in (ahead, ahead + 10))

    assert 0 <= alive <= 1
    assert 0 <= near <= far


def test_a_of_one_is_the_limit() -> None:
    """The formula divides by a - 1: next to one it gives what lies between both sides."""
    below, at, above = (
        float(PurchaseModel(0.25, 4.4, a, 2.4).expected(39.0, 2, 30.43, 38.86)) for a in (0.9999, 1.0, 1.0001)
    )

    assert below > at > above
    assert pytest.approx((below + above) / 2, rel=1e-6) == at


@pytest.mark.parametrize(
    ("a", "b", "occasions"),
    [
        (0.5, 0.5, 1.5),  # E[3 / (1 + 3p)] of the arcsine law = 3 / sqrt(1 + 3)
        (0.25, 0.25, 1.6208168609417049),
        (0.2, 0.5, 2.0821410905087534),
        (0.9, 0.05, 0.8079015500488481),
    ],
)
def test_customers_of_whom_many_leave_at_once_still_come(a: float, b: float, occasions: float) -> None:
    """With a + b of one or less the formula's series is negative, or a pole, for who never came again.

    By the model's definition: a buyer of rate λ who leaves with p after each occasion comes (1 - exp(-λpt)) / p times in t,
    which with r = 1 is t / (α + pt) on average; then the integral over Beta(a, b).
    """
    found = float(PurchaseModel(1.0, 10.0, a, b).expected(30.0, 0, 0, 0))

    assert pytest.approx(occasions, rel=1e-5) == found


def test_twelve_months_are_a_year() -> None:
    """A yearly discount of 12 % by the month."""
    assert pytest.approx(1.12) == (1 + monthly(0.12)) ** 12


@pytest.mark.parametrize(
    ("repeats", "recency", "age", "why"),
    [
        ([], [], [], "no histories"),
        ([0, 0], [0, 0], [0, 0], "no histories"),
        ([1], [5], [4], "before its last purchase"),
        ([1], [float("nan")], [4], "before its last purchase"),
        ([0] * 300, [0] * 300, [50] * 300, "nobody came again"),
    ],
)
def test_histories_that_tell_nothing(repeats: list[float], recency: list[float], age: list[float], why: str) -> None:
    """No model rather than a wrong one."""
    with pytest.raises(NotFitted, match=why):
        fit_purchases(repeats, recency, age)


@pytest.mark.parametrize(
    ("repeats", "spend", "why"),
    [
        ([0, 0], [0, 0], "nobody came again"),
        ([1, 2], [5, -1], "not above 0"),
        ([3] * 50, [7.0] * 50, "degenerate|converge"),
    ],
)
def test_amounts_that_tell_nothing(repeats: list[float], spend: list[float], why: str) -> None:
    """As above."""
    with pytest.raises(NotFitted, match=why):
        fit_spending(repeats, spend)
