"""Tokens are refreshed once for all, stored before they are used, and bound to their portal."""

from __future__ import annotations

import asyncio
import copy
import threading
from typing import Any

import httpx
import pytest

from b24metrics.clock import HandClock
from b24metrics.errors import (
    ConfigError,
    NotAuthorised,
    PortalClosed,
    PortalError,
    Unreachable,
    UnreadableReply,
)
from b24metrics.portal import AsyncPortal, OAuth, Portal, Request, Tokens
from tests.portal.fakes import Canned, body_of, method_of, reply

EXPIRED = {"error": "expired_token", "error_description": "The access token provided has expired."}
READ = Request("profile")
WRITE = Request("im.notify.system.add", {"USER_ID": 7}, repeatable=False)


class Server:
    """A portal and the vendor's token endpoint. Access tokens are a1, a2 …; each refresh token works once."""

    def __init__(self) -> None:
        self.generation = 2  # a1 has expired
        self.refreshes = 0
        self.calls: list[tuple[str, str]] = []
        self.endpoint = "https://portal.example/rest/"
        self.token_reply: Canned | None = None
        self.token_faults: list[Any] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token/":
            if self.token_faults:
                fault = self.token_faults.pop(0)
                if isinstance(fault, Exception):
                    raise fault
                return fault(request)
            if self.token_reply is not None:
                return self.token_reply(request)
            asked = dict(request.url.params)
            assert ("GET", "oauth.bitrix.info") == (request.method, request.url.host)
            assert {"grant_type", "client_id", "client_secret", "refresh_token"} == set(asked)
            if asked["refresh_token"] != f"r{self.generation - 1}-refreshsecret":
                return reply({"error": "invalid_grant", "error_description": "refresh token is spent"}, 400)(request)
            self.refreshes += 1
            told = self.tokens(self.generation)
            return reply(told)(request)
        body = body_of(request)
        self.calls.append((method_of(request), body["auth"]))
        if body["auth"] != f"a{self.generation}-accesssecret":
            return reply(EXPIRED, 401)(request)
        return reply({"result": {"ID": "7"}})(request)

    def tokens(self, generation: int) -> dict[str, Any]:
        return {
            "access_token": f"a{generation}-accesssecret", "refresh_token": f"r{generation}-refreshsecret",
            "expires_in": 3600, "expires": 1_767_000_000, "client_endpoint": self.endpoint, "member_id": "m" * 32,
            "scope": "crm,user", "domain": "oauth.bitrix.info", "status": "L", "user_id": 1,
        }  # fmt: skip


def oauth(**options: Any) -> OAuth:
    settings = {
        "client_id": "local.123", "client_secret": "clientsecretvalue", "access_token": "a1-accesssecret",
        "refresh_token": "r1-refreshsecret", "client_endpoint": "https://portal.example/rest/", "member_id": "m" * 32,
    }  # fmt: skip
    return OAuth(**(settings | options))


@pytest.fixture
def server() -> Server:
    return Server()


def portal(server: Server, clock: HandClock, credential: OAuth | None = None, **options: Any) -> Portal:
    return Portal(credential or oauth(), clock=clock, transport=httpx.MockTransport(server), **options)


@pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
def test_an_expired_token_is_refreshed_once_and_the_call_repeated(
    request_: Request[Any], server: Server, clock: HandClock
) -> None:
    """Writes too: the portal did not run them. Later calls use the new token at once."""
    with portal(server, clock) as client:
        assert {"ID": "7"} == client.fetch(request_)
        client.fetch(READ)
    assert 1 == server.refreshes
    assert ["a1-accesssecret", "a2-accesssecret", "a2-accesssecret"] == [token for _, token in server.calls]


def test_tokens_are_stored_before_they_are_used(server: Server, clock: HandClock) -> None:
    """A process that dies in between must not lose the portal."""
    stored: list[tuple[dict[str, Any], int]] = []
    credential = oauth(on_tokens=lambda tokens: stored.append((tokens.reveal(), len(server.calls))))
    with portal(server, clock, credential) as client:
        client.fetch(READ)
    ((tokens, calls_before),) = stored
    assert 1 == calls_before
    assert {
        "access_token": "a2-accesssecret", "refresh_token": "r2-refreshsecret", "member_id": "m" * 32,
        "client_endpoint": "https://portal.example/rest/", "expires": 1_767_000_000, "scope": "crm,user",
    } == tokens  # fmt: skip


