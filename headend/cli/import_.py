"""`headend import FILE`: what `headend read --save` kept, into the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headend.cli.options import Config, Dsn, Json, settings_of

if TYPE_CHECKING:
    from headend.session_file.loading import Loaded


def import_(
    file: Annotated[Path, typer.Argument(help="A session file.")],
    config: Config = None,
    dsn: Dsn = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would change.")] = False,
    as_json: Json = False,
) -> None:
    """Store what a session file brings of a registered meter; twice changes nothing.

    The exit code is 1 where part of the file can't be read.

    Example: `headend import pole-17.session --dry-run`
    """
    import asyncio
    import json

    from headend.meter_types import MeterTypes
    from headend.session_file.loading import load
    from headend.session_file.zipped import read_session_file
    from headend.store.where import database
    from headend.times import utc_now

    settings = settings_of(config, dsn)
    kept = read_session_file(file)
    types = MeterTypes(settings.meter_types)
    with database(settings, make=False) as place:
        loaded = asyncio.run(load(place, kept, types, now=utc_now(), dry_run=dry_run))
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "broken": kept.manifest.broken, **loaded.to_plain()}))
    else:
        _tell(loaded, kept.manifest.broken, dry_run=dry_run)
    if loaded.problems:
        raise typer.Exit(1)


def _tell(loaded: Loaded, broken: str | None, *, dry_run: bool) -> None:
    from headend.words import words

    written = loaded.written
    if broken is not None:
        typer.echo(f"headend: {words('session_file.ended_early', why=broken)}", err=True)
    for problem in loaded.problems:
        typer.echo(f"headend: can't be read: {problem}", err=True)
    typer.echo(
        f"{'nothing is changed; it would be: ' if dry_run else ''}{loaded.meter}: "
        f"{written.inserted:,} intervals new, {written.updated:,} changed, {written.unchanged:,} as before; "
        f"{written.profiles:,} rows of other profiles, {written.events:,} events, "
        f"{written.suspects:,} rows that are not believed"
    )
