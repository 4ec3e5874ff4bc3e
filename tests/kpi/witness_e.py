"""A second reading of the catalogue, chapter E, in plain loops; what other chapters tell comes from their own answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import sqrt

from b24metrics.kpi import KpiOptions
from b24metrics.kpi.options import Criterion
from b24metrics.mirror import schema
from tests.kpi.small import Company
from tests.kpi.witness_a import Answers, Ground, Hours, Labels, Row, Thing, Told, added, count, median, months_later

Z = 1.959964
#: Shares of §7.1 that compliance with standards is read off from.
STANDARDS = ("open_deals_overdue_activity_share", "open_deals_without_activity_share", "stale_deals_share")
#: What this chapter takes from other chapters.
GIVEN = (
    "calls_outgoing_count", "connect_rate", "talk_time_median_seconds", "calls_successful_count", "call_conversion_ratio",
    "repeat_purchases_count", "reviews_positive_count", "new_customers_count", *STANDARDS,
)  # fmt: skip


def wilson_low(hits: float, of: float) -> float:
    """Lower bound of the 95 % interval (§13)."""
    share = hits / of
    centre = share + Z * Z / (2 * of)
    half = Z * sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    return (centre - half) / (1 + Z * Z / of)


def money(amount: Fraction) -> Fraction:
    """Rounded half up to 0.01."""
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    return Fraction(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


class Efficiency(Ground):
    """Chapter E."""

    def __init__(self, company: Company, now: datetime, options: KpiOptions, hours: Hours, given: Answers) -> None:
        super().__init__(company, now, options, hours)
        self.given = given

    def answers(self) -> Answers:
        found: Answers = {}
        self.load(found)
        self.ranks(found)
        self.payback(found)
        scored = self.scored_calls()
        if self.inputs("call_points"):  # without what comes from outside there is nothing to tell
            self.tell(found, "call_quality_score", "M D T", "7d 30d mtd", scored, self.quality)
            self.tell(found, "calls_scored_count", "M D T O", "7d 30d mtd", scored, count)
        self.scorecard(found, scored)
        self.bonus(found)
        self.turnover(found)
        self.training(found)
        return found

    # ------------------------------------------------------------ load

    def load(self, found: Answers) -> None:
        own = {m: sum(t.manager == m for t in self.open()) for m in self.managers if self.active[m]}
        for m, deals in own.items():
            labels: Labels = (("department_id", str(self.primary[m])), ("manager_id", str(m)))
            found["manager_load_open_deals", "M", (*labels, ("stat", "")), "now"] = Told(Fraction(deals))
            mates = [other for who, other in own.items() if self.primary[who] == self.primary[m]]
            usual = median(mates)
            value = deals / usual if len(mates) >= 3 and usual else None
            found["manager_load_index", "M", labels, "now"] = Told(value)
        for d in self.departments:
            members = [deals for m, deals in own.items() if d in self.above(self.primary[m])]
            for stat, load in (("median", median(members)), ("max", max(members, default=None))):
                told = Told(None if load is None else Fraction(load))
                found["manager_load_open_deals", "D", (("department_id", str(d)), ("stat", stat)), "now"] = told

    # ------------------------------------------------------------ ranks

    def absences(self, user: int) -> list[tuple[datetime, datetime]]:
        return [(row["starts_at"], row["ends_at"]) for row in self.rows(schema.ABSENCES) if row["user_id"] == user]

    def worked_days(self, user: int, window: str) -> int:
        """Local dates of the window with working time of the person in it; of who left, until then."""
        start, end = self.span(window)
        if not self.active[user]:
            end = min(end, self.users[user]["dismissed_at"] or start)
        if joined := self.users[user].get("employed_on"):
            start = max(start, self.midnight(joined))
        days, day = 0, start.astimezone(self.zone).date()
        while self.midnight(day) < end:
            opens, closes = max(start, self.midnight(day)), min(end, self.midnight(day + timedelta(days=1)))
            days += self.hours.worked(opens, closes, self.absences(user)) > 0
            day += timedelta(days=1)
        return days

    def told(self, kpi: str, grain: str, labels: Labels, window: str) -> Told:
        """An answer of another chapter."""
        return self.given.get((kpi, grain, labels, window), Told(None))

    def worth(self, kpi: str, m: int, labels: Labels, window: str) -> Fraction | float | None:
        """What a manager is ranked by."""
        won = [t for t in self.inside(self.closed("S"), window) if t.manager == m]
        lost = [t for t in self.inside(self.closed("F"), window) if t.manager == m]
        match kpi:
            case "revenue_won":
                return added(won)
            case "deals_won_count":
                return len(won)
            case "avg_deal_size":
                return added(won) / len(won) if won else None
            case "plan_attainment_ratio":
                plan = self.book(self.plans(), "M", labels, window)
                return added(won) / plan if plan else None
            case "new_deals_count":
                made = self.inside(self.created(), window)
                return sum(t.manager == m and t.row is not None and t.row["id"] not in self.imports for t in made)
            case "win_rate":
                return wilson_low(len(won), len(won) + len(lost)) if won or lost else None
            case "connect_rate":
                rate = self.told(kpi, "M", labels, window)
                return wilson_low(float(rate.numerator or 0), float(rate.denominator)) if rate.denominator else None
            case _:
                return self.told(kpi, "M", labels, window).value or 0

    def ranks(self, found: Answers) -> None:
        for window in ("mtd", "prev_month"):
            present = [m for m in self.managers if self.active[m] and self.worked_days(m, window)]
            for by in self.options.rank_by:
                names: dict[int, Labels] = {
                    m: (("department_id", str(self.primary[m])), ("manager_id", str(m))) for m in present
                }
                worth = {m: value for m in present if (value := self.worth(by, m, names[m], window)) is not None}
                for m, value in worth.items():
                    mates = {"T": list(worth), "D": [who for who in worth if self.primary[who] == self.primary[m]]}
                    for within, others in mates.items():
                        place = 1 + sum(worth[who] > value for who in others)
                        labels = tuple(sorted((*names[m], ("by", by), ("within", within))))
                        found["manager_rank", "M", labels, window] = Told(Fraction(place))

    def payback(self, found: Answers) -> None:
        won = self.closed("S")
        for window in ("prev_month", "qtd"):
            for grain in "MDT":
                for labels, cell, shown in self.cells(grain, self.inside(won, window)):
                    begun = [row for row in self.inputs("costs") if row["month"] <= self.today]
                    cost = self.book(begun, grain, labels, window)
                    value = added(cell) * Fraction(self.options.margin) / cost if cost else None
                    self.say(found, ("manager_payback_ratio", grain, labels, window), Told(value), shown)

    # ------------------------------------------------------------ calls that were listened to

    def scored_calls(self) -> list[Thing]:
        """Left open: whether internal calls may be scored. Somebody listened to them by six criteria, so they are."""
        found = []
        for call in self.rows(schema.PHONE_CALLS):
            if call.get("deleted_at"):
                continue
            points = {
                row["label"]: Fraction(row["amount"])
                for row in self.inputs("call_points")
                if (row["level"], row["subject_id"]) == ("call", call["id"])
            }
            if len(points) < 6:
                continue
            score = sum(points.values(), Fraction(0)) / (2 * len(points))
            if points.get("9") == 0:
                score = min(score, Fraction(1, 2))
            found.append(Thing(call["started_at"].astimezone(UTC), call["user_id"], value=score))
        return found

    @staticmethod
    def quality(cell: list[Thing]) -> Told:
        return Told(added(cell) / len(cell) if cell else None, len(cell))

    # ------------------------------------------------------------ scorecard

    @staticmethod
    def attained(value: Fraction | float, norm: float) -> int:
        share = float(value) / norm
        return next((points for bound, points in ((1.2, 5), (1.0, 4), (0.8, 3), (0.6, 2)) if share >= bound), 1)

    @staticmethod
    def in_band(value: Fraction | float, norm: float) -> int:
        share = float(value) / norm
        bands = ((0.8, 1.25, 5), (0.65, 1.5, 4), (0.5, 2.0, 3), (0.35, 3.0, 2))
        return next((points for low, high, points in bands if low <= share <= high), 1)

    def by_hand(self, criterion: Criterion) -> list[Thing]:
        return [
            Thing(self.midnight(row["starts_on"]), row["subject_id"], value=Fraction(row["amount"]))
            for row in self.inputs("score")
            if row["level"] == "M" and row["label"] == criterion
        ]

    def scorecard(self, found: Answers, scored: list[Thing]) -> None:
        """Left open: what a department's numbers are. Counts by head and by day of its people, everything else as it is.

        A criterion that weighs nothing is not available.
        """
        for window in ("prev_month", "mtd"):
            hands = {criterion: self.inside(self.by_hand(criterion), window) for criterion in Criterion}
            for grain in "MD":
                heard = {
                    labels: self.quality(cell).value
                    for labels, cell, _ in self.cells(grain, self.inside(scored, window))
                }
                given = {
                    (criterion, labels): self.quality(cell).value
                    for criterion, things in hands.items()
                    for labels, cell, _ in self.cells(grain, things)
                }
                for labels, cell, shown in self.cells(grain, self.inside(self.closed("S"), window)):
                    points = self.points(grain, labels, window, cell, heard[labels])
                    points |= {c: value for c in Criterion if (value := given[c, labels]) is not None}
                    weights = {c: self.options.scorecard.weights.get(c, 1) for c in points}
                    counted = [c for c, weight in weights.items() if weight]
                    value = None
                    if len(counted) >= 5:
                        value = sum(float(points[c]) * weights[c] for c in counted) / sum(weights[c] for c in counted)
                    self.say(found, ("scorecard_score", grain, labels, window), Told(value), shown)

    def points(
        self, grain: str, labels: Labels, window: str, won: list[Thing], heard: Fraction | float | None
    ) -> dict[Criterion, Fraction | float]:
        points: dict[Criterion, Fraction | float] = {}
        for criterion, value in self.criteria(grain, labels, window, won).items():
            norm = self.options.scorecard.norm(criterion, int(dict(labels)["department_id"]))
            if value is not None and norm is not None:
                points[criterion] = (self.in_band if criterion is Criterion.TALK_TIME else self.attained)(value, norm)
        if heard is not None:
            points[Criterion.COMMUNICATION] = 1 + 4 * heard
        shares = [v for name in STANDARDS if (v := self.told(name, grain, labels, "now").value) is not None]
        if shares:
            points[Criterion.STANDARDS] = 1 + 4 * (1 - sum(shares) / len(shares))
        return points

    def criteria(
        self, grain: str, labels: Labels, window: str, won: list[Thing]
    ) -> Mapping[Criterion, Fraction | float | None]:
        """Values that are compared with norms."""
        names = dict(labels)
        members = [int(names["manager_id"])] if grain == "M" else [
            m for m in self.managers if int(names["department_id"]) in self.above(self.primary[m])
        ]  # fmt: skip
        days = [self.worked_days(m, window) for m in members]
        heads = sum(day > 0 for day in days)

        def by(kpi: str, size: int) -> Fraction | float | None:
            value = self.told(kpi, grain, labels, window).value
            return None if value is None or not size else value / size

        return {
            Criterion.CALLS: by("calls_outgoing_count", sum(days)),
            Criterion.TALK_TIME: by("talk_time_median_seconds", 1),
            Criterion.SUCCESSFUL_CALLS: by("calls_successful_count", heads),
            Criterion.CALL_CONVERSION: by("call_conversion_ratio", 1),
            Criterion.AVERAGE_CHECK: added(won) / len(won) if won else None,
            Criterion.REPEAT_PURCHASES: by("repeat_purchases_count", heads),
            Criterion.POSITIVE_REVIEWS: by("reviews_positive_count", heads),
        }

    # ------------------------------------------------------------ bonus

    def bonus(self, found: Answers) -> None:
        """Left open: no scheme pays a month that was not closed for the person; first purchases are counted as of today."""
        bonus, last = self.options.bonus, months_later(self.today.replace(day=1), -1)
        revenue, attained = self.written("revenue_won", last), self.written("plan_attainment_ratio", last)
        plans = self.planned(last)
        results = {m: v for m, v in self.written(bonus.prize_by, last).items() if m in self.managers and m in revenue}
        best = max(results.values(), default=Fraction(0))
        winners = [m for m, v in results.items() if v == best and v > bonus.prize_above]
        for m in self.managers:
            names: Labels = (("department_id", str(self.primary[m])), ("manager_id", str(m)))
            amounts: dict[str, Fraction | None] = {"correction": self.correction(m)}
            if m in revenue:
                if bonus.tiers:
                    amounts["percent_of_sales"] = self.percent(revenue[m], plans.get(m))
                if bonus.premium and m in attained:
                    amounts["target_premium"] = self.premium(attained[m])
                if bonus.new_customer:
                    new = self.told("new_customers_count", "M", names, "prev_month").value or 0
                    amounts["new_customer"] = Fraction(bonus.new_customer) * Fraction(new)
                if bonus.prize and m in results:
                    amounts["best_result"] = Fraction(bonus.prize) / len(winners) if m in winners else Fraction(0)
            for scheme, amount in amounts.items():
                told = Told(None if amount is None else money(amount))
                shown = "always" if self.active[m] else "not zero"
                self.say(found, ("bonus_amount", "M", (*names, ("scheme", scheme)), "prev_month"), told, shown)

    def written(self, kpi: str, month: date) -> dict[int, Fraction]:
        """What was frozen for people."""
        return {
            row["subject_id"]: Fraction(row["value"])
            for row in self.rows(schema.FROZEN_VALUES)
            if (row["kpi_id"], row["level"], row["month"]) == (kpi, "M", month)
        }

    def planned(self, month: date) -> dict[int, Fraction]:
        return {
            row["subject_id"]: Fraction(row["amount"])
            for row in self.plans()
            if (row["level"], row["month"]) == ("M", month) and row["amount"] > 0
        }

    def premium(self, attained: Fraction) -> Fraction:
        return Fraction(self.options.bonus.premium if attained >= self.options.bonus.premium_from else 0)

    def correction(self, m: int) -> Fraction | None:
        """What the month before would pay now, less what it paid."""
        before = months_later(self.today.replace(day=1), -2)
        frozen, plan = self.written("revenue_won", before).get(m), self.planned(before).get(m)
        if frozen is None:
            return None
        start, end = self.midnight(before), self.midnight(months_later(before, 1))
        live = added(t for t in self.closed("S") if t.manager == m and t.at is not None and start <= t.at < end)
        paid: list[Fraction | None] = []
        for sold, sign in ((live, 1), (frozen, -1)):
            if self.options.bonus.tiers:
                amount = self.percent(sold, plan)
                paid.append(None if amount is None else sign * amount)
            if self.options.bonus.premium and plan:
                paid.append(sign * self.premium(sold / plan))
        known = [amount for amount in paid if amount is not None]
        return sum(known, Fraction(0)) if known else None

    def percent(self, revenue: Fraction, plan: Fraction | None) -> Fraction | None:
        """Marginal tiers; none of a plan that is not there."""
        total, low = Fraction(0), Fraction(0)
        for tier in self.options.bonus.tiers:
            high = None if tier.up_to is None else Fraction(tier.up_to)
            if tier.up_to_plan is not None:
                if plan is None:
                    return None
                high = Fraction(tier.up_to_plan) * plan
            top = revenue if high is None else min(revenue, high)
            total += Fraction(str(tier.rate)) * max(Fraction(0), top - low)
            low = top if high is None else high
        return total

    # ------------------------------------------------------------ coming and going

    def turnover(self, found: Answers) -> None:
        """Left open: the headcount is averaged over every instant of the year; the ninetieth day is "within 90 days" no more."""
        start, end = self.span("t365")
        known = self.company.first_synced_at is not None and self.company.first_synced_at <= start
        people = []
        for user, row in self.users.items():
            if user not in self.managers:
                continue
            hired = self.midnight(row["employed_on"]) if row.get("employed_on") else row.get("registered_at")
            left: datetime | None = row["dismissed_at"] or (None if row["active"] else datetime(1970, 1, 1, tzinfo=UTC))
            begins, ends = max(hired or start, start), min(left or end, end)
            there = Fraction((ends - begins) / timedelta(seconds=1)) if begins < ends else Fraction(0)
            gone = row["dismissed_at"] is not None and start <= row["dismissed_at"] < end
            soon = bool(gone and hired and left and left - hired < timedelta(days=90))
            people.append(
                Thing(None, user, value=there / Fraction((end - start) / timedelta(seconds=1)), key=(gone, soon))
            )
        for grain in "DTO":
            for labels, cell, shown in self.cells(grain, people):
                gone, soon = (sum(thing.key[n] for thing in cell) for n in (0, 1))
                heads = added(cell)
                told = Told(gone / heads if heads else None, None, gone, heads) if known else Told(None)
                self.say(found, ("turnover_index", grain, labels, "t365"), told, shown)
                told = Told(Fraction(soon, gone) if gone else None, None, soon, gone) if known else Told(None)
                self.say(found, ("early_turnover_share", grain, labels, "t365"), told, shown)

    def training(self, found: Answers) -> None:
        def courses(kind: str) -> list[Thing]:
            rows: Iterable[Row] = self.inputs(kind)
            return [
                Thing(self.midnight(row["starts_on"]), row["subject_id"], value=Fraction(row["amount"]), key=kind)
                for row in rows
                if row["level"] == "M"
            ]

        def rate(cell: list[Thing]) -> Told:
            passed = added(t for t in cell if t.key == "training_passed")
            assigned = added(t for t in cell if t.key == "training_assigned")
            return Told(passed / assigned if assigned else None, None, passed, assigned)

        every = courses("training_assigned") + courses("training_passed")
        measure: Callable[[list[Thing]], Told] = rate
        self.tell(found, "training_completion_ratio", "M D O", "mtd", every, measure)
