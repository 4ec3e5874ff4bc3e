"""Who may speak to the portal: webhooks, applications, their tokens and scopes.

Laws: time is handed in. An access token lives an hour, a code thirty seconds, a refresh token 180 days and one use.
Nothing here prints a secret. Source: vendor, "Local webhooks", "OAuth 2.0", "Permissions".
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import Literal

from b24metrics.sim.refusals import Refusal

ACCESS_SECONDS = 3600
REFRESH_SECONDS = 180 * 86_400
CODE_SECONDS = 30

ALL_SCOPES = frozenset({
    "crm", "telephony", "call", "user", "user_basic", "user_brief", "department", "task", "tasks", "imopenlines", "im",
    "imbot", "calendar", "timeman", "catalog", "userfieldconfig", "user.userfield", "humanresources", "main", "entity", "disk", "placement",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sight:
    """What a credential may see.

    Args:
        users: only records of these employees exist for it; None: all.
        denied: tables that answer "access denied" as a whole (``deal``, ``phone_call`` ...).
    """

    users: frozenset[int] | None = None
    denied: frozenset[str] = frozenset()


@dataclass(slots=True)
class Webhook:
    """An inbound webhook."""

    user_id: int
    secret: str = field(repr=False)
    scopes: frozenset[str] = ALL_SCOPES
    expires_at: float | None = None
    revoked: bool = False
    sight: Sight = Sight()


@dataclass(slots=True)
class Token:
    """A pair of tokens of one user."""

    user_id: int
    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_at: float
    refresh_until: float


@dataclass(slots=True)
class Application:
    """A local application.

    ``status``: F free, D demo, T trial, P paid, L local. ``token`` of the application verifies event deliveries.
    """

    client_id: str
    client_secret: str = field(repr=False)
    scopes: frozenset[str] = ALL_SCOPES
    redirect_url: str = "http://127.0.0.1/"
    status: str = "L"
    number: int = 1
    application_token: str = field(default="51856fefc120afa4b628cc82d3935cce", repr=False)
    installed: bool = True
    sight: Sight = Sight()


@dataclass(frozen=True, slots=True)
class Credential:
    """An authorised caller; ``key`` names its accounts in the operating meter."""

    key: str = field(repr=False)
    user_id: int
    scopes: frozenset[str]
    kind: Literal["webhook", "application"]
    sight: Sight
    application: Application | None = None


class Accounts:
    """All webhooks and applications of a portal."""

    def __init__(self) -> None:
        self.webhooks: dict[tuple[int, str], Webhook] = {}
        self.applications: dict[str, Application] = {}
        self._tokens: dict[str, tuple[Application, Token]] = {}
        self._codes: dict[str, tuple[Application, int, float]] = {}
        self._serial = itertools.count(1)

    # ------------------------------------------------------------ making

    def add_webhook(self, webhook: Webhook) -> Webhook:
        self.webhooks[webhook.user_id, webhook.secret] = webhook
        return webhook

    def add_application(self, application: Application) -> Application:
        application.number = len(self.applications) + 1
        self.applications[application.client_id] = application
        return application

    def _secret(self, kind: str, length: int = 70) -> str:
        """A token that looks like the vendor's and is the same in every run."""
        return hashlib.sha512(f"practice {kind} {next(self._serial)}".encode()).hexdigest()[:length]

    def issue(self, application: Application, user_id: int, now: float) -> Token:
        """A fresh pair of tokens."""
        token = Token(
            user_id, self._secret("access"), self._secret("refresh"), now + ACCESS_SECONDS, now + REFRESH_SECONDS
        )
        self._tokens[token.access] = (application, token)
        return token

    def code(self, application: Application, user_id: int, now: float) -> str:
        """An authorisation code."""
        code = self._secret("code")
        self._codes[code] = (application, user_id, now + CODE_SECONDS)
        return code

    # ------------------------------------------------------------ checking

    def by_webhook(self, user_id: str, secret: str, now: float) -> Credential:
        """The caller behind ``/rest/{user_id}/{secret}/``.

        Raises:
            Refusal: malformed, unknown, revoked or expired.
        """
        if not user_id.isdigit() or not secret.isalnum():
            raise Refusal("NO_AUTH_FOUND")
        webhook = self.webhooks.get((int(user_id), secret))
        if webhook is None or webhook.revoked or (webhook.expires_at is not None and now >= webhook.expires_at):
            raise Refusal("INVALID_CREDENTIALS")
        return Credential(
            f"webhook {webhook.user_id} {webhook.secret}", webhook.user_id, webhook.scopes, "webhook", webhook.sight
        )

    def by_token(self, access: str, now: float) -> Credential:
        """The caller behind ``auth=``.

        Raises:
            Refusal: missing, unknown or expired token; application removed.
        """
        if not access:
            raise Refusal("NO_AUTH_FOUND")
        found = self._tokens.get(access)
        if found is None:
            raise Refusal("invalid_token")
        application, token = found
        if application.client_id not in self.applications:
            raise Refusal("APPLICATION_NOT_FOUND")
        if now >= token.expires_at:
            raise Refusal("expired_token")
        return Credential(
            f"application {application.client_id}",
            token.user_id,
            application.scopes,
            "application",
            application.sight,
            application,
        )

    def exchange(self, params: dict[str, str], now: float) -> tuple[Application, Token]:
        """The token endpoint: a code or a refresh token becomes a new pair; the old one of a refresh is void.

        Raises:
            Refusal: as the token endpoint words it.
        """
        if not params.get("client_id") or not params.get("client_secret"):
            raise Refusal("invalid_request")
        application = self.applications.get(params["client_id"])
        if application is None:
            raise Refusal("WRONG_CLIENT")
        if application.client_secret != params["client_secret"]:
            raise Refusal("invalid_client")
        if not application.installed:
            raise Refusal("NOT_INSTALLED")
        match params.get("grant_type"):
            case "authorization_code":
                found = self._codes.pop(params.get("code", ""), None)
                if found is None or found[0] is not application or now >= found[2]:
                    raise Refusal("invalid_grant")
                return application, self.issue(application, found[1], now)
            case "refresh_token":
                old = next(
                    (
                        token
                        for owner, token in self._tokens.values()
                        if owner is application and token.refresh == params.get("refresh_token")
                    ),
                    None,
                )
                if old is None or now >= old.refresh_until:
                    raise Refusal("invalid_grant")
                del self._tokens[old.access]
                return application, self.issue(application, old.user_id, now)
            case _:
                raise Refusal("invalid_request")
