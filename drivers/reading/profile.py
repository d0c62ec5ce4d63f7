"""Buffers of profiles: by range of time, by entry, whole.

The one rule: by entry the newest rows are read first. A row that is captured in between then moves rows that were read
already, and comes twice; read the other way round, a full buffer would lose one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from drivers.dlms import apdu, axdr
from drivers.dlms.profile_buffer import decode_profile
from drivers.reading.layout import BUFFER, PROFILE_GENERIC, Layout
from drivers.reading.selection import by_range, row_octets, rows_at_once
from drivers.session import Session
from profiles.errors import ProtocolError
from profiles.meter_type import MeterType, Profile
from profiles.objects import AttributeRef
from profiles.table import ProfileTable

_ENTRIES_IN_USE: Final = 7


async def read_profile(
    session: Session, meter_type: MeterType, profile: Profile, layout: Layout, start: datetime, end: datetime
) -> ProfileTable:
    """The rows of the intervals that start in [start, end), both in UTC and on the grid, by one request.

    Where the meter offers no selection by time the whole buffer comes; rows outside the range may come from any
    meter, and are the caller's to keep or drop.
    """
    if profile.selective_access == "range":
        return await read_buffer(session, profile, layout, by_range(meter_type, profile, layout, start, end))
    if profile.selective_access == "none":
        return await read_buffer(session, profile, layout)
    in_use = await entries_in_use(session, profile)
    if in_use == 0:
        return decode_profile(axdr.array([]), layout.capture_objects)
    return await read_buffer(session, profile, layout, apdu.entry_selection(1, in_use))


async def read_newest_first(
    session: Session, meter_type: MeterType, profile: Profile, layout: Layout, most: int | None = None
) -> AsyncIterator[ProfileTable]:
    """All rows, or the `most` newest, in parts that fit; each part in the meter's order, its oldest row first.

    Where the meter offers no selection by entry, and where its order is not that of time, all rows come.
    """
    if profile.selective_access != "entry":
        yield await read_buffer(session, profile, layout)
        return
    in_use, octets = await entries_in_use(session, profile), row_octets(layout.capture_objects)
    newest_last = meter_type.buffer_habit.newest_last
    left = min(in_use, most) if most is not None and newest_last else in_use
    done = 0
    while left > 0:
        count = min(left, rows_at_once(session.association, octets))
        first = in_use - done - count + 1 if newest_last else done + 1
        table = await read_buffer(session, profile, layout, apdu.entry_selection(first, first + count - 1))
        yield table
        left, done = left - count, done + count
        octets = seen_octets(table) or octets


async def read_buffer(
    session: Session, profile: Profile, layout: Layout, selection: bytes | None = None
) -> ProfileTable:
    """The selected rows, or all, by one request."""
    attribute = AttributeRef(PROFILE_GENERIC, profile.obis, BUFFER)
    try:
        return decode_profile(await session.get(attribute, selection), layout.capture_objects)
    except ProtocolError as error:
        raise error.at(asked=f"get {attribute}") from None


async def entries_in_use(session: Session, profile: Profile) -> int:
    """How many rows the buffer holds. ProtocolError where the meter gives no such number."""
    value = axdr.decode(await session.get(AttributeRef(PROFILE_GENERIC, profile.obis, _ENTRIES_IN_USE)))
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0xFFFF_FFFF:
        raise ProtocolError("entries_in_use is no number of rows", asked=f"get {profile.obis}")
    return value


def seen_octets(table: ProfileTable) -> int:
    """Octets a row on average, and a little more; 0 where no row came."""
    rows = table.rows + len(table.odd_rows)
    return len(table.buffer) // rows + 2 if rows else 0
