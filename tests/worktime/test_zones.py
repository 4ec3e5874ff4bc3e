"""The zone database, and wall times that are no instant or two."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import _zoneinfo

import numpy as np
import pytest

from b24metrics.errors import CalendarError
from b24metrics.worktime import zone_database
from b24metrics.worktime.zones import STEP, load_zone, zone_table

YEAR_2025 = (1_735_689_600, 1_767_225_600)


def test_no_zone_changes_twice_between_two_samples() -> None:
    """Offsets are sampled every second day: a zone that changed and changed back within them would be misread.

    The table of transitions is read through Python's own reading of the database, not through ours.
    """
    closest = {}
    for name in sorted(zoneinfo.available_timezones()):
        zone = _zoneinfo.ZoneInfo(name)  # the pure-Python twin keeps its transitions
        offsets = [info.utcoff for info in zone._ttinfos]
        before = [zone._tti_before.utcoff if zone._tti_before else None, *offsets]
        changes = [at for at, old, new in zip(zone._trans_utc, before, offsets, strict=False) if old != new and at >= 0]
        gaps = [later - earlier for earlier, later in pairwise(changes)]
        if gaps:
            closest[name] = min(gaps)
    print(f"zone database {zone_database()}: closest changes {min(closest.values()) / 86_400:.2f} days apart")

    assert {} == {name: gap for name, gap in closest.items() if gap <= 2 * STEP}


@pytest.mark.parametrize("tz", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"])
def test_offsets_agree_with_the_standard_library(tz: str) -> None:
    """At every hour of a year, in every stretch."""
    table, zone = zone_table(tz, *YEAR_2025), zoneinfo.ZoneInfo(tz)
    instants = np.arange(*YEAR_2025, 3600)

    ours = table.offsets[np.searchsorted(table.begins, instants, side="right") - 1]

    theirs = [datetime.fromtimestamp(int(at), zone).utcoffset().total_seconds() for at in instants]
    assert theirs == ours.tolist()


@pytest.mark.parametrize(
    ("tz", "wall", "instant"),
    [
        ("Europe/Berlin", "2025-03-30T02:30", "2025-03-30T01:00Z"),  # in the gap: the transition, not 03:30
        ("Europe/Berlin", "2025-10-26T02:30", "2025-10-26T00:30Z"),  # twice: the first
        ("Africa/Cairo", "2025-04-25T00:00", "2025-04-24T22:00Z"),  # midnight in a gap
        ("Asia/Almaty", "2024-03-01T00:00", "2024-02-29T19:00Z"),  # after 23:00-24:00 was shown twice
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00Z"),  # the day that did not happen
        ("Asia/Kathmandu", "2025-03-10T09:00", "2025-03-10T03:15Z"),
    ],
)
def test_wall_times_by_hand(tz: str, wall: str, instant: str) -> None:
    """The first instant at which the local clock shows the wall time or later."""
    naive = datetime.fromisoformat(wall)
    begin = int(naive.replace(tzinfo=UTC).timestamp()) - 10 * 86_400

    found = zone_table(tz, begin, begin + 20 * 86_400).instants(np.array([begin + 10 * 86_400]))

    assert [datetime.fromisoformat(instant).timestamp()] == found.tolist()


@pytest.mark.parametrize("tz", ["Europe/Moskow", "Europe", "../etc/passwd", "", "UTC+3", "\0"])
def test_an_unknown_zone_is_named(tz: str) -> None:
    """The mend stands in the message, whatever was written."""
    with pytest.raises(CalendarError) as told:
        load_zone(tz)

    assert repr(tz) in str(told.value)
    if tz == "Europe/Moskow":
        assert "Did you mean Europe/Moscow" in str(told.value)
