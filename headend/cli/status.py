"""`headend status`: what the nodes do now, how well the last days were served, and what needs a look."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headend.cli.options import NO_METERS, Config, Dsn, Json, settings_of

if TYPE_CHECKING:
    from headend.seeing.live import Level, Live
    from headend.store.status import Completeness, Trouble

WATCH_EVERY_S = 2.0


def status(
    config: Config = None,
    dsn: Dsn = None,
    days: Annotated[float, typer.Option(help="How far back, in days.", min=0.01, max=400)] = 1.0,
    watch: Annotated[bool, typer.Option("--watch", help="Show the nodes now, and again every two seconds.")] = False,
    as_json: Json = False,
) -> None:
    """Show what the nodes do, service levels by day, how complete divisions are, and which meters need a look.

    Example: `headend status --days 7 --json`
    """
    import asyncio

    from headend.store.where import database
    from headend.times import utc_now

    if watch and (as_json or not sys.stdout.isatty()):
        raise typer.BadParameter("it is for a terminal: leave it out, and ask again", param_hint="--watch")
    settings = settings_of(config, dsn)
    until = utc_now()
    with database(settings, make=False) as place:
        if watch:
            asyncio.run(_watch(place))
            return
        live, levels, rows, troubles = asyncio.run(_read(place, until - timedelta(days=days), until))
    if as_json:
        _print_json(live, levels, rows, troubles)
        return
    from rich.console import Console

    from headend.printing import print_status, print_whole
    from headend.seeing.showing import levels_table, live_tables

    if not rows:
        typer.echo(NO_METERS)
        return
    Console(width=max(Console().width, 140)).print(live_tables(live, until))
    print_whole(levels_table(levels))
    print_status(rows, troubles)


async def _read(
    place: str, start: datetime, until: datetime
) -> tuple[Live, list[Level], list[Completeness], list[Trouble]]:
    from headend.seeing.live import read_levels, read_live
    from headend.store.database import connect
    from headend.store.status import read_status

    rows, troubles = await read_status(place, start, until)
    async with await connect(place) as connection:
        return await read_live(connection, until), await read_levels(connection, start, until), rows, troubles


async def _watch(place: str) -> None:
    """Until Ctrl-C, whatever becomes of the database meanwhile."""
    import asyncio

    from rich.live import Live as Screen

    from headend.seeing.live import read_live
    from headend.seeing.showing import live_tables
    from headend.store.database import connect
    from headend.times import utc_now
    from profiles.errors import StoreError

    with Screen(auto_refresh=False) as screen:
        while True:
            try:
                async with await connect(place) as connection:
                    while True:
                        now = utc_now()
                        screen.update(live_tables(await read_live(connection, now), now), refresh=True)
                        await asyncio.sleep(WATCH_EVERY_S)
            except StoreError as error:
                if not error.retry:
                    raise
                screen.update(str(error), refresh=True)
                await asyncio.sleep(WATCH_EVERY_S)


def _print_json(live: Live, levels: list[Level], rows: list[Completeness], troubles: list[Trouble]) -> None:
    plain = live._asdict() | {
        "nodes": [node._asdict() for node in live.nodes],
        "segments_down": [segment._asdict() for segment in live.segments_down],
        "days": [level._asdict() for level in levels],
        "divisions": [row._asdict() for row in rows],
        "troubles": [trouble._asdict() for trouble in troubles],
    }
    typer.echo(json.dumps(plain, default=_plain))


def _plain(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)
