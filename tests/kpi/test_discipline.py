"""Open deals and what is planned for them; the first reaction to a new request."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest

from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, MANAGER, Grain, Snapshot, WindowId
from b24metrics.kpi.options import ActivityKind, LeadMode
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from b24metrics.worktime import Employee, WorkCalendar
from tests.kpi import small
from tests.kpi.small import NOW, OFFICE, Company, at

MTD = WindowId.MTD
measured = partial(
    small.measured,
    kpis=("open_deals_overdue_activity_count", "open_deals_without_activity_count", "first_response_seconds_median"),
)
PLANNED = {"completed": False, "direction": 0, "provider_id": "CRM_TODO", "type_id": 6}


def overdue(snapshot: Snapshot) -> float | None:
    return snapshot.value(KPIS["open_deals_overdue_activity_count"], WindowId.NOW)


def bare(snapshot: Snapshot) -> float | None:
    return snapshot.value(KPIS["open_deals_without_activity_count"], WindowId.NOW)


def response(snapshot: Snapshot, grain: Grain = COMPANY, **labels: str) -> tuple[float | None, int | None]:
    """Median and number of answered requests."""
    sample = snapshot.sample(KPIS["first_response_seconds_median"], MTD, grain, **labels)
    assert sample is not None
    return sample.value, sample.n


# ---------------------------------------------------------------- planned activities


@pytest.mark.parametrize(
    ("facts", "expected_overdue", "expected_bare"),
    [
        ({"deadline_at": at("03-14 11:59")}, 1, 0),
        ({"deadline_at": at("03-14 12:00")}, 0, 0),  # due this instant is not yet overdue
        ({"deadline_at": at("03-14 18:00")}, 0, 0),  # later today
        ({"deadline_at": None}, 0, 0),  # no deadline is a plan all the same
        ({"deadline_at": at("03-13 10:00"), "completed": True}, 0, 1),
        ({"deadline_at": at("03-13 10:00"), "deleted_at": NOW}, 0, 1),
        ({"deadline_at": at("03-13 10:00"), "is_incoming_channel": True}, 0, 0),  # unprocessed, but nobody planned it
        ({"deadline_at": at("03-13 10:00"), "completed": None}, 1, 0),
    ],
)
def test_planned_and_overdue(
    store: DuckStore, facts: dict[str, Any], expected_overdue: int, expected_bare: int
) -> None:
    """Overdue: uncompleted and past its deadline, to the instant. Bare: no uncompleted activity at all."""
    company = Company().staff()
    company.activity(company.deal(), **(PLANNED | facts))
    snapshot = measured(store, company)

    assert (expected_overdue, expected_bare) == (overdue(snapshot), bare(snapshot))


def test_several_activities_make_one_overdue_deal(store: DuckStore) -> None:
    """Deals are counted, not activities."""
    company = Company().staff()
    deal = company.deal()
    for _ in range(3):
        company.activity(deal, deadline_at=at("03-10 10:00"), **PLANNED)

    assert (1, 0) == (overdue(snapshot := measured(store, company)), bare(snapshot))


def test_an_activity_of_several_deals_serves_each(store: DuckStore) -> None:
    """Bindings count, not only the owner."""
    company = Company().staff()
    first, second = company.deal(), company.deal()
    company.bind(company.activity(first, deadline_at=at("03-10 10:00"), **PLANNED), 2, second)

    assert (2, 0) == (overdue(snapshot := measured(store, company)), bare(snapshot))


def test_an_activity_of_the_contact_alone_does_not_count(store: DuckStore) -> None:
    """Nor does one of a lead with the same number."""
    company = Company().staff()
    deal = company.deal()
    company.activity(**PLANNED)
    company.activity(lead=deal, **PLANNED)

    assert (0, 1) == (overdue(snapshot := measured(store, company)), bare(snapshot))


def test_closed_deals_need_no_activity(store: DuckStore) -> None:
    """Only deals in work are looked at."""
    company = Company().staff()
    company.activity(company.deal(semantics="S"), deadline_at=at("03-10 10:00"), **PLANNED)

    assert (0, 0) == (overdue(snapshot := measured(store, company)), bare(snapshot))


@pytest.mark.parametrize(
    ("now", "created", "expected"),
    [
        (NOW, "03-14 11:00", 1),  # an hour of work has passed, to the second
        (NOW, "03-14 11:01", 0),
        (at("03-17 09:59"), "03-14 18:30", 0),  # created on Friday evening: 59 minutes of Monday
        (at("03-17 10:00"), "03-14 18:30", 1),
        (at("03-16 12:00"), "03-14 17:00", 1),  # the last hour of Friday
        (at("03-16 12:00"), "03-14 17:01", 0),
        (NOW, "03-15 10:00", 0),  # created in the future: lacks nothing
    ],
)
def test_the_first_working_hour_is_free(store: DuckStore, now: datetime, created: str, expected: int) -> None:
    """Deals younger than one working hour of the company are skipped."""
    company = Company().staff()
    company.deal(created_at=at(created))

    assert expected == bare(measured(store, company, now=now, calendar=OFFICE))


def test_grace_may_be_switched_off(store: DuckStore) -> None:
    """``grace_seconds = 0``."""
    company = Company().staff()
    company.deal(created_at=at("03-14 11:59"))

    assert 1 == bare(measured(store, company, grace_seconds=0))


# ---------------------------------------------------------------- reactions


def test_every_kind_of_reaction(store: DuckStore) -> None:
    """Dial, e-mail, chat, meeting, move, edit: each answers a request; the earliest counts."""

    def minutes(add: Any) -> float | None:
        company = Company().staff()
        deal = company.deal(created_at=at("03-03 10:00"), modified_at=at("03-03 10:00"))
        add(company, deal)
        value, _ = response(measured(store, company))
        return None if value is None else value / 60

    def call(company: Company, deal: int, **facts: Any) -> None:
        activity = company.activity(deal, type_id=2, provider_id="VOXIMPLANT_CALL", completed=True)
        company.call(at("03-03 10:07"), crm_activity_id=activity, **facts)

    mail = {"created_at": at("03-03 10:09")}
    assert 7 == minutes(call)
    assert 7 == minutes(lambda c, d: call(c, d, failed_code="304", duration_seconds=0))  # a dial, answered or not
    assert 7 == minutes(lambda c, d: call(c, d, type_id=2))
    assert None is minutes(lambda c, d: call(c, d, type_id=2, failed_code="304"))  # a missed call is no reaction
    assert None is minutes(lambda c, d: call(c, d, category="internal"))
    assert None is minutes(lambda c, d: call(c, d, user_id=8))  # a colleague's
    assert 9 == minutes(lambda c, d: c.activity(d, **mail))
    assert None is minutes(lambda c, d: c.activity(d, direction=1, **mail))
    assert None is minutes(lambda c, d: c.activity(d, provider_id="SENDER_MAIL", **mail))  # bulk mail
    assert None is minutes(lambda c, d: c.activity(d, deleted_at=NOW, **mail))
    assert 9 == minutes(lambda c, d: c.activity(d, type_id=6, provider_id="IMOPENLINES_SESSION", **mail))
    assert None is minutes(
        lambda c, d: c.activity(d, type_id=6, provider_id="IMOPENLINES_SESSION", direction=1, **mail)
    )
    meeting = {
        "type_id": 1,
        "provider_id": "CRM_MEETING",
        "created_at": at("03-03 10:01"),
        "starts_at": at("03-03 10:30"),
    }
    assert 30 == minutes(lambda c, d: c.activity(d, **meeting))
    assert None is minutes(lambda c, d: c.activity(d, **(meeting | {"completed": False})))
    assert None is minutes(lambda c, d: c.activity(d, **(meeting | {"starts_at": at("03-15 10:00")})))
    assert 20 == minutes(lambda c, d: (c.move(d, at("03-03 10:20"), "P"), c.move(d, at("03-03 11:00"), "P")))
    assert 9 == minutes(lambda c, d: (c.activity(d, **mail), c.move(d, at("03-03 10:20"), "P")))


def test_moves_and_edits_name_who_made_them(store: DuckStore) -> None:
    """The last move belongs to MOVED_BY_ID, earlier ones to the responsible; an edit to MODIFY_BY_ID, after 5 s."""

    def seconds(
        *, moved_by: int = 1, modified_by: int = 1, modified_at: str = "03-03 10:00:00", **options: Any
    ) -> float | None:
        company = Company().staff()
        deal = company.deal(
            created_at=at("03-03 10:00"), moved_by_id=moved_by, modified_by_id=modified_by,
            modified_at=at(f"2025-{modified_at}"),
        )  # fmt: skip
        company.move(deal, at("03-03 10:00"), "P", kind=1)
        company.move(deal, at("03-03 10:10"), "P")
        return response(measured(store, company, **options))[0]

    assert None is seconds()  # a robot moved it on
    assert 600 == seconds(moved_by=7)
    assert None is seconds(moved_by=7, edits_react=False)
    assert None is seconds(modified_by=7, modified_at="03-03 10:00:05")
    assert 6 == seconds(modified_by=7, modified_at="03-03 10:00:06")
    assert None is seconds(modified_by=8, modified_at="03-03 10:30:00")


def test_what_came_before_the_request_is_no_reaction(store: DuckStore) -> None:
    """Only events at or after creation count; one at the very second does."""
    company = Company().staff()
    deal = company.deal(created_at=at("03-03 10:00"), modified_at=at("03-03 10:00"))
    company.activity(deal, created_at=at("03-03 09:59"))
    assert (None, 0) == response(measured(store, company))

    company.activity(deal, created_at=at("03-03 10:00"))
    assert (0, 1) == response(measured(store, company))


def test_a_request_born_in_conversation_was_answered_at_once(store: DuckStore) -> None:
    """Created during a call with the responsible: in no distribution. A colleague's call does not answer it."""
    company = Company().staff()
    for user in (7, 8):
        deal = company.deal(created_at=at("03-03 10:05"), modified_at=at("03-03 10:05"))
        activity = company.activity(deal, type_id=2, provider_id="VOXIMPLANT_CALL")
        company.call(at("03-03 10:00"), type_id=2, duration_seconds=300, user_id=user, crm_activity_id=activity)
        company.activity(deal, created_at=at("03-03 10:15"))

    assert (600, 1) == response(measured(store, company))


