"""From finished sessions to the database: batches of about 10 000 intervals or one second, whichever comes first.

The one rule: what a session learnt (rows, layout, the meter's counter, that it answered) becomes durable together or is
asked again; while the database is away nothing is dropped but what is still owed, and sessions wait at the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from drivers.reading import Layout
from headend.registry import park, record_contacts
from headend.store.counters import record_received
from headend.store.database import Pool, borrow
from headend.store.finished import Contact
from headend.store.layouts import save_layouts
from headend.store.rows import MeterIntervals
from headend.store.writer import Writer, Written
from profiles.errors import HeadEndError, StoreError

ROWS: Final = 10_000
SECONDS: Final = 1.0
WAITING: Final = 256
"""Finished sessions that may wait for the database before further ones have to."""
WRITERS: Final = 2
PATIENCE_S: Final = 60.0
"""How long a batch waits for a database that is away, before the cycle is given up; its rows are still owed."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """What one session brought home."""

    contact: Contact
    readings: tuple[MeterIntervals, ...] = ()
    layout: Layout | None = None
    """Only where it was read anew."""
    received: dict[tuple[int, bytes], int] = field(default_factory=dict)
    """The meter's own highest counter, by (key id, system title)."""
    park: bool = False
    """It is to be left alone, for its contact's error, until someone has looked."""

    @property
    def rows(self) -> int:
        return sum(len(item.batch.start) for item in self.readings)


class Batches:
    """Two writers behind one bounded queue; `async with batches.open(): await batches.put(...)`."""

    def __init__(self, pool: Pool, writer: Writer, profile: str) -> None:
        self.written = Written()
        self._pool = pool
        self._writer = writer
        self._profile = profile
        self._queue: asyncio.Queue[Finished | None] = asyncio.Queue(WAITING)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Write as long as this lasts, and all that was put before it ends.

        Raises StoreError, and cancels what goes on inside, when a batch can't be written; and whatever error of ours
        is raised inside, as itself.
        """
        try:
            async with asyncio.TaskGroup() as writers:
                for _ in range(WRITERS):
                    writers.create_task(self._write_until_told())
                yield
                for _ in range(WRITERS):
                    await self._queue.put(None)
        except BaseExceptionGroup as group:
            refused, others = group.split(HeadEndError)
            if refused is None or others is not None:
                raise
            raise _first(refused) from None

    async def put(self, finished: Finished) -> None:
        """Hand over a session's result; waits while the queue is full."""
        await self._queue.put(finished)

    async def _write_until_told(self) -> None:
        more = True
        while more:
            batch: list[Finished] = []
            first = await self._queue.get()
            more = first is not None
            if first is not None:
                batch.append(first)
                more = await self._gather(batch)
            if batch:
                await self._write_patiently(batch)

    async def _gather(self, batch: list[Finished]) -> bool:
        """Add to the batch until it is large or old enough; False at the end of all."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                while sum(finished.rows for finished in batch) < ROWS:
                    finished = await self._queue.get()
                    if finished is None:
                        return False
                    batch.append(finished)
        return True

    async def _write_patiently(self, batch: list[Finished]) -> None:
        loop = asyncio.get_running_loop()
        deadline, wait = loop.time() + PATIENCE_S, 0.5
        while True:
            try:
                await self._write(batch)
                return
            except StoreError as error:
                if not error.retry or loop.time() + wait > deadline:
                    raise
                log.warning("batch_waits", sessions=len(batch), seconds=wait, reason=str(error))
                await asyncio.sleep(wait)
                wait = min(2 * wait, 10)

    async def _write(self, batch: list[Finished]) -> None:
        """Counters first: a crash before the rows makes the meter be read again, never a replay be believed."""
        received: dict[tuple[int, bytes], int] = {}
        for finished in batch:
            received |= finished.received
        layouts = {finished.contact.meter_id: finished.layout for finished in batch if finished.layout is not None}
        async with borrow(self._pool) as connection:
            if received:
                await record_received(connection, received)
            if layouts:
                await save_layouts(connection, layouts, self._profile, _latest(batch))
            await record_contacts(connection, [finished.contact for finished in batch])
            for finished in batch:
                if finished.park:
                    await park(connection, finished.contact.meter_id, finished.contact.error or "", finished.contact.at)
        written = await self._writer.write([item for finished in batch for item in finished.readings])
        self.written += written
        log.debug("batch_written", sessions=len(batch), inserted=written.inserted, updated=written.updated)


def _first(group: BaseExceptionGroup[HeadEndError]) -> HeadEndError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _latest(batch: list[Finished]) -> datetime:
    return max(finished.contact.at for finished in batch)
