"""Webhooks, applications, tokens, scopes. Reference §1, checklist 9 and 10."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from b24metrics.clock import HandClock
from b24metrics.sim.accounts import Application
from b24metrics.sim.server import Sim

from .conftest import Asker

Any_ = Callable[[str], Asker]


# ---------------------------------------------------------------- webhooks


@pytest.mark.parametrize(
    ("tail", "status", "code"),
    [
        ("/rest/1/wrong0secret/", 403, "INVALID_CREDENTIALS"),
        ("/rest/99/practice0portal0secret/", 403, "INVALID_CREDENTIALS"),
        ("/rest/one/practice0portal0secret/", 401, "NO_AUTH_FOUND"),
        ("/rest/1/not-a-secret!/", 401, "NO_AUTH_FOUND"),
        ("/rest/", 401, "NO_AUTH_FOUND"),
    ],
)
def test_bad_credentials_are_refused(sim: Sim, asker: Any_, tail: str, status: int, code: str) -> None:
    assert (status, code) == asker(sim.url + tail).refused("server.time")[:2]


def test_live_portals_use_other_statuses(sim: Sim, asker: Any_) -> None:
    """The documentation says 403, live portals were seen to say 401."""
    sim.portal.switches.as_seen = True

    assert (401, "INVALID_CREDENTIALS") == asker(sim.url + "/rest/1/wrong0secret/").refused("server.time")[:2]


def test_a_revoked_webhook_is_dead(sim: Sim, ask: Asker) -> None:
    sim.revoke()

    assert (403, "INVALID_CREDENTIALS") == ask.refused("server.time")[:2]


def test_a_webhook_may_expire(sim: Sim, asker: Any_, clock: HandClock) -> None:
    brief = asker(sim.add_webhook(1, "brief", expires_at=clock.now() + 60))

    assert "result" in brief("server.time")
    clock.move(60)
    assert "INVALID_CREDENTIALS" == brief("server.time")["error"]


def test_a_dismissed_owner_closes_the_webhook(sim: Sim, asker: Any_) -> None:
    assert (401, "authorization_error", "Unable to authorize user") == asker(sim.add_webhook(8, "boris")).refused(
        "profile"
    )


def test_unknown_methods_are_told_before_credentials_are_checked(sim: Sim, asker: Any_) -> None:
    assert (404, "ERROR_METHOD_NOT_FOUND") == asker(sim.url + "/rest/1/wrong/").refused("crm.nothing")[:2]


def test_a_missing_scope_comes_before_arguments(sim: Sim, asker: Any_) -> None:
    """403 whatever was asked; any of the user scopes is enough for users."""
    narrow = asker(sim.add_webhook(1, "narrow", scopes=frozenset({"user_brief"})))

    assert (
        403,
        "insufficient_scope",
        "The request requires higher privileges than provided by the webhook token",
    ) == narrow.refused("crm.item.list")
    assert "result" in narrow("user.get")
    assert ["user_brief"] == narrow.result("scope")
    assert "crm" in narrow.result("scope", full=True)


@pytest.mark.parametrize("method", ["event.bind", "event.get", "event.offline.get", "telephony.externalCall.register"])
def test_webhooks_have_no_application_context(ask: Asker, method: str) -> None:
    assert (403, "WRONG_AUTH_TYPE") == ask.refused(method)[:2]


def test_an_unpaid_plan_has_no_rest(sim: Sim, ask: Asker) -> None:
    sim.portal.switches.unpaid = True

    assert (403, "ACCESS_DENIED", "REST API is available only on commercial plans") == ask.refused("server.time")


@pytest.mark.parametrize(("code", "status"), [("PORTAL_DELETED", 500), ("OVERLOAD_LIMIT", 503)])
def test_a_closed_portal_refuses_everything(sim: Sim, ask: Asker, code: str, status: int) -> None:
    sim.portal.switches.closed_by = code

    assert (status, code) == ask.refused("server.time")[:2]


def test_who_am_i(sim: Sim, asker: Any_) -> None:
    """profile, user.admin and method.get speak of the webhook's owner."""
    ann = asker(sim.add_webhook(7, "ann", scopes=frozenset({"crm"})))

    assert ("7", False) == tuple(ann.result("profile")[name] for name in ("ID", "ADMIN"))
    assert ann.result("user.admin") is False
    assert {"isExisting": True, "isAvailable": True} == ann.result("method.get", name="CRM.deal.list")
    assert {"isExisting": True, "isAvailable": False} == ann.result("method.get", name="user.get")
    assert {"isExisting": True, "isAvailable": False} == ann.result("method.get", name="event.bind")
    assert {"isExisting": False, "isAvailable": False} == ann.result("method.get", name="")
    assert {"crm.deal.list", "batch"} <= set(ann.result("methods"))
    assert "user.get" not in ann.result("methods")


# ---------------------------------------------------------------- applications


@pytest.fixture
def application() -> Application:
    return Application(
        "local.app", "app0secret", scopes=frozenset({"crm", "user"}), redirect_url="http://127.0.0.1:9/app"
    )


def token_request(sim: Sim, http: httpx.Client, **params: str) -> httpx.Response:
    return http.get(
        sim.url + "/oauth/token/", params={"client_id": "local.app", "client_secret": "app0secret", **params}
    )


