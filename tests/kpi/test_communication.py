"""Messages, meetings, tasks, moves, proposals, leads: the cards' examples, company T1, edges (catalogue §6.2, §19)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from b24metrics.kpi import COMPANY, DEPARTMENT, KPIS, MANAGER, Grain, Snapshot, WindowId, evaluate, explain
from b24metrics.kpi.model import PIPELINE, SOURCE
from b24metrics.kpi.options import ActivityKind, KpiOptions, LeadMode, QuoteSource
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1, small
from tests.kpi.small import NOW, PORTAL, Company, Row, at

IDS = (
    "meetings_held_count", "meetings_planned_count", "meeting_show_rate", "emails_sent_count", "emails_received_count",
    "openline_sessions_count", "communications_total_count", "tasks_completed_count", "tasks_overdue_count",
    "activities_completed_count", "activities_planned_count", "activities_planned_today_count",
    "activities_planned_undated_count", "stage_moves_forward_count", "quotes_sent_count", "quote_acceptance_rate",
    "new_leads_count", "new_leads_repeat_count", "website_visit_to_lead_rate",
)  # fmt: skip
PLANNED = tuple(kpi for kpi in IDS if kpi.startswith("activities_planned"))
QUOTES = tuple(kpi for kpi in IDS if kpi.startswith("quote"))
TODAY, MTD, D30, STATE = WindowId.TODAY, WindowId.MTD, WindowId.D30, WindowId.NOW

measured = partial(small.measured, kpis=IDS)


def value(
    snapshot: Snapshot, kpi: str, window: WindowId = TODAY, grain: Grain = COMPANY, **labels: str
) -> float | None:
    return snapshot.value(KPIS[kpi], window, grain, **labels)


def meeting(company: Company, deal: int | None = None, **facts: Any) -> int:
    common: Row = {"type_id": 1, "provider_id": "CRM_MEETING", "direction": 0, "created_at": at("03-10 10:00")}
    return company.activity(deal, **(common | {"starts_at": at("03-14 10:00")} | facts))


def chat(company: Company, **facts: Any) -> int:
    common: Row = {"type_id": 6, "provider_id": "IMOPENLINES_SESSION", "direction": 1, "created_at": at("03-14 09:00")}
    return company.activity(**(common | {"starts_at": at("03-14 09:00")} | facts))


def planned(company: Company, deal: int | None = None, **facts: Any) -> int:
    common: Row = {
        "type_id": 6,
        "provider_id": "CRM_TODO",
        "direction": 0,
        "completed": False,
        "created_at": at("03-10 10:00"),
    }
    return company.activity(deal, **(common | facts))


# ---------------------------------------------------------------- company T1


@pytest.fixture(scope="module")
def on_t1(t1: DuckStore) -> Snapshot:
    options = KpiOptions(
        sales_departments=frozenset({10}), calendar=company_t1.CALENDAR, quote_source=QuoteSource.STAGE,
        proposal_stages=frozenset({"OFFER"}),
    )  # fmt: skip
    return evaluate(t1, company_t1.PORTAL, [KPIS[kpi] for kpi in IDS], now=company_t1.NOW, options=options)


@pytest.mark.parametrize(
    ("kpi", "window", "grain", "labels", "expected"),
    [
        ("stage_moves_forward_count", "mtd", "T", {}, 9),
        ("stage_moves_forward_count", "mtd", "M", {"manager_id": "101"}, 6),  # d1 4, d2 2
        ("stage_moves_forward_count", "mtd", "M", {"manager_id": "102"}, 3),  # d3 1, d4 2; d6 only went back
        ("stage_moves_forward_count", "mtd", "D", {"department_id": "10"}, 9),
        ("stage_moves_forward_count", "mtd", "P", {"pipeline_id": "0"}, 9),
        ("stage_moves_forward_count", "prev_month", "T", {}, 10),  # d6 3, d8 1, d11 4, d12 2
        ("quotes_sent_count", "mtd", "T", {}, 3),
        ("quotes_sent_count", "mtd", "M", {"manager_id": "101"}, 2),
        ("quotes_sent_count", "prev_month", "T", {}, 3),  # d6, d11, d12
        ("activities_planned_count", "now", "T", {}, 1),
        ("activities_planned_count", "now", "M", {"manager_id": "101"}, 1),
        ("activities_planned_count", "now", "P", {"pipeline_id": "0"}, 1),
        ("tasks_overdue_count", "now", "T", {}, 0),
        ("emails_sent_count", "mtd", "T", {}, 2),
        ("emails_received_count", "prev_month", "T", {}, 1),
        ("communications_total_count", "today", "T", {}, 11),
        ("communications_total_count", "today", "M", {"manager_id": "101"}, 6),
        ("new_leads_count", "mtd", "T", {}, 5),  # simple mode: d7 began in WON
        ("new_leads_count", "mtd", "R", {"source_id": "WEB"}, 2),
    ],
)  # fmt: skip
def test_company_t1(
    on_t1: Snapshot, kpi: str, window: str, grain: str, labels: dict[str, str], expected: float
) -> None:
    """The catalogue's figures, and others counted by hand from its tables."""
    assert expected == on_t1.value(KPIS[kpi], WindowId(window), Grain.parse(grain), **labels)


