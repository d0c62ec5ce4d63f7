"""Selective access to a profile: by range, by entry, by columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import EntrySelection, RangeSelection
from profiles.errors import ProtocolError
from profiles.objects import CaptureObject, Obis

CLOCK = CaptureObject(8, Obis(0, 0, 1, 0, 0, 255), 2)
ENERGY = CaptureObject(3, Obis(1, 0, 1, 29, 0, 255), 2)
POWER = CaptureObject(3, Obis(1, 0, 1, 7, 0, 255), -2, 7)
START = bytes.fromhex("07ea0101040f0000ff800000")
END = bytes.fromhex("07ea010204000000ff800000")


def test_a_range_selection_names_the_clock_column_and_both_ends() -> None:
    assert apdu.range_selection(CLOCK, START, END).hex() == (
        "010204020412000809060000010000ff0f02120000090c" + START.hex() + "090c" + END.hex() + "0100"
    )
    assert apdu.decode_selection(apdu.range_selection(CLOCK, START, END)) == RangeSelection(CLOCK, START, END)


def test_a_range_selection_may_choose_columns() -> None:
    chosen = apdu.range_selection(CLOCK, START, END, [CLOCK, ENERGY, POWER])
    assert chosen.startswith(apdu.range_selection(CLOCK, START, END)[:-2])
    assert chosen.endswith(bytes.fromhex("020412000309060100010700ff0ffe120007"))
    assert apdu.decode_selection(chosen) == RangeSelection(CLOCK, START, END, (CLOCK, ENERGY, POWER))


def test_an_entry_selection_names_rows_and_columns() -> None:
    assert apdu.entry_selection(1, 5).hex() == "02020406000000010600000005120001120000"
    assert apdu.decode_selection(apdu.entry_selection(3, 7, 2, 4)) == EntrySelection(3, 7, 2, 4)


def test_a_range_may_be_given_as_date_times_under_their_own_tag() -> None:
    as_strings = apdu.range_selection(CLOCK, START, END)
    as_date_times = as_strings.replace(axdr.octet_string(START), axdr.date_time(START)).replace(
        axdr.octet_string(END), axdr.date_time(END)
    )
    assert len(as_date_times) == len(as_strings) - 2
    assert apdu.decode_selection(as_date_times) == RangeSelection(CLOCK, START, END)


@pytest.mark.parametrize(
    "selection",
    [
        b"",
        b"\x01",
        b"\x03" + apdu.entry_selection(1)[1:],
        b"\x01" + apdu.entry_selection(1)[1:],
        b"\x02" + apdu.range_selection(CLOCK, START, END)[1:],
        apdu.range_selection(CLOCK, START[:11], END),
        apdu.range_selection(CLOCK, START, END).replace(b"\x09\x06\x00\x00\x01\x00\x00\xff", b"\x09\x01\xff"),
        apdu.range_selection(CLOCK, START, END)[:-2] + axdr.array([axdr.uint8(1)]),
    ],
)
def test_a_selection_of_another_shape_is_refused(selection: bytes) -> None:
    with pytest.raises(ProtocolError):
        apdu.decode_selection(selection)


@given(st.integers(1, 2), st.binary(max_size=80))
def test_garbage_is_a_selection_or_a_protocol_error(selector: int, rest: bytes) -> None:
    with pytest.raises(ProtocolError):
        apdu.decode_selection(bytes([selector]) + rest)


def test_a_truncated_selection_is_refused_at_any_octet() -> None:
    for whole in (apdu.range_selection(CLOCK, START, END, [ENERGY]), apdu.entry_selection(1, 5, 2, 3)):
        for size in range(len(whole)):
            with pytest.raises(ProtocolError):
                apdu.decode_selection(whole[:size])
