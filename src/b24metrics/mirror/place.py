"""Where a mirror lives: a file, or an address that holds a password. Needs no database to be read."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

_SCHEMES = ("postgresql://", "postgres://")


def is_address(where: str | Path) -> bool:
    """Whether this names a PostgreSQL database rather than a file."""
    return isinstance(where, str) and where.startswith(_SCHEMES)


def shown(where: str | Path) -> str:
    """A place as a person may see it: of an address only host and database, never user or password."""
    if not isinstance(where, str) or not is_address(where):
        return str(where)
    try:
        parts = urlsplit(where)
        host = parts.netloc.rpartition("@")[2] or unquote(parse_qs(parts.query).get("host", [""])[0])
    except ValueError:
        return "postgresql://"
    return f"postgresql://{host or 'localhost'}{'' if host.startswith('/') and parts.path == '/' else parts.path}"
