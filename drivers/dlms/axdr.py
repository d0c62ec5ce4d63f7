"""A-XDR: the encoding of COSEM data (IEC 61334-6; the types of Data are those of the Blue Book, clause 4.1.5).

Encoding is composition: every function returns tagged octets, `structure(uint16(1), octet_string(b"..."))`.
Decoding is bounded: a length, a count or a depth is checked against what was received before anything is
allocated, and whatever is wrong with the input is a `ProtocolError`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from profiles.errors import ProtocolError

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
DONT_CARE: Final = 255


@dataclass(frozen=True, slots=True)
class BitString:
    """A bit-string, first bit first: `BitString("0110")`."""

    bits: str


class Structure(tuple["Value", ...]):
    """A structure; an array is a list."""

    __slots__ = ()


Value: TypeAlias = "bool | int | float | bytes | str | BitString | list[Value] | Structure | None"
"""null-data and don't-care are None; date-time, date and time stay the 12, 5 or 4 octets that they are."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a decoder accepts: nesting, elements of all arrays and structures together, octets of input."""

    depth: int = 16
    elements: int = 1_000_000
    octets: int = 16 * 1024 * 1024


DEFAULT: Final = Limits()


# --- encoding -------------------------------------------------------------------------------------------------


def length(count: int) -> bytes:
    """An A-XDR length (BER's definite form): one octet below 128, else 0x80 + n and n octets."""
    if count < 0x80:
        return count.to_bytes(1, "big")
    octets = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def null() -> bytes:
    return b"\x00"


def boolean(value: bool) -> bytes:
    return b"\x03\x01" if value else b"\x03\x00"


def int8(value: int) -> bytes:
    return b"\x0f" + value.to_bytes(1, "big", signed=True)


def int16(value: int) -> bytes:
    return b"\x10" + value.to_bytes(2, "big", signed=True)


def int32(value: int) -> bytes:
    return b"\x05" + value.to_bytes(4, "big", signed=True)


def int64(value: int) -> bytes:
    return b"\x14" + value.to_bytes(8, "big", signed=True)


def uint8(value: int) -> bytes:
    return b"\x11" + value.to_bytes(1, "big")


def uint16(value: int) -> bytes:
    return b"\x12" + value.to_bytes(2, "big")


def uint32(value: int) -> bytes:
    return b"\x06" + value.to_bytes(4, "big")


def uint64(value: int) -> bytes:
    return b"\x15" + value.to_bytes(8, "big")


def enum(value: int) -> bytes:
    return b"\x16" + value.to_bytes(1, "big")


def float32(value: float) -> bytes:
    return b"\x17" + struct.pack(">f", value)


def float64(value: float) -> bytes:
    return b"\x18" + struct.pack(">d", value)


def octet_string(octets: bytes) -> bytes:
    return b"\x09" + length(len(octets)) + octets


def visible_string(text: str) -> bytes:
    """ISO 646 text; UnicodeEncodeError on anything else."""
    return b"\x0a" + length(len(text)) + text.encode("ascii")


def utf8_string(text: str) -> bytes:
    octets = text.encode()
    return b"\x0c" + length(len(octets)) + octets


def bit_string(bits: str) -> bytes:
    """From its bits as text, first bit first; the last octet is filled up with zeros."""
    size = (len(bits) + 7) // 8
    return b"\x04" + length(len(bits)) + int(bits.ljust(size * 8, "0") or "0", 2).to_bytes(size, "big")


def date_time(octets: bytes) -> bytes:
    """A date-time under its own tag, 25; most meters carry it as `octet_string` instead."""
    if len(octets) != 12:
        raise ValueError(f"a date-time has 12 octets, not {len(octets)}")
    return b"\x19" + octets


def array(items: Sequence[bytes]) -> bytes:
    """An array of items that are encoded already, all of one type."""
    return b"\x01" + length(len(items)) + b"".join(items)


def structure(*items: bytes) -> bytes:
    """A structure of items that are encoded already."""
    return b"\x02" + length(len(items)) + b"".join(items)


# --- decoding -------------------------------------------------------------------------------------------------


