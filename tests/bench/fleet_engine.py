"""Simulated meters in a process of their own, and an engine that has them in its registry: what collection is measured
on."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path

from headend.engine import Engine, engine
from headend.meter_types import MeterTypes
from headend.registry import import_meters
from headend.settings import Collection, Settings, Spool
from headend.store.database import connect
from headend.vault import Kek, Vault


@contextlib.contextmanager
def fleet(folder: Path, meters: int, begin: datetime, at: datetime, *options: str) -> Iterator[list[str]]:
    """The lines of its meter list; its clocks show `at` when it starts."""
    registry = folder / f"meters-{meters}.csv"
    command = [sys.executable, "-m", "simulators", "--meters", str(meters), "--port", "0", "--registry", str(registry)]
    times = ["--at", at.isoformat()] if "--fleet" in options else ["--start", begin.isoformat(), "--at", at.isoformat()]
    with subprocess.Popen([*command, *times, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as simulator:
        try:
            assert simulator.stdout is not None
            assert simulator.stdout.readline(), "no meters"
            yield registry.read_text().splitlines()
        finally:
            simulator.terminate()


@contextlib.asynccontextmanager
async def engine_of(
    dsn: str, meter_list: list[str], folder: Path, begin: datetime, clock: Callable[[], datetime], **limits: int
) -> AsyncIterator[tuple[Engine, list[int]]]:
    """With the segments of the meters, which are registered at `begin`. `limits`: of collection."""
    vault = Vault(Kek(secrets.token_bytes(32)))
    settings = Settings(
        collection=Collection(**{"new_sessions_per_s": 100_000, "max_segment_sessions": 200} | limits),
        spool=Spool(folder=folder / "spool", min_free_mb=0),
    )
    types = MeterTypes(settings.meter_types)
    async with engine(settings, dsn, types, vault, clock=clock) as ready:
        async with await connect(dsn) as connection:
            await import_meters(connection, meter_list, types, vault, now=begin)
            cursor = await connection.execute("SELECT id FROM segment ORDER BY id")
            segments = [segment for (segment,) in await cursor.fetchall()]
        yield ready, segments


def database_cpu() -> float:
    """Seconds of all of PostgreSQL's processes on this machine, whatever their database; ended ones count as well."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if b"postgres" in (process / "cmdline").read_bytes():  # a loader of libraries may have started it
                ticks += sum(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_kib() -> int:
    """What this process holds in memory."""
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0])


class Spent:
    """CPU and time since it was made: `spent = Spent()`, then `cpu_s()`, `database_s()`, `wall_s()`."""

    def __init__(self) -> None:
        self._begun = time.perf_counter(), time.process_time(), database_cpu()

    def wall_s(self) -> float:
        return time.perf_counter() - self._begun[0]

    def cpu_s(self) -> float:
        """Of this process."""
        return time.process_time() - self._begun[1]

    def database_s(self) -> float:
        return database_cpu() - self._begun[2]
