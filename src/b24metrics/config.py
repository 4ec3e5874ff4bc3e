"""One file of settings, environment above it, the command line above both; checked at once.

Laws: rooms never import this module, they are handed their own option class; unknown keys are errors; all errors are
told together; no value of a secret appears in an error. Everything has a default, so that no file is needed at all.

Order: arguments of ``load`` > ``B24_…`` environment (``B24_EXPORTER__LISTEN``; ``B24_WEBHOOK`` for short) > file > default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from b24metrics.errors import CalendarError, ConfigError
from b24metrics.kpi.options import TEST_PATTERN, ActivityKind, ClosedAtSource, KpiOptions, LeadMode
from b24metrics.worktime import Calendars


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Moscow") from None
    return name


def _listen_address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{text!r} is not HOST:PORT such as 127.0.0.1:9724 or [::1]:9724")
    return text if host else f"0.0.0.0:{port}"


Zone = Annotated[str, AfterValidator(_known_zone)]
Listen = Annotated[str, AfterValidator(_listen_address)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, validate_default=True)


class PortalSettings(_Section):
    """``[portal]``: whom to ask. The webhook is a secret: keep it in the environment or in a file of its own."""

    webhook: SecretStr | None = None
    webhook_file: Path | None = None
    plan: Literal["standard", "enterprise", "self-hosted"] = "standard"
    ca_file: Path | None = None

    def address(self) -> str | None:
        """The webhook's address, from wherever it was put; None when there is none.

        Raises:
            ConfigError: the file cannot be read or is empty.
        """
        if self.webhook is not None:
            return self.webhook.get_secret_value()
        if self.webhook_file is None:
            return None
        try:
            text = self.webhook_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"portal.webhook_file: cannot read {self.webhook_file} ({error.strerror}). "
                "Check the path and its permissions."
            ) from None
        if not text:
            raise ConfigError(f"portal.webhook_file: {self.webhook_file} is empty. Put the webhook's address into it.")
        return text


class MirrorSettings(_Section):
    """``[mirror]``: where the copy lives and what of it is kept."""

    path: Path = Path("b24metrics.duckdb")
    user_fields: Mapping[Literal["deal", "lead"], tuple[str, ...]] = {}


class ReportingSettings(_Section):
    """``[reporting]``: zone, currency, language and the weeks of the numbers."""

    zone: Zone | None = Field(default=None, description="default: the portal's zone")
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$", description="default: the portal's base currency")
    language: Literal["ru", "en"] = "ru"
    first_weekday: Annotated[int, Field(ge=1, le=7, description="1 is Monday")] = 1
    fiscal_month: Annotated[int, Field(ge=1, le=12)] = 1
    align: Literal["wall", "working"] = "wall"


class ScopeSettings(_Section):
    """``[scope]``: whose records count, and which are not real."""

    departments: frozenset[int] = Field(default=frozenset(), description="tops of the sales subtrees; empty: all")
    primary_departments: Mapping[int, int] = Field(default={}, description="user id -> department id")
    pipelines: frozenset[int] | None = Field(default=None, description="default: all")
    exclude_pipelines: frozenset[int] = frozenset()
    exclude_sources: frozenset[str] = frozenset()
    exclude_users: frozenset[int] = frozenset()
    test_pattern: str = TEST_PATTERN
    go_live: date | None = None
    migration_origins: frozenset[str] = frozenset()


class KpiSettings(_Section):
    """``[kpi]``: thresholds and choices that are part of definitions."""

    sla_seconds: Annotated[int, Field(gt=0)] = 1800
    grace_seconds: Annotated[int, Field(ge=0)] = 3600
    effective_call_seconds: Annotated[int, Field(ge=0)] = 30
    closed_at_source: ClosedAtSource = ClosedAtSource.HISTORY
    lead_mode: LeadMode = LeadMode.AUTO
    count_by_hand: bool = False
    edits_react: bool = True
    activity_kinds: Mapping[str, ActivityKind] = {}


class ExporterSettings(_Section):
    """``[exporter]``: the daemon."""

    listen: Listen = "127.0.0.1:9724"
    interval_seconds: Annotated[float, Field(ge=5, le=86_400)] = 60.0
    pages: bool = Field(default=True, description="the landing page and /api/v1/: they show names")
    max_series: Annotated[int, Field(ge=1000)] = 500_000
    allowed_hosts: tuple[str, ...] = ()
    web_config_file: Path | None = None


#: Settings that name files: (section, key).
_PATHS = (
    ("portal", "webhook_file"),
    ("portal", "ca_file"),
    ("mirror", "path"),
    (None, "plans_file"),
    ("exporter", "web_config_file"),
)


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="B24_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    portal: PortalSettings = PortalSettings()
    mirror: MirrorSettings = MirrorSettings()
    reporting: ReportingSettings = ReportingSettings()
    scope: ScopeSettings = ScopeSettings()
    kpi: KpiSettings = KpiSettings()
    calendar: Mapping[str, Any] = {}
    plans_file: Path | None = None
    exporter: ExporterSettings = ExporterSettings()

    def kpi_options(self) -> KpiOptions:
        """What the KPI room wants to know.

        Raises:
            ConfigError: the working calendar cannot be meant; every mistake in it is named.
        """
        try:
            book = Calendars.parse(self.calendar) if self.calendar else None
        except CalendarError as error:
            raise ConfigError(f"calendar: {error}") from None
        return KpiOptions(
            zone=self.reporting.zone,
            reporting_currency=self.reporting.currency,
            first_weekday=self.reporting.first_weekday,
            fiscal_month=self.reporting.fiscal_month,
            align=self.reporting.align,
            sales_departments=self.scope.departments,
            primary_departments=self.scope.primary_departments,
            pipelines=self.scope.pipelines,
            excluded_pipelines=self.scope.exclude_pipelines,
            excluded_sources=self.scope.exclude_sources,
            excluded_users=self.scope.exclude_users,
            test_pattern=self.scope.test_pattern,
            go_live=self.scope.go_live,
            migration_origins=self.scope.migration_origins,
            calendar=book.calendar if book else None,
            department_calendars=book.departments if book else {},
            employees=book.employees if book else (),
            **self.kpi.model_dump(),
        )

    @classmethod
    def load(cls, path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
        """Read and check everything.

        Args:
            path: the TOML file; None reads no file. Relative paths inside it start at its own folder.
            overrides: what the command line says, nested as the file is; None values are left out.
        Raises:
            ConfigError: all that is wrong, one line each.
        """
        file = {} if path is None else _read(path)
        given = _without_none(overrides or {})
        short = os.environ.get("B24_WEBHOOK", "").strip()
        if short and not {"webhook", "webhook_file"} & set(given.get("portal", {})):
            given.setdefault("portal", {})["webhook"] = short

        class Layered(cls):  # type: ignore[misc, valid-type]
            @classmethod
            def settings_customise_sources(
                cls, settings_cls: type[BaseSettings], **sources: PydanticBaseSettingsSource
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                below = InitSettingsSource(settings_cls, init_kwargs=file)
                return sources["init_settings"], sources["env_settings"], below

        try:
            loaded: Settings = Layered(**given)
        except (ValidationError, SettingsError) as error:
            raise ConfigError(_told(error, path)) from None
        return loaded


def _read(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no settings file {path}. Check --config, or leave it out.") from None
    except OSError as error:
        raise ConfigError(f"Cannot read the settings file {path} ({error.strerror}). Check its permissions.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {path} is not TOML: {error}. Mend that line.") from None
    for section, key in _PATHS:
        place = found if section is None else found.get(section)
        if isinstance(place, dict) and isinstance(place.get(key), str):
            place[key] = str(path.parent / place[key])
    return found


def _without_none(tree: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: _without_none(value) if isinstance(value, Mapping) else value for key, value in tree.items()}
    return {key: value for key, value in kept.items() if value is not None and value != {}}


def _told(error: ValidationError | SettingsError, path: Path | None) -> str:
    """Every mistake in one line each, without a value: a value may be a secret."""
    place = f"the settings ({path} and the environment)" if path else "the settings"
    if isinstance(error, SettingsError):
        return f"Something in {place} cannot be read: {error}. Mend that variable."
    lines = []
    for one in error.errors(include_input=False, include_url=False, include_context=False):
        where = ".".join(str(step) for step in one["loc"])
        what = one["msg"].removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            parent = Settings.model_fields if len(one["loc"]) == 1 else _known_keys(one["loc"][:-1])
            near = get_close_matches(str(one["loc"][-1]), list(parent), n=1)
            what = "unknown key" + (f"; did you mean {near[0]}?" if near else "")
        lines.append(f"  {where}: {what}")
    return f"{len(lines)} mistake{'s' if len(lines) > 1 else ''} in {place}:\n" + "\n".join(lines)


def _known_keys(steps: tuple[int | str, ...]) -> tuple[str, ...]:
    model: Any = Settings
    for step in steps:
        field = getattr(model, "model_fields", {}).get(step)
        model = None if field is None else field.annotation
    return tuple(getattr(model, "model_fields", {}))
