"""`headend run`, the daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from headend.cli.options import Config, Dsn, settings_of


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
    from headend.store.where import database
    from headend.waiting import run_async

    roles = daemon.roles_of(role)
    settings = settings_of(config, dsn)
    configure_logs(settings.log.level, settings.log.format)
    with database(settings) as place:
        run_async(lambda: daemon.run(settings, place, roles, lambda: settings_of(config, dsn)))
