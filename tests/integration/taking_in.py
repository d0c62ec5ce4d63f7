"""What the tests of the intake put into it, and a process of its own that does nothing else until it is killed.

python taking_in.py DSN FOLDER FIRST: puts one after the other from FIRST on, and tells how many are durable
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from headend import intake
from headend.intake import Intake
from headend.logs import configure_logs
from headend.spool.spool import Spool, open_spool
from headend.store import database
from headend.store.batch import Store
from headend.store.database import Connection, Edition, Pool, edition, open_pool
from headend.store.finished import Contact, Finished
from headend.store.rows import MeterIntervals, Source, microseconds
from headend.store.writer import Written
from profiles.intervals import IntervalBatch

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
METERS = 20
ROWS = 4
TOGETHER = 50
"""Put by the process before it asks whether they are durable."""


class TellingStore(Store):
    """The store, which also remembers what was written, in its order."""

    def __init__(self, pool: Pool, edition: Edition) -> None:
        super().__init__(pool, edition)
        self.written: list[Finished] = []

    async def write(self, finished: Sequence[Finished], now: datetime) -> Written:
        written = await super().write(finished, now)
        self.written += finished
        return written


def clock() -> datetime:
    return BEGUN + timedelta(days=365)


def finished(number: int, *, meter: int = 0, rows: int = ROWS, at: datetime | None = None) -> Finished:
    """The `number`th: of a meter by turns, of intervals that no other one has, its values told by its number."""
    meter_id = meter or 1 + number % METERS
    start = microseconds(at or BEGUN + timedelta(minutes=15 * ROWS * (number // METERS)))
    batch = IntervalBatch(
        start + np.arange(rows, dtype=np.int64) * 900_000_000,
        900,
        np.zeros(rows, np.int32),
        {"voltage": 1000 * number + np.arange(rows, dtype=np.int64)},
        {},
    )
    read_at = BEGUN + timedelta(seconds=number)
    return Finished(Contact(meter_id, read_at), (MeterIntervals(meter_id, batch, read_at, Source.SCHEDULED),))


async def make_meters(connection: Connection) -> None:
    """Those of `finished`, ids 1 to METERS."""
    await connection.execute(
        "INSERT INTO meter (id, name, serial, address, meter_type, division, commissioned_at, interval_s) "
        "OVERRIDING SYSTEM VALUE "
        "SELECT i, 'm' || i, 's' || i, 'tcp://127.0.0.1', 'is15959-1ph', 'd', %s, 900 FROM generate_series(1, %s) AS i",
        (BEGUN, METERS),
    )


async def assert_stored(connection: Connection, numbers: Sequence[int]) -> None:
    """Exactly those, each value once and where it belongs."""
    cursor = await connection.execute("SELECT meter_id, ts, voltage FROM interval_reading ORDER BY voltage")
    stored = await cursor.fetchall()
    expected = [
        (1 + number % METERS, BEGUN + timedelta(minutes=15 * (ROWS * (number // METERS) + row)), 1000 * number + row)
        for number in sorted(numbers)
        for row in range(ROWS)
    ]
    assert stored == expected


@asynccontextmanager
async def intake_on(pool: Pool, folder: Path, *, max_mb: int = 64) -> AsyncIterator[tuple[Intake, Spool, TellingStore]]:
    """An open intake on a spool in `folder`."""
    async with pool.connection() as connection:
        store = TellingStore(pool, await edition(connection))
    async with open_spool(folder, max_mb=max_mb, min_free_mb=1) as spool:
        taking = Intake(store, spool, clock=clock)
        async with taking.open():
            yield taking, spool, store


async def take_in(dsn: str, folder: Path, first: int) -> None:
    async with await open_pool(dsn) as pool, intake_on(pool, folder) as (taking, _, _):
        number = first
        while True:
            for _ in range(TOGETHER):
                await taking.put(finished(number))
                number += 1
            await taking.settled()
            print(number, taking.behind, flush=True)


if __name__ == "__main__":
    configure_logs("error", "json")
    database.WAIT_FOR_CONNECTION_S, database.RECONNECT_S = 0.5, 1.0
    intake.SECONDS, intake.LOOK_S, intake.LONGEST_WAIT_S = 0.02, 0.1, 0.2
    asyncio.run(take_in(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
