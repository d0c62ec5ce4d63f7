"""Energy by day and hour on both databases: the utility's days, late and corrected readings, other zones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from interval_writer import Writer
from psycopg import sql

from headend.store.database import Connection, connect
from headend.store.rows import MeterIntervals

Reading = Callable[..., MeterIntervals]


async def days(connection: Connection) -> dict[date, tuple[int, object]]:
    cursor = await connection.execute("SELECT local_day, intervals, kwh_import FROM daily_energy WHERE meter = 'm1'")
    return {day: (intervals, kwh) for day, intervals, kwh in await cursor.fetchall()}


async def test_late_and_corrected_readings_are_in_the_energy_of_their_day_and_hour(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meters[0], slot, {"wh_import": [1_000_000] * 92}) for slot in (0, 96)])
    first, second = date(2026, 1, 1), date(2026, 1, 2)
    assert await days(connection) == {first: (92, 92), second: (92, 92)}

    late = reading(meters[0], 92, {"wh_import": [1_000_000] * 4}, read_at=48)
    corrected = reading(meters[0], 96, {"wh_import": [3_000_000]}, read_at=49)
    await writer.write([late, corrected])
    assert await days(connection) == {first: (96, 96), second: (92, 94)}

    cursor = await connection.execute(
        "SELECT starts_at, local_day, intervals, covered_s, kwh_import, kwh_export FROM hourly_energy "
        "WHERE meter = 'm1' AND starts_at BETWEEN '2026-01-01 17:30Z' AND '2026-01-01 18:30Z' ORDER BY starts_at"
    )
    assert await cursor.fetchall() == [
        (datetime(2026, 1, 1, 17, 30, tzinfo=UTC), first, 4, 3600, 4, None),
        (datetime(2026, 1, 1, 18, 30, tzinfo=UTC), second, 4, 3600, 6, None),
    ]


async def test_some_days_are_those_days_of_all(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meter, 0, {"vah_import": list(range(2000))}) for meter in meters[:3]])
    for view in (b"daily_energy", b"hourly_energy"):
        cursor = await connection.execute(
            b"SELECT * FROM %s('2026-01-05', '2026-01-08') ORDER BY meter, starts_at" % view
        )
        some = await cursor.fetchall()
        cursor = await connection.execute(
            b"SELECT * FROM %s WHERE local_day BETWEEN '2026-01-05' AND '2026-01-07' ORDER BY meter, starts_at" % view
        )
        assert some == await cursor.fetchall()
        assert len(some) == 3 * 3 * (24 if b"hourly" in view else 1)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Europe/Berlin", "America/St_Johns"])
async def test_what_the_continuous_aggregates_hold_is_what_the_views_compute(timescale_dsn: str, zone: str) -> None:
    async with await connect(timescale_dsn) as connection:
        await connection.execute(
            "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
            "SELECT 'm' || n, n, 'tcp://127.0.0.1', 'is15959-1ph', '', '2025-01-01Z', 900 FROM generate_series(1, 2) n"
        )
        await connection.execute("UPDATE utility SET zone = %s", (zone,))
        for turn in ("2025-03-29Z", "2025-10-25Z"):  # Berlin's clocks go forward, and back
            await connection.execute(
                "INSERT INTO interval_reading (meter_id, interval_s, ts, read_at, quality, source, wh_import) "
                "SELECT m.id, 900, t, t, 0, 1, 1000 * extract(epoch FROM t) "
                "FROM meter m CROSS JOIN generate_series(%s::timestamptz, %s::timestamptz + '3 days', '15 min') t",
                (turn, turn),
            )
        for bucket, view in (("day", "daily_energy"), ("hour", "hourly_energy")):
            cursor = await connection.execute("SELECT energy_query(%s, %s)", (bucket, zone))
            ((query,),) = await cursor.fetchall()
            held = sql.SQL(
                "SELECT m.name, e.starts_at, e.intervals, e.covered_s, e.quality, e.wh_import * 0.000001 "
                "FROM ({}) e JOIN meter m ON m.id = e.meter_id ORDER BY 1, 2"
            ).format(sql.SQL(query))
            shown = sql.SQL(
                "SELECT meter, starts_at, intervals, covered_s, quality, kwh_import FROM {} ORDER BY 1, 2"
            ).format(sql.Identifier(view))
            rows = await (await connection.execute(held)).fetchall()
            assert rows == await (await connection.execute(shown)).fetchall()
        cursor = await connection.execute("SELECT max(covered_s) FROM daily_energy")
        assert await cursor.fetchone() == (25 * 3600 if zone == "Europe/Berlin" else 24 * 3600,)
        cursor = await connection.execute("SELECT max(covered_s) FROM hourly_energy")
        assert await cursor.fetchone() == (3600,)
