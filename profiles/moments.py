"""COSEM date-time, date and time as a meter states them, wildcards and all (Blue Book 4.1.6.1).

The one rule: the octets are kept and are the truth; fields are read from them, and what is "not specified" is None.
For instants in UTC see `profiles.datetimes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_ANY: Final = 0xFF
_DEVIATION_ANY: Final = -0x8000
_MAX_DEVIATION_MIN: Final = 14 * 60
_LAST_DAY: Final = 0xFE
_SECOND_LAST_DAY: Final = 0xFD
_DAYLIGHT_SAVING: Final = {0xFD: "dst-end", 0xFE: "dst-begin"}
_DAYS: Final = {_LAST_DAY: "last", _SECOND_LAST_DAY: "second-last"}
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

CLOCK_STATUS: Final = (
    "invalid value",
    "doubtful value",
    "different clock base",
    "invalid clock status",
    "bit 4",
    "bit 5",
    "bit 6",
    "daylight saving active",
)
"""By bit, bit 0 first."""


@dataclass(frozen=True, slots=True)
class Date:
    """Five octets: year, month, day of month, day of week. ValueError on another length."""

    octets: bytes

    def __post_init__(self) -> None:
        _check_length(self.octets, 5)

    @property
    def is_valid(self) -> bool:
        """Whether every field is in its range, wildcards included."""
        _, _, month, day, weekday = self.octets
        return (
            (1 <= month <= 12 or month >= 0xFD)
            and (1 <= day <= 31 or day >= 0xFD)
            and (1 <= weekday <= 7 or weekday == _ANY)
        )

    def __str__(self) -> str:
        """`2026-01-03`, with `*` for what is not specified and a day of the week where that selects: `*-*-* Mon`."""
        if not self.is_valid:
            return self.octets.hex()
        year, month, day, weekday = int.from_bytes(self.octets[:2], "big"), *self.octets[2:]
        date = (
            f"{_field(year, 4, 0xFFFF)}-{_DAYLIGHT_SAVING.get(month) or _field(month)}-{_DAYS.get(day) or _field(day)}"
        )
        return f"{date} {_WEEKDAYS[weekday - 1]}" if "*" in date and weekday != _ANY else date


@dataclass(frozen=True, slots=True)
class Time:
    """Four octets: hour, minute, second, hundredths. ValueError on another length."""

    octets: bytes

    def __post_init__(self) -> None:
        _check_length(self.octets, 4)

    @property
    def is_valid(self) -> bool:
        """Whether every field is in its range, wildcards included."""
        return all(field < limit or field == _ANY for field, limit in zip(self.octets, (24, 60, 60, 100), strict=True))

    def __str__(self) -> str:
        """`06:30:00`, with `*` for what is not specified; hundredths only where there are any."""
        if not self.is_valid:
            return self.octets.hex()
        text = ":".join(_field(field) for field in self.octets[:3])
        return text if self.octets[3] in (0, _ANY) else f"{text}.{self.octets[3]:02}"


@dataclass(frozen=True, slots=True)
class DateTime:
    """Twelve octets: date, time, deviation, clock status. ValueError on another length."""

    octets: bytes

    def __post_init__(self) -> None:
        _check_length(self.octets, 12)

    @property
    def date(self) -> Date:
        return Date(self.octets[:5])

    @property
    def time(self) -> Time:
        return Time(self.octets[5:9])

    @property
    def deviation_min(self) -> int | None:
        """The deviation in minutes as sent: UTC minus local time by the standard, the opposite on some meters."""
        minutes = int.from_bytes(self.octets[9:11], "big", signed=True)
        return None if minutes == _DEVIATION_ANY else minutes

    @property
    def clock_status(self) -> tuple[str, ...]:
        """The bits that are set, in words; none where the status is not specified."""
        status = self.octets[11]
        return () if status == _ANY else tuple(name for bit, name in enumerate(CLOCK_STATUS) if status >> bit & 1)

    @property
    def is_valid(self) -> bool:
        """Whether every field is in its range, wildcards included."""
        return self.date.is_valid and self.time.is_valid and abs(self.deviation_min or 0) <= _MAX_DEVIATION_MIN

    def __str__(self) -> str:
        """`2026-01-03 06:30:00 deviation -330 min, daylight saving active`; wildcards as in `Date` and `Time`."""
        if not self.is_valid:
            return self.octets.hex()
        deviation = [] if self.deviation_min is None else [f"deviation {self.deviation_min} min"]
        remarks = ", ".join((*deviation, *self.clock_status))
        return f"{self.date} {self.time} {remarks}".rstrip()


def _field(value: int, width: int = 2, wildcard: int = _ANY) -> str:
    return "*" if value == wildcard else f"{value:0{width}}"


def _check_length(octets: bytes, length: int) -> None:
    if len(octets) != length:
        raise ValueError(f"{length} octets expected, not {len(octets)}")
