"""HDLC frames of format type 3 as DLMS uses them (ISO/IEC 13239; Green Book, clause 8): octets to frames and back.

    7E  format(2)  destination(1,2,4)  source(1,2,4)  control(1)  [header check(2)  information]  frame check(2)  7E

The one rule: the length in the format field says where a frame ends, never the flag octet: 7E is allowed everywhere
inside a frame, its check included.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from drivers.hdlc.addresses import HdlcAddress
from profiles.errors import ProtocolError

FLAG: Final = 0x7E
MAX_LENGTH: Final = 0x7FF
"""The most octets between the flags that eleven bits of length can announce."""
MAX_INFORMATION: Final = 2030
"""The largest information field that can be negotiated."""
TYPE_3: Final = 0xA0
_SEGMENTED: Final = 0x08
_POLL_FINAL: Final = 0x10
_MIRRORED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


class Kind(IntEnum):
    """The frames that are known, by their control octet without its numbers and its poll/final bit."""

    I = 0x00  # noqa: E741 - the standard's name
    RR = 0x01
    RNR = 0x05
    REJ = 0x09
    UI = 0x03
    DM = 0x0F
    DISC = 0x43
    UA = 0x63
    SNRM = 0x83
    FRMR = 0x87
    UNKNOWN = 0xFF
    """Whole and sound, but its control octet means nothing: a station answers with FRMR."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `final` is the poll bit in commands; `send` and `receive` are N(S) and N(R), modulo 8."""

    destination: HdlcAddress
    source: HdlcAddress
    kind: Kind
    final: bool = False
    send: int = 0
    receive: int = 0
    information: bytes = b""
    segmented: bool = False
    """More segments of the same information follow."""
    unknown: int = 0
    """The control octet of a frame of unknown kind."""

    @property
    def control(self) -> int:
        """The control octet."""
        if self.kind is Kind.UNKNOWN:
            return self.unknown
        octet = self.kind | (_POLL_FINAL if self.final else 0)
        if self.kind is Kind.I:
            octet |= self.send << 1
        return octet | self.receive << 5 if self.kind in _NUMBERED else octet

    def encode(self) -> bytes:
        """The frame between its flags; ProtocolError where eleven bits can't tell its length."""
        addresses = self.destination.encode() + self.source.encode()
        length = 2 + len(addresses) + 1 + (len(self.information) + 2 if self.information else 0) + 2
        if length > MAX_LENGTH:
            raise ProtocolError(f"a frame of {length} octets is too long for HDLC", retry=False)
        head = bytes([TYPE_3 | (_SEGMENTED if self.segmented else 0) | length >> 8, length & 0xFF])
        octets = head + addresses + bytes([self.control])
        if self.information:
            octets += check(octets) + self.information
        return bytes([FLAG]) + octets + check(octets) + bytes([FLAG])


_NUMBERED: Final = (Kind.I, Kind.RR, Kind.RNR, Kind.REJ)


def check(octets: bytes) -> bytes:
    """The two octets of CRC-16/X-25 over `octets`.

    `binascii` computes the CCITT polynomial most significant bit first, HDLC least significant bit first: with every
    octet and the result mirrored they are the same, at the speed of C.
    """
    crc = binascii.crc_hqx(octets.translate(_MIRRORED), 0xFFFF) ^ 0xFFFF
    return bytes([_MIRRORED[crc >> 8], _MIRRORED[crc & 0xFF]])


def decode_frame(octets: bytes) -> Frame:
    """The frame in `octets`, which come without flags; ProtocolError says what is wrong with it."""
    header = header_size(octets)
    if header is None or len(octets) < header + 2 or header + 2 < len(octets) < header + 5:
        raise ProtocolError("an HDLC frame that ends in its header or header check")
    if length_of(octets) != len(octets):
        raise ProtocolError(f"an HDLC frame of {len(octets)} octets announces {length_of(octets)}")
    if check(octets[:-2]) != octets[-2:]:
        raise ProtocolError("an HDLC frame with a wrong check")
    if header + 2 < len(octets) and check(octets[:header]) != octets[header : header + 2]:
        raise ProtocolError("an HDLC frame with a wrong header check")
    split = _address_end(octets, 2)
    assert split is not None
    information = octets[header + 2 : -2]
    return _with_control(
        octets[header - 1],
        HdlcAddress.decode(octets[2:split]),
        HdlcAddress.decode(octets[split : header - 1]),
        information,
        bool(octets[0] & _SEGMENTED),
    )


def _with_control(
    control: int, destination: HdlcAddress, source: HdlcAddress, information: bytes, segmented: bool
) -> Frame:
    final, receive = bool(control & _POLL_FINAL), control >> 5
    if not control & 1:
        return Frame(destination, source, Kind.I, final, control >> 1 & 7, receive, information, segmented)
    try:
        if control & 3 == 1:
            return Frame(destination, source, Kind(control & 0x0F), final, 0, receive, information, segmented)
        return Frame(destination, source, Kind(control & ~_POLL_FINAL), final, 0, 0, information, segmented)
    except ValueError:
        return Frame(destination, source, Kind.UNKNOWN, final, unknown=control)


def length_of(octets: bytes | bytearray) -> int:
    """What a format field announces: the octets between the flags."""
    return (octets[0] & 7) << 8 | octets[1]


def _address_end(octets: bytes | bytearray, start: int) -> int | None:
    """Where the address from `start` on ends: after its first odd octet; None where there is none in four."""
    for place in range(start, min(start + 4, len(octets))):
        if octets[place] & 1:
            return place + 1
    return None


def header_size(octets: bytes | bytearray) -> int | None:
    """Octets from the format field to the control octet; None where there aren't as many."""
    middle = _address_end(octets, 2)
    end = None if middle is None else _address_end(octets, middle)
    return None if end is None or end >= len(octets) else end + 1
