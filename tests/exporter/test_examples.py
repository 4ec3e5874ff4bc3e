"""Files that people copy: they say what holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from b24exporter.webconfig import WebFile
from b24metrics.config import Settings
from tests.conftest import ROOT

EXAMPLE = ROOT / "exporter" / "b24metrics.example.toml"

#: Secrets do not belong into a file that is copied about.
UNSAID = {"portal.webhook", "exporter.push_token"}


def uncommented() -> str:
    """The example with every shown key in force."""
    return re.sub(r"(?m)^#(\[|\w+ = )", r"\1", EXAMPLE.read_text(encoding="utf-8"))


def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Dotted names of all settings."""
    found = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        inner = isinstance(kind, type) and issubclass(kind, BaseModel)
        found |= keys(kind, f"{prefix}{name}.") if inner else {f"{prefix}{name}"}
    return found


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example speaks for itself."""
    monkeypatch.delenv("B24_WEBHOOK", raising=False)


def test_the_example_as_it_stands_changes_nothing() -> None:
    """Copied unchanged it is the defaults."""
    assert Settings.load().model_dump() == Settings.load(EXAMPLE).model_dump()


def test_every_line_of_the_example_can_be_put_in_force(tmp_path: Path) -> None:
    """With all comments removed it is a valid file, calendar included."""
    path = tmp_path / "all.toml"
    path.write_text(uncommented(), encoding="utf-8")

    options = Settings.load(path).kpi_options()

    assert options.calendar is not None
    assert 11 == options.primary_departments[101]


def test_defaults_are_shown_as_they_are(tmp_path: Path) -> None:
    """A shown default of the exporter and of definitions is the default."""
    path = tmp_path / "all.toml"
    path.write_text(uncommented(), encoding="utf-8")
    shown, real = Settings.load(path), Settings.load()

    assert real.exporter == shown.exporter.model_copy(update={"web_config_file": None, "push_token_file": None})
    for section in ("kpi", "customers", "bonus", "scorecard", "reporting", "mirror", "scope"):
        told = getattr(real, section)
        # What has no default of its own is shown by an example.
        said = {key: value for key, value in told if value not in (None, {}, (), frozenset()) and key != "path"}
        assert said == {key: getattr(getattr(shown, section), key) for key in said}
    assert real.scope.test_pattern == shown.scope.test_pattern


def test_the_example_names_every_setting() -> None:
    """Nothing that can be set is a secret of the source code."""
    shown = tomllib.loads(uncommented())
    named = {
        f"{section}.{key}" if isinstance(value, dict) and section != "calendar" else section
        for section, value in shown.items()
        for key in (value if isinstance(value, dict) else [""])
    }

    assert keys(Settings) - UNSAID == named


def test_the_web_example_is_valid() -> None:
    """As it stands, and with its comments in force."""
    text = (ROOT / "exporter" / "web.example.yml").read_text()
    WebFile.model_validate(yaml.safe_load(text))
    everything = re.sub(
        r"(?m)^( *)# (?=(basic_auth_users|  prometheus|http_server_config|  headers|    Strict|client_|min_))",
        r"\1",
        text,
    )
    everything = everything.replace("$2y$10$...", "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG")

    file = WebFile.model_validate(yaml.safe_load(everything))

    assert "RequireAndVerifyClientCert" == file.tls_server_config.client_auth_type
    assert {"prometheus"} == set(file.basic_auth_users)
    assert {"Strict-Transport-Security": "max-age=31536000"} == file.http_server_config.headers
