"""The columns of profiles and pushes as type files write them.

The one rule: a text is `CLASS/OBIS/ATTRIBUTE [SCALER] [UNIT]`; ranges in the code and lists of attributes stand for
several columns, code by code and attribute by attribute: `4/1.0.1.6.0-8.255/2,5 W` is the maximum demand of nine
rates, each with its time. The unit is the Blue Book's symbol, or `date-time`; a scaler alone is that of a plain number,
and one before `date-time` stands in the scaler profile for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import Final

from profiles.meter_type import REGISTER_CLASSES, VALUE, Column
from profiles.objects import AttributeRef, CaptureObject, Obis
from profiles.units import UNITS

_TEXT: Final = re.compile(
    r"(?P<class>\d{1,5})/(?P<obis>[\d.:*-]{9,60})/(?P<attributes>-?\d{1,3}(?:,-?\d{1,3}){0,7})"
    r"(?: +(?P<scaler>-?\d{1,3}))?(?: +(?P<unit>\S+))?",
    re.ASCII,
)
_GROUP: Final = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?", re.ASCII)
_MOST: Final = 256
"""Columns that one text may stand for."""
_CLOCK, _EXTENDED_REGISTER, _CAPTURE_TIME = 8, 4, 5
_DATE_TIME: Final = "date-time"
_NO_UNIT: Final = 255

UNIT_NUMBERS: Final[Mapping[str, int]] = MappingProxyType(
    {symbol: number for number, symbol in reversed(list(UNITS.items())) if symbol}
)
"""By symbol; of two units that share theirs, the first."""


def parse_columns(text: str) -> tuple[Column, ...]:
    """The columns that a text stands for, in order; ValueError says what is wrong with it."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not class/OBIS/attribute [scaler] [unit], such as 3/1.0.12.27.0.255/2 -1 V")
    class_id = _within("class id", match["class"], 1, 0xFFFF)
    attributes = [_within("attribute", number, -128, 127) for number in match["attributes"].split(",")]
    scaler = None if match["scaler"] is None else _within("scaler", match["scaler"], -128, 127)
    columns = []
    for obis, attribute in product(_codes(match["obis"]), attributes):
        captured = CaptureObject(class_id, obis, attribute)
        columns.append(_column(captured, scaler, match["unit"]))
        if len(columns) > _MOST:
            raise ValueError(f"{text!r} stands for more than {_MOST} columns")
    return tuple(columns)


def parse_attribute(text: str) -> AttributeRef:
    """One attribute, without ranges or unit; ValueError otherwise."""
    columns = parse_columns(text)
    match = _TEXT.fullmatch(text.strip())
    if len(columns) != 1 or match is None or match["scaler"] or match["unit"]:
        raise ValueError(f"{text!r} is not class/OBIS/attribute, such as 3/1.0.12.27.0.255/2")
    return AttributeRef(*columns[0].captured[:3])


def _column(captured: CaptureObject, scaler: int | None, symbol: str | None) -> Column:
    if captured.class_id == _CLOCK or (captured.class_id, captured.attribute) == (_EXTENDED_REGISTER, _CAPTURE_TIME):
        return Column(captured, date_time=True)
    if symbol == _DATE_TIME:
        return Column(captured, scaler, None if scaler is None else _NO_UNIT, date_time=True)
    unit = None if symbol is None else UNIT_NUMBERS.get(symbol)
    if symbol is not None and unit is None:
        raise ValueError(
            f"{symbol!r} is no unit of the Blue Book: V, A, W, Wh, VAh, varh, Hz, min, s, ° … or date-time"
        )
    if (scaler is not None or unit is not None) and (
        captured.class_id not in REGISTER_CLASSES or captured.attribute != VALUE
    ):
        raise ValueError(f"{captured} is no value of a register, so it has neither scaler nor unit")
    return Column(captured, scaler, _NO_UNIT if unit is None and scaler is not None else unit)


def _codes(text: str) -> list[Obis]:
    groups = text.split(".")
    matches = [_GROUP.fullmatch(group) for group in groups]
    if len(groups) not in (5, 6) or None in matches:
        return [Obis.parse(text)]
    ranges = [(int(match[1]), int(match[2] or match[1])) for match in matches if match]
    if any(not first <= last <= 255 for first, last in ranges):
        raise ValueError(f"{text!r} is not an OBIS code such as 1.0.99.1.0.255, or a range such as 1.0.1.8.0-8.255")
    if len(ranges) == 5:
        ranges.append((255, 255))
    if _size(ranges) > _MOST:
        raise ValueError(f"{text!r} stands for more than {_MOST} codes")
    return [Obis(*code) for code in product(*(range(first, last + 1) for first, last in ranges))]


def _size(ranges: list[tuple[int, int]]) -> int:
    size = 1
    for first, last in ranges:
        size *= last - first + 1
    return size


def _within(what: str, text: str, low: int, high: int) -> int:
    number = int(text)
    if not low <= number <= high:
        raise ValueError(f"{what} {number} is not from {low} to {high}")
    return number
