"""CPU of the collector process for a session: opened, ciphered, a day of block load read, decoded and committed.

Meters in a process of their own, TimescaleDB with durable settings. The aim is 1 ms of the collector's own CPU a
session once layouts and counters are known; the database's CPU is told beside it. The first day also learns nameplates,
layouts and counters.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fleet_engine import Spent, engine_of, fleet

from headend.collection.planning import Wanted
from headend.collection.report import Report
from headend.logs import configure_logs
from headend.waiting import run_async

BEGIN = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = 4
AIM_MS = 1.0


@pytest.mark.parametrize("meters", [100, 1000])
def test_a_session_costs_the_collector_little_cpu(timescale_dsn: str, tmp_path: Path, meters: int) -> None:
    configure_logs("error", "console")
    with fleet(tmp_path, meters, BEGIN, BEGIN + DAYS * DAY) as lines:
        run_async(lambda: _measure(timescale_dsn, lines, tmp_path, meters))


async def _measure(dsn: str, meter_list: list[str], folder: Path, meters: int) -> None:
    now = BEGIN
    async with engine_of(dsn, meter_list, folder, BEGIN, lambda: now) as (engine, segments):
        wanted = Wanted(frozenset({"block_load"}))
        for day in range(1, DAYS + 1):
            now = BEGIN + day * DAY
            spent = Spent()
            reports = await asyncio.gather(*(engine.collector.collect(segment, wanted) for segment in segments))
            cpu, of_database, wall = (
                each * 1000 / meters for each in (spent.cpu_s(), spent.database_s(), spent.wall_s())
            )
            assert sum(reports, Report()).answered == meters
            print(
                f"\n{meters} meters, day {day}: {cpu:.2f} ms of CPU a session (aim {AIM_MS}),"
                f" {of_database:.2f} ms of the database's, {1000 / wall:.0f} sessions/s"
            )
        assert engine.intake.written.inserted == meters * 96 * DAYS
