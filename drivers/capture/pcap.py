"""pcap and pcapng files: packets with their time and the type of their link (IETF drafts pcap and pcapng).

Bounded: a length is checked against what the file still holds. What follows a record that is cut off or malformed is
left alone; `read_packets` says so.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

_PCAP: Final = {
    b"\xa1\xb2\xc3\xd4": (">", 6),
    b"\xd4\xc3\xb2\xa1": ("<", 6),
    b"\xa1\xb2\x3c\x4d": (">", 9),
    b"\x4d\x3c\xb2\xa1": ("<", 9),
}
"""The first octets of a pcap file: its byte order, and to how many decimals it tells seconds."""
_SECTION: Final = 0x0A0D0D0A
_INTERFACE, _SIMPLE, _ENHANCED = 1, 3, 6
_BYTE_ORDER: Final = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_RESOLUTION, _END_OF_OPTIONS = 9, 0
_LAST_MOMENT_S: Final = 253402300799


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as captured."""

    link_type: int
    octets: bytes
    time: datetime | None = None


@dataclass(slots=True)
class Packets:
    """The packets of a file; `stop` says where and why reading ended before its end."""

    packets: list[Packet] = field(default_factory=list)
    stop: tuple[int, str] | None = None


def is_pcap(octets: bytes) -> bool:
    """Whether these are the first octets of a pcap or pcapng file."""
    return octets[:4] in _PCAP or (octets[:4] == _SECTION.to_bytes(4, "big") and octets[8:12] in _BYTE_ORDER)


def read_packets(octets: bytes) -> Packets:
    """All packets up to the first record that is not whole."""
    found = Packets()
    records = _pcap(octets) if octets[:4] in _PCAP else _pcapng(octets)
    try:
        for packet in records:
            found.packets.append(packet)
    except _CutError as cut:
        found.stop = cut.octet, cut.reason
    return found


class _CutError(Exception):
    def __init__(self, octet: int, reason: str) -> None:
        super().__init__(reason)
        self.octet = octet
        self.reason = reason


def _take(octets: bytes, at: int, size: int, end: int, what: str) -> bytes:
    if not 0 <= size <= end - at:
        raise _CutError(at, f"the file ends inside {what}")
    return octets[at : at + size]


def _pcap(octets: bytes) -> Iterator[Packet]:
    order, decimals = _PCAP[octets[:4]]
    header = _take(octets, 0, 24, len(octets), "its header")
    link_type = int(struct.unpack(f"{order}I", header[20:])[0]) & 0xFFFF
    at = 24
    while at < len(octets):
        record = _take(octets, at, 16, len(octets), "the header of a packet")
        seconds, fraction, size, _ = struct.unpack(f"{order}4I", record)
        yield Packet(
            link_type, _take(octets, at + 16, size, len(octets), "a packet"), _time(seconds, fraction, decimals)
        )
        at += 16 + size


def _pcapng(octets: bytes) -> Iterator[Packet]:
    order = ">"
    interfaces: list[tuple[int, int]] = []
    at = 0
    while at < len(octets):
        head = _take(octets, at, 12, len(octets), "a block")
        if head[:4] == _SECTION.to_bytes(4, "big"):
            if head[8:] not in _BYTE_ORDER:
                raise _CutError(at + 8, "a section of no known byte order")
            order, interfaces = _BYTE_ORDER[head[8:]], []
        kind, size = struct.unpack(f"{order}2I", head[:8])
        if size < 12 or size % 4:
            raise _CutError(at + 4, f"a block of {size} octets")
        body = _take(octets, at, size, len(octets), "a block")[8:-4]
        if kind == _INTERFACE:
            interfaces.append(_interface(body, order, at))
        elif kind in (_SIMPLE, _ENHANCED):
            yield _packet(kind, body, order, interfaces, at)
        at += size


def _interface(body: bytes, order: str, at: int) -> tuple[int, int]:
    """The link type, and ticks a second."""
    link_type = int(struct.unpack(f"{order}H", _take(body, 0, 8, len(body), "an interface")[:2])[0])
    ticks, place = 1_000_000, 8
    while place + 4 <= len(body):
        code, size = struct.unpack(f"{order}2H", body[place : place + 4])
        if code == _END_OF_OPTIONS:
            break
        value = _take(body, place + 4, size, len(body), "an option")
        if code == _RESOLUTION and size == 1:
            ticks = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        place += 4 + (size + 3) // 4 * 4
    return link_type, ticks


def _packet(kind: int, body: bytes, order: str, interfaces: list[tuple[int, int]], at: int) -> Packet:
    if kind == _SIMPLE:
        (size,) = struct.unpack(f"{order}I", _take(body, 0, 4, len(body), "a packet"))
        index, moment, start = 0, None, 4
        size = min(size, len(body) - 4)
    else:
        index, high, low, size = struct.unpack(f"{order}4I", _take(body, 0, 20, len(body), "a packet")[:16])
        moment, start = high << 32 | low, 20
    if index >= len(interfaces):
        raise _CutError(at, f"a packet of interface {index}, which is not described")
    link_type, ticks = interfaces[index]
    time = None if moment is None else _time(moment // ticks, moment % ticks * 10**6 // ticks, 6)
    return Packet(link_type, _take(body, start, size, len(body), "a packet"), time)


def _time(seconds: int, fraction: int, decimals: int) -> datetime | None:
    if seconds > _LAST_MOMENT_S:
        return None
    microseconds = min(fraction * 10**6 // 10**decimals, 999_999)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=microseconds)
