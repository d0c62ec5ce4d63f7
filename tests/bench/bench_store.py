"""How fast intervals enter TimescaleDB: the store's paths, what they are made of, and the limit.

One interval is one time stamp of one single-phase meter with 8 channels. All in one run, on a server with durable
settings. "The limit" is psql's COPY of a prepared binary file into the empty table: the primary key is its cost. Rates
are the best of `ROUNDS`, since the machine has other work; WAL is that of the last round.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest
from psycopg import sql

from headend.store.batch import Store
from headend.store.database import Connection, Pool, borrow, connect, open_pool
from headend.store.finished import Contact, Finished
from headend.store.rows import FIXED, MeterIntervals, Rows, Source, copy_binary, microseconds, rows_of
from headend.store.writer import Written
from profiles.intervals import IntervalBatch

ROUNDS = 3
METERS, ROWS_A_METER = 500, 192
BATCH_METERS = 50
TOTAL = METERS * ROWS_A_METER
PUSH_METERS, PUSH_SLOTS = 10_000, 4
BEGIN = datetime(2026, 1, 4, 18, 30, tzinfo=UTC)
"""Monday in India; all of a push goes into one 7-day chunk."""
NOW = BEGIN + timedelta(days=30)
COLUMNS = (
    "voltage",
    "current",
    "wh_import",
    "wh_export",
    "vah_import",
    "vah_export",
    "neutral_current",
    "meter_health",
)
Batch = Sequence[Finished]
RATES: dict[str, tuple[float, float]] = {}
"""By name, in the order of the tests: intervals a second, WAL octets an interval."""


def read(meter: int, slot: int, rows: int) -> MeterIntervals:
    n = np.arange(rows, dtype=np.int64)
    values = {name: (meter * 7919 + (slot + n) * 104_729) * 31 % (10**6 + k) for k, name in enumerate(COLUMNS)}
    start = microseconds(BEGIN) + (slot + n) * 900_000_000
    batch = IntervalBatch(start, 900, np.zeros(rows, np.int32), values, {})
    return MeterIntervals(meter, batch, NOW, Source.SCHEDULED)


def sessions(reads: Sequence[MeterIntervals]) -> list[Finished]:
    """Each of a meter that answered."""
    return [Finished(Contact(item.meter_id, item.read_at), (item,)) for item in reads]


READS = [read(meter, 0, ROWS_A_METER) for meter in range(1, METERS + 1)]
PARTS = [READS[at : at + BATCH_METERS] for at in range(0, METERS, BATCH_METERS)]
BATCHES = [sessions(part) for part in PARTS]
ROWS = [rows_of(part) for part in PARTS]
FIELDS = sql.SQL(", ").join(map(sql.Identifier, [*(name for name, _ in FIXED), *ROWS[0].names]))


@pytest.fixture
async def pool(timescale_dsn: str) -> AsyncIterator[Pool]:
    """Two connections to a database with all the meters and nothing else."""
    async with await connect(timescale_dsn) as connection:
        await connection.execute(
            "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
            "SELECT 'm' || i, 's' || i, 'a', 't', '', %s, 900 FROM generate_series(1, %s) AS i",
            (BEGIN, PUSH_METERS),
        )
    pool = await open_pool(timescale_dsn, connections=2)
    yield pool
    await pool.close()


@pytest.fixture
def store(pool: Pool) -> Store:
    return Store(pool, "apache")


async def measure(
    pool: Pool,
    name: str,
    intervals: int,
    work: Callable[[], Awaitable[object]],
    before: Callable[[], Awaitable[object]],
) -> None:
    """The best of some rounds of `work`, each after `before` on empty tables and a checkpoint."""
    best, wal = 0.0, 0.0
    for _ in range(ROUNDS):
        async with borrow(pool) as connection:
            await connection.execute("TRUNCATE interval_reading, watermark, meter_day")
        await before()
        async with borrow(pool) as connection:
            await connection.execute("CHECKPOINT")
            first = await position(connection)
        begun = time.perf_counter()
        await work()
        seconds = time.perf_counter() - begun
        async with borrow(pool) as connection:
            wal = (await position(connection) - first) / intervals
        best = max(best, intervals / seconds)
    RATES[name] = best, wal


async def position(connection: Connection) -> int:
    row = await (await connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")).fetchone()
    assert row is not None
    return int(row[0])


async def nothing() -> None:
    """Before a round: leave the tables empty."""


async def copy(pool: Pool, rows: Sequence[Rows]) -> None:
    async with borrow(pool) as connection:
        for part in rows:
            async with connection.cursor() as cursor:
                command = sql.SQL("COPY interval_reading ({}) FROM STDIN (FORMAT binary)").format(FIELDS)
                async with cursor.copy(command) as into:
                    for octets in copy_binary(part):
                        await into.write(octets)


async def write(store: Store, batches: Sequence[Batch], expected: Written) -> None:
    written = Written()
    for batch in batches:
        written += await store.write(batch, NOW)
    assert written == expected


def test_the_server_is_durable(timescale_dsn: str) -> None:
    with psycopg.connect(timescale_dsn) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute("SELECT current_setting(%s)", (setting,)).fetchone() == ("on",)


async def test_copy_of_a_prepared_file_by_psql(pool: Pool, timescale_dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_bytes(b"".join(copy_binary(rows_of(READS))))
    async with borrow(pool) as connection:
        row = await (await connection.execute("SELECT setting FROM pg_config WHERE name = 'BINDIR'")).fetchone()
        assert row is not None
        fields = FIELDS.as_string(connection)
    command = f"\\copy interval_reading ({fields}) FROM '{file}' (FORMAT binary)"
    psql = (str(Path(row[0]) / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", timescale_dsn, "-c", command)

    async def work() -> None:
        await asyncio.to_thread(subprocess.run, psql, check=True, timeout=60)

    await measure(pool, "COPY of a prepared file by psql (the limit)", TOTAL, work, nothing)


async def test_straight_copy_by_one_connection(pool: Pool) -> None:
    await measure(pool, "straight binary COPY", TOTAL, lambda: copy(pool, ROWS), nothing)


async def test_straight_copy_by_two_connections(pool: Pool) -> None:
    async def work() -> None:
        await asyncio.gather(copy(pool, ROWS[::2]), copy(pool, ROWS[1::2]))

    await measure(pool, "straight binary COPY, two connections", TOTAL, work, nothing)


@pytest.mark.parametrize("repeats", [0, 1, 100])
async def test_the_store(pool: Pool, store: Store, repeats: int) -> None:
    again = METERS * repeats // 100
    stored = Written(inserted=TOTAL - again * ROWS_A_METER, unchanged=again * ROWS_A_METER)

    async def before() -> None:
        if again:
            await store.write(sessions(READS[:: METERS // again]), NOW)

    name = f"the store, {repeats} % repeats"
    await measure(pool, name, TOTAL, lambda: write(store, BATCHES, stored), before)


async def test_the_store_by_two_connections(pool: Pool, store: Store) -> None:
    async def work() -> None:
        half = Written(inserted=TOTAL // 2)
        await asyncio.gather(write(store, BATCHES[::2], half), write(store, BATCHES[1::2], half))

    await measure(pool, "the store, 0 % repeats, two connections", TOTAL, work, nothing)


async def test_the_store_with_everything_through_staging(pool: Pool, store: Store) -> None:
    async def before() -> None:
        """A row of every meter in the batch's time range sends the meter's other rows through staging."""
        await store.write(sessions([read(meter, ROWS_A_METER // 2, 1) for meter in range(1, METERS + 1)]), NOW)

    stored = Written(inserted=TOTAL - METERS, unchanged=METERS)
    await measure(
        pool, "the store, new rows, all through staging", TOTAL, lambda: write(store, BATCHES, stored), before
    )


@pytest.mark.parametrize("by", ["straight binary COPY", "the store"])
async def test_push_order(pool: Pool, store: Store, by: str) -> None:
    """All meters of one slot, slot by slot, into the chunk that holds their day so far; a checkpoint before each."""
    for at in range(1, PUSH_METERS, 500):
        await copy(pool, [rows_of([read(meter, 0, 96) for meter in range(at, at + 500)])])
    async with borrow(pool) as connection:
        settled = BEGIN + timedelta(days=1)
        await connection.execute("INSERT INTO watermark SELECT id, 'block_load', %s FROM meter", (settled,))
    best, wal = 0.0, 0.0
    for slot in range(96, 96 + PUSH_SLOTS):
        batch = [read(meter, slot, 1) for meter in range(1, PUSH_METERS + 1)]
        finished, rows = sessions(batch), rows_of(batch)
        async with borrow(pool) as connection:
            await connection.execute("CHECKPOINT")
            first = await position(connection)
        begun = time.perf_counter()
        if by == "the store":
            await write(store, [finished], Written(inserted=PUSH_METERS))
        else:
            await copy(pool, [rows])
        best = max(best, PUSH_METERS / (time.perf_counter() - begun))
        async with borrow(pool) as connection:
            wal = (await position(connection) - first) / PUSH_METERS
    RATES[f"push order, {by}, checkpoint each slot"] = best, wal


async def test_insert_by_executemany(pool: Pool) -> None:
    rows = ROWS[0]
    fixed = (rows.meter_id, rows.interval_s, rows.ts.astype("datetime64[us]"), rows.read_at.astype("datetime64[us]"))
    columns = [*(column.tolist() for column in (*fixed, rows.quality, rows.source)), *rows.values.tolist()]
    parameters = list(zip(*columns, strict=True))
    marks = sql.SQL(", ").join([sql.Placeholder()] * len(columns))
    command = sql.SQL("INSERT INTO interval_reading ({}) VALUES ({})").format(FIELDS, marks)

    async def work() -> None:
        async with borrow(pool) as connection, connection.transaction(), connection.cursor() as cursor:
            await cursor.executemany(command, parameters)

    await measure(pool, "INSERT by executemany", len(rows), work, nothing)


def test_the_store_reaches_half_of_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    limit = RATES["COPY of a prepared file by psql (the limit)"][0]
    with capsys.disabled():
        print(f"\n{'':50}{'intervals/s':>14}{'of the limit':>14}{'WAL octets':>12}")
        for name, (rate, wal) in RATES.items():
            print(f"{name:50}{rate:14,.0f}{rate / limit:13.1%}{wal:12,.0f}")
    assert RATES["the store, 0 % repeats"][0] >= limit / 2
