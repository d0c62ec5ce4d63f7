"""What a simulated meter keeps of what clients wrote and did; its load and its rows are not here, they are computed."""

from __future__ import annotations

from dataclasses import dataclass, field

from profiles.objects import Obis
from simulators.image import Image

TCP, UDP, HDLC = 0, 1, 5
"""Transport services of a push destination (Blue Book, class 40)."""
DISCONNECTED, CONNECTED, READY = 0, 1, 2
"""Control states of the disconnect control (Blue Book, class 70)."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a push goes: transport service, and HOST:PORT."""

    service: int = TCP
    address: bytes = b""


@dataclass(slots=True)
class MeterState:
    """The meter as it is set. `clock_offset_s`: how far its clock is ahead of the time that it is given."""

    period_s: int
    clock_offset_s: float = 0.0
    rows_from: int = 0
    """Nothing that began before this time (seconds since 1970 UTC, by the meter's clock) is in the buffer any more."""
    demand_period_s: int = 1800
    message: bytes = b""
    control_state: int = CONNECTED
    control_mode: int = 4
    users: dict[int, str] = field(default_factory=dict)
    push_to: dict[Obis, Destination] = field(default_factory=dict)
    """By the logical name of the push setup."""
    pushes: int = 0
    """How many were made, which numbers them."""
    image: Image = field(default_factory=Image)
    firmware: bytes = b""
    """The identifier of the image that was activated; empty while the maker's own firmware runs."""