def test_a_store_that_fails_is_told_and_the_tokens_are_not_lost(server: Server, clock: HandClock) -> None:
    """The old refresh token is spent: the new ones stay in memory at least."""

    def fail(_: Tokens) -> None:
        raise OSError("disk full")

    with portal(server, clock, oauth(on_tokens=fail)) as client:
        with pytest.raises(OSError, match="disk full"):
            client.fetch(READ)
        assert {"ID": "7"} == client.fetch(READ)
    assert 1 == server.refreshes


def test_a_missing_access_token_is_fetched_first(server: Server, clock: HandClock) -> None:
    """Only the refresh token was stored."""
    with portal(server, clock, oauth(access_token="")) as client:
        client.fetch(READ)
    assert ["a2-accesssecret"] == [token for _, token in server.calls]


def test_many_threads_refresh_once(server: Server, clock: HandClock) -> None:
    """Two refreshes at a time would spend each other's tokens."""
    lock, barrier = threading.Lock(), threading.Barrier(8)
    failed: list[BaseException] = []

    def handler(request: httpx.Request) -> httpx.Response:
        with lock:
            return server(request)

    with Portal(oauth(), clock=clock, transport=httpx.MockTransport(handler)) as client:

        def work() -> None:
            try:
                barrier.wait(10)
                client.fetch(READ)
            except BaseException as error:  # noqa: BLE001
                failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [] == failed
    assert 1 == server.refreshes


def test_many_coroutines_refresh_once_and_wait_for_the_store(server: Server, clock: HandClock) -> None:
    """A store that awaits: nobody overtakes it with the new tokens."""
    stored: list[int] = []

    async def store(_: Tokens) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stored.append(len([1 for _, token in server.calls if token.startswith("a2")]))

    async def run() -> None:
        credential = oauth(on_tokens=store)
        async with AsyncPortal(credential, clock=clock, transport=httpx.MockTransport(server)) as client:
            assert [{"ID": "7"}] * 10 == await asyncio.gather(*(client.fetch(READ) for _ in range(10)))

    asyncio.run(run())
    assert (1, [0]) == (server.refreshes, stored)


def test_a_blocking_client_cannot_await_a_store(server: Server, clock: HandClock) -> None:
    """It says so, instead of dropping the tokens."""

    async def store(_: Tokens) -> None:
        raise AssertionError

    with portal(server, clock, oauth(on_tokens=store)) as client, pytest.raises(ConfigError, match="AsyncPortal"):
        client.fetch(READ)


def test_a_turn_that_cannot_be_given_back_stops_no_later_refresh(server: Server, clock: HandClock) -> None:
    """Others of this process would wait for a refresh that has long ended."""

    class Stuck:
        def take(self) -> bool:
            return True

        def give_back(self) -> None:
            raise OSError("the disk is gone")

    credential = oauth(turn=Stuck())
    with portal(server, clock, credential) as client, pytest.raises(OSError, match="the disk is gone"):
        client.fetch(READ)
    assert credential.claim(credential.current.access)


def test_a_token_that_expires_again_is_refreshed_again(server: Server, clock: HandClock) -> None:
    """An hour later."""
    with portal(server, clock) as client:
        client.fetch(READ)
        server.generation = 3
        client.fetch(READ)
    assert 2 == server.refreshes


