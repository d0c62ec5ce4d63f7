"""Curves and bars in a terminal.

The one rule: a gap in the intervals is a gap in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from headend.reading.tables import Cell, Column, Readout, Table
from headend.words import spoken, words
from profiles.errors import SettingsError

_ENERGY: Final = ("wh_import", "wh_import_register", "w_import")
_WIDEST: Final = 160
_HEIGHT: Final = 18
_MOST_BARS: Final = 62


def plotted(readout: Readout, *, width: int, colour: bool) -> str:
    """The pictures of what has one: curves of blocks, bars of days and of billing periods. SettingsError for none."""
    pictures = [
        picture
        for table in readout.tables
        if (picture := _picture(table, width=min(width, _WIDEST), colour=colour)) is not None
    ]
    if not pictures:
        raise SettingsError("there is nothing to draw", remedy="--plot draws block-load, daily and billing")
    return "\n\n".join(pictures) + "\n"


def _picture(table: Table, *, width: int, colour: bool) -> str | None:
    found = energy_of(table)
    if found is None:
        return None
    column, times, values = found
    import plotext

    plotext.clear_figure()
    plotext.plotsize(width, _HEIGHT)
    plotext.title(f"{spoken(table.title)}: {spoken(column.title)}, {column.unit}")
    if table.what == "block-load":
        _curve(plotext, times, values)
    else:
        plotext.bar([f"{time:%d %b}" for time in times[-_MOST_BARS:]], [value or 0 for value in values[-_MOST_BARS:]])
    if not colour:
        plotext.theme("clear")
    built: str = plotext.build()
    return built if colour else plotext.uncolorize(built)


def _curve(plotext: Any, times: Sequence[datetime], values: Sequence[float | None]) -> None:
    """Runs of neighbours, as lines of one colour: what is not there is not bridged."""
    hours = [(time - times[0]).total_seconds() / 3600 for time in times]
    step = min((later - earlier for earlier, later in pairwise(hours)), default=1.0)
    for first, end in runs(hours, values, step):
        plotext.plot(hours[first:end], values[first:end], marker="braille", color="green")
    marked = range(0, len(hours), max(1, len(hours) // 4))
    plotext.xticks([hours[place] for place in marked], [f"{times[place]:%d %b %H:%M}" for place in marked])


def runs(places: Sequence[float], values: Sequence[float | None], step: float) -> list[tuple[int, int]]:
    """Half open stretches of neighbours that have values; `step` lies between two neighbours."""
    found: list[tuple[int, int]] = []
    first: int | None = None
    for place, value in enumerate(values):
        apart = place > 0 and places[place] - places[place - 1] > step * 1.5
        if first is not None and (apart or value is None):
            found.append((first, place))
            first = None
        if first is None and value is not None:
            first = place
    return [*found, (first, len(values))] if first is not None else found


def energy_of(table: Table) -> tuple[Column, list[datetime], list[float | None]] | None:
    """What a table says of energy: its column, times, and what went through in each row, of registers as the
    difference to the row before. None where it is about none, or has no rows."""
    column = next((one for one in table.columns if one.key in _ENERGY), None)
    if column is None and table.what == "billing":
        column = next((one for one in table.columns if one.unit == "Wh"), None)
    first = table.rows[0] if table.rows else ()
    stamp = next((one for one, cell in zip(table.columns, first, strict=False) if isinstance(cell, datetime)), None)
    if column is None or stamp is None:
        return None
    pairs = [
        (time, number(value))
        for time, value in zip(table.values(stamp.key), table.values(column.key), strict=True)
        if isinstance(time, datetime)
    ]
    if column.key.endswith("_register") or table.what == "billing":
        pairs = [
            (time, None if value is None or before is None else value - before)
            for (_, before), (time, value) in pairwise(pairs)
        ]
        title = words("reading.since_row_before", title=column.title.removesuffix(" register"))
        column = Column(column.key, title, column.unit)
    return (column, [time for time, _ in pairs], [value for _, value in pairs]) if pairs else None


def number(cell: Cell) -> float | None:
    """A cell as a number; None where it is none."""
    return float(cell) if isinstance(cell, Decimal | int | float) else None
