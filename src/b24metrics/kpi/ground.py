"""What one evaluation stands on: portal, people, clocks, windows, and the facts as temporary tables.

Laws: the mirror is only read; temporary tables are named ``kpi_…``, made anew for every evaluation and dropped after it;
a view is made once however many facts read it, and reaches back no further than its windows do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from b24metrics.errors import ConfigError, NothingMirrored
from b24metrics.kpi import aggregates
from b24metrics.kpi.aggregates import segment_sql
from b24metrics.kpi.dimensions import Department, DepartmentTree, PeopleFilter, Person, Scope
from b24metrics.kpi.facts import ASSIGNMENTS, Fact, View
from b24metrics.kpi.model import Kpi, WindowId
from b24metrics.kpi.options import ClosedAtSource, KpiOptions, LeadMode, PurchaseBasis, QuoteSource
from b24metrics.kpi.refine import Refinement
from b24metrics.kpi.results import DepartmentInfo, Directory, ManagerInfo, PipelineInfo, SourceInfo, StageInfo
from b24metrics.kpi.windows import Segments, Window, WindowRules
from b24metrics.worktime import Absence, Calendars, Employee, WorkCalendar
from b24metrics.worktime.sqltable import work_days
from b24metrics.worktime.workclock import FIRST_YEAR

if TYPE_CHECKING:
    import pyarrow as pa

    from b24metrics.mirror.stores import Store

_DEFAULT_WEEK = {"mon-fri": ["09:00-18:00"]}
_NAMED = re.compile(r"\$(\w+)")
#: Digits behind the point of a rate: exact for every rate quoted per 1, 10, … 1,000,000 units.
_FACTOR = Decimal("0.000000000001")
_CLASSIC_MODE, _SIMPLE_MODE = 1, 2
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Ground:
    """Everything about the portal that an evaluation at ``now`` needs to know; reads directories when asked."""

    store: Store
    portal: str
    now: datetime
    options: KpiOptions = field(default_factory=KpiOptions)
    people_filter: PeopleFilter | None = None
    #: (window number, segment) pairs of every fact whose table stands.
    spans: dict[Fact, list[tuple[int, int]]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise ValueError("the evaluation instant must be aware")

    def _rows(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        return self.store.rows(sql, [self.portal, *params])

    # ------------------------------------------------------------ the portal

    @cached_property
    def _portal_row(self) -> tuple[str | None, str | None, int | None]:
        found = self._rows("SELECT zone, base_currency, crm_mode FROM portals WHERE portal = ?")
        if not found:
            raise NothingMirrored(f"the mirror has no portal {self.portal!r} yet: run b24metrics sync first")
        zone, base_currency, crm_mode = found[0]
        return zone, base_currency, crm_mode

    @cached_property
    def host(self) -> str:
        """Where the portal is looked at in a browser."""
        found = self._rows("SELECT host FROM portals WHERE portal = ?")
        return str(found[0][0] or self.portal) if found else self.portal

    @cached_property
    def zone(self) -> str:
        """Reporting zone: configured, else the portal's, else that of most of its people, else UTC."""
        if known := self.options.zone or self._portal_row[0]:
            return known
        common = self._rows(
            "SELECT zone FROM users WHERE portal = ? AND active AND deleted_at IS NULL AND zone <> '' "
            "GROUP BY zone ORDER BY count(*) DESC, zone LIMIT 1"
        )
        return str(common[0][0]) if common else "UTC"

    @cached_property
    def base_currency(self) -> str:
        """The portal's own currency, in which rates are given."""
        flagged = self._rows(
            "SELECT id FROM currencies WHERE portal = ? AND is_base AND deleted_at IS NULL ORDER BY id"
        )
        known = self._portal_row[1] or (flagged[0][0] if flagged else None) or self.options.reporting_currency
        if not known:
            raise ConfigError("the portal named no base currency: set reporting.currency, such as RUB")
        return str(known)

    @cached_property
    def currency(self) -> str:
        """Reporting currency."""
        return self.options.reporting_currency or self.base_currency

    @cached_property
    def told(self) -> KpiOptions:
        """The options as they hold for this portal: what it says itself is filled in."""
        return replace(self.options, zone=self.zone, reporting_currency=self.currency, calendar=self.calendar)

    @cached_property
    def feeds(self) -> frozenset[str]:
        """Names of the feeds whose past has been copied."""
        found = self._rows("SELECT feed FROM feed_state WHERE portal = ? AND backfilled_at IS NOT NULL")
        return frozenset(name for (name,) in found) | ({ASSIGNMENTS} if self._assignments_are_watched else set())

    @property
    def _assignments_are_watched(self) -> bool:
        """Whether changes of the person responsible have been observed, or would have been."""
        return bool(
            self._rows(
                "SELECT 1 FROM portals WHERE portal = ? AND (first_synced_at IS NOT NULL "
                "OR EXISTS (SELECT 1 FROM assignments AS a WHERE a.portal = portals.portal))"
            )
        )

    @cached_property
    def copying(self) -> frozenset[str]:
        """Names of the feeds whose past is being copied; one that failed is not waited for."""
        found = self._rows("SELECT feed FROM feed_state WHERE portal = ? AND backfilled_at IS NULL AND error IS NULL")
        return frozenset(name for (name,) in found)

    @cached_property
    def classic(self) -> bool:
        """Whether new requests are leads."""
        if self.options.lead_mode is not LeadMode.AUTO:
            return self.options.lead_mode is LeadMode.CLASSIC
        mode = self._portal_row[2]
        if mode in {_CLASSIC_MODE, _SIMPLE_MODE}:
            return mode == _CLASSIC_MODE
        return bool(self._rows("SELECT 1 FROM leads WHERE portal = ? AND deleted_at IS NULL LIMIT 1"))

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Kinds of the numbers from outside that were loaded."""
        return frozenset(kind for (kind,) in self._rows("SELECT DISTINCT kind FROM inputs WHERE portal = ?"))

    def lacking(self, kpi: Kpi) -> tuple[str, ...]:
        """What a KPI needs and does not find; see ``Snapshot.absent``."""
        feeds = self.missing(aggregates.needed(kpi.measure))
        unloaded = kpi.needs_input is not None and kpi.needs_input not in self.inputs
        return (*feeds, f"inputs.{kpi.needs_input}") if unloaded else feeds

    def missing(self, views: Iterable[View]) -> tuple[str, ...]:
        """Feeds that these views need, or would have half of, and that were not copied."""
        needed, awaited = set[str](), set[str]()
        for view in views:
            needed.update(view.feeds)
            awaited.update(view.waits_for)
        needed |= awaited & self.copying
        if "requests" in needed:
            needed = needed - {"requests"} | {"leads" if self.classic else "deals"}
        if "proposals" in needed:
            by_stage = self.options.quote_source is QuoteSource.STAGE
            needed = needed - {"proposals"} | ({"deals", "deal_moves"} if by_stage else {"quotes"})
        if "purchases" in needed:
            by_invoices = self.options.customers.basis is PurchaseBasis.INVOICES
            needed = needed - {"purchases"} | {"invoices" if by_invoices else "deals"}
        return tuple(sorted(needed - self.feeds))

    # ------------------------------------------------------------ people and places

    @cached_property
    def _people(self) -> dict[int, tuple[Person, date | None, datetime | None]]:
        departments: dict[int, list[int]] = {}
        for user, department in self._rows(
            "SELECT user_id, department_id FROM user_departments WHERE portal = ? ORDER BY user_id, ordinal, department_id"
        ):
            departments.setdefault(user, []).append(department)
        moved = self._rows(
            "SELECT user_id, from_id, to_id FROM department_changes WHERE portal = ? AND changed_at > ? "
            "ORDER BY changed_at DESC",
            self.now,
        )
        for user, before, after in moved:
            others = [one for one in departments.get(user, ()) if one not in {before, after}]
            departments[user] = others if before is None else [before, *others]
        found = self._rows(
            "SELECT id, active, name, last_name, position, employed_on, dismissed_at FROM users "
            "WHERE portal = ? AND (deleted_at IS NULL OR deleted_at > ?) "
            "AND (coalesce(registered_at <= ?, TRUE) OR registered_at > ?) ORDER BY id",
            self.now,
            self.now,
            self.seen_until,
        )
        return {
            user: (
                Person(
                    id=user,
                    active=active is not False or (dismissed_at is not None and dismissed_at > self.now),
                    name=" ".join(part for part in (name, last_name) if part) or str(user),
                    departments=tuple(departments.get(user, ())),
                    position=position or "",
                ),
                employed_on,
                dismissed_at,
            )
            for user, active, name, last_name, position, employed_on, dismissed_at in found
        }

    @cached_property
    def scope(self) -> Scope:
        """Department tree and the sales scope."""
        found = self._rows(
            "SELECT id, parent_id, name, head_id, sort FROM departments "
            "WHERE portal = ? AND (deleted_at IS NULL OR deleted_at > ?)",
            self.now,
        )
        tree = DepartmentTree(
            Department(number, parent, name or str(number), head, sort or 0)
            for number, parent, name, head, sort in found
        )
        wished = self.options.sales_departments
        if wished and found and not any(department in tree for department in wished):
            raise ConfigError(
                f"scope.departments names {', '.join(map(str, sorted(wished)))}: the portal has none of them, "
                f"it has {', '.join(map(str, sorted(tree.departments)))}"
            )
        return Scope.of(
            tree,
            [person for person, _, _ in self._people.values()],
            sales_departments=self.options.sales_departments,
            primary_departments=self.options.primary_departments,
            people_filter=self.people_filter,
        )

    @cached_property
    def directory(self) -> Directory:
        """Names behind the ids."""
        scope, tree = self.scope, self.scope.tree
        managers = tuple(
            ManagerInfo(m.person.id, m.person.name, m.department_id, m.person.active)
            for m in scope.members
            if m.in_scope and m.department_id is not None
        )
        inside = frozenset(scope.departments)
        departments = tuple(
            DepartmentInfo(d.id, d.name, parent if (parent := tree.parents[d.id]) in inside else None, d.head_id)
            for d in (tree.departments[number] for number in scope.departments)
        )
        pipelines = tuple(
            PipelineInfo(number, name or str(number), sort or 0)
            for number, name, sort in self._rows(
                "SELECT id, name, sort FROM pipelines WHERE portal = ? AND entity_type_id = 2 "
                "AND (deleted_at IS NULL OR deleted_at > ?) ORDER BY sort, id",
                self.now,
            )
            if self._counts(number)
        )
        stages = tuple(
            StageInfo(stage, name or stage, pipeline or 0, semantics or "P", sort or 0)
            for stage, name, pipeline, semantics, sort in self._rows(
                "SELECT status_id, name, pipeline_id, semantics, sort FROM statuses "
                "WHERE portal = ? AND entity_type_id = 2 AND (deleted_at IS NULL OR deleted_at > ?) "
                "ORDER BY pipeline_id, sort, status_id",
                self.now,
            )
            if self._counts(pipeline or 0)
        )
        sources = tuple(
            SourceInfo(source, name or source)
            for source, name in self._rows(
                "SELECT status_id, name FROM statuses WHERE portal = ? AND directory = 'SOURCE' "
                "AND (deleted_at IS NULL OR deleted_at > ?) ORDER BY sort, status_id",
                self.now,
            )
        )
        return Directory(managers, departments, pipelines, stages, sources)

    def _counts(self, pipeline: int) -> bool:
        wanted = self.options.pipelines
        return (wanted is None or pipeline in wanted) and pipeline not in self.options.excluded_pipelines

    # ------------------------------------------------------------ time

    @cached_property
    def calendar(self) -> WorkCalendar:
        """The company's; Monday to Friday, 09:00 to 18:00, where none is configured."""
        return self.options.calendar or WorkCalendar.simple(self.zone, _DEFAULT_WEEK)

    @cached_property
    def clocks(self) -> Calendars:
        """Everybody's working time, mirrored absences and dismissals included."""
        absences: dict[int, list[Absence]] = {}
        for user, starts, ends in self._rows(
            "SELECT user_id, starts_at, ends_at FROM absences "
            "WHERE portal = ? AND starts_at IS NOT NULL AND (ends_at IS NULL OR starts_at < ends_at) ORDER BY user_id, id"
        ):
            absences.setdefault(user, []).append(Absence(starts, ends))
        configured = {employee.id: employee for employee in self.options.employees}
        places = {member.person.id: member.department_id for member in self.scope.members}
        employees = []
        for user, (person, employed_on, dismissed_at) in self._people.items():
            own = configured.get(user) or Employee(user)
            employees.append(
                Employee(
                    id=user,
                    department_id=places[user],
                    calendar=own.calendar,
                    personal_days=own.personal_days,
                    absences=(*own.absences, *absences.get(user, ())),
                    employed_on=own.employed_on or employed_on,
                    dismissed_at=own.dismissed_at or (None if person.active else dismissed_at),
                    active=person.active,
                )
            )
        return Calendars(
            self.calendar,
            departments=self.options.department_calendars,
            parents=self.scope.tree.parents,
            employees=employees,
        )

    @cached_property
    def rules(self) -> WindowRules:
        """How windows are made."""
        options = self.options
        clock = self.clocks.company if options.align == "working" else None
        return WindowRules(self.zone, options.first_weekday, options.fiscal_month, options.align, clock)

    def _latest(self, far_enough: Callable[[int], bool]) -> int:
        """The latest instant, epoch seconds, not after ``now``, that lies far enough back."""
        now = int(self.now.timestamp())
        newer, older = now + 1, now
        while not far_enough(older):
            newer, older = older, older - 2 * (now - older) - _DAY_SECONDS
        while newer - older > 1:
            middle = (newer + older) // 2
            if far_enough(middle):
                older = middle
            else:
                newer = middle
        return older

    # ------------------------------------------------------------ temporary tables

    @contextmanager
    def facts(self, wanted: Mapping[Fact, Sequence[Window]], windows: Sequence[Window]) -> Iterator[None]:
        """Make the tables of these facts, and all that they need, for as long as the context lasts.

        Args:
            wanted: every fact with the windows it is asked about, none for a state.
            windows: all windows; their position is their number in ``kpi_spans``.
        """
        made: list[str] = []
        self._lookups(made)
        self.spans.clear()
        reach: dict[View, datetime] = {}
        segments = {fact: Segments.of(asked) for fact, asked in wanted.items()}
        for fact, asked in wanted.items():
            self._reach(fact, min((window.start for window in asked), default=self.now), reach)
        for view in _in_order(wanted):
            if not isinstance(view, Fact):
                self._make(view.name, view, reach[view], made)
        for fact, asked in wanted.items():
            numbers = [windows.index(window) for window in asked]
            if fact.windowed:
                meant = ((number, windows[number]) for number in numbers)
                bounds = [
                    (
                        number,
                        window.start,
                        window.end,
                        window.last_on,
                        self._back(window.start),
                        self._back(window.end),
                        window.is_state,
                    )
                    for number, window in meant
                ]
                columns = {
                    "window_no": "int64",
                    "starts_at": "instant",
                    "ends_at": "instant",
                    "period_ends_on": "date32",
                    "starts_back": "instant",
                    "ends_back": "instant",
                    "is_state": "bool",
                }
                self._load(f"{fact.name}_windows", columns, bounds, made)
                self.spans[fact] = [(number, number) for number in numbers]
            elif fact.state:
                self.spans[fact] = [(number, 0) for number in numbers]
            else:
                self.spans[fact] = [(numbers[i], segment) for i, segment in segments[fact].members]
            self._place(fact, segments[fact].bounds, reach[fact], made)
        spans = [(fact.name, *span) for fact, found in self.spans.items() for span in found]
        self._load("kpi_spans", {"fact": "string", "window_no": "int64", "segment_no": "int64"}, spans, made)
        yield
        # After a failure there is nothing to drop: the transaction takes the tables back.
        self.store.execute("; ".join(f"DROP TABLE IF EXISTS {name}" for name in reversed(made)))

    def _back(self, at: datetime) -> datetime:
        """From when on a purchase keeps its client active until ``at``."""
        return self.rules.instant(self.rules.wall(at) - timedelta(days=self.options.customers.active_days))

    def _reach(self, view: View, since: datetime, reach: dict[View, datetime]) -> None:
        reach[view] = min(since, reach.get(view, since))
        for needed in view.needs:
            self._reach(needed, since, reach)

    def _asked(self, since: datetime) -> dict[str, object]:
        """Values of ``facts.ASKED``."""
        options = self.options
        return {
            "portal": self.portal,
            "now": self.now,
            "since": since,
            "base_currency": self.base_currency,
            "test_pattern": options.test_pattern or None,
            "go_live": None if options.go_live is None else self.rules.midnight(options.go_live),
            "all_pipelines": options.pipelines is None,
            "burst_records": options.burst_records,
            "burst_seconds": options.burst_seconds,
            "by_close_date": options.closed_at_source is ClosedAtSource.CLOSE_DATE,
            "aged_before": self.aged_before,
            "classic": self.classic,
            "count_by_hand": options.count_by_hand,
            "edits_react": options.edits_react,
            "effective_seconds": options.effective_call_seconds,
            "success_seconds": options.call_success_days * _DAY_SECONDS,
            "answer_field": options.answer_field,
            "zone": self.zone,
            "today": self.today,
            "day_begins": self.rules.midnight(self.today),
            "day_ends": self.rules.midnight(self.today + timedelta(days=1)),
            "seen_until": self.seen_until,
            "by_stage": options.quote_source is QuoteSource.STAGE,
            "lower_case": _lower_case(),
            "particles": f" {' '.join(sorted(text.lower() for text in options.name_particles))} ",
            "headline_unit": options.headline_unit,
            "segment_by": options.segment_by.value,
            "by_invoices": options.customers.basis is PurchaseBasis.INVOICES,
            "active_seconds": options.customers.active_days * _DAY_SECONDS,
            "margin": options.margin,
            "stale_before": self.stale_before,
            "d30_at": self.rules.window(WindowId.D30, self.now).start,
            "t180_at": self.rules.window(WindowId.T180, self.now).start,
        }

    @cached_property
    def today(self) -> date:
        """The local date of the evaluation instant."""
        return self.rules.wall(self.now).date()

    @cached_property
    def seen_until(self) -> datetime:
        """The later of the evaluation instant and the last look at the portal.

        Seen from the past, a record that is dated later did not exist yet, unless it lies in the future still.
        """
        seen = self._rows("SELECT max(synced_at) FROM feed_state WHERE portal = ?")[0][0]
        return self.now if seen is None else max(self.now, seen)

    @cached_property
    def aged_before(self) -> datetime:
        """Deals created at or before this instant are older than the grace period, in the company's working time."""
        clock, now = self.clocks.company, int(self.now.timestamp())
        latest = self._latest(lambda at: clock.elapsed(at, now) >= self.options.grace_seconds)
        return datetime.fromtimestamp(latest, UTC)

    @cached_property
    def stale_before(self) -> datetime:
        """Deals without contact since this instant are stale: a midnight of the company's calendar."""
        clock, now = self.clocks.company, int(self.now.timestamp())
        latest = self._latest(lambda at: clock.working_days_between(at, now) >= self.options.stale_days)
        return datetime.fromtimestamp(latest + 1, UTC)

    def _bound(self, view: View, since: datetime) -> tuple[str, list[object]]:
        """A view's SQL with its parameters in order."""
        asked = self._asked(since)
        params: list[object] = []

        def bind(match: re.Match[str]) -> str:
            params.append(asked[match[1]])
            return "?"

        # Every fact has windows of its own.
        return _NAMED.sub(bind, view.sql.replace("kpi_windows", f"{view.name}_windows")), params

    def _make(self, name: str, view: View, since: datetime, made: list[str], *, numbered: bool = False) -> None:
        sql, params = self._bound(view, since)
        if numbered:
            sql = f"SELECT row_number() OVER () AS row_no, v.* FROM ({sql}) AS v"
        self.store.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}", params)
        made.append(name)

    def _place(self, fact: Fact, bounds: Sequence[datetime], since: datetime, made: list[str]) -> None:
        """The fact with the department of its manager, the segment of its moment, and what SQL could not compute."""
        segment, params = _segment(fact, bounds)
        if fact.refine:
            self._make(f"{fact.name}_raw", fact, since, made, numbered=True)
            refined, adds = self._refined(fact, fact.refine, since, made)
            source = f"{fact.name}_raw"
        else:
            sql, source_params = self._bound(fact, since)
            source, refined, adds = f"({sql})", "", ""
            params += source_params
        conditions = [] if self.people_filter is None else ["p.chosen"]
        if fact.dated:
            conditions.append("f.happened_at >= ? AND f.happened_at < ?")
            params += [since, bounds[-1] if bounds else since]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        department, placed = "coalesce(p.department_id, 0)", ""
        if fact.placed:
            department = "CASE WHEN p.fixed THEN p.department_id ELSE coalesce(q.counts_for, p.department_id, 0) END"
            placed = " LEFT JOIN kpi_places AS q ON q.department_id = f.placed_in"
        self.store.execute(
            f"CREATE OR REPLACE TEMP TABLE {fact.name} AS SELECT f.*{adds}, {department} AS department_id, "
            f"{segment} AS segment_no FROM {source} AS f "
            f"LEFT JOIN kpi_people AS p ON p.manager_id = f.manager_id{placed}{refined}{where}",
            params,
        )
        made.append(fact.name)

    def _refined(self, fact: Fact, refine: Refinement, since: datetime, made: list[str]) -> tuple[str, str]:
        """Compute the columns that SQL cannot say; returns the join that brings them in, and their names."""
        instants = [column for column in refine.reads if column.endswith(("_at", "_until"))]
        reads = [f"f.{c}" if c in instants else f"coalesce(f.{c}, 0) AS {c}" for c in refine.reads]
        when, params = ("", []) if not fact.dated else (" WHERE f.happened_at >= ?", [since])
        table = self.store.arrow(f"SELECT f.row_no, {', '.join(reads)} FROM {fact.name}_raw AS f{when}", params)
        columns: dict[str, np.ndarray[Any, Any]] = {
            column: _floats(table, column) if column in refine.amounts else _integers(table, column)
            for column in refine.reads
        }
        added = refine.compute(columns, self.clocks, self.told)
        name = f"{fact.name}_refined"
        self.store.load(name, _arrow_columns({"row_no": _integers(table, "row_no"), **added}))
        made.append(name)
        return f" JOIN {name} AS r ON r.row_no = f.row_no", "".join(f", r.{column}" for column in refine.adds)

    def _lookups(self, made: list[str]) -> None:
        options, scope = self.options, self.scope
        drafts_are_named = options.invoice_draft_stages is not None
        lists: list[tuple[str, int | None, str | None]] = [
            *(("pipelines", number, None) for number in sorted(options.pipelines or ())),
            *(("no_pipelines", number, None) for number in sorted(options.excluded_pipelines)),
            *(("no_users", number, None) for number in sorted(options.excluded_users)),
            *(("no_sources", None, text) for text in sorted(options.excluded_sources)),
            *(("origins", None, text) for text in sorted(options.migration_origins)),
            *(("unrecorded_lines", None, text) for text in sorted(options.unrecorded_lines)),
            *(("bots", number, None) for number in sorted(options.chat_bots)),
            # The empty one says that there is a choice at all, be it none.
            *(("drafts", None, text) for text in ("", *sorted(options.invoice_draft_stages or ())) if drafts_are_named),
            *(("sent_quotes", None, text) for text in sorted(options.quote_sent_stages)),
            *(("web_sources", None, text) for text in sorted(options.web_sources)),
            *((f"required_{kind}", None, text) for kind, names in options.required_fields.items() for text in names),
            *(("proposal_stages", None, text) for text in sorted(options.proposal_stages)),
            *(("qualified_stages", None, text) for text in sorted(options.qualified_stages)),
            *(("agreement_stages", None, text) for text in sorted(options.agreement_stages)),
            *(("junk_statuses", None, text) for text in sorted(options.junk_statuses)),
            *(("stage_limits", seconds, text) for text, seconds in sorted(options.stage_limits.items())),
            *(("loss_reason_field", None, text) for text in (options.loss_reason_field,) if text),
            *((f"{answer.value}_values", None, text) for text, answer in sorted(options.answer_values.items())),
            *((f"{answer.value}_tags", None, text) for text, answer in sorted(options.answer_tags.items())),
        ]
        self._load("kpi_lists", {"list": "string", "number": "int64", "text": "string"}, lists, made)
        kinds = [(provider, kind.value) for provider, kind in sorted(options.activity_kinds.items())]
        self._load("kpi_kinds", {"provider_id": "string", "kind": "string"}, kinds, made)
        chances = sorted(options.stage_probabilities.items())
        self._load("kpi_chances", {"stage_id": "string", "chance": "double"}, chances, made)
        people = [
            (
                m.person.id,
                m.department_id if m.in_scope else 0,
                scope.chosen is None or m.person.id in scope.chosen,
                m.person.id in options.primary_departments,
            )
            for m in scope.members
        ]
        columns = {"manager_id": "int64", "department_id": "int64", "chosen": "bool", "fixed": "bool"}
        self._load("kpi_people", columns, people, made)
        inside = frozenset(scope.departments)
        places = [(place, place if place in inside else 0) for place in scope.tree.departments]
        self._load("kpi_places", {"department_id": "int64", "counts_for": "int64"}, places, made)
        self._load("kpi_closure", {"department_id": "int64", "ancestor_id": "int64"}, scope.closure, made)
        sellers = [(m.person.id,) for m in scope.members if m.in_scope and m.person.active]
        self._load("kpi_sellers", {"manager_id": "int64"}, sellers, made)
        self._rates(made)
        self._days(made)
        self._work_days(made)

    def _rates(self, made: list[str]) -> None:
        """Factors to the reporting currency. Divided here: the database divides decimals in binary."""
        today = {
            currency: Decimal(rate) / count
            for currency, rate, count in self._rows(
                "SELECT id, rate, rate_count FROM currencies WHERE portal = ? AND (deleted_at IS NULL OR deleted_at > ?)",
                self.now,
            )
            if rate and count
        }
        seen: dict[str, list[tuple[datetime, Decimal]]] = {}
        for currency, at, rate, count in self._rows(
            "SELECT currency_id, seen_at, rate, rate_count FROM rates WHERE portal = ? ORDER BY currency_id, seen_at"
        ):
            if rate and count:
                seen.setdefault(currency, []).append((at, Decimal(rate) / count))
        for currency, quotes in seen.items():
            if quotes[-1][0] > self.now:  # what a currency was worth before it was first looked at, nobody knows
                today[currency] = next((rate for at, rate in reversed(quotes) if at <= self.now), quotes[0][1])
        today[self.base_currency] = Decimal(1)
        reporting = today.get(self.currency)
        if reporting is None:
            raise ConfigError(
                f"the portal has no rate for the reporting currency {self.currency}: add it there, "
                f"or set reporting.currency to one of {', '.join(sorted(today))}"
            )
        rates = [(currency, (rate / reporting).quantize(_FACTOR)) for currency, rate in sorted(today.items())]
        self._load("kpi_rates", {"currency_id": "string", "factor": "decimal(24, 12)"}, rates, made)
        frozen = [
            (rate, count, (Decimal(rate) / count / reporting).quantize(_FACTOR))
            for rate, count in self._rows(
                "SELECT rate, rate_count FROM deal_closings WHERE portal = ? "
                "UNION SELECT rate, rate_count FROM payments WHERE portal = ? "
                "UNION SELECT rate, rate_count FROM rates WHERE portal = ?",
                self.portal,
                self.portal,
            )
            if rate and count
        ]
        columns = {"rate": "decimal(18, 6)", "rate_count": "int64", "factor": "decimal(24, 12)"}
        self._load("kpi_factors", columns, frozen, made)
        spans = [
            (currency, _EARLIEST if not i else at, _LATEST if i + 1 == len(quotes) else quotes[i + 1][0], factor)
            for currency, quotes in seen.items()
            for i, (at, rate) in enumerate(quotes)
            for factor in ((rate / reporting).quantize(_FACTOR),)
        ]
        columns = {"currency_id": "string", "since": "instant", "until": "instant", "factor": "decimal(24, 12)"}
        self._load("kpi_past_rates", columns, spans, made)

    def _days(self, made: list[str]) -> None:
        """First instants of the local dates that records name."""
        dates = self._rows(
            "SELECT on_date FROM (SELECT closes_on AS on_date FROM deals WHERE portal = ? "
            "UNION SELECT from_closes_on FROM deal_changes WHERE portal = ? "
            "UNION SELECT begins_on FROM invoices WHERE portal = ? "
            "UNION SELECT starts_on FROM inputs WHERE portal = ?) AS named "
            "WHERE on_date BETWEEN DATE '1971-01-01' AND DATE '2099-12-31'",
            self.portal,
            self.portal,
            self.portal,
        )
        on = [day for (day,) in dates]
        columns = {"on_date": "date32", "starts_at": "instant"}
        self._load("kpi_days", columns, list(zip(on, self.rules.midnights(on), strict=True)), made)

    def _work_days(self, made: list[str]) -> None:
        """The company's working time for SQL, calendar 0, from the first record of any history to tomorrow."""
        found = self._rows(
            "SELECT min(x.first_at) FROM (SELECT min(created_at) AS first_at FROM stage_moves WHERE portal = ? "
            "UNION ALL SELECT min(created_at) FROM deals WHERE portal = ?) AS x",
            self.portal,
        )
        first = max(found[0][0] or self.now, datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))
        last = max(self.now, first) + timedelta(days=1)
        days = work_days({0: self.clocks.company}, first.astimezone(UTC).date(), last.astimezone(UTC).date())
        self.store.load("kpi_work_days", _arrow_columns(days))
        made.append("kpi_work_days")

    def _load(self, name: str, columns: Mapping[str, str], rows: Sequence[Sequence[object]], made: list[str]) -> None:
        self.store.load(name, _arrow_rows(columns, rows))
        made.append(name)


