"""Activities, timeline, notices, open lines. Reference §14, §15, §20, §24."""

from __future__ import annotations

from typing import Any

import pytest

from b24metrics.sim.server import Sim

from .conftest import DEAL, NOON, Asker


@pytest.fixture
def with_activities(sim: Sim) -> Sim:
    """1 a planned to-do, 2 a call of two deals, 3 something without a deadline."""
    for number in (1, 2):
        sim.data.insert("deal", {"ID": number})
    rows = [
        (1, 6, "CRM_TODO", NOON + 60, NOON + 60, False, [(2, 1)]),
        (2, 2, "VOXIMPLANT_CALL", NOON, NOON, True, [(2, 1), (2, 2)]),
        (3, 6, "CRM_WEBFORM", NOON - 60, None, False, [(1, 5)]),
    ]
    for number, kind, provider, start, deadline, done, bindings in rows:
        sim.data.insert(
            "activity",
            {"ID": number, "TYPE_ID": kind, "PROVIDER_ID": provider, "START_TIME": start, "DEADLINE": deadline, "COMPLETED": done,
             "OWNER_TYPE_ID": bindings[0][0], "OWNER_ID": bindings[0][1], "LAST_UPDATED": NOON + number},
        )  # fmt: skip
        for type_id, owner in bindings:
            sim.data.insert("activity_binding", {"ACTIVITY_ID": number, "OWNER_TYPE_ID": type_id, "OWNER_ID": owner})
    return sim


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["ID"]) for row in rows]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [3, 2, 1]),
        ({"order": {"ID": "ASC"}}, [1, 2, 3]),
        ({"filter": {"@TYPE_ID": [2]}}, [2]),
        ({"filter": {"COMPLETED": "N"}}, [3, 1]),
        ({"filter": {"PROVIDER_ID": "CRM_TODO"}}, [1]),
        ({"filter": {">LAST_UPDATED": "2025-03-14T12:00:01+03:00"}}, [3, 2]),
        ({"filter": {"<DEADLINE": "2025-03-15T00:00:00+03:00", "COMPLETED": "N"}}, [1]),
        ({"filter": {">DEADLINE": "9000-01-01"}}, [3]),
        ({"filter": {"BINDINGS": [{"OWNER_TYPE_ID": 2, "OWNER_ID": 1}]}}, [2, 1]),
        ({"filter": {"BINDINGS": [{"OWNER_TYPE_ID": 2}]}, "order": {"ID": "ASC"}}, [1, 2, 2]),
        ({"filter": {"OWNER_ID": 2, "OWNER_TYPE_ID": 2}}, []),
        ({"filter": {"!%PROVIDER_TYPE_ID": "TODO"}}, []),
    ],
)
def test_activity_lists(with_activities: Sim, ask: Asker, params: dict[str, object], expected: list[int]) -> None:
    """By start time; BINDINGS find any bound object and repeat what is bound twice; OWNER_ID is the primary one alone."""
    assert expected == ids(ask.result("crm.activity.list", **params))


def test_no_deadline_is_the_year_9999(with_activities: Sim, ask: Asker) -> None:
    rows = ask.result("crm.activity.list", order={"ID": "ASC"})

    assert "9999-12-31T00:00:00+03:00" == rows[2]["DEADLINE"] == ask.result("crm.activity.get", id=3)["DEADLINE"]
    assert "2025-03-14T12:01:00+03:00" == rows[0]["DEADLINE"]


def test_empty_maps_are_lists(sim: Sim, ask: Asker) -> None:
    """SETTINGS and PROVIDER_PARAMS: an object with members, else []."""
    sim.data.insert("activity", {"ID": 1, "SETTINGS": '{"MISSED_CALL": true}'})
    row = ask.result("crm.activity.get", id=1)

    assert ({"MISSED_CALL": True}, []) == (row["SETTINGS"], row["PROVIDER_PARAMS"])


