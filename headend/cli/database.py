"""`headend db …`: the database."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from headend.cli.options import Config, Dsn, Json, settings_of

app = typer.Typer(no_args_is_help=True, help="The database: bring it up to date, and see whether it fits the fleet.")

EDITIONS = {
    "apache": "TimescaleDB, Apache edition",
    "timescale": "TimescaleDB, Community edition",
    "postgresql": "PostgreSQL with native partitions",
}


@app.callback()
def _group() -> None:
    """The database: bring it up to date, and see whether it fits the fleet."""


@app.command()
def migrate(config: Config = None, dsn: Dsn = None) -> None:
    """Make or update the tables. The daemon does the same at its start; doing it again changes nothing.

    Example: `headend db migrate --dsn postgresql://headend@127.0.0.1/headend`
    """
    import asyncio

    from headend.store.migrate import migrate as bring_up_to_date
    from headend.store.where import database

    settings = settings_of(config, dsn)
    with database(settings) as place:
        edition = asyncio.run(
            bring_up_to_date(place, zone=settings.utility.zone, chunk_interval=settings.database.chunk_interval)
        )
    typer.echo(f"the database is up to date: {EDITIONS[edition]}")


@app.command()
def check(config: Config = None, dsn: Dsn = None, as_json: Json = False) -> None:
    """Judge the server's settings against the registered fleet. Exit code 1 where something is wrong.

    Example: `headend db check --json`
    """
    import asyncio

    from headend.store.database import connect
    from headend.store.where import database
    from headend.times import utc_now
    from headend.upkeep.check import Finding
    from headend.upkeep.check import check as judge
    from headend.upkeep.facts import facts

    settings = settings_of(config, dsn)

    async def look(place: str) -> list[Finding]:
        async with await connect(place) as connection:
            return judge(await facts(connection, settings, utc_now()), settings)

    with database(settings, make=False) as place:
        findings = asyncio.run(look(place))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            typer.echo(f"{finding.verdict:7}{finding.matter}: {finding.finding}")
            if finding.remedy:
                typer.echo(f"{'':7}{finding.remedy}")
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(1)
