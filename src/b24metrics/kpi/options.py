"""Everything about KPIs that a company may decide for itself; the configuration fills it, tests hand it in.

Laws: frozen; the defaults are those of the catalogue, so that ``KpiOptions()`` computes what the catalogue says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

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
        answer_field, answer_values: where people note what the client answered, and which values mean what; None: nowhere.
        answer_tags: tags in the comment of a call, and what they mean.
        count_by_hand: whether requests that the responsible employee entered by hand take part in reaction times.
        edits_react: whether a stage move or a field edit is a reaction.
        activity_kinds: provider id → what its activities are, for providers that ``TYPE_ID`` does not tell.
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
    answer_field: AnswerField | None = None
    answer_values: Mapping[str, Answer] = field(default_factory=dict)
    answer_tags: Mapping[str, Answer] = field(default_factory=dict)
    count_by_hand: bool = False
    edits_react: bool = True
    activity_kinds: Mapping[str, ActivityKind] = field(default_factory=dict)

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
            )
            if value < least
        ]
        if self.pipelines is not None and not self.pipelines:
            wrong.append("pipelines is empty: leave it out to count all of them")
        if wrong:
            raise ConfigError("; ".join(wrong))
