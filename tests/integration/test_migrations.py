"""Migrations on both databases: once, together, in the form that the database can take."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from headend.store.database import Connection, connect, edition
from headend.store.migrate import Migration, migrate, migrations
from profiles.channels import COLUMNS
from profiles.errors import SettingsError, StoreError

FIXED = ["meter_id", "interval_s", "ts", "read_at", "quality", "source"]


async def columns_of(connection: Connection, table: str) -> list[tuple[str, str]]:
    cursor = await connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
        (table,),
    )
    return [(name, kind) for name, kind in await cursor.fetchall()]


@pytest.mark.parametrize("table", ["interval_reading", "reading_revision"])
async def test_the_columns_are_the_channels_in_their_order(connection: Connection, table: str) -> None:
    columns = await columns_of(connection, table)
    assert [name for name, _ in columns] == FIXED + list(COLUMNS)
    assert {kind for name, kind in columns if name in COLUMNS} == {"bigint"}


async def test_the_rules_compare_every_channel(connection: Connection) -> None:
    cursor = await connection.execute(
        "SELECT cardinality(reading_values(NULL::interval_reading)), prosrc "
        "FROM pg_proc WHERE proname = 'reading_values'"
    )
    row = await cursor.fetchone()
    assert row is not None
    assert row[0] == len(COLUMNS)
    assert all(f"(reading).{name}" in row[1] for name in COLUMNS)


async def test_timescaledb_gets_hypertables_and_plain_postgresql_partitioned_tables(
    timescale_dsn: str, postgres_dsn: str
) -> None:
    async with await connect(timescale_dsn) as connection:
        assert await edition(connection) == "apache"
        cursor = await connection.execute(
            "SELECT hypertable_name, time_interval FROM timescaledb_information.dimensions ORDER BY 1"
        )
        assert await cursor.fetchall() == [
            ("clock_check", timedelta(days=30)),
            ("interval_extra", timedelta(days=7)),
            ("interval_reading", timedelta(days=7)),
            ("meter_event", timedelta(days=30)),
            ("profile_reading", timedelta(days=30)),
        ]
    async with await connect(postgres_dsn) as connection:
        assert await edition(connection) == "postgresql"
        cursor = await connection.execute("SELECT partrelid::regclass::text FROM pg_partitioned_table ORDER BY 1")
        assert await cursor.fetchall() == [("interval_extra",), ("interval_reading",)]


async def test_the_chunk_interval_is_a_setting(timescale_dsn: str) -> None:
    await migrate(timescale_dsn, chunk_interval=timedelta(days=1))
    await migrate(timescale_dsn)
    async with await connect(timescale_dsn) as connection:
        cursor = await connection.execute(
            "SELECT time_interval FROM timescaledb_information.dimensions WHERE hypertable_name LIKE 'interval%'"
        )
        assert await cursor.fetchall() == [(timedelta(days=1),)] * 2


async def test_where_the_extension_may_not_be_made_the_tables_are_plain(empty_timescale_dsn: str) -> None:
    async with await connect(empty_timescale_dsn) as connection:
        await connection.execute("DROP EXTENSION IF EXISTS timescaledb")
        await connection.execute("CREATE ROLE modest LOGIN PASSWORD 'modest'")
        await connection.execute("GRANT CREATE, USAGE ON SCHEMA public TO modest")
    try:
        modest = make_conninfo(empty_timescale_dsn, user="modest", password="modest")
        assert await migrate(modest) == "postgresql"
        assert await migrate(empty_timescale_dsn) == "postgresql"
    finally:
        async with await connect(empty_timescale_dsn) as connection:
            await connection.execute("DROP OWNED BY modest")
            await connection.execute("DROP ROLE modest")


async def test_two_processes_that_migrate_at_once_apply_each_file_once(empty_dsn: str) -> None:
    program = f"import asyncio; from headend.store.migrate import migrate; print(asyncio.run(migrate({empty_dsn!r})))"
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    said = [(await process.communicate())[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(text.count("migration_applied") for text in said) == len({m.number for m in migrations()})
    async with await connect(empty_dsn) as connection:
        cursor = await connection.execute("SELECT number FROM schema_migration ORDER BY number")
        assert [number for (number,) in await cursor.fetchall()] == sorted({m.number for m in migrations()})


async def test_a_database_in_use_is_brought_up_to_date(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [one for one in migrations() if one.number <= 16]
    monkeypatch.setattr("headend.store.migrate.migrations", lambda: before)
    await migrate(empty_dsn)
    monkeypatch.undo()
    async with await connect(empty_dsn) as connection:
        await connection.execute(
            "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s, parked_at, "
            "parked_reason, refusals) SELECT name, name, 'tcp://127.0.0.1', 'is15959-1ph', 'x', '2026-01-01Z', 900, "
            "CASE WHEN reason IS NOT NULL THEN timestamptz '2026-01-01Z' END, reason, refusals "
            "FROM (VALUES ('refusing', 'refused', 3), ('shelved', 'on order', 0), ('read', NULL, 2)) "
            "AS m (name, reason, refusals)"
        )
    await migrate(empty_dsn)
    async with await connect(empty_dsn) as connection:
        cursor = await connection.execute("SELECT name, try_again_at - parked_at, missed FROM meter ORDER BY name")
        assert await cursor.fetchall() == [
            ("read", None, []),
            ("refusing", timedelta(days=1), []),
            ("shelved", None, []),
        ]


async def test_a_migration_changed_after_it_was_applied_is_refused(dsn: str) -> None:
    async with await connect(dsn) as connection:
        await connection.execute("UPDATE schema_migration SET digest = 'other' WHERE number = 2")
    with pytest.raises(StoreError, match=r"0002_readings\.sql was applied with other contents") as refused:
        await migrate(dsn)
    assert not refused.value.retry


async def test_a_database_of_a_newer_program_is_refused(dsn: str) -> None:
    async with await connect(dsn) as connection:
        await connection.execute("INSERT INTO schema_migration VALUES (9999, '9999_later.sql', '', '2026-01-01Z')")
    with pytest.raises(StoreError, match=r"9999_later\.sql, which this program does not know"):
        await migrate(dsn)


async def test_a_migration_that_fails_leaves_nothing_behind(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [*migrations(), Migration("9000_broken.sql", b"CREATE TABLE half (a int); CREATE TABLE half (a int)")]
    monkeypatch.setattr("headend.store.migrate.migrations", lambda: broken)
    with pytest.raises(StoreError, match=r"9000_broken\.sql failed: relation .* already exists"):
        await migrate(empty_dsn)
    monkeypatch.undo()
    await migrate(empty_dsn)
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)


async def test_the_zone_is_checked_and_kept(dsn: str) -> None:
    await migrate(dsn, zone="Europe/Berlin")
    async with await connect(dsn) as connection:
        cursor = await connection.execute("SELECT utility_zone()")
        assert await cursor.fetchone() == ("Europe/Berlin",)
    with pytest.raises(SettingsError, match="there is no time zone 'Asia/Bhopal'"):
        await migrate(dsn, zone="Asia/Bhopal")


async def test_a_database_without_our_tables_says_what_to_do(empty_dsn: str) -> None:
    async with await connect(empty_dsn) as connection:
        with pytest.raises(StoreError, match="headend db migrate"):
            await edition(connection)


async def test_a_closed_port_is_a_store_error_that_a_retry_can_mend(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the database") as refused:
        await migrate("postgresql://postgres@127.0.0.1:1/headend")
    assert refused.value.retry


def test_every_migration_has_its_own_number_and_both_forms_where_there_is_one() -> None:
    by_number: dict[int, set[str | None]] = {}
    for migration in migrations():
        forms = by_number.setdefault(migration.number, set())
        assert migration.form not in forms
        forms.add(migration.form)
    assert all(forms in ({None}, {"timescaledb", "postgresql"}) for forms in by_number.values())
