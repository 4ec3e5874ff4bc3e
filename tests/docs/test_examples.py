"""Worked examples of the KPI pages: typed from the cards, true on the practice company T1."""

from __future__ import annotations

import pytest

from b24metrics.kpi import KPIS, Grain, Snapshot, WindowId, evaluate
from b24metrics.mirror.stores import DuckStore
from docs.generate import Example, examples
from tests.kpi import company_t1


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    store = DuckStore(threads=1)
    company_t1.load(store)
    found = evaluate(
        store,
        company_t1.PORTAL,
        [KPIS[kpi] for kpi in dict.fromkeys(one.kpi for one in examples())],
        now=company_t1.NOW,
        options=company_t1.OPTIONS,
    )
    store.close()
    return found


@pytest.mark.parametrize("example", examples(), ids=lambda one: f"{one.kpi} {one.window} {one.level}")
def test_an_example_is_true(snapshot: Snapshot, example: Example) -> None:
    """To the digits that are shown."""
    found = snapshot.sample(
        KPIS[example.kpi], WindowId(example.window), Grain.parse(example.level), **dict(example.labels)
    )
    assert found is not None
    assert example.value == pytest.approx(found.value, rel=1e-4)
