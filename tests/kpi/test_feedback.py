"""What clients say: reviews of talks and chats, answers to offers."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from b24metrics.kpi import (
    COMPANY,
    DEPARTMENT,
    KPIS,
    MANAGER,
    KpiOptions,
    Snapshot,
    WindowId,
    evaluate,
    explain,
    feedback,
)
from b24metrics.kpi.options import ActivityKind, Answer, AnswerField
from b24metrics.mirror import schema
from b24metrics.mirror.stores import DuckStore
from tests.kpi import company_t1, small
from tests.kpi.small import NOW, OFFICE, PORTAL, Company, at

TODAY, YESTERDAY, MTD = WindowId.TODAY, WindowId.YESTERDAY, WindowId.MTD
REVIEWS = ("reviews_positive_count", "reviews_negative_count", "review_positive_share", "review_coverage_ratio")
ANSWERS = ("call_answers_positive_count", "call_answers_negative_count", "call_answer_positive_share")
reviewed = partial(small.measured, kpis=REVIEWS)
answered = partial(small.measured, kpis=ANSWERS)

MISSED = {"type_id": 2, "failed_code": "304", "duration_seconds": 0}


def said(snapshot: Snapshot, kpi: str, window: WindowId = TODAY, **labels: str) -> float | None:
    """The company's value."""
    return snapshot.value(KPIS[kpi], window, COMPANY, **labels)


def parts(snapshot: Snapshot, kpi: str, window: WindowId = TODAY, **labels: str) -> tuple[object, ...]:
    sample = snapshot.sample(KPIS[kpi], window, COMPANY, **labels)
    assert sample is not None
    return sample.value, sample.numerator, sample.denominator


def chat(company: Company, moment: str, mark: int | None, **facts: Any) -> int:
    """An open-line session that ended at a moment."""
    common: dict[str, Any] = {
        "provider_id": "IMOPENLINES_SESSION",
        "type_id": 6,
        "ends_at": at(moment),
        "result_mark": mark,
    }
    return company.activity(**(common | facts))


# ---------------------------------------------------------------- reviews


def test_six_votes(store: DuckStore) -> None:
    """The card's example: 5 5 4 3 2 0 are three positive and one negative of five rated in six talks."""
    company = Company().staff()
    for vote in (5, 5, 4, 3, 2, 0):
        company.call(at("03-14 10:00"), vote=vote)
    snapshot = reviewed(store, company)

    assert (3, 1) == (said(snapshot, "reviews_positive_count"), said(snapshot, "reviews_negative_count"))
    assert (0.6, 3, 5) == parts(snapshot, "review_positive_share")
    assert (5 / 6, 5, 6) == parts(snapshot, "review_coverage_ratio")
    assert 3 == snapshot.value(KPIS["reviews_positive_count"], TODAY, MANAGER, manager_id="7")


@pytest.mark.parametrize(
    ("vote", "positive", "negative", "rated"),
    [
        (5, 1, 0, 1),
        (4, 1, 0, 1),
        (3, 0, 0, 1),
        (2, 0, 1, 1),
        (1, 0, 1, 1),
        (0, 0, 0, 0),
        (-1, 0, 0, 0),
        (None, 0, 0, 0),
    ],
)
def test_votes_of_talks(store: DuckStore, vote: int | None, positive: int, negative: int, rated: int) -> None:
    """From 1 to 5; whatever is not above 0 is no rating."""
    company = Company().staff()
    company.call(at("03-14 10:00"), vote=vote)
    snapshot = reviewed(store, company)

    assert (positive, negative) == tuple(
        said(snapshot, kpi) or 0 for kpi in ("reviews_positive_count", "reviews_negative_count")
    )
    assert (float(rated), rated, 1) == parts(snapshot, "review_coverage_ratio")


