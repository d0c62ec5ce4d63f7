"""Hundreds of meters at once, a tenth of them dead: all others are read, and memory and sockets are given back."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from field import NOW, field

from headend.store import database
from simulators.server import raise_file_limit

METERS = 400
INTERVALS = 4
DEAD = range(0, METERS, 10)


@asynccontextmanager
async def dead_places() -> AsyncIterator[list[str]]:
    """Three ways of being dead: nobody listens, someone accepts and says nothing, someone hangs up."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        servers = [await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512) for serve in (hang_up, say_nothing)]
        ports = [nobody.getsockname()[1], *(server.sockets[0].getsockname()[1] for server in servers)]
        yield [f"tcp://127.0.0.1:{port}?timeout=3" for port in ports]
        for server in servers:
            server.close()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.timeout(300)
async def test_hundreds_of_meters_of_which_a_tenth_is_dead(timescale_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits leave room for a machine that does other things."""
    monkeypatch.setattr(database, "WAIT_FOR_CONNECTION_S", 120.0)
    assert raise_file_limit(3 * METERS) == 3 * METERS
    commissioned = NOW - timedelta(seconds=NOW.timestamp() % 900 + INTERVALS * 900)
    async with dead_places() as places:
        listed = {index: {"address": "tcp://{host}:{port}?timeout=60"} for index in range(METERS)}
        listed |= {index: {"address": places[index // 10 % 3]} for index in DEAD}
        async with field(timescale_dsn, METERS, listed=listed, commissioned_at=commissioned) as place:
            most = 0

            async def watch() -> None:
                nonlocal most
                while True:
                    most = max(most, len(place.server.links))
                    await asyncio.sleep(0.01)

            async with place.collector(
                max_open_sessions=METERS, max_segment_sessions=METERS, new_sessions_per_s=10_000
            ) as collector:
                before, memory = open_files(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                watching = asyncio.create_task(watch())
                async with asyncio.timeout(240):
                    report = await collector.cycle()
                watching.cancel()
                grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
                async with asyncio.timeout(20):
                    while open_files() > before + 8:  # noqa: ASYNC110 - the pool may hold some more connections
                        await asyncio.sleep(0.05)
            assert (report.meters, report.answered) == (METERS, METERS - len(DEAD))
            assert report.failed == {"LinkError": 27, "LinkTimeout": 13}
            assert report.written.inserted == (METERS - len(DEAD)) * INTERVALS
            assert most > 100, "at once, not one after the other"
            assert grown < 500_000, "kB, simulated meters and the head-end together"
            rows = await place.ask("SELECT meter_id, count(*) AS n FROM interval_reading GROUP BY meter_id")
            assert sorted(row["meter_id"] - 1 for row in rows) == sorted(set(range(METERS)) - set(DEAD))
            assert {row["n"] for row in rows} == {INTERVALS}
            assert set(place.failures()) == {place.name(index) for index in DEAD}
