"""Jobs for real: due segments get theirs, none is lost with its worker, what is waited for overtakes, no meter is
visited by two at once, and a gateway that is dead costs little."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from collecting import Town, WatchedMeter, town

from headend.collection import collector as collecting
from headend.collection import jobs as engine_of_jobs
from headend.collection.planning import Wanted
from headend.engine import Engine
from profiles.loader import load_meter_type
from profiles.meter_type import Profile
from simulators.association import Connection

ONE = load_meter_type("is15959-1ph")
LOAD = Wanted(frozenset({"block_load"}))


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come after milliseconds, and a worker is dead after two seconds."""
    monkeypatch.setattr(collecting, "RETRY_WAIT_S", 0.01)
    monkeypatch.setattr(engine_of_jobs, "REAP_EVERY_S", 0.3)
    monkeypatch.setattr(engine_of_jobs, "ALIVE_EVERY_S", 0.5)
    monkeypatch.setattr(engine_of_jobs, "STALE_S", 2.0)


@contextlib.asynccontextmanager
async def working(engine: Engine) -> AsyncIterator[None]:
    work = asyncio.create_task(engine.jobs.work(segments_at_once=2, reserved=1))
    try:
        yield
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - it happens in other tasks, or in the database
            await asyncio.sleep(0.05)


async def due_now(place: Town) -> None:
    await place.connection.execute("UPDATE schedule SET due_at = '-infinity' WHERE task = 'block_load'")


async def jobs(place: Town) -> list[dict[str, Any]]:
    return await place.ask("SELECT id, status, args FROM procrastinate_jobs ORDER BY id")


async def stored(place: Town) -> int:
    return len(await place.ask("SELECT FROM interval_reading"))


async def test_a_segment_stays_due_while_its_job_waits_and_no_task_is_lost_with_a_worker(timescale_dsn: str) -> None:
    async with town(timescale_dsn, ONE, 1) as place, place.collector() as collector:
        engine = collector.engine
        assert [await engine.dispatch(), await engine.dispatch()] == [1, 0]
        (job,) = await jobs(place)
        await due_now(place)
        assert await engine.dispatch() == 0
        (row,) = await place.ask("SELECT due_at = '-infinity' AS due FROM schedule WHERE task = 'block_load'")
        assert row["due"], "the job that waits may not ask for it"

        # Its worker dies in the middle, and another job for the same segment waits already.
        await place.connection.execute(
            "WITH dead AS (INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - INTERVAL '1 minute') "
            "RETURNING id) UPDATE procrastinate_jobs SET status = 'doing', worker_id = dead.id FROM dead"
        )
        assert await engine.jobs.defer_segment(job["args"]["segment"], ["events"])
        async with working(engine):

            async def all_done() -> bool:
                return not await jobs(place)

            await until(all_done)
            assert place.logged("job_taken_over")
            assert await engine.dispatch() == 1, "what the dead one was to ask for"
            await until(all_done)
        assert await stored(place) == len(place.said(0, "block_load").at)


async def test_segments_in_danger_are_first_of_those_that_are_due_and_overtake_none_that_waits(dsn: str) -> None:
    async with town(dsn, ONE, 3) as place, place.collector() as collector:
        await place.ask("INSERT INTO segment (name) VALUES ('lost for a month'), ('lost for a week') RETURNING id")
        order = "SELECT (args->>'segment')::int AS segment FROM procrastinate_jobs ORDER BY priority DESC, id"
        segments = [row["id"] for row in await place.ask("SELECT id FROM segment ORDER BY id")]
        meters = [row["id"] for row in await place.ask("SELECT id FROM meter ORDER BY id")]
        for segment, meter, days in zip(segments, meters, (0, 30, 7), strict=True):
            await place.ask("UPDATE meter SET segment_id = %s WHERE id = %s RETURNING id", segment, meter)
            await place.ask(
                "INSERT INTO watermark (meter_id, profile, settled) VALUES (%s, 'block_load', %s) "
                "ON CONFLICT (meter_id, profile) DO UPDATE SET settled = EXCLUDED.settled RETURNING meter_id",
                meter,
                place.now - timedelta(days=days),
            )
        fresh, month, week = segments
        assert await collector.engine.dispatch() == 3
        assert [row["segment"] for row in await place.ask(order)] == [month, week, fresh]

        await place.connection.execute("DELETE FROM procrastinate_jobs WHERE args->>'segment' <> %s", (str(fresh),))
        await due_now(place)
        assert await collector.engine.dispatch() == 2
        assert [row["segment"] for row in await place.ask(order)] == [fresh, month, week]


class Alone(WatchedMeter):
    """Notes when two talk to it at once."""

    together = 0

    def connect(self, *, streams: bool = False) -> Connection:
        meter = self

        class Counted(Connection):
            counted = False

            def handle(self, received: bytes, client_sap: int, server_sap: int) -> bytes | None:
                meter.together = max(meter.together, 1 + (meter.holder not in (None, self)))
                return super().handle(received, client_sap, server_sap)

        return Counted(self, streams=streams)


