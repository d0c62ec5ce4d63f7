"""`headend read ADDRESS WHAT`: one meter, read now."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from headend.cli.meter_options import MeterOptions, with_meter


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


@with_meter
def read(
    options: MeterOptions,
    what: Annotated[What, typer.Argument(help="What to read.")],
    log: Annotated[
        str | None, typer.Argument(help="Of events, one log: voltage, current, power, transaction, other, …")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Begin here: ISO 8601 (meter's local time), today, yesterday.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="End here, like --from; if not given, now.")] = None,
    last: Annotated[str | None, typer.Option("--last", help="Back from now: 90m, 24h, 7d, 2w.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Give JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Give CSV.")] = False,
    as_parquet: Annotated[bool, typer.Option("--parquet", help="Give Parquet.")] = False,
    plot: Annotated[bool, typer.Option("--plot", help="Draw curves and bars.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file; .json, .csv and .parquet say the form.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write an HTML report to hand over, too.")] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Keep all that was said in this new file, for the office.")
    ] = None,
) -> None:
    """Read one meter, and show or write what it said.

    Keys come from --keys, else from HEADEND_ENCRYPTION_KEY, HEADEND_AUTHENTICATION_KEY and HEADEND_SECRET, or are asked
    for with --ask. Times are the meter's own; rows that can't be believed are shown apart.

    Example: `headend read tcp://127.0.0.1:4059 block-load --last 7d --keys meter.toml --plot`

    Example: `headend read 'serial:///dev/ttyUSB0?mode=e' all --keys meter.toml --report meter.html`

    Example: `headend read tcp://127.0.0.1:4059 all --keys meter.toml --save pole-17.session` (`headend open` shows it)
    """
    from headend.reading.command import Outputs, form_of, read_and_give
    from headend.reading.span import Span
    from headend.single_read import SingleRead

    if log is not None and what is not What.EVENTS:
        raise typer.BadParameter("only events have logs to choose from")
    form = form_of({"json": as_json, "csv": as_csv, "parquet": as_parquet}, out)
    wanted = SingleRead(options, what.value, Span(start, end, last), log, save)
    read_and_give(wanted, Outputs(form, out, report, plot=plot))
