"""What a practice company is asked to be; everything else follows from these few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

#: Roubles per unit; the portal keeps AMOUNT roubles per AMOUNT_CNT units, as for the tenge.
ROUBLES = {"RUB": (1.0, 1), "USD": (89.6543, 1), "EUR": (97.2010, 1), "KZT": (17.43, 100)}

#: Records that one manager gets in a month of an ordinary year.
DEALS_A_MONTH = 24
LEADS_PER_DEAL = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """A seeded sales department of Russia; the defaults are the demo.

    Args:
        now: epoch seconds; the history ends here. Only plans (deadlines, expected closing dates, vacations) lie later.
        seed: two companies of one seed and the same options are equal row by row.
        managers: people who sell today, heads of sub-departments included; dismissed ones come on top.
        departments: sub-departments of sales.
        months: length of the history.
        deals: exact number of deals; by default 24 a month and manager, times ``scale``.
        scale: multiplies the number of requests and deals.
        talk: multiplies telephone calls, letters, to-dos and the like per deal.
        zone: the portal's time zone; one sub-department lives farther east.
        base_currency: RUB, USD, EUR or KZT.
        classic: leads come before deals; otherwise (simple mode) requests are deals at once and there are no leads.
    Raises:
        ValueError: an option out of its range.
    """

    now: float
    seed: int = 24
    managers: int = 70
    departments: int = 6
    months: int = 12
    deals: int | None = None
    scale: float = 1.0
    talk: float = 1.0
    zone: str = "Europe/Moscow"
    base_currency: str = "RUB"
    classic: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.departments <= self.managers:
            raise ValueError(f"departments must be between 1 and managers, not {self.departments}")
        if self.months < 1 or (self.deals is not None and self.deals < 0) or self.scale <= 0 or self.talk < 0:
            raise ValueError("months must be at least 1, deals and talk not negative, scale positive")
        if self.base_currency not in ROUBLES:
            raise ValueError(f"base_currency must be one of {', '.join(ROUBLES)}, not {self.base_currency}")
        ZoneInfo(self.zone)

    @property
    def until(self) -> int:
        """The last instant of the history, whole seconds."""
        return int(self.now)

    @property
    def today(self) -> datetime:
        """``until`` on the portal's wall clock."""
        return datetime.fromtimestamp(self.until, UTC).astimezone(ZoneInfo(self.zone))

    @property
    def opened(self) -> datetime:
        """Midnight of the day on which the CRM went live, portal zone."""
        today = self.today
        month = today.month - 1 - self.months
        year, month = today.year + month // 12, month % 12 + 1
        # The 31st of a short month slips to its last day.
        day = min(today.day, ((datetime(year, month, 28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day)  # noqa: DTZ001 calendar arithmetic
        return datetime(year, month, day, tzinfo=ZoneInfo(self.zone))

    @property
    def since(self) -> int:
        """``opened`` in epoch seconds."""
        return int(self.opened.timestamp())

    @property
    def deal_count(self) -> int:
        """How many deals the portal holds, templates and imports included."""
        if self.deals is not None:
            return self.deals
        return max(3, round(DEALS_A_MONTH * self.managers * self.months * self.scale))

    @property
    def request_count(self) -> int:
        """How many people knock: leads in the classic mode, requests that become deals in the simple one."""
        return round(self.deal_count * (LEADS_PER_DEAL if self.classic else 0.55))

    @property
    def import_count(self) -> int:
        """Deals brought from the former system on the first night: two of five closed, the others in work."""
        return round(self.deal_count * min(0.09, 1.0 / self.months))

    def rate(self, currency: str) -> float:
        """Base currency per unit."""
        amount, count = ROUBLES[currency]
        base, base_count = ROUBLES[self.base_currency]
        return amount / count / (base / base_count)
