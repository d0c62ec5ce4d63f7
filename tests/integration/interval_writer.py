"""Writes intervals alone, as sessions that brought nothing else, through the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from headend.store.batch import Store
from headend.store.database import Edition, Pool
from headend.store.finished import Contact, Finished
from headend.store.rows import MeterIntervals
from headend.store.writer import Written


class Writer:
    def __init__(self, pool: Pool, edition: Edition) -> None:
        self._store = Store(pool, edition)

    async def write(self, items: Sequence[MeterIntervals]) -> Written:
        """All of it or nothing, as if it were the time of the last reading."""
        finished = [Finished(Contact(item.meter_id, item.read_at), (item,)) for item in items]
        now = max((item.read_at for item in items), default=datetime.now(UTC))
        return await self._store.write(finished, now)
