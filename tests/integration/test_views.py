"""The views on both databases: human units, the utility's days, completeness by division."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from interval_writer import Writer

from headend.store.database import Connection
from headend.store.rows import MeterIntervals
from profiles.channels import COLUMNS

Reading = Callable[..., MeterIntervals]
MIDNIGHT = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
"""2026-01-01 00:00 in India: commissioning of every meter here."""


async def test_the_load_profile_is_in_units_that_people_use(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    values = {name: [1_234_567] for name in COLUMNS}
    await writer.write([reading(meters[0], 0, values)])
    cursor = await connection.execute(
        "SELECT voltage, current, kwh_import, kvah_export, kvarh_q1, kw_import, kva_instant, frequency, power_factor, "
        "kwh_import_register, meter_health FROM load_profile"
    )
    thousand, million = Decimal("1234.567"), Decimal("1.234567")
    assert await cursor.fetchone() == (
        *(thousand, thousand, million, million, million, million, million, thousand, thousand, million, 1_234_567),
    )
    cursor = await connection.execute(
        "SELECT count(*) FROM information_schema.columns WHERE table_name = 'load_profile'"
    )
    assert await cursor.fetchone() == (9 + len(COLUMNS) + 3,)


async def test_days_are_the_utilitys_and_an_interval_belongs_to_the_day_it_starts_in(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meters[0], 94, {"wh_import": [1, 2, 3]})])
    cursor = await connection.execute("SELECT meter, local_start, local_day FROM load_profile ORDER BY starts_at")
    assert await cursor.fetchall() == [
        ("m1", datetime(2026, 1, 1, 23, 30), date(2026, 1, 1)),
        ("m1", datetime(2026, 1, 1, 23, 45), date(2026, 1, 1)),
        ("m1", datetime(2026, 1, 2, 0, 0), date(2026, 1, 2)),
    ]


async def test_completeness_counts_due_and_stored_by_division(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meter, 0, {"voltage": [1] * 100}) for meter in meters[:3]])
    await connection.execute("UPDATE meter SET interval_s = 1800 WHERE id = %s", (meters[3],))
    await connection.execute("UPDATE meter SET commissioned_at = '2026-02-01Z' WHERE id = %s", (meters[5],))
    until = MIDNIGHT + timedelta(days=1)
    cursor = await connection.execute("SELECT * FROM completeness(%s, %s)", (MIDNIGHT, until))
    assert await cursor.fetchall() == [
        ("division 0", 10, 8 * 96 + 48, 96),
        ("division 1", 10, 10 * 96, 2 * 96),
    ]


async def test_the_status_tells_until_when_a_meter_is_complete(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meters[0], 0, {"voltage": [1] * 4})])
    cursor = await connection.execute(
        "SELECT meter, division, complete_until, counter_alarm FROM meter_status WHERE meter IN ('m1', 'm2') ORDER BY 1"
    )
    assert await cursor.fetchall() == [
        ("m1", "division 1", MIDNIGHT + timedelta(hours=1), False),
        ("m2", "division 0", None, False),
    ]
