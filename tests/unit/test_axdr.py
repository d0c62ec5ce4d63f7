"""A-XDR: every type both ways, every bound, and nothing but ProtocolError from bad octets."""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr
from drivers.dlms.axdr import BitString, Limits, Structure
from profiles.errors import ProtocolError

CLOCK = bytes.fromhex("07ea0101040f0000ff800000")

KNOWN = [
    ("00", None),
    ("0301", True),
    ("0300", False),
    ("0500000001", 1),
    ("05ffffffff", -1),
    ("06ffffffff", 0xFFFFFFFF),
    ("073f800000", 1.0),
    ("0903616263", b"abc"),
    ("0a03616263", "abc"),
    ("0c03e282b9", "₹"),
    ("0d99", -103),
    ("0f80", -128),
    ("108000", -32768),
    ("11ff", 255),
    ("12ffff", 65535),
    ("148000000000000000", -(2**63)),
    ("15ffffffffffffffff", 2**64 - 1),
    ("161e", 30),
    ("17c0490fdb", -3.1415927410125732),
    ("18400921fb54442d18", math.pi),
    ("19" + CLOCK.hex(), CLOCK),
    ("1a07ea010104", bytes.fromhex("07ea010104")),
    ("1b0f000000", bytes.fromhex("0f000000")),
    ("ff", None),
    ("040a8fc0", BitString("1000111111")),
    ("0400", BitString("")),
    ("0100", []),
    ("0200", Structure()),
    ("0102110111ff", [1, 255]),
    ("020203010a0141", Structure((True, "A"))),
    ("02030009010100", Structure((None, b"\x01", None))),
]


@pytest.mark.parametrize(("octets", "value"), KNOWN)
def test_each_type_of_the_blue_book_has_its_value(octets: str, value: object) -> None:
    decoded = axdr.decode(bytes.fromhex(octets))
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize("octets", [octets for octets, _ in KNOWN])
def test_a_value_truncated_at_any_octet_is_refused(octets: str) -> None:
    whole = bytes.fromhex(octets)
    for size in range(len(whole)):
        with pytest.raises(ProtocolError):
            axdr.decode(whole[:size])


def test_octets_left_over_are_refused() -> None:
    with pytest.raises(ProtocolError, match="1 octets too many"):
        axdr.decode(b"\x11\x05\x00")


def test_a_null_column_keeps_its_place_in_the_row() -> None:
    row = axdr.structure(axdr.null(), axdr.uint16(230), axdr.null(), axdr.uint32(7))
    assert axdr.decode(row) == Structure((None, 230, None, 7))


def test_array_and_structure_are_told_apart() -> None:
    assert axdr.decode(axdr.array([axdr.uint8(1)])) == [1]
    assert axdr.decode(axdr.structure(axdr.uint8(1))) == Structure((1,))


def test_values_one_after_the_other_are_read_by_their_offsets() -> None:
    data = axdr.uint16(1) + axdr.octet_string(b"ab") + axdr.null()
    assert axdr.decode_from(data) == (1, 3)
    assert axdr.decode_from(data, 3) == (b"ab", 7)
    assert axdr.decode_from(data, 7) == (None, 8)
    with pytest.raises(ProtocolError):
        axdr.decode_from(data, 8)


@pytest.mark.parametrize(
    ("count", "octets"),
    [(0, "00"), (127, "7f"), (128, "8180"), (255, "81ff"), (256, "820100"), (65536, "83010000")],
)
def test_a_length_takes_the_long_form_from_128_on(count: int, octets: str) -> None:
    assert axdr.length(count).hex() == octets
    assert axdr.decode(b"\x09" + axdr.length(count) + bytes(count)) == bytes(count)


def test_a_longer_form_than_needed_is_accepted() -> None:
    assert axdr.decode(bytes.fromhex("0982000141")) == b"A"


@pytest.mark.parametrize("octets", ["098041", "0985000000000141", "09ff41"])
def test_an_indefinite_or_absurd_length_is_refused(octets: str) -> None:
    with pytest.raises(ProtocolError, match="a length of"):
        axdr.decode(bytes.fromhex(octets))


