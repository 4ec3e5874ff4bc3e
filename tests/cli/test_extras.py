"""A missing extra is one sentence that names it."""

from __future__ import annotations

import sys

import pytest

from b24metrics.cli import app
from b24metrics.console import enter


def test_a_missing_extra_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever installed the bare library is told what to install."""

    def needs_duckdb() -> None:
        raise ModuleNotFoundError("No module named 'duckdb'", name="duckdb")

    with pytest.raises(SystemExit) as left:
        enter(needs_duckdb)

    assert 1 == left.value.code
    assert "b24metrics[mirror]" in capsys.readouterr().err


def test_a_defect_of_ours_is_not_hidden() -> None:
    """A module that no extra brings is our own mistake: its traceback stays."""

    def broken() -> None:
        raise ModuleNotFoundError("No module named 'b24metrics.nowhere'", name="b24metrics.nowhere")

    with pytest.raises(ModuleNotFoundError):
        enter(broken)


def test_a_missing_driver_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror in PostgreSQL without its driver: the extra, and nothing of the address."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in [name for name in sys.modules if name.startswith("b24metrics.mirror.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "b24metrics.mirror.stores.arrows", raising=False)
    monkeypatch.setattr(sys, "argv", ["b24metrics", "status", "--mirror", "postgresql://anna:s3cret@host/db"])

    with pytest.raises(SystemExit) as left:
        enter(app)

    said = capsys.readouterr().err
    assert 1 == left.value.code
    assert "b24metrics[postgres]" in said
    assert "s3cret" not in said
