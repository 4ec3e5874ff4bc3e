"""Stores of the KPI tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1


@pytest.fixture(scope="session")
def t1() -> Iterator[DuckStore]:
    """Company T1; tests only read it."""
    store = DuckStore(threads=1)
    company_t1.load(store)
    yield store
    store.close()


@pytest.fixture
def empty() -> Iterator[DuckStore]:
    """A mirror without any portal."""
    store = DuckStore(threads=1)
    yield store
    store.close()


@pytest.fixture(scope="session")
def store() -> Iterator[DuckStore]:
    """A store that tests fill anew (``small.measured``)."""
    store = DuckStore(threads=1)
    yield store
    store.close()