def test_the_whole_way_of_oauth(sim: Sim, http: httpx.Client, application: Application, clock: HandClock) -> None:
    """Authorise, exchange the code, call, expire, refresh: both tokens change and the old ones are void."""
    sim.add_application(application)
    answer = http.get(sim.url + "/oauth/authorize/", params={"client_id": "local.app", "state": "s1"})
    given = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert (302, "s1", "crm,user") == (answer.status_code, given["state"], given["scope"])

    first = token_request(sim, http, grant_type="authorization_code", code=given["code"]).json()
    assert {
        "access_token", "refresh_token", "expires_in", "expires", "client_endpoint", "server_endpoint", "domain", "member_id",
        "scope", "status", "user_id",
    } == set(first)  # fmt: skip
    assert (3600, f"{sim.url}/rest/", 1) == (first["expires_in"], first["client_endpoint"], first["user_id"])

    ask = Asker(http, first["client_endpoint"])
    assert "result" in ask("crm.deal.list", auth=first["access_token"])
    assert (
        200 == http.get(first["client_endpoint"] + "profile.json", params={"auth": first["access_token"]}).status_code
    )
    clock.move(3600)
    assert (401, "expired_token", "The access token provided has expired.") == ask.refused(
        "crm.deal.list", auth=first["access_token"]
    )

    second = token_request(sim, http, grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert {first["access_token"], first["refresh_token"]}.isdisjoint({second["access_token"], second["refresh_token"]})
    assert "result" in ask("crm.deal.list", auth=second["access_token"])
    assert "invalid_token" == ask("crm.deal.list", auth=first["access_token"])["error"]
    assert (
        "invalid_grant"
        == token_request(sim, http, grant_type="refresh_token", refresh_token=first["refresh_token"]).json()["error"]
    )


def test_a_code_lives_thirty_seconds_and_once(
    sim: Sim, http: httpx.Client, application: Application, clock: HandClock
) -> None:
    sim.add_application(application)
    late = sim.portal.accounts.code(application, 1, clock.now())
    clock.move(30)
    once = sim.portal.accounts.code(application, 1, clock.now())

    assert "invalid_grant" == token_request(sim, http, grant_type="authorization_code", code=late).json()["error"]
    assert "access_token" in token_request(sim, http, grant_type="authorization_code", code=once).json()
    assert "invalid_grant" == token_request(sim, http, grant_type="authorization_code", code=once).json()["error"]


def test_a_refresh_token_lives_half_a_year(
    sim: Sim, http: httpx.Client, application: Application, clock: HandClock
) -> None:
    token = sim.add_application(application)
    clock.move(180 * 86_400)

    assert (
        "invalid_grant"
        == token_request(sim, http, grant_type="refresh_token", refresh_token=token.refresh).json()["error"]
    )


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"client_secret": ""}, 400, "invalid_request"),
        ({"client_id": "nobody"}, 200, "WRONG_CLIENT"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "x"}, 400, "invalid_grant"),
    ],
)
def test_refusals_of_the_token_endpoint(
    sim: Sim, http: httpx.Client, application: Application, params: dict[str, str], status: int, code: str
) -> None:
    """A wrong client is told with status 200."""
    sim.add_application(application)
    answer = token_request(sim, http, **params)

    assert (status, code) == (answer.status_code, answer.json()["error"])


def test_an_uninstalled_application_and_an_unpaid_portal(
    sim: Sim, http: httpx.Client, application: Application
) -> None:
    token = sim.add_application(application)
    sim.portal.switches.unpaid = True
    unpaid = token_request(sim, http, grant_type="refresh_token", refresh_token=token.refresh)
    application.installed = False
    gone = token_request(sim, http, grant_type="refresh_token", refresh_token=token.refresh)

    assert [(401, "PAYMENT_REQUIRED"), (401, "NOT_INSTALLED")] == [
        (a.status_code, a.json()["error"]) for a in (unpaid, gone)
    ]


def test_an_application_meets_its_own_errors(sim: Sim, http: httpx.Client, application: Application) -> None:
    """No token, a token of nobody, a removed application, a scope that its card lacks."""
    token = sim.add_application(application)
    ask = Asker(http, sim.url + "/rest/")

    assert (401, "NO_AUTH_FOUND") == ask.refused("profile")[:2]
    assert (401, "invalid_token") == ask.refused("profile", auth="nonsense")[:2]
    assert (
        403,
        "insufficient_scope",
        "The request requires higher privileges than provided by the access token",
    ) == ask.refused("department.get", auth=token.access)
    assert ("L", "pro") == tuple(
        ask.result("app.info", auth=token.access)[name] for name in ("STATUS", "LICENSE_FAMILY")
    )
    del sim.portal.accounts.applications["local.app"]
    assert (401, "APPLICATION_NOT_FOUND") == ask.refused("profile", auth=token.access)[:2]


def test_secrets_stay_out_of_reprs(sim: Sim, application: Application) -> None:
    """Nothing that a failing test prints shows a secret or a token."""
    token = sim.add_application(application)
    credential = sim.portal.accounts.by_webhook("1", "practice0portal0secret", 0.0)
    shown = repr([sim, application, token, *sim.portal.accounts.webhooks.values(), credential])

    assert [] == [s for s in ("practice0portal0secret", "app0secret", token.access, token.refresh) if s in shown]
