"""Rows of many meters as columns, and as the octets of COPY BINARY; nothing here makes a Python object a row.

The one rule: a COPY BINARY row without variable fields *is* a packed structure: int16 field count, then for each
field int32 length and the value, big-endian. A NULL is the length -1 and nothing after it, so rows of one null
pattern share one numpy structured dtype (PostgreSQL manual, COPY, "Binary Format").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headend.store.arrays import POSTGRES_EPOCH_US
from profiles.channels import COLUMNS
from profiles.intervals import IntervalBatch

UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FIXED: Final = (
    ("meter_id", ">i4"),
    ("interval_s", ">i4"),
    ("ts", ">i8"),
    ("read_at", ">i8"),
    ("quality", ">i4"),
    ("source", ">i2"),
)
_NOTHING: Final = np.empty(0, np.int64)
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"


class Source(IntEnum):
    """How a reading came in, as stored."""

    PUSH = 1
    SCHEDULED = 2
    BACKFILL = 3
    ON_DEMAND = 4
    FILE = 5


@dataclass(frozen=True, slots=True, eq=False)
class MeterIntervals:
    """What one read (or push, or file) says of one meter."""

    meter_id: int
    batch: IntervalBatch
    read_at: datetime
    source: Source


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows as columns, in the order of (meter, ts). Times are microseconds since 1970 in UTC.

    `values` and `null` have the shape (channels, rows); a NULL's value is 0.
    """

    names: tuple[str, ...]
    meter_id: NDArray[np.int32]
    interval_s: NDArray[np.int32]
    ts: NDArray[np.int64]
    read_at: NDArray[np.int64]
    quality: NDArray[np.int32]
    source: NDArray[np.int16]
    values: NDArray[np.int64]
    null: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ts)

    def where(self, chosen: NDArray[Any]) -> Rows:
        """The chosen rows: a mask, or indexes in order."""
        return Rows(
            self.names,
            self.meter_id[chosen],
            self.interval_s[chosen],
            self.ts[chosen],
            self.read_at[chosen],
            self.quality[chosen],
            self.source[chosen],
            self.values[:, chosen],
            self.null[:, chosen],
        )


def rows_of(items: Sequence[MeterIntervals]) -> Rows:
    """All intervals of all items as columns, sorted by meter and start."""
    batches = [item.batch for item in items]
    lengths = np.array([len(batch.start) for batch in batches], np.int64)
    shapes = [set(shape) for shape in {tuple(batch.values) for batch in batches}]
    names = tuple(name for name in COLUMNS if name in set.union(*shapes))
    values, null = np.zeros((len(names), lengths.sum()), np.int64), np.zeros((len(names), lengths.sum()), np.bool_)
    absent = np.zeros(lengths.max(), np.int64)
    for index, name in enumerate(names):
        if all(name in shape for shape in shapes):
            np.concatenate([batch.values[name] for batch in batches], out=values[index])
        else:
            columns = [batch.values.get(name, absent[: len(batch.start)]) for batch in batches]
            np.concatenate(columns, out=values[index])
            null[index] = np.repeat([name not in batch.values for batch in batches], lengths)
    _mark_nulls(null, names, batches, lengths)
    values[null] = 0
    rows = Rows(
        names,
        np.repeat(np.array([item.meter_id for item in items], np.int32), lengths),
        np.repeat(np.array([batch.interval_s for batch in batches], np.int32), lengths),
        np.concatenate([_NOTHING, *(batch.start for batch in batches)]),
        np.repeat(np.array([microseconds(item.read_at) for item in items], np.int64), lengths),
        np.concatenate([_NOTHING, *(batch.quality for batch in batches)]).astype(np.int32),
        np.repeat(np.array([item.source for item in items], np.int16), lengths),
        values,
        null,
    )
    meters = rows.meter_id
    if np.all((meters[1:] > meters[:-1]) | ((meters[1:] == meters[:-1]) & (rows.ts[1:] > rows.ts[:-1]))):
        return rows
    return rows.where(np.lexsort((rows.ts, meters)))


def _mark_nulls(
    null: NDArray[np.bool_], names: tuple[str, ...], batches: Sequence[IntervalBatch], lengths: NDArray[np.int64]
) -> None:
    at = 0
    for batch, length in zip(batches, lengths.tolist(), strict=True):
        for name, mask in batch.nulls.items():
            null[names.index(name), at : at + length] = mask
        at += length


def copy_binary(rows: Rows) -> Iterator[bytes]:
    """The rows as COPY BINARY input, in parts, for the columns FIXED and `rows.names`; grouped by null pattern."""
    if len(rows.names) > 63:
        raise OverflowError("null patterns are kept in 64 bits")
    pattern = (np.int64(1) << np.arange(len(rows.names), dtype=np.int64)) @ rows.null.astype(np.int64)
    yield _HEADER
    for code in np.unique(pattern).tolist():
        group = rows if code == pattern[0] and np.all(pattern == code) else rows.where(np.flatnonzero(pattern == code))
        yield _packed(group, code)
    yield _TRAILER


def _packed(rows: Rows, pattern: int) -> bytes:
    present = tuple(not pattern >> index & 1 for index in range(len(rows.names)))
    dtype, blank = _layout(present)
    out = np.empty(len(rows), dtype)
    out[:] = blank
    for name, column in (
        ("meter_id", rows.meter_id),
        ("interval_s", rows.interval_s),
        ("ts", rows.ts - POSTGRES_EPOCH_US),
        ("read_at", rows.read_at - POSTGRES_EPOCH_US),
        ("quality", rows.quality),
        ("source", rows.source),
    ):
        out[name] = column
    for index, here in enumerate(present):
        if here:
            out[f"v{index}"] = rows.values[index]
    return out.tobytes()


@lru_cache(maxsize=256)
def _layout(present: tuple[bool, ...]) -> tuple[np.dtype[Any], Any]:
    """The packed row for one null pattern, and one such row with its field count and lengths filled in."""
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in FIXED:
        fields += [(f"{name}_len", ">i4"), (name, kind)]
    for index, here in enumerate(present):
        fields.append((f"v{index}_len", ">i4"))
        if here:
            fields.append((f"v{index}", ">i8"))
    dtype = np.dtype(fields)
    blank = np.zeros((), dtype)
    blank["fields"] = len(FIXED) + len(present)
    for name, kind in FIXED:
        blank[f"{name}_len"] = np.dtype(kind).itemsize
    for index, here in enumerate(present):
        blank[f"v{index}_len"] = 8 if here else -1
    return dtype, blank


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exactly."""
    return (moment - UNIX_EPOCH) // timedelta(microseconds=1)
