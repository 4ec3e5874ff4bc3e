"""The web configuration file that Prometheus and its exporters share: TLS, client certificates, users.

Laws: what is written in the file holds or is refused by name, never ignored; the file and the certificates are read
again when they change, and a change that cannot be read leaves the old state in force and says so in the log; a
password is compared off the event loop, one at a time, and a verified one is remembered only as a keyed digest.
Source: prometheus/exporter-toolkit, docs/web-configuration.md.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import re
import secrets
import ssl
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import bcrypt
import yaml
from cachetools import LRUCache
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from b24metrics.errors import ConfigError

log = logging.getLogger(__name__)

#: What bcrypt reads of a password; longer ones are refused instead of being cut without a word.
PASSWORD_BYTES = 72

#: Header-and-hash pairs remembered, good and bad, as the toolkit does.
REMEMBERED = 100

_TLS_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}

_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}

_HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")


def _a_hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        # The value itself stays out of the message: somebody may have written the password here.
        raise ValueError("not a bcrypt hash; make one with: htpasswd -nBC 10 USER")
    return text


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a header is one line of printable characters")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TlsFile(_Strict):
    """``tls_server_config``; paths are relative to the file that names them."""

    cert_file: Path
    key_file: Path
    client_auth_type: Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] = "NoClientCert"
    client_ca_file: Path | None = None
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS12", "TLS13"] = "TLS13"


class HttpFile(_Strict):
    """``http_server_config``; ``http2`` is taken and has no effect: this server speaks HTTP/1.1."""

    http2: bool = True
    headers: dict[
        Literal[
            "Content-Security-Policy",
            "Strict-Transport-Security",
            "X-Content-Type-Options",
            "X-Frame-Options",
            "X-XSS-Protection",
        ],
        Annotated[str, AfterValidator(_one_line)],
    ] = Field(default_factory=dict)


class WebFile(_Strict):
    """The whole file."""

    tls_server_config: TlsFile | None = None
    http_server_config: HttpFile = HttpFile()
    basic_auth_users: dict[str, Annotated[str, AfterValidator(_a_hash)]] = Field(default_factory=dict)


def read_web_file(path: Path) -> WebFile:
    """The file, checked at once.

    Raises:
        ConfigError: it cannot be read, is no YAML, or says something that we would not do; every fault is named.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the web configuration {path}: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError):
        # The parser quotes the offending line, which may hold a hash: the cause is left out on purpose.
        raise ConfigError(f"The web configuration {path} is not YAML in UTF-8: mend it.") from None
    try:
        return WebFile.model_validate({} if content is None else content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'the file'}: {fault['msg']}" for fault in error.errors()
        )
        raise ConfigError(f"The web configuration {path} says what this exporter cannot do: {faults}.") from None


