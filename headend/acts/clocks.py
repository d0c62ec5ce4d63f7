"""The clock (class 8): show how far it is off, and set it to this machine's time.

The one rule: never across the boundary of an interval, as `headend.collection.clock` has it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from drivers.reading import read_clock
from drivers.session import Session
from headend.acts.deed import Act, Deed, View
from headend.acts.field import document_of
from headend.collection.clock import new_time, setting_association
from headend.settings import Clock
from headend.words import words
from profiles.datetimes import encode_local
from profiles.errors import AccessDenied, ProtocolError, SettingsError
from profiles.meter_type import Association, MeterType
from profiles.objects import AttributeRef

CLOCK: Final = 8
_CAPTURE_PERIOD: Final = 4


def _now() -> datetime:
    return datetime.now(UTC)


async def look(session: Session, meter_type: MeterType) -> View:
    """Its time, and how far it is ahead of this machine's."""
    read = await read_clock(session, meter_type, _now)
    if read.time is None or read.drift_s is None:
        said = words("acts.clock_no_time", stated=read.stated)
        return document_of({"time": None, "stated": str(read.stated)}, said)
    local = read.time.astimezone(ZoneInfo(meter_type.zone)).isoformat(sep=" ", timespec="seconds")
    drift = round(read.drift_s, 1)
    side = "acts.clock_ahead" if drift >= 0 else "acts.clock_behind"
    pairs = {"time": local, "ahead_s": drift, "uncertainty_s": round(read.uncertainty_s, 2)}
    return document_of(pairs, words(side, time=local, seconds=abs(drift), uncertainty=read.uncertainty_s))


def association(meter_type: MeterType) -> Association:
    """The association that may set it; SettingsError where the type names none."""
    found = setting_association(meter_type)
    if found is None:
        raise SettingsError(
            f"meter type {meter_type.name} names no association that may set the clock",
            remedy="--type names another; `headend set` sets any attribute",
        )
    return found


async def prepare(_: Session, meter_type: MeterType) -> Deed:
    """Set it to this machine's time."""

    async def plan(session: Session) -> tuple[Act, ...]:
        reference, period_s = AttributeRef(CLOCK, meter_type.clock.obis, 2), await _interval(session, meter_type)
        read = await read_clock(session, meter_type, _now)
        if read.drift_s is None:
            raise ProtocolError("the clock names no time", asked=f"get {meter_type.clock}")
        new = new_time(read.drift_s, _now(), period_s, meter_type.zone, Clock().margin_s)
        if new is None:
            raise SettingsError(
                f"the meter's time and ours do not lie in one interval of {period_s} s, with room on both sides: set, "
                "the clock would make one twice or never; nothing was changed",
                remedy="try again in a minute; a clock that is off by more than that is set with `headend set`, "
                "once its rows are read",
            )
        return (Act(reference, Datum("octet-string", encode_local(new, meter_type.zone, meter_type.deviation))),)

    return Deed(
        words("acts.clock_title"),
        meter_type.serial,
        lambda session: look(session, meter_type),
        plan,
        (words("acts.clock_wanted"),),
    )


async def _interval(session: Session, meter_type: MeterType) -> int:
    """Seconds of an interval: as the meter says, else as the type does."""
    for profile in meter_type.of_kind("block_load"):
        try:
            found = axdr.decode(await session.get(AttributeRef(7, profile.obis, _CAPTURE_PERIOD)))
        except AccessDenied:
            found = None
        return found if isinstance(found, int) and 0 < found <= 86_400 else profile.capture_period_s or 3600
    return 3600