@pytest.mark.parametrize(
    ("mark", "positive", "negative", "rated"),
    [(2, 1, 0, 1), (1, 0, 1, 1), (3, 0, 0, 1), (9, 0, 0, 1), (0, 0, 0, 0), (None, 0, 0, 0)],
)
def test_marks_of_chats(store: DuckStore, mark: int | None, positive: int, negative: int, rated: int) -> None:
    """2 is positive, 1 negative, 0 none; what newer portals add is neutral."""
    company = Company().staff()
    chat(company, "03-14 10:00", mark)
    snapshot = reviewed(store, company)

    assert (positive, negative) == tuple(
        said(snapshot, kpi) or 0 for kpi in ("reviews_positive_count", "reviews_negative_count")
    )
    assert (float(rated), rated, 1) == parts(snapshot, "review_coverage_ratio")


def test_all_channels_count_together(store: DuckStore) -> None:
    """Talks, chats and review forms: two of three rated are positive; of two talks and a chat two are rated."""
    company = Company().staff()
    company.call(at("03-14 10:00"), vote=5)
    company.call(at("03-14 10:00"))
    chat(company, "03-14 10:00", 1)
    company.activity(provider_id="FORM", type_id=6, ends_at=at("03-14 10:00"), result_mark=2)
    company.activity(provider_id="OTHER", type_id=6, ends_at=at("03-14 10:00"), result_mark=2)
    snapshot = reviewed(store, company, activity_kinds={"FORM": ActivityKind.REVIEW})

    assert (2, 1) == (said(snapshot, "reviews_positive_count"), said(snapshot, "reviews_negative_count"))
    assert (2 / 3, 2, 3) == parts(snapshot, "review_positive_share")
    assert (2 / 3, 2, 3) == parts(snapshot, "review_coverage_ratio")


def test_coverage_is_that_of_talks_and_chats(store: DuckStore) -> None:
    """A form that came back says nothing of those that did not, a call without a talk is no session."""
    company = Company().staff()
    company.activity(provider_id="FORM", type_id=6, ends_at=at("03-14 10:00"), result_mark=2)
    company.call(at("03-14 10:00"), vote=5, failed_code="304", duration_seconds=0)
    chat(company, "03-14 10:00", None)
    snapshot = reviewed(store, company, activity_kinds={"FORM": ActivityKind.REVIEW})

    assert (0, 0, 1) == parts(snapshot, "review_coverage_ratio")
    assert 2 == said(snapshot, "reviews_positive_count")


@pytest.mark.parametrize(
    ("facts", "rated", "sessions"),
    [
        ({}, 1, 1),
        ({"completed": False}, 1, 1),  # unfinished, but rated
        ({"completed": False, "result_mark": 0}, 0, 0),
        ({"result_mark": 0}, 0, 1),
        ({"ends_at": at("03-13 10:00")}, 0, 0),  # it ended yesterday
        ({"ends_at": at("03-14 12:30")}, 0, 0),  # it has not ended yet
        ({"ends_at": None, "starts_at": at("03-14 09:00")}, 1, 1),
        ({"deleted_at": NOW}, 0, 0),
    ],
)
def test_which_chats_count(store: DuckStore, facts: dict[str, Any], rated: int, sessions: int) -> None:
    """Finished ones, by their end, and those with a mark."""
    company = Company().staff()
    chat(company, "03-14 10:00", 2, **facts)
    sample = reviewed(store, company).sample(KPIS["review_coverage_ratio"], TODAY)

    assert (rated, sessions) == ((0, 0) if sample is None else (sample.numerator, sample.denominator))


def test_a_talk_of_two_is_one_session(store: DuckStore) -> None:
    """One for the company, one for each of the two; a call that nobody answered is none."""
    company = Company().staff()
    company.department(2, 1)
    company.user(8, 2)
    company.call(at("03-14 10:00"), call_id="x", user_id=7, vote=5)
    company.call(at("03-14 10:01"), call_id="x", user_id=8, vote=5)
    company.call(at("03-14 11:00"), **MISSED)
    snapshot = reviewed(store, company)

    assert (1.0, 1, 1) == parts(snapshot, "review_coverage_ratio")
    kpi = KPIS["reviews_positive_count"]
    assert (1, 1) == tuple(snapshot.value(kpi, TODAY, MANAGER, manager_id=who) for who in ("7", "8"))
    assert (1, 1) == tuple(snapshot.value(kpi, TODAY, DEPARTMENT, department_id=where) for where in ("1", "2"))