def test_acceptance_needs_quotes(on_t1: Snapshot) -> None:
    """In stage mode nobody knows what was accepted."""
    assert {"quote_acceptance_rate"} & on_t1.absent.keys() or value(on_t1, "quote_acceptance_rate", MTD) is None


# ---------------------------------------------------------------- meetings


def test_meetings_of_the_card(store: DuckStore) -> None:
    """Two completed, one passed but open: 2 held, show rate 0.667."""
    company = Company().staff()
    meeting(company)
    meeting(company)
    meeting(company, completed=False)
    snapshot = measured(store, company, kpis=("meetings_held_count", "meeting_show_rate"))

    assert 2 == value(snapshot, "meetings_held_count")
    assert pytest.approx(2 / 3) == value(snapshot, "meeting_show_rate")


def test_a_meeting_about_several_deals_counts_once(store: DuckStore) -> None:
    """Once for the manager, the department and the company; once in each pipeline."""
    company = Company().staff()
    company.add(schema.PIPELINES, entity_type_id=2, id=3, name="Other", sort=2, is_default=False)
    first, second, third = company.deal(), company.deal(), company.deal(pipeline_id=3)
    number = meeting(company, first)
    for deal in (second, third):
        company.bind(number, 2, deal)
    snapshot = measured(store, company)

    assert 1 == value(snapshot, "meetings_held_count")
    assert 1 == value(snapshot, "meetings_held_count", TODAY, MANAGER, manager_id="7")
    assert 1 == value(snapshot, "meetings_held_count", TODAY, DEPARTMENT, department_id="1")
    assert (1, 1) == tuple(
        value(snapshot, "meetings_held_count", TODAY, PIPELINE, pipeline_id=pipeline) for pipeline in ("0", "3")
    )
    assert 1 == value(snapshot, "communications_total_count")
    assert 1 == len(explain(store, PORTAL, KPIS["meetings_held_count"], TODAY, now=NOW))


@pytest.mark.parametrize(
    ("facts", "held", "ahead"),
    [
        ({"starts_at": at("03-14 11:59")}, 1, 0),
        ({"starts_at": NOW}, 0, 0),  # completed before it begins
        ({"starts_at": NOW, "completed": False}, 0, 1),
        ({"starts_at": at("03-20 10:00"), "completed": False}, 0, 1),
        ({"starts_at": at("03-13 10:00"), "completed": False}, 0, 0),
        ({"starts_at": None}, 0, 0),
        ({"deleted_at": NOW}, 0, 0),
        ({"type_id": 2}, 0, 0),
        ({"provider_id": "ZOOM", "type_id": 6}, 1, 0),  # configured
        ({"completed_at": at("03-15 10:00")}, 0, 0),  # not before now
    ],
)
def test_what_is_a_meeting(store: DuckStore, facts: dict[str, Any], held: int, ahead: int) -> None:
    """By type or by the configured provider; held where it is completed and its time has come."""
    company = Company().staff()
    meeting(company, **facts)
    snapshot = measured(
        store,
        company,
        kpis=("meetings_held_count", "meetings_planned_count"),
        activity_kinds={"ZOOM": ActivityKind.MEETING},
    )

    assert (held, ahead) == (value(snapshot, "meetings_held_count"), value(snapshot, "meetings_planned_count", STATE))


# ---------------------------------------------------------------- messages


