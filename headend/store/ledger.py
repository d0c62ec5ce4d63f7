"""The ledger: what every meter owes, asked from the rows themselves.

The one rule: a slot is owed when it has ended, the meter can still hold it, and neither a stored row nor a proven
absence covers it; nothing else is kept about it. The watermark only spares looking at what is settled. `now` is always
the caller's. Slots of the block load are intervals, those of the daily load are days of the utility.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from headend.store.database import Connection, store_errors
from headend.store.days import recount_days
from headend.store.statements import statement
from profiles.meter_type import Profile

MAX_RANGES: Final = 4
"""Ranges a meter is asked in one session; each costs it a search of its own."""

NEAR: Final = timedelta(hours=4)
"""Gaps no further apart are asked as one: rows that are read again cost less than one more request."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Owed:
    """One meter and the ranges [from, to) of slot starts, in UTC and order, that hold all it owes."""

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
    margin: bool = True,
) -> list[Owed]:
    """What these meters owe of the block load or daily load profile; meters that owe nothing are left out.

    Nothing before commissioning, nor before now - the profile's depth: such slots are expired (lost), are kept as such,
    and the watermark moves past them. `lookback`: nor before now - that. `margin`: ranges after which rows are stored
    are a slot wider on both sides; only what was read so can be proven absent (`record_coverage`). Raises StoreError.
    """
    depth = timedelta(days=profile.depth_days)
    meters = sorted(set(meter_ids))
    parameters = {
        "meters": meters,
        "profile": profile.name,
        "now": now,
        "horizon": now - (min(depth, lookback) if lookback is not None else depth),
        "near": near,
        "max_ranges": max_ranges,
        "margin": margin,
    }
    async with store_errors():
        await _expire(connection, meters, profile.name, now - depth, now)
        cursor = await connection.execute(statement("owed"), parameters)
        rows = await cursor.fetchall()
    ranges: dict[int, list[tuple[datetime, datetime]]] = {}
    for meter_id, first, until in rows:
        ranges.setdefault(meter_id, []).append((first, until))
    return [Owed(meter_id, tuple(parts)) for meter_id, parts in ranges.items()]


async def _expire(connection: Connection, meters: list[int], profile: str, horizon: datetime, now: datetime) -> None:
    """Give up what the meters no longer hold: absent from now on, and told."""
    parameters = {"meters": meters, "profile": profile, "horizon": horizon, "now": now}
    async with connection.transaction():
        await connection.execute(statement("make_watermarks"), parameters)
        cursor = await connection.execute(statement("expire"), parameters)
        lost = await cursor.fetchall()
        if not lost:
            return
        of, first, until = (list(column) for column in zip(*lost, strict=True))
        spans = {"meters": of, "first": first, "until": until, "profile": profile, "now": now}
        await connection.execute(statement("absence_trim"), spans)
        await connection.execute(statement("expire_keep"), spans)
        await recount_days(connection, profile, of, first, until, now)
    log.warning("slots_expired", profile=profile, meters=len(set(of)), spans=len(lost))
