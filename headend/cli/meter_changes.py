"""`headend meters set|replace|retire|park|unpark`: changes of one meter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from headend.cli.options import Config, Dsn, settings_of

if TYPE_CHECKING:
    from headend.settings import Settings
    from headend.store.database import Connection

Name = Annotated[str, typer.Argument(help="Name or serial number.")]
At = Annotated[
    str | None,
    typer.Option("--at", help="When: 2026-01-31, 2026-01-31T06:15 (the utility's time), with an offset; now."),
]
LastReading = Annotated[
    str | None, typer.Option("--last-reading", help="kWh on its import register when it was taken down.")
]
State = Literal["registered", "discovered", "active", "silent"]
_MOST_KWH: Final = Decimal(10) ** 12


def set_(
    name: Name,
    address: Annotated[str | None, typer.Option(help="Where it answers.")] = None,
    meter_type: Annotated[str | None, typer.Option("--type", help="Its meter type.")] = None,
    circle: Annotated[str | None, typer.Option(help="Its place, from --at on.")] = None,
    division: Annotated[str | None, typer.Option(help="Its place, from --at on.")] = None,
    feeder: Annotated[str | None, typer.Option(help="Its place, from --at on.")] = None,
    transformer: Annotated[str | None, typer.Option(help="Its place, from --at on.")] = None,
    consumer: Annotated[str | None, typer.Option(help="Whose it is, from --at on.")] = None,
    segment: Annotated[str | None, typer.Option(help="With which others it is collected.")] = None,
    state: Annotated[State | None, typer.Option(help="What it is called; takes a retired meter back.")] = None,
    at: At = None,
    config: Config = None,
    dsn: Dsn = None,
) -> None:
    """Change a meter: where it answers, its type, its place, its consumer, its state.

    Place and consumer are dated: what was before stays known, and ends at --at. Keys change by `headend meters import`.

    Example: `headend meters set bhopal-city-00017 --consumer C-1029 --at 2026-02-01`
    """
    from headend.places import set_meter
    from profiles.errors import SettingsError

    given = {"address": address, "meter_type": meter_type, "circle": circle, "division": division, "feeder": feeder}
    given |= {"transformer": transformer, "consumer_id": consumer, "segment": segment}
    cells = {column: text.strip() for column, text in given.items() if text is not None}
    for column, text in cells.items():
        if not text:
            raise SettingsError("it is empty", asked=column, remedy="leave the option out to leave it alone")
    if not cells and state is None:
        raise SettingsError("there is nothing to change", remedy="see `headend meters set --help`")
    settings = settings_of(config, dsn)

    async def change(connection: Connection, now: datetime) -> bool:
        from headend.meter_types import MeterTypes

        types = MeterTypes(settings.meter_types)
        return await set_meter(connection, name, cells, types, now=now, at=_moment(at, settings, now), state=state)

    typer.echo(f"{name} is changed" if _run(settings, change) else f"{name} is so already")


def replace(
    old: Annotated[str, typer.Argument(help="The meter that was taken down: name or serial number.")],
    new: Annotated[str, typer.Argument(help="The meter that was put up; it is registered already.")],
    at: Annotated[str, typer.Option("--at", help="When: 2026-01-31T06:15 (the utility's time), with an offset, now.")],
    last_reading: LastReading = None,
    config: Config = None,
    dsn: Dsn = None,
) -> None:
    """Put a new meter in the place of another one, for the same consumer; the old one retires with its last reading.

    The new one owes intervals from then on. Register it first by `headend meters import`, without a place.

    Example: `headend meters replace bhopal-city-00017 SMA31002207 --at 2026-02-03T11:40 --last-reading 4812.6`
    """
    from headend.places import replace_meter

    settings, reading = settings_of(config, dsn), _kwh(last_reading)

    async def change(connection: Connection, now: datetime) -> None:
        moment = _moment(at, settings, now) or now
        await replace_meter(connection, old, new, at=moment, last_reading=reading, now=now)

    _run(settings, change)
    typer.echo(f"{new} stands in the place of {old}, which is retired")


def retire(
    name: Name,
    at: At = None,
    last_reading: LastReading = None,
    config: Config = None,
    dsn: Dsn = None,
) -> None:
    """Read a meter no more: its installation ends, and it owes nothing from then on. What it gave stays.

    Example: `headend meters retire bhopal-city-00017 --at 2026-02-03T11:40 --last-reading 4812.6`
    """
    from headend.places import retire_meter

    settings, reading = settings_of(config, dsn), _kwh(last_reading)

    async def change(connection: Connection, now: datetime) -> None:
        moment = _moment(at, settings, now) or now
        await retire_meter(connection, name, at=moment, last_reading=reading, now=now)

    _run(settings, change)
    typer.echo(f"{name} is retired")


def park(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; it is shown wherever the meter is.")],
    config: Config = None,
    dsn: Dsn = None,
) -> None:
    """Leave a meter alone until `headend meters unpark`.

    Example: `headend meters park bhopal-city-00017 --reason "cabinet burnt, new one on order"`
    """
    from headend.registry import find_meter
    from headend.registry import park as leave_alone

    async def change(connection: Connection, now: datetime) -> str | None:
        meter = await find_meter(connection, name)
        await leave_alone(connection, meter.id, reason, now)
        return (await find_meter(connection, name)).parked_reason

    typer.echo(f"{name} is parked: {_run(settings_of(config, dsn), change)}")


def unpark(
    name: Name,
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

    from headend.store.where import database
    from headend.unpark import unpark as again

    settings = settings_of(config, dsn)
    with database(settings, make=False) as place:
        asyncio.run(again(settings, place, name, accept_counter=accept_counter))
    typer.echo(f"{name} is read again from the next cycle on")


def _run(settings: Settings, change: Callable[[Connection, datetime], Awaitable[Any]]) -> Any:
    """Make a change in the settings' database."""
    import asyncio

    from headend.store.database import connect
    from headend.store.where import database
    from headend.times import utc_now

    async def make(place: str) -> Any:
        async with await connect(place) as connection:
            return await change(connection, utc_now())

    with database(settings, make=False) as place:
        return asyncio.run(make(place))


def _moment(text: str | None, settings: Settings, now: datetime) -> datetime | None:
    from headend.times import parse_time, zone_named

    return None if text is None else parse_time(text, zone_named(settings.utility.zone), now)


def _kwh(text: str | None) -> Decimal | None:
    from profiles.errors import SettingsError

    if text is None:
        return None
    try:
        reading = Decimal(text)
    except InvalidOperation:
        reading = Decimal(-1)
    if not reading.is_finite() or not 0 <= reading < _MOST_KWH:
        raise SettingsError(f"--last-reading: {text!r} is no number of kWh", remedy="write it as 4812.6")
    return reading
