"""What `headend gaps` shows: how complete days are, where a meter's gaps lie, and whether what is kept of it is true.

The one rule: nothing here writes. Counts are those of `meter_day` brought up to `now`; `verify` believes none of them
and counts rows and absences again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple

from headend.store.database import Connection, store_errors
from headend.store.statements import statement
from profiles.errors import SettingsError

PROFILES: Final = ("block_load", "daily_load")
"""The profiles of which the ledger knows what is due."""
AT_ONCE: Final = 200
"""Meters that one statement counts again."""


class Days(NamedTuple):
    """Slots of some days of some meters, added up. `name`: the day, the division or the meter."""

    name: str
    meters: int
    due: int
    stored: int
    absent: int
    expired: int
    within_8h: int
    within_24h: int

    @property
    def owed(self) -> int:
        return self.due - self.stored - self.absent - self.expired


class Span(NamedTuple):
    """Slots of a meter that start in [first, until) and are not stored. `kind`: owed, seen missing, absent, expired."""

    kind: str
    first: datetime
    until: datetime


class Disagreement(NamedTuple):
    """Where what is kept differs from what rows and absences say. `day`: None for the watermark.

    `kept`, `counted`: the figures that differ, by name; None where there is no such day.
    """

    meter: str
    profile: str
    day: date | None
    kept: Mapping[str, Any] | None
    counted: Mapping[str, Any] | None

    def __str__(self) -> str:
        what = f"day {self.day}" if self.day else "watermark"
        return f"{self.meter}: {self.profile}, {what}: kept {_figures(self.kept)}, counted {_figures(self.counted)}"


async def days(
    connection: Connection,
    by: Literal["day", "division", "meter"],
    first: date,
    last: date,
    now: datetime,
    *,
    profile: str = "block_load",
    meter: str | None = None,
    division: str | None = None,
    limit: int = 100,
) -> list[Days]:
    """The local days from `first` to `last`, added up by day, division, or meter (only those that lack something)."""
    parameters = {
        "by": by,
        "first": first,
        "last": last,
        "now": now,
        "profile": profile,
        "meter": meter,
        "division": division,
        "limit": limit,
    }
    async with store_errors():
        cursor = await connection.execute(statement("gaps"), parameters)
        return [Days(name, *map(int, counts)) for name, *counts in await cursor.fetchall()]


async def spans(
    connection: Connection, meter: str, now: datetime, *, profile: str = "block_load", limit: int = 100
) -> list[Span]:
    """A meter's gaps, the latest first. `meter`: its name."""
    parameters = {"meter": meter, "profile": profile, "now": now, "limit": limit}
    async with store_errors():
        cursor = await connection.execute(statement("gap_spans"), parameters)
        return [Span(*row) for row in await cursor.fetchall()]


async def name_of(connection: Connection, meter: str) -> str:
    """The name of the meter of that name or serial number; SettingsError if there is none."""
    async with store_errors():
        row = await (await connection.execute(statement("meter_find"), {"name": meter})).fetchone()
    if row is None:
        raise SettingsError(f"there is no meter {meter}", remedy="see `headend meters list`")
    return str(row[1])


async def zone_of(connection: Connection) -> str:
    """The utility's time zone."""
    async with store_errors():
        row = await (await connection.execute("SELECT zone FROM utility")).fetchone()
    assert row is not None
    return str(row[0])


async def verify(connection: Connection) -> AsyncIterator[Disagreement]:
    """Count all days and watermarks of all meters again; what differs, meter by meter."""
    after = 0
    while meters := await _next_meters(connection, after):
        after = meters[-1]
        for profile in PROFILES:
            async with store_errors():
                cursor = await connection.execute(statement("verify"), {"meters": meters, "profile": profile})
                rows = await cursor.fetchall()
            for name, day, kept, counted in rows:
                yield Disagreement(name, profile, day, *_differing(kept, counted))


async def _next_meters(connection: Connection, after: int) -> list[int]:
    async with store_errors():
        cursor = await connection.execute("SELECT id FROM meter WHERE id > %s ORDER BY id LIMIT %s", (after, AT_ONCE))
        return [number for (number,) in await cursor.fetchall()]


def _differing(
    kept: Mapping[str, Any] | None, counted: Mapping[str, Any] | None
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    if kept is None or counted is None:
        return kept, counted
    names = [name for name in kept if kept[name] != counted[name]]
    return {name: kept[name] for name in names}, {name: counted[name] for name in names}


def _figures(figures: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items()) if figures is not None else "nothing"
