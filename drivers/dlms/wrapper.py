"""The wrapper of DLMS over TCP and UDP (Green Book, clause 7.3.3): 8 octets before each APDU.

Version 0001, source wPort, destination wPort and the length of the APDU, each a 16-bit big-endian number.
No I/O: octets in, frames out, however the link cut them.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from profiles.errors import ProtocolError

VERSION: Final = 1
MAX_APDU: Final = 0xFFFF

_HEADER: Final = struct.Struct(">4H")
HEADER_OCTETS: Final = _HEADER.size
_BEGINNING: Final = VERSION.to_bytes(2, "big")


class Frame(NamedTuple):
    """One wrapper frame: the wPorts of both ends (client SAP, server SAP) and the APDU."""

    source: int
    destination: int
    apdu: bytes


def wrap(source: int, destination: int, apdu: bytes) -> bytes:
    """The frame of one APDU; ProtocolError on an APDU that the 16-bit length can't hold."""
    if not 0 < len(apdu) <= MAX_APDU:
        raise ProtocolError(f"an APDU of {len(apdu)} octets does not fit the wrapper", retry=False)
    return _HEADER.pack(VERSION, source, destination, len(apdu)) + apdu


class Unwrapper:
    """Finds the frames in a stream of octets.

    After a ProtocolError the stream has lost its place: the link has to be closed, every further call raises again.
    """

    def __init__(self, max_apdu: int = MAX_APDU) -> None:
        self._max_apdu = max_apdu
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what the link received; call `next` until it gives None before feeding more."""
        self._buffer += data

    @property
    def incomplete(self) -> bool:
        """Whether part of a frame is there."""
        return bool(self._buffer)

    def next(self) -> Frame | None:
        """The next whole frame, or None until more is fed.

        ProtocolError as soon as the header shows another version than 1, or a length of 0 or above `max_apdu`.
        """
        buffer = self._buffer
        if not buffer:
            return None
        if len(buffer) < HEADER_OCTETS:
            if not _BEGINNING.startswith(buffer[:2]):
                raise _not_a_frame(buffer)
            return None
        version, source, destination, size = _HEADER.unpack_from(buffer)
        if version != VERSION:
            raise _not_a_frame(buffer)
        if not 0 < size <= self._max_apdu:
            raise ProtocolError(f"wrapper frame announces an APDU of {size} octets, 1 to {self._max_apdu} allowed")
        end = HEADER_OCTETS + size
        if len(buffer) < end:
            return None
        apdu = bytes(buffer[HEADER_OCTETS:end])
        del buffer[:end]
        return Frame(source, destination, apdu)


def _not_a_frame(octets: bytearray) -> ProtocolError:
    return ProtocolError(
        f"not a wrapper frame: begins {octets[:2].hex()}, not {_BEGINNING.hex()}",
        remedy="is this the meter's DLMS port, and is the wrapper its framing?",
    )
