"""How complete each day of each meter is (`meter_day`): due, stored, absent, expired, and how soon what is stored came.

The one rule: it is counted in the transaction that changes what is counted, for the days that change touches, by the
writer that holds the meters' watermarks locked; so that counting again from rows and absences always agrees. Rows that
were not there before are added (`count_new`); after anything else the days are counted from their rows
(`recount_days`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from headend.store.database import Connection
from headend.store.rows import Rows, microseconds
from headend.store.statements import statement

SOON_S: Final = (8 * 3600, 24 * 3600)
"""Seconds after a slot's end within which its reading counts as in time; the columns within_8h and within_24h."""

Moments = Sequence[datetime] | NDArray[np.datetime64]
_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND


async def recount_days(
    connection: Connection,
    profile: str,
    meter_ids: Sequence[int] | NDArray[np.int32],
    first: Moments,
    until: Moments,
    now: datetime,
) -> None:
    """Count the days that spans touch, from rows and absences: span k is [first[k], until[k]) of meter_ids[k].

    `profile`: block_load or daily_load. Days are the utility's. The watermarks move over what is settled now.
    """
    if not len(meter_ids):
        return
    parameters = {"profile": profile, "meters": meter_ids, "first": first, "until": until, "now": now}
    await connection.execute(statement("recount_days"), parameters)
    parameters["meters"] = np.unique(np.asarray(meter_ids, np.int32))
    await connection.execute(statement("make_watermarks"), parameters)
    await connection.execute(statement("settle"), parameters)


async def count_new(connection: Connection, rows: Rows, now: datetime) -> None:
    """Count intervals that have just been stored and were not there before.

    Adding them costs a look at one row of `meter_day` for each meter and day; counting the day from its rows is left to
    days that are not plain: with absences, changed periods, rows beside the grid.
    """
    if not len(rows):
        return
    zone = await _zone(connection)
    parameters: dict[str, object] = {**_by_day(rows, zone), "zone": zone.key, "now": now}
    cursor = await connection.execute(statement("count_new"), parameters)
    if odd := await cursor.fetchall():
        meters, first, until = (list(column) for column in zip(*odd, strict=True))
        await recount_days(connection, "block_load", meters, first, until, now)


async def _zone(connection: Connection) -> ZoneInfo:
    row = await (await connection.execute("SELECT zone FROM utility")).fetchone()
    assert row is not None
    return ZoneInfo(row[0])


def _by_day(rows: Rows, zone: ZoneInfo) -> dict[str, NDArray[Any]]:
    """What the rows, in the order of (meter, ts), add to each meter's days. `period`: 0 where one is off the grid."""
    day = np.searchsorted(_midnights(rows, zone), rows.ts, side="right")
    breaks = np.flatnonzero((rows.meter_id[1:] != rows.meter_id[:-1]) | (day[1:] != day[:-1]))
    begins, last = np.append(0, breaks + 1), np.append(breaks, len(rows) - 1)
    period = rows.interval_s.astype(np.int64) * _SECOND
    ends = rows.ts + period
    late = rows.read_at - ends
    grid = microseconds(datetime(2000, 1, 1, tzinfo=zone))
    uneven = (rows.interval_s != np.repeat(rows.interval_s[begins], np.diff(np.append(begins, len(rows))))) | (
        (rows.ts - grid) % period != 0
    )
    return {
        "meters": rows.meter_id[begins],
        "first": rows.ts[begins].astype("datetime64[us]"),
        "until": ends[last].astype("datetime64[us]"),
        "period": np.where(np.logical_or.reduceat(uneven, begins), 0, rows.interval_s[begins]).astype(np.int32),
        "intervals": np.diff(np.append(begins, len(rows))).astype(np.int32),
        "within_8h": np.add.reduceat(late <= SOON_S[0] * _SECOND, begins, dtype=np.int32),
        "within_24h": np.add.reduceat(late <= SOON_S[1] * _SECOND, begins, dtype=np.int32),
    }


def _midnights(rows: Rows, zone: ZoneInfo) -> NDArray[np.int64]:
    """The zone's midnights from before the first row to the last row, in microseconds since 1970."""
    first, last = int(rows.ts.min()), int(rows.ts.max())
    found = []
    for number in range(first // _DAY - 1, last // _DAY + 2):
        day = np.datetime64(number, "D").astype(datetime)
        found.append(microseconds(datetime(day.year, day.month, day.day, tzinfo=zone)))
    return np.array(found, np.int64)
