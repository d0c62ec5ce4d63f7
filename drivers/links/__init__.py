"""Links: from a meter's address to what carries APDUs there and back."""

from __future__ import annotations

import time

from drivers.address import HDLC, LINES, Address, Scheme
from drivers.links.gateway import GatewayLink
from drivers.links.hdlc import HdlcLink
from drivers.links.line_time import LineTime, TimedStream
from drivers.links.link import Link
from drivers.links.mode_e import open_mode_e
from drivers.links.serial import SerialStream
from drivers.links.stream import Stream, TcpStream
from drivers.links.transcript import Recording, ReplayStream, TracedStream, Transcript
from drivers.links.udp import UdpStream
from drivers.links.wrapper import WrapperLink

__all__ = ["Link", "open_link", "replay_link"]


async def open_link(
    address: Address,
    *,
    client: int,
    server: int,
    transcript: Transcript | None = None,
    line_time: LineTime | None = None,
) -> Link:
    """Open the link that an address describes, between these SAPs, ready for an AARQ.

    With a `transcript`, every octet of it is recorded there; with a `line_time`, those of a serial line are counted.
    Raises LinkError, MeterBusy (another holds the port or the meter), ProtocolError; whatever it raises, nothing stays
    open.
    """
    if transcript is not None:
        transcript.begin(f"{address} client {client} server {server}")
    stream = await _open_stream(address, transcript, line_time)
    try:
        return await _framed(address, stream, client, server)
    except BaseException:
        await stream.close()
        raise


async def replay_link(recording: Recording, address: Address, *, client: int, server: int) -> Link:
    """A link on which a recorded connection happens again; LinkError as soon as we do something else than then."""

    async def set_baud(baud: int) -> None:
        """A recording has no speed."""

    stream = ReplayStream(recording)
    if address.line.mode_e:
        await open_mode_e(stream, set_baud, address.timeout_s)
    return await _framed(address, stream, client, server)


async def _open_stream(address: Address, transcript: Transcript | None, line_time: LineTime | None) -> Stream:
    def traced(stream: Stream) -> Stream:
        return stream if transcript is None else TracedStream(stream, transcript)

    if address.scheme in LINES:
        began, baud = time.monotonic(), address.line.baud
        port = await SerialStream.open(address)
        stream = traced(port)
        if address.line.mode_e:
            try:
                baud = (await open_mode_e(stream, port.set_baud, address.timeout_s)).baud
            except BaseException:
                await stream.close()
                raise
        if line_time is None:
            return stream
        line_time.opened(began, baud, signed_on=address.line.mode_e)
        return TimedStream(stream, line_time)
    kind = UdpStream if address.scheme is Scheme.UDP else TcpStream
    return traced(await kind.open(address.host, address.port, address.timeout_s, name=str(address)))


async def _framed(address: Address, stream: Stream, client: int, server: int) -> Link:
    link: Link
    if address.scheme in HDLC:
        data_link = HdlcLink(stream, client=client, server=server, hdlc=address.hdlc, timeout_s=address.timeout_s)
        await data_link.connect()
        link = data_link
    else:
        link = WrapperLink(stream, client=client, server=server, timeout_s=address.timeout_s)
    return link if address.gateway is None else GatewayLink(link, address.gateway)
