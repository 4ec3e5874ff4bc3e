"""Activities, phone calls, tasks, comments."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from b24metrics.crm import activities
from b24metrics.crm.activities import Activity, ActivityBinding, PhoneCall, Task
from b24metrics.crm.wiretypes import CrmLink, EntityType
from b24metrics.errors import UnreadableRow
from b24metrics.mirror.schema import ACTIVITIES, ACTIVITY_BINDINGS
from b24metrics.portal.dialects import page_request

SINCE = datetime(2026, 2, 1, tzinfo=UTC)


def test_an_activity() -> None:
    """A to-do as crm.activity.list writes it, with everything it belongs to."""
    activity = Activity.read({
        "ID": "900", "OWNER_ID": "121", "OWNER_TYPE_ID": "2", "TYPE_ID": "6", "PROVIDER_ID": "CRM_TODO",
        "PROVIDER_TYPE_ID": "TODO", "ASSOCIATED_ENTITY_ID": "0", "SUBJECT": "Call back",
        "CREATED": "2026-02-01T09:00:00+03:00", "LAST_UPDATED": "2026-02-01T09:30:00+03:00",
        "DEADLINE": "2026-02-02T12:00:00+03:00", "END_TIME": "", "COMPLETED": "N", "STATUS": "1", "RESPONSIBLE_ID": "7",
        "DIRECTION": "0", "SETTINGS": [], "RESULT_MARK": "0", "RESULT_SUM": None, "IS_INCOMING_CHANNEL": "N",
        "BINDINGS": [{"OWNER_TYPE_ID": "2", "OWNER_ID": "121"}, {"OWNER_TYPE_ID": "3", "OWNER_ID": "9"}],
    })  # fmt: skip

    assert (EntityType.DEAL, 121, 6, "CRM_TODO", False, 1, 0) == (
        activity.owner_type_id, activity.owner_id, activity.type_id, activity.provider_id, activity.completed,
        activity.status, activity.direction,
    )  # fmt: skip
    assert (datetime(2026, 2, 2, 9, tzinfo=UTC), None) == (activity.deadline_at, activity.ends_at)
    assert datetime(2026, 2, 1, 6, 30, tzinfo=UTC) == activity.modified_at
    assert (None, {}, 0) == (activity.associated_entity_id, activity.settings, activity.result_mark)
    assert (
        ActivityBinding(activity_id=900, entity_type_id=EntityType.DEAL, entity_id=121),  # type: ignore[arg-type]
        ActivityBinding(activity_id=900, entity_type_id=EntityType.CONTACT, entity_id=9),  # type: ignore[arg-type]
    ) == activity.bindings


@pytest.mark.parametrize("offset", ["+03:00", "-05:00", "+00:00"])
def test_a_deadline_in_year_9999_is_none(offset: str) -> None:
    """Tasks and chats without a deadline carry the end of time."""
    assert Activity.read({"ID": "1", "DEADLINE": f"9999-12-31T00:00:00{offset}"}).deadline_at is None


def test_bindings_not_asked_for_are_not_none_of_them() -> None:
    assert Activity.read({"ID": "1"}).bindings is None
    assert () == Activity.read({"ID": "1", "BINDINGS": []}).bindings
    assert (12,) == tuple(
        binding.entity_id
        for binding in Activity.read({"ID": "1", "BINDINGS": {"1": {"OWNER_TYPE_ID": 4, "OWNER_ID": 12}}}).bindings
        or ()
    )


def test_communications_of_an_activity() -> None:
    activity = Activity.read({
        "ID": "20",
        "COMMUNICATIONS": [{
            "ID": "23", "TYPE": "PHONE", "VALUE": "499", "ENTITY_ID": "15", "ENTITY_TYPE_ID": "3",
            "ENTITY_SETTINGS": {"NAME": "Klaus"},
        }],
    })  # fmt: skip

    (talk,) = activity.communications or ()

    assert ("PHONE", "499", EntityType.CONTACT, 15, {"NAME": "Klaus"}) == (
        talk.kind, talk.value, talk.entity_type_id, talk.entity_id, talk.settings,
    )  # fmt: skip


def test_a_broken_binding_refuses_the_activity() -> None:
    """Half an activity would count wrongly; the refusal names the field, not the value."""
    with pytest.raises(UnreadableRow) as caught:
        Activity.read({"ID": "1", "BINDINGS": [{"OWNER_TYPE_ID": "?", "OWNER_ID": "1"}]}, "crm.activity.list")

    assert ("crm.activity.list", ("OWNER_TYPE_ID",)) == (caught.value.method, caught.value.fields)


def test_activities_ask_for_bindings_and_no_texts() -> None:
    listing = activities.activities(modified_since=SINCE)

    assert {">=LAST_UPDATED": SINCE} == listing.filter
    assert {"BINDINGS", "COMPLETED", "DEADLINE", "IS_INCOMING_CHANNEL"} <= set(listing.select)
    assert set() == {"SUBJECT", "DESCRIPTION", "COMMUNICATIONS", "*"} & set(listing.select)
    assert set(ACTIVITIES.columns) - {"id", "completed_at"} | {"bindings"} == set(Activity.asked)
    assert set(ACTIVITY_BINDINGS.columns) <= set(ActivityBinding.model_fields)


def test_bindings_of_one_activity() -> None:
    request = activities.activity_bindings(900)

    (binding,) = request.decode([{"entityTypeId": 2, "entityId": 121}])

    assert {"activityId": 900} == request.params
    assert (900, EntityType.DEAL, 121) == (binding.activity_id, binding.entity_type_id, binding.entity_id)


# ---------------------------------------------------------------- phone calls


def test_a_phone_call() -> None:
    """All values but the file are text; the client is a contact, company or lead, never a deal."""
    call = PhoneCall.read({
        "ID": "7", "PORTAL_USER_ID": "1269", "PORTAL_NUMBER": "reg1", "PHONE_NUMBER": "1906", "CALL_ID": "C0FFEE.1",
        "CALL_CATEGORY": "external", "CALL_DURATION": "95", "CALL_START_DATE": "2026-03-10T11:19:38+01:00",
        "CALL_VOTE": "5", "COST": "0.5000", "COST_CURRENCY": "", "CALL_FAILED_CODE": "200", "CRM_ENTITY_TYPE": "CONTACT",
        "CRM_ENTITY_ID": "797", "CRM_ACTIVITY_ID": "7943", "TRANSCRIPT_ID": "1", "TRANSCRIPT_PENDING": "N",
        "CALL_RECORD_URL": None, "RECORD_FILE_ID": 9079, "CALL_TYPE": "2",
    })  # fmt: skip

    assert ("C0FFEE.1", 1269, "reg1", 2, 95, "200", 5) == (
        call.call_id, call.user_id, call.line, call.type_id, call.duration_seconds, call.failed_code, call.vote,
    )  # fmt: skip
    assert (EntityType.CONTACT, 797, 7943) == (call.crm_entity_type_id, call.crm_entity_id, call.crm_activity_id)
    assert datetime(2026, 3, 10, 10, 19, 38, tzinfo=UTC) == call.started_at
    assert (True, 1, Decimal("0.5"), None) == (call.has_record, call.transcript_id, call.cost, call.cost_currency_id)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"CALL_RECORD_URL": "", "RECORD_FILE_ID": None}, False),
        ({"CALL_RECORD_URL": "https://x.example/1.mp3", "RECORD_FILE_ID": None}, True),
        ({"CALL_RECORD_URL": None, "RECORD_FILE_ID": "12"}, True),
        ({"RECORD_FILE_ID": "0"}, False),
        ({}, None),
    ],
)
def test_a_record_is_an_address_or_a_file(row: dict[str, object], expected: bool | None) -> None:
    assert expected is PhoneCall.read({"ID": "1", **row}).has_record


def test_codes_and_votes_of_calls() -> None:
    """603-S and OTHER are codes; a vote of 0 is no vote."""
    assert "603-S" == PhoneCall.read({"ID": "1", "CALL_FAILED_CODE": "603-S"}).failed_code
    assert [None, None] == [PhoneCall.read({"ID": "1", "CALL_VOTE": vote}).vote for vote in ("0", None)]


def test_phone_calls_are_asked_for_as_telephony_wants_it() -> None:
    """FILTER, SORT and ORDER in capitals, no select: the portal room refuses anything else."""
    request = page_request(activities.phone_calls(started_since=SINCE))

    assert {">=CALL_START_DATE": SINCE} == request.params["FILTER"]


# ---------------------------------------------------------------- tasks and comments


def test_a_task() -> None:
    """Asked for in capitals, answered in camelCase."""
    task = Task.read({
        "id": "15", "title": "Send offer", "status": "3", "responsibleId": "7", "deadline": "2026-02-03T19:00:00+03:00",
        "closedDate": None, "ufCrmTask": ["D_121", "CO_4"], "group": [], "mark": "P", "auditors": ["13"],
        "timeSpentInLogs": "69963",
    })  # fmt: skip

    assert (3, 7, True, (13,), 69963, None) == (
        task.status, task.responsible_id, task.good, task.auditor_ids, task.spent_seconds, task.closed_at,
    )  # fmt: skip
    assert (CrmLink(EntityType.DEAL, 121), CrmLink(EntityType.COMPANY, 4)) == task.bindings


@pytest.mark.parametrize(
    ("status", "mark", "expected"),
    [("5", "N", (5, False)), (5, "", (5, None)), ("pending", "none", (2, None)), ("completed", "positive", (5, True))],
)
def test_statuses_and_marks_of_tasks(status: object, mark: str, expected: tuple[int, bool | None]) -> None:
    """REST 3.0 writes words where the classic method writes numbers and letters."""
    task = Task.read({"id": 1, "status": status, "mark": mark})

    assert expected == (task.status, task.good)


@pytest.mark.parametrize("nothing", [False, [], ""])
def test_a_task_of_nobody(nothing: object) -> None:
    """ufCrmTask is false where the task belongs to no CRM object."""
    assert () == Task.read({"id": 1, "ufCrmTask": nothing}).bindings


def test_tasks_are_asked_for_by_their_capital_names() -> None:
    listing = activities.tasks(modified_since=SINCE)

    assert {">=CHANGED_DATE": SINCE} == listing.filter
    assert {"ID", "RESPONSIBLE_ID", "CLOSED_DATE", "UF_CRM_TASK", "STATUS", "CREATED_BY"} <= set(listing.select)
    assert {"taskId": 15} == {key: activities.task(15).params[key] for key in ("taskId",)}


def test_a_comment() -> None:
    listing = activities.comments(EntityType.DEAL, 2)
    comment = listing.decode({
        "ID": "999", "ENTITY_ID": "2", "ENTITY_TYPE": "deal", "CREATED": "2020-03-02T12:00:00+03:00", "COMMENT": "New",
        "AUTHOR_ID": "1", "FILES": [],
    })  # fmt: skip

    assert {"ENTITY_TYPE": "deal", "ENTITY_ID": 2} == listing.filter
    assert {"ENTITY_TYPE": "dynamic_156", "ENTITY_ID": 2} == activities.comments(EntityType(156), 2).filter
    assert (EntityType.DEAL, 2, "New", {}) == (
        comment.entity_type_id,
        comment.entity_id,
        comment.comment,
        comment.files,
    )


@pytest.mark.parametrize(("result", "expected"), [({"transcription": "Hello"}, "Hello"), (None, None), ([], None)])
def test_a_transcript_or_none(result: object, expected: str | None) -> None:
    assert expected == activities.transcript(7).decode(result)
