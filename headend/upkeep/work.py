"""The upkeep of the tables: partitions ahead, aggregates, and once a day compression and what is too old.

The one rule: any node may do it, one does it at a time, and doing it again changes nothing. TimescaleDB's own scheduler
has no part in it: all policies are ours, the same on every edition.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from psycopg import errors

from headend.settings import Settings
from headend.store.database import Connection, Edition, connect, edition, store_errors
from headend.store.statements import statement

AHEAD: Final = timedelta(weeks=4)
"""How far ahead partitions of plain PostgreSQL are made."""
SMALL_FLEET: Final = 100_000
"""Up to so many meters a chunk is of 7 days, above of one: so that the indexes of the present one stay in memory."""
HYPERTABLES: Final = ("interval_reading", "interval_extra")
AGGREGATES: Final = ("energy_hour", "energy_day")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What one upkeep did. `compressed`: chunks; `pruned`: whether it looked for what is too old."""

    compressed: int = 0
    pruned: bool = False


@dataclass(frozen=True, slots=True)
class _State:
    readings_since: datetime | None
    pruned_on: date | None
    energy_zone: str | None
    zone: str
    meters: int


async def upkeep(dsn: str, settings: Settings, now: datetime) -> Done | None:
    """Do all that is due at `now`; None where another node is at it. Raises StoreError."""
    async with await connect(dsn) as connection, store_errors(), _alone(connection) as mine:
        if not mine:
            return None
        await connection.execute(statement("upkeep_session"))
        of = await edition(connection)
        state = await _state(connection)
        if of == "postgresql":
            await connection.execute("SELECT ensure_partitions(%s, %s)", (now, now + AHEAD))
        elif settings.database.chunk_days is None:
            await connection.execute(statement("chunk_interval"), {"interval": chunk_interval(state.meters)})
        due = _prune_due(state, settings, now)
        if due is not None:
            await _prune(connection, of, settings, now, state.zone)
        await _aggregate(connection, of, state.zone, now)
        compressed = 0
        if due is not None:
            if of == "timescale":
                compressed = await _compress(connection, now - timedelta(days=settings.upkeep.compress_after_days))
            await connection.execute("UPDATE upkeep SET pruned_on = %s", (due,))
            log.info("upkeep_done", edition=of, compressed=compressed)
        return Done(compressed, due is not None)


def chunk_interval(meters: int) -> timedelta:
    """The time that one chunk covers in a fleet of so many meters."""
    return timedelta(days=7 if meters <= SMALL_FLEET else 1)


@contextlib.asynccontextmanager
async def _alone(connection: Connection) -> AsyncIterator[bool]:
    """Whether no other node is at it. The lock ends with the connection."""
    cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtext('headend.upkeep'))")
    yield await cursor.fetchone() == (True,)


async def _state(connection: Connection) -> _State:
    row = await (await connection.execute(statement("upkeep_state"))).fetchone()
    assert row is not None, "the migration makes the row"
    return _State(*row)


def _prune_due(state: _State, settings: Settings, now: datetime) -> date | None:
    """The utility's day for which the daily part is due; None: it is done, or its time has not come."""
    local = now.astimezone(ZoneInfo(state.zone))
    if local.time() < settings.upkeep.at or (state.pruned_on is not None and state.pruned_on >= local.date()):
        return None
    return local.date()


async def _prune(connection: Connection, of: Edition, settings: Settings, now: datetime, zone: str) -> None:
    """Drop what is too old. What the ledger says of it goes first, so that nothing of it is ever owed again."""
    kept = settings.upkeep
    first_day = now.astimezone(ZoneInfo(zone)).date() - timedelta(days=kept.keep_readings_days)
    since = datetime(first_day.year, first_day.month, first_day.day, tzinfo=ZoneInfo(zone))
    clocks_since = now - timedelta(days=kept.keep_clock_checks_days)
    await connection.execute(statement("upkeep_since"), {"since": since})
    for table in HYPERTABLES:
        await _drop_before(connection, table, since)
    if of == "postgresql":
        await connection.execute(statement("prune_rows"), {"since": since, "clocks_since": clocks_since})
    else:
        for table in ("profile_reading", "meter_event"):
            await _drop_before(connection, table, since)
        await _drop_before(connection, "clock_check", clocks_since)
    await connection.execute(statement("prune_tables"), {"since": since})
    await connection.execute(statement("discovered_clear"), {"before": now - timedelta(days=kept.keep_discovered_days)})
    await connection.execute(statement("prune_jobs"), {"before": now - timedelta(days=kept.keep_jobs_days)})


async def _drop_before(connection: Connection, table: str, moment: datetime) -> None:
    """Whole chunks or partitions alone. A table that is busy is left for the next day."""
    try:
        await connection.execute("SELECT drop_before(%s::regclass, %s)", (table, moment))
    except errors.LockNotAvailable:
        log.warning("table_busy", table=table, reason="what is too old in it is dropped another day")


async def _aggregate(connection: Connection, of: Edition, zone: str, now: datetime) -> None:
    """See that the views are of the kind that the edition can have, and that the aggregates hold what came late."""
    state = await _state(connection)
    if of != "timescale":
        if state.energy_zone is not None:
            await connection.execute("SELECT energy_computed()")
        return
    if state.energy_zone != zone:
        await connection.execute("SELECT energy_continuous(%s)", (zone,))
    since = state.readings_since
    for aggregate in AGGREGATES:
        if since is not None:
            await _drop_before(connection, aggregate, since)
        # No transaction: each commits by itself what it has refreshed. It looks at what changed alone.
        await connection.execute(
            "CALL refresh_continuous_aggregate(%s::regclass, %s::timestamptz, %s::timestamptz)", (aggregate, since, now)
        )


async def _compress(connection: Connection, before: datetime) -> int:
    """Compress the chunks that end by `before`; how many. Each by itself: an end in between loses one chunk's work."""
    cursor = await connection.execute("SELECT compress_intervals(%s)::text", (before,))
    chunks = [chunk for (chunk,) in await cursor.fetchall()]
    for chunk in chunks:
        await connection.execute("SELECT compress_chunk(%s::regclass)", (chunk,))
    return len(chunks)
