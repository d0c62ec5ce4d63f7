"""Date-times as a simulated meter writes and reads them: 12 octets of wall time in its zone, by its type's habits.

The one rule: wall time is made of UTC here and nowhere else, whole columns at once, since one process stamps the rows
of thousands of meters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from profiles.errors import ProtocolError
from profiles.meter_type import ClockHabit, MeterType, WrittenDeviation
from simulators.load.noise import Integers

OCTETS: Final = 12
DAY_S: Final = 86_400
_NOT_SPECIFIED: Final = 0xFF
_NO_DEVIATION: Final = -0x8000
_SUMMER_TIME: Final = 0x80
_SECOND, _HUNDREDTH, _DEVIATION, _STATUS = 7, 8, 9, 11
_EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday; Monday is 0 here."""
_SIGNS: Final[dict[WrittenDeviation, int]] = {"local-minus-utc": 1, "utc-minus-local": -1, "zero": 0}


@dataclass(frozen=True, slots=True)
class Stamps:
    """The wall clock of a meter: its zone, and how it writes what it shows."""

    zone: str
    habit: ClockHabit

    @classmethod
    def of(cls, meter_type: MeterType) -> Stamps:
        return cls(meter_type.zone, meter_type.clock_habit)

    def write(self, utc: Integers, *, load_profile: bool = False) -> NDArray[np.uint8]:
        """Date-times of shape (n, 12) for seconds since 1970 UTC; hundredths are not specified.

        `load_profile`: of a row of a load profile, whose second some meters leave out.
        """
        offset = offsets(self.zone, utc)
        local = utc + offset
        day, second = local // DAY_S, local % DAY_S
        months = day.astype("datetime64[D]").astype("datetime64[M]")
        year = months.astype("datetime64[Y]").astype(np.int64) + 1970
        octets = np.empty((len(utc), OCTETS), np.uint8)
        octets[:, 0], octets[:, 1] = year >> 8, year & 0xFF
        octets[:, 2] = months.astype(np.int64) % 12 + 1
        octets[:, 3] = day - months.astype("datetime64[D]").astype(np.int64) + 1
        octets[:, 4] = (day + _EPOCH_WEEKDAY) % 7 + 1
        octets[:, 5], octets[:, 6], octets[:, _SECOND] = second // 3600, second // 60 % 60, second % 60
        octets[:, _HUNDREDTH] = _NOT_SPECIFIED
        if load_profile and not self.habit.seconds:
            octets[:, _SECOND] = _NOT_SPECIFIED
        octets[:, _DEVIATION:_STATUS] = self._deviations(offset)
        octets[:, _STATUS] = self._status(offset)
        return octets

    def write_one(self, utc: float) -> bytes:
        """One date-time."""
        return self.write(np.array([int(utc)], np.int64)).tobytes()

    def read(self, octets: bytes) -> int:
        """Seconds since 1970 UTC of a date-time that a client writes: wall time of the meter, its deviation ignored.

        Second and hundredths may be unspecified. ProtocolError on anything that is no date and time.
        """
        if len(octets) != OCTETS:
            raise ProtocolError(f"a date-time has {OCTETS} octets, not {len(octets)}")
        month, day, _, hour, minute, second = octets[2 : _SECOND + 1]
        try:
            year = int.from_bytes(octets[:2], "big")
            wall = datetime(year, month, day, hour, minute, 0 if second == _NOT_SPECIFIED else second)
            later = not octets[_STATUS] & _SUMMER_TIME  # of the two instants of an hour that comes twice
            return int(wall.replace(tzinfo=ZoneInfo(self.zone), fold=later).timestamp())
        except (ValueError, OverflowError):
            raise ProtocolError(f"the octets {octets.hex()} are no date and time") from None

    def takes(self, octets: bytes) -> bool:
        """Whether the deviation is one that the meter takes in the bounds of a selection by range."""
        specified = int.from_bytes(octets[_DEVIATION:_STATUS], "big", signed=True) != _NO_DEVIATION
        return specified or self.habit.selector == "unset"

    def midnights(self, since: int, until: int) -> Integers:
        """The local midnights in [since, until), ascending."""
        zone = ZoneInfo(self.zone)
        day = datetime.fromtimestamp(since, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        days = range(-(-(until - since) // DAY_S) + 2)
        every = np.array([int((day + timedelta(days=n)).timestamp()) for n in days], np.int64)
        return every[(every >= since) & (every < until)]

    def _deviations(self, offset: Integers) -> NDArray[np.uint8]:
        if self.habit.writes == "unset":
            return np.array([0x80, 0x00], np.uint8)
        minutes = offset // 60 * _SIGNS[self.habit.writes]
        return minutes.astype(">i2").view(np.uint8).reshape(-1, 2)

    def _status(self, offset: Integers) -> Integers:
        if not self.habit.status:
            return np.full(len(offset), _NOT_SPECIFIED, np.int64)
        return np.where(offset > standard_offset(self.zone), _SUMMER_TIME, 0)


def offsets(zone: str, utc: Integers) -> Integers:
    """Seconds by which the wall clocks of a zone are ahead of UTC, at each of `utc`."""
    if not len(utc):
        return np.zeros(0, np.int64)
    hours = utc // 3600
    first, last = int(hours.min()), int(hours.max())
    if (fixed := fixed_offset(zone, first // _RUN_H, last // _RUN_H)) is not None:
        return np.full(len(utc), fixed, np.int64)
    table = np.array([_offset(zone, hour) for hour in range(first, last + 1)], np.int64)
    return table[hours - first]


_RUN_H: Final = 24 * 60
"""Hours that are looked at together: whether a zone changes its offset within them."""


@lru_cache(maxsize=1024)
def fixed_offset(zone: str, first_run: int, last_run: int) -> int | None:
    """The offset of a zone that has one alone in these runs of hours; None where it changes.

    No zone goes there and back within a week.
    """
    found = {_offset(zone, hour) for hour in range(first_run * _RUN_H, (last_run + 1) * _RUN_H + 1, 24 * 7)}
    found.add(_offset(zone, (last_run + 1) * _RUN_H))
    return found.pop() if len(found) == 1 else None


@lru_cache(maxsize=64)
def standard_offset(zone: str) -> int:
    """The offset without summer time: the lesser of January's and July's of 2026."""
    return min(_offset(zone, int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) // 3600) for month in (1, 7))


def summer_time(zone: str) -> int | None:
    """Seconds by which summer time is ahead of the standard one; None for a zone without."""
    offsets_ = {_offset(zone, int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) // 3600) for month in (1, 7)}
    return max(offsets_) - min(offsets_) if len(offsets_) > 1 else None


@lru_cache(maxsize=65_536)
def _offset(zone: str, hour: int) -> int:
    """At the beginning of an hour since 1970 UTC; zones change at whole hours."""
    offset = datetime.fromtimestamp(hour * 3600, ZoneInfo(zone)).utcoffset() or timedelta()
    return int(offset.total_seconds())