class Reader:
    """A bounded cursor over received octets; every method raises ProtocolError rather than read past the end.

    `what` names the thing being read, for the error.
    """

    __slots__ = ("data", "offset", "what")

    def __init__(self, data: bytes, what: str, offset: int = 0) -> None:
        self.data = data
        self.what = what
        self.offset = offset

    @property
    def left(self) -> int:
        """Octets not yet read."""
        return len(self.data) - self.offset

    def take(self, count: int) -> bytes:
        """The next `count` octets."""
        if count > self.left:
            raise ProtocolError(f"{self.what}: {count} octets expected at octet {self.offset}, {self.left} received")
        start = self.offset
        self.offset += count
        return self.data[start : self.offset]

    def uint(self, size: int) -> int:
        """An unsigned integer of `size` octets, most significant first."""
        return int.from_bytes(self.take(size), "big")

    def int8(self) -> int:
        return int.from_bytes(self.take(1), "big", signed=True)

    def length(self) -> int:
        """A length in BER's definite form (A-XDR uses the same), at most the number of octets that follow it."""
        first = self.uint(1)
        count = first
        if first >= 0x80:
            size = first & 0x7F
            if not 1 <= size <= 4:
                raise ProtocolError(f"{self.what}: a length of {size} octets at octet {self.offset - 1}")
            count = self.uint(size)
        if count > self.left:
            raise ProtocolError(f"{self.what}: length {count} at octet {self.offset}, but {self.left} octets follow")
        return count

    def octets(self) -> bytes:
        """A length, then as many octets."""
        return self.take(self.length())

    def peek(self) -> int:
        """The next octet, which stays unread."""
        if not self.left:
            raise ProtocolError(f"{self.what}: ends at octet {self.offset}, where more should follow")
        return self.data[self.offset]

    def datum(self) -> bytes:
        """The next A-XDR value, still encoded."""
        return self.take(decode_from(self.data, self.offset)[1] - self.offset)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)

    def end(self) -> None:
        """Refuse what is left over."""
        if self.left:
            raise ProtocolError(f"{self.what}: {self.left} octets too many")


def decode(data: bytes, limits: Limits = DEFAULT) -> Value:
    """The one value that `data` holds; ProtocolError on anything else, octets left over included."""
    value, end = decode_from(data, 0, limits)
    if end != len(data):
        raise ProtocolError(f"A-XDR data: {len(data) - end} octets too many after the value")
    return value


def decode_from(data: bytes, offset: int = 0, limits: Limits = DEFAULT) -> tuple[Value, int]:
    """The value that begins at `offset`, and the offset of what follows it; ProtocolError on anything else."""
    if len(data) > limits.octets:
        raise ProtocolError(f"A-XDR data of {len(data)} octets, more than {limits.octets}")
    if offset < 0:
        raise ValueError("an offset counts from the beginning")
    try:
        return _Decoder(data, limits.elements).value(offset, limits.depth)
    except (IndexError, struct.error):
        raise ProtocolError(f"A-XDR data of {len(data)} octets ends inside a value") from None


_Unpack: TypeAlias = Callable[[bytes, int], tuple[Any, ...]]


def _fixed(form: str) -> tuple[_Unpack, int]:
    packed = struct.Struct(form)
    return packed.unpack_from, packed.size + 1


