"""Which rows of a profile to ask for, and how many at once.

The one rule: a range is of interval starts in UTC, half open; what the meter is asked for are its own stamps, both
bounds inclusive, in local time, as its type says that it wants them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from drivers.dlms import apdu
from drivers.dlms.apdu import Conformance
from drivers.dlms.association import Association
from drivers.dlms.ciphering import overhead_of
from drivers.reading.layout import Layout
from profiles.datetimes import DAY_S, encode_local, later
from profiles.errors import ProtocolError
from profiles.meter_type import MeterType, Profile
from profiles.objects import CaptureObject

_BY_BLOCKS: Final = Conformance.BLOCK_TRANSFER_WITH_GET | Conformance.GENERAL_BLOCK_TRANSFER
_BLOCKS: Final = 32
"""APDUs of one answer: what a broken link can cost."""
_MOST_OCTETS: Final = 64 * 1024
_RESPONSE_OCTETS: Final = 16
"""Of a get-response around its data, the array's own header included."""
_CLOCK: Final = 8
_DATE_TIME_OCTETS: Final = 14
_LARGEST_NUMBER: Final = 9
_DEVIATION: Final = 9
"""Where the deviation stands in a date-time."""


def row_octets(captured: tuple[CaptureObject, ...]) -> int:
    """What a row may take while none was seen: numbers as large as they get."""
    times = sum(one.is_date_time for one in captured)
    return 4 + times * _DATE_TIME_OCTETS + (len(captured) - times) * _LARGEST_NUMBER


def rows_at_once(association: Association, octets: int) -> int:
    """How many rows of so many octets one request may ask for: as many as come in a few blocks, or in one APDU where
    the meter agreed to no blocks; at least one."""
    largest = min(association.kind.max_pdu, association.server_max_pdu or association.kind.max_pdu)
    room = largest - overhead_of(association.kind) - _RESPONSE_OCTETS
    if association.conformance & _BY_BLOCKS:
        room = min(room * _BLOCKS, _MOST_OCTETS)
    return max(1, room // octets)


def on_grid(moment: datetime, period_s: int, zone: str) -> datetime:
    """The first moment at or after this one at which an interval begins, counted from local midnight, in UTC."""
    midnight = moment.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    if period_s % DAY_S == 0:
        return (midnight if midnight == moment else midnight + timedelta(days=1)).astimezone(UTC)
    first = midnight.astimezone(UTC)
    return first + -(-(moment - first) // timedelta(seconds=period_s)) * timedelta(seconds=period_s)


def by_range(meter_type: MeterType, profile: Profile, layout: Layout, start: datetime, end: datetime) -> bytes:
    """The selection of the intervals that start in [start, end), both on the grid. ProtocolError without a clock."""
    period_s, zone = layout.capture_period_s, meter_type.zone
    shift = 1 if profile.stamp == "end" else 0
    before = 1 if meter_type.buffer_habit.first_excluded else 0
    return between(
        meter_type,
        profile,
        layout,
        later(start, shift - before, period_s, zone),
        later(end, shift - 1, period_s, zone),
    )


def between(meter_type: MeterType, profile: Profile, layout: Layout, first: datetime, last: datetime) -> bytes:
    """The selection of the rows that are stamped from `first` to `last`. ProtocolError without a clock."""
    clock = next((column for column in layout.capture_objects if column.class_id == _CLOCK), None)
    if clock is None:
        raise ProtocolError("no column of this profile is a clock", asked=f"get {profile.obis}", retry=False)
    return apdu.range_selection(clock, _bound(meter_type, first), _bound(meter_type, last))


def _bound(meter_type: MeterType, moment: datetime) -> bytes:
    written = meter_type.clock_habit.selector
    if written == "unset":
        return encode_local(moment, meter_type.zone, "ignore")
    if written == "zero":
        octets = encode_local(moment, meter_type.zone, "ignore")
        return octets[:_DEVIATION] + bytes(2) + octets[_DEVIATION + 2 :]
    return encode_local(moment, meter_type.zone, written)
