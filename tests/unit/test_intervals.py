from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from drivers.dlms import axdr
from drivers.dlms.profile_buffer import decode_profile
from profiles.datetimes import encode_local
from profiles.errors import ProtocolError
from profiles.intervals import (
    IN_THE_FUTURE,
    NO_DATE_TIME,
    OFF_THE_GRID,
    OTHER_COLUMNS,
    TOO_OLD,
    Extra,
    IntervalBatch,
    Quality,
    intervals,
)
from profiles.loader import load_meter_type
from profiles.objects import CaptureObject, Obis, ScalerUnit

TYPE = load_meter_type("is15959-1ph")
PROFILE = TYPE.profiles["block_load"]
CLOCK = CaptureObject(8, Obis(0, 0, 1, 0, 0), 2)
VOLTAGE = CaptureObject(3, Obis(1, 0, 12, 27, 0), 2)
ENERGY = CaptureObject(3, Obis(1, 0, 1, 29, 0), 2)
HEALTH = CaptureObject(1, Obis(0, 0, 96, 10, 1), 2)
VENDOR = CaptureObject(3, Obis(0, 128, 162, 1, 128), 2)
OBJECTS = (CLOCK, VOLTAGE, ENERGY)
SCALERS = {VOLTAGE[:3]: ScalerUnit(-2, 35), ENERGY[:3]: ScalerUnit(0, 30)}

NOW = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
EARLIEST = datetime(2025, 12, 1, tzinfo=UTC)
FIRST = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
"""Start of the interval stamped 2026-01-01 00:15 in India."""


def at(quarter: int) -> int:
    """µs since 1970 of the start of the quarter hour `quarter` of 1 January in India, from 1 on."""
    return int((FIRST + timedelta(minutes=15 * (quarter - 1))).timestamp()) * 1_000_000


def stamp(quarter: int, *, status: int = 0) -> bytes:
    """The meter's stamp, at its end, of that quarter hour."""
    wall = datetime(2026, 1, 1) + timedelta(minutes=15 * quarter)
    return axdr.octet_string(
        wall.year.to_bytes(2, "big")
        + bytes((wall.month, wall.day, wall.isoweekday(), wall.hour, wall.minute, 0, 0xFF, 0x80, 0, status))
    )


def row(quarter: int, voltage: int = 23_000, energy: int = 100) -> bytes:
    return axdr.structure(stamp(quarter), axdr.uint16(voltage), axdr.uint32(energy))


def batch_of(rows: list[bytes], objects: tuple[CaptureObject, ...] = OBJECTS, **changed: Any) -> IntervalBatch:
    arguments: dict[str, Any] = {
        "scalers": SCALERS,
        "profile": PROFILE,
        "meter_type": TYPE,
        "interval_s": 900,
        "now": NOW,
        "earliest": EARLIEST,
    }
    return intervals(decode_profile(axdr.array(rows), objects), **(arguments | changed))


def test_no_rows_are_no_intervals() -> None:
    batch = batch_of([])
    assert (len(batch.start), batch.suspects, batch.extras, batch.revisions) == (0, (), (), None)


def test_rows_are_sorted_by_start() -> None:
    batch = batch_of([row(3, energy=3), row(1, energy=1), row(2, energy=2)])
    assert batch.start.tolist() == [at(1), at(2), at(3)]
    assert batch.values["wh_import"].tolist() == [1_000, 2_000, 3_000]
    assert batch.quality.tolist() == [0, 0, 0]


def test_a_stamp_at_the_start_is_the_start() -> None:
    batch = batch_of([row(1)], profile=replace(PROFILE, stamp="start"))
    assert batch.start.tolist() == [at(2)]


def test_a_profile_without_the_clock_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"the clock 8/0\.0\.1\.0\.0\.255/2"):
        batch_of([axdr.structure(axdr.uint16(1))], (VOLTAGE,))