@pytest.mark.parametrize("tag", [8, 11, 14, 34, 100, 254])
def test_a_type_that_is_not_known_is_refused_by_its_tag(tag: int) -> None:
    with pytest.raises(ProtocolError, match=f"tag {tag} at octet 2"):
        axdr.decode(bytes([2, 1, tag, 0, 0, 0, 0]))


def test_a_name_with_a_bad_character_does_not_cost_the_rest() -> None:
    assert axdr.decode(bytes.fromhex("0a0241e9")) == "Aé"
    assert axdr.decode(bytes.fromhex("0c0241ff")) == "A\\xff"


# --- bounds ---


@pytest.mark.parametrize(
    ("bomb", "message"),
    [
        ("0184ffffffff", "4294967295 elements announced"),
        ("0284ffffffff00", "4294967295 elements announced"),
        ("0183010000" + "00" * 100, "65536 elements announced"),
        ("0984ffffffff", "a string of 4294967295 octets"),
        ("0a84ffffffff41", "a string of 4294967295 octets"),
        ("0484ffffffff", "a string of 536870912 octets"),
        ("13 11 84ffffffff 00", "4294967295 octets of a compact-array"),
        ("13 00 84ffffffff", "compact-array of elements without octets"),
        ("13 02020000 01 00", "compact-array of elements without octets"),
        ("13 01ffff 01ffff 01ffff 01ffff 00 01 00", "arrays without octets"),
        ("13 020211 01ffff 00 01 00", "arrays without octets"),
        ("13 01ffff 01ffff 11 01 00", "ends inside a value"),
        ("13 0284ffffffff 00", "4294967295 elements described"),
        ("0101" * 500, "nested too deep at octet 33"),
        ("0201" * 1000 + "00", "nested too deep at octet 33"),
        ("13" + "0201" * 1000 + "00 0100", "nested too deep at octet 33"),
        ("13" + "01ffff" * 1000 + "00 0100", "nested too deep at octet 49"),
    ],
)
def test_a_few_octets_that_announce_a_flood_are_refused_before_anything_is_allocated(bomb: str, message: str) -> None:
    octets = bytes.fromhex(bomb)
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(ProtocolError, match=message):
            axdr.decode(octets)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 1
    assert peak < 2_000_000


def test_nesting_is_allowed_to_the_bound_and_no_deeper() -> None:
    nested = axdr.null()
    for _ in range(4):
        nested = axdr.structure(nested)
    assert axdr.decode(nested, Limits(depth=4)) == Structure((Structure((Structure((Structure((None,)),)),)),))
    with pytest.raises(ProtocolError, match="too deep"):
        axdr.decode(nested, Limits(depth=3))


def test_elements_are_counted_over_all_arrays_and_structures_together() -> None:
    rows = axdr.array([axdr.structure(axdr.null(), axdr.null())] * 3)
    assert len(axdr.decode(rows, Limits(elements=9))) == 3  # type: ignore[arg-type]
    with pytest.raises(ProtocolError):
        axdr.decode(rows, Limits(elements=8))


def test_elements_of_a_compact_array_are_counted_too_null_data_included() -> None:
    rows = bytes.fromhex("13 0203 11 00 00 03 010203")
    assert axdr.decode(rows, Limits(elements=16)) == [Structure((row, None, None)) for row in (1, 2, 3)]
    with pytest.raises(ProtocolError, match="too many elements"):
        axdr.decode(rows, Limits(elements=15))


def test_input_above_the_bound_is_refused_unread() -> None:
    with pytest.raises(ProtocolError, match="more than 10"):
        axdr.decode(bytes(11), Limits(octets=10))


# --- compact-array ---


def test_a_compact_array_of_structures_is_the_array_that_it_stands_for() -> None:
    description = "02 03 11 12 09"
    contents = "01 0002 01 41" + "03 0004 00"
    octets = bytes.fromhex(f"13 {description} 09 {contents}")
    assert axdr.decode(octets) == [Structure((1, 2, b"A")), Structure((3, 4, b""))]


