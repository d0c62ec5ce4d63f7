"""The dispatcher: each minute, every segment whose time has come gets its job.

The one rule: a segment is asked no later than it is due, and what was missed while nothing ran is made up for; which of
several nodes does it makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
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


async def dispatch(
    pool: Pool, jobs: Jobs, schedules: Schedules, zone: str, now: datetime, *, patient: bool = True
) -> int:
    """Make a job for each segment that is due at `now`, and say when it is due next; how many were made.

    `patient` jobs give meters that push time to do so. Raises StoreError.
    """
    made = 0
    async with borrow(pool) as connection:
        cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", (_LOCK,))
        if await cursor.fetchone() != (True,):
            return 0  # another node is at it
        try:
            for segment, name, tasks, types, oldest in await _due(connection, schedules, now):
                of = schedules.of(name, types)
                wanted = [task for task in scheduled(of) if task in tasks]
                danger = max(0, (now - oldest).days)
                # Where a job waits already it may not ask for all of this: the segment stays due.
                if not wanted or await jobs.defer_segment(segment, wanted, danger=danger, patient=patient):
                    made += bool(wanted)
                    await _next(connection, segment, name, tasks, of, now, zone)
        finally:
            if not connection.broken:
                await connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", (_LOCK,))
    if made:
        log.info("jobs_dispatched", segments=made)
    return made


async def _due(
    connection: Connection, schedules: Schedules, now: datetime
) -> list[tuple[int, str, list[Task], list[str], datetime]]:
    async with store_errors():
        parameters = {"tasks": list(TASKS), "now": now, "limit": AT_ONCE}
        cursor = await connection.execute(statement("segments_due"), parameters)
        return [(row[0], row[1], row[2], row[3], row[4]) for row in await cursor.fetchall()]


async def _next(
    connection: Connection, segment: int, name: str, tasks: Sequence[Task], of: Schedules, now: datetime, zone: str
) -> None:
    known = scheduled(of)
    due = [next_due(task, name, of, now, zone) if task in known else _NEVER for task in tasks]
    async with store_errors():
        await connection.execute(statement("schedule_next"), {"segment": segment, "tasks": list(tasks), "due_at": due})


_NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
