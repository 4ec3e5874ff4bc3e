"""The list of methods that we speak is complete."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

import pytest

from b24metrics.crm import activities, billing, clients, directories, messages, people, probe, sales, spoken
from b24metrics.portal.dialects import DIALECTS, page_request
from b24metrics.portal.request import Listing, Request

ROOMS = (activities, billing, clients, directories, messages, people, probe, sales)
QUESTIONS = (*spoken.READS, *spoken.WRITES)


def askers() -> Iterator[Callable[..., Any]]:
    """Public functions that make a Request or a Listing."""
    for room in ROOMS:
        for name, function in vars(room).items():
            if name.startswith("_") or not inspect.isfunction(function) or function.__module__ != room.__name__:
                continue
            answer = get_type_hints(function).get("return")
            if getattr(answer, "__origin__", answer) in {Request, Listing}:
                yield function


@pytest.mark.parametrize(
    "asker", list(askers()), ids=lambda asker: f"{asker.__module__.split('.')[-1]}.{asker.__name__}"
)
def test_every_question_stands_in_the_table(asker: Callable[..., Any]) -> None:
    """A new question brings its samples with it: without a line in spoken.py they would not be read."""
    source = inspect.getsource(spoken)

    assert f"{asker.__module__.split('.')[-1]}.{asker.__name__}(" in source


@pytest.mark.parametrize("question", spoken.READS, ids=lambda question: question.method)
def test_listings_are_those_of_the_portal_room(question: Request[Any] | Listing[Any]) -> None:
    """What lists records has a dialect, and that dialect can express our question."""
    if isinstance(question, Listing):
        assert question.method.casefold() in DIALECTS
        assert question.method == page_request(question).method
    assert question.method in spoken.METHODS
