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
from drivers.dlms.security.suites import AUTHENTICATION
from drivers.reading.layout import BUFFER, PROFILE_GENERIC, Layout, read_layout
from drivers.reading.selection import by_range, row_octets, rows_at_once
from drivers.session import Session
from profiles.errors import ProtocolError
from profiles.meter_type import MeterType, Profile
from profiles.objects import AttributeRef
from profiles.table import ProfileTable

_ENTRIES_IN_USE: Final = 7


class Buffer:
    """The buffer of one profile of one meter, and the layout that explains it.

    A layout that was kept from another session, or another meter of the firmware, is read anew where rows have another
    number of columns.
    """

    def __init__(self, session: Session, meter_type: MeterType, profile: Profile, layout: Layout) -> None:
        self.session = session
        self.meter_type = meter_type
        self.profile = profile
        self.layout = layout
        self._row_octets = row_octets(layout.capture_objects)
        self._read_anew = False

    @property
    def authenticated(self) -> bool:
        """Whether what comes is proven to be the meter's: tagged or signed."""
        kind = self.session.association.kind
        return kind.signed or bool(kind.security_control & AUTHENTICATION)

    @property
    def rows_at_once(self) -> int:
        """How many rows to ask for by one request."""
        return rows_at_once(self.session.association, self._row_octets)

    async def read(self, selection: bytes | None = None) -> ProfileTable:
        """The selected rows, or all, by one request. Raises ProtocolError, and whatever GET does."""
        attribute = AttributeRef(PROFILE_GENERIC, self.profile.obis, BUFFER)
        octets = await self.session.get(attribute, selection)
        try:
            table = decode_profile(octets, self.layout.capture_objects)
            if table.odd_rows and not self._read_anew:
                self._read_anew = True
                self.layout = await read_layout(self.session, self.profile)
                table = decode_profile(octets, self.layout.capture_objects)
        except ProtocolError as error:
            raise error.at(asked=f"get {attribute}") from None
        if rows := table.rows + len(table.odd_rows):
            self._row_octets = len(octets) // rows + 1
        return table

    async def range(self, start: datetime, end: datetime) -> ProfileTable:
        """The rows of the intervals that start in [start, end), both on the grid, by one request."""
        return await self.read(by_range(self.meter_type, self.profile, self.layout, start, end))

    async def newest_first(self, most: int | None = None) -> AsyncIterator[ProfileTable]:
        """All rows, or the `most` newest, in parts that fit; each in the meter's order, its oldest row first.

        Where the meter offers no selection by entry, or its order is not that of time, all rows come.
        """
        if self.profile.selective_access != "entry":
            yield await self.read()
            return
        in_use = await self.entries_in_use()
        newest_last = self.meter_type.buffer_habit.newest_last
        wanted = min(in_use, most) if most is not None and newest_last else in_use
        done = 0
        while done < wanted:
            count = min(wanted - done, self.rows_at_once)
            first = in_use - done - count + 1 if newest_last else done + 1
            yield await self.read(apdu.entry_selection(first, first + count - 1))
            done += count

    async def entries_in_use(self) -> int:
        """How many rows it holds. ProtocolError where the meter gives no such number."""
        obis = self.profile.obis
        value = axdr.decode(await self.session.get(AttributeRef(PROFILE_GENERIC, obis, _ENTRIES_IN_USE)))
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0xFFFF_FFFF:
            raise ProtocolError("entries_in_use is no number of rows", asked=f"get {obis}")
        return value


async def read_profile(
    session: Session, meter_type: MeterType, profile: Profile, layout: Layout, start: datetime, end: datetime
) -> ProfileTable:
    """The rows of the intervals that start in [start, end), both in UTC and on the grid, by one request.

    Where the meter offers no selection by time the whole buffer comes; rows outside the range may come from any
    meter, and are the caller's to keep or drop. So are rows that do not fit the layout.
    """
    attribute = AttributeRef(PROFILE_GENERIC, profile.obis, BUFFER)
    selection = None
    if profile.selective_access == "range":
        selection = by_range(meter_type, profile, layout, start, end)
    elif profile.selective_access == "entry":
        in_use = await Buffer(session, meter_type, profile, layout).entries_in_use()
        if in_use == 0:
            return decode_profile(axdr.array([]), layout.capture_objects)
        selection = apdu.entry_selection(1, in_use)
    return decode_profile(await session.get(attribute, selection), layout.capture_objects)
