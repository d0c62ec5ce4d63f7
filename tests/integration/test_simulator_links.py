"""The simulated meters on every link: wrapper and HDLC on one port, UDP, serial ports, mode E, calls."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from simulated import BLOCK_LOAD, COMMISSIONED, MESSAGE, METER_TYPE, NOW, SERIAL, TITLE, Place, one_meter, value

from drivers.address import parse_address
from drivers.credentials import Credentials
from drivers.dlms import acse, apdu, axdr
from drivers.dlms.client import Client
from drivers.dlms.wrapper import Unwrapper, wrap
from drivers.hdlc.addresses import HdlcAddress, server_address
from drivers.hdlc.frames import Frame, Kind
from drivers.hdlc.llc import COMMAND
from drivers.links.listen import Listener
from drivers.links.stream import TcpStream
from drivers.links.wrapper import WrapperLink
from drivers.session import open_session, session_on
from profiles.errors import LinkError, LinkTimeout, SettingsError
from profiles.objects import AttributeRef, Obis
from simulators.datagrams import DatagramServer
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter
from simulators.run import Options, Ready, simulate
from simulators.serial_port import SerialPort
from simulators.simulation import Simulation
from simulators.virtual_clock import VirtualClock

LIMIT_S = 30


async def reads_all(place: Place, address: str) -> None:
    """What is short, and what is long, read and written over this link."""
    credentials = place.meter.client_credentials(place.setting, TITLE, place.counters)
    async with open_session(parse_address(address), place.meter.meter_type, place.setting, credentials) as session:
        assert await value(session, SERIAL) == place.meter.identity.serial
        assert await value(session, BLOCK_LOAD) == [axdr.decode(row) for row in place.meter.rows(None)]
        await session.set(MESSAGE, axdr.octet_string(bytes(5000)))
    assert place.meter.state.message == bytes(5000)
    assert place.meter.holder is None


# --- one port -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["tcp", "hdlc+tcp"])
@pytest.mark.parametrize("ciphering", ["glo", "general-glo"])
async def test_one_port_serves_wrapper_and_hdlc(scheme: str, ciphering: str) -> None:
    async with one_meter(ciphering=ciphering) as place:
        await reads_all(place, f"{scheme}://{place.meter.identity.host}:{place.server.port}?timeout={LIMIT_S}")


@pytest.mark.parametrize(
    "options", ["physical=17", "physical=17&octets=4", "window=7&information=1024", "window=1&information=32"]
)
async def test_hdlc_reaches_the_meter_under_any_physical_address_and_parameters(options: str) -> None:
    async with one_meter() as place:
        address = f"hdlc+tcp://{place.meter.identity.host}:{place.server.port}?timeout={LIMIT_S}&{options}"
        await reads_all(place, address)


async def test_long_answers_without_blocks_of_their_own_go_through_hdlc_one_general_block_a_turn() -> None:
    async with one_meter(ciphering="general-glo") as place:
        place.meter.state.message = bytes(20_000)
        credentials = place.meter.client_credentials(place.setting, TITLE, place.counters)
        address = parse_address(f"hdlc+tcp://{place.meter.identity.host}:{place.server.port}?timeout={LIMIT_S}")
        async with open_session(address, place.meter.meter_type, place.setting, credentials) as session:
            answer = await session.access([apdu.AccessGet(MESSAGE)], [axdr.null()])
        assert answer.data == (axdr.octet_string(bytes(20_000)),)


async def test_a_client_that_polls_and_does_not_read_costs_bounded_memory() -> None:
    async with one_meter() as place:
        reader, writer = await asyncio.open_connection(place.meter.identity.host, place.server.port)
        client, server = HdlcAddress(16), server_address(1)
        whole = apdu.InitiateRequest(int(apdu.Conformance.GET | apdu.Conformance.BLOCK_TRANSFER_WITH_GET), 0)
        aarq = acse.encode_aarq(
            ciphered=False, mechanism=0, client_title=None, authentication_value=None, user_information=whole.encode()
        )
        objects = apdu.GetRequestNormal(0xC1, AttributeRef(15, Obis(0, 0, 40, 0, 0), 2)).encode()
        writer.write(Frame(server, client, Kind.SNRM, True).encode())
        for number, request in enumerate((aarq, objects)):
            await asyncio.wait_for(reader.read(4096), LIMIT_S)
            writer.write(Frame(server, client, Kind.I, True, number, number, COMMAND + request).encode())
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        # It acknowledges nothing, and so is given the same frames each time.
        poll = Frame(server, client, Kind.RR, True, 0, 1).encode()
        async with asyncio.timeout(LIMIT_S):
            while writer.transport.get_write_buffer_size() < 200_000:
                writer.write(poll * 1000)
                await asyncio.sleep(0)
        await asyncio.sleep(0.2)
        assert writer.transport.get_write_buffer_size() > 100_000
        assert max(link.unsent for link in place.server.links) < 200_000
        writer.close()


# --- UDP ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def on_udp(place: Place) -> AsyncIterator[DatagramServer]:
    datagrams = DatagramServer(place.server.meters)
    await datagrams.start(place.server.port)
    try:
        yield datagrams
    finally:
        await datagrams.close()


async def test_a_meter_answers_datagrams_from_the_address_that_they_were_sent_to() -> None:
    async with one_meter() as place, on_udp(place):
        await reads_all(place, f"udp://{place.meter.identity.host}:{place.server.port}?timeout={LIMIT_S}")


INITIATE = apdu.InitiateRequest(conformance=0x10, max_pdu=0).encode()
AARQ = acse.encode_aarq(
    ciphered=False, mechanism=0, client_title=None, authentication_value=None, user_information=INITIATE
)


async def test_datagrams_that_are_no_frames_or_for_nobody_are_passed_over() -> None:
    async with one_meter() as place, on_udp(place) as datagrams:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.setblocking(False)
            to_meter, to_nobody = (place.meter.identity.host, place.server.port), ("127.0.0.1", place.server.port)
            frame = wrap(16, 1, AARQ)
            for octets in (b"x", frame[:-1], frame + b"\x00", b"\x7e\xa0", wrap(16, 1, bytes(3000))):
                peer.sendto(octets, to_meter)
            peer.sendto(frame, to_nobody)
            peer.sendto(frame, to_meter)
            answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 4096), LIMIT_S)
        frames = Unwrapper()
        frames.feed(answer)
        found = frames.next()
        assert found is not None
        assert acse.decode_aare(found.apdu).result == 0
        assert datagrams.passed_over == 6


# --- serial ports ---------------------------------------------------------------------------------------------


class Cable:
    """Two pseudo-terminals, joined: what goes into one comes out of the other."""

    def __init__(self) -> None:
        self._pairs = [os.openpty(), os.openpty()]
        self.ours, self.meters = (os.ttyname(slave) for _, slave in self._pairs)
        for one, other in ((0, 1), (1, 0)):
            os.set_blocking(self._pairs[one][0], False)
            asyncio.get_running_loop().add_reader(self._pairs[one][0], self._pass, one, other)
        self.passed: list[tuple[str, bytes]] = []

    def _pass(self, one: int, other: int) -> None:
        with contextlib.suppress(OSError):
            octets = os.read(self._pairs[one][0], 4096)
            self.passed.append((("client", "meter")[one], octets))
            os.write(self._pairs[other][0], octets)

    @property
    def meters_baud(self) -> int:
        speed = termios.tcgetattr(self._pairs[1][0])[4]
        return {termios.B300: 300, termios.B9600: 9600}[speed]

    def close(self) -> None:
        for master, slave in self._pairs:
            asyncio.get_running_loop().remove_reader(master)
            os.close(master)
            os.close(slave)


@contextmanager
def cable(meter: SimulatedMeter, *, mode_e: bool = False, idle_s: float = 60.0) -> Iterator[Cable]:
    laid = Cable()
    port = SerialPort(meter, laid.meters, mode_e=mode_e, idle_s=idle_s)
    port.open()
    try:
        yield laid
    finally:
        port.close()
        laid.close()


async def test_a_meter_answers_on_a_serial_port() -> None:
    async with one_meter() as place:
        with cable(place.meter) as laid:
            await reads_all(place, f"serial:{laid.ours}?timeout={LIMIT_S}")


async def test_a_meter_with_an_optical_head_is_signed_on_to_each_time() -> None:
    async with one_meter() as place:
        with cable(place.meter, mode_e=True) as laid:
            for _ in range(2):
                assert laid.meters_baud == 300
                await reads_all(place, f"serial:{laid.ours}?mode=e&timeout={LIMIT_S}")
                assert laid.meters_baud == 9600
                await until(lambda: laid.meters_baud == 300)
            said = b"".join(octets for who, octets in laid.passed if who == "meter")
        plain = bytes(octet & 0x7F for octet in said)
        assert plain.count(b"/SMA5\\2SM1P-2.04\r\n") == 2


async def test_a_meter_with_an_optical_head_is_silent_until_signed_on_to() -> None:
    async with one_meter() as place:
        with cable(place.meter, mode_e=True) as laid:
            with pytest.raises(LinkTimeout):
                await reads_all(place, f"serial:{laid.ours}?timeout=1")
            assert {who for who, _ in laid.passed} == {"client"}


async def test_an_optical_head_that_says_nothing_has_to_sign_on_again() -> None:
    async with one_meter() as place:
        with cable(place.meter, mode_e=True, idle_s=0.2) as laid:
            head = os.open(laid.ours, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(head)
            os.write(head, b"/?!\r\n")
            await until(lambda: any(b"SMA" in octets for who, octets in laid.passed if who == "meter"))
            os.write(head, b"\x06252\r\n")
            await until(lambda: laid.meters_baud == 9600)
            await until(lambda: laid.meters_baud == 300)
            os.close(head)


async def test_a_port_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    async with one_meter() as place:
        with pytest.raises(SettingsError, match="can't open"):
            SerialPort(place.meter, str(tmp_path / "none")).open()


async def until(condition: object) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110
            await asyncio.sleep(0.01)


# --- a whole run ----------------------------------------------------------------------------------------------


async def test_a_run_serves_udp_and_a_serial_port_beside_tcp() -> None:
    fleet, stop, laid = Fleet(5, 1, {"Bhopal city": 1}, COMMISSIONED), asyncio.Event(), Cable()
    announced: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        simulate(
            Simulation.of_type(fleet, METER_TYPE),
            Options(udp=True, serial=laid.meters, mode_e=True),
            ready=announced.set_result,
            clock=VirtualClock.start(NOW),
            stop=stop,
        )
    )
    ready = await asyncio.wait_for(announced, LIMIT_S)
    public, host = METER_TYPE.associations["public"], ready.first_host
    try:
        for address in (f"tcp://{host}:{ready.port}", f"udp://{host}:{ready.port}", f"serial:{laid.ours}?mode=e"):
            place = parse_address(address)
            async with open_session(place, METER_TYPE, public, Credentials()) as session:
                assert await value(session, SERIAL) == fleet.identity(0).serial
    finally:
        stop.set()
        outcome = await asyncio.wait_for(task, LIMIT_S)
        laid.close()
    assert outcome.exit_code == 0


# --- calls ----------------------------------------------------------------------------------------------------


async def test_a_meter_calls_in_and_is_read_on_its_own_call() -> None:
    async with one_meter() as place:
        read: list[axdr.Value] = []

        async def take(stream: TcpStream, peer: str) -> None:
            credentials = place.meter.client_credentials(place.setting, TITLE, place.counters)
            link = WrapperLink(stream, client=place.setting.client_sap, server=1, timeout_s=LIMIT_S)
            async with session_on(link, Client(place.setting, credentials)) as session:
                read.append(await value(session, SERIAL))

        listener = Listener(take, timeout_s=LIMIT_S)
        await listener.start("127.0.0.1")
        await place.server.call_in(place.meter.identity.host, "127.0.0.1", listener.ports[0])
        await until(lambda: read and not place.server.links)
        port = listener.ports[0]
        await listener.close()
        assert read == [place.meter.identity.serial]
        with pytest.raises(LinkError, match="can't be called"):
            await place.server.call_in(place.meter.identity.host, "127.0.0.1", port)
