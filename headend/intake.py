"""The intake: from what sessions, pushes and files brought to the store, in batches, or to the spool while it is away.

Batches are of about 10 000 rows or one second, whichever comes first, by two writers; all of one meter goes through the
same one, so that its order stays. When a write fails, the batch goes to the spool, and so do all that follow until the
spool has been replayed, oldest first. What is refused for itself is found there by halving, and set aside alone.

The one rule: what `settled` has returned for is durable, in the store or in the spool, and is not lost by SIGKILL; what
was not may be lost, and is still owed. It may be written twice, which changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

import psycopg
import structlog

from headend.spool.entries import Waiting, weight
from headend.spool.spool import Spool
from headend.store.finished import Finished
from headend.store.writer import Written
from headend.waiting import let_go
from profiles.errors import HeadEndError, SpoolError, StoreError

ROWS: Final = 10_000
SECONDS: Final = 1.0
WRITERS: Final = 2
LIMIT: Final = 2 * ROWS
"""Rows that may wait for each writer; `put` waits when there are so many."""
WRITE_S: Final = 150.0
"""The longest that one write may take; more than the store's own deadline for a statement."""
HUNG_S: Final = 300.0
"""A writer that does one thing for so long, deadlines of database and disk notwithstanding, hangs."""
STOP_S: Final = 10.0
"""The longest that the end may wait for the database, and then for the spool."""
LOOK_S: Final = 1.0
LONGEST_WAIT_S: Final = 5.0
TRIES: Final = 3
"""How often one alone may meet the store's deadline before it is set aside."""
IN_A_ROW: Final = 20
"""Set aside one after the other: then it is rather the database that refuses, and the next ones go slowly."""

_OF_DATA: Final = frozenset({"21", "22", "23", "54", "P0", "XX"})
"""Classes of SQLSTATE by which a server refuses what it was given; all others mean the server or its state."""

log = structlog.get_logger(__name__)


class Store(Protocol):
    """What the intake writes to."""

    async def write(self, finished: Sequence[Finished], now: datetime) -> Written:
        """All of it in one transaction or nothing. Raises StoreError."""