def test_messages_of_the_cards(store: DuckStore) -> None:
    """3 letters out, 1 in; 3 chats; 2 meetings; 11 calls: 19 communications, and an SMS makes 20."""
    company = Company().staff()
    today: Row = {"created_at": at("03-14 10:00")}
    for direction in (2, 2, 2, 1):
        company.activity(direction=direction, **today)
    company.activity(provider_id="CRM_SENDER", **today)
    for _ in range(3):
        chat(company)
    chat(company, responsible_id=99)  # the bot
    for _ in range(2):
        meeting(company)
    for _ in range(11):
        call = company.activity(type_id=2, provider_id="VOXIMPLANT_CALL", **today)
        company.call(at("03-14 10:00"), crm_activity_id=call)
    snapshot = measured(store, company, chat_bots=frozenset({99}))

    assert (3, 1) == (value(snapshot, "emails_sent_count"), value(snapshot, "emails_received_count"))
    assert 3 == value(snapshot, "openline_sessions_count")
    assert 19 == value(snapshot, "communications_total_count")
    company.activity(type_id=6, provider_id="CRM_SMS", direction=1, **today)
    assert 20 == value(measured(store, company, chat_bots=frozenset({99})), "communications_total_count")


def test_a_chat_counts_when_it_began(store: DuckStore) -> None:
    """Session start, whenever the record was made."""
    company = Company().staff()
    chat(company, starts_at=at("03-13 23:59"), created_at=at("03-14 00:01"))

    assert (0, 1) == tuple(
        value(measured(store, company, kpis=("openline_sessions_count",)), "openline_sessions_count", window)
        for window in (TODAY, WindowId.YESTERDAY)
    )


# ---------------------------------------------------------------- tasks and plans


def test_tasks_of_the_card(store: DuckStore) -> None:
    """Three tasks, one done today, one past its deadline: 1 and 1."""
    company = Company().staff()
    task: Row = {"type_id": 3, "provider_id": "TASKS"}
    company.activity(
        created_at=at("03-01 10:00"), modified_at=at("03-14 09:00"), completed_at=at("03-14 09:00"), **task
    )
    planned(company, deadline_at=at("03-14 11:59"), **task)
    planned(company, deadline_at=NOW, **task)
    snapshot = measured(store, company, kpis=("tasks_completed_count", "tasks_overdue_count"))

    assert 1 == value(snapshot, "tasks_completed_count")
    assert 1 == value(snapshot, "tasks_overdue_count", STATE)


def test_completed_activities_of_the_card(store: DuckStore) -> None:
    """Four completed, one of them automatically: 3; those born completed are among them."""
    company = Company().staff()
    for facts in (
        {},
        {"status": 2},
        {"status": 3},
        {"completed_at": at("03-14 08:00"), "created_at": at("01-01 10:00")},
    ):
        company.activity(**({"created_at": at("03-14 08:00")} | facts))
    company.activity(created_at=at("03-14 08:00"), completed_at=at("03-12 08:00"))  # completed earlier
    snapshot = measured(store, company, kpis=("activities_completed_count",))

    assert 3 == value(snapshot, "activities_completed_count")
    assert 3 == value(snapshot, "activities_completed_count", TODAY, MANAGER, manager_id="7")
    assert 4 == value(snapshot, "activities_completed_count", MTD)


@pytest.mark.parametrize(
    ("facts", "ahead", "due", "undated"),
    [
        ({"deadline_at": NOW}, 1, 1, 0),
        ({"deadline_at": at("03-14 23:59")}, 1, 1, 0),
        ({"deadline_at": at("03-15 00:00")}, 1, 0, 0),
        ({"deadline_at": at("03-14 11:59")}, 0, 0, 0),
        ({"deadline_at": None}, 1, 0, 1),  # the portal's year 9999
        ({"deadline_at": None, "is_incoming_channel": True}, 0, 0, 0),
        ({"deadline_at": NOW, "completed": True}, 0, 0, 0),
        ({"deadline_at": NOW, "completed": True, "completed_at": NOW + timedelta(hours=1)}, 1, 1, 0),  # after now
    ],
)
def test_what_is_planned(store: DuckStore, facts: dict[str, Any], ahead: int, due: int, undated: int) -> None:
    """Not completed, its time still to come or not set."""
    company = Company().staff()
    planned(company, company.deal(), **facts)
    snapshot = measured(store, company, kpis=PLANNED)

    assert (ahead, due, undated) == tuple(
        value(snapshot, f"activities_planned_{name}count", STATE) for name in ("", "today_", "undated_")
    )
    assert ahead == value(snapshot, "activities_planned_count", STATE, PIPELINE, pipeline_id="0")


