"""The writer: intervals of the block load into the database, any number of times.

The one rule: writing the same batch again, in any order and from any number of processes, ends with the same rows.
Rows of meters that have nothing yet in the batch's time range go straight in (binary COPY, under a savepoint); the
others go through a staging table and merge (`sql/merge.sql`). The watermark moves in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray
from psycopg import errors, sql

from headend.store.database import Connection, Edition
from headend.store.days import count_new, recount_days
from headend.store.rows import FIXED, UNIX_EPOCH, MeterIntervals, Rows, copy_binary, microseconds, rows_of
from headend.store.statements import statement
from profiles.errors import StoreError
from profiles.intervals import Quality

PROFILE: Final = "block_load"
"""The profile whose intervals `interval_reading` holds, as its watermarks name it."""

EARLIEST_US: Final = microseconds(datetime(2000, 1, 1, tzinfo=UTC))
LATEST_US: Final = microseconds(datetime(2100, 1, 1, tzinfo=UTC))
_WEEK_US: Final = 7 * 86_400 * 1_000_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """What one write changed. Every interval of the batch is counted in one of the first three."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    revisions: int = 0
    suspects: int = 0
    extras: int = 0
    profile_rows: int = 0
    events: int = 0
    repeated: int = 0
    """Pushes that had come before."""

    def __add__(self, other: Written) -> Written:
        return Written(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.revisions + other.revisions,
            self.suspects + other.suspects,
            self.extras + other.extras,
            self.profile_rows + other.profile_rows,
            self.events + other.events,
            self.repeated + other.repeated,
        )


class Partitions:
    """Native partitions of a week, made ahead of the rows; TimescaleDB makes its chunks itself."""

    def __init__(self, edition: Edition) -> None:
        self._weeks: set[int] | None = set() if edition == "postgresql" else None

    async def ensure(self, connection: Connection, items: Sequence[MeterIntervals]) -> None:
        """Every week that these have rows in. Raises psycopg's errors."""
        if self._weeks is None or not items:
            return
        starts = [item.batch.start for item in items]
        starts.append(np.array([extra.start_us for item in items for extra in item.batch.extras], np.int64))
        for week in np.unique(np.concatenate(starts) // _WEEK_US).tolist():
            if week not in self._weeks:
                await ensure_partitions(connection, _moment(week * _WEEK_US), _moment((week + 1) * _WEEK_US - 1))
                self._weeks.add(week)

    def forget(self) -> bool:
        """Someone removed a partition: make them again. Whether there are any."""
        if self._weeks is None:
            return False
        self._weeks.clear()
        return True


async def ensure_partitions(connection: Connection, first: datetime, last: datetime) -> None:
    """Make the weekly partitions from that of `first` to that of `last` (plain PostgreSQL only)."""
    await connection.execute("SELECT ensure_partitions(%s, %s)", (first, last))


def _rounds(items: Sequence[MeterIntervals]) -> Iterator[list[MeterIntervals]]:
    """Items in rounds in which no meter comes twice, each meter's items in their order."""
    rounds: list[list[MeterIntervals]] = []
    seen: dict[int, int] = {}
    for item in items:
        turn = seen.get(item.meter_id, 0)
        seen[item.meter_id] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(item)
    return iter(rounds)


def prepare(items: Sequence[MeterIntervals]) -> None:
    """See that all of it can be stored. Raises StoreError."""
    for item in items:
        start = item.batch.start
        if len(start) and not EARLIEST_US <= start[0] <= start[-1] < LATEST_US:
            raise StoreError(
                f"an interval of meter id {item.meter_id} does not start in 2000 to 2099",
                remedy="such rows are suspects, not intervals",
                retry=False,
            )


async def write_intervals(connection: Connection, items: Sequence[MeterIntervals], now: datetime) -> Written:
    """Intervals of the block load, in the caller's transaction; watermarks move and days are counted.

    Raises StoreError for meters that are not registered, and psycopg's errors.
    """
    if not items:
        return Written()
    await _lock_meters(connection, {item.meter_id for item in items})
    written = Written()
    for part in _rounds(items):
        rows = rows_of(part)
        if len(rows):
            written += await _write_rows(connection, rows, now)
    written += await _write_lost(connection, items)
    return written + Written(
        suspects=await _write_suspects(connection, items), extras=await _write_extras(connection, items)
    )


async def _lock_meters(connection: Connection, meters: set[int]) -> None:
    """Lock the meters against other writers, making watermarks for those that have none yet."""
    missing = meters - await _locked(connection, meters)
    if missing:
        parameters = {"meters": sorted(missing), "profile": PROFILE}
        await connection.execute(statement("make_watermarks"), parameters)
        missing -= await _locked(connection, missing)
    if missing:
        raise StoreError(
            f"there is no meter with id {min(missing)}", remedy="import the meter into the registry first", retry=False
        )


async def _locked(connection: Connection, meters: set[int]) -> set[int]:
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
    if through_staging.any():
        written += await _merge(connection, rows.where(through_staging))
    await _advance(connection, runs, stored)
    await count_new(connection, rows.where(~through_staging) if through_staging.any() else rows, now)
    if through_staging.any():
        merged = _Runs.of(rows.where(through_staging))
        until = _moments(merged.until)
        await recount_days(connection, PROFILE, merged.meter_id, _moments(merged.first), until, now)
    return written


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
    for part in _rounds(lost):
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
