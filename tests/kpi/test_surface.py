"""The door: what may be left out, tables of a snapshot, records without a mirror."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from b24metrics.crm.activities import PhoneCall
from b24metrics.crm.people import User
from b24metrics.crm.sales import Deal, StageMove
from b24metrics.errors import ConfigError, NothingMirrored
from b24metrics.kpi import COMPANY, KPIS, MANAGER, KpiOptions, WindowId, evaluate, evaluate_entities
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1
from tests.kpi.small import NOW, Company

WORDS = ["revenue_won", "win_rate"]


def test_a_mirror_of_one_portal_needs_no_name(t1: DuckStore) -> None:
    """KPIs, windows and grains as written; the portal found."""
    options = company_t1.OPTIONS
    said = evaluate(t1, WORDS, ["mtd"], ["M", "T"], now=company_t1.NOW, options=options)
    whole = evaluate(t1, company_t1.PORTAL, [KPIS[name] for name in WORDS], now=company_t1.NOW, options=options)

    assert 244_000 == said.value(KPIS["revenue_won"], WindowId.MTD)
    assert {(WindowId.MTD, MANAGER), (WindowId.MTD, COMPANY)} == {(s.window, s.grain) for s in said.samples}
    assert all(sample in whole.samples for sample in said.samples)


def test_what_is_not_clear_is_asked_for(empty: DuckStore) -> None:
    """No portal, two portals, an id nobody has, a window or cut that does not exist, a word where a list is wanted."""
    with pytest.raises(NothingMirrored, match="b24metrics sync"):
        evaluate(empty)
    empty.upsert(schema.PORTALS, [{"portal": "a"}, {"portal": "b"}])
    with pytest.raises(ConfigError, match=r"2 portals.*: a, b"):
        evaluate(empty, WORDS)
    with pytest.raises(LookupError, match="revenue_one"):
        evaluate(empty, "a", ["revenue_one"])
    with pytest.raises(ValueError, match="fortnight"):
        evaluate(empty, "a", WORDS, ["fortnight"])
    with pytest.raises(ValueError, match="there is no window 'm'; a list is wanted"):
        evaluate(empty, "a", WORDS, "mtd")
    with pytest.raises(ValueError, match="there is no grain 'Z'"):
        evaluate(empty, "a", WORDS, ["mtd"], ["Z"])


def test_the_present_is_the_default(store: DuckStore) -> None:
    """Without an instant the clock tells it."""
    Company().staff().pour(store)
    before = datetime.now(UTC)

    assert before <= evaluate(store, WORDS).at <= datetime.now(UTC)


def test_tables_say_the_same(t1: DuckStore) -> None:
    """One row a sample, the same columns for all: rows, Arrow, pandas."""
    snapshot = evaluate(t1, WORDS, ["mtd", "today"], ["M", "P", "T"], now=company_t1.NOW, options=company_t1.OPTIONS)
    rows = snapshot.rows()
    table = snapshot.to_arrow()

    assert len(snapshot.samples) == len(rows) == table.num_rows
    assert ["kpi", "grain", "window", "manager_id", "department_id", "pipeline_id", "value", "n", "numerator", "denominator"] == table.column_names  # fmt: skip
    assert rows == table.to_pylist()
    assert {"kpi": "win_rate", "grain": "T", "window": "mtd", "manager_id": None, "department_id": None, "pipeline_id": None, "value": 0.6, "n": 5, "numerator": 3.0, "denominator": 5.0} in rows  # fmt: skip


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_of_other_libraries(t1: DuckStore, library: str) -> None:
    """The same columns, where the library is installed."""
    pytest.importorskip(library, reason=f"{library} is not installed")
    snapshot = evaluate(t1, WORDS, ["mtd"], ["T"], now=company_t1.NOW, options=company_t1.OPTIONS)
    frame = snapshot.to_pandas() if library == "pandas" else snapshot.to_polars()

    assert snapshot.to_arrow().column_names == list(frame.columns)
    assert [244_000, 0.6] == list(frame["value"])


def test_a_library_that_is_missing_is_named(t1: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the next step."""
    snapshot = evaluate(t1, ["revenue_won"], ["mtd"], ["T"], now=company_t1.NOW, options=company_t1.OPTIONS)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="pip install 'polars'"):
        snapshot.to_polars()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install 'pandas'"):
        snapshot.to_pandas()


def test_records_without_a_mirror() -> None:
    """The same declarations on what was just read from a portal: no file, nothing opened."""
    created, won = datetime(2025, 3, 3, 10, tzinfo=UTC), datetime(2025, 3, 10, 10, tzinfo=UTC)
    deal = Deal(
        id=1, title="Deal", pipeline_id=0, stage_id="WON", semantics="S", opportunity=Decimal(250), currency_id="RUB",
        assigned_by_id=7, created_at=created, modified_at=won, moved_at=won,
    )  # fmt: skip
    move = StageMove(
        id=1, kind=3, entity_type_id=2, owner_id=1, created_at=won, pipeline_id=0, stage_id="WON", semantics="S"
    )
    found = evaluate_entities(
        [deal, move, User(id=7, active=True, name="Anna", department_ids=(1,))],
        ["revenue_won", "win_rate", "calls_count"],
        now=NOW,
        options=KpiOptions(zone="Europe/Moscow"),
    )

    assert 250 == found.value(KPIS["revenue_won"], WindowId.MTD)
    assert 250 == found.value(KPIS["revenue_won"], WindowId.D7)
    assert 1 == found.value(KPIS["win_rate"], WindowId.MTD)
    assert {"calls_count": ("phone_calls",)} == dict(found.absent)  # none was handed in: nothing is known


def test_only_records_that_a_mirror_keeps() -> None:
    """A stranger is named, with those that are known."""
    with pytest.raises(TypeError, match=r"str is no record that a mirror keeps; those are: .*Deal.*PhoneCall"):
        evaluate_entities(["a deal"])
    call = PhoneCall(id=1, user_id=7, started_at=NOW, type_id=1, failed_code="200", duration_seconds=60)
    assert 1 == evaluate_entities([call], ["calls_count"], now=NOW.replace(hour=13)).value(
        KPIS["calls_count"], WindowId.TODAY
    )
