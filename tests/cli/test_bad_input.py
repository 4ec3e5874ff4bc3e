"""Bad input gets one clear sentence with the next step, an exit code, no traceback, and loses nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from b24metrics.cli import app
from b24metrics.clock import SystemClock
from b24metrics.sim.faults import Transport
from b24metrics.sim.server import Sim

SECRET = "cli0practice0secret"


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def portal() -> Iterator[Sim]:
    """An empty practice portal on the machine's clock: commands have no other."""
    with Sim(clock=SystemClock(), secret=SECRET) as sim:
        yield sim


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Run a command in an empty folder, with a clean environment. An exception other than an exit is a traceback."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("B24_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")

    def command(*words: str, webhook: str | None = None) -> Said:
        done = CliRunner().invoke(app, words, env={"B24_WEBHOOK": webhook}, catch_exceptions=False)
        return Said(done.exit_code, done.stdout, done.stderr)

    return command


def is_a_sentence(said: Said, *words: str) -> None:
    """A failure that a person can act on: no traceback, no secret, and the words that matter."""
    assert 1 == said.code, said
    assert "Traceback" not in said.err
    assert SECRET not in said.err + said.out
    assert len(said.err.splitlines()) <= 3, said.err
    for word in words:
        assert word.lower() in said.err.lower(), said.err


def test_no_portal_is_named(run: Callable[..., Said]) -> None:
    """The next step is the environment variable."""
    is_a_sentence(run("sync", "--once"), "B24_WEBHOOK")


@pytest.mark.parametrize(
    "address", ["nonsense", "https://example.bitrix24.ru/", f"https://example.bitrix24.ru/rest/x/{SECRET}/"]
)
def test_an_address_that_is_no_webhook(run: Callable[..., Said], address: str) -> None:
    """The shape of a webhook's address is shown, the given one is not repeated."""
    is_a_sentence(run("doctor", webhook=address), "https://")


def test_plain_http_is_refused_outside_of_loopback(run: Callable[..., Said]) -> None:
    """The secret would travel in the clear."""
    is_a_sentence(run("doctor", webhook=f"http://portal.example/rest/1/{SECRET}/"), "https")


def test_a_wrong_secret(run: Callable[..., Said], portal: Sim) -> None:
    """The portal does not know the webhook: make a new one."""
    is_a_sentence(run("doctor", webhook=portal.webhook_of(1, "another" + SECRET)), "webhook")


def test_a_revoked_webhook_loses_nothing(run: Callable[..., Said], portal: Sim, tmp_path: Path) -> None:
    """A mirror that was good stays readable after its webhook was deleted."""
    deals = portal.records.entity(2)
    assert deals is not None
    portal.records.create(deals, {"TITLE": "Boiler", "OPPORTUNITY": 100}, portal.hand())
    assert 0 == run("sync", "--once", "--mirror", "m.duckdb", webhook=portal.webhook).code
    portal.revoke(1, SECRET)

    is_a_sentence(run("sync", "--once", "--mirror", "m.duckdb", webhook=portal.webhook), "webhook")

    shown = run("kpi", "new_deals_count", "--mirror", "m.duckdb", "--window", "today", "--json")
    assert 0 == shown.code
    assert '"value": 1.0' in shown.out


def test_a_missing_scope_is_named(run: Callable[..., Said], portal: Sim) -> None:
    """The doctor says which scope to tick; sync copies the rest and says what it left out."""
    bare = portal.add_webhook(1, "bare" + SECRET, scopes=frozenset({"crm", "user", "department"}))

    doctor = run("doctor", webhook=bare)
    synced = run("sync", "--once", "--mirror", "m.duckdb", webhook=bare)

    assert "telephony" in doctor.out
    assert 1 == synced.code
    assert "telephony" in synced.err
    assert "Traceback" not in synced.err


