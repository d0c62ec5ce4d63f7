"""Our client reads simulated meters by their type, over a socket, in protected associations."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from simulated import COMMISSIONED, NOW, Place, one_meter, world_of_short_failures

from drivers.reading import Reader, identify
from profiles.intervals import Quality
from profiles.loader import load_meter_type
from profiles.objects import Obis
from simulators.expect import write_expected
from simulators.fleet import Fleet
from simulators.meter import simulated_meters
from simulators.server import MeterServer


async def test_a_meter_says_who_it_is_and_is_read_by_its_type_value_by_value() -> None:
    async with one_meter() as place, place.session("meter_reader") as session:
        found = await identify(session)
        reader = Reader(session, found.meter_type, clock=lambda: NOW)
        parts = [part async for part in reader.block_load(COMMISSIONED, NOW)]
        clock, word, nameplate = await reader.clock(), await reader.status_word(), await reader.nameplate()
    assert found.meter_type.name == "is15959-1ph"
    assert (found.serial, found.system_title) == (place.meter.identity.serial, place.meter.identity.system_title)
    assert found.maker == place.meter.identity.maker.name

    answers = io.StringIO()
    fleet = Fleet(5, 1, {"Bhopal city": 1}, COMMISSIONED)
    world = world_of_short_failures(fleet)
    write_expected(answers, fleet, COMMISSIONED, NOW - timedelta(minutes=15), world=world)
    expected = list(csv.DictReader(io.StringIO(answers.getvalue())))
    for channel in ("voltage", "current", "wh_import", "vah_import"):
        read = [value for part in parts for value in part.batch.values[channel].tolist()]
        assert read == [int(line[channel]) for line in expected], channel
    assert not any((part.batch.quality & Quality.NOT_AUTHENTICATED).any() for part in parts)
    assert (clock.drift_s, clock.suspect) == (0, False)
    assert word.bits == ()
    serial = nameplate.column(Obis(0, 0, 96, 1, 0))
    assert serial is not None
    assert serial.values.tolist() == [found.serial]


async def test_the_public_client_learns_enough_to_tell_a_meter_by() -> None:
    async with one_meter() as place, place.session("public") as session:
        found = await identify(session)
    assert found.serial == place.meter.identity.serial
    assert found.firmware == place.meter.identity.maker.firmware
    assert found.meter_type.name == "generic-dlms", "what it captures is not for the public"


async def test_a_meter_of_no_known_type_is_read_by_what_it_lists() -> None:
    generic = load_meter_type("generic-dlms")
    async with one_meter() as place, place.session("meter_reader") as session:
        reader = Reader(session, generic, clock=lambda: NOW)
        listed = {profile.obis: profile for profile in await reader.listed()}
        rows = {
            obis: [part async for part in reader.rows(profile, 5)]
            for obis, profile in listed.items()
            if profile.name != "block_load"
        }
        (events,) = [part async for part in reader.events(listed[Obis(0, 0, 99, 98, 2)])]
    assert listed[Obis(1, 0, 99, 1, 0)] == generic.profiles["block_load"]
    (nameplate,) = rows[Obis(0, 0, 94, 91, 10)]
    assert [column.name for column in nameplate.columns][:1] == ["Serial number"]
    assert nameplate.columns[0].values.tolist() == [place.meter.identity.serial]
    assert set(events.codes.tolist()) == {101, 102}
    assert events.times is not None
    assert events.times.known.all()


@pytest.mark.parametrize(
    ("commissioned", "now", "hours"),
    [
        ("2026-03-26", "2026-04-01T06:07:30", [24, 24, 24, 23, 24, 24]),
        ("2026-10-22", "2026-10-28T06:07:30", [24, 24, 24, 25, 24, 24]),
    ],
    ids=["to summer time", "to winter time"],
)
async def test_days_begin_at_local_midnight_when_the_clocks_change(
    commissioned: str, now: str, hours: list[int]
) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first, present = (datetime.fromisoformat(text).replace(tzinfo=berlin) for text in (commissioned, now))
    meter_type = replace(load_meter_type("smr"), zone="Europe/Berlin")
    fleet = Fleet(7, 1, {"Bhopal city": 1}, first.astimezone(UTC))
    server = MeterServer(simulated_meters(fleet, meter_type, lambda: present))
    await server.start()
    try:
        async with Place(server).session(meter_type.reading_association) as session:
            reader = Reader(session, meter_type, clock=lambda: present)
            parts = [part async for part in reader.daily_load(first, present)]
    finally:
        await server.close()
    starts = [datetime.fromtimestamp(us / 1e6, berlin) for part in parts for us in part.batch.start.tolist()]
    assert [f"{start:%F %T}" for start in starts] == [f"{first + timedelta(days=day):%F} 00:00:00" for day in range(6)]
    utc = [start.astimezone(UTC) for start in (*starts, starts[-1] + timedelta(days=1))]
    assert [(end - start) / timedelta(hours=1) for start, end in pairwise(utc)] == hours
    assert [part.outside for part in parts] == [0] * len(parts)
    assert not any(part.batch.suspects for part in parts)
