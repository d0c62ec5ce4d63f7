"""What is proven never to come: slots that a meter does not have.

The one rule: one read proves nothing. A slot is absent when a complete read had a slot more on both sides of it, a
later row is stored, it ended an hour ago or more by the meter's clock, and a read half an hour later or more says the
same (`sql/coverage.sql`). A row that comes after all overrides that: what is stored is never counted as absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog

from headend.store.database import Connection, store_errors
from headend.store.days import recount_days
from headend.store.finished import Covered
from headend.store.statements import statement

log = structlog.get_logger(__name__)


async def record_coverage(connection: Connection, covered: Sequence[Covered], now: datetime) -> None:
    """Take in what was read completely, after its rows were stored, in the same transaction.

    Slots seen missing are kept; those proven absent are counted, and the watermarks move over them. Raises StoreError.
    """
    if not covered:
        return
    async with store_errors(), connection.transaction():
        for profile in sorted({one.profile for one in covered}):
            of_profile = [one for one in covered if one.profile == profile]
            meters = sorted({one.meter_id for one in of_profile})
            parameters = {"meters": meters, "profile": profile}
            await connection.execute(statement("make_watermarks"), parameters)
            await connection.execute(statement("lock_meters"), parameters)
            cursor = await connection.execute(statement("coverage"), {"profile": profile} | _columns(of_profile))
            if spans := await cursor.fetchall():
                await _keep(connection, profile, spans, now)


def _columns(covered: Sequence[Covered]) -> dict[str, Any]:
    return {
        "meters": [one.meter_id for one in covered],
        "starts": [one.start for one in covered],
        "ends": [one.end for one in covered],
        "read_at": [one.read_at for one in covered],
        "meter_time": [one.meter_time for one in covered],
    }


async def _keep(connection: Connection, profile: str, spans: Sequence[tuple[Any, ...]], now: datetime) -> None:
    meters, starts, ends, first_seen, proven_at = (list(column) for column in zip(*spans, strict=True))
    await connection.execute(statement("absence_forget"), {"meters": sorted(set(meters)), "profile": profile})
    await connection.execute(
        statement("absence_keep"),
        {
            "meters": meters,
            "profile": profile,
            "starts": starts,
            "ends": ends,
            "first_seen": first_seen,
            "proven_at": proven_at,
        },
    )
    proven = [(meter, start, end) for meter, start, end, _, at in spans if at is not None]
    if proven:
        of, first, until = (list(column) for column in zip(*proven, strict=True))
        await recount_days(connection, profile, of, first, until, now)
        log.info("slots_absent", profile=profile, meters=len(set(of)), spans=len(proven))