def test_a_portal_that_answers_with_a_page(run: Callable[..., Said], portal: Sim) -> None:
    """A web page instead of JSON, again and again: say so, and from where."""
    portal.fail("*", Transport.BAD_GATEWAY, times=None)

    is_a_sentence(run("doctor", webhook=portal.webhook), "127.0.0.1")


def test_nobody_answers(run: Callable[..., Said]) -> None:
    """A port where nothing listens."""
    is_a_sentence(run("doctor", webhook=f"http://127.0.0.1:9/rest/1/{SECRET}/"), "127.0.0.1:9")


def test_unknown_keys_and_all_other_mistakes_are_told_at_once(run: Callable[..., Said], tmp_path: Path) -> None:
    """A misspelled key is an error, with the right spelling."""
    (tmp_path / "b24.toml").write_text('[portal]\nplann = "gold"\n[reporting]\nzone = "Moscow"\n', encoding="utf-8")

    said = run("config", "--config", "b24.toml")

    assert 1 == said.code
    assert "did you mean plan?" in said.err
    assert "Europe/Moscow" in said.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("config", "--config", "none.toml"), "none.toml"),
        (("status", "--mirror", "none.duckdb"), "none.duckdb"),
        (("kpi", "--mirror", "none.duckdb"), "none.duckdb"),
        (("kpi", "revenue_wonn", "--mirror", "none.duckdb"), "Did you mean revenue_won or"),
        (("kpi", "--window", "fortnight"), "mtd"),
        (("kpi", "--by", "Z"), "M, D, P"),
        (("kpi", "--at", "yesterday", "--mirror", "none.duckdb"), "instant"),
    ],
)
def test_words_that_cannot_be_meant(run: Callable[..., Said], words: tuple[str, ...], told: str) -> None:
    """Every wrong word is answered with what would have been right."""
    is_a_sentence(run(*words), told)


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\x00" + bytes(4096)])
def test_an_unreadable_mirror_is_left_as_it_is(
    run: Callable[..., Said], portal: Sim, tmp_path: Path, content: bytes
) -> None:
    """A file that is something else is neither read nor overwritten."""
    path = tmp_path / "m.duckdb"
    path.write_bytes(content)

    is_a_sentence(run("status", "--mirror", "m.duckdb"), "m.duckdb")
    is_a_sentence(run("sync", "--once", "--mirror", "m.duckdb", webhook=portal.webhook), "m.duckdb")

    assert content == path.read_bytes()


def test_a_mirror_in_use_is_told_from_a_broken_one(run: Callable[..., Said], portal: Sim, tmp_path: Path) -> None:
    """Another process holds the file: say that, and nothing of damage."""
    assert 0 == run("sync", "--once", "--mirror", "m.duckdb", webhook=portal.webhook).code
    holder = subprocess.Popen(
        [
            sys.executable, "-c",
            "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()",
            str(tmp_path / "m.duckdb"),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert b"held\n" == holder.stdout.readline()

        is_a_sentence(run("status", "--mirror", "m.duckdb"), "another")
    finally:
        holder.communicate()


def test_plans_without_a_mirror_leave_nothing_behind(run: Callable[..., Said], tmp_path: Path) -> None:
    """A mistyped path makes no empty mirror."""
    (tmp_path / "plans.csv").write_text("level,subject_id,month,amount\nT,0,2026-03,5\n", encoding="utf-8")

    is_a_sentence(run("plan", "plans.csv", "--mirror", "none.duckdb"), "none.duckdb", "sync")

    assert not (tmp_path / "none.duckdb").exists()


def test_an_application_and_a_webhook(run: Callable[..., Said], portal: Sim, tmp_path: Path) -> None:
    """Nobody can tell as whom the portal is to be asked."""
    (tmp_path / "own.toml").write_text('[portal]\napplication_file = "card.json"\n', encoding="utf-8")
    said = run("doctor", "--config", "own.toml", webhook=portal.webhook)

    assert 1 == said.code
    assert "portal.application_file and a webhook are both set. Keep one of them." in said.err
