"""What a storm of last gasps costs the correlator: 50 000 meters lose power at once, and have it again.

On a server with durable settings; the limit is the ten seconds in which an outage is to be open.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from headend.outages.correlator import Correlator
from headend.settings import Outages
from headend.store.database import connect
from headend.store.events import BIT_SET
from profiles.events import FIRST_BREATH, LAST_GASP

METERS = 50_000
LIMIT_S = 10.0
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
METERS_MADE = """
WITH made AS (
    INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s)
    SELECT 'm' || i, 'm' || i, 'tcp://127.0.0.1', 'is15959-1ph', 'd', %(begin)s, 900
    FROM generate_series(1, %(meters)s) AS i
    RETURNING id
)
INSERT INTO installation (meter_id, installed_at, division, feeder, transformer)
SELECT id, %(begin)s, 'd', 'F' || (id - 1) / 2000, 'T' || (id - 1) / 100 FROM made
"""
STORM = """
INSERT INTO meter_event (meter_id, occurred_at, code, nth, log, maker, "values", quality, read_at, source)
SELECT id, %(at)s, %(code)s, 0, 'status_word', '', '{}', 0, %(at)s, 1 FROM meter
"""


async def test_a_storm_is_correlated_before_an_outage_has_to_be_open(timescale_dsn: str) -> None:
    connection = await connect(timescale_dsn)
    async with connection:
        await connection.execute(METERS_MADE, {"begin": BEGIN, "meters": METERS})
        await connection.execute("ANALYZE")
        correlator, took = Correlator(connection), []
        opened = asyncio.create_task(first_open(timescale_dsn))
        for minutes, bit, open_ones in ((0, LAST_GASP, 25), (30, FIRST_BREATH, 0)):
            at = BEGIN + timedelta(days=30, minutes=minutes)
            await connection.execute(STORM, {"at": at, "code": BIT_SET + bit})
            begun = time.perf_counter()
            assert await correlator.look(Outages(), at) == METERS
            took.append(time.perf_counter() - begun)
            if bit == LAST_GASP:
                first = await opened - begun
            cursor = await connection.execute("SELECT count(*) FROM outage WHERE closed_at IS NULL AND kind = 'feeder'")
            assert await cursor.fetchone() == (open_ones,)
        begun = time.perf_counter()
        await correlator.look(Outages(), at)
        idle = time.perf_counter() - begun
    gasps, breaths = took
    print(
        f"{METERS:,} last gasps: first outage open after {first:.2f} s, all after {gasps:.2f} s; as many first breaths "
        f"{breaths:.2f} s; nothing new {1000 * idle:.0f} ms"
    )
    assert first < LIMIT_S


async def first_open(dsn: str) -> float:
    """When an outage is open for all to see."""
    async with await connect(dsn) as connection:
        while True:
            if await (await connection.execute("SELECT FROM outage LIMIT 1")).fetchone() is not None:
                return time.perf_counter()
            await asyncio.sleep(0.02)
