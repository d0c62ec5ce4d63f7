"""The files about a simulated fleet: the meter list that the registry imports, and the answer key.

The one rule: a file is written whole or not at all, and over nothing but a file.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from profiles.errors import SettingsError
from profiles.whole_file import written_whole
from simulators.expect import write_expected
from simulators.fleet import Identity
from simulators.simulation import Simulation


def write_registry(file: Path, simulation: Simulation, address_of: Callable[[Identity], str]) -> None:
    """The meter list, keys included, so readable by its owner alone. SettingsError where it can't be written."""
    _write(file, lambda stream: simulation.write_registry(stream, address_of), 0o600)


def write_answer_key(place: Path, simulation: Simulation, now: datetime, end: datetime | None = None) -> None:
    """What every meter must have said: blocks in a .csv file, or all profiles as Parquet files in a folder.

    Of blocks those that start before `end`, by default those that have ended `now`.
    SettingsError where it can't be written, or for a .csv file of several meter types.
    """
    blocks = [one.profiles["block_load"] for one in simulation.meter_types if "block_load" in one.profiles]
    period_s = max((one.capture_period_s for one in blocks), default=1)
    first, last = simulation.fleet.commissioned_at, end or now - timedelta(seconds=period_s - 1)
    if place.suffix != ".csv":
        from simulators.expect_tables import write_tables  # pyarrow is large, and seldom asked for

        write_tables(place, simulation.answer_keys(), first, last)
        return
    meter_type, *others = simulation.meter_types
    if others:
        raise SettingsError(
            f"{place} would have the columns of {1 + len(others)} meter types",
            remedy="give a folder, for Parquet files",
        )
    fleet, world = simulation.fleet, simulation.world
    _write(place, lambda file: write_expected(file, fleet, first, last, period_s, meter_type=meter_type, world=world))


def _write(file: Path, write: Callable[[TextIO], object], mode: int = 0o644) -> None:
    try:
        with written_whole(file, mode) as octets, TextIOWrapper(octets, encoding="utf-8") as stream:
            write(stream)
    except OSError as error:
        raise SettingsError(f"can't write {file}: {error.strerror}") from None
