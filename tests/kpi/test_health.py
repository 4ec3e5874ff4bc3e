"""What the mirror knows of itself, as KPIs (catalogue §11 technical health, §2.8)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from b24metrics.kpi import KPIS, Snapshot, WindowId
from b24metrics.kpi.health import CHAPTER
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi import small
from tests.kpi.small import NOW, OFFICE, Company, at

STATE = WindowId.NOW


def measured(store: DuckStore, company: Company) -> Snapshot:
    return small.measured(store, company, kpis=[kpi.id for kpi in CHAPTER], calendar=OFFICE)


def test_feeds_are_told_one_by_one(store: DuckStore) -> None:
    """Lag since the last complete round, nothing before the first; up where the last one succeeded."""
    company = Company(feeds=()).staff()
    good, bad = {"backfilled_at": NOW, "error": None}, {"backfilled_at": NOW, "error": "refused"}
    company.add(schema.FEED_STATE, feed="deals", synced_at=NOW - timedelta(seconds=90), **good)
    company.add(schema.FEED_STATE, feed="leads", synced_at=NOW - timedelta(hours=1), **bad)
    company.add(schema.FEED_STATE, feed="users", synced_at=None, **good)
    company.add(schema.FEED_STATE, feed="quotes", synced_at=NOW + timedelta(seconds=2), **good)  # clocks differ
    snapshot = measured(store, company)

    def told(kpi: str, label: str) -> dict[str, float | None]:
        return {sample.labels[label]: sample.value for sample in snapshot.samples if sample.kpi.id == kpi}

    assert {"deals": 90, "leads": 3600, "quotes": 0} == told("sync_lag_seconds", "entity")
    assert {"deals": 1, "leads": 0, "users": 0, "quotes": 1} == told("source_up", "source")


def test_the_last_full_reconcile_is_that_of_the_slowest(store: DuckStore) -> None:
    """No sample before the first one."""
    company = Company(feeds=()).staff()
    kpi = KPIS["last_full_reconcile_seconds"]
    company.add(schema.FEED_STATE, feed="users", synced_at=NOW, reconciled_at=None)
    assert measured(store, company).value(kpi, STATE) is None
    for feed, hours in (("deals", 5), ("leads", 7)):
        company.add(schema.FEED_STATE, feed=feed, synced_at=NOW, reconciled_at=NOW - timedelta(hours=hours))

    assert 7 * 3600 == measured(store, company).value(kpi, STATE)


@pytest.mark.parametrize(
    ("moment", "working"), [("03-14 12:00", 1), ("03-14 08:59", 0), ("03-14 18:00", 0), ("03-15 12:00", 0)]
)
def test_whether_the_company_works(store: DuckStore, moment: str, working: int) -> None:
    """By its calendar: Friday from nine to six."""
    company = Company().staff()
    snapshot = small.measured(store, company, now=at(moment), kpis=["company_working_now"], calendar=OFFICE)

    assert working == snapshot.value(KPIS["company_working_now"], STATE)


def test_the_exporter_tells_these_itself() -> None:
    """Under the same names, at every scrape: no family of them may come from an evaluation."""
    assert [()] * len(CHAPTER) == [kpi.families for kpi in CHAPTER]
