"""The store on each real database: a pool, meters, and batches to write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from interval_writer import Writer

from headend.store.database import Connection, Pool, connect, edition, open_pool
from headend.store.rows import MeterIntervals, Source, microseconds
from profiles.intervals import Extra, IntervalBatch, Suspect

MIDNIGHT = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
"""2026-01-01 00:00 in India: commissioning of every meter here."""

Values = Mapping[str, Sequence[int | None]]


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    pool = await open_pool(dsn, connections=8)
    yield pool
    await pool.close()


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    connection = await connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def writer(pool: Pool, connection: Connection) -> Writer:
    return Writer(pool, await edition(connection))


@pytest.fixture
async def meters(connection: Connection) -> list[int]:
    """Ids of 20 meters in two divisions, 15-minute intervals."""
    cursor = await connection.execute(
        "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
        "SELECT 'm' || i, 's' || i, 'tcp://127.0.0.1', 'is15959-1ph', 'division ' || mod(i, 2), %s, 900 "
        "FROM generate_series(1, 20) AS i RETURNING id",
        (MIDNIGHT,),
    )
    return [meter_id for (meter_id,) in await cursor.fetchall()]


@pytest.fixture
def reading() -> Callable[..., MeterIntervals]:
    """Makes a read: `reading(meter, slot, {"voltage": [1, None]}, read_at=hours)`; slots and hours from MIDNIGHT on."""

    def make(
        meter_id: int,
        slot: int,
        values: Values,
        *,
        read_at: float = 24,
        interval_s: int = 900,
        quality: int = 0,
        extras: tuple[Extra, ...] = (),
        suspects: tuple[Suspect, ...] = (),
        revisions: IntervalBatch | None = None,
        source: Source = Source.SCHEDULED,
    ) -> MeterIntervals:
        rows = len(next(iter(values.values()), ()))
        batch = IntervalBatch(
            start=microseconds(MIDNIGHT) + (slot + np.arange(rows, dtype=np.int64)) * interval_s * 1_000_000,
            interval_s=interval_s,
            quality=np.full(rows, quality, np.int32),
            values={name: np.array([v or 0 for v in column], np.int64) for name, column in values.items()},
            nulls={name: np.array([v is None for v in column]) for name, column in values.items() if None in column},
            extras=extras,
            suspects=suspects,
            revisions=revisions,
        )
        return MeterIntervals(meter_id, batch, MIDNIGHT + timedelta(hours=read_at), source)

    return make
