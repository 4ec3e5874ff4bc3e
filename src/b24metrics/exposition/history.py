"""Snapshots of past instants → one OpenMetrics text, so that a new Prometheus knows the past from its first day on.

Laws: names, labels, help and values are those of a scrape; every sample carries its moment; what Prometheus would have
seen at that moment stands there and nothing else. Families are whole, series are whole inside them, moments ascend (as
the format demands), although snapshots come one after the other: lines wait in files, not in memory.
Source: OpenMetrics 1.0, "Overall structure", "Timestamps"; Prometheus, "Backfilling from OpenMetrics format".
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

from b24metrics.errors import ConfigError
from b24metrics.exposition.families import collect
from b24metrics.exposition.series import number, prefix
from b24metrics.exposition.text import Family
from b24metrics.kpi.model import Kpi
from b24metrics.kpi.results import Snapshot

#: Most instants that are asked for at once: ten years of days, a year and a half of hours.
MOST_INSTANTS = 14_000

_STEP = re.compile(r"(\d+)([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_HELP = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def step_of(text: str) -> timedelta:
    """``15m``, ``1h``, ``1d``.

    Raises:
        ConfigError: no such length, or less than five minutes, or no divisor or multiple of a day.
    """
    found = _STEP.fullmatch(text)
    step = int(found[1]) * _UNITS[found[2]] if found else timedelta()
    day = timedelta(days=1)
    if step < timedelta(minutes=5) or (step < day and day % step) or (step > day and step % day):
        raise ConfigError(
            f"{text!r} is no step: use 5m, 15m, 30m, 1h, 6h, 1d, 7d or the like, whole parts of a day or whole days."
        )
    return step


def instants(since: datetime, until: datetime, step: timedelta, zone: str) -> list[datetime]:
    """Moments in ``[since, until)``, UTC, ascending: steps of the wall in the reporting zone.

    Steps of days are taken in the last second of a day, so that ``today`` means the whole of it.

    Raises:
        ConfigError: too many, or none.
    """
    place = ZoneInfo(zone)
    day, last = since.astimezone(place).date(), until.astimezone(place).date()
    if (until - since) / step > MOST_INSTANTS:
        raise ConfigError(
            f"That would be more than {MOST_INSTANTS} instants: choose a longer step or a later beginning."
        )
    found: list[datetime] = []
    days, walls = 1, [time(23, 59, 59)]
    if step >= timedelta(days=1):
        days = step.days
    else:
        walls = [_wall(n * step) for n in range(timedelta(days=1) // step)]
    while day <= last:
        moments = (datetime.combine(day, wall, place).astimezone(UTC) for wall in walls)
        found += [moment for moment in moments if since <= moment < until]
        day += timedelta(days=days)
    if not found:
        raise ConfigError("There is no instant between beginning and end: begin earlier, or choose a shorter step.")
    return sorted(set(found))  # where the clock is set back or forward two walls may be one instant


def _wall(since_midnight: timedelta) -> time:
    hours, seconds = divmod(since_midnight.seconds, 3600)
    return time(hours, *divmod(seconds, 60))


def write_history(snapshots: Iterable[Snapshot], kpis: Sequence[Kpi], into: IO[str]) -> int:
    """Write what the snapshots say, in the order of time, as one text; returns the number of samples.

    Raises:
        ValueError: a snapshot that is not later than the one before it.
    """
    with tempfile.TemporaryDirectory(prefix="b24metrics-history-") as folder:
        shelf = _Shelf(Path(folder))
        before: datetime | None = None
        for snapshot in snapshots:
            if before is not None and snapshot.at <= before:
                raise ValueError("snapshots of a history must follow one another")
            before = snapshot.at
            for family in collect(snapshot, kpis).families:
                shelf.put(family, snapshot.at)
        return shelf.empty(into)


class _Shelf:
    """Lines of each family in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._families: dict[str, Family] = {}

    def put(self, family: Family, at: datetime) -> None:
        if not family.series:
            return
        self._families[family.name] = family
        stamp = number(at.timestamp())
        with self._path(family.name).open("a", encoding="utf-8", errors="replace") as file:
            file.writelines(
                f"{prefix(family.name, family.labels, values)}\t{stamp}\t{number(value)}\n"
                for values, value in family.series.items()
            )

    def empty(self, into: IO[str]) -> int:
        written = 0
        for name in sorted(self._families):
            into.write(f"# HELP {name} {self._families[name].help.translate(_HELP)}\n# TYPE {name} gauge\n")
            for line in self._sorted(name):
                series, stamp, value = line.rstrip("\n").rsplit("\t", 2)
                into.write(f"{series}{value} {stamp}\n")
                written += 1
        into.write("# EOF\n")
        return written

    def _sorted(self, name: str) -> Iterator[str]:
        """Lines by series; those of one series keep their order, which is that of time."""
        with self._path(name).open(encoding="utf-8") as file:
            yield from sorted(file, key=lambda line: line.rsplit("\t", 2)[0])

    def _path(self, name: str) -> Path:
        return self._folder / name
