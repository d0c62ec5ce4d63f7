"""What is watched of a meter: the values of this moment, again and again, with a little of what was before.

The one rule: what the meter did not say is None, and what is no value stays the octets that came; neither becomes 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from headend.reading.tables import Cell, Column, Table
from headend.words import words
from profiles.errors import SettingsError

KEPT: Final = 40
"""Of each value, for its sparkline."""
_BARS: Final = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Sample:
    """All that is watched, once. `marks`: what is known against it."""

    at: datetime
    columns: tuple[Column, ...]
    cells: tuple[Cell, ...]
    marks: tuple[str, ...] = ()


def sample_of(table: Table, at: datetime, wanted: Sequence[str]) -> Sample:
    """The last row of a table, of it the columns whose name has one of the words in it; all without words.

    SettingsError where a word names none.
    """
    places = _chosen(table.columns, wanted) if wanted else range(len(table.columns))
    row = table.rows[-1] if table.rows else (None,) * len(table.columns)
    marks = table.marks_of(len(table.rows) - 1) if table.rows else (words("watch.watch_no_row"),)
    return Sample(at, tuple(table.columns[place] for place in places), tuple(row[place] for place in places), marks)


def _chosen(columns: Sequence[Column], wanted: Sequence[str]) -> list[int]:
    chosen: list[int] = []
    for word in wanted:
        plain = word.strip().lower().replace("_", " ")
        found = [place for place, column in enumerate(columns) if plain in column.title.lower()]
        if not found:
            known = ", ".join(column.title for column in columns)
            raise SettingsError(f"no value is called {word!r}", remedy=f"there are {known}")
        chosen += [place for place in found if place not in chosen]
    return sorted(chosen)


@dataclass(slots=True)
class Course:
    """One value over time: the lowest and highest so far, and the last `KEPT`, None where there was no number."""

    lowest: Decimal | None = None
    highest: Decimal | None = None
    last: deque[Decimal | None] = field(default_factory=lambda: deque(maxlen=KEPT))

    def take(self, cell: Cell) -> None:
        """One more."""
        number = Decimal(str(cell)) if isinstance(cell, Decimal | int | float) else None
        self.last.append(number)
        if number is not None:
            self.lowest = number if self.lowest is None else min(self.lowest, number)
            self.highest = number if self.highest is None else max(self.highest, number)

    def sparkline(self) -> str:
        """From the lowest to the highest of those kept; a blank where there was no number."""
        numbers = [one for one in self.last if one is not None]
        if not numbers:
            return ""
        low, span = min(numbers), max(numbers) - min(numbers)
        return "".join(
            " " if one is None else _BARS[int((one - low) / span * (len(_BARS) - 1)) if span else 0]
            for one in self.last
        )


class Courses:
    """Of all values, by key."""

    def __init__(self) -> None:
        self.of: dict[str, Course] = {}
        self.samples = 0

    def take(self, sample: Sample) -> None:
        """One more of each."""
        self.samples += 1
        for column, cell in zip(sample.columns, sample.cells, strict=True):
            self.of.setdefault(column.key, Course()).take(cell)
