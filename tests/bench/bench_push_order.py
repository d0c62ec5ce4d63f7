"""Push order among a million meter ids: all meters of one slot, in random order, each row into the middle of a chunk.

What a row costs there is decided by how many rows of the same meter the chunk holds already: the denser, the fewer
meters share a page of its index, and each page that is touched first after a checkpoint goes into the WAL whole. So
chunks are filled as they are at some hour: of a day at 01:00 with all of a million meters, of a day at noon and of a
week on Thursday noon with as many meters, their ids spread over the same million, as make five million rows or fewer.
There is a checkpoint before each slot. "The limit" is COPY of the same batches straight into the same chunk.
"""

from __future__ import annotations

import time
from datetime import timedelta

import numpy as np
import pytest
from bench_store import BEGIN, NOW, copy, position, read, sessions

from headend.store.batch import Store
from headend.store.database import borrow, connect, open_pool
from headend.store.rows import rows_of
from headend.store.writer import Written

IDS, PUSHED, BATCH = 1_000_000, 50_000, 10_000
METERS_MADE = """
INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s)
SELECT 'm' || i, 's' || i, 'a', 't', '', %(begin)s, 900 FROM generate_series(1, %(ids)s) AS i
"""
FILL = """
INSERT INTO interval_reading (meter_id, ts, interval_s, read_at, quality, source, voltage, current, wh_import,
    wh_export, vah_import, vah_export, neutral_current, meter_health)
SELECT m, s, 900, s, 0, 2, 230000 + m %% 9999, m %% 5000, m * 7919, m * 31, m * 7993, m * 37, m %% 4999, 0
FROM generate_series(1::bigint, %(ids)s, %(step)s) AS m
CROSS JOIN generate_series(%(begin)s, %(end)s, INTERVAL '15 min') AS s
"""
CASES = {"a day at 01:00": (1, 1, 4), "a day at noon": (1, 10, 48), "a week on Thursday noon": (7, 100, 336)}
"""Days of a chunk, the step between meters' ids, slots that are filled before."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", CASES)
async def test_push_order_among_a_million_meters(
    timescale_dsn: str, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    days, step, slots = CASES[case]
    pool = await open_pool(timescale_dsn, connections=2)
    async with await connect(timescale_dsn) as connection:
        await connection.execute("SELECT set_chunk_time_interval('interval_reading', %s)", (timedelta(days=days),))
        await connection.execute(METERS_MADE, {"begin": BEGIN, "ids": IDS})
        end = BEGIN + timedelta(minutes=15 * (slots - 1))
        await connection.execute(FILL, {"begin": BEGIN, "end": end, "ids": IDS, "step": step})
        settled = BEGIN + timedelta(minutes=15 * slots)
        await connection.execute("INSERT INTO watermark SELECT id, 'block_load', %s FROM meter", (settled,))
        await connection.execute("VACUUM ANALYZE meter, interval_reading, watermark")
        cursor = await connection.execute("SELECT min(id) FROM meter")
        first_id = (await cursor.fetchone() or (0,))[0]
    store, told = Store(pool, "apache"), {}
    order = np.random.default_rng(1).permutation(np.arange(first_id, first_id + IDS, step)[:PUSHED]).tolist()
    for slot, by in enumerate(("the limit", "the store", "the store, again"), slots):
        parts = [[read(meter, slot, 1) for meter in order[at : at + BATCH]] for at in range(0, len(order), BATCH)]
        prepared = [(sessions(part), rows_of(part)) for part in parts]
        async with borrow(pool) as connection:
            await connection.execute("CHECKPOINT")
            first = await position(connection)
        begun = time.perf_counter()
        for finished, rows in prepared:
            if by == "the limit":
                await copy(pool, [rows])
            else:
                assert await store.write(finished, NOW) == Written(inserted=len(finished))
        rate = len(order) / (time.perf_counter() - begun)
        async with borrow(pool) as connection:
            told[by] = rate, (await position(connection) - first) / len(order)
    await pool.close()
    limit = told["the limit"][0]
    with capsys.disabled():
        print(f"\n{case}, {IDS // step:,} meters filled, {len(order):,} pushed")
        for by, (rate, wal) in told.items():
            print(f"  {by:20}{rate:10,.0f} rows/s{rate / limit:8.0%}{wal:10,.0f} octets of WAL a row")
    assert told["the store, again"][0] > limit / 20