async def test_two_nodes_share_the_work_and_never_visit_a_meter_at_once(timescale_dsn: str) -> None:
    async with town(timescale_dsn, ONE, 6, make=Alone) as place:
        async with place.collector() as one, place.collector() as two, working(one.engine), working(two.engine):
            ids = [row["id"] for row in await place.ask("SELECT id FROM meter ORDER BY id")]
            await one.engine.dispatch()
            for _ in range(3):
                await two.engine.jobs.defer_meters(ids, ["block_load", "events"])
                await one.engine.jobs.defer_meters(ids, ["clock"])

            async def all_done() -> bool:
                return not await jobs(place)

            await until(all_done)
        assert [meter.together for meter in place.meters if isinstance(meter, Alone)] == [1] * 6
        done = place.logged("job_finished")
        assert [line["answered"] for line in done if line["segment"] is None] == [6] * 6, "none was turned away"
        assert await stored(place) == 6 * len(place.said(0, "block_load").at)


async def test_nothing_is_begun_while_what_sessions_bring_has_no_way_to_the_store(timescale_dsn: str) -> None:
    async with town(timescale_dsn, ONE, 1) as place, place.collector() as collector:
        engine = collector.engine
        await place.connection.execute("ALTER TABLE clock_check RENAME TO clock_check_away")
        await engine.collector.collect(1, LOAD)
        await until(lambda: _true(engine.intake.behind))
        place.watched().forget()
        job = asyncio.create_task(engine.collector.collect(1, LOAD))
        await asyncio.sleep(1)
        assert place.watched().apdus == 0
        assert len(place.logged("collection_paused")) == 1
        await place.connection.execute("ALTER TABLE clock_check_away RENAME TO clock_check")
        async with asyncio.timeout(20):
            await job
        assert len(place.logged("collection_resumed")) == 1
        assert await stored(place) == len(place.said(0, "block_load").at)


async def _true(value: bool) -> bool:
    return value


async def test_a_dead_gateway_is_left_alone_for_twice_as_long_each_time_and_comes_back(timescale_dsn: str) -> None:
    async with town(timescale_dsn, ONE, 30) as place, place.collector(max_segment_sessions=2) as collector:
        port = place.server.port
        await place.server.close()
        report = await collector.collector.collect(1, LOAD)
        assert report.down
        assert sum(report.failed.values()) <= 8, "a few tell"
        waits = []
        for _ in range(4):
            (row,) = await place.ask("SELECT try_again_at FROM segment WHERE id = 1")
            waits.append((row["try_again_at"] - place.now).total_seconds())
            report = await collector.collector.collect(1, LOAD)
            assert (report.down, report.meters) == (True, 0), "it is left alone"
            place.now = row["try_again_at"]
            report = await collector.collector.collect(1, LOAD)
            assert (report.down, report.meters) == (True, 1), "one is tried"
        assert waits == [60, 120, 240, 480]

        await place.server.start(port)
        (row,) = await place.ask("SELECT try_again_at FROM segment WHERE id = 1")
        place.now = row["try_again_at"]
        report = await collector.collector.collect(1, LOAD)
        assert (report.down, report.answered) == (False, 30)
        (row,) = await place.ask("SELECT down_since, failures FROM segment WHERE id = 1")
        assert (row["down_since"], row["failures"]) == (None, 0)
        assert place.now - timedelta(hours=1) < (await place.status(0))["last_contact"]


async def test_a_gateway_of_few_meters_is_down_when_all_of_them_are_and_not_when_one_is(timescale_dsn: str) -> None:
    async with town(timescale_dsn, ONE, 3) as place, place.collector() as collector:
        far = "UPDATE meter SET address = 'tcp://127.0.0.1:1' WHERE id = ANY (%s)"
        ids = [row["id"] for row in await place.ask("SELECT id FROM meter ORDER BY id")]
        await place.connection.execute(far, (ids[:1],))
        for asked in (3, 1):  # at last it alone owes something
            report = await collector.collector.collect(1, LOAD)
            assert (report.meters, report.failed, report.down) == (asked, {"LinkError": 1}, False)
        place.now += timedelta(hours=1)
        await place.connection.execute(far, (ids,))
        report = await collector.collector.collect(1, LOAD)
        assert (report.meters, report.failed, report.down) == (3, {"LinkError": 3}, True)


class Slow(WatchedMeter):
    """Takes a moment for its blocks."""

    def rows_of(self, profile: Profile, bounds: tuple[int, int] | None) -> list[bytes]:
        time.sleep(0.1 * (profile.kind == "block_load"))
        return super().rows_of(profile, bounds)


async def test_what_is_waited_for_overtakes_and_who_is_parked_or_retired_is_left_alone(timescale_dsn: str) -> None:
    async with town(timescale_dsn, ONE, 10, make=Slow) as place, place.collector(max_open_sessions=1) as collector:
        parked, retired, last = place.watched(0), place.watched(1), place.watched(9)
        change = "UPDATE meter SET {} WHERE id = (SELECT min(id) + %s FROM meter)"
        await place.ask(change.format("parked_reason = 'a test', parked_at = now()") + " RETURNING id", 0)
        await place.ask(change.format("state = 'retired', retired_at = now()") + " RETURNING id", 1)
        async with working(collector.engine):
            await collector.engine.dispatch()
            await until(lambda: _true(place.watched(2).apdus > 0))
            (row,) = await place.ask("SELECT max(id) AS id FROM meter")
            await collector.engine.jobs.defer_meters([row["id"]], ["block_load"])
            await until(lambda: _true(len(place.logged("job_finished")) == 2), 30)
        first, second = place.logged("job_finished")
        assert (first["segment"], first["answered"]) == (None, 1)
        assert (second["answered"] + second["busy"], second["failed"]) == (8, {})
        assert (parked.apdus, retired.apdus) == (0, 0)
        assert last.apdus > 0