def far(year: int, minute: int = 15) -> bytes:
    octets = year.to_bytes(2, "big") + bytes((1, 1, 0xFF, 0, minute, 0, 0, 0x80, 0, 0))
    return axdr.structure(axdr.octet_string(octets), axdr.uint16(1), axdr.uint32(1))


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (axdr.structure(axdr.octet_string(b"\xff" * 12), axdr.uint16(1), axdr.uint32(1)), NO_DATE_TIME),
        (axdr.structure(axdr.octet_string(b"\xff" * 5), axdr.uint16(1), axdr.uint32(1)), NO_DATE_TIME),
        (axdr.structure(axdr.uint32(7), axdr.uint16(1), axdr.uint32(1)), NO_DATE_TIME),
        (axdr.structure(axdr.null(), axdr.uint16(1), axdr.uint32(1)), NO_DATE_TIME),
        (far(2000), TOO_OLD),
        (far(2099), IN_THE_FUTURE),
        (far(2026, 7), OFF_THE_GRID),
        (axdr.structure(stamp(1), axdr.uint16(1)), OTHER_COLUMNS),
        (axdr.structure(stamp(1), axdr.uint16(1), axdr.uint32(1), axdr.uint8(1)), OTHER_COLUMNS),
    ],
)
def test_a_row_that_is_not_believed_is_a_suspect_whole(odd: bytes, reason: str) -> None:
    batch = batch_of([odd, row(1), row(2)])
    assert batch.start.tolist() == [at(1), at(2)]
    assert [(suspect.reason, suspect.raw) for suspect in batch.suspects] == [(reason, odd)]


def test_a_suspect_keeps_its_stamp() -> None:
    (suspect,) = batch_of([far(2000)]).suspects
    assert suspect.stamp == far(2000)[4:16]


def test_an_interval_may_end_one_interval_and_the_allowed_drift_after_now() -> None:
    end = FIRST + timedelta(minutes=15)
    allowed = timedelta(minutes=15, seconds=TYPE.drift_allowed_s)
    assert not batch_of([row(1)], now=end - allowed).suspects
    (suspect,) = batch_of([row(1)], now=end - allowed - timedelta(microseconds=1)).suspects
    assert suspect.reason == IN_THE_FUTURE


def test_an_interval_may_begin_at_the_earliest_instant() -> None:
    assert not batch_of([row(1)], earliest=FIRST).suspects
    assert batch_of([row(1)], earliest=FIRST + timedelta(microseconds=1)).suspects[0].reason == TOO_OLD


def test_the_grid_is_that_of_the_wall_clock() -> None:
    # Whole hours in India are half hours in UTC.
    batch = batch_of([row(4), row(6)], interval_s=3_600)
    assert batch.start.tolist() == [at(1)]
    assert [suspect.reason for suspect in batch.suspects] == [OFF_THE_GRID]


def test_null_stamps_follow_the_row_before() -> None:
    null = axdr.structure(axdr.null(), axdr.uint16(23_000), axdr.uint32(1))
    batch = batch_of([row(5), null, null, row(9), null])
    assert batch.start.tolist() == [at(5), at(6), at(7), at(9), at(10)]
    assert (batch.quality == Quality.STAMP_INFERRED).tolist() == [False, True, True, False, True]


