"""One simulated meter behind every kind of link, in this process: real sockets, real pseudo-terminals.

`served()` gives a `Place`: the meter, what it was asked, and how to open a session with it. Each `*_meter` context
manager serves the meter on a line until the end of the block and gives the address under which it answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import termios
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import serial
from serial.rfc2217 import PortManager

from drivers.address import parse_address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms import apdu as apdus
from drivers.dlms.wrapper import Unwrapper, wrap
from drivers.hdlc.parameters import Parameters
from drivers.hdlc.server import HdlcServer
from drivers.links.mode_e import with_parity
from drivers.links.transcript import Transcript
from drivers.session import Session, open_session
from profiles.loader import load_meter_type
from profiles.objects import AttributeRef, Obis
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters

NOW = datetime(2026, 1, 3, 6, 7, 30, tzinfo=UTC)
COMMISSIONED = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
METER_TYPE = load_meter_type("is15959-1ph")
TITLE = b"HES\x00\x00\x00\x00\x01"
SERIAL = AttributeRef(1, Obis(0, 0, 96, 1, 0), 2)
BLOCK_LOAD = AttributeRef(7, Obis(1, 0, 99, 1, 0), 2)
OBJECTS = AttributeRef(15, Obis(0, 0, 40, 0, 0), 2)
PHYSICAL = 17
METERS = Parameters(128, 128, 3, 3)
"""What the meter's HDLC layer can do."""


class Place:
    """A simulated meter, and a client that spends its counters in order."""

    def __init__(self, meter: SimulatedMeter) -> None:
        self.meter = meter
        self.counters = CounterRange(1, 10_000)

    @asynccontextmanager
    async def session(
        self, address: str, kind: str = "utility_setting", transcript: Transcript | None = None
    ) -> AsyncIterator[Session]:
        association, credentials = METER_TYPE.associations[kind], self.credentials(kind)
        async with open_session(
            parse_address(address), METER_TYPE, association, credentials, transcript=transcript
        ) as session:
            yield session

    def credentials(self, kind: str) -> Credentials:
        """What a client needs for this association."""
        keys, association = self.meter.keys, METER_TYPE.associations[kind]
        secret = {1: keys.lls, 2: keys.hls}.get(association.mechanism)
        return Credentials(TITLE, keys.encryption, keys.authentication, secret, self.counters)

    def hdlc(self) -> HdlcServer:
        """The meter's data link layer, for one line."""
        return HdlcServer(self.meter.connect(), physical=PHYSICAL, offered=METERS)


def served(make: Callable[..., SimulatedMeter] = SimulatedMeter) -> Place:
    fleet = Fleet(5, 1, {"Bhopal city": 1}, COMMISSIONED)
    return Place(next(iter(simulated_meters(fleet, METER_TYPE, lambda: NOW, make).values())))


Answer = Callable[[bytes], bytes | None]


@asynccontextmanager
async def on_socket(make_answer: Callable[[], Answer], host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A TCP server that answers octets with octets; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = make_answer()
        with contextlib.suppress(OSError):
            while octets := await reader.read(65_536):
                reply = answer(octets)
                if reply is None:
                    break
                writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def hdlc_meter(place: Place, host: str = "127.0.0.1") -> AsyncIterator[str]:
    async with on_socket(lambda: place.hdlc().receive, host) as port:
        shown = f"[{host}]" if ":" in host else host
        yield f"hdlc+tcp://{shown}:{port}"


def wrapper_answer(place: Place, unwrap: Callable[[bytes, Callable[[bytes], bytes | None]], bytes | None]) -> Answer:
    """Answers wrapper frames; `unwrap` takes what is in one and what asks the meter."""
    connection, frames = place.meter.connect(), Unwrapper()

    def answer(octets: bytes) -> bytes | None:
        frames.feed(octets)
        replies = b""
        while (frame := frames.next()) is not None:
            source, destination = frame.source, frame.destination
            reply = unwrap(frame.apdu, lambda apdu: connection.handle(apdu, source, destination))  # noqa: B023
            if reply is None:
                return None
            replies += wrap(destination, source, reply) if reply else b""
        return replies

    return answer


def bare(apdu: bytes, ask: Callable[[bytes], bytes | None]) -> bytes | None:
    return ask(apdu)


@asynccontextmanager
async def gateway_meter(place: Place, network: int, device: bytes) -> AsyncIterator[str]:
    """The meter behind a gateway that, before each answer, passes on one of another meter."""

    def behind(apdu: bytes, ask: Callable[[bytes], bytes | None]) -> bytes | None:
        request = apdus.decode(apdu)
        assert isinstance(request, apdus.GatewayRequest)
        assert (request.network_id, request.address) == (network, device)
        answer = ask(request.apdu)
        return None if answer is None else apdus.GatewayResponse(network, device, answer).encode()

    def with_foreign() -> Answer:
        answer = wrapper_answer(place, behind)
        foreign = wrap(1, 48, apdus.GatewayResponse(network, b"other", b"\xd8\x01\x01").encode())

        def both(octets: bytes) -> bytes | None:
            reply = answer(octets)
            return foreign + wrap(1, 48, b"\xd8\x01\x01") + reply if reply else reply

        return both

    async with on_socket(with_foreign) as port:
        yield f"tcp://127.0.0.1:{port}?gateway={device.hex()}&network={network}"


class Datagrams(asyncio.DatagramProtocol):
    """A meter on UDP: a datagram that comes is a frame. `noise` is sent before each answer."""

    def __init__(self, answer: Answer, noise: bytes = b"") -> None:
        self._answer = answer
        self._noise = noise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        reply = self._answer(data)
        if self._noise:
            self._transport.sendto(self._noise, addr)
        if reply:
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def udp_meter(place: Place, noise: bytes = b"", host: str = "127.0.0.1") -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    answer = wrapper_answer(place, bare)
    transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams(answer, noise), local_addr=(host, 0))
    port = transport.get_extra_info("sockname")[1]
    try:
        yield f"udp://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        transport.close()


