"""Everything about KPIs that a company may decide for itself; the configuration fills it, tests hand it in.

Laws: frozen; the defaults are those of the catalogue, so that ``KpiOptions()`` computes what the catalogue says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from itertools import pairwise
from math import inf

from b24metrics.errors import ConfigError
from b24metrics.kpi.windows import Alignment
from b24metrics.worktime import Employee, WorkCalendar

#: Test data by title: the word, in any case, with no letter, digit or underscore next to it, or ``[TEST]`` in front.
#: Written out because ``\b`` of the engine's regular expressions (RE2) knows ASCII letters only: it would miss "ТЕСТ".
TEST_PATTERN = r"(?i)(^|[^\pL\pN_])(test|тест)([^\pL\pN_]|$)"


class LeadMode(StrEnum):
    """Where new requests appear."""

    AUTO = "auto"  # as the portal says; where it does not, classic if it has leads
    CLASSIC = "classic"  # requests are leads
    SIMPLE = "simple"  # requests are deals that do not come from a lead


class QuoteSource(StrEnum):
    """What tells that a client got a proposal."""

    QUOTES = "quotes"  # quotes of the portal, by their status
    STAGE = "stage"  # a deal's first entry into one of the proposal stages


class Flaw(StrEnum):
    """Shares that the index of cleanliness is made of."""

    PHONE = "phone"  # contacts without a phone
    LOWER_CASE = "lower_case"  # contacts with a name in lower case
    WITHOUT_ACTIVITY = "without_activity"  # open deals for which nothing is planned
    FILL_RATE = "fill_rate"  # required fields left empty
    LOST_REASON = "lost_reason"  # lost deals without a reason


#: Words with which a family name may begin in lower case.
PARTICLES = frozenset(
    {
        "де", "ди", "да", "дю", "дер", "ден", "ван", "фон", "цу", "тер", "ла", "ле", "аль", "эль", "ибн", "бен", "оглы",
        "de", "di", "da", "do", "dos", "du", "des", "del", "della", "der", "den", "van", "von", "zu", "zum", "zur", "ten",
        "ter", "te", "la", "le", "af", "av", "al", "el", "ibn", "ben", "bin",
    }
)  # fmt: skip


#: Fields that may be required, by entity and by their names in the portal; user fields may be too where they are copied.
REQUIRABLE: Mapping[str, frozenset[str]] = {
    "deal": frozenset(
        {
            "TITLE",
            "OPPORTUNITY",
            "CURRENCY_ID",
            "BEGINDATE",
            "CLOSEDATE",
            "SOURCE_ID",
            "TYPE_ID",
            "COMPANY_ID",
            "CONTACT_ID",
        }
    ),
    "lead": frozenset({"TITLE", "OPPORTUNITY", "CURRENCY_ID", "SOURCE_ID", "COMPANY_ID", "CONTACT_ID"}),
    "contact": frozenset({"NAME", "LAST_NAME", "PHONE", "EMAIL", "IM", "SOURCE_ID", "TYPE_ID", "COMPANY_ID"}),
}


class ClosedAtSource(StrEnum):
    """When a deal was won or lost."""

    HISTORY = "history"  # start of the current stay in the final stage
    CLOSE_DATE = "close_date"  # the editable date, for companies that back-date it on purpose


class ActivityKind(StrEnum):
    """What an activity of a provider counts as."""

    MEETING = "meeting"
    CALL = "call"
    TASK = "task"
    EMAIL = "email"
    CHAT = "chat"
    SMS = "sms"
    REVIEW = "review"  # a form in which a client rates; its mark is the rating
    OTHER = "other"


class Answer(StrEnum):
    """What a client answered to an offer."""

    POSITIVE = "positive"
    NEGATIVE = "negative"


class AnswerField(StrEnum):
    """Result fields of a call's activity."""

    MARK = "result_mark"
    STATUS = "result_status"
    STREAM = "result_stream"


class SegmentBy(StrEnum):
    """What a deal's segment is."""

    INDUSTRY = "industry"  # of the company that buys
    CLIENT_TYPE = "client_type"  # type of that company, or of the contact where there is no company
    DEAL_TYPE = "deal_type"


