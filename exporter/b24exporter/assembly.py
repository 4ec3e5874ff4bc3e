"""From settings to a running exporter, and back to nothing: who is made, in which order, and how all of it is closed.

Laws: what can be wrong is found before anything is served: settings, certificates, the address, a portal that refuses
the webhook, a mirror that cannot be opened. Closed in the opposite order: answers, rounds, portal, mirror, address.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from importlib.metadata import version

from b24exporter.board import Board
from b24exporter.daemon import Daemon, RoundOptions
from b24exporter.health import Health
from b24exporter.layout import LAYOUT
from b24exporter.lifetime import live
from b24exporter.mirrored import Meter, Mirrored, no_meter
from b24exporter.past import Past
from b24exporter.push import Bell, Push
from b24exporter.queue import Queue
from b24exporter.server import bind, listen_on, make_server
from b24exporter.web import Web, WebOptions, hosts_for
from b24exporter.webconfig import WebConfig
from b24metrics.clock import Clock
from b24metrics.config import Settings
from b24metrics.errors import PortalFault, TryLater, Unreachable
from b24metrics.exposition.families import thresholds
from b24metrics.kpi.model import Kpi
from b24metrics.kpi.options import KpiOptions
from b24metrics.mirror.feeds import standard
from b24metrics.mirror.inputs import read_files
from b24metrics.mirror.lease import LEASE_SECONDS
from b24metrics.mirror.plans import read_plans
from b24metrics.mirror.stores import open_store
from b24metrics.mirror.sync import Sync, which_portal
from b24metrics.portal import AsyncPortal, OAuth, Secret, Webhook

log = logging.getLogger(__name__)

#: Of this program.
VERSION = version("b24metrics")


@dataclass(frozen=True, slots=True)
class Job:
    """What the command line asked for.

    Attributes:
        read_settings: reads file, environment and command line; called again by a reload.
        announce: told the address under which the exporter answers.
        meter: shows how the copying of the portal's past gets on, while it lasts.
        mirror_only: serve a mirror that is there; ask no portal. portal: which one, where the mirror holds several.
        past: what is written for a new Prometheus, beside the rounds.
    """

    read_settings: Callable[[], Settings]
    clock: Clock
    announce: Callable[[str], None]
    meter: Meter = no_meter
    mirror_only: bool = False
    portal: str | None = None
    past: Past | None = None


async def run_exporter(job: Job) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        B24Error: it cannot begin; the text says what to do.
    """
    settings = job.read_settings()
    credential = None if job.mirror_only else settings.portal.credential()
    options, kpis = settings.kpi_options(), tuple(settings.kpis().values())
    _check_files(settings)  # told now rather than in the log of the first round
    web_config = WebConfig(settings.exporter.web_config_file)
    host, port = listen_on(settings.exporter.listen)
    board = Board(job.clock.now())
    with closing(bind(host, port)) as listener:
        bell = Bell(settings.exporter.push_rest_seconds)
        async with _source(job, settings, credential, board, bell) as (source, queue):
            source.options, source.kpis = options, kpis
            source.plans_file, source.inputs_files = settings.plans_file, settings.inputs_files
            tokens = () if credential is None else _push_tokens(settings)
            push = Push(tokens, bell) if tokens else None
            heard = [one for one in (push, queue) if one is not None]
            daemon = Daemon(board, source, job.clock, _round_options(settings, options, kpis), bell)
            exporter = _Exporter(job, settings, source, daemon, web_config)
            health = Health(
                board,
                job.clock,
                VERSION,
                gate=source.gate,
                working_now=source.works_at,
                notices=(lambda: {k: n for one in heard for k, n in one.counts.items()}) if heard else None,
            )
            web_options = WebOptions(
                hosts=hosts_for(host, settings.exporter.allowed_hosts),
                pages=settings.exporter.pages,
                language=settings.reporting.language,
                interval=settings.exporter.interval_seconds,
                title=source.portal,
                version=VERSION,
            )
            web = Web(board, health, LAYOUT, job.clock, web_options, web_config, exporter.reload, push)
            try:
                await live(
                    make_server(web.app, web_config.tls),
                    listener,
                    _rounds(job, daemon, source, board, queue),
                    started=lambda: job.announce(shown_address(listener, tls=web_config.tls is not None)),
                    reload=exporter.reload,
                )
            finally:
                await daemon.close()


async def _rounds(job: Job, daemon: Daemon, source: Mirrored, board: Board, queue: Queue | None) -> None:
    """Rounds for ever; beside them the past is written and the portal's queue is looked at."""
    aside = [
        *([] if job.past is None else [asyncio.create_task(job.past.write(source, board, job.clock))]),
        *([] if queue is None else [asyncio.create_task(queue.run())]),
    ]
    try:
        await daemon.run()
    finally:
        for task in aside:
            task.cancel()
        await asyncio.gather(*aside, return_exceptions=True)


