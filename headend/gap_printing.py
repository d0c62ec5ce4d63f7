"""The ledger on a terminal: how complete days are, and where gaps lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from headend.printing import print_whole

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from headend.store.gaps import Days, Span


def print_days(by: str, rows: Sequence[Days]) -> None:
    """A line a day, division or meter, and all of them added up."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_footer=len(rows) > 1)
    numbers = [
        (row.due, row.stored, row.absent, row.expired, row.owed, row.within_8h, row.within_24h, row.meters)
        for row in rows
    ]
    sums = [sum(column) for column in zip(*numbers, strict=True)]
    table.add_column(by, "all", no_wrap=True)
    for name, total in zip(("due", "stored", "absent", "expired", "owed"), sums, strict=False):
        table.add_column(name, f"{total:,}", justify="right")
    table.add_column("in 8 h", _percent(sums[5], sums[0]), justify="right")
    table.add_column("in 24 h", _percent(sums[6], sums[0]), justify="right")
    for row, (due, *others, within_8h, within_24h, _) in zip(rows, numbers, strict=True):
        counts = (f"{count:,}" for count in (due, *others))
        table.add_row(escape(row.name), *counts, _percent(within_8h, due), _percent(within_24h, due))
    print_whole(table)


def print_spans(spans: Sequence[Span], zone: ZoneInfo) -> None:
    """A line a gap, in local time."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("gap", "from", "to"):
        table.add_column(heading, no_wrap=True)
    for span in spans:
        table.add_row(span.kind, *(f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" for moment in (span.first, span.until)))
    print_whole(table)


def _percent(part: int, due: int) -> str:
    """Rounded down, so that 100 % means all."""
    return f"{part * 10_000 // due / 100:.2f} %" if due else "–"