class Criterion(StrEnum):
    """The nine criteria of a manager's scorecard (catalogue §9)."""

    CALLS = "calls"  # outgoing calls per worked day
    TALK_TIME = "talk_time"  # median seconds of a talk
    SUCCESSFUL_CALLS = "successful_calls"
    CALL_CONVERSION = "call_conversion"
    AVERAGE_CHECK = "average_check"
    REPEAT_PURCHASES = "repeat_purchases"
    POSITIVE_REVIEWS = "positive_reviews"
    COMMUNICATION = "communication"
    STANDARDS = "standards"


#: Criteria whose points are read off directly: they have no norm.
DIRECT = frozenset({Criterion.COMMUNICATION, Criterion.STANDARDS})

#: KPIs by which managers may be ranked.
RANKABLE = (
    "revenue_won", "deals_won_count", "plan_attainment_ratio", "avg_deal_size", "win_rate", "calls_outgoing_count",
    "connect_rate", "meetings_held_count", "new_deals_count",
)  # fmt: skip

#: Code of pieces in the classifier of units of measure that the portal uses.
PIECES = 796
#: A month must be closed before the next one ends.
MOST_GRACE_DAYS = 27
#: How many earlier periods a mean may be taken over.
MOST_GROWTH_PERIODS = 6


@dataclass(frozen=True, slots=True)
class ScorecardOptions:
    """How managers are scored.

    Attributes:
        norms: criterion → what earns four points of five; without one the criterion does not count.
        department_norms: department → its people's norms, where they differ from the company's.
        weights: criterion → its weight; 1 unless said.
    """

    norms: Mapping[Criterion, float] = field(default_factory=dict)
    department_norms: Mapping[int, Mapping[Criterion, float]] = field(default_factory=dict)
    weights: Mapping[Criterion, float] = field(default_factory=dict)

    def norm(self, criterion: Criterion, department_id: int) -> float | None:
        """What is expected in a department."""
        return self.department_norms.get(department_id, {}).get(criterion, self.norms.get(criterion))


class BonusBasis(StrEnum):
    """What a percentage is paid of."""

    WON = "won"
    PAID = "paid"


@dataclass(frozen=True, slots=True)
class BonusTier:
    """A share of the part of sales that lies between the tier before and this one's end.

    Attributes:
        rate: the share. up_to: where the tier ends, an amount. up_to_plan: the same as a share of the plan. Neither: it
            has no end.
    """

    rate: float
    up_to: float | None = None
    up_to_plan: float | None = None


@dataclass(frozen=True, slots=True)
class BonusOptions:
    """Bonus schemes; each is off until it has an amount or a tier.

    Attributes:
        tiers: of ``percent_of_sales``, ascending. basis: whether of deals won or of invoices paid.
        premium: of ``target_premium``, for attaining ``premium_from`` of the plan.
        new_customer: for every first purchase.
        prize: of ``best_result``, for the highest value of ``prize_by`` above ``prize_above``.
    """

    tiers: tuple[BonusTier, ...] = ()
    basis: BonusBasis = BonusBasis.WON
    premium: float = 0.0
    premium_from: float = 1.0
    new_customer: float = 0.0
    prize: float = 0.0
    prize_by: str = "revenue_won"
    prize_above: float = 0.0


class PurchaseBasis(StrEnum):
    """What a purchase is."""

    DEALS = "deals"  # a won deal with an amount above 0
    INVOICES = "invoices"  # a paid invoice with an amount above 0


#: Yearly discount of predicted client values, where none is set.
YEARLY_DISCOUNT = 0.12


@dataclass(frozen=True, slots=True)
class CustomerOptions:
    """Who is a client, and what one is worth (catalogue §10).

    Attributes:
        active_days: a client is active for as many calendar days after a purchase.
        basis: see there.
        lifetime_years: how long a client stays; None: by churn, at most ``lifetime_cap_years``.
        discount: yearly; None: there is no discounted value, and predicted ones take ``YEARLY_DISCOUNT``.
        retention: yearly, of the discounted value; None: there is none.
        horizon_years: of the discounted value, whole years or infinity; None: there is none.
        predicted_months: how far ahead purchases are predicted.
    """

    active_days: int = 365
    basis: PurchaseBasis = PurchaseBasis.DEALS
    lifetime_years: float | None = None
    lifetime_cap_years: float = 10.0
    discount: float | None = None
    retention: float | None = None
    horizon_years: float | None = None
    predicted_months: int = 12


