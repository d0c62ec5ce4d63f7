"""Settings of the daemon: a TOML file, and environment variables over it (HEADEND_DATABASE__DSN and so on).

The one rule: a setting that is wrong, unknown or missing is a SettingsError that names the key and where it came
from, before anything is started. What each key means stands in config/headend.toml.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from profiles.errors import SettingsError

ENVIRONMENT_PREFIX = "HEADEND_"
DEFAULT_FILE = Path("/etc/headend/headend.toml")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Database(_Section):
    dsn: str = Field(default="", repr=False)
    """Empty: the embedded PostgreSQL, with its data in `folder`."""
    folder: Path = Path("/var/lib/headend/postgresql")
    chunk_days: Annotated[int, Field(ge=1, le=366)] = 7
    connections: Annotated[int, Field(ge=2, le=100)] = 6


class Utility(_Section):
    zone: str = "Asia/Kolkata"
    """The time zone in which the utility counts its days."""


class Vault(_Section):
    kek_file: Path | None = None
    """Key-encryption key. HEADEND_KEK, if set, is used instead."""


class Collection(_Section):
    cycle_s: Annotated[float, Field(gt=0, le=86400)] = 900
    segment: Annotated[int, Field(ge=1, le=10_000)] = 1000
    max_open_sessions: Annotated[int, Field(ge=1, le=20_000)] = 500
    new_sessions_per_s: Annotated[float, Field(gt=0, le=100_000)] = 200
    counter_reserve: Annotated[int, Field(ge=8, le=65536)] = 64
    counter_step: Annotated[int, Field(ge=1, le=0xFFFF_FFFF)] = 1_000_000
    session_timeout_s: Annotated[float, Field(gt=0, le=86400)] = 300
    attempts: Annotated[int, Field(ge=1, le=10)] = 2


class Log(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Settings(BaseSettings):
    """Everything that `headend run` is told from outside."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    utility: Utility = Utility()
    database: Database = Database()
    vault: Vault = Vault()
    collection: Collection = Collection()
    log: Log = Log()
    meter_types: tuple[Path, ...] = ()
    """Type files beside the ones that come with the program."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load_settings(file: Path | None) -> Settings:
    """Settings from `file` (None: the default file if it is there, else defaults) and the environment.

    Relative paths in the file count from the file's own folder. Raises SettingsError.
    """
    if file is None and DEFAULT_FILE.is_file():
        file = DEFAULT_FILE
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file} can't be read: {getattr(error, 'strerror', None) or error}") from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{file} is not valid TOML: {error}") from None
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _settings_error(error, file) from None
    return settings


def _settings_error(error: ValidationError, file: Path | None) -> SettingsError:
    """The first fault, by key and origin; values stay out of it, they may be secret."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    parts = [str(part) for part in first["loc"]]
    key = ".".join(parts)
    variable = ENVIRONMENT_PREFIX + "__".join(parts).upper()
    origin = f"{file}, or the environment variable {variable}" if file else f"the environment variable {variable}"
    message = "there is no such setting" if first["type"] == "extra_forbidden" else first["msg"]
    return SettingsError(f"{key}: {message}", remedy=f"see {origin}; config/headend.toml explains every key")
