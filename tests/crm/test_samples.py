"""The vendor's own samples, read by everything that asks the method which sent them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from b24metrics.crm import spoken
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
    found = read(question, json.loads(path.read_text(encoding="utf-8")))

    assert [] != found
    assert None not in found
