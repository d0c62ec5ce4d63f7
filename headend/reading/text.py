"""Tables for the eye: units, thousands, decimals below each other, local times, marks.

The one rule: nothing is cut or folded to fit a screen: what is folded can be neither read nor searched.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from headend.reading.tables import Cell, Readout, Table, length_of
from headend.words import Words, joined, spoken, words

if TYPE_CHECKING:
    from rich.table import Table as Drawn

_NARROWEST: Final = 80
_HEAD_WIDTH: Final = 12


def to_text(readout: Readout, *, width: int | None = None, colour: bool = False) -> str:
    """Every table, under a line that says whose it is. `width`: a terminal's, None for as wide as it takes."""
    from rich.console import Console
    from rich.measure import Measurement

    file = io.StringIO()
    console = Console(file=file, force_terminal=colour, width=width or _NARROWEST, no_color=not colour, highlight=False)
    console.print(_heading(readout), markup=False, soft_wrap=True)
    for table in readout.tables:
        drawn = drawn_table(table)
        needed = Measurement.get(console, console.options.update(width=10_000), drawn).maximum
        console.width = max(needed, width or _NARROWEST)
        console.print()
        console.print(drawn)
        for note in table.notes:
            console.print(f"  {spoken(note)}", markup=False, soft_wrap=True)
    for sentence in readout.missing:
        console.print(spoken(words("reading.not_read", what=sentence)), markup=False, soft_wrap=True)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _heading(readout: Readout) -> str:
    name = readout.serial or readout.system_title.hex().upper()
    parts = (readout.address, name, readout.meter_type, spoken(words("reading.times_of", zone=readout.zone)))
    return " · ".join(part for part in parts if part)


def title_of(table: Table) -> str:
    """`Block load · 96 intervals of 15 min`, in words of each language."""
    if table.record:
        return table.title
    period = table.interval_s
    if period is None:
        return words("reading.rows", title=table.title, rows=len(table.rows))
    return words("reading.intervals", title=table.title, rows=len(table.rows), length=length_of(period))


def drawn_table(table: Table) -> Drawn:
    """For a terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table as Drawn

    title = escape(spoken(title_of(table)))
    drawn = Drawn(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    if table.upright:
        _draw_upright(table, drawn)
    else:
        _draw_rows(table.without_empty(), drawn)
    return drawn


def _draw_upright(table: Table, drawn: Drawn) -> None:
    """A line for each column."""
    from rich.markup import escape

    drawn.show_header = False
    drawn.add_column(no_wrap=True)
    for _ in table.rows:
        drawn.add_column(no_wrap=True, justify="left" if table.record else "right")
    drawn.add_column(no_wrap=True)
    for place, column in enumerate(table.columns):
        decimals = table.decimals(place)
        cells = [escape(_spoken_cell(row[place], column.unit, decimals)) for row in table.rows]
        drawn.add_row(escape(spoken(column.title)), *cells, escape(column.unit if any(cells) else ""))
    if any(table.marks):
        marks = [spoken(marks_text(table.marks_of(place))) for place in range(len(table.rows))]
        drawn.add_row(spoken(words("reading.quality")), *marks, "")


def _draw_rows(table: Table, drawn: Drawn) -> None:
    """A line for each row."""
    from rich.markup import escape

    for place, column in enumerate(table.columns):
        is_text = any(isinstance(row[place], str | datetime) for row in table.rows)
        drawn.add_column(_head(spoken(column.title), column.unit), justify="left" if is_text else "right", no_wrap=True)
    decimals = [table.decimals(place) for place in range(len(table.columns))]
    marked = any(table.marks)
    if marked:
        drawn.add_column(spoken(words("reading.quality")), no_wrap=True, style="yellow")
    for at, row in enumerate(table.rows):
        cells = [
            escape(_spoken_cell(cell, column.unit, places))
            for cell, column, places in zip(row, table.columns, decimals, strict=True)
        ]
        drawn.add_row(*cells, *([spoken(marks_text(table.marks_of(at)))] if marked else []))


def _head(title: str, unit: str) -> str:
    """In lines that are not much wider than what stands under them."""
    from rich.cells import cell_len
    from rich.markup import escape

    lines: list[str] = [""]
    for word in title.split():
        if lines[-1] and cell_len(lines[-1]) + cell_len(word) > _HEAD_WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return escape("\n".join((*lines, unit)).rstrip("\n"))


def marks_text(marks: Sequence[str]) -> Words:
    """What is known against a row, for the eye; what is in words already stays."""
    return joined(mark if isinstance(mark, Words) else words(f"reading.mark_{mark}") for mark in marks)


def _spoken_cell(cell: Cell, unit: str, decimals: int) -> str:
    return spoken(cell) if isinstance(cell, Words) else shown(cell, unit, decimals)


def shown(cell: Cell, unit: str = "", decimals: int = 0) -> str:
    """A cell for the eye: thousands apart where it counts something, times without seconds where they are on the
    minute, numbers with so many decimals."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M}" if not cell.second else f"{cell:%Y-%m-%d %H:%M:%S}"
    apart = "," if unit else ""
    if isinstance(cell, Decimal):
        return f"{cell:{apart}.{decimals}f}"
    return f"{cell:{apart}}" if isinstance(cell, int | float) else cell
