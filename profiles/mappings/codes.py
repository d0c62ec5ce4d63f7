"""The codes of IEC 61968-9: what a reading is, how good it is, and what an end device tells or is told to do.

The one rule: a code is numbers in a fixed order, and every number has a meaning of its own. The names of the fields of
a reading type are the standard's, their values are those that the Green Button schema (NAESB ESPI) publishes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_MULTIPLIERS: Final = range(-12, 13)
_NUMBERS: Final = range(0x10000)
_NUMBER: Final = re.compile(r"-?\d{1,5}", re.ASCII)

COMMODITY_SECONDARY: Final = 1
COMMODITY_PRIMARY: Final = 2
"""Electricity as the meter measures it, and as it is before its instrument transformers."""

MEASURING_PERIODS: Final[Mapping[int, int]] = {60: 3, 300: 6, 600: 1, 900: 2, 1200: 31, 1800: 5, 3600: 7, 86_400: 4}
"""measuringPeriod by the seconds of an interval."""

FIXED_BLOCKS: Final[Mapping[int, int]] = {60: 56, 300: 55, 600: 54, 900: 53, 1200: 52, 1800: 51, 3600: 50}
"""measuringPeriod by the seconds of a demand integration period, block after block."""

UNITS: Final[Mapping[int, int]] = {
    6: 159,
    8: 9,
    27: 38,
    28: 61,
    29: 63,
    30: 72,
    31: 71,
    32: 73,
    33: 5,
    35: 29,
    44: 33,
}
"""The unit (min, °, W, VA, var, Wh, VAh, varh, A, V, Hz) by its number in the Blue Book's table of units."""

COS_THETA: Final = 65
"""The unit of a power factor, for which the Blue Book has none."""


class ReadingType(NamedTuple):
    """The 18 fields of a reading type's mRID, 0 where one says nothing."""

    macro_period: int
    aggregate: int
    measuring_period: int
    accumulation: int
    flow_direction: int
    commodity: int
    measurement_kind: int
    harmonic_numerator: int
    harmonic_denominator: int
    argument_numerator: int
    argument_denominator: int
    tou: int
    cpp: int
    consumption_tier: int
    phases: int
    multiplier: int
    """Ten's exponent of the unit: 3 for kWh."""
    unit: int
    currency: int

    @classmethod
    def parse(cls, text: str) -> ReadingType:
        """From 18 numbers with dots between; ValueError on anything else."""
        found = cls(*_numbers(text, len(cls._fields), "a reading type"))
        if found.multiplier not in _MULTIPLIERS or any(one not in _NUMBERS for one in found[:15] + found[16:]):
            raise ValueError(f"{text!r} has a field that no reading type can have")
        return found

    def __str__(self) -> str:
        return ".".join(map(str, self))


class ReadingQuality(NamedTuple):
    """Who says it (1 meter, 2 head-end, 3 MDM …), the category, and the quality's index in it."""

    system: int
    category: int
    category_index: int

    @classmethod
    def parse(cls, text: str) -> ReadingQuality:
        """From 3 numbers with dots between; ValueError on anything else."""
        return cls(*_positive(text, 3, "a reading quality"))

    def __str__(self) -> str:
        return ".".join(map(str, self))


class EndDeviceCode(NamedTuple):
    """The four parts of an end device's event type or control type; device type 3 is an electric meter, 0 any."""

    device_type: int
    domain: int
    sub_domain: int
    event_or_action: int

    @classmethod
    def parse(cls, text: str) -> EndDeviceCode:
        """From 4 numbers with dots between; ValueError on anything else."""
        return cls(*_positive(text, 4, "an end device's event or control type"))

    def __str__(self) -> str:
        return ".".join(map(str, self))


def _numbers(text: str, count: int, what: str) -> list[int]:
    parts = text.split(".", count)
    if len(parts) != count or not all(map(_NUMBER.fullmatch, parts)):
        raise ValueError(f"{text!r} is not {what}, {count} numbers with dots between")
    return [int(part) for part in parts]


def _positive(text: str, count: int, what: str) -> list[int]:
    numbers = _numbers(text, count, what)
    if any(number not in _NUMBERS for number in numbers):
        raise ValueError(f"{text!r} has a number that {what} cannot have")
    return numbers
