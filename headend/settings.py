"""Settings of the daemon: a TOML file, and environment variables over it (HEADEND_DATABASE__DSN and so on).

The one rule: a setting that is wrong, unknown or missing is a SettingsError that names the key and where it came
from, before anything is started. What each key means stands in config/headend.toml.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection as Names
from datetime import time, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
import pydantic_settings
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from profiles.errors import SettingsError

ENVIRONMENT_PREFIX = "HEADEND_"
DEFAULT_FILE = Path("/etc/headend/headend.toml")
FILE_VARIABLE = "HEADEND_CONFIG"
_PATHS = (
    ("vault", "kek_file"),
    ("database", "folder"),
    ("spool", "folder"),
    ("push", "mqtt_ca_file"),
    ("push", "mqtt_certificate_file"),
    ("push", "mqtt_key_file"),
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def connection_string(text: str) -> str:
    """`text`, if it is one; else ValueError, which shows nothing of it: it may hold a password."""
    try:
        conninfo_to_dict(text)
    except psycopg.Error:
        raise ValueError("this is no connection string: write it as postgresql://user@host:5432/database") from None
    return text


class Database(_Section):
    dsn: Annotated[str, AfterValidator(connection_string)] = Field(default="", repr=False)
    """Empty: the embedded PostgreSQL, with its data in `folder`."""
    folder: Path = Path("/var/lib/headend/postgresql")
    chunk_days: Annotated[int, Field(ge=1, le=366)] | None = None
    """None: by the size of the fleet."""
    connections: Annotated[int, Field(ge=2, le=100)] = 6

    @property
    def chunk_interval(self) -> timedelta | None:
        return None if self.chunk_days is None else timedelta(days=self.chunk_days)


def time_zone(name: str) -> str:
    """`name`, if it is a time zone's; else ValueError."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError("there is no such time zone: write it as Asia/Kolkata") from None
    return name


class Utility(_Section):
    zone: Annotated[str, AfterValidator(time_zone)] = "Asia/Kolkata"
    """The time zone in which the utility counts its days."""


class Vault(_Section):
    kek_file: Path | None = None
    """Key-encryption key. HEADEND_KEK, if set, is used instead."""


class Collection(_Section):
    tick_s: Annotated[float, Field(gt=0, le=3600)] = 60
    max_open_sessions: Annotated[int, Field(ge=1, le=20_000)] = 500
    max_segment_sessions: Annotated[int, Field(ge=1, le=20_000)] = 100
    segments_at_once: Annotated[int, Field(ge=1, le=1000)] = 16
    reserved_jobs: Annotated[int, Field(ge=1, le=100)] = 4
    new_sessions_per_s: Annotated[float, Field(gt=0, le=100_000)] = 200
    counter_reserve: Annotated[int, Field(ge=8, le=65536)] = 64
    counter_step: Annotated[int, Field(ge=1, le=0xFFFF_FFFF)] = 1_000_000
    session_timeout_s: Annotated[float, Field(gt=0, le=86400)] = 300
    attempts: Annotated[int, Field(ge=1, le=10)] = 2
    retry_after_s: Annotated[float, Field(gt=0, le=86400)] = 900


Period = Annotated[float, Field(ge=60, le=366 * 86400)]
"""Seconds from one time to the next."""


class _Times(_Section):
    """When meters are asked; None in an override: as otherwise."""

    block_load_s: Period | None = None
    block_load_pushed_s: Period | None = None
    events_s: Period | None = None
    instantaneous_s: Annotated[float, Field(ge=0, le=366 * 86400)] | None = None
    clock_s: Period | None = None
    nameplate_s: Period | None = None
    daily_load_at: time | None = None
    billing_at: time | None = None
    billing_day: Annotated[int, Field(ge=1, le=28)] | None = None
    spread_s: Annotated[float, Field(ge=0, le=86400)] | None = None


class Override(_Times):
    """Other times for some meters: those of meter types and segments with these names, as in file names (`*`)."""

    types: tuple[str, ...] = ("*",)
    segments: tuple[str, ...] = ("*",)


