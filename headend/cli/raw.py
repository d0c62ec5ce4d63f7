"""`headend get`, `set`, `call`, `profile`, `objects`: any meter, by class, OBIS and index, without a type file."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from headend.cli.access_options import Access, with_access
from headend.cli.confirming import Serial, SerialObject, Yes, confirmation_of

VALUE_HELP: Final = (
    "null, true, u8:5, i32:-7, f64:1.5, enum:2, bits:0101, str:text, octets:00ff, datetime:2026-01-31T06:15+05:30, "
    "double-long-unsigned:5, JSON as --json prints it, @FILE, or - for standard input."
)

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
def set_(
    access: Access,
    class_id: ClassId,
    obis: ObisCode,
    attribute: Annotated[str, typer.Argument(metavar="INDEX", help="Attribute: its number or name.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help=VALUE_HELP)],
    yes: Yes = False,
    serial: Serial = None,
    serial_object: SerialObject = None,
) -> None:
    """Set one attribute of one meter, and show what it was before and is after.

    Asks first, unless `--yes` is there. On associations, image transfer, security setup, disconnect control and limiter
    the meter's serial number has to be typed, or given with `--serial`; `--yes` is not enough. Every act is a line in
    the audit file beside the counter file.

    Example: `headend set tcp://127.0.0.1:4059 profile-generic 1.0.99.1.0.255 capture_period u32:900`
    """
    from headend.raw_act import set_and_print

    set_and_print(access, (class_id, obis, attribute), _value(value), confirmation_of(yes, serial), serial_object)


@with_access
def call(
    access: Access,
    class_id: ClassId,
    obis: ObisCode,
    method: Annotated[str, typer.Argument(metavar="INDEX", help="Method: its number or name.")],
    value: Annotated[str | None, typer.Argument(metavar="[VALUE]", help=f"Its parameters. {VALUE_HELP}")] = None,
    yes: Yes = False,
    serial: Serial = None,
    serial_object: SerialObject = None,
) -> None:
    """Call one method of one meter, and show what it returned and what it changed.

    Confirmed and recorded as `set` is.

    Example: `headend call tcp://127.0.0.1:4059 disconnect-control 0.0.96.3.10.255 remote_reconnect i8:0`
    """
    from headend.raw_act import call_and_print

    parameters = None if value is None else _value(value)
    call_and_print(access, (class_id, obis, method), parameters, confirmation_of(yes, serial), serial_object)


def _value(text: str) -> str:
    """VALUE itself, or what the file or standard input holds."""
    from headend.raw_values import MAX_TEXT
    from profiles.errors import SettingsError

    if text != "-" and not text.startswith("@"):
        return text
    try:
        if text == "-":
            return sys.stdin.read(MAX_TEXT + 1)
        with open(text[1:], encoding="utf-8") as file:
            return file.read(MAX_TEXT + 1)
    except OSError as error:
        raise SettingsError(f"{text[1:]} can't be read: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"{text[1:] or 'standard input'} holds no text") from None


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
