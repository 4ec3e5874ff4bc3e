"""The exporter-toolkit's file: what it grants, what it refuses, and that changes are followed."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from pathlib import Path

import bcrypt
import pytest

from b24exporter.webconfig import WebConfig
from b24metrics.errors import ConfigError

#: Cost 4 is the least bcrypt knows: the tests are about the door, not about its weight.
ANNA = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def asked(config: WebConfig, *headers: str | None) -> list[bool]:
    """One verdict per header, asked one after the other on one loop."""

    async def ask() -> list[bool]:
        return [await config.allows(header) for header in headers]

    return asyncio.run(ask())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users:\n  anna: {ANNA}\n")
    return path


def later(path: Path) -> None:
    """Makes a rewritten file look newer, whatever the file system's clock can tell apart."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))


def test_without_a_file_everybody_may_come_in() -> None:
    """No web configuration: plain HTTP, no users, no headers of its own."""
    config = WebConfig(None)

    assert (None, {}, [True, True]) == (config.tls, config.headers, asked(config, None, basic("x", "y")))


def test_only_the_right_password_opens(path: Path) -> None:
    """Right name and password; anything else, also a malformed header, stays outside. Asked twice: the same."""
    config = WebConfig(path)
    right = basic("anna", "secret")
    wrong = [
        None, "", "Basic", "Basic !!!", "Bearer abc", "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff:secret").decode(), basic("anna", "Secret"), basic("boris", "secret"),
        basic("anna", ""), basic("", ""), basic("anna", "secret" + "x" * 80), basic("anna", "secret\0x"),
    ]  # fmt: skip

    for _ in range(2):
        assert [True] + [False] * len(wrong) == asked(config, right, *wrong)


def test_a_known_password_is_not_hashed_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scrape carries the password; bcrypt is asked once per password, also for wrong ones."""
    config = WebConfig(path)
    checked: list[bytes] = []
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda given, wanted: checked.append(given) or real(given, wanted))

    assert [True] * 5 + [False] * 5 == asked(config, *[basic("anna", "secret")] * 5, *[basic("anna", "guess")] * 5)
    assert [b"secret", b"guess"] == checked


def test_a_flood_of_guesses_pushes_nobody_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verified header stays known however many wrong ones follow."""
    config = WebConfig(path)
    assert [True] == asked(config, basic("anna", "secret"))
    monkeypatch.setattr(bcrypt, "checkpw", lambda given, wanted: False)

    asked(config, *(basic("anna", str(guess)) for guess in range(300)))

    assert [True] == asked(config, basic("anna", "secret"))


def test_a_changed_file_is_followed(path: Path) -> None:
    """A new password holds from the next request on; the old one is forgotten, cached or not."""
    config = WebConfig(path)
    assert [True] == asked(config, basic("anna", "secret"))

    path.write_text(f"basic_auth_users:\n  anna: {bcrypt.hashpw(b'new', bcrypt.gensalt(4)).decode()}\n")
    later(path)

    assert [False, True] == asked(config, basic("anna", "secret"), basic("anna", "new"))


def test_a_faulty_change_has_no_effect_and_is_logged_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A typing mistake in a running exporter neither opens the door nor closes it."""
    config = WebConfig(path)
    path.write_text("basic_auth_user: {}\n")
    later(path)

    with caplog.at_level(logging.ERROR):
        assert [False, True, False] == asked(config, None, basic("anna", "secret"), None)

    assert 1 == [record.levelname for record in caplog.records].count("ERROR")
    assert "basic_auth_user" in caplog.text
    with pytest.raises(ConfigError, match="basic_auth_user"):
        config.reload()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("basic_auth_user: {}", "basic_auth_user"),
        ("basic_auth_users: {anna: hunter2}", "bcrypt"),
        ("rate_limit: {interval: 1s}", "rate_limit"),
        ("tls_server_config: {cert_file: a}", "key_file"),
        ("tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAnyClientCert}", "client_auth_type"),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert}",
            "client_ca_file",
        ),
        ("tls_server_config: {cert_file: a, key_file: b}", "check a, b"),
        ("http_server_config: {headers: {Set-Cookie: a}}", "Set-Cookie"),
        ('http_server_config: {headers: {X-Frame-Options: "a\\r\\nSet-Cookie: b"}}', "one line"),
        ("- a list", "dictionary"),
        ("a: [", "not YAML"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    """Nothing in the file is ignored in silence; the message names the key, never a password."""
    path = tmp_path / "web.yml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=named) as caught:
        WebConfig(path)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None or "hunter2" not in str(caught.value.__cause__)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """The path that was given and what is wrong with it."""
    with pytest.raises(ConfigError, match=r"Cannot read the web configuration .*nowhere\.yml"):
        WebConfig(tmp_path / "nowhere.yml")
