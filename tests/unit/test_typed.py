"""Data with the standard's type names: every type both ways, every bound, only ProtocolError from garbage."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr
from drivers.dlms.axdr import BitString, Datum, Delta, Limits, Structure
from profiles.errors import ProtocolError

CLOCK = bytes.fromhex("07ea0101040f0000ff800000")

KNOWN = [
    ("00", Datum("null-data")),
    ("0102 1101 1102", Datum("array", (Datum("unsigned", 1), Datum("unsigned", 2)))),
    ("0202 1101 00", Datum("structure", (Datum("unsigned", 1), Datum("null-data")))),
    ("0301", Datum("boolean", True)),
    ("040a8fc0", Datum("bit-string", "1000111111")),
    ("0400", Datum("bit-string", "")),
    ("05ffffffff", Datum("double-long", -1)),
    ("06ffffffff", Datum("double-long-unsigned", 0xFFFFFFFF)),
    ("073f800000", Datum("floating-point", 1.0)),
    ("0903616263", Datum("octet-string", b"abc")),
    ("0a03616263", Datum("visible-string", "abc")),
    ("0a0241e9", Datum("visible-string", "Aé")),
    ("0c03e282b9", Datum("utf8-string", "₹")),
    ("0c0241ff", Datum("utf8-string", b"A\xff")),
    ("0d99", Datum("bcd", -103)),
    ("0f80", Datum("integer", -128)),
    ("108000", Datum("long", -32768)),
    ("11ff", Datum("unsigned", 255)),
    ("12ffff", Datum("long-unsigned", 65535)),
    ("148000000000000000", Datum("long64", -(2**63))),
    ("15ffffffffffffffff", Datum("long64-unsigned", 2**64 - 1)),
    ("161e", Datum("enum", 30)),
    ("173fc00000", Datum("float32", 1.5)),
    ("183ff8000000000000", Datum("float64", 1.5)),
    ("19" + CLOCK.hex(), Datum("date-time", CLOCK)),
    ("1a07ea010104", Datum("date", CLOCK[:5])),
    ("1b0f0000ff", Datum("time", CLOCK[5:9])),
    ("1cff", Datum("delta-integer", -1)),
    ("1dff00", Datum("delta-long", -256)),
    ("1effff0000", Datum("delta-double-long", -65536)),
    ("1fff", Datum("delta-unsigned", 255)),
    ("20ff00", Datum("delta-long-unsigned", 0xFF00)),
    ("21ffff0000", Datum("delta-double-long-unsigned", 0xFFFF0000)),
    ("ff", Datum("dont-care")),
    (
        "13 12 04 0001 0002",
        Datum("compact-array", (Datum("long-unsigned", 1), Datum("long-unsigned", 2)), b"\x12"),
    ),
    ("13 12 00", Datum("compact-array", (), b"\x12")),
    (
        "13 02 04 11 01 0002 10 09 00 07 01 0002fffe 0141",
        Datum(
            "compact-array",
            (
                Datum(
                    "structure",
                    (
                        Datum("unsigned", 1),
                        Datum("array", (Datum("long", 2), Datum("long", -2))),
                        Datum("octet-string", b"A"),
                        Datum("null-data"),
                    ),
                ),
            ),
            bytes.fromhex("02 04 11 01 0002 10 09 00"),
        ),
    ),
]


@pytest.mark.parametrize(("octets", "datum"), KNOWN)
def test_each_type_keeps_its_name_and_is_encoded_again(octets: str, datum: Datum) -> None:
    whole = bytes.fromhex(octets)
    decoded = axdr.decode_typed(whole)
    assert decoded == datum
    assert type(decoded.value) is type(datum.value)
    assert axdr.encode_typed(datum) == whole


def test_every_type_of_the_standard_is_among_those_shown() -> None:
    assert {datum.type for _, datum in KNOWN} == set(axdr.TAGS)
    assert {bytes.fromhex(octets)[0] for octets, _ in KNOWN} == set(axdr.NAMES)


@pytest.mark.parametrize("octets", [octets for octets, _ in KNOWN])
def test_a_datum_truncated_at_any_octet_is_refused(octets: str) -> None:
    whole = bytes.fromhex(octets)
    for size in range(len(whole)):
        with pytest.raises(ProtocolError):
            axdr.decode_typed(whole[:size])
    with pytest.raises(ProtocolError, match="1 octets too many"):
        axdr.decode_typed(whole + b"\x00")


def test_a_delta_is_no_number_to_a_program() -> None:
    assert axdr.decode(axdr.delta_int8(-1)) == Delta(-1)
    assert not isinstance(axdr.decode(axdr.delta_uint32(7)), int)
    rows = axdr.array([axdr.structure(axdr.uint32(100)), axdr.structure(axdr.delta_uint8(4))])
    assert axdr.decode(rows) == [Structure((100,)), Structure((Delta(4),))]
    assert axdr.decode(bytes.fromhex("13 1c 02 05ff")) == [Delta(5), Delta(-1)]


@pytest.mark.parametrize(
    ("encoded", "octets"),
    [
        (axdr.delta_int8(-1), "1cff"),
        (axdr.delta_int16(-1), "1dffff"),
        (axdr.delta_int32(-1), "1effffffff"),
        (axdr.delta_uint8(255), "1fff"),
        (axdr.delta_uint16(65535), "20ffff"),
        (axdr.delta_uint32(1), "2100000001"),
        (axdr.bcd(0x25), "0d25"),
        (axdr.floating_point(1.0), "073f800000"),
        (axdr.date(CLOCK[:5]), "1a07ea010104"),
        (axdr.time(CLOCK[5:9]), "1b0f0000ff"),
        (axdr.dont_care(), "ff"),
        (axdr.compact_array(b"\x12", [b"\x00\x01", b"\x00\x02"]), "13120400010002"),
    ],
)
def test_the_rarer_types_are_encoded(encoded: bytes, octets: str) -> None:
    assert encoded.hex() == octets


@pytest.mark.parametrize(
    "datum",
    [
        Datum("long-unsigned", 65536),
        Datum("unsigned", -1),
        Datum("integer", 128),
        Datum("unsigned", "5"),
        Datum("unsigned", 1.5),
        Datum("boolean", 1),
        Datum("bit-string", "012"),
        Datum("bit-string", "1_0"),
        Datum("octet-string", "abc"),
        Datum("visible-string", "₹"),
        Datum("float32", 1e300),
        Datum("float64", "x"),
        Datum("date-time", CLOCK[:11]),
        Datum("date", CLOCK),
        Datum("time", CLOCK),
        Datum("null-data", 0),
        Datum("dont-care", b""),
        Datum("array", b"ab"),
        Datum("structure"),
        Datum("array", (Datum("unsigned", 256),)),
        Datum("compact-array", (Datum("unsigned", 256),), b"\x11"),
    ],
)
def test_a_value_that_its_type_cannot_hold_is_refused_without_showing_it(datum: Datum) -> None:
    with pytest.raises(
        ValueError, match=r"^(a [a-z0-9-]+ cannot hold this \w+|the value of a [a-z-]+ is its elements)$"
    ):
        axdr.encode_typed(datum)


def test_a_type_that_is_not_of_the_standard_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="'uint32' is not a type"):
        axdr.encode_typed(Datum("uint32", 1))


# --- bounds ---


@pytest.mark.parametrize(
    ("bomb", "message"),
    [
        ("0184ffffffff", "4294967295 elements announced"),
        ("0984ffffffff", "a string of 4294967295 octets"),
        ("0484ffffffff", "a string of 536870912 octets"),
        ("13 00 84ffffffff", "compact-array of elements without octets"),
        ("13 01ffff 01ffff 11 01 00", "ends inside a value"),
        ("0201" * 1000 + "00", "nested too deep at octet 33"),
        ("13" + "0201" * 1000 + "00 0100", "nested too deep at octet 33"),
        ("13 12 03 0001 00 00 00", "ends at 7, not at 6"),
        ("13 13 01 00", "tag 19 at octet 2 is not a type"),
        ("0b00", "tag 11 at octet 0 is not a type"),
    ],
)
def test_a_few_octets_that_announce_a_flood_are_refused(bomb: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        axdr.decode_typed(bytes.fromhex(bomb))


@pytest.mark.parametrize("decode", [axdr.decode, axdr.decode_typed])
def test_a_compact_array_of_much_null_data_ends_at_the_bound_on_elements(decode: Any) -> None:
    """40 kilobytes that stand for 4 * 10**8 elements."""
    bomb = b"\x13\x02" + axdr.length(20_001) + b"\x11" + bytes(20_000) + axdr.length(20_000) + bytes(20_000)
    began = time.monotonic()
    with pytest.raises(ProtocolError, match="too many elements"):
        decode(bomb)
    assert time.monotonic() - began < 20


def test_typed_elements_are_counted_over_all_of_them() -> None:
    rows = axdr.array([axdr.structure(axdr.null(), axdr.null())] * 3)
    assert len(axdr.decode_typed(rows, Limits(elements=9)).value or ()) == 3  # type: ignore[arg-type]
    with pytest.raises(ProtocolError):
        axdr.decode_typed(rows, Limits(elements=8))


def test_data_one_after_the_other_are_read_by_their_offsets() -> None:
    data = axdr.uint16(1) + axdr.enum(2)
    assert axdr.decode_typed_from(data) == (Datum("long-unsigned", 1), 3)
    assert axdr.decode_typed_from(data, 3) == (Datum("enum", 2), 5)
    with pytest.raises(ProtocolError):
        axdr.decode_typed_from(data, 5)


# --- anything ---


def _integers(name: str, low: int, high: int) -> st.SearchStrategy[Datum]:
    return st.integers(low, high).map(lambda value: Datum(name, value))


def _signed(name: str, bits: int) -> st.SearchStrategy[Datum]:
    return _integers(name, -(1 << bits - 1), (1 << bits - 1) - 1)


def _unsigned(name: str, bits: int) -> st.SearchStrategy[Datum]:
    return _integers(name, 0, (1 << bits) - 1)


def _octets(name: str, size: int) -> st.SearchStrategy[Datum]:
    return st.binary(min_size=size, max_size=size).map(lambda octets: Datum(name, octets))


def _not_utf8(octets: bytes) -> bool:
    return octets.decode(errors="replace").encode() != octets


SIMPLE = st.one_of(
    st.sampled_from([Datum("null-data"), Datum("dont-care"), Datum("boolean", True), Datum("boolean", False)]),
    *(_signed(name, bits) for name, bits in (("integer", 8), ("bcd", 8), ("long", 16), ("double-long", 32))),
    *(_signed(name, bits) for name, bits in (("long64", 64), ("delta-integer", 8), ("delta-long", 16))),
    *(_signed(name, bits) for name, bits in (("delta-double-long", 32),)),
    *(_unsigned(name, bits) for name, bits in (("unsigned", 8), ("enum", 8), ("long-unsigned", 16))),
    *(_unsigned(name, bits) for name, bits in (("double-long-unsigned", 32), ("long64-unsigned", 64))),
    *(_unsigned(name, bits) for name, bits in (("delta-unsigned", 8), ("delta-long-unsigned", 16))),
    *(_unsigned(name, bits) for name, bits in (("delta-double-long-unsigned", 32),)),
    *(_octets(name, size) for name, size in (("date-time", 12), ("date", 5), ("time", 4))),
    st.floats(width=32, allow_nan=False).map(lambda value: Datum("float32", value)),
    st.floats(width=32, allow_nan=False).map(lambda value: Datum("floating-point", value)),
    st.floats(allow_nan=False).map(lambda value: Datum("float64", value)),
    st.binary(max_size=200).map(lambda octets: Datum("octet-string", octets)),
    st.text(st.characters(max_codepoint=255), max_size=150).map(lambda text: Datum("visible-string", text)),
    st.text(max_size=60).map(lambda text: Datum("utf8-string", text)),
    st.binary(max_size=20).filter(_not_utf8).map(lambda octets: Datum("utf8-string", octets)),
    st.text("01", max_size=150).map(lambda bits: Datum("bit-string", bits)),
)


def _nested(inner: st.SearchStrategy[Datum]) -> st.SearchStrategy[Datum]:
    return st.builds(Datum, st.sampled_from(["array", "structure"]), st.lists(inner, max_size=5).map(tuple))


def _description(datum: Datum) -> bytes:
    """The type description of a datum; of an array it holds only where its elements are of one type."""
    elements = datum.value if isinstance(datum.value, tuple) else ()
    if datum.type == "structure":
        return b"\x02" + axdr.length(len(elements)) + b"".join(map(_description, elements))
    return bytes([axdr.TAGS[datum.type]])


ROW = st.lists(SIMPLE | st.lists(SIMPLE, min_size=1, max_size=3).map(lambda few: Datum("structure", tuple(few))))


@given(st.recursive(SIMPLE, _nested, max_leaves=20))
def test_any_datum_is_decoded_to_itself(datum: Datum) -> None:
    assert axdr.decode_typed(axdr.encode_typed(datum), Limits(depth=32)) == datum


@given(ROW, st.integers(1, 3))
def test_any_compact_array_is_decoded_to_itself(cells: list[Datum], rows: int) -> None:
    row = Datum("structure", (*cells, Datum("unsigned", 7)))
    datum = Datum("compact-array", (row,) * rows, _description(row))
    encoded = axdr.encode_typed(datum)
    assert axdr.decode_typed(encoded) == datum
    plain = axdr.decode(axdr.encode_typed(Datum("array", (row,) * rows)))
    assert axdr.decode(encoded) == plain


def _plain(datum: Datum) -> Any:
    """What the plain decoder makes of it."""
    value = datum.value
    if datum.type in ("array", "compact-array") and isinstance(value, tuple):
        return [_plain(element) for element in value]
    if isinstance(value, tuple):
        return Structure(_plain(element) for element in value)
    if datum.type.startswith("delta"):
        return Delta(value)  # type: ignore[arg-type]
    if datum.type == "utf8-string" and isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return BitString(str(value)) if datum.type == "bit-string" else value


_TAG_OCTETS = st.sampled_from([*axdr.NAMES, 0x81, 0x84])


@given(st.lists(st.integers(0, 255) | _TAG_OCTETS, max_size=80).map(bytes))
def test_of_garbage_both_decoders_make_the_same_value_or_a_protocol_error(garbage: bytes) -> None:
    try:
        datum, end = axdr.decode_typed_from(garbage)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            axdr.decode_from(garbage)
        return
    value, plain_end = axdr.decode_from(garbage)
    assert end == plain_end
    assert repr(_plain(datum)) == repr(value)
