"""Fleets as large and as fast as they come: ten thousand meters in a process, every way in, a month in seconds."""

from __future__ import annotations

import asyncio
import csv
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from simulated import BLOCK_LOAD, CLOCK, METER_TYPE, SERIAL, TITLE, value

from drivers.address import parse_address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms import axdr
from drivers.dlms.apdu import range_selection
from drivers.dlms.wrapper import Unwrapper, wrap
from drivers.session import Session, open_session
from profiles.errors import LinkTimeout, SettingsError
from profiles.objects import CaptureObject
from simulators.faulty_meter import FaultyMeter
from simulators.fleet import Fleet
from simulators.fleet_file import read_fleet_file
from simulators.meter import simulated_meters
from simulators.run import Options, Ready, simulate
from simulators.server import MeterServer, listen_on_ports
from simulators.simulation import Simulation
from simulators.stamps import Stamps
from simulators.virtual_clock import VirtualClock

ROLL_OUT = Path(__file__).parents[2] / "config" / "fleet.toml"
METERS, MOST_MB = 10_000, 1500
COMMISSIONED = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
STAMPS = Stamps.of(METER_TYPE)
LIMIT_S = 60.0
NO_REQUEST = wrap(16, 1, b"\xc0")
"""What every meter answers with an exception-response."""


@asynccontextmanager
async def public(address: str, timeout_s: float = 30.0) -> AsyncIterator[Session]:
    """The association that asks for no keys."""
    kind, place = METER_TYPE.associations["public"], parse_address(f"{address}?timeout={timeout_s}")
    async with open_session(place, METER_TYPE, kind, Credentials()) as session:
        yield session


async def serial_at(address: str) -> axdr.Value:
    async with public(address) as session:
        return await value(session, SERIAL)