# ---------------------------------------------------------------- answers to offers


def dial(company: Company, moment: str = "03-10 10:00", contact: int = 5, **facts: Any) -> int:
    return company.call(at(moment), crm_entity_type_id=3, crm_entity_id=contact, **facts)


def stages(company: Company) -> Company:
    for sort, (stage, semantics) in enumerate({"NEW": "P", "OFFER": "P", "WON": "S", "LOSE": "F"}.items(), start=1):
        company.add(
            schema.STATUSES, directory="DEAL_STAGE", status_id=stage, name=stage, sort=10 * sort, semantics=semantics,
            entity_type_id=2, pipeline_id=0,
        )  # fmt: skip
    return company


def opened(company: Company, number: int, *moves: tuple[str, str], **facts: Any) -> int:
    """A deal of contact 5 with its moves: (moment, stage)."""
    semantics = {"NEW": "P", "OFFER": "P", "WON": "S", "LOSE": "F"}
    now = semantics[moves[-1][1]]
    told: dict[str, Any] = {
        "contact_id": 5, "created_at": at(moves[0][0]), "stage_id": moves[-1][1], "semantics": now,
        "moved_at": at(moves[-1][0]),
    }  # fmt: skip
    company.deal(number, **(told | facts))
    for position, (moment, stage) in enumerate(moves):
        company.move(number, at(moment), semantics[stage], stage_id=stage, kind=1 if position == 0 else 2)
    return number


@pytest.mark.parametrize(
    ("moves", "positive", "negative"),
    [
        ([("03-03 10:00", "NEW")], 0, 0),
        ([("03-03 10:00", "NEW"), ("03-11 10:00", "OFFER")], 1, 0),
        ([("03-03 10:00", "NEW"), ("03-11 10:00", "WON")], 1, 0),
        ([("03-03 10:00", "NEW"), ("03-11 10:00", "LOSE")], 0, 1),
        ([("03-03 10:00", "OFFER"), ("03-11 10:00", "NEW")], 0, 0),  # backward
        ([("03-03 10:00", "OFFER"), ("03-11 10:00", "NEW"), ("03-11 11:00", "WON")], 0, 0),  # the first move decides
        ([("03-03 10:00", "NEW"), ("03-13 23:59", "OFFER")], 1, 0),  # the third working date after Monday the 10th
        ([("03-03 10:00", "NEW"), ("03-14 00:00", "OFFER")], 0, 0),
        ([("03-03 10:00", "NEW"), ("03-10 10:00", "OFFER")], 0, 0),  # at the very moment: it stood there already
        ([("03-03 10:00", "NEW"), ("03-09 10:00", "LOSE")], 0, 0),  # no longer open
        ([("03-11 10:00", "NEW"), ("03-11 11:00", "WON")], 0, 0),  # not open yet
        ([("03-03 10:00", "NEW"), ("03-14 12:30", "WON")], 0, 0),  # after now
    ],
)
def test_the_next_move_is_the_answer(
    store: DuckStore, moves: list[tuple[str, str]], positive: int, negative: int
) -> None:
    """Forward or won is yes, lost is no, anything else is none, within the next three working dates."""
    company = stages(Company().staff())
    opened(company, 50, *moves)
    dial(company)
    snapshot = answered(store, company, calendar=OFFICE)

    assert (positive, negative) == tuple(said(snapshot, kpi, MTD, method="derived") or 0 for kpi in ANSWERS[:2])


def test_working_dates_are_the_companys(store: DuckStore) -> None:
    """Dialled on Thursday, answered on Tuesday: three working dates later."""
    company = stages(Company().staff())
    opened(company, 50, ("03-03 10:00", "NEW"), ("03-11 23:00", "OFFER"))
    dial(company, "03-06 10:00")
    assert 1 == said(answered(store, company, calendar=OFFICE), ANSWERS[0], MTD)
    assert None is said(answered(store, company), ANSWERS[0], MTD)  # five dates where every day is worked


