"""Any past instant: what happened later does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b24metrics.kpi import KPIS, KpiOptions, Snapshot, WindowId, evaluate
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi.small import FEEDS, NOW, OFFICE, PORTAL, Company, at

THEN = NOW
PRESENT = NOW + timedelta(days=40)
BEGIN = at("2024-12-20 09:00")
PEOPLE = (7, 8, 9)
RATES = {"USD": "90", "KZT": "0.18"}
STAGES = {"P": ("NEW", "OFFER"), "S": ("WON",), "F": ("LOSE",)}
ALL_FEEDS = (
    *FEEDS,
    "invoices",
    "invoice_moves",
    "quotes",
    "payments",
    "product_rows",
    "contacts",
    "companies",
    "tasks",
)

#: Distinct moments on both sides of THEN, never at it.
MOMENTS = st.integers(0, int((PRESENT - BEGIN).total_seconds()) // 60).map(
    lambda minutes: BEGIN + timedelta(minutes=minutes, seconds=17)
)


@dataclass
class Story:
    """One record: since when it is there, what it begins with, and what changes when."""

    born: datetime
    facts: dict[str, Any]
    changes: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)

    def as_of(self, moment: datetime) -> dict[str, Any]:
        """Its facts at a moment."""
        found = dict(self.facts)
        for changed_at, change in self.changes:
            if changed_at <= moment:
                found |= change
        return found


@dataclass
class Chronicle:
    """Everything that ever happens in a company."""

    deals: list[Story] = field(default_factory=list)
    leads: list[Story] = field(default_factory=list)
    activities: list[tuple[Story, tuple[int, int]]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    quotes: list[Story] = field(default_factory=list)
    invoices: list[Story] = field(default_factory=list)
    people: dict[int, Story] = field(default_factory=dict)
    rates: list[tuple[datetime, str, str]] = field(default_factory=list)

    def mirror(self, seen: datetime) -> Company:
        """What a mirror holds that watched from the beginning until ``seen``."""
        company = Company(feeds=ALL_FEEDS)
        company.department(1)
        company.department(2, 1)
        company.department(3, 1)
        company.add(schema.PIPELINES, entity_type_id=2, id=0, name="Sales", sort=1, is_default=True)
        for position, (semantics, stage) in enumerate((s, one) for s, stages in STAGES.items() for one in stages):
            for directory, entity_type in (("DEAL_STAGE", 2), ("STATUS", 1), ("SMART_INVOICE_STAGE_1", 31)):
                company.add(
                    schema.STATUSES, directory=directory, status_id=stage, name=stage, sort=position, semantics=semantics,
                    entity_type_id=entity_type, pipeline_id=0,
                )  # fmt: skip
        self._people(company, seen)
        self._rates(company, seen)
        for number, story in enumerate(self.deals, start=1):
            self._record(company, seen, schema.DEALS, 2, number, story)
        for number, story in enumerate(self.leads, start=1):
            self._record(company, seen, schema.LEADS, 1, number, story)
        for number, story in enumerate(self.invoices, start=1):
            self._record(company, seen, schema.INVOICES, 31, number, story)
        self._quotes(company, seen)
        for number, (story, (owner_type, owner)) in enumerate(self.activities, start=1):
            if story.born <= seen:
                done_at = next((moment for moment, _ in story.changes if moment <= seen), None)
                company.add(
                    schema.ACTIVITIES, id=number, owner_type_id=owner_type, owner_id=owner, created_at=story.born,
                    modified_at=done_at or story.born, completed=done_at is not None, completed_at=done_at,
                    status=2 if done_at else 1, is_incoming_channel=False, **story.facts,
                )  # fmt: skip
                company.bind(number, owner_type, owner)
        for number, call in enumerate(self.calls, start=1):
            if call["started_at"] <= seen:
                company.add(schema.PHONE_CALLS, id=number, call_id=f"call-{number}", category="external", **call)
        return company

    def _people(self, company: Company, seen: datetime) -> None:
        for who, story in self.people.items():
            now = story.as_of(seen)
            dismissed = next(
                (moment for moment, change in story.changes if "active" in change and moment <= seen), None
            )
            company.add(
                schema.USERS,
                id=who,
                active=now["active"],
                name=f"User {who}",
                dismissed_at=dismissed,
                registered_at=story.born,
            )
            company.add(schema.USER_DEPARTMENTS, user_id=who, department_id=now["department"], ordinal=0)
            before = story.facts["department"]
            for moment, change in story.changes:
                if "department" in change and moment <= seen and change["department"] != before:
                    after = change["department"]
                    company.add(schema.DEPARTMENT_CHANGES, user_id=who, changed_at=moment, from_id=before, to_id=after)
                    before = after

    def _rate(self, currency: str, moment: datetime) -> Decimal:
        known = [rate for when, name, rate in self.rates if name == currency and when <= moment]
        return Decimal(known[-1] if known else RATES.get(currency, "1"))

    def _rates(self, company: Company, seen: datetime) -> None:
        company.currency("RUB", "1")
        for currency, first in RATES.items():
            company.currency(currency, str(self._rate(currency, seen)))
            moments = [
                (BEGIN, first),
                *((when, rate) for when, name, rate in self.rates if name == currency and when <= seen),
            ]
            for when, rate in moments:
                company.add(schema.RATES, currency_id=currency, seen_at=when, rate=Decimal(rate), rate_count=1)

    def _record(
        self, company: Company, seen: datetime, table: schema.Table, entity_type: int, number: int, story: Story
    ) -> None:
        if story.born > seen:
            return
        now = story.as_of(seen)
        moves = [(story.born, story.facts), *((when, one) for when, one in story.changes if "semantics" in one)]
        moves = [(when, one) for when, one in moves if when <= seen]
        row = {name: value for name, value in now.items() if name in table.columns}
        closed_at = moves[-1][0] if now["semantics"] != "P" and entity_type == 1 else None
        extra = {"closed_at": closed_at} if entity_type == 1 else {}
        company.add(
            table, id=number, title=f"Record {number}", created_at=story.born, modified_at=story.born, created_by_id=1,
            modified_by_id=1, moved_by_id=now["assigned_by_id"], moved_at=moves[-1][0], **extra, **row,
        )  # fmt: skip
        for position, (moment, one) in enumerate(moves):
            kind = 1 if position == 0 else 2 if one["semantics"] == "P" else 3
            company.add(
                schema.STAGE_MOVES, entity_type_id=entity_type, id=number * 100 + position, kind=kind, owner_id=number,
                created_at=moment, pipeline_id=0, stage_id=one["stage_id"], semantics=one["semantics"],
            )  # fmt: skip
        before = dict(story.facts)
        for moment, change in story.changes:
            if moment > seen:
                break
            after = before | change
            if "assigned_by_id" in change and after["assigned_by_id"] != before["assigned_by_id"] and entity_type != 31:
                company.add(
                    schema.ASSIGNMENTS, entity_type_id=entity_type, entity_id=number, changed_at=moment,
                    from_id=before["assigned_by_id"], to_id=after["assigned_by_id"], observed_at=moment,
                )  # fmt: skip
            terms = ("opportunity", "currency_id", "closes_on")
            if entity_type == 2 and any(before[name] != after[name] for name in terms):
                said = {
                    f"{word}_{name}": one[name] for word, one in (("from", before), ("to", after)) for name in terms
                }
                company.add(schema.DEAL_CHANGES, deal_id=number, changed_at=moment, observed_at=moment, **said)
            before = after
        if entity_type == 2 and now["semantics"] != "P":
            self._closing(company, number, story, moves)

    def _closing(
        self, company: Company, number: int, story: Story, moves: list[tuple[datetime, dict[str, Any]]]
    ) -> None:
        """What was frozen when the present stay began."""
        semantics = moves[-1][1]["semantics"]
        stay = moves[-1][0]
        for moment, one in reversed(moves):
            if one["semantics"] != semantics:
                break
            stay = moment
        then = story.as_of(stay)
        rate = self._rate(then["currency_id"], stay)
        company.add(
            schema.DEAL_CLOSINGS, deal_id=number, semantics=semantics, manager_id=then["assigned_by_id"],
            department_id=self.people[then["assigned_by_id"]].as_of(stay)["department"], opportunity=then["opportunity"],
            currency_id=then["currency_id"], rate=rate, rate_count=1, observed_at=stay,
        )  # fmt: skip

    def _quotes(self, company: Company, seen: datetime) -> None:
        for number, story in enumerate(self.quotes, start=1):
            if story.born > seen:
                continue
            now = story.as_of(seen)
            changed = [when for when, _ in story.changes if when <= seen]
            company.add(
                schema.QUOTES, id=number, title="Quote", created_at=story.born, modified_at=changed[-1] if changed else story.born,
                closed=now["stage_id"] in {"APPROVED", "DECLAINED"}, **now,
            )  # fmt: skip
            before = None
            for moment, stage in [
                (story.born, story.facts["stage_id"]),
                *((w, one["stage_id"]) for w, one in story.changes),
            ]:
                if moment <= seen and stage != before:
                    company.add(
                        schema.QUOTE_MOVES,
                        quote_id=number,
                        changed_at=moment,
                        from_stage_id=before,
                        to_stage_id=stage,
                        observed_at=moment,
                    )
                before = stage


@st.composite
def chronicles(draw: st.DrawFn) -> Chronicle:
    """A few of everything."""
    story = Chronicle()
    for who in PEOPLE:
        changes: list[tuple[datetime, dict[str, Any]]] = [
            (moment, {"department": draw(st.sampled_from([1, 2, 3]))}) for moment in draw(st.lists(MOMENTS, max_size=2))
        ]
        if draw(st.booleans()):
            changes.append((draw(MOMENTS), {"active": False}))
        story.people[who] = Story(
            BEGIN, {"active": True, "department": draw(st.sampled_from([1, 2, 3]))}, _in_order(changes)
        )
    story.rates = sorted(
        (moment, currency, rate)
        for moment, currency, rate in draw(
            st.lists(
                st.tuples(MOMENTS, st.sampled_from(["USD", "KZT"]), st.sampled_from(["80", "100"])),
                max_size=3,
                unique_by=lambda one: one[0],
            )
        )
    )
    story.deals = [_deal(draw) for _ in range(draw(st.integers(0, 4)))]
    story.leads = [_moving(draw, {}) for _ in range(draw(st.integers(0, 2)))]
    story.invoices = [
        _moving(
            draw,
            {
                "opportunity": Decimal(70),
                "currency_id": "RUB",
                "begins_on": at("03-01 00:00").date(),
                "due_on": at("03-10 00:00").date(),
            },
            assign=False,
        )
        for _ in range(draw(st.integers(0, 2)))
    ]
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from([(4, "CRM_EMAIL"), (1, "CRM_MEETING"), (6, "CRM_TODO"), (3, "TASKS")]))
        moment = draw(MOMENTS)
        done = (
            [(moment + timedelta(minutes=draw(st.integers(1, 60_000)), seconds=5), {})] if draw(st.booleans()) else []
        )
        owner = draw(st.sampled_from([(2, 1), (2, 2), (1, 1)]))
        facts = {
            "type_id": kind[0], "provider_id": kind[1], "direction": draw(st.sampled_from([1, 2])), "starts_at": moment,
            "deadline_at": draw(st.one_of(st.none(), MOMENTS)), "responsible_id": draw(st.sampled_from(PEOPLE)), "author_id": 7,
        }  # fmt: skip
        story.activities.append((Story(moment, facts, done), owner))
    for _ in range(draw(st.integers(0, 5))):
        story.calls.append(
            {
                "type_id": draw(st.sampled_from([1, 2])), "user_id": draw(st.sampled_from(PEOPLE)), "started_at": draw(MOMENTS),
                "duration_seconds": draw(st.sampled_from([0, 20, 90])), "failed_code": draw(st.sampled_from(["200", "304"])),
                "phone_key": draw(st.sampled_from(["a", "b"])), "crm_entity_type_id": draw(st.sampled_from([None, 3])), "crm_entity_id": 5,
            }
        )  # fmt: skip
    for _ in range(draw(st.integers(0, 2))):
        moments = sorted(draw(st.lists(MOMENTS, min_size=1, max_size=3, unique=True)))
        steps = [{"stage_id": draw(st.sampled_from(["DRAFT", "SENT", "APPROVED", "DECLAINED"]))} for _ in moments]
        facts = steps[0] | {
            "opportunity": Decimal(50),
            "currency_id": "RUB",
            "assigned_by_id": draw(st.sampled_from(PEOPLE)),
            "deal_id": 1,
        }
        story.quotes.append(Story(moments[0], facts, list(zip(moments[1:], steps[1:], strict=True))))
    return story


def _in_order(changes: list[tuple[datetime, dict[str, Any]]]) -> list[tuple[datetime, dict[str, Any]]]:
    return sorted(changes, key=lambda change: change[0])


def _moving(draw: st.DrawFn, facts: Mapping[str, Any], *, assign: bool = True) -> Story:
    moments = sorted(draw(st.lists(MOMENTS, min_size=1, max_size=4, unique=True)))

    def stage() -> dict[str, Any]:
        semantics = draw(st.sampled_from("PPPSF"))
        return {"semantics": semantics, "stage_id": draw(st.sampled_from(STAGES[semantics]))}

    person = st.sampled_from(PEOPLE)
    born = (
        dict(facts) | stage() | {"assigned_by_id": draw(person), "source_id": "WEB", "pipeline_id": 0, "contact_id": 5}
    )
    changes = [(moment, stage()) for moment in moments[1:]]
    if assign:
        handed = (
            draw(st.lists(MOMENTS.filter(lambda moment: moment > moments[0]), max_size=2, unique=True))
            if moments[0] < PRESENT - timedelta(days=1)
            else []
        )
        changes += [(moment + timedelta(seconds=11), {"assigned_by_id": draw(person)}) for moment in handed]
    return Story(moments[0], born, _in_order(changes))


def _deal(draw: st.DrawFn) -> Story:
    dates = st.one_of(st.none(), MOMENTS.map(lambda moment: moment.date()))
    money = st.sampled_from([Decimal(100), Decimal(250), Decimal(0)])
    currency = st.sampled_from(["RUB", "USD", "KZT"])
    story = _moving(
        draw, {"opportunity": draw(money), "currency_id": draw(currency), "closes_on": draw(dates), "lead_id": 0}
    )
    for moment in draw(st.lists(MOMENTS, max_size=2, unique=True)):
        if moment > story.born:
            change = {"opportunity": draw(money), "currency_id": draw(currency), "closes_on": draw(dates)}
            story.changes = _in_order([*story.changes, (moment + timedelta(seconds=23), change)])
    return story


def told(snapshot: Snapshot) -> dict[tuple[object, ...], tuple[object, ...]]:
    return {
        (s.kpi.id, str(s.grain), tuple(s.labels.items()), s.window.value): (
            None if s.value is None else pytest.approx(s.value), s.n, s.numerator, s.denominator
        )
        for s in snapshot.samples
    }  # fmt: skip


def seen_at(
    store: DuckStore, company: Company, seen: datetime, options: KpiOptions
) -> dict[tuple[object, ...], tuple[object, ...]]:
    company.pour(store)
    store.execute("UPDATE feed_state SET synced_at = ?", [seen])
    store.execute("UPDATE portals SET first_synced_at = ?", [BEGIN])
    return told(evaluate(store, PORTAL, now=THEN, options=options))


@settings(
    max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(chronicle=chronicles())
def test_a_mirror_that_saw_everything_tells_the_past_as_one_that_stopped_then(
    store: DuckStore, chronicle: Chronicle
) -> None:
    """All KPIs: later records, moves, hand-overs, changes of terms, completions, dismissals and rates do not exist."""
    options = KpiOptions(calendar=OFFICE, edits_react=False)
    stopped = seen_at(store, chronicle.mirror(THEN), THEN, options)
    whole = seen_at(store, chronicle.mirror(PRESENT), PRESENT, options)

    differing = {
        key: (stopped.get(key), whole.get(key))
        for key in stopped.keys() | whole.keys()
        if stopped.get(key) != whole.get(key)
    }
    assert {} == differing


def test_a_deleted_record_is_gone_from_the_past(store: DuckStore) -> None:
    """Retroactively (catalogue §2.7), however late it was deleted."""
    company = Company().staff()
    company.deal(1, moves="03-03 10:00 P; 03-10 15:00 S", deleted_at=at("03-20 10:00"))
    company.pour(store)

    assert 0 == evaluate(store, PORTAL, ["deals_won_count"], now=NOW).value(KPIS["deals_won_count"], WindowId.MTD)
