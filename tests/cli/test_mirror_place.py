"""Where the mirror is: a file, or an address that nobody gets to see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from b24exporter.cli import app as exporter
from b24metrics.cli import app
from b24metrics.config import Settings
from b24metrics.errors import ConfigError
from b24metrics.mirror.lease import Lease
from b24metrics.mirror.schema import FEED_STATE, PORTALS
from b24metrics.mirror.stores import open_store

if TYPE_CHECKING:
    from tests.postgres import Server

ADDRESS = "postgresql://anna:s3cret@db.example/crm"


@pytest.mark.parametrize("how", ["argument", "environment", "file", "file of its own"])
def test_an_address_may_stand_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """It is opened as it is, and shown without user and password."""
    config, overrides = tmp_path / "b24.toml", {}
    config.write_text("")
    if how == "argument":
        overrides = {"mirror": {"path": ADDRESS}}
    elif how == "environment":
        monkeypatch.setenv("B24_MIRROR__PATH", ADDRESS)
    elif how == "file":
        config.write_text(f'[mirror]\npath = "{ADDRESS}"\n')
    else:
        (tmp_path / "secret").write_text(f"{ADDRESS}\n")
        config.write_text('[mirror]\npath_file = "secret"\n')

    settings = Settings.load(config, overrides)

    assert ADDRESS == settings.mirror.where()
    assert "postgresql://db.example/crm" == settings.mirror.shown
    assert "s3cret" not in repr(settings)


def test_a_file_is_a_path_from_the_settings_folder(tmp_path: Path) -> None:
    (tmp_path / "b24.toml").write_text('[mirror]\npath = "here.duckdb"\npath_file = "unused"\n')

    assert tmp_path / "here.duckdb" == Settings.load(tmp_path / "b24.toml").mirror.where()
    assert Path("b24metrics.duckdb") == Settings.load().mirror.where()


@pytest.mark.parametrize(("held", "says"), [(None, "cannot read"), ("mirror.duckdb", "holds no address")])
def test_a_file_without_an_address_is_named(tmp_path: Path, held: str | None, says: str) -> None:
    if held is not None:
        (tmp_path / "secret").write_text(held)
    settings = Settings.load(None, {"mirror": {"path_file": tmp_path / "secret"}})

    with pytest.raises(ConfigError, match=f"mirror.path_file: .*{says}"):
        settings.mirror.where()


def test_commands_look_into_a_shared_mirror(
    postgres: Server, empty_mirror: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status tells rows and who keeps the portal; the exporter's check names it; neither shows the password."""
    address = postgres.fresh(empty_mirror).replace("postgres@", "postgres:s3cret@")
    store = open_store(address)
    store.upsert(PORTALS, [{"portal": "crm.example"}])
    store.upsert(FEED_STATE, [{"portal": "crm.example", "feed": "deals", "row_count": 4321}])
    lease = Lease(store, "crm.example")
    lease.hold()

    def told(program: Any, *arguments: str) -> str:
        with pytest.raises(SystemExit):
            program(list(arguments))
        found = capsys.readouterr()
        return found.out + found.err

    status = told(app, "status", "--mirror", address)
    check = told(exporter, "check", "--mirror", address)
    store.close()

    assert "crm.example is kept by" in status
    assert lease.holder.partition("/")[0] in status
    assert "crm.example" in check
    assert "s3cret" not in status + check
