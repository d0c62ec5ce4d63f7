"""What only TimescaleDB's Community edition does, on the server that HEADEND_COMMUNITY_DSN names, in a database that is
made for each test and dropped after it. The aggregates and compressed chunks must tell what the rows tell."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from headend.settings import Settings, Upkeep
from headend.store import gaps
from headend.store.database import Connection, connect, edition
from headend.store.migrate import migrate
from headend.upkeep.work import upkeep

NAME = f"headend_test_{os.getpid()}"
COMMISSIONED = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
NOW = datetime(2026, 4, 15, 12, 0, tzinfo=UTC)
SETTINGS = Settings(upkeep=Upkeep(keep_readings_days=400, compress_after_days=45))
INSERT = (
    "INSERT INTO interval_reading (meter_id, interval_s, ts, read_at, quality, source, wh_import) "
    "SELECT m.id, 900, t, %(read_at)s, 0, 2, %(wh)s "
    "FROM meter m CROSS JOIN generate_series(%(first)s, %(until)s - INTERVAL '15 min', '15 min') t"
)


@pytest.fixture
def dsn() -> Iterator[str]:
    server = os.environ.get("HEADEND_COMMUNITY_DSN")
    if not server:
        pytest.fail('name a server: make test-community DSN="postgresql://…"', pytrace=False)
    with psycopg.connect(server, autocommit=True, connect_timeout=10) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
        try:
            yield urlsplit(server)._replace(path=f"/{NAME}").geturl()
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(NAME)))


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    """Migrated, with 20 meters and their readings of 100 days."""
    assert await migrate(dsn) == "timescale", "this server's timescaledb.license is not timescale"
    async with await connect(dsn) as connection:
        await connection.execute(
            "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
            "SELECT 'm' || n, n, 'tcp://127.0.0.1', 'is15959-1ph', '', %s, 900 FROM generate_series(1, 20) n",
            (COMMISSIONED,),
        )
        await store(connection, COMMISSIONED, COMMISSIONED + timedelta(days=100), 1000)
        yield connection


async def store(connection: Connection, first: datetime, until: datetime, wh: int) -> None:
    await connection.execute(INSERT, {"first": first, "until": until, "wh": wh, "read_at": NOW})


async def agree(connection: Connection) -> int:
    """The views tell what the rows tell; how many days of meters there are."""
    for view in ("hourly_energy", "daily_energy"):
        shown = sql.SQL("SELECT * FROM {} ORDER BY meter, starts_at").format(sql.Identifier(view))
        counted = sql.SQL("SELECT * FROM {}('-infinity', 'infinity') ORDER BY meter, starts_at").format(
            sql.Identifier(view)
        )
        rows = await (await connection.execute(shown)).fetchall()
        assert rows == await (await connection.execute(counted)).fetchall()
    return len(rows)


async def test_aggregates_hold_what_came_late_and_what_was_corrected_from_the_next_upkeep_on(
    connection: Connection, dsn: str
) -> None:
    await upkeep(dsn, SETTINGS, NOW)
    assert await agree(connection) == 20 * 100
    await store(connection, COMMISSIONED + timedelta(days=102), COMMISSIONED + timedelta(days=103), 2000)
    newest = COMMISSIONED + timedelta(days=90)
    await connection.execute("UPDATE interval_reading SET wh_import = 7 WHERE ts = %s", (newest,))
    await upkeep(dsn, SETTINGS, NOW + timedelta(hours=1))
    assert await agree(connection) == 20 * 101


async def test_old_chunks_are_compressed_and_take_late_and_corrected_rows_still(
    connection: Connection, dsn: str
) -> None:
    late = COMMISSIONED + timedelta(days=5)
    await connection.execute(
        "DELETE FROM interval_reading WHERE ts >= %s AND ts < %s", (late, late + timedelta(days=1))
    )
    done = await upkeep(dsn, SETTINGS, NOW)
    assert done is not None
    assert done.compressed >= 7
    size = await (
        await connection.execute("SELECT count(*) FROM timescaledb_information.chunks WHERE is_compressed")
    ).fetchone()
    assert size == (done.compressed,)
    assert await agree(connection) == 20 * 99

    await store(connection, late, late + timedelta(days=1), 3000)
    await connection.execute("UPDATE interval_reading SET wh_import = 9 WHERE ts = %s", (late - timedelta(days=1),))
    again = await upkeep(dsn, SETTINGS, NOW + timedelta(days=1))
    assert again is not None
    assert 1 <= again.compressed <= 2, "the chunk that got rows, and perhaps one that has become old"
    assert await agree(connection) == 20 * 100


async def test_what_is_too_old_goes_from_rows_and_aggregates_alike(connection: Connection, dsn: str) -> None:
    await upkeep(dsn, SETTINGS, NOW)
    await upkeep(dsn, SETTINGS, COMMISSIONED + timedelta(days=450))
    assert 20 * 50 <= await agree(connection) < 20 * 58
    assert [found async for found in gaps.verify(connection)] == []


async def test_another_zone_has_the_aggregates_made_anew_and_plain_sql_can_take_their_place(
    connection: Connection, dsn: str
) -> None:
    await upkeep(dsn, SETTINGS, NOW)
    await migrate(dsn, zone="Europe/Berlin")
    await upkeep(dsn, SETTINGS, NOW)
    assert await agree(connection) == 20 * 101
    await connection.execute("SELECT energy_computed()")
    assert await agree(connection) == 20 * 101
    assert await edition(connection) == "timescale"