class Schedules(_Times):
    """When meters are asked for what, if nobody asks them before."""

    block_load_s: Period = 3600
    block_load_pushed_s: Period = 4 * 3600
    events_s: Period = 4 * 3600
    instantaneous_s: Annotated[float, Field(ge=0, le=366 * 86400)] = 0
    clock_s: Period = 86400
    nameplate_s: Period = 30 * 86400
    daily_load_at: time = time(0, 30)
    billing_at: time = time(1, 0)
    billing_day: Annotated[int, Field(ge=1, le=28)] = 1
    spread_s: Annotated[float, Field(ge=0, le=86400)] = 1800
    override: tuple[Override, ...] = ()

    def of(self, segment: str, types: Names[str]) -> Schedules:
        """Those of a segment in which there are meters of these types: the first override that fits wins by key."""
        changed: dict[str, Any] = {}
        for each in self.override:
            of_type = any(fnmatchcase(name, pattern) for name in types for pattern in each.types)
            if of_type and any(fnmatchcase(segment, pattern) for pattern in each.segments):
                given = each.model_dump(exclude_none=True, exclude={"types", "segments"})
                changed = given | changed
        return self.model_copy(update=changed | {"override": ()})


def listening_place(text: str) -> str:
    """`text`, if it is a place to listen at; else ValueError."""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("tcp", "udp") and bool(parts.hostname) and parts.port is not None
    except ValueError:
        sound = False
    if not sound or parts.path or parts.query or parts.username is not None:
        raise ValueError("this is no place to listen at: write it as tcp://0.0.0.0:4059 or udp://[::]:4059")
    return text


class Push(_Section):
    """Where meters push to, and what is borne of them."""

    listen: tuple[Annotated[str, AfterValidator(listening_place)], ...] = ()
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_connections_per_source: Annotated[int, Field(ge=1, le=1_000_000)] = 250
    idle_s: Annotated[float, Field(gt=0, le=86400)] = 900
    message_s: Annotated[float, Field(gt=0, le=3600)] = 60
    max_waiting: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    max_alarms_waiting: Annotated[int, Field(ge=100, le=1_000_000)] = 100_000
    max_per_s: Annotated[float, Field(gt=0, le=1_000_000)] = 10_000
    max_per_meter_minute: Annotated[float, Field(gt=0, le=60_000)] = 60
    cached_meters: Annotated[int, Field(ge=1000, le=10_000_000)] = 100_000
    cached_s: Annotated[float, Field(gt=0, le=86400)] = 3600
    max_discovered: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    mqtt_host: str = ""
    """Empty: no pushes are taken from a broker."""
    mqtt_port: Annotated[int, Field(ge=1, le=65535)] = 1883
    mqtt_topics: tuple[str, ...] = ("headend/push/#",)
    mqtt_group: Annotated[str, Field(pattern=r"^[^/+#]*$")] = "headend"
    """Of the shared subscription; empty: a subscription of its own."""
    mqtt_client_id: str = ""
    mqtt_username: str = ""
    mqtt_password: SecretStr = SecretStr("")
    mqtt_tls: bool = False
    mqtt_ca_file: Path | None = None
    mqtt_certificate_file: Path | None = None
    mqtt_key_file: Path | None = None
    mqtt_in_flight: Annotated[int, Field(ge=1, le=65535)] = 5000
    mqtt_session_s: Annotated[int, Field(ge=0, le=0xFFFF_FFFE)] = 86400


class Spool(_Section):
    folder: Path = Path("/var/lib/headend/spool")
    max_mb: Annotated[int, Field(ge=8, le=1_000_000)] = 4096
    min_free_mb: Annotated[int, Field(ge=0, le=1_000_000)] = 1024
    """What is left free on its disk."""


class Seeing(_Section):
    """Where metrics and health are served."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """None: nowhere; 0: any that is free, which the log tells."""
    silent_after_h: Annotated[float, Field(gt=0, le=10_000)] = 72
    hangs_after_s: Annotated[float, Field(ge=1, le=86400)] = 300


class Upkeep(_Section):
    """How long what is stored is kept, and in which form."""

    every_s: Annotated[float, Field(ge=60, le=86400)] = 3600
    at: time = time(3, 0)
    """From when on, in the utility's zone, what is done once a day is done."""
    keep_readings_days: Annotated[int, Field(ge=400, le=36_500)] = 1096
    compress_after_days: Annotated[int, Field(ge=45, le=36_500)] = 45
    keep_clock_checks_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    keep_jobs_days: Annotated[int, Field(ge=1, le=3650)] = 7
    keep_discovered_days: Annotated[int, Field(ge=1, le=3650)] = 90


