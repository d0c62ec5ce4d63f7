"""What `headend db check` has to know: of the server, its settings, and the fleet that it serves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg.rows import dict_row

from headend.settings import Settings
from headend.store.database import Connection, Edition, edition, store_errors
from headend.store.statements import statement

ALIVE_S: Final = 30
"""A node whose workers have not said for so long that they live is gone."""
WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Facts:
    """Sizes are octets. `memory`: that of this machine where the server is on it, else its effective_cache_size."""

    edition: Edition
    postgresql: int
    """As 170012 for 17.12."""
    timescaledb: str | None
    shared_buffers: int
    effective_cache_size: int
    max_wal_size: int
    checkpoint_timeout_s: int
    max_connections: int
    reserved_connections: int
    locks: int
    """Places of the lock table, shared by all connections."""
    autovacuum: bool
    zone: str
    zone_known: bool
    """Whether the server knows the zone of the settings."""
    meters: int
    rows_per_day: int
    nodes: int
    """Daemons that collect at this moment."""
    chunk: timedelta
    """Of interval_reading: what one chunk or partition covers."""
    memory: int
    here: bool
    job_errors: int = 0
    job_error: str = ""
    """The last day's errors of TimescaleDB's scheduler: how many, and one of them."""


async def facts(connection: Connection, settings: Settings, now: datetime) -> Facts:
    """Look. Raises StoreError."""
    of = await edition(connection)
    async with store_errors():
        parameters = {"zone": settings.utility.zone, "alive_since": now - timedelta(seconds=ALIVE_S)}
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement("check_facts"), parameters)
            row = await cursor.fetchone()
        assert row is not None
        chunk, errors, error = WEEK, 0, ""
        if of != "postgresql":
            ((chunk,),) = await (await connection.execute(statement("check_chunk"))).fetchall()
            since = {"since": now - timedelta(days=1)}
            ((errors, job, message),) = await (
                await connection.execute(statement("check_job_errors"), since)
            ).fetchall()
            error = f"{job}: {message}" if errors else ""
    host = connection.info.host
    here = host in ("", "localhost", "::1") or host.startswith(("/", "127."))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if here else row["effective_cache_size"]
    return Facts(**row, edition=of, chunk=chunk, memory=memory, here=here, job_errors=errors, job_error=error)
