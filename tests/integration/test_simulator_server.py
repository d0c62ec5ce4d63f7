"""One listening socket for thousands of simulated meters: who gets in, what ends a connection, how a run ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
import uvloop

from drivers.dlms import acse, apdu, axdr, security
from drivers.dlms.wrapper import Unwrapper, wrap
from profiles.loader import load_meter_type
from profiles.objects import AttributeRef, Obis
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.run import Options, Outcome, Ready, simulate
from simulators.server import MeterServer, is_loopback, raise_file_limit
from simulators.simulation import Simulation
from simulators.virtual_clock import VirtualClock

NOW = datetime(2026, 1, 3, 6, 7, 30, tzinfo=UTC)
COMMISSIONED = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
METER_TYPE = load_meter_type("is15959-1ph")
PUBLIC = METER_TYPE.associations["public"].client_sap
CLIENT_TITLE = b"HES\x00\x00\x00\x00\x01"
FIRST_METER, SECOND_METER = "127.1.0.1", "127.1.0.2"

CONFORMANCE = apdu.Conformance.GET | apdu.Conformance.BLOCK_TRANSFER_WITH_GET
INITIATE = apdu.InitiateRequest(conformance=int(CONFORMANCE), max_pdu=0).encode()
AARQ = acse.encode_aarq(
    ciphered=False, mechanism=0, client_title=None, authentication_value=None, user_information=INITIATE
)
GET_SERIAL = apdu.GetRequestNormal(0xC1, AttributeRef(1, Obis(0, 0, 96, 1, 0), 2)).encode()
GET_CLOCK = apdu.GetRequestNormal(0xC1, AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)).encode()
GET_OBJECT_LIST = apdu.GetRequestNormal(0xC1, AttributeRef(15, Obis(0, 0, 40, 0, 0), 2)).encode()


@asynccontextmanager
async def serving(
    meters: int = 2, make: Callable[..., SimulatedMeter] = SimulatedMeter, idle_s: float = 60.0
) -> AsyncIterator[MeterServer]:
    fleet = Fleet(11, meters, {"Bhopal city": 1}, COMMISSIONED)
    server = MeterServer(simulated_meters(fleet, METER_TYPE, lambda: NOW, make), idle_s=idle_s)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


class Peer:
    """A TCP connection to one meter that sends what it is told; waits at most five seconds for anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._frames = Unwrapper()

    async def ask(self, octets: bytes, client_sap: int = PUBLIC) -> bytes:
        """Send an APDU; the answer, or b"" where the other side closed the connection."""
        self.writer.write(wrap(client_sap, 1, octets))
        return await self.receive()

    async def receive(self) -> bytes:
        """The next APDU, or b"" where the other side closed the connection."""
        async with asyncio.timeout(5):
            while (frame := self._frames.next()) is None:
                try:
                    data = await self.reader.read(65_536)
                except ConnectionResetError:
                    return b""
                if not data:
                    return b""
                self._frames.feed(data)
        return frame.apdu

    async def serial(self) -> axdr.Value:
        """The serial number, by the public association that has to be open."""
        answer = apdu.decode(await self.ask(GET_SERIAL))
        assert isinstance(answer, apdu.GetResponseNormal)
        assert answer.data is not None
        return axdr.decode(answer.data)


@asynccontextmanager
async def connected(host: str, port: int) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait, at most five seconds, until the server's side agrees."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a condition of the other side, without an event
            await asyncio.sleep(0.005)


# --- many meters, one socket ----------------------------------------------------------------------------------


async def test_a_thousand_meters_answer_at_once_each_as_itself() -> None:
    assert raise_file_limit(2100) == 2100
    async with serving(meters=1000) as server:
        open_at_once = 0
        everybody = asyncio.Event()

        async def serial(host: str) -> axdr.Value:
            nonlocal open_at_once
            async with connected(host, server.port) as peer:
                assert acse.decode_aare(await peer.ask(AARQ)).result == 0
                open_at_once += 1
                if open_at_once == 1000:
                    everybody.set()
                await everybody.wait()
                return await peer.serial()

        async with asyncio.timeout(60):
            serials = await asyncio.gather(*(serial(host) for host in server.meters))
        assert serials == [meter.identity.serial for meter in server.meters.values()]


