"""CPU of the collector process for a session: opened, ciphered, a day of block load read, decoded and committed.

Meters in a process of their own, TimescaleDB with durable settings. The aim is 1 ms of the collector's own CPU a
session once layouts and counters are known; the database's CPU is told beside it. The first day also learns nameplates,
layouts and counters.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headend import daemon
from headend.collection.collector import Report
from headend.collection.planning import Wanted
from headend.logs import configure_logs
from headend.registry import import_meters
from headend.settings import Collection, Settings, Spool
from headend.store.database import connect
from headend.vault import Kek, Vault

BEGIN = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = 4
AIM_MS = 1.0


@pytest.mark.parametrize("meters", [100, 1000])
def test_a_session_costs_the_collector_little_cpu(timescale_dsn: str, tmp_path: Path, meters: int) -> None:
    configure_logs("error", "console")
    registry = tmp_path / "meters.csv"
    command = [sys.executable, "-m", "simulators", "--meters", str(meters), "--port", "0", "--registry", str(registry)]
    times = ["--start", BEGIN.isoformat(), "--at", (BEGIN + DAYS * DAY).isoformat()]
    with subprocess.Popen([*command, *times], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as simulator:
        try:
            _wait_for(registry)
            lines = registry.read_text().splitlines()
            daemon.run_async(lambda: _measure(timescale_dsn, lines, tmp_path, meters))
        finally:
            simulator.terminate()


async def _measure(dsn: str, meter_list: list[str], folder: Path, meters: int) -> None:
    now = BEGIN
    vault = Vault(Kek(secrets.token_bytes(32)))
    settings = Settings(
        collection=Collection(new_sessions_per_s=100_000, max_segment_sessions=200),
        spool=Spool(folder=folder / "spool", min_free_mb=0),
    )
    types = daemon.load_types(settings)
    async with daemon.engine(settings, dsn, types, vault, clock=lambda: now) as engine:
        async with await connect(dsn) as connection:
            await import_meters(connection, meter_list, types, vault, now=BEGIN)
            cursor = await connection.execute("SELECT id FROM segment ORDER BY id")
            segments = [segment for (segment,) in await cursor.fetchall()]
        wanted = Wanted(frozenset({"block_load"}))
        for day in range(1, DAYS + 1):
            now = BEGIN + day * DAY
            wall, cpu, of_database = time.perf_counter(), time.process_time(), _database_cpu()
            reports = await asyncio.gather(*(engine.collector.collect(segment, wanted) for segment in segments))
            spent = [
                (each * 1000 / meters)
                for each in (time.process_time() - cpu, _database_cpu() - of_database, time.perf_counter() - wall)
            ]
            assert sum(reports, Report()).answered == meters
            print(
                f"\n{meters} meters, day {day}: {spent[0]:.2f} ms of CPU a session (aim {AIM_MS}),"
                f" {spent[1]:.2f} ms of the database's, {1000 / spent[2]:.0f} sessions/s"
            )
        assert engine.intake.written.inserted == meters * 96 * DAYS


def _database_cpu() -> float:
    """Seconds of all of PostgreSQL's processes on this machine, whatever their database; ended ones count as well."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            name, _, rest = stat.read_text().rpartition(")")
            if "(postgres" in name:
                ticks += sum(map(int, rest.split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
