"""Requests, listings and batches are values."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from b24metrics.errors import NotAllowed, UnreadableRow
from b24metrics.portal import Answer, Batch, Listing, Ref, Request, Timing


def test_a_request_reads_its_result_as_it_came_unless_told_otherwise() -> None:
    """decode is the identity by default."""
    assert {"a": 1} == Request("profile").read(Answer({"a": 1}))
    assert 7 == Request("x", decode=int).read(Answer("7"))


def test_a_request_may_want_the_whole_answer() -> None:
    """total, next and timing are not part of the result."""
    request = Request("x", decode=lambda answer: (answer.result, answer.total, answer.timing), whole=True)
    assert ([], 5, Timing(duration=1.0)) == request.read(Answer([], 5, timing=Timing(duration=1.0)))


class Person(BaseModel):
    phone: int
    name: str


@pytest.mark.parametrize(
    ("decode", "fields"),
    [
        (Person.model_validate, ("phone", "name")),
        (lambda row: row["PHONE"], ("PHONE",)),
        (lambda row: int(row["phone"]), ()),
        (lambda row: row.phone, ()),
        (lambda row: row["phone"] + 1, ()),
    ],
)
def test_what_does_not_decode_names_fields_and_never_values(decode: Any, fields: tuple[str, ...]) -> None:
    """Values are personal data."""
    with pytest.raises(UnreadableRow) as refused:
        Request("user.get", decode=decode).read(Answer({"phone": "+7 912 345", "name": ["Ann Lee"]}))
    error = refused.value
    assert ("user.get", fields) == (error.method, error.fields)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "912" not in str(error)
    assert "Ann" not in str(error)


def test_a_decoder_may_refuse_in_words_of_its_own() -> None:
    """Typed errors pass; a row's own complaint gets the method it lacks."""

    def refuse(_: Any) -> Any:
        raise NotAllowed("no", method="x")

    def complain(_: Any) -> Any:
        raise UnreadableRow("record 5: STAGE_ID is no text", record_id=5, fields=("STAGE_ID",))

    with pytest.raises(NotAllowed):
        Request("x", decode=refuse).read(Answer(1))
    with pytest.raises(UnreadableRow) as refused:
        Request("crm.deal.list", decode=complain).read(Answer(1))
    assert ("crm.deal.list", "5", ("STAGE_ID",)) == (
        refused.value.method,
        refused.value.record_id,
        refused.value.fields,
    )


def test_a_fault_of_ours_is_not_taken_for_a_bad_record() -> None:
    """A decoder that runs out of memory, or is interrupted, is no unreadable record."""

    def stop(_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Request("x", decode=stop).read(Answer(1))


def test_a_listing_is_built_step_by_step_and_never_changed() -> None:
    """where, selecting, having, after, upto give new listings."""
    bare: Listing[Any] = Listing("crm.item.list")
    built = (
        bare.where({"a": 1}).where({"b": 2, "a": 3}).selecting("id", "title").having(entityTypeId=2).after(5).upto(9)
    )
    assert Listing("crm.item.list") == bare
    assert ({"a": 3, "b": 2}, ("id", "title"), {"entityTypeId": 2}, 5, 9) == (
        built.filter, built.select, built.params, built.floor, built.ceiling,
    )  # fmt: skip
    assert built.upto(None).ceiling is None


@pytest.mark.parametrize("nothing", [[], (), set(), frozenset()])
def test_a_condition_without_values_is_refused(nothing: Any) -> None:
    """On the wire it would match everything instead of nothing."""
    with pytest.raises(ValueError, match="match everything"):
        Listing("crm.deal.list").where({"@ID": nothing})


def test_a_reference_is_written_as_the_portal_reads_it() -> None:
    """$result[name][step]…"""
    assert "$result[deals][0][ASSIGNED_BY_ID]" == str(Ref("deals")[0]["ASSIGNED_BY_ID"])
    assert "$result[c00][items][49][id]" == Ref("deals")["items"][49]["id"].spelled("c00")


def test_nameless_requests_are_numbered() -> None:
    """Batch.of keeps their order."""
    assert {"0": Request("a"), "1": Request("b")} == Batch.of([Request("a"), Request("b")]).requests


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("crm.deal.list", True), ("crm.deal.get", True), ("server.time", True), ("timeman.settings", True),
        ("crm.address.list", True), ("crm.enum.addresstype", True), ("rest.documentation.openapi", True),
        ("im.notify.read.list", True), ("batch", True), ("user.status", True), ("voximplant.statistic.get", True),
        ("crm.deal.add", False), ("crm.deal.update", False), ("crm.entity.mergeBatch", False), ("im.notify", False),
        ("im.notify.system.add", False), ("telephony.externalCall.finish", False), ("event.offline.get", False),
        ("tasks.task.result.addFromComment", False), ("task.startwatch", False), ("timeman.open", False),
        ("crm.item.payment.delivery.setDelivery", False), ("im.dialog.read", False), ("event.bind", False),
    ],
)  # fmt: skip
def test_a_write_is_known_by_its_name(method: str, expected: bool) -> None:
    """So that nobody doubles a deal because he forgot to say so; what is said goes before."""
    assert expected is Request(method).repeatable
    assert Request(method, repeatable=True).repeatable
    assert not Request(method, repeatable=False).repeatable
