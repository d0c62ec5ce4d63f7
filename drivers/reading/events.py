"""Event logs: what happened since a sequence number or a time.

The one rule: an event is never left out for doubt. Unknown codes keep their number, rows without a readable time are
given with the others; what is asked for from a point on may bring some that stood before it, never fewer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.reading.profile import Buffer
from drivers.reading.selection import between
from drivers.reading.values import ProfileRows, ValueColumn, rows_of
from profiles.errors import SettingsError
from profiles.events import Event, event
from profiles.meter_type import MeterType
from profiles.objects import Obis
from profiles.table import ProfileTable

Since = int | datetime | None
"""After the entry with this sequence number; from this time on; None: all that there is."""

NO_CODE: Final = -1

_MARGIN: Final = timedelta(days=1)
"""How far the rows of a log may stand out of order, and our clocks apart."""
_CODES: Final = Obis(0, 0, 96, 11, 0)
_SEQUENCES: Final = Obis(0, 0, 96, 15, 0)
"""Group E is the log's number."""
_LOGS: Final = range(7)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class EventRows:
    """Rows of an event log, in the log's order.

    `codes`: NO_CODE where the cell is none. `times`: the column of the clock. `sequence`: that of the log's own
    numbers; None where it does not number its entries, so that time and code tell them apart. The snapshot of the
    moment, and all else, is in `rows`.
    """

    group: str
    rows: ProfileRows
    codes: NDArray[np.int64]
    times: ValueColumn | None
    sequence: ValueColumn | None
    maker: str | None

    def __len__(self) -> int:
        return len(self.rows)

    def event(self, row: int) -> Event | None:
        """What the code of a row says on this maker's meters; None where it has none."""
        code = int(self.codes[row])
        return None if code == NO_CODE else event(code, self.maker)

    def take(self, rows: NDArray[np.intp]) -> EventRows:
        """These rows alone."""
        taken = self.rows.take(rows)
        times = None if taken.stamp is None else taken.columns[taken.stamp]
        sequence = None if self.sequence is None else self.sequence.take(rows)
        return replace(self, rows=taken, codes=self.codes[rows], times=times, sequence=sequence)


async def read_events(buffer: Buffer, since: Since, *, now: datetime) -> AsyncIterator[EventRows]:
    """The entries of a log since a point, in parts, the newest part first.

    A sequence number that the log no longer holds, or a log without such numbers, gives all entries.
    """
    if buffer.profile.selective_access == "range" and isinstance(since, datetime):
        selection = between(buffer.meter_type, buffer.profile, buffer.layout, since, now + _MARGIN)
        yield _since(_events(buffer, await buffer.read(selection)), since)[0]
        return
    in_order = buffer.meter_type.buffer_habit.newest_last
    async for table in buffer.newest_first():
        found = _events(buffer, table)
        if isinstance(since, int) and not in_order:
            yield found
            continue
        new, reached = _since(found, since)
        yield new
        if reached and in_order:
            return


def _events(buffer: Buffer, table: ProfileTable) -> EventRows:
    return event_rows(rows_of(buffer, table), buffer.meter_type)


def event_rows(rows: ProfileRows, meter_type: MeterType) -> EventRows:
    """The rows of an event log, however they came, as its entries. SettingsError for another profile."""
    log = rows.profile.event_log
    if log is None:
        raise SettingsError(f"profile {rows.profile.name} is no event log")
    code = rows.column(log.code) or _first(rows, lambda obis: obis[:4] == _CODES[:4])
    sequence = (log.sequence and rows.column(log.sequence)) or _first(
        rows, lambda obis: obis[:4] == _SEQUENCES[:4] and obis.e in _LOGS
    )
    codes = np.full(len(rows), NO_CODE, np.int64)
    if code is not None and code.form == "number" and code.values.dtype.kind == "i":
        codes[code.known] = code.values[code.known]
    times = None if rows.stamp is None else rows.columns[rows.stamp]
    return EventRows(log.group, rows, codes, times, sequence, meter_type.event_maker)


def _first(rows: ProfileRows, fits: Callable[[Obis], bool]) -> ValueColumn | None:
    """The meter's own choice where its columns are not those of the type: one maker gives all logs one list."""
    return next((one for one in rows.columns if one.captured.attribute == 2 and fits(one.captured.obis)), None)


def _since(found: EventRows, since: Since) -> tuple[EventRows, bool]:
    """What is new of a part, and whether it reaches back to what is not."""
    if isinstance(since, datetime) and found.times is not None and len(found):
        border = (since - _EPOCH) // timedelta(microseconds=1)
        new = (found.times.values >= border) | ~found.times.known
        reached = bool(found.times.known[0] and found.times.values[0] < border - _MARGIN // timedelta(microseconds=1))
        return found.take(np.flatnonzero(new)), reached
    if isinstance(since, int) and found.sequence is not None:
        # By place, not by size: the numbers start again at their end.
        at = np.flatnonzero((found.sequence.values == since) & found.sequence.known)
        if len(at):
            return found.take(np.arange(at[-1] + 1, len(found))), True
    return found, False
