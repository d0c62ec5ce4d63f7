"""Packets and capture files, made octet by octet from the standards, independently of what reads them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address

CLIENT, METER = ("127.0.0.1", 50_000), ("127.0.0.2", 4059)
CLIENT_6, METER_6 = ("::1", 50_000), ("fe80::2", 4059)
End = tuple[str, int]
SYN, ACK, PUSH = 0x02, 0x10, 0x18


def tcp(source: End, destination: End, sequence: int, octets: bytes, flags: int = PUSH) -> tuple[int, bytes]:
    """The payload of an IP packet, with its protocol number."""
    header = struct.pack(">2H2I2B3H", source[1], destination[1], sequence & 0xFFFF_FFFF, 0, 5 << 4, flags, 8192, 0, 0)
    return 6, header + octets


def udp(source: End, destination: End, octets: bytes) -> tuple[int, bytes]:
    """Likewise of a datagram."""
    return 17, struct.pack(">4H", source[1], destination[1], 8 + len(octets), 0) + octets


def ip(source: End, destination: End, payload: tuple[int, bytes], *, fragment: int = 0, identity: int = 1) -> bytes:
    """An IP packet, of version 4 or 6 by its addresses; `fragment` is the flags and offset of version 4."""
    protocol, octets = payload
    hosts = b"".join(ip_address(end[0]).packed for end in (source, destination))
    if isinstance(ip_address(source[0]), IPv4Address):
        head = struct.pack(">2B3H2BH", 0x45, 0, 20 + len(octets), identity, fragment, 64, protocol, 0)
        return head + hosts + octets
    return struct.pack(">IH2B", 6 << 28, len(octets), protocol, 64) + hosts + octets


def ethernet(packet: bytes, *, vlan: bool = False) -> bytes:
    """A packet in a frame, filled up to the shortest that there is."""
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    frame = bytes(12) + (b"\x81\x00\x00\x05" if vlan else b"") + kind + packet
    return frame + bytes(max(0, 60 - len(frame)))


def pcap(frames: Iterable[bytes], link_type: int = 1, *, order: str = "<", nanoseconds: bool = False) -> bytes:
    """A pcap file, a packet a second from 2026-01-31T06:15:00Z on."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    file = struct.pack(f"{order}I2HiIII", magic, 2, 4, 0, 0, 65535, link_type)
    for number, frame in enumerate(frames):
        file += struct.pack(f"{order}4I", 1_769_840_100 + number, 500, len(frame), len(frame)) + frame
    return file


def pcapng(frames: Iterable[bytes], link_type: int = 1, *, order: str = "<", simple: bool = False) -> bytes:
    """A pcapng file of one section, with a block that nobody knows; times in nanoseconds."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack(f"{order}I", 12 + len(body))
        return struct.pack(f"{order}I", kind) + size + body + size

    nanoseconds = struct.pack(f"{order}2HB3x2H", 9, 1, 9, 0, 0)
    file = block(0x0A0D0D0A, struct.pack(f"{order}I2Hq", 0x1A2B3C4D, 1, 0, -1))
    file += block(0x0BAD, b"unknown") + block(1, struct.pack(f"{order}2HI", link_type, 0, 0) + nanoseconds)
    for number, frame in enumerate(frames):
        if simple:
            file += block(3, struct.pack(f"{order}I", len(frame)) + frame)
            continue
        high, low = divmod((1_769_840_100 + number) * 10**9 + 500_000, 1 << 32)
        file += block(6, struct.pack(f"{order}5I", 0, high, low, len(frame), len(frame)) + frame)
    return file


def conversation(
    said: Iterable[tuple[bool, bytes]], client: End = CLIENT, meter: End = METER, *, size: int = 0
) -> list[bytes]:
    """IP packets of a TCP connection: who opens it, then what the client (True) and the meter say, in their order.

    `size`: the most octets of a segment (0: all at once).
    """
    counts = {True: 1_000, False: 0xFFFF_FF00}  # the meter's sequence number passes 2**32 soon
    ends = {True: (client, meter), False: (meter, client)}
    packets = [ip(client, meter, tcp(client, meter, counts[True] - 1, b"", SYN))]
    packets.append(ip(meter, client, tcp(meter, client, counts[False] - 1, b"", SYN | ACK)))
    for by_client, octets in said:
        for at in range(0, len(octets), size or len(octets) or 1):
            piece = octets[at : at + (size or len(octets))]
            packets.append(ip(*ends[by_client], tcp(*ends[by_client], counts[by_client], piece)))
            counts[by_client] += len(piece)
    return packets
