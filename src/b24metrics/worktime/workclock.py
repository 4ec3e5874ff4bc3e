"""Counting working seconds: the compiled form of a calendar.

Laws: ``W(t)`` is the length of working time before ``t``; everything else is a difference or an inverse of it. Seconds
are real seconds. Arguments are instants: epoch seconds (fractions are dropped), aware datetimes, or arrays of epoch
seconds or ``datetime64`` (UTC); scalars give plain values, arrays give arrays, and both broadcast.

Horizon: a clock compiles the UTC years that it is asked about and widens by itself; limits are the years 1970 to 2099,
outside of which HorizonError is raised. Looking ahead (deadlines, openings) goes at most five years from where it starts.
A clock may be shared between threads: what is compiled is replaced whole.

Source: working-time semantics §1, §3, §4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from b24metrics.errors import CalendarError, HorizonError
from b24metrics.worktime.calendar import WorkCalendar
from b24metrics.worktime.compiled import Compiled, Years, compile_calendar, year_of, year_start
from b24metrics.worktime.intervals import DAY, FAR, BoolArray, IntArray, between, contains, intersect

Moment: TypeAlias = int | float | datetime | np.integer[Any]
Moments: TypeAlias = npt.NDArray[Any] | Sequence[int]

FIRST_YEAR, LAST_YEAR = 1970, 2099
EARLIEST, LATEST = year_start(FIRST_YEAR), year_start(LAST_YEAR + 1)

_EPOCH = date(1970, 1, 1).toordinal()
_UNKNOWN = np.array([FAR], dtype=np.int64)

#: How far a deadline may lie ahead. Longer means that the schedule is as good as empty.
LOOK_AHEAD = 5 * 366 * DAY


def epoch_seconds(at: Moment | Moments) -> IntArray:
    """Whole epoch seconds of instants, shape as given.

    Raises:
        CalendarError: a datetime without zone, or something that is not an instant.
    """
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise CalendarError(f"{at} has no zone: an instant must be aware")
        return np.asarray(math.floor(at.timestamp()), dtype=np.int64)
    array = np.asarray(at)
    match array.dtype.kind:
        case "i" | "u":
            return array.astype(np.int64, copy=False)
        case "f" if np.isfinite(array).all():
            return np.asarray(np.floor(array), dtype=np.int64)
        case "M" if not np.isnat(array).any():
            return np.asarray(array.astype("datetime64[s]"), dtype=np.int64)
        case "O" if all(isinstance(item, datetime) for item in array.flat):
            flat = [int(epoch_seconds(item)) for item in array.flat]
            return np.array(flat, dtype=np.int64).reshape(array.shape)
        case _:
            raise CalendarError(f"{at!r:.100} are not instants: give epoch seconds, aware datetimes or datetime64")


def span_of(*instants: IntArray) -> tuple[int, int] | None:
    """Earliest and latest of all the instants; None if there is none."""
    full = [at for at in instants if at.size]
    if not full:
        return None
    return min(int(at.min()) for at in full), max(int(at.max()) for at in full)


def years_of(*instants: IntArray) -> Years:
    """UTC years that hold all the instants.

    Raises:
        HorizonError: one of them lies outside the years that working time is counted in.
    """
    low, high = span_of(*instants) or (EARLIEST, EARLIEST)
    if low < EARLIEST or high > LATEST:
        raise HorizonError(
            f"instant {low if low < EARLIEST else high} (epoch seconds) lies outside the years {FIRST_YEAR} to {LAST_YEAR} "
            "that working time is counted in: check whether it is a date at all"
        )
    return Years(year_of(low), min(year_of(high), LAST_YEAR))


class WorkClock:
    """Counts the working seconds of one calendar.

    Args:
        calendar: the rules.
        company: whose working time counts before ``employed_on`` and after ``dismissed_at``; None: nothing does.
        employed_on: first date that belongs to the calendar, from 00:00 in its zone.
        dismissed_at: instant from which it no longer does.
    """

    def __init__(
        self,
        calendar: WorkCalendar,
        company: WorkCalendar | None = None,
        employed_on: date | None = None,
        dismissed_at: datetime | None = None,
    ) -> None:
        self.calendar = calendar
        self._company = company
        self._tenure = (employed_on, dismissed_at)
        self._compiled: Compiled | None = None
        self._origin: int | None = None

    # ------------------------------------------------------------ W and its differences

    @overload
    def worked(self, at: Moment) -> int: ...
    @overload
    def worked(self, at: Moments) -> IntArray: ...
    def worked(self, at: Moment | Moments) -> int | IntArray:
        """``W``: working seconds before each instant.

        The origin is the beginning of the first years that this clock was asked about: it stays for the clock's life
        and means nothing; only differences do.
        """
        seconds = epoch_seconds(at)
        compiled = self._covering(seconds)
        assert self._origin is not None  # set with the first compilation
        return _plain(compiled.tally.before(seconds) - compiled.tally.before(np.asarray(self._origin)))

    @overload
    def elapsed(self, start_at: Moment, end_at: Moment) -> int: ...
    @overload
    def elapsed(self, start_at: Moments, end_at: Moment | Moments) -> IntArray: ...
    @overload
    def elapsed(self, start_at: Moment, end_at: Moments) -> IntArray: ...
    def elapsed(self, start_at: Moment | Moments, end_at: Moment | Moments) -> int | IntArray:
        """Working seconds between paired instants.

        Args:
            start_at: where counting starts, shape (n,); scalars broadcast.
            end_at: where it ends.

        Returns:
            int64, shape (n,); negative where the end precedes the start.

        Raises:
            HorizonError: an instant lies outside the years 1970 to 2099.
        """
        starts, ends = epoch_seconds(start_at), epoch_seconds(end_at)
        tally = self._covering(starts, ends).tally
        return _plain(tally.before(ends) - tally.before(starts))

    @overload
    def deadline(self, start_at: Moment, seconds: int) -> int: ...
    @overload
    def deadline(self, start_at: Moments, seconds: int | Moments) -> IntArray: ...
    @overload
    def deadline(self, start_at: Moment, seconds: Moments) -> IntArray: ...
    def deadline(self, start_at: Moment | Moments, seconds: int | Moments) -> int | IntArray:
        """Earliest instant by which so many working seconds have passed since the start.

        Zero seconds give the start itself, even outside working hours. A deadline that falls on a closing bell stays there.

        Args:
            start_at: where counting starts, shape (n,); scalars broadcast.
            seconds: working seconds to pass, not negative.

        Returns:
            Epoch seconds, int64, shape (n,).

        Raises:
            HorizonError: not reached within five years (an empty schedule, an absence without end).
            CalendarError: a negative number of seconds.
        """
        starts, wanted = np.broadcast_arrays(epoch_seconds(start_at), epoch_seconds(seconds))
        if (wanted < 0).any():
            raise CalendarError("a deadline lies ahead: the number of working seconds must not be negative")

        def probe(compiled: Compiled) -> IntArray:
            return compiled.tally.reaching(compiled.tally.before(starts) + np.maximum(wanted, 1))

        # W does not tell apart the instants of a break, so zero is answered by the start itself.
        found = np.where(wanted == 0, starts, self._ahead(starts, probe, wanted > 0, "a deadline"))
        return _plain(found)

    @overload
    def lookback(self, end_at: Moment, seconds: int) -> int: ...
    @overload
    def lookback(self, end_at: Moments, seconds: int | Moments) -> IntArray: ...
    @overload
    def lookback(self, end_at: Moment, seconds: Moments) -> IntArray: ...
    def lookback(self, end_at: Moment | Moments, seconds: int | Moments) -> int | IntArray:
        """Latest instant from which so many working seconds pass until the end: the deadline's mirror.

        What began at or before it is at least so old, in working time. Zero seconds give the end itself.

        Raises:
            HorizonError: not reached within the five years before.
            CalendarError: a negative number of seconds.
        """
        ends, wanted = np.broadcast_arrays(epoch_seconds(end_at), epoch_seconds(seconds))
        if (wanted < 0).any():
            raise CalendarError("looking back, the number of working seconds must not be negative")

        def probe(compiled: Compiled) -> IntArray:
            return -compiled.tally.leaving(compiled.tally.before(ends) - np.maximum(wanted, 1))

        # Time runs backwards here: distances from the end are negative, so signs are turned twice.
        found = -self._ahead(-ends, probe, wanted > 0, "a start", sign=-1)
        return _plain(np.where(wanted == 0, ends, found))

    # ------------------------------------------------------------ state and bells

    @overload
    def is_working(self, at: Moment) -> bool: ...
    @overload
    def is_working(self, at: Moments) -> BoolArray: ...
    def is_working(self, at: Moment | Moments) -> bool | BoolArray:
        """Whether each instant is working time; an opening bell is, a closing bell is not."""
        seconds = epoch_seconds(at)
        return _truth(self._covering(seconds).tally.holds(seconds))

    @overload
    def is_absent(self, at: Moment) -> bool: ...
    @overload
    def is_absent(self, at: Moments) -> BoolArray: ...
    def is_absent(self, at: Moment | Moments) -> bool | BoolArray:
        """Whether an absence covers each instant, inside or outside working hours."""
        seconds = epoch_seconds(at)
        return _truth(contains(self._covering(seconds).absent, seconds))

    @overload
    def next_opening(self, at: Moment) -> int: ...
    @overload
    def next_opening(self, at: Moments) -> IntArray: ...
    def next_opening(self, at: Moment | Moments) -> int | IntArray:
        """Earliest working instant at or after each given one: itself during work. HorizonError if none in five years."""
        return _plain(np.maximum(epoch_seconds(at), self._bell(at, closing=False)))

    @overload
    def next_closing(self, at: Moment) -> int: ...
    @overload
    def next_closing(self, at: Moments) -> IntArray: ...
    def next_closing(self, at: Moment | Moments) -> int | IntArray:
        """Earliest closing bell after each instant: of this stretch of work, or of the next. HorizonError if none in five years."""
        return _plain(self._bell(at, closing=True))

    def _bell(self, at: Moment | Moments, *, closing: bool) -> IntArray:
        seconds = epoch_seconds(at)

        def probe(compiled: Compiled) -> IntArray:
            tally = compiled.tally
            # An interval that touches the end of the compiled years may go on behind it.
            closings = np.where(tally.ends == compiled.years.end, FAR, tally.ends)
            return np.asarray((closings if closing else tally.starts)[tally.next(seconds)], dtype=np.int64)

        return self._ahead(seconds, probe, np.ones(seconds.shape, dtype=np.bool_), "a bell")

    def intervals(self, start_at: Moment, end_at: Moment) -> npt.NDArray[np.int64]:
        """Working intervals in ``[start, end)``, epoch seconds, shape (n, 2), sorted and disjoint."""
        start, end = epoch_seconds(start_at), epoch_seconds(end_at)
        tally = self._covering(start, end).tally
        inside = intersect(tally.intervals, between(int(start), int(end)))
        return np.stack((inside.starts, inside.ends), axis=1)

    # ------------------------------------------------------------ shares of a window

    def share(self, start_at: Moment, end_at: Moment, at: Moment) -> float | None:
        """Share 0 … 1 of the window's working time that has passed at an instant; None where the window has none."""
        whole = self.elapsed(start_at, end_at)
        passed = min(max(self.elapsed(start_at, at), 0), whole)
        return passed / whole if whole > 0 else None

    def at_share(self, start_at: Moment, end_at: Moment, share: float) -> int | None:
        """Earliest instant of the window at which this share of its working time has passed; None where it has none.

        Source: catalogue §2.4, ``align = "working"``.
        """
        if not 0 <= share <= 1:
            raise CalendarError(f"a share lies between 0 and 1, not {share}")
        whole = self.elapsed(start_at, end_at)
        return self.deadline(start_at, round(share * whole)) if whole > 0 else None

    # ------------------------------------------------------------ working days

    @overload
    def working_days_between(self, start_at: Moment, end_at: Moment) -> int: ...
    @overload
    def working_days_between(self, start_at: Moments, end_at: Moment | Moments) -> IntArray: ...
    @overload
    def working_days_between(self, start_at: Moment, end_at: Moments) -> IntArray: ...
    def working_days_between(self, start_at: Moment | Moments, end_at: Moment | Moments) -> int | IntArray:
        """Number of local dates ``x`` with ``date(start) < x ≤ date(end)`` that have positive working time.

        Work belongs to the date on which its shift starts. Negative where the end precedes the start.
        Source: working-time semantics §4.
        """
        starts, ends = epoch_seconds(start_at), epoch_seconds(end_at)
        compiled = self._covering(starts, ends)
        until = compiled.worked_days[1:]  # dates worked up to and including each date
        return _plain(until[compiled.day_index(ends)] - until[compiled.day_index(starts)])

    @overload
    def end_of_working_day(self, start_at: Moment, days: int) -> int: ...
    @overload
    def end_of_working_day(self, start_at: Moments, days: int | Moments) -> IntArray: ...
    def end_of_working_day(self, start_at: Moment | Moments, days: int | Moments) -> int | IntArray:
        """The midnight that ends the n-th working date after the date of each instant, n ≥ 1.

        So "within the next 3 working dates" is ``at < end_of_working_day(start, 3)``.

        Raises:
            HorizonError: not reached within five years.
            CalendarError: less than one day.
        """
        starts, wanted = np.broadcast_arrays(epoch_seconds(start_at), epoch_seconds(days))
        if (wanted < 1).any():
            raise CalendarError("the n-th working date after today needs n of 1 or more")

        def probe(compiled: Compiled) -> IntArray:
            until = compiled.worked_days[1:]
            ends: IntArray = np.concatenate((compiled.midnights[1:], _UNKNOWN, _UNKNOWN))
            counted: IntArray = until[compiled.day_index(starts)] + wanted
            return ends[np.searchsorted(until, counted, side="left")]

        return _plain(self._ahead(starts, probe, np.ones(starts.shape, dtype=np.bool_), "a working day"))

    def date_of(self, at: Moment) -> date:
        """Local date of an instant in the calendar's zone, by the remembered clock: it never goes back."""
        seconds = epoch_seconds(at)
        compiled = self._covering(seconds)
        return date.fromordinal(_EPOCH + compiled.first_day + int(compiled.day_index(seconds)))

    def working_dates(self, first: date, last: date) -> list[date]:
        """Dates between two, both included, with positive working time."""
        low, high = first.toordinal() - _EPOCH, last.toordinal() - _EPOCH
        compiled = self._covering(np.array([low * DAY, high * DAY]))
        counted = compiled.worked_days[low - compiled.first_day : high - compiled.first_day + 2]
        return [date.fromordinal(_EPOCH + low + int(index)) for index in np.flatnonzero(np.diff(counted))]

    def dates_worked(self, start_at: Moment, end_at: Moment) -> int:
        """Number of local dates, from that of the start on, with working time between two instants.

        Work belongs to the date on which its shift starts: the tail of a night before the start is that of no date here.
        """
        start, end = int(epoch_seconds(start_at)), int(epoch_seconds(end_at))
        compiled = self._covering(np.array([start, end]))
        shifts, first = compiled.shifts, compiled.first_day + int(compiled.day_index(np.asarray(start)))
        begins, stops = np.maximum(shifts.starts, start), np.minimum(shifts.ends, end)
        inside = (shifts.days >= first) & (begins < stops)
        worked = compiled.tally.before(stops[inside]) > compiled.tally.before(begins[inside])
        return np.unique(shifts.days[inside][worked]).size

    # ------------------------------------------------------------ compilation

    def _covering(self, *instants: IntArray) -> Compiled:
        """What is compiled, widened if need be, so that it holds all of the instants."""
        compiled = self._compiled
        span = span_of(*instants)
        if compiled is not None and (
            span is None or (compiled.years.begin <= span[0] and span[1] <= compiled.years.end)
        ):
            return compiled
        years = years_of(*instants)
        first, last = years.first, years.last
        if compiled is not None:
            first, last = min(first, compiled.years.first), max(last, compiled.years.last)
        compiled = compile_calendar(self.calendar, Years(first, last), self._company, self._tenure)
        if self._origin is None:
            self._origin = compiled.years.begin
        self._compiled = compiled
        return compiled

    def _ahead(
        self, starts: IntArray, probe: Callable[[Compiled], IntArray], wanted: BoolArray, what: str, sign: int = 1
    ) -> IntArray:
        """Ask ``probe`` in ever longer compilations until every wanted answer is known (not FAR).

        With ``sign`` -1 starts and answers are negated instants: the same walk into the past.
        """
        found = probe(self._covering(sign * starts))
        for years in (1, 2, 4, 5):
            if not (wanted & (found >= FAR)).any():
                break
            self._covering(np.clip(sign * (starts + years * 366 * DAY), EARLIEST, LATEST))
            found = probe(self._covering(sign * starts))
        late = wanted & (found - starts > LOOK_AHEAD)
        if late.any():
            start = sign * int(starts[late].ravel()[0])
            raise HorizonError(
                f"{what} {'after' if sign > 0 else 'before'} instant {start} (epoch seconds) is not reached within five "
                "years: the schedule is empty, or an absence has no end"
            )
        return found


def _plain(values: npt.NDArray[Any]) -> int | IntArray:
    """A plain int for a scalar question, the array otherwise."""
    return int(values) if np.ndim(values) == 0 else np.asarray(values, dtype=np.int64)


def _truth(values: BoolArray) -> bool | BoolArray:
    return bool(values) if values.ndim == 0 else values
