"""A Prometheus of the demonstration's own: it scrapes the exporter, knows the past, and ends with it.

Laws: loopback only, a free port, everything in the demonstration's folder; without the programs the demonstration goes on
and one sentence says what to install. Blocks are made beside Prometheus's data and moved in whole: it finds them itself.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

log = logging.getLogger(__name__)

#: One value a day is a line of steps when each counts until the next has come.
LOOKBACK = "25h"

#: Longer than the past that is written.
RETENTION = "400d"

SCRAPE_SECONDS = 15
_PATIENCE = 10.0


def installed() -> bool:
    """Whether Prometheus and its tool are on this machine."""
    return all(shutil.which(name) for name in ("prometheus", "promtool"))


def create_blocks(history: Path, data: Path) -> list[str]:
    """The command that makes blocks of a history."""
    return ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(history), str(data)]


@dataclass(slots=True)
class Charts:
    """Prometheus in ``folder``."""

    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self, target: str) -> str:
        """Scrape ``target`` (host:port); returns Prometheus's address."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s"},
            "scrape_configs": [{"job_name": "b24metrics", "static_configs": [{"targets": [target]}]}],
        }
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        with (self.folder / "prometheus.log").open("wb") as words:
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                [
                    shutil.which("prometheus") or "prometheus",
                    f"--config.file={self.folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.data}",
                    f"--storage.tsdb.retention.time={RETENTION}",
                    f"--query.lookback-delta={LOOKBACK}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdin=subprocess.DEVNULL, stdout=words, stderr=words, start_new_session=True,
            )  # fmt: skip
        return f"http://127.0.0.1:{port}/"

    @property
    def data(self) -> Path:
        """Where Prometheus keeps what it knows."""
        return self.folder / "data"

    async def remember(self, history: Path) -> None:
        """Give it a past, once."""
        done = self.folder / "remembered"
        if done.exists():
            return
        fresh = self.folder / "blocks"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        making = await asyncio.create_subprocess_exec(
            *create_blocks(history, fresh), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            _, words = await making.communicate()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                making.kill()
            await making.wait()
            raise
        if making.returncode:
            log.warning("Prometheus could not be given the past: %s", words.decode(errors="replace").strip()[-300:])
            return
        self.data.mkdir(exist_ok=True)
        for block in fresh.iterdir():
            if (block / "meta.json").is_file():
                block.rename(self.data / block.name)
        done.touch()
        log.info("Prometheus has the past: its charts are full within two minutes.")

    def close(self) -> None:
        """End it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
