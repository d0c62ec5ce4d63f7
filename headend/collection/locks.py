"""One association a meter, whichever worker has it: advisory locks on one connection of their own.

The one rule: a session goes on only while its lock is held. When the connection drops, the locks are gone with it, and
every session that they covered is ended at once; what it read so far is kept, the rest is still owed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import psycopg
import structlog
from psycopg.conninfo import make_conninfo

from headend.store.database import Connection, connect
from headend.store.statements import statement
from profiles.errors import HeadEndError, StoreError

CLASS: Final = 0x4845
"""The first key of our advisory locks."""
GATHER_S: Final = 0.005
"""Meters that are wanted within so short a time are asked for by one statement."""
LOOK_EVERY_S: Final = 5.0
"""How long a lost connection may stay unnoticed."""
ANSWER_S: Final = 10.0
LONGEST_WAIT_S: Final = 5.0
"""Between tries to connect while the database is away."""
KEEPALIVES: Final = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}

log = structlog.get_logger(__name__)


class MeterLocks:
    """`async with MeterLocks(dsn) as locks:` … `async with locks.hold(meter_id) as mine:`"""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None
        self._wanted: dict[int, asyncio.Future[bool]] = {}
        self._done: set[int] = set()
        self._held: dict[int, asyncio.Timeout] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> MeterLocks:
        self._connection = await self._connect()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._drop("closing")
        if self._connection is not None:
            await self._connection.close()

    @property
    def held(self) -> int:
        """How many meters are locked."""
        return len(self._held)

    @contextlib.asynccontextmanager
    async def hold(self, meter_id: int) -> AsyncIterator[bool]:
        """Whether the meter is ours for the length of the block; False: another worker has it.

        Raises StoreError when the lock is lost meanwhile, or can't be asked for.
        """
        if meter_id in self._held or meter_id in self._wanted:
            yield False
            return
        future = self._wanted[meter_id] = asyncio.get_running_loop().create_future()
        self._wake.set()
        try:
            mine = await future
        except asyncio.CancelledError:
            self._wanted.pop(meter_id, None)
            if future.done() and not future.cancelled() and future.exception() is None and future.result():
                self._release(meter_id)
            raise
        if not mine:
            yield False
            return
        cover = asyncio.timeout(None)
        try:
            async with cover:
                self._held[meter_id] = cover
                yield True
        except TimeoutError:
            if cover.expired():
                raise StoreError("the lock on this meter was lost with its connection") from None
            raise
        finally:
            if self._held.pop(meter_id, None) is not None:
                self._release(meter_id)

    def _release(self, meter_id: int) -> None:
        self._done.add(meter_id)
        self._wake.set()

    async def _run(self) -> None:
        wait = 1.0
        while True:
            try:
                if self._connection is None:
                    self._connection = await self._connect()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._wake.wait()
                await asyncio.sleep(GATHER_S)
                self._wake.clear()
                async with asyncio.timeout(ANSWER_S):
                    await self._exchange(self._connection)
                wait = 1.0
            except (psycopg.Error, HeadEndError, TimeoutError) as error:
                self._drop(str(error) or "no answer in time")
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_S)

    async def _exchange(self, connection: Connection) -> None:
        """Give back, then ask for; with nothing of either, see that the connection stands."""
        done, self._done = self._done, set()
        if done:
            await connection.execute(statement("locks_release"), {"class": CLASS, "meters": sorted(done)})
        wanted = sorted(self._wanted)
        cursor = await connection.execute(statement("locks_take"), {"class": CLASS, "meters": wanted})
        taken = {meter for (meter,) in await cursor.fetchall()}
        for meter_id in wanted:
            future = self._wanted.pop(meter_id, None)
            if future is None or future.done():
                if meter_id in taken:
                    self._release(meter_id)
            else:
                future.set_result(meter_id in taken)

    def _drop(self, reason: str) -> None:
        """The connection is of no more use: neither are its locks."""
        if self._held:
            log.error("meter_locks_lost", meters=len(self._held), reason=reason)
        now = asyncio.get_running_loop().time()
        for cover in self._held.values():
            cover.reschedule(now)
        self._held.clear()
        self._done.clear()
        for future in self._wanted.values():
            if not future.done():
                future.set_exception(StoreError("meters can't be locked: the database is away"))
        self._wanted.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            closing = asyncio.ensure_future(connection.close())
            closing.add_done_callback(lambda task: task.exception())

    async def _connect(self) -> Connection:
        return await connect(make_conninfo(self._dsn, **KEEPALIVES))