def test_attachments_must_be_named(with_activities: Sim, ask: Asker) -> None:
    with_activities.change_quietly("activity", 1, COMMUNICATIONS='[{"TYPE": "PHONE", "VALUE": "+7900"}]')
    plain = ask.result("crm.activity.list", filter={"ID": 1}, select=["*"])[0]
    named = ask.result("crm.activity.list", filter={"ID": 1}, select=["ID", "COMMUNICATIONS", "BINDINGS", "FILES"])

    assert {"COMMUNICATIONS", "BINDINGS", "FILES"}.isdisjoint(plain)
    assert [
        {
            "ID": "1",
            "COMMUNICATIONS": [{"TYPE": "PHONE", "VALUE": "+7900"}],
            "FILES": [],
            "BINDINGS": [{"OWNER_TYPE_ID": "2", "OWNER_ID": "1"}],
        }
    ] == named


def test_bindings_of_one_activity(with_activities: Sim, ask: Asker) -> None:
    assert [{"entityTypeId": 2, "entityId": 1}, {"entityTypeId": 2, "entityId": 2}] == ask.result(
        "crm.activity.binding.list", activityId=2
    )
    assert (400, "ACCESS_DENIED") == ask.refused("crm.activity.binding.list", activityId=99)[:2]
    assert (400, "100") == ask.refused("crm.activity.binding.list")[:2]


def test_transcripts_are_there_or_null(with_activities: Sim, ask: Asker) -> None:
    with_activities.change_quietly("activity", 2, TRANSCRIPTION="Hello")

    assert {"transcription": "Hello"} == ask.result("crm.activity.call.getTranscript", activityId=2)
    assert ask.result("crm.activity.call.getTranscript", activityId=1) is None
    assert "NOT_FOUND" == ask("crm.activity.call.getTranscript", activityId=99)["error"]


def test_a_to_do_is_an_activity_of_its_own_kind(sim: Sim, ask: Asker) -> None:
    """START_TIME = DEADLINE; completing it later changes status and LAST_UPDATED."""
    sim.records.create(DEAL, {}, sim.hand())
    params = {
        "ownerTypeId": 2,
        "ownerId": 1,
        "deadline": "2025-03-15T10:00:00+03:00",
        "title": "Call",
        "responsibleId": 9,
    }
    number = ask.result("crm.activity.todo.add", **params)["id"]
    ask.result("crm.activity.update", id=number, fields={"COMPLETED": "Y"})
    row = ask.result("crm.activity.get", id=number)

    assert {
        "PROVIDER_ID": "CRM_TODO", "TYPE_ID": "6", "SUBJECT": "Call", "RESPONSIBLE_ID": "9", "COMPLETED": "Y", "STATUS": "2",
        "START_TIME": "2025-03-15T10:00:00+03:00", "DEADLINE": "2025-03-15T10:00:00+03:00",
    }.items() <= row.items()  # fmt: skip
    assert [params] == [write["PARAMS"] for write in sim.writes("crm.activity.todo.add")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"deadline": None}, "100"),
        ({"ownerTypeId": 999}, "NOT_FOUND"),
        ({"ownerId": 99}, "OWNER_NOT_FOUND"),
        ({"deadline": "soon"}, "WRONG_DATETIME_FORMAT"),
    ],
)
def test_to_dos_are_checked(sim: Sim, ask: Asker, changes: dict[str, object], code: str) -> None:
    sim.records.create(DEAL, {}, sim.hand())
    params = {"ownerTypeId": 2, "ownerId": 1, "deadline": "2025-03-15T10:00:00+03:00", **changes}

    assert (400, code) == ask.refused("crm.activity.todo.add", **params)[:2]


