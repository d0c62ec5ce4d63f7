"""`headend db …`: the database."""

from __future__ import annotations

import typer

from headend.cli.options import Config, Dsn, settings_of

app = typer.Typer(no_args_is_help=True, help="The database: bring it up to date.")

EDITIONS = {
    "apache": "TimescaleDB, Apache edition",
    "timescale": "TimescaleDB, Community edition",
    "postgresql": "PostgreSQL with native partitions",
}


@app.callback()
def _group() -> None:
    """The database: bring it up to date."""


@app.command()
def migrate(config: Config = None, dsn: Dsn = None) -> None:
    """Make or update the tables. The daemon does the same at its start; doing it again changes nothing.

    Example: `headend db migrate --dsn postgresql://headend@127.0.0.1/headend`
    """
    import asyncio

    from headend import daemon
    from headend.store.migrate import migrate as bring_up_to_date

    settings = settings_of(config, dsn)
    with daemon.database(settings) as place:
        edition = asyncio.run(
            bring_up_to_date(place, zone=settings.utility.zone, chunk_interval=settings.database.chunk_interval)
        )
    typer.echo(f"the database is up to date: {EDITIONS[edition]}")
