"""Sessions over real sockets: however one ends, the meter is free for the next and no socket stays behind."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drivers import session as session_module
from drivers.address import Address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms import axdr
from drivers.dlms.wrapper import wrap
from drivers.session import Session, open_session
from profiles.errors import AccessDenied, LinkError, LinkTimeout, MeterBusy, ProtocolError
from profiles.loader import load_meter_type
from profiles.meter_type import MeterType, SessionHabit
from profiles.objects import AttributeRef, Obis
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.server import MeterServer

NOW = datetime(2026, 1, 3, 6, 7, 30, tzinfo=UTC)
COMMISSIONED = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
TITLE = b"HES\x00\x00\x00\x00\x01"
METER_TYPE = load_meter_type("is15959-1ph")
SERIAL = AttributeRef(1, Obis(0, 0, 96, 1, 0), 2)
BLOCK_LOAD = AttributeRef(7, Obis(1, 0, 99, 1, 0), 2)


def with_association(**changes: object) -> MeterType:
    """The meter type, its utility setting association changed."""
    changed = replace(METER_TYPE.associations["utility_setting"], **changes)  # type: ignore[arg-type]
    return replace(METER_TYPE, associations={**METER_TYPE.associations, "utility_setting": changed})


class OneMeter:
    """A simulated meter and a client of it."""

    def __init__(self, server: MeterServer, meter_type: MeterType) -> None:
        self.server = server
        self.meter_type = meter_type
        self.meter = next(iter(server.meters.values()))
        self.address = Address(self.meter.identity.host, server.port, timeout_s=5)
        self.counters = CounterRange(1, 200)

    @asynccontextmanager
    async def session(self, kind: str = "meter_reader", **more: object) -> AsyncIterator[Session]:
        keys = self.meter.keys
        association = self.meter_type.associations[kind]
        secret = {1: keys.lls, 2: keys.hls}.get(association.mechanism)
        credentials = Credentials(TITLE, keys.encryption, keys.authentication, secret, self.counters)
        async with open_session(
            self.address, self.meter_type, association, credentials, **more  # type: ignore[arg-type]
        ) as session:  # fmt: skip
            yield session

    async def is_free(self) -> None:
        """No association is open, and no connection, soon."""
        async with asyncio.timeout(20):
            while self.server.links or self.meter.holder is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@asynccontextmanager
async def one_meter(
    make: Callable[..., SimulatedMeter] = SimulatedMeter, meter_type: MeterType = METER_TYPE
) -> AsyncIterator[OneMeter]:
    fleet = Fleet(5, 1, {"Bhopal city": 1}, COMMISSIONED)
    server = MeterServer(simulated_meters(fleet, meter_type, lambda: NOW, make))
    await server.start()
    try:
        place = OneMeter(server, meter_type)
        yield place
        await place.is_free()
        assert server.repeats == 0
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("kind", "meter_type"),
    [
        pytest.param("public", METER_TYPE, id="no security"),
        pytest.param("meter_reader", METER_TYPE, id="LLS"),
        pytest.param("utility_setting", METER_TYPE, id="HLS"),
        pytest.param("utility_setting", with_association(mechanism=5), id="HLS-GMAC"),
        pytest.param("utility_setting", with_association(mechanism=5, security_control=0x10), id="GMAC, 0x10"),
        pytest.param("utility_setting", with_association(security_control=0x20), id="HLS, encryption alone"),
        pytest.param("utility_setting", with_association(mechanism=1, security_control=0), id="LLS in clear"),
        pytest.param("utility_setting", with_association(mechanism=5, security_control=0), id="GMAC in clear"),
    ],
)  # fmt: skip
async def test_every_kind_of_association_reads_and_leaves_the_meter_free(kind: str, meter_type: MeterType) -> None:
    async with one_meter(meter_type=meter_type) as place:
        for _ in range(2):
            async with place.session(kind) as session:
                assert axdr.decode(await session.get(SERIAL)) == place.meter.identity.serial
            await place.is_free()
        assert place.meter.last_received == place.counters.next - 1, "every counter that was taken was sent, in order"


@pytest.mark.parametrize(
    "error", [RuntimeError("ours"), ProtocolError("its"), AccessDenied("no"), asyncio.CancelledError()]
)
async def test_an_error_inside_releases_the_association(error: BaseException) -> None:
    released: list[int] = []

    class Watched(SimulatedMeter):
        def on_wire(self, apdu: bytes) -> bytes | None:
            released.extend([apdu[0]] if apdu[0] == 0x63 else [])
            return apdu

    async with one_meter(Watched) as place:
        with pytest.raises(type(error)):
            async with place.session():
                raise error
        assert released == [0x63]


async def test_a_cancelled_transfer_leaves_the_meter_free() -> None:
    reached = asyncio.Event()

    class Silent(SimulatedMeter):
        def on_wire(self, apdu: bytes) -> bytes | None:
            if apdu[0] == 0xCC:
                reached.set()
                return b""
            return apdu

    async with one_meter(Silent) as place:

        async def read() -> None:
            async with place.session() as session:
                await session.get(BLOCK_LOAD)

        reading = asyncio.create_task(read())
        await asyncio.wait_for(reached.wait(), 20)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_a_meter_that_does_not_answer_a_release_is_hung_up_on_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreleasing(SimulatedMeter):
        def on_wire(self, apdu: bytes) -> bytes | None:
            return b"" if apdu[0] == 0x63 else apdu

    monkeypatch.setattr(session_module, "RELEASE_S", 0.2)
    async with one_meter(Unreleasing) as place:
        place.address = replace(place.address, timeout_s=600)
        async with asyncio.timeout(20), place.session() as session:
            await session.get(SERIAL)


async def test_a_meter_that_knows_no_release_is_asked_for_none() -> None:
    heard: list[int] = []

    class Unreleasable(SimulatedMeter):
        def on_wire(self, apdu: bytes) -> bytes | None:
            heard.append(apdu[0])
            return None if apdu[0] in (0x63, 0xD8) else apdu

    meter_type = replace(METER_TYPE, session_habit=SessionHabit(release=False))
    async with one_meter(Unreleasable, meter_type) as place:
        async with place.session() as session:
            await session.get(SERIAL)
        await place.is_free()
    assert heard[0] == 0x61
    assert 0x63 not in heard


async def test_a_meter_that_hangs_up_is_a_link_error_that_names_the_step() -> None:
    class HangsUp(SimulatedMeter):
        def on_wire(self, apdu: bytes) -> bytes | None:
            return None if apdu[0] == 0xCC else apdu

    async with one_meter(HangsUp) as place:
        with pytest.raises(LinkError, match="the meter closed the connection") as caught:
            async with place.session() as session:
                await session.get(SERIAL)
        assert caught.value.asked == f"get {SERIAL}"
        assert caught.value.retry


async def test_a_second_client_is_told_that_the_meter_is_busy_and_disturbs_nobody() -> None:
    async with one_meter() as place, place.session() as first:
        with pytest.raises(MeterBusy) as caught:
            async with place.session("public"):
                pass
        assert caught.value.retry
        assert axdr.decode(await first.get(SERIAL)) == place.meter.identity.serial


async def test_more_counters_are_fetched_before_the_last_is_spent() -> None:
    async with one_meter() as place:
        place.counters = CounterRange(1, 3)
        fetched: list[int] = []

        async def refill() -> None:
            fetched.append(place.counters.left)
            place.counters.next, place.counters.end = place.counters.end, place.counters.end + 8

        async with place.session(refill=refill) as session:
            for _ in range(20):
                await session.get(SERIAL)
        assert len(fetched) > 3
        assert min(fetched) > 0


# --- the link alone, against something that is no simulator --------------------------------------------------------


@asynccontextmanager
async def raw_server(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]) -> AsyncIterator[Address]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                await serve(reader, writer)  # type: ignore[misc]
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1], timeout_s=0.3)
    finally:
        server.close()


async def open_publicly(address: Address) -> None:
    async with open_session(address, METER_TYPE, METER_TYPE.associations["public"], Credentials()):
        pass


async def test_an_answer_may_come_one_octet_at_a_time() -> None:
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with one_meter() as place:
            meter = await asyncio.open_connection(place.address.host, place.address.port)
            while data := await reader.read(4096):
                meter[1].write(data)
                for octet in await meter[0].read(4096):
                    writer.write(bytes([octet]))
                    await asyncio.sleep(0)
            meter[1].close()

    async with raw_server(dribble) as address:
        await open_publicly(replace(address, timeout_s=20))


async def test_octets_that_trickle_in_do_not_stretch_the_time_out() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for octet in wrap(1, 16, bytes(200)):
            writer.write(bytes([octet]))
            await asyncio.sleep(0.05)

    async with raw_server(trickle) as address, asyncio.timeout(5):
        with pytest.raises(LinkTimeout, match=r"no answer within 0\.3 s"):
            await open_publicly(address)


async def test_a_peer_that_answers_others_for_ever_is_a_time_out() -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(wrap(2, 16, b"\x61\x00") * 100)
            await writer.drain()

    async with raw_server(chatter) as address, asyncio.timeout(10):
        with pytest.raises(LinkTimeout):
            await open_publicly(address)


async def test_a_host_that_does_not_answer_at_all_is_a_time_out() -> None:
    """A full backlog drops what comes, as a dead address does."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(full.getsockname())
            fillers.append(filler)
        with pytest.raises(LinkTimeout, match="did not answer within") as caught:
            await open_publicly(Address(*full.getsockname(), timeout_s=0.3))
        assert caught.value.asked == "connect"
        for filler in fillers:
            filler.close()


async def test_no_file_descriptor_left_is_not_put_down_to_the_meter() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with socket.socket() as next_one:
            lowest_free = next_one.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        try:
            with pytest.raises(LinkError, match="no socket for tcp://") as caught:
                await open_publicly(Address(*listening.getsockname()))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "limit of open files" in str(caught.value)


async def test_failed_sessions_leave_no_socket_behind() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def talk_rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"rubbish")
        await reader.read()

    before = len(os.listdir("/proc/self/fd"))
    for serve in (hang_up, say_nothing, talk_rubbish):
        async with raw_server(serve) as address:
            results = await asyncio.gather(*(open_publicly(address) for _ in range(30)), return_exceptions=True)
            assert all(isinstance(result, LinkError | ProtocolError) for result in results)
    async with asyncio.timeout(20):
        while len(os.listdir("/proc/self/fd")) > before:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
