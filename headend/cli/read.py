"""`headend read ADDRESS WHAT`: one meter, read now."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from headend.cli.options import warn_of_keys


class What(enum.StrEnum):
    NOW = "now"
    BLOCK_LOAD = "block-load"
    DAILY = "daily"
    BILLING = "billing"
    EVENTS = "events"
    NAMEPLATE = "nameplate"
    CLOCK = "clock"
    STATUS = "status"
    ALL = "all"


class Language(enum.StrEnum):
    ENGLISH = "en"
    HINDI = "hi"


def read(
    address: Annotated[
        str,
        typer.Argument(
            help="Where the meter is: tcp://host:4059 (also ?client=48&timeout=20), udp://, hdlc+tcp://, rfc2217://, "
            "serial:///dev/ttyUSB0?baud=9600 or ?mode=e."
        ),
    ],
    what: Annotated[What, typer.Argument(help="What to read.")],
    log: Annotated[
        str | None, typer.Argument(help="Of events, one log: voltage, current, power, transaction, other, …")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Begin here: ISO 8601 (meter's local time), today, yesterday.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="End here, like --from; if not given, now.")] = None,
    last: Annotated[str | None, typer.Option("--last", help="Back from now: 90m, 24h, 7d, 2w.")] = None,
    meter_type: Annotated[
        str | None,
        typer.Option("--type", help="Meter type, or a type file; else as the list says, or by what it captures."),
    ] = None,
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
    as_json: Annotated[bool, typer.Option("--json", help="Give JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Give CSV.")] = False,
    as_parquet: Annotated[bool, typer.Option("--parquet", help="Give Parquet.")] = False,
    plot: Annotated[bool, typer.Option("--plot", help="Draw curves and bars.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file; .json, .csv and .parquet say the form.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write an HTML report to hand over, too.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell each step in plain words.")] = False,
    trace: Annotated[
        Path | None, typer.Option(help="Write each frame, with time and direction and without passwords, to this file.")
    ] = None,
    language: Annotated[
        Language | None, typer.Option("--lang", help="Of events and explanations; if not given, LANG says.")
    ] = None,
) -> None:
    """Read one meter, and show or write what it said.

    Keys come from --keys, else from HEADEND_ENCRYPTION_KEY, HEADEND_AUTHENTICATION_KEY and HEADEND_SECRET, or are asked
    for with --ask. Times are the meter's own; rows that can't be believed are shown apart.

    Example: `headend read tcp://127.0.0.1:4059 block-load --last 7d --keys meter.toml --plot`

    Example: `headend read 'serial:///dev/ttyUSB0?mode=e' all --keys meter.toml --report meter.html`
    """
    from headend.reading.command import Outputs, form_of, read_and_give
    from headend.reading.span import Span
    from headend.single_read import SingleRead

    if log is not None and what is not What.EVENTS:
        raise typer.BadParameter("only events have logs to choose from")
    form = form_of({"json": as_json, "csv": as_csv, "parquet": as_parquet}, out)
    given = {"encryption_key": encryption_key, "authentication_key": authentication_key, "secret": secret}
    warn_of_keys(given)
    wanted = SingleRead(
        address=address,
        what=what.value,
        span=Span(start, end, last),
        log=log,
        meter_type=meter_type,
        key_file=keys,
        given_keys={name: value for name, value in given.items() if value is not None},
        ask=ask,
        system_title=system_title,
        counter_file=counters,
        accept_counter=accept_counter,
        trace=trace,
        language=language.value if language is not None else "",
    )
    read_and_give(wanted, Outputs(form, out, report, plot=plot), verbose=verbose)
