"""`headend meters …`: the registry."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from headend.cli.discovered import discovered
from headend.cli.meter_changes import Name, park, replace, retire, set_, unpark
from headend.cli.options import NO_METERS, Config, Dsn, Json, settings_of

if TYPE_CHECKING:
    from headend.meter_facts import MeterFacts
    from headend.registry import Meter, Tell

app = typer.Typer(no_args_is_help=True, help="The registry of meters: import, list, show, change, replace, retire.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Meter list: CSV in UTF-8, the first line names the columns.")],
    config: Config = None,
    dsn: Dsn = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Take a meter list, keys included, into the registry: all of it or, with any fault in it, nothing.

    Importing it again changes nothing; an empty cell leaves alone what is stored. Keys are stored encrypted.

    Columns: name, serial, address, meter_type, commissioned_at (all needed); circle, division, feeder, transformer,
    consumer_id, segment, system_title, device_id, encryption_key, authentication_key, lls_secret, hls_secret,
    master_key. docs/reference.md explains them; `headend simulate --registry meters.csv` writes such a list.

    Example: `headend meters import meters.csv --dry-run`
    """
    import asyncio
    from dataclasses import asdict

    from headend.meter_types import MeterTypes
    from headend.registry import Imported, import_meters
    from headend.store.database import connect
    from headend.store.migrate import migrate
    from headend.store.where import database
    from headend.times import utc_now
    from headend.vault import Vault, load_kek
    from profiles.errors import SettingsError

    settings = settings_of(config, dsn)
    vault, types = Vault(load_kek(settings.vault.kek_file)), MeterTypes(settings.meter_types)

    async def take(place: str, lines: TextIO) -> Imported:
        await migrate(place, zone=settings.utility.zone)
        now = utc_now()
        async with await connect(place) as connection:
            try:
                with _progress(lines) as (counted, tell):
                    return await import_meters(connection, counted, types, vault, now=now, dry_run=dry_run, tell=tell)
            except SettingsError as error:
                raise error.at(asked=str(file)) from None

    try:
        with open(file, encoding="utf-8", newline="") as lines, database(settings) as place:
            done = asyncio.run(take(place, lines))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} can't be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    if as_json:
        typer.echo(json.dumps({**asdict(done), "dry_run": dry_run}))
        return
    told = f"{done.created} meters new, {done.updated} changed, {done.unchanged} as before; {done.keys} keys stored"
    typer.echo(f"nothing is changed; it would be: {told}" if dry_run else told)


@contextmanager
def _progress(lines: TextIO) -> Iterator[tuple[Iterator[str], Tell]]:
    """The lines, and who shows on stderr, if that is a terminal, how far it is; gone afterwards."""
    if not sys.stderr.isatty():
        yield iter(lines), lambda what, done, of: None
        return
    from os import fstat

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("reading", total=fstat(lines.fileno()).st_size)

        def counted() -> Iterator[str]:
            for line in lines:
                shown.advance(task, len(line))
                yield line

        def tell(what: str, done: int, of: int | None) -> None:
            if what == "reading":
                shown.update(task, description=f"reading, {done:,} meters")
            else:
                shown.update(task, description=what, completed=done, total=of)

        yield counted(), tell


@app.command("list")
def list_(
    config: Config = None,
    dsn: Dsn = None,
    parked: Annotated[bool, typer.Option("--parked", help="Only meters that are parked.")] = False,
    state: Annotated[
        Literal["registered", "discovered", "active", "silent", "retired"] | None,
        typer.Option(help="Only meters in this state."),
    ] = None,
    division: Annotated[str | None, typer.Option(help="Only meters of this division.")] = None,
    transformer: Annotated[str | None, typer.Option(help="Only meters on this transformer.")] = None,
    as_json: Json = False,
) -> None:
    """List meters, where they answer and how they last did.

    Example: `headend meters list --parked`
    """
    import asyncio

    from headend.meter_page import as_plain
    from headend.printing import print_meters
    from headend.registry import list_meters
    from headend.store.database import connect
    from headend.store.where import database

    settings = settings_of(config, dsn)
    anything = parked or state or division or transformer

    async def load(place: str) -> list[Meter]:
        wanted = {"state": state, "division": division, "transformer": transformer}
        async with await connect(place) as connection:
            return [meter async for meter in list_meters(connection, parked=parked or None, **wanted)]

    with database(settings, make=False) as place:
        meters = asyncio.run(load(place))
    if as_json:
        typer.echo(json.dumps([as_plain(meter) for meter in meters]))
    elif meters:
        print_meters(meters)
    else:
        typer.echo("no meter is parked" if parked else "there is no such meter" if anything else NO_METERS)


@app.command()
def show(name: Name, config: Config = None, dsn: Dsn = None, as_json: Json = False) -> None:
    """Show all that is known of a meter: places, contact, what it owes, clock, counters, keys by type and version.

    Example: `headend meters show bhopal-city-00017`
    """
    import asyncio

    from headend.meter_facts import load_facts
    from headend.meter_page import as_plain, page
    from headend.meter_types import MeterTypes
    from headend.store.database import connect
    from headend.store.where import database
    from headend.times import utc_now

    settings = settings_of(config, dsn)

    async def load(place: str) -> MeterFacts:
        async with await connect(place) as connection:
            return await load_facts(connection, name, MeterTypes(settings.meter_types), utc_now())

    with database(settings, make=False) as place:
        facts = asyncio.run(load(place))
    typer.echo(json.dumps(as_plain(facts)) if as_json else page(facts))


app.command("set")(set_)
app.command("replace")(replace)
app.command("retire")(retire)
app.command("park")(park)
app.command("unpark")(unpark)
app.command("discovered")(discovered)