def test_an_odd_row_counts_as_a_period_for_the_null_stamps_behind_it() -> None:
    null = axdr.structure(axdr.null(), axdr.uint16(23_000), axdr.uint32(1))
    batch = batch_of([row(5), axdr.structure(axdr.null()), null])
    assert batch.start.tolist() == [at(5), at(7)]
    assert [suspect.reason for suspect in batch.suspects] == [OTHER_COLUMNS]


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 28, (24, 23, 24)), (10, 24, (24, 25, 24))])
@pytest.mark.parametrize("null", [False, True], ids=["stamped", "null after the first"])
@pytest.mark.parametrize("end", ["start", "end"])
def test_days_are_counted_in_the_zone_of_the_type(
    month: int, day: int, hours: tuple[int, ...], null: bool, end: Literal["start", "end"]
) -> None:
    """The clocks of Berlin change on 29 March and on 25 October 2026."""
    berlin = ZoneInfo("Europe/Berlin")
    days = [datetime(2026, month, day + number, tzinfo=berlin) for number in range(4)]
    stamps = days[1:] if end == "end" else days[:-1]
    cells = [axdr.octet_string(encode_local(one, "Europe/Berlin", "ignore")) for one in stamps]
    cells = [axdr.null() if null and place else cell for place, cell in enumerate(cells)]
    batch = batch_of(
        [axdr.structure(cell, axdr.uint16(1), axdr.uint32(1)) for cell in cells],
        profile=replace(PROFILE, stamp=end),
        meter_type=replace(TYPE, zone="Europe/Berlin"),
        interval_s=86_400,
        now=datetime(2026, 11, 1, tzinfo=UTC),
    )
    assert batch.start.tolist() == [int(one.timestamp()) * 1_000_000 for one in days[:-1]]
    utc = [one.astimezone(UTC) for one in days]
    assert tuple((b - a) / timedelta(hours=1) for a, b in pairwise(utc)) == hours
    assert not batch.suspects


def test_null_stamps_behind_one_that_is_no_date_time_are_suspects_too() -> None:
    bad = axdr.structure(axdr.octet_string(b"\xff" * 12), axdr.uint16(1), axdr.uint32(1))
    null = axdr.structure(axdr.null(), axdr.uint16(1), axdr.uint32(1))
    batch = batch_of([bad, null, row(1)])
    assert [suspect.reason for suspect in batch.suspects] == [NO_DATE_TIME, NO_DATE_TIME]
    assert batch.suspects[1].stamp == b""


def test_a_doubtful_clock_marks_the_row() -> None:
    doubtful = axdr.structure(stamp(2, status=2), axdr.uint16(1), axdr.uint32(1))
    assert batch_of([row(1), doubtful]).quality.tolist() == [0, Quality.CLOCK_SUSPECT]


def test_null_data_is_null_where_it_means_missing_and_the_value_before_where_it_means_repeat() -> None:
    null = axdr.structure(stamp(2), axdr.null(), axdr.null())
    rows = [row(1, 23_000, 5), null, row(3, 22_900, 6)]
    missing = batch_of(rows)
    assert missing.nulls["voltage"].tolist() == [False, True, False]
    repeat = batch_of(rows, profile=replace(PROFILE, null_data="repeat"))
    assert (repeat.nulls, repeat.values["voltage"].tolist()) == ({}, [230_000, 230_000, 229_000])
    assert repeat.values["wh_import"].tolist() == [5_000, 5_000, 6_000]


def test_null_data_before_any_value_repeats_nothing() -> None:
    rows = [axdr.structure(stamp(1), axdr.null(), axdr.uint32(1)), row(2)]
    batch = batch_of(rows, profile=replace(PROFILE, null_data="repeat"))
    assert batch.nulls["voltage"].tolist() == [True, False]


def test_a_value_finer_than_the_column_is_rounded_marked_and_kept() -> None:
    scalers = SCALERS | {VOLTAGE[:3]: ScalerUnit(-4, 35)}
    batch = batch_of([row(1, voltage=23_000), row(2, voltage=23_005)], scalers=scalers)
    assert batch.values["voltage"].tolist() == [2_300, 2_300]
    assert batch.quality.tolist() == [0, Quality.ROUNDED]
    assert batch.extras == (Extra(at(2), *VOLTAGE[:3], Decimal("2.3005"), 35, axdr.uint16(23_005)),)


def test_a_value_too_large_for_the_column_is_null_marked_and_kept() -> None:
    rows = [axdr.structure(stamp(n), axdr.uint16(1), axdr.uint64(2**63 - n)) for n in (1, 2)]
    batch = batch_of(rows, scalers=SCALERS | {ENERGY[:3]: ScalerUnit(3, 30)})
    assert batch.nulls["wh_import"].tolist() == [True, True]
    assert batch.quality.tolist() == [Quality.OVERFLOW] * 2
    assert batch.extras[0] == Extra(at(1), *ENERGY[:3], Decimal(2**63 - 1) * 1000, 30, axdr.uint64(2**63 - 1))


