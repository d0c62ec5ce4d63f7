"""What a simulated meter stores, octet by octet, against rows written by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from profiles.errors import ProtocolError
from simulators.block_load import clock_octets, encode_rows, scaler_row, utc_of_clock
from simulators.load import Load
from simulators.registers import MAKERS, counts

SMA, NRB = MAKERS


def seconds(year: int, month: int, day: int, hour: int, minute: int) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp())


def flow(**channels: float) -> Load:
    """The load of one meter over one interval; what is not named is 0."""
    names = Load.__dataclass_fields__
    return Load(**{name: np.array([[channels.get(name, 0.0)]]) for name in names})


def test_the_first_row_of_a_day_is_stamped_a_quarter_past_midnight_in_india() -> None:
    row = encode_rows(
        SMA,
        np.array([seconds(2025, 12, 31, 18, 30)]),
        900,
        flow(
            voltage=231.2449,
            current=1.2374,
            wh_import=70.6,
            vah_import=71.52,
            wh_export=300.0,
            vah_export=0.4,
            meter_health=1,
            signal_strength=-71,
        ),
    )
    assert [octets.hex(" ") for octets in row] == [
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
    ]


def test_another_maker_counts_in_other_steps_and_another_order() -> None:
    row = encode_rows(
        NRB,
        np.array([seconds(2026, 1, 1, 18, 15)]),
        900,
        flow(voltage=231.2449, current=1.2374, wh_import=70.6, vah_import=79.0, wh_export=4.9, vah_export=5.1),
    )
    assert [octets.hex(" ") for octets in row] == [
        "02 08"
        " 09 0c 07 ea 01 02 05 00 00 00 ff 80 00 00"  # the midnight row belongs to the next day, a Friday
        " 12 09 08"  # 231.2 V
        " 12 00 7c"  # 1.24 A
        " 05 00 00 00 07"  # 70 Wh in tens
        " 05 00 00 00 00"
        " 05 00 00 00 08"  # 80 VAh
        " 05 00 00 00 01"  # 10 VAh
        " 11 00"
    ]


def test_the_makers_scaler_rows_leave_out_columns_without_a_scaler() -> None:
    assert scaler_row(SMA).hex(" ") == (
        "02 06 02 02 0f fe 16 23 02 02 0f 00 16 1e 02 02 0f 00 16 1f"
        " 02 02 0f 00 16 1e 02 02 0f 00 16 1f 02 02 0f fd 16 21"
    )
    assert scaler_row(NRB).hex(" ") == (
        "02 06 02 02 0f ff 16 23 02 02 0f fe 16 21 02 02 0f 01 16 1e"
        " 02 02 0f 01 16 1e 02 02 0f 01 16 1f 02 02 0f 01 16 1f"
    )


def test_no_two_makers_share_the_scaler_of_any_register() -> None:
    scalers = [{column.channel: column.scaler for column in maker.columns if column.unit} for maker in MAKERS]
    assert scalers[0].keys() == scalers[1].keys()
    assert all(scalers[0][channel] != scalers[1][channel] for channel in scalers[0])


def test_a_value_beyond_its_register_stops_at_the_registers_end() -> None:
    current = next(column for column in SMA.columns if column.channel == "current")
    assert counts(current, flow(current=80.0)).tolist() == [[65_535]]


def test_date_times_agree_with_the_calendar_through_leap_days_and_years_ends() -> None:
    moments = [
        seconds(2028, 2, 28, 18, 30),
        seconds(2027, 12, 31, 18, 29),
        seconds(2028, 2, 29, 18, 30),
        seconds(2026, 6, 7, 0, 0),
    ]
    octets = clock_octets(np.array(moments))
    assert [bytes(row).hex() for row in octets] == [
        "07ec021d02000000ff800000",  # Tuesday 2028-02-29 00:00
        "07eb0c1f05173b00ff800000",  # Friday 2027-12-31 23:59
        "07ec030103000000ff800000",  # Wednesday 2028-03-01 00:00
        "07ea060707051e00ff800000",  # Sunday 2026-06-07 05:30
    ]


@pytest.mark.parametrize("stamp", ["07ea010104000f00ff800000", "07ea0101ff000fffff014a00", "07ea0101ff000f00fffeb600"])
def test_a_bound_of_a_range_is_wall_time_whatever_its_deviation(stamp: str) -> None:
    assert utc_of_clock(bytes.fromhex(stamp)) == seconds(2025, 12, 31, 18, 45)


@pytest.mark.parametrize("stamp", ["07ea0d0104000f00ff800000", "ff" * 12, "07ea02300400180000800000", "07ea01"])
def test_a_bound_that_is_no_date_is_refused(stamp: str) -> None:
    with pytest.raises(ProtocolError):
        utc_of_clock(bytes.fromhex(stamp))