# ---------------------------------------------------------------- moves


def stages(company: Company, *named: tuple[str, str | None], pipeline: int = 0) -> None:
    """Stages of a pipeline in order."""
    for sort, (stage, semantics) in enumerate(named, start=1):
        company.add(
            schema.STATUSES, directory=f"DEAL_STAGE_{pipeline}", status_id=stage, name=stage, sort=10 * sort,
            semantics=semantics, entity_type_id=2, pipeline_id=pipeline,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "forward"),
    [
        ("A B C", 2),
        ("A C B", 1),  # a stage skipped counts once, back is not forward
        ("A L", 0),  # a loss
        ("A L B", 0),  # out of a loss
        ("A W", 1),
        ("B W B C", 2),  # reopened, then forward again
        ("A GONE C", 0),  # a stage that nobody knows has no place
        ("A OLD C", 2),  # one that was deleted keeps its own
    ],
)
def test_what_is_forward(store: DuckStore, path: str, forward: int) -> None:
    """Against the row before, by the order of stages."""
    company = Company().staff()
    stages(company, ("A", None), ("OLD", None), ("B", "P"), ("C", None), ("W", "S"), ("L", "F"))
    company.rows[schema.STATUSES][1]["deleted_at"] = NOW
    semantics = {"W": "S", "L": "F"}
    deal = company.deal()
    for step, stage in enumerate(path.split()):
        company.move(
            deal, at("03-14 08:00") + timedelta(minutes=step), semantics.get(stage, "P"), stage_id=stage,
            kind=2 if step else 1,
        )  # fmt: skip

    assert forward == value(measured(store, company, kpis=("stage_moves_forward_count",)), "stage_moves_forward_count")


def test_a_pipeline_change_is_not_forward(store: DuckStore) -> None:
    """However far it leads; the next move counts where it happened."""
    company = Company().staff()
    company.add(schema.PIPELINES, entity_type_id=2, id=3, name="Other", sort=2, is_default=False)
    stages(company, ("A", None), ("B", None))
    stages(company, ("C3:A", None), ("C3:B", None), ("C3:C", None), pipeline=3)
    deal = company.deal(pipeline_id=3)
    for hour, (stage, pipeline, kind) in enumerate([("A", 0, 1), ("B", 0, 2), ("C3:B", 3, 5), ("C3:C", 3, 2)], start=6):
        company.move(deal, at(f"03-14 0{hour}:00"), "P", stage_id=stage, pipeline_id=pipeline, kind=kind)
    snapshot = measured(store, company, kpis=("stage_moves_forward_count",))

    assert 2 == value(snapshot, "stage_moves_forward_count")
    assert (1, 1) == tuple(
        value(snapshot, "stage_moves_forward_count", TODAY, PIPELINE, pipeline_id=pipeline) for pipeline in ("0", "3")
    )


def test_whose_move_it_was(store: DuckStore) -> None:
    """The last one of who made it, earlier ones of the person responsible, that of a robot of nobody."""
    company = Company().staff()
    company.user(8, 1)
    stages(company, ("A", None), ("B", None), ("C", None))
    for mover in (8, 0, 7):
        deal = company.deal(moved_by_id=mover)
        for hour, stage in enumerate("ABC", start=7):
            company.move(deal, at(f"03-14 0{hour}:00"), "P", stage_id=stage, kind=1 if stage == "A" else 2)
    snapshot = measured(store, company, kpis=("stage_moves_forward_count",))

    assert 6 == value(snapshot, "stage_moves_forward_count")
    assert (4, 1) == tuple(
        value(snapshot, "stage_moves_forward_count", TODAY, MANAGER, manager_id=who) for who in ("7", "8")
    )


# ---------------------------------------------------------------- proposals


