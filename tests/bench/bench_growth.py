"""Does a meter cost more where there are more of them? CPU of the collector process for a meter and a cycle, of four
hours of block load, from 100 to 10 000 meters.

Meters in a process of their own. The first cycle, which learns nameplates and layouts, is not counted; of the others
the cheapest is. The aim is the same cost within 10 %.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fleet_engine import Spent, engine_of, fleet

from headend.collection.planning import Wanted
from headend.collection.report import Report
from headend.garbage import look_seldom
from headend.logs import configure_logs
from headend.waiting import run_async

BEGIN = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
CYCLE = timedelta(hours=4)
CYCLES = 3
SIZES = (100, 1000, 5000, 10_000)
COSTS: dict[int, tuple[float, float]] = {}
"""Milliseconds of the collector's and the database's CPU for a meter and a cycle, by the number of meters."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("meters", SIZES)
def test_a_cycle_of_many_meters(timescale_dsn: str, tmp_path: Path, meters: int) -> None:
    configure_logs("error", "console")
    look_seldom()  # as the daemon does
    with fleet(tmp_path, meters, BEGIN, BEGIN + CYCLES * CYCLE) as lines:
        run_async(lambda: _measure(timescale_dsn, lines, tmp_path, meters))


async def _measure(dsn: str, meter_list: list[str], folder: Path, meters: int) -> None:
    now, costs = BEGIN, list[tuple[float, float]]()
    async with engine_of(dsn, meter_list, folder, BEGIN, lambda: now) as (engine, segments):
        places = asyncio.Semaphore(engine.settings.collection.segments_at_once)

        async def collect(segment: int) -> Report:
            async with places:
                return await engine.collector.collect(segment, Wanted(frozenset({"block_load"})))

        for cycle in range(1, CYCLES + 1):
            now = BEGIN + cycle * CYCLE
            spent = Spent()
            report = sum(await asyncio.gather(*map(collect, segments)), Report())
            costs.append((spent.cpu_s() * 1000 / meters, spent.database_s() * 1000 / meters))
            assert report.answered == meters, str(report)
        assert engine.intake.written.inserted == meters * 16 * CYCLES
    COSTS[meters] = min(costs[1:])


def test_the_cost_of_a_meter_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the sizes that were measured, all or those chosen by `-k`, to the smallest."""
    fewest = min(COSTS)
    least = COSTS[fewest][0]
    with capsys.disabled():
        print(f"\n{'meters':>8}{'ms of CPU a meter':>20}{f'to {fewest} meters':>16}{'ms of the database':>20}")
        for meters, (cpu, of_database) in COSTS.items():
            print(f"{meters:8}{cpu:20.2f}{cpu / least:16.0%}{of_database:20.2f}")
    assert max(cpu for cpu, _ in COSTS.values()) < 1.5 * least, "far from flat; the aim is 10 %"
