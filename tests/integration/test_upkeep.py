"""Upkeep on both databases: partitions ahead, what is too old, the ledger that forgets it, one node at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from interval_writer import Writer

from headend.settings import Database, Settings, Upkeep
from headend.store import gaps
from headend.store.database import Connection, edition
from headend.store.rows import MeterIntervals
from headend.upkeep.work import Done, chunk_interval, upkeep

Reading = Callable[..., MeterIntervals]
KEPT = 400
NOW = datetime(2027, 3, 3, 12, 0, tzinfo=UTC)
SINCE = date(2026, 1, 27)
"""400 days before. Chunks and partitions are of a week: the one in which it lies is kept whole."""


@pytest.fixture
def settings() -> Settings:
    return Settings(upkeep=Upkeep(keep_readings_days=KEPT))


async def count(connection: Connection, query: str) -> int:
    row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None
    number: int = row[0]
    return number


async def test_what_is_too_old_is_dropped_and_the_ledger_owes_nothing_of_it(
    dsn: str, writer: Writer, connection: Connection, meters: list[int], reading: Reading, settings: Settings
) -> None:
    await writer.write([reading(meters[0], 0, {"wh_import": [1] * 96 * 40}, read_at=24 * 40)])
    await writer.write([reading(meters[1], 96 * 3, {"wh_import": [1] * 96}, read_at=24 * 40)])  # owes what was before
    await connection.execute(
        'INSERT INTO profile_reading (meter_id, quality, ts, read_at, source, profile, "values", units) '
        "SELECT %s, 0, t, t, 2, 'instantaneous', '{}', '{}' FROM unnest(%s::timestamptz[]) t",
        (meters[0], [datetime(2024, 1, 1, tzinfo=UTC), NOW]),
    )
    await connection.execute(
        "INSERT INTO clock_check (meter_id, uncertainty_ms, at, suspect) "
        "SELECT %s, 0, t, false FROM unnest(%s::timestamptz[]) t",
        (meters[0], [datetime(2024, 1, 1, tzinfo=UTC), NOW]),
    )
    await connection.execute(
        "INSERT INTO discovered_meter VALUES ('peer 1', NULL, NULL, '', '', %(old)s, %(old)s, 1, ''), "
        "('peer 2', NULL, NULL, '', '', %(old)s, %(now)s, 1, '')",
        {"old": datetime(2024, 1, 1, tzinfo=UTC), "now": NOW},
    )

    assert await upkeep(dsn, settings, NOW) == Done(pruned=True)

    assert await count(connection, "SELECT DATE '2026-01-27' - min(local_day) FROM daily_energy") in range(1, 7)
    assert (
        await count(connection, "SELECT min(day) - DATE '2026-01-01' FROM meter_day") == (SINCE - date(2026, 1, 1)).days
    )
    for table in ("profile_reading", "clock_check", "discovered_meter"):
        assert await count(connection, f"SELECT count(*) FROM {table}") == 1
    cursor = await connection.execute("SELECT DISTINCT settled FROM watermark WHERE meter_id = %s", (meters[1],))
    assert await cursor.fetchall() == [(datetime(2026, 1, 26, 18, 30, tzinfo=UTC),)]
    assert [found async for found in gaps.verify(connection)] == []

    # Once a day is enough, and again after that changes nothing.
    assert await upkeep(dsn, settings, NOW) == Done()
    assert await upkeep(dsn, settings, NOW + timedelta(hours=6)) == Done()
    assert await upkeep(dsn, settings, NOW + timedelta(days=1)) == Done(pruned=True)


async def test_one_node_at_a_time_does_it(dsn: str, connection: Connection, settings: Settings) -> None:
    await connection.execute("SELECT pg_advisory_lock(hashtext('headend.upkeep'))")
    assert await upkeep(dsn, settings, NOW) is None
    await connection.execute("SELECT pg_advisory_unlock(hashtext('headend.upkeep'))")
    assert await upkeep(dsn, settings, NOW) == Done(pruned=True)


async def test_its_time_of_day_is_the_utilitys(dsn: str, settings: Settings) -> None:
    before, after = datetime(2027, 3, 3, 21, 29, tzinfo=UTC), datetime(2027, 3, 3, 21, 31, tzinfo=UTC)
    assert await upkeep(dsn, settings, before - timedelta(days=1)) == Done()
    assert await upkeep(dsn, settings, after) == Done(pruned=True)  # 03:01 in India
    assert await upkeep(dsn, settings, after + timedelta(hours=23)) == Done()


async def test_chunks_follow_the_size_of_the_fleet_and_partitions_are_made_ahead(
    dsn: str, connection: Connection, settings: Settings
) -> None:
    assert chunk_interval(100_000) == timedelta(days=7)
    assert chunk_interval(100_001) == timedelta(days=1)
    await upkeep(dsn, settings, NOW)
    if await edition(connection) == "postgresql":
        for table in ("interval_reading", "interval_extra"):
            made = f"SELECT count(*) FROM pg_inherits WHERE inhparent = '{table}'::regclass"
            assert await count(connection, made) == 5
        return
    spans = (
        "SELECT DISTINCT time_interval FROM timescaledb_information.dimensions WHERE hypertable_name LIKE 'interval%'"
    )
    await connection.execute(
        "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
        "SELECT n, n, 'tcp://127.0.0.1', 'is15959-1ph', '', %s, 900 FROM generate_series(1, 100001) n",
        (NOW,),
    )
    await upkeep(dsn, settings, NOW)
    assert await (await connection.execute(spans.encode())).fetchall() == [(timedelta(days=1),)]
    await upkeep(dsn, settings.model_copy(update={"database": Database(chunk_days=3)}), NOW)
    assert await (await connection.execute(spans.encode())).fetchall() == [(timedelta(days=1),)]  # migrate's to set


async def test_where_the_licence_no_longer_allows_aggregates_the_views_compute_again(
    dsn: str, writer: Writer, connection: Connection, meters: list[int], reading: Reading, settings: Settings
) -> None:
    await connection.execute(
        "CREATE OR REPLACE VIEW daily_energy AS SELECT * FROM daily_energy('-infinity', '2000-01-01')"
    )
    await connection.execute("UPDATE upkeep SET energy_zone = 'Asia/Kolkata'")
    await writer.write([reading(meters[0], 0, {"wh_import": [1] * 96})])
    assert await count(connection, "SELECT count(*) FROM daily_energy") == 0
    await upkeep(dsn, settings, NOW - timedelta(days=300))
    assert await count(connection, "SELECT count(*) FROM daily_energy") == 1
    assert await count(connection, "SELECT count(*) FROM upkeep WHERE energy_zone IS NULL") == 1
