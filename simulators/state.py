"""What a simulated meter keeps of what clients wrote and did; its load and its rows are not here, they are computed.

What bears on what the meter measures is in its `conditions`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from profiles.objects import CaptureObject, Obis
from simulators.image import Image

TCP, UDP, HDLC = 0, 1, 5
"""Transport services of a push destination (Blue Book, class 40)."""
DISCONNECTED, CONNECTED, READY = 0, 1, 2
"""Control states of the disconnect control (Blue Book, class 70)."""
MAX_EVENTS: Final = 1000
"""Of what clients did: older ones are forgotten."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a push goes: transport service, and HOST:PORT."""

    service: int = TCP
    address: bytes = b""


@dataclass(slots=True)
class Limit:
    """A limiter as it is set: W, and for how many seconds they must be exceeded. `checked`: up to when it has looked.

    It acts once a client has set it.
    """

    watts: int
    over_s: int = 60
    checked: int = 0


@dataclass(slots=True)
class MeterState:
    """The meter as it is set. `clock_offset_s`: how far its clock is ahead of the time that it is given."""

    period_s: int
    clock_offset_s: float = 0.0
    rows_from: dict[Obis, int] = field(default_factory=dict)
    """By profile: nothing that began before this time (seconds since 1970 UTC, by the meter's clock) is in its buffer
    any more."""
    events: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    """What clients did, and the meter by their settings: when, by the meter's clock, and the code of the event."""
    settings: dict[Obis, bytes] = field(default_factory=dict)
    """Plain data that clients wrote, in A-XDR."""
    message: bytes = b""
    control_state: int = CONNECTED
    control_mode: int = 4
    limits: dict[Obis, Limit] = field(default_factory=dict)
    """Those that clients have set."""
    active: dict[int, bytes] = field(default_factory=dict)
    passive: dict[int, bytes] = field(default_factory=dict)
    """Activity calendars by attribute, 2 to 5 of the active one; what is not there is as the meter came."""
    special_days: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    """By index: date and day profile."""
    schedules: dict[Obis, tuple[tuple[bytes, bytes], ...]] = field(default_factory=dict)
    """Execution times of single action schedules: time of day and date."""
    passive_at: int | None = None
    """When the passive calendar becomes the active one."""
    users: dict[int, str] = field(default_factory=dict)
    push_to: dict[Obis, Destination] = field(default_factory=dict)
    """By the logical name of the push setup."""
    push_lists: dict[Obis, tuple[CaptureObject, ...]] = field(default_factory=dict)
    """What is pushed, where a client has said it."""
    pushes: int = 0
    """How many were made, which numbers them."""
    image: Image = field(default_factory=Image)
    image_at: int | None = None
    """When the image that was verified is put to use."""
    firmware: bytes = b""
    """The identifier of the image that was activated; empty while the maker's own firmware runs."""
