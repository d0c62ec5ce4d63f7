"""Intervals on a terminal, as JSON, or as CSV."""

from __future__ import annotations

import csv
import enum
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.markup import escape

from profiles.channels import CHANNELS, Channel
from profiles.intervals import IntervalBatch, Quality
from profiles.units import unit_symbol

if TYPE_CHECKING:
    from rich.table import Table

    from headend.registry import Meter
    from headend.single_read import Answer
    from headend.store.status import Completeness, Trouble


class Form(enum.Enum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def print_intervals(answer: Answer, form: Form) -> None:
    """Print the intervals of one reading to stdout; what could not be believed goes to stderr, or into the JSON."""
    channels = _channels(answer.batch)
    rows = list(_rows(answer, channels))
    if form is Form.JSON:
        _print_json(answer, channels, rows)
        return
    if form is Form.CSV:
        writer = csv.writer(sys.stdout)
        writer.writerow(["start", "interval_s", *(channel.name for channel in channels), "quality"])
        writer.writerows(
            [start.isoformat(), answer.layout.capture_period_s, *values, "|".join(marks)]
            for start, values, marks in rows
        )
    else:
        _print_table(answer, channels, rows)
    if not rows:
        print("headend: the meter gave no interval of this time", file=sys.stderr)
    for suspect in answer.batch.suspects:
        print(f"headend: not believed, {suspect.reason}: {suspect.raw.hex()}", file=sys.stderr)


def _channels(batch: IntervalBatch) -> list[Channel]:
    by_name = {channel.name: channel for channel in CHANNELS.values()}
    return [by_name[name] for name in batch.values]


def _rows(answer: Answer, channels: list[Channel]) -> Iterator[tuple[datetime, list[Any], list[str]]]:
    """Rows whose interval starts in the asked range: local start, values in SI units, quality marks."""
    batch, zone = answer.batch, ZoneInfo(answer.meter_type.zone)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for row, start_us in enumerate(batch.start.tolist()):
        start = epoch + timedelta(microseconds=start_us)
        if not answer.start <= start < answer.end:
            continue
        values = [_value(batch, channel, row) for channel in channels]
        marks = [mark.name.lower() for mark in Quality(int(batch.quality[row])) if mark.name]
        yield start.astimezone(zone), values, marks


def _value(batch: IntervalBatch, channel: Channel, row: int) -> int | float | None:
    nulls = batch.nulls.get(channel.name)
    if nulls is not None and nulls[row]:
        return None
    stored = int(batch.values[channel.name][row])
    return stored / 10**-channel.exponent if channel.exponent else stored


def _print_json(answer: Answer, channels: list[Channel], rows: list[tuple[datetime, list[Any], list[str]]]) -> None:
    names = [channel.name for channel in channels]
    document = {
        "address": answer.address,
        "system_title": answer.system_title.hex().upper() or None,
        "meter_type": answer.meter_type.name,
        "interval_s": answer.layout.capture_period_s,
        "from": answer.start.isoformat(),
        "to": answer.end.isoformat(),
        "units": {channel.name: unit_symbol(channel.unit) for channel in channels},
        "intervals": [
            {"start": start.isoformat(), **dict(zip(names, values, strict=True)), "quality": marks}
            for start, values, marks in rows
        ],
        "suspects": [
            {"reason": suspect.reason, "stamp": suspect.stamp.hex(), "raw": suspect.raw.hex()}
            for suspect in answer.batch.suspects
        ],
    }
    json.dump(document, sys.stdout, indent=2)
    print()


def _print_table(answer: Answer, channels: list[Channel], rows: list[tuple[datetime, list[Any], list[str]]]) -> None:
    from rich import box
    from rich.table import Table

    name = answer.system_title.hex().upper() or answer.meter_type.name
    period = answer.layout.capture_period_s
    length = f"{period // 60} min" if period % 60 == 0 else f"{period} s"
    title = f"{answer.address} · {name} · {len(rows)} intervals of {length} · times of {answer.meter_type.zone}"
    table = Table(title=escape(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("starts", no_wrap=True)
    for channel in channels:
        heading = "\n".join(channel.name.split("_"))
        table.add_column(f"{heading}\n{unit_symbol(channel.unit)}", justify="right", no_wrap=True)
    if any(marks for _, _, marks in rows):
        table.add_column("quality")
    for start, values, marks in rows:
        cells = ["" if value is None else f"{value:,.7g}" for value in values]
        table.add_row(f"{start:%Y-%m-%d %H:%M}", *cells, ", ".join(marks).replace("_", " "))
    print_whole(table)


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
        print("a parked meter is left alone until its fault is mended and `headend meters unpark NAME` says so")


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
