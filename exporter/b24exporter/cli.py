"""The door: parse, call one function, print, exit code."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from b24metrics.arguments import CaFile, ConfigFile, MirrorFile, WebhookAddress
from b24metrics.clock import SystemClock
from b24metrics.config import Settings
from b24metrics.console import backfill_meter, doors, enter, say

# Commands import what they need themselves: `--help` must be quick.
# ruff: noqa: PLC0415

app = typer.Typer(
    help="Bitrix24 sales KPIs for Prometheus: copies a portal within its limits, computes, and serves /metrics and a "
    "page for people.\n\n"
    "The webhook's address is a secret: give it in the environment variable B24_WEBHOOK rather than on the command "
    "line, where everybody on the machine can read it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        "-l",
        metavar="HOST:PORT",
        help="Where to answer. Default: 127.0.0.1:9724; :9724 means every network, so set users or TLS first.",
    ),
]
WebConfigFile = Annotated[
    Path | None,
    typer.Option("--web-config", help="TLS, client certificates and users, in the format of Prometheus's exporters."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks, for reports of defects.")]


def _reader(
    config: Path | None,
    webhook: str | None,
    mirror: str | None,
    listen: str | None,
    web_config: Path | None,
    ca: Path | None,
    interval: float | None = None,
    *,
    pages: bool | None = None,
) -> Callable[[], Settings]:
    """Reads the settings, now and at every reload."""
    overrides = {
        "portal": {"webhook": webhook, "ca_file": ca},
        "mirror": {"path": mirror},
        "exporter": {
            "listen": listen,
            "interval_seconds": interval,
            "web_config_file": web_config,
            "pages": pages,
        },
    }
    return lambda: Settings.load(config, overrides)


@app.callback(invoke_without_command=True)
def root(
    *, show_version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False
) -> None:
    """Options of all commands."""
    if show_version:
        from importlib.metadata import version

        typer.echo(f"b24exporter {version('b24metrics')}")
        raise typer.Exit


@app.command()
def run(
    config: ConfigFile = None,
    webhook: WebhookAddress = None,
    mirror: MirrorFile = None,
    listen: Listen = None,
    interval: Annotated[float | None, typer.Option(help="Seconds from round to round. Default: 60", min=5)] = None,
    web_config: WebConfigFile = None,
    ca: CaFile = None,
    portal: Annotated[
        str | None, typer.Option(help="With --mirror-only: which portal, where the mirror holds several.")
    ] = None,
    *,
    mirror_only: Annotated[
        bool, typer.Option("--mirror-only", help="Serve a mirror that is already there; ask no portal.")
    ] = False,
    pages: Annotated[
        bool | None, typer.Option("--pages/--no-pages", help="The page and /api/v1/, which show figures and names.")
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            help="Write the last days into this OpenMetrics file once the portal is copied, for a new Prometheus: "
            "promtool tsdb create-blocks-from openmetrics FILE DATA. A file that is there is left as it is."
        ),
    ] = None,
    history_days: Annotated[int, typer.Option(min=1, max=3650, help="How many days --history goes back.")] = 30,
    debug: Debug = False,
) -> None:
    """Copy the portal, keep in step with it, and serve its KPIs until Ctrl-C."""
    with doors(debug=debug):
        from b24exporter.assembly import Job, run_exporter
        from b24exporter.past import Past

        logging.getLogger("b24exporter").setLevel(logging.INFO)
        read = _reader(config, webhook, mirror, listen, web_config, ca, interval, pages=pages)
        past = None if history is None else Past(history, history_days)
        job = Job(read, SystemClock(), _announce, backfill_meter, mirror_only=mirror_only, portal=portal, past=past)
        asyncio.run(run_exporter(job))


def _announce(address: str) -> None:
    say(f"Serving {address} for people and {address}metrics for Prometheus. Ctrl-C ends it.")


@app.command()
def check(
    config: ConfigFile = None,
    webhook: WebhookAddress = None,
    mirror: MirrorFile = None,
    listen: Listen = None,
    web_config: WebConfigFile = None,
    ca: CaFile = None,
    *,
    debug: Debug = False,
) -> None:
    """Say whether `run` would work: settings, certificates, address, mirror, portal and its permissions."""
    with doors(debug=debug):
        from b24exporter.examine import examine

        findings = examine(_reader(config, webhook, mirror, listen, web_config, ca)())
        for finding in findings:
            say(f"{'good' if finding.good else 'BAD '}  {finding.about}: {finding.words}")
        if not all(finding.good for finding in findings):
            raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where portal and mirror are kept.")] = Path(".demo"),
    managers: Annotated[int, typer.Option(min=1, max=5000)] = 70,
    departments: Annotated[int, typer.Option(min=1, max=500)] = 6,
    months: Annotated[int, typer.Option(min=1, max=120, help="Length of the history.")] = 12,
    listen: Annotated[str, typer.Option("--listen", "-l", metavar="HOST:PORT")] = "127.0.0.1:9724",
    language: Annotated[str, typer.Option(help="Of the page: ru or en.")] = "ru",
    *,
    charts: Annotated[
        bool, typer.Option("--charts/--no-charts", help="Run a Prometheus that knows the past, where it is installed.")
    ] = True,
    history: Annotated[
        Path | None, typer.Option(help="OpenMetrics file for the past. Default: in the folder.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Show everything on a practice portal: backfill, figures, a page for people. Needs nothing but this machine."""
    with doors(debug=debug):
        from b24exporter.demo import Demo, run_demo

        logging.getLogger("b24exporter").setLevel(logging.INFO)
        run_demo(
            Demo(
                folder=folder,
                managers=managers,
                departments=departments,
                months=months,
                listen=listen,
                language=language,
                charts=charts,
                history=history,
            )
        )


def main() -> None:
    """Entry point."""
    if sys.stderr is not None and hasattr(sys.stderr, "reconfigure"):
        sys.stderr.reconfigure(errors="replace")  # a name that the terminal cannot show must not end the daemon
    enter(app)
