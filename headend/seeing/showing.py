"""What the cluster does, for people on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from headend.seeing.live import Level, Live, Node


def live_tables(live: Live, now: datetime) -> RenderableType:
    """Nodes, what they share, and the segments that are down."""
    parts: list[RenderableType] = [_nodes(live.nodes, now), _shared(live)]
    if live.segments_down:
        parts.append(_down(live, now))
    return Group(*parts)


def levels_table(levels: Sequence[Level]) -> Table:
    """Service levels, a line a day."""
    table = _table("Service levels by day", "day", *("due", "stored", "within 8 h", "within 24 h"))
    for name in ("push p50", "push p95", "on demand", "p50", "p95"):
        table.add_column(name, justify="right")
    for day in levels:
        shares = [_percent(day.percent_within_8h), _percent(day.percent_within_24h)]
        pushed, asked = (
            _seconds([day.push_p50_s, day.push_p95_s]),
            _seconds([day.on_demand_p50_s, day.on_demand_p95_s]),
        )
        table.add_row(day.day, f"{day.due:,}", f"{day.stored:,}", *shares, *pushed, f"{day.on_demand:,}", *asked)
    return table


def _nodes(nodes: Sequence[Node], now: datetime) -> Table:
    columns = ("sessions", "intervals/s", "stored", "queue", "spool", "pushes", "pushes/s", "failed")
    table = _table("Nodes", "node", *columns)
    table.add_column("")
    for node in nodes:
        said = node.numbers
        failed = sum(count for outcome, count in said["sessions"].items() if outcome != "answered")
        spool = f"{sum(said['spool_waiting'].values()):,} ({said['spool_octets'] / 1e6:,.1f} MB)"
        cells = (
            f"{said['open_sessions']:,}",
            f"{said['intervals_per_s']:,.1f}",
            f"{said['intervals']:,}",
            f"{said['held']:,}",
            spool,
            f"{said['pushes'].get('kept', 0):,}",
            f"{said['pushes_per_s']:,.1f}",
            f"{failed:,}",
        )
        table.add_row(escape(node.name), *cells, _state(node, now))
    if not nodes:
        table.add_row("none runs", *[""] * (len(columns) + 1))
    return table


def _state(node: Node, now: datetime) -> str:
    if node.gone:
        return f"gone: not seen for {_span(node.seen_at, now)}"
    troubles = {"database_away": "the database is away", "spool_full": "the spool is full"}
    found = [text for key, text in troubles.items() if node.numbers[key]]
    return "; ".join(found) or ", ".join(node.roles)


def _shared(live: Live) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    jobs = ", ".join(f"{queue} {count:,}" for queue, count in sorted(live.jobs_waiting.items())) or "0"
    for name, text in (
        ("jobs waiting", jobs),
        ("owed, yesterday and today", f"{live.owed:,} intervals"),
        ("meters silent", f"{live.meters_silent:,}"),
        ("segments down", f"{len(live.segments_down):,}"),
    ):
        table.add_row(name, text)
    return table


def _down(live: Live, now: datetime) -> Table:
    table = Table(title="Segments down", box=box.SIMPLE_HEAD)
    for name in ("segment", "since", "for", "reason"):
        table.add_column(name, no_wrap=name != "reason")
    for segment in live.segments_down:
        since = f"{segment.since:%Y-%m-%d %H:%M}Z"
        table.add_row(escape(segment.name), since, _span(segment.since, now), escape(segment.reason))
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD)
    table.add_column(first, no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _span(since: datetime, now: datetime) -> str:
    minutes, seconds = divmod(max(0, int((now - since).total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2f} %"


def _seconds(values: Iterable[float | None]) -> list[str]:
    return ["–" if value is None else f"{value:,.1f} s" for value in values]
