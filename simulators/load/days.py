"""Local days in India, as the load sees them: weekday, Saturday or rest day, month, hours of light.

The one rule: local time shapes the load, it stamps nothing. India has one zone, UTC + 5:30, and no summer time, so that
whole quarters of an hour of UTC are whole quarters of local time.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from simulators.load.noise import Floats, Integers

IST_OFFSET_S: Final = 19_800
SLOT_S: Final = 900
SLOTS: Final = 96
"""Quarters of an hour in a day."""

WEEKDAY, SATURDAY, REST = 0, 1, 2
"""Kinds of day; rest days are Sundays and the three national holidays."""
DAY_KINDS: Final = 3

FIRST_DAY: Final = np.datetime64("2019-12-31", "D")
DAYS: Final = 365 * 31
"""The load is known for so many days from `FIRST_DAY` on: the first and last are margins of 2020 to 2050."""

_HOLIDAYS: Final = frozenset({(1, 26), (8, 15), (10, 2)})
"""Republic Day, Independence Day, Gandhi's birthday."""

_DAYLIGHT_H: Final = (10.8, 11.3, 12.0, 12.7, 13.2, 13.5, 13.4, 12.9, 12.3, 11.6, 11.0, 10.7)
"""Hours from sunrise to sunset in the middle of each month at 23 degrees north."""
_NOON_H: Final = 12.35
"""When the sun is highest, by the clock, at 77 degrees east."""


def day_kinds() -> Integers:
    """WEEKDAY, SATURDAY or REST for each day that the load is known for."""
    days = FIRST_DAY + np.arange(DAYS)
    weekday = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    month, date = months(), (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1
    holiday = np.zeros(DAYS, bool)
    for its_month, its_date in _HOLIDAYS:
        holiday |= (month == its_month - 1) & (date == its_date)
    return np.select([holiday | (weekday == 6), weekday == 5], [REST, SATURDAY], WEEKDAY).astype(np.int64)


def months() -> Integers:
    """The month, 0 to 11, of each day that the load is known for."""
    return ((FIRST_DAY + np.arange(DAYS)).astype("datetime64[M]").astype(np.int64) % 12).astype(np.int64)


def sunrise(month: int) -> float:
    """Local hour, month 0 to 11."""
    return _NOON_H - _DAYLIGHT_H[month] / 2


def sunset(month: int) -> float:
    """Local hour, month 0 to 11."""
    return _NOON_H + _DAYLIGHT_H[month] / 2


def sun_height(hour: Floats, month: int) -> Floats:
    """How high the sun stands: 0 at night, 1 at noon."""
    height: Floats = np.maximum(np.sin(np.pi * (hour - sunrise(month)) / _DAYLIGHT_H[month]), 0.0)
    return np.where((hour > sunrise(month)) & (hour < sunset(month)), height, 0.0)