def tls_context(tls: TlsFile, folder: Path) -> ssl.SSLContext:
    """The server's side of TLS as the file asks for it.

    Raises:
        ConfigError: a file is missing or is not what it should be, or client certificates lack their authority.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _TLS_VERSIONS[tls.min_version]
    context.maximum_version = _TLS_VERSIONS[tls.max_version]
    context.verify_mode = _CLIENT_AUTH[tls.client_auth_type]
    if context.verify_mode != ssl.CERT_NONE and tls.client_ca_file is None:
        raise ConfigError(f"client_auth_type {tls.client_auth_type} needs client_ca_file: name the authority's file.")
    try:
        context.load_cert_chain(folder / tls.cert_file, folder / tls.key_file)
        if tls.client_ca_file is not None:
            context.load_verify_locations(folder / tls.client_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"Cannot use the certificate files of tls_server_config ({error.strerror or error}): "
            f"check {tls.cert_file}, {tls.key_file}"
            f"{f' and {tls.client_ca_file}' if tls.client_ca_file else ''}, relative to {folder}."
        ) from error
    return context


class WebConfig:
    """One web configuration file, kept in step with the disk. ``None`` as path: plain HTTP for everybody."""

    def __init__(self, path: Path | None) -> None:
        """Read the file.

        Raises:
            ConfigError: see :func:`read_web_file` and :func:`tls_context`.
        """
        self._path = path
        self._file = WebFile()
        self._context: ssl.SSLContext | None = None
        self._seen: list[tuple[int, int]] = []
        self._key = secrets.token_bytes(32)
        # Two, so that a flood of guesses cannot push out those who are known.
        self._good: LRUCache[bytes, None] = LRUCache(REMEMBERED)
        self._bad: LRUCache[bytes, None] = LRUCache(REMEMBERED)
        self._one_at_a_time = asyncio.Lock()
        #: Compared against for unknown names, so that a wrong name takes as long as a wrong password.
        self._nobody = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(10)) if path else b""
        if path is not None:
            self.reload()

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the file adds to every answer; a blank value takes one of ours away."""
        return {str(name): value for name, value in self._file.http_server_config.headers.items()}

    @property
    def has_users(self) -> bool:
        """Whether a password is asked for."""
        return bool(self._file.basic_auth_users)

    def reload(self) -> None:
        """Read everything again.

        Raises:
            ConfigError: something is wrong; the state of before stays in force.
        """
        if self._path is None:
            return
        seen = [_stamp(self._path)]  # before reading: what changes meanwhile is seen next time
        file = read_web_file(self._path)
        seen += map(_stamp, self._named(file))
        context = tls_context(file.tls_server_config, self._path.parent) if file.tls_server_config else None
        if self._seen and (context is None) != (self._context is None):
            raise ConfigError(f"{self._path}: TLS cannot be switched on or off while running: restart the exporter.")
        if context is not None:
            context.sni_callback = self._on_handshake
        self._file, self._context, self._seen = file, context, seen
        self._good.clear()
        self._bad.clear()

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What the listening socket is wrapped with; new handshakes follow changed files by themselves."""
        return self._context

    def _on_handshake(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        self.follow()
        if self._context is not None:
            connection.context = self._context

    def follow(self) -> None:
        """Take over changed files; a faulty change is logged once and has no effect."""
        if self._path is None:
            return
        seen = [_stamp(self._path), *map(_stamp, self._named(self._file))]
        if seen == self._seen:
            return
        try:
            self.reload()
        except ConfigError as error:
            log.error("Web configuration not taken over, the old one stays in force. %s", error)  # noqa: TRY400 - a typing mistake needs no traceback
            self._seen = seen
        else:
            log.info("Web configuration %s taken over.", self._path)

    def _named(self, file: WebFile) -> list[Path]:
        assert self._path is not None
        tls = file.tls_server_config
        named = (tls.cert_file, tls.key_file, tls.client_ca_file) if tls else ()
        return [self._path.parent / one for one in named if one is not None]

    async def allows(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header opens the door; without users everybody may come in."""
        self.follow()
        users = self._file.basic_auth_users
        if not users:
            return True
        given = _credentials(authorization)
        if given is None:
            return False
        name, password = given
        wanted = users.get(name, "").encode()
        mark = hmac.new(self._key, b"\0".join((wanted, name.encode(), password)), sha256).digest()
        if mark not in self._good and mark not in self._bad:
            async with self._one_at_a_time:
                if mark not in self._good and mark not in self._bad:  # nobody asked the same while we waited
                    # bcrypt reads neither past 72 bytes nor past a NUL: such a password fits nobody.
                    readable = len(password) <= PASSWORD_BYTES and b"\0" not in password
                    fits = readable and await asyncio.to_thread(bcrypt.checkpw, password, wanted or self._nobody)
                    (self._good if wanted and fits else self._bad)[mark] = None
        return mark in self._good


def _stamp(path: Path) -> tuple[int, int]:
    """Time and size of a file; (0, 0) where it cannot be seen."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


def _credentials(authorization: str | None) -> tuple[str, bytes] | None:
    """Name and password of a Basic header; None where it is something else."""
    scheme, _, packed = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(packed.strip(), validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None