def quote(company: Company, number: int, *moves: tuple[str, str], deal: int | None = None, **facts: Any) -> None:
    """A quote with the changes that were observed."""
    common = {"id": number, "title": "Quote", "stage_id": moves[-1][1] if moves else "DRAFT", "assigned_by_id": 7}
    company.add(schema.QUOTES, **(common | {"deal_id": deal, "created_at": at("01-01 10:00")} | facts))
    before = None
    for moment, stage in moves:
        company.add(
            schema.QUOTE_MOVES, quote_id=number, changed_at=at(moment), from_stage_id=before, to_stage_id=stage,
            observed_at=at(moment),
        )  # fmt: skip
        before = stage


def quote_stages(company: Company) -> None:
    for sort, (stage, semantics) in enumerate(
        [("DRAFT", None), ("SENT", None), ("TALKS", None), ("APPROVED", "S"), ("DECLAINED", "F")], start=1
    ):
        company.add(
            schema.STATUSES, directory="QUOTE_STATUS", status_id=stage, name=stage, sort=10 * sort, semantics=semantics,
            entity_type_id=7, pipeline_id=None,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("moves", "sent", "accepted"),
    [
        ([("03-10 10:00", "DRAFT")], 0, None),
        ([("03-10 10:00", "SENT")], 1, None),
        ([("03-01 10:00", "DRAFT"), ("03-10 10:00", "SENT")], 1, None),
        ([("02-10 10:00", "SENT"), ("03-01 10:00", "DRAFT"), ("03-10 10:00", "SENT")], 0, None),  # sent again
        ([("03-10 10:00", "TALKS")], 1, None),  # created behind "sent"
        ([("03-10 10:00", "APPROVED")], 1, 1),
        ([("03-10 10:00", "DECLAINED")], 1, 0),
        ([("02-10 10:00", "SENT"), ("03-10 10:00", "APPROVED")], 0, 1),
        ([("02-10 10:00", "APPROVED"), ("03-01 10:00", "SENT"), ("03-10 10:00", "DECLAINED")], 0, 0),  # thought better
        ([("02-10 10:00", "APPROVED"), ("03-10 10:00", "SENT")], 0, None),  # undone
        ([("02-10 10:00", "SENT"), ("03-15 10:00", "APPROVED")], 0, None),  # after now
        ([("03-10 10:00", "MY_OWN")], 0, None),  # a status that nobody knows
    ],
)
def test_when_a_quote_was_sent_and_decided(
    store: DuckStore, moves: list[tuple[str, str]], sent: int, accepted: float | None
) -> None:
    """By what was observed: first time sent or further, last decision."""
    company = Company().staff()
    quote_stages(company)
    quote(company, 1, *moves, deal=company.deal())
    snapshot = measured(store, company, kpis=QUOTES)

    assert (sent, accepted) == (
        value(snapshot, "quotes_sent_count", MTD),
        value(snapshot, "quote_acceptance_rate", MTD),
    )
    assert sent == value(snapshot, "quotes_sent_count", MTD, PIPELINE, pipeline_id="0")


def test_deleted_quotes_are_gone_and_unseen_ones_are_dated_by_their_change(store: DuckStore) -> None:
    """A quote without an observed change has its own time of change."""
    company = Company().staff()
    quote_stages(company)
    quote(company, 1, ("03-10 10:00", "SENT"), deleted_at=NOW)
    quote(company, 2, stage_id="SENT", modified_at=at("03-14 08:00"))
    snapshot = measured(store, company, kpis=QUOTES)

    assert (1, 1) == tuple(value(snapshot, "quotes_sent_count", window) for window in (TODAY, MTD))


# ---------------------------------------------------------------- leads


def test_leads_of_the_card(store: DuckStore) -> None:
    """Five leads, one imported, one a test: 3; one of a returning client; who had it first is who got it."""
    company = Company(crm_mode=1).staff()
    company.user(8, 1)
    company.lead(created_at=at("03-14 08:00"))
    company.lead(created_at=at("03-14 09:00"), is_return_customer=True)
    handed = company.lead(created_at=at("03-14 10:00"), assigned_by_id=8)
    company.lead(created_at=at("03-14 10:00"), originator_id="OLD_CRM")
    company.lead(created_at=at("03-14 10:00"), title="Тест")
    company.add(
        schema.ASSIGNMENTS, entity_type_id=1, entity_id=handed, changed_at=at("03-14 11:00"), from_id=7, to_id=8,
        observed_at=at("03-14 11:00"),
    )  # fmt: skip
    snapshot = measured(
        store, company, kpis=("new_leads_count", "new_leads_repeat_count"), migration_origins=frozenset({"OLD_CRM"})
    )

    assert (3, 1) == (value(snapshot, "new_leads_count"), value(snapshot, "new_leads_repeat_count"))
    assert (3, 0) == tuple(value(snapshot, "new_leads_count", TODAY, MANAGER, manager_id=who) for who in ("7", "8"))


