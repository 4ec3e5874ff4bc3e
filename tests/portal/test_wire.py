"""Parameters reach PHP as they were meant; envelopes are read in every shape they come in."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24metrics.errors import NotAllowed, UnreadableReply
from b24metrics.portal import Answer, Ref, Timing, wire
from b24metrics.portal.refusals import Cure, Refusal
from b24metrics.portal.wire import (
    Heard,
    command,
    count_leaves,
    plain,
    query,
    read_answer,
    read_batch,
    resolve,
    timing,
)
from tests.conftest import samples_folder
from tests.portal.fakes import parse_str

MOSCOW = timezone(timedelta(hours=3))


class Mark(enum.StrEnum):
    WON = "S"


# ---------------------------------------------------------------- asking


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ""),
        ({"start": -1}, "start=-1"),
        ({"filter": {">ID": 10, "@STAGE_ID": ["NEW", "WON"]}}, "filter%5B%3EID%5D=10&filter%5B%40STAGE_ID%5D%5B%5D=NEW&filter%5B%40STAGE_ID%5D%5B%5D=WON"),
        ({"filter": {"<=ID": 7}}, "filter%5B%3C%3DID%5D=7"),
        ({"select": ["*", "UF_*"]}, "select%5B%5D=%2A&select%5B%5D=UF_%2A"),
        ({"order": {"ID": "ASC"}}, "order%5BID%5D=ASC"),
        ({"q": "a&b=c d+e%#ж"}, "q=a%26b%3Dc%20d%2Be%25%23%D0%B6"),
        ({"a": True, "b": False, "c": None}, "a=1&b=0&c="),
        ({"sum": Decimal("19999.90"), "f": 0.1, "g": 1e-7}, "sum=19999.90&f=0.1&g=0.0000001"),
        ({"on": date(2026, 3, 1)}, "on=2026-03-01"),
        ({"at": datetime(2026, 3, 1, 9, 0, 5, 999, MOSCOW)}, "at=2026-03-01T09%3A00%3A05%2B03%3A00"),
        ({"at": datetime(2026, 3, 1, tzinfo=UTC)}, "at=2026-03-01T00%3A00%3A00%2B00%3A00"),
        ({"s": Mark.WON, "ids": {3, 1, 2}}, "s=S&ids%5B%5D=1&ids%5B%5D=2&ids%5B%5D=3"),
        ({"rows": [{"a": 1, "b": 2}, {"a": 3}]}, "rows%5B0%5D%5Ba%5D=1&rows%5B0%5D%5Bb%5D=2&rows%5B1%5D%5Ba%5D=3"),
        ({"filter": {"0": {"logic": "OR", "0": {"x": 1}}}}, "filter%5B0%5D%5Blogic%5D=OR&filter%5B0%5D%5B0%5D%5Bx%5D=1"),
        ({"select": [], "filter": {}}, ""),
    ],
)  # fmt: skip
def test_parameters_are_written_as_php_reads_them(params: Mapping[str, Any], expected: str) -> None:
    """Brackets and operators are percent-encoded, so that the first = splits key and value."""
    assert expected == query(params)


words = st.text(st.characters(exclude_characters="[]", exclude_categories=["Cs"]), min_size=1, max_size=8)
scalars = st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.booleans() | st.none()
trees = st.recursive(
    scalars,
    lambda inner: st.dictionaries(words, inner, min_size=1, max_size=4) | st.lists(inner, min_size=1, max_size=4),
    max_leaves=12,
)


def as_php(value: Any) -> Any:
    """What PHP makes of a value: everything text, lists are maps that count from 0."""
    if isinstance(value, dict):
        return {key: as_php(item) for key, item in value.items()}
    if isinstance(value, list):
        return {str(n): as_php(item) for n, item in enumerate(value)}
    return (
        {None: "", True: "1", False: "0"}.get(value, str(value))
        if not isinstance(value, int) or isinstance(value, bool)
        else str(value)
    )


@given(st.dictionaries(words, trees, max_size=4))
def test_what_is_written_can_be_read_back(params: dict[str, Any]) -> None:
    """Any nesting, any characters: parse_str of the query is the parameters."""
    assert as_php(params) == parse_str(query(params))


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"at": datetime(2026, 3, 1)}, ValueError),
        ({"x": math.nan}, ValueError),
        ({"x": math.inf}, ValueError),
        ({"x": Decimal("NaN")}, ValueError),
        ({"x": object()}, TypeError),
        ({"x": b"bytes"}, TypeError),
        ({("a",): 1}, TypeError),
        ({"a[b]": 1}, ValueError),
        ({"x": Ref("d")[0]["ID"]}, ValueError),
    ],
)
def test_what_has_no_meaning_on_the_wire_is_refused(value: Any, error: type[Exception]) -> None:
    """Before anything is sent; an instant without a zone would be read in the portal's own."""
    with pytest.raises(error):
        plain(value)
    with pytest.raises(error):
        query(value)


