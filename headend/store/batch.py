"""A batch: everything that some sessions, pushes or files brought, in one transaction.

The one rule: all of it or nothing, any number of times, in any order and from any number of nodes, and the same rows
come of it. A push whose counter was settled before brings nothing at all.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog
from psycopg import errors

from drivers.push.window import Freshness, ReplayWindow, accept
from headend.registry import park, record_contacts
from headend.store.absence import record_coverage
from headend.store.beside import write_clocks, write_events, write_nameplates, write_profiles
from headend.store.counters import record_received
from headend.store.database import Connection, Edition, Pool, borrow
from headend.store.finished import Contact, Finished
from headend.store.layouts import save_layouts
from headend.store.statements import statement
from headend.store.writer import Partitions, Written, prepare, write_intervals
from profiles.errors import StoreError

ATTEMPTS: Final = 5
_BITS: Final = 1 << 64

log = structlog.get_logger(__name__)


class Store:
    """Writes batches. May be used by many tasks at once."""

    def __init__(self, pool: Pool, edition: Edition) -> None:
        self._pool = pool
        self._partitions = Partitions(edition)

    async def write(self, finished: Sequence[Finished], now: datetime) -> Written:
        """Store all of it or nothing. About 10 000 intervals a call serve best.

        Raises StoreError: `retry` says whether the same call can work later.
        """
        if not finished:
            return Written()
        items = [item for one in finished for item in one.readings]
        prepare(items)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with borrow(self._pool) as connection:
                    await self._partitions.ensure(connection, items)
                    async with connection.transaction():
                        return await write_batch(connection, finished, now=now)
            except StoreError as error:
                if attempt == ATTEMPTS or not self._again(error):
                    raise
                log.info("write_again", attempt=attempt, reason=error.message)
                await asyncio.sleep(random.uniform(0, 0.1 * 2**attempt))  # noqa: S311
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _again(self, error: StoreError) -> bool:
        if isinstance(error.__cause__, errors.CheckViolation):
            return self._partitions.forget()
        return isinstance(error.__cause__, errors.DeadlockDetected | errors.SerializationFailure)


async def write_batch(connection: Connection, finished: Sequence[Finished], *, now: datetime) -> Written:
    """Store all of it in the caller's transaction. Raises StoreError."""
    news = await _settle_pushes(connection, finished)
    written = Written(repeated=len(finished) - len(news))
    await _write_contacts(connection, news)
    if nameplates := [one.nameplate for one in news if one.nameplate is not None]:
        await write_nameplates(connection, nameplates)
    written += await write_intervals(connection, [item for one in news for item in one.readings], now)
    if profiles := [row for one in news for row in one.profiles]:
        written += await write_profiles(connection, profiles, now)
    words = [one.status_word for one in news if one.status_word is not None]
    marks = [mark for one in news for mark in one.marks]
    written += await write_events(connection, [event for one in news for event in one.events], marks, words)
    if clocks := [one.clock for one in news if one.clock is not None]:
        await write_clocks(connection, clocks)
    if covered := [span for one in news for span in one.covered]:
        await record_coverage(connection, covered, now)
    return written


async def _write_contacts(connection: Connection, finished: Sequence[Finished]) -> None:
    """The meters' counters, what they said of their profiles, that they answered, and which are to be left alone."""
    received: dict[tuple[int, bytes], int] = {}
    for one in finished:
        for key, counter in one.received.items():
            received[key] = max(counter, received.get(key, -1))
    if received:
        await record_received(connection, received)
    for profile in sorted({name for one in finished for name in one.layouts}):
        of_profile = [one for one in finished if profile in one.layouts]
        layouts = {one.contact.meter_id: one.layouts[profile] for one in of_profile}
        await save_layouts(connection, layouts, profile, max(one.contact.at for one in of_profile))
    await record_contacts(connection, _latest([one.contact for one in finished]))
    for one in finished:
        if one.park:
            await park(connection, one.contact.meter_id, one.contact.error or "", one.contact.at)


def _latest(contacts: Sequence[Contact]) -> list[Contact]:
    """At most one a meter that answered and one that did not, in the order of meters: all take locks in one order."""
    by_meter = {(one.meter_id, one.error is None): one for one in sorted(contacts, key=lambda one: one.at)}
    merged: dict[int, Contact] = {}
    for (meter_id, _), one in sorted(by_meter.items()):
        other = merged.get(meter_id)
        merged[meter_id] = one if other is None or one.at >= other.at else other
    return list(merged.values())


async def _settle_pushes(connection: Connection, finished: Sequence[Finished]) -> list[Finished]:
    """Put the counters of pushes to their windows; what is not a repetition."""
    pushed = [one for one in finished if one.push is not None]
    if not pushed:
        return list(finished)
    counters: dict[tuple[int, bytes], list[int]] = {}
    for one in pushed:
        assert one.push is not None
        counters.setdefault((one.push.key_id, one.push.system_title), []).append(one.push.counter)
    order = sorted(counters)
    names = {"keys": [key for key, _ in order], "titles": [title for _, title in order]}
    await connection.execute(statement("windows_make"), names)
    cursor = await connection.execute(statement("windows_load"), names)
    windows = {
        (key, bytes(title)): ReplayWindow(top, bits % _BITS) for key, title, top, bits in await cursor.fetchall()
    }
    said = {}
    for key in order:
        windows[key], said[key] = accept(windows[key], counters[key])
    await connection.execute(
        statement("windows_save"),
        names
        | {
            "highest": [windows[key].highest for key in order],
            "bitmap": [_signed(windows[key].bitmap) for key in order],
        },
    )
    verdicts = {key: iter(each) for key, each in said.items()}
    return [
        one
        for one in finished
        if one.push is None or next(verdicts[one.push.key_id, one.push.system_title]) is Freshness.NEW
    ]


def _signed(bits: int) -> int:
    """64 bits as the database's bigint has them."""
    return bits - _BITS if bits >= _BITS // 2 else bits