@pytest.mark.parametrize(
    ("facts", "counted"),
    [
        ({}, 1),
        ({"type_id": 4}, 1),
        ({"type_id": 2}, 0),
        ({"failed_code": "486", "duration_seconds": 0}, 0),
        ({"contact": 6}, 0),
        ({"contact": 0, "phone_key": "known"}, 1),
    ],
)
def test_which_calls_have_an_answer(store: DuckStore, facts: dict[str, Any], counted: int) -> None:
    """Dials in which we talked with a client who has an open deal."""
    company = stages(Company().staff())
    company.add(schema.CLIENT_KEYS, entity_type_id=3, entity_id=5, kind="phone", key="known")
    opened(company, 50, ("03-03 10:00", "NEW"), ("03-11 10:00", "OFFER"))
    dial(company, **facts)

    assert counted == (said(answered(store, company), ANSWERS[0], MTD) or 0)


def test_the_first_move_of_any_deal_decides(store: DuckStore) -> None:
    """One deal was lost an hour before the other was won; every dial is answered for itself."""
    company = stages(Company().staff())
    opened(company, 50, ("03-03 10:00", "NEW"), ("03-11 10:00", "LOSE"))
    opened(company, 51, ("03-03 10:00", "NEW"), ("03-11 11:00", "WON"))
    dial(company, "03-10 10:00")
    dial(company, "03-11 10:30")
    snapshot = answered(store, company)

    assert (0.5, 1, 2) == parts(snapshot, ANSWERS[2], MTD, method="derived")


@pytest.mark.parametrize(("semantics", "positive", "negative"), [("P", 0, 0), ("S", 1, 0), ("F", 0, 1)])
def test_a_change_of_pipeline_is_no_step_forward(
    store: DuckStore, semantics: str, positive: int, negative: int
) -> None:
    """Stages of two pipelines have no order; won there is won, lost is lost."""
    company = stages(Company().staff())
    opened(company, 50, ("03-03 10:00", "NEW"))
    company.move(50, at("03-11 10:00"), semantics, stage_id="C1:OTHER", pipeline_id=1, kind=5)
    dial(company)
    snapshot = answered(store, company)

    assert (positive, negative) == tuple(said(snapshot, kpi, MTD, method="derived") or 0 for kpi in ANSWERS[:2])


def test_what_people_noted_comes_first(store: DuckStore) -> None:
    """The configured result field outweighs what the deals did; unknown values say nothing."""
    company = stages(Company().staff())
    opened(company, 50, ("03-03 10:00", "NEW"), ("03-11 10:00", "OFFER"))
    for number, mark in ((900, 1), (901, 2), (902, 0)):
        company.activity(50, id=number, type_id=2, provider_id="VOXIMPLANT_CALL", result_mark=mark)
        dial(company, crm_activity_id=number)
    options: dict[str, Any] = {
        "answer_field": AnswerField.MARK,
        "answer_values": {"2": Answer.POSITIVE, "1": Answer.NEGATIVE},
    }
    snapshot = answered(store, company, **options)

    assert (0.5, 1, 2) == parts(snapshot, ANSWERS[2], MTD, method="field")
    assert (1.0, 1, 1) == parts(snapshot, ANSWERS[2], MTD, method="derived")
    assert (1.0, 3, 3) == parts(answered(store, company), ANSWERS[2], MTD, method="derived")


