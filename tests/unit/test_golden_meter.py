"""One meter, frozen by hand: the octets as it sends them, and the rows that they mean.

Nothing here is computed by the code under test. The meter stamps the end of each quarter hour in Indian time with an
unspecified deviation, gives energies in tens of Wh (scaler +1), and leaves out what can be inferred (null-data).
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from drivers.dlms.profile_buffer import decode_capture_objects, decode_profile, decode_scalers
from profiles.intervals import IntervalBatch, Quality, intervals
from profiles.loader import load_meter_type

CAPTURE_OBJECTS = bytes.fromhex(
    """
    01 09
    02 04  12 00 08  09 06 00 00 01 00 00 FF  0F 02  12 00 00
    02 04  12 00 03  09 06 01 00 0C 1B 00 FF  0F 02  12 00 00
    02 04  12 00 03  09 06 01 00 01 1D 00 FF  0F 02  12 00 00
    02 04  12 00 03  09 06 01 00 09 1D 00 FF  0F 02  12 00 00
    02 04  12 00 03  09 06 01 00 02 1D 00 FF  0F 02  12 00 00
    02 04  12 00 03  09 06 01 00 0A 1D 00 FF  0F 02  12 00 00
    02 04  12 00 03  09 06 01 00 0B 1B 00 FF  0F 02  12 00 00
    02 04  12 00 01  09 06 00 00 60 0A 01 FF  0F 02  12 00 00
    02 04  12 00 01  09 06 00 01 60 0C 05 FF  0F 02  12 00 00
    """
)
# In another order than the columns, and without the columns that have no scaler.
SCALER_CAPTURE_OBJECTS = bytes.fromhex(
    """
    01 06
    02 04  12 00 03  09 06 01 00 0B 1B 00 FF  0F 03  12 00 00
    02 04  12 00 03  09 06 01 00 0C 1B 00 FF  0F 03  12 00 00
    02 04  12 00 03  09 06 01 00 0A 1D 00 FF  0F 03  12 00 00
    02 04  12 00 03  09 06 01 00 02 1D 00 FF  0F 03  12 00 00
    02 04  12 00 03  09 06 01 00 09 1D 00 FF  0F 03  12 00 00
    02 04  12 00 03  09 06 01 00 01 1D 00 FF  0F 03  12 00 00
    """
)
SCALER_BUFFER = bytes.fromhex(
    "01 01  02 06  02 02 0F FD 16 21  02 02 0F FE 16 23"
    "  02 02 0F 01 16 1F  02 02 0F 01 16 1E  02 02 0F 01 16 1F  02 02 0F 01 16 1E"
)
BUFFER = bytes.fromhex(
    """
    01 05
    02 09  09 0C 07 EA 01 01 04 00 0F 00 FF 80 00 00  12 5A 05  06 00 00 00 0C  06 00 00 00 0D
           06 00 00 00 00  06 00 00 00 00  12 02 1F  11 00  0F B5
    02 09  09 0C 07 EA 01 01 04 00 1E 00 FF 80 00 00  12 59 D8  06 00 00 00 0B  06 00 00 00 0B
           06 00 00 00 02  06 00 00 00 03  12 01 E0  11 01  0F B4
    02 09  00                                         12 59 E2  06 00 00 00 0A  06 00 00 00 0C
           00              00              12 01 DF  11 00  0F B5
    02 09  09 0C 07 EA 01 02 05 00 00 FF FF 80 00 FF  12 5A 0F  06 00 00 00 09  06 00 00 00 0A
           06 00 00 00 00  06 00 00 00 00  12 01 9A  11 00  0F B6
    02 09  09 0C 07 EA 01 02 05 00 0F 00 FF 80 00 00  12 00 00  06 00 00 00 00  06 00 00 00 00
           06 00 00 00 00  06 00 00 00 00  12 00 00  11 00  0F 00
    """
)


def golden() -> IntervalBatch:
    meter_type = load_meter_type("is15959-1ph")
    table = decode_profile(BUFFER, decode_capture_objects(CAPTURE_OBJECTS))
    scalers = decode_scalers(decode_capture_objects(SCALER_CAPTURE_OBJECTS), SCALER_BUFFER)
    return intervals(
        table,
        scalers,
        meter_type.profiles["block_load"],
        meter_type,
        interval_s=900,
        now=datetime(2026, 1, 2, tzinfo=UTC),
        earliest=datetime(2025, 12, 1, tzinfo=UTC),
    )


def test_the_documented_capture_objects_are_those_of_the_meter() -> None:
    documented = load_meter_type("is15959-1ph").profiles["block_load"].capture_objects
    assert decode_capture_objects(CAPTURE_OBJECTS) == documented


def test_stamps_at_the_end_in_indian_time_are_starts_in_utc() -> None:
    starts = np.array(golden().start, "datetime64[us]").astype(str).tolist()
    assert starts == [
        "2025-12-31T18:30:00.000000",  # stamped 2026-01-01 00:15
        "2025-12-31T18:45:00.000000",  # 00:30
        "2025-12-31T19:00:00.000000",  # null-data after 00:30
        "2026-01-01T18:15:00.000000",  # midnight: stamped 2026-01-02 00:00, the last of 1 January
        "2026-01-01T18:30:00.000000",  # 2026-01-02 00:15
    ]


def test_values_are_thousandths_of_the_si_unit() -> None:
    values = {name: column.tolist() for name, column in golden().values.items()}
    assert values == {
        "voltage": [230_450, 230_000, 230_100, 230_550, 0],
        "wh_import": [120_000, 110_000, 100_000, 90_000, 0],
        "vah_import": [130_000, 110_000, 120_000, 100_000, 0],
        "wh_export": [0, 20_000, 0, 0, 0],
        "vah_export": [0, 30_000, 0, 0, 0],
        "current": [543, 480, 479, 410, 0],
        "meter_health": [0, 1, 0, 0, 0],
        "signal_strength": [-75, -76, -75, -74, 0],
    }


def test_null_data_is_null_and_marks_only_its_own_row() -> None:
    batch = golden()
    nulls = {name: column.tolist() for name, column in batch.nulls.items()}
    assert nulls == {name: [False, False, True, False, False] for name in ("wh_export", "vah_export")}
    assert batch.quality.tolist() == [0, 0, Quality.STAMP_INFERRED, 0, Quality.ZERO_FILLED]


def test_nothing_is_left_over() -> None:
    batch = golden()
    assert (batch.extras, batch.suspects, batch.revisions) == ((), (), None)
