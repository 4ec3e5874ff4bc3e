"""Frozen closings: what KPIs were when a month was closed, written down once and never changed.

Laws: a month is closed when its days of grace are over, a forecast is written down when a quarter of the month's working
time has passed; what is written is the number as of that instant, however late it is done, so that a daemon that rested
over the end of a month freezes the same. Months that were due before the portal was first copied stay open: nobody saw
them close. Whoever pays by these numbers reads the table ``frozen_values``; dashboards show live ones. Source: catalogue §2.9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from b24metrics.kpi.evaluate import evaluate
from b24metrics.kpi.ground import Ground
from b24metrics.kpi.model import COMPANY, DEPARTMENT, MANAGER, Grain, Kpi, WindowId
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.planning import PERIOD_FORECAST_AMOUNT, PLAN_ATTAINMENT_RATIO
from b24metrics.kpi.volume import DEALS_WON_COUNT, REVENUE_WON
from b24metrics.kpi.windows import Window
from b24metrics.mirror.schema import FROZEN_VALUES

if TYPE_CHECKING:
    from b24metrics.mirror.stores import Store

#: How far back a month is looked for that should have been closed.
_MONTHS_BACK = 12
_FORECAST_SHARE = 4  # a quarter of the month's working time
_SUBJECTS = {MANAGER: "manager_id", DEPARTMENT: "department_id"}


@dataclass(frozen=True, slots=True)
class Closing:
    """KPIs to be written down for one month.

    Attributes:
        month: its first day. due_at: the instant whose numbers are kept. window: the month, seen from there.
    """

    month: date
    due_at: datetime
    window: WindowId
    kpis: tuple[Kpi, ...]
    grains: tuple[Grain, ...]


def due(store: Store, portal: str, *, now: datetime, options: KpiOptions | None = None) -> tuple[Closing, ...]:
    """What should have been written down by now and was not, oldest first. Costs a few small queries.

    Raises:
        NothingMirrored: the mirror does not know the portal.
    """
    ground = Ground(store, portal, now, options or KpiOptions())
    [(first, last)] = store.rows(
        "SELECT max(p.first_synced_at), (SELECT max(s.synced_at) FROM feed_state AS s WHERE s.portal = ? AND s.feed = 'deals') "
        "FROM portals AS p WHERE p.portal = ?",
        [portal, portal],
    )
    written = {
        (kpi_id, month)
        for kpi_id, month in store.rows(
            "SELECT kpi_id, month FROM frozen_values WHERE portal = ? AND level = 'T' AND subject_id = 0", [portal]
        )
    }
    found = []
    for closing in _closings(ground):
        # What is dated before the last look at the portal is all there.
        seen = (first is None or first <= closing.due_at) and closing.due_at <= min(now, last or now)
        kpis = tuple(kpi for kpi in closing.kpis if (kpi.id, closing.month) not in written)
        if seen and kpis:
            found.append(Closing(closing.month, closing.due_at, closing.window, kpis, closing.grains))
    return tuple(sorted(found, key=lambda one: one.due_at))


def freeze(store: Store, portal: str, *, now: datetime, options: KpiOptions | None = None) -> int:
    """Write down what is due, after a round of sync; returns the number of values written.

    A month whose feeds were not copied yet waits. ``store`` must be writable and not inside a transaction.

    Raises:
        NothingMirrored: the mirror does not know the portal.
    """
    count = 0
    for closing in due(store, portal, now=now, options=options):
        snapshot = evaluate(
            store, portal, closing.kpis, (closing.window,), closing.grains, now=closing.due_at, options=options
        )
        if snapshot.absent:
            continue
        rows = []
        for kpi in closing.kpis:
            told = {
                (str(grain), int(sample.labels[_SUBJECTS[grain]]) if grain in _SUBJECTS else 0): sample.value
                for grain in closing.grains
                for sample in snapshot.of(kpi, grain)
            }
            # The company's row stands even without a value: it says that the month is done.
            told.setdefault((str(COMPANY), 0), None)
            rows += [
                {
                    "portal": portal,
                    "kpi_id": kpi.id,
                    "level": level,
                    "subject_id": subject,
                    "month": closing.month,
                    "value": value,
                    "frozen_at": closing.due_at,
                }
                for (level, subject), value in told.items()
                if value is not None or level == str(COMPANY)
            ]
        with store.transaction():
            store.upsert(FROZEN_VALUES, rows)
        count += len(rows)
    return count


def _closings(ground: Ground) -> Iterator[Closing]:
    """Months that are over with their grace, and the forecasts of months under way, newest first."""
    grace = timedelta(days=ground.options.freeze_grace_days)
    first = ground.rules.window(WindowId.MTD, ground.now).first_on
    for _ in range(_MONTHS_BACK):
        month = _month(ground, first)
        due_at = ground.rules.midnight(month.last_on + grace)
        yield Closing(
            first,
            due_at,
            WindowId.PREV_MONTH,
            (REVENUE_WON, DEALS_WON_COUNT, PLAN_ATTAINMENT_RATIO),
            (MANAGER, DEPARTMENT, COMPANY),
        )
        whole = ground.clocks.company.elapsed(month.start, month.period_end)
        if whole > 0:
            begins = int(month.start.timestamp())
            quarter = ground.clocks.company.deadline(begins, -(-whole // _FORECAST_SHARE))
            at = datetime.fromtimestamp(quarter, UTC)
            yield Closing(first, at, WindowId.MTD, (PERIOD_FORECAST_AMOUNT,), (DEPARTMENT, COMPANY))
        first = (first - timedelta(days=1)).replace(day=1)


def _month(ground: Ground, first: date) -> Window:
    """The month that begins on this date, as a whole."""
    after = (first + timedelta(days=31)).replace(day=1)
    return ground.rules.window(WindowId.PREV_MONTH, ground.rules.midnight(after))