def test_a_token_that_is_refused_right_after_its_refresh_is_told(server: Server, clock: HandClock) -> None:
    """No endless circle of refreshes."""
    server.token_reply = reply(server.tokens(9))
    with portal(server, clock) as client, pytest.raises(NotAuthorised):
        client.fetch(READ)
    assert 2 == len(server.calls)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply({"error": "invalid_grant", "error_description": "x"}, 400), NotAuthorised),
        (reply({"error": "invalid_client", "error_description": "x"}, 401), NotAuthorised),
        (reply({"error": "WRONG_CLIENT", "error_description": "x"}, 200), NotAuthorised),
        (reply({"error": "NOT_INSTALLED", "error_description": "x"}, 200), NotAuthorised),
        (reply({"error": "PAYMENT_REQUIRED", "error_description": "Payment required"}, 401), PortalClosed),
        (reply({"error": "invalid_request", "error_description": "x"}, 400), PortalError),
        (reply({"error": "invalid_scope", "error_description": "x"}, 400), PortalError),
        (reply({"access_token": "", "refresh_token": "x"}), UnreadableReply),
        (reply([]), UnreadableReply),
        (reply(b"<html>"), UnreadableReply),
        (Canned(302, b"", {"location": "https://evil.example/"}), UnreadableReply),
    ],
)
def test_refusals_of_the_token_endpoint_are_typed(
    answer: Canned, error: type[Exception], server: Server, clock: HandClock
) -> None:
    """Also those that come with status 200."""
    server.token_reply = answer
    with portal(server, clock) as client, pytest.raises(error):
        client.fetch(READ)


def test_a_token_endpoint_that_stumbles_is_asked_again(server: Server, clock: HandClock) -> None:
    """The refresh token is still good, as far as we know."""
    server.token_faults = [httpx.ReadTimeout("slow"), reply(b"<html>", 502), httpx.ConnectError("down")]
    with portal(server, clock) as client:
        assert {"ID": "7"} == client.fetch(READ)
    server.generation, server.token_faults = 3, [httpx.ConnectError("down")] * 5
    with portal(server, clock, oauth(access_token="a1", refresh_token="r2-refreshsecret")) as client:
        with pytest.raises(Unreachable, match=r"oauth\.bitrix\.info"):
            client.fetch(READ)
        assert {"ID": "7"} == client.fetch(READ)  # nothing is left locked


def test_tokens_of_another_portal_are_refused(server: Server, clock: HandClock) -> None:
    """member_id is the portal's name for life."""
    server.token_reply = reply(server.tokens(2) | {"member_id": "x" * 32})
    with portal(server, clock) as client, pytest.raises(NotAuthorised, match="another portal"):
        client.fetch(READ)


def test_a_changed_domain_comes_with_the_tokens(server: Server, clock: HandClock) -> None:
    """client_endpoint of the answer is where the portal is now."""
    moved: list[str] = []
    server.endpoint = "https://renamed.example/rest/"
    with portal(server, clock, on_moved=moved.append) as client:
        client.fetch(READ)
        assert "renamed.example" == client.host
    assert ["renamed.example"] == moved


def test_an_endpoint_without_https_is_refused(server: Server, clock: HandClock) -> None:
    """From settings, and from the token endpoint."""
    with pytest.raises(ConfigError, match="https"):
        oauth(client_endpoint="http://portal.example/rest/")
    with pytest.raises(ConfigError, match="https"):
        oauth(token_url="http://oauth.example/")
    server.endpoint = "http://portal.example/rest/"
    with portal(server, clock) as client, pytest.raises(ConfigError, match="https"):
        client.fetch(READ)


def test_a_renamed_portal_is_followed_with_the_token_in_the_body(server: Server, clock: HandClock) -> None:
    """302 for applications as for webhooks."""
    hosts: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        if request.url.host == "old.bitrix24.ru":
            return httpx.Response(302, headers={"location": str(request.url.copy_with(host="new.bitrix24.ru"))})
        return server(request)

    credential = oauth(client_endpoint="https://old.bitrix24.ru/rest/", access_token="a2-accesssecret")
    with Portal(credential, clock=clock, transport=httpx.MockTransport(handler)) as client:
        assert {"ID": "7"} == client.fetch(READ)
    assert ["old.bitrix24.ru", "new.bitrix24.ru"] == hosts


@pytest.mark.parametrize("missing", ["client_id", "client_secret", "refresh_token", "client_endpoint"])
def test_what_an_application_must_know_is_named(missing: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=missing):
        oauth(**{missing: ""})


def test_nothing_shows_a_token() -> None:
    """repr of credential, tokens and clients."""
    credential = oauth()
    shown = " ".join(
        map(repr, (credential, credential.current, copy.deepcopy(credential.current), credential.refresh_url()))
    )
    assert "secret" not in shown.lower().replace("secret(…)", "")
    assert "portal.example" in shown
