"""What both decoders read by: lengths, counts and descriptions, checked against the octets received.

The one rule: nothing is allocated for a number that the input announces before the input has been seen to hold it.
Reading past the end is an IndexError or struct.error here; a decoder turns both into `truncated()`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from drivers.dlms.axdr.types import (
    ARRAY,
    BCD,
    BOOLEAN,
    DATE,
    DATE_TIME,
    DELTA_DOUBLE_LONG,
    DELTA_DOUBLE_LONG_UNSIGNED,
    DELTA_INTEGER,
    DELTA_LONG,
    DELTA_LONG_UNSIGNED,
    DELTA_UNSIGNED,
    DONT_CARE,
    DOUBLE_LONG,
    DOUBLE_LONG_UNSIGNED,
    ENUM,
    FLOAT32,
    FLOAT64,
    FLOATING_POINT,
    INTEGER,
    LONG,
    LONG64,
    LONG64_UNSIGNED,
    LONG_UNSIGNED,
    NULL,
    STRUCTURE,
    TIME,
    UNSIGNED,
    Limits,
)
from profiles.errors import ProtocolError

_Unpack: TypeAlias = Callable[[bytes, int], tuple[Any, ...]]
_Item = TypeVar("_Item")


def _fixed(form: str) -> tuple[_Unpack, int]:
    packed = struct.Struct(form)
    return packed.unpack_from, packed.size + 1


FIXED: Final[dict[int, tuple[_Unpack, int]]] = {
    BOOLEAN: _fixed(">?"),
    DOUBLE_LONG: _fixed(">i"),
    DOUBLE_LONG_UNSIGNED: _fixed(">I"),
    FLOATING_POINT: _fixed(">f"),
    BCD: _fixed(">b"),
    INTEGER: _fixed(">b"),
    LONG: _fixed(">h"),
    UNSIGNED: _fixed(">B"),
    LONG_UNSIGNED: _fixed(">H"),
    LONG64: _fixed(">q"),
    LONG64_UNSIGNED: _fixed(">Q"),
    ENUM: _fixed(">B"),
    FLOAT32: _fixed(">f"),
    FLOAT64: _fixed(">d"),
    DATE_TIME: _fixed(">12s"),
    DATE: _fixed(">5s"),
    TIME: _fixed(">4s"),
}
"""tag: how to unpack what follows the tag, and the size of the whole with its tag."""

DELTAS: Final[dict[int, tuple[_Unpack, int]]] = {
    DELTA_INTEGER: _fixed(">b"),
    DELTA_LONG: _fixed(">h"),
    DELTA_DOUBLE_LONG: _fixed(">i"),
    DELTA_UNSIGNED: _fixed(">B"),
    DELTA_LONG_UNSIGNED: _fixed(">H"),
    DELTA_DOUBLE_LONG_UNSIGNED: _fixed(">I"),
}
"""The delta types likewise."""


@dataclass(frozen=True, slots=True)
class TypeDescription:
    """A type description of a compact-array: an array repeats its one part `count` times."""

    tag: int
    count: int = 1
    parts: tuple[TypeDescription, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether an element takes no octets, so that a few octets could stand for any number of them."""
        if self.tag in (ARRAY, STRUCTURE):
            return self.count == 0 or all(part.is_empty for part in self.parts)
        return self.tag in (NULL, DONT_CARE)


