"""Load profiles, block or daily, as intervals, part by part.

The one rule: each part is handed over as it comes, with the range that it covers, so that a link that breaks costs no
more than the part that was on its way: what is left is asked for from there on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.reading.profile import Buffer
from drivers.reading.selection import on_grid
from profiles.datetimes import later
from profiles.intervals import IntervalBatch, Quality, intervals
from profiles.table import ProfileTable

_MARGIN: Final = timedelta(days=1)
"""How far rows by entry may stand out of order: a clock was set back."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class LoadPart:
    """The intervals that start in [start, end), in UTC, as far as the meter gave any.

    `outside`: how many intervals came that start before or after, which is usual where they are read by entry or whole.
    """

    start: datetime
    end: datetime
    batch: IntervalBatch
    outside: int


async def read_load(
    buffer: Buffer, start: datetime, end: datetime, *, now: datetime, earliest: datetime | None = None
) -> AsyncIterator[LoadPart]:
    """The intervals that start in [start, end), aware, in parts: the oldest first by range, the newest first by entry.

    Believed are rows from `earliest` on (the depth of the buffer if None) up to `now`, as in `intervals`.
    """
    period_s, zone = buffer.layout.capture_period_s, buffer.meter_type.zone
    start, end = on_grid(start, period_s, zone), on_grid(end, period_s, zone)
    oldest = earliest or min(start, now - timedelta(days=buffer.profile.depth_days + 1))
    if start >= end:
        return
    if buffer.profile.selective_access == "range":
        while start < end:
            until = min(later(start, buffer.rows_at_once, period_s, zone), end)
            table = await buffer.range(start, until)
            yield _part(_batch(buffer, table, now, oldest), start, until)
            start = until
        return
    if buffer.profile.selective_access == "none":
        yield _part(_batch(buffer, await buffer.read(), now, oldest), start, end)
        return
    async for part in _by_entry(buffer, start, end, now, oldest):
        yield part


async def _by_entry(
    buffer: Buffer, start: datetime, end: datetime, now: datetime, oldest: datetime
) -> AsyncIterator[LoadPart]:
    most = -(-(now - start + _MARGIN) // timedelta(seconds=buffer.layout.capture_period_s))
    in_order = buffer.meter_type.buffer_habit.newest_last
    until = end
    async for table in buffer.newest_first(max(most, 1)):
        batch = _batch(buffer, table, now, oldest)
        first = _instant(batch.start[0]) if len(batch.start) else until
        reached = min(max(first, start), until) if in_order else start
        whole = _part(batch, start, end)
        yield replace(whole, start=reached, end=until if in_order else end)
        until = reached
        if in_order and first < start - _MARGIN:
            return


def _batch(buffer: Buffer, table: ProfileTable, now: datetime, earliest: datetime) -> IntervalBatch:
    batch = intervals(
        table,
        buffer.layout.scalers,
        buffer.profile,
        buffer.meter_type,
        interval_s=buffer.layout.capture_period_s,
        now=now,
        earliest=earliest,
    )
    return batch if buffer.authenticated else _marked(batch, Quality.NOT_AUTHENTICATED)


def _marked(batch: IntervalBatch, marks: Quality) -> IntervalBatch:
    revisions = None if batch.revisions is None else _marked(batch.revisions, marks)
    return replace(batch, quality=batch.quality | marks, revisions=revisions)


def _part(batch: IntervalBatch, start: datetime, end: datetime) -> LoadPart:
    kept = _within(batch, _microseconds(start), _microseconds(end))
    return LoadPart(start, end, kept, len(batch.start) - len(kept.start))


def _within(batch: IntervalBatch, first: int, end: int) -> IntervalBatch:
    """The intervals that start in [first, end); suspects, which have no place in time, all stay."""
    inside: NDArray[np.bool_] = (batch.start >= first) & (batch.start < end)
    if inside.all():
        return batch
    nulls = {name: null[inside] for name, null in batch.nulls.items()}
    return replace(
        batch,
        start=batch.start[inside],
        quality=batch.quality[inside],
        values={name: values[inside] for name, values in batch.values.items()},
        nulls={name: null for name, null in nulls.items() if null.any()},
        extras=tuple(one for one in batch.extras if first <= one.start_us < end),
        revisions=None if batch.revisions is None else _within(batch.revisions, first, end),
    )


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _instant(microseconds: np.int64) -> datetime:
    return _EPOCH + timedelta(microseconds=int(microseconds))
