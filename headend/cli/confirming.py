"""How a person confirms a change of a meter: options, and questions at a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headend.acts.deed import Confirmation

Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]
Serial = Annotated[
    str | None, typer.Option("--serial", help="The meter's serial number, in place of typing it.", show_default=False)
]
SerialObject = Annotated[
    str | None,
    typer.Option("--serial-object", help="OBIS of the serial number (0.0.96.1.0.255).", show_default=False),
]


def confirmation_of(yes: bool, serial: str | None) -> Confirmation:
    """What the options say, and how to ask for the rest where there is a terminal."""
    from headend.acts.deed import Confirmation
    from headend.words import spoken, words

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return Confirmation(yes, serial, None, None)
    return Confirmation(
        yes,
        serial,
        ask=lambda: typer.confirm(spoken(words("acts.go_on")), err=True),
        ask_serial=lambda: typer.prompt(spoken(words("acts.type_serial")), default="", show_default=False, err=True),
    )
