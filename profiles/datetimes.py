"""COSEM date-times (12 octets, Blue Book 4.1.6.1) to UTC and back, whole columns at a time.

The one rule: what a meter stamps is wall time, and only the meter type knows which zone it is of and what its deviation
means. Fields that are "not specified" (FF) are 0 for second and hundredths and make the date-time unusable elsewhere.

A zone's offset is looked up once for each local day. Only on the days when it changes are rows looked at closer.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from profiles.meter_type import Deviation

DAY_S: Final = 86_400
SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

_NOT_SPECIFIED: Final = 0xFF
_NO_DEVIATION: Final = -0x8000
_DEVIATION_UNSET: Final = b"\x80\x00"
_MAX_DEVIATION_MIN: Final = 14 * 60
_DST_ACTIVE: Final = 0x80
_EPOCH: Final = date(1970, 1, 1).toordinal()
_EPOCH_UTC: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LAST_US: Final = (datetime(2200, 1, 1, tzinfo=UTC) - _EPOCH_UTC) // _MICROSECOND
_BAD: Final = -(1 << 60)
"""Stands in the tables below for a field that makes the whole date-time unusable: no sum of a date-time's parts that
holds it once or more comes near a real instant, nor does it leave int64."""
_FIRST_REAL_US: Final = -(1 << 58)


@dataclass(frozen=True, slots=True, eq=False)
class Instants:
    """Date-times of a column, one entry a row.

    `utc`: microseconds since 1970 UTC (int64), 0 where not `ok`. `local`: the same instant as the meter's wall clock
    showed it, counted as if it were UTC. `ok`: the octets name an instant. `suspect`: they do, but the clock status
    says invalid or doubtful, or the zone cannot tell which of two instants was meant.
    """

    utc: NDArray[np.int64]
    local: NDArray[np.int64]
    ok: NDArray[np.bool_]
    suspect: NDArray[np.bool_]


def instants(octets: NDArray[np.uint8], zone: str, deviation: Deviation) -> Instants:
    """UTC instants of date-times, shape (rows, 12), stamped by a meter in `zone` whose deviation means `deviation`.

    The two senses of deviation and the wildcards seen in the field: docs/meter-facts.md, "Time".
    """
    days = octets[:, :4].view(np.uint32)[:, 0].copy()
    starts = [0, *((days[1:] != days[:-1]).nonzero()[0] + 1).tolist()] if len(days) else []
    runs = [_day(zone, key) for key in days[starts].tolist()]
    lengths = [end - start for start, end in zip(starts, [*starts[1:], len(days)], strict=True)] if runs else []
    local = np.array([day.midnight for day in runs], np.int64).repeat(lengths)
    local += _HOUR_MINUTE[octets[:, 5:7].view("<u2")[:, 0].astype(np.intp)]
    local += _SECOND_HUNDREDTH[octets[:, 7:9].view("<u2")[:, 0].astype(np.intp)]
    ok = local > _FIRST_REAL_US
    suspect = _SUSPECT_STATUS[octets[:, 11]]
    utc = local - np.array([day.offset for day in runs], np.int64).repeat(lengths)
    for day, start, length in zip(runs, starts, lengths, strict=True):
        if day.change is not None:
            rows = slice(start, start + length)
            utc[rows] = _around_a_change(day.change, local[rows], octets[rows, 11], suspect[rows])
    if deviation != "ignore":
        _apply_deviation(octets, deviation, local, utc, ok)
    if not ok.all():
        utc[~ok] = local[~ok] = 0
        suspect &= ok
    return Instants(utc, local, ok, suspect)


def instant(octets: bytes, zone: str, deviation: Deviation) -> datetime | None:
    """One date-time of 12 octets as a UTC datetime; None where it names no instant or has another length."""
    if len(octets) != 12:
        return None
    day = _day(zone, int.from_bytes(octets[:4], sys.byteorder))
    if day.change is not None or (deviation != "ignore" and octets[9:11] != _DEVIATION_UNSET):
        found = instants(np.frombuffer(octets, np.uint8).reshape(1, 12), zone, deviation)
        return _EPOCH_UTC + timedelta(microseconds=int(found.utc[0])) if found.ok[0] else None
    hour, minute, second, hundredth = octets[5:9]
    local = day.midnight + int(_HOUR_MINUTE[hour | minute << 8]) + int(_SECOND_HUNDREDTH[second | hundredth << 8])
    return _EPOCH_UTC + timedelta(microseconds=local - day.offset) if local > _FIRST_REAL_US else None


def encode_local(utc: datetime, zone: str, deviation: Deviation) -> bytes:
    """The 12 octets with which a meter of this zone and deviation is asked for `utc` (aware; whole hundredths).

    Where the type ignores the deviation, it is sent as not specified (0x8000): some meters refuse any other.
    """
    wall = utc.astimezone(ZoneInfo(zone))
    offset = wall.utcoffset() or timedelta()
    minutes = _NO_DEVIATION
    if deviation != "ignore":
        minutes = offset // timedelta(minutes=1) * (1 if deviation == "local-minus-utc" else -1)
    status = _DST_ACTIVE if wall.dst() else 0
    return b"".join(
        (
            wall.year.to_bytes(2, "big"),
            bytes((wall.month, wall.day, wall.isoweekday())),
            bytes((wall.hour, wall.minute, wall.second, wall.microsecond // 10_000)),
            minutes.to_bytes(2, "big", signed=True),
            bytes((status,)),
        )
    )


def later(moment: datetime, periods: int, period_s: int, zone: str) -> datetime:
    """The moment so many periods later, in UTC; days are those of the zone, of 23 to 25 hours."""
    if period_s % DAY_S == 0:
        wall = moment.astimezone(ZoneInfo(zone)) + periods * timedelta(seconds=period_s)
        return wall.astimezone(UTC)
    return moment.astimezone(UTC) + periods * timedelta(seconds=period_s)


def all_later(utc: NDArray[np.int64], periods: NDArray[np.int64], period_s: int, zone: str) -> NDArray[np.int64]:
    """The same for a column of instants and how many periods later each, in µs since 1970 UTC.

    Days are told apart from 1970 to 2200; further off they have 24 hours.
    """
    moved: NDArray[np.int64] = utc + periods * (period_s * SECOND_US)
    if period_s % DAY_S == 0:
        for row in np.flatnonzero((utc > 0) & (utc < _LAST_US) & (moved > 0) & (moved < _LAST_US)).tolist():
            moved[row] = _later_us(int(utc[row]), int(periods[row]), period_s, zone)
    return moved


@lru_cache(maxsize=4096)
def _later_us(utc: int, periods: int, period_s: int, zone: str) -> int:
    """Kept, since the days of all meters of a zone begin together."""
    return (later(_EPOCH_UTC + timedelta(microseconds=utc), periods, period_s, zone) - _EPOCH_UTC) // _MICROSECOND


def _field(count: int, unit_us: int, *, wildcard: bool) -> NDArray[np.int64]:
    """Microseconds by octet: `count` valid values, perhaps FF for 0, `_BAD` for the rest."""
    table = np.full(256, _BAD, np.int64)
    table[:count] = np.arange(count) * unit_us
    if wildcard:
        table[_NOT_SPECIFIED] = 0
    return table


def _pair(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of two neighbouring fields by both their octets, read least significant first: one look-up for two."""
    return (second[:, np.newaxis] + first).ravel()


