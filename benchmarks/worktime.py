"""Working seconds of many pairs: ours, bare numpy, and two libraries where they are installed.

    pip install -e '.[bench]'
    python benchmarks/worktime.py [--pairs 10000]

All of it runs in one process, one after the other and again, so that the ratios mean something on a busy machine. Each
candidate is also asked for 100 pairs whose answer is counted day by day in plain Python: a fast wrong number is no number.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as day_time
from zoneinfo import ZoneInfo

import holidays
import numpy as np

from b24metrics.worktime import Absence, Calendars, Employee, PublicHolidays, WorkCalendar, WorkClock, zone_database

TZ = "Europe/Moscow"
ZONE = ZoneInfo(TZ)
YEAR = 2025
DAY = 86_400
OFFICE = WorkCalendar.simple(TZ, {"mon-fri": ["09:00-18:00"]}, holidays=PublicHolidays("RU"))
RUSSIA = holidays.country_holidays("RU", years=(YEAR - 1, YEAR, YEAR + 1), language="en_US")

Pairs = tuple[np.ndarray, np.ndarray]


def uniform(count: int, seed: int = 1) -> Pairs:
    """Both ends anywhere in the year: months apart."""
    begin = int(datetime(YEAR, 1, 1, tzinfo=UTC).timestamp())
    ends = np.random.default_rng(seed).integers(begin, begin + 364 * DAY, (count, 2))
    ends.sort(axis=1)
    return ends[:, 0], ends[:, 1]


def reactions(count: int, seed: int = 2) -> Pairs:
    """A reaction follows within hours: median two."""
    starts, _ = uniform(count, seed)
    gaps = np.random.default_rng(seed).lognormal(np.log(7200), 1.5, count).astype(np.int64)
    return starts, np.minimum(starts + gaps, starts + 30 * DAY)


def by_hand(start: int, end: int) -> int:
    """Day after day, nothing shared with the product but the holidays."""
    total, day = 0, datetime.fromtimestamp(start, ZONE).date()
    while day <= datetime.fromtimestamp(end, ZONE).date():
        if RUSSIA.is_working_day(day):
            opening = datetime.combine(day, day_time(9), ZONE).timestamp()
            closing = datetime.combine(day, day_time(18), ZONE).timestamp()
            total += max(0, int(min(end, closing) - max(start, opening)))
        day += timedelta(days=1)
    return total


def ours() -> Callable[[Pairs], np.ndarray]:
    clock = WorkClock(OFFICE)
    return lambda pairs: clock.elapsed(*pairs)


def ours_for_many(people: int) -> Callable[[Pairs], np.ndarray]:
    """Every manager with a vacation of their own: as many different clocks."""
    vacations = [Absence.days(date(YEAR - 1, 1, 1) + timedelta(days=n)) for n in range(people)]
    book = Calendars(
        OFFICE,
        employees=[
            Employee(n, absences=(Absence(v.starts, v.starts + timedelta(days=14)),)) for n, v in enumerate(vacations)
        ],
    )
    return lambda pairs: book.elapsed(np.arange(pairs[0].size) % people, *pairs)


def bare_numpy() -> Callable[[Pairs], np.ndarray]:
    """The text book: prefix sums over merged intervals, one binary search per instant."""
    intervals = WorkClock(OFFICE).intervals(datetime(YEAR, 1, 1, tzinfo=UTC), datetime(YEAR + 1, 1, 1, tzinfo=UTC))
    starts, ends = np.ascontiguousarray(intervals[:, 0]), np.ascontiguousarray(intervals[:, 1])
    sums = np.concatenate(([0], np.cumsum(ends - starts)))

    def worked(at: np.ndarray) -> np.ndarray:
        i = np.searchsorted(starts, at, side="right") - 1
        j = np.maximum(i, 0)
        return np.where(i < 0, 0, sums[j] + np.minimum(at, ends[j]) - starts[j])

    return lambda pairs: worked(pairs[1]) - worked(pairs[0])


def busdays() -> Callable[[Pairs], np.ndarray]:
    """numpy's own business days and clipping: fixed offset, one shift, no working Saturday."""
    off = np.array([np.datetime64(day) for day in RUSSIA], dtype="datetime64[D]")
    calendar = np.busdaycalendar(holidays=off)

    def worked(at: np.ndarray) -> np.ndarray:
        wall = at + 3 * 3600
        days = (wall // DAY).astype("datetime64[D]")
        inside = np.clip(wall % DAY - 9 * 3600, 0, 9 * 3600)
        whole = np.busday_count(np.datetime64(f"{YEAR - 1}-01-01"), days, busdaycal=calendar)
        return whole * 9 * 3600 + np.where(np.is_busday(days, busdaycal=calendar), inside, 0)

    return lambda pairs: worked(pairs[1]) - worked(pairs[0])


def business_time_delta() -> Callable[[Pairs], np.ndarray]:
    import businesstimedelta as btd  # noqa: PLC0415 - may be missing
    import pytz  # noqa: PLC0415 - the only zones that it takes

    zone = pytz.timezone(TZ)
    day = btd.WorkDayRule(start_time=day_time(9), end_time=day_time(18), working_days=[0, 1, 2, 3, 4], tz=zone)
    rules = btd.Rules([day, btd.HolidayRule(RUSSIA, tz=zone)])

    def answer(pairs: Pairs) -> np.ndarray:
        moments = [[datetime.fromtimestamp(int(at), zone) for at in side] for side in pairs]
        return np.array([int(rules.difference(a, b).timedelta.total_seconds()) for a, b in zip(*moments, strict=True)])

    return answer


def business_duration() -> Callable[[Pairs], np.ndarray]:
    from business_duration import businessDuration  # noqa: PLC0415 - may be missing

    off = dict(RUSSIA)

    def answer(pairs: Pairs) -> np.ndarray:
        moments = [[datetime.fromtimestamp(int(at), ZONE).replace(tzinfo=None) for at in side] for side in pairs]
        return np.array(
            [
                round(60 * businessDuration(a, b, day_time(9), day_time(18), weekendlist=[5, 6], holidaylist=off, unit="min"))
                for a, b in zip(*moments, strict=True)
            ]
        )  # fmt: skip

    return answer


# name, how to make it, share of the pairs that it is given (the slow ones would take minutes)
CANDIDATES: list[tuple[str, Callable[[], Callable[[Pairs], np.ndarray]], float]] = [
    ("bare numpy, searchsorted", bare_numpy, 1),
    ("b24metrics, one clock", ours, 1),
    ("b24metrics, 70 people", lambda: ours_for_many(70), 1),
    ("numpy busday_count + clipping", busdays, 1),
    ("business-duration", business_duration, 0.005),
    ("businesstimedelta", business_time_delta, 0.001),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the two libraries warn about themselves
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "holidays"))
    print(f"Python {platform.python_version()}, {versions}, zone database {zone_database()}")

    checked = uniform(100, seed=3)
    truth = [by_hand(int(a), int(b)) for a, b in zip(*checked, strict=True)]
    for title, pairs in (("uniform", uniform(options.pairs)), ("reactions", reactions(options.pairs))):
        print(f"\n{title}: {options.pairs:,} pairs of {YEAR}, Mon-Fri 09-18, Russian holidays")
        print(f"{'candidate':32} {'whole set':>12} {'each':>10} {'ratio':>9}  exact of 100")
        # Made once, then asked in turn: a slow moment of the machine meets all of them.
        ready = []
        for name, make, share in CANDIDATES:
            try:
                candidate = make()
            except ImportError:
                print(f"{name:32} {'not installed':>12}")
                continue
            few = max(10, int(options.pairs * share))
            candidate((pairs[0][:10], pairs[1][:10]))
            ready.append((name, candidate, (pairs[0][:few], pairs[1][:few]), []))
        for repeat in range(options.repeats):
            for _, candidate, given, times in ready:
                if given[0].size < options.pairs and repeat >= 2:
                    continue
                begin = time.perf_counter()
                candidate(given)
                times.append((time.perf_counter() - begin) / given[0].size)
        base = statistics.median(ready[0][3])
        for name, candidate, given, times in ready:
            each = statistics.median(times)
            slow = given[0].size < options.pairs
            some = (checked[0][:20], checked[1][:20]) if slow else checked
            exact = (
                "" if "70 people" in name else sum(int(a) == b for a, b in zip(candidate(some), truth, strict=False))
            )
            of = f" of {some[0].size}" if slow else ""
            print(
                f"{name:32} {each * options.pairs * 1e3:9.2f} ms {each * 1e6:7.3f} us {each / base:9.2f}  {exact}{of}"
            )


if __name__ == "__main__":
    main()
