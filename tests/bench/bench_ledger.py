"""What the ledger costs: one cycle's question to it, and its upkeep with what comes, per meter.

Each meter has 35 days of 15-minute intervals on a server with durable settings. A cycle asks segment by segment; the
column on the right is the same for a million meters, on one connection.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from headend.store.absence import record_coverage
from headend.store.database import Connection, connect
from headend.store.days import count_new, recount_days
from headend.store.finished import Covered
from headend.store.gaps import days, verify
from headend.store.ledger import owed
from headend.store.rows import FIXED, Rows, microseconds
from profiles.loader import load_meter_type

METERS, SEGMENT, DAYS = 200, 200, 35
BEGIN = datetime(2026, 1, 4, 18, 30, tzinfo=UTC)
END = BEGIN + timedelta(days=DAYS)
SLOT = timedelta(minutes=15)
PROFILE = replace(load_meter_type("is15959-1ph").profiles["block_load"], depth_days=DAYS)
FILL = """
INSERT INTO interval_reading (meter_id, ts, interval_s, read_at, quality, source, voltage, wh_import)
SELECT m.id, s, 900, s + INTERVAL '1 hour', 0, 2, 230000, m.id
FROM meter m CROSS JOIN generate_series(%(begin)s, %(end)s - INTERVAL '15 minutes', '15 minutes') AS s
WHERE NOT (m.id %% 20 = 0 AND s >= %(end)s - INTERVAL '5 hours' AND s < %(end)s - INTERVAL '4 hours')
"""
Segments = Sequence[list[int]]


async def fill(connection: Connection) -> Segments:
    """Every meter with its rows, all of them counted and settled; every twentieth lacks an hour of the last day."""
    cursor = await connection.execute(
        "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
        "SELECT 'm' || i, 's' || i, 'a', 't', '', %s, 900 FROM generate_series(1, %s) AS i RETURNING id",
        (BEGIN, METERS),
    )
    ids = [number for (number,) in await cursor.fetchall()]
    await connection.execute(FILL, {"begin": BEGIN, "end": END})
    segments = [ids[at : at + SEGMENT] for at in range(0, METERS, SEGMENT)]
    for segment in segments:
        await recount_days(connection, "block_load", segment, [BEGIN] * SEGMENT, [END] * SEGMENT, END)
    await connection.execute("VACUUM ANALYZE")
    return segments


async def cost(work: Callable[[list[int]], Awaitable[object]], segments: Segments, *, rounds: int = 3) -> float:
    """Microseconds a meter, the best of some rounds over all segments."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        for segment in segments:
            await work(segment)
        best = min(best, time.perf_counter() - begun)
    return best / METERS * 1e6


def rows_after(segment: list[int], slot: int, slots: int) -> Rows:
    """Rows of every meter of a segment from the end of the filled days on."""
    meters = np.repeat(np.array(segment, np.int32), slots)
    ts = microseconds(END) + np.tile(slot + np.arange(slots, dtype=np.int64), len(segment)) * 900_000_000
    blank = np.zeros(len(ts), np.int64)
    assert [name for name, _ in FIXED] == ["meter_id", "interval_s", "ts", "read_at", "quality", "source"]
    return Rows(
        (), meters, np.full(len(ts), 900, np.int32), ts, ts + 900_000_001, blank.astype(np.int32),
        blank.astype(np.int16), np.empty((0, len(ts)), np.int64), np.empty((0, len(ts)), np.bool_),
    )  # fmt: skip


async def test_the_cost_of_the_ledger(timescale_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    now, costs = END + 4 * SLOT, dict[str, float]()
    async with await connect(timescale_dsn) as connection:
        segments = await fill(connection)

        async def ask(segment: list[int]) -> None:
            found = await owed(connection, segment, PROFILE, now, margin=True)
            assert [item.ranges[-1][1] for item in found] == [now] * SEGMENT

        costs["a cycle's question, an hour after the last"] = await cost(ask, segments)
        covered = (END - timedelta(hours=6), END)

        async def cover(segment: list[int]) -> None:
            await record_coverage(connection, [Covered(one, "block_load", *covered, now, now) for one in segment], now)

        costs["a complete read taken in"] = await cost(cover, segments)
        costs["a day of 96 rows counted again"] = await cost(
            lambda segment: recount_days(
                connection, "block_load", segment, [END - SLOT] * SEGMENT, [END] * SEGMENT, now
            ),
            segments,
        )
        come = dict.fromkeys((segment[0] for segment in segments), 0)

        async def count(segment: list[int], slots: int) -> None:
            await count_new(connection, rows_after(segment, come[segment[0]], slots), now)
            come[segment[0]] += slots

        costs["new rows counted, 1 a meter"] = await cost(lambda segment: count(segment, 1), segments)
        costs["new rows counted, 16 a meter"] = await cost(lambda segment: count(segment, 16), segments)
        begun = time.perf_counter()
        [row] = await days(connection, "division", END.date(), END.date(), now)
        costs["a day shown, by division"] = (time.perf_counter() - begun) / METERS * 1e6
        assert row.meters == METERS
        await connection.execute("DELETE FROM meter_day WHERE day > %s", (END.date(),))
        begun = time.perf_counter()
        assert [str(found) async for found in verify(connection)] == []
        costs["all days counted again (--verify)"] = (time.perf_counter() - begun) / METERS * 1e6
        await connection.execute("UPDATE watermark SET settled = %s", (BEGIN + 4 * SLOT,))
        costs["a cycle's question without watermarks"] = await cost(ask, segments, rounds=1)
    with capsys.disabled():
        print(f"\n{'35 days a meter, segments of 200':48}{'µs a meter':>12}{'1 M meters, s':>15}")
        for name, each in costs.items():
            print(f"{name:48}{each:12,.1f}{each:15,.0f}")
    assert costs["a cycle's question, an hour after the last"] < costs["a cycle's question without watermarks"] / 10
