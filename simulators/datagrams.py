"""The fleet on UDP: one socket for all meters; a datagram is one frame of the wrapper (Green Book, clause 7.3.3).

The one rule: a meter is told by the address that a datagram was sent to, which the kernel says of each, and answers
from that address. A datagram to anywhere else, or that is no frame, is passed over: anybody can send one.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import structlog

from drivers.dlms.wrapper import Unwrapper, wrap
from profiles.errors import ProtocolError, SettingsError
from simulators.association import Connection
from simulators.faulty_link import delay_of
from simulators.faulty_meter import FaultyMeter
from simulators.lines import MAX_REQUEST
from simulators.meter import SimulatedMeter
from simulators.supply import always

MAX_PEERS: Final = 4096
"""Peers, over all meters, whose associations are kept; the one heard longest ago goes for a new one."""

_IP_PKTINFO: Final = 8
_PKTINFO: Final = struct.Struct("=I4s4s")
"""Interface, local address, address in the header (ip(7))."""
_LARGEST: Final = 0x1_0000
_AT_ONCE: Final = 64
"""Datagrams that are answered before others of this process have their turn."""

log = structlog.get_logger(__name__)


class DatagramServer:
    """Serves `meters` (by host address) on one UDP socket until closed."""

    def __init__(self, meters: Mapping[str, SimulatedMeter]) -> None:
        self.meters = meters
        self.has_supply: Callable[[int], bool] = always
        """Whether the meter with an index does; nothing is heard of one that does not."""
        self.passed_over = 0
        self.answers = 0
        self._peers: OrderedDict[tuple[str, Any], Connection] = OrderedDict()
        self._socket: socket.socket | None = None

    async def start(self, port: int) -> None:
        """Listen on this port of every local address; SettingsError where it is taken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            listener.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            listener.bind(("0.0.0.0", port))  # noqa: S104 - datagrams to elsewhere are passed over, see above
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            raise SettingsError(
                f"can't listen on UDP port {port}: {error.strerror}", remedy="choose another --port"
            ) from None
        self._socket = listener
        asyncio.get_running_loop().add_reader(listener, self._receive)

    async def close(self) -> None:
        """Stop listening, and end every association."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        for connection in self._peers.values():
            connection.close()
        self._peers.clear()

    def _receive(self) -> None:
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                octets, told, _, peer = self._socket.recvmsg(_LARGEST, socket.CMSG_SPACE(_PKTINFO.size))
            except OSError:
                return
            try:
                self._take(octets, _local_address(told), peer)
            except Exception:
                log.exception("meter_failed")

    def _take(self, octets: bytes, host: str, peer: object) -> None:
        meter = self.meters.get(host)
        if isinstance(meter, FaultyMeter) and "never_answers" in meter.faults:
            meter.faults.note("never_answers")
            return
        frames = Unwrapper(MAX_REQUEST)
        frames.feed(octets)
        try:
            frame = frames.next()
        except ProtocolError:
            frame = None
        if meter is None or frame is None or frames.incomplete:
            self.passed_over += 1
            return
        if not self.has_supply(meter.identity.index):
            return
        connection = self._connection(meter, host, peer)
        answer = connection.handle(frame.apdu, frame.source, frame.destination)
        if answer is None:  # there is no connection to close
            self._peers.pop((host, peer)).close()
        for each in [answer, *connection.further]:
            if each:
                self.answers += 1
                self._answer(meter, wrap(frame.destination, frame.source, each), host, peer)
        connection.further.clear()

    def _answer(self, meter: SimulatedMeter, octets: bytes, host: str, peer: object) -> None:
        """Of what can go wrong on the way, datagrams are late, out of order thereby, or lost."""
        delay = delay_of(meter.faults) if isinstance(meter, FaultyMeter) else 0.0
        if delay:
            asyncio.get_running_loop().call_later(delay, self._send, octets, host, peer)
        elif delay is not None:
            self._send(octets, host, peer)

    def _connection(self, meter: SimulatedMeter, host: str, peer: object) -> Connection:
        key = (host, peer)
        if key not in self._peers:
            if len(self._peers) >= MAX_PEERS:
                self._peers.popitem(last=False)[1].close()
            self._peers[key] = meter.connect(streams=True)
        self._peers.move_to_end(key)
        return self._peers[key]

    def _send(self, octets: bytes, host: str, peer: object) -> None:
        if self._socket is None:
            return
        source = _PKTINFO.pack(0, socket.inet_aton(host), bytes(4))
        try:
            self._socket.sendmsg([octets], [(socket.IPPROTO_IP, _IP_PKTINFO, source)], 0, cast(Any, peer))
        except OSError as error:  # lost, as datagrams are
            log.info("datagram_lost", reason=error.strerror)


def _local_address(told: list[tuple[int, int, bytes]]) -> str:
    """The address that a datagram was sent to; empty where the kernel did not say."""
    for level, kind, value in told:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO) and len(value) == _PKTINFO.size:
            return socket.inet_ntoa(_PKTINFO.unpack(value)[2])
    return ""
