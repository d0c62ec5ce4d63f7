"""What a scan found, as a table or as JSON, and how far it is while it goes on."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from headend.watch.asking import Found
from headend.watch.scanning import Scan
from headend.words import joined, spoken, words


@contextlib.contextmanager
def scan_bar(total: int) -> Iterator[Callable[[int], None]]:
    """On a terminal a bar of so many places, with the time that is left; gives what to tell the number done."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    asking, left = spoken(words("watch.asking")), spoken(words("watch.places_left"))
    columns = (TextColumn(asking), BarColumn(), MofNCompleteColumn(), TextColumn(left))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def as_json(scan: Scan) -> dict[str, Any]:
    """All of it. `complete`: whether nobody broke it off."""
    return {
        "places": len(scan.places),
        "asked": scan.asked,
        "complete": scan.complete,
        "silent": dict(scan.silent),
        "found": [_json_of(found) for found in sorted(scan.found, key=_order)],
    }


def _json_of(found: Found) -> dict[str, Any]:
    who = found.who
    return {
        "address": address_of(found),
        "also": found.also,
        "serial": who.serial if who else "",
        "device_id": who.device_id if who else "",
        "maker": who.maker if who else "",
        "model": who.model if who else "",
        "firmware": who.firmware if who else "",
        "logical_device_name": who.logical_device_name if who else "",
        "system_title": who.system_title.hex().upper() if who else "",
        "sign_on": found.sign_on,
        "information": found.information,
        "window": found.window,
        "ms": found.ms,
        "note": found.note,
    }


def print_scan(scan: Scan) -> None:
    """A line for each that answers, then how many do not."""
    if scan.found:
        _print_table(sorted(scan.found, key=_order))
    quiet = joined((words(f"watch.silent_{why}", count=count) for why, count in scan.silent.most_common()), "")
    numbers = {"asked": scan.asked, "places": len(scan.places), "found": len(scan.found)}
    said = words("watch.scan_asked" if scan.complete else "watch.scan_broken_off", quiet=quiet, **numbers)
    print(spoken(said))  # noqa: T201


def _print_table(found: list[Found]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from headend.printing import print_whole

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("address", "serial", "maker", "model", "name", "frames"):
        table.add_column(spoken(words(f"watch.scan_column_{heading}")), no_wrap=True)
    table.add_column("ms", no_wrap=True, justify="right")
    table.add_column("", no_wrap=True)
    for one in found:
        who = one.who
        frames = "" if one.information is None else f"{one.information} × {one.window}"
        also = words("watch.also_at", number=one.also) if one.also else ""
        sign_on = words("watch.signs_on", name=one.sign_on) if one.sign_on else ""
        notes = spoken(joined(filter(None, (sign_on, also, one.note)), "; "))
        of = ("", "", "", "") if who is None else (
            who.serial, who.maker, who.model, who.device_id or who.logical_device_name
        )  # fmt: skip
        table.add_row(*map(escape, (address_of(one), *of, frames, str(one.ms), notes)))
    print_whole(table)


def address_of(found: Found) -> str:
    """What to type for it."""
    shown = str(found.address)
    if found.address.line.mode_e:
        shown += ("&" if "?" in shown else "?") + "mode=e"
    elif found.address.hdlc.octets is not None:
        shown += ("&" if "?" in shown else "?") + f"octets={found.address.hdlc.octets}"
    return shown


def _order(found: Found) -> tuple[object, ...]:
    """By host, number by number, then by the place on its line."""
    address = found.address
    host = tuple(part.zfill(5) for part in address.host.split("."))
    device = b"" if address.gateway is None else address.gateway.device
    return (host, address.port, address.hdlc.physical if address.hdlc.physical is not None else -1, device)
