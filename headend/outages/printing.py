"""Outages on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.markup import escape
from rich.table import Table

from headend.outages.listing import Outage
from headend.printing import print_whole


def print_outages(found: Sequence[Outage]) -> None:
    """A line an outage, in local time."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("outage", "of", "place", "division", "from", "to"):
        table.add_column(heading, no_wrap=True)
    for heading in ("meters", "still off", "minutes", "meter minutes"):
        table.add_column(heading, justify="right")
    for one in found:
        words = (str(one.outage), one.kind, one.place, one.division, _time(one.local_begin), _time(one.local_end))
        numbers = (f"{one.meters:,}", f"{one.still_off:,}", _minutes(one.minutes), _minutes(one.meter_minutes))
        table.add_row(*map(escape, words), *numbers)
    print_whole(table)


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment is not None else "goes on"


def _minutes(minutes: float | None) -> str:
    return f"{minutes:,.1f}" if minutes is not None else "–"