@dataclass(frozen=True, slots=True)
class KpiOptions:
    """Decisions of one company.

    Attributes:
        zone: reporting zone; None: the portal's. reporting_currency: None: the portal's base currency.
        first_weekday, fiscal_month, align: see ``windows.WindowRules``.
        sales_departments: their subtrees are the sales scope; empty: every department.
        primary_departments: user → department that counts, where it is not the first of the user's list.
        pipelines: those that count; None: all. excluded_pipelines, excluded_sources, excluded_users: test data.
        test_pattern: test data by title, RE2; empty: no such filter.
        go_live: records created before this date were imported. migration_origins: so were those whose originator or
            origin is in this list. burst_records, burst_seconds: so were that many by one author within that time.
        closed_at_source, lead_mode: see there.
        calendar: of the company; None: Monday to Friday, 09:00 to 18:00, in the reporting zone.
        department_calendars: department → its calendar, for its people and those of its sub-departments.
        employees: schedules, overrides and absences of persons, besides the mirrored absences.
        sla_seconds: working time within which a request is answered.
        grace_seconds: working time during which a new deal may lack an activity.
        effective_call_seconds: talk from which a connected call is effective.
        call_success_days: days of 24 hours after a call within which a won deal makes it successful.
        unrecorded_lines: portal numbers whose calls the law forbids to record: they take no part in coverage.
        proposal_stages: deal stages in which a client has a proposal.
        qualified_stages: deal stages from which on the client is qualified; agreement_stages: from which on there is an
            agreement; empty: a lead that was converted is qualified, a deal that exists is an agreement.
        junk_statuses: statuses of leads that were none.
        stale_days: working dates of the company without contact after which a deal is forgotten.
        stage_limits: stage → working seconds after which a deal may be stuck there.
        loss_reason_field: user field of deals that holds why they were lost; None: the name of the final stage says it.
        answer_field, answer_values: where people note what the client answered, and which values mean what; None: nowhere.
        answer_tags: tags in the comment of a call, and what they mean.
        chat_bots: users who are bots: a chat that nobody else answered is not counted.
        quote_source: see there. quote_sent_stages: statuses of quotes that mean "sent"; later ones do so too.
        invoice_draft_stages: invoices there are not issued; None: the first open stage, where there are two or more.
        web_sources: sources of leads that come from the website.
        required_fields: entity (deal, lead, contact) → fields that are to be filled, by their names in the portal.
        name_particles: words with which a family name may begin in lower case.
        idle_seconds: scheduled time today after which a manager without any trace of work is idle.
        flaw_weights: what the index of cleanliness is made of, and how much each weighs; 0 leaves it out.
        count_by_hand: whether requests that the responsible employee entered by hand take part in reaction times.
        edits_react: whether a stage move or a field edit is a reaction.
        activity_kinds: provider id → what its activities are, for providers that ``TYPE_ID`` does not tell.
        growth_periods: over how many earlier periods sales are averaged to compare with.
        seasonal_curve: (share of the period's working time, share of its sales that is usual by then), ascending; empty:
            even sales.
        margin: share of revenue that is left after the cost of goods.
        headline_unit: code of the unit of measure whose quantities are counted.
        stage_probabilities: stage → chance of winning, where neither history nor the deal says one.
        segment_by: what segments sales.
        rank_by: KPIs by which managers are ranked.
        scorecard, bonus, customers: see there.
        freeze_grace_days: days after the end of a month before its closing is written down for good, at most 27.
    """

    zone: str | None = None
    reporting_currency: str | None = None
    first_weekday: int = 1
    fiscal_month: int = 1
    align: Alignment = "wall"
    sales_departments: frozenset[int] = frozenset()
    primary_departments: Mapping[int, int] = field(default_factory=dict)
    pipelines: frozenset[int] | None = None
    excluded_pipelines: frozenset[int] = frozenset()
    excluded_sources: frozenset[str] = frozenset()
    excluded_users: frozenset[int] = frozenset()
    test_pattern: str = TEST_PATTERN
    go_live: date | None = None
    migration_origins: frozenset[str] = frozenset()
    burst_records: int = 50
    burst_seconds: int = 60
    closed_at_source: ClosedAtSource = ClosedAtSource.HISTORY
    lead_mode: LeadMode = LeadMode.AUTO
    calendar: WorkCalendar | None = None
    department_calendars: Mapping[int, WorkCalendar] = field(default_factory=dict)
    employees: tuple[Employee, ...] = ()
    sla_seconds: int = 1800
    grace_seconds: int = 3600
    effective_call_seconds: int = 30
    call_success_days: int = 30
    unrecorded_lines: frozenset[str] = frozenset()
    proposal_stages: frozenset[str] = frozenset()
    qualified_stages: frozenset[str] = frozenset()
    agreement_stages: frozenset[str] = frozenset()
    junk_statuses: frozenset[str] = frozenset({"JUNK"})
    stale_days: int = 5
    stage_limits: Mapping[str, int] = field(default_factory=dict)
    loss_reason_field: str | None = None
    answer_field: AnswerField | None = None
    answer_values: Mapping[str, Answer] = field(default_factory=dict)
    answer_tags: Mapping[str, Answer] = field(default_factory=dict)
    chat_bots: frozenset[int] = frozenset()
    quote_source: QuoteSource = QuoteSource.QUOTES
    quote_sent_stages: frozenset[str] = frozenset({"SENT"})
    invoice_draft_stages: frozenset[str] | None = None
    web_sources: frozenset[str] = frozenset({"WEB", "WEBFORM"})
    required_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    name_particles: frozenset[str] = PARTICLES
    idle_seconds: int = 14_400
    flaw_weights: Mapping[Flaw, float] = field(default_factory=dict)
    count_by_hand: bool = False
    edits_react: bool = True
    activity_kinds: Mapping[str, ActivityKind] = field(default_factory=dict)
    growth_periods: int = 3
    seasonal_curve: tuple[tuple[float, float], ...] = ()
    margin: float = 1.0
    headline_unit: int = PIECES
    stage_probabilities: Mapping[str, float] = field(default_factory=dict)
    segment_by: SegmentBy = SegmentBy.INDUSTRY
    rank_by: tuple[str, ...] = ("revenue_won",)
    scorecard: ScorecardOptions = ScorecardOptions()
    bonus: BonusOptions = BonusOptions()
    customers: CustomerOptions = CustomerOptions()
    freeze_grace_days: int = 3

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value}: it must be at least {least}"
            for name, value, least in (
                ("burst_records", self.burst_records, 2),
                ("burst_seconds", self.burst_seconds, 0),
                ("sla_seconds", self.sla_seconds, 1),
                ("grace_seconds", self.grace_seconds, 0),
                ("effective_call_seconds", self.effective_call_seconds, 0),
                ("call_success_days", self.call_success_days, 1),
                ("idle_seconds", self.idle_seconds, 1),
                *((f"flaw_weights.{flaw}", weight, 0) for flaw, weight in self.flaw_weights.items()),
                ("stale_days", self.stale_days, 1),
                *((f"stage_limits of {stage}", seconds, 1) for stage, seconds in self.stage_limits.items()),
            )
            if value < least
        ]
        if not 0 <= self.freeze_grace_days <= MOST_GRACE_DAYS:
            wrong.append(f"freeze_grace_days is {self.freeze_grace_days}: it must be 0 … {MOST_GRACE_DAYS}")
        if self.pipelines is not None and not self.pipelines:
            wrong.append("pipelines is empty: leave it out to count all of them")
        wrong += [
            f"required_fields.{kind}: {name} is not known; it may be {', '.join(sorted(REQUIRABLE[kind]))}"
            " or a user field (UF_…)"
            for kind, names in self.required_fields.items()
            for name in names
            if name not in REQUIRABLE[kind] and not name.startswith("UF_")
        ]
        wrong += self._wrong_in_plans() + _wrong_in_scorecard(self.scorecard) + _wrong_in_bonus(self.bonus)
        wrong += _wrong_in_customers(self.customers)
        if wrong:
            raise ConfigError("; ".join(wrong))

    def _wrong_in_plans(self) -> list[str]:
        wrong = []
        if not 1 <= self.growth_periods <= MOST_GROWTH_PERIODS:
            wrong.append(f"growth_periods is {self.growth_periods}: it must be 1 … {MOST_GROWTH_PERIODS}")
        curve = ((0.0, 0.0), *self.seasonal_curve, (1.0, 1.0))
        if any(
            right[0] <= left[0] or right[1] < left[1] for left, right in pairwise(curve) if right != (1.0, 1.0)
        ) or any(not (0 < passed <= 1 and 0 < sold <= 1) for passed, sold in self.seasonal_curve):
            wrong.append("seasonal_curve must ascend from above 0 to at most 1, in time and in sales")
        if not 0 < self.margin <= 1:
            wrong.append(f"margin is {self.margin}: it must be above 0 and at most 1")
        wrong += [
            f"stage_probabilities of {stage} is {chance}: it must be between 0 and 1"
            for stage, chance in self.stage_probabilities.items()
            if not 0 <= chance <= 1
        ]
        unknown = [name for name in self.rank_by if name not in RANKABLE]
        if unknown:
            wrong.append(f"rank_by names {', '.join(unknown)}: managers are ranked by {', '.join(RANKABLE)}")
        return wrong