def test_an_empty_condition_is_not_dropped_in_silence() -> None:
    """PHP would not see it, and the filter would match everything."""
    with pytest.raises(ValueError, match="empty"):
        query({"filter": {"@ID": []}})


def test_a_command_carries_references() -> None:
    """Written so that the portal finds them after decoding."""
    told = command("user.get", {"ID": Ref("deals")[0]["ASSIGNED_BY_ID"]}, {"deals": "c00"})
    assert "user.get?ID=%24result%5Bc00%5D%5B0%5D%5BASSIGNED_BY_ID%5D" == told
    assert {"ID": "$result[c00][0][ASSIGNED_BY_ID]"} == parse_str(told.partition("?")[2])
    assert "server.time" == command("server.time", {})


@pytest.mark.parametrize("text", ["$result[c00][0][ID]", "see $total[x]", "$error[a]"])
def test_text_that_looks_like_a_reference_does_not_become_one(text: str) -> None:
    """A comment of a client must not be replaced by another client's data."""
    with pytest.raises(ValueError, match="reference"):
        command("crm.timeline.comment.add", {"fields": {"COMMENT": text}})
    for _ in range(2):
        assert query({"select": ["ID", text]})  # harmless outside of a batch
        with pytest.raises(ValueError, match="reference"):
            command("crm.deal.list", {"select": ["ID", text]})


def test_leaves_are_counted() -> None:
    """PHP's max_input_vars counts them too."""
    assert 5 == count_leaves({"a": 1, "b": {"c": [1, 2, 3]}, "d": 2})


@pytest.mark.parametrize(
    ("ref", "expected"),
    [(Ref("a"), {"items": [{"id": 5}]}), (Ref("a")["items"][0]["id"], 5), (Ref("a")["items"]["0"]["id"], 5)],
)
def test_a_reference_is_resolved(ref: Ref, expected: Any) -> None:
    """Numbers may be given as text, as PHP does."""
    assert expected == resolve(ref, {"items": [{"id": 5}]})


@pytest.mark.parametrize(
    "ref", [Ref("a")["items"][1], Ref("a")["items"]["id"], Ref("a")["x"], Ref("a")["items"][0]["id"]["y"]]
)
def test_a_reference_to_nothing_is_told(ref: Ref) -> None:
    """The portal would put in the deepest thing it found."""
    with pytest.raises(LookupError):
        resolve(ref, {"items": [{"id": 5}]})


# ---------------------------------------------------------------- hearing


