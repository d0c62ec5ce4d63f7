"""What people and programs are shown of COSEM data."""

from __future__ import annotations

import json
import math

import pytest

from drivers.cosem.rendering import datum_lines, datum_to_json, hide_secrets, iso
from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from profiles.classes import find_class
from profiles.classes.shapes import Array, Record, Scalar, Shape
from profiles.meter_type import Deviation
from profiles.moments import DateTime

CAPTURE_OBJECTS = axdr.array(
    [
        axdr.structure(axdr.uint16(8), axdr.octet_string(bytes([0, 0, 1, 0, 0, 255])), axdr.int8(2), axdr.uint16(0)),
        axdr.structure(axdr.uint16(3), axdr.octet_string(bytes([1, 0, 1, 8, 0, 255])), axdr.int8(2), axdr.uint16(0)),
    ]
)
STAMP = bytes.fromhex("07ea01030606160000feb600")
"""2026-01-03 06:22, deviation -330 minutes: +05:30 by the standard."""


def shape_of(class_id: int, attribute: int) -> Shape:
    known = find_class(class_id)
    assert known is not None
    entry = known.attribute(attribute)
    assert entry is not None
    return entry[1]


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (axdr.null(), {"type": "null-data", "value": None}),
        (axdr.uint32(70000), {"type": "double-long-unsigned", "value": 70000}),
        (axdr.boolean(True), {"type": "boolean", "value": True}),
        (axdr.bit_string("0110"), {"type": "bit-string", "value": "0110"}),
        (axdr.visible_string("L&T"), {"type": "visible-string", "value": "L&T"}),
        (axdr.octet_string(b"\x00\xff"), {"type": "octet-string", "value": "00ff"}),
        (axdr.octet_string(b"LT123\0"), {"type": "octet-string", "value": "4c5431323300", "text": "LT123"}),
        (
            axdr.octet_string(STAMP),
            {"type": "octet-string", "value": STAMP.hex(), "datetime": "2026-01-03T06:22:00+05:30"},
        ),
        (axdr.time(b"\x06\x1e\x00\xff"), {"type": "time", "value": "061e00ff", "text": "06:30:00"}),
        (axdr.float64(math.inf), {"type": "float64", "value": "inf"}),
        (b"\x0c\x02\xff\xfe", {"type": "utf8-string", "octets": "fffe"}),
        (
            axdr.structure(axdr.enum(3), axdr.int8(-1)),
            {"type": "structure", "value": [{"type": "enum", "value": 3}, {"type": "integer", "value": -1}]},
        ),
        (
            axdr.compact_array(b"\x11", [b"\x01", b"\x02"]),
            {
                "type": "compact-array",
                "value": [{"type": "unsigned", "value": 1}, {"type": "unsigned", "value": 2}],
                "description": "11",
            },
        ),
    ],
)
def test_json_has_the_standards_type_and_what_octets_read_as(octets: bytes, shown: dict[str, object]) -> None:
    found = datum_to_json(axdr.decode_typed(octets))
    assert found == shown
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("octets", "deviation", "text"),
    [
        ("07ea01030606160000feb600", "utc-minus-local", "2026-01-03T06:22:00+05:30"),
        ("07ea01030606160000014a00", "local-minus-utc", "2026-01-03T06:22:00+05:30"),
        ("07ea01030606160000014a00", "ignore", "2026-01-03T06:22:00"),
        ("07ea010306061600ff800000", "utc-minus-local", "2026-01-03T06:22:00"),
        ("07ea01030606161e19800000", "utc-minus-local", "2026-01-03T06:22:30.250"),
        ("07ea0103060616ff00800000", "utc-minus-local", "2026-01-03T06:22:00"),
        ("ffff01030606160000800000", "utc-minus-local", None),
        ("07ea02300606160000800000", "utc-minus-local", None),
    ],
)
def test_a_date_time_is_iso_8601_as_far_as_it_is_one(octets: str, deviation: Deviation, text: str | None) -> None:
    assert iso(DateTime(bytes.fromhex(octets)), deviation) == text


def test_a_date_time_with_wildcards_reads_as_text() -> None:
    shown = datum_to_json(axdr.decode_typed(axdr.octet_string(bytes.fromhex("ffffff01ff00000000800000"))))
    assert shown["text"] == "*-*-01 00:00:00"
    assert "datetime" not in shown


def test_a_tree_names_the_fields_that_the_blue_book_names() -> None:
    lines = list(datum_lines(axdr.decode_typed(CAPTURE_OBJECTS), shape_of(7, 3)))
    assert lines[:6] == [
        "array of 2",
        "  structure of 4",
        "    class_id: long-unsigned 8",
        "    obis: octet-string 0000010000ff  0.0.1.0.0.255 Clock",
        "    attribute: integer 2",
        "    data_index: long-unsigned 0",
    ]
    assert list(datum_lines(axdr.decode_typed(axdr.enum(1)), shape_of(70, 3))) == ["enum 1  connected"]
    scaler_unit = axdr.decode_typed(axdr.structure(axdr.int8(-1), axdr.enum(35)))
    assert list(datum_lines(scaler_unit, shape_of(3, 3))) == [
        "structure of 2",
        "  scaler: integer -1",
        "  unit: enum 35  V",
    ]


def test_a_tree_of_another_shape_than_the_blue_books_is_shown_as_it_is() -> None:
    odd = axdr.decode_typed(axdr.structure(axdr.uint8(1), axdr.array([axdr.uint8(2)])))
    assert list(datum_lines(odd, shape_of(7, 3))) == [
        "structure of 2",
        "  unsigned 1",
        "  array of 1",
        "    unsigned 2",
    ]


def test_a_secret_is_hidden_wherever_it_stands_and_whatever_its_form() -> None:
    secret = shape_of(15, 7)
    for octets in (axdr.octet_string(b"open-sesame"), axdr.visible_string("open-sesame"), axdr.uint32(1234)):
        hidden = hide_secrets(axdr.decode_typed(octets), secret)
        shown = "\n".join(datum_lines(hidden, secret)) + json.dumps(datum_to_json(hidden))
        assert shown == 'redacted{"type": "redacted"}'
    plain = axdr.decode_typed(CAPTURE_OBJECTS)
    assert hide_secrets(plain, shape_of(7, 3)) == plain
    assert hide_secrets(plain, None) == plain


def test_what_holds_a_secret_in_a_shape_of_its_own_is_hidden_whole() -> None:
    login = Record({"user": Scalar.TEXT, "password": Scalar.SECRET})
    user, password = Datum("visible-string", "user"), Datum("visible-string", "open-sesame")
    assert hide_secrets(Datum("structure", (user, password)), login).value == (user, Datum("redacted"))
    assert hide_secrets(Datum("structure", (password,)), login) == Datum("redacted")
    assert hide_secrets(Datum("array", (password,)), Array(login)).value == (Datum("redacted"),)
