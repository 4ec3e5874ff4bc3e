"""The demonstration: a practice portal, a backfill and an exporter, from one command and for the eyes of a person.

Laws: everything stands in one folder and on loopback; a second start goes on with what the first one left; the practice
portal is a process of its own, as a real portal is a machine of its own, and ends with this one, however it ends.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from b24exporter.assembly import Job, run_exporter
from b24exporter.charts import Charts, installed
from b24exporter.past import Past
from b24metrics.clock import SystemClock
from b24metrics.config import Settings
from b24metrics.console import backfill_meter, say
from b24metrics.errors import ConfigError
from b24metrics.sim.company.people import SALES_ID

#: Ports that a second start finds again: the mirror knows a portal by its address.
PORTAL_PORT = 9725


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What to show, and where. ``charts``: run a Prometheus too, where there is one. ``history``: default: in ``folder``."""

    folder: Path
    managers: int
    departments: int
    months: int
    listen: str
    language: str
    charts: bool = True
    history: Path | None = None


def run_demo(demo: Demo) -> None:
    """Show the chain until Ctrl-C.

    Raises:
        ConfigError: the practice portal cannot start; its own words are passed on.
    """
    demo.folder.mkdir(parents=True, exist_ok=True)
    again = (demo.folder / "mirror.duckdb").exists()
    say(f"The demonstration lives in {demo.folder}{' and goes on where it stopped' if again else ''}.")
    with _practice_portal(demo) as webhook:
        charts = Charts(demo.folder / "prometheus") if demo.charts and installed() else None
        past = Past(demo.history or demo.folder / "history.om", then=None if charts is None else charts.remember)
        job = Job(
            _settings(demo, webhook),
            SystemClock(),
            lambda address: _announce(address, charts, wanted=demo.charts),
            backfill_meter,
            past=past,
        )
        try:
            asyncio.run(run_exporter(job))
        finally:
            if charts is not None:
                charts.close()


def _announce(address: str, charts: Charts | None, *, wanted: bool) -> None:
    say("")
    say(f"  For people      {address}")
    say(f"  For Prometheus  {address}metrics")
    if charts is not None:
        say(f"  Prometheus      {charts.start(urlsplit(address).netloc)} (its past follows in some minutes)")
    elif wanted:
        say("  Charts: install prometheus and promtool (Debian, Ubuntu: apt-get install prometheus) and start again.")
    say("  Ctrl-C ends it; `make demo` goes on from here; `make clean` forgets it.")
    say("")


def _settings(demo: Demo, webhook: str) -> Callable[[], Settings]:
    overrides = {
        "portal": {"webhook": webhook, "plan": "enterprise"},
        "mirror": {"path": demo.folder / "mirror.duckdb"},
        "scope": {"departments": [SALES_ID]},
        "reporting": {"zone": "Europe/Moscow", "language": demo.language},
        "calendar": {"tz": "Europe/Moscow", "week": {"mon-fri": ["09:00-18:00"]}, "holidays": "RU"},
        "plans_file": demo.folder / "plans.csv",
        "exporter": {"listen": demo.listen, "interval_seconds": 15},
    }
    return lambda: Settings.load(None, overrides)


@contextmanager
def _practice_portal(demo: Demo) -> Iterator[str]:
    """The portal's webhook, while its process runs."""
    command = [
        sys.executable, "-m", "b24metrics.cli", "sim",
        "--data", str(demo.folder / "portal.duckdb"),
        "--plans", str(demo.folder / "plans.csv"),
        "--managers", str(demo.managers),
        "--departments", str(demo.departments),
        "--months", str(demo.months),
        "--port", str(PORTAL_PORT),
        "--plan", "enterprise",
        "--leashed",
    ]  # fmt: skip
    # A session of its own: Ctrl-C reaches this process alone, which then lets the portal go in its turn.
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and words
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        webhook = process.stdout.readline().strip()
        if not webhook:
            raise ConfigError("The practice portal did not start: see its words above.")
        yield webhook
    finally:
        process.stdin.close()  # the leash
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
