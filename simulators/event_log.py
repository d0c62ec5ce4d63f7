"""The log of power failures of a simulated meter: the supply goes and comes back every six hours.

The one rule: an event is known by its time alone, so the log needs no memory. Codes are those of power related events
in IS 15959: 101 failure, 102 restoration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from drivers.dlms import axdr
from profiles.objects import CaptureObject, Obis
from simulators import block_load

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

LOG: Final = Obis(0, 0, 99, 98, 2)
EVENT_CODE: Final = CaptureObject(1, Obis(0, 0, 96, 11, 2), 2)
COLUMNS: Final = (block_load.CLOCK, EVENT_CODE)
ENTRIES: Final = 100

_EVERY_S: Final = 3 * 3600
_CODES: Final = (101, 102)


def rows(meter: SimulatedMeter, bounds: tuple[int, int] | None) -> list[bytes]:
    """The last events in A-XDR, oldest first: all of them, or those within `bounds` (seconds since 1970 UTC)."""
    last = int(meter.now()) // _EVERY_S
    first = max(last - ENTRIES + 1, -(-int(meter.identity.commissioned_at.timestamp()) // _EVERY_S))
    if bounds is not None:
        first, last = max(first, -(-bounds[0] // _EVERY_S)), min(last, bounds[1] // _EVERY_S)
    numbers = np.arange(first, last + 1, dtype=np.int64)
    stamps = block_load.clock_octets(numbers * _EVERY_S)
    return [
        axdr.structure(axdr.octet_string(stamp.tobytes()), axdr.uint16(_CODES[number % 2]))
        for number, stamp in zip(numbers.tolist(), stamps, strict=True)
    ]


def last_code(meter: SimulatedMeter) -> int:
    """The code of the last event."""
    return _CODES[int(meter.now()) // _EVERY_S % 2]
