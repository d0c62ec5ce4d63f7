"""The ledger: what every meter owes, asked from the rows themselves.

The one rule: a slot is owed when it has ended, the meter can still hold it, and no stored row covers it; nothing else
is kept about it. The watermark only spares looking at what is settled. `now` is always the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from headend.store.database import Connection, store_errors
from headend.store.statements import statement
from profiles.meter_type import Profile

MAX_RANGES: Final = 4
"""Ranges a meter is asked in one session; each costs it a search of its own."""

NEAR: Final = timedelta(hours=4)
"""Gaps no further apart are asked as one: rows that are read again cost less than one more request."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Owed:
    """One meter and the ranges [from, to) of interval starts, in UTC and order, that hold all it owes."""

    meter_id: int
    ranges: tuple[tuple[datetime, datetime], ...]


async def owed(
    connection: Connection,
    meter_ids: Sequence[int],
    profile: Profile,
    now: datetime,
    *,
    lookback: timedelta | None = None,
    max_ranges: int = MAX_RANGES,
    near: timedelta = NEAR,
) -> list[Owed]:
    """What these meters owe of the block load profile; meters that owe nothing are left out.

    Nothing before commissioning, nor before now - the profile's depth (or `lookback`, if that is shorter): such
    slots are expired, and the watermark moves past them. Raises StoreError.
    """
    depth = timedelta(days=profile.depth_days)
    parameters = {
        "meters": sorted(set(meter_ids)),
        "profile": profile.name,
        "now": now,
        "horizon": now - (min(depth, lookback) if lookback is not None else depth),
        "near": near,
        "max_ranges": max_ranges,
    }
    async with store_errors():
        cursor = await connection.execute(statement("expire"), parameters)
        lost = [slots for _, slots in await cursor.fetchall() if slots]
        if lost:
            log.warning("slots_expired", profile=profile.name, meters=len(lost), slots=sum(lost))
        cursor = await connection.execute(statement("owed"), parameters)
        rows = await cursor.fetchall()
    ranges: dict[int, list[tuple[datetime, datetime]]] = {}
    for meter_id, first, until in rows:
        ranges.setdefault(meter_id, []).append((first, until))
    return [Owed(meter_id, tuple(parts)) for meter_id, parts in ranges.items()]
