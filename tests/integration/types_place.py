"""A fleet of two simulated meters of any type in a world where things happen, on a real socket, and our client.

`inhabited(meter_type)` serves them: neighbours of different makers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TypeAlias

from simulated import Place

from drivers.reading import Reader
from drivers.reading.values import ValueColumn
from profiles.meter_type import LOAD_KINDS, REGISTER_CLASSES, MeterType, Profile
from profiles.objects import CaptureObject
from simulators.expect import AnswerKey, Said
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters, town_of
from simulators.outages import OutageRates
from simulators.server import MeterServer
from simulators.spans import Rate
from simulators.world import World

COMMISSIONED = datetime(2026, 2, 22, 18, 30, tzinfo=UTC)
NOW = datetime(2026, 3, 4, 6, 7, 30, tzinfo=UTC)
"""Ten days later, in the next month."""
_OUTAGES = OutageRates(feeder=Rate(300, 20 * 60, 3 * 3600), meter=Rate(100, 60 * 60, 5 * 3600))
_TAMPERS = {
    "low_voltage": Rate(200, 40 * 60, 6 * 3600),
    "phase_missing": Rate(100, 50 * 60, 24 * 3600),
    "current_reversed": Rate(100, 3600, 86_400),
    "magnet": Rate(100, 3600, 86_400),
    "cover_open": Rate(60, 600, 3600),
}
"""Something of each log, within ten days."""

Row: TypeAlias = dict[CaptureObject, Any]
"""By column: thousandths of the SI unit, the plain number where there is no scaler, seconds since 1970 UTC."""


def world_of(fleet: Fleet, meter_type: MeterType) -> World:
    quiet = town_of(fleet, meter_type)
    since = int(fleet.commissioned_at.timestamp())
    return World(fleet.seed, quiet.topology, quiet.sites, since, _OUTAGES, _TAMPERS)


class Inhabited(Place):
    """The meter at this index, and a client of it."""

    def __init__(self, server: MeterServer, fleet: Fleet, world: World, index: int) -> None:
        super().__init__(server)
        self.meter = list(server.meters.values())[index]
        self.fleet = fleet
        self.world = world
        self.now = NOW

    @asynccontextmanager
    async def reader(self, meter_type: MeterType | None = None) -> AsyncIterator[Reader]:
        """Our client's reader in the association that reads; `meter_type`: what it takes the meter for."""
        kind = self.meter.meter_type.reading_association
        async with self.session(kind) as session:
            yield Reader(session, meter_type or self.meter.meter_type, clock=lambda: self.now)

    def said(self, profile: Profile) -> Said:
        """The answer key of all that there is."""
        key = AnswerKey(self.fleet, self.meter.meter_type, self.world)
        until = self.now
        if profile.kind == "block_load":
            until = datetime.fromtimestamp(self.now.timestamp() // 60 * 60 - profile.capture_period_s + 60, UTC)
        return key.said(self.meter.identity, profile, COMMISSIONED, until)


@asynccontextmanager
async def inhabited(
    meter_type: MeterType, index: int = 0, make: Callable[..., SimulatedMeter] = SimulatedMeter
) -> AsyncIterator[Inhabited]:
    fleet = Fleet(7, 2, {"Bhopal city": 1}, COMMISSIONED)
    world, places = world_of(fleet, meter_type), list[Inhabited]()
    server = MeterServer(simulated_meters(fleet, meter_type, lambda: places[0].now, make, world=world))
    places.append(Inhabited(server, fleet, world, index))
    await server.start()
    try:
        yield places[0]
    finally:
        await server.close()
    assert server.repeats == 0


async def read_rows(reader: Reader, profile: Profile) -> list[Row]:
    """All rows of a profile, oldest first, as our client understands them."""
    parts = [part async for part in reader.rows(profile)]
    found: list[Row] = []
    for part in reversed(parts):
        columns = {one.captured: _plain(one) for one in part.columns}
        found += [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    if profile.kind in LOAD_KINDS:
        _follow(found, profile)
    in_order = reader.meter_type.buffer_habit.newest_last and profile.kind == "event_log"
    return found if in_order else sorted(found, key=_stamp)


def expected_rows(said: Said) -> list[Row]:
    columns = {register.captured: values.tolist() for register, values in said.columns}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _plain(column: ValueColumn) -> list[Any]:
    if column.form == "instant":
        plain = (column.values // 1_000_000).tolist()
    elif column.form == "number" and column.captured.class_id in REGISTER_CLASSES:
        plain = (column.values * 10 ** (column.exponent + 3)).tolist()
    else:
        plain = list(column.values)
    return [None if gone else one for one, gone in zip(plain, column.null.tolist(), strict=True)]


def _stamp(row: Row) -> int:
    """The first column's time."""
    stamp: int = next(iter(row.values()))
    return stamp


def _follow(rows: list[Row], profile: Profile) -> None:
    """A stamp that is null-data is one period after that of the row before."""
    for before, row in pairwise(rows):
        first = next(iter(row))
        if row[first] is None:
            row[first] = before[first] + profile.capture_period_s