class Intake:
    """Two writers behind bounded lines, and a spool beside them: `async with intake.open(): await intake.put(...)`."""

    def __init__(self, store: Store, spool: Spool, *, clock: Callable[[], datetime]) -> None:
        self.written = Written()
        """By this process, what was replayed included."""
        self.batches = 0
        """Written likewise."""
        self.away = False
        """The database is: the last write did not succeed, for no fault of what was written."""
        self._store = store
        self._spool = spool
        self._clock = clock
        self._lines = tuple(_Line() for _ in range(WRITERS))
        self._current = asyncio.Event()
        self._behind = asyncio.Event()
        self._order = asyncio.Lock()
        """Held to append, and to find that nothing waits any more."""
        self._size = ROWS
        """How much is replayed at once: less after a refusal, to find out what is refused."""
        self._failures = 0
        """Of one alone, by the store's deadline."""
        self._in_a_row = 0
        """Set aside since something was written."""
        self._writes: set[asyncio.Timeout] = set()
        self._end = float("inf")
        self._left = False
        """The database is waited for no more."""

    @property
    def behind(self) -> bool:
        """Something waits in the spool: no cycle is to ask the ledger before it is replayed."""
        return self._behind.is_set()

    @property
    def full(self) -> bool:
        """There is no room left in the spool while it is needed: collection is to pause."""
        return self._spool.full and (self.away or self.behind)

    @property
    def held(self) -> int:
        """Rows that wait in memory."""
        return sum(line.held for line in self._lines)

    @property
    def hung(self) -> bool:
        """A writer has not come to an end of one try for longer than all deadlines of it together."""
        now = asyncio.get_running_loop().time()
        return any(line.tried_at is not None and now - line.tried_at > HUNG_S for line in self._lines)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take in as long as this lasts. All that was put is durable when it has ended.

        Raises StoreError where neither the database nor the spool took it in time; an error of ours that is raised
        inside comes out as itself.
        """
        if await self._spool.waits(Finished):
            self._behind.set()
        else:
            self._current.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                writers = [tasks.create_task(self._write_until_closed(line)) for line in self._lines]
                beside = [tasks.create_task(self._replay()), tasks.create_task(self._look())]
                yield
                self._stop()
                await asyncio.wait(writers)
                for task in beside:
                    task.cancel()
        except BaseExceptionGroup as group:
            refused, others = group.split(HeadEndError)
            if refused is None or others is not None:
                raise
            raise _first(refused) from None

    def leave(self) -> None:
        """Wait for the database no more: what is held goes to the spool."""
        self._left = True
        for limit in self._writes:
            limit.reschedule(asyncio.get_running_loop().time())

    async def put(self, finished: Finished) -> None:
        """Hand over what one session, push or file brought; waits while too much waits already."""
        await self._lines[finished.contact.meter_id % WRITERS].put(finished)

    async def settled(self) -> None:
        """Return when all that was put before is durable; waits for as long as nothing takes it."""
        for durable in [line.watch() for line in self._lines]:
            await durable

    async def caught_up(self) -> None:
        """Return when nothing waits in the spool."""
        await self._current.wait()

    # -- new ones ---------------------------------------------------------------------------------------------

    async def _write_until_closed(self, line: _Line) -> None:
        while batch := await line.gather():
            await self._keep(batch, line)
            line.tried_at = None
            line.settle(len(batch))

    async def _keep(self, batch: Sequence[Finished], line: _Line) -> None:
        """Make the batch durable: in the store, or behind others in the spool; waits while neither takes it."""
        wait = 0.5
        while True:
            line.tried_at = asyncio.get_running_loop().time()
            if not (self.behind or self._left) and await self._write(batch) is None:
                return
            try:
                async with self._order:
                    await self._spool.append(batch)
                    self._current.clear()
                    self._behind.set()
                return
            except SpoolError as error:
                log.error("spool_refuses", sessions=len(batch), again_in_s=wait, reason=str(error))
                if asyncio.get_running_loop().time() + wait > self._end:
                    raise
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_S)

    async def _write(self, batch: Sequence[Finished]) -> _Failure | None:
        """Write to the store; how that failed, if it did."""
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(now + WRITE_S, max(now, self._end))) as limit:
                self._writes.add(limit)
                try:
                    written = await let_go(self._store.write(batch, self._clock()))
                finally:
                    self._writes.discard(limit)
        except Exception as error:
            failure = _failure(error)
            ours = len(batch) == 1 and not isinstance(error, TimeoutError | HeadEndError)
            self.away = not failure.of_data
            log.warning("batch_not_written", sessions=len(batch), away=self.away, reason=failure.reason, exc_info=ours)
            return failure
        self.written += written
        self.batches += 1
        self.away = False
        return None

    def _stop(self) -> None:
        """Let the writers come to their end, within a limit."""
        self._end = asyncio.get_running_loop().time() + STOP_S
        for limit in self._writes:
            limit.reschedule(self._end)
        for line in self._lines:
            line.close()

    # -- those that wait in the spool ------------------------------------------------------------------------

    async def _look(self) -> None:
        """Keep the spool's size, and whether it is full, up to date until cancelled."""
        while True:
            with contextlib.suppress(SpoolError):
                await self._spool.look()
            await asyncio.sleep(LOOK_S)

    async def _replay(self) -> None:
        """Bring what waits in the spool to the store until cancelled, or left."""
        wait = LOOK_S
        while not self._left:
            try:
                going_on = await self._replay_some()
            except SpoolError as error:
                log.error("spool_refuses", again_in_s=wait, reason=str(error))
                going_on = False
            if going_on:
                wait = LOOK_S
                continue
            await self._pause(wait)
            wait = min(2 * wait, LONGEST_WAIT_S) if self.away else LOOK_S

    async def _pause(self, seconds: float) -> None:
        """Wait so long; while there is nothing to replay, until there is."""
        if self.behind:
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._behind.wait()

    async def _replay_some(self) -> bool:
        """Bring a batch from the spool to the store; False where there is none, or it has to wait."""
        async with self._spool.claim(Finished) as mine:
            waiting = await self._spool.oldest(Finished, self._size, self._clock()) if mine else []
            if not waiting:
                return await self._look_whether_behind()
            self._current.clear()
            self._behind.set()
            failure = await self._write([each.value for each in waiting])
            if failure is not None:
                return await self._narrow(waiting, failure)
            await self._remove([each.id for each in waiting])
            self._size = min(ROWS, 2 * self._size)
            self._failures = self._in_a_row = 0
            return True

    async def _look_whether_behind(self) -> bool:
        """See whether any waits still (another process may replay them); whether to go on at once."""
        async with self._order:
            if await self._spool.waits(Finished):
                return False
            caught_up = self.behind
            self._behind.clear()
            self._current.set()
        if caught_up:
            log.info("caught_up")
            await self._spool.shrink()
        return False

    async def _narrow(self, waiting: Sequence[Waiting[Finished]], failure: _Failure) -> bool:
        """Halve what is tried next, and set aside what is refused alone; whether to go on at once."""
        if len(waiting) > 1:
            self._size = max(1, sum(each.weight for each in waiting) // 2)
            return failure.of_data
        self._failures += failure.too_long
        if not failure.of_data and self._failures < TRIES:
            return False
        await self._spool.set_aside(waiting[0].id, failure.reason, self._clock())
        self._failures = 0
        self._in_a_row += 1
        self.away = self._in_a_row >= IN_A_ROW
        return not self.away

    async def _remove(self, ids: Sequence[int]) -> None:
        """What is stored must go, or it is stored again and again; a full disk may not allow it yet."""
        while True:
            try:
                await self._spool.remove(ids)
                return
            except SpoolError as error:
                log.error("spool_refuses", again_in_s=LOOK_S, reason=str(error))
            await asyncio.sleep(LOOK_S)


class _Failure(NamedTuple):
    """`of_data`: what was given is refused; else the database can't serve. `too_long`: its own deadline passed."""

    reason: str
    of_data: bool
    too_long: bool


def _failure(error: Exception) -> _Failure:
    if isinstance(error, TimeoutError):
        return _Failure("the database did not answer in time", False, False)
    if not isinstance(error, StoreError):
        return _Failure(f"an error of ours: {type(error).__name__}: {error}", True, False)
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error):
        return _Failure(str(error), not error.retry, False)
    too_long = isinstance(cause, psycopg.errors.QueryCanceled)
    if cause.sqlstate is None:
        return _Failure(str(error), not isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError), too_long)
    return _Failure(str(error), cause.sqlstate[:2] in _OF_DATA, too_long)


