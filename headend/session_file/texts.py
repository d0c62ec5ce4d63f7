"""The texts of a reading: made fit for a file before it is written, and said in two languages again when it is read.

The one rule: whatever a meter said, the file that keeps it can be opened: a text loses what no terminal should get, and
a number that is none becomes a text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from headend.reading.tables import Cell, Readout, visible
from headend.words import Words

LONGEST_TEXT: Final = 1 << 16
"""Characters."""


def fit_to_keep(readout: Readout) -> Readout:
    """What a file may hold of it."""
    return _changed(readout, lambda text: visible(text) if len(text) <= LONGEST_TEXT else visible(text[:LONGEST_TEXT]))


def hindi_of(readout: Readout) -> dict[str, str]:
    """By English text, of each that has both, the Hindi one."""
    found: dict[str, str] = {}

    def look(text: str) -> str:
        if isinstance(text, Words):
            found[str(text)] = text.hindi
        return text

    _changed(readout, look)
    return found


def in_both(readout: Readout, hindi: Mapping[str, str]) -> Readout:
    """The reading as it was before `hindi_of` was taken of it."""
    return _changed(readout, lambda text: Words(text, hindi[text]) if text in hindi else text)


def _changed(readout: Readout, change: Callable[[str], str]) -> Readout:
    """With every text that a person is shown as `change` gives it."""

    def cell(value: Cell) -> Cell:
        if isinstance(value, str):
            return change(value)
        none = isinstance(value, float | Decimal) and not math.isfinite(value)
        return str(value) if none else value

    tables = tuple(
        replace(
            table,
            title=change(table.title),
            columns=tuple(replace(column, title=change(column.title)) for column in table.columns),
            rows=tuple(tuple(cell(value) for value in row) for row in table.rows),
            notes=tuple(map(change, table.notes)),
        )
        for table in readout.tables
    )
    return replace(readout, tables=tables, missing=tuple(map(change, readout.missing)))
