"""What every meter must have said: the answer key that a collection is compared with, value by value.

The one rule: it goes from the UTC start of an interval straight to the physical load. No local time stamp, no scaler
profile, no conversion of `drivers` or `profiles` lies in between, so that no error of theirs can cancel itself out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from profiles.errors import SettingsError
from simulators.fleet import Fleet
from simulators.load import Load, load
from simulators.registers import MAKERS, Maker, Register, counts

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
COLUMNS = ("serial", "start", "interval_s", *CHANNELS)
"""The header: meter serial number; start of the interval (2026-01-01T00:15:00Z); its seconds; then each channel in
thousandths of V, A, Wh, VAh; meter_health and signal_strength (dBm) as they are. Empty: the meter has no such one."""

_METERS_AT_ONCE = 64


def write_expected(stream: TextIO, fleet: Fleet, start: datetime, end: datetime, period_s: int = 900) -> int:
    """Write one CSV line for each meter and interval that starts in [start, end); returns the number of lines.

    `start` and `end` are aware (SettingsError). Meters in the order of the fleet, intervals ascending, none from before
    commissioning.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise SettingsError("expected intervals are asked for in UTC: start and end need a time zone")
    starts = interval_starts(max(start, fleet.commissioned_at), end, period_s)
    stamps = [f"{stamp}Z" for stamp in np.datetime_as_string(starts.astype("datetime64[s]"))]
    stream.write(",".join(COLUMNS) + "\n")
    for first in range(0, len(fleet) if stamps else 0, _METERS_AT_ONCE):
        meters = [fleet.identity(index) for index in range(first, min(first + _METERS_AT_ONCE, len(fleet)))]
        flow = load(fleet.seed, [meter.index for meter in meters], starts, period_s)
        said = {maker.flag: _stored(maker, flow) for maker in MAKERS}
        for row, meter in enumerate(meters):
            stream.writelines(_lines(meter.serial, row, said[meter.maker.flag], stamps, period_s))
    return len(fleet) * len(stamps)


def interval_starts(start: datetime, end: datetime, period_s: int) -> NDArray[np.int64]:
    """The starts (seconds since 1970 UTC) of the intervals in [start, end)."""
    first = -(-_epoch(start) // period_s) * period_s
    return np.arange(first, _epoch(end), period_s, dtype=np.int64)


def _stored(maker: Maker, flow: Load) -> dict[str, NDArray[np.int64]]:
    """What a meter of this maker says, by channel, in the units of the file."""
    return {register.channel: counts(register, flow) * _stored_units(register) for register in maker.columns}


def _lines(
    serial: str, row: int, said: Mapping[str, NDArray[np.int64]], stamps: list[str], period_s: int
) -> Iterator[str]:
    """The lines of one meter, which is row `row` of the arrays."""
    empty = [""] * len(stamps)
    columns = (map(str, said[channel][row].tolist()) if channel in said else empty for channel in CHANNELS)
    for stamp, *values in zip(stamps, *columns, strict=True):
        yield f"{serial},{stamp},{period_s},{','.join(values)}\n"


def _stored_units(register: Register) -> int:
    """Thousandths of the SI unit in one count of a register; 1 where the number has no unit."""
    return 1 if register.scaler is None else int(10 ** (register.scaler + 3))


def _epoch(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())
