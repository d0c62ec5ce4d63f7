"""Packets to streams: Ethernet, loopback and raw IP; IPv4 and IPv6 with fragments; UDP datagrams, TCP put in order.

The one rule: this reads what others sent and checks no sum: a capture may have been made before the card filled it in.
Octets that a capture lacks end a stream; what follows them is another stream of the same conversation.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Final

from drivers.capture.pcap import Packet
from drivers.capture.streams import Piece, Stream

_ETHERNET, _NULL, _LOOP, _COOKED, _COOKED_2 = 1, 0, 108, 113, 276
_RAW: Final = frozenset({12, 14, 101, 228, 229})
_IP: Final = frozenset({0x0800, 0x86DD})
_VLAN: Final = frozenset({0x8100, 0x88A8, 0x9100})
_TCP, _UDP = 6, 17
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION = 0, 43, 44, 60
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_MAX_WAITING: Final = 1024
"""Segments, or datagrams in fragments, that wait for what comes before them."""
_MAX_DATAGRAM: Final = 0xFFFF
_MAX_FRAGMENTS: Final = 128


def streams_of_packets(packets: Sequence[Packet]) -> list[Stream]:
    """Every TCP connection's two directions and every UDP datagram, in the order in which they began."""
    network = _Network()
    for order, packet in enumerate(packets):
        network.take(packet, order)
    return network.streams()


@dataclass(frozen=True, slots=True)
class _End:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(slots=True)
class _Half:
    """One direction of a TCP connection. Sequence numbers are counted on beyond 32 bits."""

    name: str
    group: str
    expected: int | None = None
    pieces: list[Piece] = field(default_factory=list)
    waiting: list[tuple[int, int, bytes, datetime | None]] = field(default_factory=list)
    """A heap of segments that came before what they follow."""
    done: list[Stream] = field(default_factory=list)

    def begin(self, sequence: int) -> None:
        """A SYN: data begins after it."""
        self.expected = sequence + 1

    def add(self, sequence: int, octets: bytes, order: int, time: datetime | None) -> None:
        if self.expected is None:
            self.expected = sequence
        if not octets:
            return
        ahead = (sequence - self.expected) & 0xFFFF_FFFF
        place = self.expected + (ahead - (1 << 32) if ahead >= 1 << 31 else ahead)
        if place > self.expected:
            heapq.heappush(self.waiting, (place, order, octets, time))
            if len(self.waiting) > _MAX_WAITING:
                self._jump()
            return
        self._append(place, octets, order, time)
        while self.waiting and self.waiting[0][0] <= self.expected:
            place, _, octets, _ = heapq.heappop(self.waiting)
            self._append(place, octets, order, time)  # it counts from when the gap before it was filled

    def _append(self, place: int, octets: bytes, order: int, time: datetime | None) -> None:
        """Add what of `octets` is new."""
        assert self.expected is not None
        octets = octets[self.expected - place :]
        if octets:
            self.pieces.append(Piece(octets, order, time))
            self.expected += len(octets)

    def _jump(self) -> None:
        """Give up what is missing: go on in another stream with the first of what waits."""
        self._close()
        self.expected, order, octets, time = heapq.heappop(self.waiting)
        self.add(self.expected & 0xFFFF_FFFF, octets, order, time)

    def _close(self) -> None:
        if self.pieces:
            self.done.append(Stream(tuple(self.pieces), self.name, self.group))
        self.pieces = []

    def end(self) -> list[Stream]:
        """All of it, in the streams that gaps made of it."""
        while self.waiting:
            self._jump()
        self._close()
        return self.done


