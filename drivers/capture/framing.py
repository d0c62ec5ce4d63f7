"""What framings find in a stream: APDUs with the frames that carried them, and where understanding stopped.

The one rule: each framing is tried on the whole stream, and the one that explains the most octets is believed.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, Final

from drivers.dlms.apdu import tags

ACSE: Final = {0x60: "AARQ", 0x61: "AARE", 0x62: "RLRQ", 0x63: "RLRE"}
FIRST_OCTETS: Final = frozenset(
    {
        *ACSE,
        *tags.CIPHERED,
        *tags.SERVICES,
        tags.DATA_NOTIFICATION,
        tags.DATA_NOTIFICATION_CONFIRM,
        *range(tags.EXCEPTION_RESPONSE, tags.GENERAL_BLOCK_TRANSFER + 1),
        tags.GATEWAY_REQUEST,
        tags.GATEWAY_RESPONSE,
    }
)
"""What an APDU can begin with."""
NAMES: Final = {**tags.SERVICES, tags.ACCESS_REQUEST: "access-request"}
"""What an APDU is called that begins so, where a transcript hides the rest."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `kind` is its own word for what it is; `source` and `destination` are SAPs (wPorts)."""

    framing: str
    octets: int
    kind: str = ""
    source: int | None = None
    destination: int | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "framing": self.framing,
            "kind": self.kind or None,
            "source": self.source,
            "destination": self.destination,
            "octets": self.octets,
        }

    def __str__(self) -> str:
        way = "" if self.source is None else f" from {self.source} to {self.destination}"
        parts = [part for part in (self.note, f"{self.octets} octets") if part]
        return f"{f'{self.framing} {self.kind}'.strip()}{way}, {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Unit:
    """An APDU and the frames that carried it; or a frame without an APDU (`apdu` is empty).

    `start` and `end` are offsets in the stream. `places`: from which octet of the APDU on which offset holds.
    `sender` and `ends` tell who sent it and which two talk, as far as the framing knows.
    """

    apdu: bytes = field(repr=False)
    frames: tuple[Frame, ...]
    start: int
    end: int
    places: tuple[tuple[int, int], ...] = ((0, 0),)
    sender: str = ""
    ends: str = ""

    def offset_of(self, octet: int) -> int:
        """Where in the stream an octet of the APDU stands."""
        first, offset = self.places[max(0, bisect_right(self.places, (octet, 1 << 62)) - 1)]
        return offset + octet - first


@dataclass(frozen=True, slots=True)
class Stop:
    """Where in the stream something could not be understood, and why."""

    offset: int
    reason: str


@dataclass(slots=True)
class Framed:
    """What one framing made of a stream."""

    name: str
    units: list[Unit] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    understood: int = 0
    """Octets in sound frames."""
    passed_over: int = 0
    """Octets between them."""
    begins: int = 0
    """Where the first thing stands that looks like a frame."""

    @property
    def reach(self) -> int:
        """How far what looks like a frame at the very beginning was understood; -1 where nothing there does."""
        return self.stops[0].offset if self.stops and self.begins <= 1 else -1


def talkers(source: object, destination: object) -> str:
    """A name for who talk with each other, the same in both directions."""
    return " ".join(sorted((str(source), str(destination))))
