"""What all nodes do, as the database tells it, and the service levels of days. The one rule: nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from headend.seeing.node import owed_lately, waiting_jobs
from headend.seeing.sight import DATABASE_SEEN_S
from headend.store import gaps
from headend.store.database import Connection, store_errors
from headend.store.rows import Source
from headend.store.statements import statement

SEGMENTS: Final = 100
"""Segments down that are told of; those that are down longest."""
SAMPLED_METERS: Final = 1000
"""Of so many meters, about, the delays of pushes are looked at."""


class Node(NamedTuple):
    """One daemon. `numbers`: those of headend.seeing.sight.Numbers, as of `seen_at`; `gone`: it tells nothing more."""

    name: str
    roles: list[str]
    started_at: datetime
    seen_at: datetime
    numbers: Mapping[str, Any]
    gone: bool


class DownSegment(NamedTuple):
    """A segment behind which nothing answers."""

    name: str
    since: datetime
    reason: str
    try_again_at: datetime


class Live(NamedTuple):
    """The cluster at a moment. `owed`: intervals of the block load of yesterday and today."""

    nodes: list[Node]
    jobs_waiting: Mapping[str, int]
    segments_down: list[DownSegment]
    """At most `SEGMENTS`."""
    meters_silent: int
    owed: int


class Level(NamedTuple):
    """How well a day, in the utility's zone, was served; None: there was nothing of the kind.

    Percent of the intervals due whose reading came within 8 and 24 hours; seconds from the end of an interval to its
    pushed row, and from asking on demand to the answer being stored.
    """

    day: str
    due: int
    stored: int
    percent_within_8h: float | None
    percent_within_24h: float | None
    push_p50_s: float | None
    push_p95_s: float | None
    on_demand: int
    on_demand_p50_s: float | None
    on_demand_p95_s: float | None


async def read_live(connection: Connection, now: datetime) -> Live:
    """Raises StoreError."""
    async with store_errors():
        rows = await (await connection.execute(statement("nodes"))).fetchall()
        gone_before = now - timedelta(seconds=DATABASE_SEEN_S)
        nodes = [
            Node(name, roles, started_at, seen_at, numbers, seen_at < gone_before)
            for name, roles, started_at, seen_at, numbers in rows
        ]
        cursor = await connection.execute(statement("segments_down"), {"limit": SEGMENTS})
        down = [DownSegment(*row) for row in await cursor.fetchall()]
        states = await (await connection.execute(statement("states_count"))).fetchone()
    return Live(
        nodes,
        await waiting_jobs(connection),
        down,
        int(states[1]) if states else 0,
        await owed_lately(connection, now),
    )


async def read_levels(connection: Connection, first: datetime, now: datetime) -> list[Level]:
    """The days from that of `first` to today, the latest first. StoreError."""
    until = await _today(connection, now)
    since = await _today(connection, first)
    days = await gaps.days(connection, "day", since, until, now, limit=400)
    parameters = {"first": since, "until": until}
    pushed = await _by_day(connection, "push_delays", parameters | {"meters": SAMPLED_METERS, "push": int(Source.PUSH)})
    asked = await _by_day(connection, "on_demand_days", parameters)
    levels = []
    for day in days:
        _, push_p50, push_p95 = pushed.get(day.name, (0, None, None))
        reads, asked_p50, asked_p95 = asked.get(day.name, (0, None, None))
        within_8h, within_24h = _percent(day.within_8h, day.due), _percent(day.within_24h, day.due)
        counts = (day.name, day.due, day.stored, within_8h, within_24h)
        levels.append(Level(*counts, push_p50, push_p95, reads, asked_p50, asked_p95))
    return sorted(levels, reverse=True)


async def _today(connection: Connection, now: datetime) -> date:
    return now.astimezone(ZoneInfo(await gaps.zone_of(connection))).date()


async def _by_day(
    connection: Connection, name: str, parameters: Mapping[str, Any]
) -> dict[str, tuple[int, float | None, float | None]]:
    async with store_errors():
        rows = await (await connection.execute(statement(name), parameters)).fetchall()
    return {str(day): (count, _round(p50), _round(p95)) for day, count, p50, p95 in rows}


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(float(seconds), 1)


def _percent(part: int, of: int) -> float | None:
    return round(100 * part / of, 2) if of else None
