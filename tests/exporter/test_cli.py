"""The door: what goes wrong is one sentence with the next step, and an exit code."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from b24exporter.cli import app
from b24metrics.mirror.stores import DuckStore

SECRET = "s3cr3tw0rd0fth3w3bh00k"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No webhook of the developer's own, no file of the developer's own."""
    for name in ("B24_WEBHOOK", "B24_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def called(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def refused(result: Result) -> str:
    """What was said; the exit code is not 0, and there is neither a traceback nor the secret."""
    assert result.exit_code not in {0, None}
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert SECRET not in result.output
    return " ".join(result.output.split())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_no_portal_is_told_what_to_do() -> None:
    """Without a webhook: where to put it, and that there is another way."""
    words = refused(called("run"))

    assert "B24_WEBHOOK" in words


def test_plain_http_to_a_portal_is_refused() -> None:
    """The secret would travel readable."""
    assert "https" in refused(called("run", "--webhook", f"http://example.bitrix24.ru/rest/1/{SECRET}/"))


def test_an_address_that_is_no_webhook_is_refused() -> None:
    """And not quoted, because it may hold the secret."""
    assert "webhook" in refused(called("run", "--webhook", f"https://example.bitrix24.ru/{SECRET}"))


def test_unknown_settings_are_named(tmp_path: Path) -> None:
    """A typing mistake in the file is an error, with the nearest known key."""
    (tmp_path / "b24.toml").write_text("[exporter]\nintervall_seconds = 60\n")

    assert "intervall_seconds" in refused(called("run", "-c", "b24.toml"))


def test_a_listen_address_that_is_none_is_refused() -> None:
    """Before anything else happens."""
    assert "HOST:PORT" in refused(called("run", "--listen", "nonsense", "--mirror-only"))


def test_a_taken_port_is_told_before_the_portal_is_asked() -> None:
    """The portal at 127.0.0.1:1 would not answer: the port is looked at first."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = refused(
            called("run", "--webhook", f"http://127.0.0.1:1/rest/1/{SECRET}/", "--listen", f"127.0.0.1:{port}")
        )

    assert f"port {port}" in words
    assert "--listen" in words


def test_a_mirror_that_is_not_there_or_none_is_told(tmp_path: Path) -> None:
    """Missing, empty, foreign, busy: each in a sentence; the file stays what it was."""
    listen = ("--listen", f"127.0.0.1:{free_port()}")
    refused(called("run", "--mirror-only", "--mirror", "nowhere.duckdb", *listen))

    foreign = tmp_path / "foreign.duckdb"
    foreign.write_text("a shopping list")
    refused(called("run", "--mirror-only", "--mirror", foreign, *listen))
    assert "a shopping list" == foreign.read_text()

    DuckStore(tmp_path / "empty.duckdb").close()
    assert "b24metrics sync" in refused(called("run", "--mirror-only", "--mirror", "empty.duckdb", *listen))


def test_check_finds_all_faults_at_once(tmp_path: Path) -> None:
    """Each thing by itself, good or bad; exit code 1 when one is bad."""
    (tmp_path / "web.yml").write_text("basic_auth_users: {anna: hunter2}\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = called(
            "check", "--web-config", "web.yml", "--listen", f"127.0.0.1:{taken.getsockname()[1]}", "--mirror", "new.duckdb"
        )  # fmt: skip
    words = refused(result)

    assert 3 == result.output.count("BAD ")
    assert "good mirror: new.duckdb is not there yet and will be made" in words
    assert "bcrypt" in words
    assert "hunter2" not in words
    assert not (tmp_path / "new.duckdb").exists()


def test_help_recommends_the_environment_for_the_secret() -> None:
    """A command line can be read by everybody on the machine."""
    assert "environment variable B24_WEBHOOK" in " ".join(called("--help").output.split())
    assert called("--version").output.startswith("b24exporter ")
