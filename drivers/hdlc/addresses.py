"""HDLC addresses (Green Book, clause 8.4.2): who a frame is for and who it is from.

Clients have one octet. Servers have one, two or four: the upper half names the logical device, the lower one the
physical device, where several hang on one line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from profiles.errors import ProtocolError

ALL_STATIONS: Final = {1: 0x7F, 2: 0x7F, 4: 0x3FFF}
"""The lower address that every device takes as its own, by how many octets an address has."""


@dataclass(frozen=True, slots=True)
class HdlcAddress:
    """One end of a data link: `upper` is the SAP (client or logical device), `lower` the physical device."""

    upper: int
    lower: int | None = None
    octets: int = 1

    def __post_init__(self) -> None:
        bits = 14 if self.octets == 4 else 7
        fits = self.octets in (1, 2, 4) and (self.lower is not None) is (self.octets > 1)
        if not fits or not 0 <= self.upper < 1 << bits or not 0 <= (self.lower or 0) < 1 << bits:
            raise ProtocolError(f"{self} is not an HDLC address", retry=False)

    def __str__(self) -> str:
        lower = "" if self.lower is None else f"/{self.lower}"
        return f"{self.upper}{lower} in {self.octets} octets"

    def encode(self) -> bytes:
        """Seven bits an octet, most significant first; only the last octet is odd (clause 8.4.2.3)."""
        upper, lower = self.upper, [] if self.lower is None else [self.lower]
        parts = [upper, *lower] if self.octets < 4 else [part for half in (upper, *lower) for part in divmod(half, 128)]
        return bytes(part << 1 for part in parts[:-1]) + bytes([parts[-1] << 1 | 1])

    @classmethod
    def decode(cls, octets: bytes) -> HdlcAddress:
        """From its 1, 2 or 4 octets; ProtocolError on anything else."""
        parts = [octet >> 1 for octet in octets]
        if len(parts) == 1:
            return cls(parts[0])
        if len(parts) == 2:
            return cls(parts[0], parts[1], 2)
        if len(parts) == 4:
            return cls(parts[0] << 7 | parts[1], parts[2] << 7 | parts[3], 4)
        raise ProtocolError(f"an HDLC address of {len(parts)} octets, 1, 2 or 4 are allowed")

    def reaches(self, other: HdlcAddress) -> bool:
        """Whether a frame to this address is for `other`: one without a physical device, or to all, reaches any."""
        anyone = (None, ALL_STATIONS[self.octets])
        return self.upper == other.upper and (self.lower in anyone or self.lower == other.lower)


def server_address(logical: int, physical: int | None = None, octets: int | None = None) -> HdlcAddress:
    """A server's address in `octets` octets, or in as few as hold it; ProtocolError where it can't be."""
    if octets is None:
        octets = 4 if max(logical, physical or 0) > 0x7F else 1 if physical is None else 2
    return HdlcAddress(logical, physical, octets)
