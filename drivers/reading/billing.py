"""Billing periods.

The one rule: what the present period has counted so far is no bill. Its row, where the meter gives one, is marked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import numpy as np

from drivers.reading.profile import Buffer
from drivers.reading.values import ProfileRows, rows_of
from profiles.intervals import Quality


async def read_billing(buffer: Buffer, periods: int | None = None) -> AsyncIterator[ProfileRows]:
    """The billing periods, or so many of the newest, in parts, the newest part first.

    The row of the present period is PARTIAL: the last one or, where rows stand in another order than that of time, the
    one with the latest date, for which all parts have to come first.
    """
    parts = (rows_of(buffer, table) async for table in buffer.newest_first(periods))
    if not buffer.profile.running_row:
        async for rows in parts:
            yield rows
    elif buffer.meter_type.buffer_habit.newest_last:
        newest = True
        async for rows in parts:
            if newest and len(rows):
                mark_running([rows], newest_last=True)
                newest = False
            yield rows
    else:
        found = [rows async for rows in parts]
        mark_running(found, newest_last=False)
        for rows in found:
            yield rows


def mark_running(parts: Sequence[ProfileRows], *, newest_last: bool) -> None:
    """Mark the row of the present period in parts, of which the newest comes first, as PARTIAL."""
    filled = [rows for rows in parts if len(rows)]
    if not newest_last:
        _mark_latest(filled)
    elif filled:
        filled[0].quality[-1] |= Quality.PARTIAL


def _mark_latest(parts: Sequence[ProfileRows]) -> None:
    """The latest of all; where no row has a date, every one, since none can be told to be closed."""
    dates = [np.zeros(len(rows), np.int64) if rows.stamp is None else rows.columns[rows.stamp].values for rows in parts]
    latest = max((int(of_part.max()) for of_part in dates), default=0)
    for rows, of_part in zip(parts, dates, strict=True):
        rows.quality[of_part == latest] |= Quality.PARTIAL
