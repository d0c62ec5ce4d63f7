"""Tables: the one shape of all that was read, for terminals, files and reports.

The one rule: a cell is a value, never a text made of one: numbers are exact and in the column's unit, times are aware
and local to the meter, None is what the meter did not say. How it looks is decided where it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Context, Decimal
from typing import Final

from drivers.links.line_time import LineUse
from headend.words import Words, words
from profiles.intervals import (
    IN_THE_FUTURE,
    NO_DATE_TIME,
    OFF_THE_GRID,
    OTHER_COLUMNS,
    TOO_OLD,
    Quality,
    Suspect,
)

_EXACT: Final = Context(prec=200)
_WIDE: Final = 14
"""Columns that no screen holds."""
_FEW: Final = 14
"""Rows that a screen holds as columns."""

UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of a line: in a terminal they do what nobody asked for."""

_REASONS: Final = {
    NO_DATE_TIME: "no_date_time",
    TOO_OLD: "too_old",
    IN_THE_FUTURE: "in_the_future",
    OFF_THE_GRID: "off_the_grid",
    OTHER_COLUMNS: "other_columns",
}
"""Why a row is not believed: the names of the messages."""

Cell = datetime | Decimal | int | float | str | None


@dataclass(frozen=True, slots=True)
class Column:
    """`key` names it in files, `title` to people; `unit` is a symbol, empty for none."""

    key: str
    title: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of reading. `what` as on the command line; `marks`: for each row, what is known against it.

    `record`: one row that says one thing of the meter. `interval_s`, `start`, `end`: of load profiles, aware, half
    open. `suspects`: rows that are not believed, and in no row here.
    """

    what: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    marks: tuple[tuple[str, ...], ...] = ()
    record: bool = False
    interval_s: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    suspects: tuple[Suspect, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_load(self) -> bool:
        """Whether its rows are intervals."""
        return self.interval_s is not None

    @property
    def upright(self) -> bool:
        """Whether its columns are better read one below the other: a record, or a few wide rows."""
        return self.record or (len(self.columns) > _WIDE and 0 < len(self.rows) <= _FEW)

    def without_empty(self) -> Table:
        """Without the columns in which no row has anything; a table without rows stays as it is."""
        told = [place for place in range(len(self.columns)) if any(row[place] is not None for row in self.rows)]
        if len(told) in (0, len(self.columns)):
            return self
        columns = tuple(self.columns[place] for place in told)
        return replace(self, columns=columns, rows=tuple(tuple(row[place] for place in told) for row in self.rows))

    def decimals(self, place: int) -> int:
        """How many a column needs, so that its numbers stand one below the other."""
        exponents = [cell.as_tuple().exponent for row in self.rows if isinstance(cell := row[place], Decimal)]
        return max((-one for one in exponents if isinstance(one, int)), default=0)

    def marks_of(self, row: int) -> tuple[str, ...]:
        """What is known against a row."""
        return self.marks[row] if self.marks else ()

    def values(self, key: str) -> list[Cell]:
        """One column; empty where there is none of this key."""
        places = [place for place, column in enumerate(self.columns) if column.key == key]
        return [row[places[0]] for row in self.rows] if places else []


@dataclass(slots=True)
class Record:
    """A table of one row, in the making."""

    what: str
    title: str
    columns: list[Column] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, key: str, title: str, cell: Cell, unit: str = "") -> None:
        """One more value."""
        self.columns.append(Column(key, title, unit))
        self.cells.append(cell)

    def table(self) -> Table:
        """As it stands."""
        rows = (tuple(self.cells),)
        return Table(self.what, self.title, tuple(self.columns), rows, record=True, notes=tuple(self.notes))


@dataclass(frozen=True, slots=True)
class Readout:
    """All that one meter said. `system_title` is empty where the association has none, `serial` if it was not asked."""

    address: str
    system_title: bytes
    serial: str
    meter_type: str
    zone: str
    read_at: datetime
    tables: tuple[Table, ...]
    missing: tuple[str, ...] = ()
    """What was wanted and is not there, with the reason, a sentence each."""
    line: LineUse | None = None
    """Of a serial line, what went over it."""

    def table(self, what: str) -> Table | None:
        """The table of a kind, if it was read."""
        return next((one for one in self.tables if one.what == what), None)


def length_of(seconds: int) -> Words:
    """`15 min`, `a day`."""
    if seconds == 86_400:
        return words("reading.a_day")
    if seconds % 60:
        return words("reading.seconds", number=seconds)
    return words("reading.minutes", number=seconds // 60)


def quality_marks(bits: int) -> tuple[str, ...]:
    """The names of `Quality` bits, in their order."""
    return tuple(mark.name.lower() for mark in Quality(bits) if mark.name)


def reason_of(suspect: Suspect) -> Words:
    """Why a row is not believed."""
    return words(f"reading.reason_{_REASONS[suspect.reason]}")


def plain(value: Decimal) -> Decimal:
    """Without the zeros at its end, and whole where it is."""
    return Decimal(int(value)) if value == value.to_integral_value() else value.normalize(_EXACT)


def visible(text: str) -> str:
    """A text that somebody else wrote, with U+FFFD for each character that shows as nothing."""
    if isinstance(text, Words):
        return Words(UNSEEN.sub("\ufffd", text), UNSEEN.sub("\ufffd", text.hindi))
    return UNSEEN.sub("\ufffd", text)


def unique_keys(names: Sequence[str]) -> list[str]:
    """Names as keys in lower case, letters, digits and underscores; what comes again is numbered."""
    seen: dict[str, int] = {}
    keys = []
    for name in names:
        key = "_".join("".join(c if c.isalnum() and c.isascii() else " " for c in name.lower()).split())
        seen[key] = seen.get(key, 0) + 1
        keys.append(key if seen[key] == 1 else f"{key}_{seen[key]}")
    return keys