class Terminal:
    """The meter's end of a pseudo-terminal: answers what comes, in the running loop. `path` is the client's end."""

    def __init__(self, answer: Answer) -> None:
        self.master, self._slave = os.openpty()
        self.path = os.ttyname(self._slave)
        self.heard = b""
        self._answer = answer
        os.set_blocking(self.master, False)
        asyncio.get_running_loop().add_reader(self.master, self._read)

    @property
    def baud(self) -> int:
        """The speed at which the client has set the line."""
        speed = termios.tcgetattr(self.master)[4]
        return next(baud for baud in serial.Serial.BAUDRATES if getattr(termios, f"B{baud}", None) == speed)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            octets = os.read(self.master, 65_536)
            self.heard += octets
            reply = self._answer(octets)
            if reply:
                os.write(self.master, reply)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self._slave)


@contextmanager
def serial_meter(place: Place) -> Iterator[Terminal]:
    terminal = Terminal(place.hdlc().receive)
    try:
        yield terminal
    finally:
        terminal.close()


class ModeE:
    """A meter with an optical port: silent until signed on at 300 baud, then HDLC, at its own speed only.

    `repeats`: it repeats the acknowledgement. `misses`: so many sign-ons before it hears one. `coded`: what adds
    parity, where the client leaves that to the port.
    """

    def __init__(
        self,
        place: Place,
        *,
        identification: bytes = rb"/NRB5\2HC101",
        repeats: bool = True,
        misses: int = 0,
        coded: Callable[[bytes], bytes] = with_parity,
    ) -> None:
        self._coded = coded
        self.terminal = Terminal(self._answer)
        self.speeds: list[int] = []
        self._hdlc = place.hdlc()
        self._identification = identification
        self._repeats = repeats
        self.misses = misses
        self._line = b""
        self._signed_on = False

    def _answer(self, octets: bytes) -> bytes | None:
        self.speeds += [self.terminal.baud] if self.speeds[-1:] != [self.terminal.baud] else []
        if self._signed_on:
            return self._hdlc.receive(octets) if self.terminal.baud == 9600 else b""
        assert self.terminal.baud == 300
        text = bytes(octet & 0x7F for octet in octets)
        assert octets == self._coded(text)
        self._line += text
        if self._line == b"/?!\r\n":
            self._line = b""
            if self.misses:
                self.misses -= 1
                return b""
            return self._coded(self._identification + b"\r\n")
        if self._line == b"\x06252\r\n":
            self._signed_on = True
            return self._coded(self._line) if self._repeats else b""
        return b""


@contextmanager
def mode_e_meter(place: Place, **options: Any) -> Iterator[ModeE]:
    meter = ModeE(place, **options)
    try:
        yield meter
    finally:
        meter.terminal.close()


class LentPort(serial.Serial):  # type: ignore[misc]
    """A pseudo-terminal has no modem lines, so here they are constant."""

    cts = dsr = ri = cd = property(lambda self: False)

    def _update_dtr_state(self) -> None: ...
    def _update_rts_state(self) -> None: ...


@contextmanager
def serial_server(path: str) -> Iterator[int]:
    """A serial server (RFC 2217) that lends the port at `path`: pyserial's own, in a thread; its TCP port."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_lend, args=(listener, path), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(20)
        assert not thread.is_alive()


def _lend(listener: socket.socket, path: str) -> None:
    connection, _ = listener.accept()
    with connection, LentPort(path, timeout=0.02) as port:
        lock = threading.Lock()

        class Client:
            def write(self, octets: bytes) -> None:
                with lock, contextlib.suppress(OSError):
                    connection.sendall(octets)

        manager, gone = PortManager(port, Client()), threading.Event()

        def to_client() -> None:
            with contextlib.suppress(OSError, TypeError):  # TypeError: closed while it reads
                while not gone.is_set():
                    octets = port.read(1)
                    if octets:
                        octets += port.read(port.in_waiting)
                        Client().write(b"".join(manager.escape(octets)))

        reading = threading.Thread(target=to_client, daemon=True)
        reading.start()
        with contextlib.suppress(OSError):
            while octets := connection.recv(4096):
                port.write(b"".join(manager.filter(octets)))
        gone.set()
        reading.join(10)
