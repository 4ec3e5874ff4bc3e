"""What the doors of ``kpi`` are to a type checker."""

from __future__ import annotations

from datetime import datetime
from typing import assert_type

import pyarrow as pa

from b24metrics.crm.sales import Deal
from b24metrics.kpi import KPIS, Kpi, Record, Snapshot, WindowId, evaluate, evaluate_entities, explain
from b24metrics.kpi.freezing import freeze
from b24metrics.kpi.model import COMPANY
from b24metrics.mirror.stores import Store


def _said_in_words(store: Store, at: datetime, deals: list[Deal]) -> None:
    """Every way to ask is understood, and answers a snapshot."""
    assert_type(evaluate(store), Snapshot)
    assert_type(evaluate(store, "portal"), Snapshot)
    assert_type(evaluate(store, "portal", ["revenue_won"], ["mtd"], ["M"], now=at), Snapshot)
    assert_type(evaluate(store, [KPIS["revenue_won"], "win_rate"], [WindowId.MTD], [COMPANY]), Snapshot)
    assert_type(evaluate(store, kpis=["revenue_won"], portal="portal"), Snapshot)
    assert_type(evaluate_entities(deals, ["revenue_won"], now=at), Snapshot)
    assert_type(explain(store, "portal", KPIS["revenue_won"], WindowId.MTD, now=at), tuple[Record, ...])
    assert_type(freeze(store, "portal", now=at), int)


def _answers(snapshot: Snapshot, kpi: Kpi) -> None:
    """A number or nothing; rows of plain values."""
    assert_type(snapshot.value(kpi, WindowId.MTD), float | None)
    assert_type(snapshot.rows(), list[dict[str, str | float | int | None]])
    assert_type(snapshot.to_arrow(), pa.Table)
