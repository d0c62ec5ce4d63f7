"""Selective access to a profile's rows: by range of the clock, by entry, and of some columns only (Blue Book, class 7).

The one rule: rows stay the octets that they are; what is left out of a row is cut out of its octets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivers.dlms import apdu, axdr
from profiles.objects import CaptureObject
from simulators import block_load
from simulators.objects import Selection
from simulators.refusals import Refused, Result

Rows = Callable[[tuple[int, int] | None], list[bytes]]
"""Rows in A-XDR, oldest first: all, or those with a stamp (seconds since 1970 UTC) within bounds, both inclusive."""


def selected(selection: Selection, rows: Rows, columns: Sequence[CaptureObject]) -> bytes:
    """The array of what is selected; Refused where the profile has no such clock or column.

    ProtocolError where a bound of a range is no date and time. Entries beyond the last one are none.
    """
    if isinstance(selection, apdu.RangeSelection):
        if selection.clock != block_load.CLOCK or selection.clock not in columns:
            raise Refused(Result.SCOPE_VIOLATED)
        wanted = _named(selection.columns, columns)
        bounds = (block_load.utc_of_clock(selection.start), block_load.utc_of_clock(selection.end))
        found = rows(bounds)
    else:
        if selection.first < 1:
            raise Refused(Result.SCOPE_VIOLATED)
        wanted = _numbered(selection.first_column, selection.last_column, len(columns))
        found = rows(None)[selection.first - 1 : selection.last or None]
    if len(wanted) < len(columns):
        found = [_cut(row, wanted) for row in found]
    return axdr.array(found)


def _named(asked: Sequence[CaptureObject], columns: Sequence[CaptureObject]) -> list[int]:
    """Indices of the columns asked for, in the profile's order; none named: all."""
    if any(column not in columns for column in asked):
        raise Refused(Result.SCOPE_VIOLATED)
    return [index for index, column in enumerate(columns) if not asked or column in asked]


def _numbered(first: int, last: int, count: int) -> list[int]:
    """Indices of columns `first` to `last`, counted from 1; 0 for the last one."""
    last = last or count
    if not 1 <= first <= last <= count:
        raise Refused(Result.SCOPE_VIOLATED)
    return list(range(first - 1, last))


def _cut(row: bytes, wanted: Sequence[int]) -> bytes:
    reader = axdr.Reader(row, "row", 1)
    cells = [reader.datum() for _ in range(reader.length())]
    return axdr.structure(*(cells[index] for index in wanted))