def test_deals_play_the_role_of_leads_where_there_are_none(store: DuckStore) -> None:
    """Those that began in the first stage and come from no lead."""
    company = Company().staff()
    stages(company, ("A", None), ("B", None), ("W", "S"))
    for stage, lead in (("A", 0), ("B", 0), ("W", 0), ("A", 5)):
        deal = company.deal(created_at=at("03-14 08:00"), stage_id="B", lead_id=lead)
        company.move(deal, at("03-14 08:00"), "S" if stage == "W" else "P", stage_id=stage, kind=1)

    assert 1 == value(measured(store, company, kpis=("new_leads_count",), lead_mode=LeadMode.SIMPLE), "new_leads_count")
    assert 0 == value(
        measured(store, company, kpis=("new_leads_count",), lead_mode=LeadMode.CLASSIC), "new_leads_count"
    )


def test_visits_of_the_card(store: DuckStore) -> None:
    """30 web leads of 1500 visits: 0.02, by source as well; no visits supplied, no sample."""
    company = Company(crm_mode=1).staff()
    for number in range(35):
        company.lead(created_at=at("03-10 08:00"), source_id=("WEB", "WEBFORM", "CALL")[min(number // 15, 2)])
    assert "website_visit_to_lead_rate" in measured(store, company, kpis=("website_visit_to_lead_rate",)).absent
    for day, source, visits in ((10, "WEB", 900), (11, "WEB", 100), (11, "WEBFORM", 500), (1, "WEB", 7)):
        month = 2 if day == 1 else 3
        company.add(
            schema.INPUTS, kind="visits", level="R", subject_id=0, starts_on=date(2025, month, day), label=source,
            amount=Decimal(visits),
        )  # fmt: skip
    snapshot = measured(store, company, kpis=("website_visit_to_lead_rate",))

    assert 0.02 == value(snapshot, "website_visit_to_lead_rate", MTD)
    assert 0.015 == value(snapshot, "website_visit_to_lead_rate", MTD, SOURCE, source_id="WEB")
    assert 0.03 == value(snapshot, "website_visit_to_lead_rate", MTD, SOURCE, source_id="WEBFORM")


# ---------------------------------------------------------------- smallest companies

COUNTS = [kpi for kpi in IDS if kpi.endswith("_count")]


def test_an_empty_company(store: DuckStore) -> None:
    """Counts are 0, rates are nothing."""
    snapshot = measured(store, Company().staff())

    for kpi in COUNTS:
        assert {0} == set(small.values(snapshot, kpi).values()), kpi
    assert {None} == set(small.values(snapshot, "meeting_show_rate").values())
    assert {None} == set(small.values(snapshot, "quote_acceptance_rate").values())


def test_a_company_of_one_record(store: DuckStore) -> None:
    """One of everything today: every count is 1."""
    company = Company(crm_mode=1).staff()
    stages(company, ("A", None), ("B", None))
    quote_stages(company)
    deal = company.deal()
    company.move(deal, at("03-14 08:00"), "P", stage_id="A", kind=1)
    company.move(deal, at("03-14 09:00"), "P", stage_id="B")
    company.lead(created_at=at("03-14 08:00"), is_return_customer=True)
    quote(company, 1, ("03-14 08:00", "APPROVED"))
    meeting(company)
    snapshot = measured(store, company)
    ones = (
        "meetings_held_count", "meeting_show_rate", "communications_total_count", "stage_moves_forward_count",
        "quotes_sent_count", "new_leads_count", "new_leads_repeat_count",
    )  # fmt: skip

    assert [1] * len(ones) == [value(snapshot, kpi) for kpi in ones]
    assert 1 == value(snapshot, "quote_acceptance_rate", D30)
    assert 0 == value(snapshot, "activities_completed_count")  # its completion was before today
    assert 1 == value(snapshot, "activities_completed_count", MTD)
