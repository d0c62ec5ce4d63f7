"""Collection while the database is slow, away or refuses: nothing is lost, nothing comes twice, memory is bounded."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from field import DUE, Field, field

from headend import intake
from headend.collection import collector as collecting
from headend.store import database
from headend.store.database import borrow, connect
from headend.store.finished import Finished
from headend.store.migrate import migrate
from headend.times import utc_now
from headend.vault import KEK_VARIABLE
from profiles.errors import StoreError

TIMESCALEDB = Path(__file__).parents[1] / "services" / "timescaledb.sh"
METERS = 20


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "RETRY_WAIT_S", 0.1)


class OwnServer:
    """A durable TimescaleDB that a test may kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dsn = ""

    def start(self) -> None:
        environment = os.environ | {
            "TSDB_DATA": str(self.folder), "TSDB_SHARED_BUFFERS": "32MB", "TSDB_SAFE": "1",
        }  # fmt: skip
        self.dsn = subprocess.run(
            [TIMESCALEDB, "start"], env=environment, capture_output=True, text=True, timeout=100, check=True
        ).stdout.strip()

    def kill(self) -> None:
        """The postmaster, as a crash would: its children notice and go."""
        os.kill(int((self.folder / "cluster" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)

    def stop(self) -> None:
        subprocess.run([TIMESCALEDB, "stop"], env=os.environ | {"TSDB_DATA": str(self.folder)}, timeout=100, check=True)


@pytest.fixture
def own_server(service_folder: Path) -> Iterator[OwnServer]:
    server = OwnServer(service_folder)
    server.start()
    asyncio.run(migrate(server.dsn))
    yield server
    server.stop()


async def again(place: Field) -> None:
    """A new connection for the test's own questions."""
    place.connection = await connect(place.dsn)


async def complete_once(place: Field) -> None:
    """Every interval of every meter, each once: counted in the table itself, not through its key."""
    assert await place.complete(range(METERS)) == [True] * METERS
    assert (await place.ask("SELECT count(*) AS n FROM interval_reading"))[0]["n"] == METERS * DUE


async def test_a_database_that_is_killed_in_mid_cycle_and_comes_back_loses_nothing(own_server: OwnServer) -> None:
    async with field(own_server.dsn, METERS) as place:
        finished = 0
        async with place.collector(new_sessions_per_s=10, attempts=4) as collector:

            def count(done: Finished) -> None:
                nonlocal finished
                finished += 1

            collector.collector.on_finished = count
            cycle = asyncio.create_task(collector.cycle())
            async with asyncio.timeout(60):
                while finished < 5:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            own_server.kill()
            await asyncio.to_thread(own_server.start)
            report = await cycle
        assert set(report.failed) <= {"StoreError"}, "whose locks went with the database"
        await again(place)
        assert (await place.cycle()).failed == {}
        await complete_once(place)
        assert (await place.cycle()).meters == 0


async def test_a_database_that_stays_away_ends_the_cycle_with_one_clear_error_and_nothing_is_lost(
    own_server: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_FOR_CONNECTION_S", 2.0)
    async with field(own_server.dsn, METERS) as place:
        async with place.collector(new_sessions_per_s=20) as collector:
            collector.collector.on_finished = lambda done: own_server.kill() if done.contact.meter_id == 8 else None
            with pytest.raises(StoreError) as caught:
                await collector.cycle()
        assert caught.value.retry
        assert str(caught.value).startswith("the database: ")
        assert "see that the server runs" in str(caught.value)
        await asyncio.to_thread(own_server.start)
        await again(place)
        assert (await place.cycle()).failed == {}
        await complete_once(place)


async def test_who_waits_for_a_connection_has_one_soon_after_the_database_is_back(own_server: OwnServer) -> None:
    async def asked() -> None:
        async with borrow(pool) as connection:
            await connection.execute("SELECT 1")

    async with await database.open_pool(own_server.dsn) as pool:
        await asyncio.to_thread(own_server.stop)
        waiting = [asyncio.create_task(asked()) for _ in range(3)]
        await asyncio.sleep(6)  # the pool has given up by then
        assert not any(task.done() for task in waiting)
        await asyncio.to_thread(own_server.start)
        async with asyncio.timeout(2 * database.RECONNECT_S + 1):
            await asyncio.gather(*waiting)


async def test_what_the_database_refuses_for_good_is_set_aside_and_still_owed(timescale_dsn: str) -> None:
    async with field(timescale_dsn) as place:
        await place.connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no more readings'; END $$"
        )
        await place.connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON interval_reading FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        async with place.collector() as collector, asyncio.timeout(30):
            assert (await collector.cycle()).written.inserted == 0
            while await collector.engine.spool.waits(Finished):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert len(place.logged("entry_set_aside")) == 3
        assert await place.ask("SELECT FROM interval_reading") == []
        await place.connection.execute("DROP TRIGGER refuse ON interval_reading")
        assert (await place.cycle()).failed == {}
        assert await place.complete(range(3)) == [True] * 3


@asynccontextmanager
async def writes_held_up(dsn: str) -> AsyncIterator[None]:
    """Another transaction keeps everyone from changing meters, as a migration or a backup might."""
    async with await connect(dsn) as other, other.transaction():
        await other.execute("LOCK TABLE meter IN SHARE MODE")
        yield


async def test_a_slow_database_makes_sessions_wait(timescale_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "ROWS", 1)
    monkeypatch.setattr(intake, "LIMIT", 1)
    most = 2 + intake.WRITERS + intake.WRITERS
    """Two open sessions, what waits for each writer, and what is being written."""
    async with field(timescale_dsn, METERS) as place, place.collector(max_open_sessions=2) as collector:
        async with writes_held_up(timescale_dsn):
            cycle = asyncio.create_task(collector.cycle())
            async with asyncio.timeout(30):
                while sum(meter.last_received > 0 for meter in place.meters) < most:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.7)
            assert sum(meter.last_received > 0 for meter in place.meters) == most
        assert (await cycle).failed == {}
        await complete_once(place)


async def test_a_stop_ends_open_sessions_well_and_begins_no_other(timescale_dsn: str) -> None:
    async with field(timescale_dsn, METERS) as place:
        async with place.collector(max_open_sessions=3, new_sessions_per_s=20) as collector:
            collector.collector.on_finished = lambda done: collector.stop()
            report = await collector.cycle()
        assert report.meters == report.answered == sum(meter.last_received > 0 for meter in place.meters) < METERS
        assert report.written.inserted == report.meters * DUE
        assert (await place.cycle()).meters == METERS - report.meters
        await complete_once(place)


async def test_the_daemon_waits_for_a_database_that_is_away_and_stops_cleanly(
    own_server: OwnServer, tmp_path: Path
) -> None:
    async with field(own_server.dsn, METERS) as place:
        await place.ask("UPDATE meter SET commissioned_at = now() - interval '1 day' RETURNING 1")
        place.now = utc_now()
        own_server.kill()
        environment = os.environ | {
            KEK_VARIABLE: place.kek.hex(), "HEADEND_LOG__FORMAT": "json", "HEADEND_DATABASE__DSN": own_server.dsn,
            "HEADEND_SPOOL__FOLDER": str(tmp_path), "HEADEND_SPOOL__MIN_FREE_MB": "0",
        }  # fmt: skip
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from headend.cli.main import main; main()", "run",
            env=environment, stderr=asyncio.subprocess.PIPE, limit=2**22,
        )  # fmt: skip
        assert daemon.stderr is not None
        async with asyncio.timeout(100):
            said = await daemon.stderr.readuntil(b"database_away")
            await asyncio.to_thread(own_server.start)
            said += await daemon.stderr.readuntil(b"job_finished")
            daemon.send_signal(signal.SIGTERM)
            said += await daemon.stderr.read()
            assert await daemon.wait() == 0
        assert b'"event": "daemon_stopped"' in said
        assert b"Traceback" not in said
        assert place.kek.hex().encode() not in said
        await again(place)
        rows = await place.ask(
            "SELECT count(*) AS n, count(DISTINCT (meter_id, ts)) AS different FROM interval_reading"
        )
        assert rows[0]["n"] == rows[0]["different"] >= METERS * (DUE - 1)
