"""How fast a meter list comes into the registry, keys encrypted, and what memory that takes: first, and again.

All in one run, on a server with durable settings. Each meter has a place, a consumer and four keys.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from headend.meter_types import MeterTypes
from headend.registry import Imported, import_meters
from headend.store.database import connect
from headend.vault import Kek, Vault

METERS = 200_000
SLOWEST = 1_000_000 / 900
"""Meters a second: a million within a quarter of an hour, whatever else the machine does."""
MOST_MB = 200
NOW = datetime(2026, 2, 1, tzinfo=UTC)
COLUMNS = (
    "name,serial,system_title,address,meter_type,commissioned_at,division,feeder,transformer,consumer_id,"
    "encryption_key,authentication_key,lls_secret,hls_secret"
)


def listed() -> Iterator[str]:
    yield COLUMNS
    for n in range(METERS):
        place = f"Division {n // 50_000},F{n // 320},F{n // 320} T{n // 40},C{n}"
        address = f"tcp://10.{n >> 16}.{n >> 8 & 255}.{n & 255}:4059"
        keys = f"{n:032x},{n + 1:032x},12345678,ABCDEFGH{n:08d}"
        yield f"meter-{n},SN{n},4D5452{n:010X},{address},is15959-1ph,2026-01-01,{place},{keys}"


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def test_a_list_comes_into_the_registry_within_its_limits(
    timescale_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    vault, before = Vault(Kek(bytes(32))), memory_mb()
    told = []
    async with await connect(timescale_dsn) as connection:
        for expected in (Imported(created=METERS, keys=4 * METERS), Imported(unchanged=METERS)):
            begun, spent = time.monotonic(), time.process_time()
            assert await import_meters(connection, listed(), MeterTypes(), vault, now=NOW) == expected
            seconds = time.monotonic() - begun
            told.append((METERS / seconds, METERS / (time.process_time() - spent), memory_mb() - before))
    with capsys.disabled():
        for name, (rate, of_cpu, grown) in zip(("new meters", "the same again"), told, strict=True):
            print(f"\n{name}: {rate:,.0f} a second, {of_cpu:,.0f} a second of our CPU, {grown:.0f} MB", end="")
    assert min(rate for rate, _, _ in told) > SLOWEST
    assert told[-1][2] < MOST_MB