@pytest.mark.parametrize(
    ("facts", "options", "counted"),
    [
        ({}, {}, 1),
        ({"originator_id": "old"}, {"migration_origins": frozenset({"old"})}, 0),
        ({"created_by_id": 7}, {}, 0),  # entered by hand
        ({"created_by_id": 7}, {"count_by_hand": True}, 1),
        ({"created_by_id": None}, {}, 1),
        ({"created_by_id": 7, "source_id": "WEBFORM"}, {}, 1),
        ({"created_by_id": 7, "source_id": "CALL"}, {}, 1),
        ({"created_by_id": 7, "source_id": "3|TELEGRAM"}, {}, 1),
        ({"created_by_id": 7, "webform_id": 4}, {}, 1),
        ({"lead_id": 55}, {}, 0),  # its lead was the request
        ({"lead_id": None}, {}, 1),
        ({"title": "test"}, {}, 0),
    ],
)
def test_what_is_a_request(store: DuckStore, facts: dict[str, Any], options: dict[str, Any], counted: int) -> None:
    """Simple mode: deals not from a lead, not imported, not entered by hand."""
    company = Company().staff()
    deal = company.deal(created_at=at("03-03 10:00"), **facts)
    company.activity(deal, created_at=at("03-03 10:30"))

    assert counted == response(measured(store, company, **options))[1]


