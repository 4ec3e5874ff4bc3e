"""The credential of an application in a file of its own, which keeps the newest tokens.

Laws: a refresh token works once, so new tokens are in the file before anybody uses them; what else stands in the file
stays; only its owner may read it. Several processes may share it: one at a time refreshes (``<file>.lock`` beside it), and
whoever finds newer tokens than its own takes those instead.
Source: vendor, "OAuth 2.0", "Automatic renewal"; names are the vendor's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from b24metrics.errors import ConfigError
from b24metrics.files import replaced
from b24metrics.portal.address import Secret
from b24metrics.portal.oauth import TOKEN_URL, OAuth, Tokens

_NEEDED: Final = ("client_id", "client_secret", "refresh_token", "client_endpoint")
_OPTIONAL: Final = ("access_token", "member_id", "application_token", "token_url")


@dataclass(frozen=True, slots=True)
class Application:
    """What the file says. ``token``: carried by the portal's notices to this application; None where it is not told."""

    credential: OAuth
    token: Secret | None


def read_application(path: Path) -> Application:
    """The application of a JSON file ``{"client_id": …, "client_secret": …, "refresh_token": …, "client_endpoint": …}``.

    ``client_endpoint`` is ``https://portal.example/rest/``. Besides, if known: ``access_token``, ``member_id``,
    ``application_token``. New tokens are written into the same file.

    Raises:
        ConfigError: it cannot be read, or something is missing in it. No value is told.
    """
    told = _read(path)
    credential = OAuth(
        client_id=told["client_id"],
        client_secret=told["client_secret"],
        refresh_token=told["refresh_token"],
        client_endpoint=told["client_endpoint"],
        access_token=told.get("access_token", ""),
        member_id=told.get("member_id", ""),
        token_url=told.get("token_url") or TOKEN_URL,
        on_tokens=partial(_keep, path),
        newest=partial(_newest, path),
        turn=_Turn(path),
    )
    token = told.get("application_token")
    return Application(credential, Secret(token) if token else None)


class _Turn:
    """The right to refresh, by a lock that the system takes back when the process ends."""

    def __init__(self, path: Path) -> None:
        # Taken and given back by whatever thread carries the refresh on.
        self._lock = FileLock(f"{path}.lock", mode=0o600, thread_local=False)

    def take(self) -> bool:
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except OSError as error:
            raise ConfigError(
                f"Cannot write {self._lock.lock_file} ({error.strerror}). New tokens are kept in this directory: let it be "
                "written by this user, or move the file to where it may be."
            ) from None
        return True

    def give_back(self) -> None:
        self._lock.release()


def _keep(path: Path, tokens: Tokens) -> None:
    kept = _parsed(path)
    fresh = {name: value for name, value in tokens.reveal().items() if value not in {None, ""}}
    with replaced(path, private=True) as file:
        json.dump(kept | fresh, file, indent=2)


def _newest(path: Path) -> Tokens | None:
    """What another process may have put there, checked like everything in the file; None without an access token."""
    tokens = read_application(path).credential.current
    return tokens if tokens.access else None


def _read(path: Path) -> Mapping[str, str]:
    found = _parsed(path)
    wrong = [name for name in _NEEDED if not isinstance(found.get(name), str) or not found[name]]
    wrong += [name for name in _OPTIONAL if name in found and not isinstance(found[name], str)]
    if wrong:
        raise ConfigError(f"{path} lacks {', '.join(wrong)}. See the card of the application in the portal.")
    return {name: str(found[name]) for name in (*_NEEDED, *_OPTIONAL) if name in found}


def _parsed(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read {path} ({error.strerror}). Check the path and its permissions.") from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no JSON object. Write {{{', '.join(f'{name!r}: …' for name in _NEEDED)}}}.")
    return found
