"""Notices and messages that clients send, and the open lines.

Laws: what is sent is only remembered (`recorded_write`); a notice with the tag of an older one replaces it.
Source: vendor, "im.notify.*", "im.message.add", "imopenlines.*".
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from b24metrics.sim import php, tables
from b24metrics.sim.calls import Call, method, record_write
from b24metrics.sim.methods.directories import plain_rows
from b24metrics.sim.refusals import Refusal

ATTACH_LIMIT = 60_000

# ---------------------------------------------------------------- sending


def _checked(call: Call, text: str) -> None:
    """What every message is checked for.

    Raises:
        Refusal: neither text nor attachment, or too much of the latter.
    """
    attach = call.arg("ATTACH")
    if not text and not attach:
        raise Refusal("MESSAGE_EMPTY")
    if attach and len(json.dumps(attach)) > ATTACH_LIMIT:
        raise Refusal("ATTACH_OVERSIZE")


def _notify(call: Call) -> object:
    user = php.integer(call.arg("USER_ID") or call.arg("TO"))
    if user <= 0:
        raise Refusal("USER_ID_EMPTY")
    _checked(call, php.text(call.arg("MESSAGE")))
    tag = php.text(call.arg("TAG"))
    if tag and call.session.credential.kind == "webhook" and not call.arg("CLIENT_ID"):
        raise Refusal("WRONG_AUTH_TYPE", "CLIENT_ID is required for tags")
    if tag:
        _withdraw(call, tag)
    number = call.portal.next_message()
    record_write(call, number)
    return number


def _withdraw(call: Call, tag: str) -> None:
    """Take back older notices of the same tag, user and client."""
    same = ("USER_ID", "CLIENT_ID")
    for row in call.data.records("SELECT ID, PARAMS FROM recorded_write WHERE METHOD LIKE 'im.notify%'"):
        given = json.loads(php.text(row["PARAMS"]))
        if given.get("TAG") == tag and all(php.text(given.get(n)) == php.text(call.arg(n)) for n in same):
            call.data.delete("recorded_write", "ID = ?", [row["ID"]])


for _name in ("im.notify", "im.notify.system.add", "im.notify.personal.add"):
    method(_name, "im")(_notify)


@method("im.message.add", "im")
def message_add(call: Call) -> object:
    dialog = php.text(call.arg("DIALOG_ID") or call.arg("USER_ID"))
    if not dialog:
        raise Refusal("USER_ID_EMPTY")
    if dialog.isdigit():
        if call.data.value('SELECT ID FROM "user" WHERE ID = ?', [int(dialog)]) is None:
            raise Refusal("USER_NOT_FOUND")
    elif not dialog.startswith(("chat", "sg")):
        raise Refusal("CHAT_ID")
    _checked(call, php.text(call.arg("MESSAGE")))
    number = call.portal.next_message()
    record_write(call, number)
    return number


@method("imbot.message.add", "imbot")
def bot_message_add(call: Call) -> object:
    _checked(call, php.text(call.arg("MESSAGE")))
    number = call.portal.next_message()
    record_write(call, number)
    return number


@method("imbot.v2.Chat.Message.send", "imbot")
def bot_message_send(call: Call) -> object:
    call.need("botId")
    call.need("dialogId")
    fields = php.as_map(call.need("fields"))
    if not fields.get("message") and not fields.get("attach"):
        raise Refusal("MESSAGE_EMPTY")
    number = call.portal.next_message()
    record_write(call, number)
    return {"id": number, "uuidMap": []}


# ---------------------------------------------------------------- open lines


def _line_users(call: Call, queue: list[object]) -> object:
    names = {
        str(row[0]): {
            "USER_NAME": f"{row[1]} {row[2]}",
            "USER_WORK_POSITION": row[3] or None,
            "USER_AVATAR": "",
            "USER_AVATAR_ID": None,
        }
        for row in call.data.rows('SELECT ID, NAME, LAST_NAME, WORK_POSITION FROM "user"')
        if row[0] in queue
    }
    return php.php_map(names)


@method("imopenlines.config.list.get", "imopenlines")
def line_list(call: Call) -> object:
    params, options = php.as_map(call.arg("PARAMS")), php.as_map(call.arg("OPTIONS"))
    limit = min(200, php.integer(params.get("limit")) or 50)
    offset = php.integer(params.get("offset"))
    rows = call.data.records(f"SELECT * FROM openline ORDER BY ID LIMIT {limit} OFFSET {max(0, offset)}")
    shown: list[dict[str, object]] = []
    for row in rows:
        entry: dict[str, object] = {
            "ID": str(row["ID"]),
            "LINE_NAME": row["LINE_NAME"],
            "ACTIVE": "Y" if row["ACTIVE"] else "N",
        }
        if php.yes(options.get("QUEUE")):
            queue = php.as_list(row["QUEUE"])
            entry |= {"QUEUE": queue, "QUEUE_USERS_FIELDS": _line_users(call, queue), "CONFIG_QUEUE": []}
        shown.append(entry)
    return shown


@method("imopenlines.config.get", "imopenlines")
def line_get(call: Call) -> object:
    record = call.data.record(tables.OPENLINE, php.integer(call.arg("CONFIG_ID")))
    if record is None:
        return False
    shown = plain_rows(call, tables.OPENLINE, [record])[0]
    shown |= {name: shown[name] or [""] for name in ("WORKTIME_HOLIDAYS", "WORKTIME_DAYOFF")}
    if php.no(call.arg("WITH_QUEUE")):
        del shown["QUEUE"]
    return shown


def _session(call: Call) -> Mapping[str, object]:
    """The session that a call names.

    Raises:
        Refusal: nothing named, or nothing found.
    """
    number, chat = php.integer(call.arg("SESSION_ID")), php.text(call.arg("CHAT_ID") or call.arg("DIALOG_ID"))
    code = php.text(call.arg("USER_CODE"))
    if number:
        rows = call.data.records("SELECT * FROM openline_session WHERE ID = ?", [number])
    elif chat or code:
        chat_id = (
            php.integer(chat.removeprefix("chat")) if chat else php.integer(code.split("|")[2:3] and code.split("|")[2])
        )
        rows = call.data.records("SELECT * FROM openline_session WHERE CHAT_ID = ? ORDER BY ID DESC", [chat_id])
    else:
        raise Refusal("MISSING_REQUIRED_PARAM")
    if not rows:
        raise Refusal("INVALID_SESSION_ID")
    return rows[0]


def _user_code(session: Mapping[str, object]) -> str:
    return f"{session['CONNECTOR_ID']}|{session['CONFIG_ID']}|{session['CHAT_ID']}|{session['CLIENT_ID']}"


@method("imopenlines.dialog.get", "imopenlines")
def dialog_get(call: Call) -> object:
    session = _session(call)
    kind, number = php.text(session["CRM_ENTITY_TYPE"]), php.integer(session["CRM_ENTITY_ID"])
    bound = {"LEAD": 0, "COMPANY": 0, "CONTACT": 0, "DEAL": php.integer(session["DEAL_ID"])}
    if kind in bound:
        bound[kind] = number
    count = call.data.value("SELECT count(*) FROM openline_message WHERE SESSION_ID = ?", [session["ID"]])
    return {
        "id": session["CHAT_ID"],
        "name": f"{session['CLIENT_NAME']} - line {session['CONFIG_ID']}",
        "owner": session["OPERATOR_ID"],
        "extranet": False,
        "type": "lines",
        "message_count": count,
        "entity_type": "LINES",
        "entity_id": _user_code(session),
        "entity_data_1": "|".join(
            map(
                str,
                [
                    "Y" if number else "N",
                    kind or "NONE",
                    number,
                    "N",
                    "N",
                    session["ID"],
                    session["STARTED_AT"],
                    0,
                    0,
                    0,
                ],
            )
        ),
        "entity_data_2": "|".join(f"{name}|{value}" for name, value in bound.items()),
        "entity_data_3": "N",
        "date_create": call.session.renderer.instant(session["STARTED_AT"]),
        "message_type": "L",
        "dialog_id": f"chat{session['CHAT_ID']}",
    }


@method("imopenlines.session.history.get", "imopenlines")
def session_history(call: Call) -> object:
    session = _session(call)
    messages: dict[str, object] = {}
    people: dict[str, object] = {}
    names = {row[0]: f"{row[1]} {row[2]}" for row in call.data.rows('SELECT ID, NAME, LAST_NAME FROM "user"')}
    for row in call.data.records("SELECT * FROM openline_message WHERE SESSION_ID = ? ORDER BY ID", [session["ID"]]):
        sender = row["SENDER_ID"]
        messages[str(row["ID"])] = {
            "id": str(row["ID"]),
            "chatid": str(session["CHAT_ID"]),
            "senderid": str(sender),
            "date": call.session.renderer.instant(row["DATE"]),
            "text": row["TEXT"],
            "params": [],
        }
        if sender:
            client = sender == session["CLIENT_ID"]
            name = session["CLIENT_NAME"] if client else names.get(sender, "")
            people[str(sender)] = {"id": str(sender), "name": name, "connector": client, "bot": False}
    return {
        "chatId": session["CHAT_ID"],
        "sessionId": session["ID"],
        "sessionVoteHead": session["VOTE_HEAD"],
        "sessionCommentHead": session["COMMENT_HEAD"],
        "userId": session["OPERATOR_ID"],
        "message": php.php_map(messages),
        "users": php.php_map(people),
        "files": [],
    }


@method("imopenlines.crm.chat.get", "imopenlines")
def crm_chats(call: Call) -> object:
    kind, number = php.text(call.need("CRM_ENTITY_TYPE")).upper(), php.integer(call.need("CRM_ENTITY"))
    where, values = ("DEAL_ID = ?", [number]) if kind == "DEAL" else (
        "CRM_ENTITY_TYPE = ? AND CRM_ENTITY_ID = ?", [kind, number]
    )  # fmt: skip
    if not php.no(call.arg("ACTIVE_ONLY")):
        where += " AND CLOSED_AT IS NULL"
    rows = call.data.rows(
        f"SELECT DISTINCT CHAT_ID, CONNECTOR_ID FROM openline_session WHERE {where} ORDER BY 1", values
    )
    return [
        {"CHAT_ID": str(chat), "CONNECTOR_ID": connector, "CONNECTOR_TITLE": php.text(connector).capitalize()}
        for chat, connector in rows
    ]


@method("imopenlines.session.head.vote", "imopenlines")
def head_vote(call: Call) -> object:
    session = _session(call)
    vote = php.integer(call.arg("RATING"))
    call.data.update("openline_session", "ID = ?", [session["ID"]], {"VOTE_HEAD": vote})
    record_write(call, True)
    return True
