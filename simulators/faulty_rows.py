"""Rows of a load profile as a meter with faults has them: missing, twice, late, out of the range, without stamps.

The one rule: rows are changed as octets, whatever their columns are; only the stamp in the first one is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from drivers.dlms import axdr
from simulators.faults import MeterFaults

OF_ROWS: Final = frozenset(
    {"missing_rows", "duplicate_rows", "null_rows", "rows_outside", "late_capture", "clock_jump", "wild_stamps"}
)
"""The faults that show in rows."""
_STAMP_OCTETS: Final = 14
"""Tag and length, and a date-time."""
_WILD_YEARS: Final = (2000, 2099)
"""Of a clock that lost its battery, and of one that nobody can have set."""

Bounds = tuple[int, int] | None
"""Stamps of the first and the last row that were asked for, seconds since 1970 UTC; None for all."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """What rows are taken from. `read`: the true rows within bounds, oldest first; `stamp_of` a stamp of 12 octets."""

    read: Callable[[Bounds], list[bytes]]
    stamp_of: Callable[[bytes], int]
    period_s: int
    now: float
    repeats: bool = False
    """Whether null-data stands for the value of the row before, not only for the next stamp."""


@dataclass(frozen=True, slots=True)
class _Row:
    """`stamp`: seconds since 1970 UTC."""

    stamp: int
    cells: tuple[bytes, ...]

    @property
    def octets(self) -> bytes:
        return axdr.structure(*self.cells)


def faulty_rows(faults: MeterFaults, buffer: Buffer, bounds: Bounds) -> list[bytes]:
    """What the meter answers instead of `buffer.read(bounds)`."""
    margin = int(faults.figure("rows_outside", "rows")) * buffer.period_s if "rows_outside" in faults else 0
    wider = None if bounds is None else (bounds[0] - margin, bounds[1] + margin)
    rows = [_row(octets, buffer) for octets in buffer.read(wider)]
    if "clock_jump" in faults:
        rows = _across_the_jump(faults, buffer, rows)
    if "late_capture" in faults:
        rows = [row for row in rows if buffer.now >= row.stamp + _lateness(faults, row.stamp)]
    rows = [row for row in rows if not faults.strikes_at("missing_rows", row.stamp)]
    rows = [row for row in rows for _ in range(1 + faults.strikes_at("duplicate_rows", row.stamp))]
    if "wild_stamps" in faults:
        rows = [one for row in rows for one in (*_wild(faults, row, buffer.period_s), row)]
    if "null_rows" in faults:
        return _compressed(rows, buffer)
    return [row.octets for row in rows]


def _across_the_jump(faults: MeterFaults, buffer: Buffer, rows: Sequence[_Row]) -> list[_Row]:
    """The clock never showed what a jump ahead leaves out; after a jump back it shows the same stamps once more, and
    the rows that follow have them: those of as much later, with the stamps of then."""
    at, ahead = faults.figure("clock_jump", "at"), int(faults.figure("clock_jump", "seconds"))
    if buffer.now < at:
        return list(rows)
    if ahead >= 0:
        return [row for row in rows if not at < row.stamp <= at + ahead]
    back = -ahead // buffer.period_s * buffer.period_s
    again = {row.stamp: row.cells[0] for row in rows if at - back < row.stamp <= at}
    if not again:
        return list(rows)
    later = (_row(octets, buffer) for octets in buffer.read((min(again) + back, max(again) + back)))
    second = [_Row(row.stamp - back, (again[row.stamp - back], *row.cells[1:])) for row in later]
    return [*(row for row in rows if row.stamp <= at), *second, *(row for row in rows if row.stamp > at)]


def _wild(faults: MeterFaults, row: _Row, period_s: int) -> list[_Row]:
    """What stands before this row: now and then the same as if it were of another year."""
    if not faults.strikes_at("wild_stamps", row.stamp):
        return []
    year = _WILD_YEARS[row.stamp // period_s % 2]
    stamp = row.cells[0][:2] + year.to_bytes(2, "big") + row.cells[0][4:]
    return [_Row(0, (stamp, *row.cells[1:]))]


def _lateness(faults: MeterFaults, stamp: int) -> float:
    return faults.draw("late_capture", stamp) * faults.figure("late_capture", "longest_s")


def _compressed(rows: Sequence[_Row], buffer: Buffer) -> list[bytes]:
    """With null-data for a stamp one period after the last, and for values that repeat, where it stands for those."""
    null, before, found = axdr.null(), _Row(0, ()), []
    for row in rows:
        follows = row.stamp == before.stamp + buffer.period_s
        values = row.cells[1:]
        if follows and buffer.repeats:
            values = tuple(null if cell == old else cell for cell, old in zip(values, before.cells[1:], strict=True))
        found.append(axdr.structure(null if follows else row.cells[0], *values))
        before = row
    return found


def _row(octets: bytes, buffer: Buffer) -> _Row:
    reader = axdr.Reader(octets, "row", 1)
    cells = tuple(reader.datum() for _ in range(reader.length()))
    assert len(cells[0]) == _STAMP_OCTETS, "a row of a load profile begins with its stamp"
    return _Row(buffer.stamp_of(cells[0][2:]), cells)