def hear(body: Any, status: int = 200) -> Answer | Refusal:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_answer(Heard(status, raw), method="crm.deal.list", host="portal.example")


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (rb'"\u0421\u0434\u0435\u043b\u043a\u0430 \ud83d\ude00"', "Сделка 😀"),
        (rb'"half \ud83d"', "half \ud83d"),
        (b"[1e400, -0, 0.1, 1.005, 9223372036854775807, -9223372036854775808]", [math.inf, 0, 0.1, 1.005, (1 << 63) - 1, -(1 << 63)]),
        (b'{"a": 1, "a": "2"}', {"a": "2"}),
    ],
)  # fmt: skip
def test_json_is_read_alike_whatever_parses_it(
    quick: bool, written: bytes, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escaped texts, a text that was cut in the middle of a character, numbers to the last digit, repeated keys."""
    if not quick:
        monkeypatch.setattr(wire, "_PARSERS", (json.loads,))
    told = hear(b'{"result": %s}' % written)
    assert isinstance(told, Answer)
    assert expected == told.result
    assert type(expected) is type(told.result)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"result": True}, Answer(True)),
        ({"result": None}, Answer(None)),
        ({"result": []}, Answer([])),
        ({"result": [1], "total": "7", "next": 50}, Answer([1], 7, 50)),
        ({"result": [], "total": 0, "error": ""}, Answer([], 0)),
        ({"result": {"items": []}, "error": None}, Answer({"items": []})),
        ({"result": 1, "time": []}, Answer(1)),
        ({"result": 1, "time": {"operating": "0.5", "duration": 0, "start": 1}}, Answer(1, timing=Timing(duration=0.0, operating=0.5))),
    ],
)  # fmt: skip
def test_answers_are_read(body: Any, expected: Answer) -> None:
    """Whatever is missing or empty."""
    assert expected == hear(body)
    assert expected == hear(body, 500)  # the status does not decide


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (1_767_000_600, 1_767_000_600.0),
        ("1767000600", 1_767_000_600.0),
        ("2025-12-29T09:30:00+00:00", 1_767_000_600.0),
        ("2025-12-29T12:30:00+03:00", 1_767_000_600.0),
        ("soon", None),
        ("2025-12-29T12:30:00", None),
        (None, None),
        ([], None),
        (True, None),
        ("1e999", None),
    ],
)
def test_the_moment_of_forgiveness_is_read(told: Any, expected: float | None) -> None:
    """A number as a rule, ISO text on one page of the vendor."""
    assert expected == timing({"operating_reset_at": told}).reset_at


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"<html><body>502 Bad Gateway</body></html>", "web page"),
        (b"\n <!DOCTYPE html>", "web page"),
        (b'{"result": [{"ID": "1"', "cut off"),
        (b"", "empty"),
        (b"Service unavailable", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "cut off"),
        (b'{"hello": 1}', "neither result nor error"),
        (b"[]", "neither result nor error"),
        (b'"text"', "neither result nor error"),
        (b"null", "neither result nor error"),
        (b'{"error": null}', "neither result nor error"),
    ],
)
def test_what_is_no_envelope_is_never_taken_for_an_empty_answer(body: bytes, word: str) -> None:
    """UnreadableReply says what came instead."""
    with pytest.raises(UnreadableReply, match=word) as refused:
        hear(body, 502)
    assert 502 == refused.value.status


def test_an_excerpt_does_not_quote_the_secret() -> None:
    """Proxies print the address that they could not reach."""
    page = b"<html>The requested URL /rest/7/k3y/crm.deal.list was not found</html>"
    with pytest.raises(UnreadableReply) as refused:
        read_answer(Heard(404, page), method="m", host="h", scrub=lambda text: text.replace("k3y", "*"))
    assert "k3y" not in refused.value.excerpt
    assert "not found" in refused.value.excerpt


def test_a_reply_that_is_too_large_is_refused() -> None:
    """It was cut by us, so it cannot be read."""
    with pytest.raises(UnreadableReply, match="larger than allowed"):
        read_answer(Heard(200, b'{"result":1}', cut=True), method="m", host="h")


# ---------------------------------------------------------------- batches

METHODS = {"c00": "crm.deal.list", "c01": "user.get", "c02": "crm.lead.list"}


def hear_batch(result: Any) -> dict[str, Answer | Refusal]:
    return read_batch(Answer(result), METHODS, status=200, host="portal.example")


def test_a_batch_is_taken_apart() -> None:
    """Results, totals, next and time by key; an error only in result_error."""
    parts = hear_batch(
        {
            "result": {"c00": [1], "c01": None},
            "result_error": {"c02": {"error": "", "error_description": "Access denied."}},
            "result_total": {"c00": 120},
            "result_next": {"c00": 50},
            "result_time": {"c00": {"duration": 0.5, "operating": 3, "operating_reset_at": 9}},
        }
    )
    assert Answer([1], 120, 50, Timing(duration=0.5, operating=3.0, reset_at=9.0)) == parts["c00"]
    assert Answer(None) == parts["c01"]
    assert isinstance(parts["c02"], Refusal)
    assert isinstance(parts["c02"].error, NotAllowed)
    assert "crm.lead.list" == parts["c02"].error.method


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"result": [], "result_error": [], "result_total": [], "result_next": [], "result_time": []}, {}),
        ({"result": {"c00": 1}}, {"c00": Answer(1)}),
        ({"result": [1, 2, 3], "result_total": [7, 8, 9]}, {"c00": Answer(1, 7), "c01": Answer(2, 8), "c02": Answer(3, 9)}),
        ({"result": {"c02": False}, "result_total": {"c02": "0"}}, {"c02": Answer(False, 0)}),
        ({"result": None}, {}),
    ],
)  # fmt: skip
def test_the_maps_of_a_batch_come_in_every_shape(result: Any, expected: dict[str, Answer]) -> None:
    """[] for an empty map, a list where keys count from 0, or not at all."""
    assert expected == hear_batch(result)


@pytest.mark.parametrize(
    "told",
    [
        "QUERY_LIMIT_EXCEEDED",
        {"error": "QUERY_LIMIT_EXCEEDED"},
        {"error": "query_limit_exceeded", "error_description": 5},
    ],
)
def test_an_error_inside_a_batch_comes_in_every_shape(told: Any) -> None:
    """A map as a rule, or the bare code."""
    part = hear_batch({"result": [], "result_error": {"c00": told}})["c00"]
    assert isinstance(part, Refusal)
    assert Cure.PAUSE is part.cure


@pytest.mark.parametrize("result", [[], None, True, "x"])
def test_a_batch_without_results_is_unreadable(result: Any) -> None:
    """Not fifty empty answers."""
    with pytest.raises(UnreadableReply):
        hear_batch(result)


# ---------------------------------------------------------------- the vendor's samples


def samples(kind: str) -> list[Any]:
    folder = samples_folder()
    if folder is None:
        return [
            pytest.param(None, "", marks=pytest.mark.skip(reason="the vendor's samples are not here: set B24_SAMPLES"))
        ]
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return [
        pytest.param(folder / each["file"], each["method"], id=each["file"])
        for each in index
        if each["kind"] == kind and not each["method"].startswith(("ON", "_events"))
    ]


# Pages whose sample shows a part of the answer, or a module of its own that forgets the envelope.
PARTIAL = {
    "crm.activity.layout.blocks.delete/1.json", "crm.activity.layout.blocks.set/1.json", "department.get/2.json",
    "tasks.api.scrum.epic.add/1.json", "tasks.api.scrum.epic.get/1.json", "tasks.api.scrum.epic.getFields/1.json",
    "tasks.api.scrum.epic.list/1.json", "tasks.api.scrum.epic.update/1.json", "tasks.api.scrum.sprint.list/1.json",
    "tasks.api.scrum.task.getFields/1.json",
}  # fmt: skip


@pytest.mark.parametrize(("path", "method"), samples("success"))
def test_the_vendors_answers_are_answers(path: Any, method: str) -> None:
    """Every success sample of a protocol or method page, but for the partial ones."""
    body = path.read_bytes()
    name = f"{path.parent.name}/{path.name}"
    if name in PARTIAL:
        with pytest.raises(UnreadableReply):
            read_answer(Heard(200, body), method=method, host="portal.example")
        return
    told = read_answer(Heard(200, body), method=method, host="portal.example")
    assert isinstance(told, Answer)
    assert told.result == json.loads(body)["result"]
