"""What a single meter lives under: its place in the world, and what was set in it that bears on what it measures.

The one rule: what a meter measures is a function of its conditions and the time. The meter has those that its clients
made; the answer key has those of a meter that nobody touched.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from profiles.meter_type import MeterType
from simulators.load import Load
from simulators.load.noise import Integers
from simulators.spans import Spans
from simulators.stamps import Stamps
from simulators.tariff import TariffHistory
from simulators.world import Occurrence, World

_SLOTS_AT_ONCE: Final = 8192
_MOST_NEIGHBOURS: Final = 64
_KEPT: Final = 8
_KEPT_EVENTS: Final = 4096
_DAY_S: Final = 86_400
LAST_DAY, SECOND_LAST_DAY, ANY = 0xFE, 0xFD, 0xFF


class Around:
    """A world as the meters of one process ask it: what was worked out for a meter serves its neighbours too.

    A head-end asks all meters for the same hours, so the intervals of some neighbours are worked out together.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._loads: OrderedDict[tuple[range, int], Load] = OrderedDict()
        self._events: OrderedDict[tuple[int, int, int], list[Occurrence]] = OrderedDict()

    def load(self, meter: int, starts: range) -> tuple[Load, int]:
        """A load that holds the intervals of this meter that begin at `starts`, each as long as the step; and the
        meter's row in it."""
        together = max(1, min(_MOST_NEIGHBOURS, _SLOTS_AT_ONCE // max(len(starts), 1)))
        first = meter // together * together
        found = self._loads.get((starts, first))
        if found is None:
            meters = range(first, min(first + together, len(self.world.topology)))
            found = self.world.load(meters, np.array(starts, np.int64), starts.step)
            self._loads[starts, first] = found
            while len(self._loads) > _KEPT:
                self._loads.popitem(last=False)
        return found, meter - first

    def events(self, meter: int, until: int, logged_after_s: int) -> list[Occurrence]:
        """What the meter has noticed from commissioning up to `until`, in order."""
        day = until // _DAY_S + 1
        found = self._events.get((meter, day, logged_after_s))
        if found is None:
            found = self.world.events(meter, self.world.commissioned_at, day * _DAY_S, logged_after_s)
            self._events[meter, day, logged_after_s] = found
            while len(self._events) > _KEPT_EVENTS:
                self._events.popitem(last=False)
        return [one for one in found if one.at <= until]


@dataclass(frozen=True, slots=True)
class BillingDate:
    """When billing periods end, by the local calendar, from the moment `since` on; year and month may be ANY, the day
    LAST_DAY or SECOND_LAST_DAY too."""

    since: int = 0
    year: int = 0xFFFF
    month: int = ANY
    day: int = 1
    second: int = 0

    def ends(self, zone: str, since: int, until: int) -> Iterable[int]:
        """The ends of billing periods in [since, until)."""
        place = ZoneInfo(zone)
        first, last = datetime.fromtimestamp(since, place), datetime.fromtimestamp(max(until, since), place)
        for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
            year, month = number // 12, number % 12 + 1
            if self.year not in (0xFFFF, year) or self.month not in (ANY, month):
                continue
            if (day := self._day(year, month)) is None:
                continue
            midnight = datetime(year, month, day, tzinfo=place)
            end = int(midnight.timestamp()) + self.second
            if since <= end < until:
                yield end

    def _day(self, year: int, month: int) -> int | None:
        days = ((date(year, month, 28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day
        day = {LAST_DAY: days, SECOND_LAST_DAY: days - 1}.get(self.day, self.day)
        return day if day <= days else None


@dataclass(slots=True)
class Conditions:
    """`open`: from when to when the load switch was open, the last one perhaps to this day. `resets`: when a client
    ended a billing period. `logged_after_s`: shorter outages are no events. `watts`: what the limiter lets through."""

    around: Around
    meter: int
    stamps: Stamps
    logged_after_s: int = 0
    demand_period_s: int = 1800
    open: list[tuple[int, int]] = field(default_factory=list)
    tariff: TariffHistory = field(default_factory=TariffHistory)
    billing_dates: tuple[BillingDate, ...] = (BillingDate(),)
    resets: list[int] = field(default_factory=list)
    programmings: int = 0
    watts: int = 0

    @classmethod
    def untouched(cls, around: Around, meter: int, meter_type: MeterType) -> Conditions:
        """Those of a meter that no client has ever set."""
        return cls(
            around,
            meter,
            Stamps.of(meter_type),
            meter_type.outage_habit.logged_after_s,
            tariff=TariffHistory(zone=meter_type.zone),
        )

    @property
    def world(self) -> World:
        return self.around.world

    def open_spans(self) -> Spans | None:
        """When the load switch was open, for the world to ask; None for never."""
        return Spans.of((0, start, end) for start, end in self.open) if self.open else None

    def billing_ends(self, until: int) -> Integers:
        """When billing periods have ended since commissioning, up to `until`, ascending."""
        since = self.world.commissioned_at + 1
        found = {reset for reset in self.resets if since <= reset <= until}
        for nth, dates in enumerate(self.billing_dates):
            after = self.billing_dates[nth + 1].since if nth + 1 < len(self.billing_dates) else until + 1
            found.update(dates.ends(self.stamps.zone, max(since, dates.since), min(after, until + 1)))
        return np.array(sorted(found), np.int64)
