"""`headend simulate`, or `python -m simulators`: a fleet of simulated meters on this machine's loopback addresses."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from profiles.errors import HeadEndError, SettingsError
from profiles.loader import load_meter_type
from simulators.fleet import Fleet
from simulators.run import Ready, simulate

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(name="simulate", context_settings={"help_option_names": ["-h", "--help"]})
def command(
    meters: Annotated[int, typer.Option(help="How many meters: each answers at a 127.x.y.z address of its own.")] = 10,
    port: Annotated[int, typer.Option(help="TCP port of all of them; 0 takes a free one.", min=0, max=65535)] = 4059,
    seed: Annotated[int, typer.Option(help="Makes identities, keys and loads: the same seed, the same fleet.")] = 1,
    meter_type: Annotated[str, typer.Option("--type", help="Meter type, or a type file.")] = "is15959-1ph",
    start: Annotated[
        str, typer.Option(help="When the meters were commissioned, ISO 8601 (UTC unless it says otherwise).")
    ] = "",
    end: Annotated[str, typer.Option(help="Up to where --expect goes; now, if not given.")] = "",
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
    """Serve simulated single-phase smart meters until stopped (Ctrl-C or SIGTERM).

    Each meter has ciphered associations, enforced invocation counters and 35 days of block load; it speaks wrapper and
    HDLC on its TCP port. The exit code is 1 if any client used an invocation counter twice.

    Example: `headend simulate --meters 3 --registry meters.csv`, then in another terminal
    `headend read tcp://127.1.0.1:4059 block-load --keys meters.csv`
    """

    def ready(what: Ready) -> None:
        if as_json:
            _say(json.dumps({name: getattr(what, name) for name in what.__slots__}))
        else:
            _say(f"{what.meters} meters answer at {what.first_host} to {what.last_host}, port {what.port}")

    now = datetime.now(UTC)
    begin = _moment(start, now - timedelta(days=35))
    fleet = Fleet(seed, meters, _divisions(divisions), begin)
    outcome = asyncio.run(
        simulate(
            fleet,
            load_meter_type(meter_type),
            port=port,
            expect=expect,
            registry=registry,
            start=begin,
            end=_moment(end, now) if end else None,
            ready=ready,
            until_input_ends=until_input_ends,
            udp=udp,
            serial=serial,
            mode_e=mode_e,
        )
    )
    if as_json:
        _say(json.dumps({"repeated_counters": outcome.repeated}))
    for serial, title, counter in outcome.repeats:
        print(f"simulate: {serial}: counter {counter} of {title.hex().upper()} came twice", file=sys.stderr)
    raise typer.Exit(outcome.exit_code)


def _say(line: str) -> None:
    print(line, flush=True)


def _moment(text: str, default: datetime) -> datetime:
    if not text:
        return default.replace(microsecond=0)
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
    """Errors that we know become one line and a documented exit code."""
    try:
        app(prog_name="headend simulate")
    except HeadEndError as error:
        print(f"headend: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