class Bounded:
    """One input, and how many elements may still be read from it."""

    __slots__ = ("data", "depth", "elements")

    def __init__(self, data: bytes, limits: Limits) -> None:
        if len(data) > limits.octets:
            raise ProtocolError(f"A-XDR data of {len(data)} octets, more than {limits.octets}")
        self.data = data
        self.depth = limits.depth
        self.elements = limits.elements

    def truncated(self) -> ProtocolError:
        """What to raise for an IndexError or struct.error, which tell of reading past the end."""
        error = ProtocolError(f"A-XDR data of {len(self.data)} octets ends inside a value")
        return error.stopped_at(len(self.data))

    def length(self, offset: int) -> tuple[int, int]:
        """The length at `offset`, of octets, bits or elements, and where it ends."""
        first = self.data[offset]
        offset += 1
        if first < 0x80:
            return first, offset
        size = first & 0x7F
        if not 1 <= size <= 4:
            error = ProtocolError(f"A-XDR data: a length of {size} octets at octet {offset - 1}")
            raise error.stopped_at(offset - 1)
        octets, end = self.take(offset, size)
        return int.from_bytes(octets, "big"), end

    def take(self, offset: int, count: int) -> tuple[bytes, int]:
        """`count` octets from `offset` on, and where they end."""
        end = offset + count
        if end > len(self.data):
            raise ProtocolError(
                f"A-XDR data: a string of {count} octets at octet {offset}, {len(self.data) - offset} received"
            ).stopped_at(offset)
        return self.data[offset:end], end

    def count(self, offset: int, depth: int) -> tuple[int, int]:
        """How many elements an array or structure has, whose count stands at `offset`, and where they begin."""
        if depth <= 0:
            raise ProtocolError(f"A-XDR data: nested too deep at octet {offset}").stopped_at(offset)
        count, offset = self.length(offset)
        self.elements -= count
        # The shortest element, null-data, is one octet.
        if count > len(self.data) - offset or self.elements < 0:
            raise ProtocolError(
                f"A-XDR data: {count} elements announced at octet {offset}, {len(self.data)} received"
            ).stopped_at(offset)
        return count, offset

    def bits(self, offset: int) -> tuple[str, int]:
        """A bit-string, length and all, first bit first."""
        count, offset = self.length(offset)
        octets, offset = self.take(offset, (count + 7) // 8)
        return "".join(f"{octet:08b}" for octet in octets)[:count], offset

    def compact_array(
        self, offset: int, depth: int, element: Callable[[TypeDescription, int], tuple[_Item, int]]
    ) -> tuple[list[_Item], int]:
        """The type of an element once, then all elements without their tags in one octet-string."""
        kind, offset = self.type_description(offset, depth)
        if kind.is_empty:
            raise ProtocolError("A-XDR data: a compact-array of elements without octets")
        size, offset = self.length(offset)
        end = offset + size
        if end > len(self.data):
            raise ProtocolError(f"A-XDR data: {size} octets of a compact-array, {len(self.data) - offset} received")
        items: list[_Item] = []
        while offset < end:
            item, offset = element(kind, offset)
            items.append(item)
        if offset != end:
            raise ProtocolError(f"A-XDR data: the last element of a compact-array ends at {offset}, not at {end}")
        return items, end

    def type_description(self, offset: int, depth: int) -> tuple[TypeDescription, int]:
        """What the elements of a compact-array are, stated at `offset`, and where that ends."""
        self.spend()
        tag = self.data[offset]
        if tag not in (ARRAY, STRUCTURE):
            return TypeDescription(tag), offset + 1
        if depth <= 0:
            raise ProtocolError(f"A-XDR data: nested too deep at octet {offset}")
        if tag == ARRAY:
            part, end = self.type_description(offset + 3, depth - 1)
            if part.is_empty:
                raise ProtocolError("A-XDR data: a compact-array of arrays without octets")
            return TypeDescription(tag, int.from_bytes(self.data[offset + 1 : offset + 3], "big"), (part,)), end
        count, offset = self.length(offset + 1)
        if count > len(self.data) - offset:
            raise ProtocolError(f"A-XDR data: {count} elements described at octet {offset}")
        parts = []
        for _ in range(count):
            part, offset = self.type_description(offset, depth - 1)
            parts.append(part)
        return TypeDescription(tag, 1, tuple(parts)), offset

    def spend(self) -> None:
        """Count one element or description: null-data takes no octets here, so that only this bounds how much comes."""
        self.elements -= 1
        if self.elements < 0:
            raise ProtocolError("A-XDR data: too many elements")
