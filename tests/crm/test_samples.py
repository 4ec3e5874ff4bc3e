"""The vendor's own samples, read by everything that asks the method which sent them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from b24metrics.crm import spoken
from b24metrics.crm.activities import PhoneCall, Task
from b24metrics.crm.billing import ProductRow
from b24metrics.crm.directories import Pipeline, SmartType, UserField
from b24metrics.crm.entity import Entity, inside
from b24metrics.crm.people import User, Workday
from b24metrics.crm.sales import Deal
from b24metrics.portal.dialects import dialect_of, rows_of
from b24metrics.portal.request import Listing, Request
from tests.conftest import samples_folder

FOLDER = samples_folder()


def answers() -> Iterator[Any]:
    """Success samples of methods that we speak, each with every question that asks the method."""
    if FOLDER is None:
        yield pytest.param(None, None, marks=pytest.mark.skip(reason="no folder of vendor samples: set B24_SAMPLES"))
        return
    for sample in json.loads((FOLDER / "index.json").read_text(encoding="utf-8")):
        if sample["kind"] != "success":
            continue
        questions = [each for each in (*spoken.READS, *spoken.WRITES) if each.method == sample["method"]]
        for number, question in enumerate(questions):
            yield pytest.param(FOLDER / sample["file"], question, id=f"{sample['file']}-{number}")


def read(question: Request[Any] | Listing[Any], sample: Any) -> list[Any]:
    """What a question makes of a sample; a few samples are a bare row without an envelope."""
    if "result" not in sample:
        assert isinstance(question, Listing)
        return [question.decode(sample)]
    if isinstance(question, Request):
        return [question.decode(sample["result"])]
    return [question.decode(row) for row in rows_of(dialect_of(question.method), sample["result"])]


@pytest.mark.parametrize(("path", "question"), list(answers()))
def test_every_success_sample_that_we_speak_is_read(path: Path, question: Request[Any] | Listing[Any]) -> None:
    """Whatever the vendor shows as an answer becomes entities, whichever entity is asked for by the method."""
    sample = json.loads(path.read_text(encoding="utf-8"))

    found = read(question, sample)

    assert found or not inside(sample, "result")


# Methods that we do not ask, whose answers hold records that we read: more of the vendor's own examples.
KIN: tuple[tuple[str, tuple[str, ...], type[Entity]], ...] = (
    ("crm.item.add", ("item",), Deal),
    ("crm.item.update", ("item",), Deal),
    ("crm.item.import", ("item",), Deal),
    ("crm.category.add", ("category",), Pipeline),
    ("crm.category.update", ("category",), Pipeline),
    ("crm.item.productrow.add", ("productRow",), ProductRow),
    ("crm.item.productrow.update", ("productRow",), ProductRow),
    ("crm.item.productrow.set", ("productRows",), ProductRow),
    ("userfieldconfig.add", ("field",), UserField),
    ("userfieldconfig.update", ("field",), UserField),
    ("tasks.task.add", ("task",), Task),
    ("tasks.task.update", ("task",), Task),
    ("tasks.task.complete", ("task",), Task),
    ("tasks.task.defer", ("task",), Task),
    ("tasks.task.renew", ("task",), Task),
    ("timeman.open", (), Workday),
    ("timeman.pause", (), Workday),
    ("crm.type.add", ("type",), SmartType),
    ("crm.type.update", ("type",), SmartType),
    ("ONVOXIMPLANTCALLEND", ("data",), PhoneCall),
    ("ONUSERADD", ("data",), User),
)


def kin() -> Iterator[Any]:
    """Their samples."""
    if FOLDER is None:
        yield pytest.param(
            None, (), None, marks=pytest.mark.skip(reason="no folder of vendor samples: set B24_SAMPLES")
        )
        return
    for sample in json.loads((FOLDER / "index.json").read_text(encoding="utf-8")):
        for method, keys, entity in KIN:
            if sample["method"] == method and sample["kind"] == "success":
                yield pytest.param(FOLDER / sample["file"], keys, entity, id=sample["file"])


@pytest.mark.parametrize(("path", "keys", "entity"), list(kin()))
def test_samples_of_other_methods_hold_the_same_records(
    path: Path, keys: tuple[str, ...], entity: type[Entity]
) -> None:
    """A deal is a deal, whichever method sends it, and so is a user in an event."""
    sample = json.loads(path.read_text(encoding="utf-8"))
    found = inside(sample.get("result", sample), *keys)
    rows = found if isinstance(found, list) else [found]
    if entity is PhoneCall:
        rows = [{"ID": "1", **row} for row in rows]  # the event comes before the row has a number

    assert all(isinstance(entity.read(row), entity) for row in rows)
    assert rows


def in_other_dress(value: Any) -> Any:
    """The same JSON with every number written as text, and every null as an empty text."""
    if isinstance(value, dict):
        return {key: in_other_dress(item) for key, item in value.items()}
    if isinstance(value, list):
        return [in_other_dress(item) for item in value]
    if value is None:
        return ""
    return value if isinstance(value, (bool, str)) else str(value)


AS_IT_CAME = {"extra", "user_fields", "settings", "files", "exclusions", "provider_params"}


def core(found: Any) -> Any:
    """What was read, without what is kept as it came."""
    if isinstance(found, Entity):
        return core(found.model_dump())
    if isinstance(found, dict):
        return {key: core(value) for key, value in found.items() if key not in AS_IT_CAME}
    return [core(one) for one in found] if isinstance(found, (list, tuple)) else found


@pytest.mark.parametrize(("path", "question"), list(answers()))
def test_samples_in_another_dress_are_the_same_records(path: Path, question: Request[Any] | Listing[Any]) -> None:
    """Portals differ in how they write numbers and nothings; the records do not."""
    sample = json.loads(path.read_text(encoding="utf-8"))

    assert core(read(question, sample)) == core(read(question, in_other_dress(sample)))
