"""The spool as the running system uses it: its file, in a thread of its own.

The one rule: `append` returns when what it was given is on the disk; until then it is the caller's. Every call has a
deadline. `full` says that collection is to pause: the last `append` was refused, and there is no room yet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import structlog

from headend.spool.encoding import decode
from headend.spool.entries import KINDS, Entry, RawApdu, Row, Waiting, row_of
from headend.spool.file import ROW_OVERHEAD, Size, SpoolFile
from headend.store.finished import Finished
from profiles.errors import SpoolError

DEADLINE_S: Final = 30.0
"""The longest that one call may take; a disk that does not answer counts as one that refuses."""

T = TypeVar("T")
Kind = type[Finished] | type[RawApdu]

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def open_spool(folder: Path, *, max_mb: int, min_free_mb: int) -> AsyncIterator[Spool]:
    """The spool in `folder`, which is made where it is missing. Raises SpoolError."""
    with contextlib.closing(_Thread()) as thread:
        file = await thread.call(lambda: SpoolFile(folder, max_mb=max_mb, min_free_mb=min_free_mb))
        try:
            spool = Spool(file, thread)
            await spool.look()
            yield spool
        finally:
            await thread.call(file.close)


class _Thread:
    """One thread, in which one call after the other runs."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "spool")

    async def call(self, function: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await asyncio.get_running_loop().run_in_executor(self._executor, function)
        except TimeoutError:
            raise SpoolError(f"the disk of the spool did not answer within {DEADLINE_S:g} s") from None

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class Spool:
    """Made by `open_spool`. May be used by many tasks at once."""

    def __init__(self, file: SpoolFile, thread: _Thread) -> None:
        self._file = file
        self._call = thread.call
        self._refused = 0
        """Octets that found no room the last time; 0 when all found it."""
        self.size = Size({}, 0, 0)
        """As it was at the last `look`."""

    @property
    def full(self) -> bool:
        """What came last found no room."""
        return self._refused > 0

    async def append(self, entries: Sequence[Finished] | Sequence[RawApdu]) -> None:
        """Keep them, behind all others. Raises SpoolError where there is no room or the disk refuses."""
        await self._call(lambda: self._append(entries))

    async def oldest(self, kind: type[Entry], weight: int, now: datetime) -> list[Waiting[Entry]]:
        """Those of that kind that wait longest, until their weights reach `weight` (an APDU weighs 1).

        What can't be read is set aside on the way.
        """
        return await self._call(lambda: self._oldest(kind, weight, now))

    async def waits(self, kind: Kind) -> bool:
        """Whether any of that kind waits, whichever process put it there."""
        return await self._call(lambda: self._file.any_waiting(KINDS[kind]))

    async def remove(self, ids: Sequence[int]) -> None:
        """Forget entries, because they are stored."""
        await self._call(lambda: self._file.remove(ids))

    async def set_aside(self, entry_id: int, error: str, now: datetime) -> None:
        """Let an entry that is refused without hope wait for a person (`headend spool`)."""
        await self._call(lambda: self._file.set_aside([entry_id], error, now))
        log.error("entry_set_aside", entry=entry_id, reason=error)

    @contextlib.asynccontextmanager
    async def claim(self, kind: Kind) -> AsyncIterator[bool]:
        """Whether this process alone replays that kind for as long as this lasts; False: another one does."""
        name = KINDS[kind]
        mine = await self._call(lambda: self._file.claim(name))
        try:
            yield mine
        finally:
            if mine:
                self._file.release(name)

    async def look(self) -> Size:
        """See what waits and whether there is room again. Raises SpoolError."""
        self.size = await self._call(self._file.size)
        if self.full:
            with contextlib.suppress(SpoolError):
                await self._call(lambda: self._file.check_room(self._refused))
                self._refused = 0
        return self.size

    async def shrink(self) -> None:
        """Give the disk back what is no longer used."""
        while await self._call(self._file.shrink):
            pass

    def _append(self, entries: Sequence[Finished] | Sequence[RawApdu]) -> None:
        rows = list(filter(None, map(_row, entries)))
        try:
            self._file.append(rows)
        except SpoolError:
            self._refused = sum(len(row.octets) + ROW_OVERHEAD for row in rows)
            raise
        self._refused = 0

    def _oldest(self, kind: type[Entry], weight: int, now: datetime) -> list[Waiting[Entry]]:
        waiting = []
        for found in self._file.oldest(KINDS[kind], weight):
            try:
                waiting.append(Waiting(found.id, found.weight, decode(found.octets, kind)))
            except SpoolError as error:
                log.error("entry_set_aside", entry=found.id, reason=str(error))
                self._file.set_aside([found.id], str(error), now)
        return waiting


def _row(entry: Finished | RawApdu) -> Row | None:
    """None for what has no form in the spool: a fault of ours, which must not keep back the others."""
    try:
        return row_of(entry)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        meter = entry.contact.meter_id if isinstance(entry, Finished) else None
        log.exception("entry_lost", meter_id=meter, reason=f"it can't be written to the spool: {error}")
        return None
