"""`headend meters discovered`: who pushes and is not registered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from headend.cli.options import Config, Dsn, Json, settings_of

if TYPE_CHECKING:
    from headend.push.discovered import DiscoveredMeter


def discovered(config: Config = None, dsn: Dsn = None, as_json: Json = False) -> None:
    """List who pushes and is not registered, the most recent first. Nothing that they say of themselves is proven.

    Register them with `headend meters import`: a row of the list with this system title, or this device id.

    Example: `headend meters discovered --json`
    """
    import asyncio

    from headend.push.discovered import load_discovered
    from headend.store.database import connect
    from headend.store.where import database

    settings = settings_of(config, dsn)

    async def load(place: str) -> list[DiscoveredMeter]:
        async with await connect(place) as connection:
            return await load_discovered(connection)

    with database(settings, make=False) as place:
        found = asyncio.run(load(place))
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in found]))
    elif not found:
        typer.echo("nobody pushes who is not registered")
    else:
        _print(found)


def _plain(one: DiscoveredMeter) -> dict[str, object]:
    return {
        "sender": one.sender,
        "system_title": None if one.system_title is None else bytes(one.system_title).hex().upper(),
        "device_id": one.device_id,
        "peer": one.peer,
        "reason": one.reason,
        "first_seen": one.first_seen.isoformat(),
        "last_seen": one.last_seen.isoformat(),
        "messages": one.messages,
        "first_message": bytes(one.first_message).hex(),
    }


def _print(found: list[DiscoveredMeter]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from headend.printing import print_whole

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("sender", "from", "first seen", "last seen"):
        table.add_column(name)
    table.add_column("messages", justify="right")
    for one in found:
        seen = (one.first_seen, one.last_seen)
        times = [moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") for moment in seen]
        table.add_row(escape(one.sender), escape(one.peer), *times, f"{one.messages:,}")
    print_whole(table)
    typer.echo("to register them, add them to a meter list and run `headend meters import`")
