"""Options that several commands share."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headend.settings import Settings

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="HEADEND_CONFIG", help="Settings file; /etc/headend/headend.toml if not given."
    ),
]
Dsn = Annotated[
    str | None, typer.Option("--dsn", help="PostgreSQL connection string; in place of the settings' database.dsn.")
]
NO_METERS = "no meter is registered yet: `headend meters import FILE` takes a list of them"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Language(enum.StrEnum):
    """In which a person is told things."""

    ENGLISH = "en"
    HINDI = "hi"


def _speak(language: Language | None) -> Language | None:
    from headend.words import speak

    if language is not None:
        speak(language.value)
    return language


Lang = Annotated[
    Language | None, typer.Option("--lang", callback=_speak, help="Of what is told; if not given, LANG says.")
]
"""Holds from the reading of the command line on: a command has nothing to do with it."""


def settings_of(config: Path | None, dsn: str | None) -> Settings:
    """The settings, with `dsn` over them. Raises SettingsError."""
    from headend.settings import load_settings

    settings = load_settings(config)
    if dsn is None:
        return settings
    return settings.model_copy(update={"database": settings.database.model_copy(update={"dsn": checked_dsn(dsn)})})


def checked_dsn(dsn: str) -> str:
    """`dsn`, if it is a connection string; else SettingsError."""
    from headend.settings import connection_string
    from profiles.errors import SettingsError

    try:
        return connection_string(dsn)
    except ValueError as error:
        raise SettingsError(f"--dsn: {error}") from None


def warn_of_keys(given: Mapping[str, str | None]) -> None:
    """Warn where a key itself, and not where it is, stands on the command line; `given` by name of the key."""
    from headend.keys import is_key_itself

    if any(text is not None and is_key_itself(name, text) for name, text in given.items()):
        typer.echo("headend: keys on a command line can be seen by others on this machine", err=True)
