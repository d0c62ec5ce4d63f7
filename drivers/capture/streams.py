"""What a capture is made of: streams of octets that went one way, cut into the pieces in which they arrived.

The one rule: nothing here knows what the octets mean; where each of them stands in the capture is never lost, so that
messages of two directions can be put in order, and what is not understood can be pointed at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from profiles.errors import ProtocolError

MAX_OCTETS: Final = 64 * 1024 * 1024
"""The largest capture that is taken."""
REMEDY: Final = (
    "what is explained: HDLC and wrapper frames, M-Bus frames, bare APDUs, as octets or as hex digits, "
    "pcap files, transcripts of --trace"
)


def not_dlms(place: str, octet: int, reason: str) -> ProtocolError:
    """What to raise where nothing is understood: `octet` counts from 0 in `place` (empty: the capture itself)."""
    where = f"understanding stopped at octet {octet}{f' ({place})' if place else ''}"
    return ProtocolError(f"not DLMS: {where}: {reason}", remedy=REMEDY, retry=False).stopped_at(octet)


@dataclass(frozen=True, slots=True)
class Piece:
    """Octets that came at once. `order` counts the pieces of all streams; `hidden` are places of octets within it that
    the capture does not tell (they are 0 here)."""

    octets: bytes
    order: int = 0
    time: datetime | None = None
    hidden: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Stream:
    """What went one way on one line, connection or datagram.

    `name` says which, for people; empty where there is but one. Streams of one `group` are one conversation's.
    """

    pieces: tuple[Piece, ...]
    name: str = ""
    group: str = ""
    octets: bytes = field(init=False, repr=False)
    hidden: frozenset[int] = field(init=False, repr=False)
    _starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts: list[int] = []
        hidden: set[int] = set()
        at = 0
        for piece in self.pieces:
            starts.append(at)
            hidden.update(at + place for place in piece.hidden)
            at += len(piece.octets)
        object.__setattr__(self, "octets", b"".join(piece.octets for piece in self.pieces))
        object.__setattr__(self, "hidden", frozenset(hidden))
        object.__setattr__(self, "_starts", tuple(starts))

    def piece_at(self, octet: int) -> Piece:
        """The piece in which the octet at this offset came."""
        return self.pieces[max(0, bisect_right(self._starts, octet) - 1)]


def one_stream(octets: bytes) -> Sequence[Stream]:
    """A capture that is one row of octets."""
    return [Stream((Piece(octets),))]
