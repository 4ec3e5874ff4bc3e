"""Plans: monthly amounts of managers, departments and the company, folded into the periods of windows.

Laws: a window is compared with the plan of its whole period (a month, a quarter); a month without a plan adds nothing, a
period without any plan has none. A department or the company without a plan of its own has the sum of its managers'.
Source: catalogue §19 "Volume and plan".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal

from b24metrics.kpi.dimensions import Scope
from b24metrics.kpi.model import Axis, Grain, WindowId
from b24metrics.kpi.windows import Window

_PLANNED = frozenset({WindowId.MTD, WindowId.QTD, WindowId.PREV_MONTH})


class PlanBook:
    """All plans of one portal.

    Args:
        rows: (KPI id, level "M", "D" or "T", subject id, first day of the month, amount).
        scope: where managers belong.
    """

    def __init__(self, rows: Iterable[tuple[str, str, int, date, Decimal]], scope: Scope) -> None:
        self._own: dict[tuple[str, str, int, date], Decimal] = {}
        self._members: dict[tuple[str, date], dict[int, Decimal]] = defaultdict(dict)
        self._scope = scope
        self._places = {m.person.id: frozenset(scope.tree.ancestors(m.department_id or 0)) for m in scope.members}
        for kpi_id, level, subject, month, amount in rows:
            if level == "M" and (scope.chosen is None or subject in scope.chosen):
                self._members[kpi_id, month][subject] = amount
            # An ad-hoc set of people has no plan but those of its members.
            if level == "M" or scope.chosen is None:
                self._own[kpi_id, level, subject, month] = amount

    def amount(self, kpi_id: str, grain: Grain, subject: int, window: Window) -> Decimal | None:
        """Plan of a manager (M), a department (D) or the company (T, subject 0) for the window's period; None without."""
        level = str(grain)
        found = [self._month(kpi_id, level, subject, month) for month in _months(window)]
        known = [amount for amount in found if amount is not None]
        return sum(known, Decimal(0)) if known else None

    def _month(self, kpi_id: str, level: str, subject: int, month: date) -> Decimal | None:
        own = self._own.get((kpi_id, level, subject, month))
        if own is not None or level == Axis.MANAGER:
            return own
        members = self._members.get((kpi_id, month), {})
        amounts = [a for who, a in members.items() if level == "T" or subject in self._places.get(who, frozenset())]
        return sum(amounts, Decimal(0)) if amounts else None


def _months(window: Window) -> Iterator[date]:
    """First days of the months of the window's period."""
    at = window.first_on
    while window.id in _PLANNED and at < window.last_on:
        yield at
        at = date(at.year + at.month // 12, at.month % 12 + 1, 1)
