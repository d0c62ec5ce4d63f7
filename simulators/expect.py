"""What every meter must have said: the answer key that a collection is compared with, value by value.

The one rule: it goes from the UTC start of an interval straight to the physical world. No local time stamp, no scaler
profile, no conversion of `drivers` or `profiles` lies in between, so that no error of theirs can cancel itself out. It
holds for meters that no client has set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from profiles.errors import SettingsError
from profiles.loader import load_meter_type
from profiles.meter_type import LOAD_KINDS, MeterType, Profile
from simulators import event_log
from simulators.buffers import Captured, load_moments, values, without_supply
from simulators.conditions import Around, Conditions
from simulators.fleet import Fleet, Identity
from simulators.load.noise import Integers
from simulators.meter import town_of
from simulators.quantities import Measure
from simulators.registers import MAKERS, Columns, Register, counts
from simulators.world import World

CHANNELS = (
    "voltage",
    "current",
    "wh_import",
    "vah_import",
    "wh_export",
    "vah_export",
    "meter_health",
    "signal_strength",
)
_FIRST_COLUMNS = ("serial", "start", "interval_s")
COLUMNS = (*_FIRST_COLUMNS, *CHANNELS)
"""The header for single-phase meters: meter serial number; start of the interval (2026-01-01T00:15:00Z); its seconds;
then each channel in thousandths of V, A, Wh, VAh; meter_health and signal_strength (dBm) as they are. Empty: the meter
has no such one. Meters of other types have their own channels after those of these that they have."""
USUAL_TYPE = "is15959-1ph"


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Rows of one meter: when each was captured (seconds since 1970 UTC), and each column in thousandths of the SI
    unit, as the plain number where it has no scaler, in seconds since 1970 UTC where it is a time."""

    at: Integers
    columns: Sequence[tuple[Register, Integers]]


class AnswerKey:
    """Of the meters of one type in a fleet, in its world."""

    def __init__(
        self,
        fleet: Fleet,
        meter_type: MeterType,
        world: World | None = None,
        meters: Sequence[int] | None = None,
    ) -> None:
        """`meters`: the indexes of those of this type, where not all are."""
        self.fleet = fleet
        self.meters = range(len(fleet)) if meters is None else meters
        self.meter_type = meter_type
        self.columns = Columns(meter_type)
        self._around = Around(world or town_of(fleet, meter_type))

    def said(self, meter: Identity, profile: Profile, start: datetime, end: datetime, period_s: int = 0) -> Said:
        """What a meter must have said in a profile if its buffer were deep enough: of blocks those that start in
        [start, end), of all else what was captured in (start, end]. `period_s`: that of blocks, where it is not the
        type's. Both moments are aware; SettingsError otherwise."""
        if start.tzinfo is None or end.tzinfo is None:
            raise SettingsError("expected intervals are asked for in UTC: start and end need a time zone")
        conditions = Conditions.untouched(self._around, meter.index, self.meter_type)
        since, until = max(_epoch(start), int(meter.commissioned_at.timestamp())), _epoch(end)
        period_s = period_s or profile.capture_period_s
        rows = self._rows(conditions, profile, since, until, period_s)
        registers = self.columns.of(profile, meter.maker)
        physical = values(registers, rows, conditions, period_s)
        return Said(rows.at, [(one, _stored(one, column)) for one, column in zip(registers, physical, strict=True)])

    def _rows(self, conditions: Conditions, profile: Profile, since: int, until: int, period_s: int) -> Captured:
        if profile.event_log is not None:
            events = event_log.befallen(conditions, until)
            entries = event_log.entries(profile.event_log, events, self.meter_type.event_maker)
            entries = [one for one in entries if since < one.at <= until]
            return Captured(np.array([one.at for one in entries], np.int64), entries)
        if profile.kind not in LOAD_KINDS:
            ends = conditions.billing_ends(until)
            return Captured(ends[ends > since])
        if profile.kind == "block_load":
            since, until = (-(-moment // period_s) * period_s for moment in (since, until))
        moments = load_moments(profile, conditions.stamps, period_s, since, until)
        if self.meter_type.outage_habit.rows == "missing" and len(moments):
            moments = moments[~without_supply(conditions, moments, period_s)]
        return Captured(moments)


def write_expected(
    stream: TextIO,
    fleet: Fleet,
    start: datetime,
    end: datetime,
    period_s: int = 900,
    *,
    meter_type: MeterType | None = None,
    world: World | None = None,
) -> int:
    """Write one CSV line for each meter and interval that starts in [start, end); returns the number of lines.

    `start` and `end` are aware (SettingsError). Meters in the order of the fleet, intervals ascending, none from before
    commissioning. Of a type without a block load there are no lines.
    """
    key = AnswerKey(fleet, meter_type or load_meter_type(USUAL_TYPE), world)
    channels = channels_of(key.meter_type)
    stream.write(",".join((*_FIRST_COLUMNS, *channels)) + "\n")
    profile, lines = key.meter_type.profiles.get("block_load"), 0
    if profile is None:
        return lines
    for meter in fleet:
        said = key.said(meter, profile, start, end, period_s)
        stream.writelines(_lines(meter.serial, said, channels, period_s))
        lines += len(said.at)
    return lines


def channels_of(meter_type: MeterType) -> tuple[str, ...]:
    """The channels of the block load of a type, whichever maker's: those of `CHANNELS` first."""
    profile, columns = meter_type.profiles.get("block_load"), Columns(meter_type)
    if profile is None:
        return ()
    known = {channel_of(one): None for maker in MAKERS for one in columns.of(profile, maker) if not one.is_time}
    return (*(name for name in CHANNELS if name in known), *(name for name in known if name not in CHANNELS))


def _lines(serial: str, said: Said, channels: Sequence[str], period_s: int) -> Iterator[str]:
    """The lines of one meter."""
    stamps = [f"{stamp}Z" for stamp in np.datetime_as_string((said.at - period_s).astype("datetime64[s]"))]
    known = {channel_of(register): column for register, column in said.columns}
    empty = [""] * len(stamps)
    columns = (map(str, known[channel].tolist()) if channel in known else empty for channel in channels)
    for stamp, *row in zip(stamps, *columns, strict=True):
        yield f"{serial},{stamp},{period_s},{','.join(row)}\n"


def channel_of(register: Register) -> str:
    """The name of a column: the channel, of a cumulative register with `_register` after it; else the object's own."""
    quantity = register.quantity
    if not quantity.channel or quantity.rate:
        return str(register.captured)
    return f"{quantity.channel}_register" if quantity.measure is Measure.TOTAL else quantity.channel


def _stored(register: Register, physical: NDArray[Any]) -> Integers:
    """What a register holds, in the units of the answer key."""
    if register.is_time:
        return physical.astype(np.int64)
    held, power = counts(register, physical), register.power + 3
    if register.scaler is None:
        return held
    scaled: Integers = held * 10**power if power >= 0 else held // 10**-power
    return scaled


def _epoch(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())
