"""Dates and times as a person writes them, to the octets of COSEM's date-time, date and time (Blue Book 4.1.6.1).

    date   2026-01-31  *-01-26  *-*-last  *-dst-begin-last Sun      time   06:15  06:15:30  06:15:30.25  *:00
    both   2026-01-31T06:15:00+05:30, with T or a blank between

The one rule: what is not written is "not specified", but the seconds and the day of the week, which follow.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from profiles.errors import SettingsError
from profiles.meter_type import Deviation
from profiles.moments import Time

_MONTHS: Final = {"*": 0xFF, "dst-begin": 0xFE, "dst-end": 0xFD}
_DAYS: Final = {"*": 0xFF, "last": 0xFE, "second-last": 0xFD}
_WEEKDAYS: Final = {"*": 0xFF, "Mon": 1, "Tue": 2, "Wed": 3, "Thu": 4, "Fri": 5, "Sat": 6, "Sun": 7}
_DATE: Final = re.compile(
    r"(\*|\d{4})-(\*|\d\d|dst-begin|dst-end)-(\*|\d\d|last|second-last)(?: (Mon|Tue|Wed|Thu|Fri|Sat|Sun))?", re.ASCII
)
_TIME: Final = re.compile(r"(\*|\d\d):(\*|\d\d)(?::(\*|\d\d)(?:\.(\d\d|\d\d0))?)?", re.ASCII)
_DATE_TIME: Final = re.compile(r"(.+)[T ]([\d*:.]+)(Z|[+-]\d\d:\d\d)?", re.ASCII)
_NOT_SPECIFIED: Final = -0x8000


def parse_date(text: str) -> bytes:
    """The five octets of a date; SettingsError on what is none."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise SettingsError(f"{text[:40]!r} is not a date", remedy="write it as 2026-01-31, *-01-26 or *-*-last")
    year = 0xFFFF if found[1] == "*" else int(found[1])
    month = _MONTHS[found[2]] if found[2] in _MONTHS else int(found[2])
    day = _DAYS[found[3]] if found[3] in _DAYS else int(found[3])
    weekday = _WEEKDAYS[found[4] or "*"]
    if year != 0xFFFF and month <= 12 and day <= 31:
        try:
            real = date(year, month, day).isoweekday()
        except ValueError:
            raise SettingsError(f"{text!r} is not in the calendar") from None
        if found[4] and weekday != real:
            raise SettingsError(f"{text!r} is another day of the week")
        weekday = real
    elif not (1 <= month <= 12 or month in _MONTHS.values()) or not (1 <= day <= 31 or day in _DAYS.values()):
        raise SettingsError(f"{text!r} is not in the calendar")
    return year.to_bytes(2, "big") + bytes((month, day, weekday))


def parse_time_of_day(text: str) -> bytes:
    """The four octets of a time; SettingsError on what is none."""
    found = _TIME.fullmatch(text)
    fields = [] if found is None else [found[1], found[2], found[3] or "00", (found[4] or "00")[:2]]
    octets = bytes(0xFF if field == "*" else int(field) for field in fields)
    if not octets or not Time(octets).is_valid:
        raise SettingsError(f"{text[:40]!r} is not a time of day", remedy="write it as 06:15, 06:15:30 or *:00")
    return octets


def parse_date_time(text: str, deviation: Deviation) -> bytes:
    """The twelve octets of a date-time; SettingsError on what is none.

    An offset becomes the deviation as a meter of this kind takes it, and is refused where the meter ignores it; without
    one the deviation is not specified. The clock status is 0.
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise SettingsError(f"{text[:40]!r} is not a date-time", remedy="write it as 2026-01-31T06:15:00+05:30")
    minutes = _NOT_SPECIFIED
    if found[3] and deviation == "ignore":
        raise SettingsError("this meter's type ignores the deviation", remedy="write its local time, without an offset")
    if found[3]:
        minutes = _offset(found[3]) * (1 if deviation == "local-minus-utc" else -1)
    return parse_date(found[1]) + parse_time_of_day(found[2]) + minutes.to_bytes(2, "big", signed=True) + b"\0"


def _offset(text: str) -> int:
    """Minutes that local time is ahead of UTC."""
    if text == "Z":
        return 0
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    if int(text[4:6]) > 59 or minutes > 14 * 60:
        raise SettingsError(f"{text!r} is not an offset from UTC")
    return -minutes if text[0] == "-" else minutes
