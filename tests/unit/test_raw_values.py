"""VALUE of `headend set` and `call`: what a person writes, and what of it goes to the meter."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.cosem.rendering import datum_to_json
from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from headend.raw_values import parse_value
from profiles.errors import SettingsError

INTEGERS = {
    "integer": (8, True),
    "long": (16, True),
    "double-long": (32, True),
    "long64": (64, True),
    "bcd": (8, True),
    "unsigned": (8, False),
    "long-unsigned": (16, False),
    "double-long-unsigned": (32, False),
    "long64-unsigned": (64, False),
    "enum": (8, False),
    "delta-long": (16, True),
    "delta-unsigned": (8, False),
}


def integers(bits: int, signed: bool) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)


LATIN = st.text(st.characters(max_codepoint=255))
LEAVES = st.one_of(
    *(integers(*size).map(lambda value, kind=kind: Datum(kind, value)) for kind, size in INTEGERS.items()),  # type: ignore[misc]
    st.sampled_from([Datum("null-data"), Datum("dont-care")]),
    st.booleans().map(lambda value: Datum("boolean", value)),
    st.text("01").map(lambda value: Datum("bit-string", value)),
    st.binary(max_size=40).map(lambda value: Datum("octet-string", value)),
    LATIN.map(lambda value: Datum("visible-string", value)),
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda value: Datum("utf8-string", value)),
    st.floats(width=32, allow_nan=False).map(lambda value: Datum("float32", value)),
    st.floats(allow_nan=False).map(lambda value: Datum("float64", value)),
    *(
        st.binary(min_size=size, max_size=size).map(lambda value, kind=kind: Datum(kind, value))  # type: ignore[misc]
        for kind, size in (("date-time", 12), ("date", 5), ("time", 4))
    ),
)
DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4).flatmap(
        lambda items: st.sampled_from([Datum("array", tuple(items)), Datum("structure", tuple(items))])
    ),
    max_leaves=12,
)


@given(DATA)
def test_what_json_prints_is_read_back_as_the_same_value(datum: Datum) -> None:
    shown = datum_to_json(datum)
    assert parse_value(json.dumps(shown, allow_nan=False)) == datum
    assert parse_value(json.dumps({"obis": "1.0.1.8.0.255", "data": shown}, indent=1)) == datum


@given(st.text(max_size=60) | st.from_regex(r"[a-z0-9-]{1,12}:.*", fullmatch=True))
def test_any_text_is_a_value_or_refused_with_our_error(text: str) -> None:
    try:
        datum = parse_value(text)
    except SettingsError:
        return
    assert axdr.decode_typed(axdr.encode_typed(datum)).type == datum.type


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(sorted(axdr.TAGS)),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "value", "description", "data", "octets"]), inner)
        ),
    )
)
def test_any_json_is_a_value_or_refused_with_our_error(document: object) -> None:
    try:
        datum = parse_value(json.dumps({"type": "structure", "value": [document]}))
    except SettingsError:
        return
    assert axdr.decode(axdr.encode_typed(datum))


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("null", "00"),
        ("true", "0301"),
        ("false", "0300"),
        ("bool:1", "0301"),
        ("u8:5", "1105"),
        ("u8:0xff", "11ff"),
        ("u16:5", "120005"),
        ("u32:5", "0600000005"),
        ("u64:5", "150000000000000005"),
        ("i8:-1", "0fff"),
        ("i16:-1", "10ffff"),
        ("i32:-1", "05ffffffff"),
        ("i64:-1", "14ffffffffffffffff"),
        ("enum:2", "1602"),
        ("f32:1.5", "173fc00000"),
        ("f64:1.5", "183ff8000000000000"),
        ("octets:00ff", "090200ff"),
        ("octets:", "0900"),
        ("text:abc", "0903616263"),
        ("str:a:b", "0a03613a62"),
        ("utf8:ü", "0c02c3bc"),
        ("bits:0101", "040450"),
        ("obis:1-0:1.8.0*255", "09060100010800ff"),
        ("double-long-unsigned:5", "0600000005"),
        ("datetime:2026-01-01T00:00:00+05:30", "090c07ea01010400000000feb600"),
        ("datetime:2026-01-01 00:00", "090c07ea01010400000000800000"),
        ("datetime:2026-01-01T00:00:00.25Z", "090c07ea01010400000019000000"),
        ("datetime:*-*-01 00:00", "090cffffff01ff00000000800000"),
        ("datetime:*-dst-begin-last Sun 02:00", "090cfffffefe0702000000800000"),
        ("date-time:2026-01-01T00:00:00+05:30", "1907ea01010400000000feb600"),
        ("date:*-01-26", "0905ffff011aff"),
        ("time:06:30", "0904061e0000"),
        ("time:*:00:00", "0904ff000000"),
    ],
)
def test_each_way_to_write_a_value(text: str, octets: str) -> None:
    assert axdr.encode_typed(parse_value(text)).hex() == octets


def test_an_offset_becomes_the_deviation_that_the_meter_means() -> None:
    text = "datetime:2026-01-01T00:00:00+05:30"
    minutes = {
        deviation: struct.unpack(">h", axdr.encode_typed(parse_value(text, deviation))[11:13])[0]
        for deviation in ("utc-minus-local", "local-minus-utc")
    }
    assert minutes == {"utc-minus-local": -330, "local-minus-utc": 330}
    with pytest.raises(SettingsError, match="ignores the deviation"):
        parse_value(text, "ignore")
    assert parse_value("datetime:2026-01-01T00:00:00", "ignore") == parse_value("datetime:2026-01-01T00:00:00")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no type"),
        ("5", "names no type"),
        ("u8:256", "whole number from 0 to 255"),
        ("u8:-1", "whole number from 0 to 255"),
        ("u8:1.5", "no unsigned"),
        ("u8:", "no unsigned"),
        ("i8:128", "from -128 to 127"),
        ("f32:1e99", "cannot hold"),
        ("bits:012", "with 0 and 1"),
        ("octets:0", "no octet-string"),
        ("str:€", "cannot hold"),
        ("bool:maybe", "no boolean"),
        ("null-data:1", "JSON"),
        ("array:1", "written as JSON"),
        ("integre:1", "no type of COSEM data"),
        ("datetime:2026-02-30T00:00", "not in the calendar"),
        ("datetime:2026-01-01", "not a date-time"),
        ("datetime:2026-01-01T00:00+15:00", "not an offset"),
        ("date:2026-01-01 Sun", "another day of the week"),
        ("date:2026-13-01", "not in the calendar"),
        ("date:*-13-01", "not in the calendar"),
        ("time:24:00", "not a time of day"),
        ("obis:1.2", "no obis"),
        ("{", "not JSON: Expecting property name"),
        ('{"value": 5}', '"type"'),
        ("[]", '"type"'),
        ("[" * 100_000, "not JSON"),
        ('{"type": "word", "value": 5}', "'word' is not a type"),
        ('{"type": "unsigned", "value": true}', "whole number from 0 to 255"),
        ('{"type": "unsigned", "value": "5"}', "whole number from 0 to 255"),
        ('{"type": "unsigned", "valeu": 5}', "unknown key 'valeu'"),
        ('{"type": "redacted"}', "redacted"),
        ('{"type": "structure", "value": 5}', "is a list"),
        ('{"type": "date-time", "value": "00"}', "has 12 octets"),
        ('{"type": "octet-string", "value": "xy"}', "hex digits"),
        ('{"type": "boolean", "value": 1}', "cannot hold"),
        ('{"type": "compact-array", "value": [{"type": "unsigned", "value": 1}], "description": "12"}', "description"),
        ('{"type": "compact-array", "value": [{"type": "unsigned", "value": 1}]}', "hex digits"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_value(text)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_wrong_inside_a_value_is_said_with_its_place() -> None:
    inner = {"type": "array", "value": [{"type": "unsigned", "value": 1}, {"type": "unsigned", "value": 999}]}
    with pytest.raises(SettingsError, match=r"at value\[1\]\.value\[1\]: a value of type unsigned"):
        parse_value(json.dumps({"type": "structure", "value": [{"type": "null-data"}, inner]}))
    with pytest.raises(SettingsError, match=r"at data\.value\[0\]: "):
        parse_value(json.dumps({"data": {"type": "array", "value": [5]}}))


def test_a_value_nested_deeper_than_a_meter_takes_is_refused() -> None:
    document: dict[str, object] = {"type": "null-data", "value": None}
    for _ in range(40):
        document = {"type": "array", "value": [document]}
    with pytest.raises(SettingsError, match="nested too deep"):
        parse_value(json.dumps(document))


def test_numbers_that_json_has_not_go_both_ways() -> None:
    shown = datum_to_json(Datum("float64", math.nan))
    assert shown == {"type": "float64", "value": "nan"}
    value = parse_value(json.dumps(shown)).value
    assert isinstance(value, float)
    assert math.isnan(value)
    assert axdr.encode_typed(parse_value('{"type": "float32", "value": "-inf"}')).hex() == "17ff800000"


def test_a_refused_value_is_not_repeated_where_it_may_be_a_key() -> None:
    key = "00112233445566778899aabbccddeeff"
    for text in (key, f"octets:{key}0", f"bits:{key}", f"u8:{key}", f'{{"type": "unsigned", "value": "{key}"}}'):
        with pytest.raises(SettingsError) as refused:
            parse_value(text)
        assert key not in str(refused.value)
