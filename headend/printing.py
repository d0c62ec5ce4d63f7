"""Tables of the registry and of completeness on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

if TYPE_CHECKING:
    from rich.table import Table

    from headend.registry import Meter
    from headend.store.status import Completeness, Trouble


def print_whole(table: Table) -> None:
    """Print a table as wide as it is: folded cells can be neither read nor searched."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    width = Measurement.get(console, console.options.update(width=10_000), table).maximum
    Console(width=max(width, console.width)).print(table)


def print_status(divisions: Sequence[Completeness], troubles: Sequence[Trouble]) -> None:
    """Completeness by division, then a line for each meter in trouble."""
    print_whole(completeness_table(divisions))
    for trouble in troubles:
        print(trouble.reason if trouble.meter in trouble.reason else f"{trouble.meter}: {trouble.reason}")
    if any(trouble.reason.startswith("parked: ") for trouble in troubles):
        print("a parked meter is left alone; `headend meters unpark NAME` has it read at once when its fault is mended")


def completeness_table(divisions: Sequence[Completeness]) -> Table:
    """Intervals due and stored by division, and in all."""
    from rich import box
    from rich.table import Table

    table = Table(title="Completeness by division", box=box.SIMPLE_HEAD, show_footer=True)
    meters, due, stored = (sum(column) for column in list(zip(*divisions, strict=True))[1:]) if divisions else (0, 0, 0)
    table.add_column("division", "all")
    for name, total in (("meters", meters), ("due", due), ("stored", stored)):
        table.add_column(name, f"{total:,}", justify="right")
    table.add_column("complete", _share(stored, due), justify="right")
    for row in divisions:
        table.add_row(
            escape(row.division), f"{row.meters:,}", f"{row.due:,}", f"{row.stored:,}", _share(row.stored, row.due)
        )
    return table


def _share(stored: int, due: int) -> str:
    """Rounded down, so that 100 % means all."""
    return f"{stored * 10_000 // due / 100:.2f} %" if due else "–"


def print_meters(meters: Sequence[Meter]) -> None:
    """The registry, a line a meter."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("name", "serial", "system title", "division", "type", "address", "last contact", "state"):
        table.add_column(heading, no_wrap=True)
    for meter in meters:
        state = f"parked: {meter.parked_reason}" if meter.parked_reason else meter.last_error or ""
        contact = f"{meter.last_contact:%Y-%m-%d %H:%M}Z" if meter.last_contact else ""
        title = meter.system_title.hex().upper() if meter.system_title else ""
        cells = (meter.name, meter.serial, title, meter.division, meter.meter_type, meter.address, contact, state)
        table.add_row(*map(escape, cells))
    print_whole(table)