def test_a_float_that_is_no_number_is_null_marked_and_kept() -> None:
    rows = [axdr.structure(stamp(n), axdr.float32(v), axdr.uint32(1)) for n, v in ((1, 23_010.0), (2, float("nan")))]
    batch = batch_of(rows)
    assert batch.values["voltage"].tolist() == [230_100, 0]
    assert batch.quality.tolist() == [0, Quality.OVERFLOW]
    assert [(extra.value, extra.raw) for extra in batch.extras] == [(None, axdr.float32(float("nan")))]


def test_text_in_a_column_of_numbers_is_null_and_kept() -> None:
    rows = [row(1), axdr.structure(stamp(2), axdr.visible_string("n/a"), axdr.uint32(1))]
    batch = batch_of(rows)
    assert batch.values["voltage"].tolist() == [230_000, 0]
    assert batch.nulls["voltage"].tolist() == [False, True]
    assert batch.extras == (Extra(at(2), *VOLTAGE[:3], None, 35, axdr.visible_string("n/a")),)


def test_a_register_without_a_scaler_is_taken_as_it_is_and_marked() -> None:
    batch = batch_of([row(1, voltage=230)], scalers={ENERGY[:3]: ScalerUnit(0, 30)})
    assert batch.values["voltage"].tolist() == [230_000]
    assert batch.quality.tolist() == [Quality.SCALER_ASSUMED]


def test_a_status_word_needs_no_scaler() -> None:
    rows = [axdr.structure(stamp(1), axdr.uint16(23_000), axdr.uint32(1), axdr.uint8(0x85))]
    batch = batch_of(rows, (*OBJECTS, HEALTH))
    assert (batch.values["meter_health"].tolist(), batch.quality.tolist()) == ([0x85], [0])


def test_a_column_in_another_unit_is_kept_with_it_as_an_extra() -> None:
    batch = batch_of([row(1, voltage=500)], scalers=SCALERS | {VOLTAGE[:3]: ScalerUnit(-2, 33)})
    assert "voltage" not in batch.values
    assert batch.extras == (Extra(at(1), *VOLTAGE[:3], Decimal("5.00"), 33, axdr.uint16(500)),)


def test_unknown_columns_are_kept_as_extras_of_any_type() -> None:
    cells = [axdr.uint16(7), axdr.visible_string("x"), axdr.null(), axdr.structure(axdr.uint8(1))]
    rows = [axdr.structure(stamp(n), axdr.uint16(1), axdr.uint32(1), cell) for n, cell in enumerate(cells, 1)]
    batch = batch_of(rows, (*OBJECTS, VENDOR), scalers=SCALERS | {VENDOR[:3]: ScalerUnit(-1, 255)})
    assert batch.extras == (
        Extra(at(1), *VENDOR[:3], Decimal("0.7"), 255, cells[0]),
        Extra(at(2), *VENDOR[:3], None, 255, cells[1]),
        Extra(at(4), *VENDOR[:3], None, 255, cells[3]),
    )


def test_a_date_time_beside_a_value_is_kept_with_the_moment_that_it_names() -> None:
    captured = CaptureObject(4, Obis(1, 0, 1, 6, 0), 5)
    cells = [stamp(2), axdr.octet_string(b"\xff" * 12), axdr.null()]
    rows = [axdr.structure(stamp(n), axdr.uint16(1), axdr.uint32(1), cell) for n, cell in enumerate(cells, 3)]
    assert batch_of(rows, (*OBJECTS, captured)).extras == (
        Extra(at(3), *captured[:3], None, None, cells[0], at(2) + 900_000_000),
        Extra(at(4), *captured[:3], None, None, cells[1]),
    )


def test_parts_of_one_attribute_are_one_extra() -> None:
    parts = tuple(VENDOR._replace(data_index=index) for index in (1, 2))
    rows = [axdr.structure(stamp(1), axdr.uint16(1), axdr.uint32(1), axdr.uint8(1), axdr.uint8(2))]
    assert batch_of(rows, (*OBJECTS, *parts)).extras == (
        Extra(at(1), *VENDOR[:3], None, None, axdr.uint8(1) + axdr.uint8(2)),
    )


