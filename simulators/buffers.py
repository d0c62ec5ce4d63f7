"""The buffers of a meter's profiles: which rows there are, and what stands in them.

The one rule: a buffer remembers nothing. Which moments its rows were captured at follows from the meter's clock and
settings, and what they hold from the world at those moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from profiles.meter_type import LOAD_KINDS, Profile
from simulators import event_log
from simulators.load.noise import Integers
from simulators.measured import Measured
from simulators.quantities import Measure
from simulators.registers import Register
from simulators.rows import Values, encode_rows
from simulators.stamps import Stamps

if TYPE_CHECKING:
    from simulators.conditions import Conditions
    from simulators.meter import SimulatedMeter

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """Rows by when they were captured: seconds since 1970 UTC, oldest first. `events`: a log's entries, row by row."""

    at: Integers
    events: Sequence[event_log.Entry] = ()

    def within(self, bounds: tuple[int, int] | None, shift: int = 0) -> Captured:
        """Those that are stamped within bounds, both inclusive; a stamp is `shift` seconds before the capture."""
        if bounds is None:
            return self
        inside = (self.at - shift >= bounds[0]) & (self.at - shift <= bounds[1])
        return Captured(self.at[inside], [one for one, keep in zip(self.events, inside.tolist(), strict=False) if keep])


def captured(meter: SimulatedMeter, profile: Profile) -> Captured:
    """What is in the buffer of a profile."""
    if profile.event_log is not None:
        events = event_log.kept(meter, profile)
        return Captured(np.array([one.at for one in events], np.int64), events)
    now = int(meter.now())
    if profile.kind == "billing":
        return Captured(_billing(meter, profile, now))
    if profile.kind in LOAD_KINDS:
        return Captured(_load(meter, profile, now))
    return Captured(np.array([now], np.int64))


def load_moments(profile: Profile, stamps: Stamps, period_s: int, since: int, until: int) -> Integers:
    """When the rows of a load profile are captured in (since, until]: at the ends of periods, days by the zone."""
    if period_s % _DAY_S == 0:
        return stamps.midnights(since + 1, until + 1)
    first = since // period_s * period_s + period_s
    return np.arange(first, until + 1, period_s, dtype=np.int64)


def period_of(meter: SimulatedMeter, profile: Profile) -> int:
    """The capture period of a load profile; 0 of the others."""
    return meter.period_s if profile.kind == "block_load" else profile.capture_period_s


def values(
    registers: Sequence[Register],
    rows: Captured,
    conditions: Conditions,
    period_s: int,
    *,
    stamp_of_end: bool = True,
) -> list[NDArray[Any]]:
    """Physical values and times (seconds since 1970 UTC) of the columns of rows."""
    measured = Measured(conditions, rows.at, period_s)
    found: list[NDArray[Any]] = []
    for register in registers:
        match register.quantity.measure:
            case Measure.EVENT_CODE if rows.events:
                found.append(np.array([one.code for one in rows.events], np.int64))
            case Measure.EVENT_NUMBER if rows.events:
                found.append(np.array([one.number for one in rows.events], np.int64))
            case Measure.EVENT_CODE | Measure.EVENT_NUMBER:
                found.append(np.zeros(len(rows.at), np.int64))
            case Measure.TIME if not stamp_of_end:
                found.append(rows.at - period_s)
            case _:
                found.append(measured.values(register.quantity))
    return found


def encoded(meter: SimulatedMeter, profile: Profile, rows: Captured) -> list[bytes]:
    """Rows in A-XDR, as the meter writes its times."""
    registers = meter.columns.of(profile, meter.identity.maker)
    period_s = period_of(meter, profile)
    physical = values(registers, rows, meter.conditions, period_s, stamp_of_end=profile.stamp == "end")
    load_profile, stamps = profile.kind in LOAD_KINDS, meter.conditions.stamps
    columns: list[Values] = [
        stamps.write(column, load_profile=load_profile) if register.is_time else column
        for register, column in zip(registers, physical, strict=True)
    ]
    return encode_rows(registers, columns)


def _load(meter: SimulatedMeter, profile: Profile, now: int) -> Integers:
    period_s = period_of(meter, profile)
    oldest = max(meter.commissioned_at, meter.state.rows_from.get(profile.obis, 0))
    grid = -(-oldest // period_s) * period_s if period_s % _DAY_S else oldest
    since = max(grid, now - profile.depth_days * _DAY_S) if profile.depth_days else grid
    moments = load_moments(profile, meter.conditions.stamps, period_s, since, now)
    moments = moments[-depth(profile, period_s) :]
    if meter.meter_type.outage_habit.rows == "missing" and len(moments):
        moments = moments[~without_supply(meter.conditions, moments, period_s)]
    return moments


def depth(profile: Profile, period_s: int) -> int:
    """How many rows a load profile holds."""
    return profile.depth_rows or profile.depth_days * _DAY_S // period_s


def without_supply(conditions: Conditions, moments: Integers, period_s: int) -> NDArray[np.bool_]:
    """Whether the interval that ends at each moment passed without any supply."""
    spans = conditions.world.outages.spans([conditions.meter], int(moments[0]) - period_s, int(moments[-1]))
    dark = np.zeros(len(moments), bool)
    for start, end in zip(spans.start.tolist(), spans.end.tolist(), strict=True):
        dark |= (moments - period_s >= start) & (moments <= end)
    return dark


def _billing(meter: SimulatedMeter, profile: Profile, now: int) -> Integers:
    ends = meter.conditions.billing_ends(now)
    ends = ends[ends >= meter.state.rows_from.get(profile.obis, 0)]
    if profile.running_row:
        ends = np.append(ends, now)
    return ends[-profile.depth_rows :] if profile.depth_rows else ends
