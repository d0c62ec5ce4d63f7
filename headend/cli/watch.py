"""`headend watch ADDRESS`: the values of this moment, again and again."""

from __future__ import annotations

from typing import Annotated

import typer

from headend.cli.meter_options import MeterOptions, with_meter
from headend.cli.options import Json


@with_meter
def watch(
    options: MeterOptions,
    every: Annotated[str, typer.Option("--every", help="How often: 1s, 5s, 1m.")] = "5s",
    values: Annotated[
        str | None, typer.Option("--values", help="Those whose name has one of these words: voltage,current.")
    ] = None,
    length: Annotated[str | None, typer.Option("--for", help="End after so long: 30s, 10m, 2h.")] = None,
    count: Annotated[int | None, typer.Option("--count", help="End after so many.", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Show voltage, current, power and what else the meter tells of this moment, as it changes, until Ctrl-C.

    On a terminal a table with the course of each value; in a pipe a line each time, with --json an object. The meter is
    asked in one association, which is opened again where the link breaks, and is released at the end.

    Example: `headend watch tcp://127.0.0.1:4059 --keys meter.toml --every 2s --values voltage,current`
    """
    import sys

    from headend.interrupting import run_with_meter
    from headend.times import parse_span
    from headend.watch.watch_showing import Lines, Said, Showing, moving
    from headend.watch.watching import Watching
    from headend.watch.watching import watch as watch_meter

    every_s = parse_span(every).total_seconds()
    for_s = parse_span(length).total_seconds() if length is not None else None
    words = tuple(filter(None, (values or "").split(",")))
    wanted = Watching(every_s, words, count, for_s)

    def run(showing: Showing) -> None:
        telling = Said(showing, verbose=options.verbose)
        run_with_meter(watch_meter(options, wanted, telling, showing.begun, showing.show))

    if as_json or not sys.stdout.isatty():
        run(Lines(as_json=as_json))
        return
    with moving(every_s) as showing:
        run(showing)