def test_an_object_captured_twice_fills_its_column_once() -> None:
    rows = [axdr.structure(stamp(1), axdr.uint16(23_000), axdr.uint32(1), axdr.uint16(1))]
    batch = batch_of(rows, (*OBJECTS, VOLTAGE))
    assert batch.values["voltage"].tolist() == [230_000]
    assert [extra.raw for extra in batch.extras] == [axdr.uint16(1)]


def test_a_row_of_zeros_is_marked_as_an_outage() -> None:
    batch = batch_of([row(1, 0, 0), row(2, 0, 5), row(3, 23_000, 0)])
    assert batch.quality.tolist() == [Quality.ZERO_FILLED, 0, 0]
    no_voltage = [axdr.structure(stamp(1), axdr.uint32(0))]
    assert batch_of(no_voltage, (CLOCK, ENERGY)).quality.tolist() == [0]
    unknown = [axdr.structure(stamp(1), axdr.null(), axdr.uint32(0)), row(2)]
    assert batch_of(unknown).quality.tolist() == [0, 0]


def test_the_same_row_twice_is_kept_once_in_silence() -> None:
    batch = batch_of([row(1), row(2), row(1)])
    assert batch.start.tolist() == [at(1), at(2)]
    assert (batch.quality.tolist(), batch.revisions) == ([0, 0], None)


def test_of_two_rows_for_one_interval_the_first_stays_and_the_other_is_a_revision() -> None:
    batch = batch_of([row(2), row(1, energy=7), row(1, energy=8), row(1, energy=7)])
    assert batch.start.tolist() == [at(1), at(2)]
    assert batch.values["wh_import"].tolist() == [7_000, 100_000]
    assert batch.quality.tolist() == [Quality.DUPLICATE_STAMP, 0]
    lost = batch.revisions
    assert lost is not None
    assert (lost.start.tolist(), lost.values["wh_import"].tolist()) == ([at(1)], [8_000])
    assert lost.revisions is None


def test_a_third_row_for_one_interval_is_not_lost() -> None:
    batch = batch_of([row(1, energy=7), row(1, energy=8), row(1, energy=9), row(1, energy=8)])
    assert batch.revisions is not None
    assert batch.revisions.values["wh_import"].tolist() == [8_000]
    assert batch.revisions.revisions is not None
    assert batch.revisions.revisions.values["wh_import"].tolist() == [9_000]
    assert batch.revisions.revisions.revisions is None


def test_extras_go_with_their_row() -> None:
    rows = [axdr.structure(stamp(1), axdr.uint16(1), axdr.uint32(1), axdr.uint8(value)) for value in (1, 2)]
    batch = batch_of(rows, (*OBJECTS, VENDOR))
    assert [extra.raw for extra in batch.extras] == [axdr.uint8(1)]
    assert batch.revisions is not None
    assert [extra.raw for extra in batch.revisions.extras] == [axdr.uint8(2)]


def test_many_rows_are_all_accounted_for() -> None:
    rng = np.random.default_rng(7)
    rows = []
    for quarter in range(1, 300):
        rows.append(row(quarter, energy=quarter))
        if rng.random() < 0.1:
            rows.append(row(quarter, energy=quarter + int(rng.integers(0, 2))))
        if rng.random() < 0.1:
            rows.append(axdr.structure(axdr.uint8(1)))
    shuffled = [rows[n] for n in rng.permutation(len(rows))]
    batch = batch_of(shuffled)
    assert batch.start.tolist() == [at(quarter) for quarter in range(1, 300)]
    kept = len(batch.start) + len(batch.suspects) + (0 if batch.revisions is None else len(batch.revisions.start))
    repeated = len(rows) - len(set(rows)) - (sum(len(one) < 10 for one in rows) - 1)
    assert kept + repeated == len(rows)
