"""Load profiles of meters with every habit that types and quirks name: in parts, by range, by entry, whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pytest
from written_meter import (
    IST,
    WrittenMeter,
    WrittenProfile,
    captured,
    ist,
    reader,
    scaler_profile,
    stamp,
)

from drivers.dlms import axdr
from drivers.dlms.apdu import Conformance
from drivers.reading import LoadPart, Reader
from profiles.errors import AccessDenied, LinkTimeout
from profiles.intervals import OFF_THE_GRID, OTHER_COLUMNS, Quality
from profiles.loader import load_meter_type
from profiles.meter_type import MeterType
from profiles.objects import Obis, ScalerUnit

ONE = load_meter_type("is15959-1ph")
BLOCK, DAILY = Obis(1, 0, 99, 1, 0), Obis(1, 0, 99, 2, 0)
BLOCK_SCALERS, DAILY_SCALERS = Obis(1, 0, 94, 91, 4), Obis(1, 0, 94, 91, 5)
COLUMNS = captured("8/0.0.1.0.0/2", "3/1.0.12.27.0/2", "3/1.0.1.29.0/2")
SCALERS = {COLUMNS[1]: ScalerUnit(-1, 35), COLUMNS[2]: ScalerUnit(0, 30)}
MIDNIGHT, NOW = ist("2026-01-01 00:00"), ist("2026-01-11 00:00")
ROWS = 960
"""Ten days of quarters of an hour."""


def quarters(count: int = ROWS, *, skip: Sequence[int] = (), first: datetime = MIDNIGHT) -> list[list[bytes]]:
    """Rows of the intervals 0, 1, …, whose energy is their number; stamped at their ends."""
    ends = [first + timedelta(minutes=15 * (number + 1)) for number in range(count)]
    return [
        [stamp(f"{end.astimezone(IST):%Y-%m-%d %H:%M}"), axdr.uint16(2300), axdr.uint32(number)]
        for number, end in enumerate(ends)
        if number not in skip
    ]


def meter_with(rows: list[list[bytes]], **habits: object) -> WrittenMeter:
    profile = WrittenProfile(COLUMNS, rows, **habits)  # type: ignore[arg-type]
    return WrittenMeter(profiles={BLOCK: profile, BLOCK_SCALERS: scaler_profile(SCALERS)})


async def parts_of(
    meter: WrittenMeter,
    start: datetime = MIDNIGHT,
    end: datetime = NOW,
    *,
    meter_type: MeterType = ONE,
    max_pdu: int = 65_535,
) -> list[LoadPart]:
    async with reader(meter, meter_type, NOW, max_pdu) as session:
        return [part async for part in session.block_load(start, end)]


def energies(parts: list[LoadPart]) -> list[int]:
    """In Wh, in the order in which they came."""
    return [value // 1000 for part in parts for value in part.batch.values["wh_import"].tolist()]


async def test_a_long_range_comes_in_parts_that_meet_and_leave_nothing_out() -> None:
    meter = meter_with(quarters())
    parts = await parts_of(meter)
    assert energies(parts) == list(range(ROWS))
    assert parts[0].start == MIDNIGHT
    assert parts[-1].end == NOW
    assert [one.end for one in parts[:-1]] == [one.start for one in parts[1:]]
    assert len(parts) > 1
    assert meter.largest <= 32 * meter.max_pdu
    # No row is asked for twice: bounds are inclusive and name the ends of intervals.
    assert meter.profiles[BLOCK].ranges()[0][0] == "2026-01-01 00:15"
    assert meter.profiles[BLOCK].ranges()[-1][1] == "2026-01-11 00:00"


async def test_parts_grow_when_rows_turn_out_to_be_short() -> None:
    meter = meter_with(quarters())
    meter.max_pdu = 128
    first, second, *_ = await parts_of(meter)
    assert len(second.batch.start) > len(first.batch.start)


async def test_without_block_transfer_every_answer_fits_in_one_apdu() -> None:
    meter = meter_with(quarters(96))
    meter.conformance = Conformance.GET | Conformance.SELECTIVE_ACCESS
    parts = await parts_of(meter, end=MIDNIGHT + timedelta(days=1))
    assert energies(parts) == list(range(96))
    assert len(parts) > 4


async def test_what_came_before_a_link_broke_is_kept_and_the_rest_is_read_from_there() -> None:
    meter, got = meter_with(quarters()), []
    meter.max_pdu, meter.answers = 128, 100

    async def read_on() -> None:
        async with reader(meter, ONE, NOW) as session:
            async for part in session.block_load(MIDNIGHT, NOW):
                got.append(part)

    with pytest.raises(LinkTimeout):
        await read_on()
    assert 0 < len(energies(got)) < ROWS
    meter.answers = None
    got += await parts_of(meter, got[-1].end)
    assert energies(got) == list(range(ROWS))


async def test_bounds_off_the_grid_take_the_intervals_that_begin_between_them() -> None:
    parts = await parts_of(meter_with(quarters()), ist("2026-01-01 00:07"), ist("2026-01-01 01:07"))
    assert energies(parts) == [1, 2, 3, 4]
    assert await parts_of(meter_with(quarters()), ist("2026-01-01 00:07"), ist("2026-01-01 00:12")) == []


async def test_rows_outside_the_range_are_counted_and_left_out() -> None:
    parts = await parts_of(meter_with(quarters(), careless=5), ist("2026-01-02 00:00"), ist("2026-01-03 00:00"))
    assert energies(parts) == list(range(96, 192))
    assert [part.outside for part in parts] == [5]


@pytest.mark.parametrize("quirk", ["first-bound-excluded", "bounds-on-period"])
async def test_a_meter_with_odd_bounds_gives_all_its_rows(quirk: str) -> None:
    meter = meter_with(quarters(), first_excluded=quirk == "first-bound-excluded")
    parts = await parts_of(meter, meter_type=load_meter_type(f"is15959-1ph+{quirk}"))
    assert energies(parts) == list(range(ROWS))
    for bounds in meter.profiles[BLOCK].ranges():
        assert all(int(bound[-2:]) % 15 == 0 for bound in bounds)


@pytest.mark.parametrize(
    ("quirk", "deviation"),
    [("", -0x8000), ("+selection-needs-deviation", -330), ("+lt-deviation", 330)],
)
async def test_the_bounds_of_a_range_have_the_deviation_that_the_meter_wants(quirk: str, deviation: int) -> None:
    meter = meter_with(quarters(96))
    await parts_of(meter, meter_type=load_meter_type(f"is15959-1ph{quirk}"))
    asked = meter.profiles[BLOCK].asked[0]
    assert asked is not None
    assert int.from_bytes(asked.start[9:11], "big", signed=True) == deviation  # type: ignore[union-attr]


async def test_a_meter_that_selects_by_entry_alone_is_read_from_the_newest_row_back() -> None:
    meter = meter_with(quarters())
    parts = await parts_of(meter, ist("2026-01-09 00:00"), meter_type=load_meter_type("is15959-1ph+entry-only"))
    assert sorted(energies(parts)) == list(range(768, ROWS))
    assert parts[0].end == NOW
    assert parts[-1].start == ist("2026-01-09 00:00")
    entries = meter.profiles[BLOCK].entries()
    assert entries[0][1] == ROWS
    assert entries[-1][0] == ROWS - 192 - 96 + 1, "a day more than owed, in case the clock was set back, and no more"


async def test_a_row_that_is_captured_while_a_full_buffer_is_read_by_entry_costs_none() -> None:
    rows = quarters()
    meter = meter_with(rows)

    def capture() -> None:
        del rows[0]
        rows.append(quarters(ROWS + 1)[-1])

    meter.profiles[BLOCK].between = capture
    parts = await parts_of(meter, MIDNIGHT + timedelta(hours=2), meter_type=load_meter_type("is15959-1ph+entry-only"))
    assert set(energies(parts)) >= set(range(8, ROWS))


async def test_rows_in_no_order_are_all_looked_at() -> None:
    rows = quarters()
    meter = meter_with(rows[500:] + rows[:500])
    meter_type = load_meter_type("is15959-1ph+entry-only+newest-not-last")
    parts = await parts_of(meter, ist("2026-01-10 00:00"), meter_type=meter_type)
    assert sorted(energies(parts)) == list(range(864, ROWS))


async def test_a_meter_without_selection_is_read_whole() -> None:
    meter = meter_with(quarters())
    meter_type = load_meter_type("is15959-1ph+no-selection")
    parts = await parts_of(meter, ist("2026-01-10 00:00"), meter_type=meter_type)
    assert meter.profiles[BLOCK].asked == [None]
    assert energies(parts) == list(range(864, ROWS))
    assert parts[0].outside == 864


async def test_an_empty_buffer_gives_no_interval() -> None:
    for quirk in ("", "+entry-only", "+no-selection"):
        parts = await parts_of(meter_with([]), meter_type=load_meter_type(f"is15959-1ph{quirk}"))
        assert sum(len(part.batch.start) for part in parts) == 0


async def test_missing_duplicate_differing_and_odd_rows_are_told_apart() -> None:
    rows = quarters(8, skip=(2,))
    rows.insert(1, list(rows[0]))  # word for word
    rows.append([rows[-1][0], axdr.uint16(2310), axdr.uint32(77)])  # another value for the last one
    rows.append([axdr.uint16(1)])
    rows.append([stamp("2026-01-01 01:07"), axdr.uint16(2300), axdr.uint32(5)])
    meter = meter_with(rows)
    parts = await parts_of(meter, meter_type=load_meter_type("is15959-1ph+no-selection"))
    (part,) = parts
    assert energies(parts) == [0, 1, 3, 4, 5, 6, 7]
    assert part.batch.quality[-1] & Quality.DUPLICATE_STAMP
    assert part.batch.revisions is not None
    assert part.batch.revisions.values["wh_import"].tolist() == [77_000]
    assert sorted(one.reason for one in part.batch.suspects) == sorted([OFF_THE_GRID, OTHER_COLUMNS])


async def test_seconds_of_ff_count_as_none() -> None:
    rows = [[stamp("2026-01-01 00:15", second=0xFF, status=0xFF), axdr.uint16(2300), axdr.uint32(9)]]
    parts = await parts_of(
        meter_with(rows), end=MIDNIGHT + timedelta(hours=1), meter_type=load_meter_type("is15959-1ph+seconds-unset")
    )
    assert energies(parts) == [9]
    assert not parts[0].batch.quality[0] & Quality.CLOCK_SUSPECT


async def test_null_compressed_rows_are_filled_only_where_the_meter_is_known_to_compress() -> None:
    rows = quarters(4)
    for row in rows[1:]:
        row[0] = row[1] = axdr.null()
    compressed = load_meter_type("is15959-1ph+null-compressed+no-selection")
    (part,) = await parts_of(meter_with(rows), meter_type=compressed)
    assert part.batch.values["voltage"].tolist() == [230_000] * 4
    assert (part.batch.quality & Quality.STAMP_INFERRED != 0).tolist() == [False, True, True, True]
    (part,) = await parts_of(meter_with(rows), meter_type=load_meter_type("is15959-1ph+no-selection"))
    assert part.batch.nulls["voltage"].tolist() == [False, True, True, True]


async def test_unknown_columns_are_kept_with_their_code() -> None:
    columns = (*COLUMNS, *captured("3/1.0.128.162.1/2"))
    profile = WrittenProfile(columns, [[*row, axdr.uint16(7)] for row in quarters(2)])
    meter = WrittenMeter(profiles={BLOCK: profile, BLOCK_SCALERS: scaler_profile(SCALERS)})
    (part,) = await parts_of(meter, end=MIDNIGHT + timedelta(minutes=30))
    assert [(str(one.obis), one.raw) for one in part.batch.extras] == [("1.0.128.162.1.255", axdr.uint16(7))] * 2


async def test_days_are_read_by_their_registers_and_lie_at_local_midnight() -> None:
    columns = captured("8/0.0.1.0.0/2", "3/1.0.1.8.0/2")
    rows = [[stamp(f"2026-01-{day:02} 00:00"), axdr.uint32(1000 + day)] for day in range(2, 12)]
    scalers = scaler_profile({columns[1]: ScalerUnit(1, 30)})
    meter = WrittenMeter(profiles={DAILY: WrittenProfile(columns, rows, 86_400), DAILY_SCALERS: scalers})
    async with reader(meter, ONE, NOW) as session:
        parts = [part async for part in session.daily_load(MIDNIGHT, NOW)]
    values = np.concatenate([part.batch.values["wh_import_register"] for part in parts])
    assert values.tolist() == [(1000 + day) * 10_000 for day in range(2, 12)], "stamped 00:00 of a day: the day before"
    assert parts[0].batch.start[0] == MIDNIGHT.timestamp() * 1_000_000


async def test_rows_of_an_association_that_proves_nothing_are_marked() -> None:
    (part,) = await parts_of(meter_with(quarters(4)), end=MIDNIGHT + timedelta(hours=1))
    assert (part.batch.quality & Quality.NOT_AUTHENTICATED != 0).all()


# -- layouts --------------------------------------------------------------------------------------------------


async def test_a_kept_layout_spares_the_questions() -> None:
    meter, layouts = meter_with(quarters(8)), {}
    async with reader(meter, ONE, NOW) as first:
        await first.buffer(ONE.profiles["block_load"])
        layouts.update(first.layouts)
    meter.asked.clear()
    async with reader(meter, ONE, NOW) as session:
        again = Reader(session.session, ONE, layouts=layouts, clock=lambda: NOW)
        parts = [part async for part in again.block_load(MIDNIGHT, MIDNIGHT + timedelta(hours=2))]
    assert energies(parts) == list(range(8))
    assert [(one.obis, one.attribute) for one in meter.asked] == [(BLOCK, 2)]


async def test_a_layout_that_rows_do_not_fit_is_read_anew() -> None:
    meter, layouts = meter_with(quarters(8)), {}
    async with reader(meter, ONE, NOW) as first:
        await first.buffer(ONE.profiles["block_load"])
        layouts.update(first.layouts)
    more = captured("3/1.0.11.27.0/2")
    updated = WrittenProfile((*COLUMNS, *more), [[*row, axdr.uint16(150)] for row in quarters(8)])
    meter.profiles = {
        BLOCK: updated,
        BLOCK_SCALERS: scaler_profile({**SCALERS, more[0]: ScalerUnit(-2, 33)}),
    }
    async with reader(meter, ONE, NOW) as session:
        again = Reader(session.session, ONE, layouts=layouts, clock=lambda: NOW)
        parts = [part async for part in again.block_load(MIDNIGHT, MIDNIGHT + timedelta(hours=2))]
    assert energies(parts) == list(range(8))
    assert parts[0].batch.values["current"].tolist() == [1500] * 8
    assert len(layouts[BLOCK].capture_objects) == 4, "and kept in place of the old one"


async def test_scalers_come_from_the_registers_where_the_scaler_profile_is_not_there() -> None:
    meter = meter_with(quarters(4))
    del meter.profiles[BLOCK_SCALERS]
    with pytest.raises(AccessDenied):
        await parts_of(meter)
    for one, scaler in SCALERS.items():
        unit = axdr.structure(axdr.int8(scaler.scaler), axdr.enum(scaler.unit))
        meter.attributes[one._replace(attribute=3)[:3]] = unit  # type: ignore[index]
    (part,) = await parts_of(meter, end=MIDNIGHT + timedelta(hours=1))
    assert part.batch.values["voltage"].tolist() == [230_000] * 4
    assert not (part.batch.quality & Quality.SCALER_ASSUMED).any()
