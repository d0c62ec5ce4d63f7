"""The dispatcher: each minute, every segment whose time has come gets its job.

The one rule: a segment is asked no later than it is due, and what was missed while nothing ran is made up for; which of
several nodes does it makes no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from headend.collection.jobs import Jobs
from headend.collection.tasks import TASKS, Task, next_due, scheduled
from headend.settings import Schedules
from headend.store.database import Connection, Pool, borrow, store_errors
from headend.store.statements import statement

AT_ONCE: Final = 10_000
"""Segments that get their jobs in one minute, at most."""
_LOCK: Final = "headend.dispatch"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Due:
    """A segment and what it is due for."""

    segment: int
    name: str
    tasks: tuple[Task, ...]
    """Empty where nothing of what it never was asked for is scheduled."""
    settle: Mapping[Task, datetime]
    """When it is due again, once it was asked."""


async def dispatch(pool: Pool, jobs: Jobs, schedules: Schedules, zone: str, now: datetime) -> int:
    """Make a job for each segment that is due at `now`, and say when it is due next; how many were made.

    Raises StoreError.
    """
    made = 0
    async with borrow(pool) as connection:
        cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", (_LOCK,))
        if await cursor.fetchone() != (True,):
            return 0  # another node is at it
        try:
            for due in await due_segments(connection, schedules, zone, now):
                # Where a job waits already it may not ask for all of this: the segment stays due.
                if not due.tasks or await jobs.defer_segment(due.segment, due.tasks):
                    made += bool(due.tasks)
                    await settle(connection, due)
        finally:
            if not connection.broken:
                await connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", (_LOCK,))
    if made:
        log.info("jobs_dispatched", segments=made)
    return made


async def due_segments(connection: Connection, schedules: Schedules, zone: str, now: datetime) -> list[Due]:
    """The segments that are due at `now`, those in most danger first. Raises StoreError."""
    async with store_errors():
        parameters = {"tasks": list(TASKS), "now": now, "limit": AT_ONCE}
        cursor = await connection.execute(statement("segments_due"), parameters)
        rows = await cursor.fetchall()
    found = []
    for segment, name, tasks, types in rows:
        of = schedules.of(name, types)
        wanted = tuple(task for task in scheduled(of) if task in tasks)
        again = {task: next_due(task, name, of, now, zone) if task in wanted else _NEVER for task in tasks}
        found.append(Due(segment, name, wanted, again))
    return found


async def settle(connection: Connection, due: Due) -> None:
    """The segment is asked: note when it is due again. Raises StoreError."""
    async with store_errors():
        parameters = {"segment": due.segment, "tasks": list(due.settle), "due_at": list(due.settle.values())}
        await connection.execute(statement("schedule_next"), parameters)


_NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
