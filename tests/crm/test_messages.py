"""What we write into a portal, and what it says of itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from b24metrics.crm import messages, probe, spoken
from b24metrics.crm.wiretypes import EntityType
from b24metrics.errors import UnreadableRow

DEADLINE = datetime(2026, 2, 2, 12, tzinfo=UTC)


def test_no_write_is_repeated() -> None:
    """A lost answer to a write is reported: repeating it could say a thing twice."""
    assert {False} == {question.repeatable for question in spoken.WRITES}


def test_a_notice_with_a_tag_replaces_the_earlier_one() -> None:
    request = messages.notify(7, "Plan: 80 %", tag="plan", client_id="b24metrics")

    assert "im.notify.system.add" == request.method
    assert {"USER_ID": 7, "MESSAGE": "Plan: 80 %", "TAG": "plan", "CLIENT_ID": "b24metrics"} == request.params
    assert {"USER_ID": 7, "MESSAGE": "Hello"} == messages.notify(7, "Hello").params
    assert [12345, None] == [request.decode(result) for result in ("12345", False)]


def test_a_message_into_a_chat_or_to_a_person() -> None:
    request = messages.post("chat123", "Hello", system=True)

    assert {"DIALOG_ID": "chat123", "MESSAGE": "Hello", "SYSTEM": "Y", "URL_PREVIEW": "N"} == request.params
    assert "7" == messages.post(7, "Hello").params["DIALOG_ID"]
    assert 34239 == request.decode(34239)


@pytest.mark.parametrize("message", ["", "  \n", "x" * 20_001])
def test_nothing_to_say_or_too_much_is_refused_here(message: str) -> None:
    for ask in (lambda: messages.notify(7, message), lambda: messages.post(7, message)):
        with pytest.raises(ValueError, match="message"):
            ask()


def test_a_todo() -> None:
    request = messages.add_todo(
        EntityType.DEAL, 121, DEADLINE, title="Call", responsible_id=7, reminders_minutes=[0, 15]
    )

    assert {
        "ownerTypeId": 2, "ownerId": 121, "deadline": DEADLINE, "title": "Call", "responsibleId": 7, "pingOffsets": [0, 15],
    } == request.params  # fmt: skip
    assert 999 == request.decode({"id": 999})
    with pytest.raises(UnreadableRow, match=r"crm\.activity\.todo\.add"):
        request.decode({"id": None})
    with pytest.raises(ValueError, match="without a zone"):
        messages.add_todo(EntityType.DEAL, 121, datetime(2026, 2, 2))


def test_a_comment() -> None:
    request = messages.add_comment(EntityType(156), 5, "Text")

    assert {"fields": {"ENTITY_TYPE": "dynamic_156", "ENTITY_ID": 5, "COMMENT": "Text"}} == request.params
    assert 17 == request.decode(17)


# ---------------------------------------------------------------- the probe


def test_what_a_portal_says_of_itself() -> None:
    state = probe.method_state("crm.deal.list").decode({"isExisting": True, "isAvailable": False})

    assert datetime(2024, 8, 5, 6, 2, 13, tzinfo=UTC) == probe.server_time().decode("2024-08-05T09:02:13+03:00")
    assert ("crm", "user") == probe.scopes().decode(["crm", "user"])
    assert (True, False) == (state.exists, state.available)
    assert [True, False] == [probe.is_admin().decode(result) for result in (True, "N")]
    with pytest.raises(UnreadableRow, match=r"server\.time"):
        probe.server_time().decode("now")