def test_activities_are_added_and_deleted(sim: Sim, ask: Asker) -> None:
    fields = {
        "TYPE_ID": 1,
        "SUBJECT": "Meeting",
        "START_TIME": "2025-03-15T10:00:00+03:00",
        "BINDINGS": [{"OWNER_TYPE_ID": 2, "OWNER_ID": 1}],
    }
    number = ask.result("crm.activity.add", fields=fields)

    assert "2025-03-15T10:00:00+03:00" == ask.result("crm.activity.get", id=number)["DEADLINE"]
    assert ask.result("crm.activity.delete", id=number) is True
    assert (400, "", "Not found") == ask.refused("crm.activity.get", id=number)
    assert [] == sim.data.rows("SELECT * FROM activity_binding")


# ---------------------------------------------------------------- timeline


def test_comments_belong_to_one_object(sim: Sim, ask: Asker) -> None:
    """Written, read back, changed, removed; the filter must name the object."""
    number = ask.result("crm.timeline.comment.add", fields={"ENTITY_ID": 2, "ENTITY_TYPE": "deal", "COMMENT": "a"})
    ask.result("crm.timeline.comment.update", id=number, fields={"COMMENT": "b"})
    answer = ask("crm.timeline.comment.list", filter={"ENTITY_ID": 2, "ENTITY_TYPE": "deal"})

    assert [
        {"ID": "1", "ENTITY_ID": "2", "ENTITY_TYPE": "deal", "CREATED": "2025-03-14T12:00:00+03:00", "COMMENT": "b",
         "AUTHOR_ID": "1", "FILES": {}}
    ] == answer["result"]  # fmt: skip
    assert (400, "") == ask.refused("crm.timeline.comment.list", filter={"ENTITY_ID": 2})[:2]
    assert ask.result("crm.timeline.comment.delete", id=number) is True
    assert ["crm.timeline.comment.add"] == [write["METHOD"] for write in sim.writes()][:1]


# ---------------------------------------------------------------- notices and messages


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("im.notify.system.add", {"MESSAGE": "x"}, "USER_ID_EMPTY"),
        ("im.notify.system.add", {"USER_ID": 7}, "MESSAGE_EMPTY"),
        ("im.notify.system.add", {"USER_ID": 7, "MESSAGE": "x", "ATTACH": ["y" * 60_000]}, "ATTACH_OVERSIZE"),
        ("im.notify.personal.add", {"USER_ID": 7, "MESSAGE": "x", "TAG": "t"}, "WRONG_AUTH_TYPE"),
        ("im.message.add", {"MESSAGE": "x"}, "USER_ID_EMPTY"),
        ("im.message.add", {"DIALOG_ID": "99", "MESSAGE": "x"}, "USER_NOT_FOUND"),
        ("im.message.add", {"DIALOG_ID": "room", "MESSAGE": "x"}, "CHAT_ID"),
        ("im.message.add", {"DIALOG_ID": "chat5"}, "MESSAGE_EMPTY"),
    ],
)
def test_messages_are_checked(ask: Asker, method: str, params: dict[str, object], code: str) -> None:
    assert code == ask(method, **params)["error"]


def test_what_was_sent_can_be_read_by_tests(sim: Sim, ask: Asker) -> None:
    """Method, parameters, sender; a notice with the same tag replaces the older one."""
    ask.result("im.message.add", DIALOG_ID="chat5", MESSAGE="Привет")
    for text in ("one", "two"):
        ask.result("im.notify.system.add", USER_ID=7, MESSAGE=text, TAG="alert", CLIENT_ID="b24")

    assert ["Привет", "two"] == [write["PARAMS"]["MESSAGE"] for write in sim.writes()]
    assert ("im.message.add", 1, NOON) == tuple(
        sim.writes("im.message.add")[0][n] for n in ("METHOD", "USER_ID", "MADE_AT")
    )


def test_bots_send_in_two_ways(sim: Sim, ask: Asker) -> None:
    assert isinstance(ask.result("imbot.message.add", DIALOG_ID="7", MESSAGE="x"), int)
    answer = ask.result("imbot.v2.Chat.Message.send", botId=1, dialogId="7", fields={"message": "x"})
    assert {"id", "uuidMap"} == set(answer)


