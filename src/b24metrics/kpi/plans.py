"""Books: monthly numbers of managers, departments and the company (plans, frozen values, costs), folded into periods.

Laws: a window is compared with the plan of its whole period (a month, a quarter); a month without a plan adds nothing, a
period without any plan has none. A department or the company without a number of its own has the sum of its managers'.
Somebody who joined in the middle of a month, without a plan for it, has that of the month after, by the share of the
month's working time that was left. Frozen values and inputs of the future do not exist yet.
Source: catalogue §5 ``plan_amount``, §19 "Volume and plan".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Self, TypeAlias

from b24metrics.kpi.dimensions import Scope
from b24metrics.kpi.model import Axis, Book, Grain, WindowId
from b24metrics.kpi.windows import Window

if TYPE_CHECKING:
    from b24metrics.kpi.ground import Ground

_PLANNED = frozenset({WindowId.MTD, WindowId.QTD, WindowId.PREV_MONTH})

#: KPI id (or kind of input), level "M", "D" or "T", subject id, first day of the month, amount.
Entry: TypeAlias = tuple[str, str, int, date, Decimal]


class PlanBook:
    """All numbers of one book of one portal.

    Args:
        rows: several of one key are summed.
        scope: where managers belong.
        joined: first working days. left: share of its month's working time that is left from a date on.
    """

    def __init__(
        self,
        rows: Iterable[Entry],
        scope: Scope,
        joined: Mapping[int, date] | None = None,
        left: Callable[[date], float] = lambda _: 1.0,
    ) -> None:
        self._own: dict[tuple[str, str, int, date], Decimal] = defaultdict(Decimal)
        self._scope = scope
        self._places = {m.person.id: frozenset(scope.tree.ancestors(m.department_id or 0)) for m in scope.members}
        for kpi_id, level, subject, month, amount in rows:
            # An ad-hoc set of people has no plan but those of its members.
            if scope.chosen is None or (level == "M" and subject in scope.chosen):
                self._own[kpi_id, level, subject, month] += amount
        self._own |= dict(self._of_joiners(joined or {}, left))
        self._written: dict[tuple[str, str, date], dict[int, Decimal]] = defaultdict(dict)
        for (kpi_id, level, subject, month), amount in self._own.items():
            self._written[kpi_id, level, month][subject] = amount
        self._months: dict[tuple[str, str, date], Mapping[int, Decimal]] = {}

    @classmethod
    def read(cls, book: Book, ground: Ground) -> Self:
        """The book as it stood at the evaluation instant."""
        rows, today = ground.store.rows, ground.rules.wall(ground.now).date()
        match book:
            case Book.PLANS:
                found = rows(
                    "SELECT kpi_id, level, subject_id, month, amount FROM plans WHERE portal = ?", [ground.portal]
                )
                return cls(found, ground.scope, _joined(ground), lambda day: _left(ground, day))
            case Book.FROZEN:
                found = rows(
                    "SELECT kpi_id, level, subject_id, month, value FROM frozen_values "
                    "WHERE portal = ? AND frozen_at <= ? AND value IS NOT NULL",
                    [ground.portal, ground.now],
                )
            case Book.INPUTS:
                found = rows(
                    "SELECT kind, level, subject_id, starts_on, amount FROM inputs "
                    "WHERE portal = ? AND level IN ('M', 'D', 'T') AND starts_on <= ?",
                    [ground.portal, today],
                )
        return cls(((*key, on.replace(day=1), Decimal(str(number))) for *key, on, number in found), ground.scope)

    def amounts(self, kpi_id: str, grain: Grain, subjects: Sequence[int], window: Window) -> Sequence[Decimal | None]:
        """Plans of managers (M), departments (D) or the company (T, subject 0) for the window's period; None without."""
        level, months = str(grain), list(_months(window))
        if not months:
            return []
        told = [self._of_month(kpi_id, level, month) for month in months]
        return [
            sum(known, Decimal(0)) if (known := [one[subject] for one in told if subject in one]) else None
            for subject in subjects
        ]

    def _of_month(self, kpi_id: str, level: str, month: date) -> Mapping[int, Decimal]:
        """All plans of one level and month: those that were written down, else the sums of the members'."""
        key = (kpi_id, level, month)
        if key not in self._months:
            found: dict[int, Decimal] = defaultdict(Decimal)
            if level != Axis.MANAGER:
                for who, amount in self._written[kpi_id, "M", month].items():
                    for place in self._places.get(who, ()) if level == "D" else (0,):
                        found[place] += amount
            self._months[key] = {**found, **self._written[kpi_id, level, month]}
        return self._months[key]

    def _of_joiners(
        self, joined: Mapping[int, date], left: Callable[[date], float]
    ) -> Iterator[tuple[tuple[str, str, int, date], Decimal]]:
        """Plans of those who came when the month had begun, where nobody wrote one down."""
        for (kpi_id, level, subject, month), amount in self._own.items():
            first = joined.get(subject) if level == "M" else None
            if first is None or first.day == 1 or _next(first.replace(day=1)) != month:
                continue
            key = (kpi_id, level, subject, first.replace(day=1))
            if key not in self._own:
                yield key, amount * Decimal(str(left(first)))


def _joined(ground: Ground) -> Mapping[int, date]:
    people = (ground.clocks.person(member.person.id) for member in ground.scope.members)
    return {person.id: person.employed_on for person in people if person.employed_on is not None}


def _left(ground: Ground, day: date) -> float:
    """Share of the month's working time of the company that lies at or after a date."""
    month = day.replace(day=1)
    first, at, end = (int(moment.timestamp()) for moment in ground.rules.midnights([month, day, _next(month)]))
    whole = ground.clocks.company.elapsed(first, end)
    return ground.clocks.company.elapsed(at, end) / whole if whole else 0.0


def _months(window: Window) -> Iterator[date]:
    """First days of the months of the window's period."""
    at = window.first_on
    while window.id in _PLANNED and at < window.last_on:
        yield at
        at = _next(at)


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
