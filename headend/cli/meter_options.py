"""The options of every command that asks one meter by its type: type, keys, counters, language, trace.

The one rule: they stand here once. `with_meter` puts them on a command, which is given them as one `MeterOptions`; what
goes wrong in it is explained to a person, and goes on as it is in a pipe.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec

import typer

from headend.cli.options import Lang, warn_of_keys
from headend.cli.shared_options import with_options
from headend.own_files import names_in_book
from profiles.errors import HeadEndError

P = ParamSpec("P")

KEY_OPTIONS: Final = ("encryption_key", "authentication_key", "secret")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterOptions:
    """One meter, and how it is asked, as the command line says it."""

    address: Annotated[
        str,
        typer.Argument(
            help="Where the meter is: tcp://host:4059 (also ?client=48&timeout=20), udp://, hdlc+tcp://, rfc2217://, "
            "serial:///dev/ttyUSB0?baud=9600 or ?mode=e; or its name in the book or the registry.",
            autocompletion=names_in_book,
        ),
    ]
    meter_type: Annotated[
        str | None,
        typer.Option("--type", help="Meter type, or a type file; else as the list says, or by what it captures."),
    ] = None
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            help="A meter list (.csv), or TOML with encryption_key, authentication_key, lls_secret or hls_secret.",
            readable=False,  # what can't be read is explained with what is wrong in it, not as a wrong option
        ),
    ] = None
    encryption_key: Annotated[
        str | None, typer.Option(help="Hex, a file, or env:NAME. Hex is visible to others on this machine.")
    ] = None
    authentication_key: Annotated[str | None, typer.Option(help="As above.")] = None
    secret: Annotated[
        str | None, typer.Option(help="LLS password or HLS secret: the text (visible to others), @FILE, or env:NAME.")
    ] = None
    ask: Annotated[bool, typer.Option("--ask", help="Ask for the keys that are missing.")] = False
    system_title: Annotated[
        str | None, typer.Option(help="Refuse any meter but the one with this system title (16 hex digits).")
    ] = None
    counters: Annotated[
        Path | None, typer.Option(help="Where this machine keeps its invocation counters.", show_default=False)
    ] = None
    accept_counter: Annotated[
        bool, typer.Option("--accept-counter", help="Believe the meter's counter even if it is far above ours.")
    ] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell each step in plain words.")] = False
    trace: Annotated[
        Path | None, typer.Option(help="Write each frame, with time and direction and without passwords, to this file.")
    ] = None
    lang: Lang = None

    @property
    def given_keys(self) -> dict[str, str]:
        """Keys of the command line by name."""
        given = {name: getattr(self, name) for name in KEY_OPTIONS}
        return {name: text for name, text in given.items() if text is not None}

    def __repr__(self) -> str:
        return f"MeterOptions({self.address!r})"


def with_meter(command: Callable[Concatenate[MeterOptions, P], None]) -> Callable[..., None]:
    """The command with an ADDRESS before its own arguments and the options of `MeterOptions` behind its own."""

    @functools.wraps(command)
    def explained(options: MeterOptions, *given: Any, **named: Any) -> None:
        warn_of_keys(options.given_keys)
        try:
            command(options, *given, **named)
        except HeadEndError as error:
            if not (options.verbose or sys.stderr.isatty()):
                raise
            _explain(error)
            raise typer.Exit(error.exit_code) from None

    return with_options(MeterOptions, explained)


def _explain(error: HeadEndError) -> None:
    """What it most likely means, for a person."""
    from headend.reading.explaining import explanation
    from headend.words import spoken

    sys.stdout.flush()
    for line in explanation(error):
        print(spoken(line), file=sys.stderr)  # noqa: T201