class _Line:
    """What waits for one writer, bounded by its rows, and who waits until it is durable."""

    def __init__(self) -> None:
        self.held = 0
        """Rows in it."""
        self.tried_at: float | None = None
        """When its writer began what it does now, by the loop's clock; None: it waits for more."""
        self._items: deque[tuple[Finished, float]] = deque()
        """With the time at which each was put, by the loop's clock."""
        self._room = asyncio.Event()
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._closed = False
        self._taken_in = self._durable = 0
        self._watchers: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._mark()

    async def put(self, finished: Finished) -> None:
        while self.held >= LIMIT:
            await self._room.wait()
        self._items.append((finished, asyncio.get_running_loop().time()))
        self.held += weight(finished)
        self._taken_in += 1
        self._mark()

    async def gather(self) -> list[Finished]:
        """The next batch: large enough, or its first a second old. Empty at the end of all."""
        await self._some.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._items[0][1] + SECONDS if self._items else None):
                await self._enough.wait()
        batch: list[Finished] = []
        rows = 0
        while self._items and rows < ROWS:
            batch.append(self._items.popleft()[0])
            rows += weight(batch[-1])
        self.held -= rows
        self._mark()
        return batch

    def settle(self, count: int) -> None:
        """The `count` that were gathered first are durable."""
        self._durable += count
        while self._watchers and self._watchers[0][0] <= self._durable:
            _, watcher = self._watchers.popleft()
            if not watcher.done():
                watcher.set_result(None)

    def watch(self) -> asyncio.Future[None]:
        """Done when all that is in here now is durable."""
        watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.append((self._taken_in, watcher))
        self.settle(0)
        return watcher

    def close(self) -> None:
        """No more will come."""
        self._closed = True
        self._mark()

    def _mark(self) -> None:
        for event, holds in (
            (self._room, self.held < LIMIT),
            (self._some, bool(self._items) or self._closed),
            (self._enough, self.held >= ROWS or self._closed),
        ):
            if holds:
                event.set()
            else:
                event.clear()


def _first(group: BaseExceptionGroup[HeadEndError]) -> HeadEndError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
