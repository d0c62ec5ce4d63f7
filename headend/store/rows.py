"""Rows of many meters as columns, and as the octets of COPY BINARY; nothing here makes a Python object a row.

The one rule: a COPY BINARY row without variable fields *is* a packed structure: int16 field count, then for each
field int32 length and the value, big-endian. A NULL is the length -1 and nothing after it, so rows of one null
pattern share one numpy structured dtype (PostgreSQL manual, COPY, "Binary Format").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from profiles.channels import COLUMNS
from profiles.intervals import IntervalBatch

UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01 UTC, from which PostgreSQL counts, in microseconds since 1970."""

FIXED: Final = (
    ("meter_id", ">i4"),
    ("interval_s", ">i4"),
    ("ts", ">i8"),
    ("read_at", ">i8"),
    ("quality", ">i4"),
    ("source", ">i2"),
)
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
    lengths = np.array([len(item.batch.start) for item in items], np.int64)
    present = {name for item in items for name in item.batch.values}
    names = tuple(name for name in COLUMNS if name in present)
    total = int(lengths.sum())
    values, null = np.zeros((len(names), total), np.int64), np.ones((len(names), total), np.bool_)
    at = 0
    place = {name: index for index, name in enumerate(names)}
    for item, length in zip(items, lengths.tolist(), strict=True):
        for name, column in item.batch.values.items():
            index, mask = place[name], item.batch.nulls.get(name)
            if mask is None:
                values[index, at : at + length], null[index, at : at + length] = column, False
            else:
                values[index, at : at + length], null[index, at : at + length] = np.where(mask, 0, column), mask
        at += length
    rows = Rows(
        names,
        np.repeat(np.array([item.meter_id for item in items], np.int32), lengths),
        np.repeat(np.array([item.batch.interval_s for item in items], np.int32), lengths),
        np.concatenate([item.batch.start for item in items]) if items else np.empty(0, np.int64),
        np.repeat(np.array([microseconds(item.read_at) for item in items], np.int64), lengths),
        np.concatenate([item.batch.quality for item in items]) if items else np.empty(0, np.int32),
        np.repeat(np.array([item.source for item in items], np.int16), lengths),
        values,
        null,
    )
    meters = rows.meter_id
    if np.all((meters[1:] > meters[:-1]) | ((meters[1:] == meters[:-1]) & (rows.ts[1:] > rows.ts[:-1]))):
        return rows
    return rows.where(np.lexsort((rows.ts, meters)))


def copy_binary(rows: Rows) -> bytes:
    """The rows as COPY BINARY input for the columns FIXED and `rows.names`, grouped by null pattern."""
    if len(rows.names) > 63:
        raise OverflowError("null patterns are kept in 64 bits")
    pattern = (np.int64(1) << np.arange(len(rows.names), dtype=np.int64)) @ rows.null.astype(np.int64)
    parts = [_HEADER]
    for code in np.unique(pattern).tolist():
        group = rows if code == pattern[0] and np.all(pattern == code) else rows.where(np.flatnonzero(pattern == code))
        parts.append(_packed(group, code))
    parts.append(_TRAILER)
    return b"".join(parts)


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