def test_a_compact_array_of_arrays_repeats_the_one_element_type() -> None:
    assert axdr.decode(bytes.fromhex("13 01 0002 10 08 0001 ffff 0003 0004")) == [[1, -1], [3, 4]]


def test_a_compact_array_whose_last_element_is_cut_is_refused() -> None:
    with pytest.raises(ProtocolError, match="ends at 7, not at 6"):
        axdr.decode_from(bytes.fromhex("13 12 03 0001 00") + b"\x00\x00")


def test_a_compact_array_truncated_at_any_octet_is_refused() -> None:
    whole = bytes.fromhex("13 02 03 11 04 09 08 01 02 c0 01 41 03 00 00")
    assert axdr.decode(whole) == [Structure((1, BitString("11"), b"A")), Structure((3, BitString(""), b""))]
    for size in range(len(whole)):
        with pytest.raises(ProtocolError):
            axdr.decode(whole[:size])


# --- anything ---


def _encoded(encode: Callable[[Any], bytes], values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[bytes, Any]]:
    return values.map(lambda value: (encode(value), value))


def _integers(bits: int, signed: bool) -> st.SearchStrategy[int]:
    return st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else st.integers(0, (1 << bits) - 1)


SIMPLE = st.one_of(
    st.just((axdr.null(), None)),
    _encoded(axdr.boolean, st.booleans()),
    _encoded(axdr.int8, _integers(8, True)),
    _encoded(axdr.int16, _integers(16, True)),
    _encoded(axdr.int32, _integers(32, True)),
    _encoded(axdr.int64, _integers(64, True)),
    _encoded(axdr.uint8, _integers(8, False)),
    _encoded(axdr.uint16, _integers(16, False)),
    _encoded(axdr.uint32, _integers(32, False)),
    _encoded(axdr.uint64, _integers(64, False)),
    _encoded(axdr.enum, _integers(8, False)),
    _encoded(axdr.float32, st.floats(width=32, allow_nan=False)),
    _encoded(axdr.float64, st.floats(allow_nan=False)),
    _encoded(axdr.octet_string, st.binary(max_size=300)),
    _encoded(axdr.visible_string, st.text(st.characters(max_codepoint=127), max_size=150)),
    _encoded(axdr.utf8_string, st.text(max_size=60)),
    _encoded(axdr.date_time, st.binary(min_size=12, max_size=12)),
    st.text("01", max_size=150).map(lambda bits: (axdr.bit_string(bits), BitString(bits))),
)


def _nested(inner: st.SearchStrategy[tuple[bytes, Any]]) -> st.SearchStrategy[tuple[bytes, Any]]:
    items = st.lists(inner, max_size=5)
    return items.map(lambda pairs: (axdr.array([octets for octets, _ in pairs]), [value for _, value in pairs])) | (
        items.map(lambda pairs: (axdr.structure(*(octets for octets, _ in pairs)), Structure(v for _, v in pairs)))
    )


@given(st.recursive(SIMPLE, _nested, max_leaves=20))
def test_what_is_encoded_is_decoded_to_itself(pair: tuple[bytes, Any]) -> None:
    octets, value = pair
    assert axdr.decode(octets, Limits(depth=32)) == value


@given(st.recursive(SIMPLE, _nested, max_leaves=6), st.data())
def test_any_value_truncated_anywhere_is_refused(pair: tuple[bytes, Any], data: st.DataObject) -> None:
    octets, _ = pair
    with pytest.raises(ProtocolError):
        axdr.decode(octets[: data.draw(st.integers(0, len(octets) - 1))], Limits(depth=32))


_TYPE_OCTETS = st.sampled_from([1, 2, 3, 4, 6, 9, 10, 12, 18, 19, 25, 0x81, 0x84, 255])


@given(st.lists(st.integers(0, 255) | _TYPE_OCTETS, max_size=80).map(bytes))
def test_garbage_is_a_value_or_a_protocol_error(garbage: bytes) -> None:
    try:
        _, end = axdr.decode_from(garbage)
    except ProtocolError:
        return
    assert 0 < end <= len(garbage)


def test_a_date_time_of_another_size_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="12 octets"):
        axdr.date_time(bytes(11))
