"""DuckDB and PostgreSQL give the same values, for every id."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from b24metrics.kpi import KPIS, KpiOptions, Sample, Snapshot, evaluate, explain
from b24metrics.mirror.stores import DuckStore, Store, open_store
from tests.kpi import company_t1
from tests.kpi.small import NOW, OFFICE, PORTAL, Company, at
from tests.kpi.test_witness import SALES, companies

if TYPE_CHECKING:
    from tests.postgres import Server


@pytest.fixture(scope="module")
def shared(postgres: Server, empty_mirror: str) -> Iterator[Store]:
    """A mirror in PostgreSQL that tests fill anew."""
    store = open_store(postgres.fresh(empty_mirror))
    yield store
    store.close()


@pytest.fixture(scope="module")
def shared_t1(postgres: Server, empty_mirror: str) -> Iterator[Store]:
    """Company T1 in PostgreSQL."""
    store = open_store(postgres.fresh(empty_mirror))
    company_t1.load(store)
    yield store
    store.close()


def on_t1(store: Store) -> Snapshot:
    return evaluate(store, company_t1.PORTAL, now=company_t1.NOW, options=company_t1.OPTIONS)


@pytest.fixture(scope="module")
def both(t1: DuckStore, shared_t1: Store) -> tuple[Snapshot, Snapshot]:
    """The whole catalogue on T1, from a file and from a server."""
    return on_t1(t1), on_t1(shared_t1)


def told(samples: tuple[Sample, ...]) -> dict[object, tuple[object, ...]]:
    """Everything a sample says; numbers compare with what binary arithmetic allows for another order of adding up."""

    def close(number: float | None) -> object:
        return None if number is None else pytest.approx(float(number), rel=1e-9, abs=1e-9)

    return {
        (s.kpi.id, str(s.grain), tuple(sorted(s.labels.items())), s.window.value): (
            close(s.value), close(s.n), close(s.numerator), close(s.denominator),
        )
        for s in samples
    }  # fmt: skip


@pytest.mark.parametrize("kpi", KPIS)
def test_every_id_has_the_same_samples_on_t1(both: tuple[Snapshot, Snapshot], kpi: str) -> None:
    """Values and companions of every cut and window."""
    in_file, shared = (tuple(s for s in snapshot.samples if s.kpi.id == kpi) for snapshot in both)

    assert (kpi in both[0].absent) == (kpi in both[1].absent)
    assert told(in_file) == told(shared)


@pytest.mark.parametrize("kpi", KPIS)
def test_every_id_is_explained_by_the_same_records(
    t1: DuckStore, shared_t1: Store, both: tuple[Snapshot, Snapshot], kpi: str
) -> None:
    """The records behind one of its numbers (each id at another cut), with their contributions."""
    told = [s for s in both[0].samples if s.kpi.id == kpi and s.value and len(s.grain.axes) < 2]
    if not told:
        assert all(not s.value for s in both[1].samples if s.kpi.id == kpi and len(s.grain.axes) < 2)
        return
    sample = told[list(KPIS).index(kpi) % len(told)]

    in_file, shared = (
        explain(
            store, company_t1.PORTAL, sample.kpi, sample.window, sample.grain, sample.labels,
            now=company_t1.NOW, options=company_t1.OPTIONS,
        )
        for store in (t1, shared_t1)
    )  # fmt: skip

    assert in_file == shared, sample


@settings(
    max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate],
)  # fmt: skip
@given(company=companies(), now=st.sampled_from([NOW, at("04-01 00:00")]))
def test_any_small_company_has_the_same_samples(
    store: DuckStore, shared: Store, company: Company, now: datetime
) -> None:
    """All ids, windows and grains."""
    options = KpiOptions(sales_departments=frozenset({SALES}), calendar=OFFICE)
    company.pour(store)
    company.pour(shared)

    in_file, in_server = (evaluate(one, PORTAL, now=now, options=options) for one in (store, shared))

    assert in_file.absent == in_server.absent
    assert told(in_file.samples) == told(in_server.samples)
