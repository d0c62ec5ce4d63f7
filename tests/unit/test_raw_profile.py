"""Which rows and columns of a profile `headend profile` asks for, and what it shows of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from drivers.dlms import apdu, axdr
from drivers.dlms.axdr import Datum
from headend.cli.access_options import Access
from headend.raw_access import way_of
from headend.raw_profile import Column, Rows, Wanted, cell, chosen_columns, read_rows
from profiles.errors import AccessDenied, ProtocolError, SettingsError
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit

PROFILE = Obis(1, 0, 99, 1, 0)
CLOCK = CaptureObject(8, Obis(0, 0, 1, 0, 0), 2)
ENERGY = CaptureObject(3, Obis(1, 0, 1, 8, 0), 2)
STATUS = CaptureObject(1, Obis(0, 0, 96, 10, 1), 2)
VOLTAGE = CaptureObject(3, Obis(1, 0, 32, 7, 0), 2)
CAPTURED = (CLOCK, ENERGY, STATUS, VOLTAGE)
STAMP = bytes.fromhex("07ea0101040000000080000000"[:24])


def row(*columns: int) -> bytes:
    cells = (axdr.octet_string(STAMP), axdr.uint32(1000), axdr.uint8(3), axdr.uint16(2301))
    return axdr.structure(*(cells[column] for column in columns or range(4)))


@dataclass
class Answers:
    """A session that answers from a table, and remembers with what selection the buffer was asked for."""

    buffer: list[bytes | AccessDenied]
    captured: Sequence[CaptureObject] = CAPTURED
    scaled: bool = True
    selections: list[bytes | None] = field(default_factory=list)

    async def get(self, attribute: AttributeRef, selection: bytes | None = None) -> bytes:
        if attribute == AttributeRef(7, PROFILE, 2):
            self.selections.append(selection)
            answer = self.buffer.pop(0)
            if isinstance(answer, AccessDenied):
                raise answer
            return answer
        if attribute == AttributeRef(7, PROFILE, 3):
            return axdr.array(
                [
                    axdr.structure(
                        axdr.uint16(one.class_id),
                        axdr.octet_string(bytes(one.obis)),
                        axdr.int8(one.attribute),
                        axdr.uint16(0),
                    )
                    for one in self.captured
                ]
            )
        if attribute == AttributeRef(7, PROFILE, 7):
            return axdr.uint32(500)
        if self.scaled and attribute.attribute == 3:
            scaler, unit = {ENERGY.obis: (1, 30), VOLTAGE.obis: (-1, 35)}[attribute.obis]
            return axdr.structure(axdr.int8(scaler), axdr.enum(unit))
        raise AccessDenied("the meter answered read-write denied")


async def rows_of(answers: Answers, **wanted: Any) -> Rows:
    way = way_of(Access(address="tcp://127.0.0.1"))
    return await read_rows(answers, way, PROFILE, Wanted(str(PROFILE), **wanted))  # type: ignore[arg-type]


async def test_a_whole_buffer_is_read_without_selection_and_scaled_by_its_registers() -> None:
    answers = Answers([axdr.array([row(), row()])])
    found = await rows_of(answers)
    assert answers.selections == [None]
    assert [column.captured for column in found.columns] == list(CAPTURED)
    assert [column.unit for column in found.columns] == ["", "Wh", "", "V"]
    shown = [cell(datum, column, "ignore") for datum, column in zip(found.rows[1], found.columns, strict=True)]
    assert shown == ["2026-01-01T00:00:00", Decimal(10000), 3, Decimal("230.1")]


@pytest.mark.parametrize(
    ("entries", "first", "last"), [("1:96", 1, 96), ("97:", 97, 0), (":96", 1, 96), ("-96:", 405, 0), ("-900:", 1, 0)]
)
async def test_entries_are_asked_for_by_number(entries: str, first: int, last: int) -> None:
    answers = Answers([axdr.array([row()])])
    await rows_of(answers, entries=entries)
    assert answers.selections == [apdu.entry_selection(first, last)]


async def test_a_range_goes_out_as_the_meters_local_time() -> None:
    answers = Answers([axdr.array([row()])])
    await rows_of(answers, start="2026-01-01", end="2026-01-02T06:15", zone="Asia/Kolkata")
    (selection,) = answers.selections
    assert selection is not None
    asked = apdu.decode_selection(selection)
    assert isinstance(asked, apdu.RangeSelection)
    assert (asked.clock, asked.columns) == (CLOCK, ())
    assert asked.start.hex() == "07ea01010400000000800000"
    assert asked.end.hex() == "07ea010205060f0000800000"


async def test_columns_are_asked_for_and_taken_whatever_the_meter_makes_of_it() -> None:
    for sent in ((0, 3), (0, 1, 2, 3)):
        answers = Answers([axdr.array([row(*sent)])])
        found = await rows_of(answers, start="2026-01-01", columns="1,1.0.32.7.0.255")
        (selection,) = answers.selections
        assert selection is not None
        asked = apdu.decode_selection(selection)
        assert isinstance(asked, apdu.RangeSelection)
        assert asked.columns == (CLOCK, VOLTAGE)
        assert [column.captured for column in found.columns] == [CLOCK, VOLTAGE]
        assert [datum.value for datum in found.rows[0]] == [STAMP, 2301]
    answers = Answers([axdr.array([row(1, 2, 3)])])
    found = await rows_of(answers, entries="1:5", columns="2,4")
    assert answers.selections == [apdu.entry_selection(1, 5, 2, 4)]
    assert [datum.value for datum in found.rows[0]] == [1000, 2301]


async def test_a_meter_that_knows_no_selection_of_columns_is_asked_for_all() -> None:
    answers = Answers([AccessDenied("scope of access violated"), axdr.array([row()])])
    found = await rows_of(answers, entries="1:5", columns="4")
    assert answers.selections == [apdu.entry_selection(1, 5, 4, 4), apdu.entry_selection(1, 5)]
    assert [datum.value for datum in found.rows[0]] == [2301]
    answers = Answers([AccessDenied("scope of access violated")])
    with pytest.raises(AccessDenied):
        await rows_of(answers, entries="1:5")


async def test_a_row_of_another_width_is_kept_apart() -> None:
    found = await rows_of(Answers([axdr.array([row(), row(0, 1), axdr.uint8(1)])]))
    assert len(found.rows) == 1
    assert [one.type for one in found.odd] == ["structure", "unsigned"]


async def test_without_scalers_numbers_stay_as_they_came(capsys: pytest.CaptureFixture[str]) -> None:
    found = await rows_of(Answers([axdr.array([row()])], scaled=False))
    assert [column.unit for column in found.columns] == ["", "", "", ""]
    assert "no scaler was found for 3/1.0.1.8.0.255/2, 3/1.0.32.7.0.255/2" in capsys.readouterr().err
    found = await rows_of(Answers([axdr.array([row()])]), raw=True)
    assert cell(found.rows[0][3], found.columns[3], "ignore") == 2301
    assert capsys.readouterr().err == ""


async def test_a_buffer_that_is_none_is_refused() -> None:
    with pytest.raises(ProtocolError, match="no array but octet-string"):
        await rows_of(Answers([axdr.octet_string(b"x")]))
    with pytest.raises(ProtocolError, match="captures nothing"):
        await rows_of(Answers([], captured=()))


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"entries": "0:5"}, "names no entries"),
        ({"entries": "5:3"}, "names no entries"),
        ({"entries": "-5:3"}, "names no entries"),
        ({"entries": "a:b"}, "names no entries"),
        ({"start": "2026-01-02", "end": "2026-01-01"}, "is not before"),
        ({"start": "last tuesday"}, "is not a time"),
        ({"last": "7"}, "is not a length of time"),
        ({"last": "0d"}, "is not a length of time"),
        ({"start": "2026-01-01", "zone": "Mars"}, "is no time zone"),
        ({"columns": "5"}, "the profile has no column 5 (it has 1 8/0.0.1.0.0.255/2"),
        ({"columns": "0"}, "has no column 0"),
        ({"columns": "1.0.9.8.0.255"}, "has no column 1.0.9.8.0.255"),
    ],
)
async def test_what_a_profile_can_not_be_asked_is_said(wanted: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        await rows_of(Answers([axdr.array([])]), **wanted)
    assert told in str(refused.value)


async def test_a_profile_without_a_clock_has_no_range() -> None:
    with pytest.raises(SettingsError, match=r"no column of this profile is a clock .*--entries"):
        await rows_of(Answers([axdr.array([])], captured=(ENERGY,)), last="1d")


def test_columns_are_named_by_number_or_code_in_any_order_and_once() -> None:
    assert chosen_columns(None, CAPTURED) == [0, 1, 2, 3]
    assert chosen_columns("4, clock,1-0:32.7.0", CAPTURED) == [0, 3]


@pytest.mark.parametrize(
    ("datum", "scaler_unit", "shown"),
    [
        (Datum("null-data"), None, None),
        (Datum("null-data"), ScalerUnit(-1, 35), None),
        (Datum("long-unsigned", 2301), ScalerUnit(-2, 35), Decimal("23.01")),
        (Datum("long-unsigned", 2301), None, 2301),
        (Datum("boolean", True), ScalerUnit(1, 255), True),
        (Datum("float32", 230.10000610351562), None, 230.1),
        (Datum("octet-string", b"\x01\xff"), None, "01ff"),
        (Datum("visible-string", "ok"), None, "ok"),
        (Datum("bit-string", "0101"), None, "0101"),
        (Datum("structure", (Datum("unsigned", 1),)), None, '[{"type":"unsigned","value":1}]'),
    ],
)
def test_a_cell_is_what_it_reads_as(datum: Datum, scaler_unit: ScalerUnit | None, shown: object) -> None:
    assert cell(datum, Column(VOLTAGE, scaler_unit), "ignore") == shown
