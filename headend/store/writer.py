"""The writer: batches of intervals into the database, each batch in one transaction, any number of times.

The one rule: writing the same batch again, in any order and from any number of processes, ends with the same rows.
Rows of meters that have nothing yet in the batch's time range go straight in (binary COPY, under a savepoint); the
others go through a staging table and merge (`sql/merge.sql`). The watermark moves in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from operator import add
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from psycopg import errors, sql

from headend.store.database import Connection
from headend.store.days import count_new, recount_days
from headend.store.rows import FIXED, UNIX_EPOCH, MeterIntervals, Rows, copy_binary, microseconds, rows_of
from headend.store.statements import statement
from profiles.errors import StoreError
from profiles.intervals import Quality

PROFILE: Final = "block_load"
"""The profile whose intervals `interval_reading` holds, as its watermarks name it."""

EARLIEST_US: Final = microseconds(datetime(2000, 1, 1, tzinfo=UTC))
LATEST_US: Final = microseconds(datetime(2100, 1, 1, tzinfo=UTC))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Written:
    """What one write changed. Every interval of the batch is counted in one of the first three."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    revisions: int = 0
    suspects: int = 0
    extras: int = 0

    profiles: int = 0
    """Rows of other profiles that are new, or changed."""
    events: int = 0
    repeated: int = 0
    """Pushes that had been taken in before: nothing of them is stored."""

    def __add__(self, other: Written) -> Written:
        return Written(*map(add, astuple(self), astuple(other)))


async def lock_meters(connection: Connection, meters: Collection[int]) -> None:
    """Keep other writers of these meters out until the transaction ends.

    It is their watermarks that are locked; meters that have none yet get them. StoreError where there is no such meter.
    """
    missing = set(meters) - await _locked(connection, meters)
    if missing:
        parameters = {"meters": sorted(missing), "profile": PROFILE}
        await connection.execute(statement("make_watermarks"), parameters)
        missing -= await _locked(connection, missing)
    if missing:
        raise StoreError(
            f"there is no meter with id {min(missing)}", remedy="import the meter into the registry first", retry=False
        )


async def write_intervals(connection: Connection, items: Sequence[MeterIntervals], now: datetime) -> Written:
    """Intervals and their company, in the caller's transaction, which has locked their meters.

    Their years were checked; the days that they touch are counted, as at `now`.
    """
    written = Written()
    for part in rounds(items, lambda item: item.meter_id):
        rows = rows_of(part)
        if len(rows):
            written += await _write_rows(connection, rows, now)
    written += await _write_lost(connection, items)
    return written + Written(
        suspects=await _write_suspects(connection, items), extras=await _write_extras(connection, items)
    )


