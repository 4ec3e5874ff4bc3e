"""An application's credential in a file: read, kept up to date, shared, never told."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock

from b24metrics.clock import HandClock
from b24metrics.errors import ConfigError, NotAuthorised
from b24metrics.portal import Portal
from b24metrics.portal.keyfile import read_application
from tests.portal.test_oauth import READ, Server

CARD = {
    "client_id": "local.123", "client_secret": "clientsecretvalue", "access_token": "a1-accesssecret",
    "refresh_token": "r1-refreshsecret", "client_endpoint": "https://portal.example/rest/", "member_id": "m" * 32,
    "application_token": "t" * 32, "note": "what people wrote beside it",
}  # fmt: skip


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "application.json"
    path.write_text(json.dumps(CARD), encoding="utf-8")
    return path


def asked(path: Path, server: Server, clock: HandClock) -> object:
    with Portal(read_application(path).credential, clock=clock, transport=httpx.MockTransport(server)) as client:
        return client.fetch(READ)


def test_new_tokens_are_kept_in_the_file(card: Path, clock: HandClock) -> None:
    """The refresh token is spent: the next process must find the new one, and nobody else may read it."""
    server = Server()
    assert {"ID": "7"} == asked(card, server, clock)

    kept = json.loads(card.read_text(encoding="utf-8"))
    assert ("a2-accesssecret", "r2-refreshsecret") == (kept["access_token"], kept["refresh_token"])
    assert CARD["note"] == kept["note"]
    assert 0o600 == stat.S_IMODE(card.stat().st_mode)
    assert {"ID": "7"} == asked(card, server, clock)
    assert 1 == server.refreshes


def test_tokens_of_another_process_are_taken(card: Path, clock: HandClock) -> None:
    """Two programs share the file: the second one must not spend a token that is spent already."""
    server = Server()
    second = read_application(card).credential
    asked(card, server, clock)

    with Portal(second, clock=clock, transport=httpx.MockTransport(server)) as client:
        assert {"ID": "7"} == client.fetch(READ)
    assert 1 == server.refreshes


def test_only_one_process_refreshes_at_a_time(card: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two refreshes at the same instant one would spend the other's token: the later one waits for what the first gets."""
    server = Server()
    other = FileLock(f"{card}.lock")
    other.acquire()

    def sleep(seconds: float) -> None:
        """While this process waits, the other one gets its tokens, keeps them and is done."""
        clock.move(seconds)
        if clock.elapsed >= 1:
            card.write_text(json.dumps(CARD | server.tokens(2)), encoding="utf-8")
            other.release()

    monkeypatch.setattr(clock, "sleep", sleep)
    assert {"ID": "7"} == asked(card, server, clock)
    assert 0 == server.refreshes
    assert ["a1-accesssecret", "a2-accesssecret"] == [token for _, token in server.calls]


def test_the_turn_is_given_back(card: Path, clock: HandClock) -> None:
    """After a refresh, and after one that failed."""
    server = Server()
    asked(card, server, clock)
    server.generation = 4  # somebody else has refreshed twice since, and kept it elsewhere
    with pytest.raises(NotAuthorised, match="refresh token is spent"):
        asked(card, server, clock)

    FileLock(f"{card}.lock").acquire(blocking=False)


def test_a_directory_that_cannot_be_written_costs_no_token(card: Path, clock: HandClock) -> None:
    """A refresh whose tokens could not be kept would leave the application without any."""
    server = Server()
    Path(f"{card}.lock").mkdir()
    with pytest.raises(ConfigError, match=r"Cannot write .*application\.json\.lock .*New tokens are kept"):
        asked(card, server, clock)
    assert 0 == server.refreshes


def test_tokens_of_another_portal_are_not_taken(card: Path, clock: HandClock) -> None:
    """Somebody put another portal's card there meanwhile: its records must not get into this mirror."""
    server = Server()
    first = read_application(card).credential
    card.write_text(json.dumps(CARD | {"access_token": "x", "member_id": "n" * 32}), encoding="utf-8")

    with Portal(first, clock=clock, transport=httpx.MockTransport(server)) as client:
        client.fetch(READ)
    assert "a2-accesssecret" == server.calls[-1][1]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is no JSON object"),
        ("[]", "is no JSON object"),
        (json.dumps({"client_id": "x", "client_secret": 5}), "lacks client_secret, refresh_token, client_endpoint"),
        (json.dumps(CARD | {"access_token": 7}), "lacks access_token"),
        (json.dumps(CARD | {"client_endpoint": "http://portal.example/rest/"}), "https"),
    ],
)
def test_what_is_wrong_is_said_without_secrets(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint) as caught:
        read_application(path)
    assert not any(str(secret) in str(caught.value) for secret in _secrets())


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Cannot read .*card.json"):
        read_application(tmp_path / "card.json")


def _secrets() -> list[Any]:
    return [CARD[name] for name in ("client_secret", "access_token", "refresh_token", "application_token")]
