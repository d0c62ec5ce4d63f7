"""The types of COSEM data: their tags, their names, and the values that they decode to (Blue Book, clause 4.1.5).

Names are those of the standard's Data type. What a tag says and a Python type does not, such as the difference between
a date-time and an octet-string, is kept by `typed.Datum` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

NULL: Final = 0
ARRAY: Final = 1
STRUCTURE: Final = 2
BOOLEAN: Final = 3
BIT_STRING: Final = 4
DOUBLE_LONG: Final = 5
DOUBLE_LONG_UNSIGNED: Final = 6
FLOATING_POINT: Final = 7
OCTET_STRING: Final = 9
VISIBLE_STRING: Final = 10
UTF8_STRING: Final = 12
BCD: Final = 13
INTEGER: Final = 15
LONG: Final = 16
UNSIGNED: Final = 17
LONG_UNSIGNED: Final = 18
COMPACT_ARRAY: Final = 19
LONG64: Final = 20
LONG64_UNSIGNED: Final = 21
ENUM: Final = 22
FLOAT32: Final = 23
FLOAT64: Final = 24
DATE_TIME: Final = 25
DATE: Final = 26
TIME: Final = 27
DELTA_INTEGER: Final = 28
DELTA_LONG: Final = 29
DELTA_DOUBLE_LONG: Final = 30
DELTA_UNSIGNED: Final = 31
DELTA_LONG_UNSIGNED: Final = 32
DELTA_DOUBLE_LONG_UNSIGNED: Final = 33
DONT_CARE: Final = 255

NAMES: Final = {
    NULL: "null-data",
    ARRAY: "array",
    STRUCTURE: "structure",
    BOOLEAN: "boolean",
    BIT_STRING: "bit-string",
    DOUBLE_LONG: "double-long",
    DOUBLE_LONG_UNSIGNED: "double-long-unsigned",
    FLOATING_POINT: "floating-point",
    OCTET_STRING: "octet-string",
    VISIBLE_STRING: "visible-string",
    UTF8_STRING: "utf8-string",
    BCD: "bcd",
    INTEGER: "integer",
    LONG: "long",
    UNSIGNED: "unsigned",
    LONG_UNSIGNED: "long-unsigned",
    COMPACT_ARRAY: "compact-array",
    LONG64: "long64",
    LONG64_UNSIGNED: "long64-unsigned",
    ENUM: "enum",
    FLOAT32: "float32",
    FLOAT64: "float64",
    DATE_TIME: "date-time",
    DATE: "date",
    TIME: "time",
    DELTA_INTEGER: "delta-integer",
    DELTA_LONG: "delta-long",
    DELTA_DOUBLE_LONG: "delta-double-long",
    DELTA_UNSIGNED: "delta-unsigned",
    DELTA_LONG_UNSIGNED: "delta-long-unsigned",
    DELTA_DOUBLE_LONG_UNSIGNED: "delta-double-long-unsigned",
    DONT_CARE: "dont-care",
}
"""tag: the standard's name of the type."""

TAGS: Final = {name: tag for tag, name in NAMES.items()}


@dataclass(frozen=True, slots=True)
class BitString:
    """A bit-string, first bit first: `BitString("0110")`."""

    bits: str


@dataclass(frozen=True, slots=True)
class Delta:
    """A difference to the value at the same place in the element before: no number by itself, so no int."""

    difference: int


class Structure(tuple["Value", ...]):
    """A structure; an array is a list."""

    __slots__ = ()


Value: TypeAlias = "bool | int | float | bytes | str | BitString | Delta | list[Value] | Structure | None"
"""null-data and don't-care are None; date-time, date and time stay the 12, 5 or 4 octets that they are.

A compact-array is the array that it stands for.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a decoder accepts: nesting, elements of all arrays and structures together, octets of input."""

    depth: int = 16
    elements: int = 1_000_000
    octets: int = 16 * 1024 * 1024


DEFAULT: Final = Limits()
