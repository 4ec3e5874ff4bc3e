"""Whether an exporter with these settings would run: looked at, not tried; nothing is served and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from b24exporter.server import bind, listen_on
from b24exporter.webconfig import WebConfig
from b24metrics.config import Settings
from b24metrics.errors import B24Error
from b24metrics.mirror.plans import read_plans
from b24metrics.mirror.stores import open_store
from b24metrics.portal import Portal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    good: bool
    about: str
    words: str


def examine(settings: Settings) -> list[Finding]:
    """Everything that ``run`` needs, each by itself, so that all faults are seen at once."""
    looks: dict[str, Callable[[Settings], str]] = {
        "calendar and KPIs": _definitions,
        "plans": _plans,
        "web configuration": _web,
        "address": _address,
        "mirror": _mirror,
        "portal": _portal,
    }
    return list(_findings(settings, looks))


def _findings(settings: Settings, looks: dict[str, Callable[[Settings], str]]) -> Iterator[Finding]:
    for about, look in looks.items():
        try:
            yield Finding(good=True, about=about, words=look(settings))
        except B24Error as error:
            yield Finding(good=False, about=about, words=str(error))


def _definitions(settings: Settings) -> str:
    settings.kpi_options()
    settings.kpis()
    return "can be meant"


def _plans(settings: Settings) -> str:
    path = settings.plans_file
    return "none" if path is None else f"{path}: {len(read_plans(path))}"


def _web(settings: Settings) -> str:
    path = settings.exporter.web_config_file
    config = WebConfig(path)
    if path is None:
        return "none: plain HTTP, no users"
    return f"{path}: {'TLS' if config.tls else 'plain HTTP'}, {'users' if config.has_users else 'no users'}"


def _address(settings: Settings) -> str:
    host, port = listen_on(settings.exporter.listen)
    with closing(bind(host, port)):
        return f"{settings.exporter.listen} is free"


def _mirror(settings: Settings) -> str:
    where, shown = settings.mirror.where(), settings.mirror.shown
    if isinstance(where, Path) and not where.exists():
        return f"{shown} is not there yet and will be made"
    with closing(open_store(where, read_only=True)) as store:
        found = [str(name) for (name,) in store.rows("SELECT portal FROM portals ORDER BY portal")]
    return f"{shown}: {', '.join(found) or 'empty'}"


def _portal(settings: Settings) -> str:
    with Portal(settings.portal.credential(), plan=settings.portal.plan, verify=settings.portal.ca_file) as portal:
        found = portal.check_up()
    missing = f"; without the scopes {', '.join(found.missing)}" if found.missing else ""
    return f"{found.host} answers as {found.name or 'user'} ({found.user_id}){missing}"
