"""Serial ports on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from headend.printing import print_whole
from headend.watch.ports import Port
from headend.words import spoken, words


def print_ports(found: Sequence[Port]) -> None:
    """A line a port, then what stands in the way of those that can't be used."""
    table = Table(box=box.SIMPLE_HEAD)
    port_, kind, adapter, type_this = (
        spoken(words(f"watch.port_column_{name}")) for name in ("port", "kind", "adapter", "type_this")
    )
    for heading in (port_, kind, adapter, "USB", type_this, ""):
        table.add_column(heading, no_wrap=True)
    for port in found:
        kind = spoken(words(f"watch.port_kind_{port.kind}"))
        adapter = " ".join(filter(None, (port.maker, port.serial)))
        table.add_row(
            *map(escape, (port.device, kind, adapter, port.usb, f"'{port.address}'", spoken(port.why))),
            style="" if port.kind != "other" else "dim",
        )
    print_whole(table)
    for port in found:
        if port.problem:
            print(f"{port.device}: {spoken(port.problem)}")  # noqa: T201
