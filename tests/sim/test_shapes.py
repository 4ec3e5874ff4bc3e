"""Our answers beside the vendor's own samples: the same keys, the same JSON types."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from b24metrics.sim.server import Sim
from tests.conftest import samples_folder

from .conftest import COMPANY, CONTACT, DEAL, NOON, QUOTE, Asker

#: Parts of a sample that belong to the portal where it was taken.
_LOCAL = ("UF_", "PARENT_ID_", "ufCrm", "parentId")


def sample(name: str) -> Any:
    folder = samples_folder()
    if folder is None:
        pytest.skip("the vendor's samples are not here; set B24_SAMPLES")
    return json.loads((folder / name).read_text(encoding="utf-8"))


def kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__


def differences(theirs: Any, ours: Any, place: str = "") -> list[str]:
    """Where ours has other keys or types than theirs; null agrees with everything, lists are compared by their first."""
    if theirs is None or ours is None:
        return []
    if kind(theirs) != kind(ours):
        empty = theirs in ([], {}) or ours in ([], {})
        return [] if empty else [f"{place}: {kind(theirs)} there, {kind(ours)} here"]
    if isinstance(theirs, dict):
        found = []
        for key in sorted({*theirs, *ours}):
            if key.startswith(_LOCAL):
                continue
            if key not in theirs or key not in ours:
                found.append(f"{place}.{key}: only {'there' if key in theirs else 'here'}")
            else:
                found += differences(theirs[key], ours[key], f"{place}.{key}")
        return found
    if isinstance(theirs, list) and theirs and ours:
        return differences(theirs[0], ours[0], f"{place}[0]")
    return []


def test_differences_are_seen() -> None:
    """The comparison itself: keys on either side, types at any depth, null and empty maps agree."""
    assert [] == differences({"a": 1, "b": None, "c": {}}, {"a": 2.5, "b": "x", "c": []})
    assert [".a: number there, str here", ".b[0].x: only there", ".c: only here"] == differences(
        {"a": 1, "b": [{"x": 1}]}, {"a": "1", "b": [{}], "c": 1}
    )


def _deal(sim: Sim) -> None:
    sim.data.insert(
        "deal", {"ID": 1, "TITLE": "x", "PROBABILITY": 5, "COMPANY_ID": 9, "CONTACT_ID": 8, "MOVED_BY_ID": 1, "MOVED_TIME": NOON,
                 "LAST_ACTIVITY_TIME": NOON, "LAST_ACTIVITY_BY": 1, "SOURCE_ID": "CALL", "UTM_SOURCE": "google"},
    )  # fmt: skip


def _contact(sim: Sim) -> None:
    phone, mail = {"VALUE": "+1", "VALUE_TYPE": "WORK"}, {"VALUE": "a@b", "VALUE_TYPE": "WORK"}
    sim.records.create(CONTACT, {"NAME": "Ann", "PHONE": [phone], "EMAIL": [mail]}, sim.hand())


def _company(sim: Sim) -> None:
    sim.records.create(COMPANY, {"TITLE": "x", "INDUSTRY": "IT"}, sim.hand())


def _quote(sim: Sim) -> None:
    sim.records.create(QUOTE, {"TITLE": "x", "QUOTE_NUMBER": "1", "PERSON_TYPE_ID": 1}, sim.hand())


def _call(sim: Sim) -> None:
    sim.data.insert(
        "phone_call", {"ID": 1, "PORTAL_USER_ID": 7, "PHONE_NUMBER": "+1", "CALL_ID": "x", "CALL_VOTE": 5, "RECORD_FILE_ID": 9,
                       "CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": 1, "CRM_ACTIVITY_ID": 1, "SESSION_ID": "5"},
    )  # fmt: skip


def _activity(sim: Sim) -> None:
    sim.data.insert("activity", {"ID": 1, "OWNER_ID": 1, "OWNER_TYPE_ID": 3, "START_TIME": NOON, "DEADLINE": NOON})


def _rows(sim: Sim) -> None:
    _deal(sim)
    sim.data.insert("product_row", {"ID": 1, "OWNER_ID": 1, "PRODUCT_ID": 4, "PRODUCT_NAME": "x", "PRICE": 899.1})


def _payment(sim: Sim) -> None:
    sim.data.insert(
        "payment", {"ID": 1, "OWNER_ID": 1, "PAID": True, "DATE_PAID": NOON, "ACCOUNT_NUMBER": "1/1", "EMP_PAID_ID": 1}
    )


def _task(sim: Sim) -> None:
    sim.data.insert("task", {"ID": 1, "TITLE": "x", "DEADLINE": NOON, "AUDITORS": [13]})


def _comment(sim: Sim) -> None:
    sim.data.insert("timeline_comment", {"ID": 1, "ENTITY_ID": 2, "COMMENT": "x", "CREATED": NOON})


def _line(sim: Sim) -> None:
    sim.data.insert("openline", {"ID": 22, "LINE_NAME": "x", "QUEUE": [7]})


def _workday(sim: Sim) -> None:
    sim.data.insert("workday", {"ID": 1, "USER_ID": 7, "STARTED_AT": NOON - 60, "FINISHED_AT": NOON - 18})


def _schedule(sim: Sim) -> None:
    sim.data.insert("schedule", {"ID": 1})


def _enumeration(sim: Sim) -> None:
    sim.data.insert(
        "userfield",
        {"ID": 1, "FIELD_NAME": "UF_CRM_1", "USER_TYPE_ID": "enumeration", "SETTINGS": '{"DISPLAY": "LIST"}'},
    )
    sim.data.insert("userfield_enum", {"ID": 1, "USER_FIELD_ID": 1, "VALUE": "x"})


def _links(sim: Sim) -> None:
    sim.data.insert("deal", {"ID": 1, "CONTACT_ID": 55, "CONTACT_IDS": [54, 55]})
    sim.data.insert("contact", {"ID": 1, "COMPANY_ID": 7, "COMPANY_IDS": [7, 8]})


#: File, method, parameters, what has to be there; which of the sample's keys we do not have, and why.
CASES: list[tuple[str, str, dict[str, Any], Callable[[Sim], None] | None, set[str]]] = [
    ("crm.deal.get/1.json", "crm.deal.get", {"id": 1}, _deal, set()),
    ("crm.deal.list/1.json", "crm.deal.list", {"select": ["ID", "TITLE", "TYPE_ID", "CATEGORY_ID", "STAGE_ID", "OPPORTUNITY",
     "IS_MANUAL_OPPORTUNITY", "ASSIGNED_BY_ID", "DATE_CREATE"]}, _deal, set()),
    ("crm.deal.fields/1.json", "crm.deal.fields", {}, None, set()),
    ("crm.contact.get/1.json", "crm.contact.get", {"id": 1}, _contact, set()),
    ("crm.company.get/1.json", "crm.company.get", {"id": 1}, _company, set()),
    ("crm.quote.get/1.json", "crm.quote.get", {"id": 1}, _quote, set()),
    ("crm.item.update/1.json", "crm.item.get", {"entityTypeId": 2, "id": 1}, _deal, set()),
    ("crm.item.list/1.json", "crm.item.list", {"entityTypeId": 1, "select": ["id", "assignedById", "stageId", "opportunity",
     "sourceId", "title", "name", "lastName", "isManualOpportunity"]},
     lambda sim: sim.data.insert("lead", {"ID": 1, "TITLE": "x", "SOURCE_ID": "WEB"}), set()),
    ("crm.status.list/1.json", "crm.status.list", {"filter": {"ENTITY_ID": "DEAL_STAGE"}}, None, set()),
    ("crm.status.entity.items/1.json", "crm.status.entity.items", {"entityId": "DEAL_STAGE"}, None, set()),
    ("crm.currency.list/1.json", "crm.currency.list", {}, None, set()),
    ("crm.activity.get/1.json", "crm.activity.get", {"id": 1}, _activity, {".IS_INCOMING_CHANNEL: only here"}),
    ("crm.activity.fields/1.json", "crm.activity.fields", {}, None, set()),
    ("crm.deal.productrows.get/1.json", "crm.deal.productrows.get", {"id": 1}, _rows, set()),
    ("crm.item.productrow.get/1.json", "crm.item.productrow.list", {"filter": {"=ownerType": "D", "=ownerId": 1}}, _rows,
     {".productRow: only there", ".productRows: only here"}),
    ("crm.item.payment.list/1.json", "crm.item.payment.list", {"entityId": 1, "entityTypeId": 2}, _payment, set()),
    ("crm.deal.contact.items.get/1.json", "crm.deal.contact.items.get", {"id": 1}, _links, set()),
    ("crm.contact.company.items.get/1.json", "crm.contact.company.items.get", {"id": 1}, _links, set()),
    ("crm.enum.ownertype/1.json", "crm.enum.ownertype", {}, None, set()),
    ("crm.enum.activitydirection/1.json", "crm.enum.activitydirection", {}, None, set()),
    ("crm.settings.mode.get/1.json", "crm.settings.mode.get", {}, None, set()),
    ("crm.timeline.comment.list/1.json", "crm.timeline.comment.list", {"filter": {"ENTITY_ID": 2, "ENTITY_TYPE": "deal"}}, _comment,
     {"[0].FILES.1: only there", "[0].FILES.2: only there"}),
    ("crm.deal.userfield.list/1.json", "crm.deal.userfield.list", {"filter": {"LANG": "en"}}, _enumeration,
     {"[0].LIST: only here", "[0].SETTINGS.ENTITY_TYPE: only there", "[0].SETTINGS.DISPLAY: only here"}),
    ("userfieldconfig.get/1.json", "userfieldconfig.get", {"moduleId": "crm", "id": 1}, _enumeration,
     {f".field.{name}.{code}: only there" for name in ("editFormLabel", "listColumnLabel", "listFilterLabel", "languageId")
      for code in ("de", "en")} | {f".field.{name}.ru: only here" for name in ("editFormLabel", "listColumnLabel", "listFilterLabel", "languageId")}
     | {".field.errorMessage: only there", ".field.helpMessage: only there"}
     | {f".field.settings.{name}: only there" for name in ("LIST_HEIGHT", "CAPTION_NO_VALUE", "SHOW_NO_VALUE")}),
    ("voximplant.statistic.get/1.json", "voximplant.statistic.get", {}, _call, set()),
    ("user.current/1.json", "user.current", {}, None, {f".{name}: only here" for name in (
        "XML_ID", "SECOND_NAME", "TIME_ZONE", "TIMESTAMP_X", "PERSONAL_PHOTO", "PERSONAL_PHONE", "PERSONAL_MOBILE",
        "PERSONAL_CITY", "WORK_PHONE", "USER_TYPE")}),
    ("department.get/1.json", "department.get", {"ID": 5}, None, set()),
    ("tasks.task.list/1.json", "tasks.task.list", {"select": ["ID", "TITLE", "DESCRIPTION", "DEADLINE", "CREATED_DATE",
     "RESPONSIBLE_ID", "PRIORITY", "MARK", "STATUS", "AUDITORS", "ACCOMPLICES"]}, _task, {f".tasks[0].{name}: only there" for name in (
        "accomplicesData", "auditorsData", "counter", "descriptionInBbcode", "lengthDeadline", "parsedDescription", "tags",
        "taskHasOpenResult", "taskHasResult", "taskRequireResult", "timeElapsed", "timerIsRunningForCurrentUser")}),
    ("timeman.schedule.get/1.json", "timeman.schedule.get", {"id": 1}, _schedule, set()),
    ("timeman.status/1.json", "timeman.status", {"USER_ID": 7}, _workday, {".TIME_FINISH_DEFAULT: only there"}),
    ("imopenlines.config.list.get/1.json", "imopenlines.config.list.get", {"OPTIONS": {"QUEUE": "Y"}}, _line,
     {"[0].QUEUE_USERS_FIELDS.101: only there", "[0].QUEUE_USERS_FIELDS.205: only there", "[0].QUEUE_USERS_FIELDS.7: only here"}),
    ("im.message.add/1.json", "im.message.add", {"DIALOG_ID": "7", "MESSAGE": "x"}, None, set()),
    ("im.notify/1.json", "im.notify", {"USER_ID": 7, "MESSAGE": "x"}, None, set()),
    ("crm.item.delete/1.json", "crm.item.delete", {"entityTypeId": 2, "id": 1}, _deal, set()),
    ("method.get/1.json", "method.get", {"name": "crm.deal.list"}, None, set()),
    ("feature.get/1.json", "feature.get", {"CODE": "rest_offline_extended"}, None, set()),
    ("server.time/1.json", "server.time", {}, None, set()),
    ("user.admin/1.json", "user.admin", {}, None, set()),
    ("department.fields/1.json", "department.fields", {}, None, set()),
]  # fmt: skip


@pytest.mark.parametrize(("file", "method", "params", "prepare", "ours_alone"), CASES, ids=[case[0] for case in CASES])
def test_answers_look_like_the_vendors(
    sim: Sim,
    ask: Asker,
    file: str,
    method: str,
    params: dict[str, Any],
    prepare: Callable[[Sim], None] | None,
    ours_alone: set[str],
) -> None:
    """Keys and types of the sample; what differs is listed by name."""
    theirs = sample(file)
    if prepare:
        prepare(sim)
    answer = ask(method, **params)

    assert ours_alone == set(differences(theirs["result"], answer["result"]))
    assert method == "crm.item.productrow.list" or ("total" in theirs) == ("total" in answer)  # that one's is a `get`


#: Error samples that our portal reproduces word for word.
ERRORS: list[tuple[str, str, dict[str, Any]]] = [
    ("crm.deal.list/2.json", "crm.deal.list", {"filter": "x"}),
    ("crm.item.list/2.json", "crm.item.list", {"entityTypeId": 2, "filter": {"FIELD": 1}}),
    ("crm.item.add/2.json", "crm.item.add", {"entityTypeId": 999, "fields": {"title": "x"}}),
    ("crm.item.delete/2.json", "crm.item.delete", {"entityTypeId": 2, "id": 99}),
    ("crm.status.get/2.json", "crm.status.get", {"id": 9999}),
    ("crm.status.entity.items/2.json", "crm.status.entity.items", {}),
    ("crm.deal.userfield.list/2.json", "crm.deal.userfield.list", {"filter": "x"}),
    ("crm.deal.userfield.get/2.json", "crm.deal.userfield.get", {}),
    ("crm.timeline.comment.get/2.json", "crm.timeline.comment.get", {"id": 99}),
    ("app.info/2.json", "app.info", {}),
    ("feature.get/2.json", "feature.get", {}),
    ("im.message.add/2.json", "im.message.add", {"DIALOG_ID": "7"}),
    ("im.notify/2.json", "im.notify", {}),
    ("calendar.accessibility.get/1.json", "calendar.accessibility.get", {"users": [1]}),
    ("calendar.event.get/1.json", "calendar.event.get", {}),
    ("imopenlines.session.history.get/1.json", "imopenlines.session.history.get", {}),
    ("tasks.task.add/2.json", "tasks.task.add", {"fields": {}}),
    ("tasks.task.history.list/1.json", "tasks.task.history.list", {"taskId": 99}),
    ("telephony.call.attachTranscription/2.json", "telephony.call.attachTranscription", {"CALL_ID": "x"}),
    ("timeman.timecontrol.reports.get/1.json", "timeman.timecontrol.reports.get", {"USER_ID": 99, "MONTH": 1, "YEAR": 2025}),
]  # fmt: skip


@pytest.mark.parametrize(("file", "method", "params"), ERRORS, ids=[case[1] for case in ERRORS])
def test_refusals_read_like_the_vendors(ask: Asker, file: str, method: str, params: dict[str, Any]) -> None:
    """Code and text of the sample, word for word."""
    theirs = sample(file)
    answer = ask(method, **params)

    assert (theirs["error"], theirs["error_description"]) == (answer.get("error"), answer.get("error_description"))


def test_written_items_come_back_like_the_vendors(sim: Sim, ask: Asker) -> None:
    """crm.item.add answers with the whole item."""
    theirs = sample("crm.item.add/1.json")["result"]
    ours = ask.result(
        "crm.item.add", entityTypeId=2, fields={"title": "x", "probability": 50, "leadId": 2, "quoteId": 7}
    )

    assert [] == differences(theirs, ours)
    assert sim.records.semantics(DEAL, 0, ours["item"]["stageId"]) == ours["item"]["stageSemanticId"]
