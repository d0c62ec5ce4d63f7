"""`headend run`, the daemon, and `headend status`."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated

import typer

from headend.cli.options import NO_METERS, Config, Dsn, Json, settings_of


def run(
    config: Config = None,
    dsn: Dsn = None,
    role: Annotated[
        str, typer.Option(help="What this node does, with commas between: collect, listen, jobs.", metavar="ROLES")
    ] = "collect,listen,jobs",
) -> None:
    """Collect from every registered meter when it is due, until SIGTERM or Ctrl-C.

    Whatever is not stored is still owed and asked again: it may be stopped, or killed, at any moment. Several nodes on
    one database share the work; roles say which of it a node does.

    Example: `headend run --config /etc/headend/headend.toml`
    """
    from headend import daemon
    from headend.logs import configure_logs

    roles = daemon.roles_of(role)
    settings = settings_of(config, dsn)
    configure_logs(settings.log.level, settings.log.format)
    with daemon.database(settings) as place:
        daemon.run_async(lambda: daemon.run(settings, place, roles, lambda: settings_of(config, dsn)))


def status(
    config: Config = None,
    dsn: Dsn = None,
    days: Annotated[float, typer.Option(help="How far back, in days.", min=0.01, max=400)] = 1.0,
    as_json: Json = False,
) -> None:
    """Show how complete the last days are, by division, and which meters need a look.

    Example: `headend status --days 7 --json`
    """
    import asyncio

    from headend import daemon
    from headend.store.status import read_status

    settings = settings_of(config, dsn)
    until = daemon.utc_now()
    with daemon.database(settings, make=False) as place:
        rows, troubles = asyncio.run(read_status(place, until - timedelta(days=days), until))
    if as_json:
        typer.echo(
            json.dumps({"divisions": [row._asdict() for row in rows], "troubles": [t._asdict() for t in troubles]})
        )
        return
    if not rows:
        typer.echo(NO_METERS)
        return
    from headend.printing import print_status

    print_status(rows, troubles)
