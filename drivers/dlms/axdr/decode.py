"""Decoding to plain Python values: what a program that knows the type of an attribute wants.

Whatever is wrong with the input is a ProtocolError.
"""

from __future__ import annotations

import struct

from drivers.dlms.axdr.bounds import DELTAS, FIXED, Bounded, TypeDescription
from drivers.dlms.axdr.types import (
    ARRAY,
    BIT_STRING,
    COMPACT_ARRAY,
    DEFAULT,
    DONT_CARE,
    NULL,
    OCTET_STRING,
    STRUCTURE,
    UTF8_STRING,
    VISIBLE_STRING,
    BitString,
    Delta,
    Limits,
    Structure,
    Value,
)
from profiles.errors import ProtocolError


def decode(data: bytes, limits: Limits = DEFAULT) -> Value:
    """The one value that `data` holds; ProtocolError on anything else, octets left over included."""
    value, end = decode_from(data, 0, limits)
    if end != len(data):
        raise ProtocolError(f"A-XDR data: {len(data) - end} octets too many after the value").stopped_at(end)
    return value


def decode_from(data: bytes, offset: int = 0, limits: Limits = DEFAULT) -> tuple[Value, int]:
    """The value that begins at `offset`, and the offset of what follows it; ProtocolError on anything else."""
    if offset < 0:
        raise ValueError("an offset counts from the beginning")
    return Decoder(data, limits).read(offset)


class Decoder(Bounded):
    """Reads values from one input; the bound on elements is on all of them together."""

    __slots__ = ()

    def read(self, offset: int) -> tuple[Value, int]:
        """The value at `offset`, and the offset of what follows it."""
        try:
            return self._value(offset, self.depth)
        except (IndexError, struct.error):
            raise self.truncated() from None

    def _value(self, offset: int, depth: int) -> tuple[Value, int]:
        tag = self.data[offset]
        fixed = FIXED.get(tag)
        if fixed is not None:
            unpack, size = fixed
            return unpack(self.data, offset + 1)[0], offset + size
        if tag == OCTET_STRING:
            size, offset = self.length(offset + 1)
            return self.take(offset, size)
        if tag in (NULL, DONT_CARE):
            return None, offset + 1
        if tag in (STRUCTURE, ARRAY):
            return self._elements(tag, offset + 1, depth)
        if tag == COMPACT_ARRAY:
            return self.compact_array(offset + 1, depth, self._untagged)
        return self._other(tag, offset + 1)

    def _elements(self, tag: int, offset: int, depth: int) -> tuple[Value, int]:
        count, offset = self.count(offset, depth)
        items: list[Value] = []
        data = self.data
        for _ in range(count):
            # As in _value(), once more: a call per number would double the time of a profile buffer.
            fixed = FIXED.get(data[offset])
            if fixed is not None:
                unpack, size = fixed
                items.append(unpack(data, offset + 1)[0])
                offset += size
            else:
                item, offset = self._value(offset, depth - 1)
                items.append(item)
        return (Structure(items) if tag == STRUCTURE else items), offset

    def _untagged(self, kind: TypeDescription, offset: int) -> tuple[Value, int]:
        """An element of a compact-array."""
        self.spend()
        fixed = FIXED.get(kind.tag)
        if fixed is not None:
            unpack, size = fixed
            return unpack(self.data, offset)[0], offset + size - 1
        if kind.tag in (NULL, DONT_CARE):
            return None, offset
        if kind.tag not in (ARRAY, STRUCTURE):
            return self._other(kind.tag, offset)
        items: list[Value] = []
        for part in kind.parts * kind.count:
            item, offset = self._untagged(part, offset)
            items.append(item)
        return (Structure(items) if kind.tag == STRUCTURE else items), offset

    def _other(self, tag: int, offset: int) -> tuple[Value, int]:
        """A string, or a delta type; `offset` is behind the tag."""
        if tag in (OCTET_STRING, VISIBLE_STRING, UTF8_STRING):
            count, offset = self.length(offset)
            octets, offset = self.take(offset, count)
            if tag == OCTET_STRING:
                return octets, offset
            # A name with a bad character must not cost the rest of the data.
            encoding = "latin-1" if tag == VISIBLE_STRING else "utf-8"
            return octets.decode(encoding, errors="backslashreplace"), offset
        if tag == BIT_STRING:
            bits, offset = self.bits(offset)
            return BitString(bits), offset
        delta = DELTAS.get(tag)
        if delta is None:
            error = ProtocolError(f"A-XDR data: tag {tag} at octet {offset - 1} is not a type that is known here")
            raise error.stopped_at(offset - 1)
        unpack, size = delta
        return Delta(unpack(self.data, offset)[0]), offset + size - 1
