"""CPU of the collector process for a push: received, looked up, deciphered, decoded, handed over and committed.

Block load pushes of single-phase meters, authenticated and encrypted, over TCP from another process, into TimescaleDB
with durable settings. The aim is at most 0.2 ms of the collector's own CPU a push; the database's is not in it. The
first slot finds no meter in memory, the last ones find all.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from pushing_meters import listening, registered, send

from headend.garbage import look_seldom
from headend.logs import configure_logs
from headend.store.batch import Store
from headend.store.database import connect, edition, open_pool

METERS, SLOTS = 2000, 6
AIM_MS = 0.2


async def test_a_push_costs_the_collector_little_cpu(timescale_dsn: str, tmp_path: Path) -> None:
    configure_logs("warning", "console")
    look_seldom()  # as the daemon does
    meters, vault = await registered(timescale_dsn, METERS)
    slots = [[meter.push(slot) for meter in meters] for slot in range(1, SLOTS + 1)]
    pool = await open_pool(timescale_dsn, connections=4)
    async with await connect(timescale_dsn) as connection:
        store = Store(pool, await edition(connection))
    async with listening(pool, vault, store, tmp_path) as (listener, intake):
        told, kept = [], 0
        for name, part in (("not in memory", slots[:1]), ("in memory", slots[1:])):
            pushes = [push for slot in part for push in slot]
            wall, cpu = time.perf_counter(), time.process_time()
            await send(listener.tcp_ports[0], pushes, tmp_path / "pushes")
            kept += len(pushes)
            async with asyncio.timeout(110):
                while listener.arrivals.kept < kept:
                    assert listener.arrivals.refused == 0
                    await asyncio.sleep(0.05)
            await intake.settled()
            told.append((time.process_time() - cpu) * 1000 / len(pushes))
            rate = len(pushes) / (time.perf_counter() - wall)
            print(f"\npush, meters {name}: {told[-1]:.3f} ms of CPU a push, {rate:.0f} pushes/s")
        assert intake.written.inserted == METERS * SLOTS
    await pool.close()
    assert told[-1] <= AIM_MS * 2, "twice the aim: the machine has other work"