_HOUR_MINUTE: Final = _pair(_field(24, HOUR_US, wildcard=False), _field(60, MINUTE_US, wildcard=False))
_SECOND_HUNDREDTH: Final = _pair(_field(60, SECOND_US, wildcard=True), _field(100, SECOND_US // 100, wildcard=True))

_SUSPECT_STATUS: Final = np.arange(256) & 0x03 != 0
_SUSPECT_STATUS[_NOT_SPECIFIED] = False
"""By clock status (Blue Book 4.1.6.1): bit 0 invalid value, bit 1 doubtful value; FF says nothing."""


class _Change(NamedTuple):
    """A change of a zone's offset: at `utc`, from `before` to `after` (offsets local - UTC), all in microseconds."""

    utc: int
    before: int
    after: int


class _Day(NamedTuple):
    """One local day: its midnight as if it were UTC, the zone's offset at its start, and a change within it."""

    midnight: int
    offset: int
    change: _Change | None


@lru_cache(maxsize=8192)
def _day(zone: str, key: int) -> _Day:
    """The local day of four octets year-year-month-day, read as an integer in the machine's byte order."""
    year_high, year_low, month, day_of_month = np.array(key, np.uint32).tobytes()
    try:
        ordinal = date(year_high << 8 | year_low, month, day_of_month).toordinal()
        midnight = datetime.fromordinal(ordinal)
        next_midnight = datetime.fromordinal(ordinal + 1)
    except (ValueError, OverflowError):
        return _Day(_BAD, 0, None)
    before, after = _offset_us(midnight, zone), _offset_us(next_midnight, zone)
    midnight_us = (ordinal - _EPOCH) * DAY_US
    if before == after:
        return _Day(midnight_us, before, None)
    change = _Change(_change_instant(zone, midnight_us - before, midnight_us + DAY_US - after, after), before, after)
    return _Day(midnight_us, before, change)


def _offset_us(wall: datetime, zone: str) -> int:
    offset = wall.replace(tzinfo=ZoneInfo(zone)).utcoffset() or timedelta()
    return offset // timedelta(microseconds=1)


def _change_instant(zone: str, low: int, high: int, after: int) -> int:
    """The UTC second, as microseconds, in (low, high] from which on the zone has offset `after`."""
    tz = ZoneInfo(zone)
    while high - low > SECOND_US:
        middle = (low + high) // 2 // SECOND_US * SECOND_US
        offset = datetime.fromtimestamp(middle // SECOND_US, tz).utcoffset() or timedelta()
        if offset // timedelta(microseconds=1) == after:
            high = middle
        else:
            low = middle
    return high


def _around_a_change(
    change: _Change, local: NDArray[np.int64], status: NDArray[np.uint8], suspect: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """UTC of wall times on a day on which the zone's offset changes; marks `suspect` in place.

    Where the wall clock shows an hour twice, the clock status bit "daylight saving active" decides if the meter uses
    it, else the order of the rows (what stands before the clock's step back is earlier), else the earlier is taken and
    the row is suspect. A wall time that never was counts on from before the change and is suspect.
    """
    earlier, later = local - change.before, local - change.after
    can_be_earlier, can_be_later = earlier < change.utc, later >= change.utc
    utc = np.where(can_be_later & ~can_be_earlier, later, earlier)
    suspect |= ~can_be_earlier & ~can_be_later
    twice = np.flatnonzero(can_be_earlier & can_be_later)
    if not len(twice):
        return utc
    known = status[twice] != _NOT_SPECIFIED
    saving = known & (status[twice] & _DST_ACTIVE != 0)
    step_back = np.flatnonzero(np.diff(local[twice]) <= 0)
    if saving.any():
        # Daylight saving time is what the clock shows before it is set back.
        utc[twice[known & ~saving]] = later[twice[known & ~saving]]
        suspect[twice[~known]] = True
    elif len(step_back) == 1:
        after_step = twice[step_back[0] + 1 :]
        utc[after_step] = later[after_step]
    else:
        suspect[twice] = True
    return utc


def _apply_deviation(
    octets: NDArray[np.uint8],
    deviation: Deviation,
    local: NDArray[np.int64],
    utc: NDArray[np.int64],
    ok: NDArray[np.bool_],
) -> None:
    """Replace `utc`, in place, where a deviation is specified; one beyond 14 hours makes the date-time unusable."""
    minutes = octets[:, 9:11].view(">i2")[:, 0].astype(np.int64)
    specified = minutes != _NO_DEVIATION
    sign = 1 if deviation == "utc-minus-local" else -1
    utc[specified] = local[specified] + sign * MINUTE_US * minutes[specified]
    ok &= ~specified | (np.abs(minutes) <= _MAX_DEVIATION_MIN)