def test_a_request_created_closed_is_none(store: DuckStore) -> None:
    """It would add zeros."""
    company = Company().staff()
    company.activity(company.deal(moves="03-03 10:00 S"), created_at=at("03-03 10:30"))
    company.activity(company.deal(moves="03-03 10:00 P; 03-03 10:10 S", moved_by_id=1), created_at=at("03-03 10:30"))
    company.activity(company.deal(moves="03-03 10:00 F; 03-03 10:10 P", moved_by_id=1), created_at=at("03-03 10:30"))

    assert 1 == response(measured(store, company))[1]


def test_a_reaction_after_closing_is_still_one(store: DuckStore) -> None:
    """Lost by a robot, then called back."""
    company = Company().staff()
    company.activity(company.deal(moves="03-03 10:00 P; 03-03 10:10 F"), created_at=at("03-03 10:30"))

    assert (1800, 1) == response(measured(store, company))


def test_requests_belong_to_the_window_of_their_creation(store: DuckStore) -> None:
    """A February request answered in March is February's."""
    company = Company().staff()
    company.activity(company.deal(created_at=at("02-28 23:00")), created_at=at("03-01 10:00"))
    snapshot = measured(store, company)

    assert (None, 0) == response(snapshot)
    assert 11 * 3600 == snapshot.value(KPIS["first_response_seconds_median"], WindowId.PREV_MONTH)


