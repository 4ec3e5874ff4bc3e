"""Where a portal is called, and with what secret.

Laws: a secret is a Secret from the moment it is read until the moment it is sent; nothing here prints one, and no error
quotes the text that was to be an address. Plain http is for loopback addresses only.

A renamed portal answers 302 to its new address. The client sends the same body there, because the old address did not
run the method. The secret travels along, so the new address is held against these rules first:

* https (http only from loopback to loopback), no user name in it, and the very path that was called;
* the same host, a host below it, or, for the vendor's cloud, another name in the same zone (``a.bitrix24.ru`` →
  ``b.bitrix24.ru``): every name there leads to the vendor's own machines, so no third party learns the secret;
* any other host only when the caller has named it as trusted. Otherwise the move is refused by name, and a person
  decides by putting the new address into the settings.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from b24metrics.errors import ConfigError

_SHAPE = "https://<portal>/rest/<user id>/<secret>/"
_ADVICE = "copy it from the portal: Developer resources → Other → Inbound webhook"
_METHOD = re.compile(r"[A-Za-z0-9_.]+")
_WEBHOOK_PATH = re.compile(
    r"(?P<prefix>(?:/[\w.~-]+)*?)/rest/(?:api/)?(?P<user>\d+)/(?P<secret>[\w.~-]+)(?:/[\w.]*)?/?", re.ASCII
)
_CLOUD_HOST = re.compile(r"[a-z0-9-]+\.(?P<zone>bitrix24\.[a-z]{2,}(?:\.[a-z]{2,})?)")
HIDDEN = "…"
"""What stands where a secret was."""


class Secret:
    """A text that is not printed, compared in constant time and not pickled."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the wire or for the owner's store."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: Mapping[int, object]) -> Secret:
        return self

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


class Address(Protocol):
    """One address with its credential, at one moment: what a single post needs."""

    @property
    def host(self) -> str:
        """Host, with its port if it is not the usual one. Safe to print."""
        ...

    def url(self, method: str, *, rest3: bool = False) -> Secret:
        """The address of a method."""
        ...

    def sealed(self, body: Any) -> Any:
        """The body with the credential, where it belongs there."""
        ...

    def scrub(self, text: str) -> str:
        """The text without the secrets of this address: portals and proxies quote what they were sent."""
        ...

    def follow(self, location: Secret, method: str, *, rest3: bool, trusted: Collection[str]) -> str:
        """The base address that a redirect leads to, if the secret may go there."""
        ...


@dataclass(frozen=True, slots=True)
class Webhook:
    """The address of an inbound webhook. Printed as host and user id.

    Attributes:
        base: ``https://portal.example``, with the path that self-hosted portals may have before ``/rest``.
        user_id: whose rights the webhook has.
    """

    base: str
    user_id: int
    secret: Secret

    @classmethod
    def parse(cls, text: str) -> Webhook:
        """Read an address as people copy it: with or without the last slash, or with a method at its end.

        Raises:
            ConfigError: it is no webhook address; the text says why and never quotes it.
        """
        found = cls._read(text)
        del text  # some tracebacks show variables
        if isinstance(found, ConfigError):
            raise found.with_traceback(None)
        return found

    @classmethod
    def _read(cls, text: str) -> Webhook | ConfigError:
        try:
            parts = _split(text, "the webhook address")
        except ConfigError as error:
            return error
        found = _WEBHOOK_PATH.fullmatch(parts.path)
        if found is None:
            return ConfigError(f"the webhook address of {parts.hostname} does not look like {_SHAPE}: {_ADVICE}")
        return cls(_origin(parts) + found["prefix"], int(found["user"]), Secret(found["secret"]))

    @property
    def host(self) -> str:
        return urlsplit(self.base).netloc

    def url(self, method: str, *, rest3: bool = False) -> Secret:
        return Secret(self.base + self._tail(method, rest3=rest3).reveal())

    def sealed(self, body: Any) -> Any:
        return body

    def scrub(self, text: str) -> str:
        return text.replace(self.secret.reveal(), HIDDEN)

    def follow(self, location: Secret, method: str, *, rest3: bool, trusted: Collection[str]) -> str:
        return moved_base(self.base, self._tail(method, rest3=rest3), location, trusted)

    def at(self, base: str) -> Webhook:
        """The same webhook of the renamed portal."""
        return replace(self, base=base)

    def _tail(self, method: str, *, rest3: bool) -> Secret:
        return Secret(f"/rest/{'api/' if rest3 else ''}{self.user_id}/{self.secret.reveal()}/{checked_method(method)}")

    def __str__(self) -> str:
        return f"{self.host} (user {self.user_id})"

    def __repr__(self) -> str:
        return f"Webhook({self.host}, user {self.user_id})"


