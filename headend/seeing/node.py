"""What this node tells the others through the database, every few seconds, and what it hears there of all of them.

The one rule: it never stands in the way: a database that is away or slow is passed over until the next time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from psycopg.types.json import Jsonb

from headend.seeing.sight import Cluster, Sight
from headend.store import gaps
from headend.store.database import Connection, Pool, borrow, store_errors
from headend.store.statements import statement
from profiles.errors import StoreError

EVERY_S: Final = 5.0
OWED_EVERY_S: Final = 60.0
"""What is owed is counted, which costs more."""
DEADLINE_S: Final = 20.0

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def told(sight: Sight, pool: Pool) -> AsyncIterator[None]:
    """Tell of this node as long as this lasts; then it is gone."""
    task = asyncio.create_task(_tell(sight, pool))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(2), borrow(pool) as connection:
                await connection.execute(statement("node_forget"), {"name": sight.node})


async def waiting_jobs(connection: Connection) -> dict[str, int]:
    """Jobs that no node has begun, by queue. StoreError."""
    async with store_errors():
        return dict(await (await connection.execute(statement("jobs_waiting"))).fetchall())


async def owed_lately(connection: Connection, now: datetime) -> int:
    """Intervals of the block load that are due and not settled, of yesterday and today. StoreError."""
    today = now.astimezone(ZoneInfo(await gaps.zone_of(connection))).date()
    return sum(day.owed for day in await gaps.days(connection, "day", today - timedelta(days=1), today, now))


async def _tell(sight: Sight, pool: Pool) -> None:
    loop = asyncio.get_running_loop()
    count_at = 0.0
    while True:
        try:
            async with asyncio.timeout(DEADLINE_S), borrow(pool) as connection:
                await _keep(connection, sight)
                count = loop.time() >= count_at
                sight.cluster = await _look(connection, sight, count=count)
                count_at = loop.time() + OWED_EVERY_S if count else count_at
        except (StoreError, TimeoutError) as error:
            log.debug("node_not_told", reason=str(error))
        await asyncio.sleep(EVERY_S)


async def _keep(connection: Connection, sight: Sight) -> None:
    now = sight.clock()
    sight.measure()
    parameters: dict[str, Any] = {
        "name": sight.node,
        "roles": sight.roles,
        "started_at": sight.started_at,
        "now": now,
        "numbers": Jsonb(sight.numbers().to_plain()),
    }
    await connection.execute(statement("node_keep"), parameters)
    sight.database_seen_at = now


async def _look(connection: Connection, sight: Sight, *, count: bool) -> Cluster:
    jobs = await waiting_jobs(connection)
    row = await (await connection.execute(statement("states_count"))).fetchone()
    down, silent = row or (0, 0)
    owed = sight.cluster.owed if sight.cluster is not None else 0
    if count:
        owed = await owed_lately(connection, sight.clock())
    return Cluster(jobs, down, silent, owed)
