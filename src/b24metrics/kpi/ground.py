"""What one evaluation stands on: portal, people, clocks, windows.

Laws: the mirror is only read, and asked once for each thing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property
from typing import Any, Protocol

from b24metrics.errors import ConfigError, NothingMirrored
from b24metrics.kpi import aggregates
from b24metrics.kpi.dimensions import Department, DepartmentTree, PeopleFilter, Person, Scope
from b24metrics.kpi.facts import ASSIGNMENTS, View
from b24metrics.kpi.facts.view import COMMENTS, KEYS, NAMES
from b24metrics.kpi.model import PIPELINE, Grain, Kpi, WindowId
from b24metrics.kpi.options import ClosedAtSource, KpiOptions, LeadMode, PurchaseBasis, QuoteSource
from b24metrics.kpi.results import DepartmentInfo, Directory, ManagerInfo, PipelineInfo, SourceInfo, StageInfo
from b24metrics.kpi.windows import WindowRules
from b24metrics.worktime import Absence, Calendars, Employee, WorkCalendar

_DEFAULT_WEEK = {"mon-fri": ["09:00-18:00"]}
_CLASSIC_MODE, _SIMPLE_MODE = 1, 2
_DAY_SECONDS = 86_400


class Rows(Protocol):
    """What answers questions about the mirror: a store, or a reader of one."""

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True)
class Ground:
    """Everything about the portal that an evaluation at ``now`` needs to know; reads directories when asked."""

    store: Rows
    portal: str
    now: datetime
    options: KpiOptions = field(default_factory=KpiOptions)
    people_filter: PeopleFilter | None = None

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise ValueError("the evaluation instant must be aware")

    def ask(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        """Rows of the mirror; the portal is the first parameter."""
        return self.store.rows(sql, [self.portal, *params])

    # ------------------------------------------------------------ the portal

    @cached_property
    def _portal_row(self) -> tuple[str | None, str | None, int | None]:
        found = self.ask("SELECT zone, base_currency, crm_mode FROM portals WHERE portal = ?")
        if not found:
            raise NothingMirrored(f"the mirror has no portal {self.portal!r} yet: run b24metrics sync first")
        zone, base_currency, crm_mode = found[0]
        return zone, base_currency, crm_mode

    @cached_property
    def host(self) -> str:
        """Where the portal is looked at in a browser."""
        found = self.ask("SELECT host FROM portals WHERE portal = ?")
        return str(found[0][0] or self.portal) if found else self.portal

    @cached_property
    def zone(self) -> str:
        """Reporting zone: configured, else the portal's, else that of most of its people, else UTC."""
        if known := self.options.zone or self._portal_row[0]:
            return known
        common = self.ask(
            "SELECT zone FROM users WHERE portal = ? AND active AND deleted_at IS NULL AND zone <> '' "
            "GROUP BY zone ORDER BY count(*) DESC, zone LIMIT 1"
        )
        return str(common[0][0]) if common else "UTC"

    @cached_property
    def base_currency(self) -> str:
        """The portal's own currency, in which rates are given."""
        flagged = self.ask("SELECT id FROM currencies WHERE portal = ? AND is_base AND deleted_at IS NULL ORDER BY id")
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
        found = self.ask("SELECT feed FROM feed_state WHERE portal = ? AND backfilled_at IS NOT NULL")
        return frozenset(name for (name,) in found) | ({ASSIGNMENTS} if self._assignments_are_watched else set())

    @property
    def _assignments_are_watched(self) -> bool:
        """Whether changes of the person responsible have been observed, or would have been."""
        return bool(
            self.ask(
                "SELECT 1 FROM portals WHERE portal = ? AND (first_synced_at IS NOT NULL "
                "OR EXISTS (SELECT 1 FROM assignments AS a WHERE a.portal = portals.portal))"
            )
        )

    @cached_property
    def copying(self) -> frozenset[str]:
        """Names of the feeds whose past is being copied; one that failed is not waited for."""
        found = self.ask("SELECT feed FROM feed_state WHERE portal = ? AND backfilled_at IS NULL AND error IS NULL")
        return frozenset(name for (name,) in found)

    @cached_property
    def classic(self) -> bool:
        """Whether new requests are leads."""
        if self.options.lead_mode is not LeadMode.AUTO:
            return self.options.lead_mode is LeadMode.CLASSIC
        mode = self._portal_row[2]
        if mode in {_CLASSIC_MODE, _SIMPLE_MODE}:
            return mode == _CLASSIC_MODE
        return bool(self.ask("SELECT 1 FROM leads WHERE portal = ? AND deleted_at IS NULL LIMIT 1"))

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Kinds of the numbers from outside that were loaded."""
        return frozenset(kind for (kind,) in self.ask("SELECT DISTINCT kind FROM inputs WHERE portal = ?"))

    @cached_property
    def left_out(self) -> frozenset[str]:
        """Parts of contacts that the mirror does not keep, as its contacts show.

        The portal lets no contact be without any name, a comment that was looked at holds a number or does not, and who has
        a phone or an address has a key.
        """
        of_contacts = "SELECT 1 FROM contacts WHERE portal = ? AND"
        signs = {
            NAMES: ("id > 0", "name <> '' OR last_name <> ''"),
            COMMENTS: ("id > 0", "phone_in_comment IS NOT NULL"),
            KEYS: (
                "has_phone OR has_email",
                "EXISTS (SELECT 1 FROM client_keys AS k WHERE k.portal = contacts.portal AND k.entity_type_id = 3)",
            ),
        }
        return frozenset(
            part
            for part, (expected, kept) in signs.items()
            if self.ask(f"{of_contacts} ({expected}) LIMIT 1") and not self.ask(f"{of_contacts} ({kept}) LIMIT 1")
        )

    def has(self, grain: Grain, kpi: Kpi) -> bool:
        """Whether there are rows of a KPI at a grain: leads are in no pipeline (catalogue §19 "People, scope, records")."""
        feeds = {feed for fact in aggregates.facts(kpi.measure) for feed in fact.feeds}
        return grain != PIPELINE or not ("leads" in feeds or (self.classic and "requests" in feeds))

    def lacking(self, kpi: Kpi) -> tuple[str, ...]:
        """What a KPI needs and does not find; see ``Snapshot.absent``."""
        feeds = self.missing(aggregates.needed(kpi.measure))
        feeds += tuple(part for part in kpi.needs if part in self.left_out)
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
        for user, department in self.ask(
            "SELECT user_id, department_id FROM user_departments WHERE portal = ? ORDER BY user_id, ordinal, department_id"
        ):
            departments.setdefault(user, []).append(department)
        moved = self.ask(
            "SELECT user_id, from_id, to_id FROM department_changes WHERE portal = ? AND changed_at > ? "
            "ORDER BY changed_at DESC",
            self.now,
        )
        for user, before, after in moved:
            others = [one for one in departments.get(user, ()) if one not in {before, after}]
            departments[user] = others if before is None else [before, *others]
        found = self.ask(
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
        found = self.ask(
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
            for number, name, sort in self.ask(
                "SELECT id, name, sort FROM pipelines WHERE portal = ? AND entity_type_id = 2 "
                "AND (deleted_at IS NULL OR deleted_at > ?) ORDER BY sort, id",
                self.now,
            )
            if self._counts(number)
        )
        stages = tuple(
            StageInfo(stage, name or stage, pipeline or 0, semantics or "P", sort or 0)
            for stage, name, pipeline, semantics, sort in self.ask(
                "SELECT status_id, name, pipeline_id, semantics, sort FROM statuses "
                "WHERE portal = ? AND entity_type_id = 2 AND (deleted_at IS NULL OR deleted_at > ?) "
                "ORDER BY pipeline_id, sort, status_id",
                self.now,
            )
            if self._counts(pipeline or 0)
        )
        sources = tuple(
            SourceInfo(source, name or source)
            for source, name in self.ask(
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
        for user, starts, ends in self.ask(
            "SELECT user_id, starts_at, ends_at FROM absences "
            "WHERE portal = ? AND starts_at IS NOT NULL AND (ends_at IS NULL OR starts_at < ends_at) ORDER BY user_id, id"
        ):
            absences.setdefault(user, []).append(Absence(starts, ends))
        configured = {employee.id: employee for employee in self.options.employees}
        places = {member.person.id: member.department_id for member in self.scope.members}
        # The portal may not show somebody whose hours are written in the settings.
        employees = [own for user, own in configured.items() if user not in self._people]
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

    @cached_property
    def today(self) -> date:
        """The local date of the evaluation instant."""
        return self.rules.wall(self.now).date()

    @cached_property
    def seen_until(self) -> datetime:
        """The later of the evaluation instant and the last look at the portal.

        Seen from the past, a record that is dated later did not exist yet, unless it lies in the future still.
        """
        seen = self.ask("SELECT max(synced_at) FROM feed_state WHERE portal = ?")[0][0]
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

    def know_all(self) -> None:
        """Find out what facts are made with, so that several threads may ask."""
        _ = self.asked, self.told, self.clocks

    @cached_property
    def asked(self) -> Mapping[str, object]:
        """Values of ``facts.ASKED``, all but ``since``."""
        options = self.options
        return {
            "portal": self.portal,
            "now": self.now,
            "base_currency": self.base_currency,
            "foreign_currency": "" if self.currency == self.base_currency else self.currency,
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
            "lower_case": lower_case(),
            "names_kept": NAMES not in self.left_out,
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

    def back(self, at: datetime) -> datetime:
        """From when on a purchase keeps its client active until ``at``."""
        return self.rules.instant(self.rules.wall(at) - timedelta(days=self.options.customers.active_days))


@cache
def lower_case() -> str:
    """Every letter that Unicode calls lower case (Ll), the planes in use."""
    return "".join(letter for letter in map(chr, range(0x20000)) if unicodedata.category(letter) == "Ll")
