"""`headend get`, `set`, `call`, `profile`, `objects`: any meter, by class, OBIS and index, without a type file."""

from __future__ import annotations

from typing import Annotated

import typer

from headend.cli.access_options import Access, with_access

ClassId = Annotated[str, typer.Argument(metavar="CLASS", help="Class id or name: 3, register, profile-generic.")]
ObisCode = Annotated[str, typer.Argument(metavar="OBIS", help="1.0.1.8.0.255, 1-0:1.8.0*255, 0100010800ff, or a name.")]


@with_access
def get(
    access: Access,
    class_id: ClassId,
    obis: ObisCode,
    attribute: Annotated[str, typer.Argument(metavar="INDEX", help="Attribute: its number or name.")],
) -> None:
    """Read one attribute of one meter.

    Registers come with their unit. `--json` has each value with its type, as `set` takes it back. Keys come from their
    options, `--keys`, or HEADEND_ENCRYPTION_KEY, HEADEND_AUTHENTICATION_KEY, HEADEND_SECRET and so on; at a terminal
    what is missing is asked for.

    Example: `headend get tcp://127.0.0.1:4059 clock 0.0.1.0.0.255 time`
    """
    from headend.raw_read import get_and_print

    get_and_print(access, class_id, obis, attribute)


@with_access
def profile(
    access: Access,
    obis: ObisCode,
    start: Annotated[
        str | None, typer.Option("--from", help="First stamp: ISO 8601 (the meter's local time), today, yesterday.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last stamp, like --from; or now.")] = None,
    last: Annotated[str | None, typer.Option(help="Back from now: 90m, 24h, 7d, 2w.")] = None,
    entries: Annotated[str | None, typer.Option(help="By number: 1:96, 97:, :96, or -96: for the last 96.")] = None,
    columns: Annotated[str | None, typer.Option(help="Only these: numbers from 1, or OBIS, by commas.")] = None,
    scalers: Annotated[str | None, typer.Option(help="OBIS of the profile that holds the scalers.")] = None,
    zone: Annotated[
        str | None, typer.Option(help="Time zone of the meter: the type's, or this machine's.", show_default=False)
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Numbers as they come, without reading their scalers.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Read rows of a profile of one meter: all, or by time or number.

    Columns are the meter's own capture objects; the registers among them are scaled by their attribute scaler_unit.

    Example: `headend profile tcp://127.0.0.1:4059 1.0.99.1.0.255 --from yesterday --to today`
    """
    from headend.raw_profile import Wanted, profile_and_print

    if access.as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    profile_and_print(access, Wanted(obis, start, end, last, entries, columns, scalers, zone, raw), as_csv=as_csv)


@with_access
def objects(access: Access) -> None:
    """List the objects that the association shows, and what it may do with them.

    Example: `headend objects tcp://127.0.0.1:4059 --json`
    """
    from headend.raw_read import list_and_print

    list_and_print(access)
