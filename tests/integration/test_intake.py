"""The intake on real databases: all that it took is stored, once and in order, whatever the database does meanwhile."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import taking_in
from own_server import OwnServer
from psycopg import sql
from taking_in import BEGUN, METERS, ROWS, assert_stored, clock, finished, intake_on, make_meters

from headend import intake as intake_module
from headend.intake import LIMIT, WRITERS
from headend.spool.file import SpoolFile
from headend.store import database
from headend.store.database import Pool, connect, open_pool
from headend.store.finished import Finished
from headend.store.migrate import migrate


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAIT_FOR_CONNECTION_S", 0.5)
    monkeypatch.setattr(database, "RECONNECT_S", 1.0)
    monkeypatch.setattr(intake_module, "SECONDS", 0.2)
    monkeypatch.setattr(intake_module, "LOOK_S", 0.2)
    monkeypatch.setattr(intake_module, "LONGEST_WAIT_S", 0.5)


@pytest.fixture
async def place(postgres_dsn: str) -> AsyncIterator[Pool]:
    """A pool on a database with the meters of `finished`."""
    async with await connect(postgres_dsn) as connection:
        await make_meters(connection)
    async with await open_pool(postgres_dsn) as pool:
        yield pool


@asynccontextmanager
async def shut(dsn: str) -> AsyncIterator[None]:
    """The database takes no connection and has lost those that it had."""
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    async with await psycopg.AsyncConnection.connect(dsn, dbname="postgres", autocommit=True) as other:

        async def allow(connections: bool) -> None:
            await other.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(str(name)), connections)
            )

        await allow(False)
        await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            await allow(True)


async def until(what: Any, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def set_aside(folder: Path) -> list[tuple[str, str]]:
    """Whose they are, and why they were refused."""
    spool = SpoolFile(folder, max_mb=64, min_free_mb=1)
    try:
        return [(each.origin, each.error) for each in spool.list_set_aside()]
    finally:
        spool.close()


async def stored(pool: Pool, numbers: range | list[int]) -> None:
    async with pool.connection() as connection:
        await assert_stored(connection, numbers)


async def test_what_is_settled_is_stored_and_in_few_batches(place: Pool, tmp_path: Path) -> None:
    async with intake_on(place, tmp_path) as (intake, spool, _):
        await intake.settled()
        for number in range(500):
            await intake.put(finished(number))
        await intake.settled()
        await stored(place, range(500))
        assert (intake.written.inserted, intake.behind, intake.away, intake.full) == (500 * ROWS, False, False, False)
        assert not (await spool.look()).waiting
        await intake.put(finished(500))
    await stored(place, range(501))


async def test_a_database_that_is_away_sends_everything_to_the_spool_and_gets_it_in_order_before_what_came_later(
    place: Pool, postgres_dsn: str, tmp_path: Path
) -> None:
    async with intake_on(place, tmp_path) as (intake, spool, store):
        for number in range(100):
            await intake.put(finished(number))
        await intake.settled()
        async with shut(postgres_dsn):
            for number in range(100, 2000):
                await intake.put(finished(number))
                if number % 300 == 0:
                    await intake.settled()
            await intake.settled()
            assert (intake.away, intake.behind) == (True, True)
            assert (await spool.look()).waiting == {"finished": 1900}
        for number in range(2000, 2100):
            await intake.put(finished(number))
        async with asyncio.timeout(20):
            await intake.settled()
            await intake.caught_up()
        assert (intake.away, intake.behind) == (False, False)
        await stored(place, range(2100))
        assert not (await spool.look()).waiting
        by_meter: dict[int, list[datetime]] = {}
        for each in store.written:
            by_meter.setdefault(each.contact.meter_id, []).append(each.contact.at)
        assert len(by_meter) == METERS
        assert all(moments == sorted(moments) for moments in by_meter.values())
        assert len(store.written) == 2100


@pytest.fixture
def own_server(service_folder: Path) -> Iterator[OwnServer]:
    server = OwnServer(service_folder)
    server.start()
    asyncio.run(migrate(server.dsn))
    yield server
    server.stop()


async def test_a_server_stopped_at_once_under_load_and_started_again_loses_nothing(
    own_server: OwnServer, tmp_path: Path
) -> None:
    async with await connect(own_server.dsn) as connection:
        await make_meters(connection)
    async with await open_pool(own_server.dsn) as pool, intake_on(pool, tmp_path) as (intake, _, store):
        count, going = 0, True

        async def load() -> None:
            nonlocal count
            while going:
                await intake.put(finished(count))
                count += 1
                assert intake.held <= WRITERS * (LIMIT + ROWS + 1)
                await asyncio.sleep(0.0002)

        loading = asyncio.create_task(load())
        for _ in range(2):
            await until(lambda: len(store.written) > 1500)
            own_server.stop_at_once()
            await until(lambda: intake.behind)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(own_server.start)
            store.written.clear()
        await until(lambda: len(store.written) > 1500)
        going = False
        await loading
        async with asyncio.timeout(30):
            await intake.settled()
            await intake.caught_up()
        await stored(pool, range(count))


FAR = datetime(2150, 1, 1, tzinfo=BEGUN.tzinfo)


@pytest.mark.parametrize(
    ("poisoned", "reason"),
    [
        (finished(5000, meter=4711), "there is no meter with id 4711"),
        (finished(5000, at=FAR), "does not start in 2000 to 2099"),
        (finished(5000, meter=2**40), "an error of ours|out of range|refused"),
    ],
    ids=["unknown meter", "unbelievable time", "number too large"],
)
async def test_one_that_is_refused_among_a_thousand_is_set_aside_alone(
    place: Pool, tmp_path: Path, poisoned: Finished, reason: str
) -> None:
    async with intake_on(place, tmp_path) as (intake, spool, _):
        for number in range(1000):
            await intake.put(finished(number))
            if number == 333:
                await intake.put(poisoned)
        await intake.settled()
        async with asyncio.timeout(20):
            await intake.caught_up()
        await stored(place, range(1000))
        assert not intake.away
        assert not (await spool.look()).waiting
    [(origin, error)] = set_aside(tmp_path)
    assert origin == f"meter id {poisoned.contact.meter_id}"
    assert re.search(reason, error)


async def test_a_database_that_refuses_everything_is_away_and_nobody_is_blamed(place: Pool, tmp_path: Path) -> None:
    async with intake_on(place, tmp_path) as (intake, _, _):
        async with place.connection() as connection:
            await connection.execute("ALTER TABLE interval_reading RENAME TO hidden")
        for number in range(200):
            await intake.put(finished(number))
        await intake.settled()
        await until(lambda: intake.away)
        await asyncio.sleep(1)
        assert set_aside(tmp_path) == []
        async with place.connection() as connection:
            await connection.execute("ALTER TABLE hidden RENAME TO interval_reading")
        async with asyncio.timeout(20):
            await intake.caught_up()
        await stored(place, range(200))


async def test_a_rule_in_the_database_that_refuses_all_sets_few_aside_and_then_counts_as_away(
    place: Pool, tmp_path: Path
) -> None:
    async with place.connection() as connection:
        await connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no more readings'; END $$"
        )
        await connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON interval_reading FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    async with intake_on(place, tmp_path) as (intake, _, _):
        for number in range(500):
            await intake.put(finished(number))
        await intake.settled()
        await until(lambda: len(set_aside(tmp_path)) >= intake_module.IN_A_ROW and intake.away)
        async with place.connection() as connection:
            await connection.execute("DROP TRIGGER refuse ON interval_reading")
        async with asyncio.timeout(20):
            await intake.caught_up()
        refused = len(set_aside(tmp_path))
        assert refused < intake_module.IN_A_ROW + 5
        assert intake.written.inserted == (500 - refused) * ROWS
        spool = SpoolFile(tmp_path, max_mb=64, min_free_mb=1)
        assert spool.retry([each.id for each in spool.list_set_aside()]) == refused
        spool.close()
        await until(lambda: intake.written.inserted == 500 * ROWS)
    await stored(place, range(500))
    assert set_aside(tmp_path) == []


async def test_with_database_and_spool_refusing_memory_is_bounded_and_all_is_taken_when_either_is_back(
    place: Pool, postgres_dsn: str, tmp_path: Path
) -> None:
    async with intake_on(place, tmp_path, max_mb=8) as (intake, spool, _):
        accepted = 0

        async def put_all() -> None:
            nonlocal accepted
            for number in range(NOISES):
                await intake.put(noise(number))
                accepted += 1

        async with shut(postgres_dsn):
            putting = asyncio.create_task(put_all())
            await until(lambda: intake.full)
            before = -1
            while accepted != before:
                before = accepted
                await asyncio.sleep(0.5)
            assert not putting.done()
            assert intake.held <= WRITERS * (LIMIT + 3000)
            assert (await spool.look()).octets <= 8 << 20
            assert intake.full
        async with asyncio.timeout(60):
            await putting
            await intake.settled()
            await intake.caught_up()
        assert not intake.full
        assert intake.written.inserted + intake.written.unchanged == NOISES * 3000


NOISES = 130


def noise(number: int) -> Finished:
    """3000 intervals that deflate makes hardly smaller, 5 values each."""
    one = finished(number, rows=3000, at=BEGUN + number // METERS * (clock() - BEGUN) / 11)
    draw = np.random.default_rng(number)
    for name in ("current", "wh_import", "wh_export", "vah_import"):
        one.readings[0].batch.values[name] = draw.integers(-(2**62), 2**62, 3000)
    return one


async def test_a_stop_while_the_database_is_away_ends_soon_and_the_next_start_goes_on(
    place: Pool, postgres_dsn: str, tmp_path: Path
) -> None:
    async with asyncio.timeout(20), AsyncExitStack() as running:
        intake, _, _ = await running.enter_async_context(intake_on(place, tmp_path))
        async with shut(postgres_dsn):
            for number in range(100):
                await intake.put(finished(number))
            await running.aclose()
            assert intake.behind
    async with await open_pool(postgres_dsn) as pool, intake_on(pool, tmp_path) as (intake, _, store):
        await intake.put(finished(100))
        async with asyncio.timeout(20):
            await intake.caught_up()
            await intake.settled()
        assert store.written[-1].contact.at == finished(100).contact.at
        await stored(pool, range(101))


def child(dsn: str, folder: Path, first: int) -> subprocess.Popen[str]:
    command = [sys.executable, taking_in.__file__, dsn, str(folder), str(first)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def told_by(process: subprocess.Popen[str], *, behind: bool, lines: int) -> int:
    """How many are durable as the process says, after so many lines of one state."""
    assert process.stdout is not None
    while lines:
        line = await asyncio.to_thread(process.stdout.readline)
        number, state = line.split()
        lines -= state == str(behind)
    return int(number)


def waiting_in(folder: Path) -> int:
    spool = SpoolFile(folder, max_mb=64, min_free_mb=1)
    try:
        return spool.size().waiting.get("finished", 0)
    finally:
        spool.close()


async def test_what_a_locked_table_keeps_waiting_is_in_the_spool_at_once_when_the_database_is_left(
    place: Pool, postgres_dsn: str, tmp_path: Path
) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_dsn) as other:
        await other.execute("LOCK TABLE interval_reading IN ACCESS EXCLUSIVE MODE")
        async with intake_on(place, tmp_path) as (intake, spool, _):
            for number in range(40):
                await intake.put(finished(number))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await intake.settled()
            intake.leave()
            await intake.put(finished(40))
            async with asyncio.timeout(5):
                await intake.settled()
            assert (await spool.look()).waiting == {"finished": 41}
        await other.rollback()
    async with intake_on(place, tmp_path) as (intake, _, _):
        await intake.caught_up()
    await stored(place, range(41))


async def test_a_process_killed_while_it_stores_spools_or_replays_loses_nothing_and_stores_nothing_twice(
    place: Pool, postgres_dsn: str, tmp_path: Path
) -> None:
    told: set[int] = set()
    first = 0
    for turn in range(3):
        process = child(postgres_dsn, tmp_path, first)
        durable = await told_by(process, behind=False, lines=2)
        if turn:
            async with shut(postgres_dsn):
                durable = await told_by(process, behind=True, lines=8 * turn)
            if turn == 2:
                most = waiting_in(tmp_path)
                await until(lambda: waiting_in(tmp_path) < most)  # noqa: B023
        await asyncio.sleep(random.uniform(0, 0.02))
        process.kill()
        rest, _ = process.communicate()
        durable = max([durable, *(int(line.split()[0]) for line in rest.splitlines() if line.endswith("e"))])
        told |= set(range(first, durable))
        first = durable + 10_000
    async with intake_on(place, tmp_path) as (intake, spool, _), asyncio.timeout(20):
        await intake.caught_up()
        assert not (await spool.look()).waiting
    async with place.connection() as connection:
        cursor = await connection.execute("SELECT DISTINCT voltage / 1000 AS number FROM interval_reading")
        numbers = {number for (number,) in await cursor.fetchall()}
        assert len(told) > 500
        assert told <= numbers
        await assert_stored(connection, sorted(numbers))
        assert await (await connection.execute("SELECT meter_id FROM reading_revision")).fetchall() == []
