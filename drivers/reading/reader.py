"""All that one meter has to say, read by kind in an open session.

The one rule: a layout is read once, into `layouts`; who keeps those by type, maker and firmware spares the next meter
of the same firmware the question.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, MutableMapping
from datetime import UTC, datetime

from drivers.reading.billing import read_billing
from drivers.reading.clock import ClockReading, read_clock
from drivers.reading.events import EventRows, Since, read_events
from drivers.reading.layout import Layout, read_layout
from drivers.reading.listed import listed_profiles
from drivers.reading.load import LoadPart, read_load
from drivers.reading.profile import Buffer
from drivers.reading.status_word import StatusWordReading, read_status_word
from drivers.reading.values import ProfileRows, rows_of
from drivers.session import Session
from profiles.errors import SettingsError
from profiles.meter_type import MeterType, Profile, ProfileKind
from profiles.objects import Obis


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


class Reader:
    """Reads one meter, whose `meter_type` should have its maker's quirks (`identify`).

    Each method raises SettingsError where the type has no such profile, and what GET does. Those that give parts are
    asynchronous iterators: what came before a link broke is the caller's already.
    """

    def __init__(
        self,
        session: Session,
        meter_type: MeterType,
        *,
        layouts: MutableMapping[Obis, Layout] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.session = session
        self.meter_type = meter_type
        self.layouts: MutableMapping[Obis, Layout] = {} if layouts is None else layouts
        """By the profile's OBIS code."""
        self._now = clock

    def profile(self, kind: ProfileKind) -> Profile:
        """The type's profile of a kind. SettingsError if it has none."""
        for profile in self.meter_type.of_kind(kind):
            return profile
        raise SettingsError(f"meter type {self.meter_type.name} has no {kind.replace('_', ' ')} profile")

    async def nameplate(self) -> ProfileRows:
        """The one row that says what the meter is."""
        return await self._whole(self.profile("nameplate"))

    async def instantaneous(self) -> ProfileRows:
        """The one row of the values of this moment."""
        return await self._whole(self.profile("instantaneous"))

    async def block_load(
        self, start: datetime, end: datetime, *, earliest: datetime | None = None
    ) -> AsyncIterator[LoadPart]:
        """The blocks that start in [start, end), aware, in parts; see `load`."""
        async for part in self.load(self.profile("block_load"), start, end, earliest=earliest):
            yield part

    async def daily_load(
        self, start: datetime, end: datetime, *, earliest: datetime | None = None
    ) -> AsyncIterator[LoadPart]:
        """The days that begin in [start, end), aware, in parts; see `load`."""
        async for part in self.load(self.profile("daily_load"), start, end, earliest=earliest):
            yield part

    async def load(
        self, profile: Profile, start: datetime, end: datetime, *, earliest: datetime | None = None
    ) -> AsyncIterator[LoadPart]:
        """The intervals of a load profile that start in [start, end), in parts; see `read_load`."""
        buffer = await self.buffer(profile)
        async for part in read_load(buffer, start, end, now=self._now(), earliest=earliest):
            self.layouts[profile.obis] = buffer.layout
            yield part

    async def billing(self, periods: int | None = None) -> AsyncIterator[ProfileRows]:
        """The billing periods, or so many of the newest, in parts; see `read_billing`."""
        profile = self.profile("billing")
        buffer = await self.buffer(profile)
        async for rows in read_billing(buffer, periods):
            self.layouts[profile.obis] = buffer.layout
            yield rows

    async def events(self, log: Profile, since: Since = None) -> AsyncIterator[EventRows]:
        """The entries of a log since a point, in parts, the newest part first; see `read_events`."""
        buffer = await self.buffer(log)
        async for rows in read_events(buffer, since, now=self._now()):
            self.layouts[log.obis] = buffer.layout
            yield rows

    async def rows(self, profile: Profile, most: int | None = None) -> AsyncIterator[ProfileRows]:
        """The rows of any profile, or so many of the newest, in parts, the newest part first."""
        buffer = await self.buffer(profile)
        async for table in buffer.newest_first(most):
            self.layouts[profile.obis] = buffer.layout
            yield rows_of(buffer, table)

    async def listed(self) -> tuple[Profile, ...]:
        """The profiles that the association lists, those that the type does not know too."""
        return await listed_profiles(self.session, self.meter_type)

    async def clock(self) -> ClockReading:
        """The meter's clock, and its drift against ours."""
        return await read_clock(self.session, self.meter_type, self._now)

    async def status_word(self) -> StatusWordReading:
        """What holds now."""
        return await read_status_word(self.session, self.meter_type)

    async def buffer(self, profile: Profile) -> Buffer:
        """The buffer of a profile, with its layout: the kept one, else read now."""
        layout = self.layouts.get(profile.obis)
        if layout is None:
            layout = self.layouts[profile.obis] = await read_layout(self.session, profile)
        return Buffer(self.session, self.meter_type, profile, layout)

    async def _whole(self, profile: Profile) -> ProfileRows:
        buffer = await self.buffer(profile)
        table = await buffer.read()
        self.layouts[profile.obis] = buffer.layout
        return rows_of(buffer, table)
