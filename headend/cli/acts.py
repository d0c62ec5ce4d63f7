"""`headend clock`, `relay`, `limit`, `push`, `period`: one thing of one meter, shown, or changed if it is confirmed."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from headend.cli.confirming import Serial, Yes, confirmation_of
from headend.cli.meter_options import MeterOptions, with_meter
from headend.cli.options import Json


class Switch(enum.StrEnum):
    ON = "on"
    OFF = "off"
    STATUS = "status"


class LoadProfile(enum.StrEnum):
    BLOCK_LOAD = "block-load"
    DAILY = "daily"


@with_meter
def clock(
    options: MeterOptions,
    set_: Annotated[bool, typer.Option("--set", help="Set it to this machine's time.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Show how far a meter's clock is off, or set it.

    It is not set where that would repeat or skip an interval. Asks first, unless `--yes` is there.

    Example: `headend clock tcp://127.0.0.1:4059 --set --keys meter.toml`
    """
    from headend.acts import clocks
    from headend.acts.field import change, show

    if not set_:
        show(options, clocks.look, as_json=as_json)
        return
    change(
        options,
        frozenset({clocks.CLOCK}),
        clocks.association,
        clocks.prepare,
        confirmation_of(yes, None),
        as_json=as_json,
    )


@with_meter
def relay(
    options: MeterOptions,
    switch: Annotated[Switch, typer.Argument(help="What to do.")],
    serial: Serial = None,
    as_json: Json = False,
) -> None:
    """Show the relay of one meter, open or close it.

    The meter's serial number has to be typed, or given with `--serial`; so many acts an hour are the limit (setting
    `acts.per_hour`), and meters of the utility's registry are refused.

    Example: `headend relay tcp://127.0.0.1:4059 status --keys meter.toml`
    """
    from headend.acts import relay as relays
    from headend.acts.field import by_control, change, show

    if switch is Switch.STATUS:
        show(options, relays.look, as_json=as_json)
        return
    kind = relays.DISCONNECT_CONTROL
    association = by_control(kind, "relay")
    prepare = relays.switching(switch.value)
    change(options, frozenset({kind}), association, prepare, confirmation_of(False, serial), as_json=as_json)


@with_meter
def limit(
    options: MeterOptions,
    normal: Annotated[
        float | None, typer.Option("--set", help="Normal threshold, in the unit that is shown (W).", show_default=False)
    ] = None,
    emergency: Annotated[float | None, typer.Option(help="Emergency threshold.", show_default=False)] = None,
    over: Annotated[
        int | None, typer.Option(help="Seconds that more must be taken until it acts.", show_default=False)
    ] = None,
    serial: Serial = None,
    as_json: Json = False,
) -> None:
    """Show the load limits of one meter, or set them. Confirmed as `relay` is; each value that is set is an act.

    Example: `headend limit tcp://127.0.0.1:4059 --set 5000 --over 60 --keys meter.toml`
    """
    from headend.acts import limits
    from headend.acts.field import by_control, change, show

    wanted = limits.Limits(normal, emergency, over)
    if not wanted.by_attribute:
        show(options, limits.look, as_json=as_json)
        return
    kind = limits.LIMITER
    association = by_control(kind, "limiter")
    prepare = limits.setting(wanted)
    change(options, frozenset({kind}), association, prepare, confirmation_of(False, serial), as_json=as_json)


@with_meter
def push(
    options: MeterOptions,
    name: Annotated[
        str | None, typer.Option("--list", help="Which push, by its name in the meter type.", show_default=False)
    ] = None,
    place: Annotated[
        str | None, typer.Option("--set", metavar="HOST:PORT", help="Push to there.", show_default=False)
    ] = None,
    what: Annotated[
        str | None,
        typer.Option(help="Push these: CLASS/OBIS/INDEX, by commas.", metavar="ATTRIBUTES", show_default=False),
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Show where one meter pushes to and what, or change it. Asks first, unless `--yes` is there.

    Example: `headend push tcp://127.0.0.1:4059 --list instant --set 10.1.2.3:4059 --keys meter.toml`
    """
    from headend.acts import pushes
    from headend.acts.field import change, show

    destination, listed = pushes.parse_place(place), pushes.parse_what(what)
    if destination is None and not listed:
        show(options, pushes.looking(name), as_json=as_json)
        return
    change(
        options,
        frozenset({pushes.PUSH_SETUP}),
        lambda meter_type: pushes.association(meter_type, name),
        pushes.setting(name, destination, listed),
        confirmation_of(yes, None),
        as_json=as_json,
    )


@with_meter
def period(
    options: MeterOptions,
    profile: Annotated[LoadProfile, typer.Option(help="Which load profile.")] = LoadProfile.BLOCK_LOAD,
    seconds: Annotated[int | None, typer.Option("--set", help="New capture period, in seconds.")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Show the capture period of a load profile, or change it, which erases the rows that the meter keeps.

    Asks first, unless `--yes` is there.

    Example: `headend period tcp://127.0.0.1:4059 --set 1800 --keys meter.toml`
    """
    from headend.acts import period as periods
    from headend.acts.field import change, show

    which = profile.value
    if seconds is None:
        show(options, periods.looking(which), as_json=as_json)
        return
    change(
        options,
        periods.CLASSES,
        lambda meter_type: periods.association(meter_type, which),
        periods.setting(which, seconds),
        confirmation_of(yes, None),
        as_json=as_json,
    )
