"""Memory of a session that is open: 5000 at once, with meters that take their time for each answer.

Meters in a process of their own. Once by what the operating system counts for the collector process, and once by
tracemalloc, which tells where it was allocated and slows everything down. The aim is 25 KiB a session.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fleet_engine import engine_of, fleet, resident_kib

from headend.collection.planning import Wanted
from headend.engine import Engine
from headend.logs import configure_logs
from headend.waiting import run_async

SESSIONS, WARM = 5000, 100
AIM_KIB = 25.0
BEGIN = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
AT = BEGIN + timedelta(hours=4)
WANTED = Wanted(frozenset({"block_load"}))
FLEET = f"""seed = 1
commissioned_at = {BEGIN.isoformat()}
[divisions.Datia]
meters = {WARM + SESSIONS}
[archetypes.office]
meter_types = {{ is15959-1ph = 1 }}
[faults]
latency = {{ median_ms = 6000, longest_ms = 8000 }}
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("traced", [False, True], ids=["resident", "traced"])
def test_an_open_session_takes_little_memory(timescale_dsn: str, tmp_path: Path, traced: bool) -> None:
    configure_logs("critical", "console")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * SESSIONS)), hard))
    file = tmp_path / "fleet.toml"
    file.write_text(FLEET)
    with fleet(tmp_path, WARM + SESSIONS, BEGIN, AT, "--fleet", str(file)) as lines:
        run_async(lambda: _measure(timescale_dsn, lines, tmp_path, traced))


async def _measure(dsn: str, meter_list: list[str], folder: Path, traced: bool) -> None:
    limits = {"max_open_sessions": SESSIONS, "max_segment_sessions": SESSIONS, "session_timeout_s": 120}
    async with engine_of(dsn, meter_list, folder, BEGIN, lambda: AT, **limits) as (engine, segments):
        await engine.collector.collect_meters(range(1, WARM + 1), WANTED)
        gc.collect()
        if traced:
            tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0] / 1024 if traced else resident_kib()
        work = asyncio.gather(*(engine.collector.collect(segment, WANTED) for segment in segments))
        opened = await _most_open(engine)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0] / 1024 if traced else resident_kib()
        each = (after - before) / opened
        print(f"\n{opened} sessions open: {each:.1f} KiB each, {'traced' if traced else 'resident'} (aim {AIM_KIB:g})")
        if traced:
            for line in tracemalloc.take_snapshot().statistics("lineno")[:25]:
                print(f"{line.size / opened:8.0f} octets a session in {line.traceback}")
            tracemalloc.stop()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert opened > 0.8 * SESSIONS, "too many failed: the machine has other work"
        assert each < 4 * AIM_KIB


async def _most_open(engine: Engine) -> int:
    """When no more sessions are opened: how many are."""
    most, unchanged = 0, 0
    async with asyncio.timeout(300):
        while unchanged < 5:
            await asyncio.sleep(1)
            now = engine.collector.pace.open
            unchanged = unchanged + 1 if now == most and now else 0
            most = max(now, most)
    return engine.collector.pace.open
