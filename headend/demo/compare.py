"""The answer key against the database, line by line and value by value.

The one rule: nothing is converted on the way. The database prints its integers, the key holds integers, in the same
order; the first line that differs ends the comparison.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from headend.store.database import Connection, store_errors
from headend.store.statements import statement
from profiles.errors import HeadEndError

HEADER: Final = (
    "serial",
    "start",
    "interval_s",
    "voltage",
    "current",
    "wh_import",
    "vah_import",
    "wh_export",
    "vah_export",
    "meter_health",
    "signal_strength",
)
"""Of the answer key; `sql/copy_readings.sql` prints the same columns."""


class DifferenceError(HeadEndError):
    """What a meter said and what is stored differ."""

    exit_code = 11


@dataclass(frozen=True, slots=True)
class Compared:
    """Intervals that were expected, that are stored, and that were found equal in every value."""

    expected: int
    stored: int
    equal: int


async def compare(connection: Connection, expect: Path, start: datetime, until: datetime) -> Compared:
    """Compare the key with every stored interval that starts in [start, until).

    Raises DifferenceError at the first one, naming meter, interval and value; StoreError.
    """
    equal, last = 0, ""
    with open(expect, encoding="utf-8") as key:  # noqa: ASYNC230 - a local file, read by the line
        header = key.readline().strip().split(",")
        if tuple(header) != HEADER:
            raise DifferenceError(f"the answer key has the columns {header}")
        async for stored in _stored_lines(connection, start, until):
            expected = key.readline().rstrip("\n")
            if expected != stored:
                raise _difference(expected, stored, last, equal)
            equal, last = equal + 1, stored
        left = key.readline().rstrip("\n")
        if left:
            raise _difference(left, "", last, equal)
    return Compared(equal, equal, equal)


async def _stored_lines(connection: Connection, start: datetime, until: datetime) -> AsyncIterator[str]:
    parts = b""
    async with (
        store_errors(),
        connection.cursor() as cursor,
        cursor.copy(statement("copy_readings"), {"start": start, "until": until}) as copy,
    ):
        async for block in copy:
            *lines, parts = (parts + bytes(block)).split(b"\n")
            for line in lines:
                yield line.decode()


def _difference(expected: str, stored: str, last: str, equal: int) -> DifferenceError:
    """What the two lines say, where `last` is the line before, which was equal."""
    key, row = expected.split(","), stored.split(",")
    if key[:2] == row[:2]:
        text = "; ".join(
            f"{name}: the meter said {said or 'nothing'}, stored is {there or 'nothing'}"
            for name, said, there in zip(HEADER, key, row, strict=False)
            if said != there
        )
    elif stored and (not expected or _comes_first(row, key, last.split(",")[0])):
        key, text = row, f"it is stored, though the meter never said it: {stored}"
    else:
        text = f"it is not stored, though the meter said it: {expected}"
    return DifferenceError(f"meter {key[0]}, interval {key[1]}: {text} (after {equal} equal intervals)")


def _comes_first(row: list[str], key: list[str], meter: str) -> bool:
    """Whether the stored row belongs before the key's line, after a line of `meter`."""
    return row[1] < key[1] if row[0] == key[0] else row[0] == meter
