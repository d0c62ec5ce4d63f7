"""A meter's clock, and how far it is from ours.

The one rule: a meter's time is read the way that its type says, and the drift is no better known than half the time
that the question took.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from drivers.dlms import axdr
from drivers.session import Session
from profiles.datetimes import instant
from profiles.errors import ProtocolError
from profiles.meter_type import MeterType
from profiles.moments import DateTime


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What the clock said. `stated` has the octets, the deviation as sent and the clock status in words.

    `time`: in UTC; None where the octets name no instant. `drift_s`: the meter's time minus ours, to within
    `uncertainty_s`. `lost`: the clock shows a year in which it has surely not been set.
    """

    stated: DateTime
    time: datetime | None
    drift_s: float | None
    uncertainty_s: float
    lost: bool

    @property
    def suspect(self) -> bool:
        """Whether the clock itself says that it may be wrong, or is."""
        return self.lost or bool({"invalid value", "doubtful value"} & set(self.stated.clock_status))


async def read_clock(session: Session, meter_type: MeterType, now: Callable[[], datetime]) -> ClockReading:
    """The clock, and its drift against `now()` in the middle of the question. ProtocolError for what is no date-time.

    In the hour that a clock shows twice, the meter's own deviation or daylight saving bit decides.
    """
    asked = now()
    value = axdr.decode(await session.get(meter_type.clock))
    answered = now()
    try:
        stated = DateTime(value if isinstance(value, bytes) else b"")
    except ValueError:
        raise ProtocolError("the clock's time is no date-time of 12 octets", asked=f"get {meter_type.clock}") from None
    time = instant(stated.octets, meter_type.zone, meter_type.deviation)
    middle = asked + (answered - asked) / 2
    return ClockReading(
        stated=stated,
        time=time,
        drift_s=None if time is None else (time - middle).total_seconds(),
        uncertainty_s=(answered - asked).total_seconds() / 2,
        lost=time is not None and time.astimezone(ZoneInfo(meter_type.zone)).year < meter_type.clock_habit.lost_before,
    )
