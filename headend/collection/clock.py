"""Setting clocks: a meter whose clock is off is put right, within limits, by the association that may.

The one rule: never across the boundary of an interval, for then one would be recorded twice, or never. Old and new time
lie in one interval, with room on both sides, or the clock is left to the next visit. That is seen before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from drivers.dlms import axdr
from drivers.reading.clock import read_clock
from drivers.session import Session
from headend.settings import Clock
from headend.store.finished import ClockCheck
from profiles.datetimes import encode_local
from profiles.errors import ProtocolError
from profiles.meter_type import Association, MeterType
from profiles.objects import AttributeRef

CONTROL: Final = "clock"
"""Its name among the controls of a meter type."""
_TIME: Final = 2

log = structlog.get_logger(__name__)


def may_set(check: ClockCheck | None, limits: Clock) -> bool:
    """Whether a clock that was found so far off is to be set, and is not so far off that somebody has to see why."""
    if check is None or check.drift_s is None or not limits.set_above_s:
        return False
    return limits.set_above_s < abs(check.drift_s) <= limits.never_above_s


def setting_association(meter_type: MeterType) -> Association | None:
    """Which association may set the clock; None where the type names none."""
    for control in meter_type.controls.values():
        if control.name == CONTROL:
            return meter_type.associations[control.association]
    return None


def in_one_interval(old: datetime, new: datetime, period_s: int, zone: str, margin_s: float) -> bool:
    """Whether both times lie in one interval of the local day, `margin_s` from its ends."""
    margin, local = timedelta(seconds=margin_s), ZoneInfo(zone)
    first, last = ((moment.astimezone(local)) for moment in (min(old, new) - margin, max(old, new) + margin))
    if first.utcoffset() != last.utcoffset():
        return False
    return _slot(first, period_s) == _slot(last, period_s)


def new_time(drift_s: float, now: datetime, period_s: int, zone: str, margin_s: float) -> datetime | None:
    """`now` to the second, for a clock that is ahead by `drift_s`; None where that would cross an interval's end."""
    old, new = now + timedelta(seconds=drift_s), (now + timedelta(seconds=0.5)).replace(microsecond=0)
    return new if in_one_interval(old, new, period_s, zone, margin_s) else None


async def set_clock(
    session: Session, meter_type: MeterType, meter: str, period_s: int, limits: Clock, now: Callable[[], datetime]
) -> datetime | None:
    """Set the clock to `now()`, to the second; the time that it was set to, None where it was left alone.

    `session`: an association that may. Raises AccessDenied, ProtocolError, LinkError.
    """
    read = await read_clock(session, meter_type, now)
    check = ClockCheck(0, now(), read.drift_s, read.uncertainty_s)
    if read.time is None or read.drift_s is None or not may_set(check, limits):
        return None
    new = new_time(read.drift_s, now(), period_s, meter_type.zone, limits.margin_s)
    if new is None:
        log.info("clock_left_alone", meter=meter, drift_s=round(read.drift_s, 1), reason="an interval ends too soon")
        return None
    control = next(one for one in meter_type.controls.values() if one.name == CONTROL)
    octets = encode_local(new, meter_type.zone, meter_type.deviation)
    await session.set(AttributeRef(control.class_id, control.obis, _TIME), axdr.octet_string(octets))
    after = await read_clock(session, meter_type, now)
    log.warning(
        "clock_set",
        meter=meter,
        association=control.association,
        old=(new + timedelta(seconds=read.drift_s)).isoformat(timespec="seconds"),
        new=new.isoformat(),
        drift_s=round(read.drift_s, 1),
        drift_after_s=None if after.drift_s is None else round(after.drift_s, 1),
    )
    if after.drift_s is None or abs(after.drift_s) >= abs(read.drift_s):
        raise ProtocolError("the meter took the time and shows another one", asked="set clock")
    return new


def _slot(local: datetime, period_s: int) -> tuple[int, int]:
    """The day, and which interval of it."""
    return local.toordinal(), (local.hour * 3600 + local.minute * 60 + local.second) // period_s