class _Network:
    def __init__(self) -> None:
        self._datagrams: list[Stream] = []
        self._halves: dict[tuple[_End, _End], _Half] = {}
        self._ended: list[_Half] = []
        self._fragments: dict[tuple[object, ...], dict[int, bytes]] = {}
        self._connections = 0

    def streams(self) -> list[Stream]:
        found = [stream for half in (*self._ended, *self._halves.values()) for stream in half.end()]
        return sorted(found + self._datagrams, key=lambda stream: stream.pieces[0].order)

    def take(self, packet: Packet, order: int) -> None:
        try:
            self._ip(_network_layer(packet), order, packet.time)
        except (IndexError, struct.error):
            return  # cut off, or no IP: nothing of ours

    def _ip(self, octets: bytes, order: int, time: datetime | None) -> None:
        if not octets:
            return
        if octets[0] >> 4 == 4:
            size, total = (octets[0] & 0x0F) * 4, int.from_bytes(octets[2:4], "big")
            payload = octets[size : total or None]  # 0: the card was to cut it
            hosts = octets[12:16], octets[16:20]
            fragment = int.from_bytes(octets[6:8], "big")
            protocol, whole = octets[9], payload
            if fragment & 0x3FFF:
                key = (*hosts, protocol, octets[4:6])
                whole = self._join(key, (fragment & 0x1FFF) * 8, payload, more=bool(fragment & 0x2000))
            self._transport(protocol, hosts, whole, order, time)
        elif octets[0] >> 4 == 6:
            size = int.from_bytes(octets[4:6], "big")
            hosts = octets[8:24], octets[24:40]
            self._ip6(octets[6], hosts, octets[40 : 40 + size if size else None], order, time)

    def _ip6(
        self, protocol: int, hosts: tuple[bytes, bytes], payload: bytes, order: int, time: datetime | None
    ) -> None:
        while protocol in (_HOP_BY_HOP, _ROUTING, _DESTINATION):
            protocol, payload = payload[0], payload[8 + 8 * payload[1] :]
        if protocol == _FRAGMENT:
            protocol, place = payload[0], int.from_bytes(payload[2:4], "big")
            key = (*hosts, protocol, payload[4:8])
            payload = self._join(key, place & 0xFFF8, payload[8:], more=bool(place & 1))
        self._transport(protocol, hosts, payload, order, time)

    def _join(self, key: tuple[object, ...], place: int, part: bytes, *, more: bool) -> bytes:
        """The whole datagram, once its last fragment is there; empty before."""
        if key not in self._fragments and len(self._fragments) >= _MAX_WAITING:
            del self._fragments[next(iter(self._fragments))]
        parts = self._fragments.setdefault(key, {})
        parts[place] = part
        if not more:
            parts.setdefault(place + len(part), b"")
        whole = bytearray()
        for start in sorted(parts):
            if start > len(whole) or start > _MAX_DATAGRAM or len(parts) > _MAX_FRAGMENTS:
                return b""
            whole[start:] = parts[start]
            if not parts[start] and start == len(whole):
                del self._fragments[key]
                return bytes(whole)
        return b""

    def _transport(
        self, protocol: int, hosts: tuple[bytes, bytes], octets: bytes, order: int, time: datetime | None
    ) -> None:
        if protocol not in (_TCP, _UDP) or not octets:
            return
        ports = struct.unpack(">2H", octets[:4])
        source, destination = (_End(str(ip_address(host)), port) for host, port in zip(hosts, ports, strict=True))
        if protocol == _UDP:
            payload = octets[8 : int.from_bytes(octets[4:6], "big") or None]
            if payload:
                group = " ".join(sorted(("udp", str(source), str(destination))))
                name = f"udp {source} > {destination}"
                self._datagrams.append(Stream((Piece(payload, order, time),), name, group))
            return
        (sequence,) = struct.unpack(">I", octets[4:8])
        flags, start = octets[13], (octets[12] >> 4) * 4
        half = self._half(source, destination, begins=flags & (_SYN | _ACK) == _SYN)
        if flags & _SYN:
            half.begin(sequence)
        elif not flags & _RST:
            half.add(sequence, octets[start:], order, time)

    def _half(self, source: _End, destination: _End, *, begins: bool) -> _Half:
        both = ((source, destination), (destination, source))
        if begins and any(half.pieces for pair in both if (half := self._halves.get(pair))):
            # The same ports again: another connection.
            self._ended += [half for pair in both if (half := self._halves.pop(pair, None))]
        half = self._halves.get((source, destination))
        if half is None:
            other = self._halves.get((destination, source))
            self._connections += other is None
            group = other.group if other is not None else f"tcp {self._connections}"
            half = self._halves[source, destination] = _Half(f"tcp {source} > {destination}", group)
        return half


def _network_layer(packet: Packet) -> bytes:
    """From the IP header on; empty where the packet carries something else."""
    octets = packet.octets
    if packet.link_type in _RAW:
        return octets
    if packet.link_type in (_NULL, _LOOP):
        return octets[4:]
    if packet.link_type == _COOKED:
        return octets[16:] if int.from_bytes(octets[14:16], "big") in _IP else b""
    if packet.link_type == _COOKED_2:
        return octets[20:] if int.from_bytes(octets[0:2], "big") in _IP else b""
    if packet.link_type != _ETHERNET:
        return b""
    at = 12
    while (kind := int.from_bytes(octets[at : at + 2], "big")) in _VLAN:
        at += 4
    return octets[at + 2 :] if kind in _IP else b""
