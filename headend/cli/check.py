"""`headend check ADDRESS`: what is wrong with one meter, and how it is mended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headend.cli.meter_options import MeterOptions, with_meter
from headend.cli.options import Json


@with_meter
def check(
    options: MeterOptions,
    days: Annotated[int, typer.Option("--days", help="Look for gaps in so many of the last days.", min=1, max=60)] = 3,
    push_to: Annotated[
        str | None, typer.Option("--push-to", help="Where the meter's pushes should go: HOST:PORT.")
    ] = None,
    save_type: Annotated[
        Path | None, typer.Option("--save-type", help="Write a meter type of what the meter said: FILE.toml.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Examine one meter: link, keys, counters, clock, objects, columns, gaps, pushes; a remedy for each finding.

    Nothing is changed in the meter. Each association is asked once, and no wrong password twice: meters lock
    themselves. Exit code 0 says that the meter is good, 1 that there is something to mend.

    Example: `headend check tcp://127.0.0.1:4059 --keys meter.toml --days 7 --push-to 10.0.0.5:4059`

    Example: `headend check 'serial:///dev/ttyUSB0?mode=e' --keys meter.toml --save-type new-meter.toml`
    """
    if save_type is not None and save_type.suffix != ".toml":
        raise typer.BadParameter(f"{save_type} is no name of a type file: have it end in .toml")
    from headend.check.command import check_and_tell
    from headend.check.patient import Wanted

    raise typer.Exit(check_and_tell(options, Wanted(days, push_to, save_type), as_json=as_json))