def rounds(items: Sequence[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Items in rounds in which no key comes twice, those of one key in their order."""
    made: list[list[T]] = []
    seen: Counter[Hashable] = Counter()
    for item in items:
        turn = seen[key(item)]
        seen[key(item)] = turn + 1
        if turn == len(made):
            made.append([])
        made[turn].append(item)
    return made


def check_years(items: Sequence[MeterIntervals]) -> None:
    """Raises StoreError for an interval that does not start in 2000 to 2099."""
    for item in items:
        start = item.batch.start
        if len(start) and not EARLIEST_US <= start[0] <= start[-1] < LATEST_US:
            raise StoreError(
                f"an interval of meter id {item.meter_id} does not start in 2000 to 2099",
                remedy="such rows are suspects, not intervals",
                retry=False,
            )


async def _locked(connection: Connection, meters: Collection[int]) -> set[int]:
    cursor = await connection.execute(statement("lock_meters"), {"meters": sorted(meters), "profile": PROFILE})
    return {meter for (meter,) in await cursor.fetchall()}


async def _write_rows(connection: Connection, rows: Rows, now: datetime) -> Written:
    """The split path: straight in what cannot meet a stored row, the rest through staging."""
    runs = _Runs.of(rows)
    stored = await _meters_stored(connection, rows)
    through_staging = np.isin(rows.meter_id, stored)
    written = Written()
    straight = rows.where(~through_staging) if len(stored) else rows
    if len(straight):
        try:
            async with connection.transaction():
                written += Written(inserted=await _copy(connection, "interval_reading", straight))
        except errors.UniqueViolation:
            # Someone who does not take our lock wrote meanwhile.
            through_staging[:] = True
            stored = np.unique(rows.meter_id)
    merged, merge = Written(), rows.where(through_staging)
    if len(merge):
        merged = await _merge(connection, merge)
    await _advance(connection, runs, stored)
    if written.inserted:
        await count_new(connection, straight, now)
    if merged.inserted or merged.updated:
        touched = _Runs.of(merge)
        first, until = _moments(touched.first), _moments(touched.until)
        await recount_days(connection, PROFILE, touched.meter_id, first, until, now)
    return written + merged


async def _meters_stored(connection: Connection, rows: Rows) -> NDArray[np.int32]:
    meters, first = np.unique(rows.meter_id, return_index=True)
    last = np.append(first[1:], len(rows)) - 1
    until = rows.ts[last] + rows.interval_s[last].astype(np.int64) * 1_000_000
    parameters = {
        "meters": meters,
        "first": _moments(rows.ts[first]),
        "last": _moments(until),
        "earliest": _moment(int(rows.ts.min())),
        "latest": _moment(int(until.max())),
    }
    cursor = await connection.execute(statement("meters_stored"), parameters)
    return np.array([meter for (meter,) in await cursor.fetchall()], np.int32)


async def _copy(connection: Connection, table: str, rows: Rows) -> int:
    columns = [*(name for name, _ in FIXED), *rows.names]
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    async with connection.cursor() as cursor:
        async with cursor.copy(command) as copy:
            for part in copy_binary(rows):
                await copy.write(part)
        return cursor.rowcount


async def _merge(connection: Connection, rows: Rows) -> Written:
    await _stage(connection, rows)
    parameters = {
        "meters": np.unique(rows.meter_id),
        "earliest": _moment(int(rows.ts.min())),
        "latest": _moment(int(rows.ts.max())),
        "corrected": int(Quality.CORRECTED),
    }
    cursor = await connection.execute(statement("merge"), parameters)
    inserted, updated, revisions = await cursor.fetchone() or (0, 0, 0)
    return Written(inserted, updated, len(rows) - inserted - updated, revisions)


async def _stage(connection: Connection, rows: Rows) -> None:
    await connection.execute(statement("staging"))
    await _copy(connection, "interval_staging", rows)


async def _write_lost(connection: Connection, items: Sequence[MeterIntervals]) -> Written:
    """What lost to another row of the same interval within one read."""
    lost: list[MeterIntervals] = []
    for item in items:
        losers = item.batch.revisions
        while losers is not None:
            lost.append(MeterIntervals(item.meter_id, losers, item.read_at, item.source))
            losers = losers.revisions
    written = Written()
    for part in rounds(lost, lambda item: item.meter_id):
        await _stage(connection, rows_of(part))
        written += Written(revisions=(await connection.execute(statement("revise"))).rowcount)
    return written


async def _write_suspects(connection: Connection, items: Sequence[MeterIntervals]) -> int:
    found = [(item, suspect) for item in items for suspect in item.batch.suspects]
    if not found:
        return 0
    parameters = {
        "meter_id": [item.meter_id for item, _ in found],
        "reason": [suspect.reason for _, suspect in found],
        "stamp": [suspect.stamp for _, suspect in found],
        "raw": [suspect.raw for _, suspect in found],
        "read_at": [item.read_at for item, _ in found],
        "source": [int(item.source) for item, _ in found],
    }
    return (await connection.execute(statement("suspects"), parameters)).rowcount


async def _write_extras(connection: Connection, items: Sequence[MeterIntervals]) -> int:
    found = [(item, extra) for item in items for extra in item.batch.extras]
    if not found:
        return 0
    parameters = {
        "meter_id": [item.meter_id for item, _ in found],
        "ts": [_moment(extra.start_us) for _, extra in found],
        "class_id": [extra.class_id for _, extra in found],
        "obis": [str(extra.obis) for _, extra in found],
        "attribute": [extra.attribute for _, extra in found],
        "value": [extra.value for _, extra in found],
        "unit": [extra.unit for _, extra in found],
        "raw": [extra.raw for _, extra in found],
        "read_at": [item.read_at for item, _ in found],
    }
    return (await connection.execute(statement("extras"), parameters)).rowcount


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Stretches of intervals that follow each other without a gap: [first, until) of a meter."""

    meter_id: NDArray[np.int32]
    first: NDArray[np.int64]
    until: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Rows) -> _Runs:
        ends = rows.ts + rows.interval_s.astype(np.int64) * 1_000_000
        breaks = np.flatnonzero((rows.meter_id[1:] != rows.meter_id[:-1]) | (rows.ts[1:] != ends[:-1]))
        first, last = np.append(0, breaks + 1), np.append(breaks, len(rows) - 1)
        return cls(rows.meter_id[first], rows.ts[first], ends[last])


async def _advance(connection: Connection, runs: _Runs, stored: NDArray[np.int32]) -> None:
    parameters: dict[str, Any] = {
        "meters": runs.meter_id,
        "first": _moments(runs.first),
        "until": _moments(runs.until),
        "probe": np.isin(runs.meter_id, stored),
        "profile": PROFILE,
    }
    await connection.execute(statement("advance"), parameters)


def _moment(us: int) -> datetime:
    return UNIX_EPOCH + timedelta(microseconds=us)


def _moments(us: NDArray[np.int64]) -> NDArray[np.datetime64]:
    return us.astype("datetime64[us]")
