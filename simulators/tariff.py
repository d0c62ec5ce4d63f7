"""Tariffs that change: which calendar counted energy under which rate, at any time of a meter's life.

The one rule: a calendar counts from the moment on at which it was activated, and nothing that was counted before moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

import numpy as np

from simulators.load.noise import Integers
from simulators.stamps import DAY_S, offsets
from simulators.world import Tariff

MOST_RATES: Final = 8
_ANY: Final = 0xFF
_ANY_YEAR: Final = 0xFFFF
_EPOCH: Final = date(1970, 1, 1).toordinal()

Day = tuple[tuple[int, int], ...]
"""A day profile: from a second of the local day on, a rate until the next; the first is at 0."""
USUAL_DAY: Final[Day] = Tariff().switches


@dataclass(frozen=True, slots=True)
class DayOfYear:
    """A date with wildcards (FFFF, FF), as seasons begin and special days are."""

    year: int
    month: int
    day: int

    def fits(self, day: date) -> bool:
        """Whether it is this day."""
        return self.year in (_ANY_YEAR, day.year) and self.month in (_ANY, day.month) and self.day in (_ANY, day.day)


@dataclass(frozen=True, slots=True)
class Season:
    """From when in the year on which week counts."""

    begins: DayOfYear
    week: bytes


@dataclass(frozen=True, slots=True)
class Calendar:
    """An activity calendar: days by number, weeks (seven day numbers, Monday first) by name, seasons; all of it with
    the special days that came with it."""

    days: Mapping[int, Day] = field(default_factory=lambda: {1: USUAL_DAY})
    weeks: Mapping[bytes, tuple[int, ...]] = field(default_factory=dict)
    seasons: tuple[Season, ...] = ()

    def day(self, day: date, special: Mapping[DayOfYear, int]) -> Day:
        """The day profile of a day; the first one where the calendar names none."""
        number = next((number for fitting, number in special.items() if fitting.fits(day)), None)
        if number is None and (week := self._week(day)) is not None:
            number = week[day.weekday()]
        found = self.days.get(number) if number is not None else None
        return found or next(iter(self.days.values()), USUAL_DAY)

    def _week(self, day: date) -> tuple[int, ...] | None:
        """By the season that began last, in the year's circle."""
        begun = [
            (max(one.begins.month % _ANY, 1), max(one.begins.day % _ANY, 1), one.week)
            for one in self.seasons
            if one.begins.year in (_ANY_YEAR, day.year)
        ]
        past = [one for one in begun if one[:2] <= (day.month, day.day)]
        name = max(past or begun, default=(0, 0, b""))[2]
        return self.weeks.get(name) or next(iter(self.weeks.values()), None)


@dataclass(frozen=True, eq=False)
class TariffHistory(Tariff):
    """`eras`: calendars with their special days, each by the moment from which on it counts; the first from 0."""

    zone: str = "Asia/Kolkata"
    eras: tuple[tuple[int, Calendar, Mapping[DayOfYear, int]], ...] = ((0, Calendar(), {}),)

    def rates(self, starts: Integers) -> Integers:
        """The rate that each interval that starts there is counted under."""
        if not len(starts):
            return np.zeros(0, np.int64)
        moments, rates = self._line(int(starts.min()), int(starts.max()) + 1)
        return rates[np.searchsorted(moments, starts, "right") - 1]

    def moments(self, since: int, until: int) -> Integers:
        """All switches in (since, until), ascending."""
        moments, _ = self._line(since, until)
        return moments[(moments > since) & (moments < until)]

    def _line(self, since: int, until: int) -> tuple[Integers, Integers]:
        """When which rate begins, from before `since` on up to `until`."""
        offset = int(offsets(self.zone, np.array([since], np.int64))[0])
        first, last = (since + offset) // DAY_S - 1, (until + offset) // DAY_S + 1
        found: list[tuple[int, int]] = []
        for nth, (begins, calendar, special) in enumerate(self.eras):
            ends = self.eras[nth + 1][0] if nth + 1 < len(self.eras) else until + 2 * DAY_S
            if ends <= since - 2 * DAY_S or begins >= until:
                continue
            line = self._of_era(calendar, special, first, last)
            before = [rate for moment, rate in line if moment <= begins]
            found += [(begins, before[-1])] if before else []
            found += [one for one in line if begins < one[0] < ends]
        table = np.array(found, np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def _of_era(
        self, calendar: Calendar, special: Mapping[DayOfYear, int], first: int, last: int
    ) -> list[tuple[int, int]]:
        midnights = _midnights(self.zone, first, last)
        days = (date.fromordinal(_EPOCH) + timedelta(days=number) for number in range(first, last + 1))
        return [
            (midnight + second, rate)
            for midnight, day in zip(midnights, days, strict=True)
            for second, rate in calendar.day(day, special)
        ]


@lru_cache(maxsize=256)
def _midnights(zone: str, first: int, last: int) -> tuple[int, ...]:
    """When the local days of these numbers since 1970 begin."""
    days = np.arange(first, last + 1, dtype=np.int64) * DAY_S
    return tuple((days - offsets(zone, days - offsets(zone, days))).tolist())
