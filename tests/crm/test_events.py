"""Notices of the portal and the offline queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24metrics.crm.events import MOST_FIELDS, read_notice, take_offline
from b24metrics.portal.address import Secret
from tests.conftest import samples_folder

FOLDER = samples_folder()

TOKEN = "51856fefc120afa4b628cc82d3935cce"


def posted(payload: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """A payload as PHP posts it."""
    if isinstance(payload, dict):
        for key, value in payload.items():
            yield from posted(value, f"{path}[{key}]" if path else key)
    elif isinstance(payload, list):
        for number, value in enumerate(payload):
            yield from posted(value, f"{path}[{number}]")
    else:
        yield path, "" if payload is None else str(payload)


@pytest.mark.skipif(FOLDER is None, reason="the vendor's response examples are not here")
def test_every_event_of_the_vendor_is_read() -> None:
    """The posts on the vendor's pages of events become notices with their name and token."""
    assert FOLDER is not None
    read = 0
    for path in sorted(FOLDER.glob("ON*/*.json")):
        payload = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(payload, dict) or "event" not in payload:
            continue
        notice = read_notice(urlencode(list(posted(payload))).encode())
        fields = payload.get("data", {})
        places = [fields.get(name) for name in ("FIELDS", "FIELDS_AFTER", "FIELDS_BEFORE")] if fields else []
        number = next((place["ID"] for place in [*places, fields] if isinstance(place, dict) and "ID" in place), None)
        told = payload.get("auth", {}).get("application_token", "")

        assert payload["event"].upper() == notice.event
        assert (int(number) if str(number).isdecimal() else None) == notice.record_id
        assert told == notice.token.reveal()
        read += 1
    assert read > 20


def test_a_notice_names_a_record() -> None:
    """Event, record, domain; the token is not shown."""
    body = urlencode(
        {"event": "onCrmDealUpdate", "data[FIELDS][ID]": "12", "auth[application_token]": TOKEN, "auth[domain]": "a.b"}
    )
    notice = read_notice(body.encode())

    assert ("ONCRMDEALUPDATE", 12, "a.b") == (notice.event, notice.record_id, notice.domain)
    assert TOKEN not in repr(notice)


@pytest.mark.parametrize(
    ("token", "known", "genuine"),
    [(TOKEN, [TOKEN], True), (TOKEN, ["x" * 32, TOKEN], True), ("", [""], False), (TOKEN[:-1], [TOKEN], False), (TOKEN, [], False)],
)  # fmt: skip
def test_a_notice_is_believed_by_its_token(token: str, known: list[str], genuine: bool) -> None:
    """Any of the known tokens will do; an empty one never does."""
    notice = read_notice(urlencode({"event": "ONCRMDEALADD", "auth[application_token]": token}).encode())

    assert genuine is notice.is_from([Secret(one) for one in known])


@pytest.mark.parametrize(
    "body",
    [b"", b"event=", b"{}", b"\xff\xfe", b"event=<script>", b"event=" + b"A" * 101, b"a=1&" * (MOST_FIELDS + 1) + b"event=A"],
)  # fmt: skip
def test_what_is_no_notice_is_refused(body: bytes) -> None:
    """Without a name there is nothing to believe; the refusal quotes nothing."""
    with pytest.raises(ValueError, match=r"^not a notice of a portal$"):
        read_notice(body)


@given(st.binary(max_size=300))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """Nothing that can be posted raises anything else."""
    with suppress(ValueError):
        assert read_notice(body).event


def test_the_offline_queue_is_read() -> None:
    """Records by event; data may be false, and the reservation's name null."""
    request = take_offline()
    taken = request.decode(
        {
            "process_id": "38vcskdppgkkdzfrduc6amixahgo43z5",
            "events": [
                {
                    "ID": "1", "TIMESTAMP_X": "2026-03-02T12:00:00+03:00", "EVENT_NAME": "ONCRMDEALDELETE",
                    "EVENT_DATA": {"FIELDS": {"ID": 7}}, "EVENT_ADDITIONAL": False, "MESSAGE_ID": "m1",
                },
                {"ID": "2", "TIMESTAMP_X": "", "EVENT_NAME": "ONUSERADD", "EVENT_DATA": False, "MESSAGE_ID": "m2"},
            ],
        }
    )  # fmt: skip

    assert ("38vcskdppgkkdzfrduc6amixahgo43z5", ["m1", "m2"]) == (
        taken.process_id,
        [one.message_id for one in taken.events],
    )
    assert [7, None] == [one.record_id for one in taken.events]
    empty = request.decode({"process_id": None, "events": []})
    assert (None, ()) == (empty.process_id, empty.events)


def test_a_reserved_queue_may_be_asked_again() -> None:
    """A lost answer loses nothing while events are only reserved; events that are taken for good are not asked twice."""
    assert (True, False) == (take_offline().repeatable, take_offline(reserve=False).repeatable)
