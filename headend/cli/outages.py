"""`headend outages`: where there is, or was, no power."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from headend.cli.options import Config, Dsn, Json, settings_of

if TYPE_CHECKING:
    from headend.outages.listing import Outage


def outages(
    config: Config = None,
    dsn: Dsn = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that go on.")] = False,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Those that touch a day in the utility's zone.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show outages of meters, transformers and feeders: those that go on first, then the latest.

    Example: `headend outages --open`
    """
    import asyncio
    import json

    from headend.outages import listing
    from headend.store.database import connect
    from headend.store.where import database

    async def load(place: str) -> list[Outage]:
        async with await connect(place) as connection:
            return await listing.outages(connection, only_open=only_open, day=day.date() if day else None)

    with database(settings_of(config, dsn), make=False) as place:
        found = asyncio.run(load(place))
    if as_json:
        typer.echo(json.dumps([one._asdict() for one in found], default=datetime.isoformat))
    elif found:
        from headend.outages.printing import print_outages

        print_outages(found)
    else:
        typer.echo("no outage goes on" if only_open else "no outage is known")
