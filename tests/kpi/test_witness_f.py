"""Chapter F and technical health against a second reading of the catalogue, on random small companies.

The model of future purchases has companies of its own: hundreds of clients. More: ``B24_WITNESS_EXAMPLES=150``.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st

from b24metrics.kpi import KPIS, evaluate
from b24metrics.kpi.model import Chapter, Kpi, Part
from b24metrics.mirror.stores import DuckStore
from tests.conftest import golden
from tests.kpi.small import PORTAL
from tests.kpi.test_witness_cd import sums_that_fail
from tests.kpi.witness_clv import Client, Model, money_likelihood, purchases_likelihood
from tests.kpi.witness_f import Retention
from tests.kpi.witness_f_companies import Case, ClientMaker, loyal_case
from tests.kpi.witness_ground import Answers, Number, Told
from tests.kpi.witness_health import Health

RETENTION = [kpi for kpi in KPIS.values() if kpi.chapter is Chapter.RETENTION]
OF_MODEL = [KPIS[name] for name in ("clv_predicted", "clv_model_ok", "clv_customers_at_risk_count")]
HEALTH = [kpi for kpi in KPIS.values() if kpi.chapter is Chapter.HEALTH]
EXAMPLES = int(os.environ.get("B24_WITNESS_EXAMPLES", "4"))
SEEDS = st.integers(0, 10**9)
#: What two searches for the same optimum may differ by (catalogue: after a fit of one's own).
FITTED = 1e-3
EXACT = 1e-9

# A smaller seed is no simpler company: nothing is gained by shrinking.
many = settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
    deadline=None,
)


def found(store: DuckStore, case: Case, kpis: list[Kpi]) -> Answers:
    """What the evaluator says."""
    case.company.pour(store)
    return {
        (s.kpi.id, str(s.grain), tuple(sorted(s.labels.items())), s.window.value): Told(
            s.value, s.n, s.numerator, s.denominator
        )
        for s in evaluate(store, PORTAL, kpis, now=case.now, options=case.options).samples
    }


def differences(expected: Answers, actual: Answers) -> dict[object, object]:
    """Keys at which the two disagree. A sample that one leaves out says nothing, or 0; sizes count where both tell."""
    wrong: dict[object, object] = {}
    for key in sorted(expected.keys() | actual.keys()):
        mine, theirs = expected.get(key), actual.get(key)
        if mine is None or theirs is None:
            told = mine or theirs
            if told is not None and told.value:
                wrong[key] = (mine, theirs)
            continue
        near = FITTED if key[0] == "clv_predicted" else EXACT
        pairs = [(mine.value, theirs.value, near)]
        for part, name in ((Part.N, "n"), (Part.NUMERATOR, "numerator"), (Part.DENOMINATOR, "denominator")):
            if part in KPIS[key[0]].parts:
                pairs.append((getattr(mine, name) or 0, getattr(theirs, name) or 0, near if name != "n" else EXACT))
        if not all(same(*pair) for pair in pairs):
            wrong[key] = (mine, theirs)
    return wrong


def same(one: Number, other: Number, near: float) -> bool:
    if one is None or other is None:
        return one is other
    return float(other) == pytest.approx(float(one), rel=near, abs=EXACT)


def read(case: Case, witness: type[Retention | Health]) -> Retention | Health:
    reading = witness(case.company, case.now, case.options, case.long_departments)
    reading.answers()
    return reading


@many
@given(seed=SEEDS)
def test_clients_of_any_small_company(store: DuckStore, seed: int) -> None:
    """§10: every id, cut and window, with the sizes beside; sums add up."""
    case = ClientMaker(seed).make()
    actual = found(store, case, RETENTION)

    assert {} == differences(read(case, Retention).found, actual)
    assert [] == sums_that_fail(RETENTION, actual)


@settings(many, max_examples=max(1, EXAMPLES // 4))
@given(seed=SEEDS)
@example(seed=500)  # a + b below 1: many leave at once
def test_what_hundreds_of_clients_will_buy(store: DuckStore, seed: int) -> None:
    """The model is fitted when it may be; its values and the clients at risk, company and departments."""
    case = loyal_case(seed)
    reading = read(case, Retention)
    assert isinstance(reading, Retention)
    assume(reading.clear)

    names = {kpi.id for kpi in OF_MODEL}
    expected = {key: told for key, told in reading.found.items() if key[0] in names}
    assert {} == differences(expected, found(store, case, OF_MODEL))


@many
@given(seed=SEEDS)
def test_health_of_any_small_company(store: DuckStore, seed: int) -> None:
    """How far behind every copy is, whether its source answers, the last comparison, whether people work now."""
    case = ClientMaker(seed).make()

    assert {} == differences(read(case, Health).found, found(store, case, HEALTH))


def test_the_witness_tells_all_of_the_chapter() -> None:
    """Some seeds together have a number other than 0 for every KPI."""
    seen: set[str] = set()
    for case in (*(ClientMaker(seed).make() for seed in range(7)), loyal_case(0)):
        seen |= {key[0] for key, told in read(case, Retention).found.items() if told.value}

    assert {kpi.id for kpi in RETENTION} == seen


def test_the_model_written_anew_is_that_of_the_papers() -> None:
    """CDNOW: likelihoods, and the clients whose numbers are known to many digits, at the parameters of the golden file."""
    told: Any = golden("clv.json")
    with (Path(__file__).parent.parent / "golden" / "clv_cdnow.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    clients = [
        Client(int(row["frequency"]), float(row["recency"]), float(row["T"]), float(row["monetary_value"]))
        for row in rows
    ]
    buys, spends = told["parameters"]["bg_nbd"], told["parameters"]["gamma_gamma"]
    model = Model(buys["r"], buys["alpha"], buys["a"], buys["b"], spends["p"], spends["q"], spends["v"])

    assert pytest.approx([-9582.4256, -4055.9232], abs=1e-3) == [
        purchases_likelihood((model.r, model.alpha, model.a, model.b), clients),
        money_likelihood((model.p, model.q, model.v), clients),
    ]
    assert pytest.approx([0.726609, 1.225910, 24.658616], rel=1e-6) == [
        model.alive(clients[:1])[0], model.expected(clients[:1], 39)[0], model.spending(clients[:1])[0],
    ]  # fmt: skip
    assert pytest.approx([36.2785, 4.6375, 8.3441], rel=1e-5) == [
        value.worth for value in model.values(clients[:3], 12, 0.01, month=4.345)
    ]