def test_tags_come_second(store: DuckStore) -> None:
    """Whole tags in any case; a noted result outweighs them, they outweigh the deals; noted both ways means no."""
    company = stages(Company().staff())
    opened(company, 50, ("03-03 10:00", "NEW"), ("03-11 10:00", "OFFER"))
    company.activity(50, id=900, type_id=2, provider_id="VOXIMPLANT_CALL", result_mark=1)
    dial(company, crm_activity_id=900, tags=" #yes ")
    dial(company, tags=" #later #yes ")
    dial(company, tags=" #no #yes ", type_id=2)
    dial(company, tags=" #yesterday ")
    options: dict[str, Any] = {
        "answer_field": AnswerField.MARK, "answer_values": {"1": Answer.NEGATIVE},
        "answer_tags": {"#Yes": Answer.POSITIVE, "#no": Answer.NEGATIVE},
    }  # fmt: skip
    snapshot = answered(store, company, **options)

    assert (0.0, 0, 1) == parts(snapshot, ANSWERS[2], MTD, method="field")
    assert (0.5, 1, 2) == parts(snapshot, ANSWERS[2], MTD, method="tag")
    assert (1.0, 1, 1) == parts(snapshot, ANSWERS[2], MTD, method="derived")


def test_thirty_of_forty_answers(store: DuckStore) -> None:
    """The card's example: 30 positive and 10 negative are 0.75."""
    company = stages(Company().staff())
    for client in range(40):
        moves = [("03-03 10:00", "NEW"), ("03-11 10:00", "OFFER" if client < 30 else "LOSE")]
        opened(company, 100 + client, *moves, contact_id=1 + client)
        dial(company, contact=1 + client)

    assert (0.75, 30, 40) == parts(answered(store, company), ANSWERS[2], MTD)


# ---------------------------------------------------------------- little and nothing, explained


def test_nothing_said(store: DuckStore, t1: DuckStore) -> None:
    """No calls, no chats: nothing was rated, no row of any method; company T1 has talks, none of them rated."""
    silent = small.measured(store, Company().staff(), kpis=(*REVIEWS, *ANSWERS))
    assert {REVIEWS[0]: 0, REVIEWS[1]: 0, REVIEWS[2]: None, REVIEWS[3]: None} == {
        sample.kpi.id: sample.value for sample in silent.samples
    }

    found = evaluate(t1, company_t1.PORTAL, feedback.CHAPTER, now=company_t1.NOW, options=company_t1.OPTIONS)
    assert (0.0, 0, 7) == parts(found, "review_coverage_ratio")
    assert None is said(found, "review_positive_share")


def test_without_its_feeds_nothing_is_said(store: DuckStore) -> None:
    """Never "0 reviews" because telephony is missing."""
    company = Company(feeds=[feed for feed in small.FEEDS if feed != "phone_calls"]).staff()
    chat(company, "03-14 10:00", 2)

    assert {*REVIEWS, *ANSWERS} == set(small.measured(store, company, kpis=(*REVIEWS, *ANSWERS)).absent)


def test_one_rated_talk_and_its_records(store: DuckStore) -> None:
    """The records behind a number are the talks and chats themselves."""
    company = Company().staff()
    call = company.call(at("03-14 10:00"), vote=4)
    session = chat(company, "03-14 11:00", 0)
    snapshot = reviewed(store, company)
    assert (1, 0) == (said(snapshot, REVIEWS[0]), said(snapshot, REVIEWS[1]))

    def told(kpi: str) -> list[tuple[str, int]]:
        found = explain(
            store, PORTAL, KPIS[kpi], TODAY, COMPANY, now=NOW,
            options=KpiOptions(calendar=small.ALWAYS_OPEN),
        )  # fmt: skip
        return [(record.part, record.id) for record in found]

    assert [("", call)] == told(REVIEWS[0])
    assert [("numerator", call), ("denominator", call), ("denominator", session)] == told(REVIEWS[3])


def test_moments_are_those_of_the_rating(store: DuckStore) -> None:
    """A talk that began before midnight, a chat that ended before it."""
    company = Company().staff()
    company.call(at("03-13 23:59"), vote=5)
    chat(company, "03-13 23:59", 2, created_at=at("03-13 08:00"))
    chat(company, "03-14 00:00", 2, created_at=at("03-13 08:00"))
    snapshot = reviewed(store, company)

    assert (2, 1) == (said(snapshot, REVIEWS[0], YESTERDAY), said(snapshot, REVIEWS[0], TODAY))