@cache
def _lower_case() -> str:
    """Every letter that Unicode calls lower case (Ll), the planes in use."""
    return "".join(letter for letter in map(chr, range(0x20000)) if unicodedata.category(letter) == "Ll")


def _segment(fact: Fact, bounds: Sequence[datetime]) -> tuple[str, list[object]]:
    """Expression for the segment of a row of ``f``, and its parameters."""
    if fact.windowed:
        return "f.window_no", []
    if fact.state:
        return "0", []
    return segment_sql(bounds) if len(bounds) > 1 else ("NULL", [])


def _in_order(views: Iterable[View]) -> tuple[View, ...]:
    """Views after those that they need, each once."""
    ordered: dict[View, None] = {}

    def visit(view: View) -> None:
        for needed in view.needs:
            visit(needed)
        ordered.setdefault(view, None)

    for view in views:
        visit(view)
    return tuple(ordered)


# ---------------------------------------------------------------- Arrow

# Imported where it is used: declarations must be readable where no database is installed.


def _arrow_rows(columns: Mapping[str, str], rows: Sequence[Sequence[object]]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415 - see above

    def kind(name: str) -> pa.DataType:
        if name.startswith("decimal"):
            precision, scale = re.findall(r"\d+", name)
            return pa.decimal128(int(precision), int(scale))
        return pa.timestamp("us", "UTC") if name == "instant" else pa.type_for_alias(name)

    arrays = [pa.array([row[i] for row in rows], kind(name)) for i, name in enumerate(columns.values())]
    return pa.table(dict(zip(columns, arrays, strict=True)))


def _arrow_columns(columns: Mapping[str, np.ndarray[Any, Any]]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415 - see above

    return pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})


def _integers(table: pa.Table, column: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A column without NULL as int64; instants as epoch seconds, fractions dropped."""
    values = table.column(column).to_numpy()
    if values.dtype.kind == "M":
        return np.asarray(values.astype("datetime64[s]").astype(np.int64))
    return np.asarray(values, dtype=np.int64)


def _floats(table: pa.Table, column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column without NULL as float64."""
    return np.asarray(table.column(column).to_numpy(), dtype=np.float64)
