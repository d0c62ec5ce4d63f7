"""Data with the standard's type names kept: what a person wants to see, and what can be encoded again.

`encode_typed(decode_typed(octets))` is `octets`, but for what has several encodings: lengths, true, unused bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from drivers.dlms.axdr import encode
from drivers.dlms.axdr.bounds import DELTAS, FIXED, Bounded, TypeDescription
from drivers.dlms.axdr.types import (
    ARRAY,
    BIT_STRING,
    COMPACT_ARRAY,
    DEFAULT,
    DONT_CARE,
    NAMES,
    NULL,
    OCTET_STRING,
    STRUCTURE,
    UTF8_STRING,
    VISIBLE_STRING,
    Limits,
)
from profiles.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Datum:
    """A value and the standard's name of its type, such as `long-unsigned`.

    `value`: the elements of an array, structure or compact-array; text of a visible-string or utf8-string (octets,
    where they are no UTF-8); `0` and `1` of a bit-string; octets of an octet-string, date-time, date or time; a number,
    a boolean, or None. `description`: the octets by which a compact-array states the type of its elements.
    """

    type: str
    value: DatumValue = None
    description: bytes = b""


DatumValue: TypeAlias = "tuple[Datum, ...] | bool | int | float | bytes | str | None"


# --- decoding -------------------------------------------------------------------------------------------------


def decode_typed(data: bytes, limits: Limits = DEFAULT) -> Datum:
    """The one datum that `data` holds; ProtocolError on anything else, octets left over included."""
    datum, end = decode_typed_from(data, 0, limits)
    if end != len(data):
        raise ProtocolError(f"A-XDR data: {len(data) - end} octets too many after the value").stopped_at(end)
    return datum


def decode_typed_from(data: bytes, offset: int = 0, limits: Limits = DEFAULT) -> tuple[Datum, int]:
    """The datum that begins at `offset`, and the offset of what follows it; ProtocolError on anything else."""
    if offset < 0:
        raise ValueError("an offset counts from the beginning")
    decoder = _TypedDecoder(data, limits)
    try:
        return decoder.datum(offset, limits.depth)
    except (IndexError, struct.error):
        raise decoder.truncated() from None


class _TypedDecoder(Bounded):
    __slots__ = ()

    def datum(self, offset: int, depth: int) -> tuple[Datum, int]:
        tag = self.data[offset]
        offset += 1
        if tag == COMPACT_ARRAY:
            elements, end = self.compact_array(offset, depth, self._untagged)
            described = self.data[offset : self.type_description(offset, depth)[1]]
            return Datum(NAMES[tag], tuple(elements), described), end
        if tag not in (ARRAY, STRUCTURE):
            return self._simple(tag, offset)
        count, offset = self.count(offset, depth)
        items = []
        for _ in range(count):
            item, offset = self.datum(offset, depth - 1)
            items.append(item)
        return Datum(NAMES[tag], tuple(items)), offset

    def _untagged(self, kind: TypeDescription, offset: int) -> tuple[Datum, int]:
        """An element of a compact-array."""
        self.spend()
        if kind.tag not in (ARRAY, STRUCTURE):
            return self._simple(kind.tag, offset)
        items = []
        for part in kind.parts * kind.count:
            item, offset = self._untagged(part, offset)
            items.append(item)
        return Datum(NAMES[kind.tag], tuple(items)), offset

    def _simple(self, tag: int, offset: int) -> tuple[Datum, int]:
        """A value that holds no others; `offset` is behind its tag."""
        fixed = FIXED.get(tag) or DELTAS.get(tag)
        if fixed is not None:
            unpack, size = fixed
            return Datum(NAMES[tag], unpack(self.data, offset)[0]), offset + size - 1
        if tag in (NULL, DONT_CARE):
            return Datum(NAMES[tag]), offset
        if tag == BIT_STRING:
            bits, offset = self.bits(offset)
            return Datum(NAMES[tag], bits), offset
        if tag not in (OCTET_STRING, VISIBLE_STRING, UTF8_STRING):
            error = ProtocolError(f"A-XDR data: tag {tag} at octet {offset - 1} is not a type that is known here")
            raise error.stopped_at(offset - 1)
        count, offset = self.length(offset)
        octets, offset = self.take(offset, count)
        return Datum(NAMES[tag], _text(tag, octets)), offset


def _text(tag: int, octets: bytes) -> str | bytes:
    if tag == VISIBLE_STRING:
        return octets.decode("latin-1")
    if tag == OCTET_STRING:
        return octets
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets


# --- encoding -------------------------------------------------------------------------------------------------


def encode_typed(datum: Datum) -> bytes:
    """Its octets; ValueError, with the type, on a type that is not known or a value that the type cannot hold."""
    if datum.type in _CONTAINERS:
        return _container(datum)
    encoder = _SIMPLE.get(datum.type)
    if encoder is None:
        raise ValueError(f"{datum.type!r} is not a type of COSEM data")
    try:
        return encoder(datum.value)
    except (struct.error, ArithmeticError, AttributeError, TypeError, ValueError) as error:
        # The value may be a key: it is not shown.
        raise ValueError(f"a {datum.type} cannot hold this {type(datum.value).__name__}") from error


def _container(datum: Datum) -> bytes:
    elements = datum.value
    if not isinstance(elements, tuple):
        raise ValueError(f"the value of a {datum.type} is its elements")
    if datum.type == NAMES[COMPACT_ARRAY]:
        return encode.compact_array(datum.description, [_untagged(element) for element in elements])
    encoded = [encode_typed(element) for element in elements]
    return encode.array(encoded) if datum.type == NAMES[ARRAY] else encode.structure(*encoded)


def _untagged(datum: Datum) -> bytes:
    """An element of a compact-array: no tags, and no counts of elements either."""
    if datum.type in _CONTAINERS and isinstance(datum.value, tuple):
        return b"".join(_untagged(element) for element in datum.value)
    return encode_typed(datum)[1:]


def _string(tag: int, encoding: str) -> Callable[[Any], bytes]:
    def encoder(value: str | bytes) -> bytes:
        octets = value if isinstance(value, bytes) else value.encode(encoding)
        return bytes([tag]) + encode.length(len(octets)) + octets

    return encoder


def _nothing(octets: bytes) -> Callable[[Any], bytes]:
    def encoder(value: None) -> bytes:
        if value is not None:
            raise TypeError
        return octets

    return encoder


def _boolean(value: Any) -> bytes:
    if not isinstance(value, bool):
        raise TypeError
    return encode.boolean(value)


_CONTAINERS: Final = frozenset({NAMES[ARRAY], NAMES[STRUCTURE], NAMES[COMPACT_ARRAY]})

_SIMPLE: Final[dict[str, Callable[[Any], bytes]]] = {
    "null-data": _nothing(encode.null()),
    "boolean": _boolean,
    "bit-string": encode.bit_string,
    "double-long": encode.int32,
    "double-long-unsigned": encode.uint32,
    "floating-point": encode.floating_point,
    "octet-string": encode.octet_string,
    "visible-string": _string(VISIBLE_STRING, "latin-1"),
    "utf8-string": _string(UTF8_STRING, "utf-8"),
    "bcd": encode.bcd,
    "integer": encode.int8,
    "long": encode.int16,
    "unsigned": encode.uint8,
    "long-unsigned": encode.uint16,
    "long64": encode.int64,
    "long64-unsigned": encode.uint64,
    "enum": encode.enum,
    "float32": encode.float32,
    "float64": encode.float64,
    "date-time": encode.date_time,
    "date": encode.date,
    "time": encode.time,
    "delta-integer": encode.delta_int8,
    "delta-long": encode.delta_int16,
    "delta-double-long": encode.delta_int32,
    "delta-unsigned": encode.delta_uint8,
    "delta-long-unsigned": encode.delta_uint16,
    "delta-double-long-unsigned": encode.delta_uint32,
    "dont-care": _nothing(encode.dont_care()),
}
