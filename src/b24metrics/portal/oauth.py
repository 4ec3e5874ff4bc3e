"""OAuth 2.0 of an application: tokens, and the one refresh at a time.

Laws: a refresh happens when the portal says that the token has expired, not on a timer; once for all who wait, in
threads and in coroutines alike; the new tokens are handed to the owner's store before anybody uses them. A refresh
token works once, so an owner who does not store the new one loses the portal when the process ends.
Source: vendor, "OAuth 2.0", "Automatic renewal".
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from b24metrics.errors import B24Error, ConfigError, NotAuthorised, UnreadableReply
from b24metrics.portal.address import HIDDEN, Address, Secret, Webhook, checked_base, checked_method, moved_base
from b24metrics.portal.refusals import read_refusal
from b24metrics.portal.wire import Heard, read_json

TOKEN_URL = "https://oauth.bitrix.info/oauth/token/"  # noqa: S105 - an address
_METHOD = "oauth.token"


class Credential(Protocol):
    """What a client holds: an address that may change while it lives."""

    @property
    def current(self) -> Address:
        """The address of this moment, to be used for one post."""
        ...

    @property
    def owner(self) -> str:
        """Who is billed for method time: told apart by text that is not printed."""
        ...

    def move(self, base: str) -> None:
        """The portal was renamed."""
        ...


class WebhookCredential:
    """A webhook, and where its portal has moved to."""

    def __init__(self, webhook: Webhook) -> None:
        self.webhook = webhook

    @property
    def current(self) -> Webhook:
        return self.webhook

    @property
    def owner(self) -> str:
        return f"{self.webhook.user_id}/{hash(self.webhook.secret)}"

    def move(self, base: str) -> None:
        self.webhook = self.webhook.at(base)

    def __repr__(self) -> str:
        return repr(self.webhook)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one portal at one moment.

    Attributes:
        base: address of the portal, without ``/rest/``. member_id: the portal's name for life, 32 hex digits.
        expires_at: epoch seconds; None when not told. scope: as granted, separated by commas.
    """

    access: Secret
    refresh: Secret
    base: str
    member_id: str = ""
    expires_at: float | None = None
    scope: str = ""

    def reveal(self) -> dict[str, str | float | None]:
        """Everything in clear, for the owner's store. Keys are named as the vendor names them."""
        return {
            "access_token": self.access.reveal(),
            "refresh_token": self.refresh.reveal(),
            "client_endpoint": f"{self.base}/rest/",
            "member_id": self.member_id,
            "expires": self.expires_at,
            "scope": self.scope,
        }

    @property
    def host(self) -> str:
        return urlsplit(self.base).netloc

    def url(self, method: str, *, rest3: bool = False) -> Secret:
        return Secret(self.base + _tail(method, rest3=rest3))

    def sealed(self, body: Any) -> Any:
        # In the body, not in the query: bodies are not written to the logs of proxies.
        return {**body, "auth": self.access.reveal()}

    def scrub(self, text: str) -> str:
        for secret in (self.access, self.refresh):
            if secret:
                text = text.replace(secret.reveal(), HIDDEN)
        return text

    def follow(self, location: Secret, method: str, *, rest3: bool, trusted: Collection[str]) -> str:
        return moved_base(self.base, Secret(_tail(method, rest3=rest3)), location, trusted)


class Turn(Protocol):
    """What one process at a time may have: of those that share a store of tokens, the one that refreshes."""

    def take(self) -> bool:
        """Whether this process has it now; does not wait."""
        ...

    def give_back(self) -> None:
        """Let others have it; nothing happens where this process has not got it."""
        ...


def _tail(method: str, *, rest3: bool) -> str:
    return f"/rest/{'api/' if rest3 else ''}{checked_method(method)}"


