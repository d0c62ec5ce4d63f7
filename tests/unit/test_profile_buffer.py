from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr
from drivers.dlms.profile_buffer import (
    decode_capture_objects,
    decode_profile,
    decode_scaler_unit,
    decode_scalers,
)
from profiles.errors import ProtocolError
from profiles.objects import CaptureObject, Obis, ScalerUnit
from profiles.table import ProfileTable

CLOCK = CaptureObject(8, Obis(0, 0, 1, 0, 0), 2)


def registers(count: int) -> tuple[CaptureObject, ...]:
    return tuple(CaptureObject(3, Obis(1, 0, number, 29, 0), 2) for number in range(1, count + 1))


def row(*cells: bytes) -> bytes:
    return axdr.structure(*cells)


def cells_of(table: ProfileTable) -> list[list[Any]]:
    """The rows as Python values, whatever form their columns have."""
    columns = []
    for column in table.columns:
        null = np.zeros(table.rows, np.bool_) if column.null is None else column.null
        values = [value.tobytes() if isinstance(value, np.ndarray) else value for value in column.values]
        columns.append([None if missing else value for value, missing in zip(values, null.tolist(), strict=True)])
    return [list(cells) for cells in zip(*columns, strict=True)]


def stamps(count: int) -> list[bytes]:
    return [bytes((7, 0xEA, 1, 1, 4, n // 60, n % 60, 0, 0xFF, 0x80, 0, 0)) for n in range(count)]


def plain_rows(count: int) -> list[bytes]:
    return [
        row(axdr.octet_string(stamp), axdr.uint16(1000 + n), axdr.int32(-n), axdr.float32(n / 2))
        for n, stamp in enumerate(stamps(count))
    ]


def test_rows_of_one_layout_are_views_of_the_buffer() -> None:
    buffer = axdr.array(plain_rows(200))
    table = decode_profile(buffer, (CLOCK, *registers(3)))
    assert [column.values.dtype.str for column in table.columns] == ["|u1", ">u2", ">i4", ">f4"]
    assert all(column.null is None and not column.values.flags.owndata for column in table.columns)
    assert cells_of(table) == [[stamp, 1000 + n, -n, n / 2] for n, stamp in enumerate(stamps(200))]


def test_every_row_and_cell_gives_back_its_octets() -> None:
    rows = plain_rows(30)
    rows[7] = row(axdr.null(), axdr.uint16(5), axdr.null(), axdr.null())
    table = decode_profile(axdr.array(rows), (CLOCK, *registers(3)))
    assert [table.row_octets(n) for n in range(30)] == rows
    assert table.cell_octets(29, 1) == axdr.uint16(1029)
    assert [table.cell_octets(7, column) for column in range(4)] == [b"\0", axdr.uint16(5), b"\0", b"\0"]


@pytest.mark.parametrize(
    ("cells", "form", "values"),
    [
        ([axdr.int8(-1), axdr.int8(2)], ">i1", [-1, 2]),
        ([axdr.uint8(1), axdr.uint8(255)], ">u1", [1, 255]),
        ([axdr.int16(-300), axdr.int16(3)], ">i2", [-300, 3]),
        ([axdr.int64(-(2**60)), axdr.int64(1)], ">i8", [-(2**60), 1]),
        ([axdr.uint64(2**64 - 1), axdr.uint64(1)], ">u8", [2**64 - 1, 1]),
        ([axdr.enum(3), axdr.enum(4)], "|u1", [3, 4]),
        ([axdr.boolean(True), axdr.boolean(False)], "|u1", [1, 0]),
        ([axdr.float64(0.1), axdr.float64(-2)], ">f8", [0.1, -2]),
        ([axdr.uint16(7), axdr.uint32(70_000), axdr.int8(-1)], "<i8", [7, 70_000, -1]),
        ([axdr.float32(0.5), axdr.float64(0.1)], "<f8", [0.5, 0.1]),
        ([axdr.uint64(2**64 - 1), axdr.int8(-1)], "|O", [2**64 - 1, -1]),
        ([axdr.uint16(1), axdr.float32(0.5)], "|O", [1, 0.5]),
        ([axdr.null(), axdr.null()], "|i1", [None, None]),
        ([axdr.uint16(1), axdr.null()], ">u2", [1, None]),
        ([axdr.octet_string(b"ab"), axdr.octet_string(b"cd")], "|u1", [b"ab", b"cd"]),
        ([axdr.octet_string(b"ab"), axdr.octet_string(b"c")], "|O", [b"ab", b"c"]),
        ([axdr.octet_string(b""), axdr.octet_string(b"")], "|O", [b"", b""]),
        ([axdr.octet_string(bytes(200)), axdr.null()], "|O", [bytes(200), None]),
        ([axdr.visible_string("AB12"), axdr.visible_string("C")], "|O", ["AB12", "C"]),
        ([axdr.bit_string("0110")], "|O", [axdr.BitString("0110")]),
        ([axdr.date_time(bytes(range(12))), axdr.octet_string(bytes(12))], "|u1", [bytes(range(12)), bytes(12)]),
        ([axdr.structure(axdr.uint8(1), axdr.null())], "|O", [axdr.Structure((1, None))]),
        ([axdr.array([axdr.uint8(1), axdr.uint8(2)]), axdr.uint8(3)], "|O", [[1, 2], 3]),
    ],
)
def test_a_column_has_the_form_that_holds_all_its_cells(cells: list[bytes], form: str, values: list[object]) -> None:
    table = decode_profile(axdr.array([row(cell, axdr.uint8(9)) for cell in cells]), registers(2))
    if form not in ("|u1", "|i1", "|O"):
        form = np.dtype(form).str
    assert table.columns[0].values.dtype.str == np.dtype(form).str
    assert cells_of(table) == [[value, 9] for value in values]


def test_null_data_does_not_shift_a_row() -> None:
    rows = plain_rows(100)
    for n in range(1, 100):
        rows[n] = row(axdr.null(), axdr.uint16(n), axdr.null() if n % 3 else axdr.int32(n), axdr.float32(1.0))
    table = decode_profile(axdr.array(rows), (CLOCK, *registers(3)))
    expected = [[None, n, None if n % 3 else n, 1.0] for n in range(100)]
    expected[0] = [stamps(1)[0], 1000, 0, 0.0]
    assert cells_of(table) == expected


def test_rows_that_change_layout_again_and_again_are_read_in_order() -> None:
    # Long runs, short runs and rows that take turns.
    layouts = [0] * 40 + [1] * 3 + [0, 1] * 20 + [1] * 200 + [2]
    forms = (axdr.uint16, axdr.int16, axdr.uint32)
    rows = [row(forms[layout](n), axdr.uint8(layout)) for n, layout in enumerate(layouts)]
    table = decode_profile(axdr.array(rows), registers(2))
    assert cells_of(table) == [[n, layout] for n, layout in enumerate(layouts)]


@pytest.mark.parametrize("at", [0, 1, 5, 9])
def test_a_row_with_a_missing_or_an_extra_column_is_kept_apart(at: int) -> None:
    rows = plain_rows(10)
    for odd in (row(axdr.uint16(1)), row(*[axdr.uint16(1)] * 5), axdr.null(), axdr.uint16(3)):
        with_odd = [*rows[:at], odd, *rows[at:]]
        table = decode_profile(axdr.array(with_odd), (CLOCK, *registers(3)))
        assert table.odd_rows == ((at, odd),)
        assert [table.row_octets(n) for n in range(table.rows)] == rows
        assert cells_of(table) == cells_of(decode_profile(axdr.array(rows), (CLOCK, *registers(3))))


def test_a_compact_array_is_the_array_that_it_stands_for() -> None:
    # Described once: a structure of octet-string and long-unsigned; then 28 octets of two rows.
    contents = b"".join(bytes([12]) + stamp + (1000 + n).to_bytes(2, "big") for n, stamp in enumerate(stamps(2)))
    compact = bytes((0x13, 0x02, 2, 0x09, 0x12, len(contents))) + contents
    table = decode_profile(compact, (CLOCK, *registers(1)))
    assert cells_of(table) == [[stamp, 1000 + n] for n, stamp in enumerate(stamps(2))]
    assert table.cell_octets(1, 1) == axdr.uint16(1001)
    with pytest.raises(ProtocolError):
        decode_profile(compact[:-1], (CLOCK, *registers(1)))


def test_nothing_but_odd_rows_is_no_rows() -> None:
    table = decode_profile(axdr.array([axdr.null(), axdr.null()]), registers(2))
    assert (table.rows, table.odd_rows) == (0, ((0, b"\0"), (1, b"\0")))


def test_an_empty_array_has_no_rows() -> None:
    table = decode_profile(b"\x01\x00", (CLOCK, *registers(3)))
    assert table.rows == 0
    assert [len(column.values) for column in table.columns] == [0, 0, 0, 0]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_buffer_cut_at_any_octet_is_refused(compressed: bool) -> None:
    rows = plain_rows(4)
    if compressed:
        rows[2] = row(axdr.null(), axdr.uint16(1), axdr.null(), axdr.float32(0.0))
        rows[3] = row(axdr.visible_string("ab"), axdr.uint16(1), axdr.structure(axdr.null()), axdr.float32(0.0))
    buffer = axdr.array(rows)
    for end in range(len(buffer)):
        with pytest.raises(ProtocolError):
            decode_profile(buffer[:end], (CLOCK, *registers(3)))


def test_a_count_that_is_not_the_number_of_rows_is_refused() -> None:
    buffer = axdr.array(plain_rows(4))
    for count in (0, 1, 3, 5, 100):
        with pytest.raises(ProtocolError):
            decode_profile(bytes((1, count)) + buffer[2:], (CLOCK, *registers(3)))


def test_more_rows_than_allowed_are_refused_before_any_is_read() -> None:
    buffer = axdr.array(plain_rows(50))
    with pytest.raises(ProtocolError, match="50 rows, more than 49"):
        decode_profile(buffer, (CLOCK, *registers(3)), max_rows=49)
    with pytest.raises(ProtocolError, match="length 4294967295"):
        decode_profile(b"\x01\x84\xff\xff\xff\xff", registers(1))


@pytest.mark.parametrize(
    "buffer", [b"", b"\x00", b"\x02\x00", b"\x13\x12\x03\x00", b"\x01", b"\x01\x80", b"\x01\x85" + bytes(9)]
)
def test_what_is_no_array_is_refused(buffer: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_profile(buffer, registers(1))


def test_a_profile_without_columns_is_refused() -> None:
    with pytest.raises(ProtocolError, match="0 columns"):
        decode_profile(b"\x01\x00", ())


def test_an_unknown_tag_in_any_row_is_refused_by_name() -> None:
    rows = [row(axdr.uint16(n), axdr.uint8(0)) for n in range(30)]
    rows[20] = b"\x02\x02\x77\x00\x00\x11\x00"
    with pytest.raises(ProtocolError, match="tag 119"):
        decode_profile(axdr.array(rows), registers(2))


def test_a_row_of_many_columns_has_a_long_length() -> None:
    rows = [row(*(axdr.uint8((n + column) % 256) for column in range(130))) for n in range(20)]
    table = decode_profile(axdr.array(rows), tuple(CaptureObject(3, Obis(1, 0, 1, 8, n), 2) for n in range(130)))
    assert [values[129] for values in cells_of(table)] == [(n + 129) % 256 for n in range(20)]


CELLS = st.one_of(
    st.none().map(lambda _: axdr.null()),
    st.integers(0, 65535).map(axdr.uint16),
    st.integers(-(2**31), 2**31 - 1).map(axdr.int32),
    st.floats(width=64, allow_nan=False).map(axdr.float64),
    st.binary(max_size=20).map(axdr.octet_string),
    st.text("AB", max_size=3).map(axdr.visible_string),
    st.lists(st.integers(0, 255).map(axdr.uint8), max_size=3).map(axdr.array),
)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=40))
def test_columns_say_the_same_as_the_plain_decoder(rows: list[list[bytes]]) -> None:
    buffer = axdr.array([row(*cells) for cells in rows])
    table = decode_profile(buffer, registers(3))
    decoded = axdr.decode(buffer)
    assert isinstance(decoded, list)
    assert cells_of(table) == [list(cells) for cells in decoded if isinstance(cells, axdr.Structure)]


@given(st.binary(max_size=200), st.integers(1, 4))
def test_garbage_is_an_error_or_a_table(garbage: bytes, width: int) -> None:
    for buffer in (garbage, b"\x01" + garbage, b"\x01\x02\x02" + bytes((width,)) + garbage):
        try:
            table = decode_profile(buffer, registers(width))
        except ProtocolError:
            continue
        assert table.rows + len(table.odd_rows) == axdr.Reader(buffer, "", 1).length()


def captured(class_id: int, obis: Obis, attribute: int) -> bytes:
    return axdr.structure(axdr.uint16(class_id), axdr.octet_string(bytes(obis)), axdr.int8(attribute), axdr.uint16(0))


def scaler_unit(scaler: int, unit: int) -> bytes:
    return axdr.structure(axdr.int8(scaler), axdr.enum(unit))


VOLTAGE = Obis(1, 0, 12, 27, 0)
ENERGY = Obis(1, 0, 1, 29, 0)


def test_capture_objects_are_read_as_the_meter_lists_them() -> None:
    data = axdr.array([captured(8, Obis(0, 0, 1, 0, 0), 2), captured(3, VOLTAGE, -1)])
    assert decode_capture_objects(data) == (CLOCK, CaptureObject(3, VOLTAGE, -1))


@pytest.mark.parametrize(
    "data",
    [
        axdr.null(),
        axdr.array([axdr.uint8(1)]),
        axdr.array([axdr.structure(axdr.uint16(3), axdr.octet_string(bytes(5)), axdr.int8(2), axdr.uint16(0))]),
        axdr.array([axdr.structure(axdr.uint16(3), axdr.octet_string(bytes(6)), axdr.int8(2))]),
        axdr.array([axdr.null()] * 513),
    ],
)
def test_other_capture_objects_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="capture objects"):
        decode_capture_objects(data)


def test_scalers_are_joined_by_class_and_obis() -> None:
    objects = (CaptureObject(3, ENERGY, 3), CaptureObject(3, VOLTAGE, 3))
    buffer = axdr.array([axdr.structure(scaler_unit(1, 30), scaler_unit(-2, 35))])
    assert decode_scalers(objects, buffer) == {
        (3, VOLTAGE, 2): ScalerUnit(-2, 35),
        (3, ENERGY, 2): ScalerUnit(1, 30),
    }


def test_a_scaler_profile_that_points_at_attribute_2_is_understood() -> None:
    objects = (CLOCK, CaptureObject(3, VOLTAGE, 2))
    buffer = axdr.array([axdr.structure(axdr.octet_string(bytes(12)), scaler_unit(-1, 35))])
    assert decode_scalers(objects, buffer) == {(3, VOLTAGE, 2): ScalerUnit(-1, 35)}


@pytest.mark.parametrize(
    "buffer",
    [
        axdr.array([]),
        axdr.array([axdr.structure(scaler_unit(0, 35), scaler_unit(0, 35))]),
        axdr.array([axdr.structure(axdr.int8(3))]),
        axdr.array([axdr.structure(axdr.structure(axdr.int16(200), axdr.enum(35)))]),
    ],
)
def test_other_scaler_profiles_are_refused(buffer: bytes) -> None:
    with pytest.raises(ProtocolError, match="scaler"):
        decode_scalers((CaptureObject(3, VOLTAGE, 3),), buffer)


def test_a_scaler_is_read_from_an_object_itself() -> None:
    assert decode_scaler_unit(scaler_unit(-1, 35)) == ScalerUnit(-1, 35)
    with pytest.raises(ProtocolError, match=r"scaler of 3/1\.0\.12"):
        decode_scaler_unit(axdr.null(), "scaler of 3/1.0.12.27.0.255/3")
