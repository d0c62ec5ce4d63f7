"""`headend simulate`, or `python -m simulators`: a fleet of simulated meters on this machine's loopback addresses."""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvloop

from profiles.errors import HeadEndError, SettingsError
from profiles.loader import load_meter_type
from simulators.expect import USUAL_TYPE
from simulators.fleet import Fleet
from simulators.fleet_file import read_fleet_file
from simulators.run import Options, Ready, simulate
from simulators.simulation import Simulation
from simulators.virtual_clock import VirtualClock

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(name="simulate", context_settings={"help_option_names": ["-h", "--help"]})
def command(
    fleet_file: Annotated[
        Path | None,
        typer.Option("--fleet", help="Fleet file: divisions, feeders, meter types, outages, pushes, faults."),
    ] = None,
    meters: Annotated[
        int | None,
        typer.Option(help="How many meters: 10, or as many as the fleet file has. Each has a 127.x.y.z address."),
    ] = None,
    port: Annotated[int, typer.Option(help="TCP port of all of them; 0 takes a free one.", min=0, max=65535)] = 4059,
    seed: Annotated[
        int | None, typer.Option(help="Makes identities, keys and loads: the same seed, the same fleet. [default: 1]")
    ] = None,
    meter_type: Annotated[
        str, typer.Option("--type", help="Meter type, or a type file. [default: is15959-1ph]", show_default=False)
    ] = "",
    start: Annotated[
        str, typer.Option(help="When the meters were commissioned, ISO 8601 (UTC unless it says otherwise).")
    ] = "",
    end: Annotated[str, typer.Option(help="Up to where --expect goes; now, if not given.")] = "",
    at: Annotated[str, typer.Option(help="What the meters' clock shows at the beginning; now, if not given.")] = "",
    speed: Annotated[
        float, typer.Option(help="How many times as fast as time it goes; 43200 makes a month a minute.")
    ] = 1.0,
    expect: Annotated[
        Path | None,
        typer.Option(
            help="What every meter must have said: blocks to a .csv file, or all of it to Parquet files in a folder."
        ),
    ] = None,
    registry: Annotated[
        Path | None, typer.Option(help="Write the meter list, keys included, for `headend meters import`.")
    ] = None,
    divisions: Annotated[
        Path | None,
        typer.Option(help="CSV with division and government_connections (or installed): shares of the fleet."),
    ] = None,
    udp: Annotated[bool, typer.Option("--udp", help="Answer by UDP too, on the same port.")] = False,
    ipv6_port: Annotated[
        int | None,
        typer.Option(
            help="Each meter also on a port of its own on [::1], from this one on (0: free ones); the list has these.",
            min=0,
            max=65535,
        ),
    ] = None,
    serial: Annotated[
        str, typer.Option(help="Serve the first meter on this serial port or pseudo-terminal too, by HDLC.")
    ] = "",
    mode_e: Annotated[
        bool, typer.Option("--mode-e", help="On the serial port, wait for the sign-on of an optical head first.")
    ] = False,
    until_input_ends: Annotated[
        bool,
        typer.Option("--until-input-ends", help="Stop also when standard input ends: with the program that holds it."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ready line and the outcome as JSON.")] = False,
) -> None:
    """Serve simulated smart meters until stopped (Ctrl-C or SIGTERM).

    Each meter has ciphered associations, enforced invocation counters and all profiles of its type; it speaks wrapper
    and HDLC on its TCP port. On a terminal a line tells what the fleet does. The exit code is 1 if any client used an
    invocation counter twice.

    Example: `headend simulate --meters 3 --registry meters.csv`, then in another terminal
    `headend read tcp://127.1.0.1:4059 block-load --keys meters.csv`

    A whole roll-out: `headend simulate --fleet config/fleet.toml --registry meters.csv`
    """

    def ready(what: Ready) -> None:
        if as_json:
            _say(json.dumps({name: getattr(what, name) for name in what.__slots__}))
        else:
            _say(f"{what.meters} meters answer at {what.first_host} to {what.last_host}, port {what.port}")

    clock = VirtualClock.start(_moment(at) if at else None, speed)
    if fleet_file is None:
        begin = _moment(start) if start else (clock.at - timedelta(days=35)).replace(microsecond=0)
        fleet = Fleet(1 if seed is None else seed, 10 if meters is None else meters, _divisions(divisions), begin)
        simulation = Simulation.of_type(fleet, load_meter_type(meter_type or USUAL_TYPE))
    else:
        given = {"--seed": seed is not None, "--type": meter_type, "--start": start, "--divisions": divisions}
        simulation = _from_file(fleet_file, meters, [option for option, value in given.items() if value])
    options = Options(
        port=port,
        ipv6_port=ipv6_port,
        udp=udp,
        serial=serial,
        mode_e=mode_e,
        registry=registry,
        expect=expect,
        end=_moment(end) if end else None,
        until_input_ends=until_input_ends,
        status=sys.stderr.isatty() and not as_json,
    )
    outcome = uvloop.run(simulate(simulation, options, clock=clock, ready=ready))
    if as_json:
        _say(json.dumps({"repeated_counters": outcome.repeated}))
    for number, title, counter in outcome.repeats:
        print(f"simulate: {number}: counter {counter} of {title.hex().upper()} came twice", file=sys.stderr)
    raise typer.Exit(outcome.exit_code)


def _from_file(path: Path, meters: int | None, refused: Sequence[str]) -> Simulation:
    """What a fleet file says, with so many meters."""
    if refused:
        raise SettingsError(f"{refused[0]} and --fleet don't go together", remedy=f"change {path}")
    file = read_fleet_file(path)
    return Simulation.of_file(file if meters is None else file.scaled(meters))


def _say(line: str) -> None:
    print(line, flush=True)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{text!r} is not a time", remedy="write it as 2026-01-31T00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _divisions(file: Path | None) -> dict[str, int]:
    if file is None:
        return {"Simulated": 1}
    try:
        with open(file, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return {row["division"]: int(row["government_connections"] or row["installed"]) for row in rows}
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise SettingsError(
            f"{file} is not a list of divisions: {error}",
            remedy="it needs the columns division, government_connections and installed, with whole numbers",
        ) from None


def main() -> None:
    """Errors that we know become one line and a documented exit code. Logs are warnings, on standard error."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        app(prog_name="headend simulate")
    except HeadEndError as error:
        print(f"headend: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
