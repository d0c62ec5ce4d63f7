"""Long values in blocks, as GET, SET and ACTION transfer them (Green Book, clauses 9.3.6 to 9.3.8): both directions.

The one rule: block numbers count from 1 without a gap, and one transfer a direction is on its way; a new request of
the service forgets the old one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

MAX_LONG_REQUEST: Final = 65_536
"""Octets of a value that is written in blocks; a longer one is aborted."""
BLOCK_OCTETS: Final = 12
"""The most that a response with a block has around its piece."""

T = TypeVar("T")


@dataclass(slots=True)
class Outgoing:
    """A value that the client fetches: how much of it was sent, and the number of the last block sent."""

    data: bytes
    sent: int = 0
    block: int = 0

    def next(self, size: int) -> tuple[bool, int, bytes]:
        """The next block of at most `size` octets: whether it is the last, its number, the piece."""
        piece = self.data[self.sent : self.sent + size]
        self.sent += len(piece)
        self.block += 1
        return self.sent == len(self.data), self.block, piece


@dataclass(slots=True)
class Incoming(Generic[T]):
    """A value that the client sends, for `target`: what has come of it, and the number of the block that is due."""

    target: T
    expected: int = 1
    data: bytearray = field(default_factory=bytearray)

    def add(self, piece: bytes) -> bool:
        """Take the block that is due; False where it makes too much."""
        if len(self.data) + len(piece) > MAX_LONG_REQUEST:
            return False
        self.expected += 1
        self.data += piece
        return True
