"""`headend read ADDRESS WHAT`: one meter, read now, printed."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from headend.cli.options import warn_of_keys


class What(enum.StrEnum):
    BLOCK_LOAD = "block-load"


def read(
    address: Annotated[
        str,
        typer.Argument(
            help="Where the meter is: tcp://host:4059 (also ?client=48&timeout=20), udp://, hdlc+tcp://, rfc2217://, "
            "serial:///dev/ttyUSB0?baud=9600 or ?mode=e."
        ),
    ],
    what: Annotated[What, typer.Argument(help="What to read.")],
    start: Annotated[
        str, typer.Option("--from", help="First interval start: ISO 8601 (meter's local time), today, yesterday.")
    ] = "yesterday",
    end: Annotated[str, typer.Option("--to", help="End of the last interval, like --from; or now.")] = "now",
    meter_type: Annotated[str, typer.Option("--type", help="Meter type, or a type file.")] = "is15959-1ph",
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            help="A meter list (.csv), or TOML with encryption_key, authentication_key, lls_secret or hls_secret.",
        ),
    ] = None,
    encryption_key: Annotated[
        str | None, typer.Option(help="Hex, a file, or env:NAME. Hex is visible to others on this machine.")
    ] = None,
    authentication_key: Annotated[str | None, typer.Option(help="As above.")] = None,
    secret: Annotated[
        str | None, typer.Option(help="LLS password or HLS secret: the text (visible to others), @FILE, or env:NAME.")
    ] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask for the keys that are missing.")] = False,
    system_title: Annotated[
        str | None, typer.Option(help="Refuse any meter but the one with this system title (16 hex digits).")
    ] = None,
    counters: Annotated[
        Path | None, typer.Option(help="Where this machine keeps its invocation counters.", show_default=False)
    ] = None,
    accept_counter: Annotated[
        bool, typer.Option("--accept-counter", help="Believe the meter's counter even if it is far above ours.")
    ] = False,
    trace: Annotated[
        Path | None, typer.Option(help="Write each frame, with time and direction and without passwords, to this file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Read one meter and print what it said.

    Keys come from --keys, else from HEADEND_ENCRYPTION_KEY, HEADEND_AUTHENTICATION_KEY and HEADEND_SECRET, or are asked
    for with --ask. Times are the meter's own; rows that can't be believed are shown apart.

    Example: `headend read tcp://127.0.0.1:4059 block-load --from 2026-01-01 --to 2026-01-02 --keys meter.toml --json`
    """
    from headend.printing import Form
    from headend.single_read import SingleRead, read_and_print

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    given = {"encryption_key": encryption_key, "authentication_key": authentication_key, "secret": secret}
    warn_of_keys(given)
    read_and_print(
        SingleRead(
            address=address,
            profile=what.value.replace("-", "_"),
            start=start,
            end=end,
            meter_type=meter_type,
            key_file=keys,
            given_keys={name: value for name, value in given.items() if value is not None},
            ask=ask,
            system_title=system_title,
            counter_file=counters,
            accept_counter=accept_counter,
            trace=trace,
        ),
        Form.JSON if as_json else Form.CSV if as_csv else Form.TABLE,
    )
