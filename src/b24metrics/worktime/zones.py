"""Wall time and instants of one IANA zone, whole arrays at once.

Laws: a wall time ``w`` stands for the first instant at which the local clock shows ``w`` or later (first of two in a
repeated hour, the transition itself in a gap). Wall seconds are seconds since 1970-01-01 00:00 on the wall, as if
there were no zone. Source: working-time semantics §2.3.
"""

from __future__ import annotations

import difflib
import zoneinfo
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np

from b24metrics.errors import CalendarError
from b24metrics.worktime.intervals import DAY, FAR, IntArray

STEP = 2 * DAY


@dataclass(frozen=True, slots=True, eq=False)
class ZoneTable:
    """Stretches of constant offset.

    Attributes:
        begins: instants at which the stretches begin, shape (n,). offsets: their UTC offsets, seconds, shape (n,).
        reached: latest wall time that the clock has come near to by the end of each stretch (never shown itself:
            half-open); FAR for the last one.
    """

    begins: IntArray
    offsets: IntArray
    reached: IntArray

    def instants(self, wall: IntArray) -> IntArray:
        """First instant at which the local clock shows each wall time or later. Monotone."""
        # The remembered clock passes w in the first stretch whose end is later than w ...
        i = np.searchsorted(self.reached, wall, side="right")
        # ... either while running (w - offset) or by the jump with which the stretch begins.
        return np.asarray(np.maximum(self.begins[i], wall - self.offsets[i]), dtype=np.int64)


@lru_cache(maxsize=512)
def zone_table(tz: str, begin: int, end: int) -> ZoneTable:
    """Offsets of ``tz`` for instants in ``[begin, end)``.

    Offsets are sampled every second day and each change is found to the second by halving. In the whole zone database
    no zone changes twice within six days after 1970 (a test keeps watch), so nothing is missed.
    """
    zone = load_zone(tz)

    def offset(at: int) -> int:
        delta = datetime.fromtimestamp(at, zone).utcoffset()
        assert delta is not None  # a ZoneInfo always knows
        return delta.days * DAY + delta.seconds

    begins, offsets = [begin], [offset(begin)]
    for sample in range(begin + STEP, end + STEP, STEP):
        now = offset(sample)
        if now == offsets[-1]:
            continue
        low, high = sample - STEP, sample
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
        begins.append(high)
        offsets.append(now)
    starts, shifts = np.array(begins, dtype=np.int64), np.array(offsets, dtype=np.int64)
    # Stretches last for days and jumps for hours, so the ends are in order.
    return ZoneTable(starts, shifts, np.append(starts[1:] + shifts[:-1], FAR))


def load_zone(tz: str) -> zoneinfo.ZoneInfo:
    """The zone by its IANA name.

    Raises:
        CalendarError: there is no such zone; names the likeliest ones.
    """
    try:
        return zoneinfo.ZoneInfo(tz)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        near = difflib.get_close_matches(str(tz), sorted(zoneinfo.available_timezones()), n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else " Write an IANA name such as Europe/Moscow."
        raise CalendarError(f"no such time zone: {tz!r}.{hint}") from error


def zone_database() -> str:
    """Version of the zone database in use, such as ``2025b``, and where it stands."""
    for place in zoneinfo.TZPATH:
        for name, prefix in (("tzdata.zi", "# version "), ("+VERSION", "")):
            file = Path(place) / name
            if file.is_file():
                with file.open(encoding="utf-8") as text:
                    return f"{text.readline().removeprefix(prefix).strip()} ({file})"
        if (Path(place) / "UTC").is_file():
            return f"unknown ({place})"
    return f"{metadata.version('tzdata')} (package tzdata)"