def _push_tokens(settings: Settings) -> tuple[Secret, ...]:
    """Tokens that notices may carry: those that were set, and the application's."""
    application = settings.portal.application()
    own = () if application is None or application.token is None else (application.token,)
    return (*settings.exporter.push_tokens(), *own)


@asynccontextmanager
async def _source(
    job: Job, settings: Settings, credential: Webhook | OAuth | None, board: Board, bell: Bell
) -> AsyncIterator[tuple[Mirrored, Queue | None]]:
    """What the rounds work on, with portal and mirror open, and the queue that rings for them."""
    feeds = standard(settings.mirror.options())
    if credential is None:
        where = settings.mirror.where()
        with closing(open_store(where, read_only=True, memory_limit=settings.mirror.memory_limit)) as store:
            yield Mirrored(store, which_portal(store, job.portal), feeds, job.clock, board), None
        return
    async with AsyncPortal(credential, plan=settings.portal.plan, verify=settings.portal.ca_file) as portal:
        await _introduce(portal)
        store = open_store(settings.mirror.where(), memory_limit=settings.mirror.memory_limit)
        source = Mirrored(store, portal.host, feeds, job.clock, board, gate=portal.gate.stats, meter=job.meter)
        source.sync = Sync(
            portal,
            store,
            portal=portal.host,
            feeds=feeds,
            clock=job.clock,
            on_progress=source.progress,
            zone=settings.reporting.zone,
            sweeps=settings.mirror.sweeps(),
            lease_seconds=max(LEASE_SECONDS, 2 * settings.exporter.interval_seconds),
        )
        every = settings.exporter.queue_seconds
        queue = None
        if isinstance(credential, OAuth) and every:
            queue = Queue(portal, bell, job.clock, every=every, keeps=lambda: board.keeper is None)
        try:
            yield source, queue
        finally:
            await source.close()
            # Cancelled coroutines leave their database work running in threads: it ends before the file is closed.
            await asyncio.get_running_loop().shutdown_default_executor()
            store.close()


async def _introduce(portal: AsyncPortal) -> None:
    """Meet the portal before anything is served: a wrong webhook ends here, in a sentence.

    What passes by itself (no network yet, a throttled or ailing portal) ends nothing: rounds try again.
    """
    try:
        found = await portal.check_up()
    except (Unreachable, TryLater, PortalFault) as error:
        log.warning("%s Trying on.", error)
        return
    if found.missing:
        log.warning(
            "The webhook lacks the scopes %s: KPIs that need them have no series. Tick them in the portal.",
            ", ".join(found.missing),
        )


def _check_files(settings: Settings) -> None:
    """Read the files of plans and inputs.

    Raises:
        ConfigError: every mistake in them.
    """
    if settings.plans_file is not None:
        read_plans(settings.plans_file)
    read_files(settings.inputs_files)


def _round_options(settings: Settings, options: KpiOptions, kpis: tuple[Kpi, ...]) -> RoundOptions:
    return RoundOptions(
        interval=settings.exporter.interval_seconds,
        max_series=settings.exporter.max_series,
        kpis=kpis,
        extra=thresholds(options),
    )


@dataclass(frozen=True, slots=True)
class _Exporter:
    """What a reload touches."""

    job: Job
    settings: Settings
    source: Mirrored
    daemon: Daemon
    web_config: WebConfig

    async def reload(self) -> None:
        """Take over what can be taken over while running: definitions and bounds of KPIs, those of one's own, plans, users, certificates.

        Raises:
            ConfigError: something is wrong; nothing was taken over.
        """
        fresh = self.job.read_settings()
        options, kpis = fresh.kpi_options(), tuple(fresh.kpis().values())
        _check_files(fresh)
        self.web_config.reload()
        self.source.options, self.source.kpis = options, kpis
        self.source.plans_file, self.source.inputs_files = fresh.plans_file, fresh.inputs_files
        self.daemon.options = _round_options(fresh, options, kpis)
        fixed = [name for name, read in _FIXED.items() if read(fresh) != read(self.settings)]
        if fixed:
            log.warning("Configuration read again; only a restart takes over: %s.", ", ".join(fixed))
        else:
            log.info("Configuration read again.")


_FIXED: dict[str, Callable[[Settings], object]] = {
    "portal": lambda settings: settings.portal,
    "mirror": lambda settings: settings.mirror,
    "reporting.language": lambda settings: settings.reporting.language,
    "exporter.listen": lambda settings: settings.exporter.listen,
    "exporter.pages": lambda settings: settings.exporter.pages,
    "exporter.allowed_hosts": lambda settings: settings.exporter.allowed_hosts,
    "exporter.push": lambda settings: (settings.exporter.push_tokens(), settings.exporter.push_rest_seconds),
    "exporter.queue_seconds": lambda settings: settings.exporter.queue_seconds,
    "exporter.web_config_file": lambda settings: settings.exporter.web_config_file,
}


def shown_address(listener: socket.socket, *, tls: bool) -> str:
    """A listening socket's address as a person opens it."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "localhost"
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"
