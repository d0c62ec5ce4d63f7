"""Invocation counters in collection: learnt when out of step, spent once, whoever else talks to the meter or dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from field import DUE, METER_TYPE, Field, field

from drivers.address import parse_address
from drivers.credentials import CounterRange, Credentials
from drivers.session import open_session
from headend.collection import collector as collecting
from headend.store import counters
from headend.store.database import connect
from headend.times import utc_now
from headend.vault import KEK_VARIABLE
from profiles.objects import AttributeRef, Obis
from simulators.meter import SimulatedMeter

ODD = 1
"""The meter of three that something happens to."""
READER = METER_TYPE.associations["meter_reader"]
SERIAL = AttributeRef(1, Obis(0, 0, 96, 1, 0), 2)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "RETRY_WAIT_S", 0.01)


async def read_by_another(place: Field, title: bytes, first: int) -> None:
    """Another head-end with the same keys reads the odd meter, with counters from `first` on."""
    meter = place.meters[ODD]
    keys = meter.keys
    credentials = Credentials(title, keys.encryption, keys.authentication, keys.lls, CounterRange(first, first + 64))
    address = parse_address(f"tcp://{meter.identity.host}:{place.server.port}")
    async with open_session(address, METER_TYPE, READER, credentials) as session:
        await session.get(SERIAL)


async def test_a_meter_that_was_read_by_another_client_is_read_in_the_same_cycle(timescale_dsn: str) -> None:
    async with field(timescale_dsn) as place:
        await read_by_another(place, b"OTHER001", 50_000)
        assert (await place.cycle()).failed == {}
        await read_by_another(place, b"OTHER001", 90_000)
        place.now += timedelta(hours=1)
        report = await place.cycle()
        assert (report.meters, report.answered, report.failed) == (3, 3, {})
        assert await place.complete(range(3)) == [True] * 3
        assert 90_000 < await place.our_counter(ODD) < 91_000
        assert await place.our_counter(0) < 1000


async def test_counters_go_on_where_they_were_and_are_asked_for_in_clear_once(timescale_dsn: str) -> None:
    asked: list[int] = []

    class Counting(SimulatedMeter):
        def on_wire(self, apdu: bytes) -> bytes | None:
            if self.holder is not None and apdu[0] == 0xC4:
                asked.append(apdu[0])
            return apdu

    async with field(timescale_dsn, odd=dict.fromkeys(range(3), Counting)) as place:
        for _ in range(3):
            before = await place.our_counter(ODD)
            assert (await place.cycle()).failed == {}
            assert before < await place.our_counter(ODD) <= before + 64
            place.now += timedelta(hours=1)
        assert len(asked) == 3, "the public client's one GET for each meter, at first contact"


async def test_more_counters_are_reserved_in_mid_session_when_a_transfer_is_long(timescale_dsn: str) -> None:
    async with field(timescale_dsn) as place:
        assert (await place.cycle(counter_reserve=8)).failed == {}
        assert await place.complete(range(3)) == [True] * 3
        assert await place.our_counter(ODD) > 16
        assert place.meters[ODD].last_received <= await place.our_counter(ODD)


async def test_a_key_whose_counter_is_used_up_is_an_error_that_says_so_and_the_others_are_read(
    timescale_dsn: str,
) -> None:
    async with field(timescale_dsn) as place:
        await place.cycle()
        ours = await place.ask("SELECT client_system_title AS title FROM utility")
        await place.ask(
            "UPDATE invocation_counter SET highest = 4294967290 WHERE system_title = %s AND meter_key_id = "
            "(SELECT k.id FROM meter_key k JOIN meter m ON m.id = k.meter_id "
            "WHERE m.name = %s AND key_type = 'encryption') RETURNING 1",
            ours[0]["title"],
            place.name(ODD),
        )
        place.now += timedelta(hours=1)
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"SecurityError": 1})
        assert await place.complete((0, 2)) == [True, True]
        assert "change the encryption key" in (await place.status(ODD))["last_error"]


async def test_the_meters_own_counter_is_settled_as_it_stood_at_the_end(timescale_dsn: str) -> None:
    async with field(timescale_dsn) as place:
        await place.cycle()
        for index, meter in enumerate(place.meters):
            settled = (await place.counters(index))[meter.identity.system_title]
            assert meter._last_sent - 1 <= settled <= meter._last_sent, "a release's answer carries none"


async def test_counters_reserved_by_a_cycle_that_was_cut_off_are_never_used_again(timescale_dsn: str) -> None:
    async with field(timescale_dsn, 12) as place:
        await place.cycle()
        for slots in range(1, 6):
            place.now += timedelta(hours=slots)
            async with place.collector() as collector:
                cycle = asyncio.create_task(collector.cycle())
                await asyncio.sleep(random.uniform(0.01, 0.2))
                cycle.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await cycle
        assert (await place.cycle()).failed == {}
        assert await place.complete(range(12)) == [True] * 12
        assert place.server.repeats == 0


DAEMON = """
import sys
from headend.cli.main import main
sys.argv = ["headend", "collect", "--once", "--dsn", sys.argv[1]]
main()
"""


async def test_a_killed_daemon_uses_no_counter_again_and_stores_every_interval_once(
    timescale_dsn: str, tmp_path: Path
) -> None:
    async with field(timescale_dsn, 24) as place:
        await place.ask("UPDATE meter SET commissioned_at = now() - interval '2 days' RETURNING 1")
        place.now = utc_now()
        environment = os.environ | {
            KEK_VARIABLE: place.kek.hex(),
            "HEADEND_LOG__FORMAT": "json",
            "HEADEND_SPOOL__FOLDER": str(tmp_path),
            "HEADEND_SPOOL__MIN_FREE_MB": "0",
            "HEADEND_COLLECTION__MAX_OPEN_SESSIONS": "3",
        }

        async def run(kill_when: Callable[[], bool] | None) -> int:
            daemon = await asyncio.create_subprocess_exec(
                sys.executable, "-c", DAEMON, place.dsn, env=environment, stderr=asyncio.subprocess.DEVNULL
            )
            if kill_when is not None:
                async with asyncio.timeout(60):
                    while not kill_when() and daemon.returncode is None:  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                if daemon.returncode is None:
                    daemon.send_signal(signal.SIGKILL)
            return await daemon.wait()

        heard = 0
        for answered in (3, 9):
            already = sum(meter.last_received > 0 for meter in place.meters)
            code = await run(lambda limit=already + answered: sum(m.last_received > 0 for m in place.meters) >= limit)
            assert code == -signal.SIGKILL
            assert place.server.repeats == 0
            heard = sum(meter.last_received > 0 for meter in place.meters)
        assert heard >= 12
        async with asyncio.timeout(20):
            while place.server.links:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert await run(None) == 0
        owed = await place.ask(
            "SELECT * FROM completeness(%s, date_bin('15 min', %s::timestamptz, 'epoch'))",
            place.now - timedelta(days=2),
            place.now,
        )
        assert [(row["meters"], row["due"] - row["stored"]) for row in owed] == [(24, 0)]


async def test_a_crash_between_reserving_and_using_skips_what_was_reserved(timescale_dsn: str) -> None:
    async with field(timescale_dsn) as place:
        await place.cycle()
        (key,) = await place.ask(
            "SELECT k.id, client_system_title AS title FROM utility, meter_key k JOIN meter m ON m.id = k.meter_id "
            "WHERE m.name = %s AND key_type = 'encryption'",
            place.name(ODD),
        )
        async with await connect(place.dsn) as dying:
            run = (await counters.reserve(dying, [key["id"]], bytes(key["title"]), 64))[key["id"]]
        place.now += timedelta(hours=1)
        assert (await place.cycle()).failed == {}
        seen = place.meters[ODD].record
        for counter in range(run.next, run.end):
            seen.note(bytes(key["title"]), counter)
        assert seen.repeats == 0


async def test_a_meter_that_is_busy_is_asked_again_in_the_same_cycle(timescale_dsn: str) -> None:
    refused = asyncio.Event()

    class Busy(SimulatedMeter):
        def busy(self) -> bool:
            busy = super().busy()
            if busy:
                asyncio.get_running_loop().call_soon(refused.set)
            return busy

    async with field(timescale_dsn, odd={ODD: Busy}) as place:
        address = parse_address(f"tcp://{place.meters[ODD].identity.host}:{place.server.port}")
        async with contextlib.AsyncExitStack() as other:
            await other.enter_async_context(
                open_session(address, METER_TYPE, METER_TYPE.associations["public"], Credentials())
            )
            report = await place.cycle(attempts=1)
            assert (report.answered, report.failed) == (2, {"MeterBusy": 1})
            status = await place.status(ODD)
            assert status["parked_reason"] is None
            assert "try again later" in status["last_error"]
            refused.clear()
            cycle = asyncio.create_task(place.cycle(attempts=5))
            await asyncio.wait_for(refused.wait(), 20)
        report = await cycle
        assert (report.meters, report.answered, report.failed) == (1, 1, {})
        assert report.written.inserted == DUE
        assert await place.complete(range(3)) == [True] * 3
