"""What all rooms' tests share: the clock, required programs, the folder of vendor samples."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from b24metrics.clock import HandClock

if TYPE_CHECKING:  # the server needs packages that most tests do without
    from tests.postgres import Server

ROOT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() == "true"

# Nothing here is timed: a busy machine is no failure. The integration run repeats itself; at home examples differ.
settings.register_profile("house", deadline=None, derandomize=IN_CI)
settings.load_profile("house")


def samples_folder() -> Path | None:
    """The vendor's response samples, read in place, or None."""
    folder = Path(os.environ.get("B24_SAMPLES", ROOT.parent / "shared" / "reference" / "samples"))
    return folder if (folder / "index.json").is_file() else None


def golden(name: str) -> object:
    """A file of hand-checked answers."""
    return json.loads((ROOT / "tests" / "golden" / name).read_text(encoding="utf-8"))


@pytest.fixture
def clock() -> HandClock:
    """2025-03-14 12:00 in Moscow, a Friday."""
    return HandClock()


def path_of(name: str) -> str:
    """Path of a program; skips where it is missing, fails where CI promised it."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed (Debian: apt-get install {name})"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture
def program() -> Callable[[str], str]:
    """``path_of`` for tests that want it as a fixture."""
    return path_of


# ---------------------------------------------------------------- both databases


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, started when the first test asks for it."""
    from tests.postgres import running

    with running() as server:
        yield server


@pytest.fixture(scope="session")
def empty_mirror(postgres: Server) -> str:
    """The PostgreSQL database that fresh mirrors are copied from."""
    from tests.postgres import template

    return template(postgres)