# ---------------------------------------------------------------- open lines


@pytest.fixture
def with_chat(sim: Sim) -> Sim:
    """A guest wrote, the system greeted, Ann answered a minute later."""
    sim.data.insert("openline", {"ID": 22, "LINE_NAME": "Site", "QUEUE": [7, 9]})
    sim.data.insert(
        "openline_session",
        {"ID": 343, "CONFIG_ID": 22, "CHAT_ID": 1777, "CLIENT_ID": 599, "OPERATOR_ID": 7, "CRM_ENTITY_TYPE": "LEAD",
         "CRM_ENTITY_ID": 1209, "STARTED_AT": NOON, "VOTE_HEAD": 5},
    )  # fmt: skip
    for number, sender, at in ((1, 599, 0), (2, 0, 1), (3, 7, 60)):
        sim.data.insert(
            "openline_message", {"ID": number, "SESSION_ID": 343, "SENDER_ID": sender, "DATE": NOON + at, "TEXT": "x"}
        )
    return sim


def test_a_session_tells_who_answered_when(with_chat: Sim, ask: Asker) -> None:
    """First message of a sender that is no connector is the operator's answer."""
    history = ask.result("imopenlines.session.history.get", SESSION_ID=343)

    assert (1777, 343, 5) == tuple(history[name] for name in ("chatId", "sessionId", "sessionVoteHead"))
    assert {"599": True, "7": False} == {number: user["connector"] for number, user in history["users"].items()}
    assert [
        ("599", "2025-03-14T12:00:00+03:00"),
        ("0", "2025-03-14T12:00:01+03:00"),
        ("7", "2025-03-14T12:01:00+03:00"),
    ] == [(message["senderid"], message["date"]) for message in history["message"].values()]
    assert (400, "INVALID_SESSION_ID") == ask.refused("imopenlines.session.history.get", SESSION_ID=9)[:2]


def test_a_dialog_is_bound_to_crm_in_its_own_way(with_chat: Sim, ask: Asker) -> None:
    """Fields between bars: flag, type, id; the sixth is the session, the seventh its start."""
    dialog = ask.result("imopenlines.dialog.get", CHAT_ID=1777)

    assert "livechat|22|1777|599" == dialog["entity_id"]
    assert ["Y", "LEAD", "1209", "N", "N", "343", str(NOON)] == dialog["entity_data_1"].split("|")[:7]
    assert "LEAD|1209|COMPANY|0|CONTACT|0|DEAL|0" == dialog["entity_data_2"]
    assert dialog == ask.result("imopenlines.dialog.get", USER_CODE="livechat|22|1777|599")
    assert [{"CHAT_ID": "1777", "CONNECTOR_ID": "livechat", "CONNECTOR_TITLE": "Livechat"}] == ask.result(
        "imopenlines.crm.chat.get", CRM_ENTITY_TYPE="lead", CRM_ENTITY=1209
    )


def test_lines_and_their_settings(with_chat: Sim, ask: Asker) -> None:
    """Pages by PARAMS, queue on demand, everything else from the single line; an unknown one is false."""
    line = ask.result("imopenlines.config.get", CONFIG_ID=22)

    assert [{"ID": "22", "LINE_NAME": "Site", "ACTIVE": "Y"}] == ask.result(
        "imopenlines.config.list.get", PARAMS={"limit": 500}
    )
    assert [] == ask.result("imopenlines.config.list.get", PARAMS={"offset": 1})
    assert ("09:00", "18:00", [""], "60", [7, 9]) == tuple(
        line[name] for name in ("WORKTIME_FROM", "WORKTIME_TO", "WORKTIME_HOLIDAYS", "NO_ANSWER_TIME", "QUEUE")
    )
    assert ask.result("imopenlines.config.get", CONFIG_ID=9) is False
