"""Rows of profiles that have no columns of their own in the store: daily load, billing, instantaneous, nameplate.

The one rule: rows are merged value by value (`sql/profiles_merge.sql`), whatever order they come in.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from headend.store.database import Connection
from headend.store.days import recount_days
from headend.store.finished import ProfileReading
from headend.store.statements import statement
from headend.store.values import values_json
from headend.store.writer import Written, rounds
from profiles.intervals import Quality

DAILY_LOAD: Final = "daily_load"
"""The profile whose rows the ledger counts, beside the block load."""
_SHORTEST_DAY: Final = timedelta(hours=23)


async def write_profiles(connection: Connection, readings: Sequence[ProfileReading], now: datetime) -> Written:
    """In the caller's transaction, which has locked the meters; the days that daily rows touch are counted."""
    done = Counter[str]()
    days: list[tuple[int, datetime]] = []
    for part in rounds(readings, lambda one: (one.meter_id, one.profile, one.ts)):
        cursor = await connection.execute(statement("profiles_merge"), _parameters(part))
        for what, meter_id, profile, ts in await cursor.fetchall():
            done[what] += 1
            if profile == DAILY_LOAD and what != "revised":
                days.append((meter_id, ts))
    if days:
        meters, first = [meter_id for meter_id, _ in days], [ts for _, ts in days]
        await recount_days(connection, DAILY_LOAD, meters, first, [ts + _SHORTEST_DAY for ts in first], now)
    return Written(profiles=done["inserted"] + done["updated"], revisions=done["revised"])


def _parameters(readings: Sequence[ProfileReading]) -> dict[str, object]:
    return {
        "meters": [one.meter_id for one in readings],
        "profile": [one.profile for one in readings],
        "ts": [one.ts for one in readings],
        "read_at": [one.read_at for one in readings],
        "source": [int(one.source) for one in readings],
        "quality": [one.quality for one in readings],
        "values": [values_json(one.values) for one in readings],
        "units": [json.dumps(dict(one.units)) for one in readings],
        "earliest": min(one.ts for one in readings),
        "latest": max(one.ts for one in readings),
        "corrected": int(Quality.CORRECTED),
    }
