"""What the two ends of an HDLC link agree on in SNRM and UA (Green Book, clause 8.4.5.3.2).

Each end says what it can transmit and receive; what counts in one direction is the smaller of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.hdlc.frames import MAX_INFORMATION
from profiles.errors import ProtocolError

_FORMAT: Final = b"\x81\x80"
_INFORMATION_TRANSMIT, _INFORMATION_RECEIVE, _WINDOW_TRANSMIT, _WINDOW_RECEIVE = 5, 6, 7, 8


@dataclass(frozen=True, slots=True)
class Parameters:
    """Most octets of an information field and most frames of a window, in each direction. The defaults are the
    standard's, which hold where nothing is said."""

    information_transmit: int = 128
    information_receive: int = 128
    window_transmit: int = 1
    window_receive: int = 1

    def encode(self) -> bytes:
        """The information field of an SNRM or UA."""
        fields = b"".join(
            bytes([identifier, len(value)]) + value
            for identifier, value in (
                (_INFORMATION_TRANSMIT, _size(self.information_transmit)),
                (_INFORMATION_RECEIVE, _size(self.information_receive)),
                (_WINDOW_TRANSMIT, self.window_transmit.to_bytes(4, "big")),
                (_WINDOW_RECEIVE, self.window_receive.to_bytes(4, "big")),
            )
        )
        return _FORMAT + bytes([len(fields)]) + fields

    def agreed(self, theirs: Parameters) -> Parameters:
        """What counts for an end that can do `self`, once the other has said `theirs`."""
        return Parameters(
            min(self.information_transmit, theirs.information_receive),
            min(self.information_receive, theirs.information_transmit),
            min(self.window_transmit, theirs.window_receive),
            min(self.window_receive, theirs.window_transmit),
        )


def _size(number: int) -> bytes:
    return number.to_bytes(1 if number < 256 else 2, "big")


def decode_parameters(information: bytes) -> Parameters:
    """From the information field of an SNRM or UA; ProtocolError on a malformed one.

    Unknown parameters are passed over; a size or window beyond the standard's bounds is brought within them.
    """
    if not information:
        return Parameters()
    fields = information[3:]
    if information[:2] != _FORMAT or len(information) < 3 or information[2] != len(fields):
        raise ProtocolError("HDLC parameters in an unknown form")
    values: dict[int, int] = {}
    at = 0
    while at < len(fields):
        size = fields[at + 1] if at + 1 < len(fields) else 0
        value = fields[at + 2 : at + 2 + size]
        if not size or len(value) < size:
            raise ProtocolError("an HDLC parameter that ends too soon")
        values[fields[at]] = int.from_bytes(value, "big")
        at += 2 + size

    def bounded(identifier: int, default: int, most: int) -> int:
        return max(1, min(values.get(identifier, default), most))

    return Parameters(
        bounded(_INFORMATION_TRANSMIT, 128, MAX_INFORMATION),
        bounded(_INFORMATION_RECEIVE, 128, MAX_INFORMATION),
        bounded(_WINDOW_TRANSMIT, 1, 7),
        bounded(_WINDOW_RECEIVE, 1, 7),
    )