_FIXED: Final[dict[int, tuple[_Unpack, int]]] = {
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


@dataclass(frozen=True, slots=True)
class _Type:
    """A type description of a compact-array: an array repeats its one part `count` times."""

    tag: int
    count: int = 1
    parts: tuple[_Type, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether an element takes no octets, so that a few octets could stand for any number of them."""
        if self.tag in (ARRAY, STRUCTURE):
            return self.count == 0 or all(part.is_empty for part in self.parts)
        return self.tag in (NULL, DONT_CARE)


class _Decoder:
    """One run over one input; `elements` is what the bound on all elements together leaves."""

    __slots__ = ("data", "elements")

    def __init__(self, data: bytes, elements: int) -> None:
        self.data = data
        self.elements = elements

    def value(self, offset: int, depth: int) -> tuple[Value, int]:
        """Value at `offset` and the offset behind it; IndexError or struct.error where the input ends."""
        tag = self.data[offset]
        fixed = _FIXED.get(tag)
        if fixed is not None:
            unpack, size = fixed
            return unpack(self.data, offset + 1)[0], offset + size
        if tag in (NULL, DONT_CARE):
            return None, offset + 1
        if tag in (STRUCTURE, ARRAY):
            return self._elements(tag, offset + 1, depth)
        if tag == COMPACT_ARRAY:
            return self._compact_array(offset + 1, depth)
        return self._string(tag, offset + 1)

    def _elements(self, tag: int, offset: int, depth: int) -> tuple[Value, int]:
        if depth <= 0:
            raise ProtocolError(f"A-XDR data: nested too deep at octet {offset}")
        count, offset = self._length(offset)
        self.elements -= count
        # The shortest element, null-data, is one octet.
        if count > len(self.data) - offset or self.elements < 0:
            raise ProtocolError(f"A-XDR data: {count} elements announced at octet {offset}, {len(self.data)} received")
        items: list[Value] = []
        data = self.data
        for _ in range(count):
            # As in value(), once more: a call per number would double the time of a profile buffer.
            fixed = _FIXED.get(data[offset])
            if fixed is not None:
                unpack, size = fixed
                items.append(unpack(data, offset + 1)[0])
                offset += size
            else:
                item, offset = self.value(offset, depth - 1)
                items.append(item)
        return (Structure(items) if tag == STRUCTURE else items), offset

    def _compact_array(self, offset: int, depth: int) -> tuple[Value, int]:
        """The type of an element once, then all elements without their tags in one octet-string."""
        kind, offset = self._type_description(offset, depth)
        if kind.is_empty:
            raise ProtocolError("A-XDR data: a compact-array of elements without octets")
        size, offset = self._length(offset)
        end = offset + size
        if end > len(self.data):
            raise ProtocolError(f"A-XDR data: {size} octets of a compact-array, {len(self.data) - offset} received")
        items: list[Value] = []
        while offset < end:
            item, offset = self._untagged(kind, offset)
            items.append(item)
        if offset != end:
            raise ProtocolError(f"A-XDR data: the last element of a compact-array ends at {offset}, not at {end}")
        return items, end

    def _type_description(self, offset: int, depth: int) -> tuple[_Type, int]:
        tag = self.data[offset]
        if tag not in (ARRAY, STRUCTURE):
            return _Type(tag), offset + 1
        if depth <= 0:
            raise ProtocolError(f"A-XDR data: nested too deep at octet {offset}")
        if tag == ARRAY:
            part, end = self._type_description(offset + 3, depth - 1)
            if part.is_empty:
                raise ProtocolError("A-XDR data: a compact-array of arrays without octets")
            return _Type(tag, int.from_bytes(self.data[offset + 1 : offset + 3], "big"), (part,)), end
        count, offset = self._length(offset + 1)
        if count > len(self.data) - offset:
            raise ProtocolError(f"A-XDR data: {count} elements described at octet {offset}")
        parts = []
        for _ in range(count):
            part, offset = self._type_description(offset, depth - 1)
            parts.append(part)
        return _Type(tag, 1, tuple(parts)), offset

    def _untagged(self, kind: _Type, offset: int) -> tuple[Value, int]:
        self.elements -= 1
        # null-data takes no octets here, so that only this bounds how much of it there is.
        if self.elements < 0:
            raise ProtocolError("A-XDR data: too many elements")
        fixed = _FIXED.get(kind.tag)
        if fixed is not None:
            unpack, size = fixed
            return unpack(self.data, offset)[0], offset + size - 1
        if kind.tag in (NULL, DONT_CARE):
            return None, offset
        if kind.tag not in (ARRAY, STRUCTURE):
            return self._string(kind.tag, offset)
        items: list[Value] = []
        for part in kind.parts * kind.count:
            item, offset = self._untagged(part, offset)
            items.append(item)
        return (Structure(items) if kind.tag == STRUCTURE else items), offset

    def _string(self, tag: int, offset: int) -> tuple[Value, int]:
        if tag == BIT_STRING:
            count, offset = self._length(offset)
            octets, offset = self._take(offset, (count + 7) // 8)
            return BitString("".join(f"{octet:08b}" for octet in octets)[:count]), offset
        if tag not in (OCTET_STRING, VISIBLE_STRING, UTF8_STRING):
            raise ProtocolError(f"A-XDR data: tag {tag} at octet {offset - 1} is not a type that is known here")
        count, offset = self._length(offset)
        octets, offset = self._take(offset, count)
        if tag == OCTET_STRING:
            return octets, offset
        # A name with a bad character must not cost the rest of the data.
        return octets.decode("latin-1") if tag == VISIBLE_STRING else octets.decode(errors="backslashreplace"), offset

    def _length(self, offset: int) -> tuple[int, int]:
        first = self.data[offset]
        if first < 0x80:
            return first, offset + 1
        reader = Reader(self.data, "A-XDR data", offset)
        # A bit-string's length counts bits, so that the bound of Reader.length() does not fit here.
        size = reader.uint(1) & 0x7F
        if not 1 <= size <= 4:
            raise ProtocolError(f"A-XDR data: a length of {size} octets at octet {offset}")
        return reader.uint(size), reader.offset

    def _take(self, offset: int, count: int) -> tuple[bytes, int]:
        end = offset + count
        if end > len(self.data):
            raise ProtocolError(
                f"A-XDR data: a string of {count} octets at octet {offset}, {len(self.data) - offset} received"
            )
        return self.data[offset:end], end
