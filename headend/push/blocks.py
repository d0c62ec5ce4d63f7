"""A block of load profile that a push brings: its values as one interval.

A push says the time at which it was made; its values are those of the last block that had ended by then.

The one rule: the general way (`profiles.intervals`) decides what an interval is. What is ordinary, numbers that stand
in channels exactly, goes a shorter way to the same, since meters push millions of blocks an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np

from drivers.dlms import axdr
from drivers.dlms.profile_buffer import decode_profile
from headend.push.moments import Moment, moment_of
from headend.store.rows import microseconds
from profiles.channels import CHANNELS, NO_UNIT, V
from profiles.datetimes import SECOND_US
from profiles.intervals import IntervalBatch, intervals
from profiles.meter_type import MeterType, Profile
from profiles.objects import CaptureObject, Obis, ScalerUnit
from profiles.push_readings import Reading

_DAY_S: Final = 86_400
_MOST: Final = 1 << 63


class Cell(NamedTuple):
    """A value of a push, and its octets in A-XDR."""

    reading: Reading
    octets: bytes


class Block(NamedTuple):
    """What a push says of a block: its own date-time of 12 octets, its values (identity and clock left out)."""

    stamp: bytes
    readings: Sequence[Reading]
    profile: Profile
    interval_s: int


def ordinary(block: Block, meter_type: MeterType, now: datetime, earliest: datetime) -> IntervalBatch | None:
    """The interval; None where the general way has to look closer."""
    moment = moment_of(block.stamp, meter_type)
    if moment is None or moment.suspect or block.interval_s >= _DAY_S:
        return None
    start = _start(moment, block)
    latest = microseconds(now) + meter_type.drift_allowed_s * SECOND_US
    if not microseconds(earliest) <= start <= latest:
        return None
    values = _channels(block.readings)
    if values is None:
        return None
    arrays = {name: np.array((value,), np.int64) for name, value in values.items()}
    return IntervalBatch(np.array((start,), np.int64), block.interval_s, np.zeros(1, np.int32), arrays, {})


def looked_closer(
    block: Block, cells: Sequence[Cell], meter_type: MeterType, now: datetime, earliest: datetime
) -> IntervalBatch:
    """The interval, as `profiles.intervals` makes it of a row with these values."""
    cells = [cell for cell in cells if cell.reading.value is not None and cell.reading.attribute is not None]
    captured = [CaptureObject(*meter_type.clock)]
    scalers: dict[tuple[int, Obis, int], ScalerUnit] = {}
    for cell in cells:
        assert cell.reading.attribute is not None
        captured.append(CaptureObject(*cell.reading.attribute))
        scaler = _scaler(cell.reading)
        if scaler is not None:
            scalers[captured[-1][0], captured[-1][1], 2] = scaler
    row = axdr.structure(axdr.octet_string(_on_grid(block, meter_type)), *(cell.octets for cell in cells))
    table = decode_profile(axdr.array([row]), captured)
    profile = replace(block.profile, corrections={})  # those of the push are in its numbers already
    return intervals(table, scalers, profile, meter_type, interval_s=block.interval_s, now=now, earliest=earliest)


def marked(batch: IntervalBatch, marks: int) -> IntervalBatch:
    """The same, with these bits of quality at each interval."""
    if not marks:
        return batch
    lost = None if batch.revisions is None else marked(batch.revisions, marks)
    return replace(batch, quality=batch.quality | np.int32(marks), revisions=lost)


def _start(moment: Moment, block: Block) -> int:
    """Of the last block that had ended; a profile that is stamped with the start names the one that began."""
    interval_us = block.interval_s * SECOND_US
    boundary = moment.utc - moment.wall % interval_us
    return boundary - interval_us if block.profile.stamp == "end" else boundary


def _channels(readings: Sequence[Reading]) -> dict[str, int] | None:
    """By column; None where one of them is not just a whole number of its channel's unit."""
    values: dict[str, int] = {}
    for reading in readings:
        value, number = reading.value, reading.number
        if value is None:
            continue
        channel = None if reading.attribute is None else CHANNELS.get(reading.attribute)
        if channel is None or channel.name in values or type(value) is not int:
            return None
        if number is None:
            if channel.scaled:
                return None
            number = Decimal(value)
        if reading.unit is not None and channel.unit not in (reading.unit, NO_UNIT):
            return None
        scaled = number.scaleb(-channel.exponent)
        whole = int(scaled)
        if whole != scaled or not -_MOST <= whole < _MOST or (channel.unit == V and whole == 0):
            return None  # no voltage at all may be an outage, which the general way tells
        values[channel.name] = whole
    return values


def _scaler(reading: Reading) -> ScalerUnit | None:
    """By what a number was scaled."""
    if reading.number is None:
        return None
    raw = Decimal(int(reading.value)) if isinstance(reading.value, bool | int) else Decimal(str(reading.value))
    power = _power(reading.number) - _power(raw)
    return ScalerUnit(power, NO_UNIT if reading.unit is None else reading.unit)


def _power(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "a finite number"
    return exponent


def _on_grid(block: Block, meter_type: MeterType) -> bytes:
    """The push's date-time as the row of the block would have it; as it came where it names no instant."""
    moment = moment_of(block.stamp, meter_type)
    if moment is None:
        return block.stamp
    wall = datetime(1970, 1, 1) + timedelta(microseconds=moment.wall - moment.wall % (block.interval_s * SECOND_US))
    date = wall.year.to_bytes(2, "big") + bytes((wall.month, wall.day, wall.isoweekday()))
    return date + bytes((wall.hour, wall.minute, wall.second, 0)) + block.stamp[9:]