# ---------------------------------------------------------------- leads


def classic(**facts: Any) -> Company:
    company = Company(crm_mode=1).staff()
    lead = company.lead(id=50, **facts)
    company.activity(lead=lead, created_at=at("03-03 10:20"))
    company.activity(company.deal(50), created_at=at("03-03 10:40"))
    return company


def test_classic_mode_looks_at_leads(store: DuckStore) -> None:
    """Requests are leads: the deal with the same number is none; they have no pipeline."""
    snapshot = measured(store, classic())

    assert (1200, 1) == response(snapshot)
    assert (1200, 1) == response(snapshot, MANAGER, manager_id="7")
    assert (1200, 1) == response(snapshot, Grain.parse("R"), source_id="WEB")
    assert () == snapshot.of(KPIS["first_response_seconds_median"], Grain.parse("P"))


def test_leads_have_no_rows_of_pipelines(store: DuckStore) -> None:
    """§19: in classic mode none in reaction and lead path, not even of 0; requests that are deals have theirs."""
    kpis = ("unanswered_now_count", "answered_at_creation_count", "lead_to_won_rate", "lead_junk_share")
    company = classic()

    def with_pipelines(mode: LeadMode) -> set[str]:
        found = small.measured(store, company, kpis=kpis, lead_mode=mode)
        return {sample.kpi.id for sample in found.samples if sample.grain == Grain.parse("P")}

    assert set() == with_pipelines(LeadMode.CLASSIC)
    assert {*kpis} - {"lead_junk_share"} == with_pipelines(LeadMode.SIMPLE)


@pytest.mark.parametrize(
    ("crm_mode", "mode", "expected"),
    [(1, LeadMode.AUTO, 1200), (2, LeadMode.AUTO, 2400), (None, LeadMode.AUTO, 1200), (2, LeadMode.CLASSIC, 1200),
     (1, LeadMode.SIMPLE, 2400)],
)  # fmt: skip
def test_the_mode_is_the_portals_unless_told(
    store: DuckStore, crm_mode: int | None, mode: LeadMode, expected: int
) -> None:
    """Unknown mode: classic where there are leads."""
    company = classic()
    company.crm_mode = crm_mode

    assert expected == response(measured(store, company, lead_mode=mode))[0]


def test_a_portal_of_unknown_mode_without_leads_is_simple(store: DuckStore) -> None:
    """Then new deals play their part."""
    company = Company(crm_mode=None).staff()
    company.activity(company.deal(created_at=at("03-03 10:00")), created_at=at("03-03 10:40"))

    assert (2400, 1) == response(measured(store, company))


@pytest.mark.parametrize(
    ("facts", "counted"),
    [
        ({"title": "тест"}, 0),
        ({"deleted_at": NOW}, 0),
        ({"created_by_id": 7}, 0),
        ({"source_id": None}, 1),
        ({"title": None}, 1),
    ],
)
def test_which_leads_are_requests(store: DuckStore, facts: dict[str, Any], counted: int) -> None:
    """The base population of leads."""
    assert counted == response(measured(store, classic(**facts)))[1]


def test_a_lead_created_closed_is_no_request(store: DuckStore) -> None:
    """First history row of the lead is final; a deal's history with the same number means nothing."""
    company = classic(semantics="F")
    company.move(50, at("03-03 10:00"), "S", kind=1)
    assert 1 == response(measured(store, company))[1]

    company.move(50, at("03-03 10:00"), "F", kind=1, entity_type_id=1)
    assert 0 == response(measured(store, company))[1]


def test_a_call_reaches_a_lead_through_its_entity(store: DuckStore) -> None:
    """CRM_ENTITY lead, without any activity."""
    company = Company(crm_mode=1).staff()
    lead = company.lead()
    company.call(at("03-03 10:05"), crm_entity_type_id=1, crm_entity_id=lead)
    company.call(at("03-03 10:03"), crm_entity_type_id=3, crm_entity_id=lead)

    assert (300, 1) == response(measured(store, company))


# ---------------------------------------------------------------- whose working time


