"""What a simulated meter stores and stamps, octet by octet, against rows written by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from profiles.errors import ProtocolError
from profiles.loader import load_meter_type
from profiles.meter_type import ClockHabit, WrittenDeviation
from simulators.registers import MAKERS, Columns, Maker, counts
from simulators.rows import compressed, encode_rows, scaler_row
from simulators.stamps import Stamps

SMA, NRB = MAKERS
METER_TYPE = load_meter_type("is15959-1ph")
BLOCK = METER_TYPE.profiles["block_load"]
COLUMNS = Columns(METER_TYPE)
INDIA = Stamps.of(METER_TYPE)


def seconds(year: int, month: int, day: int, hour: int, minute: int) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp())


def row(maker: Maker, end: int, **channels: float) -> str:
    """A block load row in hex; what is not named is 0."""
    registers = COLUMNS.of(BLOCK, maker)
    at = np.array([end], np.int64)
    values = [
        INDIA.write(at) if one.is_time else np.array([channels.get(one.quantity.channel, 0.0)]) for one in registers
    ]
    (octets,) = encode_rows(registers, values)
    return octets.hex(" ")


def test_the_first_row_of_a_day_is_stamped_a_quarter_past_midnight_in_india() -> None:
    octets = row(
        SMA,
        seconds(2025, 12, 31, 18, 45),
        voltage=231.2449,
        current=1.2374,
        wh_import=70.6,
        vah_import=71.52,
        wh_export=300.0,
        vah_export=0.4,
        meter_health=1,
        signal_strength=-71,
    )
    assert octets == (
        "02 09"
        " 09 0c 07 ea 01 01 04 00 0f 00 ff 80 00 00"  # Thursday 2026-01-01 00:15:00, deviation not specified
        " 12 5a 54"  # 231.24 V
        " 06 00 00 00 47"  # 71 Wh
        " 06 00 00 00 48"  # 72 VAh
        " 06 00 00 01 2c"  # 300 Wh
        " 06 00 00 00 00"
        " 12 04 d5"  # 1.237 A
        " 11 01"
        " 0f b9"  # -71 dBm
    )


def test_another_maker_counts_in_other_steps_and_another_order() -> None:
    octets = row(
        NRB,
        seconds(2026, 1, 1, 18, 30),
        voltage=231.2449,
        current=1.2374,
        wh_import=70.6,
        vah_import=79.0,
        wh_export=4.9,
        vah_export=5.1,
    )
    assert octets == (
        "02 08"
        " 09 0c 07 ea 01 02 05 00 00 00 ff 80 00 00"  # the midnight row belongs to the next day, a Friday
        " 12 09 08"  # 231.2 V
        " 12 00 7c"  # 1.24 A
        " 05 00 00 00 07"  # 70 Wh in tens
        " 05 00 00 00 00"
        " 05 00 00 00 08"  # 80 VAh
        " 05 00 00 00 01"  # 10 VAh
        " 11 00"
    )


def test_the_makers_scaler_rows_leave_out_columns_without_a_scaler() -> None:
    assert scaler_row(COLUMNS.of(BLOCK, SMA)).hex(" ") == (
        "02 06 02 02 0f fe 16 23 02 02 0f 00 16 1e 02 02 0f 00 16 1f"
        " 02 02 0f 00 16 1e 02 02 0f 00 16 1f 02 02 0f fd 16 21"
    )
    assert scaler_row(COLUMNS.of(BLOCK, NRB)).hex(" ") == (
        "02 06 02 02 0f ff 16 23 02 02 0f fe 16 21 02 02 0f 01 16 1e"
        " 02 02 0f 01 16 1e 02 02 0f 01 16 1f 02 02 0f 01 16 1f"
    )


def test_no_two_makers_share_the_scaler_of_any_register() -> None:
    scalers = [
        {one.captured: one.scaler for one in COLUMNS.of(BLOCK, maker) if one.scaler is not None} for maker in MAKERS
    ]
    assert scalers[0].keys() == scalers[1].keys()
    assert all(scalers[0][captured] != scalers[1][captured] for captured in scalers[0])


def test_a_value_beyond_its_register_stops_at_the_registers_end() -> None:
    current = next(one for one in COLUMNS.of(BLOCK, SMA) if one.quantity.channel == "current")
    assert counts(current, np.array([80.0, -1.0])).tolist() == [65_535, 0]


def test_what_repeats_is_null_in_a_compressed_buffer_and_so_is_a_stamp_one_period_on() -> None:
    rows = [bytes.fromhex(row(SMA, 900 * n, voltage=230.0, wh_import=n // 2).replace(" ", "")) for n in (2, 3, 4, 6)]
    whole, same, other, after_a_gap = compressed(rows, INDIA.read, 900)
    assert whole == rows[0]
    assert same.hex() == "0209" + "00" * 9
    assert other.hex() == "0209" + "0000" + "0600000002" + "00" * 6
    assert after_a_gap.hex() == "0209" + rows[3][2:16].hex() + "00" + "0600000003" + "00" * 6


def test_date_times_agree_with_the_calendar_through_leap_days_and_years_ends() -> None:
    moments = [
        seconds(2028, 2, 28, 18, 30),
        seconds(2027, 12, 31, 18, 29),
        seconds(2028, 2, 29, 18, 30),
        seconds(2026, 6, 7, 0, 0),
    ]
    assert [octets.tobytes().hex() for octets in INDIA.write(np.array(moments))] == [
        "07ec021d02000000ff800000",  # Tuesday 2028-02-29 00:00
        "07eb0c1f05173b00ff800000",  # Friday 2027-12-31 23:59
        "07ec030103000000ff800000",  # Wednesday 2028-03-01 00:00
        "07ea060707051e00ff800000",  # Sunday 2026-06-07 05:30
    ]


@pytest.mark.parametrize("stamp", ["07ea010104000f00ff800000", "07ea0101ff000fffff014a00", "07ea0101ff000f00fffeb600"])
def test_a_bound_of_a_range_is_wall_time_whatever_its_deviation(stamp: str) -> None:
    assert INDIA.read(bytes.fromhex(stamp)) == seconds(2025, 12, 31, 18, 45)


@pytest.mark.parametrize("stamp", ["07ea0d0104000f00ff800000", "ff" * 12, "07ea02300400180000800000", "07ea01"])
def test_a_bound_that_is_no_date_is_refused(stamp: str) -> None:
    with pytest.raises(ProtocolError):
        INDIA.read(bytes.fromhex(stamp))


@pytest.mark.parametrize(
    ("writes", "octets"),
    [("unset", "8000"), ("zero", "0000"), ("utc-minus-local", "feb6"), ("local-minus-utc", "014a")],
)
def test_the_deviation_is_written_as_the_type_has_it(writes: WrittenDeviation, octets: str) -> None:
    stamps = replace(INDIA, habit=ClockHabit(writes=writes))
    assert stamps.write_one(seconds(2025, 12, 31, 18, 45)).hex() == f"07ea010104000f00ff{octets}00"


def test_seconds_of_load_profiles_and_the_status_may_not_be_specified() -> None:
    stamps = replace(INDIA, habit=ClockHabit(seconds=False, status=False))
    at = np.array([seconds(2025, 12, 31, 18, 45)])
    assert stamps.write(at, load_profile=True).tobytes().hex() == "07ea010104000fffff8000ff"
    assert stamps.write(at).tobytes().hex() == "07ea010104000f00ff8000ff"


def test_summer_time_is_kept_where_the_zone_has_it() -> None:
    stamps = Stamps("Europe/Amsterdam", ClockHabit(writes="utc-minus-local"))
    before, after = (np.array([seconds(2026, 10, 25, hour, 30)]) for hour in (0, 1))
    assert stamps.write(before).tobytes().hex() == "07ea0a1907021e00ffff8880"
    assert stamps.write(after).tobytes().hex() == "07ea0a1907021e00ffffc400"
    for moment in (before, after):
        assert stamps.read(stamps.write(moment).tobytes()) == moment[0]
    days = stamps.midnights(seconds(2026, 10, 24, 12, 0), seconds(2026, 10, 27, 12, 0))
    assert np.diff(days).tolist() == [25 * 3600, 24 * 3600]
