"""Date-times of single pushes as instants, exactly as `profiles.datetimes` has them for columns.

The one rule: what is looked up once is a minute of a zone; pushes of one slot come from thousands of meters within few
of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from profiles.datetimes import SECOND_US, instants
from profiles.meter_type import Deviation, MeterType

_OCTETS: Final = 12
_NOT_SPECIFIED: Final = 0xFF


class Moment(NamedTuple):
    """Microseconds since 1970 in UTC, and the same as the wall clock showed it; whether that is doubtful."""

    utc: int
    wall: int
    suspect: bool


def moment_of(octets: object, meter_type: MeterType) -> Moment | None:
    """That of a date-time's 12 octets, stamped by a meter of this type; None for what names no instant."""
    if not isinstance(octets, bytes) or len(octets) != _OCTETS:
        return None
    second, hundredths = octets[7], octets[8]
    if (second > 59 and second != _NOT_SPECIFIED) or (hundredths > 99 and hundredths != _NOT_SPECIFIED):
        return None
    minute = _minute(octets[:7] + b"\0\0" + octets[9:], meter_type.zone, meter_type.deviation)
    if minute is None:
        return None
    beside = 0 if second == _NOT_SPECIFIED else second * SECOND_US
    beside += 0 if hundredths == _NOT_SPECIFIED else hundredths * (SECOND_US // 100)
    return Moment(minute.utc + beside, minute.wall + beside, minute.suspect)


@lru_cache(maxsize=4096)
def _minute(octets: bytes, zone: str, deviation: Deviation) -> Moment | None:
    found = instants(np.frombuffer(octets, np.uint8).reshape(1, _OCTETS), zone, deviation)
    if not found.ok[0]:
        return None
    return Moment(int(found.utc[0]), int(found.local[0]), bool(found.suspect[0]))
