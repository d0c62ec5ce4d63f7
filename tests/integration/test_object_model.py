"""The objects of a simulated meter over a real socket: listed, named, read by each association as far as it may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from drivers.address import Address
from drivers.cosem.objects import Clock, ProfileGeneric, read_listed, read_object, read_object_list
from drivers.credentials import CounterRange, Credentials
from drivers.session import Session, open_session
from profiles.classes import class_name
from profiles.loader import load_meter_type
from profiles.obis_names import obis_name
from profiles.objects import Obis
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.server import MeterServer

NOW = datetime(2026, 1, 3, 6, 7, 30, tzinfo=UTC)
COMMISSIONED = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
METER_TYPE = load_meter_type("is15959-1ph")
CLOCK = Obis(0, 0, 1, 0, 0)
BLOCK_LOAD = Obis(1, 0, 99, 1, 0)


@asynccontextmanager
async def session_as(kind: str) -> AsyncIterator[tuple[Session, SimulatedMeter]]:
    """A session with a meter in one of its associations."""
    server = MeterServer(simulated_meters(Fleet(5, 1, {"Bhopal city": 1}, COMMISSIONED), METER_TYPE, lambda: NOW))
    await server.start()
    try:
        meter = next(iter(server.meters.values()))
        association, keys = METER_TYPE.associations[kind], meter.keys
        secret = {1: keys.lls, 2: keys.hls}.get(association.mechanism)
        title = b"HES\x00\x00\x00\x00\x01"
        credentials = Credentials(title, keys.encryption, keys.authentication, secret, CounterRange(1, 2000))
        address = Address(meter.identity.host, server.port)
        async with open_session(address, METER_TYPE, association, credentials) as session:
            yield session, meter
    finally:
        await server.close()


async def test_every_object_has_a_name_and_every_attribute_the_shape_of_its_class() -> None:
    async with session_as("meter_reader") as (session, _):
        objects = await read_object_list(session)
        read = {one: await read_listed(session, one) for one in objects}

    assert len(objects) > 15
    assert [str(one.obis) for one in objects if obis_name(one.obis) is None] == []
    assert {class_name(one.class_id) for one in objects} >= {"Data", "Profile generic", "Clock", "Association LN"}
    odd = [(str(one.obis), value) for one, values in read.items() for value in values.values() if not value.as_declared]
    assert odd == []
    for one, values in read.items():
        expected = {reference.attribute for reference in one.readable} - ({2} if one.class_id == 7 else set())
        assert set(values) | {1} == expected | {1}


async def test_another_association_of_the_same_meter_has_other_objects() -> None:
    async with session_as("meter_reader") as (session, _):
        whole = {one.obis for one in await read_object_list(session)}
    async with session_as("public") as (session, _):
        public = {one.obis for one in await read_object_list(session)}
    assert public < whole
    assert CLOCK in public
    assert BLOCK_LOAD in whole - public


async def test_the_clock_and_the_block_load_are_read_as_objects() -> None:
    async with session_as("meter_reader") as (session, meter):
        clock = await read_object(session, Clock, CLOCK, 0)
        profile = await read_object(session, ProfileGeneric, BLOCK_LOAD, 1)
    assert clock.time is not None
    assert str(clock.time) == "2026-01-03 11:37:30"
    assert profile.capture_objects == meter.capture_objects()
    assert (profile.capture_period, profile.profile_entries) == (meter.period_s, meter.depth)
    assert profile.entries_in_use == len(meter.stored_starts())
    assert profile.sort_method is not None
    assert profile.sort_method.name == "fifo"