async def test_an_address_without_a_meter_is_closed() -> None:
    async with serving() as server, connected("127.0.0.1", server.port) as peer:
        assert await peer.receive() == b""
        assert server.dropped == 1


async def test_a_meter_takes_few_connections_and_takes_new_ones_when_they_end() -> None:
    async with serving() as server:
        opened = [await asyncio.open_connection(FIRST_METER, server.port) for _ in range(4)]
        await until(lambda: len(server.links) == 4)
        async with connected(FIRST_METER, server.port) as refused:
            assert await refused.receive() == b""
        opened[0][1].close()
        await until(lambda: len(server.links) == 3)
        async with connected(FIRST_METER, server.port) as peer:
            assert acse.decode_aare(await peer.ask(AARQ)).result == 0
        for _, writer in opened:
            writer.close()


async def test_a_connection_that_is_no_internet_connection_is_dropped_unread() -> None:
    fleet = Fleet(11, 2, {"Bhopal city": 1}, COMMISSIONED)
    server = MeterServer(simulated_meters(fleet, METER_TYPE, lambda: NOW))
    with tempfile.TemporaryDirectory() as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/socket")
        listener.listen()
        await server.start(listener=listener)
        peer = Peer(*await asyncio.open_unix_connection(f"{folder}/socket"))
        assert await peer.ask(AARQ) == b""
        peer.writer.close()
        await server.close()
    assert server.dropped == 1


async def test_a_connection_from_outside_the_loopback_net_is_dropped_unread() -> None:
    for address in own_addresses():
        async with serving() as server, connected(address, server.port) as peer:
            assert await peer.ask(AARQ) == b""
            assert server.dropped == 1


def test_uvloop_serves_and_drops_alike() -> None:
    async def exchanges() -> None:
        await test_a_connection_from_outside_the_loopback_net_is_dropped_unread()
        await test_a_silent_connection_is_closed()
        await test_a_client_that_does_not_read_is_not_read_either_and_costs_bounded_memory()
        async with serving() as server, connected(SECOND_METER, server.port) as peer:
            assert acse.decode_aare(await peer.ask(AARQ)).result == 0
            assert await peer.serial() == "NRB24000001"

    uvloop.run(exchanges())


