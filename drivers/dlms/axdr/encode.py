"""Encoding by composition: every function returns tagged octets, `structure(uint16(1), octet_string(b"..."))`.

A value that its type cannot hold is an OverflowError or struct.error: the caller's mistake, not outside data.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence


def length(count: int) -> bytes:
    """An A-XDR length (BER's definite form): one octet below 128, else 0x80 + n and n octets."""
    if count < 0x80:
        return count.to_bytes(1, "big")
    octets = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def null() -> bytes:
    return b"\x00"


def dont_care() -> bytes:
    return b"\xff"


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


def bcd(value: int) -> bytes:
    """One octet, which the standard declares as a signed integer; its digits are the reader's business."""
    return b"\x0d" + value.to_bytes(1, "big", signed=True)


def enum(value: int) -> bytes:
    return b"\x16" + value.to_bytes(1, "big")


def floating_point(value: float) -> bytes:
    """The type of old that `float32` has replaced."""
    return b"\x07" + struct.pack(">f", value)


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
    """From its bits as text, first bit first; the last octet is filled up with zeros. ValueError on other text."""
    if set(bits) - {"0", "1"}:
        raise ValueError("a bit-string is written by 0 and 1")
    size = (len(bits) + 7) // 8
    return b"\x04" + length(len(bits)) + int(bits.ljust(size * 8, "0") or "0", 2).to_bytes(size, "big")


def date_time(octets: bytes) -> bytes:
    """A date-time under its own tag, 25; most meters carry it as `octet_string` instead."""
    return b"\x19" + _sized(octets, 12, "date-time")


def date(octets: bytes) -> bytes:
    """A date under its own tag, 26."""
    return b"\x1a" + _sized(octets, 5, "date")


def time(octets: bytes) -> bytes:
    """A time under its own tag, 27."""
    return b"\x1b" + _sized(octets, 4, "time")


def _sized(octets: bytes, size: int, name: str) -> bytes:
    if len(octets) != size:
        raise ValueError(f"a {name} has {size} octets, not {len(octets)}")
    return octets


def delta_int8(difference: int) -> bytes:
    return b"\x1c" + difference.to_bytes(1, "big", signed=True)


def delta_int16(difference: int) -> bytes:
    return b"\x1d" + difference.to_bytes(2, "big", signed=True)


def delta_int32(difference: int) -> bytes:
    return b"\x1e" + difference.to_bytes(4, "big", signed=True)


def delta_uint8(difference: int) -> bytes:
    return b"\x1f" + difference.to_bytes(1, "big")


def delta_uint16(difference: int) -> bytes:
    return b"\x20" + difference.to_bytes(2, "big")


def delta_uint32(difference: int) -> bytes:
    return b"\x21" + difference.to_bytes(4, "big")


def array(items: Sequence[bytes]) -> bytes:
    """An array of items that are encoded already, all of one type."""
    return b"\x01" + length(len(items)) + b"".join(items)


def structure(*items: bytes) -> bytes:
    """A structure of items that are encoded already."""
    return b"\x02" + length(len(items)) + b"".join(items)


def compact_array(description: bytes, elements: Sequence[bytes]) -> bytes:
    """An array whose elements, all of the type that `description` states once, stand without their tags.

    `description`: the tag of a simple type; 02, a count and so many descriptions for a structure; 01, a count of two
    octets and one description for an array.
    """
    contents = b"".join(elements)
    return b"\x13" + description + length(len(contents)) + contents
