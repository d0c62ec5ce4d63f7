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
    equal = 0
    with open(expect, encoding="utf-8") as key:  # noqa: ASYNC230 - a local file, read by the line
        header = key.readline().strip().split(",")
        if tuple(header) != HEADER:
            raise DifferenceError(f"the answer key has the columns {header}")
        async for stored in _stored_lines(connection, start, until):
            expected = key.readline().rstrip("\n")
            if expected != stored:
                raise _difference(expected, stored, equal)
            equal += 1
        left = key.readline().rstrip("\n")
        if left:
            raise _difference(left, "", equal)
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


def _difference(expected: str, stored: str, equal: int) -> DifferenceError:
    key, row = expected.split(","), stored.split(",")
    if key[:2] != row[:2]:
        text = f"the answer key goes on with {expected or 'nothing'}, the database with {stored or 'nothing'}"
    else:
        wrong = [
            f"{name}: the meter said {said or 'nothing'}, stored is {there or 'nothing'}"
            for name, said, there in zip(HEADER, key, row, strict=False)
            if said != there
        ]
        text = f"meter {key[0]}, interval {key[1]}: {'; '.join(wrong)}"
    return DifferenceError(f"after {equal} equal intervals, {text}")
