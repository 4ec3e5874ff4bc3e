"""Telephone calls: the statistics, calls of an outside PBX, attached transcripts.

Laws: unknown filter keys and operators are dropped without a word; ORDER counts only in capital letters.
Source: vendor, "voximplant.statistic.get", "telephony.externalCall.*", "telephony.call.attachTranscription".
"""

from __future__ import annotations

from b24metrics.sim import filters, php, views
from b24metrics.sim.calls import Answer, Call, method, paged, record_write, untied
from b24metrics.sim.data import Where
from b24metrics.sim.filters import Target
from b24metrics.sim.methods.crm import hand
from b24metrics.sim.refusals import Refusal
from b24metrics.sim.tables import PHONE_CALL, Kind

_NOT_FILTERED = frozenset({
    "TRANSCRIPT_ID", "TRANSCRIPT_PENDING", "REST_APP_ID", "REST_APP_NAME", "REDIAL_ATTEMPT", "COMMENT",
})  # fmt: skip


def _target(name: str) -> Target | None:
    if name == "ID":
        return Target("ID", Kind.ID)
    field = PHONE_CALL.legacy.get(name)
    if field is None or name in _NOT_FILTERED:
        return None
    return Target(f'"{name}"', field.kind)


@method("voximplant.statistic.get", "telephony")
def statistic(call: Call) -> Answer:
    if "phone_call" in call.session.sight.denied:
        raise Refusal("ACCESS_DENIED", "Access denied!")
    where = Where()
    filters.flat(php.as_map(call.arg("filter")), filters.TELEPHONY, _target, call.session.reader, where)
    views.hide(call.session, PHONE_CALL, where)
    name = php.text(call.params.get("SORT"))
    sort = _target(name) if name != "CALL_TYPE" else None
    down = call.params.get("ORDER") == "DESC"
    by = untied([(sort.sql, down)]) if sort else [("ID", down)]
    selection = views.legacy_selection(PHONE_CALL, [], {}, multi=False)
    start = call.start()
    rows, total, following, counted = paged(
        call, PHONE_CALL.name, selection.columns, where, by, start=start, rounded=True
    )
    shown = views.legacy_rows(call.session, selection, rows)
    for row in shown:
        file_id = row["RECORD_FILE_ID"]
        row["RECORD_FILE_ID"] = None if file_id is None else php.integer(file_id)  # the one number among texts
    return Answer(shown, total, following, counted, max(0, start))


# ---------------------------------------------------------------- an outside PBX


@method("telephony.externalCall.register", "telephony", application=True)
def register(call: Call) -> object:
    phone, kind = php.text(call.arg("PHONE_NUMBER")), php.integer(call.arg("TYPE"))
    if not phone or not kind:
        raise Refusal("ERROR_CORE", "PHONE_NUMBER and TYPE are required")
    application = call.session.credential.application
    assert application is not None
    call_id = f"externalCall.{call.portal.next_external_call():032x}.{int(call.now)}"
    started = call.arg("CALL_START_DATE")
    call.portal.external_calls[call_id] = {
        "PHONE_NUMBER": phone,
        "CALL_TYPE": kind,
        "PORTAL_USER_ID": php.integer(call.arg("USER_ID")),
        "PORTAL_NUMBER": php.text(call.arg("LINE_NUMBER")) or f"REST_APP:{application.number}",
        "CALL_START_DATE": call.session.reader.instant(started) if started else int(call.now),
        "REST_APP_ID": application.number,
        "REST_APP_NAME": application.client_id,
    }
    return {"CALL_ID": call_id, "CRM_CREATED_LEAD": None, "CRM_ENTITY_TYPE": None, "CRM_ENTITY_ID": None}


@method("telephony.externalCall.finish", "telephony", application=True)
def finish(call: Call) -> object:
    call_id = php.text(call.arg("CALL_ID"))
    begun = call.portal.external_calls.pop(call_id, None)
    if begun is None:
        raise Refusal("INVALID_ARGUMENT", "CALL_ID must be a string" if not call_id else "Call is not found")
    duration = php.integer(call.arg("DURATION"))
    code = php.text(call.arg("STATUS_CODE")) or ("200" if duration > 0 else "304")
    vote = php.integer(call.arg("VOTE"))
    user = php.integer(call.arg("USER_ID")) or begun["PORTAL_USER_ID"]
    record = {
        **begun,
        "CALL_ID": call_id,
        "PORTAL_USER_ID": user,
        "CALL_DURATION": duration,
        "CALL_FAILED_CODE": code,
        "CALL_VOTE": vote or None,
        "CALL_LOG": None,
        "CALL_RECORD_URL": None,
    }
    number = call.portal.records.add_phone_call(record, hand(call))
    record_write(call, number)
    return {
        "CALL_ID": call_id,
        "EXTERNAL_CALL_ID": None,
        "PORTAL_USER_ID": user,
        "PHONE_NUMBER": begun["PHONE_NUMBER"],
        "PORTAL_NUMBER": begun["PORTAL_NUMBER"],
        "INCOMING": str(begun["CALL_TYPE"]),
        "CALL_DURATION": duration,
        "CALL_START_DATE": {},
        "CALL_STATUS": 1 if code == "200" else 0,
        "CALL_VOTE": vote,
        "COST": 0,
        "COST_CURRENCY": "",
        "CALL_FAILED_CODE": code,
        "CALL_FAILED_REASON": "",
        "REST_APP_ID": str(begun["REST_APP_ID"]),
        "REST_APP_NAME": begun["REST_APP_NAME"],
        "CRM_ACTIVITY_ID": None,
        "COMMENT": None,
        "CRM_ENTITY_TYPE": None,
        "CRM_ENTITY_ID": None,
        "ID": number,
    }


@method("telephony.call.attachTranscription", "telephony")
def attach_transcription(call: Call) -> object:
    messages = call.arg("MESSAGES")
    if not php.is_array(messages):
        raise Refusal("ERROR_CORE", "MESSAGES should be an array")
    call_id = php.text(call.arg("CALL_ID"))
    found = call.data.value("SELECT ID FROM phone_call WHERE CALL_ID = ?", [call_id])
    if found is None:
        raise Refusal("ERROR_CORE", "Call is not found. Call should be finished prior to attaching transcription")
    highest = php.integer(call.data.value("SELECT coalesce(max(TRANSCRIPT_ID), 0) FROM phone_call"))
    call.data.update(PHONE_CALL.name, "CALL_ID = ?", [call_id], {"TRANSCRIPT_ID": highest + 1})
    record_write(call, highest + 1)
    return {"TRANSCRIPT_ID": highest + 1}
