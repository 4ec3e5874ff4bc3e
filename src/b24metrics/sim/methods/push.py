"""Event handlers and the offline queue.

Source: vendor, "event.bind", "event.get", "event.unbind", "event.offline.*".
"""

from __future__ import annotations

import hashlib
import json

from b24metrics.sim import filters, php, tables
from b24metrics.sim.accounts import Application
from b24metrics.sim.calls import Answer, Call, directions, method, paged
from b24metrics.sim.data import Where
from b24metrics.sim.events import NAMES, RESERVED_SECONDS, known
from b24metrics.sim.filters import Target
from b24metrics.sim.refusals import Refusal
from b24metrics.sim.tables import Kind

_QUEUE = tables.OFFLINE_EVENT


def _application(call: Call) -> Application:
    application = call.session.credential.application
    assert application is not None  # the front desk lets nobody else in
    return application


@method("events")
def event_names(_call: Call) -> object:
    return sorted(NAMES)


@method("event.bind", application=True)
def bind(call: Call) -> object:
    event = php.text(call.need("event")).upper()
    if not known(event):
        raise Refusal("ERROR_EVENT_NOT_FOUND")
    offline = php.text(call.arg("event_type")).lower() == "offline"
    auth_type = php.integer(call.arg("auth_type"))
    if not call.session.is_admin and (offline or auth_type not in {0, call.user_id}):
        raise Refusal("ACCESS_DENIED")
    handler = "" if offline else php.text(call.need("handler"))
    call.portal.events.bind(
        event,
        handler,
        auth_type=auth_type,
        application=_application(call),
        connector=php.text(call.arg("auth_connector")),
    )
    return True


@method("event.get", application=True)
def bound(call: Call) -> object:
    application = _application(call)
    return [
        {"event": b.event, "handler": b.handler, "auth_type": str(b.auth_type), "offline": int(b.offline)}
        for b in call.portal.events.bindings
        if b.application is application
    ]


@method("event.unbind", application=True)
def unbind(call: Call) -> object:
    offline = php.text(call.arg("event_type")).lower() == "offline"
    handler = "" if offline else php.text(call.need("handler"))
    given = call.arg("auth_type")
    auth_type = None if php.blank(given) else php.integer(given)
    return {"count": call.portal.events.unbind(php.text(call.need("event")), handler, _application(call), auth_type)}


# ---------------------------------------------------------------- the offline queue


def _admin(call: Call) -> None:
    if not call.session.is_admin:
        raise Refusal("ACCESS_DENIED")


def _target(name: str) -> Target | None:
    if name == "ID":
        return Target("ID", Kind.ID)
    field = _QUEUE.legacy.get(name)
    return Target(f'"{name}"', field.kind) if field else None


def _data(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else False


def _free(call: Call) -> None:
    """Reservations that nobody confirmed in time are void."""
    call.data.update(
        _QUEUE.name,
        "PROCESS_ID <> '' AND RESERVED_AT < ?",
        [int(call.now) - RESERVED_SECONDS],
        {"PROCESS_ID": "", "RESERVED_AT": None},
    )


@method("event.offline.get", application=True)
def offline_get(call: Call) -> object:
    _admin(call)
    _free(call)
    clear = not php.no(call.arg("clear"))
    if not clear and not call.portal.switches.extended_queue:
        raise Refusal("ACCESS_DENIED", "Extended offline queue is not available")
    asked = php.text(call.arg("process_id"))
    where = Where()
    filters.flat(php.as_map(call.arg("filter")), filters.FULL, _target, call.session.reader, where)
    where.add("AUTH_CONNECTOR = ?", php.text(call.arg("auth_connector")))
    where.add("PROCESS_ID = ?", asked)
    if asked:
        where.add("ERROR = ?", int(php.yes(call.arg("error"))))
    order = php.as_map(call.arg("order")) or {"TIMESTAMP_X": "ASC"}
    by = directions(order, lambda name: target.sql if (target := _target(name)) else None)
    limit = php.integer(call.arg("limit")) or 50
    names = ["TIMESTAMP_X", "EVENT_NAME", "EVENT_DATA", "EVENT_ADDITIONAL", "MESSAGE_ID"]
    rows = call.data.page(_QUEUE.name, names, where, by, max(1, limit))
    process: str | None = asked or None
    if clear:
        for row in rows:
            call.data.delete(_QUEUE.name, "ID = ?", [row[0]])
    elif rows and not asked:
        process = hashlib.md5(
            f"{call.now} {rows[0][0]} {call.session.number}".encode(), usedforsecurity=False
        ).hexdigest()
        for row in rows:
            reserved = {"PROCESS_ID": process, "RESERVED_AT": int(call.now)}
            call.data.update(_QUEUE.name, "ID = ?", [row[0]], reserved)
    shown = [
        {
            "ID": str(number),
            "TIMESTAMP_X": call.session.renderer.instant(at),
            "EVENT_NAME": event,
            "EVENT_DATA": _data(data),
            "EVENT_ADDITIONAL": _data(additional),
            "MESSAGE_ID": message,
        }
        for number, at, event, data, additional, message in rows
    ]
    return {"process_id": None if clear else process, "events": shown}


@method("event.offline.list", application=True)
def offline_list(call: Call) -> Answer:
    _admin(call)
    where = Where()
    filters.flat(php.as_map(call.arg("filter")), filters.FULL, _target, call.session.reader, where)
    by = directions(php.as_map(call.arg("order")), lambda name: target.sql if (target := _target(name)) else None)
    names = ["TIMESTAMP_X", "EVENT_NAME", "EVENT_DATA", "EVENT_ADDITIONAL", "MESSAGE_ID", "PROCESS_ID", "ERROR"]
    rows, total, following, _ = paged(call, _QUEUE.name, names, where, by, start=call.start(), rounded=True)
    shown = [
        {
            "ID": str(number),
            "TIMESTAMP_X": call.session.renderer.instant(at),
            "EVENT_NAME": event,
            "EVENT_DATA": _data(data),
            "EVENT_ADDITIONAL": _data(additional),
            "MESSAGE_ID": message,
            "PROCESS_ID": process,
            "ERROR": str(error),
        }
        for number, at, event, data, additional, message, process, error in rows
    ]
    return Answer(shown, total, following)


def _reserved(call: Call) -> tuple[str, list[object]]:
    """The records of a process, narrowed by ``id`` or ``message_id``."""
    where, values = "PROCESS_ID = ?", [call.need("process_id")]
    for name, column in (("id", "ID"), ("message_id", "MESSAGE_ID")):
        given = php.as_list(call.arg(name))
        if given:
            where += f" AND {column} IN ({', '.join('?' for _ in given)})"
            values += [php.integer(member) if column == "ID" else php.text(member) for member in given]
    return where, values


@method("event.offline.clear", application=True)
def offline_clear(call: Call) -> object:
    _admin(call)
    where, values = _reserved(call)
    call.data.delete(_QUEUE.name, where, values)
    return True


@method("event.offline.error", application=True)
def offline_error(call: Call) -> object:
    _admin(call)
    where, values = _reserved(call)
    call.data.update(_QUEUE.name, where, values, {"ERROR": 1})
    return True