# --- ten thousand meters --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Process:
    """`headend simulate` in a process of its own."""

    number: int
    port: int
    clock: VirtualClock
    meters: list[dict[str, str]]

    @property
    def megabytes(self) -> float:
        status = Path(f"/proc/{self.number}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@asynccontextmanager
async def process(folder: Path, *options: str) -> AsyncIterator[Process]:
    registry = folder / "meters.csv"
    common = ("--port", "0", "--json", "--until-input-ends", "--registry", str(registry))
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators", *common, *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert started.stdin is not None
    assert started.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        ready = json.loads(await started.stdout.readline())
    with registry.open(newline="") as file:
        yield Process(started.pid, ready["port"], VirtualClock.parse(ready["clock"]), list(csv.DictReader(file)))
    started.stdin.close()
    async with asyncio.timeout(LIMIT_S):
        assert json.loads(await started.stdout.read()) == {"repeated_counters": 0}
        assert await started.wait() == 0


async def test_ten_thousand_meters_of_the_roll_out_answer_in_one_process_that_is_not_large(tmp_path: Path) -> None:
    at = datetime(2026, 1, 3, 12, tzinfo=UTC)
    outages = read_fleet_file(ROLL_OUT).scaled(METERS).world().outages
    dark = set(outages.spans(range(METERS), int(at.timestamp()), int(at.timestamp()) + 600).row.tolist())
    assert 0 < len(dark) < METERS // 20
    options = ("--fleet", str(ROLL_OUT), "--meters", str(METERS), "--udp", "--at", at.isoformat())
    async with process(tmp_path, *options) as place:
        assert len(place.meters) == METERS
        chosen = [place.meters[index] for index in range(0, METERS, METERS // 120) if index not in dark]
        ways = ("tcp", "udp", "hdlc+tcp")
        addresses = [row["address"].replace("tcp", ways[turn % 3], 1) for turn, row in enumerate(chosen)]
        assert await asyncio.gather(*map(serial_at, addresses)) == [row["serial"] for row in chosen]
        assert place.megabytes < MOST_MB


async def test_every_meter_has_a_port_on_the_loopback_of_ipv6(tmp_path: Path) -> None:
    async with process(tmp_path, "--meters", "20", "--ipv6-port", "0") as place:
        assert all(row["address"].startswith("tcp://[::1]:") for row in place.meters)
        assert len({row["address"] for row in place.meters}) == 20
        found = await asyncio.gather(*(serial_at(row["address"]) for row in place.meters))
        assert found == [row["serial"] for row in place.meters]
        hdlc = place.meters[3]["address"].replace("tcp", "hdlc+tcp", 1)
        assert await serial_at(hdlc) == place.meters[3]["serial"]


async def test_ports_are_asked_for_from_the_first_on_and_given_back_where_one_is_taken() -> None:
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"\[::1\]:{port}: Address already in use"):
            listen_on_ports(2, port)
    with pytest.raises(SettingsError, match="ports end at 65535"):
        listen_on_ports(3, 65_534)
    for listener in listen_on_ports(1, port):
        assert listener.getsockname()[:2] == ("::1", port)
        listener.close()


# --- time -----------------------------------------------------------------------------------------------------


async def test_a_month_goes_by_in_seconds_and_every_row_of_it_is_read() -> None:
    """One clock for the meter and for the client that asks it for what is new."""
    month = timedelta(days=30)
    clock = VirtualClock.start(COMMISSIONED, 864_000.0)
    (meter,) = simulated_meters(Fleet(5, 1, {"Datia": 1}, COMMISSIONED), METER_TYPE, clock).values()
    server = MeterServer({meter.identity.host: meter})
    await server.start()
    kind, read = METER_TYPE.associations["meter_reader"], []
    credentials = meter.client_credentials(kind, TITLE, CounterRange(1, 100_000))
    address = parse_address(f"tcp://{meter.identity.host}:{server.port}?timeout=30")
    async with open_session(address, METER_TYPE, kind, credentials) as session, asyncio.timeout(LIMIT_S):
        while not read or read[-1] < (COMMISSIONED + month).timestamp():
            first = read[-1] + 1 if read else COMMISSIONED.timestamp()
            bounds = (STAMPS.write_one(moment) for moment in (first, clock().timestamp()))
            rows = axdr.decode(
                await session.get(BLOCK_LOAD, range_selection(CaptureObject(*METER_TYPE.clock), *bounds))
            )
            assert isinstance(rows, list)
            read += [STAMPS.read(bytes(row[0])) for row in rows if isinstance(row, axdr.Structure)]  # type: ignore[arg-type]
    await server.close()
    assert read[:2880] == [int(COMMISSIONED.timestamp()) + 900 * n for n in range(1, 2881)]


async def test_another_process_shares_the_clock_of_the_meters(tmp_path: Path) -> None:
    async with process(tmp_path, "--meters", "1", "--at", "2026-02-01T00:00Z", "--speed", "3600") as place:
        async with public(place.meters[0]["address"]) as session:
            before = place.clock().timestamp()
            shown = STAMPS.read(await _octets(session))
            after = place.clock().timestamp()
        assert int(before) <= shown <= after
        assert place.clock() - datetime(2026, 2, 1, tzinfo=UTC) < timedelta(days=10)


async def _octets(session: Session) -> bytes:
    found = await value(session, CLOCK)
    assert isinstance(found, bytes)
    return found


# --- fleet files ----------------------------------------------------------------------------------------------

FILE = """
seed = 4
commissioned_at = 2026-01-01T00:00:00+05:30

[divisions.Datia]
meters = 30

[archetypes.office]
meter_types = { is15959-1ph = 1, is15959-3ph = 1 }

[makers]
NRB = 1

[[outages.declared]]
meter = 3
start = 2026-01-04T06:00:00Z
end = 2026-01-04T07:00:00Z

[faults]
never_answers = { meters = [5] }
loss = { share = 0.3, chance = 1.0 }
"""


def written(tmp_path: Path) -> Path:
    file = tmp_path / "fleet.toml"
    file.write_text(FILE)
    return file


async def test_a_fleet_file_says_types_makers_and_faults_of_the_meters_that_are_served(tmp_path: Path) -> None:
    simulation = Simulation.of_file(read_fleet_file(written(tmp_path)))
    meters = simulation.meters(VirtualClock.start(COMMISSIONED))
    assert {meter.meter_type.name for meter in meters.values()} == {"is15959-1ph", "is15959-3ph"}
    assert {meter.identity.maker.flag for meter in meters.values()} == {"NRB"}
    faulty = {meter.identity.index: meter.faults for meter in meters.values() if isinstance(meter, FaultyMeter)}
    assert "never_answers" in faulty[5]
    assert 4 < sum("loss" in faults for faults in faulty.values()) < 16
    assert [key.meter_type.name for key in simulation.answer_keys()] == [one.name for one in simulation.meter_types]
    assert sorted(index for key in simulation.answer_keys() for index in key.meters) == list(range(30))


async def test_an_answer_key_of_several_types_is_no_single_table(tmp_path: Path) -> None:
    simulation = Simulation.of_file(read_fleet_file(written(tmp_path)))
    with pytest.raises(SettingsError, match="columns of 2 meter types"):
        await simulate(simulation, Options(expect=tmp_path / "expect.csv"), stop=asyncio.Event())


@asynccontextmanager
async def running(file: Path, clock: VirtualClock, options: Options) -> AsyncIterator[Ready]:
    stop, announced = asyncio.Event(), asyncio.get_running_loop().create_future()
    simulation = Simulation.of_file(read_fleet_file(file))
    task = asyncio.create_task(simulate(simulation, options, clock=clock, ready=announced.set_result, stop=stop))
    try:
        yield await asyncio.wait_for(announced, LIMIT_S)
    finally:
        stop.set()
        assert (await asyncio.wait_for(task, LIMIT_S)).exit_code == 0


@pytest.mark.parametrize("way", ["tcp", "udp"])
async def test_nothing_is_heard_of_a_meter_without_supply(tmp_path: Path, way: str) -> None:
    file = written(tmp_path)
    file.write_text(FILE.partition("[faults]")[0])
    dark = VirtualClock.start(datetime(2026, 1, 4, 6, 30, tzinfo=UTC))
    async with running(file, dark, Options(udp=True)) as ready:
        with pytest.raises(LinkTimeout):
            async with public(f"{way}://127.1.0.4:{ready.port}", timeout_s=0.5):
                pass
        assert str(await serial_at(f"{way}://127.1.0.5:{ready.port}")).startswith("NRB")


async def test_a_connection_does_not_outlive_an_outage() -> None:
    meters = simulated_meters(Fleet(5, 1, {"Datia": 1}, COMMISSIONED), METER_TYPE, lambda: COMMISSIONED)
    powered, server = True, MeterServer(meters)
    server.has_supply = lambda index: powered
    await server.start()
    reader, writer = await asyncio.open_connection(next(iter(meters)), server.port)
    answer = Unwrapper()
    writer.write(NO_REQUEST)
    answer.feed(await reader.read(1000))
    assert answer.next() is not None
    powered = False
    writer.write(NO_REQUEST)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await reader.read(1000)
    powered = True
    writer.write(NO_REQUEST)
    with suppress(ConnectionResetError):
        assert await reader.read(1000) == b"", "the meter has forgotten it"
    writer.close()
    await server.close()
