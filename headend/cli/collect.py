"""`headend collect`: collection by hand, of all that is due or of single meters."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from headend.cli.options import Config, Dsn, Json, settings_of


def collect(
    meters: Annotated[
        list[str] | None, typer.Argument(metavar="[METER]...", help="Names or serials of meters to ask now.")
    ] = None,
    config: Config = None,
    dsn: Dsn = None,
    once: Annotated[bool, typer.Option("--once", help="All segments that are due, once.")] = False,
    at: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
            help="As if it were this moment, in the utility's time zone.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Collect by hand what is owed, and end: exit code 1 if any meter failed.

    `--once` makes the jobs of all segments that are due and does them here. With names, a running daemon asks those
    meters at once, before whatever else it does; without a daemon, add --once to do it here.

    Example: `headend collect --once --at 2026-01-02T00:40`, or `headend collect m000017`
    """
    if not once and not meters:
        raise typer.BadParameter("say --once, or which meters")
    import json
    from zoneinfo import ZoneInfo

    from headend.collection.by_hand import collect_once
    from headend.logs import configure_logs
    from headend.store.where import database
    from headend.waiting import run_async

    settings = settings_of(config, dsn)
    configure_logs("warning" if as_json else settings.log.level, settings.log.format)
    moment = None if at is None else at.replace(tzinfo=ZoneInfo(settings.utility.zone))
    with database(settings) as place:
        report = run_async(lambda: collect_once(settings, place, moment, meters or (), here=once))
    if as_json:
        typer.echo(json.dumps(report.to_plain()))
    else:
        typer.echo(str(report))
    if report.failed or report.down or report.held:
        raise typer.Exit(1)
