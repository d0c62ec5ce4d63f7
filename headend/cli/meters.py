"""`headend meters …`: the registry."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headend.cli.discovered import discovered
from headend.cli.options import NO_METERS, Config, Dsn, Json, settings_of

if TYPE_CHECKING:
    from headend.registry import Meter

app = typer.Typer(no_args_is_help=True, help="The registry of meters: import, list, unpark.")
app.command("discovered")(discovered)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Meter list: CSV in UTF-8, the first line names the columns.")],
    config: Config = None,
    dsn: Dsn = None,
) -> None:
    """Take a meter list, keys included, into the registry: all of it or, with any fault in it, nothing.

    Importing it again changes nothing; an empty cell leaves alone what is stored. Keys are stored encrypted.

    Columns: name, serial, address, meter_type, commissioned_at (all needed); division, system_title, device_id,
    encryption_key, authentication_key, lls_secret, hls_secret, master_key. docs/reference.md explains them;
    `headend simulate --registry meters.csv` writes such a list.

    Example: `headend meters import meters.csv --config /etc/headend/headend.toml`
    """
    import asyncio

    from headend import daemon
    from headend.registry import Imported, import_meters
    from headend.store.database import connect
    from headend.store.migrate import migrate
    from headend.vault import Vault, load_kek
    from profiles.errors import SettingsError

    settings = settings_of(config, dsn)
    vault, types = Vault(load_kek(settings.vault.kek_file)), daemon.load_types(settings)

    async def take(place: str) -> Imported:
        await migrate(place, zone=settings.utility.zone)
        async with await connect(place) as connection:
            try:
                return await import_meters(connection, lines, types, vault, now=daemon.utc_now())
            except SettingsError as error:
                raise error.at(asked=str(file)) from None

    try:
        with open(file, encoding="utf-8", newline="") as lines, daemon.database(settings) as place:
            done = asyncio.run(take(place))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} can't be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    typer.echo(
        f"{done.created} meters new, {done.updated} changed, {done.unchanged} as before; {done.keys} keys stored"
    )


@app.command("list")
def list_(
    config: Config = None,
    dsn: Dsn = None,
    parked: Annotated[bool, typer.Option("--parked", help="Only meters that are parked.")] = False,
    as_json: Json = False,
) -> None:
    """List meters, where they answer and how they last did.

    Example: `headend meters list --parked`
    """
    import asyncio

    from headend import daemon
    from headend.printing import print_meters
    from headend.registry import load_meters
    from headend.store.database import connect

    settings = settings_of(config, dsn)

    async def load(place: str) -> list[Meter]:
        meters: list[Meter] = []
        async with await connect(place) as connection:
            while part := await load_meters(connection, after=meters[-1].id if meters else 0):
                meters += part
        return [meter for meter in meters if meter.parked_reason is not None or not parked]

    with daemon.database(settings, make=False) as place:
        meters = asyncio.run(load(place))
    if as_json:
        typer.echo(json.dumps([_as_json(meter) for meter in meters]))
        return
    if not meters:
        typer.echo("no meter is parked" if parked else NO_METERS)
        return
    print_meters(meters)


def _as_json(meter: Meter) -> dict[str, object]:
    from dataclasses import asdict

    def plain(value: object) -> object:
        if isinstance(value, bytes):
            return value.hex().upper()
        return value.isoformat() if isinstance(value, datetime) else value

    return {name: plain(value) for name, value in asdict(meter).items()}


@app.command()
def unpark(
    name: Annotated[str, typer.Argument(help="Name or serial number.")],
    config: Config = None,
    dsn: Dsn = None,
    accept_counter: Annotated[
        bool,
        typer.Option(
            "--accept-counter", help="Believe the invocation counter that the meter says, however far above ours."
        ),
    ] = False,
) -> None:
    """Read a parked meter again, after someone has looked at why it was parked.

    Example: `headend meters unpark bhopal-city-00017`
    """
    import asyncio

    from headend import daemon
    from headend.unpark import unpark as again

    settings = settings_of(config, dsn)
    with daemon.database(settings, make=False) as place:
        asyncio.run(again(settings, place, name, accept_counter=accept_counter))
    typer.echo(f"{name} is read again from the next cycle on")
