"""Activities, their bindings and transcripts, to-dos, timeline comments.

Source: vendor, "crm.activity.*", "crm.activity.todo.add", "crm.timeline.comment.*", "crm.timeline.logmessage.*".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

from b24metrics.sim import filters, php, tables, views
from b24metrics.sim.calls import Answer, Call, directions, method, paged, record_write
from b24metrics.sim.data import Row, Where
from b24metrics.sim.filters import Target, UnreadableDateError
from b24metrics.sim.methods.crm import describe, hand, written
from b24metrics.sim.methods.directories import plain_rows
from b24metrics.sim.refusals import Refusal, legacy, missing
from b24metrics.sim.tables import ACTIVITY, Field, Kind, camel

_ATTACHED = ("COMMUNICATIONS", "FILES", "BINDINGS")

#: How far away "no deadline" is; also what a filter on DEADLINE compares with.
_NEVER = datetime(9999, 12, 31)  # noqa: DTZ001 - the portal writes this wall time in its own zone
_NEVER_SQL = "coalesce(DEADLINE, 253402214400)"


def _target(name: str) -> Target | None:
    if name == "DEADLINE":
        return Target(_NEVER_SQL, Kind.INSTANT)
    return views.legacy_target(ACTIVITY, {}, name)


def _source(given: php.Params, where: Where) -> str:
    """Activities, joined with the bindings that the filter names: bound twice, listed twice."""
    bindings = next((value for key, value in given.items() if key.lstrip("=@") == "BINDINGS"), None)
    if bindings is None:
        return "activity"
    parts = []
    for member in php.as_list(bindings):
        wanted = php.as_map(member)
        conditions = [
            f"{name} = {php.integer(wanted[name])}" for name in ("OWNER_TYPE_ID", "OWNER_ID") if name in wanted
        ]
        if conditions:
            parts.append(f"({' AND '.join(conditions)})")
    if not parts:
        where.add("FALSE")
        return "activity"
    bound = f"SELECT ACTIVITY_ID FROM activity_binding WHERE {' OR '.join(parts)}"
    return f"activity JOIN ({bound}) ON ACTIVITY_ID = ID"


def _shown(call: Call, selection: views.Selection, rows: Sequence[Row], attached: Sequence[str]) -> list[php.Params]:
    never = _NEVER.replace(tzinfo=call.session.zone).isoformat()
    records = views.legacy_rows(call.session, selection, rows)
    for record in records:
        if record.get("DEADLINE", "") is None:
            record["DEADLINE"] = never
    if attached and rows:
        extra = _attachments(call, [row[0] for row in rows], attached)
        for record in records:
            for name in attached:
                record[name] = extra[name].get(str(record["ID"]), [])
    return records


def _attachments(call: Call, ids: list[object], wanted: Sequence[str]) -> dict[str, dict[str, list[object]]]:
    """Per name what is attached to each activity, by its number; no files are kept here."""
    marks = ", ".join("?" for _ in ids)
    found: dict[str, dict[str, list[object]]] = {name: {} for name in _ATTACHED}
    if "COMMUNICATIONS" in wanted:
        for number, listed in call.data.rows(f"SELECT ID, COMMUNICATIONS FROM activity WHERE ID IN ({marks})", ids):
            found["COMMUNICATIONS"][str(number)] = json.loads(listed) if isinstance(listed, str) else []
    if "BINDINGS" in wanted:
        for number, type_id, owner_id in call.data.rows(
            f"SELECT ACTIVITY_ID, OWNER_TYPE_ID, OWNER_ID FROM activity_binding WHERE ACTIVITY_ID IN ({marks})", ids
        ):
            bound = {"OWNER_TYPE_ID": str(type_id), "OWNER_ID": str(owner_id)}
            found["BINDINGS"].setdefault(str(number), []).append(bound)
    return found


def _check(call: Call) -> None:
    if "activity" in call.session.sight.denied:
        raise legacy("Access denied.")


@method("crm.activity.list", "crm")
def activity_list(call: Call) -> Answer:
    _check(call)
    given, order = call.array("filter"), call.array("order")
    where = Where()
    source = _source(given, where)
    filters.flat(given, filters.FULL, _target, call.session.reader, where)
    views.hide(call.session, ACTIVITY, where)
    wanted = [php.text(name) for name in php.as_list(call.arg("select"))]
    selection = views.legacy_selection(ACTIVITY, wanted, {}, multi=False)
    by = directions(order or {"START_TIME": "ASC"}, lambda name: target.sql if (target := _target(name)) else None)
    start = call.start()
    rows, total, following, counted = paged(call, source, selection.columns, where, by, start=start, rounded=True)
    attached = [name for name in _ATTACHED if name in wanted]
    return Answer(_shown(call, selection, rows, attached), total, following, counted, max(0, start))


def _number(call: Call) -> int:
    number = php.integer(call.arg("id"))
    if number <= 0:
        raise legacy("ID is not defined or invalid.")
    return number


@method("crm.activity.get", "crm")
def activity_get(call: Call) -> object:
    _check(call)
    selection = views.legacy_selection(ACTIVITY, [], {}, multi=False)
    where = Where()
    where.add("ID = ?", _number(call))
    rows = call.data.page("activity", selection.columns, where, limit=1)
    if not rows:
        raise legacy("Not found")
    return _shown(call, selection, rows, [])[0]


@method("crm.activity.fields", "crm")
def activity_fields(_call: Call) -> object:
    described = {name: describe(field) for name, field in ACTIVITY.legacy.items()}
    for name, kind in (
        ("BINDINGS", "crm_activity_binding"),
        ("COMMUNICATIONS", "crm_activity_communication"),
        ("FILES", "diskfile"),
        ("WEBDAV_ELEMENTS", "diskfile"),
    ):
        described[name] = describe(Field(name, Kind.TEXTS, type=kind, deprecated=name == "WEBDAV_ELEMENTS"))
    return described


def _given(call: Call) -> tuple[dict[str, object], list[tuple[int, int]]]:
    given = call.arg("fields")
    if not php.is_array(given):
        raise legacy("Parameter 'fields' must be array.")
    fields = php.as_map(given)
    changes = written(call, fields, ACTIVITY.legacy, {}, multi=False)
    bindings = [
        (php.integer(php.as_map(member).get("OWNER_TYPE_ID")), php.integer(php.as_map(member).get("OWNER_ID")))
        for member in php.as_list(fields.get("BINDINGS"))
    ]
    if "COMMUNICATIONS" in fields:
        changes["COMMUNICATIONS"] = json.dumps(php.as_list(fields["COMMUNICATIONS"]))
    return changes, bindings


@method("crm.activity.add", "crm")
def activity_add(call: Call) -> object:
    fields, bindings = _given(call)
    if "TYPE_ID" not in fields:
        raise legacy("The field TYPE_ID is required.")
    kind = fields["TYPE_ID"]
    fields.setdefault("DEADLINE", fields.get("END_TIME") if kind == 3 else fields.get("START_TIME"))
    number = call.portal.records.create_activity(fields, hand(call), bindings)
    record_write(call, number)
    return number


@method("crm.activity.update", "crm")
def activity_update(call: Call) -> object:
    fields, _ = _given(call)
    if not call.portal.records.update_activity(_number(call), fields, hand(call)):
        raise legacy("Not found")
    record_write(call, True)
    return True


@method("crm.activity.delete", "crm")
def activity_delete(call: Call) -> object:
    if not call.portal.records.delete_activity(_number(call), hand(call)):
        raise legacy("Not found")
    record_write(call, True)
    return True


@method("crm.activity.binding.list", "crm")
def binding_list(call: Call) -> object:
    number = php.integer(call.need("activityId"))
    if call.data.record(ACTIVITY, number) is None:
        raise Refusal("ACCESS_DENIED", "Access denied", 400)
    return [
        {"entityTypeId": type_id, "entityId": owner_id}
        for type_id, owner_id in call.data.rows(
            "SELECT OWNER_TYPE_ID, OWNER_ID FROM activity_binding WHERE ACTIVITY_ID = ?", [number]
        )
    ]


@method("crm.activity.call.getTranscript", "crm")
def transcript(call: Call) -> object:
    record = call.data.record(ACTIVITY, php.integer(call.need("activityId")))
    if record is None:
        raise Refusal("NOT_FOUND", "Activity not found")
    return None if record["TRANSCRIPTION"] is None else {"transcription": record["TRANSCRIPTION"]}


@method("crm.activity.todo.add", "crm")
def todo_add(call: Call) -> object:
    type_id, owner_id = php.integer(call.need("ownerTypeId")), php.integer(call.need("ownerId"))
    deadline = call.need("deadline")
    entity = call.portal.records.entity(type_id)
    if entity is None:
        raise Refusal("NOT_FOUND", "Owner type not found")
    if call.data.record(entity.table, owner_id) is None:
        raise Refusal("OWNER_NOT_FOUND")
    try:
        at = call.session.reader.instant(deadline)
    except UnreadableDateError as fault:
        raise Refusal("WRONG_DATETIME_FORMAT", f"Wrong datetime format: {fault}") from fault
    number = call.portal.records.create_activity(
        {
            "OWNER_TYPE_ID": type_id,
            "OWNER_ID": owner_id,
            "TYPE_ID": 6,
            "PROVIDER_ID": "CRM_TODO",
            "PROVIDER_TYPE_ID": "TODO",
            "SUBJECT": php.text(call.params.get("title")),
            "DESCRIPTION": php.text(call.params.get("description")),
            "DESCRIPTION_TYPE": 2,
            "START_TIME": at,
            "END_TIME": at,
            "DEADLINE": at,
            "RESPONSIBLE_ID": php.integer(call.params.get("responsibleId")) or call.user_id,
        },
        hand(call),
    )
    record_write(call, {"id": number})
    return {"id": number}


# ---------------------------------------------------------------- timeline

_COMMENT = tables.TIMELINE_COMMENT


def _comment_rows(call: Call, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{**shown, "FILES": {}} for shown in plain_rows(call, _COMMENT, rows)]


@method("crm.timeline.comment.list", "crm")
def comment_list(call: Call) -> Answer:
    given = call.array("filter")
    for name in ("ENTITY_ID", "ENTITY_TYPE"):
        if not given.get(name):
            raise legacy(f"Filter field {name} is not specified.")
    where = Where()
    filters.flat(
        given, filters.LEGACY, lambda name: views.legacy_target(_COMMENT, {}, name), call.session.reader, where
    )
    sortable = {"ID": "ID", "CREATED": "CREATED", "AUTHOR_ID": "AUTHOR_ID"}
    by = directions(call.array("order"), sortable.get)
    names = [name for name in _COMMENT.legacy if name != "ID"]
    start = call.start()
    rows, total, following, _ = paged(call, "timeline_comment", names, where, by, start=start, rounded=True)
    records = [dict(zip(["ID", *names], row, strict=True)) for row in rows]
    return Answer(_comment_rows(call, records), total, following)


@method("crm.timeline.comment.get", "crm")
def comment_get(call: Call) -> object:
    record = call.data.record(_COMMENT, _number(call))
    if record is None:
        raise legacy("Not found.")
    return _comment_rows(call, [record])[0]


@method("crm.timeline.comment.fields", "crm")
def comment_fields(_call: Call) -> object:
    described = {name: describe(field) for name, field in _COMMENT.legacy.items()}
    described["FILES"] = describe(Field("FILES", Kind.TEXTS, type="attached_diskfile"))
    return described


@method("crm.timeline.comment.add", "crm")
def comment_add(call: Call) -> object:
    if not php.is_array(call.arg("fields")):
        raise missing("fields")
    given = php.as_map(call.arg("fields"))
    for name in ("ENTITY_ID", "ENTITY_TYPE", "COMMENT"):
        if not given.get(name):
            raise legacy(f"{name} is not defined or invalid.")
    number = call.data.next_id(_COMMENT.name)
    call.data.insert(
        _COMMENT.name,
        {
            "ID": number,
            "ENTITY_ID": php.integer(given["ENTITY_ID"]),
            "ENTITY_TYPE": php.text(given["ENTITY_TYPE"]).lower(),
            "CREATED": int(call.now),
            "COMMENT": php.text(given["COMMENT"]),
            "AUTHOR_ID": php.integer(given.get("AUTHOR_ID")) or call.user_id,
        },
    )
    call.portal.events.emit("ONCRMTIMELINECOMMENTADD", {"FIELDS": {"ID": str(number)}}, now=call.now)
    record_write(call, number)
    return number


@method("crm.timeline.comment.update", "crm")
def comment_update(call: Call) -> object:
    number = _number(call)
    if call.data.record(_COMMENT, number) is None:
        raise legacy("Not found.")
    text = php.text(php.as_map(call.arg("fields")).get("COMMENT"))
    call.data.update(_COMMENT.name, "ID = ?", [number], {"COMMENT": text})
    call.portal.events.emit("ONCRMTIMELINECOMMENTUPDATE", {"FIELDS": {"ID": str(number)}}, now=call.now)
    record_write(call, True)
    return True


@method("crm.timeline.comment.delete", "crm")
def comment_delete(call: Call) -> object:
    number = _number(call)
    if call.data.record(_COMMENT, number) is None:
        raise legacy("Not found.")
    call.data.delete(_COMMENT.name, "ID = ?", [number])
    call.portal.events.emit("ONCRMTIMELINECOMMENTDELETE", {"FIELDS": {"ID": str(number)}}, now=call.now)
    record_write(call, True)
    return True


# ---------------------------------------------------------------- records that applications write into the timeline

_LOG = tables.LOG_MESSAGE
_LOG_PAGE = 10


def _log_messages(call: Call, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    shown = plain_rows(call, _LOG, rows, typed=True)
    return [{camel(name): value for name, value in row.items() if not name.startswith("ENTITY_")} for row in shown]


def _pen(call: Call) -> str:
    """Who writes, told without a secret."""
    return hashlib.sha256(call.session.credential.key.encode()).hexdigest()


def _mine(call: Call) -> dict[str, object]:
    """The record that a call names, if the caller wrote it.

    Raises:
        Refusal: there is none, or another application wrote it.
    """
    number = php.integer(call.need("id"))
    record = call.data.record(_LOG, number)
    if record is None or record["WRITTEN_BY"] != _pen(call):
        raise Refusal("NOT_FOUND", f"Timeline logmessage not found for id {number}")
    return record


@method("crm.timeline.logmessage.add", "crm")
def log_add(call: Call) -> object:
    given = php.as_map(call.need("fields"))
    for name in ("entityTypeId", "entityId", "title", "text", "iconCode"):
        if not given.get(name):
            raise missing(f"fields[{name}]")
    entity = tables.ENTITY_TYPES.get(php.integer(given["entityTypeId"]))
    if entity is None or call.data.record(entity.table, php.integer(given["entityId"])) is None:
        raise Refusal("OWNER_NOT_FOUND", "Owner was not found")
    record = {
        "ID": call.data.next_id(_LOG.name),
        "ENTITY_TYPE_ID": entity.id,
        "ENTITY_ID": php.integer(given["entityId"]),
        "CREATED": int(call.now),
        "AUTHOR_ID": call.user_id,
        "TITLE": php.text(given["title"]),
        "TEXT": php.text(given["text"]),
        "ICON_CODE": php.text(given["iconCode"]),
        "WRITTEN_BY": _pen(call),
    }
    call.data.insert(_LOG.name, record)
    record_write(call, record["ID"])
    return {"logMessage": _log_messages(call, [record])[0]}


@method("crm.timeline.logmessage.get", "crm")
def log_get(call: Call) -> object:
    return {"logMessage": _log_messages(call, [_mine(call)])[0]}


@method("crm.timeline.logmessage.list", "crm")
def log_list(call: Call) -> Answer:
    """Ten to a page, and only what the caller wrote."""
    kind, number = php.integer(call.need("entityTypeId")), php.integer(call.need("entityId"))
    rows = call.data.records(
        "SELECT * FROM log_message WHERE ENTITY_TYPE_ID = ? AND ENTITY_ID = ? AND WRITTEN_BY = ? ORDER BY ID",
        [kind, number, _pen(call)],
    )
    if php.text(call.array("order").get("id")).lower() == "desc":
        rows.reverse()
    start = max(0, call.start())
    following = start + _LOG_PAGE if start + _LOG_PAGE < len(rows) else None
    return Answer({"logMessages": _log_messages(call, rows[start : start + _LOG_PAGE])}, len(rows), following)


@method("crm.timeline.logmessage.delete", "crm")
def log_delete(call: Call) -> object:
    record = _mine(call)
    call.data.delete(_LOG.name, "ID = ?", [record["ID"]])
    record_write(call, record["ID"])
    return True