def own_addresses() -> list[str]:
    """The machine's own address on its network, if it is on one; nothing is sent to learn it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]


@pytest.mark.parametrize(
    ("local_address", "inside"),
    [
        (("127.1.2.3", 4059), True),
        (("127.0.0.1", 4059), True),
        (("10.127.0.1", 4059), False),
        (("::1", 4059, 0, 0), False),
        (("::ffff:127.0.0.1", 4059, 0, 0), False),
        ("", False),
        (None, False),
    ],
)
def test_only_the_loopback_net_counts_as_inside(local_address: object, inside: bool) -> None:
    assert is_loopback(local_address) is inside


# --- what ends a connection -----------------------------------------------------------------------------------


async def test_garbage_or_a_frame_for_another_device_closes_that_connection_only() -> None:
    async with serving() as server, connected(SECOND_METER, server.port) as other:
        for octets in (b"GET / HTTP/1.1\r\n\r\n", bytes.fromhex("000100100001ffff"), wrap(PUBLIC, 7, AARQ)):
            async with connected(FIRST_METER, server.port) as peer:
                peer.writer.write(octets)
                assert await peer.receive() == b""
        assert acse.decode_aare(await other.ask(AARQ)).result == 0


async def test_frames_one_octet_at_a_time_are_frames() -> None:
    async with serving() as server, connected(FIRST_METER, server.port) as peer:
        for octet in wrap(PUBLIC, 1, AARQ):
            peer.writer.write(bytes([octet]))
            await asyncio.sleep(0)
        assert acse.decode_aare(await peer.receive()).result == 0


async def test_a_silent_connection_is_closed() -> None:
    async with serving(idle_s=0.05) as server, connected(FIRST_METER, server.port) as peer:
        assert await peer.receive() == b""


async def test_a_client_that_does_not_read_is_not_read_either_and_costs_bounded_memory() -> None:
    async with serving() as server, connected(FIRST_METER, server.port) as peer:
        await peer.ask(AARQ)
        transport = cast(asyncio.Transport, peer.writer.transport)
        transport.pause_reading()
        requests = wrap(PUBLIC, 1, GET_OBJECT_LIST) * 1000
        async with asyncio.timeout(30):
            while transport.get_write_buffer_size() < 1_000_000:
                peer.writer.write(requests)
                await asyncio.sleep(0)
        await asyncio.sleep(0.2)
        assert transport.get_write_buffer_size() > 500_000
        assert max(link.unsent for link in server.links) < 200_000


async def test_a_meter_that_fails_inside_takes_no_other_along() -> None:
    class Broken(SimulatedMeter):
        def clock_octets(self) -> bytes:
            raise RuntimeError("a fault of the simulation itself")

    async with (
        serving(make=Broken) as server,
        connected(FIRST_METER, server.port) as peer,
        connected(SECOND_METER, server.port) as other,
    ):
        await peer.ask(AARQ)
        assert await peer.ask(GET_CLOCK) == b""
        await other.ask(AARQ)
        assert await other.serial() == "NRB24000001"


# --- a whole run ----------------------------------------------------------------------------------------------


async def run_and_associate(tmp_path: Path, times: int, end: datetime | None = None) -> Outcome:
    """A run of three meters, in which the first is sent the very same ciphered AARQ so many times."""
    fleet, stop = Fleet(11, 3, {"Bhopal city": 1}, COMMISSIONED), asyncio.Event()
    announced: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    run = asyncio.create_task(
        simulate(
            Simulation.of_type(fleet, METER_TYPE),
            Options(expect=tmp_path / "expect.csv", registry=tmp_path / "meters.csv", end=end),
            ready=announced.set_result,
            clock=VirtualClock.start(NOW),
            stop=stop,
        )
    )
    ready = await asyncio.wait_for(announced, 10)
    assert (ready.meters, ready.first_host, ready.last_host) == (3, "127.1.0.1", "127.1.0.3")
    keys, reader = fleet.keys(0), METER_TYPE.associations["meter_reader"]
    protected = security.protect(0x30, keys.encryption, keys.authentication, CLIENT_TITLE, 1, INITIATE)
    aarq = acse.encode_aarq(
        ciphered=True,
        mechanism=reader.mechanism,
        client_title=CLIENT_TITLE,
        authentication_value=keys.lls,
        user_information=security.glo_wrap(INITIATE, protected),
    )
    for _ in range(times):
        async with connected(ready.first_host, ready.port) as peer:
            await peer.ask(aarq, reader.client_sap)
    stop.set()
    return await asyncio.wait_for(run, 10)


async def test_a_run_writes_its_answer_key_and_its_meter_list_and_ends_well(tmp_path: Path) -> None:
    outcome = await run_and_associate(tmp_path, 1, datetime(2026, 1, 1, 18, 30, tzinfo=UTC))
    assert (outcome.exit_code, outcome.repeated) == (0, 0)
    assert len((tmp_path / "expect.csv").read_text().splitlines()) == 1 + 3 * 96
    assert len((tmp_path / "meters.csv").read_text().splitlines()) == 1 + 3
    assert (tmp_path / "meters.csv").stat().st_mode & 0o777 == 0o600


async def test_a_run_that_saw_a_repeated_counter_is_a_failure(tmp_path: Path) -> None:
    outcome = await run_and_associate(tmp_path, 2)
    assert outcome.exit_code == 1
    assert outcome.repeats == (("SMA24000000", CLIENT_TITLE, 1),)


async def test_the_interval_that_is_still_running_is_not_expected(tmp_path: Path) -> None:
    await run_and_associate(tmp_path, 0)
    last = (tmp_path / "expect.csv").read_text().splitlines()[-1]
    assert last.startswith("SMA24000002,2026-01-03T05:45:00Z,900,")


PROGRAM = """
import asyncio, sys
from datetime import UTC, datetime
from profiles.loader import load_meter_type
from simulators.fleet import Fleet
from simulators.run import simulate
from simulators.simulation import Simulation
fleet = Fleet(1, 2, {"Bhopal city": 1}, datetime(2026, 1, 1, tzinfo=UTC))
ready = lambda ready: print("ready", ready.port, flush=True)
simulation = Simulation.of_type(fleet, load_meter_type("is15959-1ph"))
sys.exit(asyncio.run(simulate(simulation, ready=ready)).exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_run_stops_cleanly_on_a_signal(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ
    )
    async with asyncio.timeout(30):
        assert process.stdout is not None
        assert (await process.stdout.readline()).startswith(b"ready")
        process.send_signal(number)
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
