"""One association a meter across workers: advisory locks, on a real database."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from headend.collection.locks import CLASS, MeterLocks
from profiles.errors import StoreError


async def test_a_meter_is_held_by_one_worker_at_a_time(dsn: str) -> None:
    async with MeterLocks(dsn) as one, MeterLocks(dsn) as other:
        async with one.hold(7) as mine:
            assert mine
            async with other.hold(7) as theirs:
                assert not theirs
            async with other.hold(8) as theirs:
                assert theirs
            async with one.hold(7) as again:
                assert not again, "nor by two sessions of one worker"
        async with asyncio.timeout(5):
            while True:
                async with other.hold(7) as theirs:
                    if theirs:
                        break


async def test_a_thousand_meters_are_taken_and_given_back_in_a_few_statements(dsn: str) -> None:
    async with MeterLocks(dsn) as locks, MeterLocks(dsn) as other:

        async def visit(meter: int) -> bool:
            async with locks.hold(meter) as mine:
                await asyncio.sleep(0.01)
                return mine

        assert all(await asyncio.gather(*map(visit, range(1000))))
        assert locks.held == 0
        await asyncio.sleep(0.2)
        async with other.hold(999) as mine:
            assert mine


async def test_a_lost_connection_ends_the_sessions_that_its_locks_covered(dsn: str) -> None:
    async with MeterLocks(dsn) as locks:
        ended = asyncio.Event()

        async def visit() -> None:
            try:
                async with locks.hold(7) as mine:
                    assert mine
                    await asyncio.sleep(60)
            finally:
                ended.set()

        session = asyncio.create_task(visit())
        async with asyncio.timeout(20):
            with psycopg.connect(dsn, autocommit=True) as connection:
                who = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = 7"
                row = None
                while row is None:
                    await asyncio.sleep(0.01)
                    row = connection.execute(who, (CLASS,)).fetchone()
                connection.execute("SELECT pg_terminate_backend(%s)", row)
            await ended.wait()
            with pytest.raises(StoreError, match="lost with its connection"):
                await session
            held = False
            while not held:
                try:
                    async with locks.hold(7) as held:
                        pass
                except StoreError:
                    await asyncio.sleep(0.05)


async def test_a_session_that_is_cancelled_while_it_waits_leaves_no_lock(dsn: str) -> None:
    async with MeterLocks(dsn) as locks, MeterLocks(dsn) as other:
        for wait in (0, 0.001, 0.004, 0.006, 0.02):

            async def visit() -> None:
                async with locks.hold(7):
                    await asyncio.sleep(60)

            session = asyncio.create_task(visit())
            await asyncio.sleep(wait)
            session.cancel()
            with pytest.raises(asyncio.CancelledError):
                await session
            async with asyncio.timeout(5):
                while True:
                    async with other.hold(7) as mine:
                        if mine:
                            break
            await asyncio.sleep(0.05)