def _wrong_in_scorecard(scorecard: ScorecardOptions) -> list[str]:
    wrong = [f"a norm for {name} is given: it has none" for name in DIRECT if name in scorecard.norms]
    norms = [*scorecard.norms.items(), *(one for own in scorecard.department_norms.values() for one in own.items())]
    wrong += [f"the norm for {name} is {value}: it must be above 0" for name, value in norms if value <= 0]
    wrong += [
        f"the weight of {name} is {weight}: it must not be below 0"
        for name, weight in scorecard.weights.items()
        if weight < 0
    ]
    return wrong


def _wrong_in_bonus(bonus: BonusOptions) -> list[str]:
    wrong = []
    *closed, last = bonus.tiers or (BonusTier(0.0),)
    if any(tier.up_to is None and tier.up_to_plan is None for tier in closed):
        wrong.append("a bonus tier without an end stands before another one")
    if any(tier.up_to is not None and tier.up_to_plan is not None for tier in (*closed, last)):
        wrong.append("a bonus tier ends at an amount or at a share of the plan, not at both")
    for ends in ([t.up_to for t in bonus.tiers], [t.up_to_plan for t in bonus.tiers]):
        given = [end for end in ends if end is not None]
        if any(right <= left for left, right in pairwise([0.0, *given])):
            wrong.append("the ends of bonus tiers must ascend")
    wrong += [
        f"{name} of the bonus is {value}: it must not be below 0"
        for name, value in (
            ("premium", bonus.premium),
            ("premium_from", bonus.premium_from),
            ("new_customer", bonus.new_customer),
            ("prize", bonus.prize),
            *(("a rate", tier.rate) for tier in bonus.tiers),
        )
        if value < 0
    ]
    if bonus.prize_by not in RANKABLE:
        wrong.append(f"prize_by is {bonus.prize_by}: it must be one of {', '.join(RANKABLE)}")
    return wrong


def _wrong_in_customers(customers: CustomerOptions) -> list[str]:
    wrong = [
        f"customers.{name} is {value}: it must be {what}"
        for name, value, fine, what in (
            ("active_days", customers.active_days, customers.active_days >= 1, "at least 1"),
            ("predicted_months", customers.predicted_months, customers.predicted_months >= 1, "at least 1"),
            ("lifetime_cap_years", customers.lifetime_cap_years, customers.lifetime_cap_years > 0, "above 0"),
            (
                "lifetime_years",
                customers.lifetime_years,
                customers.lifetime_years is None or customers.lifetime_years > 0,
                "above 0",
            ),
            ("discount", customers.discount, (customers.discount or 0) >= 0, "at least 0"),
            ("retention", customers.retention, 0 <= (customers.retention or 0) <= 1, "between 0 and 1"),
        )
        if not fine
    ]
    years = customers.horizon_years
    if years is not None and years != inf and (years < 1 or years % 1):
        wrong.append(f"customers.horizon_years is {years}: it must be a whole number of years, or infinite")
    if years == inf and (customers.retention or 0) >= 1 + (customers.discount or 0):
        wrong.append(
            "customers: what nobody ever leaves and nothing discounts is worth infinitely much: set a discount"
        )
    return wrong
