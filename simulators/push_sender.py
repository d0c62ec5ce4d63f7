"""Brings a meter's APDUs to a head-end that listens: by TCP or UDP in the wrapper, by HDLC in UI frames.

The one rule: a meter calls from its own address, in 127.0.0.0/8, or from ::1 to there, and calls no others; every wait
ends.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from drivers.dlms.wrapper import Unwrapper, wrap
from drivers.hdlc.addresses import server_address
from drivers.hdlc.server import unnumbered
from profiles.errors import LinkError
from simulators.state import HDLC, TCP, UDP, Destination

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

LIMIT_S: Final = 10.0
"""For a connection, and for an answer."""
_UI_OCTETS: Final = 128
_V6: Final = "::1"
_LARGEST: Final = 0x1_0000


async def send_push(
    meter: SimulatedMeter, apdus: Sequence[bytes], to: Destination, client_sap: int, *, answered: bool = False
) -> bytes | None:
    """Send `apdus`, such as the blocks of one. With `answered`, the APDU that came back, None where none did.

    LinkError where the destination is none, or can't be reached. By UDP nobody knows whether it was.
    """
    host, port = _address(to)
    server_sap = meter.meter_type.server_sap
    if to.service == HDLC:
        address = server_address(server_sap)
        frames = [unnumbered(client_sap, address, apdu, _UI_OCTETS) for apdu in apdus]
    else:
        frames = [wrap(server_sap, client_sap, apdu) for apdu in apdus]
    try:
        async with asyncio.timeout(LIMIT_S):
            if to.service == UDP:
                return await _by_datagrams(meter, frames, (host, port), answered)
            return await _by_connection(meter, frames, (host, port), answered)
    except TimeoutError:
        return None
    except OSError as error:
        raise LinkError(f"{host}:{port} can't be reached: {error.strerror}") from None


async def _by_connection(
    meter: SimulatedMeter, frames: Sequence[bytes], place: tuple[str, int], answered: bool
) -> bytes | None:
    reader, writer = await asyncio.open_connection(*place, local_addr=_own(meter, place))
    try:
        for frame in frames:
            writer.write(frame)
        await writer.drain()
        return await _answer(reader) if answered else None
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> bytes | None:
    frames = Unwrapper()
    while (frame := frames.next()) is None:
        octets = await reader.read(_LARGEST)
        if not octets:
            return None
        frames.feed(octets)
    return frame.apdu


async def _by_datagrams(
    meter: SimulatedMeter, frames: Sequence[bytes], place: tuple[str, int], answered: bool
) -> bytes | None:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if place[0] == _V6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        sending.bind(_own(meter, place))
        sending.connect(place)
        for frame in frames:
            await loop.sock_sendall(sending, frame)
        if not answered:
            return None
        frames_back = Unwrapper()
        frames_back.feed(await loop.sock_recv(sending, _LARGEST))
        answer = frames_back.next()
        return None if answer is None else answer.apdu


def _own(meter: SimulatedMeter, place: tuple[str, int]) -> tuple[str, int]:
    """Where a meter calls from."""
    return (_V6 if place[0] == _V6 else meter.identity.host, 0)


def _address(to: Destination) -> tuple[str, int]:
    """HOST:PORT of a destination, if it is in 127.0.0.0/8 or ::1, which stands in brackets."""
    host, _, port = to.address.decode("ascii", "replace").rpartition(":")
    is_loopback = host == f"[{_V6}]" or (host.startswith("127.") and ":" not in host)
    if to.service not in (TCP, UDP, HDLC) or not is_loopback or not port.isdecimal():
        raise LinkError(f"{to.address!r} is no place that a simulated meter pushes to: 127.x.y.z:port or [::1]:port")
    return host.strip("[]"), min(int(port), 0xFFFF)
