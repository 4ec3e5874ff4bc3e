"""The demonstration's Prometheus: it is given the past once, and ends with the demonstration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from b24exporter.charts import Charts
from b24metrics.exposition.history import write_history
from tests.exporter.test_compose import asked
from tests.exporter.toy import KPIS, a_snapshot

pytestmark = pytest.mark.real


def test_prometheus_knows_the_past_it_was_given(program: Callable[[str], str], tmp_path: Path) -> None:
    """A value of the day before yesterday counts for a day; a second start has nothing to do."""
    program("prometheus")
    program("promtool")
    day = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    history = tmp_path / "history.om"
    with history.open("w", encoding="utf-8") as file:
        write_history([replace(a_snapshot(), at=day)], KPIS, file)
    charts = Charts(tmp_path / "prometheus")

    asyncio.run(charts.remember(history))
    address = charts.start("127.0.0.1:1")
    try:
        values = asked(
            urlsplit(address).port, 'sum(b24_revenue_won{window="mtd"})', (day + timedelta(hours=24)).timestamp()
        )
    finally:
        charts.close()
    history.unlink()
    asyncio.run(charts.remember(history))

    assert ["244000"] == values
    assert charts._process.returncode is not None