def answered_over_a_night(*users: int) -> Company:
    """Created Friday 17:00, answered Monday 10:00: two office hours."""
    company = Company().staff()
    company.user(8, 1)
    for user in users:
        deal = company.deal(created_at=at("03-07 17:00"), assigned_by_id=user)
        company.activity(deal, created_at=at("03-10 10:00"), responsible_id=user)
    return company


def test_working_time_of_the_responsible(store: DuckStore) -> None:
    """The company's schedule, an own one, an absence."""
    assert (7200, 1) == response(measured(store, answered_over_a_night(7), calendar=OFFICE))

    late = Employee(7, calendar=WorkCalendar.simple("Europe/Moscow", {"mon-sun": ["16:00-20:00"]}))
    assert (3 * 3600 + 8 * 3600, 1) == response(
        measured(store, answered_over_a_night(7), calendar=OFFICE, employees=(late,))
    )

    company = answered_over_a_night(7, 8)
    company.add(schema.ABSENCES, user_id=8, id=1, starts_at=at("03-10 00:00"), ends_at=at("03-10 09:30"))
    snapshot = measured(store, company, calendar=OFFICE)
    assert (7200, 5400) == tuple(response(snapshot, MANAGER, manager_id=who)[0] for who in ("7", "8"))
    assert (6300, 2) == response(snapshot, DEPARTMENT, department_id="1")


def test_a_departments_schedule_is_its_peoples(store: DuckStore) -> None:
    """``department_calendars``: for the department and those below it."""
    around_the_clock = WorkCalendar.simple("Europe/Moscow", {"mon-sun": ["00:00-24:00"]})

    found = measured(store, answered_over_a_night(7), calendar=OFFICE, department_calendars={1: around_the_clock})

    assert (65 * 3600, 1) == response(found)


def test_nobody_responsible_is_the_companys_time(store: DuckStore) -> None:
    """A stage move by whoever: no responsible, no reaction; nothing fails."""
    company = Company().staff()
    company.deal(created_at=at("03-07 17:00"), assigned_by_id=None)

    assert (None, 0) == response(measured(store, company, calendar=OFFICE))


def test_an_observed_dismissal_ends_the_own_calendar(store: DuckStore) -> None:
    """After it the company's calendar counts, also through an absence."""
    company = Company().staff()
    company.user(9, 1, active=False, dismissed_at=at("03-07 18:00"))
    deal = company.deal(created_at=at("03-07 17:00"), assigned_by_id=9)
    company.activity(deal, created_at=at("03-10 10:00"), responsible_id=9)
    company.add(schema.ABSENCES, user_id=9, id=1, starts_at=at("03-01 00:00"), ends_at=at("04-01 00:00"))

    assert (3600, 1) == response(measured(store, company, calendar=OFFICE))


def test_providers_can_be_told_what_they_are(store: DuckStore) -> None:
    """``activity_kinds``: a messenger of another maker counts as a chat."""
    company = Company().staff()
    deal = company.deal(created_at=at("03-03 10:00"))
    company.activity(deal, type_id=6, provider_id="WAZZUP", created_at=at("03-03 10:12"))
    assert (None, 0) == response(measured(store, company))
    assert (720, 1) == response(measured(store, company, activity_kinds={"WAZZUP": ActivityKind.CHAT}))


def test_instants_of_the_portal_need_no_zone_of_ours(store: DuckStore) -> None:
    """Creation and reaction in other offsets are the same instants."""
    company = Company(zone="America/New_York").staff()
    deal = company.deal(created_at=datetime(2025, 3, 9, 6, 59, tzinfo=UTC))
    company.activity(deal, created_at=datetime(2025, 3, 9, 7, 1, tzinfo=UTC))

    assert (120, 1) == response(measured(store, company))


def test_the_first_day_of_work_comes_after_the_companys(store: DuckStore) -> None:
    """Before a person's first day their absence of a schedule does not stop the clock."""
    company = Company().staff()
    company.user(9, 1, employed_on=date(2025, 3, 10))
    deal = company.deal(created_at=at("03-07 17:00"), assigned_by_id=9)
    company.activity(deal, created_at=at("03-10 10:00"), responsible_id=9)
    never = Employee(9, calendar=WorkCalendar.simple("Europe/Moscow", {"sun": ["09:00-18:00"]}))

    assert (3600, 1) == response(measured(store, company, calendar=OFFICE, employees=(never,)))
