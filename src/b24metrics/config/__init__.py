"""One file of settings, environment above it, the command line above both; checked at once.

Laws: rooms never import this module, they are handed their own option class; unknown keys are errors; all errors are
told together; no value of a secret appears in an error. Everything has a default, so that no file is needed at all.

Order: arguments of ``load`` > ``B24_…`` environment (``B24_EXPORTER__LISTEN``; ``B24_WEBHOOK`` for short) > file > default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from b24metrics.config.sections import (
    BonusSettings,
    CustomerSettings,
    CustomSettings,
    ExporterSettings,
    KpiSettings,
    MirrorSettings,
    PortalSettings,
    ReportingSettings,
    SaidSettings,
    ScopeSettings,
    ScorecardSettings,
)
from b24metrics.errors import CalendarError, ConfigError
from b24metrics.kpi.custom import in_force
from b24metrics.kpi.model import Kpi
from b24metrics.kpi.options import BonusOptions, BonusTier, CustomerOptions, KpiOptions, ScorecardOptions
from b24metrics.mirror.place import is_address
from b24metrics.worktime import Calendars

__all__ = ["CustomSettings", "SaidSettings", "Settings"]

#: Settings that name files: (section, key).
_PATHS = (
    ("portal", "webhook_file"),
    ("portal", "application_file"),
    ("portal", "ca_file"),
    ("mirror", "path"),
    ("mirror", "path_file"),
    (None, "plans_file"),
    ("exporter", "push_token_file"),
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
    scorecard: ScorecardSettings = ScorecardSettings()
    bonus: BonusSettings = BonusSettings()
    customers: CustomerSettings = CustomerSettings()
    custom: tuple[CustomSettings, ...] = Field(default=(), description="KPIs of your own: see `[[custom]]`")
    calendar: Mapping[str, Any] = Field(
        default={}, description="working time; default: Monday to Friday, 09:00 to 18:00, in the reporting zone"
    )
    plans_file: Path | None = Field(default=None, description="sales plans as CSV; the exporter follows the file")
    inputs_files: tuple[Path, ...] = Field(
        default=(),
        description="numbers that no portal has, as TOML, or as CSV called like its kind (`visits.csv`); the exporter follows "
        "the files, and what they hold replaces everything of those kinds",
    )
    exporter: ExporterSettings = ExporterSettings()

    def kpis(self) -> Mapping[str, Kpi]:
        """The KPIs in force: the catalogue, then the company's own.

        Raises:
            ConfigError: every mistake of the company's own, one line each.
        """
        return in_force([one.written() for one in self.custom])

    def kpi_options(self) -> KpiOptions:
        """What the KPI room wants to know.

        Raises:
            ConfigError: the working calendar cannot be meant; every mistake in it is named. Or a user field is needed
                that is not copied.
        """
        reason = self.kpi.loss_reason_field
        if reason is not None and reason not in self.mirror.user_fields.get("deal", ()):
            raise ConfigError(
                f"kpi.loss_reason_field: {reason} is not copied. Add it to the deals' fields of mirror.user_fields."
            )
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
            scorecard=ScorecardOptions(**self.scorecard.model_dump()),
            bonus=BonusOptions(
                **self.bonus.model_dump(exclude={"tiers"}),
                tiers=tuple(BonusTier(**tier.model_dump()) for tier in self.bonus.tiers),
            ),
            customers=CustomerOptions(**self.customers.model_dump()),
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
        if short and not {"webhook", "webhook_file", "application_file"} & set(given.get("portal", {})):
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
    inputs = found.get("inputs_files")
    if isinstance(inputs, list):
        found["inputs_files"] = [str(path.parent / one) if isinstance(one, str) else one for one in inputs]
    for section, key in _PATHS:
        place = found if section is None else found.get(section)
        if isinstance(place, dict) and isinstance(place.get(key), str) and not is_address(place[key]):
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
