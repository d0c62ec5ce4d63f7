"""One simulated meter on a real socket, whose utility setting association is as a test wants it, and our client.

`one_meter(mechanism=6, security_control=0x31, ...)` serves it; `place.session()` opens that association.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from drivers.address import parse_address
from drivers.credentials import CounterRange
from drivers.dlms import axdr
from drivers.dlms.association import ignore
from drivers.session import Session, open_session
from profiles.loader import load_meter_type
from profiles.meter_type import Association, MeterType
from profiles.objects import AttributeRef, Obis
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters, town_of
from simulators.outages import DeclaredOutage, OutageRates
from simulators.server import MeterServer
from simulators.world import World

NOW = datetime(2026, 1, 3, 6, 7, 30, tzinfo=UTC)
COMMISSIONED = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
BY_ENTRY = AttributeRef(7, Obis(1, 0, 99, 1, 1), 2)
"""The same rows as the block load's, for who asks by entry: a type offers a profile in one way."""


def _with_blocks_by_entry(meter_type: MeterType) -> MeterType:
    blocks = meter_type.profiles["block_load"]
    also = replace(blocks, name="blocks_by_entry", obis=BY_ENTRY.obis, selective_access="entry")
    return replace(meter_type, profiles={**meter_type.profiles, also.name: also})


METER_TYPE = _with_blocks_by_entry(load_meter_type("is15959-1ph"))
TITLE = b"HES\x00\x00\x00\x00\x01"
SETTING = "utility_setting"

SERIAL = AttributeRef(1, Obis(0, 0, 96, 1, 0), 2)
CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
BLOCK_LOAD = AttributeRef(7, Obis(1, 0, 99, 1, 0), 2)
MESSAGE = AttributeRef(1, Obis(0, 0, 96, 13, 0), 2)
"""A text of up to 32 KiB that the utility setting association may write."""
SWITCH = Obis(0, 0, 96, 3, 10)


class Place:
    """The meter, and a client of it that spends its counters in order."""

    def __init__(self, server: MeterServer) -> None:
        self.server = server
        self.meter: SimulatedMeter = next(iter(server.meters.values()))
        self.counters = CounterRange(1, 100_000)

    @property
    def setting(self) -> Association:
        return self.meter.meter_type.associations[SETTING]

    @asynccontextmanager
    async def session(
        self, name: str = SETTING, unasked: Callable[[bytes], None] = ignore, *, scheme: str = "tcp", **changed: Any
    ) -> AsyncIterator[Session]:
        """`changed`: where the client sees the association otherwise than the meter does."""
        kind = replace(self.meter.meter_type.associations[name], **changed)
        address = parse_address(f"{scheme}://{self.meter.identity.host}:{self.server.port}?timeout=10")
        credentials = self.meter.client_credentials(kind, TITLE, self.counters)
        title = self.meter.identity.system_title
        async with open_session(
            address, self.meter.meter_type, kind, credentials, server_title=title, unasked=unasked
        ) as session:
            yield session


def world_of_short_failures(fleet: Fleet) -> World:
    """A town whose meters are without supply for a minute every six hours, so that there are events to be read."""
    since = int(fleet.commissioned_at.timestamp())
    outages = [
        DeclaredOutage("meter", str(meter), at, at + 60)
        for meter in range(len(fleet))
        for at in range(since + 3 * 3600, since + 36 * 3600, 6 * 3600)
    ]
    quiet = town_of(fleet, METER_TYPE)
    return World(fleet.seed, quiet.topology, quiet.sites, since, OutageRates(declared=tuple(outages)), {})


@asynccontextmanager
async def one_meter(make: Callable[..., SimulatedMeter] = SimulatedMeter, **association: Any) -> AsyncIterator[Place]:
    kinds = dict(METER_TYPE.associations)
    kinds[SETTING] = replace(kinds[SETTING], **association)
    for name, kind in kinds.items():
        if name != SETTING and kind.protected:  # a meter has one suite
            kinds[name] = replace(kind, security_control=kind.security_control | kinds[SETTING].suite)
    fleet = Fleet(5, 1, {"Bhopal city": 1}, COMMISSIONED)
    meter_type = replace(METER_TYPE, associations=kinds)
    meters = simulated_meters(fleet, meter_type, lambda: NOW, make, world=world_of_short_failures(fleet))
    server = MeterServer(meters)
    await server.start()
    try:
        yield Place(server)
    finally:
        await server.close()
    assert server.repeats == 0


async def value(session: Session, attribute: AttributeRef) -> axdr.Value:
    return axdr.decode(await session.get(attribute))
