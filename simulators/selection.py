"""Selective access to a profile's rows: by range of the clock, by entry, and of some columns only (Blue Book, class 7).

The one rule: rows stay the octets that they are; what is left out of a row is cut out of its octets. How meters differ
in this (order, bounds) is their type's buffer habit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from drivers.dlms import apdu, axdr
from profiles.meter_type import LOAD_KINDS, Profile
from profiles.objects import CaptureObject
from simulators import buffers
from simulators.objects import CLOCK, Selection
from simulators.refusals import Refused, Result
from simulators.rows import compressed

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

_SELECTORS: Final = {apdu.RangeSelection: "range", apdu.EntrySelection: "entry"}


def given(meter: SimulatedMeter, profile: Profile, bounds: tuple[int, int] | None) -> list[bytes]:
    """Rows as the meter gives them: all, or those stamped (seconds since 1970 UTC) within bounds, both inclusive."""
    return _squeezed(meter, profile, _rows(meter, profile, bounds))


def _rows(meter: SimulatedMeter, profile: Profile, bounds: tuple[int, int] | None) -> list[bytes]:
    """Rows in the meter's order."""
    rows = meter.rows(bounds) if profile.name == "block_load" else meter.rows_of(profile, bounds)
    if not meter.meter_type.buffer_habit.newest_last:
        rows = [*rows[len(rows) // 2 :], *rows[: len(rows) // 2]]  # a ring, whose oldest row is somewhere
    return rows


def _squeezed(meter: SimulatedMeter, profile: Profile, rows: list[bytes]) -> list[bytes]:
    if profile.null_data != "repeat":
        return rows
    return compressed(rows, meter.conditions.stamps.read, buffers.period_of(meter, profile))


def selected(meter: SimulatedMeter, profile: Profile, asked: Selection, columns: Sequence[CaptureObject]) -> bytes:
    """The array of what is selected; Refused where the profile has no such clock, column or selective access.

    ProtocolError where a bound of a range is no date and time. Entries beyond the last one are none.
    """
    if isinstance(asked, apdu.RangeSelection):
        wanted = _named(asked.columns, columns)
        found = _rows(meter, profile, _bounds(meter, profile, asked, columns))
    else:
        wanted = _numbered(asked.first_column, asked.last_column, len(columns))
        found = _entries(meter, profile, asked)
    found = _squeezed(meter, profile, found)
    if len(wanted) < len(columns):
        found = [_cut(row, wanted) for row in found]
    return axdr.array(found)


def offered(meter: SimulatedMeter, profile: Profile, asked: Selection, columns: Sequence[CaptureObject]) -> bytes:
    """As `selected`; Refused too where the type does not offer this way of asking."""
    if _SELECTORS[type(asked)] != profile.selective_access:
        raise Refused(Result.SCOPE_VIOLATED)
    return selected(meter, profile, asked, columns)


def _bounds(
    meter: SimulatedMeter, profile: Profile, asked: apdu.RangeSelection, columns: Sequence[CaptureObject]
) -> tuple[int, int]:
    if asked.clock.class_id != CLOCK or asked.clock not in columns:
        raise Refused(Result.SCOPE_VIOLATED)
    stamps, habit = meter.conditions.stamps, meter.meter_type.buffer_habit
    bounds = stamps.read(asked.start), stamps.read(asked.end)
    if not stamps.takes(asked.start) or not stamps.takes(asked.end):
        raise Refused(Result.OTHER_REASON)
    period_s = buffers.period_of(meter, profile)
    if habit.bounds_on_period and profile.kind in LOAD_KINDS and any(one % min(period_s, 1800) for one in bounds):
        raise Refused(Result.OTHER_REASON)
    return bounds[0] + habit.first_excluded, bounds[1]


def _entries(meter: SimulatedMeter, profile: Profile, asked: apdu.EntrySelection) -> list[bytes]:
    habit = meter.meter_type.buffer_habit
    if asked.first < 1 or (asked.last == 0 and not habit.entry_to_last):
        raise Refused(Result.SCOPE_VIOLATED)
    if profile.kind not in LOAD_KINDS or not habit.newest_last:
        return _rows(meter, profile, None)[asked.first - 1 : asked.last or None]
    stamps = buffers.captured(meter, profile).at[asked.first - 1 : asked.last or None]
    if not len(stamps):
        return []
    shift = 0 if profile.stamp == "end" else buffers.period_of(meter, profile)
    return _rows(meter, profile, (int(stamps[0]) - shift, int(stamps[-1]) - shift))


def _named(asked: Sequence[CaptureObject], columns: Sequence[CaptureObject]) -> list[int]:
    """Indices of the columns asked for, in the profile's order; none named: all."""
    if any(column not in columns for column in asked):
        raise Refused(Result.SCOPE_VIOLATED)
    return [index for index, column in enumerate(columns) if not asked or column in asked]


def _numbered(first: int, last: int, count: int) -> list[int]:
    """Indices of columns `first` to `last`, counted from 1; 0 for the last one."""
    last = last or count
    if not 1 <= first <= last <= count:
        raise Refused(Result.SCOPE_VIOLATED)
    return list(range(first - 1, last))


def _cut(row: bytes, wanted: Sequence[int]) -> bytes:
    reader = axdr.Reader(row, "row", 1)
    cells = [reader.datum() for _ in range(reader.length())]
    return axdr.structure(*(cells[index] for index in wanted))
