"""Histories: what Prometheus would have seen, with moments."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from b24metrics.errors import ConfigError
from b24metrics.exposition.history import MOST_INSTANTS, instants, step_of, write_history
from tests.exporter.toy import AT, HOSTILE, KPIS, a_snapshot

DAY = timedelta(days=1)


def text_of(*snapshots) -> str:
    into = io.StringIO()
    write_history(snapshots, KPIS, into)
    return into.getvalue()


def test_families_and_series_are_whole_and_moments_ascend() -> None:
    """The format wants a family in one piece, a series in one piece, and time to go on."""
    text = text_of(a_snapshot(), replace(a_snapshot(), at=AT + DAY))
    families = list(text_string_to_metric_families(text))

    names = [family.name for family in families]
    assert sorted(set(names)) == names
    for family in families:
        met = [(tuple(sorted(sample.labels.items())), float(sample.timestamp)) for sample in family.samples]
        runs = [key for key, _ in groupby(met, key=lambda one: one[0])]
        assert len(set(runs)) == len(runs)
        assert all(one != other or at < later for (one, at), (other, later) in pairwise(met))
    assert text.endswith("# EOF\n")


def test_a_history_says_what_scrapes_said() -> None:
    """Every sample of both snapshots, with its moment."""
    second = replace(a_snapshot(), at=AT + DAY)
    text = text_of(a_snapshot(), second)

    first_line = f'b24_revenue_won{{department_id="11",window="mtd"}} 190000 {int(AT.timestamp())}\n'
    assert first_line in text
    assert first_line.replace(str(int(AT.timestamp())), str(int(second.at.timestamp()))) in text


def test_hostile_names_are_escaped() -> None:
    """A name from the portal cannot break out of its label."""
    text = text_of(a_snapshot())
    [people] = [one for one in text_string_to_metric_families(text) if one.name == "b24_manager_info"]

    assert any(HOSTILE[:8] in sample.labels["manager"] for sample in people.samples)


def test_snapshots_must_follow_one_another() -> None:
    with pytest.raises(ValueError, match="follow one another"):
        text_of(a_snapshot(), a_snapshot())


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_makes_blocks_of_it(tmp_path: Path) -> None:
    """promtool takes the text, and the blocks hold all of its samples."""
    snapshots = [replace(a_snapshot(), at=AT + n * DAY) for n in range(5)]
    path = tmp_path / "history.txt"
    with path.open("w", encoding="utf-8") as file:
        count = write_history(snapshots, KPIS, file)
    blocks = tmp_path / "data"

    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(path), str(blocks)],
        check=True,
        capture_output=True,
    )
    (blocks / "wal").mkdir()  # a data directory that Prometheus has used has one
    dump = subprocess.run(["promtool", "tsdb", "dump", str(blocks)], check=True, capture_output=True, text=True).stdout

    assert count == len(dump.splitlines())


# ---------------------------------------------------------------- instants


def test_days_are_taken_in_their_last_second() -> None:
    """So that today is the whole day, in the reporting zone."""
    found = instants(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 4, 12, tzinfo=UTC), DAY, "Europe/Moscow")

    assert [datetime(2025, 3, day, 20, 59, 59, tzinfo=UTC) for day in (1, 2, 3)] == found


def test_hours_are_steps_of_the_wall() -> None:
    """Two in the morning does not exist on the day the clock goes forward, and is counted once when it goes back."""
    forward = instants(
        datetime(2025, 3, 29, 23, tzinfo=UTC),
        datetime(2025, 3, 30, 22, tzinfo=UTC),
        timedelta(hours=1),
        "Europe/Berlin",
    )

    assert 23 == len(forward)
    assert sorted(set(forward)) == forward


@pytest.mark.parametrize("text", ["", "1", "1w", "7h", "4m", "36h", "-1d", "0d"])
def test_steps_that_do_not_fit_a_day_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no step"):
        step_of(text)


@pytest.mark.parametrize(
    ("text", "step"), [("15m", timedelta(minutes=15)), ("6h", timedelta(hours=6)), ("7d", 7 * DAY)]
)
def test_steps(text: str, step: timedelta) -> None:
    assert step == step_of(text)


def test_too_many_and_too_few_are_refused() -> None:
    """One sentence with the next step instead of a day of computing, or of an empty text."""
    start = datetime(2000, 1, 1, tzinfo=UTC)
    with pytest.raises(ConfigError, match=f"more than {MOST_INSTANTS}"):
        instants(start, start + 20_000 * DAY, DAY, "UTC")
    with pytest.raises(ConfigError, match="no instant"):
        instants(start, start, DAY, "UTC")
