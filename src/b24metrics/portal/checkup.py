"""What ``doctor`` asks a portal first: is it there, whose rights do we have, what is missing.

Laws: one batch; what a portal does not tell stays None and never fails the rest.
Source: vendor, "server.time", "profile", "scope", "method.get".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from b24metrics.errors import BatchFailed
from b24metrics.portal.batches import run_batch
from b24metrics.portal.flows import Flow, Line
from b24metrics.portal.request import Batch, Request

SCOPES: tuple[str, ...] = (
    "crm",
    "telephony",
    "user_brief",
    "department",
    "calendar",
    "task",
)
"""What this product needs unless it is told to leave something out; a wider scope of the same family will do."""

_WIDER: Mapping[str, frozenset[str]] = {
    "user_brief": frozenset({"user", "user_basic"}),
    "user_basic": frozenset({"user"}),
    "task": frozenset({"tasks"}),
}


@dataclass(frozen=True, slots=True)
class Checkup:
    """What a portal says of itself and of us.

    Attributes:
        server_at: its clock, aware, in its own zone. skew_seconds: how far that clock is ahead of ours.
        user_id, name, admin, zone: whose rights we have; zone "" means the server's.
        scopes: granted. missing: needed and neither granted nor covered by a wider one.
        methods: name → whether we may call it.
    """

    host: str
    server_at: datetime | None
    skew_seconds: float | None
    user_id: int | None
    name: str
    admin: bool | None
    zone: str
    scopes: frozenset[str] | None
    missing: tuple[str, ...]
    methods: Mapping[str, bool]


def check_up(line: Line, scopes: Sequence[str] = SCOPES, methods: Sequence[str] = ()) -> Flow[Checkup]:
    """Probe a portal.

    Raises:
        as ``flows.fetch`` when the portal cannot be reached or refuses the credential.
    """
    requests: dict[str, Request[Any]] = {
        "time": Request("server.time", decode=_instant),
        "profile": Request("profile", decode=_mapping),
        "scope": Request("scope", decode=_names),
        **{f"method {name}": Request("method.get", {"name": name}, decode=_available) for name in methods},
    }
    try:
        told: Mapping[str, Any] = yield from run_batch(line, Batch(requests))
    except BatchFailed as error:
        told = error.done
    now = line.clock.now()
    server_at = cast("datetime | None", told.get("time"))
    profile: Mapping[str, Any] = told.get("profile") or {}
    granted = cast("frozenset[str] | None", told.get("scope"))
    return Checkup(
        host=line.host,
        server_at=server_at,
        skew_seconds=None if server_at is None else server_at.timestamp() - now,
        user_id=_id(profile.get("ID")),
        name=" ".join(str(profile[key]) for key in ("NAME", "LAST_NAME") if profile.get(key)),
        admin=profile["ADMIN"] in {True, "Y", "1"} if "ADMIN" in profile else None,
        zone=str(profile.get("TIME_ZONE") or ""),
        scopes=granted,
        missing=() if granted is None else tuple(scope for scope in scopes if not _covered(scope, granted)),
        methods={name: told[f"method {name}"] for name in methods if f"method {name}" in told},
    )


def _covered(scope: str, granted: frozenset[str]) -> bool:
    return scope in granted or bool(_WIDER.get(scope, frozenset()) & granted)


def _instant(result: Any) -> datetime:
    at = datetime.fromisoformat(result)
    if at.tzinfo is None:
        raise ValueError("without an offset")
    return at


def _mapping(result: Any) -> Mapping[str, Any]:
    return result if isinstance(result, Mapping) else {}  # [] for an inactive user


def _names(result: Any) -> frozenset[str]:
    return frozenset(str(name).casefold() for name in (result.values() if isinstance(result, Mapping) else result))


def _available(result: Any) -> bool:
    return bool(result["isExisting"]) and bool(result["isAvailable"])


def _id(value: Any) -> int | None:
    return int(value) if str(value).isdecimal() else None