def checked_method(method: str) -> str:
    """The name of a method, safe to stand in a path.

    Raises:
        ValueError: it holds anything but letters, digits, dots and underscores.
    """
    if not _METHOD.fullmatch(method):
        raise ValueError(f"{method!r} is no method name: expected something like crm.deal.list")
    return method


def checked_base(text: str, what: str) -> str:
    """The address of a portal or server without its last slash: https, or loopback.

    Raises:
        ConfigError: anything else. ``what`` names the setting.
    """
    parts = _split(text, what)
    return _origin(parts) + parts.path.rstrip("/")


def moved_base(base: str, tail: Secret, location: Secret, trusted: Collection[str] = ()) -> str:
    """Where a redirect from ``base`` + ``tail`` leads, without the tail, when the rules of this module allow it.

    Raises:
        ConfigError: they do not; both hosts are named.
    """
    verdict = _verdict(base, tail.reveal(), location.reveal(), trusted)
    if isinstance(verdict, ConfigError):
        # Raised here, where no variable holds the secret: some tracebacks show variables.
        raise verdict.with_traceback(None)
    return verdict


def _verdict(base: str, tail: str, location: str, trusted: Collection[str]) -> str | ConfigError:
    old = urlsplit(base)
    if location.startswith("/") and not location.startswith("//"):
        location = f"{old.scheme}://{old.netloc}{location}"
    try:
        new = _split(location, f"the address that {old.netloc} redirects to")
    except ConfigError as error:
        return error
    path = new.path.rstrip("/").removesuffix(".json")
    if not path.endswith(tail):
        return ConfigError(
            f"{old.netloc} redirects to a page of {new.netloc} that is not its REST address: "
            "open the portal in a browser, see where it leads, and put that address into the settings"
        )
    if not _may_follow(old.hostname or "", new.hostname or "", trusted):
        return ConfigError(
            f"{old.netloc} redirects to {new.netloc}, which nothing vouches for: the secret was not sent there. "
            f"If the portal has moved, put {new.netloc} into its address"
        )
    return _origin(new) + path.removesuffix(tail)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    name = host.strip("[]").casefold()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _may_follow(old: str, new: str, trusted: Collection[str]) -> bool:
    if old == new or new.endswith(f".{old}") or new in {host.casefold() for host in trusted}:
        return True
    if is_loopback(old):
        return is_loopback(new)
    here, there = _CLOUD_HOST.fullmatch(old), _CLOUD_HOST.fullmatch(new)
    return here is not None and there is not None and here["zone"] == there["zone"]


def _split(text: str, what: str) -> SplitResult:
    """The parts of an address that may be called.

    Raises:
        ConfigError: never with the text itself, which may hold a secret.
    """
    cleaned = text.strip().strip("'\"<>")
    if not cleaned:
        raise ConfigError(f"{what} is empty: expected {_SHAPE}; {_ADVICE}")
    try:
        parts = urlsplit(cleaned)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise ConfigError(f"{what} cannot be read: expected {_SHAPE}; {_ADVICE}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"{what} must begin with https:// and a host: expected {_SHAPE}; {_ADVICE}")
    if not re.fullmatch(r"[\w.:-]+", parts.hostname) or port == 0:
        raise ConfigError(f"{what} names no usable host: expected {_SHAPE}; {_ADVICE}")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{what} ({parts.hostname}) must not hold a user name: expected {_SHAPE}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigError(
            f"{what} ({parts.hostname}) uses http, which would show the secret to the network: write https. "
            "Plain http is for loopback addresses only"
        )
    return parts


def _origin(parts: SplitResult) -> str:
    """Scheme, host in lower case, and the port unless it is the usual one."""
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host.encode("idna").decode() if not host.isascii() else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{shown}" + ("" if parts.port in {None, usual} else f":{parts.port}")
