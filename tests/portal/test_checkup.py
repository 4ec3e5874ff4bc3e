"""doctor's first questions fit one request."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from b24metrics.clock import HandClock
from b24metrics.errors import NotAuthorised
from b24metrics.portal import AsyncPortal, Portal
from tests.portal.fakes import ADDRESS, Script, Toy, reply


@pytest.fixture
def toy(clock: HandClock) -> Toy:
    made = Toy(clock, takes_time=False)
    made.methods = {
        "server.time": lambda _: (clock.at + timedelta(seconds=90)).astimezone().isoformat(timespec="seconds"),
        "profile": lambda _: {
            "ID": "7",
            "ADMIN": False,
            "NAME": "Ann",
            "LAST_NAME": "Lee",
            "TIME_ZONE": "Europe/Moscow",
        },
        "scope": lambda _: ["crm", "user", "telephony", "tasks", "department"],
        "method.get": lambda params: {"isExisting": True, "isAvailable": params["name"] != "crm.x"},
    }
    return made


def test_a_portal_tells_who_we_are_and_what_is_missing(toy: Toy, clock: HandClock) -> None:
    """Clock skew, identity, scopes (a wider one covers a narrower), methods; one request."""
    with Portal(ADDRESS, clock=clock, transport=toy.transport) as portal:
        found = portal.check_up(["crm", "user_brief", "task", "telephony", "im"], ["crm.item.list", "crm.x"])
    assert 1 == toy.requests
    assert ("portal.example", 7, "Ann Lee", False, "Europe/Moscow") == (
        found.host, found.user_id, found.name, found.admin, found.zone,
    )  # fmt: skip
    assert 90 == pytest.approx(found.skew_seconds, abs=1)
    assert ("im",) == found.missing
    assert {"crm.item.list": True, "crm.x": False} == found.methods


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("profile", []),
        ("profile", {"error": "ACCESS_DENIED", "error_description": "no"}),
        ("scope", {"error": "ERROR_METHOD_NOT_FOUND", "error_description": "no"}),
        ("server.time", "nonsense"),
        ("server.time", None),
        ("method.get", {"error": "ERROR_METHOD_NOT_FOUND", "error_description": "no"}),
    ],
)
def test_what_a_portal_does_not_tell_stays_unknown(method: str, answer: Any, toy: Toy, clock: HandClock) -> None:
    """One missing part does not spoil the others."""
    toy.methods[method] = lambda _: {"result": answer} if not isinstance(answer, dict) else answer

    async def run() -> Any:
        async with AsyncPortal(ADDRESS, clock=clock, transport=toy.transport) as portal:
            return await portal.check_up(["crm", "im"], ["crm.item.list"])

    found = asyncio.run(run())
    assert (method == "profile") == (found.user_id is None)
    assert (method == "server.time") == (found.server_at is None)
    assert (method == "scope") == (found.scopes is None)
    assert (() if method == "scope" else ("im",)) == found.missing
    assert (method == "method.get") == (found.methods == {})


def test_a_wrong_webhook_is_told(clock: HandClock) -> None:
    """Not a check-up full of unknowns."""
    script = Script(reply({"error": "INVALID_CREDENTIALS", "error_description": "Invalid request credentials"}, 401))
    with (
        Portal(ADDRESS, clock=clock, transport=script.transport) as portal,
        pytest.raises(NotAuthorised, match="webhook"),
    ):
        portal.check_up()
