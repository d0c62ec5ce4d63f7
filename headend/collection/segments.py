"""Segments: whether one can be reached while its job runs, and when it is asked again.

The one rule: a segment is down once so many of its meters could not be reached and none was; it is then left alone for
a while, and one meter tells whether it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import structlog

from headend.collection.tasks import Task
from headend.store.database import Pool, borrow
from headend.store.statements import statement
from profiles.errors import HeadEndError, LinkError, SettingsError

DOWN_AFTER: Final = 5
"""So many meters of a segment, or all of a smaller one, none of which can be reached: it is down."""
DOWN_SHARE: Final = 0.2
"""Or so large a share of it, if that is more."""

log = structlog.get_logger(__name__)


class Known(NamedTuple):
    """What is known of a segment: `meters`: that it has and that are not parked."""

    name: str
    down_since: datetime | None
    try_again_at: datetime | None
    meters: int


@dataclass(slots=True, eq=False)
class SegmentRun:
    """A segment while its job runs."""

    size: int
    """All its meters, asked or not."""
    places: asyncio.Semaphore
    unreached: set[int] = field(default_factory=set)
    """Meters that could not be reached."""
    reached: bool = False
    reason: str = ""
    left_out: int = 0
    """Meters that were not begun."""

    @property
    def down(self) -> bool:
        enough = min(self.size, max(DOWN_AFTER, DOWN_SHARE * self.size))
        return not self.reached and len(self.unreached) >= max(1, enough)

    def learn(self, meter_id: int, error: HeadEndError | None) -> None:
        """What a try says of the segment; one that failed before a meter was spoken to says nothing."""
        if isinstance(error, LinkError):
            self.unreached.add(meter_id)
            self.reason = error.message
        elif not isinstance(error, SettingsError):
            self.reached = True


class Segments:
    """What is kept of segments. Each method raises StoreError."""

    def __init__(self, pool: Pool, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._clock = clock

    async def find(self, segment_id: int) -> Known | None:
        """None where there is no such segment."""
        async with borrow(self._pool) as connection:
            cursor = await connection.execute(statement("segment_of"), {"segment": segment_id, "now": self._clock()})
            row = await cursor.fetchone()
        return None if row is None else Known(*row)

    async def due_again(self, segment_id: int, tasks: Set[Task], at: datetime) -> None:
        """The segment is due for these at this moment, if not before."""
        again = {"segment": segment_id, "at": at, "tasks": sorted(tasks)}
        async with borrow(self._pool) as connection:
            await connection.execute(statement("segment_again"), again)

    async def up(self, segment_id: int, name: str) -> None:
        """A meter of it was reached."""
        async with borrow(self._pool) as connection:
            cursor = await connection.execute(statement("segment_up"), {"segment": segment_id})
            if await cursor.fetchone() is not None:
                log.info("segment_up", segment=name)

    async def down(self, segment_id: int, name: str, tasks: Set[Task], reason: str) -> None:
        """None of its meters was reached; later it is due for these."""
        parameters = {"segment": segment_id, "at": self._clock(), "reason": reason, "tasks": sorted(tasks)}
        async with borrow(self._pool) as connection:
            cursor = await connection.execute(statement("segment_down"), parameters)
            row = await cursor.fetchone()
        log.warning("segment_down", segment=name, reason=reason, again_at=None if row is None else row[0].isoformat())