class Clock(_Section):
    """When meters' clocks are set."""

    set_above_s: Annotated[float, Field(ge=0, le=86400)] = 0
    """0: never."""
    never_above_s: Annotated[float, Field(gt=0, le=86400)] = 600
    margin_s: Annotated[float, Field(ge=1, le=600)] = 15


class Outages(_Section):
    """What is taken for an outage, and of what."""

    transformer_meters: Annotated[int, Field(ge=2, le=10_000)] = 3
    transformer_share: Annotated[float, Field(gt=0, le=1)] = 0.3
    feeder_transformers: Annotated[int, Field(ge=2, le=10_000)] = 2
    feeder_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    together_s: Annotated[float, Field(gt=0, le=86400)] = 600
    late_s: Annotated[float, Field(ge=0, le=3600)] = 30
    answers_after_s: Annotated[float, Field(ge=0, le=86400)] = 120
    give_up_h: Annotated[int, Field(ge=1, le=10_000)] = 168
    history_h: Annotated[int, Field(ge=1, le=10_000)] = 72


class Acts(_Section):
    """What may be done to meters by hand from this machine."""

    per_hour: Annotated[int, Field(ge=0, le=1000)] = 10
    """On classes that can cut a customer off or lock us out; 0: nothing."""


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
    schedules: Schedules = Schedules()
    push: Push = Push()
    spool: Spool = Spool()
    seeing: Seeing = Seeing()
    upkeep: Upkeep = Upkeep()
    clock: Clock = Clock()
    outages: Outages = Outages()
    acts: Acts = Acts()
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
    """Settings from `file` and the environment. None: the file that HEADEND_CONFIG names, else the usual one, if any.

    Relative paths in the file count from the file's own folder. Raises SettingsError.
    """
    if file is None:
        named = os.environ.get(FILE_VARIABLE)
        file = Path(named) if named else DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file} can't be read: {getattr(error, 'strerror', None) or error}") from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{file} is not valid TOML: {error}") from None
        _count_from(file.absolute().parent, values)
    _refuse_unknown_variables()
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _settings_error(error, file) from None
    except pydantic_settings.SettingsError as error:
        raise SettingsError(
            f"the environment: {error}", remedy=f"set single keys, such as {ENVIRONMENT_PREFIX}COLLECTION__TICK_S"
        ) from None


def _count_from(folder: Path, values: dict[str, Any]) -> None:
    """Relative paths of the file count from its folder; what is no path is left for the checks that follow."""
    for section, key in _PATHS:
        of = values.get(section)
        if isinstance(of, dict) and isinstance(of.get(key), str):
            of[key] = folder / of[key]
    types = values.get("meter_types")
    if isinstance(types, list):
        values["meter_types"] = [folder / each if isinstance(each, str) else each for each in types]


def _refuse_unknown_variables() -> None:
    """pydantic passes over a variable whose section it does not know; a misspelt one must not be without effect."""
    for name in sorted(os.environ):
        section, nested, _ = name.removeprefix(ENVIRONMENT_PREFIX).partition("__")
        if name.startswith(ENVIRONMENT_PREFIX) and nested and section.lower() not in Settings.model_fields:
            raise SettingsError(
                f"the environment variable {name}: there is no section {section.lower()!r} of settings",
                remedy=f"the sections are {', '.join(key for key in Settings.model_fields if key != 'meter_types')}",
            )


def _settings_error(error: ValidationError, file: Path | None) -> SettingsError:
    """The first fault, by key and origin; values stay out of it, they may be secret."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    parts = [str(part) for part in first["loc"]]
    key = ".".join(parts)
    variable = ENVIRONMENT_PREFIX + "__".join(parts).upper()
    origin = f"{file}, or the environment variable {variable}" if file else f"the environment variable {variable}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "there is no such setting"
    return SettingsError(f"{key}: {message}", remedy=f"see {origin}; config/headend.toml explains every key")