class OAuth:
    """The credential of an application in one portal.

    Args:
        client_id, client_secret: of the application. access_token, refresh_token: as last stored; an empty access
            token is fetched at the first request. client_endpoint: ``https://portal.example/rest/``.
        member_id: refuses tokens of another portal when given. on_tokens: called with every new Tokens before they are
            used; may be a coroutine function with AsyncPortal. Store ``tokens.reveal()``. newest: gives the tokens of
            that store where other processes use it too: it is asked before a refresh. turn: one process at a time has it,
            and refreshes.
        token_url: the vendor's token endpoint.

    Raises:
        ConfigError: something is missing, or an address is not https.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        client_endpoint: str,
        access_token: str = "",
        member_id: str = "",
        on_tokens: Callable[[Tokens], Awaitable[object] | object] | None = None,
        newest: Callable[[], Tokens | None] | None = None,
        turn: Turn | None = None,
        token_url: str = TOKEN_URL,
    ) -> None:
        missing = [
            name
            for name, value in {
                "client_id": client_id, "client_secret": client_secret, "refresh_token": refresh_token,
            }.items()
            if not value
        ]  # fmt: skip
        if missing:
            raise ConfigError(f"OAuth needs {', '.join(missing)}: see the card of the application in the portal")
        self._client_id = client_id
        self._client_secret = Secret(client_secret)
        self._token_url = checked_base(token_url, "token_url") + "/"
        self._tokens = Tokens(
            Secret(access_token), Secret(refresh_token), _base_of(client_endpoint), member_id=member_id
        )
        self.on_tokens = on_tokens
        self._newest = newest
        self._turn = turn
        self._lock = threading.Lock()
        self._busy = False

    @property
    def current(self) -> Tokens:
        return self._tokens

    @property
    def owner(self) -> str:
        return f"{self._client_id}/{self._tokens.member_id}"

    def move(self, base: str) -> None:
        with self._lock:
            self._tokens = replace(self._tokens, base=base)

    def is_stale(self, access: Secret) -> bool:
        """Whether this access token is still the newest, so that only a refresh helps."""
        return self._tokens.access == access

    def claim(self, stale: Secret) -> bool:
        """Whether the caller shall refresh; False while another does, or when it is done."""
        with self._lock:
            if self._busy or not self.is_stale(stale):
                return False
            self._busy = True
            return True

    def takes_turn(self) -> bool:
        """Whether no other process refreshes now; until ``release`` none will begin.

        Raises:
            ConfigError: the store cannot be kept for one process.
        """
        return self._turn is None or self._turn.take()

    def takes_stored(self, stale: Secret) -> bool:
        """Whether the owner's store had newer tokens than ``stale``; they are in use from now on.

        Raises:
            ConfigError: the store cannot be read.
        """
        kept = None if self._newest is None else self._newest()
        member_id = self._tokens.member_id
        if kept is None or kept.access == stale or (member_id and kept.member_id not in {"", member_id}):
            return False
        self.take(replace(kept, member_id=member_id or kept.member_id))
        return True

    def release(self) -> None:
        """The refresh of the one who claimed it has ended, well or not."""
        try:
            if self._turn is not None:
                self._turn.give_back()
        finally:
            with self._lock:
                self._busy = False

    def take(self, tokens: Tokens) -> None:
        """From now on use these."""
        with self._lock:
            self._tokens = tokens

    def refresh_url(self) -> Secret:
        """The address that gives new tokens for the refresh token."""
        asked = urlencode(
            {
                "grant_type": "refresh_token",
                "client_id": self._client_id,
                "client_secret": self._client_secret.reveal(),
                "refresh_token": self._tokens.refresh.reveal(),
            }
        )
        return Secret(f"{self._token_url}?{asked}")

    @property
    def token_host(self) -> str:
        """Host of the token endpoint."""
        return urlsplit(self._token_url).netloc

    def read_tokens(self, heard: Heard) -> Tokens:
        """The tokens that the token endpoint answers; its errors may come with status 200.

        Raises:
            PortalError: it refuses. UnreadableReply: no JSON, or no tokens in it. ConfigError: an endpoint without https.
        """
        told = self._told(heard)
        if isinstance(told, B24Error):
            raise told.with_traceback(None)  # here, where no variable holds a token: some tracebacks show variables
        return told

    def _told(self, heard: Heard) -> Tokens | B24Error:
        host, status, old = self.token_host, heard.status, self._tokens
        try:
            payload = read_json(heard, host=host, scrub=self.scrub)
        except UnreadableReply as error:
            return error
        found = payload if isinstance(payload, Mapping) else {}
        if found.get("error") is not None:
            return read_refusal(found, method=_METHOD, status=status, host=host, scrub=self.scrub).error
        access, refresh = found.get("access_token"), found.get("refresh_token")
        if not isinstance(access, str) or not isinstance(refresh, str) or not access or not refresh:
            return UnreadableReply(f"{host}: no tokens in the answer", status=status, host=host)
        member_id = str(found.get("member_id") or old.member_id)
        if old.member_id and member_id != old.member_id:
            return NotAuthorised(
                f"{host} gave tokens of another portal (member {member_id}): authorise the application again",
                method=_METHOD,
                host=host,
            )
        endpoint, expires = found.get("client_endpoint"), found.get("expires")
        try:
            base = _base_of(endpoint) if isinstance(endpoint, str) and endpoint else old.base
        except ConfigError as error:
            return error
        return Tokens(
            Secret(access),
            Secret(refresh),
            base,
            member_id=member_id,
            expires_at=float(expires) if isinstance(expires, (int, float)) else None,
            scope=str(found.get("scope") or old.scope),
        )

    def scrub(self, text: str) -> str:
        """The text without any secret of this credential."""
        return self._tokens.scrub(text).replace(self._client_secret.reveal(), HIDDEN)

    def __repr__(self) -> str:
        return f"OAuth({self._tokens.host}, application {self._client_id})"


def _base_of(endpoint: str) -> str:
    return checked_base(endpoint, "client_endpoint").removesuffix("/rest")
