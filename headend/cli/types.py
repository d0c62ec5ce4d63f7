"""`headend types [NAME [PROFILE]]`: what is known of meter types; and whether a type file is right."""

from __future__ import annotations

from typing import Annotated

import typer

from headend.cli.options import Json


def types(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME | FILE.toml]",
            help="A meter type, with quirks as in is15959-ltct+lt-deviation, or a file to check. Without: the list.",
        ),
    ] = None,
    profile: Annotated[str | None, typer.Argument(help="A profile or push of it: its columns.")] = None,
    maker: Annotated[
        str | None, typer.Option("--maker", help="Add the quirks known of this maker, as a nameplate names it.")
    ] = None,
    firmware: Annotated[str, typer.Option("--firmware", help="The nameplate's firmware version.")] = "",
    as_json: Json = False,
) -> None:
    """List the meter types, explain one, or check a file.

    A file is checked as it is when the program uses it; what is wrong is told with line and key (exit code 3).

    Example: `headend types is15959-1ph block_load`
    """
    from headend.type_printing import print_columns, print_type, print_types
    from profiles.loader import load_for_nameplate, load_meter_type

    if name is None:
        if maker is not None:
            raise typer.BadParameter("--maker needs a meter type")
        print_types(as_json=as_json)
        return
    meter_type = load_meter_type(name) if maker is None else load_for_nameplate(name, maker, firmware)
    if profile is None:
        print_type(meter_type, as_json=as_json)
    else:
        print_columns(meter_type, profile, as_json=as_json)
