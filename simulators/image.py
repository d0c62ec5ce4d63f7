"""A firmware image on its way into a simulated meter: blocks in any order, verification, activation (Blue Book, 18).

The one rule: an image is one for the meter if it begins with the three letters of its maker; nothing else of it is
looked at, and activation changes what the meter says of its firmware.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

BLOCK_OCTETS: Final = 256
MAX_IMAGE: Final = 1 << 21
"""Octets of the largest image that is taken."""


class Status(IntEnum):
    """image_transfer_status."""

    NOT_INITIATED = 0
    INITIATED = 1
    VERIFICATION_SUCCESSFUL = 3
    VERIFICATION_FAILED = 4
    ACTIVATION_SUCCESSFUL = 6


@dataclass(slots=True)
class Image:
    """The image that comes, and how far it is. `enabled`: transfers are taken at all."""

    enabled: bool = True
    status: Status = Status.NOT_INITIATED
    identifier: bytes = b""
    octets: bytearray = field(default_factory=bytearray)
    there: list[bool] = field(default_factory=list)
    """By block number: whether it has come."""

    def initiate(self, identifier: bytes, size: int) -> None:
        """Begin anew, whatever was there; `size` is at most MAX_IMAGE."""
        self.status, self.identifier = Status.INITIATED, identifier
        self.octets = bytearray(size)
        self.there = [False] * -(-size // BLOCK_OCTETS)

    def take(self, number: int, block: bytes) -> bool:
        """Put a block in its place; False where it has none, or not this length."""
        start = number * BLOCK_OCTETS
        if number >= len(self.there) or len(block) != min(BLOCK_OCTETS, len(self.octets) - start):
            return False
        self.octets[start : start + len(block)] = block
        self.there[number] = True
        return True

    @property
    def first_missing(self) -> int:
        """The number of the first block that has not come; that of all blocks where none is missing."""
        return self.there.index(False) if False in self.there else len(self.there)

    def verify(self, maker: str) -> bool:
        """Whether the image is whole, and for meters of this maker."""
        fits = all(self.there) and self.octets.startswith(maker.encode())
        self.status = Status.VERIFICATION_SUCCESSFUL if fits else Status.VERIFICATION_FAILED
        return fits

    @property
    def signature(self) -> bytes:
        return hashlib.sha256(self.octets).digest()
