"""Transactions of the store: on partitions that are there, and again where another one was in the way.

The one rule: `work` runs as a whole or not at all, and may run several times.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

import numpy as np
import structlog
from psycopg import errors

from headend.store.database import Connection, Edition, Pool, borrow
from headend.store.rows import UNIX_EPOCH, MeterIntervals
from profiles.errors import StoreError

ATTEMPTS: Final = 5
_WEEK_US: Final = 7 * 86_400 * 1_000_000

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Transactions:
    """Runs what writes intervals. May be used by many tasks at once."""

    def __init__(self, pool: Pool, edition: Edition) -> None:
        self._pool = pool
        self._weeks: set[int] | None = set() if edition == "postgresql" else None

    async def run(self, items: Sequence[MeterIntervals], work: Callable[[Connection], Awaitable[T]]) -> T:
        """`work` in a transaction that may store these intervals.

        Raises StoreError: `retry` says whether the same call can work later.
        """
        for attempt in range(ATTEMPTS):
            try:
                async with borrow(self._pool) as connection:
                    await self._ensure_partitions(connection, items)
                    async with connection.transaction():
                        return await work(connection)
            except StoreError as error:
                if attempt + 1 == ATTEMPTS or not self._again(error):
                    raise
                log.info("write_again", attempt=attempt + 1, reason=error.message)
                await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _again(self, error: StoreError) -> bool:
        """Whether the same may work at once: others were in the way, or a partition was dropped meanwhile."""
        if isinstance(error.__cause__, errors.CheckViolation) and self._weeks:
            self._weeks.clear()
            return True
        return isinstance(error.__cause__, errors.DeadlockDetected | errors.SerializationFailure)

    async def _ensure_partitions(self, connection: Connection, items: Sequence[MeterIntervals]) -> None:
        """Native partitions for every week that there are rows in; TimescaleDB makes its chunks itself."""
        if self._weeks is None or not items:
            return
        starts = [item.batch.start for item in items]
        starts.append(np.array([extra.start_us for item in items for extra in item.batch.extras], np.int64))
        for week in np.unique(np.concatenate(starts) // _WEEK_US).tolist():
            if week not in self._weeks:
                await ensure_partitions(connection, _moment(week * _WEEK_US), _moment((week + 1) * _WEEK_US - 1))
                self._weeks.add(week)


async def ensure_partitions(connection: Connection, first: datetime, last: datetime) -> None:
    """Make the weekly partitions from that of `first` to that of `last` (plain PostgreSQL only)."""
    await connection.execute("SELECT ensure_partitions(%s, %s)", (first, last))


def _moment(us: int) -> datetime:
    return UNIX_EPOCH + timedelta(microseconds=us)
